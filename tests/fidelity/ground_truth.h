#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

/// Samples measured on real clusters of Serf 0.9.4 on memberlist 0.2.2 (tests/data/groundtruth). The environment
/// variable DCSIM_GROUNDTRUTH names another folder of files in the same form.
namespace dcsim::fidelity {

using Json = nlohmann::json;

struct Measured {
  std::string name;  ///< of its file, without ".json"
  std::uint32_t n = 0;
  Json json;
  /// p99 of the lateness of a 50 ms sleep in the measuring process, in ms.
  double lag() const { return json.at("host").at("timer_lag_ms_p99").get<double>(); }
};

inline std::filesystem::path ground_truth_folder() {
  const char* given = std::getenv("DCSIM_GROUNDTRUTH");
  if (given == nullptr || *given == '\0') return std::filesystem::path(DCSIM_SOURCE_DIR) / "tests/data/groundtruth";
  const std::filesystem::path base(given);
  return std::filesystem::is_directory(base / "gossip") ? base / "gossip" : base;
}

/// Every file whose scenario starts with `scenario` ("crash_"), by size. Files that are something else are skipped; a
/// malformed one fails the test.
inline std::vector<Measured> measured(std::string_view scenario) {
  std::vector<Measured> out;
  REQUIRE(std::filesystem::is_directory(ground_truth_folder()));
  for (const auto& entry : std::filesystem::directory_iterator(ground_truth_folder())) {
    if (entry.path().extension() != ".json") continue;
    std::ifstream in(entry.path());
    Json json = Json::parse(in, nullptr, false);
    REQUIRE_MESSAGE(!json.is_discarded(), "not JSON: " << entry.path().string());
    if (!json.is_object() || !json.contains("scenario")) continue;
    if (!json.at("scenario").get<std::string>().starts_with(scenario)) continue;
    const auto n = json.at("n").get<std::uint32_t>();
    out.push_back({entry.path().stem().string(), n, std::move(json)});
  }
  std::sort(out.begin(), out.end(),
            [](const Measured& a, const Measured& b) { return std::pair(a.n, a.name) < std::pair(b.n, b.name); });
  return out;
}

}  // namespace dcsim::fidelity
