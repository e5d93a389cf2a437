#include "raft/group.h"

// What has to be durable when, and disks that fail, hang or lose power.
using namespace dcsim;
using namespace dcsim::test;

namespace {

GroupOptions options(std::size_t servers) {
  GroupOptions o;
  o.servers = servers;
  o.io_timeout = 200_ms;
  return o;
}

std::vector<LogEntry> entries(Index from, std::size_t count, Term term = 1) {
  std::vector<LogEntry> out(count);
  for (std::size_t i = 0; i < count; ++i) {
    out[i].index = from + i;
    out[i].term = term;
  }
  return out;
}

}  // namespace

TEST_CASE("memory storage: reads see everything at once, a crash keeps what has ended") {
  MemoryStorage disk(10_ms);
  disk.save(Instant{0}, 1, {3, 3, "a:1"});
  disk.append(Instant{0}, 2, entries(1, 5));
  CHECK(disk.record().current_term == 3);
  CHECK(disk.last_index() == 5);
  CHECK(disk.durable().last_index == 0);
  CHECK_FALSE(disk.take_done(Instant{9'999'999}));
  CHECK(disk.take_done(Instant{10'000'000})->op == 1);
  CHECK(disk.durable().record.vote_candidate == "a:1");
  disk.crash();
  CHECK(disk.last_index() == 0);
  CHECK(disk.record().current_term == 3);
}

TEST_CASE("memory storage: a crash may keep some writes, and part of an append") {
  MemoryStorage disk(10_ms);
  disk.append(Instant{0}, 1, entries(1, 3));
  disk.remove(Instant{0}, 2, 2, 3);
  disk.append(Instant{0}, 3, entries(2, 4, 2));
  disk.crash(2, 1);
  CHECK(disk.last_index() == 2);
  CHECK(disk.entries(2, 1).front().term == 2);
  disk.append(Instant{0}, 4, entries(3, 2, 2));
  disk.crash(0);
  CHECK(disk.last_index() == 2);
}

TEST_CASE("memory storage: a failed write leaves nothing, nor do those behind it") {
  MemoryStorage disk(10_ms);
  disk.append(Instant{0}, 1, entries(1, 3));
  disk.fail_next("input/output error");
  disk.append(Instant{0}, 2, entries(4, 3));
  disk.append(Instant{0}, 3, entries(7, 1));
  const Instant later{100'000'000};
  CHECK(disk.take_done(later)->error == "");
  CHECK(disk.take_done(later)->error == "input/output error");
  CHECK(disk.last_index() == 3);
  CHECK(disk.take_done(later)->error == "input/output error");
  CHECK_FALSE(disk.take_done(later));
}

TEST_CASE("memory storage: the newest snapshot stays, whatever comes late") {
  MemoryStorage disk;
  disk.save_snapshot(Instant{0}, 1, {10, 2, {}, 1}, Bytes(view_of("ten")));
  disk.save_snapshot(Instant{0}, 2, {5, 1, {}, 1}, Bytes(view_of("five")));
  CHECK(disk.snapshot()->index == 10);
  CHECK(dcsim::text_of(disk.snapshot_state()) == "ten");
}

TEST_CASE("durability: a grant leaves only after term and vote are on the disk, in that order") {
  GroupOptions o = options(3);
  o.disk = 20_ms;
  Settled group(o);
  const std::size_t voter = group.follower(0);
  const std::size_t candidate = group.follower(1);
  group.crash(group.leader_index());
  group[voter]->forget_leader(group.now());
  const Instant asked = group.now();
  std::optional<Instant> answered;
  group.loses = [&](std::size_t from, std::size_t, const Envelope& e) {
    if (from == voter && e.kind() == "vote_reply") answered = group.now();
    return false;
  };
  group[candidate]->fire_election_timer(group.now());
  group.settled(candidate);
  REQUIRE(group.run_until([&] { return answered.has_value(); }, 5_s));
  CHECK(*answered - asked >= 80_ms);  // the candidate's two writes, then the voter's two
  CHECK(group[voter].disk.durable().record.vote_term == group[voter]->term());
  CHECK(group[voter].disk.durable().record.vote_candidate == group[candidate].address);
}

TEST_CASE("durability: a crash at every write of a vote never lets the old candidate in without a look at its log") {
  // hashicorp/raft keeps term and candidate of a vote apart; a crash in between makes it grant the candidate of the
  // earlier term in the new one, log or no log.
  for (std::size_t kept = 0; kept < 3; ++kept) {
    CAPTURE(kept);
    SilentActions actions;
    Config config = Config::consul(1);
    config.id = "n2";
    config.address = "n2";
    for (const char* name : {"n1", "n2", "n3", "n4", "n5"})
      config.initial.servers.push_back({Suffrage::kVoter, name, name});
    MemoryStorage disk;
    disk.save(Instant{0}, 0, {3, 3, "n4"});
    disk.append(Instant{0}, 0, entries(1, 5, 3));
    while (disk.take_done(Instant{0})) {
    }
    const auto settle = [&](Node& n) {
      while (const auto done = disk.take_done(Instant{1})) n.on_stored(Instant{1}, done->op, done->error);
    };
    wire::RequestVoteRequest vote;
    vote.term = 4;
    {
      Node node(config, disk, actions, 1, "n2");
      node.start(Instant{0});
      settle(node);
      vote.header = {3, "n3", "n3"};
      vote.last_log_index = 5;
      vote.last_log_term = 3;
      node.on_request(Instant{1}, 1, vote);
      for (std::size_t i = 0; i < kept; ++i) {
        if (const auto done = disk.take_done(Instant{1})) node.on_stored(Instant{1}, done->op, done->error);
      }
    }
    disk.crash();
    actions.granted = false;
    Node again(config, disk, actions, 1, "n2");
    again.start(Instant{1});
    settle(again);
    vote.header = {3, "n4", "n4"};
    vote.last_log_index = 1;
    vote.last_log_term = 1;
    again.on_request(Instant{1}, 2, vote);
    settle(again);
    CHECK_FALSE(actions.granted);
    CHECK(again.term() == 4);
  }
}

