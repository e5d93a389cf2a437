#pragma once
#include <cstdint>
#include <string>

#include "base/address.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "gossip/notice.h"

namespace dcsim::gossip {

/// A stream, dialled or accepted. Allotted by the surroundings, unique within one Memberlist while it is open.
using StreamId = Id<struct StreamTag>;

enum class SendStatus : std::uint8_t {
  kSent,
  kNetworkError,  ///< unreachable, refused, no such route: memberlist's failedRemote(), the probe goes on by other ways
  kOtherError,    ///< local trouble: the probe is given up without judgement
};

/// What the protocol asks of its surroundings. Called from inside the inputs of Memberlist; must not call back into it.
/// On every input the surroundings take the input's own record as the current cause; `because` replaces it until the
/// next `because` or until the input returns.
class Actions {
 public:
  virtual ~Actions() = default;

  /// One datagram. `payload` may be shared with other destinations.
  virtual SendStatus send_packet(const Endpoint& to, const Bytes& payload) = 0;
  /// What stopped the last datagram that was not sent, as Go words it; for log lines only.
  virtual std::string send_error() const { return "send failed"; }
  /// Starts a connection. Answered by on_stream_connected or on_stream_failed, never from inside this call.
  /// After `timeout` the surroundings report failure with Go's "dial tcp <to>: i/o timeout".
  virtual StreamId dial(const Endpoint& to, Duration timeout) = 0;
  /// Queues bytes; order is kept. On a stream that has failed it does nothing.
  virtual void stream_send(StreamId stream, const Bytes& payload) = 0;
  /// Closes after what was sent. The id is not used again by the protocol, and inputs for it are ignored.
  virtual void stream_close(StreamId stream) = 0;

  /// Records a happening; the answer is its record, for `because`.
  virtual Cause note(const Notice& notice) = 0;
  /// What follows is caused by `cause`; Cause{} = by the input itself again.
  virtual void because(Cause cause) = 0;
};

}  // namespace dcsim::gossip
