// Datacenters, agents and their addresses.
#include <fmt/format.h>

#include <algorithm>

#include "scenario/agent_keys.h"
#include "scenario/topology_reader.h"

namespace dcsim::scenario {

namespace {

/// Consul: agent/config/builder.go, datacenter names.
bool legal_datacenter(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

/// What is wrong with an agent's name pattern, or nothing.
std::string pattern_problem(std::string_view pattern) {
  std::string_view rest = pattern;
  while (!rest.empty()) {
    if (rest.substr(0, 3) == "{n}") {
      rest.remove_prefix(3);
      continue;
    }
    const char c = rest[0];
    const bool fine =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!fine)
      return c == '{' || c == '}' ? "braces only stand around n: `{n}`"
                                  : fmt::format("`{}` cannot be part of it", std::string_view(rest.data(), 1));
    rest.remove_prefix(1);
  }
  return {};
}

std::string numbered(std::string_view pattern, std::uint32_t n) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size();) {
    if (pattern.substr(i, 3) == "{n}") {
      out += std::to_string(n);
      i += 3;
    } else {
      out += pattern[i++];
    }
  }
  return out;
}

bool host_of(const Cidr& network, std::uint32_t address) {
  return network.contains(address) && address >= network.first_host() && address <= network.last_host();
}

}  // namespace

void TopologyReader::read_datacenters(MapReader& document) {
  const Entry* entry = document.raw("datacenters", ValueType::kMapOf);
  if (entry == nullptr) return;
  if (!entry->value.is(Node::Kind::kMap))
    return r_.wrong_type(entry->value, document.what("datacenters"), "a map of datacenters",
                         "write dc1: { agents: [...] }");
  const std::vector<Entry> entries = r_.entries(entry->value, "datacenters");
  default_config_kind_ = prevailing_kind(entry->value);
  if (entries.empty()) r_.error(code::kMissingKey, entry->key_span(), "a topology needs a datacenter");
  for (const Entry& dc : entries) {
    if (!legal_datacenter(dc.name)) {
      r_.error(code::kBadValue, dc.key_span(),
               fmt::format("datacenter can only contain lowercase alphanumeric, - or _ characters. received: \"{}\"",
                           dc.name));
    }
    const auto index = static_cast<std::uint32_t>(t_->datacenters.size());
    t_->datacenters.push_back({std::string(dc.name), dc.key_span()});
    MapReader reader(r_, *topology_keys().find("datacenters")->table, dc.value);
    if (const Entry* agents = reader.raw("agents", ValueType::kListOf)) {
      const std::vector<Value> items = r_.list(agents->value, reader.what("agents"), "agents");
      if (agents->value.is(Node::Kind::kList) && items.empty())
        r_.error(code::kMissingKey, agents->key_span(), fmt::format("datacenter `{}` has no agents", dc.name));
      for (const Value& item : items) read_group(index, item);
    }
    reader.done();
  }
}

/// Whose keys `defaults.config` holds: Serf's if there is nothing but Serf agents.
AgentKind TopologyReader::prevailing_kind(const Value& datacenters) {
  bool serf = false;
  const auto child = [&](const Value& map, std::string_view name) -> std::optional<Value> {
    if (!map.is(Node::Kind::kMap)) return std::nullopt;
    Diagnostics unheard;
    Reading quiet(unheard, r_.scope());
    for (const Entry& e : quiet.entries(map, name)) {
      if (e.name == name) return e.value;
    }
    return std::nullopt;
  };
  for (std::size_t i = 1; i < datacenters.node->children.size(); i += 2) {
    const auto agents = child(r_.follow(datacenters.node->children[i]), "agents");
    if (!agents || !agents->is(Node::Kind::kList)) continue;
    for (const Node* item : agents->node->children) {
      const auto kind = child(r_.follow(item), "kind");
      if (!kind || !kind->scalar() || kind->node->text != "serf") return AgentKind::kConsul;
      serf = true;
    }
  }
  return serf ? AgentKind::kSerf : AgentKind::kConsul;
}

