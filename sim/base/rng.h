#pragma once
#include <cstdint>
#include <string_view>

#include "base/time.h"
#include "base/wide.h"

namespace dcsim {

/// One named stream of random numbers: draw number c is a pure function of (seed, entity, purpose, c). Drawing here
/// never moves another stream, and a draw can be skipped without being made. Plain value, 24 bytes. Every helper below
/// consumes exactly one draw.
class Rng {
 public:
  Rng() = default;
  /// `entity` is a stable name ("dc1/c3"), never an address or a dense id; `purpose` says what is drawn ("probe").
  Rng(std::uint64_t seed, std::string_view entity, std::string_view purpose);

  std::uint64_t next() { return at(counter_++); }
  /// The draw with number `counter`, without moving.
  std::uint64_t at(std::uint64_t counter) const {
    const std::uint64_t x = key0_ + counter * 0xD1B54A32D192ED03ull;
    const std::uint64_t y = fold(x, x ^ key1_);
    return fold(y ^ key0_, y + 0x9E3779B97F4A7C15ull);
  }
  void skip(std::uint64_t draws) { counter_ += draws; }
  std::uint64_t position() const { return counter_; }
  void seek(std::uint64_t position) { counter_ = position; }

  /// Uniform in [0, n); 0 if n is 0. Multiply-high: the bias is below n / 2^64.
  std::uint64_t below(std::uint64_t n) { return static_cast<std::uint64_t>((static_cast<Uint128>(next()) * n) >> 64); }
  /// Uniform in [0, d); zero for d <= 0.
  Duration below(Duration d) {
    return {d.ns <= 0 ? (skip(1), 0) : static_cast<std::int64_t>(below(static_cast<std::uint64_t>(d.ns)))};
  }
  /// True with probability `billionths` / 10^9.
  bool chance(std::uint32_t billionths) { return below(1'000'000'000) < billionths; }

 private:
  static std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
    const Uint128 p = static_cast<Uint128>(a | 1) * (b | 1);
    return static_cast<std::uint64_t>(p) ^ static_cast<std::uint64_t>(p >> 64) ^ a;
  }

  std::uint64_t key0_ = 0;
  std::uint64_t key1_ = 0;
  std::uint64_t counter_ = 0;
};

}  // namespace dcsim
