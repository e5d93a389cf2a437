#include "consul/conn_pool.h"

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "conn_net.h"
#include "consul/rpc_port.h"
#include "wire/msgpack.h"

using namespace dcsim;
using namespace dcsim::consul;
using test::ConnNet;

namespace {

Buffer text_value(std::string_view text) {
  Buffer out;
  wire::Writer(out).text(text);
  return out;
}
std::string value_text(const Bytes& body) {
  wire::Reader r(body);
  return std::string(r.text());
}

/// A server that answers "Echo.<what>": at once, with an error, never, or when told.
struct Server final : RpcServerHost {
  Server(ConnNet& network, std::size_t self, RpcServerConfig config = {}) : net(network), self_(self), config_(config) {
    start();
    net.actors.push_back({[this] { return rpc ? rpc->next_deadline() : Instant::never(); },
                          [this](Instant now) { rpc->on_deadline(now); }});
  }
  void start() {
    rpc = std::make_unique<RpcServer>(config_, net[self_], *this);
    net[self_].listening = true;
    net[self_].on_accepted = [this](Instant now, StreamId s, const Endpoint& from) { rpc->on_accepted(now, s, from); };
    net[self_].on_failed = [this](Instant now, StreamId s, std::string_view t) { rpc->on_failed(now, s, t); };
    net[self_].on_data = [this](Instant now, StreamId s, const Bytes& d) { rpc->on_data(now, s, d); };
    net[self_].on_eof = [this](Instant now, StreamId s) { rpc->on_eof(now, s); };
  }
  void stop(ConnNet::End how) {
    net[self_].on_accepted = nullptr;
    net[self_].on_failed = nullptr;
    net[self_].on_data = nullptr;
    net[self_].on_eof = nullptr;
    net[self_].listening = false;
    net.end_all(self_, how);
    rpc.reset();
    waiting.clear();
  }
  void rpc_request(Instant now, RpcCallId call, std::string_view method, const Bytes& body, const Endpoint&) override {
    methods.emplace_back(method);
    if (method == "Echo.Now") return rpc->respond(now, call, body);
    if (method == "Echo.Fail") return rpc->fail(now, call, value_text(body));
    if (method == "Echo.Unknown") return rpc->refuse(now, call, wire::rpc::unknown_method(method));
    waiting.push_back({call, body});
  }
  void raft_handoff(Instant, StreamId, const Endpoint&, const Bytes&) override {}
  void log(LogLevel, std::string_view line) override { lines.emplace_back(line); }
  void answer_all() {
    for (const auto& [call, body] : std::exchange(waiting, {})) rpc->respond(net.now(), call, body);
  }

  ConnNet& net;
  std::unique_ptr<RpcServer> rpc;
  std::vector<std::string> methods, lines;
  std::vector<std::pair<RpcCallId, Bytes>> waiting;

 private:
  std::size_t self_;
  RpcServerConfig config_;
};

struct Client final : ConnPoolHost {
  explicit Client(ConnNet& network, ConnPoolConfig config = {})
      : net(network), pool(config, net[0], *this), port(&pool) {
    net[0].on_connected = [this](Instant now, StreamId s, const Endpoint& l) { port.on_connected(now, s, l); };
    net[0].on_failed = [this](Instant now, StreamId s, std::string_view t) { port.on_failed(now, s, t); };
    net[0].on_data = [this](Instant now, StreamId s, const Bytes& d) { port.on_data(now, s, d); };
    net[0].on_eof = [this](Instant now, StreamId s) { port.on_eof(now, s); };
    net.actors.push_back({[this] { return port.next_deadline(); }, [this](Instant now) { port.on_deadline(now); }});
  }
  CallToken call(std::string_view method, std::string_view text = "x", std::size_t to = 1,
                 std::optional<Duration> timeout = {}) {
    pool.call(net.now(), ++token, "s" + std::to_string(to), net[to].rpc(), method, text_value(text), timeout);
    return token;
  }
  /// Reply, or "!" and the error.
  std::string result(CallToken t) const {
    const auto it = results.find(t);
    return it == results.end() ? "" : it->second;
  }
  std::string ask(std::string_view method, std::string_view text = "x", std::size_t to = 1) {
    const CallToken t = call(method, text, to);
    net.run_until([&] { return results.count(t) > 0; }, 200_s);
    return result(t);
  }
  void rpc_result(Instant now, CallToken t, const Bytes& reply, std::string_view error) override {
    CHECK(results.count(t) == 0);  // one result each
    results[t] = error.empty() ? value_text(reply) : "!" + std::string(error);
    order.push_back(t);
    if (on_result) on_result(now, t);
  }
  void log(LogLevel, std::string_view line) override { lines.emplace_back(line); }

