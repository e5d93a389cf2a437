#include "lab/verify.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "trace/tools.h"

namespace dcsim::lab {

namespace {

/// A fresh directory under the system's temporary one; empty on failure.
std::string temporary_directory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "dcsim-verify-XXXXXX").string();
  return mkdtemp(pattern.data()) ? pattern : std::string();
}

}  // namespace

VerifyResult verify_scenario(const scenario::Scenario& scenario, const RunOptions& base) {
  VerifyResult out;
  const std::string dir_a = temporary_directory(), dir_b = temporary_directory();
  if (dir_a.empty() || dir_b.empty()) {
    out.text = "no temporary directory could be made\n";
    return out;
  }
  const auto run = [&](const std::string& dir) {
    RunOptions o = base;
    o.out_dir = dir;
    return run_scenario(scenario, o);
  };
  const RunResult a = run(dir_a);
  const RunResult b = run(dir_b);
  RunResult c, d;
  std::thread beside([&] { d = run(""); });
  c = run("");
  beside.join();
  out.digest = a.digest;
  const RunResult* all[] = {&a, &b, &c, &d};
  static constexpr const char* kNames[] = {"recorded", "recorded again", "unrecorded", "on another thread"};
  out.same = true;
  for (std::size_t i = 0; i < std::size(all); ++i) {
    out.text += fmt::format("  {:<18} {}  {} events\n", kNames[i], all[i]->digest, all[i]->events);
    out.same = out.same && all[i]->digest == a.digest && all[i]->events == a.events;
    out.broken = out.broken || all[i]->end == RunResult::End::kBroken;
    if (all[i]->end == RunResult::End::kBroken) out.text += "  " + all[i]->broken + "\n";
  }
  out.text += "  each run on one thread: this version does not spread a run over several\n";
  if (!out.same && a.digest != b.digest) {
    trace::trace_diff(dir_a, dir_b, {[&](std::string_view t) { out.text += t; }, [&](std::string_view t) { out.text += t; }});
    out.text += fmt::format("the recordings are in {} and {}\n", dir_a, dir_b);
    return out;
  }
  std::error_code ignored;
  std::filesystem::remove_all(dir_a, ignored);
  std::filesystem::remove_all(dir_b, ignored);
  return out;
}

}  // namespace dcsim::lab
