#pragma once
#include <cstdint>
#include <map>

#include "consul/leader_host.h"

namespace dcsim::consul {

/// The clock of KV tombstones (agent/consul/state/tombstone_gc.go), on while this server leads: 15 minutes after a hint,
/// in steps of 30 s, all tombstones up to its index are reaped by one Raft write.
class TombstoneClock {
 public:
  explicit TombstoneClock(ServerIdentity self, LeaderHost& host) : self_(std::move(self)), host_(host) {}

  void start(Instant now, std::uint64_t last_index);
  void stop();
  /// A deletion was applied at `index` (see KvStore::newest_tombstone). Nothing while stopped.
  void hint(Instant now, std::uint64_t index);
  Instant next_deadline() const { return due_.empty() ? Instant::never() : due_.begin()->first; }
  void on_deadline(Instant now);

 private:
  ServerIdentity self_;
  LeaderHost& host_;
  bool enabled_ = false;
  std::map<Instant, std::uint64_t> due_;  ///< highest index by the instant it expires
};

}  // namespace dcsim::consul
