#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "consul/agent_config.h"
#include "consul/cli_rpc.h"
#include "consul/members.h"
#include "consul/surroundings.h"
#include "gossip/serf.h"

namespace dcsim::consul {

class AgentRpc;
class Pool;
class RpcClient;
class Server;

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
  /// SIGTERM: a graceful leave where leave_on_terminate says so, else the end at once with status 1. A second signal ends
  /// a graceful leave at once.
  void terminate(Instant now);
  /// SIGINT: the same, but a graceful leave unless skip_leave_on_interrupt.
  void interrupt(Instant now);
  /// Runs one command line at this agent; answered by Surroundings::command_done, perhaps at once.
  void run(Instant now, CommandId command, const std::vector<std::string>& words);

  void on_packet(Instant now, PoolId pool, const Endpoint& from, const Bytes& payload);
  void on_stream_accepted(Instant now, PoolId pool, gossip::StreamId stream, const Endpoint& from);
  void on_stream_connected(Instant now, PoolId pool, gossip::StreamId stream);
  void on_stream_failed(Instant now, PoolId pool, gossip::StreamId stream, std::string_view error);
  void on_stream_data(Instant now, PoolId pool, gossip::StreamId stream, const Bytes& data);
  void on_stream_eof(Instant now, PoolId pool, gossip::StreamId stream);

  /// A connection that was full takes bytes again.
  void on_stream_writable(Instant now, PoolId pool, gossip::StreamId stream);
  /// A write to Surroundings::raft_storage ended; `error` empty = well.
  void on_stored(Instant now, raft::StoreOp op, std::string_view error);

  Instant next_deadline() const;
  void on_deadline(Instant now);

  /// One RPC, as the agent's HTTP API would make it; `done` comes from a later input, or from inside the call. Without a
  /// place for RPC it ends with "agent is not running".
  void call_rpc(Instant now, std::string_view method, Bytes arguments, RpcDone done);
  /// For the agent's commands, which `run` settles: nullptr until it has started, and where the surroundings have no place
  /// for RPC.
  AgentRpc* rpc();
  /// The server half; nullptr on clients.
  Server* server();
  const Server* server() const;
  /// The client half; nullptr on servers.
  const RpcClient* rpc_client() const;

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
  /// A command that waits for its broadcast.
  struct BroadcastCommand {
    CommandId command;
    std::uint32_t token = 0;
    std::string out;    ///< what it prints in the end
    std::string error;  ///< what stands before the error's text
    // consul force-leave goes through all pools that know the member, one after another.
    std::string member{};
    bool prune = false;
    std::size_t pool = 0;
    std::vector<std::string> failures{};
  };

  /// What the agent has on its RPC port (server_agent.cpp).
  class RpcSide;

  // agent.cpp
  std::optional<Error> open_pools();
  void settle(Instant now);
  template <class Input>
  void on_rpc(Instant now, Input&& input) {
    if (!rpc_side_) return;
    input(*rpc_side_);
    settle(now);
  }
  void settle_one(Instant now, const Done& done);
  void on_member_event(Pool& pool, const gossip::MemberEvent& event, Cause cause);
  void on_user_event(const gossip::UserEvent& event);
  std::vector<gossip::JoinTarget> resolved(Pool& pool, const std::vector<std::string>& targets) const;
  std::uint32_t begin_join(Instant now, Pool& pool, const std::vector<std::string>& targets, bool ignore_old);
  void attempt_retry_join(Instant now);
  void log_serf_joining(const std::vector<std::string>& targets, bool replay);
  void log_serf_joined(std::uint32_t contacted, const std::string& error);
  void retry_join_done(Instant now, std::uint32_t contacted, const std::string& error);
  void flood_notified(Instant now);
  void flood_tick(Instant now);
  void flood_segment(Instant now, std::size_t pool);
  void flood_join_done(Instant now, const Done& done);
  void warn_of_flood(std::size_t pool, const Done& done);
  void signalled(Instant now, std::string_view signal, bool graceful);
  void begin_leave(Instant now);
  void leave_failed(Instant now, const std::string& error);
  void leave_next_pool(Instant now);
  void pools_left(Instant now);
  void left(Instant now);
  void end(Instant now, int status, std::string_view why);

  // agent_commands.cpp
  void run_consul(Instant now, CommandId command, const std::vector<std::string>& words);
  void run_serf(Instant now, CommandId command, const std::vector<std::string>& words);
  CommandResult run_members(const std::vector<std::string>& words) const;
  CommandResult run_rtt(const std::vector<std::string>& words, bool serf) const;

  // agent_serf_commands.cpp
  CommandResult run_serf_members(const std::vector<std::string>& words) const;
  CommandResult run_serf_event(Instant now, const std::vector<std::string>& words);
  CommandResult run_serf_info(const std::vector<std::string>& words) const;
  void run_serf_tags(Instant now, CommandId command, const std::vector<std::string>& words);
  void run_join(Instant now, CommandId command, const std::vector<std::string>& words, bool serf);
  void run_leave(Instant now, CommandId command);
  void run_force_leave(Instant now, CommandId command, const std::vector<std::string>& words, bool serf);
  bool force_leave_next(Instant now, BroadcastCommand& run);
  void broadcast_command_done(Instant now, const Done& done);
  void join_next_target(Instant now, JoinCommand& run);
  bool join_command_done(Instant now, const Done& done);
  void finish(CommandId command, const CommandResult& result);

  AgentConfig config_;
  Surroundings& around_;
  std::uint64_t seed_;
  std::string entity_;
  std::vector<std::unique_ptr<Pool>> pools_;
  std::unique_ptr<RpcSide> rpc_side_;  // none for kind: serf
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
    struct Dial {
      std::uint32_t token;
      std::string peer;
      Endpoint there;
    };
    std::vector<Dial> dials;      ///< of the joins under way
    std::set<std::string> warned;  ///< servers that were not where they were assumed to be
  };
  std::vector<Flood> floods_;  // by pool

  bool member_news_ = false;  // for the RPC side, since it last ran
  bool started_ = false;
  bool leaving_ = false;
  bool ended_ = false;
  std::size_t leaving_pool_ = 0;
  Instant leave_limit_ = Instant::never();  // of a graceful leave after a signal

  std::vector<JoinCommand> join_commands_;
  std::vector<BroadcastCommand> broadcast_commands_;
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
