#include "consul/command.h"

#include <doctest/doctest.h>

#include "base/rng.h"
#include "consul/members.h"

using namespace dcsim;
using namespace dcsim::consul;
using Words = std::vector<std::string>;

namespace {

Words split(std::string_view line) {
  const auto words = split_command(line);
  return words ? *words : Words{"error: " + words.error().text};
}

}  // namespace

TEST_CASE("a command line is split as a shell would, without expansion") {
  CHECK(split("consul  members\t-segment=alpha\n") == Words{"consul", "members", "-segment=alpha"});
  CHECK(split("") == Words{});
  CHECK(split("  ") == Words{});
  CHECK(split("a 'b  c' \"d 'e'\" ''") == Words{"a", "b  c", "d 'e'", ""});
  CHECK(split("-status='al.*' x\\ y") == Words{"-status=al.*", "x y"});
  CHECK(split("\"a\\\"b\\\\c\\d\"") == Words{"a\"b\\c\\d"});
  CHECK(split("'a\\b'") == Words{"a\\b"});
  CHECK(split("$HOME *") == Words{"$HOME", "*"});
  CHECK(split("a 'b") == Words{"error: unterminated ' in the command line"});
  CHECK(split("a \"b") == Words{"error: unterminated \" in the command line"});
  CHECK(split(std::string(70'000, 'x')) == Words{"error: command line too long"});
  std::string many;
  for (int i = 0; i < 2000; ++i) many += "x ";
  CHECK(split(many) == Words{"error: too many words in the command line"});
}

// Go's flag package: parseOne, strconv.ParseBool.

TEST_CASE("flags: values after a blank or an equals sign, one dash or two, and the first word that is none ends them") {
  std::string segment = "_all";
  bool detailed = false, wan = false;
  const auto parse = [&](const Words& words) {
    segment = "_all";
    detailed = wan = false;
    Flags flags;
    flags.text("segment", &segment);
    flags.boolean("detailed", &detailed);
    flags.boolean("wan", &wan);
    const auto rest = flags.parse(words, 2);
    return rest ? *rest : Words{"error: " + rest.error().text};
  };
  CHECK(parse({"consul", "members", "-segment", "alpha", "--detailed", "x", "-wan"}) == Words{"x", "-wan"});
  CHECK(segment == "alpha");
  CHECK(detailed);
  CHECK_FALSE(wan);
  CHECK(parse({"c", "m", "--segment=a=b"}) == Words{});
  CHECK(segment == "a=b");
  CHECK(parse({"c", "m", "-segment="}) == Words{});
  CHECK(segment == "");
  CHECK(parse({"c", "m", "-segment", "-wan"}) == Words{});
  CHECK(segment == "-wan");
  for (const char* no : {"-detailed=false", "-detailed=0", "-detailed=F"}) {
    CHECK(parse({"c", "m", no}) == Words{});
    CHECK_FALSE(detailed);
  }
  for (const char* yes : {"-detailed", "-detailed=true", "-detailed=t", "-detailed=1"}) {
    CHECK(parse({"c", "m", yes}) == Words{});
    CHECK(detailed);
  }
  CHECK(parse({"c", "m", "-detailed", "false"}) == Words{"false"});  // a boolean takes no word of its own
  CHECK(parse({"c", "m", "--", "-wan"}) == Words{"-wan"});
  CHECK(parse({"c", "m", "-", "-wan"}) == Words{"-", "-wan"});
  CHECK(parse({"c", "m", "-x"}) == Words{"error: flag provided but not defined: -x"});
  CHECK(parse({"c", "m", "-segment"}) == Words{"error: flag needs an argument: -segment"});
  CHECK(parse({"c", "m", "-wan=maybe"}) == Words{"error: invalid boolean value \"maybe\" for -wan: parse error"});
  CHECK(parse({"c", "m", "---wan"}) == Words{"error: bad flag syntax: ---wan"});
  CHECK(parse({"c", "m", "-=x"}) == Words{"error: bad flag syntax: -=x"});
}

TEST_CASE("columns are as wide as their widest cell, in characters") {
  CHECK(columnize({{"Node", "Status"}, {"server-1", "alive"}, {"\u00fc", "left"}}) ==
        "Node      Status\n"
        "server-1  alive\n"
        "\u00fc         left\n");
  CHECK(columnize({}) == "");
  CHECK(columnize({{"a"}, {"b", "c"}}) == "a\nb  c\n");
}

// command/members/members.go.

namespace {

MemberRow row(std::string name, const char* ip, std::uint16_t port, const char* status, const char* role, const char* segment, const char* build = "1.21.4:59b8b905") {
  return {std::move(name), {*Address::parse(ip), port}, status, {1, 5, 2, 2, 5, 4},
          {{"role", role}, {"dc", "dc1"}, {"segment", segment}, {"vsn", "2"}, {"build", build}}};
}

const std::vector<MemberRow> kRows = {
    row("a-1", "10.0.2.1", 8303, "alive", "node", "alpha"),        row("web", "10.0.1.9", 8301, "failed", "node", ""),
    row("s2", "10.0.0.2", 8301, "alive", "consul", ""),            row("b-1", "10.0.3.1", 8304, "left", "node", "beta", ""),
    row("s1", "10.0.0.1", 8301, "alive", "consul", ""),            row("app", "10.0.1.8", 8301, "alive", "node", "", "1.21.4"),
    row("thing", "10.0.1.7", 8301, "alive", "database", ""),
};

}  // namespace

TEST_CASE("consul members: servers first, then by segment and name; <all>, <default>, the build without its revision") {
  const CommandResult r = print_members(kRows, {});
  CHECK(r.exit == 0);
  CHECK(r.err == "");
  CHECK(r.out ==
        "Node   Address        Status  Type     Build   Protocol  DC   Partition  Segment\n"
        "s1     10.0.0.1:8301  alive   server   1.21.4  2         dc1  default    <all>\n"
        "s2     10.0.0.2:8301  alive   server   1.21.4  2         dc1  default    <all>\n"
        "app    10.0.1.8:8301  alive   client   1.21.4  2         dc1  default    <default>\n"
        "thing  10.0.1.7:8301  alive   unknown\n"
        "web    10.0.1.9:8301  failed  client   1.21.4  2         dc1  default    <default>\n"
        "a-1    10.0.2.1:8303  alive   client   1.21.4  2         dc1  default    alpha\n"
        "b-1    10.0.3.1:8304  left    client   < 0.3   2         dc1  default    beta\n");
}

TEST_CASE("consul members sorts by the segment as it prints it: a digit comes before <default>") {
  const CommandResult r = print_members({row("a", "10.0.0.1", 1, "alive", "node", ""), row("b", "10.0.0.2", 1, "alive", "node", "1st")}, {});
  CHECK(r.out.find("\nb ") < r.out.find("\na "));
}

TEST_CASE("consul members -segment names the servers' segment") {
  MembersQuery query;
  query.segment = "alpha";
  const CommandResult r = print_members({row("a-1", "10.0.2.1", 8303, "alive", "node", "alpha"), row("s1", "10.0.0.1", 8303, "alive", "consul", "alpha")}, query);
  CHECK(r.out ==
        "Node  Address        Status  Type    Build   Protocol  DC   Partition  Segment\n"
        "s1    10.0.0.1:8303  alive   server  1.21.4  2         dc1  default    alpha\n"
        "a-1   10.0.2.1:8303  alive   client  1.21.4  2         dc1  default    alpha\n");
  query.segment = "";
  CHECK(print_members({row("s1", "10.0.0.1", 8301, "alive", "consul", "")}, query).out.find("<default>") != std::string::npos);
}

TEST_CASE("consul members -detailed prints every tag in order of its key") {
  MembersQuery query;
  query.detailed = true;
  const CommandResult r = print_members({row("s1", "10.0.0.1", 8301, "alive", "consul", ""), row("c1", "10.0.0.9", 8301, "left", "node", "")}, query);
  CHECK(r.out ==
        "Node  Address        Status  Tags\n"
        "s1    10.0.0.1:8301  alive   ap=default,build=1.21.4:59b8b905,dc=dc1,role=consul,segment=<all>,vsn=2\n"
        "c1    10.0.0.9:8301  left    ap=default,build=1.21.4:59b8b905,dc=dc1,role=node,segment=<default>,vsn=2\n");
}

TEST_CASE("consul members -status is an expression that may match anywhere; nobody matching is exit 2, a bad one exit 1") {
  MembersQuery query;
  query.status = "ai|ft$";
  const CommandResult r = print_members(kRows, query);
  CHECK(r.exit == 0);
  CHECK(r.out.find("web") != std::string::npos);
  CHECK(r.out.find("b-1") != std::string::npos);
  CHECK(r.out.find("s1") == std::string::npos);
  query.status = "leaving";
  const CommandResult none = print_members(kRows, query);
  CHECK(none.exit == 2);
  CHECK(none.out == "");
  CHECK(none.err == "");
  query.status = "(";
  const CommandResult bad = print_members(kRows, query);
  CHECK(bad.exit == 1);
  CHECK(bad.err == "Failed to compile status regexp: error parsing regexp: missing closing ): `(`\n");
  query.status = std::string(100'000, '(');
  CHECK(print_members(kRows, query).exit == 1);
  query.status = "(a*)*b";
  std::vector<MemberRow> odd = {row("x", "10.0.0.1", 1, "alive", "node", "")};
  odd.front().status = std::string(5000, 'a');
  CHECK(print_members(odd, query).exit == 2);  // and soon
}

// serf cmd/serf/command/members.go, agent/ipc.go filterMembers.

TEST_CASE("serf members: rows without a header, filtered by whole-value expressions") {
  const gossip::Versions vsn{1, 5, 2, 2, 5, 5};
  const std::vector<MemberRow> rows = {{"db-1", {*Address::parse("10.0.0.1"), 7946}, "alive", vsn, {{"role", "db"}, {"rack", "4"}}},
                                       {"web-1", {*Address::parse("10.0.0.22"), 7946}, "failed", vsn, {}}};
  const auto shown = [&](const SerfMembersQuery& query) { return print_serf_members(rows, query); };
  CHECK(shown({}).out ==
        "db-1   10.0.0.1:7946   alive   rack=4,role=db\n"
        "web-1  10.0.0.22:7946  failed\n");
  CHECK(shown({"", "db.*", {}, true, false}).out ==
        "db-1  10.0.0.1:7946  alive  rack=4,role=db  Protocol Version: 5  Available Protocol Range: [2, 5]\n");
  CHECK(shown({"fail", "", {}, false, false}).out == "\n");
  CHECK(shown({"failed", "", {}, false, false}).out == "web-1  10.0.0.22:7946  failed\n");
  CHECK(shown({"", "", {{"role", "d."}}, false, false}).out == "db-1  10.0.0.1:7946  alive  rack=4,role=db\n");
  CHECK(shown({"", "", {{"role", "d."}, {"rack", "5"}}, false, false}).out == "\n");
  for (const SerfMembersQuery& query : {SerfMembersQuery{"(", "", {}, false, false}, {"", "(", {}, false, false}, {"", "", {{"role", "("}}, false, false}}) {
    CHECK(shown(query).exit == 1);
    CHECK(shown(query).err == "Error retrieving members: Failed to compile regex: error parsing regexp: missing closing ): `^($`\n");
  }
}

TEST_CASE("serf members -format json: as encoding/json indents it") {
  const std::vector<MemberRow> rows = {{"db-1", {*Address::parse("10.0.0.1"), 7946}, "alive", {1, 5, 2, 2, 5, 5}, {{"a<b", "\"x\""}, {"z", "1"}}},
                                       {"web-1", {*Address::parse("10.0.0.22"), 7999}, "left", {1, 5, 2, 2, 5, 4}, {}}};
  CHECK(print_serf_members(rows, {"", "", {}, false, true}).out ==
        "{\n  \"members\": [\n    {\n      \"name\": \"db-1\",\n      \"addr\": \"10.0.0.1:7946\",\n      \"port\": 7946,\n"
        "      \"tags\": {\n        \"a\\u003cb\": \"\\\"x\\\"\",\n        \"z\": \"1\"\n      },\n      \"status\": \"alive\",\n"
        "      \"protocol\": {\n        \"max\": 5,\n        \"min\": 2,\n        \"version\": 5\n      }\n    },\n"
        "    {\n      \"name\": \"web-1\",\n      \"addr\": \"10.0.0.22:7999\",\n      \"port\": 7999,\n      \"tags\": {},\n"
        "      \"status\": \"left\",\n      \"protocol\": {\n        \"max\": 5,\n        \"min\": 2,\n        \"version\": 4\n      }\n    }\n  ]\n}\n");
  CHECK(print_serf_members(rows, {"none", "", {}, false, true}).out == "{\n  \"members\": null\n}\n");
}

TEST_CASE("any bytes are a command line, words or an error") {
  Rng rng(3, "lines", "test");
  for (int i = 0; i < 20'000; ++i) {
    std::string line;
    for (std::uint64_t n = rng.below(40); n > 0; --n) line += rng.below(2) ? "'\"\\ -=a\t"[rng.below(8)] : static_cast<char>(rng.below(256));
    const auto words = split_command(line);
    if (!words) continue;
    bool flag = false;
    std::string text;
    Flags flags;
    flags.boolean("a", &flag);
    flags.text("", &text);
    const auto rest = flags.parse(*words, 0);
    if (rest) CHECK(rest->size() <= words->size());
  }
}
