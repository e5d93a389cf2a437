#include "base/check.h"
#include "net/network_state.h"

/// Where firewalls and partitions look at packets.

namespace dcsim::net {

/// `inside_view`: with the machines' own addresses, as a router sees them between its two translations.
PacketMeta Network::State::meta_of(const Packet& packet, HostId at, bool inside_view, FlowKey& quoted) const {
  PacketMeta meta;
  const bool ports = packet.protocol != Protocol::kIcmp;
  meta.flow = {packet.segment.from.address, packet.segment.to.address,
               ports ? packet.segment.from.port : std::uint16_t{0}, ports ? packet.segment.to.port : std::uint16_t{0},
               packet.protocol};
  if (inside_view && packet.source_nat) meta.flow.from = nat[packet.source_nat - 1u].spec.inside.canonical();
  if (inside_view && packet.destination_nat) meta.flow.to = nat[packet.destination_nat - 1u].spec.inside.canonical();
  meta.from_host = packet.from_host;
  meta.to_host = packet.to_host;
  meta.at = at;
  meta.bytes = packet.ip_bytes();
  meta.tcp_flags = packet.protocol == Protocol::kTcp ? packet.segment.flags : std::uint8_t{0};
  if (packet.quote) {
    const Quote& quote = *packet.quote;
    if (inside_view) {
      quoted = quote.inside;
    } else if (at == packet.to_host) {
      quoted = {quote.from.address, quote.to.address, quote.from.port, quote.to.port, quote.protocol};
    } else {
      quoted = quote.seen;
    }
    meta.quoted = &quoted;
  }
  return meta;
}

bool Network::State::any_forward(bool same_zone) const {
  for (const FirewallId id : forward) {
    const FirewallState& f = *firewalls[id.index()];
    if (f.firewall.enabled() && (!same_zone || f.inside_zones)) return true;
  }
  return false;
}

/// A packet on its way to the forward hook: by the time it is there, the tables should be. Addresses are those of the
/// packet, so that translated flows gain nothing. Hot: two hashes a firewall.
void Network::State::prefetch_forward(const Packet& packet) const {
  if (packet.protocol == Protocol::kIcmp) return;
  const FlowKey flow{packet.segment.from.address, packet.segment.to.address, packet.segment.from.port,
                     packet.segment.to.port, packet.protocol};
  for (const FirewallId f : forward) firewalls[f.index()]->firewall.prefetch(flow);
}

/// Hot: what the firewalls cost.
bool Network::State::forward_hook(PacketId id, VertexId at) {
  const Packet& packet = packets[id];
  const std::uint32_t from_zone = packet.from_host.valid() ? hosts[packet.from_host.index()].zone : Graph::kNoZone;
  const std::uint32_t to_zone =
      packet.to_host.valid() ? hosts[packet.to_host.index()].zone : graph.vertices()[packet.to_vertex.index()].zone;
  FlowKey quoted;
  const PacketMeta meta = meta_of(packet, HostId::none(), true, quoted);
  for (const FirewallId f : forward) {
    const FirewallState& state = *firewalls[f.index()];
    if (!state.firewall.enabled() || (from_zone == to_zone && !state.inside_zones)) continue;
    if (!judge(id, f, meta, at, HostId::none(), false)) return false;
  }
  return true;
}

bool Network::State::input_hook(PacketId id, HostId at) {
  const HostState& host = hosts[at.index()];
  FlowKey quoted;
  const PacketMeta meta = meta_of(packets[id], at, false, quoted);
  for (const FirewallId f : host.input) {
    if (firewalls[f.index()]->firewall.enabled() && !judge(id, f, meta, VertexId::none(), at, false)) return false;
  }
  for (const FirewallId f : host.output) {
    if (firewalls[f.index()]->firewall.observe(meta, engine.now())) continue;
    drop(id, Drop::by(DropReason::kFirewall, f, kDefaultRule));
    return false;
  }
  return true;
}

bool Network::State::output_hook(PacketId id, SocketError& error) {
  const Packet& packet = packets[id];
  const HostId at = packet.from_host;
  const HostState& host = hosts[at.index()];
  const bool tells = packet.protocol == Protocol::kUdp;  // TCP's own output ignores EPERM and retransmits
  FlowKey quoted;
  const PacketMeta meta = meta_of(packet, at, false, quoted);
  for (const FirewallId f : host.output) {
    if (!firewalls[f.index()]->firewall.enabled() || judge(id, f, meta, VertexId::none(), at, true)) continue;
    if (tells) error = SocketError::kPermitted;
    return false;
  }
  for (const FirewallId f : host.input) {
    if (firewalls[f.index()]->firewall.observe(meta, engine.now())) continue;
    drop(id, Drop::by(DropReason::kFirewall, f, kDefaultRule));
    return false;
  }
  return true;
}

/// One firewall's verdict, carried out. False: the packet is gone, an answer is on its way. An answer starts at switch
/// `at` (hook forward), at `host` through its own output (input), or goes straight back into `host` (output).
bool Network::State::judge(PacketId id, FirewallId firewall, const PacketMeta& meta, VertexId at, HostId host,
                           bool is_output) {
  const Decision decision = firewalls[firewall.index()]->firewall.evaluate(meta, engine.now());
  const bool accepted = decision.action == FirewallAction::kAccept;
  if (accepted && !decision.log && !(wants & NetObserver::kAccepts)) return true;
  Packet& packet = packets[id];
  if ((wants & NetObserver::kAccepts) || ((wants & NetObserver::kVerdicts) && (!accepted || decision.log))) {
    const VerdictKind kind = accepted                                     ? VerdictKind::kAccept
                             : decision.action == FirewallAction::kReject ? VerdictKind::kReject
                                                                          : VerdictKind::kDrop;
    const Verdict verdict{firewall, decision.rule, kind, decision.log};
    const Cause record = observer->firewall_verdict(engine.now(), info_of(packet), verdict);
    if (record.record && !accepted) packet.cause = record;
  }
  if (accepted) return true;
  Drop why = Drop::by(DropReason::kFirewall, firewall, decision.rule);
  if (decision.action == FirewallAction::kReject) {
    why.reason = DropReason::kReject;
    why.answer = decision.answer;
  } else if (is_output && packet.protocol == Protocol::kUdp) {
    why.reason = DropReason::kPermission;
  }
  PacketId answer;
  if (decision.answer && packet.from_host.valid()) {
    const bool reset = *decision.answer == RejectWith::kTcpReset;
    const Address speaker = is_output ? meta.flow.from : at.valid() ? router_address(at) : meta.flow.to;
    answer = reset ? make_reset(packet) : make_icmp(packet, speaker, icmp_of(*decision.answer), 0);
    packets[answer].made_by = firewall;
    if (is_output && !reset) packets[answer].from_host = host;  // its own kernel; a RST is in the receiver's name
  }
  const Cause cause = drop(id, why);
  if (!answer.valid()) return false;
  if (is_output || at.valid()) {
    send_answer(answer, at, cause, {0});
  } else {
    packets[answer].cause = cause;
    packets[answer].from_host = host;
    packets[answer].segment.from.address =
        meta.flow.to;  // as the receiver saw the pair; translated on the way as usual
    packets[answer].segment.to.address = meta.flow.from;
    send_from_host(answer, resolve(host, meta.flow.from));
  }
  return false;
}

/// True: the packet goes on now. Else it is dropped, held or late.
bool Network::State::partition_hook(PacketId id) {
  Packet& packet = packets[id];
  if (!packet.to_host.valid()) return true;
  for (const PartitionId active : active_partitions) {
    PartitionState& p = partitions[active.index()];
    const std::uint16_t from = p.side[packet.from_host.index()];
    const std::uint16_t to = p.side[packet.to_host.index()];
    if (from == 0 || to == 0 || from == to) continue;
    if (p.spec.direction == PartitionDirection::kTo && from > to) continue;
    if (p.spec.direction == PartitionDirection::kFrom && from < to) continue;
    const Drop why = Drop::by(active);
    switch (p.spec.mode) {
      case PartitionMode::kDrop:
        drop(id, why);
        break;
      case PartitionMode::kReject:
        drop_and_answer(id, why, IcmpError::kAdminProhibited, hosts[packet.from_host.index()].attachment);
        break;
      case PartitionMode::kDelay:
        engine.schedule(hosts[packet.from_host.index()].origin, engine.now() + p.spec.delay,
                        event(kLeaveHost, id.value));
        break;
      case PartitionMode::kQueue:
        if (p.held_bytes + packet.datagram_bytes > p.spec.queue_bytes) {
          drop(id, why);
          break;
        }
        p.held_bytes += packet.datagram_bytes;
        p.held.push_back(id);
        break;
    }
    return false;
  }
  return true;
}

}  // namespace dcsim::net
