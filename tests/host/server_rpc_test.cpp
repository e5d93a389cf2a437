#include <algorithm>

#include "cluster_fixture.h"

// hashicorp/consul agent/consul/rpc.go, agent/blockingquery, agent/router/manager.go as callers see them.

using namespace dcsim;
using namespace dcsim::host;

TEST_CASE("blocking query: returns when the key changes, at the client too") {
  Cluster cluster(3, 1);
  cluster.start();
  CHECK(cluster.put(4, "k", "1") == "");
  const auto first = cluster.rpc_call<rpc::IndexedDirEntries>(4, rpc::method::kKvsGet, cluster.get_request("k"));
  rpc::KeyRequest watch = cluster.get_request("k");
  watch.options.min_query_index = first.reply.meta.index;
  watch.options.max_query_time = 60_s;
  const auto call = cluster.ask<rpc::IndexedDirEntries>(4, rpc::method::kKvsGet, watch);
  cluster.run_for(5_s);
  CHECK(!call->done);
  CHECK(cluster.put(1, "other", "x") == "");
  cluster.run_for(1_s);
  CHECK(!call->done);
  CHECK(cluster.put(1, "k", "2") == "");
  cluster.run_for(100_ms);
  REQUIRE(call->done);
  CHECK(Cluster::shown(*call) == "2");
  CHECK(call->reply.meta.index > first.reply.meta.index);
}

TEST_CASE("blocking query: the wait and up to a sixteenth of it, then the present answer") {
  Cluster cluster(3, 1);
  cluster.start();
  CHECK(cluster.put(4, "k", "1") == "");
  rpc::KeyRequest watch = cluster.get_request("k");
  watch.options.min_query_index = 1'000'000;
  watch.options.max_query_time = 16_s;
  const auto call = cluster.rpc_call<rpc::IndexedDirEntries>(4, rpc::method::kKvsGet, watch);
  CHECK(Cluster::shown(call) == "1");
  CHECK(call.at - call.asked >= 16_s);
  CHECK(call.at - call.asked < 17_s + 100_ms);
}

TEST_CASE("blocking query: a key that stays missing does not wake its watcher") {
  Cluster cluster(1);
  cluster.start();
  rpc::KeyRequest watch = cluster.get_request("dir/missing");
  watch.options.min_query_index = 1;
  watch.options.max_query_time = 60_s;
  const auto call = cluster.ask<rpc::IndexedDirEntries>(1, rpc::method::kKvsGet, watch);
  cluster.run_for(1_s);
  CHECK(cluster.put(1, "dir/other", "x") == "");
  cluster.run_for(1_s);
  CHECK(!call->done);
  CHECK(cluster.put(1, "dir/missing", "here") == "");
  cluster.run_for(1_s);
  REQUIRE(call->done);
  CHECK(Cluster::shown(*call) == "here");
}

TEST_CASE("client: no servers, no service") {
  Cluster cluster(1, 1);
  cluster.world.start(cluster.id(2));
  cluster.run_for(1_s);
  CHECK(cluster.get(2, "k") == "[No known Consul servers]");
}

TEST_CASE("client: after a dial that times out the next call uses another server") {
  Cluster cluster(3, 1);
  cluster.start();
  CHECK(cluster.put(4, "k", "1") == "");
  const consul::RpcClient& client = *cluster.process(4).agent().rpc_client();
  REQUIRE(client.manager().servers().size() == 3);
  const std::string front = client.manager().front()->name;
  // Only the client loses it, so that gossip keeps it alive through others.
  const int n = front.back() - '0';
  net::PartitionSpec spec;
  spec.name = "client-server";
  spec.sides = {{cluster.process(4).host()}, {cluster.process(n).host()}};
  cluster.world.network().partition(spec);
  const auto lost = cluster.rpc_call<rpc::IndexedDirEntries>(4, rpc::method::kKvsGet, cluster.get_request("k"), 90_s);
  CHECK(lost.error.starts_with("rpc error "));
  CHECK(client.manager().front()->name != front);
  const auto next = cluster.rpc_call<rpc::IndexedDirEntries>(4, rpc::method::kKvsGet, cluster.get_request("k"));
  CHECK(Cluster::shown(next) == "1");
  CHECK(next.at - next.asked < 1_s);
}

