#include "lab_fixture.h"

using namespace dcsim;
using namespace dcsim::lab;

namespace {
const std::string kCrash = "  - { name: crash, at: 20s, crash: c-1.dc1 }\n";
}

TEST_CASE("expect: always holds at every event of its window, and not one longer") {
  CHECK(judged("always: max(sim.members.alive) <= 4").verdict == Verdict::kHolds);
  CHECK(judged("always: min(sim.members.alive) == 4, after: boot + 10s", kCrash).verdict == Verdict::kFails);
  CHECK(judged("always: min(sim.members.alive) == 4, after: boot + 10s, until: crash", kCrash).verdict == Verdict::kHolds);
}

TEST_CASE("expect: never fails at the event that breaks it and says when, what and who") {
  const Outcome o = judged("never: count(consul.serf.member.failed) > 2", kCrash);
  CHECK(o.verdict == Verdict::kFails);
  CHECK(o.decided_at > Instant{} + 20_s);
  CHECK(o.decided_at < Instant{} + 40_s);
  CHECK(o.event > 0);
  CHECK(o.detail.find('3') != std::string::npos);
  REQUIRE(!o.where.empty());
  CHECK(o.where[0].find("c-1.dc1") != std::string::npos);
  CHECK(judged("never: count(consul.serf.member.failed) > 3", kCrash).verdict == Verdict::kHolds);
}

TEST_CASE("expect: a window that opens later does not count what was before") {
  CHECK(judged("never: count(consul.serf.member.failed) > 0, after: crash + 30s", kCrash).verdict == Verdict::kHolds);
  CHECK(judged("finally: count(consul.serf.member.failed) == 3, after: crash", kCrash).verdict == Verdict::kHolds);
  CHECK(judged("finally: count(consul.serf.member.join) == 0, after: crash", kCrash).verdict == Verdict::kHolds);
}

TEST_CASE("expect: eventually becomes true within its time") {
  const Outcome holds = judged("eventually: min(sim.members.alive) == 4, within: 30s");
  CHECK(holds.verdict == Verdict::kHolds);
  CHECK(holds.decided_at < Instant{} + 30_s);
  const Outcome fails = judged("eventually: min(sim.members.alive) == 5, within: 30s");
  CHECK(fails.verdict == Verdict::kFails);
  CHECK(fails.decided_at == Instant{} + 30_s);
  CHECK(fails.detail.find("not true within 30s") != std::string::npos);
  // Failures of a crash take seconds to be detected: a bound of a second is too tight.
  CHECK(judged("eventually: count(consul.serf.member.failed) >= 3, after: crash, within: 1s", kCrash).verdict == Verdict::kFails);
  CHECK(judged("eventually: count(consul.serf.member.failed) >= 3, after: crash, within: 35s", kCrash).verdict == Verdict::kHolds);
}

TEST_CASE("expect: eventually without a bound has until its window closes") {
  CHECK(judged("eventually: count(consul.serf.member.failed) >= 3", kCrash).verdict == Verdict::kHolds);
  const Outcome o = judged("eventually: count(consul.serf.member.failed) >= 3, until: crash", kCrash);
  CHECK(o.verdict == Verdict::kFails);
  CHECK(o.decided_at == Instant{} + 20_s);
}

TEST_CASE("expect: eventually for a time starts again when it is interrupted") {
  // All four are known from the start; the crash at 20 s ends that.
  const Outcome short_enough = judged("eventually: min(sim.members.alive) == 4, for: 10s", kCrash);
  CHECK(short_enough.verdict == Verdict::kHolds);
  CHECK(short_enough.decided_at >= Instant{} + 10_s);
  const Outcome too_long = judged("eventually: min(sim.members.alive) == 4, within: 10s, for: 50s", kCrash);
  CHECK(too_long.verdict == Verdict::kFails);
  CHECK(too_long.detail.find("did not stay true for 50s") != std::string::npos);
  // Back after a restart: it then stays.
  const Outcome again = judged("eventually: min(sim.members.alive) == 4, for: 40s", kCrash + "  - { at: 50s, start: c-1.dc1 }\n", "2m");
  CHECK(again.verdict == Verdict::kHolds);
  CHECK(again.decided_at > Instant{} + 90_s);
}

TEST_CASE("expect: true at last, but for too short a time before the end, says so") {
  const Outcome o = judged("eventually: min(sim.members.alive) == 4, for: 10m");
  CHECK(o.verdict == Verdict::kFails);
  CHECK(o.detail.find("did not stay true for 10m") != std::string::npos);
}

TEST_CASE("expect: a rate is judged as time passes, without an event that changes it") {
  const Outcome o = judged("eventually: 'rate(consul.serf.member.failed[10s]) == 0', after: crash + 25s, within: 30s", kCrash);
  CHECK(o.verdict == Verdict::kHolds);
}

TEST_CASE("expect: a window that never opens is a failure, not a success") {
  const Outcome o = judged("never: count(consul.serf.member.failed) > 0, after: maybe", "  - { name: maybe, when: 'count(consul.serf.member.failed) > 100', run: consul members, agent: s.dc1 }\n");
  CHECK(o.verdict == Verdict::kFails);
  CHECK(o.detail.find("never opened") != std::string::npos);
}

TEST_CASE("expect: abort stops the run, severity warn does not fail it") {
  const std::string steps = "  - { name: boot, at: 0s, start: all }\n" + kCrash;
  const RunResult aborted = run(kTwoZones + story(steps, "expect:\n  - { name: e, never: count(consul.serf.member.failed) > 0, abort: true }"));
  CHECK(aborted.end == RunResult::End::kAborted);
  CHECK(aborted.ended_at == outcome(aborted, "e").decided_at);
  CHECK(aborted.ended_at < Instant{} + 40_s);
  CHECK(aborted.exit_status() == 1);
  const RunResult warned = run(kTwoZones + story(steps, "expect:\n  - { name: e, never: count(consul.serf.member.failed) > 0, severity: warn }"));
  CHECK(outcome(warned, "e").verdict == Verdict::kFails);
  CHECK(outcome(warned, "e").warn_only);
  CHECK(warned.exit_status() == 0);
}

TEST_CASE("expect: a step's window opens before the step acts") {
  CHECK(judged("finally: count(sim.fw.drop) > 0, after: cut", "  - { name: cut, at: 20s, firewall: { enable: fw } }\n").verdict == Verdict::kHolds);
  CHECK(judged("finally: count(consul.serf.member.join) >= 4, after: boot").verdict == Verdict::kHolds);
}
