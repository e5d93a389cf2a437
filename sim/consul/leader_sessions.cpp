#include "consul/leader_sessions.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "consul/agent_config.h"

namespace dcsim::consul {

namespace {
constexpr std::int64_t kTtlMultiplier = 2;
constexpr int kMaxInvalidateAttempts = 6;
constexpr Duration kInvalidateRetryBase = 10_s;
}  // namespace

void LeaderSessions::start(Instant now) {
  running_ = true;
  timers_.clear();
  for (const auto& [id, session] : host_.state().sessions()) reset(now, session);
}

void LeaderSessions::stop() {
  running_ = false;
  timers_.clear();
}

void LeaderSessions::reset(Instant now, const wire::rpc::Session& session) {
  if (!running_ || session.ttl.empty()) return;
  const auto ttl = parse_go_duration(session.ttl);
  if (!ttl || ttl->ns <= 0) return;
  timers_[session.id] = Timer{now + *ttl * kTtlMultiplier};
}

void LeaderSessions::clear(std::string_view id) {
  if (const auto found = timers_.find(id); found != timers_.end()) timers_.erase(found);
}

Instant LeaderSessions::next_deadline() const {
  Instant at = Instant::never();
  for (const auto& [id, timer] : timers_) {
    if (!timer.under_way) at = std::min(at, timer.at);
  }
  return at;
}

void LeaderSessions::on_deadline(Instant now) {
  std::vector<std::string> due;
  for (const auto& [id, timer] : timers_) {
    if (!timer.under_way && timer.at <= now) due.push_back(id);
  }
  for (const std::string& id : due) invalidate(now, id);
}

void LeaderSessions::invalidate(Instant now, const std::string& id) {
  const auto found = timers_.find(id);
  if (found == timers_.end()) return;
  found->second.under_way = true;
  wire::rpc::SessionRequest request;
  request.datacenter = self_.datacenter;
  request.op = "destroy";
  request.session.id = id;
  Buffer payload;
  wire::rpc::append_command(wire::rpc::CommandType::kSession, request, payload);
  host_.apply_command(now, Bytes(payload), [this, id](Instant at, const std::optional<Error>& error) { invalidated(at, id, error); });
}

void LeaderSessions::invalidated(Instant now, const std::string& id, const std::optional<Error>& error) {
  const auto timer = timers_.find(id);
  const bool ours = timer != timers_.end() && timer->second.under_way;  // not renewed, and still the leader
  if (!error) {
    host_.log(now, LogLevel::kDebug, fmt::format("agent.server: Session TTL expired: session={}", id));
    if (ours) timers_.erase(timer);
    return;
  }
  host_.log(now, LogLevel::kError, fmt::format("agent.server: Invalidation failed: error=\"{}\"", error->text));
  if (!ours) return;
  if (++timer->second.attempt >= kMaxInvalidateAttempts) {
    host_.log(now, LogLevel::kError, fmt::format("agent.server: maximum revoke attempts reached for session: error={}", id));
    timers_.erase(timer);
    return;
  }
  timer->second.under_way = false;
  timer->second.at = now + kInvalidateRetryBase * (std::int64_t{1} << (timer->second.attempt - 1));
}

}  // namespace dcsim::consul
