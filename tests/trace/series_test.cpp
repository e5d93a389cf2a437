#include "trace/series.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

using namespace dcsim::trace;

TEST_CASE("series: every row is whole and its name unique") {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kSeriesCount; ++i) {
    const SeriesSpec& spec = series_spec(static_cast<Series>(i));
    CAPTURE(spec.name);
    CHECK(names.insert(spec.name).second);
    CHECK((spec.name.starts_with("consul.") || spec.name.starts_with("sim.")));
    CHECK_FALSE(spec.meaning.empty());
    CHECK(spec.unit.empty() == spec.text);
    CHECK(find_series(spec.name) == static_cast<Series>(i));
  }
  CHECK_FALSE(find_series("sim.nothing").has_value());
}

TEST_CASE("series: the names and labels that scenario files use exist") {
  const std::vector<std::string> own = {"tenant"};
  const auto known = [&](const char* name, std::vector<std::string> labels) {
    CAPTURE(name);
    const auto series = find_series(name);
    REQUIRE(series.has_value());
    for (const std::string& label : labels) {
      CAPTURE(label);
      CHECK(label_known(*series, label, own));
    }
  };
  known("consul.serf.member.failed",
        {"observer", "member", "role", "member_role", "zone", "dc", "segment", "tenant", "member_tenant"});
  known("consul.serf.member.flap", {"zone"});
  known("consul.memberlist.msg.suspect", {"observer", "member"});
  known("consul.memberlist.health.score", {"observer", "role"});
  known("consul.raft.state.candidate", {"dc", "node", "observer"});
  known("consul.rpc.cross-dc", {"datacenter"});
  known("sim.fw.drop", {"fw", "rule", "from", "to", "port", "from_zone", "to_role"});
  known("sim.fw.accept", {"fw", "port", "rule"});
  known("sim.link.bytes", {"link"});
  known("sim.link.tx", {"link"});
  known("sim.rpc.path", {"from", "target_dc"});
  known("sim.rpc.error", {"workload", "target_dc"});
  known("sim.rpc.latency", {"workload"});
  known("sim.rpc.hops", {});
  known("sim.rpc.unavailable", {"target_dc"});
  known("sim.member.status", {"member", "observer", "segment"});
  known("sim.members.alive", {"observer", "pool", "role"});
  known("sim.join.rejected", {"joiner", "reason", "joiner_role"});
  known("sim.join.time", {"role"});
  known("sim.converge.time", {"segment"});
  known("sim.detect.time", {"member", "observer"});
  known("sim.suspect.refute_time", {});
  known("sim.probe.timeout", {"observer", "member"});
  known("sim.probe.failed", {"observer", "member"});
  known("sim.probe.tcp_only", {});
  known("sim.refute", {"member"});
  known("sim.node.packets", {"node", "proto", "direction"});
  known("sim.node.bytes", {"node"});
  known("sim.node.gossip_bytes_per_s", {"zone", "role"});
  known("sim.area.members", {"status", "observer_dc", "dc"});
  known("sim.area.recover_time", {});
  known("sim.raft.leaderless_time", {"dc"});
  known("sim.check.violation", {"checker"});
}

TEST_CASE("series: a label that no record can have is unknown") {
  const auto known = [](const char* name, const char* label) { return label_known(*find_series(name), label, {}); };
  CHECK_FALSE(known("sim.fw.drop", "observer"));
  CHECK_FALSE(known("sim.fw.drop", "zone"));
  CHECK_FALSE(known("consul.serf.member.failed", "tenant"));
  CHECK_FALSE(known("consul.raft.state.candidate", "member"));
  CHECK_FALSE(known("sim.check.violation", "role"));
  const auto labels = labels_of(*find_series("consul.serf.member.failed"), std::vector<std::string>{"tenant"});
  CHECK(labels.front() == "observer");
  CHECK(std::find(labels.begin(), labels.end(), "member_tenant") != labels.end());
}

TEST_CASE("series: a misspelt name gets the near ones") {
  CHECK(suggest_series("consul.serf.member.faild").front() == "consul.serf.member.failed");
  CHECK(suggest_series("sim.fw.dorp").front() == "sim.fw.drop");
  CHECK(suggest_series("serf.member.flap").front() == "consul.serf.member.flap");
  CHECK(suggest_series("completely different").empty());
  CHECK(suggest_series(std::string(100'000, 'x')).empty());
  CHECK(edit_distance("ca", "ac") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("", "abc") == 3);
}

TEST_CASE("series: units convert within their kind") {
  CHECK(convert_unit(0.0042, "s", "ms") == doctest::Approx(4.2));
  CHECK(convert_unit(250, "ms", "s") == doctest::Approx(0.25));
  CHECK(convert_unit(3, "MiB", "KiB") == 3072);
  CHECK(convert_unit(2000, "B/s", "kB/s") == 2);
  CHECK(convert_unit(7, "events", "events") == 7);
  CHECK_FALSE(convert_unit(1, "s", "B").has_value());
  CHECK_FALSE(convert_unit(1, "events", "flaps").has_value());
  CHECK(seconds_per("ms") == 1e-3);
  CHECK(seconds_per("B") == 0);
}

TEST_CASE("series: the reference lists all of them") {
  const std::string text = series_reference();
  for (std::size_t i = 0; i < kSeriesCount; ++i)
    CHECK(text.find(series_spec(static_cast<Series>(i)).name) != std::string::npos);
  CHECK(text.find("{fw,rule,from,to,port,proto}") != std::string::npos);
}
