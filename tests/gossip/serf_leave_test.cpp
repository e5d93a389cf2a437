#include "gossip/serf_harness.h"

namespace {

using namespace dcsim;
using namespace dcsim::test;

TEST_CASE("serf: a lone node leaves after LeavePropagateDelay alone") {
  SerfWorld w;
  SerfNode& a = w.add("a");
  w.run_for(1_s);
  const Instant asked = w.now();
  a.leave();
  CHECK(a.serf->state() == SerfState::kLeaving);
  CHECK(a.serf->leave(w.now())->text == "Leave already in progress");
  w.run_for(5_s);
  REQUIRE(a.leaves.size() == 1);
  CHECK(a.leaves[0] - asked == 1_s);
  CHECK(a.serf->state() == SerfState::kLeft);
  CHECK(a.status_of("a") == "left");
}

TEST_CASE("serf: a graceful leave takes two broadcasts and the propagation delay") {
  // LAN, three nodes: limit 4, two targets a tick, so each broadcast is out after two gossip ticks of 200 ms, the first
  // of which comes within one.
  SerfWorld w;
  const auto pool = w.pool({"a", "b", "c"});
  w.run_for(5_s);
  const Instant asked = w.now();
  pool[2]->leave();
  REQUIRE(w.run_until([&] { return !pool[2]->leaves.empty(); }, 20_s));
  const Duration took = pool[2]->leaves[0] - asked;
  CHECK(took >= 1_s + 2 * 200_ms);
  CHECK(took <= 1_s + 2 * 400_ms);
  // It still serves in between: nobody took it for failed.
  CHECK(pool[0]->status_of("c") == "left");
  CHECK(pool[1]->status_of("c") == "left");
  CHECK(pool[0]->count(MemberEventKind::kFailed, "c") == 0);
  CHECK(pool[2]->status_of("a") == "alive");
}

TEST_CASE("serf: Consul's longer LeavePropagateDelay counts in full") {
  SerfWorld w;
  SerfConfig config = w.config("a");
  config.leave_propagate_delay = 3_s;
  SerfNode& a = w.add(config);
  SerfNode& b = w.add("b");
  b.join(a);
  w.run_for(3_s);
  const Instant asked = w.now();
  a.leave();
  REQUIRE(w.run_until([&] { return !a.leaves.empty(); }, 20_s));
  CHECK(a.leaves[0] - asked > 3_s);
  CHECK(a.leaves[0] - asked < 5_s);
}

TEST_CASE("serf: a leave whose broadcasts never get out ends after twice BroadcastTimeout and the delay") {
  SerfWorld w;
  SerfConfig config = w.config("a");
  config.memberlist.gossip_interval = config.memberlist.probe_interval = {0};
  SerfNode& a = w.add(config);
  SerfNode& b = w.add("b");
  b.join(a);
  w.run_for(1_s);
  const Instant asked = w.now();
  a.leave();
  REQUIRE(w.run_until([&] { return !a.leaves.empty(); }, 60_s));
  CHECK(a.leaves[0] - asked == 2 * 5_s + 1_s);
  CHECK(a.noticed(SerfNoticeKind::kLeaveTimedOut));
  CHECK(a.noticed(SerfNoticeKind::kMemberlistLeaveTimedOut));
}

TEST_CASE("serf: after leave and shutdown the commands answer with Serf's words") {
  SerfWorld w;
  SerfNode& a = w.add("a");
  SerfNode& b = w.add("b");
  a.leave();
  a.join(b);
  REQUIRE(a.joins.size() == 1);
  CHECK(a.joins[0].error == "Serf can't Join after Leave or Shutdown");
  w.run_for(3_s);
  CHECK_FALSE(a.serf->leave(w.now()));  // has left already: reported once more
  CHECK(a.leaves.size() == 2);
  a.serf->shutdown(w.now());
  CHECK(a.serf->state() == SerfState::kShutdown);
  CHECK(a.serf->next_deadline() == Instant::never());
  CHECK(a.serf->leave(w.now())->text == "Leave called after Shutdown");
  CHECK_FALSE(a.noticed(SerfNoticeKind::kShutdownUnleft));
  b.serf->shutdown(w.now());
  CHECK(b.noticed(SerfNoticeKind::kShutdownUnleft));
}

TEST_CASE("serf: a node that left comes back under its name") {
  SerfWorld w;
  const auto pool = w.pool({"a", "b", "c"});
  w.run_for(3_s);
  pool[2]->leave();
  w.run_for(5_s);
  pool[2]->shutdown();
  w.run_for(5_s);
  REQUIRE(pool[0]->status_of("c") == "left");
  SerfConfig config = w.config("c");
  config.memberlist.advertise = pool[2]->endpoint;
  SerfNode& again = w.add(config);
  again.join(*pool[0]);
  w.run_for(5_s);
  CHECK(pool[0]->status_of("c") == "alive");
  CHECK(pool[1]->status_of("c") == "alive");
  CHECK(pool[0]->serf->stats().left == 0);
  CHECK_FALSE(pool[0]->events.back().event.flap);  // only failed members flap
}

}  // namespace
