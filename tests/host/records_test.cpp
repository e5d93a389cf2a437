#include <map>
#include <set>

#include "host_fixture.h"

using namespace dcsim;
using namespace dcsim::host;
using trace::Ev;

namespace {

/// n1 and n2 in one zone, n3 in another, a firewall between them.
WorldSpec two_zones(net::FirewallConfig firewall, bool router_has_address = true) {
  WorldSpec spec = pool_spec(3);
  net::ZoneSpec far = spec.network.zones[0];
  if (router_has_address) spec.network.zones[0].cidr = Cidr::parse("10.0.0.0/24");
  far.name = "far";
  spec.network.zones.push_back(far);
  spec.network.links.push_back({"z-far", "z", "far", {}, std::nullopt});
  AgentSpec& n3 = spec.agents[2];
  const Address address = *Address::parse("10.0.1.3");
  n3.zone = "far";
  n3.config = config_of("n3", address, false);
  spec.network.hosts[2].addresses = {address};
  spec.network.hosts[2].zone = "far";
  spec.firewalls = {std::move(firewall)};
  spec.firewall_machines = {net::HostSet::any()};
  return spec;
}

net::FirewallConfig rejecting(net::RejectWith with, std::uint8_t protocol) {
  net::FirewallConfig firewall;
  firewall.name = "core-fw";
  net::RuleSpec rule;
  rule.name = "apart";
  rule.protocol = static_cast<net::Protocol>(protocol);
  rule.action = net::FirewallAction::kReject;
  rule.reject_with = with;
  firewall.rules = {rule};
  return firewall;
}

/// Counts of a series by one label's values.
std::map<std::string, std::uint64_t> counts(Pool& pool, trace::AggregateId id) {
  std::map<std::string, std::uint64_t> out;
  for (const auto& group : pool.metrics.read_groups(id, pool.world.engine().now())) {
    out[group.labels.at(0)] += static_cast<std::uint64_t>(group.value.number);
  }
  return out;
}

trace::AggregateId subscribe(Pool& pool, trace::Series series, const char* label) {
  trace::AggregateSpec spec;
  spec.series = series;
  spec.group_by = {label};
  const auto id = pool.metrics.subscribe(spec);
  REQUIRE(id.ok());
  pool.metrics.open(*id, Instant{});
  pool.world.network().observer_changed();
  return *id;
}

}  // namespace

TEST_CASE("records: connections that fail name both ends, in the trace and in the series") {
  Pool pool(3);
  const auto failed_to = subscribe(pool, trace::Series::kConnFailed, "to");
  const auto failed_port = subscribe(pool, trace::Series::kConnFailed, "port");
  const auto reasons = subscribe(pool, trace::Series::kConnFailed, "reason");
  pool.start_all();
  pool.run_for(10_s);
  pool.world.crash(pool.id(3));
  pool.command(2, "consul join 10.0.0.3");
  pool.run_for(1_s);
  const auto refused = pool.records(Ev::kConnRefused, 2);
  REQUIRE(!refused.empty());
  CHECK(pool.field(refused[0], "remote") == "n3.dc1:8301");
  CHECK(pool.field(refused[0], "local").starts_with("n2.dc1:"));
  CHECK(pool.field(refused[0], "local") != "n2.dc1:0");
  pool.world.network().power_off(HostId{2});
  pool.command(1, "consul join 10.0.0.3");
  pool.run_for(15_s);
  const auto timeouts = pool.records(Ev::kConnTimeout, 1);
  REQUIRE(!timeouts.empty());
  CHECK(pool.field(timeouts[0], "remote") == "n3.dc1:8301");
  CHECK(pool.field(timeouts[0], "local").starts_with("n1.dc1:"));
  CHECK(pool.field(timeouts[0], "local") != "n1.dc1:0");
  const std::uint64_t told = pool.records(Ev::kConnRefused).size() + pool.records(Ev::kConnTimeout).size() + pool.records(Ev::kConnReset).size();
  CHECK(counts(pool, failed_to) == std::map<std::string, std::uint64_t>{{"n3.dc1", told}});
  CHECK(counts(pool, failed_port) == std::map<std::string, std::uint64_t>{{"8301", told}});
  const auto why = counts(pool, reasons);
  CHECK(why.at("connection refused") == pool.records(Ev::kConnRefused).size());
  CHECK(why.at("i/o timeout") == pool.records(Ev::kConnTimeout).size());
}

