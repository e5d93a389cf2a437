#include "core/engine.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/rng.h"
#include "support/alloc_counter.h"

using namespace dcsim;
using core::Engine;
using core::Event;
using core::EventHandle;

namespace {

constexpr std::uint16_t kKind = core::kTestKinds;

/// An engine whose events are handed to one function of the test.
struct Bench {
  Engine engine;
  std::function<void(const Event&)> handle = [](const Event&) {};
  std::vector<std::uint32_t> ran;

  Bench() {
    engine.on(kKind, this, [](void* self, const Event& event) {
      static_cast<Bench*>(self)->ran.push_back(event.target);
      static_cast<Bench*>(self)->handle(event);
    });
  }
  EventHandle at(OriginId origin, Duration after_start, std::uint32_t target) {
    Event event;
    event.kind = kKind;
    event.target = target;
    return engine.schedule(origin, Instant{} + after_start, event);
  }
};

using Order = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("engine: events of one instant run by origin, then in the order in which their origin scheduled them") {
  Bench bench;
  const OriginId first = bench.engine.add_origin();
  const OriginId second = bench.engine.add_origin();
  CHECK(first < second);
  bench.at(second, 5_ms, 20);
  bench.at(first, 5_ms, 10);
  bench.at(second, 5_ms, 21);
  bench.at(first, 5_ms, 11);
  bench.at(second, 4_ms, 1);
  bench.engine.run_until(Instant{} + 10_ms);
  CHECK(bench.ran == Order{1, 10, 11, 20, 21});
  CHECK(bench.engine.events_run() == 5);
}

TEST_CASE("engine: who schedules first in wall time does not change the order") {
  // The same events, scheduled with the origins taking turns in two different ways.
  const auto run = [](bool reversed) {
    Bench bench;
    std::vector<OriginId> origins;
    for (int i = 0; i < 20; ++i) origins.push_back(bench.engine.add_origin());
    for (std::uint32_t round = 0; round < 50; ++round) {
      for (std::uint32_t i = 0; i < 20; ++i) {
        const std::uint32_t who = reversed ? 19 - i : i;
        bench.at(origins[who], Duration{static_cast<std::int64_t>((round * 7 + who * 3) % 11)}, who * 100 + round);
      }
    }
    bench.engine.run_until(Instant{} + 1_s);
    return bench.ran;
  };
  CHECK(run(false) == run(true));
  CHECK(run(false).size() == 1'000);
}

TEST_CASE("engine: the clock shows each event's instant and ends at the limit, whose own events run") {
  Bench bench;
  const OriginId origin = bench.engine.add_origin();
  std::vector<std::int64_t> seen;
  bench.handle = [&](const Event&) { seen.push_back(bench.engine.now().ns); };
  bench.at(origin, 3_ms, 1);
  bench.at(origin, 5_ms, 2);
  bench.at(origin, 5_ms + 1_ns, 3);
  CHECK(bench.engine.next_at() == Instant{} + 3_ms);
  bench.engine.run_until(Instant{} + 5_ms);
  CHECK(seen == std::vector<std::int64_t>{3'000'000, 5'000'000});
  CHECK(bench.engine.now() == Instant{} + 5_ms);
  CHECK(bench.engine.pending() == 1);
  bench.engine.run_until(Instant{} + 1_s);
  CHECK(bench.engine.now() == Instant{} + 1_s);
  CHECK(bench.engine.next_at() == Instant::never());
  CHECK(bench.engine.pending() == 0);
}

TEST_CASE("engine: to run until never ends with the last event") {
  Bench bench;
  bench.at(bench.engine.add_origin(), 40_s, 1);
  bench.engine.run_until(Instant::never());
  CHECK(bench.engine.now() == Instant{} + 40_s);
}

TEST_CASE("engine: time never goes back") {
  Bench bench;
  const OriginId origin = bench.engine.add_origin();
  bench.engine.run_until(Instant{} + 1_s);
  CHECK_THROWS_AS(bench.at(origin, 1_s - 1_ns, 1), InvariantBroken);
  CHECK_THROWS_AS(bench.engine.run_until(Instant{} + 1_ms), InvariantBroken);
  CHECK_THROWS_AS(bench.at(OriginId::none(), 2_s, 1), InvariantBroken);
  bench.at(origin, 1_s, 2);  // now is not the past
  CHECK(bench.engine.step());
  CHECK(bench.ran == Order{2});
}

TEST_CASE("engine: an event at never() is not scheduled") {
  Bench bench;
  const OriginId origin = bench.engine.add_origin();
  const EventHandle handle = bench.engine.schedule(origin, Instant::never(), Event{});
  CHECK(bench.engine.pending() == 0);
  CHECK_FALSE(bench.engine.cancel(handle));
  CHECK_FALSE(bench.engine.step());
}

TEST_CASE("engine: a cancelled event does not run, and a handle is good for one event only") {
  Bench bench;
  const OriginId origin = bench.engine.add_origin();
  CHECK_FALSE(bench.engine.cancel({}));
  const EventHandle gone = bench.at(origin, 1_ms, 1);
  bench.at(origin, 2_ms, 2);
  CHECK(bench.engine.cancel(gone));
  CHECK_FALSE(bench.engine.cancel(gone));
  CHECK(bench.engine.pending() == 1);
  CHECK(bench.engine.next_at() == Instant{} + 2_ms);
  const EventHandle reuses_the_place = bench.at(origin, 3_ms, 3);
  CHECK_FALSE(bench.engine.cancel(gone));
  bench.engine.run_until(Instant{} + 1_s);
  CHECK(bench.ran == Order{2, 3});
  CHECK_FALSE(bench.engine.cancel(reuses_the_place));
}

TEST_CASE("engine: a handler cancels later events of its own instant, but not itself") {
  Bench bench;
  const OriginId origin = bench.engine.add_origin();
  const EventHandle self = bench.at(origin, 1_ms, 1);
  const EventHandle other = bench.at(origin, 1_ms, 2);
  bool cancelled_self = true;
  bool cancelled_other = false;
  bench.handle = [&](const Event&) {
    cancelled_self = bench.engine.cancel(self);
    cancelled_other = bench.engine.cancel(other);
  };
  bench.engine.run_until(Instant{} + 1_s);
  CHECK(bench.ran == Order{1});
  CHECK_FALSE(cancelled_self);
  CHECK(cancelled_other);
}

TEST_CASE("engine: step runs one event, step_until none beyond its limit") {
  Bench bench;
  const OriginId origin = bench.engine.add_origin();
  bench.at(origin, 1_ms, 1);
  bench.at(origin, 2_ms, 2);
  bench.at(origin, 3_ms, 3);
  CHECK(bench.engine.step());
  CHECK(bench.ran == Order{1});
  CHECK_FALSE(bench.engine.step_until(Instant{} + 2_ms - 1_ns));
  CHECK(bench.engine.now() == Instant{} + 1_ms);
  CHECK(bench.engine.step_until(Instant{} + 2_ms));
  CHECK(bench.ran == Order{1, 2});
  CHECK(bench.engine.step());
  CHECK_FALSE(bench.engine.step());
}

TEST_CASE("engine: stop ends the run after the event that calls it, for good") {
  Bench bench;
  const OriginId origin = bench.engine.add_origin();
  for (std::uint32_t i = 1; i <= 4; ++i) bench.at(origin, 1_ms * i, i);
  bench.handle = [&](const Event& event) {
    if (event.target == 2) bench.engine.stop();
  };
  CHECK_FALSE(bench.engine.stopped());
  bench.engine.run_until(Instant{} + 1_s);
  CHECK(bench.engine.stopped());
  CHECK(bench.ran == Order{1, 2});
  CHECK(bench.engine.now() == Instant{} + 2_ms);
  CHECK_FALSE(bench.engine.step());
  bench.engine.run_until(Instant{} + 1_s);
  CHECK(bench.ran == Order{1, 2});
}

TEST_CASE("engine: causes travel from what schedules to what is scheduled") {
  Bench bench;
  const OriginId origin = bench.engine.add_origin();
  std::vector<std::pair<std::uint32_t, std::uint32_t>> seen;  // target, cause
  bench.handle = [&](const Event& event) {
    CHECK(event.cause == bench.engine.cause());
    seen.emplace_back(event.target, event.cause.record);
    if (event.target == 1) {
      bench.at(origin, 10_ms, 10);   // by cause 7, its own
      bench.engine.set_cause({70});  // say, the record of a packet it sent
      bench.at(origin, 11_ms, 11);
    }
  };
  bench.engine.set_cause({7});
  bench.at(origin, 1_ms, 1);
  bench.engine.set_cause({8});
  bench.at(origin, 2_ms, 2);
  bench.engine.set_cause({9});
  bench.engine.run_until(Instant{} + 1_s);
  CHECK(seen == std::vector<std::pair<std::uint32_t, std::uint32_t>>{{1, 7}, {2, 8}, {10, 7}, {11, 70}});
  CHECK(bench.engine.cause() == Cause{9});
}

TEST_CASE("engine: a broken invariant in a handler leaves the engine usable for the report") {
  Bench bench;
  const OriginId origin = bench.engine.add_origin();
  bench.engine.set_cause({5});
  bench.at(origin, 1_ms, 1);
  bench.at(origin, 2_ms, 2);
  bench.handle = [&](const Event& event) {
    bench.engine.set_cause({6});
    DCSIM_CHECK(event.target != 1);
  };
  CHECK_THROWS_AS(bench.engine.run_until(Instant{} + 1_s), InvariantBroken);
  CHECK(bench.engine.now() == Instant{} + 1_ms);
  CHECK(bench.engine.cause() == Cause{5});
  bench.engine.run_until(Instant{} + 1_s);
  CHECK(bench.ran == Order{1, 2});
}

TEST_CASE("engine: handlers must not run the engine, and every kind needs one") {
  Bench bench;
  const OriginId origin = bench.engine.add_origin();
  bench.at(origin, 1_ms, 1);
  bench.handle = [&](const Event&) { bench.engine.step(); };
  CHECK_THROWS_AS(bench.engine.step(), InvariantBroken);
  Event unknown;
  unknown.kind = kKind + 1;
  bench.engine.schedule(origin, Instant{} + 2_ms, unknown);
  CHECK_THROWS_AS(bench.engine.step(), InvariantBroken);
  CHECK_THROWS_AS(bench.engine.on(4096, nullptr, [](void*, const Event&) {}), InvariantBroken);
}

TEST_CASE("engine: an event arrives as it was sent, to the handler of its kind") {
  Engine engine;
  struct Seen {
    Event event;
    int calls = 0;
  } one, two;
  const Engine::Handler keep = [](void* context, const Event& event) {
    static_cast<Seen*>(context)->event = event;
    ++static_cast<Seen*>(context)->calls;
  };
  engine.on(core::kNetKinds, &one, keep);
  engine.on(core::kHostKinds, &two, keep);
  const OriginId origin = engine.add_origin();
  engine.schedule(
      origin, Instant{} + 1_s,
      {.kind = core::kHostKinds, .aux = 2, .target = 3, .cause = {}, .arg = 5, .a = 6, .b = ~std::uint64_t{7}});
  engine.run_until(Instant{} + 1_s);
  CHECK(one.calls == 0);
  REQUIRE(two.calls == 1);
  CHECK(two.event.aux == 2);
  CHECK(two.event.target == 3);
  CHECK(two.event.arg == 5);
  CHECK(two.event.a == 6);
  CHECK(two.event.b == ~std::uint64_t{7});
}

TEST_CASE("engine: scheduling, cancelling and running allocate nothing in the steady state") {
  struct World {
    Engine engine;
    Rng rng{3, "test", "world"};
    std::vector<OriginId> origins;
    std::vector<EventHandle> timeouts;

    void tick(std::uint32_t who) {
      Event event;
      event.kind = kKind;
      event.target = who;
      engine.schedule(origins[who], engine.now() + 1_s, event);
      engine.cancel(timeouts[who]);
      event.kind = kKind + 1;
      timeouts[who] = engine.schedule(origins[who], engine.now() + 900_ms + rng.below(400_ms), event);
      engine.schedule(origins[who], engine.now() + 50_us + rng.below(1_ms), event);
    }
  } world;
  world.engine.on(kKind, &world, [](void* self, const Event& event) { static_cast<World*>(self)->tick(event.target); });
  world.engine.on(kKind + 1, &world, [](void*, const Event&) {});
  for (std::uint32_t i = 0; i < 300; ++i) world.origins.push_back(world.engine.add_origin());
  world.timeouts.resize(300);
  for (std::uint32_t i = 0; i < 300; ++i) {
    Event event;
    event.kind = kKind;
    event.target = i;
    world.engine.schedule(world.origins[i], Instant{} + world.rng.below(1_s), event);
  }
  world.engine.run_until(Instant{} + 60_s);
  const auto before = test::allocations();
  world.engine.run_until(Instant{} + 120_s);
  const auto after = test::allocations();
  CHECK(after == before);
  CHECK(world.engine.events_run() > 60'000);
}
