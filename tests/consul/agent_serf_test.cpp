#include "world.h"

using namespace dcsim;
using namespace dcsim::test;
using gossip::MemberStatus;
using Names = std::vector<std::string>;

// What plain Serf agents print (serf cmd/serf/command), and Consul's rtt and -filter.

namespace {

struct Three {
  explicit Three(AgentKind kind) {
    for (int i = 1; i <= 3; ++i) {
      Keys keys;
      if (i > 1) keys("retry_join", list("10.0.0.1"));
      if (kind == AgentKind::kSerf) keys("tags", i == 1 ? Keys()("role", "db")("rack", "4") : Keys());
      hosts.push_back(&world.host("n" + std::to_string(i), "10.0.0." + std::to_string(i), keys, kind));
      hosts.back()->start();
    }
    world.run_for(30_s);
  }
  World world;
  std::vector<Host*> hosts;
};

double ms_of(const std::string& out) { return std::stod(out.substr(out.find("rtt: ") + 5)); }

}  // namespace

TEST_CASE("serf info: the agent, Serf's numbers and the tags, as text and as JSON") {
  Three t(AgentKind::kSerf);
  const std::string out = t.hosts[0]->run("serf info").out;
  CHECK(out.starts_with("agent:\n\tname = n1\nevent_handlers:\nserf:\n\tcoordinate_resets = 0\n\tencrypted = false\n\tevent_queue = 0\n\tevent_time = 1\n\tfailed = 0\n"
                        "\thealth_score = 0\n\tintent_queue = 0\n\tleft = 0\n\tmember_time = "));
  CHECK(out.ends_with("\tmembers = 3\n\tquery_queue = 0\n\tquery_time = 1\ntags:\n\track = 4\n\trole = db\n"));
  const std::string json = t.hosts[1]->run("serf info -format=json").out;
  CHECK(json.starts_with("{\n  \"agent\": {\n    \"name\": \"n2\"\n  },\n  \"event_handlers\": {},\n  \"serf\": {\n    \"coordinate_resets\": \"0\",\n"));
  CHECK(json.ends_with("    \"query_time\": \"1\"\n  },\n  \"tags\": {}\n}\n"));
  CHECK(t.hosts[0]->run("serf info -format xml").err == "Encoding error: Invalid output format \"xml\"\n");
  t.hosts[2]->crash();
  t.world.run_for(30_s);
  CHECK(t.hosts[0]->run("serf info").out.find("\tfailed = 1\n") != std::string::npos);
}

TEST_CASE("serf rtt and consul rtt: an estimate from the coordinates that acks brought") {
  for (const AgentKind kind : {AgentKind::kSerf, AgentKind::kConsul}) {
    Three t(kind);
    t.world.latency = 20_ms;
    t.world.run_for(10_min);
    const std::string word = kind == AgentKind::kSerf ? "serf" : "consul";
    const std::string tail = kind == AgentKind::kSerf ? " ms\n" : " ms (using LAN coordinates)\n";
    const CommandResult own = t.hosts[0]->run(word + " rtt n2");
    CAPTURE(own.out);
    CHECK(own.out.starts_with("Estimated n2 <-> n1 rtt: "));
    CHECK(own.out.ends_with(tail));
    CHECK(ms_of(own.out) > 30);
    CHECK(ms_of(own.out) < 50);  // a round trip is 40 ms
    const CommandResult others = t.hosts[0]->run(word + " rtt n2 n3");
    CHECK(others.out.starts_with("Estimated n2 <-> n3 rtt: "));
    CHECK(ms_of(others.out) > 30);
    CHECK(ms_of(others.out) < 50);
    CHECK(t.hosts[0]->run(word + " rtt nobody").err == "Could not find a coordinate for node \"nobody\"\n");
    CHECK(t.hosts[0]->run(word + " rtt n1 nobody").err == "Could not find a coordinate for node \"nobody\"\n");
    CHECK(t.hosts[0]->run(word + " rtt").err == "One or two node names must be specified\n");
    CHECK(t.hosts[0]->run(word + " rtt a b c").exit == 1);
  }
}

TEST_CASE("rtt: before the first probe nobody has a coordinate, and a reaped member has none any more") {
  World world;
  Host& a = world.client("a", "10.0.0.1", Keys()("reconnect_timeout", "30s"));
  Host& b = world.client("b", "10.0.0.2", Keys()("retry_join", list("10.0.0.1")));
  a.start();
  b.start();
  CHECK(a.run("consul rtt a").err == "Could not find a coordinate for node \"a\"\n");
  world.run_for(10_s);
  CHECK(a.run("consul rtt a b").exit == 0);
  b.crash();
  world.run_for(2_min);
  CHECK(a.run("consul rtt a b").err == "Could not find a coordinate for node \"b\"\n");
}

