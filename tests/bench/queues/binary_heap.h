#pragma once
#include <cstdint>
#include <queue>
#include <vector>

#include "core/event.h"

namespace dcsim::bench {

/// What one writes first: std::priority_queue of whole events, 64 bytes each.
class BinaryHeap {
 public:
  void push(std::int64_t at, std::uint64_t tie, const core::Event& event) { heap_.push({at, tie, event, {}}); }
  bool pop(std::int64_t& at, core::Event& event) {
    if (heap_.empty()) return false;
    at = heap_.top().at;
    event = heap_.top().event;
    heap_.pop();
    return true;
  }

 private:
  struct Item {
    std::int64_t at;
    std::uint64_t tie;
    core::Event event;
    std::uint64_t pad[2];
    bool operator<(const Item& other) const { return at > other.at || (at == other.at && tie > other.tie); }
  };
  static_assert(sizeof(Item) == 64);
  std::priority_queue<Item> heap_;
};

}  // namespace dcsim::bench
