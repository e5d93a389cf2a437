#include <algorithm>

#include "base/rng.h"
#include "net/network_world.h"

using namespace dcsim;
using namespace dcsim::net;
using namespace dcsim::net::test;

namespace {

PartitionSpec between(World& w, std::vector<std::string> left, std::vector<std::string> right, PartitionMode mode,
                      PartitionDirection direction = PartitionDirection::kBoth) {
  PartitionSpec spec;
  spec.name = "split";
  spec.mode = mode;
  spec.direction = direction;
  spec.sides.resize(2);
  for (const std::string& name : left) spec.sides[0].push_back(w.host(name));
  for (const std::string& name : right) spec.sides[1].push_back(w.host(name));
  return spec;
}

FirewallConfig firewall(FirewallHook hook, RuleSpec rule) {
  FirewallConfig config;
  config.name = "fw";
  config.hook = hook;
  rule.name = "the-rule";
  config.rules = {rule};
  return config;
}

RuleSpec verdict(FirewallAction action, RejectWith with = RejectWith::kIcmpPortUnreachable) {
  RuleSpec rule;
  rule.action = action;
  rule.reject_with = with;
  return rule;
}

}  // namespace

TEST_CASE("partition: both ways, one way, and nobody else") {
  World w(three_zones());
  SUBCASE("both") {
    const PartitionId id = w.network.partition(between(w, {"a1"}, {"s1"}, PartitionMode::kDrop));
    w.send("a1", "s1", "x");
    w.send("s1", "a1", "x");
    w.send("a2", "s1", "y");
    w.run_for(1_s);
    CHECK(w.arrivals.size() == 1);
    CHECK(w.recorder.count(DropReason::kPartition) == 2);
    CHECK(w.recorder.losses[0].drop.partition == id);
    CHECK(w.network.partition_name(id) == "split");
    CHECK(w.network.heal(id));
    CHECK_FALSE(w.network.heal(id));
    w.send("a1", "s1", "healed");
    w.run_for(1_s);
    CHECK(w.texts("s1") == std::vector<std::string>{"y", "healed"});
  }
  SUBCASE("to") {
    w.network.partition(between(w, {"a1"}, {"s1"}, PartitionMode::kDrop, PartitionDirection::kTo));
    w.send("a1", "s1", "x");
    w.send("s1", "a1", "y");
    w.run_for(1_s);
    CHECK(w.texts("s1").empty());
    CHECK(w.texts("a1") == std::vector<std::string>{"y"});
  }
  SUBCASE("from") {
    w.network.partition(between(w, {"a1"}, {"s1"}, PartitionMode::kDrop, PartitionDirection::kFrom));
    w.send("a1", "s1", "x");
    w.send("s1", "a1", "y");
    w.run_for(1_s);
    CHECK(w.texts("s1") == std::vector<std::string>{"x"});
    CHECK(w.texts("a1").empty());
  }
}

TEST_CASE("partition: a rejecting one is noticed at once, a dropping one by SYN retries alone") {
  World w(three_zones());
  w.network.tcp_listen(w.host("s1"), 80, &w);
  w.network.partition(between(w, {"a1"}, {"s1"}, PartitionMode::kReject));
  w.network.partition(between(w, {"a2"}, {"s1"}, PartitionMode::kDrop));
  const ConnectionId rejected = w.connect("a1", "s1", 80);
  const ConnectionId dropped = w.connect("a2", "s1", 80);
  w.run_for(1_s);
  CHECK(w.errors[rejected] == SocketError::kHostUnreachable);
  CHECK(w.errors.count(dropped) == 0);
}

TEST_CASE("partition: delayed packets are late, queued ones come after the heal, in order") {
  World w(three_zones());
  SUBCASE("delay") {
    PartitionSpec spec = between(w, {"a1"}, {"s1"}, PartitionMode::kDelay);
    spec.delay = 300_ms;
    w.network.partition(spec);
    w.send("a1", "s1", "x");
    w.run_for(1_s);
    REQUIRE(w.arrivals.size() == 1);
    CHECK(w.arrivals[0].at == Instant{} + 313_ms);
  }
  SUBCASE("queue") {
    PartitionSpec spec = between(w, {"a1"}, {"s1"}, PartitionMode::kQueue);
    spec.queue_bytes = 3 * 29;
    const PartitionId id = w.network.partition(spec);
    for (const char* text : {"1", "2", "3", "4"}) w.send("a1", "s1", text);
    w.run_for(5_s);
    CHECK(w.arrivals.empty());
    CHECK(w.network.totals().in_flight == 3);
    CHECK(w.recorder.count(DropReason::kPartition) == 1);  // the fourth found the queue full
    w.network.heal(id);
    w.run_for(1_s);
    CHECK(w.texts("s1") == std::vector<std::string>{"1", "2", "3"});
    CHECK(w.arrivals[0].at == Instant{} + 5_s + 13_ms);
  }
}