TEST_CASE("serf members: -tag several times, -role with its warning, -format json, -detailed") {
  Three t(AgentKind::kSerf);
  Host& n2 = *t.hosts[1];
  CHECK(n2.run("serf members -tag role=d. -tag rack=[34]").out == "n1  10.0.0.1:7946  alive  rack=4,role=db\n");
  CHECK(n2.run("serf members -tag role=db -tag rack=5").out == "\n");
  CHECK(n2.run("serf members -role db -status alive").out ==
        "Deprecation warning: 'Role' has been replaced with 'Tags'\nn1  10.0.0.1:7946  alive  rack=4,role=db\n");
  CHECK(n2.run("serf members -name n3 -detailed").out ==
        "n3  10.0.0.3:7946  alive    Protocol Version: 5  Available Protocol Range: [2, 5]\n");
  CHECK(n2.run("serf members -format json -name n3").out.starts_with("{\n  \"members\": [\n    {\n      \"name\": \"n3\",\n"));
  CHECK(n2.run("serf members -format xml").err == "Encoding error: Invalid output format \"xml\"\n");
  CHECK(n2.run("serf members -tag nonsense").err == "Error: Invalid tag: 'nonsense'\n");
}

TEST_CASE("serf tags: a changed tag reaches the others by an alive message") {
  Three t(AgentKind::kSerf);
  CHECK(t.hosts[0]->run("serf tags -set rack=5 -set zone=b -delete role").out == "Successfully updated agent tags\n");
  t.world.run_for(5_s);
  CHECK(t.hosts[2]->run("serf members -name n1").out == "n1  10.0.0.1:7946  alive  rack=5,zone=b\n");
  CHECK(t.hosts[0]->run("serf tags").exit == 1);
  CHECK(t.hosts[0]->run("serf tags -set x=" + std::string(600, 'x')).err == "Error setting tags: Encoded length of tags exceeds limit of 512 bytes\n");
}

TEST_CASE("serf force-leave: about a name that nobody knows it is broadcast all the same") {
  Three t(AgentKind::kSerf);
  CHECK(t.hosts[0]->run("serf force-leave ghost").exit == 0);
  t.world.run_for(2_s);
  CHECK(t.hosts[2]->agent->serf(PoolId{0}).intents().size() == 1);
}

TEST_CASE("serf: queries and keys are refused in words") {
  Three t(AgentKind::kSerf);
  CHECK(t.hosts[0]->run("serf query uptime").err == "Error: `serf query uptime` is not modelled by this version of dcsim\n");
  CHECK(t.hosts[0]->run("serf keys -list").err == "Error: `serf keys` is not modelled by this version of dcsim\n");
  for (const char* line : {"serf info", "serf rtt x", "serf tags", "consul rtt x"}) CHECK(is_modelled(*split_command(line)));
  for (const char* line : {"serf query x", "serf keys"}) CHECK_FALSE(is_modelled(*split_command(line)));
}

TEST_CASE("consul members -filter: the expression is applied before the status") {
  World world;
  Host& s1 = world.server("s1", "10.0.0.1");
  Host& c1 = world.client("c1", "10.0.1.1", Keys()("retry_join", list("10.0.0.1")));
  s1.start();
  c1.start();
  world.run_for(5_s);
  const std::string rows = s1.run("consul members -filter 'Tags.role == node'").out;
  CHECK(rows.find("c1 ") != std::string::npos);
  CHECK(rows.find("s1 ") == std::string::npos);
  CHECK(s1.run("consul members -filter 'Name == nobody'").exit == 2);
  CHECK(s1.run("consul members -filter 'Name = x'").err.starts_with("Error retrieving members: Unexpected response code: 400 (Failed to create boolean expression evaluator: "));
  // The row's tags are as they came: `<all>` is the command's own word.
  CHECK(s1.run("consul members -filter 'Tags.segment == \"\" and Tags.role == consul'").out.find("<all>") != std::string::npos);
}

TEST_CASE("serf: advertise may name another port than the one listened on") {
  World world;
  Host& a = world.host("a", "10.0.0.1", Keys()("bind", "10.0.0.1:7999")("advertise", "10.0.0.1:8000"), AgentKind::kSerf);
  Host& b = world.host("b", "10.0.0.2", Keys()("bind", "10.0.0.2:7999")("advertise", "10.0.0.2"), AgentKind::kSerf);
  CHECK(a.config.advertise_port == 8000);
  CHECK(b.config.advertise_port == 7946);  // Serf's default, not the bound port
  a.start();
  CHECK(a.ports.contains(7999));
  CHECK(a.run("serf members").out == "a  10.0.0.1:8000  alive\n");
  CHECK(a.agent->port(PoolId{0}) == 7999);
}

TEST_CASE("join: a port that is none is an error of its address alone, in Go's words") {
  World world;
  Host& a = world.client("a", "10.0.0.1");
  Host& b = world.client("b", "10.0.0.2");
  a.start();
  b.start();
  const auto error = [&](const std::string& target) { return b.run("consul join " + target).err; };
  CHECK(error("10.0.0.1:70000").find("Failed to resolve 10.0.0.1:70000: strconv.ParseUint: parsing \"70000\": value out of range") != std::string::npos);
  CHECK(error("10.0.0.1:99999999999999999999").find("value out of range") != std::string::npos);
  CHECK(error("10.0.0.1:7x").find("strconv.ParseUint: parsing \"7x\": invalid syntax") != std::string::npos);
  CHECK(error("/10.0.0.1").find("Failed to resolve /10.0.0.1: empty node name provided") != std::string::npos);
  CHECK(b.run("consul join 10.0.0.1:x 10.0.0.1").exit == 0);
}
