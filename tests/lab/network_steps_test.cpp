#include "lab_fixture.h"

using namespace dcsim;
using namespace dcsim::lab;

namespace {

const std::string kBoot = "  - { name: boot, at: 0s, start: all }\n";

/// Drops of one rule of one firewall in the whole run.
std::uint64_t drops(const RunResult& r, std::string_view line) {
  for (const Count& c : r.drops) {
    if (c.name == line) return c.value;
  }
  return 0;
}

std::uint64_t counted(const RunResult& r, std::string_view name) {
  for (const Count& c : r.counts) {
    if (c.name == name) return c.value;
  }
  FAIL("no count " << name);
  return 0;
}

RunResult played(const std::string& steps, const std::string& expect = "[]", const std::string& duration = "60s") {
  return run(kTwoZones + story(kBoot + steps, "expect: " + expect, duration));
}

}  // namespace

TEST_CASE("firewall: enabled it drops, disabled it lets through again") {
  const RunResult r = played("  - { name: on, at: 20s, firewall: { enable: fw } }\n  - { name: off, at: 30s, firewall: { disable: fw } }\n",
                             "\n  - { name: none before, never: count(sim.fw.drop) > 0, until: on }"
                             "\n  - { name: some within, finally: count(sim.fw.drop) > 5, after: on, until: off }"
                             "\n  - { name: none behind, never: count(sim.fw.drop) > 0, after: off + 1ms }");
  CHECK(r.exit_status() == 0);
  CHECK(drops(r, "dropped by fw / all-out") > 5);
}

TEST_CASE("firewall: a rule is inserted before and behind others, by position, and deleted") {
  const std::string rule = "from: west, to: east, ports: [8301/udp], action: ";
  // Before the dropping rule an accept wins; behind it, it does not.
  const auto with = [&](const std::string& place) {
    return played("  - { at: 20s, firewall: { enable: fw } }\n  - { at: 20s, firewall: { insert: { firewall: fw, name: udp-in, " + rule + "accept" + place + " } } }\n",
                  "[{ name: e, finally: 'count(sim.fw.accept{rule=\"udp-in\"}) > 0' }]");
  };
  CHECK(outcome(with(", before: all-out"), "e").verdict == Verdict::kHolds);
  CHECK(outcome(with(", position: 0"), "e").verdict == Verdict::kHolds);
  CHECK(outcome(with(", after: all-out"), "e").verdict == Verdict::kFails);
  CHECK(outcome(with(", position: 9"), "e").verdict == Verdict::kFails);  // beyond the last: at the end
  CHECK(outcome(with(""), "e").verdict == Verdict::kHolds);  // first, as nftables' insert
  const RunResult r = played("  - { name: in, at: 20s, firewall: { insert: { firewall: open, name: cut, " + rule + "drop } } }\n  - { name: out, at: 30s, firewall: { delete: open/cut } }\n",
                             "\n  - { name: some, finally: 'count(sim.fw.drop{rule=\"cut\"}) > 0', after: in, until: out }\n  - { name: none, never: count(sim.fw.drop) > 0, after: out + 1ms }");
  CHECK(r.exit_status() == 0);
  CHECK(drops(r, "dropped by open / cut") > 0);
}

TEST_CASE("firewall: flushing the connection table makes established flows new") {
  // Only the server may begin; clients' packets pass as replies while the connection is known.
  const char* const stateful = R"(firewalls:
  - name: fw
    hook: forward
    stateful: true
    enabled: false
    default: drop
    rules:
      - { name: replies, state: [established], action: accept }
      - { name: east-begins, from: east, to: west, action: accept }
---
)";
  std::string topology = kTwoZones;
  topology = topology.substr(0, topology.find("firewalls:")) + stateful;
  const auto dropped = [&](const std::string& steps) {
    const RunResult r = run(topology + story(kBoot + "  - { at: 20s, firewall: { enable: fw } }\n" + steps));
    return drops(r, "dropped by fw / default");
  };
  const std::uint64_t kept = dropped("");
  const std::uint64_t flushed = dropped("  - { at: 22s, every: 200ms, firewall: { flush_conntrack: true } }\n");
  CHECK(flushed > kept);
}

TEST_CASE("partition: it cuts for its duration, then heals by itself") {
  const RunResult r = played("  - { name: cut, at: 20s, partition: { between: [east, west], duration: 10s } }\n",
                             "\n  - { name: cut off, finally: 'count(sim.packet.drop{reason=\"partition\"}) > 3', after: cut, until: cut + 10s }"
                             "\n  - { name: healed, never: 'count(sim.packet.drop{reason=\"partition\"}) > 0', after: cut + 10s }");
  for (const Outcome& o : r.outcomes) {
    INFO(o.name << ": " << o.detail);
    CHECK(o.verdict == Verdict::kHolds);
  }
}

TEST_CASE("partition: reject answers at once, delay and queue lose nothing") {
  const auto with = [&](const std::string& mode) {
    return played("  - { name: cut, at: 20s, partition: { between: [east, west], mode: " + mode + ", duration: 2s } }\n");
  };
  const RunResult drop = with("drop"), reject = with("reject"), queue = with("queue"), delay = with("delay");
  CHECK(drops(drop, "reason partition") > 0);
  CHECK(drops(reject, "reason partition") > 0);
  CHECK(drops(queue, "reason partition") == 0);
  CHECK(drops(delay, "reason partition") == 0);
  CHECK(drop.digest != reject.digest);
  CHECK(queue.digest != drop.digest);
}

