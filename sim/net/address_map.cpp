#include "net/address_map.h"

namespace dcsim::net {

void AddressMap::add(const Address& address, HostId host, std::uint32_t nat) {
  Owner* owner = &first_of(address);
  if (!owner->host.valid()) {
    *owner = {host, nat, 0};
    return;
  }
  while (owner->next) owner = &further_[owner->next - 1];
  owner->next = static_cast<std::uint32_t>(further_.size() + 1);
  further_.push_back({host, nat, 0});
}

const AddressMap::Owner* AddressMap::find_wide(const Address& address) const {
  const auto it = wide_.find(address);
  return it == wide_.end() ? nullptr : &it->second;
}

/// The slot of an address; a fresh one has no host yet and is to be given one.
AddressMap::Owner& AddressMap::first_of(const Address& address) {
  if (!address.is_v4()) return wide_[address];
  if (used_ * 2 >= slots_.size()) grow();
  const std::uint32_t key = key_of(address);
  const std::size_t mask = slots_.size() - 1;
  std::size_t i = hash(key) & mask;
  while (slots_[i].first.host.valid() && slots_[i].key != key) i = (i + 1) & mask;
  if (!slots_[i].first.host.valid()) {
    slots_[i].key = key;
    ++used_;
  }
  return slots_[i].first;
}

void AddressMap::grow() {
  std::vector<Slot> old(slots_.empty() ? 16 : slots_.size() * 2);
  old.swap(slots_);
  const std::size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (!slot.first.host.valid()) continue;
    std::size_t i = hash(slot.key) & mask;
    while (slots_[i].first.host.valid()) i = (i + 1) & mask;
    slots_[i] = slot;
  }
}

}  // namespace dcsim::net
