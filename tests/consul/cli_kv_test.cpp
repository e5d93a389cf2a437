#include "cli_fixture.h"

using namespace dcsim;
using namespace dcsim::test;

// command/kv.

TEST_CASE("consul kv put, get") {
  FakeAgent a;
  CHECK(a.run("consul kv put app/color blue") == fine("Success! Data written to: app/color\n"));
  CHECK(a.run("consul kv get app/color") == fine("blue\n"));
  CHECK(a.run("consul kv get /app/color") == fine("blue\n"));
  CHECK(a.run("consul kv get -base64 app/color") == fine("Ymx1ZQ==\n"));
  CHECK(a.run("consul kv get app/size") == bad("Error! No key exists at: app/size\n"));
  CHECK(a.run("consul kv put empty") == fine("Success! Data written to: empty\n"));
  CHECK(a.run("consul kv get empty") == fine("\n"));
  CHECK(a.run("consul kv put -base64 app/color cmVk") == fine("Success! Data written to: app/color\n"));
  CHECK(a.run("consul kv get app/color") == fine("red\n"));
}

TEST_CASE("consul kv get -detailed shows all there is to an entry") {
  FakeAgent a;
  a.rpc_.put("foo", "bar", 42);
  CHECK(a.run("consul kv get -detailed foo") == fine("CreateIndex      11\n"
                                                     "Flags            42\n"
                                                     "Key              foo\n"
                                                     "LockIndex        0\n"
                                                     "ModifyIndex      11\n"
                                                     "Session          -\n"
                                                     "Value            bar\n"));
}

TEST_CASE("consul kv get of prefixes") {
  FakeAgent a;
  a.rpc_.put("a/1", "one");
  a.rpc_.put("a/b/2", "two");
  a.rpc_.put("c", "three");
  CHECK(a.run("consul kv get -recurse a/") == fine("a/1:one\na/b/2:two\n"));
  CHECK(a.run("consul kv get -recurse nothing") == fine(""));
  CHECK(a.run("consul kv get -keys a/") == fine("a/1\na/b/\n"));
  CHECK(a.run("consul kv get -keys") == fine("a/\nc\n"));
  CHECK(a.run("consul kv get -keys -separator='' a/") == fine("a/1\na/b/2\n"));
  const CommandResult both = a.run("consul kv get -recurse -detailed a/");
  CHECK(both.out.find("Value            one\n\nCreateIndex") != std::string::npos);
  CHECK(both.out.ends_with("Value            two\n"));
  CHECK(a.run("consul kv export a/1") == fine("[\n\t{\n\t\t\"key\": \"a/1\",\n\t\t\"flags\": 0,\n\t\t\"value\": \"b25l\"\n\t}\n]\n"));
}

TEST_CASE("consul kv asks as its flags say") {
  FakeAgent a;
  a.rpc_.put("foo", "bar");
  CHECK(a.run("consul kv get -stale foo") == fine("bar\n"));
  CHECK(a.rpc_.options.back().allow_stale);
  CHECK(a.run("consul kv get foo") == fine("bar\n"));
  CHECK(!a.rpc_.options.back().allow_stale);
}

TEST_CASE("consul kv put -cas, -acquire, -release") {
  FakeAgent a;
  a.rpc_.put("foo", "bar");
  CHECK(a.run("consul kv put -cas -modify-index=123 foo a") == bad("Error! Did not write to foo: CAS failed\n"));
  CHECK(a.run("consul kv put -cas -modify-index=11 foo a") == fine("Success! Data written to: foo\n"));
  CHECK(a.run("consul kv get foo") == fine("a\n"));
  CHECK(a.run("consul kv put -acquire -session=none foo a") ==
        bad("Error! Failed writing data: Unexpected response code: 500 (invalid session \"none\")\n"));
  a.rpc_.add_node("c1", "10.0.0.50", "");
  wire::rpc::SessionRequest s;
  s.op = "create";
  s.session.id = "S";
  s.session.node = "c1";
  s.session.behavior = "release";
  a.rpc_.apply(wire::rpc::CommandType::kSession, s);
  CHECK(a.run("consul kv put -acquire -session=S lock me") == fine("Success! Lock acquired on: lock\n"));
  CHECK(a.run("consul kv get -detailed lock").out.find("Session          S\n") != std::string::npos);
  CHECK(a.run("consul kv put -release -session=S lock") == fine("Success! Lock released on: lock\n"));
  CHECK(a.run("consul kv put -release -session=S lock") == bad("Error! Did not release lock\n"));
}

