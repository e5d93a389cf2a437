#include <fmt/format.h>

#include "consul/pool.h"
#include "world.h"

using namespace dcsim;
using namespace dcsim::test;
using gossip::MemberStatus;
using Names = std::vector<std::string>;

namespace {

constexpr Instant kZero{0};

/// A server and a client that knows it.
struct Pair {
  Pair() : s1(world.server("s1", "10.0.0.1")), c1(world.client("c1", "10.0.1.1", Keys()("retry_join", list("10.0.0.1")))) {
    s1.start();
    c1.start();
    world.run_for(5_s);
    REQUIRE(s1.members(0) == Names{"c1", "s1"});
  }
  World world;
  Host& s1;
  Host& c1;
};

}  // namespace

// --- Starting -------------------------------------------------------------------------------------------------------

TEST_CASE("an agent that cannot listen does not start, says why and keeps quiet") {
  World world;
  Host& s1 = world.server("s1", "10.0.0.1", Keys()("segments", list(Keys()("name", "alpha")("port", 8303))));
  s1.taken = {8303};
  CHECK(s1.start() == "Failed to setup network segments: listen tcp 0.0.0.0:8303: bind: address already in use");
  s1.taken = {8301};
  CHECK(s1.start() == "Failed to start LAN Serf: listen tcp 0.0.0.0:8301: bind: address already in use");
  CHECK(s1.agent->next_deadline() == Instant::never());  // the segment was up already, and is no more
  CHECK(s1.run("consul members").exit == 1);
}

TEST_CASE("values that memberlist cannot run with stop an agent at its start") {
  World world;
  Host& c1 = world.client("c1", "10.0.0.1", Keys()("gossip_lan", Keys()("suspicion_mult", 0)));
  CHECK(c1.start() == "suspicion_mult must be in range: [1, 32]");
  CHECK(gossip_problem(c1.config)->text == "suspicion_mult must be in range: [1, 32]");
  CHECK_FALSE(gossip_problem(world.server("s1", "10.0.0.1").config));
  Host& tagged = world.host("t", "10.0.0.2", Keys()("tags", Keys()("x", std::string(510, 'x'))), AgentKind::kSerf);
  CHECK(tagged.start() == "Encoded length of tags exceeds limit of 512 bytes");
}

TEST_CASE("what the builder warns of is logged at the start") {
  World world;
  Host& s1 = world.server("s1", "10.0.0.1", Keys()("bootstrap_expect", 1));
  s1.start();
  CHECK(s1.logged("agent: BootstrapExpect is set to 1; this is the same as Bootstrap mode."));
}

// --- Joining: agent/retry_join.go -----------------------------------------------------------------------------------

TEST_CASE("retry_join contacts every address in each round, and stops for good after a success") {
  World world;
  Host& c1 = world.client("c1", "10.0.1.1", Keys()("retry_join", list("10.0.0.1", "10.0.0.2")));
  Host& s1 = world.server("s1", "10.0.0.1");
  Host& s2 = world.server("s2", "10.0.0.2");
  c1.start();
  world.run_for(1_s);
  REQUIRE(c1.joins.size() == 1);
  CHECK(c1.joins[0].contacted == 0);
  REQUIRE(c1.dials.size() == 2);
  CHECK(c1.dials[0].to.text() == "10.0.0.1:8301");
  CHECK(c1.dials[1].to.text() == "10.0.0.2:8301");
  CHECK(c1.logged("agent: (LAN) joining: lan_addresses=[\"10.0.0.1\", \"10.0.0.2\"]"));
  const std::string refused =
      "2 errors occurred:  * Failed to join 10.0.0.1:8301: dial tcp 10.0.0.1:8301: connect: connection refused  * Failed to join "
      "10.0.0.2:8301: dial tcp 10.0.0.2:8301: connect: connection refused";
  CHECK(c1.logged("agent: (LAN) couldn't join: number_of_nodes=0 error=\"" + refused + "\""));
  CHECK(c1.logged("agent: Join cluster failed, will retry: cluster=LAN retry_interval=30s error=\"" + refused + "\""));

  s1.start();
  s2.start();
  world.run_until(kZero + 29_s);
  CHECK(c1.joins.size() == 1);
  world.run_until(kZero + 31_s);
  REQUIRE(c1.joins.size() == 2);
  CHECK(c1.joins[1].contacted == 2);
  CHECK(c1.joins[1].why == JoinReport::Why::kRetryJoin);
  CHECK(c1.logged("agent: (LAN) joined: number_of_nodes=2"));
  CHECK(c1.logged("agent: Join cluster completed. Synced with initial agents: cluster=LAN num_agents=2"));
  world.run_for(120_s);
  CHECK(c1.joins.size() == 2);
  CHECK(c1.count_logged("agent: (LAN) joining") == 2);
}

