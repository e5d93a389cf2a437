#include <fmt/format.h>

#include <algorithm>
#include <regex>

#include "base/distribution.h"
#include "consul/command.h"
#include "gossip/serf_regex.h"
#include "host/recorder.h"
#include "lab/build.h"
#include "lab/director.h"
#include "scenario/selector.h"

namespace dcsim::lab {

using trace::Ev;
using trace::Series;
namespace fields = trace::fields;

std::vector<std::uint32_t> Director::agents_of(const scenario::Selector& selector, const std::string& purpose) {
  Rng rng(world_.seed(), "scenario", "pick/" + purpose);
  return scenario::resolve(selector, *scenario_.topology, rng);
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
  for (const std::uint32_t agent : agents_of(agents, purpose(step))) {
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
    case Kind::kStop: world_.stop(id); break;
    case Kind::kCrash: world_.crash(id); break;
    case Kind::kPause: world_.pause(id); break;
    case Kind::kResume: world_.resume(id); break;
    case Kind::kRestart: restart(agent, process.config ? &*process.config : nullptr); break;
  }
}

void Director::restart(std::uint32_t agent, const scenario::ConfigValue* config) {
  const host::AgentId id{agent};
  if (!world_.process(id).running()) return;
  if (config) {
    const auto known = overrides_.find(agent);
    overrides_[agent] = known == overrides_.end() ? *config : scenario::merged(known->second, *config);
    Diagnostics ignored;  // `check` has reported them
    world_.configure(id, build_agent(*scenario_.topology, agent, &overrides_[agent], ignored));
  }
  world_.recorder().record(Ev::kAgentRestart, world_.recorder().agent_name(id), fields::names(name(config ? "new configuration" : "")));
  // As `systemctl restart` does: SIGTERM, which leaves where Consul would, and a new process once it is gone.
  world_.stop(id);
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
  record.step = step ? scenario_.timeline[*step].name : "";
  const Running run{transcript_.size(), step, workload};
  transcript_.push_back(std::move(record));
  if (workload && scenario_.workload[*workload].timeout) {
    schedule(now() + *scenario_.workload[*workload].timeout, kWorkTimeout, static_cast<std::uint32_t>(run.transcript));
  }
  const auto words = consul::split_command(command);
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
  if (record.exit == 124) return;  // its caller has stopped waiting
  record.ended = true;
  record.elapsed = now() - record.at;
  record.exit = result.exit;
  record.out = result.out;
  record.err = result.err;
  const NameId node = world_.recorder().agent_name(agent);
  trace::Fields f = fields::names(name(record.command), name(run.step ? step_name(*run.step) : ""), name(result.err), static_cast<std::uint16_t>(result.exit), record.elapsed);
  world_.recorder().tracer().append(now(), Ev::kCommandExit, node, f, world_.engine().cause());
  if (run.workload) {
    trace::LabelValues l;
    l.observer = node;
    const auto slot = [&](Series s, std::string_view label, std::string_view value) {
      if (const auto i = trace::series_spec(s).slot(label)) l.slot[*i] = name(value);
    };
    slot(Series::kRpcCount, "workload", scenario_.workload[*run.workload].name);
    slot(Series::kRpcCount, "target_dc", world_.spec(agent).dc);
    hub_.count(now(), Series::kRpcCount, l);
    if (result.exit != 0) hub_.count(now(), Series::kRpcError, l);
    else hub_.observe(now(), Series::kRpcLatency, l, record.elapsed.seconds());
  }
  if (run.step) judge_command(run, record);
}

namespace {

bool matches(const scenario::TextMatch& want, const std::string& text) {
  if (want.kind == scenario::TextMatch::Kind::kText) return text.find(want.pattern) != std::string::npos;
  // Linear in the text, whatever the pattern. What only ECMAScript can say (lookahead, back references) is tried line by
  // line, because libstdc++ recurses once a character.
  if (const auto linear = gossip::Regex::compile(want.pattern)) return linear->matches(text);
  constexpr std::size_t kLongestLine = 4096;
  const std::regex pattern(want.pattern, std::regex::ECMAScript);
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    if (std::regex_search(text.substr(from, std::min(end - from, kLongestLine)), pattern)) return true;
    from = end + 1;
  }
  return false;
}

std::string shown(const std::string& text) {
  std::string line = text.substr(0, 200);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return text.empty() ? "nothing" : "`" + line + (text.size() > 200 ? "...`" : "`");
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
  if (!record.ended) {
    differ("the command did not end in this run");
  } else {
    if (expect->exit && record.exit != *expect->exit) differ(fmt::format("exit {} instead of {}", record.exit, *expect->exit));
    if (expect->out && !matches(*expect->out, record.out)) differ(fmt::format("stdout is {}, wanted `{}`", shown(record.out), expect->out->pattern));
    if (expect->err && !matches(*expect->err, record.err)) differ(fmt::format("stderr is {}, wanted `{}`", shown(record.err), expect->err->pattern));
    if (expect->not_out && matches(*expect->not_out, record.out)) differ(fmt::format("stdout contains `{}`", expect->not_out->pattern));
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
        std::size_t position = a.index ? *a.index : firewall.order().size();
        if (!a.before.empty()) position = firewall.position_of(a.before).value_or(position);
        if (!a.after.empty()) position = firewall.position_of(a.after).value_or(position) + 1;
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
  for (const scenario::Selector& side : a.between) {
    std::vector<HostId> hosts;
    for (const std::uint32_t agent : agents_of(side, purpose(step))) hosts.push_back(HostId{agent});
    spec.sides.push_back(std::move(hosts));
  }
  spec.mode = static_cast<net::PartitionMode>(static_cast<int>(a.mode));
  spec.direction = a.direction == scenario::PartitionAction::Direction::kBoth ? net::PartitionDirection::kBoth
                   : a.direction == scenario::PartitionAction::Direction::kTo ? net::PartitionDirection::kTo
                                                                              : net::PartitionDirection::kFrom;
  world_.recorder().record(Ev::kPartition, NameId::none(),
                           fields::names(name(title), name(a.between[0].text), name(a.between.size() > 1 ? a.between[1].text : ""),
                                         static_cast<std::uint16_t>(a.mode)));
  Undo back;
  back.what = Undo::What::kPartition;
  back.name = name(title);
  back.partition = world_.network().partition(spec);
  if (a.duration) undo_later(*a.duration, std::move(back));
}

void Director::do_impair(const std::string& title, const scenario::ImpairAction& a) {
  net::Impairment change;
  const scenario::LinkOverrides& o = a.overrides;
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
  change.down = a.down;
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
  /// What handling one message costs an agent on an unburdened machine, for `factor`.
  constexpr Duration kMessageCost = 20_us;
  Undo back;
  back.agents = agents_of(a.agents, purpose(step));
  back.what = a.kind == Kind::kClock ? Undo::What::kClock : Undo::What::kSlow;
  for (const std::uint32_t agent : back.agents) {
    const host::AgentId id{agent};
    const NameId node = world_.recorder().agent_name(id);
    if (a.kind == Kind::kClock) {
      // Timers run on the monotonic clock: only its rate matters to the protocols, a step of the wall clock does not.
      world_.process(id).set_clock_drift(a.drift.value_or(0));
      trace::Fields f = fields::names(name("clock"));
      f.d = static_cast<std::uint64_t>(a.offset.value_or(Duration{}).ns);
      world_.recorder().record(Ev::kClock, node, f);
      continue;
    }
    trace::Fields f = fields::names(name(a.kind == Kind::kSlowCpu ? "cpu" : "disk"));
    f.b = a.factor_milli.value_or(1000);
    world_.recorder().record(Ev::kSlow, node, f);
    // The disk matters once agents write to it (Raft); gossip does not wait for it.
    if (a.kind == Kind::kSlowCpu) {
      world_.process(id).set_service_time(a.latency.value_or(Duration{}) + Duration{kMessageCost.ns * a.factor_milli.value_or(0) / 1000});
    }
  }
  if (a.duration) undo_later(*a.duration, std::move(back));
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
      for (const std::uint32_t a : u.agents) world_.process(host::AgentId{a}).set_clock_drift(0);
      return;
    case Undo::What::kSlow:
      for (const std::uint32_t a : u.agents) world_.process(host::AgentId{a}).set_service_time({});
      return;
    case Undo::What::kResume:
      for (const std::uint32_t a : u.agents) world_.resume(host::AgentId{a});
      return;
    case Undo::What::kRestart:
      for (const std::uint32_t a : u.agents) world_.start(host::AgentId{a});
      return;
  }
}

namespace {

/// The time to the next of random happenings, which is never at the very same instant.
Duration poisson_gap(Rng& rng, Duration mean) { return std::max(exponential(rng, std::min(mean, kLongestDraw)), 1_ns); }

}  // namespace

// --- Workloads -----------------------------------------------------------------------------------------------------

void Director::begin_workloads() {
  for (std::uint32_t w = 0; w < scenario_.workload.size(); ++w) {
    const scenario::Workload& spec = scenario_.workload[w];
    WorkloadState state;
    if (spec.agents) state.agents = agents_of(*spec.agents, "workload/" + spec.name);
    else for (std::uint32_t a = 0; a < scenario_.topology->agents.size(); ++a) state.agents.push_back(a);
    for (const std::uint32_t a : state.agents) state.draws.emplace_back(world_.seed(), scenario_.topology->agents[a].full_name, "workload/" + spec.name);
    state.sequence.resize(state.agents.size());
    workloads_.push_back(std::move(state));
    for (std::uint32_t slot = 0; slot < workloads_[w].agents.size(); ++slot) {
      Duration first{};
      if (spec.every && spec.gap == scenario::Workload::Gap::kExponential) first = poisson_gap(workloads_[w].draws[slot], *spec.every);
      schedule(Instant{} + spec.from + first, kWork, w, slot);
    }
  }
}

namespace {

void replace_all(std::string& text, std::string_view from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) text.replace(at, from.size(), to);
}

}  // namespace

