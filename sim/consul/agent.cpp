#include "consul/agent.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "consul/pool.h"
#include "consul/server_agent.h"

namespace dcsim::consul {

namespace {

constexpr Duration kFloodInterval = 60_s;   // consul agent/consul/config.go SerfFloodInterval
constexpr Duration kGracefulTimeout = 15_s;     // consul command/agent gracefulTimeout
constexpr Duration kSerfGracefulTimeout = 3_s;  // serf command/agent gracefulTimeout

}  // namespace

Agent::Agent(AgentConfig config, Surroundings& around, std::uint64_t seed, std::string entity)
    : config_(std::move(config)), around_(around), seed_(seed), entity_(std::move(entity)) {}

Agent::~Agent() = default;

std::string one_line(std::string_view text) {
  std::string out(text);
  std::replace(out.begin(), out.end(), '\n', ' ');
  std::replace(out.begin(), out.end(), '\t', ' ');
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::string quoted_list(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const std::string& item : items) out += fmt::format("{}{:?}", out.size() > 1 ? ", " : "", item);
  return out + "]";
}

std::optional<Error> Agent::open_pools() {
  // Segments come up before the default LAN pool (consul agent/consul/server.go), but keep the numbers after it.
  pools_.clear();
  pools_.push_back(std::make_unique<Pool>(
      *this, Pool::Place{PoolId{0}, config_.server ? "" : config_.segment, config_.serf_lan_bind, config_.advertise, config_.serf_lan_port}));
  for (const SegmentConfig& s : config_.segments) {
    const PoolId id{static_cast<std::uint32_t>(pools_.size())};
    pools_.push_back(std::make_unique<Pool>(*this, Pool::Place{id, s.name, s.bind, s.advertise, s.port}));
  }
  floods_.assign(pools_.size(), {});
  for (const auto& pool : pools_) {
    if (auto problem = pool->open(seed_)) {
      pools_.clear();
      return problem;
    }
  }
  return std::nullopt;
}

std::optional<Error> Agent::start(Instant now) {
  if (auto problem = open_pools()) {
    ended_ = true;
    return problem;
  }
  for (const std::string& warning : config_.warnings) around_.log(LogLevel::kWarn, "agent: " + warning);
  if (config_.kind == AgentKind::kConsul && around_.raft_storage()) {
    rpc_side_ = std::make_unique<RpcSide>(*this);
    if (auto failed = rpc_side_->start(now)) {
      ended_ = true;
      return failed;
    }
  }
  for (std::size_t n = 0; n < pools_.size(); ++n) {
    Pool& pool = *pools_[(n + 1) % pools_.size()];
    const Endpoint at{pool.place().bind, pool.place().port};
    if (const auto failed = around_.listen(pool.place().id, at)) {
      const bool segment = pool.place().id.value != 0;
      ended_ = true;
      for (std::size_t up = 0; up < n; ++up) pools_[(up + 1) % pools_.size()]->serf().shutdown(now);
      return Error{fmt::format("{}{}", segment ? "Failed to setup network segments: " : "Failed to start LAN Serf: ", failed->text)};
    }
    if (pool.place().id.value != 0) {
      const Endpoint shown{pool.place().advertise, pool.place().port};
      around_.log(LogLevel::kInfo, fmt::format("consul: Started listener for LAN segment \"{}\" on {}", pool.place().segment, shown.text()));
    }
    pool.serf().start(now);
  }
  started_ = true;
  if (rpc_side_) rpc_side_->pools_started(now);
  if (!config_.retry_join.empty()) retry_at_ = now;
  if (config_.server && pools_.size() > 1) flood_at_ = now + kFloodInterval;
  settle(now);
  return std::nullopt;
}

// --- Joining -------------------------------------------------------------------------------------------------------

std::vector<gossip::JoinTarget> Agent::resolved(Pool& pool, const std::vector<std::string>& targets) const {
  std::vector<gossip::JoinTarget> out;
  for (const std::string& target : targets) {
    gossip::JoinTarget parsed;
    parsed.display = target;
    std::string_view host = target;
    if (const auto slash = host.find('/'); slash != std::string_view::npos) {
      parsed.name = host.substr(0, slash);
      host.remove_prefix(slash + 1);
      if (parsed.name.empty()) parsed.resolve_error = "empty node name provided";
    }
    parsed.endpoint.port = pool.place().port;
    std::string_view port;
    if (host.starts_with('[')) {
      const auto close = host.find(']');
      port = close == std::string_view::npos ? "" : host.substr(close + 1);
      host = host.substr(1, close == std::string_view::npos ? close : close - 1);
    } else if (const auto colon = host.rfind(':'); colon != std::string_view::npos && host.find(':') == colon) {
      port = host.substr(colon);
      host = host.substr(0, colon);
    }
    if (!port.empty()) {
      unsigned number = 0;
      const char* const last = port.data() + port.size();
      const auto [end, error] = std::from_chars(port.data() + 1, last, number);
      const bool digits = end == last && error != std::errc::invalid_argument;
      if (!digits || error != std::errc{} || number > 65535) {
        parsed.resolve_error = fmt::format("strconv.ParseUint: parsing \"{}\": {}", port.substr(1), digits ? "value out of range" : "invalid syntax");
      }
      parsed.endpoint.port = static_cast<std::uint16_t>(number);
    }
    if (const auto literal = Address::parse(host); literal || !parsed.resolve_error.empty()) {
      if (literal) parsed.endpoint.address = *literal;
      out.push_back(std::move(parsed));
      continue;
    }
    const auto addresses = around_.resolve(host);
    if (!addresses) {
      parsed.resolve_error = addresses.error().text;
      out.push_back(std::move(parsed));
      continue;
    }
    for (const Address& a : *addresses) {
      parsed.endpoint.address = a;
      out.push_back(parsed);
    }
  }
  return out;
}

std::uint32_t Agent::begin_join(Instant now, Pool& pool, const std::vector<std::string>& targets, bool ignore_old) {
  const std::uint32_t token = next_token_++;
  pool.serf().join(now, token, resolved(pool, targets), ignore_old);
  return token;
}

void Agent::attempt_retry_join(Instant now) {
  retry_at_ = Instant::never();
  if (config_.kind == AgentKind::kSerf) {
    around_.log(LogLevel::kInfo, "agent: Joining cluster...(replay: false)");
    log_serf_joining(config_.retry_join, false);
  } else {
    around_.log(LogLevel::kInfo, fmt::format("agent: (LAN) joining: lan_addresses={}", quoted_list(config_.retry_join)));
  }
  retry_token_ = begin_join(now, *pools_[0], config_.retry_join, true);
}

// serf cmd/serf/command/agent/agent.go Join.
void Agent::log_serf_joining(const std::vector<std::string>& targets, bool replay) {
  std::string list;
  for (const std::string& target : targets) list += (list.empty() ? "" : " ") + target;
  around_.log(LogLevel::kInfo, fmt::format("agent: joining: [{}] replay: {}", list, replay));
}

void Agent::log_serf_joined(std::uint32_t contacted, const std::string& error) {
  if (contacted > 0) around_.log(LogLevel::kInfo, fmt::format("agent: joined: {} nodes", contacted));
  else around_.log(LogLevel::kWarn, "agent: error joining: " + one_line(error));
}

void Agent::retry_join_done(Instant now, std::uint32_t contacted, const std::string& error) {
  retry_token_ = 0;
  around_.joined(PoolId{0}, {JoinReport::Why::kRetryJoin, contacted, error});
  if (config_.kind == AgentKind::kSerf) {
    log_serf_joined(contacted, error);
    if (contacted > 0) return around_.log(LogLevel::kInfo, fmt::format("agent: Join completed. Synced with {} initial agents", contacted));
  } else if (contacted > 0) {
    around_.log(LogLevel::kInfo, fmt::format("agent: (LAN) joined: number_of_nodes={}", contacted));
    around_.log(LogLevel::kInfo, fmt::format("agent: Join cluster completed. Synced with initial agents: cluster=LAN num_agents={}", contacted));
    return;
  }
  const bool serf = config_.kind == AgentKind::kSerf;
  if (!serf) around_.log(LogLevel::kWarn, fmt::format("agent: (LAN) couldn't join: number_of_nodes=0 error=\"{}\"", one_line(error)));
  ++retry_attempts_;
  if (config_.retry_max > 0 && retry_attempts_ > config_.retry_max) {
    const std::string_view why = serf ? "agent: maximum retry join attempts made, exiting" : "agent: max join LAN retry exhausted, exiting";
    around_.log(LogLevel::kError, why);
    end(now, 1, why);
    return;
  }
  const std::string interval = go_duration(config_.retry_interval);
  around_.log(LogLevel::kWarn, serf ? fmt::format("agent: Join failed: {}, retrying in {}", one_line(error), interval)
                                    : fmt::format("agent: Join cluster failed, will retry: cluster=LAN retry_interval={} error=\"{}\"",
                                                  interval, one_line(error)));
  retry_at_ = now + config_.retry_interval;
}

void Agent::flood_notified(Instant now) {
  // A notice that comes while the flood before is on its way is lost: nobody receives from the channel.
  for (std::size_t i = 1; i < pools_.size(); ++i) {
    if (floods_[i].under_way == 0) flood_segment(now, i);
  }
}

void Agent::flood_segment(Instant now, std::size_t i) {
  Pool& segment = *pools_[i];
  // Members of the segment count as known in any state: bringing failed ones back is Serf's reconnect's work.
  std::set<std::string_view> known;
  for (const gossip::Member& m : segment.serf().members()) {
    const auto server = parse_server(*m.tags);
    if (server && server->datacenter == config_.datacenter) known.insert(m.name);
  }
  for (const gossip::Member& m : pools_[0]->serf().members()) {
    const auto server = parse_server(*m.tags);
    if (!server || m.status != gossip::MemberStatus::kAlive || known.contains(m.name)) continue;
    // Consul asks the peer over RPC where its listener of the segment is; no tag says so since 1.7.3. Until there are
    // RPCs it is assumed to be configured like this server: the segment's port at the address of the default segment.
    // What it advertises in the segment becomes known only once it is a member.
    const Endpoint there{m.endpoint.address, segment.place().port};
    const std::uint32_t token = begin_join(now, segment, {std::string(m.name) + "/" + there.text()}, true);
    floods_[i].dials.push_back({token, std::string(m.name), there});
    ++floods_[i].under_way;
  }
}

void Agent::flood_tick(Instant now) {
  flood_at_ = now + kFloodInterval;
  for (std::size_t i = 1; i < pools_.size(); ++i) {
    if (floods_[i].under_way == 0) flood_segment(now, i);
    else floods_[i].tick_waits = true;
  }
}

void Agent::flood_join_done(Instant now, const Done& done) {
  around_.joined(PoolId{static_cast<std::uint32_t>(done.pool)}, {JoinReport::Why::kFlood, done.contacted, done.error});
  if (done.contacted > 0) around_.log(LogLevel::kDebug, "agent.server: Successfully performed flood-join for server at address");
  else around_.log(LogLevel::kDebug, "agent.server: Failed to flood-join server at address: " + one_line(done.error));
  warn_of_flood(done.pool, done);
  Flood& flood = floods_[done.pool];
  if (flood.under_way == 0 || --flood.under_way > 0 || !std::exchange(flood.tick_waits, false) || leaving_) return;
  flood_segment(now, done.pool);
}

/// Once for each server: where it was looked for is an assumption (flood_segment).
void Agent::warn_of_flood(std::size_t pool, const Done& done) {
  Flood& flood = floods_[pool];
  const auto dial = std::find_if(flood.dials.begin(), flood.dials.end(), [&](const Flood::Dial& d) { return d.token == done.token; });
  if (dial == flood.dials.end()) return;
  if (done.contacted == 0 && flood.warned.insert(dial->peer).second) {
    around_.log(LogLevel::kWarn, fmt::format("agent.server: server {:?} not reached in segment {:?} at {}: a segment listener is looked "
                                             "for at the port that this server uses", dial->peer, pools_[pool]->place().segment, dial->there.text()));
  }
  flood.dials.erase(dial);
}

void Agent::on_member_event(Pool& pool, const gossip::MemberEvent& event, Cause) {
  if (rpc_side_) {
    rpc_side_->on_member_event(pool, event);
    member_news_ = true;
  }
  if (!config_.server || pool.place().id.value != 0 || pools_.size() < 2) return;
  if (event.kind != gossip::MemberEventKind::kJoin || event.member == pool.serf().self()) return;
  const auto member = pool.serf().find(event.member);
  if (member && parse_server(*member->tags)) flood_wanted_ = true;
}

// --- Leaving -------------------------------------------------------------------------------------------------------

// agent/consul/client_serf.go localEvent, server_serf.go localEvent.
void Agent::on_user_event(const gossip::UserEvent& event) {
  if (!rpc_side_ || event.name != kNewLeaderEvent) return;
  around_.log(LogLevel::kInfo, fmt::format("agent.{}: New leader elected: payload={}", config_.server ? "server" : "client", text_of(event.payload)));
  rpc_side_->on_new_leader();
}

void Agent::terminate(Instant now) { signalled(now, "terminated", config_.leave_on_terminate); }
void Agent::interrupt(Instant now) { signalled(now, "interrupt", !config_.skip_leave_on_interrupt); }

// consul command/agent/agent.go run, serf command/agent/command.go handleSignals.
void Agent::signalled(Instant now, std::string_view signal, bool graceful) {
  if (!started_ || ended_) return;
  const bool serf = config_.kind == AgentKind::kSerf;
  if (leave_limit_ != Instant::never()) {
    if (!serf) around_.log(LogLevel::kInfo, fmt::format("agent: Caught second signal, Exiting: signal={}", signal));
    return end(now, 1, "Caught second signal, Exiting");
  }
  around_.log(LogLevel::kInfo, serf ? fmt::format("Caught signal: {}", signal) : fmt::format("agent: Caught: signal={}", signal));
  if (!graceful) {
    if (!serf) around_.log(LogLevel::kInfo, "agent: Graceful shutdown disabled. Exiting");
    return end(now, 1, "Graceful shutdown disabled. Exiting");
  }
  around_.log(LogLevel::kInfo, serf ? "Gracefully shutting down agent..." : "agent: Gracefully shutting down agent...");
  leave_limit_ = now + (serf ? kSerfGracefulTimeout : kGracefulTimeout);
  begin_leave(now);
  settle(now);
}

/// By a signal there is a limit to it; `consul leave` takes as long as it takes (agent_endpoint.go AgentLeave).
void Agent::begin_leave(Instant now) {
  if (leaving_) return;
  leaving_ = true;
  leaving_pool_ = 0;
  retry_at_ = flood_at_ = Instant::never();
  if (config_.kind == AgentKind::kConsul) {
    around_.log(LogLevel::kInfo, config_.server ? "agent.server: server starting leave" : "agent.client: client starting leave");
  } else {
    around_.log(LogLevel::kInfo, "agent: requesting graceful leave from Serf");
  }
  if (rpc_side_) rpc_side_->begin_leave(now);  // a leader hands over first
  else leave_next_pool(now);
}

void Agent::leave_next_pool(Instant now) {
  // The LAN first, then a server's segments, one after another (consul agent/consul/server.go Leave).
  while (leaving_pool_ < pools_.size()) {
    if (!pools_[leaving_pool_]->serf().leave(now)) return;  // on its way; settle() goes on
    ++leaving_pool_;
  }
  if (rpc_side_) rpc_side_->pools_left(now);  // a server drains
  else left(now);
}

void Agent::left(Instant now) {
  if (leave_limit_ != Instant::never() && config_.kind == AgentKind::kConsul) around_.log(LogLevel::kInfo, "agent: Graceful exit completed");
  end(now, 0, "Graceful exit completed");
}

/// Only plain Serf gives up (serf 0.9 serf.go Leave): a command says so and shuts down, after a signal the time runs out.
void Agent::leave_failed(Instant now, const std::string& error) {
  if (leave_limit_ != Instant::never()) return around_.log(LogLevel::kError, "Error: " + error);
  around_.log(LogLevel::kError, "agent.ipc: leave failed: " + error);
  for (const CommandId command : std::exchange(leave_commands_, {})) around_.command_done(command, {1, "", "Error leaving: " + error + "\n"});
  end(now, 0, "leave failed: " + error);
}

void Agent::end(Instant now, int status, std::string_view why) {
  if (ended_) return;
  ended_ = true;
  for (const auto& pool : pools_) pool->serf().shutdown(now);
  if (rpc_side_) rpc_side_->shutdown(now);
  for (const CommandId command : std::exchange(leave_commands_, {})) {
    around_.command_done(command, {0, "Graceful leave complete\n", ""});
  }
  // The API went away under whoever still waited.
  for (const JoinCommand& run : std::exchange(join_commands_, {})) {
    around_.command_done(run.command, {1, "", run.err + "Error joining address: EOF\n"});
  }
  for (const BroadcastCommand& run : std::exchange(broadcast_commands_, {})) {
    around_.command_done(run.command, {1, "", run.error + "EOF\n"});
  }
  around_.exited(status, why);
}

// --- Inputs --------------------------------------------------------------------------------------------------------

void Agent::settle(Instant now) {
  do {
    while (!done_.empty() && !ended_) {
      const std::vector<Done> batch = std::exchange(done_, {});
      for (const Done& done : batch) {
        if (!ended_) settle_one(now, done);
      }
    }
    if (std::exchange(flood_wanted_, false) && !leaving_ && !ended_) flood_notified(now);
    member_news_ = false;
    if (rpc_side_ && !ended_) rpc_side_->run(now);
  } while (!done_.empty() && !ended_);
}

void Agent::settle_one(Instant now, const Done& done) {
  switch (done.what) {
    case Done::What::kLeave:
      if (leaving_ && done.pool == leaving_pool_) {
        if (!done.error.empty()) return leave_failed(now, done.error);
        ++leaving_pool_;
        leave_next_pool(now);
      }
      return;
    case Done::What::kCommand:
      return broadcast_command_done(now, done);
    case Done::What::kJoin:
      if (done.token == retry_token_) return retry_join_done(now, done.contacted, done.error);
      if (join_command_done(now, done)) return;
      flood_join_done(now, done);
      return;
  }
}

void Agent::on_packet(Instant now, PoolId pool, const Endpoint& from, const Bytes& payload) {
  if (ended_) return;
  pools_[pool.index()]->serf().on_packet(now, from, payload);
  if (!done_.empty() || flood_wanted_ || member_news_) [[unlikely]] settle(now);
}

void Agent::on_stream_accepted(Instant now, PoolId pool, gossip::StreamId stream, const Endpoint& from) {
  if (ended_) return;
  if (pool == kRpcPool) return on_rpc(now, [&](RpcSide& side) { side.on_accepted(now, stream, from); });
  pools_[pool.index()]->serf().on_stream_accepted(now, stream, from);
  settle(now);
}

void Agent::on_stream_connected(Instant now, PoolId pool, gossip::StreamId stream) {
  if (ended_) return;
  if (pool == kRpcPool) return on_rpc(now, [&](RpcSide& side) { side.on_connected(now, stream); });
  pools_[pool.index()]->serf().on_stream_connected(now, stream);
  settle(now);
}

void Agent::on_stream_failed(Instant now, PoolId pool, gossip::StreamId stream, std::string_view error) {
  if (ended_) return;
  if (pool == kRpcPool) return on_rpc(now, [&](RpcSide& side) { side.on_failed(now, stream, error); });
  pools_[pool.index()]->serf().on_stream_failed(now, stream, error);
  settle(now);
}

void Agent::on_stream_data(Instant now, PoolId pool, gossip::StreamId stream, const Bytes& data) {
  if (ended_) return;
  if (pool == kRpcPool) return on_rpc(now, [&](RpcSide& side) { side.on_data(now, stream, data); });
  pools_[pool.index()]->serf().on_stream_data(now, stream, data);
  settle(now);
}

void Agent::on_stream_eof(Instant now, PoolId pool, gossip::StreamId stream) {
  if (ended_) return;
  if (pool == kRpcPool) return on_rpc(now, [&](RpcSide& side) { side.on_eof(now, stream); });
  pools_[pool.index()]->serf().on_stream_eof(now, stream);
  settle(now);
}

void Agent::on_stream_writable(Instant now, PoolId pool, gossip::StreamId stream) {
  if (ended_ || pool != kRpcPool) return;
  on_rpc(now, [&](RpcSide& side) { side.on_writable(now, stream); });
}

void Agent::on_stored(Instant now, raft::StoreOp op, std::string_view error) {
  if (ended_) return;
  on_rpc(now, [&](RpcSide& side) { side.on_stored(now, op, error); });
}

void Agent::call_rpc(Instant now, std::string_view method, Bytes arguments, RpcDone done) {
  if (ended_ || !rpc_side_) return done(now, Error{"agent is not running"});
  rpc_side_->rpc().call(now, method, std::move(arguments), std::move(done));
  settle(now);
}

AgentRpc* Agent::rpc() { return rpc_side_ ? &rpc_side_->rpc() : nullptr; }
Server* Agent::server() { return rpc_side_ ? rpc_side_->server() : nullptr; }
const Server* Agent::server() const { return rpc_side_ ? rpc_side_->server() : nullptr; }
const RpcClient* Agent::rpc_client() const { return rpc_side_ ? rpc_side_->client() : nullptr; }

Instant Agent::next_deadline() const {
  if (ended_) return Instant::never();
  Instant next = std::min({retry_at_, flood_at_, leave_limit_});
  for (const auto& pool : pools_) next = std::min(next, pool->serf().next_deadline());
  if (rpc_side_) next = std::min(next, rpc_side_->next_deadline());
  return next;
}

void Agent::on_deadline(Instant now) {
  if (ended_) return;
  for (const auto& pool : pools_) {
    if (pool->serf().next_deadline() <= now) pool->serf().on_deadline(now);
  }
  if (rpc_side_ && rpc_side_->next_deadline() <= now) rpc_side_->on_deadline(now);
  settle(now);
  around_.because({});  // what follows is the agent's own, whatever ended in this wake-up
  if (!ended_ && retry_at_ <= now) attempt_retry_join(now);
  if (!ended_ && flood_at_ <= now) flood_tick(now);
  if (!ended_ && leave_limit_ <= now) {
    if (config_.kind == AgentKind::kConsul) around_.log(LogLevel::kInfo, "agent: Timeout on graceful leave. Exiting");
    end(now, 1, "Timeout on graceful leave. Exiting");
  }
  settle(now);
}

// --- Looking in ----------------------------------------------------------------------------------------------------

const gossip::Serf& Agent::serf(PoolId pool) const { return pools_[pool.index()]->serf(); }
const std::string& Agent::segment(PoolId pool) const { return pools_[pool.index()]->place().segment; }
std::uint16_t Agent::port(PoolId pool) const { return pools_[pool.index()]->place().port; }

Result<std::vector<MemberRow>> Agent::members(std::string_view segment) const {
  std::vector<MemberRow> rows;
  bool found = segment == "_all";
  for (const auto& pool : pools_) {
    const bool is_default = pool->place().id.value == 0;
    if (segment != "_all" && pool->place().segment != segment) continue;
    found = true;
    for (const gossip::Member& m : pool->serf().members()) {
      if (segment == "_all" && !is_default && tag(*m.tags, "role") == "consul") continue;
      rows.push_back({std::string(m.name), m.endpoint, std::string(to_text(m.status)), m.versions, *m.tags});
    }
  }
  if (!found) return Error{fmt::format("segment \"{}\" not found", segment)};
  return rows;
}

}  // namespace dcsim::consul
