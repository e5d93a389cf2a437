#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "check/raft_invariants.h"
#include "raft/envelope.h"
#include "raft/memory_storage.h"
#include "raft/node.h"

/// A Raft group in one process: servers n1..nN with disks in memory, joined by a network that exists only here, and a
/// clock that jumps from event to event. Every run is held to the invariants.
///
///     test::Group group({.servers = 3});
///     group.start();
///     group.run_for(5_s);
///     REQUIRE(group.leader() != nullptr);
namespace dcsim::test {

using namespace raft;

struct GroupOptions {
  std::size_t servers = 3;
  std::size_t nonvoters = 0;  ///< the last ones
  Config config = Config::consul(1);
  std::uint64_t seed = 1;
  Duration latency{200'000};
  Duration jitter{0};      ///< uniform on top
  Duration disk{100'000};  ///< until a write is durable
  Duration io_timeout{10'000'000'000};
  std::uint32_t loss = 0;  ///< of messages, in billionths
  bool check = true;
  bool keep_log = true;
  bool in_log = true;  ///< the first configuration is bootstrapped; else it is in force before the first entry
};

class Group {
 public:
  class Member final : public Actions {
   public:
    std::string name;
    std::string address;
    MemoryStorage disk;
    std::unique_ptr<Node> node;
    std::vector<std::string> applied;  ///< commands, in order
    Index applied_index = 0;
    std::vector<std::string> log_lines;  ///< "[WARN] text: key=value ..."
    std::vector<Notice> notices;
    std::map<Token, std::string> outcomes;  ///< error; "" = success
    std::map<Token, Index> indexes;
    std::string panicked;
    bool leading = false;
    bool paused = false;
    std::uint32_t epoch = 0;

    Member(Group& group, std::size_t self) : group_(group), self_(self) {}
    Node* operator->() { return node.get(); }
    bool up() const { return node != nullptr; }
    std::size_t lines(std::string_view part) const {
      return static_cast<std::size_t>(std::count_if(log_lines.begin(), log_lines.end(), [&](const std::string& line) {
        return line.find(part) != std::string::npos;
      }));
    }

    void send(RpcId id, const Server& to, Channel channel, const wire::AppendEntriesRequest& m) override {
      group_.request(self_, id, to.id, channel, Envelope(m));
    }
    void send(RpcId id, const Server& to, const wire::RequestVoteRequest& m) override {
      group_.request(self_, id, to.id, Channel::kVote, Envelope(m));
    }
    void send(RpcId id, const Server& to, const wire::RequestPreVoteRequest& m) override {
      group_.request(self_, id, to.id, Channel::kVote, Envelope(m));
    }
    void send(RpcId id, const Server& to, const wire::InstallSnapshotRequest& m, const Bytes& state) override {
      group_.request(self_, id, to.id, Channel::kReplication, Envelope(m, state));
    }
    void send(RpcId id, const Server& to, const wire::TimeoutNowRequest& m) override {
      group_.request(self_, id, to.id, Channel::kTransfer, Envelope(m));
    }
    void close_pipeline(const Server&) override { ++pipelines_closed; }
    void respond(RequestId id, const wire::AppendEntriesResponse& m, std::string_view error) override {
      group_.answer(self_, id, Envelope(m), error);
    }
    void respond(RequestId id, const wire::RequestVoteResponse& m, std::string_view error) override {
      group_.answer(self_, id, Envelope(m), error);
    }
    void respond(RequestId id, const wire::RequestPreVoteResponse& m, std::string_view error) override {
      group_.answer(self_, id, Envelope(m), error);
    }
    void respond(RequestId id, const wire::InstallSnapshotResponse& m, std::string_view error) override {
      group_.answer(self_, id, Envelope(m), error);
    }
    void respond(RequestId id, const wire::TimeoutNowResponse& m, std::string_view error) override {
      group_.answer(self_, id, Envelope(m), error);
    }
    void apply(std::span<const LogEntry> entries) override {
      for (const LogEntry& entry : entries) {
        applied_index = entry.index;
        if (entry.type == LogType::kCommand) applied.emplace_back(dcsim::text_of(entry.data));
      }
    }
    Bytes take_snapshot() override {
      std::string text;
      for (const std::string& command : applied) text += command + "\n";
      return Bytes(view_of(text));
    }
    bool restore(const SnapshotMeta& meta, const Bytes& state) override {
      if (refuse_restore) return false;
      applied.clear();
      applied_index = meta.index;
      std::string_view text = dcsim::text_of(state);
      while (!text.empty()) {
        const std::size_t end = text.find('\n');
        applied.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(text.size(), end + 1));
      }
      return true;
    }
    void finished(Token token, const Outcome& outcome) override {
      outcomes[token] = outcome.error;
      indexes[token] = outcome.index;
      if (group_.on_finished) group_.on_finished(self_, token, outcome);
    }
    void leadership(bool now_leading) override {
      CHECK(leading != now_leading);
      leading = now_leading;
      if (leading && group_.on_leader) group_.on_leader(self_);
    }
    void notice(const Notice& n) override {
      if (group_.on_notice) group_.on_notice(self_, n);
    }
    bool logs(LogLevel) const override { return group_.options.keep_log; }
    void log(LogLevel level, std::string_view message, std::span<const LogField> fields) override {
      static constexpr std::string_view kLevels[] = {"[DEBUG] ", "[INFO] ", "[WARN] ", "[ERROR] "};
      std::string line(kLevels[static_cast<std::size_t>(level)]);
      line += message;
      for (const LogField& field : fields) line += " " + std::string(field.key) + "=" + field.value;
      log_lines.push_back(std::move(line));
    }
    void panic(std::string_view reason) override { panicked = reason; }

    bool refuse_restore = false;
    std::size_t pipelines_closed = 0;

   private:
    friend class Group;
    Group& group_;
    std::size_t self_;
    std::unique_ptr<check::WatchedStorage> watched_disk_;
    std::unique_ptr<check::WatchedActions> watched_;
  };

  GroupOptions options;
  check::RaftInvariants checker;
  std::function<void(std::size_t, Token, const Outcome&)> on_finished;
  std::function<void(std::size_t)> on_leader;
  std::function<void(std::size_t, const Notice&)> on_notice;
  /// True = this message is lost: from, to, what.
  std::function<bool(std::size_t, std::size_t, const Envelope&)> loses;
  /// True = the test takes this request away, to answer it itself.
  std::function<bool(std::size_t from, RpcId, std::size_t to, const Envelope&)> takes;
  std::map<std::string, std::size_t, std::less<>> sent;  ///< requests and answers by kind, if counted
  bool count_sent = false;

  explicit Group(GroupOptions o) : options(std::move(o)), draw_(options.seed, "network", "test") {
    for (std::size_t i = 0; i < options.servers; ++i) add_server();
    cut_.assign(16 * 16, false);
  }
  ~Group() {
    if (options.check && checker.violation()) FAIL_CHECK(violation_text());
  }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  Instant now() const { return now_; }
  Member& operator[](std::size_t i) { return *members_[i]; }
  std::size_t size() const { return members_.size(); }
  std::string violation_text() const {
    const auto& v = checker.violation();
    return v ? v->invariant + " at " + v->server + ": " + v->detail : "";
  }

  Configuration configuration() const {
    Configuration c;
    for (std::size_t i = 0; i < options.servers; ++i)
      c.servers.push_back({i + options.nonvoters < options.servers ? Suffrage::kVoter : Suffrage::kNonvoter,
                           members_[i]->name, members_[i]->address});
    return c;
  }

  /// One more server, not yet started and in no configuration.
  Member& add_server() {
    const std::size_t i = members_.size();
    members_.push_back(std::make_unique<Member>(*this, i));
    Member& m = *members_[i];
    m.name = "n" + std::to_string(i + 1);
    m.address = "10.0.0." + std::to_string(i + 1) + ":8300";
    m.disk.set_delay(options.disk);
    checker.add_server(m.name, m.disk);
    m.watched_disk_ = std::make_unique<check::WatchedStorage>(m.disk, checker, i);
    m.watched_ = std::make_unique<check::WatchedActions>(m, checker, i);
    return m;
  }

  /// All servers, bootstrapped with one configuration.
  void start() {
    for (std::size_t i = 0; i < options.servers; ++i) start(i);
    if (!options.in_log) return;
    for (std::size_t i = 0; i < options.servers; ++i) {
      if (!has_vote(configuration(), members_[i]->name)) continue;
      (*members_[i])->bootstrap(now_, 0, configuration());
      settled(i);
    }
  }
  void make_node(std::size_t i) {
    Member& m = *members_[i];
    REQUIRE(!m.up());
    Config config = options.config;
    config.id = m.name;
    config.address = m.address;
    if (!options.in_log) config.initial = configuration();
    m.applied.clear();
    m.applied_index = 0;
    m.leading = false;
    ++m.epoch;
    m.node = std::make_unique<Node>(config, *m.watched_disk_, *m.watched_, options.seed + m.epoch * 1000, m.name);
    checker.up(i, *m.node, now_);
  }
  void start(std::size_t i) {
    make_node(i);
    members_[i]->node->start(now_);
    settled(i);
  }
  /// Loss of power: of the writes under way the oldest `kept` survive.
  void crash(std::size_t i, std::size_t kept = 0, std::size_t kept_entries = 0) {
    Member& m = *members_[i];
    if (!m.up()) return;
    m.node.reset();
    checker.down(i);
    m.disk.crash(kept, kept_entries);
    ++m.epoch;
    drop_held(i);
  }
  void restart(std::size_t i) { start(i); }

  void cut_one_way(std::size_t from, std::size_t to, bool on = true) { cut_[from * 16 + to] = on; }
  void cut(std::size_t a, std::size_t b, bool on = true) {
    cut_one_way(a, b, on);
    cut_one_way(b, a, on);
  }
  void isolate(std::size_t i, bool on = true) {
    for (std::size_t k = 0; k < members_.size(); ++k) {
      if (k != i) cut(i, k, on);
    }
  }
  void heal() { std::fill(cut_.begin(), cut_.end(), false); }

  Member* leader() {
    Member* newest = nullptr;
    for (auto& m : members_) {
      if (!m->up() || m->node->role() != Role::kLeader) continue;
      if (newest == nullptr || m->node->term() > newest->node->term()) newest = m.get();
    }
    return newest;
  }
  std::size_t leader_index() {
    for (std::size_t i = 0; i < members_.size(); ++i) {
      if (members_[i].get() == leader()) return i;
    }
    return members_.size();
  }
  /// Hands a command to a server; answers its token.
  Token propose(std::size_t i, std::string_view value) {
    const Token token = ++last_token_;
    members_[i]->node->apply(now_, token, Bytes(view_of(value)));
    settled(i);
    return token;
  }
  template <class Call>
  Token with_token(std::size_t i, Call call) {
    const Token token = ++last_token_;
    call(*members_[i]->node, token);
    settled(i);
    return token;
  }

  /// After anything was done to a node from outside.
  void settled(std::size_t i) {
    if (options.check) checker.after(i, now_);
    if (members_[i]->up() && members_[i]->node->role() == Role::kShutdown) {
      members_[i]->node.reset();
      checker.down(i);
      drop_held(i);
    }
  }

  bool step(Instant until) {
    Instant next = events_.empty() ? Instant::never() : events_.top().at;
    enum { kMessage, kTimer, kDisk } what = kMessage;
    std::size_t who = 0;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      Member& m = *members_[i];
      if (!m.up()) continue;
      if (m.disk.next_due() < next) next = m.disk.next_due(), what = kDisk, who = i;
      if (!m.paused && m.node->next_deadline() < next) next = m.node->next_deadline(), what = kTimer, who = i;
    }
    if (next > until || next == Instant::never()) {
      now_ = std::max(now_, until);
      return false;
    }
    now_ = std::max(now_, next);
    if (what == kMessage) {
      const Event event = events_.top();
      events_.pop();
      deliver(event);
      return true;
    }
    Member& m = *members_[who];
    if (what == kTimer) {
      m.node->on_deadline(now_);
    } else if (const auto done = m.disk.take_done(now_)) {
      if (!done->error.empty()) checker.on_write_failed(who);
      m.node->on_stored(now_, done->op, done->error);
    }
    settled(who);
    return true;
  }
  void run_until(Instant until) {
    while (step(until)) {
    }
  }
  void run_for(Duration d) { run_until(now_ + d); }
  /// Until it holds; false if it does not within `limit`.
  template <class Condition>
  bool run_until(Condition condition, Duration limit) {
    const Instant until = now_ + limit;
    while (!condition()) {
      if (!step(until)) return condition();
    }
    return true;
  }

 private:
  struct Call {
    std::size_t from = 0, to = 0;
    std::uint32_t from_epoch = 0, to_epoch = 0;
    RpcId rpc = 0;
    Channel channel = Channel::kVote;
    bool held = false;  ///< delivered, not yet answered
  };
  struct Event {
    Instant at;
    std::uint64_t order = 0;
    enum class Kind : std::uint8_t { kRequest, kAnswer, kFailure } kind = Kind::kRequest;
    std::uint32_t call = 0;
    std::int32_t envelope = -1;
    const char* error = "";
    bool operator<(const Event& other) const { return at != other.at ? at > other.at : order > other.order; }
  };

  // Its connections break: what it had not answered fails.
  void drop_held(std::size_t i) {
    for (std::size_t id = 0; id < calls_.size(); ++id) {
      if (!calls_[id].held || calls_[id].to != i) continue;
      calls_[id].held = false;
      push({now_ + options.latency, 0, Event::Kind::kFailure, static_cast<std::uint32_t>(id), -1, "EOF"});
    }
  }
  std::size_t index_of(std::string_view id) const {
    for (std::size_t i = 0; i < members_.size(); ++i) {
      if (members_[i]->name == id) return i;
    }
    return members_.size();
  }
  std::int32_t keep(Envelope envelope) {
    if (free_.empty()) {
      envelopes_.push_back(std::move(envelope));
      return static_cast<std::int32_t>(envelopes_.size() - 1);
    }
    const std::int32_t at = free_.back();
    free_.pop_back();
    envelopes_[static_cast<std::size_t>(at)] = std::move(envelope);
    return at;
  }
  void push(Event event) {
    event.order = ++order_;
    events_.push(event);
  }
  // Connections keep the order of their messages.
  Instant arrival(std::size_t from, std::size_t to, Channel channel) {
    Instant& last = last_arrival_[(from * 16 + to) * 8 + static_cast<std::size_t>(channel)];
    last = std::max(last, now_ + options.latency + draw_.below(options.jitter));
    return last;
  }
  bool lost(std::size_t from, std::size_t to, const Envelope& envelope) {
    if (cut_[from * 16 + to]) return true;
    if (loses && loses(from, to, envelope)) return true;
    return options.loss != 0 && draw_.chance(options.loss);
  }
  void request(std::size_t from, RpcId rpc, std::string_view to_id, Channel channel, Envelope envelope) {
    if (count_sent) ++sent[std::string(envelope.kind())];
    const std::size_t to = index_of(to_id);
    if (takes && takes(from, rpc, to, envelope)) return;
    Call call{from, to, members_[from]->epoch, 0, rpc, channel};
    std::uint32_t id = 0;
    if (free_calls_.empty()) {
      id = static_cast<std::uint32_t>(calls_.size());
      calls_.push_back(call);
    } else {
      id = free_calls_.back();
      free_calls_.pop_back();
      calls_[id] = call;
    }
    if (to == members_.size()) return push({now_ + options.latency, 0, Event::Kind::kFailure, id, -1, "no such host"});
    if (!members_[to]->up() && !cut_[from * 16 + to])
      return push({now_ + options.latency * 2, 0, Event::Kind::kFailure, id, -1, "connection refused"});
    calls_[id].to_epoch = members_[to]->epoch;
    if (lost(from, to, envelope))
      return push({now_ + options.io_timeout, 0, Event::Kind::kFailure, id, -1, "i/o timeout"});
    push({arrival(from, to, channel), 0, Event::Kind::kRequest, id, keep(std::move(envelope)), ""});
  }
  void answer(std::size_t from, RequestId id, Envelope envelope, std::string_view error) {
    if (count_sent) ++sent[std::string(envelope.kind())];
    Call& call = calls_[id];
    call.held = false;
    const auto number = static_cast<std::uint32_t>(id);
    if (lost(from, call.from, envelope))
      return push({now_ + options.io_timeout, 0, Event::Kind::kFailure, number, -1, "i/o timeout"});
    const Instant at = arrival(from, call.from, call.channel);
    if (!error.empty()) return push({at, 0, Event::Kind::kFailure, number, -1, "refused with an error"});
    push({at, 0, Event::Kind::kAnswer, number, keep(std::move(envelope)), ""});
  }
  void deliver(const Event& event) {
    const Call call = calls_[event.call];
    const bool request = event.kind == Event::Kind::kRequest;
    const std::size_t who = request ? call.to : call.from;
    Member& m = *members_[who];
    const bool alive = m.up() && m.epoch == (request ? call.to_epoch : call.from_epoch);
    if (m.paused && alive) {  // it hears when it goes on
      Event later = event;
      later.at = now_ + 1_ms;
      return push(later);
    }
    if (request && !alive) {  // the connection breaks
      free_.push_back(event.envelope);
      return push({now_ + options.latency, 0, Event::Kind::kFailure, event.call, -1, "EOF"});
    }
    if (alive && event.kind == Event::Kind::kFailure) m.node->on_failure(now_, call.rpc, event.error);
    if (event.envelope >= 0) {
      Envelope envelope = std::move(envelopes_[static_cast<std::size_t>(event.envelope)]);
      free_.push_back(event.envelope);
      if (request) calls_[event.call].held = true;
      if (alive) envelope.deliver(*m.node, now_, request ? event.call : call.rpc);
    }
    if (!request) free_calls_.push_back(event.call);
    if (alive) settled(who);
  }

  Rng draw_;
  Instant now_{0};
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<bool> cut_;
  std::array<Instant, 16 * 16 * 8> last_arrival_{};
  std::priority_queue<Event> events_;
  std::uint64_t order_ = 0;
  std::vector<Envelope> envelopes_;
  std::vector<std::int32_t> free_;
  std::vector<Call> calls_;
  std::vector<std::uint32_t> free_calls_;
  Token last_token_ = 0;
};

/// A group whose first leader has been elected and is known to all.
struct Settled : Group {
  explicit Settled(GroupOptions o) : Group(std::move(o)) {
    start();
    REQUIRE(run_until([&] { return leader() != nullptr; }, 30_s));
    run_for(5_s);
    REQUIRE(leader() != nullptr);
  }
  /// The follower with this number.
  std::size_t follower(std::size_t number = 0) {
    for (std::size_t i = 0; i < size(); ++i) {
      if (i != leader_index() && number-- == 0) return i;
    }
    return size();
  }
};

/// A node's surroundings that only note the last answer.
class SilentActions final : public Actions {
 public:
  std::string error = "none";  ///< of the last answer
  bool granted = false;
  bool success = false;
  void send(RpcId, const Server&, Channel, const wire::AppendEntriesRequest&) override {}
  void send(RpcId, const Server&, const wire::RequestVoteRequest&) override {}
  void send(RpcId, const Server&, const wire::RequestPreVoteRequest&) override {}
  void send(RpcId, const Server&, const wire::InstallSnapshotRequest&, const Bytes&) override {}
  void send(RpcId, const Server&, const wire::TimeoutNowRequest&) override {}
  void close_pipeline(const Server&) override {}
  void respond(RequestId, const wire::AppendEntriesResponse& m, std::string_view e) override {
    error = e;
    success = m.success;
  }
  void respond(RequestId, const wire::RequestVoteResponse& m, std::string_view e) override {
    error = e;
    granted = m.granted;
  }
  void respond(RequestId, const wire::RequestPreVoteResponse& m, std::string_view e) override {
    error = e;
    granted = m.granted;
  }
  void respond(RequestId, const wire::InstallSnapshotResponse& m, std::string_view e) override {
    error = e;
    success = m.success;
  }
  void respond(RequestId, const wire::TimeoutNowResponse&, std::string_view e) override { error = e; }
  void apply(std::span<const LogEntry>) override {}
  Bytes take_snapshot() override { return {}; }
  bool restore(const SnapshotMeta&, const Bytes&) override { return true; }
  void finished(Token, const Outcome&) override {}
  void leadership(bool) override {}
  void notice(const Notice&) override {}
  bool logs(LogLevel) const override { return false; }
  void log(LogLevel, std::string_view, std::span<const LogField>) override {}
  void panic(std::string_view) override {}
};

}  // namespace dcsim::test
