#include "lab/reach.h"

#include "lab_fixture.h"

using namespace dcsim;
using namespace dcsim::lab;

namespace {

/// Two zones of three agents each; in the west, c-1 alone is kept from the east by a rule of `fw`.
std::string one_kept_out(const char* enabled) {
  return std::string(R"(version: 1
kind: topology
name: t
zones: { east: { cidr: 10.0.1.0/24 }, west: { cidr: 10.0.2.0/24 }, bare: { cidr: 10.0.3.0/24 } }
links: [{ endpoints: [east, west] }]
datacenters:
  dc1:
    agents:
      - { name: "s-{n}", count: 3, zone: east, config: { server: true, bootstrap_expect: 3 } }
      - { name: "c-{n}", count: 3, zone: west, config: {} }
      - { name: lone, zone: bare, config: {} }
firewalls:
  - name: fw
    enabled: )") +
         enabled + R"(
    default: accept
    rules: [{ name: out, from: c-1.dc1, to: east, ports: [8301/udp], action: drop }]
)";
}

ReachTable table(const std::string& text, ReachOptions options = {}) {
  scenario::LoadOptions load;
  load.allow_files = false;
  const scenario::LoadResult loaded = scenario::load_text(text, "t.yaml", load);
  REQUIRE(loaded.ok());
  return reach_table(*loaded.topologies.at(0), options);
}

std::string cell(const ReachTable& t, const std::string& from, const std::string& to) {
  const auto at = [&](const std::string& name) {
    const auto it = std::find(t.names.begin(), t.names.end(), name);
    REQUIRE(it != t.names.end());
    return static_cast<std::size_t>(it - t.names.begin());
  };
  return t.cells[at(from)][at(to)];
}

}  // namespace

TEST_CASE("reach: a zone's cell speaks for every pair of agents, not for the first one") {
  const ReachTable t = table(one_kept_out("true"));
  CHECK(cell(t, "west", "east") == "8300/tcp 8301/tcp 8301/udp(6 of 9)");
  CHECK(cell(t, "east", "west") == "8301/tcp 8301/udp");
  CHECK(cell(t, "west", "west") == "8301/tcp 8301/udp");
  CHECK(cell(t, "bare", "east") == "-");
  CHECK(cell(t, "bare", "bare") == ".");
  CHECK(t.disabled.empty());
  CHECK(reach_text(t).find("n of m pairs of agents") != std::string::npos);
  const ReachTable agents = table(one_kept_out("true"), {true, false});
  CHECK(cell(agents, "c-1.dc1", "s-2.dc1") == "8300/tcp 8301/tcp");
  CHECK(cell(agents, "c-2.dc1", "s-2.dc1") == "8300/tcp 8301/tcp 8301/udp");
  CHECK(cell(agents, "c-2.dc1", "c-2.dc1") == ".");
}

TEST_CASE("reach: firewalls count as they are at the start, and those that are off then are named") {
  const ReachTable off = table(one_kept_out("false"));
  CHECK(cell(off, "west", "east") == "8300/tcp 8301/tcp 8301/udp");
  CHECK(reach_text(off).find("not in force then: fw") != std::string::npos);
  const ReachTable on = table(one_kept_out("false"), {false, true});
  CHECK(cell(on, "west", "east") == "8300/tcp 8301/tcp 8301/udp(6 of 9)");
  CHECK(reach_text(on).find("not in force") == std::string::npos);
  CHECK(reach_diff(off, on) == "west -> east: 8300/tcp 8301/tcp 8301/udp => 8300/tcp 8301/tcp 8301/udp(6 of 9)\n");
}

TEST_CASE("reach: thousands of agents that nothing tells apart are tried once") {
  const ReachTable t = table(R"(version: 1
kind: topology
name: t
zones: { a: { cidr: 10.0.0.0/16 }, b: { cidr: 10.1.0.0/16 } }
links: [{ endpoints: [a, b] }]
datacenters:
  dc1:
    agents:
      - { name: "a-{n}", count: 20000, zone: a, config: {} }
      - { name: "b-{n}", count: 20000, zone: b, config: {} }
firewalls: [{ name: fw, default: drop, rules: [{ from: a, to: b-7.dc1, action: accept }] }]
)");
  CHECK(cell(t, "a", "b") == "8301/tcp(20000 of 400000000) 8301/udp(20000 of 400000000)");
  CHECK(cell(t, "b", "a") == "-");
}
