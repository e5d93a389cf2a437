#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/bytes.h"
#include "wire/raft_messages.h"

// hashicorp/raft's NetworkTransport (net_transport.go). Request: type byte and one msgpack value, for InstallSnapshot
// followed by raw snapshot bytes. Response: a msgpack string (the error, empty for none) and the response, nil after an
// error without one. Requests on a connection are answered in order; a client may send several before it reads.

namespace dcsim::wire {

/// Appends type byte and body. After an InstallSnapshotRequest the caller sends its `size` bytes itself.
void append_request(const AppendEntriesRequest& m, RaftDialect dialect, Buffer& out);
void append_request(const RequestVoteRequest& m, RaftDialect dialect, Buffer& out);
void append_request(const InstallSnapshotRequest& m, RaftDialect dialect, Buffer& out);
void append_request(const TimeoutNowRequest& m, RaftDialect dialect, Buffer& out);
void append_request(const RequestPreVoteRequest& m, RaftDialect dialect, Buffer& out);

/// Appends the error string and the response. With an error the response still follows, as the library sends it.
void append_response(std::string_view error, const AppendEntriesResponse& m, RaftDialect dialect, Buffer& out);
void append_response(std::string_view error, const RequestVoteResponse& m, RaftDialect dialect, Buffer& out);
void append_response(std::string_view error, const InstallSnapshotResponse& m, RaftDialect dialect, Buffer& out);
void append_response(std::string_view error, const TimeoutNowResponse& m, RaftDialect dialect, Buffer& out);
void append_response(std::string_view error, const RequestPreVoteResponse& m, RaftDialect dialect, Buffer& out);
/// An error and nil.
void append_error_response(std::string_view error, Buffer& out);

/// Alternatives stand in the order of RaftRpc. Views and payloads point into `frame`, entries into the workspace given
/// to `next`; the views die with `frame`.
struct RaftRequest {
  std::variant<AppendEntriesRequest, RequestVoteRequest, InstallSnapshotRequest, TimeoutNowRequest,
               RequestPreVoteRequest>
      body;
  Bytes frame;  ///< the body's bytes
  RaftRpc rpc() const { return static_cast<RaftRpc>(body.index()); }
};

struct RaftResponse {
  std::string_view error;  ///< points into `frame`
  std::variant<AppendEntriesResponse, RequestVoteResponse, InstallSnapshotResponse, TimeoutNowResponse,
               RequestPreVoteResponse>
      body;  ///< of the expected kind; zero if the peer sent nil
  Bytes frame;
  RaftRpc rpc() const { return static_cast<RaftRpc>(body.index()); }
};

enum class RaftStreamError : std::uint8_t {
  kNone,
  kUnknownType,  ///< a request type byte that the dialect does not have
  kMalformed,    ///< not msgpack, or not that message
  kTooLarge,     ///< one message over kMaxRaftFrame
  kTruncated,    ///< the peer closed inside a message
};
std::string_view name_of(RaftStreamError error);

/// One message; the library has no limit. The largest that Consul's own settings allow is 64 entries of about 1.5 MiB.
inline constexpr std::size_t kMaxRaftFrame = std::size_t{128} << 20;

enum class RaftStreamStatus : std::uint8_t {
  kNeedMore,
  kMessage,   ///< a request (or response) is in `out`
  kSnapshot,  ///< requests only: a piece of the snapshot announced by the last InstallSnapshot
  kRefused,   ///< for good: close the connection
};

/// Cuts a byte stream into msgpack values with an optional byte in front. A message that lies within one received piece
/// is not copied; one in many pieces is copied twice. Memory grows with what was received, never with what is claimed.
class ValueFrames {
 public:
  /// A message above `limit` bytes, real or claimed, is refused.
  explicit ValueFrames(std::size_t limit = kMaxRaftFrame) : limit_(limit) {}

  /// Hands over what arrived. Cheapest when everything before has been taken.
  void feed(const Bytes& piece);
  /// True if a message of `values` msgpack values behind `prefix` bytes is complete: `out` holds all of it.
  /// On false, `error()` tells whether more can help.
  bool take(std::size_t prefix, unsigned values, Bytes& out);
  /// Up to `most` raw bytes; empty if there are none now.
  Bytes take_raw(std::uint64_t most);
  /// The first byte of what is not yet taken, or -1.
  int peek() const;
  bool empty() const { return partial_.empty() && piece_.empty(); }
  /// Bytes kept.
  std::size_t buffered() const { return partial_.size() + piece_.size(); }
  RaftStreamError error() const { return error_; }
  void refuse(RaftStreamError error) { error_ = error; }

 private:
  Reader::Status scan(ByteView bytes, std::size_t prefix, unsigned values);
  void finish_message();

  std::size_t limit_;
  Buffer partial_;  // the beginning of a message whose end has not come; then piece_ is empty
  Bytes piece_;
  ValueScanner scanner_;
  std::size_t scanned_ = 0;  // bytes of values already complete, behind the prefix
  unsigned complete_ = 0;
  std::size_t wanted_ = 0;  // size before which it is not worth looking again
  RaftStreamError error_ = RaftStreamError::kNone;
};

/// The serving side of one connection (behind Consul's first byte).
class RaftRequestParser {
 public:
  explicit RaftRequestParser(RaftDialect dialect = RaftDialect::k1_7) : dialect_(dialect) {}

  void feed(const Bytes& piece) { frames_.feed(piece); }
  /// Call until it says kNeedMore. kMessage: `out` is a request. kSnapshot: `snapshot()` is the next piece, and
  /// `snapshot_left()` is 0 with the last one; the next request follows behind.
  RaftStreamStatus next(RaftRequest& out, LogWorkspace& ws);
  const Bytes& snapshot() const { return snapshot_; }
  std::uint64_t snapshot_left() const { return snapshot_left_; }
  /// The peer closed: kNone between requests, else kTruncated or what was refused before.
  RaftStreamError finish() const;

  RaftStreamError error() const { return frames_.error(); }
  /// As the library's error: "unknown rpc type 9"; "" for none.
  std::string error_text() const;
  std::size_t buffered() const { return frames_.buffered(); }
  void reset() { *this = RaftRequestParser(dialect_); }

 private:
  ValueFrames frames_;
  Bytes snapshot_;
  std::uint64_t snapshot_left_ = 0;
  RaftDialect dialect_;
  std::uint8_t unknown_type_ = 0;
};

/// The calling side: the caller knows what it asked, in order.
class RaftResponseParser {
 public:
  explicit RaftResponseParser(RaftDialect dialect = RaftDialect::k1_7) : dialect_(dialect) {}

  void feed(const Bytes& piece) { frames_.feed(piece); }
  /// kMessage: `out` answers the oldest unanswered request, which was `expected`. Never kSnapshot.
  RaftStreamStatus next(RaftRpc expected, RaftResponse& out);
  RaftStreamError finish() const;
  RaftStreamError error() const { return frames_.error(); }
  std::size_t buffered() const { return frames_.buffered(); }
  void reset() { *this = RaftResponseParser(dialect_); }

 private:
  ValueFrames frames_;
  RaftDialect dialect_;
};

}  // namespace dcsim::wire
