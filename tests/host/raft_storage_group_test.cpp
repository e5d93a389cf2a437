#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "host/raft_storage.h"
#include "raft/envelope.h"
#include "raft/node.h"

/// A group of servers over virtual disks that lose power.

using namespace dcsim;
using namespace dcsim::host;
using raft::Index;
using raft::LogEntry;
using raft::StoreOp;
using raft::Term;

namespace {

constexpr std::uint16_t kKind = core::kTestKinds + 21;
constexpr std::uint16_t kNetwork = core::kTestKinds + 22;

class Servers {
 public:
  struct Server final : raft::Actions, RaftStorageOutput {
    Servers* all = nullptr;
    std::size_t self = 0;
    std::string name;
    std::unique_ptr<RaftStorage> store;
    Disk* disk = nullptr;
    std::unique_ptr<raft::Node> node;
    std::vector<std::string> applied;
    std::uint32_t epoch = 0;
    core::EventHandle timer;
    std::string refused;
    bool panicked = false;

    void ask(raft::RpcId id, const raft::Server& to, raft::Envelope e) {
      all->carry(self, to.id, id, true, std::move(e));
    }
    void send(raft::RpcId id, const raft::Server& to, raft::Channel, const wire::AppendEntriesRequest& m) override {
      ask(id, to, raft::Envelope(m));
    }
    void send(raft::RpcId id, const raft::Server& to, const wire::RequestVoteRequest& m) override {
      ask(id, to, raft::Envelope(m));
    }
    void send(raft::RpcId id, const raft::Server& to, const wire::RequestPreVoteRequest& m) override {
      ask(id, to, raft::Envelope(m));
    }
    void send(raft::RpcId id, const raft::Server& to, const wire::InstallSnapshotRequest& m, const Bytes& s) override {
      ask(id, to, raft::Envelope(m, s));
    }
    void send(raft::RpcId id, const raft::Server& to, const wire::TimeoutNowRequest& m) override {
      ask(id, to, raft::Envelope(m));
    }
    void close_pipeline(const raft::Server&) override {}
    void respond(raft::RequestId id, const wire::AppendEntriesResponse& m, std::string_view e) override {
      all->answer(self, id, raft::Envelope(m), e);
    }
    void respond(raft::RequestId id, const wire::RequestVoteResponse& m, std::string_view e) override {
      all->answer(self, id, raft::Envelope(m), e);
    }
    void respond(raft::RequestId id, const wire::RequestPreVoteResponse& m, std::string_view e) override {
      all->answer(self, id, raft::Envelope(m), e);
    }
    void respond(raft::RequestId id, const wire::InstallSnapshotResponse& m, std::string_view e) override {
      all->answer(self, id, raft::Envelope(m), e);
    }
    void respond(raft::RequestId id, const wire::TimeoutNowResponse& m, std::string_view e) override {
      all->answer(self, id, raft::Envelope(m), e);
    }
    void apply(std::span<const LogEntry> some) override {
      for (const LogEntry& entry : some) {
        if (entry.type == raft::LogType::kCommand) applied.emplace_back(text_of(entry.data));
      }
    }
    Bytes take_snapshot() override {
      std::string text;
      for (const std::string& command : applied) text += command + "\n";
      return Bytes(view_of(text));
    }
    bool restore(const raft::SnapshotMeta&, const Bytes& state) override {
      applied.clear();
      std::string_view text = text_of(state);
      while (!text.empty()) {
        applied.emplace_back(text.substr(0, text.find('\n')));
        text.remove_prefix(text.find('\n') + 1);
      }
      return true;
    }
    void finished(raft::Token token, const raft::Outcome& outcome) override {
      if (outcome.ok()) all->acknowledged.insert(std::to_string(token));
    }
    void leadership(bool leads) override {
      if (leads) CHECK(all->leader_of.emplace(node->term(), self).first->second == self);
    }
    void notice(const raft::Notice&) override {}
    bool logs(raft::LogLevel) const override { return false; }
    void log(raft::LogLevel, std::string_view, std::span<const raft::LogField>) override {}
    void panic(std::string_view) override { panicked = true; }

