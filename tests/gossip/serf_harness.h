#pragma once
#include <doctest/doctest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gossip/serf.h"

/// A small world of real Serf nodes over an ideal network, for tests that read as stories.
namespace dcsim::test {

using namespace dcsim::gossip;
using namespace dcsim::literals;

class SerfWorld;

/// One agent: a Serf, its sockets and a diary of what it reported.
class SerfNode final : public Actions, public SerfListener {
 public:
  struct Event {
    Instant at;
    MemberEvent event;
    std::string name;
    Cause cause;
  };
  struct JoinEnd {
    std::uint32_t token;
    std::uint32_t contacted;
    std::string error;
  };
  struct CommandEnd {
    Instant at;
    std::uint32_t token;
    std::string error;
  };
  struct Written {
    Instant at;
    std::size_t size;
  };

  SerfNode(SerfWorld& world, SerfConfig config, std::uint64_t seed);

  void start();
  void join(const SerfNode& other);
  void join(std::vector<JoinTarget> targets, std::uint32_t token = 0);
  void leave();
  void crash() { up = false; }
  void shutdown();
  void force_leave(std::string_view name, bool prune = false, std::uint32_t token = 0);

  std::string_view status_of(std::string_view who) const {
    const auto member = serf->find(who);
    return member ? to_text(member->status) : "unknown";
  }
  LamportTime ltime_of(std::string_view who) const { return serf->find(who)->status_ltime; }
  /// "member-failed:b" and the like, in order.
  std::vector<std::string> diary() const {
    std::vector<std::string> out;
    for (const Event& e : events) out.push_back(std::string(to_text(e.event.kind)) + ":" + e.name);
    return out;
  }
  std::size_t count(MemberEventKind kind, std::string_view who) const {
    std::size_t n = 0;
    for (const Event& e : events) n += e.event.kind == kind && e.name == who;
    return n;
  }
  bool noticed(NoticeKind kind, std::string_view text) const { return notices.contains({kind, std::string(text)}); }
  bool noticed(SerfNoticeKind kind) const { return serf_notices.contains(kind); }

  Instant world_now() const;

  // Actions
  SendStatus send_packet(const Endpoint& to, const Bytes& payload) override;
  StreamId dial(const Endpoint& to, Duration timeout) override;
  void stream_send(StreamId stream, const Bytes& payload) override;
  void stream_close(StreamId stream) override;
  Cause note(const Notice& notice) override;
  void because(Cause) override {}

  // SerfListener
  void on_member_event(const MemberEvent& event, Cause cause) override;
  void on_join_done(std::uint32_t token, std::uint32_t contacted, std::string_view error, Cause) override {
    joins.push_back({token, contacted, std::string(error)});
  }
  void on_leave_done(Cause) override;
  void on_command_done(std::uint32_t token, std::string_view error, Cause) override;
  void on_user_event(const UserEvent& event, Cause) override {
    user_events.push_back(std::string(event.name) + "=" + std::string(text_of(event.payload)));
  }
  void on_query(const Query& query, Cause) override { queries.push_back(std::string(query.name)); }
  void on_message(bool sent, std::size_t bytes) override { (sent ? messages_sent : messages_received).push_back(bytes); }
  void on_coordinate(const wire::serf::Coordinate& before, const wire::serf::Coordinate& after) override { moves.push_back(distance(before, after)); }
  void on_queues_checked(const QueueDepths& depths) override { depths_checked.push_back({world_now(), depths}); }
  void on_query_received(std::string_view query) override { queries_received.emplace_back(query); }
  void on_leave_failed(std::string_view error, Cause) override { leave_errors.emplace_back(error); }
  Cause on_notice(const SerfNotice& notice, Cause) override {
    serf_notices.insert(notice.kind);
    return {};
  }

  SerfWorld& world;
  std::string name;
  Endpoint endpoint;
  bool up = true;
  std::unique_ptr<Serf> serf;
  std::vector<Event> events;
  std::vector<JoinEnd> joins;
  std::vector<CommandEnd> commands;
  std::vector<Instant> leaves;
  std::vector<std::string> user_events, queries;
  std::set<std::pair<NoticeKind, std::string>> notices;
  std::set<std::string> log_lines;  ///< memberlist's, of refusals
  std::set<SerfNoticeKind> serf_notices;
  std::vector<Written> written;  ///< to streams
  std::vector<std::size_t> messages_sent, messages_received;  ///< Serf's, in bytes
  std::vector<Duration> moves;  ///< of the own coordinate
  std::vector<std::pair<Instant, QueueDepths>> depths_checked;
  std::vector<std::string> queries_received, leave_errors;
};

class SerfWorld {
 public:
  explicit SerfWorld(std::uint64_t seed = 1) : seed_(seed) {}

