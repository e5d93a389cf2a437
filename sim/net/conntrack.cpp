#include "net/conntrack.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "net/tcp.h"

namespace dcsim::net {

namespace {

using TcpState = Conntrack::TcpState;
using Direction = Conntrack::Direction;

constexpr std::size_t kFirstSlots = 64;
constexpr std::size_t kEarlyDropReach = 8;  // Linux looks at 8 buckets for somebody to evict
constexpr Duration kStreamAge = 2_s;        // nf_conntrack_proto_udp: a stream is a flow still active after two seconds

struct TimeoutName {
  std::string_view name;
  std::string_view alias;
  Duration ConntrackConfig::*field;
};
constexpr std::array kTimeouts{
    TimeoutName{"udp_timeout", "udp_timeout", &ConntrackConfig::udp_timeout},
    TimeoutName{"udp_timeout_stream", "udp_stream_timeout", &ConntrackConfig::udp_timeout_stream},
    TimeoutName{"tcp_timeout_syn_sent", "tcp_syn_sent_timeout", &ConntrackConfig::tcp_timeout_syn_sent},
    TimeoutName{"tcp_timeout_syn_recv", "tcp_syn_recv_timeout", &ConntrackConfig::tcp_timeout_syn_recv},
    TimeoutName{"tcp_timeout_established", "tcp_established_timeout", &ConntrackConfig::tcp_timeout_established},
    TimeoutName{"tcp_timeout_fin_wait", "tcp_fin_wait_timeout", &ConntrackConfig::tcp_timeout_fin_wait},
    TimeoutName{"tcp_timeout_close_wait", "tcp_close_wait_timeout", &ConntrackConfig::tcp_timeout_close_wait},
    TimeoutName{"tcp_timeout_last_ack", "tcp_last_ack_timeout", &ConntrackConfig::tcp_timeout_last_ack},
    TimeoutName{"tcp_timeout_time_wait", "tcp_time_wait_timeout", &ConntrackConfig::tcp_timeout_time_wait},
    TimeoutName{"tcp_timeout_close", "tcp_close_timeout", &ConntrackConfig::tcp_timeout_close},
    TimeoutName{"tcp_timeout_unacknowledged", "tcp_unacknowledged_timeout",
                &ConntrackConfig::tcp_timeout_unacknowledged},
    TimeoutName{"icmp_timeout", "icmp_timeout", &ConntrackConfig::icmp_timeout},
};

enum class TcpKind { kSyn, kSynAck, kFin, kAck, kRst, kNothing };

TcpKind kind_of(std::uint8_t flags) {
  if (flags & kTcpRst) return TcpKind::kRst;
  if (flags & kTcpSyn) return (flags & kTcpAck) ? TcpKind::kSynAck : TcpKind::kSyn;
  if (flags & kTcpFin) return TcpKind::kFin;
  return (flags & kTcpAck) ? TcpKind::kAck : TcpKind::kNothing;
}

struct Step {
  enum class Outcome { kMove, kIgnore, kInvalid, kReopen } outcome = Outcome::kMove;
  TcpState to = TcpState::kNone;
};
constexpr Step kIgnore{Step::Outcome::kIgnore, TcpState::kNone};
constexpr Step kInvalid{Step::Outcome::kInvalid, TcpState::kNone};
constexpr Step kReopen{Step::Outcome::kReopen, TcpState::kNone};
constexpr Step move_to(TcpState state) { return {Step::Outcome::kMove, state}; }

Step on_syn(TcpState state, bool reply) {
  switch (state) {
    case TcpState::kSynSent:
      return move_to(reply ? TcpState::kSynSent2 : TcpState::kSynSent);
    case TcpState::kSynSent2:
      return move_to(TcpState::kSynSent2);
    case TcpState::kTimeWait:
      return kReopen;
    case TcpState::kClose:
      return reply ? kInvalid : kReopen;
    default:
      return reply ? kInvalid : kIgnore;  // a late SYN must not harm a live connection
  }
}

Step on_syn_ack(TcpState state, bool reply) {
  if (state == TcpState::kSynSent2) return move_to(TcpState::kSynRecv);
  if (!reply) return state == TcpState::kSynRecv ? move_to(state) : kInvalid;
  return state == TcpState::kSynSent ? move_to(TcpState::kSynRecv) : kIgnore;
}

Step on_fin(TcpState state) {
  switch (state) {
    case TcpState::kSynRecv:
    case TcpState::kEstablished:
      return move_to(TcpState::kFinWait);
    case TcpState::kFinWait:
    case TcpState::kCloseWait:
    case TcpState::kLastAck:
      return move_to(TcpState::kLastAck);
    case TcpState::kTimeWait:
    case TcpState::kClose:
      return move_to(state);
    default:
      return kInvalid;
  }
}

Step on_ack(TcpState state, bool reply) {
  switch (state) {
    case TcpState::kSynSent:
    case TcpState::kSynSent2:
      return reply ? kIgnore : kInvalid;
    case TcpState::kSynRecv:
      return move_to(reply ? TcpState::kSynRecv : TcpState::kEstablished);
    case TcpState::kFinWait:
      return move_to(TcpState::kCloseWait);
    case TcpState::kLastAck:
      return move_to(TcpState::kTimeWait);
    default:
      return move_to(state);
  }
}

// What nf_conntrack_proto_tcp makes of a segment of a known flow; sequence windows aside.
Step step_of(TcpState state, bool reply, TcpKind kind) {
  switch (kind) {
    case TcpKind::kSyn:
      return on_syn(state, reply);
    case TcpKind::kSynAck:
      return on_syn_ack(state, reply);
    case TcpKind::kFin:
      return on_fin(state);
    case TcpKind::kAck:
      return on_ack(state, reply);
    case TcpKind::kRst:
      return move_to(TcpState::kClose);
    case TcpKind::kNothing:
      break;
  }
  return kInvalid;
}

std::uint64_t mix(std::uint64_t x) {
  x *= 0x9E3779B97F4A7C15ull;
  return x ^ (x >> 29);
}

std::uint64_t hash_of(const Address& address) {
  std::uint64_t h = address.bytes().size();
  for (const std::uint8_t byte : address.bytes()) h = mix(h ^ byte);
  return h;
}

}  // namespace

std::string_view name_of(ConnState state) {
  switch (state) {
    case ConnState::kNew:
      return "new";
    case ConnState::kEstablished:
      return "established";
    case ConnState::kRelated:
      return "related";
    case ConnState::kInvalid:
      return "invalid";
    case ConnState::kUntracked:
      break;
  }
  return "untracked";
}

bool ConntrackConfig::set(std::string_view name, Duration value) {
  if (constexpr std::string_view prefix = "nf_conntrack_"; name.starts_with(prefix)) name.remove_prefix(prefix.size());
  for (const TimeoutName& known : kTimeouts) {
    if (name != known.name && name != known.alias) continue;
    this->*known.field = value;
    return true;
  }
  return false;
}

std::vector<std::string_view> ConntrackConfig::names() {
  std::vector<std::string_view> out;
  for (const TimeoutName& known : kTimeouts) out.push_back(known.name);
  return out;
}

// --- keys -----------------------------------------------------------------------------------------------------------
// An endpoint is 49 bits: 32 of address (IPv4, or the number of an IPv6 address with bit 48 set) and 16 of port.

std::size_t Conntrack::Key::hash() const { return static_cast<std::size_t>(mix(mix(low) ^ high)); }

std::uint32_t Conntrack::number_of(const Address& wide) const {
  if (wide_index_.empty()) return 0xffffffffu;
  const std::size_t mask = wide_index_.size() - 1;
  for (std::size_t i = hash_of(wide) & mask; wide_index_[i] != 0; i = (i + 1) & mask) {
    if (wide_[wide_index_[i] - 1] == wide) return wide_index_[i] - 1;
  }
  return 0xffffffffu;
}

bool Conntrack::learn(const Address& address) {
  if (address.is_v4() || number_of(address) != 0xffffffffu) return true;
  if (wide_.size() >= 2 * std::size_t{config_->max}) return false;
  wide_.push_back(address);
  if (wide_.size() * 2 > wide_index_.size()) {
    wide_index_.assign(std::max<std::size_t>(16, wide_index_.size() * 2), 0);
    for (std::size_t n = 0; n + 1 < wide_.size(); ++n) {
      std::size_t i = hash_of(wide_[n]) & (wide_index_.size() - 1);
      while (wide_index_[i] != 0) i = (i + 1) & (wide_index_.size() - 1);
      wide_index_[i] = static_cast<std::uint32_t>(n + 1);
    }
  }
  std::size_t i = hash_of(address) & (wide_index_.size() - 1);
  while (wide_index_[i] != 0) i = (i + 1) & (wide_index_.size() - 1);
  wide_index_[i] = static_cast<std::uint32_t>(wide_.size());
  return true;
}

Conntrack::Key Conntrack::key_of(const FlowKey& flow) const {
  bool known = true;
  const auto endpoint = [&](const Address& address, std::uint16_t port) -> std::uint64_t {
    if (address.is_v4()) {
      const ByteView b = address.bytes();
      const std::uint32_t value =
          std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
      return std::uint64_t{value} << 16 | port;
    }
    const std::uint32_t number = number_of(address);
    known = known && number != 0xffffffffu;
    return std::uint64_t{1} << 48 | std::uint64_t{number} << 16 | port;
  };
  const std::uint64_t from = endpoint(flow.from, flow.from_port);
  const std::uint64_t to = endpoint(flow.to, flow.to_port);
  Key key;
  if (!known) return key;
  key.from_is_high = from > to;
  key.high = key.from_is_high ? from : to;
  key.low = (key.from_is_high ? to : from) | std::uint64_t{static_cast<std::uint8_t>(flow.protocol)} << 49;
  return key;
}

// --- the table ------------------------------------------------------------------------------------------------------

const Conntrack::Entry* Conntrack::find(const Key& key, Instant now) const {
  if (slots_.empty() || key.low == 0) return nullptr;
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = key.hash() & mask;; i = (i + 1) & mask) {
    const Entry& entry = slots_[i];
    if (entry.key_low == key.low && entry.key_high == key.high) return entry.expires > now ? &entry : nullptr;
    if (entry.key_low == 0) return nullptr;
  }
}

