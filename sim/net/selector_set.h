#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/ids.h"

namespace dcsim::net {

/// Whom a firewall rule means by `from` or `to`: machines by id (a dense bitset), addresses outside any machine by
/// CIDR. Selectors are resolved to this by others, once. Default-constructed = nobody; `any()` = everybody.
class HostSet {
 public:
  static HostSet any() {
    HostSet set;
    set.any_ = true;
    return set;
  }

  void add(HostId host);
  /// The addresses of a network, whether a machine owns them or not.
  void add(const Cidr& network) { networks_.push_back(network); }
  /// The union with `other`.
  void add(const HostSet& other);

  bool is_any() const { return any_; }
  bool empty() const { return !any_ && hosts_ == 0 && networks_.empty(); }
  std::uint32_t host_count() const { return hosts_; }
  const std::vector<Cidr>& networks() const { return networks_; }

  /// `host` may be none() and `address` empty. Hot: one bit test, then one compare per CIDR.
  bool contains(HostId host, const Address& address) const {
    if (any_) return true;
    const std::size_t word = host.value >> 6;
    if (word < bits_.size() && ((bits_[word] >> (host.value & 63)) & 1u) != 0) return true;
    return !networks_.empty() && in_networks(address);
  }

 private:
  bool in_networks(const Address& address) const;

  bool any_ = false;
  std::uint32_t hosts_ = 0;
  std::vector<std::uint64_t> bits_;
  std::vector<Cidr> networks_;
};

/// Ports [first, last] of one protocol, as "8300-8302/tcp" says them.
struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 65535;
  std::uint8_t protocol = 0;  ///< IP protocol number; 0 = any ("53/any")
  bool operator==(const PortRange&) const = default;
  bool contains(std::uint8_t of, std::uint16_t port) const {
    return (protocol == 0 || protocol == of) && first <= port && port <= last;
  }
  std::string text() const;  ///< "8300-8302/tcp", "8301/udp"
};

}  // namespace dcsim::net
