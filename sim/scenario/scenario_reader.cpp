// Everything of a scenario but its timeline.
#include "scenario/scenario_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace dcsim::scenario {

namespace {

constexpr std::array<std::string_view, 4> kCommands = {"consul", "serf", "curl", "dig"};
constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::uint64_t kMaxSeeds = 1'000'000;
constexpr std::size_t kMaxCells = 1'000'000;

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  return first == std::string_view::npos ? std::string_view()
                                         : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

/// What a shell would act on: one command is run, without a shell.
std::optional<std::pair<std::size_t, std::size_t>> find_shell_syntax(std::string_view text) {
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : ' ';
    if (c == '\\' && quote != '\'') {
      ++i;
    } else if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == '|' || c == ';' || c == '<' || c == '>' || c == '`' || (c == '$' && next == '(')) {
      return std::pair(i, i + (next == c || next == '(' ? 2 : 1));
    } else if (c == '&' && (next == '&' || kBlanks.find(next) != std::string_view::npos)) {  // not a URL's
      return std::pair(i, i + (next == '&' ? 2 : 1));
    }
  }
  return std::nullopt;
}

}  // namespace

Scenario ScenarioReader::read(const Value& value, const std::vector<std::string>& topologies) {
  s_.topology = topology_;
  s_.at = value.span();
  s_.file = value.span().file;
  MapReader document(r_, scenario_keys(), value);
  document.version("version");
  document.choice("kind");
  if (const auto name = document.text("name", ValueType::kName)) {
    s_.name = name->text;
    s_.at = name->at;
  }
  if (const auto description = document.text("description")) s_.description = description->text;
  for (const auto& [key, type] : {std::pair{"include", ValueType::kOneOrMany}, std::pair{"extends", ValueType::kText},
                                  std::pair{"params", ValueType::kFree}, std::pair{"topology", ValueType::kName}}) {
    document.raw(key, type);  // the loader has followed them
  }
  if (const Entry* seed = document.raw("seed", ValueType::kInteger)) {
    if (const auto number = r_.seed(seed->value, document.what("seed"))) s_.seed = *number;
  }
  if (const auto duration = document.duration("duration")) {
    s_.duration = *duration;
    if (duration->ns == 0)
      r_.error(code::kBadValue, document.entry("duration")->value.span(),
               "`duration` in scenario must be longer than 0");
  }
  read_timeline(document);
  read_faults(document);
  read_workload(document);
  read_record(document);
  read_expect(document);
  read_metrics(document);
  read_sweep(document, topologies);
  document.done();
  for (const auto& [param, node] : r_.scope().params) {
    if (node->kind == Node::Kind::kScalar) s_.params.emplace_back(param, node->text);
  }
  return std::move(s_);
}

/// A step's name, optionally `+ 30s`; unless `step_only`, also a duration from the start.
std::optional<TimeRef> ScenarioReader::step_ref(MapReader& reader, std::string_view key, bool step_only) {
  const Entry* entry = reader.raw(key, ValueType::kStepRef);
  if (entry == nullptr) return std::nullopt;
  const auto content = r_.quantity(entry->value, reader.what(key), "clients-up, or clients-up + 30s");
  if (!content) return std::nullopt;
  TimeRef ref;
  ref.at = content->at;
  std::string_view name = trimmed(content->text);
  auto step = steps_.find(std::string(name));
  const std::size_t plus = name.rfind('+');
  if (step == steps_.end() && plus != std::string_view::npos) {
    const std::string_view offset = trimmed(name.substr(plus + 1));
    name = trimmed(name.substr(0, plus));
    const auto parsed = parse_duration(offset);
    if (!parsed) {
      const std::size_t from = content->text.rfind('+') + 1;
      const std::size_t at = std::min(content->text.find_first_not_of(' ', from), content->text.size());
      r_.error(code::kBadValue, offset.empty() ? content->at : content->span(at, at + offset.size()),
               fmt::format("{}: {}", reader.what(key), parsed.error.message),
               parsed.error.suggestion.empty() ? std::string() : fmt::format("did you mean `{}`?", parsed.error.suggestion),
               "for example clients-up + 30s");
      return std::nullopt;
    }
    ref.offset = *parsed.value;
    step = steps_.find(std::string(name));
  }
  if (step != steps_.end()) {
    ref.step = step->second;
    return ref;
  }
  const auto from_start = parse_duration(name);
  if (from_start && plus == std::string_view::npos) {
    if (!step_only) {
      ref.offset = *from_start.value;
      return ref;
    }
    r_.error(code::kUndefined, content->at, fmt::format("{} names a step, not a time", reader.what(key)),
             fmt::format("did you mean `at: {}`?", name));
    return std::nullopt;
  }
  std::vector<std::string_view> names;
  for (const Step& s : s_.timeline) {
    if (!s.name.empty()) names.push_back(s.name);
  }
  const std::size_t at = content->text.find(name);
  r_.error(code::kUndefined, at == std::string::npos ? content->at : content->span(at, at + name.size()),
           fmt::format("unknown step `{}`", name), did_you_mean(name, names),
           names.empty() ? "no step has a name" : "steps: " + listed(names));
  return std::nullopt;
}

