#pragma once
#include <string>
#include <vector>

#include "base/address.h"
#include "consul/command.h"
#include "consul/tags.h"

namespace dcsim::consul {

/// One row of /v1/agent/members.
struct MemberRow {
  std::string name;
  Endpoint address;
  std::string status;  ///< Serf's word: none, alive, leaving, left, failed
  std::string protocol = "2";
  std::string protocol_min = "2", protocol_max = "5";  ///< Serf's range, shown by `serf members -detailed`
  Tags tags;
};

/// How `consul members` was asked.
struct MembersQuery {
  std::string segment = "_all";
  std::string status = ".*";
  bool detailed = false;
  bool wan = false;
};

/// Filters, sorts and prints as `consul members` does. Exit 0; 1 for a status expression that does not compile; 2 if
/// nothing matched. The segment shown is also what rows are sorted by and what -detailed prints among the tags, as there.
/// Source: command/members/members.go.
CommandResult print_members(std::vector<MemberRow> rows, const MembersQuery& query);

/// The same for `serf members`. Source: serf cmd/serf/command/members.go.
CommandResult print_serf_members(std::vector<MemberRow> rows, const std::string& status, const std::string& name,
                                 const Tags& tag_filters, bool detailed);

}  // namespace dcsim::consul
