#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "consul/conn_io.h"

/// Machines joined by byte streams that exist only here: every send is cut anywhere and arrives late, links can be cut,
/// machines die with or without a farewell. Time jumps from event to event.
namespace dcsim::test {

using consul::StreamId;

/// Something with deadlines that lives on a machine.
struct Actor {
  std::function<Instant()> next_deadline;
  std::function<void(Instant)> on_deadline;
};

class ConnNet {
 public:
  class Host final : public consul::StreamIo {
   public:
    Host(ConnNet& net, std::size_t self) : net_(net), self_(self) {}
    Address address() const { return Address::v4(0x0a000001u + static_cast<std::uint32_t>(self_)); }
    Endpoint rpc() const { return {address(), 8300}; }

    StreamId dial(const Endpoint& to, Duration timeout) override { return net_.dial(self_, to, timeout); }
    void send(StreamId stream, const Bytes& payload) override { net_.send(self_, stream, payload); }
    void close(StreamId stream) override { net_.close(self_, stream); }
    bool full(StreamId stream) const override { return stuffed.count(stream.value) > 0; }

    std::function<void(Instant, StreamId, const Endpoint&)> on_accepted;
    std::function<void(Instant, StreamId, const Endpoint&)> on_connected;
    std::function<void(Instant, StreamId, std::string_view)> on_failed;
    std::function<void(Instant, StreamId, const Bytes&)> on_data;
    std::function<void(Instant, StreamId)> on_eof;
    bool listening = true;
    std::set<std::uint32_t> stuffed;
    std::vector<Endpoint> dialled;
    std::size_t open() const { return net_.open(self_); }

   private:
    ConnNet& net_;
    std::size_t self_;
  };

  explicit ConnNet(std::size_t hosts, std::uint64_t seed = 1) : draw_(seed, "network", "test") {
    for (std::size_t i = 0; i < hosts; ++i) hosts_.push_back(std::make_unique<Host>(*this, i));
  }

