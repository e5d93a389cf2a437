#include "consul/conn_pool.h"

#include <algorithm>
#include <utility>

// Calls: from the request to the result (hashicorp/consul agent/pool/pool.go rpc, getClient, acquire; consul-net-rpc
// net-rpc-msgpackrpc client.go).

namespace dcsim::consul {

ConnPool::ConnPool(ConnPoolConfig config, StreamIo& io, ConnPoolHost& host)
    : config_(std::move(config)), io_(io), host_(host) {}

void ConnPool::call(Instant now, CallToken token, std::string_view node, const Endpoint& at, std::string_view method,
                    ByteView args, std::optional<Duration> timeout) {
  now_ = std::max(now_, now);
  if (!started_) started_ = now;
  const std::uint32_t k = calls_.take();
  Call& call = calls_[k];
  call.token = token;
  call.wanted = true;
  call.retried = call.expired = false;
  call.conn = call.stream = kNoSlot;
  call.node = node;
  call.at = at;
  call.timeout = timeout.value_or(config_.client_timeout);
  scratch_.clear();
  wire::rpc::append_request_header(method, next_seq_++, scratch_);
  scratch_.insert(scratch_.end(), args.begin(), args.end());
  acquire(now, k, scratch_);
}

void ConnPool::cancel(CallToken token) {
  for (std::uint32_t k = 0; k < calls_.size(); ++k) {
    if (calls_[k].wanted && calls_[k].token == token) calls_[k].wanted = false;
  }
  for (std::size_t i = 0; i < done_.size(); ++i) {
    if (done_[i].token == token) return done_.erase(i);
  }
}

std::uint32_t ConnPool::find_pooled(std::string_view node, const Endpoint& at) const {
  for (std::uint32_t c = 0; c < conns_.size(); ++c) {
    if (conns_[c].pooled && conns_[c].at == at && conns_[c].node == node) return c;
  }
  return kNoSlot;
}

std::uint32_t ConnPool::find_dial(const Endpoint& at) const {
  for (std::uint32_t c = 0; c < conns_.size(); ++c) {
    if (conns_[c].dialling && conns_[c].at == at) return c;
  }
  return kNoSlot;
}

void ConnPool::keep_request(std::uint32_t k, ByteView request) {
  if (calls_[k].request.empty()) calls_[k].request = Bytes(request);
}

/// A pooled session; or the dial that is under way to this address; or a new one.
void ConnPool::acquire(Instant now, std::uint32_t k, ByteView request) {
  Call& call = calls_[k];
  if (shut_down_) return no_client(k, "failed to get conn: rpc error: shutdown");
  if (const std::uint32_t c = find_pooled(call.node, call.at); c != kNoSlot) {
    conns_[c].last_used = now;
    ++conns_[c].refs;
    return get_client(now, k, c, request);
  }
  const std::uint32_t c = find_dial(call.at);
  if (c == kNoSlot) return dial(k, request);
  keep_request(k, request);
  conns_[c].waiting.push_back(k);
}

/// A stream of a session that counts this call already.
void ConnPool::get_client(Instant now, std::uint32_t k, std::uint32_t c, ByteView request) {
  Conn& conn = conns_[c];
  calls_[k].conn = c;
  if (!conn.kept.empty()) {
    const std::uint32_t s = conn.kept.back();
    conn.kept.pop_back();
    return start(now, k, s, request);
  }
  std::uint32_t mux = 0;
  const wire::YamuxError error = conn.session->open(mux, now);
  if (error == wire::YamuxError::kNone) {
    const std::uint32_t s = streams_.take();
    streams_[s].conn = c;
    streams_[s].mux = mux;
    streams_[s].ended = streams_[s].reset = streams_[s].gone = false;
    conn.streams.add(mux, s);
    return start(now, k, s, request);
  }
  if (error == wire::YamuxError::kTooManyUnanswered) {
    keep_request(k, request);
    conn.blocked.push_back(k);
    return;
  }
  keep_request(k, request);
  calls_[k].conn = kNoSlot;
  clear_conn(c);
  release_conn(now, c);
  if (std::exchange(calls_[k].retried, true)) {
    return no_client(k, "failed to start stream: " + std::string(wire::text_of(error)));
  }
  const Bytes kept = calls_[k].request;
  acquire(now, k, kept);
}

/// CallWithCodec up to where it reads.
void ConnPool::start(Instant now, std::uint32_t k, std::uint32_t s, ByteView request) {
  Call& call = calls_[k];
  Stream& stream = streams_[s];
  Conn& conn = conns_[stream.conn];
  call.stream = s;
  stream.call = k;
  if (stream.gone) return call_failed(now, k, wire::text_of(wire::YamuxError::kStreamClosed));
  if (stream.reset) return call_failed(now, k, wire::text_of(wire::YamuxError::kConnectionReset));
  conn.session->write(stream.mux, request, now);
  call.request = {};
  if (stream.ended) return call_failed(now, k, wire::text_of(wire::YamuxError::kEof));
  call_deadlines_.arm(k, call.timeout > 0_s ? now + call.timeout : Instant::never());
  flush(now, conn);
  arm(now, stream.conn);
}

void ConnPool::no_client(std::uint32_t k, std::string_view text) {
  finish(k, {}, "rpc error getting client: " + std::string(text));
}

void ConnPool::call_failed(Instant now, std::uint32_t k, std::string_view text) {
  const std::uint32_t s = calls_[k].stream;
  const std::uint32_t c = calls_[k].conn;
  finish(k, {}, "rpc error making call: " + std::string(text));
  release_stream(now, s, false);
  if (is_eof_error(text)) clear_conn(c);
  release_conn(now, c);
}

void ConnPool::call_answered(Instant now, std::uint32_t k, const wire::rpc::Response& response) {
  if (!response.error.empty()) return call_failed(now, k, response.error);
  const std::uint32_t s = calls_[k].stream;
  const std::uint32_t c = calls_[k].conn;
  finish(k, response.body, {});
  release_stream(now, s, true);
  release_conn(now, c);
}

void ConnPool::finish(std::uint32_t k, const Bytes& reply, std::string error) {
  Call& call = calls_[k];
  if (call.stream != kNoSlot) streams_[call.stream].call = kNoSlot;
  if (call.wanted) done_.push({call.token, reply, std::move(error)});
  call.wanted = false;
  call.request = {};
  call.conn = call.stream = kNoSlot;
  call_deadlines_.arm(k, Instant::never());
  calls_.give(k);
}

void ConnPool::take_answer(Instant now, std::uint32_t s) {
  Stream& stream = streams_[s];
  Conn& conn = conns_[stream.conn];
  const Bytes bytes = conn.session->read(stream.mux, now);
  if (stream.call == kNoSlot) {
    // Nobody asked: what comes next on this stream could not be told from it.
    if (bytes.empty()) return;
    std::erase(conn.kept, s);
    return release_stream(now, s, false);
  }
  stream.responses.feed(bytes);
  wire::rpc::Response response;
  const wire::rpc::RpcStatus status = stream.responses.next(response);
  if (status == wire::rpc::RpcStatus::kMessage) return call_answered(now, stream.call, response);
  if (status == wire::rpc::RpcStatus::kRefused) {
    return call_failed(now, stream.call, wire::name_of(stream.responses.error()));
  }
  if (!stream.ended && !stream.gone) return;
  const bool inside = stream.responses.finish() == wire::RaftStreamError::kTruncated;
  call_failed(now, stream.call, inside ? "unexpected EOF" : "EOF");
}

void ConnPool::run(Instant now) {
  now_ = std::max(now_, now);
  if (running_) return;
  running_ = true;
  while (!done_.empty()) {
    const Done done = done_.pop();
    host_.rpc_result(now, done.token, done.reply, done.error);
  }
  running_ = false;
}

void ConnPool::on_deadline(Instant now) {
  now_ = std::max(now_, now);
  std::uint32_t slot = 0;
  while (call_deadlines_.due(now, slot)) {
    Call& call = calls_[slot];
    if (call.stream == kNoSlot) continue;
    const Stream& stream = streams_[call.stream];
    // The deadline is the reader's; a writer that waits for window has none.
    if (conns_[call.conn].session->waiting(stream.mux) > 0) {
      call.expired = true;
    } else {
      call_failed(now, slot, wire::text_of(wire::YamuxError::kTimeout));
    }
  }
  while (conn_deadlines_.due(now, slot)) {
    Conn& conn = conns_[slot];
    if (!conn.used || conn.dialling) continue;
    if (reap_at(now, conn) <= now) {
      close_conn(slot);
      continue;
    }
    conn.session->advance(now);
    pump(now, slot);
  }
  run(now);
}

Instant ConnPool::next_deadline() const {
  if (!done_.empty()) return now_;
  return std::min(call_deadlines_.next(), conn_deadlines_.next());
}

std::size_t ConnPool::idle_streams(const Endpoint& at) const {
  std::size_t count = 0;
  for (std::uint32_t c = 0; c < conns_.size(); ++c) {
    if (conns_[c].pooled && conns_[c].at == at) count += conns_[c].kept.size();
  }
  return count;
}

}  // namespace dcsim::consul
