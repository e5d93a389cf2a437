#pragma once
#include <functional>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "wire/consul_messages.h"

namespace dcsim::consul {

/// The reply's body (one msgpack value), or the error's text as the caller reads it, "rpc error making call: ..."
/// included. Called once, from inside the call or later.
using RpcDone = std::function<void(Instant now, const Result<Bytes>& reply)>;

/// An agent's RPC (agent.go Agent.RPC): to a server, or answered by this one; forwarded to the leader or another
/// datacenter by what the arguments say. Who implements it retries as Consul does.
class Rpc {
 public:
  virtual ~Rpc() = default;
  virtual void call(Instant now, std::string_view method, Bytes arguments, RpcDone done) = 0;
};

/// The same with messages: `then(now, Result<Reply>)`. A reply that does not decode is an error.
template <class Reply, class Request, class Then>
void rpc_call(Rpc& rpc, Instant now, std::string_view method, const Request& request, Then then) {
  Buffer body;
  wire::rpc::encode(request, body);
  rpc.call(now, method, Bytes(body), [then = std::move(then)](Instant at, const Result<Bytes>& raw) mutable {
    if (!raw) return then(at, Result<Reply>(raw.error()));
    Reply reply{};
    if (!wire::rpc::decode(raw->view(), reply)) return then(at, Result<Reply>(Error{"msgpack decode error"}));
    then(at, Result<Reply>(std::move(reply)));
  });
}

}  // namespace dcsim::consul
