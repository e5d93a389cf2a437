#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "scenario/reader.h"
#include "scenario/scenario.h"

namespace dcsim::scenario {

/// Reads one scenario document, whose topology is known, into its typed form. One use each.
class ScenarioReader {
 public:
  ScenarioReader(Reading& reading, std::shared_ptr<const Topology> topology, std::set<std::string>& noted)
      : r_(reading), topology_(std::move(topology)), noted_(noted) {}

  /// `topologies` are the names a sweep may vary `topology` over.
  Scenario read(const Value& document, const std::vector<std::string>& topologies);

 private:
  // timeline_reader.cpp
  void read_timeline(MapReader& document);
  void name_steps(const std::vector<Value>& items);
  void name_insert(const Value& action, Reading& quiet);
  void read_step(const Value& value, Step& step);
  void read_trigger(MapReader& reader, Step& step);
  void read_action(MapReader& reader, Step& step);
  void warn_unused(MapReader& reader, std::string_view action);
  std::optional<ProcessAction> process_action(MapReader& reader, std::string_view key, ProcessAction::Kind kind);
  RunAction run_action(MapReader& reader, const std::optional<Selector>& agent);
  std::optional<RunExpect> run_expect(MapReader& reader);
  HostAction host_action(MapReader& reader, std::string_view key, HostAction::Kind kind,
                         const std::optional<Selector>& agent);
  void read_clock(MapReader& reader, HostAction& action);
  void read_slowness(MapReader& reader, HostAction& action);
  void check_cycles();
  void check_times();
  void check_rules();
  bool add_rule(const std::string& firewall, const std::string& rule);

  // step_actions.cpp
  FirewallAction firewall_action(const Value& value);
  void insert_rule(const Entry& entry, FirewallAction& action);
  void find_rule(const SpannedText& text, FirewallAction& action);
  std::string known_firewall(const SpannedText& name);
  PartitionAction partition_action(const Value& value);
  void check_sides(const std::vector<Selector>& sides);
  ImpairAction impair_action(const Value& value);
  void impair_link(const SpannedText& link, ImpairAction& action);

  // scenario_reader.cpp
  std::optional<TimeRef> step_ref(MapReader& reader, std::string_view key, bool step_only);
  void check_selector(const std::optional<Selector>& selector);
  void check_command(const SpannedText& command);
  void check_window(MapReader& reader, const std::optional<TimeRef>& after, const std::optional<TimeRef>& until);
  void check_opening(MapReader& reader, const std::optional<TimeRef>& after);
  std::optional<Duration> known_time(const TimeRef& ref) const;
  void read_faults(MapReader& document);
  void read_fault_spec(const Value& value, Fault& fault);
  void read_fault_kind(std::string_view kind, const KeyTable& table, const Value& value, Fault& fault);
  void read_workload(MapReader& document);
  void read_record(MapReader& document);
  void read_expect(MapReader& document);
  void read_metrics(MapReader& document);
  void read_sweep(MapReader& document, const std::vector<std::string>& topologies);
  void read_matrix(const Entry& entry, Sweep& sweep, const std::vector<std::string>& topologies);
  void check_link_value(std::string_view name, const Value& item, const std::string& text);
  bool sweepable(std::string_view name, const SourceSpan& at);
  std::vector<Assignment> assignments(MapReader& reader, std::string_view key);

  Reading& r_;
  std::shared_ptr<const Topology> topology_;
  std::set<std::string>& noted_;
  Scenario s_;
  std::unordered_map<std::string, std::uint32_t> steps_;
  std::map<std::string, std::set<std::string>> rules_;  ///< firewall -> its rules, inserted ones included
  std::unordered_map<std::string, std::vector<std::string>> rule_owners_;  ///< the same the other way round
  /// An insert or a delete, for the names that come and go.
  struct RuleChange {
    std::string firewall, rule;
    std::uint32_t step = 0;
    bool inserts = false;
    SourceSpan at;
  };
  std::vector<RuleChange> rule_changes_;
  std::uint32_t step_ = 0;  ///< the one being read
  std::unordered_map<std::string, std::uint32_t> links_;
  std::vector<std::optional<Duration>> times_;  ///< beside s_.timeline: when a step first runs, where the file tells
};

}  // namespace dcsim::scenario
