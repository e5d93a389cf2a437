#include "consul/cli_info.h"

#include "cli_fixture.h"
#include "raft/actions.h"
#include "raft/memory_storage.h"
#include "raft/node.h"

using namespace dcsim;
using namespace dcsim::test;

namespace {

/// A Raft node by itself, that nobody hears.
struct Silence : raft::Actions {
  void send(raft::RpcId, const raft::Server&, raft::Channel, const wire::AppendEntriesRequest&) override {}
  void send(raft::RpcId, const raft::Server&, const wire::RequestVoteRequest&) override {}
  void send(raft::RpcId, const raft::Server&, const wire::RequestPreVoteRequest&) override {}
  void send(raft::RpcId, const raft::Server&, const wire::InstallSnapshotRequest&, const Bytes&) override {}
  void send(raft::RpcId, const raft::Server&, const wire::TimeoutNowRequest&) override {}
  void close_pipeline(const raft::Server&) override {}
  void respond(raft::RequestId, const wire::AppendEntriesResponse&, std::string_view) override {}
  void respond(raft::RequestId, const wire::RequestVoteResponse&, std::string_view) override {}
  void respond(raft::RequestId, const wire::RequestPreVoteResponse&, std::string_view) override {}
  void respond(raft::RequestId, const wire::InstallSnapshotResponse&, std::string_view) override {}
  void respond(raft::RequestId, const wire::TimeoutNowResponse&, std::string_view) override {}
  void apply(std::span<const raft::LogEntry>) override {}
  Bytes take_snapshot() override { return {}; }
  bool restore(const raft::SnapshotMeta&, const Bytes&) override { return true; }
  void finished(raft::Token, const raft::Outcome&) override {}
  void leadership(bool) override {}
  void notice(const raft::Notice&) override {}
  bool logs(raft::LogLevel) const override { return false; }
  void log(raft::LogLevel, std::string_view, std::span<const raft::LogField>) override {}
  void panic(std::string_view) override {}
};

}  // namespace

TEST_CASE("consul info of a follower that has not heard of a leader") {
  Silence silence;
  raft::MemoryStorage storage;
  raft::Config config = raft::Config::consul();
  config.id = "a";
  config.address = "10.0.0.1:8300";
  config.initial.servers = {{raft::Suffrage::kVoter, "a", "10.0.0.1:8300"},
                            {raft::Suffrage::kVoter, "b", "10.0.0.2:8300"},
                            {raft::Suffrage::kNonvoter, "c", "10.0.0.3:8300"}};
  raft::Node node(config, storage, silence, 1, "dc1/s1");
  node.start(Instant{1'000'000'000});
  FakeAgent agent;
  agent.local_.add_check({"", "x", "x", "passing"});
  add_agent_info(agent.info_, agent.config_, agent.local_);
  add_server_info(agent.info_, Instant{1'000'000'000}, agent.config_, node, 1);
  CHECK(agent.run("consul info") == fine("agent:\n"
                                         "\tcheck_monitors = 0\n"
                                         "\tcheck_ttls = 0\n"
                                         "\tchecks = 1\n"
                                         "\tservices = 0\n"
                                         "build:\n"
                                         "\tprerelease = \n"
                                         "\trevision = 59b8b905\n"
                                         "\tversion = 1.21.4\n"
                                         "\tversion_metadata = \n"
                                         "consul:\n"
                                         "\tacl = disabled\n"
                                         "\tbootstrap = false\n"
                                         "\tknown_datacenters = 1\n"
                                         "\tleader = false\n"
                                         "\tleader_addr = \n"
                                         "\tserver = true\n"
                                         "raft:\n"
                                         "\tapplied_index = 0\n"
                                         "\tcommit_index = 0\n"
                                         "\tfsm_pending = 0\n"
                                         "\tlast_contact = never\n"
                                         "\tlast_log_index = 0\n"
                                         "\tlast_log_term = 0\n"
                                         "\tlast_snapshot_index = 0\n"
                                         "\tlast_snapshot_term = 0\n"
                                         "\tlatest_configuration = [{Suffrage:Voter ID:a Address:10.0.0.1:8300} {Suffrage:Voter ID:b "
                                         "Address:10.0.0.2:8300} {Suffrage:Nonvoter ID:c Address:10.0.0.3:8300}]\n"
                                         "\tlatest_configuration_index = 0\n"
                                         "\tnum_peers = 1\n"
                                         "\tprotocol_version = 3\n"
                                         "\tprotocol_version_max = 3\n"
                                         "\tprotocol_version_min = 0\n"
                                         "\tsnapshot_version_max = 1\n"
                                         "\tsnapshot_version_min = 0\n"
                                         "\tstate = Follower\n"
                                         "\tterm = 0\n"));
}

TEST_CASE("consul info of a client") {
  FakeAgent agent;
  add_client_info(agent.info_, 3);
  CHECK(agent.run("consul info") == fine("consul:\n\tacl = disabled\n\tknown_servers = 3\n\tserver = false\n"));
}
