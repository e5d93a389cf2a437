#pragma once
#include <cstdint>
#include <string_view>

#include "base/ids.h"
#include "base/time.h"
#include "net/packet.h"

namespace dcsim::net {

enum class VerdictKind : std::uint8_t { kAccept, kDrop, kReject };

/// A firewall's word on one packet. `rule` -1 = the default.
struct Verdict {
  FirewallId firewall;
  std::int32_t rule = -1;
  VerdictKind kind = VerdictKind::kAccept;
  bool log = false;
};

/// Watches the network from outside. Observing never draws and never changes what happens.
///
/// Each call returns the record number it was written under (0 = none); it becomes the cause of what follows: what
/// packet_sent returns travels with the packet, what packet_delivered returns is the engine's cause while the receiving
/// sink runs, what packet_dropped returns is the cause of an ICMP error or RST that answers the drop, what
/// connection_opened and connection_failed return is the engine's cause while the sink hears of it. A 0 keeps the cause
/// that was there. The network asks `wants()` once, and again after Network::observer_changed(). Order of calls
/// for one packet: sent, (duplicated | hop | verdict)*, then exactly one of delivered or dropped.
class NetObserver {
 public:
  enum Wants : std::uint32_t {
    kNothing = 0,
    kSent = 1,
    kDelivered = 2,
    kDropped = 4,
    kDuplicated = 8,
    kVerdicts = 16,      ///< other than a plain accept: drop, reject, or any with `log`
    kAccepts = 32,       ///< plain accepts too
    kHops = 64,          ///< every link crossed; costs one virtual call per link, for captures
    kConnections = 128,  ///< socket life: connected, accepted, failed
  };
  virtual ~NetObserver() = default;
  virtual std::uint32_t wants() const { return kNothing; }

  virtual Cause packet_sent(Instant, const PacketInfo&) { return {}; }
  virtual Cause packet_delivered(Instant, const PacketInfo&) { return {}; }
  virtual Cause packet_dropped(Instant, const PacketInfo&, const Drop&) { return {}; }
  /// `copy_serial` is the new packet; it gets no packet_sent of its own.
  virtual Cause packet_duplicated(Instant, const PacketInfo&, LinkId, std::uint64_t /*copy_serial*/) { return {}; }
  virtual Cause firewall_verdict(Instant, const PacketInfo&, const Verdict&) { return {}; }
  /// `at` may lie ahead of now by the latency of links that are crossed analytically. `backward`: from the link's second
  /// end to its first (for an access link from the switch to the agent).
  virtual void packet_hop(Instant /*at*/, const PacketInfo&, LinkId, bool /*backward*/) {}
  /// A connection of `host` is established; `accepted`: by a listener.
  virtual Cause connection_opened(Instant, HostId /*host*/, const Endpoint& /*local*/, const Endpoint& /*remote*/,
                                  bool /*accepted*/) {
    return {};
  }
  /// A connection of `host` ended otherwise than by FIN: `error` is what the socket reports.
  virtual Cause connection_failed(Instant, HostId /*host*/, const Endpoint& /*local*/, const Endpoint& /*remote*/,
                                  SocketError) {
    return {};
  }
};

}  // namespace dcsim::net
