#include "scenario/load.h"

using namespace dcsim;
using namespace dcsim::scenario;

namespace {

const Scenario& only(const LoadResult& r) {
  REQUIRE_MESSAGE(r.ok(), shown(r));
  REQUIRE(r.scenarios.size() == 1);
  return r.scenarios[0];
}

LoadResult example(const std::string& name) { return load_file(DCSIM_SOURCE_DIR "/tests/data/scenario/" + name); }

}  // namespace

TEST_CASE("examples: the segmented LAN loads as it reads") {
  const auto r = example("01-segmented-lan-flapping.yaml");
  const Scenario& s = only(r);
  // Said of Raft's series, which nothing feeds yet, and of nothing else.
  CHECK(first(r, "W0105").message.starts_with("series `consul.raft.state.candidate` is not fed"));
  CHECK(r.diagnostics.size() == 1);
  CHECK(s.seed == 42);
  CHECK(s.duration == 13_min);
  CHECK(s.topology->name == "three-zones");
  CHECK(s.topology->agents.size() == 53);
  CHECK(s.topology->agents[0].address.text() == "10.20.10.11");
  CHECK(s.topology->agents[3].full_name == "alpha-1.dc1");
  CHECK(s.topology->agents[3].address.text() == "10.20.1.1");
  CHECK(s.topology->links[2].attributes.latency == 400_us);
  CHECK_FALSE(s.topology->firewalls[0].enabled);
  CHECK(s.timeline[1].after->step == 0u);
  CHECK(s.timeline[1].after->offset == 10_s);
  CHECK(s.timeline[1].stagger == 20_s);
  CHECK(std::get<FirewallAction>(s.timeline[2].action).firewall == "core-fw");
  CHECK(std::get<RunAction>(s.timeline[3].action).expect->exit == 0);
  CHECK(s.workload[0].gap == Workload::Gap::kExponential);
  CHECK(s.record.snaplen == 256);
  CHECK(s.expect[1].expression.text == "min(sim.members.alive) == 3 + 2 * 25");
  CHECK(s.expect[4].after->offset == 30_s);
  CHECK(s.metrics[0].after->step == 2u);
  CHECK(s.sweep->last_seed == 30);
  CHECK(s.sweep->matrix[0].second == std::vector<std::string>{"10", "25", "50", "100"});
  CHECK(s.sweep->exclude[0] == Assignment{{"clients_per_zone", "100"}, {"servers", "5"}});
}

