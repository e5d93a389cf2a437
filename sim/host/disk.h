#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/distribution.h"
#include "base/rng.h"
#include "base/time.h"
#include "core/engine.h"

namespace dcsim::host {

/// Log-normal in integers. sigma of the logarithm: p99 = median * e^(2.3263 sigma).
struct DiskLatency {
  Duration median{};
  Fixed sigma{};

  /// The model whose 99th percentile is `p99` (>= median > 0).
  static DiskLatency of(Duration median, Duration p99);
  static DiskLatency constant(Duration d) { return {d, {}}; }
};

/// What a power loss leaves of data that no sync has covered.
enum class CrashLoss : std::uint8_t {
  kRandomSubset,  ///< any subset of sectors, sizes and names, in any order
  kAll,           ///< nothing
  kNone,          ///< everything, as if the kernel had written it back in time
  kPrefix,        ///< what was written first, up to a random byte; the same for names
};

struct DiskConfig {
  // DiskLatency::of(20 us, 200 us), (1 ms, 10 ms), (100 us, 1 ms): ln 10 / 2.3263.
  DiskLatency write{20_us, Fixed::ratio(98'979, 100'000)};
  DiskLatency sync{1_ms, Fixed::ratio(98'979, 100'000)};
  DiskLatency read{100_us, Fixed::ratio(98'979, 100'000)};
  std::uint32_t queue_depth = 8;       ///< operations served at a time; others wait
  std::uint64_t bytes_per_second = 0;  ///< added to each read and write; 0 = no limit
  std::uint64_t capacity = 1u << 30;   ///< bytes of all files; beyond it kNoSpace
  std::uint32_t sector = 512;          ///< what the medium writes at once; a power of two
  CrashLoss crash_loss = CrashLoss::kRandomSubset;
  bool tear = true;              ///< a sector of a write under way may hold garbage; else old or new
  bool harm_neighbours = false;  ///< ... beyond the bytes written, up to the sector's ends
};

/// Chance of each fault per operation, in billionths. One draw decides per operation; the sum of a kind's chances is at
/// most 10^9.
struct DiskFaults {
  std::uint32_t read_error = 0;
  std::uint32_t read_wrong_byte = 0;
  std::uint32_t read_stale = 0;  ///< the medium's bytes, not those written since the last sync
  std::uint32_t write_error = 0;
  std::uint32_t write_dropped = 0;      ///< reported as done, readable, but it never reaches the medium
  std::uint32_t write_misdirected = 0;  ///< lands on another sector of the file
  std::uint32_t write_short = 0;        ///< only the beginning is written; status kShortWrite
  /// The error is reported once. What was to be synced may or may not be on the medium, and later syncs, which do not
  /// cover it any more, succeed (as Linux does).
  std::uint32_t sync_error = 0;
  std::uint32_t sync_hang = 0;  ///< never completes
  std::uint32_t sync_lie = 0;   ///< reports success and does nothing
};

enum class DiskOp : std::uint8_t { kWrite, kRead, kTruncate, kSync, kCreate, kRename, kUnlink, kSyncDirectory };
inline constexpr std::size_t kDiskOpCount = 8;
std::string_view name_of(DiskOp op);  ///< "write", "sync directory", ...

enum class DiskStatus : std::uint8_t { kOk, kIoError, kNoSpace, kShortWrite, kNotFound, kExists };
/// As strerror has it: "input/output error", "no space left on device", "short write", ...
std::string_view text_of(DiskStatus status);

using DiskOpId = std::uint64_t;  ///< counts from 1 for each disk, over crashes; 0 = the disk takes nothing
using FileId = std::uint32_t;
inline constexpr FileId kNoFile = 0xffffffffu;

struct DiskCompletion {
  DiskOpId id = 0;
  DiskOp op = DiskOp::kWrite;
  DiskStatus status = DiskStatus::kOk;
  FileId file = kNoFile;     ///< kCreate: the new one
  std::uint64_t offset = 0;  ///< of a read or write
  std::uint64_t count = 0;   ///< bytes read or written
  Bytes data{};              ///< of a read; shorter than asked at the end of the file
};

/// Where a disk stops by itself, for running a scenario at every crash point.
struct CrashPoint {
  enum class Moment : std::uint8_t {
    kBefore,  ///< the operation has not begun
    kDuring,  ///< it is under way: a write may be torn
    kAfter,   ///< it is done, and nobody has been told
  };
  DiskOp op = DiskOp::kWrite;
  std::uint64_t number = 0;  ///< of that kind, from 1, counted since the disk was made; 0 = never
  Moment moment = Moment::kDuring;
};

/// Whom a disk tells. Called from the engine's loop; may submit operations.
class DiskOutput {
 public:
  virtual ~DiskOutput() = default;
  virtual void on_disk(const DiskCompletion& completion) = 0;
  /// The crash point was reached: the disk has halted and completes nothing more until crash(). Called from within the
  /// submission (kBefore, kDuring) or at the completion (kAfter); the owner kills its process.
  virtual void on_crash_point() = 0;
};

/// A server's disk: one directory of files, asynchronous, with latency, that loses and harms what a real one may.
///
/// Contract. What is written can be read at once (the kernel's cache) and survives the process, not the power: only a
/// completed sync(file) makes contents and size durable, and only a completed sync_directory() makes names durable.
/// A sync covers what was submitted before it. Operations of one file complete in the order of their submission, those
/// of different files in any. Bytes outside a write are never harmed, unless `harm_neighbours` says so.
///
/// All chances come from one stream; equal submissions at equal times give equal runs. Memory: twice the files' sizes,
/// at most 2 * capacity. Hot: a write is one copy, one draw and one event; nothing is allocated once buffers have
/// grown.
class Disk {
 public:
  /// `stream` is named by the server, purpose "disk". `kind` must lead to on_event (see DiskSet); all must outlive it.
  Disk(core::Engine& engine, OriginId origin, std::uint16_t kind, std::uint32_t target, const DiskConfig& config,
       const Rng& stream, DiskOutput& output);
  ~Disk();
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  // Operations. Each completes once through on_disk, never from within the call.
  DiskOpId write(FileId file, std::uint64_t offset, ByteView bytes);
  DiskOpId append(FileId file, ByteView bytes) { return write(file, size(file), bytes); }
  DiskOpId read(FileId file, std::uint64_t offset, std::uint64_t count);
  /// Cuts, or extends with zeros.
  DiskOpId truncate(FileId file, std::uint64_t size);
  DiskOpId sync(FileId file);
  /// An empty file; kExists if the name is taken.
  DiskOpId create(std::string_view name);
  /// Replaces `to` if it exists.
  DiskOpId rename(std::string_view from, std::string_view to);
  DiskOpId unlink(std::string_view name);
  DiskOpId sync_directory();

