#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/rng.h"
#include "net/tcp.h"

namespace dcsim::net::test {

using namespace dcsim::literals;

inline Endpoint at(const char* address, std::uint16_t port) { return {*Address::parse(address), port}; }

class TcpPair;

/// One host of a TcpPair: a stack and what its process heard.
class TcpHost : public TcpOutput {
 public:
  TcpHost(TcpPair& pair, int side, const TcpConfig& config, const char* name);

  void emit(const TcpSegment& segment) override;
  void arm(TcpId id, Instant deadline) override { timers[id] = deadline; }
  void on_connected(TcpId) override {
    ++connected;
    log("connected");
  }
  void on_accepted(TcpId id, std::uint64_t user, const Endpoint&, const Endpoint&) override {
    accepted.push_back(id);
    last_user = user;
    log("accepted");
  }
  void on_data(TcpId id, const Bytes& data) override {
    received.insert(received.end(), data.data(), data.data() + data.size());
    slices.push_back(data.size());
    if (react_data) react_data(id, data);
  }
  void on_end(TcpId id) override {
    ++ends;
    log("end");
    if (react_end) react_end(id);
  }
  void on_error(TcpId, const Endpoint& local, const Endpoint& remote, SocketError error) override {
    failed.push_back({local, remote});
    errors.push_back(error);
    log("error");
  }
  void on_writable(TcpId) override { ++writable; }

  struct Event {
    Instant at;
    std::string what;
  };
  void log(const char* what);

  TcpPair& pair;
  int side;
  TcpStack stack;
  std::map<TcpId, Instant> timers;
  std::vector<TcpId> accepted;
  std::vector<std::uint8_t> received;
  std::vector<std::size_t> slices;
  std::vector<SocketError> errors;
  std::vector<std::pair<Endpoint, Endpoint>> failed;  ///< beside `errors`: local, remote
  std::vector<Event> events;
  std::uint64_t last_user = 0;
  int connected = 0;
  int ends = 0;
  int writable = 0;
  std::function<void(TcpId, const Bytes&)> react_data;
  std::function<void(TcpId)> react_end;
};

/// Two hosts and a wire: a(10.0.0.1) --- latency --- b(10.0.0.2). Every segment is noted; `wire` may lose or delay it.
class TcpPair {
 public:
  struct Seen {
    Instant at;
    int from;
    TcpSegment segment;
    bool lost;
  };

  explicit TcpPair(TcpConfig given = {}, Duration latency_ = 1_ms, std::uint64_t seed_ = 1)
      : config(given), latency(latency_), seed(seed_), a(*this, 0, config, "a"), b(*this, 1, config, "b") {}

  /// true = lost. May change `delay`.
  std::function<bool(const Seen&, Duration& delay)> wire;

  void transmit(int from, const TcpSegment& segment) {
    Seen seen{now, from, segment, false};
    Duration delay = latency;
    seen.lost = wire && wire(seen, delay);
    if (keep_segments) segments.push_back(seen);
    ++count;
    if (!seen.lost) in_flight.push_back({now + delay, sequence++, from, segment});
  }

  bool step(Instant limit) {
    Instant best = Instant::never();
    std::size_t packet = in_flight.size();
    for (std::size_t i = 0; i < in_flight.size(); ++i) {
      if (packet == in_flight.size() || in_flight[i].before(in_flight[packet])) packet = i;
    }
    if (packet < in_flight.size()) best = in_flight[packet].at;
    TcpHost* host = nullptr;
    TcpId timer;
    for (TcpHost* h : {&a, &b}) {
      for (const auto& [id, deadline] : h->timers) {
        if (deadline < best) {
          best = deadline;
          host = h;
          timer = id;
        }
      }
    }
    if (best > limit || best == Instant::never()) return false;
    now = best;
    if (host) {
      host->timers[timer] = Instant::never();
      host->stack.on_timer(now, timer);
    } else {
      const Flying flying = std::move(in_flight[packet]);
      in_flight.erase(in_flight.begin() + static_cast<std::ptrdiff_t>(packet));
      (flying.from == 0 ? b : a).stack.on_segment(now, flying.segment);
    }
    return true;
  }
  void run_until(Instant limit) {
    while (step(limit)) {
    }
    now = limit;
  }
  void run_for(Duration d) { run_until(now + d); }

  /// a dials b's port 8301; both established after it, if the wire lets them.
  TcpId dial() {
    b.stack.listen({{}, 8301}, 7);
    const auto opened = a.stack.connect(now, at("10.0.0.1", 0), at("10.0.0.2", 8301));
    return opened.id;
  }
  TcpId dialled() {
    const TcpId id = dial();
    run_for(10 * latency);
    return id;
  }

  /// Instants, in milliseconds, at which `from` sent segments that `pick` accepts.
  std::vector<std::int64_t> sent_ms(int from, const std::function<bool(const TcpSegment&)>& pick) const {
    std::vector<std::int64_t> out;
    for (const Seen& seen : segments) {
      if (seen.from == from && pick(seen.segment)) out.push_back(Duration{seen.at.ns}.millis());
    }
    return out;
  }

  struct Flying {
    Instant at;
    std::uint64_t order;
    int from;
    TcpSegment segment;
    bool before(const Flying& other) const { return at < other.at || (at == other.at && order < other.order); }
  };

  TcpConfig config;
  Duration latency;
  std::uint64_t seed;
  Instant now{0};
  std::uint64_t sequence = 0;
  std::uint64_t count = 0;
  bool keep_segments = true;
  std::vector<Flying> in_flight;
  std::vector<Seen> segments;
  TcpHost a;
  TcpHost b;
};

inline TcpHost::TcpHost(TcpPair& pair_, int side_, const TcpConfig& config, const char* name)
    : pair(pair_), side(side_), stack(config, *this, Rng(pair_.seed, name, "tcp")) {}
inline void TcpHost::emit(const TcpSegment& segment) { pair.transmit(side, segment); }
inline void TcpHost::log(const char* what) { events.push_back({pair.now, what}); }

inline Bytes pattern(std::size_t size, std::uint64_t seed = 1) {
  Buffer buffer(size);
  Rng rng(seed, "pattern", "bytes");
  for (auto& byte : buffer) byte = static_cast<std::uint8_t>(rng.next());
  return Bytes(buffer);
}
inline bool same(const std::vector<std::uint8_t>& got, const Bytes& want) {
  return got.size() == want.size() && std::equal(got.begin(), got.end(), want.data());
}

}  // namespace dcsim::net::test
