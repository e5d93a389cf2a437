#include "core/event_queue.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "support/alloc_counter.h"

using namespace dcsim;
using core::Event;
using core::EventHandle;
using core::EventQueue;

namespace {

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

/// The queue beside a std::multimap ordered by the key: whatever is done, both must say the same. The clock moves as an
/// engine's does: to what was popped, or to the limit.
class Twin {
 public:
  explicit Twin(std::uint64_t seed) : rng_(seed, "test", "queue") {}

  void push(std::int64_t delay) {
    const std::int64_t at = now_ + delay;
    // A few origins whose sequences interleave, so that ties do not arrive in their order.
    const std::uint64_t origin = rng_.below(7);
    const std::uint64_t tie = origin << 40 | sequence_[origin]++;
    Event event;
    event.a = ++pushed_;
    const EventHandle handle = queue_.push(at, tie, event);
    model_.emplace(std::pair(at, tie), Known{pushed_, handle});
    handles_.push_back({handle, at, tie});
  }
  void cancel_any() {
    if (handles_.empty()) return;
    cancel(rng_.below(handles_.size()));
  }
  void cancel_all() {
    while (!handles_.empty()) cancel(handles_.size() - 1);
  }
  /// Pops one event at or before the limit; false if there is none, by both accounts. Then the clock moves to the
  /// limit, unless it is only a look.
  bool pop(std::int64_t limit, bool look = false) {
    std::int64_t at = -1;
    Event event;
    const bool got = queue_.pop(limit, at, event);
    const bool expected = !model_.empty() && model_.begin()->first.first <= limit;
    agree(got == expected);
    if (!got || !expected) {
      if (!look && limit != kNoLimit && limit > now_) now_ = limit;
      return false;
    }
    agree(at == model_.begin()->first.first);
    agree(event.a == model_.begin()->second.number);
    agree(at >= now_);
    now_ = at;
    model_.erase(model_.begin());
    return true;
  }
  void check_next() { agree(queue_.next_at() == (model_.empty() ? kNoLimit : model_.begin()->first.first)); }
  void check_size() { agree(queue_.size() == model_.size()); }
  void drain() {
    while (pop(kNoLimit)) {
    }
    check_size();
  }

  std::size_t size() const { return model_.size(); }
  std::int64_t now() const { return now_; }
  Rng& rng() { return rng_; }
  std::size_t memory() const { return queue_.memory(); }
  std::uint64_t disagreements() const { return disagreements_; }

 private:
  struct Known {
    std::uint64_t number;
    EventHandle handle;
  };
  struct Handle {
    EventHandle handle;
    std::int64_t at;
    std::uint64_t tie;
  };

  void cancel(std::size_t index) {
    const Handle chosen = handles_[index];
    handles_[index] = handles_.back();
    handles_.pop_back();
    const auto known = model_.find(std::pair(chosen.at, chosen.tie));
    agree(queue_.cancel(chosen.handle) == (known != model_.end()));
    agree(!queue_.cancel(chosen.handle));
    if (known != model_.end()) model_.erase(known);
  }
  void agree(bool same) { disagreements_ += same ? 0 : 1; }

