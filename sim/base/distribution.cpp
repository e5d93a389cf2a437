#include "base/distribution.h"

#include <array>
#include <bit>
#include <cmath>

#include "base/check.h"
#include "base/wide.h"

namespace dcsim {

namespace {

constexpr std::uint64_t kLn2 = 0x2C5C85FDF473DE6Bull;     // ln 2 in units of 2^-62
constexpr std::uint64_t kHalfPi = 0x6487ED5110B4611Aull;  // pi / 2 in units of 2^-62
constexpr std::uint64_t kLog2E = 0x5C551D94AE0BF85Eull;   // 1 / ln 2 in units of 2^-62
constexpr int kExpBits = 40;                              // fraction bits of an exponent

constexpr std::uint64_t product(std::uint64_t a, std::uint64_t b, int shift) {
  return static_cast<std::uint64_t>(static_cast<Uint128>(a) * b >> shift);
}

/// ln(1 + i / 256) in units of 2^-62, as 2 artanh(i / (512 + i)).
constexpr std::array<std::uint64_t, 256> make_logarithms() {
  std::array<std::uint64_t, 256> table{};
  for (std::uint64_t i = 0; i < table.size(); ++i) {
    const auto z = static_cast<std::uint64_t>((static_cast<Uint128>(i) << 63) / (512 + i));
    const std::uint64_t square = product(z, z, 63);
    std::uint64_t power = z;
    std::uint64_t sum = 0;
    for (std::uint64_t k = 1; power != 0; k += 2) {
      sum += power / k;
      power = product(power, square, 63);
    }
    table[i] = sum;
  }
  return table;
}
constexpr std::array<std::uint64_t, 256> kLogarithms = make_logarithms();

/// sqrt, rounded down. The floating-point guess is corrected, so its rounding does not matter.
std::uint64_t root(std::uint64_t x) {
  auto guess = static_cast<std::uint64_t>(std::sqrt(static_cast<double>(x)));
  while (static_cast<Uint128>(guess) * guess > x) --guess;
  while (static_cast<Uint128>(guess + 1) * (guess + 1) <= x) ++guess;
  return guess;
}

/// sin of (quarter / 2^62) * pi / 2, for quarter in [0, 2^62], in units of 2^-62. Taylor to the 19th power: error
/// 2^-54.
std::uint64_t sine(std::uint64_t quarter) {
  constexpr std::uint64_t kOne = std::uint64_t{1} << 62;
  const std::uint64_t x = product(quarter, kHalfPi, 62);
  const std::uint64_t square = product(x, x, 62);
  std::uint64_t sum = kOne;
  for (std::uint64_t k = 9; k >= 1; --k) sum = kOne - product(square, sum, 62) / (2 * k * (2 * k + 1));
  return product(x, sum, 62);
}

}  // namespace

// Hot: about 10 ns.
std::uint64_t standard_exponential(std::uint64_t draw) {
  if (draw == ~std::uint64_t{0}) return 0;
  const std::uint64_t u = draw + 1;
  const int zeros = std::countl_zero(u);
  // u = 2^(63 - zeros) * m with m in [1, 2); m = c * (1 + e) with c = 1 + i / 256 and 0 <= e < 1 / 256.
  const std::uint64_t m = u << zeros;
  const std::uint64_t i = (m >> 55) & 255;
  const std::uint64_t e = ((m & ((std::uint64_t{1} << 55) - 1)) << 8) / (256 + i);  // in units of 2^-63
  const std::uint64_t e2 = product(e, e, 63);
  const std::uint64_t e3 = product(e2, e, 63);
  const std::uint64_t e4 = product(e2, e2, 63);
  const std::uint64_t e5 = product(e4, e, 63);
  const std::uint64_t e6 = product(e3, e3, 63);
  const std::uint64_t log_1_plus_e = e - e2 / 2 + e3 / 3 - e4 / 4 + e5 / 5 - e6 / 6;
  const std::uint64_t log_m = kLogarithms[i] + log_1_plus_e / 2;  // in units of 2^-62
  const Uint128 result = static_cast<Uint128>(static_cast<std::uint64_t>(zeros) + 1) * kLn2 - log_m;
  return static_cast<std::uint64_t>(result >> 6);
}

Fixed standard_normal(std::uint64_t draw) {
  const std::uint64_t exponential = standard_exponential(draw | 0xFFFFFF);  // of the upper 40 bits
  const std::uint64_t radius = root(exponential << 3);                      // sqrt(2 E): 8 E in 2^-58 -> 2^-29
  const std::uint64_t angle = draw & 0xFFFFFF;                              // of 2^24
  const std::uint64_t step = (((angle & 0x3FFFFF) << 1) | 1) << 39;  // the middle of its step, of a quarter of 2^62
  const bool falling = (angle >> 22 & 1) != 0;
  const std::uint64_t height = sine(falling ? (std::uint64_t{1} << 62) - step : step);
  const auto z = static_cast<std::int64_t>(product(radius, height, 62 - 3));  // 2^-29 -> 2^-32
  return {(angle >> 23 & 1) != 0 ? -z : z};
}

Duration times_exp(Duration d, std::int64_t exponent) {
  DCSIM_CHECK(d.ns >= 0 && d <= kLongestDraw);
  // e^x = 2^k * e^r with 0 <= r < ln 2; 2^k and d decide what saturates.
  const Int128 in_octaves = static_cast<Int128>(exponent) * static_cast<Int128>(kLog2E);  // in 2^-(40 + 62)
  const auto k = static_cast<std::int64_t>(in_octaves >> (kExpBits + 62));
  if (d.ns == 0 || k < -63) return {};
  if (k > 61) return kLongestDraw;
  const auto fraction = static_cast<std::uint64_t>(in_octaves >> kExpBits) & ((std::uint64_t{1} << 62) - 1);
  const std::uint64_t r = product(fraction, kLn2, 62);
  constexpr std::uint64_t kOne = std::uint64_t{1} << 62;
  std::uint64_t sum = kOne;
  for (std::uint64_t n = 18; n >= 1; --n) sum = kOne + product(r, sum, 62) / n;
  const Uint128 scaled = static_cast<Uint128>(static_cast<std::uint64_t>(d.ns)) * sum;  // d * e^r in 2^-62
  const std::int64_t shift = 62 - k;                                                    // [1, 125]
  const Uint128 result = scaled >> shift;
  const auto longest = static_cast<Uint128>(static_cast<std::uint64_t>(kLongestDraw.ns));
  return result > longest ? kLongestDraw : Duration{static_cast<std::int64_t>(result)};
}

Duration exponential(Rng& rng, Duration mean) {
  DCSIM_CHECK(mean.ns >= 0 && mean <= kLongestDraw);
  const Uint128 scaled =
      static_cast<Uint128>(standard_exponential(rng.next())) * static_cast<std::uint64_t>(mean.ns) >> 56;
  const auto longest = static_cast<Uint128>(static_cast<std::uint64_t>(kLongestDraw.ns));
  return scaled > longest ? kLongestDraw : Duration{static_cast<std::int64_t>(scaled)};
}

Duration normal(Rng& rng, Duration mean, Duration sigma) {
  DCSIM_CHECK(mean.ns >= 0 && mean <= kLongestDraw && sigma.ns >= 0 && sigma <= kLongestDraw);
  const Int128 deviation = static_cast<Int128>(standard_normal(rng.next()).raw) * sigma.ns >> 32;
  const Int128 value = deviation + mean.ns;
  return value < 0 ? Duration{} : value > kLongestDraw.ns ? kLongestDraw : Duration{static_cast<std::int64_t>(value)};
}

Duration lognormal(Rng& rng, Duration median, Fixed sigma) {
  DCSIM_CHECK(sigma.raw < std::int64_t{1024} << 32 && sigma.raw > -(std::int64_t{1024} << 32));
  const Int128 exponent = static_cast<Int128>(standard_normal(rng.next()).raw) * sigma.raw >> (64 - kExpBits);
  return times_exp(median, static_cast<std::int64_t>(exponent));
}

Duration pareto(Rng& rng, Duration scale, Fixed shape) {
  DCSIM_CHECK(shape.raw > 0);
  // u^(-1 / shape) = e^(E / shape); E in 2^-56 over shape in 2^-32 gives 2^-24.
  const Uint128 exponent = (static_cast<Uint128>(standard_exponential(rng.next())) << (kExpBits - 24)) /
                           static_cast<std::uint64_t>(shape.raw);
  constexpr std::int64_t kBeyond = std::int64_t{64} << kExpBits;
  return times_exp(scale, exponent > static_cast<Uint128>(static_cast<std::uint64_t>(kBeyond))
                              ? kBeyond
                              : static_cast<std::int64_t>(exponent));
}

}  // namespace dcsim
