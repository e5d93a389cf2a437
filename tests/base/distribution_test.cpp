#include "base/distribution.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "base/check.h"

using namespace dcsim;

namespace {

/// Draws, sorted, and their first two moments in units of `unit`.
struct Sample {
  std::vector<double> values;
  double mean = 0;
  double deviation = 0;

  template <class Draw>
  Sample(Draw&& draw, Duration unit, int count = 200'000) {
    Rng rng(2024, "test/distribution", "moments");
    for (int i = 0; i < count; ++i) values.push_back(static_cast<double>(draw(rng).ns) / static_cast<double>(unit.ns));
    std::sort(values.begin(), values.end());
    for (const double v : values) mean += v;
    mean /= count;
    for (const double v : values) deviation += (v - mean) * (v - mean);
    deviation = std::sqrt(deviation / count);
    CHECK(rng.position() == static_cast<std::uint64_t>(count));  // one draw each
  }
  double quantile(double p) const { return values[static_cast<std::size_t>(p * static_cast<double>(values.size()))]; }
};

doctest::Approx within(double value, double relative) { return doctest::Approx(value).epsilon(relative); }

/// Draws that probe the ends, every power of two and its neighbours, and the bulk.
std::vector<std::uint64_t> probing_draws() {
  std::vector<std::uint64_t> draws{0, 1, 2, ~std::uint64_t{0}, ~std::uint64_t{0} - 1, ~std::uint64_t{0} - 1000};
  for (int bit = 0; bit < 64; ++bit) {
    const std::uint64_t power = std::uint64_t{1} << bit;
    for (const std::uint64_t draw : {power - 1, power, power + 1, power + power / 3}) draws.push_back(draw);
  }
  const Rng rng(1, "test", "probe");
  for (std::uint64_t i = 0; i < 20'000; ++i) draws.push_back(rng.at(i));
  return draws;
}

}  // namespace

TEST_CASE("distribution: the standard exponential is -ln u to 2^-50") {
  double worst = 0;
  for (const std::uint64_t draw : probing_draws()) {
    // ln((draw + 1) / 2^64); log1p near 1, where the division would round.
    const long double u = (static_cast<long double>(draw) + 1) / 18446744073709551616.0L;
    const long double expected = -std::log(u);
    const long double got = static_cast<long double>(standard_exponential(draw)) / 72057594037927936.0L;
    worst = std::max(worst, static_cast<double>(std::fabs(got - expected)));
  }
  CHECK(worst < 0x1p-50);
  CHECK(standard_exponential(~std::uint64_t{0}) == 0);
  CHECK(standard_exponential(0) == within(44.3614195558 * 0x1p56, 1e-10));
}

TEST_CASE("distribution: the standard normal is Box and Muller's to 10^-8") {
  double worst = 0;
  for (const std::uint64_t draw : probing_draws()) {
    const double u = (static_cast<double>(draw >> 24) + 1) / 0x1p40;
    const double angle = (static_cast<double>(draw & 0xFFFFFF) + 0.5) / 0x1p24 * 2 * 3.14159265358979323846;
    worst = std::max(worst, std::fabs(standard_normal(draw).value() - std::sqrt(-2 * std::log(u)) * std::sin(angle)));
  }
  CHECK(worst < 1e-8);
}

TEST_CASE("distribution: times_exp agrees with exp over its whole range, and saturates") {
  const Rng rng(3, "test", "exp");
  double worst = 0;
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    const double x = (static_cast<double>(rng.at(i) >> 11) * 0x1p-53 - 0.5) * 24;
    const auto exponent = static_cast<std::int64_t>(x * 0x1p40);
    const Duration d{std::int64_t{1} << 40};
    const double expected = std::exp(static_cast<double>(exponent) * 0x1p-40) * 0x1p40;
    worst = std::max(worst, std::fabs(static_cast<double>(times_exp(d, exponent).ns) - expected) / expected);
  }
  CHECK(worst < 1e-6);  // what rounding to whole nanoseconds leaves of d * e^-12
  CHECK(times_exp({std::int64_t{1} << 60}, 0).ns == std::int64_t{1} << 60);
  const double e = static_cast<double>(times_exp({std::int64_t{1} << 50}, std::int64_t{1} << 40).ns);
  CHECK(e == within(2.718281828459045 * 0x1p50, 1e-14));
  CHECK(times_exp(1_s, std::int64_t{60} << 40) == kLongestDraw);
  CHECK(times_exp(1_ns, INT64_MAX) == kLongestDraw);
  CHECK(times_exp(kLongestDraw, INT64_MIN) == Duration{});
  CHECK(times_exp({}, INT64_MAX) == Duration{});
  CHECK(times_exp(1_s, -(std::int64_t{60} << 40)) == Duration{});
}

TEST_CASE("distribution: uniform") {
  const Sample sample([](Rng& rng) { return uniform(rng, 10_ms, 30_ms); }, 1_ms);
  CHECK(sample.values.front() >= 10);
  CHECK(sample.values.back() < 30);
  CHECK(sample.mean == within(20, 0.003));
  CHECK(sample.deviation == within(20 / std::sqrt(12.0), 0.005));
  CHECK(sample.quantile(0.25) == within(15, 0.01));
  CHECK(sample.quantile(0.9) == within(28, 0.01));
  Rng rng(1, "a", "b");
  CHECK(uniform(rng, 5_ms, 5_ms) == 5_ms);
  CHECK(uniform(rng, 5_ms, 4_ms) == 5_ms);
  CHECK(rng.position() == 2);
}

