#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "consul/agent_config.h"
#include "consul/conn_pool.h"
#include "consul/endpoint_table.h"
#include "consul/fsm.h"
#include "consul/raft_transport.h"
#include "consul/rpc_client.h"
#include "consul/rpc_port.h"
#include "consul/rpc_server.h"
#include "consul/server_duties.h"
#include "consul/server_manager.h"
#include "consul/surroundings.h"
#include "raft/node.h"

namespace dcsim::gossip {
class Serf;
}

namespace dcsim::consul {

/// How an operation of Raft ended: `error` is hashicorp/raft's text, or empty.
struct RaftResult {
  std::string_view error;
  raft::Index index = 0;
  raft::Term term = 0;
  Applied applied;  ///< of a command that was applied
};
using RaftReply = std::function<void(Instant now, const RaftResult& result)>;

/// The gossip side of the agent that a server belongs to. Members are those of Serf: failed and left ones too.
class ServerHost {
 public:
  virtual ~ServerHost() = default;
  virtual std::size_t pool_count() const = 0;
  /// 0 is the default segment.
  virtual const gossip::Serf& serf(PoolId pool) const = 0;
  virtual const std::string& segment(PoolId pool) const = 0;
  /// `consul force-leave NAME`: in every pool that has it.
  virtual void remove_failed_node(Instant now, std::string_view name) = 0;
  /// Broadcast in every pool.
  virtual std::optional<Error> user_event(Instant now, std::string_view name, ByteView payload) = 0;
  /// The server can not go on (a panic of Consul).
  virtual void server_failed(Instant now, std::string_view why) = 0;
};

/// The server half of a Consul agent: a Raft node with the state machine on top, the RPC port, the endpoints behind it,
/// forwarding to the leader, blocking queries and session timers (agent/consul/server.go, rpc.go). Its agent hands it
/// the gossip events and the inputs of its RPC connections.
///
/// Contract: `start` once, then inputs in time order; after every input, and after any call from outside, `run`; keep
/// one timer for next_deadline. Callbacks come from `run`, never from inside the call that asked. What is borrowed
/// outlives it. A crash is its end; `storage` lives on.
class Server final : public AgentRpc,
                     private raft::Actions,
                     private RaftTransportHost,
                     private RpcServerHost,
                     private ConnPoolHost {
 public:
  Server(const AgentConfig& config, Surroundings& around, StreamIo& io, ServerHost& host, raft::Storage& storage,
         std::uint64_t seed, std::string entity);
  ~Server() override;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// setupRaft: the node starts from what storage holds; in bootstrap mode, and without any state, with itself as the
  /// only voter. The RPC port must be listening already.
  std::optional<Error> start(Instant now);
  /// The leader's duties, bootstrapping and so on; borrowed, before `start`. May be several; told in this order.
  void add_duties(ServerDuties& duties) { duties_.push_back(&duties); }

  // --- Inputs ------------------------------------------------------------------------------------------------------

  /// For one input of a connection.
  RpcPort& port(Instant now) {
    now_ = now;
    return port_;
  }
  /// A write to storage ended.
  void on_stored(Instant now, raft::StoreOp op, std::string_view error);
  /// From inside a Serf of the agent: takes note; what follows from it waits for `run`.
  void on_member_event(PoolId pool, gossip::MemberEventKind kind, const gossip::Member& member);
  void run(Instant now);
  void on_deadline(Instant now);
  Instant next_deadline() const;

  // --- Raft --------------------------------------------------------------------------------------------------------

  /// raftApply: `command` as wire::rpc::append_command makes it. On a server that does not lead: kErrNotLeader.
  void apply(Instant now, Bytes command, RaftReply reply);
  template <class M>
  void apply(Instant now, wire::rpc::CommandType type, const M& message, RaftReply reply) {
    command_.clear();
    wire::rpc::append_command(type, message, command_);
    apply(now, Bytes(command_), std::move(reply));
  }
  void barrier(Instant now, Duration limit, RaftReply reply);
  void verify_leader(Instant now, RaftReply reply);
  void change_configuration(Instant now, raft::ConfigurationChange change, RaftReply reply);
  /// "" = to the voter that is furthest.
  void transfer_leadership(Instant now, std::string_view server_id, RaftReply reply);
  /// BootstrapCluster: with voters, on a server without any state.
  void bootstrap(Instant now, const raft::Configuration& configuration, RaftReply reply);

  const raft::Node& raft() const { return *node_; }
  bool is_leader() const { return node_->role() == raft::Role::kLeader; }
  /// "10.0.0.1:8300", or "" (raft.Leader()).
  std::string_view leader_address() const { return node_->leader_address(); }
  /// isReadyForConsistentReads: set by the duties once leadership is established.
  void set_ready(bool ready) { ready_ = ready; }
  bool ready() const { return ready_; }
  /// Numbers that Status.RaftStats tells; last contact as Go prints it ("0", "never", "12.5ms").
  wire::rpc::RaftStats raft_stats(Instant now) const;

  // --- State, gossip, calls ----------------------------------------------------------------------------------------

  StateStore& store() { return fsm_.store(); }
  const StateStore& store() const { return fsm_.store(); }
  const Fsm& fsm() const { return fsm_; }
  const ServerLookup& lookup() const { return lookup_; }
  const AgentConfig& config() const { return config_; }
  ServerHost& host() { return host_; }
  Surroundings& around() { return around_; }
  /// One call of one server, without forwarding or repeating (connPool.RPC).
  void call_server(Instant now, const ServerEntry& server, std::string_view method, Bytes args, RpcReply reply,
                   std::optional<Duration> timeout = {});
  /// The agent's own RPC: served here or forwarded, as a request that came over the network.
  using AgentRpc::invoke;
  void invoke(Instant now, std::string_view method, Bytes args, const RpcInfo& info, RpcReply reply) override;

  // --- Leaving (server.go Leave) -----------------------------------------------------------------------------------

  /// Whether it leads others, so that leadership is to be handed over before the pools are left.
  bool must_hand_over() const;
  /// leadershipTransfer: up to three attempts, else it removes itself. `done`: false if it still leads.
  void hand_over(Instant now, std::function<void(Instant, bool)> done);
  /// close(leaveCh): from now on RPCs that need the leader are refused.
  void refuse_rpc(Instant now);
  /// Whether the latest configuration does not have it.
  bool out_of_raft() const;
  void shutdown(Instant now);

  // --- For the endpoints (endpoint_*.cpp) --------------------------------------------------------------------------

  ServerRequest& request(std::uint32_t slot) { return requests_[slot]; }
  template <class M>
  void answer(Instant now, std::uint32_t slot, const M& reply) {
    ServerRequest& r = requests_[slot];
    if (r.call != 0) {
      rpc_.respond_with(now, r.call, [&](Buffer& out) { wire::rpc::encode(reply, out); });
      return finished_request(slot);
    }
    reply_.clear();
    wire::rpc::encode(reply, reply_);
    answered_locally(slot, Bytes(reply_), {});
  }
  void refuse(Instant now, std::uint32_t slot, std::string_view error);
  /// blockingQuery's decision: true, if the query now waits for a change (`watch`) and must not be answered.
  bool block(Instant now, std::uint32_t slot, std::uint64_t index, bool found, const WatchSet& watch);
  void fill_meta(Instant now, wire::rpc::QueryMeta& meta) const;
  WatchSet& watch() { return watch_; }
  Buffer& scratch() { return command_; }
  Rng& uuid_stream() { return uuid_; }
  const std::vector<ServerDuties*>& duties() const { return duties_; }
  /// Coordinate.Update: kept until the next batch goes to Raft (coordinate_endpoint.go).
  void coordinate_updated(Instant now, wire::rpc::Coordinate coordinate);
  /// Applies a command for a request; `done` answers or refuses it.
  using RequestDone = void (*)(Server&, Instant, std::uint32_t slot, const RaftResult&);
  void apply_for(Instant now, std::uint32_t slot, Bytes command, RequestDone done);
  RaftReply for_request(std::uint32_t slot, RequestDone done);
  void log(LogLevel level, std::string_view line) override;

 private:
  struct Op {
    std::uint32_t stamp = 0;
    std::uint64_t request = 0;  // answered by `done`, if it still waits
    RequestDone done = nullptr;
    RaftReply reply;
  };
  struct Ended {
    raft::Token token;
    std::string error;
    raft::Index index;
    raft::Term term;
    Applied applied;
  };
  struct MemberNews {
    PoolId pool;
    gossip::MemberEventKind kind;
    gossip::Member member;
  };
  struct LocalReply {
    RpcReply reply;
    Bytes body;
    std::string error;
  };
  struct DirectCall {
    std::uint32_t stamp = 0;
    RpcReply reply;
  };

  // server_raft.cpp
  raft::Token new_op(RaftReply reply);
  bool take_ended(Instant now);
  void raft_panic(Instant now);
  void send(raft::RpcId id, const raft::Server& to, raft::Channel channel,
            const wire::AppendEntriesRequest& request) override;
  void send(raft::RpcId id, const raft::Server& to, const wire::RequestVoteRequest& request) override;
  void send(raft::RpcId id, const raft::Server& to, const wire::RequestPreVoteRequest& request) override;
  void send(raft::RpcId id, const raft::Server& to, const wire::InstallSnapshotRequest& request,
            const Bytes& state) override;
  void send(raft::RpcId id, const raft::Server& to, const wire::TimeoutNowRequest& request) override;
  void close_pipeline(const raft::Server& to) override;
  void respond(raft::RequestId id, const wire::AppendEntriesResponse& response, std::string_view error) override;
  void respond(raft::RequestId id, const wire::RequestVoteResponse& response, std::string_view error) override;
  void respond(raft::RequestId id, const wire::RequestPreVoteResponse& response, std::string_view error) override;
  void respond(raft::RequestId id, const wire::InstallSnapshotResponse& response, std::string_view error) override;
  void respond(raft::RequestId id, const wire::TimeoutNowResponse& response, std::string_view error) override;
  void apply(std::span<const raft::LogEntry> entries) override;
  Bytes take_snapshot() override;
  bool restore(const raft::SnapshotMeta& meta, const Bytes& state) override;
  void finished(raft::Token token, const raft::Outcome& outcome) override;
  void leadership(bool leading) override;
  void notice(const raft::Notice& notice) override;
  bool logs(raft::LogLevel level) const override;
  void log(raft::LogLevel level, std::string_view message, std::span<const raft::LogField> fields) override;
  void panic(std::string_view reason) override;

  // RaftTransportHost, RpcServerHost, ConnPoolHost
  bool server_address(std::string_view id, Endpoint& at) override;
  bool logs(LogLevel level) const override { return level >= LogLevel::kInfo; }
  void raft_stream_closed(StreamId stream) override;
  void rpc_request(Instant now, RpcCallId call, std::string_view method, const Bytes& body,
                   const Endpoint& remote) override;
  void raft_handoff(Instant now, StreamId stream, const Endpoint& remote, const Bytes& first) override;
  void rpc_result(Instant now, CallToken token, const Bytes& reply, std::string_view error) override;

  // server_forward.cpp
  std::uint32_t new_request(Instant now, const RpcMethod& method, const Bytes& body, RpcInfo info);
  void route(Instant now, std::uint32_t slot);
  void to_leader(Instant now, std::uint32_t slot);
  void retry_or_refuse(Instant now, std::uint32_t slot, std::string_view error);
  void forward_to(Instant now, std::uint32_t slot, const ServerEntry& server);
  void serve(Instant now, std::uint32_t slot);
  void query(Instant now, std::uint32_t slot);
  void verify(Instant now, std::uint32_t slot);
  static void verified(Server& server, Instant now, std::uint32_t slot, const RaftResult& result);
  void request_due(Instant now, std::uint32_t slot);
  void finished_request(std::uint32_t slot);
  void answered_locally(std::uint32_t slot, Bytes body, std::string_view error);
  void answer_raw(Instant now, std::uint32_t slot, const Bytes& body);
  bool wake_queries(Instant now);
  bool deliver_local(Instant now);

  // server.cpp
  bool tell_duties(Instant now);
  void send_coordinates(Instant now);
  void try_hand_over(Instant now, int attempt, std::function<void(Instant, bool)> done);

  const AgentConfig config_;
  Surroundings& around_;
  ServerHost& host_;
  raft::Storage& storage_;
  std::uint64_t seed_;
  std::string entity_;
  Instant now_;  // of the input under way, for callbacks of the node
  RpcSettings settings_;
  /// Marks the tokens of call_server among those of forwarded requests.
  static constexpr CallToken kDirect = CallToken{1} << 63;

  Fsm fsm_;
  RaftTransport transport_;
  RpcServer rpc_;
  ConnPool pool_;
  RpcPort port_;
  std::unique_ptr<raft::Node> node_;
  ServerLookup lookup_;
  std::vector<ServerDuties*> duties_;
  bool ready_ = false;
  bool refusing_ = false;
  bool shut_ = false;
  bool running_ = false;
  std::string panic_;

  Slots<Op> ops_;
  std::vector<Ended> ended_, spare_ended_;
  raft::Index applied_to_ = 0, told_applied_ = 0;
  std::vector<std::pair<raft::Index, Applied>> applied_;  // of the last batch, for the operations behind it
  std::vector<bool> leadership_;
  std::vector<MemberNews> members_;
  Slots<ServerRequest> requests_;
  Deadlines request_deadlines_;
  Slots<DirectCall> direct_;
  std::vector<LocalReply> local_;
  std::map<WaiterId, std::uint64_t> waiters_;  // -> request
  std::vector<WaiterId> woken_;
  WatchSet watch_;
  std::uint32_t restores_ = 0;
  Instant started_;
  std::map<std::pair<std::string, std::string>, wire::rpc::Coordinate> coordinates_;  // by node and segment
  Instant coordinates_at_ = Instant::never();
  Rng jitter_, wait_, uuid_;
  Buffer command_, reply_;
};

}  // namespace dcsim::consul
