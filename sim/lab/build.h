#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "host/world.h"
#include "scenario/scenario.h"

namespace dcsim::lab {

/// Turns a loaded topology into what a World is made of: the network, the firewalls with their selectors resolved, and every
/// agent's configuration built by Consul's rules. Mistakes that only Consul's rules find (two private addresses, a bad
/// segment port, ...) are appended to `out` with their place in the file; the result is usable if none is an error.
host::WorldSpec build_world(const scenario::Topology& topology, std::uint64_t seed, Diagnostics& out);

/// One agent's configuration from its file keys with `over` (may be null) laid on top.
consul::AgentConfig build_agent(const scenario::Topology& topology, std::uint32_t agent, const scenario::ConfigValue* over,
                                Diagnostics& out);

/// A rule of the file as the network takes it.
net::RuleSpec build_rule(const scenario::FirewallRule& rule, const scenario::Topology& topology);

net::LinkAttributes build_link(const scenario::LinkAttributes& link);
net::PartitionMode build_mode(scenario::PartitionAction::Mode mode);
net::PartitionDirection build_direction(scenario::PartitionAction::Direction direction);

}  // namespace dcsim::lab
