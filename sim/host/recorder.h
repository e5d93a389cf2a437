#pragma once
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "host/process.h"
#include "net/observer.h"
#include "trace/metrics.h"
#include "trace/tracer.h"

namespace dcsim::host {

class World;
class Capture;

/// Turns what happens (packets, protocol notices, lives of processes) into trace records and series. It watches from
/// outside: it draws nothing and decides nothing, and the digest does not depend on which series anyone wants.
class Recorder final : public net::NetObserver {
 public:
  Recorder(World& world, trace::Tracer& tracer, trace::MetricHub& metrics);

  /// Call once the world is complete: registers agents and their labels.
  void ready();
  /// Packets matching the capture are handed to it; null = none. Outlives the run.
  void set_capture(Capture* capture);
  /// Starts the periodic samples (bytes per second) if a subscribed series needs them.
  void start_sampling(Duration interval);

  trace::Tracer& tracer() { return tracer_; }
  trace::MetricHub& metrics() { return metrics_; }
  NameId agent_name(AgentId id) const { return agent_names_[id.index()]; }
  NameId host_name(HostId id) const { return agent_names_[id.index()]; }
  /// Appends a record of the world itself or of an agent, caused by what the engine is at; that becomes the cause of what
  /// follows.
  Cause record(trace::Ev ev, NameId node, const trace::Fields& fields);

  // net::NetObserver
  std::uint32_t wants() const override;
  Cause packet_sent(Instant at, const net::PacketInfo& packet) override;
  Cause packet_delivered(Instant at, const net::PacketInfo& packet) override;
  Cause packet_dropped(Instant at, const net::PacketInfo& packet, const net::Drop& drop) override;
  Cause packet_duplicated(Instant at, const net::PacketInfo& packet, net::LinkId link, std::uint64_t copy) override;
  Cause firewall_verdict(Instant at, const net::PacketInfo& packet, const net::Verdict& verdict) override;
  void packet_hop(Instant at, const net::PacketInfo& packet, net::LinkId link) override;
  Cause connection_failed(Instant at, HostId host, const Endpoint& local, const Endpoint& remote, net::SocketError error) override;

  // Lives
  void agent_started(const Process& process);
  void pools_opened(const Process& process);
  void agent_stopping(const Process& process);
  void agent_crashed(const Process& process);
  void agent_paused(const Process& process);
  void agent_resumed(const Process& process);
  void agent_exited(const Process& process, int status, std::string_view why);
  /// The process is about to be gone: its gauges end.
  void agent_down(const Process& process);
  void socket_overflow(const Process& process, const Endpoint& from, const Bytes& payload);
  void dial_timed_out(const Process& process, const Endpoint& to);

  // Protocols
  Cause notice(const Process& process, consul::PoolId pool, const gossip::Notice& notice);
  Cause serf_notice(const Process& process, consul::PoolId pool, const gossip::SerfNotice& notice, Cause cause);
  Cause member_event(const Process& process, consul::PoolId pool, const gossip::MemberEvent& event, Cause cause);
  Cause joined(const Process& process, consul::PoolId pool, const consul::JoinReport& report);
  void log(const Process& process, consul::LogLevel level, std::string_view line);

  /// The series' own name of a pool: "lan", "segment:alpha".
  NameId pool_name(const Process& process, consul::PoolId pool) { return view(process, pool).pool; }
  /// The agent that a member of a pool is: its full name, or NAME.DC if no agent is called that.
  NameId member_name(const Process& process, consul::PoolId pool, gossip::MemberId member);
  void sample();

 private:
  /// One observer's one pool, kept while its process runs.
  struct View {
    NameId pool;          ///< "lan", "segment:alpha"
    NameId segment;       ///< "" = default
    NameId segment_pool;  ///< "segment:alpha" even where `pool` is "lan"; none for the default segment
    std::size_t alive = 0;
    std::map<std::uint32_t, Instant> suspected;  ///< member -> since
  };
  /// The running views of one pool (datacenter and segment), for sim.converge.time.
  struct PoolState {
    NameId pool, segment;
    std::vector<View*> views;
    std::size_t agreeing = 0;  ///< views whose alive count is the number of views
    Instant changed;
    bool converged = true;
  };

  View& view(const Process& process, consul::PoolId pool) { return views_[process.id().index()][pool.index()]; }
  trace::LabelValues labels(trace::Series series, const Process& process, consul::PoolId pool, NameId member = {}, NameId by = {});
  static void slot(trace::Series series, trace::LabelValues& values, std::string_view name, NameId value);
  void count(trace::Series series, const Process& process, consul::PoolId pool, NameId member = {}, NameId by = {}, std::uint64_t n = 1);
  std::uint64_t end_of(const Endpoint& endpoint, HostId host) const;
  NameId party(const Endpoint& endpoint, HostId host) const;
  NameId party(const Endpoint& endpoint) const;
  NameId message_name(const net::PacketInfo& packet) const;
  NameId port_name(const net::PacketInfo& packet) const;
  void count_packet(Instant at, const net::PacketInfo& packet, HostId node, bool sent);
  void count_firewall(Instant at, trace::Series series, const net::PacketInfo& packet, net::FirewallId firewall, std::int32_t rule);
  void packet_labels(trace::Series series, trace::LabelValues& values, const net::PacketInfo& packet) const;
  Cause suspicion(const Process& process, consul::PoolId pool, const gossip::Notice& notice, NameId member, NameId by);
  Cause refutation(const Process& process, consul::PoolId pool, const gossip::Notice& notice, trace::Accusation accusation);
  Cause stream_notice(const Process& process, consul::PoolId pool, const gossip::Notice& notice, NameId member);
  Cause join_rejected(const Process& process, consul::PoolId pool, NameId joiner, NameId peer, std::string_view text);
  void update_alive(const Process& process, consul::PoolId pool);
  void pool_joined(const Process& process, consul::PoolId pool);
  void pool_left(const Process& process, consul::PoolId pool);
  void recount(PoolState& pool);
  PoolState& pool_state(const Process& process, const View& view);
  NameId name(std::string_view text) const;
  Instant now() const;

  World& world_;
  trace::Tracer& tracer_;
  trace::MetricHub& metrics_;
  Capture* capture_ = nullptr;
  std::vector<NameId> agent_names_;
  std::vector<std::vector<View>> views_;  // by agent, pool
  std::vector<Instant> down_since_;       // by agent; never() while it runs
  std::vector<Instant> not_joined_since_;  // by agent; never() once it has joined
  std::map<const gossip::Directory*, std::vector<NameId>> names_by_directory_;  // looked up by address, never iterated
  std::map<std::string, NameId, std::less<>> node_names_;  // "dc/node-name" -> full agent name
  std::map<std::pair<std::string, NameId>, PoolState> pools_;  // (datacenter, segment)
  std::vector<NameId> messages_;  // by first payload byte
  Duration sample_interval_;
  std::vector<std::uint64_t> sampled_bytes_;
  OriginId origin_;
};

}  // namespace dcsim::host
