#include <algorithm>

#include "base/check.h"
#include "net/tcp_connection.h"

namespace dcsim::net {

namespace {

constexpr std::uint32_t kTimeWaitBit = 0x80000000u;

std::uint64_t mix(std::uint64_t x) {
  x *= 0x9E3779B97F4A7C15ull;
  return x ^ (x >> 29);
}

std::uint64_t hash_of(const Address& address) {
  if (address.is_v4()) return address.v4_value();
  std::uint64_t h = 1;
  for (const std::uint8_t byte : address.bytes()) h = mix(h ^ byte);
  return h;
}

std::uint64_t hash_of(const Endpoint& local, const Endpoint& remote) {
  const std::uint64_t h = mix(hash_of(local.address) << 16 | local.port);
  return mix(h ^ (hash_of(remote.address) << 16 | remote.port));
}

}  // namespace

TcpStack::TcpStack(const TcpConfig& config, TcpOutput& output, const Rng& stream)
    : config_(config), output_(output), stream_(stream) {}

TcpStack::~TcpStack() = default;

// --- the index of 4-tuples -------------------------------------------------------------------------------------------

bool TcpStack::names(std::uint32_t entry, const Endpoint& local, const Endpoint& remote) const {
  if (entry & kTimeWaitBit) {
    const TimeWait& wait = time_waits_[((entry & ~kTimeWaitBit) - time_wait_base_) & ~kTimeWaitBit];
    return wait.local == local && wait.remote == remote;
  }
  const Connection& c = *slab_[entry - 1];
  return c.local == local && c.remote == remote;
}

std::size_t TcpStack::home_of(std::uint32_t entry) const {
  if (entry & kTimeWaitBit) {
    const TimeWait& wait = time_waits_[((entry & ~kTimeWaitBit) - time_wait_base_) & ~kTimeWaitBit];
    return hash_of(wait.local, wait.remote) & (index_.size() - 1);
  }
  const Connection& c = *slab_[entry - 1];
  return hash_of(c.local, c.remote) & (index_.size() - 1);
}

std::uint32_t TcpStack::lookup(const Endpoint& local, const Endpoint& remote) const {
  if (indexed_ == 0) return 0;
  const std::size_t mask = index_.size() - 1;
  for (std::size_t i = hash_of(local, remote) & mask; index_[i] != 0; i = (i + 1) & mask) {
    if (names(index_[i], local, remote)) return index_[i];
  }
  return 0;
}

void TcpStack::index_insert(std::uint32_t entry) {
  if ((indexed_ + 1) * 2 > index_.size()) {
    std::vector<std::uint32_t> old(std::max<std::size_t>(8, index_.size() * 2), 0);
    old.swap(index_);
    indexed_ = 0;
    for (const std::uint32_t one : old) {
      if (one != 0) index_insert(one);
    }
  }
  const std::size_t mask = index_.size() - 1;
  std::size_t i = home_of(entry);
  while (index_[i] != 0) i = (i + 1) & mask;
  index_[i] = entry;
  ++indexed_;
}

void TcpStack::index_erase(std::uint32_t entry) {
  const std::size_t mask = index_.size() - 1;
  std::size_t gap = home_of(entry);
  while (index_[gap] != entry) gap = (gap + 1) & mask;
  for (std::size_t i = (gap + 1) & mask; index_[i] != 0; i = (i + 1) & mask) {
    if (((i - home_of(index_[i])) & mask) < ((i - gap) & mask)) continue;
    index_[gap] = index_[i];
    gap = i;
  }
  index_[gap] = 0;
  --indexed_;
}

TcpStack::Connection* TcpStack::find(TcpId id) const {
  if (id.slot >= slab_.size()) return nullptr;
  Connection& c = *slab_[id.slot];
  return c.id == id && c.state != TcpState::kClosed ? &c : nullptr;
}

TcpStack::Connection* TcpStack::find(const Endpoint& local, const Endpoint& remote) const {
  const std::uint32_t entry = lookup(local, remote);
  return entry == 0 || (entry & kTimeWaitBit) ? nullptr : slab_[entry - 1].get();
}

TcpStack::TimeWait* TcpStack::find_time_wait(const Endpoint& local, const Endpoint& remote) const {
  const std::uint32_t entry = lookup(local, remote);
  if (!(entry & kTimeWaitBit)) return nullptr;
  return const_cast<TimeWait*>(&time_waits_[((entry & ~kTimeWaitBit) - time_wait_base_) & ~kTimeWaitBit]);
}

// --- connections -----------------------------------------------------------------------------------------------------

TcpStack::Connection& TcpStack::create(const Endpoint& local, const Endpoint& remote) {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(slab_.size()));
    slab_.push_back(std::make_unique<Connection>());
    slab_.back()->id = {free_.back(), 0};
  }
  Connection& c = *slab_[free_.back()];
  free_.pop_back();
  c.local = local;
  c.remote = remote;
  c.rto = config_.initial_rto;
  c.mss = local_mss(local);
  c.quick_left = config_.quick_acks;
  c.listed = true;
  index_insert(c.id.slot + 1);
  ++connections_;
  return c;
}

