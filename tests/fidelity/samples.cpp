#include "samples.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>

namespace dcsim::fidelity {
namespace {

/// With DCSIM_FIDELITY_REPORT set, every comparison is printed as it is made.
bool reporting() { return std::getenv("DCSIM_FIDELITY_REPORT") != nullptr; }

void report(std::string_view what, const std::string& real, const std::string& simulated, const std::string& test,
            bool ok) {
  if (reporting())
    fmt::print("{:<46} | {:<24} | {:<24} | {:<22} | {}\n", what, real, simulated, test, ok ? "ok" : "DIFFERS");
}

/// Share of the sorted sample that is <= x.
double below(const std::vector<double>& sorted, double x) {
  return static_cast<double>(std::upper_bound(sorted.begin(), sorted.end(), x) - sorted.begin()) /
         static_cast<double>(sorted.size());
}

std::string three(const std::vector<double>& sorted) {
  return fmt::format("{:.0f} / {:.0f} / {:.0f}", quantile(sorted, 0.5), quantile(sorted, 0.95), sorted.back());
}

}  // namespace

double quantile(const std::vector<double>& sorted, double p) {
  REQUIRE(!sorted.empty());
  const double at = std::clamp(p, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - static_cast<double>(low));
}

double mean(const std::vector<double>& sample) {
  REQUIRE(!sample.empty());
  return std::accumulate(sample.begin(), sample.end(), 0.0) / static_cast<double>(sample.size());
}

double ks_distance(const Comparison& c) {
  std::vector<double> real = c.real;
  std::vector<double> simulated = c.simulated;
  std::sort(real.begin(), real.end());
  std::sort(simulated.begin(), simulated.end());
  double worst = 0;
  // Real ones too early: more of them by x than simulated ones by x + grain. The suprema are at samples.
  for (const double x : real) worst = std::max(worst, below(real, x) - below(simulated, x + c.grain));
  // Real ones too late: fewer of them by x + lag + grain than simulated ones by x.
  for (const double x : simulated) worst = std::max(worst, below(simulated, x) - below(real, x + c.lag + c.grain));
  return worst;
}

double ks_limit(const Comparison& c) {
  constexpr double kAlpha = 0.001;
  const auto n = static_cast<double>(c.real_trials);
  const auto m = static_cast<double>(c.simulated_trials);
  return std::sqrt(-std::log(kAlpha / 2) / 2) * std::sqrt((n + m) / (n * m));
}

void check_alike(const Comparison& c) {
  REQUIRE_MESSAGE(!c.real.empty(), c.what);
  REQUIRE_MESSAGE(!c.simulated.empty(), c.what);
  std::vector<double> real = c.real;
  std::vector<double> simulated = c.simulated;
  std::sort(real.begin(), real.end());
  std::sort(simulated.begin(), simulated.end());
  const double distance = ks_distance(c);
  const double limit = ks_limit(c);
  bool ok = distance <= limit;
  CHECK_MESSAGE(distance <= limit, c.what, ": p50 / p95 / max measured ", three(real), ", simulated ",
                three(simulated));
  for (const double p : {0.5, 0.95}) {
    const double error = 3.3 * std::sqrt(p * (1 - p) / static_cast<double>(c.real_trials));
    const double low = quantile(simulated, p - error) - c.grain;
    const double high = quantile(simulated, p + error) + c.grain + c.lag;
    const double measured = quantile(real, p);
    ok = ok && low <= measured && measured <= high;
    CHECK_MESSAGE(low <= measured, c.what, ": quantile ", p);
    CHECK_MESSAGE(measured <= high, c.what, ": quantile ", p);
  }
  report(c.what, three(real), three(simulated), fmt::format("D {:.3f} <= {:.3f}", distance, limit), ok);
}

void check_value(std::string_view what, double real, double simulated, double low, double high) {
  report(what, fmt::format("{:.5g}", real), fmt::format("{:.5g}", simulated),
         fmt::format("{:.5g} .. {:.5g}", low, high), low <= simulated && simulated <= high);
  CHECK_MESSAGE(simulated >= low, what, ": measured ", real);
  CHECK_MESSAGE(simulated <= high, what, ": measured ", real);
}

void check_close(std::string_view what, double real, double simulated, double tolerance) {
  check_value(what, real, simulated, real - tolerance, real + tolerance);
}

}  // namespace dcsim::fidelity