TEST_CASE("client: lists the servers that its pool has alive, and drops failed ones") {
  Cluster cluster(3, 1);
  const int leader = cluster.start();
  const consul::ServerManager& manager = cluster.process(4).agent().rpc_client()->manager();
  CHECK(manager.servers().size() == 3);
  const int gone = leader == 3 ? 2 : 3;
  cluster.world.crash(cluster.id(gone));
  cluster.run_for(30_s);
  CHECK(manager.servers().size() == 2);
  CHECK(manager.find(fmt::format("n{}", gone)) == nullptr);
  cluster.world.start(cluster.id(gone));
  cluster.run_for(30_s);
  CHECK(manager.servers().size() == 3);
}

TEST_CASE("client: rebalances after 2 minutes with a ping") {
  Cluster cluster(3, 1);
  cluster.start();
  const consul::RpcClient& client = *cluster.process(4).agent().rpc_client();
  CHECK(client.manager().rebalance_at() == Instant{} + 120_s);
  cluster.run_for(130_s);
  CHECK(client.manager().rebalance_at() > Instant{} + 240_s);
  CHECK(client.manager().rebalance_at() < Instant{} + 301_s);
  CHECK(!client.manager().offline());
}

TEST_CASE("forwarding: another datacenter has no path") {
  Cluster cluster(3, 1);
  cluster.start();
  rpc::KeyRequest far = cluster.get_request("k");
  far.datacenter = "dc9";
  CHECK(cluster.get(1, far) == "[No path to datacenter]");
  CHECK(cluster.get(4, far) == "[rpc error making call: No path to datacenter]");
}

TEST_CASE("forwarding: a leader that gossip has lost is not found, stale reads work") {
  Cluster cluster(3, 1);
  const int leader = cluster.start();
  CHECK(cluster.put(4, "k", "1") == "");
  const int follower = cluster.follower();
  // Gossip of and to the leader is dropped; Raft's port stays open.
  net::FirewallConfig firewall;
  firewall.name = "no-gossip";
  net::RuleSpec rule;
  rule.from = net::HostSet();
  rule.from.add(cluster.process(leader).host());
  rule.direction = net::RuleSpec::Direction::kBoth;
  rule.ports = {{8301, 8301}};
  rule.action = net::FirewallAction::kDrop;
  firewall.rules = {rule};
  cluster.world.network().add_firewall(std::move(firewall), net::HostSet::any(), true);
  cluster.run_for(40_s);
  REQUIRE(cluster.server(follower).leader_address() == fmt::format("10.0.0.{}:8300", leader));
  const auto read = cluster.rpc_call<rpc::IndexedDirEntries>(follower, rpc::method::kKvsGet, cluster.get_request("k"));
  CHECK(Cluster::shown(read) == "[Raft leader not found in server lookup mapping]");
  CHECK(read.at - read.asked <= 1_ms);
  rpc::KeyRequest stale = cluster.get_request("k");
  stale.options.allow_stale = true;
  CHECK(cluster.get(follower, stale) == "1");
}

TEST_CASE("vetting: the server refuses what Consul refuses") {
  Cluster cluster(1, 1);
  cluster.start();
  CHECK(cluster.put(2, "", "x") == "rpc error making call: Must provide key");
  rpc::RegisterRequest registration;
  registration.datacenter = "dc1";
  CHECK(cluster.rpc_call<rpc::Empty>(1, rpc::method::kCatalogRegister, registration).error == "Must provide node");
  registration.node = "web";
  CHECK(cluster.rpc_call<rpc::Empty>(1, rpc::method::kCatalogRegister, registration).error ==
        "Must provide address if SkipNodeUpdate is not set");
  registration.address = "10.9.9.9";
  registration.service.emplace();
  registration.service->service = "web";
  CHECK(cluster.rpc_call<rpc::Empty>(1, rpc::method::kCatalogRegister, registration).error == "");
  rpc::ServiceSpecificRequest find;
  find.datacenter = "dc1";
  CHECK(cluster.rpc_call<rpc::IndexedServiceNodes>(2, rpc::method::kCatalogServiceNodes, find).error ==
        "rpc error making call: Must provide service name");
  find.service_name = "web";
  const auto found = cluster.rpc_call<rpc::IndexedServiceNodes>(2, rpc::method::kCatalogServiceNodes, find);
  REQUIRE(found.reply.service_nodes.size() == 1);
  CHECK(found.reply.service_nodes[0].service_id == "web");
}

