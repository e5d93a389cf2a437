#include "consul/rpc_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "consul/endpoint_table.h"
#include "wire/consul_messages.h"

namespace dcsim::consul {

namespace {

constexpr std::int64_t kJitterFraction = 16;  // structs.JitterFraction
constexpr CallToken kPing = ~CallToken{0};

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace

Duration blocking_timeout(const RpcInfo& info, const RpcSettings& settings) {
  if (!info.blocking()) return {};
  Duration wait = std::min(info.max_query_time, settings.max_query_time);
  if (wait <= Duration{}) wait = settings.default_query_time;
  return wait + wait / kJitterFraction;
}

bool RpcRetry::allowed(Instant now, const RpcInfo& info, const RpcSettings& settings, Side side,
                       std::string_view error) const {
  if (now - began_ > settings.hold_timeout + blocking_timeout(info, settings)) return false;
  if (has(error, kErrNoLeader) || has(error, kErrChunkingResubmit)) return true;
  if (has(error, side == Side::kServer ? kErrRetryLater : kErrRetryElsewhere)) return true;
  return info.read && is_eof_error(error);
}

Duration RpcRetry::next_wait(Rng& rng, const RpcSettings& settings) {
  const std::int64_t first = std::max<std::int64_t>(settings.hold_timeout.millis() / kJitterFraction, 1);
  const Duration most = 1_ms * (first << std::min<std::uint32_t>(tries_++, 30));
  if (most > previous_) previous_ += rng.below(most - previous_);
  return previous_;
}

void AgentRpc::call(Instant now, std::string_view method, Bytes arguments, RpcDone done) {
  const RpcMethod* known = find_rpc_method(method);
  RpcInfo info;
  if (!known) return done(now, Error{wire::rpc::unknown_method(method)});
  if (!known->info(arguments, info)) return done(now, Error{"msgpack decode error"});
  invoke(now, known->name, std::move(arguments), info,
         [done = std::move(done)](Instant at, const Bytes& reply, std::string_view error) {
           if (error.empty())
             done(at, reply);
           else
             done(at, Error{std::string(error)});
         });
}

RpcClient::RpcClient(Settings settings, StreamIo& io, Surroundings& around, std::uint64_t seed, std::string_view entity)
    : settings_(std::move(settings)),
      around_(around),
      pool_(settings_.pool, io, *this),
      manager_(seed, entity),
      jitter_(seed, entity, "rpc-jitter") {}

RpcClient::~RpcClient() = default;

void RpcClient::log(LogLevel level, std::string_view line) { around_.log(level, line); }

void RpcClient::invoke(Instant now, std::string_view method, Bytes args, const RpcInfo& info, RpcReply reply) {
  const std::uint32_t slot = calls_.take();
  Call& call = calls_[slot];
  call.used = true;
  call.method = method;
  call.args = std::move(args);
  call.info = info;
  call.reply = std::move(reply);
  call.retry = RpcRetry(now);
  attempt(now, slot);
}

void RpcClient::attempt(Instant now, std::uint32_t slot) {
  Call& call = calls_[slot];
  const ServerEntry* server = manager_.front();
  if (!server || shut_) {
    if (!server) around_.log(LogLevel::kWarn, "agent.router.manager: No servers available");
    ended_.push_back({calls_.id(slot), std::string(kErrNoServers)});
    return;
  }
  call.server = *server;
  std::optional<Duration> timeout;
  if (call.info.blocking()) timeout = blocking_timeout(call.info, settings_.rpc) + settings_.rpc.hold_timeout;
  pool_.call(now, calls_.id(slot), server->short_name, server->rpc, call.method, call.args, timeout);
}

void RpcClient::rpc_result(Instant now, CallToken token, const Bytes& reply, std::string_view error) {
  if (token == kPing) {
    if (!manager_.pinging()) return;
    const std::string server = manager_.pinging()->name;
    if (!error.empty())
      around_.log(LogLevel::kDebug,
                  fmt::format("agent.router.manager: pinging server failed: server={} error=\"{}\"", server, error));
    switch (manager_.pinged(now, error.empty())) {
      case ServerManager::Verdict::kNext:
        return ping_next(now);
      case ServerManager::Verdict::kRebalanced:
        return around_.log(
            LogLevel::kDebug,
            fmt::format(
                "agent.router.manager: Rebalanced servers, new active server: number_of_servers={} active_server={}",
                manager_.servers().size(), manager_.front()->name));
      case ServerManager::Verdict::kOffline:
        return around_.log(LogLevel::kDebug, "agent.router.manager: No healthy servers during rebalance, aborting");
      case ServerManager::Verdict::kChanged:
        return;
    }
  }
  const std::uint32_t slot = calls_.find(token);
  if (slot == kNoSlot || !calls_[slot].used) return;
  if (error.empty()) return finish(now, slot, reply, {});
  Call& call = calls_[slot];
  if (manager_.failed(call.server.name))
    around_.log(LogLevel::kDebug,
                fmt::format("agent.router.manager: cycled away from server: server={}", call.server.name));
  const bool again = !shut_ && call.retry.allowed(now, call.info, settings_.rpc, RpcRetry::Side::kClient, error);
  around_.log(
      again ? LogLevel::kWarn : LogLevel::kError,
      fmt::format("agent.client: {}: method={} server={} error=\"{}\"",
                  again ? "Retrying RPC to server" : "RPC failed to server", call.method, call.server.address, error));
  if (!again) return finish(now, slot, {}, error);
  deadlines_.arm(slot, now + call.retry.next_wait(jitter_, settings_.rpc));
}

void RpcClient::finish(Instant now, std::uint32_t slot, const Bytes& reply, std::string_view error) {
  Call& call = calls_[slot];
  const RpcReply done = std::exchange(call.reply, nullptr);
  call.used = false;
  call.args = {};
  calls_.give(slot);
  done(now, reply, error);
}

void RpcClient::ping_next(Instant now) {
  const ServerEntry& server = *manager_.pinging();
  Buffer args;
  wire::rpc::encode(wire::rpc::Empty{}, args);
  pool_.call(now, kPing, server.short_name, server.rpc, wire::rpc::method::kStatusPing, args);
}

void RpcClient::run(Instant now) {
  pool_.run(now);
  while (!ended_.empty()) {
    for (const Ended& ended : std::exchange(ended_, {})) {
      const std::uint32_t slot = calls_.find(ended.call);
      if (slot != kNoSlot && calls_[slot].used) finish(now, slot, {}, ended.error);
    }
    pool_.run(now);
  }
}

void RpcClient::on_deadline(Instant now) {
  std::uint32_t slot = kNoSlot;
  while (deadlines_.due(now, slot)) {
    if (calls_[slot].used) attempt(now, slot);
  }
  if (!shut_ && manager_.rebalance_at() <= now) {
    manager_.begin_rebalance(now, nodes_ ? nodes_() : 0);
    if (manager_.pinging()) ping_next(now);
  }
  if (pool_.next_deadline() <= now) pool_.on_deadline(now);
  run(now);
}

Instant RpcClient::next_deadline() const {
  if (!ended_.empty()) return {};
  return std::min({pool_.next_deadline(), deadlines_.next(), shut_ ? Instant::never() : manager_.rebalance_at()});
}

void RpcClient::shutdown(Instant now) {
  shut_ = true;
  pool_.shutdown(now);
}

}  // namespace dcsim::consul
