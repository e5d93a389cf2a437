#include "lab/report.h"

#include "lab_fixture.h"

using namespace dcsim;
using namespace dcsim::lab;

namespace {
const std::string kBoot = "  - { name: boot, at: 0s, start: all }\n";
}

TEST_CASE("transcript: commands as a terminal would show them, in order, with their exit") {
  const RunResult r = run(kTwoZones + story(kBoot + R"(
  - { name: look, at: 20s, run: consul members, agent: c-1.dc1, expect: { exit: 0, stdout: server } }
  - { name: fail, at: 21s, run: consul join 10.9.9.9, agent: c-1.dc1, expect: { exit: 1, stderr: "Failed to join" } }
  - { at: 59.9s, run: consul leave, agent: c-2.dc1 }
)"));
  CHECK(r.exit_status() == 0);
  const std::string text = transcript_text(r);
  INFO(text);
  CHECK(text.find("[20s] c-1.dc1 $ consul members\nNode ") == 0);
  CHECK(text.find("# exit 0 after") < text.find("[21s] c-1.dc1 $ consul join 10.9.9.9"));
  CHECK(text.find("# exit 1 after") != std::string::npos);
  CHECK(text.find("$ consul leave\n# still running at the end") != std::string::npos);
}

TEST_CASE("step expectations: exit, output, its absence and the time it takes are judged and told") {
  const auto judged_step = [](const std::string& expect, const std::string& command = "consul members") {
    return outcome(run(kTwoZones + story(kBoot + "  - { name: x, at: 20s, run: " + command + ", agent: c-1.dc1, expect: { " + expect + " } }\n")), "x");
  };
  CHECK(judged_step("exit: 0").verdict == Verdict::kHolds);
  CHECK(judged_step("exit: 1").detail.find("exit 0 instead of 1") != std::string::npos);
  CHECK(judged_step("stdout: nobody").verdict == Verdict::kFails);
  CHECK(judged_step("stdout: '/c-[123] .* alive/'").verdict == Verdict::kHolds);
  CHECK(judged_step("not_stdout: c-2").detail.find("stdout contains") != std::string::npos);
  CHECK(judged_step("not_stdout: c-9").verdict == Verdict::kHolds);
  CHECK(judged_step("stderr: x").verdict == Verdict::kFails);
  CHECK(judged_step("within: 1s").verdict == Verdict::kHolds);
  CHECK(judged_step("within: 1s", "consul leave").detail.find("more than 1s") != std::string::npos);
  CHECK(judged_step("exit: 0", "consul join 10.9.9.9").detail.find("stderr: ") != std::string::npos);
}

TEST_CASE("step expectations: a command that does not end, or a step that does not happen, fails") {
  const RunResult r = run(kTwoZones + story(kBoot + R"(
  - { name: late, at: 59.9s, run: consul leave, agent: c-2.dc1, expect: { exit: 0 } }
  - { name: maybe, when: count(consul.serf.member.failed) > 99, run: consul members, agent: s.dc1, expect: { exit: 0 } }
)"));
  CHECK(outcome(r, "late").detail.find("did not end") != std::string::npos);
  CHECK(outcome(r, "maybe").detail.find("did not happen") != std::string::npos);
  CHECK(r.exit_status() == 1);
}

TEST_CASE("exit status: 0 all held, 1 an expectation failed, 2 nothing could be written, 130 interrupted") {
  CHECK(run(kTwoZones + story(kBoot, "expect:\n  - { name: e, never: count(consul.serf.member.failed) > 0 }")).exit_status() == 0);
  CHECK(run(kTwoZones + story(kBoot, "expect:\n  - { name: e, finally: count(consul.serf.member.failed) > 0 }")).exit_status() == 1);
  const TempFolder folder;
  std::ofstream(folder / "file") << "x";
  RunOptions into_file;
  into_file.out_dir = folder / "file";
  const RunResult unwritable = run_scenario(load(kTwoZones + story(kBoot)), into_file);
  CHECK(unwritable.exit_status() == 2);
  CHECK(!unwritable.write_error.empty());
  CHECK(unwritable.digest.empty());
  CHECK(unwritable.events == 0);
  RunOptions interrupted;
  interrupted.interrupted = [] { return true; };
  const RunResult r = run_scenario(load(kTwoZones + story(kBoot, "expect: []", "24h")), interrupted);
  CHECK(r.exit_status() == 130);
  CHECK(r.ended_at < Instant{} + Duration{24 * 3600 * kSecond});
}

TEST_CASE("reproduce: the line carries file, seed, parameters, and up to where") {
  RunResult r;
  r.file = "my file.yaml";
  r.seed = 7;
  r.set = {{"clients", "5"}, {"name", "it's"}};
  r.planned_end = Instant{} + 60_s;
  CHECK(reproduce_line(r, Instant{} + 60_s) == "dcsim run 'my file.yaml' --seed 7 --set clients=5 --set 'name=it'\\''s'");
  CHECK(reproduce_line(r, Instant{1'500'000'001}).ends_with(" --until 1.502s"));
  r.cut = true;  // the user asked for less than the scenario's own length
  CHECK(reproduce_line(r, Instant{} + 60_s).ends_with(" --until 1m0s"));
}

TEST_CASE("reproduce: repeating a failure up to its instant fails alike") {
  const std::string text = kTwoZones + story(kBoot + "  - { at: 20s, crash: c-1.dc1 }\n", "expect:\n  - { name: e, never: count(consul.serf.member.failed) > 1 }");
  const Outcome first = outcome(run(text), "e");
  RunOptions o;
  o.until = Duration{(first.decided_at.ns / 1'000'000 + 2) * 1'000'000};
  const Outcome again = outcome(run(text, o), "e");
  CHECK(again.verdict == Verdict::kFails);
  CHECK(again.decided_at == first.decided_at);
  CHECK(again.event == first.event);
  CHECK(again.detail == first.detail);
}

TEST_CASE("summary: JSON with one stable order of keys") {
  const RunResult r = run(kTwoZones + story(kBoot, "expect:\n  - { name: e, finally: count(consul.serf.member.failed) > 0 }\nmetrics: { m: { value: count(sim.refute), unit: refutations } }"));
  const auto j = nlohmann::ordered_json::parse(summary_json(r));
  std::vector<std::string> keys;
  for (const auto& [key, value] : j.items()) keys.push_back(key);
  CHECK(keys == std::vector<std::string>{"scenario", "file", "version", "seed", "status", "exit", "digest", "simulated_ns", "events", "records", "agents",
                                         "params", "expectations", "metrics", "counts", "drops", "commands", "workloads", "notes", "reproduce"});
  CHECK(j["exit"] == 1);
  CHECK(j["digest"].get<std::string>().size() == 32);
  CHECK(j["expectations"][0]["name"] == "e");
  CHECK(j["expectations"][0].contains("reproduce"));
  CHECK(j["simulated_ns"] == 60 * kSecond);
}

TEST_CASE("summary: for GitHub an error line for each failure, escaped") {
  RunResult r;
  r.file = "a%b.yaml";
  Outcome o;
  o.name = "first";
  o.kind = "never";
  o.text = "x > 1";
  o.verdict = Verdict::kFails;
  o.detail = "two\nlines";
  r.outcomes = {o};
  const std::string text = summary_github(r);
  CHECK(text.starts_with("::error file=a%25b.yaml,title=first::never x > 1: two%0Alines at "));
  r.outcomes[0].warn_only = true;
  CHECK(summary_github(r).starts_with("::warning "));
}

TEST_CASE("summary: a broken invariant is exit 3 and tells seed, time, event and the last records") {
  RunResult r;
  r.scenario = "s";
  r.seed = 42;
  r.end = RunResult::End::kBroken;
  r.broken = "clocks: n1.dc1: incarnation 7 -> 6\n  the last record";
  r.ended_at = Instant{} + 90_s;
  r.events = 1234;
  CHECK(r.exit_status() == 3);
  CHECK(summary_text(r, false).find("internal error at 1m30s (seed 42, event 1234): clocks: n1.dc1: incarnation 7 -> 6\n  the last record") != std::string::npos);
  CHECK(Json::parse(summary_json(r))["exit"] == 3);
  CHECK(summary_github(r).find("::error file=,title=internal error::clocks") != std::string::npos);
}
