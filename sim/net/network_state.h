#pragma once
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/rng.h"
#include "net/address_map.h"
#include "net/fifo.h"
#include "net/firewall.h"
#include "net/graph.h"
#include "net/link.h"
#include "net/network.h"
#include "net/packet_slab.h"

namespace dcsim::net {

/// A host's kernel TCP with what the network needs around it; made on the host's first use of TCP.
class HostTcp final : public TcpOutput {
 public:
  HostTcp(Network::State& network, HostId host, const TcpConfig& config, const Rng& stream)
      : stack(config, *this, stream), network_(network), host_(host) {}

  void emit(const TcpSegment& segment) override;
  void arm(TcpId id, Instant deadline) override;
  void on_connected(TcpId id) override;
  void on_accepted(TcpId id, std::uint64_t user, const Endpoint& local, const Endpoint& remote) override;
  void on_data(TcpId id, const Bytes& data) override;
  void on_end(TcpId id) override;
  void on_error(TcpId id, const Endpoint& local, const Endpoint& remote, SocketError error) override;
  void on_writable(TcpId id) override;

  /// The process has a connection that reports to `sink`.
  void opened(TcpId id, TcpSink* sink);
  void attach(TcpId id, TcpSink* sink);
  /// Closes all sockets as the kernel does for a killed process.
  void close_all();
  /// Forgets everything without a word.
  void power_off();

  TcpStack stack;
  std::vector<std::uint16_t> listeners;

 private:
  struct Slot {
    std::uint32_t generation = 0;
    std::uint32_t timer_generation = 0;
    TcpSink* sink = nullptr;
    core::EventHandle timer;
  };
  Slot& slot_of(TcpId id);
  TcpSink* sink_of(TcpId id);
  void tell_opened(const Endpoint& local, const Endpoint& remote, bool accepted);

  Network::State& network_;
  HostId host_;
  std::vector<Slot> slots_;  // by connection slot
  std::vector<TcpId> open_;  // connections of the process, for its death; dead ones are swept now and then
  std::size_t sweep_at_ = 64;
};

/// What is kept of a host; the first two cache lines are what a UDP packet touches.
struct alignas(64) HostState {
  struct Bound {
    std::uint16_t port = 0;
    UdpSink* sink = nullptr;
  };
  VertexId attachment;
  LinkId access;  // none() if the host is a vertex
  std::uint32_t zone = 0;
  OriginId origin;
  bool up = true;
  bool hooked = false;      // some host firewall covers it
  bool translated = false;  // some NAT entry has its address inside
  Bound first_udp;          // the port that was bound first, gossip's as a rule; sink null = none
  Address address;          // addresses.front()

  Rng packet_names;  // drawn once per packet sent: the packet's name in every stream it meets
  Counter udp_sent;  // the rest of the counters is below
  Counter udp_received;

  std::vector<Bound> more_udp;
  HostCounters counters;
  std::vector<Address> addresses;
  std::vector<FirewallId> input;
  std::vector<FirewallId> output;
  std::unique_ptr<HostTcp> tcp;
  std::string name;

  UdpSink* udp_sink(std::uint16_t port) const {
    if (first_udp.port == port) return first_udp.sink;
    for (const Bound& bound : more_udp) {
      if (bound.port == port) return bound.sink;
    }
    return nullptr;
  }
  void close_udp() {
    first_udp = {};
    more_udp.clear();
  }
  Counter& sent(Protocol p) { return p == Protocol::kUdp ? udp_sent : counters.sent[counter_index(p)]; }
  Counter& received(Protocol p) { return p == Protocol::kUdp ? udp_received : counters.received[counter_index(p)]; }
};

struct FirewallState {
  FirewallState(FirewallConfig config, std::uint64_t seed, Firewall::HostName names, bool inside)
      : firewall(std::move(config), seed, std::move(names)), inside_zones(inside) {}
  Firewall firewall;
  bool inside_zones;
};

struct NatState {
  NatSpec spec;
  std::uint32_t zone = 0;
  HostId host;
};

struct PartitionState {
  PartitionSpec spec;
  std::vector<std::uint16_t> side;  // by host: 1-based side, 0 = none
  bool active = true;
  std::deque<PacketId> held;
  std::uint64_t held_bytes = 0;
};

struct ImpairmentState {
  Impairment change;
  std::vector<LinkId> links;
  bool active = true;
};

enum EventKind : std::uint16_t {
  kArriveAtVertex = core::kNetKinds,  // target: packet, arg: vertex
  kArriveAtHost,                      // target: packet
  kLeaveHost,                         // target: packet; a delayed or released packet enters its first link
  kTcpTimer,                          // target: host, arg: slot, a: generation
};

inline core::Event event(EventKind kind, std::uint32_t target, std::uint32_t arg = 0, std::uint64_t a = 0) {
  return {kind, 0, target, Cause{}, arg, a, 0};
}

/// Where a packet may go, found before it is made.
struct Destination {
  HostId host;
  VertexId vertex;                    // none(): no zone has such an address
  std::uint16_t destination_nat = 0;  // index + 1
  bool local = false;                 // the sender itself
  bool untranslatable = false;        // an inside address asked for from outside
};

struct Network::State {
  State(core::Engine& engine, const Topology& topology, std::uint64_t seed, NetObserver& observer,
        const TcpConfig& tcp);

