#include "scenario/topology.h"

#include <algorithm>

namespace dcsim::scenario {

namespace {
constexpr std::uint32_t kAmbiguous = 0xffffffffu;
}

void LinkOverrides::apply_to(LinkAttributes& a) const {
  a.latency = latency.value_or(a.latency);
  a.jitter = jitter.value_or(a.jitter);
  a.distribution = distribution.value_or(a.distribution);
  a.trace = trace.value_or(a.trace);
  a.loss = loss.value_or(a.loss);
  a.duplicate = duplicate.value_or(a.duplicate);
  a.corrupt = corrupt.value_or(a.corrupt);
  a.reorder = reorder.value_or(a.reorder);
  a.correlation = correlation.value_or(a.correlation);
  a.bandwidth = bandwidth.value_or(a.bandwidth);
  if (queue) a.queue = queue;
  a.mtu = mtu.value_or(a.mtu);
}

void Topology::index() {
  zones_by_name_.clear();
  agents_by_name_.clear();
  for (std::uint32_t i = 0; i < zones.size(); ++i) zones_by_name_.emplace(zones[i].name, i);
  for (std::uint32_t i = 0; i < agents.size(); ++i) agents_by_name_.emplace(agents[i].full_name, i);
  for (std::uint32_t i = 0; i < agents.size(); ++i) {
    const auto [it, fresh] = agents_by_name_.emplace(agents[i].name, i);
    if (!fresh && it->second != i && (it->second == kAmbiguous || agents[it->second].full_name != agents[i].name))
      it->second = kAmbiguous;
  }
}

std::optional<std::uint32_t> Topology::zone_index(std::string_view zone) const {
  const auto it = zones_by_name_.find(std::string(zone));
  return it == zones_by_name_.end() ? std::nullopt : std::optional(it->second);
}

std::optional<std::uint32_t> Topology::agent_index(std::string_view agent) const {
  const auto it = agents_by_name_.find(std::string(agent));
  return it == agents_by_name_.end() || it->second == kAmbiguous ? std::nullopt : std::optional(it->second);
}

const Firewall* Topology::firewall(std::string_view wanted) const {
  const auto it = std::find_if(firewalls.begin(), firewalls.end(), [&](const Firewall& f) { return f.name == wanted; });
  return it == firewalls.end() ? nullptr : &*it;
}

void Topology::add_service(Service service_to_add) {
  services_by_name_.emplace(service_to_add.name, static_cast<std::uint32_t>(services.size()));
  services.push_back(std::move(service_to_add));
}

const Service* Topology::service(std::string_view wanted) const {
  const auto it = services_by_name_.find(std::string(wanted));
  return it == services_by_name_.end() ? nullptr : &services[it->second];
}

const Link* Topology::link(std::string_view wanted) const {
  const auto it = std::find_if(links.begin(), links.end(), [&](const Link& l) { return l.name == wanted; });
  return it == links.end() ? nullptr : &*it;
}

const DnsName* Topology::dns_name(std::string_view wanted) const {
  const auto it = std::find_if(dns.begin(), dns.end(), [&](const DnsName& d) { return d.name == wanted; });
  return it == dns.end() ? nullptr : &*it;
}

std::string_view Topology::label(std::uint32_t agent, std::string_view key) const {
  for (const auto& [name_of_label, value] : labels(agent)) {
    if (name_of_label == key) return value;
  }
  for (const auto& [name_of_label, value] : zones[agents[agent].zone].labels) {
    if (name_of_label == key) return value;
  }
  return {};
}

}  // namespace dcsim::scenario
