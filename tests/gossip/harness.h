#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "gossip/actions.h"
#include "gossip/memberlist.h"
#include "support/alloc_counter.h"

/// A few protocol machines in one process, joined by a network that exists only here: constant latency, rules that
/// block, streams that connect, refuse or time out, and a clock that jumps from event to event.
///
///     test::FakeNet net;
///     test::FakeNet::Port& port = net.port("a", test::address(1));
///     Memberlist list(..., port, ...);
///     port.attach(list);          // anything with Memberlist's inputs; Serf too
///     list.start(net.now());  port.settled();
///     net.run_for(10_s);
namespace dcsim::test {

using namespace gossip;

/// 10.0.0.n, port 7946.
inline Endpoint address(std::uint32_t n) { return {Address::v4(0x0a000000u + n), 7946}; }

class FakeNet {
 public:
  /// One happening with the names resolved, and the record of what caused it (0 = nothing known).
  struct Record {
    Instant at;
    std::string node;
    NoticeKind kind;
    std::string member;
    std::string other;
    std::int64_t value = 0;
    std::uint32_t aux = 0;
    std::string text;
    std::string log;
    std::uint32_t cause = 0;
  };
  struct Sent {
    Instant at;
    Endpoint from;
    Endpoint to;
    Bytes payload;
  };

  class Port : public Actions {
   public:
    template <class Machine>
    void attach(Machine& m) {
      on_packet = [&m](Instant t, const Endpoint& from, const Bytes& b) { m.on_packet(t, from, b); };
      on_accepted = [&m](Instant t, StreamId s, const Endpoint& from) { m.on_stream_accepted(t, s, from); };
      on_connected = [&m](Instant t, StreamId s) { m.on_stream_connected(t, s); };
      on_failed = [&m](Instant t, StreamId s, std::string_view e) { m.on_stream_failed(t, s, e); };
      on_data = [&m](Instant t, StreamId s, const Bytes& b) { m.on_stream_data(t, s, b); };
      on_eof = [&m](Instant t, StreamId s) { m.on_stream_eof(t, s); };
      on_deadline = [&m](Instant t) { m.on_deadline(t); };
      next_deadline = [&m] { return m.next_deadline(); };
      up = true;
    }
    /// Call after a command from outside: arms the timer anew.
    void settled() { net_.arm(*this); }
    /// The machine is gone (crash): packets to it vanish, dials are refused.
    void detach() {
      up = false;
      ++armed_;
    }

    SendStatus send_packet(const Endpoint& to, const Bytes& payload) override {
      const Outside outside(net_);
      return net_.send_packet(*this, to, payload);
    }
    StreamId dial(const Endpoint& to, Duration timeout) override {
      const Outside outside(net_);
      return net_.dial(*this, to, timeout);
    }
    void stream_send(StreamId stream, const Bytes& payload) override {
      const Outside outside(net_);
      net_.stream_send(*this, stream, payload);
    }
    void stream_close(StreamId stream) override {
      const Outside outside(net_);
      net_.stream_close(*this, stream);
    }
    Cause note(const Notice& notice) override {
      const Outside outside(net_);
      return net_.note(*this, notice);
    }
    void because(Cause cause) override { cause_ = cause.record ? cause.record : input_record_; }

    std::string name;
    Endpoint at;
    Directory* directory = nullptr;
    bool up = false;
    SendStatus send_status = SendStatus::kSent;  ///< what send_packet answers; the packet goes out only if kSent

   private:
    friend class FakeNet;
    explicit Port(FakeNet& net) : net_(net) {}

    FakeNet& net_;
    std::function<void(Instant, const Endpoint&, const Bytes&)> on_packet;
    std::function<void(Instant, StreamId, const Endpoint&)> on_accepted;
    std::function<void(Instant, StreamId)> on_connected;
    std::function<void(Instant, StreamId, std::string_view)> on_failed;
    std::function<void(Instant, StreamId, const Bytes&)> on_data;
    std::function<void(Instant, StreamId)> on_eof;
    std::function<void(Instant)> on_deadline;
    std::function<Instant()> next_deadline;
    std::uint64_t armed_ = 0;
    Instant armed_at_ = Instant::never();
    std::uint32_t cause_ = 0;
    std::uint32_t input_record_ = 0;
  };

