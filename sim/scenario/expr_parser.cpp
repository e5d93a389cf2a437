#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "scenario/expr_node.h"

namespace dcsim::scenario {

namespace {

constexpr std::size_t kMaxText = 16 * 1024;
constexpr int kMaxDepth = 64;
constexpr std::size_t kMaxAggregates = 256;
constexpr int kMaxOperators = 500;  // the tree of a chain is as deep as the chain is long

bool is_word_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
/// Series names have dots and dashes inside ("consul.rpc.cross-dc").
bool is_word(char c) { return is_word_start(c) || is_digit(c) || c == '.' || c == '-'; }

struct Token {
  enum class Kind { kEnd, kWord, kNumber, kString, kSymbol, kBad } kind = Kind::kEnd;
  std::string_view text;
  std::string value;  ///< kString: unescaped
  double number = 0;
  std::string unit;   ///< kNumber: "%", "ms", "KiB", ...
  std::size_t from = 0, to = 0;
};

struct Function {
  std::string_view name;
  trace::AggregateFn fn;
};
constexpr Function kFunctions[] = {
    {"all", trace::AggregateFn::kAll},     {"any", trace::AggregateFn::kAny},           {"avg", trace::AggregateFn::kAvg},
    {"count", trace::AggregateFn::kCount}, {"distinct", trace::AggregateFn::kDistinct}, {"max", trace::AggregateFn::kMax},
    {"med", trace::AggregateFn::kMed},     {"min", trace::AggregateFn::kMin},           {"p", trace::AggregateFn::kQuantile},
    {"rate", trace::AggregateFn::kRate},   {"sum", trace::AggregateFn::kSum},           {"value", trace::AggregateFn::kValue}};

constexpr std::string_view kFunctionList = "all, any, avg, count, distinct, max, med, min, p(N), rate, sum, value";

class Lexer {
 public:
  Lexer(std::string_view text, std::vector<ExprError>& errors) : text_(text), errors_(errors) { next(); }

  const Token& peek() const { return token_; }
  Token take() {
    Token t = token_;
    next();
    return t;
  }
  bool accept(std::string_view symbol) {
    if (token_.text != symbol || token_.kind == Token::Kind::kString) return false;
    next();
    return true;
  }

 private:
  void next() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
    token_ = {};
    token_.from = at_;
    if (at_ < text_.size()) {
      const char c = text_[at_];
      if (is_word_start(c)) word();
      else if (is_digit(c)) number();
      else if (c == '"' || c == '\'') string(c);
      else symbol();
    }
    token_.to = at_;
    token_.text = text_.substr(token_.from, at_ - token_.from);
  }

  void word() {
    token_.kind = Token::Kind::kWord;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    // "a-b" is one name, but "x - 1" and "x -1" are not: a dash or dot at the end belongs to what follows.
    while (text_[at_ - 1] == '-' || text_[at_ - 1] == '.') --at_;
  }

  void number() {
    token_.kind = Token::Kind::kNumber;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), token_.number, std::chars_format::fixed);
    at_ += static_cast<std::size_t>(end - begin);
    if (error != std::errc{}) {
      errors_.push_back({token_.from, at_, "the number is too large", "", ""});
      token_.kind = Token::Kind::kBad;
      return;
    }
    const std::size_t unit = at_;
    if (at_ < text_.size() && text_[at_] == '%') ++at_;
    else while (at_ < text_.size() && is_word_start(text_[at_])) ++at_;
    token_.unit = text_.substr(unit, at_ - unit);
    // 1m30s: further parts of a duration
    while (trace::seconds_per(token_.unit) > 0 && at_ < text_.size() && is_digit(text_[at_])) {
      double more = 0;
      const auto [stop, bad] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), more, std::chars_format::fixed);
      if (bad != std::errc{}) break;
      at_ = static_cast<std::size_t>(stop - text_.data());
      const std::size_t from = at_;
      while (at_ < text_.size() && is_word_start(text_[at_])) ++at_;
      const double scale = trace::seconds_per(text_.substr(from, at_ - from));
      token_.number = token_.number * trace::seconds_per(token_.unit) + more * scale;
      token_.unit = scale > 0 ? "s" : "?";
    }
  }

  void string(char quote) {
    token_.kind = Token::Kind::kString;
    ++at_;
    while (at_ < text_.size() && text_[at_] != quote) {
      // Only the quote and the backslash before a quote are escapes: \d and the like stay for regular expressions.
      if (text_[at_] == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] == quote) ++at_;
      token_.value += text_[at_++];
    }
    if (at_ == text_.size()) {
      errors_.push_back({token_.from, at_, "the string does not end", "", fmt::format("close it with {}", quote)});
      token_.kind = Token::Kind::kBad;
    } else {
      ++at_;
    }
  }

  void symbol() {
    token_.kind = Token::Kind::kSymbol;
    static constexpr std::string_view kTwo[] = {"<=", ">=", "==", "!=", "=~", "!~"};
    for (const std::string_view s : kTwo) {
      if (text_.substr(at_, 2) == s) {
        at_ += 2;
        return;
      }
    }
    ++at_;
    while (at_ < text_.size() && (static_cast<unsigned char>(text_[at_]) & 0xC0) == 0x80) ++at_;  // whole UTF-8 characters
  }

  std::string_view text_;
  std::vector<ExprError>& errors_;
  std::size_t at_ = 0;
  Token token_;
};

