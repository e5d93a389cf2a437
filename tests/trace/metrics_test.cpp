#include "trace/metrics.h"

#include <doctest/doctest.h>

#include "trace/order_statistics.h"

using namespace dcsim;
using namespace dcsim::trace;

namespace {

using Fn = AggregateFn;

/// Two servers and two clients in two zones.
struct Hub {
  Hub() {
    agent("server-1.dc1", {{"role", "server"}, {"zone", "core"}, {"dc", "dc1"}});
    agent("alpha-1.dc1", {{"role", "client"}, {"zone", "alpha"}, {"dc", "dc1"}, {"tenant", "red"}});
    agent("beta-1.dc1", {{"role", "client"}, {"zone", "beta"}, {"dc", "dc1"}, {"tenant", "blue"}});
    agent("server-1.dc2", {{"role", "server"}, {"zone", "core"}, {"dc", "dc2"}});
  }
  void agent(std::string_view name, std::vector<std::pair<std::string, std::string>> labels) {
    hub.register_agent(n(name), labels);
  }
  NameId n(std::string_view text) { return names.intern(text); }
  AggregateId add(Fn fn, Series s, std::vector<MatcherSpec> matchers = {}, double p = 0, Duration range = {},
                  std::string label = {}, std::vector<std::string> group_by = {}) {
    const auto id = hub.subscribe({fn, p, s, std::move(matchers), range, std::move(label), std::move(group_by)});
    REQUIRE(id.ok());
    hub.open(*id, Instant{0});
    return *id;
  }
  static Instant at(std::int64_t seconds) { return Instant{seconds * 1'000'000'000}; }
  LabelValues about(std::string_view observer, std::string_view member, std::string_view pool = "lan") {
    return {.observer = n(observer), .member = n(member), .slot = {n(pool)}};
  }
  void failed(std::int64_t s, std::string_view observer, std::string_view member) {
    hub.count(at(s), Series::kSerfMemberFailed, about(observer, member));
  }
  void alive(std::int64_t s, std::string_view observer, double members, std::string_view pool = "lan") {
    hub.set(at(s), Series::kMembersAlive, {.observer = n(observer), .slot = {n(pool)}}, members);
  }
  void latency(std::int64_t s, double seconds, std::string_view workload = "w") {
    hub.observe(at(s), Series::kRpcLatency, {.observer = n("alpha-1.dc1"), .slot = {n("dc1"), n(workload)}}, seconds);
  }
  double number(AggregateId id, std::int64_t now = 100) {
    const Value v = hub.read(id, at(now));
    REQUIRE(v.kind == Value::Kind::kNumber);
    return v.number;
  }
  bool none(AggregateId id, std::int64_t now = 100) { return hub.read(id, at(now)).kind == Value::Kind::kNone; }

  NameTable names;
  MetricHub hub{names};
};

MatcherSpec is(std::string label, std::string text) { return {std::move(label), MatchOp::kEqual, std::move(text)}; }
MatcherSpec is_not(std::string label, std::string text) {
  return {std::move(label), MatchOp::kNotEqual, std::move(text)};
}
MatcherSpec like(std::string label, std::string text) { return {std::move(label), MatchOp::kMatches, std::move(text)}; }
MatcherSpec unlike(std::string label, std::string text) {
  return {std::move(label), MatchOp::kNotMatches, std::move(text)};
}

std::vector<double> numbers(const Value& v) {
  std::vector<double> out;
  for (const Value& one : v.list) out.push_back(one.number);
  return out;
}

}  // namespace

TEST_CASE("metrics: a counter counts happenings, once an observer") {
  Hub h;
  const auto count = h.add(Fn::kCount, Series::kSerfMemberFailed);
  const auto rate = h.add(Fn::kRate, Series::kSerfMemberFailed);
  CHECK(h.number(count) == 0);
  CHECK(h.number(rate, 0) == 0);
  h.failed(1, "server-1.dc1", "beta-1.dc1");
  h.failed(1, "alpha-1.dc1", "beta-1.dc1");
  h.hub.count(Hub::at(2), Series::kSerfMemberFailed, h.about("alpha-1.dc1", "server-1.dc1"), 3);
  h.hub.count(Hub::at(2), Series::kSerfMemberFlap, h.about("alpha-1.dc1", "server-1.dc1"));
  CHECK(h.number(count) == 5);
  CHECK(h.number(h.add(Fn::kValue, Series::kSerfMemberFailed)) == 0);  // subscribed afterwards
  CHECK(h.number(rate, 10) == 0.5);
  CHECK(h.number(rate, 50) == 0.1);
}

TEST_CASE("metrics: min, max, avg and quantiles of a counter look at the totals of its label sets") {
  Hub h;
  const auto max = h.add(Fn::kMax, Series::kSerfMemberFailed);
  const auto min = h.add(Fn::kMin, Series::kSerfMemberFailed);
  const auto avg = h.add(Fn::kAvg, Series::kSerfMemberFailed);
  const auto med = h.add(Fn::kMed, Series::kSerfMemberFailed);
  const auto all = h.add(Fn::kAll, Series::kSerfMemberFailed);
  const auto sum = h.add(Fn::kSum, Series::kSerfMemberFailed);
  CHECK(h.none(max));
  for (int i = 0; i < 4; ++i) h.failed(i, "alpha-1.dc1", "beta-1.dc1");
  h.failed(5, "beta-1.dc1", "alpha-1.dc1");
  CHECK(h.number(max) == 4);
  CHECK(h.number(min) == 1);
  CHECK(h.number(avg) == 2.5);
  CHECK(h.number(med) == 2.5);
  CHECK(h.number(sum) == 5);
  CHECK(numbers(h.hub.read(all, Hub::at(9))) == std::vector<double>{1, 4});
}

TEST_CASE("metrics: a matcher that no linear time can judge is refused at once, a hostile one is judged") {
  Hub w;
  AggregateSpec spec;
  spec.series = Series::kSerfMemberFailed;
  spec.matchers = {like("observer", "alpha(?!-1).*")};
  const auto refused = w.hub.subscribe(spec);
  REQUIRE(!refused.ok());
  CHECK(refused.error().text == "`alpha(?!-1).*` is no regular expression: look-ahead is not supported");
  spec.matchers = {like("observer", "(a*)*b")};
  const auto hostile = w.hub.subscribe(spec);
  REQUIRE(hostile.ok());
  w.hub.open(*hostile, Instant{});
  LabelValues l;
  l.observer = w.names.intern(std::string(4000, 'a'));
  w.hub.count(Instant{}, Series::kSerfMemberFailed, l);
  CHECK(w.hub.read(*hostile, Instant{}).number == 0);
}

TEST_CASE("metrics: labels match by =, !=, =~ and !~, the agent's own and the member's too") {
  Hub h;
  const auto count = [&](std::vector<MatcherSpec> m) {
    return h.add(Fn::kCount, Series::kSerfMemberFailed, std::move(m));
  };
  const auto by_observer = count({is("observer", "alpha-1.dc1")});
  const auto by_node = count({is("node", "alpha-1.dc1")});
  const auto by_role = count({is("role", "client")});
  const auto servers = count({is("role", "server"), is("member_role", "server")});
  const auto zones = count({like("zone", "alpha|beta")});
  const auto part = count({like("zone", "alph")});  // the whole value must match
  const auto not_core = count({unlike("zone", "co.*")});
  const auto not_beta = count({is_not("member", "beta-1.dc1")});
  const auto own = count({is("tenant", "red")});
  const auto of_member = count({is("member_tenant", "blue")});
  const auto observer_prefix = count({is("observer_dc", "dc2")});
  const auto without = count({is("tenant", "")});
  const auto pool = count({is("pool", "wan")});
  h.failed(1, "alpha-1.dc1", "beta-1.dc1");
  h.failed(1, "server-1.dc1", "server-1.dc2");
  h.failed(1, "server-1.dc2", "beta-1.dc1");
  CHECK(h.number(by_observer) == 1);
  CHECK(h.number(by_node) == 1);
  CHECK(h.number(by_role) == 1);
  CHECK(h.number(servers) == 1);
  CHECK(h.number(zones) == 1);
  CHECK(h.number(part) == 0);
  CHECK(h.number(not_core) == 1);
  CHECK(h.number(not_beta) == 1);
  CHECK(h.number(own) == 1);
  CHECK(h.number(of_member) == 2);
  CHECK(h.number(observer_prefix) == 1);
  CHECK(h.number(without) == 2);
  CHECK(h.number(pool) == 0);
}

TEST_CASE("metrics: a label value that is interned during the run is judged") {
  Hub h;
  const auto id = h.add(Fn::kCount, Series::kFwDrop, {is("rule", "tenants-apart"), like("port", "83.*")});
  for (const char* port : {"8301/udp", "8302/tcp", "53/udp"}) {
    h.hub.count(Hub::at(1), Series::kFwDrop,
                {.slot = {h.n("core-fw"), h.n("tenants-apart"), h.n("a"), h.n("b"), h.n(port)}});
  }
  CHECK(h.number(id) == 2);
}

TEST_CASE("metrics: the window opens and closes") {
  Hub h;
  const auto id = *h.hub.subscribe({.fn = Fn::kCount, .series = Series::kSerfMemberFailed});
  const auto rate = *h.hub.subscribe({.fn = Fn::kRate, .series = Series::kSerfMemberFailed});
  h.failed(1, "alpha-1.dc1", "beta-1.dc1");
  CHECK(h.number(id) == 0);
  CHECK_FALSE(h.hub.is_open(id));
  h.hub.open(id, Hub::at(10));
  h.hub.open(rate, Hub::at(10));
  h.failed(11, "alpha-1.dc1", "beta-1.dc1");
  h.failed(12, "alpha-1.dc1", "beta-1.dc1");
  CHECK(h.number(id) == 2);
  h.hub.close(id, Hub::at(14));
  h.hub.close(rate, Hub::at(14));
  h.failed(15, "alpha-1.dc1", "beta-1.dc1");
  CHECK(h.number(id) == 2);
  CHECK(h.number(rate) == 0.5);  // per second of the window, however late it is asked
  h.hub.open(id, Hub::at(20));
  CHECK(h.number(id) == 0);
}

TEST_CASE("metrics: a gauge has the value now, one a label set") {
  Hub h;
  const auto min = h.add(Fn::kMin, Series::kMembersAlive);
  const auto max = h.add(Fn::kMax, Series::kMembersAlive);
  const auto avg = h.add(Fn::kAvg, Series::kMembersAlive);
  const auto sum = h.add(Fn::kSum, Series::kMembersAlive);
  const auto count = h.add(Fn::kCount, Series::kMembersAlive);
  const auto p50 = h.add(Fn::kQuantile, Series::kMembersAlive, {}, 50);
  const auto one = h.add(Fn::kValue, Series::kMembersAlive, {is("observer", "alpha-1.dc1")});
  const auto any = h.add(Fn::kValue, Series::kMembersAlive);
  CHECK(h.none(min));
  CHECK(h.number(sum) == 0);
  h.alive(1, "alpha-1.dc1", 9);
  h.alive(1, "beta-1.dc1", 5);
  h.alive(1, "server-1.dc1", 10);
  h.alive(2, "alpha-1.dc1", 3);
  CHECK(h.number(min) == 3);
  CHECK(h.number(max) == 10);
  CHECK(h.number(avg) == 6);
  CHECK(h.number(sum) == 18);
  CHECK(h.number(count) == 3);
  CHECK(h.number(p50) == 5);
  CHECK(h.number(one) == 3);
  CHECK(h.none(any));
  CHECK(h.hub.read(any, Hub::at(3)).ambiguous);
  h.hub.remove(Hub::at(4), Series::kMembersAlive, {.observer = h.n("alpha-1.dc1"), .slot = {h.n("lan")}});
  CHECK(h.number(min) == 5);
  CHECK(h.number(count) == 2);
  CHECK(h.none(one));
}

TEST_CASE("metrics: sim.members.alive means the LAN pool unless a pool is named") {
  Hub h;
  const auto lan = h.add(Fn::kMax, Series::kMembersAlive);
  const auto segment = h.add(Fn::kMax, Series::kMembersAlive, {is("pool", "segment:alpha")});
  const auto every = h.add(Fn::kMax, Series::kMembersAlive, {like("pool", ".*")});
  h.alive(1, "server-1.dc1", 4);
  h.alive(1, "server-1.dc1", 9, "segment:alpha");
  h.alive(1, "server-1.dc1", 12, "wan");
  CHECK(h.number(lan) == 4);
  CHECK(h.number(segment) == 9);
  CHECK(h.number(every) == 12);
}

TEST_CASE("metrics: a gauge set before its window opens has that value in it; closing freezes it") {
  Hub h;
  const auto id = *h.hub.subscribe({.fn = Fn::kMax, .series = Series::kMembersAlive});
  h.alive(1, "alpha-1.dc1", 9);
  h.hub.open(id, Hub::at(5));
  CHECK(h.number(id) == 9);
  h.alive(6, "alpha-1.dc1", 4);
  h.hub.close(id, Hub::at(7));
  h.alive(8, "alpha-1.dc1", 2);
  CHECK(h.number(id) == 4);
}

TEST_CASE("metrics: a gauge may be a text") {
  Hub h;
  const auto status = h.add(Fn::kValue, Series::kMemberStatus, {is("member", "beta-1.dc1"), is("segment", "beta")});
  const auto all = h.add(Fn::kAll, Series::kMemberStatus);
  const auto set = [&](std::int64_t s, std::string_view observer, std::string_view segment, std::string_view value) {
    h.hub.set_text(Hub::at(s), Series::kMemberStatus,
                   {.observer = h.n(observer), .member = h.n("beta-1.dc1"), .slot = {h.n("lan"), h.n(segment)}},
                   h.n(value));
  };
  CHECK(h.none(status));
  set(1, "server-1.dc1", "beta", "alive");
  CHECK(h.hub.read(status, Hub::at(2)) == Value::of("alive"));
  set(2, "server-1.dc1", "beta", "failed");
  CHECK(h.hub.read(status, Hub::at(3)) == Value::of("failed"));
  set(3, "alpha-1.dc1", "alpha", "alive");
  const Value list = h.hub.read(all, Hub::at(3));
  REQUIRE(list.list.size() == 2);
  CHECK(list.list[0] == Value::of("alive"));
  CHECK(list.list[1] == Value::of("failed"));
}

TEST_CASE("metrics: an observation is looked at over all its samples") {
  Hub h;
  const auto add = [&](Fn fn, double p = 0) { return h.add(fn, Series::kRpcLatency, {is("workload", "w")}, p); };
  const auto min = add(Fn::kMin), max = add(Fn::kMax), avg = add(Fn::kAvg), med = add(Fn::kMed), sum = add(Fn::kSum);
  const auto p99 = add(Fn::kQuantile, 99), p0 = add(Fn::kQuantile, 0), p100 = add(Fn::kQuantile, 100);
  const auto count = add(Fn::kCount), rate = add(Fn::kRate), last = add(Fn::kValue), any = add(Fn::kAny);
  for (const auto id : {min, max, avg, med, p99, last}) CHECK(h.none(id));
  for (const int i : {3, 1, 2, 4}) h.latency(i, i);
  h.latency(5, 77, "other");
  CHECK(h.number(min) == 1);
  CHECK(h.number(max) == 4);
  CHECK(h.number(avg) == 2.5);
  CHECK(h.number(med) == 2.5);
  CHECK(h.number(sum) == 10);
  CHECK(h.number(p99) == doctest::Approx(3.97));
  CHECK(h.number(p0) == 1);
  CHECK(h.number(p100) == 4);
  CHECK(h.number(count) == 4);
  CHECK(h.number(rate, 8) == 0.5);
  CHECK(h.number(last) == 4);
  CHECK(numbers(h.hub.read(any, Hub::at(9))) == std::vector<double>{1, 2, 3, 4});
}

TEST_CASE("metrics: texts observed are listed once each") {
  Hub h;
  const auto all = h.add(Fn::kAll, Series::kRpcPath, {is("from", "alpha-1.dc1"), is("target_dc", "dc1")});
  for (const char* path : {"client.dc2>server.dc2>server.dc1", "client.dc2>server.dc2>server.dc1>leader.dc1",
                           "client.dc2>server.dc2>server.dc1"}) {
    h.hub.observe_text(Hub::at(1), Series::kRpcPath, {.observer = h.n("alpha-1.dc1"), .slot = {h.n("dc1")}}, h.n(path));
  }
  const Value v = h.hub.read(all, Hub::at(2));
  REQUIRE(v.list.size() == 2);
  CHECK(v.list[1] == Value::of("client.dc2>server.dc2>server.dc1>leader.dc1"));
}

TEST_CASE("metrics: distinct counts the values of a label") {
  Hub h;
  const auto joiners = h.add(Fn::kDistinct, Series::kJoinRejected, {is("reason", "wrong segment")}, 0, {}, "joiner");
  const auto roles = h.add(Fn::kDistinct, Series::kSerfMemberFailed, {}, 0, {}, "member_role");
  CHECK(h.number(joiners) == 0);
  for (const char* joiner : {"stray-1.dc1", "stray-2.dc1", "stray-1.dc1"}) {
    h.hub.count(Hub::at(1), Series::kJoinRejected,
                {.observer = h.n("server-1.dc1"), .slot = {h.n(joiner), h.n("wrong segment")}});
    h.hub.count(Hub::at(1), Series::kJoinRejected, {.observer = h.n("server-1.dc1"), .slot = {h.n("x"), h.n("other")}});
  }
  h.failed(1, "alpha-1.dc1", "beta-1.dc1");
  h.failed(1, "alpha-1.dc1", "server-1.dc2");
  h.failed(1, "alpha-1.dc1", "server-1.dc1");
  CHECK(h.number(joiners) == 2);
  CHECK(h.number(roles) == 2);
  const auto observers = h.add(Fn::kDistinct, Series::kMembersAlive, {}, 0, {}, "dc");
  h.alive(1, "alpha-1.dc1", 3);
  h.alive(1, "beta-1.dc1", 3);
  h.alive(1, "server-1.dc2", 3);
  CHECK(h.number(observers) == 2);
  h.hub.remove(Hub::at(2), Series::kMembersAlive, {.observer = h.n("server-1.dc2"), .slot = {h.n("lan")}});
  CHECK(h.number(observers) == 1);
}

TEST_CASE("metrics: a range looks back from now") {
  Hub h;
  const auto count = h.add(Fn::kCount, Series::kSerfMemberFailed, {}, 0, 10_s);
  const auto rate = h.add(Fn::kRate, Series::kSerfMemberFailed, {}, 0, 10_s);
  const auto max = h.add(Fn::kMax, Series::kSerfMemberFailed, {}, 0, 10_s);
  const auto distinct = h.add(Fn::kDistinct, Series::kSerfMemberFailed, {}, 0, 10_s, "member");
  const auto worst = h.add(Fn::kMax, Series::kRpcLatency, {}, 0, 10_s);
  const auto med = h.add(Fn::kMed, Series::kRpcLatency, {}, 0, 10_s);
  const auto mean = h.add(Fn::kAvg, Series::kRpcLatency, {}, 0, 10_s);
  for (const int s : {1, 2, 3}) h.failed(s, "alpha-1.dc1", "beta-1.dc1");
  h.failed(8, "alpha-1.dc1", "server-1.dc1");
  h.latency(1, 9);
  h.latency(2, 3);
  h.latency(8, 1);
  CHECK(h.number(count, 8) == 4);
  CHECK(h.number(rate, 8) == 0.5);  // the window is 8 s old
  CHECK(h.number(max, 8) == 3);
  CHECK(h.number(distinct, 8) == 2);
  CHECK(h.number(worst, 8) == 9);
  CHECK(h.number(med, 8) == 3);
  CHECK(h.hub.next_change(count, Hub::at(8)) == Hub::at(11));
  CHECK(h.number(count, 11) == 3);  // what happened at 1 s is no longer within 10 s
  CHECK(h.number(worst, 11) == 3);
  CHECK(h.number(mean, 11) == 2);
  CHECK(h.number(count, 13) == 1);
  CHECK(h.number(max, 13) == 1);
  CHECK(h.number(distinct, 13) == 1);
  CHECK(h.number(rate, 13) == 0.1);
  CHECK(h.number(count, 18) == 0);
  CHECK(h.none(worst, 18));
  CHECK(h.hub.next_change(count, Hub::at(18)) == Instant::never());
}

TEST_CASE("metrics: a range over a gauge sees the values held in it") {
  Hub h;
  const auto min = h.add(Fn::kMin, Series::kMembersAlive, {}, 0, 10_s);
  const auto avg = h.add(Fn::kAvg, Series::kMembersAlive, {}, 0, 10_s);
  h.alive(0, "alpha-1.dc1", 9);
  h.alive(4, "alpha-1.dc1", 2);
  h.alive(6, "alpha-1.dc1", 8);
  CHECK(h.number(min, 6) == 2);
  CHECK(h.number(min, 15) == 2);
  CHECK(h.hub.next_change(min, Hub::at(15)) == Hub::at(16));
  CHECK(h.number(min, 16) == 8);
  Hub g;
  const auto mean = g.add(Fn::kAvg, Series::kMembersAlive, {}, 0, 10_s);
  g.alive(0, "alpha-1.dc1", 9);
  g.alive(4, "alpha-1.dc1", 2);
  g.alive(6, "alpha-1.dc1", 8);
  CHECK(g.number(mean, 10) == doctest::Approx((9 * 4 + 2 * 2 + 8 * 4) / 10.0));
  CHECK(g.number(mean, 20) == 8);
  (void)avg;
}

TEST_CASE("metrics: groups are told in the order of their labels") {
  Hub h;
  const auto by_zone = h.add(Fn::kCount, Series::kSerfMemberFailed, {}, 0, {}, {}, {"zone", "member_role"});
  const auto alive = h.add(Fn::kAvg, Series::kMembersAlive, {}, 0, {}, {}, {"role"});
  h.failed(1, "server-1.dc1", "beta-1.dc1");
  h.failed(1, "alpha-1.dc1", "beta-1.dc1");
  h.failed(1, "alpha-1.dc1", "beta-1.dc1");
  h.alive(1, "server-1.dc1", 4);
  h.alive(1, "alpha-1.dc1", 2);
  h.alive(1, "beta-1.dc1", 3);
  const auto rows = h.hub.read_groups(by_zone, Hub::at(2));
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].labels == std::vector<std::string>{"alpha", "client"});
  CHECK(rows[0].value == Value::of(2));
  CHECK(rows[1].labels == std::vector<std::string>{"core", "client"});
  CHECK(rows[1].value == Value::of(1));
  const auto roles = h.hub.read_groups(alive, Hub::at(2));
  REQUIRE(roles.size() == 2);
  CHECK(roles[0].value == Value::of(2.5));
  h.hub.close(by_zone, Hub::at(3));
  CHECK(h.hub.read_groups(by_zone, Hub::at(9)).size() == 2);
}

