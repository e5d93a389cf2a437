#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ground_truth.h"
#include "samples.h"
#include "serf_cluster.h"

using namespace dcsim;
using namespace dcsim::fidelity;

namespace {

/// What one crash and restart looked like; times in ms after the crash (rejoin: after the restart).
struct Crash {
  std::vector<double> detect, rejoin, probe_fail, declare;
  std::vector<std::int64_t> confirmations;
  double first() const { return *std::min_element(detect.begin(), detect.end()); }
  double last() const { return *std::max_element(detect.begin(), detect.end()); }
  double first_probe_fail() const { return *std::min_element(probe_fail.begin(), probe_fail.end()); }
  double rejoined() const { return *std::max_element(rejoin.begin(), rejoin.end()); }
  double early_probe_fails() const {
    // Not those in the very instant: intervals being whole seconds, there are many, and noise decides which side they
    // fall.
    return static_cast<double>(
        std::count_if(probe_fail.begin(), probe_fail.end(), [&](double t) { return t < first() - 20; }));
  }
};

std::vector<double> numbers(const Json& list) {
  std::vector<double> out;
  for (const Json& v : list) {
    if (!v.is_null()) out.push_back(v.get<double>());
  }
  return out;
}

Crash as_measured(const Json& trial) {
  Crash crash;
  crash.detect = numbers(trial.at("detect_ms"));
  crash.rejoin = numbers(trial.at("rejoin_ms"));
  for (const Json& p : trial.at("probe_fail")) crash.probe_fail.push_back(p.at(1).get<double>());
  for (const Json& d : trial.at("declare")) {
    crash.declare.push_back(d.at(1).get<double>());
    crash.confirmations.push_back(d.at(2).get<std::int64_t>());
  }
  return crash;
}

Crash simulate(std::uint32_t n, const Json& trial, const std::string& profile, std::uint64_t seed) {
  SerfCluster cluster({n, seed, profile});
  Rng rng(seed, "crash", "restart");
  cluster.assemble(trial.at("start_ms").get<std::vector<double>>());
  const auto victim = trial.at("victim").get<std::uint32_t>();
  // 12 to 15 s after all knew all, which now and then takes a push/pull.
  const double crash_ms = cluster.run_to_quiet(trial.at("crash_ms").get<double>(), 12'000);
  REQUIRE(cluster.failed.empty());
  cluster.crash(victim);
  while (cluster.failed.size() < n - 1 && cluster.now() < crash_ms + 60'000) cluster.run_for(500);
  REQUIRE(cluster.failed.size() == n - 1);  // every survivor, and nobody else failed
  Crash out;
  std::set<std::uint32_t> observers;
  for (const auto& h : cluster.failed) {
    REQUIRE(h.member == victim);
    observers.insert(h.node);
    out.detect.push_back(h.ms - crash_ms);
  }
  REQUIRE(observers.size() == n - 1);
  for (const auto& h : cluster.probe_failed) {
    REQUIRE(h.member == victim);
    out.probe_fail.push_back(h.ms - crash_ms);
  }
  for (const auto& h : cluster.declared) {
    out.declare.push_back(h.ms - crash_ms);
    out.confirmations.push_back(h.value);
  }
  cluster.run_for(uniform(rng, 2000, 5000));
  const double restart = cluster.now();
  cluster.joined.clear();
  cluster.start(victim);
  cluster.join(victim, victim == 0 ? 1 : 0);
  cluster.run_for(10'000);
  for (const auto& h : cluster.joined) {
    if (h.member == victim && h.node != victim) out.rejoin.push_back(h.ms - restart);
  }
  REQUIRE(out.rejoin.size() == n - 1);
  return out;
}

template <class F>
std::vector<double> each(const std::vector<Crash>& crashes, F&& f) {
  std::vector<double> out;
  for (const Crash& c : crashes) out.push_back(f(c));
  return out;
}

std::vector<double> pooled(const std::vector<Crash>& crashes, std::vector<double> Crash::*part) {
  std::vector<double> out;
  for (const Crash& c : crashes) out.insert(out.end(), (c.*part).begin(), (c.*part).end());
  return out;
}

double share_of_full_confirmation(const std::vector<Crash>& crashes) {
  std::size_t all = 0, full = 0;
  for (const Crash& c : crashes) {
    all += c.confirmations.size();
    full += static_cast<std::size_t>(std::count(c.confirmations.begin(), c.confirmations.end(), 2));
  }
  return static_cast<double>(full) / static_cast<double>(all);
}

}  // namespace

TEST_CASE("fidelity: a killed node is detected, declared and readmitted as in real clusters") {
  const auto files = measured("crash_");
  REQUIRE(!files.empty());
  for (const Measured& file : files) {
    CAPTURE(file.name);
    std::vector<Crash> real, sim;
    std::uint64_t seed = 1;
    const auto profile = file.json.at("versions").at("profile").get<std::string>();
    const Json& trials = file.json.at("trials");
    const std::size_t replicas = std::max<std::size_t>(1, 240 / trials.size());
    for (const Json& trial : trials) {
      real.push_back(as_measured(trial));
      for (std::size_t r = 0; r < replicas; ++r) sim.push_back(simulate(file.n, trial, profile, seed++));
    }
    const auto compare = [&](const char* what, std::vector<double> a, std::vector<double> b, double lag,
                             double grain = 1) {
      check_alike(
          {fmt::format("{}: {}", file.name, what), std::move(a), std::move(b), real.size(), sim.size(), lag, grain});
    };
    const double lag = file.lag();
    compare("first survivor detects, ms", each(real, [](const Crash& c) { return c.first(); }),
            each(sim, [](const Crash& c) { return c.first(); }), lag);
    compare("last survivor detects, ms", each(real, [](const Crash& c) { return c.last(); }),
            each(sim, [](const Crash& c) { return c.last(); }), lag);
    compare("every survivor detects, ms", pooled(real, &Crash::detect), pooled(sim, &Crash::detect), lag);
    compare("last minus first, ms", each(real, [](const Crash& c) { return c.last() - c.first(); }),
            each(sim, [](const Crash& c) { return c.last() - c.first(); }), lag);
    compare("first failed probe, ms", each(real, [](const Crash& c) { return c.first_probe_fail(); }),
            each(sim, [](const Crash& c) { return c.first_probe_fail(); }), lag);
    compare("first failed probe to first detection, ms",
            each(real, [](const Crash& c) { return c.first() - c.first_probe_fail(); }),
            each(sim, [](const Crash& c) { return c.first() - c.first_probe_fail(); }), lag);
    compare("failed probes before the first detection",
            each(real, [](const Crash& c) { return c.early_probe_fails(); }),
            each(sim, [](const Crash& c) { return c.early_probe_fails(); }), 0, 0);
    compare("declarations by own timer",
            each(real, [](const Crash& c) { return static_cast<double>(c.declare.size()); }),
            each(sim, [](const Crash& c) { return static_cast<double>(c.declare.size()); }), 0, 0);
    check_close(fmt::format("{}: share declared with 2 confirmations", file.name), share_of_full_confirmation(real),
                share_of_full_confirmation(sim), 0.01);
    compare("every survivor sees the restarted node, ms", pooled(real, &Crash::rejoin), pooled(sim, &Crash::rejoin),
            lag);
    compare("all see the restarted node, ms", each(real, [](const Crash& c) { return c.rejoined(); }),
            each(sim, [](const Crash& c) { return c.rejoined(); }), lag);
  }
}
