#include "gossip/coordinate.h"

#include <algorithm>
#include <cmath>

namespace dcsim::gossip {
namespace {

constexpr double kZeroThreshold = 1.0e-6;
constexpr std::int64_t kMaxRttNs = 10'000'000'000;
using Vector = std::array<double, Coordinate::kDimensions>;

double magnitude(const Vector& v) {
  double sum = 0.0;
  for (const double x : v) sum += x * x;
  return std::sqrt(sum);
}

Vector difference(const Vector& a, const Vector& b) {
  Vector d;
  for (std::size_t i = 0; i < d.size(); ++i) d[i] = a[i] - b[i];
  return d;
}

Vector scaled(const Vector& v, double factor) {
  Vector s;
  for (std::size_t i = 0; i < s.size(); ++i) s[i] = v[i] * factor;
  return s;
}

double raw_distance(const Coordinate& a, const Coordinate& b) {
  return magnitude(difference(a.vec, b.vec)) + a.height + b.height;
}

/// As Go's time.Duration.Seconds: whole seconds and the rest are rounded apart.
double seconds_of(std::int64_t ns) {
  return static_cast<double>(ns / 1'000'000'000) + static_cast<double>(ns % 1'000'000'000) / 1e9;
}

/// As amd64 converts: what does not fit becomes the least integer.
std::int64_t truncated(double v) {
  constexpr double kLimit = 9223372036854775808.0;
  return v >= -kLimit && v < kLimit ? static_cast<std::int64_t>(v) : INT64_MIN;
}

std::int64_t distance_ns(const Coordinate& a, const Coordinate& b) {
  const double raw = raw_distance(a, b);
  const double adjusted = raw + a.adjustment + b.adjustment;
  return truncated((adjusted > 0.0 ? adjusted : raw) * 1.0e9);
}

}  // namespace

Duration distance(const Coordinate& a, const Coordinate& b) { return {distance_ns(a, b)}; }

bool is_finite(const Coordinate& c) {
  return std::all_of(c.vec.begin(), c.vec.end(), [](double x) { return std::isfinite(x); }) && std::isfinite(c.error) &&
         std::isfinite(c.adjustment) && std::isfinite(c.height);
}

CoordinateClient::CoordinateClient(Rng rng, const CoordinateConfig& config)
    : config_(config), coordinate_(start()), origin_(start()), rng_(rng) {}

Coordinate CoordinateClient::start() const {
  Coordinate c;
  c.error = config_.error_max;
  c.height = config_.height_min;
  return c;
}

CoordinateUpdate CoordinateClient::update(std::uint32_t peer, const Coordinate& other, Duration rtt) {
  if (other.dimensions != Coordinate::kDimensions) return CoordinateUpdate::kWrongDimensions;
  if (!is_finite(other)) return CoordinateUpdate::kNotFinite;
  if (rtt.ns < 0 || rtt.ns > kMaxRttNs) return CoordinateUpdate::kRttOutOfRange;

  const double median = seconds_of(filter(peer, rtt.ns));
  apply_vivaldi(other, median);
  apply_adjustment(other, median);
  apply_gravity();
  if (is_finite(coordinate_)) return CoordinateUpdate::kUpdated;
  coordinate_ = start();
  ++resets_;
  return CoordinateUpdate::kReset;
}

std::int64_t CoordinateClient::filter(std::uint32_t peer, std::int64_t rtt_ns) {
  const std::size_t chunk = peer / kChunk;
  if (chunk >= samples_.size()) samples_.resize(chunk + 1);
  if (!samples_[chunk]) samples_[chunk] = std::make_unique<Chunk>();
  Samples& s = (*samples_[chunk])[peer % kChunk];

  if (s.count == s.low.size()) {
    std::copy(s.low.begin() + 1, s.low.end(), s.low.begin());
    std::copy(s.high.begin() + 1, s.high.end(), s.high.begin());
    --s.count;
  }
  s.low[s.count] = static_cast<std::uint32_t>(rtt_ns);
  s.high[s.count] = static_cast<std::uint8_t>(rtt_ns >> 32);
  ++s.count;

  std::array<std::int64_t, 3> sorted{};
  for (std::size_t i = 0; i < s.count; ++i) sorted[i] = std::int64_t{s.high[i]} << 32 | s.low[i];
  std::sort(sorted.begin(), sorted.begin() + s.count);
  return sorted[s.count / 2];
}

void CoordinateClient::forget(std::uint32_t peer) {
  const std::size_t chunk = peer / kChunk;
  if (chunk >= samples_.size() || !samples_[chunk]) return;
  Chunk& c = *samples_[chunk];
  c[peer % kChunk] = {};
  if (std::all_of(c.begin(), c.end(), [](const Samples& s) { return s.count == 0; })) samples_[chunk].reset();
}

std::size_t CoordinateClient::heap_bytes() const {
  const auto chunks = std::count_if(samples_.begin(), samples_.end(), [](const auto& chunk) { return chunk != nullptr; });
  return samples_.capacity() * sizeof(samples_[0]) + static_cast<std::size_t>(chunks) * sizeof(Chunk);
}

void CoordinateClient::apply_vivaldi(const Coordinate& other, double rtt) {
  const double dist = seconds_of(distance_ns(coordinate_, other));
  rtt = std::max(rtt, kZeroThreshold);
  const double wrongness = std::fabs(dist - rtt) / rtt;
  const double total_error = std::max(coordinate_.error + other.error, kZeroThreshold);
  const double weight = coordinate_.error / total_error;
  coordinate_.error = config_.ce * weight * wrongness + coordinate_.error * (1.0 - config_.ce * weight);
  if (coordinate_.error > config_.error_max) coordinate_.error = config_.error_max;
  const double delta = config_.cc * weight;
  apply_force(delta * (rtt - dist), other);
}

void CoordinateClient::apply_adjustment(const Coordinate& other, double rtt) {
  window_[window_at_] = rtt - raw_distance(coordinate_, other);
  window_at_ = (window_at_ + 1) % kAdjustmentWindow;
  double sum = 0.0;
  for (const double sample : window_) sum += sample;
  coordinate_.adjustment = sum / (2.0 * static_cast<double>(kAdjustmentWindow));
}

void CoordinateClient::apply_gravity() {
  const double ratio = seconds_of(distance_ns(origin_, coordinate_)) / config_.gravity_rho;
  apply_force(-1.0 * (ratio * ratio), origin_);
}

void CoordinateClient::apply_force(double force, const Coordinate& other) {
  Vector unit;
  const double length = unit_vector(other, unit);
  const Vector push = scaled(unit, force);
  for (std::size_t i = 0; i < push.size(); ++i) coordinate_.vec[i] += push[i];
  if (length > kZeroThreshold) {
    const double height = (coordinate_.height + other.height) * force / length + coordinate_.height;
    // A NaN must get through, so that the update ends in a reset.
    coordinate_.height = height < config_.height_min ? config_.height_min : height;
  }
}

/// The direction from `other` to here, and the distance; if they coincide, a random direction and 0.
double CoordinateClient::unit_vector(const Coordinate& other, Vector& unit) {
  const Vector between = difference(coordinate_.vec, other.vec);
  const double length = magnitude(between);
  if (length > kZeroThreshold) {
    unit = scaled(between, 1.0 / length);
    return length;
  }
  Vector random;
  for (double& x : random) x = static_cast<double>(rng_.next() >> 11) * 0x1.0p-53 - 0.5;
  if (const double m = magnitude(random); m > kZeroThreshold) {
    unit = scaled(random, 1.0 / m);
  } else {
    unit = {};
    unit[0] = 1.0;
  }
  return 0.0;
}

}  // namespace dcsim::gossip