    void on_opened(std::string_view error) override {
      refused = error;
      if (error.empty()) all->begin(self);
    }
    void on_stored(StoreOp op, std::string_view error) override {
      if (!node) return;
      node->on_stored(all->engine.now(), op, error);
      all->settled(self);
    }
    void on_crash_point() override {}
    void log(raft::LogLevel, std::string_view) override {}
  };

  explicit Servers(std::uint64_t seed) : seed_(seed), disks_(engine, kKind), draw_(seed, "group", "test") {
    engine.on(kNetwork, this, [](void* self, const core::Event& e) { static_cast<Servers*>(self)->on_event(e); });
    origin_ = engine.add_origin();
    for (std::size_t i = 0; i < 3; ++i) {
      servers.push_back(std::make_unique<Server>());
      Server& s = *servers[i];
      s.all = this;
      s.self = i;
      s.name = "n" + std::to_string(i + 1);
      RaftStorageConfig config;
      config.segment_size = 4000;
      s.store = std::make_unique<RaftStorage>(config, s);
      s.disk = &disks_.add(s.name, seed, {}, *s.store);
      s.store->attach(*s.disk);
      s.store->open();
    }
  }

  void begin(std::size_t i) {
    Server& s = *servers[i];
    raft::Config config = raft::Config::consul(1);
    config.id = config.address = s.name;
    config.snapshot_threshold = 40;
    config.trailing_logs = 10;
    config.snapshot_interval = 500_ms;
    for (const auto& other : servers)
      config.initial.servers.push_back({raft::Suffrage::kVoter, other->name, other->name});
    s.applied.clear();
    s.panicked = false;
    s.node = std::make_unique<raft::Node>(config, *s.store, s, seed_ + ++s.epoch * 1000, s.name);
    s.node->start(engine.now());
    settled(i);
  }
  void power_loss(std::size_t i) {
    Server& s = *servers[i];
    s.node.reset();
    ++s.epoch;
    engine.cancel(s.timer);
    s.disk->crash();
    s.store->close();
  }
  void run_for(Duration d) { engine.run_until(engine.now() + d); }
  Server* leader() {
    for (const auto& s : servers) {
      if (s->node && s->node->role() == raft::Role::kLeader) return s.get();
    }
    return nullptr;
  }
  void propose() {
    Server* s = leader();
    if (s == nullptr) return;
    const raft::Token token = ++last_token_;
    s->node->apply(engine.now(), token, Bytes(view_of(std::to_string(token))));
    settled(s->self);
  }

  core::Engine engine;
  std::vector<std::unique_ptr<Server>> servers;
  std::set<std::string> acknowledged;
  std::map<Term, std::size_t> leader_of;

 private:
  struct Letter {
    std::size_t from, to;
    std::uint32_t from_epoch;
    raft::RpcId rpc;
    bool request;
    std::optional<raft::Envelope> envelope;  // none: failed
  };

