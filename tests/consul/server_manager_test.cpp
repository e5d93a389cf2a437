#include "consul/server_manager.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <set>
#include <string>
#include <vector>

#include "consul/rpc_client.h"

using namespace dcsim;
using namespace dcsim::consul;

namespace {

ServerEntry entry(int n) {
  ServerEntry e;
  e.name = e.short_name = fmt::format("s{}", n);
  e.id = fmt::format("id-{}", n);
  e.datacenter = "dc1";
  e.rpc = {*Address::parse(fmt::format("10.0.0.{}", n)), 8300};
  e.address = e.rpc.text();
  return e;
}

ServerManager manager_of(int servers) {
  ServerManager m(1, "c1");
  m.start({});
  for (int n = 1; n <= servers; ++n) m.add(entry(n));
  return m;
}

std::string order(const ServerManager& m) {
  std::string out;
  for (const ServerEntry& s : m.servers()) out += (out.empty() ? "" : " ") + s.name;
  return out;
}

gossip::Member member(gossip::Tags tags) {
  gossip::Member m;
  m.name = "s1.dc1";
  m.endpoint = {Address::parse("10.0.0.1")->mapped(), 8303};
  m.tags = std::make_shared<const gossip::Tags>(std::move(tags));
  return m;
}

}  // namespace

TEST_CASE("metadata: an RPC address is the gossip address and the port tag") {
  const auto e = server_entry(member({{"role", "consul"},
                                      {"port", "8400"},
                                      {"vsn", "2"},
                                      {"build", "1.21.4"},
                                      {"dc", "dc1"},
                                      {"id", "x"},
                                      {"segment", "a"}}));
  REQUIRE(e);
  CHECK(e->address == "10.0.0.1:8400");
  CHECK(e->short_name == "s1");
  CHECK(e->segment == "a");
  CHECK(!server_entry(member({{"role", "node"}, {"dc", "dc1"}})));
}

TEST_CASE("manager: the front is used until it fails") {
  ServerManager m = manager_of(3);
  CHECK(m.front()->name == "s1");
  CHECK(!m.failed("s2"));
  CHECK(order(m) == "s1 s2 s3");
  CHECK(m.failed("s1"));
  CHECK(order(m) == "s2 s3 s1");
  m.remove("s3");
  CHECK(order(m) == "s2 s1");
  m.remove("s1");
  CHECK(!m.failed("s2"));  // the only one stays
  m.remove("s2");
  CHECK(m.front() == nullptr);
}

TEST_CASE("manager: an update keeps the place") {
  ServerManager m = manager_of(3);
  ServerEntry moved = entry(2);
  moved.rpc.port = 9300;
  m.add(moved);
  CHECK(order(m) == "s1 s2 s3");
  CHECK(m.find("s2")->rpc.port == 9300);
}

TEST_CASE("rebalance: a healthy server comes to the front, failed ones go behind") {
  ServerManager m = manager_of(5);
  CHECK(m.rebalance_at() == Instant{} + 120_s);
  const Instant now = Instant{} + 120_s;
  m.begin_rebalance(now, 100);
  CHECK(m.rebalance_at() == Instant::never());
  const std::string first = m.pinging()->name;
  CHECK(m.pinged(now, false) == ServerManager::Verdict::kNext);
  const std::string second = m.pinging()->name;
  CHECK(second != first);
  CHECK(m.pinged(now, true) == ServerManager::Verdict::kRebalanced);
  CHECK(m.front()->name == second);
  CHECK(m.servers().back().name == first);
  CHECK(m.servers().size() == 5);
  CHECK(m.pinging() == nullptr);
  CHECK(m.rebalance_at() >= now + 120_s);
  CHECK(m.rebalance_at() < now + 180_s);
}

TEST_CASE("rebalance: offline when nobody answers, until somebody joins") {
  ServerManager m = manager_of(2);
  m.begin_rebalance({}, 10);
  CHECK(m.pinged({}, false) == ServerManager::Verdict::kNext);
  CHECK(m.pinged({}, false) == ServerManager::Verdict::kOffline);
  CHECK(m.offline());
  CHECK(m.servers().size() == 2);
  m.add(entry(3));
  CHECK(!m.offline());
}

