#include "consul/autopilot.h"

#include "leader_fixture.h"

using namespace dcsim;
using namespace dcsim::test;

// hashicorp/raft-autopilot 0.1.6, agent/consul/autopilot.go.

namespace {

struct Fixture : FakeHost {
  ServerAutopilot autopilot{kSelf, *this, default_autopilot_config()};

  explicit Fixture(int servers = 3) {
    for (int i = 1; i <= servers; ++i) {
      lan.push_back(server(i));
      raft.servers.push_back(peer(i));
      well("s" + std::to_string(i));
    }
  }
  void run_until(Duration end) {
    while (autopilot.next_deadline() <= at(end)) autopilot.on_deadline(autopilot.next_deadline());
  }
  std::optional<Error> add(const LanMember& member) {
    std::optional<Error> out;
    autopilot.add_server(at(1_s), *autopilot_server(member), [&](Instant, const std::optional<Error>& error) { out = error; });
    return out;
  }
};

}  // namespace

TEST_CASE("autopilot: learns of the servers at once and every 2 s") {
  Fixture f;
  f.autopilot.start(at(0_s));
  CHECK(f.asked == std::vector<std::string>{"s1", "s2", "s3"});
  REQUIRE(f.autopilot.state());
  const wire::rpc::AutopilotState state = *f.autopilot.state();
  CHECK(state.healthy);
  CHECK(state.failure_tolerance == 1);
  CHECK(state.leader == "s1-id");
  CHECK(state.voters == wire::rpc::Texts{"s1-id", "s2-id", "s3-id"});
  CHECK(state.servers.at("s1-id").state == "leader");
  CHECK(state.servers.at("s2-id").state == "voter");
  CHECK(state.servers.at("s2-id").server.name == "s2");
  CHECK(state.servers.at("s2-id").server.address == "10.0.0.2:8300");
  CHECK(state.servers.at("s2-id").server.version == "1.21.4");
  CHECK(state.servers.at("s2-id").server.node_status == "alive");
  CHECK(state.servers.at("s2-id").stats.last_contact == 10_ms);
  f.run_until(4_s);
  CHECK(f.asked.size() == 9);
}

TEST_CASE("autopilot: what makes a server unhealthy") {
  const auto healthy = [](auto&& change) {
    Fixture f;
    change(f);
    f.autopilot.start(at(0_s));
    f.run_until(1_s);
    return f.autopilot.state()->servers.at("s2-id").health.healthy;
  };
  CHECK(healthy([](Fixture&) {}));
  CHECK(!healthy([](Fixture& f) { f.lan[1].status = MemberStatus::kFailed; }));
  CHECK(!healthy([](Fixture& f) { f.lan[1].status = MemberStatus::kLeft; }));
  CHECK(healthy([](Fixture& f) { f.lan[1].status = MemberStatus::kLeaving; }));
  CHECK(!healthy([](Fixture& f) { f.stats.insert_or_assign("s2", wire::rpc::RaftStats{"201ms", 2, f.index}); }));
  CHECK(healthy([](Fixture& f) { f.stats.insert_or_assign("s2", wire::rpc::RaftStats{"200ms", 2, f.index}); }));
  CHECK(!healthy([](Fixture& f) { f.stats.insert_or_assign("s2", wire::rpc::RaftStats{"0", 1, f.index}); }));
  CHECK(healthy([](Fixture& f) { f.index += 250; }));
  CHECK(!healthy([](Fixture& f) { f.index += 251; }));
  CHECK(!healthy([](Fixture& f) { f.stats.erase("s2"); }));
  CHECK(!healthy([](Fixture& f) { f.lan.erase(f.lan.begin() + 1); }));
}

TEST_CASE("autopilot: silence costs a second, and a server that still owes an answer is not asked again") {
  Fixture f;
  f.stats.erase("s3");
  f.autopilot.start(at(0_s));
  CHECK(!f.autopilot.state());
  f.run_until(999_ms);
  CHECK(!f.autopilot.state());
  f.run_until(1_s);
  REQUIRE(f.autopilot.state());
  CHECK(!f.autopilot.state()->healthy);
  CHECK(f.autopilot.state()->failure_tolerance == 0);
  f.run_until(2_s);
  CHECK(std::count(f.asked.begin(), f.asked.end(), "s3") == 1);
  CHECK(f.said("WARN agent.server.autopilot: error getting server health from server: error=\"last request still outstanding\" server=s3"));
}