TEST_CASE("records: a connection reset names both ends") {
  Pool pool(2);
  pool.start_all();
  pool.run_for(10_s);
  // Somebody else's client of n1's port, reset by n1's process death while data waits unread.
  struct Client final : net::TcpSink {
    void on_accept(net::ConnectionId, const Endpoint&, const Endpoint&) override {}
    void on_connected(net::ConnectionId) override {}
    void on_data(net::ConnectionId, const Bytes&) override {}
    void on_eof(net::ConnectionId) override {}
    void on_error(net::ConnectionId, net::SocketError e) override { error = e; }
    net::SocketError error = net::SocketError::kNone;
  } client;
  const net::ConnectionId c = pool.world.network().tcp_connect(HostId{1}, {*Address::parse("10.0.0.1"), 8301}, &client);
  pool.run_for(100_ms);
  const auto local = pool.world.network().tcp_local(c);
  REQUIRE(local.has_value());
  pool.world.crash(pool.id(1));
  pool.run_for(100_ms);
  pool.world.network().tcp_send(c, Bytes(view_of("too late")));
  pool.run_for(100_ms);
  REQUIRE(client.error != net::SocketError::kNone);
  const auto resets = pool.records(Ev::kConnReset, 2);
  REQUIRE(!resets.empty());
  CHECK(pool.field(resets.back(), "remote") == "n1.dc1:8301");
  CHECK(pool.field(resets.back(), "local") == fmt::format("n2.dc1:{}", local->port));
}

TEST_CASE("series: every connection that is established counts once in sim.conn.opened, at its dialler") {
  Pool pool(3);
  const auto by_node = subscribe(pool, trace::Series::kConnOpened, "node");
  const auto by_target = subscribe(pool, trace::Series::kConnOpened, "to");
  pool.start_all();
  pool.run_for(60_s);
  const std::uint64_t all = pool.records(Ev::kConnEstablished).size();
  CHECK(all >= 2);
  CHECK(pool.records(Ev::kConnAccepted).size() == all);
  for (int n = 1; n <= 3; ++n) {
    const auto own = pool.records(Ev::kConnEstablished, n);
    const auto told = counts(pool, by_node);
    const auto it = told.find(fmt::format("n{}.dc1", n));
    CHECK((it == told.end() ? 0 : it->second) == own.size());
    for (const trace::Record& r : own) CHECK(pool.field(r, "local").starts_with(fmt::format("n{}.dc1:", n)));
  }
  std::uint64_t reached = 0;
  for (const auto& [to, count] : counts(pool, by_target)) reached += count;
  CHECK(reached == all);
}

TEST_CASE("records: why packets are lost has one vocabulary, for records, series and messages") {
  for (std::size_t i = 0; i < kDropReasonNames.size(); ++i) {
    CHECK(name_of(static_cast<DropReason>(i)) == kDropReasonNames[i]);
    CHECK(std::count(kDropReasonNames.begin(), kDropReasonNames.end(), kDropReasonNames[i]) == 1);
  }
  WorldSpec spec = pool_spec(4);
  for (const auto hook : {net::FirewallHook::kInput, net::FirewallHook::kOutput}) {
    net::FirewallConfig firewall;
    firewall.name = hook == net::FirewallHook::kInput ? "in" : "out";
    firewall.hook = hook;
    net::RuleSpec rule;
    rule.ports = {{8301, 8301, 17}};
    rule.to.add(HostId{3});  // n4
    rule.action = net::FirewallAction::kDrop;
    firewall.rules = {rule};
    spec.firewalls.push_back(firewall);
    net::HostSet machines;
    machines.add(hook == net::FirewallHook::kInput ? HostId{3} : HostId{1});
    spec.firewall_machines.push_back(machines);
  }
  spec.network.zones[0].link.loss = 20'000'000;
  spec.network.zones[0].link.corrupt = 20'000'000;
  Pool pool(std::move(spec));
  const auto reasons = subscribe(pool, trace::Series::kPacketDrop, "reason");
  pool.start_all();
  pool.run_for(30_s);
  pool.world.crash(pool.id(3));
  pool.world.network().udp_send(HostId{0}, 8301, {*Address::parse("10.0.0.77"), 8301}, Bytes(view_of("nobody")));
  pool.run_for(10_s);
  pool.world.network().power_off(HostId{2});
  pool.run_for(10_s);
  net::PartitionSpec cut;
  cut.name = "cut";
  cut.sides = {{HostId{0}}, {HostId{1}}};
  pool.world.network().partition(cut);
  pool.run_for(10_s);
  std::map<std::string, std::uint64_t> recorded;
  for (const trace::Record& r : pool.records(Ev::kPacketDropped)) ++recorded[pool.field(r, "reason")];
  CHECK(recorded == counts(pool, reasons));
  for (const char* wanted : {"firewall", "not-permitted", "loss", "corrupt", "no-listener", "host-down", "partition"}) {
    CAPTURE(wanted);
    CHECK(recorded[wanted] > 0);
  }
  const net::Totals& totals = pool.world.network().totals();
  for (std::size_t i = 0; i < totals.dropped_by.size(); ++i) CHECK(recorded[std::string(kDropReasonNames[i])] == totals.dropped_by[i]);
  pool.world.network().check_balance();
}