void Conntrack::prefetch(const FlowKey& flow) const {
  if (slots_.empty()) return;
  const Entry* const slot = &slots_[key_of(flow).hash() & (slots_.size() - 1)];
  __builtin_prefetch(slot, 1);
  __builtin_prefetch(reinterpret_cast<const char*>(slot + 1) - 1, 1);  // it may lie across two lines
}

Conntrack::Tracked Conntrack::judge(const PacketMeta& meta, const Entry* entry, const Key& key) const {
  Tracked out;
  const bool tcp = meta.flow.protocol == Protocol::kTcp;
  const TcpKind kind = kind_of(meta.tcp_flags);
  if (!entry) {
    if (!tcp) return out;
    const bool loose = kind == TcpKind::kAck && config_->tcp_loose;
    if (kind == TcpKind::kSyn || loose) {
      out.next = loose ? TcpState::kEstablished : TcpState::kSynSent;
    } else {
      out.state = ConnState::kInvalid;
    }
    return out;
  }
  out.direction = key.from_is_high == entry->original_is_high ? Direction::kOriginal : Direction::kReply;
  const bool reply = out.direction == Direction::kReply;
  out.state = reply || entry->seen_reply ? ConnState::kEstablished : ConnState::kNew;
  out.entry = const_cast<Entry*>(entry);
  if (!tcp) return out;
  const Step step = step_of(entry->tcp, reply, kind);
  out.next = step.to;
  out.keep = step.outcome != Step::Outcome::kIgnore;
  switch (step.outcome) {
    case Step::Outcome::kInvalid:
      out.state = ConnState::kInvalid;
      break;
    case Step::Outcome::kReopen:
      out.state = ConnState::kNew;
      out.direction = Direction::kOriginal;
      out.next = TcpState::kSynSent;
      out.remove = true;
      break;
    default:  // a RST to what nobody answered: there is no connection to remember
      out.remove = kind == TcpKind::kRst && !entry->seen_reply;
      if (out.remove) out.next = TcpState::kNone;
      break;
  }
  return out;
}

