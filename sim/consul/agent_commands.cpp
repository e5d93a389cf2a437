#include <fmt/format.h>

#include <algorithm>

#include "consul/agent.h"
#include "consul/pool.h"

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
  static constexpr std::string_view kBoth[] = {"members", "join", "leave", "force-leave"};
  if (words[0] != "consul" && words[0] != "serf") return false;
  return std::find(std::begin(kBoth), std::end(kBoth), words[1]) != std::end(kBoth) || (words[0] == "serf" && words[1] == "event");
}

CommandResult agent_not_running(const std::vector<std::string>& words) {
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
  else if (words.size() > 1 && words[1] == "force-leave") what = fmt::format("Error force leaving: Put \"http://127.0.0.1:8500/v1/agent/force-leave/{}\"", words.back());
  return {1, "", refused(what)};
}

void Agent::finish(CommandId command, const CommandResult& result) { around_.command_done(command, result); }

void Agent::run(Instant now, CommandId command, const std::vector<std::string>& words) {
  if (!started_ || ended_ || words.empty()) return finish(command, agent_not_running(words));
  const bool serf = config_.kind == AgentKind::kSerf;
  if (words[0] == "serf") {
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
  if (what == "join") return run_join(now, command, words, false);
  if (what == "leave") return run_leave(now, command);
  if (what == "force-leave") return run_force_leave(now, command, words, false);
  finish(command, not_modelled(words));
}

void Agent::run_serf(Instant now, CommandId command, const std::vector<std::string>& words) {
  const std::string what = words.size() > 1 ? words[1] : "";
  if (what == "members") return finish(command, run_serf_members(words));
  if (what == "event") return finish(command, run_serf_event(now, words));
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
  if (!filter.empty()) return usage("Error: `consul members -filter` is not modelled by this version of dcsim");
  if (query.wan) {
    if (!config_.server) return usage("Error retrieving members: " + api_error("not a server"));
    return usage("Error: the WAN pool is not modelled by this version of dcsim");
  }
  auto rows = members(query.segment);
  if (!rows) return usage("Error retrieving members: " + api_error(rows.error().text));
  for (MemberRow& row : *rows) row.protocol = std::string(tag(row.tags, "vsn"));
  return print_members(std::move(*rows), query);
}

CommandResult Agent::run_serf_members(const std::vector<std::string>& words) const {
  std::string status, name, role, format = "text", tag_filter;
  bool detailed = false;
  Flags flags;
  flags.text("status", &status);
  flags.text("name", &name);
  flags.text("role", &role);
  flags.text("format", &format);
  flags.text("tag", &tag_filter);
  flags.boolean("detailed", &detailed);
  const auto rest = flags.parse(words, 2);
  if (!rest) return usage(rest.error().text);
  if (format != "text") return usage(fmt::format("Error: `serf members -format={}` is not modelled by this version of dcsim", format));
  Tags filters;
  if (!role.empty()) filters["role"] = role;
  if (!tag_filter.empty()) {
    const auto equals = tag_filter.find('=');
    if (equals == std::string::npos || equals == 0) return usage("Error: Malformed tag: " + tag_filter);
    filters[tag_filter.substr(0, equals)] = tag_filter.substr(equals + 1);
  }
  auto rows = members(pools_[0]->place().segment);
  return print_serf_members(std::move(*rows), status, name, filters, detailed);
}

CommandResult Agent::run_serf_event(Instant now, const std::vector<std::string>& words) {
  bool coalesce = true;
  Flags flags;
  flags.boolean("coalesce", &coalesce);
  const auto rest = flags.parse(words, 2);
  if (!rest) return usage(rest.error().text);
  if (rest->empty()) return usage("An event name must be specified.");
  if (rest->size() > 2) return usage("Too many command line arguments. Only a name and payload must be specified.");
  const std::string payload = rest->size() > 1 ? (*rest)[1] : "";
  if (const auto failed = pools_[0]->serf().user_event(now, (*rest)[0], view_of(payload), coalesce)) {
    return usage("Error sending event: " + failed->text);
  }
  return {0, fmt::format("Event '{}' dispatched! Coalescing enabled: {}\n", (*rest)[0], coalesce), ""};
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
  // A server looks in every pool it is in (consul agent/consul/server_ce.go RemoveFailedNode).
  for (const auto& pool : pools_) {
    if (!pool->serf().find(rest->front())) continue;
    const std::uint32_t token = next_token_++;
    force_leave_commands_.push_back({command, token});
    pool->serf().force_leave(now, token, rest->front(), prune);
    return;
  }
  if (serf) return finish(command, CommandResult{});
  finish(command, usage("Error force leaving: " + api_error(fmt::format("agent: No node found with name '{}'", rest->front()))));
}

}  // namespace dcsim::consul
