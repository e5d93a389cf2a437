#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/event.h"

namespace dcsim::bench {

/// The ladder queue of Tang, Goh and Thng (2005): an unsorted top, rungs of buckets whose width follows from the spread
/// of what is dealt out, a sorted bottom.
class LadderQueue {
 public:
  void push(std::int64_t at, std::uint64_t tie, const core::Event& event) {
    std::uint32_t slot;
    if (free_.empty()) {
      slot = static_cast<std::uint32_t>(slab_.size());
      slab_.push_back(event);
    } else {
      slot = free_.back();
      free_.pop_back();
      slab_[slot] = event;
    }
    const Entry entry{at, tie, slot};
    if (at >= top_start_) {
      top_.push_back(entry);
      return;
    }
    for (std::size_t i = 0; i < rungs_; ++i) {
      Rung& rung = ladder_[i];
      if (at >= rung.start + rung.current * rung.width) {
        rung.buckets[static_cast<std::size_t>((at - rung.start) / rung.width)].push_back(entry);
        ++rung.count;
        return;
      }
    }
    bottom_.insert(std::upper_bound(bottom_.begin(), bottom_.end(), entry), entry);
  }

  bool pop(std::int64_t& at, core::Event& event) {
    while (bottom_.empty()) {
      if (!refill()) return false;
    }
    const Entry entry = bottom_.back();
    bottom_.pop_back();
    at = entry.at;
    event = slab_[entry.slot];
    free_.push_back(entry.slot);
    return true;
  }

 private:
  static constexpr std::size_t kThreshold = 50;
  static constexpr std::size_t kRungs = 8;
  struct Entry {
    std::int64_t at;
    std::uint64_t tie;
    std::uint32_t slot;
    bool operator<(const Entry& other) const { return at > other.at || (at == other.at && tie > other.tie); }
  };
  struct Rung {
    std::int64_t start = 0;
    std::int64_t width = 1;
    std::int64_t current = 0;
    std::size_t count = 0;
    std::vector<std::vector<Entry>> buckets;
  };

  void deal(std::vector<Entry>& entries, std::int64_t start, std::int64_t end) {
    Rung& rung = ladder_[rungs_++];
    const auto n = static_cast<std::int64_t>(entries.size());
    rung.start = start;
    rung.width = std::max<std::int64_t>(1, (end - start + n - 1) / n);
    rung.current = 0;
    rung.count = entries.size();
    const auto buckets = static_cast<std::size_t>((end - start) / rung.width + 1);
    if (rung.buckets.size() < buckets) rung.buckets.resize(buckets);
    for (const Entry& entry : entries)
      rung.buckets[static_cast<std::size_t>((entry.at - start) / rung.width)].push_back(entry);
    entries.clear();
  }

  bool refill() {
    while (rungs_ > 0 && ladder_[rungs_ - 1].count == 0) --rungs_;
    if (rungs_ == 0) {
      if (top_.empty()) return false;
      const auto [least, most] =
          std::minmax_element(top_.begin(), top_.end(), [](const Entry& a, const Entry& b) { return a.at < b.at; });
      const std::int64_t start = least->at;
      const std::int64_t end = most->at + 1;
      top_start_ = end;
      deal(top_, start, end);
    }
    Rung& rung = ladder_[rungs_ - 1];
    while (rung.buckets[static_cast<std::size_t>(rung.current)].empty()) ++rung.current;
    std::vector<Entry>& bucket = rung.buckets[static_cast<std::size_t>(rung.current)];
    const std::int64_t start = rung.start + rung.current * rung.width;
    ++rung.current;
    rung.count -= bucket.size();
    if (bucket.size() > kThreshold && rungs_ < kRungs && rung.width > 1) {
      deal(bucket, start, start + rung.width);
      return true;
    }
    bottom_.swap(bucket);
    bucket.clear();
    std::sort(bottom_.begin(), bottom_.end());
    return true;
  }

  std::vector<Entry> top_;
  std::int64_t top_start_ = 0;
  std::array<Rung, kRungs> ladder_;
  std::size_t rungs_ = 0;
  std::vector<Entry> bottom_;
  std::vector<core::Event> slab_;
  std::vector<std::uint32_t> free_;
};

}  // namespace dcsim::bench
