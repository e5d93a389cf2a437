#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"
#include "gossip/config.h"
#include "gossip/serf_event.h"

namespace dcsim::gossip {

/// Configuration of one Serf node. Defaults are Serf's (serf/config.go DefaultConfig, LAN memberlist); Consul's
/// overrides are the caller's. Serf itself overwrites in `memberlist`: name, protocol version (2) and the delegate
/// versions (serf.go Create).
struct SerfConfig {
  std::string node_name;
  Tags tags;                          ///< at most 512 bytes encoded (memberlist MetaMaxSize)
  std::uint8_t protocol_version = 4;  ///< 2..5; 5 from the `serf` agent, 4 from the library's default and from Consul

  Duration broadcast_timeout = {5'000'000'000};
  Duration leave_propagate_delay = {1'000'000'000};  ///< Consul: 3 s
  /// A leave whose broadcast does not get out ends with an error instead of going on: up to Serf 0.9.
  bool leave_gives_up = false;

  Duration reap_interval = {15'000'000'000};
  Duration reconnect_interval = {30'000'000'000};
  Duration reconnect_timeout = {24ll * 3600 * 1'000'000'000};  ///< how long a failed member is kept; Consul: 72 h
  Duration tombstone_timeout = {24ll * 3600 * 1'000'000'000};  ///< how long a left member is kept
  Duration recent_intent_timeout = {300ll * 1'000'000'000};    ///< how long an intent about an unknown member is kept
  Duration flap_timeout = {60ll * 1'000'000'000};              ///< see MemberEvent::flap

  Duration queue_check_interval = {30'000'000'000};
  std::uint32_t queue_depth_warning = 128;  ///< Consul: 1,000,000
  std::uint32_t max_queue_depth = 4096;     ///< used when min_queue_depth is 0
  std::uint32_t min_queue_depth = 0;        ///< above 0 the limit is max(min_queue_depth, 2 x members); Consul: 4096

  std::uint32_t event_buffer = 512;
  std::uint32_t query_buffer = 512;
  std::uint32_t query_timeout_mult = 16;
  std::uint32_t query_response_size_limit = 1024;
  std::uint32_t query_size_limit = 1024;
  std::uint32_t user_event_size_limit = 512;  ///< hard cap 9216

  bool enable_name_conflict_resolution = true;  ///< Consul servers: false
  bool disable_coordinates = false;
  bool validate_node_names = false;

  /// Null = everyone may join. Set: also asked for every alive message. Owned by the caller, outlives Serf.
  MergeDelegate* merge = nullptr;
  /// Null = no override. Owned by the caller, outlives Serf.
  ReconnectTimeoutOverride* reconnect_timeout_override = nullptr;

  MemberlistConfig memberlist;

  /// The first thing wrong with the values, in Serf's words where Serf has them (serf.go Create); nullopt if usable.
  std::optional<Error> problem() const;
};

}  // namespace dcsim::gossip
