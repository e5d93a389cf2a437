#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/rng.h"
#include "base/time.h"
#include "raft/actions.h"
#include "raft/commitment.h"
#include "raft/config.h"
#include "base/fifo.h"
#include "raft/membership.h"
#include "raft/peer.h"
#include "raft/storage.h"
#include "raft/types.h"

namespace dcsim::raft {

// Error texts of operations (hashicorp/raft api.go).
inline constexpr std::string_view kErrNotLeader = "node is not the leader";
inline constexpr std::string_view kErrNotVoter = "node is not a voter";
inline constexpr std::string_view kErrLeadershipLost = "leadership lost while committing log";
inline constexpr std::string_view kErrAbortedByRestore = "snapshot restored while committing log";
inline constexpr std::string_view kErrShutdown = "raft is already shutdown";
inline constexpr std::string_view kErrEnqueueTimeout = "timed out enqueuing operation";
inline constexpr std::string_view kErrNothingNewToSnapshot = "nothing new to snapshot";
inline constexpr std::string_view kErrUnsupportedProtocol = "operation not supported with current protocol version";
inline constexpr std::string_view kErrCantBootstrap = "bootstrap only works on new clusters";
inline constexpr std::string_view kErrTransferInProgress = "leadership transfer in progress";

/// A server of a Raft group as hashicorp/raft 1.7.3 runs it: a state machine without I/O, clock or ambient randomness.
///
/// Contract: construct; `start`; then feed inputs in time order, each with its instant. After every input and command
/// ask `next_deadline()` and keep exactly one timer for it; when it is due, call `on_deadline`. What is due at an
/// input's instant happens before the input. Output goes to Actions and Storage from inside the inputs.
/// `storage` and `actions` are borrowed and outlive the object. A crash is the object's end: make a new one over the
/// same storage.
///
/// hashicorp/raft's main goroutine stops while it writes to disk; so here: while a write that something waits for is
/// outstanding, requests, votes, timers of the role and operations queue up. Heartbeats, in both directions, and the
/// replicators go on, as their goroutines do.
///
/// Ties at one instant: peers' heartbeats and replicators in the order of the configuration, then the role's timer,
/// then what is queued in order of arrival, then operations.
class Node {
 public:
  /// Requires !config.problem(). `entity` is the stable name that keys the random streams ("dc1/s1").
  Node(Config config, Storage& storage, Actions& actions, std::uint64_t seed, std::string_view entity);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // --- Commands -----------------------------------------------------------------------------------------------------

  /// NewRaft: takes up what storage holds and becomes follower with a full heartbeat timeout.
  void start(Instant now);
  /// Shutdown: fails what is outstanding with kErrShutdown; every later input is ignored.
  void shutdown(Instant now);
  /// Every operation ends with one Actions::finished of its token (none for token 0), possibly from inside the call.
  /// `timeout` bounds the wait to be taken up, not the rest; zero = none.
  /// Hot: one queue entry; entries of a batch are written with one append.
  void apply(Instant now, Token token, Bytes data, Bytes extensions = {}, Duration timeout = {});
  void barrier(Instant now, Token token, Duration timeout = {});
  /// VerifyLeader: whether this server led at some time after the call. Only voters' answers to requests that were sent
  /// after the call count.
  void verify_leader(Instant now, Token token);
  void change_configuration(Instant now, Token token, ConfigurationChange change, Duration timeout = {});
  /// LeadershipTransfer(ToServer). `server_id` empty: to the voter whose log is the longest.
  void transfer_leadership(Instant now, Token token, std::string_view server_id);
  /// BootstrapCluster on a running follower without any state.
  void bootstrap(Instant now, Token token, const Configuration& configuration);
  /// Snapshot: takes one of everything applied.
  void take_snapshot(Instant now, Token token);
  /// Restore: replaces the state of the whole group; only on the leader.
  void restore(Instant now, Token token, const SnapshotMeta& meta, const Bytes& state);
  /// ReloadConfig. False, and nothing changed, if the values are not valid.
  bool reload(Instant now, const ReloadableConfig& values);

