#include "host/disk.h"

#include <algorithm>

#include "base/check.h"

namespace dcsim::host {
namespace {

constexpr std::size_t kMostDirty = 4096;  // ranges of a file before they are merged
constexpr std::uint64_t kBillion = 1'000'000'000;

}  // namespace

std::string_view name_of(DiskOp op) {
  switch (op) {
    case DiskOp::kWrite:
      return "write";
    case DiskOp::kRead:
      return "read";
    case DiskOp::kTruncate:
      return "truncate";
    case DiskOp::kSync:
      return "sync";
    case DiskOp::kCreate:
      return "create";
    case DiskOp::kRename:
      return "rename";
    case DiskOp::kUnlink:
      return "unlink";
    case DiskOp::kSyncDirectory:
      return "sync directory";
  }
  return "unknown";
}

std::string_view text_of(DiskStatus status) {
  switch (status) {
    case DiskStatus::kOk:
      return "";
    case DiskStatus::kIoError:
      return "input/output error";
    case DiskStatus::kNoSpace:
      return "no space left on device";
    case DiskStatus::kShortWrite:
      return "short write";
    case DiskStatus::kNotFound:
      return "no such file or directory";
    case DiskStatus::kExists:
      return "file exists";
  }
  return "unknown";
}

DiskLatency DiskLatency::of(Duration median, Duration p99) {
  DCSIM_CHECK(median > 0_ns && p99 >= median && p99 <= kLongestDraw);
  // The exponent e of p99 = median * e^(e / 2^40), by bisection; 2^46 is e^64.
  std::int64_t low = 0, high = std::int64_t{1} << 46;
  while (low + 1 < high) {
    const std::int64_t middle = low + (high - low) / 2;
    (times_exp(median, middle) <= p99 ? low : high) = middle;
  }
  // In units of 2^-32, divided by the 99th percentile of the normal distribution, 2.32635.
  return {median, {(low >> 8) * 100'000 / 232'635}};
}

Disk::Disk(core::Engine& engine, OriginId origin, std::uint16_t kind, std::uint32_t target, const DiskConfig& config,
           const Rng& stream, DiskOutput& output)
    : engine_(engine),
      output_(output),
      origin_(origin),
      kind_(kind),
      target_(target),
      config_(config),
      rng_(stream),
      lanes_(std::max<std::uint32_t>(config.queue_depth, 1)) {
  DCSIM_CHECK(config.sector > 0 && (config.sector & (config.sector - 1)) == 0);
}

Disk::~Disk() = default;

// Submission.

const Disk::File* Disk::find(FileId file) const {
  const auto it = files_.find(file);
  return it == files_.end() ? nullptr : &it->second;
}
Disk::File* Disk::find(FileId file) { return const_cast<File*>(static_cast<const Disk*>(this)->find(file)); }

Disk::Pending* Disk::begin(DiskOp op, FileId file) {
  if (halted_) return nullptr;
  const std::uint64_t number = ++submitted_[static_cast<std::size_t>(op)];
  const bool stops = crash_point_.op == op && crash_point_.number == number;
  if (stops && crash_point_.moment == CrashPoint::Moment::kBefore) {
    halt();
    return nullptr;
  }
  std::uint32_t slot = static_cast<std::uint32_t>(pending_.size());
  if (free_pending_.empty()) {
    pending_.emplace_back();
  } else {
    slot = free_pending_.back();
    free_pending_.pop_back();
  }
  Pending& pending = pending_[slot];
  std::vector<Range> ranges = std::move(pending.ranges);
  ranges.clear();
  pending = {};
  pending.ranges = std::move(ranges);
  pending.active = true;
  pending.result.id = ++last_id_;
  pending.result.op = op;
  pending.result.file = file;
  pending.stop_during = stops && crash_point_.moment == CrashPoint::Moment::kDuring;
  pending.stop_after = stops && crash_point_.moment == CrashPoint::Moment::kAfter;
  ++active_;
  return &pending;
}

core::Event Disk::event_for(std::uint32_t slot, DiskOpId id) const {
  core::Event event;
  event.kind = kind_;
  event.target = target_;
  event.arg = slot;
  event.a = id;
  return event;
}

DiskOpId Disk::submit(Pending& pending, const DiskLatency& latency, std::uint64_t bytes, Instant& busy_until) {
  Duration service = lognormal(rng_, latency.median, latency.sigma);
  if (config_.bytes_per_second > 0) {
    const Uint128 transfer = static_cast<Uint128>(bytes) * kBillion / config_.bytes_per_second;
    service += Duration{static_cast<std::int64_t>(std::min<Uint128>(transfer, kLongestDraw.ns))};
  }
  const DiskOpId id = pending.result.id;
  const bool stops = pending.stop_during;
  if (!pending.hang) {
    Instant& lane = *std::min_element(lanes_.begin(), lanes_.end());
    lane = std::max(lane, engine_.now()) + service;
    busy_until = std::max(busy_until, lane);
    const auto slot = static_cast<std::uint32_t>(&pending - pending_.data());
    pending.event = engine_.schedule(origin_, busy_until, event_for(slot, id));
  }
  if (stops) halt();  // the owner may call crash(): nothing of the operation is touched after this
  return id;
}

DiskOpId Disk::submit_names(Pending& pending, const DiskLatency& latency) {
  return submit(pending, latency, 0, directory_busy_until_);
}

std::uint32_t Disk::fault(std::uint64_t sum) {
  if (sum == 0) return static_cast<std::uint32_t>(kBillion);
  return static_cast<std::uint32_t>(rng_.below(kBillion));
}

void Disk::resize(File& file, std::uint64_t size) {
  used_ += size;
  used_ -= file.cache.size();
  file.cache.resize(size);
}

void Disk::add_dirty(File& file, Range range) {
  if (range.begin == range.end) return;
  if (!file.dirty.empty()) {
    Range& last = file.dirty.back();
    if (range.begin <= last.end && last.begin <= range.end && range.begin >= last.begin) {
      last.end = std::max(last.end, range.end);
      return;
    }
  }
  file.dirty.push_back(range);
  if (file.dirty.size() < kMostDirty) return;
  std::sort(file.dirty.begin(), file.dirty.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::size_t kept = 0;
  for (const Range& next : file.dirty) {
    if (kept > 0 && next.begin <= file.dirty[kept - 1].end) {
      file.dirty[kept - 1].end = std::max(file.dirty[kept - 1].end, next.end);
    } else {
      file.dirty[kept++] = next;
    }
  }
  file.dirty.resize(kept);
}

DiskStatus Disk::write_into(Pending& pending, File& file, std::uint64_t offset, ByteView bytes, bool reaches_medium) {
  if (bytes.empty()) return DiskStatus::kOk;
  const std::uint64_t size = file.cache.size();
  const std::uint64_t room = config_.capacity - std::min(used_, config_.capacity);
  const bool fits = offset <= config_.capacity && bytes.size() <= config_.capacity;
  const std::uint64_t end = fits ? offset + bytes.size() : 0;
  if (!fits || (end > size && (full_ || end - size > room))) return DiskStatus::kNoSpace;
  if (end > size) resize(file, end);
  std::copy(bytes.begin(), bytes.end(), file.cache.begin() + static_cast<std::ptrdiff_t>(offset));
  pending.result.count = bytes.size();
  if (!reaches_medium) return DiskStatus::kOk;
  pending.ranges.push_back({offset, end});
  add_dirty(file, {offset, end});
  return DiskStatus::kOk;
}

DiskOpId Disk::write(FileId id, std::uint64_t offset, ByteView bytes) {
  Pending* pending = begin(DiskOp::kWrite, id);
  if (pending == nullptr) return 0;
  DiskCompletion& result = pending->result;
  result.offset = offset;
  File* file = find(id);
  if (file == nullptr) {
    result.status = DiskStatus::kNotFound;
    return submit_names(*pending, config_.write);
  }
  const DiskFaults& f = faults_;
  std::uint32_t x = fault(std::uint64_t{f.write_error} + f.write_dropped + f.write_misdirected + f.write_short);
  const auto hits = [&x](std::uint32_t chance) {
    if (x < chance) return true;
    x -= chance;
    return false;
  };
  if (hits(f.write_error)) {
    result.status = DiskStatus::kIoError;
  } else if (hits(f.write_dropped)) {
    result.status = write_into(*pending, *file, offset, bytes, false);
  } else if (hits(f.write_misdirected) && !file->cache.empty()) {
    const std::uint64_t sectors = (file->cache.size() + config_.sector - 1) / config_.sector;
    const std::uint64_t wrong = rng_.below(sectors) * config_.sector;
    const std::size_t count =
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), file->cache.size() - wrong));
    result.status = write_into(*pending, *file, wrong, bytes.first(count), true);
    result.count = bytes.size();
  } else if (hits(f.write_short) && !bytes.empty()) {
    result.status = write_into(*pending, *file, offset, bytes.first(rng_.below(bytes.size())), true);
    if (result.status == DiskStatus::kOk) result.status = DiskStatus::kShortWrite;
  } else {
    result.status = write_into(*pending, *file, offset, bytes, true);
  }
  return submit(*pending, config_.write, bytes.size(), file->busy_until);
}

