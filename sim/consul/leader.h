#pragma once
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "consul/autopilot.h"
#include "consul/leader_host.h"
#include "consul/leader_sessions.h"
#include "consul/leader_tombstones.h"
#include "consul/reconcile.h"

namespace dcsim::consul {

/// The user event by which a new leader makes itself known (agent/consul/server_serf.go).
inline constexpr std::string_view kNewLeaderEvent = "consul:new-leader";

/// agent/consul/config.go, leader.go.
struct LeaderConfig {
  Duration reconcile_interval = 60_s;
  Duration barrier_timeout = 120_s;
  Duration retry_interval = 5_s;  ///< after a failure to establish leadership and to hand it over
  std::size_t member_queue = 256;
  int transfer_attempts = 3;
};

/// What a server does while it leads (agent/consul/leader.go monitorLeadership, leaderLoop): it tells the datacenter,
/// waits for a barrier, establishes leadership, reconciles all members, then each event as it comes, and all of them
/// again every minute. Sans-I/O; one thing at a time, as Consul's loop is one goroutine.
///
/// Contract: tell it of every gain and loss of Raft leadership in order, of member events on LAN pools, keep one timer for
/// next_deadline(). Owns autopilot, the session timers and the tombstone clock of its server.
class LeaderLoop {
 public:
  LeaderLoop(ServerIdentity self, LeaderHost& host, LeaderConfig config = {},
             wire::rpc::AutopilotConfig autopilot = default_autopilot_config());
  LeaderLoop(const LeaderLoop&) = delete;
  LeaderLoop& operator=(const LeaderLoop&) = delete;

  /// The server starts: autopilot begins to learn of the servers.
  void start(Instant now) { autopilot_.start(now); }
  /// Raft's notice of leadership gained or lost.
  void on_leadership(Instant now, bool leader);
  /// A join, update, leave, failure or reap in a LAN pool (server_serf.go localMemberEvent). Nothing unless this server
  /// leads. Dropped if the queue is full.
  void on_member(Instant now, LanMember member);

  Instant next_deadline() const;
  void on_deadline(Instant now);

  /// True between establishing and revoking: consistent reads are answered.
  bool established() const { return established_; }
  ServerAutopilot& autopilot() { return autopilot_; }
  const ServerAutopilot& autopilot() const { return autopilot_; }
  LeaderSessions& sessions() { return sessions_; }
  TombstoneClock& tombstones() { return tombstones_; }
  std::uint64_t dropped_members() const { return dropped_; }

 private:
  enum class Phase : std::uint8_t {
    kOff,         ///< not leading
    kBarrier,     ///< waits for the barrier
    kEstablish,   ///< waits for the autopilot settings to be written
    kTransfer,    ///< establishing failed
    kReconcile,   ///< goes through all members
    kForgotten,   ///< goes through nodes that gossip forgot
    kWait,        ///< for the timer or a member
    kMember,      ///< one member event
  };
  /// Runs what can run at once. Continuations only note their outcome and call it, so that the stack stays flat.
  void pump(Instant now);
  bool advance(Instant now);
  bool take_notice(Instant now);
  void begin(Instant now);
  void end(Instant now);
  void begin_pass(Instant now);
  void establish(Instant now);
  void establish_failed(Instant now, const Error& error);
  void established(Instant now);
  void try_transfer(Instant now);
  void revoke(Instant now);
  bool next_member(Instant now);
  bool next_forgotten(Instant now);
  bool wait(Instant now);
  Done outcome();

  ServerIdentity self_;
  LeaderHost& host_;
  LeaderConfig config_;
  ServerAutopilot autopilot_;
  Reconciler reconciler_;
  LeaderSessions sessions_;
  TombstoneClock tombstones_;

  Phase phase_ = Phase::kOff;
  std::deque<bool> notices_;
  bool leading_ = false;  ///< as of the last notice taken up
  Instant began_{};
  bool pumping_ = false;
  bool waiting_ = false;  ///< an operation is under way
  std::optional<Error> error_;
  bool established_ = false;
  bool reconciled_ = false;  ///< the first pass worked, so member events are taken up
  Instant interval_ = Instant::never();
  int transfers_ = 0;
  std::vector<LanMember> pass_;
  std::size_t at_ = 0;
  std::deque<LanMember> members_;
  std::uint64_t dropped_ = 0;
};

}  // namespace dcsim::consul
