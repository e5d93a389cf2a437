#include "consul/merge_gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace dcsim::consul {

namespace {

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

constexpr BuildVersion kUniqueIdSince{0, 8, 5};  // agent/consul/merge.go uniqueIDMinVersion

}  // namespace

std::optional<Error> LanGate::check(std::span<const GateMember> members) const {
  std::map<std::string_view, std::string_view> name_by_id;
  for (const GateMember& m : members) {
    const Tags& tags = *m.tags;
    if (const std::string_view id = tag(tags, "id"); !id.empty()) {
      if (m.left) continue;
      if (id == node_id_ && !same_name(m.name, node_name_)) {
        return Error{fmt::format("Member '{}' has conflicting node ID '{}' with this agent's ID", m.name, id)};
      }
      if (const auto other = name_by_id.find(id); other != name_by_id.end()) {
        return Error{fmt::format("Member '{}' has conflicting node ID '{}' with member '{}'", m.name, id, other->second)};
      }
      // A list of one has nobody to conflict with; and older agents did not have to have an ID of their own.
      const auto build = members.size() > 1 ? parse_build(tag(tags, "build")) : std::nullopt;
      if (build && *build >= kUniqueIdSince) name_by_id.emplace(id, m.name);
    }
    if ((tag(tags, "role") == "node" || is_server(tags)) && tag(tags, "dc") != datacenter_) {
      return Error{fmt::format("Member '{}' part of wrong datacenter '{}'", m.name, tag(tags, "dc"))};
    }
    if (!tag(tags, "fips").empty()) {
      return Error{fmt::format("Member '{}' is FIPS Consul; FIPS Consul is only available in Consul Enterprise", m.name)};
    }
    if (const auto partition = tag(tags, "ap"); !partition.empty()) {
      return Error{fmt::format("Member '{}' part of partition '{}'; Partitions are a Consul Enterprise feature", m.name, partition)};
    }
    if (const auto segment = tag(tags, "segment"); segment != segment_) {
      return Error{fmt::format("Member '{}' part of wrong segment '{}' (expected '{}')", m.name, segment, segment_)};
    }
  }
  return std::nullopt;
}

}  // namespace dcsim::consul
