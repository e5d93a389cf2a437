#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"
#include "consul/conn_io.h"
#include "consul/conn_table.h"
#include "consul/surroundings.h"
#include "base/fifo.h"
#include "wire/rpc.h"
#include "wire/yamux.h"

namespace dcsim::consul {

struct RpcServerConfig {
  Duration handshake_timeout = 5_s;          ///< limits.rpc_handshake_timeout: for the first byte. 0 = none
  std::uint32_t max_conns_per_client = 100;  ///< limits.rpc_max_conns_per_client, per source address. 0 = none
  wire::YamuxConfig yamux;
  wire::rpc::RpcListener listener;
  Endpoint local;                    ///< the port, for error texts
  std::uint32_t max_streams = 4096;  ///< taken up per session; more wait, then are reset. Consul has no limit
};

/// A request that waits for its answer. Unique over the server's life, never 0.
using RpcCallId = std::uint64_t;

class RpcServerHost {
 public:
  virtual ~RpcServerHost() = default;
  /// `body` is one msgpack value and may be kept; `method` is good for the call. Answer with respond, fail or refuse,
  /// from inside the call or later.
  virtual void rpc_request(Instant now, RpcCallId call, std::string_view method, const Bytes& body,
                           const Endpoint& remote) = 0;
  /// A Raft connection (RaftTransport::adopt). It counts among its client's connections until `released`.
  virtual void raft_handoff(Instant now, StreamId stream, const Endpoint& remote, const Bytes& first) = 0;
  virtual void log(LogLevel level, std::string_view line) = 0;
};

/// The accepting side of a server's RPC port (hashicorp/consul agent/consul/rpc.go listen, handleConn,
/// handleMultiplexV2, handleConsulConn): tells connections apart by their first byte, runs yamux sessions, and serves
/// net/rpc requests, one after the other on each stream.
///
/// Contract: inputs in time order, each with its instant; keep one timer for next_deadline. Requests are delivered from
/// inside inputs and `run`, never from inside an answer: after answering outside of them call `run`, or let the timer
/// do it. `shut_down` and `drain` must not be called from inside rpc_request.
class RpcServer {
 public:
  RpcServer(RpcServerConfig config, StreamIo& io, RpcServerHost& host);
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  // --- Answers; of a call whose stream is gone: nothing
  // -----------------------------------------------------------------

  /// `reply`: one msgpack value.
  void respond(Instant now, RpcCallId call, ByteView reply);
  /// `encode(Buffer&)` appends the reply. Hot: one encoding, no allocation.
  template <class Encode>
  void respond_with(Instant now, RpcCallId call, Encode&& encode) {
    if (!begin_answer(call)) return;
    encode(scratch_);
    finish_answer(now, call);
  }
  /// The method returned an error.
  void fail(Instant now, RpcCallId call, std::string_view error);
  /// net/rpc could not even call it: no such method (wire::rpc::unknown_method), or arguments that do not decode.
  /// Answered, logged, and the stream is closed.
  void refuse(Instant now, RpcCallId call, std::string_view error);

  // --- Inputs
  // -----------------------------------------------------------------------------------------------------------

  void on_accepted(Instant now, StreamId stream, const Endpoint& remote);
  bool on_failed(Instant now, StreamId stream, std::string_view text);
  bool on_data(Instant now, StreamId stream, const Bytes& data);
  bool on_eof(Instant now, StreamId stream);
  bool on_writable(Instant now, StreamId stream);
  void run(Instant now);
  void on_deadline(Instant now);
  Instant next_deadline() const;
  /// A connection handed to Raft is closed.
  void released(StreamId stream);

  /// Takes nothing new; what is being served is answered, then its connection closed.
  void drain(Instant now);
  /// Closes everything that was not handed to Raft.
  void shut_down();

  // --- Views
  // ------------------------------------------------------------------------------------------------------------

  std::size_t connections() const { return conns_.used(); }
  std::size_t calls() const { return calls_; }  ///< waiting for their answers

 private:
  enum class State : std::uint8_t { kFree, kFirstByte, kPlain, kMux, kRaft };
  struct Conn {
    std::uint32_t stamp = 0;
    State state = State::kFree;
    StreamId id;
    Endpoint remote;
    std::optional<wire::YamuxSession> session;
    MuxIndex streams;
    std::uint32_t plain = kNoSlot;          // the stream of a plain connection
    std::uint32_t peeking = kNoSlot;        // the stream whose first byte is awaited
    std::uint32_t busy = 0;                 // calls under way
    std::vector<std::uint32_t> early_ends;  // streams that ended before they were taken up
  };
  struct Stream {
    std::uint32_t stamp = 0;
    std::uint32_t conn = kNoSlot;
    std::uint32_t mux = 0;  // 0 = the connection itself
    wire::rpc::RequestParser requests;
    std::string method;  // of the call under way
    std::uint64_t seq = 0;
    bool busy = false;
    bool ended = false;    // the peer sends no more
    bool serving = false;  // serve() is at work on it
    bool waits = false;    // is in ready_
  };

  // rpc_server.cpp: connections
  void first_byte(Instant now, std::uint32_t c, const Bytes& data);
  void close(std::uint32_t c);
  void arm(std::uint32_t c);
  void log_error(std::string_view message, const Conn& conn, std::string_view key, std::string_view error);
  void admit(std::uint32_t c, bool in);

  // rpc_server_mux.cpp: sessions and requests
  void pump(Instant now, std::uint32_t c);
  void flush(Instant now, Conn& conn);
  bool on_event(Instant now, std::uint32_t c, const wire::YamuxEvent& event);
  void accept_next(Instant now, std::uint32_t c);
  void take_bytes(Instant now, std::uint32_t s);
  bool peeked(Instant now, std::uint32_t s, std::uint8_t first);
  void peek_failed(Instant now, std::uint32_t c, std::string_view error);
  void session_over(std::uint32_t c, const wire::YamuxEvent& event);
  std::uint32_t open_stream(std::uint32_t c, std::uint32_t mux);
  void forget_stream(std::uint32_t s);
  void close_stream(Instant now, std::uint32_t s);
  void serve(Instant now, std::uint32_t s);
  void serve_while(Instant now, std::uint32_t s);
  void stream_failed(Instant now, std::uint32_t s, std::string_view error);
  void resume(Instant now, std::uint32_t s);
  bool begin_answer(RpcCallId call);
  void finish_answer(Instant now, RpcCallId call);
  void call_over(Stream& stream);

  RpcServerConfig config_;
  StreamIo& io_;
  RpcServerHost& host_;
  Slots<Conn> conns_;
  Slots<Stream> streams_;
  StreamIndex index_;
  std::map<Address, std::uint32_t> clients_;  // connections per source
  Deadlines deadlines_;
  Fifo<std::uint64_t> ready_;  // streams with requests to take up
  std::size_t calls_ = 0;
  bool running_ = false;
  bool draining_ = false;
  Instant now_;
  Buffer scratch_;
};

}  // namespace dcsim::consul