  // What the kernel answers from memory.
  FileId open(std::string_view name) const;  ///< kNoFile if there is none
  std::uint64_t size(FileId file) const;
  std::vector<std::string> list() const;  ///< sorted
  std::uint64_t used() const { return used_; }

  // The process and the machine.
  /// Power loss: what is under way vanishes, unsynced data by the configured mode. The disk works again at once.
  void crash();
  /// The process alone dies: completions under way are not delivered; all that was submitted stays in the cache.
  void kill_process();
  /// An empty disk, nothing pending: the server came back without its data.
  void wipe();

  // Faults.
  void set_faults(const DiskFaults& faults) { faults_ = faults; }
  void set_full(bool full) { full_ = full; }  ///< every growing write fails with kNoSpace
  void set_crash_loss(CrashLoss loss) { config_.crash_loss = loss; }
  /// All operations hang for `d` from now; overlapping stalls: the longest counts.
  void stall(Duration d);
  void resume();  ///< ends a stall now
  void set_crash_point(const CrashPoint& point) { crash_point_ = point; }
  /// Harms stored bytes in cache and medium, as a bad sector does: they read wrong until overwritten.
  void corrupt(std::string_view name, std::uint64_t offset, std::uint64_t count);

  bool halted() const { return halted_; }
  /// Operations submitted, by kind: the range of CrashPoint::number.
  std::uint64_t submitted(DiskOp op) const { return submitted_[static_cast<std::size_t>(op)]; }
  std::size_t under_way() const { return active_; }
  /// Of the last crash: sectors of unsynced data that were lost, and that hold garbage.
  std::uint64_t lost_sectors() const { return lost_; }
  std::uint64_t torn_sectors() const { return torn_; }

  void on_event(const core::Event& event);

