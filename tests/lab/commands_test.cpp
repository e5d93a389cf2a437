// What becomes of commands: in the transcript, the summary and the series.
#include "lab/report.h"
#include "lab_fixture.h"

using namespace dcsim;
using namespace dcsim::lab;

namespace {
const std::string kBoot = "  - { name: boot, at: 0s, start: all }\n";
}

TEST_CASE("commands: the summary has every step's, named or not, and counts a workload's") {
  const RunResult r = run(kTwoZones + story(kBoot + "  - { at: 20s, run: consul members, agent: s.dc1 }\n  - { name: "
                                                    "look, at: 21s, run: consul members -status=left, agent: s.dc1 }\n",
                                            "expect: []\nworkload:\n  - { name: w, agents: s.dc1, from: 30s, until: "
                                            "35s, every: 1s, run: consul members }\n"));
  const Json j = Json::parse(summary_json(r));
  REQUIRE(j["commands"].size() == 2);
  CHECK(j["commands"][0]["step"] == "run consul members");
  CHECK(j["commands"][1]["step"] == "look");
  CHECK(j["commands"][1]["exit"] == 2);
  CHECK(j["workloads"] == Json::parse(R"([{"name": "w", "commands": 6, "failed": 0}])"));
  CHECK(r.transcript.size() == 8);
}

TEST_CASE("commands: sim.command.exit counts how they ended, and a workload's timeout is an error") {
  const RunResult r = run(
      kTwoZones +
      story(kBoot + "  - { name: look, at: 20s, run: consul members -status=left, agent: s.dc1 }\n",
            "workload:\n  - { name: far, agents: s.dc1, from: 30s, until: 40s, every: 5s, run: consul join 10.0.1.99, "
            "timeout: 1s }\n"
            "expect:\n"
            "  - { name: two, finally: 'count(sim.command.exit{status=\"2\", step=\"look\", node=\"s.dc1\"}) == 1' }\n"
            "  - { name: late, finally: 'count(sim.command.exit{status=\"124\", step=\"far\"}) == 3' }\n"
            "  - { name: all, finally: count(sim.command.exit) == 4 }\n"
            "  - { name: errors, finally: 'count(sim.rpc.error{workload=\"far\"}) == 3' }\n"));
  for (const char* name : {"two", "late", "all", "errors"}) {
    const Outcome o = outcome(r, name);
    CAPTURE(o.detail);
    CHECK(o.verdict == Verdict::kHolds);
  }
  CHECK(r.workloads.at(0).failed == 3);
}

TEST_CASE("transcript: what join says of each address that fails comes before what it has joined") {
  const RunResult r =
      run(kTwoZones + story(kBoot + "  - { at: 20s, run: consul join 10.0.1.99 10.0.2.1, agent: s.dc1 }\n"));
  const std::string text = transcript_text(r);
  const auto error = text.find("Error joining address '10.0.1.99'"), joined = text.find("Successfully joined");
  REQUIRE(error != std::string::npos);
  REQUIRE(joined != std::string::npos);
  CHECK(error < joined);
}

TEST_CASE("expect: nothing on stderr means nothing, and lines have ends") {
  const RunResult r =
      run(kTwoZones +
          story(kBoot +
                "  - { name: quiet, at: 20s, run: consul members, agent: s.dc1, expect: { stderr: \"\", stdout: "
                "'/^c-1\\s+.*alive/' } }\n"
                "  - { name: loud, at: 20s, run: consul members -no-such-flag, agent: s.dc1, expect: { exit: 1, "
                "stderr: \"\" } }\n"
                "  - { name: full, at: 20s, run: consul members, agent: s.dc1, expect: { stdout: \"\" } }\n"
                "  - { name: inside, at: 20s, run: consul members, agent: s.dc1, expect: { not_stdout: '/^-1/' } }\n"));
  CHECK(outcome(r, "quiet").verdict == Verdict::kHolds);
  CHECK(outcome(r, "loud").verdict == Verdict::kFails);
  CHECK(outcome(r, "loud").detail.find("wanted nothing") != std::string::npos);
  CHECK(outcome(r, "full").verdict == Verdict::kFails);
  CHECK(outcome(r, "inside").verdict == Verdict::kHolds);
}

