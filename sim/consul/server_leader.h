#pragma once
#include "consul/bootstrap.h"
#include "consul/leader.h"
#include "consul/server_duties.h"

namespace dcsim::consul {

class Server;

/// What a server does beside answering: `bootstrap_expect`, and, while it leads, the leader's loop. Lends the parts
/// that do it their server.
class ServerLeader final : public ServerDuties, private LeaderHost {
 public:
  explicit ServerLeader(Server& server);

  void start(Instant now) { loop_.start(now); }
  LeaderLoop& loop() { return loop_; }

  // ServerDuties
  void on_leadership(Instant now, bool leading) override { loop_.on_leadership(now, leading); }
  void on_member(Instant now, PoolId pool, gossip::MemberEventKind kind, const gossip::Member& member) override;
  void on_session(Instant now, const wire::rpc::Session& session) override { loop_.sessions().reset(now, session); }
  void on_session_end(std::string_view id) override { loop_.sessions().clear(id); }
  void on_applied(Instant now, std::uint64_t index) override;
  Instant next_deadline() const override;
  void on_deadline(Instant now) override;
  bool autopilot_state(Instant now, wire::rpc::AutopilotState& out) const override;
  bool server_health(Instant now, wire::rpc::AutopilotHealthReply& out) const override;

 private:
  // LeaderHost
  void apply_command(Instant now, Bytes payload, Done done) override;
  void barrier(Instant now, Duration timeout, Done done) override;
  void change_configuration(Instant now, raft::ConfigurationChange change, Done done) override;
  void transfer_leadership(Instant now, Done done) override;
  void bootstrap_cluster(Instant now, raft::Configuration configuration, Done done) override;
  bool is_leader() const override;
  const raft::Configuration& configuration() const override;
  raft::LogPosition last_entry() const override;
  std::string_view leader_id() const override;
  const StateStore& state() const override;
  std::vector<LanMember> members() const override;
  std::vector<LanMember> server_members() const override;
  std::optional<Error> send_user_event(Instant now, std::string_view name, ByteView payload) override;
  void force_leave(Instant now, std::string_view name) override;
  void call_raft_stats(Instant now, const LanMember& server,
                       std::function<void(Instant now, const Result<wire::rpc::RaftStats>& stats)> done) override;
  void call_status_peers(Instant now, const LanMember& server,
                         std::function<void(Instant now, const Result<wire::rpc::Texts>& peers)> done) override;
  std::optional<Error> leadership_established(Instant now) override;
  void leadership_revoked(Instant now) override;
  void log(Instant now, LogLevel level, std::string_view line) override;

  template <class Reply, class Request, class Then>
  void ask(Instant now, const LanMember& server, std::string_view method, const Request& request, Then done);

  Server& server_;
  ServerIdentity self_;
  LeaderLoop loop_;
  Bootstrap bootstrap_;
  std::uint64_t tombstone_ = 0;
};

}  // namespace dcsim::consul
