#include "scenario/expr_units.h"

#include <string>

#include "trace/series.h"

namespace dcsim::scenario {

namespace {

struct Size {
  std::string_view name;
  double bytes;
};
constexpr Size kBits[] = {{"bit", 0.125},  {"kbit", 125},   {"Kbit", 125},
                          {"Mbit", 125e3}, {"Gbit", 125e6}, {"Tbit", 125e9}};

/// "Mbps" and "MBps" as Mbit/s and MB/s; everything else as it is.
std::string spelt_out(std::string_view unit) {
  std::string out(unit);
  if (unit.size() >= 3 && unit.ends_with("bps")) return out.replace(out.size() - 2, 2, "it/s");
  if (unit.size() >= 3 && unit.ends_with("Bps")) return out.replace(out.size() - 2, 2, "/s");
  return out;
}

}  // namespace

UnitSpec unit_spec(std::string_view unit) {
  const std::string text = spelt_out(unit);
  std::string_view quantity = text;
  UnitSpec out;
  if (const auto slash = quantity.rfind('/'); slash != std::string_view::npos) {
    out.per = trace::seconds_per(quantity.substr(slash + 1));
    if (out.per > 0) quantity = quantity.substr(0, slash);
  }
  if (const double seconds = trace::seconds_per(quantity); seconds > 0) {
    out.dimension = Dimension::kTime;
    out.factor = seconds;
  } else if (const auto bytes = trace::convert_unit(1, quantity, "B")) {
    out.dimension = Dimension::kSize;
    out.factor = *bytes;
  }
  for (const Size& size : kBits) {
    if (size.name != quantity) continue;
    out.dimension = Dimension::kSize;
    out.factor = size.bytes;
  }
  return out;
}

bool literal_unit_known(std::string_view unit) {
  const UnitSpec spec = unit_spec(unit);
  return spec.has_scale() || (spec.rate() && unit.front() == '/');
}

std::optional<double> convert(double value, std::string_view from, std::string_view to) {
  if (from == to) return value;
  if (const auto exact = trace::convert_unit(value, from, to)) return exact;
  const UnitSpec a = unit_spec(from);
  const UnitSpec b = unit_spec(to);
  if (a.dimension != b.dimension || a.rate() != b.rate()) return std::nullopt;
  value = a.factor >= b.factor ? value * (a.factor / b.factor) : value / (b.factor / a.factor);
  if (a.rate()) value = b.per >= a.per ? value * (b.per / a.per) : value / (a.per / b.per);
  return value;
}

}  // namespace dcsim::scenario