  ConnNet& net;
  ConnPool pool;
  RpcPort port;
  CallToken token = 0;
  std::map<CallToken, std::string> results;
  std::vector<CallToken> order;
  std::vector<std::string> lines;
  std::function<void(Instant, CallToken)> on_result;
};

}  // namespace

TEST_CASE("conn pool: calls share one session and use streams again") {
  ConnNet net(2);
  Server server(net, 1);
  Client client(net);
  CHECK(client.ask("Echo.Now", "one") == "one");
  CHECK(client.ask("Echo.Now", "two") == "two");
  CHECK(net[0].dialled.size() == 1);
  CHECK(client.pool.idle_streams(net[1].rpc()) == 1);
  for (int i = 0; i < 40; ++i) client.call("Echo.Later", std::to_string(i));
  net.run_for(100_ms);
  CHECK(server.waiting.size() == 40);
  server.answer_all();
  net.run_for(100_ms);
  for (int i = 0; i < 40; ++i) CHECK(client.result(static_cast<CallToken>(3 + i)) == std::to_string(i));
  CHECK(net[0].dialled.size() == 1);
  CHECK(client.pool.idle_streams(net[1].rpc()) == 32);  // a client keeps no more
  CHECK(client.pool.calls() == 0);
  CHECK(server.rpc->calls() == 0);
}

TEST_CASE("conn pool: answers larger than a window arrive whole, whatever the cuts") {
  ConnNet net(2, 3);
  net.cuts = 40;
  Server server(net, 1);
  Client client(net);
  const std::string big(3'000'000, 'v');
  CHECK(client.ask("Echo.Now", big) == big);
  CHECK(client.ask("Echo.Now", "small") == "small");
}

TEST_CASE("conn pool: the server's errors come prefixed, and close their stream only") {
  ConnNet net(2);
  Server server(net, 1);
  Client client(net);
  CHECK(client.ask("Echo.Fail", "No cluster leader") == "!rpc error making call: No cluster leader");
  CHECK(client.pool.idle_streams(net[1].rpc()) == 0);
  CHECK(client.pool.connections() == 1);
  CHECK(client.ask("Echo.Unknown") == "!rpc error making call: rpc: can't find method Echo.Unknown");
  CHECK(client.ask("Echo.Now", "on") == "on");
  CHECK(net[0].dialled.size() == 1);
  // An end that a server met further on takes the session out of the pool (lib/eof.go).
  CHECK(client.ask("Echo.Fail", "rpc error making call: EOF") == "!rpc error making call: rpc error making call: EOF");
  CHECK(client.pool.connections() == 0);
  CHECK(client.ask("Echo.Now", "anew") == "anew");
  CHECK(net[0].dialled.size() == 2);
}

