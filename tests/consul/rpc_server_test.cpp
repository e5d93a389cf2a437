#include "consul/rpc_server.h"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "conn_net.h"
#include "wire/msgpack.h"
#include "wire/yamux.h"

using namespace dcsim;
using namespace dcsim::consul;
using test::ConnNet;

namespace {

/// A server at machine 0 whose requests are kept for the test to answer; clients are written by hand.
struct Server final : RpcServerHost {
  explicit Server(ConnNet& network, RpcServerConfig config = {}) : net(network) {
    config.local = net[0].rpc();
    rpc = std::make_unique<RpcServer>(config, net[0], *this);
    net[0].on_accepted = [this](Instant now, StreamId s, const Endpoint& from) { rpc->on_accepted(now, s, from); };
    net[0].on_failed = [this](Instant now, StreamId s, std::string_view t) { rpc->on_failed(now, s, t); };
    net[0].on_data = [this](Instant now, StreamId s, const Bytes& d) { rpc->on_data(now, s, d); };
    net[0].on_eof = [this](Instant now, StreamId s) { rpc->on_eof(now, s); };
    net.actors.push_back({[this] { return rpc->next_deadline(); }, [this](Instant now) { rpc->on_deadline(now); }});
  }
  void rpc_request(Instant now, RpcCallId call, std::string_view method, const Bytes& body,
                   const Endpoint& from) override {
    calls.push_back({call, std::string(method), body, from});
    if (at_once) rpc->respond(now, call, body);
  }
  void raft_handoff(Instant, StreamId stream, const Endpoint&, const Bytes& first) override {
    raft = stream;
    raft_first = first;
  }
  void log(LogLevel, std::string_view line) override { lines.emplace_back(line); }

  struct Call {
    RpcCallId id;
    std::string method;
    Bytes body;
    Endpoint from;
  };
  ConnNet& net;
  std::unique_ptr<RpcServer> rpc;
  std::vector<Call> calls;
  std::vector<std::string> lines;
  StreamId raft;
  Bytes raft_first;
  bool at_once = false;
};

/// One connection from machine 1.
struct Peer {
  explicit Peer(ConnNet& network) : net(network) {
    net[1].on_data = [this](Instant, StreamId s, const Bytes& d) {
      got[s.value].insert(got[s.value].end(), d.view().begin(), d.view().end());
    };
    net[1].on_eof = [this](Instant, StreamId s) { ++ended[s.value]; };
  }
  StreamId connect() {
    const StreamId s = net[1].dial(net[0].rpc(), 1_s);
    net.run_for(5_ms);
    return s;
  }
  void send(StreamId s, const Buffer& bytes) {
    net[1].send(s, Bytes(ByteView(bytes)));
    net.run_for(5_ms);
  }
  ConnNet& net;
  std::map<std::uint32_t, Buffer> got;
  std::map<std::uint32_t, int> ended;
};

void append_call(std::string_view method, std::uint64_t seq, std::string_view text, Buffer& out) {
  wire::rpc::append_request_header(method, seq, out);
  wire::Writer(out).text(text);
}

std::string from_of(const Server::Call& call) { return "from=" + call.from.text(); }

/// "seq:text" or "seq!error" of each answer in `bytes`.
std::vector<std::string> answers(const Buffer& bytes) {
  wire::rpc::ResponseParser parser;
  parser.feed(Bytes(ByteView(bytes)));
  std::vector<std::string> out;
  wire::rpc::Response response;
  while (parser.next(response) == wire::rpc::RpcStatus::kMessage) {
    wire::Reader r(response.body);
    out.push_back(std::to_string(response.seq) +
                  (response.error.empty() ? ":" + std::string(r.text()) : "!" + std::string(response.error)));
  }
  return out;
}

/// A yamux client on one connection.
struct MuxPeer : Peer {
  explicit MuxPeer(ConnNet& network) : Peer(network), session(wire::YamuxSession::Side::kClient, {}, network.now()) {
    conn = connect();
    net[1].on_data = [this](Instant now, StreamId, const Bytes& d) { session.receive(d, now); };
    send(conn, {4});
  }
  void pass() {
    for (int i = 0; i < 4; ++i) {
      if (!session.output().empty()) {
        net[1].send(conn, Bytes(session.output()));
        session.took(session.output().size(), net.now());
      }
      net.run_for(5_ms);
    }
  }
  std::uint32_t open(const Buffer& bytes) {
    std::uint32_t s = 0;
    CHECK(session.open(s, net.now()) == wire::YamuxError::kNone);
    if (!bytes.empty()) session.write(s, bytes, net.now());
    pass();
    return s;
  }
  Buffer read(std::uint32_t s) {
    Buffer out;
    session.read(s, out, net.now());
    return out;
  }
  /// The events of that kind so far, of that stream.
  std::size_t events(wire::YamuxEvent::Kind kind, std::uint32_t stream) {
    wire::YamuxEvent e;
    while (session.next_event(e)) seen.push_back(e);
    return static_cast<std::size_t>(
        std::count_if(seen.begin(), seen.end(), [&](const auto& x) { return x.kind == kind && x.stream == stream; }));
  }
  StreamId conn;
  wire::YamuxSession session;
  std::vector<wire::YamuxEvent> seen;
};

}  // namespace

