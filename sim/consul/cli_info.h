#pragma once
#include <string>

#include "base/time.h"
#include "consul/cli.h"

namespace dcsim::raft {
class Node;
}
namespace dcsim::gossip {
class Serf;
}

namespace dcsim::consul {

// The sections of `consul info`, for CliAgent::info. There is none called "runtime": there is no Go runtime to tell of.

/// "agent" and "build" (agent.go Stats).
void add_agent_info(InfoSections& out, const AgentConfig& config, const LocalState& local);
/// "consul" of a client (client.go Stats).
void add_client_info(InfoSections& out, std::size_t known_servers);
/// "consul" and "raft" of a server (server.go Stats, raft api.go Stats).
void add_server_info(InfoSections& out, Instant now, const AgentConfig& config, const raft::Node& node, std::size_t known_datacenters);
/// "serf_lan", "serf_wan" (serf.go Stats).
void add_serf_info(InfoSections& out, const std::string& section, const gossip::Serf& serf, bool encrypted = false);

}  // namespace dcsim::consul
