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

}  // namespace dcsim::lab
