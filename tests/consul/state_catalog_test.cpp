#include <limits>

#include "state_fixture.h"

using namespace dcsim;
using namespace dcsim::test::state;

// Consul API docs "Catalog HTTP Endpoint", "Health HTTP Endpoint"; agent/consul/state/catalog.go.

TEST_CASE("catalog: a registration is a node, then its service, then its checks") {
  Machine m;
  RegisterRequest r = with(node("n1", "10.0.0.1", kIdA), service("web1", "web", {"v1"}));
  r.node_meta = {{"rack", "r1"}};
  r.tagged_addresses = {{"lan", "10.0.0.1"}, {"wan", "198.51.100.1"}};
  r.checks = {check("n1", "serfHealth", "passing"), check("n1", "web-up", "", "web1")};
  CHECK(m(r) == kDone);

  const NodeRecord* n = m.store().node("N1");  // names are found in any case
  REQUIRE(n);
  CHECK(n->node.id == kIdA);
  CHECK(n->node.meta == TextMap{{"rack", "r1"}});
  CHECK(n->node.tagged_addresses.at("wan") == "198.51.100.1");
  CHECK(n->node.index == RaftIndex{1, 1});
  CHECK(n->services.at("web1").weights == Weights{1, 1});
  CHECK(n->checks.at("web-up").status == "critical");  // the default
  CHECK(n->checks.at("web-up").service_name == "web");
  CHECK(n->checks.at("web-up").service_tags == Texts{"v1"});
}

TEST_CASE("catalog: registering the same again changes no index and wakes nobody") {
  Machine m;
  RegisterRequest r = with(node("n1", "10.0.0.1", kIdA), service("web1", "web"));
  r.check = check("n1", "web-up", "passing", "web1");
  m(r);
  WatchSet watch;
  nodes(m, {}, &watch);
  instances(m, "web", {}, &watch);
  in_state(m, "any", &watch);
  m.store().watchers().wait(watch);

  CHECK(m(r) == kDone);
  CHECK(nodes(m) == Names{1, {"n1"}});
  CHECK(instances(m, "web") == Names{1, {"n1/web1"}});
  CHECK(in_state(m, "passing") == Names{1, {"n1/web-up"}});
  CHECK_FALSE(m.store().watchers().any_woken());

  r.address = "10.0.0.9";
  CHECK(m(r) == kDone);
  CHECK(m.store().node("n1")->node.index == RaftIndex{1, 3});
  CHECK(m.store().node("n1")->services.at("web1").index == RaftIndex{1, 1});
  CHECK(instances(m, "web").index == 3);  // the answer holds the node's address
  CHECK(m.store().watchers().any_woken());
}

TEST_CASE("catalog: SkipNodeUpdate leaves a known node alone, and creates an unknown one") {
  Machine m;
  m(node("n1", "10.0.0.1", kIdA));
  RegisterRequest r = with(node("n1", "10.9.9.9"), check("n1", "serfHealth", "critical"));
  r.skip_node_update = true;
  CHECK(m(r) == kDone);
  CHECK(m.store().node("n1")->node.address == "10.0.0.1");
  CHECK(m.store().node("n1")->node.id == kIdA);
  CHECK(in_state(m, "critical") == Names{2, {"n1/serfHealth"}});

  r.node = r.check->node = "n2";
  CHECK(m(r) == kDone);
  CHECK(m.store().node("n2")->node.address == "10.9.9.9");
}

TEST_CASE("catalog: a name belongs to its node ID while that node is healthy") {
  Machine m;
  m(with(node("n1", "10.0.0.1", kIdA), check("n1", "serfHealth", "passing")));

  const std::string reserved = std::string("Node name n1 is reserved by node ") + kIdA + " with name n1 (10.0.0.1)";
  CHECK(m(node("N1", "10.0.0.2", kIdB)) ==
        refused(std::string("failed inserting node: Error while renaming Node ID: \"") + kIdB +
                "\": Node name N1 is reserved by node " + kIdA + " with name n1 (10.0.0.1)"));

  m(node("n2", "10.0.0.2", kIdB));
  CHECK(m(node("n1", "10.0.0.2", kIdB)) ==
        refused(std::string("failed inserting node: Error while renaming Node ID: \"") + kIdB +
                "\" (10.0.0.2): " + reserved));
  CHECK(m.store().node("n1")->node.id == kIdA);
  CHECK(nodes(m).names == Texts{"n1", "n2"});

  // Once the holder failed, another machine may come up under its name.
  m(with(node("n1", "10.0.0.1", kIdA), check("n1", "serfHealth", "critical")));
  CHECK(m(node("n1", "10.0.0.2", kIdB)) == kDone);
  CHECK(nodes(m).names == Texts{"n1"});
  CHECK(m.store().node("n1")->node.address == "10.0.0.2");
  CHECK(m.store().node_by_id(kIdA) == nullptr);
}

