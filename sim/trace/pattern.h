#pragma once
#include <memory>
#include <string_view>

#include "base/result.h"

namespace dcsim::trace {

/// A regular expression (ECMAScript) with bounds: patterns up to 1 KiB; of a subject the first 4 KiB are looked at when
/// searching, and a longer one never matches as a whole (libstdc++'s matcher recurses once a character).
/// Cheap to copy; immutable.
class Pattern {
 public:
  /// Fails with a text for people: "`(` is no regular expression: ...".
  static Result<Pattern> compile(std::string_view text);
  bool found_in(std::string_view subject) const;
  bool matches(std::string_view subject) const;

 private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace dcsim::trace
