#include <fmt/format.h>

#include <array>
#include <cmath>
#include <optional>

#include "scenario/expr_lexer.h"
#include "scenario/expr_node.h"
#include "scenario/expr_units.h"

namespace dcsim::scenario {

namespace {

using Token = ExprToken;

constexpr std::size_t kMaxText = 16 * 1024;
constexpr int kMaxDepth = 64;
constexpr std::size_t kMaxAggregates = 256;
constexpr std::size_t kMaxErrors = 20;
constexpr int kMaxOperators = 500;  // the tree of a chain is as deep as the chain is long

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

trace::MatchOp match_op(std::string_view s) {
  return s == "=" ? trace::MatchOp::kEqual : s == "!=" ? trace::MatchOp::kNotEqual : s == "=~" ? trace::MatchOp::kMatches : trace::MatchOp::kNotMatches;
}

bool compiles(const std::string& pattern, const Token& at, std::vector<ExprError>& errors) {
  if (pattern.size() > 1024) {
    errors.push_back({at.from, at.to, "the regular expression is longer than 1024 bytes", "", ""});
    return false;
  }
  const auto compiled = trace::Pattern::compile(pattern);
  if (compiled) return true;
  errors.push_back({at.from, at.to, compiled.error().text, "", "the syntax is Go's (RE2): no look-around, no back-references"});
  return false;
}

}  // namespace

/// Recursive descent over the grammar. What is wrong but well-formed (an unknown series, two units that do not convert) is
/// reported and read on; after a mistake of form the next `and` or `or` outside brackets is where reading goes on.
class ExprParser {
 public:
  using Node = Expression::Node;
  using NodePtr = std::shared_ptr<Node>;

  ExprParser(std::string_view text, std::span<const std::string> agent_labels, std::vector<ExprError>& errors)
      : text_(text), agent_labels_(agent_labels), errors_(errors), lexer_(text, errors) {}

  std::shared_ptr<const Expression> run() {
    auto expression = std::make_shared<Expression>();
    NodePtr root = disjunction();
    if (root && errors_.empty() && lexer_.peek().kind != Token::Kind::kEnd) fail(lexer_.peek(), "unexpected text after the expression", "", "");
    if (!errors_.empty() || !root) return nullptr;
    expression->text_ = text_;
    expression->aggregates_ = std::move(aggregates_);
    expression->aggregate_texts_ = std::move(aggregate_texts_);
    expression->series_at_ = std::move(series_at_);
    expression->unit_ = root->is_condition() ? "" : root->unit;
    expression->scale_ = root->by;
    expression->texts_ = root->texts && !root->is_condition();
    expression->condition_ = root->is_condition();
    expression->root_ = root;
    return expression;
  }

  std::vector<trace::MatcherSpec> matchers_only() {
    std::vector<trace::MatcherSpec> out;
    bool sound = true;
    matchers(out, nullptr, "", sound);
    if (errors_.empty() && lexer_.peek().kind != Token::Kind::kEnd) fail(lexer_.peek(), "expected `,` between matchers", "", "");
    return out;
  }

