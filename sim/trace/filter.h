#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "trace/recording.h"

namespace dcsim::trace {

/// What `trace cat` and `trace grep` let through. Terms, all of which must hold:
///   ev=a,b          one of these events ("member-*" too)
///   node=X          at this agent
///   since=T until=T the time window, as "90s", "1m30s" or seconds; until is exclusive
///   key=value  key!=value  key=~regex  key!~regex    on any field as `trace cat` shows it (also t, n, cause)
///   REGEX           found anywhere in "node event key=value ..."
/// Regular expressions are base/regex.h's, found anywhere in the value.
class Filter {
 public:
  Filter();
  ~Filter();
  Filter(Filter&&) noexcept;
  Filter& operator=(Filter&&) noexcept;

  /// Fails on a malformed term, an unknown event or field name, or a bad regular expression.
  static Result<Filter> parse(std::span<const std::string> terms);
  /// Only whole-record tests that need no text come first, so that most records are refused cheaply.
  bool accepts(std::uint64_t number, const Record& r, const Recording& names) const;
  std::int64_t since() const;
  std::int64_t until() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dcsim::trace
