#pragma once
#include <cstdint>

#include "base/ids.h"

namespace dcsim::core {

/// What is to happen, as a small tagged value. `kind` selects the handler that the owner registered with the Engine;
/// the rest is the owner's. 32 bytes.
struct Event {
  std::uint16_t kind = 0;
  std::uint16_t aux = 0;
  std::uint32_t target = 0;
  Cause cause;  ///< stamped by Engine::schedule with the cause then current; current again during dispatch
  std::uint32_t arg = 0;
  std::uint64_t a = 0;
  std::uint64_t b = 0;
};
static_assert(sizeof(Event) == 32);

/// Names one scheduled event for cancellation. Stale handles are harmless: cancel() returns false.
struct EventHandle {
  std::uint32_t slot = 0xffffffffu;
  std::uint32_t generation = 0;
};

/// Event kinds by room, so that two rooms never share one.
enum KindBase : std::uint16_t { kNetKinds = 0x100, kHostKinds = 0x200, kLabKinds = 0x300, kTestKinds = 0x400 };

}  // namespace dcsim::core
