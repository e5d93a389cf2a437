#include <algorithm>

#include "gossip/formulas.h"
#include "gossip/memberlist.h"
#include "gossip/targets.h"

namespace dcsim::gossip {

void Memberlist::arm_push_pull(Instant now) {
  push_pull_next_ = now + push_pull_scale(config_.push_pull_interval, num_nodes_);
}

// state.go: pushPullTrigger, pushPull. First the stagger, then interval after interval, counted from the end of the
// exchange.
void Memberlist::push_pull_due(Instant now) {
  if (push_pull_staggering_) {
    push_pull_staggering_ = false;
    return arm_push_pull(now);
  }
  const auto eligible = [&](MemberId id) { return id != self_ && table_.state(id) == MemberState::kAlive; };
  choose_targets(1, table_, push_pull_draw_, config_.exhaustive_small_targets, eligible, workspace_.members,
                 workspace_.shuffled);
  if (workspace_.members.empty()) return arm_push_pull(now);
  push_pull_next_ = Instant::never();
  const MemberId partner = workspace_.members.front();
  const AliveRecord& record = table_.record(partner);
  const Endpoint to{record.address.canonical(), record.port};
  const StreamId id = actions_.dial(to, config_.tcp_timeout);
  open_stream(now, id, Role::kPushPull, to, now + config_.tcp_timeout, partner);
}

// net.go: sendLocalState. Entries go out in the directory's canonical order, so that nodes that agree send equal bytes
// and the compression memo finds them. Hot: about 30 ns a member beside the compression.
void Memberlist::send_state(StreamId id, bool join, bool initiator) {
  Buffer& user = workspace_.payload;
  user.clear();
  if (user_data_) delegate_.local_state(join, user);
  wire::PushPullHeader header;
  header.join = join;
  header.nodes = static_cast<std::int64_t>(table_.size());
  header.user_state_len = static_cast<std::int64_t>(user.size());
  Buffer& bare = workspace_.frame;
  bare.clear();
  wire::encode(header, bare, config_.int_style);
  table_.append_entries(bare);
  bare.insert(bare.end(), user.begin(), user.end());
  note(NoticeKind::kStateSent, {}, {}, static_cast<std::int64_t>(bare.size()));
  workspace_.datagram.clear();
  const std::string_view label = initiator ? std::string_view(config_.label) : std::string_view();
  wire::append_stream(bare, {label, config_.enable_compression}, workspace_.compressor, workspace_.datagram);
  actions_.stream_send(id, Bytes(workspace_.datagram));
}

void Memberlist::reply(StreamId id, ByteView bare) {
  workspace_.frame.clear();
  wire::append_stream(bare, {{}, config_.enable_compression}, workspace_.compressor, workspace_.frame);
  actions_.stream_send(id, Bytes(workspace_.frame));
}

void Memberlist::reply_error(StreamId id, std::string_view text) {
  workspace_.message.clear();
  wire::encode(wire::Err{text}, workspace_.message);
  reply(id, workspace_.message);
}

std::string_view Memberlist::encrypted_text() const {
  return config_.capital_errors() ? "Remote state is encrypted and encryption is not configured"
                                  : "remote state is encrypted and encryption is not configured";
}

// net.go: handleConn, with a complete request.
void Memberlist::serve(Instant now, Stream& stream, const wire::StreamFrame& frame) {
  switch (frame.type) {
    case wire::MessageType::kPushPull:
      serve_push_pull(now, stream, frame);
      break;
    case wire::MessageType::kPing:
      serve_ping(stream, frame.ping);
      break;
    case wire::MessageType::kUser:
      if (user_data_) delegate_.notify_msg(now, frame.user);
      break;
    case wire::MessageType::kEncrypt: {
      note_peer(NoticeKind::kStreamDropped, {}, stream.peer, 0, 0, encrypted_text());
      reply_error(stream.id, encrypted_text());
      break;
    }
    default: {
      note_peer(NoticeKind::kStreamDropped, {}, stream.peer, static_cast<std::int64_t>(frame.type),
                static_cast<std::uint32_t>(wire::StreamError::kUnknownType), "received invalid msgType");
    }
  }
  actions_.stream_close(stream.id);
}

// The answer is the table before the merge; what is refused here is never told to the peer.
void Memberlist::serve_push_pull(Instant now, Stream& stream, const wire::StreamFrame& frame) {
  if (!stream.counted && inbound_push_pulls_ >= kMaxConcurrentPushPulls) {
    note_peer(NoticeKind::kTooManyPushPulls, {}, stream.peer);
    return;
  }
  note_received(stream);
  const std::uint32_t join = frame.header.join ? 1 : 0;
  const Cause served = note_peer(NoticeKind::kPushPullServed, {}, stream.peer, frame.header.nodes, join);
  send_state(stream.id, frame.header.join, false);
  if (const auto error = merge_remote(now, frame)) {
    actions_.because(served);
    note_peer(NoticeKind::kMergeRefused, {}, stream.peer, 0, join, error->text);
  }
}

void Memberlist::serve_ping(Stream& stream, const wire::Ping& ping) {
  if (!ping.node.empty() && ping.node != config_.name) {
    note_peer(NoticeKind::kPingRefused, {}, stream.peer, ping.seq_no, 1, {}, ping.node);
    return;
  }
  wire::Ack ack;
  ack.seq_no = ping.seq_no;
  workspace_.message.clear();
  wire::encode(ack, workspace_.message);
  reply(stream.id, workspace_.message);
}

// The initiator's side, with a complete answer.
void Memberlist::answered(Instant now, Stream& stream, const wire::StreamFrame& frame) {
  actions_.stream_close(stream.id);
  if (stream.role == Role::kFallback) return fallback_answered(stream, frame);
  std::string error;
  if (frame.type == wire::MessageType::kErr) {
    error = "remote error: " + std::string(frame.err.error);
  } else if (frame.type == wire::MessageType::kEncrypt) {
    error = encrypted_text();
  } else if (frame.type != wire::MessageType::kPushPull) {
    error = "received invalid msgType (" + std::to_string(static_cast<int>(frame.type)) +
            "), expected pushPullMsg (6) from=" + stream.peer.text();
  } else {
    // The exchange's own header says whether this was a join; what the peer wrote there is a copy.
    note_received(stream);
    wire::StreamFrame mine = frame;
    mine.header.join = stream.role == Role::kJoin;
    if (const auto refused = merge_remote(now, mine)) error = refused->text;
    actions_.because({});
    if (error.empty()) {
      Notice notice;
      notice.kind = NoticeKind::kPushPullFinished;
      notice.member = stream.member;
      notice.peer = stream.peer;
      notice.value = frame.header.nodes;
      notice.aux = mine.header.join ? 1 : 0;
      notice.elapsed = now - stream.started;
      notice.sent = stream.sent;
      actions_.note(notice);
    }
  }
  exchange_over(now, stream, error);
}

void Memberlist::fallback_answered(const Stream& stream, const wire::StreamFrame& frame) {
  std::string error;
  if (frame.type != wire::MessageType::kAck) {
    error = "unexpected msgType (" + std::to_string(static_cast<int>(frame.type)) +
            ") from ping from=" + stream.peer.text();
  } else if (frame.ack.seq_no != stream.seq_no) {
    error = "sequence number from ack (" + std::to_string(frame.ack.seq_no) + ") doesn't match ping (" +
            std::to_string(stream.seq_no) + ")";
  } else {
    if (probe_.stage != Probe::Stage::kIdle && probe_.seq_no == stream.seq_no) probe_.fallback_ok = true;
    return;
  }
  fallback_failed(stream, error);
}

void Memberlist::fallback_failed(const Stream& stream, std::string_view error) {
  Notice notice;
  notice.kind = NoticeKind::kFallbackFailed;
  notice.member = stream.member;
  notice.peer = stream.peer;
  notice.value = stream.seq_no;
  notice.aux = stream.connected ? 1 : 0;
  notice.elapsed = stream.probe_interval;
  notice.text = error;
  actions_.note(notice);
}

// What came on the wire, without the label header that only an initiator sends.
void Memberlist::note_received(const Stream& stream) {
  const bool labelled = stream.role == Role::kInbound && !config_.label.empty();
  note(NoticeKind::kStateReceived, {}, {},
       static_cast<std::int64_t>(stream.parser.buffered() - (labelled ? 2 + config_.label.size() : 0)));
}

// state.go: pushPullNode has returned. Empty error = success.
void Memberlist::exchange_over(Instant now, const Stream& stream, std::string_view error) {
  if (stream.role == Role::kJoin) return join_address_done(now, stream, error);
  if (!error.empty()) {
    Notice notice;
    notice.kind = NoticeKind::kPushPullFailed;
    notice.member = stream.member;
    notice.peer = stream.peer;
    notice.elapsed = now - stream.started;
    notice.sent = stream.sent;
    notice.text = error;
    actions_.note(notice);
  }
  arm_push_pull(now);
}

}  // namespace dcsim::gossip
