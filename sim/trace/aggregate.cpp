#include "trace/aggregate.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace dcsim::trace {
namespace {

constexpr std::size_t kRemembered = 16;

/// Removes one from a counted key.
void take(std::map<std::uint32_t, std::uint64_t>& counts, NameId key) {
  const auto it = counts.find(key.value);
  DCSIM_CHECK(it != counts.end());
  if (--it->second == 0) counts.erase(it);
}

/// Linear interpolation between order statistics at (size - 1) * p / 100.
template <class Order>
Value quantile(const Order& order, double p) {
  if (order.size() == 0) return Value::none();
  const double position = static_cast<double>(order.size() - 1) * p / 100.0;
  const auto below = static_cast<std::uint64_t>(position);
  const double low = order.at(below);
  const double fraction = position - static_cast<double>(below);
  if (fraction <= 0) return Value::of(low);
  return Value::of(low + (order.at(below + 1) - low) * fraction);
}

/// Distinct numbers ascending, then texts in byte order.
Value list_of(const std::map<double, std::uint64_t>& numbers, const std::map<std::uint32_t, std::uint64_t>& texts,
              const NameTable& names) {
  Value v;
  v.kind = Value::Kind::kList;
  for (const auto& [number, n] : numbers) v.list.push_back(Value::of(number));
  std::vector<std::string_view> sorted;
  for (const auto& [id, n] : texts) sorted.push_back(names.text(NameId{id}));
  std::sort(sorted.begin(), sorted.end());
  for (const std::string_view text : sorted) v.list.push_back(Value::of(text));
  return v;
}

}  // namespace

void Multiset::take(double v) {
  const auto it = counts_.find(v);
  DCSIM_CHECK(it != counts_.end());
  if (--it->second == 0) counts_.erase(it);
  --size_;
}

double Multiset::sum() const {
  double sum = 0;
  for (const auto& [v, n] : counts_) sum += v * static_cast<double>(n);
  return sum;
}

double Multiset::at(std::uint64_t k) const {
  for (const auto& [v, n] : counts_) {
    if (k < n) return v;
    k -= n;
  }
  return 0;
}

Result<Aggregate> Aggregate::make(const AggregateSpec& spec, AgentLabels& agents, NameTable& names) {
  Aggregate out;
  out.spec_ = spec;
  DCSIM_CHECK(spec.series != Series::kCount_);
  const SeriesSpec& series = series_spec(spec.series);
  out.kind_ = series.kind;
  if (spec.fn == AggregateFn::kMed) out.spec_.p = 50;
  if (!(out.spec_.p >= 0 && out.spec_.p <= 100)) return Error{"a percentile lies between 0 and 100"};
  std::vector<MatcherSpec> matchers = spec.matchers;
  const auto names_default = [&](const MatcherSpec& m) { return m.label == series.default_label; };
  if (!series.default_label.empty() && std::none_of(matchers.begin(), matchers.end(), names_default)) {
    matchers.push_back({std::string(series.default_label), MatchOp::kEqual, std::string(series.default_value)});
  }
  for (const MatcherSpec& m : matchers) {
    auto matcher = Matcher::compile(m, spec.series, agents, names);
    if (!matcher) return matcher.error();
    out.matchers_.push_back(std::move(*matcher));
  }
  for (const std::string& label : spec.group_by) out.group_refs_.push_back(LabelRef::find(spec.series, label, agents));
  if (spec.fn == AggregateFn::kDistinct) out.label_ref_ = LabelRef::find(spec.series, spec.label, agents);
  if (out.group_refs_.empty()) out.groups_.emplace_back();
  return out;
}

bool Aggregate::by_set() const {
  switch (spec_.fn) {
    case AggregateFn::kAvg:
    case AggregateFn::kMin:
    case AggregateFn::kMax:
    case AggregateFn::kMed:
    case AggregateFn::kQuantile:
    case AggregateFn::kAll:
    case AggregateFn::kAny:
      return true;
    default:
      return false;
  }
}