void TcpStack::unlist(Connection& c) {
  if (c.listed) index_erase(c.id.slot + 1);
  c.listed = false;
  if (c.half_open) --half_open_;
  c.half_open = false;
}

// The slot is blank again, but for its generation and the storage of its vectors.
void TcpStack::destroy(Connection& c) {
  unlist(c);
  if (c.armed != Instant::never()) output_.arm(c.id, Instant::never());
  Connection blank;
  blank.id = {c.id.slot, c.id.generation + 1};
  blank.queue = std::move(c.queue);
  blank.queue.clear();
  blank.out_of_order = std::move(c.out_of_order);
  blank.out_of_order.clear();
  blank.ready = std::move(c.ready);
  blank.ready.clear();
  c = std::move(blank);
  free_.push_back(c.id.slot);
  --connections_;
}

void TcpStack::reset() {
  for (const auto& c : slab_) {
    if (c->state != TcpState::kClosed) destroy(*c);
  }
  index_.assign(index_.size(), 0);
  indexed_ = 0;
  listeners_.clear();
  time_waits_.clear();
  time_wait_head_ = 0;
}

// --- TIME-WAIT -------------------------------------------------------------------------------------------------------

void TcpStack::enter_time_wait(Instant now, Connection& c) {
  unlist(c);
  c.state = TcpState::kTimeWait;  // only until the process has read what is left
  c.resend_at = c.persist_at = c.ack_at = c.end_at = c.keepalive_at = Instant::never();
  expire_time_waits(now);
  const auto number = (time_wait_base_ + static_cast<std::uint32_t>(time_waits_.size())) & ~kTimeWaitBit;
  time_waits_.push_back({c.local, c.remote, c.snd_max, c.rcv_nxt, now + config_.time_wait});
  index_insert(number | kTimeWaitBit);
}

void TcpStack::end_time_wait(TimeWait& wait) {
  const auto place = static_cast<std::uint32_t>(&wait - time_waits_.data());
  index_erase(((time_wait_base_ + place) & ~kTimeWaitBit) | kTimeWaitBit);
  wait.local.port = 0;
}

void TcpStack::expire_time_waits(Instant now) {
  while (time_wait_head_ < time_waits_.size()) {
    TimeWait& wait = time_waits_[time_wait_head_];
    if (wait.local.port != 0) {
      if (wait.until > now) break;
      end_time_wait(wait);
    }
    ++time_wait_head_;
  }
  if (time_wait_head_ < 16 || time_wait_head_ * 2 < time_waits_.size()) return;
  time_waits_.erase(time_waits_.begin(), time_waits_.begin() + static_cast<std::ptrdiff_t>(time_wait_head_));
  time_wait_base_ = (time_wait_base_ + static_cast<std::uint32_t>(time_wait_head_)) & ~kTimeWaitBit;
  time_wait_head_ = 0;
}

std::size_t TcpStack::time_waits(Instant now) const {
  return static_cast<std::size_t>(
      std::count_if(time_waits_.begin() + static_cast<std::ptrdiff_t>(time_wait_head_), time_waits_.end(),
                    [&](const TimeWait& wait) { return wait.local.port != 0 && wait.until > now; }));
}

// --- listeners -------------------------------------------------------------------------------------------------------

SocketError TcpStack::listen(const Endpoint& local, std::uint64_t user) {
  for (const Listener& other : listeners_) {
    if (other.local.port != local.port) continue;
    if (other.local.address == local.address || other.local.address.empty() || local.address.empty()) {
      return SocketError::kAddressInUse;
    }
  }
  listeners_.push_back({local, user});
  return SocketError::kNone;
}

