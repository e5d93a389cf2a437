// Who a step acts on, and what is said when it finds nobody or an agent does not come up.
#include "lab/report.h"
#include "lab_fixture.h"

using namespace dcsim;
using namespace dcsim::lab;

namespace {
const std::string kBoot = "  - { name: boot, at: 0s, start: all }\n";
}

TEST_CASE("pick: crash, stop, restart and pause choose among those that run") {
  // Three clients, one crashed each time: the fourth finds nobody.
  const Recorded r =
      record(kTwoZones +
             story(kBoot + "  - { name: storm, at: 10s, every: 5s, until: 25s, crash: { zone: west, pick: one } }\n"));
  const auto crashes = r.all("agent-crash");
  REQUIRE(crashes.size() == 3);
  std::set<std::string> victims;
  for (const Json& c : crashes) victims.insert(c["node"].get<std::string>());
  CHECK(victims.size() == 3);
  REQUIRE(r.result.notes.size() == 1);
  CHECK(r.result.notes[0] == "storm/4 at 25s: `pick` found nobody that runs");
  CHECK(summary_text(r.result, false).find("note: storm/4 at 25s") != std::string::npos);
  CHECK(r.result.exit_status() == 0);
}

TEST_CASE("pick: start chooses among those that are down, resume among those that are paused") {
  const Recorded r = record(
      kTwoZones +
      story("  - { at: 0s, start: s.dc1 }\n  - { at: 1s, every: 1s, until: 3s, start: { zone: west, pick: 1 } }\n"
            "  - { at: 10s, pause: { zone: west, pick: 2 } }\n  - { at: 12s, pause: { zone: west, pick: 1 } }\n"
            "  - { at: 20s, every: 1s, until: 22s, resume: { zone: west, pick: one } }\n"));
  CHECK(r.all("agent-start").size() == 4);
  CHECK(r.all("agent-pause").size() == 3);
  CHECK(r.all("agent-resume").size() == 3);
  CHECK(r.result.notes.empty());
}

TEST_CASE("pick: one agent against the rest of its zone is a partition of two sides") {
  const Recorded r =
      record(kTwoZones + story(kBoot + "  - { at: 10s, partition: { between: [{ zone: west, pick: 1 }, all] } }\n"));
  // Nobody hears of the one that is cut off, whoever it is: it fails in three views, and three in its own.
  std::map<std::string, std::set<std::string>> failed;
  for (const Json& f : r.all("member-failed"))
    failed[f["member"].get<std::string>()].insert(f["node"].get<std::string>());
  std::size_t alone = 0;
  for (const auto& [member, observers] : failed) alone += observers.size() == 3 ? 1 : 0;
  CHECK(alone == 1);
  CHECK(failed.size() == 4);
}

TEST_CASE("start: an agent whose configuration is refused while the run goes fails the run, with the reason") {
  const RunResult r =
      run(kTwoZones + story(kBoot + "  - { at: 10s, restart: s.dc1, config: { segments: [{ name: a, port: 8303 }] } }\n"
                                    "  - { at: 20s, restart: s.dc1, config: { ports: { serf_lan: 8303 } } }\n"));
  const Outcome o = outcome(r, "s.dc1 starts");
  CHECK(o.verdict == Verdict::kFails);
  CHECK(o.decided_at == Instant{} + 20_s);
  CHECK(o.detail == "it did not come up: Port 8303 for segment \"a\" is already in use");
  CHECK(r.exit_status() == 1);
}

TEST_CASE("start: an agent that gives up later is told of, and fails nothing") {
  const RunResult r = run(kTwoZones + story("  - { at: 0s, start: \"role=client\" }\n", "expect: []", "10m"));
  CHECK(r.notes.empty());  // they try for good
  std::string limited = kTwoZones;
  limited.insert(limited.find("retry_join"), "retry_max: 1, retry_interval: 5s, ");
  const RunResult gone =
      run(limited + story("  - { at: 0s, start: \"role=client\" }\n  - { at: 1s, stop: c-3.dc1 }\n"));
  REQUIRE(gone.notes.size() == 2);
  CHECK(gone.notes[0].starts_with("c-1.dc1 ended by itself at "));
  CHECK(gone.notes[0].ends_with("agent: max join LAN retry exhausted, exiting"));
  CHECK(gone.exit_status() == 0);
}

TEST_CASE("steps: one whose condition never comes true is told of, and what waits for it") {
  const RunResult r =
      run(kTwoZones +
          story(kBoot + "  - { name: panic, when: count(consul.serf.member.failed) > 1000, crash: all }\n  - { name: "
                        "later, after: panic, start: all }\n"
                        "  - { name: calm, when: min(sim.members.alive) == 4, run: consul members, agent: s.dc1 }\n"));
  CHECK(r.notes == std::vector<std::string>{"step `panic` did not happen: its `when` never came true",
                                            "step `later` did not happen: what it waits for did not happen"});
  CHECK(r.exit_status() == 0);
  RunOptions cut;
  cut.until = 5_s;
  CHECK(run(kTwoZones + story("  - { name: panic, when: count(consul.serf.member.failed) > 1000, crash: all }\n"), cut)
            .notes.empty());
}

TEST_CASE("commands: leaving is no end by itself") {
  const RunResult r = run(
      kTwoZones +
      story(kBoot +
            "  - { at: 10s, run: consul leave, agent: c-1.dc1, expect: { exit: 0 } }\n  - { at: 10s, stop: c-2.dc1 }\n"
            "  - { at: 10s, crash: c-3.dc1 }\n"));
  CHECK(r.notes.empty());
  CHECK(r.exit_status() == 0);
}
