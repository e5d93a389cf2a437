#include <fmt/format.h>

#include <algorithm>

#include "consul/agent.h"
#include "consul/pool.h"

// What only `serf` has (cmd/serf/command of Serf 0.9).
namespace dcsim::consul {

namespace {

CommandResult failed(std::string_view text) { return {1, "", std::string(text) + "\n"}; }

CommandResult bad_format(std::string_view format) {
  return failed(fmt::format("Encoding error: Invalid output format \"{}\"", format));
}

/// agent/config.go UnmarshalTags: the last of equal keys wins.
Result<Tags> tags_of(const std::vector<std::string>& pairs) {
  Tags tags;
  for (const std::string& pair : pairs) {
    const auto equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) return Error{fmt::format("Invalid tag: '{}'", pair)};
    tags[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  return tags;
}

}  // namespace

CommandResult Agent::run_serf_members(const std::vector<std::string>& words) const {
  SerfMembersQuery query;
  std::string role, format = "text";
  std::vector<std::string> pairs;
  Flags flags;
  flags.text("status", &query.status);
  flags.text("name", &query.name);
  flags.text("role", &role);
  flags.text("format", &format);
  flags.texts("tag", &pairs);
  flags.boolean("detailed", &query.detailed);
  if (const auto rest = flags.parse(words, 2); !rest) return failed(rest.error().text);
  if (!role.empty()) pairs.push_back("role=" + role);
  auto tags = tags_of(pairs);
  if (!tags) return failed("Error: " + tags.error().text);
  query.tags = std::move(*tags);
  query.json = format == "json";
  CommandResult result = format == "json" || format == "text" ? print_serf_members(*members(pools_[0]->place().segment), query) : bad_format(format);
  if (!role.empty()) result.out.insert(0, "Deprecation warning: 'Role' has been replaced with 'Tags'\n");
  return result;
}

CommandResult Agent::run_serf_event(Instant now, const std::vector<std::string>& words) {
  bool coalesce = true;
  Flags flags;
  flags.boolean("coalesce", &coalesce);
  const auto rest = flags.parse(words, 2);
  if (!rest) return failed(rest.error().text);
  if (rest->empty()) return failed("An event name must be specified.");
  if (rest->size() > 2) return failed("Too many command line arguments. Only a name and payload must be specified.");
  const std::string payload = rest->size() > 1 ? (*rest)[1] : "";
  if (const auto error = pools_[0]->serf().user_event(now, (*rest)[0], view_of(payload), coalesce)) {
    return failed("Error sending event: " + error->text);
  }
  return {0, fmt::format("Event '{}' dispatched! Coalescing enabled: {}\n", (*rest)[0], coalesce), ""};
}

/// Without the section "runtime": there is no Go runtime to tell of.
CommandResult Agent::run_serf_info(const std::vector<std::string>& words) const {
  std::string format = "text";
  Flags flags;
  flags.text("format", &format);
  if (const auto rest = flags.parse(words, 2); !rest) return failed(rest.error().text);
  if (format != "text" && format != "json") return bad_format(format);
  const gossip::Serf& serf = pools_[0]->serf();
  const gossip::SerfStats stats = serf.stats();
  Tags numbers{{"members", std::to_string(stats.members)},
               {"failed", std::to_string(stats.failed)},
               {"left", std::to_string(stats.left)},
               {"health_score", std::to_string(stats.health_score)},
               {"member_time", std::to_string(stats.member_time)},
               {"event_time", std::to_string(stats.event_time)},
               {"query_time", std::to_string(stats.query_time)},
               {"intent_queue", std::to_string(stats.intent_queue)},
               {"event_queue", std::to_string(stats.event_queue)},
               {"query_queue", std::to_string(stats.query_queue)},
               {"encrypted", "false"}};
  if (serf.coordinates()) numbers["coordinate_resets"] = std::to_string(stats.coordinate_resets);
  const std::pair<std::string_view, Tags> sections[] = {
      {"agent", {{"name", config_.node_name}}}, {"event_handlers", {}}, {"serf", numbers}, {"tags", serf.config().tags}};
  std::string out;
  for (const auto& [name, values] : sections) {
    if (format == "json") {
      out += fmt::format("{}  {}: {}", out.empty() ? "{\n" : ",\n", go_json(name), go_json(values, 2));
      continue;
    }
    out += fmt::format("{}:\n", name);
    for (const auto& [key, value] : values) out += fmt::format("\t{} = {}\n", key, value);
  }
  if (format == "json") out += "\n}\n";
  return {0, out, ""};
}

void Agent::run_serf_tags(Instant now, CommandId command, const std::vector<std::string>& words) {
  std::vector<std::string> pairs, gone;
  Flags flags;
  flags.texts("set", &pairs);
  flags.texts("delete", &gone);
  if (const auto rest = flags.parse(words, 2); !rest) return finish(command, failed(rest.error().text));
  if (pairs.empty() && gone.empty()) return finish(command, {1, "Usage: serf tags [options] ...\n", ""});
  const auto set = tags_of(pairs);
  if (!set) return finish(command, failed("Error: " + set.error().text));
  gossip::Serf& serf = pools_[0]->serf();
  Tags tags = serf.config().tags;
  for (const std::string& key : gone) tags.erase(key);
  for (const auto& [key, value] : *set) tags[key] = value;
  const std::uint32_t token = next_token_++;
  broadcast_commands_.push_back({command, token, "Successfully updated agent tags\n", "Error setting tags: "});
  if (const auto error = serf.set_tags(now, token, std::move(tags))) {
    broadcast_commands_.pop_back();
    finish(command, failed("Error setting tags: " + error->text));
  }
}

}  // namespace dcsim::consul
