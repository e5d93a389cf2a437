#include "consul/go_regexp.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "base/regex.h"

namespace dcsim::consul {

namespace {

struct Finding {
  std::string_view reason;
  std::string_view part;
};

/// Walks over an expression as the parser does, and stops at the first thing that is wrong.
class Walk {
 public:
  explicit Walk(std::string_view all) : all_(all) {}

  std::optional<Finding> run() {
    while (at_ < all_.size()) {
      if (auto found = step()) return found;
    }
    if (open_ > 0) return Finding{"missing closing )", all_};
    return std::nullopt;
  }

 private:
  std::string_view from(std::size_t begin) const { return all_.substr(begin, at_ - begin); }
  bool take(std::string_view text) {
    if (!all_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }

  std::optional<Finding> step() {
    const std::size_t begin = at_;
    const char c = all_[at_++];
    switch (c) {
      case '(':
        return group(begin);
      case ')':
        if (open_ == 0) return Finding{"unexpected )", all_};
        --open_;
        return argument();
      case '|':
        argument_ = false;
        repeated_ = kNone;
        return std::nullopt;
      case '[':
        return bracket(begin);
      case '*':
      case '+':
      case '?':
        return repetition(begin);
      case '{':
        return count(begin);
      case '\\':
        return escape(begin);
      default:
        return argument();
    }
  }

  std::optional<Finding> argument() {
    argument_ = true;
    repeated_ = kNone;
    return std::nullopt;
  }

  std::optional<Finding> group(std::size_t begin) {
    ++open_;
    argument_ = false;
    repeated_ = kNone;
    if (!take("?")) return std::nullopt;
    if (take("P<") || take("<")) {
      const std::size_t end = all_.find('>', at_);
      if (end == std::string_view::npos || all_.substr(at_).starts_with('=') || all_.substr(at_).starts_with('!')) {
        return Finding{"invalid named capture", all_.substr(begin)};
      }
      at_ = end + 1;
      return std::nullopt;
    }
    while (at_ < all_.size()) {
      const char c = all_[at_++];
      if (c == ':') return std::nullopt;
      if (c == ')') {
        --open_;
        return std::nullopt;
      }
      if (std::string_view("imsU-").find(c) == std::string_view::npos)
        return Finding{"invalid or unsupported Perl syntax", from(begin)};
    }
    return Finding{"invalid or unsupported Perl syntax", from(begin)};
  }

  std::optional<Finding> bracket(std::size_t begin) {
    take("^");
    for (bool first = true; first || at_ >= all_.size() || all_[at_] != ']'; first = false) {
      if (at_ >= all_.size()) return Finding{"missing closing ]", all_.substr(begin)};
      const std::size_t low_at = at_;
      if (take("[:")) {
        const std::size_t end = all_.find(":]", at_);
        if (end != std::string_view::npos) at_ = end + 2;
        continue;
      }
      const char low = one();
      if (at_ + 1 >= all_.size() || all_[at_] != '-' || all_[at_ + 1] == ']') continue;
      ++at_;
      const char high = one();
      if (static_cast<unsigned char>(high) < static_cast<unsigned char>(low))
        return Finding{"invalid character class range", from(low_at)};
    }
    ++at_;
    return argument();
  }

  char one() {
    const char c = all_[at_++];
    return c == '\\' && at_ < all_.size() ? all_[at_++] : c;
  }

  std::optional<Finding> repetition(std::size_t begin) {
    take("?");
    if (repeated_ != kNone) return Finding{"invalid nested repetition operator", from(repeated_)};
    if (!argument_) return Finding{"missing argument to repetition operator", from(begin)};
    repeated_ = begin;
    return std::nullopt;
  }

  /// "{2,3}" repeats; anything else after a brace is text.
  std::optional<Finding> count(std::size_t begin) {
    const auto digits = [&]() -> std::optional<int> {
      const std::size_t start = at_;
      int value = 0;
      while (at_ < all_.size() && std::isdigit(static_cast<unsigned char>(all_[at_])))
        value = std::min(value * 10 + (all_[at_++] - '0'), 10'000);
      return at_ > start ? std::optional(value) : std::nullopt;
    };
    const auto low = digits();
    std::optional<int> high = low;
    bool well_formed = low.has_value();
    if (well_formed && take(",")) high = digits();
    well_formed = well_formed && take("}");
    if (!well_formed) {
      at_ = begin + 1;
      return argument();
    }
    if (*low > 1000 || high.value_or(0) > 1000 || high.value_or(1000) < *low)
      return Finding{"invalid repeat count", from(begin)};
    return repetition(begin);
  }

  std::optional<Finding> escape(std::size_t begin) {
    if (at_ >= all_.size()) return Finding{"trailing backslash at end of expression", ""};
    const char c = all_[at_++];
    const bool word = std::isalnum(static_cast<unsigned char>(c));
    if (word && std::string_view("0aAbBcCdDfnpPQrsStvwWxz").find(c) == std::string_view::npos)
      return Finding{"invalid escape sequence", from(begin)};
    return argument();
  }

  static constexpr std::size_t kNone = std::string_view::npos;

  std::string_view all_;
  std::size_t at_ = 0;
  std::size_t open_ = 0;
  bool argument_ = false;         ///< something that can be repeated is just behind
  std::size_t repeated_ = kNone;  ///< where the operator just behind began
};

}  // namespace

std::string go_regexp_error(std::string_view expression) {
  if (const auto found = Walk(expression).run())
    return fmt::format("error parsing regexp: {}: `{}`", found->reason, found->part);
  std::string why;
  Regex::compile(expression, &why);
  return fmt::format("error parsing regexp: {}: `{}`", why, expression);
}

}  // namespace dcsim::consul
