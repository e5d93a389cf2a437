#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/diagnostic.h"
#include "base/time.h"
#include "scenario/config_value.h"
#include "scenario/selector.h"

namespace dcsim::scenario {

using Labels = std::vector<std::pair<std::string, std::string>>;  ///< in file order, keys unique

enum class Distribution { kConstant, kUniform, kNormal, kLognormal, kPareto, kTrace };
enum class Protocol : std::uint8_t { kAny, kTcp, kUdp, kIcmp };

/// A link's properties after `defaults.link` and the built-in defaults are applied. Latency is one way.
/// Probabilities are in billionths (1 % = 10'000'000).
struct LinkAttributes {
  Duration latency{100'000};
  Duration jitter;
  Distribution distribution = Distribution::kUniform;  ///< of the jitter; without jitter nothing is drawn
  std::string trace;                                   ///< kTrace: file of delays, path as to be opened
  std::uint32_t loss = 0;
  std::uint32_t duplicate = 0;
  std::uint32_t corrupt = 0;
  std::uint32_t reorder = 0;
  std::uint32_t correlation = 0;
  std::uint64_t bandwidth = 0;         ///< bits per second; 0 = unlimited, then there is no queue
  std::optional<std::uint64_t> queue;  ///< bytes; not given = the network's default
  std::uint32_t mtu = 1500;
};

/// The attributes that a map actually names (impair, and the layers before defaults are applied).
struct LinkOverrides {
  std::optional<Duration> latency, jitter;
  std::optional<Distribution> distribution;
  std::optional<std::string> trace;
  std::optional<std::uint32_t> loss, duplicate, corrupt, reorder, correlation;
  std::optional<std::uint64_t> bandwidth, queue;
  std::optional<std::uint32_t> mtu;

  void apply_to(LinkAttributes& attributes) const;
};

/// The inside of a zone. kStar is one switch. `uplink` joins leaves to spines (and the tiers of a fat tree).
struct Fabric {
  enum class Kind { kStar, kLeafSpine, kFatTree };
  Kind kind = Kind::kStar;
  std::uint32_t leaves = 0;
  std::uint32_t spines = 0;
  std::uint32_t k = 0;  ///< fat tree: ports per switch, even
  LinkAttributes uplink;
};

struct Zone {
  std::string name;
  SourceSpan at;  ///< the name
  Cidr cidr;
  SourceSpan cidr_at;
  std::string site;
  Labels labels;
  LinkAttributes link;  ///< each agent's access link
  Fabric fabric;
};

/// One end of a link.
struct LinkEnd {
  enum class Kind { kZone, kAgent, kSwitch };
  Kind kind = Kind::kZone;
  std::uint32_t index = 0;  ///< into zones, agents or switches
  std::string name;
  SourceSpan at;
};

struct Link {
  std::string name;    ///< given, else "a-b" after its endpoints (made unique with "#2", ...)
  bool named = false;  ///< the file gives the name
  SourceSpan at;       ///< the name, else the first endpoint
  LinkEnd ends[2];
  LinkAttributes attributes;
};

/// One row of `latency_matrix`; both directions unless the file gives the other one too. Links whose endpoints' sites
/// are listed and that give no latency of their own have already been filled from it.
struct SiteLatency {
  std::string from, to;
  Duration rtt;
  Duration jitter;
  std::uint32_t loss = 0;  ///< billionths
};

enum class AgentKind { kConsul, kSerf };

/// One entry of `datacenters.<dc>.agents`, before expansion by `count`.
struct AgentGroup {
  std::string pattern;  ///< "alpha-{n}"
  SourceSpan at;
  AgentKind kind = AgentKind::kConsul;
  std::uint32_t count = 1;
  std::uint32_t datacenter = 0;  ///< index into datacenters
  std::uint32_t zone = 0;        ///< index into zones
  Labels labels;
  /// `defaults.config`, then `config_file`, then `config`, merged; a map, shared by all agents of the group.
  std::shared_ptr<const ConfigValue> config;
};

/// One agent. Order of Topology::agents is file order, groups expanded in place.
struct Agent {
  std::string name;       ///< "alpha-1"
  std::string full_name;  ///< "alpha-1.dc1"
  std::uint32_t group = 0;
  std::uint32_t number = 1;  ///< the {n} of the group's pattern, from 1
  std::uint32_t zone = 0;
  std::uint32_t datacenter = 0;
  AgentKind kind = AgentKind::kConsul;
  Address address;  ///< IPv4
};

struct Datacenter {
  std::string name;
  SourceSpan at;
};

struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 65535;
  Protocol protocol = Protocol::kAny;
  bool operator==(const PortRange&) const = default;
};

struct Service {
  std::string name;
  SourceSpan at;
  std::vector<PortRange> ports;
};

enum class Verdict { kAccept, kDrop, kReject };
enum class RejectWith { kTcpReset, kIcmpPortUnreachable, kIcmpHostUnreachable, kIcmpAdminProhibited };
/// Bits of FirewallRule::states.
enum ConnState : std::uint8_t { kStateNew = 1, kStateEstablished = 2, kStateRelated = 4, kStateInvalid = 8 };

struct RateLimit {
  std::uint32_t count = 0;
  Duration per;
};

/// Read in order, the first match decides. What is not given matches everything.
struct FirewallRule {
  enum class Direction { kOut, kIn, kBoth };  ///< kOut: from -> to; kIn: to -> from; kBoth: either way

