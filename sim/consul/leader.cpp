#include "consul/leader.h"

#include <fmt/format.h>

#include <algorithm>

#include "consul/agent_config.h"

namespace dcsim::consul {

namespace {

std::string with_error(std::string_view text, const Error& error) {
  return fmt::format("agent.server: {}: error=\"{}\"", text, error.text);
}
}  // namespace

LeaderLoop::LeaderLoop(ServerIdentity self, LeaderHost& host, LeaderConfig config, wire::rpc::AutopilotConfig autopilot)
    : self_(self),
      host_(host),
      config_(config),
      autopilot_(self, host, std::move(autopilot)),
      reconciler_(self, host, autopilot_),
      sessions_(self, host),
      tombstones_(self, host) {}

void LeaderLoop::on_leadership(Instant now, bool leader) {
  notices_.push_back(leader);
  pump(now);
}

void LeaderLoop::on_member(Instant now, LanMember member) {
  if (!host_.is_leader()) return;
  if (members_.size() >= config_.member_queue) {
    ++dropped_;  // the next full pass finds it
    return;
  }
  members_.push_back(std::move(member));
  pump(now);
}

Instant LeaderLoop::next_deadline() const {
  Instant at = std::min({autopilot_.next_deadline(), sessions_.next_deadline(), tombstones_.next_deadline()});
  if (phase_ == Phase::kWait) at = std::min(at, interval_);
  return at;
}

void LeaderLoop::on_deadline(Instant now) {
  if (autopilot_.next_deadline() <= now) autopilot_.on_deadline(now);
  if (sessions_.next_deadline() <= now) sessions_.on_deadline(now);
  if (tombstones_.next_deadline() <= now) tombstones_.on_deadline(now);
  pump(now);
}

Done LeaderLoop::outcome() {
  waiting_ = true;
  error_.reset();
  return [this](Instant at, const std::optional<Error>& error) {
    waiting_ = false;
    error_ = error;
    pump(at);
  };
}

void LeaderLoop::pump(Instant now) {
  if (pumping_) return;
  pumping_ = true;
  while (!waiting_ && advance(now)) {
  }
  pumping_ = false;
}

bool LeaderLoop::advance(Instant now) {
  switch (phase_) {
    case Phase::kOff: return take_notice(now);
    case Phase::kBarrier:
      if (error_) {
        host_.log(now, LogLevel::kError, with_error("failed to wait for barrier", *error_));
        phase_ = Phase::kWait;
      } else if (!established_) {
        establish(now);
      } else {
        begin_pass(now);
      }
      return true;
    case Phase::kEstablish:
      if (error_) {
        host_.log(now, LogLevel::kError, fmt::format("agent.server.autopilot: failed to initialize config: error=\"{}\"", error_->text));
      }
      established(now);
      return true;
    case Phase::kTransfer: try_transfer(now); return true;
    case Phase::kReconcile: return next_member(now);
    case Phase::kForgotten: return next_forgotten(now);
    case Phase::kMember: phase_ = Phase::kWait; return true;
    case Phase::kWait: return wait(now);
  }
  return false;
}

/// monitorLeadership: gains and losses in the order in which Raft told of them.
bool LeaderLoop::take_notice(Instant now) {
  if (notices_.empty()) return false;
  const bool leader = notices_.front();
  notices_.pop_front();
  if (leader == leading_) {
    host_.log(now, LogLevel::kError,
              leader ? "agent.server: attempted to start the leader loop while running"
                     : "agent.server: attempted to stop the leader loop while not running");
    return true;
  }
  leading_ = leader;
  if (leader) {
    host_.log(now, LogLevel::kInfo, "agent.server: cluster leadership acquired");
    const auto failed = host_.send_user_event(now, kNewLeaderEvent, view_of(self_.node_name));
    if (failed) host_.log(now, LogLevel::kWarn, with_error("failed to broadcast new leader event", *failed));
    begin(now);
  } else {
    end(now);
  }
  return true;
}

/// One turn of the loop: a barrier comes before every full pass.
void LeaderLoop::begin(Instant now) {
  reconciled_ = false;
  interval_ = now + config_.reconcile_interval;
  phase_ = Phase::kBarrier;
  host_.barrier(now, config_.barrier_timeout, outcome());
}

void LeaderLoop::end(Instant now) {
  host_.log(now, LogLevel::kDebug, "agent.server: shutting down leader loop");
  if (established_) revoke(now);
  phase_ = Phase::kOff;
  interval_ = Instant::never();
  reconciled_ = false;
  host_.log(now, LogLevel::kInfo, "agent.server: cluster leadership lost");
}

void LeaderLoop::establish(Instant now) {
  began_ = now;
  tombstones_.start(now, host_.last_entry().index);
  sessions_.start(now);
  phase_ = Phase::kEstablish;
  if (host_.state().autopilot()) {
    error_.reset();
    return;
  }
  wire::rpc::AutopilotSetConfigRequest request;
  request.config = autopilot_.defaults();
  Buffer payload;
  wire::rpc::append_command(wire::rpc::CommandType::kAutopilot, request, payload);
  host_.apply_command(now, Bytes(payload), outcome());
}

void LeaderLoop::established(Instant now) {
  autopilot_.enable_reconciliation();
  if (const auto failed = host_.leadership_established(now)) return establish_failed(now, *failed);
  established_ = true;
  host_.log(now, LogLevel::kDebug,
            "agent.server: successfully established leadership: duration=" + go_duration(now - began_));
  begin_pass(now);
}

void LeaderLoop::establish_failed(Instant now, const Error& error) {
  host_.log(now, LogLevel::kError, with_error("failed to establish leadership", error));
  revoke(now);
  phase_ = Phase::kTransfer;
  transfers_ = 0;
  host_.transfer_leadership(now, outcome());
}

void LeaderLoop::try_transfer(Instant now) {
  if (!error_) {
    host_.log(now, LogLevel::kInfo,
              fmt::format("agent.server: successfully transferred leadership: attempt={} retry_limit={}", transfers_,
                          config_.transfer_attempts));
    phase_ = Phase::kOff;  // Raft's notice of the loss is to come
    return;
  }
  host_.log(now, LogLevel::kError,
            fmt::format("agent.server: failed to transfer leadership attempt, will retry: attempt={} retry_limit={} error=\"{}\"",
                        transfers_, config_.transfer_attempts, error_->text));
  if (++transfers_ < config_.transfer_attempts) return host_.transfer_leadership(now, outcome());
  host_.log(now, LogLevel::kError,
            with_error("failed to transfer leadership",
                       Error{fmt::format("failed to transfer leadership in {} attempts", config_.transfer_attempts)}));
  interval_ = now + config_.retry_interval;
  phase_ = Phase::kWait;
}

void LeaderLoop::revoke(Instant now) {
  established_ = false;
  tombstones_.stop();
  sessions_.stop();
  autopilot_.disable_reconciliation();
  host_.leadership_revoked(now);
}

void LeaderLoop::begin_pass(Instant now) {
  static_cast<void>(now);
  pass_ = host_.members();
  at_ = 0;
  phase_ = Phase::kReconcile;
}

bool LeaderLoop::next_member(Instant now) {
  if (at_ < pass_.size()) {
    reconciler_.reconcile(now, pass_[at_++], outcome());
    return true;
  }
  pass_ = reconciler_.forgotten(pass_);
  at_ = 0;
  error_.reset();
  phase_ = Phase::kForgotten;
  return true;
}

bool LeaderLoop::next_forgotten(Instant now) {
  if (error_) {
    host_.log(now, LogLevel::kError, with_error("failed to reconcile", *error_));
    phase_ = Phase::kWait;
  } else if (at_ < pass_.size()) {
    reconciler_.reap(now, pass_[at_++], outcome());
  } else {
    pass_.clear();
    reconciled_ = true;
    phase_ = Phase::kWait;
  }
  return true;
}

/// The loss of leadership comes first; then whatever is due.
bool LeaderLoop::wait(Instant now) {
  if (take_notice(now)) return true;
  if (interval_ <= now) {
    begin(now);
    return true;
  }
  if (reconciled_ && !members_.empty()) {
    const LanMember member = std::move(members_.front());
    members_.pop_front();
    phase_ = Phase::kMember;
    reconciler_.reconcile(now, member, outcome());
    return true;
  }
  return false;
}

}  // namespace dcsim::consul
