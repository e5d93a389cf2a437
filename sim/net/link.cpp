#include "net/link.h"

#include <algorithm>

namespace dcsim::net {

namespace {

constexpr std::uint64_t kDefaultQueuePackets = 1'000;
constexpr std::int64_t kLongest = std::int64_t{1} << 42;     // 73 minutes: no sum of delays overflows
constexpr std::uint64_t kBitNanoseconds = 8'000'000'000ull;  // bits per byte x nanoseconds per second

}  // namespace

void Direction::apply(const LinkAttributes& now_valid, bool is_down) {
  if (attributes.bandwidth != now_valid.bandwidth) busy_rest = 0;
  attributes = now_valid;
  latency = {std::clamp<std::int64_t>(attributes.latency.ns, 0, kLongest)};
  attributes.jitter.ns = std::clamp<std::int64_t>(attributes.jitter.ns, 0, kLongest);
  bandwidth = attributes.bandwidth;
  mtu = attributes.mtu;
  down = is_down;
  plain = attributes.loss == 0 && attributes.duplicate == 0 && attributes.corrupt == 0 && attributes.reorder == 0 &&
          attributes.jitter.ns <= 0;
  if (bandwidth != 0) {
    const std::uint64_t queue = attributes.queue ? attributes.queue : kDefaultQueuePackets * attributes.mtu;
    const auto drain = static_cast<Uint128>(queue) * kBitNanoseconds / bandwidth;
    queue_limit = {static_cast<std::int64_t>(std::min<Uint128>(drain, std::uint64_t{1} << 60))};
  }
}

Instant Direction::transmit(Instant at, std::uint32_t bytes) {
  const std::uint64_t work = bytes * kBitNanoseconds;  // fits: a datagram with its fragment headers is below 2^31 bytes
  const std::uint64_t whole = work / bandwidth;
  const std::uint64_t rest = work % bandwidth;
  if (busy_until < at) {
    busy_until = at;
    busy_rest = 0;
  } else if ((busy_until - at).ns + static_cast<std::int64_t>(whole) > queue_limit.ns && busy_until > at) {
    return Instant::never();  // the bytes still to be sent and these together exceed the queue
  }
  busy_until += Duration{static_cast<std::int64_t>(whole)};
  busy_rest += rest;
  if (busy_rest >= bandwidth) {
    busy_rest -= bandwidth;
    busy_until.ns += 1;
  }
  return {busy_until.ns + (busy_rest != 0 ? 1 : 0)};
}

std::uint64_t CorrelationMemory::correlate(DirectionId direction, HostId sender, Kind kind, std::uint64_t fresh,
                                           std::uint64_t repeat_draw, Billionths correlation) {
  auto& last = last_[(std::uint64_t{direction.value} << 32) | sender.value][kind];
  if (!hits(repeat_draw, correlation)) last = fresh;
  return last;
}

}  // namespace dcsim::net
