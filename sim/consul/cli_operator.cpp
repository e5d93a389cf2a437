#include <algorithm>

#include "consul/cli_command.h"
#include "consul/cli_json.h"

// command/operator/{raft,autopilot}.
namespace dcsim::consul {

namespace {

using namespace wire::rpc;

/// Flags and no arguments; what is left over is ignored, as there.
bool parse(Instant now, const CliRunPtr& run, Flags& flags, const std::vector<std::string>& words, std::size_t from) {
  const auto rest = flags.parse(words, from);
  if (!rest) run->fail(now, "Failed to parse args: " + rest.error().text);
  return rest.ok();
}

DcSpecificRequest query(const CliRunPtr& run, const HttpFlags& http) {
  DcSpecificRequest request;
  request.datacenter = http.dc(run->agent);
  request.options = http.options();
  return request;
}

std::string_view yes_no(bool value) { return value ? "true" : "false"; }

// --- raft --------------------------------------------------------------------------------------------------------------

void print_peers(CliRun& run, const RaftConfigurationResponse& configuration) {
  std::uint64_t leader = 0;
  for (const RaftServer& s : configuration.servers) {
    if (s.leader) leader = s.last_index;
  }
  std::vector<std::vector<std::string>> table{{"Node", "ID", "Address", "State", "Voter", "RaftProtocol", "Commit Index", "Trails Leader By"}};
  for (const RaftServer& s : configuration.servers) {
    const std::uint64_t trails = leader - s.last_index;  // wraps, as there, for one that was asked later than the leader
    table.push_back({s.node, s.id, s.address, s.leader ? "leader" : "follower", std::string(yes_no(s.voter)),
                     s.protocol_version.empty() ? "<=1" : s.protocol_version, std::to_string(s.last_index),
                     s.leader ? "-" : fmt::format("{} commit{}", trails, trails == 1 ? "" : "s")});
  }
  run.result.out += columnize(table);
}

void list_peers(Instant now, const CliRunPtr& run) {
  HttpFlags http;
  Flags flags;
  http.declare(flags);
  if (!parse(now, run, flags, run->words, 4)) return;
  rpc_call<RaftConfigurationResponse>(
      run->agent.rpc(), now, method::kRaftGetConfiguration, query(run, http), [run](Instant at, const Result<RaftConfigurationResponse>& reply) {
        if (!reply) return run->fail(at, "Error getting peers: Failed to retrieve raft configuration: " + api_error_text(reply.error().text));
        print_peers(*run, *reply);
        run->finish(at, 0);
      });
}

void remove_peer(Instant now, const CliRunPtr& run) {
  RaftRemovePeerRequest request;
  HttpFlags http;
  Flags flags;
  flags.text("address", &request.address);
  flags.text("id", &request.id);
  http.declare(flags);
  if (!parse(now, run, flags, run->words, 4)) return;
  if (request.address.empty() && request.id.empty()) {
    return run->fail(now, "Error removing peer: an address or id is required for the peer to remove");
  }
  if (!request.address.empty() && !request.id.empty()) return run->fail(now, "Error removing peer: cannot give both an address and id");
  request.datacenter = http.dc(run->agent);
  const bool by_address = !request.address.empty();
  const std::string done = by_address ? fmt::format("Removed peer with address {:?}", request.address) : fmt::format("Removed peer with id {:?}", request.id);
  rpc_call<Empty>(run->agent.rpc(), now, by_address ? method::kRaftRemovePeerByAddress : method::kRaftRemovePeerById, request,
                  [run, done](Instant at, const Result<Empty>& reply) {
                    if (!reply) return run->fail(at, "Error removing peer: " + api_error_text(reply.error().text));
                    run->output(done);
                    run->finish(at, 0);
                  });
}

void transfer_leader(Instant now, const CliRunPtr& run) {
  TransferLeaderRequest request;
  HttpFlags http;
  Flags flags;
  flags.text("id", &request.id);
  http.declare(flags);
  if (!parse(now, run, flags, run->words, 4)) return;
  request.datacenter = http.dc(run->agent);
  rpc_call<TransferLeaderResponse>(run->agent.rpc(), now, method::kTransferLeader, request, [run](Instant at, const Result<TransferLeaderResponse>& reply) {
    if (!reply) return run->fail(at, "Error transfering leadership: Failed to transfer leadership " + api_error_text(reply.error().text));
    if (!reply->success) return run->fail(at, "Error transfering leadership: Failed to transfer leadership");
    run->output("Success");
    run->finish(at, 0);
  });
}

// --- autopilot ---------------------------------------------------------------------------------------------------------

void get_config(Instant now, const CliRunPtr& run) {
  HttpFlags http;
  Flags flags;
  http.declare(flags);
  if (!parse(now, run, flags, run->words, 4)) return;
  rpc_call<AutopilotConfig>(run->agent.rpc(), now, method::kAutopilotGetConfiguration, query(run, http), [run](Instant at, const Result<AutopilotConfig>& c) {
    if (!c) return run->fail(at, "Error querying Autopilot configuration: " + api_error_text(c.error().text));
    run->output(fmt::format("CleanupDeadServers = {}", c->cleanup_dead_servers));
    run->output("LastContactThreshold = " + go_duration(c->last_contact_threshold));
    run->output(fmt::format("MaxTrailingLogs = {}", c->max_trailing_logs));
    run->output(fmt::format("MinQuorum = {}", c->min_quorum));
    run->output("ServerStabilizationTime = " + go_duration(c->server_stabilization_time));
    run->output(fmt::format("RedundancyZoneTag = {:?}", c->redundancy_zone_tag));
    run->output(fmt::format("DisableUpgradeMigration = {}", c->disable_upgrade_migration));
    run->output(fmt::format("UpgradeVersionTag = {:?}", c->upgrade_version_tag));
    run->finish(at, 0);
  });
}

/// The flags of set-config, as texts; "" = not given.
struct Settings {
  std::string cleanup{}, trailing{}, quorum{}, contact{}, stabilization{}, zone{}, no_migration{}, upgrade{};
};

std::optional<bool> go_bool(std::string_view text) {
  for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

/// Writes what was given into the settings; the first complaint of Go's flag package, or nothing.
std::optional<std::string> merge(const Settings& s, AutopilotConfig& c) {
  const auto boolean = [](std::string_view text, std::string_view flag, bool& into) -> std::optional<std::string> {
    if (text.empty()) return std::nullopt;
    const auto value = go_bool(text);
    if (!value) return bad_flag(text, flag, fmt::format("strconv.ParseBool: parsing {:?}: invalid syntax", text));
    into = *value;
    return std::nullopt;
  };
  const auto number = [](std::string_view text, std::string_view flag, std::uint64_t& into) -> std::optional<std::string> {
    if (text.empty()) return std::nullopt;
    const auto value = parse_uint(text);
    if (!value) return bad_flag(text, flag, fmt::format("strconv.ParseUint: parsing {:?}: invalid syntax", text));
    into = *value;
    return std::nullopt;
  };
  const auto duration = [](std::string_view text, std::string_view flag, Duration& into) -> std::optional<std::string> {
    if (text.empty()) return std::nullopt;
    const auto value = parse_go_duration(text);
    if (!value) return bad_flag(text, flag, fmt::format("time: invalid duration {:?}", text));
    into = *value;
    return std::nullopt;
  };
  if (auto e = boolean(s.cleanup, "cleanup-dead-servers", c.cleanup_dead_servers)) return e;
  if (auto e = number(s.trailing, "max-trailing-logs", c.max_trailing_logs)) return e;
  if (auto e = number(s.quorum, "min-quorum", c.min_quorum)) return e;
  if (auto e = duration(s.contact, "last-contact-threshold", c.last_contact_threshold)) return e;
  if (auto e = duration(s.stabilization, "server-stabilization-time", c.server_stabilization_time)) return e;
  if (auto e = boolean(s.no_migration, "disable-upgrade-migration", c.disable_upgrade_migration)) return e;
  if (!s.zone.empty()) c.redundancy_zone_tag = s.zone;
  if (!s.upgrade.empty()) c.upgrade_version_tag = s.upgrade;
  return std::nullopt;
}

void write_config(Instant now, const CliRunPtr& run, const AutopilotConfig& config, const std::string& datacenter) {
  AutopilotSetConfigRequest request;
  request.datacenter = datacenter;
  request.config = config;
  request.cas = true;
  rpc_call<bool>(run->agent.rpc(), now, method::kAutopilotSetConfiguration, request, [run](Instant at, const Result<bool>& done) {
    if (!done) return run->fail(at, "Error setting Autopilot configuration: " + api_error_text(done.error().text));
    run->output(*done ? "Configuration updated!" : "Configuration could not be atomically updated, please try again");
    run->finish(at, *done ? 0 : 1);
  });
}

void set_config(Instant now, const CliRunPtr& run) {
  Settings s;
  HttpFlags http;
  Flags flags;
  flags.text("cleanup-dead-servers", &s.cleanup);
  flags.text("max-trailing-logs", &s.trailing);
  flags.text("min-quorum", &s.quorum);
  flags.text("last-contact-threshold", &s.contact);
  flags.text("server-stabilization-time", &s.stabilization);
  flags.text("redundancy-zone-tag", &s.zone);
  flags.text("disable-upgrade-migration", &s.no_migration);
  flags.text("upgrade-version-tag", &s.upgrade);
  http.declare(flags);
  if (!parse(now, run, flags, run->words, 4)) return;
  AutopilotConfig tried;
  if (const auto wrong = merge(s, tried)) return run->fail(now, "Failed to parse args: " + *wrong);
  DcSpecificRequest request;
  request.datacenter = http.dc(run->agent);
  rpc_call<AutopilotConfig>(run->agent.rpc(), now, method::kAutopilotGetConfiguration, request,
                            [run, s, datacenter = request.datacenter](Instant at, const Result<AutopilotConfig>& reply) {
                              if (!reply) return run->fail(at, "Error querying Autopilot configuration: " + api_error_text(reply.error().text));
                              AutopilotConfig config = *reply;
                              merge(s, config);
                              write_config(at, run, config, datacenter);
                            });
}

std::string state_text(const AutopilotState& state) {
  std::string out = fmt::format("Healthy:                      {}\n", state.healthy);
  out += fmt::format("Failure Tolerance:            {}\n", state.failure_tolerance);
  out += fmt::format("Optimistic Failure Tolerance: {}\n", state.failure_tolerance);
  out += fmt::format("Leader:                       {}\n", state.leader);
  out += "Voters:\n";
  for (const std::string& voter : state.voters) out += "   " + voter + "\n";
  out += "Servers:\n";
  for (const auto& [id, s] : state.servers) {
    out += "   " + s.server.id + "\n";
    const auto row = [&](std::string_view name, std::string_view value) { out += fmt::format("      {:<17}{}\n", name, value); };
    row("Name:", s.server.name);
    row("Address:", s.server.address);
    row("Version:", s.server.version);
    row("Status:", s.state);
    row("Node Type:", s.server.node_type);
    row("Node Status:", s.server.node_status);
    row("Healthy:", yes_no(s.health.healthy));
    row("Last Contact:", go_duration(s.stats.last_contact));
    row("Last Term:", std::to_string(s.stats.last_term));
    row("Last Index:", std::to_string(s.stats.last_index));
    if (!s.server.meta.empty()) out += "      Meta\n";
    for (const auto& [key, value] : s.server.meta) out += fmt::format("         {:?}: {:?}\n", key, value);
  }
  return out;
}

void state(Instant now, const CliRunPtr& run) {
  std::string format = "pretty";
  HttpFlags http;
  Flags flags;
  flags.text("format", &format);
  http.declare(flags);
  if (!parse(now, run, flags, run->words, 4)) return;
  rpc_call<AutopilotState>(run->agent.rpc(), now, method::kAutopilotState, query(run, http), [run, format](Instant at, const Result<AutopilotState>& reply) {
    if (!reply) return run->fail(at, "Error querying Autopilot state: " + api_error_text(reply.error().text));
    if (format == "json") {
      JsonWriter w(true);
      to_json(w, *reply);
      run->output(w.take());
    } else if (format == "pretty") {
      run->output(state_text(*reply));
    } else {
      return run->fail(at, "Unknown format: " + format);
    }
    run->finish(at, 0);
  });
}

}  // namespace

void run_operator(Instant now, const CliRunPtr& run) {
  const std::string what = run->words[2] + " " + run->words[3];
  if (what == "raft list-peers") return list_peers(now, run);
  if (what == "raft remove-peer") return remove_peer(now, run);
  if (what == "raft transfer-leader") return transfer_leader(now, run);
  if (what == "autopilot get-config") return get_config(now, run);
  if (what == "autopilot set-config") return set_config(now, run);
  if (what == "autopilot state") return state(now, run);
  run->fail(now, fmt::format("Error: `consul operator {}` is not modelled by this version of dcsim", what));
}

}  // namespace dcsim::consul
