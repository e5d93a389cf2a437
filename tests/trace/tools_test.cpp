#include "trace/tools.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "trace/filter.h"
#include "trace/output.h"
#include "world.h"

using namespace dcsim;
using namespace dcsim::trace;
using namespace dcsim::trace::test;

namespace {

struct Console {
  std::string out;
  std::string err;
  Streams io{[this](std::string_view s) { out += s; }, [this](std::string_view s) { err += s; }};
};

/// A run's folder with a small story in its trace.bin.
struct Run : TemporaryFolder {
  explicit Run(const char* victim = "b.dc1") {
    World w({.keep = Keep::kFile, .path = *this / "trace.bin"});
    const Cause sent = w.add(1000, Ev::kProbeSent, "a.dc1", fields::probe(w.name(victim), w.name("lan"), 12, 500_ms));
    const Cause ping = w.send(1000, "a.dc1", victim, "ping", sent);
    w.drop(1000, "a.dc1", victim, "core-fw", "tenants-apart", ping);
    const Cause failed = w.add(2000, Ev::kProbeFailed, "a.dc1", fields::probe(w.name(victim), w.name("lan"), 12), sent);
    w.add(65000, Ev::kMemberFailed, "a.dc1", fields::member(w.name(victim), w.name("lan")), failed);
    REQUIRE(w.tracer.finish().ok());
  }
};

}  // namespace

TEST_CASE("trace cat: one line a record with time, node, event and details") {
  const Run run;
  Console c;
  CHECK(trace_cat(run.path, {}, c.io) == 0);
  CHECK(c.out.starts_with(
      "     1.000000000  a.dc1              probe-sent        member=b.dc1 pool=lan seq=12 timeout=500ms  #0\n"));
  CHECK(std::count(c.out.begin(), c.out.end(), '\n') == 5);
  CHECK(c.err.empty());
}

TEST_CASE("trace grep: events, nodes, times, fields and patterns narrow it") {
  const Run run;
  const auto lines = [&](std::vector<std::string> terms, int status = 0) {
    Console c;
    CHECK(trace_grep(run.path, {.terms = std::move(terms), .format = CatFormat::kJson}, c.io) == status);
    return std::count(c.out.begin(), c.out.end(), '\n');
  };
  CHECK(lines({"ev=member-failed"}) == 1);
  CHECK(lines({"ev=probe-*"}) == 2);
  CHECK(lines({"ev=probe-failed,member-failed"}) == 2);
  CHECK(lines({"node=a.dc1"}) == 5);
  CHECK(lines({"node!=a.dc1"}, 1) == 0);
  CHECK(lines({"since=1.5s"}) == 2);
  CHECK(lines({"since=1m"}) == 1);
  CHECK(lines({"until=1s"}, 1) == 0);
  CHECK(lines({"since=1", "until=2"}) == 3);
  CHECK(lines({"member=b.dc1", "pool=lan"}) == 3);
  CHECK(lines({"rule=~^tenants"}) == 1);
  CHECK(lines({"rule!~tenants"}) == 4);
  CHECK(lines({"tenants-apart|member-f"}) == 2);
  CHECK(lines({"n=3"}) == 1);
}

TEST_CASE("trace grep: wrong terms are usage errors") {
  const Run run;
  const auto error = [&](const std::string& term) {
    Console c;
    CHECK(trace_grep(run.path, {.terms = {term}}, c.io) == 2);
    CHECK(c.out.empty());
    return c.err;
  };
  CHECK(error("ev=member-faild") == "error: no event is called `member-faild`\n");
  CHECK(error("memver=x") == "error: no record has a field `memver`\n");
  CHECK(error("since=soon") == "error: `soon` is no time: write 90s, 1m30s or seconds\n");
  CHECK(error("rule=~(") == "error: `(` is no regular expression: a parenthesis has no partner\n");
  CHECK(error("rule=~tenants(?=-apart)") ==
        "error: `tenants(?=-apart)` is no regular expression: look-ahead is not supported\n");
  CHECK(error("(a|b)\\1") == "error: `(a|b)\\1` is no regular expression: back-references are not supported\n");
}

TEST_CASE("trace grep: a pattern made to backtrack takes no longer than another") {
  World w;
  w.add(1, Ev::kLog, "a.dc1", fields::log(LogLevel::kInfo, w.name(std::string(4000, 'a'))));
  const auto hostile = Filter::parse(std::vector<std::string>{"text=~(a+)+b", "(a|aa)+b"});
  REQUIRE(hostile.ok());
  const Recording recording = w.tracer.recording();
  CHECK_FALSE(hostile->accepts(0, *recording.at(0), recording));  // 2^4000 steps for a matcher that backtracks
}

TEST_CASE("trace cat: a limit ends it") {
  const Run run;
  Console c;
  CHECK(trace_cat(run.path, {.limit = 2}, c.io) == 0);
  CHECK(std::count(c.out.begin(), c.out.end(), '\n') == 2);
}

TEST_CASE("trace why: tells the story and its exit status") {
  const Run run;
  Console c;
  CHECK(trace_why(run.path, {"member-failed", "node=a.dc1", "member=b.dc1"}, c.io) == 0);
  CHECK(c.out.ends_with("To blame: firewall core-fw, rule tenants-apart: stopped 1 packet.\n"));
  CHECK(trace_why(run.path, {"member-failed", "node=nobody"}, c.io) == 1);
  CHECK(trace_why(run.path, {}, c.io) == 2);
  CHECK(trace_why(run / "absent", {"0"}, c.io) == 2);
}

