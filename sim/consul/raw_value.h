#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace dcsim::consul {

/// A configuration value as a file holds it, before anyone says what it means. `place` is the reader's own number for the
/// spot in the file, handed back in ConfigProblem.
struct RawValue {
  using List = std::vector<RawValue>;
  using Map = std::vector<std::pair<std::string, RawValue>>;  // in file order
  std::variant<std::monostate, bool, std::int64_t, double, std::string, List, Map> value;
  int place = 0;

  const Map* map() const { return std::get_if<Map>(&value); }
  const List* list() const { return std::get_if<List>(&value); }
  const std::string* text() const { return std::get_if<std::string>(&value); }
  /// The member of a map, or nullptr.
  const RawValue* find(std::string_view key) const {
    if (const Map* m = map()) {
      for (const auto& [name, v] : *m) {
        if (name == key) return &v;
      }
    }
    return nullptr;
  }
};

/// Something wrong with a configuration, in Consul's words where Consul has them.
struct ConfigProblem {
  std::string text;
  int place = 0;
  bool warning = false;
};

}  // namespace dcsim::consul
