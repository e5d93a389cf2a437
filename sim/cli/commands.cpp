#include "cli/commands.h"

#include <fmt/format.h>

#include <algorithm>

#include "lab/explain.h"
#include "lab/reach.h"
#include "lab/report.h"
#include "lab/run.h"
#include "lab/verify.h"
#include "scenario/loader.h"
#include "scenario/render.h"
#include "scenario/suggest.h"
#include "scenario/units.h"
#include "trace/output.h"

namespace dcsim::cli {

namespace {

/// A file with everything that can be said against it.
scenario::LoadResult load(const Common& common, const std::string& file, bool& usable) {
  scenario::LoadOptions options;
  scenario::LoadResult result;
  usable = false;
  for (const std::string& s : common.set) {
    const auto equals = s.find('=');
    if (equals == std::string::npos || equals == 0) {
      result.diagnostics.push_back({"E0001", Diagnostic::Severity::kError, fmt::format("`--set {}` is no name=value", s), {}, "", ""});
      return result;
    }
    options.set.emplace_back(s.substr(0, equals), s.substr(equals + 1));
  }
  result = scenario::load_file(file, options);
  // Agents' configurations can be read even where the rest has mistakes; a network needs a sound topology.
  const bool sound = result.ok();
  std::vector<std::shared_ptr<const scenario::Topology>> topologies = result.topologies;
  for (const scenario::Scenario& s : result.scenarios) {
    if (sound && s.topology) lab::check_scenario(s, result.diagnostics);
    else lab::check_texts(s, result.diagnostics);
    if (sound) std::erase(topologies, s.topology);
    else if (s.topology && std::find(topologies.begin(), topologies.end(), s.topology) == topologies.end()) topologies.push_back(s.topology);
  }
  for (const auto& t : topologies) {
    if (sound) lab::check_topology(*t, result.diagnostics);
    else lab::check_agents(*t, result.diagnostics);
  }
  scenario::sort_diagnostics(result.diagnostics);
  usable = result.ok();
  return result;
}

std::string rendered(const Common& common, const scenario::LoadResult& result, bool color) {
  switch (common.format) {
    case Format::kJson: return scenario::render_json(result.diagnostics);
    case Format::kGithub: return scenario::render_github(result.diagnostics);
    case Format::kText: break;
  }
  return scenario::render_text(result.diagnostics, result.sources, {color, 200});
}

std::size_t errors_in(const scenario::LoadResult& result) {
  return static_cast<std::size_t>(std::count_if(result.diagnostics.begin(), result.diagnostics.end(),
                                                [](const Diagnostic& d) { return d.severity == Diagnostic::Severity::kError; }));
}

/// Says what is wrong with a file that will not be run: text to stderr; json and github, which programs read, to stdout.
int refuse(const Common& common, const Terminal& terminal, const scenario::LoadResult& result) {
  const std::string text = rendered(common, result, terminal.color_err());
  if (common.format != Format::kText) {
    print(text);
    return 2;
  }
  const std::size_t n = errors_in(result);
  complain(text + fmt::format("{} error{}; nothing was run\n", n, n == 1 ? "" : "s"));
  return 2;
}

/// The scenario of that name, or the only one; nullptr after a complaint.
const scenario::Scenario* chosen_scenario(const scenario::LoadResult& result, const std::string& file, const std::string& wanted) {
  std::vector<std::string_view> names;
  for (const scenario::Scenario& s : result.scenarios) names.push_back(s.name);
  if (result.scenarios.empty()) {
    complain(fmt::format("error: {} holds no scenario\n", file));
  } else if (wanted.empty() && names.size() > 1) {
    complain(fmt::format("error: {} holds {} scenarios: say which with --scenario NAME\nscenarios: {}\n", file, names.size(), scenario::listed(names)));
  } else if (wanted.empty()) {
    return &result.scenarios.front();
  } else {
    for (const scenario::Scenario& s : result.scenarios) {
      if (s.name == wanted) return &s;
    }
    const std::string near = scenario::did_you_mean(wanted, names);
    complain(fmt::format("error: {} holds no scenario `{}`{}{}\nscenarios: {}\n", file, wanted, near.empty() ? "" : ": ", near, scenario::listed(names)));
  }
  return nullptr;
}

std::optional<lab::RunOptions> options_of(const Common& common, const RunArguments& arguments) {
  lab::RunOptions options;
  options.seed = arguments.seed;
  options.out_dir = arguments.out;
  for (const std::string& s : common.set) options.set.emplace_back(s.substr(0, s.find('=')), s.substr(s.find('=') + 1));
  if (!arguments.until.empty()) {
    const auto until = scenario::parse_duration(arguments.until);
    if (!until) {
      complain(fmt::format("error: --until: {}{}\n", until.error.message,
                           until.error.suggestion.empty() ? "; for example 3m30s" : fmt::format("; did you mean `{}`?", until.error.suggestion)));
      return std::nullopt;
    }
    options.until = until.value;
  }
  return options;
}

}  // namespace

int run(const Common& common, const RunArguments& arguments) {
  const Terminal terminal(common.color);
  bool usable = false;
  const scenario::LoadResult loaded = load(common, arguments.file, usable);
  if (!usable) return refuse(common, terminal, loaded);
  if (!loaded.diagnostics.empty()) complain(scenario::render_text(loaded.diagnostics, loaded.sources, {terminal.color_err(), 20}));
  const scenario::Scenario* scenario = chosen_scenario(loaded, arguments.file, arguments.scenario);
  auto options = options_of(common, arguments);
  if (!scenario || !options) return 2;
  if (loaded.scenarios.size() > 1) options->scenario = scenario->name;
  catch_interrupt();
  options->interrupted = interrupted;
  lab::RunResult result;
  {
    ProgressLine line(scenario->name, terminal.err_is_terminal());
    options->progress = [&](const lab::Progress& p) { line.show(p); };
    result = lab::run_scenario(*scenario, *options);
  }
  if (!result.write_error.empty()) {
    complain(fmt::format("error: {}\n", result.write_error));
    if (result.digest.empty()) return result.exit_status();  // nothing was run
  }
  switch (common.format) {
    case Format::kText: print(lab::summary_text(result, terminal.color_out())); break;
    case Format::kJson: print(lab::summary_json(result)); break;
    case Format::kGithub: print(lab::summary_github(result)); break;
  }
  if (!result.files.empty() && common.format == Format::kText) {
    std::string names;
    for (const std::string& f : result.files) names += " " + f;
    complain(fmt::format("wrote {}:{}\n", arguments.out, names));
  }
  if (result.exit_status() != 0 && common.format != Format::kText) complain(fmt::format("reproduce: {}\n", lab::reproduce_line(result, result.planned_end)));
  return result.exit_status();
}

int check(const Common& common, const std::vector<std::string>& files, const std::string& wanted) {
  const Terminal terminal(common.color);
  int status = 0;
  std::string json;
  for (const std::string& file : files) {
    bool usable = false;
    const scenario::LoadResult loaded = load(common, file, usable);
    if (!usable || (!wanted.empty() && !chosen_scenario(loaded, file, wanted))) status = 2;
    const std::string text = rendered(common, loaded, terminal.color_err());
    if (common.format == Format::kJson) {
      // One array for all files.
      std::string inner = text;
      while (!inner.empty() && (inner.back() == '\n' || inner.back() == ']')) inner.pop_back();
      if (!inner.empty() && inner.front() == '[') inner.erase(0, 1);
      while (!inner.empty() && (inner.front() == '\n' || inner.front() == ' ')) inner.erase(0, 1);
      if (!inner.empty()) json += (json.empty() ? "" : ",\n") + inner;
    } else if (common.format == Format::kGithub) {
      print(text);
    } else {
      complain(text);
      if (usable) {
        std::size_t agents = 0;
        for (const auto& t : loaded.topologies) agents += t->agents.size();
        print(fmt::format("{}: ok ({} scenario{}, {} topolog{}, {} agents)\n", file, loaded.scenarios.size(), loaded.scenarios.size() == 1 ? "" : "s",
                          loaded.topologies.size(), loaded.topologies.size() == 1 ? "y" : "ies", agents));
      } else {
        complain(fmt::format("{}: {} error{}\n", file, errors_in(loaded), errors_in(loaded) == 1 ? "" : "s"));
      }
    }
  }
  if (common.format == Format::kJson) print("[" + (json.empty() ? json : "\n" + json + "\n") + "]\n");
  return status;
}

namespace {

/// The topology of the scenario of that name, else of the first scenario, else the first one.
std::shared_ptr<const scenario::Topology> topology_of(const Common& common, const Terminal& terminal, const std::string& file, const std::string& wanted,
                                                      int& status) {
  bool usable = false;
  const scenario::LoadResult loaded = load(common, file, usable);
  status = 2;
  if (!usable) {
    refuse(common, terminal, loaded);
    return nullptr;
  }
  if (!wanted.empty()) {
    const scenario::Scenario* scenario = chosen_scenario(loaded, file, wanted);
    status = scenario ? 0 : 2;
    return scenario ? scenario->topology : nullptr;
  }
  status = 0;
  if (!loaded.scenarios.empty() && loaded.scenarios.front().topology) return loaded.scenarios.front().topology;
  if (!loaded.topologies.empty()) return loaded.topologies.front();
  complain(fmt::format("error: {} holds no topology\n", file));
  status = 2;
  return nullptr;
}

}  // namespace

int explain(const Common& common, const std::string& file, const std::string& scenario, const std::vector<std::string>& flow) {
  const Terminal terminal(common.color);
  int status = 0;
  const auto topology = topology_of(common, terminal, file, scenario, status);
  if (!topology) return status;
  const auto query = lab::parse_flow(flow[0], flow[1]);
  if (!query) {
    complain(fmt::format("error: {}\n", query.error().text));
    return 2;
  }
  const auto explanation = lab::explain_flow(*topology, *query, false);
  if (!explanation) {
    complain(fmt::format("error: {}\n", explanation.error().text));
    return 2;
  }
  print(explanation->text);
  return 0;
}

int reach(const Common& common, const std::string& file, const std::string& scenario, const std::string& diff, bool by_agent, bool enable_all) {
  constexpr std::size_t kMostAgents = 2000;  // a table of four million cells is nobody's
  const Terminal terminal(common.color);
  int status = 0;
  const lab::ReachOptions options{by_agent, enable_all};
  const auto topology = topology_of(common, terminal, file, scenario, status);
  if (!topology) return status;
  if (by_agent && topology->agents.size() > kMostAgents) {
    complain(fmt::format("error: --agents is for up to {} agents, and {} has {}; without it the table goes zone by zone\n", kMostAgents, file, topology->agents.size()));
    return 2;
  }
  const lab::ReachTable table = lab::reach_table(*topology, options);
  if (diff.empty()) {
    print(lab::reach_text(table));
    return 0;
  }
  const auto other = topology_of(common, terminal, diff, "", status);
  if (!other) return status;
  const lab::ReachTable after = lab::reach_table(*other, options);
  const std::string text = lab::reach_diff(table, after);
  print(text.empty() ? "no difference\n" : text);
  for (const auto& [path, each] : {std::pair(file, &table), std::pair(diff, &after)}) {
    if (!each->disabled.empty()) print(fmt::format("{}: {}\n", path, lab::disabled_text(*each)));
  }
  return text.empty() ? 0 : 1;
}

int verify(const Common& common, const RunArguments& arguments) {
  const Terminal terminal(common.color);
  bool usable = false;
  const scenario::LoadResult loaded = load(common, arguments.file, usable);
  if (!usable) return refuse(common, terminal, loaded);
  const auto options = options_of(common, arguments);
  if (!options) return 2;
  const scenario::Scenario* only = nullptr;
  if (loaded.scenarios.empty() || !arguments.scenario.empty()) {
    only = chosen_scenario(loaded, arguments.file, arguments.scenario);
    if (!only) return 2;
  }
  int status = 0;
  for (const scenario::Scenario& s : loaded.scenarios) {  // all of them, unless one is asked for
    if (only && only != &s) continue;
    const lab::VerifyResult result = lab::verify_scenario(s, *options);
    print(fmt::format("{}  seed {}\n{}", s.name, options->seed.value_or(s.seed), result.text));
    if (result.same && !result.broken) print("  one digest\n");
    else {
      print("  DIGESTS DIFFER\n");
      complain(fmt::format("reproduce: dcsim verify {} --seed {}\n", arguments.file, options->seed.value_or(s.seed)));
      status = 3;
    }
  }
  return status;
}

int completions(const std::string& shell) {
  static constexpr const char* kCommands = "run check explain reach verify diff trace series schema raft-cases completions";
  if (shell == "bash") {
    print(fmt::format("complete -o default -W '{}' dcsim\n", kCommands));
  } else if (shell == "zsh") {
    print(fmt::format("#compdef dcsim\n_arguments '1:command:({})' '*:file:_files'\n", kCommands));
  } else if (shell == "fish") {
    print(fmt::format("complete -c dcsim -n __fish_use_subcommand -a '{}'\n", kCommands));
  } else {
    complain("error: completions are known for bash, zsh and fish\n");
    return 2;
  }
  return 0;
}

}  // namespace dcsim::cli
