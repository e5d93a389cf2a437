#include <algorithm>

#include "base/check.h"
#include "net/distribution.h"
#include "net/network_state.h"

/// How packets move. A packet is walked along its path as far as nothing on the way depends on what others do
/// meanwhile: links without bandwidth, and the sender's own uplink. It stops, by one event, where order matters: at a
/// port that several senders share, at a firewall between zones, and at the receiver. So a path without bandwidth and
/// firewall costs one event. What happens on the walked part is decided when the packet enters it: a link that fails
/// while a packet is on it does not lose that packet.

namespace dcsim::net {

namespace {

constexpr std::uint64_t kCopySalt = 0xA24BAED4963EE407ull;

std::uint64_t absorb(std::uint64_t hash, std::uint64_t value) {
  const auto product = static_cast<Uint128>(hash ^ value) * 0x9E3779B97F4A7C15ull;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t absorb(std::uint64_t hash, const Address& address) {
  if (address.is_v4()) return absorb(hash, address.v4_value());
  for (const std::uint8_t byte : address.bytes()) hash = absorb(hash, byte + 0x100u);
  return hash;
}

}  // namespace

// Hot.
PacketId Network::State::make_packet(HostId from, Protocol protocol) {
  const PacketId id = packets.take();
  Packet& packet = packets[id];
  packet.serial = ++serials;
  packet.name = from.valid() ? hosts[from.index()].packet_names.next() : 0;
  packet.from_host = from;
  packet.protocol = protocol;
  packet.cause = engine.cause();
  packet.corrupted_on = LinkId::none();
  packet.made_by = FirewallId::none();
  packet.fragments = 1;
  packet.hop = 0;
  packet.source_nat = 0;
  packet.destination_nat = 0;
  packet.forward_hook_due = false;
  packet.source_nat_due = false;
  packet.jittered = false;
  packet.late = false;
  return id;
}

SocketError Network::State::send_from_host(PacketId id, const Destination& to) {
  Packet& packet = packets[id];
  HostState& host = hosts[packet.from_host.index()];
  packet.to_host = to.host;
  packet.to_vertex = to.vertex;
  packet.destination_nat = to.destination_nat;
  Counter& counter = host.sent(packet.protocol);
  ++counter.packets;
  counter.bytes += packet.datagram_bytes;
  ++totals.sent;
  ++totals.in_flight;
  if (wants & NetObserver::kSent) {
    if (const Cause record = observer->packet_sent(engine.now(), info_of(packet)); record.record) packet.cause = record;
  }
  SocketError error = SocketError::kNone;
  if (host.hooked && !to.local && !output_hook(id, error)) return error;
  if (to.local) {
    schedule_delivery(id, host.origin, engine.now());
    return SocketError::kNone;
  }
  if (to.untranslatable) {
    drop(id, Drop::because(DropReason::kNat));
    return SocketError::kNone;
  }
  if (!to.vertex.valid() || !reachable(packet.from_host, to)) {
    const LinkId broken = to.vertex.valid() ? graph.failed_link(host.attachment, to.vertex) : LinkId::none();
    if (broken.valid()) {  // the routers beyond have no way either, but this host's own route still stands
      drop(id, Drop::on_link(DropReason::kLinkDown, broken));
      return SocketError::kNone;
    }
    drop(id, Drop::because(DropReason::kNoRoute));
    return SocketError::kNetUnreachable;
  }
  const bool same_zone = to.host.valid() ? hosts[to.host.index()].zone == host.zone
                                         : graph.vertices()[to.vertex.index()].zone == host.zone;
  packet.forward_hook_due = any_forward(same_zone);
  packet.source_nat_due = host.translated;
  if (!active_partitions.empty() && !partition_hook(id)) return SocketError::kNone;
  leave_host(id);
  return SocketError::kNone;
}

void Network::State::leave_host(PacketId id) {
  Packet& packet = packets[id];
  const HostState& host = hosts[packet.from_host.index()];
  Instant when = engine.now();
  if (host.access.valid() && !cross(id, forward_of(host.access), when, host.origin)) return;
  advance(id, host.attachment, when, host.origin);
}

/// Moves the packet on from vertex `at`, where it is at `when`, as far as it goes without an event.
/// Hot: about 5 ns a link without bandwidth, 10 with; plus one event per shared port.
void Network::State::advance(PacketId id, VertexId at, Instant when, OriginId origin) {
  Packet& packet = packets[id];
  for (;;) {
    const Graph::Vertex& vertex = graph.vertices()[at.index()];
    const bool early = when > engine.now();
    if (packet.forward_hook_due && !vertex.host.valid()) {
      if (early) {
        prefetch_forward(packet);
        return schedule_arrival(id, at, origin, when);
      }
      packet.forward_hook_due = false;
      if (!forward_hook(id, at)) return;
    }
    if (packet.source_nat_due && !vertex.host.valid()) translate_source(packet);
    DirectionId via;
    if (at == packet.to_vertex) {
      if (!packet.to_host.valid()) {
        if (early) return schedule_arrival(id, at, origin, when);
        // The last router asks three times by ARP, a second apart, before it answers.
        drop_and_answer(id, Drop::because(DropReason::kNoHost), IcmpError::kHostUnreachable, at, 3_s);
        return;
      }
      if (packet.destination_nat) packet.segment.to.address = nat[packet.destination_nat - 1u].spec.inside.canonical();
      if (vertex.host.valid()) return schedule_delivery(id, origin, when);
      via = reverse_of(forward_of(hosts[packet.to_host.index()].access));
    } else {
      const auto hops = graph.next_hops(at, packet.to_vertex);
      if (hops.empty()) {  // the route went away while the packet was on it
        const LinkId broken = graph.failed_link(at, packet.to_vertex);
        drop(id, Drop::on_link(broken.valid() ? DropReason::kLinkDown : DropReason::kNoRoute, broken));
        return;
      }
      via = hops.size() == 1 ? hops.front() : choose(packet, at, hops);
    }
    const Direction& next = directions[via.index()];
    if (early && next.bandwidth != 0) return schedule_arrival(id, at, origin, when);
    if (!cross(id, via, when, origin)) return;
    if (!next.to_vertex.valid()) return schedule_delivery(id, origin, when);
    at = next.to_vertex;
  }
}

/// Crosses one link that is entered at `when`; false if the packet is gone.
bool Network::State::cross(PacketId id, DirectionId via, Instant& when, OriginId origin) {
  Packet& packet = packets[id];
  Direction& d = directions[via.index()];
  if (d.down) {
    drop(id, Drop::on_link(DropReason::kLinkDown, link_of(via)));
    return false;
  }
  if (packet.datagram_bytes > d.mtu) {
    if (packet.protocol == Protocol::kTcp) {  // sent with don't-fragment, for path MTU discovery
      const VertexId here = directions[reverse_of(via).index()].to_vertex;
      drop_and_answer(id, Drop::on_link(DropReason::kMtu, link_of(via)), IcmpError::kFragmentationNeeded, here,
                      when - engine.now(), d.mtu);
      return false;
    }
    const auto pieces = static_cast<std::uint16_t>(fragments_of(packet.datagram_bytes, d.mtu));
    packet.fragments = std::max(packet.fragments, pieces);
  }
  const std::uint32_t bytes = packet.ip_bytes();
  if (d.bandwidth != 0) {
    when = d.transmit(when, bytes);
    if (when == Instant::never()) {
      drop(id, Drop::on_link(DropReason::kQueueFull, link_of(via)));
      return false;
    }
  }
  d.counter.packets += packet.fragments;
  d.counter.bytes += bytes;
  ++packet.hop;
  if (d.plain) {
    when += d.latency;
  } else {
    if (!draw_loss(id, via)) return false;
    draw_delay(packet, d, when);
    if (d.attributes.duplicate != 0) duplicate(id, via, when, origin);
  }
  if (wants & NetObserver::kHops) observer->packet_hop(when, info_of(packet), link_of(via), (via.value & 1) != 0);
  return true;
}

/// Loss and corruption, each fragment by its own draw. A corrupt packet travels on; the receiver's checksum finds it.
bool Network::State::draw_loss(PacketId id, DirectionId via) {
  Packet& packet = packets[id];
  const Direction& d = directions[via.index()];
  const LinkAttributes& link = d.attributes;
  const auto drawn = [&](const Rng& stream, CorrelationMemory::Kind kind, Billionths chance, std::uint32_t fragment) {
    const std::uint64_t number = packet.name + fragment;
    std::uint64_t draw = stream.at(number);
    if (link.correlation != 0) {
      const std::uint64_t repeat = d.streams->repeat.at(number ^ (std::uint64_t{kind} << 62));
      draw = correlation.correlate(via, packet.from_host, kind, draw, repeat, link.correlation);
    }
    return hits(draw, chance);
  };
  for (std::uint32_t i = 0; i < packet.fragments; ++i) {
    if (link.loss != 0 && drawn(d.streams->loss, CorrelationMemory::kLoss, link.loss, i)) {
      drop(id, Drop::on_link(DropReason::kLoss, link_of(via)));
      return false;
    }
    if (link.corrupt != 0 && drawn(d.streams->corrupt, CorrelationMemory::kCorrupt, link.corrupt, i) &&
        !packet.corrupted_on.valid()) {
      packet.corrupted_on = link_of(via);
    }
  }
  return true;
}

void Network::State::draw_delay(Packet& packet, const Direction& d, Instant& when) const {
  const LinkAttributes& link = d.attributes;
  Duration delay = d.latency;
  if (link.jitter.ns > 0) {
    delay += jitter_deviation(link.distribution, link.jitter, d.streams->jitter.at(packet.name));
    delay.ns = std::max<std::int64_t>(delay.ns, 0);
    packet.jittered = true;
  }
  if (link.reorder != 0) {
    const std::uint64_t draw = d.streams->reorder.at(packet.name);
    if (hits(draw, link.reorder)) {
      const auto most = static_cast<Uint128>((d.latency + link.jitter).ns);
      delay.ns += static_cast<std::int64_t>((d.streams->reorder.at(~packet.name) * most) >> 64);
      packet.late = true;
    }
  }
  when += delay;
}

void Network::State::duplicate(PacketId id, DirectionId via, Instant when, OriginId origin) {
  const Direction& d = directions[via.index()];
  Packet& packet = packets[id];
  std::uint64_t draw = d.streams->duplicate.at(packet.name);
  if (d.attributes.correlation != 0) {
    const std::uint64_t repeat =
        d.streams->repeat.at(packet.name ^ (std::uint64_t{CorrelationMemory::kDuplicate} << 62));
    draw = correlation.correlate(via, packet.from_host, CorrelationMemory::kDuplicate, draw, repeat,
                                 d.attributes.correlation);
  }
  if (!hits(draw, d.attributes.duplicate)) return;
  const PacketId copy_id = packets.take();
  Packet& copy = packets[copy_id];
  std::unique_ptr<Quote> quote = packet.quote ? std::make_unique<Quote>(*packet.quote) : nullptr;
  copy.segment = packet.segment;
  copy.serial = ++serials;
  copy.name = absorb(packet.name, kCopySalt);
  copy.from_host = packet.from_host;
  copy.to_host = packet.to_host;
  copy.to_vertex = packet.to_vertex;
  copy.datagram_bytes = packet.datagram_bytes;
  copy.cause = packet.cause;
  copy.corrupted_on = packet.corrupted_on;
  copy.made_by = packet.made_by;
  copy.fragments = packet.fragments;
  copy.hop = packet.hop;
  copy.source_nat = packet.source_nat;
  copy.destination_nat = packet.destination_nat;
  copy.protocol = packet.protocol;
  copy.icmp = packet.icmp;
  copy.forward_hook_due = packet.forward_hook_due;
  copy.source_nat_due = packet.source_nat_due;
  copy.jittered = packet.jittered;
  copy.late = packet.late;
  copy.quote = std::move(quote);
  ++totals.duplicated;
  ++totals.in_flight;
  if (wants & NetObserver::kDuplicated) {
    const Cause record = observer->packet_duplicated(engine.now(), info_of(packet), link_of(via), copy.serial);
    if (record.record) copy.cause = record;
  }
  if (!d.to_vertex.valid()) return schedule_delivery(copy_id, origin, when);
  schedule_arrival(copy_id, d.to_vertex, origin, when);
}

// Hot.
void Network::State::schedule_arrival(PacketId id, VertexId at, OriginId origin, Instant when) {
  Packet& packet = packets[id];
  if (at == packet.to_vertex && packet.to_host.valid()) {  // the port it will queue at
    const LinkId access = hosts[packet.to_host.index()].access;
    if (access.valid()) __builtin_prefetch(&directions[reverse_of(forward_of(access)).index()], 1);
  }
  if (packet.jittered && !packet.late)
    when = fifo.arrive(packet.from_host, packet.to_host, at.value, when, engine.now());
  packet.jittered = packet.late = false;
  engine.schedule(origin, when, event(kArriveAtVertex, id.value, at.value));
}

// Hot.
void Network::State::schedule_delivery(PacketId id, OriginId origin, Instant when) {
  Packet& packet = packets[id];
  __builtin_prefetch(&hosts[packet.to_host.index()]);
  __builtin_prefetch(&hosts[packet.to_host.index()].packet_names);
  if (packet.jittered && !packet.late) {
    when = fifo.arrive(packet.from_host, packet.to_host, packet.to_host.value | 0x80000000u, when, engine.now());
  }
  packet.jittered = packet.late = false;
  engine.schedule(origin, when, event(kArriveAtHost, id.value));
}

/// Equal-cost choice by the flow's 5-tuple and the switch's name: one flow keeps one path, and the choice depends on
/// nothing that other hosts or links could move.
DirectionId Network::State::choose(const Packet& packet, VertexId at, std::span<const DirectionId> hops) const {
  std::uint64_t hash = absorb(graph.vertices()[at.index()].salt, packet.segment.from.address);
  hash = absorb(hash, packet.segment.to.address);
  hash = absorb(hash, (std::uint64_t{packet.segment.from.port} << 32) | (std::uint64_t{packet.segment.to.port} << 16) |
                          static_cast<std::uint64_t>(packet.protocol));
  return hops[static_cast<std::size_t>((static_cast<Uint128>(hash) * hops.size()) >> 64)];
}

/// Also towards an outside address within the site (hairpin): the answer then finds the same pair of addresses.
void Network::State::translate_source(Packet& packet) const {
  packet.source_nat_due = false;
  const std::uint32_t zone =
      packet.to_host.valid() ? hosts[packet.to_host.index()].zone : graph.vertices()[packet.to_vertex.index()].zone;
  if (packet.destination_nat == 0 && zone != Graph::kNoZone && !leaves_site(packet.from_host, zone)) return;
  for (std::size_t i = 0; i < nat.size(); ++i) {
    if (nat[i].host != packet.from_host || nat[i].spec.inside.canonical() != packet.segment.from.address) continue;
    packet.segment.from.address = nat[i].spec.outside.canonical();
    packet.source_nat = static_cast<std::uint16_t>(i + 1);
    return;
  }
}

}  // namespace dcsim::net
