#include "gossip/memberlist.h"

#include <algorithm>

#include "base/check.h"

namespace dcsim::gossip {
Memberlist::Memberlist(MemberlistConfig config, Directory& directory, Workspace& workspace, Actions& actions,
                       Delegate& delegate, std::uint64_t seed, std::string_view entity)
    : config_(std::move(config)),
      directory_(directory),
      workspace_(workspace),
      actions_(actions),
      delegate_(delegate),
      user_data_(delegate.has_user_data()),
      merge_delegate_(delegate.has_merge_delegate()),
      alive_delegate_(delegate.has_alive_delegate()),
      ping_delegate_(delegate.has_ping_delegate()),
      insert_draw_(seed, entity, "insert"),
      shuffle_draw_(seed, entity, "shuffle"),
      gossip_draw_(seed, entity, "gossip"),
      indirect_draw_(seed, entity, "indirect"),
      push_pull_draw_(seed, entity, "push-pull"),
      stagger_draw_(seed, entity, "stagger"),
      expiry_draw_(seed, entity, "expiry"),
      table_(directory),
      queue_(static_cast<std::uint32_t>(config_.retransmit_mult)),
      update_tag_(kFirstUpdateTag) {
  const std::optional<Error> problem = config_.problem();
  DCSIM_CHECK_MSG(!problem, problem->text);
  self_ = directory_.intern(config_.name);
  DCSIM_CHECK_MSG(self_.valid(), "the directory has no room for " + config_.name);
  self_key_ = directory_.hash(self_);
  refute_key_ = name_hash(config_.advertise.address.text());
}

Memberlist::~Memberlist() = default;

// Every input: what is due first, then the input. Commands of the delegate from inside an input do neither.
bool Memberlist::enter(Instant now) {
  if (busy_) return false;
  busy_ = true;
  if (next_deadline_ <= now) {
    run_due(now);
    actions_.because({});
  }
  return true;
}

void Memberlist::settle(Instant now, bool outer) {
  if (!outer) return;
  busy_ = false;
  if (!running_) {
    next_deadline_ = Instant::never();
    return;
  }
  if (!queue_.finished().empty()) take_finished(now);
  arm_gossip(now);
  Instant next = std::min(gossip_next_, probe_ticker_.next);
  if (probe_.stage == Probe::Stage::kDirect) next = std::min({next, probe_.direct_until, probe_.expires});
  if (probe_.stage == Probe::Stage::kIndirect) next = std::min(next, probe_.expires);
  next = std::min(
      {next, relays_deadline(), suspicions_.next_deadline(), push_pull_next_, streams_deadline_, waits_deadline()});
  next_deadline_ = next;
}

void Memberlist::run_due(Instant now) {
  while (running_) {
    enum class Due { kNone, kGossip, kProbeTick, kRelay, kProbe, kSuspicion, kPushPull, kStreams, kWaits };
    Due due = Due::kNone;
    Instant at = now + Duration{1};
    const auto consider = [&](Instant when, Due what) {
      if (when < at) at = when, due = what;
    };
    consider(suspicions_.next_deadline(), Due::kSuspicion);
    consider(gossip_next_, Due::kGossip);
    consider(probe_ticker_.next, Due::kProbeTick);
    consider(relays_deadline(), Due::kRelay);
    if (probe_.stage == Probe::Stage::kDirect) consider(std::min(probe_.direct_until, probe_.expires), Due::kProbe);
    if (probe_.stage == Probe::Stage::kIndirect) consider(probe_.expires, Due::kProbe);
    consider(push_pull_next_, Due::kPushPull);
    consider(streams_deadline_, Due::kStreams);
    if (!queue_.finished().empty()) take_finished(now);
    consider(waits_deadline(), Due::kWaits);
    if (due == Due::kNone) return;
    actions_.because({});
    switch (due) {
      case Due::kGossip:
        gossip_tick(now);
        break;
      case Due::kProbeTick:
        probe_ticker_.advance(now);
        probe_tick(now);
        break;
      case Due::kRelay:
        relays_due(now);
        break;
      case Due::kProbe:
        probe_stage_due(now);
        break;
      case Due::kSuspicion:
        suspicion_due(now);
        break;
      case Due::kPushPull:
        push_pull_due(now);
        break;
      case Due::kStreams:
        streams_due(now);
        break;
      case Due::kWaits:
        fire_waits(now);
        break;
      case Due::kNone:
        break;
    }
  }
}

void Memberlist::on_deadline(Instant now) {
  const bool outer = enter(now);
  settle(now, outer);
}

void Memberlist::wake_gossip(Instant now) {
  const bool outer = enter(now);
  settle(now, outer);
}

void Memberlist::start(Instant now) {
  DCSIM_CHECK(!running_);
  running_ = true;
  const bool outer = enter(now);
  started_ = now;
  announce_self(now, 0);
  probe_ticker_.period = config_.probe_interval;
  probe_ticker_.start(now);
  if (config_.push_pull_interval > Duration{0}) {
    push_pull_staggering_ = true;
    push_pull_next_ = now + stagger_draw_.below(config_.push_pull_interval);
  }
  settle(now, outer);
}

Versions Memberlist::own_versions() const {
  constexpr std::uint8_t kProtocolMin = 1,
                         kProtocolMax = 5;  // memberlist config.go: ProtocolVersionMin, ProtocolVersionMax
  return {kProtocolMin,
          kProtocolMax,
          config_.protocol_version,
          config_.delegate_protocol_min,
          config_.delegate_protocol_max,
          config_.delegate_protocol_version};
}

// memberlist.go: setAlive, UpdateNode.
void Memberlist::announce_self(Instant now, BroadcastTag tag) {
  Buffer meta;
  if (user_data_) delegate_.node_meta(kMetaMaxSize, meta);
  DCSIM_CHECK_MSG(meta.size() <= kMetaMaxSize, "Node meta data provided is longer than the limit");
  const Versions versions = own_versions();
  Claim claim;
  claim.member = self_;
  claim.name = config_.name;
  claim.address = config_.advertise.address;
  claim.port = config_.advertise.port;
  claim.incarnation = ++incarnation_;
  if (user_data_) claim.meta = ByteView(meta);
  claim.vsn = ByteView(versions);
  alive_node(now, claim, true, tag);
}

bool Memberlist::anyone_else() const {
  const bool self_counted = table_.contains(self_) && table_.state(self_) <= MemberState::kSuspect;
  return alive_members() > (self_counted ? 1u : 0u);
}

void Memberlist::leave(Instant now, Duration timeout) {
  if (!running_) return;
  const bool outer = enter(now);
  const bool first = !leaving_;
  leave_wait_ = {true, !first, first ? now + timeout : now};
  if (first) {
    leaving_ = true;
    const Cause started = note(NoticeKind::kLeaveStarted, self_);
    actions_.because(started);
    dead_node(now, config_.name, table_.incarnation(self_), config_.name);
    if (!anyone_else()) leave_wait_ = {true, true, now};
  }
  settle(now, outer);
}

void Memberlist::update_node(Instant now, Duration timeout) {
  if (!running_) return;
  const bool outer = enter(now);
  ++update_tag_;
  update_wait_ = {true, false, now + timeout};
  announce_self(now, update_tag_);
  if (!anyone_else()) update_wait_ = {true, true, now};
  settle(now, outer);
}

void Memberlist::shutdown(Instant now) {
  if (!running_) return;
  const bool outer = enter(now);
  running_ = false;
  for (const Stream& stream : streams_) actions_.stream_close(stream.id);
  streams_.clear();
  joins_.clear();
  queue_.reset();
  suspicions_.clear();
  settle(now, outer);
  next_deadline_ = Instant::never();
}

SendStatus Memberlist::send_to_address(Instant now, const Endpoint& to, ByteView message) {
  if (!running_) return SendStatus::kOtherError;
  const bool outer = enter(now);
  workspace_.bundle.clear();
  wire::encode_user(message, workspace_.bundle);
  const SendStatus status = send_raw(to, workspace_.bundle, false);
  settle(now, outer);
  return status;
}

SendStatus Memberlist::send_best_effort(Instant now, MemberId to, ByteView message) {
  DCSIM_CHECK(table_.contains(to));
  if (!running_) return SendStatus::kOtherError;
  const bool outer = enter(now);
  const AliveRecord& r = table_.record(to);
  workspace_.bundle.clear();
  wire::encode_user(message, workspace_.bundle);
  const SendStatus status = send_raw({r.address, r.port}, workspace_.bundle, understands_crc(to));
  settle(now, outer);
  return status;
}

void Memberlist::take_finished(Instant now) {
  for (const BroadcastTag tag : queue_.finished()) {
    if (tag == kLeaveTag && leave_wait_.active && !leave_wait_.done) {
      leave_wait_ = {true, true, now};
    } else if (tag == update_tag_ && update_wait_.active && !update_wait_.done) {
      update_wait_ = {true, true, now};
    }
  }
  queue_.clear_finished();
}

Instant Memberlist::waits_deadline() const {
  return std::min({leave_wait_.active ? leave_wait_.deadline : Instant::never(),
                   update_wait_.active ? update_wait_.deadline : Instant::never(), join_over_});
}

void Memberlist::fire_waits(Instant now) {
  if (leave_wait_.active && leave_wait_.deadline <= now) {
    const bool done = leave_wait_.done;
    leave_wait_ = {};
    if (!done) actions_.because(note(NoticeKind::kLeaveTimedOut, self_));
    delegate_.leave_done(now, done ? std::nullopt : std::optional(Error{"timeout waiting for leave broadcast"}));
    return;
  }
  if (update_wait_.active && update_wait_.deadline <= now) {
    const bool done = update_wait_.done;
    update_wait_ = {};
    delegate_.update_done(now, done ? std::nullopt : std::optional(Error{"timeout waiting for update broadcast"}));
    return;
  }
  finish_joins(now);
}

// awareness.go: ApplyDelta.
void Memberlist::apply_health(int delta) {
  const int before = score_;
  score_ = std::clamp(score_ + delta, 0, config_.awareness_max_multiplier - 1);
  if (score_ != before) note(NoticeKind::kHealthScore, self_, {}, score_, static_cast<std::uint32_t>(before));
}

Cause Memberlist::note(NoticeKind kind, MemberId member, MemberId other, std::int64_t value, std::uint32_t aux) {
  Notice notice;
  notice.kind = kind;
  notice.member = member;
  notice.other = other;
  notice.value = value;
  notice.aux = aux;
  return actions_.note(notice);
}

Cause Memberlist::note_peer(NoticeKind kind, MemberId member, const Endpoint& peer, std::int64_t value,
                            std::uint32_t aux, std::string_view text, std::string_view name) {
  Notice notice;
  notice.kind = kind;
  notice.member = member;
  notice.peer = peer;
  notice.value = value;
  notice.aux = aux;
  notice.text = text;
  notice.name = name;
  return actions_.note(notice);
}

// A datagram that the machine would not send; `name` says what it was ("send ack").
void Memberlist::note_unsent(NoticeKind kind, MemberId member, const Endpoint& peer, std::uint32_t aux,
                             std::string_view name) {
  note_peer(kind, member, peer, 0, aux, actions_.send_error(), name);
}

bool Memberlist::address_allowed(const Address& address) const {
  if (config_.cidrs_allowed.empty()) return true;
  const Address plain = address.canonical();
  if (!plain.is_v4()) return false;
  return std::any_of(config_.cidrs_allowed.begin(), config_.cidrs_allowed.end(),
                     [&](const Cidr& cidr) { return cidr.contains(plain.v4_value()); });
}

std::size_t Memberlist::view_bytes() const { return table_.heap_bytes(); }

}  // namespace dcsim::gossip
