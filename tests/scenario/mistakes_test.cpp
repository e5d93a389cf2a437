// What is refused, what is said of it, and that it is said once.
#include <algorithm>

#include "scenario/load.h"

using namespace dcsim;
using namespace dcsim::scenario;

namespace {

/// Everything about an empty scenario over topology() with one step.
LoadResult step(std::string_view text) {
  return load(with_scenario("expect: []\n", "[{ at: 1s, " + std::string(text) + " }]"));
}
LoadResult expectation(std::string_view text) {
  return load(
      with_scenario("expect: [{ name: e, " + std::string(text) + " }]\n", "[{ name: boot, at: 20s, start: all }]"));
}
LoadResult agent(std::string_view config) {
  return load(topology({}, "[{ name: a, zone: core, config: { " + std::string(config) + " } }]"));
}

int errors(const LoadResult& r) {
  return static_cast<int>(std::count_if(r.diagnostics.begin(), r.diagnostics.end(), [](const Diagnostic& d) {
    return d.severity == Diagnostic::Severity::kError;
  }));
}
Diagnostic the_error(const LoadResult& r) {
  REQUIRE_MESSAGE(errors(r) == 1, shown(r));
  return *std::find_if(r.diagnostics.begin(), r.diagnostics.end(),
                       [](const Diagnostic& d) { return d.severity == Diagnostic::Severity::kError; });
}

}  // namespace

TEST_CASE("mistakes: selectors cannot ask for Raft's leader yet") {
  for (const char* who : {"leader", "followers"}) {
    const auto r = step("crash: { dc: dc1, pick: " + std::string(who) + " }");
    CHECK(the_error(r).code == "E0116");
    CHECK(the_error(r).message ==
          "selectors cannot ask for Raft's leader yet: `pick: " + std::string(who) + "` has nobody to pick");
    CHECK(the_error(r).at.line > 0);
  }
  CHECK(step("crash: { dc: dc1, pick: one }").ok());
  CHECK(the_error(step("crash: { dc: dc1, pick: 0% }")).message == "`pick` of selector: `0%` chooses nobody");
}

TEST_CASE("mistakes: a key is duplicate once, whoever reads the map") {
  CHECK(the_error(load("version: 1\nkind: topology\nkind: topology\nname: t\nzones: { core: { cidr: 10.0.0.0/24 } }\n"
                       "datacenters: { dc1: { agents: [{ name: a, zone: core, config: {} }] } }\n"))
            .code == "E0103");
  const std::string base =
      with_scenario("expect: []\n") + "---\nversion: 1\nkind: scenario\nname: v\nextends: s\nseed: 1\nseed: 2\n";
  CHECK(the_error(load(base)).code == "E0103");
}

TEST_CASE("mistakes: a configuration's key or value that is wrong is wrong once") {
  CHECK(the_error(agent("gossip_lan: { probe_intervall: 1s }")).code == "E0102");
  CHECK(the_error(agent("server: \"yes\", bootstrap_expect: 3")).code == "E0105");
  CHECK(the_error(agent("retry_interval: 5")).label == "did you mean `5s`?");
  CHECK(the_error(agent("gossip_lan: { suspicion_mult: -1 }")).message ==
        "`suspicion_mult` must be at least 0, got -1");
  CHECK(the_error(agent("reconnect_timeout: 2540400h")).message.find("146 years") != std::string::npos);
  // Mended, so that Consul's own rules see what was meant: `server` is on, the interval is five seconds.
  const auto r = agent("server: \"yes\", ports: { serf_lan: \"8401\" }, retry_join: [1]");
  const ConfigValue& config = r.topologies.at(0)->config(0);
  REQUIRE(config.find("server") != nullptr);
  CHECK(config.find("server")->boolean);
  CHECK(config.find("ports")->find("serf_lan")->integer == 8401);
  CHECK(config.find("retry_join") == nullptr);
}

