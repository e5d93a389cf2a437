// What memberlist makes of bursts, malformed, hostile and contradicting input.
#include <doctest/doctest.h>

#include <algorithm>

#include "pools.h"
#include "wire/compress.h"
#include "wire/packet.h"
#include "wire/stream.h"

using namespace dcsim;
using namespace dcsim::gossip;
using namespace dcsim::test;

TEST_CASE("memberlist: messages of one packet are handled alive first, then the newest first") {
  Alone one;
  one.alive("b", 2);
  const Versions vsn{1, 5, 2, 0, 0, 0};
  const auto alive = [&](std::string_view name, std::uint32_t host, Buffer& out) {
    const Endpoint at = test::address(host);
    wire::Alive m;
    m.addr = at.address.bytes();
    m.incarnation = 1;
    m.node = name;
    m.port = at.port;
    m.vsn = ByteView(vsn);
    wire::encode(m, out);
  };
  Buffer dead, c, d;
  wire::encode(wire::Dead{"x", 1, "b"}, dead);
  alive("c", 3, c);
  alive("d", 4, d);
  const ByteView parts[] = {dead, c, d};
  Buffer compound;
  wire::append_compound(parts, compound);
  one.pool[0].log().events.clear();
  one.tell_bytes(compound);
  CHECK(one.pool[0].log().events == std::vector<std::string>{"join:d", "join:c", "leave:b"});
}

TEST_CASE("memberlist: a full handoff queue drops what comes later") {
  MemberlistConfig c = without_push_pull();
  c.handoff_queue_depth = 2;
  Alone one(c);
  Buffer a, b, d;
  wire::encode(wire::Suspect{"x", 1, "p"}, a);
  wire::encode(wire::Suspect{"x", 1, "q"}, b);
  wire::encode(wire::Suspect{"x", 1, "r"}, d);
  const ByteView parts[] = {a, b, d};
  Buffer compound;
  wire::append_compound(parts, compound);
  one.tell_bytes(compound);
  const FakeNet::Record* lost = one.pool.net.first(K::kHandoffOverflow);
  REQUIRE(lost);
  CHECK(lost->log == "[WARN] memberlist: handler queue full, dropping message (3) from=10.0.0.99:7946");
  CHECK(one.pool.net.count(K::kHandoffOverflow) == 1);
}

TEST_CASE("memberlist: malformed packets are dropped, counted, and change nothing") {
  Alone one;
  one.alive("b", 2);
  std::vector<Buffer> bad = {
      {},                        // nothing
      {0x63},                    // no such type
      {0x00},                    // ping without a body
      {0x03, 0x81, 0xa4, 'N'},   // cut inside a key
      {0x04, 0xc1},              // not msgpack
      {0x07, 0x05, 0x00},        // compound with a short table
      {0x09, 0x80},              // compress without data
      {0x0c, 0, 0, 0, 0, 0x00},  // checksum wrong
      {0xf4, 0x01, 'x', 0x00},   // a label nobody asked for
      {0x06, 0x80},              // a push/pull on a packet
      {0x01, 0x11, 0x22, 0x33},  // an encrypted packet looks like this
  };
  for (std::size_t i = 0; i < bad.size(); ++i) {
    CAPTURE(i);
    const std::size_t before = one.pool.net.count(K::kPacketDropped);
    one.tell_bytes(bad[i]);
    CHECK(one.pool.net.count(K::kPacketDropped) == before + 1);
  }
  CHECK(one.list().table().size() == 2);
  // Every cut of a valid packet, and every single flipped bit of one, is survived.
  Buffer good;
  wire::encode(wire::Suspect{"nobody", 1, "no-member"}, good);
  for (std::size_t n = 0; n < good.size(); ++n) one.tell_bytes(ByteView(good).first(n));
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Buffer flipped = good;
    flipped[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
    one.tell_bytes(flipped);
  }
  CHECK(one.list().table().state(one.pool.directory.find("b")) == MemberState::kAlive);
}

TEST_CASE("memberlist: bad streams are answered with an error or silence, as memberlist does") {
  Alone one;
  const auto ask = [&](const Buffer& request) {
    static std::uint32_t next = 9000;
    const StreamId id{next++};
    one.list().on_stream_accepted(one.pool.net.now(), id, test::address(99));
    one.list().on_stream_data(one.pool.net.now(), id, Bytes(request));
    one.list().on_stream_eof(one.pool.net.now(), id);
    CHECK(one.list().open_streams() == 0);
  };
  ask({0x0a, 0, 0, 0, 1, 0x01});  // encrypted
  const FakeNet::Record* dropped = one.pool.net.first(K::kStreamDropped);
  REQUIRE(dropped);
  CHECK(dropped->log ==
        "[ERR] memberlist: failed to receive: remote state is encrypted and encryption is not configured "
        "from=10.0.0.99:7946");
  ask({0xff});
  ask({0x06, 0x83, 0xa4});
  ask({0x09, 0x80});
  ask({});
  CHECK(one.pool.net.count(K::kStreamDropped) == 4);  // a clean end is none
}

