#include <algorithm>

#include "cluster_fixture.h"

// hashicorp/consul agent/consul: servers that elect over the virtual network, and RPCs that find their leader.

using namespace dcsim;
using namespace dcsim::host;

TEST_CASE("cluster: three servers bootstrap, elect one leader and agree on it") {
  Cluster cluster(3, 2);
  const int leader = cluster.start();
  const std::string address = fmt::format("10.0.0.{}:8300", leader);
  for (int n = 1; n <= 5; ++n) {
    CHECK(
        cluster.rpc_call<std::string>(n, rpc::method::kStatusLeader, rpc::DcSpecificRequest{"dc1", {}, {}, {}}).reply ==
        address);
    CHECK(cluster.rpc_call<rpc::Texts>(n, rpc::method::kStatusPeers, rpc::DcSpecificRequest{"dc1", {}, {}, {}})
              .reply.size() == 3);
  }
  for (int n = 1; n <= 3; ++n) CHECK(cluster.server(n).raft().term() == cluster.server(1).raft().term());
  CHECK(cluster.server(leader).ready());
}

TEST_CASE("cluster: what is put at one agent is got at every other") {
  Cluster cluster(3, 2);
  cluster.start();
  CHECK(cluster.put(4, "a/b", "from a client") == "");
  for (int n = 1; n <= 5; ++n) CHECK(cluster.get(n, "a/b") == "from a client");
  CHECK(cluster.put(cluster.follower(), "a/c", "through a follower") == "");
  CHECK(cluster.get(5, "a/c") == "through a follower");
  rpc::KeyRequest consistent = cluster.get_request("a/c");
  consistent.options.require_consistent = true;
  CHECK(cluster.get(5, consistent) == "through a follower");
  CHECK(cluster.get(5, "never") == "-");
}

TEST_CASE("cluster: the catalog knows every member, and the leader keeps serfHealth") {
  Cluster cluster(3, 2);
  cluster.start();
  cluster.run_for(10_s);
  const auto nodes =
      cluster.rpc_call<rpc::IndexedNodes>(5, rpc::method::kCatalogListNodes, rpc::DcSpecificRequest{"dc1", {}, {}, {}});
  CHECK(nodes.error == "");
  CHECK(nodes.reply.nodes.size() == 5);
  CHECK(nodes.reply.meta.known_leader);
  cluster.world.crash(cluster.id(4));
  cluster.run_for(60_s);
  rpc::ChecksInStateRequest critical;
  critical.datacenter = "dc1";
  critical.state = "critical";
  const auto checks = cluster.rpc_call<rpc::IndexedHealthChecks>(5, rpc::method::kHealthChecksInState, critical);
  REQUIRE(checks.reply.health_checks.size() == 1);
  CHECK(checks.reply.health_checks[0].node == "n4");
  CHECK(checks.reply.health_checks[0].check_id == "serfHealth");
}

TEST_CASE("failover: a write that meets the leader's crash is repeated within the hold time") {
  Cluster cluster(3, 1);
  const int old = cluster.start();
  CHECK(cluster.put(4, "k", "1") == "");
  cluster.world.crash(cluster.id(old));
  // A follower asked while nobody leads holds the request until somebody does.
  const int follower = cluster.follower();
  cluster.run_for(4_s);
  const auto put = cluster.rpc_call<bool>(follower, rpc::method::kKvsApply, cluster.put_request("k", "2"));
  CHECK(put.error == "");
  const int leader = cluster.leader();
  CHECK(leader != 0);
  CHECK(leader != old);
  CHECK(cluster.get(4, "k") == "2");
}

TEST_CASE("failover: without a quorum reads and writes fail after the hold time, stale reads go on") {
  Cluster cluster(3, 1);
  const int leader = cluster.start();
  CHECK(cluster.put(4, "k", "1") == "");
  for (int n = 1; n <= 3; ++n) {
    if (n != leader) cluster.world.crash(cluster.id(n));
  }
  cluster.run_for(10_s);  // its lease has run out
  CHECK(cluster.leader() == 0);
  const auto read = cluster.rpc_call<rpc::IndexedDirEntries>(leader, rpc::method::kKvsGet, cluster.get_request("k"));
  CHECK(read.error == "No cluster leader");
  CHECK(read.at - read.asked > 7_s);
  CHECK(read.at - read.asked < 15_s);
  rpc::KeyRequest stale = cluster.get_request("k");
  stale.options.allow_stale = true;
  const auto old = cluster.rpc_call<rpc::IndexedDirEntries>(leader, rpc::method::kKvsGet, stale);
  CHECK(cluster.shown(old) == "1");
  CHECK(!old.reply.meta.known_leader);
  CHECK(old.reply.meta.last_contact > 10_s);
  CHECK(old.at - old.asked < 1_ms);
}

