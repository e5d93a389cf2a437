#include <set>

#include "lab_fixture.h"

using namespace dcsim;
using namespace dcsim::lab;

namespace {

std::vector<std::string> scenario_files() {
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(DCSIM_SOURCE_DIR "/scenarios")) {
    if (entry.path().extension() == ".yaml") files.insert(entry.path().string());
  }
  return {files.begin(), files.end()};
}

}  // namespace

TEST_CASE("scenarios: every file in scenarios/ loads without a word and holds") {
  const auto files = scenario_files();
  REQUIRE(files.size() >= 10);
  for (const std::string& file : files) {
    CAPTURE(file);
    scenario::LoadResult loaded = scenario::load_file(file);
    for (const auto& s : loaded.scenarios) check_scenario(s, loaded.diagnostics);
    INFO(scenario::render_text(loaded.diagnostics, loaded.sources));
    REQUIRE(loaded.diagnostics.empty());
    REQUIRE(loaded.scenarios.size() == 1);
    const RunResult r = run_scenario(loaded.scenarios[0], {});
    INFO(r.broken);
    CHECK(!r.outcomes.empty());
    for (const Outcome& o : r.outcomes) {
      INFO(o.name << ": " << o.detail);
      CHECK(o.verdict == Verdict::kHolds);
    }
    CHECK(r.exit_status() == 0);
    CHECK(r.ended_at == Instant{} + loaded.scenarios[0].duration);
  }
}
