// Members, intents and the state that push/pull carries (serf.go handleNode*, delegate.go LocalState,
// MergeRemoteState).
#include <algorithm>
#include <utility>

#include "gossip/serf.h"

namespace dcsim::gossip {

namespace {

/// Walks validated StatusLTimes. Hot: the usual pair, a short name and a stamp of at most 16 bits, is read in place;
/// the rest goes through the general reader.
class StatusReader {
 public:
  explicit StatusReader(const wire::RawMap& map) : rest_(map.items), left_(map.count) {}

  bool next(std::string_view& name, LamportTime& ltime) {
    if (left_ == 0) return false;
    --left_;
    const std::uint8_t* p = rest_.data();
    if ((p[0] & 0xe0) == 0xa0) {
      const std::size_t length = p[0] & 0x1fu;
      const std::uint8_t* stamp = p + 1 + length;
      const std::size_t width = stamp[0] < 0x80 ? 0 : stamp[0] == 0xcc ? 1 : stamp[0] == 0xcd ? 2 : 9;
      if (width <= 2) {
        name = text_of(rest_.subspan(1, length));
        ltime = width == 0 ? stamp[0] : width == 1 ? stamp[1] : static_cast<LamportTime>(stamp[1] << 8 | stamp[2]);
        rest_ = rest_.subspan(2 + length + width);
        return true;
      }
    }
    wire::Reader reader(rest_);
    name = reader.key();
    ltime = reader.u64();
    rest_ = reader.rest();
    return reader.ok();
  }

