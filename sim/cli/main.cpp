#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <exception>

#include "base/version.h"
#include "cli/commands.h"
#include "lab/raft_cases.h"
#include "lab/run.h"
#include "scenario/fed_series.h"
#include "scenario/keys.h"
#include "scenario/suggest.h"
#include "trace/tools.h"

namespace {

using dcsim::cli::Common;
using dcsim::cli::RunArguments;

constexpr std::pair<std::string_view, dcsim::cli::Format> kFormats[] = {
    {"text", dcsim::cli::Format::kText}, {"json", dcsim::cli::Format::kJson}, {"github", dcsim::cli::Format::kGithub}};
constexpr std::pair<std::string_view, dcsim::cli::ColorMode> kColors[] = {
    {"auto", dcsim::cli::ColorMode::kAuto}, {"always", dcsim::cli::ColorMode::kAlways}, {"never", dcsim::cli::ColorMode::kNever}};

const dcsim::trace::Streams kStreams{dcsim::cli::print, dcsim::cli::complain};

/// CLI11 lets a minus sign wrap around.
std::string whole_number(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty() ? "" : "must be a whole number from 0 to 18446744073709551615";
}

/// An option with a few words for values. CLI11's own transformer tells of the numbers behind them.
template <class T, std::size_t N>
void add_choice(CLI::App& command, const std::string& option, T& into, const std::pair<std::string_view, T> (&choices)[N], const std::string& help) {
  const auto find = [&choices](const std::string& text) {
    return std::find_if(std::begin(choices), std::end(choices), [&](const auto& c) { return c.first == text; });
  };
  command
      .add_option_function<std::string>(option, [&into, find](const std::string& text) { into = find(text)->second; }, help)
      ->check(CLI::Validator([&choices, find, help](std::string& text) {
        return find(text) != std::end(choices) ? std::string() : fmt::format("must be {}, not `{}`", help, text);
      }, ""));
}

void add_common(CLI::App& command, Common& common, bool formats) {
  add_choice(command, "--color", common.color, kColors, "auto, always or never");
  command.add_option("--set", common.set, "NAME=VALUE overrides a parameter of the file")->allow_extra_args(false);
  if (formats) add_choice(command, "--format", common.format, kFormats, "text, json or github");
}

/// `--format text|json` of the trace readers.
std::string text_or_json(const std::string& text) {
  return text == "text" || text == "json" ? "" : fmt::format("must be text or json, not `{}`", text);
}

void add_trace(CLI::App& app, int& status) {
  auto* trace = app.add_subcommand("trace", "read a recorded run (a directory written by -o, or its trace file)");
  trace->require_subcommand(1);
  struct Arguments {
    std::string path, format = "text", to = "jsonl", output = "-";
    std::vector<std::string> terms;
    std::uint64_t limit = 0;
  };
  auto a = std::make_shared<Arguments>();
  const auto common = [a](CLI::App* c) { c->add_option("PATH", a->path, "recorded run")->required(); };
  const auto cat_options = [a] {
    dcsim::trace::CatOptions o;
    o.terms = a->terms;
    o.format = a->format == "json" ? dcsim::trace::CatFormat::kJson : dcsim::trace::CatFormat::kText;
    o.limit = a->limit;
    return o;
  };
  auto* cat = trace->add_subcommand("cat", "print records");
  auto* grep = trace->add_subcommand("grep", "print records that match: ev=member-failed node=a.dc1 since=3m until=5m key=~regex");
  for (CLI::App* c : {cat, grep}) {
    common(c);
    c->add_option("TERMS", a->terms, "filters");
    c->add_option("--format", a->format, "text or json")->check(text_or_json);
    c->add_option("--limit", a->limit, "at most so many records")->check(whole_number);
  }
  cat->callback([=, &status] { status = dcsim::trace::trace_cat(a->path, cat_options(), kStreams); });
  grep->callback([=, &status] { status = dcsim::trace::trace_grep(a->path, cat_options(), kStreams); });
  auto* why = trace->add_subcommand("why", "the chain of causes of a record: its number, or a query such as member-failed node=a.dc1 member=b.dc1");
  common(why);
  why->add_option("QUERY", a->terms, "record number or query")->required();
  why->callback([=, &status] { status = dcsim::trace::trace_why(a->path, a->terms, kStreams); });
  auto* convert = trace->add_subcommand("convert", "write the run in another format");
  common(convert);
  convert->add_option("--to", a->to, "jsonl, text, csv, perfetto or pcapng")->required();
  convert->add_option("-o,--output", a->output, "file, or - for stdout");
  convert->callback([=, &status] { status = dcsim::trace::trace_convert(a->path, a->to, a->output, kStreams); });
}

constexpr const char* kWhich = "which scenario, where the file holds several";

void add_commands(CLI::App& app, Common& common, RunArguments& arguments, int& status) {
  auto* run = app.add_subcommand("run", "run a scenario: summary on stdout, files in -o DIR");
  run->add_option("FILE", arguments.file, "scenario file")->required();
  auto* verify = app.add_subcommand("verify", "run several times and compare digests");
  verify->add_option("FILE", arguments.file, "scenario file")->required();
  for (CLI::App* c : {run, verify}) {
    c->add_option("--scenario", arguments.scenario, kWhich);
    c->add_option("--seed", arguments.seed, "seed instead of the file's")->check(whole_number);
    c->add_option("--until", arguments.until, "stop at this simulated time");
    add_common(*c, common, c == run);
  }
  run->add_option("-o,--output", arguments.out, "directory for the files of the run");
  run->footer("Commands that `run:` models (any other prints that it is not modelled, and exits 1):\n  " + dcsim::lab::modelled_commands());
  run->callback([&] { status = dcsim::cli::run(common, arguments); });
  verify->callback([&] { status = dcsim::cli::verify(common, arguments); });

  struct Files {
    std::vector<std::string> files, flow;
    std::string file, diff, shell, raft_cases;
    bool agents = false, as_is = false, enable_all = false, markdown = false;
  };
  auto f = std::make_shared<Files>();
  auto* check = app.add_subcommand("check", "validate files, run nothing");
  check->add_option("FILE", f->files, "scenario or topology files")->required();
  check->add_option("--scenario", arguments.scenario, "this scenario must be among them");
  add_common(*check, common, true);
  check->callback([f, &common, &arguments, &status] { status = dcsim::cli::check(common, f->files, arguments.scenario); });

  auto* explain = app.add_subcommand("explain", "which path, which rule, which verdict, and why");
  explain->add_option("FILE", f->file, "scenario or topology file")->required();
  explain->add_option("--flow", f->flow, "SRC DST:PORT/PROTO")->required()->expected(2);
  explain->add_option("--scenario", arguments.scenario, kWhich);
  add_common(*explain, common, false);
  explain->callback([f, &common, &arguments, &status] { status = dcsim::cli::explain(common, f->file, arguments.scenario, f->flow); });

  auto* reach = app.add_subcommand("reach", "the reachability matrix, zone by zone or agent by agent");
  reach->add_option("FILE", f->file, "scenario or topology file")->required();
  reach->add_option("--diff", f->diff, "another file: print only what differs");
  reach->add_flag("--agents", f->agents, "agent by agent");
  reach->add_flag("--enable-all", f->enable_all, "firewalls that the file disables at the start count as in force");
  reach->add_flag("--as-is", f->as_is, "the default: firewalls are as they are at the start")->excludes("--enable-all");
  reach->add_option("--scenario", arguments.scenario, kWhich);
  add_common(*reach, common, false);
  reach->callback([f, &common, &arguments, &status] {
    status = dcsim::cli::reach(common, f->file, arguments.scenario, f->diff, f->agents, f->enable_all);
  });

  auto* diff = app.add_subcommand("diff", "the first differing record of two recorded runs, with both causal chains");
  diff->add_option("A", f->file, "recorded run")->required();
  diff->add_option("B", f->diff, "recorded run")->required();
  diff->callback([f, &status] { status = dcsim::trace::trace_diff(f->file, f->diff, kStreams); });

  app.add_subcommand("series", "all series of the expression language")->callback([&status] {
    dcsim::cli::print(dcsim::scenario::series_reference());
    dcsim::cli::print(
        "\nA metric's value is converted from its series' unit to the metric's `unit`: max(sim.join.time) with `unit: ms` is in\n"
        "milliseconds. Where the expression has been multiplied by the very factor between the two, as in\n"
        "max(sim.join.time) * 1000, it is taken for converted already. Counts, ratios and other units stay as they are.\n");
    status = 0;
  });
  auto* cases = app.add_subcommand("raft-cases", "runs written cases of Raft's behaviour, in every profile");
  cases->add_option("FILE", f->raft_cases, "a YAML file of cases")->required();
  cases->callback([f, &status] {
    std::string out;
    status = dcsim::lab::run_raft_cases(f->raft_cases, out);
    dcsim::cli::print(out);
  });

  auto* schema = app.add_subcommand("schema", "the JSON Schema of scenario files");
  schema->add_flag("--markdown", f->markdown, "a reference page instead");
  schema->callback([f, &status] {
    dcsim::cli::print(f->markdown ? dcsim::scenario::schema_markdown() : dcsim::scenario::schema_json());
    status = 0;
  });
  auto* completions = app.add_subcommand("completions", "a completion script");
  completions->add_option("SHELL", f->shell, "bash, zsh or fish")->required();
  completions->callback([f, &status] { status = dcsim::cli::completions(f->shell); });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"dcsim: a deterministic simulator of Consul, Serf and Raft datacenters", "dcsim"};
  app.set_version_flag("--version", std::string("dcsim ") + std::string(dcsim::version()));
  app.require_subcommand(1);
  Common common;
  RunArguments arguments;
  int status = 0;
  try {
    add_commands(app, common, arguments, status);
    add_trace(app, status);
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (const std::string word = argc > 1 ? argv[1] : ""; !word.empty() && word[0] != '-') {
      std::vector<std::string_view> names;
      for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
      if (std::find(names.begin(), names.end(), word) == names.end()) {
        const std::string near = dcsim::scenario::did_you_mean(word, names);
        dcsim::cli::complain(fmt::format("error: dcsim has no command `{}`{}{}\ncommands: {}\n", word, near.empty() ? "" : ": ", near, dcsim::scenario::listed(names)));
        return 2;
      }
    }
    return app.exit(error) == 0 ? 0 : 2;  // help and version are no failure
  } catch (const std::exception& error) {
    dcsim::cli::complain(fmt::format("internal error: {}\n", error.what()));
    return 3;
  }
  return status;
}
