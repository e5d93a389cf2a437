#include <algorithm>

#include "base/check.h"
#include "gossip/memberlist.h"

namespace dcsim::gossip {
namespace {

constexpr std::size_t kMaxStreams = 1024;  // a process's file descriptors are the bound upstream
constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);

std::string timeout_text(std::string_view what, const Endpoint& peer) {
  return std::string(what) + " tcp " + peer.text() + ": i/o timeout";
}

}  // namespace

std::size_t Memberlist::stream_at(StreamId id) const {
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    if (streams_[i].id == id) return i;
  }
  return kNowhere;
}

void Memberlist::open_stream(Instant now, StreamId id, Role role, const Endpoint& peer, Instant deadline, MemberId member) {
  DCSIM_CHECK(stream_at(id) == kNowhere);
  const bool inbound = role == Role::kInbound;
  const wire::LabelPolicy label{config_.label, config_.skip_inbound_label_check};
  Stream stream{wire::StreamParser(inbound, label, wire::Encrypted::kRefused)};
  stream.id = id;
  stream.role = role;
  stream.connected = inbound;
  stream.peer = peer;
  stream.member = member;
  stream.started = now;
  stream.deadline = deadline;
  streams_.push_back(std::move(stream));
  streams_deadline_ = std::min(streams_deadline_, deadline);
}

// The stream leaves the list with its buffer; what a frame points into stays good as long as the result.
Memberlist::Stream Memberlist::take_stream(std::size_t at) {
  Stream stream = std::move(streams_[at]);
  streams_.erase(streams_.begin() + static_cast<std::ptrdiff_t>(at));
  update_streams_deadline();
  return stream;
}

void Memberlist::update_streams_deadline() {
  streams_deadline_ = Instant::never();
  for (const Stream& stream : streams_) streams_deadline_ = std::min(streams_deadline_, stream.deadline);
}

// net.go: handleConn.
void Memberlist::on_stream_accepted(Instant now, StreamId stream, const Endpoint& from) {
  if (!running_) return;
  const bool outer = enter(now);
  if (streams_.size() >= kMaxStreams) {
    note_peer(NoticeKind::kStreamDropped, {}, from, 0, 0, "too many open connections");
    actions_.stream_close(stream);
  } else {
    open_stream(now, stream, Role::kInbound, from, now + config_.tcp_timeout);
  }
  settle(now, outer);
}

void Memberlist::on_stream_connected(Instant now, StreamId id) {
  if (!running_) return;
  const bool outer = enter(now);
  const std::size_t at = stream_at(id);
  if (at != kNowhere) {
    Stream& stream = streams_[at];
    stream.connected = true;
    if (stream.role == Role::kFallback) {
      wire::Ping ping;
      ping.node = directory_.name(stream.member);
      ping.seq_no = stream.seq_no;
      ping.source_addr = config_.advertise.address.bytes();
      ping.source_node = config_.name;
      ping.source_port = config_.advertise.port;
      workspace_.message.clear();
      wire::encode(ping, workspace_.message);
      workspace_.frame.clear();
      wire::append_stream(workspace_.message, {config_.label, config_.enable_compression}, workspace_.compressor,
                          workspace_.frame);
      actions_.stream_send(id, Bytes(workspace_.frame));
    } else if (stream.role != Role::kInbound) {
      const bool join = stream.role == Role::kJoin;
      stream.deadline = now + config_.tcp_timeout;
      update_streams_deadline();
      note_peer(NoticeKind::kPushPullStarted, stream.member, stream.peer, 0, join ? 1 : 0);
      stream.sent = static_cast<std::uint32_t>(table_.size());
      send_state(id, join, true);
    }
  }
  settle(now, outer);
}

void Memberlist::on_stream_failed(Instant now, StreamId id, std::string_view error) {
  if (!running_) return;
  const bool outer = enter(now);
  const std::size_t at = stream_at(id);
  if (at != kNowhere) stream_broken(now, at, error, false);
  settle(now, outer);
}

void Memberlist::on_stream_eof(Instant now, StreamId id) {
  if (!running_) return;
  const bool outer = enter(now);
  const std::size_t at = stream_at(id);
  if (at != kNowhere) {
    if (streams_[at].role == Role::kInbound) {
      streams_[at].parser.finish();
      stream_refused(now, at);
    } else {
      stream_broken(now, at, streams_[at].parser.buffered() == 0 ? "EOF" : "unexpected EOF", true);
    }
  }
  settle(now, outer);
}

