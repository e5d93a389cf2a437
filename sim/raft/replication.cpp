#include <algorithm>

#include "raft/node.h"

namespace dcsim::raft {

// util.go backoff with base failureWait = 10 ms and limit maxFailureScale = 12.
Duration backoff(std::uint32_t failures) {
  const std::uint32_t power = std::min(failures, 12u);
  return power > 2 ? 10_ms * (std::int64_t{1} << (power - 2)) : 10_ms;
}

Peer* Node::peer(std::string_view id) const {
  for (const auto& p : peers_) {
    if (p->server.id == id && !p->stopping) return p.get();
  }
  return nullptr;
}

Index Node::next_index(std::string_view server_id) const {
  const Peer* p = peer(server_id);
  return p != nullptr ? p->next : 0;
}

std::optional<Instant> Node::peer_contact(std::string_view server_id) const {
  const Peer* p = peer(server_id);
  return p != nullptr ? std::optional(p->last_contact) : std::nullopt;
}

// raft.go startStopReplication.
void Node::start_stop_replication(Instant now) {
  for (const Server& server : configurations_.latest.servers) {
    if (server.id == config_.id) continue;
    if (Peer* p = peer(server.id)) {
      if (p->server.address != server.address) log(LogLevel::kInfo, "updating peer", {{"peer", server.id}});
      p->server = server;
      continue;
    }
    log(LogLevel::kInfo, "added peer, starting replication", {{"peer", server.id}});
    auto p = std::make_unique<Peer>();
    p->server = server;
    p->heartbeat_draw = Rng(seed_, entity_, "raft-heartbeat/" + server.id + "/" + std::to_string(term_));
    p->tick_draw = Rng(seed_, entity_, "raft-replication/" + server.id + "/" + std::to_string(term_));
    p->last_contact = now;
    p->next = last_entry().index + 1;
    p->heartbeat_at = now + random_timeout(p->heartbeat_draw, config_.heartbeat_timeout / 10);
    p->wake = now + random_timeout(p->tick_draw, config_.commit_timeout);
    p->triggered = true;
    peers_.push_back(std::move(p));
  }
  for (auto& p : peers_) {
    if (!p->stopping && !in_configuration(configurations_.latest, p->server.id)) stop_peer(now, *p);
  }
  drop_stopped();
}

// One more attempt up to the present end of the log, so that it may learn of its removal.
void Node::stop_peer(Instant now, Peer& p) {
  log(LogLevel::kInfo, "removed peer, stopping replication",
      {{"peer", p.server.id}, {"last-index", std::to_string(last_entry().index)}});
  p.stopping = true;
  p.heartbeat = 0;
  p.heartbeat_wanted = false;
  if (p.mode == Peer::Mode::kPipeline) leave_pipeline(now, p);
  if (p.mode != Peer::Mode::kIdle) return;
  p.target = last_log_.index;
  p.failures = 0;
  send_round(now, p);
}

void Node::drop_stopped() {
  std::erase_if(peers_, [](const auto& p) { return p->stopping && p->mode == Peer::Mode::kIdle; });
}

Instant Node::peer_deadline(const Peer& p) const {
  Instant next = p.stopping || p.heartbeat != 0 ? Instant::never() : p.heartbeat_at;
  switch (p.mode) {
    case Peer::Mode::kIdle:
    case Peer::Mode::kBackoff:
      next = std::min(next, p.wake);
      break;
    case Peer::Mode::kPipeline:
      if (p.pipeline.size() < config_.max_rpcs_in_flight) next = std::min(next, p.wake);
      break;
    case Peer::Mode::kWaiting:
      break;
  }
  return next;
}

// Hot: a few comparisons per peer.
void Node::peers_due(Instant now) {
  if (role_ != Role::kLeader || played_ != Role::kLeader) return;
  for (const auto& p : peers_) {
    heartbeat_due(now, *p);
    replication_due(now, *p);
  }
  drop_stopped();
  if (transfer_.active) advance_transfer(now);
}

// --- Heartbeats (replication.go heartbeat)
// ----------------------------------------------------------------------------

void Node::heartbeat_due(Instant now, Peer& p) {
  if (p.stopping || p.heartbeat != 0) return;
  if (p.heartbeat_backing_off) {
    if (now < p.heartbeat_at) return;
    p.heartbeat_backing_off = false;
    p.heartbeat_at = now + random_timeout(p.heartbeat_draw, config_.heartbeat_timeout / 10);
  }
  if (now >= p.heartbeat_at || p.heartbeat_wanted) send_heartbeat(p);
}

void Node::send_heartbeat(Peer& p) {
  p.heartbeat_wanted = false;
  p.heartbeat = ++last_rpc_;
  wire::AppendEntriesRequest request;
  request.header = header();
  request.term = term_;
  request.leader = config_.address;
  request.entries_nil = true;
  actions_.send(p.heartbeat, p.server, Channel::kHeartbeat, request);
}

void Node::heartbeat_answered(Instant now, Peer& p, const wire::AppendEntriesResponse& response) {
  const RpcId id = std::exchange(p.heartbeat, 0);
  if (p.heartbeat_failures > 0) note(NoticeKind::kContactResumed, 0, p.server.id);
  p.heartbeat_failures = 0;
  p.last_contact = now;
  p.heartbeat_at = now + random_timeout(p.heartbeat_draw, config_.heartbeat_timeout / 10);
  verified(now, p, id, response.success);
}

void Node::heartbeat_failed(Instant now, Peer& p, std::string_view error) {
  p.heartbeat = 0;
  const Duration wait = std::min(backoff(p.heartbeat_failures), config_.heartbeat_timeout / 2);
  log(LogLevel::kError, "failed to heartbeat to",
      {{"peer", p.server.address},
       {"backoff time", std::to_string(wait.ns / 1'000'000) + "ms"},
       {"error", std::string(error)}});
  if (p.heartbeat_failures++ == 0) note(NoticeKind::kContactFailed, 0, p.server.id, error);
  p.heartbeat_backing_off = true;
  p.heartbeat_at = now + wait;
}

// --- Request and response in turn (replication.go replicate, replicateTo)
// ---------------------------------------------

void Node::replication_due(Instant now, Peer& p) {
  switch (p.mode) {
    case Peer::Mode::kIdle:
      if (now >= p.wake || p.triggered) begin_round(now, p);
      break;
    case Peer::Mode::kBackoff:
      if (now >= p.wake) send_round(now, p);
      break;
    case Peer::Mode::kPipeline:
      if (p.pipeline.size() < config_.max_rpcs_in_flight && (now >= p.wake || p.triggered)) pipeline_send(now, p);
      break;
    case Peer::Mode::kWaiting:
      break;
  }
}

void Node::begin_round(Instant now, Peer& p) {
  p.triggered = false;
  p.target = last_log_.index;
  if (p.failures == 0) return send_round(now, p);
  p.mode = Peer::Mode::kBackoff;
  p.wake = now + backoff(p.failures);
}

// Fills in what goes to a peer whose next entry is `next`. False: the log no longer reaches back so far.
// Hot: the entries are the log's own.
bool Node::make_append(const Peer&, Index next, Index target, wire::AppendEntriesRequest& request) const {
  request.header = header();
  request.term = term_;
  request.leader = config_.address;
  request.leader_commit_index = commit_index_;
  if (next > 1) {
    const std::optional<Term> previous = term_at(next - 1);
    if (!previous) return false;
    request.prev_log_entry = next - 1;
    request.prev_log_term = *previous;
  }
  if (next > target) return true;
  const std::size_t wanted = std::min<Index>(config_.max_append_entries, target - next + 1);
  request.entries = storage_.entries(next, wanted);
  return !request.entries.empty();
}

void Node::send_round(Instant now, Peer& p) {
  wire::AppendEntriesRequest request;
  if (!make_append(p, p.next, p.target, request)) return send_snapshot(now, p);
  p.mode = Peer::Mode::kWaiting;
  p.request = ++last_rpc_;
  p.request_last = request.entries.empty() ? 0 : request.entries.back().index;
  actions_.send(p.request, p.server, Channel::kReplication, request);
}

void Node::send_snapshot(Instant now, Peer& p) {
  const SnapshotMeta* meta = storage_.snapshot();
  if (meta == nullptr) {
    log(LogLevel::kError, "failed to send snapshot to", {{"peer", text_of(p.server)}, {"error", "no snapshots found"}});
    return round_over(now, p);
  }
  const Bytes state = storage_.snapshot_state();
  Buffer configuration;
  wire::encode(meta->configuration, wire::RaftDialect::k1_7, configuration);
  wire::InstallSnapshotRequest request;
  request.header = header();
  request.snapshot_version = 1;
  request.term = term_;
  request.leader = config_.address;
  request.last_log_index = meta->index;
  request.last_log_term = meta->term;
  request.configuration = ByteView(configuration);
  request.configuration_index = meta->configuration_index;
  request.size = static_cast<std::int64_t>(state.size());
  log(LogLevel::kInfo, "installing snapshot on",
      {{"peer", p.server.id},
       {"id", std::to_string(meta->term) + "-" + std::to_string(meta->index)},
       {"size", std::to_string(state.size())}});
  p.mode = Peer::Mode::kWaiting;
  p.request = ++last_rpc_;
  p.request_last = meta->index;
  actions_.send(p.request, p.server, request, state);
}

void Node::round_answered(Instant now, Peer& p, const wire::AppendEntriesResponse& response) {
  const RpcId id = std::exchange(p.request, 0);
  if (response.term > term_) return stale_term(now, p);
  p.last_contact = now;
  if (response.success) {
    acknowledged(now, p, p.request_last);
    p.failures = 0;
    p.allow_pipeline = true;
    verified(now, p, id, true);
  } else {
    round_refused(p, response);
  }
  round_more(now, p);
}

// Back by one, or to the follower's end at once: there is no hint about terms.
void Node::round_refused(Peer& p, const wire::AppendEntriesResponse& response) {
  p.next = std::max<Index>(std::min(p.next - 1, response.last_log + 1), 1);
  p.failures = response.no_retry_backoff ? 0 : p.failures + 1;
  log(LogLevel::kWarn, "appendEntries rejected, sending older logs",
      {{"peer", text_of(p.server)}, {"next", std::to_string(p.next)}});
}

void Node::round_more(Instant now, Peer& p) {
  if (p.next > p.target) return round_over(now, p);
  if (p.failures == 0) return send_round(now, p);
  if (p.stopping) return round_over(now, p);
  p.mode = Peer::Mode::kBackoff;
  p.wake = now + backoff(p.failures);
}

void Node::round_over(Instant now, Peer& p) {
  p.mode = Peer::Mode::kIdle;
  p.wake = now + random_timeout(p.tick_draw, config_.commit_timeout);
  if (!p.allow_pipeline || p.stopping) return;
  p.allow_pipeline = false;
  if (config_.max_rpcs_in_flight < 2) return;
  log(LogLevel::kInfo, "pipelining replication", {{"peer", text_of(p.server)}});
  p.mode = Peer::Mode::kPipeline;
  p.pipeline_next = p.next;
}

void Node::snapshot_answered(Instant now, Peer& p, const wire::InstallSnapshotResponse& response) {
  const RpcId id = std::exchange(p.request, 0);
  if (response.term > term_) return stale_term(now, p);
  p.last_contact = now;
  if (response.success) {
    acknowledged(now, p, p.request_last);
    p.failures = 0;
    verified(now, p, id, true);
    return round_more(now, p);
  }
  ++p.failures;
  log(LogLevel::kWarn, "installSnapshot rejected to", {{"peer", p.server.id}});
  round_over(now, p);
}

void Node::acknowledged(Instant, Peer& p, Index last) {
  if (last == 0) return;
  p.next = std::max(p.next, last + 1);
  if (commitment_.match(p.server.id, last)) commit_pending_ = true;
}

// replication.go handleStaleTerm: its own term stays as it was.
void Node::stale_term(Instant now, Peer& p) {
  log(LogLevel::kError, "peer has newer term, stopping replication", {{"peer", text_of(p.server)}});
  p.mode = Peer::Mode::kWaiting;  // for ever
  verified(now, p, 0, false);
  if (step_down_.empty()) step_down_ = "peer has newer term";
}

// --- Pipeline (replication.go pipelineReplicate, pipelineSend, pipelineDecode)
// ----------------------------------------

void Node::pipeline_send(Instant now, Peer& p) {
  p.triggered = false;
  wire::AppendEntriesRequest request;
  if (!make_append(p, p.pipeline_next, last_log_.index, request)) return leave_pipeline(now, p);
  p.wake = now + random_timeout(p.tick_draw, config_.commit_timeout);
  const Index last = request.entries.empty() ? 0 : request.entries.back().index;
  if (last != 0) p.pipeline_next = last + 1;
  p.pipeline.push({++last_rpc_, last});
  actions_.send(last_rpc_, p.server, Channel::kPipeline, request);
}

void Node::pipeline_answered(Instant now, Peer& p, std::size_t at, const wire::AppendEntriesResponse& response) {
  if (response.term > term_) {
    leave_pipeline(now, p);
    return stale_term(now, p);
  }
  p.last_contact = now;
  if (!response.success || at != 0) return leave_pipeline(now, p);
  const bool full = p.pipeline.size() >= config_.max_rpcs_in_flight;
  const Peer::InFlight answered = p.pipeline.pop();
  if (full) p.wake = now + random_timeout(p.tick_draw, config_.commit_timeout);
  acknowledged(now, p, answered.last);
  verified(now, p, answered.id, true);
}

// Back to request and response, from the last acknowledged entry on.
void Node::leave_pipeline(Instant now, Peer& p) {
  log(LogLevel::kInfo, "aborting pipeline replication", {{"peer", text_of(p.server)}});
  actions_.close_pipeline(p.server);
  p.pipeline.clear();
  p.mode = Peer::Mode::kIdle;
  p.wake = now + random_timeout(p.tick_draw, config_.commit_timeout);
}

// --- Answers
// ----------------------------------------------------------------------------------------------------------

void Node::on_response(Instant now, RpcId id, const wire::AppendEntriesResponse& response) {
  if (!running_) return;
  run(now);
  if (played_ == Role::kLeader) {
    for (const auto& p : peers_) {
      if (p->heartbeat == id) {
        heartbeat_answered(now, *p, response);
        break;
      }
      if (p->mode == Peer::Mode::kWaiting && p->request == id) {
        round_answered(now, *p, response);
        break;
      }
      std::size_t at = 0;
      while (at < p->pipeline.size() && p->pipeline[at].id != id) ++at;
      if (at < p->pipeline.size()) {
        pipeline_answered(now, *p, at, response);
        break;
      }
    }
    drop_stopped();
  }
  run(now);
}

void Node::on_response(Instant now, RpcId id, const wire::InstallSnapshotResponse& response) {
  if (!running_) return;
  run(now);
  if (played_ == Role::kLeader) {
    for (const auto& p : peers_) {
      if (p->mode != Peer::Mode::kWaiting || p->request != id) continue;
      snapshot_answered(now, *p, response);
      break;
    }
    drop_stopped();
  }
  run(now);
}

void Node::on_failure(Instant now, RpcId id, std::string_view error) {
  if (!running_) return;
  run(now);
  for (std::size_t i = 0; i < ballots_.size(); ++i) {
    if (ballots_[i].id != id) continue;
    const Ballot ballot = ballots_[i];
    ballots_.erase(ballots_.begin() + static_cast<std::ptrdiff_t>(i));
    ballot_failed(now, ballot, error);
    return run(now);
  }
  if (transfer_.active && transfer_.request == id) {
    const std::string text = "failed to make TimeoutNow RPC to " + transfer_.target.id + ": " + std::string(error);
    log(LogLevel::kDebug, text);
    end_transfer(text);
    return run(now);
  }
  for (const auto& p : peers_) {
    if (p->heartbeat == id) {
      heartbeat_failed(now, *p, error);
      break;
    }
    if (p->mode == Peer::Mode::kWaiting && p->request == id) {
      log(LogLevel::kError, "failed to appendEntries to",
          {{"peer", text_of(p->server)}, {"error", std::string(error)}});
      p->request = 0;
      ++p->failures;
      round_over(now, *p);
      break;
    }
    bool found = false;
    for (std::size_t i = 0; i < p->pipeline.size(); ++i) found = found || p->pipeline[i].id == id;
    if (!found) continue;
    leave_pipeline(now, *p);
    break;
  }
  drop_stopped();
  run(now);
}

}  // namespace dcsim::raft
