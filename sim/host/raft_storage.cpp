#include "host/raft_storage.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace dcsim::host {
namespace {

constexpr std::size_t kMostSpare = 64;

}  // namespace

RaftStorage::RaftStorage(const RaftStorageConfig& config, RaftStorageOutput& output)
    : config_(config), output_(output) {
  DCSIM_CHECK(config.align >= 8 && config.align % 8 == 0 && config.snapshots >= 1);
}
RaftStorage::~RaftStorage() = default;

void RaftStorage::close() {
  ++epoch_;
  state_ = State::kClosed;
  step_ = Step::kIdle;
  awaited_ = mark_op_ = 0;
  mark_again_ = tail_dirty_ = false;
  record_ = {};
  log_.clear();
  head_ = 0;
  snapshot_.reset();
  durable_ = {};
  durable_snapshot_.reset();
  segments_.clear();
  snapshots_.clear();
  pending_.clear();
  group_ = 0;
  refusal_.clear();
  files_.clear();
  last_batch_ = {};
  segment_ = stable_ = mark_ = made_ = kNoFile;
  cut_through_ = tail_ = sequence_ = serial_ = mark_count_ = 0;
}

std::span<const raft::LogEntry> RaftStorage::entries(raft::Index from, std::size_t most) const {
  const raft::Index first = first_index();
  if (first == 0 || from < first || from > log_.back().index) return {};
  const std::size_t at = head_ + static_cast<std::size_t>(from - first);
  return std::span<const raft::LogEntry>(log_).subspan(at, std::min(most, log_.size() - at));
}

// What is handed over: readers see it at once.

RaftStorage::Write& RaftStorage::add(Write::Kind kind, raft::StoreOp op) {
  DCSIM_CHECK(is_open());
  Write write;
  write.kind = kind;
  write.op = op;
  if (!spare_.empty()) {
    write.bytes = std::move(spare_.back());
    spare_.pop_back();
  }
  if (kind == Write::Kind::kRemove && !spare_removed_.empty()) {
    write.removed = std::move(spare_removed_.back());
    spare_removed_.pop_back();
  }
  if (kind == Write::Kind::kAppend || kind == Write::Kind::kRemove) write.bytes.assign(kBatchHeaderBytes, 0);
  pending_.push(std::move(write));
  return pending_[pending_.size() - 1];
}

void RaftStorage::recycle(Write& write) {
  write.bytes.clear();
  if (write.bytes.capacity() > 0 && write.bytes.capacity() <= config_.batch_limit && spare_.size() < kMostSpare)
    spare_.push_back(std::move(write.bytes));
  write.removed.clear();
  if (write.kind == Write::Kind::kRemove && spare_removed_.size() < kMostSpare)
    spare_removed_.push_back(std::move(write.removed));
}

void RaftStorage::hand_over(Write& write) {
  write.first = first_index();
  write.last = last_index();
  write.last_term = empty() ? 0 : log_.back().term;
  start_next();
}

void RaftStorage::save(Instant, raft::StoreOp op, const raft::StableRecord& record) {
  add(Write::Kind::kSave, op).record = record;
  record_ = record;
  start_next();
}

void RaftStorage::append(Instant, raft::StoreOp op, std::span<const raft::LogEntry> entries) {
  Write& write = add(Write::Kind::kAppend, op);
  std::size_t bytes = kBatchHeaderBytes;
  for (const raft::LogEntry& entry : entries) bytes += 48 + entry.data.size() + entry.extensions.size();
  write.bytes.reserve(bytes);
  for (const raft::LogEntry& entry : entries) {
    DCSIM_CHECK(entry.index != 0 && (empty() || entry.index == log_.back().index + 1));
    log_.push_back(entry);
    put_entry(entry, write.bytes);
  }
  write.appended = entries.size();
  hand_over(write);
}

