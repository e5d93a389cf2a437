#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "gossip/serf_clock.h"
#include "wire/serf_messages.h"

namespace dcsim::gossip {

/// What to do with a user event or query (serf.go: handleUserEvent, handleQuery).
enum class RingVerdict : std::uint8_t { kNew, kSeen, kTooOld, kFull };

/// The ring of recent user events: slot = LTime mod size. What push/pull carries whole, unused slots as nil. Used slots
/// alone take memory.
class EventRing {
 public:
  /// Distinct events of one LTime that are remembered; more are refused, so that a hostile peer costs bounded memory.
  static constexpr std::size_t kMaxPerSlot = 256;

  explicit EventRing(std::uint32_t size) : size_(size) {}

  /// `now` is the event clock's time after witnessing `ltime`. kNew: remembered, deliver and re-broadcast it.
  RingVerdict offer(LamportTime now, LamportTime ltime, std::string_view name, const wire::OptBytes& payload);
  /// Appends the ring as a list of push/pull, nil for unused slots. Hot: 512 bytes when idle.
  void encode(wire::serf::Items& out) const;
  std::size_t used() const { return slots_.size(); }

 private:
  struct Event {
    Bytes name;
    Bytes payload;
    bool payload_nil = true;
  };
  struct Slot {
    std::uint32_t index = 0;
    LamportTime ltime = 0;
    std::vector<Event> events;
  };

  std::uint32_t size_;
  std::vector<Slot> slots_;  // sorted by index
};

/// The ring of recent queries: which IDs were seen at which LTime.
class QueryRing {
 public:
  static constexpr std::size_t kMaxPerSlot = 4096;

  explicit QueryRing(std::uint32_t size) : size_(size) {}
  RingVerdict offer(LamportTime now, LamportTime ltime, std::uint32_t id);

 private:
  struct Slot {
    std::uint32_t index = 0;
    LamportTime ltime = 0;
    std::vector<std::uint32_t> ids;
  };

  std::uint32_t size_;
  std::vector<Slot> slots_;  // sorted by index
};

}  // namespace dcsim::gossip
