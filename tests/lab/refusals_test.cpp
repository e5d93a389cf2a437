#include "lab_fixture.h"

using namespace dcsim;
using namespace dcsim::lab;

namespace {

/// The messages about a scenario on kTwoZones with these lines added.
std::vector<std::string> said(const std::string& timeline, const std::string& rest = "expect: []\n", const std::string& topology = kTwoZones) {
  const std::string text = topology + story("  - { at: 0s, start: all }\n" + timeline, rest, "20s");
  scenario::LoadResult loaded = scenario::load_text(text, "t.yaml");
  REQUIRE_MESSAGE(loaded.ok(), scenario::render_text(loaded.diagnostics, loaded.sources));
  Diagnostics found;
  for (const auto& s : loaded.scenarios) check_scenario(s, found);
  std::vector<std::string> out;
  for (const Diagnostic& d : found) {
    CHECK(d.at.line > 0);
    if (d.severity == Diagnostic::Severity::kError) out.push_back(d.message);
  }
  return out;
}

bool says(const std::vector<std::string>& messages, std::string_view part) {
  return std::any_of(messages.begin(), messages.end(), [&](const std::string& m) { return m.find(part) != std::string::npos; });
}

}  // namespace

TEST_CASE("check: a fault needs kinds that exist and an interval that passes") {
  const auto fault = [](const std::string& fields) { return "expect: []\nfaults: [{ " + fields + " }]\n"; };
  CHECK(said("", fault("kinds: [crash, pause], interval: 30s")).empty());
  CHECK(says(said("", fault("kinds: [explode], interval: 30s")), "unknown kind of fault `explode`"));
  CHECK(says(said("", fault("kinds: [crash], interval: 10us")), "1ms"));
  CHECK(said("", fault("kinds: [clock, stop, slow_disk], interval: 30s, spec: { clock: { drift: 2% } }")).empty());
  CHECK(says(said("", fault("kinds: [clock], interval: 30s, spec: { drift: \"-100%\" }")), "a clock drifts"));
}

TEST_CASE("check: a clock that stands still or runs backwards is refused") {
  CHECK(said("  - { at: 5s, clock: { agents: all, drift: 1% } }\n").empty());
  CHECK(says(said("  - { at: 5s, clock: { agents: all, drift: \"-100%\" } }\n"), "a clock drifts"));
}

TEST_CASE("check: a command repeated without measure is refused before it fills the memory") {
  CHECK(said("  - { at: 5s, every: 1s, agent: s.dc1, run: consul members }\n").empty());
  CHECK(says(said("  - { at: 5s, every: 1ns, agent: s.dc1, run: consul members }\n"), "would run more than"));
  CHECK(says(said("", "expect: []\nworkload: [{ name: w, every: 1ns, run: consul members }]\n"), "would run more than"));
}

TEST_CASE("check: what memberlist cannot run with is said before anything runs") {
  std::string topology = kTwoZones;
  const auto at = topology.find("config: {");
  REQUIRE(at != std::string::npos);
  topology.insert(at + 9, " gossip_lan: { suspicion_mult: 0 },");
  CHECK(says(said("", "expect: []\n", topology), "suspicion_mult"));
}

TEST_CASE("time: a duration of for ever neither repeats, heals nor fails at once") {
  const std::string forever = "4611686018427387904ns";
  const Outcome o = judged("eventually: max(sim.members.alive) == 60, within: " + forever,
                           "  - { name: cut, at: 20s, partition: { between: [east, west], duration: " + forever + " } }\n"
                           "  - { at: 20s, every: " + forever + ", agent: s.dc1, run: consul members }\n");
  CHECK(o.verdict == Verdict::kFails);
  CHECK(o.decided_at > Instant{} + 20_s);
  CHECK(judged("eventually: 'max(sim.members.alive{zone=\"west\"}) == 3', after: cut, within: 1m",
               "  - { name: cut, at: 20s, partition: { between: [east, west], duration: " + forever + " } }\n")
            .verdict == Verdict::kHolds);
}

TEST_CASE("expect: what has no value yet excuses nothing but its own comparison") {
  CHECK(judged("always: max(sim.rpc.latency) < 1s").verdict == Verdict::kHolds);
  CHECK(judged("always: 'count(consul.serf.member.join) < 3 and max(sim.rpc.latency) < 1s'").verdict == Verdict::kFails);
  CHECK(judged("always: 'count(consul.serf.member.join) >= 0 or max(sim.rpc.latency) < 1s'").verdict == Verdict::kHolds);
}
