#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/rng.h"
#include "base/time.h"

namespace dcsim {

/// A real number in units of 2^-32. Plain value.
struct Fixed {
  std::int64_t raw = 0;

  static constexpr Fixed ratio(std::int64_t numerator, std::int64_t denominator) {
    return {(numerator / denominator << 32) + (numerator % denominator << 32) / denominator};
  }
  constexpr auto operator<=>(const Fixed&) const = default;
  constexpr double value() const { return static_cast<double>(raw) / 4294967296.0; }
};

/// Distributions in integers only, so that every compiler, level and machine draws alike. Each consumes exactly one
/// draw of its stream (a shuffle of n: n - 1), so streams stay in step whatever the parameters. Durations saturate at
/// kLongestDraw instead of overflowing. Means and deviations must not be negative, and not above kLongestDraw.
inline constexpr Duration kLongestDraw{std::int64_t{1} << 61};

/// The standard variates as pure functions of a draw, for callers that use Rng::at.
/// Mean 1: -ln u with u = (draw + 1) / 2^64, at most 44.4; in units of 2^-56, error below 2^-54.
std::uint64_t standard_exponential(std::uint64_t draw);
/// Mean 0, variance 1, by Box and Muller: 40 bits of the draw make the radius, at most 7.45, and 24 the angle.
/// Error below 10^-8.
Fixed standard_normal(std::uint64_t draw);
/// d * e^(exponent / 2^40), rounded down, saturating; relative error below 10^-12 before rounding.
Duration times_exp(Duration d, std::int64_t exponent);

/// Uniform in [low, high); low if that is empty.
inline Duration uniform(Rng& rng, Duration low, Duration high) { return low + rng.below(high - low); }
/// Exponential with this mean.
Duration exponential(Rng& rng, Duration mean);
/// Normal, negative values made zero. That moves the mean up by at most 0.4 sigma (mean 0), by 0.0001 sigma at 3.3
/// sigma.
Duration normal(Rng& rng, Duration mean, Duration sigma);
/// e^N(ln median, sigma^2); the mean is median * e^(sigma^2 / 2). Requires |sigma| < 1024.
Duration lognormal(Rng& rng, Duration median, Fixed sigma);
/// Pareto of type I: P(X > x) = (scale / x)^shape for x >= scale; the mean is scale * shape / (shape - 1) for shape
/// > 1. Requires shape > 0.
Duration pareto(Rng& rng, Duration scale, Fixed shape);

/// Fisher and Yates: every order equally likely. Draws n - 1 times.
template <class T>
void shuffle(Rng& rng, std::span<T> items) {
  for (std::size_t left = items.size(); left > 1; --left) {
    using std::swap;
    swap(items[left - 1], items[static_cast<std::size_t>(rng.below(static_cast<std::uint64_t>(left)))]);
  }
}

}  // namespace dcsim
