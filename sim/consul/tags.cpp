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

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// "sl_alpha" = "10.0.0.1:8303" of releases before 1.7.3.
bool is_host_port(std::string_view text) {
  const auto colon = text.rfind(':');
  return colon != std::string_view::npos && number(text.substr(colon + 1));
}

/// At least one of the gRPC ports is one, if any is given.
bool grpc_ports_agree(const Tags& tags) {
  if (!has_tag(tags, "grpc_port") && !has_tag(tags, "grpc_tls_port")) return true;
  return number(tag(tags, "grpc_port")).value_or(0) >= 1 || number(tag(tags, "grpc_tls_port")).value_or(0) >= 1;
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

std::optional<BuildVersion> parse_build(std::string_view build) {
  for (std::size_t at = 0; at < build.size(); ++at) {
    if (!is_digit(build[at]) || (at > 0 && is_digit(build[at - 1]))) continue;
    int parts[3] = {};
    const char* p = build.data() + at;
    const char* const end = build.data() + build.size();
    int n = 0;
    for (; n < 3; ++n) {
      const auto [stop, error] = std::from_chars(p, end, parts[n]);
      if (stop == p || !is_digit(*p)) break;
      if (error != std::errc{}) return std::nullopt;
      p = stop;
      if (n < 2 && (p == end || *p++ != '.')) break;
    }
    if (n == 3) return BuildVersion{parts[0], parts[1], parts[2]};
  }
  return std::nullopt;
}

bool is_server(const Tags& tags) {
  if (tag(tags, "role") != "consul") return false;
  const auto port = number(tag(tags, "port"));
  if (!port || *port < 0 || *port > 65535 || !number(tag(tags, "vsn")) || !parse_build(tag(tags, "build"))) return false;
  for (const char* key : {"expect", "wan_join_port", "raft_vsn"}) {
    if (has_tag(tags, key) && !number(tag(tags, key))) return false;
  }
  for (const auto& [key, value] : tags) {
    if (key.starts_with("sl_") && !is_host_port(value)) return false;
    if (key.starts_with("ft_") && !number(value)) return false;
  }
  return grpc_ports_agree(tags);
}

std::optional<ServerInfo> parse_server(const Tags& tags) {
  if (!is_server(tags)) return std::nullopt;
  ServerInfo info;
  info.datacenter = tag(tags, "dc");
  info.segment = tag(tags, "segment");
  info.port = static_cast<std::uint16_t>(number(tag(tags, "port")).value_or(0));
  info.expect = number(tag(tags, "expect")).value_or(0);
  info.bootstrap = has_tag(tags, "bootstrap");
  return info;
}

}  // namespace dcsim::consul
