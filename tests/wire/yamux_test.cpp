#include "wire/yamux.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "support/alloc_counter.h"
#include "support/vectors.h"

// hashicorp/yamux: spec.md, session.go, stream.go; its own tests' situations by name where there is one.

namespace dcsim::test {
namespace {

using namespace wire;
using Kind = YamuxEvent::Kind;

constexpr Instant kStart{};

/// Both ends over a perfect connection that cuts the bytes into pieces of `step`.
struct Pair {
  explicit Pair(std::size_t step_bytes = 4096, YamuxConfig config = {})
      : step(step_bytes),
        client(YamuxSession::Side::kClient, config, kStart),
        server(YamuxSession::Side::kServer, config, kStart) {}

  bool carry(YamuxSession& from, YamuxSession& to) {
    const ByteView out = from.output();
    if (out.empty()) return false;
    const std::size_t count = std::min(step, out.size());
    to.receive(out.first(count), now);
    from.took(count, now);
    return true;
  }
  /// Until neither has anything to send; neither side reads meanwhile.
  void settle() {
    for (bool moved = true; moved;) {
      moved = carry(client, server);
      moved |= carry(server, client);
    }
  }
  /// Lets time pass in both, with everything carried at once.
  void run_until(Instant end) {
    for (;;) {
      settle();
      const Instant next = std::min(client.next_deadline(), server.next_deadline());
      if (next > end) break;
      now = next;
      client.advance(now);
      server.advance(now);
    }
    now = end;
  }
  /// A stream both sides have.
  std::uint32_t stream() {
    std::uint32_t id = 0;
    REQUIRE(client.open(id, now) == YamuxError::kNone);
    settle();
    std::uint32_t accepted = 0;
    REQUIRE(server.accept(accepted, now));
    CHECK(accepted == id);
    settle();
    drain(client);
    drain(server);
    return id;
  }
  static void drain(YamuxSession& session) {
    for (YamuxEvent event; session.next_event(event);) {
    }
  }

