#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "trace/record.h"

namespace dcsim::trace {

enum class Direction : std::uint8_t { kUnknown, kInbound, kOutbound };

/// A packet as it would be on the wire. Plain value; the payload is shared.
struct CapturedPacket {
  Instant t = {};
  std::uint32_t interface = 0;  ///< from PcapngWriter::interface()
  Direction direction = Direction::kUnknown;
  Proto proto = Proto::kUdp;
  Endpoint src = {};
  Endpoint dst = {};
  std::uint32_t seq = 0;         ///< TCP
  std::uint32_t ack = 0;         ///< TCP
  std::uint8_t flags = 0;        ///< TCP: FIN 1, SYN 2, RST 4, PSH 8, ACK 16
  std::uint16_t window = 65535;  ///< TCP
  std::array<std::uint8_t, 40> options = {};  ///< TCP options as on the wire
  std::uint8_t option_bytes = 0;              ///< how many of them there are: a multiple of 4
  std::uint8_t icmp_type = 0;    ///< ICMP (ICMPv6 between IPv6 addresses)
  std::uint8_t icmp_code = 0;
  Bytes payload = {};        ///< of UDP or TCP; after the 8-byte header of ICMP
  std::string comment = {};  ///< opt_comment, e.g. "dropped by core-fw, rule tenants-apart"
};

/// The IP header and first 8 payload bytes of a packet: what an ICMP error quotes (RFC 792).
Bytes icmp_quote(const CapturedPacket& original);
/// The Ethernet frame (type II, locally administered addresses made of the IP addresses) with IPv4 or IPv6, correct
/// lengths and checksums. A payload that IP cannot carry in one datagram is cut to what it can.
Buffer ethernet_frame(const CapturedPacket& packet);

/// Writes a pcapng file (draft-ietf-opsawg-pcapng): one section, an interface per name, nanosecond timestamps counted
/// from the epoch. Buffered; written as path + ".tmp" and moved into place by finish().
class PcapngWriter {
 public:
  /// `snaplen`: bytes of each frame that are kept; 0 = all. Lengths and checksums are those of the whole packet.
  explicit PcapngWriter(std::string path, std::uint32_t snaplen = 0);
  ~PcapngWriter();
  PcapngWriter(const PcapngWriter&) = delete;
  PcapngWriter& operator=(const PcapngWriter&) = delete;

  /// The interface of that name (an agent or a firewall), made at its first use.
  std::uint32_t interface(std::string_view name, std::string_view description = {});
  void write(const CapturedPacket& packet);
  std::uint64_t packets() const;
  /// Fails with the operating system's text, also for errors during the run.
  Result<bool> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dcsim::trace