DiskOpId Disk::read(FileId id, std::uint64_t offset, std::uint64_t count) {
  Pending* pending = begin(DiskOp::kRead, id);
  if (pending == nullptr) return 0;
  DiskCompletion& result = pending->result;
  result.offset = offset;
  File* file = find(id);
  if (file == nullptr) {
    result.status = DiskStatus::kNotFound;
    return submit_names(*pending, config_.read);
  }
  std::uint32_t x = fault(std::uint64_t{faults_.read_error} + faults_.read_wrong_byte + faults_.read_stale);
  const bool error = x < faults_.read_error;
  const bool wrong = !error && (x -= faults_.read_error) < faults_.read_wrong_byte;
  const bool stale = !error && !wrong && x - faults_.read_wrong_byte < faults_.read_stale;
  const Buffer& from = stale ? file->medium : file->cache;
  const std::uint64_t begin = std::min<std::uint64_t>(offset, from.size());
  const std::uint64_t size = std::min<std::uint64_t>(count, from.size() - begin);
  if (error) {
    result.status = DiskStatus::kIoError;
  } else if (wrong && size > 0) {
    Buffer copy(from.begin() + static_cast<std::ptrdiff_t>(begin),
                from.begin() + static_cast<std::ptrdiff_t>(begin + size));
    const std::uint64_t draw = rng_.below(size * 255);
    copy[draw / 255] ^= static_cast<std::uint8_t>(1 + draw % 255);
    result.data = Bytes(ByteView(copy));
  } else {
    result.data = Bytes(ByteView(from).subspan(begin, size));
  }
  result.count = result.data.size();
  return submit(*pending, config_.read, size, file->busy_until);
}

