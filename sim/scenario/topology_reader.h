#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "scenario/file_store.h"
#include "scenario/reader.h"
#include "scenario/topology.h"

namespace dcsim::scenario {

/// `link.NAME.ATTRIBUTE = value` from --set or a sweep's cell, as a one-key map.
struct LinkSet {
  std::string link;
  const Node* map = nullptr;
};

/// Reads one topology document into its typed form. One use each.
class TopologyReader {
 public:
  /// `noted` collects the agent keys already listed as ignored.
  TopologyReader(Reading& reading, FileStore& files, const LoadOptions& options, std::set<std::string>& noted)
      : r_(reading), files_(files), options_(options), noted_(noted) {}

  /// Never null; with errors in the reading's diagnostics it may be incomplete.
  std::shared_ptr<Topology> read(const Value& document, const std::vector<LinkSet>& link_sets);

  /// Firewall rules are also read from the timeline.
  static FirewallRule read_rule(MapReader& reader, const Topology& topology);

 private:
  void read_defaults(MapReader& document);
  void read_zones(MapReader& document);
  void check_overlaps();
  void read_zone(std::string_view name, SourceSpan at, const Value& value);
  LinkAttributes read_attributes(const Value& value);
  void warn_about(MapReader& reader, const LinkOverrides& link, bool access);
  Fabric read_fabric(const Value& value);
  void check_size(MapReader& reader, const Fabric& fabric);

  void read_datacenters(MapReader& document);
  AgentKind prevailing_kind(const Value& datacenters);
  void read_group(std::uint32_t datacenter, const Value& value);
  std::shared_ptr<const ConfigValue> read_config(MapReader& reader, AgentKind kind);
  void expand(MapReader& reader, AgentGroup group, std::int64_t count, std::optional<Address> first, bool in_zone);
  void place(std::uint32_t agent, std::uint32_t address, const SourceSpan& at, bool& reported);
  void allot();

  void read_links(MapReader& document, const std::vector<LinkSet>& link_sets);
  void resolve_end(LinkEnd& end, const std::unordered_map<std::string, int>& uses);
  void read_matrix(MapReader& document);
  void matrix_row(const std::vector<std::string>& cells, const SourceSpan& at);
  void apply(const std::vector<LinkSet>& link_sets);

  void read_services(MapReader& document);
  void read_firewalls(MapReader& document);
  void read_firewall(const Value& value, std::size_t number);
  void read_dns(MapReader& document);
  void read_nat(MapReader& document);
  void check_nat();
  void refuse_graph(MapReader& document);

  Reading& r_;
  FileStore& files_;
  const LoadOptions& options_;
  std::set<std::string>& noted_;
  std::shared_ptr<Topology> t_;
  LinkOverrides default_link_;
  std::optional<ConfigValue> default_config_;
  AgentKind default_config_kind_ = AgentKind::kConsul;    ///< kSerf if the document has Serf agents only
  std::vector<LinkOverrides> link_overrides_;             ///< as given, parallel to t_->links
  std::unordered_map<std::uint32_t, std::string> taken_;  ///< address -> who has it
  std::vector<bool> placed_;
  std::vector<SourceSpan> inside_at_;  ///< beside t_->nat: where its inside address stands
  std::set<std::string> agent_names_;
  std::map<std::string, SourceSpan> firewall_names_;
};

/// Ports as a firewall or a service lists them, services of the topology expanded, repeats removed.
std::vector<PortRange> read_ports(Reading& reading, const Value& value, const std::string& what,
                                  const Topology& topology);

}  // namespace dcsim::scenario
