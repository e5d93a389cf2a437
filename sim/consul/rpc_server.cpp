#include "consul/rpc_server.h"

#include <utility>

// Connections: who may have one, and what its first byte makes of it (hashicorp/consul agent/consul/rpc.go listen,
// handleConn; go-connlimit).

namespace dcsim::consul {

RpcServer::RpcServer(RpcServerConfig config, StreamIo& io, RpcServerHost& host)
    : config_(std::move(config)), io_(io), host_(host) {}

void RpcServer::log_error(std::string_view message, const Conn& conn, std::string_view key, std::string_view error) {
  host_.log(LogLevel::kError, "agent.server.rpc: " + std::string(message) + ": conn=" + log_conn(conn.remote) + " " +
                                  std::string(key) + "=" + quoted_if_needed(error));
}

/// Counts a connection of a client.
void RpcServer::admit(std::uint32_t c, bool in) {
  const Address client = conns_[c].remote.address.canonical();
  if (in) {
    ++clients_[client];
  } else if (const auto it = clients_.find(client); it != clients_.end() && --it->second == 0) {
    clients_.erase(it);
  }
}

void RpcServer::on_accepted(Instant now, StreamId stream, const Endpoint& remote) {
  now_ = now;
  if (draining_) return io_.close(stream);
  if (config_.max_conns_per_client > 0) {
    const auto it = clients_.find(remote.address.canonical());
    if (it != clients_.end() && it->second >= config_.max_conns_per_client) {
      host_.log(LogLevel::kError,
                "agent.server.rpc: rejecting RPC conn from because rpc_max_conns_per_client exceeded: conn=" +
                    log_conn(remote));
      return io_.close(stream);
    }
  }
  const std::uint32_t c = conns_.take();
  Conn& conn = conns_[c];
  conn.state = State::kFirstByte;
  conn.id = stream;
  conn.remote = remote;
  index_.add(stream, c);
  admit(c, true);
  if (config_.handshake_timeout > 0_s) deadlines_.arm(c, now + config_.handshake_timeout);
}

/// Also forgets what was under way on it; answers that come later are dropped.
void RpcServer::close(std::uint32_t c) {
  Conn& conn = conns_[c];
  const StreamId stream = conn.id;
  if (conn.plain != kNoSlot) forget_stream(conn.plain);
  while (conn.streams.size() > 0) forget_stream(conn.streams.items().back().slot);
  conn.session.reset();
  conn.plain = conn.peeking = kNoSlot;
  conn.early_ends.clear();
  conn.busy = 0;
  conn.state = State::kFree;
  deadlines_.arm(c, Instant::never());
  index_.remove(stream);
  admit(c, false);
  conns_.give(c);
  io_.close(stream);
}

void RpcServer::released(StreamId stream) {
  const std::uint32_t c = index_.find(stream);
  if (c == kNoSlot || conns_[c].state != State::kRaft) return;
  conns_[c].state = State::kFree;
  index_.remove(stream);
  admit(c, false);
  conns_.give(c);
}

/// handleConn.
void RpcServer::first_byte(Instant now, std::uint32_t c, const Bytes& data) {
  Conn& conn = conns_[c];
  const std::uint8_t byte = *data.data();
  const Bytes rest = data.slice(1, data.size() - 1);
  const wire::rpc::RpcRouting routing = wire::rpc::route_rpc_byte(byte, config_.listener);
  deadlines_.arm(c, Instant::never());
  switch (routing.route) {
    case wire::rpc::RpcRoute::kConsul:
      conn.state = State::kPlain;
      conn.plain = open_stream(c, 0);
      streams_[conn.plain].requests.feed(rest);
      return serve(now, conn.plain);
    case wire::rpc::RpcRoute::kRaft:
      conn.state = State::kRaft;
      return host_.raft_handoff(now, conn.id, conn.remote, rest);
    case wire::rpc::RpcRoute::kMultiplex:
      conn.state = State::kMux;
      conn.session.emplace(wire::YamuxSession::Side::kServer, config_.yamux, now);
      conn.session->receive(rest, now);
      return pump(now, c);
    case wire::rpc::RpcRoute::kRefuse:
      if (routing.log != "unrecognized RPC byte") {
        host_.log(routing.error ? LogLevel::kError : LogLevel::kWarn,
                  "agent.server.rpc: " + std::string(routing.log) + ": conn=" + log_conn(conn.remote));
        return close(c);
      }
      break;
    case wire::rpc::RpcRoute::kTls:  // nobody here holds a certificate
      log_error("failed to read byte", conn, "error", "tls: no certificates configured");
      return close(c);
    case wire::rpc::RpcRoute::kSnapshot:
    case wire::rpc::RpcRoute::kGossip:
    case wire::rpc::RpcRoute::kGrpc:
      break;
  }
  host_.log(LogLevel::kError,
            "agent.server.rpc: unrecognized RPC byte: byte=" + std::to_string(byte) + " conn=" + log_conn(conn.remote));
  close(c);
}

bool RpcServer::on_data(Instant now, StreamId stream, const Bytes& data) {
  const std::uint32_t c = index_.find(stream);
  if (c == kNoSlot) return false;
  now_ = now;
  Conn& conn = conns_[c];
  switch (conn.state) {
    case State::kFree:
    case State::kRaft:
      return false;
    case State::kFirstByte:
      if (!data.empty()) first_byte(now, c, data);
      break;
    case State::kPlain: {
      Stream& s = streams_[conn.plain];
      s.requests.feed(data);
      // A real client waits for its answer, and would be held back by the connection's window.
      if (s.requests.buffered() > wire::rpc::kMaxRpcFrame) {
        stream_failed(now, conn.plain, wire::name_of(wire::RaftStreamError::kTooLarge));
      } else {
        serve(now, conn.plain);
      }
      break;
    }
    case State::kMux:
      conn.session->receive(data, now);
      pump(now, c);
      break;
  }
  run(now);
  return true;
}

bool RpcServer::on_eof(Instant now, StreamId stream) {
  const std::uint32_t c = index_.find(stream);
  if (c == kNoSlot || conns_[c].state == State::kRaft) return false;
  now_ = now;
  Conn& conn = conns_[c];
  if (conn.state == State::kFirstByte) {
    close(c);
  } else if (conn.state == State::kMux) {
    conn.session->lost();
    pump(now, c);
  } else {
    streams_[conn.plain].ended = true;
    serve(now, conn.plain);
  }
  run(now);
  return true;
}

bool RpcServer::on_failed(Instant now, StreamId stream, std::string_view text) {
  const std::uint32_t c = index_.find(stream);
  if (c == kNoSlot || conns_[c].state == State::kRaft) return false;
  now_ = now;
  const Conn& conn = conns_[c];
  if (conn.state == State::kFirstByte) {
    log_error("failed to read byte", conn, "error", text);
  } else if (conn.state == State::kMux) {
    log_error("multiplex conn accept failed", conn, "error", text);
  } else if (text.find("closed") == std::string_view::npos && !streams_[conn.plain].busy) {
    log_error("RPC error", conn, "error", "rpc: server cannot decode request: " + std::string(text));
  }
  close(c);
  run(now);
  return true;
}

bool RpcServer::on_writable(Instant now, StreamId stream) {
  const std::uint32_t c = index_.find(stream);
  if (c == kNoSlot || conns_[c].state == State::kRaft) return false;
  now_ = now;
  if (conns_[c].state == State::kMux) pump(now, c);
  run(now);
  return true;
}

void RpcServer::arm(std::uint32_t c) {
  const Conn& conn = conns_[c];
  if (conn.state == State::kMux) deadlines_.arm(c, conn.session->next_deadline());
}

void RpcServer::on_deadline(Instant now) {
  now_ = now;
  std::uint32_t c = 0;
  while (deadlines_.due(now, c)) {
    Conn& conn = conns_[c];
    if (conn.state == State::kFirstByte) {
      log_error("failed to read byte", conn, "error", io_timeout_text(false, config_.local, conn.remote));
      close(c);
    } else if (conn.state == State::kMux) {
      conn.session->advance(now);
      pump(now, c);
    }
  }
  run(now);
}

Instant RpcServer::next_deadline() const { return ready_.empty() ? deadlines_.next() : now_; }

void RpcServer::run(Instant now) {
  now_ = now;
  if (running_) return;
  running_ = true;
  while (!ready_.empty()) {
    const std::uint32_t s = streams_.find(ready_.pop());
    if (s == kNoSlot) continue;
    streams_[s].waits = false;
    resume(now, s);
  }
  running_ = false;
}

void RpcServer::drain(Instant now) {
  now_ = now;
  draining_ = true;
  for (std::uint32_t c = 0; c < conns_.size(); ++c) {
    const Conn& conn = conns_[c];
    if (conn.state != State::kFree && conn.state != State::kRaft && conn.busy == 0) close(c);
  }
}

void RpcServer::shut_down() {
  draining_ = true;
  for (std::uint32_t c = 0; c < conns_.size(); ++c) {
    if (conns_[c].state != State::kFree && conns_[c].state != State::kRaft) close(c);
  }
}

}  // namespace dcsim::consul
