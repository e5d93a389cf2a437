#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/disk.h"
#include "host/raft_storage_format.h"
#include "raft/actions.h"
#include "base/fifo.h"
#include "raft/storage.h"

namespace dcsim::host {

struct RaftStorageConfig {
  /// A segment that would grow beyond it is followed by a new one. raft-wal's is 64 MiB; but a disk holds its files
  /// twice, and small segments stay in the processor's caches.
  std::uint64_t segment_size = 1u << 20;
  /// Where batches begin; a multiple of 8. The disk's sector, if a write may harm its neighbours within one.
  std::uint64_t align = 8;
  std::size_t snapshots = 2;           ///< kept
  std::size_t batch_limit = 1u << 20;  ///< bytes that waiting appends are joined up to, for one sync
};

/// Whom a store tells. Called from the engine's loop, from inside Disk's completions; may write anew and,
/// on_crash_point apart, close().
class RaftStorageOutput {
 public:
  virtual ~RaftStorageOutput() = default;
  /// Ends open(). `error` not empty: the server must not start.
  virtual void on_opened(std::string_view error) = 0;
  /// Hand it to Node::on_stored.
  virtual void on_stored(raft::StoreOp op, std::string_view error) = 0;
  /// Disk::on_crash_point, passed on, from inside a write or a completion. Only note it: the halted disk does no more;
  /// Disk::crash() and close() come once the call that led here is over.
  virtual void on_crash_point() = 0;
  virtual void log(raft::LogLevel level, std::string_view line) = 0;
};

/// A server's log, votes and snapshots on its virtual disk, in the shape of hashicorp/raft-wal and raft's
/// file_snapshot.go: see raft_storage_format.h for the files.
///
/// Life. It belongs to the machine, as its disk does. The process: open(); on on_opened("") make a Node over it. When
/// the process dies: Disk::kill_process() or crash(), close(), and open() with the next process. Requires `disk` to
/// report to this object and to outlive it.
///
/// Writes: one at a time, in order; appends and removals that wait are joined into one batch with one sync. A vote is
/// written twice, with a sync each, and ends after both: whichever copy is torn or rots, the other tells the truth.
/// A write error or a full disk fails the writes handed over so far; later ones work again. After a failed sync nobody
/// knows what is on the disk: everything fails until the store is opened anew.
///
/// Opening reads all files with the disk's latency and checks every byte. What was never acknowledged may be dropped
/// (a torn last batch, an unfinished file); what was, must be whole, or the store refuses to open: a bad checksum with
/// valid data behind it or below the mark, a missing segment, two bad copies of the vote, a log cut further than the
/// readable snapshots reach. The mark is written, and synced, behind the batches' backs; so the damage of the very last
/// batch goes unnoticed only within a sync's latency of its end. A bad snapshot is passed over for an older one that
/// the log reaches. Since a process may die after a failed sync, the last batch is written anew into a new segment, and
/// the vote anew, before anything is served.
///
/// Assumes, as raft-wal does, that syncs work and that a write harms no byte but its own (else set `align`).
/// Memory: the log's entries, whose payloads are shared, the newest snapshot, and what has been handed over.
class RaftStorage final : public raft::Storage, public DiskOutput {
 public:
  RaftStorage(const RaftStorageConfig& config, RaftStorageOutput& output);
  ~RaftStorage() override;

  /// Once, before open(). (A disk is made with the object it reports to.)
  void attach(Disk& disk) { disk_ = &disk; }
  /// Requires a closed store. Ends with one on_opened, later, unless a crash comes first.
  void open();
  /// Forgets everything in memory; nothing outstanding is reported any more. Harmless twice.
  void close();

  bool is_open() const { return state_ == State::kOpen || state_ == State::kFailed; }
  /// A sync has failed: every write fails until the next open().
  bool failed() const { return state_ == State::kFailed; }
  /// The disk was empty at open().
  bool fresh() const { return fresh_; }
  std::size_t outstanding() const { return pending_.size(); }
  std::size_t segments() const { return segments_.size(); }

  raft::StableRecord record() const override { return record_; }
  raft::Index first_index() const override { return empty() ? 0 : log_[head_].index; }
  raft::Index last_index() const override { return empty() ? 0 : log_.back().index; }
  std::span<const raft::LogEntry> entries(raft::Index from, std::size_t most) const override;
  const raft::SnapshotMeta* snapshot() const override { return snapshot_ ? &snapshot_->meta : nullptr; }
  Bytes snapshot_state() const override { return snapshot_ ? snapshot_->state : Bytes(); }
  raft::DurableView durable() const override { return durable_; }

  // Require an open store.
  /// Hot: four disk operations. Fails if the candidate's address is longer than kMostCandidate.
  void save(Instant now, raft::StoreOp op, const raft::StableRecord& record) override;
  /// Hot: one copy of each payload, one checksum, a write and a sync, and as much for the mark; allocates nothing once
  /// buffers have grown.
  void append(Instant now, raft::StoreOp op, std::span<const raft::LogEntry> entries) override;
  void remove(Instant now, raft::StoreOp op, raft::Index from, raft::Index to) override;
  void save_snapshot(Instant now, raft::StoreOp op, const raft::SnapshotMeta& meta, const Bytes& state) override;

