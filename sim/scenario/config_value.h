#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"

namespace dcsim::scenario {

struct ConfigEntry;

/// One value of an agent's configuration as its file gives it: Consul's (or Serf's) own keys in file order, verbatim.
/// Keys and types have been checked against Consul's when it comes out of the loader: a key that Consul knows holds a
/// value of its type (durations stay strings such as "30s", checked to parse). Plain value.
struct ConfigValue {
  enum class Kind { kNull, kBool, kInt, kFloat, kString, kList, kMap };

  Kind kind = Kind::kNull;
  bool boolean = false;
  std::int64_t integer = 0;
  double real = 0;   ///< kFloat only
  std::string text;  ///< kString: the value; every other scalar: as spelled in the file
  std::vector<ConfigValue> items;
  std::vector<ConfigEntry> entries;
  SourceSpan at;

  /// nullptr if this is not a map or has no such key.
  const ConfigValue* find(std::string_view key) const;
  bool is_map() const { return kind == Kind::kMap; }
};

struct ConfigEntry {
  std::string key;
  SourceSpan key_at;
  ConfigValue value;
};

/// `base` with `over` laid on top: maps merge key by key, everything else is replaced. New keys keep `over`'s order
/// after `base`'s. (What `restart: {config}` and `defaults.config` do.)
ConfigValue merged(const ConfigValue& base, const ConfigValue& over);

}  // namespace dcsim::scenario
