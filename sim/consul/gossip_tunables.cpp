#include "consul/gossip_tunables.h"

#include <array>

namespace dcsim::consul {

namespace {

using Config = gossip::MemberlistConfig;

/// A timer of a few nanoseconds would keep simulated time from passing.
constexpr Duration kShortest = 1_ms;

struct DurationKey {
  std::string_view name;
  Duration Config::*field;
};
struct IntKey {
  std::string_view name;
  int Config::*field;
};
struct BoolKey {
  std::string_view name;
  bool Config::*field;
};

constexpr std::array kDurations{
    DurationKey{"gossip_interval", &Config::gossip_interval},
    DurationKey{"probe_interval", &Config::probe_interval},
    DurationKey{"probe_timeout", &Config::probe_timeout},
    DurationKey{"push_pull_interval", &Config::push_pull_interval},
    DurationKey{"tcp_timeout", &Config::tcp_timeout},
    DurationKey{"gossip_to_the_dead_time", &Config::gossip_to_the_dead_time},
    DurationKey{"dead_node_reclaim_time", &Config::dead_node_reclaim_time},
};
constexpr std::array kInts{
    IntKey{"gossip_nodes", &Config::gossip_nodes},
    IntKey{"retransmit_mult", &Config::retransmit_mult},
    IntKey{"suspicion_mult", &Config::suspicion_mult},
    IntKey{"suspicion_max_timeout_mult", &Config::suspicion_max_timeout_mult},
    IntKey{"indirect_checks", &Config::indirect_checks},
    IntKey{"awareness_max_multiplier", &Config::awareness_max_multiplier},
    IntKey{"handoff_queue_depth", &Config::handoff_queue_depth},
    IntKey{"udp_buffer_size", &Config::udp_buffer_size},
};
constexpr std::array kBools{
    BoolKey{"disable_tcp_pings", &Config::disable_tcp_pings},
    BoolKey{"enable_compression", &Config::enable_compression},
    BoolKey{"require_node_names", &Config::require_node_names},
    BoolKey{"exhaustive_small_targets", &Config::exhaustive_small_targets},
    BoolKey{"skip_inbound_label_check", &Config::skip_inbound_label_check},
    BoolKey{"lifeguard_probe", &Config::lifeguard_probe},
    BoolKey{"lifeguard_suspicion", &Config::lifeguard_suspicion},
    BoolKey{"lifeguard_buddy", &Config::lifeguard_buddy},
};

}  // namespace

std::optional<Error> apply_tunable(const GossipTunable& tunable, Config& config) {
  for (const DurationKey& key : kDurations) {
    if (key.name != tunable.name) continue;
    const std::string* text = tunable.value.text();
    const auto value = text ? parse_go_duration(*text) : std::nullopt;
    if (!value || value->ns < 0) return Error{"`" + tunable.name + "` takes a duration such as \"200ms\""};
    if (*value > Duration{} && *value < kShortest) return Error{"`" + tunable.name + "` below 1ms is not modelled"};
    config.*key.field = *value;
    return std::nullopt;
  }
  for (const IntKey& key : kInts) {
    if (key.name != tunable.name) continue;
    const auto* value = std::get_if<std::int64_t>(&tunable.value.value);
    if (!value || *value < 0 || *value > 1'000'000) return Error{"`" + tunable.name + "` takes a whole number"};
    config.*key.field = static_cast<int>(*value);
    return std::nullopt;
  }
  for (const BoolKey& key : kBools) {
    if (key.name != tunable.name) continue;
    const auto* value = std::get_if<bool>(&tunable.value.value);
    if (!value) return Error{"`" + tunable.name + "` takes true or false"};
    config.*key.field = *value;
    return std::nullopt;
  }
  if (tunable.name == "label") {
    const std::string* text = tunable.value.text();
    if (!text || text->size() > gossip::kLabelMaxSize) return Error{"`label` takes up to 255 bytes of text"};
    config.label = *text;
    return std::nullopt;
  }
  return Error{"unknown gossip setting `" + tunable.name + "`"};
}

}  // namespace dcsim::consul
