#include "consul/leader_host.h"

namespace dcsim::consul {

std::string rpc_address(const LanMember& member) {
  const auto server = parse_server(*member.tags);
  return server ? Endpoint{member.address.address, server->port}.text() : "";
}

}  // namespace dcsim::consul