  SerfConfig config(std::string name) {
    SerfConfig c;
    c.node_name = std::move(name);
    c.memberlist.advertise = {Address::v4(0x0a000000u + ++addresses_), 7946};
    return c;
  }
  SerfNode& add(SerfConfig config) {
    nodes_.push_back(std::make_unique<SerfNode>(*this, std::move(config), seed_));
    nodes_.back()->start();
    return *nodes_.back();
  }
  SerfNode& add(std::string name) { return add(config(std::move(name))); }
  /// Adds nodes and joins each to the first, a moment apart.
  std::vector<SerfNode*> pool(const std::vector<std::string>& names) {
    std::vector<SerfNode*> out;
    for (const std::string& name : names) {
      out.push_back(&add(name));
      if (out.size() > 1) out.back()->join(*out.front());
      run_for(100_ms);
    }
    return out;
  }

  void run_for(Duration d) { run_until(now_ + d); }
  void run_until(Instant end) {
    while (step(end)) {
    }
    now_ = end;
  }
  template <class Predicate>
  bool run_until(Predicate done, Duration at_most) {
    const Instant end = now_ + at_most;
    while (!done()) {
      if (!step(end)) return false;
    }
    return true;
  }

  void cut(const SerfNode& a, const SerfNode& b) { cuts_.insert(std::minmax(&a, &b)); }
  void heal() { cuts_.clear(); }
  bool connected(const SerfNode& a, const SerfNode& b) const { return !cuts_.contains(std::minmax(&a, &b)); }

