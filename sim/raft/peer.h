#pragma once
#include <cstdint>

#include "base/rng.h"
#include "base/time.h"
#include "base/fifo.h"
#include "raft/types.h"

namespace dcsim::raft {

/// What a leader keeps per other server (replication.go: followerReplication): a heartbeat loop, and beside it a
/// replication loop that sends in turn or, once a request succeeded, through a pipeline.
struct Peer {
  enum class Mode : std::uint8_t {
    kIdle,      ///< waits for new entries or the idle tick
    kBackoff,   ///< waits before trying again after failures
    kWaiting,   ///< a request is outstanding
    kPipeline,  ///< sends without waiting, while fewer than the limit are outstanding
  };
  /// A request on its way in the pipeline.
  struct InFlight {
    RpcId id = 0;
    Index last = 0;  ///< of its entries; 0 = it carries none
  };

  Server server;
  Rng heartbeat_draw, tick_draw;
  Instant last_contact;  ///< any answer to a heartbeat, even that of a later term
  Instant last_success;
  RpcId verified = 0;  ///< newest request that was answered with success

  RpcId heartbeat = 0;  ///< outstanding; 0 = none
  Instant heartbeat_at = Instant::never();
  bool heartbeat_wanted = false;
  bool heartbeat_backing_off = false;
  std::uint32_t heartbeat_failures = 0;

  Mode mode = Mode::kIdle;
  Index next = 1;
  Index target = 0;  ///< how far the present round is to go
  Instant wake = Instant::never();
  bool triggered = false;
  bool allow_pipeline = false;
  std::uint32_t failures = 0;
  RpcId request = 0;       ///< outstanding, kWaiting only
  Index request_last = 0;  ///< of its entries, or of the snapshot; 0 = it carries none
  Index pipeline_next = 0;
  Fifo<InFlight> pipeline;

  bool stopping = false;  ///< no longer in the configuration: one more attempt, then it goes
};

/// util.go backoff: 10 ms for the first two failures, then doubling up to the twelfth.
Duration backoff(std::uint32_t failures);

}  // namespace dcsim::raft
