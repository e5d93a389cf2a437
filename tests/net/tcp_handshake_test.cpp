#include <doctest/doctest.h>

#include <set>

#include "tcp_pair.h"

using namespace dcsim;
using namespace dcsim::net;
using namespace dcsim::net::test;

namespace {

const auto kSyn = [](const TcpSegment& s) { return s.has(kTcpSyn); };
const auto kRst = [](const TcpSegment& s) { return s.has(kTcpRst); };
using Milliseconds = std::vector<std::int64_t>;

void lose_everything(TcpPair& net) {
  net.wire = [](const TcpPair::Seen&, Duration&) { return true; };
}

}  // namespace

TEST_CASE("tcp rfc 9293 3.5: three segments establish a connection, the dialler one round trip after its SYN") {
  TcpPair net({}, 1_ms);
  const TcpId id = net.dial();
  CHECK(net.a.stack.state(id) == TcpState::kSynSent);
  net.run_for(10_ms);
  REQUIRE(net.segments.size() == 3);
  CHECK(net.segments[0].segment.flags == kTcpSyn);
  CHECK(net.segments[1].segment.flags == (kTcpSyn | kTcpAck));
  CHECK(net.segments[1].segment.ack == net.segments[0].segment.seq + 1);
  CHECK(net.segments[2].segment.flags == kTcpAck);
  CHECK(net.a.events.at(0).at == Instant{2'000'000});
  CHECK(net.b.events.at(0).at == Instant{3'000'000});
  CHECK(net.b.last_user == 7);
  CHECK(net.a.stack.state(id) == TcpState::kEstablished);
  CHECK(net.b.stack.state(net.b.accepted.at(0)) == TcpState::kEstablished);
  CHECK(net.b.stack.remote(net.b.accepted[0]) == net.a.stack.local(id));
}

TEST_CASE("tcp: options and header sizes are Linux's: 40 bytes on a SYN, 32 with timestamps, 20 on a bare RST") {
  TcpPair net;
  const TcpId id = net.dialled();
  net.a.stack.connect(net.now, at("10.0.0.1", 0), at("10.0.0.2", 9));  // closed port
  net.run_for(10_ms);
  CHECK(net.segments[0].segment.header_bytes() == 40);
  CHECK(net.segments[1].segment.header_bytes() == 40);
  CHECK(net.segments[2].segment.header_bytes() == 32);
  REQUIRE(net.segments.back().segment.has(kTcpRst));
  CHECK(net.segments.back().segment.header_bytes() == 20);
  CHECK(net.segments[0].segment.mss == 1460);
  std::uint8_t options[40];
  REQUIRE(net.segments[0].segment.write_options(options) == 20);
  CHECK(options[0] == 2);  // MSS first
  CHECK(options[2] * 256 + options[3] == 1460);
  CHECK(options[4] == 4);   // SACK-permitted
  CHECK(options[6] == 8);   // timestamps
  CHECK(options[17] == 3);  // window scale
  net.a.stack.send(net.now, id, pattern(3000));
  CHECK(net.segments.back().segment.payload.size() == 3000 - 2 * 1448);  // timestamps take 12 of the 1460
  CHECK(net.segments[net.segments.size() - 2].segment.payload.size() == 1448);
}

TEST_CASE("tcp linux: SYNs go out at 0, 1, 2, 3, 4, 5 s, then 7, 11, 19, 35, 67 s; ETIMEDOUT at 131 s") {
  TcpPair net;
  lose_everything(net);
  const TcpId id = net.dial();
  net.run_until(Instant{} + 300_s);
  CHECK(net.sent_ms(0, kSyn) == Milliseconds{0, 1000, 2000, 3000, 4000, 5000, 7000, 11000, 19000, 35000, 67000});
  CHECK(net.a.errors == std::vector{SocketError::kTimedOut});
  CHECK(net.a.events.back().at == Instant{} + 131_s);
  CHECK_FALSE(net.a.stack.alive(id));
  CHECK(net.a.stack.connections() == 0);
}

