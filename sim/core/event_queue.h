#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/check.h"
#include "core/event.h"

namespace dcsim::core {

/// A priority queue of events over (at, tie), both ascending; (at, tie) must be unique among pending events. A radix
/// ladder: times are read as digits of 8 bits, and an entry waits in the bucket of the highest digit in which it
/// differs from the base, a time that all waiting entries have reached or lie beyond. The earliest bucket is dealt out
/// over finer ones until it is small, then sorted into the run from which pops are served. So a push is an append, an
/// entry moves two or three times in its life whatever its distance, always along a few dozen hot cache lines, and the
/// events of the next pops are known, and prefetched, in time.
///
/// Chosen by measurement against a binary heap, a 4-ary heap of handles, a ladder queue, a timing wheel and a balanced
/// tree (tests/bench/queue_bench.cpp). After Ahuja, Mehlhorn, Orlin and Tarjan, "Faster algorithms for the shortest
/// path problem" (radix heap) and Tang, Goh and Thng, "Ladder queue".
///
/// Requires 0 <= at, and that no push lies before the last pop. Worst case O(log n) per operation, whatever the times.
/// Cancelled entries are dropped when met, and swept out when they outnumber the pending ones, so memory follows the
/// most events that were ever pending at once.
class EventQueue {
 public:
  /// The fields in this order make the total order.
  struct Entry {
    std::int64_t at;
    std::uint64_t tie;
    std::uint32_t slot;
    std::uint32_t generation;
  };

  EventQueue();
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  /// Hot: about 10 ns; allocates only beyond the largest size so far.
  EventHandle push(std::int64_t at, std::uint64_t tie, const Event& event) {
    const std::uint32_t slot = take_slot();
    Node& node = nodes_[slot];
    node.event = event;
    place({at, tie, slot, node.generation});
    ++size_;
    return {slot, node.generation};
  }
  /// O(1), amortised over the sweep. True if the event was pending.
  bool cancel(EventHandle handle);
  /// Takes the least event if it is not after `limit`. Hot: about 20 ns.
  bool pop(std::int64_t limit, std::int64_t& at, Event& event);
  /// Time of the least pending event, INT64_MAX if there is none. May scan the earliest bucket.
  std::int64_t next_at();

  std::size_t size() const { return size_; }
  /// Bytes held, for tests of boundedness.
  std::size_t memory() const;

 private:
  static constexpr int kDigitBits = 8;
  static constexpr std::size_t kDigits = 1u << kDigitBits;
  static constexpr int kLevels = 8;
  static constexpr std::size_t kWords = kDigits / 64;
  static constexpr std::size_t kSortAtOnce = 256;   // a bucket this small becomes the run as it is
  static constexpr std::size_t kShortRun = 32;      // a run takes in following buckets up to this
  static constexpr std::size_t kLongestRun = 320;   // a run that late pushes make longer is cut
  static constexpr std::size_t kChunkEntries = 21;  // 256 bytes
  static constexpr std::size_t kChunksPerBlock = 64;

  struct alignas(64) Node {
    Event event;
    std::uint32_t generation;  // odd while pending
    std::uint32_t next_free;
  };
  struct Chunk {
    Chunk* next;
    std::uint64_t count;
    std::array<Entry, kChunkEntries> entries;
  };
  /// Entries in the order of their pushes, which ties often want anyway; only the last chunk may be part full.
  struct Bucket {
    Chunk* first = nullptr;
    Chunk* last = nullptr;
  };
  struct Level {
    std::array<Bucket, kDigits> buckets{};
    std::array<std::uint64_t, kWords> occupied{};
  };
  static bool before(const Entry& a, const Entry& b) { return a.at < b.at || (a.at == b.at && a.tie < b.tie); }

  std::uint32_t take_slot() {
    if (free_slot_ == kNoSlot) [[unlikely]]
      return grow();
    const std::uint32_t slot = free_slot_;
    free_slot_ = nodes_[slot].next_free;
    ++nodes_[slot].generation;
    return slot;
  }
  void free_slot(std::uint32_t slot) {
    ++nodes_[slot].generation;
    nodes_[slot].next_free = free_slot_;
    free_slot_ = slot;
  }
  void place(const Entry& entry) {
    if (entry.at <= run_limit_) {
      place_in_run(entry);
    } else {
      place_in_bucket(entry);
    }
  }
  void place_in_bucket(const Entry& entry) {
    const auto differing = static_cast<std::uint64_t>(entry.at ^ base_);
    const int level = (std::bit_width(differing | 1) - 1) / kDigitBits;
    const std::size_t digit = static_cast<std::size_t>(entry.at >> (level * kDigitBits)) & (kDigits - 1);
    Level& row = levels_[static_cast<std::size_t>(level)];
    Bucket& bucket = row.buckets[digit];
    Chunk* chunk = bucket.last;
    if (!chunk || chunk->count == kChunkEntries) {
      chunk = take_chunk();
      chunk->next = nullptr;
      chunk->count = 0;
      (bucket.last ? bucket.last->next : bucket.first) = chunk;
      bucket.last = chunk;
      row.occupied[digit / 64] |= std::uint64_t{1} << (digit % 64);
      occupied_levels_ |= 1u << level;
    }
    chunk->entries[chunk->count++] = entry;
  }
  Chunk* take_chunk() {
    if (!free_chunks_) [[unlikely]]
      grow_chunks();
    Chunk* const chunk = free_chunks_;
    free_chunks_ = chunk->next;
    return chunk;
  }

  void place_in_run(const Entry& entry);
  bool cut_run();
  bool refill(std::int64_t limit);
  void sort_run();
  void deal_run();
  std::size_t lowest_digit(std::size_t level) const;
  Chunk* detach(std::size_t level, std::size_t digit);
  static std::int64_t least_of(const Chunk* chunk);
  static bool at_most(const Chunk* chunk, std::size_t most);
  /// First and last instant of a bucket.
  std::int64_t start_of(std::size_t level, std::size_t digit) const {
    const std::size_t shift = level * kDigitBits;
    return (base_ >> shift >> kDigitBits << kDigitBits | static_cast<std::int64_t>(digit)) << shift;
  }
  static std::int64_t end_of(std::size_t level, std::int64_t start) {
    return start | ((std::int64_t{1} << (level * kDigitBits)) - 1);
  }
  void deal_out(Chunk* chunk);
  void gather(std::size_t level, std::size_t digit);
  void give_back(Chunk* chunk) {
    chunk->next = free_chunks_;
    free_chunks_ = chunk;
  }
  bool pending(const Entry& entry) const { return nodes_[entry.slot].generation == entry.generation; }
  void drop_cancelled_front();
  void sweep();
  void sweep_bucket(std::size_t level, std::size_t digit);
  std::uint32_t grow();
  void grow_chunks();

  static constexpr std::uint32_t kNoSlot = 0xffffffffu;

  std::vector<Entry> run_;   // sorted, the least at the back; every entry with at <= run_limit_ is here or in late_
  std::vector<Entry> late_;  // a binary heap, the least in front: late pushes into a run that cannot be cut
  std::int64_t run_limit_ = -1;
  std::int64_t base_ = 0;
  std::uint32_t occupied_levels_ = 0;
  std::uint32_t free_slot_ = kNoSlot;
  std::vector<Node> nodes_;
  std::size_t size_ = 0;
  std::size_t cancelled_ = 0;  // entries still held whose event was cancelled
  Chunk* free_chunks_ = nullptr;
  std::array<Level, kLevels> levels_;
  std::vector<std::unique_ptr<Chunk[]>> blocks_;
};

}  // namespace dcsim::core
