#pragma once
#include <cstdint>
#include <map>
#include <utility>

#include "core/event.h"

namespace dcsim::bench {

/// std::multimap, a red-black tree with a node per event (ns-3's default scheduler is a std::map).
class BalancedTree {
 public:
  void push(std::int64_t at, std::uint64_t tie, const core::Event& event) { tree_.emplace(std::pair(at, tie), event); }
  bool pop(std::int64_t& at, core::Event& event) {
    if (tree_.empty()) return false;
    at = tree_.begin()->first.first;
    event = tree_.begin()->second;
    tree_.erase(tree_.begin());
    return true;
  }

 private:
  std::multimap<std::pair<std::int64_t, std::uint64_t>, core::Event> tree_;
};

}  // namespace dcsim::bench
