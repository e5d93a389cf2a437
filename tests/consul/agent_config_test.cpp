#include <fmt/format.h>

#include <functional>
#include <limits>

#include "base/rng.h"
#include "consul/gossip_tunables.h"
#include "raw.h"

using namespace dcsim;
using namespace dcsim::test;
using Texts = std::vector<std::string>;

// Texts and defaults: consul agent/config/builder.go, default.go.

TEST_CASE("an agent without any key is a client of dc1 that advertises its only private address") {
  const Built b = build(Keys());
  CHECK(b.problems.empty());
  const AgentConfig& c = b.config;
  CHECK_FALSE(c.server);
  CHECK(c.node_name == "web-1");
  CHECK(c.datacenter == "dc1");
  CHECK(c.bind.text() == "0.0.0.0");
  CHECK(c.serf_lan_bind.text() == "0.0.0.0");
  CHECK(c.advertise.text() == "10.0.0.7");
  CHECK(c.advertise.is_v4());
  CHECK(c.rpc_port == 8300);
  CHECK(c.serf_lan_port == 8301);
  CHECK(c.serf_wan_port == 8302);
  CHECK(c.retry_interval == 30_s);
  CHECK(c.retry_max == 0);
  CHECK(c.reconnect_timeout == 72_h);
  CHECK_FALSE(c.advertise_reconnect_timeout);
  CHECK_FALSE(c.rejoin_after_leave);
  CHECK(c.warnings.empty());
}

TEST_CASE("clients leave on SIGTERM and on SIGINT, servers on neither, unless they are told to") {
  CHECK(build(Keys()).config.leave_on_terminate);
  CHECK_FALSE(build(Keys()).config.skip_leave_on_interrupt);
  const AgentConfig server = build(Keys()("server", true)).config;
  CHECK_FALSE(server.leave_on_terminate);
  CHECK(server.skip_leave_on_interrupt);
  const AgentConfig told = build(Keys()("server", true)("leave_on_terminate", true)("skip_leave_on_interrupt", false)).config;
  CHECK(told.leave_on_terminate);
  CHECK_FALSE(told.skip_leave_on_interrupt);
}

TEST_CASE("what an agent advertises follows what it binds to") {
  CHECK(build(Keys()("bind_addr", "10.0.0.9")).config.advertise.text() == "10.0.0.9");
  CHECK(build(Keys()("bind_addr", "10.0.0.9")("advertise_addr", "198.51.100.4")).config.advertise.text() == "198.51.100.4");
  CHECK(build(Keys()("bind_addr", "10.0.0.9")("serf_lan", "10.0.0.10")).config.serf_lan_bind.text() == "10.0.0.10");
  const Built nothing_found = build(Keys()("bind_addr", "10.0.0.9")("advertise_addr", "{{ GetPublicIP }}"));
  CHECK(nothing_found.ok());
  CHECK(nothing_found.config.advertise.text() == "10.0.0.9");
  CHECK(nothing_found.warnings() == Texts{"advertise_addr: no address found: \"{{ GetPublicIP }}\""});
}

TEST_CASE("an agent on a wildcard advertises the single private IPv4 or the single public IPv6 address") {
  std::vector<Interface> both = one_homed();
  both.push_back({"eth0", *Address::parse("2001:db8::7"), 64, true, true});
  both.push_back({"eth0", *Address::parse("fe80::1"), 64, true, true});
  CHECK(build(Keys()("bind_addr", "0.0.0.0"), both).config.advertise.text() == "10.0.0.7");
  CHECK(build(Keys()("bind_addr", "::"), both).config.advertise.text() == "2001:db8::7");
  CHECK(build(Keys()("bind_addr", "[::]"), both).config.advertise.text() == "2001:db8::7");
  CHECK(error_of(Keys()("bind_addr", "::")) == "No public IPv6 address found");
  CHECK(error_of(Keys(), {}) == "No private IPv4 address found");
  std::vector<Interface> two = one_homed();
  two.push_back({"eth1", *Address::parse("192.168.4.7"), 24, true, false});
  CHECK(error_of(Keys(), two) == "Multiple private IPv4 addresses found. Please configure one with 'bind' and/or 'advertise'.");
  two.back().up = false;
  CHECK(build(Keys(), two).ok());
}

