#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "consul/agent_config.h"
#include "consul/members.h"
#include "consul/surroundings.h"
#include "gossip/serf.h"

namespace dcsim::consul {

class Pool;

/// A Consul agent (client or server) or, with kind: serf, a plain Serf agent: its gossip pools, its joining, its
/// commands. Sans-I/O: it is handed the time, bytes and a seed, and asks its Surroundings for everything else. After
/// every input the surroundings look at next_deadline() and call on_deadline() then.
/// Lifetimes: the surroundings outlive the agent. A restart is a new Agent.
/// Sources: consul agent/agent.go, agent/consul/{server,client,server_serf,client_serf,flood}.go, agent/retry_join.go;
/// serf cmd/serf/command/agent.
class Agent {
 public:
  /// `entity` names the agent's random streams ("alpha-1.dc1").
  Agent(AgentConfig config, Surroundings& around, std::uint64_t seed, std::string entity);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  /// Opens the listeners and starts every pool. The error is what the agent prints before it exits with status 1.
  std::optional<Error> start(Instant now);
  /// SIGTERM: a graceful leave where leave_on_terminate says so, else the end at once with status 1.
  void terminate(Instant now);
  /// Runs one command line at this agent; answered by Surroundings::command_done, perhaps at once.
  void run(Instant now, CommandId command, const std::vector<std::string>& words);

  void on_packet(Instant now, PoolId pool, const Endpoint& from, const Bytes& payload);
  void on_stream_accepted(Instant now, PoolId pool, gossip::StreamId stream, const Endpoint& from);
  void on_stream_connected(Instant now, PoolId pool, gossip::StreamId stream);
  void on_stream_failed(Instant now, PoolId pool, gossip::StreamId stream, std::string_view error);
  void on_stream_data(Instant now, PoolId pool, gossip::StreamId stream, const Bytes& data);
  void on_stream_eof(Instant now, PoolId pool, gossip::StreamId stream);

  Instant next_deadline() const;
  void on_deadline(Instant now);

  const AgentConfig& config() const { return config_; }
  std::size_t pool_count() const { return pools_.size(); }
  const gossip::Serf& serf(PoolId pool) const;
  /// "" for the default segment.
  const std::string& segment(PoolId pool) const;
  /// The port that the pool listens on.
  std::uint16_t port(PoolId pool) const;
  /// Rows of one pool by segment name, or with "_all" of every pool, each server once (from the default segment).
  /// Fails with `segment "x" not found`.
  Result<std::vector<MemberRow>> members(std::string_view segment) const;

 private:
  friend class Pool;

  /// What a pool's callbacks left to do once its input has returned.
  struct Done {
    enum class What : std::uint8_t { kJoin, kLeave, kCommand } what;
    std::size_t pool;
    std::uint32_t token;
    std::uint32_t contacted;
    std::string error;
  };
  /// `consul join a b`: one request after another. `serf join a b`: one for all.
  struct JoinCommand {
    CommandId command;
    std::vector<std::string> targets;
    std::size_t next = 0;
    std::uint32_t token = 0;
    int joined = 0;
    std::string err;
    bool serf = false;
  };
  struct ForceLeaveCommand {
    CommandId command;
    std::uint32_t token = 0;
  };

  // agent.cpp
  std::optional<Error> open_pools();
  void settle(Instant now);
  void settle_one(Instant now, const Done& done);
  void on_member_event(Pool& pool, const gossip::MemberEvent& event, Cause cause);
  std::vector<gossip::JoinTarget> resolved(Pool& pool, const std::vector<std::string>& targets) const;
  std::uint32_t begin_join(Instant now, Pool& pool, const std::vector<std::string>& targets, bool ignore_old);
  void attempt_retry_join(Instant now);
  void retry_join_done(Instant now, std::uint32_t contacted, const std::string& error);
  void flood_notified(Instant now);
  void flood_tick(Instant now);
  void flood_segment(Instant now, std::size_t pool);
  void flood_join_done(Instant now, const Done& done);
  void begin_leave(Instant now);
  void leave_next_pool(Instant now);
  void end(Instant now, int status, std::string_view why);

  // agent_commands.cpp
  void run_consul(Instant now, CommandId command, const std::vector<std::string>& words);
  void run_serf(Instant now, CommandId command, const std::vector<std::string>& words);
  CommandResult run_members(const std::vector<std::string>& words) const;
  CommandResult run_serf_members(const std::vector<std::string>& words) const;
  CommandResult run_serf_event(Instant now, const std::vector<std::string>& words);
  void run_join(Instant now, CommandId command, const std::vector<std::string>& words, bool serf);
  void run_leave(Instant now, CommandId command);
  void run_force_leave(Instant now, CommandId command, const std::vector<std::string>& words, bool serf);
  void join_next_target(Instant now, JoinCommand& run);
  bool join_command_done(Instant now, const Done& done);
  void finish(CommandId command, const CommandResult& result);

  AgentConfig config_;
  Surroundings& around_;
  std::uint64_t seed_;
  std::string entity_;
  std::vector<std::unique_ptr<Pool>> pools_;
  std::vector<Done> done_;
  std::uint32_t next_token_ = 1;

  // Retry join (agent/retry_join.go): for good after the first success.
  int retry_attempts_ = 0;
  std::uint32_t retry_token_ = 0;  // 0 = none under way
  Instant retry_at_ = Instant::never();

  // Flood joins of servers into segments (agent/consul/flood.go): on a server's join, and every minute.
  Instant flood_at_ = Instant::never();
  bool flood_wanted_ = false;
  struct Flood {
    std::uint32_t under_way = 0;  ///< joins not yet over
    bool tick_waits = false;      ///< a minute passed meanwhile
  };
  std::vector<Flood> floods_;  // by pool

  bool started_ = false;
  bool leaving_ = false;
  bool ended_ = false;
  std::size_t leaving_pool_ = 0;
  Instant leave_limit_ = Instant::never();  // command/agent: 15 s for a graceful leave after a signal

  std::vector<JoinCommand> join_commands_;
  std::vector<ForceLeaveCommand> force_leave_commands_;
  std::vector<CommandId> leave_commands_;
};

/// False for command lines that Agent::run can only answer with "not modelled".
bool is_modelled(const std::vector<std::string>& words);

/// go-multierror's text on one line, as this project shows it in a log.
std::string one_line(std::string_view text);
/// As hclog prints a list of strings: ["10.0.0.1", "10.0.0.2"].
std::string quoted_list(const std::vector<std::string>& items);

/// What a command prints at a machine whose agent is not running.
CommandResult agent_not_running(const std::vector<std::string>& words);

}  // namespace dcsim::consul