void ScenarioReader::check_selector(const std::optional<Selector>& selector) {
  r_.check_room();
  if (selector) check(*selector, *topology_, r_.out());
}

/// When it is, if the file tells; the start of the run is 0.
std::optional<Duration> ScenarioReader::known_time(const TimeRef& ref) const {
  if (!ref.step) return ref.offset;
  if (*ref.step >= times_.size() || !times_[*ref.step]) return std::nullopt;
  const Duration base = *times_[*ref.step];
  return base.ns > Duration::max().ns - ref.offset.ns ? Duration::max() : base + ref.offset;
}

/// A window that closes before it opens sees nothing, and would hold or fail whatever happens.
void ScenarioReader::check_window(MapReader& reader, const std::optional<TimeRef>& after, const std::optional<TimeRef>& until) {
  if (!until) return;
  const bool same_step = after && after->step && after->step == until->step;
  const auto opens = same_step ? std::optional(after->offset) : after ? known_time(*after) : std::optional(Duration{});
  const auto closes = same_step ? std::optional(until->offset) : known_time(*until);
  if (!opens || !closes || *closes > *opens) return;
  if (*closes < *opens)
    r_.error(code::kConflict, reader.key_span("until"), "this window closes before it opens: `until` is before `after`");
  else
    r_.warn(code::kNoEffect, reader.key_span("until"), "this window closes when it opens: nothing is looked at");
}

/// A window that opens only after the end never does.
void ScenarioReader::check_opening(MapReader& reader, const std::optional<TimeRef>& after) {
  const auto opens = after ? known_time(*after) : std::nullopt;
  if (opens && s_.duration.ns > 0 && *opens > s_.duration)
    r_.warn(code::kTooLate, reader.key_span("after"), "this window never opens: the scenario ends before");
}

void ScenarioReader::check_command(const SpannedText& command) {
  const std::string_view text = command.view();
  const std::size_t start = text.find_first_not_of(kBlanks);
  if (start == std::string_view::npos)
    return r_.error(code::kBadValue, command.at, "the command is empty", {}, "for example consul members");
  if (const auto shell = find_shell_syntax(text)) {
    return r_.error(code::kBadValue, command.span(shell->first, shell->second),
                    fmt::format("`{}` needs a shell, but `run` is one command without one",
                                text.substr(shell->first, shell->second - shell->first)),
                    {}, "write a step for each command, and `expect` for what its output must hold; quotes keep it as text");
  }
  const std::size_t end = std::min(text.find_first_of(kBlanks, start), text.size());
  const std::string_view program = text.substr(start, end - start);
  if (std::find(kCommands.begin(), kCommands.end(), program) == kCommands.end()) {
    return r_.error(code::kBadValue, command.span(start, end),
                    fmt::format("`{}` is no command that agents have", program),
                    did_you_mean(program, {kCommands.begin(), kCommands.end()}), "consul, serf, curl or dig");
  }
  if (text.find_first_not_of(kBlanks, end) == std::string_view::npos) r_.error(code::kBadValue, command.at, fmt::format("`{}` needs a subcommand", program));
}

