#include "gossip/notice.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "pools.h"
#include "wire/packet.h"
#include "wire/stream.h"

using namespace dcsim;
using namespace dcsim::test;
using namespace dcsim::literals;

// The lines of memberlist 0.5 (state.go, net.go, memberlist.go), as its log shows them.

namespace {

/// By one node, or ("") by any.
bool logged(const FakeNet& net, std::string_view node, std::string_view line) {
  return std::any_of(net.records.begin(), net.records.end(),
                     [&](const FakeNet::Record& r) { return (node.empty() || r.node == node) && r.log == line; });
}

std::string line(Notice n) {
  static Directory directory;
  return log_text(n, directory);
}

}  // namespace

TEST_CASE("log: a blocked UDP path shows as a failed ping, and as a warning once TCP has answered") {
  Quiet pool(4);
  pool.net().blocked = no_udp("n0", "n1");
  // Nobody can help: the other two do not reach n1 either.
  pool.net().blocked = [](const FakeNet::Port& from, const FakeNet::Port& to, bool stream) { return !stream && (from.name == "n1" || to.name == "n1"); };
  pool.net().run_for(20_s);
  CHECK(logged(pool.net(), "n0", "[DEBUG] memberlist: Failed UDP ping: n1 (timeout reached)"));
  CHECK(logged(pool.net(), "n0", "[WARN] memberlist: Was able to connect to n1 over TCP but UDP probes failed, network may be misconfigured"));
  CHECK_FALSE(logged(pool.net(), "n0", "[INFO] memberlist: Suspect n1 has failed, no acks received"));
}

TEST_CASE("log: suspicion, refutation and the end of both") {
  Quiet pool(4);
  pool.net().blocked = [](const FakeNet::Port& from, const FakeNet::Port& to, bool) { return from.name == "n1" || to.name == "n1"; };
  pool.net().run_for(3_s);
  pool.net().blocked = nullptr;
  pool.net().run_for(5_s);
  CHECK(logged(pool.net(), "", "[INFO] memberlist: Suspect n1 has failed, no acks received"));
  const bool refuted = std::any_of(pool.net().records.begin(), pool.net().records.end(), [](const FakeNet::Record& r) {
    return r.node == "n1" && r.log.starts_with("[WARN] memberlist: Refuting a suspect message (from: n");
  });
  CHECK(refuted);
  pool.pool.crash(2);
  pool.net().run_for(30_s);
  CHECK(logged(pool.net(), "", "[INFO] memberlist: Marking n2 as failed, suspect timeout reached (2 peer confirmations)"));
}

TEST_CASE("log: a fallback ping is only worth a line if the connection was there, and says how long it waited") {
  Quiet pool(3);
  pool.pool.crash(1);  // refuses at once: no line
  pool.net().run_for(10_s);
  CHECK(pool.net().count(K::kFallbackFailed) > 0);
  CHECK(std::none_of(pool.net().records.begin(), pool.net().records.end(), [](const FakeNet::Record& r) { return r.kind == K::kFallbackFailed && !r.log.empty(); }));
  Notice n;
  n.kind = NoticeKind::kFallbackFailed;
  n.aux = 1;
  n.elapsed = 2_s;
  n.text = "read tcp 10.0.0.2:7946: i/o timeout";
  CHECK(line(n) == "[ERR] memberlist: Failed fallback TCP ping: timeout 2s: read tcp 10.0.0.2:7946: i/o timeout");
  n.elapsed = 1500_ms;
  CHECK(line(n) == "[ERR] memberlist: Failed fallback TCP ping: timeout 1.5s: read tcp 10.0.0.2:7946: i/o timeout");
  n.elapsed = 200_ms;
  CHECK(line(n).find("timeout 200ms: ") != std::string::npos);
  n.text = "EOF";
  CHECK(line(n) == "[ERR] memberlist: Failed fallback TCP ping: EOF");
}

