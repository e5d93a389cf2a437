#include <algorithm>

#include "raft/node.h"

namespace dcsim::raft {

const LogEntry* Node::entry_at(Index index) const {
  const auto found = storage_.entries(index, 1);
  return found.empty() ? nullptr : &found.front();
}

// The term of an entry that is in the durable log or is the snapshot's last.
std::optional<Term> Node::term_at(Index index) const {
  if (index == 0) return Term{0};
  if (index == last_snapshot_.index) return last_snapshot_.term;
  if (index == last_log_.index) return last_log_.term;
  if (index > last_log_.index) return std::nullopt;
  const LogEntry* entry = entry_at(index);
  return entry != nullptr ? std::optional(entry->term) : std::nullopt;
}

// raft.go appendEntries.
void Node::handle_append(Instant now) {
  const Incoming& r = *current_;
  if (r.term < term_) return append_done(now, false, false);
  if (r.term > term_ || (role_ != Role::kFollower && !candidate_from_transfer_)) {
    become(Role::kFollower);
    if (r.term > term_) return save_term(now, r.term, Step::kRequestTerm);
  }
  append_checked(now);
}

// The request's term is ours and durable.
void Node::append_checked(Instant now) {
  const Incoming& r = *current_;
  set_leader(r.peer_address, r.peer_id);
  if (!well_formed(r)) {
    log(LogLevel::kWarn, "failed to append entry", {{"error", "entries out of order"}});
    return append_done(now, false, false);
  }
  if (!previous_matches()) return append_done(now, false, true);
  if (take_entries(now)) return;
  append_done(now, true, false);
}

bool Node::well_formed(const Incoming& r) const {
  Index index = r.position.index;
  Term term = r.position.term;
  for (const LogEntry& entry : r.entries) {
    if (entry.index != ++index || entry.term < term || entry.term > r.term) return false;
    term = entry.term;
  }
  return true;
}

bool Node::previous_matches() {
  const LogPosition previous = current_->position;
  // What a snapshot covers is committed, so every leader has it.
  if (previous.index < last_snapshot_.index) return true;
  const std::optional<Term> ours = term_at(previous.index);
  if (!ours) {
    log(LogLevel::kWarn, "failed to get previous log",
        {{"previous-index", std::to_string(previous.index)},
         {"last-index", std::to_string(last_entry().index)},
         {"error", "log not found"}});
    return false;
  }
  if (*ours != previous.term && !mutated(Mutation::kSkipsPreviousCheck)) {
    log(LogLevel::kWarn, "previous log term mis-match",
        {{"ours", std::to_string(*ours)}, {"remote", std::to_string(previous.term)}});
    return false;
  }
  return true;
}

// Skips what is there, removes what conflicts, appends the rest. True if the disk is asked (or the request refused).
bool Node::take_entries(Instant now) {
  Incoming& r = *current_;
  for (take_from_ = 0; take_from_ < r.entries.size(); ++take_from_) {
    const LogEntry& entry = r.entries[take_from_];
    if (entry.index <= last_snapshot_.index) continue;
    if (entry.index > last_log_.index) break;
    const std::optional<Term> ours = term_at(entry.index);
    if (!ours) {
      log(LogLevel::kWarn, "failed to get log entry",
          {{"index", std::to_string(entry.index)}, {"error", "log not found"}});
      append_done(now, false, false);
      return true;
    }
    if (*ours == entry.term) continue;
    if (entry.index <= commit_index_ || entry.index <= last_applied_) {  // no leader sends this
      log(LogLevel::kError, "failed to clear log suffix", {{"error", "it is committed"}});
      append_done(now, false, false);
      return true;
    }
    log(LogLevel::kWarn, "clearing log suffix",
        {{"from", std::to_string(entry.index)}, {"to", std::to_string(last_log_.index)}});
    if (entry.index <= configurations_.latest_index)
      set_latest(configurations_.committed, configurations_.committed_index);
    const Index from = entry.index;
    const Index to = last_log_.index;
    last_log_ = {from - 1, term_at(from - 1).value_or(0)};
    note(NoticeKind::kTruncated, from);
    const StoreOp op = next_op();
    wait_for(now, op, Step::kTruncate);
    storage_.remove(now, op, from, to);
    return true;
  }
  if (take_from_ == r.entries.size()) return false;
  append_entries(now);
  return true;
}

void Node::append_entries(Instant now) {
  const std::span<const LogEntry> fresh = std::span<const LogEntry>(current_->entries).subspan(take_from_);
  const StoreOp op = next_op();
  if (mutated(Mutation::kAcksBeforeSync)) {
    storage_.append(now, op, fresh);
    return entries_stored(now);
  }
  wait_for(now, op, Step::kFollowerAppend);
  storage_.append(now, op, fresh);
}

void Node::entries_stored(Instant now) {
  const std::span<const LogEntry> fresh = std::span<const LogEntry>(current_->entries).subspan(take_from_);
  last_log_ = {fresh.back().index, fresh.back().term};
  if (!take_configurations(fresh)) {
    log(LogLevel::kWarn, "failed to append entry", {{"error", "failed to decode configuration"}});
    return append_done(now, false, false, "failed to decode configuration");
  }
  append_done(now, true, false);
}

// A configuration is in force once its entry is in the log; the one before it is known to be committed then.
// False: one cannot be read.
bool Node::take_configurations(std::span<const LogEntry> entries) {
  for (const LogEntry& entry : entries) {
    if (entry.type != LogType::kConfiguration) continue;
    Configuration configuration;
    if (!wire::decode(entry.data, configuration)) return false;
    configurations_.committed = configurations_.latest;
    configurations_.committed_index = configurations_.latest_index;
    set_latest(std::move(configuration), entry.index);
  }
  return true;
}

void Node::append_done(Instant now, bool success, bool no_retry_backoff, std::string_view error) {
  const Incoming& r = *current_;
  if (success) {
    // The request vouches for the log up to its last entry, not for what this server may have beyond it (paper, figure
    // 2; hashicorp/raft takes its own last index).
    const Index vouched = r.position.index + r.entries.size();
    const Index commit = std::min(r.commit, std::min(vouched, last_entry().index));
    if (commit > commit_index_) {
      commit_index_ = commit;
      commit_configuration(commit);
      apply_to(now, commit);
    }
    contacted(now);
  }
  wire::AppendEntriesResponse response;
  response.header = header();
  response.term = term_;
  response.last_log = last_entry().index;
  response.success = success;
  response.no_retry_backoff = no_retry_backoff;
  const RequestId id = r.id;
  request_done();
  if (running_) actions_.respond(id, response, error);
}

}  // namespace dcsim::raft
