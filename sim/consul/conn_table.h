#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/time.h"
#include "consul/conn_io.h"

namespace dcsim::consul {

inline constexpr std::uint32_t kNoSlot = 0xffffffffu;

/// Objects in numbered places that never move. A place that was given back is handed out again, last one first, with
/// what its object has kept; `stamp` tells one use of a place from the next. Hot: take and give are O(1) and allocate
/// only to grow.
template <class T>
class Slots {
 public:
  std::uint32_t take() {
    if (!free_.empty()) {
      const std::uint32_t slot = free_.back();
      free_.pop_back();
      return slot;
    }
    items_.emplace_back();
    return static_cast<std::uint32_t>(items_.size() - 1);
  }
  void give(std::uint32_t slot) {
    ++items_[slot].stamp;
    free_.push_back(slot);
  }
  T& operator[](std::uint32_t slot) { return items_[slot]; }
  const T& operator[](std::uint32_t slot) const { return items_[slot]; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(items_.size()); }
  std::size_t used() const { return items_.size() - free_.size(); }

  /// A place and its present use in one number, never 0.
  std::uint64_t id(std::uint32_t slot) const { return std::uint64_t{items_[slot].stamp + 1} << 32 | slot; }
  /// The place, or kNoSlot if that use is over.
  std::uint32_t find(std::uint64_t id) const {
    const auto slot = static_cast<std::uint32_t>(id);
    return slot < items_.size() && this->id(slot) == id ? slot : kNoSlot;
  }

 private:
  std::deque<T> items_;
  std::vector<std::uint32_t> free_;
};

/// Which place a connection has. Looked up, never walked through.
class StreamIndex {
 public:
  void add(StreamId stream, std::uint32_t slot) { slots_[stream.value] = slot; }
  void remove(StreamId stream) { slots_.erase(stream.value); }
  std::uint32_t find(StreamId stream) const {
    const auto it = slots_.find(stream.value);
    return it == slots_.end() ? kNoSlot : it->second;
  }

 private:
  std::unordered_map<std::uint32_t, std::uint32_t> slots_;
};

/// The streams of one yamux session by their number. Numbers ascend, so adding is cheap.
class MuxIndex {
 public:
  struct Item {
    std::uint32_t mux;
    std::uint32_t slot;
  };
  void add(std::uint32_t mux, std::uint32_t slot) { items_.insert(at(mux), {mux, slot}); }
  void remove(std::uint32_t mux) {
    const auto it = at(mux);
    if (it != items_.end() && it->mux == mux) items_.erase(it);
  }
  std::uint32_t find(std::uint32_t mux) const {
    const auto it = std::lower_bound(items_.begin(), items_.end(), mux, before);
    return it != items_.end() && it->mux == mux ? it->slot : kNoSlot;
  }
  std::size_t size() const { return items_.size(); }
  const std::vector<Item>& items() const { return items_; }
  void clear() { items_.clear(); }

 private:
  static bool before(const Item& item, std::uint32_t mux) { return item.mux < mux; }
  std::vector<Item>::iterator at(std::uint32_t mux) {
    return std::lower_bound(items_.begin(), items_.end(), mux, before);
  }
  std::vector<Item> items_;
};

/// One deadline per place, and the earliest of all. Made for deadlines that are mostly moved away before they are due:
/// moving one to later costs nothing, its old time just passes unnoticed.
/// Hot: arm is O(1) when the deadline moves to later, else O(log n).
class Deadlines {
 public:
  /// never() disarms.
  void arm(std::uint32_t slot, Instant at) {
    if (slot >= armed_.size()) armed_.resize(slot + 1);
    armed_[slot].at = at;
    if (at < armed_[slot].queued) push(slot, at);
  }
  /// Takes the next place whose time has come; it is then disarmed.
  bool due(Instant now, std::uint32_t& slot) {
    while (!heap_.empty() && heap_.front().at <= now) {
      const Entry entry = heap_.front();
      std::pop_heap(heap_.begin(), heap_.end(), later);
      heap_.pop_back();
      Armed& armed = armed_[entry.slot];
      if (armed.queued != entry.at) continue;
      armed.queued = Instant::never();
      if (armed.at <= now) {
        armed.at = Instant::never();
        slot = entry.slot;
        return true;
      }
      if (armed.at != Instant::never()) push(entry.slot, armed.at);
    }
    return false;
  }
  /// May be earlier than anything that is due.
  Instant next() const { return heap_.empty() ? Instant::never() : heap_.front().at; }

 private:
  struct Armed {
    Instant at = Instant::never();
    Instant queued = Instant::never();  // the time of its entry in the heap
  };
  struct Entry {
    Instant at;
    std::uint64_t order = 0;
    std::uint32_t slot = 0;
  };
  static bool later(const Entry& a, const Entry& b) { return a.at != b.at ? a.at > b.at : a.order > b.order; }
  void push(std::uint32_t slot, Instant at) {
    armed_[slot].queued = at;
    heap_.push_back({at, next_order_++, slot});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  std::vector<Armed> armed_;
  std::vector<Entry> heap_;
  std::uint64_t next_order_ = 0;
};

}  // namespace dcsim::consul
