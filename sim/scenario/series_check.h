#pragma once
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "scenario/scenario.h"

namespace dcsim::scenario {

/// Names of the labels that agents of the topology have, their zones' included; sorted.
std::vector<std::string> agent_label_names(const Topology& topology);

/// Parses every expression of a scenario (`when`, expectations, metrics, `record.packets.match`) and reports what is
/// wrong with each, pointing into its text. Expectations and `when` must be conditions.
void check_expressions(const Scenario& scenario, Diagnostics& out);

}  // namespace dcsim::scenario
