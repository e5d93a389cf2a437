#include "raft/node.h"

namespace dcsim::raft {

void Node::transfer_leadership(Instant now, Token token, std::string_view server_id) {
  if (!running_) return finish(token, kErrShutdown);
  run(now);
  if (server_id == config_.id) {
    log(LogLevel::kInfo, "cannot transfer leadership to itself");
    return finish(token, "cannot transfer leadership to itself");
  }
  if (role_ != Role::kLeader) return finish(token, running_ ? kErrNotLeader : kErrShutdown);
  transfers_.push({token, std::string(server_id), applies_.size()});
  run(now);
}

// raft.go leaderLoop, case leadershipTransferCh.
void Node::start_transfer(Instant now, Token token, std::string_view server_id) {
  if (transfer_.active) {
    log(LogLevel::kDebug, kErrTransferInProgress);
    return finish(token, kErrTransferInProgress);
  }
  log(LogLevel::kDebug, "starting leadership transfer", {{"id", std::string(server_id)}});
  const Server* target = server_id.empty() ? pick_server() : nullptr;
  if (const Peer* p = server_id.empty() ? nullptr : peer(server_id)) target = &p->server;
  if (target == nullptr) {
    const std::string error = server_id.empty() ? std::string("cannot find peer")
                                                : "cannot find replication state for " + std::string(server_id);
    log(LogLevel::kDebug, error);
    return finish(token, error);
  }
  transfer_ = {true, Transfer::Phase::kCatchUp, token, *target, 0, now + config_.election_timeout};
  advance_transfer(now);
}

// raft.go pickServer: the voter whose log is the longest.
const Server* Node::pick_server() const {
  const Server* pick = nullptr;
  Index longest = 0;
  for (const Server& server : configurations_.latest.servers) {
    if (server.id == config_.id || server.suffrage != Suffrage::kVoter) continue;
    const Peer* p = peer(server.id);
    if (p == nullptr || p->next <= longest) continue;
    longest = p->next;
    pick = &server;
  }
  return pick;
}

// Sends TimeoutNow once the target has the whole log.
void Node::advance_transfer(Instant) {
  if (transfer_.phase != Transfer::Phase::kCatchUp || busy_.op != 0) return;
  Peer* p = peer(transfer_.target.id);
  if (p == nullptr) return end_transfer("replication failed");
  if (p->next <= last_entry().index) return;  // the replicators are at it, and nothing new is taken meanwhile
  transfer_.phase = Transfer::Phase::kAsked;
  transfer_.request = ++last_rpc_;
  wire::TimeoutNowRequest request;
  request.header = header();
  actions_.send(transfer_.request, p->server, request);
}

// Delivered: from now on the new leader has another ElectionTimeout to show up.
void Node::on_response(Instant now, RpcId id, const wire::TimeoutNowResponse&) {
  if (!running_) return;
  run(now);
  if (transfer_.active && transfer_.request == id && transfer_.phase == Transfer::Phase::kAsked) {
    transfer_.phase = Transfer::Phase::kDelivered;
    transfer_.until = now + config_.election_timeout;
  }
  run(now);
}

void Node::transfer_due(Instant now) {
  if (!transfer_.active || now < transfer_.until) return;
  log(LogLevel::kDebug, "leadership transfer timeout");
  end_transfer("leadership transfer timeout");
}

void Node::end_transfer(std::string_view error) {
  if (!transfer_.active) return;
  const Token token = transfer_.token;
  transfer_ = {};
  finish(token, error);
}

}  // namespace dcsim::raft
