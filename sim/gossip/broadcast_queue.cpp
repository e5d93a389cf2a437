#include "gossip/broadcast_queue.h"

#include <algorithm>

#include "base/check.h"

namespace dcsim::gossip {
namespace {

// rank = transmits (12 bits) | inverted length (20 bits) | inverted id (32 bits)
constexpr std::uint64_t kLengthMask = (1u << 20) - 1;
constexpr std::uint64_t kTierShift = 52;

constexpr std::size_t kKeptSlots = 64;  // room that an empty queue keeps

std::uint64_t rank_of(std::uint32_t transmits, std::size_t length, std::uint32_t id) {
  return std::uint64_t{transmits} << kTierShift | (kLengthMask - length) << 32 | (0xffffffffu - id);
}
std::uint32_t transmits_of(std::uint64_t rank) { return static_cast<std::uint32_t>(rank >> kTierShift); }
std::size_t length_of(std::uint64_t rank) { return kLengthMask - (rank >> 32 & kLengthMask); }

}  // namespace

std::uint32_t retransmit_limit(std::uint32_t mult, std::uint32_t n) {
  std::uint32_t digits = 0;
  for (std::uint64_t reach = 1; reach < std::uint64_t{n} + 1; reach *= 10) ++digits;
  return mult * digits;
}

void BroadcastQueue::queue(BroadcastKey key, Bytes message, Cause cause, BroadcastTag tag) {
  DCSIM_CHECK(key != 0);
  // The id is drawn before the older one of the name goes, which may start the ids anew for the next.
  const std::uint32_t id = ++next_id_;
  const auto old = std::find(keys_.begin(), keys_.end(), key);
  if (old != keys_.end()) {
    const auto slot = static_cast<std::uint32_t>(old - keys_.begin());
    take_out(slot);
    finish(slot);
    if (order_.empty()) next_id_ = 0;
  }
  insert(id, key, std::move(message), cause, tag);
}

void BroadcastQueue::queue_unique(Bytes message, Cause cause, BroadcastTag tag) {
  insert(++next_id_, 0, std::move(message), cause, tag);
}

void BroadcastQueue::insert(std::uint32_t id, BroadcastKey key, Bytes message, Cause cause, BroadcastTag tag) {
  DCSIM_CHECK(message.size() <= kLengthMask);
  std::uint32_t slot;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(items_.size());
    items_.emplace_back();
    keys_.push_back(0);
    ranks_.push_back(0);
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  const std::uint64_t rank = rank_of(0, message.size(), id);
  items_[slot] = {std::move(message), cause, tag};
  keys_[slot] = key;
  place({rank, slot});
}

// What has the same rank is replaced without a word: it is not sent again, nor reported as finished. The name of a named
// one stays taken, so the next broadcast of that name finishes it.
void BroadcastQueue::place(Entry entry) {
  ranks_[entry.slot] = entry.rank;
  const auto at = find_rank(entry.rank);
  if (at == order_.end() || at->rank != entry.rank) {
    order_.insert(at, entry);
    return;
  }
  const std::uint32_t replaced = at->slot;
  *at = entry;
  if (keys_[replaced] == 0) vacate(replaced);
}

// Deletion goes by rank: of an item that was replaced it takes out its successor.
void BroadcastQueue::take_out(std::uint32_t slot) {
  const auto at = find_rank(ranks_[slot]);
  if (at == order_.end() || at->rank != ranks_[slot]) return;
  const std::uint32_t taken = at->slot;
  order_.erase(at);
  if (taken != slot && keys_[taken] == 0) vacate(taken);
}

std::vector<BroadcastQueue::Entry>::iterator BroadcastQueue::find_rank(std::uint64_t rank) {
  return std::lower_bound(order_.begin(), order_.end(), rank,
                          [](const Entry& e, std::uint64_t r) { return e.rank < r; });
}

void BroadcastQueue::finish(std::uint32_t slot) {
  if (items_[slot].tag != 0) finished_.push_back(items_[slot].tag);
  vacate(slot);
}

void BroadcastQueue::vacate(std::uint32_t slot) {
  items_[slot] = {};
  keys_[slot] = 0;
  free_.push_back(slot);
}

// Hot: O(log n) for each message taken, and one pass over what lies behind the first one taken.
std::size_t BroadcastQueue::get(std::uint32_t n, std::size_t overhead, std::size_t limit, Outgoing& out) {
  const std::uint32_t transmit_limit = retransmit_limit(mult_, n);
  std::size_t used = 0;
  std::size_t at = 0;    // next entry to look at
  std::size_t kept = 0;  // entries before `at` that stay, moved together
  resent_.clear();
  while (at < order_.size() && used + overhead < limit) {
    // The first one of this tier that fits; all before it stay.
    const std::size_t free = limit - used - overhead;
    const std::uint32_t tier = transmits_of(order_[at].rank);
    const std::uint64_t floor =
        std::max(order_[at].rank,
                 std::uint64_t{tier} << kTierShift | (kLengthMask - std::min<std::uint64_t>(free, kLengthMask)) << 32);
    std::size_t next = at;
    if (order_[at].rank < floor) {
      next = static_cast<std::size_t>(
          std::lower_bound(order_.begin() + static_cast<std::ptrdiff_t>(at), order_.end(), floor,
                           [](const Entry& e, std::uint64_t rank) { return e.rank < rank; }) -
          order_.begin());
    }
    if (kept != at) {
      std::move(order_.begin() + static_cast<std::ptrdiff_t>(at), order_.begin() + static_cast<std::ptrdiff_t>(next),
                order_.begin() + static_cast<std::ptrdiff_t>(kept));
    }
    kept += next - at;
    at = next;
    if (at == order_.size()) break;
    if (transmits_of(order_[at].rank) != tier) continue;
    const Entry taken = order_[at++];
    Item& item = items_[taken.slot];
    used += overhead + item.message.size();
    out.parts.push_back(item.message);
    if (out.cause == Cause{}) out.cause = item.cause;
    if (tier + 1 >= transmit_limit) {
      finish(taken.slot);
    } else {
      resent_.push_back({taken.rank + (std::uint64_t{1} << kTierShift), taken.slot});
    }
  }
  if (kept != at) {
    order_.erase(order_.begin() + static_cast<std::ptrdiff_t>(kept), order_.begin() + static_cast<std::ptrdiff_t>(at));
  }
  if (order_.empty()) next_id_ = 0;  // even if something is put back now
  for (const Entry& entry : resent_) place(entry);
  if (order_.empty()) release();
  return used;
}

// After a burst, as when everybody joins at once: its room would stay for good. Names of replaced items stay.
void BroadcastQueue::release() {
  if (items_.size() <= kKeptSlots || free_.size() != items_.size()) return;
  std::vector<Entry>().swap(order_);
  std::vector<Item>().swap(items_);
  std::vector<BroadcastKey>().swap(keys_);
  std::vector<std::uint64_t>().swap(ranks_);
  std::vector<std::uint32_t>().swap(free_);
}

void BroadcastQueue::prune(std::size_t keep) {
  if (order_.size() <= keep) return;
  while (order_.size() > keep) {
    const std::uint32_t slot = order_.back().slot;
    order_.pop_back();
    finish(slot);
  }
  if (!order_.empty()) return;
  next_id_ = 0;
  release();
}

void BroadcastQueue::reset() {
  for (const Entry& entry : order_) {
    if (items_[entry.slot].tag != 0) finished_.push_back(items_[entry.slot].tag);
  }
  BroadcastQueue fresh(mult_);
  fresh.finished_.swap(finished_);
  *this = std::move(fresh);
}

std::size_t BroadcastQueue::heap_bytes() const {
  return order_.capacity() * sizeof(Entry) + items_.capacity() * sizeof(Item) + keys_.capacity() * sizeof(BroadcastKey) +
         ranks_.capacity() * sizeof(std::uint64_t) + free_.capacity() * sizeof(std::uint32_t) +
         resent_.capacity() * sizeof(Entry) + finished_.capacity() * sizeof(BroadcastTag);
}

BroadcastQueue::View BroadcastQueue::at(std::size_t position) const {
  const Entry& entry = order_[position];
  DCSIM_CHECK(length_of(entry.rank) == items_[entry.slot].message.size());
  return {keys_[entry.slot], transmits_of(entry.rank), items_[entry.slot].message};
}

}  // namespace dcsim::gossip
