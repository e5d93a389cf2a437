#include "raft/node.h"

namespace dcsim::raft {

// raft.go requestVote; the numbers are its order of checks.
void Node::handle_vote(Instant now) {
  const Incoming& r = *current_;
  const Configuration& latest = configurations_.latest;
  if (!r.peer_id.empty() && !latest.servers.empty() && !in_configuration(latest, r.peer_id)) {
    log(LogLevel::kWarn, "rejecting vote request since node is not in configuration", {{"from", r.peer_address}});
    return answer_vote(false);
  }
  if (config_.sticky_leader && !leader_address_.empty() && leader_address_ != r.peer_address && !r.transfer) {
    log(LogLevel::kWarn, "rejecting vote request since we have a leader",
        {{"from", r.peer_address}, {"leader", leader_address_}, {"leader-id", leader_id_}});
    return answer_vote(false);
  }
  if (r.term < term_) return answer_vote(false);
  if (r.term > term_) {
    log(LogLevel::kDebug, "lost leadership because received a requestVote with a newer term");
    become(Role::kFollower);
    return save_term(now, r.term, Step::kRequestTerm);
  }
  consider_vote(now);
}

// The term is ours and durable.
void Node::consider_vote(Instant now) {
  const Incoming& r = *current_;
  const Configuration& latest = configurations_.latest;
  if (!r.peer_id.empty() && !latest.servers.empty() && !has_vote(latest, r.peer_id)) {
    log(LogLevel::kWarn, "rejecting vote request since node is not a voter", {{"from", r.peer_address}});
    return answer_vote(false);
  }
  if (record_.vote_term == r.term && !record_.vote_candidate.empty() && !mutated(Mutation::kVotesTwice)) {
    log(LogLevel::kInfo, "duplicate requestVote for same term", {{"term", std::to_string(r.term)}});
    const bool same = record_.vote_candidate == r.peer_address;
    if (same) log(LogLevel::kWarn, "duplicate requestVote from", {{"candidate", r.peer_address}});
    return answer_vote(same);
  }
  if (log_behind(r, "vote") && !mutated(Mutation::kSkipsLogCheck)) return answer_vote(false);
  record_.vote_term = r.term;
  record_.vote_candidate = r.peer_address;
  save_record(now, Step::kGrantVote);
}

void Node::answer_vote(bool granted) {
  wire::RequestVoteResponse response;
  response.header = header();
  response.term = term_;
  response.granted = granted;
  const RequestId id = current_->id;
  request_done();
  actions_.respond(id, response, "");
}

// Our log is more up to date than the candidate's.
bool Node::log_behind(const Incoming& r, std::string_view what) {
  const LogPosition ours = last_entry();
  const std::string prefix = "rejecting " + std::string(what) + " request since our last ";
  if (ours.term > r.position.term) {
    log(LogLevel::kWarn, prefix + "term is greater",
        {{"candidate", r.peer_address},
         {"last-term", std::to_string(ours.term)},
         {"last-candidate-term", std::to_string(r.position.term)}});
    return true;
  }
  if (ours.term == r.position.term && ours.index > r.position.index) {
    log(LogLevel::kWarn, prefix + "index is greater",
        {{"candidate", r.peer_address},
         {"last-index", std::to_string(ours.index)},
         {"last-candidate-index", std::to_string(r.position.index)}});
    return true;
  }
  return false;
}

// raft.go requestPreVote: nothing is changed by it.
void Node::handle_pre_vote(Instant) {
  const Incoming& r = *current_;
  const Configuration& latest = configurations_.latest;
  wire::RequestPreVoteResponse response;
  response.header = header();
  response.term = term_;
  if (!latest.servers.empty() && !in_configuration(latest, r.peer_id)) {
    log(LogLevel::kWarn, "rejecting pre-vote request since node is not in configuration", {{"from", r.peer_address}});
  } else if (config_.sticky_leader && !leader_address_.empty() && leader_address_ != r.peer_address) {
    log(LogLevel::kWarn, "rejecting pre-vote request since we have a leader",
        {{"from", r.peer_address}, {"leader", leader_address_}, {"leader-id", leader_id_}});
  } else if (r.term >= term_) {
    response.term = r.term;
    if (!latest.servers.empty() && !has_vote(latest, r.peer_id)) {
      log(LogLevel::kWarn, "rejecting pre-vote request since node is not a voter", {{"from", r.peer_address}});
    } else {
      response.granted = !log_behind(r, "pre-vote");
    }
  }
  const RequestId id = current_->id;
  request_done();
  actions_.respond(id, response, "");
}

}  // namespace dcsim::raft
