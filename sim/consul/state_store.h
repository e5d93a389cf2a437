#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "consul/kv_store.h"
#include "consul/state_fold.h"
#include "consul/state_index.h"
#include "consul/state_watch.h"
#include "wire/consul_messages.h"

namespace dcsim::consul {

/// Check of the leader's reconcile loop (agent/structs/catalog.go).
inline constexpr std::string_view kSerfHealth = "serfHealth";
inline constexpr std::string_view kHealthPassing = "passing";
inline constexpr std::string_view kHealthWarning = "warning";
inline constexpr std::string_view kHealthCritical = "critical";
inline constexpr std::string_view kHealthAny = "any";

/// One entry of the Raft log that is being applied. `now` matters to lock delays alone, which are not replicated.
struct Write {
  std::uint64_t index = 0;
  Instant now{};
};

/// A node with all that hangs on it. Names are found without regard to case; iteration is in the order of names, which
/// is the order of Consul's answers.
struct NodeRecord {
  wire::rpc::Node node;
  std::map<std::string, wire::rpc::NodeService, FoldLess> services;    ///< by service ID; weights are always set
  std::map<std::string, wire::rpc::HealthCheck, FoldLess> checks;      ///< by check ID
  std::map<std::string, wire::rpc::Coordinate, FoldLess> coordinates;  ///< by segment
  std::set<std::string, FoldLess> sessions;
  std::map<std::string, std::set<std::string, FoldLess>, FoldLess> check_sessions;  ///< check ID -> session IDs
};

/// An instance of a service: pointers into its node's record.
struct ServiceInstance {
  const NodeRecord* node = nullptr;
  const wire::rpc::NodeService* service = nullptr;
};
struct ServiceInstanceLess {
  bool operator()(const ServiceInstance& a, const ServiceInstance& b) const {
    const int names = fold_compare(a.node->node.node, b.node->node.node);
    return names != 0 ? names < 0 : fold_compare(a.service->id, b.service->id) < 0;
  }
};

/// What the servers of a datacenter replicate: catalog, KV store, sessions, coordinates, autopilot's settings
/// (agent/consul/state). Deterministic: the same writes give the same state, the same indexes, the same order.
/// A write either happens whole or returns the error of Consul and changes nothing. A write that changes nothing raises
/// no index and wakes nobody.
/// Memory is proportional to what is registered. Not copyable, not movable: its parts point at each other.
class StateStore {
 public:
  using Status = std::optional<Error>;  ///< empty: done
  using Nodes = std::map<std::string, NodeRecord, FoldLess>;
  using Instances = std::set<ServiceInstance, ServiceInstanceLess>;
  using Services = std::map<std::string, Instances, FoldLess>;
  using Sessions = std::map<std::string, wire::rpc::Session, FoldLess>;

  StateStore() : kv_(indexes_, watchers_) {}
  StateStore(const StateStore&) = delete;
  StateStore& operator=(const StateStore&) = delete;

  // Catalog (state/catalog.go).

  /// Node, then service, then checks. A check that turns critical ends the sessions bound to it. An ID under a new name
  /// renames the node: the old name goes with all its services and checks.
  /// Errors: a name held by a healthy node with another ID; bad service meta; a check of another node or of a service
  /// that is not registered.
  Status ensure_registration(const Write& at, const wire::rpc::RegisterRequest& request);
  /// The service ID, else the check, else the whole node (fsm/commands_ce.go). What does not exist is no error.
  void deregister(const Write& at, const wire::rpc::DeregisterRequest& request);
  void delete_node(const Write& at, std::string_view name);
  void delete_service(const Write& at, std::string_view node, std::string_view service_id);
  void delete_check(const Write& at, std::string_view node, std::string_view check_id);

  const Nodes& nodes() const { return nodes_; }
  const NodeRecord* node(std::string_view name) const;
  const NodeRecord* node_by_id(std::string_view id) const;
  /// The only node whose ID begins so; null if none, and `ambiguous` if several do. An odd last character is cut off,
  /// as Consul does; what is left must be an even number of hex digits, and dashes.
  const NodeRecord* node_by_id_prefix(std::string_view prefix, bool& ambiguous) const;
  /// Instances by service name, ordered by node and service ID; names without instances do not appear.
  const Services& services() const { return services_; }

  // Sessions (state/session.go).

  /// session.id is the caller's, unique. Errors: no ID, unknown behaviour, unknown node, missing or critical checks.
  Status create_session(const Write& at, wire::rpc::Session session);
  /// Releases or deletes the keys it holds and puts them under its lock delay.
  void destroy_session(const Write& at, std::string_view id);
  const Sessions& sessions() const { return sessions_; }
  const wire::rpc::Session* session(std::string_view id) const;

