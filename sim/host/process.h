#pragma once
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "consul/agent.h"
#include "core/engine.h"
#include "net/network.h"
#include "raft/memory_storage.h"

namespace dcsim::host {

class World;

/// One agent of the scenario, dense in file order; equal to the index of its host in the network.
using AgentId = Id<struct AgentTag>;

enum class ProcessState : std::uint8_t { kDown, kRunning, kLeaving, kPaused };

/// A process on a machine of the virtual network: it runs a consul::Agent, owns its sockets, arms its one timer, and can
/// be slow, paused or killed. What it asks of the machine goes to the Network, what happens is told to the Recorder.
class Process final : public consul::Surroundings, public net::UdpSink, public net::TcpSink {
 public:
  Process(World& world, AgentId id, HostId host);
  ~Process() override;

  ProcessState state() const { return state_; }
  bool running() const { return state_ != ProcessState::kDown; }
  AgentId id() const { return id_; }
  HostId host() const { return host_; }
  /// Requires running().
  const consul::Agent& agent() const { return *agent_; }
  /// When the process last started; the detection clock of its death is World's.
  Instant started_at() const { return started_at_; }

  void start(const consul::AgentConfig& config);
  void terminate();  ///< SIGTERM
  void kill();       ///< SIGKILL: nothing is said to anybody
  void pause();      ///< SIGSTOP: what arrives waits in the kernel, timers fire late
  void resume();
  void run(consul::CommandId command, const std::vector<std::string>& words);
  /// One RPC of the agent (Agent::call_rpc), as a program on the machine makes it. No answer comes once the process dies.
  void call_rpc(std::string_view method, const Bytes& arguments, consul::RpcDone done);
  /// CPU time that each message and timer costs from now on; zero = none.
  void set_service_time(Duration each) { service_time_ = each; }
  /// Runs this machine's clock fast (positive) or slow by billionths of elapsed time, from now on.
  void set_clock_drift(std::int64_t billionths);

  // consul::Surroundings
  gossip::Directory& directory(std::string_view pool) override;
  gossip::SerfWorkspace& workspace() override;
  std::optional<Error> listen(consul::PoolId pool, const Endpoint& at) override;
  raft::Storage* raft_storage() override;
  std::optional<Error> listen_rpc(const Endpoint& at) override;
  bool stream_full(gossip::StreamId stream) const override;
  Endpoint stream_local(gossip::StreamId stream) const override;
  Result<std::vector<Address>> resolve(std::string_view name) override;
  gossip::SendStatus send_packet(consul::PoolId pool, const Endpoint& to, const Bytes& payload) override;
  std::string send_error() const override;
  gossip::StreamId dial(consul::PoolId pool, const Endpoint& to, Duration timeout) override;
  void stream_send(gossip::StreamId stream, const Bytes& payload) override;
  void stream_close(gossip::StreamId stream) override;
  Cause note(consul::PoolId pool, const gossip::Notice& notice) override;
  void because(Cause cause) override;
  Cause member_event(consul::PoolId pool, const gossip::MemberEvent& event, Cause cause) override;
  Cause serf_notice(consul::PoolId pool, const gossip::SerfNotice& notice, Cause cause) override;
  Cause joined(consul::PoolId pool, const consul::JoinReport& report) override;
  void serf_message(consul::PoolId pool, bool sent, std::size_t bytes) override;
  void coordinate_moved(consul::PoolId pool, const gossip::Coordinate& before, const gossip::Coordinate& after) override;
  void queues_checked(consul::PoolId pool, const gossip::QueueDepths& depths) override;
  void user_event(consul::PoolId pool, const gossip::UserEvent& event) override;
  void query(consul::PoolId pool, std::string_view name) override;
  void log(consul::LogLevel level, std::string_view line) override;
  void command_done(consul::CommandId command, const consul::CommandResult& result) override;
  void exited(int status, std::string_view why) override;

  // net::UdpSink, net::TcpSink
  bool takes(const Endpoint& to, std::size_t bytes) override;
  void on_udp(HostId host, const Endpoint& from, const Endpoint& to, const Bytes& payload) override;
  void on_accept(net::ConnectionId connection, const Endpoint& local, const Endpoint& remote) override;
  void on_connected(net::ConnectionId connection) override;
  void on_data(net::ConnectionId connection, const Bytes& data) override;
  void on_eof(net::ConnectionId connection) override;
  void on_error(net::ConnectionId connection, net::SocketError error) override;
  void on_writable(net::ConnectionId connection) override;

