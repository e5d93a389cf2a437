#include "base/check.h"
#include "net/network.h"
#include "net/network_state.h"

namespace dcsim::net {

FirewallId Network::add_firewall(FirewallConfig config, const HostSet& machines, bool inside_zones) {
  State& state = *state_;
  DCSIM_CHECK_MSG(!find_firewall(config.name).valid(), "two firewalls are named " + config.name);
  const FirewallId id{static_cast<std::uint32_t>(state.firewalls.size())};
  const FirewallHook hook = config.hook;
  const auto host_name = [&state](HostId host) { return state.hosts[host.index()].name; };
  state.firewalls.push_back(std::make_unique<FirewallState>(std::move(config), state.seed, host_name, inside_zones));
  if (hook == FirewallHook::kForward) {
    state.forward.push_back(id);
    return id;
  }
  for (std::uint32_t i = 0; i < state.hosts.size(); ++i) {
    HostState& host = state.hosts[i];
    if (!machines.contains({i}, host.addresses.front())) continue;
    host.hooked = true;
    (hook == FirewallHook::kInput ? host.input : host.output).push_back(id);
  }
  return id;
}

FirewallId Network::find_firewall(std::string_view name) const {
  for (std::uint32_t i = 0; i < state_->firewalls.size(); ++i) {
    if (state_->firewalls[i]->firewall.name() == name) return {i};
  }
  return FirewallId::none();
}

std::size_t Network::firewall_count() const { return state_->firewalls.size(); }
Firewall& Network::firewall(FirewallId id) { return state_->firewalls[id.index()]->firewall; }
const Firewall& Network::firewall(FirewallId id) const { return state_->firewalls[id.index()]->firewall; }

}  // namespace dcsim::net
