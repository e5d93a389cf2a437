// Broken files and exactly what is said about them. Each *.yaml of tests/data/bad has its *.expected beside it; to
// bless a new text, run with DCSIM_BLESS=1 and read the difference.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "scenario/loader.h"
#include "scenario/render.h"

using namespace dcsim::scenario;
namespace fs = std::filesystem;

namespace {

std::string content_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

TEST_CASE("bad files: every mistake in one pass, word for word") {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(DCSIM_SOURCE_DIR "/tests/data/bad")) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  REQUIRE(files.size() >= 7);
  for (const fs::path& path : files) {
    CAPTURE(path.string());
    LoadOptions options;
    options.allow_files = false;  // the expected text must not depend on where the test runs
    const LoadResult result = load_text(content_of(path), path.filename().string(), options);
    CHECK_FALSE(result.ok());
    const std::string text = render_text(result.diagnostics, result.sources);
    fs::path expected = path;
    expected.replace_extension(".expected");
    if (std::getenv("DCSIM_BLESS") != nullptr) std::ofstream(expected, std::ios::binary) << text;
    CHECK(text == content_of(expected));
  }
}
