#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/rng.h"
#include "base/time.h"
#include "net/conntrack.h"
#include "net/packet.h"
#include "net/selector_set.h"

namespace dcsim::net {

enum class FirewallAction : std::uint8_t { kAccept, kDrop, kReject };
enum class FirewallHook : std::uint8_t { kForward, kInput, kOutput };
std::string_view name_of(FirewallAction action);  ///< "accept"
/// The ICMP code of an icmp-* kind.
IcmpError icmp_of(RejectWith kind);

/// nftables' `limit rate N/second burst 5 packets`: a token bucket.
struct RateLimit {
  std::uint32_t packets = 0;  ///< >= 1
  Duration per = 1_s;
  std::uint32_t burst = 5;
  std::string text() const;  ///< "10/s burst 5"
};

/// One rule as the scenario says it. A packet matches if every part that is given matches.
struct RuleSpec {
  std::string name;  ///< empty = "rule-N", N counting from 1 in the order in which rules were given
  HostSet from = HostSet::any();
  HostSet to = HostSet::any();
  /// kOut: from -> to. kIn: to -> from, i.e. the rule read from the far side. kBoth: either.
  /// Ports keep their meaning: `ports` are the packet's destination ports in every direction.
  enum class Direction : std::uint8_t { kOut, kIn, kBoth } direction = Direction::kOut;
  std::vector<PortRange> ports;         ///< destination; empty = any
  std::vector<PortRange> source_ports;  ///< empty = any
  std::optional<Protocol> protocol;
  std::vector<ConnState> states;             ///< empty = any
  std::optional<std::uint32_t> probability;  ///< billionths
  std::optional<RateLimit> limit;            ///< asked last: only packets that match all else take a token
  FirewallAction action = FirewallAction::kAccept;
  RejectWith reject_with = RejectWith::kIcmpPortUnreachable;  ///< nftables' default
  bool log = false;
  std::string comment;
};

struct FirewallConfig {
  std::string name;
  FirewallHook hook = FirewallHook::kForward;
  bool enabled = true;
  bool stateful = false;
  ConntrackConfig conntrack;
  FirewallAction default_action = FirewallAction::kAccept;
  RejectWith reject_with = RejectWith::kIcmpPortUnreachable;
  bool log_default = false;
  std::vector<RuleSpec> rules;
};

inline constexpr std::int32_t kDefaultRule = -1;  ///< the firewall's default policy, rule name "default"

/// A firewall's answer to one packet.
struct Decision {
  FirewallAction action = FirewallAction::kAccept;
  /// What a reject answers with; nullopt if it must be silent: a TCP reset for what is no TCP or is itself a RST, any
  /// ICMP error about an ICMP error (RFC 1122 3.2.2).
  std::optional<RejectWith> answer;
  std::int32_t rule = kDefaultRule;  ///< stable id of the rule: rules of the config count from 0, inserted ones go on
  ConnState state = ConnState::kUntracked;
  bool log = false;
  bool table_full = false;  ///< dropped not by a rule but because the connection table was full
};

struct HitCounter {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  bool operator==(const HitCounter&) const = default;
};

/// Why a packet would get its verdict, in words. For people; not for the hot path.
struct Explanation {
  struct Step {
    std::int32_t rule = kDefaultRule;
    std::string name;
    bool matched = false;
    std::string why;  ///< "no match: destination port 8300/tcp is not in 8301/tcp, 8301/udp"
  };
  Decision decision;
  std::string flow;         ///< "10.0.1.1:8301 -> 10.0.2.1:8301 udp, ct state new"
  std::vector<Step> steps;  ///< every rule looked at, in order; the last one decides
};

/// An ordered rule list with a default, connection tracking and counters; nftables' semantics (first verdict decides).
///
/// hook forward is one place between zones: one table, PacketMeta::at none(). Hooks input and output guard many
/// machines with the same rules: PacketMeta::at names the machine, and each machine has its own table, token buckets
/// and draws. A stateful host firewall has to see both directions: the caller passes a packet of the other direction
/// that was accepted there to `observe` (a real kernel tracks in prerouting and output, whatever hook filters).
///
/// A disabled firewall accepts, counts and tracks nothing. Enabling it starts with empty tables and full buckets, so a
/// flow that was running is `new` to it: UDP until both sides sent; TCP is picked up mid-stream (tcp_loose), `new` too
/// until both sides sent, and a rule has to accept that first packet.
///
/// Draws: rule R of the firewall F draws from stream ("firewall/F", "rule/R") or, on a machine M, ("firewall/F/M",
/// "rule/R"), one draw per packet that matches all but the probability. So no other rule, firewall or machine moves
/// them.
class Firewall {
 public:
  using HostName = std::function<std::string(HostId)>;

