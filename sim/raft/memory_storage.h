#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/fifo.h"
#include "raft/storage.h"

namespace dcsim::raft {

/// Storage in memory, for tests and for groups whose disks do not matter. Writes end after a delay, one after another;
/// a crash keeps what has ended and, if asked, some of the rest. Fails and hangs only when told to.
class MemoryStorage final : public Storage {
 public:
  struct Done {
    StoreOp op = 0;
    std::string error;
  };

  explicit MemoryStorage(Duration delay = {}) : delay_(delay) {}

  StableRecord record() const override { return seen_.record; }
  Index first_index() const override { return seen_.first(); }
  Index last_index() const override { return seen_.last(); }
  std::span<const LogEntry> entries(Index from, std::size_t most) const override;
  const SnapshotMeta* snapshot() const override { return seen_.snapshot ? &seen_.snapshot->meta : nullptr; }
  Bytes snapshot_state() const override { return seen_.snapshot ? seen_.snapshot->state : Bytes(); }
  DurableView durable() const override;

  void save(Instant now, StoreOp op, const StableRecord& record) override;
  void append(Instant now, StoreOp op, std::span<const LogEntry> entries) override;
  void remove(Instant now, StoreOp op, Index from, Index to) override;
  void save_snapshot(Instant now, StoreOp op, const SnapshotMeta& meta, const Bytes& state) override;

  /// Of the writes handed over from now on.
  void set_delay(Duration delay) { delay_ = delay; }
  /// While it hangs nothing ends; afterwards everything due does.
  void hang(bool on) { hangs_ = on; }
  /// The write that is handed over next fails, and with it those handed over until it has ended.
  void fail_next(std::string error) { fail_ = std::move(error); }
  /// When the oldest write ends; never() if there is none or it hangs.
  Instant next_due() const { return pending_.empty() || hangs_ ? Instant::never() : pending_.front().due; }
  /// Takes off the oldest write if it has ended by `now`; hand its end to the node.
  std::optional<Done> take_done(Instant now);
  std::size_t outstanding() const { return pending_.size(); }
  /// Loss of power: of the outstanding writes the oldest `kept` survive, and `kept_entries` of an append after them.
  void crash(std::size_t kept = 0, std::size_t kept_entries = 0);

 private:
  struct Snapshot {
    SnapshotMeta meta;
    Bytes state;
  };
  struct Write {
    enum class Kind : std::uint8_t { kSave, kAppend, kRemove, kSnapshot } kind = Kind::kSave;
    StoreOp op = 0;
    Instant due;
    std::string error;
    StableRecord record;
    std::vector<LogEntry> entries;
    Index from = 0, to = 0;
    Snapshot snapshot;
  };
  /// What is on the disk, or what readers see.
  struct Image {
    StableRecord record;
    std::vector<LogEntry> log;  // from `head` on
    std::size_t head = 0;
    std::optional<Snapshot> snapshot;

    Index first() const { return log.size() > head ? log[head].index : 0; }
    Index last() const { return log.size() > head ? log.back().index : 0; }
    void append(std::span<const LogEntry> entries);
    void remove(Index from, Index to);
    void take(const Snapshot& newer);
    void take(const Write& write);
  };

  Write& add(Instant now, Write::Kind kind, StoreOp op);

  Duration delay_;
  bool hangs_ = false;
  std::string fail_;
  Image seen_;
  Image durable_;
  Fifo<Write> pending_;
  std::vector<std::vector<LogEntry>> spare_;
};

}  // namespace dcsim::raft