DiskOpId Disk::truncate(FileId id, std::uint64_t size) {
  Pending* pending = begin(DiskOp::kTruncate, id);
  if (pending == nullptr) return 0;
  File* file = find(id);
  if (file == nullptr) {
    pending->result.status = DiskStatus::kNotFound;
    return submit_names(*pending, config_.write);
  }
  const std::uint64_t room = config_.capacity - std::min(used_, config_.capacity);
  const std::uint64_t old = file->cache.size();
  if (size > old && (full_ || size - old > room)) {
    pending->result.status = DiskStatus::kNoSpace;
  } else {
    resize(*file, size);
    file->cut = std::min(file->cut, size);
  }
  return submit(*pending, config_.write, 0, file->busy_until);
}

DiskOpId Disk::sync(FileId id) {
  Pending* pending = begin(DiskOp::kSync, id);
  if (pending == nullptr) return 0;
  File* file = find(id);
  if (file == nullptr) {
    pending->result.status = DiskStatus::kNotFound;
    return submit_names(*pending, config_.sync);
  }
  const std::uint32_t x = fault(std::uint64_t{faults_.sync_error} + faults_.sync_hang + faults_.sync_lie);
  if (x < faults_.sync_error) {
    pending->result.status = DiskStatus::kIoError;
  } else if (x - faults_.sync_error < faults_.sync_hang) {
    pending->hang = true;
  } else if (x - faults_.sync_error - faults_.sync_hang < faults_.sync_lie) {
    pending->nothing = true;
  }
  if (!pending->nothing) {
    pending->ranges.swap(file->dirty);
    pending->size = file->cache.size();
    pending->cut = file->cut;
    file->cut = kUncut;
  }
  return submit(*pending, config_.sync, 0, file->busy_until);
}

