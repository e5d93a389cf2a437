#include "gossip/suspicion.h"

#include <algorithm>

#include "base/check.h"
#include "gossip/formulas.h"

namespace dcsim::gossip {

std::vector<Suspicions::Where>::iterator Suspicions::where(MemberId member) {
  return std::lower_bound(index_.begin(), index_.end(), member,
                          [](const Where& w, MemberId id) { return w.member < id; });
}

Suspicion* Suspicions::find(MemberId member) {
  if (index_.empty()) return nullptr;
  const auto it = where(member);
  return it != index_.end() && it->member == member ? &slots_[it->slot] : nullptr;
}

Suspicion& Suspicions::start(MemberId member, MemberId from, Instant now, int wanted, Duration min, Duration max,
                             Duration late, Cause cause) {
  const auto it = where(member);
  DCSIM_CHECK(it == index_.end() || it->member != member);
  std::uint32_t slot;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
    armed_.push_back(0);
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  index_.insert(it, {member, slot});
  Suspicion& s = slots_[slot];
  s.member = member;
  s.start = now;
  s.min = min;
  s.max = max;
  s.late = late;
  s.wanted = wanted;
  s.confirmed = 0;
  s.cause = cause;
  s.accusers.assign(1, from);
  arm(slot, now + (wanted < 1 ? min : max));
  return s;
}

void Suspicions::forget(MemberId member) {
  if (index_.empty()) return;
  const auto it = where(member);
  if (it == index_.end() || it->member != member) return;
  armed_[it->slot] = 0;
  free_.push_back(it->slot);
  index_.erase(it);
  if (index_.empty()) heap_.clear();
}

void Suspicions::clear() {
  while (!index_.empty()) forget(index_.back().member);
}

Suspicions::Confirm Suspicions::confirm(Suspicion& suspicion, MemberId from, Instant now) {
  if (suspicion.confirmed >= suspicion.wanted) return Confirm::kIgnored;
  if (std::find(suspicion.accusers.begin(), suspicion.accusers.end(), from) != suspicion.accusers.end()) {
    return Confirm::kIgnored;
  }
  suspicion.accusers.push_back(from);
  ++suspicion.confirmed;
  const Duration remaining = remaining_suspicion_time(suspicion.confirmed, suspicion.wanted, now - suspicion.start,
                                                      suspicion.min, suspicion.max);
  arm(static_cast<std::uint32_t>(&suspicion - slots_.data()), std::max(now, now + remaining));
  return Confirm::kCounted;
}

void Suspicions::arm(std::uint32_t slot, Instant at) {
  slots_[slot].deadline = at;
  armed_[slot] = ++order_;
  heap_.push_back({at + slots_[slot].late, order_, slot});
  std::push_heap(heap_.begin(), heap_.end(), later);
}

void Suspicions::drop_stale() {
  while (!heap_.empty() && armed_[heap_.front().slot] != heap_.front().order) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
  }
}

Instant Suspicions::next_deadline() {
  drop_stale();
  return heap_.empty() ? Instant::never() : heap_.front().at;
}

Suspicion& Suspicions::next() {
  drop_stale();
  DCSIM_CHECK(!heap_.empty());
  return slots_[heap_.front().slot];
}

}  // namespace dcsim::gossip
