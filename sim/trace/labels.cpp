#include "trace/labels.h"

#include <algorithm>

namespace dcsim::trace {
namespace {

/// The base that `name` stands for in the series, if its values are agents.
std::uint8_t agent_base(const SeriesSpec& spec, std::string_view name) {
  if (const auto i = spec.slot(name)) return agent_valued(name) ? static_cast<std::uint8_t>(*i) : LabelRef::kAbsent;
  if (spec.member && name == "member") return LabelRef::kMember;
  if (!spec.agent.empty() && (name == spec.agent || name == "observer" || name == "node" || name == "agent")) {
    return LabelRef::kObserver;
  }
  return LabelRef::kAbsent;
}

}  // namespace

void AgentLabels::put(NameId agent, std::string_view key, std::string_view value) {
  std::vector<NameId>& values = columns_[column(key)];
  if (agent.index() >= values.size()) values.resize(agent.index() + 1);
  values[agent.index()] = names_.intern(value);
}

void AgentLabels::forget(NameId agent) {
  for (std::vector<NameId>& values : columns_) {
    if (agent.index() < values.size()) values[agent.index()] = NameId::none();
  }
}

std::uint32_t AgentLabels::column(std::string_view key) {
  if (const auto it = keys_.find(key); it != keys_.end()) return it->second;
  const auto column = static_cast<std::uint32_t>(columns_.size());
  keys_.emplace(std::string(key), column);
  columns_.emplace_back();
  return column;
}

NameId AgentLabels::get(std::string_view key, NameId agent) const {
  const auto it = keys_.find(key);
  return it == keys_.end() ? NameId::none() : get(it->second, agent);
}

std::vector<std::string> AgentLabels::keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, column] : keys_) {
    const std::vector<NameId>& values = columns_[column];
    if (std::any_of(values.begin(), values.end(), [](NameId v) { return v.valid(); })) keys.push_back(key);
  }
  return keys;
}

LabelRef LabelRef::find(Series series, std::string_view label, AgentLabels& agents) {
  const SeriesSpec& spec = series_spec(series);
  if (const auto i = spec.slot(label)) return {static_cast<std::uint8_t>(*i), kItself};
  if (const std::uint8_t base = agent_base(spec, label); base != kAbsent) return {base, kItself};
  for (std::size_t at = label.find('_'); at != std::string_view::npos; at = label.find('_', at + 1)) {
    const std::uint8_t base = agent_base(spec, label.substr(0, at));
    if (base != kAbsent) return {base, agents.column(label.substr(at + 1))};
  }
  if (!spec.agent.empty()) return {kObserver, agents.column(label)};
  if (spec.member) return {kMember, agents.column(label)};
  return {};
}

Result<Matcher> Matcher::compile(const MatcherSpec& spec, Series series, AgentLabels& agents, NameTable& names) {
  Matcher matcher;
  matcher.ref_ = LabelRef::find(series, spec.label, agents);
  matcher.op_ = spec.op;
  matcher.text_ = spec.text;
  matcher.verdicts_.resize(names.size(), kUnknown);
  if (spec.op == MatchOp::kEqual || spec.op == MatchOp::kNotEqual) return matcher;
  auto pattern = Pattern::compile(spec.text);
  if (!pattern) return pattern.error();
  matcher.pattern_ = *pattern;
  return matcher;
}

bool Matcher::judge(std::string_view value) const {
  switch (op_) {
    case MatchOp::kEqual:
      return value == text_;
    case MatchOp::kNotEqual:
      return value != text_;
    case MatchOp::kMatches:
    case MatchOp::kNotMatches:
      break;
  }
  return pattern_->matches(value) == (op_ == MatchOp::kMatches);
}

}  // namespace dcsim::trace