 private:
  ByteView rest_;
  std::uint32_t left_;
};

}  // namespace

// --- memberlist's events ---

void Serf::notify_join(Instant now, const NodeView& node) {
  now_ = now;
  if (find_prune(node.id) != nullptr) end_prune(node.id);
  const AliveId alive = directory_.acquire(node.id, node.address, node.port, node.meta, node.meta_nil, node.vsn);
  if (!alive.valid()) return;  // over the Directory's bounds
  if (!members_.contains(node.id)) {
    MemberStatus status = MemberStatus::kAlive;
    LamportTime ltime = 0;
    if (const auto join = intents_.recent(node.id, IntentKind::kJoin)) ltime = *join;
    if (const auto leave = intents_.recent(node.id, IntentKind::kLeave)) {
      status = MemberStatus::kLeaving;
      ltime = *leave;
    }
    members_.insert(node.id, alive, status, ltime);
    report(MemberEventKind::kJoin, node.id, MemberStatus::kNone);
    return;
  }
  const MemberStatus before = members_.status(node.id);
  bool flap = false;
  if (before == MemberStatus::kFailed) {
    const auto since = members_.remove_failed(node.id);
    flap = since && now - *since < config_.flap_timeout;
  } else if (before == MemberStatus::kLeft) {
    members_.remove_left(node.id);
  }
  members_.set_record(node.id, alive);
  members_.set_status(node.id, MemberStatus::kAlive);
  report(MemberEventKind::kJoin, node.id, before, flap);
}

void Serf::notify_leave(Instant now, const NodeView& node) {
  now_ = now;
  if (!members_.contains(node.id) || find_prune(node.id) != nullptr) return;
  switch (members_.status(node.id)) {
    case MemberStatus::kLeaving:
      members_.set_status(node.id, MemberStatus::kLeft);
      members_.add_left(node.id, now);
      report(MemberEventKind::kLeave, node.id, MemberStatus::kLeaving);
      break;
    case MemberStatus::kAlive:
      members_.set_status(node.id, MemberStatus::kFailed);
      members_.add_failed(node.id, now);
      report(MemberEventKind::kFailed, node.id, MemberStatus::kAlive);
      break;
    default:
      notice({.kind = SerfNoticeKind::kBadState,
              .member = node.id,
              .value = static_cast<std::int64_t>(members_.status(node.id))});
  }
}

void Serf::notify_update(Instant now, const NodeView& node) {
  now_ = now;
  if (!members_.contains(node.id)) return;
  const AliveId alive = directory_.acquire(node.id, node.address, node.port, node.meta, node.meta_nil, node.vsn);
  if (!alive.valid()) return;
  members_.set_record(node.id, alive);
  report(MemberEventKind::kUpdate, node.id, members_.status(node.id));
}

void Serf::notify_conflict(Instant now, const NodeView& existing, const NodeView& other) {
  now_ = now;
  const bool own = existing.id == self_;
  notice({.kind = own ? SerfNoticeKind::kOwnNameConflict : SerfNoticeKind::kNameConflict,
          .member = existing.id,
          .endpoint = existing.endpoint(),
          .endpoint2 = other.endpoint(),
          .value = own && config_.enable_name_conflict_resolution ? 1 : 0});
}

// --- Intents ---

Serf::Verdict Serf::on_leave_intent(Instant now, MemberId id, LamportTime ltime, bool prune) {
  clock_.witness(ltime);
  if (!members_.contains(id) || find_prune(id) != nullptr) {
    return intents_.upsert(id, IntentKind::kLeave, ltime, now) ? Verdict::kRebroadcast : Verdict::kIgnore;
  }
  if (ltime <= members_.status_ltime(id)) return Verdict::kIgnore;
  if (id == self_ && state_ == SerfState::kAlive) {
    Cause cause = notice({.kind = SerfNoticeKind::kLeaveIntentRefuted, .member = id});
    if (cause.record == 0) cause = actions_.current();
    refutations_.push_back({clock_.time(), cause});
    hop_at_ = now;
    return Verdict::kIgnore;
  }
  // The stamp moves even where the status does not: otherwise two nodes that both hold the member as leaving would
  // re-broadcast each other's intents for ever.
  members_.set_ltime(id, ltime);
  switch (members_.status(id)) {
    case MemberStatus::kAlive:
      members_.set_status(id, MemberStatus::kLeaving);
      [[fallthrough]];
    case MemberStatus::kLeaving:
      if (!prune) return Verdict::kRebroadcast;
      prune_waits_.push_back(
          {id, now + config_.broadcast_timeout + config_.leave_propagate_delay, {}, false, 0, actions_.current()});
      return Verdict::kPruneWaits;
    case MemberStatus::kFailed:
      to_left_by_intent(id);
      [[fallthrough]];
    case MemberStatus::kLeft:
      if (prune) {
        members_.remove_left(id);
        erase(id, true);
      }
      return Verdict::kRebroadcast;
    case MemberStatus::kNone:
      break;
  }
  return Verdict::kIgnore;
}

/// The left list makes the next push/pull take the member from the failed lists of others.
void Serf::to_left_by_intent(MemberId id) {
  const auto since = members_.remove_failed(id);
  DCSIM_CHECK(since.has_value());
  members_.set_status(id, MemberStatus::kLeft);
  members_.add_left(id, *since);
  report(MemberEventKind::kLeave, id, MemberStatus::kFailed, false, true);
}

bool Serf::on_join_intent(Instant now, MemberId id, LamportTime ltime) {
  // Hot: once per member and push/pull; two compares when nothing is new.
  clock_.witness(ltime);
  if (!members_.contains(id) || find_prune(id) != nullptr) return intents_.upsert(id, IntentKind::kJoin, ltime, now);
  if (ltime <= members_.status_ltime(id)) return false;
  members_.set_ltime(id, ltime);
  if (members_.status(id) == MemberStatus::kLeaving) members_.set_status(id, MemberStatus::kAlive);
  return true;
}

Serf::PruneWait* Serf::find_prune(MemberId id) {
  for (PruneWait& wait : prune_waits_) {
    if (wait.member == id) return &wait;
  }
  return nullptr;
}

void Serf::end_prune(MemberId id) {
  const auto it =
      std::find_if(prune_waits_.begin(), prune_waits_.end(), [&](const PruneWait& w) { return w.member == id; });
  PruneWait wait = std::move(*it);
  prune_waits_.erase(it);
  members_.remove_left(id);
  erase(id, true);
  if (wait.command) {
    await_removal(now_, std::move(wait.rebroadcast), wait.token, wait.cause);
  } else if (!wait.rebroadcast.empty()) {
    queue_intent(std::move(wait.rebroadcast), wait.cause);
  }
}

void Serf::prune_waits_due(Instant now) {
  while (!prune_waits_.empty() && prune_waits_.front().deadline <= now) {  // all wait equally long: in order
    actions_.because(prune_waits_.front().cause);
    end_prune(prune_waits_.front().member);
    actions_.reset();
  }
}

void Serf::erase(MemberId id, bool forced) {
  if (coordinates_) coordinates_->forget(id.value);
  heard_.forget(id.value);
  report(MemberEventKind::kReap, id, members_.status(id), false, forced);
  members_.erase(id);
}

// --- Push/pull ---

void Serf::local_state(bool, Buffer& out) {
  // Hot: ~15 ns a member, and 512 bytes for the idle ring.
  SerfWorkspace& ws = workspace_;
  ws.ring_items.clear();
  events_.encode(ws.ring_items);
  ws.left_items.clear();
  for (const SerfMembers::Gone& gone : members_.left()) ws.left_items.add_text(directory_.name(gone.id));
  ws.status_ltimes.clear();
  {
    wire::Writer writer(ws.status_ltimes);
    for (const MemberId id : directory_.canonical_order()) {
      if (!members_.contains(id)) continue;
      writer.text(directory_.name(id));
      writer.unsigned_int(members_.status_ltime(id));
    }
  }
  wire::serf::PushPull state;
  state.event_ltime = event_clock_.time();
  state.events = ws.ring_items.list();
  state.ltime = clock_.time();
  state.left_members = ws.left_items.list();
  state.query_ltime = query_clock_.time();
  state.status_ltimes.items = ws.status_ltimes;
  state.status_ltimes.count = static_cast<std::uint32_t>(members_.size());
  state.status_ltimes.nil = false;
  wire::serf::encode(state, out);
}

void Serf::merge_remote_state(Instant now, ByteView state, bool join) {
  now_ = now;
  wire::serf::PushPull remote;
  if (state.empty() || state[0] != static_cast<std::uint8_t>(wire::serf::MessageType::kPushPull) ||
      !wire::serf::decode(state.subspan(1), remote)) {
    notice({.kind = SerfNoticeKind::kMergeUnreadable});
    return;
  }
  // Less one: nothing with that stamp has been sent yet.
  if (remote.ltime > 0) clock_.witness(remote.ltime - 1);
  if (remote.event_ltime > 0) event_clock_.witness(remote.event_ltime - 1);
  if (remote.query_ltime > 0) query_clock_.witness(remote.query_ltime - 1);
  merge_members(now, remote);
  if (join && ignore_old_) event_min_time_ = std::max(event_min_time_, remote.event_ltime);
  wire::serf::EventSlot slot;
  for (wire::serf::EventReader ring(remote.events); ring.next(slot);) {
    wire::serf::RecordedEvent event;
    for (wire::serf::RecordedEventReader events(slot.events); events.next(event);) {
      on_user_event({false, slot.ltime, event.name, event.payload});
    }
  }
}

/// The id of a name in the remote state. The remote side most likely writes in canonical order as we do, so the name is
/// looked for just behind the last one before it is hashed.
MemberId Serf::resolve(std::string_view name, std::size_t& cursor) {
  const std::vector<MemberId>& order = directory_.canonical_order();
  const std::size_t end = std::min(cursor + 3, order.size());
  for (std::size_t at = cursor; at < end; ++at) {
    if (directory_.name(order[at]) == name) {
      cursor = at + 1;
      return order[at];
    }
  }
  return directory_.intern(name);
}

void Serf::merge_members(Instant now, const wire::serf::PushPull& remote) {
  // Hot: ~30 ns a member when nothing is new.
  std::string_view name;
  LamportTime ltime = 0;
  std::size_t cursor = 0;
  auto& names = workspace_.merge_names;
  names.clear();
  for (StatusReader reader(remote.status_ltimes); reader.next(name, ltime);) {
    if (const MemberId id = resolve(name, cursor); id.valid()) names.push_back({id, ltime});
  }
  if (remote.left_members.count > 0) merge_left(now, remote);
  for (const SerfWorkspace::Named& named : names) {
    if (named.id.valid()) on_join_intent(now, named.id, named.ltime);
  }
}

/// Left names first, so that their stamps do not rise before the leave is seen. The leave's own stamp is not carried:
/// it was after the status LTime, so one more is taken. Takes the names out of workspace_.merge_names.
void Serf::merge_left(Instant now, const wire::serf::PushPull& remote) {
  auto& left = workspace_.merge_left;
  left.clear();
  std::string_view name;
  for (wire::serf::TextReader reader(remote.left_members); reader.next(name);) {
    if (const MemberId id = directory_.intern(name); id.valid()) {
      left.push_back({id, static_cast<std::uint32_t>(left.size()), 0});
    }
  }
  const auto by_id = [](const SerfWorkspace::LeftName& a, const SerfWorkspace::LeftName& b) {
    return a.id != b.id ? a.id < b.id : a.order < b.order;
  };
  std::sort(left.begin(), left.end(), by_id);
  for (SerfWorkspace::Named& named : workspace_.merge_names) {
    auto it =
        std::lower_bound(left.begin(), left.end(), named.id, [](const auto& l, MemberId id) { return l.id < id; });
    if (it == left.end() || it->id != named.id) continue;
    const MemberId id = std::exchange(named.id, MemberId::none());
    for (; it != left.end() && it->id == id; ++it) it->ltime = named.ltime;
  }
  std::sort(left.begin(), left.end(), [](const auto& a, const auto& b) { return a.order < b.order; });
  for (const SerfWorkspace::LeftName& gone : left) on_leave_intent(now, gone.id, gone.ltime + 1, false);
}

}  // namespace dcsim::gossip