  Instant now() const { return now_; }
  Directory& directory() { return directory_; }
  SerfWorkspace& workspace() { return workspace_; }
  static constexpr Duration kLatency{500'000};

 private:
  friend class SerfNode;
  struct End {
    SerfNode* owner = nullptr;
    SerfNode* peer = nullptr;
    StreamId other;
    bool open = true;
  };

  void at(Instant when, std::function<void()> what) { queue_.emplace(std::pair(when, ++sequence_), std::move(what)); }
  SerfNode* at_endpoint(const Endpoint& endpoint) {
    for (auto it = nodes_.rbegin(); it != nodes_.rend(); ++it) {
      if ((*it)->endpoint == endpoint) return it->get();
    }
    return nullptr;
  }
  bool step(Instant end) {
    Instant next = queue_.empty() ? Instant::never() : queue_.begin()->first.first;
    SerfNode* timer = nullptr;
    for (const auto& node : nodes_) {
      if (node->up && node->serf->next_deadline() < next) {
        next = node->serf->next_deadline();
        timer = node.get();
      }
    }
    if (next > end) return false;
    REQUIRE(next >= now_);
    now_ = next;
    if (timer != nullptr) {
      timer->serf->on_deadline(now_);
    } else {
      const auto what = std::move(queue_.begin()->second);
      queue_.erase(queue_.begin());
      what();
    }
    return true;
  }

  std::uint64_t seed_;
  Directory directory_;
  SerfWorkspace workspace_;
  Instant now_{1'000'000'000};
  std::uint64_t sequence_ = 0;
  std::uint32_t addresses_ = 0;
  std::uint32_t streams_ = 0;
  std::uint32_t records_ = 0;
  std::map<std::pair<Instant, std::uint64_t>, std::function<void()>> queue_;
  std::map<std::uint32_t, End> ends_;
  std::set<std::pair<const SerfNode*, const SerfNode*>> cuts_;
  std::vector<std::unique_ptr<SerfNode>> nodes_;
};

inline SerfNode::SerfNode(SerfWorld& w, SerfConfig config, std::uint64_t seed)
    : world(w), name(config.node_name), endpoint(config.memberlist.advertise) {
  const auto problem = config.problem();
  REQUIRE_MESSAGE(!problem, (problem ? problem->text : ""));
  const std::string entity = "test/" + name + "/" + endpoint.text();
  serf = std::make_unique<Serf>(std::move(config), w.directory(), w.workspace(), *this, *this, seed, entity);
}

inline void SerfNode::start() { serf->start(world.now()); }
inline void SerfNode::join(const SerfNode& other) { join({{other.endpoint.text(), "", other.endpoint, ""}}); }
inline void SerfNode::join(std::vector<JoinTarget> targets, std::uint32_t token) {
  serf->join(world.now(), token, std::move(targets), false);
}
inline void SerfNode::leave() { REQUIRE(!serf->leave(world.now())); }
inline void SerfNode::shutdown() {
  serf->shutdown(world.now());
  up = false;
}
inline void SerfNode::force_leave(std::string_view whom, bool prune, std::uint32_t token) {
  serf->force_leave(world.now(), token, whom, prune);
}

inline SendStatus SerfNode::send_packet(const Endpoint& to, const Bytes& payload) {
  SerfNode* target = world.at_endpoint(to);
  if (target == nullptr || !world.connected(*this, *target)) return SendStatus::kSent;
  world.at(world.now() + SerfWorld::kLatency, [this, target, payload] {
    if (target->up) target->serf->on_packet(world.now(), endpoint, payload);
  });
  return SendStatus::kSent;
}

inline StreamId SerfNode::dial(const Endpoint& to, Duration timeout) {
  const StreamId mine{++world.streams_};
  SerfNode* target = world.at_endpoint(to);
  const std::string text = "dial tcp " + to.text() + ": ";
  if (target != nullptr && !world.connected(*this, *target)) {
    world.at(world.now() + timeout,
             [this, mine, text] { serf->on_stream_failed(world.now(), mine, text + "i/o timeout"); });
    return mine;
  }
  if (target == nullptr || !target->up) {
    world.at(world.now() + 2 * SerfWorld::kLatency,
             [this, mine, text] { serf->on_stream_failed(world.now(), mine, text + "connect: connection refused"); });
    return mine;
  }
  const StreamId theirs{++world.streams_};
  world.ends_[mine.value] = {this, target, theirs, true};
  world.ends_[theirs.value] = {target, this, mine, true};
  world.at(world.now() + SerfWorld::kLatency, [this, target, theirs] {
    if (target->up) target->serf->on_stream_accepted(world.now(), theirs, endpoint);
  });
  world.at(world.now() + 2 * SerfWorld::kLatency, [this, mine] {
    if (up) serf->on_stream_connected(world.now(), mine);
  });
  return mine;
}

inline void SerfNode::stream_send(StreamId stream, const Bytes& payload) {
  written.push_back({world.now(), payload.size()});
  const SerfWorld::End end = world.ends_.at(stream.value);
  world.at(world.now() + SerfWorld::kLatency, [this, end, payload] {
    if (end.peer->up && world.ends_.at(end.other.value).open)
      end.peer->serf->on_stream_data(world.now(), end.other, payload);
  });
}

inline void SerfNode::stream_close(StreamId stream) {
  const auto it = world.ends_.find(stream.value);
  if (it == world.ends_.end()) return;  // never connected
  it->second.open = false;
  const SerfWorld::End end = it->second;
  world.at(world.now() + SerfWorld::kLatency, [this, end] {
    if (end.peer->up && world.ends_.at(end.other.value).open) end.peer->serf->on_stream_eof(world.now(), end.other);
  });
}

inline Instant SerfNode::world_now() const { return world.now(); }

inline Cause SerfNode::note(const Notice& notice) {
  if (notice.kind == NoticeKind::kAliveIgnored || notice.kind == NoticeKind::kMergeRefused) {
    notices.insert({notice.kind, std::string(notice.text)});
    log_lines.insert(log_text(notice, serf->directory()));
  }
  return {++world.records_};
}

inline void SerfNode::on_member_event(const MemberEvent& event, Cause cause) {
  const auto member = serf->find(event.member);
  REQUIRE(member);
  events.push_back({world.now(), event, std::string(member->name), cause});
}
inline void SerfNode::on_leave_done(Cause) { leaves.push_back(world.now()); }
inline void SerfNode::on_command_done(std::uint32_t token, std::string_view error, Cause) {
  commands.push_back({world.now(), token, std::string(error)});
}

}  // namespace dcsim::test
