#pragma once
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"
#include "gossip/actions.h"

namespace dcsim::consul {

using gossip::StreamId;

/// The TCP side of an agent's RPC port, as the surroundings offer it. What happens to its connections comes back as
/// inputs of the objects that use it (RaftTransport, RpcServer, ConnPool; RpcPort spreads them):
///   on_accepted  somebody connected to the port
///   on_connected a dial of ours succeeded
///   on_failed    a dial or an open connection failed; `text` as Go words it ("dial tcp 10.0.0.2:8300: i/o timeout",
///                "read tcp 10.0.0.1:4711->10.0.0.2:8300: read: connection reset by peer"). The id is dead
///   on_data      bytes in order, cut anywhere
///   on_eof       the peer sends no more; we still can
///   on_writable  it was full() and is not any more
/// None of the calls below may lead to an input from inside the call.
class StreamIo {
 public:
  virtual ~StreamIo() = default;
  /// Answered by on_connected, or by on_failed at the latest after `timeout`.
  virtual StreamId dial(const Endpoint& to, Duration timeout) = 0;
  /// Queues bytes; order is kept. Nothing on a connection that has failed.
  virtual void send(StreamId stream, const Bytes& bytes) = 0;
  /// close(2): what was sent still goes out. Also gives up a dial. No input of this id follows. Nothing on a connection
  /// that has failed.
  virtual void close(StreamId stream) = 0;
  /// The connection's send buffer is full, so that a writer would block.
  virtual bool full(StreamId stream) const { return static_cast<void>(stream), false; }
};

/// Go's net.OpError of a dial that was bound to `source` ("10.0.0.1:0"; "<nil>" where Consul binds none): puts
/// "source->" in front of the address. Nothing if `source` is empty or `text` is no dial's.
std::string with_dial_source(std::string_view text, std::string_view source);
/// "read tcp 10.0.0.1:4711->10.0.0.2:8300: i/o timeout"; without `local` if that is not known.
std::string io_timeout_text(bool writing, const Endpoint& local, const Endpoint& remote);
/// What a write says on a connection whose reader would have said `text`.
std::string as_write_error(std::string_view text);
/// `10.0.0.2:8300`, as a Raft server address; false if it names no IP address and port.
bool parse_endpoint(std::string_view text, Endpoint& out);
/// memberlist LogConn: "from=10.0.0.2:4711".
std::string log_conn(const Endpoint& remote);
/// hclog quotes a value with spaces.
std::string quoted_if_needed(std::string_view value);

/// lib/eof.go IsErrEOF: the stream or session ended under a call, which a read may therefore repeat. `error` as
/// ConnPool reports it, or one of its causes.
bool is_eof_error(std::string_view error);

}  // namespace dcsim::consul
