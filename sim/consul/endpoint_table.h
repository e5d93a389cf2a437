#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "consul/rpc_client.h"
#include "consul/rpc_server.h"
#include "consul/state_watch.h"

namespace dcsim::consul {

class Server;

/// One RPC of a server ("KVS.Get").
struct RpcMethod {
  std::string_view name;
  /// Reads what forwarding needs out of the arguments; false: they do not decode.
  bool (*info)(const Bytes& body, RpcInfo& info);
  /// Serves a request here: answers, refuses, or leaves it waiting. Decodes the arguments again.
  void (*serve)(Server& server, Instant now, std::uint32_t slot);
  bool forwards = true;  ///< to the leader, or to another datacenter
  bool query = false;    ///< runs as a blocking query: verified if consistent, and again while nothing has changed
};
/// nullptr: no such method.
const RpcMethod* find_rpc_method(std::string_view name);

/// A request that a server is working on, its own agent's or one that came over the network.
struct ServerRequest {
  enum class State : std::uint8_t {
    kFree,
    kHere,       ///< being served
    kForwarded,  ///< another server has it
    kJitter,     ///< waits for its next try
    kVerifying,  ///< a consistent read asks who leads
    kPolling,    ///< and then waits for the leader to be ready
    kBlocking,   ///< a query waits for a change
    kApplying,   ///< its entry is on its way
  };
  std::uint32_t stamp = 0;
  State state = State::kFree;
  const RpcMethod* method = nullptr;
  RpcCallId call = 0;  ///< 0 = the agent's own, answered by `reply`
  RpcReply reply;
  Bytes body;
  RpcInfo info;
  RpcRetry retry;
  std::string last_error;  ///< of the try before
  // A blocking query
  Instant until = Instant::never();
  WaiterId waiter = 0;
  std::uint64_t min_index = 0;
  bool was_missing = false;
  bool last_run = false;       ///< it answers whatever it finds
  std::uint32_t restores = 0;  ///< of the state, when it began to wait
  // A consistent read that polls
  Duration poll{};
  Instant poll_until = Instant::never();
};

// The methods by service; each file has its own table.
struct RpcMethods {
  const RpcMethod* first;
  std::size_t count;
};
RpcMethods status_methods();
RpcMethods catalog_methods();
RpcMethods kvs_methods();
RpcMethods session_methods();
RpcMethods operator_methods();

}  // namespace dcsim::consul
