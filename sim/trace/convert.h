#pragma once
#include <functional>
#include <string_view>

#include "trace/recording.h"

namespace dcsim::trace {

using Write = std::function<void(std::string_view)>;

/// Chrome's JSON trace events, which Perfetto reads: a track per node, an event per record, an arrow per cause.
void write_perfetto(const Recording& recording, const Write& out);
/// t,n,node,ev,cause,details with details as key=value words.
void write_csv(const Recording& recording, const Write& out);
void write_json_lines(const Recording& recording, const Write& out);
void write_text(const Recording& recording, const Write& out);

}  // namespace dcsim::trace
