#include <fmt/format.h>

#include <map>

#include "ground_truth.h"
#include "samples.h"
#include "serf_cluster.h"

using namespace dcsim;
using namespace dcsim::fidelity;

namespace {

constexpr double kUdpHeaders = 28, kTcpHeaders = 52;  // RFC 791, 768; 9293 with timestamps (RFC 7323)
constexpr std::uint32_t kPort = 7946;

/// Packets sent by a quiet cluster while it was watched.
struct Traffic {
  struct Kind {
    double datagrams = 0, payload = 0;
  };
  std::map<std::string, Kind> udp;  ///< by leading message
  double udp_bytes = 0, tcp_packets = 0, tcp_bytes = 0;
  double tx = 0, rx = 0;  ///< TCP payload of initiators and of their peers
  double exchanges = 0;
};

Traffic watch(SerfCluster& cluster, double from, double until) {
  Traffic t;
  const trace::Recording packets = cluster.recording();
  packets.each([&](std::uint64_t, const trace::Record& r) {
    const double ms = static_cast<double>(r.t) / 1e6;
    if (ms <= from || ms > until) return true;
    if (static_cast<trace::Proto>(r.x) == trace::Proto::kUdp) {
      Traffic::Kind& kind = t.udp[std::string(packets.text(static_cast<std::uint32_t>(r.d)))];
      ++kind.datagrams;
      kind.payload += r.a - kUdpHeaders;
      t.udp_bytes += r.a;
    } else {
      ++t.tcp_packets;
      t.tcp_bytes += r.a;
      const bool syn = ((r.b >> 48) & 2) != 0;
      const bool served = ((r.b >> 32) & 0xFFFF) == kPort;
      if (!syn) (served ? t.rx : t.tx) += r.a - kTcpHeaders;
    }
    return true;
  });
  for (const auto& h : cluster.push_pull) t.exchanges += h.ms > from && h.ms <= until ? 1 : 0;
  return t;
}

}  // namespace

TEST_CASE("fidelity: a quiet cluster sends what real ones send, packet by packet and byte by byte") {
  const auto files = measured("steady_");
  REQUIRE(!files.empty());
  for (const Measured& file : files) {
    const auto profile = file.json.at("versions").at("profile").get<std::string>();
    std::uint64_t seed = 1;
    for (const Json& run : file.json.at("runs")) {
      CAPTURE(file.name);
      SerfCluster cluster({file.n, seed++, profile, SerfCluster::Keep::kPackets});
      cluster.assemble(run.at("start_ms").get<std::vector<double>>());
      while (!cluster.converged()) cluster.run_for(100);
      cluster.run_for(45'000);
      const Json& real = run.at("summary");
      const auto seconds = real.at("observed_s").get<double>();
      const double from = cluster.now();
      cluster.run_for(seconds * 1000);
      CHECK(cluster.failed.empty());
      CHECK(cluster.probe_failed.empty());
      const Traffic t = watch(cluster, from, cluster.now());
      const double node_seconds = seconds * file.n;
      const bool tagged = run.at("tag_payload_bytes").get<int>() != 0;  // what the tags said was not kept
      const auto name = [&](const char* what) { return fmt::format("{}: {}", file.name, what); };

      CHECK(t.udp.size() == real.at("udp_datagrams_by_leading_message").size());
      double datagrams = 0;
      for (const auto& [kind, values] : real.at("udp_datagrams_by_leading_message").items()) {
        const auto sent = t.udp.find(kind);
        REQUIRE(sent != t.udp.end());
        const Traffic::Kind& mine = sent->second;
        datagrams += mine.datagrams;
        check_close(name((kind + " datagrams per node and second").c_str()),
                    values.at("datagrams_per_node_s").get<double>(), mine.datagrams / node_seconds, 0.005);
        // Recorded to a tenth of a byte. The SeqNo grows by a byte at 128 and at 256; names differ by none.
        check_close(name((kind + " payload, bytes").c_str()), values.at("mean_payload").get<double>(),
                    mine.payload / mine.datagrams, 0.15);
      }
      check_close(name("UDP packets per node and second"), real.at("udp_ip_packets_per_node_s").get<double>(),
                  datagrams / node_seconds, 0.005);
      check_close(name("UDP bytes per node and second, IP"), real.at("udp_ip_bytes_per_node_s").get<double>(),
                  t.udp_bytes / node_seconds, 0.8);
      check_close(name("push/pulls per node and second"), real.at("push_pull_streams_per_node_s").get<double>(),
                  t.exchanges / node_seconds, 0.0005);
      const double packets =
          real.at("tcp_ip_packets_per_node_s").get<double>() / real.at("push_pull_streams_per_node_s").get<double>();
      check_close(name("TCP packets per push/pull"), packets, t.tcp_packets / t.exchanges, 0.1);
      if (tagged) continue;
      const auto tx = real.at("stream_payload_bytes_initiator_tx_mean").get<double>();
      const auto rx = real.at("stream_payload_bytes_initiator_rx_mean").get<double>();
      // Compressed: which names and addresses the nodes have, and in what order they go out, shows in the last few
      // bytes.
      check_close(name("push/pull payload sent, bytes"), tx, t.tx / t.exchanges, 0.02 * tx);
      check_close(name("push/pull payload received, bytes"), rx, t.rx / t.exchanges, 0.02 * rx);
      const auto bytes = real.at("tcp_ip_bytes_per_node_s").get<double>();
      check_close(name("TCP bytes per node and second, IP"), bytes, t.tcp_bytes / node_seconds, 0.02 * bytes);

      // A fixed period after a random stagger: every node starts an exchange once an interval, at its own phase.
      std::map<std::uint32_t, std::vector<double>> by_node;
      for (const auto& h : cluster.push_pull) {
        if (h.ms > from) by_node[h.node].push_back(h.ms);
      }
      CHECK(by_node.size() == file.n);
      const double period = file.n > 32 ? 60'000 : 30'000;
      for (const auto& [node, at] : by_node) {
        for (std::size_t i = 1; i < at.size(); ++i) CHECK(at[i] - at[i - 1] == doctest::Approx(period).epsilon(0.0001));
      }
    }
  }
}