bool looks_unit(std::string_view u) { return u.empty() || u == "%" || trace::seconds_per(u) > 0 || trace::convert_unit(1, u, "B"); }

trace::MatchOp match_op(std::string_view s) {
  return s == "=" ? trace::MatchOp::kEqual : s == "!=" ? trace::MatchOp::kNotEqual : s == "=~" ? trace::MatchOp::kMatches : trace::MatchOp::kNotMatches;
}

bool compiles(const std::string& pattern, const Token& at, std::vector<ExprError>& errors) {
  if (pattern.size() > 1024) {
    errors.push_back({at.from, at.to, "the regular expression is longer than 1024 bytes", "", ""});
    return false;
  }
  if (trace::Pattern::compile(pattern)) return true;
  errors.push_back({at.from, at.to, "the regular expression does not compile", "", "the syntax is ECMAScript's"});
  return false;
}

}  // namespace

/// Recursive descent over the grammar; one error a construct, then it gives up on the rest.
class ExprParser {
 public:
  using Node = Expression::Node;
  using NodePtr = std::shared_ptr<Node>;

  ExprParser(std::string_view text, std::span<const std::string> agent_labels, std::vector<ExprError>& errors)
      : text_(text), agent_labels_(agent_labels), errors_(errors), lexer_(text, errors) {}

  std::shared_ptr<const Expression> run() {
    auto expression = std::make_shared<Expression>();
    NodePtr root = disjunction();
    if (root && lexer_.peek().kind != Token::Kind::kEnd) fail(lexer_.peek(), "unexpected text after the expression", "", "");
    if (!errors_.empty() || !root) return nullptr;
    expression->text_ = text_;
    expression->aggregates_ = std::move(aggregates_);
    expression->aggregate_texts_ = std::move(aggregate_texts_);
    expression->unit_ = root->is_condition() ? "" : root->unit;
    expression->condition_ = root->is_condition();
    expression->root_ = root;
    return expression;
  }

  std::vector<trace::MatcherSpec> matchers_only() {
    std::vector<trace::MatcherSpec> out;
    matchers(out, nullptr, "");
    if (errors_.empty() && lexer_.peek().kind != Token::Kind::kEnd) fail(lexer_.peek(), "expected `,` between matchers", "", "");
    return out;
  }

 private:
  NodePtr fail(const Token& at, std::string message, std::string label, std::string help) {
    if (errors_.empty() || errors_.back().from != at.from) {
      errors_.push_back({at.from, std::max(at.to, at.from + (at.from < text_.size() ? 1 : 0)), std::move(message), std::move(label), std::move(help)});
    }
    return nullptr;
  }

  NodePtr fail_at(const Node& n, std::string message, std::string help = {}) {
    Token t;
    t.from = n.from;
    t.to = n.to;
    return fail(t, std::move(message), "", std::move(help));
  }

  NodePtr binary(Node::Kind kind, Node::Op op, NodePtr left, NodePtr right) {
    if (!left || !right) return nullptr;
    if (++operators_ > kMaxOperators) return fail_at(*right, fmt::format("the expression has more than {} operators", kMaxOperators));
    auto n = std::make_shared<Node>();
    n->kind = kind;
    n->op = op;
    n->from = left->from;
    n->to = right->to;
    n->left = std::move(left);
    n->right = std::move(right);
    return n;
  }

