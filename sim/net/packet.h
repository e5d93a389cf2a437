#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"
#include "base/drop_reason.h"
#include "base/ids.h"

namespace dcsim::net {

struct TcpSegment;  // net/tcp.h

using LinkId = Id<struct LinkTag>;  ///< a link (both directions) of the network, dense, in order of the topology
using FirewallId = Id<struct FirewallTag>;    ///< in order of add_firewall
using PartitionId = Id<struct PartitionTag>;  ///< in order of partition()

/// IP protocol numbers.
enum class Protocol : std::uint8_t { kIcmp = 1, kTcp = 6, kUdp = 17 };
std::string_view name_of(Protocol protocol);  ///< "udp"

/// Header sizes in bytes (RFC 791, 768, 9293, 792).
inline constexpr std::uint32_t kIpHeader = 20;
inline constexpr std::uint32_t kIpv6Header = 40;  // RFC 8200
inline constexpr std::uint32_t kUdpHeader = 8;
inline constexpr std::uint32_t kTcpHeader = 20;
inline constexpr std::uint32_t kIcmpHeader = 8;
inline constexpr std::uint32_t kIcmpQuoted = 8;  ///< bytes of the offending packet behind its IP header (RFC 792)
inline constexpr std::uint32_t kMaxUdpPayload = 65'507;
inline std::uint32_t ip_header_of(const Address& address) { return address.is_v4() ? kIpHeader : kIpv6Header; }
/// IP bytes of an ICMP error: header, ICMP header, and the head of the offending packet.
inline std::uint32_t icmp_error_bytes(const Address& to) { return 2 * ip_header_of(to) + kIcmpHeader + kIcmpQuoted; }

/// ICMP destination-unreachable errors (RFC 792, 1122, 1812) that the network originates.
enum class IcmpError : std::uint8_t {
  kNetUnreachable = 0,
  kHostUnreachable = 1,
  kProtocolUnreachable = 2,
  kPortUnreachable = 3,
  kFragmentationNeeded = 4,
  kNetProhibited = 9,
  kHostProhibited = 10,
  kAdminProhibited = 13,
};
std::string_view name_of(IcmpError code);  ///< "icmp-port-unreachable", as nftables spells it

/// What a socket call or a connection fails with; texts are what Go prints for the errno.
enum class SocketError : std::uint8_t {
  kNone,
  kTimedOut,         ///< ETIMEDOUT: "connection timed out" (Go's own dial deadline prints "i/o timeout": the dialler's)
  kRefused,          ///< ECONNREFUSED
  kReset,            ///< ECONNRESET
  kBrokenPipe,       ///< EPIPE
  kHostUnreachable,  ///< EHOSTUNREACH: "no route to host"
  kNetUnreachable,   ///< ENETUNREACH: "network is unreachable"
  kPermitted,        ///< EPERM: "operation not permitted" (output hook)
  kAccess,           ///< EACCES: "permission denied"
  kMessageTooLong,   ///< EMSGSIZE: "message too long"
  kAddressInUse,     ///< EADDRINUSE: "address already in use"
  kAddressNotAvailable,  ///< EADDRNOTAVAIL: "cannot assign requested address" (no ephemeral port left)
  kNotConnected,         ///< ENOTCONN, or a handle that no longer names a socket
  kHostDown,             ///< the machine is powered off: the caller cannot be running
};
std::string_view text_of(SocketError error);

/// What a firewall's reject answers with.
enum class RejectWith : std::uint8_t { kTcpReset, kIcmpPortUnreachable, kIcmpHostUnreachable, kIcmpAdminProhibited };
std::string_view name_of(RejectWith kind);  ///< "tcp-reset", as nftables spells it

using dcsim::DropReason;
using dcsim::name_of;

/// A drop with its culprit. `rule` is the firewall's stable rule id, -1 = its default.
struct Drop {
  DropReason reason = DropReason::kNone;
  LinkId link;
  FirewallId firewall;
  PartitionId partition;
  std::int32_t rule = -1;
  std::optional<RejectWith> answer;  ///< kReject: what the sender is answered with; nullopt = it must be silent

  static Drop because(DropReason reason) { return on_link(reason, {}); }
  static Drop on_link(DropReason reason, LinkId link) { return {reason, link, {}, {}, -1, {}}; }
  static Drop by(DropReason reason, FirewallId firewall, std::int32_t rule) { return {reason, {}, firewall, {}, rule, {}}; }
  static Drop by(PartitionId partition) { return {DropReason::kPartition, {}, {}, partition, -1, {}}; }
};

/// TCP header fields as they are on the wire. Flags: FIN 1, SYN 2, RST 4, PSH 8, ACK 16.
struct TcpFields {
  std::uint32_t seq = 0;
  std::uint32_t ack = 0;
  std::uint32_t window = 0;  ///< unscaled 16-bit value would be window >> scale
  std::uint8_t flags = 0;
  std::uint8_t option_bytes = 0;
  std::uint16_t mss = 0;  ///< on SYN; 0 = absent
};

/// One packet as observers see it. Valid during the call only; copy `payload` (cheap) to keep the bytes.
struct PacketInfo {
  std::uint64_t serial = 0;  ///< number of the packet in the run, from 1; a duplicate has its own
  Endpoint from;             ///< as on the wire at this place (after NAT, if any)
  Endpoint to;
  HostId from_host;  ///< none for what a router or firewall between zones originates
  HostId to_host;    ///< none if the address is nobody's
  Protocol protocol = Protocol::kUdp;
  IcmpError icmp = IcmpError::kNetUnreachable;  ///< if protocol is ICMP; `payload` is then empty
  Protocol quoted_protocol = Protocol::kUdp;    ///< if ICMP: the offending packet, as its sender knows it
  Endpoint quoted_from;
  Endpoint quoted_to;
  std::uint32_t quoted_seq = 0;    ///< its TCP sequence number
  std::uint32_t quoted_bytes = 0;  ///< its IP bytes
  FirewallId made_by;              ///< the firewall whose answer (ICMP error, RST) this is
  bool dont_fragment = false;
  std::uint32_t ip_bytes = 0;  ///< all IP bytes, headers of every fragment included
  std::uint16_t fragments = 1;
  std::uint16_t hop = 0;                ///< links crossed so far
  TcpFields tcp;                        ///< if protocol is TCP
  const TcpSegment* segment = nullptr;  ///< if protocol is TCP: with all options, for captures
  const Bytes* payload = nullptr;       ///< transport payload
  Cause cause;                          ///< record of its packet_sent, or whatever led to it when nobody recorded that
};

}  // namespace dcsim::net
