#pragma once
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "scenario/loader.h"
#include "scenario/render.h"

namespace dcsim::scenario {

inline LoadResult load(std::string_view text, LoadOptions options = {}) {
  options.allow_files = false;
  return load_text(text, "t.yaml", options);
}

inline std::string shown(const LoadResult& result) { return render_text(result.diagnostics, result.sources); }

/// How many diagnostics have that code; all of them if it is empty.
inline int count(const LoadResult& result, std::string_view code) {
  int n = 0;
  for (const Diagnostic& d : result.diagnostics) n += code.empty() || d.code == code ? 1 : 0;
  return n;
}

/// The first diagnostic with that code; fails the test if there is none.
inline Diagnostic first(const LoadResult& result, std::string_view code) {
  for (const Diagnostic& d : result.diagnostics) {
    if (d.code == code) return d;
  }
  FAIL("no " << code << " in:\n" << shown(result));
  return {};
}

/// A topology with one zone and whatever else, and an empty scenario over it.
inline std::string topology(
    std::string_view rest = {},
    std::string_view agents = "[{ name: \"a-{n}\", count: 3, zone: core, labels: { role: server }, config: {} }]") {
  return "version: 1\nkind: topology\nname: t\nzones: { core: { cidr: 10.0.0.0/24 }, alpha: { cidr: 10.0.1.0/24 } "
         "}\ndatacenters: { dc1: { agents: " +
         std::string(agents) + " } }\n" + std::string(rest);
}

inline std::string with_scenario(std::string_view rest, std::string_view timeline = "[]") {
  return topology() +
         "---\nversion: 1\nkind: scenario\nname: s\ntopology: t\nduration: 5m\ntimeline: " + std::string(timeline) +
         "\n" + std::string(rest);
}

/// A folder for one test's files, removed afterwards.
class Folder {
 public:
  Folder()
      : path_(std::filesystem::temp_directory_path() / ("dcsim-scenario-" + std::to_string(counter()++) + "-" +
                                                        std::to_string(reinterpret_cast<std::uintptr_t>(this)))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string write(const std::string& name, std::string_view text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
    return (path_ / name).string();
  }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  static int& counter() {
    static int n = 0;
    return n;
  }
  std::filesystem::path path_;
};

}  // namespace dcsim::scenario
