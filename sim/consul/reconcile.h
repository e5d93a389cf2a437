#pragma once
#include <optional>
#include <string>
#include <vector>

#include "consul/leader_host.h"

namespace dcsim::consul {

class ServerAutopilot;

/// The leader's rules that make the catalog and Raft's configuration follow gossip, for one member at a time
/// (agent/consul/leader.go reconcileMember, leader_registrator_v1.go). Each change of a node is one Raft write.
class Reconciler {
 public:
  Reconciler(ServerIdentity self, LeaderHost& host, ServerAutopilot& autopilot)
      : self_(std::move(self)), host_(host), autopilot_(autopilot) {}

  /// Handles one member: logs what it does, and why it failed if it did; `done` never has an error. One at a time.
  /// Members of other datacenters and servers' members of segments are skipped with a warning; those that are leaving
  /// change nothing.
  void reconcile(Instant now, const LanMember& member, Done done);
  /// Like reconcile of a reaped member, with errors handed on: for nodes that gossip does not know any more.
  void reap(Instant now, const LanMember& member, Done done);
  /// Catalog nodes with a serfHealth check that are not among `known`, as the members they must have been.
  std::vector<LanMember> forgotten(const std::vector<LanMember>& known) const;

 private:
  void alive(Instant now, const LanMember& member, Done done);
  void register_alive(Instant now, const LanMember& member, Done done);
  void failed(Instant now, const LanMember& member, Done done);
  void deregister(Instant now, const LanMember& member, std::string_view reason, Done done);
  void deregister_node(Instant now, const std::string& name, std::string_view reason, Done done);
  void log(Instant now, LogLevel level, std::string_view text, const LanMember& member, std::string_view more = {}) const;

  ServerIdentity self_;
  LeaderHost& host_;
  ServerAutopilot& autopilot_;
};

/// "consul" service of a server's member (its ID and name), with the meta that describes it; nullopt for clients.
std::optional<wire::rpc::NodeService> consul_service(const LanMember& member);
/// True if the leader's loop handles this member: clients of `datacenter`, its servers in the default segment.
bool should_handle(const LanMember& member, std::string_view datacenter);

}  // namespace dcsim::consul