TEST_CASE("conn pool: while one caller dials, the others wait, and all of them fail when it fails") {
  ConnNet net(2);
  ConnPoolConfig config;
  config.dial_source = "10.0.0.1:0";
  Client client(net, config);
  std::string why;
  Duration most{};
  SUBCASE("refused") {
    net[1].listening = false;
    why = "connect: connection refused";
    most = 10_ms;
  }
  SUBCASE("swallowed") {
    net.cut(0, 1);
    why = "i/o timeout";
    most = 10_s;
  }
  for (int i = 0; i < 3; ++i) client.call("Echo.Now");
  CHECK(net[0].dialled.size() == 1);
  net.run_for(most);
  CHECK(client.result(1) ==
        "!rpc error getting client: failed to get conn: dial tcp 10.0.0.1:0->10.0.0.2:8300: " + why);
  for (const CallToken t : {2u, 3u}) {
    CHECK(client.result(t) ==
          "!rpc error getting client: failed to get conn: rpc error: lead thread didn't get connection");
  }
  CHECK(client.order == std::vector<CallToken>{1, 2, 3});
  CHECK_FALSE(is_eof_error(client.result(1)));
  CHECK(client.pool.connections() == 0);
  // The next call dials again.
  Server server(net, 1);
  net.cut(0, 1, false);
  CHECK(client.ask("Echo.Now", "up") == "up");
}

TEST_CASE("conn pool: callers that waited for a dial that worked share it") {
  ConnNet net(2);
  Server server(net, 1);
  Client client(net);
  for (int i = 0; i < 5; ++i) client.call("Echo.Now", std::to_string(i));
  net.run_for(100_ms);
  for (int i = 0; i < 5; ++i) CHECK(client.result(static_cast<CallToken>(i + 1)) == std::to_string(i));
  CHECK(net[0].dialled.size() == 1);
  // Another node name at the same address waits for the dial, but the session it finds is not its own.
  ConnNet other(2);
  Server at(other, 1);
  Client two(other);
  two.pool.call(other.now(), 1, "a", other[1].rpc(), "Echo.Now", text_value("a"));
  two.pool.call(other.now(), 2, "b", other[1].rpc(), "Echo.Now", text_value("b"));
  other.run_for(1_s);
  CHECK(two.result(1) == "a");
  CHECK(two.result(2) == "!rpc error getting client: failed to get conn: rpc error: lead thread didn't get connection");
}

TEST_CASE("conn pool: a server that dies fails what is under way with EOF; the next call dials") {
  ConnNet net(2);
  Server server(net, 1);
  Client client(net);
  client.call("Echo.Later");
  client.call("Echo.Later");
  net.run_for(100_ms);
  REQUIRE(server.waiting.size() == 2);
  SUBCASE("with a farewell") { server.stop(ConnNet::End::kFin); }
  SUBCASE("with a reset") { server.stop(ConnNet::End::kReset); }
  net.run_for(10_ms);
  for (const CallToken t : {1u, 2u}) {
    CHECK(client.result(t) == "!rpc error making call: EOF");
    CHECK(is_eof_error(client.result(t)));
  }
  CHECK(client.pool.connections() == 0);
  CHECK(client.ask("Echo.Now").find("connection refused") != std::string::npos);
  server.start();
  CHECK(client.ask("Echo.Now", "back") == "back");
}

TEST_CASE("conn pool: a session that ended while idle fails one call on a kept stream") {
  ConnNet net(2);
  Server server(net, 1);
  Client client(net);
  SUBCASE("a kept stream: stream closed, then a new session") {
    CHECK(client.ask("Echo.Now", "a") == "a");
    server.stop(ConnNet::End::kFin);
    net.run_for(10_ms);
    server.start();
    const std::string error = client.ask("Echo.Now");
    CHECK(error == "!rpc error making call: stream closed");
    CHECK(is_eof_error(error));
    CHECK(client.ask("Echo.Now", "b") == "b");
    CHECK(net[0].dialled.size() == 2);
  }
  SUBCASE("no kept stream: dialled again, and nobody is told") {
    CHECK(client.ask("Echo.Fail", "no") == "!rpc error making call: no");
    REQUIRE(client.pool.idle_streams(net[1].rpc()) == 0);
    server.stop(ConnNet::End::kFin);
    net.run_for(10_ms);
    server.start();
    CHECK(client.ask("Echo.Now", "b") == "b");
    CHECK(net[0].dialled.size() == 2);
  }
  SUBCASE("and the server is away: the second dial says why") {
    CHECK(client.ask("Echo.Fail", "no") == "!rpc error making call: no");
    server.stop(ConnNet::End::kFin);
    net.run_for(10_ms);
    CHECK(client.ask("Echo.Now") ==
          "!rpc error getting client: failed to get conn: dial tcp 10.0.0.2:8300: connect: connection refused");
  }
}

