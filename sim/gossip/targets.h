#pragma once
#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/rng.h"
#include "gossip/member_table.h"

namespace dcsim::gossip {

/// memberlist util.go: kRandomNodes. Up to k members that `accept(MemberId)` takes, in the order chosen. Tables smaller
/// than 3k are shuffled and scanned (`exhaustive`, since memberlist 0.6.0); others are drawn from at most 3n times.
template <class Accept>
void choose_targets(std::size_t k, const MemberTable& table, Rng& draw, bool exhaustive, Accept&& accept,
                    std::vector<MemberId>& out, std::vector<MemberId>& scratch) {
  out.clear();
  const std::size_t n = table.size();
  if (exhaustive && n < 3 * k) {
    scratch.clear();
    for (std::size_t i = 0; i < n; ++i) scratch.push_back(table.at(i));
    for (std::size_t i = n; i > 1; --i) std::swap(scratch[i - 1], scratch[static_cast<std::size_t>(draw.below(i))]);
    for (std::size_t i = 0; i < n && out.size() < k; ++i) {
      if (accept(scratch[i])) out.push_back(scratch[i]);
    }
    return;
  }
  for (std::size_t i = 0; i < 3 * n && out.size() < k; ++i) {
    const MemberId candidate = table.at(static_cast<std::size_t>(draw.below(n)));
    if (!accept(candidate)) continue;
    if (std::find(out.begin(), out.end(), candidate) == out.end()) out.push_back(candidate);
  }
}

}  // namespace dcsim::gossip
