#include <iterator>

#include "consul/endpoint_serve.h"

namespace dcsim::consul {

namespace {

using namespace wire::rpc;

// agent/consul/status_endpoint.go: answered by whoever is asked.

void ping(Server& server, Instant now, std::uint32_t slot) { server.answer(now, slot, Empty{}); }

void leader(Server& server, Instant now, std::uint32_t slot) {
  server.answer(now, slot, std::string(server.leader_address()));
}

void peers(Server& server, Instant now, std::uint32_t slot) {
  Texts out;
  for (const raft::Server& s : server.raft().configurations().latest.servers) out.push_back(s.address);
  server.answer(now, slot, out);
}

void raft_stats(Server& server, Instant now, std::uint32_t slot) { server.answer(now, slot, server.raft_stats(now)); }

constexpr RpcMethod kMethods[] = {
    {method::kStatusPing, &read_info<Empty>, &ping, false},
    {method::kStatusLeader, &read_info<DcSpecificRequest>, &leader, false},
    {method::kStatusPeers, &read_info<DcSpecificRequest>, &peers, false},
    {method::kStatusRaftStats, &read_info<Empty>, &raft_stats, false},
};

}  // namespace

RpcMethods status_methods() { return {kMethods, std::size(kMethods)}; }

}  // namespace dcsim::consul