TEST_CASE("conn pool: a silent server is found out by the read deadline") {
  ConnNet net(2);
  Server server(net, 1);
  Client client(net);
  Duration expect = 60_s;
  std::optional<Duration> timeout;
  SUBCASE("rpc_client_timeout") {}
  SUBCASE("a blocking query's own") {
    timeout = ConnPool::blocking_timeout(10_s, 7_s);
    expect = 17_s + 625_ms;
  }
  const CallToken t = client.call("Echo.Later", "x", 1, timeout);
  net.run_for(expect - 1_ms);
  CHECK(client.result(t).empty());
  net.run_for(2_ms);
  CHECK(client.result(t) == "!rpc error making call: i/o deadline reached");
  CHECK_FALSE(is_eof_error(client.result(t)));
  CHECK(client.pool.connections() == 1);  // only its stream is gone
  net.run_for(10_ms);
  server.answer_all();  // too late
  CHECK(client.ask("Echo.Now", "next") == "next");
  CHECK(net[0].dialled.size() == 1);
}

TEST_CASE("conn pool: a connection that swallows everything is given up by yamux's keepalive") {
  ConnNet net(2);
  Server server(net, 1);
  Client client(net);
  const CallToken t = client.call("Echo.Later", "x", 1, 600_s);
  net.run_for(1_s);
  net.cut(0, 1);
  REQUIRE(net.run_until([&] { return !client.result(t).empty(); }, 60_s));
  CHECK(client.result(t) == "!rpc error making call: EOF");
  CHECK(net.now() < Instant{} + 41_s);  // 30 s to the ping, 10 s for its answer
  CHECK(client.lines == std::vector<std::string>{"agent: yamux: keepalive failed: i/o deadline reached"});
  net.run_for(10_s);
  CHECK(server.rpc->connections() == 0);
  CHECK(server.lines.at(0) == "agent.server: yamux: keepalive failed: i/o deadline reached");
  CHECK(server.lines.at(1).starts_with("agent.server.rpc: multiplex conn accept failed: conn=from=10.0.0.1:"));
  CHECK(server.lines.at(1).ends_with("error=\"keepalive timeout\""));
}

TEST_CASE("conn pool: an idle session is reaped at the second after its time") {
  ConnNet net(2);
  Server server(net, 1);
  ConnPoolConfig config;
  Duration idle = 127_s;
  SUBCASE("client") {}
  SUBCASE("server") {
    config = ConnPoolConfig::server();
    idle = 120_s;
  }
  Client client(net, config);
  CHECK(client.ask("Echo.Now", "x") == "x");
  net.run_for(idle - 100_ms);
  CHECK(client.pool.connections() == 1);
  net.run_for(1_s + 200_ms);
  CHECK(client.pool.connections() == 0);
  CHECK(net[0].open() == 0);
  CHECK(server.rpc->connections() == 0);
  // One that is in use is not.
  client.call("Echo.Later", "long", 1, 600_s);
  net.run_for(300_s);
  CHECK(client.pool.connections() == 1);
  server.answer_all();
  net.run_for(2_s);
  CHECK(client.pool.connections() == 0);
}

TEST_CASE("conn pool: results may start calls, and cancelled calls have none") {
  ConnNet net(2);
  Server server(net, 1);
  Client client(net);
  client.on_result = [&](Instant, CallToken t) {
    if (t == 1) client.call("Echo.Now", "again");
  };
  client.call("Echo.Now", "first");
  net.run_for(100_ms);
  CHECK(client.result(2) == "again");
  const CallToken t = client.call("Echo.Later", "unwanted");
  net.run_for(10_ms);
  client.pool.cancel(t);
  server.answer_all();
  net.run_for(10_ms);
  CHECK(client.result(t).empty());
  CHECK(client.pool.calls() == 0);
  CHECK(client.pool.idle_streams(net[1].rpc()) == 1);  // its answer came, its stream is good
}

