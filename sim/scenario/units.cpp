#include "scenario/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace dcsim::scenario {

namespace {

__extension__ using Wide = unsigned __int128;
constexpr Wide kTooMuch = Wide{1} << 100;

bool digit(char c) { return c >= '0' && c <= '9'; }

/// A decimal number at the front of `text`: value = digits / 10^scale, cut after 20 decimals. Empty if there is none.
struct Decimal {
  Wide digits = 0;
  int scale = 0;
  std::size_t length = 0;
  bool too_large = false;
};

std::optional<Decimal> take_decimal(std::string_view text) {
  Decimal d;
  std::size_t i = 0;
  while (i < text.size() && digit(text[i])) {
    if (d.digits < kTooMuch) d.digits = d.digits * 10 + static_cast<unsigned>(text[i] - '0');
    ++i;
  }
  if (i == 0) return std::nullopt;
  d.too_large = d.digits >= kTooMuch;
  if (i < text.size() && text[i] == '.') {
    std::size_t k = i + 1;
    while (k < text.size() && digit(text[k])) {
      if (d.scale < 20 && d.digits < kTooMuch) {
        d.digits = d.digits * 10 + static_cast<unsigned>(text[k] - '0');
        ++d.scale;
      }
      ++k;
    }
    if (k == i + 1) return std::nullopt;
    i = k;
  }
  d.length = i;
  return d;
}

/// digits x unit / 10^scale, cut; nullopt if it exceeds `limit`.
std::optional<std::uint64_t> scaled(const Decimal& d, std::uint64_t unit, std::uint64_t limit) {
  if (d.too_large || d.digits >= kTooMuch) return std::nullopt;
  Wide digits = d.digits;
  int scale = d.scale;
  if (unit != 0 && digits > std::numeric_limits<Wide>::max() / unit) {  // very long fraction: drop its tail
    while (scale > 0 && digits > std::numeric_limits<Wide>::max() / unit) digits /= 10, --scale;
    if (digits > std::numeric_limits<Wide>::max() / unit) return std::nullopt;
  }
  Wide value = digits * unit;
  for (int i = 0; i < scale; ++i) value /= 10;
  if (value > limit) return std::nullopt;
  return static_cast<std::uint64_t>(value);
}

using Unit = std::pair<std::string_view, std::uint64_t>;

constexpr std::array<Unit, 9> kTimeUnits = {{{"ns", 1},
                                             {"us", 1'000},
                                             {"\xC2\xB5s", 1'000},
                                             {"\xCE\xBCs", 1'000},
                                             {"ms", 1'000'000},
                                             {"s", 1'000'000'000},
                                             {"m", 60'000'000'000},
                                             {"h", 3'600'000'000'000},
                                             {"d", 86'400'000'000'000}}};
constexpr std::array<Unit, 7> kSizeUnits = {{{"B", 1},
                                             {"kB", 1'000},
                                             {"KiB", 1u << 10},
                                             {"MB", 1'000'000},
                                             {"MiB", 1u << 20},
                                             {"GB", 1'000'000'000},
                                             {"GiB", 1u << 30}}};
constexpr std::array<Unit, 5> kBitUnits = {
    {{"bit", 1}, {"kbit", 1'000}, {"Mbit", 1'000'000}, {"Gbit", 1'000'000'000}, {"Tbit", 1'000'000'000'000}}};

template <std::size_t N>
std::optional<std::uint64_t> unit_of(const std::array<Unit, N>& units, std::string_view name) {
  for (const auto& [unit, factor] : units) {
    if (unit == name) return factor;
  }
  return std::nullopt;
}

bool bare_number(std::string_view text) {
  if (!text.empty() && text[0] == '-') text.remove_prefix(1);
  const auto d = take_decimal(text);
  return d && d->length == text.size();
}

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

/// The usual long names of time units.
std::string_view time_unit_meant(std::string_view unit) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 19> kMeant = {{{"sec", "s"},
                                                                                            {"secs", "s"},
                                                                                            {"second", "s"},
                                                                                            {"seconds", "s"},
                                                                                            {"min", "m"},
                                                                                            {"mins", "m"},
                                                                                            {"minute", "m"},
                                                                                            {"minutes", "m"},
                                                                                            {"hr", "h"},
                                                                                            {"hour", "h"},
                                                                                            {"hours", "h"},
                                                                                            {"day", "d"},
                                                                                            {"days", "d"},
                                                                                            {"msec", "ms"},
                                                                                            {"millis", "ms"},
                                                                                            {"milliseconds", "ms"},
                                                                                            {"usec", "us"},
                                                                                            {"nsec", "ns"},
                                                                                            {"micros", "us"}}};
  const std::string low = lowered(unit);
  for (const auto& [from, to] : kMeant) {
    if (low == from) return to;
  }
  for (const auto& [name, factor] : kTimeUnits) {
    if (low == name && factor != 0) return name;
  }
  return {};
}

std::size_t unit_length(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size() && !digit(text[i]) && text[i] != '.' && text[i] != '-') ++i;
  return i;
}

Parsed<Duration> duration_of(std::string_view text, bool days) {
  if (text.empty()) return {{}, {"a duration is missing", {}}};
  if (bare_number(text)) return {{}, {fmt::format("`{}` has no unit", text), fmt::format("{}s", text)}};
  if (text[0] == '-') return {{}, {fmt::format("`{}` is negative", text), {}}};
  constexpr auto kMax = static_cast<std::uint64_t>(kLongestDuration.ns);
  std::uint64_t sum = 0;
  std::string corrected;
  bool unknown_unit = false;
  std::string_view bad;
  for (std::string_view rest = text; !rest.empty();) {
    const auto number = take_decimal(rest);
    if (!number) return {{}, {fmt::format("`{}` is not a duration", text), {}}};
    const std::string_view digits = rest.substr(0, number->length);
    rest.remove_prefix(number->length);
    const std::string_view unit = rest.substr(0, unit_length(rest));
    rest.remove_prefix(unit.size());
    const auto factor = unit_of(kTimeUnits, unit);
    if (!factor || (!days && unit == "d")) {
      unknown_unit = true;
      std::string_view trimmed = unit;
      while (!trimmed.empty() && trimmed.front() == ' ') trimmed.remove_prefix(1);
      while (!trimmed.empty() && trimmed.back() == ' ') trimmed.remove_suffix(1);
      if (bad.empty()) bad = trimmed;
      const std::string_view meant = time_unit_meant(trimmed);
      if (meant.empty() || (!days && meant == "d"))
        return {{},
                {fmt::format("`{}` has {}", text,
                             unit.empty() ? "a number without a unit" : fmt::format("the unknown unit `{}`", trimmed)),
                 {}}};
      corrected += fmt::format("{}{}", digits, meant);
      continue;
    }
    corrected += fmt::format("{}{}", digits, unit);
    const auto part = scaled(*number, *factor, kMax);
    if (!part || *part > kMax - sum)
      return {{}, {fmt::format("`{}` is longer than the 146 years (1281023h) that can be simulated", text), {}}};
    sum += *part;
  }
  if (unknown_unit) return {{}, {fmt::format("`{}` has the unknown unit `{}`", text, bad), corrected}};
  return {Duration{static_cast<std::int64_t>(sum)}, {}};
}

template <std::size_t N>
Parsed<std::uint64_t> quantity_of(std::string_view text, const std::array<Unit, N>& units, std::string_view what,
                                  std::string_view usual) {
  if (text.empty()) return {{}, {fmt::format("a {} is missing", what), {}}};
  if (bare_number(text))
    return {{},
            {fmt::format("`{}` has no unit", text), text[0] == '-' ? std::string() : fmt::format("{}{}", text, usual)}};
  const auto number = take_decimal(text);
  if (!number) return {{}, {fmt::format("`{}` is not a {}", text, what), {}}};
  std::string_view unit = text.substr(number->length);
  if (!unit.empty() && unit[0] == ' ') unit.remove_prefix(1);
  const auto factor = unit_of(units, unit);
  if (!factor) return {{}, {fmt::format("`{}` has the unknown unit `{}`", text, unit), {}}};
  const auto value = scaled(*number, *factor, std::numeric_limits<std::int64_t>::max());
  if (!value) return {{}, {fmt::format("`{}` is too large", text), {}}};
  return {*value, {}};
}

/// What someone who wrote an unknown unit probably meant: the first letter decides.
std::string meant(std::string_view text, bool bits) {
  const auto number = take_decimal(text);
  if (!number) return {};
  std::string unit = lowered(text.substr(number->length));
  unit.erase(std::remove(unit.begin(), unit.end(), ' '), unit.end());
  const std::string_view digits = text.substr(0, number->length);
  if (unit.empty()) return {};
  const char prefix = unit[0];
  const bool prefixed = prefix == 'k' || prefix == 'm' || prefix == 'g' || prefix == 't';
  const std::string rest = prefixed ? unit.substr(1) : unit;
  if (bits) {
    if (rest != "" && rest != "b" && rest != "bit" && rest != "bits" && rest != "bps" && rest != "bit/s" &&
        rest != "b/s" && rest != "bits/s")
      return {};
    if (!prefixed) return fmt::format("{}bit", digits);
    return fmt::format("{}{}bit", digits, prefix == 'k' ? 'k' : static_cast<char>(prefix - 32));
  }
  if (prefix == 't' || (rest != "" && rest != "b" && rest != "ib" && rest != "i" && rest != "byte" && rest != "bytes"))
    return {};
  if (!prefixed) return fmt::format("{}B", digits);
  return fmt::format("{}{}iB", digits, prefix == 'k' ? 'K' : static_cast<char>(prefix - 32));
}

/// A percentage in billionths. `limit` in billionths.
Parsed<std::uint64_t> billionths_of(std::string_view text, std::uint64_t limit) {
  if (text.empty()) return {{}, {"a percentage is missing", {}}};
  const auto number = take_decimal(text);
  if (!number) return {{}, {fmt::format("`{}` is not a percentage", text), {}}};
  std::string_view rest = text.substr(number->length);
  if (rest != "%") {
    if (rest.empty()) {
      // 0.05 was meant as a fraction, 5 as a percentage.
      const auto parts = scaled(*number, 10'000'000'000u, std::numeric_limits<std::int64_t>::max());
      if (parts && text.find('.') != std::string_view::npos && *parts <= 10'000'000'000u) {
        std::string decimals = fmt::format("{:010}", *parts % 100'000'000u * 100);
        std::string suggestion = fmt::format("{}", *parts / 100'000'000u);
        decimals.erase(decimals.find_last_not_of('0') + 1);
        if (!decimals.empty()) suggestion += "." + decimals;
        return {{}, {fmt::format("`{}` is a bare number; a probability takes a percent sign", text), suggestion + "%"}};
      }
      return {
          {},
          {fmt::format("`{}` is a bare number; a probability takes a percent sign", text), fmt::format("{}%", text)}};
    }
    return {{},
            {fmt::format("`{}` is not a percentage", text),
             rest == " %" ? fmt::format("{}%", text.substr(0, number->length)) : std::string()}};
  }
  const auto value = scaled(*number, 10'000'000u, limit);
  if (!value) return {{}, {fmt::format("`{}` is more than {}%", text, limit / 10'000'000u), {}}};
  if (*value == 0 && number->digits != 0) return {{}, {fmt::format("`{}` is finer than a billionth", text), {}}};
  return {*value, {}};
}

std::string leading_zero_stripped(std::string_view text) {
  const std::size_t first = text.find_first_not_of('0');
  return first == std::string_view::npos ? "0" : std::string(text.substr(first));
}

}  // namespace

Parsed<Duration> parse_duration(std::string_view text) { return duration_of(text, true); }

Parsed<Duration> parse_signed_duration(std::string_view text) {
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+') && !bare_number(text)) text.remove_prefix(1);
  Parsed<Duration> out = duration_of(text, true);
  if (out && negative) out.value = -*out.value;
  return out;
}

Parsed<Duration> parse_config_duration(std::string_view text) {
  if (text == "0") return {Duration{}, {}};
  Parsed<Duration> out = duration_of(text, false);
  const auto with_days = out ? out : duration_of(text, true);
  constexpr std::int64_t kHour = 3'600'000'000'000;
  if (!out && with_days && with_days.value->ns % kHour == 0)
    out.error.suggestion = fmt::format("{}h", with_days.value->ns / kHour);
  return out;
}

Parsed<std::uint64_t> parse_size(std::string_view text) {
  auto out = quantity_of(text, kSizeUnits, "size", "B");
  if (!out && out.error.suggestion.empty()) out.error.suggestion = meant(text, false);
  return out;
}

Parsed<std::uint64_t> parse_bandwidth(std::string_view text) {
  auto out = quantity_of(text, kBitUnits, "bandwidth", "bit");
  if (!out && (out.error.suggestion.empty() || bare_number(text)))
    out.error.suggestion = bare_number(text) ? fmt::format("{}Mbit", text) : meant(text, true);
  if (out && *out.value == 0) return {{}, {"a bandwidth of 0 passes nothing", {}}};
  return out;
}

Parsed<std::uint32_t> parse_percent(std::string_view text) {
  const auto out = billionths_of(text, 1'000'000'000u);
  if (!out) return {{}, out.error};
  return {static_cast<std::uint32_t>(*out.value), {}};
}

Parsed<std::int64_t> parse_signed_percent(std::string_view text) {
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  const auto out = billionths_of(text, 1'000'000'000'000u);
  if (!out) return {{}, out.error};
  const auto value = static_cast<std::int64_t>(*out.value);
  return {negative ? -value : value, {}};
}

Parsed<RateLimit> parse_rate(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    const auto count = parse_unsigned(text.substr(0, slash));
    const std::string_view unit = text.substr(slash + 1);
    const Duration per = unit == "s" ? 1_s : unit == "m" ? 1_min : unit == "h" ? 1_h : Duration{};
    if (count && *count.value > 0 && *count.value <= 0xffffffffu && per.ns > 0)
      return {RateLimit{static_cast<std::uint32_t>(*count.value), per}, {}};
    static constexpr std::array<std::pair<std::string_view, char>, 4> kLong = {
        {{"sec", 's'}, {"second", 's'}, {"minute", 'm'}, {"hour", 'h'}}};
    for (const auto& [name, letter] : kLong) {
      if (count && unit == name)
        return {{}, {fmt::format("`{}` is not a rate", text), fmt::format("{}/{}", text.substr(0, slash), letter)}};
    }
  }
  return {{},
          {fmt::format("`{}` is not a rate", text), parse_unsigned(text) ? fmt::format("{}/s", text) : std::string()}};
}

Parsed<PortRange> parse_ports(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view numbers = text.substr(0, slash);
  PortRange range;
  const std::size_t dash = numbers.find('-');
  const auto first = parse_unsigned(numbers.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_unsigned(numbers.substr(dash + 1));
  if (!first || !last) return {{}, {fmt::format("`{}` is not a port", text), {}}};
  if (slash == std::string_view::npos)
    return {{}, {fmt::format("`{}` does not say tcp or udp", text), fmt::format("{}/tcp", text)}};
  if (text.substr(slash + 1) == "icmp") return {{}, {fmt::format("`{}`: ICMP has no ports", text), {}}};
  if (*first.value > 65535 || *last.value > 65535) return {{}, {fmt::format("`{}` is beyond port 65535", text), {}}};
  if (*first.value > *last.value)
    return {{},
            {fmt::format("`{}` runs backwards", text),
             fmt::format("{}-{}{}", *last.value, *first.value, text.substr(slash))}};
  range.first = static_cast<std::uint16_t>(*first.value);
  range.last = static_cast<std::uint16_t>(*last.value);
  const std::string_view protocol = text.substr(slash + 1);
  for (const Protocol p : {Protocol::kAny, Protocol::kTcp, Protocol::kUdp, Protocol::kIcmp}) {
    if (protocol == name_of(p)) {
      range.protocol = p;
      return {range, {}};
    }
  }
  const std::string low = lowered(protocol);
  const bool known = low == "tcp" || low == "udp" || low == "icmp" || low == "any";
  return {{},
          {fmt::format("`{}` names the unknown protocol `{}`", text, protocol),
           known ? fmt::format("{}/{}", numbers, low) : std::string()}};
}

Parsed<std::uint64_t> parse_unsigned(std::string_view text) {
  if (text.empty() || !std::all_of(text.begin(), text.end(), digit)) {
    return {{}, {fmt::format("`{}` is not a whole number", text), {}}};
  }
  if (text.size() > 1 && text[0] == '0')
    return {{}, {fmt::format("`{}` has a leading zero; numbers are decimal", text), leading_zero_stripped(text)}};
  std::uint64_t value = 0;
  for (const char c : text) {
    const auto d = static_cast<unsigned>(c - '0');
    if (value > (std::numeric_limits<std::uint64_t>::max() - d) / 10)
      return {{}, {fmt::format("`{}` is too large", text), {}}};
    value = value * 10 + d;
  }
  return {value, {}};
}

Parsed<std::int64_t> parse_integer(std::string_view text) {
  const bool negative = !text.empty() && text[0] == '-';
  const auto magnitude = parse_unsigned(negative ? text.substr(1) : text);
  if (!magnitude) {
    UnitError error = magnitude.error;
    if (negative && !error.suggestion.empty()) error.suggestion.insert(0, "-");
    if (negative) error.message = fmt::format("`{}` is not a whole number", text);
    return {{}, error};
  }
  if (*magnitude.value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return {{}, {fmt::format("`{}` is too large", text), {}}};
  const auto value = static_cast<std::int64_t>(*magnitude.value);
  return {negative ? -value : value, {}};
}

Parsed<std::uint32_t> parse_factor(std::string_view text) {
  const auto number = take_decimal(text);
  if (!number || number->length != text.size())
    return {{}, {fmt::format("`{}` is not a factor such as 2.5", text), {}}};
  const auto value = scaled(*number, 1000, 1'000'000'000);
  if (!value || *value == 0) return {{}, {fmt::format("`{}` is out of range", text), {}}};
  return {static_cast<std::uint32_t>(*value), {}};
}

bool looks_numeric(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  if (text.empty()) return false;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'o' || text[1] == 'b')) {
    return std::all_of(text.begin() + 2, text.end(),
                       [](char c) { return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); });
  }
  bool digits = false;
  bool dot = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (digit(text[i]))
      digits = true;
    else if (text[i] == '.' && !dot)
      dot = true;
    else if ((text[i] == 'e' || text[i] == 'E') && digits && i + 1 < text.size()) {
      std::string_view exponent = text.substr(i + 1);
      if (exponent[0] == '-' || exponent[0] == '+') exponent.remove_prefix(1);
      return !exponent.empty() && std::all_of(exponent.begin(), exponent.end(), digit);
    } else {
      return false;
    }
  }
  return digits;
}

std::string_view name_of(Protocol protocol) {
  switch (protocol) {
    case Protocol::kAny:
      return "any";
    case Protocol::kTcp:
      return "tcp";
    case Protocol::kUdp:
      return "udp";
    case Protocol::kIcmp:
      return "icmp";
  }
  return "any";
}

}  // namespace dcsim::scenario