TEST_CASE("retry_max = 3 means four attempts, then exit 1") {
  World world;
  Host& c1 = world.client("c1", "10.0.1.1", Keys()("retry_join", list("10.0.0.1"))("retry_max", 3)("retry_interval", "20s"));
  world.client("nobody", "10.0.0.1");
  c1.start();
  world.run_for(200_s);
  REQUIRE(c1.joins.size() == 4);
  for (int i = 0; i < 4; ++i) CHECK((c1.joins[static_cast<std::size_t>(i)].at - kZero).millis() / 1000 == 20 * i);
  CHECK(c1.exit_status == 1);
  CHECK(c1.exit_why == "agent: max join LAN retry exhausted, exiting");
  CHECK(c1.log_lines.back().text == "agent: max join LAN retry exhausted, exiting");
  CHECK(c1.log_lines.back().level == LogLevel::kError);
  CHECK(c1.count_logged("agent: Join cluster failed, will retry") == 3);
}

TEST_CASE("a target that does not answer costs ten seconds, one after another") {
  World world;
  Host& c1 = world.client("c1", "10.0.1.1", Keys()("retry_join", list("10.9.9.1", "10.9.9.2")));
  c1.start();
  world.run_for(25_s);
  REQUIRE(c1.joins.size() == 1);
  CHECK(c1.joins[0].at == kZero + 20_s);
  CHECK(c1.joins[0].error.find("Failed to join 10.9.9.2:8301: dial tcp 10.9.9.2:8301: i/o timeout") != std::string::npos);
}

TEST_CASE("a name that does not resolve is reported, one with several addresses counts several nodes") {
  World world;
  world.names["consul.internal"] = {*Address::parse("10.0.0.1"), *Address::parse("10.0.0.2")};
  for (int i = 1; i <= 2; ++i) world.server(fmt::format("s{}", i), fmt::format("10.0.0.{}", i)).start();
  Host& c1 = world.client("c1", "10.0.1.1");
  c1.start();
  CHECK(c1.run("consul join nowhere").err ==
        "Error joining address 'nowhere': Unexpected response code: 500 (1 error occurred:\n\t* Failed to resolve nowhere: lookup nowhere: no such host\n\n)\n"
        "Failed to join any nodes.\n");
  CHECK(c1.run("consul join consul.internal").exit == 0);
  CHECK(c1.joins.back().contacted == 2);
}

TEST_CASE("a bare address is joined at the joining agent's own gossip port") {
  World world;
  Host& c1 = world.client("c1", "10.0.1.1", Keys()("segment", "alpha")("ports", Keys()("serf_lan", 8303))("retry_join", list("10.0.0.1", "s1/10.0.0.1", "10.0.0.1:8999", "[10.0.0.1]:8998")));
  world.server("s1", "10.0.0.1").start();
  c1.start();
  world.run_for(1_s);
  REQUIRE(c1.dials.size() == 4);
  CHECK(c1.dials[0].to.port == 8303);
  CHECK(c1.dials[1].to.port == 8303);
  CHECK(c1.dials[2].to.port == 8999);
  CHECK(c1.dials[3].to.port == 8998);
}

TEST_CASE("targets that are none fail to resolve, and nothing is dialled") {
  World world;
  Host& c1 = world.client("c1", "10.0.1.1");
  c1.start();
  for (const char* target : {"/10.0.0.1", "10.0.0.1:x", "10.0.0.1:", "10.0.0.1:65536", "[::1", "''", ":", "[]:1", "a/b/c"}) {
    CAPTURE(target);
    const CommandResult r = c1.run(std::string("consul join ") + target);
    CHECK(r.exit == 1);
    CHECK(r.err.ends_with("Failed to join any nodes.\n"));
  }
  for (const Host::Dial& d : c1.dials) CHECK(d.to.text() == "[::1]:8301");
}

// command/join/join.go