TEST_CASE("conn pool: shutdown ends everything once") {
  ConnNet net(3);
  Server server(net, 1);
  Client client(net);
  const CallToken under_way = client.call("Echo.Later");
  net.run_for(10_ms);
  const CallToken dialling = client.call("Echo.Now", "x", 2);
  client.pool.shutdown(net.now());
  CHECK(client.results.empty());
  client.pool.run(net.now());
  CHECK(client.result(under_way) == "!rpc error making call: EOF");
  CHECK(client.result(dialling) == "!rpc error getting client: failed to get conn: rpc error: shutdown");
  CHECK(client.ask("Echo.Now") == "!rpc error getting client: failed to get conn: rpc error: shutdown");
  CHECK(net[0].open() == 0);
  net.run_for(1_s);
  CHECK(server.rpc->connections() == 0);
}

TEST_CASE("conn pool: a connection that takes nothing fails the write after ten seconds") {
  ConnNet net(2);
  Server server(net, 1);
  Client client(net);
  CHECK(client.ask("Echo.Now", "x") == "x");
  const auto stuff = [&](bool on) {
    for (std::uint32_t id = 0; id < 10; ++id) on ? void(net[0].stuffed.insert(id)) : void(net[0].stuffed.erase(id));
  };
  stuff(true);
  const CallToken t = client.call("Echo.Now", "stuck");
  SUBCASE("for good") {
    net.run_for(9_s + 900_ms);
    CHECK(client.result(t).empty());
    net.run_for(200_ms);
    CHECK(client.result(t) == "!rpc error making call: connection write timeout");
  }
  SUBCASE("for a while") {
    net.run_for(5_s);
    CHECK(server.methods.size() == 1);
    stuff(false);
    for (std::uint32_t id = 0; id < 10; ++id) client.port.on_writable(net.now(), StreamId{id});
    net.run_for(10_ms);
    CHECK(client.result(t) == "stuck");
  }
}

TEST_CASE("conn pool: more streams than the server may leave unanswered wait their turn") {
  ConnNet net(2);
  Server server(net, 1);
  Client client(net);
  CHECK(client.ask("Echo.Now", "x") == "x");
  std::vector<CallToken> tokens;
  for (int i = 0; i < 600; ++i) tokens.push_back(client.call("Echo.Later", std::to_string(i)));
  net.run_for(1_s);
  CHECK(server.waiting.size() == 600);
  server.answer_all();
  net.run_for(1_s);
  for (int i = 0; i < 600; ++i) CHECK(client.result(tokens[static_cast<std::size_t>(i)]) == std::to_string(i));
}

TEST_CASE("conn pool: connections that break at random moments leave no call without its one result") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    ConnNet net(3, seed);
    net.cuts = 6;
    Server one(net, 1), two(net, 2);
    Client client(net);
    Rng draw(seed, "test", "calls");
    std::size_t made = 0, good = 0;
    for (int round = 0; round < 300; ++round) {
      client.call(draw.below(3) == 0 ? "Echo.Later" : "Echo.Now", std::string(draw.below(3000), 'q'),
                  1 + draw.below(2));
      ++made;
      if (draw.below(20) == 0) net.reset_all();
      if (draw.below(30) == 0) {
        Server& victim = draw.below(2) == 0 ? one : two;
        victim.stop(draw.below(2) == 0 ? ConnNet::End::kFin : ConnNet::End::kSilent);
        net.at(Duration{static_cast<std::int64_t>(draw.below(5'000'000))}, [&victim] { victim.start(); });
      }
      net.run_for(Duration{static_cast<std::int64_t>(draw.below(3'000'000))});
      if (round % 7 == 0 && one.rpc && two.rpc) one.answer_all(), two.answer_all();
      net.run_until([&] { return one.rpc && two.rpc; }, 1_s);
    }
    net.run_for(100_s);
    CHECK(client.results.size() == made);
    for (const auto& [token, result] : client.results) good += !result.starts_with("!");
    CHECK(good > made / 2);
    CHECK(client.pool.calls() == 0);
  }
}
