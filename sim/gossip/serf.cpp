#include "gossip/serf.h"

#include <algorithm>
#include <utility>

namespace dcsim::gossip {

namespace {

constexpr std::uint8_t kSerfProtocolMin = 2;  // serf.go ProtocolVersionMin, Max
constexpr std::uint8_t kSerfProtocolMax = 5;
constexpr std::uint32_t kUserEventHardLimit = 9 * 1024;
constexpr std::size_t kMaxNodeName = 128;

MemberlistConfig memberlist_config(const SerfConfig& config) {
  MemberlistConfig out = config.memberlist;
  out.name = config.node_name;
  out.protocol_version = 2;
  out.delegate_protocol_version = config.protocol_version;
  out.delegate_protocol_min = kSerfProtocolMin;
  out.delegate_protocol_max = kSerfProtocolMax;
  return out;
}

/// serf.go validateNodeName.
std::optional<Error> bad_name(std::string_view name) {
  const auto ok = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  if (!std::all_of(name.begin(), name.end(), ok)) {
    return Error{"Node name contains invalid characters " + std::string(name) +
                 " , Valid characters include all alpha-numerics and dashes and '.' "};
  }
  if (name.size() > kMaxNodeName) {
    return Error{"Node name is " + std::to_string(name.size()) +
                 " characters. Valid length is between 1 and 128 characters"};
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_text(SerfState state) {
  switch (state) {
    case SerfState::kAlive:
      return "alive";
    case SerfState::kLeaving:
      return "leaving";
    case SerfState::kLeft:
      return "left";
    case SerfState::kShutdown:
      return "shutdown";
  }
  return "unknown";
}

std::optional<Error> SerfConfig::problem() const {
  const auto range = [&](std::string_view word) {
    return Error{"Protocol version '" + std::to_string(protocol_version) + "' too " + std::string(word) +
                 ". Must be in range: [" + std::to_string(kSerfProtocolMin) + ", " + std::to_string(kSerfProtocolMax) +
                 "]"};
  };
  if (protocol_version < kSerfProtocolMin) return range("low");
  if (protocol_version > kSerfProtocolMax) return range("high");
  if (user_event_size_limit > kUserEventHardLimit) {
    return Error{"user event size limit exceeds limit of " + std::to_string(kUserEventHardLimit) + " bytes"};
  }
  Buffer meta;
  encode_tags(tags, protocol_version, meta);
  if (meta.size() > kMetaMaxSize) {
    return Error{"Encoded length of tags exceeds limit of " + std::to_string(kMetaMaxSize) + " bytes"};
  }
  if (validate_node_names) {
    if (auto error = bad_name(node_name)) return error;
  }
  if (event_buffer == 0 || query_buffer == 0) return Error{"event and query buffers must not be empty"};
  return memberlist_config(*this).problem();
}

Serf::Serf(SerfConfig config, Directory& directory, SerfWorkspace& workspace, Actions& actions, SerfListener& listener,
           std::uint64_t seed, std::string_view entity)
    : config_(std::move(config)),
      directory_(directory),
      workspace_(workspace),
      actions_(actions),
      listener_(listener),
      members_(directory),
      events_(config_.event_buffer),
      queries_(config_.query_buffer),
      intent_queue_(static_cast<std::uint32_t>(config_.memberlist.retransmit_mult)),
      event_queue_(static_cast<std::uint32_t>(config_.memberlist.retransmit_mult)),
      query_queue_(static_cast<std::uint32_t>(config_.memberlist.retransmit_mult)),
      reconnect_draw_(seed, entity, "serf-reconnect"),
      relay_draw_(seed, entity, "serf-relay") {
  if (!config_.disable_coordinates) coordinates_.emplace(Rng(seed, entity, "serf-coordinate"));
  clock_.increment();
  event_clock_.increment();
  query_clock_.increment();
  self_ = directory_.intern(config_.node_name);
  memberlist_ = std::make_unique<Memberlist>(memberlist_config(config_), directory_, workspace_, actions_,
                                             as_delegate(), seed, entity);
}

Serf::~Serf() = default;

// --- Inputs ---

void Serf::begin(Instant now) {
  DCSIM_CHECK(now >= now_);
  now_ = now;
  actions_.reset();
  if (!started_ || state_ == SerfState::kShutdown) return;
  if (memberlist_->next_deadline() <= now) memberlist_->on_deadline(now);
  if (own_deadline() <= now) run_due(now);
  actions_.reset();
}

void Serf::on_packet(Instant now, const Endpoint& from, const Bytes& payload) {
  begin(now);
  if (const MemberId probed = memberlist_->probed(); coordinates_ && probed.valid()) coordinates_->expect_now(probed.value);
  memberlist_->on_packet(now, from, payload);
}

void Serf::on_stream_accepted(Instant now, StreamId stream, const Endpoint& from) {
  begin(now);
  memberlist_->on_stream_accepted(now, stream, from);
}

void Serf::on_stream_connected(Instant now, StreamId stream) {
  begin(now);
  memberlist_->on_stream_connected(now, stream);
}

void Serf::on_stream_data(Instant now, StreamId stream, const Bytes& bytes) {
  begin(now);
  memberlist_->on_stream_data(now, stream, bytes);
}

void Serf::on_stream_failed(Instant now, StreamId stream, std::string_view error) {
  begin(now);
  memberlist_->on_stream_failed(now, stream, error);
}

void Serf::on_stream_eof(Instant now, StreamId stream) {
  begin(now);
  memberlist_->on_stream_eof(now, stream);
}

void Serf::on_deadline(Instant now) {
  begin(now);
  if (const MemberId probed = memberlist_->probed(); coordinates_ && probed.valid()) {
    coordinates_->expect(probed.value);
    heard_.expect(probed.value);
  }
}

// --- Timers ---

Instant Serf::own_deadline() const {
  Instant at = std::min({reap_at_, reconnect_at_, queue_check_at_, hop_at_, leave_deadline_});
  for (const CommandWait& wait : command_waits_) at = std::min(at, wait.deadline);
  for (const PruneWait& wait : prune_waits_) at = std::min(at, wait.deadline);
  return at;
}

Instant Serf::next_deadline() const {
  if (!started_ || state_ == SerfState::kShutdown) return Instant::never();
  return std::min(memberlist_->next_deadline(), own_deadline());
}

void Serf::run_due(Instant now) {
  actions_.reset();
  if (hop_at_ <= now) {
    hop_at_ = Instant::never();
    for (const Refutation& refutation : std::exchange(refutations_, {})) {
      actions_.because(refutation.cause);
      broadcast_join(refutation.ltime);
      actions_.reset();
    }
  }
  leave_due(now);
  commands_due(now);
  prune_waits_due(now);
  if (reap_at_ <= now) reap(now);
  if (reconnect_at_ <= now) reconnect(now);
  if (queue_check_at_ <= now) check_queues();
}

void Serf::reap(Instant now) {
  reap_at_ = now + config_.reap_interval;
  reap_list(now, MemberStatus::kFailed, config_.reconnect_timeout);
  reap_list(now, MemberStatus::kLeft, config_.tombstone_timeout);
  intents_.expire(now, config_.recent_intent_timeout);
}

void Serf::reap_list(Instant now, MemberStatus status, Duration timeout) {
  const bool failed = status == MemberStatus::kFailed;
  for (std::size_t i = 0; i < (failed ? members_.failed() : members_.left()).size();) {
    const SerfMembers::Gone gone = (failed ? members_.failed() : members_.left())[i];
    Duration limit = timeout;
    if (config_.reconnect_timeout_override != nullptr) {
      limit = config_.reconnect_timeout_override->reconnect_timeout(member_of(gone.id), timeout);
    }
    if (now - gone.since <= limit) {
      ++i;
      continue;
    }
    failed ? members_.remove_failed(gone.id) : members_.remove_left(gone.id);  // the last one is at i now
    erase(gone.id, false);
  }
}

void Serf::reconnect(Instant now) {
  reconnect_at_ = now + config_.reconnect_interval;
  const std::uint64_t failed = members_.failed().size();
  if (failed == 0) return;
  const std::uint64_t others = members_.size() - failed - members_.left().size();
  // u > failed / alive with u = draw / 2^24, the 24 bits of Go's rand.Float32, in integers.
  const std::uint64_t draw = reconnect_draw_.next() >> 40;
  if (draw * std::max<std::uint64_t>(others, 1) > failed << 24) {
    notice({.kind = SerfNoticeKind::kReconnectThrottled});
    return;
  }
  const MemberId id = members_.failed()[reconnect_draw_.below(failed)].id;
  const Member member = member_of(id);
  actions_.because(notice({.kind = SerfNoticeKind::kReconnectAttempt, .member = id, .endpoint = member.endpoint}));
  JoinTarget target;
  target.display = std::string(member.name) + "/" + member.endpoint.text();
  target.name = std::string(member.name);
  target.endpoint = member.endpoint;
  reconnecting_ = true;
  reconnect_at_ = Instant::never();  // the interval runs from the end of the attempt (serf.go handleReconnect)
  std::vector<JoinTarget> targets;
  targets.push_back(std::move(target));
  reconnect_token_ = memberlist_->join(now, std::move(targets));
}

void Serf::check_queues() {
  queue_check_at_ = now_ + config_.queue_check_interval;
  listener_.on_queues_checked(
      {intent_queue_.size(), event_queue_.size(), query_queue_.size(), memberlist_->broadcasts().size()});
  check_queue(intent_queue_, "Intent");
  check_queue(event_queue_, "Event");
  check_queue(query_queue_, "Query");
  take_finished();
}

void Serf::check_queue(BroadcastQueue& queue, std::string_view name) {
  const std::size_t depth = queue.size();
  if (depth >= config_.queue_depth_warning) {
    notice({.kind = SerfNoticeKind::kQueueDepthWarning, .value = static_cast<std::int64_t>(depth), .text = name});
  }
  const std::size_t limit = config_.min_queue_depth > 0
                                ? std::max<std::size_t>(config_.min_queue_depth, 2 * members_.size())
                                : config_.max_queue_depth;
  if (depth <= limit) return;
  notice({.kind = SerfNoticeKind::kQueuePruned,
          .value = static_cast<std::int64_t>(depth),
          .limit = static_cast<std::int64_t>(limit),
          .text = name});
  queue.prune(limit);
}

// --- What memberlist asks ---

void Serf::node_meta(std::size_t limit, Buffer& out) {
  const std::size_t before = out.size();
  encode_tags(config_.tags, config_.protocol_version, out);
  DCSIM_CHECK(out.size() - before <= limit);
}

std::size_t Serf::get_broadcasts(std::size_t overhead, std::size_t limit, Outgoing& out) {
  // Hot: once per gossip packet and piggyback while something is queued; allocates nothing.
  const auto n = static_cast<std::uint32_t>(members_.size());
  const std::size_t first = out.parts.size();
  std::size_t used = intent_queue_.get(n, overhead, limit, out);
  if (!query_queue_.empty()) used += query_queue_.get(n, overhead, limit - std::min(used, limit), out);
  if (!event_queue_.empty()) used += event_queue_.get(n, overhead, limit - std::min(used, limit), out);
  take_finished();
  for (std::size_t i = first; i < out.parts.size(); ++i) listener_.on_message(true, out.parts[i].size());
  return used;
}

void Serf::take_finished() {
  event_queue_.clear_finished();
  query_queue_.clear_finished();
  for (const BroadcastTag tag : intent_queue_.finished()) {
    if (leave_phase_ == LeavePhase::kIntent && tag == leave_tag_) {
      leave_sent_ = true;
      hop_at_ = now_;
    }
    for (CommandWait& wait : command_waits_) {
      if (wait.tag != tag) continue;
      wait.done = true;
      hop_at_ = now_;
    }
  }
  intent_queue_.clear_finished();
}

void Serf::ack_payload(Buffer& out) { wire::serf::encode_coordinate(coordinates_->coordinate(), out); }

void Serf::notify_ping_complete(Instant, const NodeView& node, Duration rtt, ByteView payload) {
  // Hot: once per probe.
  if (payload.empty()) return;
  Coordinate coordinate;
  if (!wire::serf::decode_coordinate(payload, coordinate)) {
    notice({.kind = SerfNoticeKind::kPingUnreadable, .member = node.id, .value = payload[0]});
    return;
  }
  const Coordinate before = coordinates_->coordinate();
  const CoordinateUpdate update = coordinates_->update(node.id.value, coordinate, rtt);
  if (update != CoordinateUpdate::kUpdated && update != CoordinateUpdate::kReset) {
    notice({.kind = SerfNoticeKind::kCoordinateRejected, .member = node.id});
    return;
  }
  measured_ = true;
  heard_.put(node.id.value, coordinate);
  listener_.on_coordinate(before, coordinates_->coordinate());
}

const Coordinate* Serf::cached_coordinate(std::string_view name) const {
  if (!coordinates_) return nullptr;
  const MemberId id = directory_.find(name);
  if (!id.valid()) return nullptr;
  if (id == self_) return measured_ ? &coordinates_->coordinate() : nullptr;
  return heard_.find(id.value);
}

std::optional<Error> Serf::bad_node(const NodeView& node) const {
  if (config_.validate_node_names) {
    if (auto error = bad_name(node.name)) return error;
  }
  const std::size_t size = node.address.bytes().size();
  if (size != 4 && size != 16) {
    return Error{"IP byte length is invalid: " + std::to_string(size) + " bytes is not either 4 or 16"};
  }
  if (node.meta.size() > kMetaMaxSize) {
    return Error{"Encoded length of tags exceeds limit of " + std::to_string(kMetaMaxSize) + " bytes"};
  }
  return std::nullopt;
}

std::optional<Error> Serf::notify_merge(std::span<const NodeView> nodes) {
  std::vector<Member> members;
  members.reserve(nodes.size());
  for (const NodeView& node : nodes) {
    if (auto error = bad_node(node)) return error;
    members.push_back(member_of(node));
  }
  return config_.merge->notify_merge(members);
}

std::optional<Error> Serf::notify_alive(const NodeView& node) {
  if (auto error = bad_node(node)) return error;
  const Member member = member_of(node);
  return config_.merge->notify_merge({&member, 1});
}

// --- Views ---

std::shared_ptr<const Tags> Serf::tags_of(ByteView meta) const { return workspace_.tags.get(meta); }

Member Serf::member_of(const NodeView& node) const {
  Member member;
  member.id = node.id;
  member.name = node.name;
  member.endpoint = node.endpoint();
  member.tags = tags_of(node.meta);
  member.status = node.state == MemberState::kLeft ? MemberStatus::kLeft : MemberStatus::kNone;
  member.versions = node.vsn;
  return member;
}

Member Serf::member_of(MemberId id) const {
  const AliveRecord& record = members_.record(id);
  Member member;
  member.id = id;
  member.name = directory_.name(id);
  member.endpoint = {record.address, record.port};
  member.tags = tags_of(record.meta());
  member.status = members_.status(id);
  member.status_ltime = members_.status_ltime(id);
  member.versions = record.vsn;
  return member;
}

std::optional<Member> Serf::find(MemberId id) const {
  if (!members_.contains(id)) return std::nullopt;
  return member_of(id);
}

std::optional<Member> Serf::find(std::string_view name) const { return find(directory_.find(name)); }

std::vector<Member> Serf::members() const {
  std::vector<Member> out;
  out.reserve(members_.size());
  each_member([&](MemberId id, MemberStatus) { out.push_back(member_of(id)); });
  std::sort(out.begin(), out.end(), [](const Member& a, const Member& b) { return a.name < b.name; });
  return out;
}

SerfStats Serf::stats() const {
  SerfStats stats;
  stats.members = members_.size();
  stats.failed = members_.failed().size();
  stats.left = members_.left().size();
  stats.health_score = memberlist_->health_score();
  stats.member_time = clock_.time();
  stats.event_time = event_clock_.time();
  stats.query_time = query_clock_.time();
  stats.intent_queue = intent_queue_.size();
  stats.event_queue = event_queue_.size();
  stats.query_queue = query_queue_.size();
  stats.coordinate_resets = coordinates_ ? coordinates_->resets() : 0;
  return stats;
}

void Serf::report(MemberEventKind kind, MemberId id, MemberStatus before, bool flap, bool forced) {
  listener_.on_member_event({kind, id, before, members_.status(id), flap, forced}, actions_.current());
}

Cause Serf::notice(const SerfNotice& happening) { return listener_.on_notice(happening, actions_.current()); }

}  // namespace dcsim::gossip
