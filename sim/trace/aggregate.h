#pragma once
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "trace/labels.h"
#include "trace/metrics.h"
#include "trace/order_statistics.h"

namespace dcsim::trace {

/// Values with their multiplicities, in ascending order.
class Multiset {
 public:
  void add(double v) {
    ++counts_[v];
    ++size_;
  }
  void take(double v);
  std::uint64_t size() const { return size_; }
  double min() const { return counts_.begin()->first; }
  double max() const { return counts_.rbegin()->first; }
  double sum() const;
  double at(std::uint64_t k) const;
  std::size_t distinct() const { return counts_.size(); }
  const std::map<double, std::uint64_t>& counts() const { return counts_; }
  void clear() {
    counts_.clear();
    size_ = 0;
  }

 private:
  std::map<double, std::uint64_t> counts_;
  std::uint64_t size_ = 0;
};

struct LabelHash {
  std::size_t operator()(const LabelValues& l) const noexcept {
    std::uint64_t h = (std::uint64_t{l.observer.value} << 32 | l.member.value) * 0x9E3779B97F4A7C15ull;
    for (const NameId id : l.slot) h = (h ^ (h >> 29) ^ id.value) * 0xBF58476D1CE4E5B9ull;
    return static_cast<std::size_t>(h ^ (h >> 32));
  }
};

/// One subscribed aggregate with its window. The hub feeds it every emission of its series.
class Aggregate {
 public:
  static Result<Aggregate> make(const AggregateSpec& spec, AgentLabels& agents, NameTable& names);

  const AggregateSpec& spec() const { return spec_; }
  bool open() const { return phase_ == Phase::kOpen; }
  void open(Instant t);
  void close(Instant t, const NameTable& names);

  // Hot: each returns true if something changed. Costs the matchers and a map access or two.
  bool count(Instant t, const LabelValues& labels, std::uint64_t n, const AgentLabels& agents, const NameTable& names);
  bool set(Instant t, const LabelValues& labels, double value, NameId text, const AgentLabels& agents,
           const NameTable& names);
  bool remove(Instant t, const LabelValues& labels, const AgentLabels& agents, const NameTable& names);
  bool observe(Instant t, const LabelValues& labels, double value, NameId text, const AgentLabels& agents,
               const NameTable& names);

  Value read(Instant now, const NameTable& names);
  std::vector<MetricHub::Group> read_groups(Instant now, const NameTable& names);
  Instant next_change(Instant now) const;

  struct Contribution {
    LabelValues labels;
    double value = 0;
    NameId text;
  };
  /// The latest, newest first.
  std::vector<Contribution> contributions() const;

  std::uint64_t stamp = 0;

 private:
  enum class Phase : std::uint8_t { kClosed, kOpen, kDone };
  using Counts = std::map<std::uint32_t, std::uint64_t>;  // NameId -> multiplicity

  struct Group {
    std::vector<NameId> key;
    std::uint64_t count = 0;  // counter: total; observation: samples
    double sum = 0;           // observation
    double min = std::numeric_limits<double>::infinity();
    double max = -std::numeric_limits<double>::infinity();
    double last = 0;
    NameId last_text;
    bool any = false;  // `last` is set
    Multiset values;   // gauge: now; counter: totals of label sets; ranged observation: samples
    Multiset held;     // ranged gauge: now and within the range
    Counts texts;
    Counts labels;          // kDistinct
    OrderStatistics order;  // observation without range
  };
  /// A label set of a gauge (its value) or of a counter whose function looks at label sets (its total).
  struct Set {
    std::uint32_t group = 0;
    bool present = false;
    double value = 0;
    NameId text;
    Instant since;
    NameId label;
  };
  /// What leaves a [range] again: a happening, or a gauge value that was replaced at t.
  struct Past {
    Instant t;
    Instant from;  // gauge
    std::uint32_t group = 0;
    std::uint32_t set = kNoSet;
    double value = 0;
    std::uint64_t n = 0;
    NameId text;
    NameId label;
  };
  static constexpr std::uint32_t kNoSet = 0xffffffffu;

  bool matches(const LabelValues& labels, const AgentLabels& agents, const NameTable& names);
  std::uint32_t group_of(const LabelValues& labels, const AgentLabels& agents);
  std::uint32_t set_of(const LabelValues& labels, std::uint32_t group);
  bool ranged() const { return spec_.range.ns > 0; }
  bool by_set() const;   // a counter's function looks at the totals of label sets
  bool ordered() const;  // an observation's function looks at order statistics
  void retire(Instant t, Set& set);
  void expire(Instant now);
  void forget(const Past& past);
  void note(const LabelValues& labels, double value, NameId text);
  double window_seconds(Instant now) const;

  Value read_group(const Group& g, Instant now, const NameTable& names) const;
  Value read_counter(const Group& g, Instant now) const;
  Value read_gauge(const Group& g, Instant now, const NameTable& names) const;
  Value read_observation(const Group& g, Instant now, const NameTable& names) const;
  Value time_average(const Group& g, Instant now) const;

  AggregateSpec spec_;
  SeriesKind kind_ = SeriesKind::kCounter;
  std::vector<Matcher> matchers_;
  std::vector<LabelRef> group_refs_;
  LabelRef label_ref_;
  Phase phase_ = Phase::kClosed;
  Instant opened_;
  std::vector<Group> groups_;
  std::map<std::vector<NameId>, std::uint32_t> group_index_;
  std::vector<Set> sets_;
  std::unordered_map<LabelValues, std::uint32_t, LabelHash> set_index_;
  std::deque<Past> past_;
  Value frozen_;
  std::vector<MetricHub::Group> frozen_groups_;
  std::vector<Contribution> latest_;  // a ring
  std::size_t latest_at_ = 0;
};

}  // namespace dcsim::trace
