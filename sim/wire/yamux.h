#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/fifo.h"
#include "base/time.h"

// Streams over one connection, as hashicorp/yamux multiplexes Consul's RPC (spec.md, session.go, stream.go).

namespace dcsim::wire {

enum class YamuxError : std::uint8_t {
  kNone,
  kInvalidVersion,
  kInvalidMsgType,
  kSessionShutdown,
  kStreamsExhausted,
  kDuplicateStream,
  kRecvWindowExceeded,
  kTimeout,
  kStreamClosed,
  kUnexpectedFlag,
  kRemoteGoAway,
  kConnectionReset,
  kConnectionWriteTimeout,
  kKeepAliveTimeout,
  kEof,                ///< the connection ended
  kProtocolGoAway,     ///< the peer gave up with a protocol error
  kInternalGoAway,     ///< ... with an internal error
  kUnexpectedGoAway,   ///< ... with a code that does not exist
  kTooManyUnanswered,  ///< `accept_backlog` opened streams wait for their answer; the library's caller would block
};
/// The library's text: "session shutdown", "keepalive timeout", ...
std::string_view text_of(YamuxError error);

enum class YamuxType : std::uint8_t { kData = 0, kWindowUpdate = 1, kPing = 2, kGoAway = 3 };
enum YamuxFlag : std::uint16_t { kYamuxSyn = 1, kYamuxAck = 2, kYamuxFin = 4, kYamuxRst = 8 };
enum class YamuxGoAway : std::uint32_t { kNormal = 0, kProtocolError = 1, kInternalError = 2 };
inline constexpr std::size_t kYamuxHeaderBytes = 12;
inline constexpr std::uint32_t kYamuxWindow = 256 * 1024;

/// mux.go: DefaultConfig.
struct YamuxConfig {
  std::uint32_t accept_backlog = 256;  ///< streams waiting for accept, and our own waiting for their answer
  bool keepalive = true;
  Duration keepalive_interval = 30_s;  ///< from the last answer to the next ping
  Duration write_timeout = 10_s;       ///< for the connection to take a frame, and for a ping's answer
  std::uint32_t max_window = kYamuxWindow;
  Duration open_timeout = 75_s;    ///< for the answer to a SYN; then the session ends. 0 = none
  Duration close_timeout = 300_s;  ///< for the peer's FIN after ours; then the stream is reset. 0 = none
};

/// One frame's header. Numbers are big-endian on the wire.
struct YamuxHeader {
  std::uint8_t version = 0;
  std::uint8_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t stream = 0;
  std::uint32_t length = 0;  ///< payload bytes, window delta, ping id or go-away code
};
void append_yamux_header(YamuxType type, std::uint16_t flags, std::uint32_t stream, std::uint32_t length, Buffer& out);
/// Requires kYamuxHeaderBytes.
YamuxHeader parse_yamux_header(ByteView bytes);

struct YamuxEvent {
  enum class Kind : std::uint8_t {
    kIncoming,      ///< a stream waits for accept()
    kOpened,        ///< the peer answered our SYN
    kReadable,      ///< read() has bytes; sent once until it has been called
    kEnd,           ///< the peer will send nothing more; what came before can still be read
    kReset,         ///< the stream is gone
    kDrained,       ///< all that was written has gone into frames, after some had to wait for window
    kWriteTimeout,  ///< the connection did not take a frame of this stream for write_timeout; it stays queued
    kGoAway,        ///< the peer takes no new streams
    kClosed,        ///< the session is over because of `error`; nothing can be written, what came can still be read
  };
  Kind kind = Kind::kClosed;
  std::uint32_t stream = 0;
  YamuxError error = YamuxError::kNone;
  YamuxError cause = YamuxError::kNone;  ///< for a keepalive timeout: what its ping failed with
};

/// One end of a session, without I/O: it is handed the connection's bytes and the time, and hands back bytes to send,
/// events and the time at which it wants to be called again. Times never go back.
/// Memory: per stream at most max_window received bytes, plus what the owner wrote; queued control frames are bounded.
/// Hot: a frame costs its copy; buffers keep their capacity, so the steady state allocates nothing.
class YamuxSession {
 public:
  enum class Side : std::uint8_t { kClient, kServer };

  YamuxSession(Side side, const YamuxConfig& config, Instant now);

  // The connection.
  void receive(ByteView bytes, Instant now);
  /// The connection ended or failed; `error` is kEof unless the owner knows better.
  void lost(YamuxError error = YamuxError::kEof);
  /// Bytes to write to the connection. Valid until any other call.
  ByteView output() const { return ByteView(out_).subspan(out_taken_); }
  /// The connection took the first `count` bytes.
  void took(std::size_t count, Instant now);
  /// Runs what is due. Call at next_deadline(), or more often.
  void advance(Instant now);
  Instant next_deadline() const;
  bool next_event(YamuxEvent& event) { return events_.pop(event); }

  // Streams. Ids are the session's until both sides closed, a reset, or the session's end; calls with others give
  // kStreamClosed (kSessionShutdown once the session is over).
  /// Opens a stream; it can be written to at once.
  YamuxError open(std::uint32_t& stream, Instant now);
  /// Takes the stream that waits longest, and answers its SYN. False if none waits.
  bool accept(std::uint32_t& stream, Instant now);
  /// Queues bytes: frames as large as the peer's window allows, the rest when it opens.
  YamuxError write(std::uint32_t stream, ByteView bytes, Instant now);
  /// Bytes written that wait for the peer's window.
  std::size_t waiting(std::uint32_t stream) const;
  /// Takes all bytes received; a window update goes out when half the window or more can be offered again.
  Bytes read(std::uint32_t stream, Instant now);
  /// As read, appending to `out`. Returns the count.
  std::size_t read(std::uint32_t stream, Buffer& out, Instant now);
  std::size_t readable(std::uint32_t stream) const;
  /// We write nothing more (FIN behind what waits) and read nothing more.
  void close(std::uint32_t stream, Instant now);

