#include "lab_fixture.h"
#include "trace/tools.h"

using namespace dcsim;
using namespace dcsim::lab;

TEST_CASE("why: members failed in the firewalled pool go back to the rule that keeps the tenants apart") {
  scenario::LoadResult loaded = scenario::load_file(DCSIM_SOURCE_DIR "/scenarios/lan-pool-firewalled.yaml");
  REQUIRE(loaded.ok());
  const TempFolder folder;
  RunOptions o;
  o.out_dir = folder.path();
  o.until = 12_min;
  static_cast<void>(run_scenario(loaded.scenarios.at(0), o));
  const auto records = read_records(folder / "trace.jsonl");
  int failures = 0, explained = 0, by_gossip = 0;
  for (const Json& r : records) {
    if (r["ev"] != "member-failed") continue;
    ++failures;
    std::string out, err;
    const int status = trace::trace_why(folder.path(), {std::to_string(r["n"].get<std::uint64_t>())}, {[&](std::string_view t) { out += t; }, [&](std::string_view t) { err += t; }});
    INFO(r.dump() << "\n" << out << err);
    REQUIRE(status == 0);
    const std::string last = out.substr(out.find_last_of('\n', out.size() - 2) + 1);
    const bool blamed = last.find("firewall core-fw, rule tenants-apart") != std::string::npos;
    // Nothing else loses packets here.
    CHECK(blamed);
    if (!blamed) continue;
    ++explained;
    // Somebody else declared it dead, and the observer heard of it.
    const Json& dead = records.at(r["cause"].get<std::size_t>());
    REQUIRE(dead["ev"] == "dead-declared");
    if (!r["node"].get<std::string>().starts_with(dead["by"].get<std::string>())) {
      ++by_gossip;
      CHECK(out.find("told by ") != std::string::npos);
    }
  }
  CHECK(failures > 100);
  CHECK(explained == failures);
  CHECK(by_gossip > 50);
  CHECK(explained - by_gossip > 50);
}