  NodePtr disjunction() {
    if (++depth_ > kMaxDepth) return fail(lexer_.peek(), "the expression is nested too deeply", "", "");
    NodePtr left = conjunction();
    while (left && lexer_.accept("or")) left = binary(Node::Kind::kOr, Node::Op::kNone, left, conjunction());
    --depth_;
    return left;
  }

  NodePtr conjunction() {
    NodePtr left = negation();
    while (left && lexer_.accept("and")) left = binary(Node::Kind::kAnd, Node::Op::kNone, left, negation());
    return left;
  }

  NodePtr negation() {
    const Token t = lexer_.peek();
    if (!lexer_.accept("not")) return comparison();
    NodePtr inner = comparison();
    if (!inner) return nullptr;
    auto n = std::make_shared<Node>();
    n->kind = Node::Kind::kNot;
    n->from = t.from;
    n->to = inner->to;
    n->left = std::move(inner);
    return n;
  }

  NodePtr comparison() {
    NodePtr left = sum();
    if (!left) return nullptr;
    struct Row {
      std::string_view text;
      Node::Op op;
    };
    static constexpr Row kOps[] = {{"<", Node::Op::kLess},   {"<=", Node::Op::kLessEqual}, {">", Node::Op::kGreater},
                                   {">=", Node::Op::kGreaterEqual}, {"==", Node::Op::kEqual},     {"!=", Node::Op::kNotEqual},
                                   {"=~", Node::Op::kMatches}};
    const Token t = lexer_.peek();
    if (t.kind != Token::Kind::kSymbol) return left;
    if (t.text == "=") return fail(t, "`=` compares nothing", "did you mean `==`?", "");
    for (const Row& row : kOps) {
      if (t.text != row.text) continue;
      lexer_.take();
      const Token right_token = lexer_.peek();
      NodePtr right = sum();
      if (!right) return nullptr;
      if (row.op == Node::Op::kMatches) {
        if (right->kind != Node::Kind::kText) return fail(right_token, "`=~` needs a regular expression in quotes", "", "");
        if (!compiles(right->text, right_token, errors_)) return nullptr;
        right->pattern = *trace::Pattern::compile(right->text);
      }
      NodePtr n = binary(Node::Kind::kCompare, row.op, left, right);
      if (!n || !same_kind(*n) || !settle_units(*n)) return nullptr;
      const Token again = lexer_.peek();
      for (const Row& other : kOps) {
        if (again.kind == Token::Kind::kSymbol && again.text == other.text) {
          return fail(again, "comparisons do not chain", "", "write `a < b and b < c`");
        }
      }
      return n;
    }
    return left;
  }

  NodePtr sum() {
    NodePtr left = product();
    while (left && (lexer_.peek().text == "+" || lexer_.peek().text == "-") && lexer_.peek().kind == Token::Kind::kSymbol) {
      const Node::Op op = lexer_.take().text == "+" ? Node::Op::kAdd : Node::Op::kSubtract;
      left = binary(Node::Kind::kArithmetic, op, left, product());
      if (left && (!numbers(*left) || !settle_units(*left))) return nullptr;
    }
    return left;
  }

  NodePtr product() {
    NodePtr left = term();
    while (left && (lexer_.peek().text == "*" || lexer_.peek().text == "/") && lexer_.peek().kind == Token::Kind::kSymbol) {
      const Node::Op op = lexer_.take().text == "*" ? Node::Op::kMultiply : Node::Op::kDivide;
      left = binary(Node::Kind::kArithmetic, op, left, term());
      if (!left || !numbers(*left)) return nullptr;
      const bool both = !left->left->unit.empty() && !left->right->unit.empty();
      if (op == Node::Op::kDivide && both) {
        if (!settle_units(*left)) return nullptr;
        left->unit.clear();  // a ratio
        continue;
      }
      left->unit = op == Node::Op::kMultiply && left->left->unit.empty() ? left->right->unit : left->left->unit;
      left->literal_unit = !both && (left->left->literal_unit || left->right->literal_unit);
    }
    return left;
  }

  bool numbers(const Node& n) {
    for (const Node* side : {n.left.get(), n.right.get()}) {
      if (side->texts || side->is_condition()) return fail_at(*side, "only numbers can be calculated with"), false;
    }
    return true;
  }

  /// A text and a number are never equal: comparing them is a slip.
  bool same_kind(const Node& n) {
    if (n.op == Node::Op::kMatches && !n.left->texts) return fail_at(*n.left, "only a text can match a regular expression"), false;
    if (n.left->texts != n.right->texts) return fail_at(n, "a text is compared with a number"), false;
    return true;
  }

