#pragma once
#include <string_view>

#include "base/result.h"
#include "consul/raw_value.h"

namespace dcsim::consul {

/// Reads one JSON value with nothing behind it but blanks. Numbers without fraction or exponent become int64. Error: what is
/// wrong and at which byte. At most 32 levels; memory is proportional to the text. Of equal names the last one counts.
Result<RawValue> read_json(std::string_view text);

/// The member of an object whose name is `key` in any case of letters, as encoding/json finds it; nullptr if there is none.
const RawValue* json_member(const RawValue& object, std::string_view key);

}  // namespace dcsim::consul
