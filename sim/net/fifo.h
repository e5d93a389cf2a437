#pragma once
#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "net/graph.h"

namespace dcsim::net {

/// Keeps the packets of one flow in order where jitter would let them overtake: arrival = max(arrival, last arrival).
/// A flow is a pair of hosts at one place, so that no other sender's packets move it. An entry is forgotten once its
/// arrival is past: the table is as large as what is in flight, not as the number of pairs.
class FifoTable {
 public:
  /// When the packet that would arrive at `at` does arrive. `place` is the vertex or host of the arrival.
  /// Hot: one probe; allocates only while the table grows.
  Instant arrive(HostId from, HostId to, std::uint32_t place, Instant at, Instant now);

 private:
  struct Entry {
    std::uint64_t pair = 0;
    std::uint32_t place = 0;
    bool used = false;
    Instant last{0};
  };
  static std::size_t hash(std::uint64_t pair, std::uint32_t place) {
    std::uint64_t x = pair * 0x9E3779B97F4A7C15ull + place;
    x = (x ^ (x >> 32)) * 0xD1B54A32D192ED03ull;
    return static_cast<std::size_t>(x ^ (x >> 29));
  }
  void rebuild(Instant now);

  std::vector<Entry> slots_ = std::vector<Entry>(64);
  std::vector<Entry> spare_;
  std::size_t used_ = 0;
};

}  // namespace dcsim::net
