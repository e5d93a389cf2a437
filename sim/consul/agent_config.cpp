#include "consul/agent_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

namespace dcsim::consul {

namespace {

/// Reads typed keys out of one map and collects what is wrong with them.
class Reader {
 public:
  Reader(const RawValue& keys, std::vector<ConfigProblem>& problems) : keys_(keys), problems_(problems) {}

  const RawValue* find(std::string_view key) const { return keys_.find(key); }
  void fail(const RawValue* at, std::string text) {
    problems_.push_back({std::move(text), at ? at->place : keys_.place, false});
    ++errors_;
  }
  void warn(const RawValue* at, std::string text) { problems_.push_back({std::move(text), at ? at->place : keys_.place, true}); }
  /// How many fail() have been called.
  std::size_t errors() const { return errors_; }

  bool boolean(std::string_view key, bool fallback) {
    const RawValue* v = find(key);
    if (!v) return fallback;
    if (const bool* b = std::get_if<bool>(&v->value)) return *b;
    fail(v, fmt::format("`{}` takes true or false", key));
    return fallback;
  }
  std::string text(std::string_view key, std::string fallback) {
    const RawValue* v = find(key);
    if (!v) return fallback;
    if (const std::string* s = v->text()) return *s;
    if (const auto* n = std::get_if<std::int64_t>(&v->value)) return std::to_string(*n);
    fail(v, fmt::format("`{}` takes a string", key));
    return fallback;
  }
  std::int64_t integer(std::string_view key, std::int64_t fallback) {
    const RawValue* v = find(key);
    if (!v) return fallback;
    if (const auto* n = std::get_if<std::int64_t>(&v->value)) return *n;
    fail(v, fmt::format("`{}` takes a whole number", key));
    return fallback;
  }
  std::optional<Duration> duration(std::string_view key) {
    const RawValue* v = find(key);
    if (!v) return std::nullopt;
    if (const std::string* s = v->text()) {
      if (const auto d = parse_go_duration(*s); d && d->ns >= 0) return d;
    }
    fail(v, fmt::format("`{}` takes a duration such as \"30s\"", key));
    return std::nullopt;
  }
  std::vector<std::pair<std::string, const RawValue*>> texts(std::string_view key) {
    std::vector<std::pair<std::string, const RawValue*>> out;
    const RawValue* v = find(key);
    if (!v) return out;
    if (const std::string* s = v->text()) return {{*s, v}};
    if (const RawValue::List* list = v->list()) {
      for (const RawValue& item : *list) {
        if (const std::string* s = item.text()) out.emplace_back(*s, &item);
        else fail(&item, fmt::format("`{}` takes a list of strings", key));
      }
      return out;
    }
    fail(v, fmt::format("`{}` takes a list of strings", key));
    return out;
  }

