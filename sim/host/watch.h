#pragma once
#include "host/process.h"

namespace dcsim::host {

/// Looks at a running world from outside, after each step. Must not change it.
class Watch {
 public:
  virtual ~Watch() = default;
  /// An agent has handled an input (packet, stream, timer, command).
  // Hot: once per packet received.
  virtual void after_input(const Process& process) = 0;
  virtual void on_notice(const Process& process, consul::PoolId pool, const gossip::Notice& notice) = 0;
  virtual void on_member_event(const Process& process, consul::PoolId pool, const gossip::MemberEvent& event) = 0;
  virtual void on_down(const Process& process) = 0;
};

}  // namespace dcsim::host
