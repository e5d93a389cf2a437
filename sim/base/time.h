#pragma once
#include <compare>
#include <cstdint>
#include <limits>

namespace dcsim {

/// A span of simulated (or real) time in integer nanoseconds. May be negative. Plain value.
struct Duration {
  std::int64_t ns = 0;

  constexpr auto operator<=>(const Duration&) const = default;
  static constexpr Duration max() { return {std::numeric_limits<std::int64_t>::max()}; }
  constexpr std::int64_t millis() const { return ns / 1'000'000; }
  constexpr double seconds() const { return static_cast<double>(ns) / 1e9; }
};

constexpr Duration operator+(Duration a, Duration b) { return {a.ns + b.ns}; }
constexpr Duration operator-(Duration a, Duration b) { return {a.ns - b.ns}; }
constexpr Duration operator*(Duration a, std::int64_t k) { return {a.ns * k}; }
constexpr Duration operator*(std::int64_t k, Duration a) { return {a.ns * k}; }
constexpr Duration operator/(Duration a, std::int64_t k) { return {a.ns / k}; }
constexpr std::int64_t operator/(Duration a, Duration b) { return a.ns / b.ns; }
constexpr Duration operator-(Duration a) { return {-a.ns}; }
constexpr Duration& operator+=(Duration& a, Duration b) {
  a.ns += b.ns;
  return a;
}
constexpr Duration& operator-=(Duration& a, Duration b) {
  a.ns -= b.ns;
  return a;
}

/// A point on a clock, in nanoseconds since the start of the run. `never()` sorts after every real instant.
struct Instant {
  std::int64_t ns = 0;

  constexpr auto operator<=>(const Instant&) const = default;
  static constexpr Instant never() { return {std::numeric_limits<std::int64_t>::max()}; }
};

/// Saturates at never(): a duration that a file gives may be as long as it likes, and "for ever" stays for ever.
constexpr Instant operator+(Instant t, Duration d) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(t.ns, d.ns, &sum)) [[unlikely]]
    return d.ns > 0 ? Instant::never() : Instant{std::numeric_limits<std::int64_t>::min()};
  return {sum};
}
constexpr Instant operator-(Instant t, Duration d) { return {t.ns - d.ns}; }
constexpr Duration operator-(Instant a, Instant b) { return {a.ns - b.ns}; }
constexpr Instant& operator+=(Instant& t, Duration d) {
  t = t + d;
  return t;
}

inline namespace literals {
constexpr Duration operator""_ns(unsigned long long v) { return {static_cast<std::int64_t>(v)}; }
constexpr Duration operator""_us(unsigned long long v) { return {static_cast<std::int64_t>(v) * 1'000}; }
constexpr Duration operator""_ms(unsigned long long v) { return {static_cast<std::int64_t>(v) * 1'000'000}; }
constexpr Duration operator""_s(unsigned long long v) { return {static_cast<std::int64_t>(v) * 1'000'000'000}; }
constexpr Duration operator""_min(unsigned long long v) { return {static_cast<std::int64_t>(v) * 60'000'000'000}; }
constexpr Duration operator""_h(unsigned long long v) { return {static_cast<std::int64_t>(v) * 3'600'000'000'000}; }
}  // namespace literals

}  // namespace dcsim
