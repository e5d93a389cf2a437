#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "scenario/reader.h"

namespace dcsim::scenario {

namespace {

bool extension(std::string_view key) { return key.substr(0, 2) == "x-"; }

std::string_view expectation_of(ValueType type) {
  switch (type) {
    case ValueType::kMap:
    case ValueType::kMapOf:
      return "a map";
    case ValueType::kListOf:
      return "a list";
    default:
      return "a value";
  }
}

}  // namespace

MapReader::MapReader(Reading& reading, const KeyTable& table, const Value& map)
    : reading_(reading), table_(table), map_(map) {
  if (!map.is(Node::Kind::kMap)) {
    reading_.wrong_type(map, table.name, "a map");
    return;
  }
  usable_ = true;
  entries_ = reading_.entries(map, table.name);
  check_keys(table.free_extensions);
}

void MapReader::check_keys(bool is_document) {
  std::vector<std::string_view> allowed;
  for (const Key& key : table_.keys) allowed.push_back(key.name);
  for (const Entry& entry : entries_) {
    if (table_.find(entry.name) != nullptr || (is_document && extension(entry.name))) continue;
    const std::string_view best = nearest(entry.name, allowed);
    if (!best.empty()) meant_.insert(best);
    reading_.error(code::kUnknownKey, entry.key_span(), fmt::format("unknown key `{}` in {}", entry.name, table_.name),
                   best.empty() ? std::string() : fmt::format("did you mean `{}`?", best),
                   "allowed keys: " + listed(allowed, 60));
  }
  for (const Key& key : table_.keys) {
    if (!key.required || has(key.name)) continue;
    // A misspelt required key is one mistake, not two.
    if (misspelt(key.name)) continue;
    reading_.error(code::kMissingKey, map_.span(), fmt::format("missing key `{}` in {}", key.name, table_.name), {},
                   fmt::format("{}: {}", key.name, key.doc));
  }
}

const Entry* MapReader::entry(std::string_view key) const {
  for (const Entry& e : entries_) {
    if (e.name == key) return &e;
  }
  return nullptr;
}

SourceSpan MapReader::key_span(std::string_view key) const {
  const Entry* e = entry(key);
  return e != nullptr ? e->key_span() : map_.span();
}

std::string MapReader::what(std::string_view key) const { return fmt::format("`{}` in {}", key, table_.name); }

const Entry* MapReader::raw(std::string_view key, ValueType type) {
  const Key* known = table_.find(key);
  DCSIM_CHECK_MSG(known != nullptr && known->type == type,
                  fmt::format("{} of {} is read as another type than its table says", key, table_.name));
  asked_.insert(key);
  const Entry* e = entry(key);
  if (e != nullptr && e->value.is(Node::Kind::kNull)) {
    reading_.error(code::kWrongType, e->key_span(), fmt::format("{} has no value", what(key)), {},
                   fmt::format("give {}, or remove the key", expectation_of(type)));
    return nullptr;
  }
  return e;
}

std::optional<SpannedText> MapReader::text(std::string_view key, ValueType type) {
  const Entry* e = raw(key, type);
  if (e == nullptr) return std::nullopt;
  // `always: true` and a metric of `5` are expressions, and what is wrong with them is said of expressions.
  auto content = type == ValueType::kExpression && e->value.scalar() ? reading_.text(e->value)
                                                                     : reading_.string(e->value, what(key));
  if (content && content->empty() && type != ValueType::kText) {
    reading_.error(code::kBadValue, e->value.span(), fmt::format("{} is empty", what(key)));
    return std::nullopt;
  }
  return content;
}

std::optional<bool> MapReader::boolean(std::string_view key) {
  const Entry* e = raw(key, ValueType::kBool);
  return e != nullptr ? reading_.boolean(e->value, what(key)) : std::nullopt;
}

std::optional<std::int64_t> MapReader::integer(std::string_view key) {
  const Entry* e = raw(key, ValueType::kInteger);
  const Key* known = table_.find(key);
  return e != nullptr ? reading_.integer(e->value, what(key), known->minimum, known->maximum) : std::nullopt;
}

std::optional<Duration> MapReader::duration(std::string_view key) {
  const Entry* e = raw(key, ValueType::kDuration);
  const auto content = e != nullptr ? reading_.quantity(e->value, what(key), "500ms or 1m30s") : std::nullopt;
  if (!content) return std::nullopt;
  auto parsed = parse_duration(content->text);
  // Nobody means a latency of 250 seconds.
  if (!parsed && (key == "latency" || key == "jitter") && parsed.error.suggestion == content->text + "s")
    parsed.error.suggestion = content->text + "ms";
  if (!parsed) reading_.bad_unit(e->value, parsed.error, what(key), "500ms, 1m30s, 5d");
  return parsed.value;
}

std::optional<Duration> MapReader::lasting(std::string_view key) {
  const auto d = duration(key);
  if (d && d->ns == 0) {
    reading_.error(code::kBadValue, entry(key)->value.span(), fmt::format("{} must be longer than 0", what(key)));
    return std::nullopt;
  }
  return d;
}

std::optional<std::uint32_t> MapReader::percent(std::string_view key) {
  const Entry* e = raw(key, ValueType::kPercent);
  const auto content = e != nullptr ? reading_.quantity(e->value, what(key), "0.05%") : std::nullopt;
  if (!content) return std::nullopt;
  const auto parsed = parse_percent(content->text);
  if (!parsed) reading_.bad_unit(e->value, parsed.error, what(key), "0.05%");
  return parsed.value;
}

std::optional<std::uint64_t> MapReader::size(std::string_view key) {
  const Entry* e = raw(key, ValueType::kSize);
  const auto content = e != nullptr ? reading_.quantity(e->value, what(key), "64KiB") : std::nullopt;
  if (!content) return std::nullopt;
  const auto parsed = parse_size(content->text);
  if (!parsed) reading_.bad_unit(e->value, parsed.error, what(key), "256B, 64KiB, 1MB");
  return parsed.value;
}

std::optional<std::uint64_t> MapReader::bandwidth(std::string_view key) {
  const Entry* e = raw(key, ValueType::kBandwidth);
  const auto content = e != nullptr ? reading_.quantity(e->value, what(key), "10Gbit") : std::nullopt;
  if (!content) return std::nullopt;
  const auto parsed = parse_bandwidth(content->text);
  if (!parsed) reading_.bad_unit(e->value, parsed.error, what(key), "10Gbit, 100Mbit");
  return parsed.value;
}

std::optional<std::size_t> MapReader::choice(std::string_view key) {
  const Entry* e = raw(key, ValueType::kEnum);
  return e != nullptr ? reading_.choice(e->value, what(key), table_.find(key)->choices) : std::nullopt;
}

std::optional<Selector> MapReader::selector(std::string_view key) {
  const Entry* e = raw(key, ValueType::kSelector);
  return e != nullptr ? reading_.selector(e->value, what(key)) : std::nullopt;
}

std::optional<Address> MapReader::ipv4(std::string_view key) {
  const Entry* e = raw(key, ValueType::kIpv4);
  return e != nullptr ? reading_.ipv4(e->value, what(key)) : std::nullopt;
}

void MapReader::version(std::string_view key) {
  const Entry* e = raw(key, ValueType::kVersion);
  if (e == nullptr) return;
  const auto number = reading_.integer(e->value, what(key), 0, 0);
  if (number && *number != 1) {
    reading_.error(code::kUnsupported, e->value.span(), fmt::format("version {} of the language is not known", *number),
                   {}, "this program reads version 1");
  }
}

Labels MapReader::labels(std::string_view key) {
  Labels out;
  const Entry* e = raw(key, ValueType::kStringMap);
  if (e == nullptr) return out;
  if (!e->value.is(Node::Kind::kMap)) {
    reading_.wrong_type(e->value, what(key), "a map of strings");
    return out;
  }
  for (const Entry& label : reading_.entries(e->value, key)) {
    if (auto content = reading_.string(label.value, fmt::format("label `{}`", label.name))) {
      out.emplace_back(std::string(label.name), std::move(content->text));
    }
  }
  return out;
}

void MapReader::done() {
  for (const Key& key : table_.keys) {
    DCSIM_CHECK_MSG(asked_.count(key.name) != 0,
                    fmt::format("{} of {} is in the table but nobody reads it", key.name, table_.name));
  }
}

LinkOverrides read_link_overrides(MapReader& reader) {
  LinkOverrides out;
  out.latency = reader.duration("latency");
  out.jitter = reader.duration("jitter");
  if (const auto choice = reader.choice("distribution")) out.distribution = static_cast<Distribution>(*choice);
  out.loss = reader.percent("loss");
  out.duplicate = reader.percent("duplicate");
  out.corrupt = reader.percent("corrupt");
  out.reorder = reader.percent("reorder");
  out.correlation = reader.percent("correlation");
  out.bandwidth = reader.bandwidth("bandwidth");
  out.queue = reader.size("queue");
  if (const auto mtu = reader.integer("mtu")) out.mtu = static_cast<std::uint32_t>(*mtu);
  return out;
}

}  // namespace dcsim::scenario
