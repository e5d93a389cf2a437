#include "host/process.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/wide.h"
#include "host/recorder.h"
#include "host/watch.h"
#include "host/world.h"

namespace dcsim::host {

namespace {
/// memberlist asks for a receive buffer of 2 MiB (net_transport.go udpRecvBufSize) and counts on getting it.
constexpr std::size_t kReceiveBuffer = 2u << 20;
/// Who dialled closes once it is through with the answer (memberlist state.go pushPullNode merges first). By then the FIN
/// behind the answer is there, and the own one acknowledges it: ten packets an exchange, as on real machines.
constexpr Duration kMerging = 50_us;
}  // namespace

Process::Process(World& world, AgentId id, HostId host) : world_(world), id_(id), host_(host) {}
Process::~Process() = default;

// --- Life ----------------------------------------------------------------------------------------------------------

void Process::start(const consul::AgentConfig& config) {
  DCSIM_CHECK(state_ == ProcessState::kDown);
  state_ = ProcessState::kRunning;
  started_at_ = world_.engine().now();
  end_pending_ = false;
  agent_ = std::make_unique<consul::Agent>(config, *this, world_.seed(),
                                           starts_ == 0 ? world_.spec(id_).full_name : fmt::format("{}#{}", world_.spec(id_).full_name, starts_ + 1));
  ++starts_;  // a restarted process draws anew
  world_.recorder().agent_started(*this);
  if (const auto failed = agent_->start(local_now())) {
    log(consul::LogLevel::kError, "agent: Error starting agent: error=\"" + failed->text + "\"");
    world_.recorder().agent_exited(*this, 1, failed->text);
    down();
    return;
  }
  world_.recorder().pools_opened(*this);
  after_input();
}

void Process::terminate() {
  if (state_ == ProcessState::kDown) return;
  if (state_ == ProcessState::kPaused) resume();
  state_ = ProcessState::kLeaving;
  leaving_ = true;
  agent_->terminate(local_now());
  after_input();
}

void Process::kill() {
  if (state_ != ProcessState::kDown) down();
}

void Process::down() {
  if (world_.watch()) world_.watch()->on_down(*this);
  world_.recorder().agent_down(*this);
  world_.network().kill_process(host_);
  world_.engine().cancel(timer_);
  world_.engine().cancel(service_);
  armed_at_ = Instant::never();
  listeners_.clear();
  streams_.clear();
  by_connection_.clear();
  inbox_.clear();
  inbox_bytes_ = 0;
  serving_ = wake_waiting_ = leaving_ = false;
  end_pending_ = false;
  agent_.reset();
  state_ = ProcessState::kDown;
  world_.abandon_commands(id_);
}

void Process::pause() {
  if (state_ == ProcessState::kRunning || state_ == ProcessState::kLeaving) state_ = ProcessState::kPaused;
}

void Process::resume() {
  if (state_ != ProcessState::kPaused) return;
  state_ = leaving_ ? ProcessState::kLeaving : ProcessState::kRunning;
  if (std::exchange(wake_waiting_, false)) agent_->on_deadline(local_now());
  while (service_time_.ns <= 0 && !inbox_.empty() && !end_pending_) {
    const Input input = std::move(inbox_.front());
    inbox_.pop_front();
    if (input.kind == Input::Kind::kPacket) inbox_bytes_ -= input.bytes.size();
    world_.engine().set_cause(input.cause);
    handle(input);
  }
  if (!inbox_.empty() && !end_pending_) serve_later();
  after_input();
}

void Process::run(consul::CommandId command, const std::vector<std::string>& words) {
  if (!running()) return command_done(command, consul::agent_not_running(words));
  Input input{Input::Kind::kCommand, {}, {}, {}, {}, {}, {}};
  input.command = command;
  input.words = words;
  take(std::move(input));  // a stopped process does not answer its HTTP port either
}

// --- Clock and timer -----------------------------------------------------------------------------------------------

Instant Process::local_now() const {
  const Duration since = world_.engine().now() - clock_base_;
  if (clock_drift_ == 0) return clock_local_ + since;
  return clock_local_ + since + Duration{static_cast<std::int64_t>(static_cast<Int128>(since.ns) * clock_drift_ / 1'000'000'000)};
}

Instant Process::from_local(Instant local) const {
  if (local == Instant::never()) return local;
  const Duration since = local - clock_local_;
  if (clock_drift_ == 0) return clock_base_ + since;
  // Rounded up, so that the local clock has reached `local` by then.
  const Int128 scaled = static_cast<Int128>(since.ns) * 1'000'000'000 / (1'000'000'000 + clock_drift_) + 1;
  return clock_base_ + Duration{static_cast<std::int64_t>(scaled)};
}

void Process::set_clock_drift(std::int64_t billionths) {
  clock_local_ = local_now();
  clock_base_ = world_.engine().now();
  clock_drift_ = billionths;
  if (running()) {
    world_.engine().cancel(timer_);
    armed_at_ = Instant::never();
    arm();
  }
}

void Process::arm() {
  // One queued event a process. A deadline that moved later is left to fire early and look again: cheaper than moving it.
  const Instant next = std::max(from_local(agent_->next_deadline()), world_.engine().now());
  if (next >= armed_at_) return;
  if (armed_at_ != Instant::never()) world_.engine().cancel(timer_);
  const Cause cause = world_.engine().cause();
  world_.engine().set_cause({});  // what a timer leads to is told by the protocol (Actions::because), not by who armed it
  timer_ = world_.schedule(*this, next, World::kWake);
  world_.engine().set_cause(cause);
  armed_at_ = next;
}

void Process::wake() {
  armed_at_ = Instant::never();
  if (state_ == ProcessState::kPaused) {
    wake_waiting_ = true;
    return;
  }
  if (serving_) {
    wake_waiting_ = true;  // the CPU is taken: serve() looks at the timers when it is done
    return;
  }
  const Instant now = local_now();
  if (agent_->next_deadline() <= now) agent_->on_deadline(now);
  after_input();
}

void Process::after_input() {
  if (running() && world_.watch()) world_.watch()->after_input(*this);
  if (end_pending_) return down();
  if (running() && state_ != ProcessState::kPaused) arm();
}

// --- Slow and paused -----------------------------------------------------------------------------------------------

void Process::take(Input input) {
  if (state_ == ProcessState::kDown) return;
  if (!busy()) {
    handle(input);
    after_input();
    return;
  }
  if (input.kind == Input::Kind::kPacket) {
    if (inbox_bytes_ + input.bytes.size() > kReceiveBuffer) return world_.recorder().socket_overflow(*this, input.from, input.bytes);
    inbox_bytes_ += input.bytes.size();
  }
  input.cause = world_.engine().cause();
  inbox_.push_back(std::move(input));
  if (state_ != ProcessState::kPaused) serve_later();
}

void Process::serve_later() {
  if (std::exchange(serving_, true)) return;
  service_ = world_.schedule(*this, world_.engine().now() + service_time_, World::kServe);
}

void Process::serve() {
  serving_ = false;
  if (state_ == ProcessState::kDown || state_ == ProcessState::kPaused) return;
  if (!inbox_.empty()) {
    const Input input = std::move(inbox_.front());
    inbox_.pop_front();
    if (input.kind == Input::Kind::kPacket) inbox_bytes_ -= input.bytes.size();
    world_.engine().set_cause(input.cause);
    handle(input);
  }
  if (running() && !end_pending_ && std::exchange(wake_waiting_, false)) agent_->on_deadline(local_now());
  if (running() && !end_pending_ && !inbox_.empty()) serve_later();
  after_input();
}

void Process::handle(const Input& input) {
  const Instant now = local_now();
  switch (input.kind) {
    case Input::Kind::kPacket: return agent_->on_packet(now, input.pool, input.from, input.bytes);
    case Input::Kind::kAccepted: return agent_->on_stream_accepted(now, input.pool, input.stream, input.from);
    case Input::Kind::kConnected: return agent_->on_stream_connected(now, input.pool, input.stream);
    case Input::Kind::kData: return agent_->on_stream_data(now, input.pool, input.stream, input.bytes);
    case Input::Kind::kEof: return agent_->on_stream_eof(now, input.pool, input.stream);
    case Input::Kind::kFailed: return agent_->on_stream_failed(now, input.pool, input.stream, input.error);
    case Input::Kind::kCommand: return agent_->run(now, input.command, input.words);
  }
}

// --- consul::Surroundings ------------------------------------------------------------------------------------------

gossip::Directory& Process::directory(std::string_view pool) { return world_.directory(pool); }
gossip::SerfWorkspace& Process::workspace() { return world_.workspace(); }

std::optional<Error> Process::listen(consul::PoolId pool, const Endpoint& at) {
  const auto failed = [&](net::SocketError e, const char* network) {
    return Error{fmt::format("Could not set up network transport: failed to obtain an address: Failed to start {} listener on \"{}\" port {}: listen {} {}: bind: {}",
                             network[0] == 't' ? "TCP" : "UDP", at.address.text(), at.port, network, at.text(), text_of(e))};
  };
  if (const auto e = world_.network().tcp_listen(host_, at.port, this); e != net::SocketError::kNone) return failed(e, "tcp");
  if (const auto e = world_.network().udp_bind(host_, at.port, this); e != net::SocketError::kNone) return failed(e, "udp");
  listeners_.push_back({at.port, pool});
  return std::nullopt;
}

Result<std::vector<Address>> Process::resolve(std::string_view name) { return world_.resolve(name); }

// Hot: once per packet sent. ~10 ns above Network::udp_send.
gossip::SendStatus Process::send_packet(consul::PoolId pool, const Endpoint& to, const Bytes& payload) {
  const net::SocketError e = world_.network().udp_send(host_, agent_->port(pool), to, payload);
  if (e == net::SocketError::kNone) return gossip::SendStatus::kSent;
  // memberlist's failedRemote(): errors of the network count against the remote side, and EPERM of a local firewall does too.
  switch (e) {
    case net::SocketError::kPermitted:
    case net::SocketError::kNetUnreachable:
    case net::SocketError::kHostUnreachable:
    case net::SocketError::kRefused: return gossip::SendStatus::kNetworkError;
    default: return gossip::SendStatus::kOtherError;
  }
}

gossip::StreamId Process::new_stream(net::ConnectionId connection, consul::PoolId pool, const Endpoint& remote, bool dialled) {
  const std::uint32_t id = next_stream_++;
  Stream stream;
  stream.connection = connection;
  stream.pool = pool;
  stream.remote = remote;
  stream.dialled = dialled;
  stream.connected = !dialled;
  streams_.emplace(id, stream);
  if (connection.valid()) by_connection_.emplace(connection, id);
  return gossip::StreamId{id};
}

gossip::StreamId Process::dial(consul::PoolId pool, const Endpoint& to, Duration timeout) {
  net::SocketError failed = net::SocketError::kNone;
  const net::ConnectionId connection = world_.network().tcp_connect(host_, to, this, &failed);
  const gossip::StreamId id = new_stream(connection, pool, to, true);
  Stream& stream = streams_.at(id.value);
  const Instant now = world_.engine().now();
  if (!connection.valid()) {
    stream.failed_at_once = failed;
    stream.timer = world_.schedule(*this, now, World::kDialFailed, id.value);
  } else {
    stream.timer = world_.schedule(*this, from_local(local_now() + timeout), World::kDialExpired, id.value);
  }
  return id;
}

void Process::stream_send(gossip::StreamId id, const Bytes& payload) {
  if (Stream* s = find(id)) world_.network().tcp_send(s->connection, payload);
}

void Process::stream_close(gossip::StreamId id) {
  Stream* s = find(id);
  if (!s || s->local_closed) return;
  if (s->connection.valid()) {
    if (s->connected && s->dialled) {
      s->local_closed = true;
      s->timer = world_.schedule(*this, world_.engine().now() + kMerging, World::kDialExpired, id.value);
      return;
    }
    if (s->connected) world_.network().tcp_close(s->connection);
    else world_.network().tcp_abort(s->connection);
  }
  forget(id);
}

Cause Process::note(consul::PoolId pool, const gossip::Notice& notice) {
  if (world_.watch()) world_.watch()->on_notice(*this, pool, notice);
  return world_.recorder().notice(*this, pool, notice);
}
void Process::because(Cause cause) {
  if (cause.record != 0) world_.engine().set_cause(cause);
}
Cause Process::member_event(consul::PoolId pool, const gossip::MemberEvent& event, Cause cause) {
  const Cause record = world_.recorder().member_event(*this, pool, event, cause);
  if (world_.watch()) world_.watch()->on_member_event(*this, pool, event);
  return record;
}
Cause Process::serf_notice(consul::PoolId pool, const gossip::SerfNotice& notice, Cause cause) {
  return world_.recorder().serf_notice(*this, pool, notice, cause);
}
Cause Process::joined(consul::PoolId pool, const consul::JoinReport& report) { return world_.recorder().joined(*this, pool, report); }
void Process::log(consul::LogLevel level, std::string_view line) { world_.recorder().log(*this, level, line); }
void Process::command_done(consul::CommandId command, const consul::CommandResult& result) { world_.command_done(*this, command, result); }

void Process::exited(int status, std::string_view why) {
  world_.recorder().agent_exited(*this, status, why);
  end_pending_ = true;  // the agent is still on the stack
}

// --- Sockets -------------------------------------------------------------------------------------------------------

// Hot: once per packet received.
void Process::on_udp(HostId, const Endpoint& from, const Endpoint& to, const Bytes& payload) {
  for (const Listener& l : listeners_) {
    if (l.port != to.port) continue;
    if (!busy()) {
      agent_->on_packet(local_now(), l.pool, from, payload);
      after_input();
    } else {
      take({Input::Kind::kPacket, l.pool, {}, from, payload, {}, {}});
    }
    return;
  }
}

void Process::on_accept(net::ConnectionId connection, const Endpoint& local, const Endpoint& remote) {
  for (const Listener& l : listeners_) {
    if (l.port != local.port) continue;
    const gossip::StreamId id = new_stream(connection, l.pool, remote, false);
    take({Input::Kind::kAccepted, l.pool, id, remote, {}, {}, {}});
    return;
  }
}

void Process::on_connected(net::ConnectionId connection) {
  const gossip::StreamId id = stream_of(connection);
  if (Stream* s = find(id)) {
    s->connected = true;
    world_.engine().cancel(s->timer);
    take({Input::Kind::kConnected, s->pool, id, {}, {}, {}, {}});
  }
}

void Process::on_data(net::ConnectionId connection, const Bytes& data) {
  const gossip::StreamId id = stream_of(connection);
  if (const Stream* s = find(id); s && !s->local_closed) take({Input::Kind::kData, s->pool, id, {}, data, {}, {}});
}

void Process::on_eof(net::ConnectionId connection) {
  const gossip::StreamId id = stream_of(connection);
  if (const Stream* s = find(id); s && !s->local_closed) take({Input::Kind::kEof, s->pool, id, {}, {}, {}, {}});
}

void Process::on_error(net::ConnectionId connection, net::SocketError error) {
  const gossip::StreamId id = stream_of(connection);
  const Stream* s = find(id);
  if (!s) return;
  if (s->local_closed) return forget(id);
  const consul::PoolId pool = s->pool;
  std::string text = s->connected ? fmt::format("read tcp {}: read: {}", s->remote.text(), text_of(error)) : dial_error(*s, error);
  forget(id);
  take({Input::Kind::kFailed, pool, id, {}, {}, std::move(text), {}});
}

void Process::dial_expired(std::uint32_t stream) {
  const gossip::StreamId id{stream};
  Stream* s = find(id);
  if (s && s->local_closed) {
    world_.network().tcp_close(s->connection);
    return forget(id);
  }
  if (!s || s->connected) return;
  const consul::PoolId pool = s->pool;
  std::string text = fmt::format("dial tcp {}: i/o timeout", s->remote.text());
  world_.network().tcp_abort(s->connection);
  world_.recorder().dial_timed_out(*this, s->remote);
  forget(id);
  take({Input::Kind::kFailed, pool, id, {}, {}, std::move(text), {}});
}

void Process::dial_failed(std::uint32_t stream) {
  const gossip::StreamId id{stream};
  const Stream* s = find(id);
  if (!s) return;
  const consul::PoolId pool = s->pool;
  std::string text = dial_error(*s, s->failed_at_once);
  forget(id);
  take({Input::Kind::kFailed, pool, id, {}, {}, std::move(text), {}});
}

std::string Process::dial_error(const Stream& stream, net::SocketError error) const {
  return fmt::format("dial tcp {}: connect: {}", stream.remote.text(), text_of(error));
}

Process::Stream* Process::find(gossip::StreamId id) {
  const auto it = streams_.find(id.value);
  return it == streams_.end() ? nullptr : &it->second;
}

gossip::StreamId Process::stream_of(net::ConnectionId connection) const {
  const auto it = by_connection_.find(connection);
  return it == by_connection_.end() ? gossip::StreamId::none() : gossip::StreamId{it->second};
}

void Process::forget(gossip::StreamId id) {
  const auto it = streams_.find(id.value);
  if (it == streams_.end()) return;
  world_.engine().cancel(it->second.timer);
  if (it->second.connection.valid()) by_connection_.erase(it->second.connection);
  streams_.erase(it);
}

}  // namespace dcsim::host