TEST_CASE("consul join says how many addresses it reached, and what was wrong with the others") {
  World world;
  for (int i = 1; i <= 2; ++i) world.server(fmt::format("s{}", i), fmt::format("10.0.0.{}", i)).start();
  world.client("nobody", "10.0.0.9");
  Host& c1 = world.client("c1", "10.0.1.1");
  c1.start();
  const CommandResult one = c1.run("consul join 10.0.0.1");
  CHECK(one.exit == 0);
  CHECK(one.out == "Successfully joined cluster by contacting 1 nodes.\n");
  CHECK(one.err == "");
  CHECK(c1.logged("agent: (LAN) joining: lan_addresses=[\"10.0.0.1\"]"));
  const std::string refused =
      "Error joining address '10.0.0.9': Unexpected response code: 500 (1 error occurred:\n\t* Failed to join 10.0.0.9:8301: dial tcp 10.0.0.9:8301: "
      "connect: connection refused\n\n)\n";
  const CommandResult some = c1.run("consul join 10.0.0.1 10.0.0.9 10.0.0.2");
  CHECK(some.exit == 0);
  CHECK(some.out == "Successfully joined cluster by contacting 2 nodes.\n");
  CHECK(some.err == refused);
  const CommandResult none = c1.run("consul join 10.0.0.9");
  CHECK(none.exit == 1);
  CHECK(none.out == "");
  CHECK(none.err == refused + "Failed to join any nodes.\n");
  CHECK(c1.run("consul join").err == "At least one address to join must be specified.\n");
  CHECK(c1.run("consul join").exit == 1);
  CHECK(c1.run("consul join -wan 10.0.0.1").err ==
        "Error joining address '10.0.0.1': Unexpected response code: 500 (Must be a server to join WAN cluster)\nFailed to join any nodes.\n");
}

// --- The gate, on real state exchanges ------------------------------------------------------------------------------

TEST_CASE("a client of alpha that joins a server's default port is refused on both sides, and neither stores the other") {
  World world;
  Host& s1 = world.server("s1", "10.0.0.1", Keys()("segments", list(Keys()("name", "alpha")("port", 8303))));
  Host& a1 = world.client("a1", "10.0.2.1", Keys()("segment", "alpha")("ports", Keys()("serf_lan", 8303)));
  s1.start();
  a1.start();
  const CommandResult r = a1.run("consul join 10.0.0.1:8301");
  CHECK(r.exit == 1);
  CHECK(r.err.find("Failed to join 10.0.0.1:8301: Member 's1' part of wrong segment '' (expected 'alpha')") != std::string::npos);
  CHECK(s1.refusals == std::set<std::string>{"Member 'a1' part of wrong segment 'alpha' (expected '')"});
  CHECK(a1.members(0) == Names{"a1"});
  CHECK(s1.members(0) == Names{"s1"});
  CHECK(s1.members(1) == Names{"s1"});
  CHECK(a1.run("consul join 10.0.0.1").exit == 0);
  CHECK(s1.members(1) == Names{"a1", "s1"});
}

TEST_CASE("Serf agents have no gate") {
  World world;
  Host& a = world.host("a", "10.0.0.1", Keys()("tags", Keys()("dc", "x")("segment", "y")), AgentKind::kSerf);
  Host& b = world.host("b", "10.0.0.2", Keys()("retry_join", list("10.0.0.1")), AgentKind::kSerf);
  a.start();
  b.start();
  world.run_for(5_s);
  CHECK(a.members(0) == Names{"a", "b"});
  CHECK(b.run("serf members -name a").out == "a  10.0.0.1:7946  alive  dc=x,segment=y\n");
  CHECK(b.run("serf join 10.0.0.1").out == "Successfully joined cluster by contacting 1 nodes.\n");
  CHECK(b.run("serf event deploy 42").out == "Event 'deploy' dispatched! Coalescing enabled: true\n");
  CHECK(b.run("serf event").err == "An event name must be specified.\n");
  CHECK(b.run("consul members").exit == 1);
  CHECK(b.run("serf leave").out == "Graceful leave complete\n");
  CHECK(a.members(0, MemberStatus::kLeft) == Names{"b"});
}

// --- Leaving: command/agent, agent/consul/server.go Leave -----------------------------------------------------------

TEST_CASE("SIGTERM lets a client leave in order and exit 0") {
  Pair p;
  p.c1.terminate();
  CHECK_FALSE(p.c1.exit_status);
  p.world.run_for(10_s);
  CHECK(p.c1.exit_status == 0);
  CHECK(p.c1.logged("agent: Gracefully shutting down agent..."));
  CHECK(p.c1.log_lines.back().text == "agent: Graceful exit completed");
  CHECK(p.s1.members(0, MemberStatus::kLeft) == Names{"c1"});
}

