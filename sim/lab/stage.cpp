#include "lab/stage.h"

#include "lab/build.h"

namespace dcsim::lab {

Stage::Stage(const scenario::Topology& topology, bool enable_all) {
  Diagnostics ignored;  // `check` has reported them
  spec_ = build_world(topology, 1, ignored);
  network_ = std::make_unique<net::Network>(engine_, spec_.network, 1, *this);
  for (std::size_t i = 0; i < spec_.firewalls.size(); ++i) {
    if (!spec_.firewalls[i].enabled && !enable_all) off_.push_back(spec_.firewalls[i].name);
    if (enable_all) spec_.firewalls[i].enabled = true;
    network_->add_firewall(spec_.firewalls[i], spec_.firewall_machines[i]);
  }
}

net::PathReport Stage::path(HostId from, const Endpoint& to, net::Protocol protocol, std::uint16_t from_port) {
  if (const HostId there = network_->host_at(to.address, from); there.valid()) {
    if (protocol == net::Protocol::kTcp)
      network_->tcp_listen(there, to.port, this);
    else
      network_->udp_bind(there, to.port, this);
  }
  return network_->trace_path(from, to, protocol, from_port);
}

}  // namespace dcsim::lab
