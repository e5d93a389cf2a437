#include <fmt/format.h>

#include <iterator>

#include "consul/endpoint_serve.h"

namespace dcsim::consul {

void answer_bool(Server& server, Instant now, std::uint32_t slot, const RaftResult& result) {
  if (!result.error.empty()) {
    server.log(LogLevel::kError, fmt::format("agent.server: Raft apply failed: error=\"{}\"", result.error));
    return server.refuse(now, slot, result.error);
  }
  if (result.applied.kind == Applied::Kind::kError) return server.refuse(now, slot, result.applied.text);
  server.answer(now, slot, result.applied.kind == Applied::Kind::kBool && result.applied.yes);
}

Bytes command_as_received(Server& server, std::uint32_t slot, wire::rpc::CommandType type) {
  Buffer& out = server.scratch();
  out.clear();
  out.push_back(static_cast<std::uint8_t>(type));
  const ByteView body = server.request(slot).body.view();
  out.insert(out.end(), body.begin(), body.end());
  return Bytes(out);
}

namespace {

using namespace wire::rpc;

// agent/consul/kvs_endpoint.go. Lock delays are the leader's to enforce: its clock alone counts, and only before the
// entry is in the log.
void apply(Server& server, Instant now, std::uint32_t slot) {
  const auto request = arguments<KvsRequest>(server, slot);
  if (request.entry.key.empty() && request.op != "delete-tree") return server.refuse(now, slot, "Must provide key");
  if (request.op == "lock" && server.store().kv().lock_delay(request.entry.key) > now) {
    server.log(LogLevel::kWarn,
               fmt::format("agent.server.kvs: Rejecting lock of key due to lock-delay: key={}", request.entry.key));
    return server.answer(now, slot, false);
  }
  server.apply_for(now, slot, command_as_received(server, slot, CommandType::kKvs), &answer_bool);
}

constexpr RpcMethod kMethods[] = {
    {method::kKvsApply, &read_info<KvsRequest>, &apply},
    query_method<KeyRequest, IndexedDirEntries, &kvs_get>(method::kKvsGet),
    query_method<KeyRequest, IndexedDirEntries, &kvs_list>(method::kKvsList),
    query_method<KeyListRequest, IndexedKeyList, &kvs_list_keys>(method::kKvsListKeys),
};

}  // namespace

RpcMethods kvs_methods() { return {kMethods, std::size(kMethods)}; }

}  // namespace dcsim::consul
