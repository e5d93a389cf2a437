#include "cli_fixture.h"

using namespace dcsim;
using namespace dcsim::test;

// command/catalog, command/services, command/maint, command/info.

namespace {

struct Fixture : FakeAgent {
  Fixture() {
    rpc_.add_node("alpha-1", "10.0.0.11", "aaaaaaaa-0000-4000-8000-00000000000a", {{"consul-network-segment", "alpha"}});
    rpc_.add_node("s1", "10.0.0.1", "bbbbbbbb-0000-4000-8000-00000000000b", {{"consul-network-segment", ""}});
    rpc_.add_service("alpha-1", "10.0.0.11", "web", {"v1", "blue"});
    rpc_.add_service("s1", "10.0.0.1", "consul");
  }
};

}  // namespace

TEST_CASE("consul catalog nodes") {
  Fixture f;
  CHECK(f.run("consul catalog nodes") == fine("Node     ID        Address    DC\n"
                                              "alpha-1  aaaaaaaa  10.0.0.11  dc1\n"
                                              "s1       bbbbbbbb  10.0.0.1   dc1\n"));
  CHECK(f.run("consul catalog nodes -node-meta consul-network-segment=alpha") == fine("Node     ID        Address    DC\n"
                                                                                       "alpha-1  aaaaaaaa  10.0.0.11  dc1\n"));
  CHECK(f.run("consul catalog nodes -service=consul") == fine("Node  ID        Address   DC\n"
                                                              "s1    bbbbbbbb  10.0.0.1  dc1\n"));
  CHECK(f.run("consul catalog nodes -detailed -service=web").out ==
        "Node     ID                                    Address    DC   TaggedAddresses  Meta\n"
        "alpha-1  aaaaaaaa-0000-4000-8000-00000000000a  10.0.0.11  dc1                   consul-network-segment=alpha\n");
  CHECK(f.run("consul catalog nodes -service=none") == CommandResult{0, "", "No nodes match the given query - try expanding your search.\n"});
  CHECK(f.run("consul catalog nodes x") == bad("Too many arguments (expected 0, got 1)\n"));
  CHECK(f.run("consul catalog nodes -node-meta=x") == bad("invalid value \"x\" for flag -node-meta: missing \"=\" value in argument: x\n"));
  f.rpc_.error = "No known Consul servers";
  CHECK(f.run("consul catalog nodes") == bad("Error listing nodes: Unexpected response code: 500 (No known Consul servers)\n"));
  CHECK(f.run("consul catalog nodes -service=web") ==
        bad("Error listing nodes for service: Unexpected response code: 500 (No known Consul servers)\n"));
}

TEST_CASE("consul catalog services") {
  Fixture f;
  CHECK(f.run("consul catalog services") == fine("consul\nweb\n"));
  CHECK(f.run("consul catalog services -tags") == fine("consul      \nweb         blue,v1\n"));
  CHECK(f.run("consul catalog services -node=s1") == fine("consul\n"));
  CHECK(f.run("consul catalog services -node=nobody") == CommandResult{0, "", "No services match the given query - try expanding your search.\n"});
  f.rpc_.error = "No cluster leader";
  CHECK(f.run("consul catalog services") == bad("Error listing services: Unexpected response code: 500 (No cluster leader)\n"));
}

TEST_CASE("consul catalog datacenters") {
  Fixture f;
  CHECK(f.run("consul catalog datacenters") == fine("dc1\ndc2\n"));
  f.rpc_.error = "rpc error getting client: failed to get conn: dial tcp 10.0.0.1:8300: i/o timeout";
  CHECK(f.run("consul catalog datacenters") ==
        CommandResult{0, "", "Error listing datacenters: Unexpected response code: 500 (" + f.rpc_.error + ")\n"});
}

TEST_CASE("consul services register, deregister") {
  FakeAgent a;
  CHECK(a.run("consul services register -name=web -port=80 -tag=a -tag=b -meta k=v -address=10.1.1.1") == fine("Registered service: web\n"));
  CHECK(a.changes == 1);
  const wire::rpc::NodeService* web = a.local_.service("web");
  REQUIRE(web);
  CHECK(web->port == 80);
  CHECK(web->tags == wire::rpc::Texts{"a", "b"});
  CHECK(web->meta == wire::rpc::TextMap{{"k", "v"}});
  CHECK(a.run("consul services register -name=web -id=web-2") == fine("Registered service: web\n"));
  CHECK(a.local_.service("web-2"));
  CHECK(a.run("consul services deregister -id=web-2") == fine("Deregistered service: web-2\n"));
  CHECK(!a.local_.service("web-2"));
  CHECK(a.run("consul services deregister -id=web-2") ==
        bad("Error registering service \"\": Unexpected response code: 404 (Unknown service ID \"web-2\". Ensure that the service ID is passed, not the "
            "service name.)\n"));
  CHECK(a.run("consul services register") == bad("Service registration requires at least one argument or flags.\n"));
  CHECK(a.run("consul services register -name=a f.json") == bad("Service registration requires arguments or -id, not both.\n"));
  CHECK(a.run("consul services register -name=a -port=x") == bad("invalid value \"x\" for flag -port: parse error\n"));
  CHECK(a.run("consul services deregister") == bad("Service deregistration requires at least one argument or -id.\n"));
}

TEST_CASE("consul maint") {
  FakeAgent a;
  CHECK(a.run("consul maint") == fine(""));
  CHECK(a.run("consul maint -enable -reason 'new kernel'") == fine("Node maintenance is now enabled\n"));
  CHECK(a.lines == std::vector<std::string>{"agent: Node entered maintenance mode"});
  CHECK(a.run("consul maint") == fine("Node:\n  Name:   c1\n  Reason: new kernel\n\n"));
  CHECK(a.run("consul maint -enable") == fine("Node maintenance is now enabled\n"));
  CHECK(a.lines.size() == 1);
  a.run("consul services register -name=web");
  CHECK(a.run("consul maint -enable -service web") == fine("Service maintenance is now enabled for \"web\"\n"));
  CHECK(a.run("consul maint").out.find("Service:\n  ID:     web\n  Reason: Maintenance mode is enabled for this service, but no reason was "
                                       "provided. This is a default message.\n\n") != std::string::npos);
  CHECK(a.run("consul maint -disable -service web") == fine("Service maintenance is now disabled for \"web\"\n"));
  CHECK(a.run("consul maint -disable") == fine("Node maintenance is now disabled\n"));
  CHECK(a.run("consul maint") == fine(""));
  CHECK(a.run("consul maint -enable -disable") == bad("Only one of -enable or -disable may be provided\n"));
  CHECK(a.run("consul maint -disable -reason=x") == bad("Reason may only be provided with -enable\n"));
  CHECK(a.run("consul maint -service=x") == bad("Service requires either -enable or -disable\n"));
  CHECK(a.run("consul maint -enable -service=x") ==
        bad("Error enabling service maintenance: Unexpected response code: 404 (No service registered with ID \"x\")\n"));
}

TEST_CASE("consul info prints sections and values in order") {
  FakeAgent a;
  a.info_ = {{"raft", {{"term", "3"}, {"state", "Leader"}}}, {"agent", {{"checks", "0"}}}};
  CHECK(a.run("consul info") == fine("agent:\n\tchecks = 0\nraft:\n\tstate = Leader\n\tterm = 3\n"));
}
