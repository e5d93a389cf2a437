#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "base/time.h"
#include "wire/msgpack.h"

namespace dcsim::gossip {

/// How Join words the failure of one address; it changed between releases.
enum class JoinErrorStyle : std::uint8_t {
  kAddressOnly,      ///< 0.2.2: "Failed to join 10.0.0.1: ...", "Failed to resolve ..."
  kCapitalWithPort,  ///< 0.3 to 0.5 (what Consul 1.21 embeds): "Failed to join 10.0.0.1:8301: ..."
  kWithPort,         ///< since 0.5.4: "failed to join 10.0.0.1:8301: ..."
};

/// memberlist config.go: Config. Names and defaults are memberlist's; a row that is not here is a matter of the
/// surroundings (bind address, transport). Plain value.
struct MemberlistConfig {
  std::string name;                ///< unique node name, not empty
  Endpoint advertise;              ///< what the own alive message says; the address bytes go out as given (4 or 16)
  std::uint16_t bind_port = 7946;  ///< stands in for a port field of 0 and for a join target without a port

  std::uint8_t protocol_version = 2;  ///< spoken; 1..5 are understood
  std::uint8_t delegate_protocol_version = 0;
  std::uint8_t delegate_protocol_min = 0;
  std::uint8_t delegate_protocol_max = 0;

  Duration tcp_timeout{10'000'000'000};
  int indirect_checks = 3;
  int retransmit_mult = 4;
  int suspicion_mult = 4;
  int suspicion_max_timeout_mult = 6;
  Duration push_pull_interval{30'000'000'000};  ///< 0 = never
  Duration probe_interval{1'000'000'000};       ///< 0 = never
  Duration probe_timeout{500'000'000};
  bool disable_tcp_pings = false;
  int awareness_max_multiplier = 8;  ///< health score is 0 .. this - 1
  int gossip_nodes = 3;
  Duration gossip_interval{200'000'000};  ///< 0 = never
  Duration gossip_to_the_dead_time{30'000'000'000};
  bool enable_compression = true;
  int handoff_queue_depth = 1024;
  int udp_buffer_size = 1400;
  Duration dead_node_reclaim_time{0};
  bool require_node_names = false;
  std::vector<Cidr> cidrs_allowed;  ///< empty = all
  std::string label;                ///< at most 255 bytes
  bool skip_inbound_label_check = false;

  // Switches of the experiments in the Lifeguard paper; memberlist itself has none of them.
  bool lifeguard_probe = true;      ///< LHA-Probe: the health score scales the probe interval
  bool lifeguard_suspicion = true;  ///< LHA-Suspicion: start at max, confirmations shorten; off = min at once
  bool lifeguard_buddy = true;      ///< Buddy System: a ping to a suspect carries the suspicion

  /// Of push/pull headers: kNew is memberlist >= 0.5.1, kOld Debian 12's 0.2.2.
  wire::IntStyle int_style = wire::IntStyle::kNew;
  /// memberlist 0.6.0 scans small tables (n < 3k) exhaustively when it chooses targets; older ones draw 3n times.
  bool exhaustive_small_targets = true;
  JoinErrorStyle join_error_style = JoinErrorStyle::kWithPort;
  /// memberlist 0.3.1 began to forget left members like dead ones; before, they stay in the table for good.
  bool reap_left = true;

  static MemberlistConfig lan();    ///< DefaultLANConfig
  static MemberlistConfig wan();    ///< DefaultWANConfig
  static MemberlistConfig local();  ///< DefaultLocalConfig

  /// All error texts, not only those of Join, lost their capital in 0.5.4.
  bool capital_errors() const { return join_error_style != JoinErrorStyle::kWithPort; }

  /// The first thing wrong with the values, by plain comparison; nullopt if usable.
  std::optional<Error> problem() const;
};

constexpr std::size_t kMetaMaxSize = 512;             ///< memberlist net.go: MetaMaxSize
constexpr std::size_t kLabelMaxSize = 255;            ///< memberlist label.go: LabelMaxSize
constexpr std::size_t kMaxConcurrentPushPulls = 127;  ///< memberlist net.go: maxPushPullRequests - 1

}  // namespace dcsim::gossip
