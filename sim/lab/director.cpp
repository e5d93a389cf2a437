#include "lab/director.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/distribution.h"
#include "consul/command.h"
#include "host/recorder.h"
#include "lab/build.h"
#include "scenario/expr_units.h"

namespace dcsim::lab {

using trace::Ev;
using trace::Series;
namespace fields = trace::fields;

Director::Director(const scenario::Scenario& scenario, host::World& world, trace::MetricHub& hub, Expressions expressions, Instant end)
    : scenario_(scenario), world_(world), hub_(hub), expressions_(std::move(expressions)), end_(end), origin_(world.operator_origin()) {
  for (std::size_t i = 0; i < scenario.expect.size(); ++i) {
    expectations_.push_back(std::make_unique<ExpectationRun>(scenario.expect[i], expressions_.expect[i], hub));
  }
  for (std::size_t i = 0; i < scenario.metrics.size(); ++i) {
    metrics_.push_back({std::make_unique<Watched>(expressions_.metrics[i], hub, scenario.metrics[i].group_by), false, false});
  }
  for (const auto& expression : expressions_.when) when_.push_back(expression ? std::make_unique<Watched>(expression, hub) : nullptr);
  when_done_.resize(scenario.timeline.size());
  steps_.resize(scenario.timeline.size());
  name_steps();
  for (std::uint16_t kind = kDue; kind <= kRestart; ++kind) world.engine().on(kind, this, &Director::dispatch);
}

Director::~Director() = default;

NameId Director::name(std::string_view text) const { return world_.names().intern(text); }
Instant Director::now() const { return world_.engine().now(); }

void Director::name_steps() {
  std::map<std::string, int> seen;
  for (std::uint32_t i = 0; i < steps_.size(); ++i) {
    const scenario::Step& step = scenario_.timeline[i];
    const Deed deed = deed_of(step.action);
    steps_[i].name = !step.name.empty() ? step.name : deed.target.empty() ? deed.verb : deed.verb + " " + deed.target;
    const int n = ++seen[steps_[i].name];
    if (n > 1) steps_[i].name += fmt::format(" ({})", n);
  }
}

std::string Director::purpose(std::uint32_t step) const {
  return steps_[step].count > 1 ? fmt::format("{}/{}", steps_[step].name, steps_[step].count) : steps_[step].name;
}

core::EventHandle Director::schedule(Instant at, EventKind kind, std::uint32_t target, std::uint64_t a) {
  core::Event e;
  e.kind = kind;
  e.target = target;
  e.a = a;
  const Cause cause = world_.engine().cause();
  world_.engine().set_cause({});
  const auto handle = world_.engine().schedule(origin_, std::max(at, now()), e);
  world_.engine().set_cause(cause);
  return handle;
}

void Director::dispatch(void* self, const core::Event& event) { static_cast<Director*>(self)->handle(event); }

void Director::handle(const core::Event& e) {
  switch (e.kind) {
    case kDue: return next_due();
    case kAct: return act_on(e.arg, e.target);
    case kBoundary: return pass(boundaries_[e.target]);
    case kWork: return work(e.target, static_cast<std::uint32_t>(e.a));
    case kWorkTimeout: {
      const auto it = std::find_if(running_.begin(), running_.end(), [&](const auto& r) { return r.second.transcript == e.target; });
      if (it == running_.end()) return;  // it has ended
      const Running run = it->second;
      running_.erase(it);
      CommandRecord& record = transcript_[e.target];
      record.ended = true;
      record.exit = 124;  // as timeout(1) reports it
      record.elapsed = now() - record.at;
      return command_ended(run, record, static_cast<std::uint32_t>(e.a));
    }
    case kFault: return fault(e.target);
    case kRestart: {
      if (!world_.process(host::AgentId{e.target}).running()) world_.start(host::AgentId{e.target});
      else world_.engine().schedule(origin_, now() + 10_ms, e);  // keeps the cause
      return;
    }
    case kLook: look_at_ = Instant::never(); return;
    default: return;
  }
}

// --- Time ----------------------------------------------------------------------------------------------------------

void Director::begin() {
  const std::size_t n = scenario_.timeline.size();
  std::vector<std::optional<Instant>> at(n);
  for (std::size_t round = 0; round <= n; ++round) {
    for (std::size_t i = 0; i < n; ++i) {
      const scenario::Step& s = scenario_.timeline[i];
      if (at[i] || s.when) continue;
      if (s.time) at[i] = Instant{} + *s.time;
      else if (!s.after) at[i] = Instant{} + s.every.value_or(Duration{});
      else if (!s.after->step) at[i] = Instant{} + s.after->offset;
      else if (at[*s.after->step]) at[i] = *at[*s.after->step] + s.after->offset;
    }
  }
  const auto bound = [&](const std::optional<scenario::TimeRef>& ref, bool opens, bool metric, std::uint32_t index) {
    if (!ref) {
      if (opens) pass({true, metric, index, std::nullopt, {}});
      return;
    }
    boundaries_.push_back({opens, metric, index, ref->step, ref->offset});
    if (!ref->step) schedule(Instant{} + ref->offset, kBoundary, static_cast<std::uint32_t>(boundaries_.size() - 1));
  };
  for (std::uint32_t i = 0; i < scenario_.expect.size(); ++i) {
    bound(scenario_.expect[i].after, true, false, i);
    bound(scenario_.expect[i].until, false, false, i);
  }
  for (std::uint32_t i = 0; i < scenario_.metrics.size(); ++i) {
    bound(scenario_.metrics[i].after, true, true, i);
    bound(scenario_.metrics[i].until, false, true, i);
  }
  for (const auto& when : when_) {
    if (when) when->open(Instant{});
  }
  for (std::uint32_t i = 0; i < n; ++i) {
    steps_[i].timed = at[i].has_value();
    if (at[i]) enter(*at[i], kStepRank + i);
  }
  begin_workloads();
  begin_faults();
  for (auto& e : expectations_) e->check(now(), world_.engine().events_run());
  schedule_look();
}

void Director::pass(const Boundary& b) {
  const std::uint64_t event = world_.engine().events_run();
  if (b.metric) {
    MetricRun& m = metrics_[b.index];
    if (b.opens && !m.opened) m.watched->open(now());
    if (!b.opens && m.opened && !m.closed) m.watched->close(now());
    (b.opens ? m.opened : m.closed) = true;
    return;
  }
  ExpectationRun& e = *expectations_[b.index];
  const bool empty = e.is_empty();
  if (b.opens) e.open(now(), event);
  else e.close(now(), event);
  if (e.is_empty() && !empty)
    notes_.push_back(fmt::format("expectation `{}`: its window was closed when it opened: nothing was looked at", e.spec().name));
}

void Director::boundaries_of(std::optional<std::uint32_t> step, Instant at) {
  for (std::uint32_t i = 0; i < boundaries_.size(); ++i) {
    const Boundary& b = boundaries_[i];
    if (b.step != step) continue;
    // At the step's own instant a window opens before the step acts: what the step causes is inside.
    if (b.offset.ns <= 0) pass(b);
    else schedule(at + b.offset, kBoundary, i);
  }
}

void Director::enter(Instant at, std::uint64_t rank, Cause cause) {
  at = std::max(at, now());
  std::vector<Due>& due = agenda_[at];
  due.insert(std::upper_bound(due.begin(), due.end(), rank, [](std::uint64_t r, const Due& d) { return r < d.rank; }), Due{rank, cause});
  schedule(at, kDue, 0);
}

void Director::next_due() {
  // One event for each that is due; whichever of them fires, the least rank comes first.
  const auto due = agenda_.begin();
  DCSIM_CHECK(due != agenda_.end() && due->first == now());
  const Due first = due->second.front();
  due->second.erase(due->second.begin());
  if (due->second.empty()) agenda_.erase(due);
  world_.engine().set_cause(first.cause);
  if (first.rank < kStepRank) undo(undos_[first.rank]);
  else occur(static_cast<std::uint32_t>(first.rank - kStepRank));
}

bool Director::is_over(const scenario::TimeRef& until) const {
  if (!until.step) return now() > Instant{} + until.offset;
  const Occurrence& end = steps_[*until.step];
  return end.count > 0 && (until.offset.ns <= 0 || now() > end.first + until.offset);
}

void Director::occur(std::uint32_t step) {
  const scenario::Step& s = scenario_.timeline[step];
  if (s.until && is_over(*s.until)) return;
  if (++steps_[step].count == 1) {
    steps_[step].first = now();
    boundaries_of(step, now());
    for (std::uint32_t i = 0; i < scenario_.timeline.size(); ++i) {  // steps whose time follows from a `when`
      const scenario::Step& other = scenario_.timeline[i];
      if (other.after && other.after->step == step && !steps_[i].timed) enter(now() + other.after->offset, kStepRank + i);
    }
  }
  if (s.every && s.every->ns > 0) enter(now() + *s.every, kStepRank + step);
  act(step);
}

bool Director::after_event() {
  if (!looking_) return true;
  const bool changed = hub_.stamp() != seen_stamp_;
  if (changed || look_at_ == Instant::never()) look(changed);
  return !stop_;
}

void Director::look(bool changed) {
  seen_stamp_ = hub_.stamp();
  const std::uint64_t event = world_.engine().events_run();
  bool open = false;
  for (auto& e : expectations_) {
    if (e->check(now(), event) && e->outcome().verdict == Verdict::kFails && e->spec().abort) stop_ = true;
    open = open || !e->decided();
  }
  for (std::uint32_t i = 0; i < when_.size(); ++i) {
    if (!when_[i] || when_done_[i]) continue;
    open = true;
    if (!when_[i]->expression().holds(when_[i]->values(now()))) continue;
    when_done_[i] = true;
    // What was told last made it true, unless time alone did.
    enter(now() + scenario_.timeline[i].when_delay, kStepRank + i, changed ? Cause{static_cast<std::uint32_t>(world_.recorder().tracer().size())} : Cause{});
  }
  looking_ = open;
  schedule_look();
}

void Director::schedule_look() {
  Instant next = Instant::never();
  for (const auto& e : expectations_) next = std::min(next, e->wake_at(now()));
  for (std::uint32_t i = 0; i < when_.size(); ++i) {
    if (!when_[i] || when_done_[i]) continue;
    const Instant change = when_[i]->next_change(now());
    if (change != Instant::never()) next = std::min(next, std::max(change, now() + 100_ms));
  }
  // never() in look_at_ means "look after this event"; without anything to wait for, look at the very end.
  next = std::min(next, end_);
  if (next == look_at_) return;
  world_.engine().cancel(look_);
  look_at_ = std::max(next, now() + 1_ns);
  look_ = schedule(look_at_, kLook, 0);
}

/// Why an expectation's window did not open in this run.
std::string Director::why_shut(const scenario::Expectation& spec) const {
  const auto& after = spec.after;
  if (after && after->step && steps_[*after->step].count == 0)
    return fmt::format("the step `{}` did not happen in this run", step_name(*after->step));
  return "the run ended before";
}

void Director::finish(bool stopped) {
  const std::uint64_t event = world_.engine().events_run();
  cut_ = stopped || end_ < Instant{} + scenario_.duration;
  for (auto& e : expectations_) e->finish(now(), event, cut_, why_shut(e->spec()));
  for (auto& [command, run] : running_) {
    CommandRecord& record = transcript_[run.transcript];
    record.elapsed = now() - record.at;
    if (run.step) judge_command(run, record);
  }
  for (auto& m : metrics_) {
    if (m.opened && !m.closed) m.watched->close(now());
  }
  if (cut_) return;
  for (std::uint32_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i].timed || steps_[i].count > 0) continue;
    notes_.push_back(fmt::format("step `{}` did not happen: {}", step_name(i), scenario_.timeline[i].when ? "its `when` never came true" : "what it waits for did not happen"));
  }
}

