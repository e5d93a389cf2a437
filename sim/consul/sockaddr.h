#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace dcsim::consul {

/// One address of one network interface of a host, as go-sockaddr sees it.
struct Interface {
  std::string name;  ///< "eth0", "lo"
  Address address;
  int prefix_bits = 32;
  bool up = true;
  bool default_route = false;
};

/// Expands a go-sockaddr template over a host's interfaces: text outside `{{ }}` stays as it is.
/// Functions: GetPrivateIP(s), GetPublicIP(s), GetInterfaceIP(s) NAME, GetAllInterfaces, GetDefaultInterfaces,
/// GetPrivateInterfaces, GetPublicInterfaces; verbs: attr, exclude, include, join, limit, math, offset, sort, unique.
/// Failure: the text that an agent would print ("unable to parse address template ..."). Never empty-handed silently:
/// a function that finds nothing gives "".
/// Source: hashicorp/go-sockaddr template/template.go, ifaddrs.go.
Result<std::string> expand_template(std::string_view text, const std::vector<Interface>& interfaces);

/// The addresses a configuration value names after expansion: separated by spaces, as Consul's builder splits them.
Result<std::vector<std::string>> expand_addresses(std::string_view text, const std::vector<Interface>& interfaces);

/// RFC 6890's private use: 10/8, 172.16/12, 192.168/16 and 100.64/10 as go-sockaddr counts them.
bool is_private(const Address& address);

}  // namespace dcsim::consul
