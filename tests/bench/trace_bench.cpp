#include "base/name_table.h"
#include "bench.h"
#include "trace/metrics.h"
#include "trace/recording.h"
#include "trace/render.h"
#include "trace/tracer.h"

namespace {

using namespace dcsim;
using namespace dcsim::trace;

constexpr std::uint64_t kRecords = 20'000'000;

/// Packets between a thousand hosts, as a run writes them: two records a packet, causes, four names each.
struct Traffic {
  Traffic() {
    for (int i = 0; i < 1000; ++i) hosts.push_back(names.intern("host-" + std::to_string(i) + ".dc1"));
    what = names.intern("ping");
  }
  void run(Tracer& tracer) {
    Cause last;
    for (std::uint64_t i = 0; i < kRecords; i += 2) {
      const NameId from = hosts[i * 7919 % 1000];
      const NameId to = hosts[i * 104729 % 1000];
      const Fields packet = fields::packet(Proto::kUdp, 62, pack_endpoint(from, 8301), pack_endpoint(to, 8301), what);
      const Instant t{static_cast<std::int64_t>(i) * 100};
      last = tracer.append(t, Ev::kPacketSent, from, packet, last);
      last = tracer.append(t + 50_us, Ev::kPacketDelivered, to, packet, last);
    }
    bench::keep(last);
  }
  double measure(TracerOptions options) {
    Tracer tracer(names, std::move(options));
    return bench::ns_per_operation(kRecords, [&] { run(tracer); });
  }

  NameTable names;
  std::vector<NameId> hosts;
  NameId what;
};

}  // namespace

BENCHMARK_CASE("trace/append") {
  Traffic traffic;
  const auto [with, without] = dcsim::bench::turn_about(
      5, [&] { return traffic.measure({}); }, [&] { return traffic.measure({.digest = false}); });
  report.add({.name = "trace: append a 48-byte record with its digest",
              .unit = "ns/record",
              .ours = with,
              .note = "two records a packet, four names each"});
  report.add({.name = "trace: the same without digest", .unit = "ns/record", .ours = without});
  report.add({.name = "trace: what the digest costs", .unit = "ns/record", .ours = with - without});
}

BENCHMARK_CASE("trace/spill") {
  Traffic traffic;
  const std::string path = "/tmp/dcsim-bench-trace.bin";
  const double ns = dcsim::bench::median_of(3, [&] {
    Tracer tracer(traffic.names, {.keep = Keep::kFile, .path = path});
    return dcsim::bench::ns_per_operation(kRecords, [&] {
      traffic.run(tracer);
      dcsim::bench::keep(tracer.finish().ok());
    });
  });
  std::remove(path.c_str());
  report.add({.name = "trace: append with digest and spill to trace.bin", .unit = "ns/record", .ours = ns});
}

BENCHMARK_CASE("trace/render") {
  Traffic traffic;
  Tracer tracer(traffic.names, {.keep = Keep::kMemory});
  const NameId pool = traffic.names.intern("lan");
  constexpr std::uint64_t kLines = 500'000;
  for (std::uint64_t i = 0; i < kLines; ++i) {
    tracer.append(Instant{static_cast<std::int64_t>(i)}, Ev::kProbeSent, traffic.hosts[i % 1000],
                  fields::probe(traffic.hosts[i % 997], pool, static_cast<std::uint32_t>(i), 500_ms));
  }
  const Recording recording = tracer.recording();
  std::string out;
  const double ns = dcsim::bench::ns_per_operation(kLines, [&] {
    recording.each([&](std::uint64_t n, const Record& r) {
      append_json_line(out, n, r, recording);
      if (out.size() > 1 << 16) out.clear();
      return true;
    });
  });
  report.add({.name = "trace: render a line of trace.jsonl, offline", .unit = "ns/record", .ours = ns});
}

BENCHMARK_CASE("trace/metrics") {
  Traffic traffic;
  MetricHub hub(traffic.names);
  constexpr std::uint64_t kEmissions = 10'000'000;
  const NameId lan = traffic.names.intern("lan");
  const auto emit = [&] {
    for (std::uint64_t i = 0; i < kEmissions; ++i) {
      hub.count(Instant{static_cast<std::int64_t>(i)}, Series::kProbeTimeout,
                {.observer = traffic.hosts[i % 1000], .member = traffic.hosts[i % 997], .slot = {lan}});
    }
  };
  report.add({.name = "metrics: emission that nobody subscribed to",
              .unit = "ns",
              .ours = dcsim::bench::ns_per_operation(kEmissions, emit)});
  const auto id = hub.subscribe(
      {.fn = AggregateFn::kCount, .series = Series::kProbeTimeout, .matchers = {{"pool", MatchOp::kEqual, "lan"}}});
  hub.open(*id, Instant{0});
  report.add({.name = "metrics: emission into one count with one matcher",
              .unit = "ns",
              .ours = dcsim::bench::ns_per_operation(kEmissions, emit)});
}
