#pragma once
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace dcsim {

/// A dense 32-bit identity of one kind of thing; different kinds do not mix. Default-constructed ids are `none()`.
template <class Tag>
struct Id {
  std::uint32_t value = 0xffffffffu;

  constexpr auto operator<=>(const Id&) const = default;
  static constexpr Id none() { return {}; }
  constexpr bool valid() const { return value != 0xffffffffu; }
  constexpr std::size_t index() const { return value; }
};

using NameId = Id<struct NameTag>;      ///< a string interned in a NameTable
using OriginId = Id<struct OriginTag>;  ///< an entity that schedules events; part of the total order
using HostId = Id<struct HostTag>;      ///< a machine of the virtual network

/// The record number of what led to something, as an opaque token the protocols carry but never look into.
/// 0 = no cause known.
struct Cause {
  std::uint32_t record = 0;
  constexpr auto operator<=>(const Cause&) const = default;
};

}  // namespace dcsim

template <class Tag>
struct std::hash<dcsim::Id<Tag>> {
  std::size_t operator()(dcsim::Id<Tag> id) const noexcept { return id.value * 0x9E3779B97F4A7C15ull; }
};