TEST_CASE("metrics: stamps move when, and only when, a value may have changed") {
  Hub h;
  const auto failed = h.add(Fn::kCount, Series::kSerfMemberFailed, {is("role", "server")});
  const auto alive = h.add(Fn::kMax, Series::kMembersAlive);
  auto stamp = h.hub.stamp(failed);
  const auto total = h.hub.stamp();
  h.failed(1, "alpha-1.dc1", "beta-1.dc1");  // not a server
  CHECK(h.hub.stamp(failed) == stamp);
  CHECK(h.hub.stamp() == total);
  h.failed(1, "server-1.dc1", "beta-1.dc1");
  CHECK(h.hub.stamp(failed) > stamp);
  CHECK(h.hub.stamp() > total);
  h.alive(1, "alpha-1.dc1", 3);
  stamp = h.hub.stamp(alive);
  h.alive(2, "alpha-1.dc1", 3);  // the same again
  CHECK(h.hub.stamp(alive) == stamp);
  const auto before = h.hub.stamp(failed);
  h.hub.close(failed, Hub::at(2));
  CHECK(h.hub.stamp(failed) > before);
}

TEST_CASE("metrics: nobody asks for a series nobody subscribed to") {
  Hub h;
  CHECK_FALSE(h.hub.wanted(Series::kSerfMemberFailed));
  h.failed(1, "alpha-1.dc1", "beta-1.dc1");
  h.add(Fn::kCount, Series::kSerfMemberFailed);
  CHECK(h.hub.wanted(Series::kSerfMemberFailed));
  CHECK_FALSE(h.hub.wanted(Series::kSerfMemberJoin));
}

