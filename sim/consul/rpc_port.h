#pragma once
#include <algorithm>
#include <string_view>

#include "consul/conn_pool.h"
#include "consul/raft_transport.h"
#include "consul/rpc_server.h"

namespace dcsim::consul {

/// What an agent does on its RPC port, as one: spreads the inputs of StreamIo over the objects that own the
/// connections. A client agent has a pool only. The parts are borrowed; nullptr = there is none.
///
/// After anything else that the agent does with the parts (calls, answers, inputs of the Raft node) call `run`, or keep
/// the timer for next_deadline, which is then at once.
class RpcPort {
 public:
  explicit RpcPort(ConnPool* pool, RpcServer* server = nullptr, RaftTransport* raft = nullptr)
      : pool_(pool), server_(server), raft_(raft) {}

  /// False: nobody listens here; the caller closes the connection.
  bool on_accepted(Instant now, StreamId stream, const Endpoint& remote) {
    if (server_ == nullptr) return false;
    server_->on_accepted(now, stream, remote);
    return true;
  }
  void on_connected(Instant now, StreamId stream, const Endpoint& local = {}) {
    if (!(raft_ && raft_->on_connected(now, stream, local)) && pool_) pool_->on_connected(now, stream, local);
    run(now);
  }
  void on_failed(Instant now, StreamId stream, std::string_view text) {
    each(now, [&](auto& part) { return part.on_failed(now, stream, text); });
  }
  void on_data(Instant now, StreamId stream, const Bytes& data) {
    each(now, [&](auto& part) { return part.on_data(now, stream, data); });
  }
  void on_eof(Instant now, StreamId stream) {
    each(now, [&](auto& part) { return part.on_eof(now, stream); });
  }
  void on_writable(Instant now, StreamId stream) {
    if (!(pool_ && pool_->on_writable(now, stream)) && server_) server_->on_writable(now, stream);
    run(now);
  }

  /// What one part does for another is taken up too: a forwarded answer lets its stream's next request come up.
  void run(Instant now) {
    for (int round = 0; round < 2; ++round) {
      if (raft_) raft_->run(now);
      if (pool_) pool_->run(now);
      if (server_) server_->run(now);
    }
  }
  void on_deadline(Instant now) {
    if (raft_) raft_->on_deadline(now);
    if (pool_) pool_->on_deadline(now);
    if (server_) server_->on_deadline(now);
    run(now);
  }
  Instant next_deadline() const {
    Instant at = Instant::never();
    if (raft_) at = std::min(at, raft_->next_deadline());
    if (pool_) at = std::min(at, pool_->next_deadline());
    if (server_) at = std::min(at, server_->next_deadline());
    return at;
  }

 private:
  template <class Input>
  void each(Instant now, Input&& input) {
    if (!(raft_ && input(*raft_)) && !(pool_ && input(*pool_)) && server_) input(*server_);
    run(now);
  }

  ConnPool* pool_;
  RpcServer* server_;
  RaftTransport* raft_;
};

}  // namespace dcsim::consul
