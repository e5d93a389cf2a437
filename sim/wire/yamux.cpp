#include "wire/yamux.h"

#include <algorithm>

#include "base/check.h"

namespace dcsim::wire {
namespace {

constexpr std::uint8_t kVersion = 0;
constexpr std::uint32_t kLastId = 0xffffffffu - 1;  // ids from here on are exhausted

void put_big_endian(std::uint8_t* p, std::uint32_t v, int bytes) {
  for (int i = bytes - 1; i >= 0; --i, v >>= 8) p[i] = static_cast<std::uint8_t>(v);
}
std::uint32_t big_endian(const std::uint8_t* p, int bytes) {
  std::uint32_t v = 0;
  for (int i = 0; i < bytes; ++i) v = v << 8 | p[i];
  return v;
}

}  // namespace

std::string_view text_of(YamuxError error) {
  switch (error) {
    case YamuxError::kNone:
      return "";
    case YamuxError::kInvalidVersion:
      return "invalid protocol version";
    case YamuxError::kInvalidMsgType:
      return "invalid msg type";
    case YamuxError::kSessionShutdown:
      return "session shutdown";
    case YamuxError::kStreamsExhausted:
      return "streams exhausted";
    case YamuxError::kDuplicateStream:
      return "duplicate stream initiated";
    case YamuxError::kRecvWindowExceeded:
      return "recv window exceeded";
    case YamuxError::kTimeout:
      return "i/o deadline reached";
    case YamuxError::kStreamClosed:
      return "stream closed";
    case YamuxError::kUnexpectedFlag:
      return "unexpected flag";
    case YamuxError::kRemoteGoAway:
      return "remote end is not accepting connections";
    case YamuxError::kConnectionReset:
      return "connection reset";
    case YamuxError::kConnectionWriteTimeout:
      return "connection write timeout";
    case YamuxError::kKeepAliveTimeout:
      return "keepalive timeout";
    case YamuxError::kEof:
      return "EOF";
    case YamuxError::kProtocolGoAway:
      return "yamux protocol error";
    case YamuxError::kInternalGoAway:
      return "remote yamux internal error";
    case YamuxError::kUnexpectedGoAway:
      return "unexpected go away received";
    case YamuxError::kTooManyUnanswered:
      return "too many streams wait for their answer";
  }
  return "unknown";
}

void append_yamux_header(YamuxType type, std::uint16_t flags, std::uint32_t stream, std::uint32_t length, Buffer& out) {
  const std::size_t at = out.size();
  out.resize(at + kYamuxHeaderBytes);
  std::uint8_t* p = out.data() + at;
  p[0] = kVersion;
  p[1] = static_cast<std::uint8_t>(type);
  put_big_endian(p + 2, flags, 2);
  put_big_endian(p + 4, stream, 4);
  put_big_endian(p + 8, length, 4);
}

YamuxHeader parse_yamux_header(ByteView bytes) {
  DCSIM_CHECK(bytes.size() >= kYamuxHeaderBytes);
  const std::uint8_t* p = bytes.data();
  return {p[0], p[1], static_cast<std::uint16_t>(big_endian(p + 2, 2)), big_endian(p + 4, 4), big_endian(p + 8, 4)};
}

YamuxSession::YamuxSession(Side side, const YamuxConfig& config, Instant now)
    : config_(config),
      next_id_(side == Side::kClient ? 1 : 2),
      ping_at_(config.keepalive ? now + config.keepalive_interval : Instant::never()) {
  DCSIM_CHECK(config.max_window >= kYamuxWindow);
}

// The table of streams.

YamuxSession::Stream* YamuxSession::find(std::uint32_t id) {
  return const_cast<Stream*>(static_cast<const YamuxSession*>(this)->find(id));
}
const YamuxSession::Stream* YamuxSession::find(std::uint32_t id) const {
  const auto it = std::lower_bound(ids_.begin(), ids_.end(), id, [](const Id& a, std::uint32_t b) { return a.id < b; });
  return it != ids_.end() && it->id == id ? &slots_[it->slot] : nullptr;
}

YamuxSession::Stream& YamuxSession::insert(std::uint32_t id, State state) {
  std::uint32_t slot = static_cast<std::uint32_t>(slots_.size());
  if (free_slots_.empty()) {
    slots_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  const auto at = std::lower_bound(ids_.begin(), ids_.end(), id, [](const Id& a, std::uint32_t b) { return a.id < b; });
  ids_.insert(at, {id, slot});
  Stream& stream = slots_[slot];
  stream.id = id;
  stream.receive_window = kYamuxWindow;
  stream.send_window = kYamuxWindow;
  stream.state = state;
  stream.answered = state != State::kSynSent;
  stream.accepted = state != State::kSynReceived;
  return stream;
}

void YamuxSession::remove(std::uint32_t id) {
  const auto it = std::lower_bound(ids_.begin(), ids_.end(), id, [](const Id& a, std::uint32_t b) { return a.id < b; });
  DCSIM_CHECK(it != ids_.end() && it->id == id);
  Stream& stream = slots_[it->slot];
  if (!stream.answered) --unanswered_;
  if (body_stream_ == id) body_stream_ = kNoStream;
  Stream fresh;
  fresh.waiting = std::move(stream.waiting);
  fresh.received = std::move(stream.received);
  for (Buffer* buffer : {&fresh.waiting, &fresh.received}) {
    buffer->clear();
    if (buffer->capacity() > kKeptCapacity) Buffer().swap(*buffer);
  }
  stream = std::move(fresh);
  free_slots_.push_back(it->slot);
  ids_.erase(it);
}

// What goes out.

void YamuxSession::put(YamuxType type, std::uint16_t flags, std::uint32_t stream, std::uint32_t length, Instant now,
                       ByteView body) {
  append_yamux_header(type, flags, stream, length, out_);
  out_.insert(out_.end(), body.begin(), body.end());
  out_total_ += kYamuxHeaderBytes + body.size();
  const bool control = body.empty();
  queued_.push(
      {out_total_, now, type == YamuxType::kData || type == YamuxType::kWindowUpdate ? stream : kNoStream, control});
  if (control) ++control_queued_;
}

bool YamuxSession::put_reply(YamuxType type, std::uint16_t flags, std::uint32_t stream, std::uint32_t length,
                             Instant now) {
  if (control_queued_ >= kMaxQueuedControl) return false;
  put(type, flags, stream, length, now);
  return true;
}

void YamuxSession::took(std::size_t count, Instant now) {
  DCSIM_CHECK(count <= out_.size() - out_taken_);
  out_taken_ += count;
  const std::uint64_t taken = out_total_ - (out_.size() - out_taken_);
  while (!queued_.empty() && queued_.front().end <= taken) {
    if (queued_.front().control) --control_queued_;
    queued_.drop();
    if (timed_out_ > 0) --timed_out_;
  }
  if (ping_sent_ && !ping_out_ && ping_end_ <= taken) {
    ping_out_ = true;
    ping_since_ = now;
    ping_at_ = now + config_.write_timeout;
  }
  if (out_taken_ == out_.size()) {
    out_.clear();
    out_taken_ = 0;
  } else if (out_taken_ >= out_.size() / 2) {
    out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(out_taken_));
    out_taken_ = 0;
  }
}

/// stream.go sendFlags; the SYN itself goes out in open().
std::uint16_t YamuxSession::send_flags(Stream& stream) {
  if (stream.state != State::kSynReceived) return 0;
  stream.state = State::kEstablished;
  return kYamuxAck;
}

void YamuxSession::update_window(Stream& stream, Instant now) {
  const std::size_t buffered = stream.received.size() - stream.read_from + body_left_of(stream);
  const auto delta = static_cast<std::uint32_t>(config_.max_window - buffered - stream.receive_window);
  const std::uint16_t flags = send_flags(stream);
  if (delta < config_.max_window / 2 && flags == 0) return;
  stream.receive_window += delta;
  put(YamuxType::kWindowUpdate, flags, stream.id, delta, now);
}

void YamuxSession::send_waiting(Stream& stream, Instant now) {
  const std::size_t waiting = stream.waiting.size() - stream.waiting_from;
  if (waiting == 0) return;
  const std::size_t size = std::min<std::size_t>(stream.send_window, waiting);
  if (size > 0) {
    const std::uint16_t flags = send_flags(stream);
    put(YamuxType::kData, flags, stream.id, static_cast<std::uint32_t>(size), now,
        ByteView(stream.waiting).subspan(stream.waiting_from, size));
    stream.send_window -= static_cast<std::uint32_t>(size);
    stream.waiting_from += size;
  }
  if (stream.waiting_from != stream.waiting.size()) return;
  stream.waiting.clear();
  stream.waiting_from = 0;
  if (stream.close_wanted) {
    send_fin(stream, now);
  } else {
    emit(YamuxEvent::Kind::kDrained, stream.id);
  }
}

/// stream.go Close: the state changes first, so a SYN that was never accepted is answered by the FIN alone.
void YamuxSession::send_fin(Stream& stream, Instant now) {
  const bool both = stream.state == State::kRemoteClose;
  stream.state = State::kLocalClose;
  put(YamuxType::kWindowUpdate, kYamuxFin, stream.id, 0, now);
  if (both) remove(stream.id);
}

// The owner's calls.

YamuxError YamuxSession::open(std::uint32_t& stream, Instant now) {
  if (over()) return YamuxError::kSessionShutdown;
  if (remote_go_away_) return YamuxError::kRemoteGoAway;
  if (unanswered_ >= config_.accept_backlog) return YamuxError::kTooManyUnanswered;
  if (next_id_ >= kLastId) return YamuxError::kStreamsExhausted;
  // A peer may have taken one of our numbers.
  if (find(next_id_) != nullptr) return YamuxError::kDuplicateStream;
  stream = next_id_;
  next_id_ += 2;
  insert(stream, State::kSynSent);
  ++unanswered_;
  if (config_.open_timeout > 0_s) opening_.push({now + config_.open_timeout, stream});
  put(YamuxType::kWindowUpdate, kYamuxSyn, stream, 0, now);
  return YamuxError::kNone;
}

bool YamuxSession::accept(std::uint32_t& stream, Instant now) {
  while (backlog_.pop(stream)) {
    Stream* s = find(stream);
    if (s == nullptr || s->accepted) continue;  // reset while it waited
    s->accepted = true;
    if (!over()) update_window(*s, now);
    return true;
  }
  return false;
}

YamuxError YamuxSession::write(std::uint32_t stream, ByteView bytes, Instant now) {
  if (over()) return YamuxError::kSessionShutdown;
  Stream* s = find(stream);
  if (s == nullptr || s->state == State::kLocalClose || s->close_wanted) return YamuxError::kStreamClosed;
  if (s->waiting.empty() && !bytes.empty() && bytes.size() <= s->send_window) {
    const std::uint16_t flags = send_flags(*s);
    put(YamuxType::kData, flags, stream, static_cast<std::uint32_t>(bytes.size()), now, bytes);
    s->send_window -= static_cast<std::uint32_t>(bytes.size());
    return YamuxError::kNone;
  }
  const bool waited = !s->waiting.empty();
  s->waiting.insert(s->waiting.end(), bytes.begin(), bytes.end());
  if (!waited) send_waiting(*s, now);
  return YamuxError::kNone;
}

std::size_t YamuxSession::waiting(std::uint32_t stream) const {
  const Stream* s = find(stream);
  return s == nullptr ? 0 : s->waiting.size() - s->waiting_from;
}

std::size_t YamuxSession::readable(std::uint32_t stream) const {
  const Stream* s = find(stream);
  return s == nullptr ? 0 : s->received.size() - s->read_from;
}

std::size_t YamuxSession::read(std::uint32_t stream, Buffer& out, Instant now) {
  Stream* s = find(stream);
  if (s == nullptr) return 0;
  s->told_readable = false;
  const ByteView bytes = ByteView(s->received).subspan(s->read_from);
  const std::size_t count = bytes.size();
  if (count == 0) return 0;
  out.insert(out.end(), bytes.begin(), bytes.end());
  s->received.clear();
  s->read_from = 0;
  if (!over()) update_window(*s, now);
  return count;
}

Bytes YamuxSession::read(std::uint32_t stream, Instant now) {
  Stream* s = find(stream);
  if (s == nullptr) return {};
  s->told_readable = false;
  if (s->received.empty()) return {};
  Bytes bytes(ByteView(s->received).subspan(s->read_from));
  s->received.clear();
  s->read_from = 0;
  if (!over()) update_window(*s, now);
  return bytes;
}

void YamuxSession::close(std::uint32_t stream, Instant now) {
  Stream* s = find(stream);
  if (over() || s == nullptr || s->state == State::kLocalClose || s->close_wanted) return;
  s->close_wanted = true;
  s->received.clear();
  s->read_from = 0;
  while (!closing_.empty() && find(closing_.front().stream) == nullptr) closing_.drop();
  if (config_.close_timeout > 0_s) closing_.push({now + config_.close_timeout, stream});
  if (s->waiting.empty()) send_fin(*s, now);
}

void YamuxSession::go_away(Instant now) {
  if (over()) return;
  local_go_away_ = true;
  put(YamuxType::kGoAway, 0, 0, static_cast<std::uint32_t>(YamuxGoAway::kNormal), now);
}

void YamuxSession::end(YamuxError error, YamuxError cause) {
  if (over()) return;
  error_ = error;
  out_.clear();
  out_taken_ = 0;
  queued_.clear();
  timed_out_ = 0;
  control_queued_ = 0;
  events_.push({YamuxEvent::Kind::kClosed, kNoStream, error, cause});
}

void YamuxSession::protocol_error(YamuxError error, Instant now) {
  end(error);
  put(YamuxType::kGoAway, 0, 0, static_cast<std::uint32_t>(YamuxGoAway::kProtocolError), now);
}

void YamuxSession::lost(YamuxError error) { end(error); }

// What comes in.

void YamuxSession::receive(ByteView bytes, Instant now) {
  while (!over() && !bytes.empty()) {
    if (body_left_ > 0) {
      take_body(bytes);
      continue;
    }
    const std::size_t count = std::min(kYamuxHeaderBytes - header_size_, bytes.size());
    std::copy_n(bytes.begin(), count, header_ + header_size_);
    header_size_ += count;
    bytes = bytes.subspan(count);
    if (header_size_ < kYamuxHeaderBytes) break;
    header_size_ = 0;
    handle(parse_yamux_header(header_), now);
  }
}

void YamuxSession::take_body(ByteView& bytes) {
  const std::size_t count = std::min<std::size_t>(body_left_, bytes.size());
  body_left_ -= static_cast<std::uint32_t>(count);
  Stream* stream = body_stream_ == kNoStream ? nullptr : find(body_stream_);
  const bool wanted = stream != nullptr && stream->state != State::kLocalClose && !stream->close_wanted;
  if (wanted) {
    stream->received.insert(stream->received.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    if (!stream->told_readable) {
      stream->told_readable = true;
      emit(YamuxEvent::Kind::kReadable, stream->id);
    }
  }
  bytes = bytes.subspan(count);
}

void YamuxSession::handle(const YamuxHeader& header, Instant now) {
  if (header.version != kVersion) return end(YamuxError::kInvalidVersion);
  switch (header.type) {
    case static_cast<std::uint8_t>(YamuxType::kData):
    case static_cast<std::uint8_t>(YamuxType::kWindowUpdate):
      return handle_stream(header, now);
    case static_cast<std::uint8_t>(YamuxType::kPing):
      return handle_ping(header, now);
    case static_cast<std::uint8_t>(YamuxType::kGoAway):
      return handle_go_away(header);
    default:
      return end(YamuxError::kInvalidMsgType);
  }
}

void YamuxSession::handle_stream(const YamuxHeader& header, Instant now) {
  const bool data = header.type == static_cast<std::uint8_t>(YamuxType::kData);
  if ((header.flags & kYamuxSyn) != 0 && !incoming(header.stream, now)) return;
  if (find(header.stream) == nullptr) {  // we sent it a reset, most likely
    if (data) {
      body_left_ = header.length;
      body_stream_ = kNoStream;
    }
    return;
  }
  if (!apply_flags(header.stream, header.flags, now)) return;
  // A reset or the second FIN has removed it; what follows is still to be read off the wire.
  Stream* stream = find(header.stream);
  if (!data) {
    if (stream == nullptr) return;
    const std::uint64_t window = std::uint64_t{stream->send_window} + header.length;
    stream->send_window = static_cast<std::uint32_t>(std::min<std::uint64_t>(window, 0xffffffffu));
    return send_waiting(*stream, now);
  }
  if (stream != nullptr && header.length > stream->receive_window) {
    return protocol_error(YamuxError::kRecvWindowExceeded, now);
  }
  body_left_ = header.length;
  body_stream_ = stream == nullptr ? kNoStream : header.stream;
  if (stream != nullptr) stream->receive_window -= header.length;
}

/// session.go incomingStream. False if the session has ended.
bool YamuxSession::incoming(std::uint32_t id, Instant now) {
  const bool refused = local_go_away_ || id == kNoStream;
  if (!refused && find(id) != nullptr) return protocol_error(YamuxError::kDuplicateStream, now), false;
  if (refused || backlog_.size() >= config_.accept_backlog) {
    if (put_reply(YamuxType::kWindowUpdate, kYamuxRst, id, 0, now)) return true;
    return end(YamuxError::kConnectionWriteTimeout), false;
  }
  insert(id, State::kSynReceived);
  backlog_.push(id);
  emit(YamuxEvent::Kind::kIncoming, id);
  return true;
}

/// stream.go processFlags. False if the session has ended.
bool YamuxSession::apply_flags(std::uint32_t id, std::uint16_t flags, Instant now) {
  Stream* stream = find(id);
  if ((flags & kYamuxAck) != 0 && !stream->answered) {
    stream->answered = true;
    --unanswered_;
    if (stream->state == State::kSynSent) {
      stream->state = State::kEstablished;
      emit(YamuxEvent::Kind::kOpened, id);
    }
    for (const Stream* oldest; !opening_.empty(); opening_.drop()) {
      oldest = find(opening_.front().stream);
      if (oldest != nullptr && !oldest->answered) break;
    }
  }
  bool gone = false;
  if ((flags & kYamuxFin) != 0) {
    if (stream->state == State::kRemoteClose) return protocol_error(YamuxError::kUnexpectedFlag, now), false;
    gone = stream->state == State::kLocalClose;
    if (!gone) {
      stream->state = State::kRemoteClose;
      if (!stream->close_wanted) emit(YamuxEvent::Kind::kEnd, id);
    }
  }
  if ((flags & kYamuxRst) != 0) {
    if (stream->accepted && !stream->close_wanted)
      events_.push({YamuxEvent::Kind::kReset, id, YamuxError::kConnectionReset, {}});
    gone = true;
  }
  if (gone) remove(id);
  return true;
}

void YamuxSession::handle_ping(const YamuxHeader& header, Instant now) {
  if ((header.flags & kYamuxSyn) != 0) {
    put_reply(YamuxType::kPing, kYamuxAck, 0, header.length, now);  // if it cannot be sent, the peer's timeout tells
    return;
  }
  if (!ping_sent_ || !ping_out_ || header.length != ping_id_) return;
  ping_sent_ = false;
  ++ping_id_;
  round_trip_ = now - ping_since_;
  ping_at_ = now + config_.keepalive_interval;
}

void YamuxSession::handle_go_away(const YamuxHeader& header) {
  switch (header.length) {
    case static_cast<std::uint32_t>(YamuxGoAway::kNormal):
      if (!remote_go_away_) emit(YamuxEvent::Kind::kGoAway, kNoStream);
      remote_go_away_ = true;
      return;
    case static_cast<std::uint32_t>(YamuxGoAway::kProtocolError):
      return end(YamuxError::kProtocolGoAway);
    case static_cast<std::uint32_t>(YamuxGoAway::kInternalError):
      return end(YamuxError::kInternalGoAway);
    default:
      return end(YamuxError::kUnexpectedGoAway);
  }
}

// Time.

Instant YamuxSession::next_deadline() const {
  if (over()) return Instant::never();
  Instant at = ping_at_;
  if (!opening_.empty()) at = std::min(at, opening_.front().at);
  if (!closing_.empty()) at = std::min(at, closing_.front().at);
  if (queued_.size() > timed_out_) at = std::min(at, queued_[timed_out_].since + config_.write_timeout);
  return at;
}

void YamuxSession::advance(Instant now) {
  if (!over()) expire_writes(now);
  if (!over()) keep_alive(now);
  if (!over()) expire_streams(now);
}

void YamuxSession::expire_writes(Instant now) {
  while (timed_out_ < queued_.size() && queued_[timed_out_].since + config_.write_timeout <= now) {
    const std::uint32_t id = queued_[timed_out_++].stream;
    const Stream* stream = id == kNoStream ? nullptr : find(id);
    if (stream == nullptr || stream->close_wanted) continue;
    events_.push({YamuxEvent::Kind::kWriteTimeout, id, YamuxError::kConnectionWriteTimeout, {}});
  }
}

void YamuxSession::keep_alive(Instant now) {
  if (ping_at_ > now) return;
  if (ping_sent_) {
    return end(YamuxError::kKeepAliveTimeout, ping_out_ ? YamuxError::kTimeout : YamuxError::kConnectionWriteTimeout);
  }
  ping_sent_ = true;
  ping_out_ = false;
  ping_since_ = now;
  ping_at_ = now + config_.write_timeout;
  put(YamuxType::kPing, kYamuxSyn, 0, ping_id_, now);
  ping_end_ = out_total_;
}

void YamuxSession::expire_streams(Instant now) {
  while (!opening_.empty() && opening_.front().at <= now) {
    const Stream* stream = find(opening_.front().stream);
    opening_.drop();
    if (stream != nullptr && stream->state == State::kSynSent) {
      return end(YamuxError::kSessionShutdown, YamuxError::kTimeout);
    }
  }
  while (!closing_.empty() && closing_.front().at <= now) {
    const std::uint32_t id = closing_.front().stream;
    closing_.drop();
    const Stream* stream = find(id);
    if (stream == nullptr || !stream->close_wanted) continue;
    remove(id);
    put(YamuxType::kWindowUpdate, kYamuxRst, id, 0, now);
  }
}

}  // namespace dcsim::wire
