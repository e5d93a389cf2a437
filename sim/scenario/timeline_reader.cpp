// The timeline: triggers, process actions, commands.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "scenario/agent_keys.h"
#include "scenario/scenario_reader.h"

namespace dcsim::scenario {

namespace {

struct ActionKey {
  std::string_view key;
  ProcessAction::Kind process = ProcessAction::Kind::kStart;
};

constexpr std::array<ActionKey, 6> kProcessActions = {{{"start", ProcessAction::Kind::kStart},
                                                       {"stop", ProcessAction::Kind::kStop},
                                                       {"crash", ProcessAction::Kind::kCrash},
                                                       {"restart", ProcessAction::Kind::kRestart},
                                                       {"pause", ProcessAction::Kind::kPause},
                                                       {"resume", ProcessAction::Kind::kResume}}};
constexpr std::array<std::string_view, 13> kActions = {"start",  "stop",     "crash",    "restart",   "pause",
                                                       "resume", "run",      "firewall", "partition", "impair",
                                                       "clock",  "slow_cpu", "slow_disk"};

const KeyTable& step_keys() { return *scenario_keys().find("timeline")->table; }

}  // namespace

void ScenarioReader::read_timeline(MapReader& document) {
  const Entry* entry = document.raw("timeline", ValueType::kListOf);
  if (entry == nullptr) return;
  const std::vector<Value> items = r_.list(entry->value, document.what("timeline"), "steps");
  for (const Firewall& fw : topology_->firewalls) {
    for (const FirewallRule& rule : fw.rules) add_rule(fw.name, rule.name);
  }
  for (std::uint32_t i = 0; i < topology_->links.size(); ++i) links_.emplace(topology_->links[i].name, i);
  name_steps(items);
  for (std::size_t i = 0; i < items.size(); ++i) {
    step_ = static_cast<std::uint32_t>(i);
    read_step(items[i], s_.timeline[i]);
  }
  check_cycles();
  check_times();
  check_rules();
}

/// Names first: a step may wait for a later one, and delete a rule that a later one inserts.
void ScenarioReader::name_steps(const std::vector<Value>& items) {
  s_.timeline.resize(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    Step& step = s_.timeline[i];
    step.at = items[i].span();
    if (!items[i].is(Node::Kind::kMap)) continue;
    Diagnostics unheard;  // read_step complains
    Reading quiet(unheard, r_.scope());
    for (const Entry& entry : quiet.entries(items[i], "step")) {
      if (entry.name == "firewall") name_insert(entry.value, quiet);
      if (entry.name != "name" || !entry.value.scalar()) continue;
      step.name = quiet.text(entry.value).text;
      step.at = place_of(items[i], entry.value.span());
    }
    if (step.name.empty()) continue;
    const auto [it, fresh] = steps_.emplace(step.name, static_cast<std::uint32_t>(i));
    if (!fresh) {
      r_.error(code::kDuplicateName, step.at, fmt::format("a second step is called `{}`", step.name),
               fmt::format("first at line {}", s_.timeline[it->second].at.line));
    }
  }
}

/// The name that an insert gives its rule.
void ScenarioReader::name_insert(const Value& action, Reading& quiet) {
  if (!action.is(Node::Kind::kMap)) return;
  for (const Entry& insert : quiet.entries(action, "firewall")) {
    if (insert.name != "insert" || !insert.value.is(Node::Kind::kMap)) continue;
    std::string rule, firewall = topology_->firewalls.size() == 1 ? topology_->firewalls.front().name : std::string();
    for (const Entry& entry : quiet.entries(insert.value, "insert")) {
      if (entry.name == "name" && entry.value.scalar()) rule = quiet.text(entry.value).text;
      if (entry.name == "firewall" && entry.value.scalar()) firewall = quiet.text(entry.value).text;
    }
    if (!rule.empty() && topology_->firewall(firewall) != nullptr) add_rule(firewall, rule);
  }
}

void ScenarioReader::read_step(const Value& value, Step& step) {
  MapReader reader(r_, step_keys(), value);
  reader.text("name", ValueType::kName);
  read_trigger(reader, step);
  read_action(reader, step);
  reader.done();
}

void ScenarioReader::read_trigger(MapReader& reader, Step& step) {
  step.time = reader.duration("at");
  step.after = step_ref(reader, "after", true);
  step.when = reader.text("when", ValueType::kExpression);
  step.every = reader.duration("every");
  step.until = step_ref(reader, "until", false);
  step.stagger = reader.duration("stagger");
  const auto delay = reader.duration("delay");
  if (step.after && delay) {
    step.after->offset =
        step.after->offset.ns > Duration::max().ns - delay->ns ? Duration::max() : step.after->offset + *delay;
  }
  if (delay) step.when_delay = *delay;
  if (!reader.usable()) return;
  std::vector<std::string_view> given;
  for (const std::string_view key : {"at", "after", "when"}) {
    if (reader.has(key)) given.push_back(key);
  }
  const bool misspelt =
      reader.misspelt("at") || reader.misspelt("after") || reader.misspelt("when") || reader.misspelt("every");
  if (given.empty() && !reader.has("every") && !misspelt) {
    r_.error(code::kMissingKey, reader.map().span(), "a step needs `at`, `after`, `when` or `every`", {},
             "for example at: 3m");
  }
  if (given.size() > 1) {
    r_.error(code::kConflict, reader.key_span(given[1]),
             fmt::format("`{}` and `{}` of a step exclude each other", given[0], given[1]), {},
             given[0] == "at" && given[1] == "after" ? "for a time after a step write after: NAME, delay: 10s" : "");
  }
  if (reader.has("delay") && !reader.has("after") && !reader.has("when")) {
    r_.error(code::kConflict, reader.key_span("delay"), "`delay` goes with `after`", {},
             reader.has("at") ? "add it to `at`" : "");
  }
  if (step.every && step.every->ns == 0)
    r_.error(code::kBadValue, reader.entry("every")->value.span(), "`every` must be longer than 0");
  if (reader.has("until") && !reader.has("every") && !reader.has("when")) {
    r_.warn(code::kNoEffect, reader.key_span("until"), "`until` has no effect without `every` or `when`");
  }
}

void ScenarioReader::read_action(MapReader& reader, Step& step) {
  std::vector<std::string_view> given;
  for (const std::string_view action : kActions) {
    if (reader.has(action)) given.push_back(action);
  }
  if (reader.usable() && given.empty()) {
    // A misspelt action has been reported as an unknown key.
    const std::vector<std::string_view> actions(kActions.begin(), kActions.end());
    if (std::none_of(actions.begin(), actions.end(), [&](std::string_view a) { return reader.misspelt(a); }))
      r_.error(code::kMissingKey, reader.map().span(), "a step needs an action", {}, "one of: " + listed(actions));
  }
  for (std::size_t i = 1; i < given.size(); ++i) {
    r_.error(code::kConflict, reader.key_span(given[i]),
             fmt::format("a step has one action, but this one has `{}` and `{}`", given[0], given[i]), {},
             "write two steps");
  }
  const std::optional<Selector> agent = reader.selector("agent");
  check_selector(agent);
  const std::string_view action = given.empty() ? std::string_view() : given[0];
  warn_unused(reader, action);
  // Every action is read, so that a step with two is checked whole; the first one stays.
  std::optional<Action> first;
  const auto keep = [&](std::string_view key, Action&& value) {
    if (key == action) first = std::move(value);
  };
  for (const ActionKey& a : kProcessActions) {
    if (auto process = process_action(reader, a.key, a.process)) keep(a.key, std::move(*process));
  }
  const RunAction run = run_action(reader, agent);
  if (reader.has("run")) keep("run", run);
  if (const Entry* e = reader.raw("firewall", ValueType::kMap)) keep("firewall", firewall_action(e->value));
  if (const Entry* e = reader.raw("partition", ValueType::kMap)) keep("partition", partition_action(e->value));
  if (const Entry* e = reader.raw("impair", ValueType::kMap)) keep("impair", impair_action(e->value));
  keep("clock", host_action(reader, "clock", HostAction::Kind::kClock, agent));
  keep("slow_cpu", host_action(reader, "slow_cpu", HostAction::Kind::kSlowCpu, agent));
  keep("slow_disk", host_action(reader, "slow_disk", HostAction::Kind::kSlowDisk, agent));
  if (first) step.action = std::move(*first);
}

void ScenarioReader::warn_unused(MapReader& reader, std::string_view action) {
  if (action.empty()) return;
  const bool process =
      std::any_of(kProcessActions.begin(), kProcessActions.end(), [&](const ActionKey& a) { return a.key == action; });
  const bool host = action == "clock" || action == "slow_cpu" || action == "slow_disk";
  if (reader.has("expect") && action != "run")
    r_.error(code::kConflict, reader.key_span("expect"),
             fmt::format("`expect` goes with `run`, not with `{}`", action));
  if (reader.has("config") && action != "restart")
    r_.error(code::kConflict, reader.key_span("config"),
             fmt::format("`config` goes with `restart`, not with `{}`", action));
  if (reader.has("stagger") && !process && action != "run")
    r_.warn(code::kNoEffect, reader.key_span("stagger"), fmt::format("`stagger` has no effect on `{}`", action));
  if (reader.has("agent") && action != "run" && !host)
    r_.warn(code::kNoEffect, reader.key_span("agent"), fmt::format("`agent` has no effect on `{}`", action), {},
            process ? fmt::format("the agents stand behind `{}`", action) : "");
  if (action == "run" && !reader.has("agent") && !reader.misspelt("agent"))
    r_.error(code::kMissingKey, reader.key_span("run"), "missing key `agent`: where is the command to run?", {},
             "for example agent: server-1.dc1");
}

std::optional<ProcessAction> ScenarioReader::process_action(MapReader& reader, std::string_view key,
                                                            ProcessAction::Kind kind) {
  ProcessAction action;
  action.kind = kind;
  const auto agents = reader.selector(key);
  check_selector(agents);
  if (kind == ProcessAction::Kind::kRestart) {
    if (const Entry* config = reader.raw("config", ValueType::kConfig)) {
      if (!config->value.is(Node::Kind::kMap)) {
        r_.wrong_type(config->value, reader.what("config"), "a map");
      } else {
        action.config = r_.config(config->value);
        AgentKind software = AgentKind::kConsul;
        if (agents) {
          const std::vector<std::uint32_t> who = matching(*agents, *topology_);
          if (!who.empty() && std::all_of(who.begin(), who.end(), [&](std::uint32_t i) {
                return topology_->agents[i].kind == AgentKind::kSerf;
              }))
            software = AgentKind::kSerf;
        }
        check_agent_keys(*action.config, software, r_, noted_);
      }
    }
  }
  if (!agents) return std::nullopt;
  action.agents = *agents;
  return action;
}

RunAction ScenarioReader::run_action(MapReader& reader, const std::optional<Selector>& agent) {
  RunAction action;
  if (const auto command = reader.text("run")) {
    check_command(*command);
    action.command = *command;
  }
  if (agent) action.agents = *agent;
  action.expect = run_expect(reader);
  return action;
}

std::optional<RunExpect> ScenarioReader::run_expect(MapReader& step) {
  const Entry* entry = step.raw("expect", ValueType::kMap);
  if (entry == nullptr) return std::nullopt;
  MapReader reader(r_, *step_keys().find("expect")->table, entry->value);
  RunExpect expect;
  expect.at = entry->key_span();
  if (const auto exit = reader.integer("exit")) expect.exit = static_cast<int>(*exit);
  const auto match = [&](std::string_view key) -> std::optional<TextMatch> {
    const Entry* e = reader.raw(key, ValueType::kTextMatch);
    return e != nullptr ? r_.text_match(e->value, reader.what(key)) : std::nullopt;
  };
  expect.out = match("stdout");
  expect.err = match("stderr");
  expect.not_out = match("not_stdout");
  expect.within = reader.duration("within");
  reader.done();
  return expect;
}

HostAction ScenarioReader::host_action(MapReader& step, std::string_view key, HostAction::Kind kind,
                                       const std::optional<Selector>& agent) {
  HostAction action;
  action.kind = kind;
  const Entry* entry = step.raw(key, ValueType::kMap);
  if (entry == nullptr) return action;
  MapReader reader(r_, *step_keys().find(key)->table, entry->value);
  const auto own = reader.selector("agents");
  check_selector(own);
  if (own)
    action.agents = *own;
  else if (agent)
    action.agents = *agent;
  else if (reader.usable() && !reader.has("agents") && !step.has("agent"))
    r_.error(code::kMissingKey, entry->key_span(), fmt::format("missing key `agents` in {}: whose?", key));
  action.duration = reader.lasting("duration");
  if (kind == HostAction::Kind::kClock)
    read_clock(reader, action);
  else
    read_slowness(reader, action);
  reader.done();
  return action;
}

void ScenarioReader::read_clock(MapReader& reader, HostAction& action) {
  const auto signed_value = [&](const char* name, ValueType type, const char* example) -> const Entry* {
    const Entry* e = reader.raw(name, type);
    if (e != nullptr && !r_.quantity(e->value, reader.what(name), example)) return nullptr;
    return e;
  };
  if (const Entry* e = signed_value("offset", ValueType::kSignedDuration, "-250ms")) {
    const auto offset = parse_signed_duration(r_.text(e->value).text);
    action.offset = offset.value;
    if (!offset) r_.bad_unit(e->value, offset.error, reader.what("offset"), "-250ms, 2s");
  }
  if (const Entry* e = signed_value("drift", ValueType::kSignedPercent, "0.01%")) {
    const auto drift = parse_signed_percent(r_.text(e->value).text);
    action.drift = drift.value;
    if (!drift) r_.bad_unit(e->value, drift.error, reader.what("drift"), "0.01%, -1%");
  }
}

void ScenarioReader::read_slowness(MapReader& reader, HostAction& action) {
  if (const Entry* e = reader.raw("factor", ValueType::kFactor)) {
    if (const auto content = r_.quantity(e->value, reader.what("factor"), "4")) {
      const auto factor = parse_factor(content->text);
      action.factor_milli = factor.value;
      if (!factor) r_.bad_unit(e->value, factor.error, reader.what("factor"), "4, 2.5");
    }
  }
  action.latency = reader.duration("latency");
}

/// `after` may not lead back to where it began.
void ScenarioReader::check_cycles() {
  enum class Mark : std::uint8_t { kNew, kOpen, kDone };
  std::vector<Mark> marks(s_.timeline.size(), Mark::kNew);
  for (std::size_t i = 0; i < s_.timeline.size(); ++i) {
    std::vector<std::size_t> path;
    std::size_t at = i;
    while (marks[at] == Mark::kNew) {
      marks[at] = Mark::kOpen;
      path.push_back(at);
      const auto& after = s_.timeline[at].after;
      if (!after || !after->step) break;
      at = *after->step;
    }
    const bool back = !path.empty() && marks[at] == Mark::kOpen && s_.timeline[path.back()].after &&
                      s_.timeline[path.back()].after->step == at;
    if (back) {
      const auto start = std::find(path.begin(), path.end(), at);
      std::string circle;
      for (auto it = start; it != path.end() && it - start < 10; ++it)
        circle += fmt::format("`{}` waits for ", s_.timeline[*it].name);
      r_.error(code::kCycle, s_.timeline[*start].after->at,
               fmt::format("steps wait for one another: {}`{}`", circle, s_.timeline[at].name));
      s_.timeline[*start].after.reset();
    }
    for (const std::size_t p : path) marks[p] = Mark::kDone;
  }
}

/// A rule's name may come back once the rule is deleted. Where the file does not tell the order, it may.
void ScenarioReader::check_rules() {
  std::map<std::pair<std::string, std::string>, std::vector<const RuleChange*>> by_rule;
  for (const RuleChange& change : rule_changes_) by_rule[{change.firewall, change.rule}].push_back(&change);
  for (auto& [key, changes] : by_rule) {
    const bool deleted = std::any_of(changes.begin(), changes.end(), [](const RuleChange* c) { return !c->inserts; });
    const bool ordered = std::all_of(changes.begin(), changes.end(), [&](const RuleChange* c) {
      return times_[c->step] && !s_.timeline[c->step].every;
    });
    if (deleted && !ordered) continue;
    if (ordered) {
      std::stable_sort(changes.begin(), changes.end(),
                       [&](const RuleChange* a, const RuleChange* b) { return *times_[a->step] < *times_[b->step]; });
    }
    const Firewall* firewall = topology_->firewall(key.first);
    bool present = firewall != nullptr && std::any_of(firewall->rules.begin(), firewall->rules.end(),
                                                      [&rule = key.second](const FirewallRule& r) { return r.name == rule; });
    for (const RuleChange* change : changes) {
      if (change->inserts && present) {
        r_.error(code::kDuplicateName, change->at,
                 fmt::format("`{}` already has a rule called `{}`", key.first, key.second));
      }
      present = change->inserts;
    }
  }
}

/// Steps whose time is known and lies beyond the end never run, nor do those that end before they begin.
void ScenarioReader::check_times() {
  std::vector<std::optional<Duration>>& known = times_;
  known.resize(s_.timeline.size());
  for (std::size_t round = 0; round < 64; ++round) {
    bool changed = false;
    for (std::size_t i = 0; i < known.size(); ++i) {
      const Step& step = s_.timeline[i];
      std::optional<Duration> at = step.time;
      if (!at && !step.after && !step.when && step.every) at = step.every;
      if (!at && step.after && step.after->step && known[*step.after->step]) {
        const Duration base = *known[*step.after->step];
        at = base.ns > Duration::max().ns - step.after->offset.ns ? Duration::max() : base + step.after->offset;
      }
      changed = changed || at != known[i];
      known[i] = at;
    }
    if (!changed) break;
  }
  for (std::size_t i = 0; i < known.size(); ++i) {
    const Step& step = s_.timeline[i];
    const std::string what = step.name.empty() ? "this step" : fmt::format("step `{}`", step.name);
    const auto until = step.until ? known_time(*step.until) : std::nullopt;
    if (known[i] && s_.duration.ns > 0 && *known[i] > s_.duration)
      r_.warn(code::kTooLate, step.at, what + " never runs: the scenario ends before");
    else if (known[i] && until && *until < *known[i])
      r_.warn(code::kTooLate, step.until->at, what + " never runs: its `until` is over before");
  }
}

}  // namespace dcsim::scenario
