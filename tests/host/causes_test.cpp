#include "host_fixture.h"

using namespace dcsim;
using namespace dcsim::host;
using trace::Ev;

namespace {

bool starts_with(const std::string& chain, std::string_view head) { return chain.starts_with(head); }
bool ends_with(const std::string& chain, std::string_view tail) { return chain.ends_with(tail); }

bool is_syn(const Pool& pool, const trace::Record& r) { return pool.field(r, "flags") == "SYN"; }

/// The SYNs that an agent sent, in order.
std::vector<trace::Record> syns_of(const Pool& pool, int n) {
  std::vector<trace::Record> found;
  for (const trace::Record& r : pool.records(Ev::kPacketSent, n)) {
    if (is_syn(pool, r)) found.push_back(r);
  }
  return found;
}

/// Drops gossip to n3 with an input firewall, so that suspicions and reconnects have something to do.
WorldSpec walled(int agents) {
  WorldSpec spec = pool_spec(agents);
  net::FirewallConfig firewall;
  firewall.name = "wall";
  firewall.hook = net::FirewallHook::kInput;
  net::RuleSpec rule;
  rule.name = "no-udp";
  rule.ports = {{8301, 8301, 17}};
  rule.action = net::FirewallAction::kDrop;
  firewall.rules = {rule};
  spec.firewalls = {firewall};
  net::HostSet machines;
  machines.add(HostId{2});
  spec.firewall_machines = {machines};
  return spec;
}

}  // namespace

TEST_CASE("causes: every record of a troubled pool goes back to an operator's step") {
  Pool pool(walled(5));
  pool.step("boot");
  pool.start_all();
  pool.world.engine().set_cause({});
  pool.run_for(30_s);
  pool.step("crash n4");
  pool.world.crash(pool.id(4));
  pool.run_for(40_s);
  pool.step("start n4");
  pool.world.start(pool.id(4));
  pool.step("pause n5");
  pool.world.pause(pool.id(5));
  pool.run_for(20_s);
  pool.step("resume n5");
  pool.world.resume(pool.id(5));
  pool.step("slow n2");
  pool.process(2).set_service_time(30_ms);
  pool.world.recorder().slowed(pool.id(2), "cpu", 1500);
  pool.operate(2, "consul join 10.0.0.9 10.0.0.3 10.0.0.1");
  pool.run_for(20_s);
  pool.process(2).set_service_time({});
  pool.world.recorder().slow_ended(pool.id(2), "cpu");
  pool.operate(1, "consul force-leave n3");
  pool.run_for(10_s);
  pool.operate(2, "consul leave");
  pool.step("stop n5");
  pool.world.stop(pool.id(5));
  pool.world.engine().set_cause({});
  pool.run_for(60_s);
  const trace::Recording recording = pool.tracer.recording();
  std::map<std::string, int> dangling;
  std::uint64_t steps = 0;
  recording.each([&](std::uint64_t number, const trace::Record& r) {
    const bool root = r.ev == static_cast<std::uint16_t>(Ev::kStep);
    steps += root;
    if (r.cause == 0 && !root) ++dangling[std::string(trace::kind_spec(r.ev).name)];
    CHECK(r.cause <= number);  // causes come first
    return true;
  });
  CHECK(recording.size() > 5000);
  CHECK(steps == 10);
  for (const auto& [kind, count] : dangling) FAIL_CHECK(fmt::format("{} {} without a cause", count, kind));
  CHECK(!pool.records(Ev::kMemberFailed).empty());
  CHECK(!pool.records(Ev::kLeaveIntent).empty());
  CHECK(pool.done.size() == 3);
}

TEST_CASE("causes: probes and retried joins are the agent's own, and go back to its start") {
  WorldSpec spec = pool_spec(2);
  Pool pool(std::move(spec));
  pool.step("boot");
  pool.world.start(pool.id(2));  // nobody answers its first join
  pool.run_for(5_s);
  pool.step("late");
  pool.world.start(pool.id(1));
  pool.world.engine().set_cause({});
  pool.run_for(60_s);
  REQUIRE(pool.alive_in(2) == 2);
  const auto probes = pool.records(Ev::kProbeSent);
  REQUIRE(probes.size() > 10);
  for (const trace::Record& r : probes) CHECK(pool.chain(r) == "agent-start step");
  const auto syns = syns_of(pool, 2);
  REQUIRE(syns.size() >= 2);
  CHECK(pool.chain(syns[0]) == "agent-start step");
  CHECK(pool.chain(syns[1]) == "agent-start step");
}

