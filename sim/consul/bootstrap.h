#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "consul/leader_host.h"

namespace dcsim::consul {

/// `bootstrap_expect`: the first configuration of a new group of servers (agent/consul/server_serf.go maybeBootstrap).
/// Consul does it inside its handler of LAN events, which stops while servers do not answer: see busy().
class Bootstrap {
 public:
  /// `expect` 0: never.
  Bootstrap(ServerIdentity self, LeaderHost& host, int expect) : self_(std::move(self)), host_(host), expect_(expect) {}

  /// On every join of a server in the default LAN pool. Nothing once it has bootstrapped, or seen that it must not.
  void maybe_bootstrap(Instant now);
  /// 0: not, or no longer, expecting.
  int expect() const { return expect_; }
  /// While servers are asked for their peers, Consul takes up no LAN event: the host may hold them back.
  bool busy() const { return busy_; }

  Instant next_deadline() const { return retry_at_; }
  void on_deadline(Instant now);

 private:
  bool find_servers(Instant now);
  void ask(Instant now);
  void answered(Instant now, const Result<wire::rpc::Texts>& peers);
  void bootstrap(Instant now);

  ServerIdentity self_;
  LeaderHost& host_;
  int expect_;
  bool busy_ = false;
  std::vector<LanMember> servers_;
  std::size_t at_ = 0;
  int attempt_ = 0;
  Instant retry_at_ = Instant::never();
};

/// The configuration that `bootstrap` (a single server, at its start) gives itself.
raft::Configuration bootstrap_configuration(const ServerIdentity& self, const std::string& address);

}  // namespace dcsim::consul
