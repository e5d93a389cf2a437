#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/engine.h"
#include "host/world.h"
#include "net/network.h"
#include "scenario/scenario.h"

namespace dcsim::lab {

/// The network of a topology without agents, on which every port that is asked about is open: for `explain` and
/// `reach`. Firewalls are as the file has them at the start, or all enabled.
class Stage final : public net::NetObserver, public net::UdpSink, public net::TcpSink {
 public:
  Stage(const scenario::Topology& topology, bool enable_all);

  net::Network& network() { return *network_; }
  /// What the network was made of.
  const host::WorldSpec& spec() const { return spec_; }
  /// Firewalls that are not in force.
  const std::vector<std::string>& off() const { return off_; }
  net::PathReport path(HostId from, const Endpoint& to, net::Protocol protocol, std::uint16_t from_port);

  void on_udp(HostId, const Endpoint&, const Endpoint&, const Bytes&) override {}
  void on_accept(net::ConnectionId, const Endpoint&, const Endpoint&) override {}
  void on_connected(net::ConnectionId) override {}
  void on_data(net::ConnectionId, const Bytes&) override {}
  void on_eof(net::ConnectionId) override {}
  void on_error(net::ConnectionId, net::SocketError) override {}

 private:
  core::Engine engine_;
  host::WorldSpec spec_;
  std::unique_ptr<net::Network> network_;
  std::vector<std::string> off_;
};

}  // namespace dcsim::lab
