#include "scenario/agent_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

namespace dcsim::scenario {

namespace {

enum class Kind { kText, kBool, kInt, kNumber, kDuration, kTexts, kTextMap, kAny, kBlock, kBlocks };
enum class Effect { kIgnored, kModelled };

struct AgentKey {
  std::string_view path;  ///< "ports.serf_lan"; items of a list of blocks likewise: "segments.name"
  Kind kind;
  Effect effect = Effect::kIgnored;
  std::int64_t minimum = INT64_MIN, maximum = INT64_MAX;  ///< kInt
};

constexpr Effect kM = Effect::kModelled;
constexpr std::int64_t kMostTunable = 1'000'000;

// agent/config/config.go: Config, and what later versions added.
constexpr AgentKey kConsulKeys[] = {
    {"acl", Kind::kAny},
    {"acl_agent_master_token", Kind::kText},
    {"acl_agent_token", Kind::kText},
    {"acl_datacenter", Kind::kText},
    {"acl_default_policy", Kind::kText},
    {"acl_down_policy", Kind::kText},
    {"acl_enable_key_list_policy", Kind::kBool},
    {"acl_master_token", Kind::kText},
    {"acl_replication_token", Kind::kText},
    {"acl_token", Kind::kText},
    {"acl_ttl", Kind::kDuration},
    {"addresses", Kind::kBlock},
    {"addresses.dns", Kind::kText},
    {"addresses.http", Kind::kText},
    {"addresses.https", Kind::kText},
    {"addresses.grpc", Kind::kText},
    {"addresses.grpc_tls", Kind::kText},
    {"advertise_addr", Kind::kText, kM},
    {"advertise_addr_ipv4", Kind::kText},
    {"advertise_addr_ipv6", Kind::kText},
    {"advertise_addr_wan", Kind::kText},
    {"advertise_addr_wan_ipv4", Kind::kText},
    {"advertise_addr_wan_ipv6", Kind::kText},
    {"advertise_reconnect_timeout", Kind::kDuration, kM},
    {"ae_interval", Kind::kDuration},
    {"alt_domain", Kind::kText},
    {"audit", Kind::kAny},
    {"auto_config", Kind::kAny},
    {"auto_encrypt", Kind::kAny},
    {"auto_reload_config", Kind::kBool},
    {"autopilot", Kind::kBlock},
    {"autopilot.cleanup_dead_servers", Kind::kBool},
    {"autopilot.last_contact_threshold", Kind::kDuration},
    {"autopilot.max_trailing_logs", Kind::kInt},
    {"autopilot.min_quorum", Kind::kInt},
    {"autopilot.server_stabilization_time", Kind::kDuration},
    {"autopilot.disable_upgrade_migration", Kind::kBool},
    {"autopilot.redundancy_zone_tag", Kind::kText},
    {"autopilot.upgrade_version_tag", Kind::kText},
    {"bind_addr", Kind::kText, kM},
    {"bootstrap", Kind::kBool, kM},
    {"bootstrap_expect", Kind::kInt, kM},
    {"ca_file", Kind::kText},
    {"ca_path", Kind::kText},
    {"cache", Kind::kAny},
    {"cert_file", Kind::kText},
    {"check", Kind::kAny},
    {"check_deregister_interval_min", Kind::kDuration},
    {"check_output_max_size", Kind::kInt},
    {"check_reap_interval", Kind::kDuration},
    {"check_update_interval", Kind::kDuration},
    {"checks", Kind::kAny},
    {"client_addr", Kind::kText},
    {"cloud", Kind::kAny},
    {"config_entries", Kind::kAny},
    {"connect", Kind::kAny},
    {"consul", Kind::kAny},
    {"data_dir", Kind::kText},
    {"datacenter", Kind::kText, kM},
    {"default_intention_policy", Kind::kText},
    {"default_query_time", Kind::kDuration, kM},
    {"disable_anonymous_signature", Kind::kBool},
    {"disable_coordinates", Kind::kBool},
    {"disable_host_node_id", Kind::kBool},
    {"disable_http_unprintable_char_filter", Kind::kBool},
    {"disable_keyring_file", Kind::kBool},
    {"disable_remote_exec", Kind::kBool},
    {"disable_update_check", Kind::kBool},
    {"discard_check_output", Kind::kBool},
    {"discovery_max_stale", Kind::kDuration},
    {"dns_config", Kind::kAny},
    {"domain", Kind::kText},
    {"enable_acl_replication", Kind::kBool},
    {"enable_agent_tls_for_checks", Kind::kBool},
    {"enable_central_service_config", Kind::kBool},
    {"enable_debug", Kind::kBool},
    {"enable_local_script_checks", Kind::kBool},
    {"enable_script_checks", Kind::kBool},
    {"enable_syslog", Kind::kBool},
    {"encrypt", Kind::kText},
    {"encrypt_verify_incoming", Kind::kBool},
    {"encrypt_verify_outgoing", Kind::kBool},
    {"experiments", Kind::kTexts},
    {"gossip_lan", Kind::kBlock, kM},
    {"gossip_wan", Kind::kBlock},
    {"http_config", Kind::kAny},
    {"key_file", Kind::kText},
    {"leave_on_terminate", Kind::kBool, kM},
    {"license_path", Kind::kText},
    {"limits", Kind::kBlock, kM},
    {"limits.http_max_conns_per_client", Kind::kInt},
    {"limits.https_handshake_timeout", Kind::kDuration},
    {"limits.kv_max_value_size", Kind::kInt},
    {"limits.request_limits", Kind::kAny},
    {"limits.rpc_client_timeout", Kind::kDuration, kM},
    {"limits.rpc_handshake_timeout", Kind::kDuration, kM},
    {"limits.rpc_max_burst", Kind::kInt},
    {"limits.rpc_max_conns_per_client", Kind::kInt, kM},
    {"limits.rpc_rate", Kind::kNumber},
    {"limits.txn_max_req_len", Kind::kInt},
    {"locality", Kind::kAny},
    {"log_file", Kind::kText},
    {"log_json", Kind::kBool},
    {"log_level", Kind::kText},
    {"log_rotate_bytes", Kind::kInt},
    {"log_rotate_duration", Kind::kDuration},
    {"log_rotate_max_files", Kind::kInt},
    {"max_query_time", Kind::kDuration, kM},
    {"node_id", Kind::kText, kM},
    {"node_meta", Kind::kTextMap},
    {"node_name", Kind::kText, kM},
    {"non_voting_server", Kind::kBool},
    {"partition", Kind::kText},
    {"peering", Kind::kAny},
    {"performance", Kind::kBlock, kM},
    {"performance.grpc_keepalive_interval", Kind::kDuration},
    {"performance.grpc_keepalive_timeout", Kind::kDuration},
    {"performance.leave_drain_time", Kind::kDuration, kM},
    {"performance.raft_multiplier", Kind::kInt, kM},
    {"performance.rpc_hold_timeout", Kind::kDuration, kM},
    {"pid_file", Kind::kText},
    {"ports", Kind::kBlock, kM},
    {"ports.dns", Kind::kInt},
    {"ports.expose_max_port", Kind::kInt},
    {"ports.expose_min_port", Kind::kInt},
    {"ports.grpc", Kind::kInt},
    {"ports.grpc_tls", Kind::kInt},
    {"ports.http", Kind::kInt},
    {"ports.https", Kind::kInt},
    {"ports.proxy_max_port", Kind::kInt},
    {"ports.proxy_min_port", Kind::kInt},
    {"ports.serf_lan", Kind::kInt, kM},
    {"ports.serf_wan", Kind::kInt, kM},
    {"ports.server", Kind::kInt, kM},
    {"ports.sidecar_max_port", Kind::kInt},
    {"ports.sidecar_min_port", Kind::kInt},
    {"primary_datacenter", Kind::kText},
    {"primary_gateways", Kind::kTexts},
    {"primary_gateways_interval", Kind::kDuration},
    {"protocol", Kind::kInt},
    {"raft_boltdb", Kind::kAny},
    {"raft_logstore", Kind::kAny},
    {"raft_prevote_disabled", Kind::kBool, kM},
    {"raft_protocol", Kind::kInt},
    {"raft_snapshot_interval", Kind::kDuration, kM},
    {"raft_snapshot_threshold", Kind::kInt, kM},
    {"raft_trailing_logs", Kind::kInt, kM},
    {"read_replica", Kind::kBool},
    {"reconnect_timeout", Kind::kDuration, kM},
    {"reconnect_timeout_wan", Kind::kDuration},
    {"recursors", Kind::kTexts},
    {"rejoin_after_leave", Kind::kBool},
    {"reporting", Kind::kAny},
    {"retry_interval", Kind::kDuration, kM},
    {"retry_interval_wan", Kind::kDuration},
    {"retry_join", Kind::kTexts, kM},
    {"retry_join_wan", Kind::kTexts},
    {"retry_max", Kind::kInt, kM},
    {"retry_max_wan", Kind::kInt},
    {"rpc", Kind::kAny},
    {"segment", Kind::kText, kM},
    {"segment_limit", Kind::kInt, kM},
    {"segment_name_limit", Kind::kInt},
    {"segments", Kind::kBlocks, kM},
    {"segments.advertise", Kind::kText, kM},
    {"segments.bind", Kind::kText, kM},
    {"segments.name", Kind::kText, kM},
    {"segments.port", Kind::kInt, kM},
    {"segments.rpc_listener", Kind::kBool, kM},
    {"serf_lan", Kind::kText, kM},
    {"serf_lan_allowed_cidrs", Kind::kTexts, kM},
    {"serf_wan", Kind::kText},
    {"serf_wan_allowed_cidrs", Kind::kTexts},
    {"server", Kind::kBool, kM},
    {"server_name", Kind::kText},
    {"server_rejoin_age_max", Kind::kDuration},
    {"service", Kind::kAny},
    {"services", Kind::kAny},
    {"session_ttl_min", Kind::kDuration},
    {"skip_leave_on_interrupt", Kind::kBool},
    {"snapshot_agent", Kind::kAny},
    {"start_join", Kind::kTexts, kM},
    {"start_join_wan", Kind::kTexts},
    {"sync_coordinate_interval_min", Kind::kDuration},
    {"sync_coordinate_rate_target", Kind::kNumber},
    {"syslog_facility", Kind::kText},
    {"tagged_addresses", Kind::kTextMap},
    {"telemetry", Kind::kAny},
    {"tls", Kind::kAny},
    {"tls_cipher_suites", Kind::kText},
    {"tls_min_version", Kind::kText},
    {"tls_prefer_server_cipher_suites", Kind::kBool},
    {"translate_wan_addrs", Kind::kBool},
    {"ui", Kind::kBool},
    {"ui_config", Kind::kAny},
    {"ui_content_path", Kind::kText},
    {"ui_dir", Kind::kText},
    {"unix_sockets", Kind::kAny},
    {"use_streaming_backend", Kind::kBool},
    {"verify_incoming", Kind::kBool},
    {"verify_incoming_https", Kind::kBool},
    {"verify_incoming_rpc", Kind::kBool},
    {"verify_outgoing", Kind::kBool},
    {"verify_server_hostname", Kind::kBool},
    {"watches", Kind::kAny},
    {"xds", Kind::kAny},
};

// cmd/serf/command/agent/config.go: Config.
constexpr AgentKey kSerfKeys[] = {
    {"advertise", Kind::kText, kM},
    {"bind", Kind::kText, kM},
    {"broadcast_timeout", Kind::kDuration},
    {"disable_coordinates", Kind::kBool},
    {"disable_name_resolution", Kind::kBool},
    {"discover", Kind::kText},
    {"enable_compression", Kind::kBool},
    {"enable_syslog", Kind::kBool},
    {"encrypt_key", Kind::kText},
    {"event_handlers", Kind::kTexts},
    {"gossip", Kind::kBlock, kM},
    {"gossip_lan", Kind::kBlock, kM},
    {"interface", Kind::kText},
    {"keyring_file", Kind::kText},
    {"leave_on_terminate", Kind::kBool, kM},
    {"log_level", Kind::kText},
    {"mdns", Kind::kAny},
    {"node_name", Kind::kText, kM},
    {"profile", Kind::kText, kM},
    {"profile_path", Kind::kText},
    {"protocol", Kind::kInt},
    {"query_response_size_limit", Kind::kInt},
    {"query_size_limit", Kind::kInt},
    {"reconnect_interval", Kind::kDuration},
    {"reconnect_timeout", Kind::kDuration, kM},
    {"rejoin_after_leave", Kind::kBool},
    {"replay_on_join", Kind::kBool},
    {"retry_interval", Kind::kDuration, kM},
    {"retry_join", Kind::kTexts, kM},
    {"retry_max_attempts", Kind::kInt},
    {"role", Kind::kText},
    {"rpc_addr", Kind::kText},
    {"rpc_auth", Kind::kText},
    {"skip_leave_on_interrupt", Kind::kBool},
    {"snapshot_path", Kind::kText},
    {"start_join", Kind::kTexts, kM},
    {"statsd_addr", Kind::kText},
    {"statsite_addr", Kind::kText},
    {"syslog_facility", Kind::kText},
    {"tags", Kind::kTextMap, kM},
    {"tags_file", Kind::kText},
    {"tombstone_timeout", Kind::kDuration, kM},
    {"user_event_size_limit", Kind::kInt},
};

// memberlist config.go by snake_case name; the lifeguard_* switches are the Lifeguard paper's experiments.
constexpr AgentKey kTunables[] = {
    {"awareness_max_multiplier", Kind::kInt, kM, 0, kMostTunable},
    {"dead_node_reclaim_time", Kind::kDuration, kM},
    {"disable_tcp_pings", Kind::kBool, kM},
    {"enable_compression", Kind::kBool, kM},
    {"exhaustive_small_targets", Kind::kBool, kM},
    {"gossip_interval", Kind::kDuration, kM},
    {"gossip_nodes", Kind::kInt, kM, 0, kMostTunable},
    {"gossip_to_the_dead_time", Kind::kDuration, kM},
    {"handoff_queue_depth", Kind::kInt, kM, 0, kMostTunable},
    {"indirect_checks", Kind::kInt, kM, 0, kMostTunable},
    {"label", Kind::kText, kM},
    {"lifeguard_buddy", Kind::kBool, kM},
    {"lifeguard_probe", Kind::kBool, kM},
    {"lifeguard_suspicion", Kind::kBool, kM},
    {"probe_interval", Kind::kDuration, kM},
    {"probe_timeout", Kind::kDuration, kM},
    {"push_pull_interval", Kind::kDuration, kM},
    {"require_node_names", Kind::kBool, kM},
    {"retransmit_mult", Kind::kInt, kM, 0, kMostTunable},
    {"skip_inbound_label_check", Kind::kBool, kM},
    {"suspicion_max_timeout_mult", Kind::kInt, kM, 0, kMostTunable},
    {"suspicion_mult", Kind::kInt, kM, 0, kMostTunable},
    {"tcp_timeout", Kind::kDuration, kM},
    {"udp_buffer_size", Kind::kInt, kM, 0, kMostTunable},
};

using Keys = std::span<const AgentKey>;

bool is_tunables(std::string_view path) { return path == "gossip_lan" || path == "gossip_wan" || path == "gossip"; }

class Checker {
 public:
  Checker(AgentKind kind, Reading& reading, std::set<std::string>& noted)
      : software_(kind == AgentKind::kSerf ? "Serf" : "Consul"),
        keys_(kind == AgentKind::kSerf ? Keys(kSerfKeys) : Keys(kConsulKeys)),
        reading_(reading),
        noted_(noted) {}