TEST_CASE("SIGTERM ends a server at once with exit 1, and the others find it failed") {
  Pair p;
  p.s1.terminate();
  CHECK(p.s1.exit_status == 1);
  CHECK(p.s1.log_lines.back().text == "agent: Graceful shutdown disabled. Exiting");
  p.world.run_for(60_s);
  CHECK(p.c1.members(0, MemberStatus::kFailed) == Names{"s1"});
}

TEST_CASE("consul leave lets a server go too: the LAN first, then its segments") {
  World world;
  const auto segments = [] { return list(Keys()("name", "alpha")("port", 8303), Keys()("name", "beta")("port", 8304)); };
  Host& s1 = world.server("s1", "10.0.0.1", Keys()("segments", segments()));
  Host& s2 = world.server("s2", "10.0.0.2", Keys()("segments", segments())("retry_join", list("10.0.0.1")));
  s1.start();
  s2.start();
  world.run_for(10_s);
  REQUIRE(s1.members(2) == Names{"s1", "s2"});
  const CommandResult r = s2.run("consul leave");
  CHECK(r.exit == 0);
  CHECK(r.out == "Graceful leave complete\n");
  CHECK(s2.exit_status == 0);
  CHECK_FALSE(s2.logged("agent: Gracefully shutting down agent..."));  // that is a signal's
  std::vector<std::uint32_t> order;
  Instant last = kZero;
  for (const Host::Event& e : s1.events) {
    if (e.kind != gossip::MemberEventKind::kLeave) continue;
    order.push_back(e.pool.value);
    if (order.size() > 1) CHECK(e.at - last >= 3_s);  // LeavePropagateDelay in between
    last = e.at;
  }
  CHECK(order == std::vector<std::uint32_t>{0, 1, 2});
}

TEST_CASE("a graceful leave by a signal that takes longer than 15 seconds is cut short with exit 1") {
  World world;
  Host& s1 = world.server("s1", "10.0.0.1", Keys()("leave_on_terminate", true)("segments", list(Keys()("name", "a")("port", 8303), Keys()("name", "b")("port", 8304), Keys()("name", "c")("port", 8305))));
  Host& s2 = world.server("s2", "10.0.0.2", Keys()("segments", list(Keys()("name", "a")("port", 8303), Keys()("name", "b")("port", 8304), Keys()("name", "c")("port", 8305)))("retry_join", list("10.0.0.1")));
  s1.start();
  s2.start();
  world.run_for(10_s);
  world.blocked = [](const Host&, const Host&, std::uint16_t) { return true; };
  const Instant told = world.now();
  s1.terminate();
  world.run_for(30_s);
  CHECK(s1.exit_status == 1);
  CHECK(s1.exit_at == told + 15_s);
  CHECK(s1.log_lines.back().text == "agent: Timeout on graceful leave. Exiting");
}

TEST_CASE("commands at an agent that has ended find nobody at home") {
  Pair p;
  p.s1.terminate();
  CHECK(p.s1.run("consul members").err ==
        "Error retrieving members: Get \"http://127.0.0.1:8500/v1/agent/members?segment=_all\": dial tcp 127.0.0.1:8500: connect: connection refused\n");
  CHECK(p.s1.run("consul join a b").err ==
        "Error joining address 'a': Put \"http://127.0.0.1:8500/v1/agent/join/a\": dial tcp 127.0.0.1:8500: connect: connection refused\n"
        "Error joining address 'b': Put \"http://127.0.0.1:8500/v1/agent/join/b\": dial tcp 127.0.0.1:8500: connect: connection refused\n"
        "Failed to join any nodes.\n");
  CHECK(p.s1.run("serf members").exit == 1);
}

// --- force-leave ----------------------------------------------------------------------------------------------------

TEST_CASE("force-leave of a name nobody has is an error in Consul's words") {
  Pair p;
  const CommandResult r = p.s1.run("consul force-leave nobody");
  CHECK(r.exit == 1);
  CHECK(r.err == "Error force leaving: Unexpected response code: 500 (agent: No node found with name 'nobody')\n");
  CHECK(p.s1.run("consul force-leave").err == "A single node name must be specified to force leave.\n");
  CHECK(p.s1.run("consul force-leave a b").exit == 1);
}

