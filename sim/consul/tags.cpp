#include "consul/tags.h"

#include <algorithm>
#include <charconv>

namespace dcsim::consul {

namespace {

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// A build is "major.minor.patch", perhaps with "-prerelease" and ":revision".
bool is_version(std::string_view build) {
  build = build.substr(0, build.find_first_of(":-+"));
  int parts = 0;
  while (!build.empty()) {
    const auto dot = std::min(build.find('.'), build.size());
    if (!number(build.substr(0, dot))) return false;
    ++parts;
    build.remove_prefix(std::min(dot + 1, build.size()));
  }
  return parts >= 1;
}

}  // namespace

std::string_view tag(const Tags& tags, std::string_view key) {
  const auto it = tags.find(key);
  return it == tags.end() ? std::string_view() : std::string_view(it->second);
}

bool has_tag(const Tags& tags, std::string_view key) { return tags.contains(key); }

Tags lan_tags(const AgentConfig& config, std::string_view segment) {
  if (config.kind == AgentKind::kSerf) return Tags(config.tags.begin(), config.tags.end());
  Tags tags = {{"acls", "0"}, {"build", config.build}, {"dc", config.datacenter}, {"id", config.node_id},
               {"role", config.server ? "consul" : "node"}, {"segment", std::string(segment)},
               {"vsn", "2"}, {"vsn_max", "3"}, {"vsn_min", "2"}};
  if (config.server) {
    tags.insert({{"ft_fs", "1"}, {"ft_si", "1"}, {"grpc_tls_port", "8503"},
                 {"port", std::to_string(config.rpc_port)}, {"raft_vsn", "3"}});
    if (config.serf_wan_port > 0) tags.emplace("wan_join_port", std::to_string(config.serf_wan_port));
    if (config.bootstrap) tags.emplace("bootstrap", "1");
    if (config.bootstrap_expect != 0) tags.emplace("expect", std::to_string(config.bootstrap_expect));
  } else if (config.advertise_reconnect_timeout) {
    tags.emplace("rc_tm", go_duration(*config.advertise_reconnect_timeout));
  }
  return tags;
}

std::optional<ServerInfo> parse_server(const Tags& tags) {
  if (tag(tags, "role") != "consul") return std::nullopt;
  ServerInfo info;
  const auto port = number(tag(tags, "port"));
  if (!port || *port < 0 || *port > 65535 || !number(tag(tags, "vsn")) || !is_version(tag(tags, "build"))) return std::nullopt;
  for (const char* key : {"expect", "wan_join_port", "raft_vsn", "grpc_port", "grpc_tls_port"}) {
    if (has_tag(tags, key) && !number(tag(tags, key))) return std::nullopt;
  }
  info.datacenter = tag(tags, "dc");
  info.segment = tag(tags, "segment");
  info.port = static_cast<std::uint16_t>(*port);
  info.expect = number(tag(tags, "expect")).value_or(0);
  info.bootstrap = has_tag(tags, "bootstrap");
  return info;
}

}  // namespace dcsim::consul
