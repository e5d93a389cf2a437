#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "wire/messages.h"
#include "wire/packet.h"

namespace dcsim::wire {

/// Why a stream's frame was refused (memberlist net.go: readStream, decompressBuffer, readRemoteState, readUserMsg).
enum class StreamError : std::uint8_t {
  kNone,
  kTruncated,  ///< the peer closed inside a frame
  kBadLabel,
  kLabelMismatch,
  kDoubleLabel,
  kUnknownType,       ///< not a type, or not one that a stream may carry
  kEncryptedTooLong,  ///< encrypted frame over 20 MiB
  kBadCompress,       ///< the compress message itself is malformed
  kCutCompress,       ///< the peer closed in the middle of a value of a compress message, not between two
  kUnknownAlgorithm,
  kBadLzw,      ///< a code that the table does not hold
  kShortLzw,    ///< ends before its end code
  kEmptyFrame,  ///< nothing was compressed
  kTooLarge,    ///< a compressed or decompressed frame, or the entries of a bare one, over 40 MiB
  kNested,    ///< a compressed frame holds another layer
  kBadBody,
  kTooManyNodes,      ///< node count negative or over 1 048 576
  kUserStateTooLong,  ///< negative or over 20 MiB; also for a user message
};
inline constexpr std::size_t kStreamErrorCount = static_cast<std::size_t>(StreamError::kUserStateTooLong) + 1;
std::string_view name_of(StreamError error);
/// True if the responder answers with an `err` message before it closes; else it closes in silence. kCutCompress is
/// noticed, and answered, by go-msgpack 0.5.x only: 2.x takes every end of the connection for a clean one.
bool answered_with_err(StreamError error);
/// The text of that answer, or of the log line, as memberlist 0.5.4 and later word it. kUnknownAlgorithm lacks the number.
std::string_view text_of(StreamError error);

/// What becomes of an encrypted frame. memberlist reads the rest of it only if it has a key.
enum class Encrypted : std::uint8_t {
  kCollected,  ///< complete when all of it is there
  kRefused,    ///< complete with its first byte; there is nothing to look at
};

/// One complete frame. `type` says which members are set; views live as the parser documents.
struct StreamFrame {
  MessageType type = MessageType::kPing;  ///< kPing, kAck, kErr, kUser, kPushPull or kEncrypt
  std::string_view label;                 ///< from the header in front, "" = none
  bool compressed = false;
  ByteView bare;  ///< the whole frame without layers, from its type byte on

  Ping ping;
  Ack ack;
  Err err;
  ByteView user;  ///< the user message
  PushPullHeader header;
  std::span<const PushNodeState> nodes;
  ByteView node_bytes;  ///< the same entries encoded
  ByteView user_state;
  ByteView encrypted;         ///< kEncrypt: version, nonce, ciphertext and tag; not yet decrypted
  ByteView encrypted_header;  ///< the five bytes before, part of the AAD
};

/// What parsing needs and many connections can share: one per world or thread.
class StreamWorkspace {
 public:
  explicit StreamWorkspace(DecompressionMemo* memo = nullptr) : decompressor(memo) {}
  Decompressor decompressor;
  std::vector<PushNodeState> nodes;
  Bytes plain;  ///< the decompressed frame that the last StreamFrame points into

  // Nodes that agree send equal push/pulls, which the memo decompresses into one block: it is read once.
  bool read = false;  ///< `frame` is what reading `plain` gave; its nodes are still in `nodes`
  StreamFrame frame;
};

enum class StreamStatus : std::uint8_t { kNeedMore, kComplete, kRefused };

/// Parses one plain frame (bare or compressed) that is completely in `bytes`, as after decryption. Trailing bytes are
/// ignored. kNeedMore: it is cut short. Views point into `bytes` or `ws` and are valid until either is used again.
/// Memory: 40 MiB of decompressed bytes, and up to 240 bytes for each push/pull entry that was really received.
StreamStatus parse_plain_frame(ByteView bytes, StreamWorkspace& ws, StreamFrame& frame, StreamError& error);

/// Collects one frame from a byte stream in pieces of any size: optional label header (only what an initiator sends),
/// then an encrypted, compressed or bare frame. Memory grows with what was received, never with what a header claims.
/// One per connection: a Buffer and a few words. A StreamFrame is valid until the parser is fed, reset or destroyed, or
/// another parse uses the same workspace.
class StreamParser {
 public:
  /// `inbound`: this side accepted the connection, so a label header may come and the policy applies. Replies carry no
  /// label. The policy's text must outlive the parser.
  StreamParser(bool inbound, LabelPolicy policy, Encrypted encrypted = Encrypted::kCollected)
      : policy_(policy), inbound_(inbound), encrypted_(encrypted) {}

  /// Adds bytes; once the status is no longer kNeedMore further bytes are ignored (one frame per direction).
  StreamStatus feed(ByteView bytes, StreamWorkspace& ws, StreamFrame& frame);
  /// The peer closed: kTruncated or kCutCompress if inside a frame; nothing received is a clean end (error kNone, status
  /// kRefused).
  StreamStatus finish();

  StreamStatus status() const { return status_; }
  StreamError error() const { return error_; }
  /// With kUnknownAlgorithm: which.
  std::uint8_t algorithm() const { return algorithm_; }
  /// Bytes received and kept.
  std::size_t buffered() const { return buffer_.size(); }
  /// Ready for another connection, keeping the capacity.
  void reset();

 private:
  enum class Stage : std::uint8_t { kLabel, kFrame };
  static constexpr std::int64_t kNoHeader = -1;

  ByteView body() const { return ByteView(buffer_).subspan(start_); }
  StreamStatus refuse(StreamError error);
  bool cut_in_compress() const;
  bool take_label();
  StreamStatus advance(StreamWorkspace& ws, StreamFrame& frame);
  StreamStatus advance_encrypted(StreamFrame& frame);
  bool push_pull_complete();
  bool unread_value(const Reader& r, std::size_t from);
  void begin_frame(StreamFrame& frame) const;
  StreamStatus parse_all(StreamWorkspace& ws, StreamFrame& frame);

  LabelPolicy policy_;
  Buffer buffer_;
  std::size_t start_ = 0;             // where the frame begins, behind the label header
  std::size_t wanted_ = 0;            // bytes of the frame before which it is not worth looking again
  std::size_t checked_ = 0;           // push/pull: the entries before this are complete
  std::int64_t entries_ = kNoHeader;  // push/pull: entries still to come
  std::size_t user_state_ = 0;
  bool inbound_;
  Encrypted encrypted_;
  std::uint8_t algorithm_ = 0;
  Stage stage_ = Stage::kLabel;
  StreamStatus status_ = StreamStatus::kNeedMore;
  StreamError error_ = StreamError::kNone;
};

/// Appends 06, header, entries and user state. For tables too large to materialise, encode the header and each
/// PushNodeState in turn, then append the user state: that is the same frame.
void append_push_pull(bool join, std::span<const PushNodeState> nodes, ByteView user_state, Buffer& out,
                      IntStyle style = IntStyle::kOld);
/// Appends 08, header and the bytes.
void append_stream_user(ByteView message, Buffer& out, IntStyle style = IntStyle::kOld);

struct StreamOptions {
  std::string_view label;  ///< only the initiator's; "" in replies
  bool compress = true;    ///< even where it makes the frame larger (memberlist rawSendMsgStream)
};
/// Appends what one side writes: label header and the (compressed) frame. `bare` must not be part of `out`.
void append_stream(ByteView bare, const StreamOptions& options, Compressor& compressor, Buffer& out);

}  // namespace dcsim::wire
