#include "consul/pool.h"

#include "consul/gossip_tunables.h"

namespace dcsim::consul {

namespace {

gossip::MemberlistConfig profile(const AgentConfig& config) {
  if (config.kind == AgentKind::kSerf && config.profile == "wan") return gossip::MemberlistConfig::wan();
  if (config.kind == AgentKind::kSerf && config.profile == "local") return gossip::MemberlistConfig::local();
  return gossip::MemberlistConfig::lan();
}

}  // namespace

gossip::SerfConfig serf_config(const AgentConfig& agent, std::size_t pool) {
  const SegmentConfig* segment = pool == 0 ? nullptr : &agent.segments[pool - 1];
  const std::uint16_t port = segment ? segment->port : agent.serf_lan_port;
  gossip::SerfConfig c;
  c.node_name = agent.node_name;
  c.tags = lan_tags(agent, segment ? segment->name : agent.server ? "" : agent.segment);
  c.reconnect_timeout = agent.reconnect_timeout;
  c.tombstone_timeout = agent.tombstone_timeout;
  c.memberlist = profile(agent);
  c.memberlist.name = agent.node_name;
  c.memberlist.advertise = {segment ? segment->advertise : agent.advertise, agent.advertise_port != 0 ? agent.advertise_port : port};
  c.memberlist.bind_port = port;
  c.memberlist.cidrs_allowed = agent.serf_lan_allowed_cidrs;
  c.memberlist.int_style = wire::IntStyle::kOld;  // memberlist up to 0.5.0, which both vintages embed
  c.memberlist.exhaustive_small_targets = false;         // since 0.6.0 only
  if (agent.kind == AgentKind::kSerf) {  // serf 0.9.4, memberlist 0.2.2
    c.protocol_version = 5;
    c.leave_gives_up = true;
    c.memberlist.join_error_style = gossip::JoinErrorStyle::kAddressOnly;
    c.memberlist.reap_left = false;  // since 0.3.1
  } else {  // consul agent/consul/config.go, internal/gossip/libserf
    c.memberlist.join_error_style = gossip::JoinErrorStyle::kCapitalWithPort;
    c.protocol_version = 4;
    c.queue_depth_warning = 1'000'000;
    c.min_queue_depth = 4096;
    c.leave_propagate_delay = 3_s;
    c.memberlist.dead_node_reclaim_time = 30_s;
    c.enable_name_conflict_resolution = !agent.server;
  }
  // agent.go segmentConfig starts from the built-in defaults: gossip_lan does not reach a server's segments.
  if (!segment) {
    for (const GossipTunable& t : agent.gossip_lan) apply_tunable(t, c.memberlist);
  }
  return c;
}

std::optional<Error> gossip_problem(const AgentConfig& config) {
  for (std::size_t pool = 0; pool <= config.segments.size(); ++pool) {
    if (const auto problem = serf_config(config, pool).problem()) return problem;
  }
  return std::nullopt;
}

Pool::Pool(Agent& agent, Place place)
    : agent_(agent),
      place_(std::move(place)),
      gate_(agent.config_.datacenter, agent.config_.node_name, agent.config_.node_id, place_.segment) {}

std::optional<Error> Pool::open(std::uint64_t seed) {
  gossip::SerfConfig c = serf_config(agent_.config_, place_.id.index());
  if (agent_.config_.kind == AgentKind::kConsul) {
    c.merge = this;
    c.reconnect_timeout_override = this;
  }
  if (const auto problem = c.problem()) return problem;
  const std::string pool = agent_.config_.kind == AgentKind::kSerf ? "serf" : agent_.config_.datacenter + "/" + place_.segment;
  const std::string entity = agent_.entity_ + "/" + (place_.segment.empty() ? "lan" : "segment:" + place_.segment);
  serf_ = std::make_unique<gossip::Serf>(std::move(c), agent_.around_.directory(pool), agent_.around_.workspace(), *this, *this,
                                         seed, entity);
  return std::nullopt;
}

gossip::SendStatus Pool::send_packet(const Endpoint& to, const Bytes& payload) {
  return agent_.around_.send_packet(place_.id, to, payload);
}
gossip::StreamId Pool::dial(const Endpoint& to, Duration timeout) { return agent_.around_.dial(place_.id, to, timeout); }
std::string Pool::send_error() const { return agent_.around_.send_error(); }
void Pool::stream_send(gossip::StreamId stream, const Bytes& payload) { agent_.around_.stream_send(stream, payload); }
void Pool::stream_close(gossip::StreamId stream) { agent_.around_.stream_close(stream); }
Cause Pool::note(const gossip::Notice& notice) { return agent_.around_.note(place_.id, notice); }
void Pool::because(Cause cause) { agent_.around_.because(cause); }

void Pool::on_member_event(const gossip::MemberEvent& event, Cause cause) {
  const Cause record = agent_.around_.member_event(place_.id, event, cause);
  agent_.on_member_event(*this, event, record);
}

void Pool::on_join_done(std::uint32_t token, std::uint32_t contacted, std::string_view error, Cause) {
  agent_.done_.push_back({Agent::Done::What::kJoin, place_.id.index(), token, contacted, std::string(error)});
}

void Pool::on_leave_done(Cause) { agent_.done_.push_back({Agent::Done::What::kLeave, place_.id.index(), 0, 0, {}}); }

void Pool::on_leave_failed(std::string_view error, Cause) {
  agent_.done_.push_back({Agent::Done::What::kLeave, place_.id.index(), 0, 0, std::string(error)});
}

void Pool::on_command_done(std::uint32_t token, std::string_view error, Cause) {
  agent_.done_.push_back({Agent::Done::What::kCommand, place_.id.index(), token, 0, std::string(error)});
}

Cause Pool::on_notice(const gossip::SerfNotice& notice, Cause cause) {
  return agent_.around_.serf_notice(place_.id, notice, cause);
}

void Pool::on_user_event(const gossip::UserEvent& event, Cause) {
  agent_.around_.user_event(place_.id, event);
  agent_.on_user_event(event);
}
void Pool::on_query_received(std::string_view name) { agent_.around_.query(place_.id, name); }
void Pool::on_message(bool sent, std::size_t bytes) { agent_.around_.serf_message(place_.id, sent, bytes); }
void Pool::on_coordinate(const gossip::Coordinate& before, const gossip::Coordinate& after) {
  agent_.around_.coordinate_moved(place_.id, before, after);
}
void Pool::on_queues_checked(const gossip::QueueDepths& depths) { agent_.around_.queues_checked(place_.id, depths); }

std::optional<Error> Pool::notify_merge(std::span<const gossip::Member> members) {
  // Hot for a list of one (every alive message); no allocation there.
  if (members.size() == 1) {
    const gossip::Member& m = members.front();
    const GateMember one{m.name, m.tags.get(), m.status == gossip::MemberStatus::kLeft};
    return gate_.check({&one, 1});
  }
  std::vector<GateMember> list;
  list.reserve(members.size());
  for (const gossip::Member& m : members) list.push_back({m.name, m.tags.get(), m.status == gossip::MemberStatus::kLeft});
  return gate_.check(list);
}

Duration Pool::reconnect_timeout(const gossip::Member& member, Duration configured) {
  const auto given = parse_go_duration(member.tag("rc_tm"));
  return given && given->ns > 0 ? *given : configured;
}

}  // namespace dcsim::consul
