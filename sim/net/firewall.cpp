#include "net/firewall.h"

#include <algorithm>

#include "base/check.h"
#include "net/tcp.h"

namespace dcsim::net {

// A token bucket in nanoseconds of credit, as nft_limit keeps it, and the rule's draws.
struct RuleGate {
  Rng draws;
  std::int64_t cost = 0;  // credit a packet takes; 0 = no limit
  std::int64_t most = 0;
  std::int64_t credit = 0;
  Instant last{0};

  bool take(Instant now) {
    if (cost == 0) return true;
    credit = std::min(most, credit + (now - last).ns);
    last = now;
    if (credit < cost) return false;
    credit -= cost;
    return true;
  }
};

/// A rule made small: what the pass over the rules reads. The sets stay in the RuleSpec.
struct Firewall::Compiled {
  std::int32_t id = 0;
  std::uint8_t states = 0xff;  // bit per ConnState
  std::uint8_t protocol = 0;   // 0 = any
  RuleSpec::Direction direction = RuleSpec::Direction::kOut;
  bool gated = false;
  bool any_host = false;
  const RuleSpec* spec = nullptr;
};

/// Where the firewall stands: between zones, or on one machine.
struct Firewall::Point {
  explicit Point(const ConntrackConfig& timeouts) : config(timeouts), table(config) {}
  ConntrackConfig config;  // its own copy: the firewall may move
  Conntrack table;
  std::vector<RuleGate> gates;  // by rule id; empty if no rule has one
};

namespace {

bool in_ports(const std::vector<PortRange>& ranges, Protocol protocol, std::uint16_t port) {
  const auto of = static_cast<std::uint8_t>(protocol);
  for (const PortRange& range : ranges) {
    // ICMP has no ports: only a range that says icmp means it.
    if (protocol == Protocol::kIcmp ? range.protocol == of : range.contains(of, port)) return true;
  }
  return false;
}

bool hosts_match(const RuleSpec& rule, const PacketMeta& meta) {
  using Direction = RuleSpec::Direction;
  if (rule.direction != Direction::kIn && rule.from.contains(meta.from_host, meta.flow.from) &&
      rule.to.contains(meta.to_host, meta.flow.to)) {
    return true;
  }
  return rule.direction != Direction::kOut && rule.to.contains(meta.from_host, meta.flow.from) &&
         rule.from.contains(meta.to_host, meta.flow.to);
}

bool has_gate(const RuleSpec& rule) { return rule.limit || rule.probability; }

}  // namespace

std::string_view name_of(FirewallAction action) {
  switch (action) {
    case FirewallAction::kAccept:
      return "accept";
    case FirewallAction::kDrop:
      return "drop";
    case FirewallAction::kReject:
      break;
  }
  return "reject";
}

std::string_view name_of(RejectWith kind) {
  return kind == RejectWith::kTcpReset ? std::string_view("tcp-reset") : name_of(icmp_of(kind));
}

IcmpError icmp_of(RejectWith kind) {
  switch (kind) {
    case RejectWith::kIcmpHostUnreachable:
      return IcmpError::kHostUnreachable;
    case RejectWith::kIcmpAdminProhibited:
      return IcmpError::kAdminProhibited;
    default:
      return IcmpError::kPortUnreachable;
  }
}

Firewall::Firewall(FirewallConfig config, std::uint64_t seed, HostName host_name)
    : config_(std::move(config)), seed_(seed), host_name_(std::move(host_name)) {
  policies_.push_back({config_.default_action, config_.reject_with, config_.log_default});
  hits_.emplace_back();
  std::vector<RuleSpec> rules = std::move(config_.rules);
  config_.rules.clear();
  for (RuleSpec& rule : rules) order_.push_back(add_rule(std::move(rule)));
  compile();
}

Firewall::~Firewall() = default;
Firewall::Firewall(Firewall&&) noexcept = default;
Firewall& Firewall::operator=(Firewall&&) noexcept = default;

std::int32_t Firewall::add_rule(RuleSpec rule) {
  const auto id = static_cast<std::int32_t>(rules_.size());
  if (rule.name.empty()) rule.name = "rule-" + std::to_string(id + 1);
  policies_.push_back({rule.action, rule.reject_with, rule.log});
  hits_.emplace_back();
  rules_.push_back(std::move(rule));
  return id;
}

void Firewall::compile() {
  ++epoch_;
  compiled_.clear();
  for (const std::int32_t id : order_) {
    const RuleSpec& rule = rules_[static_cast<std::size_t>(id)];
    Compiled out;
    out.id = id;
    out.spec = &rule;
    out.protocol = rule.protocol ? static_cast<std::uint8_t>(*rule.protocol) : std::uint8_t{0};
    out.direction = rule.direction;
    out.gated = has_gate(rule);
    out.any_host = rule.from.is_any() && rule.to.is_any();
    if (!rule.states.empty()) {
      out.states = 0;
      for (const ConnState state : rule.states)
        out.states |= static_cast<std::uint8_t>(1u << static_cast<unsigned>(state));
    }
    compiled_.push_back(out);
  }
}

// --- where it stands ------------------------------------------------------------------------------------------------

std::size_t Firewall::index_of(HostId at) const {
  return config_.hook == FirewallHook::kForward || !at.valid() ? 0 : at.index() + 1;
}

Firewall::Point& Firewall::point(HostId at) {
  const std::size_t index = index_of(at);
  if (index >= points_.size()) points_.resize(index + 1);
  if (!points_[index]) points_[index] = make_point(at);
  return *points_[index];
}

std::unique_ptr<Firewall::Point> Firewall::make_point(HostId at) const {
  auto out = std::make_unique<Point>(config_.conntrack);
  for (std::size_t id = 0; id < rules_.size(); ++id) {
    if (has_gate(rules_[id])) add_gate(*out, at, static_cast<std::int32_t>(id));
  }
  return out;
}

Rng Firewall::stream_of(HostId at, std::string_view rule) const {
  std::string entity = "firewall/" + config_.name;
  if (config_.hook != FirewallHook::kForward && at.valid() && host_name_) entity += "/" + host_name_(at);
  return {seed_, entity, "rule/" + std::string(rule)};
}

void Firewall::add_gate(Point& at, HostId machine, std::int32_t id) const {
  const RuleSpec& rule = rules_[static_cast<std::size_t>(id)];
  if (at.gates.size() < rules_.size()) at.gates.resize(rules_.size());
  RuleGate& gate = at.gates[static_cast<std::size_t>(id)];
  gate.draws = stream_of(machine, rule.name);
  if (rule.limit) {
    gate.cost = std::max<std::int64_t>(1, rule.limit->per.ns / std::max<std::uint32_t>(1, rule.limit->packets));
    gate.most = gate.cost * std::max<std::uint32_t>(1, rule.limit->burst);
    gate.credit = gate.most;
  }
}

// --- the verdict ----------------------------------------------------------------------------------------------------

std::int32_t Firewall::first_match(Point& at, const PacketMeta& meta, ConnState state, Instant now,
                                   bool& cacheable) const {
  const auto state_bit = static_cast<std::uint8_t>(1u << static_cast<unsigned>(state));
  const auto protocol = static_cast<std::uint8_t>(meta.flow.protocol);
  for (const Compiled& rule : compiled_) {
    if (!(rule.states & state_bit) || (rule.protocol && rule.protocol != protocol)) continue;
    const RuleSpec& spec = *rule.spec;
    if (!spec.ports.empty() && !in_ports(spec.ports, meta.flow.protocol, meta.flow.to_port)) continue;
    if (!spec.source_ports.empty() && !in_ports(spec.source_ports, meta.flow.protocol, meta.flow.from_port)) continue;
    if (!rule.any_host && !hosts_match(spec, meta)) continue;
    if (rule.gated) {
      cacheable = false;
      RuleGate& gate = at.gates[static_cast<std::size_t>(rule.id)];
      if (spec.probability && !gate.draws.chance(*spec.probability)) continue;
      if (!gate.take(now)) continue;
    }
    return rule.id;
  }
  return kDefaultRule;
}

// Hot: a tracked flow finds its rule in its own entry. The entry forgets when the rules change (epoch) and when the
// flow's state does; everything else a rule looks at is the same for all packets of one direction, but for tokens and
// draws.
std::int32_t Firewall::rule_for(Point& at, const PacketMeta& meta, const Conntrack::Tracked& tracked,
                                Instant now) const {
  bool cacheable = true;
  if (!tracked.entry) return first_match(at, meta, tracked.state, now, cacheable);
  Conntrack::Entry& entry = *tracked.entry;
  const auto side = static_cast<std::size_t>(tracked.direction);
  if (entry.verdict_epoch != epoch_) {
    entry.verdict_epoch = epoch_;
    entry.verdict_rule[0] = entry.verdict_rule[1] = 0;
  }
  if (entry.verdict_rule[side] != 0) return static_cast<std::int32_t>(entry.verdict_rule[side]) - 2;
  const std::int32_t id = first_match(at, meta, tracked.state, now, cacheable);
  if (cacheable && id < 0xfff0) entry.verdict_rule[side] = static_cast<std::uint16_t>(id + 2);
  return id;
}

Decision Firewall::decision_of(std::int32_t id, const PacketMeta& meta, ConnState state) const {
  const Policy& policy = policies_[static_cast<std::size_t>(id + 1)];
  Decision out;
  out.action = policy.action;
  out.rule = id;
  out.state = state;
  out.log = policy.log;
  if (policy.action != FirewallAction::kReject) return out;
  const bool silent = policy.reject_with == RejectWith::kTcpReset
                          ? meta.flow.protocol != Protocol::kTcp || (meta.tcp_flags & kTcpRst) != 0
                          : meta.quoted != nullptr;
  if (!silent) out.answer = policy.reject_with;
  return out;
}

Decision Firewall::evaluate(const PacketMeta& meta, Instant now) {
  if (!config_.enabled) return {};
  Point& at = point(meta.at);
  Conntrack::Tracked tracked;
  tracked.state = ConnState::kUntracked;
  if (config_.stateful) tracked = at.table.classify(meta, now);
  const std::int32_t id = rule_for(at, meta, tracked, now);
  HitCounter& hits = hits_[static_cast<std::size_t>(id + 1)];
  ++hits.packets;
  hits.bytes += meta.bytes;
  Decision out = decision_of(id, meta, tracked.state);
  if (out.action == FirewallAction::kAccept && config_.stateful && !at.table.confirm(meta, tracked, now)) {
    out.action = FirewallAction::kDrop;
    out.table_full = true;
    ++table_full_drops_;
  }
  return out;
}

void Firewall::prefetch(const FlowKey& flow) const {
  if (config_.enabled && config_.stateful && !points_.empty() && points_[0]) points_[0]->table.prefetch(flow);
}

bool Firewall::observe(const PacketMeta& meta, Instant now) {
  if (!config_.enabled || !config_.stateful) return true;
  Conntrack& table = point(meta.at).table;
  if (table.confirm(meta, table.classify(meta, now), now)) return true;
  ++table_full_drops_;
  return false;
}

// --- changes during a run -------------------------------------------------------------------------------------------

void Firewall::enable(bool on) {
  if (on && !config_.enabled) {
    for (auto& at : points_) {
      if (!at) continue;
      at->table.flush();
      for (RuleGate& gate : at->gates) gate.credit = gate.most;
    }
  }
  config_.enabled = on;
}

std::int32_t Firewall::insert(std::size_t position, RuleSpec rule) {
  const std::int32_t id = add_rule(std::move(rule));
  order_.insert(order_.begin() + static_cast<std::ptrdiff_t>(std::min(position, order_.size())), id);
  compile();
  if (!has_gate(rules_[static_cast<std::size_t>(id)])) return id;
  for (std::size_t i = 0; i < points_.size(); ++i) {
    if (points_[i]) add_gate(*points_[i], i == 0 ? HostId::none() : HostId{static_cast<std::uint32_t>(i - 1)}, id);
  }
  return id;
}

bool Firewall::erase(std::string_view rule_name) {
  const auto position = position_of(rule_name);
  if (!position) return false;
  order_.erase(order_.begin() + static_cast<std::ptrdiff_t>(*position));
  compile();
  return true;
}

void Firewall::flush_conntrack() {
  for (auto& at : points_) {
    if (at) at->table.flush();
  }
}

std::optional<std::size_t> Firewall::position_of(std::string_view name) const {
  const auto it = std::find_if(order_.begin(), order_.end(), [&](std::int32_t id) { return rule_name(id) == name; });
  if (it == order_.end()) return std::nullopt;
  return static_cast<std::size_t>(it - order_.begin());
}

const RuleSpec& Firewall::rule(std::int32_t id) const {
  DCSIM_CHECK(id >= 0 && static_cast<std::size_t>(id) < rules_.size());
  return rules_[static_cast<std::size_t>(id)];
}

std::string_view Firewall::rule_name(std::int32_t id) const {
  return id == kDefaultRule ? std::string_view("default") : std::string_view(rule(id).name);
}

HitCounter Firewall::hits(std::int32_t id) const {
  DCSIM_CHECK(id >= kDefaultRule && static_cast<std::size_t>(id + 1) < hits_.size());
  return hits_[static_cast<std::size_t>(id + 1)];
}

std::size_t Firewall::tracked(Instant now, HostId at) const {
  const std::size_t index = index_of(at);
  return index < points_.size() && points_[index] ? points_[index]->table.live(now) : 0;
}

// --- in words -------------------------------------------------------------------------------------------------------

namespace {

std::string text_of(const HostSet& set) {
  if (set.is_any()) return "any";
  std::string out = std::to_string(set.host_count()) + (set.host_count() == 1 ? " host" : " hosts");
  for (const Cidr& network : set.networks()) out += ", " + network.text();
  return out;
}

std::string text_of(const std::vector<PortRange>& ports) {
  std::string out;
  for (const PortRange& range : ports) out += (out.empty() ? "" : ", ") + range.text();
  return out;
}

std::string port_text(std::uint16_t port, Protocol protocol) {
  if (protocol == Protocol::kIcmp) return "none (icmp)";
  return PortRange{port, port, static_cast<std::uint8_t>(protocol)}.text();
}

std::string host_mismatch(const RuleSpec& rule, const PacketMeta& meta) {
  using Direction = RuleSpec::Direction;
  const bool turned = rule.direction == Direction::kIn;
  const HostSet& from = turned ? rule.to : rule.from;
  const HostSet& to = turned ? rule.from : rule.to;
  const std::string both = rule.direction == Direction::kBoth ? ", nor with from and to swapped" : "";
  if (!from.contains(meta.from_host, meta.flow.from)) {
    return "source " + meta.flow.from.text() + " is not in `from` (" + text_of(from) + ")" + both;
  }
  return "destination " + meta.flow.to.text() + " is not in `to` (" + text_of(to) + ")" + both;
}

// Why the parts of a rule that are the same for every such packet do not match; empty if they do.
std::string mismatch(const RuleSpec& rule, const PacketMeta& meta, ConnState state) {
  if (!rule.states.empty() && std::find(rule.states.begin(), rule.states.end(), state) == rule.states.end()) {
    std::string wanted;
    for (const ConnState one : rule.states) wanted += (wanted.empty() ? "" : ", ") + std::string(name_of(one));
    if (state == ConnState::kUntracked) return "wants ct state " + wanted + ", but the firewall is not stateful";
    return "ct state is " + std::string(name_of(state)) + ", not " + wanted;
  }
  if (rule.protocol && *rule.protocol != meta.flow.protocol) {
    return "protocol is " + std::string(name_of(meta.flow.protocol)) + ", not " + std::string(name_of(*rule.protocol));
  }
  if (!rule.ports.empty() && !in_ports(rule.ports, meta.flow.protocol, meta.flow.to_port)) {
    return "destination port " + port_text(meta.flow.to_port, meta.flow.protocol) + " is not in " + text_of(rule.ports);
  }
  if (!rule.source_ports.empty() && !in_ports(rule.source_ports, meta.flow.protocol, meta.flow.from_port)) {
    return "source port " + port_text(meta.flow.from_port, meta.flow.protocol) + " is not in " +
           text_of(rule.source_ports);
  }
  return hosts_match(rule, meta) ? std::string() : host_mismatch(rule, meta);
}

// The same for draw and tokens, on a copy of the gate.
std::string gate_mismatch(const RuleSpec& rule, RuleGate gate, Instant now) {
  if (rule.probability && !gate.draws.chance(*rule.probability)) {
    return "its probability (" + std::to_string(*rule.probability) + " in 10^9) would not hit this time";
  }
  if (!gate.take(now)) return "its limit " + rule.limit->text() + " is used up";
  return {};
}

std::string flow_text(const PacketMeta& meta, ConnState state) {
  const FlowKey& flow = meta.flow;
  std::string out;
  if (flow.protocol == Protocol::kIcmp) {
    out = flow.from.text() + " -> " + flow.to.text();
  } else {
    out = Endpoint{flow.from, flow.from_port}.text() + " -> " + Endpoint{flow.to, flow.to_port}.text();
  }
  out += " " + std::string(name_of(flow.protocol));
  if (meta.quoted) out += " error";
  return out + ", ct state " + std::string(name_of(state));
}

}  // namespace

std::string RateLimit::text() const {
  const std::string unit = per == 1_s ? "s" : per == 1_min ? "m" : per == 1_h ? "h" : std::to_string(per.ns) + "ns";
  return std::to_string(packets) + "/" + unit + " burst " + std::to_string(burst);
}

Explanation Firewall::explain(const PacketMeta& meta, Instant now) const {
  Explanation out;
  if (!config_.enabled) {
    out.flow = flow_text(meta, ConnState::kUntracked);
    out.steps.push_back({kDefaultRule, config_.name, true, "the firewall is disabled: accept"});
    return out;
  }
  const std::size_t index = index_of(meta.at);
  std::unique_ptr<Point> fresh;
  const Point* at = index < points_.size() ? points_[index].get() : nullptr;
  if (!at) {
    fresh = make_point(meta.at);
    at = fresh.get();
  }
  ConnState state = ConnState::kUntracked;
  if (config_.stateful) state = at->table.peek(meta, now).state;
  out.flow = flow_text(meta, state);
  for (const std::int32_t id : order_) {
    const RuleSpec& rule = rules_[static_cast<std::size_t>(id)];
    std::string why = mismatch(rule, meta, state);
    if (why.empty() && has_gate(rule)) why = gate_mismatch(rule, at->gates[static_cast<std::size_t>(id)], now);
    const bool matched = why.empty();
    out.steps.push_back(
        {id, rule.name, matched, matched ? "match: " + std::string(name_of(rule.action)) : "no match: " + why});
    if (!matched) continue;
    out.decision = decision_of(id, meta, state);
    return out;
  }
  out.decision = decision_of(kDefaultRule, meta, state);
  out.steps.push_back(
      {kDefaultRule, "default", true, "no rule matched: default " + std::string(name_of(config_.default_action))});
  return out;
}

}  // namespace dcsim::net
