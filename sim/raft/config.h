#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "raft/types.h"

namespace dcsim::raft {

/// Faults built into a node on purpose, so that tests can see the checkers find them. Never set outside tests.
enum class Mutation : std::uint8_t {
  kNone,
  kCommitsOldTerms,     ///< counts replicas of entries of earlier terms (paper 5.4.2 forbids it)
  kVotesTwice,          ///< grants every candidate of a term
  kForgetsVote,         ///< comes back from a restart without its vote
  kSkipsLogCheck,       ///< votes for candidates whose log is behind
  kSkipsPreviousCheck,  ///< takes entries whatever the term of the one before them
  kAcksBeforeSync,      ///< answers and counts entries that are not durable yet
};

/// hashicorp/raft config.go: Config, and the switches by which it can be made the paper's algorithm. Plain value.
struct Config {
  std::string id;       ///< LocalID; not empty. Consul: the node's UUID
  std::string address;  ///< what the transport's LocalAddr says, "10.0.0.1:8300"
  int protocol_version = 3;

  Duration heartbeat_timeout{1'000'000'000};
  Duration election_timeout{1'000'000'000};
  Duration leader_lease_timeout{500'000'000};
  Duration commit_timeout{50'000'000};
  std::uint32_t max_append_entries = 64;
  std::uint32_t max_rpcs_in_flight = 2;  ///< per pipeline; below 2 = no pipelining
  Duration snapshot_interval{120'000'000'000};
  std::uint64_t snapshot_threshold = 8192;
  std::uint64_t trailing_logs = 10'240;
  bool shutdown_on_remove = true;
  bool pre_vote = true;  ///< !PreVoteDisabled

  /// A server that knows a leader refuses votes to others. Off only in the paper's plain algorithm.
  bool sticky_leader = true;
  /// A leader gives up when fewer than a quorum answered for LeaderLeaseTimeout. Off: the paper's plain algorithm.
  bool leader_lease = true;
  /// The log store numbers its segments (raft-wal): what an installed snapshot covers is removed whole.
  bool monotonic_log = false;
  /// A leader steps down once a local append has been outstanding for this long (hashicorp/raft issue 503: without it a
  /// hung disk leaves a leader that heartbeats and commits nothing). Zero = never, as hashicorp/raft.
  Duration disk_stall_limit{0};
  /// In force before the first entry, for groups whose first configuration is not in their log. Mostly empty.
  Configuration initial;

  Mutation mutation = Mutation::kNone;

  /// The paper's algorithm: no pre-vote, votes in spite of a known leader, no lease.
  static Config plain();
  /// hashicorp/raft before pre-vote.
  static Config sticky();
  /// As Consul 1.21 sets it (hashicorp/consul agent/consul/config.go), raft_multiplier from 1 to 10.
  static Config consul(int multiplier = 5);

  /// The first thing wrong, as config.go ValidateConfig words it; nullopt if usable.
  std::optional<Error> problem() const;
};

/// config.go: ReloadableConfig.
struct ReloadableConfig {
  std::uint64_t trailing_logs = 10'240;
  Duration snapshot_interval{120'000'000'000};
  std::uint64_t snapshot_threshold = 8192;
  Duration heartbeat_timeout{1'000'000'000};
  Duration election_timeout{1'000'000'000};
};

inline constexpr int kMaxMultiplier = 10;

}  // namespace dcsim::raft
