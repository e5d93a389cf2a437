#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace dcsim::consul {

struct RawEntry;

/// A configuration value as a file holds it, before anyone says what it means. `place` is the reader's own number for the
/// spot in the file, handed back in ConfigProblem.
struct RawValue {
  using List = std::vector<RawValue>;
  using Map = std::vector<RawEntry>;  // in file order
  std::variant<std::monostate, bool, std::int64_t, double, std::string, List, Map> value;
  int place = 0;

  const Map* map() const { return std::get_if<Map>(&value); }
  const List* list() const { return std::get_if<List>(&value); }
  const std::string* text() const { return std::get_if<std::string>(&value); }
  /// The member of a map, or nullptr.
  inline const RawValue* find(std::string_view key) const;
};

struct RawEntry {
  RawEntry(std::string k, RawValue v) : key(std::move(k)), value(std::move(v)) {}
  std::string key;
  RawValue value;
};

inline const RawValue* RawValue::find(std::string_view key) const {
  if (const Map* m = map()) {
    for (const RawEntry& entry : *m) {
      if (entry.key == key) return &entry.value;
    }
  }
  return nullptr;
}

/// Something wrong with a configuration, in Consul's words where Consul has them.
struct ConfigProblem {
  std::string text;
  int place = 0;
  bool warning = false;
};

}  // namespace dcsim::consul