void TopologyReader::read_group(std::uint32_t datacenter, const Value& value) {
  const KeyTable& table = *topology_keys().find("datacenters")->table->find("agents")->table;
  MapReader reader(r_, table, value);
  AgentGroup group;
  group.datacenter = datacenter;
  group.at = value.span();
  if (const auto name = reader.text("name", ValueType::kName)) {
    group.pattern = name->text;
    group.at = name->at;
    const std::string problem = pattern_problem(group.pattern);
    if (group.pattern == "all")
      r_.error(code::kBadValue, name->at, "`all` is no name for an agent: it selects every agent");
    if (!problem.empty())
      r_.error(code::kBadValue, name->at, fmt::format("`{}` is no name for an agent: {}", group.pattern, problem), {},
               "letters, digits, `-`, `_` and `{n}`");
  }
  if (const auto kind = reader.choice("kind")) group.kind = static_cast<AgentKind>(*kind);
  const auto count = reader.integer("count");
  std::int64_t agents = count.value_or(1);
  bool placed = !t_->zones.empty();
  bool in_zone = false;
  if (const auto zone = reader.text("zone", ValueType::kName)) {
    const auto index = t_->zone_index(zone->text);
    in_zone = index.has_value();
    group.zone = index.value_or(0);
    std::vector<std::string_view> names;
    for (const Zone& z : t_->zones) names.push_back(z.name);
    if (!index)
      r_.error(code::kUndefined, zone->at, fmt::format("unknown zone `{}`", zone->text),
               did_you_mean(zone->text, names), "zones: " + listed(names));
  }
  const auto first = reader.ipv4("first_address");
  const auto single = reader.ipv4("address");
  group.labels = reader.labels("labels");
  for (const auto& [label, text] : group.labels) {
    if (label == "zone" || label == "dc" || label == "kind" || label == "name" || label == "group") {
      r_.error(code::kConflict, reader.key_span("labels"),
               fmt::format("`{}` cannot be a label: every agent has it by itself", label));
    }
  }
  group.config = read_config(reader, group.kind);
  reader.done();
  if (reader.has("address") && reader.has("first_address")) {
    r_.error(code::kConflict, reader.key_span("address"), "`address` and `first_address` exclude each other", {},
             "`address` is for a single agent");
  }
  if (reader.has("address") && agents > 1) {
    r_.error(code::kConflict, reader.key_span("address"),
             fmt::format("`address` is for a single agent, but `count` is {}", agents),
             "did you mean `first_address`?");
  }
  if (agents > 1 && !group.pattern.empty() && group.pattern.find("{n}") == std::string::npos) {
    r_.error(code::kConflict, group.at, fmt::format("{} agents would all be called `{}`", agents, group.pattern),
             fmt::format("did you mean `{}-{{n}}`?", group.pattern));
    agents = 1;
  }
  // Agents with mistakes exist all the same, so that what names them is not a mistake too.
  if (placed && !group.pattern.empty())
    expand(reader, std::move(group), agents, in_zone ? (first ? first : single) : std::nullopt, in_zone);
}

std::shared_ptr<const ConfigValue> TopologyReader::read_config(MapReader& reader, AgentKind kind) {
  ConfigValue config;
  config.kind = ConfigValue::Kind::kMap;
  config.at = reader.map().span();
  if (default_config_ && kind == default_config_kind_) {
    check_agent_keys(*default_config_, kind, r_, noted_);  // what it mends it reports but once
    config = merged(config, *default_config_);
  }
  if (const auto path = reader.text("config_file", ValueType::kFile)) {
    const std::string resolved = files_.resolve(path->text, path->at.file);
    const std::size_t before = r_.out().size();
    const YamlFile* file = files_.yaml(resolved, path->at, r_.out());
    if (file != nullptr && r_.out().size() == before) {
      if (file->documents.size() != 1) {
        r_.error(code::kBadValue, path->at, fmt::format("`{}` does not hold one configuration", resolved), {},
                 "JSON or YAML with Consul's keys");
      } else if (const Value root = r_.follow(file->documents.front()); !root.is(Node::Kind::kMap)) {
        r_.wrong_type(root, "a configuration", "a map", "JSON or YAML with Consul's keys; HCL is not read");
      } else {
        ConfigValue given = r_.config(root);
        check_agent_keys(given, kind, r_, noted_);
        config = merged(config, given);
      }
    }
  }
  if (const Entry* entry = reader.raw("config", ValueType::kConfig)) {
    if (entry->value.is(Node::Kind::kMap)) {
      ConfigValue given = r_.config(entry->value);
      check_agent_keys(given, kind, r_, noted_);
      config = merged(config, given);
    } else {
      r_.wrong_type(entry->value, reader.what("config"), "a map");
    }
  } else if (!reader.has("config_file") && !reader.has("config") && !reader.misspelt("config") &&
             !reader.misspelt("config_file") && reader.usable()) {
    r_.error(code::kMissingKey, reader.map().span(), "missing key `config` in agent", {},
             "config: Consul's (or Serf's) own configuration keys; {} if there are none");
  }
  return std::make_shared<const ConfigValue>(std::move(config));
}

