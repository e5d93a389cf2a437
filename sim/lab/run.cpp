#include "lab/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "check/checkers.h"
#include "host/capture.h"
#include "host/recorder.h"
#include "lab/build.h"
#include "lab/director.h"
#include "lab/report.h"
#include "trace/output.h"
#include "trace/tools.h"

namespace dcsim::lab {

namespace {

/// How many events pass between two looks at the outside world (progress, interruption).
constexpr std::uint64_t kLookEvery = 1u << 16;

/// What the summary always counts, whatever the scenario asks for.
struct Standard {
  std::string_view name;
  trace::Series series;
};
constexpr Standard kStandard[] = {
    {"member-join", trace::Series::kSerfMemberJoin},       {"member-failed", trace::Series::kSerfMemberFailed},
    {"member-leave", trace::Series::kSerfMemberLeave},     {"member-flap", trace::Series::kSerfMemberFlap},
    {"probe-failed", trace::Series::kProbeFailed},         {"probe-tcp-only", trace::Series::kProbeTcpOnly},
    {"suspicions", trace::Series::kSuspectStarted},        {"refutations", trace::Series::kRefute},
    {"joins rejected", trace::Series::kJoinRejected},      {"packets malformed", trace::Series::kPacketMalformed},
};

/// One run, from the loaded scenario to its result.
class Run {
 public:
  Run(const scenario::Scenario& scenario, const RunOptions& options)
      : scenario_(scenario), options_(options), metrics_(names_) {}

  RunResult operator()() {
    result_.scenario = scenario_.name;
    result_.file = scenario_.file;
    result_.seed = options_.seed.value_or(scenario_.seed);
    result_.params = scenario_.params;
    result_.set = options_.set;
    result_.chosen = options_.scenario;
    result_.planned_end = Instant{} + std::min(scenario_.duration, options_.until.value_or(scenario_.duration));
    result_.cut = options_.until && *options_.until < scenario_.duration;
    result_.agents = scenario_.topology->agents.size();
    if (!open_directory()) return result_;
    make_tracer();
    build();
    play();
    collect();
    write();
    return result_;
  }

 private:
  bool open_directory() {
    if (options_.out_dir.empty()) return true;
    std::error_code error;
    std::filesystem::create_directories(options_.out_dir, error);
    if (error) result_.write_error = fmt::format("{}: {}", options_.out_dir, error.message());
    return !error;
  }

  std::string path(const char* file) const { return (std::filesystem::path(options_.out_dir) / file).string(); }

  void make_tracer() {
    trace::TracerOptions o;
    o.keep = options_.keep;
    o.seed = result_.seed;
    if (!options_.out_dir.empty()) {
      o.keep = trace::Keep::kFile;
      o.path = path("trace.bin");
      if (scenario_.record.events == scenario::Record::Events::kNone) o.keep = trace::Keep::kNothing;
      for (const auto& [name, at] : scenario_.record.event_names) {
        if (const auto kind = trace::find_kind(name)) o.only.push_back(*kind);
      }
    }
    tracer_ = std::make_unique<trace::Tracer>(names_, o);
  }

  void build() {
    Diagnostics ignored;  // `check` has reported them
    host::WorldSpec spec = build_world(*scenario_.topology, result_.seed, ignored);
    world_ = std::make_unique<host::World>(std::move(spec), names_, *tracer_, metrics_);
    trace::Fields start = trace::fields::names(names_.intern(scenario_.name));
    start.b = result_.seed;
    tracer_->append(Instant{}, trace::Ev::kRunStart, NameId::none(), start);
    director_ = std::make_unique<Director>(scenario_, *world_, metrics_, parse_expressions(scenario_), result_.planned_end);
    for (const Standard& s : kStandard) standard_.push_back(subscribe(s.series));
    fw_drop_ = subscribe(trace::Series::kFwDrop, {"fw", "rule"});
    fw_reject_ = subscribe(trace::Series::kFwReject, {"fw", "rule"});
    packet_drop_ = subscribe(trace::Series::kPacketDrop, {"reason"});
    checkers_ = std::make_unique<check::Checkers>(*world_, metrics_);
    exits_ = std::make_unique<Exits>(*world_, *tracer_, *checkers_);
    world_->set_watch(exits_.get());
    director_->set_exits(exits_.get());
    if (scenario_.record.packets && !options_.out_dir.empty()) open_capture();
    world_->network().observer_changed();
    world_->recorder().start_sampling(scenario_.record.sample_interval.value_or(1_s));
  }

