#include <algorithm>
#include <utility>

#include "base/check.h"
#include "consul/conn_pool.h"

// Sessions: dialling, yamux, and when they end (hashicorp/consul agent/pool/pool.go getNewConn, clearConn, releaseConn,
// reap).

namespace dcsim::consul {
namespace {

constexpr std::uint8_t kMultiplexByte = static_cast<std::uint8_t>(wire::rpc::RpcByte::kMultiplexV2);
constexpr Duration kReapInterval = 1_s;

}  // namespace

// --- Dialling
// -----------------------------------------------------------------------------------------------------------

void ConnPool::dial(std::uint32_t k, ByteView request) {
  keep_request(k, request);
  const std::uint32_t c = conns_.take();
  Conn& conn = conns_[c];
  conn.used = conn.dialling = true;
  conn.pooled = conn.open = conn.should_close = false;
  conn.node = calls_[k].node;
  conn.at = calls_[k].at;
  conn.refs = 0;
  conn.waiting.push_back(k);
  conn.id = io_.dial(conn.at, config_.dial_timeout);
  index_.add(conn.id, c);
}

bool ConnPool::on_connected(Instant now, StreamId stream, const Endpoint&) {
  const std::uint32_t c = index_.find(stream);
  if (c == kNoSlot) return false;
  dialled(now, c);
  run(now);
  return true;
}

/// The call that dialled goes first; those that waited find the session in the pool, if it is their server's.
void ConnPool::dialled(Instant now, std::uint32_t c) {
  Conn& conn = conns_[c];
  conn.dialling = false;
  conn.open = conn.pooled = true;
  conn.session.emplace(wire::YamuxSession::Side::kClient, config_.yamux, now);
  io_.send(conn.id, Bytes(ByteView(&kMultiplexByte, 1)));
  const std::vector<std::uint32_t> waiting = std::exchange(conn.waiting, {});
  conn.last_used = now;
  for (const std::uint32_t k : waiting) {
    const std::uint32_t found = k == waiting.front() ? c : find_pooled(calls_[k].node, calls_[k].at);
    if (found == kNoSlot) {
      no_client(k, "failed to get conn: rpc error: lead thread didn't get connection");
      continue;
    }
    ++conns_[found].refs;
    const Bytes request = calls_[k].request;
    get_client(now, k, found, request);
  }
  if (conn.session) arm(now, c);
}

void ConnPool::dial_failed(std::uint32_t c, std::string_view text) {
  Conn& conn = conns_[c];
  const std::vector<std::uint32_t> waiting = std::exchange(conn.waiting, {});
  conn.used = conn.dialling = false;
  index_.remove(conn.id);
  conns_.give(c);
  std::string why = "failed to get conn: " + with_dial_source(text, config_.dial_source);
  for (const std::uint32_t k : waiting) {
    no_client(k, why);
    why = "failed to get conn: rpc error: lead thread didn't get connection";
  }
}

bool ConnPool::on_failed(Instant now, StreamId stream, std::string_view text) {
  const std::uint32_t c = index_.find(stream);
  if (c == kNoSlot) return false;
  Conn& conn = conns_[c];
  if (conn.dialling) {
    dial_failed(c, text);
  } else {
    conn.open = false;
    index_.remove(stream);
    conn.session->lost(wire::YamuxError::kConnectionReset);
    pump(now, c);
  }
  run(now);
  return true;
}

bool ConnPool::on_eof(Instant now, StreamId stream) {
  const std::uint32_t c = index_.find(stream);
  if (c == kNoSlot) return false;
  if (!conns_[c].session) return true;
  conns_[c].session->lost();
  pump(now, c);
  run(now);
  return true;
}

bool ConnPool::on_data(Instant now, StreamId stream, const Bytes& data) {
  const std::uint32_t c = index_.find(stream);
  if (c == kNoSlot) return false;
  if (!conns_[c].session) return true;
  conns_[c].session->receive(data, now);
  pump(now, c);
  run(now);
  return true;
}

bool ConnPool::on_writable(Instant now, StreamId stream) {
  const std::uint32_t c = index_.find(stream);
  if (c == kNoSlot) return false;
  if (conns_[c].session) pump(now, c);
  run(now);
  return true;
}

// --- Sessions
// -----------------------------------------------------------------------------------------------------------

void ConnPool::flush(Instant now, Conn& conn) {
  const ByteView out = conn.session->output();
  if (out.empty() || !conn.open || (io_.full(conn.id) && !conn.session->over())) return;
  io_.send(conn.id, Bytes(out));
  conn.session->took(out.size(), now);
}

void ConnPool::pump(Instant now, std::uint32_t c) {
  Conn& conn = conns_[c];
  const std::uint32_t stamp = conn.stamp;
  wire::YamuxEvent event;
  while (conn.stamp == stamp && conn.session->next_event(event)) on_event(now, c, event);
  if (conn.stamp != stamp) return;
  flush(now, conn);
  arm(now, c);
}

void ConnPool::on_event(Instant now, std::uint32_t c, const wire::YamuxEvent& event) {
  switch (event.kind) {
    case wire::YamuxEvent::Kind::kClosed:
      return session_over(now, c, event);
    case wire::YamuxEvent::Kind::kOpened:
      return unblock(now, c);
    case wire::YamuxEvent::Kind::kIncoming:  // servers open none; what they send is not read
    case wire::YamuxEvent::Kind::kGoAway:    // open() will say so
      return;
    default:
      break;
  }
  const std::uint32_t s = conns_[c].streams.find(event.stream);
  if (s != kNoSlot) stream_event(now, s, event);
}

void ConnPool::stream_event(Instant now, std::uint32_t s, const wire::YamuxEvent& event) {
  Stream& stream = streams_[s];
  const std::uint32_t k = stream.call;
  switch (event.kind) {
    case wire::YamuxEvent::Kind::kReadable:
      return take_answer(now, s);
    case wire::YamuxEvent::Kind::kEnd:
      stream.ended = true;
      return take_answer(now, s);
    case wire::YamuxEvent::Kind::kReset:
      stream.reset = true;
      if (k != kNoSlot) call_failed(now, k, wire::text_of(wire::YamuxError::kConnectionReset));
      return;
    case wire::YamuxEvent::Kind::kWriteTimeout:
      if (k != kNoSlot) call_failed(now, k, wire::text_of(wire::YamuxError::kConnectionWriteTimeout));
      return;
    case wire::YamuxEvent::Kind::kDrained:
      if (k != kNoSlot && calls_[k].expired) call_failed(now, k, wire::text_of(wire::YamuxError::kTimeout));
      return;
    default:
      return;
  }
}

/// Calls under way end as readers of closed streams do. The session stays in the pool until a call finds out.
void ConnPool::session_over(Instant now, std::uint32_t c, const wire::YamuxEvent& event) {
  Conn& conn = conns_[c];
  const std::uint32_t stamp = conn.stamp;
  if (event.error == wire::YamuxError::kKeepAliveTimeout) {
    host_.log(LogLevel::kError, "agent: yamux: keepalive failed: " + std::string(wire::text_of(event.cause)));
  }
  flush(now, conn);
  if (std::exchange(conn.open, false)) {
    index_.remove(conn.id);
    io_.close(conn.id);
  }
  ++conn.refs;  // stays while its calls end
  const std::vector<MuxIndex::Item> streams = conn.streams.items();
  for (const MuxIndex::Item& item : streams) {
    if (conn.streams.find(item.mux) != item.slot) continue;
    streams_[item.slot].gone = true;
    if (streams_[item.slot].call != kNoSlot) take_answer(now, item.slot);
  }
  unblock(now, c);
  if (conn.stamp == stamp) release_conn(now, c);
}

/// One answer to a SYN lets one more stream be opened; the session's end lets all of them try again.
void ConnPool::unblock(Instant now, std::uint32_t c) {
  Conn& conn = conns_[c];
  std::size_t count = conn.session->over() ? conn.blocked.size() : std::min<std::size_t>(1, conn.blocked.size());
  while (count-- > 0 && !conn.blocked.empty()) {
    const std::uint32_t k = conn.blocked.front();
    conn.blocked.erase(conn.blocked.begin());
    const Bytes request = calls_[k].request;
    get_client(now, k, c, request);
  }
}

void ConnPool::release_stream(Instant now, std::uint32_t s, bool keep) {
  Stream& stream = streams_[s];
  Conn& conn = conns_[stream.conn];
  stream.call = kNoSlot;
  keep = keep && !conn.should_close && conn.kept.size() < config_.max_streams && stream.responses.buffered() == 0;
  if (keep) return conn.kept.push_back(s);
  conn.session->close(stream.mux, now);
  flush(now, conn);
  conn.streams.remove(stream.mux);
  stream.responses.reset();
  stream.conn = kNoSlot;
  streams_.give(s);
}

/// No new call finds it; it closes with the last one that has it.
void ConnPool::clear_conn(std::uint32_t c) {
  Conn& conn = conns_[c];
  conn.should_close = true;
  conn.pooled = false;
  if (conn.refs == 0) close_conn(c);
}

void ConnPool::release_conn(Instant now, std::uint32_t c) {
  Conn& conn = conns_[c];
  DCSIM_CHECK(conn.refs > 0);
  if (--conn.refs > 0) return;
  if (conn.should_close) return close_conn(c);
  arm(now, c);
}

void ConnPool::close_conn(std::uint32_t c) {
  Conn& conn = conns_[c];
  if (conn.open) {
    index_.remove(conn.id);
    io_.close(conn.id);
  }
  for (const MuxIndex::Item& item : conn.streams.items()) {
    Stream& stream = streams_[item.slot];
    stream.responses.reset();
    stream.conn = stream.call = kNoSlot;
    streams_.give(item.slot);
  }
  conn.streams.clear();
  conn.kept.clear();
  conn.session.reset();
  conn.used = conn.pooled = conn.open = false;
  conn_deadlines_.arm(c, Instant::never());
  conns_.give(c);
}

/// The reaper looks once a second, counted from the first call.
Instant ConnPool::reap_at(Instant now, const Conn& conn) const {
  if (!conn.pooled || conn.refs > 0 || config_.idle_time <= 0_s) return Instant::never();
  const Instant from = std::max(now, conn.last_used + config_.idle_time);
  const Duration since = from - *started_;
  const std::int64_t ticks = (since.ns + kReapInterval.ns - 1) / kReapInterval.ns;
  return *started_ + kReapInterval * std::max<std::int64_t>(1, ticks);
}

void ConnPool::arm(Instant now, std::uint32_t c) {
  const Conn& conn = conns_[c];
  if (!conn.used || !conn.session) return;
  conn_deadlines_.arm(c, std::min(conn.session->next_deadline(), reap_at(now, conn)));
}

void ConnPool::shutdown(Instant now) {
  shut_down_ = true;
  for (std::uint32_t c = 0; c < conns_.size(); ++c) {
    Conn& conn = conns_[c];
    if (!conn.used) continue;
    if (conn.dialling) {
      io_.close(conn.id);
      index_.remove(conn.id);
      conn.used = conn.dialling = false;
      for (const std::uint32_t k : std::exchange(conn.waiting, {})) {
        no_client(k, "failed to get conn: rpc error: shutdown");
      }
      conns_.give(c);
      continue;
    }
    conn.pooled = false;
    conn.should_close = true;
    const std::uint32_t stamp = conn.stamp;
    conn.session->shut_down();
    pump(now, c);
    if (conn.stamp == stamp && conn.refs == 0) close_conn(c);
  }
  now_ = std::max(now_, now);
}

}  // namespace dcsim::consul
