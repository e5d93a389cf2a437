#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "arrows.h"
#include "form.h"
#include "purity.h"
#include "source_tree.h"

// The rules themselves: each finds what it is there for, at its line, and lets the innocent pass.
using namespace dcsim::tidy;

namespace {

/// "2 3" for findings at lines 2 and 3.
std::string lines_of(const Findings& findings) {
  std::string lines;
  for (const Finding& finding : findings) lines += (lines.empty() ? "" : " ") + std::to_string(finding.line);
  return lines;
}

const Rooms& rooms() {
  static const Rooms parsed = rooms_of(make_file("CMakeLists.txt", R"(
function(room name)
endfunction()
# room(gossip dcsim_net)
room(base)
room(wire     dcsim_base ${XXHASH_LIBRARY})
room(gossip   dcsim_base
              dcsim_wire)
room(net      dcsim_base Boost::headers)  # with a graph
)"));
  return parsed;
}

Findings arrows(const std::string& path, const std::string& text) {
  return check_arrows(make_file(path, text), rooms());
}
std::string ambient(const std::string& text) { return lines_of(check_ambient(make_file("sim/net/x.cpp", text))); }
std::string state(const std::string& text) { return lines_of(check_mutable_state(make_file("sim/net/x.cpp", text))); }
std::string form(const std::string& path, const std::string& text) {
  return lines_of(check_form(make_file(path, text)));
}

}  // namespace

TEST_CASE("arrows: link lines are read over several lines and without comments") {
  CHECK(rooms().size() == 4);
  CHECK(rooms().at("base").empty());
  CHECK(rooms().at("gossip") == std::set<std::string>{"dcsim_base", "dcsim_wire"});
  CHECK(rooms().at("net") == std::set<std::string>{"dcsim_base", "Boost::headers"});
}

TEST_CASE("arrows: another room's header needs a link line") {
  CHECK(arrows("sim/gossip/serf.h",
               "#include \"base/time.h\"\n#include \"wire/msgpack.h\"\n#include \"gossip/config.h\"\n")
            .empty());
  const Findings findings = arrows("sim/gossip/serf.h", "#pragma once\n#include \"net/link.h\"\n");
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].text() ==
        "sim/gossip/serf.h:2: must not include \"net/link.h\": room(gossip ...) does not list dcsim_net");
  CHECK(lines_of(arrows("sim/base/a.cpp", "#include \"wire/msgpack.h\"\n")) == "1");
  CHECK(lines_of(arrows("sim/base/deep/a.cpp", "\n  #  include   \"wire/msgpack.h\"\n")) == "2");
  CHECK(lines_of(arrows("sim/wire/a.cpp", "#include \"msgpack.h\"\n")) == "1");
  CHECK(lines_of(arrows("sim/attic/a.cpp", "")) == "1");
}

TEST_CASE("arrows: a library's header needs a link line too") {
  CHECK(arrows("sim/wire/digest.cpp", "#include <xxhash.h>\n#include <vector>\n").empty());
  CHECK(arrows("sim/net/graph.cpp", "#include <boost/graph/adjacency_list.hpp>\n").empty());
  CHECK(lines_of(arrows("sim/gossip/a.cpp", "#include <vector>\n#include <boost/heap.hpp>\n")) == "2");
  for (const char* header :
       {"yaml-cpp/yaml.h", "CLI/CLI.hpp", "fmt/format.h", "nlohmann/json.hpp", "xxhash.h", "thread"}) {
    CAPTURE(header);
    CHECK(arrows("sim/gossip/a.cpp", std::string("#include <") + header + ">\n").size() == 1);
  }
}

TEST_CASE("arrows: libraries with one home stay there") {
  const auto lines = [](const std::string& text) {
    return check_link_lines(rooms_of(make_file("CMakeLists.txt", text))).size();
  };
  CHECK(lines("room(scenario yaml-cpp fmt::fmt)\nroom(net Boost::headers)\nroom(cli CLI11::CLI11)\n") == 0);
  CHECK(lines("room(lab yaml-cpp)\n") == 1);
  CHECK(lines("room(host Boost::headers)\n") == 1);
  CHECK(lines("room(lab CLI11::CLI11)\n") == 1);
  CHECK(lines("room(gossip fmt::fmt)\n") == 1);
}

TEST_CASE("purity: clocks, threads, randomness and the environment are found") {
  for (const char* bad :
       {"auto t = std::chrono::steady_clock::now();", "timespec t; clock_gettime(CLOCK_MONOTONIC, &t);",
        "auto t = std::time(nullptr);", "auto t = ::time(NULL);", "#include <ctime>", "std::thread t;", "std::mutex m;",
        "#include <atomic>", "std::atomic<int> n;", "std::random_device d;", "std::mt19937_64 g(1);",
        "std::uniform_int_distribution<int> d(0, 9);", "std::shuffle(a, b, g);", "int r = rand();",
        "const char* home = getenv(\"HOME\");"}) {
    CAPTURE(bad);
    const std::string found = ambient(std::string("void f() {\n") + bad + "\n}\n");
    CHECK(found.starts_with("2"));
    CHECK(found.find_first_not_of("2 ") == std::string::npos);
  }
}

