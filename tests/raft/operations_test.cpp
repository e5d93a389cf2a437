#include "raft/group.h"

// What clients and operators ask for (hashicorp/raft api.go, configuration.go).
using namespace dcsim;
using namespace dcsim::test;

namespace {

GroupOptions options(std::size_t servers) {
  GroupOptions o;
  o.servers = servers;
  o.io_timeout = 200_ms;
  return o;
}

/// Asks for one change and gives it time.
std::string change(Group& group, std::size_t at, ChangeCommand command, const std::string& id,
                   const std::string& address, Index prev = 0, Duration timeout = 500_ms) {
  const Token token = group.with_token(at, [&](Node& n, Token t) {
    n.change_configuration(group.now(), t, {command, id, address, prev}, timeout);
  });
  group.run_for(1_s);
  const auto found = group[at].outcomes.find(token);
  return found == group[at].outcomes.end() ? "pending" : found->second;
}

std::string servers_of(Group& group, std::size_t i) {
  std::string text;
  for (const Server& s : group[i]->configurations().latest.servers)
    text += s.id + (s.suffrage == Suffrage::kVoter ? "v " : "n ");
  return text;
}

}  // namespace

TEST_CASE("apply: committed on a quorum and applied everywhere, in order") {
  Settled group(options(3));
  std::vector<Token> tokens;
  for (int i = 0; i < 10; ++i) tokens.push_back(group.propose(group.leader_index(), std::to_string(i)));
  group.run_for(1_s);
  for (std::size_t i = 0; i < 10; ++i) {
    CHECK(group.leader()->outcomes.at(tokens[i]) == "");
    CHECK(group.leader()->indexes.at(tokens[i]) == 3 + i);
  }
  for (std::size_t i = 0; i < 3; ++i) CHECK(group[i].applied == group.leader()->applied);
  CHECK(group[group.follower()].outcomes.at(group.propose(group.follower(), "no")) == "node is not the leader");
}

TEST_CASE("apply: lost leadership leaves it open, a long queue is given up in time") {
  Settled group(options(3));
  const std::size_t leader = group.leader_index();
  group.isolate(leader);
  const Token lost = group.propose(leader, "lost");
  group.run_for(600_ms);
  CHECK(group[leader].outcomes.at(lost) == "leadership lost while committing log");
  CHECK(group[leader].lines("failed to contact quorum of nodes, stepping down") == 1);

  Settled other(options(3));
  const std::size_t at = other.leader_index();
  other[at].disk.hang(true);
  other.propose(at, "first");
  const Token waits = other.with_token(at, [&](Node& n, Token t) { n.apply(other.now(), t, {}, {}, 300_ms); });
  other.run_for(301_ms);
  CHECK(other[at].outcomes.at(waits) == "timed out enqueuing operation");
  other[at].disk.hang(false);
}

TEST_CASE("barrier: answered once everything before it is applied") {
  Settled group(options(3));
  const std::size_t leader = group.leader_index();
  for (int i = 0; i < 100; ++i) group.propose(leader, std::to_string(i));
  const Token token = group.with_token(leader, [&](Node& n, Token t) { n.barrier(group.now(), t); });
  REQUIRE(group.run_until([&] { return group[leader].outcomes.count(token) != 0; }, 1_s));
  CHECK(group[leader].outcomes.at(token) == "");
  CHECK(group[leader].applied.size() == 100);
}

TEST_CASE("verify: a quorum has to answer requests that were sent after the question") {
  Settled group(options(3));
  const std::size_t leader = group.leader_index();
  const auto verify = [&] {
    return group.with_token(leader, [&](Node& n, Token t) { n.verify_leader(group.now(), t); });
  };
  const Instant asked = group.now();
  const Token good = verify();
  REQUIRE(group.run_until([&] { return group[leader].outcomes.count(good) != 0; }, 1_s));
  CHECK(group[leader].outcomes.at(good) == "");
  CHECK(group.now() - asked >= 400_us);  // a round trip, not an answer that was under way
  CHECK(group.now() - asked < 2_ms);

  group.isolate(leader);
  const Token lost = verify();
  group.run_for(600_ms);
  CHECK(group[leader].outcomes.at(lost) == "leadership lost while committing log");
  CHECK(group[group.follower()].outcomes.at(group.with_token(
            group.follower(), [&](Node& n, Token t) { n.verify_leader(group.now(), t); })) == "node is not the leader");

  Settled single(options(1));
  const Token alone = single.with_token(0, [&](Node& n, Token t) { n.verify_leader(single.now(), t); });
  CHECK(single[0].outcomes.at(alone) == "");
}

