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
  started_ = world_.recorder().agent_started(*this);
  begin_input(started_);
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
  begin_input(world_.engine().cause());
  world_.recorder().leaving(*this);
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
  world_.engine().cancel(store_timer_);
  armed_at_ = store_at_ = Instant::never();
  raft_memory_.crash();
  listeners_.clear();
  rpc_binds_.clear();
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
  begin_input(world_.engine().cause());
  if (std::exchange(wake_waiting_, false)) agent_->on_deadline(local_now());
  while (service_time_.ns <= 0 && !inbox_.empty() && !end_pending_) {
    const Input input = std::move(inbox_.front());
    inbox_.pop_front();
    if (input.kind == Input::Kind::kPacket) inbox_bytes_ -= input.bytes.size();
    begin_input(input.cause);
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

void Process::call_rpc(std::string_view method, const Bytes& arguments, consul::RpcDone done) {
  if (!running()) return done(local_now(), Error{"dial tcp 127.0.0.1:8500: connect: connection refused"});
  Input input{Input::Kind::kCall, {}, {}, {}, arguments, std::string(method), {}};
  input.done = std::move(done);
  take(std::move(input));
}

raft::Storage* Process::raft_storage() { return world_.rpc() ? &raft_memory_ : nullptr; }

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
  timer_ = world_.schedule(*this, next, World::kWake);
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
  // What a timer leads to is told by the protocol (Actions::because), not by who armed it last; else it is the agent's own.
  begin_input(started_);
  const Instant now = local_now();
  if (agent_->next_deadline() <= now) agent_->on_deadline(now);
  after_input();
}

void Process::begin_input(Cause cause) {
  input_cause_ = cause;
  world_.engine().set_cause(cause);
}

void Process::after_input() {
  if (running() && world_.watch()) world_.watch()->after_input(*this);
  if (end_pending_) return down();
  if (running()) watch_storage();
  if (running() && state_ != ProcessState::kPaused) arm();
}

// --- The server's log ----------------------------------------------------------------------------------------------

void Process::watch_storage() {
  const Instant due = raft_memory_.next_due() == Instant::never() ? Instant::never() : from_local(raft_memory_.next_due());
  if (due == store_at_) return;
  world_.engine().cancel(store_timer_);
  store_at_ = due;
  if (due != Instant::never()) store_timer_ = world_.schedule(*this, std::max(due, world_.engine().now()), World::kStored);
}

void Process::stored() {
  store_at_ = Instant::never();
  const Instant now = local_now();
  while (auto done = raft_memory_.take_done(now)) {
    Input input{Input::Kind::kStored, {}, {}, {}, {}, std::move(done->error), {}};
    input.store_op = done->op;
    take(std::move(input));
    if (state_ == ProcessState::kDown) return;
  }
  if (running()) watch_storage();
}

// --- Slow and paused -----------------------------------------------------------------------------------------------

void Process::take(Input input) {
  if (state_ == ProcessState::kDown) return;
  if (!busy()) {
    begin_input(world_.engine().cause());
    handle(input);
    after_input();
    return;
  }
  if (input.kind == Input::Kind::kPacket) inbox_bytes_ += input.bytes.size();
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
    begin_input(input.cause);
    handle(input);
  }
  if (running() && !end_pending_ && std::exchange(wake_waiting_, false)) {
    begin_input(started_);
    agent_->on_deadline(local_now());
  }
  if (running() && !end_pending_ && !inbox_.empty()) serve_later();
  after_input();
}

