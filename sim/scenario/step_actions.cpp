// What a step does to the network: firewall, partition, impair.
#include <fmt/format.h>

#include <algorithm>

#include "scenario/scenario_reader.h"
#include "scenario/topology_reader.h"

namespace dcsim::scenario {

namespace {
const KeyTable& table_of(std::string_view step_key) {
  return *scenario_keys().find("timeline")->table->find(step_key)->table;
}
}  // namespace

bool ScenarioReader::add_rule(const std::string& firewall, const std::string& rule) {
  if (!rules_[firewall].insert(rule).second) return false;
  rule_owners_[rule].push_back(firewall);
  return true;
}

std::string ScenarioReader::known_firewall(const SpannedText& name) {
  if (topology_->firewall(name.text) != nullptr) return name.text;
  std::vector<std::string_view> names;
  for (const Firewall& fw : topology_->firewalls) names.push_back(fw.name);
  r_.error(code::kUndefined, name.at, fmt::format("unknown firewall `{}`", name.text), did_you_mean(name.text, names),
           names.empty() ? "the topology has no firewalls" : "firewalls: " + listed(names));
  return {};
}

FirewallAction ScenarioReader::firewall_action(const Value& value) {
  MapReader reader(r_, table_of("firewall"), value);
  FirewallAction action;
  action.at = value.span();
  std::vector<std::string_view> given;
  for (const std::string_view key : {"enable", "disable", "insert", "delete", "flush_conntrack"}) {
    if (reader.has(key)) given.push_back(key);
  }
  if (const auto name = reader.text("enable", ValueType::kName)) {
    action.kind = FirewallAction::Kind::kEnable;
    action.firewall = known_firewall(*name);
  }
  if (const auto name = reader.text("disable", ValueType::kName)) {
    action.kind = FirewallAction::Kind::kDisable;
    action.firewall = known_firewall(*name);
  }
  if (const Entry* entry = reader.raw("insert", ValueType::kMap)) {
    action.kind = FirewallAction::Kind::kInsert;
    insert_rule(*entry, action);
  }
  if (const auto name = reader.text("delete", ValueType::kName)) {
    action.kind = FirewallAction::Kind::kDelete;
    find_rule(*name, action);
  }
  if (const auto flush = reader.boolean("flush_conntrack")) {
    action.kind = FirewallAction::Kind::kFlushConntrack;
    if (!*flush)
      r_.error(code::kBadValue, reader.entry("flush_conntrack")->value.span(), "`flush_conntrack` can only be true", {},
               "remove it if nothing is to be flushed");
  }
  reader.done();
  if (reader.usable() && given.empty()) {
    r_.error(code::kMissingKey, value.span(),
             "a firewall step needs enable, disable, insert, delete or flush_conntrack");
  }
  for (std::size_t i = 1; i < given.size(); ++i) {
    r_.error(code::kConflict, reader.key_span(given[i]),
             fmt::format("a firewall step does one thing, but this one has `{}` and `{}`", given[0], given[i]), {},
             "write two steps");
  }
  return action;
}

void ScenarioReader::insert_rule(const Entry& entry, FirewallAction& action) {
  MapReader reader(r_, *table_of("firewall").find("insert")->table, entry.value);
  FirewallRule rule = TopologyReader::read_rule(reader, *topology_);
  if (const auto name = reader.text("firewall", ValueType::kName))
    action.firewall = known_firewall(*name);
  else if (topology_->firewalls.size() == 1)
    action.firewall = topology_->firewalls.front().name;
  else if (!reader.has("firewall") && reader.usable())
    r_.error(code::kMissingKey, entry.key_span(), "missing key `firewall` in insert: which one?");
  const auto position = reader.integer("position");
  if (position) action.index = static_cast<std::uint32_t>(*position);
  const auto neighbour = [&](std::string_view key, std::string& out) {
    const auto name = reader.text(key, ValueType::kName);
    if (!name) return;
    out = name->text;
    const auto& known = rules_[action.firewall];
    if (action.firewall.empty() || known.count(name->text) != 0) return;
    const std::vector<std::string_view> names(known.begin(), known.end());
    r_.error(code::kUndefined, name->at, fmt::format("unknown rule `{}` of firewall `{}`", name->text, action.firewall),
             did_you_mean(name->text, names), "rules: " + listed(names));
  };
  neighbour("before", action.before);
  neighbour("after", action.after);
  reader.done();
  const int places = (reader.has("position") ? 1 : 0) + (reader.has("before") ? 1 : 0) + (reader.has("after") ? 1 : 0);
  if (places > 1)
    r_.error(code::kConflict, entry.key_span(),
             "`position`, `before` and `after` of an inserted rule exclude one another");
  if (rule.name.empty()) {
    const Firewall* firewall = topology_->firewall(action.firewall);
    const auto inserted = std::count_if(rule_changes_.begin(), rule_changes_.end(), [&](const RuleChange& c) {
      return c.inserts && c.firewall == action.firewall;
    });
    const std::size_t known = firewall != nullptr ? firewall->rules.size() : 0;
    rule.name = fmt::format("inserted-{}", known + static_cast<std::size_t>(inserted) + 1);
  }
  if (!action.firewall.empty()) {
    add_rule(action.firewall, rule.name);
    rule_changes_.push_back({action.firewall, rule.name, step_, true, rule.at});
  }
  action.rule = std::move(rule);
}

/// `FIREWALL/RULE`, or a rule's name that only one firewall has.
void ScenarioReader::find_rule(const SpannedText& text, FirewallAction& action) {
  const std::size_t slash = text.text.find('/');
  if (slash != std::string::npos && topology_->firewall(text.view().substr(0, slash)) != nullptr) {
    action.firewall = text.text.substr(0, slash);
    action.rule_name = text.text.substr(slash + 1);
    const auto& known = rules_[action.firewall];
    if (known.count(action.rule_name) != 0) {
      rule_changes_.push_back({action.firewall, action.rule_name, step_, false, action.at});
      return;
    }
    const std::vector<std::string_view> names(known.begin(), known.end());
    r_.error(code::kUndefined, text.span(slash + 1, text.text.size()),
             fmt::format("unknown rule `{}` of firewall `{}`", action.rule_name, action.firewall),
             did_you_mean(action.rule_name, names), "rules: " + listed(names));
    return;
  }
  action.rule_name = text.text;
  const auto owned = rule_owners_.find(text.text);
  const std::vector<std::string> owners = owned == rule_owners_.end() ? std::vector<std::string>() : owned->second;
  if (owners.empty()) {
    std::vector<std::string_view> names;
    for (const auto& [rule, firewalls] : rule_owners_) names.push_back(rule);
    std::sort(names.begin(), names.end());
    r_.error(code::kUndefined, text.at, fmt::format("unknown firewall rule `{}`", text.text),
             did_you_mean(text.text, names), "rules: " + listed(names));
  } else if (owners.size() > 1) {
    r_.error(code::kUndefined, text.at, fmt::format("{} firewalls have a rule called `{}`", owners.size(), text.text),
             fmt::format("did you mean `{}/{}`?", owners[0], text.text));
  } else {
    action.firewall = owners.front();
    rule_changes_.push_back({action.firewall, action.rule_name, step_, false, action.at});
  }
}

PartitionAction ScenarioReader::partition_action(const Value& value) {
  MapReader reader(r_, table_of("partition"), value);
  PartitionAction action;
  if (const Entry* between = reader.raw("between", ValueType::kSelectorList)) {
    const std::vector<Value> sides = r_.list(between->value, reader.what("between"), "zones or selectors");
    for (const Value& side : sides) {
      const auto selector = r_.selector(side, reader.what("between"));
      check_selector(selector);
      if (selector) action.between.push_back(*selector);
    }
    if (between->value.is(Node::Kind::kList) && sides.size() < 2) {
      r_.error(code::kBadValue, between->value.span(),
               fmt::format("a partition has two or more sides, not {}", sides.size()));
    }
    check_sides(action.between);
  }
  if (const auto mode = reader.choice("mode")) action.mode = static_cast<PartitionAction::Mode>(*mode);
  if (const auto direction = reader.choice("direction"))
    action.direction = static_cast<PartitionAction::Direction>(*direction);
  action.duration = reader.lasting("duration");
  reader.done();
  return action;
}

/// Nobody stands on two sides of a cut. Sides with `pick` take their agents from the others when the step runs.
void ScenarioReader::check_sides(const std::vector<Selector>& sides) {
  std::unordered_map<std::uint32_t, std::size_t> side_of;
  for (std::size_t i = 0; i < sides.size(); ++i) {
    if (sides[i].pick.kind != Pick::Kind::kAll) continue;
    for (const std::uint32_t agent : matching(sides[i], *topology_)) {
      const auto [it, fresh] = side_of.emplace(agent, i);
      if (fresh) continue;
      r_.error(code::kConflict, sides[i].at,
               fmt::format("`{}` would stand on two sides of this partition: `{}` and `{}`",
                           topology_->agents[agent].full_name, sides[it->second].text, sides[i].text));
      return;
    }
  }
}

ImpairAction ScenarioReader::impair_action(const Value& value) {
  MapReader reader(r_, table_of("impair"), value);
  ImpairAction action;
  if (const auto link = reader.text("link")) impair_link(*link, action);
  action.overrides = read_link_overrides(reader);
  action.down = reader.boolean("down").value_or(false);
  action.duration = reader.lasting("duration");
  reader.done();
  if (action.overrides.distribution == Distribution::kTrace) {
    r_.error(code::kUnsupported, reader.key_span("distribution"), "`distribution: trace` is not supported yet", {},
             "constant, uniform, normal, lognormal or pareto");
  }
  bool anything = false;
  for (const Key& key : table_of("impair").keys)
    anything = anything || (reader.has(key.name) && key.name != "link" && key.name != "duration");
  if (reader.usable() && !anything)
    r_.warn(code::kNoEffect, value.span(), "this impair changes nothing", {}, "for example loss: 5%, or down: true");
  return action;
}

void ScenarioReader::impair_link(const SpannedText& link, ImpairAction& action) {
  if (link.text == "*") return;
  constexpr std::string_view kZone = "zone:";
  if (link.text.substr(0, kZone.size()) == kZone) {
    action.kind = ImpairAction::Kind::kZone;
    const std::string name = link.text.substr(kZone.size());
    const auto index = topology_->zone_index(name);
    action.index = index.value_or(0);
    std::vector<std::string_view> names;
    for (const Zone& zone : topology_->zones) names.push_back(zone.name);
    if (!index)
      r_.error(code::kUndefined, link.span(kZone.size(), link.text.size()), fmt::format("unknown zone `{}`", name),
               did_you_mean(name, names), "zones: " + listed(names));
    return;
  }
  action.kind = ImpairAction::Kind::kLink;
  if (const auto known = links_.find(link.text); known != links_.end()) {
    action.index = known->second;
    return;
  }
  std::vector<std::string_view> names;
  for (const Link& known : topology_->links) names.push_back(known.name);
  const std::string label = topology_->zone_index(link.text) ? fmt::format("did you mean `zone:{}`?", link.text)
                                                             : did_you_mean(link.text, names);
  r_.error(code::kUndefined, link.at, fmt::format("unknown link `{}`", link.text), label,
           "a link's name, zone:NAME or `*`; links: " + listed(names));
}

}  // namespace dcsim::scenario