  trace::AggregateId subscribe(trace::Series series, std::vector<std::string> groups = {}) {
    trace::AggregateSpec spec;
    spec.fn = trace::AggregateFn::kCount;
    spec.series = series;
    spec.group_by = std::move(groups);
    const auto id = metrics_.subscribe(spec);
    DCSIM_CHECK(id.ok());
    metrics_.open(*id, Instant{});
    return *id;
  }

  void open_capture() {
    host::CaptureSpec spec;
    std::vector<scenario::ExprError> errors;
    if (scenario_.record.match) spec.match = scenario::parse_matchers(scenario_.record.match->text, errors);
    spec.snaplen = static_cast<std::uint32_t>(std::min<std::uint64_t>(scenario_.record.snaplen, 0xffffffffu));
    spec.drops = scenario_.record.drops;
    auto capture = host::Capture::make(*world_, spec, path("capture.pcapng"));
    if (!capture) {
      result_.write_error = capture.error().text;
      return;
    }
    capture_ = std::move(*capture);
    world_->recorder().set_capture(capture_.get());
  }

  void play() {
    core::Engine& engine = world_->engine();
    try {
      director_->begin();
      std::uint64_t look = kLookEvery;
      while (engine.step_until(result_.planned_end)) {
        if (!director_->after_event()) {
          result_.end = RunResult::End::kAborted;
          break;
        }
        if (engine.events_run() < look) continue;
        look = engine.events_run() + kLookEvery;
        if (options_.progress) options_.progress({engine.now(), result_.planned_end, engine.events_run()});
        if (options_.interrupted && options_.interrupted()) {
          result_.end = RunResult::End::kInterrupted;
          break;
        }
      }
      if (result_.end == RunResult::End::kDone) engine.run_until(result_.planned_end);
      director_->finish(result_.end != RunResult::End::kDone);
      checkers_->at_end();
      world_->network().check_balance();
    } catch (const InvariantBroken& broken) {
      result_.end = RunResult::End::kBroken;
      result_.broken = broken.what();
      for (const std::string& line : tracer_->last_lines(20)) result_.broken += "\n  " + line;
    }
    result_.ended_at = engine.now();
    result_.events = engine.events_run();
  }

  void collect() {
    result_.outcomes = director_->outcomes();
    result_.metrics = director_->metrics();
    result_.transcript = director_->transcript();
    result_.workloads = director_->workloads();
    result_.notes = director_->notes();
    tell_exits();
    const Instant now = world_->engine().now();
    const net::Totals& totals = world_->network().totals();
    result_.counts = {{"packets sent", totals.sent}, {"packets delivered", totals.delivered}, {"packets lost", totals.dropped}, {"packets in flight", totals.in_flight}};
    for (std::size_t i = 0; i < standard_.size(); ++i) {
      result_.counts.push_back({std::string(kStandard[i].name), static_cast<std::uint64_t>(metrics_.read(standard_[i], now).number)});
    }
    const auto rows = [&](trace::AggregateId id, std::string_view word) {
      for (const auto& group : metrics_.read_groups(id, now)) {
        std::string label;
        for (const std::string& l : group.labels) label += (label.empty() ? "" : " / ") + l;
        result_.drops.push_back({fmt::format("{} {}", word, label), static_cast<std::uint64_t>(group.value.number)});
      }
    };
    rows(fw_drop_, "dropped by");
    rows(fw_reject_, "rejected by");
    rows(packet_drop_, "reason");
    const auto finished = tracer_->finish();
    if (!finished) result_.write_error = finished.error().text;
    result_.digest = tracer_->digest_hex();
    result_.records = tracer_->size();
  }

