#include "trace/record.h"

#include <bit>
#include <cstring>

namespace dcsim::trace {
namespace {

using T = FieldType;
using S = Slot;

constexpr std::string_view kProtos[] = {"none", "udp", "tcp", "icmp"};
constexpr std::string_view kRejects[] = {"none",
                                         "tcp-reset",
                                         "icmp-port-unreachable",
                                         "icmp-host-unreachable",
                                         "icmp-net-unreachable",
                                         "icmp-admin-prohibited"};
constexpr std::string_view kSocketErrors[] = {"none",
                                              "connection refused",
                                              "connection reset by peer",
                                              "i/o timeout",
                                              "no route to host",
                                              "network is unreachable",
                                              "operation not permitted",
                                              "message too long",
                                              "address already in use"};
constexpr std::string_view kAccusations[] = {"none", "suspect", "dead", "alive", "state"};
constexpr std::string_view kLevels[] = {"none", "trace", "debug", "info", "warn", "error"};
constexpr std::string_view kPartitionModes[] = {"drop", "reject", "delay", "queue"};
constexpr std::string_view kVerdicts[] = {"pending", "holds", "fails", "undecided"};

constexpr FieldSpec name(std::string_view n, S s) { return {n, T::kName, s, {}, false}; }
constexpr FieldSpec num(std::string_view n, S s) { return {n, T::kInt, s, {}, false}; }
constexpr FieldSpec opt(std::string_view n, S s, T type = T::kInt) { return {n, type, s, {}, true}; }
constexpr FieldSpec choice(std::string_view n, S s, std::span<const std::string_view> values, bool omit = false) {
  return {n, T::kEnum, s, values, omit};
}
constexpr FieldSpec endpoint(std::string_view n, S s) { return {n, T::kEndpoint, s, {}, false}; }

constexpr FieldSpec kProtoField = choice("proto", S::kX, kProtos);
constexpr FieldSpec kBytesField = num("bytes", S::kA);
constexpr FieldSpec kSrc = endpoint("src", S::kB);
constexpr FieldSpec kDst = endpoint("dst", S::kC);
constexpr FieldSpec kMember = name("member", S::kA);
constexpr FieldSpec kPool = name("pool", S::kBLo);
constexpr FieldSpec kBy = name("by", S::kBHi);
constexpr FieldSpec kInc = opt("incarnation", S::kCLo);
constexpr FieldSpec kReason = name("reason", S::kA);

constexpr KindSpec packet(std::string_view n, std::string_view meaning) {
  return {n,
          {kProtoField, kBytesField, kSrc, kDst, name("what", S::kDLo), opt("seq", S::kDHi),
           opt("flags", S::kBTop, T::kTcpFlags)},
          meaning};
}
constexpr KindSpec judged(std::string_view n, FieldSpec reason, std::string_view by, std::string_view meaning) {
  return {n, {kProtoField, kBytesField, kSrc, kDst, reason, name(by, S::kDLo), name("rule", S::kDHi)}, meaning};
}
constexpr KindSpec connection(std::string_view n, std::string_view meaning) {
  return {n,
          {endpoint("local", S::kB), endpoint("remote", S::kC), opt("attempt", S::kX),
           opt("elapsed", S::kD, T::kDuration), name("detail", S::kA)},
          meaning};
}
constexpr KindSpec member(std::string_view n, std::string_view meaning) {
  return {n, {kMember, kPool, name("address", S::kBHi), kInc}, meaning};
}
constexpr KindSpec probe(std::string_view n, std::string_view time, std::string_view meaning) {
  return {n,
          {kMember, kPool, name("relay", S::kBHi), num("seq", S::kCLo), opt("incarnation", S::kCHi),
           opt(time, S::kD, T::kDuration), opt("nacks_missing", S::kX)},
          meaning};
}
constexpr KindSpec claim(std::string_view n, std::string_view time, std::string_view meaning) {
  return {n, {kMember, kPool, kBy, kInc, opt("confirmations", S::kCHi), opt(time, S::kD, T::kDuration)}, meaning};
}
constexpr KindSpec join(std::string_view n, std::string_view meaning) {
  return {n,
          {name("target", S::kA), kPool, endpoint("remote", S::kC), name("error", S::kBHi), opt("joined", S::kX),
           opt("elapsed", S::kD, T::kDuration)},
          meaning};
}
constexpr KindSpec push_pull(std::string_view n, std::string_view meaning) {
  return {n,
          {name("peer", S::kA), kPool, opt("join", S::kX, T::kBool), num("sent", S::kCLo), num("received", S::kCHi),
           opt("elapsed", S::kD, T::kDuration), name("error", S::kBHi)},
          meaning};
}
constexpr KindSpec named(std::string_view n, std::string_view a, std::string_view b_lo, std::string_view b_hi,
                         std::string_view meaning) {
  KindSpec spec{n, {name(a, S::kA)}, meaning};
  std::size_t i = 1;
  if (!b_lo.empty()) spec.slots[i++] = name(b_lo, S::kBLo);
  if (!b_hi.empty()) spec.slots[i++] = name(b_hi, S::kBHi);
  return spec;
}

constexpr FieldSpec kWhy = choice("reason", S::kBTop, kDropReasonNames);

/// The row order is Ev's.
constexpr KindSpec kKinds[] = {
    {"run-start", {name("scenario", S::kA), num("seed", S::kB)}, "the run begins"},
    named("step", "step", "action", "target", "a step of the timeline is carried out"),
    packet("packet-sent", "an agent's host sends a packet"),
    packet("packet-delivered", "a packet reaches the socket it was for"),
    judged("packet-dropped", kWhy, "culprit", "a packet ends here: why, and whose doing (firewall or link)"),
    judged("packet-rejected", choice("with", S::kBTop, kRejects), "culprit", "a firewall refuses a packet and says so"),
    {"fw-accept",
     {kProtoField, kBytesField, kSrc, kDst, name("culprit", S::kDLo), name("rule", S::kDHi)},
     "a firewall rule with `log: true` accepts a packet"},
    {"packet-duplicated",
     {kProtoField, kBytesField, kSrc, kDst, name("culprit", S::kDLo)},
     "a link delivers a packet twice"},
    {"packet-corrupted",
     {kProtoField, kBytesField, kSrc, kDst, name("culprit", S::kDLo)},
     "a link flips bits of a packet"},
    {"packet-malformed",
     {kReason, kSrc, num("bytes", S::kCLo), name("pool", S::kDLo)},
     "received bytes are no message of the protocol and are ignored"},
    {"socket-error",
     {choice("error", S::kX, kSocketErrors), endpoint("local", S::kB), endpoint("remote", S::kC)},
     "an ICMP error or RST surfaces at a socket"},
    connection("conn-started", "a TCP connection is attempted"),
    connection("conn-retry", "a SYN is sent again"),
    connection("conn-established", "the connecting side is connected"),
    connection("conn-accepted", "the listening side is connected"),
    connection("conn-refused", "a connection attempt is answered by RST or an ICMP error"),
    connection("conn-reset", "a connection is reset"),
    connection("conn-timeout", "a connection (attempt) times out"),
    connection("conn-closed", "a connection ends in order"),
    {"agent-start",
     {name("role", S::kA), name("zone", S::kBLo), name("dc", S::kBHi), name("segment", S::kCLo),
      name("address", S::kCHi), name("kind", S::kDLo)},
     "an agent's process starts"},
    named("agent-stop", "reason", "", "", "an agent leaves and stops"),
    named("agent-crash", "reason", "", "", "an agent's process dies without a word"),
    named("agent-restart", "reason", "", "", "an agent is stopped and started"),
    named("agent-pause", "reason", "", "", "an agent's process freezes"),
    {"agent-resume", {kReason, opt("paused", S::kD, T::kDuration)}, "a frozen process continues"},
    {"agent-exit", {num("status", S::kX), kReason}, "an agent's process ends by itself"},
    member("member-join", "a member is alive in the observer's view"),
    member("member-leave", "a member left in order"),
    member("member-failed", "a member is failed in the observer's view"),
    member("member-update", "a member's tags or address changed"),
    member("member-reap", "a failed or left member is forgotten"),
    member("member-flap", "a member came back within the flap timeout after it failed"),
    probe("probe-sent", "timeout", "a probe begins: a ping is sent"),
    probe("probe-indirect", "timeout", "another member is asked to ping"),
    probe("probe-acked", "rtt", "a probe is answered"),
    probe("probe-timeout", "waited", "no direct ack in time"),
    probe("probe-tcp-only", "waited", "the ping over TCP was answered, the one over UDP was not"),
    probe("probe-failed", "waited", "no ack by any path"),
    claim("suspect", "timeout", "a suspicion starts"),
    claim("suspect-confirm", "timeout", "another member confirms a suspicion, which shortens it"),
    claim("suspect-expired", "lasted", "a suspicion was not refuted in time"),
    claim("suspect-received", "timeout", "a suspect message arrives"),
    {"refute",
     {choice("accusation", S::kX, kAccusations), kMember, kPool, kBy, kInc},
     "a member denies being suspect or dead by a higher incarnation"},
    {"alive-ignored",
     {kMember, kPool, name("gate", S::kBHi), kInc},
     "an alive message is not accepted, and by which gate"},
    claim("dead-declared", "suspected", "a member is declared dead"),
    claim("dead-received", "suspected", "a dead message arrives"),
    {"health-score",
     {num("score", S::kA), num("before", S::kX), kPool},
     "the observer's own health (Lifeguard) changes"},
    {"leave-intent", {kMember, kPool, num("ltime", S::kC)}, "a leave intent is accepted"},
    {"join-intent", {kMember, kPool, num("ltime", S::kC)}, "a join intent is accepted"},
    join("join-attempt", "an agent contacts an address to join its pool"),
    join("join-ok", "a join succeeded"),
    join("join-failed", "a join failed"),
    {"merge-rejected",
     {name("peer", S::kA), kPool, name("reason", S::kBHi), name("segment", S::kCLo), name("expected", S::kCHi)},
     "the merge gate refuses a member"},
    push_pull("push-pull", "full states were exchanged"),
    push_pull("push-pull-failed", "a state exchange failed"),
    {"segment-listener", {name("segment", S::kA), endpoint("endpoint", S::kC)}, "a server listens for a segment"},
    {"log",
     {choice("level", S::kX, kLevels), name("subsystem", S::kBLo), name("text", S::kA)},
     "a line of an agent's log"},
    named("command-run", "command", "step", "", "an operator's command starts"),
    {"command-exit",
     {name("command", S::kA), num("status", S::kX), name("step", S::kBLo), name("error", S::kBHi),
      opt("elapsed", S::kD, T::kDuration)},
     "an operator's command ends"},
    named("firewall-changed", "firewall", "rule", "change", "a firewall's rules change"),
    {"partition",
     {name("name", S::kA), name("side", S::kBLo), name("other", S::kBHi), choice("mode", S::kX, kPartitionModes)},
     "a partition begins"},
    {"heal",
     {name("name", S::kA), name("side", S::kBLo), name("other", S::kBHi), choice("mode", S::kX, kPartitionModes)},
     "a partition ends"},
    named("impair", "link", "what", "", "a link gets worse"),
    named("impair-end", "link", "what", "", "a link is as before"),
    {"clock",
     {name("what", S::kA), {"shift", T::kDuration, S::kD, {}, false}, opt("drift_per_s", S::kB, T::kDuration)},
     "an agent's clock is moved, or runs fast or slow"},
    {"slow", {name("what", S::kA), num("permille", S::kB)}, "an agent's processor or disk slows down"},
    {"expectation",
     {name("name", S::kA), choice("verdict", S::kX, kVerdicts), name("detail", S::kBLo)},
     "an expectation is decided"},
    named("check-violation", "checker", "detail", "", "an invariant of the world is broken"),
    {"note", {name("text", S::kA), opt("number", S::kB)}, "a remark"},
    named("clock-end", "what", "", "", "an agent's clock runs as before"),
    named("slow-end", "what", "", "", "an agent's processor or disk is as quick as before"),
};
static_assert(std::size(kKinds) == kEvCount);
constexpr KindSpec kUnknown{"unknown", {}, "not a kind of this version"};

constexpr std::uint8_t parts_of(const FieldSpec& field) {
  if (field.type != T::kName && field.type != T::kEndpoint) return 0;
  switch (field.slot) {
    case S::kA:
      return kPartA;
    case S::kB:
    case S::kBLo:
      return kPartBLo;
    case S::kBHi:
      return kPartBHi;
    case S::kC:
    case S::kCLo:
      return kPartCLo;
    case S::kCHi:
      return kPartCHi;
    case S::kD:
    case S::kDLo:
      return kPartDLo;
    case S::kDHi:
      return kPartDHi;
    default:
      return 0;
  }
}

template <class V>
void put(std::uint8_t*& out, V v) {
  for (std::size_t i = 0; i < sizeof(V); ++i)
    *out++ = static_cast<std::uint8_t>(static_cast<std::uint64_t>(v) >> (8 * i));
}
template <class V>
V take(const std::uint8_t*& in) {
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < sizeof(V); ++i) v |= static_cast<std::uint64_t>(*in++) << (8 * i);
  return static_cast<V>(v);
}

}  // namespace