  Duration latency{500'000};
  /// True = the packet, or everything of a stream, does not get through.
  std::function<bool(const Port& from, const Port& to, bool stream)> blocked;
  bool keep_records = true;  ///< off for long runs
  bool keep_sent = false;
  std::vector<Record> records{1};  ///< index = record number; 0 is "nothing known"
  std::vector<Sent> sent;
  std::uint64_t packets = 0;
  std::uint64_t dials = 0;
  std::uint64_t machine_allocations = 0;  ///< heap allocations inside the machines, outside their Actions

  Instant now() const { return now_; }

  /// Names are for records only. `directory` resolves the ids in notices.
  Port& port(std::string name, Endpoint at, Directory& directory) {
    ports_.push_back(std::unique_ptr<Port>(new Port(*this)));
    Port& p = *ports_.back();
    p.name = std::move(name);
    p.at = at;
    p.directory = &directory;
    return p;
  }

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
  /// Calls `act` at an instant, after what is already planned for it.
  void at(Instant when, std::function<void()> act) { events_.push({when, ++sequence_, std::move(act)}); }

  std::size_t count(NoticeKind kind, std::string_view node = "", std::string_view member = "") const {
    return static_cast<std::size_t>(std::count_if(records.begin() + 1, records.end(), [&](const Record& r) {
      return r.kind == kind && (node.empty() || r.node == node) && (member.empty() || r.member == member);
    }));
  }
  /// The first record of a kind from a record number on; null if none.
  const Record* first(NoticeKind kind, std::string_view node = "", std::string_view member = "",
                      std::size_t from = 1) const {
    for (std::size_t i = from; i < records.size(); ++i) {
      const Record& r = records[i];
      if (r.kind == kind && (node.empty() || r.node == node) && (member.empty() || r.member == member)) return &r;
    }
    return nullptr;
  }
  std::string transcript() const {
    std::string text;
    for (const Record& r : records) {
      text += std::to_string(r.at.ns) + ' ' + r.node + ' ' + std::string(notice_name(r.kind)) + ' ' + r.member + ' ' +
              r.other + ' ' + std::to_string(r.value) + ' ' + std::to_string(r.aux) + ' ' + r.text + ' ' +
              std::to_string(r.cause) + '\n';
    }
    return text;
  }

 private:
  struct Event {
    Instant at;
    std::uint64_t sequence;
    std::function<void()> act;
    bool operator<(const Event& other) const { return at != other.at ? at > other.at : sequence > other.sequence; }
  };
  struct Stream {
    Port* side[2];
    StreamId id[2];
    bool open[2] = {true, false};
    Instant last[2];  ///< when the newest byte towards this side arrives
  };
  struct Outside {
    explicit Outside(FakeNet& n) : net(n), before(allocations()) {}
    ~Outside() { net.outside_ += allocations() - before; }
    FakeNet& net;
    std::uint64_t before;
  };

  template <class Act>
  void input(Port& port, Act&& act) {
    if (!port.up) return;
    port.cause_ = port.input_record_ = 0;
    const std::uint64_t before = allocations();
    outside_ = 0;
    act();
    machine_allocations += allocations() - before - outside_;
    arm(port);
  }

  void arm(Port& port) {
    const Instant next = port.next_deadline();
    if (next == port.armed_at_) return;
    port.armed_at_ = next;
    const std::uint64_t armed = ++port.armed_;
    if (next == Instant::never()) return;
    at(std::max(next, now_), [this, &port, armed] {
      if (port.armed_ != armed) return;
      port.armed_at_ = Instant::never();
      input(port, [&] { port.on_deadline(now_); });
    });
  }

  Port* find(const Endpoint& at) const {
    const Endpoint plain{at.address.canonical(), at.port};
    for (const auto& p : ports_) {
      if (p->at.address.canonical() == plain.address && p->at.port == plain.port && p->up) return p.get();
    }
    return nullptr;
  }
  bool cut(const Port& a, const Port& b, bool stream) const { return blocked && blocked(a, b, stream); }

  SendStatus send_packet(Port& from, const Endpoint& to, const Bytes& payload) {
    if (from.send_status != SendStatus::kSent) return from.send_status;
    ++packets;
    if (keep_sent) sent.push_back({now_, from.at, to, payload});
    Port* target = index_of(to);
    if (!target || cut(from, *target, false)) return SendStatus::kSent;
    at(now_ + latency, [this, target, source = from.at, payload] {
      input(*target, [&] { target->on_packet(now_, source, payload); });
    });
    return SendStatus::kSent;
  }
  Port* index_of(const Endpoint& to) {
    const auto it = cache_.find(to);
    if (it != cache_.end() && it->second->up) return it->second;
    Port* p = find(to);
    if (p) cache_[to] = p;
    return p;
  }

  StreamId dial(Port& from, const Endpoint& to, Duration timeout) {
    ++dials;
    const StreamId id{next_stream_++};
    Port* target = find(to);
    bool known = target != nullptr;
    for (const auto& p : ports_) known = known || p->at == to;
    const auto fail = [&](Duration after, const std::string& why) {
      at(now_ + after, [this, &from, id, text = "dial tcp " + to.text() + ": " + why] {
        input(from, [&] { from.on_failed(now_, id, text); });
      });
    };
    if (!known || (target && (cut(from, *target, true) || cut(*target, from, true)))) {
      fail(timeout, "i/o timeout");
    } else if (!target) {
      fail(latency * 2, "connect: connection refused");
    } else {
      auto s =
          std::make_shared<Stream>(Stream{{&from, target}, {id, StreamId{next_stream_++}}, {true, true}, {now_, now_}});
      streams_[id.value] = {s, 0};
      streams_[s->id[1].value] = {s, 1};
      at(now_ + latency,
         [this, s] { input(*s->side[1], [&] { s->side[1]->on_accepted(now_, s->id[1], s->side[0]->at); }); });
      at(now_ + latency * 2, [this, s] {
        if (s->open[0]) input(*s->side[0], [&] { s->side[0]->on_connected(now_, s->id[0]); });
      });
    }
    return id;
  }
  void stream_send(Port&, StreamId id, const Bytes& payload) {
    const auto it = streams_.find(id.value);
    if (it == streams_.end()) return;
    const auto [s, from] = it->second;
    const int to = 1 - from;
    if (cut(*s->side[from], *s->side[to], true)) return;
    at(now_ + latency, [this, s = s, to, payload] {
      if (s->open[to]) input(*s->side[to], [&] { s->side[to]->on_data(now_, s->id[to], payload); });
    });
  }
  void stream_close(Port&, StreamId id) {
    const auto it = streams_.find(id.value);
    if (it == streams_.end()) return;
    const auto [s, from] = it->second;
    s->open[from] = false;
    const int to = 1 - from;
    streams_.erase(it);
    if (cut(*s->side[from], *s->side[to], true)) return;
    at(now_ + latency, [this, s = s, to] {
      if (!s->open[to]) return;
      input(*s->side[to], [&] { s->side[to]->on_eof(now_, s->id[to]); });
    });
  }

  Cause note(Port& port, const Notice& n) {
    if (!keep_records) return {};
    const Directory& d = *port.directory;
    records.push_back({now_, port.name, n.kind, std::string(d.name(n.member)), std::string(d.name(n.other)), n.value,
                       n.aux, std::string(n.text), log_text(n, d), port.cause_});
    return {static_cast<std::uint32_t>(records.size() - 1)};
  }

  Instant now_{0};
  std::uint64_t sequence_ = 0;
  std::priority_queue<Event> events_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::map<Endpoint, Port*> cache_;
  std::map<std::uint32_t, std::pair<std::shared_ptr<Stream>, int>> streams_;
  std::uint32_t next_stream_ = 0;
  std::uint64_t outside_ = 0;
};

/// What a delegate was told, as short words: "join:b", "leave:b", "update:b",
/// "conflict:b:10.0.0.2:7946->10.0.0.9:7946".
class EventLog : public Delegate {
 public:
  void notify_join(Instant, const NodeView& n) override { add("join", n); }
  void notify_leave(Instant, const NodeView& n) override { add("leave", n); }
  void notify_update(Instant, const NodeView& n) override { add("update", n); }
  void notify_conflict(Instant, const NodeView& n, const NodeView& other) override {
    if (!quiet) {
      events.push_back("conflict:" + std::string(n.name) + ":" + n.endpoint().text() + "->" + other.endpoint().text());
    }
  }
  void join_done(Instant, JoinToken, const JoinResult& r) override { joins.push_back(r); }
  void leave_done(Instant now, const std::optional<Error>& e) override {
    left_at = now;
    leave_error = e;
  }
  void update_done(Instant now, const std::optional<Error>& e) override {
    updated_at = now;
    update_error = e;
  }

