#pragma once
#include <vector>

#include "base/diagnostic.h"
#include "consul/raw_value.h"
#include "scenario/config_value.h"

namespace dcsim::scenario {

/// The configuration as an agent's builder takes it. Each value's `place` is an index into `places`, which grows by one
/// span per value, so that a ConfigProblem can be shown where the file has it. Null values become monostate.
consul::RawValue to_raw(const ConfigValue& value, std::vector<SourceSpan>& places);

}  // namespace dcsim::scenario
