#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/time.h"
#include "raft/storage.h"
#include "raft/types.h"

namespace dcsim::raft {

/// On which of its connections to a peer a request goes. Requests of one channel are answered in order; all but the
/// pipeline have at most one outstanding per peer (votes: one per round).
enum class Channel : std::uint8_t {
  kHeartbeat,    ///< so that disk work does not delay it
  kReplication,  ///< request and response in turn: AppendEntries, InstallSnapshot
  kPipeline,     ///< a connection of its own, several requests before the first response
  kVote,         ///< RequestVote, RequestPreVote
  kTransfer,     ///< TimeoutNow
};

/// hclog's levels.
enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };

struct LogField {
  std::string_view key;
  std::string value;
};

enum class NoticeKind : std::uint8_t {
  kRole,               ///< became `role` in `term`
  kTerm,               ///< entered `term`
  kLeader,             ///< knows `server` as leader; empty = none
  kVoteGranted,        ///< to `server` (an address) in `term`
  kElectionWon,        ///< `term`
  kPreVoteFailed,      ///< `term` = the proposed one
  kConfiguration,      ///< `index` = its entry
  kTruncated,          ///< entries from `index` on were removed for a conflict
  kSnapshotTaken,      ///< `index`
  kSnapshotInstalled,  ///< `index`
  kContactFailed,      ///< a heartbeat to `server` failed
  kContactResumed,     ///< and was answered again
  kSteppedDown,        ///< `text` = why
};

struct Notice {
  NoticeKind kind = NoticeKind::kRole;
  Role role = Role::kFollower;
  Term term = 0;
  Index index = 0;
  std::string_view server;
  std::string_view text;
};

/// How a client's operation ended.
struct Outcome {
  std::string_view error;  ///< hashicorp/raft's text; empty = success
  Index index = 0;         ///< of its entry, or of its snapshot
  Term term = 0;
  bool ok() const { return error.empty(); }
};

/// What a node asks of its surroundings. Called from inside its inputs; must not call back into it. Views are good for
/// the call only: encode or copy at once. Entries' payloads may be kept by sharing their Bytes.
class Actions {
 public:
  virtual ~Actions() = default;

  // --- Requests out. Each is answered by one Node::on_response or Node::on_failure of its id, never from inside the
  // call. Dialling, pooling and the I/O timeout (10 s in Consul) are the surroundings'; `to` carries the server's ID
  // and its address in the configuration (Consul dials the address that gossip has for the ID).
  virtual void send(RpcId id, const Server& to, Channel channel, const wire::AppendEntriesRequest& request) = 0;
  virtual void send(RpcId id, const Server& to, const wire::RequestVoteRequest& request) = 0;
  virtual void send(RpcId id, const Server& to, const wire::RequestPreVoteRequest& request) = 0;
  /// On Channel::kReplication; the state follows the request. Deadline: timeout * max(1, size / 256 KiB).
  virtual void send(RpcId id, const Server& to, const wire::InstallSnapshotRequest& request, const Bytes& state) = 0;
  virtual void send(RpcId id, const Server& to, const wire::TimeoutNowRequest& request) = 0;
  /// Closes the pipeline's connection; what is outstanding on it need not be answered any more.
  virtual void close_pipeline(const Server& to) = 0;

  // --- Answers to requests. `error` not empty: the error string goes out instead (hashicorp/raft net_transport.go).
  virtual void respond(RequestId id, const wire::AppendEntriesResponse& response, std::string_view error) = 0;
  virtual void respond(RequestId id, const wire::RequestVoteResponse& response, std::string_view error) = 0;
  virtual void respond(RequestId id, const wire::RequestPreVoteResponse& response, std::string_view error) = 0;
  virtual void respond(RequestId id, const wire::InstallSnapshotResponse& response, std::string_view error) = 0;
  virtual void respond(RequestId id, const wire::TimeoutNowResponse& response, std::string_view error) = 0;

  // --- The state machine (hashicorp/raft fsm.go).
  /// Committed entries in order: commands, barriers, configurations; no noops. On the leader, `finished` of their
  /// operations follows.
  virtual void apply(std::span<const LogEntry> entries) = 0;
  /// The state after everything applied so far.
  virtual Bytes take_snapshot() = 0;
  /// Replaces the state. False: the bytes are no snapshot.
  virtual bool restore(const SnapshotMeta& meta, const Bytes& state) = 0;

  // --- News.
  virtual void finished(Token token, const Outcome& outcome) = 0;
  /// True when this node starts to lead, false when it ceases to; in turn.
  virtual void leadership(bool leading) = 0;
  virtual void notice(const Notice& notice) = 0;
  /// Whether lines of this level are wanted; others are not handed over.
  virtual bool logs(LogLevel level) const = 0;
  virtual void log(LogLevel level, std::string_view message, std::span<const LogField> fields) = 0;
  /// The node cannot go on and has shut down: what is a panic in hashicorp/raft.
  virtual void panic(std::string_view reason) = 0;
};

}  // namespace dcsim::raft
