#pragma once
#include <cstdint>
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

/// hashicorp/consul agent/pool/pool.go, agent/setup.go newConnPool.
struct ConnPoolConfig {
  Duration dial_timeout = 10_s;
  Duration client_timeout = 60_s;  ///< limits.rpc_client_timeout; 0 = none
  Duration idle_time = 127_s;      ///< 2 min on servers
  std::size_t max_streams = 32;    ///< idle ones kept per session; 64 on servers
  wire::YamuxConfig yamux;
  std::string dial_source;  ///< see with_dial_source

  static ConnPoolConfig server() {
    ConnPoolConfig config;
    config.idle_time = 2_min;
    config.max_streams = 64;
    return config;
  }
};

/// What the owner knows a call by.
using CallToken = std::uint64_t;

class ConnPoolHost {
 public:
  virtual ~ConnPoolHost() = default;
  /// How a call ended: `reply` is one msgpack value and may be kept; or `error`, which is never empty then:
  /// "rpc error getting client: failed to get conn: ...", "rpc error getting client: failed to start stream: ...",
  /// "rpc error making call: ...". May start and cancel calls.
  virtual void rpc_result(Instant now, CallToken token, const Bytes& reply, std::string_view error) = 0;
  virtual void log(LogLevel level, std::string_view line) = 0;
};

/// An agent's calls to servers: one yamux session per server, streams that are used again, one call at a time on each
/// (hashicorp/consul agent/pool/pool.go ConnPool; consul-net-rpc CallWithCodec).
///
/// A session that ended is found out by the next call: one on a kept stream fails with "stream closed", one that needs
/// a new stream dials again. Any error of a call, the server's own too, closes its stream; one that is_eof_error also
/// takes the session out of the pool.
///
/// Contract: inputs in time order; keep one timer for next_deadline. Results come from inside inputs and `run`, never
/// from inside `call`: after calls call `run`, or let the timer do it. Ties: results in the order in which their calls
/// ended.
class ConnPool {
 public:
  ConnPool(ConnPoolConfig config, StreamIo& io, ConnPoolHost& host);
  ConnPool(const ConnPool&) = delete;
  ConnPool& operator=(const ConnPool&) = delete;

  /// Calls `method` of the server `node` at `at`; `args` is one msgpack value. Sessions are kept by (node, at), dials
  /// by `at`. `timeout` limits the wait for the answer, from when the request is written; nullopt = client_timeout.
  /// Hot: one encoding into the session; no allocation while streams last.
  void call(Instant now, CallToken token, std::string_view node, const Endpoint& at, std::string_view method,
            ByteView args, std::optional<Duration> timeout = {});
  /// pool.go rpc: the time a blocking query is given: wait, its jitter, and the hold time.
  static Duration blocking_timeout(Duration wait, Duration hold) { return wait + wait / 16 + hold; }
  /// No result will come. The call goes on: the library has no way to stop it.
  void cancel(CallToken token);

  bool on_connected(Instant now, StreamId stream, const Endpoint& local = {});
  bool on_failed(Instant now, StreamId stream, std::string_view text);
  bool on_data(Instant now, StreamId stream, const Bytes& data);
  bool on_eof(Instant now, StreamId stream);
  bool on_writable(Instant now, StreamId stream);
  void run(Instant now);
  void on_deadline(Instant now);
  Instant next_deadline() const;

  /// Closes every session; calls under way fail with "EOF", those that wait for a dial, and all later ones, with
  /// "rpc error: shutdown".
  void shutdown(Instant now);

  std::size_t connections() const { return conns_.used(); }
  std::size_t calls() const { return calls_.used(); }
  std::size_t idle_streams(const Endpoint& at) const;

 private:
  struct Conn {
    std::uint32_t stamp = 0;
    bool used = false;
    bool pooled = false;  // calls find it
    bool dialling = false;
    bool open = false;  // the TCP connection
    bool should_close = false;
    std::string node;
    Endpoint at;
    StreamId id;
    std::optional<wire::YamuxSession> session;
    MuxIndex streams;
    std::vector<std::uint32_t> kept;     // streams without a call; used last = at the end
    std::vector<std::uint32_t> waiting;  // calls that wait for the dial, its own first
    std::vector<std::uint32_t> blocked;  // calls that wait to open a stream
    std::uint32_t refs = 0;
    Instant last_used;
  };
  struct Stream {
    std::uint32_t stamp = 0;
    std::uint32_t conn = kNoSlot;
    std::uint32_t mux = 0;
    std::uint32_t call = kNoSlot;
    wire::rpc::ResponseParser responses;
    bool ended = false;
    bool reset = false;
    bool gone = false;  // its session ended
  };
  struct Call {
    std::uint32_t stamp = 0;
    CallToken token = 0;
    bool wanted = false;
    bool retried = false;
    bool expired = false;  // its time was up while it was still writing
    std::uint32_t conn = kNoSlot;
    std::uint32_t stream = kNoSlot;
    std::string node;
    Endpoint at;
    Duration timeout;
    Bytes request;  // until it is written
  };
  struct Done {
    CallToken token = 0;
    Bytes reply;
    std::string error;
  };

  // conn_pool.cpp: calls
  std::uint32_t find_pooled(std::string_view node, const Endpoint& at) const;
  std::uint32_t find_dial(const Endpoint& at) const;
  void acquire(Instant now, std::uint32_t k, ByteView request);
  void keep_request(std::uint32_t k, ByteView request);
  void get_client(Instant now, std::uint32_t k, std::uint32_t c, ByteView request);
  void start(Instant now, std::uint32_t k, std::uint32_t s, ByteView request);
  void no_client(std::uint32_t k, std::string_view text);
  void call_failed(Instant now, std::uint32_t k, std::string_view text);
  void call_answered(Instant now, std::uint32_t k, const wire::rpc::Response& response);
  void finish(std::uint32_t k, const Bytes& reply, std::string error);
  void take_answer(Instant now, std::uint32_t s);

  // conn_pool_session.cpp: sessions
  void dial(std::uint32_t k, ByteView request);
  void dialled(Instant now, std::uint32_t c);
  void dial_failed(std::uint32_t c, std::string_view text);
  void pump(Instant now, std::uint32_t c);
  void on_event(Instant now, std::uint32_t c, const wire::YamuxEvent& event);
  void stream_event(Instant now, std::uint32_t s, const wire::YamuxEvent& event);
  void session_over(Instant now, std::uint32_t c, const wire::YamuxEvent& event);
  void unblock(Instant now, std::uint32_t c);
  void flush(Instant now, Conn& conn);
  void release_stream(Instant now, std::uint32_t s, bool keep);
  void clear_conn(std::uint32_t c);
  void release_conn(Instant now, std::uint32_t c);
  void close_conn(std::uint32_t c);
  void arm(Instant now, std::uint32_t c);
  Instant reap_at(Instant now, const Conn& conn) const;

  ConnPoolConfig config_;
  StreamIo& io_;
  ConnPoolHost& host_;
  Slots<Conn> conns_;
  Slots<Stream> streams_;
  Slots<Call> calls_;
  StreamIndex index_;
  Deadlines conn_deadlines_;
  Deadlines call_deadlines_;
  Fifo<Done> done_;
  std::optional<Instant> started_;  // of the reaper's ticks
  std::uint64_t next_seq_ = 1;
  bool running_ = false;
  bool shut_down_ = false;
  Instant now_;
  Buffer scratch_;
};

}  // namespace dcsim::consul
