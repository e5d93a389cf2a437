#include "net/fifo.h"

#include <algorithm>

namespace dcsim::net {

Instant FifoTable::arrive(HostId from, HostId to, std::uint32_t place, Instant at, Instant now) {
  const std::uint64_t pair = (std::uint64_t{from.value} << 32) | to.value;
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = hash(pair, place) & mask;; i = (i + 1) & mask) {
    Entry& entry = slots_[i];
    if (!entry.used) {
      entry = {pair, place, true, at};
      if (++used_ * 2 > slots_.size()) rebuild(now);
      return at;
    }
    if (entry.pair == pair && entry.place == place) {
      entry.last = std::max(entry.last, at);
      return entry.last;
    }
  }
}

void FifoTable::rebuild(Instant now) {
  const auto live = static_cast<std::size_t>(
      std::count_if(slots_.begin(), slots_.end(), [&](const Entry& entry) { return entry.used && entry.last >= now; }));
  std::size_t size = slots_.size();
  if (live * 4 > size) size *= 2;
  spare_.assign(size, Entry{});
  const std::size_t mask = size - 1;
  for (const Entry& entry : slots_) {
    if (!entry.used || entry.last < now) continue;
    std::size_t i = hash(entry.pair, entry.place) & mask;
    while (spare_[i].used) i = (i + 1) & mask;
    spare_[i] = entry;
  }
  slots_.swap(spare_);
  used_ = live;
}

}  // namespace dcsim::net
