#include "consul/leader.h"

#include "leader_fixture.h"

using namespace dcsim;
using namespace dcsim::test;

// agent/consul/leader.go monitorLeadership, leaderLoop.

namespace {

struct Fixture : FakeHost {
  LeaderLoop loop{kSelf, *this};

  Fixture() {
    raft.servers = {peer(1)};
    lan = {server(1)};
  }
  void lead(Duration when) { loop.on_leadership(at(when), true); }
  void lose(Duration when) {
    leads = false;
    loop.on_leadership(at(when), false);
  }
  void run_until(Duration end) {
    while (loop.next_deadline() <= at(end)) loop.on_deadline(loop.next_deadline());
  }
};

}  // namespace

TEST_CASE("leader: tells the datacenter, waits for a barrier, establishes, reconciles everyone") {
  Fixture f;
  f.lan.push_back(client("c1"));
  CHECK(!f.loop.established());
  f.lead(1_s);
  CHECK(f.events == std::vector<std::string>{"consul:new-leader s1"});
  CHECK(f.barriers == 1);
  CHECK(f.established == 1);
  CHECK(f.loop.established());
  CHECK(f.health("s1") == "passing");
  CHECK(f.health("c1") == "passing");
  REQUIRE(f.fsm.store().autopilot());  // its settings are written for all
  CHECK(f.fsm.store().autopilot()->server_stabilization_time == 10_s);
  CHECK(f.said("INFO agent.server: cluster leadership acquired"));
  CHECK(f.said("DEBUG agent.server: successfully established leadership: duration=0s"));
}

TEST_CASE("leader: reconciles everyone again each minute, behind a barrier") {
  Fixture f;
  f.lead(1_s);
  f.lan.push_back(client("c1"));
  f.run_until(60999_ms);
  CHECK(f.health("c1") == "none");
  f.run_until(61_s);
  CHECK(f.health("c1") == "passing");
  CHECK(f.barriers == 2);
  CHECK(f.established == 1);
  f.lan.pop_back();  // reaped while nobody told
  f.run_until(121_s);
  CHECK(f.health("c1") == "none");
  CHECK(f.said("INFO agent.server: deregistering member: member=c1 partition=default reason=reaped"));
}

TEST_CASE("leader: member events are taken up one after another; followers ignore them") {
  Fixture f;
  f.leads = false;
  f.loop.on_member(at(1_s), client("c0"));
  f.leads = true;
  f.lead(2_s);
  CHECK(f.health("c0") == "none");
  f.hold_apply = true;
  f.loop.on_member(at(3_s), client("c1"));
  f.loop.on_member(at(3_s), client("c2", MemberStatus::kAlive, 52));
  CHECK(f.held.size() == 1);  // the second waits for the first one's write
  f.release(at(4_s));
  f.release(at(4_s));
  CHECK(f.health("c1") == "passing");
  CHECK(f.health("c2") == "passing");
}

TEST_CASE("leader: 256 member events wait, more are dropped and found by the full pass") {
  Fixture f;
  f.lead(1_s);
  f.hold_apply = true;
  f.loop.on_member(at(2_s), client("c0", MemberStatus::kAlive, 60));  // its write is under way
  for (int i = 1; i <= 300; ++i) {
    f.lan.push_back(client("c" + std::to_string(i), MemberStatus::kAlive, 300 + i));
    f.loop.on_member(at(2_s), f.lan.back());
  }
  CHECK(f.loop.dropped_members() == 300 - 256);
  f.hold_apply = false;
  f.release(at(3_s));
  CHECK(f.health("c256") == "passing");
  CHECK(f.health("c257") == "none");
  f.run_until(61_s);
  CHECK(f.health("c257") == "passing");
  CHECK(f.health("c300") == "passing");
}

TEST_CASE("leader: the loss of leadership revokes at once, and the next term starts anew") {
  Fixture f;
  f.lead(1_s);
  f.lose(5_s);
  CHECK(!f.loop.established());
  CHECK(f.revoked == 1);
  CHECK(f.said("DEBUG agent.server: shutting down leader loop"));
  CHECK(f.lines.back() == "INFO agent.server: cluster leadership lost");
  f.run_until(300_s);
  CHECK(f.barriers == 1);
  f.leads = true;
  f.lead(400_s);
  CHECK(f.loop.established());
  CHECK(f.barriers == 2);
}

TEST_CASE("leader: a loss waits for the write under way") {
  Fixture f;
  f.lead(1_s);
  f.hold_apply = true;
  f.loop.on_member(at(2_s), client("c1"));
  f.lose(3_s);
  CHECK(f.loop.established());
  f.refuse_apply = Error{"leadership lost while committing log"};
  f.release(at(4_s));
  CHECK(!f.loop.established());
  CHECK(f.revoked == 1);
}

TEST_CASE("leader: without the barrier nothing is established; it tries again in a minute") {
  Fixture f;
  f.refuse_barrier = Error{"timed out enqueuing operation"};
  f.lead(1_s);
  CHECK(f.said("ERROR agent.server: failed to wait for barrier: error=\"timed out enqueuing operation\""));
  CHECK(!f.loop.established());
  f.loop.on_member(at(2_s), client("c1"));
  CHECK(f.health("c1") == "none");  // no events before the first full pass
  f.refuse_barrier.reset();
  f.run_until(61_s);
  CHECK(f.loop.established());
  CHECK(f.health("c1") == "passing");
}

