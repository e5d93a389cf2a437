#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "consul/server.h"

namespace dcsim::consul {

namespace {

/// net/rpc's complaint about a method that there is not.
std::string no_such_method(std::string_view name) {
  std::string_view service, method;
  if (!wire::rpc::split_method(name, service, method)) return wire::rpc::ill_formed_method(name);
  static constexpr std::string_view kServices[] = {"Status",  "Catalog",    "Health",  "KVS",
                                                   "Session", "Coordinate", "Operator"};
  const bool known = std::find(std::begin(kServices), std::end(kServices), service) != std::end(kServices);
  return known ? wire::rpc::unknown_method(name) : wire::rpc::unknown_service(name);
}

}  // namespace

// --- Requests ------------------------------------------------------------------------------------------------------

std::uint32_t Server::new_request(Instant now, const RpcMethod& method, const Bytes& body, RpcInfo info) {
  now_ = now;
  const std::uint32_t slot = requests_.take();
  ServerRequest& r = requests_[slot];
  r.state = ServerRequest::State::kHere;
  r.method = &method;
  r.call = 0;
  r.body = body;
  r.info = std::move(info);
  r.retry = RpcRetry(now);
  r.until = r.poll_until = Instant::never();
  r.waiter = 0;
  r.min_index = r.info.min_index;
  r.was_missing = r.last_run = false;
  return slot;
}

// Hot: once per request that comes.
void Server::rpc_request(Instant now, RpcCallId call, std::string_view name, const Bytes& body, const Endpoint&) {
  const RpcMethod* method = find_rpc_method(name);
  if (!method) return rpc_.refuse(now, call, no_such_method(name));
  RpcInfo info;
  if (!method->info(body, info)) return rpc_.refuse(now, call, "msgpack decode error");
  const std::uint32_t slot = new_request(now, *method, body, std::move(info));
  requests_[slot].call = call;
  route(now, slot);
}

void Server::invoke(Instant now, std::string_view name, Bytes args, const RpcInfo& info, RpcReply reply) {
  const RpcMethod* method = find_rpc_method(name);
  RpcInfo decoded;
  if (!method || !method->info(args, decoded)) {
    now_ = now;
    return local_.push_back({std::move(reply), {}, method ? "msgpack decode error" : no_such_method(name)});
  }
  const std::uint32_t slot = new_request(now, *method, args, info);
  requests_[slot].reply = std::move(reply);
  route(now, slot);
}

void Server::finished_request(std::uint32_t slot) {
  ServerRequest& r = requests_[slot];
  if (r.waiter != 0) {
    store().watchers().cancel(r.waiter);
    waiters_.erase(r.waiter);
    r.waiter = 0;
  }
  request_deadlines_.arm(slot, Instant::never());
  r.state = ServerRequest::State::kFree;
  r.body = {};
  requests_.give(slot);
}

void Server::answered_locally(std::uint32_t slot, Bytes body, std::string_view error) {
  local_.push_back({std::exchange(requests_[slot].reply, nullptr), std::move(body), std::string(error)});
  finished_request(slot);
}

void Server::answer_raw(Instant now, std::uint32_t slot, const Bytes& body) {
  if (requests_[slot].call == 0) return answered_locally(slot, body, {});
  rpc_.respond(now, requests_[slot].call, body);
  finished_request(slot);
}

void Server::refuse(Instant now, std::uint32_t slot, std::string_view error) {
  if (requests_[slot].call == 0) return answered_locally(slot, {}, error);
  rpc_.fail(now, requests_[slot].call, error);
  finished_request(slot);
}

bool Server::deliver_local(Instant now) {
  if (local_.empty()) return false;
  for (LocalReply& l : std::exchange(local_, {})) {
    if (l.reply) l.reply(now, l.body, l.error);
  }
  return true;
}

// --- Forwarding (rpc.go ForwardRPC) --------------------------------------------------------------------------------

void Server::route(Instant now, std::uint32_t slot) {
  const ServerRequest& r = requests_[slot];
  if (!r.info.datacenter.empty() && r.info.datacenter != config_.datacenter) {
    log(LogLevel::kWarn,
        fmt::format(
            "agent.server.rpc: RPC request for DC is currently failing as no path was found: datacenter={} method={}",
            r.info.datacenter, r.method->name));
    return refuse(now, slot, kErrNoDcPath);
  }
  if (!r.method->forwards) return serve(now, slot);
  if (r.info.read && r.info.allow_stale && node_->last_contact() != Instant{}) return serve(now, slot);
  to_leader(now, slot);
}

void Server::to_leader(Instant now, std::uint32_t slot) {
  if (refusing_) return refuse(now, slot, kErrNoLeader);
  if (is_leader()) return serve(now, slot);
  const std::string_view leader = leader_address();
  if (leader.empty()) return retry_or_refuse(now, slot, kErrNoLeader);
  const ServerEntry* server = lookup_.by_address(leader);
  if (server) return forward_to(now, slot, *server);
  log(LogLevel::kWarn, fmt::format("agent.server: Raft has a leader but other tracking of the node would indicate that "
                                   "the node is unhealthy or does "
                                   "not exist. The network may be misconfigured.: leader={}",
                                   leader));
  retry_or_refuse(now, slot, kErrLeaderNotTracked);
}

void Server::forward_to(Instant now, std::uint32_t slot, const ServerEntry& server) {
  ServerRequest& r = requests_[slot];
  r.state = ServerRequest::State::kForwarded;
  std::optional<Duration> timeout;
  if (r.info.blocking()) timeout = blocking_timeout(r.info, settings_) + settings_.hold_timeout;
  pool_.call(now, requests_.id(slot), server.short_name, server.rpc, r.method->name, r.body, timeout);
}

void Server::retry_or_refuse(Instant now, std::uint32_t slot, std::string_view error) {
  ServerRequest& r = requests_[slot];
  if (refusing_ || !r.retry.allowed(now, r.info, settings_, RpcRetry::Side::kServer, error))
    return refuse(now, slot, error);
  r.state = ServerRequest::State::kJitter;
  r.last_error = error;
  request_deadlines_.arm(slot, now + r.retry.next_wait(jitter_, settings_));
}

void Server::request_due(Instant now, std::uint32_t slot) {
  ServerRequest& r = requests_[slot];
  switch (r.state) {
    case ServerRequest::State::kJitter:
      r.state = ServerRequest::State::kHere;
      return to_leader(now, slot);
    case ServerRequest::State::kPolling:
      if (ready_) return query(now, slot);
      if (now >= r.poll_until) return refuse(now, slot, kErrNotReady);
      return request_deadlines_.arm(slot, now + r.poll);
    case ServerRequest::State::kBlocking:
      r.last_run = true;
      return query(now, slot);
    default:
      return;
  }
}

// --- Serving here --------------------------------------------------------------------------------------------------

void Server::serve(Instant now, std::uint32_t slot) {
  ServerRequest& r = requests_[slot];
  r.state = ServerRequest::State::kHere;
  if (!r.method->query) return r.method->serve(*this, now, slot);
  if (r.info.blocking()) {
    Duration wait = std::min(r.info.max_query_time, settings_.max_query_time);
    if (wait <= Duration{}) wait = settings_.default_query_time;
    r.until = now + wait + wait_.below(wait / 16);
  }
  if (r.info.require_consistent) return verify(now, slot);
  query(now, slot);
}

/// rpc.go ConsistentRead: who leads is asked of a quorum; a new leader must also be ready.
void Server::verify(Instant now, std::uint32_t slot) {
  verify_leader(now, for_request(slot, &Server::verified));
  requests_[slot].state = ServerRequest::State::kVerifying;
}

void Server::verified(Server& server, Instant now, std::uint32_t slot, const RaftResult& result) {
  if (!result.error.empty()) return server.refuse(now, slot, result.error);
  if (server.ready_) return server.query(now, slot);
  ServerRequest& r = server.requests_[slot];
  r.state = ServerRequest::State::kPolling;
  r.poll = std::max(server.jitter_.below(server.settings_.hold_timeout / 16), 1_ms);
  r.poll_until = now + server.settings_.hold_timeout;
  server.request_deadlines_.arm(slot, now + r.poll);
}

void Server::query(Instant now, std::uint32_t slot) {
  ServerRequest& r = requests_[slot];
  if (r.waiter != 0) {
    store().watchers().cancel(r.waiter);
    waiters_.erase(std::exchange(r.waiter, 0));
  }
  request_deadlines_.arm(slot, Instant::never());
  r.state = ServerRequest::State::kHere;
  r.method->serve(*this, now, slot);
}

/// agent/blockingquery/blockingquery.go Query.
bool Server::block(Instant now, std::uint32_t slot, std::uint64_t index, bool found, const WatchSet& watch) {
  ServerRequest& r = requests_[slot];
  if (r.min_index == 0 || r.last_run || r.until <= now) return false;
  if (!found && std::exchange(r.was_missing, true)) r.min_index = index;  // still missing: nothing has changed
  if (index > r.min_index) return false;
  r.state = ServerRequest::State::kBlocking;
  r.restores = restores_;
  r.waiter = store().watchers().wait(watch);
  waiters_[r.waiter] = requests_.id(slot);
  request_deadlines_.arm(slot, r.until);
  return true;
}

bool Server::wake_queries(Instant now) {
  if (!store().watchers().any_woken()) return false;
  woken_.clear();
  store().watchers().take_woken(woken_);
  for (const WaiterId waiter : woken_) {
    const auto it = waiters_.find(waiter);
    if (it == waiters_.end()) continue;
    const std::uint32_t slot = requests_.find(it->second);
    waiters_.erase(it);
    if (slot == kNoSlot || requests_[slot].waiter != waiter) continue;
    ServerRequest& r = requests_[slot];
    r.waiter = 0;
    if (r.restores != restores_) r.last_run = true;  // the state was replaced: indexes may have fallen
    if (r.info.require_consistent && !r.last_run)
      verify(now, slot);
    else
      query(now, slot);
  }
  return true;
}

void Server::fill_meta(Instant now, wire::rpc::QueryMeta& meta) const {
  if (is_leader()) {
    meta.last_contact = {};
    meta.known_leader = true;
  } else {
    meta.last_contact = now - node_->last_contact();
    meta.known_leader = !leader_address().empty();
  }
  meta.index = std::max<std::uint64_t>(meta.index, 1);
}

}  // namespace dcsim::consul