TEST_CASE("advertise_addr_wan is kept for the WAN pool: as the LAN's unless given, and no wildcard") {
  CHECK(build(Keys()).config.advertise_wan.text() == "10.0.0.7");
  CHECK(build(Keys()("advertise_addr", "10.0.0.9")).config.advertise_wan.text() == "10.0.0.9");
  CHECK(build(Keys()("advertise_addr_wan", "{{ GetInterfaceIP \"eth0\" }}")("advertise_addr", "10.0.0.9")).config.advertise_wan.text() == "10.0.0.7");
  CHECK(build(Keys()("advertise_addr_wan", "198.51.100.1")).config.advertise.text() == "10.0.0.7");
  for (const char* any : {"0.0.0.0", "::", "[::]"}) {
    CHECK(error_of(Keys()("advertise_addr_wan", any)) == "Advertise WAN address cannot be 0.0.0.0, :: or [::]");
  }
  CHECK(error_of(Keys()("advertise_addr_wan", "nowhere")) == "advertise_addr_wan: invalid ip address: nowhere");
}

TEST_CASE("addresses that are none are refused in Consul's words") {
  CHECK(error_of(Keys()("bind_addr", "")) == "bind_addr cannot be empty");
  CHECK(error_of(Keys()("bind_addr", "{{ GetPublicIP }}")) == "bind_addr cannot be empty");
  CHECK(error_of(Keys()("bind_addr", "10.0.0.1 10.0.0.2")) ==
        "bind_addr cannot contain multiple addresses. Use 'addresses.{dns,http,https}' instead.");
  CHECK(error_of(Keys()("bind_addr", "localhost")) == "bind_addr must be an ip address");
  for (const char* any : {"0.0.0.0", "::", "[::]"}) {
    CHECK(error_of(Keys()("advertise_addr", any)) == "Advertise address cannot be 0.0.0.0, :: or [::]");
  }
  CHECK(error_of(Keys()("advertise_addr", "10.0.0.300")) == "advertise_addr: invalid ip address: 10.0.0.300");
  CHECK(error_of(Keys()("advertise_addr", "{{ GetAllInterfaces | include \"type\" \"ip\" }}")) ==
        "advertise_addr: multiple addresses found: 127.0.0.1 10.0.0.7");
  CHECK(error_of(Keys()("serf_lan", "x")) == "serf_lan: invalid ip address: x");
  CHECK(error_of(Keys()("serf_lan_allowed_cidrs", list("10.0.0.0/8", "nowhere"))) ==
        "serf_lan_allowed_cidrs: invalid CIDR address: nowhere");
}

TEST_CASE("ports are checked, and a WAN port of -1 switches that pool off") {
  const AgentConfig c = build(Keys()("ports", Keys()("server", 7300)("serf_lan", 8303)("serf_wan", -1))).config;
  CHECK(c.rpc_port == 7300);
  CHECK(c.serf_lan_port == 8303);
  CHECK(c.serf_wan_port == -1);
  CHECK(error_of(Keys()("ports", Keys()("server", 0))) == "server-port must be greater than zero");
  CHECK(error_of(Keys()("ports", Keys()("serf_lan", -1))) == "serf-lan-port must be greater than zero");
  CHECK(error_of(Keys()("ports", Keys()("server", 65536))) == "ports.server: invalid port: 65536");
  CHECK(error_of(Keys()("ports", Keys()("serf_lan", 70000))) == "ports.serf_lan: invalid port: 70000");
  CHECK(error_of(Keys()("ports", Keys()("serf_wan", 70000))) == "ports.serf_wan: invalid port: 70000");
}

