#include "raft/autopilot.h"

#include <algorithm>

#include "raft/membership.h"

namespace dcsim::raft {

void Autopilot::start(Instant now) {
  running_ = true;
  started_ = now;
  next_health_ = now;
  next_reconcile_ = now + config_.reconcile_interval;
  health_.clear();
  names_.clear();
}

void Autopilot::stop() {
  running_ = false;
  health_.clear();
  names_.clear();
}

const Autopilot::Health* Autopilot::health_of(std::string_view id) const {
  const auto found = std::find_if(health_.begin(), health_.end(), [&](const Health& h) { return h.id == id; });
  return found == health_.end() ? nullptr : &*found;
}

std::string Autopilot::name_of_server(std::string_view id) const {
  const auto found = std::find_if(names_.begin(), names_.end(), [&](const auto& known) { return known.first == id; });
  return found == names_.end() ? std::string(id) : found->second;
}

// types.go isHealthy. A server that is leaving is still there.
bool Autopilot::healthy(const Health& server, LogPosition leader) const {
  if (server.status != GossipStatus::kAlive && server.status != GossipStatus::kLeaving) return false;
  if (!server.last_contact || server.last_contact->ns < 0) return false;
  if (*server.last_contact > config_.last_contact_threshold) return false;
  if (server.last_term != leader.term) return false;
  return server.last_index + config_.max_trailing_logs >= leader.index;
}

// state.go buildServerState.
void Autopilot::on_samples(Instant now, const Configuration& configuration, LogPosition leader,
                           std::span<const ServerSample> samples) {
  if (!running_) return;
  next_health_ = now + config_.health_interval;
  std::vector<Health> fresh;
  for (const Server& server : configuration.servers) {
    Health h;
    h.id = server.id;
    const auto sample =
        std::find_if(samples.begin(), samples.end(), [&](const ServerSample& s) { return s.id == server.id; });
    if (sample != samples.end()) {
      h.status = sample->status;
      h.last_contact = sample->last_contact;
      h.last_term = sample->last_term;
      h.last_index = sample->last_index;
    }
    h.healthy = healthy(h, leader);
    const Health* before = health_of(server.id);
    h.stable_since = before != nullptr && before->healthy == h.healthy ? before->stable_since : now;
    fresh.push_back(std::move(h));
  }
  health_ = std::move(fresh);
  names_.clear();
  for (const ServerSample& s : samples) names_.emplace_back(s.id, s.name);
}

// stable_promoter.go: healthy for long enough; at once while autopilot itself is new, so that a group can form.
void Autopilot::promote(Instant now, const Configuration& configuration, Plan& plan) const {
  const Duration required =
      now - started_ < config_.server_stabilization_time ? Duration{0} : config_.server_stabilization_time;
  for (const Server& server : configuration.servers) {
    if (server.suffrage == Suffrage::kVoter) continue;
    const Health* h = health_of(server.id);
    if (h != nullptr && h->healthy && now - h->stable_since >= required) plan.promote.push_back(server);
  }
}

Autopilot::Plan Autopilot::reconcile(Instant now, const Configuration& configuration) {
  Plan plan;
  if (!running_) return plan;
  next_reconcile_ = now + config_.reconcile_interval;
  promote(now, configuration, plan);
  const Plan removals = prune(configuration);
  plan.force_leave = removals.force_leave;
  plan.remove = removals.remove;
  return plan;
}

// reconcile.go pruneDeadServers: non-voters freely; of the voters a minority in one pass, and never below the minimum.
Autopilot::Plan Autopilot::prune(const Configuration& configuration) const {
  Plan plan;
  if (!running_ || !config_.cleanup_dead_servers || health_.empty()) return plan;
  std::vector<const Server*> stale, failed;
  for (const Server& server : configuration.servers) {
    const Health* h = health_of(server.id);
    if (h == nullptr || h->status == GossipStatus::kAlive || h->status == GossipStatus::kLeaving) continue;
    (h->status == GossipStatus::kUnknown ? stale : failed).push_back(&server);
  }
  for (const Server* server : failed) {
    if (server->suffrage != Suffrage::kVoter) plan.force_leave.push_back(name_of_server(server->id));
  }
  for (const Server* server : stale) {
    if (server->suffrage != Suffrage::kVoter) plan.remove.push_back(server->id);
  }
  std::size_t voters = voters_of(configuration);
  std::size_t allowed = voters == 0 ? 0 : (voters - 1) / 2;
  const auto spare = [&](const Server* server) {
    if (server->suffrage != Suffrage::kVoter || allowed == 0 || voters - 1 < config_.min_quorum) return false;
    --voters;
    --allowed;
    return true;
  };
  for (const Server* server : stale) {
    if (spare(server)) plan.remove.push_back(server->id);
  }
  for (const Server* server : failed) {
    if (spare(server)) plan.force_leave.push_back(name_of_server(server->id));
  }
  return plan;
}

std::size_t Autopilot::failure_tolerance(const Configuration& configuration) const {
  std::size_t well = 0;
  for (const Server& server : configuration.servers) {
    const Health* h = health_of(server.id);
    if (server.suffrage == Suffrage::kVoter && h != nullptr && h->healthy) ++well;
  }
  const std::size_t quorum = quorum_of(configuration);
  return well > quorum ? well - quorum : 0;
}

}  // namespace dcsim::raft
