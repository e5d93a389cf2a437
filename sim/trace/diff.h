#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "trace/recording.h"

namespace dcsim::trace {

/// The first record in which two runs differ, compared by content (names by text).
struct Difference {
  bool found = false;
  std::uint64_t number = 0;     ///< of the first differing record; where one run ends earlier, its size
  bool seeds = false;           ///< the runs have different seeds, which their first records say; looked at from there on
  bool not_kept = false;        ///< the digests differ in this block, but the records that would show it were not kept
  std::uint64_t block_end = 0;  ///< with not_kept: the difference lies in [number, block_end)
  std::optional<std::uint64_t> common_ancestor;  ///< the latest record on both causal chains that is the same in both
};

/// Checkpoints narrow it to one block by bisection if both recordings have them; else records are compared from the
/// start.
Difference first_difference(const Recording& a, const Recording& b);
/// Told for people: the differing records, both causal chains back to the common ancestor.
std::string describe_difference(const Recording& a, const Recording& b, const Difference& difference,
                                const std::string& name_a = "A", const std::string& name_b = "B");
/// Same content of one record, names by text.
bool same_record(const Recording& a, const Record& ra, const Recording& b, const Record& rb);

}  // namespace dcsim::trace