std::span<const FieldSpec> KindSpec::fields() const {
  std::size_t n = 0;
  while (n < slots.size() && slots[n].type != T::kNone) ++n;
  return {slots.data(), n};
}

const KindSpec& kind_spec(std::uint16_t ev) { return ev < kEvCount ? kKinds[ev] : kUnknown; }

std::optional<Ev> find_kind(std::string_view text) {
  for (std::size_t i = 0; i < kEvCount; ++i) {
    if (kKinds[i].name == text) return static_cast<Ev>(i);
  }
  return std::nullopt;
}

constinit const std::array<std::uint8_t, kEvCount> kNameParts = [] {
  std::array<std::uint8_t, kEvCount> parts{};
  for (std::size_t i = 0; i < kEvCount; ++i) {
    for (const FieldSpec& f : kKinds[i].slots) parts[i] = static_cast<std::uint8_t>(parts[i] | parts_of(f));
  }
  return parts;
}();

std::uint64_t slot_value(const Record& r, Slot slot) {
  constexpr std::uint64_t kLow = 0xffffffffu;
  switch (slot) {
    case S::kX:
      return r.x;
    case S::kA:
      return r.a;
    case S::kB:
      return r.b;
    case S::kC:
      return r.c;
    case S::kD:
      return r.d;
    case S::kBLo:
      return r.b & kLow;
    case S::kBHi:
      return r.b >> 32;
    case S::kCLo:
      return r.c & kLow;
    case S::kCHi:
      return r.c >> 32;
    case S::kDLo:
      return r.d & kLow;
    case S::kDHi:
      return r.d >> 32;
    case S::kBTop:
      return r.b >> 48;
    case S::kCTop:
      return r.c >> 48;
  }
  return 0;
}