TEST_CASE("mistakes: numbers beyond their range say the range") {
  const auto seed = [](const char* n) { return load(with_scenario("expect: []\nseed: " + std::string(n) + "\n")); };
  CHECK(the_error(seed("-1")).message == "`seed` in scenario must be at least 0, got -1");
  CHECK(the_error(seed("18446744073709551616")).message ==
        "`seed` in scenario must be at most 18446744073709551615, got 18446744073709551616");
  CHECK(the_error(seed("99999999999999999999999999")).message.find("must be at most") != std::string::npos);
  CHECK(the_error(seed("12x")).message.find("whole number") != std::string::npos);
}

TEST_CASE("mistakes: a broken cidr is one mistake, not one for each address") {
  const auto r = load(
      "version: 1\nkind: topology\nname: t\nzones: { core: { cidr: 10.0.0.0/33 } }\n"
      "datacenters: { dc1: { agents: [{ name: \"a-{n}\", count: 3, zone: core, first_address: 10.0.0.5, config: {} }, "
      "{ name: b, zone: core, config: { retry_join: [10.0.0.5] } }] } }\nnat: [{ at: core, inside: 10.0.0.5, outside: "
      "10.9.0.1 }]\n");
  CHECK(the_error(r).message == "`cidr` in zone: `10.0.0.0/33` is not a network");
}

TEST_CASE("mistakes: a translation of nobody's address points at it") {
  const auto r =
      load(topology("nat: [{ name: out, at: alpha, inside: 10.0.1.77, outside: 10.9.0.1 }, { at: alpha, inside: "
                    "10.0.0.1, outside: 10.9.0.2 }]\n"));
  REQUIRE(errors(r) == 2);
  CHECK(r.diagnostics[0].message == "translation `out`: no agent of zone `alpha` has the address 10.0.1.77");
  CHECK(r.diagnostics[0].at.line == 6);
  CHECK(r.diagnostics[0].at.column == 39);
  CHECK(r.diagnostics[1].help == "`a-1.dc1` has it, in zone `core`");
  CHECK(load(topology("nat: [{ at: core, inside: 10.0.0.1, outside: 10.9.0.2 }]\n")).ok());
}

TEST_CASE("mistakes: every one has a place, also in an empty file and in --set") {
  for (const LoadResult& r :
       {load(""), load("# nothing\n"), load(topology(), {{{"nobody", ""}}, {}}), expectation("never: 5"),
        expectation("nevr: count(sim.refute) > 1"), expectation("never: \"count(sim.nonsuch) > 1\"")}) {
    REQUIRE_FALSE(r.ok());
    for (const Diagnostic& d : r.diagnostics) {
      CAPTURE(d.message);
      CHECK(d.at.line > 0);
      CHECK(d.at.column > 0);
    }
  }
  CHECK(first(load(""), "E0104").at.file == "t.yaml");
  CHECK(first(load(topology(), {{{"nobody", "3"}}, {}}), "E0107").at.file == "--set nobody");
  CHECK(the_error(expectation("never: 5")).message == "this expression is a value, not a condition");
  CHECK(the_error(expectation("nevr: count(sim.refute) > 1")).label == "did you mean `never`?");
  CHECK(expectation("finally: true").ok());
}

TEST_CASE("mistakes: fabrics of more switches than a file should ask for") {
  const auto fabric = [](const std::string& f) {
    return load("version: 1\nkind: topology\nname: t\nzones: { core: { cidr: 10.0.0.0/24, fabric: { " + f +
                " } } }\ndatacenters: { dc1: { agents: [{ name: a, zone: core, config: {} }] } }\n");
  };
  CHECK(the_error(fabric("kind: leaf-spine, leaves: 4096, spines: 4096")).message ==
        "a fabric of 4096 leaves and 4096 spines has 16777216 links between them, more than 100000");
  CHECK(the_error(fabric("kind: fat-tree, k: 128")).code == "E0110");
  CHECK(fabric("kind: leaf-spine, leaves: 1000, spines: 100").ok());
  CHECK(fabric("kind: fat-tree, k: 48").ok());
}