  void settled(std::size_t i) {
    Server& s = *servers[i];
    engine.cancel(s.timer);
    core::Event event;
    event.kind = kNetwork;
    event.target = static_cast<std::uint32_t>(i);
    event.a = s.epoch;
    if (s.node && s.node->next_deadline() != Instant::never())
      s.timer = engine.schedule(origin_, std::max(engine.now(), s.node->next_deadline()), event);
  }
  void post(Letter letter, Duration delay) {
    letters_.push_back(std::move(letter));
    core::Event event;
    event.kind = kNetwork;
    event.arg = 1;
    event.a = letters_.size() - 1;
    engine.schedule(origin_, engine.now() + delay, event);
  }
  void carry(std::size_t from, std::string_view to, raft::RpcId id, bool request, raft::Envelope e) {
    const std::size_t target = static_cast<std::size_t>(to.back() - '1');
    post({from, target, servers[from]->epoch, id, request, std::move(e)}, 200_us);
  }
  void answer(std::size_t from, raft::RequestId id, raft::Envelope e, std::string_view error) {
    const Letter& asked = letters_[id];
    Letter reply{from, asked.from, asked.from_epoch, asked.rpc, false, std::nullopt};
    if (error.empty()) reply.envelope = std::move(e);
    post(std::move(reply), 200_us);
  }
  void on_event(const core::Event& event) {
    if (event.arg == 0) {
      Server& s = *servers[event.target];
      if (!s.node || s.epoch != event.a) return;
      s.node->on_deadline(engine.now());
      return settled(event.target);
    }
    const std::size_t at = event.a;
    const bool request = letters_[at].request;
    const std::size_t to = letters_[at].to;
    Server& s = *servers[to];
    if (!request) {
      if (!s.node || s.epoch != letters_[at].from_epoch) return;
      const raft::RpcId rpc = letters_[at].rpc;
      if (letters_[at].envelope) {
        raft::Envelope e = std::move(*letters_[at].envelope);
        e.deliver(*s.node, engine.now(), rpc);
      } else {
        s.node->on_failure(engine.now(), rpc, "EOF");
      }
      return settled(to);
    }
    if (!s.node) return post({to, letters_[at].from, letters_[at].from_epoch, letters_[at].rpc, false, {}}, 200_us);
    raft::Envelope e = std::move(*letters_[at].envelope);
    e.deliver(*s.node, engine.now(), at);
    settled(to);
  }

  std::uint64_t seed_;
  DiskSet disks_;
  Rng draw_;
  OriginId origin_{};
  std::vector<Letter> letters_;
  raft::Token last_token_ = 0;
};

}  // namespace

TEST_CASE("raft storage: three servers that lose power again and again lose no acknowledged write") {
  std::size_t total = 0, snapshots = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    Servers group(seed);
    Rng draw(seed, "power", "test");
    std::vector<Instant> back(3);
    group.run_for(10_s);
    for (int i = 0; i < 600; ++i) {
      group.propose();
      group.run_for(draw.below(8_ms) + 1_us);
      for (std::size_t n = 0; n < 3; ++n) {
        if (back[n] != Instant{} && group.engine.now() >= back[n]) {
          group.servers[n]->store->open();
          back[n] = {};
        }
      }
      // Often one, sometimes all.
      if (draw.below(40) != 0) continue;
      const bool all = draw.below(4) == 0;
      const std::size_t chosen = draw.below(3);
      for (std::size_t n = 0; n < 3; ++n) {
        if ((!all && n != chosen) || back[n] != Instant{}) continue;
        group.power_loss(n);
        back[n] = group.engine.now() + draw.below(200_ms);
      }
      if (all || draw.below(2) == 0) {
        for (int wait = 0; wait < 100; ++wait) {
          group.run_for(300_ms);
          for (std::size_t n = 0; n < 3; ++n) {
            if (back[n] != Instant{} && group.engine.now() >= back[n]) {
              group.servers[n]->store->open();
              back[n] = {};
            }
          }
          if (group.leader() != nullptr) break;
        }
      }
    }
    for (std::size_t n = 0; n < 3; ++n) {
      if (back[n] != Instant{}) group.servers[n]->store->open();
    }
    group.run_for(30_s);
    REQUIRE(group.leader() != nullptr);
    group.propose();
    group.run_for(1_s);
    total += group.acknowledged.size();
    for (const auto& s : group.servers) {
      CAPTURE(s->name);
      CHECK(s->refused == "");
      CHECK_FALSE(s->panicked);
      const std::set<std::string> applied(s->applied.begin(), s->applied.end());
      CHECK(applied.size() == s->applied.size());
      CHECK(std::includes(applied.begin(), applied.end(), group.acknowledged.begin(), group.acknowledged.end()));
      CHECK(s->applied == group.servers[0]->applied);
      snapshots += s->store->snapshot() != nullptr ? 1 : 0;
    }
  }
  CHECK(total > 3000);
  CHECK(snapshots > 0);
}
