#pragma once
#include <cstdint>
#include <limits>

namespace dcsim::gossip {

using LamportTime = std::uint64_t;

/// Serf lamport.go: LamportClock. Never goes back. Plain value.
class LamportClock {
 public:
  /// The next stamp to use.
  LamportTime time() const { return time_; }
  LamportTime increment() { return ++time_; }
  /// Makes the clock newer than a stamp seen. The largest stamp there is cannot be passed and is not followed.
  void witness(LamportTime seen) {
    if (seen >= time_ && seen != std::numeric_limits<LamportTime>::max()) time_ = seen + 1;
  }

 private:
  LamportTime time_ = 0;
};

}  // namespace dcsim::gossip
