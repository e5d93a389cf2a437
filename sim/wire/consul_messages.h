#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "wire/raft_messages.h"

// Arguments and replies of Consul's RPCs and the payloads of its Raft log, with Consul's member names (agent/structs).
// Go's embedded structs (QueryOptions, QueryMeta, WriteRequest, RaftIndex) are members here and flattened on the wire.
// Members for Connect, peering and Enterprise, and deprecated ones, are not kept: decoders skip them, encoders leave
// them out (Consul then reads zero).
//
//   encode(m, out)  appends one msgpack value; decode(body, m) reads one and ignores what follows. decode is false if
//   the value is malformed or would need far more memory than it is long. Every message owns its content.

namespace dcsim::wire::rpc {

using Texts = std::vector<std::string>;
using TextMap = std::map<std::string, std::string>;

// Method names ("Service.Method").
namespace method {
inline constexpr std::string_view kStatusPing = "Status.Ping";                // Empty -> Empty
inline constexpr std::string_view kStatusLeader = "Status.Leader";            // DcSpecificRequest -> std::string
inline constexpr std::string_view kStatusPeers = "Status.Peers";              // DcSpecificRequest -> Texts
inline constexpr std::string_view kStatusRaftStats = "Status.RaftStats";      // Empty -> RaftStats
inline constexpr std::string_view kCatalogRegister = "Catalog.Register";      // RegisterRequest -> Empty
inline constexpr std::string_view kCatalogDeregister = "Catalog.Deregister";  // DeregisterRequest -> Empty
inline constexpr std::string_view kCatalogListDatacenters = "Catalog.ListDatacenters";  // DatacentersRequest -> Texts
inline constexpr std::string_view kCatalogListNodes = "Catalog.ListNodes";  // DcSpecificRequest -> IndexedNodes
inline constexpr std::string_view kCatalogListServices =
    "Catalog.ListServices";  // DcSpecificRequest -> IndexedServices
inline constexpr std::string_view kCatalogServiceNodes = "Catalog.ServiceNodes";  // ServiceSpecificRequest ->
                                                                                  // IndexedServiceNodes
inline constexpr std::string_view kCatalogNodeServices = "Catalog.NodeServices";  // NodeSpecificRequest ->
                                                                                  // IndexedNodeServices
inline constexpr std::string_view kHealthServiceNodes = "Health.ServiceNodes";    // ServiceSpecificRequest ->
                                                                                  // IndexedCheckServiceNodes
inline constexpr std::string_view kHealthNodeChecks =
    "Health.NodeChecks";  // NodeSpecificRequest -> IndexedHealthChecks
inline constexpr std::string_view kHealthChecksInState = "Health.ChecksInState";  // ChecksInStateRequest ->
                                                                                  // IndexedHealthChecks
inline constexpr std::string_view kKvsApply = "KVS.Apply";                        // KvsRequest -> bool
inline constexpr std::string_view kKvsGet = "KVS.Get";                            // KeyRequest -> IndexedDirEntries
inline constexpr std::string_view kKvsList = "KVS.List";                          // KeyRequest -> IndexedDirEntries
inline constexpr std::string_view kKvsListKeys = "KVS.ListKeys";                  // KeyListRequest -> IndexedKeyList
inline constexpr std::string_view kSessionApply = "Session.Apply";                // SessionRequest -> std::string
inline constexpr std::string_view kSessionGet = "Session.Get";              // SessionSpecificRequest -> IndexedSessions
inline constexpr std::string_view kSessionList = "Session.List";            // SessionSpecificRequest -> IndexedSessions
inline constexpr std::string_view kSessionRenew = "Session.Renew";          // SessionSpecificRequest -> IndexedSessions
inline constexpr std::string_view kCoordinateUpdate = "Coordinate.Update";  // CoordinateUpdateRequest -> Empty
inline constexpr std::string_view kRaftGetConfiguration =
    "Operator.RaftGetConfiguration";  // DcSpecificRequest -> RaftConfigurationResponse
inline constexpr std::string_view kRaftRemovePeerByAddress =
    "Operator.RaftRemovePeerByAddress";  // RaftRemovePeerRequest -> Empty
inline constexpr std::string_view kRaftRemovePeerById =
    "Operator.RaftRemovePeerByID";  // RaftRemovePeerRequest -> Empty
/// Consul transfers leadership by gRPC (OperatorService.TransferLeader); here it is one RPC among the others.
inline constexpr std::string_view kTransferLeader =
    "Operator.TransferLeader";  // TransferLeaderRequest -> TransferLeaderResponse
inline constexpr std::string_view kAutopilotGetConfiguration =
    "Operator.AutopilotGetConfiguration";  // DcSpecificRequest -> AutopilotConfig
inline constexpr std::string_view kAutopilotSetConfiguration =
    "Operator.AutopilotSetConfiguration";                                   // AutopilotSetConfigRequest -> bool
inline constexpr std::string_view kServerHealth = "Operator.ServerHealth";  // DcSpecificRequest -> AutopilotHealthReply
inline constexpr std::string_view kAutopilotState = "Operator.AutopilotState";  // DcSpecificRequest -> AutopilotState
}  // namespace method

/// struct{}: an empty map.
struct Empty {
  bool operator==(const Empty&) const = default;
};

struct QueryOptions {
  std::string token{};
  std::uint64_t min_query_index = 0;
  Duration max_query_time{};
  bool allow_stale = false;
  bool require_consistent = false;
  bool use_cache = false;
  Duration max_stale_duration{};
  Duration max_age{};
  bool must_revalidate = false;
  Duration stale_if_error{};
  std::string filter{};
  bool allow_not_modified_response = false;
  bool operator==(const QueryOptions&) const = default;
};

struct QueryMeta {
  std::uint64_t index = 0;
  Duration last_contact{};
  bool known_leader = false;
  std::string consistency_level{};  ///< "leader", "stale", "consistent"
  bool not_modified = false;
  bool results_filtered_by_acls = false;
  bool operator==(const QueryMeta&) const = default;
};

struct RaftIndex {
  std::uint64_t create_index = 0;
  std::uint64_t modify_index = 0;
  bool operator==(const RaftIndex&) const = default;
};

struct QuerySource {
  std::string datacenter{};
  std::string segment{};
  std::string node{};
  std::string ip{};
  bool operator==(const QuerySource&) const = default;
};

// Requests that ask.

struct DatacentersRequest {
  QueryOptions options{};
  bool operator==(const DatacentersRequest&) const = default;
};
struct DcSpecificRequest {
  std::string datacenter{};
  TextMap node_meta_filters{};
  QuerySource source{};
  QueryOptions options{};
  bool operator==(const DcSpecificRequest&) const = default;
};
struct ServiceSpecificRequest {
  std::string datacenter{};
  TextMap node_meta_filters{};
  std::string service_name{};
  std::string service_kind{};
  Texts service_tags{};
  std::string service_address{};
  bool tag_filter = false;
  QuerySource source{};
  QueryOptions options{};
  bool operator==(const ServiceSpecificRequest&) const = default;
};
struct NodeSpecificRequest {
  std::string datacenter{};
  std::string node{};
  QueryOptions options{};
  bool operator==(const NodeSpecificRequest&) const = default;
};
struct ChecksInStateRequest {
  std::string datacenter{};
  TextMap node_meta_filters{};
  std::string state{};  ///< "any", "passing", "warning", "critical"
  QuerySource source{};
  QueryOptions options{};
  bool operator==(const ChecksInStateRequest&) const = default;
};
/// KVS.Get: a key; KVS.List: a prefix.
struct KeyRequest {
  std::string datacenter{};
  std::string key{};
  QueryOptions options{};
  bool operator==(const KeyRequest&) const = default;
};
struct KeyListRequest {
  std::string datacenter{};
  std::string prefix{};
  std::string separator{};  ///< "Seperator" on the wire
  QueryOptions options{};
  bool operator==(const KeyListRequest&) const = default;
};
struct SessionSpecificRequest {
  std::string datacenter{};
  std::string session_id{};
  QueryOptions options{};
  bool operator==(const SessionSpecificRequest&) const = default;
};

// The catalog.

struct Node {
  std::string id{};
  std::string node{};
  std::string address{};
  std::string datacenter{};
  TextMap tagged_addresses{};
  TextMap meta{};
  RaftIndex index{};
  bool operator==(const Node&) const = default;
};
struct Weights {
  std::int64_t passing = 1;
  std::int64_t warning = 1;
  bool operator==(const Weights&) const = default;
};
struct NodeService {
  std::string kind{};
  std::string id{};
  std::string service{};
  Texts tags{};
  std::string address{};
  TextMap meta{};
  std::int64_t port = 0;
  std::optional<Weights> weights{};
  bool enable_tag_override = false;
  RaftIndex index{};
  bool operator==(const NodeService&) const = default;
};
struct HealthCheck {
  std::string node{};
  std::string check_id{};
  std::string name{};
  std::string status{};
  std::string notes{};
  std::string output{};
  std::string service_id{};
  std::string service_name{};
  Texts service_tags{};
  std::string type{};
  std::string interval{};
  std::string timeout{};
  RaftIndex index{};
  bool operator==(const HealthCheck&) const = default;
};
/// A service instance with its node's members, as Catalog.ServiceNodes lists it.
struct ServiceNode {
  std::string id{};
  std::string node{};
  std::string address{};
  std::string datacenter{};
  TextMap tagged_addresses{};
  TextMap node_meta{};
  std::string service_kind{};
  std::string service_id{};
  std::string service_name{};
  Texts service_tags{};
  std::string service_address{};
  TextMap service_meta{};
  std::int64_t service_port = 0;
  Weights service_weights{};
  bool service_enable_tag_override = false;
  RaftIndex index{};
  bool operator==(const ServiceNode&) const = default;
};
struct RegisterRequest {
  std::string datacenter{};
  std::string id{};
  std::string node{};
  std::string address{};
  TextMap tagged_addresses{};
  TextMap node_meta{};
  std::optional<NodeService> service{};
  std::optional<HealthCheck> check{};
  std::vector<HealthCheck> checks{};
  bool skip_node_update = false;
  std::string token{};
  RaftIndex index{};
  bool operator==(const RegisterRequest&) const = default;
};
struct DeregisterRequest {
  std::string datacenter{};
  std::string node{};
  std::string service_id{};
  std::string check_id{};
  std::string token{};
  bool operator==(const DeregisterRequest&) const = default;
};

struct NodeServices {
  std::optional<Node> node{};
  std::map<std::string, NodeService> services{};
  bool operator==(const NodeServices&) const = default;
};
struct CheckServiceNode {
  std::optional<Node> node{};
  std::optional<NodeService> service{};
  std::vector<HealthCheck> checks{};
  bool operator==(const CheckServiceNode&) const = default;
};
struct IndexedNodes {
  std::vector<Node> nodes{};
  QueryMeta meta{};
  bool operator==(const IndexedNodes&) const = default;
};
struct IndexedServices {
  std::map<std::string, Texts> services{};  ///< name -> tags
  QueryMeta meta{};
  bool operator==(const IndexedServices&) const = default;
};
struct IndexedServiceNodes {
  std::vector<ServiceNode> service_nodes{};
  QueryMeta meta{};
  bool operator==(const IndexedServiceNodes&) const = default;
};
struct IndexedNodeServices {
  std::optional<NodeServices> node_services{};
  QueryMeta meta{};
  bool operator==(const IndexedNodeServices&) const = default;
};
struct IndexedHealthChecks {
  std::vector<HealthCheck> health_checks{};
  QueryMeta meta{};
  bool operator==(const IndexedHealthChecks&) const = default;
};
struct IndexedCheckServiceNodes {
  std::vector<CheckServiceNode> nodes{};
  QueryMeta meta{};
  bool operator==(const IndexedCheckServiceNodes&) const = default;
};

// Key-value store and sessions.

struct DirEntry {
  std::uint64_t lock_index = 0;
  std::string key{};
  std::uint64_t flags = 0;
  Bytes value{};  ///< empty is written as nil
  std::string session{};
  RaftIndex index{};
  bool operator==(const DirEntry& other) const;
};
/// api.KVOp: "set", "delete", "delete-cas", "delete-tree", "cas", "lock", "unlock".
struct KvsRequest {
  std::string datacenter{};
  std::string op{};
  DirEntry entry{};
  std::string token{};
  bool operator==(const KvsRequest&) const = default;
};
struct IndexedDirEntries {
  std::vector<DirEntry> entries{};
  QueryMeta meta{};
  bool operator==(const IndexedDirEntries&) const = default;
};
struct IndexedKeyList {
  Texts keys{};
  QueryMeta meta{};
  bool operator==(const IndexedKeyList&) const = default;
};
struct ServiceCheck {
  std::string id{};
  std::string name_space{};  ///< "Namespace"
  bool operator==(const ServiceCheck&) const = default;
};
struct Session {
  std::string id{};
  std::string name{};
  std::string node{};
  Duration lock_delay{};
  std::string behavior{};  ///< "release", "delete"
  std::string ttl{};
  Texts node_checks{};
  std::vector<ServiceCheck> service_checks{};
  Texts checks{};  ///< of releases before 1.7
  RaftIndex index{};
  bool operator==(const Session&) const = default;
};
struct SessionRequest {
  std::string datacenter{};
  std::string op{};  ///< "create", "destroy"
  Session session{};
  std::string token{};
  bool operator==(const SessionRequest&) const = default;
};
struct IndexedSessions {
  std::vector<Session> sessions{};
  QueryMeta meta{};
  bool operator==(const IndexedSessions&) const = default;
};
struct TombstoneRequest {
  std::string datacenter{};
  std::string op{};  ///< "reap"
  std::uint64_t reap_index = 0;
  std::string token{};
  bool operator==(const TombstoneRequest&) const = default;
};

// Coordinates.

struct Coord {
  std::vector<double> vec{};
  double error = 0;
  double adjustment = 0;
  double height = 0;
  bool operator==(const Coord&) const = default;
};
struct Coordinate {
  std::string node{};
  std::string segment{};
  std::optional<Coord> coord{};
  bool operator==(const Coordinate&) const = default;
};
struct CoordinateUpdateRequest {
  std::string datacenter{};
  std::string node{};
  std::string segment{};
  std::optional<Coord> coord{};
  std::string token{};
  bool operator==(const CoordinateUpdateRequest&) const = default;
};
using Coordinates = std::vector<Coordinate>;

// Operator and autopilot.

struct RaftStats {
  std::string last_contact{};  ///< a Go duration, "0", "never"
  std::uint64_t last_term = 0;
  std::uint64_t last_index = 0;
  bool operator==(const RaftStats&) const = default;
};
struct RaftServer {
  std::string id{};
  std::string node{};  ///< "(unknown)" if gossip does not know it
  std::string address{};
  bool leader = false;
  std::string protocol_version{};
  bool voter = false;
  std::uint64_t last_index = 0;
  bool operator==(const RaftServer&) const = default;
};
struct RaftConfigurationResponse {
  std::vector<RaftServer> servers{};
  std::uint64_t index = 0;
  bool operator==(const RaftConfigurationResponse&) const = default;
};
struct RaftRemovePeerRequest {
  std::string datacenter{};
  std::string address{};
  std::string id{};
  std::string token{};
  bool operator==(const RaftRemovePeerRequest&) const = default;
};
struct TransferLeaderRequest {
  std::string datacenter{};
  std::string id{};  ///< "" = the leader picks
  std::string token{};
  bool operator==(const TransferLeaderRequest&) const = default;
};
struct TransferLeaderResponse {
  bool success = false;
  bool operator==(const TransferLeaderResponse&) const = default;
};
struct AutopilotConfig {
  bool cleanup_dead_servers = false;
  Duration last_contact_threshold{};
  std::uint64_t max_trailing_logs = 0;
  std::uint64_t min_quorum = 0;
  Duration server_stabilization_time{};
  std::string redundancy_zone_tag{};
  bool disable_upgrade_migration = false;
  std::string upgrade_version_tag{};
  RaftIndex index{};
  bool operator==(const AutopilotConfig&) const = default;
};
struct AutopilotSetConfigRequest {
  std::string datacenter{};
  AutopilotConfig config{};
  bool cas = false;
  std::string token{};
  bool operator==(const AutopilotSetConfigRequest&) const = default;
};
struct AutopilotServerHealth {
  std::string id{};
  std::string name{};
  std::string address{};
  std::int64_t serf_status = 0;  ///< serf.MemberStatus: 1 alive, 2 leaving, 3 left, 4 failed
  std::string version{};
  bool leader = false;
  Duration last_contact{};
  std::uint64_t last_term = 0;
  std::uint64_t last_index = 0;
  bool healthy = false;
  bool voter = false;
  GoTime stable_since{};
  bool operator==(const AutopilotServerHealth&) const = default;
};
struct AutopilotHealthReply {
  bool healthy = false;
  std::int64_t failure_tolerance = 0;
  std::vector<AutopilotServerHealth> servers{};
  bool operator==(const AutopilotHealthReply&) const = default;
};
/// raft-autopilot types.go: ServerState with its Server, Stats and Health.
struct AutopilotServer {
  std::string id{};
  std::string name{};
  std::string address{};
  std::string node_status{};  ///< "alive", "failed", "left", "unknown"
  std::string version{};
  TextMap meta{};
  std::int64_t raft_version = 0;
  bool is_leader = false;
  std::string node_type{};  ///< "voter"
  bool operator==(const AutopilotServer&) const = default;
};
struct AutopilotServerStats {
  Duration last_contact{};
  std::uint64_t last_term = 0;
  std::uint64_t last_index = 0;
  bool operator==(const AutopilotServerStats&) const = default;
};
struct AutopilotServerHealthState {
  bool healthy = false;
  GoTime stable_since{};
  bool operator==(const AutopilotServerHealthState&) const = default;
};
struct AutopilotServerState {
  AutopilotServer server{};
  std::string state{};  ///< "leader", "voter", "non-voter", "staging", "none"
  AutopilotServerStats stats{};
  AutopilotServerHealthState health{};
  bool operator==(const AutopilotServerState&) const = default;
};
struct AutopilotState {
  bool healthy = false;
  std::int64_t failure_tolerance = 0;
  std::map<std::string, AutopilotServerState> servers{};
  std::string leader{};
  Texts voters{};
  bool operator==(const AutopilotState&) const = default;
};

/// Defined for every message above, and for std::string, bool, Texts, Coordinates as arguments or replies.
/// Hot: allocates only what the content needs; a map whose members were not listed in order is sorted once.
template <class M>
void encode(const M& m, Buffer& out);
template <class M>
bool decode(ByteView body, M& m);

/// structs.go: MessageType, the byte in front of a command in the Raft log.
enum class CommandType : std::uint8_t {
  kRegister = 0,               ///< RegisterRequest
  kDeregister = 1,             ///< DeregisterRequest
  kKvs = 2,                    ///< KvsRequest
  kSession = 3,                ///< SessionRequest
  kTombstone = 5,              ///< TombstoneRequest
  kCoordinateBatchUpdate = 6,  ///< Coordinates
  kTxn = 8,
  kAutopilot = 9,  ///< AutopilotSetConfigRequest
  kSystemMetadata = 31,
};
/// Set in the type byte of a command that a server may ignore if it does not know it.
inline constexpr std::uint8_t kIgnoreUnknownType = 128;
/// "Register", "KVS", ...; "Unknown(77)" for others.
std::string command_name(std::uint8_t type);

/// The payload of a log entry: type byte and message.
template <class M>
void append_command(CommandType type, const M& m, Buffer& out) {
  out.push_back(static_cast<std::uint8_t>(type));
  encode(m, out);
}
/// The message behind the type byte. `data` must not be empty.
template <class M>
bool decode_command(ByteView data, M& m) {
  return decode(data.subspan(1), m);
}

}  // namespace dcsim::wire::rpc
