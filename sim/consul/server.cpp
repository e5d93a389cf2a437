#include "consul/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "consul/tags.h"

namespace dcsim::consul {

namespace {

constexpr int kTransferAttempts = 3;         // leader.go attemptLeadershipTransfer
constexpr Duration kCoordinatePeriod = 5_s;  // config.go CoordinateUpdatePeriod, ...BatchSize, ...MaxBatches
constexpr std::size_t kCoordinateBatch = 128;
constexpr std::size_t kCoordinateBatches = 5;

RaftTransportConfig transport_config(const AgentConfig& config) {
  RaftTransportConfig c;
  c.local_address = Endpoint{config.advertise, config.rpc_port}.text();
  return c;
}

RpcServerConfig rpc_config(const AgentConfig& config) {
  RpcServerConfig c;
  c.handshake_timeout = config.rpc_handshake_timeout;
  c.max_conns_per_client = config.rpc_max_conns_per_client;
  c.local = {config.bind, config.rpc_port};
  return c;
}

ConnPoolConfig pool_config(const AgentConfig& config) {
  ConnPoolConfig c = ConnPoolConfig::server();
  c.client_timeout = config.rpc_client_timeout;
  return c;
}

}  // namespace

Server::Server(const AgentConfig& config, Surroundings& around, StreamIo& io, ServerHost& host, raft::Storage& storage,
               std::uint64_t seed, std::string entity)
    : config_(config),
      around_(around),
      host_(host),
      storage_(storage),
      seed_(seed),
      entity_(std::move(entity)),
      settings_{config.rpc_hold_timeout, config.max_query_time, config.default_query_time},
      transport_(transport_config(config), io, *this),
      rpc_(rpc_config(config), io, *this),
      pool_(pool_config(config), io, *this),
      port_(&pool_, &rpc_, &transport_),
      jitter_(seed, entity_, "rpc-jitter"),
      wait_(seed, entity_, "blocking-query"),
      uuid_(seed, entity_, "uuid") {}

Server::~Server() = default;

std::optional<Error> Server::start(Instant now) {
  now_ = started_ = now;
  raft::Config c = raft::Config::consul(config_.raft_multiplier);
  c.id = config_.node_id;
  c.address = Endpoint{config_.advertise, config_.rpc_port}.text();
  c.pre_vote = !config_.raft_prevote_disabled;
  c.snapshot_interval = config_.raft_snapshot_interval;
  c.snapshot_threshold = config_.raft_snapshot_threshold;
  c.trailing_logs = config_.raft_trailing_logs;
  if (auto problem = c.problem()) return Error{"Failed to start Raft: " + problem->text};
  const bool has_state = storage_.last_index() != 0 || storage_.snapshot() || storage_.record().current_term != 0;
  const raft::Server self{raft::Suffrage::kVoter, c.id, c.address};
  raft::Actions& actions = *this;
  node_ = std::make_unique<raft::Node>(std::move(c), storage_, actions, seed_, entity_);
  transport_.attach(node_.get());
  node_->start(now);
  if (config_.bootstrap && !has_state) node_->bootstrap(now, 0, raft::Configuration{{self}});
  return std::nullopt;
}

void Server::on_stored(Instant now, raft::StoreOp op, std::string_view error) {
  if (shut_) return;
  now_ = now;
  node_->on_stored(now, op, error);
}

// server_serf.go lanEventHandler: servers' members of segments are no news to it, clients' are.
void Server::on_member_event(PoolId pool, gossip::MemberEventKind kind, const gossip::Member& member) {
  if (const auto server = server_entry(member);
      server && server->segment.empty() && pool.value == 0 && server->datacenter == config_.datacenter) {
    using Kind = gossip::MemberEventKind;
    if (kind == Kind::kJoin || kind == Kind::kUpdate) {
      around_.log(LogLevel::kInfo, fmt::format("agent.server: {} LAN server: server=\"{} (Addr: tcp/{}) (DC: {})\"",
                                               kind == Kind::kJoin ? "Adding" : "Updating", server->name,
                                               server->address, server->datacenter));
      lookup_.add(*server);
    } else {
      around_.log(LogLevel::kInfo,
                  fmt::format("agent.server: Removing LAN server: server=\"{} (Addr: tcp/{}) (DC: {})\"", server->name,
                              server->address, server->datacenter));
      lookup_.remove(*server);
    }
  }
  if (!duties_.empty()) members_.push_back({pool, kind, member});
}

void Server::run(Instant now) {
  if (running_ || shut_ || !node_) return;
  running_ = true;
  now_ = now;
  bool more = true;
  while (more && !shut_) {
    port_.run(now);
    more = take_ended(now);
    more = tell_duties(now) || more;
    more = wake_queries(now) || more;
    more = deliver_local(now) || more;
  }
  running_ = false;
  if (!panic_.empty() && !shut_) raft_panic(now);
}

bool Server::tell_duties(Instant now) {
  if (leadership_.empty() && members_.empty() && applied_to_ == told_applied_) return false;
  const std::vector<bool> leadership = std::exchange(leadership_, {});
  const std::vector<MemberNews> members = std::exchange(members_, {});
  told_applied_ = applied_to_;
  for (ServerDuties* duties : duties_) {
    for (const bool leading : leadership) duties->on_leadership(now, leading);
    for (const MemberNews& m : members) duties->on_member(now, m.pool, m.kind, m.member);
    duties->on_applied(now, told_applied_);
  }
  return true;
}

void Server::on_deadline(Instant now) {
  if (shut_ || !node_) return;
  now_ = now;
  if (node_->next_deadline() <= now) node_->on_deadline(now);
  if (port_.next_deadline() <= now) port_.on_deadline(now);
  std::uint32_t slot = kNoSlot;
  while (!shut_ && request_deadlines_.due(now, slot)) request_due(now, slot);
  if (coordinates_at_ <= now) send_coordinates(now);
  for (ServerDuties* duties : duties_) {
    if (duties->next_deadline() <= now) duties->on_deadline(now);
  }
  run(now);
}

Instant Server::next_deadline() const {
  if (shut_ || !node_) return Instant::never();
  if (!ended_.empty() || !leadership_.empty() || !members_.empty() || !local_.empty() || !panic_.empty()) return now_;
  Instant next = std::min({node_->next_deadline(), port_.next_deadline(), request_deadlines_.next(), coordinates_at_});
  for (const ServerDuties* duties : duties_) next = std::min(next, duties->next_deadline());
  return next;
}

void Server::log(LogLevel level, std::string_view line) { around_.log(level, line); }

// --- Calls of single servers ---------------------------------------------------------------------------------------

void Server::call_server(Instant now, const ServerEntry& server, std::string_view method, Bytes args, RpcReply reply,
                         std::optional<Duration> timeout) {
  const std::uint32_t slot = direct_.take();
  direct_[slot].reply = std::move(reply);
  pool_.call(now, direct_.id(slot) | kDirect, server.short_name, server.rpc, method, args, timeout);
}

void Server::rpc_result(Instant now, CallToken token, const Bytes& reply, std::string_view error) {
  if (token & kDirect) {
    const std::uint32_t slot = direct_.find(token & ~kDirect);
    if (slot == kNoSlot) return;
    local_.push_back({std::exchange(direct_[slot].reply, nullptr), reply, std::string(error)});
    return direct_.give(slot);
  }
  const std::uint32_t slot = requests_.find(token);
  if (slot == kNoSlot || requests_[slot].state != ServerRequest::State::kForwarded) return;
  if (error.empty()) return answer_raw(now, slot, reply);
  retry_or_refuse(now, slot, error);
}

// --- Coordinates (coordinate_endpoint.go) --------------------------------------------------------------------------

void Server::coordinate_updated(Instant now, wire::rpc::Coordinate coordinate) {
  if (coordinates_.empty()) {
    const std::int64_t periods = (now - started_) / kCoordinatePeriod + 1;
    coordinates_at_ = started_ + kCoordinatePeriod * periods;
  }
  std::pair<std::string, std::string> key{coordinate.node, coordinate.segment};
  coordinates_[std::move(key)] = std::move(coordinate);
}

void Server::send_coordinates(Instant now) {
  coordinates_at_ = Instant::never();
  const auto pending = std::exchange(coordinates_, {});
  std::size_t left = std::min(pending.size(), kCoordinateBatch * kCoordinateBatches);
  if (left < pending.size())
    log(LogLevel::kWarn, fmt::format("agent.server.coordinate: Discarded coordinate updates: number_discarded={}",
                                     pending.size() - left));
  const RaftReply failed = [this](Instant, const RaftResult& result) {
    if (!result.error.empty())
      log(LogLevel::kWarn, fmt::format("agent.server.coordinate: Batch update failed: error=\"{}\"", result.error));
  };
  wire::rpc::Coordinates batch;
  for (auto it = pending.begin(); left > 0; ++it) {
    batch.push_back(it->second);
    if (--left > 0 && batch.size() < kCoordinateBatch) continue;
    command_.clear();
    command_.push_back(static_cast<std::uint8_t>(wire::rpc::CommandType::kCoordinateBatchUpdate) |
                       wire::rpc::kIgnoreUnknownType);
    wire::rpc::encode(batch, command_);
    apply(now, Bytes(command_), failed);
    batch.clear();
  }
}

// --- Leaving -------------------------------------------------------------------------------------------------------

bool Server::must_hand_over() const { return is_leader() && raft::voters_of(node_->configurations().latest) > 1; }

void Server::hand_over(Instant now, std::function<void(Instant, bool)> done) { try_hand_over(now, 1, std::move(done)); }

void Server::try_hand_over(Instant now, int attempt, std::function<void(Instant, bool)> done) {
  transfer_leadership(now, "", [this, attempt, done = std::move(done)](Instant at, const RaftResult& result) {
    if (result.error.empty()) {
      around_.log(LogLevel::kInfo,
                  fmt::format("agent.server: successfully transferred leadership: attempt={} retry_limit={}", attempt,
                              kTransferAttempts));
      return done(at, true);
    }
    around_.log(
        LogLevel::kError,
        fmt::format(
            "agent.server: failed to transfer leadership attempt, will retry: attempt={} retry_limit={} error=\"{}\"",
            attempt, kTransferAttempts, result.error));
    if (attempt < kTransferAttempts) return try_hand_over(at, attempt + 1, done);
    around_.log(LogLevel::kError, fmt::format("agent.server: failed to transfer leadership, removing the server: "
                                              "error=\"failed to transfer leadership in {} attempts\"",
                                              kTransferAttempts));
    change_configuration(
        at, {raft::ChangeCommand::kRemoveServer, config_.node_id, {}, 0},
        [this, done](Instant then, const RaftResult& removed) {
          if (!removed.error.empty())
            around_.log(LogLevel::kError,
                        fmt::format("agent.server: failed to remove self as raft peer: error=\"{}\"", removed.error));
          done(then, false);
        });
  });
}

void Server::refuse_rpc(Instant now) {
  refusing_ = true;
  // Whoever waits for a leader hears at once that there is none.
  for (std::uint32_t slot = 0; slot < requests_.size(); ++slot) {
    if (requests_[slot].state == ServerRequest::State::kJitter) refuse(now, slot, requests_[slot].last_error);
  }
}

bool Server::out_of_raft() const {
  const std::string_view self = node_->config().address;
  const auto& servers = node_->configurations().latest.servers;
  return std::none_of(servers.begin(), servers.end(), [&](const raft::Server& s) { return s.address == self; });
}

void Server::shutdown(Instant now) {
  if (shut_) return;
  shut_ = true;
  if (!node_) return;
  node_->shutdown(now);
  transport_.shutdown();
  rpc_.shut_down();
  pool_.shutdown(now);
}

}  // namespace dcsim::consul
