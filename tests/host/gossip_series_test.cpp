#include <map>

#include "cluster_fixture.h"

using namespace dcsim;
using namespace dcsim::host;
using trace::Ev;
using trace::Series;

// memberlist's and Serf's own telemetry, and the log lines of both.

namespace {

constexpr Series kWatched[] = {Series::kMemberlistProbeNode,     Series::kMemberlistGossip,           Series::kMemberlistPushPullNode,
                               Series::kMemberlistTcpAccept,     Series::kMemberlistTcpConnect,       Series::kMemberlistTcpSent,
                               Series::kMemberlistUdpSent,       Series::kMemberlistUdpReceived,      Series::kMemberlistQueueBroadcasts,
                               Series::kMemberlistNodeInstances, Series::kMemberlistSizeLocal,        Series::kMemberlistSizeRemote,
                               Series::kMemberlistHealthScore,   Series::kSerfMsgsReceived,           Series::kSerfMsgsSent,
                               Series::kSerfQueueQuery,          Series::kSerfCoordinateAdjustmentMs, Series::kSerfCoordinateRejected,
                               Series::kSerfEvents,              Series::kSerfQueries,                Series::kMembersServers,
                               Series::kMembersClients,          Series::kSerfMemberLeft,             Series::kSerfMemberLeave,
                               Series::kPushPull};

/// A pool, and any aggregate of any series over the whole run.
struct Watched {
  explicit Watched(WorldSpec spec) : pool(std::move(spec)) {
    for (const Series series : kWatched) {
      for (const trace::AggregateFn fn : {trace::AggregateFn::kCount, trace::AggregateFn::kSum, trace::AggregateFn::kMax, trace::AggregateFn::kValue}) {
        open({.fn = fn, .series = series});
      }
    }
  }
  trace::AggregateId open(const trace::AggregateSpec& spec) {
    const auto id = pool.metrics.subscribe(spec);
    REQUIRE(id.ok());
    pool.metrics.open(*id, Instant{});
    ids[{spec.series, spec.fn, spec.matchers.empty() ? "" : spec.matchers[0].text}] = *id;
    return *id;
  }
  double read(Series series, trace::AggregateFn fn = trace::AggregateFn::kCount, const std::string& match = "") {
    CAPTURE(trace::series_spec(series).name);
    const trace::Value v = pool.metrics.read(ids.at({series, fn, match}), pool.world.engine().now());
    REQUIRE(v.kind == trace::Value::Kind::kNumber);
    return v.number;
  }
  double sum(Series series) { return read(series, trace::AggregateFn::kSum); }

  Pool pool;
  std::map<std::tuple<Series, trace::AggregateFn, std::string>, trace::AggregateId> ids;
};

bool logged(Pool& pool, int n, trace::LogLevel level, std::string_view begin) {
  for (const trace::Record& r : pool.records(Ev::kLog, n)) {
    if (r.x == static_cast<std::uint16_t>(level) && pool.field(r, "text").starts_with(begin)) return true;
  }
  return false;
}

WorldSpec serf_spec(int agents) {
  WorldSpec spec = pool_spec(agents);
  for (int i = 1; i <= agents; ++i) {
    RawValue::Map keys;
    keys.emplace_back("bind", raw(fmt::format("10.0.0.{}", i)));
    if (i > 1) keys.emplace_back("retry_join", RawValue{RawValue::List{raw("10.0.0.1")}, 0});
    std::vector<consul::ConfigProblem> problems;
    spec.agents[static_cast<std::size_t>(i - 1)].config = consul::build_config(consul::AgentKind::kSerf, RawValue{std::move(keys), 0}, fmt::format("n{}", i), "dc1", "", {}, problems);
    CHECK(problems.empty());
  }
  return spec;
}

}  // namespace

TEST_CASE("series: memberlist's traffic is what its sockets carry") {
  Watched w(pool_spec(4));
  w.pool.start_all();
  w.pool.run_for(3_min);
  REQUIRE(w.pool.alive_in(4) == 4);
  double udp = 0, packets = 0;
  for (std::uint32_t i = 0; i < 4; ++i) {
    const auto sent = w.pool.world.network().host_counters(HostId{i}).sent[0];
    udp += static_cast<double>(sent.bytes);
    packets += static_cast<double>(sent.packets);
  }
  CHECK(w.read(Series::kMemberlistUdpSent) == udp - 28 * packets);  // without IP and UDP headers
  CHECK(w.read(Series::kMemberlistUdpReceived) <= w.read(Series::kMemberlistUdpSent));
  CHECK(w.read(Series::kMemberlistUdpReceived) >= w.read(Series::kMemberlistUdpSent) - 500);  // a few are on their way
  // Nobody is out of reach of UDP: every stream is a push/pull.
  const auto exchanges = static_cast<double>(w.pool.records(Ev::kPushPull).size());
  CHECK(exchanges > 10);
  CHECK(w.read(Series::kMemberlistTcpConnect) == exchanges);
  CHECK(w.read(Series::kMemberlistTcpAccept) == exchanges);
  CHECK(w.read(Series::kMemberlistPushPullNode) == exchanges);
  CHECK(w.read(Series::kPushPull) == exchanges);
  CHECK(w.read(Series::kMemberlistPushPullNode, trace::AggregateFn::kMax) >= 4);   // 1 ms a link: two round trips over two
  CHECK(w.read(Series::kMemberlistPushPullNode, trace::AggregateFn::kMax) < 12);
  CHECK(w.read(Series::kMemberlistSizeRemote) == 2 * exchanges);
  CHECK(w.read(Series::kMemberlistTcpSent) == w.sum(Series::kMemberlistSizeRemote));
  CHECK(w.read(Series::kMemberlistSizeLocal) == 4);  // a gauge of each node
  CHECK(w.read(Series::kMemberlistSizeLocal, trace::AggregateFn::kMax) > w.read(Series::kMemberlistSizeRemote, trace::AggregateFn::kMax));
}

