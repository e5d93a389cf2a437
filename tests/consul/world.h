#pragma once
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "consul/agent.h"
#include "raw.h"

/// A few Consul agents in one process: real gossip over a network that exists only here, with a constant latency, names,
/// blocked paths and a clock that jumps from event to event.
///
///     test::World world;
///     test::Host& s1 = world.server("s1", "10.0.0.1");
///     s1.start();
///     world.run_for(10_s);
///     CHECK(s1.run("consul members").exit == 0);
namespace dcsim::test {

class World;

/// One machine with one agent on it.
class Host final : public Surroundings {
 public:
  struct Line {
    Instant at;
    LogLevel level;
    std::string text;
  };
  struct Join {
    Instant at;
    PoolId pool;
    JoinReport::Why why;
    std::uint32_t contacted;
    std::string error;
  };
  struct Event {
    Instant at;
    PoolId pool;
    gossip::MemberEventKind kind;
    std::string member;
  };
  struct Dial {
    Instant at;
    Endpoint to;
  };

  Host(World& world, std::string name, std::string ip, AgentConfig config);

  /// What the agent printed instead of starting, "" if it runs.
  std::string start();
  void terminate();
  void interrupt();
  /// Gone without a word.
  void crash() { agent.reset(); }
  /// Runs a command line to its end, waiting up to a minute of simulated time.
  CommandResult run(const std::string& line);
  /// Runs it and looks later.
  CommandId run_in_background(const std::string& line);
  void settled();

  bool logged(std::string_view text) const { return count_logged(text) > 0; }
  std::size_t count_logged(std::string_view text) const {
    return static_cast<std::size_t>(std::count_if(log_lines.begin(), log_lines.end(), [&](const Line& l) { return l.text.starts_with(text); }));
  }
  /// Names of members of a pool with a status, in order.
  std::vector<std::string> members(std::uint32_t pool, gossip::MemberStatus status = gossip::MemberStatus::kAlive) const;
  /// Names of the servers alive in a pool: what an agent of that pool may send its RPCs to.
  std::vector<std::string> servers(std::uint32_t pool) const;

  gossip::Directory& directory(std::string_view pool) override;
  gossip::SerfWorkspace& workspace() override;
  std::optional<Error> listen(PoolId pool, const Endpoint& at) override;
  Result<std::vector<Address>> resolve(std::string_view name) override;
  gossip::SendStatus send_packet(PoolId pool, const Endpoint& to, const Bytes& payload) override;
  gossip::StreamId dial(PoolId pool, const Endpoint& to, Duration timeout) override;
  void stream_send(gossip::StreamId stream, const Bytes& payload) override;
  void stream_close(gossip::StreamId stream) override;
  Cause note(PoolId pool, const gossip::Notice& notice) override {
    if (const std::string line = log_text(notice, agent->serf(pool).directory()); !line.empty()) library_lines.push_back(line);
    if (notice.kind == gossip::NoticeKind::kAliveIgnored || notice.kind == gossip::NoticeKind::kMergeRefused) refusals.insert(std::string(notice.text));
    return {};
  }
  void because(Cause) override {}
  Cause member_event(PoolId pool, const gossip::MemberEvent& event, Cause) override;
  Cause serf_notice(PoolId, const gossip::SerfNotice&, Cause) override { return {}; }
  Cause joined(PoolId pool, const JoinReport& report) override;
  void log(LogLevel level, std::string_view line) override;
  void command_done(CommandId command, const CommandResult& result) override { done[command.value] = result; }
  void exited(int status, std::string_view why) override;

  World& world;
  std::string name;
  Address ip;
  AgentConfig config;
  std::unique_ptr<Agent> agent;
  std::map<std::uint16_t, PoolId> ports;  ///< that the agent listens on
  std::set<std::uint16_t> taken;          ///< by somebody else
  std::vector<Line> log_lines;
  std::vector<Join> joins;
  std::vector<Event> events;
  std::vector<Dial> dials;
  std::set<std::string> refusals;
  std::vector<std::string> library_lines;  ///< what memberlist logs
  std::map<std::uint32_t, CommandResult> done;
  std::optional<int> exit_status;
  Instant exit_at;
  std::string exit_why;

 private:
  friend class World;
  std::uint64_t armed_ = 0;
};

class World {
 public:
  Duration latency = 500_us;
  std::function<bool(const Host& from, const Host& to, std::uint16_t port)> blocked;
  std::map<std::string, std::vector<Address>, std::less<>> names;

  Instant now() const { return now_; }

