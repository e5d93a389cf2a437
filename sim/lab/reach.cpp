#include "lab/reach.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "consul/agent_config.h"
#include "consul/command.h"
#include "lab/stage.h"

namespace dcsim::lab {

namespace {

struct Port {
  std::uint16_t number = 0;
  net::Protocol protocol = net::Protocol::kUdp;
  auto operator<=>(const Port&) const = default;
};

/// The gossip and RPC ports that an agent listens on.
std::vector<Port> ports_of(const consul::AgentConfig& c) {
  std::vector<Port> out = {{c.serf_lan_port, net::Protocol::kUdp}, {c.serf_lan_port, net::Protocol::kTcp}};
  for (const consul::SegmentConfig& s : c.segments) {
    out.push_back({s.port, net::Protocol::kUdp});
    out.push_back({s.port, net::Protocol::kTcp});
  }
  if (c.server) out.push_back({c.rpc_port, net::Protocol::kTcp});
  return out;
}

/// Agents that nothing in the file tells apart. One stands for all, and a second one where it is itself the other end.
struct Class {
  std::uint32_t zone = 0;
  std::vector<Port> ports;
  std::vector<std::uint32_t> agents;  ///< the first two
  std::uint64_t size = 0;
};

/// Everything that may decide a packet's way: the zone, the ports, and for each firewall and rule whether it means the
/// agent.
std::string signature_of(const scenario::Topology& t, const host::WorldSpec& world, std::uint32_t agent) {
  const HostId host{agent};
  const Address address = t.agents[agent].address;
  std::string key = fmt::format("{}|{}|", t.agents[agent].zone, t.agents[agent].group);
  for (std::size_t f = 0; f < world.firewalls.size(); ++f) {
    key += world.firewall_machines[f].contains(host, address) ? '1' : '0';
    for (const net::RuleSpec& rule : world.firewalls[f].rules) {
      key += rule.from.contains(host, address) ? '1' : '0';
      key += rule.to.contains(host, address) ? '1' : '0';
    }
  }
  for (const scenario::Link& link : t.links) {
    for (const scenario::LinkEnd& end : link.ends) {
      if (end.kind == scenario::LinkEnd::Kind::kAgent && end.index == agent) key += "|" + link.name;
    }
  }
  for (const scenario::Nat& nat : t.nat) {
    if (nat.inside == address) key += "|" + nat.name;
  }
  return key;
}

std::vector<Class> classes_of(const scenario::Topology& t, const host::WorldSpec& world, bool by_agent) {
  std::vector<Class> out;
  std::map<std::string, std::size_t> known;
  for (std::uint32_t a = 0; a < t.agents.size(); ++a) {
    const std::string key = by_agent ? std::to_string(a) : signature_of(t, world, a);
    const auto [it, fresh] = known.emplace(key, out.size());
    if (fresh) out.push_back({t.agents[a].zone, ports_of(world.agents[a].config), {}, 0});
    Class& c = out[it->second];
    if (c.agents.size() < 2) c.agents.push_back(a);
    ++c.size;
  }
  return out;
}

/// How many pairs of agents there are for a port, and how many of them it is open to.
struct Tally {
  std::uint64_t open = 0;
  std::uint64_t pairs = 0;
};

class Survey {
 public:
  Survey(const scenario::Topology& topology, bool enable_all) : topology_(topology), stage_(topology, enable_all) {}

  const Stage& stage() const { return stage_; }

  void add(const Class& from, const Class& to, std::map<Port, Tally>& cell) {
    const bool same = &from == &to;
    if (same && from.size < 2) return;
    const std::uint64_t pairs = same ? from.size * (from.size - 1) : from.size * to.size;
    const std::uint32_t target = same ? to.agents[1] : to.agents[0];
    for (const Port& port : to.ports) {
      Tally& tally = cell[port];
      tally.pairs += pairs;
      const Endpoint at{topology_.agents[target].address, port.number};
      // memberlist sends its packets from its listening port; TCP comes from an ephemeral one.
      const std::uint16_t from_port = port.protocol == net::Protocol::kUdp ? from.ports[0].number : 40'000;
      if (stage_.path(HostId{from.agents[0]}, at, port.protocol, from_port).arrives()) tally.open += pairs;
    }
  }

