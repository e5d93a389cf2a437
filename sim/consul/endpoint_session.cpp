#include <fmt/format.h>

#include <iterator>

#include "consul/endpoint_serve.h"

namespace dcsim::consul {

namespace {

using namespace wire::rpc;

// agent/consul/session_endpoint.go.

constexpr Duration kTtlMin = 10_s, kTtlMax = 24_h;

std::string session_problem(SessionRequest& request) {
  Session& s = request.session;
  if (s.id.empty() && request.op == "destroy") return "Must provide ID";
  if (s.node.empty() && request.op == "create") return "Must provide Node";
  if (request.op != "create" && request.op != "destroy")
    return fmt::format("Invalid session operation \"{}\"", request.op);
  if (s.behavior.empty())
    s.behavior = "release";
  else if (s.behavior != "release" && s.behavior != "delete")
    return fmt::format("Invalid Behavior setting '{}'", s.behavior);
  if (s.ttl.empty()) return {};
  const auto ttl = parse_go_duration(s.ttl);
  if (!ttl) return fmt::format("Session TTL '{}' invalid: time: invalid duration {}", s.ttl, go_quoted(s.ttl));
  if (ttl->ns != 0 && (*ttl < kTtlMin || *ttl > kTtlMax)) {
    return fmt::format("Invalid Session TTL '{}', must be between [{}={}]", ttl->ns, go_duration(kTtlMin),
                       go_duration(kTtlMax));
  }
  return {};
}

/// go-uuid: 16 random bytes as text.
std::string new_uuid(Server& server) {
  for (;;) {
    const std::uint64_t a = server.uuid_stream().next(), b = server.uuid_stream().next();
    std::string id = fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", a >> 32, (a >> 16) & 0xffff, a & 0xffff,
                                 b >> 48, b & 0xffffffffffff);
    if (!server.store().session(id)) return id;
  }
}

void created(Server& server, Instant now, std::uint32_t slot, const RaftResult& result) {
  if (!result.error.empty()) {
    server.log(LogLevel::kError, fmt::format("agent.server.session: Apply failed: error=\"{}\"", result.error));
    return server.refuse(now, slot, result.error);
  }
  if (result.applied.kind == Applied::Kind::kError) return server.refuse(now, slot, result.applied.text);
  if (const Session* session = server.store().session(result.applied.text)) {
    for (ServerDuties* duties : server.duties()) duties->on_session(now, *session);
  }
  server.answer(now, slot, result.applied.text);
}

void destroyed(Server& server, Instant now, std::uint32_t slot, const RaftResult& result) {
  const std::string id = arguments<SessionRequest>(server, slot).session.id;
  if (result.error.empty()) {
    for (ServerDuties* duties : server.duties()) duties->on_session_end(id);
  }
  answer_empty<std::string>(server, now, slot, result);
}

void apply(Server& server, Instant now, std::uint32_t slot) {
  auto request = arguments<SessionRequest>(server, slot);
  if (const std::string wrong = session_problem(request); !wrong.empty()) return server.refuse(now, slot, wrong);
  const bool create = request.op == "create";
  if (create) request.session.id = new_uuid(server);
  server.apply_for(now, slot, command_of(CommandType::kSession, request), create ? &created : &destroyed);
}

void renew(Server& server, Instant now, std::uint32_t slot) {
  const auto request = arguments<SessionSpecificRequest>(server, slot);
  IndexedSessions reply;
  if (session_get(server.store(), request, reply)) {
    for (ServerDuties* duties : server.duties()) duties->on_session(now, reply.sessions.front());
  }
  server.answer(now, slot, reply);
}

void list_sessions(const StateStore& store, const SessionSpecificRequest&, IndexedSessions& reply, WatchSet* watch) {
  session_list(store, reply, watch);
}
void list_node_sessions(const StateStore& store, const NodeSpecificRequest& request, IndexedSessions& reply,
                        WatchSet* watch) {
  node_sessions(store, request.node, reply, watch);
}

constexpr RpcMethod kMethods[] = {
    {method::kSessionApply, &read_info<SessionRequest>, &apply},
    query_method<SessionSpecificRequest, IndexedSessions, &session_get>(method::kSessionGet),
    query_method<SessionSpecificRequest, IndexedSessions, &list_sessions>(method::kSessionList),
    query_method<NodeSpecificRequest, IndexedSessions, &list_node_sessions>("Session.NodeSessions"),
    {method::kSessionRenew, &read_info<SessionSpecificRequest>, &renew},
};

}  // namespace

RpcMethods session_methods() { return {kMethods, std::size(kMethods)}; }

}  // namespace dcsim::consul
