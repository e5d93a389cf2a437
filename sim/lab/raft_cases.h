#pragma once
#include <string>

namespace dcsim::lab {

/// Runs a file of Raft behaviour cases: servers put into a written situation, on a network and with timers that the
/// case holds. Each case runs in each of its profiles (plain: the paper; sticky: hashicorp/raft without pre-vote;
/// consul: with it), each row of a table on its own; the safety invariants are judged after every message.
///
/// Appends one line per run to `out` ("ok   name [profile] row 2", "FAIL ... file:line: what was expected") and
/// "N passed, N failed". Kinds that are told in sentences (timed, storage) are listed as skipped.
/// Answers the exit status: 0 all passed, 1 some failed, 2 the file cannot be read or a case is malformed (said as
/// "file:line:column: ...").
int run_raft_cases(const std::string& path, std::string& out);
/// The same for a text at hand.
int run_raft_cases_text(const std::string& name, const std::string& text, std::string& out);

}  // namespace dcsim::lab