void RaftStorage::remove(Instant, raft::StoreOp op, raft::Index from, raft::Index to) {
  Write& write = add(Write::Kind::kRemove, op);
  const raft::Index first = first_index(), last = last_index();
  if (first != 0 && from <= to) {
    DCSIM_CHECK(from <= first || to >= last);
    // The whole log: a cut of the head says that a snapshot stands for it, and is held to that.
    const bool covered = snapshot_ && snapshot_->meta.index >= last;
    write.from_head = from <= first && (to < last || covered);
    if (write.from_head) {
      write.cut_to = std::min(to, last);
      while (!empty() && log_[head_].index <= to) write.removed.push_back(std::exchange(log_[head_++], {}));
      if (!write.removed.empty()) put_cut(true, write.cut_to, write.bytes);
    } else {
      const std::size_t at = head_ + static_cast<std::size_t>(std::max(from, first) - first);
      if (at < log_.size()) {
        const auto begin = log_.begin() + static_cast<std::ptrdiff_t>(at);
        write.removed.assign(std::make_move_iterator(begin), std::make_move_iterator(log_.end()));
        log_.erase(begin, log_.end());
        put_cut(false, std::max(from, first), write.bytes);
      }
    }
    trim();
  }
  hand_over(write);
}

void RaftStorage::save_snapshot(Instant, raft::StoreOp op, const raft::SnapshotMeta& meta, const Bytes& state) {
  Write& write = add(Write::Kind::kSnapshot, op);
  write.snapshot = {meta, state};
  if (!snapshot_ || meta.index >= snapshot_->meta.index) snapshot_ = write.snapshot;
  start_next();
}

