#include <cmath>
#include <functional>
#include <memory>
#include <string>

#include "bench.h"
#include "core/event_queue.h"
#include "queues/balanced_tree.h"
#include "queues/binary_heap.h"
#include "queues/handle_heap.h"
#include "queues/ladder_queue.h"
#include "queues/timing_wheel.h"

// The hold model: the queue is kept at a size while the least event is taken and pushed again at a distance drawn from
// an exponential distribution. Every candidate orders by (at, tie) and carries 32 bytes of event.
namespace dcsim::bench {

namespace {

/// The engine's own queue, seen as the candidates are.
class RadixLadder {
 public:
  void push(std::int64_t at, std::uint64_t tie, const core::Event& event) { queue_.push(at, tie, event); }
  bool pop(std::int64_t& at, core::Event& event) {
    return queue_.pop(std::numeric_limits<std::int64_t>::max(), at, event);
  }

 private:
  core::EventQueue queue_;
};

/// Distances with a mean of one second, drawn beforehand so that drawing costs every candidate one load.
class Distances {
 public:
  Distances() : values_(1u << 16) {
    std::uint64_t x = 88172645463325252ull;
    for (std::int64_t& value : values_) {
      x ^= x << 13, x ^= x >> 7, x ^= x << 17;
      const double u = (static_cast<double>(x >> 11) + 0.5) * 0x1p-53;
      value = static_cast<std::int64_t>(-std::log(u) * 1e9);
    }
  }
  std::int64_t next() { return values_[position_++ % values_.size()]; }

 private:
  std::vector<std::int64_t> values_;
  std::size_t position_ = 0;
};

/// A queue in its steady state, of which stretches are timed.
template <class Queue>
class Hold {
 public:
  explicit Hold(std::size_t pending) : pending_(pending) {
    for (std::size_t i = 0; i < pending; ++i) push(0);
    run(3 * pending);
  }
  double measure(std::uint64_t operations) {
    return ns_per_operation(operations, [&] { run(operations); });
  }

 private:
  void push(std::int64_t now) {
    core::Event event;
    event.a = tie_;
    queue_.push(now + distances_.next(), tie_++, event);
  }
  void run(std::uint64_t operations) {
    std::int64_t now = 0;
    core::Event event;
    for (std::uint64_t i = 0; i < operations; ++i) {
      queue_.pop(now, event);
      keep(event.a);
      push(now);
    }
  }

  Queue queue_;
  Distances distances_;
  std::uint64_t tie_ = 0;
  std::size_t pending_;
};

template <class Queue>
std::function<double()> holder(std::size_t pending, std::uint64_t operations) {
  auto hold = std::make_shared<Hold<Queue>>(pending);
  return [hold, operations] { return hold->measure(operations); };
}

std::string power_of_ten(std::size_t pending) { return pending == 100 ? "10^2" : pending == 10'000 ? "10^4" : "10^6"; }

void hold_model(Report& report, std::size_t pending, double target) {
  const std::uint64_t operations = pending < 1'000'000 ? 1'000'000 : 2'000'000;
  const std::string name = "queue: hold model, " + power_of_ten(pending) + " pending";
  constexpr int kRepeats = 5;
  const auto medians =
      turn_about(kRepeats, holder<RadixLadder>(pending, operations), holder<BinaryHeap>(pending, operations));
  const double ours = medians.first;
  report.add({.name = name,
              .unit = "ns/event",
              .ours = ours,
              .peer = "std::priority_queue, 64-byte events",
              .baseline = medians.second,
              .target_ratio = target});
  const auto beside = [&](const char* what, const std::function<double()>& measure) {
    report.add({.name = name, .unit = "ns/event", .ours = ours, .peer = what, .baseline = median_of(3, measure)});
  };
  beside("4-ary heap of 24-byte handles", holder<HandleHeap>(pending, operations));
  beside("hierarchical timing wheel, 1 us", holder<TimingWheel>(pending, operations));
  beside("ladder queue", holder<LadderQueue>(pending, operations));
  beside("std::multimap", holder<BalancedTree>(pending, operations));
}

}  // namespace

BENCHMARK_CASE("queue/hold-1e2") { hold_model(report, 100, 0); }
BENCHMARK_CASE("queue/hold-1e4") { hold_model(report, 10'000, 1.8); }
BENCHMARK_CASE("queue/hold-1e6") { hold_model(report, 1'000'000, 6); }

}  // namespace dcsim::bench
