#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "base/time.h"

namespace dcsim::trace {

/// What a record tells. The list is closed and only grows at its end (numbers are part of trace.bin). The comment gives
/// the fields and the slots that hold them; `kind_spec()` is the same as a table, from which JSON, text and
/// documentation are rendered. `x` is 16 bits, `a` 32, `b` `c` `d` 64; `b.lo`/`b.hi` are their halves, and
/// `b.top`/`c.top` the 16 bits above an endpoint. "node" of every record is the agent (host) where it happened; none()
/// for the world's own records. Member events have Serf's spelling (serf/event.go).
enum class Ev : std::uint16_t {
  kRunStart,  ///< a scenario, b seed
  kStep,      ///< a step, b.lo action, b.hi target
  // -- packets (fields::packet, fields::verdict)
  kPacketSent,        ///< x proto, a bytes, b src (+top tcp flags), c dst, d.lo what, d.hi seq
  kPacketDelivered,   ///< the same
  kPacketDropped,     ///< x proto, a bytes, b src (+top DropReason), c dst, d.lo firewall or link, d.hi rule
  kPacketRejected,    ///< x proto, a bytes, b src (+top RejectWith), c dst, d.lo firewall, d.hi rule
  kFwAccept,          ///< x proto, a bytes, b src, c dst, d.lo firewall, d.hi rule: an accept with `log: true`
  kPacketDuplicated,  ///< x proto, a bytes, b src, c dst, d.lo link
  kPacketCorrupted,   ///< x proto, a bytes, b src, c dst, d.lo link
  kPacketMalformed,   ///< a reason, b src, c.lo bytes, d.lo pool: bytes that the protocol could not read
  kSocketError,       ///< x SocketError, b local, c remote: what an ICMP error or RST surfaced as
  // -- TCP connections (fields::connection)
  kConnStarted,  ///< b local, c remote, d elapsed, a detail, x attempt
  kConnRetry,    ///< the same; x = number of the SYN retransmission
  kConnEstablished,
  kConnAccepted,
  kConnRefused,
  kConnReset,
  kConnTimeout,
  kConnClosed,
  // -- processes
  kAgentStart,    ///< a role, b.lo zone, b.hi dc, c.lo segment, c.hi address, d.lo kind
  kAgentStop,     ///< a reason
  kAgentCrash,    ///< a reason
  kAgentRestart,  ///< a reason
  kAgentPause,    ///< a reason
  kAgentResume,   ///< a reason, d paused for
  kAgentExit,     ///< x status, a reason
  // -- members, as Serf reports them (fields::member)
  kMemberJoin,  ///< a member, b.lo pool, b.hi address, c.lo incarnation
  kMemberLeave,
  kMemberFailed,
  kMemberUpdate,
  kMemberReap,
  kMemberFlap,
  // -- SWIM (fields::probe, fields::claim)
  kProbeSent,        ///< a member, b.lo pool, b.hi relay, c.lo seq, c.hi incarnation, d timeout
  kProbeIndirect,    ///< the same; relay = who is asked
  kProbeAcked,       ///< the same; d = round trip
  kProbeTimeout,     ///< the same; no direct ack in time, d = waited
  kProbeTcpOnly,     ///< the same; the stream ping answered, UDP did not
  kProbeFailed,      ///< the same; x nacks missing
  kSuspect,          ///< a member, b.lo pool, b.hi by, c.lo incarnation, c.hi confirmations (needed), d timeout
  kSuspectConfirm,   ///< the same; c.hi = confirmations so far, d = new timeout
  kSuspectExpired,   ///< the same; d = lasted
  kSuspectReceived,  ///< a member, b.lo pool, b.hi by, c.lo incarnation: the message, before it is judged
  kRefute,           ///< x Accusation, a member (self), b.lo pool, b.hi by, c.lo incarnation (new)
  kAliveIgnored,     ///< a member, b.lo pool, b.hi gate, c.lo incarnation
  kDeadDeclared,     ///< a member, b.lo pool, b.hi by, c.lo incarnation, c.hi confirmations, d suspected for
  kDeadReceived,     ///< a member, b.lo pool, b.hi by, c.lo incarnation
  kHealthScore,      ///< a score, b.lo pool, x before
  kLeaveIntent,      ///< a member, b.lo pool, c ltime
  kJoinIntent,       ///< a member, b.lo pool, c ltime
  // -- joins and state exchange (fields::join)
  kJoinAttempt,  ///< a target, b.lo pool, b.hi error, c remote, d elapsed, x joined
  kJoinOk,
  kJoinFailed,
  kMergeRejected,    ///< a peer, b.lo pool, b.hi reason, c.lo segment, c.hi expected
  kPushPull,         ///< x join, a peer, b.lo pool, b.hi error, c.lo sent, c.hi received, d elapsed
  kPushPullFailed,   ///< the same
  kSegmentListener,  ///< a segment, c endpoint
  // -- text and commands
  kLog,          ///< x LogLevel, a text, b.lo subsystem
  kCommandRun,   ///< a command, b.lo step
  kCommandExit,  ///< x status, a command, b.lo step, b.hi error, d elapsed
  // -- what operators and faults do to the network
  kFirewallChanged,  ///< a firewall, b.lo rule, b.hi change
  kPartition,        ///< x PartitionMode, a name, b.lo side, b.hi other side
  kHeal,             ///< the same
  kImpair,           ///< a link, b.lo what
  kImpairEnd,        ///< the same
  kClock,            ///< a what, b drift per second, d shift
  kSlow,             ///< a what (cpu, disk), b factor in thousandths
  // -- verdicts
  kExpectation,     ///< x Verdict, a name, b.lo detail
  kCheckViolation,  ///< a checker, b.lo detail
  kNote,            ///< a text, b number: anything without a kind of its own
  // -- ends of faults at one agent
  kClockEnd,  ///< a what
  kSlowEnd,   ///< a what (cpu, disk)
  kCount_
};
inline constexpr std::size_t kEvCount = static_cast<std::size_t>(Ev::kCount_);

enum class Proto : std::uint16_t { kNone, kUdp, kTcp, kIcmp };
using dcsim::DropReason;
enum class RejectWith : std::uint16_t { kNone, kTcpReset, kIcmpPort, kIcmpHost, kIcmpNet, kIcmpAdmin };
enum class SocketError : std::uint16_t {
  kNone,
  kRefused,
  kReset,
  kTimeout,
  kHostUnreachable,
  kNetUnreachable,
  kPermission,
  kMessageSize,
  kAddressInUse
};
enum class Accusation : std::uint16_t { kNone, kSuspect, kDead, kAlive, kState };
enum class LogLevel : std::uint16_t { kNone, kTrace, kDebug, kInfo, kWarn, kError };
enum class PartitionMode : std::uint16_t { kDrop, kReject, kDelay, kQueue };
enum class Verdict : std::uint16_t { kPending, kHolds, kFails, kUndecided };

/// One happening. 48 bytes without padding; its little-endian image is what the digest covers and trace.bin holds
/// (names there renumbered in order of first use, so that nothing else that was interned matters).
struct Record {
  std::int64_t t = 0;                                     ///< simulated nanoseconds
  std::uint32_t cause = 0;                                ///< parent's record number + 1; 0 = none known
  std::uint32_t node = Id<struct NameTag>::none().value;  ///< NameId
  std::uint16_t ev = 0;                                   ///< Ev
  std::uint16_t x = 0;
  std::uint32_t a = 0;
  std::uint64_t b = 0;
  std::uint64_t c = 0;
  std::uint64_t d = 0;
  bool operator==(const Record&) const = default;
};
static_assert(sizeof(Record) == 48 && alignof(Record) == 8);

/// The free part of a record. Use the makers of `fields::` where one fits, designated initialisers else.
struct Fields {
  std::uint16_t x = 0;
  std::uint32_t a = 0;
  std::uint64_t b = 0;
  std::uint64_t c = 0;
  std::uint64_t d = 0;
};

constexpr std::uint64_t pack(std::uint32_t lo, std::uint32_t hi) { return lo | static_cast<std::uint64_t>(hi) << 32; }
/// Two names; a default-constructed NameId is "no name", and so is the empty string.
constexpr std::uint64_t pack(NameId lo, NameId hi = {}) { return pack(lo.value, hi.value); }
/// A host (or address text) and port, with 16 bits to spare above.
constexpr std::uint64_t pack_endpoint(NameId host, std::uint16_t port, std::uint16_t top = 0) {
  return host.value | static_cast<std::uint64_t>(port) << 32 | static_cast<std::uint64_t>(top) << 48;
}

/// Makers of the common field layouts. `src`, `dst`, `local`, `remote` are pack_endpoint() values without top.
namespace fields {
/// TCP flags: the bits of the header (FIN 1, SYN 2, RST 4, PSH 8, ACK 16).
constexpr Fields packet(Proto p, std::uint32_t bytes, std::uint64_t src, std::uint64_t dst, NameId what = {},
                        std::uint32_t seq = 0, std::uint16_t tcp_flags = 0) {
  return {static_cast<std::uint16_t>(p), bytes, src | static_cast<std::uint64_t>(tcp_flags) << 48, dst,
          pack(what.value, seq)};
}
/// kPacketDropped, kPacketRejected, kFwAccept, kPacketDuplicated/Corrupted. `reason`: DropReason or RejectWith as
/// number.
constexpr Fields verdict(Proto p, std::uint32_t bytes, std::uint64_t src, std::uint64_t dst, std::uint16_t reason,
                         NameId culprit, NameId rule = {}) {
  return {static_cast<std::uint16_t>(p), bytes, src | static_cast<std::uint64_t>(reason) << 48, dst,
          pack(culprit, rule)};
}
constexpr Fields connection(std::uint64_t local, std::uint64_t remote, Duration elapsed = {}, NameId detail = {},
                            std::uint16_t attempt = 0) {
  return {attempt, detail.value, local, remote, static_cast<std::uint64_t>(elapsed.ns)};
}
constexpr Fields member(NameId member, NameId pool, NameId address = {}, std::uint32_t incarnation = 0) {
  return {0, member.value, pack(pool, address), pack(incarnation, 0u), 0};
}
constexpr Fields probe(NameId member, NameId pool, std::uint32_t seq, Duration d = {}, NameId relay = {},
                       std::uint32_t incarnation = 0, std::uint16_t nacks_missing = 0) {
  return {nacks_missing, member.value, pack(pool, relay), pack(seq, incarnation), static_cast<std::uint64_t>(d.ns)};
}
/// kSuspect*, kDead*, kRefute (with `accusation`), kAliveIgnored (`by` = the gate that ignored it).
constexpr Fields claim(NameId member, NameId pool, NameId by, std::uint32_t incarnation,
                       std::uint32_t confirmations = 0, Duration d = {}, Accusation accusation = Accusation::kNone) {
  return {static_cast<std::uint16_t>(accusation), member.value, pack(pool, by), pack(incarnation, confirmations),
          static_cast<std::uint64_t>(d.ns)};
}
constexpr Fields intent(NameId member, NameId pool, std::uint64_t ltime) {
  return {0, member.value, pack(pool), ltime, 0};
}
constexpr Fields join(NameId target, NameId pool, std::uint64_t remote, Duration elapsed = {}, NameId error = {},
                      std::uint16_t joined = 0) {
  return {joined, target.value, pack(pool, error), remote, static_cast<std::uint64_t>(elapsed.ns)};
}
constexpr Fields push_pull(NameId peer, NameId pool, bool join, std::uint32_t sent, std::uint32_t received,
                           Duration elapsed = {}, NameId error = {}) {
  return {static_cast<std::uint16_t>(join), peer.value, pack(pool, error), pack(sent, received),
          static_cast<std::uint64_t>(elapsed.ns)};
}
constexpr Fields log(LogLevel level, NameId text, NameId subsystem = {}) {
  return {static_cast<std::uint16_t>(level), text.value, pack(subsystem), 0, 0};
}
/// Up to three names for the kinds made of names: a, b.lo, b.hi.
constexpr Fields names(NameId a, NameId b_lo = {}, NameId b_hi = {}, std::uint16_t x = 0, Duration d = {}) {
  return {x, a.value, pack(b_lo, b_hi), 0, static_cast<std::uint64_t>(d.ns)};
}
}  // namespace fields

enum class FieldType : std::uint8_t { kNone, kInt, kName, kDuration, kEndpoint, kEnum, kTcpFlags, kBool };
enum class Slot : std::uint8_t { kX, kA, kB, kC, kD, kBLo, kBHi, kCLo, kCHi, kDLo, kDHi, kBTop, kCTop };

/// How one slot of a kind is called and read.
struct FieldSpec {
  std::string_view name;
  FieldType type = FieldType::kNone;
  Slot slot = Slot::kX;
  std::span<const std::string_view> values;  ///< kEnum: text by number
  bool omit_zero = false;                    ///< a zero says nothing: left out. Empty names always are.
};
struct KindSpec {
  std::string_view name;  ///< "packet-dropped"
  std::array<FieldSpec, 8> slots;
  std::string_view meaning;  ///< one line
  /// The declared fields, in output order.
  std::span<const FieldSpec> fields() const;
};

/// The spec of a kind; an unknown number (from a hostile file) gives a spec named "unknown" without fields.
const KindSpec& kind_spec(std::uint16_t ev);
inline const KindSpec& kind_spec(Ev ev) { return kind_spec(static_cast<std::uint16_t>(ev)); }
std::optional<Ev> find_kind(std::string_view name);
/// The number in a slot, zero-extended.
std::uint64_t slot_value(const Record& r, Slot slot);
void set_slot(Record& r, Slot slot, std::uint64_t value);

/// Which 32-bit parts of a kind's record are names (an endpoint's host is one).
enum NamePart : std::uint8_t {
  kPartA = 1,
  kPartBLo = 2,
  kPartBHi = 4,
  kPartCLo = 8,
  kPartCHi = 16,
  kPartDLo = 32,
  kPartDHi = 64
};
extern const std::array<std::uint8_t, kEvCount> kNameParts;
inline std::uint8_t name_parts(std::uint16_t ev) { return ev < kEvCount ? kNameParts[ev] : 0; }

/// The canonical image: 48 bytes, little-endian, fields in declaration order.
void encode(const Record& r, std::uint8_t* out);
Record decode(const std::uint8_t* in);

}  // namespace dcsim::trace
