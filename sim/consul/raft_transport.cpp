#include "consul/raft_transport.h"

#include <algorithm>
#include <utility>

#include "wire/rpc.h"

namespace dcsim::consul {
namespace {

constexpr std::int64_t kTimeoutScale = 256 * 1024;  // net_transport.go DefaultTimeoutScale
constexpr std::uint8_t kRaftByte = static_cast<std::uint8_t>(wire::rpc::RpcByte::kRaft);

}  // namespace

RaftTransport::RaftTransport(RaftTransportConfig config, StreamIo& io, RaftTransportHost& host)
    : config_(std::move(config)), io_(io), host_(host) {}

// --- The node's requests
// ------------------------------------------------------------------------------------------------

void RaftTransport::send(Instant now, raft::RpcId id, const raft::Server& to, raft::Channel channel,
                         const wire::AppendEntriesRequest& request) {
  scratch_.clear();
  wire::append_request(request, config_.dialect, scratch_);
  if (channel == raft::Channel::kPipeline) return pipeline(now, id, to);
  call(now, id, to, wire::RaftRpc::kAppendEntries, config_.timeout);
}

void RaftTransport::send(Instant now, raft::RpcId id, const raft::Server& to, const wire::RequestVoteRequest& request) {
  scratch_.clear();
  wire::append_request(request, config_.dialect, scratch_);
  call(now, id, to, wire::RaftRpc::kRequestVote, config_.timeout);
}

void RaftTransport::send(Instant now, raft::RpcId id, const raft::Server& to,
                         const wire::RequestPreVoteRequest& request) {
  scratch_.clear();
  wire::append_request(request, config_.dialect, scratch_);
  call(now, id, to, wire::RaftRpc::kRequestPreVote, config_.timeout);
}

void RaftTransport::send(Instant now, raft::RpcId id, const raft::Server& to,
                         const wire::InstallSnapshotRequest& request, const Bytes& state) {
  scratch_.clear();
  wire::append_request(request, config_.dialect, scratch_);
  const Duration timeout = config_.timeout * std::max<std::int64_t>(1, request.size / kTimeoutScale);
  call(now, id, to, wire::RaftRpc::kInstallSnapshot, timeout, &state);
}

void RaftTransport::send(Instant now, raft::RpcId id, const raft::Server& to, const wire::TimeoutNowRequest& request) {
  scratch_.clear();
  wire::append_request(request, config_.dialect, scratch_);
  call(now, id, to, wire::RaftRpc::kTimeoutNow, config_.timeout);
}

/// getConnFromAddressProvider.
bool RaftTransport::locate(const raft::Server& to, Endpoint& at, std::string& error) {
  if (host_.server_address(to.id, at)) return true;
  if (host_.logs(LogLevel::kWarn)) {
    host_.log(LogLevel::kWarn,
              "agent.server.raft: unable to get address for server, using fallback address: id=" + to.id +
                  " fallback=" + to.address + " error=\"Could not find address for server id " + to.id + "\"");
  }
  if (parse_endpoint(to.address, at)) return true;
  const bool has_port = to.address.find(':') != std::string::npos;
  error = has_port ? "dial tcp: lookup " + to.address.substr(0, to.address.rfind(':')) + ": no such host"
                   : "dial tcp: address " + to.address + ": missing port in address";
  return false;
}

void RaftTransport::fail(raft::RpcId id, std::string_view text) { failures_.push({id, std::string(text)}); }

RaftTransport::Peer& RaftTransport::peer(const Endpoint& at) {
  const auto it = std::find_if(peers_.begin(), peers_.end(), [&](const Peer& p) { return p.at == at; });
  return it != peers_.end() ? *it : peers_.emplace_back(Peer{at, {}});
}

std::uint32_t RaftTransport::take_idle(const Endpoint& at) {
  Peer& p = peer(at);
  if (p.idle.empty()) return kNoSlot;
  const std::uint32_t slot = p.idle.back();
  p.idle.pop_back();
  return slot;
}

std::uint32_t RaftTransport::dial(const Endpoint& at) {
  const std::uint32_t slot = conns_.take();
  Conn& conn = conns_[slot];
  conn.remote = at;
  conn.local = {};
  conn.connected = conn.single_use = conn.eof = false;
  conn.stream = io_.dial(at, config_.timeout);
  index_.add(conn.stream, slot);
  return slot;
}

std::uint32_t RaftTransport::connection(raft::RpcId id, const raft::Server& to) {
  Endpoint at;
  std::string error;
  if (!locate(to, at, error)) return fail(id, error), kNoSlot;
  const std::uint32_t slot = take_idle(at);
  return slot != kNoSlot ? slot : dial(at);
}

void RaftTransport::call(Instant now, raft::RpcId id, const raft::Server& to, wire::RaftRpc rpc, Duration timeout,
                         const Bytes* state) {
  now_ = std::max(now_, now);
  const std::uint32_t slot = connection(id, to);
  if (slot == kNoSlot) return;
  Conn& conn = conns_[slot];
  conn.state = State::kCall;
  conn.single_use = rpc == wire::RaftRpc::kInstallSnapshot;
  conn.timeout = timeout;
  put(now, slot, {id, rpc}, state);
}

void RaftTransport::pipeline(Instant now, raft::RpcId id, const raft::Server& to) {
  now_ = std::max(now_, now);
  std::uint32_t slot = 0;
  while (slot < conns_.size() && (conns_[slot].state != State::kPipeline || conns_[slot].server != to.id)) ++slot;
  if (slot == conns_.size()) {
    slot = connection(id, to);
    if (slot == kNoSlot) return;
    Conn& conn = conns_[slot];
    conn.state = State::kPipeline;
    conn.server = to.id;
    conn.timeout = config_.timeout;
  }
  put(now, slot, {id, wire::RaftRpc::kAppendEntries}, nullptr);
}

/// Sends scratch_, and `state` behind it. On a connection whose end had come while nobody read from it, the call fails.
void RaftTransport::put(Instant now, std::uint32_t slot, Outstanding outstanding, const Bytes* state) {
  Conn& conn = conns_[slot];
  conn.outstanding.push(outstanding);
  const Bytes request{ByteView(scratch_)};
  if (!conn.connected) {
    conn.unsent.push_back(request);
    if (state != nullptr) conn.unsent.push_back(*state);
    return;
  }
  io_.send(conn.stream, request);
  if (state != nullptr && !state->empty()) io_.send(conn.stream, *state);
  if (conn.eof || !conn.broken.empty())
    return fail_all(slot, conn.broken.empty() ? "EOF" : as_write_error(conn.broken));
  if (conn.outstanding.size() == 1) deadlines_.arm(slot, now + conn.timeout);
}

void RaftTransport::close_pipeline(const raft::Server& to) {
  for (std::uint32_t slot = 0; slot < conns_.size(); ++slot) {
    if (conns_[slot].state == State::kPipeline && conns_[slot].server == to.id) drop(slot);
  }
}

/// returnConn.
void RaftTransport::give_back(std::uint32_t slot) {
  Conn& conn = conns_[slot];
  Peer& p = peer(conn.remote);
  const bool clean = conn.responses.buffered() == 0;  // nothing that nobody asked for
  if (conn.single_use || !clean || p.idle.size() >= config_.max_pool) return drop(slot);
  conn.state = State::kIdle;
  p.idle.push_back(slot);
}

void RaftTransport::drop(std::uint32_t slot) {
  Conn& conn = conns_[slot];
  const bool server = conn.state == State::kServer;
  if (conn.state == State::kIdle) std::erase(peer(conn.remote).idle, slot);
  if (conn.broken.empty()) io_.close(conn.stream);
  index_.remove(conn.stream);
  deadlines_.arm(slot, Instant::never());
  conn.state = State::kFree;
  conn.broken.clear();
  conn.outstanding.clear();
  conn.unsent.clear();
  conn.responses.reset();
  conn.requests.reset();
  conn.snapshot_request = {};
  conn.busy = conn.serving = conn.waits = conn.receiving_snapshot = false;
  Buffer().swap(conn.snapshot);
  const StreamId stream = conn.stream;
  conns_.give(slot);
  if (server) host_.raft_stream_closed(stream);
}

/// The connection is at its end: what waits on it fails.
void RaftTransport::fail_all(std::uint32_t slot, std::string_view text) {
  Conn& conn = conns_[slot];
  const std::string why(text);
  while (!conn.outstanding.empty()) fail(conn.outstanding.pop().id, why);
  drop(slot);
}

// --- What comes back
// ----------------------------------------------------------------------------------------------------

bool RaftTransport::on_connected(Instant now, StreamId stream, const Endpoint& local) {
  const std::uint32_t slot = index_.find(stream);
  if (slot == kNoSlot) return false;
  Conn& conn = conns_[slot];
  conn.connected = true;
  conn.local = local;
  io_.send(stream, Bytes(ByteView(&kRaftByte, 1)));
  for (const Bytes& bytes : conn.unsent) {
    if (!bytes.empty()) io_.send(stream, bytes);
  }
  conn.unsent.clear();
  deadlines_.arm(slot, now + conn.timeout);
  return true;
}

bool RaftTransport::on_failed(Instant now, StreamId stream, std::string_view text) {
  const std::uint32_t slot = index_.find(stream);
  if (slot == kNoSlot) return false;
  Conn& conn = conns_[slot];
  const std::string why = conn.connected ? std::string(text) : with_dial_source(text, config_.dial_source);
  conn.broken = why.empty() ? "EOF" : why;  // there is nothing left to close
  if (unwatched(conn)) return true;
  if (conn.state == State::kServer) {
    server_failed(now, slot, why);
  } else {
    fail_all(slot, why);
  }
  run(now);
  return true;
}

bool RaftTransport::on_eof(Instant now, StreamId stream) {
  const std::uint32_t slot = index_.find(stream);
  if (slot == kNoSlot) return false;
  Conn& conn = conns_[slot];
  conn.eof = true;
  if (conn.state == State::kServer) {
    server_eof(now, slot);
  } else if (!unwatched(conn)) {
    const bool inside = conn.responses.finish() == wire::RaftStreamError::kTruncated;
    fail_all(slot, inside ? "unexpected EOF" : "EOF");
  }
  run(now);
  return true;
}

bool RaftTransport::on_data(Instant now, StreamId stream, const Bytes& data) {
  const std::uint32_t slot = index_.find(stream);
  if (slot == kNoSlot) return false;
  Conn& conn = conns_[slot];
  if (conn.state == State::kServer) {
    server_data(now, slot, data);
  } else if (conn.state == State::kIdle) {
    drop(slot);  // nobody asked
  } else {
    conn.responses.feed(data);
    const std::uint32_t stamp = conn.stamp;
    take_answers(now, slot);
    if (conn.stamp == stamp && conn.state == State::kPipeline && conn.outstanding.empty() &&
        conn.responses.buffered() > 0) {
      drop(slot);
    }
  }
  run(now);
  return true;
}

void RaftTransport::take_answers(Instant now, std::uint32_t slot) {
  Conn& conn = conns_[slot];
  const std::uint32_t stamp = conn.stamp;
  wire::RaftResponse response;
  while (conn.stamp == stamp && !conn.outstanding.empty()) {
    const Outstanding first = conn.outstanding.front();
    const wire::RaftStreamStatus status = conn.responses.next(first.rpc, response);
    if (status == wire::RaftStreamStatus::kNeedMore) return;
    if (status != wire::RaftStreamStatus::kMessage) return fail_all(slot, wire::name_of(conn.responses.error()));
    conn.outstanding.pop();
    if (conn.state == State::kPipeline) {
      deadlines_.arm(slot, conn.outstanding.empty() ? Instant::never() : now + conn.timeout);
    } else {
      deadlines_.arm(slot, Instant::never());
      give_back(slot);
    }
    deliver(now, first.id, response);
    if (conn.state != State::kPipeline) return;
  }
}

void RaftTransport::deliver(Instant now, raft::RpcId id, const wire::RaftResponse& response) {
  if (node_ == nullptr) return;
  if (!response.error.empty()) return node_->on_failure(now, id, response.error);
  std::visit([&](const auto& body) { node_->on_response(now, id, body); }, response.body);
}

/// What the node may not be told, or given, from inside its own calls.
void RaftTransport::run(Instant now) {
  now_ = std::max(now_, now);
  if (running_ || node_ == nullptr) return;
  running_ = true;
  while (!failures_.empty() || !ready_.empty()) {
    while (!failures_.empty()) {
      const Failure failure = failures_.pop();
      node_->on_failure(now, failure.id, failure.text);
    }
    if (ready_.empty()) break;
    const std::uint32_t slot = ready_.pop();
    if (!std::exchange(conns_[slot].waits, false)) continue;
    serve(now, slot);
  }
  running_ = false;
}

void RaftTransport::on_deadline(Instant now) {
  std::uint32_t slot = 0;
  while (deadlines_.due(now, slot)) {
    const Conn& conn = conns_[slot];
    if (conn.state != State::kCall && conn.state != State::kPipeline) continue;
    fail_all(slot, io_timeout_text(io_.full(conn.stream), conn.local, conn.remote));
  }
  run(now);
}

Instant RaftTransport::next_deadline() const {
  if (node_ != nullptr && (!failures_.empty() || !ready_.empty())) return now_;
  return deadlines_.next();
}

void RaftTransport::shutdown() {
  for (std::uint32_t slot = 0; slot < conns_.size(); ++slot) {
    if (conns_[slot].state != State::kFree) drop(slot);
  }
  failures_.clear();
  ready_.clear();
}

std::size_t RaftTransport::idle(const Endpoint& at) const {
  const auto it = std::find_if(peers_.begin(), peers_.end(), [&](const Peer& p) { return p.at == at; });
  return it == peers_.end() ? 0 : it->idle.size();
}

}  // namespace dcsim::consul