bool Aggregate::ordered() const {
  return spec_.fn == AggregateFn::kMed || spec_.fn == AggregateFn::kQuantile || spec_.fn == AggregateFn::kAll ||
         spec_.fn == AggregateFn::kAny;
}

void Aggregate::open(Instant t) {
  phase_ = Phase::kOpen;
  opened_ = t;
  past_.clear();
  latest_.clear();
  latest_at_ = 0;
  if (kind_ == SeriesKind::kGauge) {
    for (Group& g : groups_) g.held = g.values;
    return;
  }
  groups_.clear();
  group_index_.clear();
  sets_.clear();
  set_index_.clear();
  if (group_refs_.empty()) groups_.emplace_back();
}

void Aggregate::close(Instant t, const NameTable& names) {
  frozen_ = read(t, names);
  frozen_groups_ = read_groups(t, names);
  phase_ = Phase::kDone;
  past_.clear();
}

bool Aggregate::matches(const LabelValues& labels, const AgentLabels& agents, const NameTable& names) {
  for (Matcher& m : matchers_) {
    if (!m.matches(labels, agents, names)) return false;
  }
  return true;
}

std::uint32_t Aggregate::group_of(const LabelValues& labels, const AgentLabels& agents) {
  if (group_refs_.empty()) return 0;
  std::vector<NameId> key;
  for (const LabelRef& ref : group_refs_) key.push_back(ref.value(labels, agents));
  const auto [it, added] = group_index_.try_emplace(std::move(key), static_cast<std::uint32_t>(groups_.size()));
  if (added) {
    groups_.emplace_back();
    groups_.back().key = it->first;
  }
  return it->second;
}

std::uint32_t Aggregate::set_of(const LabelValues& labels, std::uint32_t group) {
  const auto [it, added] = set_index_.try_emplace(labels, static_cast<std::uint32_t>(sets_.size()));
  if (added) {
    sets_.emplace_back();
    sets_.back().group = group;
  }
  return it->second;
}

void Aggregate::note(const LabelValues& labels, double value, NameId text) {
  const Contribution c{labels, value, text};
  if (latest_.size() < kRemembered) {
    latest_.push_back(c);
  } else {
    latest_[latest_at_] = c;
  }
  latest_at_ = (latest_at_ + 1) % kRemembered;
}

std::vector<Aggregate::Contribution> Aggregate::contributions() const {
  std::vector<Contribution> out;
  for (std::size_t i = 0; i < latest_.size(); ++i) {
    out.push_back(latest_[(latest_at_ + kRemembered - 1 - i) % kRemembered]);
  }
  return out;
}

bool Aggregate::count(Instant t, const LabelValues& labels, std::uint64_t n, const AgentLabels& agents,
                      const NameTable& names) {
  if (phase_ != Phase::kOpen || n == 0 || !matches(labels, agents, names)) return false;
  Past past{.t = t, .from = t, .group = group_of(labels, agents), .n = n, .text = {}, .label = {}};
  Group& g = groups_[past.group];
  g.count += n;
  if (spec_.fn == AggregateFn::kDistinct) {
    past.label = label_ref_.value(labels, agents);
    ++g.labels[past.label.value];
  }
  if (by_set()) {
    past.set = set_of(labels, past.group);
    Set& set = sets_[past.set];
    if (set.present) g.values.take(set.value);
    set.present = true;
    set.value += static_cast<double>(n);
    g.values.add(set.value);
  }
  if (ranged()) {
    expire(t);
    past_.push_back(past);
  }
  note(labels, static_cast<double>(n), {});
  return true;
}

