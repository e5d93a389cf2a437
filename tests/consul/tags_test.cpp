#include "base/bytes.h"
#include "consul/merge_gate.h"
#include "consul/tags.h"
#include "gossip/serf_tags.h"
#include "raw.h"

using namespace dcsim;
using namespace dcsim::test;

namespace {

const char* const kId = "00000000-0000-4000-8000-000000000001";

Tags server_tags(std::string segment = "") {
  Tags t = lan_tags(build(Keys()("server", true)("bootstrap_expect", 3)).config, segment);
  t["id"] = kId;
  return t;
}
Tags client_tags(const char* segment = "") { return lan_tags(build(Keys()("segment", segment)).config, segment); }
Tags with(Tags tags, const char* key, const char* value) {
  tags[key] = value;
  return tags;
}
Tags without(Tags tags, const char* key) {
  tags.erase(key);
  return tags;
}
std::size_t encoded(const Tags& tags) {
  Buffer out;
  gossip::encode_tags(tags, 4, out);
  return out.size();
}

}  // namespace

// consul agent/consul/server_serf.go setupSerfConfig, client_serf.go setupSerf.

TEST_CASE("a server tells its role, ports and versions") {
  CHECK(lan_tags(build(Keys()("server", true)("bootstrap_expect", 3)).config, "alpha") ==
        Tags{{"acls", "0"}, {"build", "1.21.4:59b8b905"}, {"dc", "dc1"}, {"expect", "3"}, {"ft_fs", "1"}, {"ft_si", "1"},
             {"grpc_tls_port", "8503"}, {"id", kId}, {"port", "8300"}, {"raft_vsn", "3"}, {"role", "consul"}, {"segment", "alpha"},
             {"vsn", "2"}, {"vsn_max", "3"}, {"vsn_min", "2"}, {"wan_join_port", "8302"}});
  const Tags lone = lan_tags(build(Keys()("server", true)("bootstrap", true)("ports", Keys()("server", 7300)("serf_wan", -1))).config, "");
  CHECK(tag(lone, "bootstrap") == "1");
  CHECK(tag(lone, "port") == "7300");
  CHECK_FALSE(has_tag(lone, "expect"));
  CHECK_FALSE(has_tag(lone, "wan_join_port"));
}

TEST_CASE("a client tells less, and how long it may be away if it was told so") {
  CHECK(client_tags("alpha") == Tags{{"acls", "0"}, {"build", "1.21.4:59b8b905"}, {"dc", "dc1"}, {"id", kId}, {"role", "node"},
                                     {"segment", "alpha"}, {"vsn", "2"}, {"vsn_max", "3"}, {"vsn_min", "2"}});
  CHECK(tag(lan_tags(build(Keys()("advertise_reconnect_timeout", "90m")).config, ""), "rc_tm") == "1h30m0s");
}

TEST_CASE("a Serf agent has the tags it was given and no others") {
  const AgentConfig c = build(Keys()("tags", Keys()("role", "db")), one_homed(), AgentKind::kSerf).config;
  CHECK(lan_tags(c, "") == Tags{{"role", "db"}});
}

TEST_CASE("the encoded tags are as long as those measured on real agents: 213 bytes a server, 125 a client") {
  CHECK(encoded(server_tags()) == 213);
  CHECK(encoded(client_tags()) == 125);
  CHECK(encoded(server_tags("alpha")) == 213 + 5);
}

// agent/metadata/server.go IsConsulServer.

TEST_CASE("a member is a server if all that it says of its ports and versions can be read") {
  const auto info = parse_server(server_tags("alpha"));
  REQUIRE(info);
  CHECK(info->datacenter == "dc1");
  CHECK(info->segment == "alpha");
  CHECK(info->port == 8300);
  CHECK(info->expect == 3);
  CHECK_FALSE(info->bootstrap);
  CHECK(parse_server(with(server_tags(), "bootstrap", "1"))->bootstrap);
  CHECK(parse_server(without(server_tags(), "expect"))->expect == 0);
  CHECK(parse_server(with(server_tags(), "build", "v0.8.5-rc1:abc")));
  CHECK(parse_server(with(server_tags(), "sl_alpha", "10.0.0.1:8303")));
  CHECK(parse_server(with(with(server_tags(), "grpc_tls_port", "x"), "grpc_port", "8502")));
  CHECK(parse_server(without(server_tags(), "grpc_tls_port")));

  CHECK_FALSE(parse_server(Tags{}));
  CHECK_FALSE(parse_server(client_tags()));
  for (const char* key : {"port", "vsn", "build", "role"}) {
    CAPTURE(key);
    CHECK_FALSE(parse_server(without(server_tags(), key)));
  }
  for (const char* key : {"port", "vsn", "build", "expect", "wan_join_port", "raft_vsn", "ft_fs", "ft_new", "sl_alpha", "grpc_tls_port"}) {
    CAPTURE(key);
    CHECK_FALSE(parse_server(with(server_tags(), key, "x")));
    CHECK_FALSE(is_server(with(server_tags(), key, "")));
  }
  for (const char* port : {"-1", "65536", "99999999999", " 8300", "8300 "}) CHECK_FALSE(parse_server(with(server_tags(), "port", port)));
  CHECK_FALSE(parse_server(with(server_tags(), "build", "1.21")));
  CHECK_FALSE(parse_server(with(server_tags(), "grpc_tls_port", "0")));
}

