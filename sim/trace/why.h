#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "trace/recording.h"

namespace dcsim::trace {

/// Walks causes backwards and effects forwards through one recording, which must outlive it. The index of effects is
/// built at the first question (8 bytes a kept record).
class Causes {
 public:
  explicit Causes(const Recording& recording) : recording_(recording) {}

  /// The record and its causes up to the root (or to a cause that was not kept), the record first.
  std::vector<std::uint64_t> chain(std::uint64_t number) const;
  /// The kept records whose cause is `number`, ascending.
  std::vector<std::uint64_t> effects(std::uint64_t number);

 private:
  void build();
  const Recording& recording_;
  bool built_ = false;
  std::vector<std::uint64_t> edges_;  // cause << 32 | effect, sorted
};

/// Finds a record: a number ("812"), or terms as of Filter with an event first ("member-failed node=a member=b #2":
/// the second of those that match; "#-1" the last; the first if nothing is said).
Result<std::uint64_t> find_record(const Recording& recording, std::span<const std::string> query);

/// Why record `number` happened, as an indented story: the record, what caused it, and so on to the root; where a step
/// of the chain sent packets that matter (probes, connection attempts), what became of them, along relays and answers
/// too. An accusation that came by gossip goes on at the accuser. The last line names the firewall and rule (or link,
/// or host) to blame, if one is.
std::string why(const Recording& recording, std::uint64_t number);

}  // namespace dcsim::trace
