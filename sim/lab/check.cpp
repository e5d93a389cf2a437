#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "consul/agent.h"
#include "consul/command.h"
#include "lab/build.h"
#include "lab/run.h"
#include "scenario/series_check.h"
#include "scenario/suggest.h"

namespace dcsim::lab {

namespace {
constexpr const char* kVerbs[] = {"catalog", "debug",  "event", "exec", "force-leave", "info",  "join",    "keygen",     "keyring",    "keys",  "kv",
                                  "leave",   "lock",   "maint", "members", "monitor",  "operator", "query", "reachability", "reload", "rtt",
                                  "services", "session", "snapshot", "tags", "version", "watch"};
}

std::string modelled_commands() {
  std::string out;
  for (const char* program : {"consul", "serf"}) {
    std::string verbs;
    for (const char* verb : kVerbs) {
      if (consul::is_modelled({program, verb})) verbs += fmt::format("{}{}", verbs.empty() ? "" : "|", verb);
    }
    if (!verbs.empty()) out += fmt::format("{}{} {}", out.empty() ? "" : "; ", program, verbs);
  }
  return out;
}

namespace {

constexpr const char* kCommandCode = "E0402";
constexpr const char* kFaultCode = "E0404";

void check_command(const scenario::SpannedText& command, Diagnostics& out) {
  const auto words = consul::split_command(command.text);
  if (!words) {
    out.push_back({kCommandCode, Diagnostic::Severity::kError, words.error().text, command.at, "", ""});
  } else if (words->size() > 1 && !consul::is_modelled(*words)) {
    std::vector<std::string_view> verbs;
    for (const char* verb : kVerbs) {
      if (consul::is_modelled({(*words)[0], verb})) verbs.push_back(verb);
    }
    out.push_back({"W0403", Diagnostic::Severity::kWarning,
                   fmt::format("`{} {}` is not modelled yet: it will print so and exit 1", (*words)[0], (*words)[1].substr(0, 60)), command.at,
                   scenario::did_you_mean((*words)[1], verbs),
                   "modelled: " + modelled_commands()});
  } else if (words->size() > 2 && (*words)[0] == "consul" && (*words)[1] == "leave") {
    out.push_back({"W0405", Diagnostic::Severity::kWarning, "`consul leave` takes no arguments", command.at, "", "write consul leave"});
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

void check_drift(std::optional<std::int64_t> drift, const SourceSpan& at, Diagnostics& out) {
  if (!drift || (*drift > -1'000'000'000 && *drift <= 1'000'000'000)) return;
  out.push_back({kFaultCode, Diagnostic::Severity::kError, "a clock drifts by more than -100% and at most 100%", at, "", "for example drift: 0.01%"});
}

void check_faults(const scenario::Scenario& s, Diagnostics& out) {
  static constexpr std::string_view kKinds[] = {"clock", "crash", "impair", "partition", "pause", "restart", "slow_cpu", "slow_disk", "stop"};
  static constexpr const char* kHelp = "kinds: clock, crash, impair, partition, pause, restart, slow_cpu, slow_disk, stop";
  const auto fail = [&](const scenario::Fault& f, std::string text, const char* help) {
    out.push_back({kFaultCode, Diagnostic::Severity::kError, std::move(text), f.at, "", help});
  };
  for (const scenario::Fault& f : s.faults) {
    for (const std::string& kind : f.kinds) {
      if (std::find(std::begin(kKinds), std::end(kKinds), kind) == std::end(kKinds)) fail(f, fmt::format("unknown kind of fault `{}`", kind), kHelp);
    }
    check_drift(f.clock.drift, f.at, out);
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

}  // namespace

void check_texts(const scenario::Scenario& s, Diagnostics& out) {
  if (s.record.events == scenario::Record::Events::kListed) {
    for (const auto& [name, at] : s.record.event_names) {
      if (trace::find_kind(name)) continue;
      out.push_back({"E0403", Diagnostic::Severity::kError, fmt::format("unknown event `{}`", name), at, "", "events are named as in trace.jsonl, for example member-failed"});
    }
  }
  for (const scenario::Step& step : s.timeline) {
    const auto* host = std::get_if<scenario::HostAction>(&step.action);
    if (host && host->kind == scenario::HostAction::Kind::kClock) check_drift(host->drift, step.at, out);
    const auto* run = std::get_if<scenario::RunAction>(&step.action);
    if (!run || run->command.empty()) continue;
    check_command(run->command, out);
    if (step.every && s.topology) check_repeats(s, run->command, *step.every, scenario::matching(run->agents, *s.topology).size(), out);
  }
  for (const scenario::Workload& w : s.workload) {
    if (w.run.empty()) continue;
    check_command(w.run, out);
    if (!w.every || !s.topology) continue;
    const std::size_t agents = w.agents ? scenario::matching(*w.agents, *s.topology).size() : s.topology->agents.size();
    check_repeats(s, w.run, *w.every, agents, out);
  }
  check_faults(s, out);
}

void check_scenario(const scenario::Scenario& s, Diagnostics& out) {
  check_texts(s, out);
  for (const scenario::Step& step : s.timeline) {
    const auto* process = std::get_if<scenario::ProcessAction>(&step.action);
    if (!process || !process->config || !s.topology) continue;
    for (const std::uint32_t agent : scenario::matching(process->agents, *s.topology)) {
      Diagnostics mine;
      static_cast<void>(build_agent(*s.topology, agent, &*process->config, mine));
      out.insert(out.end(), mine.begin(), mine.end());
      if (!mine.empty()) break;  // the others would say the same
    }
  }
  if (s.topology) check_topology(*s.topology, out);
}

}  // namespace dcsim::lab