  void on_disk(const DiskCompletion& completion) override;
  void on_crash_point() override { output_.on_crash_point(); }

 private:
  enum class State : std::uint8_t { kClosed, kOpening, kOpen, kRefused, kFailed };
  /// What is awaited of the disk.
  enum class Step : std::uint8_t {
    kIdle,
    kReporting,
    kLoad,
    kMakeMark,
    kCutTail,
    kBatchWrite,
    kBatchSync,
    kSlotWrite,
    kSlotSync,
    kFileEmpty,
    kFileWrite,
    kFileSync,
    kFileRename,
    kFileDirectory,
    kRefuse,
  };
  /// Why a file is made: written and synced as .tmp, renamed, directory synced.
  enum class Purpose : std::uint8_t { kFirstSegment, kStable, kBatch, kSnapshot };
  struct Write {
    enum class Kind : std::uint8_t { kSave, kAppend, kRemove, kSnapshot };
    Kind kind = Kind::kSave;
    raft::StoreOp op = 0;
    Buffer bytes{};  // frames, or the file
    std::size_t appended = 0;
    std::vector<raft::LogEntry> removed{};
    bool from_head = false;
    raft::Index cut_to = 0;
    raft::Index first = 0, last = 0;  // of the log after it
    raft::Term last_term = 0;
    raft::StableRecord record{};
    StoredSnapshot snapshot{};
  };

  bool empty() const { return head_ == log_.size(); }
  Write& add(Write::Kind kind, raft::StoreOp op);
  void hand_over(Write& write);
  void start_refusal(std::string_view why);
  void recycle(Write& write);
  void start_next();
  void start_batch();
  void write_batch();
  void start_slots(const raft::StableRecord& record, std::uint64_t first);
  void write_slot();
  void make_file(Purpose purpose, std::string name);
  void file_made();
  void advance(const DiskCompletion& done);
  void advance_slot();
  void advance_file(const DiskCompletion& done);
  void broken(const DiskCompletion& done);
  void succeed(std::size_t count);
  void settle(Write& write);
  void fail(std::string_view error);
  void undo(Write& write);
  void trim();
  void prune_segments();
  void keep_snapshot(const StoredSnapshot& newer);
  void prune_snapshots();
  void write_mark();
  void mark_done(const DiskCompletion& done);
  void await(Step step, DiskOpId id);

  // raft_storage_open.cpp
  void load();
  void load_next();
  void loaded(const DiskCompletion& done);
  void recover();
  void refuse(std::string_view why);
  void take(RecoveredLog&& found);
  void begin_log();
  void log_begun();
  void opened();

  RaftStorageConfig config_;
  RaftStorageOutput& output_;
  Disk* disk_ = nullptr;

  State state_ = State::kClosed;
  Step step_ = Step::kIdle;
  DiskOpId awaited_ = 0;
  std::uint64_t epoch_ = 0;  // grows at close(): callbacks may close
  bool fresh_ = false;
  std::string refusal_;  // what the writes handed over are about to fail with; after a failed sync for good

  // What readers see.
  raft::StableRecord record_;
  std::vector<raft::LogEntry> log_;  // from head_ on
  std::size_t head_ = 0;
  std::optional<StoredSnapshot> snapshot_;

  // What is durable.
  raft::DurableView durable_;
  std::optional<StoredSnapshot> durable_snapshot_;
  raft::Index cut_through_ = 0;
  std::vector<RecoveredLog::Segment> segments_;
  FileId segment_ = kNoFile;  // the last one
  std::uint64_t tail_ = 0;    // where its next batch begins
  bool tail_dirty_ = false;   // a write failed: there may be bytes behind the tail
  FileId stable_ = kNoFile;
  std::uint64_t sequence_ = 0;
  std::vector<std::pair<raft::Index, std::string>> snapshots_;  // newest first
  std::uint64_t serial_ = 0;

  // Under way.
  Fifo<Write> pending_;
  std::size_t group_ = 0;  // how many of them the batch holds
  Buffer batch_;
  Buffer slot_;
  raft::StableRecord slot_record_;
  std::uint64_t slot_number_ = 0;
  bool second_slot_ = false;
  Buffer file_;
  Purpose purpose_ = Purpose::kBatch;
  std::string file_name_, file_temporary_;
  FileId made_ = kNoFile;
  std::vector<Buffer> spare_;
  std::vector<std::vector<raft::LogEntry>> spare_removed_;

  // The mark.
  FileId mark_ = kNoFile;
  DiskOpId mark_op_ = 0;
  bool mark_again_ = false;
  std::uint64_t mark_count_ = 0;
  Buffer mark_bytes_;

  // Opening.
  std::vector<StoredFile> files_;
  std::size_t loading_ = 0;
  unsigned attempts_ = 0;
  SegmentHeader next_;
  std::uint64_t doubtful_slot_ = 0;
  Bytes last_batch_;
};

}  // namespace dcsim::host
