#pragma once
#include <optional>
#include <string_view>

namespace dcsim::scenario {

/// What a unit measures. Units are those of the series (trace/series.h), of literals and of metrics: times, sizes in
/// bytes or bits ("KiB", "Mbit", "Mbps"), and things that are counted ("events"), each also per time ("B/s",
/// "flaps/h").
enum class Dimension { kCount, kTime, kSize };

struct UnitSpec {
  Dimension dimension = Dimension::kCount;
  double factor = 1;  ///< in s or B
  double per = 0;     ///< seconds of "/min" and the like; 0 = no rate

  bool rate() const { return per > 0; }
  /// A plain count converts into nothing but counts.
  bool has_scale() const { return dimension != Dimension::kCount; }
};

/// Never fails: what is no time and no size is something counted.
UnitSpec unit_spec(std::string_view unit);
/// True for a unit that a literal may carry: a time, a size, either or a bare number per time.
bool literal_unit_known(std::string_view unit);
/// `value` in unit `from` expressed in `to`; nullopt if the two do not convert. Counts of different things do: 3 events
/// are 3 flaps.
std::optional<double> convert(double value, std::string_view from, std::string_view to);

}  // namespace dcsim::scenario