void Director::work(std::uint32_t workload, std::uint32_t slot) {
  const scenario::Workload& spec = scenario_.workload[workload];
  if (spec.until && now() > Instant{} + *spec.until) return;
  WorkloadState& state = workloads_[workload];
  std::string command = spec.run.text;
  replace_all(command, "{seq}", std::to_string(++state.sequence[slot]));
  if (command.find("{uuid}") != std::string::npos) {
    Rng& rng = state.draws[slot];
    const std::uint64_t hi = rng.next(), lo = rng.next();
    replace_all(command, "{uuid}", fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", hi >> 32, hi >> 16 & 0xFFFF, hi & 0xFFF, (lo >> 48 & 0x3FFF) | 0x8000, lo & 0xFFFFFFFFFFFFull));
  }
  launch(state.agents[slot], command, std::nullopt, workload);
  if (!spec.every || spec.every->ns <= 0) return;
  const Duration gap = spec.gap == scenario::Workload::Gap::kExponential ? poisson_gap(state.draws[slot], *spec.every) : *spec.every;
  schedule(now() + std::max(gap, 1_ns), kWork, workload, slot);
}

// --- Random faults -------------------------------------------------------------------------------------------------

void Director::begin_faults() {
  for (std::uint32_t i = 0; i < scenario_.faults.size(); ++i) {
    const scenario::Fault& f = scenario_.faults[i];
    fault_draws_.emplace_back(world_.seed(), "scenario", "fault/" + (f.name.empty() ? std::to_string(i) : f.name));
    const Duration gap = f.interval.value_or(30_s);
    schedule(Instant{} + poisson_gap(fault_draws_[i], gap), kFault, i);
  }
}

void Director::fault(std::uint32_t index) {
  const scenario::Fault& f = scenario_.faults[index];
  Rng& rng = fault_draws_[index];
  const Duration lasts = f.duration.value_or(10_s);
  // Of the scenario's own end: a run cut short by --until is the same run up to there.
  if (now() + lasts > Instant{} + scenario_.duration - f.quiet_at_end.value_or(Duration{})) return;
  std::vector<std::uint32_t> candidates;
  for (std::uint32_t a = 0; a < world_.agent_count(); ++a) {
    if (world_.process(host::AgentId{a}).running()) candidates.push_back(a);
  }
  if (f.targets) {
    const auto wanted = scenario::matching(*f.targets, *scenario_.topology);
    std::erase_if(candidates, [&](std::uint32_t a) { return !std::binary_search(wanted.begin(), wanted.end(), a); });
  }
  const std::string kind = f.kinds[rng.below(f.kinds.size())];
  if (!candidates.empty()) {
    const std::uint32_t target = candidates[rng.below(candidates.size())];
    const host::AgentId id{target};
    const std::string title = fmt::format("fault {}", kind);
    world_.recorder().record(Ev::kStep, NameId::none(), fields::names(name(f.name.empty() ? title : f.name), name(kind), name(world_.spec(id).full_name)));
    Undo back;
    back.agents = {target};
    back.name = name(title);
    if (kind == "crash" || kind == "restart") {
      kind == "crash" ? world_.crash(id) : world_.stop(id);
      back.what = Undo::What::kRestart;
    } else if (kind == "pause") {
      world_.pause(id);
      back.what = Undo::What::kResume;
    } else if (kind == "slow_cpu") {
      world_.process(id).set_service_time(50_ms);
      back.what = Undo::What::kSlow;
    } else if (kind == "impair") {
      net::Impairment loss;
      loss.loss = 300'000'000;
      const auto done = world_.network().impair("zone:" + world_.spec(id).zone + "/" + world_.spec(id).full_name, loss);
      back.what = Undo::What::kImpair;
      if (done) back.impairments = {*done};
    } else {  // partition: the target against everybody else
      net::PartitionSpec spec;
      spec.name = title;
      spec.sides.resize(2);
      for (std::uint32_t a = 0; a < world_.agent_count(); ++a) spec.sides[a == target ? 0 : 1].push_back(HostId{a});
      back.partition = world_.network().partition(spec);
      back.what = Undo::What::kPartition;
    }
    undo_later(lasts, std::move(back));
  }
  schedule(now() + poisson_gap(rng, f.interval.value_or(30_s)), kFault, index);
}

}  // namespace dcsim::lab
