#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "consul/agent_config.h"
#include "wire/consul_messages.h"

namespace dcsim::consul {

inline constexpr std::string_view kNodeMaintenance = "_node_maintenance";
inline constexpr std::string_view kServiceMaintenance = "_service_maintenance:";  ///< and the service's ID
inline constexpr std::string_view kSegmentMeta = "consul-network-segment";

/// What an agent says of itself to the catalog: its node, its services, their checks; and which of it the servers are
/// known to have (agent/local/state.go). The leader writes "consul" and serfHealth; neither is touched here.
class LocalState {
 public:
  struct Identity {
    std::string node_name{};
    std::string node_id{};
    std::string datacenter{};
    std::string address{};
    wire::rpc::TextMap tagged_addresses{};
    wire::rpc::TextMap meta{};
  };
  struct Service {
    wire::rpc::NodeService service{};
    bool in_sync = false;
    bool deleted = false;
  };
  struct Check {
    wire::rpc::HealthCheck check{};
    bool in_sync = false;
    bool deleted = false;
  };

  explicit LocalState(Identity self) : self_(std::move(self)) {}

  const Identity& self() const { return self_; }
  /// Only what is not on its way out, by ID.
  std::vector<const wire::rpc::NodeService*> services() const;
  std::vector<const wire::rpc::HealthCheck*> checks() const;
  const wire::rpc::NodeService* service(std::string_view id) const;
  const wire::rpc::HealthCheck* check(std::string_view id) const;

  // Each of these wants AntiEntropy::on_changed afterwards.

  /// Adds or replaces. An empty ID is the name's.
  void add_service(wire::rpc::NodeService service);
  /// With its checks. Error: "Unknown service ID ...".
  std::optional<Error> remove_service(std::string_view id);
  void add_check(wire::rpc::HealthCheck check);
  std::optional<Error> remove_check(std::string_view id);
  /// False: unknown, or as it was.
  bool update_check(std::string_view id, std::string_view status, std::string_view output);
  /// agent.go EnableNodeMaintenance and so on: a critical check; "" gives the default reason. Enabled twice is enabled.
  void set_node_maintenance(bool enable, std::string_view reason);
  /// Error: "No service registered with ID ...".
  std::optional<Error> set_service_maintenance(std::string_view id, bool enable, std::string_view reason);

  // --- Synchronising -----------------------------------------------------------------------------------------------------

  /// updateSyncState: compares with what the servers have. What they have beyond it will be deregistered.
  void compare(const wire::rpc::IndexedNodeServices& services, const std::vector<wire::rpc::HealthCheck>& checks);

  /// One RPC that brings the servers up to date.
  struct Change {
    enum class Kind : std::uint8_t { kNode, kService, kCheck, kDropService, kDropCheck } kind = Kind::kNode;
    std::string id{};
    std::uint64_t version = 0;         ///< of the state when it was sent
    std::vector<std::string> checks{};  ///< that go with a service
  };
  /// All of them, in the order in which Consul sends them; those of an entry that is in sync by then are to be skipped.
  std::vector<Change> changes() const;
  /// Nothing to send any more: it went with another, or the entry is gone.
  bool pending(const Change& change) const;
  /// The arguments of Catalog.Register, or of Catalog.Deregister for the two drops. Notes the checks that go with it.
  wire::rpc::RegisterRequest registration(Change& change) const;
  wire::rpc::DeregisterRequest deregistration(const Change& change) const;
  /// The servers took it. What was changed meanwhile stays to be sent.
  void done(const Change& change);
  bool node_in_sync() const { return node_in_sync_; }

 private:
  Identity self_;
  bool node_in_sync_ = false;
  std::map<std::string, Service, std::less<>> services_;
  std::map<std::string, Check, std::less<>> checks_;
  std::map<std::string, std::uint64_t, std::less<>> touched_;  ///< version by "s:"/"c:" + ID
  std::uint64_t version_ = 0;
};

/// What an agent of this configuration registers itself with.
LocalState::Identity local_identity(const AgentConfig& config);

}  // namespace dcsim::consul
