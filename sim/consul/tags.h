#pragma once
#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "consul/agent_config.h"
#include "gossip/serf_event.h"

namespace dcsim::consul {

using gossip::Tags;

/// The value of a tag, or "" if absent (as a Go map answers).
std::string_view tag(const Tags& tags, std::string_view key);
bool has_tag(const Tags& tags, std::string_view key);

/// The Serf tags of an agent in one of its LAN pools. `segment` is "" for the default pool.
/// Source: consul agent/consul/server_serf.go setupSerfConfig, client_serf.go.
Tags lan_tags(const AgentConfig& config, std::string_view segment);

/// What a member that is a server says of itself. Source: agent/metadata/server.go IsConsulServer.
struct ServerInfo {
  std::string datacenter;
  std::string segment;
  std::uint16_t port = 0;  ///< RPC
  int expect = 0;
  bool bootstrap = false;
};
/// nullopt unless role is consul and every port, version, build and flag that is there parses.
std::optional<ServerInfo> parse_server(const Tags& tags);
/// True if parse_server would answer.  // Hot: once per alive message; ~200 ns, allocates nothing.
bool is_server(const Tags& tags);
/// The first "major.minor.patch" in the build tag. Source: agent/metadata/build.go Build.
struct BuildVersion {
  int major = 0, minor = 0, patch = 0;
  auto operator<=>(const BuildVersion&) const = default;
};
std::optional<BuildVersion> parse_build(std::string_view build);

}  // namespace dcsim::consul
