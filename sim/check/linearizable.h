#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"

namespace dcsim::check {

/// One operation of a client on one key of a store of registers.
struct KvOperation {
  enum class Kind : std::uint8_t { kGet, kPut, kDelete, kCas };
  Kind kind = Kind::kGet;
  std::string key;
  std::optional<std::string> value;     ///< kPut, kCas: what to write. kGet: what was read, nullopt = nothing there
  std::optional<std::string> expected;  ///< kCas: what has to stand there, nullopt = nothing
  bool succeeded = true;                ///< kCas: whether it was written
  Instant invoked;
  Instant answered = Instant::never();  ///< never(): no answer came; it may have happened at any time since, or not
  std::uint32_t client = 0;             ///< for the report
};

enum class Linearizable : std::uint8_t { kYes, kNo, kUnknown };

struct LinearizabilityResult {
  Linearizable verdict = Linearizable::kYes;
  std::string key;                   ///< the first (in order) whose history is not linearizable, or was given up
  std::vector<std::size_t> longest;  ///< kNo: the longest order found, as indexes into the history
  std::size_t states = 0;            ///< of the search, over all keys
};

/// Whether a history can be explained by each operation taking effect at one instant between its call and its answer
/// (Herlihy and Wing). Searches as Wing and Gong, remembers configurations as Lowe, key by key (Horn and Kroening):
/// anishathalye/porcupine does the same. Reads without an answer are left out; writes without one may happen late or
/// never. Two operations touch at one instant count as concurrent.
/// Exponential in the number of concurrent operations on one key; gives up with kUnknown after `max_states`.
LinearizabilityResult check_linearizable(const std::vector<KvOperation>& history, std::size_t max_states = 1'000'000);

}  // namespace dcsim::check