void Disk::apply(Names& names, const NameChange& change) {
  switch (change.op) {
    case DiskOp::kCreate:
      names[change.to] = change.file;
      return;
    case DiskOp::kRename:
      if (const auto it = names.find(change.from); it != names.end() && it->second == change.file) names.erase(it);
      names[change.to] = change.file;
      return;
    default:
      if (const auto it = names.find(change.from); it != names.end() && it->second == change.file) names.erase(it);
      return;
  }
}

void Disk::change_names(Pending& pending, DiskOp op, std::string_view from, std::string_view to) {
  name_changes_.push_back({op, std::string(from), std::string(to), pending.result.file});
  apply(names_, name_changes_.back());
}

DiskOpId Disk::create(std::string_view name) {
  Pending* pending = begin(DiskOp::kCreate, kNoFile);
  if (pending == nullptr) return 0;
  if (names_.contains(name)) {
    pending->result.status = DiskStatus::kExists;
  } else {
    pending->result.file = next_file_++;
    files_[pending->result.file];
    change_names(*pending, DiskOp::kCreate, {}, name);
  }
  return submit_names(*pending, config_.write);
}

DiskOpId Disk::rename(std::string_view from, std::string_view to) {
  Pending* pending = begin(DiskOp::kRename, open(from));
  if (pending == nullptr) return 0;
  if (pending->result.file == kNoFile) {
    pending->result.status = DiskStatus::kNotFound;
  } else if (from != to) {
    change_names(*pending, DiskOp::kRename, from, to);
  }
  return submit_names(*pending, config_.write);
}

DiskOpId Disk::unlink(std::string_view name) {
  Pending* pending = begin(DiskOp::kUnlink, open(name));
  if (pending == nullptr) return 0;
  if (pending->result.file == kNoFile) {
    pending->result.status = DiskStatus::kNotFound;
  } else {
    change_names(*pending, DiskOp::kUnlink, name, {});
  }
  return submit_names(*pending, config_.write);
}

DiskOpId Disk::sync_directory() {
  Pending* pending = begin(DiskOp::kSyncDirectory, kNoFile);
  if (pending == nullptr) return 0;
  const std::uint32_t x = fault(std::uint64_t{faults_.sync_error} + faults_.sync_hang + faults_.sync_lie);
  pending->names = name_changes_.size();
  if (x < faults_.sync_error) {
    pending->result.status = DiskStatus::kIoError;
  } else if (x - faults_.sync_error < faults_.sync_hang) {
    pending->hang = true;
  } else if (x - faults_.sync_error - faults_.sync_hang < faults_.sync_lie) {
    pending->nothing = true;
  }
  return submit_names(*pending, config_.sync);
}

// Completion.

void Disk::halt() {
  halted_ = true;
  output_.on_crash_point();
}

void Disk::on_event(const core::Event& event) {
  if (event.arg == kResume) {
    // What is told may crash the disk and submit anew: a slot may then hold another operation.
    std::vector<Held> due;
    due.swap(held_);
    for (const Held& held : due) {
      if (!halted_ && pending_[held.slot].active && pending_[held.slot].result.id == held.id) finish(held.slot);
    }
    return;
  }
  if (halted_ || !pending_[event.arg].active || pending_[event.arg].result.id != event.a) return;
  if (engine_.now() < stalled_until_ || !held_.empty()) {
    held_.push_back({event.arg, event.a});
    return;
  }
  finish(event.arg);
}