TEST_CASE("memberlist: at most 127 push/pulls are taken in at a time") {
  Alone one;
  for (std::uint32_t i = 0; i < 127; ++i) {
    one.list().on_stream_accepted(one.pool.net.now(), StreamId{1000 + i}, test::address(99));
    one.list().on_stream_data(one.pool.net.now(), StreamId{1000 + i}, Bytes(Buffer{0x06}));
  }
  CHECK(one.list().open_streams() == 127);
  one.list().on_stream_accepted(one.pool.net.now(), StreamId{2000}, test::address(99));
  one.list().on_stream_data(one.pool.net.now(), StreamId{2000}, Bytes(Buffer{0x06}));
  CHECK(one.pool.net.count(K::kTooManyPushPulls) == 1);
  CHECK(one.list().open_streams() == 127);
  one.pool[0].port->settled();
  one.pool.net.run_for(11_s);  // TCPTimeout frees them
  CHECK(one.list().open_streams() == 0);
}

TEST_CASE("memberlist: hostile names cost a bounded directory and are refused, not fatal") {
  Directory directory({.names = 10, .name_bytes = 1000, .records_per_member = 2});
  Workspace workspace;
  FakeNet net;
  test::EventLog log;
  FakeNet::Port& port = net.port("a", test::address(1), directory);
  MemberlistConfig c = without_push_pull();
  c.name = "a";
  c.advertise = test::address(1);
  Memberlist list(c, directory, workspace, port, log, 1, "a");
  port.attach(list);
  list.start(net.now());
  const Versions vsn{1, 5, 2, 0, 0, 0};
  for (int i = 0; i < 50; ++i) {
    const std::string name = "x" + std::to_string(i);
    wire::Alive m;
    const Address at = Address::v4(0x0a000000u + static_cast<std::uint32_t>(i));
    m.addr = at.bytes();
    m.incarnation = 1;
    m.node = name;
    m.port = 1;
    m.vsn = ByteView(vsn);
    Buffer b;
    wire::encode(m, b);
    list.on_packet(net.now(), test::address(99), Bytes(b));
  }
  CHECK(list.table().size() == 10);
  CHECK(net.count(K::kMemberRefused) == 41);
  CHECK(directory.size() == 10);
}

TEST_CASE("memberlist: records of the directory live as long as somebody holds them") {
  Directory directory;
  {
    Workspace workspace;
    FakeNet net;
    test::EventLog log;
    FakeNet::Port& port = net.port("a", test::address(1), directory);
    MemberlistConfig c = without_push_pull();
    c.name = "a";
    c.advertise = test::address(1);
    Memberlist list(c, directory, workspace, port, log, 1, "a");
    port.attach(list);
    list.start(net.now());
    const Versions vsn{1, 5, 2, 0, 0, 0};
    for (std::uint32_t i = 1; i <= 100; ++i) {
      const Address at = Address::v4(0x0a000002u);
      const std::string meta = "tag" + std::to_string(i);
      wire::Alive m;
      m.addr = at.bytes();
      m.incarnation = i;
      m.meta = view_of(meta);
      m.node = "b";
      m.port = 1;
      m.vsn = ByteView(vsn);
      Buffer b;
      wire::encode(m, b);
      list.on_packet(net.now(), test::address(99), Bytes(b));
    }
    CHECK(log.events.size() == 2 + 99);  // two joins, then updates
    CHECK(directory.live_records() == 2);
  }
  CHECK(directory.live_records() == 0);
}

TEST_CASE("memberlist: an IPv4 address and its mapped form are two addresses, and conflict") {
  Alone one;
  one.alive("b", 2);
  const Address mapped = test::address(2).address.mapped();
  const Versions vsn{1, 5, 2, 0, 0, 0};
  wire::Alive m;
  m.addr = mapped.bytes();
  m.incarnation = 5;
  m.node = "b";
  m.port = 7946;
  m.vsn = ByteView(vsn);
  one.tell(m);
  CHECK(one.pool.net.count(K::kConflict) == 1);
  CHECK(one.list().table().incarnation(one.pool.directory.find("b")) == 1);
}

