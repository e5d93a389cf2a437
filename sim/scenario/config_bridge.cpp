#include "scenario/config_bridge.h"

namespace dcsim::scenario {

consul::RawValue to_raw(const ConfigValue& value, std::vector<SourceSpan>& places) {
  consul::RawValue out;
  out.place = static_cast<int>(places.size());
  places.push_back(value.at);
  switch (value.kind) {
    case ConfigValue::Kind::kNull: break;
    case ConfigValue::Kind::kBool: out.value = value.boolean; break;
    case ConfigValue::Kind::kInt: out.value = value.integer; break;
    case ConfigValue::Kind::kFloat: out.value = value.real; break;
    case ConfigValue::Kind::kString: out.value = value.text; break;
    case ConfigValue::Kind::kList: {
      consul::RawValue::List items;
      for (const ConfigValue& item : value.items) items.push_back(to_raw(item, places));
      out.value = std::move(items);
      break;
    }
    case ConfigValue::Kind::kMap: {
      consul::RawValue::Map entries;
      for (const ConfigEntry& entry : value.entries) entries.emplace_back(entry.key, to_raw(entry.value, places));
      out.value = std::move(entries);
      break;
    }
  }
  return out;
}

}  // namespace dcsim::scenario