TEST_CASE("metrics: what contributed is told, the latest first") {
  Hub h;
  const auto id = h.add(Fn::kCount, Series::kSerfMemberFailed);
  for (int i = 0; i < 20; ++i) h.failed(i, "alpha-1.dc1", "member-" + std::to_string(i));
  const auto lines = h.hub.contributors(id, 2);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == "consul.serf.member.failed{observer=\"alpha-1.dc1\", member=\"member-19\", pool=\"lan\"} 1");
  CHECK(lines[1].find("member-18") != std::string::npos);
  CHECK(h.hub.contributors(id, 100).size() == 16);
}

TEST_CASE("metrics: bad patterns and percentiles are errors") {
  Hub h;
  CHECK_FALSE(h.hub.subscribe({.fn = Fn::kCount, .series = Series::kFwDrop, .matchers = {like("rule", "(")}}).ok());
  CHECK_FALSE(
      h.hub.subscribe({.fn = Fn::kCount, .series = Series::kFwDrop, .matchers = {like("rule", std::string(2000, 'a'))}})
          .ok());
  CHECK_FALSE(h.hub.subscribe({.fn = Fn::kQuantile, .p = 101, .series = Series::kRpcLatency}).ok());
  CHECK(h.hub.agent_labels() == std::vector<std::string>{"dc", "role", "tenant", "zone"});
  CHECK(h.names.text(h.hub.agent_label(h.n("alpha-1.dc1"), "tenant")) == "red");
}

