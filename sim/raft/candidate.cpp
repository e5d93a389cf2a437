#include <algorithm>

#include "raft/node.h"

namespace dcsim::raft {

// raft.go runFollower: the timer is not re-armed by contact; it only looks back when it fires.
void Node::follower_timer(Instant now) {
  role_timer_ = now + random_timeout(follower_draw_, config_.heartbeat_timeout);
  if (now - last_contact_ < config_.heartbeat_timeout) return;
  campaign(now);
}

// The leader has not been heard of: campaign, if this server has a vote.
void Node::campaign(Instant) {
  const std::string address = leader_address_;
  const std::string id = leader_id_;
  set_leader("", "");
  const auto warn = [this](std::string_view text) {
    if (!warned_) log(LogLevel::kWarn, text);
    warned_ = true;
  };
  const bool voter = has_vote(configurations_.latest, config_.id);
  if (configurations_.latest.servers.empty()) {
    warn("no known peers, aborting election");
  } else if (!voter && configurations_.latest_index == configurations_.committed_index) {
    warn("not part of stable configuration, aborting election");
  } else if (!voter) {
    warn(
        "heartbeat timeout reached, not part of a stable configuration or a non-voter, not triggering a leader "
        "election");
  } else {
    log(LogLevel::kWarn, "heartbeat timeout reached, starting election",
        {{"last-leader-addr", address}, {"last-leader-id", id}});
    become(Role::kCandidate);
  }
}

void Node::election_timer(Instant) {
  log(LogLevel::kWarn, "Election timeout reached, restarting election");
  again_ = true;
}

// raft.go runCandidate.
void Node::enter_candidate(Instant now) {
  candidate_from_transfer_ = transfer_asked_;
  transfer_asked_ = false;
  ++round_;
  ballots_.clear();
  votes_.clear();
  proposed_ = term_ + 1;
  granted_ = pre_granted_ = pre_refused_ = 0;
  votes_needed_ = quorum_of(configurations_.latest);
  log(LogLevel::kInfo, "entering candidate state", {{"node", text()}, {"term", std::to_string(proposed_)}});
  role_timer_ = Instant::never();
  pre_voting_ = config_.pre_vote && !candidate_from_transfer_;
  if (!pre_voting_) return save_term(now, proposed_, Step::kCandidateTerm);
  ask_pre_votes(now);
  role_timer_ = now + random_timeout(election_draw_, config_.election_timeout);
  check_pre_votes(now, proposed_);
}

void Node::ask_pre_votes(Instant) {
  const LogPosition last = last_entry();
  wire::RequestPreVoteRequest request;
  request.header = header();
  request.term = proposed_;
  request.last_log_index = last.index;
  request.last_log_term = last.term;
  for (const Server& server : configurations_.latest.servers) {
    if (server.suffrage != Suffrage::kVoter) continue;
    if (server.id == config_.id) {
      ++pre_granted_;
      continue;
    }
    ballots_.push_back({++last_rpc_, server, true, proposed_, round_});
    actions_.send(last_rpc_, server, request);
  }
}

// The new term is durable; next the own vote, if this server has one.
void Node::elect_self(Instant now) {
  if (role_ != Role::kCandidate) return;
  if (!has_vote(configurations_.latest, config_.id)) return ask_votes(now);
  record_.vote_term = term_;
  record_.vote_candidate = config_.address;
  save_record(now, Step::kCandidateVote);
}

// raft.go electSelf, once everything the requests claim is durable.
void Node::ask_votes(Instant now) {
  if (role_ != Role::kCandidate) return;
  if (!pre_voting_) role_timer_ = now + random_timeout(election_draw_, config_.election_timeout);
  const LogPosition last = last_entry();
  wire::RequestVoteRequest request;
  request.header = header();
  request.term = term_;
  request.candidate = config_.address;
  request.last_log_index = last.index;
  request.last_log_term = last.term;
  request.leadership_transfer = candidate_from_transfer_;
  for (const Server& server : configurations_.latest.servers) {
    if (server.suffrage != Suffrage::kVoter) continue;
    if (server.id == config_.id) {
      ++granted_;
      continue;
    }
    ballots_.push_back({++last_rpc_, server, false, term_, round_});
    actions_.send(last_rpc_, server, request);
  }
  check_votes(now);
}

// --- Answers
// ----------------------------------------------------------------------------------------------------------

void Node::on_response(Instant now, RpcId id, const wire::RequestVoteResponse& response) {
  if (!running_) return;
  run(now);
  take_ballot(now, id, false, response.term, response.granted);
  run(now);
}

void Node::on_response(Instant now, RpcId id, const wire::RequestPreVoteResponse& response) {
  if (!running_) return;
  run(now);
  take_ballot(now, id, true, response.term, response.granted);
  run(now);
}

void Node::take_ballot(Instant now, RpcId id, bool pre_vote, Term term, bool granted) {
  for (std::size_t i = 0; i < ballots_.size(); ++i) {
    if (ballots_[i].id != id || ballots_[i].pre_vote != pre_vote) continue;
    votes_.push({now, pre_vote, ballots_[i].round, term, granted, ballots_[i].server.id});
    ballots_.erase(ballots_.begin() + static_cast<std::ptrdiff_t>(i));
    return;
  }
}

// An error counts as a refusal in the request's own term; a peer that does not know the pre-vote does not mind it.
void Node::ballot_failed(Instant now, const Ballot& ballot, std::string_view error) {
  const bool unknown = ballot.pre_vote && error.find("unexpected command") != std::string_view::npos;
  log(LogLevel::kError,
      unknown ? "target does not support pre-vote RPC, treating as granted" : "failed to make requestVote RPC",
      {{"target", text_of(ballot.server)}, {"error", std::string(error)}, {"term", std::to_string(ballot.term)}});
  votes_.push({now, ballot.pre_vote, ballot.round, ballot.term, unknown, ballot.server.id});
}

void Node::count_vote(Instant now) {
  const VoteReply reply = votes_.pop();
  if (role_ != Role::kCandidate || reply.round != round_) return;
  if (reply.pre_vote) {
    count_pre_vote(now, reply);
  } else {
    count_real_vote(now, reply);
  }
}

void Node::count_pre_vote(Instant now, const VoteReply& reply) {
  if (!pre_voting_ || term_ >= proposed_) return;  // the real vote has begun
  if (reply.term > proposed_) {
    log(LogLevel::kDebug, "pre-vote denied: found newer term, falling back to follower",
        {{"term", std::to_string(reply.term)}});
    return fall_back(now, reply.term);
  }
  ++(reply.granted ? pre_granted_ : pre_refused_);
  log(LogLevel::kDebug, reply.granted ? "pre-vote granted" : "pre-vote denied",
      {{"from", reply.from}, {"term", std::to_string(reply.term)}, {"tally", std::to_string(pre_granted_)}});
  check_pre_votes(now, reply.term);
}

void Node::check_pre_votes(Instant now, Term term) {
  const auto line = [&](std::string_view text) {
    log(LogLevel::kInfo, text,
        {{"term", std::to_string(term)},
         {"tally", std::to_string(pre_granted_)},
         {"refused", std::to_string(pre_refused_)},
         {"votesNeeded", std::to_string(votes_needed_)}});
  };
  if (pre_granted_ >= votes_needed_) {
    line("pre-vote successful, starting election");
    role_timer_ = now + random_timeout(election_draw_, config_.election_timeout);
    return save_term(now, proposed_, Step::kCandidateTerm);
  }
  if (pre_refused_ >= votes_needed_) {
    line("pre-vote campaign failed, waiting for election timeout");
    note(NoticeKind::kPreVoteFailed);
  }
}

void Node::count_real_vote(Instant now, const VoteReply& reply) {
  if (reply.term > term_) {
    log(LogLevel::kDebug, "newer term discovered, fallback to follower", {{"term", std::to_string(reply.term)}});
    return fall_back(now, reply.term);
  }
  if (reply.granted && reply.term == term_) {
    ++granted_;
    log(LogLevel::kDebug, "vote granted",
        {{"from", reply.from}, {"term", std::to_string(reply.term)}, {"tally", std::to_string(granted_)}});
  }
  check_votes(now);
}

void Node::check_votes(Instant) {
  if (granted_ < votes_needed_) return;  // refusals do not end the round, only the timer does
  log(LogLevel::kInfo, "election won", {{"term", std::to_string(term_)}, {"tally", std::to_string(granted_)}});
  note(NoticeKind::kElectionWon);
  become(Role::kLeader);
  set_leader(config_.address, config_.id);
}

void Node::fall_back(Instant now, Term term) {
  become(Role::kFollower);
  save_term(now, term, Step::kFallbackTerm);
}

}  // namespace dcsim::raft