  // --- Inputs -------------------------------------------------------------------------------------------------------

  void on_request(Instant now, RequestId id, const wire::AppendEntriesRequest& request);
  void on_request(Instant now, RequestId id, const wire::RequestVoteRequest& request);
  void on_request(Instant now, RequestId id, const wire::RequestPreVoteRequest& request);
  /// `state`: the bytes that followed, complete or as many as came.
  void on_request(Instant now, RequestId id, const wire::InstallSnapshotRequest& request, const Bytes& state);
  void on_request(Instant now, RequestId id, const wire::TimeoutNowRequest& request);

  // Answers to requests of this node; ids that are no longer awaited are ignored.
  void on_response(Instant now, RpcId id, const wire::AppendEntriesResponse& response);
  void on_response(Instant now, RpcId id, const wire::RequestVoteResponse& response);
  void on_response(Instant now, RpcId id, const wire::RequestPreVoteResponse& response);
  void on_response(Instant now, RpcId id, const wire::InstallSnapshotResponse& response);
  void on_response(Instant now, RpcId id, const wire::TimeoutNowResponse& response);
  /// The request failed: the peer's error string, or the transport's ("EOF", "i/o timeout").
  void on_failure(Instant now, RpcId id, std::string_view error);

  /// A write ended; `error` empty = well.
  void on_stored(Instant now, StoreOp op, std::string_view error);
  void on_deadline(Instant now);
  Instant next_deadline() const;

  // --- Views --------------------------------------------------------------------------------------------------------

  const Config& config() const { return config_; }
  const Storage& storage() const { return storage_; }
  Role role() const { return role_; }
  Term term() const { return term_; }
  Index commit_index() const { return commit_index_; }
  Index last_applied() const { return last_applied_; }
  LogPosition last_log() const { return last_log_; }
  LogPosition last_snapshot() const { return last_snapshot_; }
  /// The later of log end and snapshot (state.go getLastEntry).
  LogPosition last_entry() const { return last_log_.index >= last_snapshot_.index ? last_log_ : last_snapshot_; }
  const Configurations& configurations() const { return configurations_; }
  /// Address and ID of the leader it knows; empty = none.
  std::string_view leader_address() const { return leader_address_; }
  std::string_view leader_id() const { return leader_id_; }
  std::string_view voted_for() const {
    return record_.vote_term == term_ ? std::string_view(record_.vote_candidate) : "";
  }
  Instant last_contact() const { return last_contact_; }
  /// While it leads; `term_start` is the first index of its term.
  Index term_start() const { return commitment_.start_index(); }
  Index match_index(std::string_view server_id) const { return commitment_.match_index(server_id); }
  Index next_index(std::string_view server_id) const;
  /// When the leader last heard of it; nullopt: no such peer, or not leading.
  std::optional<Instant> peer_contact(std::string_view server_id) const;
  /// While it leads: since when a quorum of voters, itself included, has answered with success at least once; never()
  /// if it is a quorum by itself.
  Instant quorum_contact() const;
  bool transfer_in_progress() const { return transfer_.active; }
  std::size_t queued() const { return incoming_.size() + applies_.size(); }
  bool writing() const { return busy_.op != 0; }

  // --- For runners of written cases, which hold the timers ----------------------------------------------------------

  /// A situation to start in, instead of `start`'s plain follower.
  struct Situation {
    Role role = Role::kFollower;
    Server leader;     ///< known leader; empty ID = none
    Index commit = 0;  ///< applied up to here as well
    Index term_start = 0;
    std::vector<std::pair<std::string, Index>> match;  ///< followers without one: next = last + 1
  };
  void assume(Instant now, const Situation& situation);
  /// As if the role's timer had fired and nobody had been heard of. Nothing on a leader.
  void fire_election_timer(Instant now);
  void forget_leader(Instant now);
  void expire_transfer(Instant now);
  /// As answers of `server_id` to a request of the present round or term; `last`: of the entries it answers.
  void inject_vote_reply(Instant now, std::string_view server_id, Term term, bool granted, bool pre_vote);
  void inject_append_reply(Instant now, std::string_view server_id, Index last,
                           const wire::AppendEntriesResponse& response);

