#include "cli_fixture.h"
#include "consul/cli_json_read.h"

using namespace dcsim;
using namespace dcsim::test;

// agent/session_endpoint.go, agent/agent_endpoint.go, as curl sees them.

namespace {

std::string wrong(std::string_view text) {
  const auto read = read_json(text);
  return read ? "fine" : read.error().text;
}

}  // namespace

TEST_CASE("curl /v1/session: made, seen, renewed, destroyed") {
  FakeAgent a;
  a.rpc_.add_node("c1", "10.0.0.50", "");
  CHECK(a.run("curl -X PUT -d '{\"Name\": \"lock\", \"TTL\": \"10s\", \"LockDelay\": \"5s\", \"NodeChecks\": []}' localhost:8500/v1/session/create") ==
        fine("{\"ID\":\"session-1\"}"));
  const std::string session =
      "[{\"ID\":\"session-1\",\"Name\":\"lock\",\"Node\":\"c1\",\"LockDelay\":5000000000,\"Behavior\":\"release\",\"TTL\":\"10s\",\"NodeChecks\":[],"
      "\"ServiceChecks\":null,\"CreateIndex\":12,\"ModifyIndex\":12}]";
  CHECK(a.run("curl localhost:8500/v1/session/info/session-1") == fine(session));
  CHECK(a.run("curl localhost:8500/v1/session/list") == fine(session));
  CHECK(a.run("curl -X PUT localhost:8500/v1/session/renew/session-1") == fine(session));
  CHECK(a.run("curl -X PUT -d me localhost:8500/v1/kv/k?acquire=session-1") == fine("true"));
  CHECK(a.run("curl -X PUT localhost:8500/v1/session/destroy/session-1") == fine("true"));
  CHECK(a.run("curl localhost:8500/v1/session/list") == fine("[]"));
  CHECK(a.run("curl -X PUT localhost:8500/v1/session/renew/session-1") == fine("Session id 'session-1' not found"));
  CHECK(a.run("curl -X PUT localhost:8500/v1/session/create").out.starts_with("Missing check 'serfHealth' registration"));
  CHECK(a.run("curl -X PUT -d '{' localhost:8500/v1/session/create") == fine("Request decode failed: unexpected end of JSON input"));
  CHECK(a.run("curl localhost:8500/v1/session/create") == fine("method GET not allowed"));
  CHECK(a.run("curl -X PUT localhost:8500/v1/session/destroy/") == fine("Missing session"));
}

TEST_CASE("curl /v1/agent: services with checks, whose status is told") {
  FakeAgent a;
  CHECK(a.run("curl -X PUT -d '{\"Name\": \"web\", \"Port\": 80, \"Tags\": [\"v1\"], \"Meta\": {\"k\": \"v\"}, \"Check\": {\"TTL\": \"30s\"}}' "
              "localhost:8500/v1/agent/service/register") == fine(""));
  REQUIRE(a.local_.service("web"));
  CHECK(a.local_.service("web")->port == 80);
  CHECK(a.local_.service("web")->meta.at("k") == "v");
  const wire::rpc::HealthCheck* check = a.local_.check("service:web");
  REQUIRE(check);
  CHECK(check->name == "Service 'web' check");
  CHECK(check->status == "critical");
  CHECK(check->type == "ttl");
  CHECK(check->service_tags == wire::rpc::Texts{"v1"});
  CHECK(a.run("curl -X PUT 'localhost:8500/v1/agent/check/pass/service:web?note=well'") == fine(""));
  CHECK(a.local_.check("service:web")->status == "passing");
  CHECK(a.local_.check("service:web")->output == "well");
  const int changes = a.changes;
  a.run("curl -X PUT 'localhost:8500/v1/agent/check/pass/service:web?note=well'");
  CHECK(a.changes == changes);
  CHECK(a.run("curl -w ' %{http_code}' -X PUT localhost:8500/v1/agent/check/fail/none") ==
        fine("Unknown check ID \"none\". Ensure that the check ID is passed, not the check name. 404"));
  CHECK(a.run("curl -X PUT -d '{\"Name\": \"disk\", \"Status\": \"warning\"}' localhost:8500/v1/agent/check/register") == fine(""));
  CHECK(a.local_.check("disk")->status == "warning");
  CHECK(a.run("curl -X PUT localhost:8500/v1/agent/check/deregister/disk") == fine(""));
  CHECK(!a.local_.check("disk"));
  CHECK(a.run("curl -X PUT -d '{}' localhost:8500/v1/agent/service/register") == fine("Missing service name"));
  CHECK(a.run("curl -X PUT -d '[]' localhost:8500/v1/agent/service/register").out.starts_with("Request decode failed: "));
}

TEST_CASE("JSON is read whole or not at all") {
  const auto value = read_json(" {\"a\": [1, -2.5, true, null, \"x\\n\\u00e9\\ud83d\\ude00\"], \"A\": {}} ");
  REQUIRE(value.ok());
  const RawValue* a = json_member(*value, "a");
  REQUIRE(a);
  CHECK(a->map());  // of equal names the last
  REQUIRE(value->map());
  const RawValue::List& list = *value->map()->front().value.list();
  REQUIRE(list.size() == 5);
  CHECK(std::get<std::int64_t>(list[0].value) == 1);
  CHECK(std::get<double>(list[1].value) == -2.5);
  CHECK(*list[4].text() == "x\n\xc3\xa9\xf0\x9f\x98\x80");
  CHECK(wrong("") == "unexpected end of JSON input");
  CHECK(wrong("{\"a\":1") == "unexpected end of JSON input");
  CHECK(wrong("{\"a\" 1}") == "invalid character \"1\" at byte 5");
  CHECK(wrong("[1,]") == "invalid character \"]\" at byte 3");
  CHECK(wrong("1 2") == "invalid character \"2\" after top-level value");
  CHECK(wrong("\"\\x\"") != "fine");
  CHECK(wrong("\"\\ud8\"") != "fine");
  CHECK(wrong("+1") != "fine");
  CHECK(wrong("1e999") != "fine");
  CHECK(wrong(std::string(33, '[') + std::string(33, ']')) == "fine");
  CHECK(wrong(std::string(34, '[') + std::string(34, ']')) != "fine");
  CHECK(wrong(std::string(1'000'000, '[')) != "fine");
}
