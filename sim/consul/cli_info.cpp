#include "consul/cli_info.h"

#include <fmt/format.h>

#include "gossip/serf.h"
#include "raft/membership.h"
#include "raft/node.h"

namespace dcsim::consul {

namespace {

/// raft api.go Stats: since the leader was heard of; a leader has no need to.
std::string last_contact(Instant now, const raft::Node& node) {
  if (node.role() == raft::Role::kLeader) return "0";
  if (node.last_contact() == Instant{}) return "never";
  return go_duration(now - node.last_contact());
}

std::string latest_configuration(const raft::Configuration& configuration) { return raft::text_of(configuration); }

}  // namespace

void add_agent_info(InfoSections& out, const AgentConfig& config, const LocalState& local) {
  auto& agent = out["agent"];
  agent["check_monitors"] = agent["check_ttls"] = "0";
  agent["checks"] = std::to_string(local.checks().size());
  agent["services"] = std::to_string(local.services().size());
  auto& build = out["build"];
  const auto colon = config.build.find(':');
  build["prerelease"] = build["version_metadata"] = "";
  build["revision"] = colon == std::string::npos ? "" : config.build.substr(colon + 1);
  build["version"] = config.build.substr(0, colon);
}

void add_client_info(InfoSections& out, std::size_t known_servers) {
  out["consul"] = {{"acl", "disabled"}, {"known_servers", std::to_string(known_servers)}, {"server", "false"}};
}

void add_server_info(InfoSections& out, Instant now, const AgentConfig& config, const raft::Node& node, std::size_t known_datacenters) {
  const bool leads = node.role() == raft::Role::kLeader;
  out["consul"] = {{"acl", "disabled"},
                   {"bootstrap", config.bootstrap ? "true" : "false"},
                   {"known_datacenters", std::to_string(known_datacenters)},
                   {"leader", leads ? "true" : "false"},
                   {"leader_addr", std::string(node.leader_address())},
                   {"server", "true"}};
  const raft::Configurations& configurations = node.configurations();
  std::size_t peers = 0;
  bool voter = false;
  for (const raft::Server& s : configurations.latest.servers) {
    if (s.suffrage != raft::Suffrage::kVoter) continue;
    if (s.id == node.config().id) voter = true;
    else ++peers;
  }
  out["raft"] = {{"applied_index", std::to_string(node.last_applied())},
                 {"commit_index", std::to_string(node.commit_index())},
                 {"fsm_pending", "0"},
                 {"last_contact", last_contact(now, node)},
                 {"last_log_index", std::to_string(node.last_log().index)},
                 {"last_log_term", std::to_string(node.last_log().term)},
                 {"last_snapshot_index", std::to_string(node.last_snapshot().index)},
                 {"last_snapshot_term", std::to_string(node.last_snapshot().term)},
                 {"latest_configuration", latest_configuration(configurations.latest)},
                 {"latest_configuration_index", std::to_string(configurations.latest_index)},
                 {"num_peers", std::to_string(voter ? peers : 0)},
                 {"protocol_version", "3"},
                 {"protocol_version_max", "3"},
                 {"protocol_version_min", "0"},
                 {"snapshot_version_max", "1"},
                 {"snapshot_version_min", "0"},
                 {"state", std::string(raft::name_of(node.role()))},
                 {"term", std::to_string(node.term())}};
}

void add_serf_info(InfoSections& out, const std::string& section, const gossip::Serf& serf, bool encrypted) {
  const gossip::SerfStats s = serf.stats();
  out[section] = {{"coordinate_resets", std::to_string(s.coordinate_resets)},
                  {"encrypted", encrypted ? "true" : "false"},
                  {"event_queue", std::to_string(s.event_queue)},
                  {"event_time", std::to_string(s.event_time)},
                  {"failed", std::to_string(s.failed)},
                  {"health_score", std::to_string(s.health_score)},
                  {"intent_queue", std::to_string(s.intent_queue)},
                  {"left", std::to_string(s.left)},
                  {"member_time", std::to_string(s.member_time)},
                  {"members", std::to_string(s.members)},
                  {"query_queue", std::to_string(s.query_queue)},
                  {"query_time", std::to_string(s.query_time)}};
}

}  // namespace dcsim::consul
