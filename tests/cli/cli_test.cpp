#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

namespace {

using nlohmann::json;

const std::string kBinary = DCSIM_BINARY_DIR "/dcsim";
const std::string kScenarios = DCSIM_SOURCE_DIR "/scenarios/";

std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

struct Folder {
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "dcsim-cli-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path + "/" + name, std::ios::binary) << text;
    return path + "/" + name;
  }
  std::string operator/(const std::string& name) const { return path + "/" + name; }
  std::string path;
};

struct Output {
  int status = -1;
  std::string out, err;
  bool said(const std::string& text) const { return out.find(text) != std::string::npos; }
  bool complained(const std::string& text) const { return err.find(text) != std::string::npos; }
};

/// Runs a shell command and keeps both streams.
Output shell(const std::string& command) {
  const Folder folder;
  const int raw = std::system(("( " + command + " ) >" + (folder / "out") + " 2>" + (folder / "err") + " </dev/null").c_str());
  Output o;
  o.status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
  o.out = slurp(folder / "out");
  o.err = slurp(folder / "err");
  return o;
}

Output dcsim(const std::string& arguments) {
  REQUIRE_MESSAGE(std::filesystem::exists(kBinary), kBinary << " is not built: build the target dcsim first");
  return shell(kBinary + " " + arguments);
}

const char* const kStory = R"(version: 1
kind: topology
name: t
params: { clients: 3 }
zones: { z: { cidr: 10.0.0.0/24 } }
datacenters:
  dc1:
    agents:
      - { name: s, zone: z, first_address: 10.0.0.11, labels: { role: server }, config: { server: true, bootstrap_expect: 1 } }
      - { name: "c-{n}", count: "${clients}", zone: z, labels: { role: client }, config: { retry_join: ["10.0.0.11"] } }
---
version: 1
kind: scenario
name: small
topology: t
duration: 60s
timeline:
  - { name: boot, at: 0s, start: s.dc1 }
  - { name: clients, at: 1s, start: "role=client", stagger: 2s }
  - { name: crash, at: 20s, crash: c-1.dc1 }
  - { name: look, at: 50s, run: consul members, agent: s.dc1, expect: { exit: 0 } }
expect:
  - { name: all join, eventually: "max(sim.members.alive) == ${clients} + 1" }
  - { name: few fail, never: count(consul.serf.member.failed) > 2 }
metrics:
  failed: { value: count(consul.serf.member.failed), unit: events, better: lower }
)";

const char* const kBad = R"(version: 1
kind: topology
name: t
zones: { z: { cidr: 10.0.0.0/24 } }
links:
  - { endpoints: [z, y], latancy: 5 }
datacenters: { dc1: { agents: [] } }
)";

}  // namespace

TEST_CASE("cli: help and version go to stdout and are no failure") {
  for (const char* const a : {"--help", "run --help", "trace why --help", "--version"}) {
    CAPTURE(a);
    const Output o = dcsim(a);
    CHECK(o.status == 0);
    CHECK(!o.out.empty());
    CHECK(o.err.empty());
  }
  CHECK(dcsim("--version").out.starts_with("dcsim "));
  for (const char* const c : {"run", "check", "explain", "reach", "verify", "diff", "trace", "series", "schema", "completions"}) CHECK(dcsim("--help").said(c));
}

TEST_CASE("cli: wrong usage is exit 2 with a word on stderr and nothing on stdout") {
  for (const char* const a : {"", "dance", "run", "run a.yaml --seed twelve", "run a.yaml --seed -1", "run a.yaml --format xml", "run a.yaml --until soon", "check", "explain", "trace", "trace cat", "trace convert x", "diff a",
                              "completions tcsh", "run --no-such-option x", "run a.yaml --color pink"}) {
    CAPTURE(a);
    const Output o = dcsim(a);
    CHECK(o.status == 2);
    CHECK(o.out.empty());
    CHECK(!o.err.empty());
  }
}

TEST_CASE("cli: a file that is not there is exit 2 and named") {
  for (const char* const c : {"run", "check", "verify", "reach"}) {
    const Output o = dcsim(std::string(c) + " /no/such/file.yaml");
    CAPTURE(c);
    CHECK(o.status == 2);
    CHECK(o.complained("/no/such/file.yaml"));
  }
}