  /// Brings both sides to one unit: a literal takes the unit of the other side, else the right side that of the left.
  /// Two units that do not convert are a mistake; so is a duration or a size against a bare number of things.
  bool settle_units(Node& n) {
    Node& a = *n.left;
    Node& b = *n.right;
    const bool follow_right = a.literal_unit && !b.literal_unit;
    n.unit = follow_right || a.unit.empty() ? b.unit : a.unit;
    n.literal_unit = n.kind == Node::Kind::kArithmetic && a.literal_unit && b.literal_unit;
    if (a.unit == b.unit) return true;
    const Node* literal = follow_right ? &a : b.literal_unit ? &b : nullptr;
    const Node* other = literal == &a ? &b : &a;
    if (literal && other->unit.empty()) return fail_at(*literal, "a plain number is compared with one that has a unit"), false;
    if (a.unit.empty() || b.unit.empty()) return true;
    const auto factor = follow_right ? trace::convert_unit(1, a.unit, b.unit) : trace::convert_unit(1, b.unit, a.unit);
    if (factor) {
      scale(follow_right ? n.left : n.right, n.unit, *factor);
      return true;
    }
    if (!literal && !has_scale(a.unit) && !has_scale(b.unit)) return true;  // events against packets: both are counts
    return fail_at(literal ? *literal : b, fmt::format("`{}` and `{}` do not convert", literal ? literal->unit : b.unit, other->unit)), false;
  }

  static bool has_scale(std::string_view unit) {
    if (unit.ends_with("/s")) unit.remove_suffix(2);
    return trace::seconds_per(unit) > 0 || trace::convert_unit(1, unit, "B");
  }

  void scale(NodePtr& side, const std::string& unit, double factor) {
    if (side->kind == Node::Kind::kNumber) {
      side->number = *trace::convert_unit(side->number, side->unit, unit);  // exact where a factor is not
    } else if (factor != 1) {
      auto by = std::make_shared<Node>();
      by->number = factor < 1 ? std::round(1 / factor) : factor;
      auto n = std::make_shared<Node>();
      n->kind = Node::Kind::kArithmetic;
      n->op = factor < 1 ? Node::Op::kDivide : Node::Op::kMultiply;
      n->from = side->from;
      n->to = side->to;
      n->left = side;
      n->right = std::move(by);
      side = std::move(n);
    }
    side->unit = unit;
  }

  NodePtr term() {
    const Token t = lexer_.peek();
    switch (t.kind) {
      case Token::Kind::kNumber: return number(1);
      case Token::Kind::kString: {
        auto n = leaf(lexer_.take(), Node::Kind::kText);
        n->text = t.value;
        n->texts = true;
        return n;
      }
      case Token::Kind::kWord: return word();
      case Token::Kind::kSymbol:
        if (lexer_.accept("-")) {
          if (lexer_.peek().kind != Token::Kind::kNumber) return fail(lexer_.peek(), "expected a number after `-`", "", "");
          return number(-1);
        }
        if (lexer_.accept("(")) {
          NodePtr inner = disjunction();
          if (inner && !lexer_.accept(")")) return fail(lexer_.peek(), "expected `)`", "", "");
          return inner;
        }
        return fail(t, fmt::format("unexpected `{}`", t.text), "", "expected a number, a string, an aggregate such as count(...), or (");
      case Token::Kind::kBad: return nullptr;
      case Token::Kind::kEnd: return fail(t, "the expression ends too early", "", "expected a number, a string, an aggregate such as count(...), or (");
    }
    return nullptr;
  }

  NodePtr leaf(const Token& t, Node::Kind kind) {
    auto n = std::make_shared<Node>();
    n->kind = kind;
    n->from = t.from;
    n->to = t.to;
    return n;
  }

  NodePtr number(int sign) {
    const Token t = lexer_.take();
    if (!looks_unit(t.unit)) return fail(t, fmt::format("unknown unit `{}`", t.unit), "", "units: %, ns, us, ms, s, m, h, B, KB, KiB, MB, MiB, GB, GiB");
    auto n = leaf(t, Node::Kind::kNumber);
    n->number = sign * t.number;
    if (t.unit == "%") {
      n->number /= 100;
    } else if (const double seconds = trace::seconds_per(t.unit); seconds > 0) {
      n->number *= seconds;
      n->unit = "s";
      n->literal_unit = true;
    } else if (!t.unit.empty()) {
      n->number = *trace::convert_unit(n->number, t.unit, "B");
      n->unit = "B";
      n->literal_unit = true;
    }
    return n;
  }

