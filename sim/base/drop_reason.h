#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace dcsim {

/// Why a packet did not arrive: one vocabulary for the network, trace records, series and messages. Each loss has exactly
/// one reason and one culprit. Append only: the numbers are part of trace.bin.
enum class DropReason : std::uint8_t {
  kNone,
  kFirewall,    ///< a firewall's drop; firewall and rule
  kReject,      ///< a firewall's reject, answered; firewall and rule
  kPermission,  ///< an output hook's drop at the sender: the sender got EPERM; firewall and rule
  kLoss,        ///< link
  kCorrupt,     ///< link; the receiver's checksum found it
  kQueueFull,   ///< link
  kMtu,         ///< larger than the link's MTU with don't-fragment; link
  kLinkDown,    ///< link
  kPartition,   ///< partition
  kNoRoute,     ///< no path between the zones, or an address of no zone
  kNoHost,      ///< an address of a zone that no host has
  kNoListener,  ///< the port is closed at the receiver; it answered (RST or ICMP port unreachable)
  kHostDown,    ///< the receiver (or sender) is powered off
  kNat,         ///< a translated address that cannot be reached from where the packet was
  kBufferFull,  ///< the receiver's socket buffer is full: its process is slow or stopped
  kCount
};

/// By number; `dcsim series`, `trace grep reason=...` and expressions use these.
inline constexpr std::array<std::string_view, static_cast<std::size_t>(DropReason::kCount)> kDropReasonNames = {
    "none",      "firewall",  "reject",   "not-permitted", "loss",        "corrupt",   "queue-full", "mtu",
    "link-down", "partition", "no-route", "no-host",       "no-listener", "host-down", "nat",        "buffer-full"};

constexpr std::string_view name_of(DropReason reason) {  // "queue-full"
  return reason < DropReason::kCount ? kDropReasonNames[static_cast<std::size_t>(reason)] : "unknown";
}

}  // namespace dcsim
