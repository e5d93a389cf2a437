// Workloads and random faults: what repeats by itself, drawn from the seed.
#include <fmt/format.h>

#include <algorithm>

#include "base/distribution.h"
#include "host/recorder.h"
#include "lab/build.h"
#include "lab/director.h"
#include "scenario/selector.h"

namespace dcsim::lab {

using trace::Ev;
namespace fields = trace::fields;

namespace {

/// The time to the next of random happenings, which is never at the very same instant.
Duration poisson_gap(Rng& rng, Duration mean) { return std::max(exponential(rng, std::min(mean, kLongestDraw)), 1_ns); }

}  // namespace

// --- Workloads -----------------------------------------------------------------------------------------------------

void Director::begin_workloads() {
  for (std::uint32_t w = 0; w < scenario_.workload.size(); ++w) {
    const scenario::Workload& spec = scenario_.workload[w];
    WorkloadState state;
    if (spec.agents)
      state.agents = agents_of(*spec.agents, "workload/" + spec.name);
    else
      for (std::uint32_t a = 0; a < scenario_.topology->agents.size(); ++a) state.agents.push_back(a);
    for (const std::uint32_t a : state.agents)
      state.draws.emplace_back(world_.seed(), scenario_.topology->agents[a].full_name, "workload/" + spec.name);
    state.sequence.resize(state.agents.size());
    workloads_.push_back(std::move(state));
    for (std::uint32_t slot = 0; slot < workloads_[w].agents.size(); ++slot) {
      Duration first{};
      if (spec.every && spec.gap == scenario::Workload::Gap::kExponential)
        first = poisson_gap(workloads_[w].draws[slot], *spec.every);
      schedule(Instant{} + spec.from + first, kWork, w, slot);
    }
  }
}

namespace {

void replace_all(std::string& text, std::string_view from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
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
    replace_all(command, "{uuid}",
                fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", hi >> 32, hi >> 16 & 0xFFFF, hi & 0xFFF,
                            (lo >> 48 & 0x3FFF) | 0x8000, lo & 0xFFFFFFFFFFFFull));
  }
  // What the command's chain of causes goes back to.
  world_.recorder().record(Ev::kStep, NameId::none(), fields::names(name(spec.name), name("workload"), name(command)));
  launch(state.agents[slot], command, std::nullopt, workload);
  if (!spec.every || spec.every->ns <= 0) return;
  const Duration gap =
      spec.gap == scenario::Workload::Gap::kExponential ? poisson_gap(state.draws[slot], *spec.every) : *spec.every;
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
  if (!candidates.empty()) strike(f, kind, candidates[rng.below(candidates.size())], lasts);
  schedule(now() + poisson_gap(rng, f.interval.value_or(30_s)), kFault, index);
}

namespace {

/// `spec` says nothing of how to impair.
bool is_plain(const scenario::Fault& f) {
  const scenario::LinkOverrides& o = f.impair;
  return !f.down && !o.latency && !o.jitter && !o.distribution && !o.loss && !o.duplicate && !o.corrupt && !o.reorder &&
         !o.correlation && !o.bandwidth && !o.queue && !o.mtu;
}

}  // namespace

void Director::strike(const scenario::Fault& f, const std::string& kind, std::uint32_t target, Duration lasts) {
  const host::AgentId id{target};
  const std::string title = fmt::format("fault {}", kind);
  world_.recorder().record(
      Ev::kStep, NameId::none(),
      fields::names(name(f.name.empty() ? title : f.name), name(kind), name(world_.spec(id).full_name)));
  Undo back;
  back.agents = {target};
  back.name = name(title);
  if (kind == "crash" || kind == "restart" || kind == "stop") {
    expect_end(target);
    kind == "crash" ? world_.crash(id) : world_.stop(id);
    back.what = Undo::What::kRestart;
  } else if (kind == "pause") {
    world_.pause(id);
    back.what = Undo::What::kResume;
  } else if (kind == "slow_cpu") {
    scenario::HostAction slow = f.slow_cpu;
    slow.kind = scenario::HostAction::Kind::kSlowCpu;
    if (!slow.factor_milli && !slow.latency) slow.latency = 50_ms;
    set_host(back.agents, slow);
    back.what = Undo::What::kSlowCpu;
  } else if (kind == "slow_disk") {
    scenario::HostAction slow = f.slow_disk;
    slow.kind = scenario::HostAction::Kind::kSlowDisk;
    if (!slow.factor_milli && !slow.latency) slow.latency = 50_ms;
    set_host(back.agents, slow);
    back.what = Undo::What::kSlowDisk;
  } else if (kind == "clock") {
    scenario::HostAction clock = f.clock;
    clock.kind = scenario::HostAction::Kind::kClock;
    if (!clock.drift && !clock.offset) clock.drift = 10'000'000;
    set_host(back.agents, clock);
    back.what = Undo::What::kClock;
  } else if (kind == "impair") {
    net::Impairment change = impairment_of(f.impair, f.down);
    if (is_plain(f)) change.loss = 300'000'000;
    const auto done = world_.network().impair("zone:" + world_.spec(id).zone + "/" + world_.spec(id).full_name, change);
    back.what = Undo::What::kImpair;
    if (done) back.impairments = {*done};
  } else {  // partition: the target against everybody else
    net::PartitionSpec spec;
    spec.name = title;
    spec.mode = build_mode(f.cut);
    spec.direction = build_direction(f.cut_direction);
    spec.sides.resize(2);
    for (std::uint32_t a = 0; a < world_.agent_count(); ++a) spec.sides[a == target ? 0 : 1].push_back(HostId{a});
    back.partition = world_.network().partition(spec);
    back.what = Undo::What::kPartition;
  }
  undo_later(lasts, std::move(back));
}

std::vector<WorkloadCount> Director::workloads() const {
  std::vector<WorkloadCount> out;
  for (std::size_t i = 0; i < workloads_.size(); ++i) {
    WorkloadCount count{scenario_.workload[i].name, 0, workloads_[i].failed};
    for (const std::uint64_t n : workloads_[i].sequence) count.commands += n;
    out.push_back(std::move(count));
  }
  return out;
}

}  // namespace dcsim::lab
