#include <algorithm>

#include "base/check.h"
#include "net/network.h"
#include "net/network_state.h"

namespace dcsim::net {

namespace {

void overlay(LinkAttributes& link, const Impairment& change) {
  const auto set = [](auto& field, const auto& value) {
    if (value) field = *value;
  };
  set(link.latency, change.latency);
  set(link.jitter, change.jitter);
  set(link.distribution, change.distribution);
  set(link.loss, change.loss);
  set(link.duplicate, change.duplicate);
  set(link.corrupt, change.corrupt);
  set(link.reorder, change.reorder);
  set(link.correlation, change.correlation);
  set(link.bandwidth, change.bandwidth);
  set(link.queue, change.queue);
  set(link.mtu, change.mtu);
}

}  // namespace

/// Recomputes both directions of a link from the topology and the impairments that are active, oldest first.
void Network::State::refresh(LinkId link) {
  const Graph::Link& given = graph.links()[link.index()];
  LinkAttributes there = given.forward;
  LinkAttributes back_again = given.backward;
  bool down = false;
  for (const ImpairmentState& impairment : impairments) {
    if (!impairment.active || !std::binary_search(impairment.links.begin(), impairment.links.end(), link)) continue;
    overlay(there, impairment.change);
    overlay(back_again, impairment.change);
    down = down || impairment.change.down;
  }
  graph.set_down(link, down);
  for (const bool back : {false, true}) {
    Direction& d = directions[forward_of(link).index() + (back ? 1 : 0)];
    d.apply(back ? back_again : there, down);
    if (!d.plain && !d.streams) d.streams = std::make_unique<LinkStreams>(seed, given.name + (back ? "<" : ">"));
  }
}

std::vector<LinkId> Network::State::links_named(std::string_view selector) const {
  std::vector<LinkId> found;
  for (std::uint32_t i = 0; i < graph.links().size(); ++i) {
    const Graph::Link& link = graph.links()[i];
    if (selector == "*" || link.name == selector || link.group == selector) found.push_back({i});
  }
  return found;
}

Result<ImpairmentId> Network::impair(std::string_view selector, const Impairment& impairment) {
  std::vector<LinkId> links = state_->links_named(selector);
  if (links.empty()) return Error{"no link is named `" + std::string(selector) + "`"};
  state_->impairments.push_back({impairment, links, true});
  for (const LinkId link : links) state_->refresh(link);
  return ImpairmentId{static_cast<std::uint32_t>(state_->impairments.size() - 1)};
}

bool Network::restore(ImpairmentId impairment) {
  if (impairment.index() >= state_->impairments.size()) return false;
  ImpairmentState& old = state_->impairments[impairment.index()];
  if (!old.active) return false;
  old.active = false;
  for (const LinkId link : old.links) state_->refresh(link);
  old.links = {};
  return true;
}

PartitionId Network::partition(const PartitionSpec& spec) {
  DCSIM_CHECK(spec.sides.size() >= 2 && spec.sides.size() < 65'535);
  PartitionState state{spec, std::vector<std::uint16_t>(state_->hosts.size(), 0), true, {}, 0};
  for (std::size_t side = 0; side < spec.sides.size(); ++side) {
    for (const HostId host : spec.sides[side]) state.side[host.index()] = static_cast<std::uint16_t>(side + 1);
  }
  state_->partitions.push_back(std::move(state));
  state_->active_partitions.push_back({static_cast<std::uint32_t>(state_->partitions.size() - 1)});
  return {static_cast<std::uint32_t>(state_->partitions.size() - 1)};
}

bool Network::heal(PartitionId partition) {
  if (partition.index() >= state_->partitions.size()) return false;
  PartitionState& old = state_->partitions[partition.index()];
  if (!old.active) return false;
  old.active = false;
  std::erase(state_->active_partitions, partition);
  for (const PacketId id : old.held) {
    const OriginId origin = state_->hosts[state_->packets[id].from_host.index()].origin;
    state_->engine.schedule(origin, state_->engine.now(), event(kLeaveHost, id.value, 1));
  }
  old.held.clear();
  old.side = {};
  return true;
}

std::string_view Network::partition_name(PartitionId partition) const {
  return state_->partitions[partition.index()].spec.name;
}

std::size_t Network::link_count() const { return state_->graph.links().size(); }
std::string_view Network::link_name(LinkId link) const { return state_->graph.links()[link.index()].name; }

LinkId Network::find_link(std::string_view name) const {
  const auto it = state_->link_names.find(std::string(name));
  return it == state_->link_names.end() ? LinkId::none() : it->second;
}

const LinkAttributes& Network::link_attributes(LinkId link, bool backward) const {
  return state_->directions[forward_of(link).index() + (backward ? 1 : 0)].attributes;
}

LinkCounters Network::link_counters(LinkId link) const {
  LinkCounters counters = state_->link_drops[link.index()];
  counters.forward = state_->directions[forward_of(link).index()].counter;
  counters.backward = state_->directions[forward_of(link).index() + 1].counter;
  return counters;
}

}  // namespace dcsim::net
