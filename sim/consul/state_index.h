#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "consul/state_fold.h"

namespace dcsim::consul {

/// The "index" table of Consul's state store: the Raft index of the last change to each table, to each service name
/// and to each node, and of the last extinction of a service or a node. Blocking queries answer with these.
class StateIndexes {
 public:
  enum Table : std::uint8_t { kNodes, kServices, kChecks, kKvs, kTombstones, kSessions, kCoordinates };
  static constexpr std::size_t kTables = 7;
  static constexpr std::string_view kNames[kTables] = {"nodes",      "services", "checks",     "kvs",
                                                       "tombstones", "sessions", "coordinates"};

  std::uint64_t of(Table t) const { return tables_[t]; }
  void raise(Table t, std::uint64_t index) { tables_[t] = std::max(tables_[t], index); }

  /// 0 if the service has no instance.
  std::uint64_t of_service(std::string_view name) const { return find(services_, name); }
  std::uint64_t of_node(std::string_view name) const { return find(nodes_, name); }
  void raise_service(std::string_view name, std::uint64_t index) { raise_in(services_, name, index); }
  void raise_node(std::string_view name, std::uint64_t index) { raise_in(nodes_, name, index); }
  void drop_service(std::string_view name) { drop(services_, name); }
  void drop_node(std::string_view name) { drop(nodes_, name); }

  std::uint64_t service_extinction() const { return service_extinction_; }
  std::uint64_t node_extinction() const { return node_extinction_; }
  void service_extinct(std::uint64_t index) { service_extinction_ = std::max(service_extinction_, index); }
  void node_extinct(std::uint64_t index) { node_extinction_ = std::max(node_extinction_, index); }

  /// Of the whole store: the LastIndex of a snapshot.
  std::uint64_t last() const { return *std::max_element(tables_, tables_ + kTables); }

  /// Visits v(name, index) for every entry in the order of names, with Consul's names: tables of the catalog appear
  /// with and without "peer.internal:". Entries that were never set are left out.
  template <class V>
  void each(V&& v) const {
    std::map<std::string, std::uint64_t, std::less<>> rows;
    for (std::size_t t = 0; t < kTables; ++t) {
      if (tables_[t] == 0) continue;
      rows[std::string(kNames[t])] = tables_[t];
      if (t <= kChecks) rows[std::string(kPeer) + std::string(kNames[t])] = tables_[t];
    }
    for (const auto& [name, index] : services_) rows[std::string(kPeer) + std::string(kService) + name] = index;
    for (const auto& [name, index] : nodes_) rows[std::string(kPeer) + std::string(kNode) + name] = index;
    if (service_extinction_) rows[std::string(kPeer) + std::string(kServiceExtinction)] = service_extinction_;
    if (node_extinction_) rows[std::string(kPeer) + std::string(kNodeExtinction)] = node_extinction_;
    for (const auto& [name, index] : rows) v(name, index);
  }
  /// Sets an entry by the name that each() gives it, up or down. Names of other releases and features are ignored.
  void restore(std::string_view name, std::uint64_t index) {
    if (name.starts_with(kPeer)) name.remove_prefix(kPeer.size());
    for (std::size_t t = 0; t < kTables; ++t)
      if (name == kNames[t]) tables_[t] = index;
    if (name.starts_with(kService)) set(services_, name.substr(kService.size()), index);
    if (name.starts_with(kNode)) set(nodes_, name.substr(kNode.size()), index);
    if (name == kServiceExtinction) service_extinction_ = index;
    if (name == kNodeExtinction) node_extinction_ = index;
  }

 private:
  using Names = std::map<std::string, std::uint64_t, FoldLess>;
  static constexpr std::string_view kPeer = "peer.internal:";
  static constexpr std::string_view kService = "service.";
  static constexpr std::string_view kNode = "node.";
  static constexpr std::string_view kServiceExtinction = "service_last_extinction";
  static constexpr std::string_view kNodeExtinction = "node_last_extinction";

  static std::uint64_t find(const Names& names, std::string_view name) {
    const auto found = names.find(name);
    return found == names.end() ? 0 : found->second;
  }
  static void set(Names& names, std::string_view name, std::uint64_t index) {
    names.insert_or_assign(folded(name), index);
  }
  static void raise_in(Names& names, std::string_view name, std::uint64_t index) {
    const auto found = names.find(name);
    if (found == names.end()) {
      names.emplace(folded(name), index);
    } else {
      found->second = std::max(found->second, index);
    }
  }
  static void drop(Names& names, std::string_view name) {
    if (const auto found = names.find(name); found != names.end()) names.erase(found);
  }

  std::uint64_t tables_[kTables] = {};
  Names services_;
  Names nodes_;
  std::uint64_t service_extinction_ = 0;
  std::uint64_t node_extinction_ = 0;
};

}  // namespace dcsim::consul
