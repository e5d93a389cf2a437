// What memberlist makes of bursts, malformed, hostile and contradicting input.
#include <doctest/doctest.h>

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