  NodePtr word() {
    const Token t = lexer_.take();
    if (t.text == "true" || t.text == "false") {
      auto n = leaf(t, Node::Kind::kTruth);
      n->truth = t.text == "true";
      return n;
    }
    for (const Function& f : kFunctions) {
      if (f.name == t.text) return aggregate(t, f.fn);
    }
    if (trace::find_series(t.text)) {
      return fail(t, fmt::format("the series `{}` needs an aggregate", t.text), "", fmt::format("for example count({}); aggregates: {}", t.text, kFunctionList));
    }
    if (lexer_.peek().text == "(") return fail(t, fmt::format("unknown aggregate `{}`", t.text), "", fmt::format("aggregates: {}", kFunctionList));
    return fail(t, fmt::format("unexpected `{}`", t.text), "", "texts are written in quotes");
  }

  NodePtr aggregate(const Token& name, trace::AggregateFn fn) {
    trace::AggregateSpec spec;
    spec.fn = fn;
    if (!lexer_.accept("(")) return fail(lexer_.peek(), fmt::format("expected `(` after `{}`", name.text), "", "");
    if (fn == trace::AggregateFn::kQuantile) {
      const Token n = lexer_.take();
      if (n.kind != Token::Kind::kNumber || !n.unit.empty() || n.number < 0 || n.number > 100) return fail(n, "p takes a percentile from 0 to 100", "", "p(95)(series)");
      spec.p = n.number;
      if (!lexer_.accept(")") || !lexer_.accept("(")) return fail(lexer_.peek(), "expected `(series)` after the percentile", "", "p(95)(series)");
    }
    if (!series(spec)) return nullptr;
    const auto& info = trace::series_spec(spec.series);
    if (lexer_.accept(",")) {
      const Token label = lexer_.take();
      if (label.kind != Token::Kind::kWord) return fail(label, "expected a label", "", "");
      if (fn != trace::AggregateFn::kDistinct) return fail(label, fmt::format("`{}` takes no label", name.text), "", "only distinct(series, label) does");
      if (!check_label(label, spec.series, info.name)) return nullptr;
      spec.label = label.text;
    } else if (fn == trace::AggregateFn::kDistinct) {
      return fail(lexer_.peek(), "distinct needs a label", "", "distinct(series, label)");
    }
    const std::size_t end = lexer_.peek().to;
    if (!lexer_.accept(")")) return fail(lexer_.peek(), "expected `)`", "", "");
    if (info.text && needs_numbers(fn)) {
      return fail(name, fmt::format("the values of `{}` are texts", info.name), "", "use value, all, any, count or distinct");
    }
    if (aggregates_.size() >= kMaxAggregates) return fail(name, "too many aggregates", "", "");
    auto n = leaf(name, Node::Kind::kAggregate);
    n->to = end;
    n->aggregate = aggregates_.size();
    n->texts = info.text && (fn == trace::AggregateFn::kValue || fn == trace::AggregateFn::kAll || fn == trace::AggregateFn::kAny);
    const bool counts = fn == trace::AggregateFn::kCount || fn == trace::AggregateFn::kDistinct || fn == trace::AggregateFn::kRate;
    n->unit = counts ? "" : std::string(info.unit);
    if (fn == trace::AggregateFn::kRate && trace::convert_unit(1, info.unit, "B")) n->unit = "";
    aggregates_.push_back(std::move(spec));
    aggregate_texts_.emplace_back(text_.substr(name.from, end - name.from));
    return n;
  }

  static bool needs_numbers(trace::AggregateFn fn) {
    using F = trace::AggregateFn;
    return fn == F::kSum || fn == F::kAvg || fn == F::kMin || fn == F::kMax || fn == F::kMed || fn == F::kQuantile;
  }