TEST_CASE("firewall: hook forward stands between zones, not inside them") {
  World w(three_zones());
  const FirewallId fw = w.network.add_firewall(firewall(FirewallHook::kForward, verdict(FirewallAction::kDrop)));
  w.send("a1", "s1", "between");
  w.send("a1", "a2", "inside");
  w.run_for(1_s);
  CHECK(w.arrivals.size() == 1);
  REQUIRE(w.recorder.count(DropReason::kFirewall) == 1);
  const Loss& loss = w.recorder.losses[0];
  CHECK(loss.at == Instant{} + 2_ms);  // after the sender's access link
  CHECK(loss.drop.firewall == fw);
  CHECK(w.network.firewall(fw).rule_name(loss.drop.rule) == "the-rule");
  REQUIRE(w.recorder.verdicts.size() == 1);
  CHECK(w.recorder.verdicts[0].kind == VerdictKind::kDrop);
  // sent (1), inside sent (2), verdict (3) because of 1, dropped (4) because of the verdict
  CHECK(w.recorder.records[3].what == "verdict");
  CHECK(w.recorder.records[3].cause.record == 1);
  CHECK(w.recorder.records[4].what == "dropped");
  CHECK(w.recorder.records[4].cause.record == 3);
  w.network.firewall(fw).enable(false);
  w.send("a1", "s1", "now");
  w.run_for(1_s);
  CHECK(w.texts("s1") == std::vector<std::string>{"now"});
}

TEST_CASE("firewall: reject surfaces at the connecting socket as the error that a real host reports") {
  const auto dial = [](FirewallHook hook, RejectWith with) {
    World w(three_zones());
    w.network.tcp_listen(w.host("s1"), 80, &w);
    HostSet machines;
    machines.add(w.host(hook == FirewallHook::kOutput ? "a1" : "s1"));
    w.network.add_firewall(firewall(hook, verdict(FirewallAction::kReject, with)), machines);
    const ConnectionId c = w.connect("a1", "s1", 80);
    w.run_for(500_ms);
    CHECK(w.recorder.count(DropReason::kReject) == 1);
    CHECK(w.error_cause.record != 0);
    return std::pair{w.errors.count(c) ? w.errors[c] : SocketError::kNone, w.error_at - Instant{}};
  };
  CHECK(dial(FirewallHook::kForward, RejectWith::kTcpReset) == std::pair{SocketError::kRefused, Duration{4_ms}});
  CHECK(dial(FirewallHook::kForward, RejectWith::kIcmpPortUnreachable) ==
        std::pair{SocketError::kRefused, Duration{4_ms}});
  CHECK(dial(FirewallHook::kForward, RejectWith::kIcmpHostUnreachable) ==
        std::pair{SocketError::kHostUnreachable, Duration{4_ms}});
  CHECK(dial(FirewallHook::kForward, RejectWith::kIcmpAdminProhibited) ==
        std::pair{SocketError::kHostUnreachable, Duration{4_ms}});
  CHECK(dial(FirewallHook::kInput, RejectWith::kTcpReset) == std::pair{SocketError::kRefused, Duration{26_ms}});
  CHECK(dial(FirewallHook::kInput, RejectWith::kIcmpHostUnreachable) ==
        std::pair{SocketError::kHostUnreachable, Duration{26_ms}});
  CHECK(dial(FirewallHook::kOutput, RejectWith::kTcpReset) == std::pair{SocketError::kRefused, Duration{0_ms}});
}

