#include <algorithm>
#include <utility>

#include "base/check.h"
#include "host/raft_storage.h"

// Opening: read all, check, put right, begin a segment, write the vote anew.

namespace dcsim::host {
namespace {

/// A reading that finds damage is repeated: the disk may have read wrongly.
constexpr unsigned kReadings = 3;

}  // namespace

void RaftStorage::open() {
  DCSIM_CHECK(state_ == State::kClosed && disk_ != nullptr);
  close();
  state_ = State::kOpening;
  attempts_ = 0;
  load();
}

void RaftStorage::load() {
  ++attempts_;
  files_.clear();
  for (std::string& name : disk_->list()) files_.push_back({std::move(name), {}});
  loading_ = 0;
  if (files_.empty()) files_.push_back({".", {}});  // on_opened is never called from within open()
  load_next();
}

void RaftStorage::load_next() {
  const FileId file = disk_->open(files_[loading_].name);
  await(Step::kLoad, disk_->read(file, 0, disk_->size(file)));
}

void RaftStorage::loaded(const DiskCompletion& done) {
  StoredFile& file = files_[loading_];
  if (done.status != DiskStatus::kOk && file.name != ".") {
    if (attempts_ < kReadings) return load();
    return refuse(file.name + ": " + std::string(text_of(done.status)));
  }
  file.data = done.data;
  if (++loading_ < files_.size()) return load_next();
  recover();
}

void RaftStorage::recover() {
  RecoveredLog found;
  const std::string error = recover_log(files_, config_.align, found);
  // A torn end is read twice as well: what is dropped must really not be there.
  const bool doubtful = !error.empty() || ((found.dropped > 0 || !found.warnings.empty()) && attempts_ == 1);
  if (doubtful && attempts_ < kReadings) return load();
  files_.clear();
  const std::uint64_t epoch = epoch_;
  for (const std::string& warning : found.warnings) output_.log(raft::LogLevel::kWarn, "raft storage: " + warning);
  if (found.dropped > 0)
    output_.log(raft::LogLevel::kInfo,
                "raft storage: dropped " + std::to_string(found.dropped) + " bytes of an unfinished write");
  if (epoch_ != epoch) return;
  if (!error.empty()) return refuse(error);
  take(std::move(found));
}

void RaftStorage::refuse(std::string_view why) {
  const std::string text = "raft storage: " + std::string(why);
  state_ = State::kRefused;
  step_ = Step::kIdle;
  files_.clear();
  output_.log(raft::LogLevel::kError, text);
  if (state_ == State::kRefused) output_.on_opened(text);
}

void RaftStorage::take(RecoveredLog&& found) {
  fresh_ = found.fresh;
  record_ = std::move(found.record);
  sequence_ = found.sequence;
  doubtful_slot_ = found.doubtful_slot;
  log_ = std::move(found.log);
  cut_through_ = found.cut_through;
  segments_ = std::move(found.segments);
  snapshot_ = std::move(found.snapshot);
  snapshots_ = std::move(found.snapshots);
  serial_ = found.serial;
  next_ = found.next;
  last_batch_ = std::move(found.last_batch);
  for (const std::string& name : found.leftovers) disk_->unlink(name);
  stable_ = disk_->open(kStableName);
  mark_ = disk_->open(kMarkName);
  if (mark_ == kNoFile) return await(Step::kMakeMark, disk_->create(kMarkName));
  begin_log();
}

void RaftStorage::begin_log() {
  const std::uint64_t start = aligned(kSegmentHeaderBytes, config_.align);
  const bool repeats = !last_batch_.empty();
  file_.clear();
  next_.sealed_end = start + (repeats ? kBatchHeaderBytes + last_batch_.size() : 0);
  put_segment_header(next_, file_);
  if (repeats) {
    file_.resize(start + kBatchHeaderBytes);
    file_.insert(file_.end(), last_batch_.view().begin(), last_batch_.view().end());
    seal_batch(next_.number, start, std::span(file_).subspan(start));
  }
  make_file(Purpose::kFirstSegment, segment_name(next_.number));
}

void RaftStorage::log_begun() {
  const raft::Index most = segments_.empty() || last_batch_.empty() ? 0 : segments_.back().most;
  segments_.push_back({next_.number, most});
  segment_ = made_;
  tail_ = aligned(std::max<std::uint64_t>(file_.size(), next_.sealed_end), config_.align);
  last_batch_ = {};
  if (!fresh_) return start_slots(record_, doubtful_slot_);
  file_.clear();
  put_slot(sequence_, record_, file_);
  put_slot(sequence_ + 1, record_, file_);
  make_file(Purpose::kStable, std::string(kStableName));
}

void RaftStorage::opened() {
  state_ = State::kOpen;
  step_ = Step::kIdle;
  durable_ = {record_, first_index(), last_index(), empty() ? 0 : log_.back().term,
              snapshot_ ? snapshot_->meta.index : 0};
  durable_snapshot_ = snapshot_;
  prune_segments();
  prune_snapshots();
  write_mark();
  output_.on_opened({});
}

}  // namespace dcsim::host
