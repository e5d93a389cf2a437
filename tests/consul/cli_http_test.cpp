#include "consul/cli_http.h"

#include "cli_fixture.h"
#include "consul/cli_json.h"

using namespace dcsim;
using namespace dcsim::test;

// agent/http.go and the endpoints beside it, as curl sees them.

TEST_CASE("curl /v1/kv") {
  FakeAgent a;
  CHECK(a.run("curl -X PUT -d bar http://localhost:8500/v1/kv/foo") == fine("true"));
  CHECK(a.run("curl http://localhost:8500/v1/kv/foo") ==
        fine("[{\"LockIndex\":0,\"Key\":\"foo\",\"Flags\":0,\"Value\":\"YmFy\",\"CreateIndex\":11,\"ModifyIndex\":11}]"));
  CHECK(a.run("curl -s localhost:8500/v1/kv/foo?raw") == fine("bar"));
  CHECK(a.run("curl -sXPUT --data '' 'http://127.0.0.1:8500/v1/kv/empty?flags=7'") == fine("true"));
  CHECK(a.run("curl localhost:8500/v1/kv/empty") ==
        fine("[{\"LockIndex\":0,\"Key\":\"empty\",\"Flags\":7,\"Value\":null,\"CreateIndex\":12,\"ModifyIndex\":12}]"));
  CHECK(a.run("curl localhost:8500/v1/kv/?keys") == fine("[\"empty\",\"foo\"]"));
  CHECK(a.run("curl -X PUT -d x 'localhost:8500/v1/kv/foo?cas=5'") == fine("false"));
  CHECK(a.run("curl -X DELETE localhost:8500/v1/kv/foo") == fine("true"));
  CHECK(a.run("curl localhost:8500/v1/kv/foo") == fine(""));
  CHECK(a.run("curl -s -o /dev/null -w '%{http_code}\\n' localhost:8500/v1/kv/foo") == fine("404\n"));
  CHECK(a.run("curl -f localhost:8500/v1/kv/foo") == CommandResult{22, "", "curl: (22) The requested URL returned error: 404\n"});
}

TEST_CASE("curl: headers come with -i alone, sorted as Go's server sorts them") {
  FakeAgent a;
  a.rpc_.put("foo", "bar");
  CHECK(a.run("curl -i 'http://localhost:8500/v1/kv/foo?stale'") ==
        fine("HTTP/1.1 200 OK\r\n"
             "Content-Type: application/json\r\n"
             "Vary: Accept-Encoding\r\n"
             "X-Consul-Default-Acl-Policy: allow\r\n"
             "X-Consul-Index: 11\r\n"
             "X-Consul-Knownleader: true\r\n"
             "X-Consul-Lastcontact: 0\r\n"
             "X-Consul-Query-Backend: blocking-query\r\n"
             "Date: Thu, 01 Jan 1970 00:00:05 GMT\r\n"
             "Content-Length: 88\r\n\r\n"
             "[{\"LockIndex\":0,\"Key\":\"foo\",\"Flags\":0,\"Value\":\"YmFy\",\"CreateIndex\":11,\"ModifyIndex\":11}]"));
  CHECK(a.rpc_.options.back().allow_stale);
  CHECK(FakeAgent().run("curl -i localhost:8500/v1/catalog/nodes").out.find("X-Consul-Index: 1\r\n") != std::string::npos);
  CHECK(a.run("curl -i localhost:8500/v1/catalog/nodes").out.find("X-Consul-Effective-Consistency: leader\r\n") != std::string::npos);
  CHECK(a.run("curl -i localhost:8500/v1/catalog/nodes?consistent").out.find("X-Consul-Effective-Consistency: consistent\r\n") != std::string::npos);
  CHECK(a.rpc_.options.back().require_consistent);
}

TEST_CASE("curl: blocking queries and pretty answers") {
  FakeAgent a;
  a.rpc_.put("foo", "bar");
  CHECK(a.run("curl 'localhost:8500/v1/kv/foo?index=9&wait=30s&pretty'") == fine("[\n"
                                                                                "    {\n"
                                                                                "        \"LockIndex\": 0,\n"
                                                                                "        \"Key\": \"foo\",\n"
                                                                                "        \"Flags\": 0,\n"
                                                                                "        \"Value\": \"YmFy\",\n"
                                                                                "        \"CreateIndex\": 11,\n"
                                                                                "        \"ModifyIndex\": 11\n"
                                                                                "    }\n"
                                                                                "]\n"));
  CHECK(a.rpc_.options.back().min_query_index == 9);
  CHECK(a.rpc_.options.back().max_query_time == 30_s);
  CHECK(a.run("curl 'localhost:8500/v1/kv/foo?index=x'") == fine("Invalid index"));
  CHECK(a.run("curl 'localhost:8500/v1/kv/foo?wait=x'") == fine("Invalid wait time"));
  CHECK(a.run("curl 'localhost:8500/v1/kv/foo?stale&consistent'") == fine("Cannot specify ?stale with ?consistent, conflicting semantics."));
}