TEST_CASE("firewall: a reject says what it answered with, and the answer comes from where the firewall stands") {
  struct Case {
    FirewallHook hook;
    RejectWith with;
    const char* from;  // the answer's source
    const char* host;  // whose own answer it is; "" = a router's, or in another's name
  };
  const Case cases[] = {
      // The router of the sender's zone has the zone's last host address.
      {FirewallHook::kForward, RejectWith::kIcmpAdminProhibited, "10.20.1.254", ""},
      {FirewallHook::kInput, RejectWith::kIcmpPortUnreachable, "10.20.10.11", "s1"},
      {FirewallHook::kOutput, RejectWith::kIcmpHostUnreachable, "10.20.1.1", "a1"},
      {FirewallHook::kForward, RejectWith::kTcpReset, "10.20.10.11", ""},
      {FirewallHook::kInput, RejectWith::kTcpReset, "10.20.10.11", "s1"},
      {FirewallHook::kOutput, RejectWith::kTcpReset, "10.20.10.11", ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.from);
    CAPTURE(static_cast<int>(c.hook));
    World w(three_zones());
    HostSet machines;
    machines.add(w.host(c.hook == FirewallHook::kOutput ? "a1" : "s1"));
    const FirewallId fw = w.network.add_firewall(firewall(c.hook, verdict(FirewallAction::kReject, c.with)), machines);
    w.connect("a1", "s1", 80);
    w.run_for(500_ms);
    REQUIRE(w.recorder.losses.size() == 1);
    CHECK(w.recorder.losses[0].drop.answer == c.with);
    REQUIRE(w.recorder.answers.size() == 1);
    const Recorder::Answer& answer = w.recorder.answers[0];
    CHECK(answer.from.address.text() == c.from);
    CHECK(answer.from_host == (*c.host ? w.host(c.host) : HostId::none()));
    CHECK(answer.to.address == w.at("a1").address);
    CHECK(answer.made_by == fw);
    CHECK(w.errors.size() == 1);
    w.network.check_balance();
  }
}

TEST_CASE("firewall: a router whose zone has no address to spare answers in the target's name, and is known by its firewall") {
  Topology t = three_zones();
  t.hosts.push_back(agent("a254", "alpha", "10.20.1.254"));
  World w(t);
  const FirewallId fw = w.network.add_firewall(firewall(FirewallHook::kForward, verdict(FirewallAction::kReject)));
  w.send("a1", "s1", "x");
  w.run_for(1_s);
  REQUIRE(w.recorder.answers.size() == 1);
  CHECK(w.recorder.answers[0].from.address == w.at("s1").address);
  CHECK(!w.recorder.answers[0].from_host.valid());
  CHECK(w.recorder.answers[0].made_by == fw);
  // UDP: the error reaches the kernel of a1.
  CHECK(w.recorder.losses.size() == 1);
  CHECK(w.network.totals().delivered == 1);
  w.network.check_balance();
}

TEST_CASE("firewall: a reject that must be silent says so") {
  World w(three_zones());
  w.network.add_firewall(firewall(FirewallHook::kForward, verdict(FirewallAction::kReject, RejectWith::kTcpReset)));
  w.send("a1", "s1", "a datagram cannot be reset");
  w.run_for(1_s);
  REQUIRE(w.recorder.losses.size() == 1);
  CHECK(w.recorder.losses[0].drop.reason == DropReason::kReject);
  CHECK(!w.recorder.losses[0].drop.answer);
  CHECK(w.recorder.answers.empty());
}

TEST_CASE("firewall: an output drop is `operation not permitted` for UDP and silence for TCP") {
  World w(three_zones());
  w.network.tcp_listen(w.host("s1"), 80, &w);
  HostSet machines;
  machines.add(w.host("a1"));
  w.network.add_firewall(firewall(FirewallHook::kOutput, verdict(FirewallAction::kDrop)), machines);
  CHECK(w.send("a1", "s1", "x") == SocketError::kPermitted);
  CHECK(text_of(SocketError::kPermitted) == "operation not permitted");
  CHECK(w.send("a2", "s1", "y") == SocketError::kNone);
  const ConnectionId c = w.connect("a1", "s1", 80);
  w.run_for(4_s);
  CHECK(w.errors.count(c) == 0);
  CHECK(w.recorder.count(DropReason::kPermission) == 1);
  CHECK(w.recorder.count(DropReason::kFirewall) >= 4);  // the SYN and its retries
  CHECK(w.texts("s1") == std::vector<std::string>{"y"});
}