TEST_CASE("examples: segments with a mismatch, hub and spoke") {
  const auto r = example("02-network-segments-mismatch.yaml");
  const Scenario& two = only(r);
  CHECK(r.diagnostics.empty());
  const auto& join = std::get<RunAction>(two.timeline[3].action);
  CHECK(join.expect->err->kind == TextMatch::Kind::kRegex);
  CHECK(join.expect->err->pattern == R"(part of wrong segment 'beta' \(expected 'alpha'\))");
  const auto& restart = std::get<ProcessAction>(two.timeline[6].action);
  CHECK(restart.kind == ProcessAction::Kind::kRestart);
  CHECK(restart.config->find("segment")->text == "beta");
  CHECK(two.topology->config(0).find("segments")->items.size() == 2);
  const auto hub_result = example("03-hub-and-spoke-areas.yaml");
  const Scenario& hub = only(hub_result);
  CHECK(hub.topology->agents.size() == 15);
  CHECK(hub.topology->link("hub-dc3")->attributes.loss == 500'000u);
  CHECK(std::get<PartitionAction>(hub.timeline[11].action).duration == 45_s);
  CHECK(hub.expect[6].after->offset == 45_s);
}

TEST_CASE("params: --set overrides them, also in expressions, numbers and link attributes") {
  LoadOptions options;
  options.set = {{"clients_per_zone", "50"}};
  const auto r = load_file(DCSIM_SOURCE_DIR "/tests/data/scenario/01-segmented-lan-flapping.yaml", options);
  CHECK(only(r).topology->agents.size() == 103);
  CHECK(only(r).expect[1].expression.text == "min(sim.members.alive) == 3 + 2 * 50");
  options.set = {{"link.hub-dc3.loss", "5%"}, {"seed", "99"}, {"topology", "hub-and-spoke"}};
  const auto hub = load_file(DCSIM_SOURCE_DIR "/tests/data/scenario/03-hub-and-spoke-areas.yaml", options);
  CHECK(only(hub).topology->link("hub-dc3")->attributes.loss == 50'000'000u);
  CHECK(only(hub).topology->link("hub-dc2")->attributes.loss == 100'000u);
  CHECK(only(hub).seed == 99);
}

TEST_CASE("params: wrong settings are errors") {
  const auto with = [](std::string name, std::string value) {
    LoadOptions options;
    options.set = {{std::move(name), std::move(value)}};
    return load_file(DCSIM_SOURCE_DIR "/tests/data/scenario/01-segmented-lan-flapping.yaml", options);
  };
  CHECK(first(with("client_per_zone", "5"), "E0107").label == "did you mean `clients_per_zone`?");
  CHECK(first(with("clients_per_zone", "many"), "E0105").message ==
        "`count` in agent must be a decimal whole number, got the string \"many\"");
  CHECK_FALSE(with("link.core-alpha.loss", "0.5").ok());
  CHECK_FALSE(with("link.core-gamma.loss", "1%").ok());
  CHECK_FALSE(with("link.core-alpha.los", "1%").ok());
  CHECK_FALSE(with("topology", "four-zones").ok());
  CHECK_FALSE(with("seed", "-1").ok());
}

TEST_CASE("params: a scenario's override its topology's, lists and maps pass whole") {
  const auto r = load(
      "version: 1\nkind: topology\nname: t\nparams: { n: 1, join: [10.0.0.1, 10.0.0.2] }\nzones: { core: { cidr: "
      "10.0.0.0/24 } }\n"
      "datacenters: { dc1: { agents: [{ name: \"a-{n}\", count: \"${n}\", zone: core, config: { retry_join: "
      "\"${join}\" } }] } }\n"
      "---\nversion: 1\nkind: scenario\nname: s\nparams: { n: 4, who: a-2, t: 30 }\ntopology: t\nduration: 5m\n"
      "timeline: [{ name: \"${who} starts\", at: \"${t}s\", start: \"${who}.dc1\" }, { after: a-2 starts, start: all "
      "}]\nexpect: [{ name: x, never: \"count(sim.fw.drop) > ${n}\" }]\n");
  const Scenario& s = only(r);
  CHECK(s.topology->agents.size() == 4);
  CHECK(s.topology->config(0).find("retry_join")->items.size() == 2);
  CHECK(s.timeline[0].name == "a-2 starts");
  CHECK(s.timeline[0].time == 30_s);
  CHECK(s.expect[0].expression.text == "count(sim.fw.drop) > 4");
}

TEST_CASE("params: places inside a substituted expression point at the file") {
  const auto r =
      load(with_scenario("params: { limit: 12345 }\nexpect: [{ name: x, never: \"count(sim.fw.drop) > ${limit} and "
                         "count(sim.fw.drop) > 1\" }]\n"));
  const SpannedText& e = only(r).expect[0].expression;
  REQUIRE(e.text == "count(sim.fw.drop) > 12345 and count(sim.fw.drop) > 1");
  const auto columns = [&](std::size_t from, std::size_t to) {
    return std::pair(e.span(from, to).column, e.span(from, to).end_column);
  };
  const int start = e.at.column + 1;  // behind the quote
  CHECK(columns(0, 5) == std::pair(start, start + 5));
  CHECK(columns(21, 26) == std::pair(start + 21, start + 29));  // ${limit}
  CHECK(columns(31, 36) == std::pair(start + 34, start + 39));
}

TEST_CASE("expressions: mistakes point into the string, values are no conditions") {
  const auto r =
      load(with_scenario("expect:\n  - { name: x, never: \"count(sim.fw.drap) > 0\" }\n  - { name: y, never: "
                         "\"count(sim.fw.drop)\" }\nmetrics: { m: { value: \"avg(sim.fw.drop\", unit: x } }\n"));
  CHECK(count(r, "E0201") == 2);
  const Diagnostic d = first(r, "E0201");
  CHECK(d.label == "did you mean `sim.fw.drop`?");
  CHECK(d.at.column == 30);
  CHECK(d.at.end_column == 41);
  CHECK(first(r, "E0202").at.line == d.at.line + 1);
}

TEST_CASE("sweep: values of link attributes are checked like the attributes") {
  const std::string text = topology("links: [{ name: up, endpoints: [core, alpha] }]\n") +
                           "---\nversion: 1\nkind: scenario\nname: s\ntopology: t\nduration: 5m\ntimeline: []\nexpect: "
                           "[]\nsweep: { matrix: ";
  CHECK(load(text + "{ link.up.loss: [0%, 0.5%], link.up.mtu: [1400, 1500], link.up.bandwidth: [1Gbit] } }\n").ok());
  CHECK(first(load(text + "{ link.up.loss: [0.5] } }\n"), "E0106").label == "did you mean `50%`?");
  CHECK_FALSE(load(text + "{ link.up.mtu: [100] } }\n").ok());
  CHECK_FALSE(load(text + "{ link.up.latency: [5] } }\n").ok());
}

TEST_CASE("include: topologies by name, from beside the file and from include roots") {
  const Folder folder;
  folder.write("net/base.yaml", topology("description: base\n"));
  folder.write("roots/extra.yaml", "version: 1\nkind: topology\nname: extra\nservices: { web: [80/tcp] }\n");
  const std::string main = folder.write("main.yaml",
                                        "version: 1\nkind: scenario\nname: s\ninclude: [net/base.yaml]\ntopology: "
                                        "t\nduration: 1m\ntimeline: []\nexpect: []\n"
                                        "---\nversion: 1\nkind: scenario\nname: by-file\ntopology: "
                                        "net/base.yaml\nduration: 1m\ntimeline: []\nexpect: []\n");
  const auto r = load_file(main);
  REQUIRE_MESSAGE(r.ok(), shown(r));
  CHECK(r.scenarios.size() == 2);
  CHECK(r.topologies.empty());
  CHECK(r.scenarios[0].topology->description == "base");
  CHECK(r.scenarios[0].topology == r.scenarios[1].topology);
  LoadOptions options;
  const std::string rooted = folder.write(
      "rooted.yaml",
      topology(
          "include: extra.yaml\nfirewalls: [{ name: f, default: drop, rules: [{ ports: [web], action: accept }] }]\n"));
  CHECK(first(load_file(rooted, options), "E0101").at.line == 6);
  options.include_roots = {folder / "roots"};
  const auto merged = load_file(rooted, options);
  REQUIRE_MESSAGE(merged.ok(), shown(merged));
  CHECK(merged.topologies[0]->services.size() == 1);
  CHECK(merged.topologies[0]->name == "t");
}

TEST_CASE("include: circles and depth are reported, not followed") {
  const Folder folder;
  folder.write("a.yaml", topology("include: b.yaml\n"));
  folder.write("b.yaml", "version: 1\nkind: topology\nname: b\ninclude: a.yaml\n");
  const Diagnostic circle = first(load_file(folder / "a.yaml"), "E0109");
  CHECK(circle.message == "files include one another: a.yaml -> b.yaml -> a.yaml");
  CHECK(circle.at.file == folder / "b.yaml");
  CHECK(first(load_file(folder.write("self.yaml", topology("include: ./self.yaml\n"))), "E0109").message ==
        "files include one another: self.yaml -> self.yaml");
  for (int i = 0; i < 40; ++i)
    folder.write("d" + std::to_string(i) + ".yaml",
                 "version: 1\nkind: topology\nname: d\ninclude: d" + std::to_string(i + 1) + ".yaml\n");
  CHECK(count(load_file(folder / "d0.yaml"), "E0110") == 1);
}

TEST_CASE("extends: maps merge, named items replace, others follow; circles are errors") {
  const std::string base = topology() +
                           "---\nversion: 1\nkind: scenario\nname: base\ntopology: t\nduration: 5m\nseed: 9\nrecord: { "
                           "events: all, packets: { snaplen: 64B } }\n"
                           "timeline: [{ name: boot, at: 0s, start: all }, { name: end, at: 4m, stop: all }]\nexpect: "
                           "[{ name: x, never: \"count(sim.fw.drop) > 0\" }]\n";
  const auto r = load(base +
                      "---\nversion: 1\nkind: scenario\nname: variant\nextends: base\nduration: 6m\nrecord: { packets: "
                      "{ snaplen: 32B } }\n"
                      "timeline: [{ name: boot, at: 9s, start: all }, { name: more, at: 1m, crash: a-1 }]\nexpect: [{ "
                      "name: x, eventually: \"count(sim.fw.drop) > 0\" }]\n");
  REQUIRE_MESSAGE(r.ok(), shown(r));
  const Scenario& v = r.scenarios.at(1);
  CHECK(v.seed == 9);
  CHECK(v.duration == 6_min);
  CHECK(v.record.snaplen == 32);
  REQUIRE(v.timeline.size() == 3);
  CHECK(v.timeline[0].time == 9_s);
  CHECK(v.timeline[2].name == "more");
  CHECK(v.expect.size() == 1);
  CHECK(v.expect[0].kind == Expectation::Kind::kEventually);
  CHECK(first(load(base + "---\nversion: 1\nkind: scenario\nname: v\nextends: v\n"), "E0109").message ==
        "scenario `v` extends itself");
  CHECK(first(load(base + "---\nversion: 1\nkind: scenario\nname: v\nextends: bsae\n"), "E0107").label ==
        "did you mean `base`?");
}

TEST_CASE("documents: a file with only a topology loads; one without its topology is still checked") {
  CHECK(load(topology()).topologies.size() == 1);
  const auto r = load(
      "version: 1\nkind: scenario\nname: s\ntopology: gone\nduration: 5\ntimeline: [{ at: 0s, start: a-1.dc1, strat: x "
      "}]\nexpect: []\n");
  CHECK(count(r, "E0107") == 1);
  CHECK(count(r, "E0106") == 1);
  CHECK(count(r, "E0102") == 1);
  CHECK(r.scenarios.empty());
}

TEST_CASE("timeline: the places of the window language") {
  const auto r = load(with_scenario(
      "expect: [{ name: x, never: \"1 > 2\", after: clients up + 30s, until: 4m }]\n",
      "[{ name: clients up, after: boot + 1s, delay: 2s, start: all }, { name: boot, at: 0s, start: all },\n"
      "  { every: 10s, until: clients up + 1m, run: consul members, agent: { labels: { role: server }, pick: one } "
      "}]"));
  const Scenario& s = only(r);
  CHECK(s.timeline[0].after->step == 1u);
  CHECK(s.timeline[0].after->offset == 3_s);
  CHECK(s.timeline[2].until->offset == 1_min);
  CHECK(std::get<RunAction>(s.timeline[2].action).agents.pick.count == 1);
  CHECK(s.expect[0].after->step == 0u);
  CHECK_FALSE(s.expect[0].until->step);
  CHECK(s.expect[0].until->offset == 4_min);
}

TEST_CASE("timeline: firewall and network actions") {
  const std::string fw = topology(
                             "links: [{ name: up, endpoints: [core, alpha] }]\nfirewalls: [{ name: fw, default: drop, "
                             "rules: [{ name: a, action: accept }] }]\n") +
                         "---\nversion: 1\nkind: scenario\nname: s\ntopology: t\nduration: 5m\nexpect: []\ntimeline:\n";
  const auto r = load(fw +
                      "  - { at: 1s, firewall: { insert: { name: b, before: a, from: core, to: alpha, ports: "
                      "[8301/udp], action: drop } } }\n"
                      "  - { at: 2s, firewall: { delete: fw/b } }\n  - { at: 3s, firewall: { delete: a } }\n  - { at: "
                      "4s, firewall: { flush_conntrack: true } }\n"
                      "  - { at: 5s, partition: { between: [core, alpha], direction: to, mode: reject } }\n"
                      "  - { at: 6s, impair: { link: up, latency: 1ms, loss: 2%, duration: 5s } }\n  - { at: 7s, "
                      "impair: { link: \"zone:alpha\", down: true } }\n"
                      "  - { at: 8s, slow_cpu: { agents: a-1, factor: 2.5, duration: 10s } }\n  - { at: 9s, agent: "
                      "all, clock: { offset: -2s, drift: 0.01% } }\n");
  const Scenario& s = only(r);
  const auto& insert = std::get<FirewallAction>(s.timeline[0].action);
  CHECK(insert.firewall == "fw");
  CHECK(insert.before == "a");
  CHECK(insert.rule->ports.size() == 1);
  CHECK(std::get<FirewallAction>(s.timeline[1].action).rule_name == "b");
  CHECK(std::get<FirewallAction>(s.timeline[2].action).firewall == "fw");
  CHECK(std::get<FirewallAction>(s.timeline[3].action).kind == FirewallAction::Kind::kFlushConntrack);
  CHECK(std::get<PartitionAction>(s.timeline[4].action).direction == PartitionAction::Direction::kTo);
  const auto& impair = std::get<ImpairAction>(s.timeline[5].action);
  CHECK(impair.kind == ImpairAction::Kind::kLink);
  CHECK(impair.overrides.loss == 20'000'000u);
  CHECK_FALSE(impair.overrides.jitter);
  CHECK(std::get<ImpairAction>(s.timeline[6].action).index == 1);
  CHECK(std::get<HostAction>(s.timeline[7].action).factor_milli == 2500u);
  CHECK(std::get<HostAction>(s.timeline[8].action).offset == -(2_s));
  CHECK(std::get<HostAction>(s.timeline[8].action).drift == 100'000);
}

TEST_CASE("timeline: a regex that would exhaust the matcher is refused") {
  const auto with = [](const std::string& pattern) {
    return load(with_scenario(
        "expect: []\n", "[{ at: 1s, run: consul members, agent: a-1, expect: { stdout: \"/" + pattern + "/\" } }]"));
  };
  CHECK(with("alive.*failed").ok());
  CHECK(count(with(std::string(5000, 'a')), "E0113") == 1);
  CHECK(count(with(std::string(500, '(') + std::string(500, ')')), "E0113") == 1);
  CHECK(count(with("((a{1000}){1000}){1000}"), "E0113") == 1);
  CHECK(count(with("[z-a]"), "E0113") == 1);
}

TEST_CASE("limits: more agents than can be held") {
  CHECK(count(load("version: 1\nkind: topology\nname: t\nzones: { z: { cidr: 10.0.0.0/8 } }\ndatacenters: { dc1: { "
                   "agents: [{ name: \"a-{n}\", count: 2000000000, zone: z, config: {} }] } }\n"),
              "E0110") == 1);
}
