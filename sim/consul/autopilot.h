#pragma once
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "consul/leader_host.h"
#include "raft/autopilot.h"
#include "wire/consul_messages.h"

namespace dcsim::consul {

/// A server as autopilot knows it from gossip (agent/consul/autopilot.go autopilotServer).
struct AutopilotServerInfo {
  std::string id{};
  std::string name{};
  std::string address{};  ///< of Raft
  std::string version{};
  wire::rpc::TextMap meta{};
  gossip::MemberStatus status = gossip::MemberStatus::kNone;
  int raft_version = 0;
};
/// nullopt for members that are no servers.
std::optional<AutopilotServerInfo> autopilot_server(const LanMember& member);

/// Autopilot of a Consul server: it learns every 2 s how all servers are, and, while it may reconcile (on the leader),
/// promotes and removes servers every 10 s (hashicorp/raft-autopilot run.go, raft.go; agent/consul/autopilot.go,
/// stats_fetcher.go). raft::Autopilot decides; this asks and acts.
///
/// Contract: start when the server starts (as Consul since 1.11) or when it leads; enable_reconciliation while it leads.
/// Keep one timer for next_deadline(). Requests for statistics are limited to 1 s a round; one is in flight per server.
class ServerAutopilot {
 public:
  /// `defaults` are in force until the replicated state has settings.
  ServerAutopilot(ServerIdentity self, LeaderHost& host, wire::rpc::AutopilotConfig defaults);

  void start(Instant now);
  void stop();
  void enable_reconciliation() { reconciling_ = true; }
  void disable_reconciliation() { reconciling_ = false; }

  /// AddServer: by the rules for equal IDs and addresses; the error is what reconcileMember logs. Only on the leader.
  void add_server(Instant now, const AutopilotServerInfo& server, Done done);
  /// RemoveServer of an ID, if it is in the configuration.
  void remove_server(Instant now, const std::string& id, Done done);

  Instant next_deadline() const;
  void on_deadline(Instant now);

  /// The settings in force: the replicated ones, else the defaults.
  wire::rpc::AutopilotConfig config() const;
  const wire::rpc::AutopilotConfig& defaults() const { return defaults_; }
  /// Operator.AutopilotState, Operator.ServerHealth; nullopt before the first round.
  std::optional<wire::rpc::AutopilotState> state() const { return state_; }
  std::optional<wire::rpc::AutopilotHealthReply> health() const;

 private:
  struct Stats {
    Duration last_contact{};
    std::uint64_t last_term = 0;
    std::uint64_t last_index = 0;
  };
  void open_round(Instant now);
  void answered(Instant now, std::uint64_t round, const std::string& id, const Result<wire::rpc::RaftStats>& stats);
  void close_round(Instant now);
  raft::LogPosition leader_position(const std::vector<std::string>& fresh) const;
  void build_state(const raft::Configuration& configuration);
  std::vector<AutopilotServerInfo> known_servers(const std::vector<LanMember>& members) const;
  void reconcile(Instant now);
  void promote_next(Instant now, std::vector<raft::Server> servers, std::size_t at);
  void prune(Instant now);
  void remove_next(Instant now, std::vector<std::string> ids, std::size_t at);
  void finish_acting(Instant now);
  void remove_duplicates(Instant now, AutopilotServerInfo server, std::vector<std::string> ids, bool voter, Done done);
  void add_to_raft(Instant now, const AutopilotServerInfo& server, bool voter, Done done);
  void change(Instant now, raft::ConfigurationChange change, std::string_view failure, Done done);
  void remove_from_raft(Instant now, const std::string& id, Done done);
  void log(Instant now, LogLevel level, std::string_view line) const;
  const AutopilotServerInfo* known(std::string_view id) const;

  ServerIdentity self_;
  LeaderHost& host_;
  wire::rpc::AutopilotConfig defaults_;
  raft::Autopilot core_;
  bool running_ = false;
  bool reconciling_ = false;
  bool acting_ = false;        ///< changes are under way: ticks and prunes wait
  bool prune_wanted_ = false;  ///< a server was added
  Instant update_at_ = Instant::never();
  Instant round_limit_ = Instant::never();  ///< never = no round is open
  std::uint64_t round_ = 0;
  std::size_t waiting_ = 0;
  std::vector<std::string> fresh_;  ///< IDs that answered in this round
  std::map<std::string, Stats, std::less<>> stats_;
  std::set<std::string, std::less<>> in_flight_;
  std::vector<AutopilotServerInfo> known_;
  std::optional<wire::rpc::AutopilotState> state_;
};

/// Consul's settings if nobody said otherwise.
wire::rpc::AutopilotConfig default_autopilot_config();

}  // namespace dcsim::consul
