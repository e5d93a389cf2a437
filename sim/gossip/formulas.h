#pragma once
#include <cstdint>

#include "base/time.h"

namespace dcsim::gossip {

// The arithmetic of memberlist util.go and suspicion.go, in integers wherever the result can be decided in them.
// `retransmit_limit` is in broadcast_queue.h.

/// util.go: suspicionTimeout: mult * interval * max(1, log10(n)), the logarithm cut to three decimals.
Duration suspicion_timeout(int mult, std::uint32_t n, Duration interval);

/// suspicion.go: remainingSuspicionTime. `confirmed` (not negative) of `wanted` confirmations; negative = fire now.
/// With none wanted it is `min`.
Duration remaining_suspicion_time(int confirmed, int wanted, Duration elapsed, Duration min, Duration max);

/// util.go: pushPullScale: the interval unchanged up to 32 nodes, then one more interval with every doubling.
Duration push_pull_scale(Duration interval, std::uint32_t n);

}  // namespace dcsim::gossip
