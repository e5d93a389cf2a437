#include "raft/group.h"

// Heartbeats, replication, pipelining, conflicts, snapshots (hashicorp/raft replication.go, raft.go appendEntries).
using namespace dcsim;
using namespace dcsim::test;

namespace {

GroupOptions options(std::size_t servers) {
  GroupOptions o;
  o.servers = servers;
  o.io_timeout = 200_ms;
  return o;
}

}  // namespace

TEST_CASE("util: backoff is 10 ms twice, then doubles up to about 10 s") {
  CHECK(backoff(0) == 10_ms);
  CHECK(backoff(1) == 10_ms);
  CHECK(backoff(2) == 10_ms);
  CHECK(backoff(3) == 20_ms);
  CHECK(backoff(12) == 10240_ms);
  CHECK(backoff(100) == 10240_ms);
}

TEST_CASE("replication: an idle leader sends each follower a heartbeat per 150 ms and an AppendEntries per 75 ms") {
  Settled group(options(3));
  group.count_sent = true;
  group.run_for(100_s);
  CHECK(static_cast<double>(group.sent["heartbeat"]) == doctest::Approx(2 * 100 / 0.150).epsilon(0.03));
  CHECK(static_cast<double>(group.sent["append"]) == doctest::Approx(2 * 100 / 0.075).epsilon(0.03));
  CHECK(group.sent["prevote"] == 0);
}

TEST_CASE("replication: heartbeats go on while the follower's disk hangs, and it does not campaign") {
  Settled group(options(3));
  const std::size_t f = group.follower();
  group[f].disk.hang(true);
  const Token token = group.propose(group.leader_index(), "x");
  group.run_for(10_s);
  CHECK(group.leader()->outcomes.at(token) == "");
  CHECK(group[f].applied.empty());
  CHECK(group[f]->role() == Role::kFollower);
  CHECK(group.now() - group[f]->last_contact() < 300_ms);
  group[f].disk.hang(false);
  group.run_for(1_s);  // hashicorp/raft issue 612: the replicator recovers when the disk does
  CHECK(group[f].applied == std::vector<std::string>{"x"});
}

TEST_CASE("replication: a pipeline of two, at most 64 entries each, one durable write per batch") {
  Settled group(options(3));
  const std::size_t leader = group.leader_index();
  CHECK(group.leader()->lines("[INFO] pipelining replication peer={Voter n") == 2);
  std::size_t most = 0;
  std::map<std::size_t, int> flying;
  int most_flying = 0;
  group.loses = [&](std::size_t from, std::size_t to, const Envelope& e) {
    if (e.kind() == "append" && from == leader) most_flying = std::max(most_flying, ++flying[to]);
    if (e.kind() == "append_reply" && to == leader && flying[from] > 0) --flying[from];
    if (const auto* m = e.get<wire::AppendEntriesRequest>()) most = std::max(most, m->entries.size());
    return false;
  };
  for (int i = 0; i < 300; ++i) group.propose(leader, std::to_string(i));
  CHECK(group[leader].disk.outstanding() == 1);  // the first went alone, the others queue
  group.run_for(1_s);
  for (std::size_t i = 0; i < 3; ++i) CHECK(group[i].applied.size() == 300);
  CHECK(most == 64);
  CHECK(most_flying <= 3);  // two appends, and a heartbeat's answer counted with them
}

TEST_CASE("replication: a diverged tail is replaced, back by one per refusal") {
  Settled group(options(3));
  const std::size_t old = group.leader_index();
  group.isolate(old);
  for (int i = 0; i < 5; ++i) group.propose(old, "lost" + std::to_string(i));
  REQUIRE(group.run_until([&] { return group.leader_index() != old && group.leader() != nullptr; }, 20_s));
  for (int i = 0; i < 3; ++i) group.propose(group.leader_index(), "kept" + std::to_string(i));
  group.run_for(1_s);
  std::vector<std::string> errors;
  for (const auto& [token, error] : group[old].outcomes) {
    if (!error.empty()) errors.push_back(error);
  }
  CHECK(errors == std::vector<std::string>(5, std::string(kErrLeadershipLost)));
  group.heal();
  group.run_for(5_s);
  CHECK(group[old].applied == std::vector<std::string>{"kept0", "kept1", "kept2"});
  CHECK(group[old].lines("[WARN] clearing log suffix from=3 to=7") == 1);
}

TEST_CASE("replication: a follower that is behind costs a new leader one refusal") {
  Settled group(options(3));
  const std::size_t f = group.follower(0);
  const std::size_t next = group.follower(1);
  group.isolate(f);
  for (int i = 0; i < 5; ++i) group.propose(group.leader_index(), std::to_string(i));
  group.run_for(1_s);
  group.with_token(group.leader_index(),
                   [&](Node& n, Token t) { n.transfer_leadership(group.now(), t, group[next].name); });
  group.run_for(1_s);
  REQUIRE(group.leader_index() == next);
  group.heal();
  group.run_for(12_s);
  CHECK(group[f].applied.size() == 5);
  CHECK(group[next].lines("[WARN] appendEntries rejected, sending older logs peer={Voter " + group[f].name) == 1);
  CHECK(group[next].lines(" next=3") == 1);
  CHECK(group[f].lines("[WARN] failed to get previous log previous-index=7 last-index=2 error=log not found") == 1);
}

