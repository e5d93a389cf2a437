#include "net/distribution.h"

#include "base/rng.h"

namespace dcsim::net {

namespace {

__extension__ using Wide = __int128;
constexpr int kOne = 32;  // fixed point: values are in units of 2^-32

std::uint64_t scramble(std::uint64_t x) {  // a second word from the same draw; MurmurHash3's finaliser
  x ^= x >> 33;
  x *= 0xFF51AFD7ED558CCDull;
  x ^= x >> 33;
  x *= 0xC4CEB9FE1A85EC53ull;
  return x ^ (x >> 33);
}

/// Standard normal in 2^-32, by the central limit: the sum of twelve 10-bit uniforms has variance 1 (12 x 1/12).
/// Two words give 24 such summands; their sum over sqrt(2) reaches +-8.4 sigma.
std::int64_t normal(std::uint64_t draw) {
  std::int64_t sum = 0;
  for (std::uint64_t word : {draw, scramble(draw)}) {
    for (int i = 0; i < 6; ++i) {
      sum += static_cast<std::int64_t>(word & 1023) + static_cast<std::int64_t>((word >> 32) & 1023);
      word = scramble(word + 0x9E3779B97F4A7C15ull);
    }
  }
  const std::int64_t centred = 2 * sum - 24 * 1023;                                        // in units of 2^-11
  return static_cast<std::int64_t>((Wide{centred} << (kOne - 11)) * 3'037'000'500 >> 32);  // x 2^32 / sqrt 2
}

/// 2^x for x in 2^-32, in 2^-32; error below 2e-4. Clamped to x < 20.
std::int64_t exp2_fixed(std::int64_t x) {
  std::int64_t whole = x >> kOne;
  if (whole >= 20) return std::int64_t{1} << (kOne + 20);
  if (whole < -31) return 0;
  const Wide f = x & 0xffffffff;
  // Cubic that meets 2^f at 0 and 1: 1 + f (0.695556856 + f (0.226173572 + f 0.078269572)).
  Wide y = (f * 336'165'252) >> kOne;
  y = ((y + 971'408'095) * f) >> kOne;
  y = ((y + 2'987'393'949) * f) >> kOne;
  const auto mantissa = static_cast<std::int64_t>(y + (Wide{1} << kOne));
  return whole >= 0 ? mantissa << whole : mantissa >> -whole;
}

/// exp(N(0,1) - 1/2) in 2^-32: mean 1.
std::int64_t lognormal(std::uint64_t draw) {
  const std::int64_t z = normal(draw) - (std::int64_t{1} << (kOne - 1));
  return exp2_fixed(static_cast<std::int64_t>(Wide{z} * 6'196'328'019 >> kOne));  // x log2 e
}

/// Pareto(3) - 1 = u^(-1/3) - 1 in 2^-32; bounded by u >= 2^-48, that is by 2^16.
std::int64_t pareto(std::uint64_t draw) {
  const std::uint64_t u = (draw >> 16) + 1;  // u / 2^48 in (0, 1]
  // x = 2^16 / cbrt(u), by bisection on x * x * x * u <= 2^48 * 2^(3 kOne) in steps of 2^-20.
  std::uint64_t low = 1u << 20, high = (std::uint64_t{1} << 36) + 1;  // x in 2^-20
  while (high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    const auto squared = static_cast<Uint128>(middle) * middle >> 20;  // x^2 in 2^-20, < 2^52
    const auto cubed = squared * middle >> 20;                         // x^3 in 2^-20, < 2^68
    // x^3 <= 2^48 / u, both in 2^-20
    if (cubed <= (static_cast<Uint128>(1) << 68) / u) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return static_cast<std::int64_t>((low - (1u << 20)) << (kOne - 20));
}

}  // namespace

Duration jitter_deviation(Distribution distribution, Duration jitter, std::uint64_t draw) {
  const Wide j = jitter.ns;
  switch (distribution) {
    case Distribution::kConstant:
      return jitter;
    case Distribution::kUniform: {
      const auto span = static_cast<Uint128>(2 * jitter.ns) + 1;
      return {static_cast<std::int64_t>((static_cast<Uint128>(draw) * span) >> 64) - jitter.ns};
    }
    case Distribution::kNormal:
      return {static_cast<std::int64_t>(j * normal(draw) >> kOne)};
    case Distribution::kLognormal:
      return {static_cast<std::int64_t>(j * lognormal(draw) >> kOne)};
    case Distribution::kPareto:
      return {static_cast<std::int64_t>(j * pareto(draw) >> kOne)};
  }
  return {0};
}

}  // namespace dcsim::net
