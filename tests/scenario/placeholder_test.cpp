#include <doctest/doctest.h>
#include <fmt/format.h>
#include <cstdio>
#include "scenario/loader.h"
#include "scenario/render.h"
#include "scenario/keys.h"
using namespace dcsim::scenario;
TEST_CASE("try") {
  for (const char* f : {"01-segmented-lan-flapping", "02-network-segments-mismatch", "03-hub-and-spoke-areas"}) {
    const auto r = load_file(fmt::format("/work/shared/examples/{}.yaml", f));
    std::puts(render_text(r.diagnostics, r.sources).c_str());
    CHECK(r.ok());
  }
  std::FILE* o = std::fopen("/tmp/schema.json", "w"); std::fputs(schema_json().c_str(), o); std::fclose(o);
  if (const char* x = std::getenv("TRY")) { const auto r = load_file(x); std::puts(render_text(r.diagnostics, r.sources).c_str()); std::puts(render_json(r.diagnostics).c_str()); std::puts(render_github(r.diagnostics).c_str());}
}