 private:
  NodePtr fail(const Token& at, std::string message, std::string label, std::string help) {
    if (errors_.size() < kMaxErrors && (errors_.empty() || errors_.back().from != at.from)) {
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

  /// Reports a node that is complete but makes no sense, and keeps it.
  NodePtr broken(NodePtr n, const Token& at, std::string message, std::string label = {}, std::string help = {}) {
    fail(at, std::move(message), std::move(label), std::move(help));
    n->broken = true;
    return n;
  }

  /// An operand that could not be read, at the outermost level: skips to where the next one begins.
  NodePtr recovered(NodePtr n) {
    if (n || depth_ != 1) return n;
    while (lexer_.peek().kind != Token::Kind::kEnd &&
           (lexer_.open() > 0 || (lexer_.peek().text != "and" && lexer_.peek().text != "or"))) {
      lexer_.take();
    }
    n = leaf(lexer_.peek(), Node::Kind::kTruth);
    n->broken = true;
    return n;
  }

  NodePtr binary(Node::Kind kind, Node::Op op, NodePtr left, NodePtr right) {
    if (!left || !right) return nullptr;
    if (++operators_ > kMaxOperators) return fail_at(*right, fmt::format("the expression has more than {} operators", kMaxOperators));
    auto n = std::make_shared<Node>();
    n->kind = kind;
    n->op = op;
    n->from = left->from;
    n->to = right->to;
    n->broken = left->broken || right->broken;
    n->left = std::move(left);
    n->right = std::move(right);
    return n;
  }

  NodePtr disjunction() {
    if (++depth_ > kMaxDepth) {
      --depth_;
      return fail(lexer_.peek(), "the expression is nested too deeply", "", "");
    }
    NodePtr left = conjunction();
    while (left && lexer_.accept("or")) left = binary(Node::Kind::kOr, Node::Op::kNone, left, conjunction());
    --depth_;
    return left;
  }

  NodePtr conjunction() {
    NodePtr left = recovered(negation());
    while (left && lexer_.accept("and")) left = binary(Node::Kind::kAnd, Node::Op::kNone, left, recovered(negation()));
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
    n->broken = inner->broken;
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
        if (right->kind != Node::Kind::kText) broken(right, right_token, "`=~` needs a regular expression in quotes");
        else if (!compiles(right->text, right_token, errors_)) right->broken = true;
        else right->pattern = *trace::Pattern::compile(right->text);
      }
      NodePtr n = binary(Node::Kind::kCompare, row.op, left, right);
      if (!n) return nullptr;
      n->broken = n->broken || !same_kind(*n) || !settle_units(*n);
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
      if (left) left->broken = left->broken || !numbers(*left) || !settle_units(*left);
    }
    return left;
  }

  NodePtr product() {
    NodePtr left = term();
    while (left && (lexer_.peek().text == "*" || lexer_.peek().text == "/") && lexer_.peek().kind == Token::Kind::kSymbol) {
      const Node::Op op = lexer_.take().text == "*" ? Node::Op::kMultiply : Node::Op::kDivide;
      left = binary(Node::Kind::kArithmetic, op, left, term());
      if (left) left->broken = left->broken || !numbers(*left) || !unit_of_product(*left);
    }
    return left;
  }

  /// Ratios lose their unit; something by a time is a rate, and a rate times a time is none.
  bool unit_of_product(Node& n) {
    const bool both = !n.left->unit.empty() && !n.right->unit.empty();
    const UnitSpec a = unit_spec(n.left->unit);
    const UnitSpec b = unit_spec(n.right->unit);
    const bool by_time = b.dimension == Dimension::kTime && !b.rate();
    if (by_time && a.dimension != Dimension::kTime && a.rate() == (n.op == Node::Op::kMultiply)) {
      scale(n.right, "s", *convert(1, n.right->unit, "s"));
      n.unit = a.rate() ? n.left->unit.substr(0, n.left->unit.rfind('/')) : n.left->unit + "/s";
      return true;
    }
    if (n.op == Node::Op::kDivide && both) {
      if (!settle_units(n)) return false;
      n.unit.clear();
      return true;
    }
    n.unit = n.op == Node::Op::kMultiply && n.left->unit.empty() ? n.right->unit : n.left->unit;
    n.literal_unit = !both && (n.left->literal_unit || n.right->literal_unit);
    const auto plain = [](const Node& side) { return side.kind == Node::Kind::kNumber && side.unit.empty(); };
    if (plain(*n.right)) n.by = n.op == Node::Op::kMultiply ? n.left->by * n.right->number : n.left->by / n.right->number;
    else if (plain(*n.left) && n.op == Node::Op::kMultiply) n.by = n.right->by * n.left->number;
    return true;
  }

  bool numbers(const Node& n) {
    if (n.broken) return true;
    for (const Node* side : {n.left.get(), n.right.get()}) {
      if (side->texts || side->is_condition()) return fail_at(*side, "only numbers can be calculated with"), false;
    }
    return true;
  }

