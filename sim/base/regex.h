#pragma once
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dcsim {

/// A regular expression in Go's syntax (RE2's), yes or no. Expressions come off the wire and from files of strangers:
/// compiling is bounded in depth and size, matching is linear in text x program (Thompson 1968), and neither recurses on
/// the text nor throws. Not supported, and so refused like a malformed one: what no linear matcher can do (look-ahead,
/// look-behind, back-references), Unicode classes (\p), non-ASCII members of a class, (?m), \Q.
class Regex {
 public:
  static constexpr std::size_t kMaxProgram = 2000;
  static constexpr int kMaxDepth = 100;

  /// nullopt: malformed, unsupported or too big; `why` then says so in words ("look-ahead is not supported").
  static std::optional<Regex> compile(std::string_view expression, std::string* why = nullptr);
  /// True if the expression matches anywhere in the text.
  bool matches(std::string_view text) const { return run(text, false); }
  /// True if the expression matches the text from its first to its last byte.
  bool matches_whole(std::string_view text) const { return run(text, true); }

 private:
  friend class RegexCompiler;
  enum class Op : std::uint8_t { kSet, kSplit, kJump, kBegin, kEnd, kWord, kNotWord, kMatch };
  struct Inst {
    Op op = Op::kMatch;
    std::int32_t a = 0;  ///< kSet: which set; kSplit, kJump: relative target
    std::int32_t b = 0;  ///< kSplit: the other target
  };
  using Set = std::bitset<256>;
  struct Threads;

  bool holds(Op assertion, std::string_view text, std::size_t at) const;
  void add(Threads& threads, std::size_t from, std::string_view text, std::size_t at) const;
  bool run(std::string_view text, bool whole) const;

  std::vector<Inst> program_;
  std::vector<Set> sets_;
};

}  // namespace dcsim
