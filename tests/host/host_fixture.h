#pragma once
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "consul/command.h"
#include "host/recorder.h"
#include "host/world.h"
#include "trace/recording.h"
#include "trace/render.h"

namespace dcsim::host {

using consul::RawEntry;
using consul::RawValue;

inline RawValue raw(std::string text) { return {std::move(text), 0}; }
inline RawValue raw(const char* text) { return raw(std::string(text)); }
inline RawValue raw(std::int64_t n) { return {n, 0}; }
inline RawValue raw(bool b) { return {b, 0}; }

/// The keys that every agent of the little pool has, with more on top.
inline consul::AgentConfig config_of(const std::string& name, const Address& address, bool server, RawValue::Map more = {}) {
  RawValue::Map keys = std::move(more);
  if (server) {
    keys.emplace_back("server", raw(true));
    keys.emplace_back("bootstrap_expect", raw(std::int64_t{1}));
  } else {
    keys.emplace_back("retry_join", RawValue{RawValue::List{raw("10.0.0.1")}, 0});
  }
  const std::vector<consul::Interface> interfaces = {{"eth0", address, 24, true, true}};
  std::vector<consul::ConfigProblem> problems;
  consul::AgentConfig config = consul::build_config(consul::AgentKind::kConsul, RawValue{std::move(keys), 0}, name, "dc1",
                                                    fmt::format("00000000-0000-4000-8000-00000000000{}", name.back()), interfaces, problems);
  for (const auto& p : problems) CHECK_MESSAGE(p.warning, p.text);
  return config;
}

/// A server n1 at 10.0.0.1 and clients n2, n3, ... in one zone.
inline WorldSpec pool_spec(int agents, std::uint64_t seed = 1) {
  WorldSpec spec;
  spec.seed = seed;
  net::ZoneSpec zone;
  zone.name = "z";
  zone.link.latency = 1_ms;
  spec.network.zones = {zone};
  for (int i = 1; i <= agents; ++i) {
    AgentSpec a;
    a.name = fmt::format("n{}", i);
    a.full_name = a.name + ".dc1";
    a.dc = "dc1";
    a.zone = "z";
    const Address address = *Address::parse(fmt::format("10.0.0.{}", i));
    a.config = config_of(a.name, address, i == 1);
    net::HostSpec host;
    host.name = a.full_name;
    host.addresses = {address};
    host.zone = "z";
    spec.network.hosts.push_back(host);
    spec.agents.push_back(std::move(a));
  }
  return spec;
}

/// A world with everything in memory, and the ends of its commands.
struct Pool final : CommandListener {
  explicit Pool(int agents, std::uint64_t seed = 1) : Pool(pool_spec(agents, seed)) {}
  explicit Pool(WorldSpec spec) : tracer(names, options()), metrics(names), world(std::move(spec), names, tracer, metrics) {}

  static trace::TracerOptions options() {
    trace::TracerOptions o;
    o.keep = trace::Keep::kMemory;
    return o;
  }

  AgentId id(int n) const { return AgentId{static_cast<std::uint32_t>(n - 1)}; }
  Process& process(int n) { return world.process(id(n)); }
  void start_all() {
    for (std::uint32_t i = 0; i < world.agent_count(); ++i) world.start(AgentId{i});
  }
  void run_for(Duration d) { world.engine().run_until(world.engine().now() + d); }
  std::size_t alive_in(int n) {
    std::size_t alive = 0;
    for (const gossip::Member& m : process(n).agent().serf(consul::PoolId{0}).members()) alive += m.status == gossip::MemberStatus::kAlive ? 1 : 0;
    return alive;
  }
  consul::CommandId command(int n, const std::string& line) { return world.run(id(n), *consul::split_command(line), *this); }

  struct Done {
    AgentId agent;
    Instant at;
    consul::CommandResult result;
    Cause cause;  // what was current when it ended
  };
  void on_command_done(AgentId agent, consul::CommandId, const consul::CommandResult& result) override { done.push_back({agent, world.engine().now(), result, world.engine().cause()}); }

  /// Records of that kind about that agent (0 = all), in order.
  std::vector<trace::Record> records(trace::Ev ev, int n = 0) const {
    std::vector<trace::Record> found;
    const trace::Recording recording = tracer.recording();
    const std::string node = n ? fmt::format("n{}.dc1", n) : "";
    recording.each([&](std::uint64_t, const trace::Record& r) {
      if (r.ev == static_cast<std::uint16_t>(ev) && (n == 0 || recording.text(r.node) == node)) found.push_back(r);
      return true;
    });
    return found;
  }

  /// An operator's step: what is done next goes back to it.
  void step(std::string_view what) {
    world.engine().set_cause({});
    world.recorder().record(trace::Ev::kStep, NameId::none(), trace::fields::names(names.intern(what)));
  }
  /// A command line as an operator types it, in a step of its own.
  consul::CommandId operate(int n, const std::string& line) {
    step(line);
    world.recorder().record(trace::Ev::kCommandRun, world.recorder().agent_name(id(n)), trace::fields::names(names.intern(line)));
    return command(n, line);
  }
  /// The kinds of a record's causes, the nearest first, as "join-failed packet-delivered ... step".
  std::string chain(Cause cause) const {
    const trace::Recording recording = tracer.recording();
    std::string out;
    while (cause.record != 0) {
      const auto r = recording.at(cause.record - 1);
      REQUIRE(r.has_value());
      out += (out.empty() ? "" : " ") + std::string(trace::kind_spec(r->ev).name);
      cause.record = r->cause;
    }
    return out;
  }
  std::string chain(const trace::Record& r) const { return chain(Cause{r.cause}); }

  std::string field(const trace::Record& r, std::string_view name) const { return trace::field_text(r, 0, name, tracer.recording()); }

  NameTable names;
  trace::Tracer tracer;
  trace::MetricHub metrics;
  std::vector<Done> done;
  World world;
};

}  // namespace dcsim::host
