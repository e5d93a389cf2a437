#include "gossip/notice.h"

namespace dcsim::gossip {
namespace {

struct Naming {
  std::string_view name;
  std::string_view metric;
};

constexpr Naming naming(NoticeKind kind) {
  switch (kind) {
    case NoticeKind::kProbeSent:
      return {"probe-sent", ""};
    case NoticeKind::kProbeSendFailed:
      return {"probe-send-failed", ""};
    case NoticeKind::kProbeDegraded:
      return {"probe-degraded", "memberlist.degraded.probe"};
    case NoticeKind::kProbeAcked:
      return {"probe-acked", "memberlist.probeNode"};
    case NoticeKind::kProbeAckedLate:
      return {"probe-acked-late", ""};
    case NoticeKind::kProbeTimeout:
      return {"probe-timeout", ""};
    case NoticeKind::kIndirectSent:
      return {"indirect-sent", ""};
    case NoticeKind::kIndirectSendFailed:
      return {"indirect-send-failed", ""};
    case NoticeKind::kFallbackDialled:
      return {"fallback-dialled", ""};
    case NoticeKind::kFallbackFailed:
      return {"fallback-failed", ""};
    case NoticeKind::kFallbackAcked:
      return {"fallback-acked", ""};
    case NoticeKind::kProbeFailed:
      return {"probe-failed", ""};
    case NoticeKind::kNackReceived:
      return {"nack-received", ""};
    case NoticeKind::kNackSent:
      return {"nack-sent", ""};
    case NoticeKind::kRelayPinged:
      return {"relay-pinged", ""};
    case NoticeKind::kRelayAcked:
      return {"relay-acked", ""};
    case NoticeKind::kPingRefused:
      return {"ping-refused", ""};
    case NoticeKind::kAliveAccepted:
      return {"alive", "memberlist.msg.alive"};
    case NoticeKind::kSuspectAccepted:
      return {"suspect", "memberlist.msg.suspect"};
    case NoticeKind::kSuspectConfirmed:
      return {"suspect-confirmed", ""};
    case NoticeKind::kSuspicionExpired:
      return {"suspicion-expired", ""};
    case NoticeKind::kSuspicionDegraded:
      return {"suspicion-degraded", "memberlist.degraded.timeout"};
    case NoticeKind::kDeadAccepted:
      return {"dead", "memberlist.msg.dead"};
    case NoticeKind::kLeftAccepted:
      return {"left", "memberlist.msg.dead"};
    case NoticeKind::kRefutedSuspect:
      return {"refuted-suspect", ""};
    case NoticeKind::kRefutedDead:
      return {"refuted-dead", ""};
    case NoticeKind::kRefutedAlive:
      return {"refuted-alive", ""};
    case NoticeKind::kHealthScore:
      return {"health-score", "memberlist.health.score"};
    case NoticeKind::kConflict:
      return {"conflict", ""};
    case NoticeKind::kReplaced:
      return {"replaced", ""};
    case NoticeKind::kAliveIgnored:
      return {"alive-ignored", ""};
    case NoticeKind::kVersionsBad:
      return {"versions-bad", ""};
    case NoticeKind::kAddressRefused:
      return {"address-refused", ""};
    case NoticeKind::kAddressBlocked:
      return {"address-blocked", ""};
    case NoticeKind::kMemberReaped:
      return {"member-reaped", ""};
    case NoticeKind::kMemberRefused:
      return {"member-refused", ""};
    case NoticeKind::kPacketDropped:
      return {"packet-dropped", ""};
    case NoticeKind::kPacketEncrypted:
      return {"packet-encrypted", ""};
    case NoticeKind::kHandoffOverflow:
      return {"handoff-overflow", ""};
    case NoticeKind::kGossipSent:
      return {"gossip-sent", "memberlist.gossip"};
    case NoticeKind::kGossipSendFailed:
      return {"gossip-send-failed", ""};
    case NoticeKind::kSendFailed:
      return {"send-failed", ""};
    case NoticeKind::kPushPullStarted:
      return {"push-pull-started", ""};
    case NoticeKind::kPushPullServed:
      return {"push-pull-served", ""};
    case NoticeKind::kStateSent:
      return {"state-sent", "memberlist.size.local"};
    case NoticeKind::kStateReceived:
      return {"state-received", "memberlist.size.remote"};
    case NoticeKind::kPushPullFinished:
      return {"push-pull-finished", "memberlist.pushPullNode"};
    case NoticeKind::kPushPullFailed:
      return {"push-pull-failed", "memberlist.pushPullNode"};
    case NoticeKind::kMergeRefused:
      return {"merge-refused", ""};
    case NoticeKind::kTooManyPushPulls:
      return {"too-many-push-pulls", ""};
    case NoticeKind::kStreamDropped:
      return {"stream-dropped", ""};
    case NoticeKind::kJoinAddress:
      return {"join-address", ""};
    case NoticeKind::kJoinResolveFailed:
      return {"join-resolve-failed", ""};
    case NoticeKind::kLeaveStarted:
      return {"leave-started", ""};
    case NoticeKind::kLeaveTimedOut:
      return {"leave-timed-out", ""};
    case NoticeKind::kCount_:
      break;
  }
  return {"", ""};
}

}  // namespace

std::string_view notice_name(NoticeKind kind) { return naming(kind).name; }
std::string_view notice_metric(NoticeKind kind) { return naming(kind).metric; }

}  // namespace dcsim::gossip