TEST_CASE("rpc server: the first byte decides") {
  ConnNet net(2);
  Server server(net);
  Peer peer(net);
  const StreamId s = peer.connect();
  const std::string from = "conn=from=10.0.0.2:40000";
  SUBCASE("unknown") {
    peer.send(s, {71, 69, 84});
    CHECK(server.lines == std::vector<std::string>{"agent.server.rpc: unrecognized RPC byte: byte=71 " + from});
  }
  SUBCASE("area gossip, of which there is none") {
    peer.send(s, {6});
    CHECK(server.lines == std::vector<std::string>{"agent.server.rpc: unrecognized RPC byte: byte=6 " + from});
  }
  SUBCASE("TLS without a certificate") {
    peer.send(s, {3});
    CHECK(server.lines.at(0).starts_with("agent.server.rpc: failed to read byte: " + from));
  }
  SUBCASE("none in five seconds") {
    net.run_for(4_s + 900_ms);
    CHECK(server.rpc->connections() == 1);
    net.run_for(200_ms);
    CHECK(server.lines == std::vector<std::string>{"agent.server.rpc: failed to read byte: " + from +
                                                   " error=\"read tcp 10.0.0.1:8300->10.0.0.2:40000: i/o timeout\""});
  }
  SUBCASE("a reset") {
    net.reset_all();
    net.run_for(5_ms);
    CHECK(server.lines.at(0).find("failed to read byte") != std::string::npos);
    CHECK(server.rpc->connections() == 0);
    return;
  }
  SUBCASE("an end") {
    net[1].close(s);
    net.run_for(5_ms);
    CHECK(server.lines.empty());
    CHECK(server.rpc->connections() == 0);
    return;
  }
  net.run_for(5_ms);
  CHECK(server.rpc->connections() == 0);
  CHECK(peer.ended[s.value] == 1);
}

TEST_CASE("rpc server: Raft connections are handed on with what came behind the byte") {
  ConnNet net(2);
  net.cuts = 1;
  RpcServerConfig config;
  config.max_conns_per_client = 1;
  Server server(net, config);
  Peer peer(net);
  const StreamId s = peer.connect();
  peer.send(s, {1, 7, 8});
  CHECK(server.raft.valid());
  CHECK(Buffer(server.raft_first.view().begin(), server.raft_first.view().end()) == Buffer{7, 8});
  CHECK_FALSE(server.rpc->on_data(net.now(), server.raft, Bytes(view_of("x"))));  // not this object's any more
  net.run_for(10_s);                                                              // nor does its handshake time out
  // It counts among its client's connections until it is given back.
  const StreamId second = peer.connect();
  CHECK(peer.ended[second.value] == 1);
  CHECK(
      server.lines.at(0) ==
      "agent.server.rpc: rejecting RPC conn from because rpc_max_conns_per_client exceeded: conn=from=10.0.0.2:40001");
  server.rpc->released(server.raft);
  CHECK(server.rpc->connections() == 0);
  peer.connect();
  CHECK(server.rpc->connections() == 1);
}

