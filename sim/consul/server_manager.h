#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/rng.h"
#include "base/time.h"
#include "consul/tags.h"
#include "gossip/serf_event.h"

namespace dcsim::consul {

/// A server as gossip tells of it (agent/metadata/server.go Server).
struct ServerEntry {
  std::string name;        ///< member name; "s1.dc1" in the WAN pool
  std::string short_name;  ///< without the datacenter
  std::string id;          ///< node ID
  std::string datacenter;
  std::string segment;
  Endpoint rpc;         ///< gossip address in that pool, and the port tag
  std::string address;  ///< the same as text, which is also its Raft address
  std::string build;
  int expect = 0;
  bool bootstrap = false;
  gossip::MemberStatus status = gossip::MemberStatus::kAlive;  ///< when the entry was made
};
/// nullopt: the member is no server.
std::optional<ServerEntry> server_entry(const gossip::Member& member);

/// The servers that one pool knows, in the order in which they are tried: calls go to the front, a failed one goes to
/// the end, and every few minutes the list is shuffled (agent/router/manager.go Manager). Sans-I/O: it says whom to
/// ping, its owner pings.
class ServerManager {
 public:
  ServerManager(std::uint64_t seed, std::string_view entity);

  /// NewManager starts its timer: the first rebalance is due after 2 min.
  void start(Instant now) { rebalance_at_ = now + kInitialRebalance; }
  /// Adds it at the end, or replaces the entry of that name. Clears `offline`.
  void add(const ServerEntry& server);
  void remove(std::string_view name);
  /// Rotates the list if that server is in front and not the only one; true if it did.
  bool failed(std::string_view name);

  /// FindServer; nullptr: none (log "No servers available").
  const ServerEntry* front() const { return servers_.empty() ? nullptr : &servers_.front(); }
  const ServerEntry* find(std::string_view name) const;
  const std::vector<ServerEntry>& servers() const { return servers_; }
  bool offline() const { return offline_; }

  // --- Rebalance (RebalanceServers, refreshServerRebalanceTimer) ---------------------------------------------------

  Instant rebalance_at() const { return rebalance_at_; }
  /// Shuffles the list. Then ping the front and say how it went, until `pinging` is over. `nodes`: members of the pool.
  void begin_rebalance(Instant now, std::size_t nodes);
  /// Whom to ping; nullptr when no rebalance is on its way.
  const ServerEntry* pinging() const { return candidates_.empty() ? nullptr : &candidates_.front(); }
  enum class Verdict : std::uint8_t {
    kNext,        ///< ping on
    kRebalanced,  ///< "Rebalanced servers, new active server"
    kOffline,     ///< "No healthy servers during rebalance, aborting"
    kChanged,     ///< the chosen one has left meanwhile: given up
  };
  Verdict pinged(Instant now, bool healthy);

  static constexpr Duration kInitialRebalance = 120_s;

 private:
  void arm(Instant now);
  void shuffle();

  std::vector<ServerEntry> servers_;
  std::vector<ServerEntry> candidates_;  // of the rebalance under way, the one being pinged in front
  std::size_t tries_ = 0;
  std::size_t nodes_ = 0;
  bool offline_ = false;
  Instant rebalance_at_ = Instant::never();
  Rng shuffle_;
  Rng interval_;
};

/// The servers of the own datacenter as a server's default segment knows them, by Raft address and by ID
/// (agent/consul/server_lookup.go).
class ServerLookup {
 public:
  void add(const ServerEntry& server);
  void remove(const ServerEntry& server);
  const ServerEntry* by_id(std::string_view id) const;
  /// "10.0.0.1:8300"
  const ServerEntry* by_address(std::string_view address) const;
  /// In order of names.
  const std::vector<ServerEntry>& servers() const { return servers_; }

 private:
  std::vector<ServerEntry> servers_;
};

}  // namespace dcsim::consul
