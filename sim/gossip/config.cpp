#include "gossip/config.h"

namespace dcsim::gossip {
namespace {

constexpr Duration millis(std::int64_t n) { return Duration{n * 1'000'000}; }
constexpr Duration seconds(std::int64_t n) { return millis(n * 1000); }

}  // namespace

MemberlistConfig MemberlistConfig::lan() { return {}; }

MemberlistConfig MemberlistConfig::wan() {
  MemberlistConfig c;
  c.tcp_timeout = seconds(30);
  c.suspicion_mult = 6;
  c.push_pull_interval = seconds(60);
  c.probe_timeout = seconds(3);
  c.probe_interval = seconds(5);
  c.gossip_nodes = 4;
  c.gossip_interval = millis(500);
  c.gossip_to_the_dead_time = seconds(60);
  return c;
}

MemberlistConfig MemberlistConfig::local() {
  MemberlistConfig c;
  c.tcp_timeout = seconds(1);
  c.indirect_checks = 1;
  c.retransmit_mult = 2;
  c.suspicion_mult = 3;
  c.push_pull_interval = seconds(15);
  c.probe_timeout = millis(200);
  c.gossip_interval = millis(100);
  c.gossip_to_the_dead_time = seconds(15);
  return c;
}

std::optional<Error> MemberlistConfig::problem() const {
  constexpr Duration kLongest = seconds(86'400 * 365);
  const auto bad_time = [&](Duration d) { return d < Duration{0} || d > kLongest; };
  if (name.empty()) return Error{"Node name must be provided"};
  if (advertise.address.empty()) return Error{"advertise address is missing"};
  if (protocol_version < 1)
    return Error{"Protocol version '" + std::to_string(protocol_version) + "' too low. Must be in range: [1, 5]"};
  if (protocol_version > 5)
    return Error{"Protocol version '" + std::to_string(protocol_version) + "' too high. Must be in range: [1, 5]"};
  if (label.size() > kLabelMaxSize) return Error{"could not use \"" + label + "\" as a label: label is too long"};
  if (bad_time(tcp_timeout) || bad_time(push_pull_interval) || bad_time(probe_interval) || bad_time(probe_timeout) ||
      bad_time(gossip_interval) || bad_time(gossip_to_the_dead_time) || bad_time(dead_node_reclaim_time)) {
    return Error{"intervals and timeouts must be between 0 and one year"};
  }
  if (tcp_timeout == Duration{0}) return Error{"tcp_timeout must be positive"};
  if (indirect_checks < 0 || indirect_checks > 1000) return Error{"indirect_checks must be in range: [0, 1000]"};
  if (gossip_nodes < 0 || gossip_nodes > 1000) return Error{"gossip_nodes must be in range: [0, 1000]"};
  if (retransmit_mult < 0 || retransmit_mult > 100) return Error{"retransmit_mult must be in range: [0, 100]"};
  if (suspicion_mult < 1 || suspicion_mult > 32) return Error{"suspicion_mult must be in range: [1, 32]"};
  if (suspicion_max_timeout_mult < 1 || suspicion_max_timeout_mult > 1000) {
    return Error{"suspicion_max_timeout_mult must be in range: [1, 1000]"};
  }
  if (awareness_max_multiplier < 1 || awareness_max_multiplier > 1000) {
    return Error{"awareness_max_multiplier must be in range: [1, 1000]"};
  }
  if (handoff_queue_depth < 0 || handoff_queue_depth > 1 << 20)
    return Error{"handoff_queue_depth must be in range: [0, 1048576]"};
  if (udp_buffer_size < 64 || udp_buffer_size > 65'507) return Error{"udp_buffer_size must be in range: [64, 65507]"};
  return std::nullopt;
}

}  // namespace dcsim::gossip
