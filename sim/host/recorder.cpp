#include "host/recorder.h"

#include <fmt/format.h>

#include "host/capture.h"
#include "host/world.h"

namespace dcsim::host {

using trace::Ev;
using trace::Series;
namespace fields = trace::fields;

Recorder::Recorder(World& world, trace::Tracer& tracer, trace::MetricHub& metrics)
    : world_(world), tracer_(tracer), metrics_(metrics) {
  // What a datagram says by its first byte (memberlist net.go messageType).
  static constexpr std::string_view kNames[] = {"ping", "indirect-ping", "ack", "suspect", "alive", "dead", "push-pull",
                                                "compound", "user", "compress", "encrypt", "nack", "crc", "err"};
  for (const std::string_view n : kNames) messages_.push_back(world.names().intern(n));
}

NameId Recorder::name(std::string_view text) const { return world_.names().intern(text); }
Instant Recorder::now() const { return world_.engine().now(); }

void Recorder::ready() {
  for (std::size_t i = 0; i < world_.agent_count(); ++i) {
    const AgentSpec& spec = world_.spec(AgentId{static_cast<std::uint32_t>(i)});
    agent_names_.push_back(name(spec.full_name));
    auto labels = spec.labels;
    const auto give = [&](std::string_view key, const std::string& value) {
      for (const auto& [k, v] : labels) {
        if (k == key) return;
      }
      labels.emplace_back(key, value);
    };
    give("role", spec.config.kind == consul::AgentKind::kSerf ? "serf" : spec.config.server ? "server" : "client");
    give("zone", spec.zone);
    give("dc", spec.dc);
    give("segment", spec.config.segment);
    metrics_.register_agent(agent_names_.back(), labels);
    node_names_.emplace(spec.dc + "/" + spec.config.node_name, agent_names_.back());
  }
  views_.resize(world_.agent_count());
  down_since_.resize(world_.agent_count(), Instant::never());
  not_joined_since_.resize(world_.agent_count(), Instant::never());
  leaves_.resize(world_.agent_count());
  for (std::uint32_t i = 0; i < agent_names_.size(); ++i) {
    if (agent_names_[i].index() >= agents_by_name_.size()) agents_by_name_.resize(agent_names_[i].index() + 1, AgentId::none());
    agents_by_name_[agent_names_[i].index()] = AgentId{i};
  }
}

void Recorder::set_capture(Capture* capture) {
  capture_ = capture;
  world_.network().observer_changed();
}

Cause Recorder::record(Ev ev, NameId node, const trace::Fields& f) {
  const Cause c = tracer_.append(now(), ev, node, f, world_.engine().cause());
  world_.engine().set_cause(c);
  return c;
}

// --- Packets -------------------------------------------------------------------------------------------------------

std::uint32_t Recorder::wants() const {
  std::uint32_t w = kSent | kDelivered | kDropped | kDuplicated | kVerdicts | kConnections;
  if (metrics_.wanted(Series::kFwAccept)) w |= kAccepts;
  if (metrics_.wanted(Series::kLinkTx) || metrics_.wanted(Series::kLinkBytes) || (capture_ && capture_->needs_links())) w |= kHops;
  return w;
}

NameId Recorder::party(const Endpoint& endpoint, HostId host) const {
  return host.valid() ? agent_names_[host.index()] : party(endpoint);
}

NameId Recorder::party(const Endpoint& endpoint) const {
  const AgentId agent = world_.agent_at(endpoint.address);
  return agent.valid() ? agent_names_[agent.index()] : name(endpoint.address.text());
}

std::uint64_t Recorder::end_of(const Endpoint& endpoint, HostId host) const {
  return trace::pack_endpoint(party(endpoint, host), endpoint.port);
}

std::uint64_t Recorder::source_of(const net::PacketInfo& p) const {
  if (p.from_host.valid() || p.protocol != net::Protocol::kIcmp || !world_.agent_at(p.from.address).valid()) return end_of(p.from, p.from_host);
  // A router without an address of its own borrowed the receiver's.
  return trace::pack_endpoint(name(p.made_by.valid() ? world_.network().firewall(p.made_by).name() : "router"), 0);
}

NameId Recorder::what_of(const net::PacketInfo& p) const {
  if (p.protocol == net::Protocol::kUdp) [[likely]] return message_name(p);
  const bool icmp = p.protocol == net::Protocol::kIcmp;
  if (!icmp && !p.made_by.valid()) return {};
  const std::string_view kind = icmp ? net::name_of(p.icmp) : net::name_of(net::RejectWith::kTcpReset);
  return p.made_by.valid() ? name(fmt::format("{} by {}", kind, world_.network().firewall(p.made_by).name())) : name(kind);
}

NameId Recorder::message_name(const net::PacketInfo& packet) const {
  if (packet.protocol != net::Protocol::kUdp || !packet.payload || packet.payload->empty()) return {};
  const std::size_t type = packet.payload->data()[0];
  return type < messages_.size() ? messages_[type] : NameId{};
}

namespace {

trace::Proto proto_of(net::Protocol p) {
  return p == net::Protocol::kUdp ? trace::Proto::kUdp : p == net::Protocol::kTcp ? trace::Proto::kTcp : trace::Proto::kIcmp;
}

trace::RejectWith reject_of(const std::optional<net::RejectWith>& answer) {
  using N = net::RejectWith;
  using T = trace::RejectWith;
  if (!answer) return T::kNone;
  switch (*answer) {
    case N::kTcpReset: return T::kTcpReset;
    case N::kIcmpPortUnreachable: return T::kIcmpPort;
    case N::kIcmpHostUnreachable: return T::kIcmpHost;
    case N::kIcmpAdminProhibited: return T::kIcmpAdmin;
  }
  return T::kNone;
}

trace::SocketError socket_error_of(net::SocketError e) {
  using N = net::SocketError;
  using T = trace::SocketError;
  switch (e) {
    case N::kRefused: return T::kRefused;
    case N::kReset:
    case N::kBrokenPipe: return T::kReset;
    case N::kTimedOut: return T::kTimeout;
    case N::kHostUnreachable: return T::kHostUnreachable;
    case N::kNetUnreachable: return T::kNetUnreachable;
    case N::kPermitted:
    case N::kAccess: return T::kPermission;
    case N::kMessageTooLong: return T::kMessageSize;
    case N::kAddressInUse: return T::kAddressInUse;
    default: return T::kNone;
  }
}

}  // namespace

// Hot: once per packet; one record, no text.
Cause Recorder::packet_sent(Instant at, const net::PacketInfo& p) {
  const Cause c = tracer_.append(at, Ev::kPacketSent, node_of(p.from_host),
                                 fields::packet(proto_of(p.protocol), p.ip_bytes, source_of(p), end_of(p.to, p.to_host), what_of(p),
                                                p.tcp.seq, p.tcp.flags), p.cause);
  count_packet(at, p, p.from_host, true);
  if (capture_) [[unlikely]] capture_->sent(at, p);
  return c;
}

// Hot: once per packet.
Cause Recorder::packet_delivered(Instant at, const net::PacketInfo& p) {
  const Cause c = tracer_.append(at, Ev::kPacketDelivered, party(p.to, p.to_host),
                                 fields::packet(proto_of(p.protocol), p.ip_bytes, source_of(p), end_of(p.to, p.to_host), what_of(p),
                                                p.tcp.seq, p.tcp.flags), p.cause);
  count_packet(at, p, p.to_host, false);
  if (capture_) [[unlikely]] capture_->delivered(at, p);
  return c;
}

Cause Recorder::packet_dropped(Instant at, const net::PacketInfo& p, const net::Drop& drop) {
  NameId culprit, rule;
  if (drop.firewall.valid()) {
    culprit = name(world_.network().firewall(drop.firewall).name());
    rule = name(world_.network().firewall(drop.firewall).rule_name(drop.rule));
  } else if (drop.link.valid()) {
    culprit = name(world_.network().link_name(drop.link));
  } else if (drop.partition.valid()) {
    culprit = name(world_.network().partition_name(drop.partition));
  }
  const bool rejected = drop.reason == net::DropReason::kReject;
  const Cause c = tracer_.append(at, rejected ? Ev::kPacketRejected : Ev::kPacketDropped, node_of(p.from_host),
                                 fields::verdict(proto_of(p.protocol), p.ip_bytes, source_of(p), end_of(p.to, p.to_host),
                                                 rejected ? static_cast<std::uint16_t>(reject_of(drop.answer)) : static_cast<std::uint16_t>(drop.reason),
                                                 culprit, rule),
                                 p.cause);
  if (drop.firewall.valid()) count_firewall(at, rejected ? Series::kFwReject : Series::kFwDrop, p, drop.firewall, drop.rule);
  if (metrics_.wanted(Series::kPacketDrop)) {
    trace::LabelValues l;
    slot(Series::kPacketDrop, l, "reason", name(net::name_of(drop.reason)));
    slot(Series::kPacketDrop, l, "culprit", culprit);
    packet_labels(Series::kPacketDrop, l, p);
    metrics_.count(at, Series::kPacketDrop, l);
  }
  if (drop.link.valid() && metrics_.wanted(Series::kLinkDrop)) {
    trace::LabelValues l;
    slot(Series::kLinkDrop, l, "link", culprit);
    slot(Series::kLinkDrop, l, "reason", name(net::name_of(drop.reason)));
    metrics_.count(at, Series::kLinkDrop, l);
  }
  if (capture_) capture_->dropped(at, p, drop);
  return c;
}

Cause Recorder::packet_duplicated(Instant at, const net::PacketInfo& p, net::LinkId link, std::uint64_t) {
  return tracer_.append(at, Ev::kPacketDuplicated, node_of(p.from_host),
                        fields::verdict(proto_of(p.protocol), p.ip_bytes, source_of(p), end_of(p.to, p.to_host), 0,
                                        name(world_.network().link_name(link))), p.cause);
}

Cause Recorder::firewall_verdict(Instant at, const net::PacketInfo& p, const net::Verdict& v) {
  if (v.kind != net::VerdictKind::kAccept) return {};  // packet_dropped tells it
  count_firewall(at, Series::kFwAccept, p, v.firewall, v.rule);
  if (!v.log) return {};
  return tracer_.append(at, Ev::kFwAccept, node_of(p.from_host),
                        fields::verdict(proto_of(p.protocol), p.ip_bytes, source_of(p), end_of(p.to, p.to_host), 0,
                                        name(world_.network().firewall(v.firewall).name()),
                                        name(world_.network().firewall(v.firewall).rule_name(v.rule))), p.cause);
}

void Recorder::packet_hop(Instant at, const net::PacketInfo& p, net::LinkId link, bool backward) {
  for (const Series s : {Series::kLinkTx, Series::kLinkBytes}) {
    if (!metrics_.wanted(s)) continue;
    trace::LabelValues l;
    slot(s, l, "link", name(world_.network().link_name(link)));
    slot(s, l, "direction", name(backward ? "backward" : "forward"));
    metrics_.count(at, s, l, s == Series::kLinkTx ? 1 : p.ip_bytes);
  }
  if (capture_) capture_->hop(at, p, link);
}

void Recorder::count_connection(Instant at, Series series, NameId node, const Endpoint& to, std::string_view reason) {
  if (!metrics_.wanted(series)) return;
  trace::LabelValues l;
  l.observer = node;
  slot(series, l, "to", party(to));
  slot(series, l, "port", name(std::to_string(to.port)));
  if (!reason.empty()) slot(series, l, "reason", name(reason));
  metrics_.count(at, series, l);
}

Cause Recorder::connection_opened(Instant at, HostId host, const Endpoint& local, const Endpoint& remote, bool accepted) {
  const NameId node = agent_names_[host.index()];
  if (!accepted) count_connection(at, Series::kConnOpened, node, remote, {});
  return tracer_.append(at, accepted ? Ev::kConnAccepted : Ev::kConnEstablished, node,
                        fields::connection(end_of(local, host), end_of(remote, HostId::none())), world_.engine().cause());
}

Cause Recorder::connection_failed(Instant at, HostId host, const Endpoint& local, const Endpoint& remote, net::SocketError error) {
  const NameId node = agent_names_[host.index()];
  const Ev ev = error == net::SocketError::kRefused ? Ev::kConnRefused : error == net::SocketError::kTimedOut ? Ev::kConnTimeout : Ev::kConnReset;
  count_connection(at, Series::kConnFailed, node, remote, net::text_of(error));
  if (ev == Ev::kConnReset && socket_error_of(error) != trace::SocketError::kReset) {
    return tracer_.append(at, Ev::kSocketError, node,
                          {static_cast<std::uint16_t>(socket_error_of(error)), 0, end_of(local, host), end_of(remote, HostId::none()), 0},
                          world_.engine().cause());
  }
  return tracer_.append(at, ev, node, fields::connection(end_of(local, host), end_of(remote, HostId::none()), {}, name(net::text_of(error))),
                        world_.engine().cause());
}

/// Of a connection with somebody's RPC port: Raft, yamux. Everything else that an agent sends is gossip.
bool Recorder::is_rpc(const net::PacketInfo& p) const {
  const auto at_port = [&](HostId host, const Endpoint& end) {
    return host.valid() && world_.spec(AgentId{host.value}).config.rpc_port == end.port;
  };
  return p.protocol == net::Protocol::kTcp && (at_port(p.from_host, p.from) || at_port(p.to_host, p.to));
}

void Recorder::count_packet(Instant at, const net::PacketInfo& p, HostId node, bool sent) {
  if (sent && node.valid() && !gossip_bytes_.empty() && !is_rpc(p)) gossip_bytes_[node.index()].sent += p.ip_bytes;
  if (!node.valid() || (!metrics_.wanted(Series::kNodePackets) && !metrics_.wanted(Series::kNodeBytes))) return;
  for (const Series s : {Series::kNodePackets, Series::kNodeBytes}) {
    if (!metrics_.wanted(s)) continue;
    trace::LabelValues l;
    l.observer = agent_names_[node.index()];
    slot(s, l, "proto", name(net::name_of(p.protocol)));
    slot(s, l, "direction", name(sent ? "out" : "in"));
    metrics_.count(at, s, l, s == Series::kNodePackets ? 1 : p.ip_bytes);
  }
}

NameId Recorder::port_name(const net::PacketInfo& p) const {
  return name(fmt::format("{}/{}", p.to.port, net::name_of(p.protocol)));
}

void Recorder::packet_labels(Series series, trace::LabelValues& l, const net::PacketInfo& p) const {
  slot(series, l, "from", party(p.from, p.from_host));
  slot(series, l, "to", party(p.to, p.to_host));
  slot(series, l, "port", port_name(p));
  slot(series, l, "proto", name(net::name_of(p.protocol)));
}

void Recorder::count_firewall(Instant at, Series series, const net::PacketInfo& p, net::FirewallId firewall, std::int32_t rule) {
  if (!metrics_.wanted(series)) return;
  trace::LabelValues l;
  slot(series, l, "fw", name(world_.network().firewall(firewall).name()));
  slot(series, l, "rule", name(world_.network().firewall(firewall).rule_name(rule)));
  packet_labels(series, l, p);
  metrics_.count(at, series, l);
}

void Recorder::slot(Series series, trace::LabelValues& values, std::string_view label, NameId value) {
  if (const auto i = trace::series_spec(series).slot(label)) values.slot[*i] = value;
}

// --- Lives of processes --------------------------------------------------------------------------------------------

Cause Recorder::agent_started(const Process& p) {
  const AgentSpec& spec = world_.spec(p.id());
  const NameId node = agent_name(p.id());
  trace::Fields f;
  f.a = name(spec.config.kind == consul::AgentKind::kSerf ? "serf" : spec.config.server ? "server" : "client").value;
  f.b = trace::pack(name(spec.zone), name(spec.dc));
  f.c = trace::pack(name(spec.config.segment), name(spec.config.advertise.text()));
  f.d = trace::pack(name(spec.config.kind == consul::AgentKind::kSerf ? "serf" : "consul"));
  const Cause started = record(Ev::kAgentStart, node, f);
  down_since_[p.id().index()] = Instant::never();
  not_joined_since_[p.id().index()] = now();
  if (metrics_.wanted(Series::kAgentUp)) {
    trace::LabelValues l;
    l.observer = node;
    metrics_.set(now(), Series::kAgentUp, l, 1);
  }
  // The views exist before the agent opens its pools, since those report at once.
  std::vector<View>& views = views_[p.id().index()];
  views.clear();
  views.resize(1 + spec.config.segments.size());
  for (std::size_t i = 0; i < views.size(); ++i) {
    const std::string& segment = i == 0 ? spec.config.segment : spec.config.segments[i - 1].name;
    views[i].segment = name(segment);
    views[i].segment_pool = segment.empty() ? NameId::none() : name("segment:" + segment);
    views[i].pool = i == 0 ? name("lan") : views[i].segment_pool;
    pool_joined(p, consul::PoolId{static_cast<std::uint32_t>(i)});
  }
  return started;
}

void Recorder::pools_opened(const Process& p) {
  for (std::uint32_t i = 1; i < p.agent().pool_count(); ++i) {
    const consul::PoolId pool{i};
    trace::Fields f;
    f.a = view(p, pool).segment.value;
    f.c = trace::pack_endpoint(agent_name(p.id()), p.agent().port(pool));
    tracer_.append(now(), Ev::kSegmentListener, agent_name(p.id()), f, world_.engine().cause());
  }
}

void Recorder::agent_stopping(const Process& p) { record(Ev::kAgentStop, agent_name(p.id()), fields::names(name("SIGTERM"))); }
void Recorder::agent_crashed(const Process& p) { record(Ev::kAgentCrash, agent_name(p.id()), fields::names(name("SIGKILL"))); }
void Recorder::agent_paused(const Process& p) { record(Ev::kAgentPause, agent_name(p.id()), fields::names(name("SIGSTOP"))); }
void Recorder::agent_resumed(const Process& p) { record(Ev::kAgentResume, agent_name(p.id()), fields::names(name("SIGCONT"))); }

void Recorder::agent_exited(const Process& p, int status, std::string_view why) {
  record(Ev::kAgentExit, agent_name(p.id()), fields::names(name(why), {}, {}, static_cast<std::uint16_t>(status)));
}

void Recorder::agent_down(const Process& p) {
  const NameId node = agent_name(p.id());
  down_since_[p.id().index()] = now();
  not_joined_since_[p.id().index()] = Instant::never();
  leaves_[p.id().index()] = {};
  for (std::uint32_t i = 0; i < views_[p.id().index()].size(); ++i) {
    const consul::PoolId pool{i};
    pool_left(p, pool);
    for (const Series s : {Series::kMembersAlive, Series::kMembersFailed, Series::kMemberlistHealthScore}) {
      if (!metrics_.wanted(s)) continue;
      auto l = labels(s, p, pool);
      metrics_.remove(now(), s, l);
      if (view(p, pool).segment_pool.valid()) {
        slot(s, l, "pool", view(p, pool).segment_pool);
        metrics_.remove(now(), s, l);
      }
    }
    if (metrics_.wanted(Series::kMemberStatus) && i < p.agent().pool_count()) {
      for (const gossip::Member& m : p.agent().serf(pool).members()) {
        metrics_.remove(now(), Series::kMemberStatus, labels(Series::kMemberStatus, p, pool, member_name(p, pool, m.id)));
      }
    }
  }
  views_[p.id().index()].clear();
  if (metrics_.wanted(Series::kAgentUp)) {
    trace::LabelValues l;
    l.observer = node;
    metrics_.set(now(), Series::kAgentUp, l, 0);
  }
}

void Recorder::dial_timed_out(const Process& p, const Endpoint& local, const Endpoint& to) {
  constexpr std::string_view kWhy = "i/o timeout";
  count_connection(now(), Series::kConnFailed, agent_name(p.id()), to, kWhy);
  record(Ev::kConnTimeout, agent_name(p.id()),
         fields::connection(end_of(local, p.host()), end_of(to, HostId::none()), {}, name(kWhy)));
}

void Recorder::leaving(const Process& p) { leaves_[p.id().index()].asked = world_.engine().cause(); }

// --- Faults of machines --------------------------------------------------------------------------------------------

void Recorder::clock_changed(AgentId agent, Duration shift, std::int64_t drift) {
  trace::Fields f = fields::names(name("clock"), {}, {}, 0, shift);
  f.b = static_cast<std::uint64_t>(drift);  // billionths are nanoseconds a second
  tracer_.append(now(), Ev::kClock, agent_name(agent), f, world_.engine().cause());
}

void Recorder::clock_ended(AgentId agent) {
  tracer_.append(now(), Ev::kClockEnd, agent_name(agent), fields::names(name("clock")), world_.engine().cause());
}

void Recorder::slowed(AgentId agent, std::string_view what, std::uint64_t permille) {
  trace::Fields f = fields::names(name(what));
  f.b = permille;
  tracer_.append(now(), Ev::kSlow, agent_name(agent), f, world_.engine().cause());
}

void Recorder::slow_ended(AgentId agent, std::string_view what) {
  tracer_.append(now(), Ev::kSlowEnd, agent_name(agent), fields::names(name(what)), world_.engine().cause());
}

void Recorder::log(const Process& p, consul::LogLevel level, std::string_view line) {
  const auto l = static_cast<trace::LogLevel>(static_cast<std::uint16_t>(level) + 1);
  tracer_.append(now(), Ev::kLog, agent_name(p.id()), fields::log(l, name(line)), world_.engine().cause());
}

// --- Samples -------------------------------------------------------------------------------------------------------

void Recorder::start_sampling(Duration interval) {
  if (!metrics_.wanted(Series::kNodeGossipBytesPerS)) return;
  sample_interval_ = interval;
  gossip_bytes_.assign(world_.agent_count(), {});
  world_.engine().on(World::kSample, this, [](void* self, const core::Event&) { static_cast<Recorder*>(self)->sample(); });
  origin_ = world_.engine().add_origin();
  core::Event e;
  e.kind = World::kSample;
  world_.engine().schedule(origin_, now() + interval, e);
}

void Recorder::sample() {
  for (std::uint32_t i = 0; i < world_.agent_count(); ++i) {
    const Process& p = world_.process(AgentId{i});
    GossipBytes& bytes = gossip_bytes_[i];
    const double rate = static_cast<double>(bytes.sent - bytes.sampled) / sample_interval_.seconds();
    bytes.sampled = bytes.sent;
    trace::LabelValues l;
    l.observer = agent_names_[i];
    if (p.running()) metrics_.set(now(), Series::kNodeGossipBytesPerS, l, rate);
    else metrics_.remove(now(), Series::kNodeGossipBytesPerS, l);
  }
  core::Event e;
  e.kind = World::kSample;
  world_.engine().schedule(origin_, now() + sample_interval_, e);
}

}  // namespace dcsim::host