TEST_CASE("tcp linux before 6.5: without linear timeouts SYNs double from the start, ETIMEDOUT at 127 s") {
  TcpConfig config;
  config.tcp_syn_linear_timeouts = 0;
  TcpPair net(config);
  lose_everything(net);
  net.dial();
  net.run_until(Instant{} + 300_s);
  CHECK(net.sent_ms(0, kSyn) == Milliseconds{0, 1000, 3000, 7000, 15000, 31000, 63000});
  CHECK(net.a.events.back().at == Instant{} + 127_s);
}

TEST_CASE(
    "tcp: a dial in flight when the network heals completes with the next SYN, and learns its RTT from timestamps") {
  TcpPair net({}, 1_ms);
  net.wire = [](const TcpPair::Seen& seen, Duration&) { return seen.at < Instant{} + 2500_ms; };
  const TcpId id = net.dial();
  net.run_for(10_s);
  CHECK(net.a.events.at(0).at == Instant{} + 3002_ms);
  CHECK(net.a.stack.rto(id) == 202_ms);
}

TEST_CASE("tcp linux: SYN-ACKs only double: 0, 1, 3, 7, 15, 31 s, and the half-open handshake is forgotten at 63 s") {
  TcpPair net({}, 0_ns);
  net.wire = [](const TcpPair::Seen& seen, Duration&) { return seen.from == 1; };
  const TcpId id = net.dial();
  net.run_for(1_ms);
  net.a.stack.close(net.now, id);  // the dialler's own deadline: no more SYNs
  CHECK(net.a.stack.connections() == 0);
  net.run_for(200_s);
  CHECK(net.sent_ms(1, kSyn) == Milliseconds{0, 1000, 3000, 7000, 15000, 31000});
  CHECK(net.b.stack.connections() == 0);
  CHECK(net.b.events.empty());  // the process never heard of it
}

TEST_CASE("tcp: silence says nothing until the caller gives up, and giving up sends nothing") {
  TcpPair net;
  lose_everything(net);
  const TcpId id = net.dial();
  net.run_for(10_s);
  CHECK(net.a.events.empty());
  const auto sent = net.count;
  net.a.stack.close(net.now, id);
  net.run_for(200_s);
  CHECK(net.count == sent);
  CHECK(net.a.events.empty());
}

TEST_CASE("tcp rfc 9293 3.10.7.1: a closed port answers at once with RST: ECONNREFUSED after one round trip") {
  TcpPair net({}, 1_ms);
  net.a.stack.connect(net.now, at("10.0.0.1", 0), at("10.0.0.2", 8301));
  net.run_for(1_s);
  CHECK(net.a.errors == std::vector{SocketError::kRefused});
  CHECK(net.a.events.back().at == Instant{2'000'000});
  const TcpSegment& rst = net.segments.back().segment;
  CHECK(rst.flags == (kTcpRst | kTcpAck));
  CHECK(rst.seq == 0);
  CHECK(rst.ack == net.segments[0].segment.seq + 1);
}

TEST_CASE("tcp linux icmp_err_convert: an ICMP error ends a dial at once; which error depends on its code") {
  const std::pair<IcmpError, SocketError> table[] = {
      {IcmpError::kPortUnreachable, SocketError::kRefused},
      {IcmpError::kHostUnreachable, SocketError::kHostUnreachable},
      {IcmpError::kAdminProhibited, SocketError::kHostUnreachable},
      {IcmpError::kNetUnreachable, SocketError::kNetUnreachable},
  };
  for (const auto& [code, error] : table) {
    const int number = static_cast<int>(code);
    CAPTURE(number);
    TcpPair net;
    lose_everything(net);
    const TcpId id = net.dial();
    const Endpoint local = net.a.stack.local(id);
    const std::uint32_t seq = net.segments[0].segment.seq;
    net.a.stack.on_icmp(net.now, code, local, at("10.0.0.2", 8301), seq + 5);  // quotes what was never sent
    CHECK(net.a.errors.empty());
    net.a.stack.on_icmp(net.now, code, local, at("10.0.0.2", 8301), seq);
    CHECK(net.a.errors == std::vector{error});
    CHECK(net.a.stack.connections() == 0);
  }
}

