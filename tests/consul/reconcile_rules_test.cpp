#include "consul/reconcile.h"

#include "consul/autopilot.h"
#include "leader_fixture.h"

using namespace dcsim;
using namespace dcsim::test;

// agent/consul/leader.go reconcileMember, leader_registrator_v1.go.

namespace {

struct Fixture : FakeHost {
  ServerAutopilot autopilot{kSelf, *this, default_autopilot_config()};
  Reconciler reconciler{kSelf, *this, autopilot};

  Fixture() { raft.servers = {peer(1)}; }
  void handle(const LanMember& member) {
    int calls = 0;
    reconciler.reconcile(at(1_s), member, [&](Instant, const std::optional<Error>& error) {
      CHECK(!error);
      ++calls;
    });
    CHECK(calls == 1);
  }
};

}  // namespace

TEST_CASE("reconcile: a client that is alive is registered with a passing serfHealth") {
  Fixture f;
  f.handle(client("c1"));
  const NodeRecord* node = f.node("c1");
  REQUIRE(node);
  CHECK(node->node.address == "10.0.0.50");
  CHECK(node->node.id == "c1-id");
  CHECK(node->node.meta == wire::rpc::TextMap{{"consul-version", "1.21.4"}});
  CHECK(node->services.empty());
  const wire::rpc::HealthCheck& check = node->checks.at("serfHealth");
  CHECK(check.name == "Serf Health Status");
  CHECK(check.status == "passing");
  CHECK(check.output == "Agent alive and reachable");
  CHECK(f.said("INFO agent.server: member joined, marking health alive: member=c1 partition=default"));

  f.handle(client("c1"));  // nothing to do: no write, no line
  CHECK(f.applied == 1);
  CHECK(f.lines.size() == 1);
}

TEST_CASE("reconcile: a client at another address is registered again, and keeps what it said of itself") {
  Fixture f;
  wire::rpc::RegisterRequest own;
  own.node = "c1";
  own.id = "c1-id";
  own.address = "10.0.0.50";
  own.node_meta["consul-network-segment"] = "alpha";
  own.tagged_addresses["lan"] = "10.0.0.50";
  Buffer payload;
  wire::rpc::append_command(wire::rpc::CommandType::kRegister, own, payload);
  f.run_command(at(0_s), Bytes(payload), [](Instant, const std::optional<Error>&) {});
  f.handle(client("c1", MemberStatus::kAlive, 51));
  CHECK(f.node("c1")->node.address == "10.0.0.51");
  CHECK(f.node("c1")->node.meta.at("consul-network-segment") == "alpha");
  CHECK(f.node("c1")->node.meta.count("consul-version") == 0);
  CHECK(f.health("c1") == "passing");
}

TEST_CASE("reconcile: a server brings its consul service, and joins Raft without a vote") {
  Fixture f;
  f.handle(server(2));
  const NodeRecord* node = f.node("s2");
  REQUIRE(node);
  const wire::rpc::NodeService& service = node->services.at("consul");
  CHECK(service.service == "consul");
  CHECK(service.port == 8300);
  CHECK(service.meta == wire::rpc::TextMap{{"non_voter", "false"},
                                           {"raft_version", "3"},
                                           {"read_replica", "false"},
                                           {"serf_protocol_current", "2"},
                                           {"serf_protocol_max", "5"},
                                           {"serf_protocol_min", "1"},
                                           {"version", "1.21.4"}});
  CHECK(f.changes == std::vector<std::string>{"AddNonvoter s2-id 10.0.0.2:8300"});

  f.handle(server(2));
  CHECK(f.applied == 1);
  CHECK(f.changes.size() == 1);

  f.handle(server(2, MemberStatus::kAlive, {{"build", "1.22.0:x"}}));  // another meta: written again
  CHECK(f.applied == 2);
  CHECK(f.node("s2")->services.at("consul").meta.at("version") == "1.22.0");
}

TEST_CASE("reconcile: a member that failed turns critical, once, and keeps its node's data") {
  Fixture f;
  f.handle(client("c1", MemberStatus::kFailed));
  CHECK(f.said("INFO agent.server: ignoring failed event for member because it does not exist in the catalog: member=c1 partition=default"));
  CHECK(f.applied == 0);
  f.handle(client("c1"));
  const std::uint64_t modified = f.node("c1")->node.index.modify_index;
  f.handle(client("c1", MemberStatus::kFailed));
  CHECK(f.health("c1") == "critical");
  CHECK(f.node("c1")->checks.at("serfHealth").output == "Agent not live or unreachable");
  CHECK(f.node("c1")->node.index.modify_index == modified);
  CHECK(f.said("INFO agent.server: member failed, marking health critical: member=c1 partition=default"));
  f.handle(client("c1", MemberStatus::kFailed));
  CHECK(f.applied == 2);
  f.handle(client("c1"));
  CHECK(f.health("c1") == "passing");
  // Failed servers stay in Raft.
  f.handle(server(2));
  f.handle(server(2, MemberStatus::kFailed));
  CHECK(raft::in_configuration(f.raft, "s2-id"));
}

