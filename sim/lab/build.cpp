#include "lab/build.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/rng.h"
#include "consul/gossip_tunables.h"
#include "consul/pool.h"
#include "scenario/selector.h"

namespace dcsim::lab {

namespace {

net::Distribution distribution_of(scenario::Distribution d) {
  switch (d) {
    case scenario::Distribution::kConstant: return net::Distribution::kConstant;
    case scenario::Distribution::kUniform: return net::Distribution::kUniform;
    case scenario::Distribution::kLognormal: return net::Distribution::kLognormal;
    case scenario::Distribution::kPareto: return net::Distribution::kPareto;
    default: return net::Distribution::kNormal;
  }
}

net::FabricSpec fabric_of(const scenario::Fabric& f) {
  net::FabricSpec out;
  out.kind = f.kind == scenario::Fabric::Kind::kLeafSpine ? net::FabricKind::kLeafSpine
             : f.kind == scenario::Fabric::Kind::kFatTree ? net::FabricKind::kFatTree
                                                          : net::FabricKind::kStar;
  out.leaves = f.leaves;
  out.spines = f.spines;
  out.k = f.k;
  out.uplink = build_link(f.uplink);
  return out;
}

std::string end_name(const scenario::LinkEnd& end, const scenario::Topology& t) {
  switch (end.kind) {
    case scenario::LinkEnd::Kind::kZone: return t.zones[end.index].name;
    case scenario::LinkEnd::Kind::kAgent: return t.agents[end.index].full_name;
    case scenario::LinkEnd::Kind::kSwitch: return t.switches[end.index];
  }
  return end.name;
}

net::Topology network_of(const scenario::Topology& t) {
  net::Topology out;
  for (const scenario::Zone& z : t.zones) out.zones.push_back({z.name, z.cidr, z.site, fabric_of(z.fabric), build_link(z.link)});
  out.switches = t.switches;
  for (const scenario::Agent& a : t.agents) {
    net::HostSpec host;
    host.name = a.full_name;
    host.addresses = {a.address};
    host.zone = t.zones[a.zone].name;
    out.hosts.push_back(std::move(host));
  }
  for (const scenario::Link& l : t.links) {
    out.links.push_back({l.name, end_name(l.ends[0], t), end_name(l.ends[1], t), build_link(l.attributes), std::nullopt});
  }
  for (const scenario::SiteLatency& s : t.site_latencies) {
    net::LinkAttributes a;
    a.latency = s.rtt / 2;
    a.jitter = s.jitter;
    a.distribution = net::Distribution::kNormal;
    a.loss = s.loss;
    out.sites.push_back({s.from, s.to, a});
  }
  for (const scenario::Nat& n : t.nat) out.nat.push_back({n.name, t.zones[n.zone].name, n.outside, n.inside});
  return out;
}

net::HostSet hosts_of(const std::optional<scenario::Selector>& selector, const scenario::Topology& t) {
  if (!selector) return net::HostSet::any();
  const bool all = std::any_of(selector->terms.begin(), selector->terms.end(), [](const auto& term) {
    return term.all && term.labels.empty() && term.zones.empty() && term.dcs.empty() && !term.cidr && term.name.empty();
  });
  if (all) return net::HostSet::any();
  net::HostSet set;
  for (const std::uint32_t agent : scenario::matching(*selector, t)) set.add(HostId{agent});
  for (const Cidr& network : scenario::networks(*selector, t)) {
    if (network.bits < 32) set.add(network);
  }
  return set;
}

std::vector<net::PortRange> ports_of(const std::vector<scenario::PortRange>& ports) {
  std::vector<net::PortRange> out;
  for (const scenario::PortRange& p : ports) {
    const std::uint8_t protocol = p.protocol == scenario::Protocol::kTcp ? 6 : p.protocol == scenario::Protocol::kUdp ? 17
                                : p.protocol == scenario::Protocol::kIcmp ? 1 : 0;
    out.push_back({p.first, p.last, protocol});
  }
  return out;
}

net::RejectWith reject_of(std::optional<scenario::RejectWith> kind) {
  switch (kind.value_or(scenario::RejectWith::kIcmpPortUnreachable)) {
    case scenario::RejectWith::kTcpReset: return net::RejectWith::kTcpReset;
    case scenario::RejectWith::kIcmpHostUnreachable: return net::RejectWith::kIcmpHostUnreachable;
    case scenario::RejectWith::kIcmpAdminProhibited: return net::RejectWith::kIcmpAdminProhibited;
    case scenario::RejectWith::kIcmpPortUnreachable: break;
  }
  return net::RejectWith::kIcmpPortUnreachable;
}

net::FirewallAction action_of(scenario::Verdict v) {
  return v == scenario::Verdict::kAccept ? net::FirewallAction::kAccept
         : v == scenario::Verdict::kDrop ? net::FirewallAction::kDrop
                                         : net::FirewallAction::kReject;
}

net::FirewallConfig firewall_of(const scenario::Firewall& f, const scenario::Topology& t, Diagnostics& out) {
  net::FirewallConfig c;
  c.name = f.name;
  c.hook = f.hook == scenario::Firewall::Hook::kForward ? net::FirewallHook::kForward
           : f.hook == scenario::Firewall::Hook::kInput ? net::FirewallHook::kInput
                                                        : net::FirewallHook::kOutput;
  c.enabled = f.enabled;
  c.stateful = f.stateful;
  for (const auto& [name, value] : f.conntrack) {
    if (c.conntrack.set(name, value)) continue;
    std::string known;
    for (const std::string_view n : net::ConntrackConfig::names()) known += fmt::format("{}{}", known.empty() ? "" : ", ", n);
    out.push_back({"E0110", Diagnostic::Severity::kError, fmt::format("unknown conntrack timeout `{}` in firewall `{}`", name, f.name), f.at, "", "timeouts: " + known});
  }
  c.default_action = action_of(f.default_verdict);
  c.reject_with = reject_of(f.reject_with);
  c.log_default = f.log_default;
  for (const scenario::FirewallRule& r : f.rules) c.rules.push_back(build_rule(r, t));
  return c;
}

/// Consul's keys as the consul room reads them; `spans[place]` is where a value stood.
consul::RawValue raw_of(const scenario::ConfigValue& v, std::vector<SourceSpan>& spans) {
  consul::RawValue out;
  out.place = static_cast<int>(spans.size());
  spans.push_back(v.at);
  switch (v.kind) {
    case scenario::ConfigValue::Kind::kNull: break;
    case scenario::ConfigValue::Kind::kBool: out.value = v.boolean; break;
    case scenario::ConfigValue::Kind::kInt: out.value = v.integer; break;
    case scenario::ConfigValue::Kind::kFloat: out.value = v.real; break;
    case scenario::ConfigValue::Kind::kString: out.value = v.text; break;
    case scenario::ConfigValue::Kind::kList: {
      consul::RawValue::List list;
      for (const auto& item : v.items) list.push_back(raw_of(item, spans));
      out.value = std::move(list);
      break;
    }
    case scenario::ConfigValue::Kind::kMap: {
      consul::RawValue::Map map;
      for (const auto& entry : v.entries) map.emplace_back(entry.key, raw_of(entry.value, spans));
      out.value = std::move(map);
      break;
    }
  }
  return out;
}

/// Two listeners of one agent on one port (builder.go addrUnique). Segments' ports are held against these by build_config.
std::vector<consul::ConfigProblem> port_clashes(const consul::AgentConfig& config, const scenario::ConfigValue& keys, const std::vector<SourceSpan>& spans) {
  if (config.kind != consul::AgentKind::kConsul || !config.server) return {};  // clients only gossip on theirs
  const auto place = [&](std::string_view key) {
    const scenario::ConfigValue* ports = keys.find("ports");
    const scenario::ConfigValue* port = ports ? ports->find(key) : nullptr;
    for (std::size_t i = 0; port && i < spans.size(); ++i) {
      if (spans[i].line == port->at.line && spans[i].column == port->at.column && spans[i].file == port->at.file) return static_cast<int>(i);
    }
    return 0;
  };
  std::vector<consul::ConfigProblem> out;
  const auto clash = [&](const char* what, int port, const char* with, const char* key, const char* other) {
    const int at = place(key);
    out.push_back({fmt::format("{} address {}:{} already configured for {}", what, config.advertise.text(), port, with), at != 0 ? at : place(other), false});
  };
  if (config.serf_lan_port == config.rpc_port) clash("Serf Advertise LAN", config.serf_lan_port, "RPC Advertise", "serf_lan", "server");
  if (config.serf_wan_port == config.rpc_port) clash("Serf Advertise WAN", config.serf_wan_port, "RPC Advertise", "serf_wan", "server");
  if (config.serf_wan_port == config.serf_lan_port) clash("Serf Advertise WAN", config.serf_wan_port, "Serf Advertise LAN", "serf_wan", "serf_lan");
  return out;
}

/// Where the key stands that a complaint about the whole begins with: "suspicion_mult must be in range".
std::optional<SourceSpan> named_place(const scenario::ConfigValue& keys, std::string_view text) {
  const std::string_view key = text.substr(0, text.find(' '));
  for (const auto& entry : keys.entries) {
    if (entry.key == key) return entry.value.at;
    if (const auto inside = named_place(entry.value, text)) return inside;
  }
  return std::nullopt;
}

/// A random UUID (RFC 4122 version 4) that stays with the agent, as the data directory keeps it.
std::string node_id(std::string_view agent) {
  Rng rng(0, agent, "node-id");
  std::uint64_t hi = rng.next(), lo = rng.next();
  hi = (hi & ~0xF000ull) | 0x4000ull;
  lo = (lo & ~(3ull << 62)) | (2ull << 62);
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", hi >> 32, hi >> 16 & 0xFFFF, hi & 0xFFFF, lo >> 48, lo & 0xFFFFFFFFFFFFull);
}

}  // namespace

net::LinkAttributes build_link(const scenario::LinkAttributes& l) {
  net::LinkAttributes out;
  out.latency = l.latency;
  out.jitter = l.jitter;
  out.distribution = distribution_of(l.distribution);
  out.loss = l.loss;
  out.duplicate = l.duplicate;
  out.corrupt = l.corrupt;
  out.reorder = l.reorder;
  out.correlation = l.correlation;
  out.bandwidth = l.bandwidth;
  out.queue = l.queue.value_or(0);
  out.mtu = l.mtu;
  return out;
}

net::PartitionMode build_mode(scenario::PartitionAction::Mode mode) {
  using Mode = scenario::PartitionAction::Mode;
  return mode == Mode::kDrop     ? net::PartitionMode::kDrop
         : mode == Mode::kReject ? net::PartitionMode::kReject
         : mode == Mode::kDelay  ? net::PartitionMode::kDelay
                                 : net::PartitionMode::kQueue;
}

net::PartitionDirection build_direction(scenario::PartitionAction::Direction direction) {
  using Direction = scenario::PartitionAction::Direction;
  return direction == Direction::kBoth ? net::PartitionDirection::kBoth : direction == Direction::kTo ? net::PartitionDirection::kTo : net::PartitionDirection::kFrom;
}

net::RuleSpec build_rule(const scenario::FirewallRule& r, const scenario::Topology& t) {
  net::RuleSpec out;
  out.name = r.name;
  out.from = hosts_of(r.from, t);
  out.to = hosts_of(r.to, t);
  out.direction = r.direction == scenario::FirewallRule::Direction::kOut ? net::RuleSpec::Direction::kOut
                  : r.direction == scenario::FirewallRule::Direction::kIn ? net::RuleSpec::Direction::kIn
                                                                          : net::RuleSpec::Direction::kBoth;
  out.ports = ports_of(r.ports);
  out.source_ports = ports_of(r.source_ports);
  switch (r.protocol) {
    case scenario::Protocol::kTcp: out.protocol = net::Protocol::kTcp; break;
    case scenario::Protocol::kUdp: out.protocol = net::Protocol::kUdp; break;
    case scenario::Protocol::kIcmp: out.protocol = net::Protocol::kIcmp; break;
    case scenario::Protocol::kAny: break;
  }
  static constexpr std::pair<std::uint8_t, net::ConnState> kStates[] = {
      {scenario::kStateNew, net::ConnState::kNew},
      {scenario::kStateEstablished, net::ConnState::kEstablished},
      {scenario::kStateRelated, net::ConnState::kRelated},
      {scenario::kStateInvalid, net::ConnState::kInvalid}};
  for (const auto& [bit, state] : kStates) {
    if (r.states & bit) out.states.push_back(state);
  }
  out.probability = r.probability;
  if (r.limit) out.limit = net::RateLimit{r.limit->count, r.limit->per, 5};
  out.action = action_of(r.action);
  out.reject_with = reject_of(r.reject_with);
  out.log = r.log;
  out.comment = r.comment;
  return out;
}

consul::AgentConfig build_agent(const scenario::Topology& t, std::uint32_t index, const scenario::ConfigValue* over, Diagnostics& out) {
  const scenario::Agent& agent = t.agents[index];
  const scenario::ConfigValue merged = over ? scenario::merged(t.config(index), *over) : scenario::ConfigValue{};
  std::vector<SourceSpan> spans;
  const consul::RawValue keys = raw_of(over ? merged : t.config(index), spans);
  // An agent without a place in its zone has been reported; its configuration is checked all the same.
  const bool placed = agent.address.is_v4() && t.zones[agent.zone].cidr.bits >= 0;
  const std::vector<consul::Interface> interfaces = {
      {"lo", *Address::parse("127.0.0.1"), 8, true, false},
      {"eth0", placed ? agent.address : Address::v4(0x0A000001u), placed ? t.zones[agent.zone].cidr.bits : 8, true, true}};
  std::vector<consul::ConfigProblem> problems;
  const auto kind = agent.kind == scenario::AgentKind::kSerf ? consul::AgentKind::kSerf : consul::AgentKind::kConsul;
  consul::AgentConfig config = consul::build_config(kind, keys, agent.name, t.datacenters[agent.datacenter].name,
                                                    node_id(agent.full_name), interfaces, problems);
  gossip::MemberlistConfig probe = gossip::MemberlistConfig::lan();
  for (const consul::GossipTunable& tunable : config.gossip_lan) {
    if (const auto bad = consul::apply_tunable(tunable, probe)) problems.push_back({bad->text, tunable.value.place, false});
  }
  if (std::none_of(problems.begin(), problems.end(), [](const auto& p) { return !p.warning; })) {
    if (const auto unusable = consul::gossip_problem(config)) problems.push_back({unusable->text, 0, false});
  }
  const scenario::ConfigValue& given = over ? merged : t.config(index);
  for (const consul::ConfigProblem& p : port_clashes(config, given, spans)) problems.push_back(p);
  for (const consul::ConfigProblem& p : problems) {
    const auto place = static_cast<std::size_t>(p.place);
    SourceSpan at = place < spans.size() && spans[place].line > 0 ? spans[place] : t.groups[agent.group].at;
    if (place == 0) at = named_place(given, p.text).value_or(at);
    out.push_back({p.warning ? "W0302" : "E0302", p.warning ? Diagnostic::Severity::kWarning : Diagnostic::Severity::kError, p.text, at, "", ""});
  }
  return config;
}

host::WorldSpec build_world(const scenario::Topology& t, std::uint64_t seed, Diagnostics& out) {
  host::WorldSpec world;
  world.seed = seed;
  world.network = network_of(t);
  for (const std::string& problem : net::problems_of(world.network)) {
    out.push_back({"E0301", Diagnostic::Severity::kError, problem, t.at, "", ""});
  }
  for (const scenario::Firewall& f : t.firewalls) world.firewalls.push_back(firewall_of(f, t, out));
  for (const scenario::Firewall& f : t.firewalls) {
    world.firewall_machines.push_back(f.hook == scenario::Firewall::Hook::kForward ? net::HostSet::any() : hosts_of(f.agents, t));
  }
  for (const scenario::DnsName& d : t.dns) world.dns.emplace(d.name, d.addresses);
  // Agents of one group share their keys: what is wrong with them is wrong once.
  std::set<std::uint32_t> told;
  for (std::uint32_t i = 0; i < t.agents.size(); ++i) {
    const scenario::Agent& a = t.agents[i];
    host::AgentSpec spec;
    spec.name = a.name;
    spec.full_name = a.full_name;
    spec.dc = t.datacenters[a.datacenter].name;
    spec.zone = t.zones[a.zone].name;
    for (const auto& [k, v] : t.labels(i)) spec.labels.emplace_back(k, v);
    for (const auto& [k, v] : t.zones[a.zone].labels) {
      if (std::none_of(spec.labels.begin(), spec.labels.end(), [&, key = k](const auto& l) { return l.first == key; })) spec.labels.emplace_back(k, v);
    }
    Diagnostics mine;
    spec.config = build_agent(t, i, nullptr, mine);
    if (!mine.empty() && told.insert(a.group).second) out.insert(out.end(), mine.begin(), mine.end());
    world.agents.push_back(std::move(spec));
  }
  return world;
}

}  // namespace dcsim::lab
