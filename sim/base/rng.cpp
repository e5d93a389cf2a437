#include "base/rng.h"

namespace dcsim {

namespace {

std::uint64_t mix(std::uint64_t x) {  // SplitMix64's finaliser
  x ^= x >> 30;
  x *= 0xBF58476D1CE4E5B9ull;
  x ^= x >> 27;
  x *= 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

std::uint64_t absorb(std::uint64_t state, std::string_view text) {
  for (const char c : text) state = mix(state ^ (static_cast<std::uint8_t>(c) + 0x100u)) + 0x9E3779B97F4A7C15ull;
  return mix(state ^ text.size());
}

}  // namespace

Rng::Rng(std::uint64_t seed, std::string_view entity, std::string_view purpose) {
  const std::uint64_t who = absorb(mix(seed + 0x9E3779B97F4A7C15ull), entity);
  key0_ = absorb(who, purpose);
  key1_ = mix(key0_ ^ who ^ 0xA0761D6478BD642Full);
}

}  // namespace dcsim
