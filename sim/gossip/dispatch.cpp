#include "gossip/memberlist.h"

namespace dcsim::gossip {

// net.go: ingestPacket. Pings and acks are served as they are met; the rest waits until the whole packet is unfolded.
// Hot.
void Memberlist::on_packet(Instant now, const Endpoint& from, const Bytes& payload) {
  if (!running_) return;
  const bool outer = enter(now);
  const wire::LabelSplit split = wire::accept_label(payload, {config_.label, config_.skip_inbound_label_check});
  if (split.drop != wire::PacketDrop::kNone) {
    drop(from, split.drop);
  } else {
    workspace_.high.clear();
    workspace_.low.clear();
    workspace_.packets.start(split.rest);
    for (wire::PacketItem item; running_ && workspace_.packets.next(item);) dispatch(now, from, item);
    drain_handoff(now, from);
  }
  settle(now, outer);
}

void Memberlist::drop(const Endpoint& from, wire::PacketDrop reason, std::int64_t value) {
  note_peer(NoticeKind::kPacketDropped, {}, from, value, static_cast<std::uint32_t>(reason), wire::name_of(reason));
}

void Memberlist::undecodable(const Endpoint& from, wire::MessageType type) {
  drop(from, wire::PacketDrop::kBadBody, static_cast<std::int64_t>(type));
}

// net.go: handleCommand.
void Memberlist::dispatch(Instant now, const Endpoint& from, const wire::PacketItem& item) {
  if (item.drop == wire::PacketDrop::kTruncatedCompound) return drop(from, item.drop, item.lost);
  if (item.drop != wire::PacketDrop::kNone) return drop(from, item.drop, static_cast<std::int64_t>(item.type));
  switch (item.type) {
    case wire::MessageType::kPing: {
      wire::Ping ping;
      return wire::decode(item.body, ping) ? on_ping(now, from, ping) : undecodable(from, item.type);
    }
    case wire::MessageType::kAck: {
      wire::Ack ack;
      return wire::decode(item.body, ack) ? on_ack(now, ack.seq_no, ack.payload.data)
                                          : undecodable(from, item.type);
    }
    case wire::MessageType::kIndirectPing: {
      wire::IndirectPing request;
      return wire::decode(item.body, request) ? on_indirect_ping(now, from, request)
                                              : undecodable(from, item.type);
    }
    case wire::MessageType::kNack: {
      wire::Nack nack;
      return wire::decode(item.body, nack) ? on_nack(now, nack.seq_no) : undecodable(from, item.type);
    }
    case wire::MessageType::kAlive:
    case wire::MessageType::kSuspect:
    case wire::MessageType::kDead:
    case wire::MessageType::kUser:
      return hand_off(from, item);
    default:
      return drop(from, wire::PacketDrop::kUnknownType, static_cast<std::int64_t>(item.type));
  }
}

void Memberlist::hand_off(const Endpoint& from, const wire::PacketItem& item) {
  std::vector<wire::PacketItem>& queue = item.type == wire::MessageType::kAlive ? workspace_.high : workspace_.low;
  if (queue.size() >= static_cast<std::size_t>(config_.handoff_queue_depth)) {
    note_peer(NoticeKind::kHandoffOverflow, {}, from, 0, static_cast<std::uint32_t>(item.type));
    return;
  }
  queue.push_back(item);
}

// net.go: packetHandler, getNextMessage: alive messages first, within a queue the newest first.
void Memberlist::drain_handoff(Instant now, const Endpoint& from) {
  for (bool first = true; running_; first = false) {
    std::vector<wire::PacketItem>& queue = workspace_.high.empty() ? workspace_.low : workspace_.high;
    if (queue.empty()) return;
    const wire::PacketItem item = queue.back();
    queue.pop_back();
    if (!first) actions_.because({});
    handle(now, from, item);
  }
}

// net.go: handleAlive, ensureCanConnect. Only packets are held to it, not the entries of a push/pull.
bool Memberlist::source_allowed(const Endpoint& from, const Address& claimed) {
  if (config_.cidrs_allowed.empty()) return true;
  const Address* refused = !address_allowed(from.address) ? &from.address : nullptr;
  if (!refused && !claimed.empty() && !address_allowed(claimed)) refused = &claimed;
  if (!refused) return true;
  Notice notice;
  notice.kind = NoticeKind::kAddressBlocked;
  notice.peer = from;
  notice.peer2.address = *refused;
  const std::string text = refused->text() + " is not allowed";
  notice.text = text;
  actions_.note(notice);
  return false;
}

void Memberlist::handle(Instant now, const Endpoint& from, const wire::PacketItem& item) {
  switch (item.type) {
    case wire::MessageType::kAlive: {
      wire::Alive alive;
      if (!wire::decode(item.body, alive)) break;
      alive.port = port_of(alive.port);
      const std::optional<Claim> claim = claim_of(alive);
      if (!claim) break;
      if (source_allowed(from, claim->address)) alive_node(now, *claim, false, 0);
      return;
    }
    case wire::MessageType::kSuspect: {
      wire::Suspect suspect;
      if (!wire::decode(item.body, suspect)) break;
      return suspect_node(now, suspect.node, suspect.incarnation, suspect.from);
    }
    case wire::MessageType::kDead: {
      wire::Dead dead;
      if (!wire::decode(item.body, dead)) break;
      return dead_node(now, dead.node, dead.incarnation, dead.from);
    }
    default:
      if (user_data_) delegate_.notify_msg(now, item.body);
      return;
  }
  undecodable(from, item.type);
}

}  // namespace dcsim::gossip