TEST_CASE("purity: comments, literals and names of one's own are no offence") {
  CHECK(ambient(R"(
#include "base/time.h"
// std::chrono would read a clock
/* rand() */
const char* kText = "getenv(\"HOME\") std::thread";
const char* kRaw = R"x(std::mutex " )y" )x";
char kQuote = '"'; int kBig = 1'000'000;
void shuffle(Rng& rng); Duration time(int); int sample = rng.rand(); enum Distribution { kNormal };
net::link_distribution d;
)") == "");
}

TEST_CASE("purity: state that outlives a call is found wherever it hides") {
  CHECK(state("int counter = 0;\n") == "1");
  CHECK(state("namespace a {\nnamespace {\nstd::vector<int> cache;\n}\n}\n") == "3");
  CHECK(state("int next() {\n  static int n = 0;\n  return ++n;\n}\n") == "2");
  CHECK(state("struct S {\n  static std::map<int, int> all;\n};\n") == "2");
  CHECK(state("struct S {\n  inline static int n = 0;\n};\n") == "2");
  CHECK(state("thread_local Buffer scratch;\n") == "1");
  CHECK(state("static thread_local int n;\n") == "1");
  CHECK(state("struct { int n; } world;\n") == "1");
  CHECK(state("const char* name = \"a\";\n") == "1");
  CHECK(state("inline int shared{3};\n") == "1");
  CHECK(state("int table[4];\n") == "1");
  CHECK(state("std::unique_ptr<World> world;\nvoid f();\nint g() { return 1; }\nWorld* last = nullptr;\n") == "1 4");
  CHECK(lines_of(check_mutable_state(make_file("sim/base/rng.cpp", "thread_local FreeLists free_lists;\n"))) == "1");
  CHECK(check_mutable_state(make_file("sim/base/bytes.cpp", "thread_local FreeLists free_lists;\n")).empty());
}

TEST_CASE("purity: constants, functions, types and members pass") {
  CHECK(state(R"(
#include <array>
namespace a::b {
class Forward;
struct Tag {};
enum class Kind : std::uint8_t { kOne, kTwo };
using Map = std::map<int, std::vector<int>>;
template <class T> struct Box { T value{}; static constexpr int kSize = 4; static Box make(int n); };
template <class T>
T twice(T value) { return value + value; }
constexpr std::array<int, 3> kTable{1, 2, 3};
const std::string kName = "x";
static constexpr int kOther = 1;
inline constexpr auto kLambda = [](int n) { return n; };
const char* const kText = "a";
static const char* const kTexts[] = {"a", "b"};
std::string text(const Event& event, int n = 0);
static int helper(int n) { int local = n; static const std::string none; return local; }
bool operator==(const Tag&, const Tag&);
struct Tag make_tag();
std::optional<int> Class::method(std::span<const int> values) const { return values.size() < 3 ? 1 : 2; }
Class::Class(int n) : n_(n), more_{n} { run(); }
[[nodiscard]] int careful();
[[nodiscard]] static int careful_too();
static_assert(sizeof(int) == 4);
inline namespace literals { constexpr int operator""_x(unsigned long long v) { return 1; } }
__extension__ using Wide = __int128;
int use() { int counter = 0; for (int i = 0; i < 3; ++i) { counter += i; } return counter; }
}
)") == "");
}

TEST_CASE("form: length, tabs, blanks, notes to oneself, guards") {
  CHECK(form("sim/net/a.h", "#pragma once\nint f();\n") == "");
  CHECK(form("sim/net/a.h", "int f();\n") == "1");
  CHECK(form("sim/net/a.cpp", "int f();\n") == "");
  CHECK(form("sim/net/a.cpp", "int f();\n\tint g();\nint h(); \n") == "2 3");
  CHECK(form("sim/net/a.cpp", "int f();\r\n") == "1");
  CHECK(form("sim/net/a.cpp",
             "// " + std::string("TO") + "DO: later\n// " + std::string("FIX") + "ME\n// XX" + "X\n") == "1 2 3");
  CHECK(form("sim/net/a.cpp", "// /tmp/dcsim.XX" + std::string("XXXX\n")) == "");
  std::string text;
  for (std::size_t i = 0; i < kMostLines; ++i) text += "int x;\n";
  CHECK(form("sim/net/a.cpp", text) == "");
  CHECK(form("sim/net/a.cpp", text + "int y;\n") == std::to_string(kMostLines + 1));
}

TEST_CASE("form: a scenario that no page names is found") {
  const std::vector<SourceFile> files{make_file("scenarios/pool.yaml", ""), make_file("scenarios/lan-pool.yaml", ""),
                                      make_file("topologies/two-racks.yaml", "")};
  const SourceFile page = make_file("scenarios/README.md", "# Scenarios\n- [`lan-pool.yaml`](lan-pool.yaml): a pool\n");
  const SourceFile readme = make_file("README.md", "Start with `topologies/two-racks.yaml`.\n");
  const Findings findings = check_listed(files, {page, readme});
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].text() == "scenarios/pool.yaml:1: not listed in scenarios/README.md nor named in README.md");
  CHECK(check_listed(files, {}).size() == 3);
}

TEST_CASE("source tree: tokens carry their lines") {
  const std::vector<Token> tokens =
      tokens_of(make_file("a.cpp", "#define A \\\n  b\nint /* c\nd */ e = \"f\\\"g\";  // h\n'i';"));
  std::string text;
  for (const Token& token : tokens) text += token.text + "@" + std::to_string(token.line) + " ";
  CHECK(text == "int@3 e@4 =@4 \"\"@4 ;@4 \"\"@5 ;@5 ");
}