TEST_CASE("force-leave turns failed into left, and -prune forgets the member") {
  World world;
  Host& s1 = world.server("s1", "10.0.0.1");
  s1.start();
  for (int i = 1; i <= 3; ++i) world.client(fmt::format("c{}", i), fmt::format("10.0.1.{}", i), Keys()("retry_join", list("10.0.0.1"))).start();
  Host& c4 = world.client("c4", "10.0.1.4", Keys()("retry_join", list("10.0.0.1")));
  Host& c5 = world.client("c5", "10.0.1.5", Keys()("retry_join", list("10.0.0.1")));
  c4.start();
  c5.start();
  world.run_for(10_s);
  c4.crash();
  c5.crash();
  world.run_for(60_s);
  REQUIRE(s1.members(0, MemberStatus::kFailed) == Names{"c4", "c5"});
  const CommandResult r = s1.run("consul force-leave c4");
  CHECK(r.exit == 0);
  CHECK(r.out == "");
  CHECK(r.err == "");
  world.run_for(5_s);
  CHECK(s1.members(0, MemberStatus::kLeft) == Names{"c4"});
  CHECK(s1.run("consul force-leave -prune c5").exit == 0);
  world.run_for(10_s);
  CHECK(s1.members(0, MemberStatus::kFailed) == Names{});
  CHECK(s1.members(0, MemberStatus::kLeft) == Names{"c4"});
  CHECK(s1.run("consul members -status left").out.find("c4") != std::string::npos);
  CHECK(s1.run("consul members").out.find("c5") == std::string::npos);
}

TEST_CASE("force-leave at a server is for every pool in which it knows the name") {
  World world;
  const auto segments = list(Keys()("name", "alpha")("port", 8303));
  Host& s1 = world.server("s1", "10.0.0.1", Keys()("segments", segments));
  Host& s2 = world.server("s2", "10.0.0.2", Keys()("segments", segments)("retry_join", list("10.0.0.1")));
  Host& s3 = world.server("s3", "10.0.0.3", Keys()("segments", segments)("retry_join", list("10.0.0.1")));
  Host& a1 = world.client("a1", "10.0.1.1", Keys()("segment", "alpha")("ports", Keys()("serf_lan", 8303))("retry_join", list("10.0.0.1")));
  for (Host* h : {&s1, &s2, &s3, &a1}) h->start();
  world.run_for(30_s);
  REQUIRE(s1.members(1) == Names{"a1", "s1", "s2", "s3"});
  s3.crash();
  a1.crash();
  world.run_for(60_s);
  REQUIRE(s1.members(0, MemberStatus::kFailed) == Names{"s3"});
  REQUIRE(s1.members(1, MemberStatus::kFailed) == Names{"a1", "s3"});
  CHECK(s1.run("consul force-leave s3").exit == 0);
  world.run_for(5_s);
  for (const Host* h : {&s1, &s2}) {
    CHECK(h->members(0, MemberStatus::kLeft) == Names{"s3"});
    CHECK(h->members(1, MemberStatus::kLeft) == Names{"s3"});
    CHECK(h->members(1, MemberStatus::kFailed) == Names{"a1"});
  }
  CHECK(s1.run("consul force-leave -prune s3").exit == 0);
  world.run_for(5_s);
  for (const std::uint32_t pool : {0u, 1u}) CHECK(s2.members(pool, MemberStatus::kLeft) == Names{});
  // A name that only a segment knows.
  CHECK(s1.run("consul force-leave a1").exit == 0);
  world.run_for(5_s);
  CHECK(s2.members(1, MemberStatus::kLeft) == Names{"a1"});
}

TEST_CASE("force-leave at a server tries every pool, and names those that nobody heard it in (server_ce.go removeFailedNode)") {
  World world;
  const auto segments = list(Keys()("name", "alpha")("port", 8303));
  // s1 says nothing of its own accord in the default segment, and does not notice there whom it has lost.
  Host& s1 = world.server("s1", "10.0.0.1", Keys()("segments", segments)("gossip_lan", Keys()("gossip_nodes", 0)("probe_interval", "1h")));
  Host& s2 = world.server("s2", "10.0.0.2", Keys()("segments", segments)("retry_join", list("10.0.0.1")));
  Host& s3 = world.server("s3", "10.0.0.3", Keys()("segments", segments)("retry_join", list("10.0.0.1")));
  for (Host* h : {&s1, &s2, &s3}) h->start();
  world.run_for(30_s);
  s3.crash();
  world.run_for(60_s);
  REQUIRE(s1.members(0, MemberStatus::kFailed) == Names{"s3"});
  REQUIRE(s1.members(1, MemberStatus::kFailed) == Names{"s3"});
  s2.crash();
  const CommandResult r = s1.run("consul force-leave s3");
  CHECK(r.exit == 1);
  CHECK(r.err == "Error force leaving: Unexpected response code: 500 (1 error occurred:\n\t* could not remove failed node from LAN: "
                 "timed out broadcasting node removal\n\n)\n");
  for (const std::uint32_t pool : {0u, 1u}) CHECK(s1.members(pool, MemberStatus::kLeft) == Names{"s3"});
}

