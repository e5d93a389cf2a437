#include "scenario/series_check.h"

#include <algorithm>
#include <set>

#include "scenario/codes.h"
#include "scenario/expr.h"
#include "scenario/expr_units.h"
#include "scenario/fed_series.h"
#include "scenario/suggest.h"

namespace dcsim::scenario {

namespace {

constexpr const char* kExpression = "E0201";
constexpr const char* kNoCondition = "E0202";

class Checker {
 public:
  Checker(const Topology& topology, Diagnostics& out) : topology_(topology), labels_(agent_label_names(topology)), out_(out) {}

  void condition(const SpannedText& text) {
    const auto parsed = parse(text);
    if (parsed && !parsed->is_condition())
      add(kNoCondition, text.span(0, text.text.size()), "this expression is a value, not a condition", {},
          "compare it: ... > 0");
  }
  void metric(const Metric& metric) {
    const auto parsed = parse(metric.value);
    if (!parsed) return;
    if (parsed->is_condition())
      add(kNoCondition, metric.value.span(0, metric.value.text.size()), "this expression is a condition, not a value", {},
          "a metric is a number");
    if (parsed->is_text())
      warn(code::kNoEffect, metric.value.span(0, metric.value.text.size()), "this metric is a text, not a number: nothing can compare it");
    const UnitSpec have = unit_spec(parsed->unit());
    const UnitSpec want = unit_spec(metric.unit);
    if (have.has_scale() && want.has_scale() && !convert(1, parsed->unit(), metric.unit))
      warn(code::kNoEffect, metric.value.span(0, metric.value.text.size()),
           "the values are in `" + parsed->unit() + "`, which does not convert to the unit `" + metric.unit + "`");
    for (std::size_t i = 0; i < metric.group_by.size(); ++i) {
      const std::string& group = metric.group_by[i];
      for (const auto& aggregate : parsed->aggregates()) {
        if (trace::label_known(aggregate.series, group, labels_)) continue;
        add(kExpression, i < metric.group_at.size() ? metric.group_at[i] : metric.at,
            "`" + std::string(trace::series_spec(aggregate.series).name) + "` has no label `" + group + "` to group by", {}, {});
      }
    }
  }
  std::shared_ptr<const Expression> parse(const SpannedText& text) {
    if (text.empty() || text.text.find("${") != std::string::npos)
      return nullptr;  // reported as missing, or as an unknown parameter
    std::vector<ExprError> errors;
    auto parsed = Expression::parse(text.text, labels_, errors);
    report(text, errors);
    if (parsed) warn_of_silence(text, *parsed);
    if (parsed) warn_of_strangers(text, *parsed);
    return parsed;
  }
  void matchers(const SpannedText& text) {
    std::vector<ExprError> errors;
    const auto matchers = parse_matchers(text.text, errors);
    report(text, errors);
    // What a packet has: see host/capture.cpp.
    static constexpr std::string_view kLabels[] = {"agent", "dc", "from", "link", "name", "node", "port", "proto", "to", "zone"};
    std::vector<std::string_view> known(std::begin(kLabels), std::end(kLabels));
    known.insert(known.end(), labels_.begin(), labels_.end());
    std::size_t at = 0;
    for (const trace::MatcherSpec& m : matchers) {
      at = std::min(text.text.find(m.label, at), text.text.size());
      const std::size_t end = std::min(at + m.label.size(), text.text.size());
      if (errors.empty() && std::find(known.begin(), known.end(), m.label) == known.end())
        add(kExpression, text.span(at, end), "packets have no label `" + m.label + "`", did_you_mean(m.label, known), "labels: " + listed(known));
      at = end;
    }
  }

 private:
  void report(const SpannedText& text, const std::vector<ExprError>& errors) {
    for (const ExprError& e : errors) add(kExpression, text.span(e.from, e.to), e.message, e.label, e.help);
  }
  /// What nothing reports to is 0 and none for ever: an expectation over it says nothing about the run.
  void warn_of_silence(const SpannedText& text, const Expression& expression) {
    for (std::size_t i = 0; i < expression.aggregates().size(); ++i) {
      const trace::Series series = expression.aggregates()[i].series;
      if (is_fed(series)) continue;
      const auto [from, to] = expression.series_at()[i];
      warn(code::kUnfedSeries, text.span(from, to),
           "series `" + std::string(trace::series_spec(series).name) +
               "` is not fed by this version: the expression is judged on no samples");
    }
  }
  /// Zones, datacenters and firewalls that do not exist match nothing.
  void warn_of_strangers(const SpannedText& text, const Expression& expression) {
    std::size_t from = 0;
    for (const trace::AggregateSpec& aggregate : expression.aggregates()) {
      for (const trace::MatcherSpec& m : aggregate.matchers) {
        const std::size_t found = text.text.find(m.text, from);
        const std::size_t at = found == std::string::npos ? 0 : found;
        const std::size_t end = found == std::string::npos ? text.text.size() : at + m.text.size();
        if (found != std::string::npos) from = end;
        if (m.op != trace::MatchOp::kEqual || m.text.empty()) continue;
        const std::string_view label = m.label;
        const bool zone = label == "zone" || label.ends_with("_zone");
        if (zone && !topology_.zone_index(m.text))
          warn(code::kMatchesNothing, text.span(at, end), "no zone is called `" + m.text + "`: this matches nothing");
        if (label == "fw" && topology_.firewall(m.text) == nullptr)
          warn(code::kMatchesNothing, text.span(at, end), "no firewall is called `" + m.text + "`: this matches nothing");
      }
    }
  }
  void warn(const char* code, SourceSpan at, std::string message) {
    out_.push_back({code, Diagnostic::Severity::kWarning, std::move(message), std::move(at), {}, {}});
  }
  void add(const char* code, SourceSpan at, std::string message, std::string label, std::string help) {
    out_.push_back(
        {code, Diagnostic::Severity::kError, std::move(message), std::move(at), std::move(label), std::move(help)});
  }

  const Topology& topology_;
  std::vector<std::string> labels_;
  Diagnostics& out_;
};

}  // namespace

std::vector<std::string> agent_label_names(const Topology& topology) {
  std::set<std::string> names;
  for (const AgentGroup& group : topology.groups) {
    for (const auto& [name, value] : group.labels) names.insert(name);
  }
  for (const Zone& zone : topology.zones) {
    for (const auto& [name, value] : zone.labels) names.insert(name);
  }
  return {names.begin(), names.end()};
}

void check_expressions(const Scenario& scenario, Diagnostics& out) {
  Checker checker(*scenario.topology, out);
  for (const Step& step : scenario.timeline) {
    if (step.when) checker.condition(*step.when);
  }
  for (const Expectation& e : scenario.expect) checker.condition(e.expression);
  for (const Metric& m : scenario.metrics) checker.metric(m);
  if (scenario.record.match) checker.matchers(*scenario.record.match);
}

}  // namespace dcsim::scenario