void Disk::finish(std::uint32_t slot) {
  Pending& pending = pending_[slot];
  if (pending.result.op == DiskOp::kSync) finish_sync(pending);
  if (pending.result.op == DiskOp::kSyncDirectory) finish_names(pending);
  const DiskCompletion result = std::move(pending.result);
  const bool told = !pending.orphan;
  const bool stops = pending.stop_after;
  pending.result = {};
  pending.active = false;
  free_pending_.push_back(slot);
  --active_;
  if (stops) return halt();
  if (told) output_.on_disk(result);
}

void Disk::persist(File& file, Range range) const {
  const std::uint64_t end = std::min<std::uint64_t>(range.end, file.cache.size());
  if (range.begin >= end) return;
  if (file.medium.size() < end) file.medium.resize(end);
  std::copy(file.cache.begin() + static_cast<std::ptrdiff_t>(range.begin),
            file.cache.begin() + static_cast<std::ptrdiff_t>(end),
            file.medium.begin() + static_cast<std::ptrdiff_t>(range.begin));
}

void Disk::finish_sync(Pending& pending) {
  File* file = find(pending.result.file);
  if (file == nullptr || pending.nothing) return;
  if (pending.result.status == DiskStatus::kIoError) return break_sync(pending);
  if (pending.cut < file->medium.size()) file->medium.resize(pending.cut);
  file->medium.resize(pending.size);
  for (const Range& range : pending.ranges) persist(*file, {range.begin, std::min(range.end, pending.size)});
}

/// Each sector of what should have been synced is on the medium or not; nobody will try again.
void Disk::break_sync(Pending& pending) {
  File& file = *find(pending.result.file);
  const std::uint64_t original = file.medium.size();
  const std::uint64_t sector = config_.sector;
  for (const Range& range : pending.ranges) {
    for (std::uint64_t at = range.begin; at < range.end;) {
      const std::uint64_t end = std::min(range.end, (at / sector + 1) * sector);
      if (rng_.below(2) == 0) persist(file, {at, end});
      at = end;
    }
  }
  file.medium.resize(rng_.below(2) == 0 ? original : pending.size);
}

void Disk::finish_names(const Pending& pending) {
  if (pending.nothing) return;
  const std::size_t count = std::min(pending.names, name_changes_.size());
  const bool broken = pending.result.status == DiskStatus::kIoError;
  for (std::size_t i = 0; i < count; ++i) {
    if (!broken || rng_.below(2) == 0) apply(medium_names_, name_changes_[i]);
  }
  name_changes_.erase(name_changes_.begin(), name_changes_.begin() + static_cast<std::ptrdiff_t>(count));
  for (Pending& other : pending_) {
    if (other.active && other.result.op == DiskOp::kSyncDirectory) other.names -= std::min(other.names, count);
  }
  drop_unnamed();
}

void Disk::drop_unnamed() {
  for (auto it = files_.begin(); it != files_.end();) {
    const FileId id = it->first;
    const auto names_it = [id](const auto& entry) { return entry.second == id; };
    const bool named = std::any_of(names_.begin(), names_.end(), names_it) ||
                       std::any_of(medium_names_.begin(), medium_names_.end(), names_it) ||
                       std::any_of(name_changes_.begin(), name_changes_.end(),
                                   [id](const NameChange& change) { return change.file == id; });
    if (!named) used_ -= it->second.cache.size();
    it = named ? std::next(it) : files_.erase(it);
  }
}

// What the kernel answers from memory.

FileId Disk::open(std::string_view name) const {
  const auto it = names_.find(name);
  return it == names_.end() ? kNoFile : it->second;
}

std::uint64_t Disk::size(FileId id) const {
  const File* file = find(id);
  return file == nullptr ? 0 : file->cache.size();
}