  std::string name;  ///< given, else "rule-N" (1-based position in its firewall)
  SourceSpan at;
  std::optional<Selector> from, to;  ///< see networks() in selector.h
  Direction direction = Direction::kOut;
  std::vector<PortRange> ports;         ///< destination; services already expanded; empty = any
  std::vector<PortRange> source_ports;  ///< likewise
  Protocol protocol = Protocol::kAny;
  std::uint8_t states = 0;  ///< ConnState bits; 0 = any
  std::optional<RateLimit> limit;
  std::optional<std::uint32_t> probability;  ///< billionths
  Verdict action = Verdict::kAccept;
  std::optional<RejectWith> reject_with;
  bool log = false;
  std::string comment;
};

struct Firewall {
  enum class Hook { kForward, kInput, kOutput };

  std::string name;
  SourceSpan at;
  Hook hook = Hook::kForward;
  std::optional<Selector> agents;  ///< kInput/kOutput: whose; not given = all
  bool enabled = true;
  bool stateful = false;
  std::vector<std::pair<std::string, Duration>> conntrack;  ///< timeout name -> value, as given
  Verdict default_verdict = Verdict::kAccept;
  std::optional<RejectWith> reject_with;
  bool log_default = false;
  std::vector<FirewallRule> rules;
};

struct Nat {
  std::string name;
  SourceSpan at;
  std::uint32_t zone = 0;
  Address outside, inside;
};

struct DnsName {
  std::string name;
  SourceSpan at;
  std::vector<Address> addresses;
};

/// A topology document, checked and expanded. Immutable once loaded.
struct Topology {
  std::string name;
  std::string description;
  SourceSpan at;
  std::vector<Zone> zones;
  std::vector<std::string> switches;  ///< link endpoints that are neither zone nor agent
  std::vector<Link> links;
  std::vector<SiteLatency> site_latencies;
  std::vector<DnsName> dns;
  std::vector<Datacenter> datacenters;
  std::vector<AgentGroup> groups;
  std::vector<Agent> agents;
  std::vector<Service> services;
  std::vector<Firewall> firewalls;
  std::vector<Nat> nat;
  std::vector<std::pair<std::string, std::string>> params;  ///< effective values as text, after --set

  /// Lookups by name; O(1) for agents and zones. nullopt if there is none (agents: or a short name is ambiguous).
  std::optional<std::uint32_t> zone_index(std::string_view zone) const;
  /// Full name, else a short name that is unique.
  std::optional<std::uint32_t> agent_index(std::string_view agent) const;
  const Firewall* firewall(std::string_view name) const;
  const Link* link(std::string_view name) const;
  const Service* service(std::string_view name) const;
  const DnsName* dns_name(std::string_view name) const;
  /// The agent's own label, else its zone's; empty view if neither.
  std::string_view label(std::uint32_t agent, std::string_view key) const;
  const Labels& labels(std::uint32_t agent) const { return groups[agents[agent].group].labels; }
  const ConfigValue& config(std::uint32_t agent) const { return *groups[agents[agent].group].config; }

  /// Fills the lookup tables; the loader has done so.
  void index();
  void add_service(Service service);

 private:
  std::unordered_map<std::string, std::uint32_t> zones_by_name_;
  std::unordered_map<std::string, std::uint32_t> services_by_name_;
  std::unordered_map<std::string, std::uint32_t> agents_by_name_;  ///< full and short; kAmbiguous for shared short ones
};

}  // namespace dcsim::scenario
