#include "net/distribution.h"

#include "base/distribution.h"
#include "base/wide.h"

namespace dcsim::net {

namespace {

Duration scaled(Duration d, Fixed factor) { return {static_cast<std::int64_t>((static_cast<Int128>(d.ns) * factor.raw) >> 32)}; }

}  // namespace

Duration jitter_deviation(Distribution distribution, Duration jitter, std::uint64_t draw) {
  switch (distribution) {
    case Distribution::kConstant: return jitter;
    case Distribution::kUniform: {
      const auto width = static_cast<Uint128>(2 * jitter.ns + 1);
      return Duration{static_cast<std::int64_t>((static_cast<Uint128>(draw) * width) >> 64)} - jitter;
    }
    case Distribution::kNormal: return scaled(jitter, standard_normal(draw));
    case Distribution::kLognormal: {
      // e^(N - 1/2), whose mean is 1; 8 more bits take 2^-32 to times_exp's 2^-40.
      const Fixed n = standard_normal(draw);
      return times_exp(jitter, (n.raw << 8) - (std::int64_t{1} << 39));
    }
    case Distribution::kPareto: {
      // Type I with shape 3 is e^(E / 3); from units of 2^-56 to 2^-40.
      const auto e = static_cast<std::int64_t>(standard_exponential(draw) >> 16);
      return times_exp(jitter, e / 3) - jitter;
    }
  }
  return {};
}

}  // namespace dcsim::net
