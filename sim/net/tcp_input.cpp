#include <algorithm>

#include "base/check.h"
#include "net/tcp_connection.h"

namespace dcsim::net {

namespace {

// Linux icmp_err_convert.
SocketError error_of(IcmpError code) {
  switch (code) {
    case IcmpError::kNetUnreachable:
    case IcmpError::kNetProhibited:
      return SocketError::kNetUnreachable;
    case IcmpError::kHostUnreachable:
    case IcmpError::kHostProhibited:
    case IcmpError::kAdminProhibited:
      return SocketError::kHostUnreachable;
    case IcmpError::kFragmentationNeeded:
      return SocketError::kMessageTooLong;
    case IcmpError::kProtocolUnreachable:
    case IcmpError::kPortUnreachable:
      break;
  }
  return SocketError::kRefused;
}

constexpr std::uint32_t kLargestWindow = 1u << 30;

}  // namespace

// --- who gets it -----------------------------------------------------------------------------------------------------

void TcpStack::on_segment(Instant now, const TcpSegment& segment) {
  if (time_wait_head_ < time_waits_.size()) expire_time_waits(now);
  if (Connection* c = find(segment.to, segment.from)) {
    const TcpId id = c->id;
    c->last_heard = now;
    c->keepalive_unanswered = 0;
    if (c->state == TcpState::kSynSent) {
      on_syn_sent(now, *c, segment);
    } else {
      on_connection(now, *c, segment);
    }
    if ((c = find(id))) {
      if (c->ack_now) send_ack(now, *c);
      rearm(*c);
      deliver(id);
    }
    return;
  }
  if (TimeWait* wait = find_time_wait(segment.to, segment.from)) return on_time_wait(now, *wait, segment);
  const Listener* listener = find_listener(segment.to);
  if (listener && segment.has(kTcpSyn) && !segment.has(kTcpAck | kTcpRst)) return on_listen(now, *listener, segment);
  reply_reset(segment);
}

// RFC 9293 3.10.7.1: so that the peer's stack recognises the reset.
void TcpStack::reply_reset(const TcpSegment& segment) {
  if (segment.has(kTcpRst)) return;
  TcpSegment out;
  out.from = segment.to;
  out.to = segment.from;
  if (segment.has(kTcpAck)) {
    out.seq = segment.ack;
    out.flags = kTcpRst;
  } else {
    out.ack = segment.seq + segment.length();
    out.flags = kTcpRst | kTcpAck;
  }
  output_.emit(out);
}

void TcpStack::on_time_wait(Instant now, TimeWait& wait, const TcpSegment& segment) {
  if (segment.has(kTcpRst)) {
    if (segment.seq == wait.rcv_nxt) end_time_wait(wait);
    return;
  }
  if (segment.has(kTcpSyn) && !segment.has(kTcpAck)) {  // RFC 1122 4.2.2.13, RFC 6191: a new incarnation may begin
    end_time_wait(wait);
    if (const Listener* listener = find_listener(segment.to)) return on_listen(now, *listener, segment);
    return reply_reset(segment);
  }
  if (segment.length() == 0) return;
  TcpSegment out;
  out.from = segment.to;
  out.to = segment.from;
  out.seq = wait.snd_nxt;
  out.ack = wait.rcv_nxt;
  out.flags = kTcpAck;
  output_.emit(out);
}

void TcpStack::on_listen(Instant now, const Listener& listener, const TcpSegment& segment) {
  if (half_open_ >= config_.somaxconn) return;
  const std::uint64_t user = listener.user;
  Connection& c = create(segment.to, segment.from);
  c.user = user;
  c.passive = true;
  c.announced = false;
  c.half_open = true;
  ++half_open_;
  c.state = TcpState::kSynReceived;
  c.iss = c.snd_una = c.recover = initial_sequence(now, c.local, c.remote);
  c.snd_nxt = c.snd_max = c.iss + 1;
  c.rtt_start = now;
  c.offered_scale = scale_for(config_.receive_buffer);
  adopt_options(c, segment);
  c.resend_at = now + c.rto;
  send_syn(now, c);
  rearm(c);
}

// What the peer's SYN says: its sequence numbers, MSS, window scale, timestamps.
void TcpStack::adopt_options(Connection& c, const TcpSegment& segment) {
  c.irs = segment.seq;
  c.rcv_nxt = c.rcv_adv = segment.seq + 1;
  c.snd_wnd = segment.window;
  c.snd_wl1 = segment.seq;
  c.snd_wl2 = segment.ack;
  c.timestamps = segment.timestamps;
  c.ts_recent = segment.ts_value;
  c.scaling = segment.window_scale != TcpSegment::kNoScale;
  c.snd_scale = c.scaling ? std::min<std::uint8_t>(segment.window_scale, 14) : std::uint8_t{0};
  c.rcv_scale = c.scaling ? c.offered_scale : std::uint8_t{0};
  const std::uint32_t theirs = segment.mss != 0 ? segment.mss : 536u;
  c.mss = std::max(std::min(c.mss, theirs), 64u + kTimestampOption) - (c.timestamps ? kTimestampOption : 0u);
  c.cwnd = config_.initial_window * c.mss;
}

// RFC 9293 3.10.7.3.
void TcpStack::on_syn_sent(Instant now, Connection& c, const TcpSegment& segment) {
  const bool acked = segment.has(kTcpAck) && segment.ack == c.snd_max;
  if (segment.has(kTcpAck) && !acked) return reply_reset(segment);
  if (segment.has(kTcpRst)) {
    if (acked) fail(c, SocketError::kRefused);
    return;
  }
  if (!segment.has(kTcpSyn)) return;
  adopt_options(c, segment);
  if (!acked) {  // both sides dialled at once
    c.state = TcpState::kSynReceived;
    send_syn(now, c);
    return;
  }
  establish(now, c, segment);
  send_ack(now, c);
  push(now, c);
}

// The SYN is acknowledged.
void TcpStack::establish(Instant now, Connection& c, const TcpSegment& segment) {
  // A SYN sent twice leaves open which one was answered; the timestamp echo tells, to the millisecond.
  if (c.retries == 0) {
    measure_rtt(c, now - c.rtt_start);
  } else if (segment.timestamps && segment.ts_echo != 0) {
    const auto elapsed = static_cast<std::uint32_t>(now.ns / 1'000'000) - segment.ts_echo;
    measure_rtt(c, 1_ms * std::max<std::int64_t>(1, elapsed));
  } else {
    c.rto = config_.initial_rto;
  }
  c.snd_una = segment.ack;
  c.snd_wnd = std::uint32_t{segment.window} << (segment.has(kTcpSyn) ? 0 : c.snd_scale);
  c.snd_wl1 = segment.seq;
  c.snd_wl2 = segment.ack;
  c.retries = 0;
  c.resend_at = Instant::never();
  c.last_sent = now;
  if (c.half_open) --half_open_;
  c.half_open = false;
  c.state = c.fin_queued ? TcpState::kFinWait1 : TcpState::kEstablished;
}

// RFC 6298 2; the floor is Linux's, on the variance.
void TcpStack::measure_rtt(Connection& c, Duration rtt) {
  if (c.srtt.ns == 0) {
    c.srtt = std::max(rtt, 1_ns);
    c.rttvar = rtt / 2;
  } else {
    const Duration error = c.srtt > rtt ? c.srtt - rtt : rtt - c.srtt;
    c.rttvar = (c.rttvar * 3 + error) / 4;
    c.srtt = std::max((c.srtt * 7 + rtt) / 8, 1_ns);
  }
  c.rto = std::min(c.srtt + std::max(c.rttvar * 4, config_.rto_min), config_.rto_max);
}

// --- a segment of a connection
// -----------------------------------------------------------------------------------------

// RFC 9293 3.10.7.4, first check.
bool TcpStack::acceptable(const Connection& c, const TcpSegment& segment) const {
  const std::uint32_t window = c.rcv_adv - c.rcv_nxt;
  const std::uint32_t length = segment.length();
  const auto inside = [&](std::uint32_t seq) { return seq - c.rcv_nxt < window; };
  if (window == 0) return length == 0 && segment.seq == c.rcv_nxt;
  if (length == 0) return inside(segment.seq) || segment.seq == c.rcv_nxt;
  return inside(segment.seq) || inside(segment.seq + length - 1);
}

// Second and fourth check, with RFC 5961's challenge acknowledgements. False: the segment is dealt with.
bool TcpStack::survives_rst_syn(Instant now, Connection& c, const TcpSegment& segment) {
  if (segment.has(kTcpRst)) {
    if (segment.seq != c.rcv_nxt) {
      send_ack(now, c);
    } else if (c.state == TcpState::kSynReceived) {
      fail(c, SocketError::kRefused);
    } else {
      fail(c, c.state == TcpState::kCloseWait ? SocketError::kBrokenPipe : SocketError::kReset);
    }
    return false;
  }
  if (segment.has(kTcpSyn)) {
    send_ack(now, c);
    return false;
  }
  return segment.has(kTcpAck);
}

// Hot: one segment of an established connection; no allocation.
void TcpStack::on_connection(Instant now, Connection& c, const TcpSegment& segment) {
  if (c.state == TcpState::kSynReceived && segment.has(kTcpSyn) && segment.seq == c.irs) {
    if (!segment.has(kTcpAck)) return send_syn(now, c);  // our SYN-ACK was lost, or the SYN was sent twice
    if (c.passive) return;
  } else if (!acceptable(c, segment)) {
    if (!segment.has(kTcpRst)) send_ack(now, c);
    return;
  } else if (!survives_rst_syn(now, c, segment)) {
    return;
  }
  if (segment.timestamps && seq_less_equal(segment.seq, c.rcv_nxt)) c.ts_recent = segment.ts_value;
  if (c.state == TcpState::kSynReceived) {
    if (segment.ack != c.snd_max) return reply_reset(segment);
    establish(now, c, segment);
  }
  const TcpId id = c.id;
  if (!process_ack(now, c, segment)) return;
  const bool data_ahead =
      !segment.payload.empty() && seq_less(c.rcv_nxt, segment.seq + static_cast<std::uint32_t>(segment.payload.size()));
  if (c.orphan && data_ahead && !c.fin_received) {  // nobody will read it
    send_reset(now, c);
    return destroy(c);
  }
  if (!segment.payload.empty()) take_payload(now, c, segment);
  if (segment.has(kTcpFin) && !c.fin_received) {
    const std::uint32_t place = segment.seq + static_cast<std::uint32_t>(segment.payload.size());
    if (place == c.rcv_nxt) {
      take_fin(now, c);
    } else if (seq_less(c.rcv_nxt, place)) {
      c.fin_early = true;
      c.fin_seq = place;
      c.ack_now = true;
    }
  }
  if (find(id) == &c) push(now, c);
}

// Fifth check. False: the connection is gone or the segment is to be dropped.
bool TcpStack::process_ack(Instant now, Connection& c, const TcpSegment& segment) {
  if (seq_less(c.snd_max, segment.ack)) {
    send_ack(now, c);
    return false;
  }
  if (seq_less(segment.ack, c.snd_una)) return true;
  const std::uint32_t window = std::uint32_t{segment.window} << c.snd_scale;
  const bool same_window = window == c.snd_wnd;
  if (seq_less(c.snd_wl1, segment.seq) || (c.snd_wl1 == segment.seq && seq_less_equal(c.snd_wl2, segment.ack))) {
    c.snd_wnd = window;
    c.snd_wl1 = segment.seq;
    c.snd_wl2 = segment.ack;
  }
  if (segment.ack != c.snd_una) {
    on_new_ack(now, c, segment.ack);
    return !c.fin_sent || c.snd_una != c.snd_max || on_fin_acked(now, c);
  }
  if (c.snd_una == c.snd_max) {
    c.retries = 0;  // an answered zero window probe
  } else if (segment.length() == 0 && same_window) {
    on_duplicate_ack(now, c);
  }
  return true;
}

void TcpStack::on_new_ack(Instant now, Connection& c, std::uint32_t ack) {
  const std::uint32_t acked = ack - c.snd_una;
  const std::uint32_t flight = c.snd_max - c.snd_una;
  c.queue.pop(std::min<std::size_t>(acked, c.queue.bytes()));
  c.snd_una = ack;
  if (seq_less(c.snd_nxt, ack)) c.snd_nxt = ack;
  c.soft_error = SocketError::kNone;
  c.first_resend = Instant::never();
  c.backoff = 0;
  if (c.rtt_running && seq_less_equal(c.rtt_seq, ack)) {
    measure_rtt(c, now - c.rtt_start);
    c.rtt_running = false;
  } else if (c.retries > 0 && c.srtt.ns > 0) {
    c.rto = std::min(c.srtt + std::max(c.rttvar * 4, config_.rto_min), config_.rto_max);
  }
  c.retries = 0;
  c.resend_at = c.snd_una == c.snd_max ? Instant::never() : now + c.rto;
  if (!c.in_recovery) {
    c.duplicate_acks = 0;
    grow_window(c, acked, flight);
  } else if (seq_less(ack, c.recover)) {  // RFC 6582 3.2: a partial acknowledgement
    retransmit_first(now, c);
    c.cwnd = std::max(c.cwnd > acked ? c.cwnd - acked : 0u, c.mss) + (acked >= c.mss ? c.mss : 0u);
  } else {
    c.in_recovery = false;
    c.duplicate_acks = 0;
    c.cwnd = std::min(c.ssthresh, std::max(c.snd_max - c.snd_una, c.mss) + c.mss);
  }
}

// RFC 5681 3.1; an application that sends less than the window allows does not widen it (RFC 7661, Linux
// is_cwnd_limited).
void TcpStack::grow_window(Connection& c, std::uint32_t acked, std::uint32_t flight) {
  if (c.cwnd >= kLargestWindow) return;
  if (c.cwnd < c.ssthresh) {
    if (c.cwnd < 2 * flight) c.cwnd += acked;
  } else if (flight + c.mss > c.cwnd) {
    const std::uint64_t step = std::uint64_t{c.mss} * acked / c.cwnd;
    c.cwnd += static_cast<std::uint32_t>(std::max<std::uint64_t>(1, step));
  }
}

void TcpStack::on_duplicate_ack(Instant now, Connection& c) {
  ++c.duplicate_acks;
  if (c.in_recovery) {
    c.cwnd = std::min(c.cwnd + c.mss, kLargestWindow);
    return;
  }
  if (c.duplicate_acks != config_.duplicate_acks || !seq_less(c.recover, c.snd_una)) return;
  c.ssthresh = std::max((c.snd_max - c.snd_una) / 2, 2 * c.mss);
  c.recover = c.snd_max;
  c.in_recovery = true;
  c.cwnd = c.ssthresh + config_.duplicate_acks * c.mss;
  retransmit_first(now, c);
}

// False if that was the end of the connection.
bool TcpStack::on_fin_acked(Instant now, Connection& c) {
  switch (c.state) {
    case TcpState::kFinWait1:
      c.state = TcpState::kFinWait2;
      if (c.orphan) c.end_at = now + config_.tcp_fin_timeout;
      return true;
    case TcpState::kClosing:
      enter_time_wait(now, c);
      if (c.orphan) destroy(c);
      return false;
    case TcpState::kLastAck:
      if (c.orphan || (c.end_told && !c.unread())) {
        destroy(c);
      } else {  // the process has yet to read what came
        unlist(c);
        c.state = TcpState::kTimeWait;
        c.resend_at = c.persist_at = c.ack_at = c.end_at = c.keepalive_at = Instant::never();
      }
      return false;
    default:
      return true;
  }
}

// --- data ------------------------------------------------------------------------------------------------------------

void TcpStack::take_payload(Instant now, Connection& c, const TcpSegment& segment) {
  if (c.fin_received) return;
  std::uint32_t seq = segment.seq;
  Bytes data = segment.payload;
  if (seq_less(seq, c.rcv_nxt)) {
    const std::uint32_t known = c.rcv_nxt - seq;
    if (known >= data.size()) {
      c.ack_now = true;
      return;
    }
    data = data.slice(known, data.size() - known);
    seq = c.rcv_nxt;
  }
  const std::uint32_t room = c.rcv_adv - seq;
  if (data.size() > room) data = data.slice(0, room);
  if (data.empty()) return;
  c.last_data = now;
  if (seq != c.rcv_nxt) {  // RFC 5681 4.2: tell the sender at once
    store_out_of_order(c, seq, data);
    c.ack_now = true;
    return;
  }
  accept_in_order(c, data);
  if (c.out_of_order.empty()) {
    acknowledge_later(now, c);
  } else {
    drain_out_of_order(c);
    c.ack_now = true;
  }
  if (c.fin_early && c.fin_seq == c.rcv_nxt) take_fin(now, c);
}

void TcpStack::accept_in_order(Connection& c, const Bytes& data) {
  const auto size = static_cast<std::uint32_t>(data.size());
  c.rcv_nxt += size;
  c.ready_bytes += size;
  if (c.unread() && c.ready.back().continued_by(data)) {
    c.ready.back() = c.ready.back().joined(data);
  } else {
    c.ready.push_back(data);
  }
}

// Keeps the pieces sorted and disjoint; what is there already wins. The window bounds their bytes.
void TcpStack::store_out_of_order(Connection& c, std::uint32_t seq, const Bytes& data) {
  std::uint32_t from = seq;
  const std::uint32_t end = seq + static_cast<std::uint32_t>(data.size());
  std::size_t i = 0;
  while (seq_less(from, end)) {
    while (i < c.out_of_order.size() &&
           seq_less_equal(c.out_of_order[i].seq + static_cast<std::uint32_t>(c.out_of_order[i].data.size()), from)) {
      ++i;
    }
    std::uint32_t until = end;
    std::uint32_t next = end;
    if (i < c.out_of_order.size() && seq_less(c.out_of_order[i].seq, end)) {
      until = c.out_of_order[i].seq;
      next = until + static_cast<std::uint32_t>(c.out_of_order[i].data.size());
    }
    if (seq_less(from, until)) {
      c.out_of_order.insert(c.out_of_order.begin() + static_cast<std::ptrdiff_t>(i),
                            {from, data.slice(from - seq, until - from)});
      ++i;
    }
    from = next;
  }
}

void TcpStack::drain_out_of_order(Connection& c) {
  std::size_t used = 0;
  while (used < c.out_of_order.size() && seq_less_equal(c.out_of_order[used].seq, c.rcv_nxt)) {
    const Connection::Piece& piece = c.out_of_order[used++];
    const std::uint32_t known = c.rcv_nxt - piece.seq;
    if (known < piece.data.size()) accept_in_order(c, piece.data.slice(known, piece.data.size() - known));
  }
  c.out_of_order.erase(c.out_of_order.begin(), c.out_of_order.begin() + static_cast<std::ptrdiff_t>(used));
}

void TcpStack::take_fin(Instant now, Connection& c) {
  ++c.rcv_nxt;
  c.fin_received = true;
  c.fin_early = false;
  switch (c.state) {
    case TcpState::kEstablished:
      c.state = TcpState::kCloseWait;
      c.request_reply = true;  // Linux tcp_fin: hope that our FIN carries the acknowledgement
      acknowledge_later(now, c);
      break;
    case TcpState::kFinWait1:
      c.state = TcpState::kClosing;
      c.ack_now = true;
      break;
    case TcpState::kFinWait2:
      send_ack(now, c);
      enter_time_wait(now, c);
      if (c.orphan) destroy(c);
      break;
    default:
      break;
  }
}

// RFC 1122 4.2.3.2, and Linux's quick acknowledgements at the start of a connection.
void TcpStack::acknowledge_later(Instant now, Connection& c) {
  ++c.unacked_segments;
  if (c.quick_left > 0 && !c.request_reply) {
    --c.quick_left;
    c.ack_now = true;
  } else if (c.unacked_segments >= 2) {
    c.ack_now = true;
  } else if (c.ack_at == Instant::never()) {
    c.ack_at = now + config_.delayed_ack;
  }
}

// Tells the process what it does not know yet. It may call back, so the connection is looked up anew each time.
void TcpStack::deliver(TcpId id) {
  Connection* c = find(id);
  if (!c || !c->heard() || c->state == TcpState::kSynReceived || c->state == TcpState::kSynSent) return;
  if (!c->announced) {
    c->announced = true;
    if (c->passive) {
      const Endpoint local = c->local;
      const Endpoint remote = c->remote;
      output_.on_accepted(id, c->user, local, remote);
    } else {
      output_.on_connected(id);
    }
  }
  while ((c = find(id)) && c->heard() && c->reading && c->unread()) {
    const Bytes data = std::move(c->ready[c->ready_first++]);
    c->ready_bytes -= static_cast<std::uint32_t>(data.size());
    if (c->ready_first == c->ready.size()) {
      c->ready.clear();
      c->ready_first = 0;
    }
    output_.on_data(id, data);
  }
  if (c && c->heard() && c->writable_owed && c->queue.bytes() < config_.send_buffer) {
    c->writable_owed = false;
    output_.on_writable(id);
    c = find(id);
  }
  if (c && c->heard() && c->fin_received && !c->end_told && !c->unread()) {
    c->end_told = true;
    output_.on_end(id);
    c = find(id);
  }
  if (c && c->state == TcpState::kTimeWait && !c->unread()) destroy(*c);
}

// --- ICMP ------------------------------------------------------------------------------------------------------------

void TcpStack::on_icmp(Instant now, IcmpError code, const Endpoint& local, const Endpoint& remote, std::uint32_t seq,
                       std::uint32_t mtu) {
  Connection* c = find(local, remote);
  if (!c || seq_less(seq, c->snd_una) || seq_less(c->snd_max, seq)) return;
  if (code == IcmpError::kFragmentationNeeded) {
    const std::uint32_t headers = (local.address.is_v4() ? 40u : 60u) + (c->timestamps ? kTimestampOption : 0u);
    const std::uint32_t fits = std::max(mtu, 552u) - headers;
    if (mtu == 0 || fits >= c->mss || !c->synchronized()) return;
    c->mss = fits;
    c->snd_nxt = c->snd_una;  // Linux tcp_simple_retransmit: not a sign of congestion
    c->rtt_running = false;
    push(now, *c);
    return rearm(*c);
  }
  const bool gone = code == IcmpError::kHostUnreachable || code == IcmpError::kNetUnreachable;
  if (c->state == TcpState::kSynSent || (c->state == TcpState::kSynReceived && !c->passive)) {
    fail(*c, error_of(code));
  } else if (c->state == TcpState::kSynReceived) {
    if (gone) destroy(*c);  // Linux tcp_req_err: nobody waits for it yet
  } else {
    c->soft_error = error_of(code);
  }
}

}  // namespace dcsim::net