  // network.cpp
  Destination resolve(HostId from, const Address& to) const;
  const Address& source_address(HostId from, const Endpoint& to, bool to_self) const;
  HostTcp& tcp_of(HostId host);
  bool reachable(HostId from, const Destination& to) const;
  void refresh(LinkId link);
  std::vector<LinkId> links_named(std::string_view selector) const;

  // packet_path.cpp: movement
  PacketId make_packet(HostId from, Protocol protocol);
  SocketError send_from_host(PacketId id, const Destination& to);
  void leave_host(PacketId id);
  void advance(PacketId id, VertexId at, Instant when, OriginId origin);
  bool cross(PacketId id, DirectionId via, Instant& when, OriginId origin);
  bool draw_loss(PacketId id, DirectionId via);
  void draw_delay(Packet& packet, const Direction& via, Instant& when) const;
  void duplicate(PacketId id, DirectionId via, Instant when, OriginId origin);
  void schedule_arrival(PacketId id, VertexId at, OriginId origin, Instant when);
  void schedule_delivery(PacketId id, OriginId origin, Instant when);
  DirectionId choose(const Packet& packet, VertexId at, std::span<const DirectionId> hops) const;
  void translate_source(Packet& packet) const;
  bool leaves_site(HostId from, std::uint32_t to_zone) const;

  // packet_end.cpp: arrival, loss and errors
  void deliver(PacketId id);
  void deliver_udp(PacketId id, HostState& host);
  void deliver_tcp(PacketId id, HostState& host);
  void deliver_icmp(PacketId id, HostState& host);
  Cause count_delivered(Packet& packet, HostState& host);
  Cause drop(PacketId id, const Drop& why);
  /// Drops and answers the sender with an ICMP error from `at` (none(): from the sender's own kernel or first switch).
  void drop_and_answer(PacketId id, const Drop& why, IcmpError code, VertexId at, Duration later = {0},
                       std::uint32_t mtu = 0);
  /// `from`: who speaks.
  PacketId make_icmp(const Packet& offending, const Address& from, IcmpError code, std::uint32_t mtu);
  /// The address of the router at `at`; empty if it has none.
  Address router_address(VertexId at) const;
  PacketId make_reset(const Packet& offending);
  void send_answer(PacketId id, VertexId at, Cause cause, Duration later);
  PacketInfo info_of(const Packet& packet) const;

  // packet_hooks.cpp: firewalls and partitions
  PacketMeta meta_of(const Packet& packet, HostId at, bool inside_view, FlowKey& quoted) const;
  void prefetch_forward(const Packet& packet) const;
  bool forward_hook(PacketId id, VertexId at);
  bool input_hook(PacketId id, HostId at);
  /// False: dropped; `error` says what the socket call reports.
  bool output_hook(PacketId id, SocketError& error);
  bool judge(PacketId id, FirewallId firewall, const PacketMeta& meta, VertexId at, HostId host, bool is_output);
  bool partition_hook(PacketId id);
  bool any_forward(bool same_zone) const;

  core::Engine& engine;
  NetObserver* observer;
  std::uint32_t wants = 0;
  std::uint64_t seed;
  std::vector<std::string> zone_names;
  std::vector<std::string> zone_sites;
  std::vector<std::optional<Cidr>> zone_cidrs;
  Graph graph;
  std::vector<HostState> hosts;
  std::vector<Direction> directions;
  std::vector<OriginId> vertex_origins;
  std::vector<LinkCounters> link_drops;  // counters are merged in on reading
  AddressMap addresses;
  std::unordered_map<std::string, HostId> host_names;
  std::unordered_map<std::string, LinkId> link_names;
  PacketSlab packets;
  FifoTable fifo;
  CorrelationMemory correlation;
  Totals totals;
  std::uint64_t serials = 0;
  std::vector<std::unique_ptr<FirewallState>> firewalls;
  std::vector<FirewallId> forward;
  std::vector<NatState> nat;
  std::vector<PartitionState> partitions;
  std::vector<PartitionId> active_partitions;  // in order of creation
  std::vector<ImpairmentState> impairments;
  TcpConfig tcp_config;
  std::map<std::uint32_t, TcpConfig> tcp_configs;  // by MTU; stable addresses
};

}  // namespace dcsim::net
