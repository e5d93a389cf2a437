#pragma once
#include <cstdint>
#include <cstring>
#include <map>
#include <vector>

#include "base/address.h"
#include "base/ids.h"

namespace dcsim::net {

/// Who has an address. Zones may reuse the addresses of others, so one address may have several owners, kept in order
/// of insertion. Built once; reading is one probe of an open-addressing table for IPv4.
class AddressMap {
 public:
  /// An owner: a host, or a 1:1 translation (index + 1) for a host.
  struct Owner {
    HostId host;
    std::uint32_t nat = 0;
    std::uint32_t next = 0;  ///< index + 1 of the next owner of the same address, 0 = last
  };

  void add(const Address& address, HostId host, std::uint32_t nat);
  /// The first owner of a canonical address, null if nobody has it. Hot: one probe.
  const Owner* find(const Address& address) const {
    if (!address.is_v4()) [[unlikely]]
      return find_wide(address);
    if (slots_.empty()) return nullptr;
    const std::uint32_t key = key_of(address);
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t i = hash(key) & mask;; i = (i + 1) & mask) {
      if (!slots_[i].first.host.valid()) return nullptr;
      if (slots_[i].key == key) return &slots_[i].first;
    }
  }
  const Owner* next(const Owner& owner) const { return owner.next ? &further_[owner.next - 1] : nullptr; }

 private:
  struct Slot {
    std::uint32_t key = 0;
    Owner first;  // host none() = free slot
  };
  static std::size_t hash(std::uint32_t key) { return (key * 0x9E3779B97F4A7C15ull) >> 32; }
  static std::uint32_t key_of(const Address& v4) {  // any injection does; this one is one load
    std::uint32_t key;
    std::memcpy(&key, v4.bytes().data(), sizeof key);
    return key;
  }
  const Owner* find_wide(const Address& address) const;
  Owner& first_of(const Address& address);
  void grow();

  std::vector<Slot> slots_;
  std::size_t used_ = 0;
  std::map<Address, Owner> wide_;  // IPv6
  std::vector<Owner> further_;     // all but the first owners
};

}  // namespace dcsim::net
