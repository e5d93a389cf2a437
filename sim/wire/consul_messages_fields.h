#pragma once
#include <concepts>
#include <type_traits>

#include "wire/consul_messages.h"

namespace dcsim::wire::rpc {

// The members of each message by name: describe(v, m) calls v(name, member) for each. One list serves writing and
// reading; where it is in the order of the names, as on the wire, writing sorts nothing. Only consul_messages.cpp
// includes this.

template <class M, class T>
concept Is = std::same_as<std::remove_const_t<M>, T>;

template <class V, Is<Empty> M>
void describe(V&, M&) {}

template <class V, Is<QueryOptions> M>
void describe(V& v, M& m) {
  v("AllowNotModifiedResponse", m.allow_not_modified_response);
  v("AllowStale", m.allow_stale);
  v("Filter", m.filter);
  v("MaxAge", m.max_age);
  v("MaxQueryTime", m.max_query_time);
  v("MaxStaleDuration", m.max_stale_duration);
  v("MinQueryIndex", m.min_query_index);
  v("MustRevalidate", m.must_revalidate);
  v("RequireConsistent", m.require_consistent);
  v("StaleIfError", m.stale_if_error);
  v("Token", m.token);
  v("UseCache", m.use_cache);
}

template <class V, Is<QueryMeta> M>
void describe(V& v, M& m) {
  v("ConsistencyLevel", m.consistency_level);
  v("Index", m.index);
  v("KnownLeader", m.known_leader);
  v("LastContact", m.last_contact);
  v("NotModified", m.not_modified);
  v("ResultsFilteredByACLs", m.results_filtered_by_acls);
}

template <class V, Is<RaftIndex> M>
void describe(V& v, M& m) {
  v("CreateIndex", m.create_index);
  v("ModifyIndex", m.modify_index);
}

template <class V, Is<QuerySource> M>
void describe(V& v, M& m) {
  v("Datacenter", m.datacenter);
  v("Ip", m.ip);
  v("Node", m.node);
  v("Segment", m.segment);
}

template <class V, Is<DatacentersRequest> M>
void describe(V& v, M& m) {
  describe(v, m.options);
}
template <class V, Is<DcSpecificRequest> M>
void describe(V& v, M& m) {
  v("Datacenter", m.datacenter);
  v("NodeMetaFilters", m.node_meta_filters);
  v("Source", m.source);
  describe(v, m.options);
}
template <class V, Is<ServiceSpecificRequest> M>
void describe(V& v, M& m) {
  v("Datacenter", m.datacenter);
  v("NodeMetaFilters", m.node_meta_filters);
  v("ServiceAddress", m.service_address);
  v("ServiceKind", m.service_kind);
  v("ServiceName", m.service_name);
  v("ServiceTags", m.service_tags);
  v("Source", m.source);
  v("TagFilter", m.tag_filter);
  describe(v, m.options);
}
template <class V, Is<NodeSpecificRequest> M>
void describe(V& v, M& m) {
  v("Datacenter", m.datacenter);
  v("Node", m.node);
  describe(v, m.options);
}
template <class V, Is<ChecksInStateRequest> M>
void describe(V& v, M& m) {
  v("Datacenter", m.datacenter);
  v("NodeMetaFilters", m.node_meta_filters);
  v("Source", m.source);
  v("State", m.state);
  describe(v, m.options);
}
template <class V, Is<KeyRequest> M>
void describe(V& v, M& m) {
  v("Datacenter", m.datacenter);
  v("Key", m.key);
  describe(v, m.options);
}
template <class V, Is<KeyListRequest> M>
void describe(V& v, M& m) {
  v("Datacenter", m.datacenter);
  v("Prefix", m.prefix);
  v("Seperator", m.separator);  // so spelled in structs.go
  describe(v, m.options);
}
template <class V, Is<SessionSpecificRequest> M>
void describe(V& v, M& m) {
  v("Datacenter", m.datacenter);
  v("SessionID", m.session_id);
  describe(v, m.options);
}

template <class V, Is<Node> M>
void describe(V& v, M& m) {
  v("Address", m.address);
  v("CreateIndex", m.index.create_index);
  v("Datacenter", m.datacenter);
  v("ID", m.id);
  v("Meta", m.meta);
  v("ModifyIndex", m.index.modify_index);
  v("Node", m.node);
  v("TaggedAddresses", m.tagged_addresses);
}
template <class V, Is<Weights> M>
void describe(V& v, M& m) {
  v("Passing", m.passing);
  v("Warning", m.warning);
}
template <class V, Is<NodeService> M>
void describe(V& v, M& m) {
  v("Address", m.address);
  v("CreateIndex", m.index.create_index);
  v("EnableTagOverride", m.enable_tag_override);
  v("ID", m.id);
  v("Kind", m.kind);
  v("Meta", m.meta);
  v("ModifyIndex", m.index.modify_index);
  v("Port", m.port);
  v("Service", m.service);
  v("Tags", m.tags);
  v("Weights", m.weights);
}
template <class V, Is<HealthCheck> M>
void describe(V& v, M& m) {
  v("CheckID", m.check_id);
  v("CreateIndex", m.index.create_index);
  v("Interval", m.interval);
  v("ModifyIndex", m.index.modify_index);
  v("Name", m.name);
  v("Node", m.node);
  v("Notes", m.notes);
  v("Output", m.output);
  v("ServiceID", m.service_id);
  v("ServiceName", m.service_name);
  v("ServiceTags", m.service_tags);
  v("Status", m.status);
  v("Timeout", m.timeout);
  v("Type", m.type);
}
template <class V, Is<ServiceNode> M>
void describe(V& v, M& m) {
  v("Address", m.address);
  v("CreateIndex", m.index.create_index);
  v("Datacenter", m.datacenter);
  v("ID", m.id);
  v("ModifyIndex", m.index.modify_index);
  v("Node", m.node);
  v("NodeMeta", m.node_meta);
  v("ServiceAddress", m.service_address);
  v("ServiceEnableTagOverride", m.service_enable_tag_override);
  v("ServiceID", m.service_id);
  v("ServiceKind", m.service_kind);
  v("ServiceMeta", m.service_meta);
  v("ServiceName", m.service_name);
  v("ServicePort", m.service_port);
  v("ServiceTags", m.service_tags);
  v("ServiceWeights", m.service_weights);
  v("TaggedAddresses", m.tagged_addresses);
}
template <class V, Is<RegisterRequest> M>
void describe(V& v, M& m) {
  v("Address", m.address);
  v("Check", m.check);
  v("Checks", m.checks);
  v("CreateIndex", m.index.create_index);
  v("Datacenter", m.datacenter);
  v("ID", m.id);
  v("ModifyIndex", m.index.modify_index);
  v("Node", m.node);
  v("NodeMeta", m.node_meta);
  v("Service", m.service);
  v("SkipNodeUpdate", m.skip_node_update);
  v("TaggedAddresses", m.tagged_addresses);
  v("Token", m.token);
}
template <class V, Is<DeregisterRequest> M>
void describe(V& v, M& m) {
  v("CheckID", m.check_id);
  v("Datacenter", m.datacenter);
  v("Node", m.node);
  v("ServiceID", m.service_id);
  v("Token", m.token);
}
template <class V, Is<NodeServices> M>
void describe(V& v, M& m) {
  v("Node", m.node);
  v("Services", m.services);
}
template <class V, Is<CheckServiceNode> M>
void describe(V& v, M& m) {
  v("Checks", m.checks);
  v("Node", m.node);
  v("Service", m.service);
}
template <class V, Is<IndexedNodes> M>
void describe(V& v, M& m) {
  v("Nodes", m.nodes);
  describe(v, m.meta);
}
template <class V, Is<IndexedServices> M>
void describe(V& v, M& m) {
  describe(v, m.meta);
  v("Services", m.services);
}
template <class V, Is<IndexedServiceNodes> M>
void describe(V& v, M& m) {
  describe(v, m.meta);
  v("ServiceNodes", m.service_nodes);
}
template <class V, Is<IndexedNodeServices> M>
void describe(V& v, M& m) {
  v("NodeServices", m.node_services);
  describe(v, m.meta);
}
template <class V, Is<IndexedHealthChecks> M>
void describe(V& v, M& m) {
  v("HealthChecks", m.health_checks);
  describe(v, m.meta);
}
template <class V, Is<IndexedCheckServiceNodes> M>
void describe(V& v, M& m) {
  v("Nodes", m.nodes);
  describe(v, m.meta);
}

template <class V, Is<DirEntry> M>
void describe(V& v, M& m) {
  v("CreateIndex", m.index.create_index);
  v("Flags", m.flags);
  v("Key", m.key);
  v("LockIndex", m.lock_index);
  v("ModifyIndex", m.index.modify_index);
  v("Session", m.session);
  v("Value", m.value);
}
template <class V, Is<KvsRequest> M>
void describe(V& v, M& m) {
  v("Datacenter", m.datacenter);
  v("DirEnt", m.entry);
  v("Op", m.op);
  v("Token", m.token);
}
template <class V, Is<IndexedDirEntries> M>
void describe(V& v, M& m) {
  v("Entries", m.entries);
  describe(v, m.meta);
}
template <class V, Is<IndexedKeyList> M>
void describe(V& v, M& m) {
  v("Keys", m.keys);
  describe(v, m.meta);
}
template <class V, Is<ServiceCheck> M>
void describe(V& v, M& m) {
  v("ID", m.id);
  v("Namespace", m.name_space);
}
template <class V, Is<Session> M>
void describe(V& v, M& m) {
  v("Behavior", m.behavior);
  v("Checks", m.checks);
  v("CreateIndex", m.index.create_index);
  v("ID", m.id);
  v("LockDelay", m.lock_delay);
  v("ModifyIndex", m.index.modify_index);
  v("Name", m.name);
  v("Node", m.node);
  v("NodeChecks", m.node_checks);
  v("ServiceChecks", m.service_checks);
  v("TTL", m.ttl);
}
template <class V, Is<SessionRequest> M>
void describe(V& v, M& m) {
  v("Datacenter", m.datacenter);
  v("Op", m.op);
  v("Session", m.session);
  v("Token", m.token);
}
template <class V, Is<IndexedSessions> M>
void describe(V& v, M& m) {
  describe(v, m.meta);
  v("Sessions", m.sessions);
}
template <class V, Is<TombstoneRequest> M>
void describe(V& v, M& m) {
  v("Datacenter", m.datacenter);
  v("Op", m.op);
  v("ReapIndex", m.reap_index);
  v("Token", m.token);
}

template <class V, Is<Coord> M>
void describe(V& v, M& m) {
  v("Adjustment", m.adjustment);
  v("Error", m.error);
  v("Height", m.height);
  v("Vec", m.vec);
}
template <class V, Is<Coordinate> M>
void describe(V& v, M& m) {
  v("Coord", m.coord);
  v("Node", m.node);
  v("Segment", m.segment);
}
template <class V, Is<CoordinateUpdateRequest> M>
void describe(V& v, M& m) {
  v("Coord", m.coord);
  v("Datacenter", m.datacenter);
  v("Node", m.node);
  v("Segment", m.segment);
  v("Token", m.token);
}

template <class V, Is<RaftStats> M>
void describe(V& v, M& m) {
  v("LastContact", m.last_contact);
  v("LastIndex", m.last_index);
  v("LastTerm", m.last_term);
}
template <class V, Is<RaftServer> M>
void describe(V& v, M& m) {
  v("Address", m.address);
  v("ID", m.id);
  v("LastIndex", m.last_index);
  v("Leader", m.leader);
  v("Node", m.node);
  v("ProtocolVersion", m.protocol_version);
  v("Voter", m.voter);
}
template <class V, Is<RaftConfigurationResponse> M>
void describe(V& v, M& m) {
  v("Index", m.index);
  v("Servers", m.servers);
}
template <class V, Is<RaftRemovePeerRequest> M>
void describe(V& v, M& m) {
  v("Address", m.address);
  v("Datacenter", m.datacenter);
  v("ID", m.id);
  v("Token", m.token);
}
template <class V, Is<TransferLeaderRequest> M>
void describe(V& v, M& m) {
  v("Datacenter", m.datacenter);
  v("ID", m.id);
  v("Token", m.token);
}
template <class V, Is<TransferLeaderResponse> M>
void describe(V& v, M& m) {
  v("Success", m.success);
}
template <class V, Is<AutopilotConfig> M>
void describe(V& v, M& m) {
  v("CleanupDeadServers", m.cleanup_dead_servers);
  v("CreateIndex", m.index.create_index);
  v("DisableUpgradeMigration", m.disable_upgrade_migration);
  v("LastContactThreshold", m.last_contact_threshold);
  v("MaxTrailingLogs", m.max_trailing_logs);
  v("MinQuorum", m.min_quorum);
  v("ModifyIndex", m.index.modify_index);
  v("RedundancyZoneTag", m.redundancy_zone_tag);
  v("ServerStabilizationTime", m.server_stabilization_time);
  v("UpgradeVersionTag", m.upgrade_version_tag);
}
template <class V, Is<AutopilotSetConfigRequest> M>
void describe(V& v, M& m) {
  v("CAS", m.cas);
  v("Config", m.config);
  v("Datacenter", m.datacenter);
  v("Token", m.token);
}
template <class V, Is<AutopilotServerHealth> M>
void describe(V& v, M& m) {
  v("Address", m.address);
  v("Healthy", m.healthy);
  v("ID", m.id);
  v("LastContact", m.last_contact);
  v("LastIndex", m.last_index);
  v("LastTerm", m.last_term);
  v("Leader", m.leader);
  v("Name", m.name);
  v("SerfStatus", m.serf_status);
  v("StableSince", m.stable_since);
  v("Version", m.version);
  v("Voter", m.voter);
}
template <class V, Is<AutopilotHealthReply> M>
void describe(V& v, M& m) {
  v("FailureTolerance", m.failure_tolerance);
  v("Healthy", m.healthy);
  v("Servers", m.servers);
}
template <class V, Is<AutopilotServer> M>
void describe(V& v, M& m) {
  v("Address", m.address);
  v("ID", m.id);
  v("IsLeader", m.is_leader);
  v("Meta", m.meta);
  v("Name", m.name);
  v("NodeStatus", m.node_status);
  v("NodeType", m.node_type);
  v("RaftVersion", m.raft_version);
  v("Version", m.version);
}
template <class V, Is<AutopilotServerStats> M>
void describe(V& v, M& m) {
  v("LastContact", m.last_contact);
  v("LastIndex", m.last_index);
  v("LastTerm", m.last_term);
}
template <class V, Is<AutopilotServerHealthState> M>
void describe(V& v, M& m) {
  v("Healthy", m.healthy);
  v("StableSince", m.stable_since);
}
template <class V, Is<AutopilotServerState> M>
void describe(V& v, M& m) {
  v("Health", m.health);
  v("Server", m.server);
  v("State", m.state);
  v("Stats", m.stats);
}
template <class V, Is<AutopilotState> M>
void describe(V& v, M& m) {
  v("FailureTolerance", m.failure_tolerance);
  v("Healthy", m.healthy);
  v("Leader", m.leader);
  v("Servers", m.servers);
  v("Voters", m.voters);
}

}  // namespace dcsim::wire::rpc
