#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/ids.h"
#include "base/time.h"

namespace dcsim::gossip {

class Directory;
/// Dense id of a member name within one Directory. Its value means nothing outside.
using MemberId = Id<struct MemberTag>;

/// Every happening of memberlist that a user, a metric or a checker may want to know. Closed list; the comment gives
/// memberlist's own log line or metric, then the fields used. `member` is the subject, `other` the second party.
enum class NoticeKind : std::uint8_t {
  // Probe (memberlist state.go: probeNode)
  kProbeSent,           ///< value = SeqNo, aux = 1 if the buddy system added a suspect message
  kProbeSendFailed,     ///< [ERR] memberlist: Failed to send UDP ping: %s; text, aux = 1 with a suspect message
  kProbeDegraded,       ///< metric memberlist.degraded.probe; value = scaled interval in ns
  kProbeAcked,          ///< direct ack within ProbeTimeout; value = round trip in ns
  kProbeAckedLate,      ///< any ack after ProbeTimeout (late, relayed); value = ns since the ping
  kProbeTimeout,        ///< [DEBUG] memberlist: Failed UDP ping: %s (timeout reached)
  kIndirectSent,        ///< member = target, other = relay, aux = 1 if a nack is expected
  kIndirectSendFailed,  ///< [ERR] memberlist: Failed to send indirect UDP ping: %s
  kFallbackDialled,     ///< stream ping started; peer = address
  kFallbackFailed,  ///< [ERR] memberlist: Failed fallback TCP ping: %s; text, aux = 1 if the dial had succeeded (else
                    ///< nothing is logged), elapsed = the probe's interval
  kFallbackAcked,       ///< [WARN] memberlist: Was able to connect to %s over TCP but UDP probes failed, ...
  kProbeFailed,  ///< [INFO] memberlist: Suspect %s has failed, no acks received; value = nacks expected, aux = received
  kNackReceived,  ///< counted nack; member = probed node
  kNackSent,      ///< value = requester's SeqNo; peer = requester
  kRelayPinged,   ///< indirect ping served; member = target if known, peer = requester
  kRelayAcked,    ///< ack forwarded; peer = requester
  kPingRefused,   ///< [WARN] memberlist: Got ping for unexpected node '%s' from=%s; name = wanted, aux = 1 on a stream
  // Membership (aliveNode, suspectNode, deadNode, refute)
  kAliveAccepted,      ///< metric memberlist.msg.alive; value = incarnation, aux = state before
  kSuspectAccepted,    ///< metric memberlist.msg.suspect; other = From, value = timer in ns, aux = confirmations wanted
  kSuspectConfirmed,   ///< other = From, value = new remaining time in ns, aux = confirmations so far
  kSuspicionExpired,   ///< [INFO] memberlist: Marking %s as failed, suspect timeout reached (%d peer confirmations)
  kSuspicionDegraded,  ///< metric memberlist.degraded.timeout; aux = confirmations
  kDeadAccepted,       ///< metric memberlist.msg.dead, now dead; other = From, value = incarnation
  kLeftAccepted,       ///< metric memberlist.msg.dead, now left; other = From, value = incarnation
  kRefutedSuspect,     ///< [WARN] memberlist: Refuting a suspect message (from: %s); value = new incarnation
  kRefutedDead,        ///< [WARN] memberlist: Refuting a dead message (from: %s); value = new incarnation
  kRefutedAlive,       ///< [WARN] memberlist: Refuting an alive message for '%s' (%v:%d) ...; value = new incarnation
  kHealthScore,        ///< metric memberlist.health.score; value = new, aux = old
  kConflict,           ///< [ERR] memberlist: Conflicting address for %s. Mine: %v:%d Theirs: %v:%d Old state: %v
  kReplaced,           ///< [INFO] memberlist: Updating address for left or failed node %s from %v:%d to %v:%d
  kAliveIgnored,       ///< [WARN] memberlist: ignoring alive message for '%s': %s; text, aux = 1 if versions are missing
  kVersionsBad,     ///< [WARN] memberlist: Ignoring an alive message for '%s' (%v:%d) because protocol version(s) are
                    ///< wrong: ...
  kAddressRefused,  ///< [WARN] memberlist: Rejected node %s (%v): %s, or Rejected IP update ...; aux = 1 (CIDRsAllowed)
  kAddressBlocked,  ///< [DEBUG] memberlist: Blocked alive message: %s from=%s; peer2 = the blocked address
  kMemberReaped,    ///< forgotten at the wrap of the probe list
  kMemberRefused,   ///< not memberlist's: the Directory is full; name
  // Packets
  kPacketDropped,     ///< malformed, wrong label or checksum, unknown type; aux = wire::PacketDrop, peer = sender,
                      ///< value = the message type, text = the drop's name
  kPacketEncrypted,   ///< [ERR] memberlist: Decrypt packet failed (no keyring here)
  kHandoffOverflow,   ///< [WARN] memberlist: handler queue full, dropping message (%d) from=%s; aux = type
  kGossipSent,        ///< a gossip round that had something to send is over; value = packets
  kGossipSendFailed,  ///< [ERR] memberlist: Failed to send gossip to %s: %s
  kSendFailed,        ///< [ERR] memberlist: Failed to send ack: %s from=%s; name = what (ack, nack, ...), text, peer
  // Streams
  kPushPullStarted,    ///< [DEBUG] memberlist: Initiating push/pull sync with: %s; peer, aux = 1 on join
  kPushPullServed,     ///< [DEBUG] memberlist: Stream connection from=%s, a push/pull answered; aux = 1 on join
  kStateSent,          ///< metrics memberlist.size.local, memberlist.node.instances; value = bytes before compression
  kStateReceived,      ///< metric memberlist.size.remote; value = bytes on the wire
  kPushPullFinished,   ///< value = remote entries, aux = 1 on join, elapsed since the dial
  kPushPullFailed,     ///< [ERR] memberlist: Push/Pull with %s failed: %s; text, elapsed since the dial
  kMergeRefused,       ///< [ERR] memberlist: Failed push/pull merge: %s (served side); text, aux = 1 on join
  kTooManyPushPulls,   ///< [ERR] memberlist: Too many pending push/pull requests
  kStreamDropped,      ///< [ERR] memberlist: failed to receive: %s; aux = wire::StreamError, text
  kJoinAddress,        ///< one address of a join: peer, aux = 1 ok / 0 failed with text ([DEBUG] memberlist: %v), elapsed
  kJoinResolveFailed,  ///< [WARN] memberlist: failed to resolve ...; text
  kLeaveStarted,       ///< own leave broadcast queued
  kLeaveTimedOut,      ///< timeout waiting for leave broadcast
  kCount_
};

/// One happening. `text` and the object itself live only during Actions::note; whoever keeps it copies.
struct Notice {
  NoticeKind kind = NoticeKind::kCount_;
  std::uint32_t aux = 0;
  MemberId member;
  MemberId other;
  std::int64_t value = 0;
  Endpoint peer;
  Endpoint peer2;         ///< second address of conflicts and replacements
  Duration elapsed;
  std::uint32_t sent = 0;  ///< entries sent in a push/pull
  std::string_view text;  ///< an error, or a detail in memberlist's words
  std::string_view name;  ///< of a node that need not be a member, or of a thing
};

/// Levels of memberlist's log lines; kNone = the kind is not logged.
enum class LogSeverity : std::uint8_t { kNone, kTrace, kDebug, kInfo, kWarn, kError };
/// The level of log_text(), found without building it.
LogSeverity log_severity(const Notice& notice);

/// The log line as memberlist prints it, with level and "memberlist: " ("[WARN] memberlist: Refuting a suspect message
/// (from: c1)"); empty for kinds that memberlist does not log. Allocates; not for the hot path.
std::string log_text(const Notice& notice, const Directory& directory);

/// Stable short name of the kind ("probe-acked"), for traces.
std::string_view notice_name(NoticeKind kind);

/// memberlist's metric of the kind ("memberlist.msg.suspect"), empty if it has none.
std::string_view notice_metric(NoticeKind kind);

}  // namespace dcsim::gossip
