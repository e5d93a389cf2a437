#include "scenario/config_value.h"

#include <algorithm>

namespace dcsim::scenario {

const ConfigValue* ConfigValue::find(std::string_view key) const {
  for (const ConfigEntry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

ConfigValue merged(const ConfigValue& base, const ConfigValue& over) {
  if (!base.is_map() || !over.is_map()) return over;
  ConfigValue out = base;
  out.at = over.at;
  for (const ConfigEntry& entry : over.entries) {
    const auto it =
        std::find_if(out.entries.begin(), out.entries.end(), [&](const ConfigEntry& e) { return e.key == entry.key; });
    if (it == out.entries.end()) {
      out.entries.push_back(entry);
    } else {
      it->key_at = entry.key_at;
      it->value = merged(it->value, entry.value);
    }
  }
  return out;
}

}  // namespace dcsim::scenario
