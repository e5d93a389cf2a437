#include "trace/pattern.h"

#include <fmt/format.h>

#include <utility>

namespace dcsim::trace {
namespace {

constexpr std::size_t kMaxPattern = 1024;
constexpr std::size_t kMaxSubject = 4096;

}  // namespace

Result<Pattern> Pattern::compile(std::string_view text) {
  if (text.size() > kMaxPattern) return Error{fmt::format("a regular expression of more than {} bytes", kMaxPattern)};
  std::string why;
  auto regex = Regex::compile(text, &why);
  if (!regex) return Error{fmt::format("`{}` is no regular expression: {}", text, why)};
  Pattern out;
  out.regex_ = std::make_shared<const Regex>(std::move(*regex));
  return out;
}

bool Pattern::found_in(std::string_view subject) const { return regex_->matches(subject.substr(0, kMaxSubject)); }

bool Pattern::matches(std::string_view subject) const {
  return subject.size() <= kMaxSubject && regex_->matches_whole(subject);
}

}  // namespace dcsim::trace