  Host& operator[](std::size_t i) { return *hosts_[i]; }
  Instant now() const { return now_; }
  Duration latency{200'000};
  std::uint64_t cuts = 4;  ///< a send arrives in up to so many pieces
  std::vector<Actor> actors;
  std::size_t bytes = 0;  ///< delivered

  /// Nothing passes between them; nobody is told.
  void cut(std::size_t a, std::size_t b, bool on = true) {
    if (on)
      cut_.insert(std::minmax(a, b));
    else
      cut_.erase(std::minmax(a, b));
  }
  /// Connections of a machine end, with FIN, with RST, or silently.
  enum class End { kFin, kReset, kSilent };
  void end_all(std::size_t host, End how) {
    for (auto& [id, conn] : conns_) {
      if (conn.end[0].host != host && conn.end[1].host != host) continue;
      const int mine = conn.end[0].host == host ? 0 : 1;
      if (how == End::kFin) fin(id, 1 - mine);
      if (how == End::kReset) reset(id, 1 - mine);
      conn.end[mine].gone = true;
    }
  }
  /// The connection with that id on that machine breaks for both.
  void reset_all() {
    for (auto& [id, conn] : conns_) reset(id, 0), reset(id, 1);
  }

  void at(Duration in, std::function<void()> what) { push(now_ + in, std::move(what)); }
  bool step(Instant until) {
    Instant next = events_.empty() ? Instant::never() : events_.begin()->first.first;
    Instant due = Instant::never();
    std::size_t who = 0;
    for (std::size_t i = 0; i < actors.size(); ++i) {
      const Instant deadline = actors[i].next_deadline ? actors[i].next_deadline() : Instant::never();
      if (deadline < due) due = deadline, who = i;
    }
    if (std::min(next, due) > until) {
      now_ = std::max(now_, until);
      return false;
    }
    REQUIRE(++steps_ < 5'000'000);
    if (due <= next) {
      now_ = std::max(now_, due);
      actors[who].on_deadline(now_);
      return true;
    }
    now_ = std::max(now_, next);
    const auto what = std::move(events_.begin()->second);
    events_.erase(events_.begin());
    what();
    return true;
  }
  void run_for(Duration d) {
    const Instant until = now_ + d;
    while (step(until)) {
    }
  }
  bool run_until(const std::function<bool()>& done, Duration most) {
    const Instant until = now_ + most;
    while (!done()) {
      if (!step(until)) return done();
    }
    return true;
  }

 private:
  struct Side {
    std::size_t host = 0;
    StreamId id;
    bool closed = false;  // by its owner
    bool gone = false;    // the machine knows nothing of it any more
    bool ended = false;   // has been told of the end
    Instant last;         // arrival of what was sent to it last
  };
  struct Link {
    Side end[2];  // 0 dialled
    bool connected = false;
    bool failed = false;
    Endpoint from, to;
  };

  bool is_cut(std::size_t a, std::size_t b) const { return cut_.count(std::minmax(a, b)) > 0; }
  void push(Instant at, std::function<void()> what) { events_.emplace(std::pair(at, order_++), std::move(what)); }
  std::size_t open(std::size_t host) const {
    std::size_t n = 0;
    for (const auto& [id, conn] : conns_)
      for (const Side& side : conn.end) n += side.host == host && side.id.valid() && !side.closed && !side.gone;
    return n;
  }

  StreamId dial(std::size_t from, const Endpoint& to, Duration timeout) {
    const StreamId id{next_id_++};
    hosts_[from]->dialled.push_back(to);
    const std::size_t key = next_conn_++;
    Link& conn = conns_[key];
    std::size_t target = 0;
    while (target < hosts_.size() && hosts_[target]->rpc() != to) ++target;
    conn.from = {hosts_[from]->address(), static_cast<std::uint16_t>(40'000 + key % 20'000)};
    conn.to = to;
    conn.end[0] = {from, id, false, false, false, now_};
    conn.end[1].host = target;
    by_id_[{from, id.value}] = key;
    push(now_ + timeout, [this, key] { dial_failed(key, "i/o timeout"); });
    if (target == hosts_.size() || is_cut(from, target)) return id;
    push(now_ + latency, [this, key, target] {
      Link& c = conns_[key];
      if (!hosts_[target]->listening) {
        push(now_ + latency, [this, key] { dial_failed(key, "connect: connection refused"); });
        return;
      }
      c.end[1].id = StreamId{next_id_++};
      by_id_[{target, c.end[1].id.value}] = key;
      c.end[1].last = now_;
      if (hosts_[target]->on_accepted) hosts_[target]->on_accepted(now_, c.end[1].id, c.from);
      push(now_ + latency, [this, key] {
        Link& d = conns_[key];
        if (d.failed || d.end[0].closed || d.end[0].gone) return;
        d.connected = true;
        d.end[0].last = std::max(d.end[0].last, now_);
        if (hosts_[d.end[0].host]->on_connected) hosts_[d.end[0].host]->on_connected(now_, d.end[0].id, d.from);
      });
    });
    return id;
  }
  void dial_failed(std::size_t key, std::string_view why) {
    Link& conn = conns_[key];
    Side& side = conn.end[0];
    if (conn.connected || conn.failed || side.closed || side.gone) return;
    conn.failed = true;
    side.gone = true;
    hosts_[side.host]->on_failed(now_, side.id, "dial tcp " + conn.to.text() + ": " + std::string(why));
  }

  std::pair<Link*, int> find(std::size_t host, StreamId id) {
    const auto it = by_id_.find({host, id.value});
    if (it == by_id_.end()) return {nullptr, 0};
    Link& conn = conns_[it->second];
    return {&conn, conn.end[0].host == host && conn.end[0].id == id ? 0 : 1};
  }
  std::size_t key_of(std::size_t host, StreamId id) { return by_id_.at({host, id.value}); }

  void send(std::size_t host, StreamId id, const Bytes& payload) {
    REQUIRE(!payload.empty());
    auto [conn, mine] = find(host, id);
    if (conn == nullptr || conn->end[mine].gone) return;
    REQUIRE(!conn->end[mine].closed);
    Side& other = conn->end[1 - mine];
    if (is_cut(conn->end[0].host, conn->end[1].host)) return;
    const std::size_t key = key_of(host, id);
    if (other.closed || other.gone) {  // nobody is there any more
      push(now_ + latency * 2, [this, key, side = mine] { reset_now(key, side); });
      return;
    }
    std::size_t from = 0;
    while (from < payload.size()) {
      std::size_t count = payload.size() - from;
      if (cuts > 1) count = std::min(count, 1 + draw_.below(std::max<std::uint64_t>(1, payload.size() * 2 / cuts)));
      other.last = std::max(other.last, now_ + latency + Duration{static_cast<std::int64_t>(draw_.below(50'000))});
      push(other.last, [this, key, side = 1 - mine, piece = payload.slice(from, count)] {
        Side& to = conns_[key].end[side];
        if (to.closed || to.gone || to.ended) return;
        bytes += piece.size();
        if (hosts_[to.host]->on_data) hosts_[to.host]->on_data(now_, to.id, piece);
      });
      from += count;
    }
  }
  void close(std::size_t host, StreamId id) {
    auto [conn, mine] = find(host, id);
    REQUIRE(conn != nullptr);
    REQUIRE(!conn->end[mine].closed);
    conn->end[mine].closed = true;
    if (!conn->end[mine].gone && !is_cut(conn->end[0].host, conn->end[1].host)) fin(key_of(host, id), 1 - mine);
  }
  /// To that side.
  void fin(std::size_t key, int side) {
    Side& to = conns_[key].end[side];
    to.last = std::max(to.last, now_ + latency);
    push(to.last, [this, key, side] {
      Side& s = conns_[key].end[side];
      if (s.closed || s.gone || s.ended || !s.id.valid()) return;
      s.ended = true;
      if (hosts_[s.host]->on_eof) hosts_[s.host]->on_eof(now_, s.id);
    });
  }
  void reset(std::size_t key, int side) {
    push(now_ + latency, [this, key, side] { reset_now(key, side); });
  }
  void reset_now(std::size_t key, int side) {
    Link& conn = conns_[key];
    Side& s = conn.end[side];
    if (s.closed || s.gone || !s.id.valid() || (side == 0 && !conn.connected)) return;
    s.gone = true;
    const Endpoint& local = side == 0 ? conn.from : conn.to;
    const Endpoint& remote = side == 0 ? conn.to : conn.from;
    if (hosts_[s.host]->on_failed) {
      hosts_[s.host]->on_failed(now_, s.id,
                                "read tcp " + local.text() + "->" + remote.text() + ": read: connection reset by peer");
    }
  }

  std::vector<std::unique_ptr<Host>> hosts_;
  std::map<std::pair<Instant, std::uint64_t>, std::function<void()>> events_;
  std::map<std::size_t, Link> conns_;
  std::map<std::pair<std::size_t, std::uint32_t>, std::size_t> by_id_;
  std::set<std::pair<std::size_t, std::size_t>> cut_;
  Instant now_;
  std::uint64_t order_ = 0;
  std::uint32_t next_id_ = 1;
  std::size_t next_conn_ = 0;
  std::size_t steps_ = 0;
  Rng draw_;
};

}  // namespace dcsim::test
