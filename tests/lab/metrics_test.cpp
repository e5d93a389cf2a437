#include "lab/report.h"
#include "lab_fixture.h"

using namespace dcsim;
using namespace dcsim::lab;

namespace {

const std::string kBoot = "  - { name: boot, at: 0s, start: all }\n";

const MetricValue& metric(const RunResult& r, std::string_view name, std::string_view label = "") {
  for (const MetricValue& m : r.metrics) {
    if (m.name == name && (label.empty() || (m.labels.size() == 1 && m.labels[0].second == label))) return m;
  }
  FAIL("no metric " << name);
  return r.metrics.front();
}

}  // namespace

TEST_CASE("metrics: a value in its window, with its unit, and per label") {
  const RunResult r = run(kTwoZones + story(kBoot + "  - { name: crash, at: 20s, crash: c-1.dc1 }\n", R"(expect: []
metrics:
  failed: { value: count(consul.serf.member.failed), unit: events, better: lower }
  early: { value: count(consul.serf.member.failed), until: crash, unit: events }
  late: { value: count(consul.serf.member.failed), after: crash + 39s, unit: events }
  never: { value: count(consul.serf.member.failed), after: crash + 100s, unit: events }
  by_zone: { value: count(consul.serf.member.failed), unit: events, group_by: [zone], better: lower }
  detect_s: { value: max(sim.detect.time), unit: s, better: lower }
  detect_ms: { value: max(sim.detect.time), unit: ms, better: lower }
)"));
  CHECK(metric(r, "failed").value.number == 3);
  CHECK(metric(r, "failed").better == "lower");
  CHECK(metric(r, "early").value.number == 0);
  CHECK(metric(r, "late").value.number == 0);
  CHECK(metric(r, "never").value.kind == trace::Value::Kind::kNone);
  CHECK(metric(r, "by_zone", "east").value.number == 1);
  CHECK(metric(r, "by_zone", "west").value.number == 2);
  const double s = metric(r, "detect_s").value.number;
  CHECK(s > 1);
  CHECK(s < 40);
  CHECK(metric(r, "detect_ms").value.number == doctest::Approx(s * 1000));
  const std::string csv = metrics_text(r);
  CHECK(csv.find("by_zone") != std::string::npos);
  CHECK(csv.find("zone=west") != std::string::npos);
}

TEST_CASE("workload: constant arrivals, per agent, from and until; the transcript has every command") {
  const RunResult r = run(kTwoZones + story(kBoot, R"(expect:
  - { name: counted, finally: 'count(sim.rpc.count{workload="look"}) == 12' }
  - { name: fast, finally: max(sim.rpc.latency) < 1 }
workload:
  - { name: look, agents: "role=client", from: 10s, until: 40s, every: { constant: 10s }, run: consul members }
)"));
  for (const Outcome& o : r.outcomes) {
    INFO(o.name << ": " << o.detail);
    CHECK(o.verdict == Verdict::kHolds);
  }
  CHECK(r.transcript.size() == 12);
  for (const CommandRecord& c : r.transcript) {
    CHECK(c.ended);
    CHECK(c.exit == 0);
    CHECK(c.at.ns % (10 * kSecond) == 0);
  }
}

TEST_CASE("workload: exponential gaps are each agent's own draws") {
  const auto times = [](std::string topology, const std::string& agent) {
    std::vector<std::int64_t> out;
    const RunResult r = run(topology + story(kBoot, "expect: []\nworkload:\n  - { name: w, agents: \"role=client\", every: { exponential: 5s }, run: 'consul members {seq}' }\n"));
    for (const CommandRecord& c : r.transcript) {
      if (c.agent == agent) out.push_back(c.at.ns);
    }
    return out;
  };
  std::string more = kTwoZones;
  more.replace(more.find("count: 3"), 8, "count: 4");
  const auto a = times(kTwoZones, "c-1.dc1"), b = times(kTwoZones, "c-2.dc1");
  CHECK(a.size() > 4);
  CHECK(a.size() < 30);
  CHECK(a != b);
  CHECK(times(more, "c-1.dc1") == a);
}

TEST_CASE("workload: a command at an agent that is down counts as an error") {
  const RunResult r = run(kTwoZones + story("  - { at: 0s, start: s.dc1 }", R"(expect:
  - { name: errors, finally: 'count(sim.rpc.error{workload="w"}) == 3' }
workload:
  - { name: w, agents: "role=client", from: 10s, run: consul members }
)"));
  INFO(outcome(r, "errors").detail);
  CHECK(r.exit_status() == 0);
}

TEST_CASE("faults: drawn from the seed, they strike, undo themselves and are quiet at the end") {
  const auto faulty = [](const std::string& kinds, std::uint64_t seed = 1) {
    RunOptions o;
    o.seed = seed;
    return record(kTwoZones + story(kBoot, "expect: []\nfaults:\n  - { name: storm, kinds: [" + kinds + "], targets: \"role=client\", interval: 10s, duration: 5s, quiet_at_end: 60s }\n", "4m"), o);
  };
  for (const char* const kind : {"crash", "pause", "partition", "impair"}) {
    CAPTURE(kind);
    const Recorded r = faulty(kind);
    int strikes = 0;
    for (const Json& s : r.all("step")) {
      if (s["step"] != "storm") continue;
      ++strikes;
      CHECK(s["t"] <= 175 * kSecond);
    }
    CHECK(strikes > 5);
    CHECK(strikes < 40);
    const auto undone = r.all(std::string(kind) == "crash" ? "agent-start" : std::string(kind) == "pause" ? "agent-resume" : std::string(kind) == "partition" ? "heal" : "impair-end");
    CHECK(undone.size() > 3);
    CHECK(r.cause(undone.back())["ev"] != "run-start");
  }
  CHECK(faulty("crash, pause").result.digest == faulty("crash, pause").result.digest);
  CHECK(faulty("crash, pause").result.digest != faulty("crash, pause", 2).result.digest);
}

TEST_CASE("faults: cut short by --until they are the same faults") {
  const std::string text = kTwoZones + story(kBoot, "expect: []\nfaults:\n  - { kinds: [crash], interval: 10s, duration: 5s, quiet_at_end: 60s }\n", "4m");
  RunOptions cut;
  cut.until = 100_s;
  const Recorded whole = record(text), part = record(text, cut);
  for (std::size_t i = 0; i < part.records.size(); ++i) REQUIRE(part.records[i] == whole.records[i]);
}
