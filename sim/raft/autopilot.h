#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "raft/types.h"

namespace dcsim::raft {

/// hashicorp/consul agent/consul/config.go DefaultConfig: AutopilotConfig and its intervals. Plain value.
struct AutopilotConfig {
  bool cleanup_dead_servers = true;
  Duration last_contact_threshold{200'000'000};
  std::uint64_t max_trailing_logs = 250;
  Duration server_stabilization_time{10'000'000'000};
  std::size_t min_quorum = 0;
  Duration health_interval{2'000'000'000};  ///< of statistics; they may take half as long
  Duration reconcile_interval{10'000'000'000};
};

/// What gossip says of a server.
enum class GossipStatus : std::uint8_t { kUnknown, kAlive, kLeaving, kFailed, kLeft };

/// What was learned of one server: from gossip, and from the statistics it was asked for.
struct ServerSample {
  std::string id;
  std::string name;
  GossipStatus status = GossipStatus::kUnknown;
  std::optional<Duration> last_contact;  ///< with the leader; the leader's own is 0; nullopt = no answer
  Term last_term = 0;
  Index last_index = 0;
};

/// The dead-server clean-up and promotion of raft-autopilot 0.1.6 (reconcile.go, state.go, stable_promoter.go), as the
/// leader runs it. It decides; the surroundings ask the servers for statistics and carry out the plans.
///
/// Contract: `start` when leadership is established. At `next_health()` collect samples and hand them to `on_samples`;
/// at `next_reconcile()`, and when a server was added (`prune` alone), carry out the plan before asking again.
class Autopilot {
 public:
  struct Health {
    std::string id;
    bool healthy = false;
    Instant stable_since;  ///< when `healthy` last changed
    GossipStatus status = GossipStatus::kUnknown;
    std::optional<Duration> last_contact;
    Term last_term = 0;
    Index last_index = 0;
  };
  /// What to do, in this order.
  struct Plan {
    std::vector<Server> promote;           ///< AddVoter
    std::vector<std::string> force_leave;  ///< names, out of gossip; their removal from Raft follows from that
    std::vector<std::string> remove;       ///< IDs, RemoveServer
    bool empty() const { return promote.empty() && force_leave.empty() && remove.empty(); }
  };

  explicit Autopilot(AutopilotConfig config = {}) : config_(config) {}

  void start(Instant now);
  void stop();
  bool running() const { return running_; }
  /// The settings live in the replicated state and may change at any time.
  void configure(const AutopilotConfig& config) { config_ = config; }
  const AutopilotConfig& config() const { return config_; }

  Instant next_health() const { return running_ ? next_health_ : Instant::never(); }
  Instant next_reconcile() const { return running_ ? next_reconcile_ : Instant::never(); }

  /// `leader`: where its log ends. Servers of the configuration without a sample count as unknown to gossip.
  void on_samples(Instant now, const Configuration& configuration, LogPosition leader,
                  std::span<const ServerSample> samples);
  /// Promotions, then removals.
  Plan reconcile(Instant now, const Configuration& configuration);
  /// Removals only.
  Plan prune(const Configuration& configuration) const;

  const std::vector<Health>& health() const { return health_; }
  const Health* health_of(std::string_view id) const;
  /// How many healthy voters may still be lost; 0 if there is no majority of healthy ones.
  std::size_t failure_tolerance(const Configuration& configuration) const;

 private:
  bool healthy(const Health& server, LogPosition leader) const;
  std::string name_of_server(std::string_view id) const;
  void promote(Instant now, const Configuration& configuration, Plan& plan) const;

  AutopilotConfig config_;
  bool running_ = false;
  Instant started_;
  Instant next_health_ = Instant::never();
  Instant next_reconcile_ = Instant::never();
  std::vector<Health> health_;                              // in the order of the configuration
  std::vector<std::pair<std::string, std::string>> names_;  // ID, name in gossip
};

}  // namespace dcsim::raft
