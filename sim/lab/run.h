#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "lab/expectations.h"
#include "scenario/scenario.h"
#include "trace/metrics.h"
#include "trace/tracer.h"

namespace dcsim::lab {

/// Every expression of a scenario that was loaded without errors, parsed.
struct Expressions {
  std::vector<std::shared_ptr<const scenario::Expression>> expect;   ///< beside Scenario::expect
  std::vector<std::shared_ptr<const scenario::Expression>> metrics;  ///< beside Scenario::metrics
  std::vector<std::shared_ptr<const scenario::Expression>> when;     ///< beside Scenario::timeline; null where none
};
Expressions parse_expressions(const scenario::Scenario& scenario);
/// All that `dcsim check` looks at beyond what the loader did: commands, faults, Consul's own rules.
void check_scenario(const scenario::Scenario& scenario, Diagnostics& out);
/// The part of it that needs no sound topology: commands, events, faults.
void check_texts(const scenario::Scenario& scenario, Diagnostics& out);
/// "consul members|join|...; serf members|...": what a command line may be without exiting as not modelled.
std::string modelled_commands();
/// Consul's own rules over each agent's configuration: for a topology that has other mistakes and cannot be built.
void check_agents(const scenario::Topology& topology, Diagnostics& out);
/// For topologies without a scenario.
void check_topology(const scenario::Topology& topology, Diagnostics& out);

struct Progress {
  Instant now;
  Instant end;
  std::uint64_t events = 0;
};

struct RunOptions {
  std::optional<std::uint64_t> seed;
  std::optional<Duration> until;
  std::vector<std::pair<std::string, std::string>> set;  ///< what the loader was given by --set: for the reproduce line only
  std::string scenario;  ///< what --scenario gave, for the reproduce line
  std::string out_dir;  ///< empty = write nothing
  trace::Keep keep = trace::Keep::kNothing;  ///< without out_dir: what the tracer keeps
  std::function<void(const Progress&)> progress;  ///< called now and then; may be empty
  std::function<bool()> interrupted;              ///< asked now and then; true ends the run
};

/// One command of the timeline or of a workload, with what it printed.
struct CommandRecord {
  Instant at;
  Duration elapsed;
  std::string agent;
  std::string command;
  std::string step;
  int exit = 0;
  std::string out;
  std::string err;
  bool ended = false;
  bool err_first = false;  ///< what it printed on stderr came before what it printed on stdout
};

/// What a workload's commands came to.
struct WorkloadCount {
  std::string name;
  std::uint64_t commands = 0;
  std::uint64_t failed = 0;  ///< exit status not 0, or longer than the timeout
};

struct MetricValue {
  std::string name;
  std::vector<std::pair<std::string, std::string>> labels;
  trace::Value value;
  std::string unit;
  std::string better;  ///< "lower", "higher", "same" or ""
};

/// A named count of the run's summary.
struct Count {
  std::string name;
  std::uint64_t value = 0;
};

struct RunResult {
  enum class End : std::uint8_t { kDone, kAborted, kInterrupted, kBroken };
  std::string scenario;
  std::string file;
  std::uint64_t seed = 0;
  std::vector<std::pair<std::string, std::string>> params;
  std::vector<std::pair<std::string, std::string>> set;  ///< what --set gave, for the reproduce line
  Instant ended_at;
  Instant planned_end;
  std::string chosen;    ///< --scenario, for the reproduce line; "" where the file has but one
  bool cut = false;  ///< planned_end is --until's, not the scenario's
  std::uint64_t events = 0;
  std::uint64_t records = 0;
  std::string digest;
  std::size_t agents = 0;
  std::vector<Outcome> outcomes;
  std::vector<MetricValue> metrics;
  std::vector<Count> counts;
  std::vector<Count> drops;          ///< "core-fw / tenants-apart" -> packets
  std::vector<CommandRecord> transcript;
  std::vector<WorkloadCount> workloads;
  std::vector<std::string> notes;    ///< what happened that the file may not have meant
  std::vector<std::string> files;    ///< written, relative to out_dir
  End end = End::kDone;
  std::string broken;                ///< kBroken: the invariant and the last records
  std::string write_error;           ///< a file could not be written

  bool ok() const;
  /// 0, 1, 3 or 130 as the command line has it.
  int exit_status() const;
};

/// Runs a loaded and checked scenario. Deterministic: equal scenario, seed and version give equal digests, whatever the
/// options. A broken invariant is caught and told in the result.
RunResult run_scenario(const scenario::Scenario& scenario, const RunOptions& options);

}  // namespace dcsim::lab
