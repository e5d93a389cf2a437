// The commands of Serf: goroutines that wait in the original are states with a deadline here.
#include <algorithm>
#include <utility>

#include "gossip/serf.h"

namespace dcsim::gossip {

void Serf::start(Instant now) {
  DCSIM_CHECK(!started_);
  started_ = true;
  now_ = now;
  actions_.reset();
  memberlist_->start(now);
  reap_at_ = now + config_.reap_interval;
  reconnect_at_ = now + config_.reconnect_interval;
  queue_check_at_ = now + config_.queue_check_interval;
}

void Serf::shutdown(Instant now) {
  if (state_ == SerfState::kShutdown) return;
  now_ = std::max(now_, now);
  actions_.reset();
  if (state_ != SerfState::kLeft) notice({.kind = SerfNoticeKind::kShutdownUnleft});
  state_ = SerfState::kShutdown;
  memberlist_->shutdown(now_);
  joins_.clear();
  command_waits_.clear();
  prune_waits_.clear();
  refutations_.clear();
  join_running_ = reconnecting_ = update_running_ = false;
  leave_phase_ = LeavePhase::kNone;
  leave_deadline_ = Instant::never();
}

// --- Broadcasts ---

bool Serf::others_alive() const {
  const std::size_t own = members_.status(self_) == MemberStatus::kAlive ? 1 : 0;
  return members_.count(MemberStatus::kAlive) > own;
}

void Serf::queue_intent(Bytes message, Cause cause, BroadcastTag tag) {
  intent_queue_.queue_unique(std::move(message), cause, tag);
  memberlist_->wake_gossip(now_);
}

void Serf::broadcast_join(LamportTime ltime) {
  clock_.witness(ltime);
  on_join_intent(now_, self_, ltime);
  workspace_.serf_message.clear();
  wire::serf::encode(wire::serf::Join{ltime, config_.node_name}, workspace_.serf_message);
  queue_intent(Bytes(workspace_.serf_message), actions_.current());
}

// --- Join ---

void Serf::join(Instant now, std::uint32_t token, std::vector<JoinTarget> targets, bool ignore_old) {
  begin(now);
  if (!started_ || state_ != SerfState::kAlive) {
    listener_.on_join_done(token, 0, "Serf can't Join after Leave or Shutdown", {});
    return;
  }
  joins_.push_back({token, std::move(targets), ignore_old, actions_.current()});
  if (!join_running_) start_join(now);
}

void Serf::start_join(Instant now) {
  join_running_ = true;
  ignore_old_ = joins_.front().ignore_old;
  join_token_ = memberlist_->join(now, std::move(joins_.front().targets));
}

void Serf::join_done(Instant now, JoinToken token, const JoinResult& result) {
  now_ = now;
  if (reconnecting_ && token == reconnect_token_) {
    reconnecting_ = false;
    reconnect_at_ = now + config_.reconnect_interval;
    return;
  }
  if (!join_running_ || token != join_token_) return;
  const std::uint32_t user_token = joins_.front().token;
  joins_.pop_front();
  join_running_ = false;
  ignore_old_ = false;
  if (result.contacted > 0) broadcast_join(clock_.time());
  listener_.on_join_done(user_token, result.contacted, result.contacted > 0 ? std::string_view() : result.failures,
                         actions_.current());
  if (!joins_.empty() && !join_running_) start_join(now);
}

// --- Leave ---

std::optional<Error> Serf::leave(Instant now) {
  begin(now);
  if (state_ == SerfState::kLeaving) return Error{"Leave already in progress"};
  if (state_ == SerfState::kShutdown) return Error{"Leave called after Shutdown"};
  if (state_ == SerfState::kLeft) {
    listener_.on_leave_done({});
    return std::nullopt;
  }
  DCSIM_CHECK(started_);
  state_ = SerfState::kLeaving;
  leave_cause_ = actions_.current();
  const LamportTime ltime = clock_.time();
  clock_.increment();
  on_leave_intent(now, self_, ltime, false);
  if (!others_alive()) {
    leave_memberlist(now);
    return std::nullopt;
  }
  leave_phase_ = LeavePhase::kIntent;
  leave_tag_ = next_tag();
  leave_sent_ = false;
  leave_deadline_ = now + config_.broadcast_timeout;
  workspace_.serf_message.clear();
  wire::serf::encode(wire::serf::Leave{ltime, config_.node_name, false}, workspace_.serf_message);
  queue_intent(Bytes(workspace_.serf_message), leave_cause_, leave_tag_);
  return std::nullopt;
}

void Serf::leave_memberlist(Instant now) {
  leave_phase_ = LeavePhase::kMemberlist;
  leave_deadline_ = Instant::never();  // memberlist keeps the time
  memberlist_->leave(now, config_.broadcast_timeout);
}

void Serf::leave_done(Instant now, const std::optional<Error>& error) {
  now_ = now;
  if (leave_phase_ != LeavePhase::kMemberlist) return;
  if (error && config_.leave_gives_up) return give_up_leaving(error->text);
  if (error) notice({.kind = SerfNoticeKind::kMemberlistLeaveTimedOut, .text = error->text});
  leave_phase_ = LeavePhase::kPropagate;
  leave_deadline_ = now + config_.leave_propagate_delay;
}

void Serf::give_up_leaving(std::string_view error) {
  leave_phase_ = LeavePhase::kNone;
  leave_deadline_ = Instant::never();
  listener_.on_leave_failed(error, leave_cause_);
}

void Serf::leave_due(Instant now) {
  if (leave_phase_ == LeavePhase::kIntent && (leave_sent_ || leave_deadline_ <= now)) {
    actions_.because(leave_cause_);
    if (!leave_sent_ && config_.leave_gives_up) return give_up_leaving("timeout while waiting for graceful leave");
    if (!leave_sent_) notice({.kind = SerfNoticeKind::kLeaveTimedOut});
    leave_memberlist(now);
    actions_.reset();
  } else if (leave_phase_ == LeavePhase::kPropagate && leave_deadline_ <= now) {
    leave_phase_ = LeavePhase::kNone;
    leave_deadline_ = Instant::never();
    state_ = SerfState::kLeft;
    listener_.on_leave_done(leave_cause_);
  }
}

// --- Force-leave ---

void Serf::force_leave(Instant now, std::uint32_t token, std::string_view name, bool prune) {
  begin(now);
  if (!started_ || state_ == SerfState::kShutdown) {
    listener_.on_command_done(token, "serf is shut down", {});
    return;
  }
  const LamportTime ltime = clock_.time();
  clock_.increment();
  workspace_.serf_message.clear();
  wire::serf::encode(wire::serf::Leave{ltime, name, prune}, workspace_.serf_message);
  Bytes message(workspace_.serf_message);
  const MemberId id = directory_.intern(name);
  if (id.valid() && on_leave_intent(now, id, ltime, prune) == Verdict::kPruneWaits) {
    PruneWait& wait = prune_waits_.back();
    wait.rebroadcast = std::move(message);
    wait.command = true;
    wait.token = token;
    return;
  }
  await_removal(now, std::move(message), token, actions_.current());
}

void Serf::await_removal(Instant now, Bytes message, std::uint32_t token, Cause cause) {
  if (!others_alive()) {
    listener_.on_command_done(token, {}, cause);
    return;
  }
  const BroadcastTag tag = next_tag();
  command_waits_.push_back({token, tag, false, now + config_.broadcast_timeout, cause});
  queue_intent(std::move(message), cause, tag);
}

void Serf::commands_due(Instant now) {
  for (std::size_t i = 0; i < command_waits_.size();) {
    const CommandWait wait = command_waits_[i];
    if (!wait.done && wait.deadline > now) {
      ++i;
      continue;
    }
    command_waits_.erase(command_waits_.begin() + static_cast<std::ptrdiff_t>(i));
    listener_.on_command_done(wait.token, wait.done ? std::string_view() : "timed out broadcasting node removal",
                              wait.cause);
  }
}

// --- Tags and user events ---

std::optional<Error> Serf::set_tags(Instant now, std::uint32_t token, Tags tags) {
  begin(now);
  workspace_.serf_message.clear();
  encode_tags(tags, config_.protocol_version, workspace_.serf_message);
  if (workspace_.serf_message.size() > kMetaMaxSize) {
    return Error{"Encoded length of tags exceeds limit of " + std::to_string(kMetaMaxSize) + " bytes"};
  }
  if (!started_ || state_ == SerfState::kShutdown) return Error{"serf is shut down"};
  config_.tags = std::move(tags);
  // The new broadcast displaces one still under way, and so ends the wait for it.
  if (update_running_) listener_.on_command_done(update_token_, {}, update_cause_);
  update_running_ = true;
  update_token_ = token;
  update_cause_ = actions_.current();
  memberlist_->update_node(now, config_.broadcast_timeout);
  return std::nullopt;
}

void Serf::update_done(Instant now, const std::optional<Error>& error) {
  now_ = now;
  if (!update_running_) return;
  update_running_ = false;
  listener_.on_command_done(update_token_, error ? std::string_view(error->text) : std::string_view(), update_cause_);
}

std::optional<Error> Serf::user_event(Instant now, std::string_view name, ByteView payload, bool coalesce) {
  begin(now);
  if (!started_ || state_ == SerfState::kShutdown) return Error{"serf is shut down"};
  const std::size_t limit = config_.user_event_size_limit;  // problem() holds it under the hard cap
  if (name.size() + payload.size() > limit) {
    return Error{"user event exceeds configured limit of " + std::to_string(limit) + " bytes before encoding"};
  }
  const wire::OptBytes body = payload.data() == nullptr ? wire::OptBytes() : wire::OptBytes(payload);
  const wire::serf::UserEvent event{coalesce, event_clock_.time(), name, body};
  Buffer encoded;
  wire::serf::encode(event, encoded);
  if (encoded.size() > limit) {
    return Error{"encoded user event exceeds configured limit of " + std::to_string(limit) + " bytes after encoding"};
  }
  event_clock_.increment();
  on_user_event(event);
  event_queue_.queue_unique(Bytes(encoded), actions_.current());
  memberlist_->wake_gossip(now);
  return std::nullopt;
}

}  // namespace dcsim::gossip