TEST_CASE("order statistics: exact below the capacity, close above it") {
  OrderStatistics exact;
  for (int i = 0; i < 10'000; ++i) exact.insert((i * 7919) % 10'000);
  CHECK(exact.size() == 10'000);
  for (const std::uint64_t k : {0u, 1u, 1023u, 1024u, 5000u, 9999u}) CHECK(exact.at(k) == static_cast<double>(k));
  OrderStatistics thinned(1000);
  for (int i = 0; i < 100'000; ++i) thinned.insert((i * 7919) % 100'000);
  CHECK(thinned.size() <= 1000);
  CHECK(thinned.size() > 300);
  CHECK(thinned.at(thinned.size() / 2) == doctest::Approx(50'000).epsilon(0.05));
}

TEST_CASE("metrics.csv: tidy rows, quoted where needed") {
  Value list;
  list.kind = Value::Kind::kList;
  list.list = {Value::of(1), Value::of("x")};
  const std::vector<MetricRow> rows = {{"flaps", {}, Value::of(12), "flaps"},
                                       {"gossip", {{"zone", "alpha"}, {"role", "client"}}, Value::of(0.5), "B/s"},
                                       {"paths", {}, list, ""},
                                       {"odd, name", {}, Value::none(), "s"}};
  CHECK(metrics_csv(rows) ==
        "metric,labels,value,unit\nflaps,,12,flaps\ngossip,zone=alpha;role=client,0.5,B/s\npaths,,1|x,\n\"odd, "
        "name\",,,s\n");
}
