#include <string>
#include <vector>

#include "bench.h"
#include "net/firewall.h"
#include "net/tcp.h"

// One verdict of a stateful firewall: tracked flows of a gossip pool, and packets that pass over every rule.

namespace {

using namespace dcsim;
using namespace dcsim::net;

FirewallConfig config_of(int rules, bool stateful, bool replies_first) {
  FirewallConfig config;
  config.name = "bench";
  config.stateful = stateful;
  config.default_action = FirewallAction::kDrop;
  if (replies_first) {
    RuleSpec replies;
    replies.states = {ConnState::kEstablished, ConnState::kRelated};
    config.rules.push_back(replies);
  }
  while (config.rules.size() + 1 < static_cast<std::size_t>(rules)) {  // rules of other tenants, none of which matches
    RuleSpec other;
    HostSet from;
    from.add(HostId{5'000 + static_cast<std::uint32_t>(config.rules.size())});
    other.from = from;
    other.to = HostSet::any();
    other.ports = {{8301, 8301, 17}};
    config.rules.push_back(other);
  }
  RuleSpec gossip;
  gossip.ports = {{8301, 8301, 6}, {8301, 8301, 17}};
  config.rules.push_back(gossip);
  return config;
}

std::vector<PacketMeta> packets_of(std::uint32_t flows) {
  std::vector<PacketMeta> out;
  for (std::uint32_t i = 0; i < flows; ++i) {
    PacketMeta meta;
    meta.flow = {Address::v4(0x0a000000 + i * 7919 % 1000), Address::v4(0x0a010000 + i), 8301, 8301, Protocol::kUdp};
    meta.from_host = HostId{i * 7919 % 1000};
    meta.to_host = HostId{1000 + i % 1000};
    meta.bytes = 88;
    out.push_back(meta);
  }
  return out;
}

double ns_per_verdict(int rules, bool stateful, bool replies_first, std::uint32_t flows) {
  Firewall firewall(config_of(rules, stateful, replies_first), 1);
  const std::vector<PacketMeta> packets = packets_of(flows);
  Instant now{0};
  for (const PacketMeta& meta : packets) firewall.evaluate(meta, now);
  for (PacketMeta meta : packets) {
    meta.flow = meta.flow.reversed();
    std::swap(meta.from_host, meta.to_host);
    firewall.evaluate(meta, now);
  }
  const int rounds = static_cast<int>(2'000'000 / flows) + 1;
  return bench::median_of(5, [&] {
    return bench::ns_per_operation(static_cast<std::uint64_t>(rounds) * packets.size(), [&] {
      for (int round = 0; round < rounds; ++round) {
        now += 1'000'000_ns;
        for (const PacketMeta& meta : packets) bench::keep(firewall.evaluate(meta, now));
      }
    });
  });
}

}  // namespace

BENCHMARK_CASE("firewall/verdict") {
  for (const int rules : {10, 200}) {
    report.add({.name = "firewall: tracked flow, " + std::to_string(rules) + " rules, 1,000 flows",
                .unit = "ns/packet",
                .ours = ns_per_verdict(rules, true, false, 1'000),
                .target_value = 100});
  }
  report.add({.name = "firewall: tracked flow, 10 rules, 100,000 flows",
              .unit = "ns/packet",
              .ours = ns_per_verdict(10, true, false, 100'000)});
  for (const int rules : {10, 200}) {
    report.add({.name = "firewall: stateless, " + std::to_string(rules) + " rules, last one matches",
                .unit = "ns/packet",
                .ours = ns_per_verdict(rules, false, false, 1'000)});
  }
}
