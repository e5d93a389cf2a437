#include "wire/stream.h"

namespace dcsim::wire {
namespace {

/// Memory that one header or one push/pull entry may take; memberlist has no bound, real ones stay under 1 KiB.
/// It keeps an incomplete value from being looked at again and again at a growing cost.
constexpr std::size_t kMaxValue = 64u << 10;
constexpr std::size_t kEncryptedHeader = 5;
constexpr std::size_t kKeepNodes = 1u << 16;  // a larger table goes back after its frame

MessageType type_of(ByteView frame) { return static_cast<MessageType>(frame[0]); }

/// The outcome of looking at bytes that may be incomplete.
struct Look {
  StreamStatus status = StreamStatus::kComplete;
  StreamError error = StreamError::kNone;
  std::size_t wanted = 0;  ///< with kNeedMore: useless to look again before so many bytes are there
  std::uint8_t algorithm = 0;  ///< with kUnknownAlgorithm

  static Look more(std::size_t wanted) { return {StreamStatus::kNeedMore, StreamError::kNone, wanted}; }
  static Look refused(StreamError error) { return {StreamStatus::kRefused, error, 0}; }
};

/// Judges a Reader that could not read a value starting at `from`.
Look unread(const Reader& r, std::size_t from, std::size_t size, StreamError error) {
  if (r.status() == Reader::Status::kShort && size - from <= kMaxValue) return Look::more(size + r.missing());
  return Look::refused(error);
}

bool in_range(std::int64_t v, std::int64_t max) { return v >= 0 && v <= max; }

StreamError check(const PushPullHeader& header) {
  if (!in_range(header.nodes, kMaxPushPullNodes)) return StreamError::kTooManyNodes;
  if (!in_range(header.user_state_len, static_cast<std::int64_t>(kMaxPushPullBytes)))
    return StreamError::kUserStateTooLong;
  return StreamError::kNone;
}

Look parse_push_pull(Reader& r, ByteView frame, StreamWorkspace& ws, StreamFrame& out) {
  ws.read = false;
  if (!read(r, out.header)) return unread(r, 1, frame.size(), StreamError::kBadBody);
  if (const StreamError error = check(out.header); error != StreamError::kNone) return Look::refused(error);
  if (ws.nodes.capacity() > kKeepNodes) std::vector<PushNodeState>().swap(ws.nodes);
  ws.nodes.clear();
  const std::size_t from = r.position();
  for (std::int64_t i = 0; i < out.header.nodes; ++i) {
    const std::size_t entry = r.position();
    if (!read(r, ws.nodes.emplace_back())) return unread(r, 1 + entry, frame.size(), StreamError::kBadBody);
  }
  const std::size_t to = r.position();
  const auto user = static_cast<std::size_t>(out.header.user_state_len);
  if (r.rest().size() < user) return Look::more(1 + to + user);
  out.nodes = ws.nodes;
  out.node_bytes = frame.subspan(1 + from, to - from);
  out.user_state = r.rest().first(user);
  out.bare = frame.first(1 + to + user);
  return {};
}

Look parse_user(Reader& r, ByteView frame, StreamFrame& out) {
  UserMsgHeader header;
  if (!read(r, header)) return unread(r, 1, frame.size(), StreamError::kBadBody);
  if (!in_range(header.user_msg_len, static_cast<std::int64_t>(kMaxUserMessage))) {
    return Look::refused(StreamError::kUserStateTooLong);
  }
  const auto length = static_cast<std::size_t>(header.user_msg_len);
  if (r.rest().size() < length) return Look::more(1 + r.position() + length);
  out.user = r.rest().first(length);
  out.bare = frame.first(1 + r.position() + length);
  return {};
}

template <class M>
Look parse_message(Reader& r, ByteView frame, M& m, StreamFrame& out) {
  if (!read(r, m)) return unread(r, 1, frame.size(), StreamError::kBadBody);
  out.bare = frame.first(1 + r.position());
  return {};
}

/// `frame` starts with its type byte.
Look parse_bare(ByteView frame, StreamWorkspace& ws, StreamFrame& out) {
  Reader r(frame.subspan(1));
  out.type = type_of(frame);
  switch (out.type) {
    case MessageType::kPing:
      return parse_message(r, frame, out.ping, out);
    case MessageType::kAck:
      return parse_message(r, frame, out.ack, out);
    case MessageType::kErr:
      return parse_message(r, frame, out.err, out);
    case MessageType::kUser:
      return parse_user(r, frame, out);
    case MessageType::kPushPull:
      return parse_push_pull(r, frame, ws, out);
    default:
      return Look::refused(StreamError::kUnknownType);
  }
}

Look parse_compressed(ByteView frame, StreamWorkspace& ws, StreamFrame& out) {
  Reader r(frame.subspan(1));
  CompressBody body;
  if (!read_compress(r, body)) {
    if (r.status() != Reader::Status::kShort || r.position() - body.buf.size() > kMaxValue) {
      return Look::refused(StreamError::kBadCompress);
    }
    const std::size_t wanted = frame.size() + r.missing();
    return wanted > kMaxDecompressed ? Look::refused(StreamError::kTooLarge) : Look::more(wanted);
  }
  if (body.algorithm != 0) return {StreamStatus::kRefused, StreamError::kUnknownAlgorithm, 0, body.algorithm};
  Bytes plain;
  switch (ws.decompressor.decompress_lzw(body.buf, kMaxDecompressed, plain)) {
    case Decompressor::Outcome::kDone:
      break;
    case Decompressor::Outcome::kBad:
      return Look::refused(StreamError::kBadLzw);
    case Decompressor::Outcome::kShort:
      return Look::refused(StreamError::kShortLzw);
    case Decompressor::Outcome::kTooLarge:
      return Look::refused(StreamError::kTooLarge);
  }
  if (ws.read && plain.data() == ws.plain.data() && plain.size() == ws.plain.size()) {
    const std::string_view label = out.label;
    out = ws.frame;
    out.label = label;
    return {};
  }
  ws.read = false;
  ws.plain = std::move(plain);
  if (ws.plain.empty()) return Look::refused(StreamError::kEmptyFrame);
  const MessageType inner = type_of(ws.plain);
  if (inner == MessageType::kCompress || inner == MessageType::kEncrypt) return Look::refused(StreamError::kNested);
  out.compressed = true;
  const Look look = parse_bare(ws.plain, ws, out);
  if (look.status == StreamStatus::kComplete && out.type == MessageType::kPushPull) {
    ws.frame = out;
    ws.frame.label = {};
    ws.read = true;
  }
  // What was compressed is all there is.
  return look.status == StreamStatus::kNeedMore ? Look::refused(StreamError::kBadBody) : look;
}

Look parse_plain(ByteView bytes, StreamWorkspace& ws, StreamFrame& out) {
  if (bytes.empty()) return Look::more(1);
  return type_of(bytes) == MessageType::kCompress ? parse_compressed(bytes, ws, out) : parse_bare(bytes, ws, out);
}

}  // namespace

std::string_view name_of(StreamError error) {
  switch (error) {
    case StreamError::kNone:
      return "none";
    case StreamError::kTruncated:
      return "truncated";
    case StreamError::kBadLabel:
      return "bad_label";
    case StreamError::kLabelMismatch:
      return "label_mismatch";
    case StreamError::kDoubleLabel:
      return "double_label";
    case StreamError::kUnknownType:
      return "unknown_type";
    case StreamError::kEncryptedTooLong:
      return "encrypted_too_long";
    case StreamError::kBadCompress:
      return "bad_compress";
    case StreamError::kCutCompress:
      return "cut_compress";
    case StreamError::kUnknownAlgorithm:
      return "unknown_algorithm";
    case StreamError::kBadLzw:
      return "bad_lzw";
    case StreamError::kShortLzw:
      return "short_lzw";
    case StreamError::kEmptyFrame:
      return "empty_frame";
    case StreamError::kTooLarge:
      return "too_large";
    case StreamError::kNested:
      return "nested";
    case StreamError::kBadBody:
      return "bad_body";
    case StreamError::kTooManyNodes:
      return "too_many_nodes";
    case StreamError::kUserStateTooLong:
      return "user_state_too_long";
  }
  return "unknown";
}

bool answered_with_err(StreamError error) {
  switch (error) {
    case StreamError::kEncryptedTooLong:
    case StreamError::kBadCompress:
    case StreamError::kCutCompress:
    case StreamError::kUnknownAlgorithm:
    case StreamError::kBadLzw:
    case StreamError::kShortLzw:
    case StreamError::kEmptyFrame:
    case StreamError::kTooLarge:
      return true;
    default:
      return false;
  }
}

std::string_view text_of(StreamError error) {
  switch (error) {
    case StreamError::kNone:
      return "";
    case StreamError::kTruncated:
    case StreamError::kCutCompress:
    case StreamError::kShortLzw:
      return "unexpected EOF";
    case StreamError::kBadLabel:
      return "cannot decode label; stream has been truncated or label is empty";
    case StreamError::kLabelMismatch:
      return "discarding stream with unacceptable label";
    case StreamError::kDoubleLabel:
      return "unexpected double stream label header";
    case StreamError::kUnknownType:
      return "received invalid msgType";
    case StreamError::kEncryptedTooLong:
      return "remote node state is larger than limit (20971520)";
    case StreamError::kBadCompress:
      return "failed to decompress payload";
    case StreamError::kUnknownAlgorithm:
      return "cannot decompress unknown algorithm";
    case StreamError::kBadLzw:
      return "lzw: invalid code";
    case StreamError::kEmptyFrame:
      return "decompressed message is empty";
    case StreamError::kTooLarge:
      return "decompressed message is larger than limit (41943040)";
    case StreamError::kNested:
      return "received invalid msgType inside a compressed payload";
    case StreamError::kBadBody:
      return "failed to decode message body";
    case StreamError::kTooManyNodes:
      return "push/pull node count is out of range";
    case StreamError::kUserStateTooLong:
      return "user state or user message length is out of range";
  }
  return "";
}

StreamStatus parse_plain_frame(ByteView bytes, StreamWorkspace& ws, StreamFrame& frame, StreamError& error) {
  frame = {};
  const Look look = parse_plain(bytes, ws, frame);
  error = look.error;
  return look.status;
}

void StreamParser::reset() {
  buffer_.clear();
  start_ = checked_ = wanted_ = 0;
  entries_ = kNoHeader;
  user_state_ = 0;
  algorithm_ = 0;
  stage_ = Stage::kLabel;
  status_ = StreamStatus::kNeedMore;
  error_ = StreamError::kNone;
}

StreamStatus StreamParser::refuse(StreamError error) {
  error_ = error;
  Buffer().swap(buffer_);
  return status_ = StreamStatus::kRefused;
}

StreamStatus StreamParser::feed(ByteView bytes, StreamWorkspace& ws, StreamFrame& frame) {
  if (status_ != StreamStatus::kNeedMore) return status_;
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  if (stage_ == Stage::kLabel && !take_label()) return status_;
  if (buffer_.size() < start_ + wanted_ || buffer_.size() == start_) return status_;
  return status_ = advance(ws, frame);
}

bool StreamParser::take_label() {
  if (buffer_.empty()) return false;
  if (inbound_ && type_of(buffer_) == MessageType::kHasLabel) {
    if (buffer_.size() < 2) return false;
    if (buffer_[1] == 0) return refuse(StreamError::kBadLabel), false;
    if (buffer_.size() < 2 + std::size_t{buffer_[1]}) return false;
  }
  stage_ = Stage::kFrame;
  if (!inbound_) return true;
  const LabelSplit split = accept_label(buffer_, policy_);
  start_ = buffer_.size() - split.rest.size();
  if (split.drop == PacketDrop::kLabelMismatch) return refuse(StreamError::kLabelMismatch), false;
  if (split.drop == PacketDrop::kDoubleLabel) return refuse(StreamError::kDoubleLabel), false;
  return true;
}

StreamStatus StreamParser::advance(StreamWorkspace& ws, StreamFrame& frame) {
  const MessageType type = type_of(body());
  if (type == MessageType::kEncrypt) return advance_encrypted(frame);
  if (type == MessageType::kPushPull && !push_pull_complete()) return status_;
  return parse_all(ws, frame);
}

StreamStatus StreamParser::advance_encrypted(StreamFrame& frame) {
  const ByteView in = body();
  if (encrypted_ == Encrypted::kRefused) {
    begin_frame(frame);
    frame.type = MessageType::kEncrypt;
    return StreamStatus::kComplete;
  }
  if (in.size() < kEncryptedHeader) return wanted_ = kEncryptedHeader, StreamStatus::kNeedMore;
  const std::size_t length = std::size_t{in[1]} << 24 | std::size_t{in[2]} << 16 | std::size_t{in[3]} << 8 | in[4];
  if (length > kMaxPushPullBytes) return refuse(StreamError::kEncryptedTooLong);
  if (in.size() < kEncryptedHeader + length) return wanted_ = kEncryptedHeader + length, StreamStatus::kNeedMore;
  begin_frame(frame);
  frame.type = MessageType::kEncrypt;
  frame.encrypted_header = in.first(kEncryptedHeader);
  frame.encrypted = in.subspan(kEncryptedHeader, length);
  return StreamStatus::kComplete;
}

bool StreamParser::push_pull_complete() {
  // Entries are checked one by one as they arrive, so that each is looked at once however the stream is cut.
  const ByteView in = body();
  if (entries_ == kNoHeader) {
    Reader r(in.subspan(1));
    PushPullHeader header;
    if (!read(r, header)) return unread_value(r, 1);
    if (const StreamError error = check(header); error != StreamError::kNone) return refuse(error), false;
    entries_ = header.nodes;
    user_state_ = static_cast<std::size_t>(header.user_state_len);
    checked_ = 1 + r.position();
  }
  for (; entries_ > 0; --entries_) {
    Reader r(in.subspan(checked_));
    PushNodeState node;
    if (!read(r, node)) return unread_value(r, checked_);
    checked_ += r.position();
  }
  wanted_ = checked_ + user_state_;
  return in.size() >= wanted_;
}

bool StreamParser::unread_value(const Reader& r, std::size_t from) {
  const Look look = unread(r, from, body().size(), StreamError::kBadBody);
  if (look.status == StreamStatus::kRefused) return refuse(look.error), false;
  wanted_ = look.wanted;
  if (wanted_ > kMaxDecompressed) refuse(StreamError::kTooLarge);
  return false;
}

void StreamParser::begin_frame(StreamFrame& frame) const {
  frame = {};
  if (start_ > 0) frame.label = dcsim::text_of(ByteView(buffer_).subspan(2, start_ - 2));
}

StreamStatus StreamParser::parse_all(StreamWorkspace& ws, StreamFrame& frame) {
  begin_frame(frame);
  const Look look = parse_plain(body(), ws, frame);
  algorithm_ = look.algorithm;
  if (look.status == StreamStatus::kRefused) return refuse(look.error);
  if (look.status == StreamStatus::kNeedMore) wanted_ = look.wanted;
  return look.status;
}

StreamStatus StreamParser::finish() {
  if (status_ != StreamStatus::kNeedMore) return status_;
  const bool clean = buffer_.size() == start_ && wanted_ == 0;
  return refuse(clean ? StreamError::kNone : cut_in_compress() ? StreamError::kCutCompress : StreamError::kTruncated);
}

// What is missing is the rest of a value that was begun, rather than a value.
bool StreamParser::cut_in_compress() const {
  const ByteView in = body();
  if (stage_ != Stage::kFrame || in.empty() || type_of(in) != MessageType::kCompress) return false;
  Reader r(in.subspan(1));
  CompressBody read;
  return !read_compress(r, read) && !r.rest().empty();
}

void append_push_pull(bool join, std::span<const PushNodeState> nodes, ByteView user_state, Buffer& out,
                      IntStyle style) {
  PushPullHeader header;
  header.join = join;
  header.nodes = static_cast<std::int64_t>(nodes.size());
  header.user_state_len = static_cast<std::int64_t>(user_state.size());
  encode(header, out, style);
  for (const PushNodeState& node : nodes) encode(node, out);
  out.insert(out.end(), user_state.begin(), user_state.end());
}

void append_stream_user(ByteView message, Buffer& out, IntStyle style) {
  UserMsgHeader header;
  header.user_msg_len = static_cast<std::int64_t>(message.size());
  encode(header, out, style);
  out.insert(out.end(), message.begin(), message.end());
}

void append_stream(ByteView bare, const StreamOptions& options, Compressor& compressor, Buffer& out) {
  append_label(options.label, out);
  if (options.compress) {
    compressor.compress(bare, out);
  } else {
    out.insert(out.end(), bare.begin(), bare.end());
  }
}

}  // namespace dcsim::wire
