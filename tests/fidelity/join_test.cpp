#include <fmt/format.h>

#include <cmath>

#include "ground_truth.h"
#include "samples.h"
#include "serf_cluster.h"

using namespace dcsim;
using namespace dcsim::fidelity;

namespace {

struct Join {
  std::vector<double> seen;  ///< ms after the join call, by every other node
  double full_view = 0;      ///< the joiner's
  double all() const { return *std::max_element(seen.begin(), seen.end()); }
};

Join simulate_join(std::uint32_t n, const Json& trial, const std::string& profile, std::uint64_t seed) {
  SerfCluster cluster({n, seed, profile});
  Rng rng(seed, "join", "when");
  const auto joiner = trial.at("joiner").get<std::uint32_t>();
  REQUIRE(joiner == n - 1);
  auto start_ms = trial.at("start_ms").get<std::vector<double>>();
  cluster.start(joiner);  // alone for now, its tickers running
  start_ms.pop_back();
  cluster.assemble(start_ms);
  const double called = cluster.run_to_quiet(cluster.now() + uniform(rng, 6000, 9000), 6000, n - 1);
  cluster.joined.clear();
  cluster.join(joiner, static_cast<std::uint32_t>(rng.below(n - 1)));
  cluster.run_for(90'000);
  REQUIRE(cluster.converged());
  Join out;
  for (const auto& h : cluster.joined) {
    if (h.node == joiner)
      out.full_view = h.ms - called;
    else if (h.member == joiner)
      out.seen.push_back(h.ms - called);
  }
  REQUIRE(out.seen.size() == n - 1);
  return out;
}

/// When each node knew all, after n - 1 joins of node 0 at one instant.
std::vector<double> simulate_mass_join(std::uint32_t n, const std::string& profile, std::uint64_t seed) {
  SerfCluster cluster({n, seed, profile});
  Rng rng(seed, "mass join", "when");
  for (std::uint32_t i = 0; i < n; ++i) {
    cluster.start(i);
  }
  cluster.run_to(uniform(rng, 2000, 3000));
  const double called = cluster.now();
  for (std::uint32_t i = 1; i < n; ++i) cluster.join(i, 0);
  while (!cluster.converged() && cluster.now() < called + 240'000) cluster.run_for(100);
  REQUIRE(cluster.converged());
  REQUIRE(cluster.failed.empty());
  std::vector<double> full(n, 0.0);
  for (const auto& h : cluster.joined) full[h.node] = std::max(full[h.node], h.ms - called);
  return full;
}

template <class F>
std::vector<double> each(const std::vector<Join>& joins, F&& f) {
  std::vector<double> out;
  for (const Join& j : joins) out.push_back(f(j));
  return out;
}

std::vector<double> pooled(const std::vector<Join>& joins) {
  std::vector<double> out;
  for (const Join& j : joins) out.insert(out.end(), j.seen.begin(), j.seen.end());
  return out;
}

}  // namespace

TEST_CASE("fidelity: news of one joining node spreads as in real clusters") {
  const auto files = measured("join_");
  REQUIRE(!files.empty());
  for (const Measured& file : files) {
    CAPTURE(file.name);
    std::vector<Join> real, sim;
    std::uint64_t seed = 1;
    const auto profile = file.json.at("versions").at("profile").get<std::string>();
    const Json& trials = file.json.at("trials");
    const std::size_t replicas = std::max<std::size_t>(1, 240 / trials.size());
    for (const Json& trial : trials) {
      Join join;
      for (const Json& v : trial.at("seen_ms")) {
        if (!v.is_null()) join.seen.push_back(v.get<double>());
      }
      join.full_view = trial.at("joiner_full_view_ms").get<double>();
      real.push_back(std::move(join));
      for (std::size_t r = 0; r < replicas; ++r) sim.push_back(simulate_join(file.n, trial, profile, seed++));
    }
    const auto compare = [&](const char* what, std::vector<double> a, std::vector<double> b, double lag) {
      check_alike(
          {fmt::format("{}: {}", file.name, what), std::move(a), std::move(b), real.size(), sim.size(), lag, 1});
    };
    const double lag = std::max(5.0, file.lag());
    compare("every node sees the joiner, ms", pooled(real), pooled(sim), lag);
    compare("all see the joiner, ms", each(real, [](const Join& j) { return j.all(); }),
            each(sim, [](const Join& j) { return j.all(); }), lag);
    compare("the joiner sees all, ms", each(real, [](const Join& j) { return j.full_view; }),
            each(sim, [](const Join& j) { return j.full_view; }), lag);
  }
}

TEST_CASE("fidelity: many joining at once learn of each other as in real clusters, the rare long tail included") {
  const auto files = measured("massjoin_");
  REQUIRE(!files.empty());
  for (const Measured& file : files) {
    CAPTURE(file.name);
    const auto profile = file.json.at("versions").at("profile").get<std::string>();
    std::vector<double> real, sim, real_all, sim_all;
    std::size_t trials = 0;
    for (const Json& trial : file.json.at("trials")) {
      const auto full = trial.at("full_view_ms").get<std::vector<double>>();
      real.insert(real.end(), full.begin(), full.end());
      real_all.push_back(*std::max_element(full.begin(), full.end()));
      ++trials;
    }
    constexpr std::size_t kRuns = 400;
    for (std::uint64_t seed = 1; seed <= kRuns; ++seed) {
      const auto full = simulate_mass_join(file.n, profile, seed);
      sim.insert(sim.end(), full.begin(), full.end());
      sim_all.push_back(*std::max_element(full.begin(), full.end()));
    }
    // All n - 1 exchanges with node 0 share two cores there: what follows is late by up to the lateness of its own
    // view.
    const double lag = std::max(20.0, file.lag());
    check_alike({fmt::format("{}: a node knows all, ms", file.name), real, sim, trials, kRuns, lag, 1});
    check_alike({fmt::format("{}: all know all, ms", file.name), real_all, sim_all, trials, kRuns, lag, 1});
    // A broadcast that missed a node for good: it learns by the next push/pull.
    const auto late = [](const std::vector<double>& all) {
      return static_cast<double>(std::count_if(all.begin(), all.end(), [](double ms) { return ms > 3000; })) /
             static_cast<double>(all.size());
    };
    check_value(fmt::format("{}: share that needed a push/pull", file.name), late(real_all), late(sim_all),
                late(real_all) > 0 ? 1.0 / kRuns : 0.0,
                late(real_all) + 3.3 * std::sqrt(0.05 * 0.95 / static_cast<double>(trials)));
  }
}