  std::vector<std::string> events;
  std::vector<JoinResult> joins;
  std::optional<Instant> left_at, updated_at;
  std::optional<Error> leave_error, update_error;
  bool quiet = false;  ///< for long runs

 private:
  void add(const char* what, const NodeView& n) {
    if (!quiet) events.push_back(std::string(what) + ":" + std::string(n.name));
  }
};

/// N memberlists named n0, n1, ... at 10.0.0.1, 10.0.0.2, ... sharing a directory.
class Pool {
 public:
  struct Node {
    Endpoint at;
    FakeNet::Port* port = nullptr;
    EventLog own_log;
    Delegate* delegate = nullptr;
    std::unique_ptr<Memberlist> list;
    EventLog& log() { return own_log; }
  };

  explicit Pool(std::size_t n, MemberlistConfig base = MemberlistConfig::lan(), std::uint64_t seed = 1)
      : base_(base), seed_(seed) {
    for (std::size_t i = 0; i < n; ++i) add();
  }
  Node& add(Delegate* delegate = nullptr, std::optional<MemberlistConfig> config = std::nullopt) {
    const std::size_t i = nodes.size();
    nodes.push_back(std::make_unique<Node>());
    Node& node = *nodes.back();
    node.at = address(static_cast<std::uint32_t>(i + 1));
    node.port = &net.port(name(i), node.at, directory);
    node.delegate = delegate ? delegate : &node.own_log;
    create(node, config.value_or(base_), name(i));
    return node;
  }
  static std::string name(std::size_t i) { return "n" + std::to_string(i); }
  Node& operator[](std::size_t i) { return *nodes[i]; }
  std::size_t size() const { return nodes.size(); }

