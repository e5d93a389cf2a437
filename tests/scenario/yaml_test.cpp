// What yaml-cpp 0.7 gets wrong, and what nobody should be able to do to a reader.
#include <sys/stat.h>

#include "scenario/load.h"
#include "scenario/yaml_tree.h"

using namespace dcsim;
using namespace dcsim::scenario;

TEST_CASE("yaml: duplicate keys are errors at the second, naming the first") {
  const auto r = load(topology("services:\n  web: [80/tcp]\n  web: [81/tcp]\n"));
  const Diagnostic d = first(r, "E0103");
  CHECK(d.at.line == 8);
  CHECK(d.at.column == 3);
  CHECK(d.label == "first given at line 7");
}

TEST_CASE("yaml: `no`, `on`, `yes` are not booleans, but fine as texts") {
  for (const char* word : {"no", "yes", "on", "off", "True", "\"true\"", "1"}) {
    CAPTURE(word);
    CHECK_FALSE(
        load(topology(std::string("firewalls: [{ name: f, default: drop, stateful: ") + word + ", rules: [] }]\n"))
            .ok());
  }
  const auto r = load(topology(
      "firewalls: [{ name: no, default: drop, stateful: true, rules: [{ name: on, action: drop, comment: yes }] }]\n"));
  REQUIRE_MESSAGE(r.ok(), shown(r));
  CHECK(r.topologies[0]->firewalls[0].name == "no");
  CHECK(r.topologies[0]->firewalls[0].rules[0].comment == "yes");
}

TEST_CASE("yaml: 010 is not 8") {
  for (const char* number : {"010", "0x8", "0o10", "1_0", "8.0", "1e1", "\"8\""}) {
    CAPTURE(number);
    const auto r =
        load(topology({}, std::string("[{ name: \"a-{n}\", zone: core, config: {}, count: ") + number + " }]"));
    CHECK_FALSE(r.ok());
  }
  CHECK(first(load(topology({}, "[{ name: \"a-{n}\", zone: core, config: {}, count: 010 }]")), "E0106").label ==
        "did you mean `10`?");
}

TEST_CASE("yaml: merge keys, first source wins, own keys win over all") {
  const auto r = load(
      "version: 1\nkind: topology\nname: t\n"
      "x-a: &a { latency: 1ms, loss: 1%, mtu: 9000 }\n"
      "x-b: &b { latency: 2ms, jitter: 3us }\n"
      "zones: { core: { cidr: 10.0.0.0/24 }, alpha: { cidr: 10.0.1.0/24 } }\n"
      "links:\n  - { <<: [*a, *b], endpoints: [core, alpha], loss: 2% }\n"
      "datacenters: { dc1: { agents: [{ name: a, zone: core, config: {} }] } }\n");
  REQUIRE_MESSAGE(r.ok(), shown(r));
  const LinkAttributes& link = r.topologies[0]->links[0].attributes;
  CHECK(link.latency == 1_ms);
  CHECK(link.jitter == 3_us);
  CHECK(link.loss == 20'000'000u);
  CHECK(link.mtu == 9000u);
  CHECK_FALSE(load(topology("links: [{ <<: 5, endpoints: [core, alpha] }]\n")).ok());
}

TEST_CASE("yaml: a mistake inside an anchor is reported once, a wrong alias where it is used") {
  const auto inside = load(
      "version: 1\nkind: topology\nname: t\nx-c: &c { servr: true }\nzones: { core: { cidr: 10.0.0.0/24 } }\n"
      "datacenters: { dc1: { agents: [{ name: a, zone: core, config: *c }, { name: b, zone: core, config: *c }] } }\n");
  CHECK(count(inside, "E0102") == 1);
  CHECK(first(inside, "E0102").at.line == 4);
  const auto use = load(
      "version: 1\nkind: topology\nname: t\nx-c: &c [1]\nzones: { core: { cidr: 10.0.0.0/24 } }\n"
      "datacenters: { dc1: { agents: [{ name: a, zone: core, config: *c }] } }\n");
  CHECK(first(use, "E0105").at.line == 6);
  CHECK(first(use, "E0105").at.column == 63);
  CHECK(first(use, "E0105").at.end_column == 65);
}

TEST_CASE("yaml: marks point at values behind anchors and tags, in characters") {
  const auto r = load(topology("services: { \xC3\xA4\xC3\xB6: &x [80] }\n"));
  CHECK(first(r, "E0106").at.column == 21);
  CHECK(load(topology("description: !!str 5\n")).ok());
  CHECK(first(load(topology("description: !secret x\n")), "E0115").message == "unknown tag `!secret`");
}

