#include <algorithm>

#include "raft/node.h"

namespace dcsim::raft {

// snapshot.go runSnapshots, shouldSnapshot.
void Node::snapshot_due(Instant now) {
  snapshot_at_ = now + random_timeout(snapshot_draw_, config_.snapshot_interval);
  if (snapshot_op_ != 0 || last_log_.index < last_snapshot_.index) return;
  if (last_log_.index - last_snapshot_.index < config_.snapshot_threshold) return;
  begin_snapshot(now, 0);
}

// snapshot.go takeSnapshot; beside the main thread.
void Node::begin_snapshot(Instant now, Token token) {
  const auto fail = [&](std::string_view error) {
    if (token == 0) log(LogLevel::kError, "failed to take snapshot", {{"error", std::string(error)}});
    finish(token, error);
  };
  const std::optional<Term> term = term_at(last_applied_);
  if (last_applied_ == 0 || last_applied_ <= last_snapshot_.index || snapshot_op_ != 0 || !term)
    return fail(kErrNothingNewToSnapshot);
  if (configurations_.committed_index > last_applied_)
    return fail("cannot take snapshot now, wait until the configuration entry at " +
                std::to_string(configurations_.committed_index) + " has been applied (have applied " +
                std::to_string(last_applied_) + ")");
  log(LogLevel::kInfo, "starting snapshot up to", {{"index", std::to_string(last_applied_)}});
  snapshot_taken_ = {last_applied_, *term};
  snapshot_token_ = token;
  snapshot_op_ = next_op();
  storage_.save_snapshot(now, snapshot_op_,
                         {last_applied_, *term, configurations_.committed, configurations_.committed_index},
                         actions_.take_snapshot());
}

// It is durable: only now the log may be cut.
void Node::snapshot_saved(Instant now, std::string_view error) {
  snapshot_op_ = 0;
  const Token token = std::exchange(snapshot_token_, 0);
  if (!error.empty()) {
    log(LogLevel::kError, "failed to take snapshot", {{"error", std::string(error)}});
    return finish(token, "failed to close snapshot: " + std::string(error));
  }
  if (snapshot_taken_.index > last_snapshot_.index) last_snapshot_ = snapshot_taken_;
  compact(now, next_op(), snapshot_taken_.index);
  log(LogLevel::kInfo, "snapshot complete up to", {{"index", std::to_string(snapshot_taken_.index)}});
  note(NoticeKind::kSnapshotTaken, snapshot_taken_.index);
  finish(token, "", snapshot_taken_);
}

// snapshot.go compactLogs. False if nothing is to be cut.
bool Node::compact(Instant now, StoreOp op, Index snapshot) {
  const Index first = storage_.first_index();
  if (first == 0 || last_log_.index <= config_.trailing_logs) return false;
  const Index to = std::min({snapshot, last_log_.index - config_.trailing_logs, last_log_.index});
  if (first > to) {
    log(LogLevel::kInfo, "no logs to truncate");
    return false;
  }
  log(LogLevel::kInfo, "compacting logs", {{"from", std::to_string(first)}, {"to", std::to_string(to)}});
  storage_.remove(now, op, first, to);
  if (to == last_log_.index) last_log_ = {};
  return true;
}

// --- InstallSnapshot (raft.go installSnapshot)
// ------------------------------------------------------------------------

void Node::handle_snapshot(Instant now) {
  const Incoming& r = *current_;
  if (r.snapshot_version < 0 || r.snapshot_version > 1)
    return install_done(now, false, "unsupported snapshot version " + std::to_string(r.snapshot_version));
  if (r.term < term_) {
    log(LogLevel::kInfo, "ignoring installSnapshot request with older term than current term",
        {{"request-term", std::to_string(r.term)}, {"current-term", std::to_string(term_)}});
    return install_done(now, false, "");
  }
  if (r.term > term_ || role_ != Role::kFollower) {
    become(Role::kFollower);
    if (r.term > term_) return save_term(now, r.term, Step::kRequestTerm);
  }
  install_snapshot(now);
}

void Node::install_snapshot(Instant now) {
  const Incoming& r = *current_;
  set_leader(r.peer_address, r.peer_id);
  if (r.snapshot_size < 0 || r.state.size() != static_cast<std::size_t>(r.snapshot_size)) {
    log(LogLevel::kError, "failed to receive whole snapshot",
        {{"received", std::to_string(r.state.size()) + " / " + std::to_string(r.snapshot_size)}});
    return install_done(now, false, "short read");
  }
  SnapshotMeta meta{r.position.index, r.position.term, {}, r.configuration_index};
  if (!wire::decode(r.configuration, meta.configuration)) {
    log(LogLevel::kError, "failed to create snapshot to install", {{"error", "failed to decode configuration"}});
    return install_done(now, false, "failed to decode configuration");
  }
  // What is applied already must not be taken back; a late copy of an old request would do that.
  if (meta.index <= last_applied_) return install_done(now, true, "");
  const StoreOp op = next_op();
  wait_for(now, op, Step::kInstallSave);
  storage_.save_snapshot(now, op, meta, r.state);
}

// It is durable here: the state machine takes it, then the log is cut.
void Node::snapshot_stored(Instant now) {
  const Incoming& r = *current_;
  SnapshotMeta meta{r.position.index, r.position.term, {}, r.configuration_index};
  static_cast<void>(wire::decode(r.configuration, meta.configuration));
  log(LogLevel::kInfo, "copied to local snapshot", {{"bytes", std::to_string(r.state.size())}});
  if (!actions_.restore(meta, r.state)) {
    log(LogLevel::kError, "failed to restore snapshot", {{"error", "the state cannot be read"}});
    return install_done(now, false, "the state cannot be read");
  }
  const bool continues = !config_.monotonic_log && term_at(meta.index) == meta.term && meta.index < last_log_.index;
  last_applied_ = meta.index;
  commit_index_ = std::max(commit_index_, meta.index);
  last_snapshot_ = {meta.index, meta.term};
  if (!continues) {
    configurations_ = {meta.configuration, meta.configuration_index, meta.configuration, meta.configuration_index};
    note(NoticeKind::kConfiguration, meta.configuration_index);
  } else {
    configurations_.committed = meta.configuration;
    configurations_.committed_index = meta.configuration_index;
    if (configurations_.latest_index <= meta.index)
      set_latest(configurations_.committed, configurations_.committed_index);
  }
  const StoreOp op = next_op();
  bool cut = false;
  if (continues) {
    cut = compact(now, op, meta.index);
  } else if (storage_.last_index() != 0) {  // what is left does not join on, or its segments are numbered
    log(LogLevel::kInfo, "removing all old logs from log store");
    storage_.remove(now, op, storage_.first_index(), storage_.last_index());
    last_log_ = {};
    cut = true;
  }
  if (!cut) return install_done(now, true, "");
  wait_for(now, op, Step::kInstallRemove);
}

void Node::install_done(Instant now, bool success, std::string_view error) {
  if (success) {
    log(LogLevel::kInfo, "Installed remote snapshot");
    note(NoticeKind::kSnapshotInstalled, current_->position.index);
    contacted(now);
  }
  wire::InstallSnapshotResponse response;  // the header stays empty, as hashicorp/raft sends it
  response.term = term_;
  response.success = success;
  const RequestId id = current_->id;
  request_done();
  actions_.respond(id, response, error);
}

// --- Restore by an operator (raft.go restoreUserSnapshot)
// -------------------------------------------------------------

void Node::restore(Instant now, Token token, const SnapshotMeta& meta, const Bytes& state) {
  if (!running_) return finish(token, kErrShutdown);
  run(now);
  if (role_ != Role::kLeader) return finish(token, running_ ? kErrNotLeader : kErrShutdown);
  if (transfer_.active) return finish(token, kErrTransferInProgress);
  restores_.push({token, meta, state});
  run(now);
}

// The snapshot takes an index past everything, which leaves a hole in the log: every follower has to be sent it.
void Node::begin_restore(Instant now) {
  restoring_ = restores_.pop();
  Restore& r = restoring_;
  if (transfer_.active) return finish(r.token, kErrTransferInProgress);
  if (configurations_.committed_index != configurations_.latest_index) {
    const std::string error = "cannot restore snapshot now, wait until the configuration entry at " +
                              std::to_string(configurations_.latest_index) + " has been applied (have applied " +
                              std::to_string(configurations_.committed_index) + ")";
    return finish(r.token, error);
  }
  while (!in_flight_.empty()) finish(in_flight_.pop().token, kErrAbortedByRestore);
  r.meta.index = std::max(r.meta.index, last_entry().index) + 1;
  r.meta.term = term_;
  r.meta.configuration = configurations_.latest;
  r.meta.configuration_index = configurations_.latest_index;
  const StoreOp op = next_op();
  wait_for(now, op, Step::kRestoreSave);
  storage_.save_snapshot(now, op, r.meta, r.state);
}

void Node::restore_saved(Instant now) {
  const Restore& r = restoring_;
  log(LogLevel::kInfo, "copied to local snapshot", {{"bytes", std::to_string(r.state.size())}});
  if (!actions_.restore(r.meta, r.state)) return panic("failed to restore snapshot: the state cannot be read");
  last_applied_ = r.meta.index;
  commit_index_ = std::max(commit_index_, r.meta.index);
  last_snapshot_ = {r.meta.index, r.meta.term};
  last_log_ = {};
  if (storage_.last_index() == 0) return restore_done();
  const StoreOp op = next_op();
  wait_for(now, op, Step::kRestoreRemove);
  log(LogLevel::kInfo, "removing all old logs from log store");
  storage_.remove(now, op, storage_.first_index(), storage_.last_index());
}

void Node::restore_done() {
  const Restore done = std::exchange(restoring_, {});
  log(LogLevel::kInfo, "restored user snapshot", {{"index", std::to_string(done.meta.index)}});
  for (auto& p : peers_) p->triggered = true;
  finish(done.token, "", {done.meta.index, done.meta.term});
}

}  // namespace dcsim::raft
