// g++ 12 with sanitizers takes a member of libstdc++'s regex automaton for uninitialised.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include "trace/pattern.h"

#include <fmt/format.h>

#include <regex>

namespace dcsim::trace {
namespace {

constexpr std::size_t kMaxPattern = 1024;
constexpr std::size_t kMaxSubject = 4096;

}  // namespace

struct Pattern::Compiled {
  std::regex regex;
};

Result<Pattern> Pattern::compile(std::string_view text) {
  if (text.size() > kMaxPattern) return Error{fmt::format("a regular expression of more than {} bytes", kMaxPattern)};
  Pattern out;
  try {
    out.compiled_ = std::make_shared<const Compiled>(
        Compiled{std::regex(text.begin(), text.end(), std::regex::ECMAScript | std::regex::optimize)});
  } catch (const std::regex_error& e) {
    return Error{fmt::format("`{}` is no regular expression: {}", text, e.what())};
  }
  return out;
}

bool Pattern::found_in(std::string_view subject) const {
  subject = subject.substr(0, kMaxSubject);
  return std::regex_search(subject.begin(), subject.end(), compiled_->regex);
}

bool Pattern::matches(std::string_view subject) const {
  return subject.size() <= kMaxSubject && std::regex_match(subject.begin(), subject.end(), compiled_->regex);
}

}  // namespace dcsim::trace
