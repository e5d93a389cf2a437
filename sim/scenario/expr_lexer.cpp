#include "scenario/expr_lexer.h"

#include <fmt/format.h>

#include <charconv>

#include "trace/series.h"

namespace dcsim::scenario {

namespace {

bool is_word_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
/// Also days, which no series counts in.
double seconds_of(std::string_view unit) { return unit == "d" ? 86400 : trace::seconds_per(unit); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
/// Series names have dots and dashes inside ("consul.rpc.cross-dc").
bool is_word(char c) { return is_word_start(c) || is_digit(c) || c == '.' || c == '-'; }

}  // namespace

ExprToken ExprLexer::take() {
  ExprToken t = token_;
  if (t.kind == ExprToken::Kind::kSymbol) {
    if (t.text == "(" || t.text == "{" || t.text == "[") ++open_;
    if (t.text == ")" || t.text == "}" || t.text == "]") --open_;
  }
  next();
  return t;
}

bool ExprLexer::accept(std::string_view symbol) {
  if (token_.text != symbol || token_.kind == ExprToken::Kind::kString) return false;
  take();
  return true;
}

void ExprLexer::next() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
    ++at_;
  token_ = {};
  token_.from = at_;
  if (at_ < text_.size()) {
    const char c = text_[at_];
    if (is_word_start(c))
      word();
    else if (is_digit(c))
      number();
    else if (c == '"' || c == '\'')
      string(c);
    else
      symbol();
  }
  token_.to = at_;
  token_.text = text_.substr(token_.from, at_ - token_.from);
}

void ExprLexer::word() {
  token_.kind = ExprToken::Kind::kWord;
  while (at_ < text_.size() && is_word(text_[at_])) ++at_;
  // "a-b" is one name, but "x - 1" and "x -1" are not: a dash or dot at the end belongs to what follows.
  while (text_[at_ - 1] == '-' || text_[at_ - 1] == '.') --at_;
}

void ExprLexer::number() {
  token_.kind = ExprToken::Kind::kNumber;
  const char* begin = text_.data() + at_;
  const auto [end, error] =
      std::from_chars(begin, text_.data() + text_.size(), token_.number, std::chars_format::fixed);
  at_ += static_cast<std::size_t>(end - begin);
  if (error != std::errc{}) {
    errors_.push_back({token_.from, at_, "the number is too large", "", ""});
    token_.kind = ExprToken::Kind::kBad;
    return;
  }
  const std::size_t unit = at_;
  if (at_ < text_.size() && text_[at_] == '%')
    ++at_;
  else
    while (at_ < text_.size() && is_word_start(text_[at_])) ++at_;
  token_.unit = text_.substr(unit, at_ - unit);
  if (token_.unit == "d") {
    token_.number *= seconds_of(token_.unit);
    token_.unit = "s";
  }
  // 1m30s: further parts of a duration
  while (trace::seconds_per(token_.unit) > 0 && at_ < text_.size() && is_digit(text_[at_])) {
    double more = 0;
    const auto [stop, bad] =
        std::from_chars(text_.data() + at_, text_.data() + text_.size(), more, std::chars_format::fixed);
    if (bad != std::errc{}) break;
    at_ = static_cast<std::size_t>(stop - text_.data());
    const std::size_t from = at_;
    while (at_ < text_.size() && is_word_start(text_[at_])) ++at_;
    const double scale = seconds_of(text_.substr(from, at_ - from));
    token_.number = token_.number * trace::seconds_per(token_.unit) + more * scale;
    token_.unit = scale > 0 ? "s" : "?";
  }
  rate();
}

/// 1KiB/s, 5/min; but 5/min(...) is a quotient.
void ExprLexer::rate() {
  if (at_ >= text_.size() || text_[at_] != '/') return;
  std::size_t end = at_ + 1;
  while (end < text_.size() && is_word_start(text_[end])) ++end;
  if (trace::seconds_per(text_.substr(at_ + 1, end - at_ - 1)) <= 0) return;
  const std::size_t next = text_.find_first_not_of(" \t\r\n", end);
  if (next != std::string_view::npos && (text_[next] == '(' || (next == end && is_word(text_[next])))) return;
  token_.unit += text_.substr(at_, end - at_);
  at_ = end;
}

void ExprLexer::string(char quote) {
  token_.kind = ExprToken::Kind::kString;
  ++at_;
  while (at_ < text_.size() && text_[at_] != quote) {
    // Only the quote and the backslash before a quote are escapes: \d and the like stay for regular expressions.
    if (text_[at_] == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] == quote) ++at_;
    token_.value += text_[at_++];
  }
  if (at_ == text_.size()) {
    errors_.push_back({token_.from, at_, "the string does not end", "", fmt::format("close it with {}", quote)});
    token_.kind = ExprToken::Kind::kBad;
  } else {
    ++at_;
  }
}

void ExprLexer::symbol() {
  token_.kind = ExprToken::Kind::kSymbol;
  static constexpr std::string_view kTwo[] = {"<=", ">=", "==", "!=", "=~", "!~"};
  for (const std::string_view s : kTwo) {
    if (text_.substr(at_, 2) == s) {
      at_ += 2;
      return;
    }
  }
  ++at_;
  while (at_ < text_.size() && (static_cast<unsigned char>(text_[at_]) & 0xC0) == 0x80)
    ++at_;  // whole UTF-8 characters
}

}  // namespace dcsim::scenario
