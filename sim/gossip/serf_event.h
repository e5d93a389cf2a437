#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "gossip/directory.h"
#include "gossip/serf_clock.h"
#include "wire/serf_messages.h"

namespace dcsim::gossip {

/// Serf's tags, in key order (Go maps have none; any order is legal on the wire).
using Tags = std::map<std::string, std::string, std::less<>>;

/// Serf serf.go MemberStatus; the numbers are those of the wire.
enum class MemberStatus : std::uint8_t { kNone = 0, kAlive = 1, kLeaving = 2, kLeft = 3, kFailed = 4 };
/// Serf's words: "none", "alive", "leaving", "left", "failed".
std::string_view to_text(MemberStatus status);

/// One member as one Serf node sees it: a copy. The name lives as long as the Directory (in notify_merge: as the call).
struct Member {
  MemberId id;
  std::string_view name;
  Endpoint endpoint;
  std::shared_ptr<const Tags> tags;  ///< never null in a Member handed out by Serf; shared by all views of one meta
  MemberStatus status = MemberStatus::kNone;
  LamportTime status_ltime = 0;
  Versions versions{};

  /// The value of a tag, or "" (as Go's map lookup).
  std::string_view tag(std::string_view key) const {
    const auto it = tags->find(key);
    return it == tags->end() ? std::string_view() : std::string_view(it->second);
  }
};

/// Serf event.go EventMember*. Serf's words: "member-join", "member-leave", "member-failed", "member-update",
/// "member-reap".
enum class MemberEventKind : std::uint8_t { kJoin, kLeave, kFailed, kUpdate, kReap };
std::string_view to_text(MemberEventKind kind);

/// Readers of details ask the Serf that reports (`Serf::find(event.member)`); a reaped member is still there during the
/// call.
struct MemberEvent {
  MemberEventKind kind = MemberEventKind::kJoin;
  MemberId member;
  MemberStatus before = MemberStatus::kNone;  ///< status before the event; kNone for a member unknown until now
  MemberStatus after = MemberStatus::kNone;   ///< status after it; for a reap, the status it was erased with
  /// A join of a member held failed for less than FlapTimeout: what Serf counts as `serf.member.flap`
  /// (serf.go handleNodeJoin).
  bool flap = false;
  /// kLeave by an intent about a failed member (force-leave), not by the member's own departure; kReap by a prune.
  bool forced = false;
};

/// A user event delivered to the application. Views are valid during the call.
struct UserEvent {
  LamportTime ltime = 0;
  std::string_view name;
  ByteView payload;
  bool coalesce = false;
};

/// A query that passed its filters and is not one of Serf's own (`_serf_...`). Views are valid during the call. Nothing
/// answers it yet: the acknowledgement was sent if it was asked for.
struct Query {
  LamportTime ltime = 0;
  std::uint32_t id = 0;
  std::string_view name;
  ByteView payload;
  std::string_view source_node;
  Instant deadline;
};

/// Happenings of Serf that are no member event; the comment is Serf's own log line.
enum class SerfNoticeKind : std::uint8_t {
  kReconnectAttempt,    ///< [INFO] serf: attempting reconnect to %v %s; member, endpoint
  kReconnectThrottled,  ///< [DEBUG] serf: forgoing reconnect for random throttling
  kLeaveIntentRefuted,  ///< [DEBUG] serf: Refuting an older leave intent
  kNameConflict,     ///< [WARN] serf: Name conflict for '%s' both %s:%d and %s:%d are claiming; endpoint2 = the other's
  kOwnNameConflict,  ///< [ERR] serf: Node name conflicts with another node at %s:%d. Names must be unique!
                     ///< (Resolution enabled: %v); endpoint2, value = enabled
  kQueueDepthWarning,  ///< [WARN] serf: %s queue depth: %d; text = "Intent", "Event", "Query", value = depth
  kQueuePruned,    ///< [WARN] serf: %s queue depth (%d) exceeds limit (%d), dropping messages!; value = depth, limit
  kOldEvent,       ///< [WARN] serf: received old event %s from time %d (current: %d); text, value, limit
  kOldQuery,       ///< [WARN] serf: received old query %s from time %d (current: %d); text, value, limit
  kLeaveTimedOut,  ///< [WARN] serf: timeout while waiting for graceful leave
  kMemberlistLeaveTimedOut,  ///< [WARN] serf: timeout waiting for leave broadcast: %s; text
  kBadState,                 ///< [WARN] serf: Bad state when leave: %d; member, value = status
  kUndecodable,              ///< [ERR] serf: Error decoding %s message; text = message name
  kUnknownMessage,           ///< [WARN] serf: Received message of unknown type: %d; value = type
  kOrphanResponse,  ///< [WARN] serf: reply for non-running query (LTime: %d, ID: %d) From: %s; text, value = ID, limit
                    ///< = LTime
  kCoordinateRejected,  ///< [TRACE] serf: Rejected coordinate from %s; member; metric serf.coordinate.rejected
  kPingUnreadable,      ///< [ERR] serf: Failed to decode coordinate from ping, or Unsupported ping version: %v; value = version
  kMergeUnreadable,     ///< [ERR] serf: Failed to decode remote state
  kShutdownUnleft,      ///< [WARN] serf: Shutdown without a Leave
};

struct SerfNotice {
  SerfNoticeKind kind = SerfNoticeKind::kBadState;
  MemberId member{};
  Endpoint endpoint{};
  Endpoint endpoint2{};
  std::int64_t value = 0;
  std::int64_t limit = 0;
  std::string_view text{};  ///< valid during the call
};

/// The level of the kind's log line, known without building it.
LogSeverity log_severity(SerfNoticeKind kind);
/// The log line as Serf prints it, level and "serf: " included. Allocates; not for the hot path.
std::string log_text(const SerfNotice& notice, const Directory& directory);
/// Serf's log line of a member event ("[INFO] serf: EventMemberFailed: web-2 10.0.0.3").
std::string log_text(const MemberEvent& event, const Member& member);

/// Messages queued at a node: Serf's three queues and memberlist's own.
struct QueueDepths {
  std::size_t intent = 0;
  std::size_t event = 0;
  std::size_t query = 0;
  std::size_t broadcasts = 0;
};

/// What Serf reports to whoever runs it, synchronously, in the order in which things happen. `cause` is the record
/// that led to it (an accepted dead message, a suspicion's end, the command); none = whatever the surroundings hold as
/// current cause, which is the record of the input being handled.
///
/// Calls come from inside a Serf method. An implementation may read the Serf that calls, and may queue work, but must
/// not call a method that changes it.
class SerfListener {
 public:
  virtual ~SerfListener() = default;
  virtual void on_member_event(const MemberEvent& event, Cause cause) = 0;
  /// The end of a `join`: nodes contacted, and memberlist's error text (go-multierror layout), empty if `contacted` >
  /// 0.
  virtual void on_join_done(std::uint32_t token, std::uint32_t contacted, std::string_view error, Cause cause) = 0;
  /// The end of a `leave`: the node is in state left and may be shut down.
  virtual void on_leave_done(Cause cause) = 0;
  /// A `leave` gave up with Serf's error (SerfConfig::leave_gives_up); the node stays in state leaving.
  virtual void on_leave_failed(std::string_view error, Cause cause) { static_cast<void>(error), on_leave_done(cause); }
  /// The end of a `force_leave` or `set_tags`: broadcast out, or Serf's timeout text.
  virtual void on_command_done(std::uint32_t token, std::string_view error, Cause cause) {
    static_cast<void>(token), static_cast<void>(error), static_cast<void>(cause);
  }
  virtual void on_user_event(const UserEvent& event, Cause cause) {
    static_cast<void>(event), static_cast<void>(cause);
  }
  /// The answer, if any, becomes the cause of what follows from the happening.
  virtual Cause on_notice(const SerfNotice& notice, Cause cause) {
    static_cast<void>(notice), static_cast<void>(cause);
    return {};
  }
  virtual void on_query(const Query& query, Cause cause) { static_cast<void>(query), static_cast<void>(cause); }