  std::size_t step;
  Instant now = kStart;
  YamuxSession client;
  YamuxSession server;
};

std::vector<Kind> kinds(YamuxSession& session) {
  std::vector<Kind> out;
  for (YamuxEvent event; session.next_event(event);) out.push_back(event.kind);
  return out;
}
YamuxEvent last_event(YamuxSession& session) {
  YamuxEvent last;
  last.kind = Kind::kOpened;
  for (YamuxEvent event; session.next_event(event);) last = event;
  return last;
}
std::string text(const Bytes& bytes) { return std::string(text_of(bytes)); }
std::string hex_out(YamuxSession& session) {
  std::string out = to_hex(session.output());
  session.took(session.output().size(), kStart);
  return out;
}

}  // namespace

TEST_CASE("yamux: the frames of a short exchange, byte for byte") {
  Pair pair;
  std::uint32_t id = 0;
  REQUIRE(pair.client.open(id, kStart) == YamuxError::kNone);
  CHECK(id == 1);
  const std::string syn = hex_out(pair.client);
  CHECK(syn == "000100010000000100000000");  // window update, SYN, stream 1, delta 0
  pair.server.receive(from_hex(syn), kStart);
  CHECK(kinds(pair.server) == std::vector{Kind::kIncoming});
  REQUIRE(pair.server.accept(id, kStart));
  const std::string ack = hex_out(pair.server);
  CHECK(ack == "000100020000000100000000");  // window update, ACK
  pair.client.receive(from_hex(ack), kStart);
  CHECK(kinds(pair.client) == std::vector{Kind::kOpened});
  pair.client.write(1, view_of("hi"), kStart);
  const std::string data = hex_out(pair.client);
  CHECK(data == "0000000000000001000000026869");
  pair.server.receive(from_hex(data), kStart);
  CHECK(text(pair.server.read(1, kStart)) == "hi");
  CHECK(pair.server.output().empty());  // less than half the window: no update
  pair.server.close(1, kStart);
  CHECK(hex_out(pair.server) == "000100040000000100000000");  // FIN
  CHECK(pair.server.open(id, kStart) == YamuxError::kNone);
  CHECK(id == 2);  // servers number evenly
}

TEST_CASE("yamux: many streams both ways, whatever the pieces") {
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{5}, std::size_t{13}, std::size_t{1448}, std::size_t{70'000}}) {
    CAPTURE(step);
    Pair pair(step);
    std::vector<std::uint32_t> streams;
    for (int i = 0; i < 9; ++i) streams.push_back(pair.stream());
    std::map<std::uint32_t, std::string> sent, got, answered;
    for (int round = 0; round < 5; ++round) {
      for (const std::uint32_t id : streams) {
        const std::string part(1 + id * 17 % 97 * (round + 1), static_cast<char>('a' + (id + round) % 26));
        sent[id] += part;
        REQUIRE(pair.client.write(id, view_of(part), pair.now) == YamuxError::kNone);
        REQUIRE(pair.server.write(id, view_of(part), pair.now) == YamuxError::kNone);
      }
      pair.settle();
      for (const std::uint32_t id : streams) {
        got[id] += text(pair.server.read(id, pair.now));
        answered[id] += text(pair.client.read(id, pair.now));
      }
    }
    CHECK(got == sent);
    CHECK(answered == sent);
  }
}

TEST_CASE("yamux: a writer stops at the peer's window and goes on with the half-window update") {
  Pair pair(65'536);
  const std::uint32_t id = pair.stream();
  const std::string big(300 * 1024, 'x');
  REQUIRE(pair.client.write(id, view_of(big), pair.now) == YamuxError::kNone);
  CHECK(pair.client.waiting(id) == 44 * 1024);
  pair.settle();
  CHECK(pair.server.readable(id) == kYamuxWindow);
  CHECK(text(pair.server.read(id, pair.now)).size() == kYamuxWindow);
  CHECK(to_hex(pair.server.output()) == "000100000000000100040000");  // all of the window again
  pair.settle();
  CHECK(pair.client.waiting(id) == 0);
  CHECK(kinds(pair.client) == std::vector{Kind::kDrained});
  CHECK(pair.server.readable(id) == 44 * 1024);

  SUBCASE("less than half the window is not announced") {
    pair.server.read(id, pair.now);
    CHECK(pair.server.output().empty());
    pair.client.write(id, view_of(std::string(80 * 1024, 'y')), pair.now);
    pair.settle();
    pair.server.read(id, pair.now);
    CHECK(pair.server.output().empty());
    pair.client.write(id, view_of(std::string(4 * 1024, 'z')), pair.now);  // 44 + 80 + 4 = half
    pair.settle();
    pair.server.read(id, pair.now);
    CHECK(to_hex(pair.server.output()) == "000100000000000100020000");
  }
}

TEST_CASE("yamux: a reader in the middle of a frame offers only what it has taken") {
  Pair pair;
  const std::uint32_t id = pair.stream();
  pair.client.write(id, view_of(std::string(200 * 1024, 'x')), pair.now);
  pair.server.receive(pair.client.output().first(kYamuxHeaderBytes + 150 * 1024), pair.now);
  CHECK(pair.server.read(id, pair.now).size() == 150 * 1024);
  CHECK(to_hex(pair.server.output()) == "000100000000000100025800");  // 150 KiB; 50 KiB of the frame are to come
}

TEST_CASE("yamux: more data than the window allows ends the session with a protocol error") {
  Pair pair;
  const std::uint32_t id = pair.stream();
  Buffer frame;
  append_yamux_header(YamuxType::kData, 0, id, kYamuxWindow + 1, frame);
  pair.server.receive(frame, pair.now);
  CHECK(pair.server.error() == YamuxError::kRecvWindowExceeded);
  CHECK(to_hex(pair.server.output()) == "000300000000000000000001");  // go away: protocol error
  pair.settle();
  CHECK(pair.client.error() == YamuxError::kProtocolGoAway);
  CHECK(text_of(pair.client.error()) == "yamux protocol error");
}

TEST_CASE("yamux: closing one side leaves the other open, closing both forgets the stream") {
  Pair pair;
  const std::uint32_t id = pair.stream();
  pair.client.write(id, view_of("bye"), pair.now);
  pair.client.close(id, pair.now);
  CHECK(pair.client.write(id, view_of("x"), pair.now) == YamuxError::kStreamClosed);
  pair.settle();
  CHECK(kinds(pair.server) == std::vector{Kind::kReadable, Kind::kEnd});
  CHECK(text(pair.server.read(id, pair.now)) == "bye");
  CHECK(pair.server.write(id, view_of("still here"), pair.now) == YamuxError::kNone);
  pair.settle();
  CHECK(pair.client.streams() == 1);
  pair.server.close(id, pair.now);
  pair.settle();
  CHECK(pair.client.streams() == 0);
  CHECK(pair.server.streams() == 0);
  CHECK(kinds(pair.client).empty());  // who has closed is told nothing more
}

TEST_CASE("yamux: what was written before close arrives before the end, though the window was shut") {
  Pair pair;
  const std::uint32_t id = pair.stream();
  pair.client.write(id, view_of(std::string(kYamuxWindow + 10, 'z')), pair.now);
  pair.client.close(id, pair.now);
  std::size_t got = 0;
  for (int i = 0; i < 3; ++i) {
    pair.settle();
    got += pair.server.read(id, pair.now).size();
  }
  CHECK(got == kYamuxWindow + 10);
  CHECK(last_event(pair.server).kind == Kind::kEnd);
}

TEST_CASE("yamux: a second FIN is an unexpected flag") {
  Pair pair;
  const std::uint32_t id = pair.stream();
  Buffer fin;
  append_yamux_header(YamuxType::kWindowUpdate, kYamuxFin, id, 0, fin);
  pair.server.receive(fin, pair.now);
  CHECK_FALSE(pair.server.over());
  pair.server.receive(fin, pair.now);
  CHECK(pair.server.error() == YamuxError::kUnexpectedFlag);
}

TEST_CASE("yamux: a reset ends the stream, not the session") {
  Pair pair;
  const std::uint32_t id = pair.stream();
  Buffer reset;
  append_yamux_header(YamuxType::kWindowUpdate, kYamuxRst, id, 0, reset);
  pair.client.receive(reset, pair.now);
  const YamuxEvent event = last_event(pair.client);
  CHECK(event.kind == Kind::kReset);
  CHECK(text_of(event.error) == "connection reset");
  CHECK(pair.client.write(id, view_of("x"), pair.now) == YamuxError::kStreamClosed);
  CHECK_FALSE(pair.client.over());
}

TEST_CASE("yamux: the accept backlog of 256 overflows into resets") {
  Pair pair;
  std::uint32_t id = 0;
  for (int i = 0; i < 256; ++i) REQUIRE(pair.client.open(id, pair.now) == YamuxError::kNone);
  CHECK(pair.client.open(id, pair.now) == YamuxError::kTooManyUnanswered);  // the opener's own limit
  pair.settle();
  CHECK(pair.server.streams() == 256);
  Buffer syn;
  append_yamux_header(YamuxType::kWindowUpdate, kYamuxSyn, 9001, 0, syn);
  pair.server.receive(syn, pair.now);
  CHECK(to_hex(pair.server.output()) == "000100080000232900000000");  // RST of stream 9001
  CHECK(pair.server.streams() == 256);
  std::uint32_t first = 0;
  REQUIRE(pair.server.accept(first, pair.now));
  CHECK(first == 1);
  pair.settle();
  CHECK(pair.client.open(id, pair.now) == YamuxError::kNone);
}

TEST_CASE("yamux: streams that are reset without an answer make room for others") {
  Pair pair;
  std::uint32_t id = 0;
  for (int i = 0; i < 256; ++i) REQUIRE(pair.client.open(id, pair.now) == YamuxError::kNone);
  Buffer reset;
  append_yamux_header(YamuxType::kWindowUpdate, kYamuxRst, id, 0, reset);
  pair.client.receive(reset, pair.now);
  CHECK(pair.client.open(id, pair.now) == YamuxError::kNone);
  CHECK(pair.client.open(id, pair.now) == YamuxError::kTooManyUnanswered);
}

TEST_CASE("yamux: a duplicate SYN, a wrong version, a wrong type end the session") {
  const auto error_of = [](std::string_view hex) {
    Pair pair;
    pair.stream();
    pair.server.receive(from_hex(hex), pair.now);
    return pair.server.error();
  };
  CHECK(error_of("000100010000000100000000") == YamuxError::kDuplicateStream);
  CHECK(error_of("010100010000000300000000") == YamuxError::kInvalidVersion);
  CHECK(error_of("000400000000000000000000") == YamuxError::kInvalidMsgType);
  CHECK(error_of("000300000000000000000002") == YamuxError::kInternalGoAway);
  CHECK(error_of("000300000000000000000007") == YamuxError::kUnexpectedGoAway);
  CHECK(error_of("000000000000006300000003787878") == YamuxError::kNone);  // data for a stream we never had
}

TEST_CASE("yamux: after a go-away the peer opens no more streams, and ours that come late are reset") {
  Pair pair;
  const std::uint32_t id = pair.stream();
  pair.server.go_away(pair.now);
  std::uint32_t late = 0;
  REQUIRE(pair.client.open(late, pair.now) == YamuxError::kNone);  // crosses the go-away
  pair.settle();
  std::uint32_t other = 0;
  CHECK(pair.client.open(other, pair.now) == YamuxError::kRemoteGoAway);
  CHECK(kinds(pair.client) == std::vector{Kind::kGoAway, Kind::kReset});
  CHECK(pair.client.write(id, view_of("old streams go on"), pair.now) == YamuxError::kNone);
}

TEST_CASE("yamux: keepalive pings 30 s after the last answer and gives up 10 s after one without") {
  Pair pair;
  pair.run_until(Instant{} + 95_s);
  CHECK_FALSE(pair.client.over());
  CHECK(pair.client.next_deadline() == Instant{} + 120_s);

  SUBCASE("the path goes silent: noticed at 40 s, as keepalive timeout") {
    pair.now = Instant{} + 120_s;
    pair.client.advance(pair.now);
    CHECK(to_hex(pair.client.output()) == "000200010000000000000003");  // ping, SYN, the fourth
    pair.client.took(12, pair.now);
    pair.client.advance(Instant{} + 129_s);
    CHECK_FALSE(pair.client.over());
    pair.client.advance(Instant{} + 130_s);
    const YamuxEvent event = last_event(pair.client);
    CHECK(event.kind == Kind::kClosed);
    CHECK(text_of(event.error) == "keepalive timeout");
    CHECK(text_of(event.cause) == "i/o deadline reached");
  }
  SUBCASE("the connection takes nothing: the ping's own write times out") {
    pair.client.advance(Instant{} + 120_s);
    pair.client.advance(Instant{} + 130_s);
    CHECK(text_of(last_event(pair.client).cause) == "connection write timeout");
  }
}

TEST_CASE("yamux: a frame the connection does not take for 10 s is reported to its stream") {
  Pair pair;
  const std::uint32_t id = pair.stream();
  pair.client.write(id, view_of("stuck"), pair.now);
  CHECK(pair.client.next_deadline() == Instant{} + 10_s);
  pair.client.advance(Instant{} + 10_s);
  const YamuxEvent event = last_event(pair.client);
  CHECK(event.kind == Kind::kWriteTimeout);
  CHECK(event.stream == id);
  CHECK_FALSE(pair.client.over());
  pair.now = Instant{} + 12_s;
  pair.settle();
  CHECK(text(pair.server.read(id, pair.now)) == "stuck");
}

TEST_CASE("yamux: a SYN without answer ends the session after 75 s") {
  YamuxConfig config;
  config.keepalive = false;
  YamuxSession client(YamuxSession::Side::kClient, config, kStart);
  std::uint32_t id = 0;
  REQUIRE(client.open(id, kStart) == YamuxError::kNone);
  client.took(client.output().size(), kStart);
  CHECK(client.next_deadline() == kStart + 75_s);
  client.advance(kStart + 75_s);
  const YamuxEvent event = last_event(client);
  CHECK(event.error == YamuxError::kSessionShutdown);
  CHECK(event.cause == YamuxError::kTimeout);
  CHECK(client.open(id, kStart) == YamuxError::kSessionShutdown);
}

TEST_CASE("yamux: a peer that never answers our FIN gets a reset after 5 minutes") {
  YamuxConfig config;
  config.keepalive = false;
  Pair pair(4096, config);
  const std::uint32_t id = pair.stream();
  pair.client.close(id, pair.now);
  pair.settle();
  CHECK(pair.client.next_deadline() == kStart + 300_s);
  pair.run_until(kStart + 301_s);
  CHECK(pair.client.streams() == 0);
  CHECK(last_event(pair.server).kind == Kind::kReset);
}

TEST_CASE("yamux: when the connection ends, what came can still be read") {
  Pair pair;
  const std::uint32_t id = pair.stream();
  pair.client.write(id, view_of("last words"), pair.now);
  pair.settle();
  pair.server.lost();
  CHECK(last_event(pair.server).error == YamuxError::kEof);
  CHECK(text(pair.server.read(id, pair.now)) == "last words");
  CHECK(pair.server.write(id, view_of("x"), pair.now) == YamuxError::kSessionShutdown);
  CHECK(pair.server.next_deadline() == Instant::never());
}

TEST_CASE("yamux: a flood of pings or of streams does not fill memory") {
  YamuxSession server(YamuxSession::Side::kServer, {}, kStart);
  Buffer flood;
  SUBCASE("pings") {
    for (std::uint32_t i = 0; i < 100'000; ++i) append_yamux_header(YamuxType::kPing, kYamuxSyn, 0, i, flood);
    server.receive(flood, kStart);
    CHECK(server.output().size() == 4096 * kYamuxHeaderBytes);
    CHECK_FALSE(server.over());
  }
  SUBCASE("streams") {
    for (std::uint32_t i = 1; i < 100'000; i += 2)
      append_yamux_header(YamuxType::kWindowUpdate, kYamuxSyn, i, 0, flood);
    server.receive(flood, kStart);
    CHECK(server.streams() == 256);
    CHECK(server.error() == YamuxError::kConnectionWriteTimeout);
  }
}

TEST_CASE("yamux: calls on an established stream allocate nothing in the steady state") {
  Pair pair;
  const std::uint32_t id = pair.stream();
  const std::string request(700, 'q'), answer(5000, 'a');
  Buffer got;
  std::size_t bytes = 0;
  const auto call = [&] {
    pair.client.write(id, view_of(request), pair.now);
    pair.settle();
    got.clear();
    bytes += pair.server.read(id, got, pair.now);
    pair.server.write(id, view_of(answer), pair.now);
    pair.settle();
    got.clear();
    bytes += pair.client.read(id, got, pair.now);
    Pair::drain(pair.client);
    Pair::drain(pair.server);
  };
  for (int i = 0; i < 400; ++i) call();  // past both sides' first window updates
  const auto before = allocations();
  for (int i = 0; i < 500; ++i) call();
  const auto made = allocations() - before;
  CHECK(made == 0);
  CHECK(bytes == 900 * (700 + 5000));
}

}  // namespace dcsim::test