void Memberlist::on_stream_data(Instant now, StreamId id, const Bytes& data) {
  if (!running_) return;
  const bool outer = enter(now);
  const std::size_t at = stream_at(id);
  if (at != kNowhere && !data.empty()) {
    Stream& stream = streams_[at];
    wire::StreamFrame frame;
    if (stream.role == Role::kInbound && count_push_pull(stream, data)) {
      note_peer(NoticeKind::kTooManyPushPulls, {}, stream.peer);
      stream_broken(now, at, "", true);
    } else {
      switch (stream.parser.feed(data, workspace_.streams, frame)) {
        case wire::StreamStatus::kNeedMore:
          break;
        case wire::StreamStatus::kRefused:
          stream_refused(now, at);
          break;
        case wire::StreamStatus::kComplete: {
          Stream whole = take_stream(at);
          whole.role == Role::kInbound ? serve(now, whole, frame) : answered(now, whole, frame);
          if (whole.counted) --inbound_push_pulls_;
        }
      }
    }
  }
  settle(now, outer);
}

// Notices a plain push/pull by its type byte (a compressed one is served in the instant in which it is known).
// True if it is one too many.
bool Memberlist::count_push_pull(Stream& stream, ByteView data) {
  const std::size_t from = stream.received;
  stream.received += static_cast<std::uint32_t>(std::min<std::size_t>(data.size(), 1u << 30));
  if (stream.counted || from > 2 + kLabelMaxSize) return false;
  const std::size_t type_at = config_.label.empty() ? 0 : 2 + config_.label.size();
  if (type_at < from || type_at - from >= data.size()) return false;
  if (data[type_at - from] != static_cast<std::uint8_t>(wire::MessageType::kPushPull)) return false;
  if (inbound_push_pulls_ >= kMaxConcurrentPushPulls) return true;
  stream.counted = true;
  ++inbound_push_pulls_;
  return false;
}

void Memberlist::streams_due(Instant now) {
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    if (streams_[i].deadline > now) continue;
    const std::string error = timeout_text(streams_[i].connected ? "read" : "dial", streams_[i].peer);
    return stream_broken(now, i, error, true);
  }
  update_streams_deadline();
}

// The parser will take no more of it.
void Memberlist::stream_refused(Instant now, std::size_t at) {
  const Stream& stream = streams_[at];
  const wire::StreamError error = stream.parser.error();
  const std::string text = refusal_text(stream.parser);
  if (stream.role != Role::kInbound) return stream_broken(now, at, text, true);
  // To go-msgpack 2.x a connection that ends inside a compress message ends well.
  const bool clean = error == wire::StreamError::kCutCompress && config_.int_style == wire::IntStyle::kNew;
  if (error == wire::StreamError::kNone || clean) return stream_broken(now, at, "", true);
  note_peer(NoticeKind::kStreamDropped, {}, stream.peer, 0, static_cast<std::uint32_t>(error), text);
  if (wire::answered_with_err(error)) reply_error(stream.id, text);
  stream_broken(now, at, "", true);
}

std::string Memberlist::refusal_text(const wire::StreamParser& parser) const {
  std::string text(wire::text_of(parser.error()));
  if (parser.error() != wire::StreamError::kUnknownAlgorithm) return text;
  text += " " + std::to_string(parser.algorithm());
  if (config_.capital_errors()) text[0] = 'C';
  return text;
}

// A stream ends without a complete frame. `close`: the surroundings do not know yet.
void Memberlist::stream_broken(Instant now, std::size_t at, std::string_view error, bool close) {
  const Stream stream = take_stream(at);
  if (stream.counted) --inbound_push_pulls_;
  if (close) actions_.stream_close(stream.id);
  switch (stream.role) {
    case Role::kInbound:
      if (!error.empty()) note_peer(NoticeKind::kStreamDropped, {}, stream.peer, 0, 0, error);
      return;
    case Role::kFallback:
      return fallback_failed(stream, error);
    case Role::kPushPull:
    case Role::kJoin:
      return exchange_over(now, stream, error);
  }
}

}  // namespace dcsim::gossip
