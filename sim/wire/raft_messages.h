#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "wire/msgpack.h"

// The messages of hashicorp/raft (commands.go, log.go, configuration.go) and their msgpack bodies.
// Text members are views: decoded ones point into the frame they were read from, encoded ones are read from the
// caller's; hold the frame, or copy, to keep them. Payloads of entries are `Bytes`: they share the frame's block, so an
// entry goes from the wire into a log and out to five peers without a copy. Missing members keep zero values.

namespace dcsim::wire {

/// Which library's bytes are written; the decoder takes both (raft 1.1.2 has no header fields Addr and ID, no
/// AppendedAt and no pre-vote, and its msgpack codec writes larger signed numbers like unsigned ones).
enum class RaftDialect : std::uint8_t { k1_7, k1_1 };

/// net_transport.go: the byte in front of a request.
enum class RaftRpc : std::uint8_t {
  kAppendEntries = 0,
  kRequestVote = 1,
  kInstallSnapshot = 2,
  kTimeoutNow = 3,
  kRequestPreVote = 4,
};
std::string_view name_of(RaftRpc rpc);  ///< "AppendEntries", ...; "unknown" for other values

/// log.go: LogType. Others are kept as they came.
enum class LogType : std::uint8_t {
  kCommand = 0,
  kNoop = 1,
  kAddPeerDeprecated = 2,
  kRemovePeerDeprecated = 3,
  kBarrier = 4,
  kConfiguration = 5,
};
std::string_view name_of(LogType type);  ///< "LogCommand", ... as hashicorp/raft prints it

/// A Go time.Time as its MarshalBinary writes it. All zero is the zero time.
struct GoTime {
  std::int64_t seconds = 0;            ///< since year 1, UTC
  std::int32_t nanoseconds = 0;        ///< 0 .. 999 999 999
  std::int16_t offset_minutes = kUtc;  ///< of the zone; kUtc means UTC itself

  static constexpr std::int16_t kUtc = -1;
  static constexpr std::int64_t kUnixEpoch = 62'135'596'800;  ///< seconds from year 1 to 1970
  static GoTime from_unix(std::int64_t nanoseconds_since_1970);
  std::int64_t unix_nanoseconds() const;  ///< saturates outside 1677 .. 2262
  bool zero() const { return seconds == 0 && nanoseconds == 0; }
  bool operator==(const GoTime&) const = default;
};

/// As a msgpack byte string of 15; the reader also takes version 2 (16 bytes) and nil, and fails on anything else.
void write_go_time(Writer& w, const GoTime& t);
GoTime read_go_time(Reader& r);

/// log.go: Log. Empty data and extensions are written as nil, as Go's own entries without payload are.
struct LogEntry {
  std::uint64_t index = 0;
  std::uint64_t term = 0;
  LogType type = LogType::kCommand;
  GoTime appended_at{};  ///< when the leader appended it
  Bytes data{};
  Bytes extensions{};
};

/// commands.go: RPCHeader; its members stand in the same map as those of the message.
struct RpcHeader {
  std::int64_t protocol_version = 0;
  std::string_view id{};    ///< server ID; "" from releases before 1.3.7
  std::string_view addr{};  ///< sender's address "host:port"
};

struct AppendEntriesRequest {
  RpcHeader header{};
  std::uint64_t term = 0;
  std::string_view leader{};  ///< the address again
  std::uint64_t prev_log_entry = 0;
  std::uint64_t prev_log_term = 0;
  std::span<const LogEntry> entries{};
  bool entries_nil = false;  ///< heartbeats leave Entries nil; an AppendEntries without entries sends an empty list
  std::uint64_t leader_commit_index = 0;

