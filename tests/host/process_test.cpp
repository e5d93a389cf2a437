#include <algorithm>

#include "host_fixture.h"

using namespace dcsim;
using namespace dcsim::host;
using trace::Ev;

TEST_CASE("process: a pool of real agents forms over the virtual network") {
  Pool pool(4);
  pool.start_all();
  pool.run_for(10_s);
  for (int n = 1; n <= 4; ++n) CHECK(pool.alive_in(n) == 4);
  CHECK(pool.records(Ev::kAgentStart).size() == 4);
  pool.world.network().check_balance();
}

TEST_CASE("pause: packets queue and timers fire late; on resume they are handled in order") {
  Pool pool(3);
  pool.start_all();
  pool.run_for(10_s);
  REQUIRE(pool.world.pause(pool.id(2)));
  CHECK(pool.process(2).state() == ProcessState::kPaused);
  CHECK(!pool.world.pause(pool.id(2)));
  const std::size_t probes = pool.records(Ev::kProbeSent, 2).size();
  const std::size_t sent = pool.records(Ev::kPacketSent, 2).size();
  const std::size_t delivered = pool.records(Ev::kPacketDelivered, 2).size();
  const Instant paused_at = pool.world.engine().now();
  pool.run_for(3_s);
  CHECK(pool.records(Ev::kProbeSent, 2).size() == probes);
  // The kernel still answers TCP, but the process sends nothing of its own: no acks to pings.
  for (const trace::Record& r : pool.records(Ev::kPacketSent, 2)) {
    if (r.t > paused_at.ns) CHECK(pool.field(r, "proto") == "tcp");
  }
  CHECK(pool.records(Ev::kPacketDelivered, 2).size() > delivered);
  CHECK(pool.records(Ev::kProbeTimeout).size() > 0);
  REQUIRE(pool.world.resume(pool.id(2)));
  CHECK(!pool.world.resume(pool.id(2)));
  CHECK(pool.process(2).state() == ProcessState::kRunning);
  CHECK(pool.records(Ev::kPacketSent, 2).size() > sent);  // the late acks go out at once
  pool.run_for(60_s);
  for (int n = 1; n <= 3; ++n) CHECK(pool.alive_in(n) == 3);
}

TEST_CASE("pause: the socket buffer holds 2 MiB, the rest is dropped and told") {
  Pool pool(2);
  pool.start_all();
  pool.run_for(5_s);
  pool.world.pause(pool.id(2));
  const std::vector<std::uint8_t> bytes(1400, 0xff);
  const Bytes datagram(ByteView(bytes.data(), bytes.size()));
  const Endpoint from{*Address::parse("10.0.0.1"), 8301}, to{*Address::parse("10.0.0.2"), 8301};
  const auto send = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) pool.world.network().udp_send(HostId{0}, from.port, to, datagram);
    pool.run_for(3_ms);
  };
  const std::size_t fits = (2u << 20) / 1400;
  send(fits);
  CHECK(pool.records(Ev::kPacketDropped).empty());
  send(3);
  const auto drops = pool.records(Ev::kPacketDropped);
  REQUIRE(drops.size() == 3);
  CHECK(pool.field(drops[0], "reason") == "buffer-full");
  // Lost, and not delivered as well.
  const auto delivered = pool.records(Ev::kPacketDelivered, 2);
  CHECK(std::count_if(delivered.begin(), delivered.end(), [&](const trace::Record& r) { return r.a == 1400 + 28; }) ==
        static_cast<std::ptrdiff_t>(fits));
  pool.world.network().check_balance();
  pool.world.resume(pool.id(2));
  // Drained: there is room again.
  pool.world.pause(pool.id(2));
  send(1);
  CHECK(pool.records(Ev::kPacketDropped).size() == 3);
}

TEST_CASE("pause: a command waits until the process runs again") {
  Pool pool(2);
  pool.start_all();
  pool.run_for(5_s);
  pool.world.pause(pool.id(2));
  pool.command(2, "consul members");
  pool.run_for(1_s);
  CHECK(pool.done.empty());
  pool.world.resume(pool.id(2));
  REQUIRE(pool.done.size() == 1);
  CHECK(pool.done[0].result.exit == 0);
  CHECK(pool.done[0].at == pool.world.engine().now());
}

TEST_CASE("slow CPU: each message waits its turn; nothing overtakes when the machine is quick again") {
  Pool pool(2);
  pool.start_all();
  pool.run_for(5_s);
  pool.process(2).set_service_time(100_ms);
  pool.command(2, "consul members");
  CHECK(pool.done.empty());
  pool.command(2, "consul join 10.0.0.1");
  pool.process(2).set_service_time({});
  pool.command(2, "consul leave");
  pool.run_for(99_ms);
  CHECK(pool.done.empty());  // also the third waits behind the first, which has its 100 ms to go
  pool.run_for(20_s);
  REQUIRE(pool.done.size() == 3);
  CHECK(pool.done[0].result.out.find("Node") == 0);
  CHECK(pool.done[1].result.out.find("Successfully joined") == 0);
}