TEST_CASE("partition: one direction only") {
  const auto cut = [&](const std::string& direction) {
    const Recorded r = record(kTwoZones + story(kBoot + "  - { at: 20s, partition: { between: [east, west], direction: " + direction + ", duration: 20s } }\n"));
    std::set<std::string> senders;
    for (const Json& d : r.all("packet-dropped")) senders.insert(d["node"].get<std::string>().substr(0, 1));
    return senders;
  };
  CHECK(cut("to") == std::set<std::string>{"s"});
  CHECK(cut("from") == std::set<std::string>{"c"});
  CHECK(cut("both") == std::set<std::string>{"c", "s"});
}

TEST_CASE("impair: a link by its name, the access links of a zone, or all; and the end of it") {
  const auto lost = [&](const std::string& link) {
    const Recorded r = record(kTwoZones + story(kBoot + "  - { at: 20s, impair: { link: " + link + ", loss: 100%, duration: 5s } }\n"));
    std::set<std::string> links;
    for (const Json& d : r.all("packet-dropped")) {
      CHECK(d["t"] >= 20 * kSecond);
      CHECK(d["t"] <= 25 * kSecond);
      links.insert(d.value("culprit", d.dump()));
    }
    return links;
  };
  const auto by_name = lost("east-west");
  CHECK(by_name == std::set<std::string>{"east-west"});
  const auto by_zone = lost("zone:west");
  REQUIRE(!by_zone.empty());
  for (const std::string& link : by_zone) CHECK(link.find("zone:west") != std::string::npos);
  CHECK(lost("'*'").size() > by_zone.size());
}

TEST_CASE("impair: a zone without agents is no mistake") {
  std::string topology = kTwoZones;
  topology.replace(topology.find("west: { cidr: 10.0.2.0/24 }"), 27, "west: { cidr: 10.0.2.0/24 }, empty: { cidr: 10.0.3.0/24 }");
  const RunResult r = run(topology + story(kBoot + "  - { at: 20s, impair: { link: zone:empty, loss: 100%, duration: 5s } }\n"));
  CHECK(r.exit_status() == 0);
}

TEST_CASE("impair: a link that is down carries nothing, and packets name it") {
  const Recorded r = record(kTwoZones + story(kBoot + "  - { at: 20s, impair: { link: east-west, down: true, duration: 10s } }\n"));
  const auto drops_of = r.all("packet-dropped");
  REQUIRE(!drops_of.empty());
  for (const Json& d : drops_of) CHECK((d["reason"] == "link-down" || d["reason"] == "no-route"));
}

TEST_CASE("impair: latency slows probes down, and ends with its duration") {
  const RunResult r = played("  - { name: slow, at: 20s, impair: { link: east-west, latency: 300ms, duration: 20s } }\n",
                             "\n  - { name: late, finally: 'count(sim.probe.timeout) > 0', after: slow, until: slow + 20s }"
                             "\n  - { name: over, never: 'count(sim.probe.timeout) > 0', after: slow + 25s }");
  for (const Outcome& o : r.outcomes) {
    INFO(o.name << ": " << o.detail);
    CHECK(o.verdict == Verdict::kHolds);
  }
}

TEST_CASE("slow_cpu: an agent that needs seconds per message is suspected; it recovers") {
  const RunResult r = played("  - { name: slow, at: 20s, slow_cpu: { agents: c-1.dc1, latency: 2s, duration: 30s } }\n",
                             "\n  - { name: suspected, finally: 'count(sim.probe.failed{member=\"c-1.dc1\"}) > 0', after: slow }"
                             "\n  - { name: back, finally: min(sim.members.alive) == 4 }", "4m");
  for (const Outcome& o : r.outcomes) {
    INFO(o.name << ": " << o.detail);
    CHECK(o.verdict == Verdict::kHolds);
  }
  const RunResult none = played("  - { name: slow, at: 20s, slow_cpu: { agents: c-1.dc1, factor: 2, duration: 30s } }\n",
                                "\n  - { name: quiet, never: count(sim.probe.failed) > 0 }");
  CHECK(none.exit_status() == 0);
}

TEST_CASE("clock: a clock that drifts changes the run, one that steps does not disturb the protocol") {
  const RunResult plain = played(""), drift = played("  - { at: 20s, clock: { agents: c-1.dc1, drift: 5% } }\n"),
                  step = played("  - { at: 20s, clock: { agents: c-1.dc1, offset: -250ms } }\n", "[{ name: quiet, never: count(sim.probe.failed) > 0 }]");
  CHECK(drift.events != plain.events);
  CHECK(step.exit_status() == 0);
  CHECK(counted(step, "packets sent") == counted(plain, "packets sent"));
}

TEST_CASE("packets: what is sent is delivered, lost or on its way, in the summary too") {
  const RunResult r = played("  - { at: 20s, impair: { link: east-west, loss: 20%, duration: 20s } }\n");
  const std::uint64_t sent = counted(r, "packets sent"), delivered = counted(r, "packets delivered"), lost = counted(r, "packets lost");
  CHECK(lost > 0);
  CHECK(sent >= delivered + lost);
  CHECK(sent - delivered - lost < 20);
  std::uint64_t by_reason = 0;
  for (const Count& c : r.drops) by_reason += c.name.starts_with("reason ") ? c.value : 0;
  CHECK(by_reason == lost);
}