  void start(std::size_t i) {
    nodes[i]->list->start(net.now());
    nodes[i]->port->settled();
  }
  /// All start at one instant, and everybody joins n0.
  void start_all() {
    for (std::size_t i = 0; i < nodes.size(); ++i) start(i);
    for (std::size_t i = 1; i < nodes.size(); ++i) join(i, 0);
  }
  JoinToken join(std::size_t i, std::size_t whom) {
    const JoinToken t = nodes[i]->list->join(net.now(), {{nodes[whom]->at.text(), "", nodes[whom]->at, ""}});
    nodes[i]->port->settled();
    return t;
  }
  void crash(std::size_t i) { nodes[i]->port->detach(); }
  /// A fresh process with the same name and address.
  void restart(std::size_t i) {
    create(*nodes[i], base_, name(i));
    start(i);
  }
  MemberState state(std::size_t i, std::size_t of) const {
    const MemberId id = directory.find(name(of));
    REQUIRE(nodes[i]->list->table().contains(id));
    return nodes[i]->list->table().state(id);
  }
  bool knows(std::size_t i, std::size_t of) const { return nodes[i]->list->table().contains(directory.find(name(of))); }
  /// Everybody holds everybody alive.
  bool complete() const {
    for (const auto& node : nodes) {
      if (node->list->table().count(MemberState::kAlive) != nodes.size()) return false;
    }
    return true;
  }

  FakeNet net;
  Directory directory;
  Workspace workspace;
  std::vector<std::unique_ptr<Node>> nodes;

 private:
  void create(Node& node, MemberlistConfig config, const std::string& who) {
    config.name = who;
    config.advertise = node.at;
    node.list = std::make_unique<Memberlist>(config, directory, workspace, *node.port, *node.delegate, seed_, who);
    node.port->attach(*node.list);
  }

  MemberlistConfig base_;
  std::uint64_t seed_;
};

}  // namespace dcsim::test
