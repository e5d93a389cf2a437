#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "scenario/expr_node.h"

namespace dcsim::scenario {

namespace {

using Node = Expression::Node;
using trace::Value;

bool truthy(const Value& v) { return v.kind == Value::Kind::kNumber ? v.number != 0 : v.kind != Value::Kind::kNone; }

bool compare(const Node& node, const Value& a, const Value& b) {
  using Op = Node::Op;
  if (node.op == Op::kMatches) return a.kind == Value::Kind::kText && node.right->pattern && node.right->pattern->found_in(a.text);
  if (a.kind != b.kind || a.kind == Value::Kind::kNone || a.kind == Value::Kind::kList) {
    return node.op == Op::kNotEqual && a.kind != Value::Kind::kNone && b.kind != Value::Kind::kNone && a.kind != b.kind;
  }
  const auto decide = [&](const auto& x, const auto& y) {
    switch (node.op) {
      case Op::kLess: return x < y;
      case Op::kLessEqual: return x <= y;
      case Op::kGreater: return x > y;
      case Op::kGreaterEqual: return x >= y;
      case Op::kEqual: return x == y;
      default: return x != y;
    }
  };
  return a.kind == Value::Kind::kText ? decide(a.text, b.text) : decide(a.number, b.number);
}

Value arithmetic(const Node& node, const Value& a, const Value& b) {
  if (a.kind != Value::Kind::kNumber || b.kind != Value::Kind::kNumber) return Value::none();
  switch (node.op) {
    case Node::Op::kAdd: return Value::of(a.number + b.number);
    case Node::Op::kSubtract: return Value::of(a.number - b.number);
    case Node::Op::kMultiply: return Value::of(a.number * b.number);
    default: return b.number == 0 ? Value::none() : Value::of(a.number / b.number);
  }
}

enum class Truth : std::uint8_t { kFalse, kUnknown, kTrue };

class Evaluator {
 public:
  Evaluator(std::span<const Value> values, const std::vector<trace::AggregateSpec>& specs) : values_(values), specs_(specs) {}

  Value operator()(const Node& n) const {
    switch (n.kind) {
      case Node::Kind::kNumber: return Value::of(n.number);
      case Node::Kind::kText: return Value::of(std::string_view(n.text));
      case Node::Kind::kTruth: return Value::of(n.truth ? 1.0 : 0.0);
      case Node::Kind::kAggregate: return values_[n.aggregate];
      case Node::Kind::kNot: return Value::of(truthy((*this)(*n.left)) ? 0.0 : 1.0);
      case Node::Kind::kAnd: return Value::of(truthy((*this)(*n.left)) && truthy((*this)(*n.right)) ? 1.0 : 0.0);
      case Node::Kind::kOr: return Value::of(truthy((*this)(*n.left)) || truthy((*this)(*n.right)) ? 1.0 : 0.0);
      case Node::Kind::kCompare: return Value::of(compare_lists(n) ? 1.0 : 0.0);
      case Node::Kind::kArithmetic: return arithmetic(n, (*this)(*n.left), (*this)(*n.right));
    }
    return Value::none();
  }

  /// Kleene's three values; orders false < unknown < true, so that and is the least and or the greatest.
  Truth truth(const Node& n) const {
    switch (n.kind) {
      case Node::Kind::kNot: {
        const Truth inner = truth(*n.left);
        return inner == Truth::kUnknown ? inner : inner == Truth::kTrue ? Truth::kFalse : Truth::kTrue;
      }
      case Node::Kind::kAnd: return std::min(truth(*n.left), truth(*n.right));
      case Node::Kind::kOr: return std::max(truth(*n.left), truth(*n.right));
      default: break;
    }
    const bool compares = n.kind == Node::Kind::kCompare;
    if (compares && (silent((*this)(*n.left)) || silent((*this)(*n.right)))) return Truth::kUnknown;
    const Value value = (*this)(n);
    if (silent(value)) return Truth::kUnknown;
    return truthy(value) ? Truth::kTrue : Truth::kFalse;
  }

 private:
  /// Values that disagree are something to look at; no value is nothing.
  static bool silent(const Value& v) { return v.kind == Value::Kind::kNone && !v.ambiguous; }

  /// `all(...)` compares every value and holds for none at all; `any(...)` some value.
  bool compare_lists(const Node& n) const {
    const Value a = (*this)(*n.left);
    const Value b = (*this)(*n.right);
    if (a.kind == Value::Kind::kList) {
      return over(a, *n.left, [&](const Value& each) {
        if (b.kind != Value::Kind::kList) return compare(n, each, b);
        return over(b, *n.right, [&](const Value& other) { return compare(n, each, other); });
      });
    }
    if (b.kind == Value::Kind::kList) {
      return over(b, *n.right, [&](const Value& each) { return compare(n, a, each); });
    }
    return compare(n, a, b);
  }

  template <class F>
  bool over(const Value& list, const Node& side, F&& f) const {
    const bool any = side.kind == Node::Kind::kAggregate && specs_[side.aggregate].fn == trace::AggregateFn::kAny;
    return any ? std::any_of(list.list.begin(), list.list.end(), f) : std::all_of(list.list.begin(), list.list.end(), f);
  }

  std::span<const Value> values_;
  const std::vector<trace::AggregateSpec>& specs_;
};

}  // namespace

Value Expression::evaluate(std::span<const Value> values) const { return Evaluator(values, aggregates_)(*root_); }

bool Expression::holds(std::span<const Value> values) const { return truthy(evaluate(values)); }

bool Expression::refuted(std::span<const Value> values) const {
  return Evaluator(values, aggregates_).truth(*root_) == Truth::kFalse;
}

std::string Expression::values_text(std::span<const Value> values) const {
  std::string out;
  for (std::size_t i = 0; i < aggregates_.size(); ++i) {
    out += fmt::format("{}{} = {}", out.empty() ? "" : ", ", aggregate_texts_[i], value_text(values[i]));
    if (values[i].ambiguous) out += " (label sets differ)";
  }
  return out;
}

std::string value_text(const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNone: return "none";
    case Value::Kind::kText: return "\"" + value.text + "\"";
    case Value::Kind::kNumber:
      if (value.number == 0) return "0";  // not "-0"
      return std::floor(value.number) == value.number && std::abs(value.number) < 1e15 ? fmt::format("{:.0f}", value.number)
                                                                                       : fmt::format("{:.6g}", value.number);
    case Value::Kind::kList: {
      std::string out = "[";
      for (std::size_t i = 0; i < value.list.size(); ++i) {
        if (i == 8) {
          out += fmt::format(", ... {} more", value.list.size() - 8);
          break;
        }
        out += (i ? ", " : "") + value_text(value.list[i]);
      }
      return out + "]";
    }
  }
  return {};
}

}  // namespace dcsim::scenario