  void block(ConfigValue& map, const std::string& path, bool quiet) {
    const bool tunables = is_tunables(path);
    const Keys table = tunables ? Keys(kTunables) : keys_;
    const std::string prefix = path.empty() || tunables ? std::string() : path + ".";
    std::vector<ConfigEntry> sound;
    for (ConfigEntry& entry : map.entries) {
      const std::string full = prefix + entry.key;
      const auto known = std::find_if(table.begin(), table.end(), [&](const AgentKey& k) { return k.path == full; });
      if (known == table.end()) {
        unknown(entry, path, prefix, table);
        continue;
      }
      const bool ignored = known->effect == Effect::kIgnored;
      if (ignored && !quiet) note(entry, path.empty() ? entry.key : path + "." + entry.key);
      unusable_ = false;
      value(*known, entry, quiet || ignored);
      if (!unusable_) sound.push_back(std::move(entry));
      unusable_ = false;
    }
    map.entries = std::move(sound);
  }

 private:
  void note(const ConfigEntry& entry, const std::string& path) {
    if (noted_.insert(software_ + path).second) {
      reading_.note(code::kIgnoredKey, entry.key_at,
                    fmt::format("{}'s key `{}` is not modelled and is ignored", software_, path));
    }
  }

  void unknown(const ConfigEntry& entry, const std::string& path, const std::string& prefix, Keys table) {
    std::vector<std::string_view> names;
    for (const AgentKey& k : table) {
      if (k.path.substr(0, prefix.size()) != prefix) continue;
      const std::string_view rest = k.path.substr(prefix.size());
      if (rest.find('.') == std::string_view::npos) names.push_back(rest);
    }
    const std::string_view best = nearest(entry.key, names);
    const std::string where = path.empty() ? "config" : path;
    if (!best.empty() || !path.empty()) {
      reading_.error(
          code::kUnknownKey, entry.key_at, fmt::format("unknown key `{}` in {}", entry.key, where),
          best.empty() ? std::string() : fmt::format("did you mean `{}`?", best),
          path.empty() ? fmt::format("config takes {}'s own keys", software_) : "allowed keys: " + listed(names));
    } else if (noted_.insert(software_ + entry.key).second) {
      reading_.warn(code::kIgnoredKey, entry.key_at,
                    fmt::format("`{}` is not a key of {} that is known here; it is ignored", entry.key, software_));
    }
  }

