#include "net/path_report.h"

#include "net/network.h"
#include "net/network_state.h"

namespace dcsim::net {

namespace {

/// A packet that is walked along its path without being sent.
class DryRun {
 public:
  DryRun(const Network::State& state, HostId from, const Endpoint& to, Protocol protocol, std::uint16_t from_port)
      : s_(state), from_(from) {
    packet_.from_host = from;
    packet_.protocol = protocol;
    packet_.segment.flags = static_cast<std::uint8_t>(protocol == Protocol::kTcp ? kTcpSyn : 0);
    packet_.segment.to = {to.address.canonical(), to.port};
    const bool to_self = state.resolve(from, packet_.segment.to.address).local;
    packet_.segment.from = {state.source_address(from, packet_.segment.to, to_self), from_port};
    packet_.datagram_bytes = kIpHeader + (protocol == Protocol::kTcp ? kTcpHeader + 20 : kUdpHeader);
  }

  PathReport run() {
    const HostState& sender = s_.hosts[from_.index()];
    const Destination to = s_.resolve(from_, packet_.segment.to.address);
    packet_.to_host = report_.to_host = to.host;
    packet_.to_vertex = to.vertex;
    packet_.destination_nat = to.destination_nat;
    report_.final_to = packet_.segment.to;
    if (!sender.up) return stop(Drop::because(DropReason::kHostDown), SocketError::kHostDown);
    if (to.local) return arrive();
    for (const FirewallId f : sender.output) {
      const SocketError said = packet_.protocol == Protocol::kUdp ? SocketError::kPermitted : SocketError::kTimedOut;
      if (!ask(f, from_, "output", false, said)) return report_;
    }
    if (to.untranslatable) return stop(Drop::because(DropReason::kNat), SocketError::kTimedOut);
    if (!to.vertex.valid() || !s_.reachable(from_, to)) {
      const LinkId broken = to.vertex.valid() ? s_.graph.failed_link(sender.attachment, to.vertex) : LinkId::none();
      if (broken.valid()) return stop(Drop::on_link(DropReason::kLinkDown, broken), SocketError::kTimedOut);
      return stop(Drop::because(DropReason::kNoRoute), SocketError::kNetUnreachable);
    }
    if (!partitions()) return report_;
    return walk(sender);
  }

 private:
  PathReport stop(const Drop& why, SocketError error) {
    report_.drop = why;
    report_.error = error;
    return report_;
  }

  bool partitions() {
    if (!packet_.to_host.valid()) return true;
    for (const PartitionId active : s_.active_partitions) {
      const PartitionState& p = s_.partitions[active.index()];
      const std::uint16_t from = p.side[from_.index()], to = p.side[packet_.to_host.index()];
      if (from == 0 || to == 0 || from == to) continue;
      if (p.spec.direction == PartitionDirection::kTo && from > to) continue;
      if (p.spec.direction == PartitionDirection::kFrom && from < to) continue;
      report_.steps.push_back({PathReport::Step::Kind::kPartition, p.spec.name, {}, {}, {}, {}});
      if (p.spec.mode == PartitionMode::kDelay) {
        report_.latency += p.spec.delay;
        return true;
      }
      const bool rejects = p.spec.mode == PartitionMode::kReject && packet_.protocol == Protocol::kTcp;
      stop(Drop::by(active), rejects ? SocketError::kHostUnreachable : SocketError::kTimedOut);
      return false;
    }
    return true;
  }

  bool ask(FirewallId id, HostId at, const char* hook, bool inside_view, SocketError silent) {
    const Firewall& firewall = s_.firewalls[id.index()]->firewall;
    if (!firewall.enabled()) return true;
    FlowKey quoted;
    const Decision decision = firewall.explain(s_.meta_of(packet_, at, inside_view, quoted), s_.engine.now()).decision;
    const bool accepted = decision.action == FirewallAction::kAccept;
    const bool rejected = decision.action == FirewallAction::kReject;
    const VerdictKind kind = accepted ? VerdictKind::kAccept : rejected ? VerdictKind::kReject : VerdictKind::kDrop;
    report_.steps.push_back({PathReport::Step::Kind::kFirewall,
                             firewall.name(),
                             hook,
                             std::string(firewall.rule_name(decision.rule)),
                             {},
                             {id, decision.rule, kind, decision.log}});
    if (accepted) return true;
    SocketError error = silent;
    if (decision.answer && packet_.protocol == Protocol::kTcp) {
      const bool refused =
          *decision.answer == RejectWith::kTcpReset || *decision.answer == RejectWith::kIcmpPortUnreachable;
      error = refused ? SocketError::kRefused : SocketError::kHostUnreachable;
    }
    stop(Drop::by(rejected ? DropReason::kReject : DropReason::kFirewall, id, decision.rule), error);
    return false;
  }

