#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <queue>
#include <vector>

#include "core/event.h"

namespace dcsim::bench {

/// A hierarchical timing wheel: four wheels of 256 buckets, ticks of 1024 ns, a heap for what lies beyond (about 73
/// minutes); the bucket of the current tick is sorted. Varghese and Lauck, "Hashed and hierarchical timing wheels".
class TimingWheel {
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
    place({at, tie, slot});
  }

  bool pop(std::int64_t& at, core::Event& event) {
    while (current_.empty()) {
      if (!advance()) return false;
    }
    const Entry entry = current_.back();
    current_.pop_back();
    at = entry.at;
    event = slab_[entry.slot];
    free_.push_back(entry.slot);
    return true;
  }

 private:
  static constexpr int kTickBits = 10;
  static constexpr std::size_t kBuckets = 256;
  static constexpr std::size_t kWheels = 4;
  struct Entry {
    std::int64_t at;
    std::uint64_t tie;
    std::uint32_t slot;
    bool operator<(const Entry& other) const { return at > other.at || (at == other.at && tie > other.tie); }
  };
  struct Wheel {
    std::array<std::vector<Entry>, kBuckets> buckets;
    std::array<std::uint64_t, kBuckets / 64> occupied{};
  };

  void place(const Entry& entry) {
    const std::int64_t tick = entry.at >> kTickBits;
    if (tick <= tick_) {
      current_.insert(std::upper_bound(current_.begin(), current_.end(), entry), entry);
      return;
    }
    const int differing = std::bit_width(static_cast<std::uint64_t>(tick ^ tick_)) - 1;
    const auto level = static_cast<std::size_t>(differing / 8);
    if (level >= kWheels) {
      beyond_.push(entry);
      return;
    }
    const std::size_t index = static_cast<std::size_t>(tick >> (8 * level)) % kBuckets;
    wheels_[level].buckets[index].push_back(entry);
    wheels_[level].occupied[index / 64] |= std::uint64_t{1} << (index % 64);
  }

  bool advance() {
    for (std::size_t level = 0; level < kWheels; ++level) {
      Wheel& wheel = wheels_[level];
      for (std::size_t word = 0; word < wheel.occupied.size(); ++word) {
        if (wheel.occupied[word] == 0) continue;
        const std::size_t index = word * 64 + static_cast<std::size_t>(std::countr_zero(wheel.occupied[word]));
        wheel.occupied[word] &= wheel.occupied[word] - 1;
        const std::int64_t width = std::int64_t{1} << (8 * level);
        tick_ = (tick_ & ~(width * 256 - 1)) | static_cast<std::int64_t>(index) * width;
        moved_.swap(wheel.buckets[index]);
        if (level == 0) {
          current_.swap(moved_);
          std::sort(current_.begin(), current_.end());
        } else {
          deal();
        }
        moved_.clear();
        return true;
      }
    }
    if (beyond_.empty()) return false;
    tick_ = beyond_.top().at >> kTickBits;
    while (!beyond_.empty() && ((beyond_.top().at >> kTickBits) ^ tick_) < (std::int64_t{1} << 32)) {
      place(beyond_.top());
      beyond_.pop();
    }
    return true;
  }

  void deal() {
    for (const Entry& entry : moved_) {
      if (entry.at >> kTickBits == tick_) {
        current_.push_back(entry);
      } else {
        place(entry);
      }
    }
    std::sort(current_.begin(), current_.end());
  }

  std::vector<Entry> current_;
  std::vector<Entry> moved_;
  std::int64_t tick_ = 0;
  std::array<Wheel, kWheels> wheels_;
  std::priority_queue<Entry> beyond_;
  std::vector<core::Event> slab_;
  std::vector<std::uint32_t> free_;
};

}  // namespace dcsim::bench
