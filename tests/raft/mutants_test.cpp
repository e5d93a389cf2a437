#include <set>

#include "raft/group.h"

// Random schedules: delays, losses, partitions, crashes that lose what is not durable, transfers, snapshots. A sound
// node comes through all of them; each fault built in on purpose is found by the checker.
using namespace dcsim;
using namespace dcsim::test;

namespace {

struct Schedule {
  std::string violation;
  std::size_t acknowledged = 0;
  std::size_t leaders = 0;
};

Schedule run_schedule(Mutation mutation, std::uint64_t seed, const Config& base) {
  GroupOptions o;
  o.servers = 3 + seed % 2 * 2;
  o.config = base;
  o.config.mutation = mutation;
  o.config.trailing_logs = seed % 3 == 0 ? 4 : 10'000;
  o.config.snapshot_threshold = seed % 3 == 0 ? 16 : 100'000;
  o.config.snapshot_interval = 500_ms;
  o.seed = seed;
  o.latency = 1_ms;
  o.jitter = 40_ms;
  o.disk = 15_ms;
  o.io_timeout = 300_ms;
  o.loss = seed % 4 == 0 ? 50'000'000 : 5'000'000;
  o.keep_log = false;
  Group group(o);
  Schedule result;
  group.on_leader = [&](std::size_t) { ++result.leaders; };
  group.start();
  group.run_for(100_ms);  // until the first configuration is on the disks
  Rng draw(seed, "schedule", "faults");
  const auto any = [&] { return static_cast<std::size_t>(draw.below(group.size())); };
  for (int round = 0; round < 120 && !group.checker.violation(); ++round) {
    switch (draw.below(12)) {
      case 0:
      case 1:
        group.crash(any(), draw.below(3), draw.below(4));
        break;
      case 2:
        for (std::size_t i = 0; i < group.size(); ++i) {
          if (draw.below(3) == 0) group.crash(i, draw.below(2));
        }
        break;
      case 3:
        group.isolate(any());
        break;
      case 4:
        group.cut_one_way(any(), any());
        break;
      case 5:
      case 6:
        group.heal();
        break;
      case 7:
        if (Group::Member* leader = group.leader()) {
          (*leader)->transfer_leadership(group.now(), 0, "");
          group.settled(group.leader_index());
        }
        break;
      case 8:
        if (const std::size_t i = any(); group[i].up() && !base.sticky_leader) {  // else no lease would hold
          group[i]->fire_election_timer(group.now());
          group.settled(i);
        }
        break;
      case 9:
      case 10:
        if (seed % 5 == 0 && group.leader() != nullptr) {  // single-server changes across leaders
          const std::size_t i = any();
          const auto command = static_cast<ChangeCommand>(draw.below(4));
          group.with_token(group.leader_index(), [&](Node& n, Token t) {
            n.change_configuration(group.now(), t, {command, group[i].name, group[i].address, 0}, 200_ms);
          });
        }
        break;
      default:
        break;
    }
    for (std::size_t i = 0; i < group.size(); ++i) {
      if (!group[i].up() && draw.below(3) != 0) group.restart(i);
    }
    for (std::size_t n = draw.below(6); n > 0; --n) {
      for (std::size_t i = 0; i < group.size(); ++i) {
        if (group[i].up() && group[i]->role() == Role::kLeader) group.propose(i, "v" + std::to_string(round * 10 + n));
      }
      group.run_for(Duration{static_cast<std::int64_t>(draw.below(100'000'000))});
    }
    group.run_for(Duration{static_cast<std::int64_t>(draw.below(700'000'000))});
  }
  group.heal();
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (!group[i].up()) group.restart(i);
  }
  // A stale view of who may vote can leave a group of hashicorp/raft without a leader; only safety is judged then.
  if (mutation == Mutation::kNone && seed % 5 != 0) {
    group.options.loss = 0;
    CHECK(group.run_until([&] { return group.leader() != nullptr; }, 60_s));
    group.run_for(30_s);
    REQUIRE(group.leader() != nullptr);
    const Token token = group.propose(group.leader_index(), "end");
    Group::Member& leader = *group.leader();
    CHECK(group.run_until([&] { return leader.outcomes.count(token) != 0; }, 20_s));
    group.run_for(2_s);
    for (std::size_t i = 0; i < group.size(); ++i) CHECK(group[i].applied == leader.applied);
  }
  group.checker.at_end(group.now());
  result.violation = group.violation_text();
  result.acknowledged = group.checker.acknowledged();
  group.options.check = false;  // judged here
  return result;
}

Config profile(std::uint64_t seed) {
  switch (seed % 3) {
    case 0:
      return Config::plain();
    case 1:
      return Config::sticky();
    default:
      return Config::consul(1);
  }
}

std::string found(Mutation mutation) {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    const Schedule result = run_schedule(mutation, seed, profile(seed));
    if (!result.violation.empty()) {
      return result.violation;
    }
  }
  return "";
}

}  // namespace

TEST_CASE("mutants: a sound node keeps every invariant under random schedules") {
  std::size_t acknowledged = 0;
  std::size_t leaders = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    const Schedule result = run_schedule(Mutation::kNone, seed, profile(seed));
    CHECK(result.violation == "");
    acknowledged += result.acknowledged;
    leaders += result.leaders;
  }
  CHECK(acknowledged > 2000);  // the schedules let work through
  CHECK(leaders > 400);        // and disturb it
}

TEST_CASE("mutants: committing entries of old terms by counting is found") {
  CHECK(found(Mutation::kCommitsOldTerms).find("by counting") != std::string::npos);
}
TEST_CASE("mutants: voting twice is found") { CHECK(found(Mutation::kVotesTwice).starts_with("one vote per term")); }
TEST_CASE("mutants: forgetting the vote on restart is found") {
  CHECK(found(Mutation::kForgetsVote).starts_with("one vote per term"));
}
TEST_CASE("mutants: voting without looking at the log is found") {
  CHECK(found(Mutation::kSkipsLogCheck).starts_with("leader completeness"));
}
TEST_CASE("mutants: appending without looking at the entry before is found") {
  const std::string text = found(Mutation::kSkipsPreviousCheck);
  CHECK(text.starts_with("log matching"));
}
TEST_CASE("mutants: acknowledging before the disk has it is found") {
  CHECK(found(Mutation::kAcksBeforeSync).starts_with("durability"));
}
