#include "scenario/suggest.h"

#include <fmt/format.h>

#include <algorithm>

namespace dcsim::scenario {

namespace {

std::string folded(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c != '-' && c != '_') out += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  return out;
}

}  // namespace

int edit_distance(std::string_view a, std::string_view b, int limit) {
  const auto far = limit + 1;
  if (a.size() > 64 || b.size() > 64) return a == b ? 0 : far;
  if (static_cast<int>(std::max(a.size(), b.size()) - std::min(a.size(), b.size())) > limit) return far;
  // Optimal string alignment: three rows are enough.
  std::vector<int> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = static_cast<int>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const int change = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return std::min(last[b.size()], far);
}

std::string_view nearest(std::string_view name, const std::vector<std::string_view>& candidates) {
  const std::string wanted = folded(name);
  const int limit = wanted.size() <= 2 ? 1 : wanted.size() <= 5 ? 2 : 3;
  std::string_view best;
  int best_distance = limit + 1;
  for (const std::string_view candidate : candidates) {
    const std::string other = folded(candidate);
    const int d = edit_distance(wanted, other, limit);
    // Two edits in a word of four letters are another word.
    const int longer = static_cast<int>(std::max(wanted.size(), other.size()));
    if (d < best_distance && (d * 5 <= 2 * longer || (d == 1 && longer == 2))) {
      best = candidate;
      best_distance = d;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string_view>& candidates) {
  const std::string_view best = nearest(name, candidates);
  return best.empty() ? std::string() : fmt::format("did you mean `{}`?", best);
}

std::string listed(std::vector<std::string_view> names, std::size_t most) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  std::string out;
  for (std::size_t i = 0; i < names.size() && i < most; ++i) {
    if (i > 0) out += ", ";
    out += names[i];
  }
  if (names.size() > most) out += fmt::format(" and {} more", names.size() - most);
  return out;
}

}  // namespace dcsim::scenario
