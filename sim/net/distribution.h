#pragma once
#include <cstdint>

#include "base/time.h"
#include "net/topology.h"

namespace dcsim::net {

/// A link's delay beyond its latency, from one 64-bit draw, in integers only: jitter x the distribution's shape. May be
/// negative (uniform, normal); the caller keeps latency + deviation >= 0.
Duration jitter_deviation(Distribution distribution, Duration jitter, std::uint64_t draw);

}  // namespace dcsim::net
