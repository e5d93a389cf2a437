#include "net/graph.h"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/dijkstra_shortest_paths.hpp>
#include <boost/property_map/function_property_map.hpp>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "base/check.h"
#include "base/rng.h"

namespace dcsim::net {

namespace {

using Cost = std::uint64_t;
constexpr Cost kUnreachable = std::numeric_limits<Cost>::max();

struct EdgeData {
  DirectionId direction;  // of the traffic that flows from the edge's source to its target
};
using BoostGraph = boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS, boost::no_property, EdgeData>;

/// Strictly positive, so that equal-cost sets have no loops: latency first, then the number of links.
Cost cost_of(const LinkAttributes& link) {
  const auto latency = static_cast<Cost>(std::max<std::int64_t>(link.latency.ns, 0));
  return std::min(latency, Cost{1} << 46) * 65536 + 1;
}

}  // namespace

struct Graph::Routes {
  explicit Routes(std::size_t vertices) : graph(vertices) {}
  BoostGraph graph;
  std::vector<Cost> cost;  // by direction
};

/// Turns zones, fabrics, hosts and links into vertices and links, in an order that depends on the topology alone.
struct Graph::Builder {
  Graph& graph;
  const Topology& topology;
  std::unordered_map<std::string, VertexId> by_name;
  std::unordered_map<std::string, std::uint32_t> zones;
  std::vector<std::vector<VertexId>> access_switches;  // by zone: where agents attach

  VertexId vertex(const std::string& name, std::uint32_t zone) {
    const VertexId id{static_cast<std::uint32_t>(graph.vertices_.size())};
    graph.vertices_.push_back({name, HostId::none(), zone, Rng(0, name, "ecmp").at(0)});
    by_name.emplace(name, id);
    return id;
  }

  LinkId link(Link value) {
    graph.links_.push_back(std::move(value));
    return {static_cast<std::uint32_t>(graph.links_.size() - 1)};
  }

  void uplink(const FabricSpec& fabric, VertexId lower, VertexId upper) {
    const std::string& from = graph.vertices_[lower.index()].name;
    const std::string& to = graph.vertices_[upper.index()].name;
    link({from + "-" + to.substr(to.find('/') + 1), "", lower, upper, HostId::none(), fabric.uplink, fabric.uplink});
  }

  void leaf_spine(std::uint32_t zone, const ZoneSpec& spec) {
    std::vector<VertexId> spines;
    for (std::uint32_t i = 0; i < spec.fabric.spines; ++i) {
      spines.push_back(vertex(spec.name + "/spine" + std::to_string(i + 1), zone));
    }
    for (std::uint32_t i = 0; i < spec.fabric.leaves; ++i) {
      access_switches[zone].push_back(vertex(spec.name + "/leaf" + std::to_string(i + 1), zone));
      for (const VertexId spine : spines) uplink(spec.fabric, access_switches[zone].back(), spine);
    }
    border(zone, spec, spines);
  }

  void fat_tree(std::uint32_t zone, const ZoneSpec& spec) {
    const std::uint32_t half = spec.fabric.k / 2;
    std::vector<VertexId> cores;
    for (std::uint32_t i = 0; i < half * half; ++i) {
      cores.push_back(vertex(spec.name + "/core" + std::to_string(i + 1), zone));
    }
    for (std::uint32_t pod = 0; pod < spec.fabric.k; ++pod) {
      const std::string prefix = spec.name + "/pod" + std::to_string(pod + 1) + "-";
      std::vector<VertexId> aggregation;
      for (std::uint32_t i = 0; i < half; ++i) {
        aggregation.push_back(vertex(prefix + "agg" + std::to_string(i + 1), zone));
        for (std::uint32_t j = 0; j < half; ++j) uplink(spec.fabric, aggregation.back(), cores[i * half + j]);
      }
      for (std::uint32_t i = 0; i < half; ++i) {
        access_switches[zone].push_back(vertex(prefix + "edge" + std::to_string(i + 1), zone));
        for (const VertexId agg : aggregation) uplink(spec.fabric, access_switches[zone].back(), agg);
      }
    }
    border(zone, spec, cores);
  }

