#include "lab/text_match.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/regex.h"

namespace dcsim::lab {

namespace {

/// Beyond so many lines an expression that is anchored at both ends is held against single lines and the ends of the
/// output.
constexpr std::size_t kMostLines = 64;

/// `^` or `$` outside brackets and not escaped.
bool anchored(std::string_view pattern) {
  bool bracket = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\')
      ++i;
    else if (bracket)
      bracket = c != ']';
    else if (c == '[')
      bracket = true;
    else if (c == '^' || c == '$')
      return true;
  }
  return false;
}

/// Begin and end of each line, without its line break.
std::vector<std::pair<std::size_t, std::size_t>> lines_of(std::string_view text) {
  std::vector<std::pair<std::size_t, std::size_t>> lines;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    if (end < text.size() || end > from || text.empty()) lines.emplace_back(from, end);
    from = end + 1;
  }
  return lines;
}

}  // namespace

bool found(const scenario::TextMatch& want, std::string_view output) {
  if (want.kind == scenario::TextMatch::Kind::kText)
    return want.pattern.empty() ? output.empty() : output.find(want.pattern) != std::string_view::npos;
  const auto regex = Regex::compile(want.pattern);
  DCSIM_CHECK_MSG(regex.has_value(), want.pattern);  // the loader refuses it
  if (regex->matches(output)) return true;
  if (!anchored(want.pattern)) return false;
  // The matcher anchors at the ends of what it is given: give it every stretch of lines.
  const auto lines = lines_of(output);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (regex->matches(output.substr(lines[i].first, lines[i].second - lines[i].first))) return true;
  }
  const bool few = lines.size() <= kMostLines;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::size_t last = few || i == 0 ? lines.size() - 1 : i;
    for (std::size_t j = i + 1; j <= last; ++j) {
      if (regex->matches(output.substr(lines[i].first, lines[j].second - lines[i].first))) return true;
    }
    if (i > 0 && regex->matches(output.substr(lines[i].first))) return true;
  }
  return false;
}

}  // namespace dcsim::lab