 private:
  /// A request, kept while it waits or is worked on. Recycled with its capacity.
  struct Incoming {
    enum class Kind : std::uint8_t { kAppend, kVote, kPreVote, kSnapshot, kTimeoutNow };
    Kind kind = Kind::kAppend;
    RequestId id = 0;
    Instant at;
    std::int64_t protocol_version = 0;
    std::string peer_id;
    std::string peer_address;  ///< the header's, else the member that old releases send
    Term term = 0;
    LogPosition position;  ///< previous entry; or the candidate's last; or the snapshot's
    Index commit = 0;
    bool transfer = false;
    std::vector<LogEntry> entries;
    std::int64_t snapshot_version = 0;
    std::int64_t snapshot_size = 0;
    Buffer configuration;
    Index configuration_index = 0;
    Bytes state;
  };
  /// What the main thread waits for.
  enum class Step : std::uint8_t {
    kStartTerm,
    kRequestTerm,   ///< a request's higher term
    kFallbackTerm,  ///< a response's higher term
    kGrantVote,
    kCandidateTerm,
    kCandidateVote,
    kLeaderAppend,
    kTruncate,
    kFollowerAppend,
    kInstallSave,
    kInstallRemove,
    kRestoreSave,
    kRestoreRemove,
    kBootstrapTerm,
    kBootstrapAppend,
  };
  struct Busy {
    StoreOp op = 0;
    Step step = Step::kStartTerm;
    Instant since;
  };
  struct Ballot {
    RpcId id = 0;
    Server server;
    bool pre_vote = false;
    Term term = 0;
    std::uint64_t round = 0;
  };
  struct VoteReply {
    Instant at;
    bool pre_vote = false;
    std::uint64_t round = 0;
    Term term = 0;
    bool granted = false;
    std::string from;
  };
  struct Apply {
    Token token = 0;
    LogType type = LogType::kCommand;
    Bytes data;
    Bytes extensions;
    Instant until = Instant::never();
  };
  struct Change {
    Token token = 0;
    ConfigurationChange change;
    Instant until = Instant::never();
  };
  struct InFlight {
    Index index = 0;
    Token token = 0;
  };
  struct Verify {
    Token token = 0;
    RpcId since = 0;  ///< answers to requests from this one on count
  };
  struct Restore {
    Token token = 0;
    SnapshotMeta meta;
    Bytes state;
  };
  struct Asked {
    Token token = 0;
    std::string server_id;
    std::size_t ahead = 0;  ///< operations that were queued before it
  };
  struct Transfer {
    enum class Phase : std::uint8_t { kCatchUp, kAsked, kDelivered };
    bool active = false;
    Phase phase = Phase::kCatchUp;
    Token token = 0;
    Server target;
    RpcId request = 0;
    Instant until = Instant::never();
  };
  /// Makes fields only if the line is wanted.
  using Fields = std::initializer_list<LogField>;

  // node.cpp: life, the main loop, small helpers
  void run(Instant now);
  bool work(Instant now);
  bool due_first(Instant now);
  void settle_role(Instant now);
  void become(Role role);
  void enter(Instant now, Role role);
  void leave(Instant now, Role role);
  void set_leader(std::string_view address, std::string_view id);
  void contacted(Instant now) { last_contact_ = now; }
  StoreOp next_op() { return ++last_op_; }
  void wait_for(Instant now, StoreOp op, Step step);
  void save_record(Instant now, Step step);
  void save_term(Instant now, Term term, Step step);
  void stored_well(Instant now, Step step);
  void stored_badly(Instant now, Step step, std::string_view error);
  void load(Instant now);
  void panic(std::string_view reason);
  void finish(Token token, std::string_view error, LogPosition at = {});
  void log(LogLevel level, std::string_view message, Fields fields = {}) const;
  bool logs(LogLevel level) const { return actions_.logs(level); }
  std::string text() const;  ///< "Node at 10.0.0.1:8300 [Follower]"
  void note(NoticeKind kind, Index index = 0, std::string_view server = {}, std::string_view text = {});
  wire::RpcHeader header() const { return {config_.protocol_version, config_.id, config_.address}; }
  Duration random_timeout(Rng& rng, Duration base) { return base + rng.below(base); }
  bool mutated(Mutation m) const { return config_.mutation == m; }

