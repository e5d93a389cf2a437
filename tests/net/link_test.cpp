#include "net/link.h"

#include <algorithm>
#include <set>

#include "net/distribution.h"
#include "net/network_world.h"

using namespace dcsim;
using namespace dcsim::net;
using namespace dcsim::net::test;

namespace {

/// Two hosts h-1 and h-2 on one switch: links of 1 ms each; `edit` shapes every access link.
template <class Edit>
Topology pair(Edit edit) {
  LinkAttributes link = latency(1_ms);
  edit(link);
  return star_topology(2, link, "h");
}

void send_many(World& w, int count, Duration gap = 1_ms) {
  for (int i = 0; i < count; ++i) {
    w.send("h-1", "h-2", std::to_string(i));
    w.engine.run_until(w.engine.now() + gap);
  }
  w.run_for(10_s);
}

bool in_order(const std::vector<std::string>& texts) {
  for (std::size_t i = 1; i < texts.size(); ++i) {
    if (std::stoi(texts[i - 1]) > std::stoi(texts[i])) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("link: jitter spreads arrivals but keeps a flow in order") {
  World w(pair([](LinkAttributes& link) { link.jitter = 900_us; }));
  send_many(w, 2'000, 100_us);
  REQUIRE(w.arrivals.size() == 2'000);
  CHECK(in_order(w.texts("h-2")));
  std::set<std::int64_t> delays;
  for (const Arrival& a : w.arrivals) delays.insert((a.at - Instant{}).ns - 100'000 * std::stoi(a.text));
  CHECK(delays.size() > 500);
  CHECK(*delays.begin() >= 200'000);  // 2 x (1 ms - 900 us)
}

TEST_CASE("link: reorder lets packets overtake, without it they never do") {
  World w(pair([](LinkAttributes& link) { link.reorder = kAlways / 4; }));
  send_many(w, 1'000, 100_us);
  CHECK(w.arrivals.size() == 1'000);
  CHECK_FALSE(in_order(w.texts("h-2")));
}

TEST_CASE("link: jitter of one host's flows does not move another's") {
  const auto arrivals_of_two = [](bool with_third) {
    Topology t = star_topology(3, latency(1_ms), "h");
    t.zones[0].link.jitter = 800_us;
    World w(t);
    for (int i = 0; i < 200; ++i) {
      if (with_third) w.send("h-3", "h-2", "-1");
      w.send("h-1", "h-2", std::to_string(i));
      w.run_for(50_us);
    }
    w.run_for(1_s);
    std::vector<Instant> out;
    for (const Arrival& a : w.arrivals) {
      if (a.text != "-1") out.push_back(a.at);
    }
    return out;
  };
  CHECK(arrivals_of_two(false) == arrivals_of_two(true));
}

TEST_CASE("link: loss loses its share and names the link") {
  World w(pair([](LinkAttributes& link) { link.loss = kAlways / 20; }));  // 5 % on each of two links
  send_many(w, 20'000, 1_us);
  const double arrived = static_cast<double>(w.arrivals.size()) / 20'000;
  CHECK(arrived > 0.9025 - 0.007);  // sigma = 0.0021
  CHECK(arrived < 0.9025 + 0.007);
  const LinkId uplink = w.network.find_link("zone:h/h-1");
  const LinkId downlink = w.network.find_link("zone:h/h-2");
  REQUIRE(w.recorder.losses.size() == 20'000 - w.arrivals.size());
  for (const Loss& loss : w.recorder.losses) {
    CHECK(loss.drop.reason == DropReason::kLoss);
    CHECK((loss.drop.link == uplink || loss.drop.link == downlink));
  }
  CHECK(w.network.link_counters(uplink).drops + w.network.link_counters(downlink).drops == w.recorder.losses.size());
  CHECK(w.network.link_counters(uplink).drops > 850);
}

TEST_CASE("link: correlation makes losses come in bursts at the same rate") {
  const auto bursts = [](Billionths correlation) {
    World w(pair([=](LinkAttributes& link) {
      link.loss = kAlways / 10;
      link.correlation = correlation;
    }));
    send_many(w, 20'000, 1_us);
    std::size_t runs = 0, lost = 0;
    std::set<int> got;
    for (const Arrival& a : w.arrivals) got.insert(std::stoi(a.text));
    for (int i = 0; i < 20'000; ++i) {
      lost += !got.contains(i);
      runs += !got.contains(i) && got.contains(i - 1);
    }
    return std::pair{static_cast<double>(lost) / 20'000, static_cast<double>(lost) / static_cast<double>(runs)};
  };
  const auto [plain_rate, plain_burst] = bursts(0);
  const auto [rate, burst] = bursts(kAlways / 4 * 3);
  CHECK(plain_rate > 0.175);
  CHECK(plain_rate < 0.205);
  CHECK(rate > 0.16);
  CHECK(rate < 0.22);
  CHECK(plain_burst < 1.4);
  CHECK(burst > 2.5);
}

TEST_CASE("link: duplicates are counted, corrupt packets end at the receiver with the link as culprit") {
  SUBCASE("duplicate") {
    World w(pair([](LinkAttributes& link) { link.duplicate = kAlways / 10; }));
    send_many(w, 5'000, 1_us);
    const double factor = static_cast<double>(w.arrivals.size()) / 5'000;
    CHECK(factor > 1.21 - 0.03);
    CHECK(factor < 1.21 + 0.03);
    CHECK(w.network.totals().duplicated == w.arrivals.size() - 5'000);
    CHECK(in_order(w.texts("h-2")));
  }
  SUBCASE("corrupt") {
    World w(pair([](LinkAttributes& link) { link.corrupt = kAlways; }));
    send_many(w, 10);
    CHECK(w.arrivals.empty());
    CHECK(w.recorder.count(DropReason::kCorrupt) == 10);
    CHECK(w.recorder.losses[0].drop.link == w.network.find_link("zone:h/h-1"));
    CHECK(w.network.link_counters(w.network.find_link("zone:h/h-2")).backward.packets == 10);  // it did travel
  }
}

TEST_CASE("link: bandwidth serializes exactly") {
  // 1,000 IP bytes at 8 Mbit/s take 1 ms on each of two links, store and forward.
  World w(pair([](LinkAttributes& link) { link.bandwidth = 8'000'000; }));
  for (int i = 0; i < 3; ++i) w.send("h-1", "h-2", std::string(972, 'x'));
  w.run_for(1_s);
  REQUIRE(w.arrivals.size() == 3);
  CHECK(w.arrivals[0].at == Instant{} + 4_ms);  // 1 + 1 serialize, 1 + 1 propagate
  CHECK(w.arrivals[1].at == Instant{} + 5_ms);
  CHECK(w.arrivals[2].at == Instant{} + 6_ms);
}

TEST_CASE("link: fractions of a nanosecond add up instead of being lost") {
  Direction d;
  LinkAttributes link;
  link.bandwidth = 100'000'000'000;  // 125 bytes are 10 ns, 88 bytes 7.04 ns
  d.apply(link, false);
  Instant last{};
  for (int i = 0; i < 1'000; ++i) last = d.transmit(Instant{}, 88);
  CHECK(last == Instant{7'040});
  CHECK(d.transmit(Instant{10'000}, 88) == Instant{10'008});  // idle in between: starts afresh, rounded up
}

TEST_CASE("link: a full byte queue drops the next packet and is the culprit; an idle link takes any packet") {
  World w(pair([](LinkAttributes& link) {
    link.bandwidth = 8'000'000;
    link.queue = 3'000;
  }));
  for (int i = 0; i < 5; ++i) w.send("h-1", "h-2", std::string(972, 'x'));
  w.run_for(1_s);
  CHECK(w.arrivals.size() == 3);
  CHECK(w.recorder.count(DropReason::kQueueFull) == 2);
  CHECK(w.recorder.losses[0].drop.link == w.network.find_link("zone:h/h-1"));
  w.send("h-1", "h-2", std::string(10'000, 'x'));
  w.run_for(1_s);
  CHECK(w.arrivals.size() == 4);
}

TEST_CASE("link: two senders share the receiver's port in order of arrival") {
  Topology t = star_topology(3, latency(1_ms), "h");
  t.zones[0].link.bandwidth = 8'000'000;
  World w(t);
  w.send("h-1", "h-3", std::string(972, 'a'));
  w.send("h-2", "h-3", std::string(472, 'b'));  // 0.5 ms: at the switch first
  w.run_for(1_s);
  REQUIRE(w.arrivals.size() == 2);
  CHECK(w.arrivals[0].text[0] == 'b');
  CHECK(w.arrivals[0].at == Instant{} + 3_ms);
  CHECK(w.arrivals[1].at == Instant{} + 4_ms);
}

TEST_CASE("link: a datagram above the MTU is fragmented, and its fragments share its fate") {
  // RFC 791: 1,480 bytes of IP payload fit each fragment of a 1,500 byte MTU.
  CHECK(fragments_of(1'500, 1'500) == 1);
  CHECK(fragments_of(1'501, 1'500) == 2);
  CHECK(fragments_of(20 + 1'480 * 3, 1'500) == 3);
  CHECK(fragments_of(20 + 1'480 * 3 + 1, 1'500) == 4);
  World w(pair([](LinkAttributes&) {}));
  w.send("h-1", "h-2", std::string(4'000, 'x'));
  w.run_for(1_s);
  CHECK(w.arrivals.size() == 1);
  const LinkCounters counters = w.network.link_counters(w.network.find_link("zone:h/h-1"));
  CHECK(counters.forward.packets == 3);
  CHECK(counters.forward.bytes == 4'008 + 3 * 20);
  SUBCASE("a large datagram is lost more often") {
    const auto arrived = [](std::size_t size) {
      World lossy(pair([](LinkAttributes& link) { link.loss = kAlways / 20; }));
      for (int i = 0; i < 4'000; ++i) lossy.send("h-1", "h-2", std::string(size, 'x'));
      lossy.run_for(1_s);
      return static_cast<double>(lossy.arrivals.size()) / 4'000;
    };
    CHECK(arrived(100) > 0.885);   // 0.95^2
    CHECK(arrived(4'000) < 0.76);  // 0.95^6 = 0.735
    CHECK(arrived(4'000) > 0.71);
  }
}

TEST_CASE("link: impairments replace attributes for a while, later ones win, and what undoes them restores the link") {
  World w(three_zones());
  const LinkId id = w.network.find_link("core-alpha");
  Impairment slow;
  slow.latency = 100_ms;
  Impairment lossy;
  lossy.loss = kAlways;
  lossy.latency = 50_ms;
  const auto first = w.network.impair("core-alpha", slow);
  const auto second = w.network.impair("*", lossy);
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  CHECK(w.network.link_attributes(id).latency == 50_ms);
  w.send("a1", "s1", "lost");
  w.run_for(1_s);
  CHECK(w.recorder.count(DropReason::kLoss) == 1);
  CHECK(w.network.restore(*second));
  CHECK_FALSE(w.network.restore(*second));
  CHECK(w.network.link_attributes(id).latency == 100_ms);
  CHECK(w.network.restore(*first));
  const Instant before = w.engine.now();
  w.send("a1", "s1", "x");
  w.run_for(1_s);
  REQUIRE(w.arrivals.size() == 1);
  CHECK(w.arrivals[0].at == before + 13_ms);
  const auto unknown = w.network.impair("core-gamma", slow);
  REQUIRE_FALSE(unknown.ok());
  CHECK(unknown.error().text == "no link is named `core-gamma`");
}

TEST_CASE("link: `zone:NAME` impairs the access links of the zone's agents") {
  World w(three_zones());
  Impairment slow;
  slow.latency = 7_ms;
  REQUIRE(w.network.impair("zone:alpha", slow).ok());
  w.send("a1", "a2", "x");
  w.send("a1", "s1", "y");
  w.run_for(1_s);
  CHECK(w.arrivals[0].at == Instant{} + 14_ms);
  CHECK(w.arrivals[1].at == Instant{} + 18_ms);
}

TEST_CASE("link: the two directions of a link may differ") {
  Topology t = three_zones();
  t.links[0].back = latency(30_ms);  // alpha to core
  World w(t);
  w.send("a1", "s1", "up");
  w.send("s1", "a1", "down");
  w.run_for(1_s);
  CHECK(w.arrivals[0].text == "down");
  CHECK(w.arrivals[0].at == Instant{} + 13_ms);
  CHECK(w.arrivals[1].at == Instant{} + 33_ms);
}

TEST_CASE("distribution: means and spreads are as named, from integers alone") {
  const auto mean_of = [](Distribution kind, double* spread = nullptr) {
    const Rng rng(5, "link", "jitter");
    double sum = 0, squares = 0;
    constexpr int kDraws = 200'000;
    for (int i = 0; i < kDraws; ++i) {
      const double x =
          static_cast<double>(jitter_deviation(kind, 1_ms, rng.at(static_cast<std::uint64_t>(i))).ns) / 1e6;
      sum += x;
      squares += x * x;
    }
    const double mean = sum / kDraws;
    if (spread) *spread = squares / kDraws - mean * mean;
    return mean;
  };
  double variance = 0;
  CHECK(jitter_deviation(Distribution::kConstant, 1_ms, 77) == 1_ms);
  CHECK(mean_of(Distribution::kUniform, &variance) == doctest::Approx(0).epsilon(0.01));
  CHECK(variance == doctest::Approx(1.0 / 3).epsilon(0.02));
  CHECK(mean_of(Distribution::kNormal, &variance) == doctest::Approx(0).epsilon(0.01));
  CHECK(variance == doctest::Approx(1).epsilon(0.02));
  CHECK(mean_of(Distribution::kLognormal, &variance) == doctest::Approx(1).epsilon(0.02));
  CHECK(variance == doctest::Approx(1.71828).epsilon(0.1));  // e - 1
  CHECK(mean_of(Distribution::kPareto) == doctest::Approx(0.5).epsilon(0.03));
  CHECK(jitter_deviation(Distribution::kUniform, 1_ms, 0) == -1_ms);
  CHECK(jitter_deviation(Distribution::kUniform, 1_ms, ~std::uint64_t{0}) == 1_ms);
}