TEST_CASE("series: probes, gossip rounds, coordinates, queues and Serf's messages are measured as upstream does") {
  Watched w(pool_spec(4));
  w.pool.start_all();
  w.pool.run_for(95_s);
  const auto acked = static_cast<double>(w.pool.records(Ev::kProbeAcked).size());
  CHECK(acked > 300);
  CHECK(w.read(Series::kMemberlistProbeNode) == acked);
  CHECK(w.read(Series::kSerfCoordinateAdjustmentMs) == acked);
  CHECK(w.read(Series::kSerfCoordinateAdjustmentMs, trace::AggregateFn::kMax) > 0);
  CHECK(w.read(Series::kSerfCoordinateRejected) == 0);
  CHECK(w.read(Series::kMemberlistGossip) > 5);
  CHECK(w.read(Series::kMemberlistGossip) < 400);  // nothing to send, no round
  CHECK(w.read(Series::kSerfQueueQuery) == 4 * 3);
  CHECK(w.read(Series::kMemberlistQueueBroadcasts) == 4 * 3);
  CHECK(w.read(Series::kSerfMsgsSent) > 12);
  CHECK(w.read(Series::kSerfMsgsReceived) <= w.read(Series::kSerfMsgsSent));
  CHECK(w.sum(Series::kSerfMsgsSent) >= 17 * w.read(Series::kSerfMsgsSent));  // the least is a join intent, 15 bytes and a name
  CHECK(w.read(Series::kMemberlistHealthScore) == 4);  // 0 from the start on
  w.pool.world.crash(w.pool.id(4));
  w.pool.run_for(20_s);
  // A failed probe took the whole interval, or several of them.
  CHECK(w.read(Series::kMemberlistProbeNode, trace::AggregateFn::kMax) >= 1000);
  CHECK(w.read(Series::kMemberlistHealthScore) == 3);
}

TEST_CASE("series: members by state and by role, and no value of an agent that is gone") {
  Watched w(pool_spec(4));
  const auto state = [&](const char* text) {
    trace::AggregateSpec spec{.fn = trace::AggregateFn::kMax, .series = Series::kMemberlistNodeInstances};
    spec.matchers = {{"node_state", trace::MatchOp::kEqual, text}};
    return w.open(spec);
  };
  state("alive");
  state("dead");
  w.pool.start_all();
  w.pool.run_for(2_min);
  CHECK(w.read(Series::kMemberlistNodeInstances, trace::AggregateFn::kMax, "alive") == 4);
  CHECK(w.read(Series::kMemberlistNodeInstances, trace::AggregateFn::kMax, "dead") == 0);
  CHECK(w.read(Series::kMemberlistNodeInstances) == 4 * 4);
  CHECK(w.read(Series::kMembersServers) == 1);  // servers alone report
  CHECK(w.read(Series::kMembersServers, trace::AggregateFn::kValue) == 1);
  CHECK(w.read(Series::kMembersClients, trace::AggregateFn::kValue) == 3);
  w.pool.world.crash(w.pool.id(1));
  CHECK(w.read(Series::kMembersServers) == 0);
  CHECK(w.read(Series::kMemberlistNodeInstances) == 3 * 4);
}

TEST_CASE("series: a leave is counted as left, a force-leave is an event and no more") {
  Watched w(pool_spec(4));
  w.pool.start_all();
  w.pool.run_for(20_s);
  w.pool.world.stop(w.pool.id(4));
  w.pool.run_for(20_s);
  CHECK(w.read(Series::kSerfMemberLeft) == 4);  // itself too
  CHECK(w.read(Series::kSerfMemberLeave) == 4);
  w.pool.world.crash(w.pool.id(3));
  w.pool.run_for(30_s);
  w.pool.command(1, "consul force-leave n3");
  w.pool.run_for(20_s);
  CHECK(w.read(Series::kSerfMemberLeft) == 4);
  CHECK(w.read(Series::kSerfMemberLeave) == 6);
}