  void wrong(const ConfigEntry& entry, std::string_view expected, std::string label = {}, std::string help = {}) {
    unusable_ = true;
    const ConfigValue& v = entry.value;
    std::string got;
    switch (v.kind) {
      case ConfigValue::Kind::kNull:
        got = "nothing";
        break;
      case ConfigValue::Kind::kBool:
        got = fmt::format("the boolean `{}`", v.text);
        break;
      case ConfigValue::Kind::kInt:
      case ConfigValue::Kind::kFloat:
        got = fmt::format("the number `{}`", v.text);
        break;
      case ConfigValue::Kind::kString:
        got = fmt::format("the string \"{}\"", v.text.substr(0, 60));
        break;
      case ConfigValue::Kind::kList:
        got = "a list";
        break;
      case ConfigValue::Kind::kMap:
        got = "a map";
        break;
    }
    reading_.error(code::kWrongType, v.at,
                   fmt::format("{}'s `{}` must be {}, got {}", software_, entry.key, expected, got), std::move(label),
                   std::move(help));
  }

  void value(const AgentKey& key, ConfigEntry& entry, bool quiet) {
    ConfigValue& v = entry.value;
    using K = ConfigValue::Kind;
    switch (key.kind) {
      case Kind::kAny:
        return;
      case Kind::kText:
        if (v.kind == K::kInt || v.kind == K::kFloat || v.kind == K::kBool)
          wrong(entry, "a string", {}, fmt::format("quote it: \"{}\"", v.text));
        else if (v.kind != K::kString)
          wrong(entry, "a string");
        return;
      case Kind::kBool:
        return boolean(entry);
      case Kind::kInt:
        return integer(key, entry);
      case Kind::kNumber:
        if (v.kind != K::kInt && v.kind != K::kFloat) wrong(entry, "a number");
        return;
      case Kind::kDuration:
        return duration(entry);
      case Kind::kTexts:
        return texts(entry);
      case Kind::kTextMap:
        if (v.kind != K::kMap) return wrong(entry, "a map of strings");
        for (const ConfigEntry& item : v.entries) {
          if (item.value.kind != K::kString) wrong(item, "a string", {}, "quote it");
        }
        return;
      case Kind::kBlock:
        if (v.kind != K::kMap) return wrong(entry, "a map");
        return block(v, std::string(key.path), quiet);
      case Kind::kBlocks:
        if (v.kind != K::kList) return wrong(entry, "a list of maps");
        blocks(key, entry, quiet);
        return;
    }
  }

