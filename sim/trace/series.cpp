#include "trace/series.h"

#include <fmt/format.h>

#include <algorithm>

namespace dcsim::trace {
namespace {

using K = SeriesKind;
using Slots = std::array<std::string_view, kMaxSlots>;

constexpr SeriesSpec row(std::string_view name, K kind, std::string_view unit, std::string_view agent, bool member,
                         Slots slots, std::string_view meaning) {
  return {name, kind, unit, agent, member, slots, meaning, {}, {}, false};
}
/// Gossip: at an observer, about a member of one of its pools.
constexpr SeriesSpec about(std::string_view name, K kind, std::string_view unit, std::string_view meaning,
                           std::string_view extra = {}) {
  return row(name, kind, unit, "observer", true, {"pool", "segment", extra}, meaning);
}
/// Gossip: at an observer, about one of its pools.
constexpr SeriesSpec pooled(std::string_view name, K kind, std::string_view unit, std::string_view meaning,
                            std::string_view extra = {}) {
  return row(name, kind, unit, "observer", false, {"pool", "segment", extra}, meaning);
}
/// At one agent.
constexpr SeriesSpec at(std::string_view name, K kind, std::string_view unit, std::string_view meaning,
                        Slots slots = {}) {
  return row(name, kind, unit, "node", false, slots, meaning);
}
constexpr SeriesSpec firewall(std::string_view name, std::string_view meaning) {
  return row(name, K::kCounter, "packets", "", false, {"fw", "rule", "from", "to", "port", "proto"}, meaning);
}
constexpr SeriesSpec rpc(std::string_view name, K kind, std::string_view unit, std::string_view meaning) {
  return row(name, kind, unit, "from", false, {"target_dc", "workload", "method", "to", "error"}, meaning);
}
constexpr SeriesSpec textual(SeriesSpec spec) {
  spec.text = true;
  return spec;
}
constexpr SeriesSpec lan_unless_said(SeriesSpec spec) {
  spec.default_label = "pool";
  spec.default_value = "lan";
  return spec;
}

/// The row order is Series'.
constexpr SeriesSpec kTable[] = {
    about("consul.serf.member.join", K::kCounter, "events", "a member is (again) alive in the observer's view"),
    about("consul.serf.member.leave", K::kCounter, "events", "member-leave events: a member left, or was forced to"),
    about("consul.serf.member.left", K::kCounter, "events", "a member left in order; force-leaves are not counted"),
    about("consul.serf.member.failed", K::kCounter, "events", "a member is failed in the observer's view"),
    about("consul.serf.member.update", K::kCounter, "events", "a member's tags or address changed"),
    about("consul.serf.member.reap", K::kCounter, "events", "a failed or left member is forgotten"),
    about("consul.serf.member.flap", K::kCounter, "events",
          "a member came back within the flap timeout after it failed"),
    pooled("consul.serf.events", K::kCounter, "events", "user events received", "event"),
    pooled("consul.serf.queries", K::kCounter, "queries", "queries received", "event"),
    pooled("consul.serf.msgs.received", K::kObservation, "B", "size of each Serf message received"),
    pooled("consul.serf.msgs.sent", K::kObservation, "B", "size of each Serf message sent"),
    pooled("consul.serf.queue.Intent", K::kObservation, "messages", "depth of the intent queue, sampled"),
    pooled("consul.serf.queue.Event", K::kObservation, "messages", "depth of the event queue, sampled"),
    pooled("consul.serf.queue.Query", K::kObservation, "messages", "depth of the query queue, sampled every 30 s"),
    pooled("consul.serf.coordinate.adjustment-ms", K::kObservation, "ms",
           "how far a Vivaldi update moved the coordinate, as a round trip"),
    pooled("consul.serf.coordinate.rejected", K::kCounter, "events", "coordinates refused as invalid"),
    pooled("consul.serf.snapshot.appendLine", K::kObservation, "ms", "time to append a line to the snapshot"),
    pooled("consul.serf.snapshot.compact", K::kObservation, "ms", "time to compact the snapshot"),

    about("consul.memberlist.msg.alive", K::kCounter, "messages", "alive messages handled", "by"),
    about("consul.memberlist.msg.suspect", K::kCounter, "messages",
          "suspicions: suspect messages handled, own ones too", "by"),
    about("consul.memberlist.msg.dead", K::kCounter, "messages", "dead messages handled, own ones too", "by"),
    pooled("consul.memberlist.health.score", K::kGauge, "score", "Lifeguard's awareness: 0 is healthy"),
    about("consul.memberlist.probeNode", K::kObservation, "ms", "duration of a probe, failed ones too"),
    pooled("consul.memberlist.gossip", K::kObservation, "ms",
           "duration of a gossip round with something to send: 0, since sending takes no simulated time; count them"),
    about("consul.memberlist.pushPullNode", K::kObservation, "ms",
          "duration of a push/pull that the observer began, joins and failed ones too"),
    pooled("consul.memberlist.tcp.accept", K::kCounter, "connections", "streams accepted"),
    pooled("consul.memberlist.tcp.connect", K::kCounter, "connections", "streams opened for a push/pull"),
    pooled("consul.memberlist.tcp.sent", K::kCounter, "B", "bytes sent on streams"),
    pooled("consul.memberlist.udp.sent", K::kCounter, "B", "bytes sent in packets"),
    pooled("consul.memberlist.udp.received", K::kCounter, "B", "bytes received in packets"),
    pooled("consul.memberlist.degraded.probe", K::kCounter, "probes", "probes made while the health score was not 0"),
    pooled("consul.memberlist.degraded.timeout", K::kCounter, "suspicions",
           "suspicions that expired without the confirmations hoped for"),
    pooled("consul.memberlist.queue.broadcasts", K::kObservation, "messages", "depth of the broadcast queue, sampled every 30 s"),
    pooled("consul.memberlist.node.instances", K::kGauge, "members", "members by memberlist's state when the observer last sent its own", "node_state"),
    pooled("consul.memberlist.size.local", K::kGauge, "B", "size of the state last sent in a push/pull, before compression"),
    pooled("consul.memberlist.size.remote", K::kObservation, "B",
           "size of the state received in a push/pull, as on the wire"),

    at("consul.raft.state.follower", K::kCounter, "events", "times a server became follower"),
    at("consul.raft.state.candidate", K::kCounter, "events", "times a server became candidate"),
    at("consul.raft.state.leader", K::kCounter, "events", "times a server became leader"),
    at("consul.raft.transition.heartbeat_timeout", K::kCounter, "events", "a follower lost its leader"),
    at("consul.raft.transition.leader_lease_timeout", K::kCounter, "events", "a leader lost its quorum"),
    at("consul.raft.apply", K::kCounter, "entries", "commands handed to Raft"),
    at("consul.raft.barrier", K::kCounter, "entries", "barriers handed to Raft"),
    at("consul.raft.commitTime", K::kObservation, "ms", "time to commit an entry on the leader"),
    at("consul.raft.commitNumLogs", K::kObservation, "entries", "entries applied in one batch"),
    at("consul.raft.verify_leader", K::kCounter, "events", "leadership verifications"),
    at("consul.raft.leader.lastContact", K::kObservation, "ms", "time since the leader last reached a quorum"),
    at("consul.raft.leader.dispatchLog", K::kObservation, "ms", "time to write entries to the leader's disk"),
    at("consul.raft.leader.dispatchNumLogs", K::kObservation, "entries", "entries written in one batch"),
    at("consul.raft.replication.appendEntries.rpc", K::kObservation, "ms", "round trip of AppendEntries", {"peer"}),
    at("consul.raft.replication.appendEntries.logs", K::kCounter, "entries", "entries replicated", {"peer"}),
    at("consul.raft.replication.heartbeat", K::kObservation, "ms", "round trip of a heartbeat", {"peer"}),
    at("consul.raft.replication.installSnapshot", K::kObservation, "ms", "time to install a snapshot at a follower",
       {"peer"}),
    at("consul.raft.rpc.appendEntries", K::kObservation, "ms", "time to process AppendEntries"),
    at("consul.raft.rpc.requestVote", K::kObservation, "ms", "time to process RequestVote"),
    at("consul.raft.rpc.installSnapshot", K::kObservation, "ms", "time to process InstallSnapshot"),
    at("consul.raft.snapshot.create", K::kObservation, "ms", "time to capture a snapshot"),
    at("consul.raft.snapshot.persist", K::kObservation, "ms", "time to write a snapshot"),
    at("consul.raft.restore", K::kCounter, "events", "state machines restored from a snapshot"),
    at("consul.raft.peers", K::kGauge, "servers", "servers in the Raft configuration"),
    at("consul.raft.term", K::kGauge, "term", "the current term"),
    at("consul.raft.applied_index", K::kGauge, "index", "the last index applied"),
    at("consul.raft.last_index", K::kGauge, "index", "the last index in the log"),
    at("consul.autopilot.healthy", K::kGauge, "bool", "1 if autopilot finds all servers healthy"),
    at("consul.autopilot.failure_tolerance", K::kGauge, "servers", "servers that may fail without loss of quorum"),
    at("consul.server.isLeader", K::kGauge, "bool", "1 on the leader"),

    at("consul.rpc.request", K::kCounter, "requests", "RPC requests received by a server"),
    at("consul.rpc.request_error", K::kCounter, "requests", "RPC requests that a server answered with an error"),
    at("consul.rpc.query", K::kCounter, "requests", "blocking and non-blocking queries served"),
    at("consul.rpc.cross-dc", K::kCounter, "requests", "requests forwarded to another datacenter", {"datacenter"}),
    at("consul.rpc.accept_conn", K::kCounter, "connections", "RPC connections accepted"),
    at("consul.rpc.consistentRead", K::kObservation, "ms", "time to make sure that a read is consistent"),
    at("consul.rpc.raft_handoff", K::kCounter, "connections", "Raft connections handed over"),
    at("consul.rpc.queries_blocking", K::kGauge, "requests", "blocking queries in progress"),
    at("consul.rpc.rate_limit.exceeded", K::kCounter, "requests", "requests refused by the server's rate limit",
       {"method"}),
    at("consul.rpc.server.call", K::kObservation, "ms", "time to serve an RPC", {"method", "errored", "leader"}),
    at("consul.client.rpc", K::kCounter, "requests", "RPC requests made by a client agent"),
    at("consul.client.rpc.exceeded", K::kCounter, "requests", "requests refused by the client's own rate limit"),
    at("consul.client.rpc.failed", K::kCounter, "requests", "RPC requests of a client agent that failed"),
    at("consul.client.rpc.error", K::kCounter, "requests",
       "RPC requests of a client agent that a server answered with an error", {"server"}),
    at("consul.catalog.register", K::kObservation, "ms", "time to register in the catalog"),
    at("consul.catalog.deregister", K::kObservation, "ms", "time to deregister from the catalog"),
    at("consul.leader.barrier", K::kObservation, "ms", "time of the barrier after an election"),
    at("consul.leader.reconcile", K::kObservation, "ms", "time of a full reconcile of Serf's members and the catalog"),
    row("consul.leader.reconcileMember", K::kObservation, "ms", "node", true, {}, "time to reconcile one member"),
    at("consul.leader.reapTombstones", K::kObservation, "ms", "time to clear tombstones"),
    at("consul.session_ttl.active", K::kGauge, "sessions", "sessions with a TTL"),
    at("consul.area.connections.outgoing", K::kGauge, "connections", "outgoing connections of network areas"),
    at("consul.members.servers", K::kGauge, "agents", "server agents known to a server, failed and left ones too"),
    at("consul.members.clients", K::kGauge, "agents", "client agents known to a server in all its segments, failed and left ones too"),

    firewall("sim.fw.drop", "packets a firewall dropped; rule \"default\" is the default policy"),
    firewall("sim.fw.reject", "packets a firewall refused with an answer"),
    firewall("sim.fw.accept", "packets a firewall let through"),
    row("sim.link.bytes", K::kCounter, "B", "", false, {"link", "direction"}, "bytes carried by a link; forward is from its first end (an agent) to its second"),
    row("sim.link.tx", K::kCounter, "packets", "", false, {"link", "direction"}, "packets carried by a link; forward is from its first end (an agent) to its second"),
    row("sim.link.drop", K::kCounter, "packets", "", false, {"link", "reason"}, "packets lost on a link"),
    row("sim.packet.drop", K::kCounter, "packets", "", false, {"reason", "culprit", "from", "to", "port", "proto"},
        "packets that did not arrive, by reason"),
    at("sim.packet.malformed", K::kCounter, "packets", "received bytes that are no message, by reason",
       {"reason", "pool"}),
    at("sim.node.packets", K::kCounter, "packets", "packets of a node", {"proto", "direction"}),
    at("sim.node.bytes", K::kCounter, "B", "bytes of a node's packets with their headers", {"proto", "direction"}),
    at("sim.node.gossip_bytes_per_s", K::kGauge, "B/s",
       "gossip bytes a node sent a second, over the last sample interval"),
    at("sim.conn.opened", K::kCounter, "connections", "TCP connections established", {"to", "port"}),
    at("sim.conn.failed", K::kCounter, "connections", "TCP connections that failed or broke", {"to", "port", "reason"}),

    textual(about("sim.member.status", K::kGauge, "",
                  "the status of a member in the observer's view: alive, failed, left, leaving")),
    lan_unless_said(
        pooled("sim.members.alive", K::kGauge, "members",
               "alive members in the observer's view, itself included; its LAN pool unless a pool is named")),
    lan_unless_said(pooled("sim.members.failed", K::kGauge, "members",
                           "failed members in the observer's view; its LAN pool unless a pool is named")),
    row("sim.join.rejected", K::kCounter, "events", "observer", false, {"joiner", "reason", "pool", "segment"},
        "a merge gate refused a member"),
    row("sim.join.time", K::kObservation, "s", "joiner", false, {"pool", "segment"},
        "from an agent's start to its first successful join"),
    row("sim.join.failed", K::kCounter, "attempts", "joiner", false, {"pool", "segment", "error"},
        "join attempts that reached nobody"),
    row("sim.converge.time", K::kObservation, "s", "", false, {"pool", "segment"},
        "from a change to the moment when all views of a pool agree"),
    about("sim.detect.time", K::kObservation, "s", "from a member's end to the moment when the observer knows"),
    about("sim.suspect.refute_time", K::kObservation, "s",
          "from the start of a suspicion to its refutation, at the observer", "by"),
    about("sim.suspect.started", K::kCounter, "suspicions", "suspicions that the observer began", "by"),
    about("sim.probe.timeout", K::kCounter, "probes", "no direct ack in time"),
    about("sim.probe.failed", K::kCounter, "probes", "no ack by any path: a suspicion starts"),
    about("sim.probe.tcp_only", K::kCounter, "probes", "the ping over TCP was answered, the one over UDP was not"),
    about("sim.refute", K::kCounter, "events", "a member denied an accusation against itself"),
    about("sim.push_pull", K::kCounter, "exchanges", "state exchanges completed", "kind"),

    textual(rpc("sim.rpc.path", K::kObservation, "", "the hops of an RPC, as client.dc2>server.dc2>server.dc1")),
    rpc("sim.rpc.hops", K::kObservation, "hops", "the number of hops of an RPC"),
    rpc("sim.rpc.latency", K::kObservation, "s", "duration of a successful RPC at its caller"),
    rpc("sim.rpc.count", K::kCounter, "requests", "RPCs made"),
    rpc("sim.rpc.error", K::kCounter, "requests", "RPCs that failed"),
    rpc("sim.rpc.unavailable", K::kObservation, "s", "from the first failed RPC to a datacenter to the next success"),
    row("sim.area.members", K::kGauge, "members", "observer", false, {"area", "dc", "status"},
        "members of a network area in the observer's view, by their datacenter and status"),
    row("sim.area.recover_time", K::kObservation, "s", "observer", false, {"area", "dc"},
        "from an area's first failed member to all alive again"),
    row("sim.raft.leaderless_time", K::kObservation, "s", "", false, {"dc"}, "time without a leader, each gap"),

    at("sim.agent.up", K::kGauge, "bool", "1 while the agent's process runs"),
    at("sim.command.exit", K::kCounter, "commands", "operator commands ended", {"status", "step"}),
    row("sim.check.violation", K::kCounter, "violations", "", false, {"checker"}, "broken invariants of the world"),
};
static_assert(std::size(kTable) == kSeriesCount);

constexpr std::string_view kImplied[] = {"role", "zone", "dc", "segment"};
constexpr std::string_view kAgentNames[] = {"observer", "node",   "agent", "member", "from",
                                            "to",       "joiner", "by",    "peer"};
constexpr std::string_view kAgentAliases[] = {"observer", "node", "agent"};

bool contains(std::span<const std::string_view> list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

bool agent_label_known(std::string_view label, std::span<const std::string> agent_labels) {
  return contains(kImplied, label) || std::find(agent_labels.begin(), agent_labels.end(), label) != agent_labels.end();
}

/// The declared labels whose values are agents.
std::vector<std::string_view> agent_bases(const SeriesSpec& spec) {
  std::vector<std::string_view> bases;
  if (!spec.agent.empty()) {
    bases.push_back(spec.agent);
    for (const std::string_view alias : kAgentAliases) bases.push_back(alias);
  }
  if (spec.member) bases.push_back("member");
  for (const std::string_view slot : spec.slots) {
    if (agent_valued(slot)) bases.push_back(slot);
  }
  return bases;
}

struct UnitScale {
  std::string_view name;
  double factor;
};
constexpr UnitScale kTimes[] = {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1},
                                {"min", 60},  {"m", 60},    {"h", 3600}};
constexpr UnitScale kSizes[] = {{"B", 1},    {"KB", 1e3},      {"kB", 1e3}, {"KiB", 1024},
                                {"MB", 1e6}, {"MiB", 1048576}, {"GB", 1e9}, {"GiB", 1073741824.0}};

double scale_of(std::span<const UnitScale> units, std::string_view name) {
  for (const UnitScale& unit : units) {
    if (unit.name == name) return unit.factor;
  }
  return 0;
}

}  // namespace

std::optional<std::size_t> SeriesSpec::slot(std::string_view label) const {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!slots[i].empty() && slots[i] == label) return i;
  }
  return std::nullopt;
}

