#include <doctest/doctest.h>

#include <algorithm>

#include "firewall_fixture.h"
#include "support/alloc_counter.h"

using namespace dcsim;
using namespace dcsim::net;
using namespace dcsim::net::test;

namespace {

constexpr Instant kStart{1'000'000'000};

std::string deciding(Firewall& firewall, const PacketMeta& meta, Instant now = kStart) {
  return std::string(firewall.rule_name(firewall.evaluate(meta, now).rule));
}

}  // namespace

TEST_CASE("nftables: rules are read in order and the first verdict decides; else the policy") {
  Firewall fw(config({rule("a", FirewallAction::kAccept), rule("b", FirewallAction::kDrop)}), 1);
  CHECK(deciding(fw, gossip(1, 2)) == "a");
  Firewall turned(config({rule("b", FirewallAction::kDrop), rule("a", FirewallAction::kAccept)}), 1);
  CHECK(turned.evaluate(gossip(1, 2), kStart).action == FirewallAction::kDrop);
  CHECK(deciding(turned, gossip(1, 2)) == "b");
  Firewall empty(config({}), 1);
  CHECK(empty.evaluate(gossip(1, 2), kStart).action == FirewallAction::kDrop);
  CHECK(deciding(empty, gossip(1, 2)) == "default");
  CHECK(empty.evaluate(gossip(1, 2), kStart).rule == kDefaultRule);
  Firewall open(config({}, FirewallAction::kAccept), 1);
  CHECK(accepts(open, gossip(1, 2), kStart));
}

TEST_CASE("firewall: a disabled one accepts, counts nothing and tracks nothing") {
  FirewallConfig off = config({rule("all", FirewallAction::kDrop)});
  off.enabled = false;
  Firewall fw(off, 1);
  CHECK(accepts(fw, gossip(1, 2), kStart));
  CHECK(fw.hits(0) == HitCounter{});
  CHECK(fw.hits(kDefaultRule) == HitCounter{});
  fw.enable(true);
  CHECK_FALSE(accepts(fw, gossip(1, 2), kStart));
  CHECK(fw.hits(0) == HitCounter{1, 100});
}

TEST_CASE("firewall: from and to are hosts, or networks for addresses that no host owns") {
  Firewall fw(config({allow("one-two", hosts({1}), hosts({2}))}, FirewallAction::kDrop, false), 1);
  CHECK(accepts(fw, gossip(1, 2), kStart));
  CHECK_FALSE(accepts(fw, gossip(2, 1), kStart));
  CHECK_FALSE(accepts(fw, gossip(1, 3), kStart));
  CHECK_FALSE(accepts(fw, gossip(99, 2), kStart));
  HostSet outside;
  outside.add(*Cidr::parse("10.0.0.64/26"));
  Firewall by_network(config({allow("out", outside, hosts({2}))}, FirewallAction::kDrop, false), 1);
  CHECK(accepts(by_network, gossip(99, 2), kStart));
  CHECK_FALSE(accepts(by_network, gossip(40, 2), kStart));
  Firewall nobody(config({allow("none", HostSet{}, HostSet::any())}, FirewallAction::kDrop, false), 1);
  CHECK_FALSE(accepts(nobody, gossip(1, 2), kStart));
}

TEST_CASE(
    "firewall: direction both means also with from and to swapped, direction in only swapped; ports stay destination "
    "ports") {
  RuleSpec spec = allow("pair", hosts({1}), hosts({2}), {{8301, 8301, 17}});
  const auto passes = [&](const PacketMeta& meta) {
    Firewall fw(config({spec}, FirewallAction::kDrop, false), 1);
    return accepts(fw, meta, kStart);
  };
  CHECK(passes(udp(1, 2, 9, 8301)));
  CHECK_FALSE(passes(udp(2, 1, 9, 8301)));
  spec.direction = RuleSpec::Direction::kBoth;
  CHECK(passes(udp(1, 2, 9, 8301)));
  CHECK(passes(udp(2, 1, 9, 8301)));
  CHECK_FALSE(passes(udp(2, 1, 8301, 9)));
  CHECK_FALSE(passes(udp(2, 3, 9, 8301)));
  spec.direction = RuleSpec::Direction::kIn;
  CHECK_FALSE(passes(udp(1, 2, 9, 8301)));
  CHECK(passes(udp(2, 1, 9, 8301)));
}

TEST_CASE("firewall: port ranges include both ends and belong to a protocol") {
  RuleSpec spec = allow("ports", HostSet::any(), HostSet::any(), {{8300, 8302, 6}, {53, 53, 0}});
  Firewall fw(config({spec}, FirewallAction::kDrop, false), 1);
  CHECK(accepts(fw, tcp(1, 2, 9, 8300), kStart));
  CHECK(accepts(fw, tcp(1, 2, 9, 8302), kStart));
  CHECK_FALSE(accepts(fw, tcp(1, 2, 9, 8299), kStart));
  CHECK_FALSE(accepts(fw, tcp(1, 2, 9, 8303), kStart));
  CHECK_FALSE(accepts(fw, udp(1, 2, 9, 8301), kStart));
  CHECK(accepts(fw, udp(1, 2, 9, 53), kStart));
  CHECK(accepts(fw, tcp(1, 2, 9, 53), kStart));
  RuleSpec source = rule("source", FirewallAction::kAccept);
  source.source_ports = {{8301, 8301, 17}};
  Firewall by_source(config({source}, FirewallAction::kDrop, false), 1);
  CHECK(accepts(by_source, udp(1, 2, 8301, 9), kStart));
  CHECK_FALSE(accepts(by_source, udp(1, 2, 9, 8301), kStart));
  RuleSpec only_tcp = rule("tcp", FirewallAction::kAccept);
  only_tcp.protocol = Protocol::kTcp;
  Firewall by_protocol(config({only_tcp}, FirewallAction::kDrop, false), 1);
  CHECK(accepts(by_protocol, tcp(1, 2, 9, 9), kStart));
  CHECK_FALSE(accepts(by_protocol, gossip(1, 2), kStart));
}

TEST_CASE("nftables reject: what answers depends on the kind, and some rejects must stay silent") {
  RuleSpec reset = rule("reset", FirewallAction::kReject);
  reset.reject_with = RejectWith::kTcpReset;
  Firewall fw(config({reset}), 1);
  Decision d = fw.evaluate(tcp(1, 2, 9, 80), kStart);
  CHECK(d.action == FirewallAction::kReject);
  CHECK(d.answer == RejectWith::kTcpReset);
  CHECK_FALSE(fw.evaluate(tcp(1, 2, 9, 80, kTcpRst), kStart).answer);  // never a RST for a RST
  CHECK_FALSE(fw.evaluate(gossip(1, 2), kStart).answer);               // nor for what is no TCP
  CHECK(fw.evaluate(gossip(1, 2), kStart).action == FirewallAction::kReject);

  FirewallConfig policy = config({}, FirewallAction::kReject);
  Firewall plain(policy, 1);
  CHECK(plain.evaluate(gossip(1, 2), kStart).answer == RejectWith::kIcmpPortUnreachable);  // nft's default
  policy.reject_with = RejectWith::kIcmpAdminProhibited;
  policy.log_default = true;
  Firewall admin(policy, 1);
  d = admin.evaluate(gossip(1, 2), kStart);
  CHECK(d.answer == RejectWith::kIcmpAdminProhibited);
  CHECK(d.log);
  PacketMeta error = packet(2, 1, Protocol::kIcmp, 0, 0);
  const FlowKey quoted = gossip(1, 2).flow;
  error.quoted = &quoted;
  CHECK_FALSE(admin.evaluate(error, kStart).answer);  // RFC 1122 3.2.2: no error about an error
  CHECK(icmp_of(RejectWith::kIcmpAdminProhibited) == IcmpError::kAdminProhibited);
  CHECK(name_of(RejectWith::kTcpReset) == "tcp-reset");
}

TEST_CASE("nftables limit: a bucket of burst packets that fills at the rate; beyond it the rule does not match") {
  RuleSpec limited = rule("limited", FirewallAction::kAccept);
  limited.limit = RateLimit{10, 1_s, 5};
  Firewall fw(config({limited}), 1);
  const auto pass = [&](Instant at) {
    int n = 0;
    for (int i = 0; i < 20; ++i) n += accepts(fw, gossip(1, 2), at) ? 1 : 0;
    return n;
  };
  CHECK(pass(kStart) == 5);
  CHECK(pass(kStart + 99_ms) == 0);
  CHECK(pass(kStart + 100_ms) == 1);
  CHECK(pass(kStart + 300_ms) == 2);
  CHECK(pass(kStart + 60_s) == 5);  // never more than the burst
  CHECK(fw.hits(0).packets == 13);
  CHECK(fw.hits(kDefaultRule).packets == 100 - 13);
}

TEST_CASE("nftables limit: only packets that match all else take a token") {
  RuleSpec limited = allow("limited", hosts({1}), HostSet::any());
  limited.limit = RateLimit{1, 60_s, 2};
  Firewall fw(config({limited}), 1);
  for (int i = 0; i < 10; ++i) CHECK_FALSE(accepts(fw, gossip(3, 2), kStart));
  CHECK(accepts(fw, gossip(1, 2), kStart));
  CHECK(accepts(fw, gossip(1, 2), kStart));
  CHECK_FALSE(accepts(fw, gossip(1, 2), kStart));
}

TEST_CASE("firewall: probability draws from the rule's own stream; other rules do not move it") {
  RuleSpec half = rule("half", FirewallAction::kDrop);
  half.probability = 250'000'000;
  const auto pattern_of = [](Firewall& fw) {
    std::string out;
    for (int i = 0; i < 4000; ++i) out += accepts(fw, gossip(1, 2), kStart) ? '.' : 'x';
    return out;
  };
  Firewall alone(config({half}, FirewallAction::kAccept), 7);
  const std::string drops = pattern_of(alone);
  const auto count = std::count(drops.begin(), drops.end(), 'x');
  CHECK(count > 850);
  CHECK(count < 1150);
  RuleSpec other = half;
  other.name = "other";
  other.from = hosts({5});
  Firewall beside(config({other, half}, FirewallAction::kAccept), 7);
  CHECK(pattern_of(beside) == drops);
  Firewall reseeded(config({half}, FirewallAction::kAccept), 8);
  CHECK(pattern_of(reseeded) != drops);
}

TEST_CASE("firewall: rules change during a run; ids, names and counters stay") {
  Firewall fw(config({allow("gossip", HostSet::any(), HostSet::any(), {kGossipUdp})}), 1);
  CHECK(accepts(fw, gossip(1, 2), kStart));
  CHECK(accepts(fw, gossip(2, 1), kStart));  // now a tracked flow whose rule is remembered
  CHECK(accepts(fw, gossip(1, 2), kStart));
  RuleSpec cut = rule("cut", FirewallAction::kDrop);
  cut.from = hosts({1});
  const std::int32_t id = fw.insert(0, cut);
  CHECK(id == 1);
  CHECK(fw.order() == std::vector<std::int32_t>{1, 0});
  CHECK(deciding(fw, gossip(1, 2)) == "cut");
  CHECK(deciding(fw, gossip(2, 1)) == "gossip");
  CHECK(fw.hits(0).packets == 4);
  CHECK(fw.hits(1).packets == 1);
  CHECK(fw.erase("cut"));
  CHECK_FALSE(fw.erase("cut"));
  CHECK(deciding(fw, gossip(1, 2)) == "gossip");
  CHECK(fw.rule_name(1) == "cut");
  CHECK(fw.hits(1) == HitCounter{1, 100});
  fw.insert(99, rule("", FirewallAction::kAccept));
  CHECK(fw.rule_name(2) == "rule-3");
  CHECK(deciding(fw, udp(1, 2, 5, 6)) == "rule-3");
  CHECK(fw.position_of("gossip") == std::optional<std::size_t>{0});
  CHECK_FALSE(fw.position_of("cut"));
}

TEST_CASE("firewall: a limit inserted during a run starts with a full bucket") {
  Firewall fw(config({}, FirewallAction::kDrop), 1);
  CHECK_FALSE(accepts(fw, gossip(1, 2), kStart));
  RuleSpec limited = rule("limited", FirewallAction::kAccept);
  limited.limit = RateLimit{1, 3600_s, 3};
  fw.insert(0, limited);
  int passed = 0;
  for (int i = 0; i < 10; ++i) passed += accepts(fw, gossip(1, 2), kStart) ? 1 : 0;
  CHECK(passed == 3);
}

TEST_CASE("firewall: remembered verdicts stay exact when a flow turns from new to established") {
  RuleSpec fresh = rule("fresh", FirewallAction::kAccept);
  fresh.states = {ConnState::kNew};
  Firewall fw(config({fresh, replies()}), 1);
  CHECK(deciding(fw, gossip(1, 2)) == "fresh");
  CHECK(deciding(fw, gossip(1, 2)) == "fresh");
  CHECK(deciding(fw, gossip(1, 2)) == "fresh");
  CHECK(deciding(fw, gossip(2, 1)) == "replies");
  CHECK(deciding(fw, gossip(1, 2)) == "replies");
  CHECK(deciding(fw, gossip(1, 2)) == "replies");
}

TEST_CASE("firewall: without stateful nothing has a state, so a rule that wants one never matches") {
  Firewall fw(config({replies()}, FirewallAction::kDrop, false), 1);
  const Decision d = fw.evaluate(gossip(1, 2), kStart);
  CHECK(d.state == ConnState::kUntracked);
  CHECK(d.rule == kDefaultRule);
  CHECK(fw.tracked(kStart) == 0);
}

TEST_CASE("firewall input hook: every machine has its own table; it sees both directions through observe") {
  FirewallConfig host = config({replies()});
  host.hook = FirewallHook::kInput;
  Firewall fw(host, 1, [](HostId id) { return "dc1/h" + std::to_string(id.value); });
  PacketMeta out = tcp(1, 2, 40000, 8300, kTcpSyn);
  out.at = HostId{1};
  PacketMeta back = tcp(2, 1, 8300, 40000, kTcpSyn | kTcpAck);
  back.at = HostId{1};
  CHECK_FALSE(accepts(fw, back, kStart));  // nothing asked for it
  CHECK(fw.observe(out, kStart));
  CHECK(accepts(fw, back, kStart));
  CHECK(fw.tracked(kStart, HostId{1}) == 1);
  CHECK(fw.tracked(kStart, HostId{2}) == 0);
  PacketMeta elsewhere = out;
  elsewhere.at = HostId{2};
  CHECK_FALSE(accepts(fw, elsewhere, kStart));
  CHECK(fw.hits(0).packets == 1);
}

TEST_CASE("firewall input hook: a machine's draws are its own") {
  RuleSpec half = rule("half", FirewallAction::kDrop);
  half.probability = 500'000'000;
  FirewallConfig host = config({half}, FirewallAction::kAccept);
  host.hook = FirewallHook::kInput;
  const auto drops = [&](bool with_other) {
    Firewall fw(host, 1, [](HostId id) { return "dc1/h" + std::to_string(id.value); });
    std::string out;
    for (int i = 0; i < 64; ++i) {
      PacketMeta other = gossip(1, 3);
      other.at = HostId{3};
      if (with_other) fw.evaluate(other, kStart);
      PacketMeta meta = gossip(1, 2);
      meta.at = HostId{2};
      out += accepts(fw, meta, kStart) ? '.' : 'x';
    }
    return out;
  };
  CHECK(drops(false) == drops(true));
}

TEST_CASE("firewall explain: says why, and touches no counter, table, bucket or draw") {
  RuleSpec limited = allow("limited", hosts({1}), hosts({2}));
  limited.limit = RateLimit{1, 3600_s, 1};
  RuleSpec rare = rule("rare", FirewallAction::kDrop);
  rare.probability = 1;
  RuleSpec ports = allow("servers", HostSet::any(), HostSet::any(), {{8300, 8302, 6}});
  RuleSpec apart = rule("tenants-apart", FirewallAction::kDrop);
  apart.from = hosts({1});
  apart.to = hosts({3});
  apart.direction = RuleSpec::Direction::kBoth;
  Firewall fw(config({replies(), ports, apart, rare, limited}), 1);
  for (int i = 0; i < 3; ++i) {
    const Explanation out = fw.explain(gossip(1, 2), kStart);
    REQUIRE(out.steps.size() == 5);
    CHECK(out.flow == "10.0.0.1:8301 -> 10.0.0.2:8301 udp, ct state new");
    CHECK(out.steps[0].why == "no match: ct state is new, not established, related");
    CHECK(out.steps[1].why == "no match: destination port 8301/udp is not in 8300-8302/tcp");
    CHECK(out.steps[2].why == "no match: destination 10.0.0.2 is not in `to` (1 host), nor with from and to swapped");
    CHECK(out.steps[3].why == "no match: its probability (1 in 10^9) would not hit this time");
    CHECK(out.steps[4].why == "match: accept");
    CHECK(out.steps[4].matched);
    CHECK(out.decision.rule == 4);
  }
  for (std::int32_t id = kDefaultRule; id < 5; ++id) CHECK(fw.hits(id) == HitCounter{});
  CHECK(fw.tracked(kStart) == 0);
  CHECK(accepts(fw, gossip(1, 2), kStart));  // the one token is still there
  const Explanation used_up = fw.explain(gossip(1, 2), kStart);
  CHECK(used_up.steps[4].why == "no match: its limit 1/h burst 1 is used up");
  CHECK(used_up.steps[5].why == "no rule matched: default drop");
  CHECK(used_up.decision.action == FirewallAction::kDrop);
  const Explanation back = fw.explain(gossip(2, 1), kStart);
  CHECK(back.decision.rule == 0);
  CHECK(fw.explain(gossip(2, 1), kStart + 31_s).decision.rule == kDefaultRule);  // by then the flow is forgotten
  fw.enable(false);
  CHECK(fw.explain(gossip(2, 1), kStart).steps.back().why == "the firewall is disabled: accept");
}

TEST_CASE("firewall explain: agrees with evaluate for any packet at any time") {
  RuleSpec half = rule("half", FirewallAction::kDrop);
  half.probability = 300'000'000;
  half.ports = {{8300, 8302, 0}};
  RuleSpec slow = allow("slow", hosts({1, 2, 3}), HostSet::any());
  slow.limit = RateLimit{3, 1_s, 5};
  RuleSpec turned = rule("turned", FirewallAction::kReject);
  turned.from = hosts({4});
  turned.to = hosts({1, 2});
  turned.direction = RuleSpec::Direction::kBoth;
  Firewall fw(config({half, replies(), turned, slow}, FirewallAction::kReject), 3);
  Rng rng(1, "test", "packets");
  Instant now = kStart;
  for (int i = 0; i < 20'000; ++i) {
    const auto from = static_cast<std::uint32_t>(1 + rng.below(5));
    const auto to = static_cast<std::uint32_t>(1 + rng.below(5));
    const auto port = static_cast<std::uint16_t>(8299 + rng.below(5));
    const PacketMeta meta = rng.below(2) != 0 ? udp(from, to, port, port)
                                              : tcp(from, to, port, port, static_cast<std::uint8_t>(rng.below(32)));
    now += rng.below(200_ms);
    const Decision foretold = fw.explain(meta, now).decision;
    const Decision real = fw.evaluate(meta, now);
    REQUIRE(foretold.rule == real.rule);
    REQUIRE(foretold.action == real.action);
    REQUIRE(foretold.state == real.state);
    REQUIRE(foretold.answer == real.answer);
  }
}

TEST_CASE("firewall: no allocation per packet in the steady state") {
  RuleSpec half = rule("half", FirewallAction::kDrop);
  half.probability = 100'000'000;
  half.limit = RateLimit{1000, 1_s, 5};
  Firewall fw(config({replies(), half, allow("gossip", HostSet::any(), HostSet::any(), {kGossipUdp})}), 1);
  Instant now = kStart;
  const auto round = [&] {
    for (std::uint32_t from = 1; from < 60; ++from) {
      for (std::uint32_t to = 1; to < 60; ++to) fw.evaluate(gossip(from, to), now);
    }
    now += 20_s;  // flows expire and come again
  };
  for (int i = 0; i < 5; ++i) round();
  const auto before = dcsim::test::allocations();
  for (int i = 0; i < 20; ++i) round();
  const auto after = dcsim::test::allocations();
  CHECK(after == before);
}