TEST_CASE(
    "tcp rfc 1122 4.2.3.9: on an established connection an ICMP error is soft: only the reason of a later timeout") {
  TcpPair net;
  const TcpId id = net.dialled();
  net.a.stack.send(net.now, id, pattern(100));
  const std::uint32_t seq = net.segments.back().segment.seq;
  net.run_for(10_ms);
  net.a.stack.on_icmp(net.now, IcmpError::kHostUnreachable, net.a.stack.local(id), at("10.0.0.2", 8301), seq + 100);
  CHECK(net.a.errors.empty());
  net.a.stack.send(net.now, id, pattern(100));
  net.run_for(10_ms);
  CHECK(net.b.received.size() == 200);  // it works on, and the acknowledgement wipes the memory

  lose_everything(net);
  net.a.stack.send(net.now, id, pattern(100));
  net.a.stack.on_icmp(net.now, IcmpError::kHostUnreachable, net.a.stack.local(id), at("10.0.0.2", 8301), seq + 200);
  net.run_for(1200_s);
  CHECK(net.a.errors == std::vector{SocketError::kHostUnreachable});
}

TEST_CASE("tcp: both sides dial each other at once and share one connection (RFC 9293 figure 7)") {
  TcpPair net;
  const Endpoint a = at("10.0.0.1", 5000);
  const Endpoint b = at("10.0.0.2", 5000);
  const TcpId left = net.a.stack.connect(net.now, a, b).id;
  const TcpId right = net.b.stack.connect(net.now, b, a).id;
  net.run_for(100_ms);
  CHECK(net.a.stack.state(left) == TcpState::kEstablished);
  CHECK(net.b.stack.state(right) == TcpState::kEstablished);
  CHECK(net.a.connected == 1);
  CHECK(net.b.connected == 1);
  net.a.stack.send(net.now, left, pattern(10));
  net.run_for(10_ms);
  CHECK(same(net.b.received, pattern(10)));
}

TEST_CASE("tcp: a lost SYN-ACK or a doubled SYN does not make a second connection") {
  TcpPair net;
  int answers = 0;
  net.wire = [&](const TcpPair::Seen& seen, Duration&) {
    return kSyn(seen.segment) && seen.from == 1 && answers++ == 0;
  };
  net.dial();
  net.run_for(5_s);
  CHECK(net.b.accepted.size() == 1);
  CHECK(net.b.stack.connections() == 1);
  CHECK(net.a.events.at(0).at >= Instant{} + 1_s);
}

TEST_CASE("tcp: a listener takes at most somaxconn half-open handshakes; SYNs beyond are dropped silently") {
  TcpConfig config;
  config.somaxconn = 3;
  TcpPair net(config);
  net.b.stack.listen({{}, 80});
  TcpSegment syn;
  syn.to = at("10.0.0.2", 80);
  syn.flags = kTcpSyn;
  syn.mss = 1460;
  for (std::uint16_t port = 1; port <= 10; ++port) {
    syn.from = at("10.0.0.9", port);
    net.b.stack.on_segment(net.now, syn);
  }
  CHECK(net.b.stack.connections() == 3);
  CHECK(net.sent_ms(1, kSyn).size() == 3);
  net.b.stack.unlisten(net.now, {{}, 80});
  CHECK(net.b.stack.connections() == 0);
  CHECK(net.sent_ms(1, kRst).size() == 3);
}

TEST_CASE("tcp: listeners bind like Linux: wildcard and specific address of one port exclude each other") {
  TcpPair net;
  CHECK(net.a.stack.listen(at("10.0.0.1", 80)) == SocketError::kNone);
  CHECK(net.a.stack.listen({{}, 80}) == SocketError::kAddressInUse);
  CHECK(net.a.stack.listen(at("10.0.0.3", 80)) == SocketError::kNone);
  CHECK(net.a.stack.listen({{}, 81}) == SocketError::kNone);
  CHECK(net.a.stack.listening(at("10.0.0.7", 81)));
  CHECK_FALSE(net.a.stack.listening(at("10.0.0.7", 80)));
  net.a.stack.unlisten(net.now, {{}, 81});
  CHECK_FALSE(net.a.stack.listening(at("10.0.0.7", 81)));
}