  void blocks(const AgentKey& key, ConfigEntry& entry, bool quiet) {
    bool bad = false;
    for (ConfigValue& item : entry.value.items) {
      if (item.kind == ConfigValue::Kind::kMap) {
        block(item, std::string(key.path), quiet);
      } else {
        wrong({entry.key, entry.key_at, item}, "a list of maps");
        bad = true;
      }
    }
    unusable_ = bad;
  }

  void boolean(ConfigEntry& entry) {
    if (entry.value.kind == ConfigValue::Kind::kBool) return;
    const std::string& text = entry.value.text;
    const bool positive = text == "yes" || text == "on" || text == "Yes" || text == "True" || text == "TRUE" ||
                          text == "true" || text == "1";
    const bool negative = text == "no" || text == "off" || text == "No" || text == "False" || text == "FALSE" ||
                          text == "false" || text == "0";
    wrong(entry, "true or false",
          positive   ? "did you mean `true`?"
          : negative ? "did you mean `false`?"
                     : "",
          "only `true` and `false`, without quotes, are booleans");
    if (!positive && !negative) return;
    entry.value.kind = ConfigValue::Kind::kBool;
    entry.value.boolean = positive;
    unusable_ = false;
  }

  void integer(const AgentKey& key, ConfigEntry& entry) {
    if (entry.value.kind == ConfigValue::Kind::kInt) {
      const std::int64_t n = entry.value.integer;
      if (n >= key.minimum && n <= key.maximum) return;
      reading_.error(code::kBadValue, entry.value.at,
                     n < key.minimum ? fmt::format("`{}` must be at least {}, got {}", entry.key, key.minimum, n)
                                     : fmt::format("`{}` must be at most {}, got {}", entry.key, key.maximum, n));
      unusable_ = true;
      return;
    }
    const auto parsed = parse_integer(entry.value.text);
    const std::string meant = parsed ? entry.value.text : parsed.error.suggestion;
    wrong(entry, "a decimal whole number",
          entry.value.kind == ConfigValue::Kind::kString && !meant.empty() ? fmt::format("did you mean `{}`?", meant)
                                                                           : "");
    if (!parsed || *parsed.value < key.minimum || *parsed.value > key.maximum) return;
    entry.value.kind = ConfigValue::Kind::kInt;
    entry.value.integer = *parsed.value;
    unusable_ = false;
  }