  /// The shape that a receiver answers outside its main queue (net_transport.go handleCommand).
  bool heartbeat() const {
    return term != 0 && (!header.addr.empty() || !leader.empty()) && prev_log_entry == 0 && prev_log_term == 0 &&
           entries.empty() && leader_commit_index == 0;
  }
};

struct AppendEntriesResponse {
  RpcHeader header{};
  std::uint64_t term = 0;
  std::uint64_t last_log = 0;
  bool success = false;
  bool no_retry_backoff = false;
};

struct RequestVoteRequest {
  RpcHeader header{};
  std::uint64_t term = 0;
  std::string_view candidate{};  ///< the address again
  std::uint64_t last_log_index = 0;
  std::uint64_t last_log_term = 0;
  bool leadership_transfer = false;
};

struct RequestVoteResponse {
  RpcHeader header{};
  std::uint64_t term = 0;
  OptBytes peers{};  ///< of old protocol versions; nil
  bool granted = false;
};

struct RequestPreVoteRequest {
  RpcHeader header{};
  std::uint64_t term = 0;
  std::uint64_t last_log_index = 0;
  std::uint64_t last_log_term = 0;
};

struct RequestPreVoteResponse {
  RpcHeader header{};
  std::uint64_t term = 0;
  bool granted = false;
};

/// Followed on the stream by `size` bytes of snapshot.
struct InstallSnapshotRequest {
  RpcHeader header{};
  std::int64_t snapshot_version = 0;  ///< 1
  std::uint64_t term = 0;
  std::string_view leader{};
  std::uint64_t last_log_index = 0;
  std::uint64_t last_log_term = 0;
  OptBytes peers{};          ///< of old protocol versions; nil
  OptBytes configuration{};  ///< an encoded Configuration
  std::uint64_t configuration_index = 0;
  std::int64_t size = 0;
};

struct InstallSnapshotResponse {
  RpcHeader header{};
  std::uint64_t term = 0;
  bool success = false;
};

struct TimeoutNowRequest {
  RpcHeader header{};
};

struct TimeoutNowResponse {
  RpcHeader header{};
};

/// configuration.go: ServerSuffrage.
enum class Suffrage : std::uint8_t { kVoter = 0, kNonvoter = 1, kStaging = 2 };
std::string_view name_of(Suffrage suffrage);  ///< "Voter", "Nonvoter", "Staging"

struct ConfigurationServer {
  Suffrage suffrage = Suffrage::kVoter;
  std::string id{};
  std::string address{};
  bool operator==(const ConfigurationServer&) const = default;
};

/// The payload of a kConfiguration entry and of a snapshot's meta data. Owns its text: it outlives frames.
struct Configuration {
  std::vector<ConfigurationServer> servers{};
  bool operator==(const Configuration&) const = default;
};

/// Entries decoded last; one per world or connection. Keeps its capacity.
struct LogWorkspace {
  std::vector<LogEntry> entries;
};

/// Most entries that a decoder takes in one AppendEntries: Consul's configuration allows 1024 at most; the rest is
/// margin. What it keeps is bounded by the bytes really received, about 8 times.
inline constexpr std::uint32_t kMaxRaftEntries = 65'536;
inline constexpr std::uint32_t kMaxRaftServers = 4'096;

// Body only, appended: no type byte, no error string (wire/raft_stream.h frames them). Allocates nothing but `out`.
// Hot: one map of at most 12 members; entries cost their bytes.
void encode(const AppendEntriesRequest& m, RaftDialect dialect, Buffer& out);
void encode(const AppendEntriesResponse& m, RaftDialect dialect, Buffer& out);
void encode(const RequestVoteRequest& m, RaftDialect dialect, Buffer& out);
void encode(const RequestVoteResponse& m, RaftDialect dialect, Buffer& out);
void encode(const RequestPreVoteRequest& m, RaftDialect dialect, Buffer& out);
void encode(const RequestPreVoteResponse& m, RaftDialect dialect, Buffer& out);
void encode(const InstallSnapshotRequest& m, RaftDialect dialect, Buffer& out);
void encode(const InstallSnapshotResponse& m, RaftDialect dialect, Buffer& out);
void encode(const TimeoutNowRequest& m, RaftDialect dialect, Buffer& out);
void encode(const TimeoutNowResponse& m, RaftDialect dialect, Buffer& out);
/// One entry, as in AppendEntries and as hashicorp/raft-boltdb stores it.
void encode(const LogEntry& m, RaftDialect dialect, Buffer& out);
void encode(const Configuration& m, RaftDialect dialect, Buffer& out);

// At a reader's position; false if malformed or cut short (r.status() tells which; the struct is then unspecified).
// Any key order, unknown keys skipped, nil as zero, and a struct as a list in declaration order, as go-msgpack does:
// for lists the dialect matters, for maps either reads both.
/// `r` must read from `frame`; payloads share its block, `m.entries` points into `ws`.
bool read(Reader& r, const Bytes& frame, LogWorkspace& ws, AppendEntriesRequest& m,
          RaftDialect dialect = RaftDialect::k1_7);
bool read(Reader& r, const Bytes& frame, LogEntry& m, RaftDialect dialect = RaftDialect::k1_7);
bool read(Reader& r, AppendEntriesResponse& m, RaftDialect dialect = RaftDialect::k1_7);
bool read(Reader& r, RequestVoteRequest& m, RaftDialect dialect = RaftDialect::k1_7);
bool read(Reader& r, RequestVoteResponse& m, RaftDialect dialect = RaftDialect::k1_7);
bool read(Reader& r, RequestPreVoteRequest& m, RaftDialect dialect = RaftDialect::k1_7);
bool read(Reader& r, RequestPreVoteResponse& m, RaftDialect dialect = RaftDialect::k1_7);
bool read(Reader& r, InstallSnapshotRequest& m, RaftDialect dialect = RaftDialect::k1_7);
bool read(Reader& r, InstallSnapshotResponse& m, RaftDialect dialect = RaftDialect::k1_7);
bool read(Reader& r, TimeoutNowRequest& m, RaftDialect dialect = RaftDialect::k1_7);
bool read(Reader& r, TimeoutNowResponse& m, RaftDialect dialect = RaftDialect::k1_7);
/// False also for more than kMaxRaftServers servers or a suffrage that does not exist.
bool decode(ByteView body, Configuration& m);

}  // namespace dcsim::wire
