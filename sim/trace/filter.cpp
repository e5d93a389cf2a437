#include "trace/filter.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <optional>

#include "trace/pattern.h"
#include "trace/render.h"

namespace dcsim::trace {
namespace {

enum class Op : std::uint8_t { kEqual, kNotEqual, kMatches, kNotMatches };

struct Term {
  std::string key;  // empty: the whole described line
  Op op = Op::kEqual;
  std::string value;
  std::optional<Pattern> pattern;
};

bool known_field(std::string_view key) {
  if (key == "ev" || key == "node" || key == "n" || key == "t" || key == "cause") return true;
  for (std::size_t i = 0; i < kEvCount; ++i) {
    for (const FieldSpec& f : kind_spec(static_cast<std::uint16_t>(i)).fields()) {
      if (f.name == key) return true;
    }
  }
  return false;
}

/// "KEY op VALUE"; a term without an operator is a pattern for the whole line.
Term split(std::string_view text) {
  Term term;
  const std::size_t at = text.find_first_of("=!");
  const std::string_view ops = at == std::string_view::npos ? "" : text.substr(at, 2);
  std::size_t width = 0;
  if (ops == "=~")
    term.op = Op::kMatches, width = 2;
  else if (ops == "!~")
    term.op = Op::kNotMatches, width = 2;
  else if (ops == "!=")
    term.op = Op::kNotEqual, width = 2;
  else if (!ops.empty() && ops[0] == '=')
    term.op = Op::kEqual, width = ops.size() > 1 && ops[1] == '=' ? 2 : 1;
  if (width == 0) {
    term.op = Op::kMatches;
    term.value = text;
    return term;
  }
  term.key = text.substr(0, at);
  term.value = text.substr(at + width);
  return term;
}

bool event_matches(std::string_view pattern, std::string_view name) {
  if (!pattern.empty() && pattern.back() == '*') return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == name;
}

}  // namespace

struct Filter::State {
  bool any_event = true;
  std::array<bool, kEvCount> events{};
  std::int64_t since = std::numeric_limits<std::int64_t>::min();
  std::int64_t until = std::numeric_limits<std::int64_t>::max();
  std::vector<Term> terms;

  std::string add(const std::string& text) {
    Term term = split(text);
    if (term.key == "ev" && term.op == Op::kEqual) return add_events(term.value);
    if ((term.key == "since" || term.key == "until") && term.op == Op::kEqual) {
      if (!parse_duration(term.value, term.key == "since" ? since : until)) {
        return fmt::format("`{}` is no time: write 90s, 1m30s or seconds", term.value);
      }
      return "";
    }
    if (!term.key.empty() && !known_field(term.key)) return fmt::format("no record has a field `{}`", term.key);
    if (term.op == Op::kMatches || term.op == Op::kNotMatches) {
      auto pattern = Pattern::compile(term.value);
      if (!pattern) return pattern.error().text;
      term.pattern = *pattern;
    }
    terms.push_back(std::move(term));
    return "";
  }

  std::string add_events(std::string_view list) {
    any_event = false;
    while (!list.empty()) {
      const std::string_view one = list.substr(0, list.find(','));
      list.remove_prefix(std::min(list.size(), one.size() + 1));
      bool found = false;
      for (std::size_t i = 0; i < kEvCount; ++i) {
        if (!event_matches(one, kind_spec(static_cast<std::uint16_t>(i)).name)) continue;
        events[i] = found = true;
      }
      if (!found) return fmt::format("no event is called `{}`", one);
    }
    return "";
  }
};

Filter::Filter() : state_(std::make_unique<State>()) {}
Filter::~Filter() = default;
Filter::Filter(Filter&&) noexcept = default;
Filter& Filter::operator=(Filter&&) noexcept = default;

Result<Filter> Filter::parse(std::span<const std::string> terms) {
  Filter filter;
  for (const std::string& term : terms) {
    if (const std::string problem = filter.state_->add(term); !problem.empty()) return Error{problem};
  }
  return filter;
}

bool Filter::accepts(std::uint64_t number, const Record& r, const Recording& names) const {
  const State& s = *state_;
  if (r.t < s.since || r.t >= s.until) return false;
  if (!s.any_event && (r.ev >= kEvCount || !s.events[r.ev])) return false;
  for (const Term& term : s.terms) {
    std::string text = term.key.empty() ? describe(r, names) : field_text(r, number, term.key, names);
    if (term.key.empty()) text = fmt::format("{} {}", names.text(r.node), text);
    const bool holds = term.pattern ? term.pattern->found_in(text) : text == term.value;
    if (holds == (term.op == Op::kNotEqual || term.op == Op::kNotMatches)) return false;
  }
  return true;
}

std::int64_t Filter::since() const { return state_->since; }
std::int64_t Filter::until() const { return state_->until; }

}  // namespace dcsim::trace
