#include "trace/render.h"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <cmath>

#include "trace/output.h"
#include "trace/recording.h"

namespace dcsim::trace {
namespace {

constexpr std::uint64_t kHostMask = 0xffffffffu;

std::string flags_text(std::uint64_t bits) {
  constexpr std::string_view kFlags[] = {"FIN", "SYN", "RST", "PSH", "ACK"};
  std::string text;
  for (std::size_t i = 0; i < std::size(kFlags); ++i) {
    if (!(bits >> i & 1)) continue;
    if (!text.empty()) text.push_back('|');
    text += kFlags[i];
  }
  return text;
}

std::string_view enum_text(const FieldSpec& field, std::uint64_t v) {
  return v < field.values.size() ? field.values[static_cast<std::size_t>(v)] : std::string_view("?");
}

bool absent(const FieldSpec& field, std::uint64_t v, const Recording& names) {
  switch (field.type) {
    case FieldType::kName:
      return names.text(static_cast<std::uint32_t>(v)).empty();
    case FieldType::kEndpoint:
      return names.text(static_cast<std::uint32_t>(v & kHostMask)).empty() && (v >> 32 & 0xffff) == 0;
    default:
      return field.omit_zero && v == 0;
  }
}

/// A field's value as `trace cat` shows it.
std::string value_text(const FieldSpec& field, std::uint64_t v, const Recording& names) {
  switch (field.type) {
    case FieldType::kNone:
      return "";
    case FieldType::kInt:
      return fmt::format("{}", v);
    case FieldType::kName:
      return std::string(names.text(static_cast<std::uint32_t>(v)));
    case FieldType::kDuration:
      return duration_text(static_cast<std::int64_t>(v));
    case FieldType::kEndpoint:
      return endpoint_text(v, names);
    case FieldType::kEnum:
      return std::string(enum_text(field, v));
    case FieldType::kTcpFlags:
      return flags_text(v);
    case FieldType::kBool:
      return v ? "true" : "false";
  }
  return "";
}

void append_json_value(std::string& out, const FieldSpec& field, std::uint64_t v, const Recording& names) {
  switch (field.type) {
    case FieldType::kInt:
      fmt::format_to(std::back_inserter(out), FMT_COMPILE("{}"), v);
      break;
    case FieldType::kDuration:
      fmt::format_to(std::back_inserter(out), FMT_COMPILE("{}"), static_cast<std::int64_t>(v));
      break;
    case FieldType::kName:
      append_json(out, names.text(static_cast<std::uint32_t>(v)));
      break;
    case FieldType::kBool:
      out += v ? "true" : "false";
      break;
    default:
      append_json(out, value_text(field, v, names));
      break;
  }
}

/// Quotes what would not read as one word.
void append_word(std::string& out, const std::string& text) {
  if (text.find_first_of(" \"\n\t\\") == std::string::npos) {
    out += text;
  } else {
    append_json(out, text);
  }
}

void append_details(std::string& out, const Record& r, const Recording& names) {
  for (const FieldSpec& field : kind_spec(r.ev).fields()) {
    const std::uint64_t v = slot_value(r, field.slot);
    if (absent(field, v, names)) continue;
    out.push_back(' ');
    out += field.name;
    out.push_back('=');
    append_word(out, value_text(field, v, names));
  }
}

}  // namespace

std::string endpoint_text(std::uint64_t packed, const Recording& names) {
  const std::string_view host = names.text(static_cast<std::uint32_t>(packed & kHostMask));
  const auto port = static_cast<std::uint16_t>(packed >> 32);
  if (host.find(':') != std::string_view::npos) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

std::string time_text(std::int64_t ns) {
  const std::uint64_t size = ns < 0 ? 0 - static_cast<std::uint64_t>(ns) : static_cast<std::uint64_t>(ns);
  return fmt::format("{}{}.{:09}", ns < 0 ? "-" : "", size / 1'000'000'000, size % 1'000'000'000);
}

std::string duration_text(std::int64_t ns) {
  std::string text = ns < 0 ? "-" : "";
  const std::uint64_t size = ns < 0 ? 0 - static_cast<std::uint64_t>(ns) : static_cast<std::uint64_t>(ns);
  const auto part = [&](std::uint64_t whole, std::uint64_t unit, int digits, std::string_view name) {
    std::string number = fmt::format("{}", whole / unit);
    if (whole % unit) {
      number += fmt::format(".{:0{}}", whole % unit, digits);
      number.erase(number.find_last_not_of('0') + 1);
    }
    text += number + std::string(name);
  };
  if (size == 0) return "0s";
  if (size < 1'000) {
    part(size, 1, 0, "ns");
  } else if (size < 1'000'000) {
    part(size, 1'000, 3, "us");
  } else if (size < 1'000'000'000) {
    part(size, 1'000'000, 6, "ms");
  } else {
    const std::uint64_t minutes = size / 60'000'000'000;
    if (minutes >= 60) text += fmt::format("{}h", minutes / 60);
    if (minutes >= 1) text += fmt::format("{}m", minutes % 60);
    part(size % 60'000'000'000, 1'000'000'000, 9, "s");
  }
  return text;
}

namespace {

/// One "digits[.digits]" at the front of `text`, which it is removed from. False if there is none or it is absurd.
bool take_number(std::string_view& text, std::uint64_t& whole, std::uint64_t& billionths) {
  const std::size_t length = text.find_first_not_of("0123456789.");
  const std::string_view number = text.substr(0, length);
  const std::size_t dot = number.find('.');
  const std::string_view before = number.substr(0, dot);
  const std::string_view after = dot == std::string_view::npos ? "" : number.substr(dot + 1);
  if (number.empty() || number == "." || before.size() > 10 || after.size() > 9) return false;
  if (after.find('.') != std::string_view::npos) return false;
  whole = billionths = 0;
  for (const char c : before) whole = whole * 10 + static_cast<std::uint64_t>(c - '0');
  for (std::size_t i = 0; i < 9; ++i)
    billionths = billionths * 10 + (i < after.size() ? static_cast<std::uint64_t>(after[i] - '0') : 0);
  text.remove_prefix(number.size());
  return true;
}

}  // namespace

bool parse_duration(std::string_view text, std::int64_t& ns) {
  struct Unit {
    std::string_view name;
    std::uint64_t ns;
  };
  constexpr Unit kUnits[] = {{"ns", 1},
                             {"us", 1'000},
                             {"ms", 1'000'000},
                             {"s", 1'000'000'000},
                             {"m", 60'000'000'000},
                             {"h", 3'600'000'000'000},
                             {"d", 86'400'000'000'000}};
  std::int64_t total = 0;
  if (text.empty()) return false;
  bool first = true;
  while (!text.empty()) {
    std::uint64_t whole = 0;
    std::uint64_t billionths = 0;
    if (!take_number(text, whole, billionths)) return false;
    const std::string_view name = text.substr(0, text.find_first_of("0123456789."));
    text.remove_prefix(name.size());
    std::uint64_t unit = name.empty() && first && text.empty() ? 1'000'000'000 : 0;
    for (const Unit& u : kUnits) {
      if (u.name == name) unit = u.ns;
    }
    if (unit == 0) return false;
    const std::uint64_t part =
        unit >= 1'000 ? billionths * (unit / 1'000) / 1'000'000 : billionths * unit / 1'000'000'000;
    std::int64_t product = 0;
    if (__builtin_mul_overflow(whole, unit, &product) || __builtin_add_overflow(total, product, &total) ||
        __builtin_add_overflow(total, part, &total)) {
      return false;
    }
    first = false;
  }
  ns = total;
  return true;
}

void append_json_line(std::string& out, std::uint64_t number, const Record& r, const Recording& names) {
  fmt::format_to(std::back_inserter(out), FMT_COMPILE("{{\"t\":{},\"n\":{},\"ev\":\"{}\""), r.t, number,
                 kind_spec(r.ev).name);
  if (const std::string_view node = names.text(r.node); !node.empty()) {
    out += ",\"node\":";
    append_json(out, node);
  }
  for (const FieldSpec& field : kind_spec(r.ev).fields()) {
    const std::uint64_t v = slot_value(r, field.slot);
    if (absent(field, v, names)) continue;
    fmt::format_to(std::back_inserter(out), FMT_COMPILE(",\"{}\":"), field.name);
    append_json_value(out, field, v, names);
  }
  if (r.cause != 0) fmt::format_to(std::back_inserter(out), FMT_COMPILE(",\"cause\":{}"), r.cause - 1);
  out += "}\n";
}

void append_text_line(std::string& out, std::uint64_t number, const Record& r, const Recording& names) {
  const std::string_view node = names.text(r.node);
  fmt::format_to(std::back_inserter(out), FMT_COMPILE("{:>16}  {:<18} {:<17}"), time_text(r.t),
                 node.empty() ? "-" : node, kind_spec(r.ev).name);
  append_details(out, r, names);
  fmt::format_to(std::back_inserter(out), FMT_COMPILE("  #{}\n"), number);
}

std::string describe(const Record& r, const Recording& names) {
  std::string out(kind_spec(r.ev).name);
  append_details(out, r, names);
  return out;
}

std::string field_text(const Record& r, std::uint64_t number, std::string_view field, const Recording& names) {
  if (field == "ev") return std::string(kind_spec(r.ev).name);
  if (field == "node") return std::string(names.text(r.node));
  if (field == "n") return fmt::format("{}", number);
  if (field == "t") return fmt::format("{}", r.t);
  if (field == "cause") return r.cause == 0 ? "" : fmt::format("{}", r.cause - 1);
  for (const FieldSpec& f : kind_spec(r.ev).fields()) {
    const std::uint64_t v = slot_value(r, f.slot);
    if (f.name == field) return absent(f, v, names) ? "" : value_text(f, v, names);
  }
  return "";
}

std::string kinds_reference() {
  std::string out;
  for (std::size_t i = 0; i < kEvCount; ++i) {
    const KindSpec& kind = kind_spec(static_cast<std::uint16_t>(i));
    out += fmt::format("{:<18} {}\n", kind.name, kind.meaning);
    std::string fields;
    for (const FieldSpec& f : kind.fields()) {
      fields += fmt::format(" {}", f.name);
      if (f.type != FieldType::kEnum) continue;
      fields += '(';
      for (std::size_t v = 0; v < f.values.size(); ++v) fields += fmt::format("{}{}", v ? "|" : "", f.values[v]);
      fields += ')';
    }
    out += fmt::format("{:<18}{}\n", "", fields);
  }
  return out;
}

}  // namespace dcsim::trace
