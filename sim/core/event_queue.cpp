#include "core/event_queue.h"

#include <algorithm>
#include <limits>

namespace dcsim::core {

namespace {

constexpr std::size_t kInsertionSort = 24;
constexpr std::size_t kPrefetchAhead = 6;

struct Later {  // a type, so that the standard algorithms inline it
  bool operator()(const EventQueue::Entry& a, const EventQueue::Entry& b) const {
    return a.at > b.at || (a.at == b.at && a.tie > b.tie);
  }
};

}  // namespace

EventQueue::EventQueue() { run_.reserve(2 * kLongestRun); }

std::uint32_t EventQueue::grow() {
  DCSIM_CHECK(nodes_.size() < kNoSlot);
  nodes_.push_back({{}, 1, kNoSlot});
  return static_cast<std::uint32_t>(nodes_.size() - 1);
}

void EventQueue::grow_chunks() {
  blocks_.push_back(std::make_unique<Chunk[]>(kChunksPerBlock));
  for (std::size_t i = kChunksPerBlock; i-- > 0;) give_back(&blocks_.back()[i]);
}

std::size_t EventQueue::memory() const {
  return sizeof *this + nodes_.capacity() * sizeof(Node) + (run_.capacity() + late_.capacity()) * sizeof(Entry) +
         blocks_.size() * kChunksPerBlock * sizeof(Chunk);
}

bool EventQueue::cancel(EventHandle handle) {
  if (handle.slot >= nodes_.size()) return false;
  if (nodes_[handle.slot].generation != handle.generation) return false;
  free_slot(handle.slot);
  --size_;
  if (++cancelled_ > size_ + 1024) sweep();
  return true;
}

// Hot: shifts a few entries; a cut or the heap only when a run has become long.
void EventQueue::place_in_run(const Entry& entry) {
  if (run_.size() >= kLongestRun) {
    if (!cut_run()) {
      late_.push_back(entry);
      std::push_heap(late_.begin(), late_.end(), Later{});
      return;
    }
    if (entry.at > run_limit_) {
      place_in_bucket(entry);
      return;
    }
  }
  run_.push_back(entry);
  Entry* const first = run_.data();
  Entry* gap = first + run_.size() - 1;
  for (; gap > first && before(gap[-1], entry); --gap) *gap = gap[-1];
  *gap = entry;
}

/// Sends the later part of the run back to the buckets. False if the run is of one instant, or if other entries lean
/// on its limit.
bool EventQueue::cut_run() {
  const std::int64_t earliest = run_.back().at;
  if (!late_.empty() || run_.front().at == earliest || earliest < base_) return false;
  std::int64_t cut = run_[run_.size() / 2].at;
  if (cut == earliest) {
    const auto end = std::partition_point(run_.begin(), run_.end(), [&](const Entry& e) { return e.at > earliest; });
    cut = std::prev(end)->at;
  }
  const auto keep = std::partition_point(run_.begin(), run_.end(), [&](const Entry& e) { return e.at >= cut; });
  run_limit_ = cut - 1;
  for (auto it = run_.begin(); it != keep; ++it) place_in_bucket(*it);
  run_.erase(run_.begin(), keep);
  return true;
}

// Hot.
bool EventQueue::pop(std::int64_t limit, std::int64_t& at, Event& event) {
  for (;;) {
    Entry entry;
    if (!run_.empty() && (late_.empty() || before(run_.back(), late_.front()))) {
      entry = run_.back();
      if (entry.at > limit) return false;
      run_.pop_back();
      if (run_.size() >= kPrefetchAhead) __builtin_prefetch(&nodes_[run_[run_.size() - kPrefetchAhead].slot]);
    } else if (!late_.empty()) {
      entry = late_.front();
      if (entry.at > limit) return false;
      std::pop_heap(late_.begin(), late_.end(), Later{});
      late_.pop_back();
    } else {
      if (!refill(limit)) return false;
      continue;
    }
    if (!pending(entry)) {
      --cancelled_;
      continue;
    }
    at = entry.at;
    event = nodes_[entry.slot].event;
    free_slot(entry.slot);
    --size_;
    return true;
  }
}

std::size_t EventQueue::lowest_digit(std::size_t level) const {
  const Level& row = levels_[level];
  std::size_t word = 0;
  while (row.occupied[word] == 0) ++word;
  return word * 64 + static_cast<std::size_t>(std::countr_zero(row.occupied[word]));
}

EventQueue::Chunk* EventQueue::detach(std::size_t level, std::size_t digit) {
  Level& row = levels_[level];
  Chunk* const chunk = row.buckets[digit].first;
  row.buckets[digit] = {};
  row.occupied[digit / 64] &= ~(std::uint64_t{1} << (digit % 64));
  std::uint64_t left = 0;
  for (const std::uint64_t word : row.occupied) left |= word;
  if (left == 0) occupied_levels_ &= ~(1u << level);
  return chunk;
}

std::int64_t EventQueue::least_of(const Chunk* chunk) {
  std::int64_t least = chunk->entries[0].at;
  for (; chunk; chunk = chunk->next) {
    for (std::size_t i = 0; i < chunk->count; ++i) least = std::min(least, chunk->entries[i].at);
  }
  return least;
}

/// True if the bucket has at most `most` entries.
bool EventQueue::at_most(const Chunk* chunk, std::size_t most) {
  std::size_t count = chunk->count;
  while (count <= most && (chunk = chunk->next)) count += chunk->count;
  return count <= most;
}

/// Makes the next run out of the earliest bucket, unless its entries are after `limit`: the base must never pass the
/// clock.
bool EventQueue::refill(std::int64_t limit) {
  while (occupied_levels_ != 0) {
    const auto level = static_cast<std::size_t>(std::countr_zero(occupied_levels_));
    const std::size_t digit = lowest_digit(level);
    const Chunk* const bucket = levels_[level].buckets[digit].first;
    const std::int64_t start = start_of(level, digit);
    if (start > limit) return false;
    if (end_of(level, start) > limit && least_of(bucket) > limit) return false;
    base_ = start;
    if (level == 0 || at_most(bucket, kSortAtOnce)) {
      gather(level, digit);
      sort_run();
      return true;
    }
    deal_out(detach(level, digit));
  }
  base_ = 0;  // nothing is held, so any base will do; cancelled entries may have led it beyond the clock
  run_limit_ = -1;
  return false;
}

/// Spreads a bucket over the levels below. Hot: an entry comes by two or three times in its life.
void EventQueue::deal_out(Chunk* chunk) {
  while (chunk) {
    Chunk* const next = chunk->next;
    if (next) __builtin_prefetch(next);
    for (std::size_t i = 0; i < chunk->count; ++i) place_in_bucket(chunk->entries[i]);
    give_back(chunk);
    chunk = next;
  }
}

/// Moves the bucket at `digit` into the run, and those that follow it while the run stays short. Starts to load the
/// events.
void EventQueue::gather(std::size_t level, std::size_t digit) {
  for (;;) {
    run_limit_ = end_of(level, start_of(level, digit));
    for (Chunk* chunk = detach(level, digit); chunk;) {
      for (std::size_t i = 0; i < chunk->count; ++i) {
        __builtin_prefetch(&nodes_[chunk->entries[i].slot]);
        run_.push_back(chunk->entries[i]);
      }
      Chunk* const next = chunk->next;
      give_back(chunk);
      chunk = next;
    }
    if (run_.size() >= kShortRun || (occupied_levels_ >> level) % 2 == 0) return;
    digit = lowest_digit(level);
    if (!at_most(levels_[level].buckets[digit].first, kShortRun)) return;
  }
}

/// Sorts the run, which was gathered in the order of time and pushes, as good as it was. A bucket's worth is first
/// dealt by time over about as many cells, which leaves an insertion sort little to do.
void EventQueue::sort_run() {
  const std::size_t n = run_.size();
  std::reverse(run_.begin(), run_.end());
  if (n > kSortAtOnce) {
    std::sort(run_.begin(), run_.end(), Later{});
    return;
  }
  if (n > kInsertionSort) deal_run();
  Entry* const first = run_.data();
  for (std::size_t i = 1; i < n; ++i) {
    const Entry entry = first[i];
    Entry* gap = first + i;
    for (; gap > first && before(gap[-1], entry); --gap) *gap = gap[-1];
    *gap = entry;
  }
}

void EventQueue::deal_run() {
  std::int64_t least = run_[0].at;
  std::int64_t most = least;
  for (const Entry& entry : run_) {
    least = std::min(least, entry.at);
    most = std::max(most, entry.at);
  }
  constexpr int kCellBits = 7;
  const int shift = std::max(0, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(most - least))) - kCellBits);
  std::array<std::uint16_t, (1u << kCellBits) + 1> start{};
  std::array<Entry, kSortAtOnce> dealt;
  for (const Entry& entry : run_) ++start[static_cast<std::size_t>((most - entry.at) >> shift) + 1];
  for (std::size_t i = 1; i < start.size(); ++i) start[i] = static_cast<std::uint16_t>(start[i] + start[i - 1]);
  for (const Entry& entry : run_) dealt[start[static_cast<std::size_t>((most - entry.at) >> shift)]++] = entry;
  std::copy_n(dealt.begin(), run_.size(), run_.begin());
}

