#include <algorithm>

#include "scenario/load.h"
#include "scenario/selector.h"

using namespace dcsim;
using namespace dcsim::scenario;

namespace {

const Topology& only(const LoadResult& r) {
  REQUIRE_MESSAGE(r.ok(), shown(r));
  REQUIRE(r.topologies.size() == 1);
  return *r.topologies[0];
}

std::vector<std::string> addresses(const Topology& t) {
  std::vector<std::string> out;
  for (const Agent& a : t.agents) out.push_back(a.full_name + "=" + a.address.text());
  return out;
}

}  // namespace

TEST_CASE("topology: agents without an address take the lowest free hosts in file order") {
  const auto r = load(topology({},
                               "[{ name: \"c-{n}\", count: 2, zone: core, config: {} },\n"
                               " { name: fixed, zone: core, address: 10.0.0.2, config: {} },\n"
                               " { name: \"s-{n}\", count: 2, zone: core, first_address: 10.0.0.4, config: {} },\n"
                               " { name: \"d-{n}\", count: 3, zone: core, config: {} },\n"
                               " { name: \"x-{n}\", count: 1, zone: alpha, config: {} }]"));
  CHECK(addresses(only(r)) == std::vector<std::string>{"c-1.dc1=10.0.0.1", "c-2.dc1=10.0.0.3", "fixed.dc1=10.0.0.2",
                                                       "s-1.dc1=10.0.0.4", "s-2.dc1=10.0.0.5", "d-1.dc1=10.0.0.6",
                                                       "d-2.dc1=10.0.0.7", "d-3.dc1=10.0.0.8", "x-1.dc1=10.0.1.1"});
}

TEST_CASE("topology: a zone holds exactly its host addresses") {
  CHECK(load(topology({}, "[{ name: \"c-{n}\", count: 254, zone: core, config: {} }]")).ok());
  const auto full = load(topology({}, "[{ name: \"c-{n}\", count: 255, zone: core, config: {} }]"));
  CHECK(count(full, "E0112") == 1);
  CHECK(first(full, "E0112").message == "zone `core` (10.0.0.0/24) has no free address left for `c-255.dc1`");
}

