#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <exception>

#include "base/version.h"
#include "cli/commands.h"
#include "scenario/keys.h"
#include "trace/series.h"
#include "trace/tools.h"

namespace {

using dcsim::cli::Common;
using dcsim::cli::RunArguments;

const std::map<std::string, dcsim::cli::Format> kFormats{
    {"text", dcsim::cli::Format::kText}, {"json", dcsim::cli::Format::kJson}, {"github", dcsim::cli::Format::kGithub}};
const std::map<std::string, dcsim::cli::ColorMode> kColors{
    {"auto", dcsim::cli::ColorMode::kAuto}, {"always", dcsim::cli::ColorMode::kAlways}, {"never", dcsim::cli::ColorMode::kNever}};

const dcsim::trace::Streams kStreams{dcsim::cli::print, dcsim::cli::complain};

/// CLI11 lets a minus sign wrap around.
std::string whole_number(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty() ? "" : "must be a whole number from 0 to 18446744073709551615";
}

void add_common(CLI::App& command, Common& common, bool formats) {
  command.add_option("--color", common.color, "auto, always or never")->transform(CLI::CheckedTransformer(kColors).description(""));
  command.add_option("--set", common.set, "NAME=VALUE overrides a parameter of the file")->allow_extra_args(false);
  if (formats) command.add_option("--format", common.format, "text, json or github")->transform(CLI::CheckedTransformer(kFormats).description(""));
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
  auto* grep = trace->add_subcommand("grep", "print records that match: ev=member-failed node=a.dc1 from=3m key=~regex");
  for (CLI::App* c : {cat, grep}) {
    common(c);
    c->add_option("TERMS", a->terms, "filters");
    c->add_option("--format", a->format, "text or json")->check(CLI::IsMember({"text", "json"}));
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

void add_commands(CLI::App& app, Common& common, RunArguments& arguments, int& status) {
  auto* run = app.add_subcommand("run", "run a scenario: summary on stdout, files in -o DIR");
  run->add_option("FILE", arguments.file, "scenario file")->required();
  auto* verify = app.add_subcommand("verify", "run several times and compare digests");
  verify->add_option("FILE", arguments.file, "scenario file")->required();
  for (CLI::App* c : {run, verify}) {
    c->add_option("--seed", arguments.seed, "seed instead of the file's")->check(whole_number);
    c->add_option("--until", arguments.until, "stop at this simulated time");
    add_common(*c, common, c == run);
  }
  run->add_option("-o,--output", arguments.out, "directory for the files of the run");
  run->callback([&] { status = dcsim::cli::run(common, arguments); });
  verify->callback([&] { status = dcsim::cli::verify(common, arguments); });

  struct Files {
    std::vector<std::string> files, flow;
    std::string file, diff, shell;
    bool agents = false, as_is = false, markdown = false;
  };
  auto f = std::make_shared<Files>();
  auto* check = app.add_subcommand("check", "validate files, run nothing");
  check->add_option("FILE", f->files, "scenario or topology files")->required();
  add_common(*check, common, true);
  check->callback([f, &common, &status] { status = dcsim::cli::check(common, f->files); });

  auto* explain = app.add_subcommand("explain", "which path, which rule, which verdict, and why");
  explain->add_option("FILE", f->file, "scenario or topology file")->required();
  explain->add_option("--flow", f->flow, "SRC DST:PORT/PROTO")->required()->expected(2);
  add_common(*explain, common, false);
  explain->callback([f, &common, &status] { status = dcsim::cli::explain(common, f->file, f->flow); });

  auto* reach = app.add_subcommand("reach", "the reachability matrix, zone by zone or agent by agent");
  reach->add_option("FILE", f->file, "scenario or topology file")->required();
  reach->add_option("--diff", f->diff, "another file: print only what differs");
  reach->add_flag("--agents", f->agents, "agent by agent");
  reach->add_flag("--as-is", f->as_is, "leave firewalls off that the file disables at the start");
  add_common(*reach, common, false);
  reach->callback([f, &common, &status] { status = dcsim::cli::reach(common, f->file, f->diff, f->agents, f->as_is); });

  auto* diff = app.add_subcommand("diff", "the first differing record of two recorded runs, with both causal chains");
  diff->add_option("A", f->file, "recorded run")->required();
  diff->add_option("B", f->diff, "recorded run")->required();
  diff->callback([f, &status] { status = dcsim::trace::trace_diff(f->file, f->diff, kStreams); });

  app.add_subcommand("series", "all series of the expression language")->callback([&status] {
    dcsim::cli::print(dcsim::trace::series_reference());
    status = 0;
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
    return app.exit(error) == 0 ? 0 : 2;  // help and version are no failure
  } catch (const std::exception& error) {
    dcsim::cli::complain(fmt::format("internal error: {}\n", error.what()));
    return 3;
  }
  return status;
}
