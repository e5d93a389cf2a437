#include <algorithm>

#include "gossip/memberlist.h"
#include "gossip/targets.h"

namespace dcsim::gossip {
namespace {

constexpr std::size_t kMaxRelays = 1u << 16;  // each lives for one ProbeTimeout

}  // namespace

// state.go: probe. A tick while a probe runs is remembered, once.
void Memberlist::probe_tick(Instant now) {
  if (probe_.stage != Probe::Stage::kIdle) {
    probe_pending_ = true;
    return;
  }
  for (std::size_t checked = 0; checked < table_.size();) {
    if (probe_index_ >= table_.size()) {
      workspace_.members.clear();
      table_.reap_and_shuffle(now, config_.gossip_to_the_dead_time, config_.reap_left, shuffle_draw_, workspace_.members);
      num_nodes_ = static_cast<std::uint32_t>(table_.size());
      for (const MemberId gone : workspace_.members) {
        suspicions_.forget(gone);
        note(NoticeKind::kMemberReaped, gone);
      }
      probe_index_ = 0;
      ++checked;
      continue;
    }
    const MemberId candidate = table_.at(probe_index_++);
    const MemberState state = table_.state(candidate);
    if (candidate == self_ || state == MemberState::kDead || state == MemberState::kLeft) {
      ++checked;
      continue;
    }
    probe_member(now, candidate);
    return;
  }
}

// state.go: probeNode, up to the wait for the direct ack.
void Memberlist::probe_member(Instant now, MemberId target) {
  const AliveRecord& record = table_.record(target);
  const bool suspect = table_.state(target) != MemberState::kAlive;
  const Duration interval = config_.probe_interval * (config_.lifeguard_probe ? score_ + 1 : 1);
  if (interval > config_.probe_interval) note(NoticeKind::kProbeDegraded, target, {}, interval.ns);
  probe_ = {};
  probe_.target = target;
  probe_.incarnation = table_.incarnation(target);
  probe_.seq_no = ++seq_no_;
  probe_.endpoint = {record.address, record.port};
  probe_.vsn = record.vsn;
  probe_.started = now;
  probe_.direct_until = now + config_.probe_timeout;
  probe_.expires = now + interval;
  probe_.cause = note(NoticeKind::kProbeSent, target, {}, probe_.seq_no, suspect && config_.lifeguard_buddy ? 1 : 0);
  actions_.because(probe_.cause);
  const SendStatus status = send_probe(target, suspect);
  if (status == SendStatus::kSent) {
    probe_.stage = Probe::Stage::kDirect;
    probe_.sent = true;
    return;
  }
  note_unsent(NoticeKind::kProbeSendFailed, target, probe_.endpoint, suspect && config_.lifeguard_buddy ? 1 : 0);
  if (status == SendStatus::kNetworkError) probe_indirect(now);
}

SendStatus Memberlist::send_probe(MemberId target, bool suspect) {
  wire::Ping ping;
  ping.node = directory_.name(target);
  ping.seq_no = probe_.seq_no;
  ping.source_addr = config_.advertise.address.bytes();
  ping.source_node = config_.name;
  ping.source_port = config_.advertise.port;
  Buffer& message = workspace_.message;
  message.clear();
  wire::encode(ping, message);
  if (!suspect || !config_.lifeguard_buddy) return send_message(probe_.endpoint, message, true);
  // Buddy system: the suspected hears of it first. No piggyback, but the record is at hand, so a CRC.
  const std::size_t ping_size = message.size();
  wire::encode(wire::Suspect{config_.name, probe_.incarnation, directory_.name(target)}, message);
  const ByteView all = message;
  const ByteView parts[] = {all.first(ping_size), all.subspan(ping_size)};
  workspace_.bundle.clear();
  wire::append_compound(parts, workspace_.bundle);
  return send_raw(probe_.endpoint, workspace_.bundle, probe_.vsn[1] >= 5);
}

void Memberlist::probe_stage_due(Instant now) {
  actions_.because(probe_.cause);
  if (probe_.stage == Probe::Stage::kDirect) {
    if (now >= probe_.direct_until) actions_.because(note(NoticeKind::kProbeTimeout, probe_.target));
    probe_indirect(now);
    return;
  }
  probe_failed(now);
}

// state.go: probeNode, HANDLE_REMOTE_FAILURE.
void Memberlist::probe_indirect(Instant now) {
  probe_.stage = Probe::Stage::kIndirect;
  const auto eligible = [&](MemberId id) {
    return id != self_ && id != probe_.target && table_.state(id) == MemberState::kAlive;
  };
  choose_targets(static_cast<std::size_t>(config_.indirect_checks), table_, indirect_draw_,
                 config_.exhaustive_small_targets, eligible, workspace_.members, workspace_.shuffled);
  wire::IndirectPing request;
  request.node = directory_.name(probe_.target);
  request.port = probe_.endpoint.port;
  request.seq_no = probe_.seq_no;
  request.source_addr = config_.advertise.address.bytes();
  request.source_node = config_.name;
  request.source_port = config_.advertise.port;
  request.target = probe_.endpoint.address.bytes();
  for (const MemberId relay : workspace_.members) {
    const AliveRecord& record = table_.record(relay);
    request.nack = record.vsn[1] >= 4;
    if (request.nack) ++probe_.nacks_expected;
    workspace_.message.clear();
    wire::encode(request, workspace_.message);
    note(NoticeKind::kIndirectSent, probe_.target, relay, probe_.seq_no, request.nack ? 1 : 0);
    const Endpoint to{record.address, record.port};
    if (send_message(to, workspace_.message, true) != SendStatus::kSent) {
      note_unsent(NoticeKind::kIndirectSendFailed, probe_.target, to);
    }
  }
  dial_fallback(now);
}

// state.go: sendPingAndWaitForAck. The stream outlives the probe if it must; only its answer in time counts.
void Memberlist::dial_fallback(Instant now) {
  if (config_.disable_tcp_pings || probe_.vsn[1] < 3 || probe_.expires <= now) return;
  const Endpoint to{probe_.endpoint.address.canonical(), probe_.endpoint.port};
  note_peer(NoticeKind::kFallbackDialled, probe_.target, to, probe_.seq_no);
  const StreamId id = actions_.dial(to, probe_.expires - now);
  open_stream(now, id, Role::kFallback, to, probe_.expires, probe_.target);
  streams_.back().seq_no = probe_.seq_no;
  streams_.back().probe_interval = probe_.expires - probe_.started;
}

void Memberlist::probe_failed(Instant now) {
  const Probe probe = probe_;
  int delta;
  if (probe.fallback_ok) {
    note(NoticeKind::kFallbackAcked, probe.target);
    delta = probe.sent ? -1 : 0;
  } else {
    delta = probe.nacks_expected > 0 ? std::max(0, probe.nacks_expected - probe.nacks) : 1;
    const Cause failed =
        note(NoticeKind::kProbeFailed, probe.target, {}, probe.nacks_expected, static_cast<std::uint32_t>(probe.nacks));
    actions_.because(failed);
    suspect_node(now, directory_.name(probe.target), probe.incarnation, config_.name);
    actions_.because(failed);
  }
  apply_health(delta);
  end_probe(now);
}

void Memberlist::end_probe(Instant now) {
  probe_.stage = Probe::Stage::kIdle;
  if (!probe_pending_) return;
  probe_pending_ = false;
  actions_.because({});
  probe_tick(now);
}

// net.go: invokeAckHandler. Hot: one comparison for the own probe.
void Memberlist::on_ack(Instant now, std::uint32_t seq_no, ByteView payload) {
  if (probe_.stage != Probe::Stage::kIdle && probe_.seq_no == seq_no) {
    const Duration since = now - probe_.started;
    const bool direct = probe_.stage == Probe::Stage::kDirect;
    note(direct ? NoticeKind::kProbeAcked : NoticeKind::kProbeAckedLate, probe_.target, {}, since.ns);
    if (direct && ping_delegate_) delegate_.notify_ping_complete(now, table_.view(probe_.target), since, payload);
    if (probe_.sent) apply_health(-1);
    end_probe(now);
    return;
  }
  const auto relay = std::find_if(relays_.begin() + static_cast<std::ptrdiff_t>(relay_head_), relays_.end(),
                                  [&](const Relay& r) { return r.seq_no == seq_no && seq_no != 0; });
  if (relay == relays_.end()) return;
  relay->seq_no = 0;
  note_peer(NoticeKind::kRelayAcked, {}, relay->requester, relay->their_seq_no);
  wire::Ack ack;
  ack.seq_no = relay->their_seq_no;
  workspace_.message.clear();
  wire::encode(ack, workspace_.message);
  if (send_message(relay->requester, workspace_.message, relay->requester_named) != SendStatus::kSent) {
    note_unsent(NoticeKind::kSendFailed, {}, relay->requester, 0, "forward ack");
  }
}

// net.go: invokeNackHandler. Does not end the probe.
void Memberlist::on_nack(Instant, std::uint32_t seq_no) {
  if (probe_.stage == Probe::Stage::kIdle || probe_.seq_no != seq_no) return;
  if (probe_.nacks > config_.indirect_checks) return;  // the channel's capacity
  ++probe_.nacks;
  note(NoticeKind::kNackReceived, probe_.target, {}, seq_no);
}

// net.go: handlePing. Hot.
void Memberlist::on_ping(Instant, const Endpoint& from, const wire::Ping& ping) {
  if (!ping.node.empty() && ping.node != config_.name) {
    note_peer(NoticeKind::kPingRefused, {}, from, ping.seq_no, 0, {}, ping.node);
    return;
  }
  Endpoint to = from;
  if (!ping.source_addr.empty() && ping.source_port > 0) {
    const auto address = Address::from_bytes(ping.source_addr.data);
    if (!address) return undecodable(from, wire::MessageType::kPing);
    to = {*address, ping.source_port};
  }
  wire::Ack ack;
  ack.seq_no = ping.seq_no;
  if (ping_delegate_) {
    workspace_.payload.clear();
    delegate_.ack_payload(workspace_.payload);
    ack.payload = ByteView(workspace_.payload);
  }
  workspace_.message.clear();
  wire::encode(ack, workspace_.message);
  if (send_message(to, workspace_.message, !ping.source_node.empty()) != SendStatus::kSent) {
    note_unsent(NoticeKind::kSendFailed, {}, from, 0, "send ack");
  }
}

// net.go: handleIndirectPing.
void Memberlist::on_indirect_ping(Instant now, const Endpoint& from, const wire::IndirectPing& request) {
  const auto target = Address::from_bytes(request.target.data);
  const auto source = Address::from_bytes(request.source_addr.data);
  if (!target || !source) return undecodable(from, wire::MessageType::kIndirectPing);
  if (relays_.size() - relay_head_ >= kMaxRelays) return;
  Relay relay;
  relay.seq_no = ++seq_no_;
  relay.their_seq_no = request.seq_no;
  relay.requester = !source->empty() && request.source_port > 0 ? Endpoint{*source, request.source_port} : from;
  relay.requester_named = !request.source_node.empty();
  relay.nack = request.nack;
  relay.expires = now + config_.probe_timeout;
  const std::uint16_t port = config_.protocol_version < 2 || request.port == 0 ? config_.bind_port : request.port;
  const MemberId member = directory_.find(request.node);
  relay.cause = note_peer(NoticeKind::kRelayPinged, member, relay.requester, request.seq_no);
  relays_.push_back(relay);
  wire::Ping ping;
  ping.node = request.node;
  ping.seq_no = relay.seq_no;
  ping.source_addr = config_.advertise.address.bytes();
  ping.source_node = config_.name;
  ping.source_port = config_.advertise.port;
  workspace_.message.clear();
  wire::encode(ping, workspace_.message);
  if (send_message({*target, port}, workspace_.message, !request.node.empty()) != SendStatus::kSent) {
    note_unsent(NoticeKind::kSendFailed, {}, relay.requester, 0, "send indirect ping");
  }
}

void Memberlist::relays_due(Instant now) {
  while (relay_head_ < relays_.size() && relays_[relay_head_].expires <= now) {
    const Relay relay = relays_[relay_head_++];
    if (relay.seq_no == 0 || !relay.nack) continue;
    actions_.because(relay.cause);
    note_peer(NoticeKind::kNackSent, {}, relay.requester, relay.their_seq_no);
    workspace_.message.clear();
    wire::encode(wire::Nack{relay.their_seq_no}, workspace_.message);
    if (send_message(relay.requester, workspace_.message, relay.requester_named) != SendStatus::kSent) {
      note_unsent(NoticeKind::kSendFailed, {}, relay.requester, 0, "send nack");
    }
  }
  if (relay_head_ == relays_.size() || relay_head_ > 64) {
    relays_.erase(relays_.begin(), relays_.begin() + static_cast<std::ptrdiff_t>(relay_head_));
    relay_head_ = 0;
  }
}

}  // namespace dcsim::gossip
