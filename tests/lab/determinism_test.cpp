#include "lab/verify.h"
#include "lab_fixture.h"
#include "trace/tools.h"

using namespace dcsim;
using namespace dcsim::lab;

namespace {

const std::string kSteps = R"(
  - { name: boot, at: 0s, start: all, stagger: 5s }
  - { name: cut, at: 20s, partition: { between: [east, west], duration: 20s } }
  - { name: look, at: 30s, run: consul members, agent: s.dc1 }
  - { name: noise, at: 45s, impair: { link: east-west, loss: 10%, jitter: 1ms } }
)";

std::string text(const std::string& rest = "expect: []") { return kTwoZones + story(kSteps, rest, "90s"); }

RunOptions seeded(std::uint64_t seed) {
  RunOptions o;
  o.seed = seed;
  return o;
}

}  // namespace

TEST_CASE("determinism: one seed, one digest; another seed, another") {
  const RunResult a = run(text()), b = run(text());
  CHECK(a.digest == b.digest);
  CHECK(a.events == b.events);
  CHECK(a.records == b.records);
  CHECK(run(text(), seeded(2)).digest != a.digest);
  CHECK(run(text(), seeded(2)).digest == run(text(), seeded(2)).digest);
  CHECK(run(text(), seeded(1)).digest == a.digest);
}

TEST_CASE("determinism: what is kept, captured, expected and measured changes nothing") {
  const RunResult plain = run(text());
  for (const char* const rest : {
           "expect: []\nrecord: { events: none }",
           "expect: []\nrecord: { events: [member-failed] }",
           "expect: []\nrecord: { packets: { match: 'proto=\"udp\"' } }",
           "expect: []\nrecord: { sample_interval: 100ms }",
           "expect:\n  - { name: a, never: count(consul.serf.member.failed) > 2 }\n  - { name: b, eventually: min(sim.members.alive) == 4, within: 3s, for: 2s }\n"
           "  - { name: c, always: 'rate(sim.fw.accept[1s]) >= 0' }\n  - { name: d, finally: 'sum(sim.link.bytes) > 0' }",
           "expect: []\nmetrics:\n  g: { value: avg(sim.node.gossip_bytes_per_s), unit: B/s, group_by: [zone] }\n  l: { value: count(sim.link.tx), unit: packets }\n"
           "  q: { value: max(consul.serf.queue.Intent), unit: messages }\n  n: { value: sum(sim.node.packets), unit: packets }",
       }) {
    CAPTURE(rest);
    CHECK(run(text(rest)).digest == plain.digest);
    const TempFolder folder;
    RunOptions o;
    o.out_dir = folder.path();
    const RunResult kept = run(text(rest), o);
    CHECK(kept.digest == plain.digest);
    CHECK(kept.records == plain.records);
  }
}

TEST_CASE("verify: all ways of running give one digest") {
  const VerifyResult v = verify_scenario(load(text()), {});
  INFO(v.text);
  CHECK(v.same);
  CHECK(!v.broken);
  CHECK(v.digest == run(text()).digest);
  CHECK(v.text.find("on another thread") != std::string::npos);
}

TEST_CASE("diff: the first differing record of two runs, with the causes of both") {
  const TempFolder a, b, c;
  const auto into = [&](const TempFolder& folder, std::string yaml) {
    RunOptions o;
    o.out_dir = folder.path();
    REQUIRE(run(yaml, o).write_error.empty());
  };
  into(a, text());
  into(b, text());
  std::string other = text();
  other.replace(other.find("agent: s.dc1"), 12, "agent: c-1.dc1");
  into(c, other);
  std::string out, err;
  const trace::Streams io{[&](std::string_view t) { out += t; }, [&](std::string_view t) { err += t; }};
  CHECK(trace::trace_diff(a.path(), b.path(), io) == 0);
  out.clear();
  CHECK(trace::trace_diff(a.path(), c.path(), io) == 1);
  INFO(out);
  CHECK(out.find("command-run") != std::string::npos);
  CHECK(out.find("s.dc1") != std::string::npos);
  CHECK(out.find("c-1.dc1") != std::string::npos);
  CHECK(out.find("look") != std::string::npos);  // the step that both chains share
}