namespace {

/// A peer without a protocol: sends given bytes over a stream and keeps what comes back.
struct Client {
  explicit Client(FakeNet& net, Directory& directory) : port(net.port("client", test::address(99), directory)) {
    port.attach(*this);
  }
  void on_packet(Instant, const Endpoint&, const Bytes&) {}
  void on_stream_accepted(Instant, StreamId, const Endpoint&) {}
  void on_stream_connected(Instant, StreamId id) {
    port.stream_send(id, Bytes(request));
    if (closes) port.stream_close(id);
  }
  void on_stream_failed(Instant, StreamId, std::string_view) {}
  void on_stream_data(Instant, StreamId, const Bytes& b) { answer.insert(answer.end(), b.view().begin(), b.view().end()); }
  void on_stream_eof(Instant, StreamId) { ended = true; }
  void on_deadline(Instant) {}
  Instant next_deadline() const { return Instant::never(); }

  FakeNet::Port& port;
  Buffer request, answer;
  bool closes = false;  ///< hangs up as soon as the request is out
  bool ended = false;
};

MemberlistConfig serf_094() {
  MemberlistConfig c = without_push_pull();
  c.int_style = wire::IntStyle::kOld;
  c.join_error_style = JoinErrorStyle::kAddressOnly;
  return c;
}

/// The text of the err message that answers a request, "" if the agent hangs up in silence, "open" if it waits on.
std::string refusal(const MemberlistConfig& config, const Buffer& request) {
  Alone one(config);
  Client client(one.pool.net, one.pool.directory);
  client.request = request;
  client.port.dial(one.pool[0].at, 1_s);
  one.pool.net.run_for(1_s);
  if (!client.ended) return "open";
  if (client.answer.empty()) return "";
  wire::StreamWorkspace ws;
  wire::StreamFrame frame;
  wire::StreamError error{};
  REQUIRE(wire::parse_plain_frame(client.answer, ws, frame, error) == wire::StreamStatus::kComplete);
  REQUIRE(frame.type == wire::MessageType::kErr);
  return std::string(frame.err.error);
}

/// What is noted when the peer hangs up in the middle of `request`; "" for nothing.
std::string noted_at_end(const MemberlistConfig& config, const Buffer& request) {
  Alone one(config);
  one.list().on_stream_accepted(one.pool.net.now(), StreamId{9000}, test::address(99));
  one.list().on_stream_data(one.pool.net.now(), StreamId{9000}, Bytes(request));
  one.list().on_stream_eof(one.pool.net.now(), StreamId{9000});
  CHECK(one.list().open_streams() == 0);
  const FakeNet::Record* dropped = one.pool.net.first(K::kStreamDropped);
  return dropped ? dropped->text : "";
}

}  // namespace

TEST_CASE("memberlist net.go: readStream's errors are told to the peer, in the words of the release") {
  const MemberlistConfig now = without_push_pull(), old = serf_094();
  const Buffer encrypted_start{0x0a}, encrypted_huge{0x0a, 0xff, 0xff, 0xff, 0xff};
  for (const Buffer& request : {encrypted_start, encrypted_huge}) {
    CHECK(refusal(now, request) == "remote state is encrypted and encryption is not configured");
    CHECK(refusal(old, request) == "Remote state is encrypted and encryption is not configured");
  }
  const auto compress = [](std::initializer_list<std::uint8_t> algorithm_and_raw) {
    Buffer out{0x09, 0x82, 0xa4, 'A', 'l', 'g', 'o'};
    out.push_back(*algorithm_and_raw.begin());
    out.insert(out.end(), {0xa3, 'B', 'u', 'f'});
    out.insert(out.end(), algorithm_and_raw.begin() + 1, algorithm_and_raw.end());
    return out;
  };
  CHECK(refusal(now, compress({1, 0xa0})) == "cannot decompress unknown algorithm 1");
  CHECK(refusal(old, compress({1, 0xa0})) == "Cannot decompress unknown algorithm 1");
  CHECK(refusal(now, compress({0, 0xa3, 0xff, 0xff, 0xff})) == "lzw: invalid code");
  CHECK(refusal(now, compress({0, 0xa2, 0x00, 0x01})) == "unexpected EOF");
  CHECK(refusal(now, compress({0, 0xa3, 0x00, 0x03, 0x02})) == "decompressed message is empty");
  // These end the connection without a word, or are not yet all there.
  CHECK(refusal(now, {0xff}) == "");
  CHECK(refusal(now, {0x06, 0xc1}) == "");
  CHECK(refusal(now, {0x09, 0x82}) == "open");
}

TEST_CASE("memberlist net.go: a compress message cut off inside a value is an error to go-msgpack 0.5, to 2.x an end") {
  const Buffer inside{0x09, 0x82, 0xa4, 'A', 'l'};
  CHECK(noted_at_end(serf_094(), inside) == "unexpected EOF");
  CHECK(noted_at_end(without_push_pull(), inside) == "");
  CHECK(noted_at_end(without_push_pull(), {}) == "");
}

