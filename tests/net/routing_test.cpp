#include <set>

#include "net/graph.h"
#include "net/network_world.h"

using namespace dcsim;
using namespace dcsim::net;
using namespace dcsim::net::test;

namespace {

/// a and b joined by two ways through x (5 + 5 ms) and y (10 + 10 ms); every access link 1 ms.
Topology two_ways() {
  Topology t;
  t.zones = {{"a", Cidr::parse("10.1.0.0/16"), "", {}, latency(1_ms)},
             {"b", Cidr::parse("10.2.0.0/16"), "", {}, latency(1_ms)}};
  t.hosts = {agent("a1", "a", "10.1.0.1"), agent("b1", "b", "10.2.0.1")};
  t.switches = {"x", "y"};
  t.links = {{"ax", "a", "x", latency(5_ms), std::nullopt},
             {"xb", "x", "b", latency(5_ms), std::nullopt},
             {"ay", "a", "y", latency(10_ms), std::nullopt},
             {"yb", "y", "b", latency(10_ms), std::nullopt}};
  return t;
}

std::vector<std::string> links_of(const PathReport& report) {
  std::vector<std::string> names;
  for (const PathReport::Step& step : report.steps) {
    if (step.kind == PathReport::Step::Kind::kLink) names.push_back(step.name);
  }
  return names;
}

Impairment cut() {
  Impairment down;
  down.down = true;
  return down;
}

}  // namespace

TEST_CASE("routes: the shortest way is taken, a failed link is routed round, its recovery brings the route back") {
  World w(two_ways());
  w.send("a1", "b1", "short");
  w.run_for(1_s);
  const auto failure = w.network.impair("xb", cut());
  const Instant second = w.engine.now();
  w.send("a1", "b1", "long");
  w.run_for(1_s);
  w.network.restore(*failure);
  const Instant third = w.engine.now();
  w.send("a1", "b1", "short again");
  w.run_for(1_s);
  REQUIRE(w.arrivals.size() == 3);
  CHECK(w.arrivals[0].at == Instant{} + 12_ms);
  CHECK(w.arrivals[1].at == second + 22_ms);
  CHECK(w.arrivals[2].at == third + 12_ms);
}

TEST_CASE("routes: with every way failed a packet is lost to the failed link, in silence") {
  World w(two_ways());
  REQUIRE(w.network.impair("xb", cut()).ok());
  REQUIRE(w.network.impair("ay", cut()).ok());
  CHECK(w.send("a1", "b1", "x") == SocketError::kNone);
  w.run_for(1_s);
  REQUIRE(w.recorder.count(DropReason::kLinkDown) == 1);
  CHECK(w.recorder.losses[0].drop.link == w.network.find_link("xb"));
}

TEST_CASE("routes: an access link that is down cuts off its agent alone") {
  World w(three_zones());
  REQUIRE(w.network.impair("zone:alpha/a1", cut()).ok());
  w.send("a1", "s1", "x");
  w.send("s1", "a1", "y");
  w.send("s1", "a2", "z");
  w.run_for(1_s);
  CHECK(w.recorder.count(DropReason::kLinkDown) == 2);
  CHECK(w.texts("a2") == std::vector<std::string>{"z"});
}

TEST_CASE("routes: slow impairments do not move a route, as costs in a routing protocol do not") {
  World w(two_ways());
  Impairment slow;
  slow.latency = 500_ms;
  REQUIRE(w.network.impair("xb", slow).ok());
  w.send("a1", "b1", "x");
  w.run_for(1_s);
  REQUIRE(w.arrivals.size() == 1);
  CHECK(w.arrivals[0].at == Instant{} + 507_ms);
}

TEST_CASE("routes: an agent with links of its own uses them but never forwards for others") {
  Topology t;
  t.zones = {{"a", std::nullopt, "", {}, latency(1_ms)}, {"b", std::nullopt, "", {}, latency(1_ms)}};
  t.hosts = {agent("a1", "a", "10.1.0.1"), agent("b1", "b", "10.2.0.1"), agent("both", "a", "10.1.0.2")};
  t.links = {{"leg", "both", "b", latency(4_ms), std::nullopt}};
  World w(t);
  w.send("both", "b1", "direct");
  w.send("both", "a1", "home");
  w.send("b1", "both", "back");
  CHECK(w.send("a1", "b1", "x") == SocketError::kNetUnreachable);
  w.run_for(1_s);
  CHECK(w.texts("b1") == std::vector<std::string>{"direct"});
  CHECK(w.texts("a1") == std::vector<std::string>{"home"});
  CHECK(w.texts("both") == std::vector<std::string>{"back"});
  for (const Arrival& a : w.arrivals) CHECK(a.at == Instant{} + (a.text == "home" ? 2_ms : 5_ms));
}

TEST_CASE("leaf-spine: one rack is one leaf away, two racks are leaf, spine, leaf") {
  Topology t = star_topology(6, latency(1_ms), "h");
  t.zones[0].fabric = {FabricKind::kLeafSpine, 3, 4, 0, latency(10_ms)};
  World w(t);  // round robin: h-1 and h-4 share leaf 1
  w.send("h-1", "h-4", "near");
  w.send("h-1", "h-2", "far");
  w.run_for(1_s);
  CHECK(w.arrivals[0].at == Instant{} + 2_ms);
  CHECK(w.arrivals[1].at == Instant{} + 22_ms);
}