void EventQueue::drop_cancelled_front() {
  while (!run_.empty() && !pending(run_.back())) {
    run_.pop_back();
    --cancelled_;
  }
  while (!late_.empty() && !pending(late_.front())) {
    std::pop_heap(late_.begin(), late_.end(), Later{});
    late_.pop_back();
    --cancelled_;
  }
}

std::int64_t EventQueue::next_at() {
  constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
  drop_cancelled_front();
  std::int64_t least = run_.empty() ? kNever : run_.back().at;
  if (!late_.empty()) least = std::min(least, late_.front().at);
  if (least != kNever) return least;
  while (occupied_levels_ != 0) {
    const auto level = static_cast<std::size_t>(std::countr_zero(occupied_levels_));
    const std::size_t digit = lowest_digit(level);
    if (cancelled_ != 0) sweep_bucket(level, digit);
    if (const Chunk* chunk = levels_[level].buckets[digit].first) return least_of(chunk);
  }
  return kNever;
}

/// Takes the cancelled entries out of one bucket.
void EventQueue::sweep_bucket(std::size_t level, std::size_t digit) {
  Chunk* chunk = detach(level, digit);
  while (chunk) {
    for (std::size_t i = 0; i < chunk->count; ++i) {
      if (pending(chunk->entries[i])) {
        place_in_bucket(chunk->entries[i]);
      } else {
        --cancelled_;
      }
    }
    Chunk* const next = chunk->next;
    give_back(chunk);
    chunk = next;
  }
}

void EventQueue::sweep() {
  const auto gone = [this](const Entry& entry) { return !pending(entry); };
  std::erase_if(run_, gone);
  std::erase_if(late_, gone);
  std::make_heap(late_.begin(), late_.end(), Later{});
  for (std::size_t level = 0; level < kLevels; ++level) {
    for (std::size_t digit = 0; digit < kDigits; ++digit) {
      if (levels_[level].buckets[digit].first) sweep_bucket(level, digit);
    }
  }
  cancelled_ = 0;
}

}  // namespace dcsim::core
