#include "core/engine.h"

#include <vector>

#include "base/check.h"
#include "core/event_queue.h"

namespace dcsim::core {

namespace {

// Origin and sequence share one word of the key: 16 million origins, 10^12 events each.
constexpr int kSequenceBits = 40;
constexpr std::uint64_t kMostOrigins = std::uint64_t{1} << (64 - kSequenceBits);
constexpr std::uint64_t kMostSequences = std::uint64_t{1} << kSequenceBits;
constexpr std::uint16_t kMostKinds = 4096;

struct Target {
  Engine::Handler handler = nullptr;
  void* context = nullptr;
};

}  // namespace

struct Engine::State {
  EventQueue queue;
  std::vector<std::uint64_t> next_sequence;  // by origin
  std::vector<Target> targets;               // by kind
  Instant now;
  Cause cause;
  std::uint64_t events_run = 0;
  bool running = false;
  bool stopped = false;

  bool run_next(Instant limit);
};

namespace {

/// While it lives handlers run: no nested runs, and the cause from outside comes back at the end, thrown or not.
struct Running {
  Running(bool& running, Cause& cause) : running_(running), cause_(cause), outer_(cause) {
    DCSIM_CHECK(!running);
    running_ = true;
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    running_ = false;
    cause_ = outer_;
  }

 private:
  bool& running_;
  Cause& cause_;
  Cause outer_;
};

}  // namespace

// Hot: about 35 ns with the push that made the event.
bool Engine::State::run_next(Instant limit) {
  std::int64_t at = 0;
  Event event;
  if (stopped || !queue.pop(limit.ns, at, event)) return false;
  DCSIM_CHECK(at >= now.ns);
  DCSIM_CHECK(event.kind < targets.size() && targets[event.kind].handler);
  now.ns = at;
  cause = event.cause;
  ++events_run;
  const Target target = targets[event.kind];
  target.handler(target.context, event);
  return true;
}

Engine::Engine() : state_(std::make_unique<State>()) {}
Engine::~Engine() = default;

Instant Engine::now() const { return state_->now; }

OriginId Engine::add_origin() {
  DCSIM_CHECK(state_->next_sequence.size() < kMostOrigins);
  state_->next_sequence.push_back(0);
  return {static_cast<std::uint32_t>(state_->next_sequence.size() - 1)};
}

void Engine::on(std::uint16_t kind, void* context, Handler handler) {
  DCSIM_CHECK(kind < kMostKinds);
  if (kind >= state_->targets.size()) state_->targets.resize(kind + std::size_t{1});
  state_->targets[kind] = {handler, context};
}

// Hot.
EventHandle Engine::schedule(OriginId origin, Instant at, const Event& event) {
  State& state = *state_;
  DCSIM_CHECK(at >= state.now);
  DCSIM_CHECK(origin.index() < state.next_sequence.size());
  if (at == Instant::never()) return {};
  const std::uint64_t sequence = state.next_sequence[origin.index()]++;
  DCSIM_CHECK(sequence < kMostSequences);
  Event stamped = event;
  stamped.cause = state.cause;
  return state.queue.push(at.ns, std::uint64_t{origin.value} << kSequenceBits | sequence, stamped);
}

bool Engine::cancel(EventHandle handle) { return state_->queue.cancel(handle); }

bool Engine::step() { return step_until(Instant::never()); }

bool Engine::step_until(Instant limit) {
  const Running running(state_->running, state_->cause);
  return state_->run_next(limit);
}

void Engine::run_until(Instant limit) {
  DCSIM_CHECK(limit >= state_->now);
  const Running running(state_->running, state_->cause);
  while (state_->run_next(limit)) {
  }
  if (!state_->stopped && limit != Instant::never()) state_->now = limit;
}

void Engine::stop() { state_->stopped = true; }
bool Engine::stopped() const { return state_->stopped; }

Cause Engine::cause() const { return state_->cause; }
void Engine::set_cause(Cause cause) { state_->cause = cause; }

std::uint64_t Engine::events_run() const { return state_->events_run; }
std::size_t Engine::pending() const { return state_->queue.size(); }
Instant Engine::next_at() const { return {state_->queue.next_at()}; }

}  // namespace dcsim::core
