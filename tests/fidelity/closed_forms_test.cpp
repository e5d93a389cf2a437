#include <fmt/format.h>

#include <cmath>
#include <map>

#include "samples.h"
#include "serf_cluster.h"
#include "support/vectors.h"

using namespace dcsim;
using namespace dcsim::fidelity;

namespace {

std::vector<double> starts(std::uint32_t n, double spread_ms, Rng& rng) {
  std::vector<double> out(n, 0.0);
  for (std::uint32_t i = 1; i < n; ++i) out[i] = uniform(rng, 0, spread_ms);
  return out;
}

/// The wait from any moment to the next probe of a given node by anybody, in seconds, from all gaps between probes of
/// it.
struct Waits {
  std::vector<double> gaps;
  double mean() const {
    double squares = 0, all = 0;
    for (const double g : gaps) squares += g * g / 2, all += g;
    return squares / all;
  }
  /// The wait that a share of `p` of all moments does not exceed.
  double quantile(double p) const {
    double all = 0;
    for (const double g : gaps) all += g;
    double low = 0, high = 1000;
    for (int i = 0; i < 60; ++i) {
      const double w = (low + high) / 2;
      double longer = 0;
      for (const double g : gaps) longer += std::max(0.0, g - w);
      (longer / all > 1 - p ? low : high) = w;
    }
    return low;
  }
};

Waits waits_for_a_probe(std::uint32_t n, double spread_ms, std::uint64_t clusters, double seconds) {
  Waits out;
  for (std::uint64_t seed = 1; seed <= clusters; ++seed) {
    SerfCluster cluster({n, seed});
    Rng rng(seed, "closed forms", "start");
    cluster.assemble(starts(n, spread_ms, rng));
    cluster.run_to_quiet(5000, 2000);
    cluster.probed.clear();
    cluster.run_for(seconds * 1000);
    std::map<std::uint32_t, double> last;
    for (const auto& h : cluster.probed) {
      const auto [it, first] = last.emplace(h.member, h.ms);
      if (!first) out.gaps.push_back((h.ms - it->second) / 1000);
      it->second = h.ms;
    }
  }
  return out;
}

}  // namespace

