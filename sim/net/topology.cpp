#include "net/topology.h"

#include <algorithm>
#include <map>
#include <set>

namespace dcsim::net {

namespace {

void check_zones(const Topology& topology, std::set<std::string>& places, std::vector<std::string>& out) {
  for (const ZoneSpec& zone : topology.zones) {
    if (zone.name.empty()) out.push_back("a zone has no name");
    if (!places.insert(zone.name).second) out.push_back("`" + zone.name + "` is defined twice");
    const FabricSpec& f = zone.fabric;
    if (f.kind == FabricKind::kLeafSpine &&
        (f.leaves == 0 || f.spines == 0 || f.leaves > 65'536 || f.spines > 65'536)) {
      out.push_back("zone `" + zone.name + "`: a leaf-spine fabric needs 1 to 65536 leaves and spines");
    }
    if (f.kind == FabricKind::kFatTree && (f.k < 2 || f.k % 2 != 0 || f.k > 128)) {
      out.push_back("zone `" + zone.name + "`: a fat-tree needs an even k from 2 to 128");
    }
  }
  for (const std::string& name : topology.switches) {
    if (!places.insert(name).second) out.push_back("`" + name + "` is defined twice");
  }
}

void check_hosts(const Topology& topology, std::set<std::string>& places, std::vector<std::string>& out) {
  std::set<std::string> zones;
  for (const ZoneSpec& zone : topology.zones) zones.insert(zone.name);
  std::map<std::pair<std::string, Address>, std::string> taken;
  for (const HostSpec& host : topology.hosts) {
    if (!places.insert(host.name).second) out.push_back("`" + host.name + "` is defined twice");
    if (!zones.contains(host.zone)) out.push_back("agent `" + host.name + "`: unknown zone `" + host.zone + "`");
    if (host.addresses.empty()) out.push_back("agent `" + host.name + "` has no address");
    for (const Address& address : host.addresses) {
      const auto [other, fresh] = taken.emplace(std::pair{host.zone, address.canonical()}, host.name);
      if (fresh) continue;
      out.push_back("agents `" + other->second + "` and `" + host.name + "` both have the address " + address.text() +
                    " in zone `" + host.zone + "`");
    }
  }
}

void check_links(const Topology& topology, std::vector<std::string>& out) {
  std::set<std::string> names;
  for (const LinkSpec& link : topology.links) {
    const std::string name = link.name.empty() ? link.a + "-" + link.b : link.name;
    if (!names.insert(name).second) out.push_back("link `" + name + "` is defined twice");
    if (link.a.empty() || link.b.empty()) out.push_back("link `" + name + "` needs two endpoints");
    if (link.a == link.b) out.push_back("link `" + name + "` joins `" + link.a + "` to itself");
  }
  std::set<std::string> sites;
  for (const ZoneSpec& zone : topology.zones) sites.insert(zone.site);
  for (const SiteLink& row : topology.sites) {
    for (const std::string& site : {row.from, row.to}) {
      if (site.empty() || !sites.contains(site)) out.push_back("latency matrix: no zone is in site `" + site + "`");
    }
  }
}

void check_nat(const Topology& topology, std::vector<std::string>& out) {
  for (const NatSpec& nat : topology.nat) {
    const bool zone_known = std::any_of(topology.zones.begin(), topology.zones.end(),
                                        [&](const ZoneSpec& zone) { return zone.name == nat.zone; });
    if (!zone_known) {
      out.push_back("nat `" + nat.name + "`: unknown zone `" + nat.zone + "`");
      continue;
    }
    const bool inside_known = std::any_of(topology.hosts.begin(), topology.hosts.end(), [&](const HostSpec& host) {
      return host.zone == nat.zone && std::count(host.addresses.begin(), host.addresses.end(), nat.inside) > 0;
    });
    if (!inside_known) {
      out.push_back("nat `" + nat.name + "`: no agent of zone `" + nat.zone + "` has the inside address " +
                    nat.inside.text());
    }
  }
}

}  // namespace

std::vector<std::string> problems_of(const Topology& topology) {
  std::vector<std::string> out;
  std::set<std::string> places;
  check_zones(topology, places, out);
  check_hosts(topology, places, out);
  check_links(topology, out);
  check_nat(topology, out);
  return out;
}

Topology star_topology(std::uint32_t hosts, const LinkAttributes& link, const std::string& zone) {
  Topology topology;
  topology.zones.push_back({zone, Cidr{0x0A000000u, 8}, "", {}, link});
  for (std::uint32_t i = 0; i < hosts; ++i) {
    topology.hosts.push_back(
        {zone + "-" + std::to_string(i + 1), {Address::v4(0x0A000001u + i)}, zone, -1, std::nullopt});
  }
  return topology;
}

}  // namespace dcsim::net
