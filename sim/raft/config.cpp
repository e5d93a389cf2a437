#include "raft/config.h"

#include "base/check.h"
#include "raft/membership.h"

namespace dcsim::raft {

std::string_view name_of(Role role) {
  switch (role) {
    case Role::kFollower:
      return "Follower";
    case Role::kCandidate:
      return "Candidate";
    case Role::kLeader:
      return "Leader";
    case Role::kShutdown:
      return "Shutdown";
  }
  return "Unknown";
}

Config Config::plain() {
  Config c;
  c.pre_vote = false;
  c.sticky_leader = false;
  c.leader_lease = false;
  return c;
}

Config Config::sticky() {
  Config c;
  c.pre_vote = false;
  return c;
}

Config Config::consul(int multiplier) {
  DCSIM_CHECK(multiplier >= 1 && multiplier <= kMaxMultiplier);
  Config c;
  c.heartbeat_timeout = 1_s * multiplier;
  c.election_timeout = 1_s * multiplier;
  c.leader_lease_timeout = 500_ms * multiplier;
  c.snapshot_interval = 30_s;
  c.snapshot_threshold = 16'384;
  c.shutdown_on_remove = false;
  c.monotonic_log = true;
  c.disk_stall_limit = c.heartbeat_timeout * 2;
  return c;
}

std::optional<Error> Config::problem() const {
  if (protocol_version < 0 || protocol_version > 3)
    return Error{"ProtocolVersion " + std::to_string(protocol_version) + " must be >= 0 and <= 3"};
  if (id.empty()) return Error{"LocalID cannot be empty"};
  if (address.empty()) return Error{"the local address cannot be empty"};
  if (heartbeat_timeout < 5_ms) return Error{"HeartbeatTimeout is too low"};
  if (election_timeout < 5_ms) return Error{"ElectionTimeout is too low"};
  if (commit_timeout < 1_ms) return Error{"CommitTimeout is too low"};
  if (max_append_entries == 0) return Error{"MaxAppendEntries must be positive"};
  if (max_append_entries > 1024) return Error{"MaxAppendEntries is too large"};
  if (snapshot_interval < 5_ms) return Error{"SnapshotInterval is too low"};
  if (leader_lease_timeout < 5_ms) return Error{"LeaderLeaseTimeout is too low"};
  if (leader_lease_timeout > heartbeat_timeout)
    return Error{"LeaderLeaseTimeout cannot be larger than heartbeat timeout"};
  if (election_timeout < heartbeat_timeout)
    return Error{"ElectionTimeout must be equal or greater than Heartbeat Timeout"};
  if (disk_stall_limit.ns < 0) return Error{"the disk stall limit cannot be negative"};
  if (!initial.servers.empty()) return problem_of(initial);
  return std::nullopt;
}

}  // namespace dcsim::raft
