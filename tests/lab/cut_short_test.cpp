// What a run that is cut short (--until, abort) can tell, what an empty window tells, and what two seeds have in common.
#include "lab/report.h"
#include "lab_fixture.h"
#include "trace/tools.h"

namespace dcsim::lab {

namespace {

const std::string kBoot = "  - { name: boot, at: 0s, start: all }\n";
const std::string kLate = "  - { name: late, at: 50s, run: consul members, agent: s.dc1, expect: { exit: 7 } }\n";
const std::string kExpect = R"(expect:
  - { name: seen, never: max(sim.members.alive) >= 4 }
  - { name: yet, eventually: max(sim.members.alive) == 9, within: 40s }
  - { name: so far, always: max(sim.members.alive) < 9 }
  - { name: last, finally: max(sim.members.alive) == 9 }
  - { name: after, eventually: max(sim.members.alive) == 9, after: late }
  - { name: early, eventually: max(sim.members.alive) == 4, within: 10s }
  - { name: closed, always: max(sim.members.alive) < 9, until: 15s }
)";

void check_cut(const RunResult& r) {
  for (const char* name : {"yet", "so far", "last", "after", "late"}) {
    CAPTURE(name);
    CHECK(outcome(r, name).verdict == Verdict::kPending);
    CHECK(outcome(r, name).detail.find("cut short") != std::string::npos);
  }
}

}  // namespace

TEST_CASE("--until: what is not decided yet neither holds nor fails") {
  RunOptions o;
  o.until = 20_s;
  const RunResult r = run(kTwoZones + story(kBoot + kLate, kExpect), o);
  check_cut(r);
  CHECK(outcome(r, "seen").verdict == Verdict::kFails);
  CHECK(outcome(r, "early").verdict == Verdict::kHolds);
  CHECK(outcome(r, "closed").verdict == Verdict::kHolds);
  CHECK(r.exit_status() == 1);  // for what was seen
  CHECK(summary_text(r, false).find("1 of 8 expectations do not hold; 5 undecided: the run was cut short") != std::string::npos);
  CHECK(Json::parse(summary_json(r))["expectations"][2]["verdict"] == "undecided");
  CHECK(summary_github(r).find("title=yet") == std::string::npos);
  RunOptions sooner;
  sooner.until = 1_ms;
  CHECK(run(kTwoZones + story(kBoot + kLate, kExpect), sooner).exit_status() == 0);
  // The whole run decides them all.
  const RunResult whole = run(kTwoZones + story(kBoot + kLate, kExpect));
  for (const char* name : {"yet", "last", "after", "late"}) CHECK(outcome(whole, name).verdict == Verdict::kFails);
  CHECK(outcome(whole, "so far").verdict == Verdict::kHolds);
}

TEST_CASE("abort: what the aborted run had not decided is undecided") {
  std::string expect = kExpect;
  expect.replace(expect.find(">= 4 }"), 6, ">= 4, abort: true }");
  const RunResult r = run(kTwoZones + story(kBoot + kLate, expect));
  REQUIRE(r.end == RunResult::End::kAborted);
  check_cut(r);
  CHECK(r.exit_status() == 1);
}

