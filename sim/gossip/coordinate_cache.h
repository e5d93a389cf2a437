#pragma once
#include <cstdint>
#include <vector>

#include "gossip/coordinate.h"

namespace dcsim::gossip {

/// The coordinates that peers sent last (serf.go: coordCache), for `rtt`. Bounded, unlike Serf's: a coordinate is as
/// large as all else that is held of a peer. A slot for each 64th peer id, so every peer of a pool of up to 64, and the
/// one heard of last among those that share a slot in a larger one. About 7 KB once anything was heard.
class CoordinateCache {
 public:
  static constexpr std::size_t kSlots = 64;

  /// Hot: 100 bytes written; allocates at the first call only.
  void put(std::uint32_t peer, const Coordinate& coordinate) {
    if (slots_.empty()) slots_.resize(kSlots);
    slots_[peer % kSlots] = {peer, true, coordinate};
  }
  /// Null if nothing is held of the peer.
  const Coordinate* find(std::uint32_t peer) const {
    if (slots_.empty()) return nullptr;
    const Slot& slot = slots_[peer % kSlots];
    return slot.used && slot.peer == peer ? &slot.coordinate : nullptr;
  }
  /// The peer was reaped.
  void forget(std::uint32_t peer) {
    if (find(peer) != nullptr) slots_[peer % kSlots].used = false;
  }
  /// put() for this peer comes soon.
  void expect(std::uint32_t peer) const {
    if (!slots_.empty()) __builtin_prefetch(&slots_[peer % kSlots], 1);
  }
  std::size_t heap_bytes() const { return slots_.capacity() * sizeof(Slot); }

 private:
  struct Slot {
    std::uint32_t peer = 0;
    bool used = false;
    Coordinate coordinate;
  };
  std::vector<Slot> slots_;
};

}  // namespace dcsim::gossip