TEST_CASE("causes: a join command's dials go back to the command, and its end to how they ended") {
  Pool pool(3);
  pool.step("boot");
  pool.start_all();
  pool.world.engine().set_cause({});
  pool.run_for(10_s);
  const std::size_t before = syns_of(pool, 2).size();
  pool.step("crash n3");
  pool.world.crash(pool.id(3));
  pool.operate(2, "consul join 10.0.0.3 10.0.0.1");  // the first refuses
  pool.world.engine().set_cause({});
  pool.run_for(1_s);
  REQUIRE(pool.done.size() == 1);
  CHECK(pool.done[0].result.exit == 0);
  const auto syns = syns_of(pool, 2);
  REQUIRE(syns.size() == before + 2);
  CHECK(pool.chain(syns[before]) == "command-run step");
  const std::string second = pool.chain(syns[before + 1]);
  CAPTURE(second);
  CHECK(starts_with(second, "join-failed conn-refused packet-delivered packet-sent packet-dropped packet-sent command-run step"));
  const std::string end = pool.chain(pool.done[0].cause);
  CAPTURE(end);
  CHECK(starts_with(end, "join-ok packet-delivered"));
  CHECK(ends_with(end, "packet-sent command-run step"));

  pool.operate(2, "consul join 10.0.0.3");
  pool.world.engine().set_cause({});
  pool.run_for(1_s);
  REQUIRE(pool.done.size() == 2);
  CHECK(pool.done[1].result.exit == 1);
  CHECK(pool.chain(pool.done[1].cause) == "join-failed conn-refused packet-delivered packet-sent packet-dropped packet-sent command-run step");
}

TEST_CASE("causes: a dial that nobody answers goes back to what dialled, and its command's end to the timeout") {
  WorldSpec spec = pool_spec(3);
  Pool pool(std::move(spec));
  pool.step("boot");
  pool.start_all();
  pool.world.engine().set_cause({});
  pool.run_for(10_s);
  pool.world.network().power_off(HostId{2});
  pool.operate(2, "consul join 10.0.0.3");
  pool.world.engine().set_cause({});
  pool.run_for(20_s);
  REQUIRE(pool.done.size() == 1);
  CHECK(pool.done[0].result.exit == 1);
  CHECK(pool.chain(pool.done[0].cause) == "join-failed conn-timeout command-run step");
}

TEST_CASE("causes: a leave intent goes back to the command or the signal, and carries its Lamport time") {
  Pool pool(3);
  pool.step("boot");
  pool.start_all();
  pool.world.engine().set_cause({});
  pool.run_for(10_s);
  pool.operate(2, "consul leave");
  pool.world.engine().set_cause({});
  pool.run_for(20_s);
  const auto intents = pool.records(Ev::kLeaveIntent, 2);
  REQUIRE(intents.size() == 1);
  CHECK(pool.chain(intents[0]) == "command-run step");
  CHECK(intents[0].c > 0);
  // n1 holds that very time of the member's last change.
  const gossip::Serf& serf = pool.process(1).agent().serf(consul::PoolId{0});
  CHECK(serf.table().status_ltime(serf.find("n2")->id) == intents[0].c);
  REQUIRE(pool.done.size() == 1);
  CHECK(pool.chain(pool.done[0].cause) == "leave-intent command-run step");
  const auto exits = pool.records(Ev::kAgentExit, 2);
  REQUIRE(exits.size() == 1);
  CHECK(pool.chain(exits[0]) == "leave-intent command-run step");
}

TEST_CASE("causes: what a paused or slow agent does late goes back to the packets and commands that waited") {
  Pool pool(2);
  pool.step("boot");
  pool.start_all();
  pool.world.engine().set_cause({});
  pool.run_for(5_s);
  pool.step("pause");
  pool.world.pause(pool.id(2));
  pool.operate(2, "consul members");
  pool.world.engine().set_cause({});
  pool.run_for(2_s);
  const std::size_t sent = pool.records(Ev::kPacketSent, 2).size();
  pool.step("resume");
  pool.world.resume(pool.id(2));
  const auto all = pool.records(Ev::kPacketSent, 2);
  std::size_t acks = 0;
  for (std::size_t i = sent; i < all.size(); ++i) {
    if (pool.field(all[i], "proto") != "udp") continue;
    ++acks;
    CHECK(starts_with(pool.chain(all[i]), "packet-delivered packet-sent probe-sent"));
  }
  CHECK(acks > 0);
  REQUIRE(pool.done.size() == 1);
  CHECK(pool.chain(pool.done[0].cause) == "command-run step");
}
