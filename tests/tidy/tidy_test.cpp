#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "arrows.h"
#include "form.h"
#include "purity.h"
#include "source_tree.h"

// The source tree held to the project's own rules.
using namespace dcsim::tidy;

namespace {

const std::vector<std::string> kCode{".h", ".cpp"};

void report(const Findings& findings) {
  for (const Finding& finding : findings) FAIL_CHECK(finding.text());
}

void add(std::vector<SourceFile>& to, const std::vector<SourceFile>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

TEST_CASE("tidy: a folder of sim/ includes only what its link line names") {
  const Rooms rooms = rooms_of(read_file("CMakeLists.txt"));
  REQUIRE(rooms.contains("base"));
  REQUIRE(rooms.at("net").contains("dcsim_core"));
  const std::vector<SourceFile> files = read_tree("sim", kCode);
  REQUIRE(files.size() > 10);
  for (const SourceFile& file : files) report(check_arrows(file, rooms));
  report(check_link_lines(rooms));
}

TEST_CASE(
    "tidy: base, core, net and the protocols know no clock, thread, environment or randomness but what they are "
    "handed") {
  for (const SourceFile& file : read_tree("sim", kCode)) {
    if (!pure_room(file.room())) continue;
    report(check_ambient(file));
    report(check_mutable_state(file));
  }
}

TEST_CASE("tidy: form") {
  std::vector<SourceFile> files = read_tree("sim", kCode);
  add(files, read_tree("tests", {".h", ".cpp", ".sh", ".py", ".txt"}));
  add(files, read_tree("analysis", {".py"}));
  add(files, read_tree("scenarios", {".yaml"}));
  add(files, read_tree("topologies", {".yaml"}));
  for (const char* path : {"CMakeLists.txt", "run", ".ci/run"}) files.push_back(read_file(path));
  for (const SourceFile& file : files) report(check_form(file));
}

TEST_CASE("tidy: every scenario and topology is listed for the reader") {
  std::vector<SourceFile> files = read_tree("scenarios", {".yaml"});
  add(files, read_tree("topologies", {".yaml"}));
  report(check_listed(files, {read_file("scenarios/README.md"), read_file("README.md")}));
}
