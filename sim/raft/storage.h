#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/time.h"
#include "raft/types.h"

namespace dcsim::raft {

/// What the stable store keeps. Written whole: a crash leaves the old record or the new one, never a mixture (a torn
/// vote lets a server vote twice; hashicorp/raft keeps the vote's term and candidate under two keys).
struct StableRecord {
  Term current_term = 0;
  Term vote_term = 0;
  std::string vote_candidate;  ///< the candidate's address; empty = none
  bool operator==(const StableRecord&) const = default;
};

struct SnapshotMeta {
  Index index = 0;
  Term term = 0;
  Configuration configuration;
  Index configuration_index = 0;
};

/// What would certainly be found after a loss of power at this moment.
struct DurableView {
  StableRecord record;
  Index first_index = 0;  ///< 0 with last_index 0: no entries
  Index last_index = 0;
  Term last_term = 0;
  Index snapshot_index = 0;
};

/// A server's log, stable record and newest snapshot. Reads answer at once and see every write that was handed over,
/// durable or not. Writes are asynchronous: each ends with exactly one Node::on_stored of its StoreOp, never from
/// inside the call, unless a crash comes first.
///
/// Durability, in the order Raft leans on (hashicorp/raft: StableStore, LogStore, SnapshotStore):
/// - writes take effect, and end, in the order in which they were handed over; a write that has ended well, and all
///   before it, survive any crash;
/// - of the writes that have not ended, a crash keeps a prefix; of one append it may keep a prefix of its entries;
/// - an append is one batch with one sync; a truncation is durable before what is appended after it;
/// - a snapshot is durable, state and meta together, before the log is cut (the node waits for its end);
/// - a write that failed leaves nothing of itself, and reads no longer show it. Those handed over after it fail too.
class Storage {
 public:
  virtual ~Storage() = default;

  virtual StableRecord record() const = 0;
  /// Both 0 when the log is empty.
  virtual Index first_index() const = 0;
  virtual Index last_index() const = 0;
  /// Entries from `from` on, at most `most`; fewer where the store keeps them apart, none if `from` is not there or
  /// cannot be read. Valid until the next write.
  virtual std::span<const LogEntry> entries(Index from, std::size_t most) const = 0;
  /// The newest complete snapshot; nullptr if there is none. Valid until the next write.
  virtual const SnapshotMeta* snapshot() const = 0;
  virtual Bytes snapshot_state() const = 0;
  virtual DurableView durable() const = 0;

  virtual void save(Instant now, StoreOp op, const StableRecord& record) = 0;
  /// Requires consecutive indexes from last_index() + 1 on, or from anywhere while the log is empty.
  virtual void append(Instant now, StoreOp op, std::span<const LogEntry> entries) = 0;
  /// Removes [from, to], which must reach the first or the last entry.
  virtual void remove(Instant now, StoreOp op, Index from, Index to) = 0;
  virtual void save_snapshot(Instant now, StoreOp op, const SnapshotMeta& meta, const Bytes& state) = 0;
};

}  // namespace dcsim::raft