TEST_CASE("reconcile: a member that left or was reaped is deregistered, a server leaves Raft") {
  Fixture f;
  f.handle(client("c1"));
  f.handle(client("c2", MemberStatus::kAlive, 52));
  f.handle(server(2));
  f.handle(client("c1", MemberStatus::kLeft));
  CHECK(!f.node("c1"));
  CHECK(f.said("INFO agent.server: deregistering member: member=c1 partition=default reason=left"));
  LanMember reaped = client("c2", MemberStatus::kFailed, 52);
  reaped.reaped = true;
  f.handle(reaped);
  CHECK(!f.node("c2"));
  CHECK(f.said("INFO agent.server: deregistering member: member=c2 partition=default reason=reaped"));
  f.handle(server(2, MemberStatus::kLeft));
  CHECK(!f.node("s2"));
  CHECK(f.changes.back() == "RemoveServer s2-id");
  CHECK(f.said("INFO agent.server.autopilot: removed server: id=s2-id"));

  const std::size_t before = f.applied;
  f.handle(client("c9", MemberStatus::kLeft));  // never registered
  CHECK(f.applied == before);
}

TEST_CASE("reconcile: the leader does not deregister itself") {
  Fixture f;
  f.handle(server(1));
  f.handle(server(1, MemberStatus::kLeft));
  CHECK(f.node("s1"));
  CHECK(raft::in_configuration(f.raft, "s1-id"));
  CHECK(f.said("WARN agent.server: deregistering self should be done by follower: name=s1 partition=default"));
}

TEST_CASE("reconcile: leaving changes nothing until it has left") {
  Fixture f;
  f.handle(client("c1"));
  f.handle(client("c1", MemberStatus::kLeaving));
  CHECK(f.health("c1") == "passing");
  CHECK(f.applied == 1);
}

TEST_CASE("reconcile: strangers are skipped") {
  Fixture f;
  LanMember elsewhere = client("c1");
  Tags tags = *elsewhere.tags;
  tags["dc"] = "dc2";
  elsewhere.tags = std::make_shared<const Tags>(tags);
  f.handle(elsewhere);
  f.handle(server(2, MemberStatus::kAlive, {{"segment", "alpha"}}));
  CHECK(f.applied == 0);
  CHECK(f.changes.empty());
  CHECK(f.lines == std::vector<std::string>{"WARN agent.server: skipping reconcile of node: member=c1 partition=default",
                                            "WARN agent.server: skipping reconcile of node: member=s2 partition=default"});
}

TEST_CASE("reconcile: a write that is refused is logged, and stops nobody") {
  Fixture f;
  f.refuse_apply = Error{"leadership lost while committing log"};
  f.handle(client("c1"));
  CHECK(f.said("ERROR agent.server: failed to reconcile member: member=c1 partition=default error=\"leadership lost while committing log\""));
  // A server that can not join Raft is not registered either.
  f.refuse_apply.reset();
  f.refuse_change = Error{"node is not the leader"};
  f.handle(server(2));
  CHECK(!f.node("s2"));
  CHECK(f.said("ERROR agent.server.autopilot: failed to add raft non-voting peer: id=s2-id address=10.0.0.2:8300 error=\"node is not the leader\""));
}

TEST_CASE("reconcile: of two servers in bootstrap mode the second does not join Raft") {
  Fixture f;
  f.lan = {server(1, MemberStatus::kAlive, {{"bootstrap", "1"}}), server(2, MemberStatus::kAlive, {{"bootstrap", "1"}})};
  f.handle(f.lan[1]);
  CHECK(f.changes.empty());
  CHECK(f.health("s2") == "passing");
  CHECK(f.said("ERROR agent.server: Two nodes are in bootstrap mode. Only one node should be in bootstrap mode, not adding Raft peer.: "
               "node_to_add=s2 other=s1"));
}

TEST_CASE("reconcile: nodes that gossip forgot are found by their serfHealth, in any case of letters") {
  Fixture f;
  f.handle(client("c1"));
  f.handle(client("c2", MemberStatus::kAlive, 52));
  wire::rpc::RegisterRequest external;  // no serfHealth: none of the leader's business
  external.node = "external";
  external.address = "192.0.2.1";
  Buffer payload;
  wire::rpc::append_command(wire::rpc::CommandType::kRegister, external, payload);
  f.run_command(at(0_s), Bytes(payload), [](Instant, const std::optional<Error>&) {});
  const auto gone = f.reconciler.forgotten({client("C1")});
  REQUIRE(gone.size() == 1);
  CHECK(gone[0].name == "c2");
  CHECK(gone[0].reaped);
  CHECK(tag(*gone[0].tags, "role") == "node");
}
