#include <cstdio>
#include <cstdlib>
#include <vector>

#include "base/rng.h"
#include "bench.h"
#include "core/engine.h"
#include "net/firewall.h"
#include "net/network.h"

/// Gossip-like UDP without protocol code. Every second a node sends 60 bytes to a random other node, which answers with
/// 60 bytes; every 200 ms it sends 200 bytes to each of 3 random nodes: 17 packets per node and second. Links of 10
/// Gbit/s and 10 us with byte queues. A stateful firewall with a rule list stands on every switch.
namespace dcsim::net {

namespace {

constexpr std::uint16_t kTick = core::kTestKinds + 1;
constexpr std::uint16_t kGossipPort = 8301;

class Node final : public UdpSink {
 public:
  Node(Network& network, core::Engine& engine, HostId host, std::uint32_t count)
      : network_(network), engine_(engine), host_(host), count_(count), rng_(1, network.host_name(host), "bench") {}

  void start() {
    network_.udp_bind(host_, kGossipPort, this);
    schedule(engine_.now() + rng_.below(1_s));
  }

  void on_udp(HostId, const Endpoint& from, const Endpoint&, const Bytes& payload) override {
    if (payload.size() == 60 && payload.data()[0] == 0) {
      std::uint8_t ack[60] = {1};
      network_.udp_send(host_, kGossipPort, from, Bytes(ByteView(ack)));
    }
  }

  void tick() {
    if (ticks_++ % 5 == 0) {
      const std::uint8_t ping[60] = {0};
      network_.udp_send(host_, kGossipPort, other(), Bytes(ByteView(ping)));
    }
    const std::uint8_t gossip[200] = {2};
    const Bytes shared{ByteView(gossip)};
    for (int i = 0; i < 3; ++i) network_.udp_send(host_, kGossipPort, other(), shared);
    schedule(engine_.now() + 200_ms);
  }

 private:
  Endpoint other() {
    const auto pick = static_cast<std::uint32_t>(rng_.below(count_ - 1));
    return {network_.address_of({pick >= host_.value ? pick + 1 : pick}), kGossipPort};
  }
  void schedule(Instant at) {
    core::Event event;
    event.kind = kTick;
    event.target = host_.value;
    engine_.schedule(network_.origin_of(host_), at, event);
  }

  Network& network_;
  core::Engine& engine_;
  HostId host_;
  std::uint32_t count_;
  Rng rng_;
  std::uint64_t ticks_ = 0;
};

void on_tick(void* context, const core::Event& event) {
  (*static_cast<std::vector<Node>*>(context))[event.target].tick();
}

LinkAttributes fast_link() {
  LinkAttributes link;
  link.latency = 10_us;
  link.bandwidth = 10'000'000'000;
  return link;
}

FirewallConfig gossip_firewall(bool stateful) {
  FirewallConfig config;
  config.name = "switch-fw";
  config.stateful = stateful;
  config.conntrack.max = 4'194'304;
  config.default_action = FirewallAction::kDrop;
  RuleSpec replies;
  replies.name = "replies";
  replies.states = {ConnState::kEstablished, ConnState::kRelated};
  RuleSpec gossip;
  gossip.name = "serf-lan";
  gossip.ports = {{kGossipPort, kGossipPort, 17}, {kGossipPort, kGossipPort, 6}};
  RuleSpec rpc;
  rpc.name = "rpc";
  rpc.ports = {{8300, 8300, 6}};
  config.rules = {replies, rpc, gossip};
  return config;
}

struct Result {
  std::uint64_t delivered = 0;
  double cpu = 0;
};

enum class Guard { kStateful, kStateless, kNone };

Result run_workload(const Topology& topology, int seconds, Guard guard) {
  core::Engine engine;
  NetObserver nobody;
  Network network(engine, topology, 1, nobody);
  if (guard != Guard::kNone) network.add_firewall(gossip_firewall(guard == Guard::kStateful), HostSet::any(), true);
  const auto count = static_cast<std::uint32_t>(network.host_count());
  std::vector<Node> nodes;
  nodes.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) nodes.emplace_back(network, engine, HostId{i}, count);
  engine.on(kTick, &nodes, on_tick);
  const double start = bench::cpu_seconds();
  for (Node& node : nodes) node.start();
  engine.run_until(Instant{} + 1_s * seconds);
  Result result{network.totals().delivered, bench::cpu_seconds() - start};
  network.check_balance();
  const Totals& totals = network.totals();
  if (totals.dropped != 0)
    std::fprintf(stderr, "unexpected drops: %llu\n", static_cast<unsigned long long>(totals.dropped));
  return result;
}

void print(const Result& result) {
  std::printf(
      "packets delivered %llu\ncpu seconds %.3f\npeak memory bytes %zu\npackets per cpu second %.0f\nns per packet "
      "%.1f\n",
      static_cast<unsigned long long>(result.delivered), result.cpu, bench::peak_memory(),
      static_cast<double>(result.delivered) / result.cpu, result.cpu * 1e9 / static_cast<double>(result.delivered));
}

Topology leaf_spine(std::uint32_t hosts, std::uint32_t per_rack) {
  Topology topology = star_topology(hosts, fast_link());
  FabricSpec& fabric = topology.zones[0].fabric;
  fabric.kind = FabricKind::kLeafSpine;
  fabric.leaves = (hosts + per_rack - 1) / per_rack;
  fabric.spines = 4;
  fabric.uplink = fast_link();
  for (std::uint32_t i = 0; i < hosts; ++i) topology.hosts[i].rack = static_cast<std::int32_t>(i / per_rack);
  return topology;
}

/// The optional last word of a command.
bool guard_of(std::span<const std::string> args, std::size_t at, Guard& guard) {
  if (args.size() == at) return true;
  if (args.size() != at + 1) return false;
  guard = args[at] == "stateless" ? Guard::kStateless : args[at] == "none" ? Guard::kNone : Guard::kStateful;
  return guard != Guard::kStateful || args[at] == "stateful";
}

/// 0 if `text` is no number in [low, high].
int number(const std::string& text, int low, int high) {
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  return end != text.c_str() && *end == 0 && value >= low && value <= high ? static_cast<int>(value) : 0;
}

double ns_per_packet(const Topology& topology, int seconds, Guard guard = Guard::kStateful) {
  const Result result = run_workload(topology, seconds, guard);
  return result.cpu * 1e9 / static_cast<double>(result.delivered);
}

}  // namespace

