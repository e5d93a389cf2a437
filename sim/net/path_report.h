#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "net/observer.h"
#include "net/packet.h"
#include "net/topology.h"

namespace dcsim::net {

/// What a dry run finds between two endpoints (`explain --flow`, `reach`). Plain text and values, no formatting.
struct PathReport {
  /// One thing on the way, in the order in which the packet meets it.
  struct Step {
    enum class Kind : std::uint8_t { kLink, kFirewall, kNat, kPartition };
    Kind kind = Kind::kLink;
    std::string name;     ///< link, firewall, translation or partition
    std::string from;     ///< kLink: host or switch left; kFirewall: hook ("forward"); kNat: address before
    std::string to;       ///< kLink: host or switch reached; kFirewall: rule or "default"; kNat: address after
    LinkAttributes link;  ///< kLink: as impaired now
    Verdict verdict;      ///< kFirewall
  };
  std::vector<Step> steps;
  HostId to_host;                          ///< none if the address is nobody's
  Endpoint final_to;                       ///< after NAT
  Duration latency{0};                     ///< sum of the latencies, without jitter, queues and serialization
  Drop drop;                               ///< reason kNone = it arrives at an open port
  SocketError error = SocketError::kNone;  ///< what a TCP connect (or UDP send) would report; kTimedOut for silence
  bool arrives() const { return drop.reason == DropReason::kNone; }
};

}  // namespace dcsim::net
