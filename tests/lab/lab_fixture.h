#pragma once
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "lab/run.h"
#include "scenario/loader.h"
#include "scenario/render.h"

namespace dcsim::lab {

using Json = nlohmann::json;

/// A folder that goes with the test.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "dcsim-lab-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string path() const { return path_.string(); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// One server in the east, three clients in the west, a link between; two firewalls that are off.
inline const char* const kTwoZones = R"(version: 1
kind: topology
name: t
zones: { east: { cidr: 10.0.1.0/24 }, west: { cidr: 10.0.2.0/24 } }
links: [{ name: east-west, endpoints: [east, west], latency: 500us }]
datacenters:
  dc1:
    agents:
      - { name: s, zone: east, first_address: 10.0.1.11, labels: { role: server }, config: { server: true, bootstrap_expect: 1 } }
      - { name: "c-{n}", count: 3, zone: west, labels: { role: client }, config: { retry_join: ["10.0.1.11"] } }
firewalls:
  - name: fw
    hook: forward
    enabled: false
    default: accept
    rules:
      - { name: all-out, from: west, to: east, direction: both, action: drop }
  - name: open
    hook: forward
    default: accept
    rules:
      - { name: nothing, ports: [9/udp], action: drop }
---
)";

inline std::string story(std::string_view timeline, std::string_view rest = "expect: []", std::string_view duration = "60s") {
  return "version: 1\nkind: scenario\nname: s\ntopology: t\nduration: " + std::string(duration) + "\ntimeline:\n" + std::string(timeline) + "\n" + std::string(rest) + "\n";
}

/// Loads text that must be sound and hold one scenario.
inline scenario::Scenario load(const std::string& text, const std::vector<std::pair<std::string, std::string>>& set = {}) {
  scenario::LoadOptions options;
  options.allow_files = false;
  options.set = set;
  scenario::LoadResult loaded = scenario::load_text(text, "t.yaml", options);
  for (const scenario::Scenario& s : loaded.scenarios) {
    if (loaded.ok()) check_scenario(s, loaded.diagnostics);
  }
  INFO(scenario::render_text(loaded.diagnostics, loaded.sources));
  REQUIRE(loaded.ok());
  REQUIRE(loaded.scenarios.size() == 1);
  return std::move(loaded.scenarios.front());
}

/// A run with its records as JSON.
struct Recorded {
  RunResult result;
  std::vector<Json> records;

  /// Records of that kind, in order.
  std::vector<Json> all(std::string_view ev, std::string_view node = {}) const {
    std::vector<Json> found;
    for (const Json& r : records) {
      if (r["ev"] == ev && (node.empty() || r.value("node", "") == node)) found.push_back(r);
    }
    return found;
  }
  Json one(std::string_view ev, std::string_view node = {}) const {
    const std::vector<Json> found = all(ev, node);
    INFO(ev << " " << node);
    REQUIRE(found.size() == 1);
    return found.front();
  }
  /// The record that a record names as its cause.
  Json cause(const Json& record) const {
    REQUIRE(record.contains("cause"));
    return records.at(record["cause"].get<std::size_t>());
  }
};

inline std::vector<Json> read_records(const std::string& path) {
  std::vector<Json> records;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) records.push_back(Json::parse(line));
  return records;
}

inline Recorded record(const std::string& text, RunOptions options = {}) {
  const TempFolder folder;
  options.out_dir = folder.path();
  Recorded out;
  out.result = run_scenario(load(text), options);
  REQUIRE(out.result.write_error.empty());
  INFO(out.result.broken);
  REQUIRE(out.result.end != RunResult::End::kBroken);
  out.records = read_records(folder / "trace.jsonl");
  return out;
}

inline RunResult run(const std::string& text, RunOptions options = {}) {
  RunResult result = run_scenario(load(text), options);
  INFO(result.broken);
  REQUIRE(result.end != RunResult::End::kBroken);
  return result;
}

/// The only outcome, or that of the given name.
inline Outcome outcome(const RunResult& r, std::string_view name) {
  for (const Outcome& o : r.outcomes) {
    if (o.name == name) return o;
  }
  FAIL("no outcome " << name);
  return {};
}

/// The verdict of one expectation given as its YAML, over a pool of four that starts at 0 s.
inline Outcome judged(const std::string& expectation, const std::string& more_steps = "", const std::string& duration = "60s") {
  const RunResult r = run(kTwoZones + story("  - { name: boot, at: 0s, start: all }\n" + more_steps, "expect:\n  - { name: e, " + expectation + " }", duration));
  return outcome(r, "e");
}

constexpr std::int64_t kSecond = 1'000'000'000;

}  // namespace dcsim::lab
