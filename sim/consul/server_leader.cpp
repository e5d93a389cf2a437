#include "consul/server_leader.h"

#include <algorithm>
#include <utility>

#include "consul/server.h"
#include "gossip/serf.h"

namespace dcsim::consul {

namespace {

LanMember lan_member(const gossip::Member& m, bool reaped) {
  return {std::string(m.name), m.endpoint, m.status, reaped, m.tags, m.versions};
}

/// Hands on the error of Raft, or else of the state machine.
RaftReply to_done(Done done) {
  return [done = std::move(done)](Instant now, const RaftResult& result) {
    if (!result.error.empty()) return done(now, Error{std::string(result.error)});
    if (result.applied.kind == Applied::Kind::kError) return done(now, Error{result.applied.text});
    done(now, std::nullopt);
  };
}

}  // namespace

ServerLeader::ServerLeader(Server& server)
    : server_(server),
      self_{server.config().node_name, server.config().node_id, server.config().datacenter},
      loop_(self_, *this),
      bootstrap_(self_, *this, server.config().bootstrap_expect) {}

// --- ServerDuties --------------------------------------------------------------------------------------------------

void ServerLeader::on_member(Instant now, PoolId pool, gossip::MemberEventKind kind, const gossip::Member& member) {
  loop_.on_member(now, lan_member(member, kind == gossip::MemberEventKind::kReap));
  if (kind != gossip::MemberEventKind::kJoin || pool.value != 0 || bootstrap_.expect() == 0) return;
  if (is_server(*member.tags)) bootstrap_.maybe_bootstrap(now);
}

void ServerLeader::on_applied(Instant now, std::uint64_t) {
  const std::uint64_t newest = server_.store().kv().newest_tombstone();
  if (newest > tombstone_) loop_.tombstones().hint(now, newest);
  tombstone_ = newest;
}

Instant ServerLeader::next_deadline() const { return std::min(loop_.next_deadline(), bootstrap_.next_deadline()); }

void ServerLeader::on_deadline(Instant now) {
  if (loop_.next_deadline() <= now) loop_.on_deadline(now);
  if (bootstrap_.next_deadline() <= now) bootstrap_.on_deadline(now);
}

bool ServerLeader::autopilot_state(Instant, wire::rpc::AutopilotState& out) const {
  const auto state = loop_.autopilot().state();
  if (state) out = *state;
  return state.has_value();
}

bool ServerLeader::server_health(Instant, wire::rpc::AutopilotHealthReply& out) const {
  const auto health = loop_.autopilot().health();
  if (health) out = *health;
  return health.has_value();
}

// --- LeaderHost ----------------------------------------------------------------------------------------------------

void ServerLeader::apply_command(Instant now, Bytes payload, Done done) {
  server_.apply(now, std::move(payload), to_done(std::move(done)));
}
void ServerLeader::barrier(Instant now, Duration timeout, Done done) {
  server_.barrier(now, timeout, to_done(std::move(done)));
}
void ServerLeader::change_configuration(Instant now, raft::ConfigurationChange change, Done done) {
  server_.change_configuration(now, std::move(change), to_done(std::move(done)));
}
void ServerLeader::transfer_leadership(Instant now, Done done) {
  server_.transfer_leadership(now, "", to_done(std::move(done)));
}
void ServerLeader::bootstrap_cluster(Instant now, raft::Configuration configuration, Done done) {
  server_.bootstrap(now, configuration, to_done(std::move(done)));
}
bool ServerLeader::is_leader() const { return server_.is_leader(); }
const raft::Configuration& ServerLeader::configuration() const { return server_.raft().configurations().latest; }
raft::LogPosition ServerLeader::last_entry() const { return server_.raft().last_entry(); }
std::string_view ServerLeader::leader_id() const { return server_.raft().leader_id(); }
const StateStore& ServerLeader::state() const { return server_.store(); }

std::vector<LanMember> ServerLeader::members() const {
  std::vector<LanMember> out;
  for (std::uint32_t pool = 0; pool < server_.host().pool_count(); ++pool) {
    for (const gossip::Member& m : server_.host().serf(PoolId{pool}).members()) {
      if (pool == 0 || m.tag("role") != "consul") out.push_back(lan_member(m, false));
    }
  }
  return out;
}

std::vector<LanMember> ServerLeader::server_members() const {
  std::vector<LanMember> out;
  for (const gossip::Member& m : server_.host().serf(PoolId{0}).members()) {
    if (is_server(*m.tags)) out.push_back(lan_member(m, false));
  }
  return out;
}

std::optional<Error> ServerLeader::send_user_event(Instant now, std::string_view name, ByteView payload) {
  return server_.host().user_event(now, name, payload);
}
void ServerLeader::force_leave(Instant now, std::string_view name) { server_.host().remove_failed_node(now, name); }

template <class Reply, class Request, class Then>
void ServerLeader::ask(Instant now, const LanMember& server, std::string_view method, const Request& request,
                       Then done) {
  ServerEntry entry;
  entry.name = entry.short_name = server.name;
  entry.address = rpc_address(server);
  if (!parse_endpoint(entry.address, entry.rpc)) return done(now, Result<Reply>(Error{"not a server"}));
  Buffer args;
  wire::rpc::encode(request, args);
  server_.call_server(now, entry, method, Bytes(args),
                      [done = std::move(done)](Instant at, const Bytes& body, std::string_view error) {
                        Reply reply{};
                        if (!error.empty()) return done(at, Result<Reply>(Error{std::string(error)}));
                        if (!wire::rpc::decode(body.view(), reply))
                          return done(at, Result<Reply>(Error{"rpc error making call: msgpack decode error"}));
                        done(at, Result<Reply>(std::move(reply)));
                      });
}

void ServerLeader::call_raft_stats(Instant now, const LanMember& server,
                                   std::function<void(Instant now, const Result<wire::rpc::RaftStats>& stats)> done) {
  ask<wire::rpc::RaftStats>(now, server, wire::rpc::method::kStatusRaftStats, wire::rpc::Empty{}, std::move(done));
}

void ServerLeader::call_status_peers(Instant now, const LanMember& server,
                                     std::function<void(Instant now, const Result<wire::rpc::Texts>& peers)> done) {
  wire::rpc::DcSpecificRequest request;
  request.datacenter = self_.datacenter;
  ask<wire::rpc::Texts>(now, server, wire::rpc::method::kStatusPeers, request, std::move(done));
}

std::optional<Error> ServerLeader::leadership_established(Instant) {
  server_.set_ready(true);
  return std::nullopt;
}

void ServerLeader::leadership_revoked(Instant) { server_.set_ready(false); }

void ServerLeader::log(Instant, LogLevel level, std::string_view line) { server_.around().log(level, line); }

}  // namespace dcsim::consul