  EventQueue queue_;
  std::multimap<std::pair<std::int64_t, std::uint64_t>, Known> model_;
  std::vector<Handle> handles_;
  Rng rng_;
  std::uint64_t sequence_[7] = {};
  std::uint64_t pushed_ = 0;
  std::int64_t now_ = 0;
  std::uint64_t disagreements_ = 0;
};

/// A delay of a kind that simulations mix: none, nanoseconds, a link's latency, timers on a grid, hours.
std::int64_t mixed_delay(Rng& rng) {
  switch (rng.below(8)) {
    case 0:
      return 0;
    case 1:
      return static_cast<std::int64_t>(rng.below(4));
    case 2:
      return static_cast<std::int64_t>(rng.below(300));
    case 3:
      return 10'000 * static_cast<std::int64_t>(rng.below(4));
    case 4:
      return static_cast<std::int64_t>(rng.below(1'000'000));
    case 5:
      return 200'000'000 * static_cast<std::int64_t>(1 + rng.below(5));
    case 6:
      return static_cast<std::int64_t>(rng.below(5'000'000'000));
    default:
      return 3'600'000'000'000 * static_cast<std::int64_t>(1 + rng.below(48));
  }
}

}  // namespace

TEST_CASE("event queue: agrees with an ordered map whatever is pushed, popped and cancelled") {
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    CAPTURE(seed);
    Twin twin(seed);
    const std::size_t target = std::size_t{1} << (seed % 13);
    for (int i = 0; i < 8'000; ++i) {
      const std::uint64_t dice = twin.rng().below(100);
      if (dice < 45 || twin.size() < target / 2) {
        twin.push(mixed_delay(twin.rng()));
      } else if (dice < 60) {
        twin.cancel_any();
      } else if (dice < 65) {
        twin.pop(twin.now() + mixed_delay(twin.rng()));
      } else if (dice < 67) {
        twin.check_next();
      } else {
        twin.pop(kNoLimit);
      }
    }
    twin.check_size();
    twin.drain();
    CHECK(twin.disagreements() == 0);
  }
}

TEST_CASE("event queue: holds its order over every scale of distance, dense and sparse") {
  for (const std::int64_t spread : {std::int64_t{1}, std::int64_t{50}, std::int64_t{100'000},
                                    std::int64_t{1'000'000'000}, std::int64_t{86'400'000'000'000}}) {
    for (const std::size_t pending : {3u, 40u, 300u, 5'000u}) {
      CAPTURE(spread);
      CAPTURE(pending);
      Twin twin(7);
      const auto delay = [&] {
        return static_cast<std::int64_t>(twin.rng().below(static_cast<std::uint64_t>(spread)));
      };
      for (std::size_t i = 0; i < pending; ++i) twin.push(delay());
      for (int i = 0; i < 12'000; ++i) {
        twin.pop(kNoLimit);
        twin.push(delay());
      }
      twin.drain();
      CHECK(twin.disagreements() == 0);
    }
  }
}

TEST_CASE("event queue: thousands of events of one instant, more of which come while they run") {
  Twin twin(3);
  for (int i = 0; i < 4'000; ++i) twin.push(1'000);
  for (int i = 0; i < 2'000; ++i) twin.push(1'001);
  for (int i = 0; i < 3'000; ++i) {
    twin.pop(kNoLimit);
    if (i % 2 == 0) twin.push(0);
    if (i % 3 == 0) twin.push(1);
    if (i % 5 == 0) twin.cancel_any();
  }
  twin.drain();
  CHECK(twin.disagreements() == 0);
}

TEST_CASE("event queue: a few far events do not spoil what is then pushed before them") {
  Twin twin(4);
  for (int minute = 1; minute <= 20; ++minute) twin.push(minute * 60'000'000'000);
  twin.pop(kNoLimit);  // the run now reaches far ahead
  for (int i = 0; i < 6'000; ++i) twin.push(static_cast<std::int64_t>(twin.rng().below(50'000'000'000)));
  for (int i = 0; i < 6'000; ++i) {
    twin.pop(kNoLimit);
    twin.push(static_cast<std::int64_t>(twin.rng().below(1'000'000)));
  }
  twin.drain();
  CHECK(twin.disagreements() == 0);
}

TEST_CASE("event queue: crowds at neighbouring instants, which cut and refill a run") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    Twin twin(seed);
    const auto crowd = [&](std::size_t count, std::uint64_t instants) {
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t first = twin.rng().below(4) != 0 ? 0 : twin.rng().below(instants);
        twin.push(20 + static_cast<std::int64_t>(first) - twin.now() % 8);
      }
    };
    twin.push(1);
    for (int round = 0; round < 30; ++round) {
      crowd(100 + twin.rng().below(160), 2 + twin.rng().below(5));
      for (std::uint64_t i = 1 + twin.rng().below(3); i > 0; --i) twin.pop(kNoLimit);
      crowd(200 + twin.rng().below(200), 2 + twin.rng().below(5));
      for (std::uint64_t i = twin.rng().below(300); i > 0; --i) {
        twin.pop(kNoLimit);
        if (i % 3 == 0) twin.push(static_cast<std::int64_t>(twin.rng().below(4)));
      }
      for (std::uint64_t i = twin.rng().below(300); i > 0; --i)
        twin.push(static_cast<std::int64_t>(twin.rng().below(4)));
    }
    twin.drain();
    CHECK(twin.disagreements() == 0);
  }
}

TEST_CASE("event queue: late comers to a run that could not be cut keep their place when it could be again") {
  Twin twin(9);
  const auto crowd = [&](int count, std::int64_t at) {
    for (int i = 0; i < count; ++i) twin.push(at - twin.now());
  };
  crowd(1, 990);
  crowd(250, 1'000);
  twin.pop(kNoLimit);
  crowd(200, 1'000);
  crowd(200, 1'005);
  for (int i = 0; i < 300; ++i) twin.pop(kNoLimit);
  crowd(150, 1'000);
  crowd(300, 1'005);
  crowd(300, 1'010);
  twin.drain();
  CHECK(twin.disagreements() == 0);
}

TEST_CASE("event queue: a look at cancelled events does not move the clock, nor what may still be pushed") {
  Twin twin(8);
  for (int round = 0; round < 20; ++round) {
    const std::int64_t ahead = 1'000'000 + 77'777 * round;
    twin.push(ahead);
    twin.cancel_all();
    twin.push(36'000'000'000'000);
    CHECK_FALSE(twin.pop(twin.now() + ahead, true));
    for (int i = 0; i < 900; ++i)
      twin.push(static_cast<std::int64_t>(twin.rng().below(static_cast<std::uint64_t>(ahead) + 100'000)));
    for (int i = 0; i < 900; ++i) twin.pop(kNoLimit);
    twin.cancel_all();
  }
  CHECK(twin.size() == 0);
  CHECK(twin.disagreements() == 0);
}

TEST_CASE("event queue: looking ahead, in vain or at cancelled events, leaves room for earlier ones") {
  Twin twin(5);
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 60; ++i) twin.push(3'600'000'000'000 + i);
    for (int i = 0; i < 3; ++i) twin.pop(twin.now() + 1'000);
    twin.check_next();
    for (int i = 0; i < 400; ++i) twin.push(static_cast<std::int64_t>(twin.rng().below(500'000)));
    twin.cancel_any();
    for (int i = 0; i < 350; ++i) twin.pop(twin.now() + 10'000);
    if (round % 2 == 0) {
      twin.cancel_all();
      CHECK_FALSE(twin.pop(kNoLimit));  // walks over all that was cancelled, beyond the clock
    }
    for (int i = 0; i < 700; ++i) twin.push(static_cast<std::int64_t>(twin.rng().below(2'000'000)));
    for (int i = 0; i < 300; ++i) twin.pop(kNoLimit);
  }
  twin.drain();
  CHECK(twin.disagreements() == 0);
}

TEST_CASE("event queue: times up to 2^62 and over the whole range at once") {
  Twin twin(6);
  for (int i = 0; i < 3'000; ++i) {
    const auto bits = static_cast<int>(twin.rng().below(63));
    twin.push(static_cast<std::int64_t>(twin.rng().below(std::uint64_t{1} << bits)));
    twin.push((std::int64_t{1} << bits) - 1);
    twin.push(std::int64_t{1} << (bits < 62 ? bits : 62));
  }
  twin.drain();
  CHECK(twin.now() >= std::int64_t{1} << 62);
  CHECK(twin.disagreements() == 0);
}

TEST_CASE("event queue: timers that are always cancelled and set anew do not pile up") {
  EventQueue queue;
  std::vector<EventHandle> timers(100);
  std::int64_t now = 0;
  std::uint64_t tie = 0;
  std::size_t after_warm_up = 0;
  for (int i = 0; i < 400'000; ++i) {
    EventHandle& timer = timers[static_cast<std::size_t>(i) % timers.size()];
    queue.cancel(timer);
    timer = queue.push(now + 7'200'000'000'000, tie++, {});
    if (i % 10 == 0) {
      queue.push(now + 1'000, tie++, {});
      Event event;
      REQUIRE(queue.pop(now + 1'000, now, event));
    }
    if (i == 20'000) after_warm_up = queue.memory();
  }
  CHECK(queue.size() == timers.size());
  CHECK(queue.memory() == after_warm_up);
  CHECK(queue.memory() < 1'000'000);
}

TEST_CASE("event queue: memory follows the largest burst, not the number of bursts") {
  EventQueue queue;
  Rng rng(1, "test", "burst");
  std::int64_t now = 0;
  std::uint64_t tie = 0;
  std::size_t after_first = 0;
  for (int burst = 0; burst < 12; ++burst) {
    for (int i = 0; i < 20'000; ++i) queue.push(now + static_cast<std::int64_t>(rng.below(10'000'000'000)), tie++, {});
    Event event;
    while (queue.pop(kNoLimit, now, event)) {
    }
    if (burst == 1) after_first = queue.memory();
  }
  CHECK(queue.size() == 0);
  CHECK(queue.memory() <= after_first + after_first / 4);
}

TEST_CASE("event queue: allocates nothing in the steady state") {
  EventQueue queue;
  Rng rng(2, "test", "steady");
  std::int64_t now = 0;
  std::uint64_t tie = 0;
  std::vector<EventHandle> timers(500);
  Event event;
  std::uint64_t popped = 0;
  const auto run = [&](int operations) {
    for (int i = 0; i < operations; ++i) {
      popped += queue.pop(kNoLimit, now, event) ? 1 : 0;
      queue.push(now + static_cast<std::int64_t>(rng.below(2'000'000'000)), tie++, event);
      EventHandle& timer = timers[static_cast<std::size_t>(i) % timers.size()];
      if (queue.cancel(timer)) timer = queue.push(now + 5'000'000'000, tie++, event);
      if (i % 64 == 0) queue.push(now, tie++, event);
      if (i % 64 == 1) popped += queue.pop(kNoLimit, now, event) ? 1 : 0;
    }
  };
  for (EventHandle& timer : timers) timer = queue.push(6'000'000'000, tie++, event);
  for (int i = 0; i < 2'000; ++i) queue.push(static_cast<std::int64_t>(rng.below(2'000'000'000)), tie++, event);
  run(100'000);
  const auto before = test::allocations();
  run(100'000);
  const auto after = test::allocations();
  CHECK(after == before);
  CHECK(popped > 200'000);
}
