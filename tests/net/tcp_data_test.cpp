#include <doctest/doctest.h>

#include "support/alloc_counter.h"
#include "tcp_pair.h"

using namespace dcsim;
using namespace dcsim::net;
using namespace dcsim::net::test;

namespace {

const auto kData = [](const TcpSegment& s) { return !s.payload.empty(); };
const auto kPureAck = [](const TcpSegment& s) { return s.length() == 0 && s.flags == kTcpAck; };
using Milliseconds = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("tcp: a megabyte arrives whole and in order, whatever is lost, doubled or overtaken") {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    TcpPair net({}, 1_ms, seed);
    net.keep_segments = false;
    Rng rng(seed, "wire", "loss");
    const std::uint32_t loss = static_cast<std::uint32_t>(seed % 4) * 30'000'000;  // 0, 3, 6, 9 %
    net.wire = [&](const TcpPair::Seen& seen, Duration& delay) {
      if (rng.chance(loss)) return true;
      if (rng.chance(50'000'000)) delay += rng.below(5_ms);
      if (rng.chance(20'000'000)) net.in_flight.push_back({net.now + delay, net.sequence++, seen.from, seen.segment});
      return false;
    };
    const Bytes there = pattern(1'000'000, seed);
    const Bytes back = pattern(30'000, seed + 100);
    const TcpId id = net.dial();
    net.a.stack.send(net.now, id, there);
    net.a.stack.shutdown_write(net.now, id);
    net.b.react_end = [&](TcpId peer) {
      net.b.stack.send(net.now, peer, back);
      net.b.stack.close(net.now, peer);
    };
    net.run_for(900_s);
    CHECK(same(net.b.received, there));
    CHECK(same(net.a.received, back));
    CHECK(net.a.ends == 1);
    CHECK(net.b.ends == 1);
    CHECK(net.a.errors.empty());
    CHECK(net.a.stack.connections() + net.b.stack.connections() == 0);
  }
}

TEST_CASE("tcp: the same seed and the same losses give the same segments at the same instants") {
  const auto run = [] {
    TcpPair net({}, 1_ms, 5);
    Rng rng(5, "wire", "loss");
    net.wire = [&](const TcpPair::Seen&, Duration&) { return rng.chance(80'000'000); };
    const TcpId id = net.dial();
    net.a.stack.send(net.now, id, pattern(200'000));
    net.run_for(100_s);
    std::vector<std::uint64_t> out;
    for (const auto& seen : net.segments) {
      out.push_back(static_cast<std::uint64_t>(seen.at.ns) * 31 + seen.segment.seq);
    }
    return out;
  };
  CHECK(run() == run());
}

TEST_CASE("tcp: what is delivered are slices of what was sent; a message in two segments joins without a copy") {
  TcpPair net;
  const TcpId id = net.dialled();
  std::vector<Bytes> got;
  net.b.react_data = [&](TcpId, const Bytes& data) { got.push_back(data); };
  const Bytes message = pattern(2800);
  net.a.stack.send(net.now, id, message);
  net.run_for(10_ms);
  REQUIRE(got.size() == 2);
  CHECK(got[0].data() == message.data());
  CHECK(got[0].continued_by(got[1]));
}

TEST_CASE("tcp: small writes that wait for the window share segments") {
  TcpConfig config;
  config.initial_window = 1;
  TcpPair net(config);
  const TcpId id = net.dialled();
  net.segments.clear();
  Bytes all;
  for (int i = 0; i < 20; ++i) {
    const Bytes piece = pattern(100, static_cast<std::uint64_t>(i));
    all = all.joined(piece);
    net.a.stack.send(net.now, id, piece);
  }
  net.run_for(1_s);
  CHECK(same(net.b.received, all));
  CHECK(net.sent_ms(0, kData).size() < 20);
}

TEST_CASE(
    "tcp rfc 6298 with Linux's floor: RTO = SRTT + max(4 RTTVAR, 200 ms), doubling to 120 s, ETIMEDOUT after 924.6 s") {
  TcpPair net({}, 1_ms);
  const TcpId id = net.dialled();
  CHECK(net.a.stack.rto(id) == 202_ms);  // one round trip of 2 ms measured by the handshake
  net.wire = [](const TcpPair::Seen&, Duration&) { return true; };
  net.segments.clear();
  const Instant start = net.now;
  net.a.stack.send(net.now, id, pattern(100));
  net.run_for(1200_s);
  const Milliseconds sent = net.sent_ms(0, kData);
  std::vector<std::int64_t> gaps;
  for (std::size_t i = 1; i < sent.size(); ++i) gaps.push_back(sent[i] - sent[i - 1]);
  const std::vector<std::int64_t> want{202,   404,    808,    1616,   3232,   6464,   12928, 25856,
                                       51712, 103424, 120000, 120000, 120000, 120000, 120000};
  CHECK(gaps == want);
  CHECK(net.a.errors == std::vector{SocketError::kTimedOut});
  // given up at the first timer that is 924.6 s or more after the first resend
  const Duration took = net.a.events.back().at - start;
  CHECK(took == 926646_ms);
}

TEST_CASE("tcp rfc 6298 2.3: a longer round trip gives a longer timeout") {
  TcpPair net({}, 100_ms);
  const TcpId id = net.dialled();
  CHECK(net.a.stack.rto(id) == 600_ms);  // 200 + 4 * 100
  for (int i = 0; i < 30; ++i) {
    net.a.stack.send(net.now, id, pattern(10));
    net.run_for(1_s);
  }
  CHECK(net.a.stack.rto(id) >= 400_ms);
  CHECK(net.a.stack.rto(id) < 480_ms);  // the variance has died away, Linux's floor remains
}

TEST_CASE("tcp rfc 5681 3.2: the third duplicate acknowledgement resends without waiting for the timer") {
  TcpPair net({}, 1_ms);
  const TcpId id = net.dialled();
  bool dropped = false;
  std::uint32_t hole = 0;
  net.wire = [&](const TcpPair::Seen& seen, Duration&) {
    if (dropped || seen.segment.payload.empty()) return false;
    dropped = true;
    hole = seen.segment.seq;
    return true;
  };
  net.segments.clear();
  const Instant start = net.now;
  const Bytes data = pattern(10 * 1448);
  net.a.stack.send(net.now, id, data);
  net.run_for(100_ms);  // half the least RTO
  CHECK(same(net.b.received, data));
  Instant again{};
  for (const auto& seen : net.segments) {
    if (seen.segment.seq == hole && !seen.segment.payload.empty()) again = seen.at;
  }
  CHECK(again == start + 2_ms);
  CHECK(net.a.stack.retransmissions() == 1);
  CHECK(net.a.stack.congestion_window(id) <= 6 * 1448);  // halved
}

TEST_CASE("tcp rfc 6928 and 5681 3.1: ten segments at first, doubling per round trip") {
  TcpPair net({}, 50_ms);
  const TcpId id = net.dialled();
  net.segments.clear();
  const auto start = Duration{net.now.ns}.millis();
  net.a.stack.send(net.now, id, pattern(70 * 1448));
  net.run_for(10_s);
  std::map<std::int64_t, int> per_round;
  for (const std::int64_t ms : net.sent_ms(0, kData)) ++per_round[(ms - start) / 100];
  CHECK(per_round[0] == 10);
  CHECK(per_round[1] == 20);
  CHECK(per_round[2] == 40);
}

TEST_CASE("tcp: never more than the peer's window is in flight; a process that does not read closes it") {
  TcpConfig config;
  config.receive_buffer = 8'000;
  TcpPair net(config);
  const TcpId id = net.dialled();
  const TcpId peer = net.b.accepted.at(0);
  net.b.stack.set_reading(net.now, peer, false);
  const Bytes data = pattern(50'000);
  net.a.stack.send(net.now, id, data);
  net.run_for(20_s);
  CHECK(net.b.received.empty());
  CHECK(net.a.stack.unacknowledged(id) >= 50'000 - 8'004);
  CHECK(net.a.errors.empty());  // zero window probes keep it alive
  CHECK(net.count < 60);
  net.b.stack.set_reading(net.now, peer, true);
  net.run_for(200_s);
  CHECK(same(net.b.received, data));
}

TEST_CASE("tcp: a window that stays shut is probed with doubling waits, and a peer that answers is not given up") {
  TcpConfig config;
  config.receive_buffer = 4'000;
  TcpPair net(config);
  const TcpId id = net.dialled();
  net.b.stack.set_reading(net.now, net.b.accepted.at(0), false);
  net.a.stack.send(net.now, id, pattern(50'000));
  net.run_for(3600_s);
  CHECK(net.a.errors.empty());
  CHECK(net.a.stack.alive(id));
  net.wire = [](const TcpPair::Seen&, Duration&) { return true; };
  net.run_for(3600_s);
  CHECK(net.a.errors == std::vector{SocketError::kTimedOut});
}

TEST_CASE("tcp: a writer that fills the send buffer is told when there is room again") {
  TcpConfig config;
  config.send_buffer = 20'000;
  TcpPair net(config);
  const TcpId id = net.dialled();
  net.a.stack.send(net.now, id, pattern(10'000));
  net.run_for(100_ms);
  CHECK(net.a.writable == 0);
  net.a.stack.send(net.now, id, pattern(40'000));
  CHECK(net.a.stack.unacknowledged(id) >= config.send_buffer);
  net.run_for(100_ms);
  CHECK(net.a.writable == 1);
}

TEST_CASE("tcp rfc 1122 4.2.3.2: acknowledgements wait up to 40 ms or for the second segment, once the start is over") {
  TcpConfig config;
  config.quick_acks = 0;
  TcpPair net(config, 1_ms);
  const TcpId id = net.dialled();
  net.segments.clear();
  const auto start = Duration{net.now.ns}.millis();
  net.a.stack.send(net.now, id, pattern(100));
  net.run_for(100_ms);
  CHECK(net.sent_ms(1, kPureAck) == Milliseconds{start + 41});
  net.segments.clear();
  const auto second = Duration{net.now.ns}.millis();
  net.a.stack.send(net.now, id, pattern(2 * 1448));
  net.run_for(100_ms);
  CHECK(net.sent_ms(1, kPureAck) == Milliseconds{second + 1});
}

TEST_CASE("tcp: a request and its reply cost the ten packets that Linux shows for a push/pull") {
  // Measured on a Serf cluster: 0.33 TCP packets a node and second at one exchange in 30 s, 54 header bytes each on
  // average.
  TcpPair net({}, 50_us);
  const TcpId id = net.dialled();
  net.b.react_data = [&](TcpId peer, const Bytes&) { net.b.stack.send(net.now, peer, pattern(496)); };
  net.b.react_end = [&](TcpId peer) { net.b.stack.close(net.now, peer); };
  net.a.react_data = [&](TcpId own, const Bytes&) { net.a.stack.close(net.now, own); };
  net.a.stack.send(net.now, id, pattern(496));
  net.run_for(10_s);
  CHECK(net.segments.size() == 10);
  std::size_t bytes = 0;
  for (const auto& seen : net.segments) bytes += 20 + seen.segment.header_bytes() + seen.segment.payload.size();
  CHECK(bytes == 2 * 60 + 8 * 52 + 2 * 496);
}

TEST_CASE("tcp: a smaller path MTU, told by ICMP, shrinks the segments and resends what did not fit") {
  TcpPair net;
  const TcpId id = net.dialled();
  net.wire = [&](const TcpPair::Seen& seen, Duration&) {
    return seen.segment.payload.size() + 52 > 1000;  // and the router's ICMP error follows below
  };
  net.segments.clear();
  const Bytes data = pattern(5000);
  net.a.stack.send(net.now, id, data);
  const std::uint32_t seq = net.segments.front().segment.seq;
  net.a.stack.on_icmp(net.now, IcmpError::kFragmentationNeeded, net.a.stack.local(id), at("10.0.0.2", 8301), seq, 1000);
  net.run_for(100_ms);
  CHECK(same(net.b.received, data));
  CHECK(net.segments.back().segment.payload.size() <= 948);
}

TEST_CASE("tcp: segments of foreign shape never break a stack") {
  TcpPair net;
  net.keep_segments = false;
  const TcpId id = net.dialled();
  const Endpoint local = net.a.stack.local(id);
  Rng rng(3, "noise", "segments");
  std::size_t most = 0;
  for (int i = 0; i < 20'000; ++i) {
    TcpSegment s;
    s.from = rng.below(4) != 0 ? local : at("10.0.0.9", static_cast<std::uint16_t>(rng.next()));
    s.to = at("10.0.0.2", rng.below(8) != 0 ? 8301 : 1);
    s.seq = rng.below(3) != 0
                ? net.b.stack.alive(net.b.accepted[0]) ? static_cast<std::uint32_t>(rng.below(200'000)) : 0
                : static_cast<std::uint32_t>(rng.next());
    s.ack = static_cast<std::uint32_t>(rng.next());
    s.flags = static_cast<std::uint8_t>(rng.below(32));
    s.window = static_cast<std::uint16_t>(rng.next());
    s.window_scale = static_cast<std::uint8_t>(rng.next());
    s.mss = static_cast<std::uint16_t>(rng.below(3) != 0 ? rng.next() : 0);
    s.timestamps = rng.below(2) != 0;
    s.payload = pattern(rng.below(100));
    net.b.stack.on_segment(net.now, s);
    net.run_for(rng.below(1_ms));
    most = std::max(most, net.b.stack.connections());
  }
  CHECK(most <= net.config.somaxconn + 20'000);
  net.run_for(1000_s);
}

TEST_CASE("tcp: no allocation per segment in the steady state") {
  TcpPair net;
  net.keep_segments = false;
  net.in_flight.reserve(1000);
  const TcpId id = net.dialled();
  net.b.received.reserve(40'000'000);
  net.b.slices.reserve(1'000'000);
  net.b.react_data = [](TcpId, const Bytes&) {};
  Buffer scratch(100'000, 7);
  const auto burst = [&] {
    net.a.stack.send(net.now, id, Bytes(scratch));
    net.run_for(20_ms);
  };
  for (int i = 0; i < 20; ++i) burst();
  const auto allocations_before = dcsim::test::allocations();
  const auto segments_before = net.count;
  for (int i = 0; i < 100; ++i) burst();
  const auto after = dcsim::test::allocations();
  CHECK(net.count - segments_before > 8'000);
  CHECK(after == allocations_before);
}
