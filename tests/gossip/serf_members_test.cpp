#include "gossip/serf_harness.h"

namespace {

using namespace dcsim;
using namespace dcsim::test;

Buffer leave_intent(LamportTime ltime, std::string_view node, bool prune = false) {
  Buffer out;
  wire::serf::encode(wire::serf::Leave{ltime, node, prune}, out);
  return out;
}

Buffer join_intent(LamportTime ltime, std::string_view node) {
  Buffer out;
  wire::serf::encode(wire::serf::Join{ltime, node}, out);
  return out;
}

TEST_CASE("serf: members that join are alive everywhere and carry the join intent's stamp") {
  SerfWorld w;
  const auto pool = w.pool({"a", "b", "c"});
  w.run_for(3_s);
  for (const SerfNode* node : pool) {
    CHECK(node->serf->member_count() == 3);
    CHECK(node->serf->member_count(MemberStatus::kAlive) == 3);
    CHECK(node->ltime_of("b") == pool[1]->ltime_of("b"));
    CHECK(node->ltime_of("b") > 0);
    CHECK(node->ltime_of("a") == 0);  // never joined anybody
    CHECK(node->serf->stats().intent_queue == 0);
  }
  const auto members = pool[0]->serf->members();
  REQUIRE(members.size() == 3);
  CHECK(members[0].name == "a");
  CHECK(members[2].name == "c");
  CHECK(members[1].endpoint == pool[1]->endpoint);
  CHECK(members[1].versions == Versions{1, 5, 2, 2, 5, 4});
  REQUIRE(pool[0]->joins.empty());
  REQUIRE(pool[1]->joins.size() == 1);
  CHECK(pool[1]->joins[0].contacted == 1);
  CHECK(pool[1]->joins[0].error.empty());
}

TEST_CASE("serf: a crash is failed and a leave is left, though memberlist calls both a leave") {
  SerfWorld w;
  const auto pool = w.pool({"a", "b", "c", "d"});
  w.run_for(3_s);
  pool[1]->crash();
  pool[2]->leave();
  w.run_for(5_s);
  pool[2]->shutdown();
  w.run_for(30_s);
  CHECK(pool[0]->status_of("b") == "failed");
  CHECK(pool[0]->status_of("c") == "left");
  CHECK(pool[0]->count(MemberEventKind::kFailed, "b") == 1);
  CHECK(pool[0]->count(MemberEventKind::kLeave, "b") == 0);
  CHECK(pool[0]->count(MemberEventKind::kLeave, "c") == 1);
  CHECK(pool[0]->count(MemberEventKind::kFailed, "c") == 0);
  CHECK(pool[3]->status_of("b") == "failed");
  CHECK(pool[3]->status_of("c") == "left");
  CHECK(pool[0]->serf->stats().failed == 1);
  CHECK(pool[0]->serf->stats().left == 1);
}

TEST_CASE("serf: a member event carries the record that led to it") {
  SerfWorld w;
  const auto pool = w.pool({"a", "b", "c"});
  pool[1]->crash();
  REQUIRE(w.run_until([&] { return pool[0]->count(MemberEventKind::kFailed, "b") == 1; }, 60_s));
  CHECK(pool[0]->events.back().cause.record != 0);
}

TEST_CASE("serf: a leave intent about oneself is refuted by a join with the next clock") {
  SerfWorld w;
  const auto pool = w.pool({"a", "b", "c"});
  w.run_for(3_s);
  // b believes that a is about to leave; the message reaches a too.
  Delegate& b = pool[1]->serf->as_delegate();
  const LamportTime stamp = pool[0]->serf->stats().member_time + 5;
  b.notify_msg(w.now(), leave_intent(stamp, "a"));
  CHECK(pool[1]->status_of("a") == "leaving");
  pool[1]->serf->memberlist().wake_gossip(w.now());
  w.run_for(2_s);
  for (const SerfNode* node : pool) {
    CHECK(node->status_of("a") == "alive");
    CHECK(node->ltime_of("a") == stamp + 1);  // a's clock after witnessing the leave
  }
  CHECK(pool[0]->noticed(SerfNoticeKind::kLeaveIntentRefuted));
  CHECK(pool[0]->serf->stats().member_time == stamp + 2);
}

TEST_CASE("serf: an intent is passed on once, an old one never") {
  SerfWorld w;
  SerfNode& a = w.add("a");
  Delegate& delegate = a.serf->as_delegate();
  delegate.notify_msg(w.now(), join_intent(7, "ghost"));
  CHECK(a.serf->stats().intent_queue == 1);
  CHECK(a.serf->stats().member_time == 8);
  delegate.notify_msg(w.now(), join_intent(7, "ghost"));
  delegate.notify_msg(w.now(), leave_intent(6, "ghost"));
  CHECK(a.serf->stats().intent_queue == 1);
  REQUIRE(a.serf->intents().size() == 1);
  CHECK(a.serf->intents()[0].kind == IntentKind::kJoin);
  // RecentIntentTimeout is five minutes, looked at every fifteen seconds.
  w.run_for(299_s);
  CHECK(a.serf->intents().size() == 1);
  w.run_for(20_s);
  CHECK(a.serf->intents().empty());
}

TEST_CASE("serf: force-leave turns failed into left on every node") {
  SerfWorld w;
  const auto pool = w.pool({"a", "b", "c", "d"});
  w.run_for(3_s);
  pool[1]->crash();
  REQUIRE(
      w.run_until([&] { return pool[2]->status_of("b") == "failed" && pool[3]->status_of("b") == "failed"; }, 60_s));
  w.run_for(1_s);
  pool[0]->force_leave("b", false, 9);
  CHECK(pool[0]->status_of("b") == "left");
  CHECK(pool[0]->events.back().event.forced);
  w.run_for(3_s);
  CHECK(pool[2]->status_of("b") == "left");
  CHECK(pool[3]->count(MemberEventKind::kLeave, "b") == 1);
  REQUIRE(pool[0]->commands.size() == 1);
  CHECK(pool[0]->commands[0].token == 9);
  CHECK(pool[0]->commands[0].error.empty());
}

TEST_CASE("serf: force-leave with prune forgets a failed member at once") {
  SerfWorld w;
  const auto pool = w.pool({"a", "b", "c"});
  w.run_for(3_s);
  pool[1]->crash();
  REQUIRE(w.run_until([&] { return pool[2]->status_of("b") == "failed"; }, 60_s));
  w.run_for(1_s);
  pool[0]->force_leave("b", true);
  w.run_for(3_s);
  CHECK(pool[0]->status_of("b") == "unknown");
  CHECK(pool[2]->status_of("b") == "unknown");
  CHECK(pool[2]->count(MemberEventKind::kReap, "b") == 1);
  CHECK(pool[0]->serf->stats().left == 0);
}

TEST_CASE("serf: pruning a member that is still there waits BroadcastTimeout + LeavePropagateDelay") {
  SerfWorld w;
  const auto pool = w.pool({"a", "b", "c"});
  w.run_for(3_s);
  pool[0]->force_leave("b", true, 4);
  CHECK(pool[0]->status_of("b") == "leaving");
  w.run_for(5999_ms);
  CHECK(pool[0]->status_of("b") == "leaving");
  CHECK(pool[2]->status_of("b") == "alive");  // the intent waits as well
  w.run_for(2_ms);
  CHECK(pool[0]->status_of("b") == "unknown");
  w.run_for(2_s);
  CHECK(pool[0]->commands.size() == 1);
  CHECK(pool[2]->status_of("b") == "leaving");
  w.run_for(10_s);
  CHECK(pool[2]->status_of("b") == "unknown");
}

TEST_CASE("serf: a force-leave whose broadcast does not get out times out") {
  SerfWorld w;
  SerfConfig config = w.config("a");
  config.memberlist.gossip_interval = config.memberlist.probe_interval = {0};
  SerfNode& a = w.add(config);
  SerfNode& b = w.add("b");
  b.join(a);
  w.run_for(1_s);
  a.force_leave("ghost", false, 3);
  w.run_for(4_s);
  CHECK(a.commands.empty());
  w.run_for(1001_ms);
  REQUIRE(a.commands.size() == 1);
  CHECK(a.commands[0].error == "timed out broadcasting node removal");
}

TEST_CASE("serf: the clocks of two nodes that hold the same tombstone creep by one with every exchange") {
  SerfWorld w;
  const auto pool = w.pool({"a", "b", "c"});
  w.run_for(3_s);
  pool[2]->leave();
  w.run_for(5_s);
  pool[2]->shutdown();
  w.run_for(1_s);
  REQUIRE(pool[0]->status_of("c") == "left");
  REQUIRE(pool[1]->status_of("c") == "left");
  const auto exchange = [&] {  // both merge what the other held before
    Buffer from_a, from_b;
    Delegate& a = pool[0]->serf->as_delegate();
    Delegate& b = pool[1]->serf->as_delegate();
    a.local_state(false, from_a);
    b.local_state(false, from_b);
    a.merge_remote_state(w.now(), from_b, false);
    b.merge_remote_state(w.now(), from_a, false);
  };
  exchange();  // evens out the two
  const LamportTime ltime = pool[0]->ltime_of("c");
  REQUIRE(pool[1]->ltime_of("c") == ltime);
  const LamportTime clock = pool[0]->serf->stats().member_time;
  for (int i = 0; i < 10; ++i) exchange();
  CHECK(pool[0]->ltime_of("c") == ltime + 10);
  CHECK(pool[1]->ltime_of("c") == ltime + 10);
  CHECK(pool[0]->serf->stats().member_time >= clock + 9);
  CHECK(pool[0]->status_of("c") == "left");
}

TEST_CASE("serf: a restarted member that was held failed is a flap only within FlapTimeout") {
  for (const bool soon : {true, false}) {
    CAPTURE(soon);
    SerfWorld w;
    SerfConfig config = w.config("a");
    config.reconnect_interval = 3600_s;
    SerfNode& a = w.add(config);
    SerfNode& b = w.add("b");
    SerfNode& c = w.add("c");
    b.join(a);
    w.run_for(1_s);
    c.join(a);
    w.run_for(3_s);
    w.cut(a, b), w.cut(b, c);
    REQUIRE(w.run_until([&] { return a.status_of("b") == "failed"; }, 120_s));
    w.run_for(soon ? 20_s : 120_s);
    w.heal();
    REQUIRE(a.status_of("b") == "failed");
    b.join(a);
    REQUIRE(w.run_until([&] { return a.status_of("b") == "alive"; }, 60_s));
    const auto& last = a.events.back();
    CHECK(last.event.kind == MemberEventKind::kJoin);
    CHECK(last.name == "b");
    CHECK(last.event.before == MemberStatus::kFailed);
    CHECK(last.event.flap == soon);
  }
}

TEST_CASE("serf: a partition heals by reconnect without anybody's command") {
  SerfWorld w;
  const auto pool = w.pool({"a", "b"});
  w.run_for(3_s);
  w.cut(*pool[0], *pool[1]);
  REQUIRE(
      w.run_until([&] { return pool[0]->status_of("b") == "failed" && pool[1]->status_of("a") == "failed"; }, 60_s));
  w.run_for(300_s);  // memberlist has forgotten the dead by now; Serf has not
  CHECK(pool[0]->serf->memberlist().table().size() == 1);
  CHECK(pool[0]->status_of("b") == "failed");
  w.heal();
  // One failed, one alive: every attempt is made, 30 s after the last one ended (10 s for one that times out).
  REQUIRE(w.run_until([&] { return pool[0]->status_of("b") == "alive" && pool[1]->status_of("a") == "alive"; }, 45_s));
  CHECK(pool[0]->noticed(SerfNoticeKind::kReconnectAttempt));
  CHECK(pool[0]->serf->stats().failed == 0);
  CHECK(pool[0]->joins.empty());  // nobody asked
}

TEST_CASE("serf: reconnect draws whether to try: one failed among many is mostly left alone") {
  std::size_t attempts = 0, skips = 0;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SerfWorld w(seed);
    const auto pool = w.pool({"a", "b", "c", "d", "e"});
    w.run_for(3_s);
    pool[4]->crash();
    w.run_for(150_s);
    for (int i = 0; i < 4; ++i) {
      attempts += pool[static_cast<std::size_t>(i)]->noticed(SerfNoticeKind::kReconnectAttempt);
      skips += pool[static_cast<std::size_t>(i)]->noticed(SerfNoticeKind::kReconnectThrottled);
    }
  }
  CHECK(attempts > 0);  // each of four nodes tries with probability 1/4, four or five times
  CHECK(attempts < 20);
  CHECK(skips > 0);
}