void Conntrack::apply(const PacketMeta& meta, Tracked& tracked, Instant now) {
  Entry& entry = *tracked.entry;
  if (tracked.remove || tracked.state == ConnState::kInvalid) {
    if (tracked.remove) remove(static_cast<std::size_t>(&entry - slots_.data()));
    tracked.entry = nullptr;
    return;
  }
  const bool had_reply = entry.seen_reply;
  if (meta.flow.protocol != Protocol::kTcp) {
    const bool udp = meta.flow.protocol == Protocol::kUdp;
    const bool stream = udp && had_reply && now > entry.stream_from;
    expire_at(entry, now + (stream ? config_->udp_timeout_stream : udp ? config_->udp_timeout : config_->icmp_timeout));
    entry.assured = entry.assured || stream;
  } else if (tracked.keep) {
    const TcpState old = entry.tcp;
    entry.tcp = tracked.next;
    Duration timeout = tcp_timeout(tracked.next);
    if (tracked.next == TcpState::kEstablished) {
      if (!had_reply) timeout = std::min(timeout, config_->tcp_timeout_unacknowledged);
      if (had_reply && (old == TcpState::kSynRecv || old == TcpState::kEstablished)) entry.assured = true;
    }
    expire_at(entry, now + timeout);
  }
  if (tracked.direction == Direction::kReply && !had_reply) {
    entry.seen_reply = true;
    entry.verdict_epoch = 0;  // the originator's packets are established from here on: other rules may match
  }
}

