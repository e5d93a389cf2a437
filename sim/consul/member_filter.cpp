#include "consul/member_filter.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include "base/regex.h"
#include "consul/go_regexp.h"

namespace dcsim::consul {

namespace {

constexpr std::size_t kMaxExpression = 64 * 1024;
constexpr int kMaxDepth = 100;
constexpr std::string_view kNumbers[] = {"Port",        "Status",      "ProtocolMin", "ProtocolMax",
                                         "ProtocolCur", "DelegateMin", "DelegateMax", "DelegateCur"};

enum class Op { kEqual, kMatches, kContains, kEmpty };

bool is_number_field(std::string_view name) {
  return std::find(std::begin(kNumbers), std::end(kNumbers), name) != std::end(kNumbers);
}

std::int64_t number_of(const MemberRow& row, std::string_view field) {
  if (field == "Port") return row.address.port;
  if (field == "Status") {
    static constexpr std::string_view kWords[] = {"none", "alive", "leaving", "left", "failed"};
    return std::find(std::begin(kWords), std::end(kWords), row.status) - std::begin(kWords);
  }
  const std::size_t first = field.starts_with("Protocol") ? 0 : 3;
  return row.versions[first + (field.ends_with("Min") ? 0 : field.ends_with("Max") ? 1 : 2)];
}

}  // namespace

struct MemberFilter::Node {
  enum class Kind { kAnd, kOr, kNot, kTest } kind = Kind::kTest;
  std::unique_ptr<Node> left, right;
  // kTest
  std::string field;
  std::optional<std::string> key;  ///< of Tags
  Op op = Op::kEqual;
  bool negated = false;
  std::string value;
  std::int64_t number = 0;
  std::optional<Regex> expression;

  bool holds(const MemberRow& row) const {
    switch (kind) {
      case Kind::kAnd:
        return left->holds(row) && right->holds(row);
      case Kind::kOr:
        return left->holds(row) || right->holds(row);
      case Kind::kNot:
        return !left->holds(row);
      case Kind::kTest:
        break;
    }
    return test(row) != negated;
  }

