#include "cli_fixture.h"

using namespace dcsim;
using namespace dcsim::test;

// command/operator/raft, command/operator/autopilot.

namespace {

struct Fixture : FakeAgent {
  Fixture() {
    wire::rpc::RaftConfigurationResponse peers;
    peers.servers = {{"id-1", "s1", "10.0.0.1:8300", true, "3", true, 50}, {"id-2", "s2", "10.0.0.2:8300", false, "3", true, 49},
                     {"id-3", "s3", "10.0.0.3:8300", false, "3", false, 20}, {"id-4", "(unknown)", "10.0.0.4:8300", false, "", true, 0}};
    rpc_.answer_of[std::string(method::kRaftGetConfiguration)] = FakeRpc::encoded(peers);
    rpc_.answer_of[std::string(method::kRaftRemovePeerByAddress)] = rpc_.answer_of[std::string(method::kRaftRemovePeerById)] =
        FakeRpc::encoded(wire::rpc::Empty{});
    wire::rpc::AutopilotSetConfigRequest settings;
    settings.config.cleanup_dead_servers = true;
    settings.config.last_contact_threshold = 200_ms;
    settings.config.max_trailing_logs = 250;
    settings.config.server_stabilization_time = 10_s;
    rpc_.apply(wire::rpc::CommandType::kAutopilot, settings);
  }
};

}  // namespace

TEST_CASE("consul operator raft list-peers") {
  Fixture f;
  CHECK(f.run("consul operator raft list-peers") ==
        fine("Node       ID    Address        State     Voter  RaftProtocol  Commit Index  Trails Leader By\n"
             "s1         id-1  10.0.0.1:8300  leader    true   3             50            -\n"
             "s2         id-2  10.0.0.2:8300  follower  true   3             49            1 commit\n"
             "s3         id-3  10.0.0.3:8300  follower  false  3             20            30 commits\n"
             "(unknown)  id-4  10.0.0.4:8300  follower  true   <=1           0             50 commits\n"));
  f.rpc_.error = "No cluster leader";
  CHECK(f.run("consul operator raft list-peers") ==
        bad("Error getting peers: Failed to retrieve raft configuration: Unexpected response code: 500 (No cluster leader)\n"));
  CHECK(f.run("consul operator raft list-peers -x") == bad("Failed to parse args: flag provided but not defined: -x\n"));
}

TEST_CASE("consul operator raft remove-peer") {
  Fixture f;
  CHECK(f.run("consul operator raft remove-peer -address=10.0.0.4:8300") == fine("Removed peer with address \"10.0.0.4:8300\"\n"));
  CHECK(f.run("consul operator raft remove-peer -id=id-4") == fine("Removed peer with id \"id-4\"\n"));
  CHECK(f.rpc_.calls == std::vector<std::string>{"Operator.RaftRemovePeerByAddress", "Operator.RaftRemovePeerByID"});
  CHECK(f.run("consul operator raft remove-peer") == bad("Error removing peer: an address or id is required for the peer to remove\n"));
  CHECK(f.run("consul operator raft remove-peer -id=a -address=b") == bad("Error removing peer: cannot give both an address and id\n"));
  f.rpc_.error = "address \"nope\" was not found in the Raft configuration";
  CHECK(f.run("consul operator raft remove-peer -address=nope") ==
        bad("Error removing peer: Unexpected response code: 500 (address \"nope\" was not found in the Raft configuration)\n"));
}

TEST_CASE("consul operator raft transfer-leader") {
  Fixture f;
  f.rpc_.answer_of[std::string(method::kTransferLeader)] = FakeRpc::encoded(wire::rpc::TransferLeaderResponse{true});
  CHECK(f.run("consul operator raft transfer-leader -id=id-2") == fine("Success\n"));
  f.rpc_.answer_of[std::string(method::kTransferLeader)] = FakeRpc::encoded(wire::rpc::TransferLeaderResponse{false});
  CHECK(f.run("consul operator raft transfer-leader") == bad("Error transfering leadership: Failed to transfer leadership\n"));
  f.rpc_.error = "cannot find peer";
  CHECK(f.run("consul operator raft transfer-leader") ==
        bad("Error transfering leadership: Failed to transfer leadership Unexpected response code: 500 (cannot find peer)\n"));
}

