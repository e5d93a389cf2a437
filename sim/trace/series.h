#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dcsim::trace {

/// counter: happenings inside the window. gauge: a current value per label set. observation: a sample per happening.
enum class SeriesKind : std::uint8_t { kCounter, kGauge, kObservation };

/// Every series there is. Consul's telemetry names where Consul has one (agent telemetry reference; serf, memberlist
/// and raft emit theirs under the agent's prefix "consul"); what Consul cannot see is sim.*.
enum class Series : std::uint16_t {
  // Serf
  kSerfMemberJoin,
  kSerfMemberLeave,
  kSerfMemberLeft,
  kSerfMemberFailed,
  kSerfMemberUpdate,
  kSerfMemberReap,
  kSerfMemberFlap,
  kSerfEvents,
  kSerfQueries,
  kSerfMsgsReceived,
  kSerfMsgsSent,
  kSerfQueueIntent,
  kSerfQueueEvent,
  kSerfQueueQuery,
  kSerfCoordinateAdjustmentMs,
  kSerfCoordinateRejected,
  kSerfSnapshotAppendLine,
  kSerfSnapshotCompact,
  // memberlist
  kMemberlistMsgAlive,
  kMemberlistMsgSuspect,
  kMemberlistMsgDead,
  kMemberlistHealthScore,
  kMemberlistProbeNode,
  kMemberlistGossip,
  kMemberlistPushPullNode,
  kMemberlistTcpAccept,
  kMemberlistTcpConnect,
  kMemberlistTcpSent,
  kMemberlistUdpSent,
  kMemberlistUdpReceived,
  kMemberlistDegradedProbe,
  kMemberlistDegradedTimeout,
  kMemberlistQueueBroadcasts,
  kMemberlistNodeInstances,
  kMemberlistSizeLocal,
  kMemberlistSizeRemote,
  // Raft
  kRaftStateFollower,
  kRaftStateCandidate,
  kRaftStateLeader,
  kRaftTransitionHeartbeatTimeout,
  kRaftTransitionLeaderLeaseTimeout,
  kRaftApply,
  kRaftBarrier,
  kRaftCommitTime,
  kRaftCommitNumLogs,
  kRaftVerifyLeader,
  kRaftLeaderLastContact,
  kRaftLeaderDispatchLog,
  kRaftLeaderDispatchNumLogs,
  kRaftReplicationAppendEntriesRpc,
  kRaftReplicationAppendEntriesLogs,
  kRaftReplicationHeartbeat,
  kRaftReplicationInstallSnapshot,
  kRaftRpcAppendEntries,
  kRaftRpcRequestVote,
  kRaftRpcInstallSnapshot,
  kRaftSnapshotCreate,
  kRaftSnapshotPersist,
  kRaftRestore,
  kRaftPeers,
  kRaftTerm,
  kRaftAppliedIndex,
  kRaftLastIndex,
  kAutopilotHealthy,
  kAutopilotFailureTolerance,
  kServerIsLeader,
  // RPC, catalog, federation
  kRpcRequest,
  kRpcRequestError,
  kRpcQuery,
  kRpcCrossDc,
  kRpcAcceptConn,
  kRpcConsistentRead,
  kRpcRaftHandoff,
  kRpcQueriesBlocking,
  kRpcRateLimitExceeded,
  kRpcServerCall,
  kClientRpc,
  kClientRpcExceeded,
  kClientRpcFailed,
  kClientRpcError,
  kCatalogRegister,
  kCatalogDeregister,
  kLeaderBarrier,
  kLeaderReconcile,
  kLeaderReconcileMember,
  kLeaderReapTombstones,
  kSessionTtlActive,
  kAreaConnectionsOutgoing,
  kMembersServers,
  kMembersClients,
  // sim.*: firewall and network
  kFwDrop,
  kFwReject,
  kFwAccept,
  kLinkBytes,
  kLinkTx,
  kLinkDrop,
  kPacketDrop,
  kPacketMalformed,
  kNodePackets,
  kNodeBytes,
  kNodeGossipBytesPerS,
  kConnOpened,
  kConnFailed,
  // sim.*: membership
  kMemberStatus,
  kMembersAlive,
  kMembersFailed,
  kJoinRejected,
  kJoinTime,
  kJoinFailed,
  kConvergeTime,
  kDetectTime,
  kSuspectRefuteTime,
  kSuspectStarted,
  kProbeTimeout,
  kProbeFailed,
  kProbeTcpOnly,
  kRefute,
  kPushPull,
  // sim.*: RPC, areas, Raft
  kRpcPath,
  kRpcHops,
  kRpcLatency,
  kRpcCount,
  kRpcError,
  kRpcUnavailable,
  kAreaMembers,
  kAreaRecoverTime,
  kRaftLeaderlessTime,
  // sim.*: world
  kAgentUp,
  kCommandExit,
  kCheckViolation,
  kCount_
};
inline constexpr std::size_t kSeriesCount = static_cast<std::size_t>(Series::kCount_);

/// Own label slots a series may declare at most.
inline constexpr std::size_t kMaxSlots = 6;

/// One row of the reference.
struct SeriesSpec {
  std::string_view name;
  SeriesKind kind = SeriesKind::kCounter;
  std::string_view unit;   ///< "events", "s", "ms", "B", "B/s", "score", ...; "" for text
  std::string_view agent;  ///< how LabelValues::observer is called: "observer", "node", "from"; "" = none
  bool member = false;     ///< LabelValues::member is used, as "member"
  std::array<std::string_view, kMaxSlots> slots;  ///< names of LabelValues::slot, "" = unused
  std::string_view meaning;
  std::string_view default_label;  ///< without a matcher on this label ...
  std::string_view default_value;  ///< ... only this value is meant
  bool text = false;               ///< values are texts, not numbers

  /// Index of an own slot by name.
  std::optional<std::size_t> slot(std::string_view label) const;
};

const SeriesSpec& series_spec(Series series);
std::optional<Series> find_series(std::string_view name);
/// The names nearest to `name` by edit distance, best first, at most `limit`; empty if none is near.
std::vector<std::string_view> suggest_series(std::string_view name, std::size_t limit = 3);
/// True if `label` can be used with the series. Declared labels, "observer"/"node"/"agent" and "member"; and where the
/// series has an agent: role, zone, dc, segment, those of `agent_labels`, and the same with the prefix of an
/// agent-valued label ("member_role", "observer_dc", "from_zone", "to_zone", "joiner_role").
bool label_known(Series series, std::string_view label, std::span<const std::string> agent_labels);
/// All labels that can be used, for messages: declared ones first.
std::vector<std::string> labels_of(Series series, std::span<const std::string> agent_labels);
/// Labels every agent has.
std::span<const std::string_view> implied_agent_labels();
/// True for a slot whose values are agent names, so that PREFIX_role etc. look at that agent.
bool agent_valued(std::string_view slot_label);

std::string_view series_kind_name(SeriesKind kind);
/// Seconds in one unit of time ("ns", "us", "ms", "s", "min", "m", "h"), 0 for what is no time.
double seconds_per(std::string_view unit);
/// `value` in unit `from` expressed in `to` (times, and bytes: B, KB, KiB, MB, MiB, GB, GiB, each also per second).
/// nullopt if the two do not convert.
std::optional<double> convert_unit(double value, std::string_view from, std::string_view to);
/// `dcsim series`: the table as text, one series a line with kind, unit, labels and meaning.
std::string series_reference();

/// Edit distance with transpositions (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace dcsim::trace