TEST_CASE("consul kv delete") {
  FakeAgent a;
  for (const char* key : {"a", "b/1", "b/2", "c"}) a.rpc_.put(key, "x");
  CHECK(a.run("consul kv delete a") == fine("Success! Deleted key: a\n"));
  CHECK(a.run("consul kv delete a") == fine("Success! Deleted key: a\n"));
  CHECK(a.run("consul kv delete -recurse b/") == fine("Success! Deleted keys with prefix: b/\n"));
  CHECK(a.run("consul kv delete -cas -modify-index=1 c") == bad("Error! Did not delete key c: CAS failed\n"));
  CHECK(a.run("consul kv get -keys") == fine("c\n"));
  CHECK(a.run("consul kv delete -cas -modify-index=14 c") == fine("Success! Deleted key: c\n"));
}

TEST_CASE("consul kv: what is not well asked is not asked at all") {
  FakeAgent a;
  const std::pair<const char*, const char*> kCases[] = {
      {"consul kv get", "Error! Missing KEY argument\n"},
      {"consul kv get a b", "Too many arguments (expected 1, got 2)\n"},
      {"consul kv get -nope a", "flag provided but not defined: -nope\n"},
      {"consul kv put", "Error! Missing KEY argument\n"},
      {"consul kv put a b c", "Error! Too many arguments (expected 1 or 2, got 3)\n"},
      {"consul kv put -cas a", "Must specify -modify-index with -cas!\n"},
      {"consul kv put -acquire a", "Error! Missing -session (required with -acquire and -release)\n"},
      {"consul kv put -flags=x a", "invalid value \"x\" for flag -flags: parse error\n"},
      {"consul kv put a @/no/file", "Error! Failed to read file: open /no/file: no such file or directory\n"},
      {"consul kv put /a b", "Error! Failed writing data: Invalid key. Key must not begin with a '/': /a\n"},
      {"consul kv delete", "Error! Missing KEY argument\n"},
      {"consul kv delete -cas a", "Cannot delete a key that does not exist. Provide a -modify-index greater than than 0.\n"},
      {"consul kv delete -modify-index=3 a", "Cannot specify -modify-index without -cas!\n"},
      {"consul kv delete -recurse -cas -modify-index=3 a", "Cannot specify both -cas and -recurse!\n"},
      {"consul kv export a b", "Too many arguments (expected 1, got 2)\n"},
  };
  for (const auto& [line, complaint] : kCases) CHECK(a.run(line) == bad(complaint));
  CHECK(a.rpc_.calls.empty());
}

TEST_CASE("consul kv: without a leader") {
  FakeAgent a;
  a.rpc_.error = "No cluster leader";
  CHECK(a.run("consul kv get foo") == bad("Error querying Consul agent: Unexpected response code: 500 (No cluster leader)\n"));
  CHECK(a.run("consul kv get -recurse foo") == bad("Error querying Consul agent: Unexpected response code: 500 (No cluster leader)\n"));
  CHECK(a.run("consul kv get -keys foo") == bad("Error querying Consul agent: Unexpected response code: 500 (No cluster leader)\n"));
  CHECK(a.run("consul kv put foo x") == bad("Error! Failed writing data: Unexpected response code: 500 (No cluster leader)\n"));
  CHECK(a.run("consul kv put -cas -modify-index=1 foo x") == bad("Error! Did not write to foo: Unexpected response code: 500 (No cluster leader)\n"));
  CHECK(a.run("consul kv delete foo") == bad("Error deleting key foo: Unexpected response code: 500 (No cluster leader)\n"));
  CHECK(a.run("consul kv delete -recurse foo") == bad("Error! Did not delete prefix foo: Unexpected response code: 500 (No cluster leader)\n"));
  a.rpc_.error = "rpc error making call: rate limit exceeded, try again later or against a different server";
  CHECK(a.run("consul kv get foo") ==
        bad("Error querying Consul agent: Unexpected response code: 429 (rpc error making call: rate limit exceeded, try again later or against a different server)\n"));
}

TEST_CASE("consul kv: the answer may come later") {
  FakeAgent a;
  a.rpc_.hold = true;
  std::optional<CommandResult> got;
  run_cli(Instant{1}, {"consul", "kv", "put", "k", "v"}, a, [&](Instant, CommandResult r) { got = std::move(r); });
  CHECK(!got);
  a.rpc_.release(Instant{9});
  REQUIRE(got);
  CHECK(*got == fine("Success! Data written to: k\n"));
}

TEST_CASE("without an agent commands say where they looked") {
  CHECK(cli_not_running({"consul", "kv", "get", "-stale", "foo"}) ==
        bad("Error querying Consul agent: Get \"http://127.0.0.1:8500/v1/kv/foo\": dial tcp 127.0.0.1:8500: connect: connection refused\n"));
  CHECK(cli_not_running({"curl", "http://localhost:8500/v1/status/leader"}).exit == 7);
}