void ScenarioReader::read_faults(MapReader& document) {
  const Entry* entry = document.raw("faults", ValueType::kListOf);
  if (entry == nullptr) return;
  for (const Value& item : r_.list(entry->value, document.what("faults"), "faults")) {
    MapReader reader(r_, *scenario_keys().find("faults")->table, item);
    Fault fault;
    fault.at = item.span();
    if (const auto name = reader.text("name", ValueType::kName)) fault.name = name->text;
    for (const char* key : {"kinds", "kind"}) {
      const Entry* kinds = reader.raw(key, ValueType::kOneOrMany);
      if (kinds == nullptr) continue;
      if (kinds->value.is(Node::Kind::kList) && kinds->value.node->children.empty())
        r_.error(code::kBadValue, kinds->value.span(), reader.what(key) + " is an empty list", {}, "for example kinds: [crash, pause]");
      for (SpannedText& kind : r_.one_or_many(kinds->value, reader.what(key)))
        fault.kinds.push_back(std::move(kind.text));
    }
    if (reader.usable() && !reader.has("kinds") && !reader.has("kind") && !reader.misspelt("kinds") &&
        !reader.misspelt("kind"))
      r_.error(code::kMissingKey, item.span(), "missing key `kinds` in fault", {}, "for example kinds: [crash, pause]");
    fault.targets = reader.selector("targets");
    check_selector(fault.targets);
    fault.interval = reader.lasting("interval");
    fault.duration = reader.lasting("duration");
    fault.quiet_at_end = reader.duration("quiet_at_end");
    if (const Entry* spec = reader.raw("spec", ValueType::kFree)) read_fault_spec(spec->value, fault);
    if (fault.quiet_at_end && s_.duration.ns > 0 && *fault.quiet_at_end >= s_.duration)
      r_.warn(code::kNoEffect, reader.key_span("quiet_at_end"), "this fault never happens: the whole scenario is quiet");
    reader.done();
    s_.faults.push_back(std::move(fault));
  }
}

/// A map from kind to details, or the details of the only kind.
void ScenarioReader::read_fault_spec(const Value& value, Fault& fault) {
  const KeyTable& kinds = fault_spec_keys();
  if (!value.is(Node::Kind::kMap)) return r_.wrong_type(value, "`spec` in fault", "a map");
  const Key* only = fault.kinds.size() == 1 ? kinds.find(fault.kinds.front()) : nullptr;
  if (only != nullptr) {
    Diagnostics unheard;  // whoever reads the map complains
    const std::vector<Entry> entries = Reading(unheard, r_.scope()).entries(value, "spec");
    const bool flat = std::none_of(entries.begin(), entries.end(), [&](const Entry& e) { return kinds.find(e.name) != nullptr; });
    if (flat) return read_fault_kind(only->name, *only->table, value, fault);
  }
  MapReader reader(r_, kinds, value);
  for (const Key& kind : kinds.keys) {
    const Entry* entry = reader.raw(kind.name, ValueType::kMap);
    if (entry == nullptr) continue;
    if (std::find(fault.kinds.begin(), fault.kinds.end(), kind.name) == fault.kinds.end())
      r_.warn(code::kNoEffect, entry->key_span(), fmt::format("`{}` has no effect: it is not among the `kinds`", kind.name));
    read_fault_kind(kind.name, *kind.table, entry->value, fault);
  }
  reader.done();
}

void ScenarioReader::read_fault_kind(std::string_view kind, const KeyTable& table, const Value& value, Fault& fault) {
  MapReader reader(r_, table, value);
  if (kind == "impair") {
    fault.impair = read_link_overrides(reader);
    fault.down = reader.boolean("down").value_or(false);
    if (fault.impair.distribution == Distribution::kTrace)
      r_.error(code::kUnsupported, reader.key_span("distribution"), "`distribution: trace` is not supported yet", {},
               "constant, uniform, normal, lognormal or pareto");
  } else if (kind == "partition") {
    if (const auto mode = reader.choice("mode")) fault.cut = static_cast<PartitionAction::Mode>(*mode);
    if (const auto direction = reader.choice("direction"))
      fault.cut_direction = static_cast<PartitionAction::Direction>(*direction);
  } else if (kind == "clock") {
    read_clock(reader, fault.clock);
  } else {
    read_slowness(reader, kind == "slow_cpu" ? fault.slow_cpu : fault.slow_disk);
  }
  reader.done();
}