  void duration(const ConfigEntry& entry) {
    const ConfigValue& v = entry.value;
    if (v.kind != ConfigValue::Kind::kString) {
      const bool number = v.kind == ConfigValue::Kind::kInt || v.kind == ConfigValue::Kind::kFloat;
      if (number && v.text == "0") return wrong(entry, "a duration", "did you mean `0s`?");
      return wrong(entry, "a duration", number && v.text[0] != '-' ? fmt::format("did you mean `{}s`?", v.text) : "",
                   "for example 30s");
    }
    const auto parsed = parse_config_duration(v.text);
    if (parsed) return;
    unusable_ = true;
    reading_.error(
        code::kBadValue, v.at, fmt::format("{}'s `{}`: {}", software_, entry.key, parsed.error.message),
        parsed.error.suggestion.empty() ? std::string() : fmt::format("did you mean `{}`?", parsed.error.suggestion),
        "as Go spells durations: 500ms, 1m30s, 72h");
  }

  void texts(const ConfigEntry& entry) {
    if (entry.value.kind == ConfigValue::Kind::kString) return;
    if (entry.value.kind != ConfigValue::Kind::kList) return wrong(entry, "a list of strings");
    for (const ConfigValue& item : entry.value.items) {
      if (item.kind != ConfigValue::Kind::kString) wrong({entry.key, entry.key_at, item}, "a list of strings");
    }
  }

  std::string software_;
  Keys keys_;
  Reading& reading_;
  std::set<std::string>& noted_;
  bool unusable_ = false;  ///< the value under the hand has been reported
};

}  // namespace

void check_agent_keys(ConfigValue& config, AgentKind kind, Reading& reading, std::set<std::string>& noted) {
  Checker(kind, reading, noted).block(config, {}, false);
}

}  // namespace dcsim::scenario