TEST_CASE("autopilot: a follower measures by what the leader says") {
  Fixture f;
  f.leads = false;
  f.leader = "s2-id";
  f.index = 1'000'000;  // its own log does not matter
  f.autopilot.start(at(0_s));
  CHECK(f.autopilot.state()->servers.at("s3-id").health.healthy);
  CHECK(f.autopilot.state()->leader == "s2-id");
  Fixture without;
  without.leads = false;
  without.leader = "";
  without.autopilot.start(at(0_s));
  CHECK(!without.autopilot.state()->healthy);
}

TEST_CASE("autopilot: before there is a group nobody is healthy") {
  Fixture f;
  f.leads = false;
  f.leader = "s2-id";
  for (const char* name : {"s1", "s2", "s3"}) f.stats.insert_or_assign(name, wire::rpc::RaftStats{"never", 0, 0});
  f.autopilot.start(at(0_s));
  CHECK(!f.autopilot.state()->servers.at("s2-id").health.healthy);
}

TEST_CASE("autopilot: a new server gets its vote at the first tick after ten healthy seconds") {
  Fixture f;
  f.autopilot.start(at(0_s));
  f.autopilot.enable_reconciliation();
  f.run_until(25_s);
  CHECK(!f.add(server(4)));
  CHECK(f.changes == std::vector<std::string>{"AddNonvoter s4-id 10.0.0.4:8300"});
  f.lan.push_back(server(4));
  f.well("s4");
  f.run_until(39999_ms);
  CHECK(f.changes.size() == 1);
  f.run_until(40_s);  // seen healthy at 26 s: not at the tick of 30 s
  CHECK(f.changes.back() == "AddVoter s4-id 10.0.0.4:8300");
  CHECK(f.said("INFO agent.server.autopilot: Promoting server: id=s4-id address=10.0.0.4:8300 name=s4"));
}

TEST_CASE("autopilot: while it is new itself, servers get their votes at once") {
  Fixture f;
  f.raft.servers[2].suffrage = raft::Suffrage::kNonvoter;
  f.autopilot.start(at(0_s));
  f.autopilot.enable_reconciliation();
  f.run_until(10_s);
  CHECK(f.changes == std::vector<std::string>{"AddVoter s3-id 10.0.0.3:8300"});
}

TEST_CASE("autopilot: changes nothing until it may reconcile") {
  Fixture f;
  f.raft.servers[2].suffrage = raft::Suffrage::kNonvoter;
  f.lan[1].status = MemberStatus::kFailed;
  f.autopilot.start(at(0_s));
  f.run_until(60_s);
  CHECK(f.changes.empty());
  CHECK(!f.add(server(4)));
  CHECK(f.force_left.empty());
}

TEST_CASE("autopilot: a crashed voter of five is forced out within ten seconds, without a replacement") {
  Fixture f(5);
  f.autopilot.start(at(0_s));
  f.autopilot.enable_reconciliation();
  f.run_until(21_s);
  CHECK(f.force_left.empty());
  f.lan[4].status = MemberStatus::kFailed;
  f.run_until(29999_ms);
  CHECK(f.force_left.empty());
  f.run_until(30_s);
  CHECK(f.force_left == std::vector<std::string>{"s5"});
  CHECK(f.changes.empty());  // its removal from Raft follows when gossip says that it left
  CHECK(f.said("INFO agent.server.autopilot: Attempting removal of failed server node: id=s5-id name=s5 address=10.0.0.5:8300"));
}

