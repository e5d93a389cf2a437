#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "consul/endpoint_serve.h"
#include "gossip/serf.h"

namespace dcsim::consul {

namespace {

using namespace wire::rpc;

// agent/consul/operator_raft_endpoint.go, operator_autopilot_endpoint.go.

void get_configuration(Server& server, Instant now, std::uint32_t slot) {
  const raft::Configurations& configurations = server.raft().configurations();
  AutopilotState autopilot;
  for (const ServerDuties* duties : server.duties()) {
    if (duties->autopilot_state(now, autopilot)) break;
  }
  RaftConfigurationResponse reply;
  reply.index = configurations.latest_index;
  for (const raft::Server& s : configurations.latest.servers) {
    RaftServer out;
    out.id = s.id;
    out.address = s.address;
    out.node = "(unknown)";
    out.protocol_version = "unknown";
    // The address that gossip has decides, failed members included.
    for (const gossip::Member& m : server.host().serf(PoolId{0}).members()) {
      const auto entry = server_entry(m);
      if (!entry || entry->address != s.address) continue;
      out.node = entry->name;
      out.protocol_version = m.tag("raft_vsn");
    }
    out.leader = s.address == server.leader_address();
    out.voter = s.suffrage == raft::Suffrage::kVoter;
    if (const auto it = autopilot.servers.find(s.id); it != autopilot.servers.end())
      out.last_index = it->second.stats.last_index;
    if (s.id == server.raft().config().id) out.last_index = server.raft().last_entry().index;
    reply.servers.push_back(std::move(out));
  }
  server.answer(now, slot, reply);
}

void removed(Server& server, Instant now, std::uint32_t slot, const RaftResult& result) {
  const auto request = arguments<RaftRemovePeerRequest>(server, slot);
  const std::string who = request.id.empty() ? "address=" + request.address : "peer_id=" + request.id;
  if (!result.error.empty()) {
    server.log(LogLevel::kWarn,
               fmt::format("agent.server.operator: Failed to remove Raft server: {} error=\"{}\"", who, result.error));
    return server.refuse(now, slot, result.error);
  }
  server.log(LogLevel::kWarn, fmt::format("agent.server.operator: Removed Raft server: {}", who));
  server.answer(now, slot, Empty{});
}

template <bool by_id>
void remove_peer(Server& server, Instant now, std::uint32_t slot) {
  const auto request = arguments<RaftRemovePeerRequest>(server, slot);
  for (const raft::Server& s : server.raft().configurations().latest.servers) {
    if ((by_id ? s.id == request.id : s.address == request.address)) {
      raft::ConfigurationChange change{raft::ChangeCommand::kRemoveServer, s.id, {}, 0};
      return server.change_configuration(now, std::move(change), server.for_request(slot, &removed));
    }
  }
  server.refuse(now, slot,
                by_id ? fmt::format("id {} was not found in the Raft configuration", go_quoted(request.id))
                      : fmt::format("address {} was not found in the Raft configuration", go_quoted(request.address)));
}

void transferred(Server& server, Instant now, std::uint32_t slot, const RaftResult& result) {
  if (!result.error.empty()) return server.refuse(now, slot, result.error);
  server.answer(now, slot, TransferLeaderResponse{true});
}

void transfer_leader(Server& server, Instant now, std::uint32_t slot) {
  const auto request = arguments<TransferLeaderRequest>(server, slot);
  server.transfer_leadership(now, request.id, server.for_request(slot, &transferred));
}

void get_autopilot(Server& server, Instant now, std::uint32_t slot) {
  const auto& config = server.store().autopilot();
  if (!config) return server.refuse(now, slot, "autopilot config not initialized yet");
  server.answer(now, slot, *config);
}

void set_autopilot(Server& server, Instant now, std::uint32_t slot) {
  server.apply_for(now, slot, command_as_received(server, slot, CommandType::kAutopilot), &answer_bool);
}

void autopilot_state(Server& server, Instant now, std::uint32_t slot) {
  AutopilotState state;
  for (const ServerDuties* duties : server.duties()) {
    if (duties->autopilot_state(now, state)) return server.answer(now, slot, state);
  }
  server.refuse(now, slot, "autopilot state is not available yet");
}

void server_health(Server& server, Instant now, std::uint32_t slot) {
  AutopilotHealthReply health;
  for (const ServerDuties* duties : server.duties()) {
    if (duties->server_health(now, health)) break;
  }
  server.answer(now, slot, health);
}

constexpr RpcMethod kMethods[] = {
    {method::kRaftGetConfiguration, &read_info<DcSpecificRequest>, &get_configuration},
    {method::kRaftRemovePeerByAddress, &read_info<RaftRemovePeerRequest>, &remove_peer<false>},
    {method::kRaftRemovePeerById, &read_info<RaftRemovePeerRequest>, &remove_peer<true>},
    {method::kTransferLeader, &read_info<TransferLeaderRequest>, &transfer_leader},
    {method::kAutopilotGetConfiguration, &read_info<DcSpecificRequest>, &get_autopilot},
    {method::kAutopilotSetConfiguration, &read_info<AutopilotSetConfigRequest>, &set_autopilot},
    {method::kServerHealth, &leader_info<DcSpecificRequest>, &server_health},
    {method::kAutopilotState, &leader_info<DcSpecificRequest>, &autopilot_state},
};

}  // namespace

RpcMethods operator_methods() { return {kMethods, std::size(kMethods)}; }

}  // namespace dcsim::consul
