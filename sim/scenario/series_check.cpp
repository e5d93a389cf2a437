#include "scenario/series_check.h"

#include <set>

#include "scenario/expr.h"

namespace dcsim::scenario {

namespace {

constexpr const char* kExpression = "E0201";
constexpr const char* kNoCondition = "E0202";

class Checker {
 public:
  Checker(std::vector<std::string> labels, Diagnostics& out) : labels_(std::move(labels)), out_(out) {}

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
    for (const std::string& group : metric.group_by) {
      for (const auto& aggregate : parsed->aggregates()) {
        if (trace::label_known(aggregate.series, group, labels_)) continue;
        add(kExpression, metric.at,
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
    return parsed;
  }
  void matchers(const SpannedText& text) {
    std::vector<ExprError> errors;
    (void)parse_matchers(text.text, errors);
    report(text, errors);
  }

 private:
  void report(const SpannedText& text, const std::vector<ExprError>& errors) {
    for (const ExprError& e : errors) add(kExpression, text.span(e.from, e.to), e.message, e.label, e.help);
  }
  void add(const char* code, SourceSpan at, std::string message, std::string label, std::string help) {
    out_.push_back(
        {code, Diagnostic::Severity::kError, std::move(message), std::move(at), std::move(label), std::move(help)});
  }

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
  Checker checker(agent_label_names(*scenario.topology), out);
  for (const Step& step : scenario.timeline) {
    if (step.when) checker.condition(*step.when);
  }
  for (const Expectation& e : scenario.expect) checker.condition(e.expression);
  for (const Metric& m : scenario.metrics) checker.metric(m);
  if (scenario.record.match) checker.matchers(*scenario.record.match);
}

}  // namespace dcsim::scenario
