#include <algorithm>

#include "gossip/formulas.h"
#include "gossip/memberlist.h"

namespace dcsim::gossip {
namespace {

std::string numbers(ByteView bytes) {
  std::string text = "[";
  for (std::size_t i = 0; i < bytes.size(); ++i) text += (i ? " " : "") + std::to_string(bytes[i]);
  return text + "]";
}

}  // namespace

// Queues workspace_.message.
void Memberlist::broadcast(BroadcastKey key, Cause cause, BroadcastTag tag) {
  Bytes message = workspace_.broadcasts.share(workspace_.message);
  key == 0 ? queue_.queue_unique(std::move(message), cause, tag) : queue_.queue(key, std::move(message), cause, tag);
}

// To queue.go a broadcast with an empty name has none.
BroadcastKey Memberlist::key_of(MemberId member) const {
  return directory_.name(member).empty() ? 0 : directory_.hash(member);
}

// The claim of an alive message or of an alive entry of a push/pull. nullopt: the address is longer than any address.
std::optional<Memberlist::Claim> Memberlist::claim_of(const wire::Alive& alive) {
  const auto address = Address::from_claim(alive.addr.data);
  if (!address) return std::nullopt;
  Claim claim;
  claim.name = alive.node;
  claim.address = *address;
  claim.address_nil = alive.addr.nil;
  claim.port = alive.port;
  claim.incarnation = alive.incarnation;
  claim.meta = alive.meta;
  claim.vsn = alive.vsn;
  return claim;
}

// state.go: aliveNode.
void Memberlist::alive_node(Instant now, Claim claim, bool bootstrap, BroadcastTag tag) {
  claim.member = directory_.find(claim.name);
  const bool own = claim.member == self_;
  if (leaving_ && own) return;
  if (!own && says_nothing_new(claim)) return;
  if (!alive_acceptable(claim)) return;
  bool replaces = false;
  if (!admit_claim(now, claim, replaces)) return;
  const MemberId id = claim.member;
  const std::uint32_t known = table_.incarnation(id);
  if (!own && !replaces && claim.incarnation <= known) return;
  if (own && claim.incarnation < known) return;
  suspicions_.forget(id);

  const AliveRecord& record = table_.record(id);
  const std::string_view old_meta = text_of(record.meta());
  if (own && !bootstrap) {
    const bool same_meta = text_of(claim.meta.data) == old_meta;
    const bool same_vsn = text_of(claim.vsn.data) == text_of(record.vsn);
    if (claim.incarnation == known && same_meta && same_vsn) return;
    return refute(NoticeKind::kRefutedAlive, {}, {}, claim.incarnation, &claim);
  }

  const MemberState old_state = table_.state(id);
  const bool meta_changed = text_of(claim.meta.data) != old_meta;
  const AliveId taken = take_claim(claim);
  if (!taken.valid()) return;
  const Cause accepted =
      note(NoticeKind::kAliveAccepted, id, {}, claim.incarnation, static_cast<std::uint32_t>(old_state));
  wire::Alive message;
  if (!claim.address.empty() || !claim.address_nil) message.addr = claim.address.bytes();
  message.incarnation = claim.incarnation;
  message.meta = claim.meta;
  message.node = claim.name;
  message.port = claim.port;
  message.vsn = claim.vsn;
  workspace_.message.clear();
  wire::encode(message, workspace_.message);
  broadcast(key_of(id), accepted, tag);
  table_.set_alive_id(id, taken);
  table_.set_incarnation(id, claim.incarnation);
  if (old_state != MemberState::kAlive) table_.set_state(id, MemberState::kAlive, now);
  actions_.because(accepted);
  if (old_state == MemberState::kDead || old_state == MemberState::kLeft) {
    delegate_.notify_join(now, table_.view(id));
  } else if (meta_changed) {
    delegate_.notify_update(now, table_.view(id));
  }
}

// Most of a busy queue's messages: what they say was accepted before, in the same or a later incarnation, and the alive
// delegate would only say so again. Hot: three comparisons of short texts.
bool Memberlist::says_nothing_new(const Claim& claim) const {
  if (!claim.member.valid() || !table_.contains(claim.member)) return false;
  if (claim.incarnation > table_.incarnation(claim.member)) return false;
  const AliveRecord& r = table_.record(claim.member);
  return r.vsn[0] != 0 && r.port == claim.port && r.address == claim.address && text_of(r.vsn) == text_of(claim.vsn.data) &&
         text_of(r.meta()) == text_of(claim.meta.data);
}

// The tests that do not depend on what is known of the member: its versions and the alive delegate.
bool Memberlist::alive_acceptable(const Claim& claim) {
  const Endpoint at{claim.address, claim.port};
  const ByteView vsn = claim.vsn.data;
  if (vsn.size() >= 3) {
    const auto [min, max, current] = std::tuple(vsn[0], vsn[1], vsn[2]);
    if (min == 0 || max == 0 || min > max) {
      const std::string text = std::to_string(min) + " <= " + std::to_string(current) + " <= " + std::to_string(max);
      note_peer(NoticeKind::kVersionsBad, claim.member, at, claim.incarnation, 0, text, claim.name);
      return false;
    }
  }
  if (!alive_delegate_) return true;
  if (vsn.size() < 6) {
    note_peer(NoticeKind::kAliveIgnored, claim.member, at, claim.incarnation, 1, "Vsn is not present", claim.name);
    return false;
  }
  NodeView node;
  node.id = claim.member;
  node.name = claim.name;
  node.address = claim.address;
  node.port = claim.port;
  node.meta = claim.meta.data;
  node.meta_nil = claim.meta.nil;
  std::copy_n(vsn.begin(), node.vsn.size(), node.vsn.begin());
  node.incarnation = claim.incarnation;
  const std::optional<Error> error = delegate_.notify_alive(node);
  if (error) note_peer(NoticeKind::kAliveIgnored, claim.member, at, claim.incarnation, 0, error->text, claim.name);
  return !error;
}

// Inserts an unknown member as dead, or judges a changed address.
bool Memberlist::admit_claim(Instant now, Claim& claim, bool& replaces) {
  const Endpoint theirs{claim.address, claim.port};
  if (!claim.member.valid() || !table_.contains(claim.member)) {
    if (!address_allowed(claim.address)) {
      note_peer(NoticeKind::kAddressRefused, claim.member, theirs, 0, 0, claim.address.text() + " is not allowed",
                claim.name);
      return false;
    }
    const MemberId id = directory_.intern(claim.name);
    const AliveId alive = id.valid() ? acquire(id, claim, Versions{}) : AliveId::none();
    if (!alive.valid()) {
      note_peer(NoticeKind::kMemberRefused, {}, theirs, 0, 0, {}, claim.name);
      return false;
    }
    claim.member = id;
    table_.insert(id, alive, insert_draw_);
    ++num_nodes_;
    return true;
  }
  const AliveRecord& record = table_.record(claim.member);
  if (record.address == claim.address && record.port == claim.port) return true;
  if (!address_allowed(claim.address)) {
    const std::string text = claim.address.text() + " is not allowed";
    Notice notice;
    notice.kind = NoticeKind::kAddressRefused;
    notice.aux = 1;
    notice.member = claim.member;
    notice.peer = theirs;
    notice.peer2 = {record.address, record.port};
    notice.text = text;
    actions_.note(notice);
    return false;
  }
  const MemberState state = table_.state(claim.member);
  const bool reclaimable = config_.dead_node_reclaim_time > Duration{0} &&
                           now - table_.state_change(claim.member) > config_.dead_node_reclaim_time;
  replaces = state == MemberState::kLeft || (state == MemberState::kDead && reclaimable);
  Notice notice;
  notice.kind = replaces ? NoticeKind::kReplaced : NoticeKind::kConflict;
  notice.member = claim.member;
  notice.aux = static_cast<std::uint32_t>(state);
  notice.peer = {record.address, record.port};
  notice.peer2 = theirs;
  const Cause noted = actions_.note(notice);
  if (replaces) return true;
  NodeView other;
  other.id = claim.member;
  other.name = claim.name;
  other.address = claim.address;
  other.port = claim.port;
  other.meta = claim.meta.data;
  other.meta_nil = claim.meta.nil;
  actions_.because(noted);
  delegate_.notify_conflict(now, table_.view(claim.member), other);
  return false;
}

// Versions are taken over only if all six came.
AliveId Memberlist::acquire(MemberId member, const Claim& claim, Versions vsn) {
  if (claim.vsn.data.size() >= vsn.size()) std::copy_n(claim.vsn.data.begin(), vsn.size(), vsn.begin());
  return directory_.acquire(member, claim.address, claim.port, claim.meta.data, claim.meta.nil, vsn, claim.address_nil);
}

// The record that the claim describes.
AliveId Memberlist::take_claim(const Claim& claim) {
  const AliveId id = acquire(claim.member, claim, table_.record(claim.member).vsn);
  if (!id.valid()) note_peer(NoticeKind::kMemberRefused, claim.member, {claim.address, claim.port}, 0, 0, {}, claim.name);
  return id;
}

// state.go: refute.
void Memberlist::refute(NoticeKind kind, MemberId from, std::string_view from_name, std::uint32_t accused,
                        const Claim* claim) {
  std::uint32_t incarnation = ++incarnation_;
  if (accused >= incarnation) incarnation = incarnation_ = accused + 1;
  table_.set_incarnation(self_, incarnation);
  const AliveRecord& record = table_.record(self_);
  Notice notice;
  notice.kind = kind;
  notice.member = self_;
  notice.other = from;
  notice.value = incarnation;
  if (!claim) notice.name = from_name;
  std::string detail;
  if (claim) {
    notice.peer = {claim->address, claim->port};
    detail = "meta:(" + numbers(claim->meta.data) + " VS " + numbers(record.meta()) + "), vsn:(" + numbers(claim->vsn.data) +
             " VS " + numbers(record.vsn) + ")";
    notice.text = detail;
  }
  const Cause refuted = actions_.note(notice);
  actions_.because(refuted);
  apply_health(1);
  wire::Alive message;
  message.addr = record.address.bytes();
  message.incarnation = incarnation;
  if (!record.meta_nil) message.meta = record.meta();
  message.node = config_.name;
  message.port = record.port;
  message.vsn = ByteView(record.vsn);
  workspace_.message.clear();
  wire::encode(message, workspace_.message);
  broadcast(refute_key_, refuted, 0);
}

// state.go: suspectNode.
void Memberlist::suspect_node(Instant now, std::string_view node, std::uint32_t incarnation, std::string_view from) {
  const MemberId id = directory_.find(node);
  if (!id.valid() || !table_.contains(id) || incarnation < table_.incarnation(id)) return;
  Suspicion* running = suspicions_.find(id);
  if (!running && table_.state(id) != MemberState::kAlive) return;
  if (!running && id == self_)
    return refute(NoticeKind::kRefutedSuspect, directory_.find(from), from, incarnation, nullptr);
  const MemberId accuser = directory_.intern(from);
  if (!accuser.valid()) {
    note_peer(NoticeKind::kMemberRefused, {}, {}, 0, 0, {}, from);
    return;
  }
  Cause cause;
  if (running) {
    if (suspicions_.confirm(*running, accuser, now) == Suspicions::Confirm::kIgnored) return;
    cause = note(NoticeKind::kSuspectConfirmed, id, accuser, (running->deadline - now).ns,
                 static_cast<std::uint32_t>(running->confirmed));
  } else {
    cause = start_suspicion(now, id, incarnation, accuser);
  }
  workspace_.message.clear();
  wire::encode(wire::Suspect{from, incarnation, node}, workspace_.message);
  broadcast(key_of(id), cause, 0);
}

namespace {
// The shortest timeouts are whole numbers of gossip and probe intervals, so an expiry falls into one instant with ticks of
// its own node and with the death notice of whoever suspected before. On real machines every one of these wakes up a
// little late, and the expiry, whose start was late already, mostly comes last: three times in four, going by how many
// members of real clusters declared a death by their own timer.
constexpr std::uint64_t kLateIn = 4;
constexpr Duration kLate{50'000};
}  // namespace

Cause Memberlist::start_suspicion(Instant now, MemberId member, std::uint32_t incarnation, MemberId from) {
  table_.set_incarnation(member, incarnation);
  table_.set_state(member, MemberState::kSuspect, now);
  int wanted = config_.suspicion_mult - 2;
  if (static_cast<std::int64_t>(num_nodes_) - 2 < wanted || !config_.lifeguard_suspicion) wanted = 0;
  const Duration min = suspicion_timeout(config_.suspicion_mult, num_nodes_, config_.probe_interval);
  const Duration max = min * config_.suspicion_max_timeout_mult;
  const Cause cause = note(NoticeKind::kSuspectAccepted, member, from, (wanted < 1 ? min : max).ns,
                           static_cast<std::uint32_t>(std::max(wanted, 0)));
  const Duration late = expiry_draw_.below(kLateIn) == 0 ? Duration{} : kLate;
  suspicions_.start(member, from, now, wanted, min, max, late, cause);
  return cause;
}

// suspicion.go: timeoutFn as suspectNode sets it. A suspicion that is still here is about a member that is still
// suspect: whatever ends the state forgets it.
void Memberlist::suspicion_due(Instant now) {
  const Suspicion& s = suspicions_.next();
  const MemberId id = s.member;
  const auto confirmed = static_cast<std::uint32_t>(s.confirmed);
  actions_.because(s.cause);
  if (s.wanted > 0 && s.confirmed < s.wanted) note(NoticeKind::kSuspicionDegraded, id, {}, 0, confirmed);
  actions_.because(note(NoticeKind::kSuspicionExpired, id, {}, (now - s.start).ns, confirmed));
  dead_node(now, directory_.name(id), table_.incarnation(id), config_.name);
}

// state.go: deadNode.
void Memberlist::dead_node(Instant now, std::string_view node, std::uint32_t incarnation, std::string_view from) {
  const MemberId id = directory_.find(node);
  if (!id.valid() || !table_.contains(id) || incarnation < table_.incarnation(id)) return;
  suspicions_.forget(id);
  const MemberState state = table_.state(id);
  if (state == MemberState::kDead || state == MemberState::kLeft) return;
  const MemberId accuser = directory_.find(from);
  if (id == self_ && !leaving_) return refute(NoticeKind::kRefutedDead, accuser, from, incarnation, nullptr);
  const bool left = node == from;
  const Cause cause = note(left ? NoticeKind::kLeftAccepted : NoticeKind::kDeadAccepted, id, accuser, incarnation);
  workspace_.message.clear();
  wire::encode(wire::Dead{from, incarnation, node}, workspace_.message);
  broadcast(key_of(id), cause, id == self_ ? kLeaveTag : 0);
  table_.set_incarnation(id, incarnation);
  table_.set_state(id, left ? MemberState::kLeft : MemberState::kDead, now);
  actions_.because(cause);
  delegate_.notify_leave(now, table_.view(id));
}

}  // namespace dcsim::gossip
