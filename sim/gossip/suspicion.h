#pragma once
#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "gossip/notice.h"

namespace dcsim::gossip {

/// A running suspicion (memberlist suspicion.go). Confirmations drive the timer from max down to min.
struct Suspicion {
  MemberId member;
  Instant start;
  Instant deadline;
  Duration min;
  Duration max;
  Duration late;                   ///< it expires this much after `deadline`
  int wanted = 0;                  ///< k
  int confirmed = 0;               ///< n
  Cause cause;                     ///< the record of its start
  std::vector<MemberId> accusers;  ///< the first one included
};

/// All suspicions of one node, found by member and by deadline. Allocates only while growing.
class Suspicions {
 public:
  /// nullptr if the member is not suspected. Valid until the next start or forget.
  Suspicion* find(MemberId member);
  /// Requires that none runs for the member. `wanted` < 1 runs at `min`. Returns it.
  Suspicion& start(MemberId member, MemberId from, Instant now, int wanted, Duration min, Duration max, Duration late,
                   Cause cause);
  void forget(MemberId member);
  void clear();

  enum class Confirm : std::uint8_t { kIgnored, kCounted };
  /// suspicion.go: Confirm. Counted: the deadline is now the shorter one, at the earliest `now`.
  Confirm confirm(Suspicion& suspicion, MemberId from, Instant now);

  /// The earliest expiry, never() if none. Equal ones expire in the order in which they were armed.
  Instant next_deadline();
  /// The suspicion with that expiry. Requires next_deadline() != never().
  Suspicion& next();

  std::size_t size() const { return index_.size(); }
  /// In no particular order; for tests and views.
  template <class Visit>
  void each(Visit&& visit) const {
    for (const Where& w : index_) visit(slots_[w.slot]);
  }

 private:
  struct Where {
    MemberId member;
    std::uint32_t slot;
  };
  struct Timer {
    Instant at;
    std::uint64_t order;  ///< equals armed_[slot] while this timer counts
    std::uint32_t slot;
  };
  static bool later(const Timer& a, const Timer& b) { return a.at != b.at ? a.at > b.at : a.order > b.order; }
  void arm(std::uint32_t slot, Instant at);
  void drop_stale();
  std::vector<Where>::iterator where(MemberId member);

  std::vector<Where> index_;  // sorted by member
  std::vector<Suspicion> slots_;
  std::vector<std::uint64_t> armed_;  // by slot; 0 = free
  std::vector<std::uint32_t> free_;
  std::vector<Timer> heap_;  // stale timers stay until they surface
  std::uint64_t order_ = 0;
};

}  // namespace dcsim::gossip