TEST_CASE("catalog: a node without ID gets one; an ID under a new name renames its node") {
  Machine m;
  m(with(node("n1"), check("n1", "serfHealth", "passing")));
  CHECK(m(node("n1", "10.0.0.1", kIdA)) == kDone);
  CHECK(m.store().node("n1")->node.index == RaftIndex{1, 2});

  m(with(node("n1", "10.0.0.1", kIdA), service("web1", "web")));
  CHECK(m(node("renamed", "10.0.0.1", kIdA)) == kDone);
  CHECK(nodes(m) == Names{4, {"renamed"}});
  CHECK(m.store().node("renamed")->node.index == RaftIndex{1, 4});  // the same node, so its CreateIndex
  CHECK(m.store().node("renamed")->services.empty());
  CHECK(instances(m, "web").names.empty());
  CHECK(m.store().node_by_id(kIdA)->node.node == "renamed");
}

TEST_CASE("catalog: a registration that is refused changes nothing") {
  Machine m;
  RegisterRequest r = with(node("n1"), service("web1", "web"));
  r.check = check("n1", "db-up", "passing", "db1");
  CHECK(m(r) == refused("failed inserting check on node \"n1\": Missing service registration"));
  CHECK(nodes(m) == Names{0, {}});

  r.check = check("n2", "up", "passing");
  CHECK(m(r) == refused("check node \"n2\" does not match node \"n1\""));

  r.check.reset();
  r.service->meta = {{"consul-secret", "x"}};
  CHECK(m(r) == refused("failed inserting service: Invalid Service Meta for node n1 and serviceID web1: Couldn't load "
                        "metadata pair ('consul-secret', 'x'): Key prefix 'consul-' is reserved for internal use"));
  r.service->meta = {{"bad key", "x"}};
  CHECK(m(r).text.ends_with("Key contains invalid characters"));
  r.service->meta = {{"k", std::string(513, 'x')}};
  CHECK(m(r).text.ends_with("Value is too long (limit: 512 characters)"));
  CHECK(nodes(m) == Names{0, {}});

  CHECK(m(node("")) == refused("failed inserting node: failed inserting node: object missing primary index"));
}

TEST_CASE("catalog: answers are ordered by name, whatever the order of registration") {
  Machine m;
  for (const char* name : {"n-10", "N2", "a", "n-1", "n"}) m(with(node(name), service("b", "web")));
  m(with(node("n"), service("a", "web")));
  CHECK(nodes(m).names == Texts{"a", "n", "n-1", "n-10", "N2"});
  CHECK(instances(m, "WEB").names == Texts{"a/b", "n/a", "n/b", "n-1/b", "n-10/b", "N2/b"});
}

TEST_CASE("catalog: deregistering a service takes its checks; a node takes everything") {
  Machine m;
  RegisterRequest r = with(node("n1"), service("web1", "web"));
  r.checks = {check("n1", "serfHealth", "passing"), check("n1", "web-up", "passing", "web1")};
  m(r);
  m(with(node("n2"), service("web2", "web")));

  CHECK(m(gone("n1", "web1")) == kDone);
  CHECK(instances(m, "web") == Names{3, {"n2/web2"}});
  CHECK(in_state(m, "any") == Names{3, {"n1/serfHealth"}});

  CHECK(m(gone("n1", "", "serfHealth")) == kDone);
  CHECK(in_state(m, "any") == Names{4, {}});

  CHECK(m(gone("N2")) == kDone);
  CHECK(nodes(m) == Names{5, {"n1"}});
  // The last instance went: who asks for the service is told by the index of that.
  CHECK(instances(m, "web") == Names{5, {}});
  CHECK(instances(m, "never-was") == Names{5, {}});

  CHECK(m(gone("n2")) == kDone);  // what is gone is gone
  CHECK(m(gone("n1", "web1")) == kDone);
  CHECK(nodes(m).index == 5);
}

