#pragma once
#include <string>
#include <vector>

#include "net/firewall.h"
#include "net/tcp.h"

namespace dcsim::net::test {

using namespace dcsim::literals;

/// Hosts 1..9 are 10.0.0.1 .. 10.0.0.9; a higher number is an address that no machine owns.
inline Address host_address(std::uint32_t n) { return Address::v4(0x0a000000u + n); }
inline HostId host_id(std::uint32_t n) { return n < 10 ? HostId{n} : HostId::none(); }

inline PacketMeta packet(std::uint32_t from, std::uint32_t to, Protocol protocol, std::uint16_t from_port,
                         std::uint16_t to_port, std::uint8_t flags = 0) {
  PacketMeta meta;
  meta.flow = {host_address(from), host_address(to), from_port, to_port, protocol};
  meta.from_host = host_id(from);
  meta.to_host = host_id(to);
  meta.bytes = 100;
  meta.tcp_flags = flags;
  return meta;
}
/// memberlist sends from its own port to the peer's.
inline PacketMeta gossip(std::uint32_t from, std::uint32_t to) { return packet(from, to, Protocol::kUdp, 8301, 8301); }
inline PacketMeta udp(std::uint32_t from, std::uint32_t to, std::uint16_t from_port, std::uint16_t to_port) {
  return packet(from, to, Protocol::kUdp, from_port, to_port);
}
inline PacketMeta tcp(std::uint32_t from, std::uint32_t to, std::uint16_t from_port, std::uint16_t to_port,
                      std::uint8_t flags = kTcpSyn) {
  return packet(from, to, Protocol::kTcp, from_port, to_port, flags);
}

inline HostSet hosts(std::initializer_list<std::uint32_t> numbers) {
  HostSet set;
  for (const std::uint32_t n : numbers) set.add(HostId{n});
  return set;
}

inline RuleSpec rule(std::string name, FirewallAction action) {
  RuleSpec out;
  out.name = std::move(name);
  out.action = action;
  return out;
}
inline RuleSpec allow(std::string name, HostSet from, HostSet to, std::vector<PortRange> ports = {}) {
  RuleSpec out = rule(std::move(name), FirewallAction::kAccept);
  out.from = std::move(from);
  out.to = std::move(to);
  out.ports = std::move(ports);
  return out;
}
inline RuleSpec replies() {
  RuleSpec out = rule("replies", FirewallAction::kAccept);
  out.states = {ConnState::kEstablished, ConnState::kRelated};
  return out;
}

inline constexpr PortRange kGossipTcp{8301, 8301, 6};
inline constexpr PortRange kGossipUdp{8301, 8301, 17};

inline FirewallConfig config(std::vector<RuleSpec> rules, FirewallAction otherwise = FirewallAction::kDrop,
                             bool stateful = true) {
  FirewallConfig out;
  out.name = "fw";
  out.stateful = stateful;
  out.default_action = otherwise;
  out.rules = std::move(rules);
  return out;
}

inline bool accepts(Firewall& firewall, const PacketMeta& meta, Instant now) {
  return firewall.evaluate(meta, now).action == FirewallAction::kAccept;
}

}  // namespace dcsim::net::test