 private:
  struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };
  static constexpr std::uint64_t kUncut = ~std::uint64_t{0};
  struct File {
    Buffer cache;                // what reads see
    Buffer medium;               // what a power loss leaves
    std::vector<Range> dirty;    // in the order of writing, not taken by a sync
    std::uint64_t cut = kUncut;  // the shortest it was since a sync took its state
    Instant busy_until;
  };
  /// A change of names that no directory sync has covered.
  struct NameChange {
    DiskOp op = DiskOp::kCreate;
    std::string from;
    std::string to;
    FileId file = kNoFile;
  };
  struct Pending {
    DiskCompletion result;
    bool active = false;
    bool orphan = false;   // nobody waits for it any more
    bool nothing = false;  // a sync that lies
    bool hang = false;
    bool stop_during = false;
    bool stop_after = false;
    std::uint64_t size = 0;      // sync: the file's size when it was submitted
    std::uint64_t cut = kUncut;  // sync
    std::size_t names = 0;       // directory sync: how many changes it covers
    std::vector<Range> ranges;   // sync: what it covers; write: where it went
    core::EventHandle event;
  };
  using Names = std::map<std::string, FileId, std::less<>>;
  static constexpr std::uint32_t kResume = 0xffffffffu;

  Pending* begin(DiskOp op, FileId file);
  DiskOpId submit(Pending& pending, const DiskLatency& latency, std::uint64_t bytes, Instant& busy_until);
  DiskOpId submit_names(Pending& pending, const DiskLatency& latency);
  std::uint32_t fault(std::uint64_t sum);
  File* find(FileId file);
  const File* find(FileId file) const;
  void change_names(Pending& pending, DiskOp op, std::string_view from, std::string_view to);
  void drop_unnamed();
  void add_dirty(File& file, Range range);
  DiskStatus write_into(Pending& pending, File& file, std::uint64_t offset, ByteView bytes, bool reaches_medium);
  void resize(File& file, std::uint64_t size);
  void halt();
  void finish(std::uint32_t slot);
  void finish_sync(Pending& pending);
  void finish_names(const Pending& pending);
  void break_sync(Pending& pending);
  void drop_pending();
  core::Event event_for(std::uint32_t slot, DiskOpId id) const;

  void crash_names();
  void crash_file(FileId id, File& file);
  std::uint64_t crash_ranges(FileId id, File& file, const std::vector<Range>& ranges);
  void crash_sector(FileId id, File& file, Range piece, bool keep);
  std::vector<Range> take_unsynced(FileId id, File& file);
  bool written_now(FileId id, Range piece) const;
  void persist(File& file, Range range) const;
  void garble(File& file, Range piece);
  static void apply(Names& names, const NameChange& change);

  core::Engine& engine_;
  DiskOutput& output_;
  OriginId origin_;
  std::uint16_t kind_;
  std::uint32_t target_;
  DiskConfig config_;
  DiskFaults faults_;
  CrashPoint crash_point_;
  Rng rng_;

  Names names_;         // in the cache
  Names medium_names_;  // on the medium
  std::vector<NameChange> name_changes_;
  Instant directory_busy_until_;
  std::map<FileId, File> files_;  // named in either
  FileId next_file_ = 0;
  std::uint64_t used_ = 0;

  std::vector<Pending> pending_;
  std::vector<std::uint32_t> free_pending_;
  std::vector<Instant> lanes_;  // when each of the queue_depth servers is free
  struct Held {
    std::uint32_t slot;
    DiskOpId id;
  };
  std::vector<Held> held_;  // due during a stall
  Instant stalled_until_;
  core::EventHandle resume_;
  std::array<std::uint64_t, kDiskOpCount> submitted_{};
  DiskOpId last_id_ = 0;
  std::size_t active_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t torn_ = 0;
  bool full_ = false;
  bool halted_ = false;
};

/// The disks of a world: registers one kind of event for all of them.
class DiskSet {
 public:
  DiskSet(core::Engine& engine, std::uint16_t kind);
  /// A disk for the server with this stable name ("dc1/s1"); lives as long as the set. `output` must outlive it.
  Disk& add(std::string_view name, std::uint64_t seed, const DiskConfig& config, DiskOutput& output);
  std::size_t size() const { return disks_.size(); }
  Disk& at(std::size_t i) { return *disks_[i]; }

 private:
  core::Engine& engine_;
  std::uint16_t kind_;
  std::vector<std::unique_ptr<Disk>> disks_;
};

}  // namespace dcsim::host
