#include <algorithm>
#include <vector>

#include "bench.h"
#include "pool_world.h"

/// What the digest costs: the same pool with and without it, turn about in one process.
namespace dcsim::bench {
namespace {

constexpr std::uint32_t kAgents = 200;
constexpr Duration kSlice = 20_s;
constexpr int kSlices = 15;

}  // namespace

BENCHMARK_CASE("trace/digest-cost") {
  PoolWorld with({.agents = kAgents, .digest = true});
  PoolWorld without({.agents = kAgents, .digest = false});
  for (PoolWorld* pool : {&with, &without}) {
    pool->run_until_converged(Instant{} + 600_s);
    pool->run_until(Instant{} + 120_s);
  }
  // One slice of simulated time of each, turn about; a pair of neighbours saw the same machine.
  std::vector<double> ratios;
  const auto slice = [](PoolWorld& pool) {
    const double start = cpu_seconds();
    pool.run_until(pool.now() + kSlice);
    return cpu_seconds() - start;
  };
  for (int i = 0; i < kSlices; ++i) {
    const bool first = i % 2 == 0;
    const double a = slice(first ? with : without);
    const double b = slice(first ? without : with);
    ratios.push_back(first ? a / b : b / a);
  }
  std::sort(ratios.begin(), ratios.end());
  report.add({.name = "digest: quiet pool of 200 agents, with / without",
              .unit = "ratio of CPU time",
              .ours = ratios[ratios.size() / 2],
              .target_value = 1.05});
}

}  // namespace dcsim::bench