TEST_CASE("cli: a bad file: text on stderr, json and github on stdout, nothing run") {
  const Folder f;
  const std::string bad = f.write("bad.yaml", kBad);
  for (const char* const c : {"run ", "check "}) {
    CAPTURE(c);
    const Output text = dcsim(c + bad);
    CHECK(text.status == 2);
    CHECK(text.complained("error[E0102]: unknown key `latancy` in link"));
    CHECK(text.complained("bad.yaml:6:26"));
    CHECK(text.complained("did you mean `latency`?"));
    CHECK(text.out.empty());
    CHECK(!text.complained("\x1b["));
    const Output as_json = dcsim(c + bad + " --format json");
    CHECK(as_json.status == 2);
    const json j = json::parse(as_json.out);
    REQUIRE(j.is_array());
    REQUIRE(j.size() >= 2);
    for (const char* const key : {"code", "severity", "message", "file", "line", "column", "endColumn", "help"}) CHECK(j[0].contains(key));
    const Output github = dcsim(c + bad + " --format github");
    CHECK(github.status == 2);
    CHECK(github.out.starts_with("::error file="));
  }
}

TEST_CASE("cli: check of several files tells of each") {
  const Folder f;
  const std::string good = f.write("good.yaml", kStory), bad = f.write("bad.yaml", kBad), empty = f.write("empty.yaml", "");
  const Output o = dcsim("check " + good + " " + bad + " " + empty);
  CHECK(o.status == 2);
  CHECK(o.said("good.yaml: ok (1 scenario, 1 topology, 4 agents)"));
  CHECK(o.complained("bad.yaml:"));
  CHECK(o.complained("empty.yaml"));
  CHECK(dcsim("check " + good).status == 0);
  CHECK(json::parse(dcsim("check --format json " + good).out).empty());
  CHECK(json::parse(dcsim("check --format json " + bad + " " + bad).out).size() >= 4);
}

TEST_CASE("cli: run: 0 if all holds, 1 if not, and the line that reproduces it does") {
  const Folder f;
  const std::string file = f.write("story.yaml", kStory);
  const Output holds = dcsim("run --set clients=2 " + file);
  CHECK(holds.status == 0);
  CHECK(holds.said("all 3 expectations hold"));
  CHECK(holds.err.empty());
  const Output fails = dcsim("run --seed 3 --set clients=4 " + file);
  CHECK(fails.status == 1);
  CHECK(fails.said("FAIL  few fail"));
  const auto at = fails.out.rfind("reproduce: dcsim ");
  REQUIRE(at != std::string::npos);
  const std::string line = fails.out.substr(at + 17, fails.out.find('\n', at) - at - 17);
  const Output again = dcsim(line);
  CHECK(again.out == fails.out);
  // The failure's own line stops behind the event that decided it.
  const auto first = fails.out.find("reproduce: dcsim ");
  const std::string own = fails.out.substr(first + 17, fails.out.find('\n', first) - first - 17);
  REQUIRE(own.find("--until") != std::string::npos);
  const Output cut = dcsim(own);
  CHECK(cut.status == 1);
  const auto failure = fails.out.find("FAIL  few fail");
  const std::string told = fails.out.substr(failure, fails.out.find("reproduce:", failure) - failure);
  CHECK(cut.said(told));
}

