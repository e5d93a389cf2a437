#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "net/conntrack.h"
#include "net/graph.h"
#include "net/packet.h"
#include "net/tcp.h"

namespace dcsim::net {

using PacketId = Id<struct PacketTag>;

/// What an ICMP error quotes of the packet that caused it.
struct Quote {
  Protocol protocol = Protocol::kUdp;
  Endpoint from;  ///< as the offending packet's sender knows it (NAT undone)
  Endpoint to;
  FlowKey inside;  ///< with the machines' own addresses, as firewalls between zones see it
  FlowKey seen;    ///< as the offending packet carried it where it ended
  std::uint32_t seq = 0;
  std::uint32_t mtu = 0;
  std::uint32_t bytes = 0;  ///< IP bytes of the offending packet
};

/// A packet on its way. UDP uses only from, to and payload of `segment`.
struct Packet {
  TcpSegment segment;
  std::uint64_t serial = 0;
  std::uint64_t name = 0;  ///< number of this packet's draws in every stream it meets
  HostId from_host;
  HostId to_host;
  VertexId to_vertex;                ///< where to_host is attached (or would be)
  std::uint32_t datagram_bytes = 0;  ///< IP bytes unfragmented
  Cause cause;
  LinkId corrupted_on;
  FirewallId made_by;  ///< a firewall's answer
  std::uint16_t fragments = 1;
  std::uint16_t hop = 0;
  std::uint16_t source_nat = 0;       ///< index + 1 of the translation that was applied
  std::uint16_t destination_nat = 0;  ///< index + 1 of the translation that applies at the destination's zone
  Protocol protocol = Protocol::kUdp;
  IcmpError icmp = IcmpError::kNetUnreachable;
  bool forward_hook_due = false;
  bool source_nat_due = false;
  bool jittered = false;         ///< since the last scheduled arrival
  bool late = false;             ///< reordered: does not take part in the flow's order
  std::unique_ptr<Quote> quote;  ///< ICMP errors only; off the steady state

  std::uint32_t ip_bytes() const { return datagram_bytes + kIpHeader * (fragments - 1u); }
};

/// Packets in chunks that never move; freed ones are reused first. Payload references are dropped on free.
class PacketSlab {
 public:
  PacketId take() {
    ++used_;
    if (free_.empty()) grow();
    const PacketId id = free_.back();
    free_.pop_back();
    return id;
  }
  Packet& operator[](PacketId id) { return chunks_[id.value >> kChunkBits][id.value & (kChunk - 1)]; }
  void free(PacketId id) {
    Packet& packet = (*this)[id];
    packet.segment.payload = Bytes();
    packet.quote.reset();
    free_.push_back(id);
    --used_;
  }
  std::size_t used() const { return used_; }

 private:
  static constexpr std::uint32_t kChunkBits = 8;
  static constexpr std::uint32_t kChunk = 1u << kChunkBits;
  void grow() {
    const auto base = static_cast<std::uint32_t>(chunks_.size()) << kChunkBits;
    chunks_.push_back(std::make_unique<Packet[]>(kChunk));
    free_.reserve(base + kChunk);
    for (std::uint32_t i = kChunk; i-- > 0;) free_.push_back({base + i});
  }

  std::vector<std::unique_ptr<Packet[]>> chunks_;
  std::vector<PacketId> free_;
  std::size_t used_ = 0;
};

}  // namespace dcsim::net
