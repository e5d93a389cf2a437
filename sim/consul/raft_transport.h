#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"
#include "consul/conn_io.h"
#include "consul/conn_table.h"
#include "consul/surroundings.h"
#include "base/fifo.h"
#include "raft/node.h"
#include "wire/raft_stream.h"

namespace dcsim::consul {

/// hashicorp/raft net_transport.go NetworkTransportConfig as Consul sets it (agent/consul/server.go setupRaft).
struct RaftTransportConfig {
  std::size_t max_pool = 3;  ///< idle connections kept per peer
  Duration timeout = 10_s;   ///< of a dial, and of a request with its answer
  wire::RaftDialect dialect = wire::RaftDialect::k1_7;
  std::string dial_source;                              ///< see with_dial_source
  std::string local_address;                            ///< for log lines
  std::uint64_t max_snapshot = std::uint64_t{1} << 30;  ///< bytes; a larger one is refused. The library has no limit
};

class RaftTransportHost {
 public:
  virtual ~RaftTransportHost() = default;
  /// agent/consul/server_lookup.go ServerAddr: where gossip says the server with this ID is; false if it knows none.
  virtual bool server_address(std::string_view id, Endpoint& at) = 0;
  virtual bool logs(LogLevel level) const = 0;
  virtual void log(LogLevel level, std::string_view line) = 0;
  /// A connection that was adopted is closed (RpcServer::released).
  virtual void raft_stream_closed(StreamId stream) = 0;
};

/// Carries the RPCs of one raft::Node over TCP, both ways (hashicorp/raft net_transport.go over Consul's RaftLayer).
///
/// Calls take an idle connection to the peer, the one used last, or dial one, and give it back after a whole answer; a
/// pipeline has a connection of its own; one that carried a snapshot is closed. An I/O error closes the connection and
/// fails the call: nothing is repeated. A connection, idle or a quiet pipeline's, whose peer has gone is found out by
/// the next call on it, which fails with "EOF".
///
/// Contract: the methods of the first group are what the node's raft::Actions call, with the time of the node's input;
/// they never call the node. Inputs do. After every input of the node call `run`, which hands it what the input has
/// left behind (calls that failed at once, requests that waited for an answer); `next_deadline` is then at once too, so
/// a timer does instead. `io`, `host` and the node are borrowed. A crash is the object's end.
class RaftTransport {
 public:
  RaftTransport(RaftTransportConfig config, StreamIo& io, RaftTransportHost& host);
  RaftTransport(const RaftTransport&) = delete;
  RaftTransport& operator=(const RaftTransport&) = delete;

  /// Until then, and after nullptr, requests wait and answers are dropped.
  void attach(raft::Node* node) { node_ = node; }

  // --- What the node asks for (raft::Actions)
  // -------------------------------------------------------------------------

  // Hot: one encoding and one block of payload; no allocation while connections last.
  void send(Instant now, raft::RpcId id, const raft::Server& to, raft::Channel channel,
            const wire::AppendEntriesRequest& request);
  void send(Instant now, raft::RpcId id, const raft::Server& to, const wire::RequestVoteRequest& request);
  void send(Instant now, raft::RpcId id, const raft::Server& to, const wire::RequestPreVoteRequest& request);
  void send(Instant now, raft::RpcId id, const raft::Server& to, const wire::InstallSnapshotRequest& request,
            const Bytes& state);
  void send(Instant now, raft::RpcId id, const raft::Server& to, const wire::TimeoutNowRequest& request);
  void close_pipeline(const raft::Server& to);
  /// Dropped if the connection is gone.
  template <class Response>
  void respond(Instant now, raft::RequestId id, const Response& response, std::string_view error) {
    now_ = std::max(now_, now);
    respond(id, response, error);
  }
  /// The same from where no time is at hand; next_deadline may then lie in the past, by as much as the last input does.
  template <class Response>
  void respond(raft::RequestId id, const Response& response, std::string_view error) {
    scratch_.clear();
    wire::append_response(error, response, config_.dialect, scratch_);
    answer(id);
  }

  // --- Inputs; those of a connection say whether it is one of this object's
  // -------------------------------------------

  /// A connection whose first byte was 1; `first` is what came behind it.
  void adopt(Instant now, StreamId stream, const Endpoint& remote, const Bytes& first);
  bool on_connected(Instant now, StreamId stream, const Endpoint& local = {});
  bool on_failed(Instant now, StreamId stream, std::string_view text);
  bool on_data(Instant now, StreamId stream, const Bytes& data);
  bool on_eof(Instant now, StreamId stream);
  void run(Instant now);
  void on_deadline(Instant now);
  Instant next_deadline() const;