TEST_CASE("rpc server: a hundred connections from one address, and room again when one closes") {
  ConnNet net(3);
  Server server(net);
  Peer peer(net);
  std::vector<StreamId> all;
  for (int i = 0; i < 100; ++i) {
    all.push_back(net[1].dial(net[0].rpc(), 1_s));
    if (i % 10 == 0) net.run_for(1_ms);
  }
  net.run_for(1_ms);
  CHECK(server.rpc->connections() == 100);
  CHECK(peer.ended[peer.connect().value] == 1);
  net[2].dial(net[0].rpc(), 1_s);
  net.run_for(5_ms);
  CHECK(server.rpc->connections() == 101);  // others are not concerned
  net[1].close(all[3]);
  net.run_for(5_ms);
  CHECK(peer.ended[peer.connect().value] == 0);
}

TEST_CASE("rpc server: a plain connection's requests are served one after the other") {
  ConnNet net(2);
  Server server(net);
  Peer peer(net);
  const StreamId s = peer.connect();
  Buffer out{0};
  append_call("KVS.Get", 1, "a", out);
  append_call("KVS.List", 2, "b", out);
  append_call("KVS.Get", 3, "c", out);
  peer.send(s, out);
  REQUIRE(server.calls.size() == 1);
  CHECK(server.calls[0].method == "KVS.Get");
  CHECK(from_of(server.calls[0]) == "from=10.0.0.2:40000");
  server.rpc->respond(net.now(), server.calls[0].id, server.calls[0].body);
  CHECK(server.calls.size() == 1);  // not from inside the answer
  server.at_once = true;
  net.run_for(5_ms);
  REQUIRE(server.calls.size() == 3);
  CHECK(answers(peer.got[s.value]) == std::vector<std::string>{"1:a", "2:b", "3:c"});
  server.rpc->respond(net.now(), server.calls[0].id, server.calls[0].body);  // a second answer is none
  net.run_for(5_ms);
  CHECK(answers(peer.got[s.value]).size() == 3);
  net[1].close(s);
  net.run_for(5_ms);
  CHECK(server.rpc->connections() == 0);
  CHECK(server.lines.empty());
}

TEST_CASE("rpc server: refused requests are answered, logged, and end their connection") {
  ConnNet net(2);
  Server server(net);
  Peer peer(net);
  const StreamId s = peer.connect();
  Buffer out{0};
  append_call("Nothing.Here", 4, "a", out);
  append_call("KVS.Get", 5, "b", out);
  peer.send(s, out);
  REQUIRE(server.calls.size() == 1);
  server.rpc->refuse(net.now(), server.calls[0].id, wire::rpc::unknown_service("Nothing.Here"));
  net.run_for(5_ms);
  CHECK(answers(peer.got[s.value]) == std::vector<std::string>{"4!rpc: can't find service Nothing.Here"});
  CHECK(peer.ended[s.value] == 1);
  CHECK(server.calls.size() == 1);
  CHECK(server.lines == std::vector<std::string>{"agent.server.rpc: RPC error: conn=from=10.0.0.2:40000 "
                                                 "error=\"rpc: can't find service Nothing.Here\""});
}

TEST_CASE("rpc server: malformed requests close the connection without an answer") {
  ConnNet net(2);
  Server server(net);
  Peer peer(net);
  const StreamId s = peer.connect();
  SUBCASE("no msgpack") {
    peer.send(s, {0, 0xc1, 0xc1, 0xc1});
    CHECK(server.lines.at(0).ends_with("error=\"rpc: server cannot decode request: malformed message\""));
    CHECK(peer.ended[s.value] == 1);
  }
  SUBCASE("an end inside a request") {
    Buffer out{0};
    append_call("KVS.Get", 1, "value", out);
    out.resize(out.size() - 3);
    peer.send(s, out);
    net[1].close(s);
    net.run_for(5_ms);
    CHECK(server.lines.at(0).ends_with("error=\"unexpected EOF\""));
  }
  SUBCASE("a claim of gigabytes costs nothing") {
    peer.send(s, {0, 0xdb, 0x7f, 0xff, 0xff, 0xff, 'x'});
    CHECK(server.lines.size() == 1);
    CHECK(peer.ended[s.value] == 1);
  }
  CHECK(server.rpc->connections() == 0);
  CHECK(server.calls.empty());
}