void set_slot(Record& r, Slot slot, std::uint64_t v) {
  constexpr std::uint64_t kLow = 0xffffffffu;
  constexpr std::uint64_t kBelowTop = (std::uint64_t{1} << 48) - 1;
  const auto low = [&](std::uint64_t& word) { word = (word & ~kLow) | (v & kLow); };
  const auto high = [&](std::uint64_t& word) { word = (word & kLow) | v << 32; };
  const auto top = [&](std::uint64_t& word) { word = (word & kBelowTop) | v << 48; };
  switch (slot) {
    case S::kX:
      r.x = static_cast<std::uint16_t>(v);
      break;
    case S::kA:
      r.a = static_cast<std::uint32_t>(v);
      break;
    case S::kB:
      r.b = v;
      break;
    case S::kC:
      r.c = v;
      break;
    case S::kD:
      r.d = v;
      break;
    case S::kBLo:
      low(r.b);
      break;
    case S::kBHi:
      high(r.b);
      break;
    case S::kCLo:
      low(r.c);
      break;
    case S::kCHi:
      high(r.c);
      break;
    case S::kDLo:
      low(r.d);
      break;
    case S::kDHi:
      high(r.d);
      break;
    case S::kBTop:
      top(r.b);
      break;
    case S::kCTop:
      top(r.c);
      break;
  }
}

void encode(const Record& r, std::uint8_t* out) {
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(out, &r, sizeof(Record));
  } else {
    put(out, r.t), put(out, r.cause), put(out, r.node), put(out, r.ev), put(out, r.x), put(out, r.a);
    put(out, r.b), put(out, r.c), put(out, r.d);
  }
}

Record decode(const std::uint8_t* in) {
  Record r;
  r.t = take<std::int64_t>(in);
  r.cause = take<std::uint32_t>(in);
  r.node = take<std::uint32_t>(in);
  r.ev = take<std::uint16_t>(in);
  r.x = take<std::uint16_t>(in);
  r.a = take<std::uint32_t>(in);
  r.b = take<std::uint64_t>(in);
  r.c = take<std::uint64_t>(in);
  r.d = take<std::uint64_t>(in);
  return r;
}

}  // namespace dcsim::trace
