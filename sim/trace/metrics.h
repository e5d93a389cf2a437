#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/name_table.h"
#include "base/result.h"
#include "base/time.h"
#include "trace/series.h"

namespace dcsim::trace {

/// The labels of one emission. `observer` is the agent it happened at (whatever the series calls it:
/// SeriesSpec::agent), `slot[i]` belongs to SeriesSpec::slots[i]. Unset ids mean "label absent", which matches as the
/// empty string.
struct LabelValues {
  NameId observer = {};
  NameId member = {};
  std::array<NameId, kMaxSlots> slot = {};
  bool operator==(const LabelValues&) const = default;
};

enum class AggregateFn : std::uint8_t {
  kCount,
  kRate,
  kSum,
  kAvg,
  kMin,
  kMax,
  kMed,
  kQuantile,
  kValue,
  kDistinct,
  kAll,
  kAny
};
enum class MatchOp : std::uint8_t { kEqual, kNotEqual, kMatches, kNotMatches };

/// `label op "text"`. Regular expressions are base/regex.h's and match the whole value, as Prometheus' do.
struct MatcherSpec {
  std::string label = {};
  MatchOp op = MatchOp::kEqual;
  std::string text = {};
};

/// agg(series{matchers}[range], label), with p for p(N) in percent, and the labels a metric is grouped by.
struct AggregateSpec {
  AggregateFn fn = AggregateFn::kCount;
  double p = 0;
  Series series = Series::kCount_;
  std::vector<MatcherSpec> matchers = {};
  Duration range = {};     ///< zero = the whole window
  std::string label = {};  ///< kDistinct
  std::vector<std::string> group_by = {};
};

/// What an aggregate says. `none` = nothing to look at (min of no samples, value of no label set); `count`, `sum`,
/// `rate` and `distinct` of nothing are 0.
struct Value {
  enum class Kind : std::uint8_t { kNone, kNumber, kText, kList };
  Kind kind = Kind::kNone;
  double number = 0;
  std::string text = {};
  std::vector<Value> list;  ///< kAll, kAny: the distinct values, numbers ascending and then texts in byte order
  bool ambiguous = false;   ///< kNone because `value` met label sets that differ

  static Value none() { return {}; }
  static Value of(double n) {
    Value v;
    v.kind = Kind::kNumber;
    v.number = n;
    return v;
  }
  static Value of(std::string_view t) {
    Value v;
    v.kind = Kind::kText;
    v.text = t;
    return v;
  }
  bool operator==(const Value&) const = default;
};

using AggregateId = Id<struct AggregateTag>;

/// What the series mean under each function:
///   counter      count, sum, value: total of the happenings in the window; rate: that per second of window (or range);
///                min max avg med p: over the totals of the label sets that happened; distinct: values of the label;
///                all, any: those totals.
///   gauge        count: number of label sets that have a value now; min max avg sum med p: over their values now;
///                value: the value, if all sets agree (else none + ambiguous); all, any: the values. Closing freezes.
///                With [range]: over the values held at some moment of the range (avg: weighted by time held; count,
///                distinct, value: now). Without numbers (texts): count, value, distinct, all, any.
///   observation  over all samples of the window so far (or of the range): count, sum, avg, min, max, med, p, rate
///                (samples per second), value (the last), all, any (distinct values), distinct (values of the label).
/// Quantiles interpolate linearly between order statistics and are exact up to 4 Mi samples an aggregate and group;
/// beyond, every second, fourth, ... sample enters them (count, sum, avg, min and max stay exact).
///
/// Life: register agents and subscribe before the run; emit during it; open/close windows as steps pass. A series
/// nobody subscribed to costs one predictable branch an emission. Observing draws no randomness and changes nothing.
class MetricHub {
 public:
  explicit MetricHub(NameTable& names);
  ~MetricHub();
  MetricHub(const MetricHub&) = delete;
  MetricHub& operator=(const MetricHub&) = delete;

  /// The labels of an agent: role, zone, dc, segment and its own. Registering again replaces.
  void register_agent(NameId agent, std::span<const std::pair<std::string, std::string>> labels);
  /// Names of all labels that agents have, sorted: for label_known().
  std::vector<std::string> agent_labels() const;
  /// The label's value at an agent, none() if it has none.
  NameId agent_label(NameId agent, std::string_view label) const;