TEST_CASE("who is alive refutes a force-leave, if there is a third to hear of it (serf.go hasAliveMembers)") {
  Pair p;
  CHECK(p.s1.run("consul force-leave c1").exit == 0);
  CHECK(p.s1.members(0, MemberStatus::kLeaving) == Names{"c1"});  // told nobody: nobody else is alive in its view
  Host& c2 = p.world.client("c2", "10.0.1.2", Keys()("retry_join", list("10.0.0.1")));
  c2.start();
  p.world.run_for(5_s);
  CHECK(p.s1.run("consul force-leave c2").exit == 0);
  CHECK(p.s1.members(0, MemberStatus::kLeaving) == Names{"c1", "c2"});
  Pair q;
  Host& c3 = q.world.client("c3", "10.0.1.3", Keys()("retry_join", list("10.0.0.1")));
  c3.start();
  q.world.run_for(5_s);
  CHECK(q.s1.run("consul force-leave c1").exit == 0);
  q.world.run_for(5_s);
  CHECK(q.s1.members(0) == Names{"c1", "c3", "s1"});
}

TEST_CASE("rc_tm: a failed client is forgotten when its own time is up, not after 72 hours (lib/serf)") {
  World world;
  Host& s1 = world.server("s1", "10.0.0.1");
  Host& brief = world.client("brief", "10.0.1.1", Keys()("retry_join", list("10.0.0.1"))("advertise_reconnect_timeout", "2m"));
  Host& usual = world.client("usual", "10.0.1.2", Keys()("retry_join", list("10.0.0.1")));
  for (Host* h : {&s1, &brief, &usual}) h->start();
  world.run_for(10_s);
  brief.crash();
  usual.crash();
  world.run_for(100_s);
  CHECK(s1.members(0, MemberStatus::kFailed) == Names{"brief", "usual"});
  world.run_for(90_s);
  CHECK(s1.members(0, MemberStatus::kFailed) == Names{"usual"});
  CHECK(std::count_if(s1.events.begin(), s1.events.end(), [](const Host::Event& e) { return e.kind == gossip::MemberEventKind::kReap && e.member == "brief"; }) == 1);
}

// --- Segments -------------------------------------------------------------------------------------------------------

namespace {

Keys two_segments(Keys keys = {}) { return keys("segments", list(Keys()("name", "alpha")("port", 8303), Keys()("name", "beta")("port", 8304))); }

/// Three servers with two segments, and a client in each pool.
struct Segmented {
  explicit Segmented(Duration settle = 20_s) {
    for (int i = 1; i <= 3; ++i) {
      Keys keys;
      if (i > 1) keys("retry_join", list("10.0.0.1"));
      servers.push_back(&world.server(fmt::format("s{}", i), fmt::format("10.0.0.{}", i), two_segments(keys)));
      servers.back()->start();
    }
    a1 = &world.client("a1", "10.0.2.1", Keys()("segment", "alpha")("ports", Keys()("serf_lan", 8303))("retry_join", list("10.0.0.1")));
    d1 = &world.client("d1", "10.0.1.1", Keys()("retry_join", list("10.0.0.1")));
    a1->start();
    d1->start();
    world.run_for(settle);
  }
  World world;
  std::vector<Host*> servers;
  Host* a1;
  Host* d1;
};

}  // namespace

TEST_CASE("a server starts a listener for each segment, and says where") {
  World world;
  Host& s1 = world.server("s1", "192.168.0.4", two_segments());
  s1.start();
  CHECK(s1.logged("consul: Started listener for LAN segment \"alpha\" on 192.168.0.4:8303"));
  CHECK(s1.logged("consul: Started listener for LAN segment \"beta\" on 192.168.0.4:8304"));
  CHECK(s1.agent->pool_count() == 3);
  CHECK(s1.agent->segment(PoolId{0}) == "");
  CHECK(s1.agent->segment(PoolId{2}) == "beta");
  CHECK(s1.agent->port(PoolId{1}) == 8303);
  CHECK(s1.ports.size() == 3);
}

