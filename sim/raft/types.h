#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "wire/raft_messages.h"

namespace dcsim::raft {

using Term = std::uint64_t;
using Index = std::uint64_t;  ///< of a log entry, from 1; 0 = before the log

using wire::Configuration;
using wire::LogEntry;
using wire::LogType;
using wire::Suffrage;
using Server = wire::ConfigurationServer;

enum class Role : std::uint8_t { kFollower, kCandidate, kLeader, kShutdown };
std::string_view name_of(Role role);  ///< "Follower", "Candidate", "Leader", "Shutdown", as hashicorp/raft prints it

/// Where an entry stands: (0, 0) is before the first.
struct LogPosition {
  Index index = 0;
  Term term = 0;
  bool operator==(const LogPosition&) const = default;
};

/// What identifies an RPC that this node sent, until it is answered or has failed. Unique over the node's life.
using RpcId = std::uint64_t;
/// What identifies a request that this node is to answer. Allotted by the surroundings.
using RequestId = std::uint64_t;
/// What identifies a client's operation. Allotted by the surroundings; 0 = nobody waits.
using Token = std::uint64_t;
/// What identifies a write to storage. Allotted by the node, ascending.
using StoreOp = std::uint64_t;

}  // namespace dcsim::raft