  bool series(trace::AggregateSpec& spec) {
    const Token t = lexer_.take();
    const auto found = t.kind == Token::Kind::kWord ? trace::find_series(t.text) : std::nullopt;
    if (!found) {
      std::string near;
      for (const std::string_view s : trace::suggest_series(t.text)) near += fmt::format("{}`{}`", near.empty() ? "" : ", ", s);
      fail(t, t.kind == Token::Kind::kWord ? fmt::format("unknown series `{}`", t.text) : "expected the name of a series",
           near.empty() ? "" : fmt::format("did you mean {}?", near), "`dcsim series` lists them all");
      return false;
    }
    spec.series = *found;
    if (lexer_.accept("{")) {
      if (!matchers(spec.matchers, &spec, trace::series_spec(*found).name)) return false;
      if (!lexer_.accept("}")) {
        fail(lexer_.peek(), "expected `,` or `}`", "", "");
        return false;
      }
    }
    if (lexer_.accept("[")) {
      const Token range = lexer_.take();
      const double seconds = trace::seconds_per(range.unit);
      if (range.kind != Token::Kind::kNumber || seconds <= 0 || range.number <= 0 || range.number * seconds > 1e9) {
        fail(range, "a range is a duration", "", "for example [30s]");
        return false;
      }
      spec.range = Duration{static_cast<std::int64_t>(range.number * seconds * 1e9 + 0.5)};
      if (!lexer_.accept("]")) {
        fail(lexer_.peek(), "expected `]`", "", "");
        return false;
      }
    }
    return true;
  }

  bool check_label(const Token& label, trace::Series series, std::string_view name) {
    if (trace::label_known(series, label.text, agent_labels_)) return true;
    std::string known, near;
    std::size_t best = 3;
    for (const std::string& l : trace::labels_of(series, agent_labels_)) {
      known += (known.empty() ? "" : ", ") + l;
      if (const std::size_t d = trace::edit_distance(l, label.text); d < best) best = d, near = l;
    }
    fail(label, fmt::format("`{}` has no label `{}`", name, label.text), near.empty() ? "" : fmt::format("did you mean `{}`?", near),
         "labels: " + known);
    return false;
  }

  bool matchers(std::vector<trace::MatcherSpec>& out, const trace::AggregateSpec* spec, std::string_view name) {
    if (lexer_.peek().text == "}" || lexer_.peek().kind == Token::Kind::kEnd) return true;
    do {
      const Token label = lexer_.take();
      if (label.kind != Token::Kind::kWord) {
        fail(label, "expected a label", "", "label=\"value\"; operators: = != =~ !~");
        return false;
      }
      if (spec && !check_label(label, spec->series, name)) return false;
      const Token op = lexer_.take();
      if (op.text != "=" && op.text != "!=" && op.text != "=~" && op.text != "!~") {
        fail(op, fmt::format("expected = != =~ or !~ after the label `{}`", label.text), op.text == "==" ? "did you mean `=`?" : "", "");
        return false;
      }
      const Token value = lexer_.take();
      if (value.kind != Token::Kind::kString) {
        fail(value, "a label's value is written in quotes", "", "");
        return false;
      }
      trace::MatcherSpec m{std::string(label.text), match_op(op.text), value.value};
      const bool regex = m.op == trace::MatchOp::kMatches || m.op == trace::MatchOp::kNotMatches;
      if (regex && !compiles(m.text, value, errors_)) return false;
      out.push_back(std::move(m));
    } while (lexer_.accept(","));
    return true;
  }

  std::string_view text_;
  std::span<const std::string> agent_labels_;
  std::vector<ExprError>& errors_;
  Lexer lexer_;
  int depth_ = 0;
  int operators_ = 0;
  std::vector<trace::AggregateSpec> aggregates_;
  std::vector<std::string> aggregate_texts_;
};

std::shared_ptr<const Expression> Expression::parse(std::string_view text, std::span<const std::string> agent_labels,
                                                    std::vector<ExprError>& errors) {
  if (text.size() > kMaxText) {
    errors.push_back({0, 1, "the expression is longer than 16 KiB", "", ""});
    return nullptr;
  }
  std::vector<ExprError> mine;
  auto parsed = ExprParser(text, agent_labels, mine).run();
  errors.insert(errors.end(), mine.begin(), mine.end());
  return parsed;
}

std::vector<trace::MatcherSpec> parse_matchers(std::string_view text, std::vector<ExprError>& errors) {
  if (text.size() > kMaxText) {
    errors.push_back({0, 1, "the matchers are longer than 16 KiB", "", ""});
    return {};
  }
  std::vector<ExprError> mine;
  auto out = ExprParser(text, {}, mine).matchers_only();
  errors.insert(errors.end(), mine.begin(), mine.end());
  return out;
}

}  // namespace dcsim::scenario