TEST_CASE("yaml: a syntax error in one document does not hide those of the others") {
  const auto r = load("version: 1\nkind: topology\nname: [\n---\n" + topology("link: []\n"));
  CHECK(count(r, "E0100") == 1);
  CHECK(first(r, "E0102").at.line == 10);
}

TEST_CASE("yaml: tabs, NUL bytes, UTF-16, broken UTF-8 and control bytes are named") {
  CHECK(first(load("version: 1\nzones:\n\tcore: 1\n"), "E0100").message == "a tab indents this line");
  CHECK(first(load("version: 1\nzones:\n\tcore: 1\n"), "E0100").at.line == 3);
  CHECK(first(load(std::string_view("version: 1\nname: a\0b\n", 21)), "E0100").message == "byte 0x00 is not text");
  CHECK(first(load(std::string_view("\xFF\xFEv\0", 4)), "E0100").message == "this file is UTF-16");
  CHECK(first(load("name: \xC3\x28\n"), "E0100").message == "byte 0xc3 is not valid UTF-8");
  CHECK(first(load("name: \xED\xA0\x80\n"), "E0100").at.column == 7);
  CHECK(first(load("name: a\x04\n"), "E0100").message == "byte 0x04 is not text");
  CHECK(load("\xEF\xBB\xBF" + topology()).ok());
  CHECK(load("%YAML 1.2\n---\n" + topology()).ok());
}

