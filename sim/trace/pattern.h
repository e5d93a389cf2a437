#pragma once
#include <memory>
#include <string_view>

#include "base/regex.h"
#include "base/result.h"

namespace dcsim::trace {

/// A regular expression as base/regex.h reads it (linear in the subject, whatever the pattern), with bounds: patterns up to
/// 1 KiB; of a subject the first 4 KiB are looked at when searching, and a longer one never matches as a whole.
/// Cheap to copy; immutable.
class Pattern {
 public:
  /// Fails with a text for people: "`(` is no regular expression: a parenthesis has no partner".
  static Result<Pattern> compile(std::string_view text);
  bool found_in(std::string_view subject) const;
  bool matches(std::string_view subject) const;

 private:
  std::shared_ptr<const Regex> regex_;
};

}  // namespace dcsim::trace