void TopologyReader::expand(MapReader& reader, AgentGroup group, std::int64_t count, std::optional<Address> first,
                            bool in_zone) {
  if (static_cast<std::uint64_t>(count) > options_.max_agents - std::min(options_.max_agents, t_->agents.size())) {
    r_.error(code::kLimit, reader.has("count") ? reader.entry("count")->value.span() : group.at,
             fmt::format("more than {} agents", options_.max_agents));
    return;
  }
  const Zone& zone = t_->zones[group.zone];
  const std::string& dc = t_->datacenters[group.datacenter].name;
  group.count = static_cast<std::uint32_t>(count);
  const auto index = static_cast<std::uint32_t>(t_->groups.size());
  const SourceSpan address_at = reader.entry("first_address") != nullptr ? reader.entry("first_address")->value.span()
                                : reader.entry("address") != nullptr     ? reader.entry("address")->value.span()
                                                                         : group.at;
  bool reported = false;
  bool repeated = false;
  for (std::uint32_t n = 1; n <= group.count; ++n) {
    Agent agent;
    agent.name = numbered(group.pattern, n);
    agent.full_name = agent.name + "." + dc;
    agent.group = index;
    agent.number = n;
    agent.zone = group.zone;
    agent.datacenter = group.datacenter;
    agent.kind = group.kind;
    if (!agent_names_.insert(agent.full_name).second && !repeated) {
      r_.error(code::kDuplicateName, group.at, fmt::format("a second agent is called `{}`", agent.full_name));
      repeated = true;
    }
    if (agent.name.size() > 63 && n == 1)
      r_.warn(code::kBadValue, group.at,
              fmt::format("`{}` is longer than the 63 characters of a DNS label", agent.name));
    t_->agents.push_back(std::move(agent));
    placed_.push_back(first.has_value() || !in_zone);
    if (first && zone.cidr.bits >= 0) {
      const std::uint64_t address = std::uint64_t{first->v4_value()} + n - 1;
      if (address > 0xffffffffu) break;
      place(static_cast<std::uint32_t>(t_->agents.size() - 1), static_cast<std::uint32_t>(address), address_at,
            reported);
    }
  }
  t_->groups.push_back(std::move(group));
}

void TopologyReader::place(std::uint32_t index, std::uint32_t address, const SourceSpan& at, bool& reported) {
  Agent& agent = t_->agents[index];
  const Zone& zone = t_->zones[agent.zone];
  agent.address = Address::v4(address);
  if (reported) return;
  if (!host_of(zone.cidr, address)) {
    reported = true;
    const bool inside = zone.cidr.contains(address);
    r_.error(code::kAddress, at,
             inside ? fmt::format("{} of `{}` is the network or broadcast address of zone `{}`", agent.address.text(),
                                  agent.full_name, zone.name)
                    : fmt::format("{} of `{}` is outside zone `{}` ({})", agent.address.text(), agent.full_name,
                                  zone.name, zone.cidr.text()),
             {},
             fmt::format("hosts of `{}` are {} to {}", zone.name, Address::v4(zone.cidr.first_host()).text(),
                         Address::v4(zone.cidr.last_host()).text()));
    return;
  }
  const auto [it, fresh] = taken_.emplace(address, fmt::format("`{}`", agent.full_name));
  if (fresh) return;
  reported = true;
  r_.error(code::kAddress, at,
           fmt::format("{} of `{}` already belongs to {}", agent.address.text(), agent.full_name, it->second));
}

/// Agents without an address, in file order, take the lowest free host address of their zone.
void TopologyReader::allot() {
  std::vector<std::uint64_t> next(t_->zones.size());
  std::vector<bool> reported(t_->zones.size(), false);
  for (std::size_t z = 0; z < next.size(); ++z)
    next[z] = t_->zones[z].cidr.bits >= 0 ? t_->zones[z].cidr.first_host() : 0;
  for (std::size_t i = 0; i < t_->agents.size(); ++i) {
    Agent& agent = t_->agents[i];
    const Zone& zone = t_->zones[agent.zone];
    if (placed_[i] || zone.cidr.bits < 0) continue;
    std::uint64_t& cursor = next[agent.zone];
    while (cursor <= zone.cidr.last_host() && taken_.count(static_cast<std::uint32_t>(cursor)) != 0) ++cursor;
    if (cursor > zone.cidr.last_host()) {
      if (!reported[agent.zone]) {
        const std::uint64_t hosts = std::uint64_t{zone.cidr.last_host()} - zone.cidr.first_host() + 1;
        r_.error(code::kAddress, t_->groups[agent.group].at,
                 fmt::format("zone `{}` ({}) has no free address left for `{}`", zone.name, zone.cidr.text(),
                             agent.full_name),
                 {}, fmt::format("it holds {} hosts: widen its cidr at line {}", hosts, zone.cidr_at.line));
      }
      reported[agent.zone] = true;
      continue;
    }
    agent.address = Address::v4(static_cast<std::uint32_t>(cursor));
    taken_.emplace(static_cast<std::uint32_t>(cursor), std::string());
    ++cursor;
  }
}

}  // namespace dcsim::scenario
