#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dcsim::trace {

/// The commands over recorded runs, as the command line calls them. PATH is a directory written by `-o` (trace.bin or
/// trace.jsonl in it) or one of these files. Each returns the process's exit status: 0, 1 (nothing found; runs differ)
/// or 2 (bad input), writes data to `out` and everything else to `err`.
using Sink = std::function<void(std::string_view)>;
struct Streams {
  Sink out;
  Sink err;
};

enum class CatFormat : std::uint8_t { kText, kJson };
struct CatOptions {
  std::vector<std::string> terms = {};  ///< Filter's
  CatFormat format = CatFormat::kText;
  std::uint64_t limit = 0;  ///< at most so many lines; 0 = all
};

int trace_cat(const std::string& path, const CatOptions& options, const Streams& io);
/// The same, but 1 when nothing matches, as grep(1).
int trace_grep(const std::string& path, const CatOptions& options, const Streams& io);
int trace_why(const std::string& path, const std::vector<std::string>& query, const Streams& io);
/// `format`: jsonl, text, csv, perfetto (chrome's JSON trace events) or pcapng (copies the run's capture.pcapng).
/// Writes to `output` (atomically), or to `io.out` if it is "-".
int trace_convert(const std::string& path, const std::string& format, const std::string& output, const Streams& io);
int trace_diff(const std::string& path_a, const std::string& path_b, const Streams& io);

/// What a run with `-o DIR` does at its end: renders trace.jsonl beside trace.bin. `terms` as Filter's (record.events).
Result<bool> write_jsonl(const std::string& trace_bin, const std::string& jsonl, const std::vector<std::string>& terms);

}  // namespace dcsim::trace