// --- Results -------------------------------------------------------------------------------------------------------

std::vector<Outcome> Director::outcomes() const {
  std::vector<Outcome> out;
  for (const auto& [step, outcome] : step_outcomes_) out.push_back(outcome);
  for (std::uint32_t i = 0; i < scenario_.timeline.size(); ++i) {
    const auto* run = std::get_if<scenario::RunAction>(&scenario_.timeline[i].action);
    if (!run || !run->expect || steps_[i].count > 0) continue;
    Outcome never;
    never.name = step_name(i);
    never.kind = "step";
    never.text = run->command.text;
    never.verdict = cut_ ? Verdict::kPending : Verdict::kFails;
    never.decided_at = now();
    never.detail = cut_ ? "the run was cut short before the step happened" : "the step did not happen in this run";
    out.push_back(std::move(never));
  }
  for (const auto& e : expectations_) out.push_back(e->outcome());
  return out;
}

std::vector<MetricValue> Director::metrics() const {
  std::vector<MetricValue> out;
  for (std::size_t i = 0; i < metrics_.size(); ++i) {
    const scenario::Metric& spec = scenario_.metrics[i];
    const Watched& watched = *metrics_[i].watched;
    MetricValue row;
    row.name = spec.name;
    row.unit = spec.unit;
    if (spec.better) row.better = *spec.better == scenario::Metric::Better::kLower ? "lower" : *spec.better == scenario::Metric::Better::kHigher ? "higher" : "same";
    const auto in_unit = [&](trace::Value v) {
      if (v.kind == trace::Value::Kind::kNumber && !watched.expression().unit().empty()) {
        // max(x) * 1000 with `unit: ms` has been converted by hand.
        const auto c = scenario::convert(v.number, watched.expression().unit(), spec.unit);
        const auto factor = scenario::convert(1, watched.expression().unit(), spec.unit);
        const double by = watched.expression().scale();
        const bool by_hand = factor && *factor != 1 && std::abs(by - *factor) <= 1e-9 * *factor;
        if (c && !by_hand) v.number = *c;
      }
      return v;
    };
    if (spec.group_by.empty()) {
      row.value = metrics_[i].opened ? in_unit(watched.expression().evaluate(watched.values(now()))) : trace::Value::none();
      out.push_back(row);
      continue;
    }
    std::map<std::vector<std::string>, std::vector<trace::Value>> groups;
    for (std::size_t a = 0; a < watched.aggregates().size(); ++a) {
      for (const auto& group : hub_.read_groups(watched.aggregates()[a], now())) {
        auto& values = groups[group.labels];
        values.resize(watched.aggregates().size());
        values[a] = group.value;
      }
    }
    for (const auto& [labels, values] : groups) {
      row.labels.clear();
      for (std::size_t k = 0; k < labels.size(); ++k) row.labels.emplace_back(spec.group_by[k], labels[k]);
      row.value = in_unit(watched.expression().evaluate(values));
      out.push_back(row);
    }
  }
  return out;
}

}  // namespace dcsim::lab
