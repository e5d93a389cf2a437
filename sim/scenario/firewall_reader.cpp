// Services, firewalls and their rules.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "scenario/topology_reader.h"

namespace dcsim::scenario {

namespace {

// Linux nf_conntrack sysctls without their prefix.
constexpr std::array<std::string_view, 11> kTimeouts = {"udp_timeout",
                                                        "udp_timeout_stream",
                                                        "tcp_timeout_syn_sent",
                                                        "tcp_timeout_syn_recv",
                                                        "tcp_timeout_established",
                                                        "tcp_timeout_fin_wait",
                                                        "tcp_timeout_close_wait",
                                                        "tcp_timeout_last_ack",
                                                        "tcp_timeout_time_wait",
                                                        "tcp_timeout_close",
                                                        "tcp_timeout_unacknowledged"};

/// `tcp_established_timeout` is nftables' order of words for `tcp_timeout_established`.
std::string timeout_key(std::string_view name) {
  constexpr std::string_view kPrefix = "nf_conntrack_";
  if (name.substr(0, kPrefix.size()) == kPrefix) name.remove_prefix(kPrefix.size());
  constexpr std::string_view kTail = "_timeout";
  if (name != "udp_timeout" && name.size() > kTail.size() + 4 && name.substr(name.size() - kTail.size()) == kTail) {
    return fmt::format("{}timeout_{}", name.substr(0, 4), name.substr(4, name.size() - 4 - kTail.size()));
  }
  return std::string(name);
}

constexpr std::size_t kMaxPorts = 1024;

/// Whether a rule can see nothing but UDP or ICMP.
bool without_tcp(const FirewallRule& rule) {
  if (rule.protocol != Protocol::kAny) return rule.protocol != Protocol::kTcp;
  const auto none = [](const std::vector<PortRange>& ports) {
    return !ports.empty() && std::none_of(ports.begin(), ports.end(), [](const PortRange& p) {
      return p.protocol == Protocol::kTcp || p.protocol == Protocol::kAny;
    });
  };
  return none(rule.ports) || none(rule.source_ports);
}

bool narrower_than(Protocol wanted, const std::vector<PortRange>& ports) {
  return !ports.empty() && wanted != Protocol::kAny &&
         std::none_of(ports.begin(), ports.end(),
                      [&](const PortRange& p) { return p.protocol == wanted || p.protocol == Protocol::kAny; });
}

}  // namespace

std::vector<PortRange> read_ports(Reading& r, const Value& value, const std::string& what, const Topology& topology) {
  r.check_room();
  std::vector<PortRange> out;
  bool full = false;
  const auto add = [&](const PortRange& range) {
    if (full || std::find(out.begin(), out.end(), range) != out.end()) return;
    full = out.size() >= kMaxPorts;
    if (full)
      r.error(code::kLimit, value.span(), fmt::format("{} has more than {} port ranges", what, kMaxPorts));
    else
      out.push_back(range);
  };
  const std::vector<Value> items = r.list(value, what, "ports");
  if (value.is(Node::Kind::kList) && items.empty()) r.error(code::kBadValue, value.span(), what + " is an empty list");
  for (const Value& item : items) {
    const auto content = r.quantity(item, what, "8301/udp");
    if (!content) continue;
    const std::string& text = content->text;
    if (!text.empty() && text.find('/') == std::string::npos && !(text[0] >= '0' && text[0] <= '9') && text[0] != '-') {
      if (const Service* service = topology.service(text)) {
        for (const PortRange& range : service->ports) add(range);
        continue;
      }
      std::vector<std::string_view> names;
      for (const Service& s : topology.services) names.push_back(s.name);
      r.error(code::kUndefined, content->at, fmt::format("unknown service `{}`", text), did_you_mean(text, names),
              names.empty() ? "no `services` are defined; ports are written 8301/udp" : "services: " + listed(names));
      continue;
    }
    const auto range = parse_ports(text);
    if (range)
      add(*range.value);
    else
      r.bad_unit(item, range.error, what, "8301/udp, 8300-8302/tcp");
  }
  return out;
}

void TopologyReader::read_services(MapReader& document) {
  const Entry* entry = document.raw("services", ValueType::kPortsMap);
  if (entry == nullptr) return;
  if (!entry->value.is(Node::Kind::kMap))
    return r_.wrong_type(entry->value, document.what("services"), "a map of port lists",
                         "write NAME: [8301/tcp, 8301/udp]");
  for (const Entry& service : r_.entries(entry->value, "services")) {
    const char first = service.name.empty() ? '0' : service.name[0];
    if ((first >= '0' && first <= '9') || first == '-' || service.name.find('/') != std::string_view::npos) {
      r_.error(code::kBadValue, service.key_span(),
               fmt::format("`{}` is no name for a service: it looks like a port", service.name));
    }
    std::vector<PortRange> ports = read_ports(r_, service.value, fmt::format("service `{}`", service.name), *t_);
    t_->add_service({std::string(service.name), service.key_span(), std::move(ports)});
  }
}

FirewallRule TopologyReader::read_rule(MapReader& reader, const Topology& topology) {
  Reading& r = reader.reading();
  FirewallRule rule;
  rule.at = reader.map().span();
  if (const auto name = reader.text("name", ValueType::kName)) {
    rule.name = name->text;
    rule.at = name->at;
    if (rule.name == "default")
      r.error(code::kConflict, name->at,
              "a rule cannot be called `default`: that is the firewall's default in every series");
  }
  rule.from = reader.selector("from");
  rule.to = reader.selector("to");
  for (const auto& side : {&rule.from, &rule.to}) {
    r.check_room();
    if (!*side) continue;
    check(**side, topology, r.out(), true);
    if ((*side)->pick.kind != Pick::Kind::kAll)
      r.error(code::kSelector, (*side)->at, "`pick` has no meaning in a firewall rule");
  }
  if (const auto direction = reader.choice("direction"))
    rule.direction = static_cast<FirewallRule::Direction>(*direction);
  if (const Entry* ports = reader.raw("ports", ValueType::kPorts))
    rule.ports = read_ports(r, ports->value, reader.what("ports"), topology);
  if (const Entry* ports = reader.raw("source_ports", ValueType::kPorts))
    rule.source_ports = read_ports(r, ports->value, reader.what("source_ports"), topology);
  constexpr Protocol kByChoice[] = {Protocol::kTcp, Protocol::kUdp, Protocol::kIcmp, Protocol::kAny};
  if (const auto protocol = reader.choice("protocol")) rule.protocol = kByChoice[*protocol];
  if (const Entry* states = reader.raw("state", ValueType::kEnumList)) {
    const Key* key = topology_keys().find("firewalls")->table->find("rules")->table->find("state");
    const std::vector<Value> items = r.list(states->value, reader.what("state"), "states");
    if (states->value.is(Node::Kind::kList) && items.empty())
      r.error(code::kBadValue, states->value.span(), reader.what("state") + " is an empty list", {}, "leave it out for any state");
    for (const Value& item : items) {
      if (const auto state = r.choice(item, reader.what("state"), key->choices))
        rule.states = static_cast<std::uint8_t>(rule.states | (1u << *state));
    }
  }
  if (const Entry* limit = reader.raw("limit", ValueType::kRate)) {
    if (const auto content = r.quantity(limit->value, reader.what("limit"), "10/s")) {
      const auto rate = parse_rate(content->text);
      if (rate)
        rule.limit = *rate.value;
      else
        r.bad_unit(limit->value, rate.error, reader.what("limit"), "10/s, 5/m");
    }
  }
  rule.probability = reader.percent("probability");
  if (const auto action = reader.choice("action")) rule.action = static_cast<Verdict>(*action);
  if (const auto with = reader.choice("reject_with")) {
    rule.reject_with = static_cast<RejectWith>(*with);
    if (rule.reject_with == RejectWith::kTcpReset && rule.action == Verdict::kReject && without_tcp(rule))
      r.error(code::kConflict, reader.key_span("reject_with"), "a tcp-reset answers TCP, which this rule never matches");
    if (rule.action != Verdict::kReject && reader.has("action"))
      r.warn(code::kNoEffect, reader.key_span("reject_with"), "`reject_with` has no effect unless `action` is reject");
  }
  rule.log = reader.boolean("log").value_or(false);
  if (const auto comment = reader.text("comment")) rule.comment = comment->text;
  if (narrower_than(rule.protocol, rule.ports) || narrower_than(rule.protocol, rule.source_ports)) {
    r.warn(code::kNoEffect, reader.key_span("protocol"),
           fmt::format("this rule never matches: none of its ports is {}", name_of(rule.protocol)));
  }
  return rule;
}

void TopologyReader::read_firewall(const Value& value, std::size_t number) {
  const KeyTable& table = *topology_keys().find("firewalls")->table;
  MapReader reader(r_, table, value);
  Firewall fw;
  fw.name = fmt::format("firewall-{}", number);
  fw.at = value.span();
  if (const auto name = reader.text("name", ValueType::kName)) {
    fw.name = name->text;
    fw.at = place_of(value, name->at);
    const auto [it, fresh] = firewall_names_.emplace(fw.name, fw.at);
    if (!fresh)
      r_.error(code::kDuplicateName, fw.at, fmt::format("a second firewall is called `{}`", fw.name),
               fmt::format("first at line {}", it->second.line));
  }
  if (const auto hook = reader.choice("hook")) fw.hook = static_cast<Firewall::Hook>(*hook);
  fw.agents = reader.selector("agents");
  if (fw.agents) {
    check(*fw.agents, *t_, r_.out());
    if (fw.hook == Firewall::Hook::kForward)
      r_.warn(code::kNoEffect, reader.key_span("agents"), "`agents` has no effect on a firewall with `hook: forward`");
    if (fw.agents->pick.kind != Pick::Kind::kAll)
      r_.error(code::kSelector, fw.agents->at, "`pick` has no meaning for a firewall");
  }
  fw.enabled = reader.boolean("enabled").value_or(true);
  fw.stateful = reader.boolean("stateful").value_or(false);
  if (const Entry* timeouts = reader.raw("conntrack", ValueType::kDurationMap)) {
    if (!timeouts->value.is(Node::Kind::kMap))
      r_.wrong_type(timeouts->value, reader.what("conntrack"), "a map of timeouts");
    else {
      const std::vector<std::string_view> names(kTimeouts.begin(), kTimeouts.end());
      for (const Entry& timeout : r_.entries(timeouts->value, "conntrack")) {
        const std::string key = timeout_key(timeout.name);
        const bool modelled = std::find(names.begin(), names.end(), key) != names.end();
        if (!modelled && (key == "icmp_timeout" || key == "generic_timeout" || key == "tcp_timeout_max_retrans")) {
          r_.warn(code::kIgnoredKey, timeout.key_span(),
                  fmt::format("conntrack's `{}` is not modelled and is ignored", timeout.name));
        } else if (!modelled) {
          r_.error(code::kUnknownKey, timeout.key_span(), fmt::format("unknown key `{}` in conntrack", timeout.name),
                   did_you_mean(key, names), "allowed keys: " + listed(names));
        }
        const auto d = r_.duration(timeout.value, fmt::format("`{}` in conntrack", timeout.name));
        if (d && modelled) fw.conntrack.emplace_back(std::string(timeout.name), *d);
      }
    }
    if (!fw.stateful)
      r_.warn(code::kNoEffect, timeouts->key_span(), "`conntrack` has no effect without `stateful: true`");
  }
  if (const auto verdict = reader.choice("default")) fw.default_verdict = static_cast<Verdict>(*verdict);
  if (const auto with = reader.choice("reject_with")) {
    fw.reject_with = static_cast<RejectWith>(*with);
    if (fw.default_verdict != Verdict::kReject)
      r_.warn(code::kNoEffect, reader.key_span("reject_with"),
              "`reject_with` has no effect unless `default` is reject");
  }
  fw.log_default = reader.boolean("log_default").value_or(false);
  if (const Entry* import = reader.raw("import", ValueType::kMap)) {
    const KeyTable& imports = *table.find("import")->table;
    MapReader sources(r_, imports, import->value);
    for (const Key& key : imports.keys) sources.text(key.name, ValueType::kFile);
    sources.done();
    r_.error(code::kUnsupported, import->key_span(), "`import` of firewall rules is not supported yet", {},
             "write the rules out");
  }
  if (const Entry* rules = reader.raw("rules", ValueType::kListOf)) {
    std::map<std::string, SourceSpan> names;
    for (const Value& item : r_.list(rules->value, reader.what("rules"), "rules")) {
      MapReader rule_reader(r_, *table.find("rules")->table, item);
      FirewallRule rule = read_rule(rule_reader, *t_);
      rule_reader.done();
      if (rule.name.empty()) rule.name = fmt::format("rule-{}", fw.rules.size() + 1);
      const auto [it, fresh] = names.emplace(rule.name, rule.at);
      if (!fresh)
        r_.error(code::kDuplicateName, rule.at, fmt::format("a second rule of `{}` is called `{}`", fw.name, rule.name),
                 fmt::format("first at line {}", it->second.line));
      if (rule.states != 0 && !fw.stateful) {
        r_.warn(code::kNoEffect, rule_reader.key_span("state"),
                fmt::format("this rule never matches: `{}` is not `stateful: true`", fw.name));
      }
      fw.rules.push_back(std::move(rule));
    }
  }
  reader.done();
  t_->firewalls.push_back(std::move(fw));
}

void TopologyReader::read_firewalls(MapReader& document) {
  const Entry* entry = document.raw("firewalls", ValueType::kListOf);
  if (entry == nullptr) return;
  std::size_t number = 0;
  for (const Value& item : r_.list(entry->value, document.what("firewalls"), "firewalls"))
    read_firewall(item, ++number);
}

}  // namespace dcsim::scenario