TEST_CASE("catalog: node meta selects nodes, services and checks") {
  Machine m;
  RegisterRequest alpha = with(node("n1"), service("web1", "web", {"a", "b"}));
  alpha.node_meta = {{"consul-network-segment", "alpha"}, {"rack", "r1"}};
  alpha.check = check("n1", "up", "passing");
  m(alpha);
  RegisterRequest beta = with(node("n2"), service("web2", "web", {"c", "a"}));
  beta.node_meta = {{"consul-network-segment", ""}};
  beta.check = check("n2", "up", "passing");
  m(beta);

  CHECK(nodes(m, {{"consul-network-segment", "alpha"}}).names == Texts{"n1"});
  CHECK(nodes(m, {{"consul-network-segment", ""}}).names == Texts{"n2"});
  CHECK(nodes(m, {{"consul-network-segment", "alpha"}, {"rack", "r2"}}).names.empty());
  CHECK(in_state(m, "passing", nullptr, {{"rack", "r1"}}).names == Texts{"n1/up"});

  DcSpecificRequest q;
  IndexedServices r;
  list_services(m.store(), q, r);
  CHECK(r.services == std::map<std::string, Texts>{{"web", {"a", "b", "c"}}});
  q.node_meta_filters = {{"rack", "r1"}};
  list_services(m.store(), q, r);
  CHECK(r.services == std::map<std::string, Texts>{{"web", {"a", "b"}}});
  CHECK(r.meta.index == 2);
}

TEST_CASE("catalog: tags select instances in any case, and all of them must fit") {
  Machine m;
  m(with(node("n1"), service("web1", "web", {"Primary", "v1"})));
  m(with(node("n2"), service("web2", "web", {"v1"})));
  CHECK(instances(m, "web", {"V1"}).names == Texts{"n1/web1", "n2/web2"});
  CHECK(instances(m, "web", {"v1", "primary"}).names == Texts{"n1/web1"});
  CHECK(instances(m, "web", {"v2"}) == Names{2, {}});
}

TEST_CASE("catalog: a node is found by name or by the beginning of its ID, if only one fits") {
  Machine m;
  m(with(node("n1", "10.0.0.1", "aaaa1111-0000-4000-8000-000000000001"), service("web1", "web")));
  m(node("n2", "10.0.0.2", "aaaa2222-0000-4000-8000-000000000002"));
  const auto ask = [&m](const char* name) {
    NodeSpecificRequest q;
    q.node = name;
    IndexedNodeServices r;
    node_services(m.store(), q, r);
    return r;
  };
  const auto found = [&ask](const char* name) {
    const IndexedNodeServices r = ask(name);
    return r.node_services && r.node_services->node ? r.node_services->node->node : "nobody";
  };
  REQUIRE(ask("n1").node_services);
  CHECK(ask("n1").node_services.value().services.at("web1").service == "web");
  CHECK(ask("n1").meta.index == 1);
  CHECK(found("AAAA1111") == "n1");
  CHECK(found("aaaa2222-0000-") == "n2");
  CHECK(found("aaaa2222-0000-4000-8000-000000000002") == "n2");
  CHECK(found("aaaa2222f") == "n2");        // an odd last character does not count
  CHECK(found("aaaa2222-00") == "nobody");  // whole bytes are compared, and here a half one is left
  CHECK_FALSE(ask("aaaa").node_services);   // two fit
  CHECK(ask("aaaa").meta.index == 0);
  CHECK_FALSE(ask("zz").node_services);
  CHECK_FALSE(ask("a").node_services);

  m(gone("n2"));
  CHECK(ask("n2").meta.index == 3);  // an extinction tells who waits for the name
}

