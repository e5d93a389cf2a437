#include "wire/memo.h"

#include <xxhash.h>

namespace dcsim::wire {

ContentMemo::Key ContentMemo::key_of(ByteView input) {
  const XXH128_hash_t h = XXH3_128bits(input.data(), input.size());
  return {h.low64, h.high64};
}

const Bytes* ContentMemo::find(const Key& key) {
  const auto it = index_.find(key);
  if (it == index_.end()) {
    ++misses_;
    return nullptr;
  }
  ++hits_;
  order_.splice(order_.begin(), order_, it->second);
  return &it->second->value;
}

void ContentMemo::put(const Key& key, Bytes value) {
  const std::size_t cost = value.size() + kEntryOverhead;
  if (cost > capacity_ || index_.contains(key)) return;
  while (bytes_ + cost > capacity_) {
    bytes_ -= order_.back().value.size() + kEntryOverhead;
    index_.erase(order_.back().key);
    order_.pop_back();
  }
  order_.push_front({key, std::move(value)});
  index_.emplace(key, order_.begin());
  bytes_ += cost;
}

}  // namespace dcsim::wire
