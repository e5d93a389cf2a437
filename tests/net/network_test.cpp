#include <algorithm>
#include <set>

#include "net/network_world.h"
#include "support/alloc_counter.h"

using namespace dcsim;
using namespace dcsim::net;
using namespace dcsim::net::test;

TEST_CASE("net: a packet between zones crosses the sender's link, the link between and the receiver's link") {
  World w(three_zones());
  w.send("a1", "s1", "up");
  w.send("a1", "a2", "beside");
  w.send("a1", "b1", "through core");
  w.run_for(1_s);
  REQUIRE(w.arrivals.size() == 3);
  CHECK(w.arrivals[0].text == "beside");
  CHECK(w.arrivals[0].at == Instant{} + 4_ms);  // two access links apart
  CHECK(w.arrivals[1].text == "up");
  CHECK(w.arrivals[1].at == Instant{} + 13_ms);
  CHECK(w.arrivals[2].text == "through core");
  CHECK(w.arrivals[2].at == Instant{} + 35_ms);  // zones without a link are joined through other zones
  CHECK(w.arrivals[2].from == Endpoint{*Address::parse("10.20.1.1"), 7000});
  CHECK(w.arrivals[2].to == w.at("b1"));
}

TEST_CASE("net: a run of links without bandwidth costs one event") {
  World w(three_zones());
  w.send("a1", "b1", "x");
  w.run_for(1_s);
  CHECK(w.arrivals.size() == 1);
  CHECK(w.engine.events_run() == 1);
}

TEST_CASE("net: zones that nothing joins do not reach each other, and the socket says so") {
  Topology t = three_zones();
  t.links.pop_back();
  World w(t);
  CHECK(w.send("a1", "b1", "x") == SocketError::kNetUnreachable);
  CHECK(w.recorder.count(DropReason::kNoRoute) == 1);
  CHECK_FALSE(w.connect("a1", "b1", 80).valid());
  CHECK(w.dial_error == SocketError::kNetUnreachable);
  CHECK(text_of(w.dial_error) == "network is unreachable");
  CHECK(w.network.udp_send(w.host("a1"), 7000, {*Address::parse("192.0.2.1"), 1}, Bytes()) ==
        SocketError::kNetUnreachable);
  w.run_for(1_s);
  CHECK(w.arrivals.empty());
}

TEST_CASE("net: an address that no agent has answers `no route to host` after three ARP requests") {
  World w(three_zones());
  SocketError failed = SocketError::kNone;
  const ConnectionId c = w.network.tcp_connect(w.host("a1"), {*Address::parse("10.20.10.99"), 80}, &w, &failed);
  REQUIRE(c.valid());
  w.run_for(10_s);
  REQUIRE(w.errors.count(c) == 1);
  CHECK(w.errors[c] == SocketError::kHostUnreachable);
  CHECK(w.error_at == Instant{} + 12_ms + 3_s + 12_ms);
  CHECK(w.recorder.count(DropReason::kNoHost) >= 1);
}

TEST_CASE("net: a host reaches itself by its address and by loopback, without any link") {
  World w(three_zones());
  w.send("a1", "a1", "own");
  w.network.udp_send(w.host("a1"), 7000, {*Address::parse("127.0.0.1"), 7000}, Bytes(view_of("lo")));
  w.run_for(0_s);
  CHECK(w.texts("a1") == std::vector<std::string>{"own", "lo"});
  CHECK(w.arrivals[1].from.address.text() == "127.0.0.1");
  CHECK(w.network.link_counters(w.network.find_link("zone:alpha/a1")).forward.packets == 0);
}

TEST_CASE("net: IPv4-mapped addresses reach the host of the plain address") {
  World w(three_zones());
  w.network.udp_send(w.host("a1"), 7000, {w.network.address_of(w.host("a2")).mapped(), 7000}, Bytes(view_of("m")));
  w.run_for(1_s);
  CHECK(w.texts("a2") == std::vector<std::string>{"m"});
}