void ScenarioReader::read_workload(MapReader& document) {
  const Entry* entry = document.raw("workload", ValueType::kListOf);
  if (entry == nullptr) return;
  std::set<std::string> names;
  for (const Value& item : r_.list(entry->value, document.what("workload"), "workloads")) {
    const KeyTable& table = *scenario_keys().find("workload")->table;
    MapReader reader(r_, table, item);
    Workload w;
    w.at = item.span();
    if (const auto name = reader.text("name", ValueType::kName)) {
      w.name = name->text;
      w.at = place_of(item, name->at);
      if (!names.insert(w.name).second)
        r_.error(code::kDuplicateName, w.at, fmt::format("a second workload is called `{}`", w.name));
    }
    w.agents = reader.selector("agents");
    check_selector(w.agents);
    w.from = reader.duration("from").value_or(Duration{});
    w.until = reader.duration("until");
    if (w.until && *w.until <= w.from)
      r_.error(code::kConflict, reader.key_span("until"), "`until` of this workload is not after its `from`");
    if (const auto run = reader.text("run")) {
      check_command(*run);
      w.run = *run;
    }
    w.timeout = reader.duration("timeout");
    if (const Entry* every = reader.raw("every", ValueType::kEvery)) {
      if (every->value.is(Node::Kind::kMap)) {
        MapReader gap(r_, *table.find("every")->table, every->value);
        const auto constant = gap.duration("constant");
        const auto exponential = gap.duration("exponential");
        gap.done();
        w.every = constant ? constant : exponential;
        w.gap = constant ? Workload::Gap::kConstant : Workload::Gap::kExponential;
        if (gap.has("constant") && gap.has("exponential"))
          r_.error(code::kConflict, gap.key_span("exponential"), "`constant` and `exponential` exclude each other");
        if (!gap.has("constant") && !gap.has("exponential"))
          r_.error(code::kMissingKey, every->value.span(), "`every` needs `constant` or `exponential`");
      } else {
        w.every = r_.duration(every->value, reader.what("every"));
      }
      if (w.every && w.every->ns == 0) r_.error(code::kBadValue, every->value.span(), "`every` must be longer than 0");
    }
    reader.done();
    s_.workload.push_back(std::move(w));
  }
}

void ScenarioReader::read_record(MapReader& document) {
  const Entry* entry = document.raw("record", ValueType::kMap);
  if (entry == nullptr) return;
  const KeyTable& table = *scenario_keys().find("record")->table;
  MapReader reader(r_, table, entry->value);
  if (const Entry* events = reader.raw("events", ValueType::kEvents)) {
    if (events->value.is(Node::Kind::kList)) {
      s_.record.events = Record::Events::kListed;
      for (const Value& item : r_.list(events->value, reader.what("events"), "event names")) {
        if (auto name = r_.string(item, reader.what("events")))
          s_.record.event_names.emplace_back(name->text, name->at);
      }
    } else {
      constexpr std::array<std::string_view, 2> kWords = {"all", "none"};
      if (const auto word = r_.choice(events->value, reader.what("events"), kWords))
        s_.record.events = *word == 0 ? Record::Events::kAll : Record::Events::kNone;
    }
  }
  if (const Entry* packets = reader.raw("packets", ValueType::kMap)) {
    MapReader p(r_, *table.find("packets")->table, packets->value);
    s_.record.packets = true;
    s_.record.match = p.text("match", ValueType::kExpression);
    s_.record.snaplen = p.size("snaplen").value_or(0);
    s_.record.drops = p.boolean("drops").value_or(true);
    p.done();
  }
  s_.record.sample_interval = reader.duration("sample_interval");
  if (s_.record.sample_interval && s_.record.sample_interval->ns == 0)
    r_.error(code::kBadValue, reader.entry("sample_interval")->value.span(), "`sample_interval` must be longer than 0");
  reader.done();
}

