#pragma once
#include <concepts>
#include <optional>
#include <string>

#include "consul/endpoint_table.h"
#include "consul/server.h"
#include "consul/state_queries.h"

// What the files of endpoints share.

namespace dcsim::consul {

template <class M>
bool read_info(const Bytes& body, RpcInfo& info) {
  M m;
  if (!wire::rpc::decode(body.view(), m)) return false;
  info = info_of(m);
  return true;
}
/// Always asks the leader, whatever the caller allowed.
template <class M>
bool leader_info(const Bytes& body, RpcInfo& info) {
  if (!read_info<M>(body, info)) return false;
  info.allow_stale = false;
  return true;
}

/// The arguments of a request; read_info has decoded them before, so they decode.
template <class M>
M arguments(Server& server, std::uint32_t slot) {
  M m;
  DCSIM_CHECK(wire::rpc::decode(server.request(slot).body.view(), m));
  return m;
}

/// "" = good.
template <class M>
std::string_view no_vetting(const M&) {
  return {};
}

/// A blocking query: `run` reads the store; those that return false found nothing (errNotFound).
template <class Request, class Reply, auto run, auto vet = &no_vetting<Request>>
void serve_query(Server& server, Instant now, std::uint32_t slot) {
  const Request request = arguments<Request>(server, slot);
  if (const std::string_view wrong = vet(request); !wrong.empty()) return server.refuse(now, slot, wrong);
  const bool blocking = server.request(slot).min_index > 0;
  WatchSet& watch = server.watch();
  watch.clear();
  Reply reply;
  bool found = true;
  if constexpr (std::same_as<decltype(run(server.store(), request, reply, &watch)), bool>) {
    found = run(server.store(), request, reply, blocking ? &watch : nullptr);
  } else {
    run(server.store(), request, reply, blocking ? &watch : nullptr);
  }
  server.fill_meta(now, reply.meta);
  if (blocking && server.block(now, slot, reply.meta.index, found, watch)) return;
  server.answer(now, slot, reply);
}

template <class Request, class Reply, auto run, auto vet = &no_vetting<Request>>
constexpr RpcMethod query_method(std::string_view name) {
  return {name, &read_info<Request>, &serve_query<Request, Reply, run, vet>, true, true};
}

/// A write's end where the caller only learns of errors.
template <class Reply>
void answer_empty(Server& server, Instant now, std::uint32_t slot, const RaftResult& result) {
  if (!result.error.empty()) return server.refuse(now, slot, result.error);
  if (result.applied.kind == Applied::Kind::kError) return server.refuse(now, slot, result.applied.text);
  server.answer(now, slot, Reply{});
}
/// And where it learns whether a conditional write was done; false too for one without a condition.
void answer_bool(Server& server, Instant now, std::uint32_t slot, const RaftResult& result);

/// The command of a log entry whose message is the request as it came.
Bytes command_as_received(Server& server, std::uint32_t slot, wire::rpc::CommandType type);
template <class M>
Bytes command_of(wire::rpc::CommandType type, const M& m) {
  Buffer out;
  wire::rpc::append_command(type, m, out);
  return Bytes(out);
}

}  // namespace dcsim::consul
