#include <algorithm>

#include "gossip/memberlist.h"
#include "gossip/targets.h"

namespace dcsim::gossip {
namespace {

constexpr std::size_t kCompoundHeader = 2;  // memberlist net.go: compoundHeaderOverhead
constexpr std::size_t kCompoundSlot = 2;    // compoundOverhead
constexpr std::size_t kUserSlot = 3;        // compoundOverhead + userMsgOverhead
constexpr std::uint64_t kDrawsPerTick = 1u << 24;

}  // namespace

// Bytes left for broadcasts beside a message; CRC and the message's own slot are not charged, as upstream.
std::size_t Memberlist::budget(std::size_t message) const {
  const std::size_t taken = message + kCompoundHeader + (config_.label.empty() ? 0 : 2 + config_.label.size());
  const auto total = static_cast<std::size_t>(config_.udp_buffer_size);
  return total > taken ? total - taken : 0;
}

// net.go: getBroadcasts. Returns the index of the first user message in `out`.
std::size_t Memberlist::piggyback(std::size_t limit, Outgoing& out) {
  out.clear();
  std::size_t used = 0;
  if (!queue_.empty()) used = queue_.get(num_nodes_, kCompoundSlot, limit, out);
  const std::size_t user_from = out.parts.size();
  if (user_data_ && limit - used > kUserSlot && delegate_.has_broadcasts()) {
    delegate_.get_broadcasts(kUserSlot, limit - used, out);
  }
  return user_from;
}

// util.go: makeCompoundMessage over `first`, if any, and the outgoing parts [begin, end). User parts get their type
// byte.
void Memberlist::bundle(ByteView first, std::size_t begin, std::size_t end, std::size_t user_from, Buffer& out) const {
  const std::vector<Bytes>& parts = workspace_.outgoing.parts;
  const std::size_t count = end - begin + (first.empty() ? 0 : 1);
  out.clear();
  out.push_back(static_cast<std::uint8_t>(wire::MessageType::kCompound));
  out.push_back(static_cast<std::uint8_t>(count));
  const auto length = [&out](std::size_t n) {
    out.push_back(static_cast<std::uint8_t>(n >> 8));
    out.push_back(static_cast<std::uint8_t>(n));
  };
  if (!first.empty()) length(first.size());
  for (std::size_t i = begin; i < end; ++i) length(parts[i].size() + (i >= user_from ? 1 : 0));
  out.insert(out.end(), first.begin(), first.end());
  for (std::size_t i = begin; i < end; ++i) {
    if (i >= user_from) out.push_back(static_cast<std::uint8_t>(wire::MessageType::kUser));
    const ByteView part = parts[i];
    out.insert(out.end(), part.begin(), part.end());
  }
}

// net.go: sendMsg. Piggybacks what is queued; no record at hand, so no CRC.
// Hot: two empty-queue checks beyond the encoding when nothing is queued.
SendStatus Memberlist::send_message(const Endpoint& to, ByteView message, bool named) {
  if (config_.require_node_names && !named) return SendStatus::kOtherError;
  Outgoing& out = workspace_.outgoing;
  const std::size_t user_from = piggyback(budget(message.size()), out);
  if (out.parts.empty()) return send_raw(to, message, false);
  const std::size_t count = out.parts.size();
  std::size_t end = std::min(count, wire::kMaxCompoundParts - 1);
  bundle(message, 0, end, user_from, workspace_.bundle);
  const SendStatus status = send_raw(to, workspace_.bundle, false);
  while (end < count) {  // a buffer size far above the default only
    const std::size_t begin = end;
    end = std::min(count, begin + wire::kMaxCompoundParts);
    bundle({}, begin, end, user_from, workspace_.bundle);
    send_raw(to, workspace_.bundle, false);
  }
  return status;
}

Bytes Memberlist::packed(ByteView message, bool crc) {
  workspace_.datagram.clear();
  wire::append_packet(message, {config_.label, config_.enable_compression, crc}, workspace_.compressor,
                      workspace_.datagram);
  return Bytes(workspace_.datagram);
}

SendStatus Memberlist::send_raw(const Endpoint& to, ByteView message, bool crc) {
  return send_datagram(to, packed(message, crc));
}

// What a peer claims as its address need not be one; Go does not find out where such a name leads.
SendStatus Memberlist::send_datagram(const Endpoint& to, const Bytes& datagram) {
  const std::size_t size = to.address.bytes().size();
  if (size != 4 && size != 16) return SendStatus::kOtherError;
  return actions_.send_packet({to.address.canonical(), to.port}, datagram);
}

bool Memberlist::gossip_wanted() const {
  if (config_.gossip_interval <= Duration{0} || config_.gossip_nodes == 0) return false;
  // The queues first: they are mostly empty, and the table is far away.
  if (queue_.empty() && !(user_data_ && delegate_.has_broadcasts())) return false;
  return anyone_else() || table_.count(MemberState::kDead) > 0;
}

// A tick with nothing to send has no effect but its draws, and those are keyed by the tick's number: so only ticks with
// something to send are timed.
void Memberlist::arm_gossip(Instant now) {
  if (gossip_next_ != Instant::never() || !gossip_wanted()) return;
  const Duration period = config_.gossip_interval;
  gossip_next_ = started_ + period * ((now - started_) / period + 1);
}

// state.go: gossip.
void Memberlist::gossip_tick(Instant now) {
  gossip_next_ = Instant::never();
  const auto number = static_cast<std::uint64_t>((now - started_) / config_.gossip_interval);
  gossip_draw_.seek(number * kDrawsPerTick);
  const auto eligible = [&](MemberId id) {
    if (id == self_) return false;
    switch (table_.state(id)) {
      case MemberState::kAlive:
      case MemberState::kSuspect:
        return true;
      case MemberState::kDead:
        return now - table_.state_change(id) <= config_.gossip_to_the_dead_time;
      case MemberState::kLeft:
        return false;
    }
    return false;
  };
  choose_targets(static_cast<std::size_t>(config_.gossip_nodes), table_, gossip_draw_, config_.exhaustive_small_targets,
                 eligible, workspace_.members, workspace_.shuffled);
  last_parts_.clear();
  std::int64_t sent = 0;
  for (const MemberId target : workspace_.members) {
    const std::size_t user_from = piggyback(budget(0), workspace_.outgoing);
    if (workspace_.outgoing.parts.empty()) break;
    gossip_to(target, user_from);
    ++sent;
  }
  if (sent > 0) note(NoticeKind::kGossipSent, {}, {}, sent);
  last_parts_.clear();
  last_payload_ = {};
  arm_gossip(now);
}

void Memberlist::gossip_to(MemberId target, std::size_t user_from) {
  const std::vector<Bytes>& parts = workspace_.outgoing.parts;
  const AliveRecord& record = table_.record(target);
  const Endpoint to{record.address.canonical(), record.port};
  const bool crc = understands_crc(target);
  actions_.because(workspace_.outgoing.cause);
  SendStatus status = SendStatus::kSent;
  if (parts.size() > wire::kMaxCompoundParts) {  // util.go: makeCompoundMessages
    for (std::size_t begin = 0; begin < parts.size(); begin += wire::kMaxCompoundParts) {
      bundle({}, begin, std::min(parts.size(), begin + wire::kMaxCompoundParts), user_from, workspace_.bundle);
      status = send_raw(to, workspace_.bundle, crc);
    }
    last_parts_.clear();
  } else {
    const auto same = [](const Bytes& part, const std::uint8_t* last) { return part.data() == last; };
    if (crc != last_crc_ || !std::equal(parts.begin(), parts.end(), last_parts_.begin(), last_parts_.end(), same)) {
      if (parts.size() > 1) {
        bundle({}, 0, parts.size(), user_from, workspace_.bundle);
        last_payload_ = packed(workspace_.bundle, crc);
      } else if (user_from == 0) {
        workspace_.bundle.clear();
        wire::encode_user(parts[0], workspace_.bundle);
        last_payload_ = packed(workspace_.bundle, crc);
      } else {
        last_payload_ = packed(parts[0], crc);
      }
      last_parts_.clear();
      for (const Bytes& part : parts) last_parts_.push_back(part.data());
      last_crc_ = crc;
    }
    status = send_datagram(to, last_payload_);
  }
  if (status != SendStatus::kSent) note_unsent(NoticeKind::kGossipSendFailed, target, to);
}

}  // namespace dcsim::gossip
