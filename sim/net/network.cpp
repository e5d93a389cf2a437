#include "net/network.h"

#include <algorithm>

#include "base/check.h"
#include "net/network_state.h"

namespace dcsim::net {

namespace {

bool is_loopback(const Address& address) {
  if (address.is_v4()) return (address.v4_value() >> 24) == 127 || address.v4_value() == 0;
  const auto bytes = address.bytes();
  if (bytes.size() != 16) return false;
  return std::all_of(bytes.begin(), bytes.end() - 1, [](std::uint8_t b) { return b == 0; }) && bytes[15] <= 1;
}

template <void (*Act)(Network::State&, const core::Event&)>
void handle(void* context, const core::Event& event) {
  Act(*static_cast<Network::State*>(context), event);
}

void at_vertex(Network::State& s, const core::Event& e) {
  s.advance({e.target}, {e.arg}, s.engine.now(), s.vertex_origins[e.arg]);
}
void at_host(Network::State& s, const core::Event& e) { s.deliver({e.target}); }
void leaves_host(Network::State& s, const core::Event& e) {
  const PacketId id{e.target};
  if (e.arg != 0 && !s.partition_hook(id)) return;  // released by a heal: another partition may still be there
  s.leave_host(id);
}
void tcp_timer(Network::State& s, const core::Event& e) {
  HostState& host = s.hosts[e.target];
  if (host.tcp) host.tcp->stack.on_timer(s.engine.now(), {e.arg, static_cast<std::uint32_t>(e.a)});
}

}  // namespace

Network::State::State(core::Engine& engine_in, const Topology& topology, std::uint64_t seed_in,
                      NetObserver& observer_in, const TcpConfig& tcp)
    : engine(engine_in),
      observer(&observer_in),
      wants(observer_in.wants()),
      seed(seed_in),
      graph(topology),
      tcp_config(tcp) {
  std::unordered_map<std::string, std::uint32_t> zones;
  for (const ZoneSpec& zone : topology.zones) {
    zones.emplace(zone.name, static_cast<std::uint32_t>(zone_names.size()));
    zone_names.push_back(zone.name);
    zone_sites.push_back(zone.site);
    zone_cidrs.push_back(zone.cidr);
  }
  hosts.resize(topology.hosts.size());
  for (std::uint32_t i = 0; i < hosts.size(); ++i) {
    HostState& host = hosts[i];
    const HostSpec& spec = topology.hosts[i];
    host.name = spec.name;
    host.attachment = graph.attachment({i});
    host.access = graph.access({i});
    host.zone = zones.at(spec.zone);
    host.origin = engine.add_origin();
    host.packet_names = Rng(seed, spec.name, "packet");
    for (const Address& address : spec.addresses) {
      host.addresses.push_back(address.canonical());
      addresses.add(address.canonical(), {i}, 0);
    }
    host.address = host.addresses.front();
    host_names.emplace(spec.name, HostId{i});
  }
  for (const NatSpec& spec : topology.nat) {
    const std::uint32_t zone = zones.at(spec.zone);
    for (std::uint32_t i = 0; i < hosts.size(); ++i) {
      if (hosts[i].zone != zone || !std::count(hosts[i].addresses.begin(), hosts[i].addresses.end(), spec.inside))
        continue;
      nat.push_back({spec, zone, {i}});
      hosts[i].translated = true;
      addresses.add(spec.outside.canonical(), {i}, static_cast<std::uint32_t>(nat.size()));
      break;
    }
  }
  for (std::size_t i = 0; i < graph.vertices().size(); ++i) vertex_origins.push_back(engine.add_origin());
  directions.resize(graph.links().size() * 2);
  link_drops.resize(graph.links().size());
  for (std::uint32_t i = 0; i < graph.links().size(); ++i) {
    const Graph::Link& link = graph.links()[i];
    link_names.emplace(link.name, LinkId{i});
    for (std::uint32_t back = 0; back < 2; ++back) {
      Direction& d = directions[2 * i + back];
      d.to_vertex = back ? link.a : link.b;
    }
    refresh({i});
  }
  engine.on(kArriveAtVertex, this, handle<at_vertex>);
  engine.on(kArriveAtHost, this, handle<at_host>);
  engine.on(kLeaveHost, this, handle<leaves_host>);
  engine.on(kTcpTimer, this, handle<tcp_timer>);
}

bool Network::State::leaves_site(HostId from, std::uint32_t to_zone) const {
  const std::uint32_t zone = hosts[from.index()].zone;
  return zone != to_zone && (zone_sites[zone].empty() || zone_sites[zone] != zone_sites[to_zone]);
}

// Hot: one address probe, about 5 ns when the table is in cache.
Destination Network::State::resolve(HostId from, const Address& to) const {
  const HostState& sender = hosts[from.index()];
  const AddressMap::Owner* owner = addresses.find(to);
  if (!owner) {
    if (is_loopback(to)) return {from, sender.attachment, 0, true, false};
    if (!to.is_v4()) return {};
    Destination nobody;
    for (std::uint32_t zone = 0; zone < zone_cidrs.size(); ++zone) {
      if (!zone_cidrs[zone] || !zone_cidrs[zone]->contains(to.v4_value())) continue;
      if (!nobody.vertex.valid() || zone == sender.zone) nobody.vertex = graph.zone_vertex(zone);
    }
    return nobody;
  }
  if (owner->next) {  // reused addresses: the nearest owner
    const auto rank = [&](const AddressMap::Owner& o) {
      if (o.host == from && o.nat == 0) return 0;
      if (hosts[o.host.index()].zone == sender.zone) return 1;
      return leaves_site(from, hosts[o.host.index()].zone) ? 3 : 2;
    };
    for (const AddressMap::Owner* o = owner; o; o = addresses.next(*o)) {
      if (rank(*o) < rank(*owner)) owner = o;
    }
  }
  if (owner->host == from && owner->nat == 0) return {from, sender.attachment, 0, true, false};
  const HostState& receiver = hosts[owner->host.index()];
  Destination found{owner->host, receiver.attachment, static_cast<std::uint16_t>(owner->nat), false, false};
  if (receiver.translated && owner->nat == 0 && leaves_site(from, receiver.zone)) {
    found.untranslatable = std::any_of(nat.begin(), nat.end(),
                                       [&](const NatState& n) { return n.host == owner->host && n.spec.inside == to; });
  }
  return found;
}

const Address& Network::State::source_address(HostId from, const Endpoint& to, bool to_self) const {
  const HostState& host = hosts[from.index()];
  if (to_self) {
    for (const Address& own : host.addresses) {
      if (own == to.address) return own;
    }
    return to.address;  // the loopback interface
  }
  if (host.address.is_v4() == to.address.is_v4()) return host.address;
  for (const Address& own : host.addresses) {
    if (own.is_v4() == to.address.is_v4()) return own;
  }
  return host.addresses.front();
}

bool Network::State::reachable(HostId from, const Destination& to) const {
  const VertexId at = hosts[from.index()].attachment;
  return at == to.vertex || !graph.next_hops(at, to.vertex).empty();
}

Network::Network(core::Engine& engine, const Topology& topology, std::uint64_t seed, NetObserver& observer,
                 const TcpConfig& tcp) {
  const auto problems = problems_of(topology);
  DCSIM_CHECK_MSG(problems.empty(), problems.front());
  state_ = std::make_unique<State>(engine, topology, seed, observer, tcp);
}

Network::~Network() = default;

std::size_t Network::host_count() const { return state_->hosts.size(); }

HostId Network::find_host(std::string_view name) const {
  const auto it = state_->host_names.find(std::string(name));
  return it == state_->host_names.end() ? HostId::none() : it->second;
}

HostId Network::host_at(const Address& address, HostId from) const {
  const Address wanted = address.canonical();
  if (from.valid()) {
    const Destination found = state_->resolve(from, wanted);
    return found.untranslatable ? HostId::none() : found.host;
  }
  const AddressMap::Owner* owner = state_->addresses.find(wanted);
  return owner ? owner->host : HostId::none();
}

std::string_view Network::host_name(HostId host) const { return state_->hosts[host.index()].name; }
const Address& Network::address_of(HostId host) const { return state_->hosts[host.index()].address; }
std::string_view Network::zone_of(HostId host) const { return state_->zone_names[state_->hosts[host.index()].zone]; }
OriginId Network::origin_of(HostId host) const { return state_->hosts[host.index()].origin; }
bool Network::is_up(HostId host) const { return state_->hosts[host.index()].up; }

SocketError Network::udp_bind(HostId host, std::uint16_t port, UdpSink* sink) {
  HostState& state = state_->hosts[host.index()];
  if (!state.up) return SocketError::kHostDown;
  if (state.udp_sink(port)) return SocketError::kAddressInUse;
  if (!state.first_udp.sink)
    state.first_udp = {port, sink};
  else
    state.more_udp.push_back({port, sink});
  return SocketError::kNone;
}

void Network::udp_close(HostId host, std::uint16_t port) {
  HostState& state = state_->hosts[host.index()];
  if (state.first_udp.sink && state.first_udp.port == port) state.first_udp = {};
  std::erase_if(state.more_udp, [&](const HostState::Bound& bound) { return bound.port == port; });
}

// Hot: about 60 ns on a warm path, the event's push included.
SocketError Network::udp_send(HostId from, std::uint16_t from_port, const Endpoint& to, Bytes payload) {
  State& state = *state_;
  if (!state.hosts[from.index()].up) return SocketError::kHostDown;
  if (payload.size() > kMaxUdpPayload) return SocketError::kMessageTooLong;
  const Address wanted = to.address.canonical();
  const PacketId id = state.make_packet(from, Protocol::kUdp);
  Packet& packet = state.packets[id];
  const Destination destination = state.resolve(from, wanted);
  packet.segment.to = {wanted, to.port};
  packet.segment.from = {state.source_address(from, packet.segment.to, destination.local), from_port};
  packet.datagram_bytes = ip_header_of(wanted) + kUdpHeader + static_cast<std::uint32_t>(payload.size());
  packet.segment.payload = std::move(payload);
  return state.send_from_host(id, destination);
}

void Network::check_balance() const {
  DCSIM_CHECK(state_->totals.balanced());
  DCSIM_CHECK(state_->packets.used() == state_->totals.in_flight);
}

void Network::observer_changed() { state_->wants = state_->observer->wants(); }
const Totals& Network::totals() const { return state_->totals; }

HostCounters Network::host_counters(HostId host) const {
  const HostState& state = state_->hosts[host.index()];
  HostCounters counters = state.counters;
  counters.sent[counter_index(Protocol::kUdp)] = state.udp_sent;
  counters.received[counter_index(Protocol::kUdp)] = state.udp_received;
  return counters;
}

}  // namespace dcsim::net
