#include "consul/server_local.h"

#include "consul/cli_info.h"
#include "consul/server.h"
#include "gossip/serf.h"

namespace dcsim::consul {

AgentLocal::AgentLocal(const Agent& agent, Surroundings& around, AgentRpc& rpc, std::uint64_t seed,
                       std::string_view entity)
    : agent_(agent),
      around_(around),
      rpc_(rpc),
      state_(local_identity(agent.config())),
      sync_(state_, rpc, *this, seed, entity),
      coordinates_(agent.config().datacenter, agent.config().node_name, rpc, *this, seed, entity) {}

void AgentLocal::start(Instant now) {
  sync_.start(now);
  coordinates_.start(now);
}

void AgentLocal::stop() {
  sync_.stop();
  coordinates_.stop();
}

void AgentLocal::on_deadline(Instant now) {
  if (sync_.next_deadline() <= now) sync_.on_deadline(now);
  if (coordinates_.next_deadline() <= now) coordinates_.on_deadline(now);
}

InfoSections AgentLocal::info(Instant now) const {
  InfoSections out;
  add_agent_info(out, agent_.config(), state_);
  if (const Server* server = agent_.server())
    add_server_info(out, now, agent_.config(), server->raft(), 1);
  else
    add_client_info(out, agent_.rpc_client()->manager().servers().size());
  add_serf_info(out, "serf_lan", agent_.serf(PoolId{0}));
  return out;
}

std::size_t AgentLocal::lan_members() const { return agent_.serf(PoolId{0}).member_count(); }

wire::rpc::Coordinates AgentLocal::coordinates() const {
  wire::rpc::Coordinates out;
  for (std::uint32_t pool = 0; pool < agent_.pool_count(); ++pool) {
    const gossip::CoordinateClient* client = agent_.serf(PoolId{pool}).coordinates();
    if (!client) continue;
    const gossip::Coordinate& c = client->coordinate();
    wire::rpc::Coord coord;
    coord.vec.assign(c.vec.begin(), c.vec.end());
    coord.error = c.error;
    coord.adjustment = c.adjustment;
    coord.height = c.height;
    out.push_back({agent_.config().node_name, agent_.segment(PoolId{pool}), std::move(coord)});
  }
  return out;
}

}  // namespace dcsim::consul