TEST_CASE("curl /v1/catalog") {
  FakeAgent a;
  a.rpc_.add_node("c1", "10.0.0.50", "id-c1", {{"consul-network-segment", ""}});
  a.rpc_.add_service("c1", "10.0.0.50", "web", {"v1"});
  CHECK(a.run("curl localhost:8500/v1/catalog/datacenters") == fine("[\"dc1\",\"dc2\"]"));
  CHECK(a.run("curl localhost:8500/v1/catalog/services") == fine("{\"web\":[\"v1\"]}"));
  CHECK(a.run("curl localhost:8500/v1/catalog/nodes") ==
        fine("[{\"ID\":\"id-c1\",\"Node\":\"c1\",\"Address\":\"10.0.0.50\",\"Datacenter\":\"dc1\",\"TaggedAddresses\":null,"
             "\"Meta\":{\"consul-network-segment\":\"\"},\"CreateIndex\":11,\"ModifyIndex\":11}]"));
  CHECK(a.run("curl 'localhost:8500/v1/catalog/nodes?node-meta=consul-network-segment:alpha'") == fine("[]"));
  CHECK(a.run("curl localhost:8500/v1/catalog/service/web") ==
        fine("[{\"ID\":\"id-c1\",\"Node\":\"c1\",\"Address\":\"10.0.0.50\",\"Datacenter\":\"dc1\",\"TaggedAddresses\":null,"
             "\"NodeMeta\":{\"consul-network-segment\":\"\"},\"ServiceKind\":\"\",\"ServiceID\":\"web\",\"ServiceName\":\"web\",\"ServiceTags\":[\"v1\"],"
             "\"ServiceAddress\":\"\",\"ServiceWeights\":{\"Passing\":1,\"Warning\":1},\"ServiceMeta\":{},\"ServicePort\":80,\"ServiceSocketPath\":\"\","
             "\"ServiceEnableTagOverride\":false,\"ServiceProxy\":{\"Mode\":\"\",\"MeshGateway\":{},\"Expose\":{}},\"ServiceConnect\":{},"
             "\"CreateIndex\":12,\"ModifyIndex\":12}]"));
  CHECK(a.run("curl localhost:8500/v1/catalog/node/nobody") == fine("null"));
  CHECK(a.run("curl localhost:8500/v1/catalog/node/c1").out.starts_with("{\"Node\":{\"ID\":\"id-c1\""));
}

TEST_CASE("curl /v1/health") {
  FakeAgent a;
  a.rpc_.add_node("c1", "10.0.0.50", "id-c1");
  a.rpc_.add_service("c1", "10.0.0.50", "web");
  wire::rpc::RegisterRequest r;
  r.node = "c1";
  r.address = "10.0.0.50";
  r.skip_node_update = true;
  r.check.emplace();
  r.check->node = "c1";
  r.check->check_id = "serfHealth";
  r.check->name = "Serf Health Status";
  r.check->status = "critical";
  r.check->output = "Agent not live or unreachable";
  a.rpc_.apply(wire::rpc::CommandType::kRegister, r);
  const std::string check =
      "{\"Node\":\"c1\",\"CheckID\":\"serfHealth\",\"Name\":\"Serf Health Status\",\"Status\":\"critical\",\"Notes\":\"\","
      "\"Output\":\"Agent not live or unreachable\",\"ServiceID\":\"\",\"ServiceName\":\"\",\"ServiceTags\":[],\"Type\":\"\",\"Interval\":\"\","
      "\"Timeout\":\"\",\"ExposedPort\":0,\"Definition\":{},\"CreateIndex\":13,\"ModifyIndex\":13}";
  CHECK(a.run("curl localhost:8500/v1/health/node/c1") == fine("[" + check + "]"));
  CHECK(a.run("curl localhost:8500/v1/health/state/critical") == fine("[" + check + "]"));
  CHECK(a.run("curl localhost:8500/v1/health/state/passing") == fine("[]"));
  CHECK(a.run("curl localhost:8500/v1/health/service/web") ==
        fine("[{\"Node\":{\"ID\":\"id-c1\",\"Node\":\"c1\",\"Address\":\"10.0.0.50\",\"Datacenter\":\"dc1\",\"TaggedAddresses\":null,\"Meta\":null,"
             "\"CreateIndex\":11,\"ModifyIndex\":11},\"Service\":{\"ID\":\"web\",\"Service\":\"web\",\"Tags\":[],\"Address\":\"\",\"Meta\":null,"
             "\"Port\":80,\"Weights\":{\"Passing\":1,\"Warning\":1},\"EnableTagOverride\":false,\"Proxy\":{\"Mode\":\"\",\"MeshGateway\":{},\"Expose\":{}},"
             "\"Connect\":{},\"PeerName\":\"\",\"CreateIndex\":12,\"ModifyIndex\":12},\"Checks\":[" +
             check + "]}]"));
  CHECK(a.run("curl localhost:8500/v1/health/service/web?passing") == fine("[]"));
  CHECK(a.run("curl localhost:8500/v1/health/service/web?passing=maybe") == fine("Invalid value for ?passing"));
}

