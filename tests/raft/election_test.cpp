#include "raft/group.h"

// Timers, candidates, votes and pre-votes (hashicorp/raft raft.go, and its tests of pre-vote and leases).
using namespace dcsim;
using namespace dcsim::test;

namespace {

GroupOptions options(std::size_t servers, Config config = Config::consul(1)) {
  GroupOptions o;
  o.servers = servers;
  o.config = std::move(config);
  o.config.shutdown_on_remove = false;
  o.io_timeout = 200_ms;
  return o;
}

}  // namespace

TEST_CASE("config: Consul's multiplier scales heartbeat, election and lease only") {
  const Config one = Config::consul(1);
  const Config five = Config::consul();
  CHECK(one.heartbeat_timeout == 1_s);
  CHECK(five.heartbeat_timeout == 5_s);
  CHECK(five.election_timeout == 5_s);
  CHECK(five.leader_lease_timeout == 2500_ms);
  CHECK(five.commit_timeout == 50_ms);
  CHECK(five.snapshot_interval == 30_s);
  CHECK(five.snapshot_threshold == 16384);
  CHECK(five.trailing_logs == 10240);
  CHECK_FALSE(five.shutdown_on_remove);
}

TEST_CASE("config: what ValidateConfig refuses") {
  const auto problem = [](auto change) {
    Config c = Config::consul(1);
    c.id = "a";
    c.address = "a:1";
    change(c);
    const auto error = c.problem();
    return error ? error->text : "";
  };
  CHECK(problem([](Config&) {}) == "");
  CHECK(problem([](Config& c) { c.id.clear(); }) == "LocalID cannot be empty");
  CHECK(problem([](Config& c) { c.heartbeat_timeout = 4_ms; }) == "HeartbeatTimeout is too low");
  CHECK(problem([](Config& c) { c.commit_timeout = 999_us; }) == "CommitTimeout is too low");
  CHECK(problem([](Config& c) { c.max_append_entries = 1025; }) == "MaxAppendEntries is too large");
  CHECK(problem([](Config& c) { c.leader_lease_timeout = 2_s; }).find("LeaderLeaseTimeout") == 0);
  CHECK(problem([](Config& c) { c.heartbeat_timeout = 3_s; }).find("ElectionTimeout") == 0);
}

TEST_CASE("election: a fresh group is silent until it is bootstrapped") {
  Group group(options(3));
  for (std::size_t i = 0; i < 3; ++i) group.start(i);
  group.run_for(20_s);
  CHECK(group.leader() == nullptr);
  CHECK(group[0]->term() == 0);
  CHECK(group[0].lines("[WARN] no known peers, aborting election") == 1);
}

TEST_CASE("election: the first leader of a bootstrapped group has term 2 and its noop at index 2") {
  Settled group(options(3));
  CHECK(group.leader()->node->term() == 2);
  const auto entries = group.leader()->disk.entries(1, 9);
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].type == LogType::kConfiguration);
  CHECK(entries[0].term == 1);
  CHECK(entries[1].type == LogType::kNoop);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(group[i]->commit_index() == 2);
    CHECK(group[i]->leader_id() == group.leader()->name);
  }
}

TEST_CASE("election: a single server elects itself") {
  Settled group(options(1));
  CHECK(group.leader()->node->term() == 2);
  CHECK(group[0]->commit_index() == 2);
}

TEST_CASE("timers: contact does not re-arm the follower's timer") {
  Settled group(options(3));
  const std::size_t f = group.follower();
  const Instant before = group[f]->next_deadline();
  bool heard = false;
  group.run_until(
      [&] {
        heard = heard || group[f]->last_contact() > before - 300_ms;
        return group[f]->next_deadline() != before;
      },
      2_s);
  CHECK(heard);
  CHECK(group.now() >= before);  // it moved only when it was due
}

