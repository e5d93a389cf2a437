// Mistakes that were reported twice, at the wrong place, or not at all; and files that were refused without need.
#include "load.h"
#include "scenario/expr.h"

namespace dcsim::scenario {

namespace {

const std::string kFirewall = "firewalls: [{ name: f, hook: forward, default: accept, rules: [{ name: ok, from: core, to: alpha, action: accept }] }]\n";

LoadResult with_steps(const std::string& timeline) {
  return load(topology(kFirewall) + "---\nversion: 1\nkind: scenario\nname: s\ntopology: t\nduration: 5m\nexpect: []\ntimeline:\n" + timeline);
}

const std::string kDelete = "firewall: { delete: ok } }\n";
const std::string kInsert = "firewall: { insert: { name: ok, from: core, to: alpha, action: drop } } }\n";

std::string caret(const LoadResult& result, std::string_view code) {
  const Diagnostic d = first(result, code);
  return std::to_string(d.at.line) + ":" + std::to_string(d.at.column);
}

Diagnostic only(const LoadResult& result) {
  INFO(shown(result));
  REQUIRE(count(result, "") == 1);
  return result.diagnostics.front();
}

}  // namespace

TEST_CASE("firewall steps: a rule's name is free again once the rule is deleted") {
  CHECK(with_steps("  - { at: 10s, " + kDelete + "  - { at: 20s, " + kInsert).ok());
  CHECK(with_steps("  - { at: 20s, " + kInsert + "  - { at: 10s, " + kDelete).ok());  // time counts, not the order in the file
  CHECK(only(with_steps("  - { at: 10s, " + kInsert + "  - { at: 20s, " + kDelete)).code == "E0108");
  CHECK(only(with_steps("  - { at: 10s, " + kInsert)).code == "E0108");
  CHECK(only(with_steps("  - { at: 10s, " + kDelete + "  - { at: 20s, " + kInsert + "  - { at: 30s, " + kInsert)).code == "E0108");
  // Nobody knows when.
  CHECK(with_steps("  - { when: count(sim.fw.drop) > 3, " + kDelete + "  - { at: 20s, " + kInsert).ok());
}

TEST_CASE("firewall steps: a rule may be deleted by a line above the one that inserts it") {
  CHECK(with_steps("  - { at: 30s, firewall: { delete: later } }\n"
                   "  - { at: 10s, firewall: { insert: { name: later, from: core, action: drop } } }\n").ok());
}

TEST_CASE("expressions: days, as everywhere else") {
  std::vector<ExprError> errors;
  const auto range = Expression::parse("count(sim.refute[1d]) > 0", {}, errors);
  REQUIRE(range != nullptr);
  CHECK(range->aggregates()[0].range == Duration{86'400'000'000'000});
  const auto literal = Expression::parse("1d12h > 35h and 36h >= 1d12h", {}, errors);
  REQUIRE(literal != nullptr);
  CHECK(literal->holds({}));
  CHECK(Expression::parse("max(sim.join.time) < 5d", {}, errors) != nullptr);
  CHECK(errors.empty());
}

TEST_CASE("expressions: what plain numbers multiply the value by") {
  std::vector<ExprError> errors;
  const auto scale = [&](const char* text) { return Expression::parse(text, {}, errors)->scale(); };
  CHECK(scale("max(sim.join.time)") == 1);
  CHECK(scale("max(sim.join.time) * 1000") == 1000);
  CHECK(scale("1000 * max(sim.join.time) / 2") == 500);
  CHECK(scale("max(sim.join.time) + 1s") == 1);
}

TEST_CASE("windows: one that opens after the end is warned of") {
  const LoadResult r = load(with_scenario("expect: [{ name: e, always: count(sim.refute) < 9, after: boot + 6m }]\n",
                                          "[{ name: boot, at: 0s, start: all }]"));
  CHECK(r.ok());
  CHECK(only(r).code == "W0103");
}

TEST_CASE("aliases: an item that is an alias stands where it is written") {
  const LoadResult r = load(
      "version: 1\nkind: scenario\nname: s\ntopology: t\nduration: 10s\nexpect: []\nx-a: &a { name: dup, at: 0s, start: all }\n"
      "timeline:\n  - *a\n  - *a\n---\n" + topology());
  const Diagnostic d = only(r);
  CHECK(d.at.line == 10);
  CHECK(d.label == "first at line 9");
}

TEST_CASE("mistakes: one cause, one complaint") {
  CHECK(only(load("version: 1\nkind: scenario\nname: s\nextends: nope\n")).message == "unknown scenario `nope`");
  CHECK(only(load("version: 1\nkind: scenario\nname: s\nextends: s\n")).code == "E0109");
  LoadOptions set;
  set.set = {{"x", "1"}};
  CHECK(count(load("version: 1\nkind: [topology\n", set), "E0107") == 0);
  CHECK(count(load(topology("links: [{ endpoints: [core, alpha], queue: 64KiB, bandwidth: 10 }]\n")), "W0104") == 0);
  CHECK(count(load(topology("? [a]\n: b\n")), "E0105") == 1);
}

TEST_CASE("mistakes: carets point at what is wrong") {
  const LoadResult group = load(with_scenario("expect: []\nmetrics:\n  m: { value: count(sim.fw.drop), unit: x, group_by: [rule, foo] }\n"));
  CHECK(caret(group, "E0201") == "15:61");
  const LoadResult after = with_steps("  - { name: boot, at: 0s, start: all }\n  - { after: boot + 12, start: all }\n");
  CHECK(caret(after, "E0106") == "16:21");
}

TEST_CASE("mistakes: names that silently meant nothing") {
  const auto record = [](const std::string& match) {
    return load(with_scenario("expect: []\nrecord: { packets: { match: '" + match + "' } }\n"));
  };
  CHECK(only(record("foo=\"x\"")).message == "packets have no label `foo`");
  CHECK(record("zone=\"core\", role=\"server\", port=\"8301/udp\"").ok());
  const auto expectation = [](const std::string& e) { return load(with_scenario("expect: [{ name: e, finally: '" + e + "' }]\n")); };
  CHECK(only(expectation("count(consul.serf.member.join{zone=\"nope\"}) == 0")).code == "W0102");
  CHECK(only(expectation("count(sim.fw.drop{fw=\"nofw\"}) == 0")).message == "no firewall is called `nofw`: this matches nothing");
  CHECK(count(expectation("count(consul.serf.member.join{zone=\"core\"}) == 0"), "") == 0);
  CHECK(count(with_steps("  - { at: 1s, stop: { cidr: 10.0.9.0/24 } }\n"), "W0102") == 1);
  const auto rule = [](const std::string& r) {
    return load(topology("firewalls: [{ name: f, default: accept, rules: [{ action: reject, reject_with: tcp-reset, " + r + " }] }]\n"));
  };
  CHECK(only(rule("ports: [8301/udp]")).code == "E0111");
  CHECK(only(rule("protocol: udp")).code == "E0111");
  CHECK(rule("ports: [8301/udp, 8301/tcp]").ok());
  CHECK(rule("from: { cidr: 192.0.2.0/24 }").ok());
  for (const char* name : {"\"*\"", "zone:core"}) {
    CAPTURE(name);
    CHECK(only(load(topology("links: [{ name: " + std::string(name) + ", endpoints: [core, alpha] }]\n"))).code == "E0106");
  }
}

TEST_CASE("metrics: one that is a text is warned of") {
  const auto metric = [](const std::string& value) {
    return load(with_scenario("expect: []\nmetrics: { m: { value: '" + value + "', unit: x } }\n"));
  };
  CHECK(count(metric("value(sim.member.status)"), "W0104") == 1);
  CHECK(count(metric("count(sim.member.status)"), "W0104") == 0);
}

TEST_CASE("metrics: a name may hold a parameter") {
  const LoadResult r = load(with_scenario("expect: []\nparams: { nm: probes }\nmetrics: { 'm-${nm}': { value: count(sim.refute), unit: x } }\n"));
  REQUIRE(r.scenarios.size() == 1);
  CHECK(r.scenarios[0].metrics[0].name == "m-probes");
}

TEST_CASE("latency matrix: rows that name no site, and none at all") {
  const Folder folder;
  const auto matrix = [&](const std::string& csv) {
    folder.write("m.csv", csv);
    return load_file(folder.write("t.yaml", "version: 1\nkind: topology\nname: t\nlatency_matrix: m.csv\nzones: { a: { cidr: 10.0.0.0/24, site: x }, "
                                            "b: { cidr: 10.0.1.0/24, site: y } }\ndatacenters: { dc1: { agents: [{ name: a, zone: a, config: {} }] } }\n"));
  };
  CHECK(matrix("from,to,rtt_ms\nx,y,4\n").ok());
  const Diagnostic stranger = only(matrix("from,to,rtt_ms\nx,y,4\nx,nope,3\n"));
  CHECK(stranger.at.file == folder / "m.csv");
  CHECK(stranger.at.line == 3);
  CHECK(only(matrix("from,to,rtt_ms\n")).code == "E0106");
  CHECK(only(matrix("")).code == "E0106");
}

TEST_CASE("seed: the whole range of 64 bits") {
  const auto seed = [](const std::string& s) { return load(with_scenario("expect: []\nseed: " + s + "\n")); };
  REQUIRE(seed("18446744073709551615").ok());
  CHECK(seed("18446744073709551615").scenarios[0].seed == 18446744073709551615ull);
  CHECK(seed("0").ok());
  CHECK(only(seed("18446744073709551616")).message == "`seed` in scenario must be at most 18446744073709551615, got 18446744073709551616");
  CHECK(only(seed("-1")).code == "E0106");
  CHECK(only(seed("\"7\"")).code == "E0105");
}

}  // namespace dcsim::scenario