TEST_CASE("windows: an empty one breaks nothing, brings nothing about, and is told of") {
  // The failure is seen after the crash: a window from the one to the other closes before it opens.
  const RunResult r = run(kTwoZones + story(kBoot + R"(  - { name: crash, at: 20s, crash: c-3.dc1 }
  - { name: seen, when: 'count(consul.serf.member.failed) > 0', run: consul members, agent: s.dc1 }
)", R"(expect:
  - { name: a, always: '1 == 2', after: seen, until: crash }
  - { name: n, never: '1 == 1', after: seen, until: crash }
  - { name: e, eventually: '1 == 1', after: seen, until: crash }
  - { name: at once, always: '1 == 2', after: crash, until: crash }
  - { name: filled, always: '1 == 2', after: crash, until: seen }
)"));
  CHECK(outcome(r, "a").verdict == Verdict::kHolds);
  CHECK(outcome(r, "n").verdict == Verdict::kHolds);
  CHECK(outcome(r, "e").verdict == Verdict::kFails);
  CHECK(outcome(r, "at once").verdict == Verdict::kHolds);
  CHECK(outcome(r, "filled").verdict == Verdict::kFails);
  REQUIRE(r.notes.size() == 4);
  CHECK(std::count_if(r.notes.begin(), r.notes.end(), [](const std::string& n) { return n.find("nothing was looked at") != std::string::npos; }) == 4);
}

TEST_CASE("windows: never opened since the run ended before") {
  const Outcome o = judged("always: '1 == 1', after: boot + 99s");
  CHECK(o.verdict == Verdict::kFails);
  CHECK(o.detail == "its window never opened: the run ended before");
}

TEST_CASE("metrics: what is scaled by hand is not converted again") {
  const RunResult r = run(kTwoZones + story(kBoot, R"(expect: []
metrics:
  s: { value: max(sim.join.time), unit: s }
  ms: { value: max(sim.join.time), unit: ms }
  hand: { value: max(sim.join.time) * 1000, unit: ms }
  half: { value: max(sim.join.time) / 2, unit: ms }
)"));
  const auto value = [&](const char* name) {
    for (const MetricValue& m : r.metrics) {
      if (m.name == name) return m.value.number;
    }
    return -1.0;
  };
  REQUIRE(value("s") > 0);
  CHECK(value("ms") == doctest::Approx(value("s") * 1000));
  CHECK(value("hand") == doctest::Approx(value("ms")));
  CHECK(value("half") == doctest::Approx(value("ms") / 2));
}

TEST_CASE("metrics: a label with line ends stays on its line") {
  RunResult r;
  MetricValue m;
  m.name = "m";
  m.labels = {{"error", "one\ntwo\tthree"}};
  m.value = trace::Value::of(1);
  r.metrics = {m};
  CHECK(summary_text(r, false).find("m{error=one\\ntwo\\tthree}  1") != std::string::npos);
  CHECK(metrics_text(r).find("m,error=one\\ntwo\\tthree,1,") != std::string::npos);
}

TEST_CASE("workload: a command goes back to its workload") {
  const Recorded r = record(kTwoZones + story(kBoot, "expect: []\nworkload: [{ name: w, agents: s.dc1, from: 5s, run: consul members }]"));
  const Json cause = r.cause(r.one("command-run"));
  CHECK(cause["ev"] == "step");
  CHECK(cause.dump().find("\"workload\"") != std::string::npos);
}

TEST_CASE("diff: two seeds are told apart, and compared from there on") {
  const TempFolder a, b;
  const auto played = [](const TempFolder& folder, std::uint64_t seed) {
    RunOptions o;
    o.seed = seed;
    o.out_dir = folder.path();
    REQUIRE(run_scenario(load(kTwoZones + story(kBoot)), o).write_error.empty());
  };
  played(a, 1);
  played(b, 2);
  std::string out;
  const auto take = [&](std::string_view t) { out += t; };
  CHECK(trace::trace_diff(a.path(), b.path(), {take, take}) == 1);
  CHECK(out.find("The seeds differ: 1 and 2.") == 0);
  CHECK(out.find("First difference in what happened: record ") != std::string::npos);
  CHECK(out.find("record 0\n") == std::string::npos);
}

TEST_CASE("agents: one that binds an address of another host does not come up") {
  const auto bound = [](const std::string& config) {
    std::string topology = kTwoZones;
    const std::string anchor = "retry_join: [\"10.0.1.11\"]";
    topology.replace(topology.find(anchor), anchor.size(), anchor + ", " + config);
    return run(topology + story(kBoot, "expect: []", "10s"));
  };
  for (const char* config : {"bind_addr: 1.2.3.4", "serf_lan: 10.0.1.11"}) {
    CAPTURE(config);
    const RunResult r = bound(config);
    CHECK(r.exit_status() == 1);
    CHECK(outcome(r, "c-1.dc1 starts").detail.find("Failed to start TCP listener") != std::string::npos);
    CHECK(outcome(r, "c-1.dc1 starts").detail.find("bind: cannot assign requested address") != std::string::npos);
  }
  CHECK(bound("bind_addr: 0.0.0.0").exit_status() == 0);
  CHECK(bound("bind_addr: \"{{ GetPrivateIP }}\"").exit_status() == 0);
}

}  // namespace dcsim::lab