TEST_CASE("metrics: rates of bytes in the unit asked for") {
  const RunResult r = run(kTwoZones + story(kBoot,
                                            "expect:\n"
                                            "  - { name: much, finally: rate(sim.node.bytes) > 1KiB }\n"
                                            "  - { name: little, finally: rate(sim.node.bytes) < 1MiB/s }\n"
                                            "metrics:\n"
                                            "  b: { value: rate(sim.node.bytes), unit: B/s }\n"
                                            "  k: { value: rate(sim.node.bytes), unit: KiB/s }\n"
                                            "  m: { value: rate(sim.node.bytes), unit: Mbit/s }\n"
                                            "  j: { value: rate(consul.serf.member.join), unit: joins/min }\n"
                                            "  n: { value: count(consul.serf.member.join), unit: joins }\n"));
  CHECK(outcome(r, "much").verdict == Verdict::kHolds);
  CHECK(outcome(r, "little").verdict == Verdict::kHolds);
  std::map<std::string, double> value;
  for (const MetricValue& m : r.metrics) value[m.name] = m.value.number;
  CHECK(value["b"] > 1024);
  CHECK(value["k"] == doctest::Approx(value["b"] / 1024));
  CHECK(value["m"] == doctest::Approx(value["b"] * 8 / 1e6));
  CHECK(value["j"] == doctest::Approx(value["n"]));  // the run lasts a minute
}

TEST_CASE("faults: spec says how hard each kind strikes") {
  const auto story_of = [](const std::string& fault) {
    return kTwoZones +
           story(kBoot,
                 "expect: []\nfaults: [{ name: f, targets: c-1.dc1, interval: 20s, duration: 2s, " + fault + " }]\n",
                 "5m");
  };
  const Recorded down = record(story_of("kinds: [impair], spec: { down: true }"));
  CHECK(down.all("impair").size() + down.all("step").size() > 2);
  CHECK(down.result.drops.size() > 0);
  const auto slow = [&](const std::string& spec) {
    std::set<std::uint64_t> factors;
    for (const Json& s : record(story_of("kinds: [slow_cpu], spec: " + spec)).all("slow"))
      factors.insert(s["permille"].get<std::uint64_t>());
    return factors;
  };
  CHECK(slow("{ factor: 4 }") == std::set<std::uint64_t>{4000});
  CHECK(slow("{ slow_cpu: { factor: 7 } }") == std::set<std::uint64_t>{7000});
  // Harmless losses and harmful ones: the same faults, the same draws, another outcome.
  const auto failed_probes = [&](const std::string& spec) {
    const RunResult r = run(story_of("kinds: [impair], spec: " + spec));
    for (const Count& c : r.counts) {
      if (c.name == "packets lost") return c.value;
    }
    return std::uint64_t{0};
  };
  CHECK(failed_probes("{ loss: 0% }") < failed_probes("{ loss: 100% }"));
}

TEST_CASE("faults of machines: their end is recorded as their beginning is") {
  const Recorded r = record(
      kTwoZones + story(kBoot + "  - { at: 10s, slow_cpu: { agents: c-1, factor: 4, duration: 5s } }\n"
                                "  - { at: 10s, slow_disk: { agents: c-1, factor: 2, duration: 6s } }\n"
                                "  - { at: 10s, clock: { agents: c-1, offset: -250ms, drift: 1%, duration: 7s } }\n"));
  REQUIRE(r.all("slow").size() == 2);
  REQUIRE(r.all("slow-end").size() == 2);
  CHECK(r.all("slow-end")[0]["what"] == "cpu");
  CHECK(r.all("slow-end")[0]["t"] == 15 * kSecond);
  CHECK(r.all("slow-end")[1]["what"] == "disk");
  CHECK(r.one("clock-end")["t"] == 17 * kSecond);
}