TEST_CASE("servers flood into each other's segments as soon as they know each other; clients stay in theirs") {
  Segmented w;
  for (const Host* s : w.servers) {
    CHECK(s->members(0) == Names{"d1", "s1", "s2", "s3"});
    CHECK(s->members(1) == Names{"a1", "s1", "s2", "s3"});
    CHECK(s->members(2) == Names{"s1", "s2", "s3"});
  }
  CHECK(w.a1->members(0) == Names{"a1", "s1", "s2", "s3"});
  CHECK(w.d1->members(0) == Names{"d1", "s1", "s2", "s3"});
  const auto& joins = w.servers[1]->joins;
  CHECK(std::any_of(joins.begin(), joins.end(), [](const Host::Join& j) { return j.why == JoinReport::Why::kFlood && j.contacted == 1 && j.pool == PoolId{1}; }));
  CHECK(w.servers[1]->logged("agent.server: Successfully performed flood-join for server at address"));
  CHECK(w.a1->servers(0) == Names{"s1", "s2", "s3"});
}

TEST_CASE("what a flood could not reach is tried again every 60 seconds, and one flood at a time") {
  World world;
  Host& s1 = world.server("s1", "10.0.0.1", two_segments());
  Host& s2 = world.server("s2", "10.0.0.2", two_segments(Keys()("retry_join", list("10.0.0.1"))));
  bool open = false;
  world.blocked = [&](const Host&, const Host&, std::uint16_t port) { return port == 8303 && !open; };
  s1.start();
  s2.start();
  world.run_until(kZero + 59_s);
  CHECK(s1.members(1) == Names{"s1"});
  CHECK(s1.members(2) == Names{"s1", "s2"});
  const auto tries = [&] {
    return std::count_if(s1.dials.begin(), s1.dials.end(), [](const Host::Dial& d) { return d.to.text() == "10.0.0.2:8303"; });
  };
  CHECK(tries() == 1);
  world.run_until(kZero + 75_s);
  CHECK(tries() == 2);
  CHECK(s1.count_logged("agent.server: Failed to flood-join server at address: 1 error occurred:") == 2);
  // Said once: Consul would have asked s2 where its listener is.
  CHECK(s1.count_logged("agent.server: server \"s2\" not reached in segment \"alpha\" at 10.0.0.2:8303: a segment listener is looked "
                        "for at the port that this server uses") == 1);
  CHECK(s1.count_logged("agent.server: server \"s2\" not reached in segment \"beta\"") == 0);
  open = true;
  world.run_until(kZero + 119_s);
  CHECK(s1.members(1) == Names{"s1"});
  world.run_until(kZero + 125_s);
  CHECK(s1.members(1) == Names{"s1", "s2"});
  CHECK(s2.members(1) == Names{"s1", "s2"});
}

TEST_CASE("floods that take longer than a minute do not pile up") {
  World world;
  Host& s1 = world.server("s1", "10.0.0.1", Keys()("segments", list(Keys()("name", "alpha")("port", 8303))));
  s1.start();
  for (int i = 2; i <= 10; ++i) {
    world.server(fmt::format("s{}", i), fmt::format("10.0.0.{}", i), Keys()("retry_join", list("10.0.0.1"))).start();
  }
  world.blocked = [&](const Host&, const Host&, std::uint16_t port) { return port == 8303; };
  world.run_for(10_min);
  const auto tries = std::count_if(s1.dials.begin(), s1.dials.end(), [](const Host::Dial& d) { return d.to.port == 8303; });
  CHECK(tries >= 55);  // ten seconds each, one after another, all the time
  CHECK(tries <= 61);
}

TEST_CASE("a client's servers are those alive in its own pool") {
  Segmented w;
  // Cut alpha's port between a1 and s2, and between the servers: s2 fails in alpha only.
  w.world.blocked = [&](const Host& a, const Host& b, std::uint16_t port) { return port == 8303 && (a.name == "s2" || b.name == "s2"); };
  w.world.run_for(60_s);
  CHECK(w.a1->servers(0) == Names{"s1", "s3"});
  CHECK(w.d1->servers(0) == Names{"s1", "s2", "s3"});
  CHECK(w.servers[0]->servers(0) == Names{"s1", "s2", "s3"});
  CHECK(w.servers[0]->servers(1) == Names{"s1", "s3"});
}

