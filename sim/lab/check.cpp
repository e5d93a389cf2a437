#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "consul/agent.h"
#include "consul/command.h"
#include "lab/build.h"
#include "lab/run.h"
#include "scenario/series_check.h"

namespace dcsim::lab {

namespace {

constexpr const char* kCommandCode = "E0402";
constexpr const char* kFaultCode = "E0404";

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

Expressions parse_expressions(const scenario::Scenario& s) {
  const std::vector<std::string> labels = scenario::agent_label_names(*s.topology);
  const auto parse = [&](const scenario::SpannedText& text) {
    std::vector<scenario::ExprError> errors;
    auto expression = scenario::Expression::parse(text.text, labels, errors);
    DCSIM_CHECK_MSG(expression != nullptr, text.text);  // the loader refuses a file whose expressions do not parse
    return expression;
  };
  Expressions e;
  for (const scenario::Expectation& x : s.expect) e.expect.push_back(parse(x.expression));
  for (const scenario::Metric& m : s.metrics) e.metrics.push_back(parse(m.value));
  for (const scenario::Step& step : s.timeline) e.when.push_back(step.when ? parse(*step.when) : nullptr);
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

namespace {

void check_faults(const scenario::Scenario& s, Diagnostics& out) {
  static constexpr std::string_view kKinds[] = {"crash", "impair", "partition", "pause", "restart", "slow_cpu"};
  static constexpr const char* kHelp = "kinds: crash, impair, partition, pause, restart, slow_cpu";
  const auto fail = [&](const scenario::Fault& f, std::string text, const char* help) {
    out.push_back({kFaultCode, Diagnostic::Severity::kError, std::move(text), f.at, "", help});
  };
  for (const scenario::Fault& f : s.faults) {
    if (f.kinds.empty()) fail(f, "a fault needs at least one kind", kHelp);
    for (const std::string& kind : f.kinds) {
      if (std::find(std::begin(kKinds), std::end(kKinds), kind) == std::end(kKinds)) fail(f, fmt::format("unknown kind of fault `{}`", kind), kHelp);
    }
    if (f.interval && *f.interval < 1_ms) fail(f, "faults more often than every 1ms are not drawn", "for example interval: 30s");
  }
}

/// A repetition that would fill the memory with its transcript, before it is run.
void check_repeats(const scenario::Scenario& s, const scenario::SpannedText& command, Duration every, std::size_t agents, Diagnostics& out) {
  constexpr std::int64_t kMost = 2'000'000;
  if (every.ns <= 0 || agents == 0) return;
  const std::int64_t each = s.duration / every;
  if (each > kMost / static_cast<std::int64_t>(agents)) {
    out.push_back({kCommandCode, Diagnostic::Severity::kError, fmt::format("this command would run more than {} times", kMost), command.at, "",
                   "repeat it less often, at fewer agents, or for a shorter time"});
  }
}

void check_clock(const scenario::Step& step, Diagnostics& out) {
  const auto* host = std::get_if<scenario::HostAction>(&step.action);
  if (!host || host->kind != scenario::HostAction::Kind::kClock || !host->drift) return;
  if (*host->drift > -1'000'000'000 && *host->drift <= 1'000'000'000) return;
  out.push_back({kFaultCode, Diagnostic::Severity::kError, "a clock drifts by more than -100% and at most 100%", step.at, "", "for example drift: 0.01%"});
}

}  // namespace

void check_scenario(const scenario::Scenario& s, Diagnostics& out) {
  if (s.record.events == scenario::Record::Events::kListed) {
    for (const auto& [name, at] : s.record.event_names) {
      if (trace::find_kind(name)) continue;
      out.push_back({"E0403", Diagnostic::Severity::kError, fmt::format("unknown event `{}`", name), at, "", "events are named as in trace.jsonl, for example member-failed"});
    }
  }
  for (const scenario::Step& step : s.timeline) {
    check_clock(step, out);
    if (const auto* run = std::get_if<scenario::RunAction>(&step.action)) {
      check_command(run->command, out);
      if (step.every && s.topology) check_repeats(s, run->command, *step.every, scenario::matching(run->agents, *s.topology).size(), out);
    }
    const auto* process = std::get_if<scenario::ProcessAction>(&step.action);
    if (!process || !process->config || !s.topology) continue;
    for (const std::uint32_t agent : scenario::matching(process->agents, *s.topology)) {
      Diagnostics mine;
      static_cast<void>(build_agent(*s.topology, agent, &*process->config, mine));
      out.insert(out.end(), mine.begin(), mine.end());
      if (!mine.empty()) break;  // the others would say the same
    }
  }
  for (const scenario::Workload& w : s.workload) {
    check_command(w.run, out);
    if (!w.every || !s.topology) continue;
    const std::size_t agents = w.agents ? scenario::matching(*w.agents, *s.topology).size() : s.topology->agents.size();
    check_repeats(s, w.run, *w.every, agents, out);
  }
  check_faults(s, out);
  if (s.topology) check_topology(*s.topology, out);
}

}  // namespace dcsim::lab