/// A gauge's label set loses its present value; with a range, that stays in view for a while.
void Aggregate::retire(Instant t, Set& set) {
  Group& g = groups_[set.group];
  const bool text = set.text.valid();
  if (text) {
    take(g.texts, set.text);
  } else {
    g.values.take(set.value);
  }
  if (spec_.fn == AggregateFn::kDistinct) take(g.labels, set.label);
  set.present = false;
  if (!ranged() || text) return;
  if (phase_ != Phase::kOpen) {
    if (phase_ == Phase::kClosed) g.held.take(set.value);
    return;
  }
  past_.push_back({.t = t, .from = set.since, .group = set.group, .value = set.value, .text = {}, .label = {}});
}

bool Aggregate::set(Instant t, const LabelValues& labels, double value, NameId text, const AgentLabels& agents,
                    const NameTable& names) {
  if (!matches(labels, agents, names)) return false;
  if (std::isnan(value)) return remove(t, labels, agents, names);
  Set& set = sets_[set_of(labels, group_of(labels, agents))];
  if (set.present && set.value == value && set.text == text) return false;
  expire(t);
  if (set.present) retire(t, set);
  Group& g = groups_[set.group];
  set.present = true;
  set.value = value == 0 ? 0 : value;  // -0 is 0
  set.text = text;
  set.since = t;
  if (text.valid()) {
    ++g.texts[text.value];
  } else {
    g.values.add(set.value);
    if (ranged() && phase_ != Phase::kDone) g.held.add(set.value);
  }
  if (spec_.fn == AggregateFn::kDistinct) {
    set.label = label_ref_.value(labels, agents);
    ++g.labels[set.label.value];
  }
  note(labels, set.value, text);
  return phase_ != Phase::kDone;
}

bool Aggregate::remove(Instant t, const LabelValues& labels, const AgentLabels& agents, const NameTable& names) {
  if (!matches(labels, agents, names)) return false;
  const auto it = set_index_.find(labels);
  if (it == set_index_.end() || !sets_[it->second].present) return false;
  expire(t);
  retire(t, sets_[it->second]);
  return phase_ != Phase::kDone;
}

bool Aggregate::observe(Instant t, const LabelValues& labels, double value, NameId text, const AgentLabels& agents,
                        const NameTable& names) {
  if (phase_ != Phase::kOpen || std::isnan(value) || !matches(labels, agents, names)) return false;
  Past past{.t = t, .from = t, .group = group_of(labels, agents), .value = value, .n = 1, .text = text, .label = {}};
  Group& g = groups_[past.group];
  ++g.count;
  g.last = value;
  g.last_text = text;
  g.any = true;
  if (text.valid()) {
    ++g.texts[text.value];
  } else if (ranged()) {
    g.values.add(value);
  } else {
    g.sum += value;
    g.min = std::min(g.min, value);
    g.max = std::max(g.max, value);
    if (ordered()) g.order.insert(value);
  }
  if (spec_.fn == AggregateFn::kDistinct) {
    past.label = label_ref_.value(labels, agents);
    ++g.labels[past.label.value];
  }
  if (ranged()) {
    expire(t);
    past_.push_back(past);
  }
  note(labels, value, text);
  return true;
}

/// Undoes what one happening added.
void Aggregate::forget(const Past& past) {
  Group& g = groups_[past.group];
  if (kind_ == SeriesKind::kGauge) {
    g.held.take(past.value);
    return;
  }
  g.count -= past.n;
  if (spec_.fn == AggregateFn::kDistinct) take(g.labels, past.label);
  if (kind_ == SeriesKind::kObservation) {
    if (past.text.valid()) {
      take(g.texts, past.text);
    } else {
      g.values.take(past.value);
    }
    return;
  }
  if (past.set == kNoSet) return;
  Set& set = sets_[past.set];
  g.values.take(set.value);
  set.value -= static_cast<double>(past.n);
  set.present = set.value > 0;
  if (set.present) g.values.add(set.value);
}

void Aggregate::expire(Instant now) {
  if (!ranged()) return;
  while (!past_.empty() && past_.front().t + spec_.range <= now) {
    forget(past_.front());
    past_.pop_front();
  }
}

