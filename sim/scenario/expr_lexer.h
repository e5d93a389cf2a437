#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "scenario/expr.h"

namespace dcsim::scenario {

/// One word of an expression.
struct ExprToken {
  enum class Kind { kEnd, kWord, kNumber, kString, kSymbol, kBad } kind = Kind::kEnd;
  std::string_view text;
  std::string value;  ///< kString: unescaped
  double number = 0;
  std::string unit;  ///< kNumber: "%", "ms", "KiB", ...
  std::size_t from = 0, to = 0;
};

/// Cuts an expression into tokens; one is always looked at. Mistakes inside a token (a string without end) go to
/// `errors`.
class ExprLexer {
 public:
  ExprLexer(std::string_view text, std::vector<ExprError>& errors) : text_(text), errors_(errors) { next(); }

  const ExprToken& peek() const { return token_; }
  ExprToken take();
  bool accept(std::string_view symbol);
  /// Brackets that have been opened and not closed.
  int open() const { return open_; }

 private:
  void next();
  void word();
  void number();
  void rate();
  void string(char quote);
  void symbol();

  std::string_view text_;
  std::vector<ExprError>& errors_;
  std::size_t at_ = 0;
  int open_ = 0;
  ExprToken token_;
};

}  // namespace dcsim::scenario