TEST_CASE("rebalance: what gossip says meanwhile counts") {
  ServerManager m = manager_of(3);
  m.begin_rebalance({}, 10);
  const std::string chosen = m.pinging()->name;
  m.add(entry(4));
  SUBCASE("a new server comes last") {
    CHECK(m.pinged({}, true) == ServerManager::Verdict::kRebalanced);
    CHECK(m.servers().back().name == "s4");
    CHECK(m.front()->name == chosen);
  }
  SUBCASE("the chosen one has left") {
    m.remove(chosen);
    CHECK(m.pinged({}, true) == ServerManager::Verdict::kChanged);
    CHECK(m.find(chosen) == nullptr);
    CHECK(m.servers().size() == 3);
  }
}

TEST_CASE("rebalance: at most 64 new connections a second and server") {
  ServerManager m = manager_of(5);
  m.begin_rebalance({}, 100'000);
  m.pinged({}, true);
  CHECK(m.rebalance_at() == Instant{} + 312'500_ms);  // 100,000 / (5 * 64) s
}

TEST_CASE("rebalance: every order comes up") {
  ServerManager m = manager_of(3);
  std::set<std::string> orders;
  for (int i = 0; i < 200; ++i) {
    m.begin_rebalance({}, 10);
    m.pinged({}, true);
    orders.insert(order(m));
  }
  CHECK(orders.size() == 6);
}

TEST_CASE("lookup: by ID and by address, in order of names") {
  ServerLookup lookup;
  lookup.add(entry(2));
  lookup.add(entry(1));
  lookup.add(entry(2));
  CHECK(lookup.servers().size() == 2);
  CHECK(lookup.servers().front().name == "s1");
  CHECK(lookup.by_id("id-2")->name == "s2");
  CHECK(lookup.by_address("10.0.0.1:8300")->name == "s1");
  lookup.remove(entry(1));
  CHECK(lookup.by_address("10.0.0.1:8300") == nullptr);
}

TEST_CASE("retry: what may be repeated, and how long (rpc.go canRetry)") {
  const RpcSettings settings;
  const RpcRetry retry(Instant{});
  RpcInfo write, read;
  read.read = true;
  const auto allowed = [&](Duration at, const RpcInfo& info, std::string_view error,
                           RpcRetry::Side side = RpcRetry::Side::kServer) {
    return retry.allowed(Instant{} + at, info, settings, side, error);
  };
  CHECK(allowed(7_s, write, "rpc error making call: No cluster leader"));
  CHECK(!allowed(7_s + 1_ns, write, "rpc error making call: No cluster leader"));
  CHECK(allowed(0_s, read, "rpc error making call: EOF"));
  CHECK(!allowed(0_s, write, "rpc error making call: EOF"));
  CHECK(!allowed(0_s, read, kErrLeaderNotTracked));
  CHECK(!allowed(0_s, read, kErrNoDcPath));
  CHECK(!allowed(0_s, read, "rpc error getting client: failed to get conn: dial tcp 10.0.0.1:8300: i/o timeout"));
  CHECK(allowed(0_s, write, kErrRetryLater));
  CHECK(!allowed(0_s, write, kErrRetryLater, RpcRetry::Side::kClient));
  CHECK(allowed(0_s, write, kErrRetryElsewhere, RpcRetry::Side::kClient));
  read.min_index = 5;
  read.max_query_time = 16_s;
  CHECK(allowed(24_s, read, kErrNoLeader));
  CHECK(!allowed(24_s + 1_ns, read, kErrNoLeader));
}

TEST_CASE("retry: waits grow by half the window that doubles (rpc.go getWaitTime)") {
  const RpcSettings settings;
  Rng rng(1, "s1", "jitter");
  Duration mean{};
  for (int run = 0; run < 1000; ++run) {
    RpcRetry retry(Instant{});
    Duration before{};
    std::int64_t window = 437;
    for (int n = 1; n <= 5; ++n, window *= 2) {
      const Duration wait = retry.next_wait(rng, settings);
      CHECK(wait >= before);
      CHECK(wait < Duration{window * 1'000'000});
      before = wait;
      if (n == 1) mean += wait;
    }
  }
  CHECK(mean / 1000 > 200_ms);
  CHECK(mean / 1000 < 237_ms);
}

TEST_CASE("blocking timeout: the wait within its bounds, and a sixteenth") {
  const RpcSettings settings;
  RpcInfo info;
  info.max_query_time = 10_s;
  CHECK(blocking_timeout(info, settings) == Duration{});
  info.min_index = 1;
  CHECK(blocking_timeout(info, settings) == 10'625_ms);
  info.max_query_time = {};
  CHECK(blocking_timeout(info, settings) == 318'750_ms);
  info.max_query_time = 3600_s;
  CHECK(blocking_timeout(info, settings) == 637'500_ms);
}