Instant Aggregate::next_change(Instant now) const {
  if (phase_ != Phase::kOpen) return Instant::never();
  const auto something = [](const Group& g) { return g.count > 0; };
  if (spec_.fn == AggregateFn::kRate && std::any_of(groups_.begin(), groups_.end(), something))
    return now + Duration{1};
  if (!ranged()) return Instant::never();
  if (kind_ == SeriesKind::kGauge && spec_.fn == AggregateFn::kAvg && !past_.empty()) return now + Duration{1};
  return past_.empty() ? Instant::never() : std::max(past_.front().t + spec_.range, now);
}

double Aggregate::window_seconds(Instant now) const {
  const Duration open = now - opened_;
  return (ranged() ? std::min(open, spec_.range) : open).seconds();
}

Value Aggregate::read_counter(const Group& g, Instant now) const {
  const auto total = static_cast<double>(g.count);
  switch (spec_.fn) {
    case AggregateFn::kCount:
    case AggregateFn::kSum:
    case AggregateFn::kValue:
      return Value::of(total);
    case AggregateFn::kRate: {
      const double seconds = window_seconds(now);
      return Value::of(seconds > 0 ? total / seconds : 0);
    }
    case AggregateFn::kDistinct:
      return Value::of(static_cast<double>(g.labels.size()));
    case AggregateFn::kAvg:
      return g.values.size() ? Value::of(g.values.sum() / static_cast<double>(g.values.size())) : Value::none();
    case AggregateFn::kMin:
      return g.values.size() ? Value::of(g.values.min()) : Value::none();
    case AggregateFn::kMax:
      return g.values.size() ? Value::of(g.values.max()) : Value::none();
    case AggregateFn::kMed:
    case AggregateFn::kQuantile:
      return quantile(g.values, spec_.p);
    case AggregateFn::kAll:
    case AggregateFn::kAny: {
      Value v;
      v.kind = Value::Kind::kList;
      for (const auto& [value, n] : g.values.counts()) v.list.push_back(Value::of(value));
      return v;
    }
  }
  return Value::none();
}

/// Average of the values over the range, each weighted by how long it was held in it.
Value Aggregate::time_average(const Group& g, Instant now) const {
  const Instant start = std::max(opened_, now - spec_.range);
  double weighted = 0;
  double seconds = 0;
  const auto hold = [&](double value, Instant from, Instant to) {
    const double held = (to - std::max(from, start)).seconds();
    if (held <= 0) return;
    weighted += value * held;
    seconds += held;
  };
  for (const Past& past : past_) {
    if (&groups_[past.group] == &g) hold(past.value, past.from, past.t);
  }
  for (const Set& set : sets_) {
    if (set.present && !set.text.valid() && &groups_[set.group] == &g) hold(set.value, set.since, now);
  }
  if (seconds > 0) return Value::of(weighted / seconds);
  return g.values.size() ? Value::of(g.values.sum() / static_cast<double>(g.values.size())) : Value::none();
}

Value Aggregate::read_gauge(const Group& g, Instant now, const NameTable& names) const {
  std::uint64_t texts = 0;
  for (const auto& [id, n] : g.texts) texts += n;
  const Multiset& seen = ranged() ? g.held : g.values;
  switch (spec_.fn) {
    case AggregateFn::kCount:
      return Value::of(static_cast<double>(g.values.size() + texts));
    case AggregateFn::kRate:
      return Value::none();
    case AggregateFn::kSum:
      return Value::of(g.values.sum());
    case AggregateFn::kAvg:
      if (ranged()) return time_average(g, now);
      return seen.size() ? Value::of(seen.sum() / static_cast<double>(seen.size())) : Value::none();
    case AggregateFn::kMin:
      return seen.size() ? Value::of(seen.min()) : Value::none();
    case AggregateFn::kMax:
      return seen.size() ? Value::of(seen.max()) : Value::none();
    case AggregateFn::kMed:
    case AggregateFn::kQuantile:
      return quantile(seen, spec_.p);
    case AggregateFn::kDistinct:
      return Value::of(static_cast<double>(g.labels.size()));
    case AggregateFn::kAll:
    case AggregateFn::kAny:
      return list_of(seen.counts(), g.texts, names);
    case AggregateFn::kValue:
      break;
  }
  if (g.values.distinct() + g.texts.size() == 1) {
    return g.texts.empty() ? Value::of(g.values.min()) : Value::of(names.text(NameId{g.texts.begin()->first}));
  }
  Value none;
  none.ambiguous = g.values.distinct() + g.texts.size() > 1;
  return none;
}