std::vector<std::string> Disk::list() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : names_) names.push_back(name);
  return names;
}

// Faults.

void Disk::stall(Duration d) {
  const Instant until = engine_.now() + d;
  if (until <= stalled_until_) return;
  stalled_until_ = until;
  engine_.cancel(resume_);
  resume_ = engine_.schedule(origin_, until, event_for(kResume, 0));
}

void Disk::resume() {
  stalled_until_ = engine_.now();
  engine_.cancel(resume_);
  resume_ = engine_.schedule(origin_, engine_.now(), event_for(kResume, 0));
}

void Disk::corrupt(std::string_view name, std::uint64_t offset, std::uint64_t count) {
  File* file = find(open(name));
  if (file == nullptr) return;
  for (Buffer* bytes : {&file->cache, &file->medium}) {
    const std::uint64_t end =
        count > bytes->size() ? bytes->size() : std::min<std::uint64_t>(bytes->size(), offset + count);
    for (std::uint64_t i = offset; i < end; ++i) (*bytes)[i] ^= 0xff;
  }
}

void Disk::drop_pending() {
  for (std::uint32_t slot = 0; slot < pending_.size(); ++slot) {
    Pending& pending = pending_[slot];
    if (!pending.active) continue;
    engine_.cancel(pending.event);
    pending.active = false;
    pending.result = {};
    free_pending_.push_back(slot);
  }
  held_.clear();
  active_ = 0;
  halted_ = false;
  std::fill(lanes_.begin(), lanes_.end(), engine_.now());
  directory_busy_until_ = engine_.now();
  for (auto& [id, file] : files_) file.busy_until = engine_.now();
}

void Disk::kill_process() {
  for (Pending& pending : pending_) pending.orphan = true;
  halted_ = false;
}

void Disk::wipe() {
  drop_pending();
  names_.clear();
  medium_names_.clear();
  name_changes_.clear();
  files_.clear();
  used_ = 0;
}

// Power loss.

void Disk::crash() {
  lost_ = torn_ = 0;
  for (auto& [id, file] : files_) crash_file(id, file);
  crash_names();
  drop_pending();
  drop_unnamed();
}

void Disk::crash_names() {
  std::uint64_t prefix = 0;
  if (config_.crash_loss == CrashLoss::kNone) prefix = name_changes_.size();
  if (config_.crash_loss == CrashLoss::kPrefix) prefix = rng_.below(name_changes_.size() + 1);
  const bool any = config_.crash_loss == CrashLoss::kRandomSubset;
  for (std::size_t i = 0; i < name_changes_.size(); ++i) {
    if (any ? rng_.below(2) == 0 : i < prefix) apply(medium_names_, name_changes_[i]);
  }
  name_changes_.clear();
  names_ = medium_names_;
}

/// What no completed sync covers, in the order of writing; the file's cut becomes the shortest since then.
std::vector<Disk::Range> Disk::take_unsynced(FileId id, File& file) {
  std::vector<const Pending*> syncs;
  for (const Pending& pending : pending_) {
    if (pending.active && pending.result.op == DiskOp::kSync && pending.result.file == id) syncs.push_back(&pending);
  }
  std::sort(syncs.begin(), syncs.end(), [](const Pending* a, const Pending* b) { return a->result.id < b->result.id; });
  std::vector<Range> ranges;
  for (const Pending* sync : syncs) {
    ranges.insert(ranges.end(), sync->ranges.begin(), sync->ranges.end());
    file.cut = std::min(file.cut, sync->cut);
  }
  ranges.insert(ranges.end(), file.dirty.begin(), file.dirty.end());
  file.dirty.clear();
  return ranges;
}

