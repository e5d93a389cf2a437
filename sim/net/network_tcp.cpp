#include <algorithm>

#include "base/check.h"
#include "net/network.h"
#include "net/network_state.h"

/// The joint between the sans-I/O TCP of a host and the network: segments become packets, deadlines become events.

namespace dcsim::net {

namespace {

TcpSink* sink_in(std::uint64_t user) { return reinterpret_cast<TcpSink*>(static_cast<std::uintptr_t>(user)); }
std::uint64_t user_of(TcpSink* sink) { return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(sink)); }

}  // namespace

HostTcp::Slot& HostTcp::slot_of(TcpId id) {
  if (id.slot >= slots_.size()) slots_.resize(id.slot + std::size_t{1});
  return slots_[id.slot];
}

TcpSink* HostTcp::sink_of(TcpId id) {
  Slot& slot = slot_of(id);
  return slot.generation == id.generation ? slot.sink : nullptr;
}

void HostTcp::attach(TcpId id, TcpSink* sink) {
  Slot& slot = slot_of(id);
  slot.generation = id.generation;
  slot.sink = sink;
}

void HostTcp::opened(TcpId id, TcpSink* sink) {
  attach(id, sink);
  open_.push_back(id);
  if (open_.size() < sweep_at_) return;
  std::erase_if(open_, [this](TcpId known) { return !stack.alive(known); });
  sweep_at_ = std::max<std::size_t>(64, open_.size() * 2);
}

void HostTcp::close_all() {
  const Instant now = network_.engine.now();
  const Endpoint any{};
  for (const std::uint16_t port : listeners) stack.unlisten(now, {any.address, port});
  listeners.clear();
  const std::vector<TcpId> open = std::move(open_);
  open_.clear();
  for (const TcpId id : open) {
    attach(id, nullptr);
    stack.close(now, id);
  }
}

void HostTcp::power_off() {
  stack.reset();
  listeners.clear();
  open_.clear();
  for (Slot& slot : slots_) {
    network_.engine.cancel(slot.timer);
    slot.sink = nullptr;
  }
}

void HostTcp::emit(const TcpSegment& segment) {
  const PacketId id = network_.make_packet(host_, Protocol::kTcp);
  Packet& packet = network_.packets[id];
  packet.segment = segment;
  packet.datagram_bytes =
      ip_header_of(segment.to.address) + segment.header_bytes() + static_cast<std::uint32_t>(segment.payload.size());
  network_.send_from_host(id, network_.resolve(host_, segment.to.address));
}

void HostTcp::arm(TcpId id, Instant deadline) {
  Slot& slot = slot_of(id);
  network_.engine.cancel(slot.timer);
  slot.timer = {};
  if (deadline == Instant::never()) return;
  slot.timer = network_.engine.schedule(network_.hosts[host_.index()].origin, std::max(deadline, network_.engine.now()),
                                        event(kTcpTimer, host_.value, id.slot, id.generation));
}

void HostTcp::tell_opened(const Endpoint& local, const Endpoint& remote, bool accepted) {
  if (!(network_.wants & NetObserver::kConnections)) return;
  const Cause record = network_.observer->connection_opened(network_.engine.now(), host_, local, remote, accepted);
  if (record.record) network_.engine.set_cause(record);
}

void HostTcp::on_connected(TcpId id) {
  TcpSink* sink = sink_of(id);
  if (!sink) return;
  tell_opened(stack.local(id), stack.remote(id), false);
  sink->on_connected({host_, id});
}

void HostTcp::on_accepted(TcpId id, std::uint64_t user, const Endpoint& local, const Endpoint& remote) {
  opened(id, sink_in(user));
  tell_opened(local, remote, true);
  sink_in(user)->on_accept({host_, id}, local, remote);
}

void HostTcp::on_data(TcpId id, const Bytes& data) {
  if (TcpSink* sink = sink_of(id)) sink->on_data({host_, id}, data);
}

void HostTcp::on_end(TcpId id) {
  if (TcpSink* sink = sink_of(id)) sink->on_eof({host_, id});
}

void HostTcp::on_error(TcpId id, const Endpoint& local, const Endpoint& remote, SocketError error) {
  TcpSink* sink = sink_of(id);
  if (!sink) return;
  slot_of(id).sink = nullptr;
  if (network_.wants & NetObserver::kConnections) {
    const Cause record = network_.observer->connection_failed(network_.engine.now(), host_, local, remote, error);
    if (record.record) network_.engine.set_cause(record);
  }
  sink->on_error({host_, id}, error);
}

void HostTcp::on_writable(TcpId id) {
  if (TcpSink* sink = sink_of(id)) sink->on_writable({host_, id});
}

HostTcp& Network::State::tcp_of(HostId id) {
  HostState& host = hosts[id.index()];
  if (!host.tcp) {
    TcpConfig config = tcp_config;
    if (host.access.valid()) config.mtu = directions[forward_of(host.access).index()].mtu;
    const auto [shared, fresh] = tcp_configs.try_emplace(config.mtu, config);
    host.tcp = std::make_unique<HostTcp>(*this, id, shared->second, Rng(seed, host.name, "tcp"));
  }
  return *host.tcp;
}