  Host& host(std::string name, const std::string& ip, Keys keys, AgentKind kind = AgentKind::kConsul) {
    std::vector<ConfigProblem> problems;
    AgentConfig config = build_config(kind, keys, name, "dc1", "id-of-" + name, one_homed(ip.c_str()), problems);
    for (const ConfigProblem& p : problems) FAIL(p.text);
    hosts_.push_back(std::make_unique<Host>(*this, std::move(name), ip, std::move(config)));
    return *hosts_.back();
  }
  Host& server(std::string name, const std::string& ip, Keys keys = {}) { return host(std::move(name), ip, keys("server", true)); }
  Host& client(std::string name, const std::string& ip, Keys keys = {}) { return host(std::move(name), ip, keys); }

  void run_until(Instant end) {
    while (!events_.empty() && events_.top().at <= end) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      event.act();
    }
    now_ = end;
  }
  void run_for(Duration d) { run_until(now_ + d); }
  void at(Instant when, std::function<void()> act) { events_.push({when, ++sequence_, std::move(act)}); }

 private:
  friend class Host;
  struct Event {
    Instant at;
    std::uint64_t sequence;
    std::function<void()> act;
    bool operator<(const Event& other) const { return at != other.at ? at > other.at : sequence > other.sequence; }
  };
  struct Stream {
    Host* side[2];
    PoolId pool[2];
    gossip::StreamId id[2];
    bool open[2] = {true, true};
    bool cut = false;
  };

  Host* find(const Address& address) {
    for (const auto& h : hosts_) {
      if (h->ip == address.canonical()) return h.get();
    }
    return nullptr;
  }
  bool cut(const Host& a, const Host& b, std::uint16_t port) const { return blocked && blocked(a, b, port); }
  template <class Act>
  void input(Host& h, Act&& act) {
    if (!h.agent || h.exit_status) return;
    act(*h.agent);
    h.settled();
  }

  Instant now_{0};
  std::uint64_t sequence_ = 0;
  std::priority_queue<Event> events_;
  std::map<std::string, gossip::Directory, std::less<>> directories_;
  gossip::SerfWorkspace workspace_;
  std::map<std::uint32_t, std::pair<std::shared_ptr<Stream>, int>> streams_;
  std::uint32_t next_stream_ = 0;
  std::uint32_t next_command_ = 0;
  std::vector<std::unique_ptr<Host>> hosts_;  // last: agents use the directories to their end
};

inline Host::Host(World& w, std::string n, std::string address, AgentConfig c)
    : world(w), name(std::move(n)), ip(*Address::parse(address)), config(std::move(c)) {}

