#include "gossip/coordinate_cache.h"
#include "gossip/serf_harness.h"
#include "wire/serf_messages.h"

namespace {

using namespace dcsim;
using namespace dcsim::test;

TEST_CASE("measures: every Serf message is counted with its bytes where it is sent and where it comes") {
  SerfWorld w;
  SerfNode& a = w.add("a");
  SerfNode& b = w.add("b");
  a.join(b);
  w.run_for(10_s);
  // delegate.go GetBroadcasts, NotifyMsg: the join intent {LTime, Node} of "a", 15 bytes and its name, RetransmitMult * 1 times each.
  REQUIRE(a.messages_sent.size() >= 4);
  CHECK(a.messages_sent[0] == 16);
  CHECK(b.messages_received.size() == a.messages_sent.size());
  CHECK(b.messages_received[0] == 16);
  const std::size_t quiet = a.messages_sent.size();
  w.run_for(20_s);
  CHECK(a.messages_sent.size() == quiet);
  REQUIRE_FALSE(a.serf->user_event(w.now(), "deploy", view_of("42"), false));
  w.run_for(5_s);
  CHECK(a.messages_sent.size() == quiet + 4);
  CHECK(a.messages_sent.back() > 30);
}

TEST_CASE("measures: a probe that measures moves the coordinate, and the peer's is kept for rtt") {
  SerfWorld w;
  SerfNode& a = w.add("a");
  SerfNode& b = w.add("b");
  CHECK(a.serf->cached_coordinate("a") == nullptr);
  a.join(b);
  w.run_for(30_s);
  CHECK(a.moves.size() > 10);
  const Coordinate* theirs = a.serf->cached_coordinate("b");
  REQUIRE(theirs);
  REQUIRE(a.serf->cached_coordinate("a"));
  CHECK(*a.serf->cached_coordinate("a") == a.serf->coordinates()->coordinate());
  CHECK(a.serf->cached_coordinate("nobody") == nullptr);
  CHECK(distance(*a.serf->cached_coordinate("a"), *theirs) == a.serf->coordinates()->distance_to(*theirs));
}

TEST_CASE("measures: coordinates are kept by every 64th peer, and what is forgotten is gone") {
  CoordinateCache cache;
  CHECK(cache.find(3) == nullptr);
  Coordinate c;
  for (std::uint32_t peer = 0; peer < 64; ++peer) {
    c.height = peer;
    cache.put(peer, c);
  }
  for (std::uint32_t peer = 0; peer < 64; ++peer) {
    REQUIRE(cache.find(peer));
    CHECK(cache.find(peer)->height == peer);
  }
  c.height = 99;
  cache.put(67, c);
  CHECK(cache.find(3) == nullptr);
  CHECK(cache.find(67)->height == 99);
  cache.forget(3);  // whose slot it is no more
  CHECK(cache.find(67));
  cache.forget(67);
  CHECK(cache.find(67) == nullptr);
  CHECK(cache.heap_bytes() < 8192);
}

TEST_CASE("measures: queue depths are looked at every 30 seconds from the start") {
  SerfWorld w;
  const Instant start = w.now();
  SerfNode& a = w.add("a");
  w.run_for(95_s);
  REQUIRE(a.depths_checked.size() == 3);
  CHECK(a.depths_checked[0].first == start + 30_s);
  CHECK(a.depths_checked[2].first == start + 90_s);
  CHECK(a.depths_checked[0].second.broadcasts == 1);  // a lone node keeps its first alive message
  CHECK(a.depths_checked[0].second.intent == 0);
}

TEST_CASE("measures: an ack whose payload is no coordinate is logged, one with a wild one is rejected") {
  SerfWorld w;
  SerfNode& a = w.add("a");
  SerfNode& b = w.add("b");
  a.join(b);
  w.run_for(5_s);
  const MemberId id = a.serf->directory().find("b");
  const auto view = a.serf->memberlist().table().view(id);
  a.serf->as_delegate().notify_ping_complete(w.now(), view, 1_ms, view_of("\x02rest"));
  CHECK(a.noticed(SerfNoticeKind::kPingUnreadable));
  CHECK_FALSE(a.noticed(SerfNoticeKind::kCoordinateRejected));
  CHECK(log_text(SerfNotice{.kind = SerfNoticeKind::kPingUnreadable, .value = 2}, a.serf->directory()) == "[ERR] serf: Unsupported ping version: 2");
  const std::size_t moves = a.moves.size();
  Buffer payload;
  wire::serf::encode_coordinate(Coordinate{}, payload);
  a.serf->as_delegate().notify_ping_complete(w.now(), view, 11_s, payload);
  CHECK(a.noticed(SerfNoticeKind::kCoordinateRejected));
  CHECK(a.moves.size() == moves);
}

TEST_CASE("leave: Serf 0.9 gives up where the intent does not get out, later versions go on") {
  for (const bool gives_up : {false, true}) {
    SerfWorld w;
    SerfConfig config = w.config("a");
    config.leave_gives_up = gives_up;
    config.memberlist.retransmit_mult = 100;
    SerfNode& a = w.add(config);
    SerfNode& b = w.add("b");
    a.join(b);
    w.run_for(2_s);
    a.leave();
    w.run_for(20_s);
    CHECK(a.leaves.size() == (gives_up ? 0 : 1));
    CHECK(a.leave_errors == (gives_up ? std::vector<std::string>{"timeout while waiting for graceful leave"} : std::vector<std::string>{}));
    CHECK(a.serf->state() == (gives_up ? SerfState::kLeaving : SerfState::kLeft));
  }
}

TEST_CASE("log: the level of a Serf line is known without building it") {
  const Directory directory;
  for (int k = 0; k <= static_cast<int>(SerfNoticeKind::kShutdownUnleft); ++k) {
    const auto kind = static_cast<SerfNoticeKind>(k);
    const std::string text = log_text(SerfNotice{.kind = kind, .text = "x"}, directory);
    CAPTURE(text);
    const LogSeverity severity = log_severity(kind);
    CHECK(text.starts_with(severity == LogSeverity::kTrace ? "[TRACE]" : severity == LogSeverity::kDebug ? "[DEBUG]" : severity == LogSeverity::kInfo ? "[INFO]"
                           : severity == LogSeverity::kWarn ? "[WARN]" : "[ERR]"));
  }
}

}  // namespace
