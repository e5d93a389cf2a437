#pragma once
#include <string>

#include "base/result.h"
#include "scenario/scenario.h"

namespace dcsim::lab {

/// `explain --flow SRC DST:PORT/PROTO`: the way of one packet through the network as the file describes it before any step
/// has run, each firewall with the rule that decides and why earlier ones do not, and what the sender would see. With
/// `after` the firewall steps up to that instant are applied first.
struct FlowQuery {
  std::string from;  ///< an agent
  std::string to;    ///< an agent or an address
  std::uint16_t port = 0;
  std::string protocol;  ///< "tcp" or "udp"
  std::uint16_t from_port = 0;  ///< 0 = ephemeral for TCP, the destination's port for UDP (as memberlist's packets have it)
};
/// "DST:PORT/PROTO". The error says what is wrong with it.
Result<FlowQuery> parse_flow(const std::string& from, const std::string& to);

struct Explanation {
  bool arrives = false;
  std::string text;
};
/// Fails on unknown names. `enable_all`: firewalls that a scenario turns on later count as on.
Result<Explanation> explain_flow(const scenario::Topology& topology, const FlowQuery& query, bool enable_all);

/// `reach`: who can open which of the gossip and RPC ports of whom, zone by zone (or agent by agent), as a table.
struct ReachOptions {
  bool by_agent = false;
  bool enable_all = true;
};
/// One cell: which of the ports asked for get through.
struct ReachTable {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> cells;  ///< cells[from][to]: "tcp udp", "tcp", "udp", "-"
};
ReachTable reach_table(const scenario::Topology& topology, const ReachOptions& options);
std::string reach_text(const ReachTable& table);
/// What differs between two tables, one line a cell; empty if nothing does.
std::string reach_diff(const ReachTable& before, const ReachTable& after);

}  // namespace dcsim::lab