TEST_CASE("election: what an operator reads in the log") {
  Settled group(options(3));
  Group::Member& old = *group.leader();
  const std::string address = old.address;
  const std::string name = old.name;
  group.crash(group.leader_index());
  REQUIRE(group.run_until([&] { return group.leader() != nullptr; }, 20_s));
  group.run_for(1_s);
  Group::Member& next = *group.leader();
  CHECK(next.lines("[WARN] heartbeat timeout reached, starting election last-leader-addr=" + address +
                   " last-leader-id=" + name) == 1);
  CHECK(next.lines("[INFO] entering candidate state node=Node at " + next.address + " [Candidate] term=3") >= 1);
  CHECK(next.lines("[INFO] pre-vote successful, starting election term=3 tally=2 refused=") == 1);
  CHECK(next.lines("[INFO] election won term=3 tally=2") == 1);
  CHECK(next.lines("[INFO] entering leader state leader=Node at " + next.address + " [Leader]") == 1);
  CHECK(next.lines("[INFO] added peer, starting replication peer=" + name) == 1);
  CHECK(next.lines("[ERROR] failed to heartbeat to peer=" + address + " backoff time=10ms error=connection refused") >=
        1);
  CHECK(next.lines("[ERROR] failed to appendEntries to peer={Voter " + name) >= 1);
}

TEST_CASE("votes: a server that knows a leader refuses others and keeps its term") {
  Settled group(options(3, Config::sticky()));
  const std::size_t a = group.follower(0);
  const std::size_t b = group.follower(1);
  const Term term = group[b]->term();
  group.cut(a, group.leader_index());
  group[a]->fire_election_timer(group.now());
  group.settled(a);
  group.run_for(100_ms);
  CHECK(group[a]->term() == term + 1);
  CHECK(group[b]->term() == term);
  CHECK(group[b].lines("[WARN] rejecting vote request since we have a leader from=" + group[a].address) == 1);
  CHECK(group.leader()->node->term() == term);
}

TEST_CASE("pre-vote: an isolated server does not disturb the group when it returns") {
  // hashicorp/raft TestRaft_PreVoteAvoidElectionWithPartition.
  for (const bool pre_vote : {true, false}) {
    CAPTURE(pre_vote);
    GroupOptions o = options(5);
    o.config.pre_vote = pre_vote;
    Settled group(o);
    const std::size_t leader = group.leader_index();
    const std::size_t f = group.follower();
    const Term term = group[leader]->term();
    group.isolate(f);
    group.run_for(10_s);
    group.heal();
    group.run_for(10_s);
    REQUIRE(group.leader() != nullptr);
    if (pre_vote) {
      CHECK(group.leader_index() == leader);
      CHECK(group.leader()->node->term() == term);
      CHECK(group[f].lines("pre-vote campaign failed, waiting for election timeout") > 1);
      CHECK(group[f].lines("[WARN] Election timeout reached, restarting election") > 1);
    } else {
      CHECK(group.leader()->node->term() > term + 1);
      CHECK(group[leader].lines("[ERROR] peer has newer term, stopping replication") == 1);
    }
    CHECK(group[f]->leader_id() == group.leader()->name);
  }
}

TEST_CASE("pre-vote: a peer that does not know it counts as granted") {
  Settled group(options(3));
  const std::size_t f = group.follower();
  group.crash(group.leader_index());
  group.run_for(1_ms);
  std::vector<RpcId> asked;
  group.takes = [&](std::size_t from, RpcId id, std::size_t, const Envelope& e) {
    if (from != f || e.kind() != "prevote") return false;
    asked.push_back(id);
    return true;
  };
  group[f]->fire_election_timer(group.now());
  group.settled(f);
  REQUIRE(asked.size() == 2);
  const Term term = group[f]->term();
  group[f]->on_failure(group.now(), asked[0], "unexpected command");
  group.settled(f);
  group.run_for(10_ms);
  CHECK(group[f]->term() == term + 1);
  CHECK(group[f].lines("[ERROR] target does not support pre-vote RPC, treating as granted") == 1);
}

TEST_CASE("election: three servers of which one link is lost keep their leader") {
  // The shape of Cloudflare's incident of 2020-11-02 ("A Byzantine failure in the real world").
  Settled group(options(3));
  const std::size_t leader = group.leader_index();
  const Term term = group[leader]->term();
  group.cut(leader, group.follower());
  group.run_for(120_s);
  CHECK(group.leader_index() == leader);
  CHECK(group.leader()->node->term() == term);
}

