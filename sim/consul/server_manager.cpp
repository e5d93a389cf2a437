#include "consul/server_manager.h"

#include <algorithm>
#include <utility>

namespace dcsim::consul {

namespace {

constexpr Duration kReuse = 120_s;        // clientRPCMinReuseDuration
constexpr Duration kReuseJitter = 60_s;   // the half of it (clientRPCJitterFraction)
constexpr Duration kPerNode = 15'625_us;  // 1 s / newRebalanceConnsPerSecPerServer

auto by_name(std::string_view name) {
  return [name](const ServerEntry& s) { return s.name == name; };
}

}  // namespace

std::optional<ServerEntry> server_entry(const gossip::Member& member) {
  const auto info = parse_server(*member.tags);
  if (!info) return std::nullopt;
  ServerEntry entry;
  entry.name = member.name;
  entry.datacenter = info->datacenter;
  const std::string suffix = "." + info->datacenter;
  entry.short_name = entry.name;
  if (entry.short_name.size() > suffix.size() && entry.short_name.ends_with(suffix)) {
    entry.short_name.resize(entry.short_name.size() - suffix.size());
  }
  entry.id = member.tag("id");
  entry.segment = info->segment;
  entry.rpc = {member.endpoint.address.canonical(), info->port};
  entry.address = entry.rpc.text();
  entry.build = member.tag("build");
  entry.expect = info->expect;
  entry.bootstrap = info->bootstrap;
  entry.status = member.status;
  return entry;
}

ServerManager::ServerManager(std::uint64_t seed, std::string_view entity)
    : shuffle_(seed, entity, "rebalance-order"), interval_(seed, entity, "rebalance-interval") {}

void ServerManager::add(const ServerEntry& server) {
  const auto it = std::find_if(servers_.begin(), servers_.end(), by_name(server.name));
  if (it != servers_.end())
    *it = server;
  else
    servers_.push_back(server);
  offline_ = false;
}

void ServerManager::remove(std::string_view name) {
  const auto it = std::find_if(servers_.begin(), servers_.end(), by_name(name));
  if (it != servers_.end()) servers_.erase(it);
}

bool ServerManager::failed(std::string_view name) {
  if (servers_.size() < 2 || servers_.front().name != name) return false;
  std::rotate(servers_.begin(), servers_.begin() + 1, servers_.end());
  return true;
}

const ServerEntry* ServerManager::find(std::string_view name) const {
  const auto it = std::find_if(servers_.begin(), servers_.end(), by_name(name));
  return it == servers_.end() ? nullptr : &*it;
}

void ServerManager::shuffle() {
  for (std::size_t i = servers_.size(); i > 1; --i) std::swap(servers_[i - 1], servers_[shuffle_.below(i)]);
}

void ServerManager::begin_rebalance(Instant now, std::size_t nodes) {
  nodes_ = nodes;
  tries_ = 0;
  shuffle();  // of the list in use: the order changes even if nobody answers
  candidates_ = servers_;
  if (!candidates_.empty()) {
    rebalance_at_ = Instant::never();
    return;
  }
  offline_ = true;
  arm(now);
}

ServerManager::Verdict ServerManager::pinged(Instant now, bool healthy) {
  if (!healthy) {
    std::rotate(candidates_.begin(), candidates_.begin() + 1, candidates_.end());
    if (++tries_ < candidates_.size()) return Verdict::kNext;
    candidates_.clear();
    offline_ = true;
    arm(now);
    return Verdict::kOffline;
  }
  // What gossip added meanwhile comes behind, what it removed goes (reconcileServerList).
  const std::vector<ServerEntry> chosen = std::exchange(candidates_, {});
  offline_ = false;
  arm(now);
  if (!find(chosen.front().name)) return Verdict::kChanged;
  std::vector<ServerEntry> merged;
  for (const ServerEntry& s : chosen) {
    if (const ServerEntry* still = find(s.name)) merged.push_back(*still);
  }
  for (const ServerEntry& s : servers_) {
    if (std::none_of(merged.begin(), merged.end(), by_name(s.name))) merged.push_back(s);
  }
  servers_ = std::move(merged);
  return Verdict::kRebalanced;
}

void ServerManager::arm(Instant now) {
  const Duration least = kReuse + interval_.below(kReuseJitter);
  const auto servers = static_cast<std::int64_t>(servers_.size());
  const Duration spread = servers == 0 ? Duration{} : kPerNode * static_cast<std::int64_t>(nodes_) / servers;
  rebalance_at_ = now + std::max(least, spread);
}

void ServerLookup::add(const ServerEntry& server) {
  const auto at = std::lower_bound(servers_.begin(), servers_.end(), server.name,
                                   [](const ServerEntry& s, const std::string& name) { return s.name < name; });
  if (at != servers_.end() && at->name == server.name)
    *at = server;
  else
    servers_.insert(at, server);
}

void ServerLookup::remove(const ServerEntry& server) { std::erase_if(servers_, by_name(server.name)); }

const ServerEntry* ServerLookup::by_id(std::string_view id) const {
  const auto it = std::find_if(servers_.begin(), servers_.end(), [&](const ServerEntry& s) { return s.id == id; });
  return it == servers_.end() ? nullptr : &*it;
}

const ServerEntry* ServerLookup::by_address(std::string_view address) const {
  const auto it =
      std::find_if(servers_.begin(), servers_.end(), [&](const ServerEntry& s) { return s.address == address; });
  return it == servers_.end() ? nullptr : &*it;
}

}  // namespace dcsim::consul
