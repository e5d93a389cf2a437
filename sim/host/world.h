#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/name_table.h"
#include "consul/agent_config.h"
#include "core/engine.h"
#include "gossip/serf_workspace.h"
#include "host/process.h"
#include "net/firewall.h"
#include "net/network.h"
#include "trace/metrics.h"
#include "trace/tracer.h"

namespace dcsim::host {

class Recorder;
class Watch;

/// One agent and the machine it runs on.
struct AgentSpec {
  std::string name;       ///< "alpha-1"
  std::string full_name;  ///< "alpha-1.dc1"; also its host's name, and names its random streams
  std::string dc;
  std::string zone;
  std::vector<std::pair<std::string, std::string>> labels;  ///< own and its zone's
  consul::AgentConfig config;
};

/// What a World is made of. agents[i] runs on network.hosts[i].
struct WorldSpec {
  net::Topology network;
  std::vector<net::FirewallConfig> firewalls;
  std::vector<net::HostSet> firewall_machines;  ///< beside `firewalls`: whose input and output hooks they are
  std::vector<AgentSpec> agents;
  std::map<std::string, std::vector<Address>, std::less<>> dns;
  std::uint64_t seed = 1;
  /// False: agents have no RPC port, so no Raft, no catalog: only their gossip runs, as benchmarks of it need.
  bool rpc = true;
};

/// Receives the end of commands.
class CommandListener {
 public:
  virtual ~CommandListener() = default;
  virtual void on_command_done(AgentId agent, consul::CommandId command, const consul::CommandResult& result) = 0;
};

/// A running simulation: engine, network, a process per agent, and the recorder that watches. Who drives it (a scenario, a
/// test) schedules its own events on the engine and calls start, crash, run and so on from them.
/// `names`, `tracer` and `metrics` outlive it.
class World {
 public:
  World(WorldSpec spec, NameTable& names, trace::Tracer& tracer, trace::MetricHub& metrics);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  core::Engine& engine() { return engine_; }
  bool rpc() const { return spec_.rpc; }
  const core::Engine& engine() const { return engine_; }
  net::Network& network() { return *network_; }
  const net::Network& network() const { return *network_; }
  Recorder& recorder() { return *recorder_; }
  NameTable& names() { return names_; }
  /// The origin of operators, timelines and faults: before everything else at one instant.
  OriginId operator_origin() const { return operator_origin_; }
  std::uint64_t seed() const { return spec_.seed; }

  std::size_t agent_count() const { return processes_.size(); }
  const AgentSpec& spec(AgentId id) const { return spec_.agents[id.index()]; }
  AgentId find_agent(std::string_view full_name) const;  ///< none() if unknown
  Process& process(AgentId id) { return *processes_[id.index()]; }
  const Process& process(AgentId id) const { return *processes_[id.index()]; }
  /// The agent on a host address; none() if nobody's.
  AgentId agent_at(const Address& address) const;

  // Operator's and faults' verbs. Acting on an agent in the wrong state does nothing and returns false.
  bool start(AgentId id);
  bool stop(AgentId id);
  bool crash(AgentId id);
  bool pause(AgentId id);
  bool resume(AgentId id);
  /// Replaces what the agent will run with from its next start on.
  void configure(AgentId id, consul::AgentConfig config) { spec_.agents[id.index()].config = std::move(config); }
  /// Executes a command line's words at the agent's machine; `listener` hears the end, perhaps before this returns.
  /// The id that the next run() will give.
  consul::CommandId next_command() const { return consul::CommandId{next_command_}; }
  consul::CommandId run(AgentId id, const std::vector<std::string>& words, CommandListener& listener);

  /// Checkers that look after every step; null = none. Outlives the run.
  void set_watch(Watch* watch) { watch_ = watch; }
  Watch* watch() const { return watch_; }

  // For Process
  enum Kind : std::uint16_t { kWake = core::kHostKinds, kDialExpired, kDialFailed, kServe, kSample, kStored };
  core::EventHandle schedule(const Process& process, Instant at, Kind kind, std::uint32_t arg = 0);
  gossip::Directory& directory(std::string_view pool);
  gossip::SerfWorkspace& workspace() { return workspace_; }
  Result<std::vector<Address>> resolve(std::string_view name) const;
  void command_done(Process& process, consul::CommandId command, const consul::CommandResult& result);
  /// What was current when a command that has not ended was run.
  Cause cause_of(consul::CommandId command) const;
  /// The agent died under its commands: each ends as a client sees a closed connection.
  void abandon_commands(AgentId id);

 private:
  static void dispatch(void* self, const core::Event& event);

  WorldSpec spec_;
  NameTable& names_;
  core::Engine engine_;
  OriginId operator_origin_;
  gossip::SerfWorkspace workspace_;
  std::map<std::string, std::unique_ptr<gossip::Directory>, std::less<>> directories_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<net::Network> network_;
  std::vector<std::unique_ptr<Process>> processes_;
  std::map<std::string, AgentId, std::less<>> agents_by_name_;
  struct Pending {
    std::uint32_t id;
    AgentId agent;
    CommandListener* listener;
    Cause cause;
  };
  std::vector<Pending> pending_;
  std::uint32_t next_command_ = 1;
  Watch* watch_ = nullptr;
};

}  // namespace dcsim::host
