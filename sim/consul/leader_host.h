#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "consul/fsm.h"
#include "consul/surroundings.h"
#include "consul/tags.h"
#include "gossip/directory.h"
#include "gossip/serf_event.h"
#include "raft/membership.h"
#include "raft/types.h"
#include "wire/consul_messages.h"

namespace dcsim::consul {

/// A member of a LAN pool, as the parts that run on a server take it up: a copy.
struct LanMember {
  std::string name{};
  Endpoint address{};  ///< gossip
  gossip::MemberStatus status = gossip::MemberStatus::kNone;
  bool reaped = false;  ///< Serf forgot it (server_serf.go StatusReap)
  std::shared_ptr<const Tags> tags = std::make_shared<const Tags>();  ///< never null; shared by all copies
  gossip::Versions versions{};  ///< memberlist's min, max, current, then Serf's
};

/// How an operation ended: nullopt, or its error. Called once, from inside the call or later; never from two threads.
using Done = std::function<void(Instant now, const std::optional<Error>& error)>;

/// What the server that runs a leader's loop, autopilot and bootstrap lends them. The host outlives them. Operations
/// answer by `Done`; when the host ends (crash, shutdown) it forgets them.
class LeaderHost {
 public:
  virtual ~LeaderHost() = default;

  // Raft.

  /// Raft.Apply of a command (type byte and message); done when the local state machine has applied it. An Applied of
  /// kind kError is an error too (rpc.go raftApply).
  virtual void apply_command(Instant now, Bytes payload, Done done) = 0;
  virtual void barrier(Instant now, Duration timeout, Done done) = 0;
  virtual void change_configuration(Instant now, raft::ConfigurationChange change, Done done) = 0;
  /// To the voter whose log is the longest.
  virtual void transfer_leadership(Instant now, Done done) = 0;
  /// BootstrapCluster on the running node.
  virtual void bootstrap_cluster(Instant now, raft::Configuration configuration, Done done) = 0;
  virtual bool is_leader() const = 0;
  /// The latest one, and where the log ends.
  virtual const raft::Configuration& configuration() const = 0;
  virtual raft::LogPosition last_entry() const = 0;
  /// ID of the leader this server knows; empty = none.
  virtual std::string_view leader_id() const = 0;
  virtual const StateStore& state() const = 0;

  // Gossip.

  /// Every member of the LAN pools: clients of all segments, each server once, as member of the default one. Any status.
  virtual std::vector<LanMember> members() const = 0;
  /// Those of them that are servers (parse_server).
  virtual std::vector<LanMember> server_members() const = 0;
  virtual std::optional<Error> send_user_event(Instant now, std::string_view name, ByteView payload) = 0;
  /// server.go RemoveFailedNode: force-leave of a LAN member, and of name.<dc> in the WAN pool.
  virtual void force_leave(Instant now, std::string_view name) = 0;

  // RPC to one server, by pool and without forwarding.

  virtual void call_raft_stats(Instant now, const LanMember& server,
                               std::function<void(Instant now, const Result<wire::rpc::RaftStats>& stats)> done) = 0;
  virtual void call_status_peers(Instant now, const LanMember& server,
                                 std::function<void(Instant now, const Result<wire::rpc::Texts>& peers)> done) = 0;

  // The rest.

  /// Part of establishLeadership: consistent reads are answered from now on. An error makes the
  /// loop revoke and hand leadership over.
  virtual std::optional<Error> leadership_established(Instant now) = 0;
  virtual void leadership_revoked(Instant now) = 0;
  /// One line, "agent.server: member joined, marking health alive: member=c1".
  virtual void log(Instant now, LogLevel level, std::string_view line) = 0;
};

/// Name, datacenter and addresses by which a server knows itself.
struct ServerIdentity {
  std::string node_name{};
  std::string node_id{};
  std::string datacenter = "dc1";
};

/// "10.0.0.1:8300": where a member that is a server answers RPCs and Raft; "" if it is none.
std::string rpc_address(const LanMember& member);

}  // namespace dcsim::consul
