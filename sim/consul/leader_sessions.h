#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "consul/leader_host.h"
#include "consul/state_fold.h"

namespace dcsim::consul {

/// Timers of sessions with a time-to-live, as the leader alone keeps them (agent/consul/session_ttl.go): a session ends
/// twice its TTL after it was made, renewed, or the leader took office.
class LeaderSessions {
 public:
  LeaderSessions(ServerIdentity self, LeaderHost& host) : self_(std::move(self)), host_(host) {}

  /// A new leader starts a full round for each session there is.
  void start(Instant now);
  void stop();
  /// Session.Apply made a session, Session.Renew renewed one. Nothing for sessions without TTL, or while stopped.
  void reset(Instant now, const wire::rpc::Session& session);
  void clear(std::string_view id);

  Instant next_deadline() const;
  void on_deadline(Instant now);
  std::size_t size() const { return timers_.size(); }

 private:
  struct Timer {
    Instant at{};
    int attempt = 0;
    bool under_way = false;
  };
  void invalidate(Instant now, const std::string& id);
  void invalidated(Instant now, const std::string& id, const std::optional<Error>& error);

  ServerIdentity self_;
  LeaderHost& host_;
  bool running_ = false;
  std::map<std::string, Timer, FoldLess> timers_;
};

}  // namespace dcsim::consul