const SeriesSpec& series_spec(Series series) { return kTable[static_cast<std::size_t>(series)]; }

std::optional<Series> find_series(std::string_view name) {
  for (std::size_t i = 0; i < kSeriesCount; ++i) {
    if (kTable[i].name == name) return static_cast<Series>(i);
  }
  return std::nullopt;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::vector<std::string_view> suggest_series(std::string_view name, std::size_t limit) {
  name = name.substr(0, 128);
  std::vector<std::pair<std::size_t, std::string_view>> near;
  for (const SeriesSpec& spec : kTable) {
    std::size_t distance = edit_distance(name, spec.name);
    // "serf.member.failed" and "member.failed" miss only what everybody leaves out.
    if (name.size() >= 4 && spec.name.find(name) != std::string_view::npos)
      distance = std::min<std::size_t>(distance, 2);
    if (distance <= std::max<std::size_t>(3, name.size() / 4)) near.emplace_back(distance, spec.name);
  }
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < near.size() && i < limit; ++i) names.push_back(near[i].second);
  return names;
}

bool agent_valued(std::string_view slot_label) { return contains(kAgentNames, slot_label); }

std::span<const std::string_view> implied_agent_labels() { return kImplied; }

bool label_known(Series series, std::string_view label, std::span<const std::string> agent_labels) {
  const SeriesSpec& spec = series_spec(series);
  if (spec.slot(label)) return true;
  const std::vector<std::string_view> bases = agent_bases(spec);
  if (contains(bases, label)) return true;
  if ((!spec.agent.empty() || spec.member) && agent_label_known(label, agent_labels)) return true;
  return std::any_of(bases.begin(), bases.end(), [&](std::string_view base) {
    return label.size() > base.size() + 1 && label.starts_with(base) && label[base.size()] == '_' &&
           agent_label_known(label.substr(base.size() + 1), agent_labels);
  });
}