TEST_CASE("rpc server: streams of a session are served side by side, each in order") {
  ConnNet net(2, 5);
  Server server(net);
  MuxPeer peer(net);
  Buffer out;
  append_call("KVS.Get", 1, "a", out);
  append_call("KVS.Get", 2, "b", out);
  const std::uint32_t one = peer.open(out);
  out.clear();
  append_call("KVS.List", 3, "c", out);
  const std::uint32_t two = peer.open(out);
  REQUIRE(server.calls.size() == 2);
  server.rpc->respond(net.now(), server.calls[1].id, server.calls[1].body);
  server.rpc->fail(net.now(), server.calls[0].id, "No cluster leader");
  peer.pass();
  CHECK(answers(peer.read(two)) == std::vector<std::string>{"3:c"});
  CHECK(answers(peer.read(one)) == std::vector<std::string>{"1!No cluster leader"});
  REQUIRE(server.calls.size() == 3);  // an error is an answer: the stream goes on
  server.rpc->respond_with(net.now(), server.calls[2].id, [](Buffer& b) { wire::Writer(b).text("made"); });
  peer.pass();
  CHECK(answers(peer.read(one)) == std::vector<std::string>{"2:made"});
  CHECK(server.rpc->calls() == 0);
  // Closing a stream closes the other half.
  peer.session.close(one, net.now());
  peer.pass();
  CHECK(peer.session.streams() == 1);
  CHECK(server.lines.empty());
}

TEST_CASE("rpc server: what only ends, or asks for gossip") {
  ConnNet net(2);
  Server server(net);
  server.at_once = true;
  MuxPeer peer(net);
  Buffer out;
  append_call("KVS.Get", 1, "a", out);
  SUBCASE("area gossip in a stream is refused, the others go on") {
    const std::uint32_t gossip = peer.open({6, 1, 2});
    CHECK(server.lines ==
          std::vector<std::string>{"agent.server.rpc: unrecognized RPC byte: byte=6 conn=from=10.0.0.2:40000"});
    CHECK(peer.events(wire::YamuxEvent::Kind::kEnd, gossip) == 1);
    CHECK(answers(peer.read(peer.open(out))) == std::vector<std::string>{"1:a"});
  }
  SUBCASE("a stream that says nothing holds up the next ones, as the library's loop does") {
    std::uint32_t silent = peer.open({});
    const std::uint32_t next = peer.open(out);
    CHECK(server.calls.empty());
    peer.session.write(silent, out, net.now());
    peer.pass();
    CHECK(server.calls.size() == 2);
    CHECK(answers(peer.read(next)) == std::vector<std::string>{"1:a"});
  }
  SUBCASE("a stream that ends before its first byte takes its session with it") {
    const std::uint32_t s = peer.open({});
    peer.session.close(s, net.now());
    peer.pass();
    CHECK(server.lines ==
          std::vector<std::string>{"agent.server.rpc: Problem peeking connection: conn=from=10.0.0.2:40000 err=EOF"});
    CHECK(server.rpc->connections() == 0);
    CHECK(peer.ended[peer.conn.value] == 1);
  }
  SUBCASE("one that waits to be taken up, with a request and its end") {
    const std::uint32_t silent = peer.open({});
    const std::uint32_t waits = peer.open(out);
    peer.session.close(waits, net.now());
    peer.pass();
    CHECK(server.calls.empty());
    peer.session.write(silent, out, net.now());
    peer.pass();
    CHECK(server.calls.size() == 2);
    CHECK(peer.session.streams() == 1);  // the ended one is closed by both
  }
}