TEST_CASE("net: UDP to a closed port answers ICMP; it reaches the sender's kernel, an unconnected socket never hears of it") {
  World w(three_zones());
  CHECK(w.send("a1", "s1", "x", 9) == SocketError::kNone);
  w.run_for(1_s);
  CHECK(w.recorder.count(DropReason::kNoListener) == 1);
  CHECK(w.recorder.losses.size() == 1);  // the ICMP error is not lost
  CHECK(w.network.totals().delivered == 1);
  CHECK(w.network.host_counters(w.host("a1")).received[counter_index(Protocol::kIcmp)].packets == 1);
  w.network.check_balance();
  REQUIRE(w.recorder.answers.size() == 1);
  CHECK(w.recorder.answers[0].from.address == w.at("s1").address);  // the machine itself answers
  CHECK(w.recorder.answers[0].from_host == w.host("s1"));
  CHECK(w.recorder.answers[0].bytes == 20 + 8 + 20 + 8);  // RFC 792: the IP header and 8 bytes are quoted
  CHECK(w.network.host_counters(w.host("s1")).sent[counter_index(Protocol::kIcmp)].packets == 1);
  // sent <- dropped <- ICMP sent <- ICMP delivered: the chain of causes has no gap.
  const auto& records = w.recorder.records;
  REQUIRE(records.size() == 5);
  CHECK(records[2].cause.record == 1);
  CHECK(records[3].cause.record == 2);
  CHECK(records[4].cause.record == 3);
}

TEST_CASE("net: what finds no room in the socket's buffer is lost at the receiver, with that reason") {
  World w(three_zones());
  w.room = 3;
  w.send("a1", "s1", "four");
  w.send("a1", "s1", "two");
  w.run_for(1_s);
  CHECK(w.texts("s1") == std::vector<std::string>{"two"});
  CHECK(w.recorder.count(DropReason::kBufferFull) == 1);
  CHECK(w.network.totals().delivered == 1);
  w.network.check_balance();
}