std::vector<std::string> labels_of(Series series, std::span<const std::string> agent_labels) {
  const SeriesSpec& spec = series_spec(series);
  std::vector<std::string> labels;
  const auto add = [&](std::string label) {
    if (std::find(labels.begin(), labels.end(), label) == labels.end()) labels.push_back(std::move(label));
  };
  if (!spec.agent.empty()) add(std::string(spec.agent));
  if (spec.member) add("member");
  for (const std::string_view slot : spec.slots) {
    if (!slot.empty()) add(std::string(slot));
  }
  std::vector<std::string> own(std::begin(kImplied), std::end(kImplied));
  own.insert(own.end(), agent_labels.begin(), agent_labels.end());
  if (!spec.agent.empty() || spec.member) {
    for (const std::string& label : own) add(label);
  }
  for (const std::string_view base : agent_bases(spec)) {
    if (base != spec.agent && contains(kAgentAliases, base)) continue;
    for (const std::string& label : own) add(fmt::format("{}_{}", base, label));
  }
  return labels;
}

std::string_view series_kind_name(SeriesKind kind) {
  switch (kind) {
    case K::kCounter:
      return "counter";
    case K::kGauge:
      return "gauge";
    case K::kObservation:
      return "observation";
  }
  return "";
}

double seconds_per(std::string_view unit) { return scale_of(kTimes, unit); }