 private:
  bool test(const MemberRow& row) const {
    if (field == "Tags" && !key) return op == Op::kEmpty ? row.tags.empty() : row.tags.contains(value);
    if (field != "Name" && field != "Tags") return number_of(row, field) == number;
    std::string_view text = row.name;
    if (key) {
      const auto it = row.tags.find(*key);
      if (it == row.tags.end()) return op == Op::kEmpty;
      text = it->second;
    }
    switch (op) {
      case Op::kEqual:
        return text == value;
      case Op::kMatches:
        return expression->matches(text);
      case Op::kContains:
        return text.find(value) != std::string_view::npos;
      case Op::kEmpty:
        break;
    }
    return text.empty();
  }
};

namespace {

using Node = MemberFilter::Node;

struct Token {
  enum class Kind { kEnd, kWord, kText, kSymbol } kind = Kind::kEnd;
  std::string text;
  std::size_t at = 0;
};

/// Words (selectors and bare values), "quoted" or `quoted` values, and ( ) == != [ ].
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::optional<Error> run(std::vector<Token>& out) {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
        ++at_;
      } else if (c == '"' || c == '`') {
        if (auto error = quoted(c, out)) return error;
      } else if (c == '(' || c == ')' || c == '[' || c == ']') {
        out.push_back({Token::Kind::kSymbol, std::string(1, c), at_++});
      } else if ((c == '=' || c == '!') && text_.substr(at_ + 1).starts_with('=')) {
        out.push_back({Token::Kind::kSymbol, std::string(text_.substr(at_, 2)), at_});
        at_ += 2;
      } else {
        const std::size_t from = at_;
        while (at_ < text_.size() && std::string_view(" \t\r\n\"`()[]=!").find(text_[at_]) == std::string_view::npos) ++at_;
        if (at_ == from) return Error{fmt::format("1:{} ({}): no match found, expected: a selector or a value", from + 1, from)};
        out.push_back({Token::Kind::kWord, std::string(text_.substr(from, at_ - from)), from});
      }
    }
    out.push_back({Token::Kind::kEnd, "", text_.size()});
    return std::nullopt;
  }

 private:
  std::optional<Error> quoted(char quote, std::vector<Token>& out) {
    Token token{Token::Kind::kText, "", at_++};
    while (at_ < text_.size() && text_[at_] != quote) {
      if (quote == '"' && text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      token.text += text_[at_++];
    }
    if (at_ == text_.size()) return Error{fmt::format("1:{} ({}): rule \"string\": Unterminated string literal", token.at + 1, token.at)};
    ++at_;
    out.push_back(std::move(token));
    return std::nullopt;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Result<std::unique_ptr<Node>> run() {
    auto root = any_of(0);
    if (root && !is(Token::Kind::kEnd, "")) root = fail("`and`, `or` or the end");
    if (error_) return *error_;
    return root;
  }

 private:
  const Token& now() const { return tokens_[at_]; }
  bool is(Token::Kind kind, std::string_view text) const { return now().kind == kind && (text.empty() || now().text == text); }
  bool word(std::string_view text) {
    if (!is(Token::Kind::kWord, text)) return false;
    ++at_;
    return true;
  }
  bool symbol(std::string_view text) {
    if (!is(Token::Kind::kSymbol, text)) return false;
    ++at_;
    return true;
  }
  std::unique_ptr<Node> fail(std::string_view expected) {
    if (!error_) error_ = Error{fmt::format("1:{} ({}): no match found, expected: {}", now().at + 1, now().at, expected)};
    return nullptr;
  }
  std::unique_ptr<Node> refuse(std::string text) {
    if (!error_) error_ = Error{std::move(text)};
    return nullptr;
  }
  static std::unique_ptr<Node> joined(Node::Kind kind, std::unique_ptr<Node> left, std::unique_ptr<Node> right) {
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->left = std::move(left);
    node->right = std::move(right);
    return node;
  }

  std::unique_ptr<Node> any_of(int depth) {
    auto left = all_of(depth);
    while (left && word("or")) {
      auto right = all_of(depth);
      if (!right) return nullptr;
      left = joined(Node::Kind::kOr, std::move(left), std::move(right));
    }
    return left;
  }
  std::unique_ptr<Node> all_of(int depth) {
    auto left = term(depth);
    while (left && word("and")) {
      auto right = term(depth);
      if (!right) return nullptr;
      left = joined(Node::Kind::kAnd, std::move(left), std::move(right));
    }
    return left;
  }
  std::unique_ptr<Node> term(int depth) {
    if (depth > kMaxDepth) return refuse("expression is nested too deeply");
    if (word("not")) {
      auto inner = term(depth + 1);
      return inner ? joined(Node::Kind::kNot, std::move(inner), nullptr) : nullptr;
    }
    if (symbol("(")) {
      auto inner = any_of(depth + 1);
      if (inner && !symbol(")")) return fail("`)`");
      return inner;
    }
    return test();
  }

  /// A value is quoted, or a bare word where a value must stand.
  std::optional<std::string> value() {
    if (now().kind != Token::Kind::kText && now().kind != Token::Kind::kWord) {
      fail("a value");
      return std::nullopt;
    }
    return tokens_[at_++].text;
  }

  std::unique_ptr<Node> test() {
    auto node = std::make_unique<Node>();
    const bool value_first = now().kind == Token::Kind::kText ||
                             (now().kind == Token::Kind::kWord && (tokens_[at_ + 1].text == "in" || tokens_[at_ + 1].text == "not") &&
                              tokens_[at_ + 1].kind == Token::Kind::kWord && !selects_next());
    if (value_first) {
      node->value = tokens_[at_++].text;
      node->negated = word("not");
      if (!word("in")) return fail("`in` or `not in`");
      node->op = Op::kContains;
      return selector(*node) ? checked(std::move(node)) : nullptr;
    }
    if (!selector(*node)) return nullptr;
    if (word("is")) {
      node->negated = word("not");
      if (!word("empty")) return fail("`empty`");
      node->op = Op::kEmpty;
      return checked(std::move(node));
    }
    if (symbol("!=")) node->negated = true;
    else if (!symbol("==")) {
      node->negated = word("not");
      if (word("contains")) node->op = Op::kContains;
      else if (word("matches")) node->op = Op::kMatches;
      else return fail("`==`, `!=`, `contains`, `matches`, `is`, `in` or `not`");
    }
    auto given = value();
    if (!given) return nullptr;
    node->value = std::move(*given);
    return checked(std::move(node));
  }

  /// `Name not matches x` begins with a selector, `x not in Tags` with a value.
  bool selects_next() const {
    return tokens_[at_ + 1].text == "not" && (tokens_[at_ + 2].text == "contains" || tokens_[at_ + 2].text == "matches");
  }

  bool selector(Node& node) {
    if (now().kind != Token::Kind::kWord) {
      fail("a selector");
      return false;
    }
    std::string text = tokens_[at_++].text;
    if (const auto dot = text.find('.'); dot != std::string::npos) {
      node.key = text.substr(dot + 1);
      text.resize(dot);
    } else if (symbol("[")) {
      if (now().kind != Token::Kind::kText) {
        fail("a quoted index");
        return false;
      }
      node.key = tokens_[at_++].text;
      if (!symbol("]")) {
        fail("`]`");
        return false;
      }
    }
    node.field = text;
    const bool known = text == "Name" || text == "Tags" || is_number_field(text);
    if (!known || (node.key && text != "Tags")) {
      refuse(text == "Addr" ? std::string("Selector \"Addr\" is not modelled by this version of dcsim")
                            : fmt::format("Selector {:?} is not valid", node.key ? text + "." + *node.key : text));
      return false;
    }
    return true;
  }

  std::unique_ptr<Node> checked(std::unique_ptr<Node> node) {
    const bool number = is_number_field(node->field);
    const bool map = node->field == "Tags" && !node->key;
    if ((number && node->op != Op::kEqual) || (map && (node->op == Op::kEqual || node->op == Op::kMatches))) {
      return refuse(fmt::format("Invalid match operator for selector {:?}", node->field));
    }
    if (number) {
      const char* end = node->value.data() + node->value.size();
      const auto [stop, error] = std::from_chars(node->value.data(), end, node->number);
      if (error != std::errc() || stop != end) return refuse(fmt::format("strconv.ParseInt: parsing {:?}: invalid syntax", node->value));
    }
    if (node->op == Op::kMatches) {
      node->expression = Regex::compile(node->value);
      if (!node->expression) return refuse(go_regexp_error(node->value));
    }
    return node;
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  std::optional<Error> error_;
};

}  // namespace

MemberFilter::MemberFilter(std::unique_ptr<Node> root) : root_(std::move(root)) {}
MemberFilter::MemberFilter(MemberFilter&&) noexcept = default;
MemberFilter& MemberFilter::operator=(MemberFilter&&) noexcept = default;
MemberFilter::~MemberFilter() = default;

Result<MemberFilter> MemberFilter::parse(std::string_view expression) {
  if (expression.size() > kMaxExpression) return Error{"expression is too long"};
  std::vector<Token> tokens;
  if (auto error = Lexer(expression).run(tokens)) return *error;
  tokens.push_back(tokens.back());  // so that one token ahead is always there
  tokens.push_back(tokens.back());
  auto root = Parser(std::move(tokens)).run();
  if (!root) return root.error();
  return MemberFilter(std::move(*root));
}

bool MemberFilter::accepts(const MemberRow& row) const { return root_->holds(row); }

}  // namespace dcsim::consul
