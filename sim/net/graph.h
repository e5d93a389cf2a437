#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "net/packet.h"
#include "net/topology.h"

namespace dcsim::net {

/// A switch, a router or a host with extra links: what routes are computed between. Dense.
using VertexId = Id<struct VertexTag>;
/// One direction of a link: 2 x link for a to b, 2 x link + 1 for b to a.
using DirectionId = Id<struct DirectionTag>;

constexpr DirectionId forward_of(LinkId link) { return {2 * link.value}; }
constexpr DirectionId reverse_of(DirectionId d) { return {d.value ^ 1u}; }
constexpr LinkId link_of(DirectionId d) { return {d.value >> 1}; }

/// The compiled topology: links and vertices with their names, and shortest-path routes between vertices.
///
/// Cost of a route: the sum of the links' given latencies, then the number of links; all routes of least cost are the
/// equal-cost set, in order of link ids. Impairments other than `down` do not move routes. A host never forwards.
/// Tables are computed per destination on first use (Dijkstra over a Boost.Graph) and forgotten when a link fails or
/// recovers.
class Graph {
 public:
  struct Vertex {
    std::string name;
    HostId host;             ///< if the vertex is a host with extra links
    std::uint32_t zone = 0;  ///< index in Topology::zones; kNoZone for plain switches
    std::uint64_t salt = 0;  ///< of its ECMP hash, from the name
  };
  struct Link {
    std::string name;
    std::string group;  ///< "zone:NAME" of access links, "site:A-B" of matrix links, else empty
    VertexId a;         ///< none() on the agent's side of an access link whose agent is no vertex
    VertexId b;
    HostId host;  ///< the agent of an access link
    LinkAttributes forward;
    LinkAttributes backward;
  };
  static constexpr std::uint32_t kNoZone = 0xffffffffu;

  /// Requires problems_of(topology) to be empty.
  explicit Graph(const Topology& topology);
  ~Graph();

  const std::vector<Vertex>& vertices() const { return vertices_; }
  const std::vector<Link>& links() const { return links_; }
  /// Where the host's access link ends, or the host's own vertex.
  VertexId attachment(HostId host) const { return attachment_[host.index()]; }
  LinkId access(HostId host) const { return access_[host.index()]; }  ///< none() for a host that is a vertex
  VertexId zone_vertex(std::uint32_t zone) const { return zone_vertex_[zone]; }

  /// Directions that leave `from` on a shortest path to `to`; empty if there is none or from == to. Valid until the
  /// next call.
  /// Hot: two dependent loads; the sets are few.
  std::span<const DirectionId> next_hops(VertexId from, VertexId to) const { return lookup(tables_, from, to, false); }
  /// The first failed link on the route that would be taken if every link were up; none() if there never was one.
  LinkId failed_link(VertexId from, VertexId to) const;
  void set_down(LinkId link, bool down);

 private:
  struct Routes;
  /// Next hops towards one destination: by vertex, the number of an interned set. Empty = not computed.
  using Table = std::vector<std::uint32_t>;
  struct HopSet {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
  };
  struct Builder;

  std::span<const DirectionId> lookup(std::vector<Table>& tables, VertexId from, VertexId to, bool all_up) const {
    Table& table = tables[to.index()];
    if (table.empty()) [[unlikely]]
      compute(table, to, all_up);
    const HopSet& set = hop_sets_[table[from.index()]];
    return {hop_lists_.data() + set.first, set.count};
  }
  std::uint32_t intern(const std::vector<DirectionId>& hops) const;
  void compute(Table& table, VertexId to, bool all_up) const;

  std::vector<Vertex> vertices_;
  std::vector<Link> links_;
  std::vector<VertexId> attachment_;
  std::vector<LinkId> access_;
  std::vector<VertexId> zone_vertex_;
  std::vector<bool> down_;
  std::unique_ptr<Routes> routes_;
  mutable std::vector<Table> tables_;         // by destination
  mutable std::vector<Table> intact_tables_;  // the same with every link up
  mutable std::vector<HopSet> hop_sets_;
  mutable std::vector<DirectionId> hop_lists_;
  mutable std::map<std::vector<DirectionId>, std::uint32_t> known_sets_;
};

}  // namespace dcsim::net