std::optional<double> convert_unit(double value, std::string_view from, std::string_view to) {
  if (from == to) return value;
  if (from.ends_with("/s") && to.ends_with("/s")) {
    from.remove_suffix(2);
    to.remove_suffix(2);
  }
  for (const std::span<const UnitScale> units :
       {std::span<const UnitScale>(kTimes), std::span<const UnitScale>(kSizes)}) {
    const double a = scale_of(units, from);
    const double b = scale_of(units, to);
    if (a == 0 || b == 0) continue;
    return a >= b ? value * (a / b) : value / (b / a);  // the larger over the smaller is exact for decimal units
  }
  return std::nullopt;
}

std::string series_reference() {
  std::string out;
  for (std::size_t i = 0; i < kSeriesCount; ++i) {
    const SeriesSpec& spec = kTable[i];
    std::string labels;
    const auto add = [&](std::string_view label) {
      if (label.empty()) return;
      if (!labels.empty()) labels.push_back(',');
      labels.append(label);
    };
    add(spec.agent);
    if (spec.member) add("member");
    for (const std::string_view slot : spec.slots) add(slot);
    out += fmt::format("{:<46} {:<11} {:<11} {}{}{}\n{:<46} {}\n", spec.name, series_kind_name(spec.kind),
                       spec.text ? "text" : spec.unit, '{', labels, '}', "", spec.meaning);
  }
  return out;
}

}  // namespace dcsim::trace
