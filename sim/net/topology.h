#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/time.h"

namespace dcsim::net {

/// A probability in billionths: 0 = never, kAlways = always. Never a float.
using Billionths = std::uint32_t;
inline constexpr Billionths kAlways = 1'000'000'000;

/// The shape of a link's jitter. A drawn delay is never negative.
enum class Distribution : std::uint8_t {
  kConstant,   ///< latency + jitter, always
  kUniform,    ///< latency + [-jitter, +jitter]
  kNormal,     ///< latency + jitter x N(0,1)
  kLognormal,  ///< latency + jitter x exp(N(0,1) - 1/2): mean latency + jitter, long right tail
  kPareto,     ///< latency + jitter x (Pareto(3) - 1): mean latency + jitter / 2, heavy right tail
};

/// What one direction of a link does to packets. The defaults are the scenario language's.
struct LinkAttributes {
  Duration latency{100'000};  ///< one way, propagation only
  Duration jitter{0};
  Distribution distribution = Distribution::kUniform;
  Billionths loss = 0;
  Billionths duplicate = 0;
  Billionths corrupt = 0;  ///< the receiver's checksum fails: a drop with reason corrupt
  Billionths reorder =
      0;  ///< chance that a packet is late by up to (latency + jitter) more and may be overtaken; else FIFO
  Billionths correlation = 0;  ///< chance that a loss, duplicate or corrupt draw repeats the sender's previous one
                               ///< here; keeps the rates as given (netem's averaging of draws does not)
  std::uint64_t bandwidth = 0;  ///< bits per second; 0 = unlimited, and then no queue
  std::uint64_t queue = 0;      ///< bytes that may wait, in IP bytes; 0 = 1,000 full packets (Linux txqueuelen)
  std::uint32_t mtu = 1500;     ///< IP bytes
  bool operator==(const LinkAttributes&) const = default;
};

/// How the switches inside a zone are wired.
enum class FabricKind : std::uint8_t {
  kStar,       ///< one switch; the default
  kLeafSpine,  ///< agents on leaves, every leaf to every spine; links to other zones leave by a border leaf
  kFatTree,    ///< k pods of k/2 edge and k/2 aggregation switches, (k/2)^2 cores (Al-Fares 2008); border on the cores
};

struct FabricSpec {
  FabricKind kind = FabricKind::kStar;
  std::uint32_t leaves = 0;  ///< leaf-spine: >= 1
  std::uint32_t spines = 0;  ///< leaf-spine: >= 1
  std::uint32_t k = 0;       ///< fat-tree: even, >= 2
  LinkAttributes uplink;     ///< every switch-to-switch link of the fabric
};

struct ZoneSpec {
  std::string name;
  std::optional<Cidr> cidr;
  std::string site;  ///< for the latency matrix; empty = none
  FabricSpec fabric;
  LinkAttributes link;  ///< each agent's own access link, named `zone:NAME/AGENT`; `zone:NAME` means all of them
};

/// A machine with one network interface, attached to its zone's switch by an access link.
struct HostSpec {
  std::string name;                ///< "alpha-1.dc1"; its random streams are named by it
  std::vector<Address> addresses;  ///< canonical form; the first is the source address of what it sends
  std::string zone;
  std::int32_t rack = -1;              ///< leaf or edge switch of a fabric; -1 = round robin in file order
  std::optional<LinkAttributes> link;  ///< overrides the zone's
};

/// A link between zones, plain switches or agents. An endpoint that is no zone and no host is a switch of that name.
/// A host with extra links never forwards packets of others.
struct LinkSpec {
  std::string name;  ///< empty = "A-B"
  std::string a;
  std::string b;
  LinkAttributes attributes;
  std::optional<LinkAttributes> back;  ///< b to a where it differs
};

/// One row of the latency matrix: every zone of `from` and every zone of `to` that no explicit link joins get a link
/// `site:FROM-TO/ZONE-ZONE`; rows for both directions may differ. `site:FROM-TO` means all of them.
struct SiteLink {
  std::string from;
  std::string to;
  LinkAttributes attributes;  ///< latency = half the round trip
};

/// 1:1 address translation at a zone's edge: packets for `outside` are delivered to `inside`, and what `inside` sends
/// out of the zone carries `outside` as its source (RFC 3022 basic NAT).
struct NatSpec {
  std::string name;
  std::string zone;
  Address outside;
  Address inside;
};

/// The typed network that a scenario file (or a test) fills. Orders are meaningful: host order is the order of host
/// ids.
struct Topology {
  std::vector<ZoneSpec> zones;
  std::vector<std::string> switches;  ///< optional: declared plain switches
  std::vector<HostSpec> hosts;
  std::vector<LinkSpec> links;
  std::vector<SiteLink> sites;
  std::vector<NatSpec> nat;
};

/// What is wrong with the topology as data: names defined twice or not at all, an address of two hosts in one zone,
/// fabric numbers out of range. Empty = Network accepts it. Never throws.
std::vector<std::string> problems_of(const Topology& topology);

/// One switch with `hosts` hosts 10.x.y.z in one zone `zone`: for tests and benchmarks.
Topology star_topology(std::uint32_t hosts, const LinkAttributes& link, const std::string& zone = "lan");

}  // namespace dcsim::net
