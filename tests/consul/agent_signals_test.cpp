#include "world.h"

using namespace dcsim;
using namespace dcsim::test;
using gossip::MemberStatus;
using Names = std::vector<std::string>;

// consul command/agent/agent.go run; serf cmd/serf/command/agent/command.go handleSignals, serf.go Leave.

namespace {

/// Two agents that know each other; `told` gets the signals.
struct Two {
  explicit Two(Keys keys, AgentKind kind = AgentKind::kConsul, bool server = false)
      : other(kind == AgentKind::kSerf ? world.host("other", "10.0.0.1", Keys(), kind) : world.server("other", "10.0.0.1")),
        told(world.host("told", "10.0.0.2", keys("retry_join", list("10.0.0.1"))("server", server), kind)) {
    other.start();
    told.start();
    world.run_for(5_s);
    REQUIRE(other.members(0) == Names{"other", "told"});
  }
  Host& after(Duration d) {
    world.run_for(d);
    return told;
  }
  World world;
  Host& other;
  Host& told;
};

}  // namespace

TEST_CASE("signals: leave_on_terminate is for SIGTERM, skip_leave_on_interrupt for SIGINT") {
  struct Row {
    bool server, leave_on_terminate, skip_leave_on_interrupt, terminate_leaves, interrupt_leaves;
  };
  for (const Row& row : {Row{false, true, false, true, true}, Row{false, false, false, false, true}, Row{false, true, true, true, false},
                         Row{true, false, false, false, true}, Row{true, true, true, true, false}}) {
    CAPTURE(row.server);
    CAPTURE(row.leave_on_terminate);
    CAPTURE(row.skip_leave_on_interrupt);
    const auto keys = [&] { return Keys()("leave_on_terminate", row.leave_on_terminate)("skip_leave_on_interrupt", row.skip_leave_on_interrupt); };
    Two term(keys(), AgentKind::kConsul, row.server);
    term.told.terminate();
    CHECK(term.after(12_s).exit_status == (row.terminate_leaves ? 0 : 1));
    CHECK(term.told.logged("agent: Caught: signal=terminated"));
    CHECK(term.other.members(0, MemberStatus::kLeft) == (row.terminate_leaves ? Names{"told"} : Names{}));
    Two interrupted(keys(), AgentKind::kConsul, row.server);
    interrupted.told.interrupt();
    CHECK(interrupted.after(12_s).exit_status == (row.interrupt_leaves ? 0 : 1));
    CHECK(interrupted.told.logged("agent: Caught: signal=interrupt"));
    CHECK(interrupted.told.logged("agent: Graceful shutdown disabled. Exiting") == !row.interrupt_leaves);
  }
}

TEST_CASE("signals: without settings both let a client leave, and neither a server") {
  for (const bool server : {false, true}) {
    for (const bool interrupt : {false, true}) {
      World world;
      Host& a = server ? world.server("a", "10.0.0.1") : world.client("a", "10.0.0.1");
      a.start();
      interrupt ? a.interrupt() : a.terminate();
      world.run_for(10_s);
      CHECK(a.exit_status == (server ? 1 : 0));
    }
  }
}

TEST_CASE("signals: a second one ends a graceful leave at once") {
  Two t{Keys()};
  t.told.terminate();
  CHECK_FALSE(t.after(100_ms).exit_status);
  t.told.interrupt();
  CHECK(t.told.exit_status == 1);
  CHECK(t.told.log_lines.back().text == "agent: Caught second signal, Exiting: signal=interrupt");
  CHECK(t.other.members(0, MemberStatus::kLeft).empty());
}

TEST_CASE("signals: plain Serf leaves on SIGINT, not on SIGTERM, unless told so") {
  Two term(Keys(), AgentKind::kSerf);
  term.told.terminate();
  CHECK(term.told.exit_status == 1);
  Two interrupted(Keys(), AgentKind::kSerf);
  interrupted.told.interrupt();
  CHECK(interrupted.after(3_s).exit_status == 0);
  CHECK(interrupted.told.logged("agent: requesting graceful leave from Serf"));
  CHECK(interrupted.other.members(0, MemberStatus::kLeft) == Names{"told"});
  Two asked(Keys()("leave_on_terminate", true)("skip_leave_on_interrupt", true), AgentKind::kSerf);
  asked.told.terminate();
  CHECK(asked.after(3_s).exit_status == 0);
}

TEST_CASE("signals: a Serf agent has three seconds to leave") {
  // A retransmit limit that takes longer than that to reach.
  Two t(Keys()("gossip", Keys()("retransmit_mult", 60)), AgentKind::kSerf);
  const Instant told = t.world.now();
  t.told.interrupt();
  CHECK(t.after(10_s).exit_status == 1);
  CHECK(t.told.exit_at == told + 3_s);
}

TEST_CASE("serf leave: an intent that does not get out in five seconds is an error, and the agent shuts down (Serf 0.9)") {
  Two t(Keys()("gossip", Keys()("retransmit_mult", 60)), AgentKind::kSerf);
  const Instant told = t.world.now();
  const CommandResult r = t.told.run("serf leave");
  CHECK(r.exit == 1);
  CHECK(r.err == "Error leaving: timeout while waiting for graceful leave\n");
  CHECK(t.told.exit_at == told + 5_s);
  CHECK(t.told.exit_status == 0);
  CHECK(t.told.logged("agent.ipc: leave failed: timeout while waiting for graceful leave"));
}

TEST_CASE("consul leave: an intent that does not get out is waited for and then left behind") {
  Two t(Keys()("gossip_lan", Keys()("retransmit_mult", 60)));
  CHECK(t.told.run("consul leave").exit == 0);
  CHECK(t.told.exit_status == 0);
}

TEST_CASE("serf agents log their joins in Serf's words") {
  World world;
  Host& a = world.host("a", "10.0.0.1", Keys(), AgentKind::kSerf);
  Host& b = world.host("b", "10.0.0.2", Keys()("retry_join", list("10.0.0.1", "10.0.0.9"))("retry_interval", "5s")("retry_max", 3), AgentKind::kSerf);
  b.start();
  world.run_for(22_s);
  CHECK(b.logged("agent: Joining cluster...(replay: false)"));
  CHECK(b.logged("agent: joining: [10.0.0.1 10.0.0.9] replay: false"));
  CHECK(b.logged("agent: error joining: 2 errors occurred:"));
  CHECK(b.logged("agent: Join failed: 2 errors occurred:"));
  CHECK_FALSE(b.logged("agent: (LAN)"));
  a.start();
  world.run_for(30_s);
  CHECK(b.logged("agent: joined: 1 nodes"));
  CHECK(b.logged("agent: Join completed. Synced with 1 initial agents"));
  Host& c = world.host("c", "10.0.0.3", Keys()("retry_join", list("10.0.0.9"))("retry_interval", "1s")("retry_max", 1), AgentKind::kSerf);
  c.start();
  world.run_for(60_s);
  CHECK(c.exit_status == 1);
  CHECK(c.log_lines.back().text == "agent: maximum retry join attempts made, exiting");
}