Conntrack::Tracked Conntrack::peek(const PacketMeta& meta, Instant now) const {
  if (meta.quoted) {
    Tracked out;
    out.state = find(key_of(*meta.quoted), now) ? ConnState::kRelated : ConnState::kInvalid;
    return out;
  }
  const Key key = key_of(meta.flow);
  Tracked out = judge(meta, find(key, now), key);
  if (out.remove || out.state == ConnState::kInvalid) out.entry = nullptr;
  return out;
}

Conntrack::Tracked Conntrack::classify(const PacketMeta& meta, Instant now) {
  if (meta.quoted) return peek(meta, now);
  const Key key = key_of(meta.flow);
  Tracked out = judge(meta, find(key, now), key);
  if (out.entry) apply(meta, out, now);
  return out;
}

bool Conntrack::confirm(const PacketMeta& meta, const Tracked& tracked, Instant now) {
  if (tracked.entry || meta.quoted || tracked.state != ConnState::kNew) return true;
  if (meta.flow.protocol == Protocol::kTcp && tracked.next == TcpState::kNone) return true;
  if (!learn(meta.flow.from) || !learn(meta.flow.to)) {
    ++full_drops_;
    return false;
  }
  const Key key = key_of(meta.flow);
  if (used_ >= config_->max && !make_room(key, now)) {
    ++full_drops_;
    return false;
  }
  insert(key, tracked, meta, now);
  return true;
}

void Conntrack::insert(const Key& key, const Tracked& tracked, const PacketMeta& meta, Instant now) {
  if ((used_ + 1) * 4 > slots_.size() * 3) rebuild(slots_.size(), now);
  Entry& entry = place(key, now);
  entry.original_is_high = key.from_is_high;
  entry.tcp = tracked.next;
  Duration timeout = config_->icmp_timeout;
  if (meta.flow.protocol == Protocol::kUdp) {
    timeout = config_->udp_timeout;
    entry.stream_from = now + kStreamAge;
  } else if (meta.flow.protocol == Protocol::kTcp) {
    timeout = tcp_timeout(tracked.next);
    if (tracked.next == TcpState::kEstablished) timeout = std::min(timeout, config_->tcp_timeout_unacknowledged);
  }
  expire_at(entry, now + timeout);
}

