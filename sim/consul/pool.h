#pragma once
#include <memory>
#include <optional>
#include <string>

#include "consul/agent.h"
#include "consul/merge_gate.h"

namespace dcsim::consul {

/// How Serf runs in one pool of an agent: 0 is its LAN pool, then a server's segments in order.
gossip::SerfConfig serf_config(const AgentConfig& config, std::size_t pool);
/// The first thing that Serf or memberlist cannot run with in any of the agent's pools, such as tags over 512 bytes.
/// An agent says it when it starts; a loader may want to say it before.
std::optional<Error> gossip_problem(const AgentConfig& config);

/// One gossip pool of an agent: a Serf node with its listener, its gate and its place among the agent's pools. Passes what
/// Serf asks for on to the Surroundings under its PoolId.
class Pool final : public gossip::Actions,
                   public gossip::SerfListener,
                   public gossip::MergeDelegate,
                   public gossip::ReconnectTimeoutOverride {
 public:
  struct Place {
    PoolId id;
    std::string segment;  ///< "" = default
    Address bind;
    Address advertise;
    std::uint16_t port = 0;
  };
  Pool(Agent& agent, Place place);
  /// Before anything else: makes the Serf node. The error is what it cannot run with.
  std::optional<Error> open(std::uint64_t seed);

  gossip::Serf& serf() { return *serf_; }
  const gossip::Serf& serf() const { return *serf_; }
  const Place& place() const { return place_; }

  // gossip::Actions
  gossip::SendStatus send_packet(const Endpoint& to, const Bytes& payload) override;
  std::string send_error() const override;
  gossip::StreamId dial(const Endpoint& to, Duration timeout) override;
  void stream_send(gossip::StreamId stream, const Bytes& payload) override;
  void stream_close(gossip::StreamId stream) override;
  Cause note(const gossip::Notice& notice) override;
  void because(Cause cause) override;

  // gossip::SerfListener
  void on_member_event(const gossip::MemberEvent& event, Cause cause) override;
  void on_join_done(std::uint32_t token, std::uint32_t contacted, std::string_view error, Cause cause) override;
  void on_leave_done(Cause cause) override;
  void on_command_done(std::uint32_t token, std::string_view error, Cause cause) override;
  void on_leave_failed(std::string_view error, Cause cause) override;
  Cause on_notice(const gossip::SerfNotice& notice, Cause cause) override;
  void on_user_event(const gossip::UserEvent& event, Cause cause) override;
  void on_query_received(std::string_view name) override;
  void on_message(bool sent, std::size_t bytes) override;
  void on_coordinate(const gossip::Coordinate& before, const gossip::Coordinate& after) override;
  void on_queues_checked(const gossip::QueueDepths& depths) override;

  // gossip::MergeDelegate: Consul's LAN gate
  std::optional<Error> notify_merge(std::span<const gossip::Member> members) override;
  // gossip::ReconnectTimeoutOverride: the rc_tm tag (consul lib/serf/serf.go)
  Duration reconnect_timeout(const gossip::Member& member, Duration configured) override;

 private:
  Agent& agent_;
  Place place_;
  LanGate gate_;
  std::unique_ptr<gossip::Serf> serf_;
};

}  // namespace dcsim::consul