TEST_CASE("sessions: a TTL ends a session at twice its length unless it is renewed") {
  Cluster cluster(3, 1);
  cluster.start();
  cluster.run_for(5_s);
  rpc::SessionRequest create;
  create.datacenter = "dc1";
  create.op = "create";
  create.session.node = "n4";
  create.session.node_checks = {"serfHealth"};
  create.session.ttl = "1s";
  CHECK(cluster.rpc_call<std::string>(4, rpc::method::kSessionApply, create)
            .error.ends_with("rpc error making call: Invalid Session TTL '1000000000', must be between [10s=24h0m0s]"));
  create.session.ttl = "10s";
  const auto made = cluster.rpc_call<std::string>(4, rpc::method::kSessionApply, create);
  REQUIRE(made.error == "");
  CHECK(made.reply.size() == 36);
  rpc::SessionSpecificRequest which;
  which.datacenter = "dc1";
  which.session_id = made.reply;
  const auto alive = [&] {
    return cluster.rpc_call<rpc::IndexedSessions>(4, rpc::method::kSessionGet, which).reply.sessions.size() == 1;
  };
  cluster.run_for(15_s);
  CHECK(alive());
  CHECK(cluster.rpc_call<rpc::IndexedSessions>(4, rpc::method::kSessionRenew, which).reply.sessions.size() == 1);
  cluster.run_for(18_s);
  CHECK(alive());
  cluster.run_for(3_s);
  CHECK(!alive());
}

TEST_CASE("operator: the Raft configuration by name, and leadership handed over") {
  Cluster cluster(3, 1);
  const int old = cluster.start();
  const auto list = cluster.rpc_call<rpc::RaftConfigurationResponse>(4, rpc::method::kRaftGetConfiguration,
                                                                     rpc::DcSpecificRequest{"dc1", {}, {}, {}});
  REQUIRE(list.reply.servers.size() == 3);
  CHECK(std::count_if(list.reply.servers.begin(), list.reply.servers.end(),
                      [](const auto& s) { return s.leader && s.voter; }) == 1);
  for (const auto& s : list.reply.servers) CHECK(s.node == "n" + s.id.substr(s.id.size() - 1));
  const auto done = cluster.rpc_call<rpc::TransferLeaderResponse>(4, rpc::method::kTransferLeader,
                                                                  rpc::TransferLeaderRequest{"dc1", "", ""});
  CHECK(done.error == "");
  CHECK(done.reply.success);
  cluster.run_for(2_s);
  CHECK(cluster.leader() != 0);
  CHECK(cluster.leader() != old);
  const auto unknown = cluster.rpc_call<rpc::Empty>(4, rpc::method::kRaftRemovePeerById,
                                                    rpc::RaftRemovePeerRequest{"dc1", "", "nobody", ""});
  CHECK(unknown.error.ends_with("id \"nobody\" was not found in the Raft configuration"));
}

TEST_CASE("leave: a leader hands over, leaves, drains and is out of Raft") {
  Cluster cluster(3, 1);
  const int old = cluster.start();
  cluster.run_for(20_s);
  const Instant asked = cluster.world.engine().now();
  cluster.pool.command(old, "consul leave");
  cluster.run_for(20_s);
  REQUIRE(cluster.done.size() == 1);
  CHECK(cluster.done[0].result.out == "Graceful leave complete\n");
  CHECK(cluster.done[0].at - asked >= 8_s);  // 3 s for gossip, 5 s to drain
  CHECK(!cluster.process(old).running());
  const int leader = cluster.leader();
  REQUIRE(leader != 0);
  CHECK(cluster.server(leader).raft().configurations().latest.servers.size() == 2);
  CHECK(cluster.put(4, "k", "1") == "");
}

