#pragma once
#include <memory>
#include <optional>
#include <string>

#include "scenario/expr.h"
#include "trace/pattern.h"

namespace dcsim::scenario {

/// One node of an expression tree.
struct Expression::Node {
  enum class Kind { kNumber, kText, kTruth, kAggregate, kNot, kAnd, kOr, kCompare, kArithmetic };
  enum class Op { kNone, kLess, kLessEqual, kGreater, kGreaterEqual, kEqual, kNotEqual, kMatches, kAdd, kSubtract, kMultiply, kDivide };

  Kind kind = Kind::kNumber;
  Op op = Op::kNone;
  double number = 0;
  bool truth = false;
  std::string text;
  std::size_t aggregate = 0;
  bool texts = false;      ///< the value is a text, or a list of texts
  std::string unit;        ///< of the value; literals: "s", "B", "B/s" or "/s" as normalised
  bool literal_unit = false;  ///< a literal that has a unit and follows the other side's
  double by = 1;              ///< what plain numbers multiply the value's unit by: 1000 in max(x) * 1000
  bool broken = false;        ///< has been reported: nothing more is said about it
  std::optional<trace::Pattern> pattern;  ///< right side of =~
  std::shared_ptr<Node> left, right;
  std::size_t from = 0, to = 0;

  bool is_condition() const {
    return kind == Kind::kTruth || kind == Kind::kNot || kind == Kind::kAnd || kind == Kind::kOr || kind == Kind::kCompare;
  }
};

}  // namespace dcsim::scenario
