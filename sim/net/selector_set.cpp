#include "net/selector_set.h"

#include <algorithm>

namespace dcsim::net {

void HostSet::add(HostId host) {
  if (!host.valid()) return;
  const std::size_t word = host.value >> 6;
  if (word >= bits_.size()) bits_.resize(word + 1, 0);
  const std::uint64_t bit = std::uint64_t{1} << (host.value & 63);
  if ((bits_[word] & bit) != 0) return;
  bits_[word] |= bit;
  ++hosts_;
}

void HostSet::add(const HostSet& other) {
  any_ = any_ || other.any_;
  bits_.resize(std::max(bits_.size(), other.bits_.size()), 0);
  for (std::size_t i = 0; i < other.bits_.size(); ++i) bits_[i] |= other.bits_[i];
  hosts_ = 0;
  for (const std::uint64_t word : bits_) hosts_ += static_cast<std::uint32_t>(__builtin_popcountll(word));
  networks_.insert(networks_.end(), other.networks_.begin(), other.networks_.end());
}

bool HostSet::in_networks(const Address& address) const {
  if (!address.is_v4() && !address.is_v4_mapped()) return false;
  const std::uint32_t value = address.v4_value();
  return std::any_of(networks_.begin(), networks_.end(), [&](const Cidr& network) { return network.contains(value); });
}

std::string PortRange::text() const {
  std::string out = std::to_string(first);
  if (last != first) out += "-" + std::to_string(last);
  switch (protocol) {
    case 1:
      return out + "/icmp";
    case 6:
      return out + "/tcp";
    case 17:
      return out + "/udp";
    default:
      return out + "/any";
  }
}

}  // namespace dcsim::net
