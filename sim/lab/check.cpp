#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "consul/agent.h"
#include "consul/command.h"
#include "lab/build.h"
#include "lab/run.h"

namespace dcsim::lab {

namespace {

constexpr const char* kExpressionCode = "E0201";  // the loader's own: it reports the same, once
constexpr const char* kCommandCode = "E0402";

void tell(const scenario::SpannedText& text, const std::vector<scenario::ExprError>& errors, Diagnostics& out) {
  for (const scenario::ExprError& e : errors) {
    out.push_back({kExpressionCode, Diagnostic::Severity::kError, e.message, text.span(e.from, e.to), e.label, e.help});
  }
}

std::shared_ptr<const scenario::Expression> parse(const scenario::SpannedText& text, const std::vector<std::string>& labels,
                                                  bool condition, Diagnostics& out) {
  std::vector<scenario::ExprError> errors;
  auto expression = scenario::Expression::parse(text.text, labels, errors);
  if (expression && condition && !expression->is_condition()) {
    errors.push_back({0, text.text.size(), "this is a value, not a condition", "compare it with something", ""});
  }
  if (expression && !condition && expression->is_condition()) {
    errors.push_back({0, text.text.size(), "this is a condition, not a value", "", "a metric is a number"});
  }
  tell(text, errors, out);
  return errors.empty() ? expression : nullptr;
}

void check_command(const scenario::SpannedText& command, Diagnostics& out) {
  const auto words = consul::split_command(command.text);
  if (!words) {
    out.push_back({kCommandCode, Diagnostic::Severity::kError, words.error().text, command.at, "", ""});
  } else if (!consul::is_modelled(*words)) {
    out.push_back({"W0403", Diagnostic::Severity::kWarning, "this command is not modelled yet: it will print so and exit 1", command.at, "",
                   "modelled: consul members, join, leave, force-leave; serf members, join, leave, force-leave, event"});
  }
}

}  // namespace

Expressions parse_expressions(const scenario::Scenario& s, Diagnostics& out) {
  const std::vector<std::string> labels = s.topology ? agent_labels(*s.topology) : std::vector<std::string>{};
  Expressions e;
  for (const scenario::Expectation& x : s.expect) e.expect.push_back(parse(x.expression, labels, true, out));
  for (const scenario::Metric& m : s.metrics) {
    e.metrics.push_back(parse(m.value, labels, false, out));
    if (!e.metrics.back()) continue;
    for (const std::string& group : m.group_by) {
      for (const auto& aggregate : e.metrics.back()->aggregates()) {
        if (trace::label_known(aggregate.series, group, labels)) continue;
        out.push_back({kExpressionCode, Diagnostic::Severity::kError,
                       fmt::format("`{}` has no label `{}` to group by", trace::series_spec(aggregate.series).name, group), m.at, "", ""});
      }
    }
  }
  for (const scenario::Step& step : s.timeline) e.when.push_back(step.when ? parse(*step.when, labels, true, out) : nullptr);
  return e;
}

void check_agents(const scenario::Topology& t, Diagnostics& out) {
  std::set<std::uint32_t> told;
  for (std::uint32_t i = 0; i < t.agents.size(); ++i) {
    const scenario::Agent& a = t.agents[i];
    if (a.group >= t.groups.size() || !t.groups[a.group].config || a.zone >= t.zones.size() || a.datacenter >= t.datacenters.size()) continue;
    if (!told.insert(a.group).second) continue;  // one group, one set of keys
    static_cast<void>(build_agent(t, i, nullptr, out));
  }
}

void check_topology(const scenario::Topology& topology, Diagnostics& out) { static_cast<void>(build_world(topology, 1, out)); }

void check_scenario(const scenario::Scenario& s, Diagnostics& out) {
  static_cast<void>(parse_expressions(s, out));
  if (s.record.match) {
    std::vector<scenario::ExprError> errors;
    static_cast<void>(scenario::parse_matchers(s.record.match->text, errors));
    tell(*s.record.match, errors, out);
  }
  if (s.record.events == scenario::Record::Events::kListed) {
    for (const auto& [name, at] : s.record.event_names) {
      if (trace::find_kind(name)) continue;
      out.push_back({kExpressionCode, Diagnostic::Severity::kError, fmt::format("unknown event `{}`", name), at, "", "events are named as in trace.jsonl, for example member-failed"});
    }
  }
  for (const scenario::Step& step : s.timeline) {
    if (const auto* run = std::get_if<scenario::RunAction>(&step.action)) check_command(run->command, out);
    const auto* process = std::get_if<scenario::ProcessAction>(&step.action);
    if (!process || !process->config || !s.topology) continue;
    for (const std::uint32_t agent : scenario::matching(process->agents, *s.topology)) {
      Diagnostics mine;
      static_cast<void>(build_agent(*s.topology, agent, &*process->config, mine));
      out.insert(out.end(), mine.begin(), mine.end());
      if (!mine.empty()) break;  // the others would say the same
    }
  }
  for (const scenario::Workload& w : s.workload) check_command(w.run, out);
  static constexpr std::string_view kFaults[] = {"crash", "impair", "partition", "pause", "restart", "slow_cpu"};
  for (const scenario::Fault& f : s.faults) {
    for (const std::string& kind : f.kinds) {
      if (std::find(std::begin(kFaults), std::end(kFaults), kind) != std::end(kFaults)) continue;
      out.push_back({"E0404", Diagnostic::Severity::kError, fmt::format("unknown kind of fault `{}`", kind), f.at, "",
                     "kinds: crash, impair, partition, pause, restart, slow_cpu"});
    }
  }
  if (s.topology) check_topology(*s.topology, out);
}

}  // namespace dcsim::lab