TEST_CASE("slow CPU: an agent that is too slow is suspected") {
  Pool pool(3);
  pool.start_all();
  pool.run_for(5_s);
  pool.process(2).set_service_time(2_s);
  pool.run_for(60_s);
  CHECK(pool.records(Ev::kProbeFailed).size() > 0);
}

TEST_CASE("kill: nothing is said, ports close, peers' streams are reset") {
  Pool pool(3);
  pool.start_all();
  pool.run_for(5_s);
  const std::size_t sent = pool.records(Ev::kPacketSent, 2).size();
  REQUIRE(pool.world.crash(pool.id(2)));
  CHECK(!pool.process(2).running());
  CHECK(!pool.world.crash(pool.id(2)));
  pool.command(1, "consul join 10.0.0.2");
  pool.run_for(1_s);
  REQUIRE(pool.done.size() == 1);
  CHECK(pool.done[0].result.exit == 1);
  CHECK(pool.done[0].result.err.find("connection refused") != std::string::npos);
  const auto after = pool.records(Ev::kPacketSent, 2);
  CHECK(after.size() > sent);  // the kernel's resets, and nothing else
  for (std::size_t i = sent; i < after.size(); ++i) CHECK(pool.field(after[i], "proto") != "udp");
  pool.run_for(60_s);
  CHECK(pool.alive_in(1) == 2);
}

TEST_CASE("kill: a join under way ends with its agent") {
  Pool pool(3);
  pool.start_all();
  pool.run_for(5_s);
  net::PartitionSpec cut;
  cut.name = "cut";
  cut.sides = {{HostId{0}}, {HostId{1}, HostId{2}}};
  pool.world.network().partition(cut);
  pool.command(2, "consul join 10.0.0.1");
  pool.run_for(1_s);
  CHECK(pool.done.empty());
  pool.world.crash(pool.id(2));
  REQUIRE(pool.done.size() == 1);
  CHECK(pool.done[0].result.exit == 1);
  CHECK(pool.done[0].result.out.empty());
  pool.run_for(30_s);
  CHECK(pool.done.size() == 1);
}

TEST_CASE("command: at an agent that does not run it is refused as by a closed port") {
  Pool pool(2);
  pool.world.start(pool.id(1));
  pool.command(2, "consul members");
  REQUIRE(pool.done.size() == 1);
  CHECK(pool.done[0].result.exit == 1);
  CHECK(pool.done[0].result.err.find("connection refused") != std::string::npos);
}

TEST_CASE("restart: a process draws anew, a machine's slowness stays") {
  const auto probes_of_2 = [](Duration alone) {
    Pool pool(6);
    pool.start_all();
    pool.run_for(alone);
    std::vector<std::string> order;
    for (const trace::Record& r : pool.records(Ev::kProbeSent, 2)) order.push_back(pool.field(r, "member"));
    if (alone == 40_s) return order;
    pool.world.crash(pool.id(2));
    pool.world.start(pool.id(2));
    const std::size_t before = order.size();
    pool.run_for(40_s);
    order.clear();
    const auto all = pool.records(Ev::kProbeSent, 2);
    for (std::size_t i = before; i < all.size(); ++i) order.push_back(pool.field(all[i], "member"));
    return order;
  };
  const auto first = probes_of_2(40_s), second = probes_of_2(1_s);
  REQUIRE(first.size() > 20);
  REQUIRE(second.size() > 20);
  CHECK(std::vector<std::string>(first.begin(), first.begin() + 20) != std::vector<std::string>(second.begin(), second.begin() + 20));
}

TEST_CASE("clock: a fast clock probes more often, a slow one less") {
  const auto probes = [](std::int64_t drift) {
    Pool pool(3);
    pool.start_all();
    pool.process(2).set_clock_drift(drift);
    pool.run_for(100_s);
    return pool.records(Ev::kProbeSent, 2).size();
  };
  const std::size_t plain = probes(0), fast = probes(100'000'000), slow = probes(-100'000'000);
  CHECK(fast >= plain + 5);
  CHECK(slow + 5 <= plain);
}

TEST_CASE("world: one seed, one digest") {
  const auto digest = [](std::uint64_t seed) {
    Pool pool(4, seed);
    pool.start_all();
    pool.run_for(20_s);
    return pool.tracer.digest_hex();
  };
  CHECK(digest(1) == digest(1));
  CHECK(digest(1) != digest(2));
}
