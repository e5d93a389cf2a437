#include "gossip/formulas.h"

#include <array>
#include <bit>
#include <cmath>

#include "base/check.h"

namespace dcsim::gossip {
namespace {

// Natural logarithms of 1 .. 33, correctly rounded: the ratio below must not depend on a C library.
constexpr std::array<double, 34> kLn = {
    0.0,
    0.0,
    0.6931471805599453,
    1.0986122886681098,
    1.3862943611198906,
    1.6094379124341003,
    1.791759469228055,
    1.9459101490553132,
    2.0794415416798357,
    2.1972245773362196,
    2.302585092994046,
    2.3978952727983707,
    2.4849066497880004,
    2.5649493574615367,
    2.6390573296152584,
    2.70805020110221,
    2.772588722239781,
    2.833213344056216,
    2.8903717578961645,
    2.9444389791664403,
    2.995732273553991,
    3.044522437723423,
    3.091042453358316,
    3.1354942159291497,
    3.1780538303479458,
    3.2188758248682006,
    3.258096538021482,
    3.295836866004329,
    3.332204510175204,
    3.367295829986474,
    3.4011973816621555,
    3.4339872044851463,
    3.4657359027997265,
    3.4965075614664802,
};

std::uint32_t thousandths_of_log10(std::uint32_t n) {
  // The powers of ten are exact here. In between, 1000 log10(n) stays away from whole numbers by far more than a
  // library's error, so the cut is the same everywhere.
  std::uint32_t power = 0;
  for (std::uint64_t p = 10; p <= n; p *= 10) {
    ++power;
    if (p == n) return power * 1000;
  }
  return static_cast<std::uint32_t>(1000.0 * std::log10(static_cast<double>(n)));
}

double ln(std::int64_t n) {
  return n < static_cast<std::int64_t>(kLn.size()) ? kLn[static_cast<std::size_t>(n)] : std::log(static_cast<double>(n));
}

double seconds_of(Duration d) {
  return static_cast<double>(d.ns / 1'000'000'000) + static_cast<double>(d.ns % 1'000'000'000) / 1e9;
}

}  // namespace

Duration suspicion_timeout(int mult, std::uint32_t n, Duration interval) {
  const std::uint32_t scale = n <= 10 ? 1000 : thousandths_of_log10(n);
  return interval * mult * scale / 1000;
}

Duration remaining_suspicion_time(int confirmed, int wanted, Duration elapsed, Duration min, Duration max) {
  DCSIM_CHECK(confirmed >= 0);
  // Upstream divides by the logarithm of 1 then: not a number, or endless, and both end at the minimum. Of a wanted -1 it
  // makes a division by minus infinity, so the maximum.
  if (wanted == 0 || wanted < -1) return min - elapsed;
  const double fraction = wanted < 0 ? 0.0 : ln(std::int64_t{confirmed} + 1) / ln(std::int64_t{wanted} + 1);
  const double raw = seconds_of(max) - fraction * (seconds_of(max) - seconds_of(min));
  Duration timeout{static_cast<std::int64_t>(std::floor(1000.0 * raw)) * 1'000'000};
  if (timeout < min) timeout = min;
  return timeout - elapsed;
}

Duration push_pull_scale(Duration interval, std::uint32_t n) {
  if (n <= 32) return interval;
  return interval * (static_cast<std::int64_t>(std::bit_width(n - 1)) - 5 + 1);
}

}  // namespace dcsim::gossip
