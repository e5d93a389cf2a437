#include "gossip/notice.h"

#include "gossip/delegate.h"
#include "gossip/directory.h"

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
      return {"probe-acked", ""};
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
    case NoticeKind::kGossipSendFailed:
      return {"gossip-send-failed", ""};
    case NoticeKind::kSendFailed:
      return {"send-failed", ""};
    case NoticeKind::kPushPullStarted:
      return {"push-pull-started", ""};
    case NoticeKind::kPushPullServed:
      return {"push-pull-served", ""};
    case NoticeKind::kPushPullFinished:
      return {"push-pull-finished", ""};
    case NoticeKind::kPushPullFailed:
      return {"push-pull-failed", ""};
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

std::string from(const Endpoint& peer) { return "from=" + peer.text(); }

}  // namespace

std::string_view notice_name(NoticeKind kind) { return naming(kind).name; }
std::string_view notice_metric(NoticeKind kind) { return naming(kind).metric; }

std::string log_text(const Notice& n, const Directory& directory) {
  const std::string member(directory.name(n.member));
  const std::string other(directory.name(n.other));
  const std::string text(n.text);
  const auto debug = [](const std::string& s) { return "[DEBUG] memberlist: " + s; };
  const auto info = [](const std::string& s) { return "[INFO] memberlist: " + s; };
  const auto warn = [](const std::string& s) { return "[WARN] memberlist: " + s; };
  const auto err = [](const std::string& s) { return "[ERR] memberlist: " + s; };
  switch (n.kind) {
    case NoticeKind::kProbeSendFailed:
      return n.aux ? err("Failed to send UDP compound ping and suspect message to " + n.peer.text() + ": " + text)
                   : err("Failed to send UDP ping: " + text);
    case NoticeKind::kProbeTimeout:
      return debug("Failed UDP ping: " + member + " (timeout reached)");
    case NoticeKind::kIndirectSendFailed:
      return err("Failed to send indirect UDP ping: " + text);
    case NoticeKind::kFallbackFailed:
      return n.aux ? err("Failed fallback TCP ping: " + text) : std::string();
    case NoticeKind::kFallbackAcked:
      return warn("Was able to connect to " + member + " over TCP but UDP probes failed, network may be misconfigured");
    case NoticeKind::kProbeFailed:
      return info("Suspect " + member + " has failed, no acks received");
    case NoticeKind::kPingRefused:
      return warn("Got ping for unexpected node '" + text + "' " + from(n.peer));
    case NoticeKind::kSuspicionExpired:
      return info("Marking " + member + " as failed, suspect timeout reached (" + std::to_string(n.aux) +
                  " peer confirmations)");
    case NoticeKind::kRefutedSuspect:
      return warn("Refuting a suspect message (from: " + (text.empty() ? other : text) + ")");
    case NoticeKind::kRefutedDead:
      return warn("Refuting a dead message (from: " + (text.empty() ? other : text) + ")");
    case NoticeKind::kRefutedAlive:
      return warn("Refuting an alive message for '" + member + "' (" + n.peer.text() + ") " + text);
    case NoticeKind::kConflict:
      return err("Conflicting address for " + member + ". Mine: " + n.peer.text() + " Theirs: " + n.peer2.text() +
                 " Old state: " + std::to_string(n.aux));
    case NoticeKind::kReplaced:
      return info("Updating address for left or failed node " + member + " from " + n.peer.text() + " to " +
                  n.peer2.text());
    case NoticeKind::kAliveIgnored:
      return warn("ignoring alive message for '" + member + "': " + text);
    case NoticeKind::kVersionsBad:
      return warn("Ignoring an alive message for '" + member + "' (" + n.peer.text() +
                  ") because protocol version(s) are wrong: " + text + " should be >0");
    case NoticeKind::kAddressRefused:
      return warn("Rejected node " + member + " (" + n.peer.address.text() + "): " + text);
    case NoticeKind::kPacketDropped:
      return err(text + " " + from(n.peer));
    case NoticeKind::kPacketEncrypted:
      return err("Decrypt packet failed: No installed keys could decrypt the message " + from(n.peer));
    case NoticeKind::kHandoffOverflow:
      return warn("handler queue full, dropping message (" + std::to_string(n.aux) + ") " + from(n.peer));
    case NoticeKind::kGossipSendFailed:
      return err("Failed to send gossip to " + n.peer.text() + ": " + text);
    case NoticeKind::kSendFailed:
      return err("Failed to send " + text + " " + from(n.peer));
    case NoticeKind::kPushPullStarted:
      return debug("Initiating push/pull sync with: " + member + " " + n.peer.text());
    case NoticeKind::kPushPullServed:
      return debug("Stream connection " + from(n.peer));
    case NoticeKind::kPushPullFailed:
      return err("Push/Pull with " + member + " failed: " + text);
    case NoticeKind::kMergeRefused:
      return err("Failed push/pull merge: " + text + " " + from(n.peer));
    case NoticeKind::kTooManyPushPulls:
      return err("Too many pending push/pull requests");
    case NoticeKind::kStreamDropped:
      return err("failed to receive: " + text + " " + from(n.peer));
    case NoticeKind::kJoinAddress:
      return n.aux ? std::string() : debug(text);
    case NoticeKind::kJoinResolveFailed:
      return warn(text);
    default:
      return {};
  }
}

}  // namespace dcsim::gossip