TEST_CASE("health: an instance is judged by its node's checks and its own") {
  Machine m;
  RegisterRequest r = with(node("n1"), service("web1", "web"));
  r.checks = {check("n1", "serfHealth", "passing"), check("n1", "web-up", "warning", "web1")};
  m(r);
  m(with(node("n1"), service("db1", "db")));
  m(with(node("n2"), service("web2", "web")));

  CHECK(healthy(m, "web", false) == Names{3, {"n1/web1", "n2/web2"}});
  CHECK(healthy(m, "web", true).names == Texts{"n2/web2"});
  CHECK(healthy(m, "db", true).names == Texts{"n1/db1"});

  m(with(node("n1"), check("n1", "serfHealth", "critical")));
  CHECK(healthy(m, "web", false) == Names{4, {"n2/web2"}});
  CHECK(healthy(m, "db", false) == Names{4, {}});
  CHECK(in_state(m, "critical") == Names{4, {"n1/serfHealth"}});

  ServiceSpecificRequest q;
  q.service_name = "web";
  IndexedHealthChecks checks;
  service_checks(m.store(), q, checks);
  REQUIRE(checks.health_checks.size() == 1);
  CHECK(checks.health_checks[0].check_id == "web-up");
  NodeSpecificRequest of_node;
  of_node.node = "n1";
  node_checks(m.store(), of_node, checks);
  CHECK(checks.health_checks.size() == 2);
  CHECK(checks.meta.index == 4);
}

TEST_CASE("health: a check's change of a service moves that service's index alone") {
  Machine m;
  m(with(node("n1"), service("web1", "web")));
  m(with(node("n1"), service("db1", "db")));
  m(with(node("n1"), check("n1", "web-up", "passing", "web1")));
  CHECK(healthy(m, "web", false).index == 3);
  CHECK(healthy(m, "db", false).index == 2);
  m(with(node("n1"), check("n1", "_node_maintenance", "critical")));  // concerns all
  CHECK(healthy(m, "db", false).index == 4);
}

TEST_CASE("catalog: a service whose weights are not given or not valid weighs 1 and 1, and stays the same") {
  Machine m;
  NodeService s = service("web1", "web");
  m(with(node("n1"), s));
  s.weights = Weights{0, -1};
  m(with(node("n1"), s));
  CHECK(m.store().node("n1")->services.at("web1").index == RaftIndex{1, 1});
  s.weights = Weights{5, 0};
  m(with(node("n1"), s));
  CHECK(m.store().node("n1")->services.at("web1").index == RaftIndex{1, 3});
}

TEST_CASE("catalog: a service that changes its name under the same ID leaves the old name") {
  Machine m;
  m(with(node("n1"), service("x", "old")));
  m(with(node("n1"), service("x", "new")));
  CHECK(instances(m, "old").names.empty());
  CHECK(instances(m, "new") == Names{2, {"n1/x"}});
}

TEST_CASE("coordinates: kept per node and segment, dropped with the node") {
  Machine m;
  m(node("n1"));
  Coordinate c;
  c.node = "n1";
  c.coord = Coord{{0.1, 0.2}, 1.5, 0, 1e-5};
  Coordinate alpha = c;
  alpha.segment = "alpha";
  Coordinate broken = c;
  broken.segment = "broken";
  broken.coord->vec[0] = std::numeric_limits<double>::quiet_NaN();
  Coordinate stranger = c;
  stranger.node = "n2";
  CHECK(m(Coordinates{c, alpha, broken, stranger}) == kDone);
  Coordinates all;
  CHECK(coordinates(m.store(), all) == 2);
  REQUIRE(all.size() == 2);
  CHECK(all[0] == c);
  CHECK(all[1] == alpha);
  m(gone("n1"));
  CHECK(coordinates(m.store(), all) == 3);
  CHECK(all.empty());
}

TEST_CASE("autopilot: settings are replaced, and by check-and-set only at their index") {
  Machine m;
  AutopilotSetConfigRequest r;
  r.cas = true;
  CHECK(m(r) == kFalse);  // there are none yet
  r.cas = false;
  r.config.cleanup_dead_servers = true;
  r.config.min_quorum = 3;
  CHECK(m(r) == kDone);
  r.cas = true;
  r.config.min_quorum = 5;
  CHECK(m(r) == kFalse);
  CHECK(m.store().autopilot()->min_quorum == 3);
  r.config.index.modify_index = 2;
  CHECK(m(r) == kTrue);
  CHECK(m.store().autopilot()->min_quorum == 5);
  CHECK(m.store().autopilot()->index == RaftIndex{2, 4});
}
