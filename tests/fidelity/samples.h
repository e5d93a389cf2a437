#pragma once
#include <string>
#include <string_view>
#include <vector>

/// Statistics for holding a simulation against measurements of the real thing.
namespace dcsim::fidelity {

/// Quantile `p` in 0..1 of a sorted, not empty sample, linear between order statistics.
double quantile(const std::vector<double>& sorted, double p);
double mean(const std::vector<double>& sample);

/// What was measured and what was simulated, in one unit. `*_trials`: how many independent trials the samples come
/// from; several samples of one trial move together, so the tests below count trials.
struct Comparison {
  std::string what;
  std::vector<double> real;
  std::vector<double> simulated;
  std::size_t real_trials = 0;
  std::size_t simulated_trials = 0;
  /// How late the measuring machine may have been (its scheduler, its log): a real sample x stands for x - lag .. x.
  double lag = 0;
  /// A simulated sample may be this much early or late in any case (resolution of the measurement, loopback's latency).
  double grain = 1;
};

/// Two-sample Kolmogorov-Smirnov distance: the largest vertical distance of the two distribution functions, ties
/// together, where each is given `grain` and the simulated one `lag` of horizontal freedom. With neither, the classic
/// D.
double ks_distance(const Comparison& c);
/// The distance that a true hypothesis exceeds with probability 0.001.
double ks_limit(const Comparison& c);

/// Checks the two distributions against each other (doctest): ks_distance within ks_limit, and the real median and p95
/// within the simulated quantiles that a sample of that size leaves open (3.3 standard errors). Adds a row to the
/// report.
void check_alike(const Comparison& c);

/// Checks low <= simulated <= high and adds a row. `real` is what was measured, for the report.
void check_value(std::string_view what, double real, double simulated, double low, double high);
/// The same with |simulated - real| <= tolerance.
void check_close(std::string_view what, double real, double simulated, double tolerance);

}  // namespace dcsim::fidelity
