#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "consul/raw_value.h"
#include "consul/sockaddr.h"

namespace dcsim::consul {

/// One entry of a server's `segments`: a LAN pool of its own, with its own listener.
struct SegmentConfig {
  std::string name;
  Address bind;
  Address advertise;
  std::uint16_t port = 0;
  bool rpc_listener = false;
};

enum class AgentKind { kConsul, kSerf };

/// One of memberlist's tunables as given under gossip_lan, gossip_wan or (kind: serf) gossip.
struct GossipTunable {
  std::string name;
  RawValue value;
};

/// What an agent runs with, after Consul's builder: templates expanded, defaults filled in, checked.
/// Source: consul agent/config/builder.go, default.go.
struct AgentConfig {
  AgentKind kind = AgentKind::kConsul;
  std::string node_name;
  std::string node_id;  ///< UUID text
  std::string datacenter = "dc1";
  std::string build = "1.21.4:59b8b905";

  bool server = false;
  bool bootstrap = false;
  int bootstrap_expect = 0;

  Address bind;       ///< 4 bytes; 0.0.0.0 if a wildcard
  Address advertise;  ///< what LAN gossip and RPC advertise
  std::uint16_t advertise_port = 0;  ///< kind: serf, the port it advertises; 0 = the one it is bound to
  Address advertise_wan;             ///< what WAN gossip advertises: as `advertise` unless given
  Address serf_lan_bind;
  std::uint16_t rpc_port = 8300;
  std::uint16_t serf_lan_port = 8301;
  int serf_wan_port = 8302;  ///< -1 = WAN pool off

  std::string segment;                  ///< clients: the one segment; "" = default
  std::vector<SegmentConfig> segments;  ///< servers: besides the default one

  std::vector<std::string> retry_join;  ///< templates expanded; "[name/]host[:port]"
  Duration retry_interval = 30_s;
  int retry_max = 0;

  Duration reconnect_timeout = 72_h;
  std::optional<Duration> advertise_reconnect_timeout;
  bool leave_on_terminate = false;
  bool skip_leave_on_interrupt = false;
  bool rejoin_after_leave = false;
  std::vector<Cidr> serf_lan_allowed_cidrs;

  // Servers: Raft (builder.go, agent/consul/config.go).
  int raft_multiplier = 5;  ///< performance.raft_multiplier
  bool raft_prevote_disabled = false;
  Duration raft_snapshot_interval = 30_s;
  std::uint64_t raft_snapshot_threshold = 16'384;
  std::uint64_t raft_trailing_logs = 10'240;

  // RPC.
  Duration rpc_hold_timeout = 7_s;   ///< performance.rpc_hold_timeout
  Duration leave_drain_time = 5_s;   ///< performance.leave_drain_time
  Duration rpc_client_timeout = 60_s;     ///< limits.rpc_client_timeout
  Duration rpc_handshake_timeout = 5_s;   ///< limits.rpc_handshake_timeout
  std::uint32_t rpc_max_conns_per_client = 100;  ///< limits.rpc_max_conns_per_client
  Duration default_query_time = 300_s;
  Duration max_query_time = 600_s;

  std::vector<GossipTunable> gossip_lan;
  std::vector<std::string> warnings;  ///< what Consul's builder warns of; logged at the start

  // kind: serf
  std::string profile = "lan";
  std::vector<std::pair<std::string, std::string>> tags;
  Duration tombstone_timeout = 24_h;
};

/// Builds an agent's configuration from the keys of a file. Never throws; `problems` lists every error and warning found,
/// and the result is usable only if none is an error.
AgentConfig build_config(AgentKind kind, const RawValue& keys, const std::string& default_name, const std::string& datacenter,
                         const std::string& node_id, const std::vector<Interface>& interfaces,
                         std::vector<ConfigProblem>& problems);

/// "10s", "1m30s", "1.5h" as Go's time.ParseDuration reads them; nullopt if it is none.
std::optional<Duration> parse_go_duration(std::string_view text);
/// As Go prints a time.Duration: "1m30s", "500ms", "0s".
std::string go_duration(Duration d);

}  // namespace dcsim::consul