void Process::handle(const Input& input) {
  const Instant now = local_now();
  switch (input.kind) {
    case Input::Kind::kCall: return agent_->call_rpc(now, input.error, input.bytes, input.done);
    case Input::Kind::kStored: return agent_->on_stored(now, input.store_op, input.error);
    case Input::Kind::kWritable: return agent_->on_stream_writable(now, input.pool, input.stream);
    case Input::Kind::kPacket:
      world_.recorder().gossip_traffic(trace::Series::kMemberlistUdpReceived, *this, input.pool, input.bytes.size(), false);
      return agent_->on_packet(now, input.pool, input.from, input.bytes);
    case Input::Kind::kAccepted:
      if (input.pool != consul::kRpcPool) world_.recorder().gossip_traffic(trace::Series::kMemberlistTcpAccept, *this, input.pool, 1, false);
      return agent_->on_stream_accepted(now, input.pool, input.stream, input.from);
    case Input::Kind::kConnected: return agent_->on_stream_connected(now, input.pool, input.stream);
    case Input::Kind::kData: return agent_->on_stream_data(now, input.pool, input.stream, input.bytes);
    case Input::Kind::kEof: return agent_->on_stream_eof(now, input.pool, input.stream);
    case Input::Kind::kFailed: return agent_->on_stream_failed(now, input.pool, input.stream, input.error);
    case Input::Kind::kCommand:
      if (input.words.size() > 1 && input.words[1] == "leave") world_.recorder().leaving(*this);
      return agent_->run(now, input.command, input.words);
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
  if (!may_bind(at.address)) return failed(net::SocketError::kAddressNotAvailable, "tcp");
  if (const auto e = world_.network().tcp_listen(host_, at.port, this); e != net::SocketError::kNone) return failed(e, "tcp");
  if (const auto e = world_.network().udp_bind(host_, at.port, this); e != net::SocketError::kNone) return failed(e, "udp");
  listeners_.push_back({at.port, pool});
  return std::nullopt;
}

/// bind(2) takes a wildcard, the loopback or an address of the host.
bool Process::may_bind(const Address& address) const {
  const Address bound = address.canonical();
  const std::string shown = bound.text();
  if (bound.empty() || shown == "0.0.0.0" || shown == "::" || shown == "::1") return true;
  if (bound.is_v4() && bound.v4_value() >> 24 == 127) return true;
  return world_.network().host_at(bound, host_) == host_;
}

std::optional<Error> Process::listen_rpc(const Endpoint& at) {
  const auto failed = [&](net::SocketError e) { return Error{fmt::format("listen tcp {}: bind: {}", at.text(), text_of(e))}; };
  if (!may_bind(at.address)) return failed(net::SocketError::kAddressNotAvailable);
  if (rpc_binds_.empty()) {
    if (const auto e = world_.network().tcp_listen(host_, at.port, this); e != net::SocketError::kNone) return failed(e);
    listeners_.push_back({at.port, consul::kRpcPool});
  }
  rpc_binds_.push_back(at.address);
  return std::nullopt;
}

Result<std::vector<Address>> Process::resolve(std::string_view name) { return world_.resolve(name); }

// Hot: once per packet sent. ~10 ns above Network::udp_send.
gossip::SendStatus Process::send_packet(consul::PoolId pool, const Endpoint& to, const Bytes& payload) {
  const std::uint16_t port = agent_->port(pool);
  const net::SocketError e = world_.network().udp_send(host_, port, to, payload);
  world_.recorder().gossip_traffic(trace::Series::kMemberlistUdpSent, *this, pool, payload.size(), true);
  if (e == net::SocketError::kNone) [[likely]] return gossip::SendStatus::kSent;
  unsent_ = {e, {world_.network().address_of(host_), port}, to};
  // memberlist's failedRemote(): errors of the network count against the remote side, and EPERM of a local firewall does too.
  switch (e) {
    case net::SocketError::kPermitted:
    case net::SocketError::kNetUnreachable:
    case net::SocketError::kHostUnreachable:
    case net::SocketError::kRefused: return gossip::SendStatus::kNetworkError;
    default: return gossip::SendStatus::kOtherError;
  }
}

std::string Process::send_error() const {
  return fmt::format("write udp {}->{}: sendto: {}", unsent_.from.text(), unsent_.to.text(), text_of(unsent_.error));
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
  Stream* s = find(id);
  if (!s) return;
  if (s->pool == consul::kRpcPool) return rpc_send(*s, payload);
  world_.recorder().gossip_traffic(trace::Series::kMemberlistTcpSent, *this, s->pool, payload.size(), s->dialled);
  world_.network().tcp_send(s->connection, payload);
}

// Hot: once per message of Raft and RPC.
void Process::rpc_send(Stream& s, const Bytes& payload) {
  if (s.closing) return;
  if (s.unsent.empty() && world_.network().tcp_send(s.connection, payload) != net::SocketError::kMessageTooLong) return;
  s.unsent.push_back(payload);
}

bool Process::stream_full(gossip::StreamId id) const {
  const auto it = streams_.find(id.value);
  return it != streams_.end() && !it->second.unsent.empty();
}

Endpoint Process::stream_local(gossip::StreamId id) const {
  const auto it = streams_.find(id.value);
  return it == streams_.end() ? Endpoint{} : it->second.local;
}

void Process::on_writable(net::ConnectionId connection) {
  const gossip::StreamId id = stream_of(connection);
  Stream* s = find(id);
  if (!s || s->unsent.empty()) return;
  while (!s->unsent.empty()) {
    if (world_.network().tcp_send(connection, s->unsent.front()) == net::SocketError::kMessageTooLong) return;
    s->unsent.pop_front();
  }
  if (!s->closing) return take({Input::Kind::kWritable, s->pool, id, {}, {}, {}, {}});
  world_.network().tcp_close(connection);
  forget(id);
}

void Process::stream_close(gossip::StreamId id) {
  Stream* s = find(id);
  if (!s || s->local_closed) return;
  if (!s->unsent.empty() && s->connected) {
    s->closing = true;
    return;
  }
  if (s->connection.valid()) {
    if (s->connected && s->dialled && s->pool != consul::kRpcPool) {
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
void Process::because(Cause cause) { world_.engine().set_cause(cause.record != 0 ? cause : input_cause_); }
Cause Process::member_event(consul::PoolId pool, const gossip::MemberEvent& event, Cause cause) {
  const Cause record = world_.recorder().member_event(*this, pool, event, cause);
  if (world_.watch()) world_.watch()->on_member_event(*this, pool, event);
  return record;
}
Cause Process::serf_notice(consul::PoolId pool, const gossip::SerfNotice& notice, Cause cause) {
  return world_.recorder().serf_notice(*this, pool, notice, cause);
}
Cause Process::joined(consul::PoolId pool, const consul::JoinReport& report) {
  const Cause result = world_.recorder().joined(*this, pool, report);
  because(result);
  return result;
}
void Process::serf_message(consul::PoolId pool, bool sent, std::size_t bytes) { world_.recorder().serf_message(*this, pool, sent, bytes); }
void Process::coordinate_moved(consul::PoolId pool, const gossip::Coordinate& before, const gossip::Coordinate& after) {
  world_.recorder().coordinate_moved(*this, pool, before, after);
}
void Process::queues_checked(consul::PoolId pool, const gossip::QueueDepths& depths) { world_.recorder().queues_checked(*this, pool, depths); }
void Process::user_event(consul::PoolId pool, const gossip::UserEvent& event) {
  world_.recorder().serf_counted(trace::Series::kSerfEvents, *this, pool, event.name);
}
void Process::query(consul::PoolId pool, std::string_view name) { world_.recorder().serf_counted(trace::Series::kSerfQueries, *this, pool, name); }
void Process::log(consul::LogLevel level, std::string_view line) { world_.recorder().log(*this, level, line); }
void Process::command_done(consul::CommandId command, const consul::CommandResult& result) {
  // The end of what a timer finished goes back to the leave it belongs to, or to the command itself.
  const Cause leave = world_.recorder().leave_intent(*this);
  if (world_.engine().cause() == started_) world_.engine().set_cause(leave.record != 0 ? leave : world_.cause_of(command));
  world_.command_done(*this, command, result);
}

void Process::exited(int status, std::string_view why) {
  const Cause leave = world_.recorder().leave_intent(*this);
  if (world_.engine().cause() == started_ && leave.record != 0) world_.engine().set_cause(leave);
  world_.recorder().agent_exited(*this, status, why);
  end_pending_ = true;  // the agent is still on the stack
}

// --- Sockets -------------------------------------------------------------------------------------------------------

bool Process::takes(const Endpoint&, std::size_t bytes) { return !busy() || inbox_bytes_ + bytes <= kReceiveBuffer; }

// Hot: once per packet received.
void Process::on_udp(HostId, const Endpoint& from, const Endpoint& to, const Bytes& payload) {
  for (const Listener& l : listeners_) {
    if (l.port != to.port) continue;
    if (!busy()) {
      input_cause_ = world_.engine().cause();
      world_.recorder().gossip_traffic(trace::Series::kMemberlistUdpReceived, *this, l.pool, payload.size(), false);
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
    if (l.pool == consul::kRpcPool && !rpc_bound(local.address)) return world_.network().tcp_abort(connection);
    const gossip::StreamId id = new_stream(connection, l.pool, remote, false);
    if (l.pool == consul::kRpcPool) rpc_opened(*find(id), local);
    take({Input::Kind::kAccepted, l.pool, id, remote, {}, {}, {}});
    return;
  }
}

void Process::on_connected(net::ConnectionId connection) {
  const gossip::StreamId id = stream_of(connection);
  if (Stream* s = find(id)) {
    s->connected = true;
    world_.engine().cancel(s->timer);
    if (s->pool == consul::kRpcPool) rpc_opened(*s, world_.network().tcp_local(connection).value_or(Endpoint{}));
    take({Input::Kind::kConnected, s->pool, id, {}, {}, {}, {}});
  }
}

void Process::on_data(net::ConnectionId connection, const Bytes& data) {
  const gossip::StreamId id = stream_of(connection);
  if (const Stream* s = find(id); s && !s->local_closed && !s->closing) take({Input::Kind::kData, s->pool, id, {}, data, {}, {}});
}

void Process::on_eof(net::ConnectionId connection) {
  const gossip::StreamId id = stream_of(connection);
  if (const Stream* s = find(id); s && !s->local_closed && !s->closing) take({Input::Kind::kEof, s->pool, id, {}, {}, {}, {}});
}

void Process::on_error(net::ConnectionId connection, net::SocketError error) {
  const gossip::StreamId id = stream_of(connection);
  const Stream* s = find(id);
  if (!s) return;
  if (s->local_closed || s->closing) return forget(id);
  const consul::PoolId pool = s->pool;
  const std::string from = pool == consul::kRpcPool ? s->local.text() + "->" : "";
  std::string text = s->connected ? fmt::format("read tcp {}{}: read: {}", from, s->remote.text(), text_of(error)) : dial_error(*s, error);
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
  const Endpoint local = world_.network().tcp_local(s->connection).value_or(Endpoint{});
  world_.network().tcp_abort(s->connection);
  world_.recorder().dial_timed_out(*this, local, s->remote);
  forget(id);
  take({Input::Kind::kFailed, pool, id, {}, {}, std::move(text), {}});
}

void Process::dial_failed(std::uint32_t stream) {
  const gossip::StreamId id{stream};
  const Stream* s = find(id);
  if (!s) return;
  const consul::PoolId pool = s->pool;
  std::string text = dial_error(*s, s->failed_at_once);
  const Endpoint local{world_.network().address_of(host_), 0};  // no port was taken
  const Cause record = world_.recorder().connection_failed(world_.engine().now(), host_, local, s->remote, s->failed_at_once);
  world_.engine().set_cause(record);
  forget(id);
  take({Input::Kind::kFailed, pool, id, {}, {}, std::move(text), {}});
}

std::string Process::dial_error(const Stream& stream, net::SocketError error) const {
  return fmt::format("dial tcp {}: connect: {}", stream.remote.text(), text_of(error));
}

/// Go's net package keeps its connections alive.
void Process::rpc_opened(Stream& stream, const Endpoint& local) {
  stream.local = local;
  world_.network().tcp_set_keepalive(stream.connection, 15_s, 15_s, 9);
}

bool Process::rpc_bound(const Address& local) const {
  return std::any_of(rpc_binds_.begin(), rpc_binds_.end(), [&](const Address& bind) {
    return bind == Address::v4(0) || bind.text() == "::" || bind.canonical() == local.canonical();
  });
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