TEST_CASE("what RPC, LAN and WAN gossip advertise must differ (builder.go addrUnique)") {
  CHECK(error_of(Keys()("ports", Keys()("server", 8301))) == "Serf Advertise LAN address 10.0.0.7:8301 already configured for RPC Advertise");
  CHECK(error_of(Keys()("ports", Keys()("serf_lan", 8300))) == "Serf Advertise LAN address 10.0.0.7:8300 already configured for RPC Advertise");
  CHECK(error_of(Keys()("ports", Keys()("serf_wan", 8301))) == "Serf Advertise WAN address 10.0.0.7:8301 already configured for Serf Advertise LAN");
  CHECK(error_of(Keys()("ports", Keys()("serf_wan", 8300))) == "Serf Advertise WAN address 10.0.0.7:8300 already configured for RPC Advertise");
  CHECK(error_of(Keys()("bind_addr", "fd00::7")("ports", Keys()("server", 8301))) ==
        "Serf Advertise LAN address [fd00::7]:8301 already configured for RPC Advertise");
  // The WAN pool may be off, or be advertised elsewhere.
  CHECK(build(Keys()("ports", Keys()("serf_lan", 8302)("serf_wan", -1))).ok());
  CHECK(build(Keys()("ports", Keys()("serf_wan", 8301))("advertise_addr_wan", "192.0.2.1")).ok());
  RawValue keys = Keys()("ports", Keys()("server", 8301));
  const Built b = build(keys);
  REQUIRE(b.problems.size() == 1);
  CHECK(b.problems[0].place == keys.find("ports")->find("server")->place);
}

TEST_CASE("a datacenter is lower-cased and must look like one") {
  CHECK(build(Keys()("datacenter", "DC-East_2")).config.datacenter == "dc-east_2");
  CHECK(error_of(Keys()("datacenter", "")) == "datacenter cannot be empty");
  CHECK(error_of(Keys()("datacenter", "dc 1")) ==
        "datacenter can only contain lowercase alphanumeric, - or _ characters. received: \"dc 1\"");
}

TEST_CASE("a node name must be there; one that DNS cannot carry is only warned of") {
  CHECK(error_of(Keys()("node_name", "")) == "node_name cannot be empty");
  CHECK(build(Keys()("node_name", "web_1.example")).config.warnings ==
        Texts{"Node name \"web_1.example\" will not be discoverable via DNS due to invalid characters. Valid characters "
              "include all alpha-numerics and dashes."});
  CHECK(build(Keys()("node_name", std::string(63, 'a'))).config.warnings.empty());
  CHECK(build(Keys()("node_name", std::string(64, 'a'))).config.warnings ==
        Texts{"Node name \"" + std::string(64, 'a') +
              "\" will not be discoverable via DNS due to it being too long. Valid lengths are between 1 and 63 bytes."});
}

TEST_CASE("bootstrapping is a server's, and one way at a time") {
  CHECK(error_of(Keys()("bootstrap", true)) == "'bootstrap = true' requires 'server = true'");
  CHECK(error_of(Keys()("bootstrap_expect", 3)) == "'bootstrap_expect > 0' requires 'server = true'");
  CHECK(error_of(Keys()("server", true)("bootstrap", true)("bootstrap_expect", 3)) ==
        "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive");
  CHECK(error_of(Keys()("server", true)("bootstrap_expect", -5)) ==
        "bootstrap_expect cannot be -5. Must be greater than or equal to zero");
  const AgentConfig one = build(Keys()("server", true)("bootstrap_expect", 1)).config;
  CHECK(one.bootstrap);
  CHECK(one.bootstrap_expect == 0);
  CHECK(one.warnings == Texts{"BootstrapExpect is set to 1; this is the same as Bootstrap mode."});
  CHECK(build(Keys()("server", true)("bootstrap_expect", 2)).config.warnings.size() == 1);
  CHECK(build(Keys()("server", true)("bootstrap_expect", 3)).config.warnings.empty());
  CHECK(build(Keys()("server", true)("bootstrap_expect", 4)).config.warnings.size() == 1);
}

