#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "bench.h"
#include "core/engine.h"

// Events that schedule themselves again through the engine's public API: schedule, queue, clock, dispatch.
namespace dcsim::bench {

namespace {

/// Ours: one origin per entity, as hosts have.
class EngineTicker {
 public:
  explicit EngineTicker(std::uint32_t entities) : rng_(1, "bench", "tick") {
    engine_.on(core::kTestKinds, this,
               [](void* self, const core::Event& event) { static_cast<EngineTicker*>(self)->tick(event); });
    for (std::uint32_t i = 0; i < entities; ++i) {
      origins_.push_back(engine_.add_origin());
      schedule(i);
    }
    for (std::uint32_t i = 0; i < 4 * entities; ++i) engine_.step();
  }
  double measure(std::uint64_t operations) {
    const std::uint64_t until = engine_.events_run() + operations;
    return ns_per_operation(operations, [&] {
      while (engine_.events_run() < until) engine_.run_until(engine_.now() + 1_s);
    });
  }

 private:
  void tick(const core::Event& event) {
    keep(event.a);
    schedule(event.target);
  }
  void schedule(std::uint32_t entity) {
    core::Event event;
    event.kind = core::kTestKinds;
    event.target = entity;
    event.a = ++counter_;
    engine_.schedule(origins_[entity], engine_.now() + rng_.below(2_s), event);
  }

  core::Engine engine_;
  Rng rng_;
  std::vector<OriginId> origins_;
  std::uint64_t counter_ = 0;
};

/// The general-purpose way, as ns-3 does by default: a tree of callables.
class CallableTicker {
 public:
  explicit CallableTicker(std::uint32_t entities) : rng_(1, "bench", "tick") {
    for (std::uint32_t i = 0; i < entities; ++i) schedule(i);
    run(4 * entities);
  }
  double measure(std::uint64_t operations) {
    return ns_per_operation(operations, [&] { run(operations); });
  }

 private:
  void run(std::uint64_t operations) {
    for (std::uint64_t i = 0; i < operations; ++i) {
      const auto first = queue_.begin();
      now_ = {first->first.first};
      const std::function<void()> callable = std::move(first->second);
      queue_.erase(first);
      callable();
    }
  }
  void schedule(std::uint32_t entity) {
    const std::uint64_t number = ++counter_;
    queue_.emplace(std::pair((now_ + rng_.below(2_s)).ns, number), [this, entity, number] {
      keep(number);
      schedule(entity);
    });
  }

  Instant now_;
  Rng rng_;
  std::multimap<std::pair<std::int64_t, std::uint64_t>, std::function<void()>> queue_;
  std::uint64_t counter_ = 0;
};

void self_rescheduling(Report& report, std::uint32_t entities, double ns3) {
  constexpr std::uint64_t kOperations = 1'000'000;
  EngineTicker ours(entities);
  CallableTicker peer(entities);
  const auto [engine, tree] = turn_about(
      7, [&] { return ours.measure(kOperations); }, [&] { return peer.measure(kOperations); });
  const std::string name = "engine: self-rescheduling events, " + std::to_string(entities) + " pending";
  report.add(
      {.name = name, .unit = "ns/event", .ours = engine, .peer = "std::multimap of std::function", .baseline = tree});
  report.add({.name = name,
              .unit = "ns/event",
              .ours = engine,
              .peer = "ns-3.37, default scheduler",
              .baseline = ns3,
              .target_ratio = 3,
              .note = "recorded on another machine"});
}

}  // namespace

BENCHMARK_CASE("engine/self-rescheduling-1e3") { self_rescheduling(report, 1'000, 181); }
BENCHMARK_CASE("engine/self-rescheduling-1e4") { self_rescheduling(report, 10'000, 249); }

/// A timer that is cancelled and set again, as acks do to probe timeouts.
BENCHMARK_CASE("engine/cancel") {
  constexpr std::uint64_t kOperations = 1'000'000;
  core::Engine engine;
  engine.on(core::kTestKinds, nullptr, [](void*, const core::Event&) {});
  const OriginId origin = engine.add_origin();
  core::Event event;
  event.kind = core::kTestKinds;
  Rng rng(1, "bench", "cancel");
  std::vector<core::EventHandle> timers(1'000);
  const double figure = median_of(5, [&] {
    return ns_per_operation(kOperations, [&] {
      for (std::uint64_t i = 0; i < kOperations; ++i) {
        core::EventHandle& timer = timers[i % timers.size()];
        engine.cancel(timer);
        timer = engine.schedule(origin, engine.now() + 500_ms + rng.below(1_s), event);
      }
    });
  });
  report.add({.name = "engine: cancel a timer and set it again", .unit = "ns", .ours = figure});
}

}  // namespace dcsim::bench
