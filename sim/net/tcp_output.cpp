#include <algorithm>
#include <bit>

#include "base/check.h"
#include "net/tcp_connection.h"

namespace dcsim::net {

namespace {

constexpr std::uint32_t kLeastMss = 500;  // Linux's min_pmtu of 552 less headers

std::uint32_t milliseconds(Instant now) { return static_cast<std::uint32_t>(now.ns / 1'000'000); }

}  // namespace

// --- segments --------------------------------------------------------------------------------------------------------

std::uint32_t TcpSegment::header_bytes() const {
  std::uint8_t scratch[40];
  return 20 + write_options(scratch);
}

std::uint32_t TcpSegment::write_options(std::uint8_t* out) const {
  std::uint8_t* p = out;
  const auto put16 = [&](std::uint32_t v) {
    *p++ = static_cast<std::uint8_t>(v >> 8);
    *p++ = static_cast<std::uint8_t>(v);
  };
  const auto put32 = [&](std::uint32_t v) {
    put16(v >> 16);
    put16(v & 0xffff);
  };
  if (mss != 0) {
    put16(0x0204);
    put16(mss);
  }
  if (timestamps) {
    put16(has(kTcpSyn) ? 0x0402 : 0x0101);  // SACK-permitted takes the place of the padding
    put16(0x080a);
    put32(ts_value);
    put32(ts_echo);
  }
  if (window_scale != kNoScale) {
    put16(0x0103);
    *p++ = 3;
    *p++ = window_scale;
  }
  return static_cast<std::uint32_t>(p - out);
}

std::uint32_t TcpStack::local_mss(const Endpoint& local) const {
  const std::uint32_t headers = local.address.is_v4() ? 40 : 60;
  return config_.mtu > headers + kLeastMss ? config_.mtu - headers : kLeastMss;
}

std::uint32_t TcpStack::offered_window(const Connection& c) const {
  const std::uint32_t room = config_.receive_buffer > c.ready_bytes ? config_.receive_buffer - c.ready_bytes : 0;
  const std::uint32_t promised = seq_less(c.rcv_nxt, c.rcv_adv) ? c.rcv_adv - c.rcv_nxt : 0;
  if (room < c.mss) return promised;  // RFC 9293 3.8.6.2.2: no small steps
  return std::max(room, promised);
}

TcpSegment TcpStack::make(Instant now, const Connection& c, std::uint8_t flags, std::uint32_t seq) const {
  TcpSegment out;
  out.from = c.local;
  out.to = c.remote;
  out.seq = seq;
  out.flags = flags;
  if (flags & kTcpAck) out.ack = c.rcv_nxt;
  out.timestamps = c.timestamps;
  if (c.timestamps) {
    out.ts_value = milliseconds(now);
    out.ts_echo = (flags & kTcpAck) ? c.ts_recent : 0;
  }
  const std::uint32_t window = offered_window(c);
  if (flags & kTcpSyn) {
    out.window = static_cast<std::uint16_t>(std::min(window, 65'535u));
    out.mss = static_cast<std::uint16_t>(local_mss(c.local));
    if (c.scaling) out.window_scale = c.offered_scale;
  } else {
    out.window = static_cast<std::uint16_t>(std::min((window + (1u << c.rcv_scale) - 1) >> c.rcv_scale, 65'535u));
  }
  return out;
}

// Hot: one virtual call; the segment shares the payload's block.
void TcpStack::emit(Connection& c, const TcpSegment& segment, Instant now) {
  if (segment.has(kTcpAck)) {
    c.ack_now = false;
    c.ack_at = Instant::never();
    c.unacked_segments = 0;
    const std::uint32_t shift = segment.has(kTcpSyn) ? 0u : c.rcv_scale;
    const std::uint32_t edge = c.rcv_nxt + (std::uint32_t{segment.window} << shift);
    if (seq_less(c.rcv_adv, edge)) c.rcv_adv = edge;
  }
  if (!segment.payload.empty()) {
    if (now - c.last_data < config_.delayed_ack) c.request_reply = true;
    c.last_sent = now;
  }
  output_.emit(segment);
}

void TcpStack::send_syn(Instant now, Connection& c) {
  const bool answer = c.state == TcpState::kSynReceived;
  emit(c, make(now, c, static_cast<std::uint8_t>(answer ? kTcpSyn | kTcpAck : kTcpSyn), c.iss), now);
}

void TcpStack::send_ack(Instant now, Connection& c) { emit(c, make(now, c, kTcpAck, c.snd_max), now); }

void TcpStack::send_reset(Instant now, Connection& c) { emit(c, make(now, c, kTcpRst | kTcpAck, c.snd_max), now); }

// --- local calls -----------------------------------------------------------------------------------------------------

TcpStack::Opened TcpStack::connect(Instant now, const Endpoint& local, const Endpoint& remote, std::uint64_t user) {
  expire_time_waits(now);
  Endpoint from = local;
  if (from.port == 0) {
    from.port = ephemeral_port(from.address, remote);
    if (from.port == 0) return {{}, SocketError::kAddressNotAvailable};
  } else if (port_listens(from.port) || lookup(from, remote) != 0) {
    return {{}, SocketError::kAddressInUse};
  }
  Connection& c = create(from, remote);
  c.user = user;
  c.state = TcpState::kSynSent;
  c.announced = false;
  c.iss = c.snd_una = c.recover = initial_sequence(now, from, remote);
  c.snd_nxt = c.snd_max = c.iss + 1;
  c.rtt_start = now;
  c.offered_scale = scale_for(config_.receive_buffer);
  c.resend_at = now + c.rto;
  const TcpId id = c.id;
  send_syn(now, c);
  rearm(c);
  return {id, SocketError::kNone};
}

SocketError TcpStack::send(Instant now, TcpId id, const Bytes& data) {
  Connection* c = find(id);
  if (!c || c->orphan) return SocketError::kNotConnected;
  if (c->fin_queued) return SocketError::kBrokenPipe;
  if (data.empty()) return SocketError::kNone;
  c->queue.push(data);
  if (c->queue.bytes() >= config_.send_buffer) c->writable_owed = true;
  push(now, *c);
  rearm(*c);
  return SocketError::kNone;
}

void TcpStack::begin_fin(Connection& c) {
  if (c.fin_queued) return;
  c.fin_queued = true;
  if (c.state == TcpState::kEstablished) c.state = TcpState::kFinWait1;
  if (c.state == TcpState::kCloseWait) c.state = TcpState::kLastAck;
}

void TcpStack::shutdown_write(Instant now, TcpId id) {
  Connection* c = find(id);
  if (!c || c->state == TcpState::kTimeWait) return;
  begin_fin(*c);
  push(now, *c);
  rearm(*c);
}

void TcpStack::close(Instant now, TcpId id) {
  Connection* c = find(id);
  if (!c || c->orphan) return;
  c->orphan = true;
  if (c->state == TcpState::kSynSent || c->state == TcpState::kTimeWait) return destroy(*c);
  if (c->unread()) {  // RFC 2525 2.17: the peer must learn that data was lost
    send_reset(now, *c);
    return destroy(*c);
  }
  begin_fin(*c);
  if (c->state == TcpState::kFinWait2) c->end_at = now + config_.tcp_fin_timeout;
  push(now, *c);
  rearm(*c);
}

void TcpStack::abort(Instant now, TcpId id) {
  Connection* c = find(id);
  if (!c) return;
  if (c->state != TcpState::kSynSent && c->state != TcpState::kTimeWait) send_reset(now, *c);
  destroy(*c);
}

void TcpStack::set_reading(Instant now, TcpId id, bool reading) {
  Connection* c = find(id);
  if (!c || c->reading == reading) return;
  c->reading = reading;
  if (!reading) return;
  const std::uint32_t before = c->rcv_adv - c->rcv_nxt;
  const bool had = c->unread();
  deliver(id);
  c = find(id);
  if (!c || !had || c->state == TcpState::kTimeWait || c->fin_received) return;
  if (offered_window(*c) >= before + 2 * c->mss) send_ack(now, *c);  // a window update
  rearm(*c);
}

void TcpStack::set_keepalive(Instant now, TcpId id, Duration idle, Duration interval, std::uint32_t probes) {
  Connection* c = find(id);
  if (!c) return;
  c->keepalive_idle = idle;
  c->keepalive_interval = interval;
  c->keepalive_probes = probes;
  c->keepalive_unanswered = 0;
  c->last_heard = std::max(c->last_heard, now);
  c->keepalive_at = idle.ns > 0 ? now + idle : Instant::never();
  rearm(*c);
}

// --- sending ---------------------------------------------------------------------------------------------------------

// One segment from `seq` on with at most `most` bytes, with the FIN if it fits behind. Returns the sequence space used.
std::uint32_t TcpStack::send_one(Instant now, Connection& c, std::uint32_t seq, std::uint32_t most) {
  const std::uint32_t offset = seq - c.queue_start();
  const std::size_t left = offset < c.queue.bytes() ? c.queue.bytes() - offset : 0;
  TcpSegment segment = make(now, c, kTcpAck, seq);
  if (left > 0) segment.payload = c.queue.read(offset, std::min<std::size_t>({left, c.mss, most}));
  if (segment.payload.size() == left) {
    if (left > 0) segment.flags |= kTcpPsh;
    if (c.fin_queued) {
      segment.flags |= kTcpFin;
      c.fin_sent = true;
    }
  }
  const std::uint32_t length = segment.length();
  if (seq == c.snd_nxt) c.snd_nxt = seq + length;
  if (seq_less(c.snd_max, seq + length)) {
    c.snd_max = seq + length;
    if (!c.rtt_running) {
      c.rtt_running = true;
      c.rtt_seq = c.snd_max;
      c.rtt_start = now;
    }
  } else {
    c.rtt_running = false;  // Karn: a resent segment measures nothing
    ++retransmissions_;
  }
  emit(c, segment, now);
  return length;
}

// Sends what the congestion and the peer's window allow (RFC 5681, RFC 9293 3.8.6).
void TcpStack::push(Instant now, Connection& c) {
  if (!c.synchronized() || c.state == TcpState::kTimeWait) return;
  const bool idle = c.snd_una == c.snd_max;
  const bool fin_done = c.fin_sent && idle;  // acknowledged
  if (idle && config_.tcp_slow_start_after_idle && c.queue.bytes() > 0 && now - c.last_sent > c.rto) {
    c.cwnd = std::min(c.cwnd, config_.initial_window * c.mss);
  }
  std::uint32_t allowed = c.cwnd;
  if (!c.in_recovery && c.duplicate_acks < config_.duplicate_acks) allowed += c.duplicate_acks * c.mss;  // RFC 3042
  const std::uint32_t window = std::min(allowed, c.snd_wnd);
  for (;;) {
    const std::uint32_t end = c.queue_end();
    const bool fin_due = c.fin_queued && !fin_done && c.snd_nxt == end;
    if (!seq_less(c.snd_nxt, end) && !fin_due) break;
    const std::uint32_t room = window > c.in_flight() ? window - c.in_flight() : 0;
    const std::uint32_t unsent = end - c.snd_nxt;
    if (room == 0 && !(fin_due && c.in_flight() == 0)) break;
    if (unsent > 0 && room < std::min(unsent, c.mss) && c.in_flight() > 0) break;  // sender's silly window avoidance
    send_one(now, c, c.snd_nxt, std::max(room, 1u));
    if (c.resend_at == Instant::never()) c.resend_at = now + c.rto;
  }
  const bool stuck = c.snd_una == c.snd_max && c.queue.bytes() > 0;
  if (!stuck) {
    c.persist_at = Instant::never();
  } else if (c.persist_at == Instant::never()) {
    c.persist_at = now + c.rto;
  }
}

void TcpStack::retransmit_first(Instant now, Connection& c) {
  send_one(now, c, c.snd_una, c.mss);
  c.resend_at = now + c.rto;
}

// --- timers ----------------------------------------------------------------------------------------------------------

void TcpStack::rearm(Connection& c) {
  const Instant due = std::min({c.resend_at, c.persist_at, c.ack_at, c.end_at, c.keepalive_at});
  if (due >= c.armed) return;  // the timer runs on: an early call is cheaper than moving it with every segment
  c.armed = due;
  output_.arm(c.id, due);
}

void TcpStack::on_timer(Instant now, TcpId id) {
  Connection* c = find(id);
  if (!c) return;
  if (c->armed <= now) c->armed = Instant::never();
  if (c->end_at <= now) return destroy(*c);
  if (c->ack_at <= now) send_ack(now, *c);
  if (c->resend_at <= now) {
    if (c->synchronized()) {
      on_retransmission_timeout(now, *c);
    } else {
      on_handshake_timeout(now, *c);
    }
  }
  if ((c = find(id)) && c->persist_at <= now) on_persist_timeout(now, *c);
  if ((c = find(id)) && c->keepalive_at <= now) on_keepalive_timeout(now, *c);
  if ((c = find(id))) rearm(*c);
}

// Linux tcp_timer.c: linear SYN timeouts first, a passive side only doubles.
void TcpStack::on_handshake_timeout(Instant now, Connection& c) {
  const bool active = c.state == TcpState::kSynSent;
  const std::uint32_t linear = active ? config_.tcp_syn_linear_timeouts : 0;
  const std::uint32_t most = c.passive ? config_.tcp_synack_retries : config_.tcp_syn_retries + linear;
  if (c.retries >= most) {
    if (c.passive) return destroy(c);
    return fail(c, SocketError::kTimedOut);
  }
  ++c.retries;
  ++retransmissions_;
  send_syn(now, c);
  if (c.retries > linear) c.rto = std::min(c.rto * 2, config_.rto_max);
  c.resend_at = now + c.rto;
}

// Linux retransmits_timed_out: as long as `retries` doublings from rto_min would take, measured from the first resend.
bool TcpStack::given_up(Instant now, const Connection& c) const {
  if (c.first_resend == Instant::never()) return false;
  const std::uint32_t retries = c.orphan ? config_.tcp_orphan_retries : config_.tcp_retries2;
  const auto ratio = static_cast<std::uint64_t>(std::max<std::int64_t>(1, config_.rto_max / config_.rto_min));
  const auto doublings = static_cast<std::uint32_t>(std::bit_width(ratio) - 1);
  const Duration grown = config_.rto_min * ((std::int64_t{2} << std::min(retries, doublings)) - 1);
  const Duration flat = config_.rto_max * (retries > doublings ? retries - doublings : 0);
  return now - c.first_resend >= grown + flat;
}

void TcpStack::on_retransmission_timeout(Instant now, Connection& c) {
  c.resend_at = Instant::never();
  if (c.snd_una == c.snd_max) return;
  if (given_up(now, c)) return fail(c, c.soft_error != SocketError::kNone ? c.soft_error : SocketError::kTimedOut);
  if (c.first_resend == Instant::never()) c.first_resend = now;
  if (c.retries++ == 0) c.ssthresh = std::max((c.snd_max - c.snd_una) / 2, 2 * c.mss);
  c.cwnd = c.mss;
  c.in_recovery = false;
  c.duplicate_acks = 0;
  c.recover = c.snd_max;
  c.snd_nxt = c.snd_una;  // what follows is sent again as the window opens
  c.rto = std::min(c.rto * 2, config_.rto_max);
  retransmit_first(now, c);
}

void TcpStack::on_persist_timeout(Instant now, Connection& c) {
  if (c.retries++ >= config_.tcp_retries2) {
    return fail(c, c.soft_error != SocketError::kNone ? c.soft_error : SocketError::kTimedOut);
  }
  emit(c, make(now, c, kTcpAck, c.snd_una - 1), now);  // old by one: makes the peer tell its window
  ++c.backoff;
  const Duration wait = std::min(c.rto * (std::int64_t{1} << std::min(c.backoff, 16u)), config_.rto_max);
  c.persist_at = now + wait;
}

void TcpStack::on_keepalive_timeout(Instant now, Connection& c) {
  const Instant due = c.last_heard + c.keepalive_idle;
  if (c.snd_una != c.snd_max || c.queue.bytes() > 0 || !c.synchronized()) {  // the other timers watch already
    c.keepalive_at = now + c.keepalive_idle;
    return;
  }
  if (c.keepalive_unanswered == 0 && now < due) {
    c.keepalive_at = due;
    return;
  }
  if (c.keepalive_unanswered >= c.keepalive_probes) {
    send_reset(now, c);
    return fail(c, SocketError::kTimedOut);
  }
  ++c.keepalive_unanswered;
  emit(c, make(now, c, kTcpAck, c.snd_una - 1), now);
  c.keepalive_at = now + c.keepalive_interval;
}

void TcpStack::fail(Connection& c, SocketError error) {
  const TcpId id = c.id;
  const Endpoint local = c.local, remote = c.remote;
  const bool known = c.heard() && !(c.passive && c.state == TcpState::kSynReceived);
  destroy(c);
  if (known) output_.on_error(id, local, remote, error);
}

// --- the send queue --------------------------------------------------------------------------------------------------

Bytes SendQueue::read(std::size_t offset, std::size_t most) {
  const std::uint64_t position = front_ + offset;
  if (cursor_ < first_ || cursor_start_ > position) {
    cursor_ = first_;
    cursor_start_ = first_start_;
  }
  while (cursor_start_ + chunks_[cursor_].size() <= position) cursor_start_ += chunks_[cursor_++].size();
  const std::size_t skip = static_cast<std::size_t>(position - cursor_start_);
  Bytes out = chunks_[cursor_].slice(skip, std::min(most, chunks_[cursor_].size() - skip));
  for (std::size_t i = cursor_ + 1; out.size() < most && i < chunks_.size(); ++i) {
    out = out.joined(chunks_[i].slice(0, std::min(most - out.size(), chunks_[i].size())));
  }
  return out;
}

void SendQueue::pop(std::size_t count) {
  front_ += count;
  bytes_ -= count;
  while (first_ < chunks_.size() && first_start_ + chunks_[first_].size() <= front_) {
    first_start_ += chunks_[first_].size();
    chunks_[first_++] = Bytes();
  }
  compact();
}

void SendQueue::compact() {
  if (first_ < chunks_.size() && (first_ < 64 || first_ * 2 < chunks_.size())) return;
  chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<std::ptrdiff_t>(first_));
  cursor_ = 0;
  cursor_start_ = first_start_;
  first_ = 0;
}

void SendQueue::clear() {
  chunks_.clear();
  first_ = cursor_ = 0;
  front_ = first_start_ = cursor_start_ = 0;
  bytes_ = 0;
}

}  // namespace dcsim::net