  // Engine events, dispatched by the World
  void wake();                              ///< the agent's deadline
  void dial_expired(std::uint32_t stream);  ///< a dialler's own time is up
  void dial_failed(std::uint32_t stream);   ///< connect() failed at once; told after the call that dialled
  void serve();                             ///< the slow CPU takes up the next waiting input
  void stored();                            ///< a write of the server's log ended

 private:
  struct Listener {
    std::uint16_t port;
    consul::PoolId pool;
  };
  struct Stream {
    net::ConnectionId connection;
    consul::PoolId pool;
    Endpoint remote;
    bool dialled = false;
    bool connected = false;
    bool local_closed = false;
    net::SocketError failed_at_once = net::SocketError::kNone;
    core::EventHandle timer;
    Endpoint local{};                // of an RPC connection
    std::deque<Bytes> unsent = {};   // what its send buffer did not take
    bool closing = false;            // and closed behind it
  };
  /// Something that happened while the process was paused or busy.
  struct Input {
    enum class Kind : std::uint8_t { kPacket, kAccepted, kConnected, kData, kEof, kFailed, kCommand, kCall, kWritable, kStored } kind;
    consul::PoolId pool;
    gossip::StreamId stream;
    Endpoint from;
    Bytes bytes;
    std::string error;
    Cause cause;
    consul::CommandId command = {};
    std::vector<std::string> words = {};
    raft::StoreOp store_op = 0;
    consul::RpcDone done = nullptr;
  };

  Instant local_now() const;
  Instant from_local(Instant local) const;
  /// An input of the agent begins, caused by `cause`: `because(none)` comes back to that.
  void begin_input(Cause cause);
  /// What arrives has to wait: also behind what waits already, so that nothing overtakes.
  bool busy() const { return state_ == ProcessState::kPaused || service_time_.ns > 0 || !inbox_.empty(); }
  void serve_later();
  void take(Input input);
  void handle(const Input& input);
  void after_input();
  void arm();
  void down();
  gossip::StreamId new_stream(net::ConnectionId connection, consul::PoolId pool, const Endpoint& remote, bool dialled);
  Stream* find(gossip::StreamId id);
  gossip::StreamId stream_of(net::ConnectionId connection) const;
  void forget(gossip::StreamId id);
  void rpc_send(Stream& stream, const Bytes& payload);
  void rpc_opened(Stream& stream, const Endpoint& local);
  bool rpc_bound(const Address& local) const;
  bool may_bind(const Address& address) const;
  void watch_storage();
  std::string dial_error(const Stream& stream, net::SocketError error) const;

  World& world_;
  AgentId id_;
  HostId host_;
  ProcessState state_ = ProcessState::kDown;
  std::unique_ptr<consul::Agent> agent_;
  Instant started_at_;
  Cause started_;      // the record of the start: the root of what the agent does by its own timers
  Cause input_cause_;  // of the input that is being handled
  bool end_pending_ = false;
  std::uint32_t starts_ = 0;

  struct Unsent {
    net::SocketError error = net::SocketError::kNone;
    Endpoint from;
    Endpoint to;
  } unsent_;  // the last datagram that the machine would not send

  std::vector<Listener> listeners_;
  std::unordered_map<std::uint32_t, Stream> streams_;            // looked up by id, never iterated
  std::map<net::ConnectionId, std::uint32_t> by_connection_;     // likewise
  std::uint32_t next_stream_ = 1;

  core::EventHandle timer_;
  Instant armed_at_ = Instant::never();

  raft::MemoryStorage raft_memory_{100_us};  // survives the process
  std::vector<Address> rpc_binds_;
  core::EventHandle store_timer_;
  Instant store_at_ = Instant::never();

  Duration service_time_;
  bool serving_ = false;
  core::EventHandle service_;
  bool leaving_ = false;
  std::deque<Input> inbox_;
  std::size_t inbox_bytes_ = 0;
  bool wake_waiting_ = false;

  Instant clock_base_;  // simulated and local time agreed on (clock_base_, clock_local_)
  Instant clock_local_;
  std::int64_t clock_drift_ = 0;
};

}  // namespace dcsim::host