TEST_CASE(
    "tcp rfc 6056: ephemeral ports lie in 32768-60999, follow one another, and skip what TIME-WAIT or a listener "
    "holds") {
  TcpPair net;
  net.b.stack.listen({{}, 8301});
  std::set<std::uint16_t> used;
  for (int i = 0; i < 200; ++i) {
    const TcpId id = net.a.stack.connect(net.now, at("10.0.0.1", 0), at("10.0.0.2", 8301)).id;
    const std::uint16_t port = net.a.stack.local(id).port;
    CHECK(port >= 32768);
    CHECK(port <= 60999);
    CHECK(used.insert(port).second);
    net.run_for(5_ms);
  }
  TcpPair again;
  again.b.stack.listen({{}, 8301});
  const TcpId id = again.a.stack.connect(again.now, at("10.0.0.1", 0), at("10.0.0.2", 8301)).id;
  CHECK(used.count(again.a.stack.local(id).port) == 1);  // the same seed, the same ports

  TcpConfig narrow;
  narrow.ephemeral_first = 40000;
  narrow.ephemeral_last = 40003;
  TcpPair small(narrow);
  small.b.stack.listen({{}, 8301});
  small.a.stack.listen({{}, 40002});
  std::set<std::uint16_t> three;
  for (int i = 0; i < 3; ++i) {
    const TcpId one = small.a.stack.connect(small.now, at("10.0.0.1", 0), at("10.0.0.2", 8301)).id;
    three.insert(small.a.stack.local(one).port);
    small.run_for(5_ms);
    small.b.react_end = [&](TcpId peer) { small.b.stack.close(small.now, peer); };
    small.a.stack.close(small.now, one);
    small.run_for(5_ms);
  }
  CHECK(three == std::set<std::uint16_t>{40000, 40001, 40003});
  CHECK(small.a.stack.time_waits(small.now) == 3);
  const auto refused = small.a.stack.connect(small.now, at("10.0.0.1", 0), at("10.0.0.2", 8301));
  CHECK(refused.error == SocketError::kAddressNotAvailable);
  CHECK_FALSE(refused.id.valid());
  // Another destination is another 4-tuple.
  CHECK(small.a.stack.connect(small.now, at("10.0.0.1", 0), at("10.0.0.3", 8301)).error == SocketError::kNone);
  small.run_for(60_s);
  CHECK(small.a.stack.connect(small.now, at("10.0.0.1", 0), at("10.0.0.2", 8301)).error == SocketError::kNone);
}

TEST_CASE("tcp rfc 6528: initial sequence numbers depend on seed and 4-tuple, grow with time, and disturb nobody") {
  const auto isn = [](std::uint64_t seed, int dials_before, std::uint16_t port, Instant now) {
    TcpPair net({}, 1_ms, seed);
    for (int i = 0; i < dials_before; ++i) net.a.stack.connect(now, at("10.0.0.1", 0), at("10.0.0.3", 1));
    net.a.stack.connect(now, at("10.0.0.1", port), at("10.0.0.2", 8301));
    return net.segments.back().segment.seq;
  };
  const Instant t{1'000'000'000};
  CHECK(isn(1, 0, 5000, t) == isn(1, 9, 5000, t));
  CHECK(isn(1, 0, 5000, t) != isn(2, 0, 5000, t));
  CHECK(isn(1, 0, 5000, t) != isn(1, 0, 5001, t));
  CHECK(isn(1, 0, 5000, t + 64_us) == isn(1, 0, 5000, t) + 1000);
}

TEST_CASE("tcp: an error names both ends of the connection that is gone") {
  TcpPair net;
  net.a.stack.connect(net.now, at("10.0.0.1", 40'001), at("10.0.0.2", 9));  // closed port
  net.run_for(10_ms);
  REQUIRE(net.a.errors == std::vector{SocketError::kRefused});
  CHECK(net.a.failed[0] == std::pair{at("10.0.0.1", 40'001), at("10.0.0.2", 9)});
  const TcpId id = net.dialled();
  const Endpoint local = net.a.stack.local(id), remote = net.a.stack.remote(id);
  net.b.stack.abort(net.now, net.b.accepted.at(0));
  net.run_for(10_ms);
  REQUIRE(net.a.errors.size() == 2);
  CHECK(net.a.errors[1] == SocketError::kReset);
  CHECK(net.a.failed[1] == std::pair{local, remote});
}