TEST_CASE("verify: a paused leader that was replaced does not confirm itself") {
  Settled group(options(3));
  const std::size_t old = group.leader_index();
  group[old].paused = true;
  REQUIRE(group.run_until([&] { return group.leader() != nullptr && group.leader_index() != old; }, 20_s));
  group.run_for(1_s);
  // It goes on, and is asked before its first lease check.
  const Token token = group.with_token(old, [&](Node& n, Token t) { n.verify_leader(group.now(), t); });
  group[old].paused = false;
  group.run_for(1_s);
  CHECK(group[old].outcomes.at(token) != "");
  CHECK(group[old]->role() == Role::kFollower);
}

TEST_CASE("verify: non-voters are not counted") {
  GroupOptions o = options(5);
  o.nonvoters = 2;
  Settled group(o);
  const std::size_t leader = group.leader_index();
  for (std::size_t i = 0; i < 3; ++i) {
    if (i != leader) group.cut(leader, i);
  }
  const Token token = group.with_token(leader, [&](Node& n, Token t) { n.verify_leader(group.now(), t); });
  group.run_for(300_ms);
  CHECK(group[leader].outcomes.count(token) == 0);
}

TEST_CASE("bootstrap: only on a server without any state") {
  Settled group(options(3));
  const auto bootstrap = [&](std::size_t i, const Configuration& c) {
    return group[i].outcomes.at(group.with_token(i, [&](Node& n, Token t) { n.bootstrap(group.now(), t, c); }));
  };
  CHECK(bootstrap(0, group.configuration()) == "bootstrap only works on new clusters");
  group.add_server();
  group.start(3);
  CHECK(bootstrap(3, group.configuration()) == "node is not a voter");
  Configuration twice = group.configuration();
  twice.servers.push_back({Suffrage::kVoter, "n4", twice.servers[0].address});
  CHECK(bootstrap(3, twice) == "found duplicate address in configuration: " + twice.servers[0].address);
}

TEST_CASE("membership: servers are added, promoted, demoted and removed one at a time") {
  Settled group(options(3));
  const std::size_t leader = group.leader_index();
  group.add_server();
  group.start(3);
  CHECK(change(group, leader, ChangeCommand::kAddNonvoter, "n4", group[3].address) == "");
  CHECK(servers_of(group, 3) == "n1v n2v n3v n4n ");
  CHECK(group[leader].lines("[INFO] updating configuration command=AddNonvoter server-id=n4 server-addr=" +
                            group[3].address + " servers=[{Suffrage:Voter ID:n1 Address:") == 1);
  CHECK(change(group, leader, ChangeCommand::kAddVoter, "n4", group[3].address) == "");
  CHECK(servers_of(group, 3) == "n1v n2v n3v n4v ");
  CHECK(change(group, leader, ChangeCommand::kAddNonvoter, "n4", "10.9.9.9:8300") == "");  // a voter stays one
  CHECK(servers_of(group, leader) == "n1v n2v n3v n4v ");
  CHECK(group[leader].lines("[INFO] updating peer peer=n4") == 1);
  CHECK(change(group, leader, ChangeCommand::kDemoteVoter, "n4", "") == "");
  CHECK(servers_of(group, leader) == "n1v n2v n3v n4n ");
  CHECK(change(group, leader, ChangeCommand::kRemoveServer, "n4", "") == "");
  CHECK(change(group, leader, ChangeCommand::kRemoveServer, "n4", "") == "");  // again: nothing to do
  CHECK(servers_of(group, leader) == "n1v n2v n3v ");
  CHECK(group[leader].lines("[INFO] removed peer, stopping replication peer=n4") == 1);
}

TEST_CASE("membership: what nextConfiguration and checkConfiguration refuse") {
  Settled group(options(2));
  const std::size_t leader = group.leader_index();
  CHECK(change(group, leader, ChangeCommand::kAddVoter, "n9", group[0].address) ==
        "found duplicate address in configuration: " + group[0].address);
  CHECK(change(group, leader, ChangeCommand::kAddVoter, "n9", "").starts_with("empty address in configuration: "));
  CHECK(change(group, leader, ChangeCommand::kAddVoter, "", "a:1").starts_with("empty ID in configuration: "));
  CHECK(change(group, leader, ChangeCommand::kAddVoter, "n9", "a:1", 77) ==
        "configuration changed since 77 (latest is 1)");
  CHECK(change(group, group.follower(), ChangeCommand::kAddVoter, "n9", "a:1") == kErrNotLeader);
  CHECK(servers_of(group, leader) == "n1v n2v ");
  Settled single(options(1));
  CHECK(change(single, 0, ChangeCommand::kRemoveServer, "n1", "")
            .starts_with("need at least one voter in configuration: "));
}

TEST_CASE("membership: a second change waits for the first") {
  Settled group(options(3));
  const std::size_t leader = group.leader_index();
  for (std::size_t i = 0; i < 2; ++i) group.crash(group.follower(i));
  const auto ask = [&](const std::string& id) {
    return group.with_token(leader, [&](Node& n, Token t) {
      n.change_configuration(group.now(), t, {ChangeCommand::kAddNonvoter, id, id + ":1", 0}, 200_ms);
    });
  };
  ask("n8");
  group.run_for(50_ms);
  const Token second = ask("n9");
  group.run_for(250_ms);
  CHECK(group[leader].outcomes.at(second) == kErrEnqueueTimeout);
  CHECK(servers_of(group, leader) == "n1v n2v n3v n8n ");
}