TEST_CASE("mistakes: nobody stands on two sides of a cut, and no fault lasts no time") {
  CHECK(the_error(step("partition: { between: [core, all] }")).message ==
        "`a-1.dc1` would stand on two sides of this partition: `core` and `all`");
  CHECK(step("partition: { between: [{ zone: core, pick: 1 }, all] }").ok());
  CHECK(the_error(step("partition: { between: [core, alpha], duration: 0s }")).message ==
        "`duration` in partition must be longer than 0");
  CHECK(the_error(step("impair: { link: \"*\", loss: 1%, duration: 0s }")).message ==
        "`duration` in impair must be longer than 0");
  CHECK(the_error(step("slow_cpu: { agents: all, factor: 2, duration: 0s }")).code == "E0106");
  CHECK(the_error(load(with_scenario("expect: []\nfaults: [{ kinds: [crash], interval: 0s }]\n"))).message ==
        "`interval` in fault must be longer than 0");
  CHECK(the_error(load(with_scenario("expect: []\nfaults: [{ kinds: [], interval: 1s }]\n"))).message ==
        "`kinds` in fault is an empty list");
}

TEST_CASE("mistakes: firewall rules that could never be meant") {
  const auto rule = [](const std::string& r) {
    return load(
        topology("firewalls: [{ name: f, default: accept, stateful: true, rules: [{ action: drop, " + r + " }] }]\n"));
  };
  CHECK(the_error(rule("ports: [8301/icmp]")).message == "`ports` in rule: `8301/icmp`: ICMP has no ports");
  CHECK(the_error(rule("state: []")).message == "`state` in rule is an empty list");
  CHECK(rule("protocol: icmp").ok());
}

TEST_CASE("mistakes: a window that closes before it opens") {
  CHECK(the_error(expectation("never: count(sim.refute) > 1, after: 50s, until: 30s")).code == "E0111");
  CHECK(the_error(expectation("never: count(sim.refute) > 1, after: boot + 10s, until: boot + 5s")).code == "E0111");
  CHECK(the_error(expectation("never: count(sim.refute) > 1, after: boot, until: 10s")).code ==
        "E0111");  // boot is at 20 s
  CHECK(expectation("never: count(sim.refute) > 1, after: boot, until: 30s").ok());
  CHECK(count(expectation("never: count(sim.refute) > 1, after: 30s, until: 30s"), "W0104") == 1);
  CHECK(the_error(load(with_scenario(
                      "expect: []\nmetrics: { m: { value: count(sim.refute), unit: x, after: 50s, until: 30s } }\n")))
            .code == "E0111");
  CHECK(count(step("every: 1s, until: 500ms, run: consul members, agent: a-1"), "W0103") == 1);
}

TEST_CASE("mistakes: `all` selects everybody and names nobody") {
  CHECK(the_error(load(topology({}, "[{ name: all, zone: core, config: {} }]"))).message ==
        "`all` is no name for an agent: it selects every agent");
  CHECK(first(load("version: 1\nkind: topology\nname: t\nzones: { all: { cidr: 10.0.0.0/24 } }\ndatacenters: { dc1: { "
                   "agents: [{ name: a, zone: all, config: {} }] } }\n"),
              "E0106")
            .message == "`all` is no name for a zone: it selects every agent");
}

TEST_CASE("mistakes: a step runs one command, without a shell") {
  const auto command = [](const std::string& c) { return step("agent: a-1, run: '" + c + "'"); };
  CHECK(the_error(command("consul members | grep a")).message ==
        "`|` needs a shell, but `run` is one command without one");
  for (const char* bad : {"consul members > /tmp/x", "consul members; consul leave", "consul members && consul leave",
                          "consul members || true", "consul members &", "consul join `hostname`",
                          "consul join $(hostname)", "consul members 2>&1"}) {
    CAPTURE(bad);
    CHECK(the_error(command(bad)).code == "E0106");
  }
  for (const char* fine :
       {"consul members", "consul kv put a \"b|c;d > e\"", "curl http://localhost:8500/v1/kv/a?raw&dc=dc1",
        "consul kv put a \"1 \\\\> 0\"", "consul members -filter \"Status == alive\""}) {
    CAPTURE(fine);
    CHECK(command(fine).ok());
  }
  CHECK(step("agent: a-1, run: \"consul\\tmembers\"").ok());
  CHECK(step("agent: a-1, run: \"  consul \\n members  \"").ok());
  CHECK(the_error(step("agent: a-1, run: \"consul \\t\"")).message == "`consul` needs a subcommand");
}

