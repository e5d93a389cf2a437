#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trace/metrics.h"

namespace dcsim::scenario {

/// A mistake inside an expression: bytes [from, to) of its text.
struct ExprError {
  std::size_t from = 0;
  std::size_t to = 0;
  std::string message;
  std::string label;  ///< beside the carets
  std::string help;
};

/// One expression of the language that `expect`, `when` and `metrics` share:
///   or, and, not, one comparison (< <= > >= == != =~), + - * /, numbers with % or a unit of time or size, "strings",
///   true, false, aggregates: agg(series{label="x"}[range]), distinct(series, label), p(95)(series), ( ).
/// Parsed once; evaluated from the values of its aggregates. Immutable.
class Expression {
 public:
  struct Node;

  /// nullptr and every error that can be told apart, or the expression. `agent_labels`: the labels that agents of the topology have.
  static std::shared_ptr<const Expression> parse(std::string_view text, std::span<const std::string> agent_labels,
                                                 std::vector<ExprError>& errors);

  const std::string& text() const { return text_; }
  /// What to subscribe to; values for evaluate() come in this order.
  const std::vector<trace::AggregateSpec>& aggregates() const { return aggregates_; }
  /// Where the series of each aggregate stands: bytes [first, second) of the text.
  const std::vector<std::pair<std::size_t, std::size_t>>& series_at() const { return series_at_; }
  /// The unit of the result as the series have it ("s", "B", ""), per second for a rate ("B/s"); "" for truth values.
  const std::string& unit() const { return unit_; }
  /// The plain numbers that the whole is multiplied by: 1000 for `max(sim.join.time) * 1000`, else 1.
  double scale() const { return scale_; }
  /// True if the value is a text, or a list of texts.
  bool is_text() const { return texts_; }
  /// True if it is a condition (a comparison, a truth value) and not a number or text.
  bool is_condition() const { return condition_; }

  /// A number, a text, a list, none, or a truth value as 1 and 0. A comparison with none is false.
  trace::Value evaluate(std::span<const trace::Value> values) const;
  bool holds(std::span<const trace::Value> values) const;
  /// True if the condition is false whatever the aggregates without a value might have said (Kleene's logic: a comparison
  /// with none is unknown, `false and unknown` is false). `always` fails by this, not by mere silence.
  bool refuted(std::span<const trace::Value> values) const;
  /// "count(consul.serf.member.flap) = 3, ..." for every aggregate.
  std::string values_text(std::span<const trace::Value> values) const;

 private:
  friend class ExprParser;
  std::string text_;
  std::vector<trace::AggregateSpec> aggregates_;
  std::vector<std::string> aggregate_texts_;
  std::vector<std::pair<std::size_t, std::size_t>> series_at_;
  std::shared_ptr<const Node> root_;
  std::string unit_;
  double scale_ = 1;
  bool texts_ = false;
  bool condition_ = false;
};

/// `label op "text", ...` as record.packets.match has it, without braces.
std::vector<trace::MatcherSpec> parse_matchers(std::string_view text, std::vector<ExprError>& errors);

/// As `dcsim run` prints values: integers without a point, else six significant digits; texts quoted; "none".
std::string value_text(const trace::Value& value);

}  // namespace dcsim::scenario