// A blank entry for `key`: its own expired slot, else the first expired one on the way, else the free one at the end.
Conntrack::Entry& Conntrack::place(const Key& key, Instant now) {
  const std::size_t mask = slots_.size() - 1;
  Entry* expired = nullptr;
  Entry* slot = nullptr;
  for (std::size_t i = key.hash() & mask; !slot; i = (i + 1) & mask) {
    Entry& entry = slots_[i];
    if (entry.key_low == 0) {
      slot = expired ? expired : &entry;
      if (!expired) ++used_;
    } else if (entry.key_low == key.low && entry.key_high == key.high) {
      slot = &entry;
    } else if (!expired && entry.expires <= now) {
      expired = &entry;
    }
  }
  *slot = Entry{};
  slot->key_low = key.low;
  slot->key_high = key.high;
  return *slot;
}

bool Conntrack::make_room(const Key& key, Instant now) {
  if (now >= no_expiry_before_) {
    rebuild(slots_.size(), now);
    if (used_ < config_->max) return true;
  }
  if (slots_.empty()) return false;
  const std::size_t mask = slots_.size() - 1;
  std::size_t i = key.hash() & mask;
  for (std::size_t looked = 0; looked < kEarlyDropReach; ++looked, i = (i + 1) & mask) {
    if (slots_[i].key_low == 0 || slots_[i].assured) continue;
    remove(i);
    ++early_drops_;
    return true;
  }
  return false;
}

// Takes a slot out and closes the gap, so that no probe ends early.
void Conntrack::remove(std::size_t slot) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t gap = slot;
  for (std::size_t i = (slot + 1) & mask; slots_[i].key_low != 0; i = (i + 1) & mask) {
    const std::size_t home = Key{slots_[i].key_low, slots_[i].key_high, false}.hash() & mask;
    if (((i - home) & mask) < ((i - gap) & mask)) continue;
    slots_[gap] = slots_[i];
    gap = i;
  }
  slots_[gap] = Entry{};
  --used_;
}

// Lays the live entries out anew, in at least `slots` slots and never more than half full.
void Conntrack::rebuild(std::size_t slots, Instant now) {
  spare_.clear();
  no_expiry_before_ = Instant::never();
  for (const Entry& entry : slots_) {
    if (entry.key_low == 0 || entry.expires <= now) continue;
    spare_.push_back(entry);
    no_expiry_before_ = std::min(no_expiry_before_, entry.expires);
  }
  slots = std::max(slots, kFirstSlots);
  while (slots < 2 * (spare_.size() + 1)) slots *= 2;
  slots_.assign(slots, Entry{});
  for (const Entry& entry : spare_) {
    std::size_t i = Key{entry.key_low, entry.key_high, false}.hash() & (slots - 1);
    while (slots_[i].key_low != 0) i = (i + 1) & (slots - 1);
    slots_[i] = entry;
  }
  used_ = spare_.size();
}

void Conntrack::expire_at(Entry& entry, Instant at) {
  entry.expires = at;
  no_expiry_before_ = std::min(no_expiry_before_, at);
}

Duration Conntrack::tcp_timeout(TcpState state) const {
  switch (state) {
    case TcpState::kSynSent:
    case TcpState::kSynSent2:
      return config_->tcp_timeout_syn_sent;
    case TcpState::kSynRecv:
      return config_->tcp_timeout_syn_recv;
    case TcpState::kEstablished:
      return config_->tcp_timeout_established;
    case TcpState::kFinWait:
      return config_->tcp_timeout_fin_wait;
    case TcpState::kCloseWait:
      return config_->tcp_timeout_close_wait;
    case TcpState::kLastAck:
      return config_->tcp_timeout_last_ack;
    case TcpState::kTimeWait:
      return config_->tcp_timeout_time_wait;
    case TcpState::kClose:
    case TcpState::kNone:
      break;
  }
  return config_->tcp_timeout_close;
}

void Conntrack::flush() {
  std::fill(slots_.begin(), slots_.end(), Entry{});
  used_ = 0;
  no_expiry_before_ = Instant::never();
}

std::size_t Conntrack::live(Instant now) const {
  return static_cast<std::size_t>(std::count_if(
      slots_.begin(), slots_.end(), [&](const Entry& entry) { return entry.key_low != 0 && entry.expires > now; }));
}

}  // namespace dcsim::net