  /// `host_name` gives a machine's stable name ("dc1/c3"); asked once per machine, needed for hooks input and output
  /// only.
  Firewall(FirewallConfig config, std::uint64_t seed, HostName host_name = {});
  ~Firewall();
  Firewall(Firewall&&) noexcept;
  Firewall& operator=(Firewall&&) noexcept;

  const std::string& name() const { return config_.name; }
  FirewallHook hook() const { return config_.hook; }
  bool enabled() const { return config_.enabled; }
  bool stateful() const { return config_.stateful; }
  const FirewallConfig& config() const { return config_; }  ///< `rules` there is empty: see rule()

  /// The verdict on a packet at its hook; counts, tracks and draws.
  /// Hot: a tracked flow whose rule needs no token or draw costs one table probe; else one pass over the rules.
  /// No allocation in the steady state.
  Decision evaluate(const PacketMeta& meta, Instant now);
  /// Tracks a packet that passes the machine in the other direction than this firewall's hook. No counters.
  /// Does nothing unless stateful and enabled. False if the connection table was full: the packet is to be dropped.
  bool observe(const PacketMeta& meta, Instant now);
  /// A packet of this flow will pass hook forward soon: its conntrack entry is brought near. Changes nothing.
  void prefetch(const FlowKey& flow) const;
  /// What `evaluate` would answer now, with reasons. Touches no counter, bucket, table or draw.
  Explanation explain(const PacketMeta& meta, Instant now) const;

  // Changes during a run.
  void enable(bool on);
  /// Puts a rule before the one now at `position` (0 = first; beyond the end = last). Returns its id.
  std::int32_t insert(std::size_t position, RuleSpec rule);
  /// Deletes the first rule of that name; its id and counters stay readable. False if there is none.
  bool erase(std::string_view rule_name);
  /// Forgets all tracked flows, on every machine.
  void flush_conntrack();

  /// Position of the first rule of that name in the present order.
  std::optional<std::size_t> position_of(std::string_view rule_name) const;
  /// Ids in the present order.
  const std::vector<std::int32_t>& order() const { return order_; }
  /// Number of ids handed out: the rules given so far, deleted ones included.
  std::size_t rule_count() const { return rules_.size(); }
  const RuleSpec& rule(std::int32_t id) const;
  /// "default" for kDefaultRule; deleted rules keep their name.
  std::string_view rule_name(std::int32_t id) const;
  HitCounter hits(std::int32_t id) const;  ///< summed over machines; id kDefaultRule = the default
  /// Packets dropped because a connection table was full.
  std::uint64_t table_full_drops() const { return table_full_drops_; }
  /// Live flows at `now`; `at` none() = the forward hook's table.
  std::size_t tracked(Instant now, HostId at = {}) const;

 private:
  struct Compiled;
  struct Point;

  Point& point(HostId at);
  std::unique_ptr<Point> make_point(HostId at) const;
  Rng stream_of(HostId at, std::string_view rule) const;
  void add_gate(Point& at, HostId machine, std::int32_t id) const;
  std::int32_t add_rule(RuleSpec rule);
  void compile();
  std::int32_t first_match(Point& at, const PacketMeta& meta, ConnState state, Instant now, bool& cacheable) const;
  std::int32_t rule_for(Point& at, const PacketMeta& meta, const Conntrack::Tracked& tracked, Instant now) const;
  Decision decision_of(std::int32_t id, const PacketMeta& meta, ConnState state) const;
  std::size_t index_of(HostId at) const;

  FirewallConfig config_;
  std::uint64_t seed_;
  HostName host_name_;
  std::vector<RuleSpec> rules_;      ///< by id; never shrinks
  std::vector<std::int32_t> order_;  ///< ids, first rule first
  std::vector<Compiled> compiled_;   ///< in order
  struct Policy {
    FirewallAction action = FirewallAction::kAccept;
    RejectWith reject_with = RejectWith::kIcmpPortUnreachable;
    bool log = false;
  };
  std::vector<Policy> policies_;                ///< by id + 1; [0] = the default
  std::vector<HitCounter> hits_;                ///< by id + 1; [0] = the default
  std::vector<std::unique_ptr<Point>> points_;  ///< by machine + 1; [0] = forward
  std::uint32_t epoch_ = 1;                     ///< grows with every change of the rules
  std::uint64_t table_full_drops_ = 0;
};

}  // namespace dcsim::net