  void border(std::uint32_t zone, const ZoneSpec& spec, const std::vector<VertexId>& tops) {
    graph.zone_vertex_[zone] = vertex(spec.name + "/border", zone);
    for (const VertexId top : tops) uplink(spec.fabric, graph.zone_vertex_[zone], top);
  }

  void add_zones() {
    access_switches.resize(topology.zones.size());
    graph.zone_vertex_.resize(topology.zones.size());
    for (std::uint32_t i = 0; i < topology.zones.size(); ++i) {
      const ZoneSpec& zone = topology.zones[i];
      zones.emplace(zone.name, i);
      switch (zone.fabric.kind) {
        case FabricKind::kStar:
          graph.zone_vertex_[i] = vertex(zone.name, i);
          access_switches[i].push_back(graph.zone_vertex_[i]);
          break;
        case FabricKind::kLeafSpine:
          leaf_spine(i, zone);
          break;
        case FabricKind::kFatTree:
          fat_tree(i, zone);
          break;
      }
    }
    for (const std::string& name : topology.switches) vertex(name, kNoZone);
  }

  void add_hosts() {
    std::unordered_set<std::string> linked;
    for (const LinkSpec& spec : topology.links) linked.insert({spec.a, spec.b});
    std::vector<std::uint32_t> seen(topology.zones.size(), 0);
    for (std::uint32_t i = 0; i < topology.hosts.size(); ++i) {
      const HostSpec& host = topology.hosts[i];
      const std::uint32_t zone = zones.at(host.zone);
      const auto& switches = access_switches[zone];
      const std::uint32_t rack = host.rack >= 0 ? static_cast<std::uint32_t>(host.rack) : seen[zone];
      ++seen[zone];
      const VertexId at = switches[rack % switches.size()];
      const LinkAttributes& attributes = host.link ? *host.link : topology.zones[zone].link;
      Link access{"zone:" + host.zone + "/" + host.name,
                  "zone:" + host.zone,
                  VertexId::none(),
                  at,
                  HostId{i},
                  attributes,
                  attributes};
      if (linked.contains(host.name)) {
        access.a = vertex(host.name, zone);
        graph.vertices_.back().host = HostId{i};
        graph.attachment_.push_back(access.a);
        graph.access_.push_back(LinkId::none());
        link(std::move(access));
      } else {
        graph.attachment_.push_back(at);
        graph.access_.push_back(link(std::move(access)));
      }
    }
  }

  VertexId end_of(const std::string& name) {
    if (const auto zone = zones.find(name); zone != zones.end()) return graph.zone_vertex_[zone->second];
    if (const auto known = by_name.find(name); known != by_name.end()) return known->second;
    return vertex(name, kNoZone);
  }

  void add_links() {
    for (const LinkSpec& spec : topology.links) {
      const VertexId a = end_of(spec.a);
      const VertexId b = end_of(spec.b);
      link({spec.name.empty() ? spec.a + "-" + spec.b : spec.name, "", a, b, HostId::none(), spec.attributes,
            spec.back.value_or(spec.attributes)});
    }
    add_site_links();
  }

