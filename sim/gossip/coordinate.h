#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "wire/serf_messages.h"

namespace dcsim::gossip {

using Coordinate = wire::serf::Coordinate;

/// serf/coordinate/config.go: DefaultConfig. The filter size (3) and dimensions (8) are fixed at compile time.
struct CoordinateConfig {
  double error_max = 1.5;
  double ce = 0.25;
  double cc = 0.25;
  double height_min = 1e-5;
  double gravity_rho = 150.0;
};

enum class CoordinateUpdate : std::uint8_t {
  kUpdated,
  kReset,            ///< the update left something not finite: back to the start, counted
  kWrongDimensions,  ///< the peer's vector has not eight components
  kNotFinite,        ///< the peer's coordinate holds NaN or infinity
  kRttOutOfRange,    ///< negative or above 10 s
};

/// Estimated round-trip time between two coordinates, rounded down to ns (coordinate.go: DistanceTo).
Duration distance(const Coordinate& a, const Coordinate& b);
bool is_finite(const Coordinate& c);

/// A node's own Vivaldi coordinate with height, adjustment and gravity (serf/coordinate/client.go; Dabek et al. 2004,
/// Ledlie et al. 2007), bit for bit as the Go code computes it: IEEE doubles, + - * / and sqrt only, in its order.
/// About 460 bytes, and 16 bytes for each peer measured (in chunks of eight peer ids).
class CoordinateClient {
 public:
  static constexpr std::size_t kAdjustmentWindow = 20;

  /// `rng` gives the direction in which two coincident coordinates part: eight draws each time.
  explicit CoordinateClient(Rng rng, const CoordinateConfig& config = {});

  const Coordinate& coordinate() const { return coordinate_; }
  void set_coordinate(const Coordinate& c) { coordinate_ = c; }
  std::uint64_t resets() const { return resets_; }

  /// An ack arrived from `peer` (any dense id of the caller's) with its coordinate after `rtt`.
  /// Hot: about 90 ns; allocates once per eight peers first measured.
  CoordinateUpdate update(std::uint32_t peer, const Coordinate& other, Duration rtt);
  /// A measurement of `peer` will come soon: starts to bring its samples into the cache, in two steps, since the second
  /// must know what the first brings. Hot: does not wait.
  void expect(std::uint32_t peer) const {
    if (peer / kChunk < samples_.size()) __builtin_prefetch(&samples_[peer / kChunk]);
  }
  void expect_now(std::uint32_t peer) const {
    if (peer / kChunk < samples_.size() && samples_[peer / kChunk])
      __builtin_prefetch(&(*samples_[peer / kChunk])[peer % kChunk], 1);
  }
  /// The peer was reaped: its latency samples go.
  void forget(std::uint32_t peer);
  Duration distance_to(const Coordinate& other) const { return distance(coordinate_, other); }
  /// Heap bytes of the latency samples.
  std::size_t heap_bytes() const;

 private:
  /// Up to three round-trip times of at most 10 s: 34 bits each, newest last.
  struct Samples {
    std::array<std::uint32_t, 3> low{};
    std::array<std::uint8_t, 3> high{};
    std::uint8_t count = 0;
  };
  static constexpr std::size_t kChunk = 8;
  using Chunk = std::array<Samples, kChunk>;

  std::int64_t filter(std::uint32_t peer, std::int64_t rtt_ns);
  void apply_vivaldi(const Coordinate& other, double rtt);
  void apply_adjustment(const Coordinate& other, double rtt);
  void apply_gravity();
  void apply_force(double force, const Coordinate& other);
  double unit_vector(const Coordinate& other, std::array<double, Coordinate::kDimensions>& unit);
  Coordinate start() const;

  CoordinateConfig config_;
  Coordinate coordinate_;
  Coordinate origin_;
  std::array<double, kAdjustmentWindow> window_{};
  std::size_t window_at_ = 0;
  std::uint64_t resets_ = 0;
  Rng rng_;
  std::vector<std::unique_ptr<Chunk>> samples_;
};

}  // namespace dcsim::gossip