  /// An agent that never came up has failed the run; one that gave up later may be what the file is about.
  void tell_exits() {
    constexpr std::size_t kMost = 10;
    std::size_t failed = 0, gone = 0;
    for (const Exits::Exit& exit : exits_->exits()) {
      const std::string& agent = world_->spec(host::AgentId{exit.agent}).full_name;
      if (exit.at_start && ++failed <= kMost) {
        Outcome o;
        o.name = agent + " starts";
        o.kind = "agent";
        o.text = agent;
        o.verdict = Verdict::kFails;
        o.decided_at = exit.at;
        o.event = exit.event;
        o.detail = exit.why.empty() ? "it did not come up" : "it did not come up: " + exit.why;
        result_.outcomes.push_back(std::move(o));
      } else if (!exit.at_start && ++gone <= kMost) {
        result_.notes.push_back(fmt::format("{} ended by itself at {}{}{}", agent, time_text(exit.at), exit.why.empty() ? "" : ": ", exit.why));
      }
    }
    if (failed > kMost) result_.notes.push_back(fmt::format("{} more agents ended by themselves at their start", failed - kMost));
    if (gone > kMost) result_.notes.push_back(fmt::format("{} more agents ended by themselves", gone - kMost));
  }

  void write() {
    if (options_.out_dir.empty()) return;
    const auto wrote = [&](const Result<bool>& done, const char* file) {
      if (done) result_.files.emplace_back(file);
      else if (result_.write_error.empty()) result_.write_error = fmt::format("{}: {}", file, done.error().text);
    };
    if (scenario_.record.events != scenario::Record::Events::kNone) {
      result_.files.emplace_back("trace.bin");
      wrote(trace::write_jsonl(path("trace.bin"), path("trace.jsonl"), {}), "trace.jsonl");
    }
    if (capture_) wrote(capture_->finish(), "capture.pcapng");
    wrote(trace::write_file(path("transcript.txt"), transcript_text(result_)), "transcript.txt");
    wrote(trace::write_file(path("metrics.csv"), metrics_text(result_)), "metrics.csv");
    result_.files.emplace_back("summary.json");
    if (const auto done = trace::write_file(path("summary.json"), summary_json(result_)); !done) {
      result_.files.pop_back();
      if (result_.write_error.empty()) result_.write_error = "summary.json: " + done.error().text;
    }
  }

  const scenario::Scenario& scenario_;
  const RunOptions& options_;
  RunResult result_;
  NameTable names_;
  trace::MetricHub metrics_;
  std::unique_ptr<trace::Tracer> tracer_;
  std::unique_ptr<host::Capture> capture_;
  std::unique_ptr<check::Checkers> checkers_;
  std::unique_ptr<Exits> exits_;
  std::unique_ptr<host::World> world_;
  std::unique_ptr<Director> director_;
  std::vector<trace::AggregateId> standard_;
  trace::AggregateId fw_drop_, fw_reject_, packet_drop_;
};

}  // namespace

bool RunResult::ok() const { return exit_status() == 0; }

int RunResult::exit_status() const {
  if (end == End::kBroken) return 3;
  if (end == End::kInterrupted) return 130;
  if (!write_error.empty()) return 2;
  const bool failed = std::any_of(outcomes.begin(), outcomes.end(), [](const Outcome& o) { return o.verdict == Verdict::kFails && !o.warn_only; });
  return failed ? 1 : 0;
}

RunResult run_scenario(const scenario::Scenario& scenario, const RunOptions& options) { return Run(scenario, options)(); }

}  // namespace dcsim::lab
