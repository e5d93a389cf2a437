#include "consul/anti_entropy.h"

#include "cli_fixture.h"

using namespace dcsim;
using namespace dcsim::test;

// agent/ae/ae.go over agent/local/state.go.

namespace {

Instant at(Duration d) { return Instant{d.ns}; }

struct Fixture : AntiEntropyHost {
  FakeRpc rpc{};
  LocalState local{local_identity(agent_config())};
  std::size_t size = 10;
  wire::rpc::Coordinates own{};
  std::vector<std::string> lines{};
  AntiEntropy sync{local, rpc, *this, 7, "c1.dc1"};

  std::size_t lan_members() const override { return size; }
  wire::rpc::Coordinates coordinates() const override { return own; }
  void log(Instant, LogLevel level, std::string_view line) override {
    static constexpr std::string_view kLevels[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR"};
    lines.push_back(std::string(kLevels[static_cast<std::size_t>(level)]) + " " + std::string(line));
  }
  bool said(const std::string& line) const { return std::find(lines.begin(), lines.end(), line) != lines.end(); }
  void add(const std::string& name, int port = 80) {
    wire::rpc::NodeService s;
    s.service = name;
    s.port = port;
    local.add_service(s);
  }
  const NodeRecord* node() { return rpc.fsm.store().node("c1"); }
  std::size_t calls(std::string_view name) const { return static_cast<std::size_t>(std::count(rpc.calls.begin(), rpc.calls.end(), name)); }
};

}  // namespace

TEST_CASE("anti-entropy: the first sync brings node, services and checks to the catalog") {
  Fixture f;
  f.add("web");
  wire::rpc::HealthCheck check;
  check.check_id = "web-alive";
  check.name = "alive";
  check.status = "passing";
  check.service_id = "web";
  f.local.add_check(check);
  f.sync.start(at(1_s));
  REQUIRE(f.node());
  CHECK(f.node()->node.address == "10.0.0.50");
  CHECK(f.node()->node.meta == wire::rpc::TextMap{{"consul-network-segment", ""}, {"consul-version", "1.21.4"}});
  CHECK(f.node()->services.at("web").port == 80);
  CHECK(f.node()->checks.at("web-alive").service_name == "web");
  CHECK(f.calls(method::kCatalogRegister) == 2);  // the check went with its service
  CHECK(f.lines == std::vector<std::string>{"INFO agent: started state syncer", "INFO agent: Synced node info", "INFO agent: Synced service: service=web"});
}

TEST_CASE("anti-entropy: the segment of a client is in its node's meta, written by itself") {
  AgentConfig config = agent_config();
  config.segment = "alpha";
  CHECK(local_identity(config).meta.at("consul-network-segment") == "alpha");
  CHECK(local_identity(config).tagged_addresses.at("lan") == "10.0.0.50");
}

TEST_CASE("anti-entropy: a sync with nothing to do costs two stale reads") {
  Fixture f;
  f.sync.start(at(0_s));
  f.rpc.calls.clear();
  const Instant next = f.sync.next_deadline();
  CHECK(next >= at(60_s));
  CHECK(next < at(120_s));
  f.sync.on_deadline(next);
  CHECK(f.rpc.calls == std::vector<std::string>{"Catalog.NodeServices", "Health.NodeChecks"});
  CHECK(f.rpc.options.back().allow_stale);
  CHECK(f.rpc.options.back().max_stale_duration == 2_s);
}

TEST_CASE("anti-entropy: what changes is sent at once, without reading") {
  Fixture f;
  f.sync.start(at(0_s));
  f.rpc.calls.clear();
  f.add("web");
  f.sync.on_changed(at(5_s));
  CHECK(f.rpc.calls == std::vector<std::string>{"Catalog.Register"});
  CHECK(f.node()->services.count("web") == 1);
  CHECK(!f.local.remove_service("web"));
  f.sync.on_changed(at(6_s));
  CHECK(f.node()->services.count("web") == 0);
  CHECK(f.said("INFO agent: Deregistered service: service=web"));
  f.rpc.calls.clear();
  f.sync.on_changed(at(7_s));
  CHECK(f.rpc.calls.empty());
}

TEST_CASE("anti-entropy: the full sync mends what others did to the node, but for what is the leader's") {
  Fixture f;
  f.add("web");
  f.sync.start(at(0_s));
  f.rpc.add_service("c1", "10.0.0.50", "stray");
  f.rpc.add_service("c1", "10.0.0.50", "consul");
  wire::rpc::RegisterRequest r;
  r.node = "c1";
  r.address = "10.0.0.50";
  r.skip_node_update = true;
  for (const char* id : {"serfHealth", "stray-check"}) {
    r.check.emplace();
    r.check->node = "c1";
    r.check->check_id = id;
    r.check->status = "passing";
    f.rpc.apply(wire::rpc::CommandType::kRegister, r);
  }
  f.rpc.add_service("c1", "10.0.0.50", "web", {"changed by hand"});
  f.sync.on_deadline(f.sync.next_deadline());
  CHECK(f.node()->services.count("stray") == 0);
  CHECK(f.node()->services.count("consul") == 1);
  CHECK(f.node()->checks.count("stray-check") == 0);
  CHECK(f.node()->checks.count("serfHealth") == 1);
  CHECK(f.node()->services.at("web").tags.empty());
  CHECK(f.said("INFO agent: Deregistered check: check=stray-check"));
}

TEST_CASE("anti-entropy: a node that the leader registered gets its meta") {
  Fixture f;
  f.rpc.add_node("c1", "10.0.0.50", agent_config().node_id, {{"consul-version", "1.21.4"}});
  f.sync.start(at(0_s));
  CHECK(f.node()->node.meta.count("consul-network-segment") == 1);
}

TEST_CASE("anti-entropy: a full sync that failed is tried again after 15 to 30 s, or when a server appears") {
  Fixture f;
  f.rpc.error = "No known Consul servers";
  f.sync.start(at(0_s));
  CHECK(f.said("ERROR agent.anti_entropy: failed to sync remote state: error=\"No known Consul servers\""));
  const Instant retry = f.sync.next_deadline();
  CHECK(retry >= at(15_s));
  CHECK(retry < at(30_s));
  f.sync.on_changed(at(1_s));  // not before the full sync
  CHECK(f.calls(method::kCatalogRegister) == 0);
  f.rpc.error.clear();
  f.sync.on_server_up(at(2_s));
  const Instant soon = f.sync.next_deadline();
  CHECK(soon >= at(2_s));
  CHECK(soon < at(5_s));
  f.sync.on_deadline(soon);
  CHECK(f.node());
}

TEST_CASE("anti-entropy: a write that fails leaves the rest to be tried, and the whole again") {
  Fixture f;
  f.sync.start(at(0_s));
  f.add("bad");
  f.add("good");
  f.rpc.error_of[std::string(method::kCatalogRegister)] = "rpc error making call: No cluster leader";
  f.sync.on_changed(at(1_s));
  CHECK(f.said("WARN agent: Syncing service failed.: service=bad error=\"rpc error making call: No cluster leader\""));
  CHECK(f.said("WARN agent: Syncing service failed.: service=good error=\"rpc error making call: No cluster leader\""));
  CHECK(f.said("ERROR agent.anti_entropy: failed to sync changes: error=\"2 errors occurred: * rpc error making call: No cluster leader * rpc error "
               "making call: No cluster leader\""));
  f.rpc.error_of.clear();
  f.sync.on_deadline(f.sync.next_deadline());
  CHECK(f.node()->services.size() == 2);
}

TEST_CASE("anti-entropy: what changes while it is being sent is sent again") {
  Fixture f;
  f.sync.start(at(0_s));
  f.add("web", 80);
  f.rpc.hold = true;
  f.sync.on_changed(at(1_s));
  f.add("web", 81);
  f.sync.on_changed(at(1_s));
  f.rpc.release(at(2_s));
  REQUIRE(f.rpc.held.size() == 1);
  f.rpc.release(at(3_s));
  CHECK(f.node()->services.at("web").port == 81);
  CHECK(f.rpc.held.empty());
}

TEST_CASE("anti-entropy: waits grow with the pool, by its logarithm") {
  CHECK(anti_entropy_scale(0) == 1);
  CHECK(anti_entropy_scale(128) == 1);
  CHECK(anti_entropy_scale(129) == 2);
  CHECK(anti_entropy_scale(256) == 2);
  CHECK(anti_entropy_scale(257) == 3);
  CHECK(anti_entropy_scale(8192) == 7);
  Duration longest{};
  for (int i = 0; i < 50; ++i) {
    Fixture f;
    f.size = 8192;
    AntiEntropy sync(f.local, f.rpc, f, 7, "c" + std::to_string(i));
    sync.start(at(0_s));
    CHECK(sync.next_deadline() >= at(60_s));
    CHECK(sync.next_deadline() < at(480_s));
    longest = std::max(longest, sync.next_deadline() - at(0_s));
  }
  CHECK(longest > 240_s);
}

TEST_CASE("anti-entropy: nothing after the agent has stopped") {
  Fixture f;
  f.rpc.hold = true;
  f.sync.start(at(0_s));
  f.sync.stop();
  f.rpc.hold = false;
  f.rpc.release(at(1_s));
  f.sync.on_changed(at(2_s));
  f.sync.on_server_up(at(2_s));
  CHECK(f.rpc.calls.size() == 1);
  CHECK(f.sync.next_deadline() == Instant::never());
}

TEST_CASE("anti-entropy: maintenance is a critical check") {
  Fixture f;
  f.sync.start(at(0_s));
  f.local.set_node_maintenance(true, "");
  f.sync.on_changed(at(1_s));
  const wire::rpc::HealthCheck& check = f.node()->checks.at("_node_maintenance");
  CHECK(check.status == "critical");
  CHECK(check.name == "Node Maintenance Mode");
  CHECK(check.notes == "Maintenance mode is enabled for this node, but no reason was provided. This is a default message.");
  f.local.set_node_maintenance(false, "");
  f.sync.on_changed(at(2_s));
  CHECK(f.node()->checks.count("_node_maintenance") == 0);
}

TEST_CASE("coordinates go to the servers every 15 to 30 s, more rarely from large pools") {
  Fixture f;
  f.own = {{"c1", "alpha", wire::rpc::Coord{{0, 0}, 1.5, 0, 0.1}}, {"c1", "beta", wire::rpc::Coord{{0, 0}, 1.5, 0, 0.1}}};
  CoordinateSender sender("dc1", "c1", f.rpc, f, 7, "c1.dc1");
  sender.start(at(0_s));
  const Instant first = sender.next_deadline();
  CHECK(first >= at(15_s));
  CHECK(first < at(30_s));
  sender.on_deadline(first);
  CHECK(f.rpc.calls == std::vector<std::string>{"Coordinate.Update", "Coordinate.Update"});
  f.rpc.error = "No cluster leader";
  f.size = 6400;  // 100 s
  sender.on_deadline(sender.next_deadline());
  CHECK(f.lines.back() == "ERROR agent: Coordinate update error: error=\"No cluster leader\"");
  CHECK(sender.next_deadline() - first > 115_s);
  sender.stop();
  CHECK(sender.next_deadline() == Instant::never());
}