void ScenarioReader::read_expect(MapReader& document) {
  const Entry* entry = document.raw("expect", ValueType::kListOf);
  if (entry == nullptr) return;
  std::set<std::string> names;
  for (const Value& item : r_.list(entry->value, document.what("expect"), "expectations")) {
    MapReader reader(r_, *scenario_keys().find("expect")->table, item);
    Expectation e;
    e.at = item.span();
    if (const auto name = reader.text("name", ValueType::kName)) {
      e.name = name->text;
      e.at = place_of(item, name->at);
      if (!names.insert(e.name).second)
        r_.error(code::kDuplicateName, e.at, fmt::format("a second expectation is called `{}`", e.name));
    }
    std::vector<std::string_view> given;
    constexpr std::array<std::pair<std::string_view, Expectation::Kind>, 4> kKinds = {
        {{"always", Expectation::Kind::kAlways},
         {"never", Expectation::Kind::kNever},
         {"eventually", Expectation::Kind::kEventually},
         {"finally", Expectation::Kind::kFinally}}};
    for (const auto& [key, kind] : kKinds) {
      if (reader.has(key)) given.push_back(key);
      const auto expression = reader.text(key, ValueType::kExpression);
      if (expression && given.size() == 1) {
        e.kind = kind;
        e.expression = *expression;
      }
    }
    bool misspelt = false;
    for (const auto& [key, kind] : kKinds) misspelt = misspelt || reader.misspelt(key);
    if (reader.usable() && given.empty() && !misspelt)
      r_.error(code::kMissingKey, item.span(), "an expectation needs `always`, `never`, `eventually` or `finally`");
    for (std::size_t i = 1; i < given.size(); ++i)
      r_.error(code::kConflict, reader.key_span(given[i]),
               fmt::format("`{}` and `{}` exclude each other", given[0], given[i]), {}, "write two expectations");
    e.after = step_ref(reader, "after", false);
    e.until = step_ref(reader, "until", false);
    check_opening(reader, e.after);
    check_window(reader, e.after, e.until);
    e.within = reader.duration("within");
    e.hold_for = reader.duration("for");
    e.abort = reader.boolean("abort").value_or(false);
    e.warn_only = reader.choice("severity") == std::optional<std::size_t>(1);
    reader.done();
    if (!given.empty() && given[0] != "eventually") {
      for (const char* key : {"within", "for"}) {
        if (reader.has(key))
          r_.error(code::kConflict, reader.key_span(key),
                   fmt::format("`{}` goes with `eventually`, not with `{}`", key, given[0]));
      }
    }
    s_.expect.push_back(std::move(e));
  }
}

void ScenarioReader::read_metrics(MapReader& document) {
  const Entry* entry = document.raw("metrics", ValueType::kMapOf);
  if (entry == nullptr) return;
  if (!entry->value.is(Node::Kind::kMap))
    return r_.wrong_type(entry->value, document.what("metrics"), "a map of metrics");
  const KeyTable& table = *scenario_keys().find("metrics")->table;
  for (const Entry& item : r_.entries(entry->value, "metrics")) {
    MapReader reader(r_, table, item.value);
    Metric m;
    m.name = r_.text({item.key, item.key}).text;
    m.at = item.key_span();
    if (const auto value = reader.text("value", ValueType::kExpression)) m.value = *value;
    m.after = step_ref(reader, "after", false);
    m.until = step_ref(reader, "until", false);
    check_opening(reader, m.after);
    check_window(reader, m.after, m.until);
    if (const auto unit = reader.text("unit")) m.unit = unit->text;
    if (const auto better = reader.choice("better")) m.better = static_cast<Metric::Better>(*better);
    if (const Entry* labels = reader.raw("group_by", ValueType::kLabelList)) {
      for (const Value& label : r_.list(labels->value, reader.what("group_by"), "labels")) {
        if (auto name = r_.string(label, reader.what("group_by"))) {
          m.group_by.push_back(std::move(name->text));
          m.group_at.push_back(name->at);
        }
      }
    }
    if (const Entry* gate = reader.raw("gate", ValueType::kMap)) {
      MapReader g(r_, *table.find("gate")->table, gate->value);
      m.gate_margin = g.percent("margin");
      if (const auto floor = g.text("floor")) m.gate_floor = floor->text;
      g.done();
    }
    reader.done();
    s_.metrics.push_back(std::move(m));
  }
}

