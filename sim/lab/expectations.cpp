#include "lab/expectations.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "consul/agent_config.h"

namespace dcsim::lab {

using consul::go_duration;
using Kind = scenario::Expectation::Kind;

Watched::Watched(std::shared_ptr<const scenario::Expression> expression, trace::MetricHub& hub, const std::vector<std::string>& groups)
    : expression_(std::move(expression)), hub_(&hub) {
  for (trace::AggregateSpec spec : expression_->aggregates()) {
    spec.group_by = groups;
    const auto id = hub.subscribe(spec);
    DCSIM_CHECK_MSG(id.ok(), id.ok() ? std::string() : id.error().text);  // the parser has compiled its regexes
    ids_.push_back(*id);
  }
}

void Watched::open(Instant t) {
  for (const auto id : ids_) hub_->open(id, t);
}

void Watched::close(Instant t) {
  for (const auto id : ids_) {
    if (hub_->is_open(id)) hub_->close(id, t);
  }
}

std::vector<trace::Value> Watched::values(Instant now) const {
  std::vector<trace::Value> out;
  out.reserve(ids_.size());
  for (const auto id : ids_) out.push_back(hub_->read(id, now));
  return out;
}

std::uint64_t Watched::stamp() const {
  std::uint64_t sum = 0;
  for (const auto id : ids_) sum += hub_->stamp(id);
  return sum;
}

Instant Watched::next_change(Instant now) const {
  Instant next = Instant::never();
  for (const auto id : ids_) next = std::min(next, hub_->next_change(id, now));
  return next;
}

std::string_view name_of(Verdict v) { return v == Verdict::kPending ? "undecided" : v == Verdict::kHolds ? "holds" : "fails"; }

ExpectationRun::ExpectationRun(const scenario::Expectation& spec, std::shared_ptr<const scenario::Expression> expression, trace::MetricHub& hub)
    : spec_(&spec), watched_(std::move(expression), hub) {
  outcome_.name = spec.name;
  outcome_.text = spec.expression.text;
  outcome_.warn_only = spec.warn_only;
  static constexpr const char* kNames[] = {"always", "never", "eventually", "finally"};
  outcome_.kind = kNames[static_cast<int>(spec.kind)];
}

void ExpectationRun::open(Instant now, std::uint64_t event) {
  if (open_) return;
  open_ = true;
  opened_at_ = now;
  watched_.open(now);
  if (!closed_) return;
  watched_.close(now);
  settle_empty(now, event);
}

void ExpectationRun::decide(Verdict verdict, Instant now, std::uint64_t event, std::string detail) {
  outcome_.verdict = verdict;
  outcome_.decided_at = now;
  outcome_.event = event;
  outcome_.detail = std::move(detail);
  if (verdict != Verdict::kFails) return;
  for (const auto id : watched_.aggregates()) {
    for (std::string& line : watched_.hub().contributors(id, 4)) outcome_.where.push_back(std::move(line));
  }
}

Instant ExpectationRun::deadline() const { return spec_->within ? opened_at_ + *spec_->within : Instant::never(); }

bool ExpectationRun::check(Instant now, std::uint64_t event) {
  if (!is_open() || decided() || spec_->kind == Kind::kFinally) return false;
  const std::uint64_t stamp = watched_.stamp();
  const bool due = spec_->kind == Kind::kEventually && (now >= deadline() || true_since_);
  if (seen_ && stamp == seen_stamp_ && !due && watched_.next_change(now) > now) return false;
  seen_ = true;
  seen_stamp_ = stamp;
  const auto values = watched_.values(now);
  const bool holds = watched_.expression().holds(values);
  if (spec_->kind == Kind::kEventually) {
    check_eventually(now, event, holds, values);
  } else if (spec_->kind == Kind::kNever) {
    if (holds) decide(Verdict::kFails, now, event, watched_.expression().values_text(values));
  } else {
    // A part that has nothing to look at yet breaks nothing, and excuses nothing else.
    if (watched_.expression().refuted(values)) decide(Verdict::kFails, now, event, watched_.expression().values_text(values));
  }
  return decided();
}

void ExpectationRun::check_eventually(Instant now, std::uint64_t event, bool holds, const std::vector<trace::Value>& values) {
  const Duration hold = spec_->hold_for.value_or(Duration{});
  if (!holds) {
    const bool was_true = true_since_.has_value();
    true_since_.reset();
    if (now >= deadline()) {
      decide(Verdict::kFails, now, event,
             fmt::format("{} {} after {}: {}", was_true ? "did not stay true for" : "not true within",
                         go_duration(was_true ? hold : *spec_->within), spec_->after ? "the window opened" : "the start",
                         watched_.expression().values_text(values)));
    }
    return;
  }
  if (!true_since_) {
    if (now > deadline()) {
      decide(Verdict::kFails, now, event, fmt::format("not true within {}: {}", go_duration(*spec_->within), watched_.expression().values_text(values)));
      return;
    }
    true_since_ = now;
  }
  if (now >= *true_since_ + hold) decide(Verdict::kHolds, now, event, watched_.expression().values_text(values));
}

Instant ExpectationRun::wake_at(Instant now) const {
  if (!is_open() || decided() || spec_->kind == Kind::kFinally) return Instant::never();
  Instant next = watched_.next_change(now);
  // A value that drifts with time (a rate) is looked at ten times a second, not every nanosecond.
  if (next != Instant::never()) next = std::max(next, now + 100_ms);
  if (spec_->kind == Kind::kEventually) {
    if (true_since_ && spec_->hold_for) next = std::min(next, *true_since_ + *spec_->hold_for);
    else if (deadline() > now) next = std::min(next, deadline());
  }
  return next;
}

void ExpectationRun::close(Instant now, std::uint64_t event) {
  if (closed_) return;
  if (!open_) {
    closed_ = true;  // should it open yet, it is empty
    return;
  }
  if (now == opened_at_ && !decided()) {
    watched_.close(now);
    closed_ = true;
    return settle_empty(now, event);
  }
  check(now, event);
  watched_.close(now);
  closed_ = true;
  settle(now, event);
}

/// Nothing was looked at: what must always hold or never come about is not broken, what must come about has not.
void ExpectationRun::settle_empty(Instant now, std::uint64_t event) {
  empty_ = true;
  static constexpr const char* kWhy = "its window was closed when it opened: nothing was looked at";
  if (spec_->kind == Kind::kEventually) decide(Verdict::kFails, now, event, kWhy);
  else if (spec_->kind != Kind::kFinally) decide(Verdict::kHolds, now, event, kWhy);
}

/// The window has closed.
void ExpectationRun::settle(Instant now, std::uint64_t event) {
  if (decided() || spec_->kind == Kind::kFinally) return;
  if (spec_->kind == Kind::kEventually) {
    const auto values = watched_.values(now);
    const std::string what = true_since_ ? fmt::format("did not stay true for {} before the window closed: ", go_duration(spec_->hold_for.value_or(Duration{})))
                                         : std::string("not true before the window closed: ");
    decide(Verdict::kFails, now, event, what + watched_.expression().values_text(values));
  } else {
    decide(Verdict::kHolds, now, event, watched_.expression().values_text(watched_.values(now)));
  }
}

bool ExpectationRun::finish(Instant now, std::uint64_t event, bool cut, const std::string& shut) {
  if (decided()) return false;
  if (cut && !(open_ && closed_)) {
    check(now, event);  // may be decided at the last instant
    if (decided()) return true;
    outcome_.decided_at = now;
    outcome_.event = event;
    outcome_.detail = open_ ? "the run was cut short before its window closed" : "the run was cut short before its window opened";
    return false;
  }
  if (!open_) {
    decide(Verdict::kFails, now, event, "its window never opened: " + shut);
    return true;
  }
  if (spec_->kind == Kind::kFinally) {
    const auto values = watched_.values(now);
    decide(watched_.expression().holds(values) ? Verdict::kHolds : Verdict::kFails, now, event, watched_.expression().values_text(values));
    return true;
  }
  if (!closed_) {  // at the end, even a window that has just opened is looked at
    check(now, event);
    watched_.close(now);
    closed_ = true;
    settle(now, event);
  }
  return true;
}

}  // namespace dcsim::lab
