#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/world.h"
#include "lab/exits.h"
#include "lab/expectations.h"
#include "lab/run.h"
#include "scenario/scenario.h"

namespace dcsim::lab {

/// Plays a scenario's timeline, faults and workloads on a World, keeps the transcript, and opens, closes and judges the
/// windows of expectations and metrics. Its events come before everything else at one instant, in file order.
class Director final : public host::CommandListener {
 public:
  Director(const scenario::Scenario& scenario, host::World& world, trace::MetricHub& hub, Expressions expressions, Instant end);
  ~Director() override;
  Director(const Director&) = delete;
  Director& operator=(const Director&) = delete;

  /// Schedules what has a time. Call once, before the engine runs.
  void begin();
  /// After every engine event: judges what the event may have changed. Returns false if the run shall stop (abort).
  bool after_event();
  /// At the end of the run. `stopped`: it has not come to its end (abort, interruption).
  void finish(bool stopped);

  /// Who is told which ends of processes are meant; null = nobody. Set before begin().
  void set_exits(Exits* exits) { exits_ = exits; }

  const std::vector<CommandRecord>& transcript() const { return transcript_; }
  std::vector<WorkloadCount> workloads() const;
  /// Steps that found nobody to act on, and the like.
  const std::vector<std::string>& notes() const { return notes_; }
  std::vector<Outcome> outcomes() const;
  std::vector<MetricValue> metrics() const;

  // host::CommandListener
  void on_command_done(host::AgentId agent, consul::CommandId command, const consul::CommandResult& result) override;

 private:
  enum EventKind : std::uint16_t { kDue = core::kLabKinds, kAct, kBoundary, kWork, kWorkTimeout, kLook, kFault, kRestart };
  struct Boundary {
    bool opens = false;
    bool metric = false;
    std::uint32_t index = 0;
    std::optional<std::uint32_t> step;
    Duration offset;
  };
  /// What takes a fault back when its duration is over.
  struct Undo {
    enum class What : std::uint8_t { kPartition, kImpair, kClock, kSlowCpu, kSlowDisk, kResume, kRestart } what = What::kPartition;
    net::PartitionId partition;
    std::vector<net::ImpairmentId> impairments;
    std::vector<std::uint32_t> agents;
    NameId name;
  };
  /// Where a step stands on the timeline.
  struct Occurrence {
    std::string name;            ///< given, or what it does: stable when other steps come and go
    std::uint32_t count = 0;     ///< how often it happened
    Instant first;               ///< when it first did
    bool timed = false;          ///< its time is known from the start
  };
  /// A step that is due, or the end of a fault. At one instant ends come first, then steps in file order.
  struct Due {
    std::uint64_t rank = 0;
    Cause cause;
  };
  static constexpr std::uint64_t kStepRank = 1ull << 32;
  struct Running {
    std::size_t transcript = 0;
    std::optional<std::uint32_t> step;
    std::optional<std::uint32_t> workload;
  };
  struct WorkloadState {
    std::vector<std::uint32_t> agents;
    std::vector<Rng> draws;
    std::vector<std::uint64_t> sequence;
    std::uint64_t failed = 0;
  };
  /// Whom a `pick` may choose from.
  enum class Among : std::uint8_t { kAll, kDown, kRunning, kNotPaused, kPaused };
  struct MetricRun {
    std::unique_ptr<Watched> watched;
    bool opened = false;
    bool closed = false;
  };

  /// A step's action in two words, for names and the trace.
  struct Deed {
    std::string verb, target;
  };
  Deed deed_of(const scenario::Action& action) const;
  std::string link_of(const scenario::ImpairAction& action) const;

  static void dispatch(void* self, const core::Event& event);
  void handle(const core::Event& event);
  core::EventHandle schedule(Instant at, EventKind kind, std::uint32_t target, std::uint64_t a = 0);
  void enter(Instant at, std::uint64_t rank, Cause cause = {});
  void next_due();
  bool is_over(const scenario::TimeRef& until) const;
  void occur(std::uint32_t step);
  void act(std::uint32_t step);
  void share_out(std::uint32_t step, const scenario::Selector& agents);
  void act_on(std::uint32_t step, std::uint32_t agent);
  void restart(std::uint32_t agent, const scenario::ConfigValue* config);
  void do_firewall(const scenario::FirewallAction& action);
  void do_partition(std::uint32_t step, const scenario::PartitionAction& action);
  void do_impair(const std::string& name, const scenario::ImpairAction& action);
  void do_host(std::uint32_t step, const scenario::HostAction& action);
  void set_host(const std::vector<std::uint32_t>& agents, const scenario::HostAction& action);
  net::Impairment impairment_of(const scenario::LinkOverrides& overrides, bool down) const;
  void undo(const Undo& undo);
  void undo_later(Duration after, Undo what);
  void boundaries_of(std::optional<std::uint32_t> step, Instant at);
  void pass(const Boundary& boundary);
  void launch(std::uint32_t agent, const std::string& command, std::optional<std::uint32_t> step, std::optional<std::uint32_t> workload);
  std::string why_shut(const scenario::Expectation& spec) const;
  void judge_command(const Running& run, const CommandRecord& record);
  void begin_workloads();
  void work(std::uint32_t workload, std::uint32_t slot);
  void begin_faults();
  void fault(std::uint32_t index);
  void strike(const scenario::Fault& fault, const std::string& kind, std::uint32_t target, Duration lasts);
  /// `changed`: an event changed a series, not the passing of time.
  void look(bool changed);
  void schedule_look();
  std::vector<std::uint32_t> agents_of(const scenario::Selector& selector, const std::string& purpose, Among among = Among::kAll);
  static Among among_of(const scenario::Action& action);
  void command_ended(const Running& run, const CommandRecord& record, std::uint32_t agent);
  /// Ends of processes that somebody asked for.
  void expect_end(std::uint32_t agent);
  void name_steps();
  const std::string& step_name(std::uint32_t step) const { return steps_[step].name; }
  /// Names what a step draws: every repetition draws anew.
  std::string purpose(std::uint32_t step) const;
  NameId name(std::string_view text) const;
  Instant now() const;

  const scenario::Scenario& scenario_;
  host::World& world_;
  trace::MetricHub& hub_;
  Expressions expressions_;
  Instant end_;
  OriginId origin_;
  std::vector<std::unique_ptr<ExpectationRun>> expectations_;
  std::vector<MetricRun> metrics_;
  std::vector<std::unique_ptr<Watched>> when_;
  std::vector<bool> when_done_;
  std::vector<Occurrence> steps_;  // beside Scenario::timeline
  std::map<Instant, std::vector<Due>> agenda_;  // by rank at one instant
  std::vector<Boundary> boundaries_;
  std::vector<Undo> undos_;
  std::vector<CommandRecord> transcript_;
  std::vector<std::string> notes_;
  Exits* exits_ = nullptr;
  std::map<std::uint32_t, Running> running_;  // by command id
  std::map<std::uint32_t, Outcome> step_outcomes_;
  std::vector<WorkloadState> workloads_;
  std::vector<Rng> fault_draws_;
  std::map<std::uint32_t, scenario::ConfigValue> overrides_;  // by agent: what restarts laid over
  std::uint64_t seen_stamp_ = 0;
  Instant look_at_ = Instant::never();
  core::EventHandle look_;
  bool stop_ = false;
  bool cut_ = false;  ///< the run ended before the scenario does
  bool looking_ = true;
};

}  // namespace dcsim::lab