void RaftStorage::trim() {
  if (empty()) {
    log_.clear();
    head_ = 0;
  } else if (head_ > 1024 && head_ * 2 > log_.size()) {
    log_.erase(log_.begin(), log_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

// One write after another.

void RaftStorage::await(Step step, DiskOpId id) {
  step_ = step;
  awaited_ = id;
}

void RaftStorage::start_next() {
  if (step_ != Step::kIdle || pending_.empty()) return;
  if (state_ == State::kFailed) return await(Step::kRefuse, disk_->read(segment_, 0, 0));
  const Write& write = pending_.front();
  switch (write.kind) {
    case Write::Kind::kSave:
      group_ = 1;
      if (write.record.vote_candidate.size() > kMostCandidate) return start_refusal("vote record too long");
      return start_slots(write.record, 0);
    case Write::Kind::kAppend:
    case Write::Kind::kRemove:
      return start_batch();
    case Write::Kind::kSnapshot:
      group_ = 1;
      file_.clear();
      put_snapshot(write.snapshot.meta, write.snapshot.state, file_);
      return make_file(Purpose::kSnapshot,
                       snapshot_name(write.snapshot.meta.term, write.snapshot.meta.index, ++serial_));
  }
}

void RaftStorage::start_refusal(std::string_view why) {
  refusal_ = why;
  await(Step::kRefuse, disk_->read(segment_, 0, 0));
}

void RaftStorage::start_batch() {
  batch_.swap(pending_.front().bytes);  // begins with room for the header
  group_ = 1;
  while (group_ < pending_.size()) {
    const Write& write = pending_[group_];
    if (write.kind != Write::Kind::kAppend && write.kind != Write::Kind::kRemove) break;
    if (batch_.size() + write.bytes.size() > config_.batch_limit) break;
    batch_.insert(batch_.end(), write.bytes.begin() + kBatchHeaderBytes, write.bytes.end());
    ++group_;
  }
  const std::uint64_t start = aligned(kSegmentHeaderBytes, config_.align);
  if (tail_ > start && tail_ + batch_.size() > config_.segment_size) {
    SegmentHeader header{segments_.back().number + 1, tail_,        durable_.first_index,
                         durable_.last_index,         cut_through_, start + batch_.size()};
    file_.clear();
    put_segment_header(header, file_);
    file_.resize(start);
    seal_batch(header.number, start, batch_);
    file_.insert(file_.end(), batch_.begin(), batch_.end());
    return make_file(Purpose::kBatch, segment_name(header.number));
  }
  seal_batch(segments_.back().number, tail_, batch_);
  if (tail_dirty_) return await(Step::kCutTail, disk_->truncate(segment_, tail_));
  write_batch();
}

void RaftStorage::write_batch() { await(Step::kBatchWrite, disk_->write(segment_, tail_, batch_)); }

void RaftStorage::start_slots(const raft::StableRecord& record, std::uint64_t first) {
  slot_record_ = record;
  sequence_ = (sequence_ / 2 + 1) * 2;
  second_slot_ = false;
  slot_number_ = first;
  write_slot();
}

void RaftStorage::write_slot() {
  slot_.clear();
  put_slot(sequence_ + (second_slot_ ? 1 : 0), slot_record_, slot_);
  await(Step::kSlotWrite, disk_->write(stable_, slot_number_ * kSlotBytes, slot_));
}

/// What is in file_ becomes a file of this name: whole, or not at all.
void RaftStorage::make_file(Purpose purpose, std::string name) {
  purpose_ = purpose;
  file_temporary_ = name + ".tmp";
  file_name_ = std::move(name);
  made_ = disk_->open(file_temporary_);
  if (made_ != kNoFile) return await(Step::kFileEmpty, disk_->truncate(made_, 0));
  await(Step::kFileEmpty, disk_->create(file_temporary_));
}

// What the disk answers.

void RaftStorage::on_disk(const DiskCompletion& completion) {
  if (completion.id == mark_op_) return mark_done(completion);
  if (completion.id != awaited_ || state_ == State::kClosed || state_ == State::kRefused) return;
  awaited_ = 0;
  if (step_ == Step::kLoad) return loaded(completion);
  if (step_ == Step::kRefuse) return fail(refusal_);
  if (completion.status != DiskStatus::kOk) return broken(completion);
  advance(completion);
}

void RaftStorage::advance(const DiskCompletion& done) {
  switch (step_) {
    case Step::kMakeMark:
      mark_ = done.file;
      return begin_log();
    case Step::kCutTail:
      tail_dirty_ = false;
      return write_batch();
    case Step::kBatchWrite:
      return await(Step::kBatchSync, disk_->sync(segment_));
    case Step::kBatchSync:
      tail_ = aligned(tail_ + batch_.size(), config_.align);
      return succeed(group_);
    case Step::kSlotWrite:
    case Step::kSlotSync:
      return advance_slot();
    default:
      return advance_file(done);
  }
}

void RaftStorage::advance_slot() {
  if (step_ == Step::kSlotWrite) return await(Step::kSlotSync, disk_->sync(stable_));
  if (!second_slot_) {
    second_slot_ = true;
    slot_number_ = 1 - slot_number_;
    return write_slot();
  }
  if (state_ == State::kOpening) return opened();
  succeed(1);
}

void RaftStorage::advance_file(const DiskCompletion& done) {
  switch (step_) {
    case Step::kFileEmpty:
      if (done.op == DiskOp::kCreate) made_ = done.file;
      return await(Step::kFileWrite, disk_->write(made_, 0, file_));
    case Step::kFileWrite:
      return await(Step::kFileSync, disk_->sync(made_));
    case Step::kFileSync:
      return await(Step::kFileRename, disk_->rename(file_temporary_, file_name_));
    case Step::kFileRename:
      return await(Step::kFileDirectory, disk_->sync_directory());
    default:
      return file_made();
  }
}

void RaftStorage::file_made() {
  switch (purpose_) {
    case Purpose::kFirstSegment:
      return log_begun();
    case Purpose::kStable:
      stable_ = made_;
      return opened();
    case Purpose::kBatch:
      segments_.push_back({segments_.back().number + 1, 0});
      segment_ = made_;
      tail_ = aligned(file_.size(), config_.align);
      tail_dirty_ = false;
      return succeed(group_);
    case Purpose::kSnapshot:
      return succeed(1);
  }
}

void RaftStorage::broken(const DiskCompletion& done) {
  const std::string why(text_of(done.status));
  if (state_ == State::kOpening) return refuse(why);
  // After a failed sync the next one succeeds and covers nothing of it (hence raft-wal and BoltDB cannot go on either);
  // a vote that one slot has and the other has not, likewise.
  const bool unknown = done.op == DiskOp::kSync || done.op == DiskOp::kSyncDirectory || done.op == DiskOp::kRename ||
                       (step_ == Step::kSlotWrite && second_slot_);
  if (step_ == Step::kBatchWrite) tail_dirty_ = true;
  if (step_ == Step::kFileWrite) disk_->unlink(file_temporary_);
  if (unknown) {
    state_ = State::kFailed;
    refusal_ = why;
    output_.log(raft::LogLevel::kError,
                "raft storage: " + std::string(name_of(done.op)) + " failed, no more is written: " + why);
    if (state_ != State::kFailed) return;
  }
  fail(why);
}

void RaftStorage::settle(Write& write) {
  switch (write.kind) {
    case Write::Kind::kSave:
      durable_.record = std::move(write.record);
      return;
    case Write::Kind::kSnapshot:
      if (!durable_snapshot_ || write.snapshot.meta.index >= durable_snapshot_->meta.index)
        durable_snapshot_ = write.snapshot;
      durable_.snapshot_index = durable_snapshot_->meta.index;
      return keep_snapshot(write.snapshot);
    default:
      durable_.first_index = write.first;
      durable_.last_index = write.last;
      durable_.last_term = write.last_term;
      if (write.appended > 0) segments_.back().most = std::max(segments_.back().most, write.last);
      if (write.from_head) {
        cut_through_ = std::max(cut_through_, write.cut_to);
        prune_segments();
      }
  }
}

void RaftStorage::succeed(std::size_t count) {
  const std::uint64_t epoch = epoch_;
  const bool log = pending_.front().kind == Write::Kind::kAppend || pending_.front().kind == Write::Kind::kRemove;
  step_ = Step::kReporting;
  if (log) write_mark();
  while (epoch_ == epoch && count-- > 0) {
    Write write = pending_.pop();
    settle(write);
    recycle(write);
    output_.on_stored(write.op, {});
  }
  if (epoch_ != epoch) return;
  step_ = Step::kIdle;
  start_next();
}

void RaftStorage::fail(std::string_view error) {
  const std::string why(error);
  const std::uint64_t epoch = epoch_;
  std::vector<raft::StoreOp> ops;
  for (std::size_t i = 0; i < pending_.size(); ++i) ops.push_back(pending_[i].op);
  for (std::size_t i = pending_.size(); i-- > 0;) undo(pending_[i]);
  pending_.clear();
  record_ = durable_.record;
  snapshot_ = durable_snapshot_;
  step_ = Step::kReporting;
  for (const raft::StoreOp op : ops) {
    output_.on_stored(op, why);
    if (epoch_ != epoch) return;
  }
  step_ = Step::kIdle;
  start_next();
}

void RaftStorage::undo(Write& write) {
  if (write.kind == Write::Kind::kAppend) {
    log_.resize(log_.size() - write.appended);
  } else if (write.kind == Write::Kind::kRemove) {
    const auto begin = std::make_move_iterator(write.removed.begin()),
               end = std::make_move_iterator(write.removed.end());
    log_.insert(write.from_head ? log_.begin() + static_cast<std::ptrdiff_t>(head_) : log_.end(), begin, end);
  }
  trim();
}

// Cleaning up, behind the writes' backs: what fails here is tried again by the next opening.

void RaftStorage::prune_segments() {
  std::size_t gone = 0;
  while (gone + 1 < segments_.size() && segments_[gone].most <= cut_through_)
    disk_->unlink(segment_name(segments_[gone++].number));
  segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(gone));
}

void RaftStorage::keep_snapshot(const StoredSnapshot& newer) {
  const auto place = std::find_if(snapshots_.begin(), snapshots_.end(),
                                  [&](const auto& other) { return other.first <= newer.meta.index; });
  snapshots_.insert(place, {newer.meta.index, file_name_});
  prune_snapshots();
}

void RaftStorage::prune_snapshots() {
  while (snapshots_.size() > config_.snapshots) {
    disk_->unlink(snapshots_.back().second);
    snapshots_.pop_back();
  }
}

void RaftStorage::write_mark() {
  if (mark_op_ != 0) {
    mark_again_ = true;
    return;
  }
  mark_again_ = false;
  mark_bytes_.clear();
  put_mark({segments_.back().number, tail_}, mark_bytes_);
  mark_op_ = disk_->write(mark_, mark_count_++ % 2 * kMarkBytes, mark_bytes_);
}

void RaftStorage::mark_done(const DiskCompletion& done) {
  mark_op_ = 0;
  if (state_ == State::kClosed || state_ == State::kFailed || done.status != DiskStatus::kOk) return;
  if (done.op == DiskOp::kWrite) {
    mark_op_ = disk_->sync(mark_);
  } else if (mark_again_) {
    write_mark();
  }
}

}  // namespace dcsim::host