TEST_CASE("mistakes: expressions for output that no linear matcher can hold are refused, with their place") {
  const auto r = step("agent: a-1, run: consul members, expect: { stdout: '/a(?!b)/', stderr: '/(a)\\1/' }");
  CHECK(count(r, "E0113") == 2);
  CHECK(first(r, "E0113").message ==
        "`stdout` in step.expect is not a regular expression: look-ahead is not supported");
  CHECK(first(r, "E0113").at.end_column - first(r, "E0113").at.column == 6);
}

TEST_CASE("faults: spec is read by kind, or flat where there is one") {
  const auto fault = [](const std::string& f) { return load(with_scenario("expect: []\nfaults: [{ " + f + " }]\n")); };
  const auto flat = fault("kinds: [impair], spec: { loss: 5%, down: true }");
  CHECK(flat.ok());
  CHECK(flat.scenarios.at(0).faults.at(0).impair.loss == 50'000'000u);
  CHECK(flat.scenarios.at(0).faults.at(0).down);
  const auto both = fault(
      "kinds: [partition, slow_cpu], spec: { partition: { mode: reject, direction: to }, slow_cpu: { factor: 4 } }");
  CHECK(both.ok());
  CHECK(both.scenarios.at(0).faults.at(0).cut == PartitionAction::Mode::kReject);
  CHECK(both.scenarios.at(0).faults.at(0).slow_cpu.factor_milli == 4000u);
  CHECK(the_error(fault("kinds: [impair], spec: { los: 5% }")).label == "did you mean `loss`?");
  CHECK(the_error(fault("kinds: [impair, pause], spec: { loss: 5% }")).message == "unknown key `loss` in fault.spec");
  CHECK(count(fault("kinds: [pause, crash], spec: { impair: { loss: 5% } }"), "W0104") == 1);
  CHECK(count(fault("kinds: [pause], quiet_at_end: 5m"), "W0104") == 1);
}

TEST_CASE("extends: a base in another file brings what its own file includes") {
  const Folder f;
  f.write("deep/topo.yaml", topology());
  f.write("deep/base.yaml",
          "version: 1\nkind: scenario\nname: base\ninclude: topo.yaml\ntopology: t\nduration: 5m\ntimeline: [{ at: 0s, "
          "start: all }]\nexpect: []\n");
  const auto r = load_file(
      f.write("variant.yaml", "version: 1\nkind: scenario\nname: v\nextends: deep/base.yaml\nduration: 1m\n"));
  REQUIRE_MESSAGE(r.ok(), shown(r));
  CHECK(r.scenarios.at(0).topology->name == "t");
  CHECK(r.scenarios.at(0).duration == 1_min);
  // Two steps back, and a name that is the variant's own goes first.
  f.write("middle.yaml", "version: 1\nkind: scenario\nname: m\nextends: deep/base.yaml\nseed: 7\n");
  const auto far = load_file(f.write(
      "far.yaml", "version: 1\nkind: scenario\nname: v\nextends: middle.yaml\nsweep: { matrix: { topology: [t] } }\n"));
  REQUIRE_MESSAGE(far.ok(), shown(far));
  CHECK(far.scenarios.at(0).seed == 7);
  std::string other = topology();
  other.replace(other.find("count: 3"), 8, "count: 5");
  const auto own =
      load_file(f.write("own.yaml", other + "---\nversion: 1\nkind: scenario\nname: v\nextends: deep/base.yaml\n"));
  REQUIRE_MESSAGE(own.ok(), shown(own));
  CHECK(own.scenarios.at(0).topology->agents.size() == 5);
}

TEST_CASE("keys: what has no effect is noted, what has is not") {
  const auto noted = [](std::string_view config) { return count(agent(config), "W0101"); };
  CHECK(noted("server: true, segments: [{ name: a, port: 8303 }], segment_limit: 10") == 0);
  CHECK(noted("retry_join: [10.0.0.1], retry_max: 3, reconnect_timeout: 8h, serf_lan_allowed_cidrs: [10.0.0.0/8]") ==
        0);
  CHECK(noted("rejoin_after_leave: true") == 1);
  CHECK(noted("skip_leave_on_interrupt: true") == 1);
  CHECK(noted("performance: { raft_multiplier: 1 }") == 0);
}
