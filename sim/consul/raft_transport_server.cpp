#include <type_traits>
#include <utility>

#include "consul/raft_transport.h"

// The answering side (hashicorp/raft net_transport.go handleConn, handleCommand).

namespace dcsim::consul {

void RaftTransport::adopt(Instant now, StreamId stream, const Endpoint& remote, const Bytes& first) {
  const std::uint32_t slot = conns_.take();
  Conn& conn = conns_[slot];
  conn.state = State::kServer;
  conn.stream = stream;
  conn.remote = remote;
  conn.connected = true;
  conn.eof = false;
  conn.requests = wire::RaftRequestParser(config_.dialect);
  index_.add(stream, slot);
  if (host_.logs(LogLevel::kDebug)) {
    host_.log(LogLevel::kDebug, "agent.server.raft: accepted connection: local-address=" + config_.local_address +
                                    " remote-address=" + remote.text());
  }
  if (!first.empty()) server_data(now, slot, first);
  run(now);
}

void RaftTransport::server_data(Instant now, std::uint32_t slot, const Bytes& data) {
  Conn& conn = conns_[slot];
  conn.requests.feed(data);
  // A client that sends on and on while its request waits; a real one is held back by the connection's window.
  if (conn.requests.buffered() > wire::kMaxRaftFrame) {
    return decoding_failed(slot, wire::name_of(wire::RaftStreamError::kTooLarge));
  }
  serve(now, slot);
}

void RaftTransport::server_eof(Instant now, std::uint32_t slot) {
  Conn& conn = conns_[slot];
  if (conn.receiving_snapshot) {
    conn.receiving_snapshot = false;
    return give_snapshot(now, slot);  // the node sees that it is short
  }
  serve(now, slot);
}

void RaftTransport::server_failed(Instant now, std::uint32_t slot, std::string_view text) {
  Conn& conn = conns_[slot];
  const std::uint32_t stamp = conn.stamp;
  if (std::exchange(conn.receiving_snapshot, false)) give_snapshot(now, slot);
  if (conn.stamp == stamp) decoding_failed(slot, text);
}

void RaftTransport::decoding_failed(std::uint32_t slot, std::string_view error) {
  if (host_.logs(LogLevel::kError)) {
    host_.log(LogLevel::kError,
              "agent.server.raft: failed to decode incoming command: error=" + quoted_if_needed(error));
  }
  drop(slot);
}

/// Takes up requests until one is left waiting for its answer.
void RaftTransport::serve(Instant now, std::uint32_t slot) {
  Conn& conn = conns_[slot];
  if (conn.state != State::kServer || conn.busy || conn.serving || node_ == nullptr) {
    if (conn.state == State::kServer && node_ == nullptr && !std::exchange(conn.waits, true)) ready_.push(slot);
    return;
  }
  const std::uint32_t stamp = conn.stamp;
  conn.serving = true;
  while (serve_one(now, slot)) {
  }
  if (conn.stamp == stamp) conn.serving = false;
}

/// False: there is nothing more to do on this connection now, or it is gone.
bool RaftTransport::serve_one(Instant now, std::uint32_t slot) {
  Conn& conn = conns_[slot];
  const std::uint32_t stamp = conn.stamp;
  wire::RaftRequest request;
  switch (conn.requests.next(request, workspace_)) {
    case wire::RaftStreamStatus::kNeedMore:
      break;
    case wire::RaftStreamStatus::kRefused:
      decoding_failed(slot, conn.requests.error_text());
      return false;
    case wire::RaftStreamStatus::kSnapshot:
      return take_snapshot(now, slot) && conn.stamp == stamp && !conn.busy;
    case wire::RaftStreamStatus::kMessage:
      return take_request(now, slot, request) && conn.stamp == stamp && !conn.busy;
  }
  if (!conn.eof) return false;
  if (conn.requests.finish() == wire::RaftStreamError::kNone) return drop(slot), false;
  decoding_failed(slot, wire::name_of(conn.requests.finish()));
  return false;
}

raft::RequestId RaftTransport::begin_request(std::uint32_t slot) {
  Conn& conn = conns_[slot];
  conn.busy = true;
  ++conn.request;
  return (std::uint64_t{conn.request} << 32 | slot) + 1;
}

bool RaftTransport::take_request(Instant now, std::uint32_t slot, wire::RaftRequest& request) {
  Conn& conn = conns_[slot];
  if (const auto* install = std::get_if<wire::InstallSnapshotRequest>(&request.body)) {
    if (static_cast<std::uint64_t>(install->size) > config_.max_snapshot) {
      return decoding_failed(slot, wire::name_of(wire::RaftStreamError::kTooLarge)), false;
    }
    const bool empty = install->size == 0;
    conn.snapshot_request = std::move(request);
    conn.snapshot.clear();
    conn.receiving_snapshot = !empty;
    if (empty) give_snapshot(now, slot);
    return true;
  }
  const raft::RequestId id = begin_request(slot);
  std::visit(
      [&](const auto& body) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(body)>, wire::InstallSnapshotRequest>) {
          node_->on_request(now, id, body);
        }
      },
      request.body);
  return true;
}

bool RaftTransport::take_snapshot(Instant now, std::uint32_t slot) {
  Conn& conn = conns_[slot];
  const ByteView piece = conn.requests.snapshot().view();
  conn.snapshot.insert(conn.snapshot.end(), piece.begin(), piece.end());
  if (conn.requests.snapshot_left() > 0) return true;
  conn.receiving_snapshot = false;
  give_snapshot(now, slot);
  return true;
}

void RaftTransport::give_snapshot(Instant now, std::uint32_t slot) {
  Conn& conn = conns_[slot];
  const Bytes state{ByteView(conn.snapshot)};
  Buffer().swap(conn.snapshot);
  const wire::RaftRequest request = std::exchange(conn.snapshot_request, {});
  const raft::RequestId id = begin_request(slot);
  if (node_ != nullptr) node_->on_request(now, id, std::get<wire::InstallSnapshotRequest>(request.body), state);
}

/// Sends what `respond` put into scratch_.
void RaftTransport::answer(raft::RequestId id) {
  const auto slot = static_cast<std::uint32_t>(id - 1);
  if (slot >= conns_.size()) return;
  Conn& conn = conns_[slot];
  if (conn.state != State::kServer || !conn.busy || conn.request != static_cast<std::uint32_t>((id - 1) >> 32)) return;
  io_.send(conn.stream, Bytes(ByteView(scratch_)));
  conn.busy = false;
  if (conn.serving || (conn.requests.buffered() == 0 && !conn.eof)) return;
  if (!std::exchange(conn.waits, true)) ready_.push(slot);
}

}  // namespace dcsim::consul
