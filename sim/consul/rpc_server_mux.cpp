#include <string>
#include <utility>

#include "consul/rpc_server.h"

// Sessions, their streams, and the requests on them (hashicorp/consul agent/consul/rpc.go handleMultiplexV2,
// handleConsulConn; agent/pool/peek.go; consul-net-rpc net/rpc server.go ServeRequest).

namespace dcsim::consul {

// --- Streams
// ------------------------------------------------------------------------------------------------------------

std::uint32_t RpcServer::open_stream(std::uint32_t c, std::uint32_t mux) {
  const std::uint32_t s = streams_.take();
  Stream& stream = streams_[s];
  stream.conn = c;
  stream.mux = mux;
  if (mux != 0) conns_[c].streams.add(mux, s);
  return s;
}

void RpcServer::forget_stream(std::uint32_t s) {
  Stream& stream = streams_[s];
  Conn& conn = conns_[stream.conn];
  if (stream.busy) call_over(stream);
  if (conn.peeking == s) conn.peeking = kNoSlot;
  if (stream.mux != 0) conn.streams.remove(stream.mux);
  stream.requests.reset();
  stream.conn = kNoSlot;
  stream.ended = stream.serving = stream.waits = false;
  streams_.give(s);
}

void RpcServer::call_over(Stream& stream) {
  stream.busy = false;
  --conns_[stream.conn].busy;
  --calls_;
}

/// Closes the stream, or the connection that is one.
void RpcServer::close_stream(Instant now, std::uint32_t s) {
  const std::uint32_t c = streams_[s].conn;
  const std::uint32_t mux = streams_[s].mux;
  if (mux == 0) return close(c);
  forget_stream(s);
  conns_[c].session->close(mux, now);
  accept_next(now, c);
}

/// handleConsulConn: what it logs before it closes.
void RpcServer::stream_failed(Instant now, std::uint32_t s, std::string_view error) {
  if (error.find("closed") == std::string_view::npos) log_error("RPC error", conns_[streams_[s].conn], "error", error);
  close_stream(now, s);
}

// --- Sessions
// -----------------------------------------------------------------------------------------------------------

void RpcServer::flush(Instant now, Conn& conn) {
  const ByteView out = conn.session->output();
  if (out.empty() || (io_.full(conn.id) && !conn.session->over())) return;
  io_.send(conn.id, Bytes(out));
  conn.session->took(out.size(), now);
}

/// After anything that the session was given: its events, then its output.
void RpcServer::pump(Instant now, std::uint32_t c) {
  Conn& conn = conns_[c];
  const std::uint32_t stamp = conn.stamp;
  wire::YamuxEvent event;
  while (conn.session->next_event(event)) {
    if (!on_event(now, c, event) || conn.stamp != stamp) return;
  }
  flush(now, conn);
  arm(c);
}

/// False if the connection has been closed.
bool RpcServer::on_event(Instant now, std::uint32_t c, const wire::YamuxEvent& event) {
  Conn& conn = conns_[c];
  const std::uint32_t stamp = conn.stamp;
  const std::uint32_t s = conn.streams.find(event.stream);
  switch (event.kind) {
    case wire::YamuxEvent::Kind::kIncoming:
      accept_next(now, c);
      break;
    case wire::YamuxEvent::Kind::kReadable:
      if (s != kNoSlot) take_bytes(now, s);
      break;
    case wire::YamuxEvent::Kind::kEnd:
      if (s == kNoSlot) {
        if (conn.early_ends.size() >= 2 * config_.yamux.accept_backlog) conn.early_ends.erase(conn.early_ends.begin());
        conn.early_ends.push_back(event.stream);
        break;
      }
      streams_[s].ended = true;
      take_bytes(now, s);
      break;
    case wire::YamuxEvent::Kind::kReset:
      if (s == kNoSlot) break;
      if (conn.peeking == s) {
        peek_failed(now, c, wire::text_of(event.error));
      } else if (streams_[s].busy) {
        forget_stream(s);
      } else {
        stream_failed(now, s, "rpc: server cannot decode request: " + std::string(wire::text_of(event.error)));
      }
      break;
    case wire::YamuxEvent::Kind::kClosed:
      session_over(c, event);
      break;
    case wire::YamuxEvent::Kind::kOpened:
    case wire::YamuxEvent::Kind::kDrained:
    case wire::YamuxEvent::Kind::kWriteTimeout:
    case wire::YamuxEvent::Kind::kGoAway:
      break;
  }
  return conn.stamp == stamp;
}

void RpcServer::session_over(std::uint32_t c, const wire::YamuxEvent& event) {
  Conn& conn = conns_[c];
  if (event.error == wire::YamuxError::kKeepAliveTimeout) {
    host_.log(LogLevel::kError, "agent.server: yamux: keepalive failed: " + std::string(wire::text_of(event.cause)));
  }
  if (event.error != wire::YamuxError::kEof) {
    log_error("multiplex conn accept failed", conn, "error", wire::text_of(event.error));
    flush(now_, conn);  // it may say why
  }
  close(c);
}

/// The library's loop takes up a stream only after it has seen the first byte of the one before.
void RpcServer::accept_next(Instant now, std::uint32_t c) {
  Conn& conn = conns_[c];
  if (conn.peeking != kNoSlot || draining_ || conn.streams.size() >= config_.max_streams) return;
  std::uint32_t mux = 0;
  if (!conn.session->accept(mux, now)) return;
  const std::uint32_t s = open_stream(c, mux);
  conn.peeking = s;
  streams_[s].ended = std::erase(conn.early_ends, mux) > 0;
  if (streams_[s].ended || conn.session->readable(mux) > 0) take_bytes(now, s);
}

/// The stream ended before it said anything. Its whole session goes with it.
void RpcServer::peek_failed(Instant now, std::uint32_t c, std::string_view error) {
  log_error("Problem peeking connection", conns_[c], "err", error);
  const std::uint32_t s = conns_[c].peeking;
  conns_[c].session->close(streams_[s].mux, now);
  flush(now, conns_[c]);
  close(c);
}

/// False if the stream is not for net/rpc.
bool RpcServer::peeked(Instant now, std::uint32_t s, std::uint8_t first) {
  const std::uint32_t c = streams_[s].conn;
  conns_[c].peeking = kNoSlot;
  const bool gossip = wire::rpc::route_stream_byte(first) == wire::rpc::RpcRoute::kGossip;
  if (gossip) {
    host_.log(LogLevel::kError, "agent.server.rpc: unrecognized RPC byte: byte=" + std::to_string(first) +
                                    " conn=" + log_conn(conns_[c].remote));
    close_stream(now, s);
  }
  return !gossip;
}

/// While a request is served its stream is not read: the window holds the client back.
void RpcServer::take_bytes(Instant now, std::uint32_t s) {
  Stream& stream = streams_[s];
  const std::uint32_t c = stream.conn;
  Conn& conn = conns_[c];
  if (stream.busy) return;
  const Bytes bytes = conn.session->read(stream.mux, now);
  const bool peeking = conn.peeking == s;
  if (bytes.empty() && peeking) {
    if (stream.ended) peek_failed(now, c, "EOF");
    return;
  }
  if (peeking && !peeked(now, s, *bytes.data())) return;
  const std::uint32_t stamp = conn.stamp;
  stream.requests.feed(bytes);
  serve(now, s);
  if (conn.stamp == stamp && peeking) accept_next(now, c);
}

// --- Requests
// -----------------------------------------------------------------------------------------------------------

void RpcServer::serve(Instant now, std::uint32_t s) {
  Stream& stream = streams_[s];
  if (stream.busy || stream.serving) return;
  const std::uint32_t stamp = stream.stamp;
  const std::uint32_t c = stream.conn;
  const std::uint32_t conn_stamp = conns_[c].stamp;
  stream.serving = true;
  serve_while(now, s);
  if (stream.stamp == stamp) stream.serving = false;
  // An answer during the loop that was the last to be waited for.
  if (draining_ && conns_[c].stamp == conn_stamp && conns_[c].busy == 0) close(c);
}

/// ServeRequest, again and again, until a request is left waiting for its answer.
void RpcServer::serve_while(Instant now, std::uint32_t s) {
  Stream& stream = streams_[s];
  const std::uint32_t stamp = stream.stamp;
  const std::uint32_t c = stream.conn;
  while (!draining_) {
    wire::rpc::Request request;
    const wire::rpc::RpcStatus status = stream.requests.next(request);
    if (status == wire::rpc::RpcStatus::kRefused) return stream_failed(now, s, stream.requests.error_text());
    if (status == wire::rpc::RpcStatus::kNeedMore) {
      if (!stream.ended) return;
      const wire::RaftStreamError end = stream.requests.finish();
      if (end == wire::RaftStreamError::kNone) return close_stream(now, s);
      return stream_failed(now, s, wire::name_of(end));
    }
    stream.busy = true;
    stream.method = request.service_method;
    stream.seq = request.seq;
    ++conns_[c].busy;
    ++calls_;
    host_.rpc_request(now, streams_.id(s), request.service_method, request.body, conns_[c].remote);
    if (stream.stamp != stamp || stream.busy) return;
  }
}

/// Goes on with a stream whose request was answered while nobody was at work on it.
void RpcServer::resume(Instant now, std::uint32_t s) {
  const std::uint32_t c = streams_[s].conn;
  if (streams_[s].mux == 0) return serve(now, s);
  const std::uint32_t stamp = conns_[c].stamp;
  take_bytes(now, s);
  if (conns_[c].stamp == stamp) pump(now, c);
}

bool RpcServer::begin_answer(RpcCallId call) {
  const std::uint32_t s = streams_.find(call);
  if (s == kNoSlot || !streams_[s].busy) return false;
  scratch_.clear();
  wire::rpc::append_response_header(streams_[s].method, streams_[s].seq, scratch_);
  return true;
}

/// Sends scratch_ and lets the next request of the stream come up.
void RpcServer::finish_answer(Instant now, RpcCallId call) {
  const std::uint32_t s = streams_.find(call);
  Stream& stream = streams_[s];
  const std::uint32_t c = stream.conn;
  Conn& conn = conns_[c];
  now_ = now;
  call_over(stream);
  bool more = stream.requests.buffered() > 0 || stream.ended;
  if (stream.mux == 0) {
    io_.send(conn.id, Bytes(ByteView(scratch_)));
  } else {
    conn.session->write(stream.mux, scratch_, now);
    more = more || conn.session->readable(stream.mux) > 0;
    flush(now, conn);
    arm(c);
  }
  if (stream.serving) return;  // serve() goes on
  if (draining_ && conn.busy == 0) return close(c);
  if (!more || std::exchange(stream.waits, true)) return;
  ready_.push(call);
}

void RpcServer::respond(Instant now, RpcCallId call, ByteView reply) {
  if (!begin_answer(call)) return;
  scratch_.insert(scratch_.end(), reply.begin(), reply.end());
  finish_answer(now, call);
}

void RpcServer::fail(Instant now, RpcCallId call, std::string_view error) {
  const std::uint32_t s = streams_.find(call);
  if (s == kNoSlot || !streams_[s].busy) return;
  scratch_.clear();
  wire::rpc::append_error(streams_[s].method, streams_[s].seq, error, scratch_);
  finish_answer(now, call);
}

void RpcServer::refuse(Instant now, RpcCallId call, std::string_view error) {
  const std::uint32_t s = streams_.find(call);
  if (s == kNoSlot || !streams_[s].busy) return;
  const std::uint32_t c = streams_[s].conn;
  const std::uint32_t stamp = conns_[c].stamp;
  fail(now, call, error);
  if (streams_.find(call) == kNoSlot) return;
  stream_failed(now, s, error);
  if (conns_[c].stamp == stamp && conns_[c].state == State::kMux) flush(now, conns_[c]), arm(c);
}

}  // namespace dcsim::consul
