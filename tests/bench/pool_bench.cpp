#include <cstdio>
#include <cstdlib>
#include <string>

#include "../support/alloc_counter.h"
#include "bench.h"
#include "gossip/memberlist.h"
#include "pool_world.h"

/// A quiet LAN pool of real gossip code: what a simulated second of it costs, and what a pair of members takes.
namespace dcsim::bench {
namespace {

constexpr Duration kQuiet = 60_s;  // after convergence: broadcasts have run out, every stream is closed

struct PoolFigures {
  bool converged = false;
  double start_cpu = 0;  ///< until the pool is quiet
  Instant converged_at;
  double cpu = 0;      ///< of the measured stretch
  double seconds = 0;  ///< its simulated time
  std::uint64_t events = 0;
  std::uint64_t packets = 0;
  std::uint64_t records = 0;
  std::uint64_t allocations = 0;
  std::uint64_t calm_events = 0;  ///< of five more seconds: those of milliseconds without TCP, so between push/pulls
  std::uint64_t calm_allocations = 0;
  double table_bytes_per_pair = 0;
  double resident_bytes_per_pair = 0;
  std::string digest;
};

PoolFigures measure(const PoolOptions& options, int seconds) {
  PoolFigures f;
  const double n = options.agents;
  const std::size_t memory = resident_memory();
  const double begin = cpu_seconds();
  PoolWorld pool(options);
  f.converged = pool.run_until_converged(Instant{} + 600_s);
  f.converged_at = pool.now();
  pool.run_until(pool.now() + kQuiet);
  f.start_cpu = cpu_seconds() - begin;
  f.table_bytes_per_pair = static_cast<double>(pool.table_bytes()) / (n * n);
  f.resident_bytes_per_pair = (static_cast<double>(resident_memory()) - static_cast<double>(memory)) / (n * n);

  const core::Engine& engine = pool.world().engine();
  const std::uint64_t events = engine.events_run();
  const std::uint64_t packets = pool.world().network().totals().sent;
  const std::uint64_t records = pool.tracer().size();
  const std::uint64_t allocations = test::allocations();
  const double start = cpu_seconds();
  pool.run_until(pool.now() + 1_s * seconds);
  f.cpu = cpu_seconds() - start;
  f.seconds = seconds;
  f.events = engine.events_run() - events;
  f.packets = pool.world().network().totals().sent - packets;
  f.records = pool.tracer().size() - records;
  f.allocations = test::allocations() - allocations;

  for (const Instant end = pool.now() + 5_s; pool.now() < end;) {
    const std::uint64_t tcp = pool.tcp_packets();
    const std::uint64_t events_before = engine.events_run();
    const std::uint64_t before = test::allocations();
    pool.run_until(pool.now() + 1_ms);
    const std::uint64_t made = test::allocations() - before;
    if (pool.tcp_packets() != tcp) continue;
    f.calm_events += engine.events_run() - events_before;
    f.calm_allocations += made;
  }
  f.digest = pool.tracer().digest_hex();
  return f;
}

double calm_allocations_per_event(const PoolFigures& f) {
  return f.calm_events ? static_cast<double>(f.calm_allocations) / static_cast<double>(f.calm_events) : 0;
}

void print(const PoolOptions& options, const PoolFigures& f) {
  const double n = options.agents;
  std::printf("agents                             %u\n", options.agents);
  std::printf("converged                          %s after %.0f simulated s\n", f.converged ? "yes" : "NO",
              static_cast<double>((f.converged_at - Instant{}).ns) * 1e-9);
  std::printf("cpu seconds until quiet            %.2f\n", f.start_cpu);
  std::printf("simulated seconds measured         %.0f\n", f.seconds);
  std::printf("cpu seconds                        %.3f\n", f.cpu);
  std::printf("simulated seconds per cpu second   %.1f\n", f.seconds / f.cpu);
  std::printf("cpu ns per node-second             %.0f\n", f.cpu * 1e9 / (n * f.seconds));
  std::printf("events per node-second             %.2f\n", static_cast<double>(f.events) / (n * f.seconds));
  std::printf("packets per node-second            %.2f\n", static_cast<double>(f.packets) / (n * f.seconds));
  std::printf("trace records per node-second      %.2f\n", static_cast<double>(f.records) / (n * f.seconds));
  std::printf("cpu ns per event                   %.0f\n", f.cpu * 1e9 / static_cast<double>(f.events));
  std::printf("allocations per event              %.4f\n",
              static_cast<double>(f.allocations) / static_cast<double>(f.events));
  std::printf("  the same between push/pulls      %.4f\n", calm_allocations_per_event(f));
  std::printf("table bytes per pair               %.1f\n", f.table_bytes_per_pair);
  std::printf("resident bytes per pair            %.1f\n", f.resident_bytes_per_pair);
  std::printf("peak memory bytes                  %zu\n", peak_memory());
  std::printf("digest                             %s\n", f.digest.c_str());
}

int number(const std::string& text, int low, int high) {
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  return end != text.c_str() && *end == 0 && value >= low && value <= high ? static_cast<int>(value) : 0;
}

}  // namespace

BENCHMARK_COMMAND("pool", "N SECONDS [bare|rpc]",
                  "gossip of a quiet LAN pool of N Consul agents; bare: no digest, no checkers; rpc: with Raft and catalog") {
  PoolOptions options;
  const int agents = args.size() >= 2 ? number(args[0], 4, 100'000) : 0;
  const int seconds = args.size() >= 2 ? number(args[1], 1, 1'000'000) : 0;
  options.rpc = args.size() == 3 && args[2] == "rpc";
  const bool bare = args.size() == 3 && args[2] == "bare";
  if (!agents || !seconds || args.size() > 3 || (args.size() == 3 && !bare && !options.rpc)) {
    std::fprintf(stderr, "usage: pool N SECONDS [bare|rpc]\n");
    return 2;
  }
  options.agents = static_cast<std::uint32_t>(agents);
  options.digest = options.checkers = !bare;
  const PoolFigures figures = measure(options, seconds);
  print(options, figures);
  return figures.converged ? 0 : 1;
}

BENCHMARK_CASE("pool/1000") {
  const PoolFigures f = measure({}, 100);
  report.add({.name = "gossip of a quiet LAN pool of 1,000 Consul agents",
              .unit = "simulated s per CPU s",
              .ours = f.converged ? f.seconds / f.cpu : 0,
              .peer = "real memberlist nodes",
              .baseline = 1.0 / (1000 * 383e-6),
              .lower_is_better = false,
              .target_value = 100,
              .note = "383 us of CPU a node-second, recorded on another machine"});
  report.add({.name = "the same: tables",
              .unit = "bytes per pair",
              .ours = f.table_bytes_per_pair,
              .peer = "real memberlist",
              .baseline = 630,
              .target_value = 64,
              .note = "least of its 630 to 990, recorded on another machine"});
  report.add(
      {.name = "the same: all of the process", .unit = "resident bytes per pair", .ours = f.resident_bytes_per_pair});
  report.add({.name = "the same: heap allocations between push/pulls",
              .unit = "per event",
              .ours = calm_allocations_per_event(f),
              .note = "latency samples of members measured for the first time"});
}

}  // namespace dcsim::bench