TEST_CASE("leader: who can not establish leadership hands it over") {
  Fixture f;
  f.refuse_establish = Error{"boom"};
  f.lead(1_s);
  CHECK(f.said("ERROR agent.server: failed to establish leadership: error=\"boom\""));
  CHECK(f.revoked == 1);
  CHECK(f.transfers == 1);
  CHECK(f.said("INFO agent.server: successfully transferred leadership: attempt=0 retry_limit=3"));
  f.run_until(300_s);
  CHECK(f.established == 1);
  f.lose(301_s);
  CHECK(f.revoked == 1);
  CHECK(f.lines.back() == "INFO agent.server: cluster leadership lost");
}

TEST_CASE("leader: who can not hand it over either tries again after 5 s") {
  Fixture f;
  f.refuse_establish = Error{"boom"};
  f.refuse_transfer = Error{"cannot find peer"};
  f.lead(1_s);
  CHECK(f.transfers == 3);
  CHECK(f.said("ERROR agent.server: failed to transfer leadership attempt, will retry: attempt=2 retry_limit=3 error=\"cannot find peer\""));
  CHECK(f.said("ERROR agent.server: failed to transfer leadership: error=\"failed to transfer leadership in 3 attempts\""));
  f.refuse_establish.reset();
  f.run_until(5999_ms);
  CHECK(!f.loop.established());
  f.run_until(6_s);
  CHECK(f.loop.established());
}

TEST_CASE("leader: notices that do not fit are errors") {
  Fixture f;
  f.loop.on_leadership(at(1_s), false);
  CHECK(f.said("ERROR agent.server: attempted to stop the leader loop while not running"));
  f.lead(2_s);
  f.lead(3_s);
  CHECK(f.said("ERROR agent.server: attempted to start the leader loop while running"));
  CHECK(f.events.size() == 1);
}

TEST_CASE("leader: a pass over ten thousand members that are as registered does not grow the stack") {
  Fixture f;
  for (int i = 0; i < 10'000; ++i) f.lan.push_back(client("c" + std::to_string(i), MemberStatus::kFailed, 100 + i));
  f.lead(1_s);
  CHECK(f.loop.established());
  CHECK(f.lines.size() > 10'000);
}

TEST_CASE("leader: sessions end after twice their TTL, are kept by renewals, and all start anew with a leader") {
  Fixture f;
  f.lan.push_back(client("c1"));
  f.lead(1_s);
  wire::rpc::SessionRequest create;
  create.op = "create";
  create.session.id = "11111111-1111-1111-1111-111111111111";
  create.session.node = "c1";
  create.session.ttl = "10s";
  create.session.behavior = "release";
  Buffer payload;
  wire::rpc::append_command(wire::rpc::CommandType::kSession, create, payload);
  f.run_command(at(2_s), Bytes(payload), [](Instant, const std::optional<Error>& e) { REQUIRE(!e); });
  f.loop.sessions().reset(at(2_s), create.session);
  f.loop.sessions().reset(at(12_s), create.session);  // Session.Renew
  f.run_until(31999_ms);
  CHECK(f.fsm.store().sessions().size() == 1);
  f.lose(31999_ms);
  f.leads = true;
  f.lead(32_s);
  f.run_until(51999_ms);
  CHECK(f.fsm.store().sessions().size() == 1);
  f.run_until(52_s);
  CHECK(f.fsm.store().sessions().empty());
  CHECK(f.said("DEBUG agent.server: Session TTL expired: session=11111111-1111-1111-1111-111111111111"));
}

TEST_CASE("leader: a session that can not be ended is tried six times, twice as far apart each") {
  Fixture f;
  f.lead(1_s);
  wire::rpc::Session session;
  session.id = "s";
  session.ttl = "10s";
  f.loop.sessions().reset(at(1_s), session);
  f.refuse_apply = Error{"no"};
  const auto tries = [&] { return std::count(f.lines.begin(), f.lines.end(), "ERROR agent.server: Invalidation failed: error=\"no\""); };
  f.run_until(21_s);
  CHECK(tries() == 1);
  f.run_until(31_s);
  CHECK(tries() == 2);
  f.run_until(50999_ms);
  CHECK(tries() == 2);
  f.run_until(51_s);
  CHECK(tries() == 3);
  f.run_until(1000_s);
  CHECK(tries() == 6);
  CHECK(f.said("ERROR agent.server: maximum revoke attempts reached for session: error=s"));
}

TEST_CASE("leader: tombstones are reaped after 15 minutes, in steps of 30 s") {
  Fixture f;
  f.lead(10_s);
  for (const char* op : {"set", "delete"}) {
    wire::rpc::KvsRequest kv;
    kv.op = op;
    kv.entry.key = "k";
    Buffer payload;
    wire::rpc::append_command(wire::rpc::CommandType::kKvs, kv, payload);
    f.run_command(at(20_s), Bytes(payload), [](Instant, const std::optional<Error>&) {});
  }
  f.loop.tombstones().hint(at(20_s), f.fsm.store().kv().newest_tombstone());
  CHECK(f.fsm.store().kv().tombstones().size() == 1);
  f.run_until(929999_ms);
  CHECK(f.fsm.store().kv().tombstones().size() == 1);
  f.run_until(930_s);
  CHECK(f.fsm.store().kv().tombstones().empty());
}
