#include "raft/node.h"

#include <algorithm>

#include "base/check.h"

namespace dcsim::raft {

Node::Node(Config config, Storage& storage, Actions& actions, std::uint64_t seed, std::string_view entity)
    : config_(std::move(config)),
      storage_(storage),
      actions_(actions),
      seed_(seed),
      entity_(entity),
      follower_draw_(seed, entity, "raft-heartbeat-timeout"),
      election_draw_(seed, entity, "raft-election-timeout"),
      snapshot_draw_(seed, entity, "raft-snapshot") {
  const auto problem = config_.problem();
  DCSIM_CHECK_MSG(!problem, problem ? problem->text : "");
}

Node::~Node() = default;

// --- Life
// -------------------------------------------------------------------------------------------------------------

// What storage holds (api.go NewRaft).
void Node::load(Instant now) {
  record_ = storage_.record();
  term_ = record_.current_term;
  if (mutated(Mutation::kForgetsVote)) record_.vote_term = 0;
  configurations_ = {config_.initial, 0, config_.initial, 0};
  if (const SnapshotMeta* meta = storage_.snapshot()) {
    const SnapshotMeta newest = *meta;
    if (!actions_.restore(newest, storage_.snapshot_state())) return panic("failed to load any existing snapshots");
    last_snapshot_ = {newest.index, newest.term};
    last_applied_ = newest.index;
    configurations_ = {newest.configuration, newest.configuration_index, newest.configuration,
                       newest.configuration_index};
    // A crash came between the snapshot and the cut of a log that does not join on to it.
    const LogEntry* there = entry_at(newest.index);
    if (storage_.last_index() != 0 &&
        (storage_.last_index() < newest.index || (there != nullptr && there->term != newest.term)))
      storage_.remove(now, next_op(), storage_.first_index(), storage_.last_index());
  }
  for (Index i = std::max(storage_.first_index(), last_snapshot_.index + 1); i <= storage_.last_index();) {
    const auto entries = storage_.entries(i, 1024);
    if (entries.empty()) return panic("failed to get log at index " + std::to_string(i));
    if (!take_configurations(entries)) return panic("failed to decode configuration");
    i += entries.size();
  }
  if (const Index last = storage_.last_index()) {
    const LogEntry* entry = entry_at(last);
    if (entry == nullptr) return panic("failed to get last log at index " + std::to_string(last));
    last_log_ = {entry->index, entry->term};
  }
}

void Node::start(Instant now) {
  DCSIM_CHECK(!running_ && played_ == Role::kShutdown);
  running_ = true;
  load(now);
  if (!running_) return;
  log(LogLevel::kInfo, "initial configuration",
      {{"index", std::to_string(configurations_.latest_index)}, {"servers", text_of(configurations_.latest)}});
  snapshot_at_ = now + random_timeout(snapshot_draw_, config_.snapshot_interval);
  if (term_ > 0) save_record(now, Step::kStartTerm);
  run(now);
}

void Node::shutdown(Instant now) {
  if (!running_) return;
  running_ = false;
  refuse_operations(kErrShutdown);
  while (!in_flight_.empty()) finish(in_flight_.pop().token, kErrShutdown);
  while (!verifies_.empty()) finish(verifies_.pop().token, kErrShutdown);
  end_transfer(kErrShutdown);
  finish(snapshot_token_, kErrShutdown);
  finish(bootstrap_token_, kErrShutdown);
  finish(restoring_.token, kErrShutdown);
  const bool led = played_ == Role::kLeader;
  peers_.clear();
  role_ = played_ = Role::kShutdown;
  set_leader("", "");
  busy_ = {};
  snapshot_op_ = 0;
  note(NoticeKind::kRole);
  if (led) actions_.leadership(false);
  static_cast<void>(now);
}

void Node::panic(std::string_view reason) {
  log(LogLevel::kError, "panic", {{"error", std::string(reason)}});
  shutdown({});
  actions_.panic(reason);
}

bool Node::reload(Instant now, const ReloadableConfig& values) {
  Config next = config_;
  next.trailing_logs = values.trailing_logs;
  next.snapshot_interval = values.snapshot_interval;
  next.snapshot_threshold = values.snapshot_threshold;
  next.heartbeat_timeout = values.heartbeat_timeout;
  next.election_timeout = values.election_timeout;
  if (next.problem()) return false;
  const bool shorter = next.heartbeat_timeout < config_.heartbeat_timeout;
  const bool other_election = next.election_timeout != config_.election_timeout;
  config_ = std::move(next);
  if (!running_ || !shorter) return true;
  if (role_ == Role::kFollower) role_timer_ = now;
  if (role_ == Role::kCandidate && other_election)
    role_timer_ = now + random_timeout(election_draw_, config_.election_timeout);
  for (auto& p : peers_) p->heartbeat_wanted = true;
  run(now);
  return true;
}

// --- The main loop
// ----------------------------------------------------------------------------------------------------

void Node::on_deadline(Instant now) { run(now); }

void Node::run(Instant now) {
  if (!running_) return;
  do {
    settle_role(now);
    peers_due(now);
    expire_operations(now);
    transfer_due(now);
    check_stall(now);
    settle_role(now);
  } while (running_ && work(now));
  if (running_ && now >= snapshot_at_) snapshot_due(now);
}

// One piece of the main thread's work; false if there is none or it waits for the disk.
bool Node::work(Instant now) {
  if (busy_.op != 0) return false;
  if (!step_down_.empty()) {
    step_down(step_down_);
    return true;
  }
  if (commit_pending_) {
    process_commit(now);
    return true;
  }
  return due_first(now) || (role_ == Role::kLeader && lead_operations(now));
}

// Requests, votes and the role's timer, whichever came first.
bool Node::due_first(Instant now) {
  const Instant request = incoming_.empty() ? Instant::never() : incoming_.front()->at;
  const Instant vote = votes_.empty() ? Instant::never() : votes_.front().at;
  if (role_timer_ <= now && role_timer_ <= request && role_timer_ <= vote) {
    switch (role_) {
      case Role::kFollower:
        follower_timer(now);
        break;
      case Role::kCandidate:
        election_timer(now);
        break;
      case Role::kLeader:
        lease_timer(now);
        break;
      case Role::kShutdown:
        break;
    }
    return true;
  }
  if (!incoming_.empty() && request <= vote) {
    current_ = incoming_.pop();
    handle(now);
    return true;
  }
  if (votes_.empty()) return false;
  count_vote(now);
  return true;
}

Instant Node::next_deadline() const {
  if (!running_) return Instant::never();
  Instant next = std::min(snapshot_at_, applies_until_);
  if (busy_.op == 0) next = std::min(next, role_timer_);
  if (busy_.op != 0 && busy_.step == Step::kLeaderAppend && role_ == Role::kLeader && config_.disk_stall_limit.ns > 0)
    next = std::min(next, busy_.since + config_.disk_stall_limit);
  if (transfer_.active) next = std::min(next, transfer_.until);
  for (const auto& p : peers_) next = std::min(next, peer_deadline(*p));
  return next;
}

// --- Roles
// ------------------------------------------------------------------------------------------------------------

// setState: every change of state forgets the leader; set it again afterwards where it is known.
void Node::become(Role role) {
  set_leader("", "");
  role_ = role;
}

void Node::settle_role(Instant now) {
  while (running_ && (role_ != played_ || (again_ && busy_.op == 0))) {
    again_ = false;
    const Role left = played_;
    played_ = role_;
    if (left != Role::kShutdown) leave(now, left);
    note(NoticeKind::kRole);
    enter(now, played_);
  }
}

void Node::leave(Instant now, Role role) {
  if (role == Role::kLeader) leave_leader(now);
  if (role == Role::kCandidate) {
    candidate_from_transfer_ = false;
    ballots_.clear();
  }
}

void Node::enter(Instant now, Role role) {
  switch (role) {
    case Role::kFollower:
      log(LogLevel::kInfo, "entering follower state",
          {{"follower", text()}, {"leader-address", leader_address_}, {"leader-id", leader_id_}});
      warned_ = false;
      role_timer_ = now + random_timeout(follower_draw_, config_.heartbeat_timeout);
      break;
    case Role::kCandidate:
      enter_candidate(now);
      break;
    case Role::kLeader:
      enter_leader(now);
      break;
    case Role::kShutdown:
      break;
  }
}

void Node::set_leader(std::string_view address, std::string_view id) {
  if (leader_address_ == address && leader_id_ == id) return;
  leader_address_ = address;
  leader_id_ = id;
  note(NoticeKind::kLeader, 0, leader_id_);
}

// --- Disk
// -------------------------------------------------------------------------------------------------------------

void Node::wait_for(Instant now, StoreOp op, Step step) {
  DCSIM_CHECK(busy_.op == 0);
  busy_ = {op, step, now};
}

void Node::save_record(Instant now, Step step) {
  const StoreOp op = next_op();
  wait_for(now, op, step);
  storage_.save(now, op, record_);
}

void Node::save_term(Instant now, Term term, Step step) {
  if (term != term_) {
    term_ = term;
    note(NoticeKind::kTerm);
  }
  record_.current_term = term;
  save_record(now, step);
}

void Node::on_stored(Instant now, StoreOp op, std::string_view error) {
  if (!running_) return;
  run(now);
  if (!running_) return;
  if (op == snapshot_op_ && op != 0) {
    snapshot_saved(now, error);
  } else if (op == busy_.op && op != 0) {
    const Step step = busy_.step;
    busy_ = {};
    if (error.empty()) {
      stored_well(now, step);
    } else {
      stored_badly(now, step, error);
    }
  }
  run(now);
}

void Node::stored_well(Instant now, Step step) {
  switch (step) {
    case Step::kStartTerm:
    case Step::kFallbackTerm:
      return;
    case Step::kRequestTerm:
      return resume_request(now);
    case Step::kGrantVote:
      contacted(now);
      note(NoticeKind::kVoteGranted, 0, record_.vote_candidate);
      return answer_vote(true);
    case Step::kCandidateTerm:
      return elect_self(now);
    case Step::kCandidateVote:
      return ask_votes(now);
    case Step::kLeaderAppend:
      return leader_appended(now);
    case Step::kTruncate:
      return append_entries(now);
    case Step::kFollowerAppend:
      return entries_stored(now);
    case Step::kInstallSave:
      return snapshot_stored(now);
    case Step::kInstallRemove:
      return install_done(now, true, "");
    case Step::kRestoreSave:
      return restore_saved(now);
    case Step::kRestoreRemove:
      return restore_done();
    case Step::kBootstrapTerm: {
      LogEntry entry;
      entry.index = 1;
      entry.term = 1;
      entry.type = LogType::kConfiguration;
      Buffer encoded;
      wire::encode(bootstrap_, wire::RaftDialect::k1_7, encoded);
      entry.data = Bytes(encoded);
      const StoreOp op = next_op();
      wait_for(now, op, Step::kBootstrapAppend);
      return storage_.append(now, op, {&entry, 1});
    }
    case Step::kBootstrapAppend:
      last_log_ = {1, 1};
      configurations_ = {configurations_.latest, configurations_.latest_index, {}, 0};
      set_latest(bootstrap_, 1);
      return finish(std::exchange(bootstrap_token_, 0), "", {1, 1});
  }
}

void Node::stored_badly(Instant now, Step step, std::string_view error) {
  const std::string cause(error);
  switch (step) {
    case Step::kStartTerm:
    case Step::kRequestTerm:
    case Step::kFallbackTerm:
    case Step::kCandidateTerm:
    case Step::kBootstrapTerm:
      return panic("failed to save current term: " + cause);
    case Step::kGrantVote:
      record_ = storage_.record();
      log(LogLevel::kError, "failed to persist vote", {{"error", cause}});
      return answer_vote(false);
    case Step::kCandidateVote:  // the round goes on without anybody's vote, until the timer
      record_ = storage_.record();
      log(LogLevel::kError, "failed to persist vote", {{"error", cause}});
      role_timer_ = now + random_timeout(election_draw_, config_.election_timeout);
      return;
    case Step::kLeaderAppend: {
      log(LogLevel::kError, "failed to commit logs", {{"error", cause}});
      const std::size_t failed = std::min(batch_size_, in_flight_.size());
      const std::size_t kept = in_flight_.size() - failed;
      for (std::size_t i = 0; i < failed; ++i) {
        finish(in_flight_[kept].token, error);
        in_flight_.erase(kept);
      }
      if (role_ == Role::kLeader) step_down("failed to commit logs");
      return;
    }
    case Step::kTruncate:
      log(LogLevel::kError, "failed to clear log suffix", {{"error", cause}});
      return append_done(now, false, false);
    case Step::kFollowerAppend: {
      log(LogLevel::kError, "failed to append to logs", {{"error", cause}});
      const LogEntry* last = entry_at(storage_.last_index());
      last_log_ = last != nullptr ? LogPosition{last->index, last->term} : LogPosition{};
      return append_done(now, false, false);
    }
    case Step::kInstallSave:
      log(LogLevel::kError, "failed to finalize snapshot", {{"error", cause}});
      return install_done(now, false, error);
    case Step::kInstallRemove:
      log(LogLevel::kError, "failed to compact logs", {{"error", cause}});
      return install_done(now, true, "");
    case Step::kRestoreSave:
      return finish(std::exchange(restoring_, {}).token, "failed to close snapshot: " + cause);
    case Step::kRestoreRemove:
      log(LogLevel::kError, "failed to remove old logs", {{"error", cause}});
      return restore_done();
    case Step::kBootstrapAppend:
      return finish(std::exchange(bootstrap_token_, 0), "failed to append configuration entry to log: " + cause);
  }
}

// --- Helpers
// ----------------------------------------------------------------------------------------------------------

void Node::finish(Token token, std::string_view error, LogPosition at) {
  if (token != 0) actions_.finished(token, {error, at.index, at.term});
}

void Node::log(LogLevel level, std::string_view message, Fields fields) const {
  if (actions_.logs(level)) actions_.log(level, message, {fields.begin(), fields.size()});
}

std::string Node::text() const { return "Node at " + config_.address + " [" + std::string(name_of(played_)) + "]"; }

void Node::note(NoticeKind kind, Index index, std::string_view server, std::string_view text) {
  Notice notice;
  notice.kind = kind;
  notice.role = role_;
  notice.term = term_;
  notice.index = index;
  notice.server = server;
  notice.text = text;
  actions_.notice(notice);
}

// --- Commands that any role takes
// -------------------------------------------------------------------------------------

void Node::bootstrap(Instant now, Token token, const Configuration& configuration) {
  if (!running_) return finish(token, kErrShutdown);
  run(now);
  if (!has_vote(configuration, config_.id)) return finish(token, kErrNotVoter);
  if (const auto problem = problem_of(configuration)) return finish(token, problem->text);
  const bool fresh = term_ == 0 && storage_.last_index() == 0 && storage_.snapshot() == nullptr;
  if (role_ != Role::kFollower || busy_.op != 0 || !fresh) return finish(token, kErrCantBootstrap);
  bootstrap_token_ = token;
  bootstrap_ = configuration;
  save_term(now, 1, Step::kBootstrapTerm);
  run(now);
}

void Node::take_snapshot(Instant now, Token token) {
  if (!running_) return finish(token, kErrShutdown);
  run(now);
  if (!running_) return finish(token, kErrShutdown);
  begin_snapshot(now, token);
  run(now);
}

// --- For runners of written cases
// -------------------------------------------------------------------------------------

void Node::assume(Instant now, const Situation& s) {
  DCSIM_CHECK(!running_ && played_ == Role::kShutdown);
  running_ = true;
  load(now);
  snapshot_at_ = now + random_timeout(snapshot_draw_, config_.snapshot_interval);
  if (s.commit > 0) {
    DCSIM_CHECK(s.commit <= last_entry().index);
    commit_index_ = s.commit;
    commit_configuration(s.commit);
    if (s.commit > last_applied_) apply_to(now, s.commit);
  }
  role_ = played_ = s.role;
  switch (s.role) {
    case Role::kFollower:
    case Role::kShutdown:
      enter(now, Role::kFollower);
      break;
    case Role::kCandidate:
      ++round_;
      granted_ = has_vote(configurations_.latest, config_.id) ? 1 : 0;
      votes_needed_ = quorum_of(configurations_.latest);
      proposed_ = term_;
      role_timer_ = now + random_timeout(election_draw_, config_.election_timeout);
      break;
    case Role::kLeader:
      commitment_.reset(configurations_.latest, s.term_start);
      commitment_.match(config_.id, last_log_.index);
      start_stop_replication(now);
      for (const auto& [id, match] : s.match) {
        if (Peer* p = peer(id)) {
          p->next = match + 1;
          commitment_.match(id, match);
        }
      }
      commit_pending_ = commitment_.commit_index() > commit_index_;
      role_timer_ = config_.leader_lease ? now + config_.leader_lease_timeout : Instant::never();
      set_leader(config_.address, config_.id);
      actions_.leadership(true);
      break;
  }
  if (s.role == Role::kFollower && !s.leader.id.empty()) set_leader(s.leader.address, s.leader.id);
  run(now);
}

void Node::fire_election_timer(Instant now) {
  if (!running_ || role_ == Role::kLeader || busy_.op != 0) return;
  if (role_ == Role::kFollower) {
    campaign(now);
  } else {
    election_timer(now);
  }
  run(now);
}

void Node::forget_leader(Instant now) {
  if (!running_) return;
  set_leader("", "");
  run(now);
}

void Node::expire_transfer(Instant now) {
  if (transfer_.active) transfer_.until = now;
  run(now);
}

void Node::inject_vote_reply(Instant now, std::string_view server_id, Term term, bool granted, bool pre_vote) {
  if (!running_) return;
  std::erase_if(ballots_, [&](const Ballot& b) { return b.server.id == server_id && b.pre_vote == pre_vote; });
  votes_.push({now, pre_vote, round_, term, granted, std::string(server_id)});
  run(now);
}

void Node::inject_append_reply(Instant now, std::string_view server_id, Index last,
                               const wire::AppendEntriesResponse& response) {
  if (!running_ || role_ != Role::kLeader) return;
  if (Peer* p = peer(server_id)) {
    if (p->mode == Peer::Mode::kPipeline) leave_pipeline(now, *p);
    p->mode = Peer::Mode::kWaiting;
    p->request = 0;
    p->request_last = last;
    round_answered(now, *p, response);
  }
  run(now);
}

}  // namespace dcsim::raft