TEST_CASE("gossip_lan tunes an agent's own LAN pool, and not a server's segments") {
  World world;
  Host& s1 = world.server("s1", "10.0.0.1", two_segments(Keys()("gossip_lan", Keys()("probe_interval", "3s")("gossip_nodes", 5))));
  Host& a1 = world.client("a1", "10.0.2.1", Keys()("segment", "alpha")("gossip_lan", Keys()("probe_interval", "3s")));
  s1.start();
  a1.start();
  CHECK(s1.agent->serf(PoolId{0}).config().memberlist.probe_interval == 3_s);
  CHECK(s1.agent->serf(PoolId{0}).config().memberlist.gossip_nodes == 5);
  CHECK(s1.agent->serf(PoolId{1}).config().memberlist.probe_interval == 1_s);
  CHECK(s1.agent->serf(PoolId{1}).config().memberlist.gossip_nodes == 3);
  CHECK(a1.agent->serf(PoolId{0}).config().memberlist.probe_interval == 3_s);
}

TEST_CASE("Consul's own settings of Serf hold in every pool (agent/consul/config.go, lib/serf)") {
  World world;
  Host& s1 = world.server("s1", "10.0.0.1", two_segments(Keys()("reconnect_timeout", "8h")("serf_lan_allowed_cidrs", list("10.0.0.0/8"))));
  s1.start();
  for (std::uint32_t pool = 0; pool < 3; ++pool) {
    const gossip::SerfConfig& c = s1.agent->serf(PoolId{pool}).config();
    CHECK(c.leave_propagate_delay == 3_s);
    CHECK(c.min_queue_depth == 4096);
    CHECK(c.queue_depth_warning == 1'000'000);
    CHECK(c.reconnect_timeout == 8_h);
    CHECK(c.tombstone_timeout == 24_h);
    CHECK(c.protocol_version == 4);
    CHECK(c.memberlist.dead_node_reclaim_time == 30_s);
    CHECK(c.memberlist.cidrs_allowed.size() == 1);
    CHECK_FALSE(c.enable_name_conflict_resolution);
    CHECK(tag(c.tags, "segment") == s1.agent->segment(PoolId{pool}));
  }
}

TEST_CASE("consul members: <all> for servers, every segment's clients, or one segment with the servers' addresses there") {
  Segmented w;
  Host& s1 = *w.servers[0];
  const std::string rest = "  1.21.4  2         dc1  default    ";
  CHECK(s1.run("consul members").out ==
        "Node  Address        Status  Type    Build   Protocol  DC   Partition  Segment\n"
        "s1    10.0.0.1:8301  alive   server" + rest + "<all>\n"
        "s2    10.0.0.2:8301  alive   server" + rest + "<all>\n"
        "s3    10.0.0.3:8301  alive   server" + rest + "<all>\n"
        "d1    10.0.1.1:8301  alive   client" + rest + "<default>\n"
        "a1    10.0.2.1:8303  alive   client" + rest + "alpha\n");
  CHECK(s1.run("consul members -segment=alpha").out ==
        "Node  Address        Status  Type    Build   Protocol  DC   Partition  Segment\n"
        "s1    10.0.0.1:8303  alive   server" + rest + "alpha\n"
        "s2    10.0.0.2:8303  alive   server" + rest + "alpha\n"
        "s3    10.0.0.3:8303  alive   server" + rest + "alpha\n"
        "a1    10.0.2.1:8303  alive   client" + rest + "alpha\n");
  CHECK(w.a1->run("consul members").out.find("d1") == std::string::npos);
  CHECK(w.a1->run("consul members -segment alpha").exit == 0);
  CHECK(w.a1->run("consul members -segment beta").err == "Error retrieving members: Unexpected response code: 500 (segment \"beta\" not found)\n");
  CHECK(w.a1->run("consul members -segment=").err == "Error retrieving members: Unexpected response code: 500 (segment \"\" not found)\n");
  CHECK(w.d1->run("consul members -segment=").exit == 0);
  CHECK(s1.run("consul members -status failed").exit == 2);
  CHECK(s1.run("consul members -nonsense").err == "flag provided but not defined: -nonsense\n");
  CHECK(s1.run("consul kv get x").err == "Error: `consul kv get` is not modelled by this version of dcsim\n");
}
