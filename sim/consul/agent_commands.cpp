#include <fmt/format.h>

#include <algorithm>

#include "consul/agent.h"
#include "consul/cli.h"
#include "consul/member_filter.h"
#include "consul/pool.h"
#include "consul/server_agent.h"

namespace dcsim::consul {

namespace {

/// api.Client's text for a 500 answer.
std::string api_error(std::string_view text) { return fmt::format("Unexpected response code: 500 ({})", text); }

CommandResult usage(std::string_view text) { return {1, "", std::string(text) + "\n"}; }

CommandResult not_modelled(const std::vector<std::string>& words) {
  std::string command = words[0];
  for (std::size_t i = 1; i < std::min<std::size_t>(words.size(), 3) && !words[i].starts_with('-'); ++i) command += " " + words[i];
  return {1, "", fmt::format("Error: `{}` is not modelled by this version of dcsim\n", command)};
}

}  // namespace

bool is_modelled(const std::vector<std::string>& words) {
  if (words.size() < 2) return false;
  if (is_cli_command(words)) return true;
  static constexpr std::string_view kBoth[] = {"members", "join", "leave", "force-leave", "rtt"};
  static constexpr std::string_view kSerf[] = {"event", "info", "tags"};
  if (words[0] != "consul" && words[0] != "serf") return false;
  const auto among = [&](auto& list) { return std::find(std::begin(list), std::end(list), words[1]) != std::end(list); };
  return among(kBoth) || (words[0] == "serf" && among(kSerf));
}

CommandResult agent_not_running(const std::vector<std::string>& words) {
  if (is_cli_command(words)) return cli_not_running(words);
  if (!words.empty() && words[0] == "serf") {
    return {1, "", "Error connecting to Serf agent: dial tcp 127.0.0.1:7373: connect: connection refused\n"};
  }
  const auto refused = [](std::string_view what) { return fmt::format("{}: dial tcp 127.0.0.1:8500: connect: connection refused\n", what); };
  if (words.size() > 2 && words[1] == "join") {
    std::string err;
    for (auto word = words.begin() + 2; word != words.end(); ++word) {
      if (!word->starts_with('-')) err += refused(fmt::format("Error joining address '{}': Put \"http://127.0.0.1:8500/v1/agent/join/{}\"", *word, *word));
    }
    return {1, "", err + "Failed to join any nodes.\n"};
  }
  std::string what = "Error querying agent";
  if (words.size() > 1 && words[1] == "members") what = "Error retrieving members: Get \"http://127.0.0.1:8500/v1/agent/members?segment=_all\"";
  else if (words.size() > 1 && words[1] == "leave") what = "Error leaving: Put \"http://127.0.0.1:8500/v1/agent/leave\"";
  else if (words.size() > 1 && words[1] == "rtt") what = words.size() > 3 ? "Error getting coordinates: Get \"http://127.0.0.1:8500/v1/coordinate/nodes\"" : "Unable to look up agent info: Get \"http://127.0.0.1:8500/v1/agent/self\"";
  else if (words.size() > 1 && words[1] == "force-leave") what = fmt::format("Error force leaving: Put \"http://127.0.0.1:8500/v1/agent/force-leave/{}\"", words.back());
  return {1, "", refused(what)};
}

void Agent::finish(CommandId command, const CommandResult& result) { around_.command_done(command, result); }

void Agent::run(Instant now, CommandId command, const std::vector<std::string>& words) {
  if (!started_ || ended_ || words.empty()) return finish(command, agent_not_running(words));
  const bool serf = config_.kind == AgentKind::kSerf;
  if (is_cli_command(words) && rpc_side_) {
    rpc_side_->run_command(now, command, words);
  } else if (words[0] == "serf") {
    if (serf) run_serf(now, command, words);
    else finish(command, agent_not_running(words));
  } else if (words[0] == "consul") {
    if (serf) finish(command, agent_not_running(words));
    else run_consul(now, command, words);
  } else {
    finish(command, not_modelled(words));
  }
  settle(now);
}

void Agent::run_consul(Instant now, CommandId command, const std::vector<std::string>& words) {
  const std::string what = words.size() > 1 ? words[1] : "";
  if (what == "members") return finish(command, run_members(words));
  if (what == "rtt") return finish(command, run_rtt(words, false));
  if (what == "join") return run_join(now, command, words, false);
  if (what == "leave") return run_leave(now, command);
  if (what == "force-leave") return run_force_leave(now, command, words, false);
  finish(command, not_modelled(words));
}

void Agent::run_serf(Instant now, CommandId command, const std::vector<std::string>& words) {
  const std::string what = words.size() > 1 ? words[1] : "";
  if (what == "members") return finish(command, run_serf_members(words));
  if (what == "event") return finish(command, run_serf_event(now, words));
  if (what == "info") return finish(command, run_serf_info(words));
  if (what == "rtt") return finish(command, run_rtt(words, true));
  if (what == "tags") return run_serf_tags(now, command, words);
  if (what == "join") return run_join(now, command, words, true);
  if (what == "leave") return run_leave(now, command);
  if (what == "force-leave") return run_force_leave(now, command, words, true);
  finish(command, not_modelled(words));
}

CommandResult Agent::run_members(const std::vector<std::string>& words) const {
  MembersQuery query;
  std::string filter;
  Flags flags;
  flags.text("segment", &query.segment);
  flags.text("status", &query.status);
  flags.boolean("detailed", &query.detailed);
  flags.boolean("wan", &query.wan);
  flags.text("filter", &filter);
  const auto rest = flags.parse(words, 2);
  if (!rest) return usage(rest.error().text);
  std::optional<MemberFilter> accepted;
  if (!filter.empty()) {
    auto parsed = MemberFilter::parse(filter);
    if (!parsed) {
      return usage(fmt::format("Error retrieving members: Unexpected response code: 400 (Failed to create boolean expression evaluator: {})",
                               parsed.error().text));
    }
    accepted = std::move(*parsed);
  }
  if (query.wan) {
    if (!config_.server) return usage("Error retrieving members: " + api_error("not a server"));
    return usage("Error: the WAN pool is not modelled by this version of dcsim");
  }
  auto rows = members(query.segment);
  if (!rows) return usage("Error retrieving members: " + api_error(rows.error().text));
  if (accepted) std::erase_if(*rows, [&](const MemberRow& row) { return !accepted->accepts(row); });
  return print_members(std::move(*rows), query);
}

/// consul command/rtt/rtt.go, serf cmd/serf/command/rtt.go. Consul asks its servers for what agents reported to them; here
/// the agent answers from what its own Serf heard in acks.
CommandResult Agent::run_rtt(const std::vector<std::string>& words, bool serf) const {
  bool wan = false;
  Flags flags;
  if (!serf) flags.boolean("wan", &wan);
  auto nodes = flags.parse(words, 2);
  if (!nodes) return usage(nodes.error().text);
  if (nodes->empty() || nodes->size() > 2) return usage("One or two node names must be specified");
  if (wan) return usage("Error: the WAN pool is not modelled by this version of dcsim");
  if (nodes->size() == 1) nodes->push_back(config_.node_name);
  const std::string& a = (*nodes)[0];
  const std::string& b = (*nodes)[1];
  bool a_known = false, b_known = false;
  for (const auto& pool : pools_) {  // coordinates of one segment mean nothing in another
    const gossip::Coordinate* first = pool->serf().cached_coordinate(a);
    const gossip::Coordinate* second = pool->serf().cached_coordinate(b);
    a_known = a_known || first;
    b_known = b_known || second;
    if (!first || !second) continue;
    const double ms = gossip::distance(*first, *second).seconds() * 1000.0;
    return {0, fmt::format("Estimated {} <-> {} rtt: {:.3f} ms{}\n", a, b, ms, serf ? "" : " (using LAN coordinates)"), ""};
  }
  return usage(fmt::format("Could not find a coordinate for node {:?}", a_known && !b_known ? b : a));
}

// --- join ----------------------------------------------------------------------------------------------------------

void Agent::run_join(Instant now, CommandId command, const std::vector<std::string>& words, bool serf) {
  bool wan = false, replay = false;
  Flags flags;
  flags.boolean(serf ? "replay" : "wan", serf ? &replay : &wan);
  const auto rest = flags.parse(words, 2);
  if (!rest) return finish(command, usage(rest.error().text));
  if (rest->empty()) return finish(command, usage("At least one address to join must be specified."));
  if (wan) {
    return finish(command, config_.server
                               ? usage("Error: the WAN pool is not modelled by this version of dcsim")
                               : usage(fmt::format("Error joining address '{}': {}\nFailed to join any nodes.", rest->front(),
                                                   api_error("Must be a server to join WAN cluster"))));
  }
  JoinCommand run{command, *rest, 0, 0, 0, "", serf};
  if (serf) {
    log_serf_joining(run.targets, replay);
    run.token = begin_join(now, *pools_[0], run.targets, !replay);
    run.next = run.targets.size();
  } else {
    join_next_target(now, run);
  }
  join_commands_.push_back(std::move(run));
}

void Agent::join_next_target(Instant now, JoinCommand& run) {
  const std::string& target = run.targets[run.next++];
  around_.log(LogLevel::kInfo, fmt::format("agent: (LAN) joining: lan_addresses={}", quoted_list({target})));
  run.token = begin_join(now, *pools_[0], {target}, true);
}

bool Agent::join_command_done(Instant now, const Done& done) {
  const auto it = std::find_if(join_commands_.begin(), join_commands_.end(), [&](const JoinCommand& c) { return c.token == done.token; });
  if (it == join_commands_.end()) return false;
  JoinCommand& run = *it;
  around_.joined(PoolId{0}, {JoinReport::Why::kCommand, done.contacted, done.error});
  if (!run.serf) {
    if (done.contacted > 0) {
      ++run.joined;
      around_.log(LogLevel::kInfo, fmt::format("agent: (LAN) joined: number_of_nodes={}", done.contacted));
    } else {
      run.err += fmt::format("Error joining address '{}': {}\n", run.targets[run.next - 1], api_error(done.error));
      around_.log(LogLevel::kWarn, fmt::format("agent: (LAN) couldn't join: number_of_nodes=0 error=\"{}\"", one_line(done.error)));
    }
    if (run.next < run.targets.size()) {
      join_next_target(now, run);
      return true;
    }
    if (run.joined == 0) run.err += "Failed to join any nodes.\n";
  } else {
    log_serf_joined(done.contacted, done.error);
    run.joined = static_cast<int>(done.contacted);
    if (done.contacted == 0) run.err = fmt::format("Error joining the cluster: {}\n", done.error);
  }
  CommandResult result{run.joined > 0 ? 0 : 1, "", run.err};
  if (run.joined > 0) result.out = fmt::format("Successfully joined cluster by contacting {} nodes.\n", run.joined);
  const CommandId command = run.command;
  join_commands_.erase(it);
  finish(command, result);
  return true;
}

// --- leave, force-leave --------------------------------------------------------------------------------------------

void Agent::run_leave(Instant now, CommandId command) {
  leave_commands_.push_back(command);
  begin_leave(now);
}

void Agent::run_force_leave(Instant now, CommandId command, const std::vector<std::string>& words, bool serf) {
  bool prune = false, wan = false;
  Flags flags;
  flags.boolean("prune", &prune);
  if (!serf) flags.boolean("wan", &wan);
  const auto rest = flags.parse(words, 2);
  if (!rest) return finish(command, usage(rest.error().text));
  if (rest->size() != 1) {
    return finish(command, usage(serf ? "A node name must be specified to force leave." : "A single node name must be specified to force leave."));
  }
  if (wan) return finish(command, usage("Error: the WAN pool is not modelled by this version of dcsim"));
  BroadcastCommand run{command, 0, "", "Error force leaving: ", rest->front(), prune, 0, {}};
  if (!force_leave_next(now, run)) {
    return finish(command, usage("Error force leaving: " + api_error(fmt::format("agent: No node found with name '{}'", rest->front()))));
  }
  broadcast_commands_.push_back(std::move(run));
}

/// A server looks in every pool it is in, the LAN before its segments (consul agent/consul/server_ce.go removeFailedNode);
/// Serf does not look at all. False if no pool is left that has the member.
bool Agent::force_leave_next(Instant now, BroadcastCommand& run) {
  const bool looks = config_.kind == AgentKind::kConsul;
  for (; run.pool < pools_.size(); ++run.pool) {
    gossip::Serf& serf = pools_[run.pool]->serf();
    if (looks && !serf.find(run.member)) continue;
    run.token = next_token_++;
    serf.force_leave(now, run.token, run.member, run.prune);
    return true;
  }
  return false;
}

void Agent::broadcast_command_done(Instant now, const Done& done) {
  const auto it = std::find_if(broadcast_commands_.begin(), broadcast_commands_.end(),
                               [&](const BroadcastCommand& c) { return c.token == done.token; });
  if (it == broadcast_commands_.end()) return;
  BroadcastCommand run = std::move(*it);
  broadcast_commands_.erase(it);
  if (config_.kind == AgentKind::kSerf) {
    return finish(run.command, done.error.empty() ? CommandResult{0, run.out, ""} : CommandResult{1, "", run.error + done.error + "\n"});
  }
  if (!done.error.empty()) {
    const std::string& segment = pools_[run.pool]->place().segment;
    const std::string where = run.pool == 0 ? "LAN" : "segment " + segment + " LAN";
    run.failures.push_back(config_.server ? fmt::format("could not remove failed node from {}: {}", where, done.error) : done.error);
  }
  ++run.pool;
  if (force_leave_next(now, run)) return broadcast_commands_.push_back(std::move(run));
  if (run.failures.empty()) return finish(run.command, {0, run.out, ""});
  std::string text = run.failures.front();
  if (config_.server) {  // go-multierror
    text = run.failures.size() == 1 ? "1 error occurred:\n" : fmt::format("{} errors occurred:\n", run.failures.size());
    for (const std::string& failure : run.failures) text += "\t* " + failure + "\n";
    text += "\n";
  }
  finish(run.command, {1, "", run.error + api_error(text) + "\n"});
}

}  // namespace dcsim::consul