TEST_CASE("net: sockets' lives are told with both ends") {
  World w(three_zones());
  w.network.tcp_listen(w.host("s1"), 80, &w);
  const ConnectionId c = w.connect("a1", "s1", 80);
  w.run_for(1_s);
  const Endpoint dialler = *w.network.tcp_local(c);
  REQUIRE(w.recorder.connections.size() == 2);
  CHECK(w.recorder.connections[0].what == "connected");
  CHECK(w.recorder.connections[0].host == w.host("a1"));
  CHECK(w.recorder.connections[0].local == dialler);
  CHECK(w.recorder.connections[0].remote == w.at("s1", 80));
  CHECK(w.recorder.connections[1].what == "accepted");
  CHECK(w.recorder.connections[1].local == w.at("s1", 80));
  CHECK(w.recorder.connections[1].remote == dialler);
  w.network.tcp_abort(w.accepted.at(0));
  w.connect("a2", "s1", 81);
  w.run_for(1_s);
  REQUIRE(w.recorder.connections.size() == 4);
  CHECK(w.recorder.connections[2].what == "connection reset by peer");
  CHECK(w.recorder.connections[2].local == dialler);
  CHECK(w.recorder.connections[2].remote == w.at("s1", 80));
  CHECK(w.recorder.connections[3].what == "connection refused");
  CHECK(w.recorder.connections[3].local.address == w.at("a2").address);
  CHECK(w.recorder.connections[3].local.port >= 32'768);
  CHECK(w.recorder.connections[3].remote == w.at("s1", 81));
}

TEST_CASE("net: sizes count IPv4 and UDP headers") {
  World w(three_zones());
  w.send("a1", "a2", std::string(100, 'x'));
  w.run_for(1_s);
  CHECK(w.network.link_counters(w.network.find_link("zone:alpha/a1")).forward.bytes == 128);
  CHECK(w.network.link_counters(w.network.find_link("zone:alpha/a2")).backward.bytes == 128);
  CHECK(w.network.host_counters(w.host("a2")).received[0].bytes == 128);
  CHECK(w.network.udp_send(w.host("a1"), 1, w.at("a2"), Bytes(view_of(std::string(65'508, 'x')))) ==
        SocketError::kMessageTooLong);
}

TEST_CASE("net: the order of two packets of one instant is the order of sending") {
  World w(three_zones());
  for (int i = 0; i < 50; ++i) w.send("a1", "s1", std::to_string(i));
  w.run_for(1_s);
  REQUIRE(w.arrivals.size() == 50);
  for (int i = 0; i < 50; ++i) CHECK(w.arrivals[static_cast<std::size_t>(i)].text == std::to_string(i));
}

TEST_CASE("net: a bound port is in use; the same port of another host is not") {
  World w(three_zones());
  CHECK(w.network.udp_bind(w.host("a1"), 7000, &w) == SocketError::kAddressInUse);
  w.network.udp_close(w.host("a1"), 7000);
  CHECK(w.network.udp_bind(w.host("a1"), 7000, &w) == SocketError::kNone);
}

TEST_CASE("net: a delivered packet's cause is its sent record, and what it triggers follows from it") {
  struct Echo : UdpSink {
    Network* network = nullptr;
    void on_udp(HostId host, const Endpoint& from, const Endpoint&, const Bytes& payload) override {
      network->udp_send(host, 7001, from, payload);
    }
  } echo;
  World w(three_zones());
  echo.network = &w.network;
  w.network.udp_bind(w.host("s1"), 7001, &echo);
  w.engine.set_cause({0});
  w.send("a1", "s1", "ping", 7001);
  w.run_for(1_s);
  const auto& records = w.recorder.records;
  REQUIRE(records.size() == 5);
  CHECK(records[1].what == "sent");
  CHECK(records[2].what == "delivered");
  CHECK(records[2].cause.record == 1);
  CHECK(records[3].what == "sent");
  CHECK(records[3].cause.record == 0x2);  // the answer was sent because of the delivery
  CHECK(records[4].cause.record == 3);
}

TEST_CASE("net: agents with several addresses answer on each; reused addresses mean the nearest owner") {
  Topology t = three_zones();
  t.hosts.push_back(agent("a-twin", "alpha", "10.9.9.9"));
  t.hosts.push_back(agent("b-twin", "beta", "10.9.9.9"));
  t.hosts[0].addresses.push_back(*Address::parse("10.20.10.12"));
  World w(t);
  w.network.udp_send(w.host("a1"), 7000, {*Address::parse("10.9.9.9"), 7000}, Bytes(view_of("near")));
  w.network.udp_send(w.host("b1"), 7000, {*Address::parse("10.9.9.9"), 7000}, Bytes(view_of("near")));
  w.network.udp_send(w.host("b1"), 7000, {*Address::parse("10.20.10.12"), 7000}, Bytes(view_of("second")));
  w.run_for(1_s);
  CHECK(w.texts("a-twin").size() == 1);
  CHECK(w.texts("b-twin").size() == 1);
  CHECK(w.texts("s1") == std::vector<std::string>{"second"});
}

TEST_CASE("net: a powered-off machine is silent, a killed process is refused") {
  World w(three_zones());
  w.network.tcp_listen(w.host("s1"), 80, &w);
  SUBCASE("process") {
    w.network.kill_process(w.host("s1"));
    w.send("a1", "s1", "x");
    const ConnectionId c = w.connect("a1", "s1", 80);
    w.run_for(10_s);
    CHECK(w.recorder.count(DropReason::kNoListener) == 2);
    CHECK(w.errors[c] == SocketError::kRefused);
    CHECK(w.error_at == Instant{} + 26_ms);  // there and back at once
    CHECK(text_of(w.errors[c]) == "connection refused");
  }
  SUBCASE("machine") {
    w.network.power_off(w.host("s1"));
    w.send("a1", "s1", "x");
    const ConnectionId c = w.connect("a1", "s1", 80);
    w.run_for(10_s);
    CHECK(w.recorder.count(DropReason::kHostDown) >= 2);
    CHECK(w.errors.count(c) == 0);  // still sending SYNs
    CHECK(w.network.udp_send(w.host("s1"), 7000, w.at("a1"), Bytes()) == SocketError::kHostDown);
    w.run_for(200_s);
    CHECK(w.errors[c] == SocketError::kTimedOut);
  }
}

TEST_CASE("net: killing a process ends its connections, switching its machine off leaves the peer half-open") {
  World w(three_zones());
  w.network.tcp_listen(w.host("s1"), 80, &w);
  const ConnectionId c = w.connect("a1", "s1", 80);
  w.run_for(1_s);
  REQUIRE(w.connected.size() == 1);
  REQUIRE(w.accepted.size() == 1);
  CHECK(w.connected_at == Instant{} + 26_ms);
  SUBCASE("process") {
    w.network.kill_process(w.host("s1"));
    w.run_for(1_s);
    CHECK(w.ended == std::vector<ConnectionId>{c});  // FIN
    CHECK(w.network.tcp_send(c, Bytes(view_of("late"))) == SocketError::kNone);
    w.run_for(1_s);
    CHECK(w.errors[c] == SocketError::kBrokenPipe);  // a RST after the FIN: Linux tcp_reset in CLOSE-WAIT
  }
  SUBCASE("machine, off for good") {
    w.network.power_off(w.host("s1"));
    w.run_for(60_s);
    CHECK(w.ended.empty());
    CHECK(w.network.tcp_alive(c));
    CHECK_FALSE(w.network.tcp_alive(w.accepted[0]));
  }
  SUBCASE("machine, back after a while: what the peer sends is reset") {
    w.network.power_off(w.host("s1"));
    w.run_for(5_s);
    w.network.power_on(w.host("s1"));
    w.network.tcp_send(c, Bytes(view_of("hello?")));
    w.run_for(1_s);
    CHECK(w.errors[c] == SocketError::kReset);
  }
}

TEST_CASE("net: TCP carries bytes in order over loss, and the balance holds") {
  Topology t = three_zones();
  t.links[0].attributes.loss = kAlways / 20;
  t.links[0].attributes.jitter = 2_ms;
  World w(t, 3);
  w.network.tcp_listen(w.host("s1"), 8301, &w);
  const ConnectionId c = w.connect("a1", "s1", 8301);
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += std::to_string(i) + " ";
  w.network.tcp_send(c, Bytes(view_of(text)));
  w.run_for(10_s);
  w.network.tcp_close(c);
  w.run_for(600_s);
  REQUIRE(w.accepted.size() == 1);
  CHECK(w.streams[w.accepted[0]] == text);
  CHECK(w.ended == w.accepted);
  CHECK(w.recorder.count(DropReason::kLoss) > 1);
  CHECK(w.network.totals().in_flight == 0);
}

TEST_CASE("net: a smaller MTU in the middle is found by the sender (RFC 1191)") {
  Topology t = three_zones();
  t.links[0].attributes.mtu = 900;
  World w(t);
  w.network.tcp_listen(w.host("s1"), 80, &w);
  const ConnectionId c = w.connect("a1", "s1", 80);
  const std::string text(10'000, 'x');
  w.network.tcp_send(c, Bytes(view_of(text)));
  w.run_for(30_s);
  REQUIRE(w.accepted.size() == 1);
  CHECK(w.streams[w.accepted[0]] == text);
  REQUIRE(w.recorder.count(DropReason::kMtu) >= 1);
  CHECK(w.recorder.losses[0].drop.link == w.network.find_link("core-alpha"));
}

TEST_CASE("net: nothing is allocated per packet in the steady state") {
  Topology t = star_topology(20, latency(10_us));
  t.zones[0].link.bandwidth = 1'000'000'000;
  t.zones[0].link.jitter = 5_us;
  t.zones[0].link.loss = kAlways / 100;
  World w(t, 1, false);
  FirewallConfig fw;
  fw.name = "fw";
  fw.stateful = true;
  w.network.add_firewall(fw, HostSet::any(), true);
  struct Counting : UdpSink {
    std::uint64_t got = 0;
    void on_udp(HostId, const Endpoint&, const Endpoint&, const Bytes&) override { ++got; }
  } counting;
  for (std::uint32_t i = 0; i < 20; ++i) w.network.udp_bind({i}, 9000, &counting);
  const std::string text(200, 'x');
  const auto round = [&] {
    for (std::uint32_t i = 0; i < 20; ++i) {
      for (std::uint32_t j = 1; j < 4; ++j) {
        w.network.udp_send({i}, 9000, {Address::v4(0x0A000001u + (i + j) % 20), 9000}, Bytes(view_of(text)));
      }
    }
    w.engine.run_until(w.engine.now() + 1_ms);
  };
  for (int i = 0; i < 500; ++i) round();
  const auto before = dcsim::test::allocations();
  const auto got = counting.got;
  for (int i = 0; i < 500; ++i) round();
  const auto after = dcsim::test::allocations();
  CHECK(after == before);
  CHECK(counting.got - got > 28'000);
  w.network.check_balance();
}

TEST_CASE("net: observing a run changes nothing in it") {
  const auto arrivals = [](bool record) {
    Topology t = three_zones();
    for (LinkSpec& link : t.links) {
      link.attributes.jitter = 3_ms;
      link.attributes.loss = kAlways / 10;
      link.attributes.duplicate = kAlways / 10;
      link.attributes.bandwidth = 10'000'000;
    }
    World w(t, 7, record);
    for (int i = 0; i < 200; ++i) {
      w.send("a1", "b1", std::to_string(i));
      w.send("b1", "s1", std::to_string(i), i % 7 ? 7000 : 9);
      w.run_for(1_ms);
    }
    w.run_for(1_s);
    std::vector<std::pair<std::int64_t, std::string>> out;
    for (const Arrival& a : w.arrivals) out.emplace_back(a.at.ns, a.host + a.text);
    return out;
  };
  CHECK(arrivals(true).size() > 300);
  CHECK(arrivals(true) == arrivals(false));
}

TEST_CASE("net: a host firewall does not stand on the loopback interface") {
  World w(three_zones());
  for (const FirewallHook hook : {FirewallHook::kInput, FirewallHook::kOutput}) {
    FirewallConfig config;
    config.name = hook == FirewallHook::kInput ? "in" : "out";
    config.hook = hook;
    config.default_action = FirewallAction::kDrop;
    w.network.add_firewall(config);
  }
  CHECK(w.send("a1", "a1", "self") == SocketError::kNone);
  CHECK(w.send("a1", "a2", "other") == SocketError::kPermitted);
  w.run_for(1_s);
  CHECK(w.arrivals.size() == 1);
}

TEST_CASE("net: IPv6 hosts are reached, with IPv6's header in the sizes") {
  Topology t = three_zones();
  t.hosts[1].addresses.push_back(*Address::parse("fd00::1"));
  t.hosts[2].addresses.push_back(*Address::parse("fd00::2"));
  World w(t);
  w.network.udp_send(w.host("a1"), 7000, {*Address::parse("fd00::2"), 7000}, Bytes(view_of("six")));
  w.run_for(1_s);
  REQUIRE(w.arrivals.size() == 1);
  CHECK(w.arrivals[0].from.text() == "[fd00::1]:7000");
  CHECK(w.network.host_counters(w.host("a2")).received[0].bytes == 40 + 8 + 3);
}
