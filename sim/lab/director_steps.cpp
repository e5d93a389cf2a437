#include <fmt/format.h>

#include <algorithm>

#include "base/distribution.h"
#include "consul/command.h"
#include "host/recorder.h"
#include "lab/build.h"
#include "lab/director.h"
#include "lab/text_match.h"
#include "scenario/selector.h"

namespace dcsim::lab {

using trace::Ev;
using trace::Series;
namespace fields = trace::fields;

namespace {
constexpr std::size_t kMostNotes = 100;
}

std::vector<std::uint32_t> Director::agents_of(const scenario::Selector& selector, const std::string& purpose, Among among) {
  using State = host::ProcessState;
  if (selector.pick.kind == scenario::Pick::Kind::kAll) return scenario::matching(selector, *scenario_.topology);
  std::vector<bool> eligible(world_.agent_count());
  for (std::uint32_t a = 0; a < world_.agent_count(); ++a) {
    const State state = world_.process(host::AgentId{a}).state();
    eligible[a] = among == Among::kAll || (among == Among::kDown && state == State::kDown) || (among == Among::kRunning && state != State::kDown) ||
                  (among == Among::kNotPaused && state != State::kDown && state != State::kPaused) || (among == Among::kPaused && state == State::kPaused);
  }
  Rng rng(world_.seed(), "scenario", "pick/" + purpose);
  std::vector<std::uint32_t> picked = scenario::resolve(selector, *scenario_.topology, rng, eligible);
  if (picked.empty() && notes_.size() < kMostNotes) {
    static constexpr const char* kStates[] = {"", " that is down", " that runs", " that runs and is not paused", " that is paused"};
    notes_.push_back(fmt::format("{} at {}: `pick` found nobody{}", purpose, consul::go_duration(now() - Instant{}), kStates[static_cast<int>(among)]));
  }
  return picked;
}

/// What acts on a process picks among those it can act on.
Director::Among Director::among_of(const scenario::Action& action) {
  using Kind = scenario::ProcessAction::Kind;
  const auto* process = std::get_if<scenario::ProcessAction>(&action);
  if (!process) return Among::kRunning;
  switch (process->kind) {
    case Kind::kStart: return Among::kDown;
    case Kind::kPause: return Among::kNotPaused;
    case Kind::kResume: return Among::kPaused;
    default: return Among::kRunning;
  }
}

std::string Director::link_of(const scenario::ImpairAction& a) const {
  using Kind = scenario::ImpairAction::Kind;
  return a.kind == Kind::kEverything ? "*" : a.kind == Kind::kZone ? "zone:" + scenario_.topology->zones[a.index].name : scenario_.topology->links[a.index].name;
}

Director::Deed Director::deed_of(const scenario::Action& action) const {
  static constexpr const char* kProcess[] = {"start", "stop", "crash", "restart", "pause", "resume"};
  static constexpr const char* kHost[] = {"clock", "slow_cpu", "slow_disk"};
  if (const auto* p = std::get_if<scenario::ProcessAction>(&action)) return {kProcess[static_cast<int>(p->kind)], p->agents.text};
  if (const auto* r = std::get_if<scenario::RunAction>(&action)) return {"run", r->command.text};
  if (const auto* f = std::get_if<scenario::FirewallAction>(&action)) return {"firewall", f->firewall};
  if (const auto* p = std::get_if<scenario::PartitionAction>(&action)) {
    std::string sides;
    for (const scenario::Selector& side : p->between) sides += (sides.empty() ? "" : " | ") + side.text;
    return {"partition", sides};
  }
  if (const auto* i = std::get_if<scenario::ImpairAction>(&action)) return {"impair", link_of(*i)};
  const auto& h = std::get<scenario::HostAction>(action);
  return {kHost[static_cast<int>(h.kind)], h.agents.text};
}

void Director::act(std::uint32_t step) {
  const scenario::Step& s = scenario_.timeline[step];
  const Deed deed = deed_of(s.action);
  world_.recorder().record(Ev::kStep, NameId::none(), fields::names(name(step_name(step)), name(deed.verb), name(deed.target)));
  if (const auto* p = std::get_if<scenario::ProcessAction>(&s.action)) share_out(step, p->agents);
  if (const auto* r = std::get_if<scenario::RunAction>(&s.action)) share_out(step, r->agents);
  if (const auto* f = std::get_if<scenario::FirewallAction>(&s.action)) do_firewall(*f);
  if (const auto* p = std::get_if<scenario::PartitionAction>(&s.action)) do_partition(step, *p);
  if (const auto* i = std::get_if<scenario::ImpairAction>(&s.action)) do_impair(step_name(step), *i);
  if (const auto* h = std::get_if<scenario::HostAction>(&s.action)) do_host(step, *h);
}

// --- Processes -----------------------------------------------------------------------------------------------------

void Director::share_out(std::uint32_t step, const scenario::Selector& agents) {
  const Duration stagger = scenario_.timeline[step].stagger.value_or(Duration{});
  const Cause cause = world_.engine().cause();
  for (const std::uint32_t agent : agents_of(agents, purpose(step), among_of(scenario_.timeline[step].action))) {
    world_.engine().set_cause(cause);
    if (stagger.ns <= 0) {
      act_on(step, agent);  // at once: the next step of this instant finds it done
      continue;
    }
    // Each agent's delay is its own draw: adding an agent leaves the others' where they were.
    Rng rng(world_.seed(), scenario_.topology->agents[agent].full_name, "stagger/" + purpose(step));
    core::Event e;
    e.kind = kAct;
    e.target = agent;
    e.arg = step;
    world_.engine().schedule(origin_, now() + rng.below(stagger), e);
  }
}

void Director::act_on(std::uint32_t step, std::uint32_t agent) {
  using Kind = scenario::ProcessAction::Kind;
  const host::AgentId id{agent};
  const scenario::Action& action = scenario_.timeline[step].action;
  if (const auto* run = std::get_if<scenario::RunAction>(&action)) return launch(agent, run->command.text, step, std::nullopt);
  const auto& process = std::get<scenario::ProcessAction>(action);
  switch (process.kind) {
    case Kind::kStart: world_.start(id); break;
    case Kind::kStop:
      expect_end(agent);
      world_.stop(id);
      break;
    case Kind::kCrash:
      expect_end(agent);
      world_.crash(id);
      break;
    case Kind::kPause: world_.pause(id); break;
    case Kind::kResume: world_.resume(id); break;
    case Kind::kRestart: restart(agent, process.config ? &*process.config : nullptr); break;
  }
}

void Director::expect_end(std::uint32_t agent) {
  if (exits_) exits_->expect(host::AgentId{agent});
}

void Director::restart(std::uint32_t agent, const scenario::ConfigValue* config) {
  const host::AgentId id{agent};
  if (!world_.process(id).running()) return;
  std::string refusal;  // what Consul would say to the new configuration, and end
  if (config) {
    const auto known = overrides_.find(agent);
    overrides_[agent] = known == overrides_.end() ? *config : scenario::merged(known->second, *config);
    Diagnostics problems;  // `check` has looked at each restart alone, but not at what they come to together
    consul::AgentConfig built = build_agent(*scenario_.topology, agent, &overrides_[agent], problems);
    for (const Diagnostic& d : problems) {
      if (d.severity == Diagnostic::Severity::kError && refusal.empty()) refusal = d.message;
    }
    if (refusal.empty()) world_.configure(id, std::move(built));
  }
  world_.recorder().record(Ev::kAgentRestart, world_.recorder().agent_name(id), fields::names(name(config ? "new configuration" : "")));
  // As `systemctl restart` does: SIGTERM, which leaves where Consul would, and a new process once it is gone.
  expect_end(agent);
  world_.stop(id);
  if (!refusal.empty()) {
    if (exits_) exits_->refused(id, std::move(refusal));
    return;
  }
  core::Event e;
  e.kind = kRestart;
  e.target = agent;
  world_.engine().schedule(origin_, now(), e);
}

// --- Commands ------------------------------------------------------------------------------------------------------

void Director::launch(std::uint32_t agent, const std::string& command, std::optional<std::uint32_t> step, std::optional<std::uint32_t> workload) {
  const host::AgentId id{agent};
  const NameId node = world_.recorder().agent_name(id);
  const NameId label = name(step ? step_name(*step) : workload ? scenario_.workload[*workload].name : "");
  world_.recorder().record(Ev::kCommandRun, node, fields::names(name(command), label));
  CommandRecord record;
  record.at = now();
  record.agent = world_.spec(id).full_name;
  record.command = command;
  record.step = step ? step_name(*step) : "";
  const Running run{transcript_.size(), step, workload};
  transcript_.push_back(std::move(record));
  if (workload && scenario_.workload[*workload].timeout) {
    schedule(now() + *scenario_.workload[*workload].timeout, kWorkTimeout, static_cast<std::uint32_t>(run.transcript), agent);
  }
  const auto words = consul::split_command(command);
  const std::string verb = words && words->size() > 1 ? (*words)[1] : std::string();
  if (verb == "leave") expect_end(agent);
  // The one command that can print both: each address that fails at once, what has been joined at the end.
  transcript_.back().err_first = verb == "join";
  // A command may end before run() returns, so it is entered under the number that it will get.
  running_.emplace(world_.next_command().value, run);
  world_.run(id, words ? *words : std::vector<std::string>{command}, *this);
}

void Director::on_command_done(host::AgentId agent, consul::CommandId command, const consul::CommandResult& result) {
  const auto it = running_.find(command.value);
  if (it == running_.end()) return;
  const Running run = it->second;
  running_.erase(it);
  CommandRecord& record = transcript_[run.transcript];
  record.ended = true;
  record.elapsed = now() - record.at;
  record.exit = result.exit;
  record.out = result.out;
  record.err = result.err;
  command_ended(run, record, agent.value);
}

/// Tells the trace and the series; judges what a step expects.
void Director::command_ended(const Running& run, const CommandRecord& record, std::uint32_t agent) {
  const host::AgentId id{agent};
  const NameId node = world_.recorder().agent_name(id);
  const NameId label = name(run.step ? step_name(*run.step) : run.workload ? scenario_.workload[*run.workload].name : "");
  trace::Fields f = fields::names(name(record.command), name(run.step ? step_name(*run.step) : ""), name(record.err), static_cast<std::uint16_t>(record.exit), record.elapsed);
  world_.recorder().tracer().append(now(), Ev::kCommandExit, node, f, world_.engine().cause());
  trace::LabelValues l;
  l.observer = node;
  const auto slot = [&](Series s, std::string_view which, NameId value) {
    if (const auto i = trace::series_spec(s).slot(which)) l.slot[*i] = value;
  };
  if (hub_.wanted(Series::kCommandExit)) {
    const NameId status = name(std::to_string(record.exit));
    slot(Series::kCommandExit, "status", status);
    slot(Series::kCommandExit, "exit", status);
    slot(Series::kCommandExit, "command", name(record.command));
    slot(Series::kCommandExit, "step", label);
    hub_.count(now(), Series::kCommandExit, l);
  }
  if (run.workload) {
    if (record.exit != 0) ++workloads_[*run.workload].failed;
    l.slot = {};
    slot(Series::kRpcCount, "workload", label);
    slot(Series::kRpcCount, "target_dc", name(world_.spec(id).dc));
    hub_.count(now(), Series::kRpcCount, l);
    if (record.exit != 0) hub_.count(now(), Series::kRpcError, l);
    else hub_.observe(now(), Series::kRpcLatency, l, record.elapsed.seconds());
  }
  if (run.step) judge_command(run, record);
}

namespace {

std::string shown(const std::string& text) {
  std::string line = text.substr(0, 200);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return text.empty() ? "nothing" : "`" + line + (text.size() > 200 ? "...`" : "`");
}

std::string wanted(const scenario::TextMatch& match) {
  if (match.pattern.empty()) return "nothing";
  return match.kind == scenario::TextMatch::Kind::kRegex ? "/" + match.pattern + "/" : "`" + match.pattern + "`";
}

}  // namespace

void Director::judge_command(const Running& run, const CommandRecord& record) {
  const scenario::Step& step = scenario_.timeline[*run.step];
  const auto& expect = std::get<scenario::RunAction>(step.action).expect;
  if (!expect) return;
  Outcome& outcome = step_outcomes_[*run.step];
  if (outcome.verdict == Verdict::kFails) return;
  outcome.name = step_name(*run.step);
  outcome.kind = "step";
  outcome.text = record.command;
  outcome.verdict = Verdict::kHolds;
  outcome.decided_at = now();
  outcome.event = world_.engine().events_run();
  std::string wrong;
  const auto differ = [&](std::string what) { wrong += (wrong.empty() ? "" : "; ") + std::move(what); };
  if (!record.ended && cut_ && !(expect->within && record.elapsed > *expect->within)) {
    outcome.verdict = Verdict::kPending;
    outcome.detail = fmt::format("at {}: the run was cut short before the command ended", record.agent);
    return;
  }
  if (!record.ended) {
    differ("the command did not end in this run");
  } else {
    if (expect->exit && record.exit != *expect->exit) differ(fmt::format("exit {} instead of {}", record.exit, *expect->exit));
    if (expect->out && !found(*expect->out, record.out)) differ(fmt::format("stdout is {}, wanted {}", shown(record.out), wanted(*expect->out)));
    if (expect->err && !found(*expect->err, record.err)) differ(fmt::format("stderr is {}, wanted {}", shown(record.err), wanted(*expect->err)));
    if (expect->not_out && found(*expect->not_out, record.out)) differ(expect->not_out->pattern.empty() ? std::string("stdout is nothing") : fmt::format("stdout contains {}", wanted(*expect->not_out)));
    if (expect->within && record.elapsed > *expect->within) {
      differ(fmt::format("took {}, more than {}", consul::go_duration(record.elapsed), consul::go_duration(*expect->within)));
    }
  }
  if (wrong.empty()) return;
  if (!record.err.empty() && wrong.find("stderr") == std::string::npos) wrong += fmt::format("; stderr: {}", shown(record.err));
  outcome.verdict = Verdict::kFails;
  outcome.detail = fmt::format("at {}: {}", record.agent, wrong);
}

// --- Network faults ------------------------------------------------------------------------------------------------

void Director::do_firewall(const scenario::FirewallAction& a) {
  using Kind = scenario::FirewallAction::Kind;
  static constexpr const char* kNames[] = {"enabled", "disabled", "rule inserted", "rule deleted", "conntrack flushed"};
  net::Network& network = world_.network();
  for (std::uint32_t i = 0; i < network.firewall_count(); ++i) {
    net::Firewall& firewall = network.firewall(net::FirewallId{i});
    if (firewall.name() != a.firewall && !(a.kind == Kind::kFlushConntrack && a.firewall.empty())) continue;
    if (a.kind == Kind::kDelete && !firewall.position_of(a.rule_name)) continue;  // not inserted yet, or deleted before
    const std::string rule = a.kind == Kind::kInsert && a.rule ? a.rule->name : a.rule_name;
    world_.recorder().record(Ev::kFirewallChanged, NameId::none(),
                             fields::names(name(firewall.name()), name(rule), name(kNames[static_cast<int>(a.kind)])));
    switch (a.kind) {
      case Kind::kEnable: firewall.enable(true); break;
      case Kind::kDisable: firewall.enable(false); break;
      case Kind::kFlushConntrack: firewall.flush_conntrack(); break;
      case Kind::kDelete: firewall.erase(a.rule_name); break;
      case Kind::kInsert: {
        const std::size_t end = firewall.order().size();  // where its neighbour is gone
        std::size_t position = a.index.value_or(0);
        if (!a.before.empty()) position = firewall.position_of(a.before).value_or(end);
        if (!a.after.empty()) position = firewall.position_of(a.after).value_or(end) + 1;
        firewall.insert(position, build_rule(*a.rule, *scenario_.topology));
        break;
      }
    }
  }
}

void Director::undo_later(Duration after, Undo what) {
  undos_.push_back(std::move(what));
  enter(now() + after, undos_.size() - 1, world_.engine().cause());  // the end of a fault goes back to its start
}

void Director::do_partition(std::uint32_t step, const scenario::PartitionAction& a) {
  const std::string& title = step_name(step);
  net::PartitionSpec spec;
  spec.name = title;
  spec.sides.resize(a.between.size());
  std::vector<bool> placed(world_.agent_count());
  for (const bool picks : {true, false}) {  // those picked for one side do not stand on another
    for (std::size_t i = 0; i < a.between.size(); ++i) {
      if ((a.between[i].pick.kind != scenario::Pick::Kind::kAll) != picks) continue;
      for (const std::uint32_t agent : agents_of(a.between[i], i == 0 ? purpose(step) : fmt::format("{}/side {}", purpose(step), i + 1))) {
        if (placed[agent]) continue;
        placed[agent] = true;
        spec.sides[i].push_back(HostId{agent});
      }
    }
  }
  spec.mode = build_mode(a.mode);
  spec.direction = build_direction(a.direction);
  world_.recorder().record(Ev::kPartition, NameId::none(),
                           fields::names(name(title), name(a.between[0].text), name(a.between.size() > 1 ? a.between[1].text : ""),
                                         static_cast<std::uint16_t>(a.mode)));
  Undo back;
  back.what = Undo::What::kPartition;
  back.name = name(title);
  back.partition = world_.network().partition(spec);
  if (a.duration) undo_later(*a.duration, std::move(back));
}

net::Impairment Director::impairment_of(const scenario::LinkOverrides& o, bool down) const {
  net::Impairment change;
  change.latency = o.latency;
  change.jitter = o.jitter;
  if (o.distribution) {
    scenario::LinkAttributes probe;
    probe.distribution = *o.distribution;
    change.distribution = build_link(probe).distribution;
  }
  change.loss = o.loss;
  change.duplicate = o.duplicate;
  change.corrupt = o.corrupt;
  change.reorder = o.reorder;
  change.correlation = o.correlation;
  change.bandwidth = o.bandwidth;
  change.queue = o.queue;
  change.mtu = o.mtu;
  change.down = down;
  return change;
}

void Director::do_impair(const std::string& title, const scenario::ImpairAction& a) {
  const net::Impairment change = impairment_of(a.overrides, a.down);
  const std::string selector = link_of(a);
  world_.recorder().record(Ev::kImpair, NameId::none(), fields::names(name(selector), name(title)));
  const auto done = world_.network().impair(selector, change);
  if (!done) return;  // a zone without agents has no links of this kind
  Undo back;
  back.what = Undo::What::kImpair;
  back.name = name(selector);
  back.impairments = {*done};
  if (a.duration) undo_later(*a.duration, std::move(back));
}

void Director::do_host(std::uint32_t step, const scenario::HostAction& a) {
  using Kind = scenario::HostAction::Kind;
  Undo back;
  back.agents = agents_of(a.agents, purpose(step), Among::kRunning);
  back.what = a.kind == Kind::kClock ? Undo::What::kClock : a.kind == Kind::kSlowCpu ? Undo::What::kSlowCpu : Undo::What::kSlowDisk;
  set_host(back.agents, a);
  if (a.duration) undo_later(*a.duration, std::move(back));
}

void Director::set_host(const std::vector<std::uint32_t>& agents, const scenario::HostAction& a) {
  using Kind = scenario::HostAction::Kind;
  /// What handling one message costs an agent on an unburdened machine, for `factor`.
  constexpr Duration kMessageCost = 20_us;
  for (const std::uint32_t agent : agents) {
    const host::AgentId id{agent};
    if (a.kind == Kind::kClock) {
      // Timers run on the monotonic clock: only its rate matters to the protocols, a step of the wall clock does not.
      world_.process(id).set_clock_drift(a.drift.value_or(0));
      world_.recorder().clock_changed(id, a.offset.value_or(Duration{}), a.drift.value_or(0));
      continue;
    }
    world_.recorder().slowed(id, a.kind == Kind::kSlowCpu ? "cpu" : "disk", a.factor_milli.value_or(1000));
    // The disk matters once agents write to it (Raft); gossip does not wait for it.
    if (a.kind == Kind::kSlowCpu) {
      world_.process(id).set_service_time(a.latency.value_or(Duration{}) + Duration{kMessageCost.ns * a.factor_milli.value_or(0) / 1000});
    }
  }
}

void Director::undo(const Undo& u) {
  switch (u.what) {
    case Undo::What::kPartition:
      world_.network().heal(u.partition);
      world_.recorder().record(Ev::kHeal, NameId::none(), fields::names(u.name));
      return;
    case Undo::What::kImpair:
      for (const auto id : u.impairments) world_.network().restore(id);
      world_.recorder().record(Ev::kImpairEnd, NameId::none(), fields::names(u.name));
      return;
    case Undo::What::kClock:
      for (const std::uint32_t a : u.agents) {
        world_.process(host::AgentId{a}).set_clock_drift(0);
        world_.recorder().clock_ended(host::AgentId{a});
      }
      return;
    case Undo::What::kSlowCpu:
      for (const std::uint32_t a : u.agents) {
        world_.process(host::AgentId{a}).set_service_time({});
        world_.recorder().slow_ended(host::AgentId{a}, "cpu");
      }
      return;
    case Undo::What::kSlowDisk:
      for (const std::uint32_t a : u.agents) world_.recorder().slow_ended(host::AgentId{a}, "disk");
      return;
    case Undo::What::kResume:
      for (const std::uint32_t a : u.agents) world_.resume(host::AgentId{a});
      return;
    case Undo::What::kRestart:
      for (const std::uint32_t a : u.agents) world_.start(host::AgentId{a});
      return;
  }
}

}  // namespace dcsim::lab