TEST_CASE("firewall: a stateful host firewall lets answers in, and nothing that was not asked for") {
  World w(three_zones());
  FirewallConfig config = firewall(FirewallHook::kInput, verdict(FirewallAction::kAccept));
  config.stateful = true;
  config.default_action = FirewallAction::kDrop;
  config.rules[0].states = {ConnState::kEstablished, ConnState::kRelated};
  HostSet machines;
  machines.add(w.host("a1"));
  w.network.add_firewall(config, machines);
  w.network.tcp_listen(w.host("s1"), 80, &w);
  w.send("s1", "a1", "unasked");
  w.run_for(1_s);
  CHECK(w.texts("a1").empty());
  w.send("a1", "s1", "question");
  const ConnectionId c = w.connect("a1", "s1", 80);
  w.run_for(1_s);
  w.send("s1", "a1", "answer");
  w.run_for(1_s);
  CHECK(w.texts("a1") == std::vector<std::string>{"answer"});
  CHECK(w.connected == std::vector<ConnectionId>{c});
  const ConnectionId closed = w.connect("a1", "s1", 81);
  w.run_for(1_s);
  CHECK(w.errors[closed] == SocketError::kRefused);  // the RST belongs to the connection
}

TEST_CASE("nat: a translated agent is reached by its outside address and answers from it") {
  Topology t = three_zones();
  t.nat = {{"edge", "alpha", *Address::parse("203.0.113.7"), *Address::parse("10.20.1.1")}};
  World w(t);
  const Endpoint outside{*Address::parse("203.0.113.7"), 80};
  CHECK(w.network.host_at(outside.address) == w.host("a1"));
  w.network.tcp_listen(w.host("a1"), 80, &w);
  const ConnectionId c = w.network.tcp_connect(w.host("s1"), outside, &w);
  w.run_for(1_s);
  REQUIRE(w.connected == std::vector<ConnectionId>{c});
  CHECK(w.network.tcp_local(w.accepted.at(0))->address.text() == "10.20.1.1");
  w.send("a1", "s1", "from outside's view");
  w.send("a1", "a2", "inside");
  w.run_for(1_s);
  REQUIRE(w.arrivals.size() == 2);
  CHECK(w.arrivals[0].from.address.text() == "10.20.1.1");
  CHECK(w.arrivals[1].from.address.text() == "203.0.113.7");
  w.send("s1", "a1", "the inside address is not routed outside");
  w.run_for(1_s);
  CHECK(w.recorder.count(DropReason::kNat) == 1);
  SUBCASE("errors find their way back through it") {
    const ConnectionId refused = w.network.tcp_connect(w.host("s1"), {outside.address, 81}, &w);
    w.run_for(1_s);
    CHECK(w.errors[refused] == SocketError::kRefused);
    RuleSpec rule = verdict(FirewallAction::kReject, RejectWith::kIcmpHostUnreachable);
    rule.protocol = Protocol::kTcp;
    w.network.add_firewall(firewall(FirewallHook::kForward, rule));
    const ConnectionId rejected = w.network.tcp_connect(w.host("a1"), w.at("s1", 80), &w);
    w.run_for(1_s);
    CHECK(w.errors[rejected] == SocketError::kHostUnreachable);
  }
  SUBCASE("a stateful firewall between the zones knows the answer") {
    FirewallConfig config = firewall(FirewallHook::kForward, verdict(FirewallAction::kAccept));
    config.stateful = true;
    config.default_action = FirewallAction::kDrop;
    config.rules[0].states = {ConnState::kEstablished, ConnState::kRelated};
    RuleSpec in = verdict(FirewallAction::kAccept);
    in.ports = {{80, 80, 6}};
    config.rules.push_back(in);
    w.network.add_firewall(config);
    const ConnectionId again = w.network.tcp_connect(w.host("s1"), outside, &w);
    w.run_for(1_s);
    CHECK(w.connected.back() == again);
  }
}

