#pragma once
#include <string>
#include <string_view>

namespace dcsim::consul {

// Names of nodes, services, checks and sessions differ only by more than the case of their letters: Consul's indexes
// are over strings.ToLower (agent/consul/state/indexer.go). Letters beyond ASCII are compared byte by byte here.

constexpr char fold(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Order of go-memdb's radix tree over the lower-cased bytes.
inline int fold_compare(std::string_view a, std::string_view b) {
  const std::size_t n = a.size() < b.size() ? a.size() : b.size();
  for (std::size_t i = 0; i < n; ++i) {
    const auto x = static_cast<unsigned char>(fold(a[i]));
    const auto y = static_cast<unsigned char>(fold(b[i]));
    if (x != y) return x < y ? -1 : 1;
  }
  return a.size() == b.size() ? 0 : (a.size() < b.size() ? -1 : 1);
}
inline bool fold_equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && fold_compare(a, b) == 0;
}

inline std::string folded(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = fold(c);
  return out;
}

/// Orders and finds by folded text, without making strings.
struct FoldLess {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const { return fold_compare(a, b) < 0; }
};

}  // namespace dcsim::consul
