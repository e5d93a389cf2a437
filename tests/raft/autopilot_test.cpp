#include "raft/autopilot.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

// raft-autopilot 0.1.6 with Consul's settings.
using namespace dcsim;
using namespace dcsim::raft;

namespace {

Configuration servers(std::size_t voters, std::size_t nonvoters = 0) {
  Configuration c;
  for (std::size_t i = 1; i <= voters + nonvoters; ++i) {
    const std::string name = "s" + std::to_string(i);
    c.servers.push_back({i <= voters ? Suffrage::kVoter : Suffrage::kNonvoter, name, name + ":8300"});
  }
  return c;
}

std::vector<ServerSample> well(const Configuration& c) {
  std::vector<ServerSample> out;
  for (const Server& s : c.servers) out.push_back({s.id, "node-" + s.id, GossipStatus::kAlive, 50_ms, 3, 1000});
  return out;
}

constexpr LogPosition kLeader{1000, 3};
Instant at(Duration d) { return Instant{} + d; }

}  // namespace

TEST_CASE("autopilot: healthy means alive, heard of, in the leader's term and close to its log") {
  const Configuration c = servers(7);
  auto samples = well(c);
  samples[1].status = GossipStatus::kLeaving;
  samples[2].status = GossipStatus::kFailed;
  samples[3].last_contact = 201_ms;
  samples[4].last_term = 2;
  samples[5].last_index = 749;
  samples[6].last_contact.reset();
  Autopilot autopilot;
  autopilot.start(at(0_s));
  autopilot.on_samples(at(0_s), c, kLeader, samples);
  std::string healthy;
  for (const Autopilot::Health& h : autopilot.health()) healthy += h.healthy ? 'y' : 'n';
  CHECK(healthy == "yynnnnn");
  samples[3].last_contact = 200_ms;
  samples[5].last_index = 750;
  autopilot.on_samples(at(2_s), c, kLeader, samples);
  CHECK(autopilot.health_of("s4")->healthy);
  CHECK(autopilot.health_of("s6")->healthy);
  CHECK(autopilot.health_of("s4")->stable_since == at(2_s));
  CHECK(autopilot.health_of("s1")->stable_since == at(0_s));
  CHECK(autopilot.failure_tolerance(c) == 0);
  CHECK(autopilot.next_health() == at(4_s));
}

TEST_CASE("autopilot: a non-voter is promoted once it has been well for the stabilization time") {
  const Configuration c = servers(3, 1);
  Autopilot autopilot;
  autopilot.start(at(0_s));
  autopilot.on_samples(at(20_s), c, kLeader, well(c));
  CHECK(autopilot.reconcile(at(20_s), c).promote.empty());
  CHECK(autopilot.next_reconcile() == at(30_s));
  CHECK(autopilot.reconcile(at(29_s), c).promote.empty());
  auto samples = well(c);
  samples[3].last_contact = 1_s;  // a hiccup starts the time anew
  autopilot.on_samples(at(29_s), c, kLeader, samples);
  autopilot.on_samples(at(31_s), c, kLeader, well(c));
  CHECK(autopilot.reconcile(at(40_s), c).promote.empty());
  const auto plan = autopilot.reconcile(at(41_s), c);
  REQUIRE(plan.promote.size() == 1);
  CHECK(plan.promote[0].id == "s4");
}

TEST_CASE("autopilot: while it is new itself, being well is enough") {
  const Configuration c = servers(1, 2);
  Autopilot autopilot;
  autopilot.start(at(0_s));
  autopilot.on_samples(at(2_s), c, kLeader, well(c));
  CHECK(autopilot.reconcile(at(5_s), c).promote.size() == 2);
  autopilot.stop();
  CHECK(autopilot.reconcile(at(5_s), c).empty());
  CHECK(autopilot.next_reconcile() == Instant::never());
}

TEST_CASE("autopilot: dead servers go, a minority in one pass") {
  const Configuration c = servers(5, 2);
  auto samples = well(c);
  samples.erase(samples.begin() + 6);         // s7: non-voter, unknown to gossip
  samples[5].status = GossipStatus::kFailed;  // s6: non-voter
  samples[4].status = GossipStatus::kFailed;  // s5, s4: voters
  samples[3].status = GossipStatus::kLeft;
  samples.erase(samples.begin() + 2);  // s3: voter, unknown
  Autopilot autopilot;
  autopilot.start(at(0_s));
  CHECK(autopilot.prune(c).empty());  // nothing known yet
  autopilot.on_samples(at(2_s), c, kLeader, samples);
  const Autopilot::Plan plan = autopilot.prune(c);
  CHECK(plan.remove == std::vector<std::string>{"s7", "s3"});
  CHECK(plan.force_leave == std::vector<std::string>{"node-s6", "node-s4"});  // s5 has to wait: two of five are enough

  AutopilotConfig keep;
  keep.min_quorum = 4;
  autopilot.configure(keep);
  CHECK(autopilot.prune(c).remove == std::vector<std::string>{"s7", "s3"});
  CHECK(autopilot.prune(c).force_leave == std::vector<std::string>{"node-s6"});
  keep.cleanup_dead_servers = false;
  autopilot.configure(keep);
  CHECK(autopilot.prune(c).empty());
}

TEST_CASE("autopilot: of three voters one goes in a pass, of two none") {
  Autopilot autopilot;
  autopilot.start(at(0_s));
  const Configuration three = servers(3);
  auto samples = well(three);
  samples[1].status = samples[2].status = GossipStatus::kFailed;
  autopilot.on_samples(at(1_s), three, kLeader, samples);
  CHECK(autopilot.prune(three).force_leave.size() == 1);
  CHECK(autopilot.failure_tolerance(three) == 0);
  const Configuration two = servers(2);
  autopilot.on_samples(at(2_s), two, kLeader, samples);
  CHECK(autopilot.prune(two).empty());
}
