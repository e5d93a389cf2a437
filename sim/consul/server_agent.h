#pragma once
#include <memory>
#include <optional>

#include "consul/agent.h"
#include "consul/rpc_client.h"
#include "consul/server.h"
#include "consul/server_leader.h"
#include "consul/server_local.h"

namespace dcsim::consul {

/// What an agent has on its RPC port: a Server with its duties, or an RpcClient; what gossip tells them, and a server's
/// way out (agent/consul/server.go NewServer, Leave; client.go).
class Agent::RpcSide final : private StreamIo, private ServerHost {
 public:
  explicit RpcSide(Agent& agent);
  ~RpcSide() override;

  /// The listeners, then Raft. The error is what the agent prints before it ends.
  std::optional<Error> start(Instant now);
  /// The pools are up: the agent begins to tell the servers of itself.
  void pools_started(Instant now) { local_->start(now); }
  void on_member_event(const Pool& pool, const gossip::MemberEvent& event);
  /// Anti-entropy tells the new leader at once.
  void on_new_leader() { server_up_ = true; }

  // Inputs of connections, and of storage; `run` follows.
  void on_accepted(Instant now, StreamId stream, const Endpoint& from);
  void on_connected(Instant now, StreamId stream) {
    port(now).on_connected(now, stream, agent_.around_.stream_local(stream));
  }
  void on_failed(Instant now, StreamId stream, std::string_view error) { port(now).on_failed(now, stream, error); }
  void on_data(Instant now, StreamId stream, const Bytes& data) { port(now).on_data(now, stream, data); }
  void on_eof(Instant now, StreamId stream) { port(now).on_eof(now, stream); }
  void on_writable(Instant now, StreamId stream) { port(now).on_writable(now, stream); }
  void on_stored(Instant now, raft::StoreOp op, std::string_view error);
  void run(Instant now);
  void on_deadline(Instant now);
  Instant next_deadline() const;

  /// Calls Agent::leave_next_pool, at once or when leadership is handed over.
  void begin_leave(Instant now);
  /// The pools are left: calls Agent::left, on servers after the drain and their removal from Raft.
  void pools_left(Instant now);
  void shutdown(Instant now);

  /// One of the commands of consul/cli.h; `finish` ends it.
  void run_command(Instant now, CommandId command, const std::vector<std::string>& words);

  AgentRpc& rpc() { return server_ ? static_cast<AgentRpc&>(*server_) : *client_; }
  Server* server() { return server_.get(); }
  const RpcClient* client() const { return client_.get(); }

 private:
  std::optional<Error> start_server(Instant now);
  void start_client(Instant now);
  void leave_due(Instant now);
  RpcPort& port(Instant now) { return server_ ? server_->port(now) : *client_port_; }

  // StreamIo
  StreamId dial(const Endpoint& to, Duration timeout) override { return agent_.around_.dial(kRpcPool, to, timeout); }
  void send(StreamId stream, const Bytes& bytes) override { agent_.around_.stream_send(stream, bytes); }
  void close(StreamId stream) override { agent_.around_.stream_close(stream); }
  bool full(StreamId stream) const override { return agent_.around_.stream_full(stream); }

  // ServerHost
  std::size_t pool_count() const override { return agent_.pools_.size(); }
  const gossip::Serf& serf(PoolId pool) const override { return agent_.serf(pool); }
  const std::string& segment(PoolId pool) const override { return agent_.segment(pool); }
  void remove_failed_node(Instant now, std::string_view name) override;
  std::optional<Error> user_event(Instant now, std::string_view name, ByteView payload) override;
  void server_failed(Instant now, std::string_view why) override;

  Agent& agent_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<ServerLeader> leader_;
  std::unique_ptr<RpcClient> client_;
  std::unique_ptr<RpcPort> client_port_;
  std::unique_ptr<AgentLocal> local_;
  bool server_up_ = false;  // a client heard of a server, or anybody of a new leader, since it last ran

  bool leads_still_ = false;  // of a leave: it could not hand over
  Instant drained_ = Instant::never();
  Instant removal_check_ = Instant::never();
  Instant removal_limit_ = Instant::never();
};

}  // namespace dcsim::consul
