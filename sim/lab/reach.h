#pragma once
#include <string>
#include <vector>

#include "scenario/scenario.h"

namespace dcsim::lab {

struct ReachOptions {
  bool by_agent = false;
  bool enable_all = false;  ///< firewalls that the file disables at the start count as in force
};

/// Who can open which of the gossip and RPC ports of whom, before any step of the timeline.
///
/// A cell lists the ports that packets from every agent of the row reach at every agent of the column that listens
/// there: "8301/udp 8301/tcp 8300/tcp". A port that only some pairs reach has their number behind it, "8301/udp(3 of
/// 12)"; "-" is none, "." nobody to ask (an agent and itself). Agents that no rule, link or configuration tells apart
/// are tried once.
struct ReachTable {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> cells;  ///< cells[from][to]
  std::vector<std::string> disabled;            ///< firewalls of the file that are not in force
};
ReachTable reach_table(const scenario::Topology& topology, const ReachOptions& options);
/// "at the start of the run; not in force then: core-fw (...)", or "" if every firewall is.
std::string disabled_text(const ReachTable& table);
/// The table, and a line on what is not in force.
std::string reach_text(const ReachTable& table);
/// What differs between two tables, one line a cell; empty if nothing does.
std::string reach_diff(const ReachTable& before, const ReachTable& after);

}  // namespace dcsim::lab
