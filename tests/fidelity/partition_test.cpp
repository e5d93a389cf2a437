#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ground_truth.h"
#include "samples.h"
#include "serf_cluster.h"

using namespace dcsim;
using namespace dcsim::fidelity;

namespace {

/// One clean split and its heal; `failed` in ms after the cut, the rest after the heal (or before it, if negative).
struct Split {
  std::vector<double> failed, recovered, attempts;
  double failures_after_heal = 0, never_failed = 0;
  double all_failed() const { return *std::max_element(failed.begin(), failed.end()); }
  double first_recovery() const { return *std::min_element(recovered.begin(), recovered.end()); }
  double full_recovery() const { return *std::max_element(recovered.begin(), recovered.end()); }
};

Split as_measured(const Json& trial) {
  Split split;
  for (const Json& f : trial.at("failed")) split.failed.push_back(f.at(2).get<double>());
  for (const Json& r : trial.at("recovered")) split.recovered.push_back(r.at(2).get<double>());
  for (const Json& a : trial.at("reconnect_attempts")) split.attempts.push_back(a.at(0).get<double>());
  split.failures_after_heal = trial.at("failures_after_heal").get<double>();
  return split;
}

Split simulate(std::uint32_t n, const Json& trial, const std::string& profile, std::uint64_t seed) {
  SerfCluster cluster({n, seed, profile, SerfCluster::Keep::kLog});
  const auto a = trial.at("side_a").get<std::vector<std::uint32_t>>();
  const auto b = trial.at("side_b").get<std::vector<std::uint32_t>>();
  const auto on_a = [&](std::uint32_t node) { return std::find(a.begin(), a.end(), node) != a.end(); };
  cluster.assemble(trial.at("start_ms").get<std::vector<double>>());
  const auto held_ms = trial.at("heal_ms").get<double>() - trial.at("partition_ms").get<double>();
  const double cut_ms = cluster.run_to_quiet(trial.at("partition_ms").get<double>(), 5000);
  const net::PartitionId partition = cluster.cut({a, b});
  const double heal_ms = cut_ms + held_ms;
  cluster.run_to(heal_ms);
  cluster.heal(partition);
  while (!cluster.converged() && cluster.now() < heal_ms + 240'000) cluster.run_for(500);
  REQUIRE(cluster.converged());
  Split out;
  std::map<std::pair<std::uint32_t, std::uint32_t>, double> first_failed, last_joined;
  for (const auto& h : cluster.failed) {
    REQUIRE(on_a(h.node) != on_a(h.member));  // nobody fails within a side
    first_failed.emplace(std::pair(h.node, h.member), h.ms - cut_ms);
    if (h.ms > heal_ms) ++out.failures_after_heal;
  }
  for (const auto& h : cluster.joined) {
    if (h.ms > heal_ms) last_joined[{h.node, h.member}] = h.ms - heal_ms;
  }
  out.never_failed = static_cast<double>(2 * a.size() * b.size() - first_failed.size());
  REQUIRE(last_joined.size() == first_failed.size());
  for (const auto& [pair, ms] : first_failed) out.failed.push_back(ms);
  for (const auto& [pair, ms] : last_joined) out.recovered.push_back(ms);
  const trace::Recording log = cluster.recording();
  log.each([&](std::uint64_t, const trace::Record& r) {
    if (log.text(r.a).find("attempting reconnect to") != std::string_view::npos)
      out.attempts.push_back(static_cast<double>(r.t) / 1e6 - heal_ms);
    return true;
  });
  return out;
}

template <class F>
std::vector<double> each(const std::vector<Split>& splits, F&& f) {
  std::vector<double> out;
  for (const Split& s : splits) out.push_back(f(s));
  return out;
}

std::vector<double> pooled(const std::vector<Split>& splits, std::vector<double> Split::*part) {
  std::vector<double> out;
  for (const Split& s : splits) out.insert(out.end(), (s.*part).begin(), (s.*part).end());
  return out;
}

}  // namespace

TEST_CASE("fidelity: a partition of 60 s tears and mends as in real clusters") {
  const auto files = measured("part");
  REQUIRE(!files.empty());
  for (const Measured& file : files) {
    CAPTURE(file.name);
    std::vector<Split> real, sim;
    std::uint64_t seed = 1;
    const auto profile = file.json.at("versions").at("profile").get<std::string>();
    const Json& trials = file.json.at("trials");
    const std::size_t replicas = std::max<std::size_t>(1, 256 / trials.size());
    for (const Json& trial : trials) {
      real.push_back(as_measured(trial));
      for (std::size_t r = 0; r < replicas; ++r) sim.push_back(simulate(file.n, trial, profile, seed++));
    }
    const auto compare = [&](const char* what, std::vector<double> a, std::vector<double> b, double lag) {
      check_alike(
          {fmt::format("{}: {}", file.name, what), std::move(a), std::move(b), real.size(), sim.size(), lag, 1});
    };
    const double lag = file.lag();
    compare("a pair across fails, ms", pooled(real, &Split::failed), pooled(sim, &Split::failed), lag);
    compare("all across failed, ms", each(real, [](const Split& s) { return s.all_failed(); }),
            each(sim, [](const Split& s) { return s.all_failed(); }), lag);
    compare("first recovery, ms", each(real, [](const Split& s) { return s.first_recovery(); }),
            each(sim, [](const Split& s) { return s.first_recovery(); }), lag);
    compare("a pair across recovers, ms", pooled(real, &Split::recovered), pooled(sim, &Split::recovered), lag);
    compare("full recovery, ms", each(real, [](const Split& s) { return s.full_recovery(); }),
            each(sim, [](const Split& s) { return s.full_recovery(); }), lag);
    const auto while_cut = [](const Split& s) {
      return static_cast<double>(std::count_if(s.attempts.begin(), s.attempts.end(), [](double t) { return t < 0; }));
    };
    check_alike({fmt::format("{}: reconnect attempts while cut", file.name), each(real, while_cut),
                 each(sim, while_cut), real.size(), sim.size(), 0, 0});
    double never = 0;
    for (const Split& s : sim) never += s.never_failed;
    check_close(fmt::format("{}: pairs that never failed, per trial", file.name),
                file.json.at("summary").at("cross_pairs_never_failed").get<double>() / static_cast<double>(real.size()),
                never / static_cast<double>(sim.size()), 0.1);
    const auto stale = [](const Split& s) { return s.failures_after_heal; };
    check_alike({fmt::format("{}: failures after the heal", file.name), each(real, stale), each(sim, stale),
                 real.size(), sim.size(), 0, 0});
  }
}