void Disk::crash_file(FileId id, File& file) {
  const std::vector<Range> ranges = take_unsynced(id, file);
  const std::uint64_t written = file.cache.size();
  const CrashLoss loss = config_.crash_loss;
  const bool cuts =
      file.cut < file.medium.size() && (loss == CrashLoss::kNone || (loss != CrashLoss::kAll && rng_.below(2) == 0));
  if (cuts) file.medium.resize(file.cut);
  const std::uint64_t original = file.medium.size();
  const std::uint64_t kept_end = crash_ranges(id, file, ranges);
  std::uint64_t size = original;
  if (loss == CrashLoss::kNone) size = written;
  if (loss == CrashLoss::kPrefix) size = std::max(original, kept_end);
  if (loss == CrashLoss::kRandomSubset && written != original) {
    const std::uint64_t low = std::min(written, original), high = std::max(written, original);
    const std::uint64_t choice = rng_.below(3);
    size = choice == 0 ? original : choice == 1 ? written : low + rng_.below(high - low + 1);
  }
  file.medium.resize(size);
  used_ -= file.cache.size();
  file.cache = file.medium;
  used_ += file.cache.size();
  file.cut = kUncut;
}

/// Returns the end of the last byte kept.
std::uint64_t Disk::crash_ranges(FileId id, File& file, const std::vector<Range>& ranges) {
  std::uint64_t total = 0;
  for (const Range& range : ranges) total += range.end - range.begin;
  std::uint64_t left = config_.crash_loss == CrashLoss::kPrefix ? rng_.below(total + 1) : total;
  std::uint64_t kept_end = 0;
  for (const Range& range : ranges) {
    for (std::uint64_t at = range.begin; at < range.end;) {
      std::uint64_t end = std::min(range.end, (at / config_.sector + 1) * config_.sector);
      bool keep = config_.crash_loss == CrashLoss::kNone;
      if (config_.crash_loss == CrashLoss::kRandomSubset) keep = rng_.below(2) == 0;
      if (config_.crash_loss == CrashLoss::kPrefix) {
        keep = left > 0;
        if (keep) end = std::min(end, at + left);
        left -= std::min(left, end - at);
      }
      crash_sector(id, file, {at, end}, keep);
      if (keep) kept_end = end;
      at = end;
    }
  }
  return kept_end;
}

void Disk::crash_sector(FileId id, File& file, Range piece, bool keep) {
  const bool tears = config_.tear && config_.crash_loss != CrashLoss::kAll && written_now(id, piece);
  if (tears && rng_.below(3) == 0) {
    garble(file, piece);
    ++torn_;
  } else if (keep) {
    persist(file, piece);
  } else {
    ++lost_;
  }
}

bool Disk::written_now(FileId id, Range piece) const {
  return std::any_of(pending_.begin(), pending_.end(), [&](const Pending& pending) {
    return pending.active && pending.result.op == DiskOp::kWrite && pending.result.file == id &&
           std::any_of(pending.ranges.begin(), pending.ranges.end(),
                       [&](const Range& r) { return r.begin < piece.end && piece.begin < r.end; });
  });
}

void Disk::garble(File& file, Range piece) {
  if (config_.harm_neighbours) {
    piece.begin = piece.begin / config_.sector * config_.sector;
    const std::uint64_t sector_end = piece.begin + config_.sector;
    piece.end = std::max(piece.end, std::min<std::uint64_t>(sector_end, file.medium.size()));
  }
  if (file.medium.size() < piece.end) file.medium.resize(piece.end);
  for (std::uint64_t at = piece.begin; at < piece.end; ++at) {
    file.medium[at] = static_cast<std::uint8_t>(rng_.next());
  }
}

DiskSet::DiskSet(core::Engine& engine, std::uint16_t kind) : engine_(engine), kind_(kind) {
  engine.on(kind, this, [](void* self, const core::Event& event) {
    static_cast<DiskSet*>(self)->disks_[event.target]->on_event(event);
  });
}

Disk& DiskSet::add(std::string_view name, std::uint64_t seed, const DiskConfig& config, DiskOutput& output) {
  const auto target = static_cast<std::uint32_t>(disks_.size());
  disks_.push_back(
      std::make_unique<Disk>(engine_, engine_.add_origin(), kind_, target, config, Rng(seed, name, "disk"), output));
  return *disks_.back();
}

}  // namespace dcsim::host
