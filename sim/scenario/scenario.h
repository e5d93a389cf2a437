#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/diagnostic.h"
#include "base/time.h"
#include "scenario/config_value.h"
#include "scenario/selector.h"
#include "scenario/spanned_text.h"
#include "scenario/topology.h"

namespace dcsim::scenario {

/// A place on the timeline: a step (its occurrence) plus an offset, or an offset from the start of the run.
struct TimeRef {
  std::optional<std::uint32_t> step;  ///< index into Scenario::timeline; none = from the start
  Duration offset;
  SourceSpan at;
};

/// Exact text or /regex/, found anywhere in the output (regexes: base/regex.h's, checked to compile; `^` and `$` stand for
/// the ends of lines). The empty text stands for no output at all.
struct TextMatch {
  enum class Kind { kText, kRegex };
  Kind kind = Kind::kText;
  std::string pattern;  ///< without the slashes
  SourceSpan at;
};

struct RunExpect {
  std::optional<int> exit;
  std::optional<TextMatch> out, err, not_out;  ///< `stdout`, `stderr`, `not_stdout`
  std::optional<Duration> within;
  SourceSpan at;
};

/// start, stop, crash, restart, pause, resume.
struct ProcessAction {
  enum class Kind { kStart, kStop, kCrash, kRestart, kPause, kResume };
  Kind kind = Kind::kStart;
  Selector agents;
  std::optional<ConfigValue> config;  ///< kRestart: laid over the agents' configuration
};

struct RunAction {
  SpannedText command;  ///< as an operator would type it
  Selector agents;
  std::optional<RunExpect> expect;
};

struct FirewallAction {
  enum class Kind { kEnable, kDisable, kInsert, kDelete, kFlushConntrack };
  Kind kind = Kind::kEnable;
  std::string firewall;              ///< kFlushConntrack: empty = every firewall
  std::optional<FirewallRule> rule;  ///< kInsert
  std::optional<std::uint32_t>
      index;                  ///< kInsert: 0-based position among the rules of the file; none = see before/after
  std::string before, after;  ///< kInsert: a rule's name; neither, and no index: first, as nftables' insert
  std::string rule_name;      ///< kDelete
  SourceSpan at;
};

struct PartitionAction {
  enum class Mode { kDrop, kReject, kDelay, kQueue };
  enum class Direction { kTo, kFrom, kBoth };  ///< kTo: first -> others is cut; kFrom: others -> first
  std::vector<Selector> between;               ///< two or more sides
  Mode mode = Mode::kDrop;
  Direction direction = Direction::kBoth;
  std::optional<Duration> duration;
};

struct ImpairAction {
  enum class Kind { kLink, kZone, kEverything };
  Kind kind = Kind::kEverything;
  std::uint32_t index = 0;  ///< kLink: into topology.links; kZone: into topology.zones
  LinkOverrides overrides;
  bool down = false;
  std::optional<Duration> duration;
};

/// clock, slow_cpu and slow_disk: faults of a host, as typed as the language defines them.
struct HostAction {
  enum class Kind { kClock, kSlowCpu, kSlowDisk };
  Kind kind = Kind::kClock;
  Selector agents;
  std::optional<Duration> offset;             ///< clock: added to the wall clock, may be negative
  std::optional<std::int64_t> drift;          ///< clock: billionths of elapsed time, may be negative
  std::optional<std::uint32_t> factor_milli;  ///< slow_cpu, slow_disk: 4000 = four times as slow
  std::optional<Duration> latency;            ///< slow_disk: added to every write; slow_cpu: to every message
  std::optional<Duration> duration;
};

using Action = std::variant<ProcessAction, RunAction, FirewallAction, PartitionAction, ImpairAction, HostAction>;

/// One line of the timeline. Steps at the same instant run in file order.
struct Step {
  std::string name;  ///< may be empty
  SourceSpan at;     ///< the name, else the step's first key
  /// Exactly one of `time`, `after` and `when`, or none of them with `every` (then from the start of the run).
  std::optional<Duration> time;
  std::optional<TimeRef> after;     ///< `delay` is already added to its offset
  std::optional<SpannedText> when;  ///< an expression; `delay` is `when_delay`
  Duration when_delay;
  std::optional<Duration> every;  ///< repeats, first at time/after/when
  std::optional<TimeRef> until;   ///< last repeat, or how long `when` is watched
  std::optional<Duration> stagger;
  Action action;
};

/// Random faults drawn from the seed.
struct Fault {
  std::string name;
  SourceSpan at;
  std::vector<std::string> kinds;
  std::optional<Selector> targets;
  std::optional<Duration> interval, duration, quiet_at_end;
  /// `spec`: what is not given is the kind's default.
  LinkOverrides impair;
  bool down = false;
  PartitionAction::Mode cut = PartitionAction::Mode::kDrop;
  PartitionAction::Direction cut_direction = PartitionAction::Direction::kBoth;
  HostAction slow_cpu, slow_disk, clock;
};

struct Workload {
  enum class Gap { kConstant, kExponential };
  std::string name;
  SourceSpan at;
  std::optional<Selector> agents;  ///< none = all
  Duration from;
  std::optional<Duration> until;
  std::optional<Duration> every;  ///< (mean) gap; none = once at `from`
  Gap gap = Gap::kConstant;
  SpannedText run;
  std::optional<Duration> timeout;
};

struct Record {
  enum class Events { kAll, kNone, kListed };
  Events events = Events::kAll;
  std::vector<std::pair<std::string, SourceSpan>> event_names;  ///< kListed
  bool packets = false;
  std::optional<SpannedText> match;  ///< label matchers; none = every packet
  std::uint64_t snaplen = 0;         ///< bytes; 0 = whole packets
  bool drops = true;
  std::optional<Duration> sample_interval;
};

struct Expectation {
  enum class Kind { kAlways, kNever, kEventually, kFinally };
  std::string name;
  SourceSpan at;
  Kind kind = Kind::kAlways;
  SpannedText expression;
  std::optional<TimeRef> after, until;
  std::optional<Duration> within;    ///< kEventually
  std::optional<Duration> hold_for;  ///< kEventually: `for`
  bool abort = false;
  bool warn_only = false;  ///< severity: warn
};

struct Metric {
  enum class Better { kLower, kHigher, kSame };
  std::string name;
  SourceSpan at;
  SpannedText value;
  std::optional<TimeRef> after, until;
  std::string unit;
  std::optional<Better> better;
  std::vector<std::string> group_by;
  std::vector<SourceSpan> group_at;  ///< beside group_by
  std::optional<std::uint32_t> gate_margin;  ///< billionths
  std::string gate_floor;                    ///< as written, with its unit
};

/// One cell's assignment: parameter (or `topology`, `link.NAME.ATTRIBUTE`) -> value as text, usable as a `--set`.
using Assignment = std::vector<std::pair<std::string, std::string>>;

struct Sweep {
  std::uint64_t first_seed = 1, last_seed = 1;
  std::vector<std::pair<std::string, std::vector<std::string>>> matrix;  ///< in file order
  std::vector<Assignment> include, exclude;
  std::optional<SpannedText> where;
};

/// A scenario document, checked, with its topology. Immutable once loaded.
struct Scenario {
  std::string name;
  std::string description;
  SourceSpan at;
  std::string file;  ///< the path it was loaded from, as given
  std::shared_ptr<const Topology> topology;
  std::uint64_t seed = 1;
  Duration duration;
  std::vector<Step> timeline;
  std::vector<Fault> faults;
  std::vector<Workload> workload;
  Record record;
  std::vector<Expectation> expect;
  std::vector<Metric> metrics;
  std::optional<Sweep> sweep;
  std::vector<std::pair<std::string, std::string>> params;  ///< effective values as text: topology's, own, --set

  /// Index of the step with that name.
  std::optional<std::uint32_t> step_index(std::string_view step) const;
};

}  // namespace dcsim::scenario
