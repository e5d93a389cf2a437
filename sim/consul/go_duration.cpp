#include <charconv>

#include "base/wide.h"
#include "consul/agent_config.h"

namespace dcsim::consul {

namespace {

struct Unit {
  std::string_view name;
  std::int64_t ns;
};
constexpr Unit kUnits[] = {{"ns", 1}, {"us", 1'000}, {"\u00b5s", 1'000}, {"\u03bcs", 1'000}, {"ms", 1'000'000}, {"s", 1'000'000'000},
                           {"m", 60'000'000'000}, {"h", 3'600'000'000'000}};
constexpr std::int64_t kLimit = std::int64_t{1} << 62;  // 146 years: half of Go's range, so that an Instant may be added

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string trimmed_fraction(std::uint64_t whole, std::uint64_t rest, int digits) {
  std::string out = std::to_string(whole);
  if (rest == 0) return out;
  std::string fraction = std::to_string(rest);
  fraction.insert(0, static_cast<std::size_t>(digits) - fraction.size(), '0');
  while (fraction.back() == '0') fraction.pop_back();
  return out + "." + fraction;
}

}  // namespace

std::optional<Duration> parse_go_duration(std::string_view text) {
  if (text.empty() || text.size() > 64) return std::nullopt;
  bool negative = false;
  if (text.front() == '-' || text.front() == '+') {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  if (text == "0") return Duration{0};
  if (text.empty()) return std::nullopt;
  Int128 total = 0;
  while (!text.empty()) {
    std::uint64_t whole = 0;
    bool digits = is_digit(text.front());
    if (digits) {
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
      if (error != std::errc{} || whole > static_cast<std::uint64_t>(kLimit)) return std::nullopt;
      text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    }
    std::int64_t fraction = 0, scale = 1;
    if (!text.empty() && text.front() == '.') {
      text.remove_prefix(1);
      while (!text.empty() && is_digit(text.front())) {
        digits = true;
        if (scale < 1'000'000'000'000) {
          fraction = fraction * 10 + (text.front() - '0');
          scale *= 10;
        }
        text.remove_prefix(1);
      }
    }
    if (!digits) return std::nullopt;
    const Unit* unit = nullptr;
    for (const Unit& u : kUnits) {  // the longest name that fits: "ms" before "m"
      if (text.starts_with(u.name) && (!unit || u.name.size() > unit->name.size())) unit = &u;
    }
    if (!unit) return std::nullopt;
    text.remove_prefix(unit->name.size());
    total += static_cast<Int128>(whole) * unit->ns + static_cast<Int128>(fraction) * unit->ns / scale;
    if (total > kLimit) return std::nullopt;
  }
  return Duration{negative ? -static_cast<std::int64_t>(total) : static_cast<std::int64_t>(total)};
}

std::string go_duration(Duration d) {
  if (d.ns == 0) return "0s";
  const std::string sign = d.ns < 0 ? "-" : "";
  const std::uint64_t ns = d.ns < 0 ? 0 - static_cast<std::uint64_t>(d.ns) : static_cast<std::uint64_t>(d.ns);
  if (ns < 1'000) return sign + std::to_string(ns) + "ns";
  if (ns < 1'000'000) return sign + trimmed_fraction(ns / 1'000, ns % 1'000, 3) + "\u00b5s";
  if (ns < 1'000'000'000) return sign + trimmed_fraction(ns / 1'000'000, ns % 1'000'000, 6) + "ms";
  const std::uint64_t minutes = ns / 60'000'000'000;
  std::string out = sign;
  if (minutes >= 60) out += std::to_string(minutes / 60) + "h";
  if (minutes > 0) out += std::to_string(minutes % 60) + "m";
  const std::uint64_t rest = ns % 60'000'000'000;
  return out + trimmed_fraction(rest / 1'000'000'000, rest % 1'000'000'000, 9) + "s";
}

}  // namespace dcsim::consul