  // The session.
  /// No new streams are accepted from now on; the peer is told.
  void go_away(Instant now);
  /// Ends the session at once, as closing the connection does. Emits kClosed with kSessionShutdown.
  void shut_down() { end(YamuxError::kSessionShutdown); }
  bool over() const { return error_ != YamuxError::kNone; }
  YamuxError error() const { return error_; }
  std::size_t streams() const { return ids_.size(); }
  /// The last keepalive's round trip; 0 before the first answer.
  Duration round_trip() const { return round_trip_; }

 private:
  enum class State : std::uint8_t { kSynSent, kSynReceived, kEstablished, kLocalClose, kRemoteClose };
  static constexpr std::uint32_t kNoStream = 0xffffffff;  // beyond the last id that may be given

  struct Stream {
    std::uint32_t id = kNoStream;
    std::uint32_t receive_window = 0;  // what the peer may still send
    std::uint32_t send_window = 0;
    std::size_t waiting_from = 0;
    std::size_t read_from = 0;
    Buffer waiting;   // written, no window yet
    Buffer received;  // not yet read
    State state = State::kEstablished;
    bool answered = true;  // false: our SYN has no answer yet
    bool accepted = true;  // false: waits for accept
    bool told_readable = false;
    bool close_wanted = false;  // FIN follows what waits
  };

  /// A frame the connection has not yet taken whole.
  struct Queued {
    std::uint64_t end = 0;  // of the frame, in bytes ever put out
    Instant since;
    std::uint32_t stream = kNoStream;
    bool control = false;
  };
  struct Due {
    Instant at;
    std::uint32_t stream = kNoStream;
  };
  struct Id {
    std::uint32_t id;
    std::uint32_t slot;
  };

  Stream* find(std::uint32_t id);
  const Stream* find(std::uint32_t id) const;
  Stream& insert(std::uint32_t id, State state);
  void remove(std::uint32_t id);
  void emit(YamuxEvent::Kind kind, std::uint32_t stream) { events_.push({kind, stream, {}, {}}); }
  void end(YamuxError error, YamuxError cause = YamuxError::kNone);
  /// Tells the peer, then ends: the owner should still send output() before it closes the connection.
  void protocol_error(YamuxError error, Instant now);

  void put(YamuxType type, std::uint16_t flags, std::uint32_t stream, std::uint32_t length, Instant now,
           ByteView body = {});
  /// Replies that the peer provokes; false if too many wait for the connection already.
  bool put_reply(YamuxType type, std::uint16_t flags, std::uint32_t stream, std::uint32_t length, Instant now);
  static std::uint16_t send_flags(Stream& stream);
  void send_waiting(Stream& stream, Instant now);
  void send_fin(Stream& stream, Instant now);
  void update_window(Stream& stream, Instant now);
  std::uint32_t body_left_of(const Stream& stream) const { return stream.id == body_stream_ ? body_left_ : 0; }

  void handle(const YamuxHeader& header, Instant now);
  void handle_stream(const YamuxHeader& header, Instant now);
  bool incoming(std::uint32_t id, Instant now);
  bool apply_flags(std::uint32_t id, std::uint16_t flags, Instant now);
  void handle_ping(const YamuxHeader& header, Instant now);
  void handle_go_away(const YamuxHeader& header);
  void take_body(ByteView& bytes);

  void expire_writes(Instant now);
  void expire_streams(Instant now);
  void keep_alive(Instant now);

  static constexpr std::size_t kMaxQueuedControl = 4096;   // frames
  static constexpr std::size_t kKeptCapacity = 64u << 10;  // of a stream's buffers, for the next one

  YamuxConfig config_;
  std::vector<Id> ids_;  // by id
  std::vector<Stream> slots_;
  std::vector<std::uint32_t> free_slots_;
  Fifo<YamuxEvent> events_;
  Fifo<std::uint32_t> backlog_;
  Fifo<Due> opening_;
  Fifo<Due> closing_;
  std::uint32_t next_id_;
  std::uint32_t unanswered_ = 0;

  Buffer out_;
  std::size_t out_taken_ = 0;
  std::uint64_t out_total_ = 0;  // bytes ever put out
  std::size_t control_queued_ = 0;
  Fifo<Queued> queued_;
  std::size_t timed_out_ = 0;  // leading entries of queued_ whose timeout was reported

  std::uint8_t header_[kYamuxHeaderBytes] = {};
  std::size_t header_size_ = 0;
  std::uint32_t body_left_ = 0;
  std::uint32_t body_stream_ = kNoStream;  // if none, the body is discarded

  Instant ping_at_;         // when to send the next ping, or when the one under way fails
  bool ping_sent_ = false;  // queued, and not answered
  bool ping_out_ = false;   // the connection took it
  std::uint32_t ping_id_ = 0;
  std::uint64_t ping_end_ = 0;
  Instant ping_since_;
  Duration round_trip_;

  bool local_go_away_ = false;
  bool remote_go_away_ = false;
  YamuxError error_ = YamuxError::kNone;
};

}  // namespace dcsim::wire