TEST_CASE("cli: seed and until") {
  const Folder f;
  const std::string file = f.write("story.yaml", kStory);
  const auto digest = [&](const std::string& options) { return json::parse(dcsim("run --format json " + options + " " + file).out)["digest"].get<std::string>(); };
  CHECK(digest("") == digest("--seed 1"));
  CHECK(digest("") != digest("--seed 2"));
  CHECK(digest("--until 10s") != digest(""));
  const json cut = json::parse(dcsim("run --format json --until 10s " + file).out);
  CHECK(cut["simulated_ns"] == 10'000'000'000);
  CHECK(cut["reproduce"].get<std::string>().ends_with("--until 10s"));
  CHECK(dcsim("run --set nobody=3 " + file).status == 2);
  CHECK(dcsim("run --set nonsense " + file).status == 2);
}

TEST_CASE("cli: -o writes the files that are promised; a summary on stdout, where they are on stderr") {
  const Folder f;
  const std::string file = f.write("story.yaml", std::string(kStory) + "record: { packets: { drops: true } }\n");
  const Output o = dcsim("run --set clients=2 " + file + " -o " + (f / "out"));
  CHECK(o.status == 0);
  CHECK(o.complained("wrote "));
  for (const char* const name : {"summary.json", "trace.jsonl", "transcript.txt", "metrics.csv", "capture.pcapng"}) {
    CAPTURE(name);
    CHECK(std::filesystem::file_size(f / (std::string("out/") + name)) > 0);
    CHECK(o.complained(name));
  }
  const json summary = json::parse(slurp(f / "out/summary.json"));
  CHECK(summary["status"] == "done");
  CHECK(summary["params"]["clients"] == "2");
  CHECK(o.said(summary["digest"].get<std::string>()));
  CHECK(slurp(f / "out/transcript.txt").starts_with("[50s] s.dc1 $ consul members\nNode"));
  CHECK(slurp(f / "out/metrics.csv").starts_with("metric,labels,value,unit\n"));
  const Output unwritable = dcsim("run " + file + " -o /dev/null/x");
  CHECK(unwritable.status == 2);
  CHECK(unwritable.complained("/dev/null/x"));
  CHECK(unwritable.out.empty());
}

TEST_CASE("cli: explain names the rule, the verdict and what the sender sees") {
  const std::string file = kScenarios + "lan-pool-firewalled.yaml";
  const Output dropped = dcsim("explain " + file + " --flow alpha-1.dc1 beta-1.dc1:8301/udp");
  CHECK(dropped.status == 0);
  CHECK(dropped.said("core-fw"));
  CHECK(dropped.said("drop by rule tenants-apart"));
  CHECK(dropped.said("does not arrive"));
  const Output accepted = dcsim("explain " + file + " --flow alpha-1.dc1 server-1.dc1:8301/tcp");
  CHECK(accepted.status == 0);
  CHECK(accepted.said("accept by rule to-core"));
  CHECK(accepted.said("arrives"));
  for (const char* const flow : {"nobody.dc1 beta-1.dc1:8301/udp", "alpha-1.dc1 beta-1.dc1:99999/udp", "alpha-1.dc1 beta-1.dc1"}) {
    CAPTURE(flow);
    const Output o = dcsim("explain " + file + " --flow " + flow);
    CHECK(o.status == 2);
    CHECK(o.complained("error"));
  }
}

TEST_CASE("cli: reach, and what differs between two files") {
  const std::string firewalled = kScenarios + "lan-pool-firewalled.yaml", segments = kScenarios + "lan-pool-segments.yaml";
  const Output o = dcsim("reach " + firewalled);
  CHECK(o.status == 0);
  CHECK(o.said("8301/udp"));
  CHECK(dcsim("reach --agents " + firewalled).said("alpha-1.dc1"));
  CHECK(dcsim("reach " + firewalled + " --diff " + firewalled).status == 0);
  CHECK(o.said("not in force then: core-fw"));
  const Output enabled = dcsim("reach --enable-all " + firewalled);
  CHECK(enabled.out != o.out);
  CHECK(!enabled.said("not in force"));
  CHECK(dcsim("reach --as-is " + firewalled).out == o.out);
  const Folder f;
  std::string open = slurp(DCSIM_SOURCE_DIR "/topologies/two-tenants.yaml");
  const auto rule = open.find("name: tenants-apart");
  REQUIRE(rule != std::string::npos);
  open.replace(open.find("action: drop", rule), 12, "action: accept");
  const Output diff = dcsim("reach --enable-all " + f.write("open.yaml", open) + " --diff " + DCSIM_SOURCE_DIR "/topologies/two-tenants.yaml");
  CHECK(diff.status == 1);
  CHECK(diff.said("alpha"));
  CHECK(diff.said("beta"));
}

TEST_CASE("cli: trace cat, grep, why, convert and diff read what run wrote") {
  const Folder f;
  const std::string file = f.write("story.yaml", std::string(kStory) + "record: { packets: { drops: true } }\n");
  REQUIRE(dcsim("run --set clients=2 " + file + " -o " + (f / "a")).status == 0);
  REQUIRE(dcsim("run --set clients=2 " + file + " -o " + (f / "same")).status == 0);
  REQUIRE(dcsim("run --seed 2 --set clients=2 " + file + " -o " + (f / "b")).status == 0);
  const std::string a = f / "a";
  CHECK(dcsim("trace cat " + a + " --limit 3").out.find("run-start") != std::string::npos);
  const Output grep = dcsim("trace grep " + a + " ev=member-failed --format json");
  CHECK(grep.status == 0);
  const json failed = json::parse(grep.out.substr(0, grep.out.find('\n')));
  CHECK(failed["member"] == "c-1.dc1");
  CHECK(dcsim("trace grep " + a + " ev=member-failed node=nobody").status == 1);
  CHECK(dcsim("trace grep " + a + " ev=no-such-event").status == 2);
  const Output why = dcsim("trace why " + a + " member-failed member=c-1.dc1");
  CHECK(why.status == 0);
  CHECK(why.said("suspect"));
  CHECK(why.said("To blame: "));
  CHECK(dcsim("trace why " + a + " 99999999").status == 1);  // as grep(1): nothing found
  CHECK(dcsim("trace cat " + (f / "nothing")).status == 2);
  for (const char* const to : {"jsonl", "csv", "perfetto", "pcapng", "text"}) {
    CAPTURE(to);
    const std::string target = f / (std::string("converted.") + to);
    CHECK(dcsim("trace convert " + a + " --to " + to + " -o " + target).status == 0);
    CHECK(std::filesystem::file_size(target) > 0);
  }
  CHECK(slurp(f / "converted.jsonl") == slurp(f / "a/trace.jsonl"));
  CHECK(json::parse(slurp(f / "converted.perfetto")).is_structured());
  CHECK(slurp(f / "converted.pcapng") == slurp(f / "a/capture.pcapng"));
  CHECK(dcsim("trace convert " + a + " --to word").status == 2);
  CHECK(dcsim("diff " + a + " " + (f / "same")).status == 0);
  const Output diff = dcsim("diff " + a + " " + (f / "b"));
  CHECK(diff.status == 1);
  CHECK(!diff.out.empty());
}

TEST_CASE("cli: verify holds") {
  const Folder f;
  const Output o = dcsim("verify --set clients=2 " + f.write("story.yaml", kStory));
  CHECK(o.status == 0);
  CHECK(o.said("one digest"));
}

TEST_CASE("cli: a file of several scenarios runs the one that --scenario names") {
  const Folder f;
  std::string two = kStory;
  two += "---\nversion: 1\nkind: scenario\nname: longer\nextends: small\nduration: 70s\n";
  const std::string file = f.write("two.yaml", two);
  CHECK(dcsim("check " + file).status == 0);
  for (const char* const c : {"run", "run --scenario smal"}) {
    CAPTURE(c);
    const Output o = dcsim(std::string(c) + " " + file);
    CHECK(o.status == 2);
    CHECK(o.complained("scenarios: longer, small"));
    CHECK(o.out.empty());
  }
  CHECK(dcsim("run --scenario smal " + file).complained("did you mean `small`?"));
  const json longer = json::parse(dcsim("run --format json --scenario longer --set clients=2 " + file).out);
  CHECK(longer["scenario"] == "longer");
  CHECK(longer["simulated_ns"] == 70'000'000'000);
  CHECK(longer["reproduce"].get<std::string>().find(" --scenario longer") != std::string::npos);
  const Output verified = dcsim("verify --scenario small --set clients=2 " + file);
  CHECK(verified.status == 0);
  CHECK(verified.said("small  seed 1"));
  CHECK(!verified.said("longer"));
  CHECK(dcsim("verify --scenario smaller " + file).status == 2);
  CHECK(dcsim("check --scenario nonsuch " + file).status == 2);
  CHECK(dcsim("check --scenario longer " + file).status == 0);
  CHECK(dcsim("explain --scenario longer " + file + " --flow c-1.dc1 s.dc1:8301/udp").status == 0);
  CHECK(dcsim("explain --scenario nonsuch " + file + " --flow c-1.dc1 s.dc1:8301/udp").status == 2);
}

TEST_CASE("cli: a choice that is none is told in words, not in numbers") {
  const Output xml = dcsim("run a.yaml --format xml");
  CHECK(xml.complained("--format: must be text, json or github, not `xml`"));
  CHECK(!xml.complained("->"));
  CHECK(dcsim("run a.yaml --color pink").complained("--color: must be auto, always or never, not `pink`"));
  CHECK(dcsim("trace cat x --format xml").complained("must be text or json, not `xml`"));
  const Folder f;
  const std::string file = f.write("story.yaml", kStory);
  const Output until = dcsim("run --until 5 " + file);
  CHECK(until.status == 2);
  CHECK(until.complained("--until: `5` has no unit; did you mean `5s`?"));
}

TEST_CASE("cli: trace grep's own example works") {
  const Folder f;
  REQUIRE(dcsim("run --set clients=2 " + f.write("story.yaml", kStory) + " -o " + (f / "a")).status == 0);
  const std::string help = dcsim("trace --help").out;
  CHECK(help.find("since=3m until=5m") != std::string::npos);
  const Output late = dcsim("trace grep " + (f / "a") + " ev=member-failed since=20s until=60s --format json");
  CHECK(late.status == 0);
  CHECK(dcsim("trace grep " + (f / "a") + " ev=member-failed since=0s until=10s").status == 1);
}

TEST_CASE("cli: a bad regular expression, an unmodelled command and a broken topology are told in one pass") {
  const Folder f;
  std::string text = kStory;
  text.replace(text.find("10.0.0.0/24"), 11, "10.0.0.0/42");
  text.replace(text.find("consul members, agent: s.dc1, expect: { exit: 0 }"), 49, "consul monitor, agent: s.dc1, expect: { stdout: '/(?=a)/' }");
  const Output o = dcsim("check " + f.write("story.yaml", text));
  CHECK(o.status == 2);
  CHECK(o.complained("`10.0.0.0/42` is not a network"));
  CHECK(o.complained("look-ahead is not supported"));
  CHECK(o.complained("warning[W0403]"));
  CHECK(o.complained("modelled: consul "));
  CHECK(!o.complained("E0302"));
  CHECK(dcsim("run --help").said("members"));
}

TEST_CASE("cli: reference: series, schema, completions") {
  CHECK(dcsim("series").said("consul.serf.member.flap"));
  CHECK(dcsim("series").said("times a server became candidate (not fed by this version)"));
  const json schema = json::parse(dcsim("schema").out);
  CHECK(schema["$schema"].get<std::string>().find("draft-07") != std::string::npos);
  CHECK(dcsim("schema --markdown").said("| `duration`"));
  for (const char* const shell_name : {"bash", "zsh", "fish"}) CHECK(dcsim(std::string("completions ") + shell_name).said("dcsim"));
  CHECK(shell(kBinary + " completions bash | bash -n").status == 0);
}

TEST_CASE("cli: colour only where a terminal reads it, and only unless NO_COLOR says no") {
  const Folder f;
  const std::string file = f.write("story.yaml", kStory), bad = f.write("bad.yaml", kBad);
  CHECK(!dcsim("run " + file).said("\x1b["));
  CHECK(dcsim("run --color always " + file).said("\x1b["));
  CHECK(dcsim("check --color always " + bad).complained("\x1b["));
  if (std::system("command -v script >/dev/null 2>&1") != 0) return;
  const auto on_terminal = [&](const std::string& environment, const std::string& option) {
    return shell("script -qec '" + environment + " " + kBinary + " run " + option + " " + file + "' /dev/null").said("\x1b[");
  };
  CHECK(on_terminal("env -u NO_COLOR TERM=xterm", ""));
  CHECK(!on_terminal("NO_COLOR=1 TERM=xterm", ""));
  CHECK(!on_terminal("TERM=xterm", "--color never"));
}

TEST_CASE("cli: a misspelt command is guessed, on the line and in a file") {
  const Output o = dcsim("rnu x.yaml");
  CHECK(o.status == 2);
  CHECK(o.complained("dcsim has no command `rnu`: did you mean `run`?"));
  CHECK(dcsim("foo").complained("dcsim has no command `foo`"));
  const Folder folder;
  std::string text = kStory;
  text.replace(text.find("consul members"), 14, "consul memebrs");
  CHECK(dcsim("check " + folder.write("m.yaml", text)).complained("did you mean `members`?"));
}

TEST_CASE("cli: commands and events are checked beside whatever else is wrong, all in one pass") {
  const Folder folder;
  std::string text = kStory;
  text.replace(text.find("run: consul members"), 19, "run: \"consul join 'x\"");
  text.replace(text.find("at: 20s"), 7, "at: 20");
  text += "record: { events: [member-faild] }\n";
  const Output o = dcsim("check " + folder.write("m.yaml", text));
  CHECK(o.status == 2);
  for (const std::string code : {"E0402", "E0106", "E0403"}) {
    CAPTURE(code);
    CHECK(o.complained(code));
  }
}