BENCHMARK_COMMAND("net-star", "N SECONDS [stateful|stateless|none]",
                  "gossip-like UDP over one switch with a firewall") {
  Guard guard = Guard::kStateful;
  const int hosts = args.size() >= 2 ? number(args[0], 2, 1'000'000) : 0;
  const int seconds = args.size() >= 2 ? number(args[1], 1, 1'000'000) : 0;
  if (!hosts || !seconds || !guard_of(args, 2, guard)) {
    std::fprintf(stderr, "usage: net-star N SECONDS [stateful|stateless|none]\n");
    return 2;
  }
  print(run_workload(star_topology(static_cast<std::uint32_t>(hosts), fast_link()), seconds, guard));
  return 0;
}

BENCHMARK_COMMAND("net-leafspine", "N PER_RACK SECONDS [stateful|stateless|none]", "the same over racks and 4 spines") {
  Guard guard = Guard::kStateful;
  const int hosts = args.size() >= 3 ? number(args[0], 2, 1'000'000) : 0;
  const int per_rack = args.size() >= 3 ? number(args[1], 1, 65'536) : 0;
  const int seconds = args.size() >= 3 ? number(args[2], 1, 1'000'000) : 0;
  if (!hosts || !per_rack || !seconds || !guard_of(args, 3, guard)) {
    std::fprintf(stderr, "usage: net-leafspine N PER_RACK SECONDS [stateful|stateless|none]\n");
    return 2;
  }
  print(run_workload(leaf_spine(static_cast<std::uint32_t>(hosts), static_cast<std::uint32_t>(per_rack)), seconds,
                     guard));
  return 0;
}

BENCHMARK_CASE("net/star-1000") {
  report.add({.name = "UDP datagram, star of 1,000 hosts, stateful firewall",
              .unit = "ns/packet",
              .ours = ns_per_packet(star_topology(1'000, fast_link()), 10),
              .peer = "ns-3 3.37",
              .baseline = 16'500,
              .target_ratio = 20,
              .note = "ns-3 recorded on another machine, without a firewall"});
}

BENCHMARK_CASE("net/star-1000-stateless") {
  report.add({.name = "the same with a stateless rule list",
              .unit = "ns/packet",
              .ours = ns_per_packet(star_topology(1'000, fast_link()), 10, Guard::kStateless),
              .peer = "ns-3 3.37",
              .baseline = 16'500,
              .target_ratio = 20,
              .note = "ns-3 recorded on another machine, without a firewall"});
}

BENCHMARK_CASE("net/leafspine-1000") {
  report.add({.name = "the same, leaf-spine, 20 hosts a rack",
              .unit = "ns/packet",
              .ours = ns_per_packet(leaf_spine(1'000, 20), 10),
              .peer = "ns-3 3.37",
              .baseline = 20'300,
              .target_ratio = 20,
              .note = "ns-3 recorded on another machine, without a firewall"});
}

}  // namespace dcsim::net
