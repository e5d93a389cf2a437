#pragma once
#include <string>

#include "consul/agent.h"
#include "consul/anti_entropy.h"
#include "consul/cli.h"
#include "consul/rpc_client.h"

namespace dcsim::consul {

/// What an agent does on top of its RPCs, be it server or client: it keeps the catalog what it says of itself, sends
/// its coordinates, and answers commands (agent/agent.go StartSync, sendCoordinate).
class AgentLocal final : public CliAgent, private AntiEntropyHost {
 public:
  /// Borrows all of it.
  AgentLocal(const Agent& agent, Surroundings& around, AgentRpc& rpc, std::uint64_t seed, std::string_view entity);

  void start(Instant now);
  /// The agent leaves.
  void stop();
  /// A server joined the pool (client.go nodeJoin, config.ServerUp).
  void on_server_up(Instant now) { sync_.on_server_up(now); }
  Instant next_deadline() const { return std::min(sync_.next_deadline(), coordinates_.next_deadline()); }
  void on_deadline(Instant now);

  // CliAgent
  const AgentConfig& config() const override { return agent_.config(); }
  Rpc& rpc() override { return rpc_; }
  LocalState& local() override { return state_; }
  void local_changed(Instant now) override { sync_.on_changed(now); }
  InfoSections info(Instant now) const override;
  Result<std::vector<MemberRow>> members(std::string_view segment) const override { return agent_.members(segment); }
  void log(Instant, LogLevel level, std::string_view line) override { around_.log(level, line); }

 private:
  // AntiEntropyHost
  std::size_t lan_members() const override;
  wire::rpc::Coordinates coordinates() const override;

  const Agent& agent_;
  Surroundings& around_;
  AgentRpc& rpc_;
  LocalState state_;
  AntiEntropy sync_;
  CoordinateSender coordinates_;
};

}  // namespace dcsim::consul
