#include "gossip/directory.h"
#include "gossip/notice.h"
#include "wire/packet.h"
#include "wire/stream.h"

// The lines that memberlist 0.5 logs, and their levels.
namespace dcsim::gossip {
namespace {

std::string from(const Endpoint& peer) { return "from=" + peer.text(); }

/// Go prints a time.Duration without the units that are zero at its end; those here are whole microseconds at most.
std::string go_time(Duration d) {
  if (d < Duration{1'000'000'000}) return std::to_string(d.millis()) + "ms";
  std::string text = std::to_string(d.ns / 1'000'000'000);
  if (std::int64_t rest = d.ns % 1'000'000'000 / 1'000'000; rest != 0) {
    std::string fraction = std::to_string(1000 + rest).substr(1);
    while (fraction.back() == '0') fraction.pop_back();
    text += "." + fraction;
  }
  return text + "s";
}

std::string_view body_name(std::int64_t type) {
  switch (static_cast<wire::MessageType>(type)) {
    case wire::MessageType::kPing:
      return "ping request";
    case wire::MessageType::kIndirectPing:
      return "indirect ping request";
    case wire::MessageType::kAck:
      return "ack response";
    case wire::MessageType::kNack:
      return "nack response";
    case wire::MessageType::kAlive:
      return "alive message";
    case wire::MessageType::kSuspect:
      return "suspect message";
    default:
      return "dead message";
  }
}

/// net.go: ingestPacket, handleCommand, handleCompound, handleCompressed and the handlers' decoding.
std::string packet_text(const Notice& n) {
  const std::string type = std::to_string(n.value);
  switch (static_cast<wire::PacketDrop>(n.aux)) {
    case wire::PacketDrop::kEmpty:
      return "missing message type byte " + from(n.peer);
    case wire::PacketDrop::kBadLabel:
      return "cannot decode label; packet has been truncated or label is empty " + from(n.peer);
    case wire::PacketDrop::kLabelMismatch:
      return "discarding packet with unacceptable label: " + from(n.peer);
    case wire::PacketDrop::kDoubleLabel:
      return "unexpected double packet label header: " + from(n.peer);
    case wire::PacketDrop::kBadCrc:
      return "Got invalid checksum for UDP packet";
    case wire::PacketDrop::kBadCompound:
      return "Failed to decode compound request: truncated len slice " + from(n.peer);
    case wire::PacketDrop::kTruncatedCompound:
      return "Compound request had " + type + " truncated messages " + from(n.peer);
    case wire::PacketDrop::kBadCompress:
    case wire::PacketDrop::kTooLarge:
    case wire::PacketDrop::kTooDeep:
      return "Failed to decompress payload: " + std::string(n.text) + " " + from(n.peer);
    case wire::PacketDrop::kUnknownType:
      return "msg type (" + type + ") not supported " + from(n.peer);
    default:
      return "Failed to decode " + std::string(body_name(n.value)) + ": malformed message " + from(n.peer);
  }
}

/// net.go: handleConn.
std::string stream_text(const Notice& n) {
  const std::string text(n.text);
  switch (static_cast<wire::StreamError>(n.aux)) {
    case wire::StreamError::kBadLabel:
      return "failed to receive and remove the stream label header: " + text + " " + from(n.peer);
    case wire::StreamError::kLabelMismatch:
    case wire::StreamError::kDoubleLabel:
      return text + ": " + from(n.peer);
    case wire::StreamError::kUnknownType:
      return "Received invalid msgType (" + std::to_string(n.value) + ") " + from(n.peer);
    case wire::StreamError::kTruncated:
    case wire::StreamError::kBadBody:
    case wire::StreamError::kTooManyNodes:
    case wire::StreamError::kUserStateTooLong:
      return "Failed to read remote state: " + text + " " + from(n.peer);
    default:
      return "failed to receive: " + text + " " + from(n.peer);
  }
}

std::string_view level_text(LogSeverity severity) {
  switch (severity) {
    case LogSeverity::kTrace:
      return "[TRACE]";
    case LogSeverity::kDebug:
      return "[DEBUG]";
    case LogSeverity::kInfo:
      return "[INFO]";
    case LogSeverity::kWarn:
      return "[WARN]";
    default:
      return "[ERR]";
  }
}

std::string line_of(const Notice& n, const Directory& directory) {
  const std::string member(n.name.empty() ? directory.name(n.member) : n.name);
  const std::string other(directory.name(n.other));
  const std::string text(n.text);
  const std::string name(n.name);
  switch (n.kind) {
    case NoticeKind::kProbeSendFailed:
      return n.aux ? "Failed to send UDP compound ping and suspect message to " + n.peer.text() + ": " + text
                   : "Failed to send UDP ping: " + text;
    case NoticeKind::kProbeTimeout:
      return "Failed UDP ping: " + member + " (timeout reached)";
    case NoticeKind::kIndirectSendFailed:
      return "Failed to send indirect UDP ping: " + text;
    case NoticeKind::kFallbackFailed:  // state.go probeNode says how long it waited, if that was it
      return "Failed fallback TCP ping: " + (text.ends_with("i/o timeout") ? "timeout " + go_time(n.elapsed) + ": " : "") +
             text;
    case NoticeKind::kFallbackAcked:
      return "Was able to connect to " + member + " over TCP but UDP probes failed, network may be misconfigured";
    case NoticeKind::kProbeFailed:
      return "Suspect " + member + " has failed, no acks received";
    case NoticeKind::kPingRefused:
      return n.aux ? "Got ping for unexpected node " + name + " " + from(n.peer)
                   : "Got ping for unexpected node '" + name + "' " + from(n.peer);
    case NoticeKind::kSuspicionExpired:
      return "Marking " + member + " as failed, suspect timeout reached (" + std::to_string(n.aux) +
             " peer confirmations)";
    case NoticeKind::kRefutedSuspect:
      return "Refuting a suspect message (from: " + (name.empty() ? other : name) + ")";
    case NoticeKind::kRefutedDead:
      return "Refuting a dead message (from: " + (name.empty() ? other : name) + ")";
    case NoticeKind::kRefutedAlive:
      return "Refuting an alive message for '" + member + "' (" + n.peer.text() + ") " + text;
    case NoticeKind::kConflict:
      return "Conflicting address for " + member + ". Mine: " + n.peer.text() + " Theirs: " + n.peer2.text() +
             " Old state: " + std::to_string(n.aux);
    case NoticeKind::kReplaced:
      return "Updating address for left or failed node " + member + " from " + n.peer.text() + " to " + n.peer2.text();
    case NoticeKind::kAliveIgnored:
      return n.aux ? "ignoring alive message for '" + member + "' (" + n.peer.text() + ") because " + text
                   : "ignoring alive message for '" + member + "': " + text;
    case NoticeKind::kVersionsBad:
      return "Ignoring an alive message for '" + member + "' (" + n.peer.text() +
             ") because protocol version(s) are wrong: " + text + " should be >0";
    case NoticeKind::kAddressRefused:  // in this order upstream, too
      return n.aux ? "Rejected IP update from " + member + " to " + n.peer2.address.text() + " for node " +
                         n.peer.address.text() + ": " + text
                   : "Rejected node " + member + " (" + n.peer.address.text() + "): " + text;
    case NoticeKind::kAddressBlocked:
      return "Blocked alive message: " + text + " " + from(n.peer);
    case NoticeKind::kPacketDropped:
      return packet_text(n);
    case NoticeKind::kPacketEncrypted:
      return "Decrypt packet failed: No installed keys could decrypt the message " + from(n.peer);
    case NoticeKind::kHandoffOverflow:
      return "handler queue full, dropping message (" + std::to_string(n.aux) + ") " + from(n.peer);
    case NoticeKind::kGossipSendFailed:
      return "Failed to send gossip to " + n.peer.text() + ": " + text;
    case NoticeKind::kSendFailed:
      return "Failed to " + name + ": " + text + " " + from(n.peer);
    case NoticeKind::kPushPullStarted:
      return "Initiating push/pull sync with: " + member + " " + n.peer.text();
    case NoticeKind::kPushPullServed:
      return "Stream connection " + from(n.peer);
    case NoticeKind::kPushPullFailed:
      return "Push/Pull with " + member + " failed: " + text;
    case NoticeKind::kMergeRefused:
      return "Failed push/pull merge: " + text + " " + from(n.peer);
    case NoticeKind::kTooManyPushPulls:
      return "Too many pending push/pull requests";
    case NoticeKind::kStreamDropped:
      return stream_text(n);
    case NoticeKind::kJoinAddress:
    case NoticeKind::kJoinResolveFailed:
      return text;
    default:
      return {};
  }
}

}  // namespace

LogSeverity log_severity(const Notice& n) {
  switch (n.kind) {
    case NoticeKind::kProbeTimeout:
    case NoticeKind::kAddressBlocked:
    case NoticeKind::kPushPullStarted:
    case NoticeKind::kPushPullServed:
      return LogSeverity::kDebug;
    case NoticeKind::kJoinAddress:
      return n.aux ? LogSeverity::kNone : LogSeverity::kDebug;
    case NoticeKind::kProbeFailed:
    case NoticeKind::kSuspicionExpired:
    case NoticeKind::kReplaced:
      return LogSeverity::kInfo;
    case NoticeKind::kFallbackAcked:
    case NoticeKind::kPingRefused:
    case NoticeKind::kRefutedSuspect:
    case NoticeKind::kRefutedDead:
    case NoticeKind::kRefutedAlive:
    case NoticeKind::kAliveIgnored:
    case NoticeKind::kVersionsBad:
    case NoticeKind::kAddressRefused:
    case NoticeKind::kHandoffOverflow:
    case NoticeKind::kJoinResolveFailed:
      return LogSeverity::kWarn;
    case NoticeKind::kPacketDropped: {
      const auto drop = static_cast<wire::PacketDrop>(n.aux);
      const bool warn = drop == wire::PacketDrop::kBadCrc || drop == wire::PacketDrop::kTruncatedCompound;
      return warn ? LogSeverity::kWarn : LogSeverity::kError;
    }
    case NoticeKind::kFallbackFailed:  // a dead node refuses: only what fails after connecting is worth a line
      return n.aux ? LogSeverity::kError : LogSeverity::kNone;
    case NoticeKind::kProbeSendFailed:
    case NoticeKind::kIndirectSendFailed:
    case NoticeKind::kConflict:
    case NoticeKind::kPacketEncrypted:
    case NoticeKind::kGossipSendFailed:
    case NoticeKind::kSendFailed:
    case NoticeKind::kPushPullFailed:
    case NoticeKind::kMergeRefused:
    case NoticeKind::kTooManyPushPulls:
    case NoticeKind::kStreamDropped:
      return LogSeverity::kError;
    default:
      return LogSeverity::kNone;
  }
}

std::string log_text(const Notice& notice, const Directory& directory) {
  const LogSeverity severity = log_severity(notice);
  if (severity == LogSeverity::kNone) return {};
  return std::string(level_text(severity)) + " memberlist: " + line_of(notice, directory);
}

}  // namespace dcsim::gossip
