#include "consul/server_agent.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "consul/pool.h"

namespace dcsim::consul {

namespace {

constexpr Duration kRemovalPoll = 50_ms;  // server.go Leave
constexpr Duration kRemovalGrace = 5_s;   // raftRemoveGracePeriod

}  // namespace

Agent::RpcSide::RpcSide(Agent& agent) : agent_(agent) {}
Agent::RpcSide::~RpcSide() = default;

std::optional<Error> Agent::RpcSide::start(Instant now) {
  if (!agent_.config_.server)
    start_client(now);
  else if (auto failed = start_server(now))
    return failed;
  local_ = std::make_unique<AgentLocal>(agent_, agent_.around_, rpc(), agent_.seed_, agent_.entity_);
  return std::nullopt;
}

void Agent::RpcSide::run_command(Instant now, CommandId command, const std::vector<std::string>& words) {
  run_cli(now, words, *local_,
          [this, command](Instant, const CommandResult& result) { agent_.finish(command, result); });
}

std::optional<Error> Agent::RpcSide::start_server(Instant now) {
  const AgentConfig& config = agent_.config_;
  if (auto failed = agent_.around_.listen_rpc({config.bind, config.rpc_port}))
    return Error{"Failed to start RPC layer: " + failed->text};
  for (const SegmentConfig& s : config.segments) {
    if (!s.rpc_listener) continue;
    if (auto failed = agent_.around_.listen_rpc({s.bind, config.rpc_port}))
      return Error{"Failed to start segment RPC layer: " + failed->text};
  }
  server_ =
      std::make_unique<Server>(config, agent_.around_, static_cast<StreamIo&>(*this), static_cast<ServerHost&>(*this),
                               *agent_.around_.raft_storage(), agent_.seed_, agent_.entity_);
  leader_ = std::make_unique<ServerLeader>(*server_);
  server_->add_duties(*leader_);
  if (auto failed = server_->start(now)) return failed;
  leader_->start(now);
  return std::nullopt;
}

void Agent::RpcSide::start_client(Instant now) {
  const AgentConfig& config = agent_.config_;
  RpcClient::Settings settings;
  settings.datacenter = config.datacenter;
  settings.rpc = {config.rpc_hold_timeout, config.max_query_time, config.default_query_time};
  settings.pool.client_timeout = config.rpc_client_timeout;
  client_ = std::make_unique<RpcClient>(std::move(settings), static_cast<StreamIo&>(*this), agent_.around_,
                                        agent_.seed_, agent_.entity_);
  client_->set_pool_size([this] { return agent_.serf(PoolId{0}).member_count(); });
  client_->manager().start(now);
  client_port_ = std::make_unique<RpcPort>(&client_->pool());
}

// server_serf.go lanEventHandler, client_serf.go lanEventHandler.
void Agent::RpcSide::on_member_event(const Pool& pool, const gossip::MemberEvent& event) {
  const auto member = pool.serf().find(event.member);
  if (!member) return;
  if (server_) return server_->on_member_event(pool.place().id, event.kind, *member);
  const auto entry = server_entry(*member);
  if (!entry) return;
  using Kind = gossip::MemberEventKind;
  const bool in = event.kind == Kind::kJoin || event.kind == Kind::kUpdate;
  if (in && entry->datacenter != agent_.config_.datacenter) {
    return agent_.around_.log(
        LogLevel::kWarn,
        fmt::format("agent.client: server has joined the wrong cluster: wrong datacenter: server={} datacenter={}",
                    entry->name, entry->datacenter));
  }
  const std::string_view what = event.kind == Kind::kJoin     ? "adding"
                                : event.kind == Kind::kUpdate ? "updating"
                                                              : "removing";
  agent_.around_.log(LogLevel::kInfo, fmt::format("agent.client: {} server: server=\"{} (Addr: tcp/{}) (DC: {})\"",
                                                  what, entry->name, entry->address, entry->datacenter));
  server_up_ = server_up_ || event.kind == Kind::kJoin;
  if (in)
    client_->manager().add(*entry);
  else
    client_->manager().remove(entry->name);
}

void Agent::RpcSide::on_accepted(Instant now, StreamId stream, const Endpoint& from) {
  if (!port(now).on_accepted(now, stream, from)) agent_.around_.stream_close(stream);
}

void Agent::RpcSide::on_stored(Instant now, raft::StoreOp op, std::string_view error) {
  if (server_) server_->on_stored(now, op, error);
}

void Agent::RpcSide::run(Instant now) {
  if (std::exchange(server_up_, false) && !agent_.leaving_) local_->on_server_up(now);
  if (server_)
    server_->run(now);
  else
    client_->run(now);
}

void Agent::RpcSide::on_deadline(Instant now) {
  if (server_)
    server_->on_deadline(now);
  else
    client_->on_deadline(now);
  if (local_->next_deadline() <= now) local_->on_deadline(now);
  leave_due(now);
}

Instant Agent::RpcSide::next_deadline() const {
  const Instant next = server_ ? server_->next_deadline() : client_->next_deadline();
  return std::min({next, local_->next_deadline(), drained_, removal_check_});
}

// --- Leaving (server.go Leave) -------------------------------------------------------------------------------------

void Agent::RpcSide::begin_leave(Instant now) {
  local_->stop();
  if (!server_ || !server_->must_hand_over()) {
    leads_still_ = server_ && server_->is_leader();
    return agent_.leave_next_pool(now);
  }
  server_->hand_over(now, [this](Instant at, bool handed_over) {
    leads_still_ = !handed_over;
    agent_.leave_next_pool(at);
  });
}

void Agent::RpcSide::pools_left(Instant now) {
  if (!server_) return agent_.left(now);
  // Only now, so that clients know by gossip to go elsewhere.
  const Duration drain = agent_.config_.leave_drain_time;
  agent_.around_.log(LogLevel::kInfo, "agent.server: Waiting to drain RPC traffic: drain_time=" + go_duration(drain));
  server_->refuse_rpc(now);
  drained_ = now + drain;
}

void Agent::RpcSide::leave_due(Instant now) {
  if (drained_ <= now) {
    drained_ = Instant::never();
    if (leads_still_) return agent_.left(now);
    removal_check_ = now + kRemovalPoll;
    removal_limit_ = now + kRemovalGrace;
  }
  if (removal_check_ > now) return;
  removal_check_ = now + kRemovalPoll;
  const bool out = server_->out_of_raft();
  if (!out && removal_check_ < removal_limit_) return;
  removal_check_ = Instant::never();
  if (!out) agent_.around_.log(LogLevel::kWarn, "agent.server: failed to leave raft configuration gracefully, timeout");
  agent_.left(now);
}

void Agent::RpcSide::shutdown(Instant now) {
  drained_ = removal_check_ = Instant::never();
  local_->stop();
  if (server_) server_->shutdown(now);
  if (client_) client_->shutdown(now);
}

// --- ServerHost ----------------------------------------------------------------------------------------------------

void Agent::RpcSide::remove_failed_node(Instant now, std::string_view name) {
  for (const auto& pool : agent_.pools_) {
    if (pool->serf().find(name)) pool->serf().force_leave(now, agent_.next_token_++, name, false);
  }
}

std::optional<Error> Agent::RpcSide::user_event(Instant now, std::string_view name, ByteView payload) {
  std::optional<Error> first;
  for (const auto& pool : agent_.pools_) {
    auto failed = pool->serf().user_event(now, name, payload, false);
    if (failed && !first) first = std::move(failed);
  }
  return first;
}

void Agent::RpcSide::server_failed(Instant now, std::string_view why) { agent_.end(now, 2, why); }

}  // namespace dcsim::consul
