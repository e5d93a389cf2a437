#include <algorithm>
#include <type_traits>

#include "raft/node.h"

namespace dcsim::raft {
namespace {

constexpr Duration kMinCheckInterval{10'000'000};  // raft.go minCheckInterval

}  // namespace

void Node::enter_leader(Instant now) {
  log(LogLevel::kInfo, "entering leader state", {{"leader", text()}});
  actions_.leadership(true);
  commitment_.reset(configurations_.latest, mutated(Mutation::kCommitsOldTerms) ? 0 : last_entry().index + 1);
  leave_after_commit_ = false;
  commit_pending_ = false;
  step_down_ = {};
  start_stop_replication(now);
  batch_.clear();
  batch_.emplace_back().type = LogType::kNoop;
  in_flight_.push({last_entry().index + 1, 0});
  dispatch(now, false);
  role_timer_ = config_.leader_lease ? now + config_.leader_lease_timeout : Instant::never();
}

// raft.go runLeader, what it defers.
void Node::leave_leader(Instant now) {
  contacted(now);
  for (auto& p : peers_) {
    if (p->mode == Peer::Mode::kPipeline) actions_.close_pipeline(p->server);
  }
  peers_.clear();
  commit_pending_ = false;
  step_down_ = {};
  while (!in_flight_.empty()) finish(in_flight_.pop().token, kErrLeadershipLost);
  while (!verifies_.empty()) finish(verifies_.pop().token, kErrLeadershipLost);
  if (transfer_.active) {
    log(LogLevel::kDebug, "lost leadership during transfer (expected)");
    end_transfer("");
  }
  refuse_operations(kErrNotLeader);
  if (leader_id_ == config_.id) set_leader("", "");
  actions_.leadership(false);
}

void Node::step_down(std::string_view why) {
  step_down_ = {};
  note(NoticeKind::kSteppedDown, 0, {}, why);
  become(Role::kFollower);
}

// raft.go checkLeaderLease.
void Node::lease_timer(Instant now) {
  std::size_t contacted_servers = 0;
  Duration oldest{0};
  for (const Server& server : configurations_.latest.servers) {
    if (server.suffrage != Suffrage::kVoter) continue;
    if (server.id == config_.id) {
      ++contacted_servers;
      continue;
    }
    const Peer* p = peer(server.id);
    const Duration gap = p != nullptr ? now - p->last_contact : Duration::max();
    if (gap <= config_.leader_lease_timeout) {
      ++contacted_servers;
      oldest = std::max(oldest, gap);
    } else {
      log(gap <= config_.leader_lease_timeout * 3 ? LogLevel::kWarn : LogLevel::kDebug, "failed to contact",
          {{"server-id", server.id}, {"time", std::to_string(gap.ns) + "ns"}});
    }
  }
  role_timer_ = now + std::max(kMinCheckInterval, config_.leader_lease_timeout - oldest);
  if (contacted_servers >= quorum_of(configurations_.latest)) return;
  log(LogLevel::kWarn, "failed to contact quorum of nodes, stepping down");
  step_down("failed to contact quorum of nodes");
}

// A disk that hangs would leave a leader that heartbeats and commits nothing.
void Node::check_stall(Instant now) {
  if (role_ != Role::kLeader || busy_.op == 0 || busy_.step != Step::kLeaderAppend) return;
  if (config_.disk_stall_limit.ns <= 0 || now < busy_.since + config_.disk_stall_limit) return;
  log(LogLevel::kError, "failed to commit logs", {{"error", "the log store does not answer, stepping down"}});
  step_down("disk stall");
}

// --- Operations
// -------------------------------------------------------------------------------------------------------

void Node::apply(Instant now, Token token, Bytes data, Bytes extensions, Duration timeout) {
  if (!running_) return finish(token, kErrShutdown);
  run(now);
  if (role_ != Role::kLeader) return finish(token, running_ ? kErrNotLeader : kErrShutdown);
  const Instant until = timeout.ns > 0 ? now + timeout : Instant::never();
  applies_until_ = std::min(applies_until_, until);
  applies_.push({token, LogType::kCommand, std::move(data), std::move(extensions), until});
  run(now);
}

void Node::barrier(Instant now, Token token, Duration timeout) {
  if (!running_) return finish(token, kErrShutdown);
  run(now);
  if (role_ != Role::kLeader) return finish(token, running_ ? kErrNotLeader : kErrShutdown);
  const Instant until = timeout.ns > 0 ? now + timeout : Instant::never();
  applies_until_ = std::min(applies_until_, until);
  applies_.push({token, LogType::kBarrier, {}, {}, until});
  run(now);
}

bool Node::lead_operations(Instant now) {
  if (!restores_.empty()) {
    begin_restore(now);
    return true;
  }
  if (change_due()) {
    take_change(now);
    return true;
  }
  if (!transfers_.empty() && transfers_.front().ahead == 0) {
    const Asked asked = transfers_.pop();
    start_transfer(now, asked.token, asked.server_id);
    return true;
  }
  if (applies_.empty()) return false;
  dispatch_applies(now);
  return true;
}

// Group commit: at most MaxAppendEntries + 1 at a time.
void Node::dispatch_applies(Instant now) {
  if (transfer_.active) {
    while (!applies_.empty()) finish(applies_.pop().token, kErrTransferInProgress);
    return;
  }
  batch_.clear();
  Index index = last_entry().index;
  std::size_t most = config_.max_append_entries + std::size_t{1};
  if (!transfers_.empty()) most = std::min(most, transfers_.front().ahead);
  while (!applies_.empty() && batch_.size() < most) {
    Apply taken = applies_.pop();
    LogEntry& entry = batch_.emplace_back();
    entry.type = taken.type;
    entry.data = std::move(taken.data);
    entry.extensions = std::move(taken.extensions);
    in_flight_.push({++index, taken.token});
  }
  for (std::size_t i = 0; i < transfers_.size(); ++i)
    transfers_[i].ahead -= std::min(transfers_[i].ahead, batch_.size());
  dispatch(now, false);
}

// raft.go dispatchLogs: durable here first; `batch_` has what is new, its positions are filled in here.
// Hot: one write per batch, nothing allocated.
void Node::dispatch(Instant now, bool configuration) {
  Index index = last_entry().index;
  const wire::GoTime appended_at = wire::GoTime::from_unix(now.ns);
  for (LogEntry& entry : batch_) {
    entry.index = ++index;
    entry.term = term_;
    entry.appended_at = appended_at;
  }
  batch_end_ = {index, term_};
  batch_size_ = batch_.size();
  batch_configuration_ = configuration;
  const StoreOp op = next_op();
  if (mutated(Mutation::kAcksBeforeSync)) {
    storage_.append(now, op, batch_);
    batch_.clear();
    return leader_appended(now);
  }
  wait_for(now, op, Step::kLeaderAppend);
  storage_.append(now, op, batch_);
  batch_.clear();
}

void Node::leader_appended(Instant now) {
  last_log_ = batch_end_;
  if (batch_configuration_) {
    batch_configuration_ = false;
    configurations_.committed = configurations_.latest;
    configurations_.committed_index = configurations_.latest_index;
    set_latest(std::move(next_configuration_), batch_end_.index);
    if (role_ == Role::kLeader) {
      commitment_.set_configuration(configurations_.latest);
      start_stop_replication(now);
      commit_pending_ = commitment_.recalculate() || commit_pending_;
    }
  }
  if (role_ != Role::kLeader) return;
  if (commitment_.match(config_.id, batch_end_.index)) commit_pending_ = true;
  for (auto& p : peers_) p->triggered = true;
  peers_due(now);
}

// raft.go leaderLoop, case commitCh.
void Node::process_commit(Instant now) {
  commit_pending_ = false;
  if (role_ != Role::kLeader) return;
  const Index before = commit_index_;
  const Index commit = commitment_.commit_index();
  if (commit <= before) return;
  commit_index_ = commit;
  if (configurations_.latest_index > before && configurations_.latest_index <= commit) {
    commit_configuration(commit);
    if (!has_vote(configurations_.committed, config_.id)) leave_after_commit_ = true;
  }
  apply_to(now, commit);
  if (!running_ || !leave_after_commit_) return;
  if (config_.shutdown_on_remove) {
    log(LogLevel::kInfo, "removed ourself, shutting down");
    return shutdown(now);
  }
  log(LogLevel::kInfo, "removed ourself, transitioning to follower");
  step_down("removed ourself");
}

// raft.go processLogs: to the state machine in batches, noops left out; then the answers.
void Node::apply_to(Instant now, Index index) {
  while (last_applied_ < index) {
    const auto batch =
        storage_.entries(last_applied_ + 1, std::min<Index>(config_.max_append_entries, index - last_applied_));
    if (batch.empty()) return panic("failed to get log at index " + std::to_string(last_applied_ + 1));
    for (std::size_t from = 0; from < batch.size();) {
      std::size_t to = from;
      while (to < batch.size() && batch[to].type != LogType::kNoop) ++to;
      if (to > from) actions_.apply(batch.subspan(from, to - from));
      from = to + 1;
    }
    last_applied_ = batch.back().index;
    answer_applied(last_applied_);
  }
  static_cast<void>(now);
}

void Node::answer_applied(Index index) {
  while (!in_flight_.empty() && in_flight_.front().index <= index) {
    const InFlight done = in_flight_.pop();
    finish(done.token, "", {done.index, term_});
  }
}

void Node::refuse_operations(std::string_view error) {
  while (!applies_.empty()) finish(applies_.pop().token, error);
  while (!changes_.empty()) finish(changes_.pop().token, error);
  while (!restores_.empty()) finish(restores_.pop().token, error);
  while (!transfers_.empty()) finish(transfers_.pop().token, error);
  applies_until_ = Instant::never();
}

// What waited too long to be taken up.
void Node::expire_operations(Instant now) {
  if (now < applies_until_) return;
  applies_until_ = Instant::never();
  const auto expire = [&](auto& queue) {
    for (std::size_t i = 0; i < queue.size();) {
      if (queue[i].until > now) {
        applies_until_ = std::min(applies_until_, queue[i].until);
        ++i;
        continue;
      }
      const Token token = queue[i].token;
      queue.erase(i);
      if constexpr (std::is_same_v<std::decay_t<decltype(queue)>, Fifo<Apply>>) {
        for (std::size_t k = 0; k < transfers_.size(); ++k) transfers_[k].ahead -= i < transfers_[k].ahead ? 1 : 0;
      }
      finish(token, kErrEnqueueTimeout);
    }
  };
  expire(applies_);
  expire(changes_);
}

// --- Leadership checks
// ------------------------------------------------------------------------------------------------

void Node::verify_leader(Instant now, Token token) {
  if (!running_) return finish(token, kErrShutdown);
  run(now);
  if (role_ != Role::kLeader) return finish(token, running_ ? kErrNotLeader : kErrShutdown);
  verifies_.push({token, last_rpc_ + 1});
  for (auto& p : peers_) p->heartbeat_wanted = !p->stopping;
  check_verifies(now);
  run(now);
}

void Node::check_verifies(Instant) {
  const std::size_t quorum = quorum_of(configurations_.latest);
  while (!verifies_.empty()) {
    std::size_t votes = 0;
    for (const Server& server : configurations_.latest.servers) {
      if (server.suffrage != Suffrage::kVoter) continue;
      const Peer* p = server.id == config_.id ? nullptr : peer(server.id);
      if (server.id == config_.id || (p != nullptr && p->verified >= verifies_.front().since)) ++votes;
    }
    if (votes < quorum) return;
    finish(verifies_.pop().token, "");
  }
}

// A peer answered a request of this term.
void Node::verified(Instant now, Peer& p, RpcId id, bool success) {
  if (success) {
    p.last_success = now;
    p.verified = std::max(p.verified, id);
    return check_verifies(now);
  }
  if (verifies_.empty()) return;
  log(LogLevel::kWarn, "new leader elected, stepping down");
  finish(verifies_.pop().token, kErrNotLeader);
  step_down_ = "new leader elected";
}

Instant Node::quorum_contact() const {
  std::vector<Instant> contacts;
  for (const Server& server : configurations_.latest.servers) {
    if (server.suffrage != Suffrage::kVoter) continue;
    const Peer* p = server.id == config_.id ? nullptr : peer(server.id);
    contacts.push_back(p != nullptr ? p->last_success : server.id == config_.id ? Instant::never() : Instant{});
  }
  if (contacts.empty()) return {};
  std::sort(contacts.begin(), contacts.end(), [](Instant a, Instant b) { return a > b; });
  return contacts[contacts.size() / 2];
}

}  // namespace dcsim::raft
