// Which series have a source, held against the sources themselves.
#include "scenario/fed_series.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

#include "scenario/load.h"

using namespace dcsim;
using namespace dcsim::scenario;
namespace fs = std::filesystem;

namespace {

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// The enumerators of trace::Series in order: "kSerfMemberJoin", ...
std::vector<std::string> enumerators() {
  const std::string text = slurp(DCSIM_SOURCE_DIR "/sim/trace/series.h");
  const auto begin = text.find("enum class Series ");
  REQUIRE(begin != std::string::npos);
  const std::string body = text.substr(begin, text.find("};", begin) - begin);
  const std::regex name(R"(\b(k[A-Z]\w*),)");
  std::vector<std::string> out;
  for (std::sregex_iterator it(body.begin(), body.end(), name), end; it != end; ++it) out.push_back((*it)[1]);
  return out;
}

}  // namespace

TEST_CASE("series: those that nothing in the sources reports to are known, and no others") {
  const std::vector<std::string> names = enumerators();
  REQUIRE(names.size() == trace::kSeriesCount);
  std::string sources;
  for (const char* room : {"host", "lab", "check"}) {
    for (const auto& entry : fs::directory_iterator(fs::path(DCSIM_SOURCE_DIR "/sim") / room))
      sources += slurp(entry.path());
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto series = static_cast<trace::Series>(i);
    const std::regex use("Series::" + names[i] + R"(\b)");
    CAPTURE(trace::series_spec(series).name);
    CHECK(is_fed(series) == std::regex_search(sources, use));
  }
}

TEST_CASE("series: the reference marks those that nothing reports to") {
  const std::string text = series_reference();
  const auto line_after = [&](const std::string& name) {
    const auto at = text.find(name + " ");
    REQUIRE(at != std::string::npos);
    const auto next = text.find('\n', at) + 1;
    return text.substr(next, text.find('\n', next) - next);
  };
  CHECK(line_after("consul.raft.state.candidate").ends_with("(not fed by this version)"));
  CHECK(line_after("sim.area.members").ends_with("(not fed by this version)"));
  CHECK_FALSE(line_after("consul.serf.member.flap").ends_with("(not fed by this version)"));
  CHECK_FALSE(line_after("sim.command.exit").ends_with("(not fed by this version)"));
}

TEST_CASE("series: an expression over one that nothing reports to is warned of, where it stands") {
  const auto r =
      load(with_scenario("expect:\n  - { name: quiet, never: count(consul.raft.state.candidate) > 0 }\n"
                         "  - { name: fine, never: count(consul.serf.member.flap) > 0 }\n"
                         "metrics: { gap: { value: max(sim.raft.leaderless_time), unit: s } }\n",
                         "[{ when: count(sim.rpc.path) > 0, start: all }]"));
  CHECK(r.ok());
  CHECK(count(r, "W0105") == 3);
  const Diagnostic d = first(r, "W0105");
  CHECK(d.severity == Diagnostic::Severity::kWarning);
  CHECK(d.message == "series `sim.rpc.path` is not fed by this version: the expression is judged on no samples");
  CHECK(d.at.line > 0);
  CHECK(d.at.end_column - d.at.column == 12);
}
