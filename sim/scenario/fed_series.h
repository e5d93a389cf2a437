#pragma once
#include <string>

#include "trace/series.h"

namespace dcsim::scenario {

/// False for series that the language has but nothing reports to yet (Raft, the catalog, network areas, Serf's
/// snapshot): counts over them stay 0 and everything else none.
bool is_fed(trace::Series series);
/// `dcsim series`: trace::series_reference() with the series marked that nothing reports to.
std::string series_reference();

}  // namespace dcsim::scenario
