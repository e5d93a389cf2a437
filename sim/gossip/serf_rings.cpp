#include "gossip/serf_rings.h"

#include <algorithm>

namespace dcsim::gossip {

namespace {

bool too_old(LamportTime now, LamportTime ltime, std::uint32_t size) { return now > size && ltime < now - size; }

template <class Slots>
auto slot_at(Slots& slots, std::uint32_t index) {
  return std::lower_bound(slots.begin(), slots.end(), index,
                          [](const auto& slot, std::uint32_t wanted) { return slot.index < wanted; });
}

/// The slot of this LTime; one that holds another LTime is emptied for it.
template <class Slots, class Clear>
auto& claim_slot(Slots& slots, LamportTime ltime, std::uint32_t size, Clear clear) {
  const auto index = static_cast<std::uint32_t>(ltime % size);
  auto it = slot_at(slots, index);
  if (it == slots.end() || it->index != index) {
    it = slots.emplace(it);
    it->index = index;
    it->ltime = ltime;
  } else if (it->ltime != ltime) {
    it->ltime = ltime;
    clear(*it);
  }
  return *it;
}

bool same(const Bytes& kept, ByteView given) {
  return std::equal(kept.view().begin(), kept.view().end(), given.begin(), given.end());
}

}  // namespace

RingVerdict EventRing::offer(LamportTime now, LamportTime ltime, std::string_view name, const wire::OptBytes& payload) {
  if (too_old(now, ltime, size_)) return RingVerdict::kTooOld;
  Slot& slot = claim_slot(slots_, ltime, size_, [](Slot& s) { s.events.clear(); });
  for (const Event& event : slot.events) {
    if (same(event.name, view_of(name)) && same(event.payload, payload.data)) return RingVerdict::kSeen;
  }
  if (slot.events.size() >= kMaxPerSlot) return RingVerdict::kFull;
  slot.events.push_back({Bytes(view_of(name)), Bytes(payload.data), payload.nil});
  return RingVerdict::kNew;
}

void EventRing::encode(wire::serf::Items& out) const {
  std::uint32_t at = 0;
  wire::serf::Items events;
  for (const Slot& slot : slots_) {
    for (; at < slot.index; ++at) out.add_nil();
    events.clear();
    for (const Event& event : slot.events) {
      events.add_event(text_of(event.name),
                       event.payload_nil ? wire::OptBytes() : wire::OptBytes(event.payload.view()));
    }
    out.add_slot(slot.ltime, events);
    ++at;
  }
  for (; at < size_; ++at) out.add_nil();
}

RingVerdict QueryRing::offer(LamportTime now, LamportTime ltime, std::uint32_t id) {
  if (too_old(now, ltime, size_)) return RingVerdict::kTooOld;
  Slot& slot = claim_slot(slots_, ltime, size_, [](Slot& s) { s.ids.clear(); });
  if (std::find(slot.ids.begin(), slot.ids.end(), id) != slot.ids.end()) return RingVerdict::kSeen;
  if (slot.ids.size() >= kMaxPerSlot) return RingVerdict::kFull;
  slot.ids.push_back(id);
  return RingVerdict::kNew;
}

}  // namespace dcsim::gossip