  /// Close and CloseStreams: every connection ends; calls under way are forgotten, not answered.
  void shutdown();

  // --- Views
  // ----------------------------------------------------------------------------------------------------------

  std::size_t idle(const Endpoint& peer) const;
  std::size_t connections() const { return conns_.used(); }

 private:
  enum class State : std::uint8_t { kFree, kCall, kPipeline, kIdle, kServer };
  struct Outstanding {
    raft::RpcId id = 0;
    wire::RaftRpc rpc = wire::RaftRpc::kAppendEntries;
  };
  struct Conn {
    std::uint32_t stamp = 0;
    State state = State::kFree;
    StreamId stream;
    Endpoint remote;
    Endpoint local;
    bool connected = false;
    bool single_use = false;
    bool eof = false;    // the peer sends no more
    std::string broken;  // an unwatched one: what its next user will be told
    std::string server;  // a pipeline's server ID
    Duration timeout;
    Fifo<Outstanding> outstanding;
    std::vector<Bytes> unsent;  // until it is connected
    wire::RaftResponseParser responses;
    // A server's
    wire::RaftRequestParser requests;
    wire::RaftRequest snapshot_request;
    Buffer snapshot;
    bool receiving_snapshot = false;
    std::uint32_t request = 0;  // counts; part of the RequestId
    bool busy = false;          // the node has a request of it
    bool serving = false;       // serve() is at work on it
    bool waits = false;         // is in ready_
  };
  struct Peer {
    Endpoint at;
    std::vector<std::uint32_t> idle;  // used last = at the end
  };
  struct Failure {
    raft::RpcId id = 0;
    std::string text;
  };

  // raft_transport.cpp: calling
  /// Nobody reads from it, so nobody sees its end.
  static bool unwatched(const Conn& conn) {
    return conn.state == State::kIdle || (conn.state == State::kPipeline && conn.connected && conn.outstanding.empty());
  }
  bool locate(const raft::Server& to, Endpoint& at, std::string& error);
  void fail(raft::RpcId id, std::string_view text);
  void call(Instant now, raft::RpcId id, const raft::Server& to, wire::RaftRpc rpc, Duration timeout,
            const Bytes* state = nullptr);
  void pipeline(Instant now, raft::RpcId id, const raft::Server& to);
  std::uint32_t take_idle(const Endpoint& at);
  std::uint32_t dial(const Endpoint& at);
  /// A connection for a call: idle or dialled; kNoSlot: the call has failed.
  std::uint32_t connection(raft::RpcId id, const raft::Server& to);
  void put(Instant now, std::uint32_t slot, Outstanding call, const Bytes* state);
  void give_back(std::uint32_t slot);
  void drop(std::uint32_t slot);
  void fail_all(std::uint32_t slot, std::string_view text);
  void take_answers(Instant now, std::uint32_t slot);
  void deliver(Instant now, raft::RpcId id, const wire::RaftResponse& response);
  Peer& peer(const Endpoint& at);

  // raft_transport_server.cpp: answering
  void serve(Instant now, std::uint32_t slot);
  bool serve_one(Instant now, std::uint32_t slot);
  bool take_request(Instant now, std::uint32_t slot, wire::RaftRequest& request);
  bool take_snapshot(Instant now, std::uint32_t slot);
  void give_snapshot(Instant now, std::uint32_t slot);
  void decoding_failed(std::uint32_t slot, std::string_view error);
  void server_data(Instant now, std::uint32_t slot, const Bytes& data);
  void server_eof(Instant now, std::uint32_t slot);
  void server_failed(Instant now, std::uint32_t slot, std::string_view text);
  void answer(raft::RequestId id);
  raft::RequestId begin_request(std::uint32_t slot);

  RaftTransportConfig config_;
  StreamIo& io_;
  RaftTransportHost& host_;
  raft::Node* node_ = nullptr;
  Slots<Conn> conns_;
  StreamIndex index_;
  std::vector<Peer> peers_;
  Deadlines deadlines_;
  Fifo<Failure> failures_;
  Fifo<std::uint32_t> ready_;  // connections with requests to take up
  bool running_ = false;
  Instant now_;
  Buffer scratch_;
  wire::LogWorkspace workspace_;
};

}  // namespace dcsim::consul