TEST_CASE("topology: links get defaults, own attributes and names") {
  const auto r = load(
      "version: 1\nkind: topology\nname: t\ndefaults: { link: { latency: 250us, bandwidth: 10Gbit } }\n"
      "zones: { a: { cidr: 10.0.0.0/24, link: { latency: 5us } }, b: { cidr: 10.0.1.0/24 }, c: { cidr: 10.0.2.0/24, "
      "site: eu }, d: { cidr: 10.0.3.0/24, site: us } }\n"
      "links:\n  - { endpoints: [a, b] }\n  - { endpoints: [a, b], latency: 400us, loss: 0.5% }\n  - { name: up, "
      "endpoints: [a, hub] }\n  - { endpoints: [b, hub] }\n  - { endpoints: [x.dc1, b] }\n"
      "datacenters: { dc1: { agents: [{ name: x, zone: a, config: {} }] } }\n");
  const Topology& t = only(r);
  CHECK(t.zones[0].link.latency == 5_us);
  CHECK(t.zones[0].link.bandwidth == 10'000'000'000u);
  CHECK(t.zones[1].link.latency == 250_us);
  CHECK(t.links[0].name == "a-b");
  CHECK(t.links[1].name == "a-b#2");
  CHECK(t.links[1].attributes.latency == 400_us);
  CHECK(t.links[1].attributes.loss == 5'000'000u);
  CHECK(t.links[1].attributes.mtu == 1500u);
  CHECK(t.switches == std::vector<std::string>{"hub"});
  CHECK(t.links[2].ends[1].kind == LinkEnd::Kind::kSwitch);
  CHECK(t.links[4].ends[0].kind == LinkEnd::Kind::kAgent);
  CHECK(only(load(topology("links: [{ endpoints: [core, alpha] }]\n"))).links[0].attributes.latency == 100_us);
}

TEST_CASE("topology: a link to a name that meets nobody else is a misspelling") {
  CHECK(first(load(topology("links: [{ endpoints: [core, hub] }]\n")), "E0107").message ==
        "unknown zone, agent or switch `hub`");
  CHECK(first(load(topology("links: [{ endpoints: [core, alhpa] }, { endpoints: [a-1, alhpa] }]\n")), "E0107").label ==
        "did you mean `alpha`?");
  CHECK(count(load(topology("links: [{ endpoints: [core, core] }]\n")), "E0106") == 1);
}

TEST_CASE("topology: a latency matrix gives links between sites their latency") {
  const Folder folder;
  folder.write("rtt.csv", "from,to,rtt_ms,jitter_ms,loss\neu,us,80.5,2,0.1%\n");
  const std::string text =
      "version: 1\nkind: topology\nname: t\nlatency_matrix: rtt.csv\nzones: { a: { cidr: 10.0.0.0/24, site: eu }, b: { "
      "cidr: 10.0.1.0/24, site: us } }\n"
      "links: [{ endpoints: [b, a] }, { endpoints: [a, b], latency: 1ms }]\ndatacenters: { dc1: { agents: [{ name: x, "
      "zone: a, config: {} }] } }\n";
  const auto r = load_file(folder.write("t.yaml", text));
  const Topology& t = only(r);
  CHECK(t.site_latencies.at(0).rtt == Duration{80'500'000});
  CHECK(t.links[0].attributes.latency == Duration{40'250'000});
  CHECK(t.links[0].attributes.jitter == 2_ms);
  CHECK(t.links[0].attributes.loss == 1'000'000u);
  CHECK(t.links[1].attributes.latency == 1_ms);
  folder.write("rtt.csv", "eu,us,fast\neu,us\neu,us,1,1,0.5\n");
  const auto bad = load_file(folder / "t.yaml");
  CHECK(count(bad, "E0106") == 3);
  CHECK(first(bad, "E0106").at.file == folder / "rtt.csv");
}

TEST_CASE("topology: services expand in ports, firewalls keep their order") {
  const auto r =
      load(topology("services: { serf: [8301/tcp, 8301/udp], both: [serf, 8300-8302/tcp, 8301/udp] }\n"
                    "firewalls:\n  - name: fw\n    default: reject\n    reject_with: tcp-reset\n    stateful: true\n   "
                    " conntrack: { udp_timeout: 30s, tcp_established_timeout: 5d }\n"
                    "    rules:\n      - { state: [established, related], action: accept }\n"
                    "      - { name: in, from: [core, alpha], to: { zone: core, labels: { role: server } }, ports: "
                    "[both], limit: 10/s, probability: 25%, direction: both, action: drop, log: true }\n"));
  const Firewall& fw = only(r).firewalls.at(0);
  CHECK(fw.reject_with == RejectWith::kTcpReset);
  CHECK(fw.conntrack.at(1).second == 120_h);
  CHECK(fw.rules.at(0).name == "rule-1");
  CHECK(fw.rules[0].states == (kStateEstablished | kStateRelated));
  CHECK(fw.rules[1].ports == std::vector<PortRange>{{8301, 8301, Protocol::kTcp},
                                                    {8301, 8301, Protocol::kUdp},
                                                    {8300, 8302, Protocol::kTcp}});
  CHECK(fw.rules[1].probability == 250'000'000u);
  CHECK(fw.rules[1].direction == FirewallRule::Direction::kBoth);
  CHECK(networks(*fw.rules[1].from, *r.topologies[0]) ==
        std::vector<Cidr>{*Cidr::parse("10.0.0.0/24"), *Cidr::parse("10.0.1.0/24")});
  CHECK(whole_zones(*fw.rules[1].from, *r.topologies[0]) == std::vector<std::uint32_t>{0, 1});
  CHECK(networks(*fw.rules[1].to, *r.topologies[0]) ==
        std::vector<Cidr>{{0x0a000001, 32}, {0x0a000002, 32}, {0x0a000003, 32}});
  CHECK(whole_zones(*fw.rules[1].to, *r.topologies[0]).empty());
}

TEST_CASE("topology: what is not supported is refused plainly") {
  CHECK(count(load(topology("graph: { dot: net.dot }\n")), "E0115") == 1);
  CHECK(count(load(topology("firewalls: [{ name: f, default: drop, rules: [], import: { aws: x.json } }]\n")),
              "E0115") == 1);
  CHECK(count(load(topology("links: [{ endpoints: [core, alpha], distribution: trace, trace: f }]\n")), "E0115") == 1);
}

TEST_CASE("topology: config is defaults, then config_file, then config") {
  const Folder folder;
  folder.write("base.json", "{\"ports\": {\"serf_lan\": 9301, \"serf_wan\": -1}, \"server\": true}");
  const auto r = load_file(folder.write("t.yaml",
                                        "version: 1\nkind: topology\nname: t\ndefaults: { config: { server: false, "
                                        "retry_max: 3 } }\nzones: { core: { cidr: 10.0.0.0/24 } }\n"
                                        "datacenters: { dc1: { agents: [{ name: x, zone: core, config_file: base.json, "
                                        "config: { ports: { serf_lan: 9999 } } }] } }\n"));
  const ConfigValue& c = only(r).config(0);
  CHECK(c.find("server")->boolean);
  CHECK(c.find("retry_max")->integer == 3);
  CHECK(c.find("ports")->find("serf_lan")->integer == 9999);
  CHECK(c.find("ports")->find("serf_wan")->integer == -1);
  CHECK(c.find("server")->at.file == folder / "base.json");
  CHECK(c.find("retry_max")->at.line == 4);
}

TEST_CASE("topology: keys that are not modelled are listed once, misspelt ones refused") {
  const auto r = load(topology({},
                               "[{ name: x, zone: core, config: { log_level: debug } }, { name: y, zone: core, config: "
                               "{ log_level: info, gossip_wan: { probe_interval: 5s } } }]"));
  CHECK(r.ok());
  CHECK(count(r, "W0101") == 2);
  CHECK(first(r, "W0101").message == "Consul's key `log_level` is not modelled and is ignored");
  CHECK(first(load(topology({}, "[{ name: x, zone: core, config: { retry_jion: [a] } }]")), "E0102").label ==
        "did you mean `retry_join`?");
}

TEST_CASE("topology: memberlist's other tunables and Serf's keys are known") {
  const auto r = load(topology(
      {},
      "[{ name: x, zone: core, config: { gossip_lan: { awareness_max_multiplier: 8, suspicion_max_timeout_mult: 6, "
      "disable_tcp_pings: true, indirect_checks: 3,"
      " push_pull_interval: 30s, tcp_timeout: 10s, gossip_to_the_dead_time: 30s, enable_compression: false } } },\n"
      " { name: y, kind: serf, zone: core, config: { bind: 0.0.0.0, profile: wan, tags: { role: web }, retry_join: "
      "[10.0.0.1], reconnect_timeout: 24h, gossip: { probe_interval: 2s } } }]"));
  REQUIRE_MESSAGE(r.ok(), shown(r));
  CHECK(r.diagnostics.empty());
  CHECK(r.topologies[0]->agents[1].kind == AgentKind::kSerf);
}

TEST_CASE("selectors: every form picks the agents it names") {
  const auto r = load(
      "version: 1\nkind: topology\nname: t\nzones: { core: { cidr: 10.0.0.0/24 }, alpha: { cidr: 10.0.1.0/24, labels: "
      "{ tenant: a } } }\n"
      "datacenters:\n  dc1: { agents: [{ name: \"s-{n}\", count: 2, zone: core, labels: { role: server }, config: {} "
      "}, { name: \"c-{n}\", count: 3, zone: alpha, labels: { role: client }, config: {} }] }\n"
      "  dc2: { agents: [{ name: s-1, zone: core, labels: { role: server }, config: {} }] }\n");
  const Topology& t = only(r);
  const auto pick = [&](const std::string& text) {
    Diagnostics out;
    const Selector s = parse_selector({text, {}, {}}, out);
    CHECK(check(s, t, out));
    CHECK(out.empty());
    return matching(s, t);
  };
  using V = std::vector<std::uint32_t>;
  CHECK(pick("all") == V{0, 1, 2, 3, 4, 5});
  CHECK(pick("role=server") == V{0, 1, 5});
  CHECK(pick("role=server, dc=dc1") == V{0, 1});
  CHECK(pick("role!=server") == V{2, 3, 4});
  CHECK(pick("s-1.dc2") == V{5});
  CHECK(pick("c-2") == V{3});
  CHECK(pick("alpha") == V{2, 3, 4});
  CHECK(pick("tenant=a") == V{2, 3, 4});
  CHECK(pick("zone=core,dc=dc2") == V{5});
  Diagnostics out;
  CHECK_FALSE(check(parse_selector({"s-1", {}, {}}, out), t, out));
  CHECK(out.back().message == "`s-1` is the name of 2 agents");
  parse_selector({"role=", {}, {}}, out);
  CHECK(out.back().code == "E0114");
  parse_selector({"a, b", {}, {}}, out);
  CHECK(out.back().code == "E0114");
}

TEST_CASE("selectors: picks are drawn from the run's numbers, and the same ones again") {
  const auto loaded = load(topology({}, "[{ name: \"a-{n}\", count: 100, zone: core, config: {} }]"));
  const Topology& t = only(loaded);
  Selector s;
  s.terms.push_back({});
  s.terms[0].all = true;
  s.pick = {Pick::Kind::kShare, 0, 200'000'000};
  Rng one(7, "step/1", "pick"), same(7, "step/1", "pick"), other(8, "step/1", "pick");
  const std::vector<bool> anybody(100, true);
  const auto drawn = resolve(s, t, one, anybody);
  CHECK(drawn.size() == 20);
  CHECK(std::is_sorted(drawn.begin(), drawn.end()));
  CHECK(std::adjacent_find(drawn.begin(), drawn.end()) == drawn.end());
  CHECK(drawn == resolve(s, t, same, anybody));
  CHECK(drawn != resolve(s, t, other, anybody));
  s.pick = {Pick::Kind::kCount, 1, 0};
  CHECK(resolve(s, t, one, anybody).size() == 1);
  s.pick = {Pick::Kind::kCount, 1000, 0};
  CHECK(resolve(s, t, one, anybody).size() == 100);
  s.pick = {Pick::Kind::kLeader, 0, 0};
  const std::uint64_t before = one.position();
  CHECK(resolve(s, t, one, anybody).empty());  // never everybody
  s.pick = {};
  CHECK(resolve(s, t, one, {}).size() == 100);
  CHECK(one.position() == before);
}

TEST_CASE("selectors: a pick is made among those that are eligible; a share is one of all that match") {
  const auto loaded = load(topology({}, "[{ name: \"a-{n}\", count: 100, zone: core, config: {} }]"));
  const Topology& t = only(loaded);
  Selector s;
  s.terms.push_back({});
  s.terms[0].all = true;
  std::vector<bool> some(100);
  for (const std::size_t i : {3u, 50u, 99u}) some[i] = true;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed, "step/1", "pick");
    s.pick = {Pick::Kind::kCount, 2, 0};
    const auto two = resolve(s, t, rng, some);
    REQUIRE(two.size() == 2);
    for (const std::uint32_t agent : two) CHECK(some[agent]);
    s.pick = {Pick::Kind::kShare, 0, 20'000'000};
    CHECK(resolve(s, t, rng, some).size() == 2);
    s.pick = {Pick::Kind::kShare, 0, 500'000'000};
    CHECK(resolve(s, t, rng, some) == std::vector<std::uint32_t>{3, 50, 99});
  }
  Rng rng(1, "step/1", "pick");
  CHECK(resolve(s, t, rng, std::vector<bool>(100)).empty());
}
