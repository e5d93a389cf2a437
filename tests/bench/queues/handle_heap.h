#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/event.h"

namespace dcsim::bench {

/// A 4-ary heap of 24-byte handles over a slab of events.
class HandleHeap {
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
    const Handle handle{at, tie, slot};
    std::size_t hole = heap_.size();
    heap_.push_back(handle);
    while (hole > 0) {
      const std::size_t parent = (hole - 1) / 4;
      if (!before(handle, heap_[parent])) break;
      heap_[hole] = heap_[parent];
      hole = parent;
    }
    heap_[hole] = handle;
  }

  bool pop(std::int64_t& at, core::Event& event) {
    if (heap_.empty()) return false;
    at = heap_[0].at;
    event = slab_[heap_[0].slot];
    free_.push_back(heap_[0].slot);
    const Handle last = heap_.back();
    heap_.pop_back();
    const std::size_t n = heap_.size();
    if (n == 0) return true;
    std::size_t hole = 0;
    for (;;) {
      const std::size_t first = 4 * hole + 1;
      if (first >= n) break;
      std::size_t least = first;
      for (std::size_t i = first + 1; i < std::min(first + 4, n); ++i) {
        if (before(heap_[i], heap_[least])) least = i;
      }
      if (!before(heap_[least], last)) break;
      heap_[hole] = heap_[least];
      hole = least;
    }
    heap_[hole] = last;
    return true;
  }

 private:
  struct Handle {
    std::int64_t at;
    std::uint64_t tie;
    std::uint32_t slot;
  };
  static bool before(const Handle& a, const Handle& b) { return a.at < b.at || (a.at == b.at && a.tie < b.tie); }

  std::vector<Handle> heap_;
  std::vector<core::Event> slab_;
  std::vector<std::uint32_t> free_;
};

}  // namespace dcsim::bench