  // requests.cpp: queue and dispatch of what peers ask
  Incoming& queue_request(Instant now, RequestId id, const wire::RpcHeader& header, Incoming::Kind kind);
  void handle(Instant now);
  void resume_request(Instant now);
  void request_done();
  void refuse(const Incoming& request, std::string_view error);
  void queue_overflow();
  bool supported(const Incoming& request) const;
  bool heartbeat_at_once(Instant now, RequestId id, const wire::AppendEntriesRequest& request);
  void handle_timeout_now(Instant now);

  // voting.cpp
  void handle_vote(Instant now);
  void consider_vote(Instant now);
  void answer_vote(bool granted);
  void handle_pre_vote(Instant now);
  bool log_behind(const Incoming& request, std::string_view what);

  // candidate.cpp
  void enter_candidate(Instant now);
  void follower_timer(Instant now);
  void election_timer(Instant now);
  void campaign(Instant now);
  void elect_self(Instant now);
  void ask_votes(Instant now);
  void ask_pre_votes(Instant now);
  void take_ballot(Instant now, RpcId id, bool pre_vote, Term term, bool granted);
  void ballot_failed(Instant now, const Ballot& ballot, std::string_view error);
  void count_vote(Instant now);
  void count_pre_vote(Instant now, const VoteReply& reply);
  void count_real_vote(Instant now, const VoteReply& reply);
  void check_pre_votes(Instant now, Term term);
  void check_votes(Instant now);
  void fall_back(Instant now, Term term);

  // append.cpp
  void handle_append(Instant now);
  void append_checked(Instant now);
  bool previous_matches();
  bool well_formed(const Incoming& request) const;
  bool take_entries(Instant now);
  void append_entries(Instant now);
  void entries_stored(Instant now);
  bool take_configurations(std::span<const LogEntry> entries);
  void append_done(Instant now, bool success, bool no_retry_backoff, std::string_view error = {});
  std::optional<Term> term_at(Index index) const;
  const LogEntry* entry_at(Index index) const;

  // leader.cpp
  void enter_leader(Instant now);
  void leave_leader(Instant now);
  void lease_timer(Instant now);
  bool lead_operations(Instant now);
  void dispatch(Instant now, bool configuration);
  void dispatch_applies(Instant now);
  void leader_appended(Instant now);
  void process_commit(Instant now);
  void apply_to(Instant now, Index index);
  void answer_applied(Index index);
  void refuse_operations(std::string_view error);
  void expire_operations(Instant now);
  void check_verifies(Instant now);
  void verified(Instant now, Peer& peer, RpcId id, bool success);
  void check_stall(Instant now);
  void step_down(std::string_view why);

  // replication.cpp
  void start_stop_replication(Instant now);
  Peer* peer(std::string_view id) const;
  void peers_due(Instant now);
  void heartbeat_due(Instant now, Peer& p);
  void send_heartbeat(Peer& p);
  void heartbeat_failed(Instant now, Peer& p, std::string_view error);
  void heartbeat_answered(Instant now, Peer& p, const wire::AppendEntriesResponse& response);
  void replication_due(Instant now, Peer& p);
  void begin_round(Instant now, Peer& p);
  void send_round(Instant now, Peer& p);
  bool make_append(const Peer& p, Index next, Index target, wire::AppendEntriesRequest& request) const;
  void send_snapshot(Instant now, Peer& p);
  void round_answered(Instant now, Peer& p, const wire::AppendEntriesResponse& response);
  void round_refused(Peer& p, const wire::AppendEntriesResponse& response);
  void round_more(Instant now, Peer& p);
  void round_over(Instant now, Peer& p);
  void snapshot_answered(Instant now, Peer& p, const wire::InstallSnapshotResponse& response);
  void pipeline_send(Instant now, Peer& p);
  void pipeline_answered(Instant now, Peer& p, std::size_t at, const wire::AppendEntriesResponse& response);
  void leave_pipeline(Instant now, Peer& p);
  void acknowledged(Instant now, Peer& p, Index last);
  void stale_term(Instant now, Peer& p);
  void drop_stopped();
  void stop_peer(Instant now, Peer& p);
  Instant peer_deadline(const Peer& p) const;