TEST_CASE("log: datagrams that the machine does not send, with its reason") {
  struct Refusing final : Actions {
    SendStatus send_packet(const Endpoint&, const Bytes&) override { return SendStatus::kNetworkError; }
    std::string send_error() const override { return "write udp 10.0.0.1:7946->10.0.0.2:7946: sendto: operation not permitted"; }
    StreamId dial(const Endpoint&, Duration) override { return StreamId{next++}; }
    void stream_send(StreamId, const Bytes&) override {}
    void stream_close(StreamId) override {}
    Cause note(const Notice& n) override {
      if (const std::string text = log_text(n, *directory); !text.empty()) lines.push_back(text);
      return {};
    }
    void because(Cause) override {}
    std::uint32_t next = 0;
    Directory* directory = nullptr;
    std::vector<std::string> lines;
  } actions;
  Directory directory;
  Workspace workspace;
  Delegate nobody;
  actions.directory = &directory;
  MemberlistConfig c = without_push_pull();
  c.name = "a";
  c.advertise = address(1);
  Memberlist list(c, directory, workspace, actions, nobody, 1, "a");
  list.start(Instant{0});
  const Versions vsn{1, 5, 2, 0, 0, 0};
  const Endpoint b = address(2);
  Buffer bytes;
  wire::Alive alive;
  alive.addr = b.address.bytes();
  alive.incarnation = 1;
  alive.node = "b";
  alive.port = b.port;
  alive.vsn = ByteView(vsn);
  wire::encode(alive, bytes);
  list.on_packet(Instant{0}, b, Bytes(bytes));
  list.on_deadline(Instant{0} + 1_s);
  const auto said = [&](std::string_view text) { return std::find(actions.lines.begin(), actions.lines.end(), text) != actions.lines.end(); };
  const std::string why = "write udp 10.0.0.1:7946->10.0.0.2:7946: sendto: operation not permitted";
  CHECK(said("[ERR] memberlist: Failed to send gossip to 10.0.0.2:7946: " + why));
  CHECK(said("[ERR] memberlist: Failed to send UDP ping: " + why));
  // A ping from b, and one that b asks for.
  wire::Ping ping;
  ping.node = "a";
  ping.seq_no = 7;
  bytes.clear();
  wire::encode(ping, bytes);
  list.on_packet(Instant{0} + 1_s, b, Bytes(bytes));
  CHECK(said("[ERR] memberlist: Failed to send ack: " + why + " from=10.0.0.2:7946"));
  wire::IndirectPing ask;
  const Endpoint c3 = address(3);
  ask.node = "c";
  ask.target = c3.address.bytes();
  ask.port = c3.port;
  ask.nack = true;
  bytes.clear();
  wire::encode(ask, bytes);
  list.on_packet(Instant{0} + 1_s, b, Bytes(bytes));
  list.on_deadline(Instant{0} + 2_s);
  CHECK(said("[ERR] memberlist: Failed to send indirect ping: " + why + " from=10.0.0.2:7946"));
  CHECK(said("[ERR] memberlist: Failed to send nack: " + why + " from=10.0.0.2:7946"));
  ping.node = "somebody";
  bytes.clear();
  wire::encode(ping, bytes);
  list.on_packet(Instant{0} + 2_s, b, Bytes(bytes));
  CHECK(said("[WARN] memberlist: Got ping for unexpected node 'somebody' from=10.0.0.2:7946"));
}