TEST_CASE("trace why: works from the public trace.jsonl alone") {
  const Run run;
  const TemporaryFolder other;
  REQUIRE(write_jsonl(run / "trace.bin", other / "trace.jsonl", {}).ok());
  Console c;
  CHECK(trace_why(other.path, {"member-failed"}, c.io) == 0);
  CHECK(c.out.ends_with("To blame: firewall core-fw, rule tenants-apart: stopped 1 packet.\n"));
}

TEST_CASE("trace.jsonl: may be narrowed to what record.events asks for") {
  const Run run;
  REQUIRE(write_jsonl(run / "trace.bin", run / "trace.jsonl", {"ev=member-*"}).ok());
  const std::string text = read_file(run / "trace.jsonl", 1 << 20).value();
  CHECK(text ==
        "{\"t\":65000000000,\"n\":4,\"ev\":\"member-failed\",\"node\":\"a.dc1\",\"member\":\"b.dc1\",\"pool\":\"lan\","
        "\"cause\":3}\n");
  CHECK_FALSE(std::filesystem::exists(run / "trace.jsonl.tmp"));
}

TEST_CASE("diff: status 0 for the same run, 1 for another, 2 for no run") {
  const Run a;
  const Run same;
  const Run other("c.dc1");
  Console c;
  CHECK(trace_diff(a.path, same.path, c.io) == 0);
  CHECK(c.out == "No difference in 5 records.\n");
  CHECK(trace_diff(a.path, other.path, c.io) == 1);
  CHECK(c.out.find("First difference: record 0") != std::string::npos);
  CHECK(trace_diff(a.path, a / "absent", c.io) == 2);
}

TEST_CASE("trace convert: perfetto is JSON with a track a node and an arrow a cause") {
  const Run run;
  Console c;
  REQUIRE(trace_convert(run.path, "perfetto", run / "out.json", c.io) == 0);
  const auto json = nlohmann::json::parse(read_file(run / "out.json", 1 << 20).value());
  int tracks = 0, events = 0, arrows = 0;
  for (const auto& e : json["traceEvents"]) {
    tracks += e["name"] == "thread_name";
    events += e["ph"] == "X";
    arrows += e["ph"] == "s";
  }
  CHECK(tracks == 1);
  CHECK(events == 5);
  CHECK(arrows == 4);
  CHECK(json["traceEvents"].back()["ts"] == 65000000.0);
}

TEST_CASE("trace convert: csv and jsonl on standard output; unknown formats and absent captures are errors") {
  const Run run;
  Console c;
  CHECK(trace_convert(run.path, "csv", "-", c.io) == 0);
  CHECK(c.out.starts_with(
      "t,n,node,ev,cause,details\n1000000000,0,a.dc1,probe-sent,,member=b.dc1 pool=lan seq=12 timeout=500ms\n"));
  Console d;
  CHECK(trace_convert(run.path, "jsonl", "-", d.io) == 0);
  CHECK(d.out.starts_with("{\"t\":1000000000,\"n\":0,"));
  CHECK(trace_convert(run.path, "xml", "-", d.io) == 2);
  CHECK(trace_convert(run.path, "pcapng", run / "x.pcapng", d.io) == 2);
  CHECK(d.err.find("the run kept no packets") != std::string::npos);
  REQUIRE(write_file(run / "capture.pcapng", "bytes").ok());
  CHECK(trace_convert(run.path, "pcapng", run / "x.pcapng", d.io) == 0);
  CHECK(read_file(run / "x.pcapng", 100).value() == "bytes");
}

TEST_CASE("trace convert: a symbolic link is written through, not replaced, and a pipe is no recording") {
  const Run run;
  REQUIRE(write_file(run / "real.csv", "old").ok());
  std::filesystem::create_symlink("real.csv", run / "link.csv");
  Console c;
  CHECK(trace_convert(run.path, "csv", run / "link.csv", c.io) == 0);
  CHECK(std::filesystem::is_symlink(run / "link.csv"));
  CHECK(read_file(run / "real.csv", 1 << 20).value().starts_with("t,n,node"));
  REQUIRE(mkfifo((run / "pipe").c_str(), 0600) == 0);
  CHECK(trace_cat(run / "pipe", {}, c.io) == 2);
}

TEST_CASE("trace cat: an interrupted run is said to be one") {
  const Run run;
  const std::string whole = read_file(run / "trace.bin", 1 << 20).value();
  REQUIRE(write_file(run / "trace.bin", std::string_view(whole).substr(0, whole.size() - 32)).ok());
  Console c;
  CHECK(trace_cat(run.path, {}, c.io) == 0);
  CHECK(c.err.find("the run was interrupted") != std::string::npos);
  CHECK(std::count(c.out.begin(), c.out.end(), '\n') == 5);
}

TEST_CASE("json writer: keys stay in the order given, numbers exact") {
  JsonWriter w;
  w.begin_object()
      .member("zeta", 1)
      .member("alpha", 0.1)
      .key("list")
      .begin_array()
      .value("a\"b")
      .value(true)
      .null()
      .end_array();
  w.key("empty").begin_object().end_object().member("big", std::uint64_t{18446744073709551615u}).end_object();
  CHECK(w.take() ==
        "{\n  \"zeta\": 1,\n  \"alpha\": 0.1,\n  \"list\": [\n    \"a\\\"b\",\n    true,\n    null\n  ],\n  \"empty\": "
        "{},\n  \"big\": 18446744073709551615\n}\n");
  JsonWriter broken;
  broken.begin_object();
  CHECK_THROWS_AS(broken.value(1), InvariantBroken);
}
