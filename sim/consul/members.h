#pragma once
#include <string>
#include <vector>

#include "base/address.h"
#include "consul/command.h"
#include "consul/tags.h"
#include "gossip/directory.h"

namespace dcsim::consul {

/// One row of /v1/agent/members.
struct MemberRow {
  std::string name;
  Endpoint address;
  std::string status;  ///< Serf's word: none, alive, leaving, left, failed
  gossip::Versions versions{};  ///< memberlist's min, max, current, then Serf's
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

/// How `serf members` was asked. Expressions are anchored at both ends; "" for status and name lets all through.
struct SerfMembersQuery {
  std::string status;
  std::string name;
  Tags tags;  ///< expression by tag
  bool detailed = false;
  bool json = false;
};

/// The same for `serf members`: exit 1 for an expression that does not compile. Source: serf cmd/serf/command/members.go,
/// agent/ipc.go filterMembers.
CommandResult print_serf_members(std::vector<MemberRow> rows, const SerfMembersQuery& query);

}  // namespace dcsim::consul