TEST_CASE("memberlist state.go: an accepted alive is passed on as it came, nil fields as nil and empty ones as empty") {
  const Buffer b_at{10, 0, 0, 2}, six{1, 5, 2, 0, 0, 0}, none, odd{1, 2, 3};
  const auto passed_on = [](const wire::Alive& alive, bool push_pull) {
    Alone one;
    const std::size_t before = one.list().broadcasts().size();
    Buffer direct;
    wire::encode(alive, direct);
    if (push_pull) {
      const std::vector<wire::PushNodeState> nodes{
          {alive.addr, alive.incarnation, alive.meta, alive.node, alive.port, 0, alive.vsn}};
      Buffer frame;
      wire::append_push_pull(false, nodes, {}, frame);
      one.list().on_stream_accepted(one.pool.net.now(), StreamId{9000}, test::address(99));
      one.list().on_stream_data(one.pool.net.now(), StreamId{9000}, Bytes(frame));
    } else {
      one.tell_bytes(direct);
    }
    REQUIRE(one.list().broadcasts().size() == before + 1);
    // In a push/pull the table says it alike, but has always six versions.
    const Buffer table_vsn = alive.vsn.data.size() < 6 ? Buffer(6, 0) : Buffer(alive.vsn.data.begin(), alive.vsn.data.end());
    Buffer entry, entries;
    wire::encode(wire::PushNodeState{alive.addr, 3, alive.meta, alive.node, alive.port, 0, ByteView(table_vsn)}, entry);
    one.list().table().append_entries(entries);
    CHECK(std::search(entries.begin(), entries.end(), entry.begin(), entry.end()) != entries.end());
    for (std::size_t i = 0; i <= before; ++i) {
      const ByteView queued = one.list().broadcasts().at(i).message;
      if (std::equal(queued.begin(), queued.end(), direct.begin(), direct.end())) return true;
    }
    return false;
  };
  for (const bool push_pull : {false, true}) {
    // To a push/pull without versions everybody is incompatible (verifyProtocol), so there they are all here.
    for (const wire::OptBytes& vsn : {wire::OptBytes(), wire::OptBytes(none), wire::OptBytes(six), wire::OptBytes(odd)}) {
      if (push_pull && vsn.data.size() < 6) continue;
      for (const wire::OptBytes& meta : {wire::OptBytes(), wire::OptBytes(none)}) {
        for (const wire::OptBytes& addr : {wire::OptBytes(b_at), wire::OptBytes(), wire::OptBytes(none), wire::OptBytes(odd)}) {
          wire::Alive alive;
          alive.addr = addr;
          alive.incarnation = 3;
          alive.meta = meta;
          alive.node = "b";
          alive.port = 7946;
          alive.vsn = vsn;
          CAPTURE(push_pull);
          CAPTURE(vsn.nil);
          CAPTURE(vsn.data.size());
          CAPTURE(meta.nil);
          CAPTURE(addr.nil);
          CAPTURE(addr.data.size());
          CHECK(passed_on(alive, push_pull));
        }
      }
    }
  }
}

TEST_CASE("memberlist state.go: a member with an address that is none is kept, told of, and never reached") {
  Alone one;
  const Buffer odd{1, 2, 3}, too_long(17, 1), vsn{1, 5, 2, 0, 0, 0};
  wire::Alive m;
  m.incarnation = 1;
  m.node = "b";
  m.port = 7946;
  m.vsn = ByteView(vsn);
  m.addr = ByteView(too_long);  // this is where it ends
  one.tell(m);
  CHECK(one.list().table().size() == 1);
  m.addr = ByteView(odd);
  one.tell(m);
  REQUIRE(one.list().table().size() == 2);
  const NodeView b = one.list().table().view(one.pool.directory.find("b"));
  CHECK(b.address.text() == "?010203");
  CHECK(std::equal(b.address.bytes().begin(), b.address.bytes().end(), odd.begin(), odd.end()));
  one.pool.net.run_for(20_s);
  CHECK(one.pool.net.sent.empty());
  CHECK(one.pool.net.first(K::kProbeSendFailed) != nullptr);
  CHECK(one.list().table().state(b.id) == MemberState::kAlive);  // a local error accuses nobody
}

TEST_CASE("memberlist queue.go: a member without a name is broadcast like any other, but displaces nothing") {
  Alone one;
  const std::size_t before = one.list().broadcasts().size();
  one.alive("", 2, 1);
  one.alive("", 2, 2);
  CHECK(one.list().broadcasts().size() == before + 2);
  one.alive("b", 3, 1);
  one.alive("b", 3, 2);
  CHECK(one.list().broadcasts().size() == before + 3);
}
