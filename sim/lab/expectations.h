#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "scenario/expr.h"
#include "scenario/scenario.h"
#include "trace/metrics.h"

namespace dcsim::lab {

/// An expression with its subscriptions in a hub.
class Watched {
 public:
  /// `groups`: labels that each aggregate is grouped by as well (metrics).
  Watched(std::shared_ptr<const scenario::Expression> expression, trace::MetricHub& hub, const std::vector<std::string>& groups = {});

  void open(Instant t);
  void close(Instant t);
  /// Values now, in the expression's order.
  std::vector<trace::Value> values(Instant now) const;
  std::uint64_t stamp() const;
  /// When the passing of time alone may change the value; never() if it does not.
  Instant next_change(Instant now) const;
  const scenario::Expression& expression() const { return *expression_; }
  const std::vector<trace::AggregateId>& aggregates() const { return ids_; }
  trace::MetricHub& hub() const { return *hub_; }

 private:
  std::shared_ptr<const scenario::Expression> expression_;
  trace::MetricHub* hub_;
  std::vector<trace::AggregateId> ids_;
};

enum class Verdict : std::uint8_t { kPending, kHolds, kFails };
std::string_view name_of(Verdict v);  ///< "undecided", "holds", "fails"

/// What became of one expectation of the scenario (or of one step's `expect`).
struct Outcome {
  std::string name;
  std::string kind;  ///< "always", "never", "eventually", "finally", "step"
  std::string text;  ///< the expression, or the command line
  Verdict verdict = Verdict::kPending;  ///< pending at the end: the run was cut short before it was decided
  bool warn_only = false;
  Instant decided_at;
  std::uint64_t event = 0;         ///< number of the event after which it was decided
  std::string detail;              ///< values or difference that broke it
  std::vector<std::string> where;  ///< label sets that contributed
};

/// The state machine of one `always | never | eventually | finally`.
///
/// Driven from outside: open() and close() when its window's ends pass, check() after every event that may have changed it and
/// at wake_at(), finish() at the end of the run.
class ExpectationRun {
 public:
  ExpectationRun(const scenario::Expectation& spec, std::shared_ptr<const scenario::Expression> expression, trace::MetricHub& hub);

  void open(Instant now, std::uint64_t event);
  void close(Instant now, std::uint64_t event);
  /// True if this call decided the verdict.
  bool check(Instant now, std::uint64_t event);
  /// `cut`: the run ends before the scenario does; what is not decided stays so. `shut`: why its window never opened, if
  /// it did not.
  bool finish(Instant now, std::uint64_t event, bool cut, const std::string& shut);
  /// The window has closed before it opened, or when it did: nothing was looked at.
  bool is_empty() const { return empty_; }
  /// The next instant at which time alone may decide something; never() if none.
  Instant wake_at(Instant now) const;

  bool decided() const { return outcome_.verdict != Verdict::kPending; }
  bool is_open() const { return open_ && !closed_; }
  const Outcome& outcome() const { return outcome_; }
  const scenario::Expectation& spec() const { return *spec_; }

 private:
  void decide(Verdict verdict, Instant now, std::uint64_t event, std::string detail);
  void settle(Instant now, std::uint64_t event);
  void settle_empty(Instant now, std::uint64_t event);
  void check_eventually(Instant now, std::uint64_t event, bool holds, const std::vector<trace::Value>& values);
  Instant deadline() const;

  const scenario::Expectation* spec_;
  Watched watched_;
  Outcome outcome_;
  bool open_ = false;
  bool closed_ = false;
  bool empty_ = false;
  Instant opened_at_;
  std::optional<Instant> true_since_;
  std::uint64_t seen_stamp_ = 0;
  bool seen_ = false;
};

}  // namespace dcsim::lab
