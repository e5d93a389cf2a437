#include <doctest/doctest.h>

#include <map>

#include "firewall_fixture.h"

using namespace dcsim;
using namespace dcsim::net;
using namespace dcsim::net::test;

namespace {

constexpr Instant kStart{1'000'000'000};
constexpr std::uint8_t kSynAck = kTcpSyn | kTcpAck;
constexpr std::uint8_t kFinAck = kTcpFin | kTcpAck;

/// A table whose every flow is accepted.
struct Open {
  ConntrackConfig config;
  Conntrack table{config};
  Instant now = kStart;

  ConnState pass(const PacketMeta& meta) {
    const Conntrack::Tracked tracked = table.classify(meta, now);
    table.confirm(meta, tracked, now);
    return tracked.state;
  }
  std::size_t live() { return table.live(now); }
};

Firewall one_way(bool stateful = true) {
  return Firewall(config({replies(), allow("a-to-b", hosts({1}), hosts({2}), {kGossipUdp, kGossipTcp})},
                         FirewallAction::kDrop, stateful),
                  1);
}

}  // namespace

TEST_CASE("conntrack udp: new until a reply is seen, established for both directions from then on") {
  Open t;
  CHECK(t.pass(gossip(1, 2)) == ConnState::kNew);
  CHECK(t.pass(gossip(1, 2)) == ConnState::kNew);
  CHECK(t.pass(gossip(2, 1)) == ConnState::kEstablished);
  CHECK(t.pass(gossip(1, 2)) == ConnState::kEstablished);
  CHECK(t.pass(udp(1, 2, 8301, 8302)) == ConnState::kNew);  // another flow
  CHECK(t.pass(gossip(1, 3)) == ConnState::kNew);
}

TEST_CASE("conntrack udp: nf_conntrack_udp_timeout is 30 s; every packet renews it") {
  Open t;
  t.pass(gossip(1, 2));
  t.now += 29_s;
  t.pass(gossip(1, 2));
  t.now += 29_s;
  CHECK(t.live() == 1);
  t.now += 1_s;
  CHECK(t.live() == 0);
  CHECK(t.pass(gossip(2, 1)) == ConnState::kNew);  // forgotten: the reply begins a flow of its own
  CHECK(t.pass(gossip(1, 2)) == ConnState::kEstablished);
}

TEST_CASE("conntrack udp: a flow answered and still active after two seconds is a stream of 120 s") {
  Open t;
  t.pass(gossip(1, 2));
  t.pass(gossip(2, 1));
  t.now += 29_s;
  CHECK(t.live() == 1);
  t.now += 1_s;
  CHECK(t.live() == 0);  // question and answer at once: no stream

  Open u;
  u.pass(gossip(1, 2));
  u.pass(gossip(2, 1));
  u.now += 3_s;
  u.pass(gossip(1, 2));
  u.now += 119_s;
  CHECK(u.live() == 1);
  u.now += 1_s;
  CHECK(u.live() == 0);
}

TEST_CASE("conntrack tcp: handshake, data, FIN both ways; the timeouts follow the state") {
  Open t;
  const auto out = [&](std::uint8_t flags) { return t.pass(tcp(1, 2, 40000, 8300, flags)); };
  const auto back = [&](std::uint8_t flags) { return t.pass(tcp(2, 1, 8300, 40000, flags)); };
  const auto lives = [&](Duration d) { return t.table.live(t.now + d - 1_ns) == 1 && t.table.live(t.now + d) == 0; };
  CHECK(out(kTcpSyn) == ConnState::kNew);
  CHECK(lives(120_s));
  CHECK(out(kTcpSyn) == ConnState::kNew);  // the SYN again
  CHECK(back(kSynAck) == ConnState::kEstablished);
  CHECK(lives(60_s));
  CHECK(out(kTcpAck) == ConnState::kEstablished);
  CHECK(lives(120_h));
  CHECK(back(kTcpAck) == ConnState::kEstablished);
  CHECK(out(kFinAck) == ConnState::kEstablished);
  CHECK(lives(120_s));
  CHECK(back(kTcpAck) == ConnState::kEstablished);
  CHECK(lives(60_s));
  CHECK(back(kFinAck) == ConnState::kEstablished);
  CHECK(lives(30_s));
  CHECK(out(kTcpAck) == ConnState::kEstablished);
  CHECK(lives(120_s));
  CHECK(out(kTcpSyn) == ConnState::kNew);  // the port is used again
  CHECK(t.live() == 1);
  CHECK(lives(120_s));
}

TEST_CASE("conntrack tcp: RST closes for 10 s; a refused SYN leaves nothing behind") {
  Open t;
  t.pass(tcp(1, 2, 40000, 8300, kTcpSyn));
  t.pass(tcp(2, 1, 8300, 40000, kSynAck));
  t.pass(tcp(1, 2, 40000, 8300, kTcpAck));
  CHECK(t.pass(tcp(2, 1, 8300, 40000, kTcpRst)) == ConnState::kEstablished);
  CHECK(t.table.live(t.now + 9_s) == 1);
  CHECK(t.table.live(t.now + 10_s) == 0);

  Open refused;
  refused.pass(tcp(1, 2, 40000, 8300, kTcpSyn));
  CHECK(refused.pass(tcp(2, 1, 8300, 40000, kTcpRst | kTcpAck)) == ConnState::kEstablished);
  CHECK(refused.live() == 0);
}

TEST_CASE("conntrack tcp: segments that fit no connection are invalid and change nothing") {
  Open t;
  CHECK(t.pass(tcp(1, 2, 40000, 8300, kSynAck)) == ConnState::kInvalid);
  CHECK(t.pass(tcp(1, 2, 40000, 8300, kTcpRst)) == ConnState::kInvalid);
  CHECK(t.pass(tcp(1, 2, 40000, 8300, kFinAck)) == ConnState::kInvalid);
  CHECK(t.pass(tcp(1, 2, 40000, 8300, 0)) == ConnState::kInvalid);
  CHECK(t.live() == 0);
  t.pass(tcp(1, 2, 40000, 8300, kTcpSyn));
  CHECK(t.pass(tcp(1, 2, 40000, 8300, kTcpAck)) == ConnState::kInvalid);  // an ACK before the SYN-ACK
  CHECK(t.pass(tcp(2, 1, 8300, 40000, kSynAck)) == ConnState::kEstablished);
}

TEST_CASE(
    "conntrack tcp_loose: a connection whose SYN was not seen is picked up as new, for 300 s until it is answered") {
  Open t;
  CHECK(t.pass(tcp(2, 1, 8300, 40000, kTcpAck | kTcpPsh)) == ConnState::kNew);
  CHECK(t.table.live(t.now + 299_s) == 1);
  CHECK(t.table.live(t.now + 300_s) == 0);
  CHECK(t.pass(tcp(1, 2, 40000, 8300, kTcpAck)) == ConnState::kEstablished);
  CHECK(t.pass(tcp(2, 1, 8300, 40000, kTcpAck)) == ConnState::kEstablished);
  CHECK(t.table.live(t.now + 119_h) == 1);
  Open strict;
  strict.config.tcp_loose = false;
  CHECK(strict.pass(tcp(2, 1, 8300, 40000, kTcpAck)) == ConnState::kInvalid);
}

TEST_CASE("conntrack: an ICMP error that quotes a tracked flow is related, another one invalid; neither is tracked") {
  Open t;
  const FlowKey known = tcp(1, 2, 40000, 8300).flow;
  const FlowKey unknown = tcp(1, 2, 40001, 8300).flow;
  t.pass(tcp(1, 2, 40000, 8300, kTcpSyn));
  PacketMeta error = packet(7, 1, Protocol::kIcmp, 0, 0);
  error.quoted = &known;
  CHECK(t.pass(error) == ConnState::kRelated);
  error.quoted = &unknown;
  CHECK(t.pass(error) == ConnState::kInvalid);
  CHECK(t.live() == 1);
}

TEST_CASE("conntrack: IPv6 flows are tracked like IPv4 flows") {
  Open t;
  PacketMeta there = gossip(1, 2);
  there.flow.from = *Address::parse("fd00::1");
  there.flow.to = *Address::parse("fd00::2");
  PacketMeta back = there;
  back.flow = there.flow.reversed();
  CHECK(t.pass(there) == ConnState::kNew);
  CHECK(t.pass(back) == ConnState::kEstablished);
  there.flow.to = *Address::parse("fd00::3");
  CHECK(t.pass(there) == ConnState::kNew);
  CHECK(t.live() == 2);
}

TEST_CASE("conntrack: timeouts are set by the sysctl's name or in nftables' order of words") {
  ConntrackConfig c;
  CHECK(c.set("udp_timeout", 5_s));
  CHECK(c.udp_timeout == 5_s);
  CHECK(c.set("tcp_established_timeout", 6_s));
  CHECK(c.tcp_timeout_established == 6_s);
  CHECK(c.set("nf_conntrack_tcp_timeout_syn_sent", 7_s));
  CHECK(c.tcp_timeout_syn_sent == 7_s);
  CHECK_FALSE(c.set("udp_timeouts", 5_s));
  for (const std::string_view name : ConntrackConfig::names()) CHECK(c.set(name, 1_s));
}

TEST_CASE("conntrack: nf_conntrack_max bounds the table; unanswered flows make room, others do not") {
  FirewallConfig small = config({rule("all", FirewallAction::kAccept)});
  small.conntrack.max = 50;
  Firewall fw(small, 1);
  Instant now = kStart;
  const auto both = [&](std::uint16_t port) {
    fw.evaluate(udp(1, 2, port, 9), now);
    fw.evaluate(udp(2, 1, 9, port), now);
  };
  for (std::uint16_t port = 1; port <= 50; ++port) both(port);
  now += 3_s;
  for (std::uint16_t port = 1; port <= 50; ++port) both(port);  // now all of them are streams: not to be evicted
  CHECK(fw.tracked(now) == 50);
  const Decision full = fw.evaluate(udp(1, 2, 1000, 9), now);
  CHECK(full.action == FirewallAction::kDrop);
  CHECK(full.table_full);
  CHECK(full.rule == 0);
  CHECK(fw.table_full_drops() == 1);
  CHECK(accepts(fw, udp(1, 2, 7, 9), now));  // known flows go on
  now += 121_s;
  CHECK(accepts(fw, udp(1, 2, 1000, 9), now));  // they have expired
  CHECK(fw.tracked(now) == 1);

  for (std::uint16_t port = 1; port <= 2000; ++port) fw.evaluate(udp(3, 4, port, 9), now);  // a scan: nobody answers
  CHECK(fw.tracked(now) <= 50);
  CHECK(fw.tracked(now) > 45);
  CHECK(accepts(fw, udp(5, 6, 1, 9), now));
}

TEST_CASE(
    "conntrack: the table agrees with a plain list of flows, through growth, expiry, resets and eviction of slots") {
  Open t;
  std::map<std::pair<std::uint32_t, std::uint32_t>, Instant> model;  // unordered pair of hosts -> expiry
  Rng rng(4, "test", "flows");
  for (int i = 0; i < 60'000; ++i) {
    t.now += rng.below(20_ms);
    const auto from = static_cast<std::uint32_t>(1 + rng.below(60));
    const auto to = static_cast<std::uint32_t>(100 + rng.below(60));
    auto& expires = model[{from, to}];
    const bool known = expires > t.now;
    if (rng.below(3) == 0 && known) {
      t.pass(tcp(from, to, 1, 2, kTcpRst));  // nobody answered yet: the flow is gone
      expires = {};
      continue;
    }
    const Conntrack::Tracked tracked = t.table.classify(tcp(from, to, 1, 2, kTcpSyn), t.now);
    REQUIRE((tracked.entry != nullptr) == known);
    t.table.confirm(tcp(from, to, 1, 2, kTcpSyn), tracked, t.now);
    expires = t.now + 120_s;
  }
  std::size_t live = 0;
  for (const auto& [pair, expires] : model) live += expires > t.now ? 1 : 0;
  CHECK(t.live() == live);
}

TEST_CASE("firewall: a dropped first packet leaves no flow behind, so its answer is not established") {
  Firewall fw = one_way();
  CHECK_FALSE(accepts(fw, gossip(2, 1), kStart));
  CHECK(fw.tracked(kStart) == 0);
  CHECK_FALSE(accepts(fw, gossip(2, 1), kStart));
}

TEST_CASE(
    "story: a stateful one-way rule is invisible to gossip, because memberlist sends from the port it listens on") {
  Firewall fw = one_way();
  Instant now = kStart;
  CHECK_FALSE(accepts(fw, gossip(2, 1), now));  // b may not begin
  CHECK(accepts(fw, gossip(1, 2), now));        // a pings b
  CHECK(accepts(fw, gossip(2, 1), now));        // b's ack, and as well b's own ping: the same five-tuple, turned round
  for (int second = 1; second <= 600; ++second) {
    now += 1_s;
    CHECK(accepts(fw, gossip(2, 1), now));  // b's pings keep the flow alive by themselves
  }
  CHECK_FALSE(accepts(fw, tcp(2, 1, 40000, 8301), now));  // TCP has ports of its own: b's push/pull stays out
  CHECK(accepts(fw, tcp(1, 2, 40000, 8301), now));

  Firewall stateless = one_way(false);
  CHECK(accepts(stateless, gossip(1, 2), now));
  CHECK_FALSE(accepts(stateless, gossip(2, 1), now));  // without a table the one-way rule bites
}

TEST_CASE(
    "story: the reverse direction passes only while the flow is tracked: 30 s after a lone ping it is shut again") {
  Firewall fw = one_way();
  CHECK(accepts(fw, gossip(1, 2), kStart));
  CHECK(accepts(fw, gossip(2, 1), kStart + 29_s));
  CHECK_FALSE(accepts(fw, gossip(2, 1), kStart + 60_s));
  CHECK(accepts(fw, gossip(1, 2), kStart + 61_s));
  CHECK(accepts(fw, gossip(2, 1), kStart + 62_s));
}

TEST_CASE(
    "story: a firewall enabled during a run knows no flow: running TCP is new to it and needs a rule for its next "
    "packet") {
  FirewallConfig off = config({replies(), allow("to-server", hosts({1}), hosts({2}), {{8300, 8300, 6}})});
  off.enabled = false;
  Firewall fw(off, 1);
  CHECK(accepts(fw, tcp(1, 2, 40000, 8300, kTcpSyn), kStart));
  fw.enable(true);
  CHECK_FALSE(
      accepts(fw, tcp(2, 1, 8300, 40000, kTcpAck), kStart));    // the server's data: new, and no rule lets it begin
  CHECK(accepts(fw, tcp(1, 2, 40000, 8300, kTcpAck), kStart));  // the client's: picked up
  CHECK(accepts(fw, tcp(2, 1, 8300, 40000, kTcpAck), kStart));
  fw.flush_conntrack();
  CHECK_FALSE(accepts(fw, tcp(2, 1, 8300, 40000, kTcpAck), kStart));
  CHECK(accepts(fw, tcp(1, 2, 40000, 8300, kTcpAck), kStart));
  fw.enable(false);
  fw.enable(true);
  CHECK(fw.tracked(kStart) == 0);
}