TEST_CASE("replication: late disks do not acknowledge an overwritten tail") {
  // etcd-io/raft testdata/async_storage_writes_append_aba_race.txt, as a schedule: every leader is cut off after its
  // append reached one slow follower.
  GroupOptions o = options(3);
  o.disk = 40_ms;
  Settled group(o);
  for (int round = 0; round < 30; ++round) {
    REQUIRE(group.run_until([&] { return group.leader() != nullptr; }, 20_s));
    const std::size_t leader = group.leader_index();
    const std::size_t slow = group.follower(static_cast<std::size_t>(round) % 2);
    for (std::size_t i = 0; i < 3; ++i) {
      if (i != leader && i != slow) group.cut(leader, i);
    }
    group.propose(leader, "r" + std::to_string(round));
    group.run_for(45_ms);
    group.isolate(leader);
    group.run_until([&] { return group.leader() != nullptr && group.leader_index() != leader; }, 10_s);
    group.heal();
    group.run_for(Duration{static_cast<std::int64_t>(round) * 7'000'000});
  }
  group.run_for(10_s);
  CHECK(group[0].applied == group[1].applied);
  CHECK(group[1].applied == group[2].applied);
}

TEST_CASE("heartbeats: after failures the pause grows, up to half the heartbeat timeout") {
  Settled group(options(3));
  const std::size_t f = group.follower();
  group.crash(f);
  group.run_for(20_s);
  Group::Member& leader = *group.leader();
  CHECK(leader.lines("failed to heartbeat to peer=" + group[f].address + " backoff time=10ms") == 3);
  CHECK(leader.lines("failed to heartbeat to peer=" + group[f].address + " backoff time=320ms") == 1);
  CHECK(leader.lines("failed to heartbeat to peer=" + group[f].address + " backoff time=500ms") > 10);
  group.restart(f);
  group.run_for(12_s);
  CHECK(group[f]->leader_id() == leader.name);
}

TEST_CASE("snapshots: taken when due, the log cut behind the trailing entries, a straggler sent it whole") {
  GroupOptions o = options(3);
  o.config.snapshot_threshold = 50;
  o.config.snapshot_interval = 1_s;
  o.config.trailing_logs = 10;
  Settled group(o);
  const std::size_t f = group.follower();
  group.crash(f);
  for (int i = 0; i < 200; ++i) {
    group.propose(group.leader_index(), std::to_string(i));
    group.run_for(20_ms);
  }
  group.run_for(3_s);
  Group::Member& leader = *group.leader();
  const Index taken = leader->last_snapshot().index;
  CHECK(taken > 100);
  CHECK(leader.lines("[INFO] starting snapshot up to index=") >= 1);
  CHECK(leader.lines("[INFO] compacting logs from=1 to=") == 1);
  CHECK(leader.lines("[INFO] snapshot complete up to index=" + std::to_string(taken)) == 1);
  CHECK(leader.disk.first_index() > 100);
  group.restart(f);
  group.run_for(12_s);
  CHECK(group[f].applied.size() == 200);
  CHECK(group[f].lines("[INFO] Installed remote snapshot") == 1);
  CHECK(group[f]->last_snapshot().index == taken);
  CHECK(leader.lines("[INFO] installing snapshot on peer=" + group[f].name) >= 1);
  // It comes back from its own copy.
  group.crash(f);
  group.restart(f);
  CHECK(group[f].applied.size() >= taken - 3);
  CHECK(group[f]->commit_index() == 0);
  group.run_for(12_s);
  CHECK(group[f].applied.size() == 200);
}

TEST_CASE("append: nonsense from a peer is refused, and changes nothing") {
  Settled group(options(3));
  const std::size_t f = group.follower();
  const std::size_t leader = group.leader_index();
  const LogPosition end = group[f]->last_log();
  const auto send = [&](Index prev, Term prev_term, std::vector<std::pair<Index, Term>> list) {
    std::vector<LogEntry> entries;
    for (const auto& [index, term] : list) {
      LogEntry& e = entries.emplace_back();
      e.index = index;
      e.term = term;
    }
    wire::AppendEntriesRequest m;
    m.header = {3, group[leader].name, group[leader].address};
    m.term = group[f]->term();
    m.prev_log_entry = prev;
    m.prev_log_term = prev_term;
    m.entries = entries;
    m.leader_commit_index = 1'000'000;
    group[f]->on_request(group.now(), 0, m);
    group.settled(f);
  };
  group.takes = [](std::size_t, RpcId, std::size_t, const Envelope&) { return true; };
  send(end.index, end.term, {{end.index + 2, end.term}});      // a hole
  send(end.index, end.term, {{end.index + 1, end.term + 7}});  // of a term to come
  send(end.index, end.term, {{end.index + 1, end.term - 1}});  // terms fall
  send(end.index + 5, end.term, {});                           // beyond the log
  send(0, 0, {{1, end.term}});                                 // would remove what is committed
  send(~Index{0}, end.term, {{0, end.term}});                  // indexes wrap
  group.run_for(10_ms);
  CHECK(group[f]->last_log() == end);
  CHECK(group[f]->commit_index() == end.index);
  CHECK(group[f].lines("[WARN] failed to get previous log previous-index=7") == 1);
}