/// A parameter, `topology`, `seed`, or `link.NAME.ATTRIBUTE` of a link that exists.
bool ScenarioReader::sweepable(std::string_view name, const SourceSpan& at) {
  if (r_.scope().find(name) != nullptr || name == "topology" || name == "seed") return true;
  constexpr std::string_view kLink = "link.";
  const std::size_t dot = name.rfind('.');
  if (name.substr(0, kLink.size()) == kLink && dot >= kLink.size() && dot != std::string_view::npos) {
    const std::string_view link = name.substr(kLink.size(), dot - kLink.size());
    const std::string_view attribute = name.substr(dot + 1);
    std::vector<std::string_view> links;
    for (const Link& l : topology_->links) links.push_back(l.name);
    const bool known = topology_->link(link) != nullptr;
    if (!known)
      r_.error(code::kUndefined, at, fmt::format("unknown link `{}`", link), did_you_mean(link, links),
               "links: " + listed(links));
    std::vector<std::string_view> attributes;
    for (const Key& key : topology_keys().find("links")->table->keys) {
      if (key.name != "name" && key.name != "endpoints") attributes.push_back(key.name);
    }
    const bool settable = std::find(attributes.begin(), attributes.end(), attribute) != attributes.end();
    if (!settable)
      r_.error(code::kUnknownKey, at, fmt::format("unknown key `{}` in link", attribute),
               did_you_mean(attribute, attributes), "allowed keys: " + listed(attributes));
    return known && settable;
  }
  std::vector<std::string_view> names = {"topology", "seed"};
  for (const auto& [param, node] : r_.scope().params) names.push_back(param);
  r_.error(code::kUndefined, at, fmt::format("unknown parameter `{}`", name), did_you_mean(name, names),
           "parameters: " + listed(names) + ", or link.NAME.ATTRIBUTE");
  return false;
}

/// A value that a sweep gives a link's attribute.
void ScenarioReader::check_link_value(std::string_view name, const Value& item, const std::string& text) {
  if (r_.scope().find(name) != nullptr || name.substr(0, 5) != "link.") return;
  const std::string_view attribute = name.substr(name.rfind('.') + 1);
  const std::string what = fmt::format("`{}` in matrix", name);
  const auto complain = [&](const auto& parsed, std::string_view example) {
    if (!parsed) r_.bad_unit(item, parsed.error, what, example);
  };
  switch (const Key& key = *topology_keys().find("links")->table->find(attribute); key.type) {
    case ValueType::kDuration:
      return complain(parse_duration(text), "500ms");
    case ValueType::kPercent:
      return complain(parse_percent(text), "0.05%");
    case ValueType::kBandwidth:
      return complain(parse_bandwidth(text), "10Gbit");
    case ValueType::kSize:
      return complain(parse_size(text), "64KiB");
    case ValueType::kInteger:
      (void)r_.integer(item, what, key.minimum, key.maximum);
      return;
    case ValueType::kEnum:
      (void)r_.choice(item, what, key.choices);
      return;
    default:
      return;
  }
}

