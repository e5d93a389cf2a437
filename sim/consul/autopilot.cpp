#include "consul/autopilot.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "consul/agent_config.h"
#include "raft/membership.h"

namespace dcsim::consul {

namespace {

constexpr Duration kUpdateInterval = 2_s;

std::string version_text(std::string_view build) {
  const auto v = parse_build(build);
  return v ? fmt::format("{}.{}.{}", v->major, v->minor, v->patch) : "";
}

/// A member that is leaving is still there: it must not be removed before it has left (autopilot.go).
std::string_view node_status(gossip::MemberStatus status) {
  switch (status) {
    case gossip::MemberStatus::kAlive:
    case gossip::MemberStatus::kLeaving: return "alive";
    case gossip::MemberStatus::kFailed: return "failed";
    case gossip::MemberStatus::kLeft: return "left";
    case gossip::MemberStatus::kNone: break;
  }
  return "unknown";
}

raft::GossipStatus gossip_status(gossip::MemberStatus status) {
  switch (status) {
    case gossip::MemberStatus::kAlive: return raft::GossipStatus::kAlive;
    case gossip::MemberStatus::kLeaving: return raft::GossipStatus::kLeaving;
    case gossip::MemberStatus::kFailed: return raft::GossipStatus::kFailed;
    case gossip::MemberStatus::kLeft: return raft::GossipStatus::kLeft;
    case gossip::MemberStatus::kNone: break;
  }
  return raft::GossipStatus::kUnknown;
}

raft::AutopilotConfig core_config(const wire::rpc::AutopilotConfig& c) {
  raft::AutopilotConfig out;
  out.cleanup_dead_servers = c.cleanup_dead_servers;
  out.last_contact_threshold = c.last_contact_threshold;
  out.max_trailing_logs = c.max_trailing_logs;
  out.min_quorum = c.min_quorum;
  out.server_stabilization_time = c.server_stabilization_time;
  return out;
}

std::string_view suffrage_word(raft::Suffrage suffrage) {
  switch (suffrage) {
    case raft::Suffrage::kVoter: return "voter";
    case raft::Suffrage::kNonvoter: return "non-voter";
    case raft::Suffrage::kStaging: return "staging";
  }
  return "none";
}

}  // namespace

wire::rpc::AutopilotConfig default_autopilot_config() {
  wire::rpc::AutopilotConfig c;
  c.cleanup_dead_servers = true;
  c.last_contact_threshold = 200_ms;
  c.max_trailing_logs = 250;
  c.server_stabilization_time = 10_s;
  return c;
}

std::optional<AutopilotServerInfo> autopilot_server(const LanMember& member) {
  const auto server = parse_server(*member.tags);
  if (!server || !server->segment.empty()) return std::nullopt;
  AutopilotServerInfo out;
  out.id = tag(*member.tags, "id");
  out.name = member.name;
  out.address = rpc_address(member);
  out.version = version_text(tag(*member.tags, "build"));
  out.status = member.status;
  out.raft_version = tag(*member.tags, "raft_vsn") == "3" ? 3 : 2;
  return out;
}

ServerAutopilot::ServerAutopilot(ServerIdentity self, LeaderHost& host, wire::rpc::AutopilotConfig defaults)
    : self_(std::move(self)), host_(host), defaults_(std::move(defaults)) {}

void ServerAutopilot::log(Instant now, LogLevel level, std::string_view line) const {
  host_.log(now, level, fmt::format("agent.server.autopilot: {}", line));
}

wire::rpc::AutopilotConfig ServerAutopilot::config() const {
  const auto& replicated = host_.state().autopilot();
  return replicated ? *replicated : defaults_;
}

void ServerAutopilot::start(Instant now) {
  if (running_) return;
  running_ = true;
  core_.configure(core_config(config()));
  core_.start(now);
  log(now, LogLevel::kDebug, "autopilot is now running");
  open_round(now);
}

void ServerAutopilot::stop() {
  running_ = false;
  core_.stop();
  update_at_ = round_limit_ = Instant::never();
  state_.reset();
  stats_.clear();
}

Instant ServerAutopilot::next_deadline() const {
  if (!running_) return Instant::never();
  return std::min({update_at_, round_limit_, acting_ ? Instant::never() : core_.next_reconcile()});
}

void ServerAutopilot::on_deadline(Instant now) {
  if (!running_) return;
  if (round_limit_ <= now) close_round(now);
  if (update_at_ <= now) open_round(now);
  if (!acting_ && core_.next_reconcile() <= now) reconcile(now);
}

// --- What is known of the servers --------------------------------------------------------------------------------------

std::vector<AutopilotServerInfo> ServerAutopilot::known_servers(const std::vector<LanMember>& members) const {
  std::vector<AutopilotServerInfo> out;
  for (const LanMember& member : members) {
    auto server = autopilot_server(member);
    if (!server) continue;
    if (const NodeRecord* node = host_.state().node_by_id(server->id)) server->meta = node->node.meta;
    out.push_back(std::move(*server));
  }
  return out;
}

const AutopilotServerInfo* ServerAutopilot::known(std::string_view id) const {
  const auto found = std::find_if(known_.begin(), known_.end(), [&](const auto& server) { return server.id == id; });
  return found == known_.end() ? nullptr : &*found;
}

/// stats_fetcher.go Fetch: all servers but those that left are asked at once; what still runs is not asked again.
void ServerAutopilot::open_round(Instant now) {
  update_at_ = now + kUpdateInterval;
  if (round_limit_ != Instant::never()) return;  // its answers are still awaited
  core_.configure(core_config(config()));
  const std::vector<LanMember> members = host_.server_members();
  known_ = known_servers(members);
  const std::uint64_t round = ++round_;
  round_limit_ = now + kUpdateInterval / 2;
  fresh_.clear();
  waiting_ = 1;  // answers may come from inside the calls
  for (const LanMember& member : members) {
    const auto server = autopilot_server(member);
    if (!server || server->status == gossip::MemberStatus::kLeft) continue;
    if (!in_flight_.insert(server->id).second) {
      log(now, LogLevel::kWarn, fmt::format("error getting server health from server: error=\"last request still outstanding\" server={}", server->name));
      continue;
    }
    ++waiting_;
    host_.call_raft_stats(now, member, [this, round, id = server->id](Instant at, const Result<wire::rpc::RaftStats>& stats) {
      answered(at, round, id, stats);
    });
  }
  if (--waiting_ == 0 && round_limit_ != Instant::never()) close_round(now);
}

void ServerAutopilot::answered(Instant now, std::uint64_t round, const std::string& id,
                               const Result<wire::rpc::RaftStats>& stats) {
  in_flight_.erase(id);
  if (!running_) return;
  if (!stats) {
    const AutopilotServerInfo* server = known(id);
    log(now, LogLevel::kWarn,
        fmt::format("error getting server health from server: server={} error=\"{}\"", server ? server->name : id, stats.error().text));
  }
  if (round != round_ || round_limit_ == Instant::never()) return;  // too late to count
  if (stats) {
    // "never" does not parse, and counts as 0: terms and indexes decide then.
    const auto contact = parse_go_duration(stats->last_contact);
    stats_[id] = {contact.value_or(Duration{0}), stats->last_term, stats->last_index};
    fresh_.push_back(id);
  }
  if (--waiting_ == 0) close_round(now);
}

/// A follower measures the others by what the leader said in this round; without it nobody is healthy.
raft::LogPosition ServerAutopilot::leader_position(const std::vector<std::string>& fresh) const {
  if (host_.is_leader()) return host_.last_entry();
  const std::string_view leader = host_.leader_id();
  if (leader.empty() || std::find(fresh.begin(), fresh.end(), leader) == fresh.end()) return {};
  const Stats& stats = stats_.find(leader)->second;
  return {stats.last_index, stats.last_term};
}

void ServerAutopilot::close_round(Instant now) {
  round_limit_ = Instant::never();
  const raft::LogPosition leader = leader_position(fresh_);
  std::vector<raft::ServerSample> samples;
  for (const AutopilotServerInfo& server : known_) {
    raft::ServerSample sample{server.id, server.name, gossip_status(server.status), {}, 0, 0};
    const auto stats = stats_.find(server.id);
    if (stats != stats_.end()) {
      sample.last_term = stats->second.last_term;
      sample.last_index = stats->second.last_index;
    }
    // Without an answer of this round the last one stands.
    if (leader.index != 0 && leader.term != 0) sample.last_contact = stats == stats_.end() ? Duration{0} : stats->second.last_contact;
    samples.push_back(std::move(sample));
  }
  const raft::Configuration& configuration = host_.configuration();
  core_.on_samples(now, configuration, leader, samples);
  build_state(configuration);
}

void ServerAutopilot::build_state(const raft::Configuration& configuration) {
  wire::rpc::AutopilotState next;
  next.healthy = true;
  next.failure_tolerance = static_cast<std::int64_t>(core_.failure_tolerance(configuration));
  const std::string_view leader = host_.leader_id();
  for (const raft::Server& server : configuration.servers) {
    wire::rpc::AutopilotServerState out;
    if (state_ && state_->servers.count(server.id)) out = state_->servers[server.id];  // of servers gossip has forgotten
    out.server.id = server.id;
    out.server.address = server.address;
    if (const AutopilotServerInfo* info = known(server.id)) {
      out.server.name = info->name;
      out.server.node_status = node_status(info->status);
      out.server.version = info->version;
      out.server.meta = info->meta;
      out.server.raft_version = info->raft_version;
    } else {
      out.server.node_status = "left";
    }
    out.server.node_type = "voter";
    out.server.is_leader = server.id == leader;
    out.state = out.server.is_leader ? "leader" : suffrage_word(server.suffrage);
    if (const auto stats = stats_.find(server.id); stats != stats_.end()) {
      out.stats = {stats->second.last_contact, stats->second.last_term, stats->second.last_index};
    }
    if (const raft::Autopilot::Health* health = core_.health_of(server.id)) {
      out.health.healthy = health->healthy;
      out.health.stable_since = wire::GoTime::from_unix(health->stable_since.ns);
    }
    next.healthy = next.healthy && out.health.healthy;
    if (out.server.is_leader) next.leader = server.id;
    if (out.state == "leader" || out.state == "voter") next.voters.push_back(server.id);
    next.servers[server.id] = std::move(out);
  }
  // state.go ServerLessThan: the leader, then healthy ones, the longest stable first, then unhealthy ones, by ID.
  std::sort(next.voters.begin(), next.voters.end(), [&](const std::string& a, const std::string& b) {
    const auto& x = next.servers[a];
    const auto& y = next.servers[b];
    if (x.server.is_leader != y.server.is_leader) return x.server.is_leader;
    if (x.health.healthy != y.health.healthy) return x.health.healthy;
    const auto since = [](const wire::rpc::AutopilotServerState& s) { return s.health.stable_since.unix_nanoseconds(); };
    if (since(x) != since(y)) return x.health.healthy ? since(x) < since(y) : since(x) > since(y);
    return a < b;
  });
  state_ = std::move(next);
}

std::optional<wire::rpc::AutopilotHealthReply> ServerAutopilot::health() const {
  if (!state_) return std::nullopt;
  wire::rpc::AutopilotHealthReply reply;
  reply.healthy = state_->healthy;
  reply.failure_tolerance = state_->failure_tolerance;
  for (const auto& [id, s] : state_->servers) {
    wire::rpc::AutopilotServerHealth h;
    h.id = id;
    h.name = s.server.name;
    h.address = s.server.address;
    h.serf_status = s.server.node_status == "alive" ? 1 : s.server.node_status == "left" ? 3 : s.server.node_status == "failed" ? 4 : 0;
    h.version = s.server.version;
    h.leader = s.state == "leader";
    h.last_contact = s.stats.last_contact;
    h.last_term = s.stats.last_term;
    h.last_index = s.stats.last_index;
    h.healthy = s.health.healthy;
    h.voter = s.state == "leader" || s.state == "voter";
    h.stable_since = s.health.stable_since;
    reply.servers.push_back(std::move(h));
  }
  return reply;
}

// --- Promotion and clean-up --------------------------------------------------------------------------------------------

void ServerAutopilot::reconcile(Instant now) {
  core_.configure(core_config(config()));
  const raft::Autopilot::Plan plan = core_.reconcile(now, host_.configuration());  // sets the next tick as well
  if (!reconciling_) return;
  acting_ = true;
  if (!state_ || state_->leader.empty()) {
    log(now, LogLevel::kError,
        "Failed to reconcile current state with the desired state: error=\"cannot reconcile Raft server voting rights without a "
        "valid autopilot state\"");
    return prune(now);
  }
  promote_next(now, plan.promote, 0);
}

void ServerAutopilot::promote_next(Instant now, std::vector<raft::Server> servers, std::size_t at) {
  if (at == servers.size()) return prune(now);
  const raft::Server server = servers[at];
  const AutopilotServerInfo* info = known(server.id);
  log(now, LogLevel::kInfo,
      fmt::format("Promoting server: id={} address={} name={}", server.id, server.address, info ? info->name : ""));
  change(now, {raft::ChangeCommand::kAddVoter, server.id, server.address, 0},
         fmt::format("failed to add raft voting peer: id={} address={}", server.id, server.address),
         [this, servers = std::move(servers), at, id = server.id](Instant then, const std::optional<Error>& error) {
           if (!error) return promote_next(then, servers, at + 1);
           log(then, LogLevel::kError,
               fmt::format("Failed to reconcile current state with the desired state: error=\"failed promoting server {}: {}\"", id, error->text));
           prune(then);
         });
}

void ServerAutopilot::prune(Instant now) {
  acting_ = true;
  prune_wanted_ = false;
  if (!reconciling_) return finish_acting(now);
  const raft::Autopilot::Plan plan = core_.prune(host_.configuration());
  for (const std::string& name : plan.force_leave) {
    const auto server = std::find_if(known_.begin(), known_.end(), [&](const auto& s) { return s.name == name; });
    log(now, LogLevel::kInfo,
        server == known_.end() ? fmt::format("Attempting removal of failed server node: name={}", name)
                               : fmt::format("Attempting removal of failed server node: id={} name={} address={}", server->id, name, server->address));
    host_.force_leave(now, name);
  }
  remove_next(now, plan.remove, 0);
}

void ServerAutopilot::remove_next(Instant now, std::vector<std::string> ids, std::size_t at) {
  if (at == ids.size()) return finish_acting(now);
  const std::string id = ids[at];
  remove_from_raft(now, id, [this, ids = std::move(ids), at](Instant then, const std::optional<Error>& error) {
    if (!error) return remove_next(then, ids, at + 1);
    log(then, LogLevel::kError, fmt::format("Failed to prune dead servers: error=\"{}\"", error->text));
    finish_acting(then);
  });
}

void ServerAutopilot::finish_acting(Instant now) {
  acting_ = false;
  if (prune_wanted_) prune(now);
}

// --- AddServer, RemoveServer (raft.go) ---------------------------------------------------------------------------------

void ServerAutopilot::change(Instant now, raft::ConfigurationChange change, std::string_view failure, Done done) {
  host_.change_configuration(now, std::move(change),
                             [this, failure = std::string(failure), done = std::move(done)](Instant at, const std::optional<Error>& error) {
                               if (error) log(at, LogLevel::kError, fmt::format("{} error=\"{}\"", failure, error->text));
                               done(at, error);
                             });
}

void ServerAutopilot::add_server(Instant now, const AutopilotServerInfo& server, Done done) {
  bool voter = false;
  std::size_t voters = 0;
  std::vector<std::string> voter_removals, other_removals;
  for (const raft::Server& s : host_.configuration().servers) {
    if (s.suffrage == raft::Suffrage::kVoter) ++voters;
    if (s.id == server.id) {
      if (s.address == server.address) return done(now, std::nullopt);
      voter = s.suffrage != raft::Suffrage::kNonvoter;
    } else if (s.address == server.address) {
      (s.suffrage == raft::Suffrage::kVoter ? voter_removals : other_removals).push_back(s.id);
    }
  }
  if (voter_removals.size() > voters - (voters / 2 + 1) && !voter_removals.empty()) {
    return done(now, Error{"Preventing server addition that would require removal of too many servers and cause cluster instability"});
  }
  voter_removals.insert(voter_removals.end(), other_removals.begin(), other_removals.end());
  remove_duplicates(now, server, std::move(voter_removals), voter, std::move(done));
}

void ServerAutopilot::remove_duplicates(Instant now, AutopilotServerInfo server, std::vector<std::string> ids, bool voter, Done done) {
  if (ids.empty()) return add_to_raft(now, server, voter, std::move(done));
  const std::string id = ids.front();
  ids.erase(ids.begin());
  remove_from_raft(now, id, [this, server, ids, voter, id, done = std::move(done)](Instant at, const std::optional<Error>& error) {
    if (error) {
      return done(at, Error{fmt::format("error removing server {:?} with duplicate address {:?}: {}", id, server.address, error->text)});
    }
    log(at, LogLevel::kInfo, "removed server with duplicate address: address=" + server.address);
    remove_duplicates(at, server, ids, voter, done);
  });
}

void ServerAutopilot::add_to_raft(Instant now, const AutopilotServerInfo& server, bool voter, Done done) {
  const auto command = voter ? raft::ChangeCommand::kAddVoter : raft::ChangeCommand::kAddNonvoter;
  const std::string failure =
      fmt::format("failed to add raft {} peer: id={} address={}", voter ? "voting" : "non-voting", server.id, server.address);
  change(now, {command, server.id, server.address, 0}, failure,
         [this, done = std::move(done)](Instant at, const std::optional<Error>& error) {
           done(at, error);
           if (error || !running_) return;
           if (acting_) prune_wanted_ = true;
           else prune(at);
         });
}

void ServerAutopilot::remove_server(Instant now, const std::string& id, Done done) {
  if (!raft::in_configuration(host_.configuration(), id)) return done(now, std::nullopt);
  remove_from_raft(now, id, std::move(done));
}

void ServerAutopilot::remove_from_raft(Instant now, const std::string& id, Done done) {
  log(now, LogLevel::kDebug, "removing server by ID: id=" + id);
  change(now, {raft::ChangeCommand::kRemoveServer, id, "", 0}, "failed to remove raft server: id=" + id,
         [this, id, done = std::move(done)](Instant at, const std::optional<Error>& error) {
           if (!error) log(at, LogLevel::kInfo, "removed server: id=" + id);
           done(at, error);
         });
}

}  // namespace dcsim::consul