TEST_CASE("raft_multiplier and advertise_reconnect_timeout have their limits") {
  for (const int n : {0, 11, -1}) {
    CHECK(error_of(Keys()("performance", Keys()("raft_multiplier", n))) ==
          fmt::format("performance.raft_multiplier cannot be {}. Must be between 1 and 10", n));
  }
  CHECK(build(Keys()("performance", Keys()("raft_multiplier", 10))).ok());
  CHECK(build(Keys()("advertise_reconnect_timeout", "15m")).config.advertise_reconnect_timeout == Duration{900'000'000'000});
  CHECK(error_of(Keys()("server", true)("advertise_reconnect_timeout", "15m")) ==
        "advertise_reconnect_timeout can only be used on a client");
}

TEST_CASE("a server's segments take the server's addresses unless they have their own") {
  const Built b = build(Keys()("server", true)("bind_addr", "10.0.0.7")(
      "segments", list(Keys()("name", "alpha")("port", 8303),
                       Keys()("name", "beta")("port", 8304)("bind", "{{ GetInterfaceIP \"eth0\" }}")("advertise", "198.51.100.9"),
                       Keys()("name", "gamma")("port", 8305)("bind", "10.9.0.7")("rpc_listener", true))));
  REQUIRE(b.problems.empty());
  REQUIRE(b.config.segments.size() == 3);
  const auto& s = b.config.segments;
  CHECK(s[0].name == "alpha");
  CHECK(s[0].port == 8303);
  CHECK(s[0].bind.text() == "10.0.0.7");
  CHECK(s[0].advertise.text() == "10.0.0.7");
  CHECK_FALSE(s[0].rpc_listener);
  CHECK(s[1].bind.text() == "10.0.0.7");
  CHECK(s[1].advertise.text() == "198.51.100.9");
  CHECK(s[2].rpc_listener);
}

TEST_CASE("segments that cannot be are refused") {
  const auto with = [](const Keys& segment) { return Keys()("server", true)("bind_addr", "10.0.0.7")("segments", list(segment)); };
  CHECK(error_of(with(Keys()("name", "alpha"))) == "Port for segment \"alpha\" cannot be <= 0");
  CHECK(error_of(with(Keys()("name", "alpha")("port", 0))) == "Port for segment \"alpha\" cannot be <= 0");
  CHECK(error_of(with(Keys()("name", "alpha")("port", 65536))) == "segments[alpha].port: invalid port: 65536");
  CHECK(error_of(with(Keys()("name", "alpha")("port", 8303)("bind", "nowhere"))) == "segments[alpha].bind: invalid ip address: nowhere");
  CHECK(error_of(with(Keys()("name", "alpha")("port", 8303)("advertise", "::"))) == "segments[alpha].advertise cannot be 0.0.0.0, :: or [::]");
  CHECK(error_of(with(Keys()("name", "")("port", 8303))) == "Segment name cannot be blank");
  CHECK(error_of(with(Keys()("port", 8303))) == "Segment name cannot be blank");
  CHECK(error_of(with(Keys()("name", std::string(65, 's'))("port", 8303))) == "Segment name exceeds limit of 64 characters");
  CHECK(build(with(Keys()("name", std::string(64, 's'))("port", 8303))).ok());
  CHECK(error_of(with(Keys()("name", "alpha")("port", 8303)("rpc_listener", true))) ==
        "rpc_listener of segment \"alpha\" needs a bind address that differs from bind_addr");
  for (const int port : {8300, 8301, 8302}) {
    CHECK(error_of(with(Keys()("name", "alpha")("port", port))) == fmt::format("Port {} for segment \"alpha\" is already in use", port));
  }
  const auto two = [](const char* a, int p, const char* b, int q) {
    return Keys()("server", true)("segments", list(Keys()("name", a)("port", p), Keys()("name", b)("port", q)));
  };
  CHECK(error_of(two("a", 8303, "a", 8304)) == "Segment \"a\" is defined more than once");
  CHECK(error_of(two("a", 8303, "b", 8303)) == "Port 8303 for segment \"b\" is already in use");
  CHECK(error_of(Keys()("segments", list(Keys()("name", "a")("port", 8303)))) ==
        "Segments can only be configured on servers; clients take 'segment'");
  CHECK(error_of(Keys()("server", true)("segment", "alpha")) == "Segment option can only be set on clients; servers take 'segments'");
  CHECK(build(Keys()("segment", "alpha")).config.segment == "alpha");
}

TEST_CASE("64 segments are the limit unless segment_limit says otherwise, up to 256") {
  const auto many = [](int n, int limit) {
    RawValue::List segments;
    for (int i = 0; i < n; ++i) segments.push_back(Keys()("name", "s" + std::to_string(i))("port", 9000 + i));
    Keys keys;
    keys("server", true)("segments", RawValue{std::move(segments)});
    if (limit != 64) keys("segment_limit", limit);
    return keys;
  };
  CHECK(build(many(64, 64)).config.segments.size() == 64);
  CHECK(error_of(many(65, 64)) == "Cannot exceed network segment limit of 64");
  CHECK(build(many(256, 256)).config.segments.size() == 256);
  CHECK(error_of(many(257, 256)) == "Cannot exceed network segment limit of 256");
  CHECK(error_of(many(1, 257)) == "segment_limit cannot be 257. Must be between 1 and 256");
}

TEST_CASE("retry_join: templates are expanded and split, anything else is passed on as it is; start_join is the same") {
  const AgentConfig c = build(Keys()("retry_join", list("10.0.0.1", "{{ GetAllInterfaces | join \"address\" \" \" }}", "provider=aws tag_key=x",
                                                        "s1.dc1/10.0.0.2:8303", "{{ GetPublicIPs }}"))("start_join", "s9")("retry_interval", "5s")("retry_max", 3))
                            .config;
  CHECK(c.retry_join == Texts{"10.0.0.1", "127.0.0.1", "10.0.0.7", "provider=aws tag_key=x", "s1.dc1/10.0.0.2:8303", "s9"});
  CHECK(c.retry_interval == 5_s);
  CHECK(c.retry_max == 3);
  CHECK(error_of(Keys()("retry_join", list("{{ Nonsense }}"))) ==
        "retry_join: error parsing \"{{ Nonsense }}\": unable to parse address template: function \"Nonsense\" not defined");
  CHECK(error_of(Keys()("retry_interval", "0s")) == "`retry_interval` below 1ms is not modelled");
}

TEST_CASE("all problems are found in one pass, each at its place") {
  RawValue keys = Keys()("server", true)("bind_addr", "x")("datacenter", "")("node_name", "")("bootstrap_expect", -1)("ports", Keys()("server", 0)("serf_lan", 99999))(
      "segments", list(Keys()("name", "a"), Keys()("port", 8303)))("retry_join", list("{{"));
  // Places in reading order of the file, as the loader gives them.
  int place = 0;
  const std::function<void(RawValue&)> number = [&](RawValue& v) {
    v.place = ++place;
    if (auto* l = std::get_if<RawValue::List>(&v.value)) {
      for (RawValue& item : *l) number(item);
    }
    if (auto* m = std::get_if<RawValue::Map>(&v.value)) {
      for (auto& [name, item] : *m) number(item);
    }
  };
  number(keys);
  const Built b = build(keys);
  const auto place_of = [&](std::string_view text) {
    for (const ConfigProblem& p : b.problems) {
      if (p.text == text) return p.place;
    }
    return 0;
  };
  const auto at = [&](std::string_view key) { return keys.find(key)->place; };
  CHECK(b.errors().size() == 9);
  CHECK(place_of("bind_addr must be an ip address") == at("bind_addr"));
  CHECK(place_of("datacenter cannot be empty") == at("datacenter"));
  CHECK(place_of("node_name cannot be empty") == at("node_name"));
  CHECK(place_of("bootstrap_expect cannot be -1. Must be greater than or equal to zero") == at("bootstrap_expect"));
  CHECK(place_of("server-port must be greater than zero") == keys.find("ports")->find("server")->place);
  CHECK(place_of("ports.serf_lan: invalid port: 99999") == keys.find("ports")->find("serf_lan")->place);
  const RawValue::List& segments = *keys.find("segments")->list();
  CHECK(place_of("Port for segment \"a\" cannot be <= 0") == segments[0].place);
  CHECK(place_of("Segment name cannot be blank") == segments[1].place);
  CHECK(place_of("retry_join: error parsing \"{{\": unable to parse address template: unclosed action") ==
        keys.find("retry_join")->list()->front().place);
}

TEST_CASE("kind: serf reads Serf's own keys (serf cmd/serf/command/agent/config.go)") {
  const Built b = build(Keys()("bind", "10.0.0.5:7950")("node_name", "db")("profile", "wan")("tags", Keys()("role", "db")("rack", "4"))(
                            "retry_join", list("10.0.0.6"))("tombstone_timeout", "5m")("gossip", Keys()("suspicion_mult", 3)),
                        one_homed(), AgentKind::kSerf);
  REQUIRE(b.problems.empty());
  CHECK(b.config.node_name == "db");
  CHECK(b.config.bind.text() == "10.0.0.5");
  CHECK(b.config.advertise.text() == "10.0.0.5");
  CHECK(b.config.advertise.is_v4());
  CHECK(b.config.serf_lan_port == 7950);
  CHECK(b.config.profile == "wan");
  CHECK(b.config.reconnect_timeout == 24_h);
  CHECK(b.config.tombstone_timeout == 5_min);
  CHECK(b.config.tags == std::vector<std::pair<std::string, std::string>>{{"role", "db"}, {"rack", "4"}});
  CHECK(b.config.gossip_lan.size() == 1);
  CHECK_FALSE(b.config.leave_on_terminate);

  const AgentConfig bare = build(Keys(), one_homed(), AgentKind::kSerf).config;
  CHECK(bare.serf_lan_port == 7946);
  CHECK(bare.advertise.text() == "10.0.0.7");
  CHECK(bare.advertise.is_v4_mapped());  // net_transport.go: from net.ParseIP
  CHECK(build(Keys()("bind", "[2001:db8::1]:7000"), one_homed(), AgentKind::kSerf).config.serf_lan_port == 7000);
  for (const char* bad : {"nowhere", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:1us5", "[2001:db8::1", "[2001:db8::1]7"}) {
    CAPTURE(bad);
    CHECK(error_of(Keys()("bind", bad), one_homed(), AgentKind::kSerf) == "`bind` takes an address such as 10.0.0.1:7946");
  }
  CHECK(error_of(Keys()("profile", "moon"), one_homed(), AgentKind::kSerf) == "Unknown profile: moon");
  CHECK(error_of(Keys(), {}, AgentKind::kSerf) == "no private IP address found, and explicit IP not provided");
}

TEST_CASE("gossip tunables by their snake_case names") {
  gossip::MemberlistConfig c = gossip::MemberlistConfig::lan();
  const auto apply = [&](const char* name, RawValue value) {
    const auto error = apply_tunable({name, std::move(value)}, c);
    return error ? error->text : "";
  };
  CHECK(apply("gossip_interval", raw("100ms")) == "");
  CHECK(c.gossip_interval == 100_ms);
  CHECK(apply("push_pull_interval", raw("0s")) == "");
  CHECK(c.push_pull_interval == Duration{});
  CHECK(apply("gossip_nodes", raw(4)) == "");
  CHECK(c.gossip_nodes == 4);
  CHECK(apply("suspicion_max_timeout_mult", raw(2)) == "");
  CHECK(c.suspicion_max_timeout_mult == 2);
  CHECK(apply("disable_tcp_pings", raw(true)) == "");
  CHECK(c.disable_tcp_pings);
  CHECK(apply("exhaustive_small_targets", raw(false)) == "");
  CHECK_FALSE(c.exhaustive_small_targets);
  CHECK(apply("label", raw("blue")) == "");
  CHECK(c.label == "blue");
  CHECK(apply("gossip_interval", raw(200)) == "`gossip_interval` takes a duration such as \"200ms\"");
  CHECK(apply("gossip_interval", raw("-1s")) == "`gossip_interval` takes a duration such as \"200ms\"");
  CHECK(apply("probe_interval", raw("1ns")) == "`probe_interval` below 1ms is not modelled");
  CHECK(apply("gossip_nodes", raw("4")) == "`gossip_nodes` takes a whole number");
  CHECK(apply("gossip_nodes", raw(-1)) == "`gossip_nodes` takes a whole number");
  CHECK(apply("gossip_nodes", raw(std::numeric_limits<std::int64_t>::max())) == "`gossip_nodes` takes a whole number");
  CHECK(apply("disable_tcp_pings", raw(1)) == "`disable_tcp_pings` takes true or false");
  CHECK(apply("label", raw(std::string(256, 'x'))) == "`label` takes up to 255 bytes of text");
  CHECK(apply("gosip_nodes", raw(4)) == "unknown gossip setting `gosip_nodes`");
  CHECK(c.gossip_nodes == 4);
}

TEST_CASE("durations are read and printed as Go does (time.ParseDuration, Duration.String)") {
  const auto ns = [](std::string_view text) { return parse_go_duration(text).value_or(Duration{-1}).ns; };
  CHECK(ns("10s") == 10'000'000'000);
  CHECK(ns("1m30s") == 90'000'000'000);
  CHECK(ns("1.5h") == 5'400'000'000'000);
  CHECK(ns(".5s") == 500'000'000);
  CHECK(ns("1.s") == 1'000'000'000);
  CHECK(ns("1us") == 1'000);
  CHECK(ns("1\u00b5s") == 1'000);
  CHECK(ns("1\u03bcs") == 1'000);
  CHECK(ns("2ms3ns") == 2'000'003);
  CHECK(ns("0") == 0);
  CHECK(ns("+1s") == 1'000'000'000);
  CHECK(parse_go_duration("-1s") == Duration{-1'000'000'000});
  for (const char* bad : {"", "s", ".s", "1", "1x", "1d", "5 s", "--1s", "+", "-", "1s2", "1e3s", "0x1s", "9999999999999h", "1.5", "\xff", "1h1h1h1hq"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_go_duration(bad));
  }
  CHECK_FALSE(parse_go_duration(std::string(1'000'000, '9') + "s"));

  CHECK(go_duration(Duration{0}) == "0s");
  CHECK(go_duration(72_h) == "72h0m0s");
  CHECK(go_duration(90_s) == "1m30s");
  CHECK(go_duration(Duration{1'500'000}) == "1.5ms");
  CHECK(go_duration(Duration{1'001}) == "1.001\u00b5s");
  CHECK(go_duration(Duration{7}) == "7ns");
  CHECK(go_duration(Duration{60'010'000'000}) == "1m0.01s");
  CHECK(go_duration(Duration{-1'500'000'000}) == "-1.5s");
  CHECK(go_duration(Duration::max()) == "2562047h47m16.854775807s");
  CHECK(go_duration(Duration{std::numeric_limits<std::int64_t>::min()}) == "-2562047h47m16.854775808s");
}

TEST_CASE("what Go prints for a duration reads back to the same") {
  Rng rng(1, "durations", "test");
  for (int i = 0; i < 20'000; ++i) {
    const Duration d{static_cast<std::int64_t>(rng.next() >> (2 + rng.below(62))) * (rng.below(2) ? 1 : -1)};
    CAPTURE(d.ns);
    CHECK(parse_go_duration(go_duration(d)) == d);
  }
}

TEST_CASE("values of a wrong type or size are errors, never a crash") {
  const std::string huge(1'000'000, 'x');
  RawValue::List long_list(20'000, raw("10.0.0.1"));
  const std::vector<RawValue> values = {{}, raw(true), raw(-1), raw(std::numeric_limits<std::int64_t>::min()), raw(std::numeric_limits<std::int64_t>::max()), raw(1e300),
                                        raw(""), raw("{{"), raw("{{}}"), raw(huge), list(), list(1, true), RawValue{long_list}, Keys(), Keys()("name", 1)("port", "x")};
  for (const char* key : {"server", "bootstrap", "bootstrap_expect", "datacenter", "node_name", "node_id", "ports", "bind_addr", "advertise_addr", "serf_lan",
                          "segment", "segments", "segment_limit", "retry_join", "start_join", "retry_interval", "retry_max", "reconnect_timeout", "advertise_reconnect_timeout",
                          "leave_on_terminate", "serf_lan_allowed_cidrs", "performance", "gossip_lan", "bind", "advertise", "profile", "tags", "gossip"}) {
    for (const RawValue& v : values) {
      for (const AgentKind kind : {AgentKind::kConsul, AgentKind::kSerf}) {
        const Built b = build(Keys()("server", true)(key, v), one_homed(), kind);
        for (const ConfigProblem& p : b.problems) CHECK_FALSE(p.text.empty());
      }
    }
  }
  CHECK(error_of(Keys()("server", "yes")) == "`server` takes true or false");
  CHECK(error_of(Keys()("retry_max", "3")) == "`retry_max` takes a whole number");
  CHECK(error_of(Keys()("retry_interval", 30)) == "`retry_interval` takes a duration such as \"30s\"");
  CHECK(error_of(Keys()("retry_join", list("a", 1))) == "`retry_join` takes a list of strings");
  CHECK(error_of(Keys()("ports", 8301)) == "`ports` takes a map");
  CHECK(error_of(Keys()("server", true)("segments", "alpha")) == "`segments` takes a list");
  CHECK(build(list(1, 2)).ok());  // no map: no keys
}