  /// A text and a number are never equal: comparing them is a slip.
  bool same_kind(const Node& n) {
    if (n.broken) return true;
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
    if (n.broken || a.unit == b.unit) return true;
    Node* literal = follow_right ? &a : b.literal_unit ? &b : nullptr;
    const Node* other = literal == &a ? &b : &a;
    // rate(...) > 1KiB: what is compared with bytes per second is bytes per second.
    if (literal && literal->unit == "B" && unit_spec(other->unit).rate()) literal->unit = "B/s";
    if (literal && other->unit.empty()) return fail_at(*literal, "a plain number is compared with one that has a unit"), false;
    if (a.unit.empty() || b.unit.empty()) return true;
    const auto factor = follow_right ? convert(1, a.unit, b.unit) : convert(1, b.unit, a.unit);
    if (factor) {
      scale(follow_right ? n.left : n.right, n.unit, *factor);  // events against packets: both are counts
      return true;
    }
    return fail_at(literal ? *literal : b, fmt::format("`{}` and `{}` do not convert", literal ? literal->unit : b.unit, other->unit)), false;
  }

  void scale(NodePtr& side, const std::string& unit, double factor) {
    if (side->kind == Node::Kind::kNumber) {
      side->number = *convert(side->number, side->unit, unit);  // exact where a factor is not
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
    auto n = leaf(t, Node::Kind::kNumber);
    n->number = sign * t.number;
    if (!t.unit.empty() && t.unit != "%" && !literal_unit_known(t.unit)) {
      return broken(n, t, fmt::format("unknown unit `{}`", t.unit), "",
                    "units: %, ns, us, ms, s, m, h, d, B, KB, KiB, MB, MiB, GB, GiB, kbit, Mbit, Gbit; each also per time: KiB/s, 5/min");
    }
    if (t.unit == "%") {
      n->number /= 100;
    } else if (!t.unit.empty()) {
      const UnitSpec spec = unit_spec(t.unit);
      n->unit = spec.dimension == Dimension::kTime ? "s" : spec.dimension == Dimension::kSize ? "B" : "";
      if (spec.rate()) n->unit += "/s";
      n->number = *convert(n->number, t.unit, n->unit);
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
    if (const auto series = trace::find_series(t.text)) {
      trace::AggregateSpec spec;
      spec.series = *series;
      bool sound = true;
      auto n = broken(leaf(t, Node::Kind::kNumber), t, fmt::format("the series `{}` needs an aggregate", t.text), "",
                      fmt::format("for example count({}); aggregates: {}", t.text, kFunctionList));
      return series_tail(spec, true, sound) ? n : nullptr;
    }
    if (lexer_.peek().text == "(") {
      fail(t, fmt::format("unknown aggregate `{}`", t.text), "", fmt::format("aggregates: {}", kFunctionList));
      NodePtr n = aggregate(t, trace::AggregateFn::kCount);
      if (n) n->broken = true;
      return n;
    }
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
    bool sound = true;
    if (!series(spec, sound)) return nullptr;
    const auto& info = trace::series_spec(sound ? spec.series : trace::Series{});
    if (lexer_.accept(",")) {
      const Token label = lexer_.take();
      if (label.kind != Token::Kind::kWord) return fail(label, "expected a label", "", "");
      if (fn != trace::AggregateFn::kDistinct) return fail(label, fmt::format("`{}` takes no label", name.text), "", "only distinct(series, label) does");
      if (known_series_ && !check_label(label, spec.series, info.name)) sound = false;
      spec.label = label.text;
    } else if (fn == trace::AggregateFn::kDistinct) {
      return fail(lexer_.peek(), "distinct needs a label", "", "distinct(series, label)");
    }
    const std::size_t end = lexer_.peek().to;
    if (!lexer_.accept(")")) return fail(lexer_.peek(), "expected `)`", "", "");
    auto n = leaf(name, Node::Kind::kAggregate);
    n->to = end;
    n->broken = !sound;
    if (!sound) return n;
    if (info.text && needs_numbers(fn))
      return broken(n, name, fmt::format("the values of `{}` are texts", info.name), "", "use value, all, any, count or distinct");
    if (aggregates_.size() >= kMaxAggregates) return fail(name, "too many aggregates", "", "");
    n->aggregate = aggregates_.size();
    n->texts = info.text && (fn == trace::AggregateFn::kValue || fn == trace::AggregateFn::kAll || fn == trace::AggregateFn::kAny);
    n->unit = unit_of(fn, info);
    aggregates_.push_back(std::move(spec));
    aggregate_texts_.emplace_back(text_.substr(name.from, end - name.from));
    series_at_.push_back(at_series_);
    return n;
  }

  /// A number of happenings has no unit; of bytes, their count is their sum.
  static std::string unit_of(trace::AggregateFn fn, const trace::SeriesSpec& info) {
    using F = trace::AggregateFn;
    const bool bytes = info.kind == trace::SeriesKind::kCounter && unit_spec(info.unit).has_scale();
    if (fn == F::kRate) return info.kind == trace::SeriesKind::kCounter ? std::string(info.unit) + "/s" : "/s";
    if (fn == F::kDistinct || (fn == F::kCount && !bytes)) return "";
    return std::string(info.unit);
  }

  static bool needs_numbers(trace::AggregateFn fn) {
    using F = trace::AggregateFn;
    return fn == F::kSum || fn == F::kAvg || fn == F::kMin || fn == F::kMax || fn == F::kMed || fn == F::kQuantile;
  }

  /// False if what stands there is no series in form; `sound` turns false if it has been reported and was read on.
  bool series(trace::AggregateSpec& spec, bool& sound) {
    const Token t = lexer_.take();
    const auto found = t.kind == Token::Kind::kWord ? trace::find_series(t.text) : std::nullopt;
    if (!found) {
      std::string near;
      for (const std::string_view s : trace::suggest_series(t.text)) near += fmt::format("{}`{}`", near.empty() ? "" : ", ", s);
      fail(t, t.kind == Token::Kind::kWord ? fmt::format("unknown series `{}`", t.text) : "expected the name of a series",
           near.empty() ? "" : fmt::format("did you mean {}?", near), "`dcsim series` lists them all");
      if (t.kind != Token::Kind::kWord) return false;
      sound = false;
    } else {
      spec.series = *found;
    }
    at_series_ = {t.from, t.to};
    known_series_ = found.has_value();
    return series_tail(spec, known_series_, sound);
  }

  /// {matchers}[range]; labels are looked up where the series is known.
  bool series_tail(trace::AggregateSpec& spec, bool known, bool& sound) {
    if (lexer_.accept("{")) {
      const std::string_view name = known ? trace::series_spec(spec.series).name : std::string_view();
      if (!matchers(spec.matchers, known ? &spec : nullptr, name, sound)) return false;
      if (!lexer_.accept("}")) {
        fail(lexer_.peek(), "expected `,` or `}`", "", "");
        return false;
      }
    }
    if (lexer_.accept("[")) {
      const Token range = lexer_.take();
      const double seconds = trace::seconds_per(range.unit);
      if (range.kind != Token::Kind::kNumber) {
        fail(range, "a range is a duration", "", "for example [30s]");
        return false;
      }
      if (seconds <= 0 || range.number <= 0 || range.number * seconds > 1e9) {
        fail(range, "a range is a duration", "", "for example [30s]");
        sound = false;
      }
      spec.range = sound ? Duration{static_cast<std::int64_t>(range.number * seconds * 1e9 + 0.5)} : Duration{};
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

  bool matchers(std::vector<trace::MatcherSpec>& out, const trace::AggregateSpec* spec, std::string_view name, bool& sound) {
    if (lexer_.peek().text == "}" || lexer_.peek().kind == Token::Kind::kEnd) return true;
    do {
      const Token label = lexer_.take();
      if (label.kind != Token::Kind::kWord) {
        fail(label, "expected a label", "", "label=\"value\"; operators: = != =~ !~");
        return false;
      }
      if (spec && !check_label(label, spec->series, name)) sound = false;
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
      if (regex && !compiles(m.text, value, errors_)) sound = false;
      out.push_back(std::move(m));
    } while (lexer_.accept(","));
    return true;
  }

  std::string_view text_;
  std::span<const std::string> agent_labels_;
  std::vector<ExprError>& errors_;
  ExprLexer lexer_;
  int depth_ = 0;
  int operators_ = 0;
  std::vector<trace::AggregateSpec> aggregates_;
  std::vector<std::string> aggregate_texts_;
  std::vector<std::pair<std::size_t, std::size_t>> series_at_;
  std::pair<std::size_t, std::size_t> at_series_;  ///< of the series read last
  bool known_series_ = false;                      ///< likewise
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
