#include "serf_cluster.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

namespace dcsim::fidelity {
namespace {

/// One way over two links: 50 us. Loopback has an MTU of 65,536 and no limit of speed that matters here.
net::LinkAttributes loopback() {
  net::LinkAttributes link;
  link.latency = 25_us;
  link.mtu = 65'535;
  return link;
}

std::string node_name(std::uint32_t node, int letters) { return fmt::format("n{:0{}}", node, letters - 1); }

host::WorldSpec spec_of(const SerfCluster::Options& options) {
  using Raw = consul::RawValue;
  host::WorldSpec spec;
  spec.seed = options.seed;
  spec.network = net::star_topology(options.nodes, loopback());
  for (std::uint32_t i = 0; i < options.nodes; ++i) {
    host::AgentSpec agent;
    agent.name = node_name(i, options.name_letters);
    agent.full_name = agent.name + ".dc1";
    agent.dc = "dc1";
    agent.zone = "lan";
    net::HostSpec& machine = spec.network.hosts[i];
    machine.name = agent.full_name;
    machine.addresses[0] = Address::v4(0x7F000101u + i);  // 127.0.1.1
    Raw::Map keys;
    keys.emplace_back("bind", Raw{machine.addresses[0].text()});
    keys.emplace_back("profile", Raw{options.profile});
    std::vector<consul::ConfigProblem> problems;
    agent.config =
        consul::build_config(consul::AgentKind::kSerf, Raw{std::move(keys)}, agent.name, "dc1", "", {}, problems);
    for (const consul::ConfigProblem& problem : problems) FAIL(problem.text);
    spec.agents.push_back(std::move(agent));
  }
  spec.network.zones[0].cidr = *Cidr::parse("127.0.0.0/8");
  return spec;
}

trace::TracerOptions tracing(const SerfCluster::Options& options) {
  trace::TracerOptions t;
  t.digest = options.keep != SerfCluster::Keep::kNothing;  // what is kept is always hashed
  if (t.digest) {
    t.keep = trace::Keep::kMemory;
    t.only = {options.keep == SerfCluster::Keep::kPackets ? trace::Ev::kPacketSent : trace::Ev::kLog};
  }
  return t;
}

host::AgentId agent(std::uint32_t node) { return host::AgentId{node}; }
Instant at_ms(double ms) { return Instant{static_cast<std::int64_t>(ms * 1e6 + 0.5)}; }

}  // namespace

SerfCluster::SerfCluster(const Options& options) : tracer_(names_, tracing(options)), metrics_(names_) {
  host::WorldSpec spec = spec_of(options);
  const auto problems = net::problems_of(spec.network);
  REQUIRE_MESSAGE(problems.empty(), problems.front());
  world_ = std::make_unique<host::World>(std::move(spec), names_, tracer_, metrics_);
  world_->set_watch(this);
}

SerfCluster::~SerfCluster() = default;

double SerfCluster::now() const { return static_cast<double>(world_->engine().now().ns) / 1e6; }
void SerfCluster::run_to(double ms) { world_->engine().run_until(at_ms(ms)); }

double SerfCluster::run_to_quiet(double ms, double quiet, std::uint32_t nodes) {
  run_to(std::max(now(), ms - quiet));
  while (!converged(nodes)) {
    run_for(100);
    ms = std::max(ms, now() + quiet);
  }
  run_to(ms);
  REQUIRE(converged(nodes));
  return now();
}

void SerfCluster::start(std::uint32_t node) { REQUIRE(world_->start(agent(node))); }
void SerfCluster::crash(std::uint32_t node) { REQUIRE(world_->crash(agent(node))); }
bool SerfCluster::running(std::uint32_t node) const { return world_->process(agent(node)).running(); }

void SerfCluster::join(std::uint32_t node, std::uint32_t other) {
  const Address& address = world_->network().address_of(HostId{other});
  world_->run(agent(node), {"serf", "join", address.text()}, *this);
}

net::PartitionId SerfCluster::cut(const std::vector<std::vector<std::uint32_t>>& sides) {
  net::PartitionSpec spec;
  spec.name = "cut";
  for (const auto& side : sides) {
    spec.sides.emplace_back();
    for (const std::uint32_t node : side) spec.sides.back().push_back(HostId{node});
  }
  return world_->network().partition(spec);
}

void SerfCluster::heal(net::PartitionId partition) { REQUIRE(world_->network().heal(partition)); }

void SerfCluster::assemble(const std::vector<double>& start_ms) {
  std::vector<std::uint32_t> order(start_ms.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return start_ms[a] < start_ms[b]; });
  const double begin = now();
  for (const std::uint32_t node : order) {
    run_to(begin + start_ms[node]);
    start(node);
    if (node != 0) join(node, 0);
  }
}

std::size_t SerfCluster::alive_at(std::uint32_t node) const {
  return running(node) ? serf(node).member_count(gossip::MemberStatus::kAlive) : 0;
}

bool SerfCluster::converged(std::uint32_t nodes) const {
  const auto count = std::min(nodes, static_cast<std::uint32_t>(world_->agent_count()));
  std::size_t up = 0;
  for (std::uint32_t i = 0; i < count; ++i) up += running(i) ? 1 : 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (running(i) && alive_at(i) != up) return false;
  }
  return true;
}

const gossip::Serf& SerfCluster::serf(std::uint32_t node) const {
  return world_->process(agent(node)).agent().serf(consul::PoolId{0});
}

net::HostCounters SerfCluster::counters(std::uint32_t node) const {
  return world_->network().host_counters(HostId{node});
}

SerfCluster::Happening SerfCluster::happening(const host::Process& process, gossip::MemberId member,
                                              std::int64_t value) const {
  Happening h{now(), process.id().value, 0, value};
  if (member.valid()) {
    const std::string_view name = process.agent().serf(consul::PoolId{0}).directory().name(member);
    std::from_chars(name.data() + 1, name.data() + name.size(), h.member);
  }
  return h;
}

void SerfCluster::on_notice(const host::Process& process, consul::PoolId, const gossip::Notice& notice) {
  using Kind = gossip::NoticeKind;
  std::vector<Happening>* to = nullptr;
  switch (notice.kind) {
    case Kind::kProbeSent:
      to = &probed;
      break;
    case Kind::kProbeFailed:
      to = &probe_failed;
      break;
    case Kind::kIndirectSent:
      to = &asked;
      break;
    case Kind::kNackSent:
      to = &nack_sent;
      break;
    case Kind::kNackReceived:
      to = &nack_received;
      break;
    case Kind::kHealthScore:
      to = &health;
      break;
    case Kind::kRefutedSuspect:
    case Kind::kRefutedDead:
      to = &refuted;
      break;
    case Kind::kSuspicionExpired:
      return declared.push_back(happening(process, notice.member, notice.aux));
    case Kind::kPushPullStarted:
      return push_pull.push_back(happening(process, notice.member, notice.aux));
    default:
      return;
  }
  to->push_back(happening(process, notice.member, notice.value));
}

void SerfCluster::on_member_event(const host::Process& process, consul::PoolId, const gossip::MemberEvent& event) {
  if (event.kind == gossip::MemberEventKind::kJoin) joined.push_back(happening(process, event.member));
  if (event.kind == gossip::MemberEventKind::kFailed) failed.push_back(happening(process, event.member));
}

double uniform(Rng& rng, double low, double high) {
  return low + (high - low) * static_cast<double>(rng.below(1'000'000'000)) / 1e9;
}

}  // namespace dcsim::fidelity