 private:
  const scenario::Topology& topology_;
  Stage stage_;
};

std::string cell_text(const std::map<Port, Tally>& cell) {
  if (cell.empty()) return ".";
  std::string all, some;
  for (const auto& [port, tally] : cell) {
    const std::string name = fmt::format("{}/{}", port.number, net::name_of(port.protocol));
    if (tally.open == tally.pairs)
      all += (all.empty() ? "" : " ") + name;
    else if (tally.open > 0)
      some += fmt::format("{}{}({} of {})", some.empty() ? "" : " ", name, tally.open, tally.pairs);
  }
  if (all.empty() && some.empty()) return "-";
  return all + (all.empty() || some.empty() ? "" : " ") + some;
}

}  // namespace

ReachTable reach_table(const scenario::Topology& topology, const ReachOptions& options) {
  Survey survey(topology, options.enable_all);
  const std::vector<Class> classes = classes_of(topology, survey.stage().spec(), options.by_agent);
  ReachTable table;
  table.disabled = survey.stage().off();
  // Rows and columns: a place each class belongs to.
  std::vector<std::size_t> place(classes.size());
  std::map<std::uint32_t, std::size_t> zones;
  for (std::uint32_t z = 0; z < topology.zones.size() && !options.by_agent; ++z) {
    if (std::none_of(classes.begin(), classes.end(), [&](const Class& c) { return c.zone == z; })) continue;
    zones.emplace(z, table.names.size());
    table.names.push_back(topology.zones[z].name);
  }
  for (std::size_t c = 0; c < classes.size(); ++c) {
    place[c] = options.by_agent ? c : zones.at(classes[c].zone);
    if (options.by_agent) table.names.push_back(topology.agents[classes[c].agents[0]].full_name);
  }
  std::vector<std::vector<std::map<Port, Tally>>> cells(table.names.size(),
                                                        std::vector<std::map<Port, Tally>>(table.names.size()));
  for (std::size_t a = 0; a < classes.size(); ++a) {
    for (std::size_t b = 0; b < classes.size(); ++b) survey.add(classes[a], classes[b], cells[place[a]][place[b]]);
  }
  for (const auto& row : cells) {
    table.cells.emplace_back();
    for (const auto& cell : row) table.cells.back().push_back(cell_text(cell));
  }
  return table;
}

std::string reach_text(const ReachTable& table) {
  std::vector<std::vector<std::string>> rows;
  rows.push_back({"from \\ to"});
  rows[0].insert(rows[0].end(), table.names.begin(), table.names.end());
  for (std::size_t i = 0; i < table.names.size(); ++i) {
    rows.push_back({table.names[i]});
    rows.back().insert(rows.back().end(), table.cells[i].begin(), table.cells[i].end());
  }
  std::string out = consul::columnize(rows);
  if (out.find(" of ") != std::string::npos) out += "\nPORT(n of m): n of m pairs of agents\n";
  if (!table.disabled.empty()) out += "\n" + disabled_text(table) + "\n";
  return out;
}

std::string disabled_text(const ReachTable& table) {
  std::string off;
  for (const std::string& name : table.disabled) off += (off.empty() ? "" : ", ") + name;
  return off.empty() ? off
                     : fmt::format("at the start of the run; not in force then: {} (--enable-all counts them in)", off);
}

std::string reach_diff(const ReachTable& before, const ReachTable& after) {
  std::string out;
  for (std::size_t i = 0; i < before.names.size(); ++i) {
    const auto row = std::find(after.names.begin(), after.names.end(), before.names[i]);
    for (std::size_t j = 0; j < before.names.size(); ++j) {
      const auto column = std::find(after.names.begin(), after.names.end(), before.names[j]);
      std::string now = "(gone)";
      if (row != after.names.end() && column != after.names.end()) {
        now = after.cells[static_cast<std::size_t>(row - after.names.begin())]
                         [static_cast<std::size_t>(column - after.names.begin())];
      }
      if (now != before.cells[i][j])
        out += fmt::format("{} -> {}: {} => {}\n", before.names[i], before.names[j], before.cells[i][j], now);
    }
  }
  for (const std::string& name : after.names) {
    if (std::find(before.names.begin(), before.names.end(), name) == before.names.end())
      out += fmt::format("{}: new\n", name);
  }
  return out;
}

}  // namespace dcsim::lab
