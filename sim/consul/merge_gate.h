#pragma once
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "consul/tags.h"

namespace dcsim::consul {

/// What the gate looks at of one remote member.
struct GateMember {
  std::string_view name;
  const Tags* tags = nullptr;
  bool left = false;
};

/// The LAN merge gate: run over the whole remote state of a join, on both sides, and over every single alive message.
/// The first failing member refuses the whole list.
/// Source: consul agent/consul/merge.go lanMergeDelegate.NotifyMerge, agent/metadata/server.go; the segment check as in
/// Enterprise and in Community up to 1.10.
class LanGate {
 public:
  LanGate(std::string datacenter, std::string node_name, std::string node_id, std::string segment)
      : datacenter_(std::move(datacenter)), node_name_(std::move(node_name)), node_id_(std::move(node_id)), segment_(std::move(segment)) {}

  std::optional<Error> check(std::span<const GateMember> members) const;

 private:
  std::string datacenter_, node_name_, node_id_, segment_;
};

}  // namespace dcsim::consul
