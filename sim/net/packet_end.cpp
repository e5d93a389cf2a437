#include <utility>

#include "base/check.h"
#include "net/network_state.h"

/// Where packets end: delivery to a socket, or a drop with its culprit and, where a real network answers, the answer.

namespace dcsim::net {

namespace {

constexpr std::uint64_t kIcmpSalt = 0x1CB9;
constexpr std::uint64_t kResetSalt = 0x25E7;

FlowKey flow_of(const Packet& packet) {
  const bool ports = packet.protocol != Protocol::kIcmp;
  return {packet.segment.from.address, packet.segment.to.address, ports ? packet.segment.from.port : std::uint16_t{0},
          ports ? packet.segment.to.port : std::uint16_t{0}, packet.protocol};
}

/// What answers a segment that no connection wants (RFC 9293 3.10.7.1).
TcpSegment reset_for(const TcpSegment& offending) {
  TcpSegment reset;
  reset.from = offending.to;
  reset.to = offending.from;
  if (offending.has(kTcpAck)) {
    reset.seq = offending.ack;
    reset.flags = kTcpRst;
  } else {
    reset.ack = offending.seq + offending.length();
    reset.flags = kTcpRst | kTcpAck;
  }
  return reset;
}

}  // namespace

PacketInfo Network::State::info_of(const Packet& packet) const {
  PacketInfo info;
  info.serial = packet.serial;
  info.from = packet.segment.from;
  info.to = packet.segment.to;
  info.from_host = packet.from_host;
  info.to_host = packet.to_host;
  info.protocol = packet.protocol;
  info.icmp = packet.icmp;
  info.dont_fragment = packet.protocol == Protocol::kTcp;
  info.ip_bytes = packet.ip_bytes();
  info.fragments = packet.fragments;
  info.hop = packet.hop;
  info.payload = &packet.segment.payload;
  info.cause = packet.cause;
  info.made_by = packet.made_by;
  if (packet.quote) {
    info.quoted_protocol = packet.quote->protocol;
    info.quoted_from = packet.quote->from;
    info.quoted_to = packet.quote->to;
    info.quoted_seq = packet.quote->seq;
    info.quoted_bytes = packet.quote->bytes;
  }
  if (packet.protocol == Protocol::kTcp) {
    const TcpSegment& segment = packet.segment;
    info.segment = &segment;
    info.tcp = {segment.seq,
                segment.ack,
                segment.window,
                segment.flags,
                static_cast<std::uint8_t>(segment.header_bytes() - kTcpHeader),
                segment.mss};
  }
  return info;
}

// Hot: demultiplexing costs one scan of a host's few ports.
void Network::State::deliver(PacketId id) {
  Packet& packet = packets[id];
  HostState& host = hosts[packet.to_host.index()];
  if (!host.up) {
    drop(id, Drop::because(DropReason::kHostDown));
    return;
  }
  if (packet.corrupted_on.valid()) {
    drop(id, Drop::on_link(DropReason::kCorrupt, packet.corrupted_on));
    return;
  }
  if (host.hooked && packet.from_host != packet.to_host && !input_hook(id, packet.to_host)) return;
  switch (packet.protocol) {
    case Protocol::kUdp:
      return deliver_udp(id, host);
    case Protocol::kTcp:
      return deliver_tcp(id, host);
    case Protocol::kIcmp:
      return deliver_icmp(id, host);
  }
}

Cause Network::State::count_delivered(Packet& packet, HostState& host) {
  Counter& counter = host.received(packet.protocol);
  ++counter.packets;
  counter.bytes += packet.ip_bytes();
  ++totals.delivered;
  --totals.in_flight;
  Cause cause = packet.cause;
  if (wants & NetObserver::kDelivered) {
    if (const Cause record = observer->packet_delivered(engine.now(), info_of(packet)); record.record) cause = record;
  }
  return cause;
}

// Hot.
void Network::State::deliver_udp(PacketId id, HostState& host) {
  Packet& packet = packets[id];
  UdpSink* sink = host.udp_sink(packet.segment.to.port);
  if (!sink) {
    const HostId self = packet.to_host;
    const PacketId answer = make_icmp(packet, packet.segment.to.address, IcmpError::kPortUnreachable, 0);
    const Cause cause = drop(id, Drop::because(DropReason::kNoListener));
    packets[answer].cause = cause;
    packets[answer].from_host = self;
    send_from_host(answer, resolve(self, packets[answer].segment.to.address));
    return;
  }
  const HostId self = packet.to_host;
  const Endpoint from = packet.segment.from;
  const Endpoint to = packet.segment.to;
  if (!sink->takes(to, packet.segment.payload.size())) {
    drop(id, Drop::because(DropReason::kBufferFull));
    return;
  }
  engine.set_cause(count_delivered(packet, host));
  const Bytes payload = std::move(packet.segment.payload);
  packets.free(id);
  sink->on_udp(self, from, to, payload);
}

void Network::State::deliver_tcp(PacketId id, HostState& host) {
  Packet& packet = packets[id];
  const HostId self = packet.to_host;
  HostTcp& tcp = tcp_of(self);
  const bool opening = packet.segment.has(kTcpSyn) && !packet.segment.has(kTcpAck);
  if (opening && !tcp.stack.listening(packet.segment.to)) {
    const TcpSegment segment = packet.segment;
    engine.set_cause(drop(id, Drop::because(DropReason::kNoListener)));
    tcp.stack.on_segment(engine.now(), segment);  // which answers with RST
    return;
  }
  engine.set_cause(count_delivered(packet, host));
  const TcpSegment segment = std::move(packet.segment);
  packets.free(id);
  tcp.stack.on_segment(engine.now(), segment);
}

/// The kernel has it. What it makes of it is another matter: Linux hands an error about a datagram only to a connected UDP
/// socket, and memberlist's and Serf's never are.
void Network::State::deliver_icmp(PacketId id, HostState& host) {
  Packet& packet = packets[id];
  const IcmpError code = packet.icmp;
  engine.set_cause(count_delivered(packet, host));
  const std::unique_ptr<Quote> quote = std::move(packet.quote);
  packets.free(id);
  if (quote->protocol != Protocol::kTcp || !host.tcp) return;
  host.tcp->stack.on_icmp(engine.now(), code, quote->from, quote->to, quote->seq, quote->mtu);
}

/// Counts and records the loss, frees the packet. Returns what is to be the cause of an answer.
Cause Network::State::drop(PacketId id, const Drop& why) {
  Packet& packet = packets[id];
  ++totals.dropped;
  --totals.in_flight;
  ++totals.dropped_by[static_cast<std::size_t>(why.reason)];
  if (why.link.valid()) ++link_drops[why.link.index()].drops;
  Cause cause = packet.cause;
  if (wants & NetObserver::kDropped) {
    if (const Cause record = observer->packet_dropped(engine.now(), info_of(packet), why); record.record)
      cause = record;
  }
  packets.free(id);
  return cause;
}

void Network::State::drop_and_answer(PacketId id, const Drop& why, IcmpError code, VertexId at, Duration later,
                                     std::uint32_t mtu) {
  Packet& packet = packets[id];
  const bool answerable = packet.protocol != Protocol::kIcmp && packet.from_host.valid();  // RFC 1122 3.2.2
  PacketId answer;
  if (answerable) {
    answer = make_icmp(packet, at.valid() ? router_address(at) : packet.segment.from.address, code, mtu);
    if (!at.valid()) packets[answer].from_host = packet.from_host;
  }
  const Cause cause = drop(id, why);
  if (answerable) send_answer(answer, at, cause, later);
}

/// A zone's router has the zone's last host address, unless a machine has it (or the zone has no prefix).
Address Network::State::router_address(VertexId at) const {
  const std::uint32_t zone = graph.vertices()[at.index()].zone;
  if (zone == Graph::kNoZone || !zone_cidrs[zone] || zone_cidrs[zone]->bits > 30) return {};
  const Address last = Address::v4(zone_cidrs[zone]->last_host());
  return addresses.find(last) ? Address() : last;
}

PacketId Network::State::make_icmp(const Packet& offending, const Address& from, IcmpError code, std::uint32_t mtu) {
  auto quote = std::make_unique<Quote>();
  quote->protocol = offending.protocol;
  quote->seq = offending.segment.seq;
  quote->mtu = mtu;
  quote->bytes = offending.datagram_bytes;
  quote->from = offending.segment.from;
  quote->to = offending.segment.to;
  quote->seen = flow_of(offending);
  quote->inside = flow_of(offending);
  if (offending.source_nat) {
    quote->from.address = nat[offending.source_nat - 1u].spec.inside.canonical();
    quote->inside.from = quote->from.address;
  }
  if (offending.destination_nat) {
    const NatSpec& translation = nat[offending.destination_nat - 1u].spec;
    quote->to.address = translation.outside.canonical();
    quote->inside.to = translation.inside.canonical();
  }
  const PacketId id = make_packet(HostId::none(), Protocol::kIcmp);
  Packet& packet = packets[id];
  packet.name = offending.name ^ kIcmpSalt;
  packet.icmp = code;
  packet.segment = TcpSegment{};
  // A router without an address of its own speaks in the name of the one that was asked for.
  packet.segment.from.address = from.empty() ? offending.segment.to.address : from;
  packet.segment.to.address = offending.segment.from.address;
  packet.datagram_bytes = icmp_error_bytes(offending.segment.from.address);
  packet.to_host = offending.from_host;
  packet.quote = std::move(quote);
  return id;
}

/// The RST of a firewall, in the name of the receiver.
PacketId Network::State::make_reset(const Packet& offending) {
  const PacketId id = make_packet(HostId::none(), Protocol::kTcp);
  Packet& packet = packets[id];
  packet.name = offending.name ^ kResetSalt;
  packet.segment = reset_for(offending.segment);
  if (offending.source_nat) packet.segment.to.address = nat[offending.source_nat - 1u].spec.inside.canonical();
  if (offending.destination_nat)
    packet.segment.from.address = nat[offending.destination_nat - 1u].spec.outside.canonical();
  packet.datagram_bytes = kIpHeader + packet.segment.header_bytes();
  packet.to_host = offending.from_host;
  return id;
}

/// Sends what a router or firewall at `at` answers; at none(): what the sender's own kernel hands back at once.
void Network::State::send_answer(PacketId id, VertexId at, Cause cause, Duration later) {
  Packet& packet = packets[id];
  const HostState& to = hosts[packet.to_host.index()];
  packet.cause = cause;
  packet.to_vertex = to.attachment;
  if (packet.protocol == Protocol::kIcmp && packet.quote) packet.segment.to.address = packet.quote->from.address;
  ++totals.sent;
  ++totals.in_flight;
  if (packet.from_host.valid()) {
    Counter& counter = hosts[packet.from_host.index()].sent(packet.protocol);
    ++counter.packets;
    counter.bytes += packet.datagram_bytes;
  }
  if (wants & NetObserver::kSent) {
    if (const Cause record = observer->packet_sent(engine.now(), info_of(packet)); record.record) packet.cause = record;
  }
  if (!at.valid()) return schedule_delivery(id, to.origin, engine.now() + later);
  schedule_arrival(id, at, vertex_origins[at.index()], engine.now() + later);
}

}  // namespace dcsim::net
