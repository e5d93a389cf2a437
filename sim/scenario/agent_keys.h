#pragma once
#include <set>
#include <string>

#include "scenario/config_value.h"
#include "scenario/reader.h"
#include "scenario/topology.h"

namespace dcsim::scenario {

/// Holds an agent's configuration against the keys that Consul (agent/config/config.go) or Serf
/// (cmd/serf/command/agent) reads: a misspelt key or a value of another type is an error; a key that exists but has no
/// effect in the simulation is noted, once per `noted`. What is reported is mended (a string "yes" becomes true) or taken
/// out, so that Consul's own rules do not report it again. Requires a map.
void check_agent_keys(ConfigValue& config, AgentKind kind, Reading& reading, std::set<std::string>& noted);

}  // namespace dcsim::scenario
