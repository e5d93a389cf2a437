#include "lab_fixture.h"

using namespace dcsim;
using namespace dcsim::lab;

namespace {

std::vector<std::string> step_names(const Recorded& r) {
  std::vector<std::string> names;
  for (const Json& s : r.all("step")) names.push_back(s["step"]);
  return names;
}

std::vector<std::int64_t> times_of(const Recorded& r, std::string_view step) {
  std::vector<std::int64_t> times;
  for (const Json& s : r.all("step")) {
    if (s["step"] == step) times.push_back(s["t"]);
  }
  return times;
}

}  // namespace

TEST_CASE("timeline: steps at one instant run in file order, also those that repeat or follow another") {
  const Recorded r = record(kTwoZones + story(R"(
  - { name: beat, at: 5s, every: 5s, run: consul members, agent: s.dc1 }
  - { name: after-boot, after: boot, delay: 10s, run: consul members, agent: s.dc1 }
  - { name: boot, at: 0s, start: all }
  - { name: fixed, at: 10s, run: consul members, agent: s.dc1 }
)", "expect: []", "10s"));
  CHECK(step_names(r) == std::vector<std::string>{"boot", "beat", "beat", "after-boot", "fixed"});
}

TEST_CASE("timeline: a command right behind the start at the same instant finds the agent running") {
  const RunResult r = run(kTwoZones + story(R"(
  - { name: boot, at: 0s, start: s.dc1 }
  - { name: look, at: 0s, run: consul members, agent: s.dc1, expect: { exit: 0, stdout: alive } }
)"));
  CHECK(r.exit_status() == 0);
}

TEST_CASE("timeline: a command before the start at the same instant does not") {
  const RunResult r = run(kTwoZones + story(R"(
  - { name: look, at: 0s, run: consul members, agent: s.dc1, expect: { exit: 1, stderr: connection refused } }
  - { name: boot, at: 0s, start: s.dc1 }
)"));
  INFO(outcome(r, "look").detail);
  CHECK(r.exit_status() == 0);
}

TEST_CASE("timeline: after and delay count from the step they name, through chains and through when") {
  const Recorded r = record(kTwoZones + story(R"(
  - { name: third, after: second, delay: 3s, run: consul members, agent: s.dc1 }
  - { name: second, after: first + 1s, delay: 1s, run: consul members, agent: s.dc1 }
  - { name: first, when: "count(consul.serf.member.join) >= 1", delay: 2s, run: consul members, agent: s.dc1 }
  - { name: boot, at: 7s, start: all }
)"));
  const std::int64_t first = times_of(r, "first").at(0);
  CHECK(first == 9 * kSecond);
  CHECK(times_of(r, "second") == std::vector<std::int64_t>{first + 2 * kSecond});
  CHECK(times_of(r, "third") == std::vector<std::int64_t>{first + 5 * kSecond});
}

TEST_CASE("timeline: every repeats until its end, given as a time, a step or a step and an offset") {
  const char* const steps = R"(
  - { name: boot, at: 0s, start: all }
  - { name: stop-it, at: 21s, run: consul members, agent: s.dc1 }
  - { name: by-time, every: 10s, until: 30s, run: consul members, agent: s.dc1 }
  - { name: by-step, every: 10s, until: stop-it, run: consul members, agent: s.dc1 }
  - { name: by-offset, at: 1s, every: 10s, until: stop-it + 15s, run: consul members, agent: s.dc1 }
  - { name: to-the-end, at: 40s, every: 10s, run: consul members, agent: s.dc1 }
)";
  const Recorded r = record(kTwoZones + story(steps));
  const auto s = [](std::initializer_list<int> seconds) {
    std::vector<std::int64_t> out;
    for (const int x : seconds) out.push_back(x * kSecond);
    return out;
  };
  CHECK(times_of(r, "by-time") == s({10, 20, 30}));
  CHECK(times_of(r, "by-step") == s({10, 20}));
  CHECK(times_of(r, "by-offset") == s({1, 11, 21, 31}));
  CHECK(times_of(r, "to-the-end") == s({40, 50, 60}));
}

TEST_CASE("timeline: stagger is each agent's own draw, which another agent does not move") {
  const std::string steps = "  - { name: boot, at: 5s, start: all, stagger: 10s }";
  const auto starts = [](const Recorded& r) {
    std::map<std::string, std::int64_t> out;
    for (const Json& s : r.all("agent-start")) out[s["node"]] = s["t"];
    return out;
  };
  std::string more = kTwoZones;
  more.replace(more.find("count: 3"), 8, "count: 5");
  const auto few = starts(record(kTwoZones + story(steps))), many = starts(record(more + story(steps)));
  REQUIRE(few.size() == 4);
  REQUIRE(many.size() == 6);
  for (const auto& [agent, at] : few) {
    CHECK(at >= 5 * kSecond);
    CHECK(at < 15 * kSecond);
    CHECK(many.at(agent) == at);
  }
  CHECK(few.at("c-1.dc1") != few.at("c-2.dc1"));
  RunOptions other;
  other.seed = 99;
  CHECK(starts(record(kTwoZones + story(steps), other)) != few);
}

TEST_CASE("timeline: stagger spreads crashes too") {
  const Recorded r = record(kTwoZones + story("  - { at: 0s, start: all }\n  - { at: 20s, crash: \"role=client\", stagger: 10s }"));
  std::set<std::int64_t> times;
  for (const Json& c : r.all("agent-crash")) {
    CHECK(c["t"] >= 20 * kSecond);
    CHECK(c["t"] < 30 * kSecond);
    times.insert(c["t"].get<std::int64_t>());
  }
  CHECK(times.size() == 3);
}

TEST_CASE("timeline: each repetition of a step that picks draws anew") {
  const Recorded r = record(kTwoZones + story("  - { at: 0s, start: all }\n  - { at: 1s, every: 1s, until: 40s, pause: { labels: { role: client }, pick: one } }\n"
                                              "  - { at: 1s, every: 1s, until: 40s, resume: all }"));
  std::map<std::string, int> paused;
  for (const Json& p : r.all("agent-pause")) ++paused[p["node"]];
  CHECK(paused.size() == 3);
  int sum = 0;
  for (const auto& [agent, n] : paused) sum += n;
  CHECK(sum == 40);
}

TEST_CASE("timeline: stop leaves, crash does not: the others say left and failed") {
  const RunResult r = run(kTwoZones + story(R"(
  - { at: 0s, start: all }
  - { at: 20s, stop: c-1.dc1 }
  - { at: 20s, crash: c-2.dc1 }
  - { name: look, at: 50s, run: consul members, agent: s.dc1, expect: { stdout: '/c-1 .* left .*\n.*c-2 .* failed .*\n.*c-3 .* alive/' } }
)", "expect:\n  - { name: two up, finally: count(consul.serf.member.failed) == 2 }"));
  INFO(outcome(r, "look").detail);
  CHECK(outcome(r, "look").verdict == Verdict::kHolds);
  CHECK(outcome(r, "two up").verdict == Verdict::kHolds);
}

TEST_CASE("timeline: crash, stop and restart of what does not run do nothing") {
  const Recorded r = record(kTwoZones + story("  - { at: 0s, start: s.dc1 }\n  - { at: 1s, crash: c-1.dc1 }\n  - { at: 1s, stop: c-2.dc1 }\n  - { at: 1s, restart: c-3.dc1 }\n  - { at: 2s, resume: s.dc1 }\n  - { at: 2s, start: s.dc1 }"));
  CHECK(r.all("agent-crash").empty());
  CHECK(r.all("agent-stop").empty());
  CHECK(r.all("agent-start").size() == 1);
  CHECK(r.all("agent-resume").empty());
}

TEST_CASE("timeline: restart runs the agent with its new configuration, which later restarts keep") {
  const Recorded r = record(kTwoZones + story(R"(
  - { at: 0s, start: all }
  - { at: 10s, restart: c-1.dc1, config: { ports: { serf_lan: 9301 }, retry_join: ["10.0.1.11:8301"] } }
  - { at: 30s, restart: c-1.dc1 }
  - { name: look, at: 55s, run: consul members, agent: s.dc1, expect: { stdout: '/c-1 +10\.0\.2\.1:9301 +alive/' } }
)"));
  INFO(outcome(r.result, "look").detail);
  CHECK(r.result.exit_status() == 0);
  CHECK(r.all("agent-start", "c-1.dc1").size() == 3);
  CHECK(r.all("agent-exit", "c-1.dc1").size() == 2);
  // The new process goes back to the operator's step.
  Json cause = r.all("agent-start", "c-1.dc1").at(1);
  for (int i = 0; i < 8 && cause["ev"] != "step"; ++i) cause = r.cause(cause);
  CHECK(cause["ev"] == "step");
}

TEST_CASE("timeline: a paused agent is failed by the others and refutes once it runs again") {
  const RunResult r = run(kTwoZones + story("  - { at: 0s, start: all }\n  - { name: freeze, at: 15s, pause: c-1.dc1 }\n  - { name: thaw, at: 45s, resume: c-1.dc1 }",
                                            "expect:\n"
                                            "  - { name: failed, eventually: 'count(consul.serf.member.failed{member=\"c-1.dc1\"}) >= 3', after: freeze, until: thaw }\n"
                                            "  - { name: back, eventually: 'min(sim.members.alive) == 4', after: thaw, within: 30s, for: 20s }", "2m"));
  CHECK(outcome(r, "failed").verdict == Verdict::kHolds);
  CHECK(outcome(r, "back").verdict == Verdict::kHolds);
}

TEST_CASE("timeline: --until cuts the same run short") {
  const std::string text = kTwoZones + story("  - { at: 0s, start: all, stagger: 5s }\n  - { at: 20s, crash: c-1.dc1 }");
  RunOptions cut;
  cut.until = 15_s;
  const Recorded whole = record(text), part = record(text, cut);
  REQUIRE(part.records.size() < whole.records.size());
  for (std::size_t i = 0; i < part.records.size(); ++i) REQUIRE(part.records[i] == whole.records[i]);
  CHECK(part.result.ended_at == Instant{} + 15_s);
  CHECK(whole.records[part.records.size()]["t"] >= 15 * kSecond);
}