TEST_CASE("election: servers with one neighbour each unseat every leader, unless stickiness and pre-vote stop them") {
  // Howard and Abraham, first case: 1, 2, 3 reach each other, 4 reaches only 2, 5 only 3.
  for (const bool plain : {true, false}) {
    CAPTURE(plain);
    Settled group(options(5, plain ? Config::plain() : Config::consul(1)));
    if (group.leader_index() != 2) {
      group.with_token(group.leader_index(), [&](Node& n, Token t) { n.transfer_leadership(group.now(), t, "n3"); });
      group.run_for(2_s);
    }
    REQUIRE(group.leader_index() == 2);
    std::size_t leaders = 0;
    group.on_leader = [&](std::size_t) { ++leaders; };
    for (const auto& [a, b] : {std::pair{3, 0}, std::pair{3, 2}, std::pair{3, 4}, std::pair{4, 0}, std::pair{4, 1}})
      group.cut(static_cast<std::size_t>(a), static_cast<std::size_t>(b));
    const Term term = group[2]->term();
    group.run_for(120_s);
    if (plain) {
      CHECK(leaders > 10);
    } else {
      CHECK(leaders == 0);
      CHECK(group[2]->term() == term);
      const Token token = group.propose(2, "x");
      group.run_for(100_ms);
      CHECK(group[2].outcomes.at(token) == "");
    }
  }
}

TEST_CASE("lease: a leader that reaches too few steps down, then those who reach each other elect") {
  // H. Howard, I. Abraham: "Raft does not Guarantee Liveness in the face of Network Faults", second case.
  Settled group(options(5));
  const std::size_t leader = group.leader_index();
  const std::size_t down = group.follower(3);
  const std::size_t only = group.follower(0);
  group.crash(down);
  for (std::size_t i = 0; i < 5; ++i) {
    if (i != leader && i != only) group.cut(leader, i);
  }
  REQUIRE(group.run_until([&] { return group.leader() != nullptr && group.leader_index() != leader; },
                          group.options.config.heartbeat_timeout * 6));
  CHECK(group[leader].lines("[WARN] failed to contact quorum of nodes, stepping down") >= 1);
  CHECK(group[leader].lines("[WARN] failed to contact server-id=") >= 1);
}

TEST_CASE("lease: without it nothing moves in that network") {
  GroupOptions o = options(5);
  o.config.leader_lease = false;
  Settled group(o);
  const std::size_t leader = group.leader_index();
  const Index committed = group[leader]->commit_index();
  group.crash(group.follower(3));
  for (std::size_t i = 0; i < 5; ++i) {
    if (i != leader && i != group.follower(0)) group.cut(leader, i);
  }
  group.propose(leader, "never");
  group.run_for(60_s);
  CHECK(group.leader_index() == leader);
  CHECK(group[leader]->commit_index() == committed);
}

TEST_CASE("pre-vote: the former leader is granted it although the voter still counts it as leader") {
  // hashicorp/raft issue 606: with one server down, two that are well had no leader for good.
  Settled group(options(3));
  const std::size_t leader = group.leader_index();
  group.crash(group.follower(1));
  group.run_for(300_ms);
  group[leader].paused = true;
  group.run_for(700_ms);
  group[leader].paused = false;
  group.run_for(200_ms);
  CHECK(group.run_until([&] { return group.leader() != nullptr; }, 5_s));
}

TEST_CASE("non-voters: they take the log, are not counted and never campaign") {
  GroupOptions o = options(4);
  o.nonvoters = 1;
  Settled group(o);
  CHECK(group[3]->commit_index() == group.leader()->node->commit_index());
  group.crash(3);
  group.restart(3);
  group.run_for(2_s);
  group.isolate(3);
  group.run_for(20_s);
  CHECK(group[3]->role() == Role::kFollower);
  CHECK(group[3].lines("not part of stable configuration, aborting election") == 1);
  group.heal();
  // Even when told to: it could only disturb.
  group.run_for(12_s);
  const Term term = group[3]->term();
  group.with_token(group.leader_index(), [&](Node& n, Token t) { n.transfer_leadership(group.now(), t, "n4"); });
  group.run_for(500_ms);
  CHECK(group[3]->role() == Role::kFollower);
  CHECK(group[3]->term() == term);
}