TEST_CASE("series: user events count where they are delivered") {
  Watched w(serf_spec(3));
  w.pool.start_all();
  w.pool.run_for(10_s);
  w.pool.command(1, "serf event deploy 42");
  w.pool.run_for(5_s);
  CHECK(w.read(Series::kSerfEvents) == 3);
  CHECK(w.read(Series::kSerfQueries) == 0);
}

TEST_CASE("series: who watches changes nothing") {
  Watched w(pool_spec(4));
  Pool alone(4);
  for (Pool* pool : {&w.pool, &alone}) {
    pool->start_all();
    pool->run_for(30_s);
    pool->world.crash(pool->id(3));
    pool->run_for(60_s);
  }
  CHECK(w.pool.tracer.digest() == alone.tracer.digest());
}

TEST_CASE("log: a refused merge is logged by who was asked, in memberlist's words") {
  WorldSpec spec = pool_spec(3);
  RawValue::Map keys;
  keys.emplace_back("segment", raw("alpha"));
  spec.agents[2].config = config_of("n3", *Address::parse("10.0.0.3"), false, keys);
  Pool pool(std::move(spec));
  pool.start_all();
  pool.run_for(5_s);
  CHECK(logged(pool, 1, trace::LogLevel::kError,
               "agent.server.memberlist.lan: memberlist: Failed push/pull merge: Member 'n3' part of wrong segment 'alpha' (expected '') from=10.0.0.3:"));
  // The joiner says what its own gate found, once for its join.
  CHECK(logged(pool, 3, trace::LogLevel::kWarn, "agent: (LAN) couldn't join: number_of_nodes=0 error=\"1 error occurred:"));
  CHECK_FALSE(logged(pool, 3, trace::LogLevel::kError, "agent.client.memberlist.lan: memberlist: Failed push/pull merge"));
  for (const trace::Record& r : pool.records(Ev::kLog, 1)) {
    if (pool.field(r, "text").find("Failed push/pull merge") != std::string::npos) CHECK(pool.chain(r).starts_with("merge-rejected "));
  }
}

TEST_CASE("log: memberlist's lines from INFO on are records, at their level and by what they follow from") {
  Pool pool(4);
  pool.start_all();
  pool.run_for(20_s);
  pool.world.crash(pool.id(4));
  pool.run_for(30_s);
  bool suspected = false, marked = false;
  for (int n = 1; n <= 3; ++n) {
    const std::string who = n == 1 ? "server" : "client";
    suspected = suspected || logged(pool, n, trace::LogLevel::kInfo, fmt::format("agent.{}.memberlist.lan: memberlist: Suspect n4 has failed, no acks received", who));
    marked = marked || logged(pool, n, trace::LogLevel::kInfo,
                              fmt::format("agent.{}.memberlist.lan: memberlist: Marking n4 as failed, suspect timeout reached (2 peer confirmations)", who));
  }
  CHECK(suspected);
  CHECK(marked);
  for (const trace::Record& r : pool.records(Ev::kLog)) {
    const std::string text = pool.field(r, "text");
    CHECK(text.find("Failed UDP ping") == std::string::npos);  // that is DEBUG
    if (text.find("Suspect n4") != std::string::npos) CHECK(pool.chain(r).starts_with("probe-failed "));
    if (text.find("Marking n4") != std::string::npos) CHECK(pool.chain(r).starts_with("suspect-expired "));
  }
}

TEST_CASE("log: a plain Serf agent's lines have no logger's name before them") {
  Pool pool(serf_spec(3));
  pool.start_all();
  pool.run_for(20_s);
  pool.world.crash(pool.id(3));
  pool.run_for(60_s);
  CHECK((logged(pool, 1, trace::LogLevel::kInfo, "memberlist: Suspect n3 has failed") || logged(pool, 2, trace::LogLevel::kInfo, "memberlist: Suspect n3 has failed")));
  CHECK(logged(pool, 1, trace::LogLevel::kInfo, "serf: attempting reconnect to n3 10.0.0.3:7946"));
}

TEST_CASE("series: gossip bytes leave out what goes over RPC ports") {
  const auto rate = [](bool rpc) {
    WorldSpec spec = cluster_spec(3, 1);
    spec.rpc = rpc;
    Watched w(std::move(spec));
    w.open({.fn = trace::AggregateFn::kSum, .series = Series::kNodeGossipBytesPerS});
    w.pool.world.recorder().start_sampling(30_s);
    w.pool.start_all();
    w.pool.run_for(120_s);
    return w.sum(Series::kNodeGossipBytesPerS);
  };
  const double with = rate(true), without = rate(false);
  CHECK(without > 0);
  CHECK(with > 0);
  CHECK(with < 1.05 * without);  // heartbeats and AppendEntries alone would be several times as much
}