inline std::string Host::start() {
  ports.clear();
  exit_status.reset();
  agent = std::make_unique<Agent>(config, *this, 1, name + ".dc1");
  const auto failed = agent->start(world.now());
  settled();
  return failed ? failed->text : "";
}
inline void Host::terminate() {
  agent->terminate(world.now());
  settled();
}
inline void Host::interrupt() {
  agent->interrupt(world.now());
  settled();
}
inline CommandId Host::run_in_background(const std::string& line) {
  const CommandId id{world.next_command_++};
  agent->run(world.now(), id, *split_command(line));
  settled();
  return id;
}
inline CommandResult Host::run(const std::string& line) {
  const CommandId id = run_in_background(line);
  for (int i = 0; i < 600 && !done.contains(id.value); ++i) world.run_for(100_ms);
  REQUIRE(done.contains(id.value));
  return done[id.value];
}
inline void Host::settled() {
  const std::uint64_t armed = ++armed_;
  const Instant next = agent->next_deadline();
  if (next == Instant::never()) return;
  world.at(std::max(next, world.now()), [this, armed] {
    if (armed_ == armed) world.input(*this, [&](Agent& a) { a.on_deadline(world.now()); });
  });
}
inline std::vector<std::string> Host::members(std::uint32_t pool, gossip::MemberStatus status) const {
  std::vector<std::string> out;
  for (const gossip::Member& m : agent->serf(PoolId{pool}).members()) {
    if (m.status == status) out.emplace_back(m.name);
  }
  return out;
}
inline std::vector<std::string> Host::servers(std::uint32_t pool) const {
  std::vector<std::string> out;
  for (const gossip::Member& m : agent->serf(PoolId{pool}).members()) {
    if (m.status == gossip::MemberStatus::kAlive && is_server(*m.tags)) out.emplace_back(m.name);
  }
  return out;
}
inline gossip::Directory& Host::directory(std::string_view pool) { return world.directories_[std::string(pool)]; }
inline gossip::SerfWorkspace& Host::workspace() { return world.workspace_; }
inline std::optional<Error> Host::listen(PoolId pool, const Endpoint& at) {
  if (taken.contains(at.port) || ports.contains(at.port)) return Error{"listen tcp " + at.text() + ": bind: address already in use"};
  ports[at.port] = pool;
  return std::nullopt;
}
inline Result<std::vector<Address>> Host::resolve(std::string_view n) {
  const auto it = world.names.find(n);
  if (it == world.names.end()) return Error{"lookup " + std::string(n) + ": no such host"};
  return it->second;
}
inline gossip::SendStatus Host::send_packet(PoolId pool, const Endpoint& to, const Bytes& payload) {
  Host* target = world.find(to.address);
  if (!target || world.cut(*this, *target, to.port)) return gossip::SendStatus::kSent;
  const Endpoint from{ip, agent->port(pool)};
  world.at(world.now() + world.latency, [this, target, to, from, payload] {
    const auto port = target->ports.find(to.port);
    if (port == target->ports.end()) return;
    world.input(*target, [&](Agent& a) { a.on_packet(world.now(), port->second, from, payload); });
  });
  return gossip::SendStatus::kSent;
}
inline gossip::StreamId Host::dial(PoolId pool, const Endpoint& to, Duration timeout) {
  dials.push_back({world.now(), to});
  const gossip::StreamId id{world.next_stream_++};
  Host* target = world.find(to.address);
  const auto fail = [&](Duration after, const char* why) {
    world.at(world.now() + after, [this, pool, id, text = "dial tcp " + to.text() + ": " + why] {
      world.input(*this, [&](Agent& a) { a.on_stream_failed(world.now(), pool, id, text); });
    });
  };
  if (!target || world.cut(*this, *target, to.port)) {
    fail(timeout, "i/o timeout");
  } else if (!target->agent || target->exit_status || !target->ports.contains(to.port)) {
    fail(world.latency * 2, "connect: connection refused");
  } else {
    const PoolId there = target->ports[to.port];
    auto s = std::make_shared<World::Stream>(World::Stream{{this, target}, {pool, there}, {id, gossip::StreamId{world.next_stream_++}}});
    world.streams_[id.value] = {s, 0};
    world.streams_[s->id[1].value] = {s, 1};
    world.at(world.now() + world.latency, [this, s] {
      world.input(*s->side[1], [&](Agent& a) { a.on_stream_accepted(world.now(), s->pool[1], s->id[1], {s->side[0]->ip, 40000}); });
    });
    world.at(world.now() + world.latency * 2, [this, s] {
      if (s->open[0]) world.input(*this, [&](Agent& a) { a.on_stream_connected(world.now(), s->pool[0], s->id[0]); });
    });
  }
  return id;
}
inline void Host::stream_send(gossip::StreamId id, const Bytes& payload) {
  const auto it = world.streams_.find(id.value);
  if (it == world.streams_.end()) return;
  const auto [s, side] = it->second;
  const int to = 1 - side;
  world.at(world.now() + world.latency, [this, s = s, to, payload] {
    if (s->open[to]) world.input(*s->side[to], [&](Agent& a) { a.on_stream_data(world.now(), s->pool[to], s->id[to], payload); });
  });
}
inline void Host::stream_close(gossip::StreamId id) {
  const auto it = world.streams_.find(id.value);
  if (it == world.streams_.end()) return;
  const auto [s, side] = it->second;
  world.streams_.erase(it);
  s->open[side] = false;
  const int to = 1 - side;
  world.at(world.now() + world.latency, [this, s = s, to] {
    if (s->open[to]) world.input(*s->side[to], [&](Agent& a) { a.on_stream_eof(world.now(), s->pool[to], s->id[to]); });
  });
}
inline Cause Host::member_event(PoolId pool, const gossip::MemberEvent& event, Cause) {
  const auto member = agent->serf(pool).find(event.member);
  events.push_back({world.now(), pool, event.kind, member ? std::string(member->name) : ""});
  return {};
}
inline Cause Host::joined(PoolId pool, const JoinReport& r) {
  joins.push_back({world.now(), pool, r.why, r.contacted, std::string(r.error)});
  return {};
}
inline void Host::log(LogLevel level, std::string_view line) { log_lines.push_back({world.now(), level, std::string(line)}); }
inline void Host::exited(int status, std::string_view why) {
  exit_status = status;
  exit_at = world.now();
  exit_why = why;
}

}  // namespace dcsim::test
