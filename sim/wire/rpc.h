#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "wire/raft_stream.h"

// Consul's RPC on port 8300: what the first byte of a connection selects (agent/pool/conn.go, agent/consul/rpc.go
// handleConn), and the msgpack codec of net/rpc that follows byte 0 or runs in each stream of a yamux session behind
// byte 4 (consul-net-rpc: net-rpc-msgpackrpc).

namespace dcsim::wire::rpc {

/// agent/pool/conn.go: RPCType.
enum class RpcByte : std::uint8_t {
  kConsul = 0,
  kRaft = 1,
  kMultiplex = 2,  ///< the first multiplexer; refused
  kTls = 3,
  kMultiplexV2 = 4,  ///< yamux, what connection pools use
  kSnapshot = 5,
  kGossip = 6,  ///< network areas
  kTlsInsecure = 7,
  kGrpc = 8,
  kRaftForwarding = 9,
};

/// What a listener does with a connection after its first byte.
enum class RpcRoute : std::uint8_t { kRefuse, kConsul, kRaft, kTls, kMultiplex, kSnapshot, kGossip, kGrpc };
struct RpcRouting {
  RpcRoute route = RpcRoute::kRefuse;
  std::string_view log{};  ///< for kRefuse: the line's message; "" otherwise
  bool error = true;       ///< its level: ERROR, else WARN
};
struct RpcListener {
  bool tls = false;              ///< the byte came from inside TLS
  bool verify_incoming = false;  ///< only TLS is served
  bool areas = false;            ///< network areas are configured, so gossip is served
};
/// Refused: "unrecognized RPC byte" (unknown, retired, or a protocol this server does not have), "Non-TLS connection
/// attempted with VerifyIncoming set", "TLS connection attempting to establish inner TLS connection".
RpcRouting route_rpc_byte(std::uint8_t byte, const RpcListener& listener);
/// A yamux stream: 6 in front means gossip (that byte is then consumed), everything else is the RPC codec's.
RpcRoute route_stream_byte(std::uint8_t byte);

/// net/rpc: Request. On the wire a map of "Seq" and "ServiceMethod"; the arguments follow as the next value.
/// Seq starts at 1 in Consul's pool: one count for the process.
void append_request_header(std::string_view service_method, std::uint64_t seq, Buffer& out);
/// net/rpc: Response. The reply follows as the next value.
void append_response_header(std::string_view service_method, std::uint64_t seq, Buffer& out);
/// A response with an error: an empty map stands for the reply.
void append_error(std::string_view service_method, std::uint64_t seq, std::string_view error, Buffer& out);

/// Views and `body` point into `frame`.
struct Request {
  std::string_view service_method{};  ///< "KVS.Apply"
  std::uint64_t seq = 0;
  Bytes body{};  ///< one msgpack value
  Bytes frame{};
};
struct Response {
  std::string_view service_method{};
  std::uint64_t seq = 0;
  std::string_view error{};  ///< "" = none
  Bytes body{};
  Bytes frame{};
};

/// net/rpc server.go findMethod: the texts of a request that names nothing. The server answers with it and then closes
/// the connection, as it does after arguments that it cannot decode.
std::string ill_formed_method(std::string_view service_method);
std::string unknown_service(std::string_view service_method);
std::string unknown_method(std::string_view service_method);
/// The part before the last dot, and behind it; false if there is none.
bool split_method(std::string_view service_method, std::string_view& service, std::string_view& method);

/// Consul sets no limit; the largest legitimate message is a transaction or a listing of some MiB.
inline constexpr std::size_t kMaxRpcFrame = std::size_t{32} << 20;

enum class RpcStatus : std::uint8_t {
  kNeedMore,
  kMessage,
  kRefused,  ///< for good: close the connection; the server logs "RPC error"
};

/// The serving side of one connection or stream. Requests are served one after the other.
class RequestParser {
 public:
  void feed(const Bytes& piece) { frames_.feed(piece); }
  RpcStatus next(Request& out);
  /// The peer closed: kNone between requests, else kTruncated or what was refused before.
  RaftStreamError finish() const;
  RaftStreamError error() const { return frames_.error(); }
  /// As the server logs it: "rpc: server cannot decode request: malformed message"; "" for none.
  std::string error_text() const;
  std::size_t buffered() const { return frames_.buffered(); }
  void reset() { *this = RequestParser(); }

 private:
  ValueFrames frames_{kMaxRpcFrame};
};

/// The calling side; one call at a time on a stream (msgpackrpc CallWithCodec).
class ResponseParser {
 public:
  void feed(const Bytes& piece) { frames_.feed(piece); }
  RpcStatus next(Response& out);
  RaftStreamError finish() const;
  RaftStreamError error() const { return frames_.error(); }
  std::size_t buffered() const { return frames_.buffered(); }
  void reset() { *this = ResponseParser(); }

 private:
  ValueFrames frames_{kMaxRpcFrame};
};

}  // namespace dcsim::wire::rpc