void TcpStack::unlisten(Instant now, const Endpoint& local) {
  const auto same = [&](const Listener& listener) { return listener.local == local; };
  const auto gone = std::remove_if(listeners_.begin(), listeners_.end(), same);
  if (gone == listeners_.end()) return;
  listeners_.erase(gone, listeners_.end());
  for (std::size_t i = 0; i < slab_.size(); ++i) {
    Connection& c = *slab_[i];
    if (!c.half_open || find_listener(c.local)) continue;
    send_reset(now, c);
    destroy(c);
  }
}

bool TcpStack::listening(const Endpoint& local) const { return find_listener(local) != nullptr; }

const TcpStack::Listener* TcpStack::find_listener(const Endpoint& local) const {
  for (const Listener& listener : listeners_) {
    if (listener.local.port != local.port) continue;
    if (listener.local.address.empty() || listener.local.address == local.address) return &listener;
  }
  return nullptr;
}

bool TcpStack::port_listens(std::uint16_t port) const {
  return std::any_of(listeners_.begin(), listeners_.end(), [&](const Listener& one) { return one.local.port == port; });
}

// --- ports and sequence numbers --------------------------------------------------------------------------------------

// RFC 6056 algorithm 3: an offset by destination, then one port after the other.
std::uint16_t TcpStack::ephemeral_port(const Address& local, const Endpoint& remote) {
  if (config_.ephemeral_last < config_.ephemeral_first) return 0;
  const std::uint64_t range = std::uint64_t{config_.ephemeral_last} - config_.ephemeral_first + 1;
  const std::uint64_t offset = stream_.at(hash_of({local, 0}, remote) | 1) % range;
  for (std::uint64_t tried = 0; tried < range; ++tried) {
    const auto port = static_cast<std::uint16_t>(config_.ephemeral_first + (offset + next_port_++) % range);
    if (!port_listens(port) && lookup({local, port}, remote) == 0) return port;
  }
  return 0;
}

// RFC 6528: a clock of 64 ns (Linux's secure_seq) plus a keyed function of the 4-tuple.
std::uint32_t TcpStack::initial_sequence(Instant now, const Endpoint& local, const Endpoint& remote) const {
  const std::uint64_t secret = stream_.at(hash_of(local, remote) & ~std::uint64_t{1});
  return static_cast<std::uint32_t>(secret + (static_cast<std::uint64_t>(now.ns) >> 6));
}

// --- looking ---------------------------------------------------------------------------------------------------------

std::string_view name_of(TcpState state) {
  switch (state) {
    case TcpState::kSynSent:
      return "SYN-SENT";
    case TcpState::kSynReceived:
      return "SYN-RECEIVED";
    case TcpState::kEstablished:
      return "ESTABLISHED";
    case TcpState::kFinWait1:
      return "FIN-WAIT-1";
    case TcpState::kFinWait2:
      return "FIN-WAIT-2";
    case TcpState::kCloseWait:
      return "CLOSE-WAIT";
    case TcpState::kClosing:
      return "CLOSING";
    case TcpState::kLastAck:
      return "LAST-ACK";
    case TcpState::kTimeWait:
      return "TIME-WAIT";
    case TcpState::kClosed:
      break;
  }
  return "CLOSED";
}

TcpState TcpStack::state(TcpId id) const {
  const Connection* c = find(id);
  return c ? c->state : TcpState::kClosed;
}
Endpoint TcpStack::local(TcpId id) const {
  const Connection* c = find(id);
  return c ? c->local : Endpoint{};
}
Endpoint TcpStack::remote(TcpId id) const {
  const Connection* c = find(id);
  return c ? c->remote : Endpoint{};
}
std::uint64_t TcpStack::user(TcpId id) const {
  const Connection* c = find(id);
  return c ? c->user : 0;
}
void TcpStack::set_user(TcpId id, std::uint64_t user) {
  if (Connection* c = find(id)) c->user = user;
}
std::size_t TcpStack::unacknowledged(TcpId id) const {
  const Connection* c = find(id);
  return c ? c->queue.bytes() : 0;
}
std::uint32_t TcpStack::congestion_window(TcpId id) const {
  const Connection* c = find(id);
  return c ? c->cwnd : 0;
}
Duration TcpStack::rto(TcpId id) const {
  const Connection* c = find(id);
  return c ? c->rto : Duration{0};
}

}  // namespace dcsim::net