 private:
  const RawValue& keys_;
  std::vector<ConfigProblem>& problems_;
  std::size_t errors_ = 0;
};

const Address kWildcard = Address::v4(0);
constexpr std::uint16_t kSerfPort = 7946;  // serf cmd/serf/command/agent/config.go DefaultBindPort

bool is_wildcard(const Address& a) { return a == kWildcard || a.text() == "::"; }

std::string joined(const std::vector<std::string>& list) {
  std::string out;
  for (const std::string& item : list) out += (out.empty() ? "" : " ") + item;
  return out;
}

/// One IP after template expansion; none if nothing is given or found, which leaves the default (builder.go
/// expandFirstIP). Only bind_addr insists.
std::optional<Address> single_ip(Reader& in, const RawValue* at, const std::string& what, const std::string& text,
                                 const std::vector<Interface>& interfaces) {
  const auto list = expand_addresses(text, interfaces);
  if (!list) {
    in.fail(at, fmt::format("{}: error parsing {:?}: {}", what, text.substr(0, 200), list.error().text));
  } else if (list->empty()) {
    if (what == "bind_addr") in.fail(at, "bind_addr cannot be empty");
    else if (!text.empty()) in.warn(at, fmt::format("{}: no address found: {:?}", what, text));
  } else if (list->size() > 1) {
    in.fail(at, what == "bind_addr"
                    ? "bind_addr cannot contain multiple addresses. Use 'addresses.{dns,http,https}' instead."
                    : fmt::format("{}: multiple addresses found: {}", what, joined(*list)));
  } else if (const auto ip = Address::parse(list->front() == "[::]" ? "::" : list->front())) {
    return ip;
  } else {
    in.fail(at, what == "bind_addr" ? "bind_addr must be an ip address" : fmt::format("{}: invalid ip address: {}", what, list->front()));
  }
  return std::nullopt;
}

bool is_loopback_or_link_local(const Address& a) {
  const auto bytes = a.bytes();
  if (a.is_v4()) return (a.v4_value() >> 24) == 127 || (a.v4_value() >> 16) == 0xA9FE;
  return a.text() == "::1" || (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80);
}

/// What an agent that listens on a wildcard advertises: the single private IPv4 or the single public IPv6 address
/// (builder.go advertiseAddrFunc, ipaddr/detect.go).
std::optional<Address> detected(Reader& in, const RawValue* at, bool v4, const std::vector<Interface>& interfaces) {
  std::vector<Address> found;
  for (const Interface& i : interfaces) {
    if (!i.up || i.address.empty() || i.address.is_v4() != v4 || is_loopback_or_link_local(i.address)) continue;
    if (is_private(i.address) == v4) found.push_back(i.address);
  }
  const std::string_view kind = v4 ? "private IPv4" : "public IPv6";
  if (found.empty()) in.fail(at, fmt::format("No {} address found", kind));
  if (found.size() > 1) in.fail(at, fmt::format("Multiple {} addresses found. Please configure one with 'bind' and/or 'advertise'.", kind));
  return found.size() == 1 ? std::optional(found.front()) : std::nullopt;
}

std::uint16_t port_value(Reader& ports, std::string_view key, std::uint16_t fallback, std::string_view must_be_positive) {
  const std::int64_t port = ports.integer(key, fallback);
  if (port > 65535) ports.fail(ports.find(key), fmt::format("ports.{}: invalid port: {}", key, port));
  if (port <= 0) ports.fail(ports.find(key), std::string(must_be_positive));
  return port > 0 && port <= 65535 ? static_cast<std::uint16_t>(port) : fallback;
}

void read_ports(Reader& in, AgentConfig& config, std::vector<ConfigProblem>& problems) {
  const RawValue* block = in.find("ports");
  if (!block) return;
  if (!block->map()) return in.fail(block, "`ports` takes a map");
  Reader ports(*block, problems);
  config.rpc_port = port_value(ports, "server", config.rpc_port, "server-port must be greater than zero");
  config.serf_lan_port = port_value(ports, "serf_lan", config.serf_lan_port, "serf-lan-port must be greater than zero");
  const std::int64_t wan = ports.integer("serf_wan", config.serf_wan_port);
  if (wan > 65535) in.fail(ports.find("serf_wan"), fmt::format("ports.serf_wan: invalid port: {}", wan));
  config.serf_wan_port = wan <= 0 || wan > 65535 ? -1 : static_cast<int>(wan);
}

void read_addresses(Reader& in, AgentConfig& config, const std::vector<Interface>& interfaces) {
  config.bind = kWildcard;
  if (const RawValue* v = in.find("bind_addr")) {
    config.bind = single_ip(in, v, "bind_addr", in.text("bind_addr", ""), interfaces).value_or(kWildcard);
  }
  config.serf_lan_bind = config.bind;
  if (const RawValue* v = in.find("serf_lan")) {
    config.serf_lan_bind = single_ip(in, v, "serf_lan", in.text("serf_lan", ""), interfaces).value_or(config.bind);
  }
  config.advertise = config.bind;
  const RawValue* advertise = in.find("advertise_addr");
  if (advertise) {
    const std::string text = in.text("advertise_addr", "");
    if (text == "0.0.0.0" || text == "::" || text == "[::]") return in.fail(advertise, "Advertise address cannot be 0.0.0.0, :: or [::]");
    const std::size_t before = in.errors();
    config.advertise = single_ip(in, advertise, "advertise_addr", text, interfaces).value_or(config.bind);
    if (in.errors() > before) return;
  }
  if (is_wildcard(config.advertise)) {
    const bool v4 = config.advertise.is_v4();
    config.advertise = detected(in, advertise ? advertise : in.find("bind_addr"), v4, interfaces).value_or(kWildcard);
  }
  config.advertise_wan = config.advertise;
  if (const RawValue* wan = in.find("advertise_addr_wan")) {
    const std::string text = in.text("advertise_addr_wan", "");
    if (text == "0.0.0.0" || text == "::" || text == "[::]") return in.fail(wan, "Advertise WAN address cannot be 0.0.0.0, :: or [::]");
    config.advertise_wan = single_ip(in, wan, "advertise_addr_wan", text, interfaces).value_or(config.advertise);
  }
}

/// builder.go addrUnique. DNS and HTTP, which listen at client_addr, are not here.
void check_unique_addresses(Reader& in, const AgentConfig& config) {
  struct Use {
    std::string_view what, key;
    Endpoint at;
  };
  std::vector<Use> uses{{"RPC Advertise", "server", {config.advertise, config.rpc_port}},
                        {"Serf Advertise LAN", "serf_lan", {config.advertise, config.serf_lan_port}}};
  if (config.serf_wan_port > 0) {
    uses.push_back({"Serf Advertise WAN", "serf_wan", {config.advertise_wan, static_cast<std::uint16_t>(config.serf_wan_port)}});
  }
  const RawValue* ports = in.find("ports");
  for (std::size_t i = 1; i < uses.size(); ++i) {
    const auto end = uses.begin() + static_cast<std::ptrdiff_t>(i);
    const auto other = std::find_if(uses.begin(), end, [&](const Use& u) { return u.at == uses[i].at; });
    if (other == end) continue;
    const RawValue* at = ports ? ports->find(uses[i].key) : nullptr;
    if (!at && ports) at = ports->find(other->key);
    return in.fail(at ? at : ports, fmt::format("{} address {} already configured for {}", uses[i].what, uses[i].at.text(), other->what));
  }
}

/// The ports that a server's pools have already, to find the one that is given twice.
using Ports = std::set<std::int64_t>;

void read_segment_port(Reader& entry, const RawValue& item, Ports& taken, SegmentConfig& segment) {
  const RawValue* at = entry.find("port");
  const std::size_t before = entry.errors();
  const std::int64_t port = entry.integer("port", 0);
  if (entry.errors() > before) return;
  if (port <= 0) return entry.fail(at ? at : &item, fmt::format("Port for segment {:?} cannot be <= 0", segment.name));
  if (port > 65535) return entry.fail(at, fmt::format("segments[{}].port: invalid port: {}", segment.name, port));
  if (!taken.insert(port).second) entry.fail(at, fmt::format("Port {} for segment {:?} is already in use", port, segment.name));
  segment.port = static_cast<std::uint16_t>(port);
}

SegmentConfig read_segment(const RawValue& item, const AgentConfig& config, const std::vector<Interface>& interfaces,
                           std::set<std::string>& names, Ports& taken, std::vector<ConfigProblem>& problems) {
  Reader entry(item, problems);
  SegmentConfig segment;
  segment.name = entry.text("name", "");
  const RawValue* name = entry.find("name");
  if (segment.name.empty()) entry.fail(name ? name : &item, "Segment name cannot be blank");
  else if (segment.name.size() > 64) entry.fail(name, "Segment name exceeds limit of 64 characters");
  else if (!names.insert(segment.name).second) entry.fail(name, fmt::format("Segment {:?} is defined more than once", segment.name));
  segment.name.resize(std::min<std::size_t>(segment.name.size(), 64));
  read_segment_port(entry, item, taken, segment);
  const auto address = [&](std::string_view key, const Address& fallback) {
    const RawValue* at = entry.find(key);
    if (!at) return fallback;
    return single_ip(entry, at, fmt::format("segments[{}].{}", segment.name, key), entry.text(key, ""), interfaces).value_or(fallback);
  };
  segment.bind = address("bind", config.bind);
  segment.advertise = address("advertise", config.advertise);
  if (const RawValue* at = entry.find("advertise"); at && is_wildcard(segment.advertise)) {
    entry.fail(at, fmt::format("segments[{}].advertise cannot be 0.0.0.0, :: or [::]", segment.name));
  }
  segment.rpc_listener = entry.boolean("rpc_listener", false);
  if (segment.rpc_listener && segment.bind == config.bind) {
    entry.fail(entry.find("rpc_listener"), fmt::format("rpc_listener of segment {:?} needs a bind address that differs from bind_addr", segment.name));
  }
  return segment;
}

// Enterprise's own texts for all of this but the port are not public; these are in its style.
void read_segments(Reader& in, AgentConfig& config, const std::vector<Interface>& interfaces,
                   std::vector<ConfigProblem>& problems) {
  config.segment = in.text("segment", "");
  if (config.server && !config.segment.empty()) {
    in.fail(in.find("segment"), "Segment option can only be set on clients; servers take 'segments'");
  }
  if (config.segment.size() > 64) {
    in.fail(in.find("segment"), "Segment name exceeds limit of 64 characters");
    config.segment.clear();
  }
  const std::int64_t limit = in.integer("segment_limit", 64);
  if (limit < 1 || limit > 256) return in.fail(in.find("segment_limit"), fmt::format("segment_limit cannot be {}. Must be between 1 and 256", limit));
  const RawValue* list = in.find("segments");
  if (!list) return;
  if (!list->list()) return in.fail(list, "`segments` takes a list");
  if (list->list()->empty()) return;
  if (!config.server) in.fail(list, "Segments can only be configured on servers; clients take 'segment'");
  if (list->list()->size() > static_cast<std::size_t>(limit)) return in.fail(list, fmt::format("Cannot exceed network segment limit of {}", limit));
  std::set<std::string> names;
  Ports taken{config.serf_lan_port, config.rpc_port, config.serf_wan_port};
  for (const RawValue& item : *list->list()) {
    if (item.map()) config.segments.push_back(read_segment(item, config, interfaces, names, taken, problems));
    else in.fail(&item, "a segment takes a map of name, bind, port, advertise, rpc_listener");
  }
}

void read_joins(Reader& in, AgentConfig& config, const std::vector<Interface>& interfaces) {
  for (const char* key : {"retry_join", "start_join"}) {
    for (const auto& [text, at] : in.texts(key)) {
      if (text.find("{{") == std::string::npos) {  // passed on as it is, blanks and all (builder.go expandOptionalAddrs)
        if (!text.empty()) config.retry_join.push_back(text);
        continue;
      }
      const auto expanded = expand_addresses(text, interfaces);
      if (!expanded) in.fail(at, fmt::format("{}: error parsing {:?}: {}", key, text.substr(0, 200), expanded.error().text));
      else config.retry_join.insert(config.retry_join.end(), expanded->begin(), expanded->end());
    }
  }
  if (const auto d = in.duration("retry_interval")) config.retry_interval = *d;
  if (config.retry_interval < 1_ms) {  // joins that fail at once would keep simulated time from passing
    in.fail(in.find("retry_interval"), "`retry_interval` below 1ms is not modelled");
    config.retry_interval = 30_s;
  }
  config.retry_max = static_cast<int>(std::clamp<std::int64_t>(in.integer("retry_max", 0), 0, 1'000'000'000));
}

void read_bootstrap(Reader& in, AgentConfig& config) {
  config.bootstrap = in.boolean("bootstrap", false);
  const std::int64_t expect = in.integer("bootstrap_expect", 0);
  config.bootstrap_expect = static_cast<int>(std::clamp<std::int64_t>(expect, 0, 1'000'000));
  const RawValue* at = in.find("bootstrap_expect");
  if (expect < 0) in.fail(at, fmt::format("bootstrap_expect cannot be {}. Must be greater than or equal to zero", expect));
  if (config.bootstrap && !config.server) in.fail(in.find("bootstrap"), "'bootstrap = true' requires 'server = true'");
  if (config.bootstrap_expect > 0 && !config.server) in.fail(at, "'bootstrap_expect > 0' requires 'server = true'");
  if (config.bootstrap_expect > 0 && config.bootstrap) in.fail(at, "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive");
  if (config.bootstrap_expect == 1) {
    config.warnings.push_back("BootstrapExpect is set to 1; this is the same as Bootstrap mode.");
    config.bootstrap_expect = 0;
    config.bootstrap = true;
  } else if (config.bootstrap_expect == 2) {
    config.warnings.push_back("bootstrap_expect = 2: A cluster with 2 servers will provide no failure tolerance. See https://www.consul.io/docs/internals/consensus.html#deployment-table");
  } else if (config.bootstrap_expect > 2 && config.bootstrap_expect % 2 == 0) {
    config.warnings.push_back("bootstrap_expect is even number: A cluster with an even number of servers does not achieve optimum fault tolerance.");
  }
}

/// Names that DNS cannot carry are only warned of (builder.go Validate).
void warn_of_name(AgentConfig& config) {
  const bool legal = std::all_of(config.node_name.begin(), config.node_name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
  if (!legal) {
    config.warnings.push_back(fmt::format("Node name {:?} will not be discoverable via DNS due to invalid characters. Valid "
                                          "characters include all alpha-numerics and dashes.", config.node_name));
  } else if (config.node_name.size() > 63) {
    config.warnings.push_back(fmt::format("Node name {:?} will not be discoverable via DNS due to it being too long. Valid "
                                          "lengths are between 1 and 63 bytes.", config.node_name));
  }
}

void read_identity(Reader& in, AgentConfig& config) {
  config.datacenter = in.text("datacenter", config.datacenter);
  std::transform(config.datacenter.begin(), config.datacenter.end(), config.datacenter.begin(),
                 [](unsigned char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : static_cast<char>(c); });
  if (config.datacenter.empty()) in.fail(in.find("datacenter"), "datacenter cannot be empty");
  const bool legal = std::all_of(config.datacenter.begin(), config.datacenter.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  if (!legal) in.fail(in.find("datacenter"), fmt::format("datacenter can only contain lowercase alphanumeric, - or _ characters. received: {:?}", config.datacenter));
  config.node_name = in.text("node_name", config.node_name);
  if (config.node_name.empty()) in.fail(in.find("node_name"), "node_name cannot be empty");
  warn_of_name(config);
  config.node_id = in.text("node_id", config.node_id);
}

void read_tunables(const RawValue* block, Reader& in, AgentConfig& config) {
  if (!block) return;
  if (!block->map()) return in.fail(block, "gossip settings take a map");
  for (const auto& [name, value] : *block->map()) config.gossip_lan.push_back({name, value});
}

void read_lifecycle(Reader& in, AgentConfig& config) {
  if (const auto d = in.duration("reconnect_timeout")) config.reconnect_timeout = *d;
  config.advertise_reconnect_timeout = in.duration("advertise_reconnect_timeout");
  if (config.advertise_reconnect_timeout && config.server) {
    in.fail(in.find("advertise_reconnect_timeout"), "advertise_reconnect_timeout can only be used on a client");
  }
  config.leave_on_terminate = in.boolean("leave_on_terminate", !config.server);
  config.skip_leave_on_interrupt = in.boolean("skip_leave_on_interrupt", config.server);
  config.rejoin_after_leave = in.boolean("rejoin_after_leave", false);
  for (const auto& [text, at] : in.texts("serf_lan_allowed_cidrs")) {
    if (const auto cidr = Cidr::parse(text)) config.serf_lan_allowed_cidrs.push_back(*cidr);
    else in.fail(at, fmt::format("serf_lan_allowed_cidrs: invalid CIDR address: {}", text));
  }
}

/// performance, raft_* and limits: what Raft and RPC run with.
void read_raft_and_rpc(Reader& in, AgentConfig& config, std::vector<ConfigProblem>& problems) {
  if (const RawValue* p = in.find("performance")) {
    if (!p->map()) in.fail(p, "`performance` takes a map");
    if (const RawValue* m = p->find("raft_multiplier")) {
      const auto* n = std::get_if<std::int64_t>(&m->value);
      if (!n || *n < 1 || *n > 10) {
        in.fail(m, fmt::format("performance.raft_multiplier cannot be {}. Must be between 1 and 10", n ? *n : 0));
      } else {
        config.raft_multiplier = static_cast<int>(*n);
      }
    }
    Reader performance(*p, problems);
    if (const auto d = performance.duration("rpc_hold_timeout")) config.rpc_hold_timeout = *d;
    if (const auto d = performance.duration("leave_drain_time")) config.leave_drain_time = *d;
  }
  config.raft_prevote_disabled = in.boolean("raft_prevote_disabled", false);
  if (const auto d = in.duration("raft_snapshot_interval"); d && d->ns > 0) config.raft_snapshot_interval = std::max(*d, 5_ms);
  // 0 or less leaves the default (agent.go newConsulConfig)
  const auto count = [&](std::string_view key, std::uint64_t& into) {
    if (const std::int64_t n = in.integer(key, 0); n > 0) into = static_cast<std::uint64_t>(n);
  };
  count("raft_snapshot_threshold", config.raft_snapshot_threshold);
  count("raft_trailing_logs", config.raft_trailing_logs);
  if (const RawValue* l = in.find("limits")) {
    if (!l->map()) return in.fail(l, "`limits` takes a map");
    Reader limits(*l, problems);
    if (const auto d = limits.duration("rpc_client_timeout")) config.rpc_client_timeout = *d;
    if (const auto d = limits.duration("rpc_handshake_timeout")) config.rpc_handshake_timeout = *d;
    config.rpc_max_conns_per_client = static_cast<std::uint32_t>(
        std::clamp<std::int64_t>(limits.integer("rpc_max_conns_per_client", config.rpc_max_conns_per_client), 0, 1'000'000));
  }
  if (const auto d = in.duration("default_query_time"); d && d->ns > 0) config.default_query_time = *d;
  if (const auto d = in.duration("max_query_time"); d && d->ns > 0) config.max_query_time = *d;
}

/// "host[:port]" or "[v6]:port" of Serf's bind and advertise settings (cmd/serf/command/agent/config.go AddrParts).
void read_serf_endpoint(Reader& in, std::string_view key, Address& address, std::uint16_t* port) {
  const RawValue* at = in.find(key);
  if (!at) return;
  const std::string text = in.text(key, "");
  std::string_view host = text, number;
  bool well_formed = true;
  if (host.starts_with('[')) {
    const auto close = std::min(host.find(']'), host.size());
    number = host.substr(std::min(close + 1, host.size()));
    well_formed = close < host.size() && (number.empty() || number[0] == ':');
    host = host.substr(1, close - 1);
  } else if (const auto colon = host.rfind(':'); colon != std::string_view::npos && host.find(':') == colon) {
    number = host.substr(colon);
    host = host.substr(0, colon);
  }
  unsigned value = 0;
  if (!number.empty()) {
    const auto [end, error] = std::from_chars(number.data() + 1, number.data() + number.size(), value);
    well_formed = well_formed && error == std::errc{} && end == number.data() + number.size() && value > 0 && value <= 65535;
  }
  const auto ip = Address::parse(host);
  if (!ip || !well_formed) return in.fail(at, fmt::format("`{}` takes an address such as 10.0.0.1:7946", key));
  address = *ip;
  if (value != 0 && port) *port = static_cast<std::uint16_t>(value);
}

/// Bound to 0.0.0.0, memberlist advertises the first private address on an interface with a default route, in its
/// 16-byte form (net_transport.go FinalAdvertiseAddr).
Address serf_advertise(Reader& in, const AgentConfig& config, const std::vector<Interface>& interfaces) {
  if (!is_wildcard(config.bind)) return config.bind;
  if (in.find("advertise")) return kWildcard;
  const auto found = expand_template("{{ GetPrivateIP }}", interfaces);
  if (const auto ip = found ? Address::parse(*found) : std::nullopt) return ip->mapped();
  in.fail(in.find("bind"), "no private IP address found, and explicit IP not provided");
  return kWildcard;
}

void read_serf(Reader& in, AgentConfig& config, const std::vector<Interface>& interfaces) {
  config.serf_lan_port = kSerfPort;
  config.reconnect_timeout = 24_h;
  config.node_name = in.text("node_name", config.node_name);
  config.bind = kWildcard;
  read_serf_endpoint(in, "bind", config.bind, &config.serf_lan_port);
  config.serf_lan_bind = config.bind;
  config.advertise = serf_advertise(in, config, interfaces);
  // Serf's own default, not the bound port, stands in for one that is not given (command.go setupAgent).
  if (in.find("advertise")) config.advertise_port = kSerfPort;
  read_serf_endpoint(in, "advertise", config.advertise, &config.advertise_port);
  if (config.node_name.empty()) in.fail(in.find("node_name"), "node_name cannot be empty");
  config.profile = in.text("profile", "lan");
  if (config.profile != "lan" && config.profile != "wan" && config.profile != "local") {
    in.fail(in.find("profile"), fmt::format("Unknown profile: {}", config.profile));
  }
  if (const RawValue* tags = in.find("tags")) {
    if (!tags->map()) in.fail(tags, "`tags` takes a map");
    else for (const auto& [name, value] : *tags->map()) {
      if (const std::string* s = value.text()) config.tags.emplace_back(name, *s);
      else in.fail(&value, "a tag takes a string");
    }
  }
  if (const auto d = in.duration("tombstone_timeout")) config.tombstone_timeout = *d;
  config.leave_on_terminate = in.boolean("leave_on_terminate", false);
  config.skip_leave_on_interrupt = in.boolean("skip_leave_on_interrupt", false);
  if (const auto d = in.duration("reconnect_timeout")) config.reconnect_timeout = *d;
  read_joins(in, config, interfaces);
  config.rejoin_after_leave = in.boolean("rejoin_after_leave", false);
  read_tunables(in.find("gossip"), in, config);
  read_tunables(in.find("gossip_lan"), in, config);
}

}  // namespace

AgentConfig build_config(AgentKind kind, const RawValue& keys, const std::string& default_name, const std::string& datacenter,
                         const std::string& node_id, const std::vector<Interface>& interfaces,
                         std::vector<ConfigProblem>& problems) {
  AgentConfig config;
  config.kind = kind;
  config.node_name = default_name;
  config.node_id = node_id;
  config.datacenter = datacenter;
  Reader in(keys, problems);
  if (kind == AgentKind::kSerf) {
    read_serf(in, config, interfaces);
    return config;
  }
  config.server = in.boolean("server", false);
  read_identity(in, config);
  read_ports(in, config, problems);
  read_addresses(in, config, interfaces);
  if (in.errors() == 0) check_unique_addresses(in, config);
  read_bootstrap(in, config);
  read_segments(in, config, interfaces, problems);
  read_joins(in, config, interfaces);
  read_lifecycle(in, config);
  read_raft_and_rpc(in, config, problems);
  read_tunables(in.find("gossip_lan"), in, config);
  return config;
}

}  // namespace dcsim::consul
