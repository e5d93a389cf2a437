// Everything of a scenario but its timeline.
#include "scenario/scenario_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace dcsim::scenario {

namespace {

constexpr std::array<std::string_view, 4> kCommands = {"consul", "serf", "curl", "dig"};
constexpr std::uint64_t kMaxSeeds = 1'000'000;
constexpr std::size_t kMaxCells = 1'000'000;

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  return first == std::string_view::npos ? std::string_view()
                                         : text.substr(first, text.find_last_not_of(' ') - first + 1);
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
  if (const auto seed = document.integer("seed")) s_.seed = static_cast<std::uint64_t>(*seed);
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
      r_.bad_unit(entry->value, parsed.error, reader.what(key), "clients-up + 30s");
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

void ScenarioReader::check_command(const SpannedText& command) {
  const std::string_view text = command.view();
  const std::size_t start = text.find_first_not_of(' ');
  if (start == std::string_view::npos)
    return r_.error(code::kBadValue, command.at, "the command is empty", {}, "for example consul members");
  const std::size_t end = std::min(text.find(' ', start), text.size());
  const std::string_view program = text.substr(start, end - start);
  if (std::find(kCommands.begin(), kCommands.end(), program) == kCommands.end()) {
    return r_.error(code::kBadValue, command.span(start, end),
                    fmt::format("`{}` is no command that agents have", program),
                    did_you_mean(program, {kCommands.begin(), kCommands.end()}), "consul, serf, curl or dig");
  }
  if (end >= text.size()) r_.error(code::kBadValue, command.at, fmt::format("`{}` needs a subcommand", program));
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
      for (SpannedText& kind : r_.one_or_many(kinds->value, reader.what(key)))
        fault.kinds.push_back(std::move(kind.text));
    }
    if (reader.usable() && !reader.has("kinds") && !reader.has("kind") && !reader.misspelt("kinds") &&
        !reader.misspelt("kind"))
      r_.error(code::kMissingKey, item.span(), "missing key `kinds` in fault", {}, "for example kinds: [crash, pause]");
    fault.targets = reader.selector("targets");
    check_selector(fault.targets);
    fault.interval = reader.duration("interval");
    fault.duration = reader.duration("duration");
    fault.quiet_at_end = reader.duration("quiet_at_end");
    if (const Entry* spec = reader.raw("spec", ValueType::kFree)) fault.spec = r_.config(spec->value);
    reader.done();
    s_.faults.push_back(std::move(fault));
  }
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
      w.at = name->at;
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
      e.at = name->at;
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
    m.name = item.name;
    m.at = item.key_span();
    if (const auto value = reader.text("value", ValueType::kExpression)) m.value = *value;
    m.after = step_ref(reader, "after", false);
    m.until = step_ref(reader, "until", false);
    if (const auto unit = reader.text("unit")) m.unit = unit->text;
    if (const auto better = reader.choice("better")) m.better = static_cast<Metric::Better>(*better);
    if (const Entry* labels = reader.raw("group_by", ValueType::kLabelList)) {
      for (const Value& label : r_.list(labels->value, reader.what("group_by"), "labels")) {
        if (auto name = r_.string(label, reader.what("group_by"))) m.group_by.push_back(std::move(name->text));
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