  // membership_change.cpp
  bool change_due() const;
  void take_change(Instant now);
  void commit_configuration(Index index);
  void set_latest(Configuration configuration, Index index);

  // transfer.cpp
  void start_transfer(Instant now, Token token, std::string_view server_id);
  const Server* pick_server() const;
  void advance_transfer(Instant now);
  void end_transfer(std::string_view error);
  void transfer_due(Instant now);

  // snapshots.cpp
  void snapshot_due(Instant now);
  void begin_snapshot(Instant now, Token token);
  void snapshot_saved(Instant now, std::string_view error);
  bool compact(Instant now, StoreOp op, Index snapshot);
  void handle_snapshot(Instant now);
  void install_snapshot(Instant now);
  void snapshot_stored(Instant now);
  void install_done(Instant now, bool success, std::string_view error);
  void begin_restore(Instant now);
  void restore_saved(Instant now);
  void restore_done();

  Config config_;
  Storage& storage_;
  Actions& actions_;
  std::uint64_t seed_;
  std::string entity_;
  Rng follower_draw_, election_draw_, snapshot_draw_;

  bool running_ = false;
  Role role_ = Role::kFollower;
  Role played_ = Role::kShutdown;  ///< the role whose loop is running; follows role_ in settle_role
  bool again_ = false;             ///< enter the same role once more
  Term term_ = 0;
  StableRecord record_;
  LogPosition last_log_;  ///< of the durable log
  LogPosition last_snapshot_;
  Index commit_index_ = 0;
  Index last_applied_ = 0;
  Configurations configurations_;
  std::string leader_address_, leader_id_;
  Instant last_contact_;
  Instant role_timer_ = Instant::never();
  bool warned_ = false;  ///< the follower said once why it does not campaign

  Busy busy_;
  StoreOp last_op_ = 0;
  RpcId last_rpc_ = 0;
  Fifo<std::unique_ptr<Incoming>> incoming_;
  std::vector<std::unique_ptr<Incoming>> spare_;
  std::unique_ptr<Incoming> current_;
  std::size_t take_from_ = 0;  ///< entries of current_ from here on are new

  // Candidate.
  std::uint64_t round_ = 0;
  bool transfer_asked_ = false;  ///< TimeoutNow came: the next round carries the flag
  bool candidate_from_transfer_ = false;
  bool pre_voting_ = false;
  Term proposed_ = 0;
  std::size_t votes_needed_ = 0, granted_ = 0, pre_granted_ = 0, pre_refused_ = 0;
  std::vector<Ballot> ballots_;
  Fifo<VoteReply> votes_;

  // Leader.
  Commitment commitment_;
  std::vector<std::unique_ptr<Peer>> peers_;
  bool commit_pending_ = false;
  std::string_view step_down_;  ///< why; empty = no
  bool leave_after_commit_ = false;
  Fifo<Apply> applies_;
  Instant applies_until_ = Instant::never();
  Fifo<Change> changes_;
  Fifo<Restore> restores_;
  Fifo<Asked> transfers_;
  Restore restoring_;
  Fifo<InFlight> in_flight_;
  Fifo<Verify> verifies_;
  std::vector<LogEntry> batch_;
  bool batch_configuration_ = false;
  LogPosition batch_end_;
  std::size_t batch_size_ = 0;
  Configuration next_configuration_;
  Transfer transfer_;

  // Snapshots.
  Instant snapshot_at_ = Instant::never();
  StoreOp snapshot_op_ = 0;
  Token snapshot_token_ = 0;
  LogPosition snapshot_taken_;
  Token bootstrap_token_ = 0;
  Configuration bootstrap_;
};

}  // namespace dcsim::raft