// state.go probe: two lists of two leave three ticks of seven without a probe, with three members one tick of nineteen.
TEST_CASE("fidelity: an idle node probes once an interval, and in the smallest pools less often") {
  struct Row {
    std::uint32_t n;
    double rate, tolerance;
  };
  for (const Row& row : {Row{2, 4.0 / 7, 0.02}, Row{3, 18.0 / 19, 0.01}, Row{4, 1, 0.0005}, Row{6, 1, 0.0005}}) {
    SerfCluster cluster({row.n, row.n, "lan", SerfCluster::Keep::kPackets});
    Rng rng(row.n, "closed forms", "start");
    cluster.assemble(starts(row.n, 1000, rng));
    cluster.run_to_quiet(10'000, 5000);
    const double from = cluster.now();
    cluster.probed.clear();
    cluster.run_for(4'000'000);
    check_close(fmt::format("N = {}: probes per node and second", row.n), row.rate,
                static_cast<double>(cluster.probed.size()) / row.n / 4000, row.tolerance);
    CHECK(cluster.asked.empty());
    std::size_t datagrams = 0;
    const trace::Recording packets = cluster.recording();
    packets.each([&](std::uint64_t, const trace::Record& r) {
      if (static_cast<double>(r.t) / 1e6 > from && static_cast<trace::Proto>(r.x) == trace::Proto::kUdp) {
        ++datagrams;
        const std::string_view what = packets.text(static_cast<std::uint32_t>(r.d));
        CHECK((what == "ping" || what == "ack"));  // nothing to gossip
      }
      return true;
    });
    CHECK(std::abs(static_cast<double>(datagrams) - 2 * static_cast<double>(cluster.probed.size())) <= row.n);
  }
}

// SWIM (Das 2002) section 3: e/(e - 1) periods to the first detection, where all members probe in step; members probe
// in the order of a shuffled list, and most clusters do not tick in step.
TEST_CASE("fidelity: the wait for the first probe of a dead node") {
  struct Row {
    std::uint32_t n;
    double mean, p99, aligned;
    std::uint64_t clusters;
    double seconds;
  };
  for (const Row& row :
       {Row{3, 0.73, 2.3, 0.81, 100, 200}, Row{5, 0.81, 3.1, 0.90, 60, 200}, Row{8, 0.88, 3.6, 0.97, 40, 200},
        Row{16, 0.95, 4.1, 1.02, 16, 200}, Row{64, 0.95, 4.5, 1.05, 4, 200}}) {
    const Waits random = waits_for_a_probe(row.n, 1000, row.clusters, row.seconds);
    check_close(fmt::format("N = {}: mean wait, random phases, s", row.n), row.mean, random.mean(),
                row.n == 64 ? 0.06 : 0.04);
    check_close(fmt::format("N = {}: p99 of the wait, random phases, s", row.n), row.p99, random.quantile(0.99), 0.35);
    const Waits aligned = waits_for_a_probe(row.n, 0, std::max<std::uint64_t>(2, row.clusters / 2), row.seconds);
    check_close(fmt::format("N = {}: mean wait, ticks aligned, s", row.n), row.aligned, aligned.mean(), 0.03);
  }
}

// Full state of a quiet pool with names of nine letters and no tags, compressed.
TEST_CASE("fidelity: the size of a push/pull") {
  for (const auto& [n, bytes] : std::map<std::uint32_t, double>{{10, 525}, {100, 1712}}) {
    SerfCluster cluster({n, 1, "lan", SerfCluster::Keep::kPackets, 9});
    Rng rng(n, "closed forms", "start");
    cluster.assemble(starts(n, 3000, rng));
    cluster.run_to_quiet(60'000, 10'000);
    const double from = cluster.now();
    cluster.push_pull.clear();
    cluster.run_for(95'000);
    double payload = 0;
    const trace::Recording packets = cluster.recording();
    packets.each([&](std::uint64_t, const trace::Record& r) {
      if (static_cast<double>(r.t) / 1e6 > from && static_cast<trace::Proto>(r.x) == trace::Proto::kTcp &&
          (r.b >> 48 & 2) == 0)
        payload += r.a - 52;
      return true;
    });
    check_close(fmt::format("N = {}: bytes of a push/pull, each way", n), bytes,
                payload / 2 / static_cast<double>(cluster.push_pull.size()), 0.08 * bytes);
  }
}

// Nodes of memberlist on loopback, one killed: tests/data/vectors/gossip/detection_measurements.json.
TEST_CASE("fidelity: detection takes as long as memberlist was measured to take") {
  std::map<std::uint32_t, std::vector<test::Json>> rows;
  const test::Json file = test::load_vectors("detection_measurements.json");
  for (const test::Json& row : file.at("rows")) rows[row.at("n").get<std::uint32_t>()].push_back(row);
  REQUIRE(!rows.empty());
  for (const auto& [n, measurements] : rows) {
    std::vector<double> suspect, wait, spread, sim_suspect, sim_wait, sim_spread;
    for (const test::Json& row : measurements) {
      CHECK(row.at("first_marking_confirmations").get<int>() == 2);
      suspect.push_back(row.at("first_suspect_s").get<double>() * 1000);
      wait.push_back(row.at("first_marking_s").get<double>() * 1000 - suspect.back());
      spread.push_back((row.at("last_dead_s").get<double>() - row.at("first_dead_s").get<double>()) * 1000);
    }
    constexpr std::uint64_t kRuns = 120;
    int highest = 0;
    for (std::uint64_t seed = 1; seed <= kRuns; ++seed) {
      SerfCluster cluster({n, seed});
      Rng rng(seed, "detection", "start");
      cluster.assemble(starts(n, 1000, rng));
      const double at = cluster.run_to_quiet(uniform(rng, 8000, 10'000), 5000);
      const auto victim = static_cast<std::uint32_t>(rng.below(n));
      cluster.crash(victim);
      while (cluster.failed.size() < n - 1 && cluster.now() < at + 60'000) cluster.run_for(200);
      REQUIRE(cluster.failed.size() == n - 1);
      sim_suspect.push_back(cluster.probe_failed.front().ms - at);
      sim_wait.push_back(cluster.declared.front().ms - cluster.probe_failed.front().ms);
      sim_spread.push_back(cluster.failed.back().ms - cluster.failed.front().ms);
      for (const auto& h : cluster.health) highest = std::max(highest, static_cast<int>(h.value));
    }
    const auto compare = [&, size = n](const char* what, const std::vector<double>& a, const std::vector<double>& b) {
      check_alike({fmt::format("memberlist, N = {}: {}", size, what), a, b, a.size(), b.size(), 30, 1});
    };
    compare("first suspicion, ms", suspect, sim_suspect);
    compare("first suspicion to first death, ms", wait, sim_wait);
    compare("first to last death notice, ms", spread, sim_spread);
    CHECK(highest >= 3);
    CHECK(highest <= 4);
  }
}

namespace {

/// What a capture of a cluster says about the one member that was killed; milliseconds.
struct Recorded {
  struct Probe {
    double pinged = -1;  ///< not every ping was kept
    std::vector<double> asked, nacked;
  };
  std::string victim;
  std::vector<Probe> probes;  ///< that asked others
  double first_suspect = -1, first_dead = -1;
  std::vector<std::string> order;  ///< of the kinds of messages about the victim, by their first
};

void messages_of(const test::Json& message, std::vector<test::Json>& out) {
  if (message.contains("inner")) return messages_of(message.at("inner"), out);
  if (message.value("type", "") != "compound") return out.push_back(message);
  for (const test::Json& part : message.at("parts")) messages_of(part, out);
}

Recorded read_capture(const std::string& name) {
  struct One {
    double ms;
    std::string src, dst;
    test::Json message;
  };
  Recorded out;
  std::vector<One> all;
  const test::Json file = test::load_vectors(name);
  for (const test::Json& record : file.at("records")) {
    if (record.at("transport") != "udp") continue;
    std::vector<test::Json> messages;
    messages_of(record.at("decoded").at("message"), messages);
    for (test::Json& m : messages) {
      if (m.value("type", "") == "dead" && out.victim.empty()) out.victim = m.at("Node");
      all.push_back({record.at("t").get<double>() * 1000, record.at("src"), record.at("dst"), std::move(m)});
    }
  }
  REQUIRE_FALSE(out.victim.empty());
  std::map<std::pair<std::string, int>, Recorded::Probe> probes;  // by prober and its SeqNo
  for (const One& one : all) {
    const std::string type = one.message.value("type", "");
    const int seq_no = one.message.value("SeqNo", 0);
    const bool about = one.message.value("Node", "") == out.victim;
    if (type == "ping" && about) probes[{one.src, seq_no}].pinged = one.ms;
    if (type == "indirectPing" && about) probes[{one.src, seq_no}].asked.push_back(one.ms);
    if (type == "nack") probes[{one.dst, seq_no}].nacked.push_back(one.ms);
    if (type == "suspect" && about && out.first_suspect < 0) out.first_suspect = one.ms;
    if (type == "dead" && about && out.first_dead < 0) out.first_dead = one.ms;
    if ((type == "indirectPing" || type == "suspect" || type == "nack" || type == "dead") && (about || type == "nack") &&
        std::find(out.order.begin(), out.order.end(), type) == out.order.end()) {
      out.order.push_back(type);
    }
  }
  for (const auto& [key, probe] : probes) {
    if (!probe.asked.empty()) out.probes.push_back(probe);
  }
  return out;
}

}  // namespace

// Five nodes of which one was killed: tests/data/vectors/gossip/capture_five.json.
TEST_CASE("fidelity: a failed probe asks three, whose nacks come just after it is over") {
  const Recorded real = read_capture("capture_five.json");
  REQUIRE(real.probes.size() >= 3);
  std::size_t real_asked = 0;
  double ask_after_ping = 0, suspect_after_ask = 1e9, first_nack = 1e9, last_nack = 0;
  for (const Recorded::Probe& probe : real.probes) {
    CHECK(probe.nacked.size() == probe.asked.size());  // nobody reached it
    real_asked += probe.asked.size();
    suspect_after_ask = std::min(suspect_after_ask, std::abs(real.first_suspect - probe.asked.front()));
    if (probe.pinged >= 0) ask_after_ping = std::max(ask_after_ping, probe.asked.front() - probe.pinged);
    for (const double nack : probe.nacked) {
      first_nack = std::min(first_nack, nack - probe.asked.front());
      last_nack = std::max(last_nack, nack - probe.asked.front());
    }
  }
  const double asked_each = static_cast<double>(real_asked) / static_cast<double>(real.probes.size());
  CHECK(first_nack > suspect_after_ask);  // late, every one
  CHECK(real.order == std::vector<std::string>{"indirectPing", "suspect", "nack", "dead"});

  double asked = 0, failures = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SerfCluster cluster({5, seed});
    cluster.assemble({0, 130, 260, 390, 520});
    const double at = cluster.run_to_quiet(8900, 5000);
    cluster.crash(4);
    while (cluster.declared.empty() && cluster.now() < at + 60'000) cluster.run_for(200);
    REQUIRE(!cluster.declared.empty());
    REQUIRE(!cluster.probe_failed.empty());
    check_close("capture_five: first suspicion to first death, ms", real.first_dead - real.first_suspect,
                cluster.declared.front().ms - cluster.probe_failed.front().ms, 30);
    std::map<std::uint32_t, double> failed;  // the first of each prober
    for (const auto& h : cluster.probe_failed) failed.emplace(h.node, h.ms);
    for (const auto& [prober, ms] : failed) {
      const auto by = [&, prober = prober](const SerfCluster::Happening& h) { return h.node == prober && h.ms >= at; };
      const auto ping = std::find_if(cluster.probed.begin(), cluster.probed.end(),
                                     [&](const auto& h) { return by(h) && h.member == 4; });
      const auto ask = std::find_if(cluster.asked.begin(), cluster.asked.end(), by);
      REQUIRE(ping != cluster.probed.end());
      REQUIRE(ask != cluster.asked.end());
      CHECK(ask->ms - ping->ms == doctest::Approx(ask_after_ping).epsilon(0.06));
      CHECK(ms - ask->ms == doctest::Approx(suspect_after_ask).epsilon(0.01));
      const auto expected = std::find_if(cluster.probe_failed.begin(), cluster.probe_failed.end(), by)->value;
      asked += static_cast<double>(expected);
      ++failures;
      for (const auto& h : cluster.nack_received) CHECK_FALSE((h.node == prober && h.ms >= at && h.ms <= ms));
      // Every missed nack costs a point of health, and they all were missed.
      const auto score = std::find_if(cluster.health.begin(), cluster.health.end(), by);
      REQUIRE(score != cluster.health.end());
      CHECK(score->value == expected);
      // A relay's answer leaves half a second after it was asked, and then has to travel.
      const auto nack = std::find_if(cluster.nack_sent.begin(), cluster.nack_sent.end(),
                                     [&, ms = ms](const auto& h) { return h.ms > ms - 1 && h.ms < ms + 5; });
      REQUIRE(nack != cluster.nack_sent.end());
      CHECK(nack->ms >= ms);
      CHECK(nack->ms - ask->ms >= 0.99 * first_nack);
      CHECK(nack->ms - ask->ms <= last_nack);
    }
  }
  // Of 15 draws among five nodes, all three others are nearly always among them.
  check_close("capture_five: others asked by a failed probe", asked_each, asked / failures, 0.1);
}
