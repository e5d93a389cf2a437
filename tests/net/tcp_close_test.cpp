#include <doctest/doctest.h>

#include "tcp_pair.h"

using namespace dcsim;
using namespace dcsim::net;
using namespace dcsim::net::test;

namespace {

const auto kRst = [](const TcpSegment& s) { return s.has(kTcpRst); };
const auto kFin = [](const TcpSegment& s) { return s.has(kTcpFin); };

}  // namespace

TEST_CASE("tcp rfc 9293 3.6: FIN both ways; who closes first waits 60 s in TIME-WAIT, the other is gone at once") {
  TcpPair net;
  const TcpId id = net.dialled();
  const TcpId peer = net.b.accepted.at(0);
  net.a.stack.close(net.now, id);
  CHECK(net.a.stack.state(id) == TcpState::kFinWait1);
  net.run_for(50_ms);
  CHECK(net.b.stack.state(peer) == TcpState::kCloseWait);
  CHECK(net.b.ends == 1);
  CHECK(net.a.stack.state(id) == TcpState::kFinWait2);
  net.b.stack.close(net.now, peer);
  net.run_for(50_ms);
  CHECK_FALSE(net.a.stack.alive(id));
  CHECK_FALSE(net.b.stack.alive(peer));
  CHECK(net.a.stack.time_waits(net.now) == 1);
  CHECK(net.b.stack.time_waits(net.now) == 0);
  CHECK(net.sent_ms(0, kFin).size() == 1);
  CHECK(net.sent_ms(1, kFin).size() == 1);
  CHECK(net.a.ends == 0);  // it had closed: nobody to tell
  net.run_for(60_s);
  CHECK(net.a.stack.time_waits(net.now) == 0);
}