TEST_CASE("transfer: the most advanced voter leads after a round trip, in the next term") {
  Settled group(options(5));
  const std::size_t old = group.leader_index();
  const Term term = group[old]->term();
  for (int i = 0; i < 50; ++i) group.propose(old, "v" + std::to_string(i));
  const Instant asked = group.now();
  const Token token = group.with_token(old, [&](Node& n, Token t) { n.transfer_leadership(group.now(), t, ""); });
  const Token refused = group.propose(old, "too late");
  REQUIRE(group.run_until([&] { return group.leader() != nullptr && group.leader_index() != old; }, 1_s));
  CHECK(group.now() - asked < 10_ms);
  CHECK(group.leader()->node->term() == term + 1);
  group.run_for(1_s);
  CHECK(group[old].outcomes.at(token) == "");
  CHECK(group[old].outcomes.at(refused) == kErrTransferInProgress);
  CHECK(group.leader()->applied.size() == 50);
  CHECK(group[old].applied.size() == 50);
}

TEST_CASE("transfer: its errors") {
  Settled group(options(3));
  const std::size_t leader = group.leader_index();
  const auto transfer = [&](std::size_t at, std::string_view to) {
    return group.with_token(at, [&](Node& n, Token t) { n.transfer_leadership(group.now(), t, to); });
  };
  CHECK(group[leader].outcomes.at(transfer(leader, group[leader].name)) == "cannot transfer leadership to itself");
  CHECK(group[leader].outcomes.at(transfer(leader, "nobody")) == "cannot find replication state for nobody");
  CHECK(group[group.follower()].outcomes.at(transfer(group.follower(), "")) == kErrNotLeader);
  const std::size_t away = group.follower();
  group.isolate(away);
  group.options.io_timeout = 10_s;
  group.propose(leader, "x");
  group.run_for(10_ms);
  const Token waits = transfer(leader, group[away].name);
  CHECK(group[leader].outcomes.at(transfer(leader, "")) == kErrTransferInProgress);
  group.run_for(999_ms);
  CHECK(group[leader].outcomes.count(waits) == 0);
  group.run_for(2_ms);
  CHECK(group[leader].outcomes.at(waits) == "leadership transfer timeout");
  CHECK(group[leader]->role() == Role::kLeader);
  const Token again = group.propose(leader, "y");
  group.run_for(100_ms);
  CHECK(group[leader].outcomes.at(again) == "");
}

TEST_CASE("transfer: a hundred under load, none lost") {
  // Expect nearly all to succeed, and no accepted write to be lost (hashicorp/raft pull requests 487 and 581).
  Settled group(options(3));
  std::size_t moved = 0;
  std::size_t accepted = 0;
  group.on_finished = [&](std::size_t, Token, const Outcome& outcome) {
    accepted += outcome.ok() && outcome.index ? 1 : 0;
  };
  for (int round = 0; round < 100; ++round) {
    REQUIRE(group.run_until([&] { return group.leader() != nullptr; }, 10_s));
    const std::size_t old = group.leader_index();
    for (int i = 0; i < 20; ++i) {
      group.propose(old, std::to_string(round) + "-" + std::to_string(i));
      group.run_for(1_ms);
    }
    group.with_token(old, [&](Node& n, Token t) { n.transfer_leadership(group.now(), t, ""); });
    group.run_for(30_ms);
    moved += group.leader() != nullptr && group.leader_index() != old ? 1 : 0;
  }
  group.run_for(3_s);
  CHECK(moved >= 99);
  CHECK(accepted >= 1900);
  CHECK(group.leader()->applied.size() >= accepted);
}

TEST_CASE("requests: an unsupported protocol version is answered with an error") {
  Settled group(options(2));
  const std::size_t f = group.follower();
  for (const int version : {4, 1}) {
    wire::RequestVoteRequest vote;
    vote.header = {version, group.leader()->name, group.leader()->address};
    vote.term = 99;
    SilentActions recorder;
    MemoryStorage disk;
    Config config = Config::consul(1);
    config.id = "a";
    config.address = "a:8300";
    Node node(config, disk, recorder, 1, "a");
    node.start(Instant{0});
    node.on_request(Instant{1}, 1, vote);
    CHECK(recorder.error == kErrUnsupportedProtocol);
    CHECK(node.term() == 0);
  }
  CHECK(group[f]->term() < 99);
}
