#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

/// Benchmarks of one binary, `dcsim-bench`. A file tests/bench/<x>_bench.cpp registers cases
///
///     BENCHMARK_CASE("queue/hold-1e4") { report.add({.name = "...", .unit = "ns", .ours = ..., ...}); }
///
/// which `dcsim-bench all` (or `dcsim-bench queue/`, a prefix) runs, and whole sub-commands
///
///     BENCHMARK_COMMAND("net-star", "N SECONDS", "UDP over a star of N hosts") { ...args...; return 0; }
///
/// which `dcsim-bench net-star 1000 10` runs. Only CPU time is measured, never the wall clock.
namespace dcsim::bench {

/// CPU seconds of this process so far (CLOCK_PROCESS_CPUTIME_ID).
double cpu_seconds();
/// Peak resident memory of this process, in bytes.
std::size_t peak_memory();

/// One line of the table: our figure beside the peer's, in the same unit. Measure both in the same
/// process, turn about (`turn_about`), where that is possible; else say in `note` where the peer's figure is from.
struct Row {
  std::string name;  ///< "queue: hold model, 10^4 pending"
  std::string unit;  ///< "ns/event", "packets/s", "bytes"
  double ours = 0;
  std::string peer = {};        ///< "std::priority_queue"; empty = none
  double baseline = 0;          ///< the peer's figure; 0 = none
  bool lower_is_better = true;  ///< false for rates
  double target_ratio = 0;      ///< least ratio wanted; ratio > 1 means that we are better. 0 = no target
  double target_value = 0;      ///< bound on `ours` (upper if lower is better, else lower). 0 = no bound
  std::string note = {};        ///< "recorded on another machine", ...

  /// How many times better than the peer; 0 without one.
  double ratio() const;
  /// False if a target is missed.
  bool met() const;
};

class Report {
 public:
  void add(Row row);
  const std::vector<Row>& rows() const { return rows_; }

 private:
  std::vector<Row> rows_;
};

/// Median of `repeats` calls; each call returns its own figure.
double median_of(int repeats, const std::function<double()>& measure);
/// Medians of two figures measured turn about, so that both see the same machine.
std::pair<double, double> turn_about(int repeats, const std::function<double()>& ours,
                                     const std::function<double()>& peer);
/// CPU nanoseconds of one call of `work`, which does `operations` operations: per operation.
template <class Work>
double ns_per_operation(std::uint64_t operations, Work&& work) {
  const double start = cpu_seconds();
  work();
  return (cpu_seconds() - start) * 1e9 / static_cast<double>(operations);
}

/// Keeps the optimiser from dropping `value`.
template <class T>
void keep(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

using CaseFunction = void (*)(Report& report);
using CommandFunction = int (*)(std::span<const std::string> args);

/// Called by the macros below, before main. `name` "room/what"; a prefix selects.
bool register_case(const char* name, CaseFunction function);
/// `usage` is the line of arguments. The return value is the exit status.
bool register_command(const char* name, const char* usage, const char* summary, CommandFunction function);

}  // namespace dcsim::bench

#define DCSIM_BENCH_JOIN2(a, b) a##b
#define DCSIM_BENCH_JOIN(a, b) DCSIM_BENCH_JOIN2(a, b)
#define DCSIM_BENCH_NAME(what) DCSIM_BENCH_JOIN(what, __LINE__)

/// The body sees `dcsim::bench::Report& report`.
#define BENCHMARK_CASE(name)                                                      \
  static void DCSIM_BENCH_NAME(benchmark_case_)(::dcsim::bench::Report & report); \
  [[maybe_unused]] static const bool DCSIM_BENCH_NAME(benchmark_registered_) =    \
      ::dcsim::bench::register_case(name, DCSIM_BENCH_NAME(benchmark_case_));     \
  static void DCSIM_BENCH_NAME(benchmark_case_)([[maybe_unused]] ::dcsim::bench::Report & report)

/// The body sees `std::span<const std::string> args` (without the command's name) and returns the exit status.
#define BENCHMARK_COMMAND(name, usage, summary)                                                     \
  static int DCSIM_BENCH_NAME(benchmark_command_)(std::span<const std::string> args);               \
  [[maybe_unused]] static const bool DCSIM_BENCH_NAME(benchmark_registered_) =                      \
      ::dcsim::bench::register_command(name, usage, summary, DCSIM_BENCH_NAME(benchmark_command_)); \
  static int DCSIM_BENCH_NAME(benchmark_command_)([[maybe_unused]] std::span<const std::string> args)