TEST_CASE("tcp rfc 9293 3.6 half-close: after shutdown_write the other direction still flows") {
  TcpPair net;
  const TcpId id = net.dialled();
  const TcpId peer = net.b.accepted.at(0);
  net.a.stack.send(net.now, id, pattern(500));
  net.a.stack.shutdown_write(net.now, id);
  CHECK(net.a.stack.send(net.now, id, pattern(1)) == SocketError::kBrokenPipe);
  net.run_for(100_ms);
  CHECK(net.b.ends == 1);
  CHECK(same(net.b.received, pattern(500)));
  net.b.stack.send(net.now, peer, pattern(20'000));
  net.run_for(100_ms);
  CHECK(same(net.a.received, pattern(20'000)));
  CHECK(net.a.ends == 0);
  net.b.stack.close(net.now, peer);
  net.run_for(100_ms);
  CHECK(net.a.ends == 1);
  CHECK_FALSE(net.a.stack.alive(id));
}

TEST_CASE("tcp rfc 9293 figure 13: both close at once; both wait") {
  TcpPair net;
  const TcpId id = net.dialled();
  net.a.stack.close(net.now, id);
  net.b.stack.close(net.now, net.b.accepted.at(0));
  net.run_for(100_ms);
  CHECK(net.a.stack.connections() + net.b.stack.connections() == 0);
  CHECK(net.a.stack.time_waits(net.now) == 1);
  CHECK(net.b.stack.time_waits(net.now) == 1);
}

TEST_CASE("tcp: data that was queued before close still arrives before the FIN, over a lossy wire") {
  TcpPair net;
  Rng rng(9, "wire", "loss");
  net.wire = [&](const TcpPair::Seen&, Duration&) { return rng.chance(100'000'000); };
  const TcpId id = net.dial();
  net.a.stack.send(net.now, id, pattern(100'000));
  net.a.stack.close(net.now, id);  // still in SYN-SENT: like close(2), that cancels
  CHECK(net.a.stack.connections() == 0);
  net.b.stack.unlisten(net.now, {{}, 8301});
  const TcpId again = net.dial();
  net.a.stack.send(net.now, again, pattern(100'000));
  net.run_for(10_s);
  net.a.stack.send(net.now, again, pattern(100'000, 2));
  net.a.stack.close(net.now, again);
  net.run_for(120_s);
  CHECK(net.b.received.size() == 200'000);
  CHECK(net.b.ends == 1);
}

TEST_CASE("tcp: data for a process that has closed is answered with RST, and the sender learns ECONNRESET or EPIPE") {
  TcpPair net;
  const TcpId id = net.dialled();
  const TcpId peer = net.b.accepted.at(0);
  net.a.stack.close(net.now, id);
  net.run_for(50_ms);
  net.b.stack.send(net.now, peer, pattern(10));
  net.run_for(50_ms);
  CHECK(net.sent_ms(0, kRst).size() == 1);
  CHECK(net.b.errors == std::vector{SocketError::kBrokenPipe});  // it had seen the FIN: Linux tcp_reset in CLOSE-WAIT
  CHECK(net.a.stack.connections() + net.b.stack.connections() == 0);
}

TEST_CASE("tcp: abort resets; the peer sees ECONNRESET, the aborting process nothing") {
  TcpPair net;
  const TcpId id = net.dialled();
  net.a.stack.abort(net.now, id);
  net.run_for(50_ms);
  CHECK(net.b.errors == std::vector{SocketError::kReset});
  CHECK(net.a.errors.empty());
  CHECK(net.a.stack.connections() + net.b.stack.connections() == 0);
  CHECK(net.a.stack.send(net.now, id, pattern(1)) == SocketError::kNotConnected);
}

TEST_CASE("tcp rfc 2525 2.17: a close with unread data is a reset") {
  TcpPair net;
  const TcpId id = net.dialled();
  net.b.stack.set_reading(net.now, net.b.accepted.at(0), false);
  net.a.stack.send(net.now, id, pattern(10));
  net.run_for(50_ms);
  net.b.stack.close(net.now, net.b.accepted[0]);
  net.run_for(50_ms);
  CHECK(net.a.errors == std::vector{SocketError::kReset});
}

TEST_CASE("tcp: what a paused process has not read is kept until it reads, the FIN behind it too") {
  TcpPair net;
  const TcpId id = net.dialled();
  const TcpId peer = net.b.accepted.at(0);
  net.b.stack.set_reading(net.now, peer, false);
  net.a.stack.send(net.now, id, pattern(3000));
  net.a.stack.close(net.now, id);
  net.run_for(1_s);
  CHECK(net.b.received.empty());
  CHECK(net.b.ends == 0);
  net.b.stack.set_reading(net.now, peer, true);
  CHECK(same(net.b.received, pattern(3000)));
  CHECK(net.b.ends == 1);
}

TEST_CASE("tcp rfc 9293 3.5.1: after a crash the peer is half open until it sends; the rebooted host answers RST") {
  TcpPair net;
  const TcpId id = net.dialled();
  net.b.stack.reset();
  CHECK(net.b.stack.connections() == 0);
  net.run_for(600_s);
  CHECK(net.a.stack.state(id) == TcpState::kEstablished);  // nobody told it
  CHECK(net.a.errors.empty());
  net.a.stack.send(net.now, id, pattern(10));
  net.run_for(10_ms);
  CHECK(net.sent_ms(1, kRst).size() == 1);
  CHECK(net.a.errors == std::vector{SocketError::kReset});
}

TEST_CASE(
    "tcp rfc 9293 3.5.1 figure 9: a rebooted dialler that reuses its port clears the old connection and gets through") {
  TcpPair net;
  net.b.stack.listen({{}, 8301});
  const Endpoint local = at("10.0.0.1", 40000);
  net.a.stack.connect(net.now, local, at("10.0.0.2", 8301));
  net.run_for(10_ms);
  net.a.stack.reset();
  net.run_for(10_s);
  net.a.stack.connect(net.now, local, at("10.0.0.2", 8301));
  net.run_for(5_s);
  CHECK(net.b.errors == std::vector{SocketError::kReset});  // by the RST that answered the challenge acknowledgement
  CHECK(net.b.accepted.size() == 2);
  CHECK(net.a.connected == 2);
}

TEST_CASE("tcp rfc 5961: a RST beside the expected number only draws a challenge acknowledgement") {
  TcpPair net;
  const TcpId id = net.dialled();
  TcpSegment rst;
  rst.from = at("10.0.0.2", 8301);
  rst.to = net.a.stack.local(id);
  rst.flags = kTcpRst;
  rst.seq = net.segments[1].segment.seq + 100;
  const auto sent = net.count;
  net.a.stack.on_segment(net.now, rst);
  CHECK(net.a.stack.alive(id));
  CHECK(net.count == sent + 1);
  rst.seq = net.segments[1].segment.seq + 1;
  net.a.stack.on_segment(net.now, rst);
  CHECK(net.a.errors == std::vector{SocketError::kReset});
}

TEST_CASE("tcp: TIME-WAIT acknowledges a repeated FIN, and a new SYN of the peer begins anew") {
  TcpPair net;
  net.b.stack.listen({{}, 8301});
  const Endpoint local = at("10.0.0.1", 40000);
  const Endpoint remote = at("10.0.0.2", 8301);
  net.a.stack.connect(net.now, local, remote);
  net.run_for(10_ms);
  net.a.react_end = [&](TcpId own) { net.a.stack.close(net.now, own); };
  net.b.stack.close(net.now, net.b.accepted.at(0));
  net.run_for(50_ms);
  REQUIRE(net.b.stack.time_waits(net.now) == 1);
  const auto fin = std::find_if(net.segments.rbegin(), net.segments.rend(),
                                [](const TcpPair::Seen& s) { return s.from == 0 && kFin(s.segment); });
  const auto sent = net.count;
  net.b.stack.on_segment(net.now, fin->segment);
  CHECK(net.count == sent + 1);
  CHECK(net.segments.back().segment.flags == kTcpAck);
  net.run_for(1_s);
  net.a.stack.connect(net.now, local, remote);
  net.run_for(10_ms);
  CHECK(net.b.accepted.size() == 2);
  CHECK(net.b.stack.time_waits(net.now) == 0);
}

TEST_CASE(
    "tcp linux: a closed connection that gets no answer is given up early: FIN-WAIT-2 after 60 s, a lost FIN after "
    "102.2 s") {
  TcpPair net;
  const TcpId id = net.dialled();
  net.a.stack.close(net.now, id);
  net.run_for(59_s);
  CHECK(net.a.stack.state(id) == TcpState::kFinWait2);  // the peer never closes
  net.run_for(2_s);
  CHECK_FALSE(net.a.stack.alive(id));

  TcpPair lost;
  const TcpId other = lost.dialled();
  lost.wire = [](const TcpPair::Seen&, Duration&) { return true; };
  lost.a.stack.close(lost.now, other);
  lost.run_for(102_s);
  CHECK(lost.a.stack.alive(other));
  lost.run_for(2_s);
  CHECK_FALSE(lost.a.stack.alive(other));
  CHECK(lost.a.errors.empty());
}

TEST_CASE("tcp keepalive: Go's 15 s, 15 s, 9 find a silent peer after 150 s, and leave a living one alone") {
  TcpPair net;
  const TcpId id = net.dialled();
  net.a.stack.set_keepalive(net.now, id, 15_s, 15_s, 9);
  net.run_for(600_s);
  CHECK(net.a.errors.empty());
  const Instant silent = net.now;
  net.wire = [](const TcpPair::Seen&, Duration&) { return true; };
  net.run_for(600_s);
  REQUIRE(net.a.errors == std::vector{SocketError::kTimedOut});
  const Duration took = net.a.events.back().at - silent;
  CHECK(took > 135_s);
  CHECK(took <= 150_s);
}

TEST_CASE("tcp: callbacks may close, abort or send; stale ids are harmless") {
  TcpPair net;
  const TcpId id = net.dialled();
  net.b.react_data = [&](TcpId peer, const Bytes&) {
    net.b.stack.send(net.now, peer, pattern(10));
    net.b.stack.close(net.now, peer);
    net.b.stack.abort(net.now, peer);
    net.b.stack.close(net.now, peer);
  };
  net.a.stack.send(net.now, id, pattern(5000));
  net.run_for(1_s);
  CHECK(net.b.stack.connections() == 0);
  CHECK(net.a.stack.connections() == 0);
  net.a.stack.close(net.now, id);
  net.a.stack.abort(net.now, id);
  net.a.stack.set_reading(net.now, id, false);
  net.a.stack.on_timer(net.now, id);
  CHECK(net.a.stack.state(id) == TcpState::kClosed);
}