TEST_CASE("log: packets and streams that cannot be read, by what is wrong with them") {
  const auto packet = [](wire::PacketDrop drop, std::int64_t value) {
    Notice n;
    n.kind = NoticeKind::kPacketDropped;
    n.aux = static_cast<std::uint32_t>(drop);
    n.value = value;
    n.peer = address(9);
    return line(n);
  };
  CHECK(packet(wire::PacketDrop::kEmpty, 0) == "[ERR] memberlist: missing message type byte from=10.0.0.9:7946");
  CHECK(packet(wire::PacketDrop::kBadCrc, 0) == "[WARN] memberlist: Got invalid checksum for UDP packet");
  CHECK(packet(wire::PacketDrop::kTruncatedCompound, 3) == "[WARN] memberlist: Compound request had 3 truncated messages from=10.0.0.9:7946");
  CHECK(packet(wire::PacketDrop::kBadCompound, 7) == "[ERR] memberlist: Failed to decode compound request: truncated len slice from=10.0.0.9:7946");
  CHECK(packet(wire::PacketDrop::kUnknownType, 77) == "[ERR] memberlist: msg type (77) not supported from=10.0.0.9:7946");
  CHECK(packet(wire::PacketDrop::kBadBody, 4).starts_with("[ERR] memberlist: Failed to decode alive message: "));
  const auto stream = [](wire::StreamError error, std::int64_t value) {
    Notice n;
    n.kind = NoticeKind::kStreamDropped;
    n.aux = static_cast<std::uint32_t>(error);
    n.value = value;
    n.text = wire::text_of(error);
    n.peer = address(9);
    return line(n);
  };
  CHECK(stream(wire::StreamError::kTruncated, 0) == "[ERR] memberlist: Failed to read remote state: unexpected EOF from=10.0.0.9:7946");
  CHECK(stream(wire::StreamError::kBadCompress, 0) == "[ERR] memberlist: failed to receive: failed to decompress payload from=10.0.0.9:7946");
  CHECK(stream(wire::StreamError::kUnknownType, 3) == "[ERR] memberlist: Received invalid msgType (3) from=10.0.0.9:7946");
  CHECK(stream(wire::StreamError::kLabelMismatch, 0) == "[ERR] memberlist: discarding stream with unacceptable label: from=10.0.0.9:7946");
}

TEST_CASE("log: the level of a line is known without building it") {
  static Directory directory;
  for (std::size_t k = 0; k < static_cast<std::size_t>(NoticeKind::kCount_); ++k) {
    for (const std::uint32_t aux : {0u, 1u, 5u, 7u}) {
      Notice n;
      n.kind = static_cast<NoticeKind>(k);
      n.aux = aux;
      n.text = "text";
      n.name = "name";
      CAPTURE(notice_name(n.kind));
      const std::string text = log_text(n, directory);
      switch (log_severity(n)) {
        case LogSeverity::kNone:
          CHECK(text.empty());
          break;
        case LogSeverity::kTrace:
          CHECK(text.starts_with("[TRACE] memberlist: "));
          break;
        case LogSeverity::kDebug:
          CHECK(text.starts_with("[DEBUG] memberlist: "));
          break;
        case LogSeverity::kInfo:
          CHECK(text.starts_with("[INFO] memberlist: "));
          break;
        case LogSeverity::kWarn:
          CHECK(text.starts_with("[WARN] memberlist: "));
          break;
        case LogSeverity::kError:
          CHECK(text.starts_with("[ERR] memberlist: "));
      }
      if (log_severity(n) != LogSeverity::kNone) CHECK(text.size() > 20);
    }
  }
}

TEST_CASE("notices: a push/pull tells its sizes, its time and how many entries went each way") {
  Pool pool(3);
  struct Seen {
    Notice notice;
    std::string node;
  };
  pool.start_all();
  pool.net.run_for(2_min);
  const FakeNet::Record* sent = pool.net.first(K::kStateSent);
  const FakeNet::Record* received = pool.net.first(K::kStateReceived);
  REQUIRE(sent);
  REQUIRE(received);
  CHECK(sent->value > 60);        // one entry and the header
  CHECK(received->value > 60);    // compression makes so little larger
  CHECK(pool.net.count(K::kStateSent) == 2 * pool.net.count(K::kPushPullFinished));
  CHECK(pool.net.count(K::kStateReceived) == 2 * pool.net.count(K::kPushPullFinished));
  const auto grown = std::max_element(pool.net.records.begin(), pool.net.records.end(), [](const FakeNet::Record& a, const FakeNet::Record& b) {
    return (a.kind == K::kStateSent ? a.value : 0) < (b.kind == K::kStateSent ? b.value : 0);
  });
  CHECK(grown->value > 2 * sent->value);  // three entries
}