void ScenarioReader::read_matrix(const Entry& entry, Sweep& sweep, const std::vector<std::string>& topologies) {
  if (!entry.value.is(Node::Kind::kMap)) return r_.wrong_type(entry.value, "`matrix` in sweep", "a map of value lists");
  std::size_t cells = 1;
  for (const Entry& row : r_.entries(entry.value, "matrix")) {
    if (!sweepable(row.name, row.key_span())) continue;
    const std::string what = fmt::format("`{}` in matrix", row.name);
    std::vector<std::string> values;
    const std::vector<Value> items = r_.list(row.value, what, "values");
    if (row.value.is(Node::Kind::kList) && items.empty())
      r_.error(code::kBadValue, row.value.span(), what + " has no values");
    for (const Value& item : items) {
      if (!item.scalar()) {
        r_.wrong_type(item, what, "a single value");
        continue;
      }
      const SpannedText value = r_.text(item);
      if (row.name == "topology" && std::find(topologies.begin(), topologies.end(), value.text) == topologies.end()) {
        const std::vector<std::string_view> names(topologies.begin(), topologies.end());
        r_.error(code::kUndefined, value.at, fmt::format("unknown topology `{}`", value.text),
                 did_you_mean(value.text, names), "topologies: " + listed(names));
      }
      check_link_value(row.name, item, value.text);
      values.push_back(value.text);
    }
    cells = std::min(kMaxCells + 1, cells * std::max<std::size_t>(values.size(), 1));
    sweep.matrix.emplace_back(std::string(row.name), std::move(values));
  }
  if (cells > kMaxCells)
    r_.error(code::kLimit, entry.key_span(), fmt::format("this matrix has more than {} cells", kMaxCells));
}

std::vector<Assignment> ScenarioReader::assignments(MapReader& reader, std::string_view key) {
  std::vector<Assignment> out;
  const Entry* entry = reader.raw(key, ValueType::kAssignments);
  if (entry == nullptr) return out;
  for (const Value& item : r_.list(entry->value, reader.what(key), "maps")) {
    if (!item.is(Node::Kind::kMap)) {
      r_.wrong_type(item, reader.what(key), "a list of maps");
      continue;
    }
    Assignment cell;
    for (const Entry& pair : r_.entries(item, key)) {
      if (!sweepable(pair.name, pair.key_span())) continue;
      if (!pair.value.scalar())
        r_.wrong_type(pair.value, fmt::format("`{}` in {}", pair.name, key), "a single value");
      else
        cell.emplace_back(std::string(pair.name), r_.text(pair.value).text);
    }
    out.push_back(std::move(cell));
  }
  return out;
}

void ScenarioReader::read_sweep(MapReader& document, const std::vector<std::string>& topologies) {
  const Entry* entry = document.raw("sweep", ValueType::kMap);
  if (entry == nullptr) return;
  MapReader reader(r_, *scenario_keys().find("sweep")->table, entry->value);
  Sweep sweep;
  sweep.first_seed = sweep.last_seed = s_.seed;
  if (const Entry* seeds = reader.raw("seeds", ValueType::kSeeds)) {
    if (const auto content = r_.quantity(seeds->value, reader.what("seeds"), "1..30")) {
      const std::size_t dots = content->text.find("..");
      const auto first = parse_unsigned(content->view().substr(0, dots));
      const auto last = dots == std::string::npos ? first : parse_unsigned(content->view().substr(dots + 2));
      if (!first || !last) {
        r_.error(code::kBadValue, content->at,
                 fmt::format("{}: `{}` is not a range of seeds", reader.what("seeds"), content->text), {},
                 "for example 1..30");
      } else if (*first.value > *last.value) {
        r_.error(code::kBadValue, content->at,
                 fmt::format("{}: `{}` runs backwards", reader.what("seeds"), content->text),
                 fmt::format("did you mean `{}..{}`?", *last.value, *first.value));
      } else if (*last.value - *first.value >= kMaxSeeds) {
        r_.error(code::kLimit, content->at, fmt::format("{} has more than {} seeds", reader.what("seeds"), kMaxSeeds));
      } else {
        sweep.first_seed = *first.value;
        sweep.last_seed = *last.value;
      }
    }
  }
  if (const Entry* matrix = reader.raw("matrix", ValueType::kMatrix)) read_matrix(*matrix, sweep, topologies);
  sweep.include = assignments(reader, "include");
  sweep.exclude = assignments(reader, "exclude");
  sweep.where = reader.text("where", ValueType::kExpression);
  reader.done();
  s_.sweep = std::move(sweep);
}

std::optional<std::uint32_t> Scenario::step_index(std::string_view step) const {
  for (std::uint32_t i = 0; i < timeline.size(); ++i) {
    if (!timeline[i].name.empty() && timeline[i].name == step) return i;
  }
  return std::nullopt;
}

}  // namespace dcsim::scenario
