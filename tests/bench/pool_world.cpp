#include "pool_world.h"

#include <unistd.h>

#include <cstdio>
#include <string>

#include "base/check.h"

namespace dcsim::bench {
namespace {

constexpr std::uint16_t kStartAgent = core::kTestKinds + 2;
constexpr std::uint32_t kServers = 3;

consul::AgentConfig agent_config(const std::string& name, const Address& address, const std::string& first, bool server,
                                 std::uint32_t index) {
  using Raw = consul::RawValue;
  Raw::Map keys;
  keys.emplace_back("bind_addr", Raw{address.text()});
  keys.emplace_back("server", Raw{server});
  if (server) keys.emplace_back("bootstrap_expect", Raw{std::int64_t{kServers}});
  if (address.text() != first) keys.emplace_back("retry_join", Raw{Raw::List{Raw{first}}});
  char id[40];
  std::snprintf(id, sizeof id, "00000000-0000-4000-8000-%012x", index + 1);
  std::vector<consul::ConfigProblem> problems;
  const std::vector<consul::Interface> interfaces = {{"eth0", address, 8, true, true}};
  consul::AgentConfig config =
      consul::build_config(consul::AgentKind::kConsul, Raw{std::move(keys)}, name, "dc1", id, interfaces, problems);
  for (const consul::ConfigProblem& problem : problems) DCSIM_CHECK_MSG(problem.warning, problem.text.c_str());
  return config;
}

host::WorldSpec pool_spec(const PoolOptions& options) {
  host::WorldSpec spec;
  spec.seed = options.seed;
  spec.rpc = options.rpc;
  spec.network = net::star_topology(options.agents, net::LinkAttributes{});
  const std::string first = spec.network.hosts[0].addresses[0].text();
  for (std::uint32_t i = 0; i < options.agents; ++i) {
    const bool server = i < kServers;
    host::AgentSpec agent;
    agent.name = (server ? "server-" : "client-") + std::to_string(i + 1);
    agent.full_name = agent.name + ".dc1";
    agent.dc = "dc1";
    agent.zone = "lan";
    agent.config = agent_config(agent.name, spec.network.hosts[i].addresses[0], first, server, i);
    spec.network.hosts[i].name = agent.full_name;
    spec.agents.push_back(std::move(agent));
  }
  return spec;
}

trace::TracerOptions tracing(bool digest) {
  trace::TracerOptions options;
  options.digest = digest;
  return options;
}

}  // namespace

PoolWorld::PoolWorld(const PoolOptions& options) : tracer_(names_, tracing(options.digest)), metrics_(names_) {
  world_ = std::make_unique<host::World>(pool_spec(options), names_, tracer_, metrics_);
  if (options.checkers) {
    checkers_ = std::make_unique<check::Checkers>(*world_, metrics_);
    world_->set_watch(checkers_.get());
  }
  world_->engine().on(kStartAgent, this, &PoolWorld::start_agent);
  for (std::uint32_t i = 0; i < options.agents; ++i) {
    core::Event event;
    event.kind = kStartAgent;
    event.target = i;
    const Duration delay = i == 0 ? Duration{} : 1_s + 19_s * i / options.agents;
    world_->engine().schedule(world_->operator_origin(), Instant{} + delay, event);
  }
}

void PoolWorld::start_agent(void* self, const core::Event& event) {
  static_cast<PoolWorld*>(self)->world_->start(host::AgentId{event.target});
}

void PoolWorld::run_until(Instant until) { world_->engine().run_until(until); }

bool PoolWorld::run_until_converged(Instant limit) {
  while (now() < limit) {
    run_until(now() + 1_s);
    if (now() > Instant{} + 20_s && converged()) return true;
  }
  return false;
}

bool PoolWorld::converged() const {
  for (std::uint32_t i = 0; i < world_->agent_count(); ++i) {
    const host::Process& process = world_->process(host::AgentId{i});
    if (!process.running()) return false;
    const gossip::Serf& serf = process.agent().serf(consul::PoolId{0});
    if (serf.member_count(gossip::MemberStatus::kAlive) != world_->agent_count()) return false;
  }
  return true;
}

std::uint64_t PoolWorld::tcp_packets() const {
  std::uint64_t packets = 0;
  for (std::uint32_t i = 0; i < world_->agent_count(); ++i) {
    packets += world_->network().host_counters(HostId{i}).sent[net::counter_index(net::Protocol::kTcp)].packets;
  }
  return packets;
}

std::size_t PoolWorld::table_bytes() const {
  std::size_t bytes = 0;
  for (std::uint32_t i = 0; i < world_->agent_count(); ++i) {
    const gossip::Serf& serf = world_->process(host::AgentId{i}).agent().serf(consul::PoolId{0});
    bytes += serf.view_bytes() + serf.memberlist().view_bytes();
  }
  return bytes;
}

std::size_t resident_memory() {
  std::size_t total = 0;
  std::size_t resident = 0;
  if (std::FILE* statm = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(statm, "%zu %zu", &total, &resident) != 2) resident = 0;
    std::fclose(statm);
  }
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace dcsim::bench