TEST_CASE("rpc server: what breaks the session's rules ends it and says so") {
  ConnNet net(2);
  Server server(net);
  Peer peer(net);
  const StreamId s = peer.connect();
  Buffer out{4};
  SUBCASE("a version that does not exist") { out.insert(out.end(), {9, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}); }
  SUBCASE("a type that does not exist") { out.insert(out.end(), {0, 9, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}); }
  SUBCASE("more than the window") {
    wire::append_yamux_header(wire::YamuxType::kWindowUpdate, wire::kYamuxSyn, 1, 0, out);
    wire::append_yamux_header(wire::YamuxType::kData, 0, 1, wire::kYamuxWindow + 1, out);
  }
  peer.send(s, out);
  CHECK(server.rpc->connections() == 0);
  CHECK(peer.ended[s.value] == 1);
  REQUIRE(server.lines.size() == 1);
  CHECK(
      server.lines[0].starts_with("agent.server.rpc: multiplex conn accept failed: conn=from=10.0.0.2:40000 error=\""));
}

TEST_CASE("rpc server: answers to calls whose connection is gone are dropped") {
  ConnNet net(2);
  Server server(net);
  MuxPeer peer(net);
  Buffer out;
  append_call("KVS.Get", 1, "a", out);
  peer.open(out);
  REQUIRE(server.calls.size() == 1);
  CHECK(server.rpc->calls() == 1);
  net.reset_all();
  net.run_for(5_ms);
  CHECK(server.rpc->calls() == 0);
  CHECK(server.rpc->connections() == 0);
  server.rpc->respond(net.now(), server.calls[0].id, server.calls[0].body);
  server.rpc->fail(net.now(), server.calls[0].id, "x");
  server.rpc->refuse(net.now(), server.calls[0].id, "x");
  // Their places may have other calls by now.
  Peer other(net);
  const StreamId s = other.connect();
  Buffer plain{0};
  append_call("KVS.Get", 9, "z", plain);
  other.send(s, plain);
  REQUIRE(server.calls.size() == 2);
  server.rpc->respond(net.now(), server.calls[0].id, server.calls[0].body);
  net.run_for(5_ms);
  CHECK(other.got[s.value].empty());
  CHECK(server.rpc->calls() == 1);
}

TEST_CASE("rpc server: draining answers what is being served and takes nothing new") {
  ConnNet net(2);
  Server server(net);
  MuxPeer peer(net);
  Buffer out;
  append_call("KVS.Get", 1, "a", out);
  const std::uint32_t one = peer.open(out);
  REQUIRE(server.calls.size() == 1);
  server.rpc->drain(net.now());
  CHECK(server.rpc->connections() == 1);
  peer.open(out);
  CHECK(server.calls.size() == 1);
  server.rpc->respond(net.now(), server.calls[0].id, server.calls[0].body);
  net.run_for(5_ms);
  CHECK(answers(peer.read(one)) == std::vector<std::string>{"1:a"});
  CHECK(server.rpc->connections() == 0);
  net[1].dial(net[0].rpc(), 1_s);
  net.run_for(5_ms);
  CHECK(server.rpc->connections() == 0);
}

TEST_CASE("rpc server: random bytes never hang it or keep anything") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    ConnNet net(2, seed);
    Server server(net);
    server.at_once = true;
    Peer peer(net);
    Rng draw(seed, "test", "bytes");
    const StreamId s = peer.connect();
    Buffer out{static_cast<std::uint8_t>(seed % 2 == 0 ? 4 : 0)};
    for (int i = 0; i < 12 && peer.ended[s.value] == 0; ++i) {
      if (seed % 2 == 0 && draw.below(3) > 0) {
        wire::append_yamux_header(static_cast<wire::YamuxType>(draw.below(4)),
                                  static_cast<std::uint16_t>(draw.below(16)), static_cast<std::uint32_t>(draw.below(4)),
                                  static_cast<std::uint32_t>(draw.below(40)), out);
      } else if (draw.below(2) == 0) {
        append_call("KVS.Get", i, "x", out);
      } else {
        for (std::uint64_t n = draw.below(30); n > 0; --n) out.push_back(static_cast<std::uint8_t>(draw.next()));
      }
      if (!out.empty()) peer.send(s, out);
      out.clear();
    }
    if (peer.ended[s.value] == 0) net[1].close(s);
    net.run_for(1_s);
    CHECK(server.rpc->connections() == 0);
    CHECK(server.rpc->calls() == 0);
  }
}
