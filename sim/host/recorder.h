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
  void packet_hop(Instant at, const net::PacketInfo& packet, net::LinkId link, bool backward) override;
  Cause connection_opened(Instant at, HostId host, const Endpoint& local, const Endpoint& remote, bool accepted) override;
  Cause connection_failed(Instant at, HostId host, const Endpoint& local, const Endpoint& remote, net::SocketError error) override;

  // Lives
  /// Returns the record: what the agent's own timers lead to goes back to it.
  Cause agent_started(const Process& process);
  void pools_opened(const Process& process);
  void agent_stopping(const Process& process);
  void agent_crashed(const Process& process);
  void agent_paused(const Process& process);
  void agent_resumed(const Process& process);
  void agent_exited(const Process& process, int status, std::string_view why);
  /// The process is about to be gone: its gauges end.
  void agent_down(const Process& process);
  /// The dialler's own time was up before the connection was there.
  void dial_timed_out(const Process& process, const Endpoint& local, const Endpoint& to);

  // Faults of machines. They leave the engine's cause as it is, so that several have the same.
  /// `drift`: billionths by which the clock runs fast from now on.
  void clock_changed(AgentId agent, Duration shift, std::int64_t drift);
  void clock_ended(AgentId agent);
  /// `what`: "cpu" or "disk"; `permille`: 1000 times the factor.
  void slowed(AgentId agent, std::string_view what, std::uint64_t permille);
  void slow_ended(AgentId agent, std::string_view what);

  // Protocols
  Cause notice(const Process& process, consul::PoolId pool, const gossip::Notice& notice);
  Cause serf_notice(const Process& process, consul::PoolId pool, const gossip::SerfNotice& notice, Cause cause);
  Cause member_event(const Process& process, consul::PoolId pool, const gossip::MemberEvent& event, Cause cause);
  /// Returns the record of how the join's last address ended, for what the agent does about it.
  Cause joined(const Process& process, consul::PoolId pool, const consul::JoinReport& report);
  void log(const Process& process, consul::LogLevel level, std::string_view line);

  // What only series want to know (recorder_series.cpp).
  /// `n` bytes or connections of a pool; `labelled`: the bytes begin with memberlist's label header, which it does not count.
  // Hot: one branch unless somebody asked.
  void gossip_traffic(trace::Series series, const Process& process, consul::PoolId pool, std::size_t n, bool labelled) {
    if (metrics_.wanted(series)) [[unlikely]] count_traffic(series, process, pool, n, labelled);
  }
  // Hot: likewise.
  void serf_message(const Process& process, consul::PoolId pool, bool sent, std::size_t bytes) {
    const trace::Series series = sent ? trace::Series::kSerfMsgsSent : trace::Series::kSerfMsgsReceived;
    if (metrics_.wanted(series)) [[unlikely]] observe(series, process, pool, static_cast<double>(bytes));
  }
  // Hot: likewise; the distance is computed only for who asked.
  void coordinate_moved(const Process& process, consul::PoolId pool, const gossip::Coordinate& before, const gossip::Coordinate& after) {
    if (metrics_.wanted(trace::Series::kSerfCoordinateAdjustmentMs)) [[unlikely]] observe_adjustment(process, pool, before, after);
  }
  void queues_checked(const Process& process, consul::PoolId pool, const gossip::QueueDepths& depths);
  /// A user event or query, by its name.
  void serf_counted(trace::Series series, const Process& process, consul::PoolId pool, std::string_view name);

  /// A graceful leave begins by what the engine is at: the cause of the leave intents to come.
  void leaving(const Process& process);
  /// The last leave intent of an agent that leaves; none if it does not.
  Cause leave_intent(const Process& process) const { return leaves_[process.id().index()].intent; }

  /// The series' own name of a pool: "lan", "segment:alpha".
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
    std::uint32_t probe_seq = 0;  ///< of the probe under way: a node probes one member at a time
    Instant probe_since;
    Cause join_result;  ///< how the last address of a join ended, and when
    Instant join_result_at;
    std::size_t servers = 0;  ///< members by role, for consul.members.*
    std::size_t clients = 0;
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
  /// The host an ICMP error or RST comes from, as a name: an agent, a router's address, or the firewall that made it.
  std::uint64_t source_of(const net::PacketInfo& packet) const;
  NameId node_of(HostId host) const { return host.valid() ? agent_names_[host.index()] : NameId::none(); }
  NameId what_of(const net::PacketInfo& packet) const;
  void count_connection(Instant at, trace::Series series, NameId node, const Endpoint& to, std::string_view reason);
  bool is_rpc(const net::PacketInfo& packet) const;
  void count_packet(Instant at, const net::PacketInfo& packet, HostId node, bool sent);
  void count_firewall(Instant at, trace::Series series, const net::PacketInfo& packet, net::FirewallId firewall, std::int32_t rule);
  void packet_labels(trace::Series series, trace::LabelValues& values, const net::PacketInfo& packet) const;
  Cause suspicion(const Process& process, consul::PoolId pool, const gossip::Notice& notice, NameId member, NameId by);
  Cause refutation(const Process& process, consul::PoolId pool, const gossip::Notice& notice, trace::Accusation accusation);
  Cause stream_notice(const Process& process, consul::PoolId pool, const gossip::Notice& notice, NameId member);
  Cause memberlist_notice(const Process& process, consul::PoolId pool, const gossip::Notice& notice);
  /// A line of one of the libraries ("[WARN] memberlist: ..."), as the agent's log shows it.
  Cause library_log(const Process& process, consul::PoolId pool, std::string_view library, std::string_view line, Cause cause);
  void observe(trace::Series series, const Process& process, consul::PoolId pool, double value, NameId member = {});
  void count_traffic(trace::Series series, const Process& process, consul::PoolId pool, std::size_t n, bool labelled);
  void observe_adjustment(const Process& process, consul::PoolId pool, const gossip::Coordinate& before, const gossip::Coordinate& after);
  void state_sent(const Process& process, consul::PoolId pool, std::int64_t bytes);
  /// Gauges that a pool has from its start on, and their end.
  void pool_gauges(const Process& process, consul::PoolId pool);
  void end_pool_gauges(const Process& process, consul::PoolId pool);
  void count_roles(const Process& process, consul::PoolId pool, const gossip::MemberEvent& event, const gossip::Member& member);
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
  struct Leave {
    Cause asked;   ///< the command or signal
    Cause intent;  ///< the last leave intent that followed
  };
  std::vector<Leave> leaves_;             // by agent
  std::vector<AgentId> agents_by_name_;   // by NameId, for detection times
  std::map<const gossip::Directory*, std::vector<NameId>> names_by_directory_;  // looked up by address, never iterated
  std::map<std::string, NameId, std::less<>> node_names_;  // "dc/node-name" -> full agent name
  std::map<std::pair<std::string, NameId>, PoolState> pools_;  // (datacenter, segment)
  std::vector<NameId> messages_;  // by first payload byte
  Duration sample_interval_;
  struct GossipBytes {
    std::uint64_t sent = 0;
    std::uint64_t sampled = 0;  ///< of them, in earlier samples
  };
  std::vector<GossipBytes> gossip_bytes_;  ///< by agent; empty unless sampled
  OriginId origin_;
};

}  // namespace dcsim::host