TEST_CASE("yaml: deep nesting is refused, in flow and in block style") {
  const std::string flow = load_text(std::string(100'000, '['), "t.yaml").diagnostics.at(0).code;
  CHECK(flow == "E0110");
  std::string lines;
  for (int i = 0; i < 100'000; ++i) lines += "[\n";
  CHECK(first(load(lines), "E0110").message == "nested deeper than 64 levels");
  std::string dashes;
  for (int i = 0; i < 100'000; ++i) dashes += "- ";
  CHECK(count(load(dashes), "E0110") == 1);
  std::string indented;
  for (int i = 0; i < 2'000; ++i) indented += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  CHECK(count(load(indented), "E0110") == 1);
  std::string questions;
  for (int i = 0; i < 100'000; ++i) questions += "? ";
  CHECK_FALSE(load(questions).ok());
}

TEST_CASE("yaml: alias bombs and chains are refused before anyone follows them") {
  std::string bomb = "version: 1\nkind: topology\nx-0: &x0 [a, a, a, a, a, a, a, a, a, a]\n";
  for (int i = 1; i < 12; ++i) {
    bomb += "x-" + std::to_string(i) + ": &x" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) bomb += (k ? ", *x" : "*x") + std::to_string(i - 1);
    bomb += "]\n";
  }
  CHECK(first(load(bomb), "E0110").message == "aliases expand to more than 250000 values");
  std::string chain = "x-0: &x0 [a]\n";
  for (int i = 1; i < 1'000; ++i)
    chain += "x-" + std::to_string(i) + ": &x" + std::to_string(i) + " [*x" + std::to_string(i - 1) + "]\n";
  CHECK(first(load(chain), "E0110").message == "nested deeper than 64 levels once its aliases are followed");
  CHECK(first(load("x-a: &a [*a]\n"), "E0109").message == "an alias stands inside the value it repeats");
  CHECK(first(load("x-a: *b\n"), "E0100").help ==
        "an anchor `&name` must come before its alias `*name`, in the same document");
}

TEST_CASE("yaml: parameters cannot bomb either") {
  std::string bomb = topology("params:\n  p0: [a, a, a, a, a, a, a, a, a, a]\n");
  for (int i = 1; i < 12; ++i) {
    bomb += "  p" + std::to_string(i) + ": [";
    for (int k = 0; k < 10; ++k) bomb += (k ? ", \"${p" : "\"${p") + std::to_string(i - 1) + "}\"";
    bomb += "]\n";
  }
  CHECK(count(load(bomb), "E0109") > 0);
  CHECK(count(load(topology("params: { a: [\"${b}\"], b: [\"${a}\"] }\n")), "E0109") == 2);
  CHECK_FALSE(load(topology("params: { a: \"${b}\", b: \"${a}\" }\ndescription: \"x ${a}\"\n")).ok());
  std::string text = topology("params:\n  t0: \"" + std::string(1000, 'x') + "\"\n");
  for (int i = 1; i < 30; ++i)
    text += "  t" + std::to_string(i) + ": \"${t" + std::to_string(i - 1) + "}${t" + std::to_string(i - 1) + "}\"\n";
  CHECK_FALSE(load(text + "description: \"${t29}\"\n").ok());
}

TEST_CASE("yaml: files that are too large, too long a line, too many values") {
  const Folder folder;
  const std::string huge = folder.write("huge.yaml", "version: 1\n");
  std::filesystem::resize_file(huge, 100u << 20);
  CHECK(first(load_file(huge), "E0110").message.find("104857600 bytes, more than the 16777216") != std::string::npos);
  CHECK(first(load(std::string(2u << 20, 'a')), "E0110").message == "line longer than 1048576 bytes");
  std::string many = "x-a:\n";
  for (int i = 0; i < 300'000; ++i) many += "- a\n";
  CHECK(first(load(many), "E0110").message == "more than 250000 values in one file");
}

TEST_CASE("yaml: a file full of mistakes stops at a thousand") {
  std::string text = topology("services:\n");
  for (int i = 0; i < 50'000; ++i) text += "  s" + std::to_string(i) + ": [x" + std::to_string(i) + "]\n";
  const auto r = load(text);
  CHECK(r.diagnostics.size() <= 1002);
  CHECK(r.diagnostics.back().message == "1000 mistakes are listed; the rest of the file was not checked");
}

TEST_CASE("yaml: what cannot be read says why") {
  const Folder folder;
  CHECK(first(load_file(folder / "none.yaml"), "E0101").message.find("No such file") != std::string::npos);
  CHECK(first(load_file(folder / "."), "E0101").message.find("it is a directory") != std::string::npos);
  CHECK(first(load_file("/dev/null"), "E0101").message.find("no regular file") != std::string::npos);
  const std::string fifo = folder / "fifo.yaml";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(first(load_file(fifo), "E0101").message.find("no regular file") != std::string::npos);
  CHECK(first(load_file(folder.write("empty.yaml", "")), "E0104").message == "this file holds no document");
  CHECK_FALSE(load_file(std::string("a\0b", 3)).ok());
}

TEST_CASE("yaml: the place of each byte of a scalar survives quotes, escapes and folding") {
  Diagnostics out;
  const std::string text =
      "- plain text\n"
      "- \"a\\tb \\u00e4 c\"\n"
      "- 'it''s'\n"
      "- >\n  folded\n  lines\n"
      "- two\n  lines\n";
  const YamlFile file = parse_yaml("t", std::make_shared<const std::string>(text), {}, out);
  REQUIRE(out.empty());
  const auto& items = file.documents.at(0)->children;
  const auto place = [&](std::size_t item, std::size_t at) {
    const SourceSpan s = spanned(*items[item]).span(at, at + 1);
    return std::pair(s.line, s.column);
  };
  CHECK(place(0, 6) == std::pair(1, 9));
  CHECK(place(1, 0) == std::pair(2, 4));
  CHECK(place(1, 2) == std::pair(2, 7));   // b, behind the escape
  CHECK(place(1, 7) == std::pair(2, 16));  // c, behind a two-byte character
  CHECK(place(2, 3) == std::pair(3, 8));
  CHECK(place(3, 0) == std::pair(5, 3));
  CHECK(place(3, 7) == std::pair(6, 3));
  CHECK(place(4, 4) == std::pair(8, 3));
}

TEST_CASE("yaml: many documents, services that pile up") {
  std::string documents;
  for (int i = 0; i < 20'000; ++i) documents += "---\na: b\n";
  CHECK(first(load(documents), "E0110").message == "more than 1000 documents in one file");
  std::string services = topology("services:\n  s0: [1/tcp]\n");
  for (int i = 1; i < 5'000; ++i)
    services += "  s" + std::to_string(i) + ": [" + std::to_string(i) + "/udp, s" + std::to_string(i - 1) + "]\n";
  CHECK(first(load(services), "E0110").message == "service `s1024` has more than 1024 port ranges");
}

TEST_CASE("yaml: a parameter that flow style tears apart is told from a missing brace") {
  CHECK(first(load("x-a: { b: ${c} }\n"), "E0100").help == "inside { } a parameter needs quotes: \"${name}\"");
  CHECK(first(load("x-a: { b: c\nd: e\n"), "E0100").help.find("a comma is missing") != std::string::npos);
}
