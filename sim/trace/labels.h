#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/name_table.h"
#include "base/result.h"
#include "trace/metrics.h"
#include "trace/pattern.h"

namespace dcsim::trace {

/// Labels of agents by column: label key -> agent's NameId -> value.
class AgentLabels {
 public:
  explicit AgentLabels(NameTable& names) : names_(names) {}

  void put(NameId agent, std::string_view key, std::string_view value);
  void forget(NameId agent);
  /// The column of a key, made empty if there is none.
  std::uint32_t column(std::string_view key);
  NameId get(std::uint32_t column, NameId agent) const {
    const std::vector<NameId>& values = columns_[column];
    return agent.index() < values.size() ? values[agent.index()] : NameId::none();
  }
  NameId get(std::string_view key, NameId agent) const;
  /// Keys that some agent has, sorted.
  std::vector<std::string> keys() const;

 private:
  NameTable& names_;
  std::map<std::string, std::uint32_t, std::less<>> keys_;
  std::vector<std::vector<NameId>> columns_;
};

/// Where a label of a series is found in an emission.
struct LabelRef {
  static constexpr std::uint8_t kObserver = kMaxSlots;
  static constexpr std::uint8_t kMember = kMaxSlots + 1;
  static constexpr std::uint8_t kAbsent = kMaxSlots + 2;
  static constexpr std::uint32_t kItself = 0xffffffffu;
  std::uint8_t base = kAbsent;
  std::uint32_t column = kItself;

  /// A label by name; what the series does not have is absent everywhere.
  static LabelRef find(Series series, std::string_view label, AgentLabels& agents);
  /// The value; "absent" and the empty string are both NameId 0.
  // Hot: two array reads.
  NameId value(const LabelValues& labels, const AgentLabels& agents) const {
    NameId id = base < kMaxSlots    ? labels.slot[base]
                : base == kObserver ? labels.observer
                : base == kMember   ? labels.member
                                    : NameId{0};
    if (column != kItself) id = agents.get(column, id);
    return id.valid() ? id : NameId{0};
  }
};

/// One `label op "text"`, with its verdict on each label value remembered.
class Matcher {
 public:
  static Result<Matcher> compile(const MatcherSpec& spec, Series series, AgentLabels& agents, NameTable& names);

  // Hot: an array read once a value is known.
  bool matches(const LabelValues& labels, const AgentLabels& agents, const NameTable& names) {
    const NameId id = ref_.value(labels, agents);
    if (id.index() >= verdicts_.size()) [[unlikely]]
      verdicts_.resize(names.size(), kUnknown);
    std::uint8_t& verdict = verdicts_[id.index()];
    if (verdict == kUnknown) [[unlikely]]
      verdict = judge(names.text(id)) ? kYes : kNo;
    return verdict == kYes;
  }

 private:
  enum : std::uint8_t { kUnknown, kYes, kNo };
  bool judge(std::string_view value) const;

  LabelRef ref_;
  MatchOp op_ = MatchOp::kEqual;
  std::string text_;
  std::optional<Pattern> pattern_;
  std::vector<std::uint8_t> verdicts_;
};

}  // namespace dcsim::trace