  // For measurements only.
  /// A Serf message came (delegate.go NotifyMsg) or goes out with a packet (GetBroadcasts); bytes without memberlist's.
  // Hot: once per message.
  virtual void on_message(bool sent, std::size_t bytes) { static_cast<void>(sent), static_cast<void>(bytes); }
  /// The own coordinate was updated (ping_delegate.go NotifyPingComplete).
  // Hot: once per probe.
  virtual void on_coordinate(const wire::serf::Coordinate& before, const wire::serf::Coordinate& after) {
    static_cast<void>(before), static_cast<void>(after);
  }
  /// A query that was not heard of before, of the application or of Serf itself.
  virtual void on_query_received(std::string_view name) { static_cast<void>(name); }
  /// Every QueueCheckInterval (serf.go checkQueueDepth, memberlist.go checkBroadcastQueueDepth).
  virtual void on_queues_checked(const QueueDepths& depths) { static_cast<void>(depths); }
};

/// The application's veto over members (Serf MergeDelegate; Consul's segment and datacenter gate). Asked with the whole
/// remote list on a join push/pull, and, because Serf installs it as memberlist's alive delegate too, with a list of
/// one for every alive message. Members in the list have status none, or left.
class MergeDelegate {
 public:
  virtual ~MergeDelegate() = default;
  /// The text of the objection, or nullopt to let them in. A pure function of its argument and of its owner's
  /// configuration.  // Hot: once per alive message and per alive entry of a push/pull.
  virtual std::optional<Error> notify_merge(std::span<const Member> members) = 0;
};

/// A per-member override of ReconnectTimeout and TombstoneTimeout (Serf ReconnectTimeoutOverrider; Consul's `rc_tm`
/// tag).
class ReconnectTimeoutOverride {
 public:
  virtual ~ReconnectTimeoutOverride() = default;
  virtual Duration reconnect_timeout(const Member& member, Duration configured) = 0;
};

}  // namespace dcsim::gossip