Value Aggregate::read_observation(const Group& g, Instant now, const NameTable& names) const {
  const bool numbers = ranged() ? g.values.size() > 0 : g.max >= g.min;
  const double sum = ranged() ? g.values.sum() : g.sum;
  switch (spec_.fn) {
    case AggregateFn::kCount:
      return Value::of(static_cast<double>(g.count));
    case AggregateFn::kRate: {
      const double seconds = window_seconds(now);
      return Value::of(seconds > 0 ? static_cast<double>(g.count) / seconds : 0);
    }
    case AggregateFn::kSum:
      return Value::of(sum);
    case AggregateFn::kAvg:
      return numbers ? Value::of(sum / static_cast<double>(g.count)) : Value::none();
    case AggregateFn::kMin:
      return numbers ? Value::of(ranged() ? g.values.min() : g.min) : Value::none();
    case AggregateFn::kMax:
      return numbers ? Value::of(ranged() ? g.values.max() : g.max) : Value::none();
    case AggregateFn::kMed:
    case AggregateFn::kQuantile:
      return ranged() ? quantile(g.values, spec_.p) : quantile(g.order, spec_.p);
    case AggregateFn::kValue:
      if (!g.any || g.count == 0) return Value::none();
      return g.last_text.valid() ? Value::of(names.text(g.last_text)) : Value::of(g.last);
    case AggregateFn::kDistinct:
      return Value::of(static_cast<double>(g.labels.size()));
    case AggregateFn::kAll:
    case AggregateFn::kAny: {
      std::map<double, std::uint64_t> distinct;
      if (!ranged()) g.order.each([&](double v) { distinct.try_emplace(distinct.end(), v, 1); });
      return list_of(ranged() ? g.values.counts() : distinct, g.texts, names);
    }
  }
  return Value::none();
}

Value Aggregate::read_group(const Group& g, Instant now, const NameTable& names) const {
  switch (kind_) {
    case SeriesKind::kCounter:
      return read_counter(g, now);
    case SeriesKind::kGauge:
      return read_gauge(g, now, names);
    case SeriesKind::kObservation:
      return read_observation(g, now, names);
  }
  return Value::none();
}

Value Aggregate::read(Instant now, const NameTable& names) {
  if (phase_ == Phase::kDone) return frozen_;
  if (groups_.empty() || !group_refs_.empty()) return Value::none();
  expire(now);
  return read_group(groups_.front(), now, names);
}

std::vector<MetricHub::Group> Aggregate::read_groups(Instant now, const NameTable& names) {
  if (phase_ == Phase::kDone) return frozen_groups_;
  expire(now);
  std::vector<MetricHub::Group> rows;
  for (const Group& g : groups_) {
    MetricHub::Group row;
    for (const NameId id : g.key) row.labels.emplace_back(names.text(id));
    row.value = read_group(g, now, names);
    if (kind_ == SeriesKind::kGauge && !g.key.empty() && g.values.size() == 0 && g.texts.empty()) continue;
    rows.push_back(std::move(row));
  }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.labels < b.labels; });
  return rows;
}

}  // namespace dcsim::trace
