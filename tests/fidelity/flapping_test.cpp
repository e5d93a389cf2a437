#include <doctest/doctest.h>
#include <fmt/format.h>

#include "samples.h"
#include "serf_cluster.h"

using namespace dcsim;
using namespace dcsim::fidelity;

namespace {

struct Flapping {
  double failed = 0;        ///< member-failed events per node and hour
  double probe_failed = 0;  ///< failed probes per node and hour
  double refuted = 0;       ///< refutations per client and hour
};

/// `servers` that everybody reaches, and two groups of four clients that reach only the servers and themselves.
Flapping simulate(std::uint32_t servers, double hours, std::uint64_t seed) {
  constexpr std::uint32_t kClients = 4;
  const std::uint32_t n = servers + 2 * kClients;
  SerfCluster cluster({n, seed});
  Rng rng(seed, "flapping", "start");
  std::vector<double> start_ms(n, 0.0);
  for (std::uint32_t i = 1; i < n; ++i) start_ms[i] = uniform(rng, 0, 3000);
  cluster.assemble(start_ms);
  cluster.run_for(10'000);
  REQUIRE(cluster.converged());
  std::vector<std::vector<std::uint32_t>> groups(2);
  for (std::uint32_t i = servers; i < n; ++i) groups[(i - servers) / kClients].push_back(i);
  cluster.cut(groups);
  cluster.run_for(300'000);  // let it settle into its rhythm
  cluster.failed.clear();
  cluster.probe_failed.clear();
  cluster.refuted.clear();
  cluster.run_for(hours * 3'600'000);
  Flapping out;
  for (const auto& h : cluster.failed) REQUIRE(h.member >= servers);  // the servers are never failed
  out.failed = static_cast<double>(cluster.failed.size()) / n / hours;
  out.probe_failed = static_cast<double>(cluster.probe_failed.size()) / n / hours;
  for (const auto& h : cluster.refuted) out.refuted += h.node >= servers ? 1 : 0;
  out.refuted /= 2 * kClients * hours;
  return out;
}

Flapping average(std::uint32_t servers, std::uint64_t runs) {
  Flapping sum;
  for (std::uint64_t seed = 1; seed <= runs; ++seed) {
    const Flapping f = simulate(servers, 1, seed);
    sum.failed += f.failed / static_cast<double>(runs);
    sum.probe_failed += f.probe_failed / static_cast<double>(runs);
    sum.refuted += f.refuted / static_cast<double>(runs);
  }
  return sum;
}

}  // namespace

// Real Serf agents behind a firewall that parts two groups of clients, one hour each: 235 to 267 failures per node.
TEST_CASE("fidelity: two groups that share one server flap as often as real ones") {
  check_value("1 server, 2 x 4 clients: failed per node and hour", 251, average(1, 6).failed, 235, 267);
}

// The same with four servers: 130 to 145 failed probes per node, and about 190 refutations per client.
TEST_CASE("fidelity: with four servers the probes fail and the clients refute as often as real ones") {
  const Flapping f = average(4, 6);
  check_value("4 servers, 2 x 4 clients: failed probes per node and hour", 137, f.probe_failed, 130, 145);
  check_value("4 servers, 2 x 4 clients: refutations per client and hour", 190, f.refuted, 180, 200);
}