TEST_CASE("curl /v1/status and what goes wrong") {
  FakeAgent a;
  CHECK(a.run("curl http://localhost:8500/v1/status/leader") == fine("\"10.0.0.1:8300\""));
  CHECK(a.run("curl http://localhost:8500/v1/status/peers") == fine("[\"10.0.0.1:8300\",\"10.0.0.2:8300\"]"));
  CHECK(a.run("curl -X POST http://localhost:8500/v1/status/peers") == fine("method POST not allowed"));
  CHECK(a.run("curl -w ' %{http_code}' http://localhost:8500/v1/nope") == fine("Invalid URL path: not a recognized HTTP API endpoint 404"));
  a.rpc_.error = "No cluster leader";
  CHECK(a.run("curl -w ' %{http_code}' http://localhost:8500/v1/kv/foo") == fine("No cluster leader 500"));
  CHECK(a.run("curl") == CommandResult{2, "", "curl: no URL specified!\ncurl: try 'curl --help' or 'curl --manual' for more information\n"});
  CHECK(a.run("curl ftp://localhost/x").exit == 1);
  CHECK(a.run("curl --frobnicate localhost:8500/v1/kv/foo").exit == 2);
}

TEST_CASE("curl /v1/agent") {
  FakeAgent a;
  MemberRow row;
  row.name = "c1";
  row.address = {*Address::parse("10.0.0.50"), 8301};
  row.status = "alive";
  row.versions = {1, 5, 2, 2, 5, 4};
  row.tags = {{"role", "node"}};
  a.members_ = {row};
  CHECK(a.run("curl localhost:8500/v1/agent/members") ==
        fine("[{\"Name\":\"c1\",\"Addr\":\"10.0.0.50\",\"Port\":8301,\"Tags\":{\"role\":\"node\"},\"Status\":1,\"ProtocolMin\":1,\"ProtocolMax\":5,"
             "\"ProtocolCur\":2,\"DelegateMin\":2,\"DelegateMax\":5,\"DelegateCur\":4}]"));
  CHECK(a.run("curl -X PUT 'localhost:8500/v1/agent/maintenance?enable=true&reason=x+y'") == fine(""));
  REQUIRE(a.local_.check("_node_maintenance"));
  CHECK(a.local_.check("_node_maintenance")->notes == "x y");
  CHECK(a.run("curl -X PUT localhost:8500/v1/agent/maintenance") == fine("Missing value for enable"));
  CHECK(a.run("curl localhost:8500/v1/agent/maintenance?enable=true") == fine("method GET not allowed"));
  a.run("consul services register -name=web -port=80");
  CHECK(a.run("curl localhost:8500/v1/agent/services") ==
        fine("{\"web\":{\"ID\":\"web\",\"Service\":\"web\",\"Tags\":[],\"Meta\":{},\"Port\":80,\"Address\":\"\",\"Weights\":{\"Passing\":1,\"Warning\":1},"
             "\"EnableTagOverride\":false,\"Datacenter\":\"dc1\"}}"));
  CHECK(a.run("curl -X PUT localhost:8500/v1/agent/service/deregister/web") == fine(""));
  CHECK(a.run("curl localhost:8500/v1/agent/services") == fine("{}"));
}

TEST_CASE("JSON as Go writes it") {
  JsonWriter w;
  w.begin_object().member("a", "<\"\n").key("b").begin_array().number(-1).boolean(false).null().end_array().key("c").begin_object().end_object().end_object();
  CHECK(w.take() == "{\"a\":\"\\u003c\\\"\\n\",\"b\":[-1,false,null],\"c\":{}}");
  CHECK(base64(view_of("")) == "");
  CHECK(base64(view_of("a")) == "YQ==");
  CHECK(base64(view_of("abcde")) == "YWJjZGU=");
  Buffer out;
  std::size_t at = 0;
  CHECK(base64_decode("YWJjZGU=", out, at));
  CHECK(text_of(out) == "abcde");
  CHECK(!base64_decode("YW!j", out, at));
  CHECK(at == 2);
  CHECK(!base64_decode("YWJ", out, at));
  CHECK(go_time(wire::GoTime{}, false) == "0001-01-01T00:00:00Z");
  CHECK(go_time(wire::GoTime::from_unix(1'700'000'000'250'000'000), false) == "2023-11-14T22:13:20.25Z");
  CHECK(go_time(wire::GoTime::from_unix(951'782'399'500'000'000), true) == "2000-02-29T00:00:00Z");
}
