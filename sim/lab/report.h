#pragma once
#include <string>

#include "lab/run.h"

namespace dcsim::lab {

/// What a run prints on a terminal.
std::string summary_text(const RunResult& result, bool color);
/// summary.json, and `--format json`: verdicts, metrics, digest, seed, counts, versions in one stable key order.
std::string summary_json(const RunResult& result);
/// `--format github`: an ::error (or ::warning) line for each expectation that does not hold.
std::string summary_github(const RunResult& result);
/// transcript.txt: the operator commands with their output, as a terminal would show them.
std::string transcript_text(const RunResult& result);
/// metrics.csv.
std::string metrics_text(const RunResult& result);
/// The command that repeats the run, up to `until` if it is before the planned end.
std::string reproduce_line(const RunResult& result, Instant until);
/// "1m30.5s" with at most milliseconds.
std::string time_text(Instant t);

}  // namespace dcsim::lab