TEST_CASE("disk stall: a leader whose disk hangs gives up, and another leads") {
  // hashicorp/raft issues 503 and 612.
  Settled group(options(5));
  const std::size_t old = group.leader_index();
  group[old].disk.hang(true);
  group.propose(old, "stuck");
  const Config& config = group.options.config;
  REQUIRE(group.run_until([&] { return group.leader() != nullptr && group.leader_index() != old; },
                          config.disk_stall_limit + config.heartbeat_timeout * 3 + config.election_timeout * 2));
  CHECK(group[old]->role() == Role::kFollower);
  const Token token = group.propose(group.leader_index(), "goes on");
  group.run_for(1_s);
  CHECK(group.leader()->outcomes.at(token) == "");
  group[old].disk.hang(false);
  group.run_for(12_s);
  CHECK(group[old].applied == std::vector<std::string>{"goes on"});
}

TEST_CASE("disk stall: with the bound switched off everything hangs, as with hashicorp/raft") {
  GroupOptions o = options(5);
  o.config.disk_stall_limit = Duration{0};
  Settled group(o);
  const std::size_t old = group.leader_index();
  group[old].disk.hang(true);
  const Token token = group.propose(old, "stuck");
  group.run_for(60_s);
  CHECK(group.leader_index() == old);
  CHECK(group[old].outcomes.count(token) == 0);
  CHECK(group[group.follower()]->leader_id() == group[old].name);
  group[old].disk.hang(false);
  group.run_for(1_s);
  CHECK(group[old].outcomes.at(token) == "");
}

TEST_CASE("disk errors: the leader's append makes it step down, a follower's is refused and tried again") {
  Settled group(options(3));
  const std::size_t f = group.follower();
  group[f].disk.fail_next("no space left on device");
  const Token token = group.propose(group.leader_index(), "x");
  group.run_for(2_s);
  CHECK(group.leader()->outcomes.at(token) == "");
  CHECK(group[f].lines("[ERROR] failed to append to logs error=no space left on device") == 1);
  CHECK(group[f].applied == std::vector<std::string>{"x"});

  const std::size_t old = group.leader_index();
  group[old].disk.fail_next("no space left on device");
  const Token failed = group.propose(old, "y");
  group.run_for(10_ms);
  CHECK(group[old].outcomes.at(failed) == "no space left on device");
  CHECK(group[old].lines("[ERROR] failed to commit logs error=no space left on device") == 1);
  CHECK(group[old]->role() == Role::kFollower);
  CHECK(group.run_until([&] { return group.leader() != nullptr; }, 10_s));
}

TEST_CASE("disk errors: a term that cannot be written is the end of the server, a vote is only refused") {
  Settled group(options(3));
  const std::size_t f = group.follower();
  group[f].disk.fail_next("input/output error");
  group[f]->fire_election_timer(group.now());
  group[f]->forget_leader(group.now());
  group.crash(group.leader_index());
  group.run_for(10_s);
  CHECK(group[f].panicked.starts_with("failed to save current term: input/output error"));
  CHECK_FALSE(group[f].up());
}

TEST_CASE("power: all servers go down and come back within a heartbeat timeout") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    GroupOptions o = options(5);
    o.seed = seed;
    o.keep_log = false;
    Settled group(o);
    Rng draw(seed, "power", "test");
    std::size_t accepted = 0;
    group.on_finished = [&](std::size_t, Token, const Outcome& outcome) { accepted += outcome.ok() ? 1 : 0; };
    for (int i = 0; i < 20; ++i) {
      group.propose(group.leader_index(), std::to_string(i));
      group.run_for(Duration{static_cast<std::int64_t>(draw.below(300'000))});
    }
    for (std::size_t i = 0; i < 5; ++i) group.crash(i, draw.below(2), draw.below(3));
    std::vector<Duration> back;
    for (std::size_t i = 0; i < 5; ++i) back.push_back(draw.below(1_s));
    for (std::size_t n = 0; n < 5; ++n) {
      const auto next = std::min_element(back.begin(), back.end());
      const Duration wait = *next;
      group.run_for(std::max(Duration{0}, wait - (n == 0 ? Duration{0} : *std::min_element(back.begin(), back.end()))));
      group.restart(static_cast<std::size_t>(next - back.begin()));
      *next = Duration::max();
    }
    CHECK(group.run_until([&] { return group.leader() != nullptr; }, 6_s));
    group.run_for(2_s);
    CHECK(group.leader()->applied.size() >= accepted);
  }
}
