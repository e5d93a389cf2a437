#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "scenario/topology.h"

namespace dcsim::scenario {

/// What is wrong with a text that should have been a quantity.
struct UnitError {
  std::string message;     ///< "`5` has no unit"
  std::string suggestion;  ///< a text that would do, if one is likely meant: "5s"
};

/// A value, or why not.
template <class T>
struct Parsed {
  std::optional<T> value;
  UnitError error;

  explicit operator bool() const { return value.has_value(); }
};

/// `500ms`, `1m30s`, `1.5h`, `5d`: numbers with units ns us µs ms s m h d, added up. Fractions are cut at the
/// nanosecond. Never a bare number; at most kLongestDuration.
Parsed<Duration> parse_duration(std::string_view text);
/// The same, with an optional leading sign.
Parsed<Duration> parse_signed_duration(std::string_view text);
/// A duration as Go's time.ParseDuration takes it, which is how Consul's and Serf's keys spell them: no `d`; `0` is
/// fine.
Parsed<Duration> parse_config_duration(std::string_view text);
/// `256B`, `64KiB`, `1.5 MB`: bytes. kB, MB, GB are powers of 1000.
Parsed<std::uint64_t> parse_size(std::string_view text);
/// `10Gbit`, `100Mbit`, `56kbit`, `300bit`: bits per second, above 0.
Parsed<std::uint64_t> parse_bandwidth(std::string_view text);
/// `0.05%` as billionths, 0 to 100 %.
Parsed<std::uint32_t> parse_percent(std::string_view text);
/// The same with a sign and without the upper bound of 100 %.
Parsed<std::int64_t> parse_signed_percent(std::string_view text);
/// `10/s`, `5/m`, `1/h`.
Parsed<RateLimit> parse_rate(std::string_view text);
/// `8301/udp`, `8300-8302/tcp`, `53/any`.
Parsed<PortRange> parse_ports(std::string_view text);
/// A decimal whole number: no sign besides `-`, no leading zero, no hex, octal, underscore or exponent.
Parsed<std::int64_t> parse_integer(std::string_view text);
Parsed<std::uint64_t> parse_unsigned(std::string_view text);
/// `4`, `2.5`: thousandths, above 0, at most 10^6.
Parsed<std::uint32_t> parse_factor(std::string_view text);

/// Half of what an Instant can count (146 years): instants and durations may be added without a second thought.
inline constexpr Duration kLongestDuration{std::int64_t{1} << 62};

/// True for what looks like a number of any notation (`1`, `0x1f`, `1e3`, `.5`, `010`).
bool looks_numeric(std::string_view text);

std::string_view name_of(Protocol protocol);

}  // namespace dcsim::scenario
