#include "host/world.h"

#include <fmt/format.h>

#include <algorithm>

#include "host/recorder.h"

namespace dcsim::host {

World::World(WorldSpec spec, NameTable& names, trace::Tracer& tracer, trace::MetricHub& metrics)
    : spec_(std::move(spec)), names_(names) {
  operator_origin_ = engine_.add_origin();  // the first: its events come first at one instant
  DCSIM_CHECK(spec_.agents.size() == spec_.network.hosts.size());
  recorder_ = std::make_unique<Recorder>(*this, tracer, metrics);
  network_ = std::make_unique<net::Network>(engine_, spec_.network, spec_.seed, *recorder_);
  DCSIM_CHECK(spec_.firewall_machines.size() == spec_.firewalls.size());
  for (std::size_t i = 0; i < spec_.firewalls.size(); ++i) network_->add_firewall(spec_.firewalls[i], spec_.firewall_machines[i]);
  for (std::size_t i = 0; i < spec_.agents.size(); ++i) {
    const AgentId id{static_cast<std::uint32_t>(i)};
    processes_.push_back(std::make_unique<Process>(*this, id, HostId{static_cast<std::uint32_t>(i)}));
    agents_by_name_.emplace(spec_.agents[i].full_name, id);
  }
  for (const std::uint16_t kind : {kWake, kDialExpired, kDialFailed, kServe, kStored}) engine_.on(kind, this, &World::dispatch);
  recorder_->ready();
}

World::~World() = default;

void World::dispatch(void* self, const core::Event& event) {
  Process& process = *static_cast<World*>(self)->processes_[event.target];
  if (!process.running()) return;
  switch (event.kind) {
    case kWake: return process.wake();
    case kDialExpired: return process.dial_expired(event.arg);
    case kDialFailed: return process.dial_failed(event.arg);
    case kServe: return process.serve();
    case kStored: return process.stored();
    default: DCSIM_CHECK(false);
  }
}

core::EventHandle World::schedule(const Process& process, Instant at, Kind kind, std::uint32_t arg) {
  core::Event event;
  event.kind = kind;
  event.target = process.id().value;
  event.arg = arg;
  return engine_.schedule(network_->origin_of(process.host()), at, event);
}

AgentId World::find_agent(std::string_view full_name) const {
  const auto it = agents_by_name_.find(full_name);
  return it == agents_by_name_.end() ? AgentId::none() : it->second;
}

AgentId World::agent_at(const Address& address) const {
  const HostId host = network_->host_at(address.canonical());
  return host.valid() ? AgentId{host.value} : AgentId::none();
}

bool World::start(AgentId id) {
  if (process(id).running()) return false;
  process(id).start(spec(id).config);
  return true;
}

bool World::stop(AgentId id) {
  if (!process(id).running()) return false;
  recorder_->agent_stopping(process(id));
  process(id).terminate();
  return true;
}

bool World::crash(AgentId id) {
  if (!process(id).running()) return false;
  recorder_->agent_crashed(process(id));
  process(id).kill();
  return true;
}

bool World::pause(AgentId id) {
  if (!process(id).running() || process(id).state() == ProcessState::kPaused) return false;
  recorder_->agent_paused(process(id));
  process(id).pause();
  return true;
}

bool World::resume(AgentId id) {
  if (process(id).state() != ProcessState::kPaused) return false;
  recorder_->agent_resumed(process(id));
  process(id).resume();
  return true;
}

consul::CommandId World::run(AgentId id, const std::vector<std::string>& words, CommandListener& listener) {
  const consul::CommandId command{next_command_++};
  pending_.push_back({command.value, id, &listener, engine_.cause()});
  process(id).run(command, words);
  return command;
}

void World::command_done(Process& process, consul::CommandId command, const consul::CommandResult& result) {
  const auto it = std::find_if(pending_.begin(), pending_.end(), [&](const Pending& p) { return p.id == command.value; });
  DCSIM_CHECK(it != pending_.end());
  CommandListener* listener = it->listener;
  pending_.erase(it);
  listener->on_command_done(process.id(), command, result);
}

Cause World::cause_of(consul::CommandId command) const {
  const auto it = std::find_if(pending_.begin(), pending_.end(), [&](const Pending& p) { return p.id == command.value; });
  return it == pending_.end() ? Cause{} : it->cause;
}

void World::abandon_commands(AgentId id) {
  std::vector<Pending> ended;
  std::copy_if(pending_.begin(), pending_.end(), std::back_inserter(ended), [&](const Pending& p) { return p.agent == id; });
  std::erase_if(pending_, [&](const Pending& p) { return p.agent == id; });
  for (const Pending& p : ended) p.listener->on_command_done(id, consul::CommandId{p.id}, {1, "", "Error: unexpected EOF\n"});
}

gossip::Directory& World::directory(std::string_view pool) {
  auto it = directories_.find(pool);
  if (it == directories_.end()) it = directories_.emplace(std::string(pool), std::make_unique<gossip::Directory>()).first;
  return *it->second;
}

Result<std::vector<Address>> World::resolve(std::string_view name) const {
  const auto it = spec_.dns.find(name);
  if (it != spec_.dns.end()) return it->second;
  return Error{fmt::format("lookup {}: no such host", name)};
}

}  // namespace dcsim::host
