#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/rng.h"
#include "base/time.h"
#include "net/graph.h"
#include "net/network.h"
#include "net/topology.h"

namespace dcsim::net {

/// What a lossy or jittery direction draws from: one stream per purpose, named by the link. Draw number = the packet's
/// name.
struct LinkStreams {
  Rng loss, duplicate, corrupt, reorder, jitter, repeat;
  LinkStreams(std::uint64_t seed, const std::string& direction_name)
      : loss(seed, direction_name, "loss"),
        duplicate(seed, direction_name, "duplicate"),
        corrupt(seed, direction_name, "corrupt"),
        reorder(seed, direction_name, "reorder"),
        jitter(seed, direction_name, "jitter"),
        repeat(seed, direction_name, "correlation") {}
};

/// One direction of a link as packets meet it; the first cache line is all that an idle, plain one needs.
struct alignas(64) Direction {
  Duration latency{0};
  std::uint64_t bandwidth = 0;
  Instant busy_until{0};        ///< the transmitter is free from here on, rounded down
  std::uint64_t busy_rest = 0;  ///< + busy_rest / bandwidth nanoseconds
  Counter counter;
  VertexId to_vertex;  ///< none() if the end is a host that is no vertex
  std::uint32_t mtu = 1500;
  bool plain = true;  ///< no draw is needed
  bool down = false;

  Duration queue_limit{0};    ///< time that a full queue takes to drain
  LinkAttributes attributes;  ///< as impaired now
  std::unique_ptr<LinkStreams> streams;

  /// Takes effect for the next packet; what is queued keeps its time.
  void apply(const LinkAttributes& now_valid, bool is_down);
  /// Queues `bytes` at `at` (never before the previous call's). Returns when the last bit has left; never() if the
  /// queue is full. Exact: rounded only for the result, up to a whole nanosecond. Hot: one 64-bit division.
  Instant transmit(Instant at, std::uint32_t bytes);
};

/// Memory of correlated draws: per (direction, sender), the last draw of each kind.
class CorrelationMemory {
 public:
  enum Kind { kLoss, kDuplicate, kCorrupt };
  /// The draw to use: `fresh`, or with probability `correlation` the one used last time.
  std::uint64_t correlate(DirectionId direction, HostId sender, Kind kind, std::uint64_t fresh,
                          std::uint64_t repeat_draw, Billionths correlation);

 private:
  std::unordered_map<std::uint64_t, std::array<std::uint64_t, 3>> last_;  // looked up only, never iterated
};

/// True with probability `billionths` / 10^9, from a draw that is already made.
constexpr bool hits(std::uint64_t draw, Billionths billionths) {
  return static_cast<std::uint64_t>((static_cast<Uint128>(draw) * kAlways) >> 64) < billionths;
}

/// IP fragments of a datagram of `ip_bytes` (one header included) over `mtu` (RFC 791: all but the last carry a
/// multiple of 8).
constexpr std::uint32_t fragments_of(std::uint32_t ip_bytes, std::uint32_t mtu) {
  if (ip_bytes <= mtu) return 1;
  const std::uint32_t piece = mtu >= kIpHeader + 8 ? (mtu - kIpHeader) & ~7u : 8u;
  return (ip_bytes - kIpHeader + piece - 1) / piece;
}

}  // namespace dcsim::net
