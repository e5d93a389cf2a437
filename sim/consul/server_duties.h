#pragma once
#include "base/time.h"
#include "consul/surroundings.h"
#include "gossip/serf_event.h"
#include "wire/consul_messages.h"

namespace dcsim::consul {

/// Something that a server does beside answering: the leader's loop, autopilot, bootstrapping (agent/consul/leader.go,
/// autopilot.go, server_serf.go). Called from Server::run, never from inside a call to the Server, whose methods it may
/// use freely.
class ServerDuties {
 public:
  virtual ~ServerDuties() = default;
  /// Raft's leadership channel: true when this server begins to lead, false when it ceases to; in turn.
  virtual void on_leadership(Instant now, bool leading) { static_cast<void>(now), static_cast<void>(leading); }
  /// Serf's event of one pool (0 = the default segment), after the server lookup has taken it in.
  virtual void on_member(Instant now, PoolId pool, gossip::MemberEventKind kind, const gossip::Member& member) {
    static_cast<void>(now), static_cast<void>(pool), static_cast<void>(kind), static_cast<void>(member);
  }
  /// Session.Apply made it, or Session.Renew renewed it; and it was destroyed. On the leader.
  virtual void on_session(Instant now, const wire::rpc::Session& session) {
    static_cast<void>(now), static_cast<void>(session);
  }
  virtual void on_session_end(std::string_view id) { static_cast<void>(id); }
  virtual Instant next_deadline() const { return Instant::never(); }
  virtual void on_deadline(Instant now) { static_cast<void>(now); }

  /// The Raft node applied commands up to this index.
  virtual void on_applied(Instant now, std::uint64_t index) { static_cast<void>(now), static_cast<void>(index); }

  // Answers of Operator.AutopilotState and Operator.ServerHealth on the leader; false: not this one's business.
  virtual bool autopilot_state(Instant now, wire::rpc::AutopilotState& out) const {
    static_cast<void>(now), static_cast<void>(out);
    return false;
  }
  virtual bool server_health(Instant now, wire::rpc::AutopilotHealthReply& out) const {
    static_cast<void>(now), static_cast<void>(out);
    return false;
  }
};

}  // namespace dcsim::consul