  /// Adds an aggregate, closed until open(). Fails on a regular expression that does not compile or is longer than
  /// 1 KiB, and on p outside 0..100. Gauges are known from the subscription on.
  Result<AggregateId> subscribe(const AggregateSpec& spec);

  // -- emission
  bool wanted(Series s) const { return wanted_[static_cast<std::size_t>(s)]; }
  // Hot: one branch when nobody asked; else about 20 ns a subscription of the series.
  void count(Instant t, Series s, const LabelValues& labels, std::uint64_t n = 1) {
    if (wanted(s)) [[unlikely]]
      do_count(t, s, labels, n);
  }
  void set(Instant t, Series s, const LabelValues& labels, double value) {
    if (wanted(s)) [[unlikely]]
      do_set(t, s, labels, value, NameId::none());
  }
  void set_text(Instant t, Series s, const LabelValues& labels, NameId value) {
    if (wanted(s)) [[unlikely]]
      do_set(t, s, labels, 0, value);
  }
  /// A gauge's label set has no value any more (the agent stopped, the member was reaped).
  void remove(Instant t, Series s, const LabelValues& labels) {
    if (wanted(s)) [[unlikely]]
      do_remove(t, s, labels);
  }
  void observe(Instant t, Series s, const LabelValues& labels, double value) {
    if (wanted(s)) [[unlikely]]
      do_observe(t, s, labels, value, NameId::none());
  }
  void observe_text(Instant t, Series s, const LabelValues& labels, NameId value) {
    if (wanted(s)) [[unlikely]]
      do_observe(t, s, labels, 0, value);
  }

  // -- windows and reading
  /// Starts the aggregate's window at t, forgetting what it had; gauges keep their current values.
  void open(AggregateId id, Instant t);
  /// Ends the window: the aggregate stays as it is at t.
  void close(AggregateId id, Instant t);
  bool is_open(AggregateId id) const;
  /// The value at `now` (>= every emission so far), ungrouped; with group_by, over all groups together is not defined:
  /// use read_groups.
  Value read(AggregateId id, Instant now);
  /// One row a group seen in the window, in order of the label values' text.
  struct Group {
    std::vector<std::string> labels;  ///< in the order of AggregateSpec::group_by
    Value value;
  };
  std::vector<Group> read_groups(AggregateId id, Instant now);
  /// A label set that contributes now, for failure messages: "consul.serf.member.failed{observer=...,member=...} 3".
  /// At most `limit` lines, the most recent contributions first; label sets are remembered for the last 16 only.
  std::vector<std::string> contributors(AggregateId id, std::size_t limit) const;

  /// Grows whenever the aggregate's value may have changed by an emission, open or close. Compare to skip evaluation.
  std::uint64_t stamp(AggregateId id) const;
  /// Grows whenever any aggregate's stamp does.
  std::uint64_t stamp() const { return stamp_; }
  /// When the value will change by the mere passing of time after `now`: the next expiry of a [range] sample; `now`
  /// itself + 1 ns for a rate or a ranged time average over something not zero; never() else.
  Instant next_change(AggregateId id, Instant now) const;

 private:
  struct State;
  void do_count(Instant t, Series s, const LabelValues& labels, std::uint64_t n);
  void do_set(Instant t, Series s, const LabelValues& labels, double value, NameId text);
  void do_remove(Instant t, Series s, const LabelValues& labels);
  void do_observe(Instant t, Series s, const LabelValues& labels, double value, NameId text);

  std::array<bool, kSeriesCount> wanted_{};
  std::uint64_t stamp_ = 0;
  std::unique_ptr<State> state_;
};

/// One row of metrics.csv (tidy: metric, labels, value, unit).
struct MetricRow {
  std::string metric = {};
  std::vector<std::pair<std::string, std::string>> labels = {};
  Value value = {};
  std::string unit = {};
};
/// The file's text with its header line, RFC 4180 quoting, numbers in shortest exact form; lists joined by '|'.
std::string metrics_csv(std::span<const MetricRow> rows);

}  // namespace dcsim::trace
