#include "gossip/serf_event.h"

namespace dcsim::gossip {

std::string_view to_text(MemberStatus status) {
  switch (status) {
    case MemberStatus::kNone:
      return "none";
    case MemberStatus::kAlive:
      return "alive";
    case MemberStatus::kLeaving:
      return "leaving";
    case MemberStatus::kLeft:
      return "left";
    case MemberStatus::kFailed:
      return "failed";
  }
  return "unknown";
}

std::string_view to_text(MemberEventKind kind) {
  switch (kind) {
    case MemberEventKind::kJoin:
      return "member-join";
    case MemberEventKind::kLeave:
      return "member-leave";
    case MemberEventKind::kFailed:
      return "member-failed";
    case MemberEventKind::kUpdate:
      return "member-update";
    case MemberEventKind::kReap:
      return "member-reap";
  }
  return "unknown";
}

LogSeverity log_severity(SerfNoticeKind kind) {
  switch (kind) {
    case SerfNoticeKind::kCoordinateRejected:
      return LogSeverity::kTrace;
    case SerfNoticeKind::kReconnectThrottled:
    case SerfNoticeKind::kLeaveIntentRefuted:
      return LogSeverity::kDebug;
    case SerfNoticeKind::kReconnectAttempt:
      return LogSeverity::kInfo;
    case SerfNoticeKind::kOwnNameConflict:
    case SerfNoticeKind::kUndecodable:
    case SerfNoticeKind::kPingUnreadable:
    case SerfNoticeKind::kMergeUnreadable:
      return LogSeverity::kError;
    default:
      return LogSeverity::kWarn;
  }
}

std::string log_text(const SerfNotice& n, const Directory& directory) {
  const std::string name(directory.name(n.member));
  const std::string text(n.text);
  const std::string value = std::to_string(n.value);
  const std::string limit = std::to_string(n.limit);
  switch (n.kind) {
    case SerfNoticeKind::kReconnectAttempt:
      return "[INFO] serf: attempting reconnect to " + name + " " + n.endpoint.text();
    case SerfNoticeKind::kReconnectThrottled:
      return "[DEBUG] serf: forgoing reconnect for random throttling";
    case SerfNoticeKind::kLeaveIntentRefuted:
      return "[DEBUG] serf: Refuting an older leave intent";
    case SerfNoticeKind::kNameConflict:
      return "[WARN] serf: Name conflict for '" + name + "' both " + n.endpoint.text() + " and " + n.endpoint2.text() +
             " are claiming";
    case SerfNoticeKind::kOwnNameConflict:
      return "[ERR] serf: Node name conflicts with another node at " + n.endpoint2.text() +
             ". Names must be unique! (Resolution enabled: " + (n.value != 0 ? "true" : "false") + ")";
    case SerfNoticeKind::kQueueDepthWarning:
      return "[WARN] serf: " + text + " queue depth: " + value;
    case SerfNoticeKind::kQueuePruned:
      return "[WARN] serf: " + text + " queue depth (" + value + ") exceeds limit (" + limit + "), dropping messages!";
    case SerfNoticeKind::kOldEvent:
      return "[WARN] serf: received old event " + text + " from time " + value + " (current: " + limit + ")";
    case SerfNoticeKind::kOldQuery:
      return "[WARN] serf: received old query " + text + " from time " + value + " (current: " + limit + ")";
    case SerfNoticeKind::kLeaveTimedOut:
      return "[WARN] serf: timeout while waiting for graceful leave";
    case SerfNoticeKind::kMemberlistLeaveTimedOut:
      return "[WARN] serf: timeout waiting for leave broadcast: " + text;
    case SerfNoticeKind::kBadState:
      return "[WARN] serf: Bad state when leave: " + value;
    case SerfNoticeKind::kUndecodable:
      return "[ERR] serf: Error decoding " + text + " message";
    case SerfNoticeKind::kUnknownMessage:
      return "[WARN] serf: Received message of unknown type: " + value;
    case SerfNoticeKind::kOrphanResponse:
      return "[WARN] serf: reply for non-running query (LTime: " + limit + ", ID: " + value + ") From: " + text;
    case SerfNoticeKind::kCoordinateRejected:
      return "[TRACE] serf: Rejected coordinate from " + name;
    case SerfNoticeKind::kPingUnreadable:
      return n.value == 1 ? "[ERR] serf: Failed to decode coordinate from ping: malformed payload"
                          : "[ERR] serf: Unsupported ping version: " + value;
    case SerfNoticeKind::kMergeUnreadable:
      return "[ERR] serf: Failed to decode remote state";
    case SerfNoticeKind::kShutdownUnleft:
      return "[WARN] serf: Shutdown without a Leave";
  }
  return {};
}

std::string log_text(const MemberEvent& event, const Member& member) {
  const std::string name(member.name);
  const std::string full = name + " " + member.endpoint.address.text();
  switch (event.kind) {
    case MemberEventKind::kJoin:
      return "[INFO] serf: EventMemberJoin: " + full;
    case MemberEventKind::kLeave:
      return (event.forced ? "[INFO] serf: EventMemberLeave (forced): " : "[INFO] serf: EventMemberLeave: ") + full;
    case MemberEventKind::kFailed:
      return "[INFO] serf: EventMemberFailed: " + full;
    case MemberEventKind::kUpdate:
      return "[INFO] serf: EventMemberUpdate: " + name;
    case MemberEventKind::kReap:
      return event.forced ? "[INFO] serf: EventMemberReap (forced): " + full : "[INFO] serf: EventMemberReap: " + name;
  }
  return {};
}

}  // namespace dcsim::gossip
