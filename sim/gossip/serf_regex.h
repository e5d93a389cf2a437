#pragma once
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace dcsim::gossip {

/// The regular expressions of query filters (Go's regexp syntax, unanchored, yes or no). The expression comes off the
/// wire: compiling is bounded in depth and size, matching is linear in text x program (Thompson 1968), and neither
/// recurses on the text nor throws. Not supported, and so refused like a malformed one: Unicode classes (\p), non-ASCII
/// members of a class, (?m), \Q.
class Regex {
 public:
  static constexpr std::size_t kMaxProgram = 2000;
  static constexpr int kMaxDepth = 100;

  /// nullopt: malformed, unsupported or too big.
  static std::optional<Regex> compile(std::string_view expression);
  /// True if the expression matches anywhere in the text.
  bool matches(std::string_view text) const;

 private:
  friend class RegexCompiler;
  enum class Op : std::uint8_t { kSet, kSplit, kJump, kBegin, kEnd, kWord, kNotWord, kMatch };
  struct Inst {
    Op op = Op::kMatch;
    std::int32_t a = 0;  ///< kSet: which set; kSplit, kJump: relative target
    std::int32_t b = 0;  ///< kSplit: the other target
  };
  using Set = std::bitset<256>;

  bool holds(Op assertion, std::string_view text, std::size_t at) const;
  void add(std::vector<std::size_t>& threads, std::vector<bool>& seen, std::vector<std::size_t>& stack,
           std::size_t from, std::string_view text, std::size_t at, bool& matched) const;

  std::vector<Inst> program_;
  std::vector<Set> sets_;
};

}  // namespace dcsim::gossip