TEST_CASE("consul operator autopilot get-config, set-config") {
  Fixture f;
  CHECK(f.run("consul operator autopilot get-config") == fine("CleanupDeadServers = true\n"
                                                              "LastContactThreshold = 200ms\n"
                                                              "MaxTrailingLogs = 250\n"
                                                              "MinQuorum = 0\n"
                                                              "ServerStabilizationTime = 10s\n"
                                                              "RedundancyZoneTag = \"\"\n"
                                                              "DisableUpgradeMigration = false\n"
                                                              "UpgradeVersionTag = \"\"\n"));
  CHECK(f.run("consul operator autopilot set-config -min-quorum=3 -cleanup-dead-servers=false -server-stabilization-time 1m") ==
        fine("Configuration updated!\n"));
  const auto& config = *f.rpc_.fsm.store().autopilot();
  CHECK(config.min_quorum == 3);
  CHECK(!config.cleanup_dead_servers);
  CHECK(config.server_stabilization_time == 60_s);
  CHECK(config.max_trailing_logs == 250);
  CHECK(f.run("consul operator autopilot set-config -cleanup-dead-servers=maybe") ==
        bad("Failed to parse args: invalid value \"maybe\" for flag -cleanup-dead-servers: strconv.ParseBool: parsing \"maybe\": invalid syntax\n"));
  f.rpc_.answer_of[std::string(method::kAutopilotSetConfiguration)] = FakeRpc::encoded(false);
  CHECK(f.run("consul operator autopilot set-config -min-quorum=1") ==
        CommandResult{1, "Configuration could not be atomically updated, please try again\n", ""});
}

TEST_CASE("consul operator autopilot state") {
  Fixture f;
  wire::rpc::AutopilotState state;
  state.healthy = true;
  state.failure_tolerance = 1;
  state.leader = "id-1";
  state.voters = {"id-1"};
  wire::rpc::AutopilotServerState& s = state.servers["id-1"];
  s.server.id = "id-1";
  s.server.name = "s1";
  s.server.address = "10.0.0.1:8300";
  s.server.version = "1.21.4";
  s.server.node_type = "voter";
  s.server.node_status = "alive";
  s.server.meta = {{"consul-network-segment", ""}};
  s.state = "leader";
  s.health.healthy = true;
  s.stats = {15_ms, 3, 77};
  f.rpc_.answer_of[std::string(method::kAutopilotState)] = FakeRpc::encoded(state);
  CHECK(f.run("consul operator autopilot state") == fine("Healthy:                      true\n"
                                                         "Failure Tolerance:            1\n"
                                                         "Optimistic Failure Tolerance: 1\n"
                                                         "Leader:                       id-1\n"
                                                         "Voters:\n"
                                                         "   id-1\n"
                                                         "Servers:\n"
                                                         "   id-1\n"
                                                         "      Name:            s1\n"
                                                         "      Address:         10.0.0.1:8300\n"
                                                         "      Version:         1.21.4\n"
                                                         "      Status:          leader\n"
                                                         "      Node Type:       voter\n"
                                                         "      Node Status:     alive\n"
                                                         "      Healthy:         true\n"
                                                         "      Last Contact:    15ms\n"
                                                         "      Last Term:       3\n"
                                                         "      Last Index:      77\n"
                                                         "      Meta\n"
                                                         "         \"consul-network-segment\": \"\"\n"
                                                         "\n"));
  CHECK(f.run("consul operator autopilot state -format=json").out.starts_with("{\n    \"Healthy\": true,\n    \"FailureTolerance\": 1,\n"));
  CHECK(f.run("consul operator autopilot state -format=xml") == bad("Unknown format: xml\n"));
}