TEST_CASE("serf: a failed member is reaped after ReconnectTimeout, or after its own override") {
  struct Override final : ReconnectTimeoutOverride {
    Duration reconnect_timeout(const Member& member, Duration configured) override {
      return member.name == "c" ? Duration{100'000'000'000} : configured;
    }
  } override_c;
  SerfWorld w;
  SerfConfig config = w.config("a");
  config.reconnect_timeout = 300_s;
  config.reconnect_timeout_override = &override_c;
  SerfNode& a = w.add(config);
  SerfNode& b = w.add("b");
  SerfNode& c = w.add("c");
  b.join(a);
  w.run_for(1_s);
  c.join(a);
  w.run_for(3_s);
  b.crash(), c.crash();
  REQUIRE(w.run_until([&] { return a.serf->stats().failed == 2; }, 120_s));
  w.run_for(90_s);
  CHECK(a.status_of("c") == "failed");
  w.run_for(30_s);
  CHECK(a.status_of("c") == "unknown");
  CHECK(a.count(MemberEventKind::kReap, "c") == 1);
  CHECK(a.status_of("b") == "failed");
  w.run_for(160_s);
  CHECK(a.status_of("b") == "failed");
  w.run_for(40_s);
  CHECK(a.status_of("b") == "unknown");
  CHECK(a.serf->member_count() == 1);
}

TEST_CASE("serf: new tags reach everybody as an update") {
  SerfWorld w;
  const auto pool = w.pool({"a", "b", "c"});
  w.run_for(3_s);
  CHECK_FALSE(pool[0]->serf->set_tags(w.now(), 5, {{"role", "web"}, {"dc", "east"}}));
  w.run_for(2_s);
  CHECK(pool[1]->serf->find("a")->tag("role") == "web");
  CHECK(pool[2]->serf->find("a")->tag("dc") == "east");
  CHECK(pool[2]->serf->find("a")->tag("missing").empty());
  CHECK(pool[1]->count(MemberEventKind::kUpdate, "a") == 1);
  REQUIRE(pool[0]->commands.size() == 1);
  CHECK(pool[0]->commands[0].error.empty());
  const auto refused = pool[0]->serf->set_tags(w.now(), 6, {{"k", std::string(600, 'x')}});
  REQUIRE(refused);
  CHECK(refused->text == "Encoded length of tags exceeds limit of 512 bytes");
  CHECK(pool[0]->serf->config().tags.contains("role"));
  // Views of one meta share one decoded map.
  CHECK(pool[1]->serf->find("a")->tags == pool[2]->serf->find("a")->tags);
}

}  // namespace