TEST_CASE("membership: a leader that removes itself leads until that is committed") {
  for (const bool shut_down : {false, true}) {
    CAPTURE(shut_down);
    GroupOptions o = options(3);
    o.config.shutdown_on_remove = shut_down;
    Settled group(o);
    const std::size_t old = group.leader_index();
    CHECK(change(group, old, ChangeCommand::kRemoveServer, group[old].name, "") == "");
    group.run_for(5_s);
    REQUIRE(group.leader() != nullptr);
    CHECK(group.leader_index() != old);
    CHECK(group[old].up() != shut_down);
    CHECK(group[old].lines(shut_down ? "removed ourself, shutting down"
                                     : "removed ourself, transitioning to follower") == 1);
    CHECK(voters_of(group.leader()->node->configurations().latest) == 2);
  }
}

TEST_CASE("membership: two removals with delayed commits never give two leaders in a term") {
  // etcd-io/etcd issue 11284: safe only if a configuration is in force from the moment it is appended.
  Settled group(options(3));
  const std::size_t a = group.leader_index();
  const std::size_t b = group.follower(0);
  const std::size_t c = group.follower(1);
  change(group, a, ChangeCommand::kRemoveServer, group[c].name, "");
  group.isolate(c);
  change(group, a, ChangeCommand::kRemoveServer, group[b].name, "");
  group.heal();
  group.cut(a, b);
  group.cut(a, c);
  group.run_for(60_s);
  CHECK(group[a]->role() == Role::kLeader);
  CHECK(group[b]->role() != Role::kLeader);
  CHECK(group[c]->role() != Role::kLeader);
}

TEST_CASE("snapshot: on demand, and what there is to say against it") {
  Settled group(options(3));
  const std::size_t leader = group.leader_index();
  const auto snapshot = [&] {
    const Token t = group.with_token(leader, [&](Node& n, Token x) { n.take_snapshot(group.now(), x); });
    group.run_for(100_ms);
    return group[leader].outcomes.at(t);
  };
  CHECK(snapshot() == "");
  CHECK(snapshot() == "nothing new to snapshot");
  group.propose(leader, "x");
  group.run_for(1_s);
  CHECK(snapshot() == "");
  CHECK(group[leader]->last_snapshot().index == 3);
}

TEST_CASE("restore: an operator's snapshot replaces the state of the whole group") {
  Settled group(options(3));
  const std::size_t leader = group.leader_index();
  group.propose(leader, "old");
  group.run_for(1_s);
  SnapshotMeta meta;
  meta.index = 1000;
  const std::string text = "a\nb\n";
  const Token t =
      group.with_token(leader, [&](Node& n, Token x) { n.restore(group.now(), x, meta, Bytes(view_of(text))); });
  group.run_for(12_s);
  CHECK(group[leader].outcomes.at(t) == "");
  CHECK(group[leader]->last_snapshot().index == 1001);
  group.propose(group.leader_index(), "c");
  group.run_for(1_s);
  for (std::size_t i = 0; i < 3; ++i) CHECK(group[i].applied == std::vector<std::string>{"a", "b", "c"});
  CHECK(group[group.follower()].outcomes.at(group.with_token(
            group.follower(), [&](Node& n, Token x) { n.restore(group.now(), x, meta, {}); })) == kErrNotLeader);
}

TEST_CASE("reload: a shorter heartbeat timeout takes effect at once") {
  Settled group(options(3));
  const std::size_t f = group.follower();
  ReloadableConfig values;
  values.heartbeat_timeout = values.election_timeout = 500_ms;
  CHECK(group[f]->reload(group.now(), values));
  CHECK(group[f]->next_deadline() < group.now() + 1_s);
  CHECK(group[f]->config().heartbeat_timeout == 500_ms);
  values.heartbeat_timeout = 1_ms;
  CHECK_FALSE(group[f]->reload(group.now(), values));
  CHECK(group[f]->config().heartbeat_timeout == 500_ms);
  group.run_for(1_s);
  CHECK(group[f]->role() == Role::kFollower);
}

TEST_CASE("shutdown: what is outstanding fails, and nothing is taken any more") {
  Settled group(options(3));
  Group::Member& leader = *group.leader();
  group.isolate(group.leader_index());
  const Token waits = group.propose(group.leader_index(), "x");
  leader->shutdown(group.now());
  CHECK(leader.outcomes.at(waits) == "raft is already shutdown");
  leader->apply(group.now(), 999, {});
  CHECK(leader.outcomes.at(999) == "raft is already shutdown");
  CHECK(leader->next_deadline() == Instant::never());
  CHECK_FALSE(leader.leading);
}