TEST_CASE("a build is the first version of three parts in its tag") {
  CHECK(parse_build("1.21.4:59b8b905") == BuildVersion{1, 21, 4});
  CHECK(parse_build("v0.8.5-dev") == BuildVersion{0, 8, 5});
  CHECK(parse_build("1.2-1.10.3") == BuildVersion{1, 10, 3});
  CHECK(*parse_build("0.8.5") > *parse_build("0.8.4"));
  CHECK(*parse_build("0.10.0") > *parse_build("0.8.5"));
  for (const char* bad : {"", "1", "1.", "1.2", "1.2.", "a.b.c", "1..2", "-1.-2.-3", "99999999999.1.1"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_build(bad));
  }
}

// agent/consul/merge.go lanMergeDelegate.NotifyMerge. The segment text is that of releases up to 1.10 and of Enterprise.

namespace {

struct Listed {
  std::string name;
  Tags tags;
  bool left = false;
};
std::string verdict(const std::vector<Listed>& members, const char* segment = "alpha", const char* own_id = "me") {
  const LanGate gate("dc1", "c1", own_id, segment);
  std::vector<GateMember> list;
  for (const Listed& m : members) list.push_back({m.name, &m.tags, m.left});
  const auto error = gate.check(list);
  return error ? error->text : "";
}
Tags node(const char* id, const char* segment = "alpha", const char* dc = "dc1") { return with(with(client_tags(segment), "id", id), "dc", dc); }

}  // namespace

TEST_CASE("members of the own datacenter and segment pass") {
  CHECK(verdict({}) == "");
  CHECK(verdict({{"s1", server_tags("alpha")}, {"c2", node("2")}}) == "");
  CHECK(verdict({{"c1", node("me")}}) == "");  // oneself
  CHECK(verdict({{"C1", node("me")}}) == "");
}

TEST_CASE("a member of another segment is refused, whichever side is the default one") {
  CHECK(verdict({{"s1", server_tags("")}}) == "Member 's1' part of wrong segment '' (expected 'alpha')");
  CHECK(verdict({{"b1", node("2", "beta")}}) == "Member 'b1' part of wrong segment 'beta' (expected 'alpha')");
  CHECK(verdict({{"a1", node("2", "alpha")}}, "") == "Member 'a1' part of wrong segment 'alpha' (expected '')");
  CHECK(verdict({{"stranger", Tags{}}}) == "Member 'stranger' part of wrong segment '' (expected 'alpha')");
  CHECK(verdict({{"stranger", Tags{}}}, "") == "");  // neither a node nor a server: no datacenter to check
}

TEST_CASE("a member of another datacenter is refused, client or server, if it is one at all") {
  CHECK(verdict({{"c2", node("2", "alpha", "dc2")}}) == "Member 'c2' part of wrong datacenter 'dc2'");
  CHECK(verdict({{"s1", with(server_tags("alpha"), "dc", "dc2")}}) == "Member 's1' part of wrong datacenter 'dc2'");
  CHECK(verdict({{"s1", with(with(server_tags("alpha"), "dc", "dc2"), "port", "x")}}) == "");  // does not parse as a server
}

TEST_CASE("two members with one node ID are refused") {
  CHECK(verdict({{"c2", node("me")}}) == "Member 'c2' has conflicting node ID 'me' with this agent's ID");
  CHECK(verdict({{"c2", node("x")}, {"c3", node("y")}, {"c4", node("x")}}) == "Member 'c4' has conflicting node ID 'x' with member 'c2'");
  CHECK(verdict({{"c2", with(node("x"), "build", "0.8.4")}, {"c4", node("x")}}) == "");  // not remembered before 0.8.5
  CHECK(verdict({{"c2", with(node("x"), "build", "0.8.5")}, {"c4", node("x")}}) == "Member 'c4' has conflicting node ID 'x' with member 'c2'");
  CHECK(verdict({{"c2", node("")}, {"c4", node("")}}) == "");
}

TEST_CASE("who has left is not looked at, if it has an ID") {
  CHECK(verdict({{"c2", node("me", "beta", "dc2"), true}}) == "");
  CHECK(verdict({{"c2", without(node("x", "beta"), "id"), true}}) == "Member 'c2' part of wrong segment 'beta' (expected 'alpha')");
}

TEST_CASE("Enterprise's FIPS builds and partitions are refused") {
  CHECK(verdict({{"c2", with(node("2"), "fips", "BoringCrypto FIPS 140-2")}}) == "Member 'c2' is FIPS Consul; FIPS Consul is only available in Consul Enterprise");
  CHECK(verdict({{"c2", with(node("2"), "ap", "team-a")}}) == "Member 'c2' part of partition 'team-a'; Partitions are a Consul Enterprise feature");
}

TEST_CASE("the first failing check of the first failing member decides") {
  const Tags all_wrong = with(with(node("me", "beta", "dc2"), "ap", "p"), "fips", "f");
  CHECK(verdict({{"x", all_wrong}}) == "Member 'x' has conflicting node ID 'me' with this agent's ID");
  CHECK(verdict({{"x", with(all_wrong, "id", "2")}}) == "Member 'x' part of wrong datacenter 'dc2'");
  CHECK(verdict({{"x", with(with(all_wrong, "id", "2"), "dc", "dc1")}}) == "Member 'x' is FIPS Consul; FIPS Consul is only available in Consul Enterprise");
  CHECK(verdict({{"x", without(with(with(all_wrong, "id", "2"), "dc", "dc1"), "fips")}}) == "Member 'x' part of partition 'p'; Partitions are a Consul Enterprise feature");
  CHECK(verdict({{"good", node("2")}, {"y", node("3", "beta")}, {"z", node("4", "alpha", "dc2")}}) == "Member 'y' part of wrong segment 'beta' (expected 'alpha')");
}
