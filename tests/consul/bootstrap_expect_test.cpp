#include "consul/bootstrap.h"

#include "leader_fixture.h"

using namespace dcsim;
using namespace dcsim::test;

// agent/consul/server_serf.go maybeBootstrap.

namespace {

LanMember expecting(int number, const char* count = "3", Tags more = {}) {
  more["expect"] = count;
  return server(number, MemberStatus::kAlive, more);
}

struct Fixture : FakeHost {
  Bootstrap bootstrap{kSelf, *this, 3};
  Fixture() {
    index = 0;
    lan = {expecting(1), expecting(2), expecting(3)};
    for (const char* name : {"s1", "s2", "s3"}) peers.insert_or_assign(name, wire::rpc::Texts{});
  }
  void run_until(Duration end) {
    while (bootstrap.next_deadline() <= at(end)) bootstrap.on_deadline(bootstrap.next_deadline());
  }
};

}  // namespace

TEST_CASE("bootstrap: three empty servers that expect three form a group of all of them") {
  Fixture f;
  f.bootstrap.maybe_bootstrap(at(1_s));
  CHECK(f.asked == std::vector<std::string>{"s1", "s2", "s3"});
  CHECK(f.bootstraps == 1);
  CHECK(f.raft.servers == std::vector<raft::Server>{peer(1), peer(2), peer(3)});
  CHECK(f.said("INFO agent.server: Found expected number of peers, attempting bootstrap: peers=10.0.0.1:8300,10.0.0.2:8300,10.0.0.3:8300"));
  CHECK(f.bootstrap.expect() == 0);
  f.bootstrap.maybe_bootstrap(at(2_s));
  CHECK(f.bootstraps == 1);
}

TEST_CASE("bootstrap: waits for enough voters; failed members count, read replicas do not") {
  Fixture f;
  f.lan = {expecting(1), expecting(2)};
  f.bootstrap.maybe_bootstrap(at(1_s));
  CHECK(f.asked.empty());
  f.lan.push_back(expecting(3, "3", {{"read_replica", "1"}}));
  f.bootstrap.maybe_bootstrap(at(2_s));
  CHECK(f.asked.empty());
  f.lan.push_back(expecting(4));
  f.lan.back().status = MemberStatus::kFailed;
  f.peers.insert_or_assign("s4", wire::rpc::Texts{});
  f.bootstrap.maybe_bootstrap(at(3_s));
  CHECK(f.raft.servers == std::vector<raft::Server>{peer(1), peer(2), peer(3, raft::Suffrage::kNonvoter), peer(4)});
}

TEST_CASE("bootstrap: data in the log ends it for good") {
  Fixture f;
  f.index = 7;
  f.bootstrap.maybe_bootstrap(at(1_s));
  CHECK(f.lines == std::vector<std::string>{"INFO agent.server: Raft data found, disabling bootstrap mode"});
  CHECK(f.bootstrap.expect() == 0);
}

TEST_CASE("bootstrap: conflicting servers keep it waiting") {
  Fixture f;
  f.lan[1] = expecting(2, "5");
  f.bootstrap.maybe_bootstrap(at(1_s));
  CHECK(f.lines.back() == "ERROR agent.server: Member has a conflicting expect value. All nodes should expect the same number.: member=s2");
  f.lan[1] = server(2, MemberStatus::kAlive, {{"bootstrap", "1"}});
  f.bootstrap.maybe_bootstrap(at(2_s));
  CHECK(f.lines.back() == "ERROR agent.server: Member has bootstrap mode. Expect disabled.: member=s2");
  f.lan[1] = expecting(2, "3", {{"dc", "dc2"}});
  f.bootstrap.maybe_bootstrap(at(3_s));
  CHECK(f.lines.back() == "ERROR agent.server: Member has a conflicting datacenter, ignoring: member=s2");
  CHECK(f.bootstrap.expect() == 3);
  CHECK(f.asked.empty());
  f.lan[1] = expecting(2);
  f.bootstrap.maybe_bootstrap(at(4_s));
  CHECK(f.bootstraps == 1);
}

TEST_CASE("bootstrap: a server of an existing group ends it for good") {
  Fixture f;
  f.peers.insert_or_assign("s2", wire::rpc::Texts{"10.0.0.2:8300"});
  f.bootstrap.maybe_bootstrap(at(1_s));
  CHECK(f.asked == std::vector<std::string>{"s1", "s2"});
  CHECK(f.said("INFO agent.server: Existing Raft peers reported by server, disabling bootstrap mode: server=s2"));
  CHECK(f.bootstrap.expect() == 0);
  CHECK(f.bootstraps == 0);
}

TEST_CASE("bootstrap: a server that never answers is asked six times and costs 63 s of sleep") {
  Fixture f;
  f.peers.insert_or_assign("s2", Error{"dial tcp 10.0.0.2:8300: connect: connection refused"});
  f.bootstrap.maybe_bootstrap(at(0_s));
  CHECK(f.bootstrap.busy());
  CHECK(f.lines.back() == "ERROR agent.server: Failed to confirm peer status for server (will retry).: server=s2 retry_interval=1s "
                          "error=\"dial tcp 10.0.0.2:8300: connect: connection refused\"");
  f.bootstrap.maybe_bootstrap(at(0_s));  // further joins wait
  f.run_until(62999_ms);
  CHECK(std::count(f.asked.begin(), f.asked.end(), "s2") == 6);
  CHECK(f.bootstraps == 0);
  f.run_until(63_s);
  CHECK(f.bootstraps == 1);
  CHECK(!f.bootstrap.busy());
}

TEST_CASE("bootstrap: Raft's refusal is logged and final") {
  Fixture f;
  f.refuse_bootstrap = Error{"bootstrap only works on new clusters"};
  f.bootstrap.maybe_bootstrap(at(1_s));
  CHECK(f.lines.back() == "ERROR agent.server: Failed to bootstrap cluster: error=\"bootstrap only works on new clusters\"");
  CHECK(f.bootstrap.expect() == 0);
}