TEST_CASE("partition: the minority serves stale reads only, the majority elects and goes on") {
  Cluster cluster(3, 2);
  const int old = cluster.start();
  CHECK(cluster.put(4, "k", "before") == "");
  const auto partition = cluster.cut({old});
  cluster.run_for(15_s);
  int leader = 0;
  for (int n = 1; n <= 3; ++n) {
    if (n != old && cluster.server(n).is_leader()) leader = n;
  }
  REQUIRE(leader != 0);
  CHECK(cluster.put(leader, "k", "after") == "");
  rpc::KeyRequest stale = cluster.get_request("k");
  stale.options.allow_stale = true;
  CHECK(cluster.get(old, stale) == "before");
  CHECK(cluster.get(old, "k") == "[No cluster leader]");
  cluster.world.network().heal(partition);
  cluster.run_for(60_s);
  CHECK(cluster.get(old, "k") == "after");
  CHECK(cluster.get(old, stale) == "after");
}

TEST_CASE("restart: a server comes back with its log and catches up") {
  Cluster cluster(3);
  cluster.start();
  CHECK(cluster.put(1, "k", "1") == "");
  const int n = cluster.follower();
  cluster.world.crash(cluster.id(n));
  const int other = n == 1 ? 2 : 1;
  CHECK(cluster.put(other, "k", "2") == "");
  cluster.world.start(cluster.id(n));
  cluster.run_for(20_s);
  const auto* entry = cluster.server(n).store().kv().find("k");
  REQUIRE(entry != nullptr);
  CHECK(text_of(entry->value) == "2");
}

TEST_CASE("all servers restart: acknowledged writes are there") {
  Cluster cluster(3);
  cluster.start();
  CHECK(cluster.put(1, "k", "kept") == "");
  for (int n = 1; n <= 3; ++n) cluster.world.crash(cluster.id(n));
  cluster.run_for(5_s);
  for (int n = 1; n <= 3; ++n) cluster.world.start(cluster.id(n));
  cluster.run_for(30_s);
  CHECK(cluster.get(2, "k") == "kept");
}

TEST_CASE("commands: kv put at one agent, kv get at another; peers and nodes are listed") {
  Cluster cluster(3, 2);
  const int leader = cluster.start();
  const auto run = [&](int n, const std::string& line) {
    cluster.done.clear();
    cluster.pool.command(n, line);
    cluster.run_for(1_s);
    REQUIRE(cluster.done.size() == 1);
    return cluster.done[0].result;
  };
  CHECK(run(4, "consul kv put app/color blue").out == "Success! Data written to: app/color\n");
  CHECK(run(5, "consul kv get app/color").out == "blue\n");
  CHECK(run(2, "consul kv get -stale app/color").out == "blue\n");
  const auto peers = run(5, "consul operator raft list-peers");
  CHECK(peers.exit == 0);
  CHECK(peers.out.find(fmt::format("10.0.0.{}:8300  leader", leader)) != std::string::npos);
  CHECK(std::count(peers.out.begin(), peers.out.end(), '\n') == 4);
  const auto nodes = run(4, "consul catalog nodes");
  for (int n = 1; n <= 5; ++n) CHECK(nodes.out.find(fmt::format("n{} ", n)) != std::string::npos);
  CHECK(run(4, "consul info").out.find("known_servers = 3") != std::string::npos);
}

TEST_CASE("anti-entropy: agents register themselves over RPC, with what gossip does not carry") {
  Cluster cluster(3, 1);
  cluster.start();
  cluster.run_for(30_s);
  rpc::DcSpecificRequest all;
  all.datacenter = "dc1";
  all.node_meta_filters["consul-network-segment"] = "";
  const auto nodes = cluster.rpc_call<rpc::IndexedNodes>(4, rpc::method::kCatalogListNodes, all);
  CHECK(nodes.reply.nodes.size() == 4);
}

TEST_CASE("determinism: a world runs the same twice") {
  const auto run = [](std::uint64_t seed) {
    Cluster cluster(3, 2, {}, seed);
    cluster.start();
    cluster.put(4, "k", "1");
    cluster.world.crash(cluster.id(cluster.leader()));
    cluster.run_for(40_s);
    std::string state = fmt::format("{} {} ", cluster.leader(), cluster.world.engine().now().ns);
    for (int n = 1; n <= 3; ++n) {
      if (!cluster.process(n).running()) continue;
      const raft::Node& node = cluster.server(n).raft();
      state += fmt::format("{}:{}:{}:{} ", n, node.term(), node.commit_index(), node.last_contact().ns);
    }
    state += fmt::format("{}", cluster.world.network().totals().sent);
    return state;
  };
  CHECK(run(1) == run(1));
  CHECK(run(1) != run(2));
}

