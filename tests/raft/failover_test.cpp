#include <algorithm>
#include <array>
#include <vector>

#include "raft/group.h"
#include "support/vectors.h"

// Failover times against those measured on real hashicorp/raft clusters, 1.1.2 without and 1.7.3 with pre-vote
// (multiplier 1, no client load, leader killed after being stable for long).
using namespace dcsim;
using namespace dcsim::test;

namespace {

constexpr int kTrials = 1000;

struct Series {
  std::vector<double> new_leader;  ///< ms from the fault
  std::vector<double> step_down;   ///< of the old leader, isolation only
  std::array<int, 8> terms{};      ///< by how many the term grew

  double quantile(double p) {
    std::sort(new_leader.begin(), new_leader.end());
    return new_leader[static_cast<std::size_t>(p * static_cast<double>(new_leader.size() - 1))];
  }
};

double millis(Duration d) { return static_cast<double>(d.ns) / 1e6; }

GroupOptions options(std::size_t servers, bool pre_vote, std::uint64_t seed) {
  GroupOptions o;
  o.servers = servers;
  o.config.pre_vote = pre_vote;
  o.seed = seed;
  o.disk = 1_us;
  o.latency = 50_us;
  o.keep_log = false;
  o.check = false;
  return o;
}

/// Kills or isolates the leader over and over, and mends it again.
Series measure(std::size_t servers, bool pre_vote, bool isolate) {
  Series out;
  Group group(options(servers, pre_vote, servers * 2 + (pre_vote ? 1 : 0)));
  group.start();
  Rng draw(servers, pre_vote ? "with" : "without", "settle");
  for (int trial = 0; trial < kTrials; ++trial) {
    REQUIRE(group.run_until([&] { return group.leader() != nullptr; }, 60_s));
    group.run_for(3500_ms + draw.below(2_s));  // the followers' timers forget the election
    Group::Member* old = group.leader();
    REQUIRE(old != nullptr);
    const std::size_t at = group.leader_index();
    const Term term = old->node->term();
    const Instant fault = group.now();
    if (isolate) {
      group.isolate(at);
    } else {
      group.crash(at);
    }
    Instant stepped_down = Instant::never();
    REQUIRE(group.run_until(
        [&] {
          if (isolate && stepped_down == Instant::never() && group[at]->role() != Role::kLeader)
            stepped_down = group.now();
          return group.leader() != nullptr && group.leader_index() != at;
        },
        30_s));
    out.new_leader.push_back(millis(group.now() - fault));
    if (isolate) {
      REQUIRE(stepped_down < group.now());  // never two at once
      out.step_down.push_back(millis(stepped_down - fault));
    }
    ++out.terms[std::min<std::size_t>(7, group.leader()->node->term() - term)];
    if (isolate) {
      group.heal();
    } else {
      group.restart(at);
    }
  }
  return out;
}

/// A quantile of a measured series.
double measured(const std::string& id, const char* column, const char* quantile) {
  std::ifstream in(std::string(DCSIM_SOURCE_DIR) + "/tests/data/groundtruth/raft_failover.json");
  const Json file = Json::parse(in);
  for (const Json& series : file.at("series")) {
    if (series.at("id") == id) return series.at("quantiles").at(column).at(quantile).get<double>();
  }
  FAIL("no series " << id);
  return 0;
}

void compare(std::size_t servers, bool pre_vote) {
  Series ours = measure(servers, pre_vote, false);
  const std::string id = "kill-" + std::to_string(servers) + (pre_vote ? "-1.7.3-long" : "-1.1.2-long");
  CAPTURE(id);
  CHECK(ours.quantile(0.25) == doctest::Approx(measured(id, "new_leader_ms", "p25")).epsilon(0.06));
  CHECK(ours.quantile(0.50) == doctest::Approx(measured(id, "new_leader_ms", "p50")).epsilon(0.06));
  CHECK(ours.quantile(0.75) == doctest::Approx(measured(id, "new_leader_ms", "p75")).epsilon(0.06));
  CHECK(ours.quantile(0) >= (pre_vote ? 900 : 1900));
  CHECK(ours.terms[0] == 0);
  if (pre_vote) {
    CHECK(ours.terms[1] >= kTrials * 97 / 100);
  } else {
    CHECK(ours.terms[1] == 0);
    CHECK(ours.terms[2] >= kTrials * 90 / 100);
  }
}

}  // namespace

TEST_CASE("failover: three servers without pre-vote, as hashicorp/raft 1.1.2") { compare(3, false); }
TEST_CASE("failover: five servers without pre-vote, as hashicorp/raft 1.1.2") { compare(5, false); }
TEST_CASE("failover: three servers with pre-vote, as hashicorp/raft 1.7.3") { compare(3, true); }
TEST_CASE("failover: five servers with pre-vote, as hashicorp/raft 1.7.3") { compare(5, true); }

TEST_CASE("failover: an isolated leader steps down within its lease, before another leads") {
  Series ours = measure(3, true, true);
  std::sort(ours.step_down.begin(), ours.step_down.end());
  const auto at = [&](double p) { return ours.step_down[static_cast<std::size_t>(p * (kTrials - 1))]; };
  CHECK(at(0.005) >= 400);
  CHECK(at(0.995) <= 530);
  CHECK(at(0.5) == doctest::Approx(measured("isolate-3-1.7.3", "old_leader_stepdown_ms", "p50")).epsilon(0.06));
}
