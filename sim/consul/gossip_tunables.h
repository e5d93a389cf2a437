#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "consul/agent_config.h"
#include "gossip/config.h"

namespace dcsim::consul {

/// Lays one tunable, by its snake_case name, over a memberlist configuration. The error names what the key takes.
std::optional<Error> apply_tunable(const GossipTunable& tunable, gossip::MemberlistConfig& config);

}  // namespace dcsim::consul