namespace {

/// Another configuration for one agent before it starts.
void configure(WorldSpec& spec, int n, bool server, RawValue::Map keys) {
  AgentSpec& a = spec.agents[static_cast<std::size_t>(n - 1)];
  const Address address = spec.network.hosts[static_cast<std::size_t>(n - 1)].addresses.front();
  keys.emplace_back("performance", RawValue{RawValue::Map{{"raft_multiplier", raw(std::int64_t{1})}}, 0});
  if (server) keys.emplace_back("server", raw(true));
  const std::vector<consul::Interface> interfaces = {{"eth0", address, 24, true, true}};
  std::vector<consul::ConfigProblem> problems;
  a.config = consul::build_config(consul::AgentKind::kConsul, RawValue{std::move(keys), 0}, a.name, "dc1",
                                  fmt::format("00000000-0000-4000-8000-{:012}", n), interfaces, problems);
  for (const auto& p : problems) CHECK_MESSAGE(p.warning, p.text);
}

RawValue joining() { return RawValue{RawValue::List{raw("10.0.0.1")}, 0}; }

}  // namespace

TEST_CASE("bootstrap: a single server leads at once, others that join become voters") {
  WorldSpec spec = cluster_spec(3, 0);
  configure(spec, 1, true, {{"bootstrap", raw(true)}});
  configure(spec, 2, true, {{"retry_join", joining()}});
  configure(spec, 3, true, {{"retry_join", joining()}});
  Cluster cluster(std::move(spec), 3);
  cluster.world.start(cluster.id(1));
  cluster.run_for(5_s);
  CHECK(cluster.leader() == 1);
  CHECK(cluster.put(1, "k", "1") == "");
  cluster.world.start(cluster.id(2));
  cluster.world.start(cluster.id(3));
  cluster.run_for(5_s);
  CHECK(cluster.server(1).raft().configurations().latest.servers.size() == 3);
  CHECK(raft::voters_of(cluster.server(1).raft().configurations().latest) == 1);
  cluster.run_for(40_s);
  CHECK(raft::voters_of(cluster.server(1).raft().configurations().latest) == 3);
  CHECK(cluster.get(3, "k") == "1");
}

TEST_CASE("bootstrap: servers that were never told to bootstrap have no leader") {
  WorldSpec spec = cluster_spec(2, 0);
  configure(spec, 1, true, {});
  configure(spec, 2, true, {{"retry_join", joining()}});
  Cluster cluster(std::move(spec), 2);
  cluster.pool.start_all();
  cluster.run_for(30_s);
  CHECK(cluster.leader() == 0);
  rpc::KeyRequest stale = cluster.get_request("k");
  stale.options.allow_stale = true;
  const auto read = cluster.rpc_call<rpc::IndexedDirEntries>(1, rpc::method::kKvsGet, stale);
  CHECK(read.error == "No cluster leader");  // stale or not: it never had contact with one
  CHECK(read.at - read.asked > 7_s);
}

TEST_CASE("segments: a client reaches the servers at the address they have in its segment") {
  const auto segment = [](const char* ip, bool listener) {
    RawValue::Map alpha = {
        {"name", raw("alpha")}, {"port", raw(std::int64_t{8303})}, {"bind", raw(ip)}, {"advertise", raw(ip)}};
    if (listener) alpha.emplace_back("rpc_listener", raw(true));
    return RawValue{RawValue::List{RawValue{std::move(alpha), 0}}, 0};
  };
  for (const bool listener : {true, false}) {
    CAPTURE(listener);
    WorldSpec spec = cluster_spec(1, 1);
    const Address second = *Address::parse("10.0.0.101");
    spec.network.hosts[0].addresses.push_back(second);
    configure(
        spec, 1, true,
        {{"bootstrap", raw(true)}, {"bind_addr", raw("10.0.0.1")}, {"segments", segment("10.0.0.101", listener)}});
    configure(spec, 2, false,
              {{"segment", raw("alpha")},
               {"ports", RawValue{RawValue::Map{{"serf_lan", raw(std::int64_t{8303})}}, 0}},
               {"retry_join", RawValue{RawValue::List{raw("10.0.0.101")}, 0}}});
    Cluster cluster(std::move(spec), 1);
    cluster.pool.start_all();
    cluster.run_for(10_s);
    const consul::ServerManager& manager = cluster.process(2).agent().rpc_client()->manager();
    REQUIRE(manager.servers().size() == 1);
    CHECK(manager.front()->address == "10.0.0.101:8300");
    const std::string error = cluster.put(2, "k", "1");
    CHECK((error.empty() == listener));  // without it gossip works and every RPC fails
  }
}