TEST_CASE("records: a reject says what it answered with") {
  struct Case {
    net::RejectWith with;
    std::uint8_t protocol;
    const char* text;
  };
  for (const Case& c : {Case{net::RejectWith::kTcpReset, 6, "tcp-reset"}, Case{net::RejectWith::kTcpReset, 17, "none"},
                        Case{net::RejectWith::kIcmpPortUnreachable, 17, "icmp-port-unreachable"},
                        Case{net::RejectWith::kIcmpHostUnreachable, 6, "icmp-host-unreachable"},
                        Case{net::RejectWith::kIcmpAdminProhibited, 17, "icmp-admin-prohibited"}}) {
    CAPTURE(c.text);
    Pool pool(two_zones(rejecting(c.with, c.protocol)));
    pool.start_all();
    pool.run_for(5_s);
    pool.world.network().udp_send(HostId{2}, 8301, {*Address::parse("10.0.0.1"), 8301}, Bytes(view_of("x")));
    pool.run_for(1_s);
    const auto rejected = pool.records(Ev::kPacketRejected);
    REQUIRE(!rejected.empty());
    for (const trace::Record& r : rejected) {
      CHECK(pool.field(r, "with") == c.text);
      CHECK(pool.field(r, "culprit") == "core-fw");
      CHECK(pool.field(r, "rule") == "apart");
    }
  }
}

TEST_CASE("records: ICMP errors say what they are, who sent them, and arrive") {
  Pool pool(two_zones(rejecting(net::RejectWith::kIcmpAdminProhibited, 17)));
  pool.start_all();
  const auto send = [&](std::uint32_t from, const char* to, std::uint16_t port) {
    const std::size_t before = pool.records(Ev::kPacketSent).size();
    pool.world.network().udp_send(HostId{from}, 8301, {*Address::parse(to), port}, Bytes(view_of("x")));
    pool.run_for(4_ms);
    std::vector<trace::Record> icmp;
    const auto sent = pool.records(Ev::kPacketSent);
    for (std::size_t i = before; i < sent.size(); ++i) {
      if (pool.field(sent[i], "proto") == "icmp") icmp.push_back(sent[i]);
    }
    REQUIRE(icmp.size() == 1);
    return icmp[0];
  };
  const auto delivered = [&](int n) {
    std::size_t count = 0;
    for (const trace::Record& r : pool.records(Ev::kPacketDelivered, n)) count += pool.field(r, "proto") == "icmp";
    return count;
  };
  pool.run_for(10_ms);
  const std::size_t before = delivered(1);
  // The router of the sender's zone, at the firewall's behest: no agent's record.
  const trace::Record routed = send(0, "10.0.1.3", 8301);
  CHECK(pool.field(routed, "src") == "10.0.0.254:0");
  CHECK(pool.field(routed, "what") == "icmp-admin-prohibited by core-fw");
  CHECK(pool.field(routed, "node") == "");
  CHECK(pool.chain(routed).starts_with("packet-rejected packet-sent"));
  // The target's kernel itself.
  const trace::Record own = send(0, "10.0.0.2", 9);
  CHECK(pool.field(own, "src") == "n2.dc1:0");
  CHECK(pool.field(own, "what") == "icmp-port-unreachable");
  CHECK(pool.field(own, "node") == "n2.dc1");
  CHECK(delivered(1) == before + 2);
  for (const trace::Record& r : pool.records(Ev::kPacketDropped)) CHECK(pool.field(r, "proto") != "icmp");

  // Without an address of its own the router is known by its firewall.
  Pool nameless(two_zones(rejecting(net::RejectWith::kIcmpAdminProhibited, 17), false));
  nameless.start_all();
  nameless.world.network().udp_send(HostId{0}, 8301, {*Address::parse("10.0.1.3"), 8301}, Bytes(view_of("x")));
  nameless.run_for(4_ms);
  bool found = false;
  for (const trace::Record& r : nameless.records(Ev::kPacketSent)) found = found || nameless.field(r, "src") == "core-fw:0";
  CHECK(found);
}