TEST_CASE("ecmp: a flow keeps its path, flows spread over all spines, and a dead spine is avoided") {
  Topology t = star_topology(2, latency(1_ms), "h");
  t.zones[0].fabric = {FabricKind::kLeafSpine, 2, 4, 0, latency(10_ms)};
  World w(t);
  std::map<std::string, int> used;
  for (std::uint16_t port = 1'000; port < 2'000; ++port) {
    const PathReport once = w.network.trace_path(w.host("h-1"), w.at("h-2"), Protocol::kUdp, port);
    REQUIRE(links_of(once).size() == 4);
    ++used[links_of(once)[1]];
    CHECK(links_of(w.network.trace_path(w.host("h-1"), w.at("h-2"), Protocol::kUdp, port)) == links_of(once));
  }
  CHECK(used.size() == 4);
  for (const auto& [link, flows] : used) CHECK(flows > 200);
  REQUIRE(w.network.impair("h/leaf1-spine2", cut()).ok());
  for (std::uint16_t port = 1'000; port < 1'200; ++port) {
    for (const std::string& link : links_of(w.network.trace_path(w.host("h-1"), w.at("h-2"), Protocol::kUdp, port))) {
      CHECK(link != "h/leaf1-spine2");
    }
  }
}

TEST_CASE("ecmp: what is traced is what packets take") {
  Topology t = star_topology(2, latency(1_ms), "h");
  t.zones[0].fabric = {FabricKind::kLeafSpine, 2, 4, 0, latency(10_ms)};
  World w(t);
  const std::string uplink = links_of(w.network.trace_path(w.host("h-1"), w.at("h-2"), Protocol::kUdp, 7000))[1];
  w.send("h-1", "h-2", "x");
  w.run_for(1_s);
  CHECK(w.network.link_counters(w.network.find_link(uplink)).forward.packets == 1);
}

TEST_CASE("fat-tree: hosts of one edge, one pod and different pods are 2, 4 and 6 links apart (Al-Fares 2008)") {
  Topology t = star_topology(16, latency(1_ms), "h");
  t.zones[0].fabric = {FabricKind::kFatTree, 0, 0, 4, latency(1_ms)};
  for (std::size_t i = 0; i < 16; ++i) t.hosts[i].rack = static_cast<std::int32_t>(i / 2);
  World w(t);
  w.send("h-1", "h-2", "edge");
  w.send("h-1", "h-3", "pod");
  w.send("h-1", "h-16", "core");
  w.run_for(1_s);
  REQUIRE(w.arrivals.size() == 3);
  CHECK(w.arrivals[0].at == Instant{} + 2_ms);
  CHECK(w.arrivals[1].at == Instant{} + 4_ms);
  CHECK(w.arrivals[2].at == Instant{} + 6_ms);
  Topology copy = t;
  const Graph graph(copy);
  CHECK(graph.vertices().size() == 4 + 4 * 4 + 1);  // cores, pods, border
  CHECK(graph.links().size() == 16 + 2 * 16 + 4);
  CHECK(graph.next_hops(graph.attachment({0}), graph.attachment({15})).size() == 2);
}

TEST_CASE("fabric: links to other zones leave by the border") {
  Topology t = three_zones();
  t.zones[1].fabric = {FabricKind::kLeafSpine, 2, 2, 0, latency(5_ms)};
  World w(t);
  w.send("a1", "s1", "x");
  w.run_for(1_s);
  REQUIRE(w.arrivals.size() == 1);
  CHECK(w.arrivals[0].at == Instant{} + 2_ms + 5_ms + 5_ms + 10_ms + 1_ms);
}

TEST_CASE("sites: the latency matrix joins zones of different sites, explicit links come first") {
  Topology t = three_zones();
  t.links.pop_back();  // core-beta
  t.zones[0].site = t.zones[1].site = "berlin";
  t.zones[2].site = "tokyo";
  t.sites = {{"berlin", "tokyo", latency(120_ms)}, {"tokyo", "berlin", latency(130_ms)}};
  World w(t);
  w.send("s1", "b1", "there");
  w.send("b1", "a1", "back");
  w.run_for(1_s);
  REQUIRE(w.arrivals.size() == 2);
  CHECK(w.arrivals[0].at == Instant{} + 124_ms);
  CHECK(w.arrivals[1].at == Instant{} + 135_ms);
  CHECK(w.network.find_link("site:berlin-tokyo/core-beta").valid());
  REQUIRE(w.network.impair("site:berlin-tokyo", cut()).ok());
  w.send("s1", "b1", "cut");
  w.run_for(1_s);
  CHECK(w.recorder.count(DropReason::kLinkDown) == 1);
}

TEST_CASE("topology: every mistake is named") {
  Topology t = three_zones();
  CHECK(problems_of(t).empty());
  t.hosts.push_back(agent("a1", "gamma", "10.20.1.1"));
  t.hosts.push_back(agent("a3", "alpha", "10.20.1.1"));
  t.links.push_back({"core-alpha", "core", "core", {}, std::nullopt});
  t.zones[0].fabric = {FabricKind::kFatTree, 0, 0, 3, {}};
  t.nat.push_back({"n", "alpha", *Address::parse("1.1.1.1"), *Address::parse("2.2.2.2")});
  const std::vector<std::string> expected = {"zone `core`: a fat-tree needs an even k from 2 to 128",
                                             "`a1` is defined twice",
                                             "agent `a1`: unknown zone `gamma`",
                                             "agents `a1` and `a3` both have the address 10.20.1.1 in zone `alpha`",
                                             "link `core-alpha` is defined twice",
                                             "link `core-alpha` joins `core` to itself",
                                             "nat `n`: no agent of zone `alpha` has the inside address 2.2.2.2"};
  CHECK(problems_of(t) == expected);
}
