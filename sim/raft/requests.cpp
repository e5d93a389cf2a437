#include "base/check.h"
#include "raft/node.h"

namespace dcsim::raft {
namespace {

// More than peers with their few connections can have outstanding; the rest is refused.
constexpr std::size_t kMostQueued = 4096;

}  // namespace

Node::Incoming& Node::queue_request(Instant now, RequestId id, const wire::RpcHeader& header, Incoming::Kind kind) {
  std::unique_ptr<Incoming> request;
  if (spare_.empty()) {
    request = std::make_unique<Incoming>();
  } else {
    request = std::move(spare_.back());
    spare_.pop_back();
  }
  request->kind = kind;
  request->id = id;
  request->at = now;
  request->protocol_version = header.protocol_version;
  request->peer_id = header.id;
  request->peer_address = header.addr;
  request->entries.clear();
  request->configuration.clear();
  request->state = {};
  Incoming& queued = *request;
  incoming_.push(std::move(request));
  return queued;
}

// The oldest is given up: whoever sent it has long stopped waiting.
void Node::queue_overflow() {
  if (incoming_.size() <= kMostQueued) return;
  std::unique_ptr<Incoming> oldest = incoming_.pop();
  refuse(*oldest, kErrEnqueueTimeout);
  spare_.push_back(std::move(oldest));
}

void Node::on_request(Instant now, RequestId id, const wire::AppendEntriesRequest& m) {
  if (!running_) return;
  run(now);
  if (!running_ || (m.heartbeat() && heartbeat_at_once(now, id, m))) return;
  Incoming& r = queue_request(now, id, m.header, Incoming::Kind::kAppend);
  if (r.peer_address.empty()) r.peer_address = m.leader;
  r.term = m.term;
  r.position = {m.prev_log_entry, m.prev_log_term};
  r.commit = m.leader_commit_index;
  r.entries.assign(m.entries.begin(), m.entries.end());
  queue_overflow();
  run(now);
}

void Node::on_request(Instant now, RequestId id, const wire::RequestVoteRequest& m) {
  if (!running_) return;
  run(now);
  if (!running_) return;
  Incoming& r = queue_request(now, id, m.header, Incoming::Kind::kVote);
  if (r.peer_address.empty()) r.peer_address = m.candidate;
  r.term = m.term;
  r.position = {m.last_log_index, m.last_log_term};
  r.transfer = m.leadership_transfer;
  queue_overflow();
  run(now);
}

void Node::on_request(Instant now, RequestId id, const wire::RequestPreVoteRequest& m) {
  if (!running_) return;
  run(now);
  if (!running_) return;
  Incoming& r = queue_request(now, id, m.header, Incoming::Kind::kPreVote);
  r.term = m.term;
  r.position = {m.last_log_index, m.last_log_term};
  r.transfer = false;
  queue_overflow();
  run(now);
}

void Node::on_request(Instant now, RequestId id, const wire::InstallSnapshotRequest& m, const Bytes& state) {
  if (!running_) return;
  run(now);
  if (!running_) return;
  Incoming& r = queue_request(now, id, m.header, Incoming::Kind::kSnapshot);
  if (r.peer_address.empty()) r.peer_address = m.leader;
  r.term = m.term;
  r.position = {m.last_log_index, m.last_log_term};
  r.snapshot_version = m.snapshot_version;
  r.snapshot_size = m.size;
  r.configuration.assign(m.configuration.data.begin(), m.configuration.data.end());
  r.configuration_index = m.configuration_index;
  r.state = state;
  queue_overflow();
  run(now);
}

void Node::on_request(Instant now, RequestId id, const wire::TimeoutNowRequest& m) {
  if (!running_) return;
  run(now);
  if (!running_) return;
  queue_request(now, id, m.header, Incoming::Kind::kTimeoutNow);
  queue_overflow();
  run(now);
}

// raft.go checkRPCHeader.
bool Node::supported(const Incoming& request) const {
  return request.protocol_version >= 0 && request.protocol_version <= 3 &&
         request.protocol_version >= config_.protocol_version - 1;
}

void Node::refuse(const Incoming& request, std::string_view error) {
  switch (request.kind) {
    case Incoming::Kind::kAppend:
      return actions_.respond(request.id, wire::AppendEntriesResponse{}, error);
    case Incoming::Kind::kVote:
      return actions_.respond(request.id, wire::RequestVoteResponse{}, error);
    case Incoming::Kind::kPreVote:
      return actions_.respond(request.id, wire::RequestPreVoteResponse{}, error);
    case Incoming::Kind::kSnapshot:
      return actions_.respond(request.id, wire::InstallSnapshotResponse{}, error);
    case Incoming::Kind::kTimeoutNow:
      return actions_.respond(request.id, wire::TimeoutNowResponse{}, error);
  }
}

void Node::handle(Instant now) {
  if (!supported(*current_)) {
    refuse(*current_, kErrUnsupportedProtocol);
    return request_done();
  }
  switch (current_->kind) {
    case Incoming::Kind::kAppend:
      return handle_append(now);
    case Incoming::Kind::kVote:
      return handle_vote(now);
    case Incoming::Kind::kPreVote:
      return handle_pre_vote(now);
    case Incoming::Kind::kSnapshot:
      return handle_snapshot(now);
    case Incoming::Kind::kTimeoutNow:
      return handle_timeout_now(now);
  }
}

// Its higher term is durable now.
void Node::resume_request(Instant now) {
  switch (current_->kind) {
    case Incoming::Kind::kAppend:
      return append_checked(now);
    case Incoming::Kind::kVote:
      return consider_vote(now);
    case Incoming::Kind::kSnapshot:
      return install_snapshot(now);
    case Incoming::Kind::kPreVote:
    case Incoming::Kind::kTimeoutNow:
      break;
  }
  DCSIM_CHECK(false);
}

void Node::request_done() {
  current_->entries.clear();
  current_->state = {};
  spare_.push_back(std::move(current_));
}

// net_transport.go handleCommand: a heartbeat does not wait for the main thread, unless it would have to write.
bool Node::heartbeat_at_once(Instant now, RequestId id, const wire::AppendEntriesRequest& m) {
  const bool term_on_its_way =
      busy_.op != 0 &&
      (busy_.step == Step::kStartTerm || busy_.step == Step::kRequestTerm || busy_.step == Step::kFallbackTerm ||
       busy_.step == Step::kCandidateTerm || busy_.step == Step::kBootstrapTerm);
  if (term_on_its_way || m.header.protocol_version < config_.protocol_version - 1 || m.header.protocol_version > 3)
    return false;
  wire::AppendEntriesResponse response;
  response.header = header();
  response.term = term_;
  response.last_log = last_entry().index;
  if (m.term < term_) {
    actions_.respond(id, response, "");
    return true;
  }
  if (m.term > term_ && busy_.op != 0 && role_ != Role::kFollower) become(Role::kFollower);
  if (m.term > term_ || role_ != Role::kFollower) return false;
  set_leader(m.header.addr.empty() ? m.leader : m.header.addr, m.header.id);
  contacted(now);
  response.success = true;
  actions_.respond(id, response, "");
  run(now);
  return true;
}

// Obeyed whoever sends it. A server without a vote could only disturb, so it stays what it is.
void Node::handle_timeout_now(Instant) {
  const bool able = has_vote(configurations_.latest, config_.id);
  wire::TimeoutNowResponse response;
  const RequestId id = current_->id;
  request_done();
  if (able) {
    become(Role::kCandidate);
    again_ = true;
    transfer_asked_ = true;
  }
  actions_.respond(id, response, "");
}

}  // namespace dcsim::raft
