#include "trace/metrics.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "trace/aggregate.h"
#include "trace/output.h"

namespace dcsim::trace {

struct MetricHub::State {
  explicit State(NameTable& table) : names(table), agents(table) {}
  NameTable& names;
  AgentLabels agents;
  std::vector<Aggregate> aggregates;
  std::array<std::vector<std::uint32_t>, kSeriesCount> subscribers;

  Aggregate& at(AggregateId id) {
    DCSIM_CHECK(id.index() < aggregates.size());
    return aggregates[id.index()];
  }

  /// Feeds every aggregate of the series; those that say true have changed.
  template <class F>
  void feed(Series s, std::uint64_t& stamp, F&& f) {
    for (const std::uint32_t i : subscribers[static_cast<std::size_t>(s)]) {
      if (f(aggregates[i])) aggregates[i].stamp = ++stamp;
    }
  }
};

MetricHub::MetricHub(NameTable& names) : state_(std::make_unique<State>(names)) {}
MetricHub::~MetricHub() = default;

void MetricHub::register_agent(NameId agent, std::span<const std::pair<std::string, std::string>> labels) {
  state_->agents.forget(agent);
  for (const auto& [key, value] : labels) state_->agents.put(agent, key, value);
}

std::vector<std::string> MetricHub::agent_labels() const { return state_->agents.keys(); }

NameId MetricHub::agent_label(NameId agent, std::string_view label) const { return state_->agents.get(label, agent); }

Result<AggregateId> MetricHub::subscribe(const AggregateSpec& spec) {
  auto aggregate = Aggregate::make(spec, state_->agents, state_->names);
  if (!aggregate) return aggregate.error();
  const AggregateId id{static_cast<std::uint32_t>(state_->aggregates.size())};
  state_->aggregates.push_back(std::move(*aggregate));
  state_->subscribers[static_cast<std::size_t>(spec.series)].push_back(id.value);
  wanted_[static_cast<std::size_t>(spec.series)] = true;
  return id;
}

void MetricHub::do_count(Instant t, Series s, const LabelValues& labels, std::uint64_t n) {
  state_->feed(s, stamp_, [&](Aggregate& a) { return a.count(t, labels, n, state_->agents, state_->names); });
}

void MetricHub::do_set(Instant t, Series s, const LabelValues& labels, double value, NameId text) {
  state_->feed(s, stamp_, [&](Aggregate& a) { return a.set(t, labels, value, text, state_->agents, state_->names); });
}

void MetricHub::do_remove(Instant t, Series s, const LabelValues& labels) {
  state_->feed(s, stamp_, [&](Aggregate& a) { return a.remove(t, labels, state_->agents, state_->names); });
}

void MetricHub::do_observe(Instant t, Series s, const LabelValues& labels, double value, NameId text) {
  state_->feed(s, stamp_,
               [&](Aggregate& a) { return a.observe(t, labels, value, text, state_->agents, state_->names); });
}

void MetricHub::open(AggregateId id, Instant t) {
  Aggregate& a = state_->at(id);
  a.open(t);
  a.stamp = ++stamp_;
}

void MetricHub::close(AggregateId id, Instant t) {
  Aggregate& a = state_->at(id);
  a.close(t, state_->names);
  a.stamp = ++stamp_;
}

bool MetricHub::is_open(AggregateId id) const { return state_->at(id).open(); }
Value MetricHub::read(AggregateId id, Instant now) { return state_->at(id).read(now, state_->names); }

std::vector<MetricHub::Group> MetricHub::read_groups(AggregateId id, Instant now) {
  return state_->at(id).read_groups(now, state_->names);
}

std::uint64_t MetricHub::stamp(AggregateId id) const { return state_->at(id).stamp; }
Instant MetricHub::next_change(AggregateId id, Instant now) const { return state_->at(id).next_change(now); }

std::vector<std::string> MetricHub::contributors(AggregateId id, std::size_t limit) const {
  const Aggregate& a = state_->at(id);
  const SeriesSpec& spec = series_spec(a.spec().series);
  std::vector<std::string> lines;
  for (const Aggregate::Contribution& c : a.contributions()) {
    if (lines.size() == limit) break;
    std::string labels;
    const auto add = [&](std::string_view label, NameId value) {
      const std::string_view text = state_->names.text(value);
      if (label.empty() || text.empty()) return;
      labels += fmt::format("{}{}=\"{}\"", labels.empty() ? "" : ", ", label, text);
    };
    add(spec.agent, c.labels.observer);
    if (spec.member) add("member", c.labels.member);
    for (std::size_t i = 0; i < kMaxSlots; ++i) add(spec.slots[i], c.labels.slot[i]);
    const std::string value = c.text.valid() ? std::string(state_->names.text(c.text)) : number_text(c.value);
    lines.push_back(fmt::format("{}{}{}{} {}", spec.name, '{', labels, '}', value));
  }
  return lines;
}

std::string metrics_csv(std::span<const MetricRow> rows) {
  const auto text_of = [](const Value& v) -> std::string {
    switch (v.kind) {
      case Value::Kind::kNone:
        return "";
      case Value::Kind::kNumber:
        return number_text(v.number);
      case Value::Kind::kText:
        return v.text;
      case Value::Kind::kList:
        break;
    }
    std::string joined;
    for (const Value& one : v.list) {
      if (!joined.empty()) joined.push_back('|');
      joined += one.kind == Value::Kind::kText ? one.text : number_text(one.number);
    }
    return joined;
  };
  std::string out = "metric,labels,value,unit\n";
  for (const MetricRow& row : rows) {
    std::string labels;
    for (const auto& [key, value] : row.labels) labels += fmt::format("{}{}={}", labels.empty() ? "" : ";", key, value);
    out += fmt::format("{},{},{},{}\n", csv_field(row.metric), csv_field(labels), csv_field(text_of(row.value)),
                       csv_field(row.unit));
  }
  return out;
}

}  // namespace dcsim::trace
