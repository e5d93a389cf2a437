#include "consul/bootstrap.h"

#include <fmt/format.h>

#include <utility>

#include "consul/agent_config.h"

namespace dcsim::consul {

namespace {
constexpr int kMaxPeerRetries = 6;
constexpr Duration kPeerRetryBase = 1_s;

bool is_read_replica(const LanMember& member) { return has_tag(*member.tags, "read_replica") || has_tag(*member.tags, "nonvoter"); }
}  // namespace

raft::Configuration bootstrap_configuration(const ServerIdentity& self, const std::string& address) {
  raft::Configuration configuration;
  configuration.servers.push_back({raft::Suffrage::kVoter, self.node_id, address});
  return configuration;
}

void Bootstrap::maybe_bootstrap(Instant now) {
  if (expect_ == 0 || busy_) return;
  if (host_.last_entry().index != 0) {
    host_.log(now, LogLevel::kInfo, "agent.server: Raft data found, disabling bootstrap mode");
    expect_ = 0;
    return;
  }
  if (!find_servers(now)) return;
  busy_ = true;
  at_ = 0;
  attempt_ = 0;
  ask(now);
}

/// All servers of this datacenter that gossip knows, whatever their status. False: not yet, or not with these.
bool Bootstrap::find_servers(Instant now) {
  servers_.clear();
  int voters = 0;
  for (LanMember& member : host_.server_members()) {
    const auto server = parse_server(*member.tags);
    if (!server || !server->segment.empty()) continue;
    const auto refuse = [&](std::string_view why) {
      host_.log(now, LogLevel::kError, fmt::format("agent.server: {}: member={}", why, member.name));
    };
    if (server->datacenter != self_.datacenter) {
      refuse("Member has a conflicting datacenter, ignoring");
      continue;
    }
    if (server->expect != 0 && server->expect != expect_) {
      refuse("Member has a conflicting expect value. All nodes should expect the same number.");
      return false;
    }
    if (server->bootstrap) {
      refuse("Member has bootstrap mode. Expect disabled.");
      return false;
    }
    if (!is_read_replica(member)) ++voters;
    servers_.push_back(std::move(member));
  }
  return voters >= expect_;
}

void Bootstrap::ask(Instant now) {
  if (at_ == servers_.size()) return bootstrap(now);
  host_.call_status_peers(now, servers_[at_], [this](Instant at, const Result<wire::rpc::Texts>& peers) { answered(at, peers); });
}

void Bootstrap::answered(Instant now, const Result<wire::rpc::Texts>& peers) {
  const std::string& name = servers_[at_].name;
  if (!peers) {
    const Duration wait = kPeerRetryBase * (std::int64_t{1} << attempt_);
    host_.log(now, LogLevel::kError,
              fmt::format("agent.server: Failed to confirm peer status for server (will retry).: server={} retry_interval={} error=\"{}\"",
                          name, go_duration(wait), peers.error().text));
    retry_at_ = now + wait;
    return;
  }
  if (!peers->empty()) {
    host_.log(now, LogLevel::kInfo,
              fmt::format("agent.server: Existing Raft peers reported by server, disabling bootstrap mode: server={}", name));
    expect_ = 0;
    busy_ = false;
    return;
  }
  ++at_;
  attempt_ = 0;
  ask(now);
}

void Bootstrap::on_deadline(Instant now) {
  if (retry_at_ > now) return;
  retry_at_ = Instant::never();
  if (++attempt_ >= kMaxPeerRetries) {  // counts as one without peers
    ++at_;
    attempt_ = 0;
  }
  ask(now);
}

void Bootstrap::bootstrap(Instant now) {
  raft::Configuration configuration;
  std::string peers;
  for (const LanMember& member : servers_) {
    const std::string address = rpc_address(member);
    peers += (peers.empty() ? "" : ",") + address;
    configuration.servers.push_back({is_read_replica(member) ? raft::Suffrage::kNonvoter : raft::Suffrage::kVoter,
                                     std::string(tag(*member.tags, "id")), address});
  }
  host_.log(now, LogLevel::kInfo,
            fmt::format("agent.server: Found expected number of peers, attempting bootstrap: peers={}", peers));
  expect_ = 0;
  busy_ = false;
  servers_.clear();
  host_.bootstrap_cluster(now, std::move(configuration), [this](Instant at, const std::optional<Error>& error) {
    if (error) host_.log(at, LogLevel::kError, fmt::format("agent.server: Failed to bootstrap cluster: error=\"{}\"", error->text));
  });
}

}  // namespace dcsim::consul