  // KV store (state/kvs.go).

  /// Any operation of api.KVOp that writes. Of operations that cannot be refused the value is true.
  /// Errors: no key, no session or one that does not live, an operation that does not exist.
  Result<bool> apply_kv(const Write& at, const wire::rpc::KvsRequest& request);
  void reap_tombstones(std::uint64_t up_to) { kv_.reap(up_to); }
  const KvStore& kv() const { return kv_; }

  // Coordinates, autopilot.

  /// Coordinates that are not finite or whose node is unknown are dropped.
  void update_coordinates(const Write& at, const wire::rpc::Coordinates& batch);
  void set_autopilot(const Write& at, const wire::rpc::AutopilotConfig& config);
  /// False, and nothing changed, unless the settings exist with this ModifyIndex.
  bool set_autopilot_cas(const Write& at, std::uint64_t expected, const wire::rpc::AutopilotConfig& config);
  const std::optional<wire::rpc::AutopilotConfig>& autopilot() const { return autopilot_; }

  const StateIndexes& indexes() const { return indexes_; }
  Watchers& watchers() { return watchers_; }

  // Restoring a snapshot into an empty store: rows keep their indexes (state_store.go Restore).

  Status restore_registration(std::uint64_t last_index, const wire::rpc::RegisterRequest& row);
  Status restore_session(wire::rpc::Session row);
  void restore_kv(const wire::rpc::DirEntry& row) { kv_.restore(row); }
  void restore_tombstone(std::string_view key, std::uint64_t index) { kv_.restore_tombstone(key, index); }
  void restore_coordinates(std::uint64_t last_index, const wire::rpc::Coordinates& rows);
  void restore_autopilot(const wire::rpc::AutopilotConfig& row) { autopilot_ = row; }
  void restore_index(std::string_view name, std::uint64_t index) { indexes_.restore(name, index); }
  /// Takes over who waits at `old`, and wakes them all: indexes may have fallen.
  void take_watchers(StateStore& old);

 private:
  Status refuse_registration(const wire::rpc::RegisterRequest& request) const;
  Status refuse_node(const wire::rpc::RegisterRequest& request) const;
  Status refuse_name(const wire::rpc::RegisterRequest& request, bool may_take_nameless) const;
  Status refuse_service(const wire::rpc::RegisterRequest& request) const;
  Status refuse_check(const wire::rpc::RegisterRequest& request, const wire::rpc::HealthCheck& check) const;
  void register_all(const Write& at, bool restoring, const wire::rpc::RegisterRequest& request);
  void put_node(const Write& at, bool restoring, const wire::rpc::RegisterRequest& request);
  void put_service(const Write& at, bool restoring, NodeRecord& node, wire::rpc::NodeService service);
  void put_check(const Write& at, bool restoring, NodeRecord& node, wire::rpc::HealthCheck check);
  void erase_service(const Write& at, NodeRecord& node, std::string_view id);
  void erase_check(const Write& at, NodeRecord& node, std::string_view id);
  void erase_coordinates(const Write& at, NodeRecord& node);
  /// The service's index entry rises, and the waiters for its health wake.
  void raise_service(std::string_view name, std::uint64_t index);
  void raise_services_of(const NodeRecord& node, std::uint64_t index);
  void touch_check(const NodeRecord& node, const wire::rpc::HealthCheck& check);
  void put_session(wire::rpc::Session session, NodeRecord& node);
  void end_sessions_of(const Write& at, NodeRecord& node, std::string_view check_id);
  bool put_coordinate(const wire::rpc::Coordinate& coordinate);

  StateIndexes indexes_;
  Watchers watchers_;
  Nodes nodes_;
  std::map<std::string, NodeRecord*, FoldLess> by_id_;
  Services services_;
  Sessions sessions_;
  KvStore kv_;
  std::optional<wire::rpc::AutopilotConfig> autopilot_;
};

/// All check IDs a session is bound to: those of old releases, of the node, of services (structs.Session CheckIDs).
std::vector<std::string_view> check_ids(const wire::rpc::Session& session);

/// Service meta as agents may set it: at most 64 pairs, keys of letters, digits, "-" and "_" up to 128, values up to
/// 512 bytes, nothing that begins with "consul-" (structs.ValidateServiceMetadata).
std::optional<Error> refuse_service_meta(std::string_view kind, const wire::rpc::TextMap& meta);

/// %q of Go's fmt for text: quoted, with control characters, quotes and backslashes escaped.
std::string go_quoted(std::string_view text);

}  // namespace dcsim::consul
