#pragma once
#include <cstddef>
#include <string>

#include "lab/raft_case_group.h"
#include "scenario/yaml_tree.h"

namespace dcsim::lab {

/// The server of this name; throws MalformedCase if there is none.
std::size_t server_of(const RaftCaseGroup& group, const scenario::Node& at, const std::string& name);

/// The `check` of a case: throws UnmetCheck at `step` for the first thing that is not as `value` says, MalformedCase
/// for what cannot be understood.
void check_raft_case(const RaftCaseGroup& group, const scenario::Node& step, const scenario::Node& value);

}  // namespace dcsim::lab