TEST_CASE("autopilot: never below min_quorum, never a majority, nothing if it is switched off") {
  const auto removed = [](int servers, int failed, auto&& change) {
    Fixture f(servers);
    for (int i = 0; i < failed; ++i) f.lan[static_cast<std::size_t>(servers - 1 - i)].status = MemberStatus::kFailed;
    wire::rpc::AutopilotSetConfigRequest request;
    request.config = default_autopilot_config();
    change(request.config);
    Buffer payload;
    wire::rpc::append_command(wire::rpc::CommandType::kAutopilot, request, payload);
    f.run_command(at(0_s), Bytes(payload), [](Instant, const std::optional<Error>&) {});
    f.autopilot.start(at(0_s));
    f.autopilot.enable_reconciliation();
    f.run_until(10_s);
    return f.force_left.size();
  };
  const auto nothing = [](wire::rpc::AutopilotConfig&) {};
  CHECK(removed(5, 1, nothing) == 1);
  CHECK(removed(5, 2, nothing) == 2);
  CHECK(removed(5, 3, nothing) == 2);
  CHECK(removed(3, 1, nothing) == 1);
  CHECK(removed(2, 1, nothing) == 0);
  CHECK(removed(5, 1, [](wire::rpc::AutopilotConfig& c) { c.min_quorum = 5; }) == 0);
  CHECK(removed(5, 2, [](wire::rpc::AutopilotConfig& c) { c.min_quorum = 4; }) == 1);
  CHECK(removed(5, 2, [](wire::rpc::AutopilotConfig& c) { c.cleanup_dead_servers = false; }) == 0);
}

TEST_CASE("autopilot: servers that gossip does not know are removed from Raft itself") {
  Fixture f(5);
  f.lan.pop_back();
  f.autopilot.start(at(0_s));
  f.autopilot.enable_reconciliation();
  f.run_until(10_s);
  CHECK(f.changes == std::vector<std::string>{"RemoveServer s5-id"});
  CHECK(f.force_left.empty());
}

TEST_CASE("autopilot: dead servers go as soon as one was added") {
  Fixture f(5);
  f.lan[4].status = MemberStatus::kFailed;
  f.autopilot.start(at(0_s));
  f.autopilot.enable_reconciliation();
  CHECK(f.force_left.empty());
  CHECK(!f.add(server(6)));
  CHECK(f.force_left == std::vector<std::string>{"s5"});
}

TEST_CASE("autopilot: AddServer knows addresses and IDs") {
  SUBCASE("as it was: nothing") {
    Fixture f;
    CHECK(!f.add(server(2)));
    CHECK(f.changes.empty());
  }
  SUBCASE("a voter at a new address keeps its vote") {
    Fixture f;
    f.raft.servers[1].address = "10.0.0.99:8300";
    CHECK(!f.add(server(2)));
    CHECK(f.changes == std::vector<std::string>{"AddVoter s2-id 10.0.0.2:8300"});
  }
  SUBCASE("a new ID at an old address: the old entry goes first") {
    Fixture f;
    CHECK(!f.add(server(2, MemberStatus::kAlive, {{"id", "fresh"}})));
    CHECK(f.changes == std::vector<std::string>{"RemoveServer s2-id", "AddNonvoter fresh 10.0.0.2:8300"});
    CHECK(f.said("INFO agent.server.autopilot: removed server with duplicate address: address=10.0.0.2:8300"));
  }
  SUBCASE("unless that breaks the quorum") {
    Fixture f(2);
    const auto error = f.add(server(2, MemberStatus::kAlive, {{"id", "fresh"}}));
    REQUIRE(error);
    CHECK(error->text == "Preventing server addition that would require removal of too many servers and cause cluster instability");
    CHECK(f.changes.empty());
  }
  SUBCASE("and if the old entry does not go") {
    Fixture f;
    f.refuse_change = Error{"node is not the leader"};
    const auto error = f.add(server(2, MemberStatus::kAlive, {{"id", "fresh"}}));
    REQUIRE(error);
    CHECK(error->text == "error removing server \"s2-id\" with duplicate address \"10.0.0.2:8300\": node is not the leader");
  }
}

TEST_CASE("autopilot: the health reply of the operator's API") {
  Fixture f;
  f.lan[2].status = MemberStatus::kFailed;
  f.autopilot.start(at(5_s));
  const auto health = f.autopilot.health();
  REQUIRE(health);
  CHECK(!health->healthy);
  REQUIRE(health->servers.size() == 3);
  CHECK(health->servers[0].leader);
  CHECK(health->servers[1].serf_status == 1);
  CHECK(health->servers[2].serf_status == 4);
  CHECK(health->servers[2].voter);
  CHECK(health->servers[1].stable_since.unix_nanoseconds() == 5'000'000'000);
}