  std::string name_at(DirectionId end_of) const {
    const VertexId v = s_.directions[end_of.index()].to_vertex;
    if (v.valid()) return s_.graph.vertices()[v.index()].name;
    return s_.hosts[s_.graph.links()[link_of(end_of).index()].host.index()].name;
  }

  bool link(DirectionId via) {
    const Direction& d = s_.directions[via.index()];
    const LinkId id = link_of(via);
    report_.steps.push_back({PathReport::Step::Kind::kLink,
                             s_.graph.links()[id.index()].name,
                             name_at(reverse_of(via)),
                             name_at(via),
                             d.attributes,
                             {}});
    report_.latency += d.latency;
    if (!d.down) return true;
    stop(Drop::on_link(DropReason::kLinkDown, id), SocketError::kTimedOut);
    return false;
  }

  void translated(const NatSpec& nat, const Address& before, const Address& after) {
    report_.steps.push_back({PathReport::Step::Kind::kNat, nat.name, before.text(), after.text(), {}, {}});
  }

  bool edge() {
    const HostState& sender = s_.hosts[from_.index()];
    const std::uint32_t to_zone = packet_.to_host.valid() ? s_.hosts[packet_.to_host.index()].zone
                                                          : s_.graph.vertices()[packet_.to_vertex.index()].zone;
    for (const FirewallId f : s_.forward) {
      if (sender.zone == to_zone && !s_.firewalls[f.index()]->inside_zones) continue;
      if (!ask(f, HostId::none(), "forward", true, SocketError::kTimedOut)) return false;
    }
    if (!sender.translated) return true;
    const Address before = packet_.segment.from.address;
    s_.translate_source(packet_);
    if (packet_.source_nat) translated(s_.nat[packet_.source_nat - 1u].spec, before, packet_.segment.from.address);
    return true;
  }

  PathReport walk(const HostState& sender) {
    if (sender.access.valid() && !link(forward_of(sender.access))) return report_;
    VertexId at = sender.attachment;
    for (bool edge_passed = false;;) {
      const Graph::Vertex& vertex = s_.graph.vertices()[at.index()];
      if (!edge_passed && !vertex.host.valid()) {
        edge_passed = true;
        if (!edge()) return report_;
      }
      if (at == packet_.to_vertex) break;
      const auto hops = s_.graph.next_hops(at, packet_.to_vertex);
      const DirectionId via = hops.size() == 1 ? hops.front() : s_.choose(packet_, at, hops);
      if (!link(via)) return report_;
      at = s_.directions[via.index()].to_vertex;
    }
    if (!packet_.to_host.valid()) return stop(Drop::because(DropReason::kNoHost), SocketError::kHostUnreachable);
    if (packet_.destination_nat) {
      const NatSpec& nat = s_.nat[packet_.destination_nat - 1u].spec;
      translated(nat, packet_.segment.to.address, nat.inside);
      packet_.segment.to.address = nat.inside.canonical();
      report_.final_to = packet_.segment.to;
    }
    const LinkId access = s_.hosts[packet_.to_host.index()].access;
    if (access.valid() && !link(reverse_of(forward_of(access)))) return report_;
    return arrive();
  }

  PathReport arrive() {
    const HostState& receiver = s_.hosts[packet_.to_host.index()];
    if (!receiver.up) return stop(Drop::because(DropReason::kHostDown), SocketError::kTimedOut);
    for (const FirewallId f : receiver.input) {
      if (packet_.to_host != from_ && !ask(f, packet_.to_host, "input", false, SocketError::kTimedOut)) return report_;
    }
    const bool open = packet_.protocol == Protocol::kUdp
                          ? receiver.udp_sink(packet_.segment.to.port) != nullptr
                          : receiver.tcp && receiver.tcp->stack.listening(packet_.segment.to);
    if (open || packet_.protocol == Protocol::kIcmp) return report_;
    return stop(Drop::because(DropReason::kNoListener),
                packet_.protocol == Protocol::kTcp ? SocketError::kRefused : SocketError::kNone);
  }

  const Network::State& s_;
  HostId from_;
  Packet packet_;
  PathReport report_;
};

}  // namespace

PathReport Network::trace_path(HostId from, const Endpoint& to, Protocol protocol, std::uint16_t from_port) const {
  return DryRun(*state_, from, to, protocol, from_port).run();
}

}  // namespace dcsim::net