TEST_CASE("client: when its server dies under a call a read is repeated elsewhere, a write is not") {
  Cluster cluster(3, 1);
  cluster.start();
  CHECK(cluster.put(4, "k", "1") == "");
  const consul::ServerManager& manager = cluster.process(4).agent().rpc_client()->manager();
  if (manager.front()->name == fmt::format("n{}", cluster.leader())) {  // a follower is to die, so that nobody elects
    cluster.rpc_call<rpc::TransferLeaderResponse>(4, rpc::method::kTransferLeader,
                                                  rpc::TransferLeaderRequest{"dc1", "", ""});
    cluster.run_for(2_s);
  }
  const int front = manager.front()->name.back() - '0';
  cluster.world.pause(cluster.id(front));  // its kernel takes the requests, it does not
  const auto get = cluster.ask<rpc::IndexedDirEntries>(4, rpc::method::kKvsGet, cluster.get_request("k"));
  const auto put = cluster.ask<bool>(4, rpc::method::kKvsApply, cluster.put_request("k", "2"));
  cluster.run_for(100_ms);
  CHECK(!get->done);
  CHECK(!put->done);
  cluster.world.crash(cluster.id(front));
  cluster.run_for(5_s);
  REQUIRE(get->done);
  REQUIRE(put->done);
  CHECK(Cluster::shown(*get) == "1");
  CHECK(put->error != "");
  CHECK(manager.front()->name != fmt::format("n{}", front));
}

TEST_CASE("consistent read: an old leader that is cut off finds out instead of answering") {
  Cluster cluster(3, 1);
  const int old = cluster.start();
  CHECK(cluster.put(4, "k", "1") == "");
  cluster.cut({old});
  // Its lease has not run out: a default read may be old, a consistent one waits for a quorum that does not answer.
  const auto plain = cluster.ask<rpc::IndexedDirEntries>(old, rpc::method::kKvsGet, cluster.get_request("k"));
  rpc::KeyRequest request = cluster.get_request("k");
  request.options.require_consistent = true;
  const auto consistent = cluster.ask<rpc::IndexedDirEntries>(old, rpc::method::kKvsGet, request);
  cluster.run_for(1_ms);
  REQUIRE(plain->done);
  CHECK(Cluster::shown(*plain) == "1");
  cluster.run_for(20_s);
  REQUIRE(consistent->done);
  CHECK(consistent->error != "");
}

TEST_CASE("anti-entropy: agents tell a new leader of themselves at once") {
  Cluster c(3, 1);
  const int old = c.start();
  // What only the client itself writes into the catalog, not the leader's reconciling.
  const auto told = [&c] {
    rpc::DcSpecificRequest all;
    all.datacenter = "dc1";
    for (const rpc::Node& node : c.rpc_call<rpc::IndexedNodes>(1, rpc::method::kCatalogListNodes, all).reply.nodes) {
      if (node.node == "n4") return node.meta.contains("consul-network-segment");
    }
    return false;
  };
  REQUIRE(told());
  rpc::DeregisterRequest gone;
  gone.datacenter = "dc1";
  gone.node = "n4";
  REQUIRE(c.rpc_call<rpc::Empty>(1, rpc::method::kCatalogDeregister, gone).error.empty());
  REQUIRE_FALSE(told());
  rpc::TransferLeaderRequest transfer;
  transfer.datacenter = "dc1";
  REQUIRE(c.rpc_call<rpc::TransferLeaderResponse>(1, rpc::method::kTransferLeader, transfer).error.empty());
  c.run_for(8_s);  // a full sync comes a minute apart
  CHECK(c.leader() != old);
  CHECK(told());
}
