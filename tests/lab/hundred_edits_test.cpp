#include <fmt/format.h>

#include "base/distribution.h"
#include "lab_fixture.h"

using namespace dcsim;
using namespace dcsim::lab;

namespace {

/// What a hundred edits change: everything about the blue datacenter.
struct Blue {
  int clients = 3;
  int more_groups = 0;
  int more_zones = 0;
  int more_links = 0;
  int latency_us = 500;
  int jitter_us = 0;
  int loss_percent = 0;
  bool bandwidth = false;
  int rules = 0;
  int firewalls = 0;
  bool first = false;  ///< stands before red in the file
  std::vector<std::string> steps;
};

std::string zones_of_blue(const Blue& b) {
  std::string out = "  blue-a: { cidr: 10.2.1.0/24 }\n  blue-b: { cidr: 10.2.2.0/24, link: { jitter: 30us } }\n";
  for (int i = 0; i < b.more_zones; ++i) out += fmt::format("  blue-more-{}: {{ cidr: 10.3.{}.0/24 }}\n", i, i);
  return out;
}

std::string links_of_blue(const Blue& b) {
  std::string out = fmt::format("  - {{ name: blue, endpoints: [blue-a, blue-b], latency: {}us, jitter: {}us, loss: {}%{} }}\n", b.latency_us, b.jitter_us, b.loss_percent,
                                b.bandwidth ? ", bandwidth: 10Mbit" : "");
  for (int i = 0; i < b.more_zones; ++i) out += fmt::format("  - {{ name: blue-more-{}, endpoints: [blue-a, blue-more-{}] }}\n", i, i);
  for (int i = 0; i < b.more_links; ++i) out += fmt::format("  - {{ name: blue-again-{}, endpoints: [blue-a, blue-b], latency: {}us }}\n", i, 700 + i);
  return out;
}

std::string agents_of_blue(const Blue& b) {
  std::string out = "  blue:\n    agents:\n      - { name: b-s, zone: blue-a, first_address: 10.2.1.11, labels: { role: server }, config: { server: true, bootstrap_expect: 1 } }\n";
  out += fmt::format("      - {{ name: 'b-{{n}}', count: {}, zone: blue-b, labels: {{ role: client }}, config: {{ retry_join: ['10.2.1.11'] }} }}\n", b.clients);
  for (int i = 0; i < b.more_groups; ++i) {
    const std::string zone = b.more_zones > 0 ? fmt::format("blue-more-{}", i % b.more_zones) : "blue-a";
    out += fmt::format("      - {{ name: b-extra-{}, zone: {}, labels: {{ role: client }}, config: {{ retry_join: ['10.2.1.11'] }} }}\n", i, zone);
  }
  return out;
}

std::string firewalls_of_blue(const Blue& b) {
  std::string out;
  for (int f = 0; f <= b.firewalls; ++f) {
    out += fmt::format("  - name: blue-fw-{}\n    hook: forward\n    stateful: {}\n    default: accept\n    rules:\n      - {{ name: none, ports: [9/udp], action: drop }}\n", f, f % 2 == 1);
    for (int i = 0; f == 0 && i < b.rules; ++i) {
      out += fmt::format("      - {{ name: r-{}, from: blue-b, to: blue-a, ports: [8301/udp], probability: {}%, action: drop }}\n", i, 1 + i % 3);
    }
  }
  return out;
}

// Red does whatever draws: staggered starts without a name, loss, jitter, rules by chance, picks, faults, a workload.
const char* const kRedZones = "  red-a: { cidr: 10.1.1.0/24 }\n  red-b: { cidr: 10.1.2.0/24, link: { jitter: 20us, loss: 0.5% } }\n";
const char* const kRedLinks = "  - { name: red, endpoints: [red-a, red-b], latency: 400us, jitter: 100us, loss: 1%, reorder: 1%, duplicate: 1%, bandwidth: 100Mbit }\n"
                              "  - { name: red-too, endpoints: [red-a, red-b], latency: 400us }\n";
const char* const kRedAgents = "  red:\n    agents:\n      - { name: r-s, zone: red-a, first_address: 10.1.1.11, labels: { role: server }, config: { server: true, bootstrap_expect: 1 } }\n"
                               "      - { name: 'r-{n}', count: 4, zone: red-b, labels: { role: client }, config: { retry_join: ['10.1.1.11'] } }\n";
const char* const kRedFirewalls = "  - name: red-fw\n    hook: forward\n    default: accept\n    rules:\n      - { name: some, from: red-b, to: red-a, ports: [8301/udp], probability: 5%, action: drop, log: true }\n";
const char* const kRedSteps = "  - { at: 0s, start: 'dc=red', stagger: 5s }\n  - { at: 20s, crash: r-2.red }\n  - { at: 25s, pause: { dc: red, labels: { role: client }, pick: one } }\n"
                              "  - { at: 28s, resume: 'dc=red' }\n  - { at: 30s, start: r-2.red }\n  - { at: 40s, run: consul members, agent: 'dc=red', stagger: 3s }\n"
                              "  - { at: 42s, partition: { between: [red-a, red-b], duration: 4s } }\n  - { at: 50s, restart: r-3.red }\n";
const char* const kRedRest = "faults: [{ name: red-faults, kinds: [pause, impair], targets: 'dc=red', interval: 15s, duration: 3s }]\n"
                             "workload: [{ name: red-looks, agents: 'dc=red', every: { exponential: 10s }, run: 'consul members' }]\nexpect: []\n";

std::string text_of(const Blue& b) {
  const auto both = [&](const std::string& red, const std::string& blue) { return b.first ? blue + red : red + blue; };
  std::string blue_steps = "  - { at: 0s, start: 'dc=blue', stagger: 2s }\n";
  for (const std::string& step : b.steps) blue_steps += step;
  return "version: 1\nkind: topology\nname: t\nzones:\n" + both(kRedZones, zones_of_blue(b)) + "links:\n" + both(kRedLinks, links_of_blue(b)) + "datacenters:\n" +
         both(kRedAgents, agents_of_blue(b)) + "firewalls:\n" + both(kRedFirewalls, firewalls_of_blue(b)) + "---\n" +
         "version: 1\nkind: scenario\nname: s\ntopology: t\nduration: 60s\ntimeline:\n" + both(kRedSteps, blue_steps) + kRedRest;
}

std::string edit(Blue& b, Rng& rng) {
  const auto at = [&] { return 3 + rng.below(55); };
  switch (rng.below(14)) {
    case 0: return ++b.clients, "an agent more";
    case 1: return b.clients = std::max(1, b.clients - 1), "an agent less";
    case 2: return ++b.more_groups, "a group more";
    case 3: return ++b.more_zones, "a zone more";
    case 4: return ++b.more_links, "a link more";
    case 5: return b.latency_us = 100 + static_cast<int>(rng.below(5000)), "another latency";
    case 6: return b.jitter_us = static_cast<int>(rng.below(90)), "another jitter";
    case 7: return b.loss_percent = static_cast<int>(rng.below(10)), "another loss";
    case 8: return b.bandwidth = !b.bandwidth, "bandwidth";
    case 9: return ++b.rules, "a rule more";
    case 10: return ++b.firewalls, "a firewall more";
    case 11: return b.first = !b.first, "the other order";
    case 12:
      b.steps.push_back(fmt::format("  - {{ at: {}s, partition: {{ between: [blue-a, blue-b], duration: 5s }} }}\n", at()));
      return "a partition more";
    default: {
      static constexpr const char* kDeeds[] = {"crash", "pause", "restart", "stop", "start", "resume"};
      b.steps.push_back(fmt::format("  - {{ at: {}s, {}: {{ dc: blue, pick: one }} }}\n", at(), kDeeds[rng.below(6)]));
      return "a step more";
    }
  }
}

/// The records of red's agents as written, without their numbers and causes: those count all records.
std::vector<std::string> records_of_red(const Blue& b) {
  const TempFolder folder;
  RunOptions o;
  o.out_dir = folder.path();
  const RunResult r = run(text_of(b), o);
  REQUIRE(r.write_error.empty());
  std::vector<std::string> lines;
  std::ifstream in(folder / "trace.jsonl");
  const auto cut = [](std::string& line, std::string_view key) {
    const auto from = line.find(key);
    if (from == std::string::npos) return;
    auto to = from + key.size();
    while (to < line.size() && line[to] >= '0' && line[to] <= '9') ++to;
    line.erase(from, to - from);
  };
  for (std::string line; std::getline(in, line);) {
    if (line.find("\"node\":\"r-") == std::string::npos) continue;
    cut(line, ",\"n\":");
    cut(line, ",\"cause\":");
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace

TEST_CASE("a hundred edits of one pool leave the records of an unconnected one byte-identical") {
  Blue blue;
  const std::vector<std::string> before = records_of_red(blue);
  REQUIRE(before.size() > 1000);
  Rng rng(1, "edits", "hundred");
  int shapes = 0;
  for (int i = 0; i < 100; ++i) {
    if (i % 20 == 0) blue = Blue{};  // five series of twenty, so that the blue pool stays small
    const std::string what = edit(blue, rng);
    CAPTURE(i);
    CAPTURE(what);
    const std::vector<std::string> after = records_of_red(blue);
    const auto different = std::mismatch(before.begin(), before.end(), after.begin(), after.end());
    const std::string was = different.first == before.end() ? "(end)" : *different.first;
    const std::string is = different.second == after.end() ? "(end)" : *different.second;
    CAPTURE(was);
    CAPTURE(is);
    REQUIRE(before == after);
    ++shapes;
  }
  CHECK(shapes == 100);
}

TEST_CASE("an edit of the pool itself does change its records") {
  Blue blue;
  const std::string text = text_of(blue);
  std::string slower = text;
  slower.replace(slower.find("latency: 400us"), 14, "latency: 401us");
  CHECK(run(text).digest != run(slower).digest);
}