  void add_site_links() {
    std::unordered_set<std::string> joined;
    for (const LinkSpec& spec : topology.links) joined.insert({spec.a + "\n" + spec.b, spec.b + "\n" + spec.a});
    for (const SiteLink& row : topology.sites) {
      for (const ZoneSpec& a : topology.zones) {
        for (const ZoneSpec& b : topology.zones) {
          if (a.site != row.from || b.site != row.to || a.site == b.site) continue;
          if (!joined.insert(a.name + "\n" + b.name).second) continue;
          joined.insert(b.name + "\n" + a.name);
          const SiteLink* back = &row;
          for (const SiteLink& other : topology.sites) {
            if (other.from == row.to && other.to == row.from) back = &other;
          }
          const std::string group = "site:" + row.from + "-" + row.to;
          link({group + "/" + a.name + "-" + b.name, group, graph.zone_vertex_[zones.at(a.name)],
                graph.zone_vertex_[zones.at(b.name)], HostId::none(), row.attributes, back->attributes});
        }
      }
    }
  }
};

Graph::Graph(const Topology& topology) {
  Builder builder{*this, topology, {}, {}, {}};
  builder.add_zones();
  builder.add_hosts();
  builder.add_links();
  down_.assign(links_.size(), false);
  routes_ = std::make_unique<Routes>(vertices_.size());
  for (std::uint32_t i = 0; i < links_.size(); ++i) {
    const Link& link = links_[i];
    routes_->cost.push_back(cost_of(link.forward));
    routes_->cost.push_back(cost_of(link.backward));
    if (!link.a.valid() || link.a == link.b) continue;
    boost::add_edge(link.a.index(), link.b.index(), EdgeData{{2 * i}}, routes_->graph);
    boost::add_edge(link.b.index(), link.a.index(), EdgeData{{2 * i + 1}}, routes_->graph);
  }
  tables_.resize(vertices_.size());
  intact_tables_.resize(vertices_.size());
}

Graph::~Graph() = default;

std::uint32_t Graph::intern(const std::vector<DirectionId>& hops) const {
  const auto [known, fresh] = known_sets_.try_emplace(hops, static_cast<std::uint32_t>(hop_sets_.size()));
  if (fresh) {
    hop_sets_.push_back({static_cast<std::uint32_t>(hop_lists_.size()), static_cast<std::uint32_t>(hops.size())});
    hop_lists_.insert(hop_lists_.end(), hops.begin(), hops.end());
  }
  return known->second;
}

/// Distances *to* `to` are found by searching outwards from it, so each edge weighs what its opposite direction costs.
void Graph::compute(Table& table, VertexId to, bool all_up) const {
  const BoostGraph& graph = routes_->graph;
  const auto forwards = [&](std::size_t v) { return v == to.index() || !vertices_[v].host.valid(); };
  const auto usable = [&](DirectionId d) { return all_up || !down_[link_of(d).index()]; };
  const auto weight =
      boost::make_function_property_map<BoostGraph::edge_descriptor>([&](BoostGraph::edge_descriptor e) {
        const DirectionId towards = reverse_of(graph[e].direction);
        return usable(towards) && forwards(boost::source(e, graph)) ? routes_->cost[towards.index()] : kUnreachable;
      });
  std::vector<Cost> distance(vertices_.size(), kUnreachable);
  boost::dijkstra_shortest_paths(
      graph, to.index(),
      boost::weight_map(weight)
          .distance_map(boost::make_iterator_property_map(distance.begin(), boost::get(boost::vertex_index, graph)))
          .distance_inf(kUnreachable)
          .distance_combine(boost::closed_plus<Cost>(kUnreachable)));
  table.assign(vertices_.size(), 0);
  std::vector<DirectionId> hops;
  for (std::size_t v = 0; v < vertices_.size(); ++v) {
    hops.clear();
    if (v != to.index() && distance[v] != kUnreachable) {
      for (const auto& e : boost::make_iterator_range(boost::out_edges(v, graph))) {
        const std::size_t w = boost::target(e, graph);
        const DirectionId d = graph[e].direction;
        if (!usable(d) || !forwards(w) || distance[w] == kUnreachable) continue;
        if (routes_->cost[d.index()] + distance[w] == distance[v]) hops.push_back(d);
      }
      std::sort(hops.begin(), hops.end());
    }
    table[v] = intern(hops);
  }
}

LinkId Graph::failed_link(VertexId from, VertexId to) const {
  VertexId at = from;
  while (at != to) {
    const auto hops = lookup(intact_tables_, at, to, true);
    if (hops.empty()) return LinkId::none();
    const DirectionId hop = hops.front();
    if (down_[link_of(hop).index()]) return link_of(hop);
    const Link& link = links_[link_of(hop).index()];
    at = (hop.value & 1u) ? link.a : link.b;
  }
  return LinkId::none();
}

void Graph::set_down(LinkId link, bool down) {
  if (down_[link.index()] == down) return;
  down_[link.index()] = down;
  if (!links_[link.index()].a.valid()) return;  // an access link: nobody else's route
  for (Table& table : tables_) table.clear();
}

}  // namespace dcsim::net
