#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"

namespace dcsim::gossip {

/// Messages on their way out of one or several queues. Reuse one per owner.
struct Outgoing {
  std::vector<Bytes> parts;
  Cause cause;  ///< of the first part that had one

  void clear() {
    parts.clear();
    cause = {};
  }
};

/// What a broadcast replaces: the same key displaces. 0 = unique, replaces nothing.
using BroadcastKey = std::uint64_t;
/// Chosen by the owner to be told that a broadcast is finished; 0 = not interested.
using BroadcastTag = std::uint32_t;

/// memberlist util.go: retransmitLimit = mult * ceil(log10(n + 1)), in integers.
std::uint32_t retransmit_limit(std::uint32_t mult, std::uint32_t n);

/// memberlist queue.go: TransmitLimitedQueue. Order: fewest transmits first, then longest, then newest. A message is
/// finished after retransmit_limit sends, or when displaced or pruned; then its tag, if any, joins finished().
/// As upstream, ids start anew whenever the queue runs empty, even while a packet is being filled, so two messages of one
/// length may come to the same place in the order: the later one then replaces the earlier one silently.
/// Allocates only while growing to a new size; what a burst of more than 64 messages took is given back after it.
class BroadcastQueue {
 public:
  explicit BroadcastQueue(std::uint32_t retransmit_mult) : mult_(retransmit_mult) {}

  /// Named broadcast; an older one with the same key is displaced and finished. `key` is not 0.
  void queue(BroadcastKey key, Bytes message, Cause cause = {}, BroadcastTag tag = 0);
  /// UniqueBroadcast of queue.go.
  void queue_unique(Bytes message, Cause cause = {}, BroadcastTag tag = 0);

  /// GetBroadcasts: appends to `out`, each charged `overhead` against `limit`; `n` is the node count for the limit.
  /// Returns bytes charged. A message goes out at most once per call.
  std::size_t get(std::uint32_t n, std::size_t overhead, std::size_t limit, Outgoing& out);
  /// Drops from the far end (most transmits, shortest, oldest) until `keep` remain.
  void prune(std::size_t keep);
  /// Reset: everything is finished, in queue order, and the queue is as new.
  void reset();

  std::size_t size() const { return order_.size(); }
  bool empty() const { return order_.empty(); }
  /// Heap bytes held, the messages apart.
  std::size_t heap_bytes() const;

  /// Tags finished since the last clear_finished(), in order.
  std::span<const BroadcastTag> finished() const { return finished_; }
  void clear_finished() { finished_.clear(); }

  /// In queue order, for tests and the debugging view.
  struct View {
    BroadcastKey key;
    std::uint32_t transmits;
    ByteView message;
  };
  View at(std::size_t position) const;

 private:
  struct Entry {
    std::uint64_t rank;  ///< transmits, then inverted length, then inverted id: ascending is queue order
    std::uint32_t slot;
  };
  struct Item {
    Bytes message;
    Cause cause;
    BroadcastTag tag = 0;
  };

  void insert(std::uint32_t id, BroadcastKey key, Bytes message, Cause cause, BroadcastTag tag);
  void finish(std::uint32_t slot);
  void vacate(std::uint32_t slot);
  void place(Entry entry);
  void take_out(std::uint32_t slot);
  std::vector<Entry>::iterator find_rank(std::uint64_t rank);
  void release();

  std::uint32_t mult_;
  std::uint32_t next_id_ = 0;
  std::vector<Entry> order_;          // sorted by rank
  std::vector<Item> items_;           // by slot
  std::vector<BroadcastKey> keys_;    // by slot, also of replaced items; contiguous, because displacement scans it
  std::vector<std::uint64_t> ranks_;  // by slot
  std::vector<std::uint32_t> free_;
  std::vector<Entry> resent_;  // scratch of get
  std::vector<BroadcastTag> finished_;
};

}  // namespace dcsim::gossip
