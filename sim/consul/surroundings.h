#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "consul/command.h"
#include "gossip/actions.h"
#include "gossip/coordinate.h"
#include "gossip/directory.h"
#include "gossip/notice.h"
#include "gossip/serf_event.h"
#include "gossip/serf_workspace.h"
#include "raft/actions.h"
#include "raft/storage.h"

namespace dcsim::consul {

/// One gossip pool of an agent: 0 is its LAN pool (a server's default segment, a client's only one), then a server's
/// segments in the order of its configuration.
using PoolId = Id<struct PoolTag>;
/// Stands for the RPC port among the pools: of its connections, accepted or dialled.
inline constexpr PoolId kRpcPool{0xfffffffeu};
/// One command under way at an agent.
using CommandId = Id<struct CommandTag>;

enum class LogLevel : std::uint8_t { kTrace, kDebug, kInfo, kWarn, kError };

/// How one join attempt of an agent ended: its own retry_join, an operator's command, or a flood into a segment.
struct JoinReport {
  enum class Why : std::uint8_t { kRetryJoin, kCommand, kFlood } why = Why::kRetryJoin;
  std::uint32_t contacted = 0;
  std::string_view error;  ///< go-multierror text; empty if nobody failed
};

/// What an agent asks of the machine it runs on. Called from inside the agent's inputs; must not call back into it.
class Surroundings {
 public:
  virtual ~Surroundings() = default;

  /// What members of one pool share in this process; the same object for every agent that names the same pool.
  virtual gossip::Directory& directory(std::string_view pool) = 0;
  /// Scratch space and memos shared by the agents of one thread.
  virtual gossip::SerfWorkspace& workspace() = 0;
  /// Both UDP and TCP. The error is the socket's own text ("bind: address already in use").
  virtual std::optional<Error> listen(PoolId pool, const Endpoint& at) = 0;
  /// The log, votes and snapshots of this machine's server; they outlive its process. Writes end as Agent::on_stored.
  /// nullptr: the machine has no place for servers and their clients, and the agent only gossips.
  virtual raft::Storage* raft_storage() { return nullptr; }
  /// TCP alone, for RPC; its connections come with kRpcPool. May be asked for several addresses of one port.
  virtual std::optional<Error> listen_rpc(const Endpoint& at) {
    static_cast<void>(at);
    return Error{"no RPC here"};
  }
  /// The connection's send buffer is full; Agent::on_stream_writable follows.
  virtual bool stream_full(gossip::StreamId stream) const { return static_cast<void>(stream), false; }
  /// The own address and port of a connection; empty if unknown.
  virtual Endpoint stream_local(gossip::StreamId stream) const { return static_cast<void>(stream), Endpoint{}; }
  /// What the Raft node of a server went through; nothing depends on it.
  virtual void raft_notice(const raft::Notice& notice) { static_cast<void>(notice); }
  /// A name lookup, answered at once by the host's resolver. An error reads as Go's ("lookup x: no such host").
  virtual Result<std::vector<Address>> resolve(std::string_view name) = 0;

  virtual gossip::SendStatus send_packet(PoolId pool, const Endpoint& to, const Bytes& payload) = 0;
  /// What stopped the last datagram that was not sent, as Go words it.
  virtual std::string send_error() const { return "send failed"; }
  virtual gossip::StreamId dial(PoolId pool, const Endpoint& to, Duration timeout) = 0;
  virtual void stream_send(gossip::StreamId stream, const Bytes& payload) = 0;
  virtual void stream_close(gossip::StreamId stream) = 0;

  virtual Cause note(PoolId pool, const gossip::Notice& notice) = 0;
  virtual void because(Cause cause) = 0;
  virtual Cause member_event(PoolId pool, const gossip::MemberEvent& event, Cause cause) = 0;
  virtual Cause serf_notice(PoolId pool, const gossip::SerfNotice& notice, Cause cause) = 0;
  virtual Cause joined(PoolId pool, const JoinReport& report) = 0;
  // Measurements of what the pools do; nothing depends on them (gossip::SerfListener says when they come).
  virtual void serf_message(PoolId pool, bool sent, std::size_t bytes) { static_cast<void>(pool), static_cast<void>(sent), static_cast<void>(bytes); }
  virtual void coordinate_moved(PoolId pool, const gossip::Coordinate& before, const gossip::Coordinate& after) {
    static_cast<void>(pool), static_cast<void>(before), static_cast<void>(after);
  }
  virtual void queues_checked(PoolId pool, const gossip::QueueDepths& depths) { static_cast<void>(pool), static_cast<void>(depths); }
  virtual void user_event(PoolId pool, const gossip::UserEvent& event) { static_cast<void>(pool), static_cast<void>(event); }
  virtual void query(PoolId pool, std::string_view name) { static_cast<void>(pool), static_cast<void>(name); }
  /// One of the agent's own log lines, without time. Rare by nature.
  virtual void log(LogLevel level, std::string_view line) = 0;
  virtual void command_done(CommandId command, const CommandResult& result) = 0;
  /// The agent has ended by itself: after a leave (0) or because it gave up joining (1).
  virtual void exited(int status, std::string_view why) = 0;
};

}  // namespace dcsim::consul
