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
      if (const auto [other, fresh] = name_by_id.emplace(id, m.name); !fresh) {
        return Error{fmt::format("Member '{}' has conflicting node ID '{}' with member '{}'", m.name, id, other->second)};
      }
    }
    const auto server = parse_server(tags);
    const bool wrong_client = tag(tags, "role") == "node" && tag(tags, "dc") != datacenter_;
    if (wrong_client || (server && server->datacenter != datacenter_)) {
      return Error{fmt::format("Member '{}' part of wrong datacenter '{}'", m.name, tag(tags, "dc"))};
    }
    if (has_tag(tags, "fips")) {
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
