#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/time.h"
#include "gossip/notice.h"
#include "gossip/serf_clock.h"

namespace dcsim::gossip {

enum class IntentKind : std::uint8_t { kLeave, kJoin };

/// Join and leave intents about names that are not members yet (serf.go: recentIntents): the newest of each name, until
/// it is `RecentIntentTimeout` old. Using one does not remove it. Sparse: 32 bytes per name held.
class IntentBuffer {
 public:
  struct Intent {
    MemberId id;
    IntentKind kind = IntentKind::kJoin;
    LamportTime ltime = 0;
    Instant seen;
  };

  /// Keeps the intent if none about this name is held or it is newer; says whether it was kept.
  bool upsert(MemberId id, IntentKind kind, LamportTime ltime, Instant now);
  /// The stamp of the intent held about this name, if it is of this kind.
  std::optional<LamportTime> recent(MemberId id, IntentKind kind) const;
  /// Drops intents seen more than `timeout` ago.
  void expire(Instant now, Duration timeout);

  /// Sorted by id.
  std::span<const Intent> all() const { return intents_; }

 private:
  std::vector<Intent>::iterator at_or_after(MemberId id);

  std::vector<Intent> intents_;
};

}  // namespace dcsim::gossip