TEST_CASE("records: all that becomes of a probe carries its sequence number") {
  WorldSpec spec = pool_spec(4);
  spec.network.zones[0].link.loss = 150'000'000;
  Pool pool(std::move(spec));
  pool.start_all();
  pool.run_for(60_s);
  std::map<std::string, std::set<std::string>> sent;  // node -> "member seq"
  const trace::Recording recording = pool.tracer.recording();
  std::map<std::uint16_t, int> followed;
  recording.each([&](std::uint64_t, const trace::Record& r) {
    const auto ev = static_cast<Ev>(r.ev);
    if (ev < Ev::kProbeSent || ev > Ev::kProbeFailed) return true;
    const std::string node = pool.field(r, "node"), probe = pool.field(r, "member") + " " + pool.field(r, "seq");
    CHECK(pool.field(r, "seq") != "0");
    if (ev == Ev::kProbeSent) {
      CHECK(sent[node].insert(probe).second);  // a number is used once
      CHECK(pool.field(r, "timeout") == "500ms");
    } else {
      CHECK(sent[node].contains(probe));
    }
    if (ev == Ev::kProbeTimeout) CHECK(pool.field(r, "waited") == "500ms");
    ++followed[r.ev];
    return true;
  });
  for (const Ev ev : {Ev::kProbeAcked, Ev::kProbeTimeout, Ev::kProbeIndirect, Ev::kProbeFailed}) {
    CAPTURE(trace::kind_spec(ev).name);
    CHECK(followed[static_cast<std::uint16_t>(ev)] > 0);
  }
}

TEST_CASE("records: faults of a machine's clock, processor and disk have a beginning and an end") {
  Pool pool(2);
  pool.step("faults");
  pool.world.recorder().clock_changed(pool.id(1), -2_s, 50'000);
  pool.world.recorder().slowed(pool.id(1), "cpu", 2500);
  pool.world.recorder().slowed(pool.id(2), "disk", 4000);
  pool.run_for(1_s);
  pool.world.recorder().clock_ended(pool.id(1));
  pool.world.recorder().slow_ended(pool.id(1), "cpu");
  pool.world.recorder().slow_ended(pool.id(2), "disk");
  const auto line = [&](Ev ev, int n) {
    const auto found = pool.records(ev, n);
    REQUIRE(found.size() == 1);
    CHECK(pool.chain(found[0]) == "step");  // and not one another
    return trace::describe(found[0], pool.tracer.recording());
  };
  CHECK(line(Ev::kClock, 1) == "clock what=clock shift=-2s drift_per_s=50us");
  CHECK(line(Ev::kClockEnd, 1) == "clock-end what=clock");
  CHECK(line(Ev::kSlow, 1) == "slow what=cpu permille=2500");
  CHECK(line(Ev::kSlowEnd, 1) == "slow-end what=cpu");
  CHECK(line(Ev::kSlow, 2) == "slow what=disk permille=4000");
  CHECK(line(Ev::kSlowEnd, 2) == "slow-end what=disk");
}

TEST_CASE("series: what a link carries is told by direction: forward is from the agent to its switch") {
  Pool pool(2);
  const auto forward = subscribe(pool, trace::Series::kLinkTx, "direction");
  pool.start_all();
  pool.run_for(10_s);
  const auto told = counts(pool, forward);
  std::uint64_t there = 0, back = 0;
  for (std::uint32_t i = 0; i < pool.world.network().link_count(); ++i) {
    const auto counters = pool.world.network().link_counters(net::LinkId{i});
    there += counters.forward.packets;
    back += counters.backward.packets;
  }
  CHECK(told == std::map<std::string, std::uint64_t>{{"forward", there}, {"backward", back}});
}