TEST_CASE("explain: the dry run says path, rule and outcome, and touches nothing") {
  World w(three_zones());
  RuleSpec rule = verdict(FirewallAction::kReject, RejectWith::kTcpReset);
  rule.ports = {{80, 80, 6}};
  const FirewallId fw = w.network.add_firewall(firewall(FirewallHook::kForward, rule));
  w.network.tcp_listen(w.host("b1"), 81, &w);
  const PathReport refused = w.network.trace_path(w.host("a1"), w.at("b1", 80), Protocol::kTcp);
  CHECK_FALSE(refused.arrives());
  CHECK(refused.drop.reason == DropReason::kReject);
  CHECK(refused.error == SocketError::kRefused);
  REQUIRE(refused.steps.size() == 2);
  CHECK(refused.steps[0].name == "zone:alpha/a1");
  CHECK(refused.steps[0].from == "a1");
  CHECK(refused.steps[0].to == "alpha");
  CHECK(refused.steps[1].name == "fw");
  CHECK(refused.steps[1].to == "the-rule");
  const PathReport passes = w.network.trace_path(w.host("a1"), w.at("b1", 81), Protocol::kTcp);
  CHECK(passes.arrives());
  CHECK(passes.latency == 35_ms);
  CHECK(passes.steps.size() == 5);
  CHECK(passes.steps[1].to == "default");
  CHECK(passes.steps[4].to == "b1");
  const PathReport closed = w.network.trace_path(w.host("a1"), w.at("b1", 82), Protocol::kTcp);
  CHECK(closed.drop.reason == DropReason::kNoListener);
  CHECK(w.network.firewall(fw).hits(0).packets == 0);
  CHECK(w.network.totals().sent == 0);
  CHECK(w.engine.pending() == 0);
}

TEST_CASE("draws: a hundred random edits elsewhere leave an untouched pool's deliveries identical") {
  // Pool one: zone `left`, five hosts on lossy, jittery, duplicating links. Everything else is edited at random.
  const auto base = [] {
    Topology t = three_zones();
    LinkAttributes noisy = latency(1_ms);
    noisy.jitter = 700_us;
    noisy.distribution = Distribution::kNormal;
    noisy.loss = kAlways / 10;
    noisy.duplicate = kAlways / 20;
    noisy.reorder = kAlways / 20;
    noisy.correlation = kAlways / 3;
    t.zones.push_back({"left", std::nullopt, "", {}, noisy});
    for (int i = 1; i <= 5; ++i)
      t.hosts.push_back(agent("l" + std::to_string(i), "left", "10.30.0." + std::to_string(i)));
    return t;
  };
  const auto edited = [&](Rng& rng) {
    Topology t = base();
    const auto n = std::to_string(rng.below(1'000'000));
    switch (rng.below(4)) {
      case 0:
        t.hosts.insert(t.hosts.begin() + static_cast<std::ptrdiff_t>(rng.below(t.hosts.size() + 1)),
                       agent("new" + n, "core", "10.20.10.200"));
        break;
      case 1:
        t.links.insert(t.links.begin(),
                       {"new" + n, "alpha", "beta",
                        latency(Duration(1_ms) * static_cast<std::int64_t>(1 + rng.below(50))), std::nullopt});
        break;
      case 2:
        t.zones.insert(t.zones.begin(), {"zone" + n, std::nullopt, "", {}, latency(1_ms)});
        break;
      default:
        t.links.erase(t.links.begin() + static_cast<std::ptrdiff_t>(rng.below(t.links.size())));
        break;
    }
    return t;
  };
  const auto run = [](const Topology& t, std::uint64_t traffic) {
    World w(t, 42, false);
    Rng rng(traffic, "elsewhere", "traffic");
    for (int i = 0; i < 60; ++i) {
      for (int j = 1; j <= 5; ++j) w.send("l" + std::to_string(j), "l" + std::to_string(j % 5 + 1), std::to_string(i));
      for (std::uint64_t k = rng.below(4); k-- > 0;) w.send("a1", k % 2 ? "a2" : "s1", "noise");
      w.run_for(200_us);
    }
    w.run_for(1_s);
    std::string out;
    for (const Arrival& a : w.arrivals) {
      if (a.host[0] == 'l') out += a.host + a.text + "@" + std::to_string(a.at.ns) + " ";
    }
    return out;
  };
  const std::string expected = run(base(), 0);
  REQUIRE(std::count(expected.begin(), expected.end(), ' ') > 200);
  CHECK(run(base(), 0) == expected);
  Rng rng(9, "edits", "test");
  int same = 0;
  for (std::uint64_t i = 1; i <= 100; ++i) same += run(edited(rng), i) == expected;
  CHECK(same == 100);
  Topology touched = base();
  touched.zones.back().link.loss += kAlways / 10;
  CHECK(run(touched, 0) != expected);
}