void Network::kill_process(HostId id) {
  HostState& host = state_->hosts[id.index()];
  host.close_udp();
  if (host.tcp) host.tcp->close_all();
}

void Network::power_off(HostId id) {
  HostState& host = state_->hosts[id.index()];
  host.up = false;
  host.close_udp();
  if (host.tcp) host.tcp->power_off();
}

void Network::power_on(HostId id) { state_->hosts[id.index()].up = true; }

SocketError Network::tcp_listen(HostId host, std::uint16_t port, TcpSink* sink) {
  if (!state_->hosts[host.index()].up) return SocketError::kHostDown;
  HostTcp& tcp = state_->tcp_of(host);
  const SocketError error = tcp.stack.listen({Address{}, port}, user_of(sink));
  if (error == SocketError::kNone) tcp.listeners.push_back(port);
  return error;
}

void Network::tcp_unlisten(HostId host, std::uint16_t port) {
  HostState& state = state_->hosts[host.index()];
  if (!state.tcp || std::erase(state.tcp->listeners, port) == 0) return;
  state.tcp->stack.unlisten(state_->engine.now(), {Address{}, port});
}

ConnectionId Network::tcp_connect(HostId host, const Endpoint& to, TcpSink* sink, SocketError* failed,
                                  std::uint16_t from_port) {
  State& state = *state_;
  const Endpoint remote{to.address.canonical(), to.port};
  const auto refuse = [&](SocketError error) {
    if (failed) *failed = error;
    return ConnectionId{};
  };
  if (failed) *failed = SocketError::kNone;
  if (!state.hosts[host.index()].up) return refuse(SocketError::kHostDown);
  const Destination destination = state.resolve(host, remote.address);
  if (!destination.local) {
    const bool route = destination.vertex.valid() &&
                       (state.reachable(host, destination) ||
                        state.graph.failed_link(state.hosts[host.index()].attachment, destination.vertex).valid());
    if (!route) return refuse(SocketError::kNetUnreachable);
  }
  HostTcp& tcp = state.tcp_of(host);
  const Endpoint local{state.source_address(host, remote, destination.local), from_port};
  const TcpStack::Opened opened = tcp.stack.connect(state.engine.now(), local, remote, user_of(sink));
  if (opened.error != SocketError::kNone) return refuse(opened.error);
  tcp.opened(opened.id, sink);
  return {host, opened.id};
}

namespace {

TcpStack* stack_of(Network::State& state, ConnectionId connection) {
  if (!connection.valid()) return nullptr;
  HostState& host = state.hosts[connection.host.index()];
  return host.tcp ? &host.tcp->stack : nullptr;
}

}  // namespace

SocketError Network::tcp_send(ConnectionId connection, const Bytes& data) {
  TcpStack* stack = stack_of(*state_, connection);
  return stack ? stack->send(state_->engine.now(), connection.tcp, data) : SocketError::kNotConnected;
}

void Network::tcp_shutdown(ConnectionId connection) {
  if (TcpStack* stack = stack_of(*state_, connection)) stack->shutdown_write(state_->engine.now(), connection.tcp);
}

void Network::tcp_close(ConnectionId connection) {
  TcpStack* stack = stack_of(*state_, connection);
  if (!stack || !stack->alive(connection.tcp)) return;
  state_->hosts[connection.host.index()].tcp->attach(connection.tcp, nullptr);
  stack->close(state_->engine.now(), connection.tcp);
}

void Network::tcp_abort(ConnectionId connection) {
  TcpStack* stack = stack_of(*state_, connection);
  if (!stack || !stack->alive(connection.tcp)) return;
  state_->hosts[connection.host.index()].tcp->attach(connection.tcp, nullptr);
  stack->abort(state_->engine.now(), connection.tcp);
}

void Network::tcp_attach(ConnectionId connection, TcpSink* sink) {
  TcpStack* stack = stack_of(*state_, connection);
  if (stack && stack->alive(connection.tcp)) state_->hosts[connection.host.index()].tcp->attach(connection.tcp, sink);
}

void Network::tcp_set_reading(ConnectionId connection, bool reading) {
  if (TcpStack* stack = stack_of(*state_, connection))
    stack->set_reading(state_->engine.now(), connection.tcp, reading);
}

void Network::tcp_set_keepalive(ConnectionId connection, Duration idle, Duration interval, std::uint32_t probes) {
  TcpStack* stack = stack_of(*state_, connection);
  if (stack) stack->set_keepalive(state_->engine.now(), connection.tcp, idle, interval, probes);
}

bool Network::tcp_alive(ConnectionId connection) const {
  TcpStack* stack = stack_of(*state_, connection);
  return stack && stack->alive(connection.tcp);
}

std::optional<Endpoint> Network::tcp_local(ConnectionId connection) const {
  if (!tcp_alive(connection)) return std::nullopt;
  return stack_of(*state_, connection)->local(connection.tcp);
}

std::optional<Endpoint> Network::tcp_remote(ConnectionId connection) const {
  if (!tcp_alive(connection)) return std::nullopt;
  return stack_of(*state_, connection)->remote(connection.tcp);
}

const TcpStack* Network::tcp_stack(HostId host) const {
  const HostState& state = state_->hosts[host.index()];
  return state.tcp ? &state.tcp->stack : nullptr;
}

}  // namespace dcsim::net