TEST_CASE("distribution: exponential") {
  const Sample sample([](Rng& rng) { return exponential(rng, 40_ms); }, 1_ms);
  CHECK(sample.mean == within(40, 0.01));
  CHECK(sample.deviation == within(40, 0.01));
  CHECK(sample.quantile(0.5) == within(40 * std::log(2.0), 0.01));
  CHECK(sample.quantile(0.99) == within(40 * std::log(100.0), 0.02));
  Rng rng(1, "a", "b");
  CHECK(exponential(rng, {}) == Duration{});
  CHECK(exponential(rng, kLongestDraw) <= kLongestDraw);
  CHECK_THROWS_AS(exponential(rng, -1_ns), InvariantBroken);
}

TEST_CASE("distribution: normal, cut off at zero") {
  const Sample sample([](Rng& rng) { return normal(rng, 100_ms, 15_ms); }, 1_ms);
  CHECK(sample.mean == within(100, 0.002));
  CHECK(sample.deviation == within(15, 0.01));
  CHECK(sample.quantile(0.5) == within(100, 0.002));
  CHECK(sample.quantile(0.8413) == within(115, 0.003));
  CHECK(sample.quantile(0.0228) == within(70, 0.006));
  CHECK(sample.quantile(0.99865) == within(145, 0.01));
  const Sample half([](Rng& rng) { return normal(rng, {}, 10_ms); }, 1_ms);
  CHECK(half.values.front() == 0);
  CHECK(half.quantile(0.49) == 0);
  CHECK(half.mean == within(10 / std::sqrt(2 * 3.14159265358979), 0.02));
  Rng rng(1, "a", "b");
  CHECK(normal(rng, 7_ms, {}) == 7_ms);
  for (int i = 0; i < 100; ++i) CHECK(normal(rng, kLongestDraw, kLongestDraw) <= kLongestDraw);
}

TEST_CASE("distribution: lognormal, given the median; a disk's sync with median 1 ms and 99th percentile 10 ms") {
  const double sigma = std::log(10.0) / 2.3263;
  const Sample sample([](Rng& rng) { return lognormal(rng, 1_ms, Fixed::ratio(98980, 100000)); }, 1_ms);
  CHECK(sample.quantile(0.5) == within(1, 0.01));
  CHECK(sample.quantile(0.99) == within(10, 0.03));
  CHECK(sample.mean == within(std::exp(sigma * sigma / 2), 0.02));
  CHECK(sample.values.front() > 0);
}

TEST_CASE("distribution: pareto, given the scale and the shape") {
  const Sample sample([](Rng& rng) { return pareto(rng, 2_ms, Fixed::ratio(3, 1)); }, 1_ms);
  CHECK(sample.values.front() >= 2);
  CHECK(sample.mean == within(3, 0.01));
  CHECK(sample.quantile(0.5) == within(2 * std::cbrt(2.0), 0.01));
  CHECK(sample.quantile(0.999) == within(20, 0.05));
  Rng rng(1, "a", "b");
  for (int i = 0; i < 1'000; ++i) CHECK(pareto(rng, 1_s, {1}) <= kLongestDraw);  // the heaviest tail there is
  CHECK_THROWS_AS(pareto(rng, 1_s, {}), InvariantBroken);
}

TEST_CASE("distribution: chance hits its probability") {
  Rng rng(5, "test", "loss");
  int hits = 0;
  for (int i = 0; i < 1'000'000; ++i) hits += rng.chance(1'000'000) ? 1 : 0;  // 0.1 %
  CHECK(hits > 1'000 - 130);
  CHECK(hits < 1'000 + 130);
  CHECK_FALSE(rng.chance(0));
  CHECK(rng.chance(1'000'000'000));
}

TEST_CASE("distribution: a shuffle keeps the items, draws n - 1 times and favours no order") {
  Rng rng(6, "test", "shuffle");
  std::vector<int> counts(24);
  for (int round = 0; round < 24'000; ++round) {
    std::vector<int> items{0, 1, 2, 3};
    const std::uint64_t before = rng.position();
    shuffle(rng, std::span(items));
    CHECK(rng.position() == before + 3);
    int rank = 0;
    for (int i = 0; i < 4; ++i) {
      int smaller = 0;
      for (int j = i + 1; j < 4; ++j)
        smaller += items[static_cast<std::size_t>(j)] < items[static_cast<std::size_t>(i)] ? 1 : 0;
      rank = rank * (4 - i) + smaller;
    }
    ++counts[static_cast<std::size_t>(rank)];
    std::sort(items.begin(), items.end());
    CHECK(items == std::vector<int>{0, 1, 2, 3});
  }
  double chi_square = 0;
  for (const int count : counts) chi_square += (count - 1000.0) * (count - 1000.0) / 1000;
  CHECK(chi_square < 49.7);  // 23 degrees of freedom, p = 0.001
  std::vector<int> none;
  shuffle(rng, std::span(none));
}

TEST_CASE("distribution: what a seed draws is fixed, on every compiler and machine") {
  Rng rng(42, "dc1/c3", "contract");
  std::uint64_t sum = 0;
  const auto fold = [&](Duration d) { sum = (sum ^ static_cast<std::uint64_t>(d.ns)) * 0x100000001B3ull; };
  for (int i = 0; i < 1'000; ++i) {
    fold(uniform(rng, 1_ms, 1_h));
    fold(exponential(rng, 90_s));
    fold(normal(rng, 1_s, 400_ms));
    fold(lognormal(rng, 3_ms, Fixed::ratio(5, 4)));
    fold(pareto(rng, 1_ms, Fixed::ratio(3, 2)));
  }
  CHECK(sum == 13280645341162248062u);
}
