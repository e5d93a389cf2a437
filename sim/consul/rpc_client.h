#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/rng.h"
#include "base/time.h"
#include "consul/cli_rpc.h"
#include "consul/conn_pool.h"
#include "consul/server_manager.h"
#include "consul/surroundings.h"
#include "wire/consul_messages.h"

namespace dcsim::consul {

// Error texts of routing (agent/structs/errors.go).
inline constexpr std::string_view kErrNoLeader = "No cluster leader";
inline constexpr std::string_view kErrNoServers = "No known Consul servers";
inline constexpr std::string_view kErrNoDcPath = "No path to datacenter";
inline constexpr std::string_view kErrDcNotAvailable = "Remote DC has no server currently reachable";
inline constexpr std::string_view kErrLeaderNotTracked = "Raft leader not found in server lookup mapping";
inline constexpr std::string_view kErrNotReady = "Not ready to serve consistent reads";
inline constexpr std::string_view kErrShutdownWaiting = "shutdown waiting for leader";
inline constexpr std::string_view kErrRetryElsewhere =
    "rate limit exceeded, try again later or against a different server";
inline constexpr std::string_view kErrRetryLater =
    "rate limit exceeded for operation that can only be performed by the leader, try again later";
inline constexpr std::string_view kErrChunkingResubmit = "please resubmit call for rechunking";

/// What forwarding and retrying look at in a request (agent/structs/structs.go RPCInfo).
struct RpcInfo {
  std::string datacenter;  ///< "" = the own one
  bool read = false;
  bool allow_stale = false;
  bool require_consistent = false;
  std::uint64_t min_index = 0;  ///< not 0: a blocking query
  Duration max_query_time{};    ///< as asked for; 0 = the server's default

  bool blocking() const { return min_index > 0; }
};

/// Of any request of wire/consul_messages.h: those with QueryOptions read.
template <class M>
RpcInfo info_of(const M& m) {
  RpcInfo info;
  if constexpr (requires { m.datacenter; }) info.datacenter = m.datacenter;
  if constexpr (requires { m.options; }) {
    info.read = true;
    info.allow_stale = m.options.allow_stale;
    info.require_consistent = m.options.require_consistent;
    info.min_index = m.options.min_query_index;
    info.max_query_time = m.options.max_query_time;
  }
  return info;
}

/// performance and limits of an agent's configuration, as RPC needs them.
struct RpcSettings {
  Duration hold_timeout = 7_s;  ///< performance.rpc_hold_timeout
  Duration max_query_time = 600_s;
  Duration default_query_time = 300_s;
};

/// structs.go BlockingTimeout: what a blocking query may take, jitter included; zero for one that does not block.
Duration blocking_timeout(const RpcInfo& info, const RpcSettings& settings);

/// The retry rule of clients and servers (agent/consul/rpc.go canRetry, getWaitTime).
class RpcRetry {
 public:
  enum class Side { kClient, kServer };
  explicit RpcRetry(Instant began = {}) : began_(began) {}
  /// Whether `error` may be repeated now.
  bool allowed(Instant now, const RpcInfo& info, const RpcSettings& settings, Side side, std::string_view error) const;
  /// How long to wait before the next try: previous + U[0, w - previous), w = hold / 16 * 2^(tries - 1).
  Duration next_wait(Rng& rng, const RpcSettings& settings);

 private:
  Instant began_;
  std::uint32_t tries_ = 0;
  Duration previous_{};
};

/// How a call ended: `reply` is one msgpack value (decode it with wire::rpc::decode), or `error` is not empty.
using RpcReply = std::function<void(Instant now, const Bytes& reply, std::string_view error)>;

/// The RPCs of a running agent, be it client or server: what its commands, its HTTP API and its anti-entropy use
/// (agent/agent.go RPC). The reply comes exactly once, from a later input or run of the agent, never from inside
/// `call`; it may call again. None comes after the agent's end.
class AgentRpc : public Rpc {
 public:
  /// `method` must outlive the call (wire::rpc::method); `args` is one msgpack value.
  virtual void invoke(Instant now, std::string_view method, Bytes args, const RpcInfo& info, RpcReply reply) = 0;

  template <class M>
  void invoke(Instant now, std::string_view method, const M& request, RpcReply reply) {
    Buffer args;
    wire::rpc::encode(request, args);
    invoke(now, method, Bytes(args), info_of(request), std::move(reply));
  }
  /// Reads from the arguments how the method is to be forwarded; they must be the method's.
  void call(Instant now, std::string_view method, Bytes arguments, RpcDone done) override;
};

/// A client agent's RPCs: the server in front of the manager's list, the next one after a failure, and again while the
/// rule allows it (agent/consul/client.go RPC).
/// Contract: as ConnPool, whose owner this is: spread the port's inputs through RpcPort(&pool()), then call `run`.
class RpcClient final : public AgentRpc, private ConnPoolHost {
 public:
  struct Settings {
    std::string datacenter;
    RpcSettings rpc;
    ConnPoolConfig pool;
  };
  RpcClient(Settings settings, StreamIo& io, Surroundings& around, std::uint64_t seed, std::string_view entity);
  ~RpcClient() override;
  RpcClient(const RpcClient&) = delete;
  RpcClient& operator=(const RpcClient&) = delete;

  using AgentRpc::invoke;
  void invoke(Instant now, std::string_view method, Bytes args, const RpcInfo& info, RpcReply reply) override;

  /// How many members the pool has, for the rebalance law.
  void set_pool_size(std::function<std::size_t()> nodes) { nodes_ = std::move(nodes); }
  ServerManager& manager() { return manager_; }
  const ServerManager& manager() const { return manager_; }
  ConnPool& pool() { return pool_; }

  /// Delivers replies that are due; to be called after every input of the port and after calls.
  void run(Instant now);
  void on_deadline(Instant now);
  Instant next_deadline() const;
  void shutdown(Instant now);

 private:
  struct Call {
    std::uint32_t stamp = 0;
    bool used = false;
    std::string_view method;
    Bytes args;
    RpcInfo info;
    RpcReply reply;
    RpcRetry retry;
    ServerEntry server;  // the one asked
  };
  struct Ended {
    std::uint64_t call;
    std::string error;
  };
  void rpc_result(Instant now, CallToken token, const Bytes& reply, std::string_view error) override;
  void log(LogLevel level, std::string_view line) override;
  void attempt(Instant now, std::uint32_t slot);
  void finish(Instant now, std::uint32_t slot, const Bytes& reply, std::string_view error);
  void ping_next(Instant now);

  Settings settings_;
  Surroundings& around_;
  ConnPool pool_;
  ServerManager manager_;
  Slots<Call> calls_;
  Deadlines deadlines_;
  std::vector<Ended> ended_;
  Rng jitter_;
  std::function<std::size_t()> nodes_;
  bool shut_ = false;
};

}  // namespace dcsim::consul
