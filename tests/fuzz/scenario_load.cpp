// Any bytes as a document: the loader must answer with diagnostics, never crash, hang or grow without bound.
#include <cstdint>
#include <string_view>

#include "scenario/loader.h"
#include "scenario/render.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dcsim::scenario;
  LoadOptions options;
  options.allow_files = false;
  options.max_nodes = 20'000;
  options.max_agents = 2'000;
  const LoadResult result = load_text({reinterpret_cast<const char*>(data), size}, "fuzz.yaml", options);
  render_text(result.diagnostics, result.sources);
  render_json(result.diagnostics);
  render_github(result.diagnostics);
  return 0;
}
