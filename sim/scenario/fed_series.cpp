#include "scenario/fed_series.h"

#include <algorithm>
#include <string_view>

namespace dcsim::scenario {

namespace {

/// Names, or what names begin with. A test holds this against the sources: whoever reports to a series takes it off.
constexpr std::string_view kUnfed[] = {
    "consul.area.", "consul.autopilot.", "consul.catalog.",        "consul.client.rpc",   "consul.leader.",
    "consul.raft.", "consul.rpc.",       "consul.server.isLeader", "consul.session_ttl.", "consul.serf.snapshot.",
    "sim.area.",    "sim.raft.",         "sim.rpc.hops",           "sim.rpc.path",        "sim.rpc.unavailable",
};

}  // namespace

bool is_fed(trace::Series series) {
  const std::string_view name = trace::series_spec(series).name;
  return std::none_of(std::begin(kUnfed), std::end(kUnfed),
                      [&](std::string_view begin) { return name.starts_with(begin); });
}

std::string series_reference() {
  const std::string plain = trace::series_reference();
  std::string out;
  bool unfed = false;
  for (std::size_t at = 0; at < plain.size();) {
    const std::size_t end = std::min(plain.find('\n', at), plain.size());
    const std::string_view line = std::string_view(plain).substr(at, end - at);
    const bool names = !line.empty() && line.front() != ' ';  // a series' first line; its meaning is indented
    if (names) {
      const auto series = trace::find_series(line.substr(0, line.find(' ')));
      unfed = series && !is_fed(*series);
    }
    out += line;
    if (!names && unfed) out += " (not fed by this version)";
    out += '\n';
    at = end + 1;
  }
  return out;
}

}  // namespace dcsim::scenario
