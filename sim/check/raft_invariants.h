#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "raft/actions.h"
#include "raft/node.h"
#include "raft/storage.h"

namespace dcsim::check {

/// The first thing that went wrong.
struct RaftViolation {
  std::string invariant;  ///< "election safety", "log matching", ...
  std::string server;
  std::string detail;
  Instant at;
};

/// The safety of one Raft group, watched from outside its servers (Ongaro and Ousterhout, figure 3, and what
/// hashicorp/raft promises beyond it):
///
///   election safety        at most one leader per term, and only it sends AppendEntries of the term
///   one vote per term      a server's durable vote of a term never changes
///   leader append-only     a leader never removes or rewrites entries
///   log matching           equal index and term mean equal prefixes
///   leader completeness    a new leader has everything committed
///   state machine safety   every server applies the same entry at an index
///   commit by quorum       a leader commits an entry of its term that a quorum holds durably
///   monotonic              terms, commit and applied indexes do not go back while a server runs, its durable term
///   never committed truncation   nothing committed is removed, except below a snapshot durability             no
///   grant, success or answer to a client leaves before what it stands for is durable configuration          one change
///   at a time, after an entry of the leader's term, of one server, leaving a voter lease                  a leader
///   that has been replaced had lost its quorum for a while
///
/// Feed it through WatchedStorage and WatchedActions, and call `after` for each server that an input touched. Keeps one
/// hash per entry. Servers' nodes and storages are borrowed.
class RaftInvariants {
 public:
  using ServerIndex = std::size_t;

  struct Options {
    bool lease = true;   ///< off where timers are fired by hand
    bool quorum = true;  ///< count durable copies at each commit; off where answers are made up
  };
  RaftInvariants() = default;
  explicit RaftInvariants(Options options) : options_(options) {}

  ServerIndex add_server(std::string name, const raft::Storage& storage);
  /// A node runs over the storage, from `now` on. Call before its `start`.
  void up(ServerIndex server, const raft::Node& node, Instant now);
  /// It is gone: crashed (its storage has lost what it loses) or stopped.
  void down(ServerIndex server);

  /// One of its writes has failed (its storage no longer shows it). Call before the node hears of it.
  void on_write_failed(ServerIndex server);

  // What the servers do.
  void on_save(ServerIndex server, const raft::StableRecord& record);
  void on_append(ServerIndex server, std::span<const raft::LogEntry> entries);
  void on_remove(ServerIndex server, raft::Index from, raft::Index to);
  void on_apply(ServerIndex server, std::span<const raft::LogEntry> entries);
  void on_restore(ServerIndex server, const raft::SnapshotMeta& meta);
  void on_append_sent(ServerIndex server, const wire::AppendEntriesRequest& request);
  void on_append_answer(ServerIndex server, const wire::AppendEntriesResponse& response);
  void on_vote_answer(ServerIndex server, const wire::RequestVoteResponse& response);
  /// A client was told that its entry is in.
  void on_acknowledged(ServerIndex server, raft::Index index, raft::Term term);
  /// An input has been worked off.
  /// Hot: O(1) and O(entries) that became committed; O(servers) on elections and commits.
  void after(ServerIndex server, Instant now);
  /// What only the end shows: nothing acknowledged is missing on a leader.
  void at_end(Instant now);

  const std::optional<RaftViolation>& violation() const { return violation_; }
  std::size_t committed() const { return committed_.size(); }
  std::size_t acknowledged() const { return acknowledged_; }

 private:
  struct Mark {
    raft::Term term = 0;
    std::uint64_t prefix = 0;  ///< hash of everything up to here
  };
  struct Server {
    std::string name;
    const raft::Storage* storage = nullptr;
    const raft::Node* node = nullptr;
    Instant since;
    std::vector<Mark> log;  ///< of indexes from `first` on
    raft::Index first = 1;
    raft::Role role = raft::Role::kFollower;
    raft::Term term = 0;
    raft::Index commit = 0;
    raft::Index applied = 0;
    raft::Term vote_term = 0;
    std::string vote;
    raft::StableRecord durable;  ///< the newest seen
    raft::Index restored = 0;
  };

  void read_log(Server& s);
  void violated(const Server& s, std::string_view invariant, std::string detail);
  const Mark* mark(const Server& s, raft::Index index) const;
  std::uint64_t prefix_before(const Server& s, raft::Index index) const;
  void match(const Server& s, raft::Index index, const Mark& mark);
  void commit_to(Server& s, raft::Index index);
  void check_monotonic(Server& s);
  void check_leader(Server& s);
  void check_lease(const Server& s);
  void check_quorum(const Server& s);
  void check_change(const Server& s, const raft::LogEntry& entry);
  void follow_durable(Server& s);
  bool holds_durably(const Server& s, raft::Index index, std::uint64_t prefix) const;

  Options options_;
  Instant now_;
  Instant transfer_until_{-1};
  std::vector<Server> servers_;
  std::map<raft::Term, ServerIndex> leaders_;
  std::vector<Mark> stored_;  ///< by index - 1: the first (term, prefix) stored there
  std::map<std::pair<raft::Index, raft::Term>, std::uint64_t> others_;  ///< of further terms at an index
  std::vector<Mark> committed_;                                         ///< by index - 1
  std::size_t acknowledged_ = 0;
  raft::Index acknowledged_to_ = 0;
  std::optional<RaftViolation> violation_;
};

/// Storage that tells the checker what is written.
class WatchedStorage final : public raft::Storage {
 public:
  WatchedStorage(raft::Storage& storage, RaftInvariants& checker, RaftInvariants::ServerIndex server)
      : storage_(storage), checker_(checker), server_(server) {}

  raft::StableRecord record() const override { return storage_.record(); }
  raft::Index first_index() const override { return storage_.first_index(); }
  raft::Index last_index() const override { return storage_.last_index(); }
  std::span<const raft::LogEntry> entries(raft::Index from, std::size_t most) const override {
    return storage_.entries(from, most);
  }
  const raft::SnapshotMeta* snapshot() const override { return storage_.snapshot(); }
  Bytes snapshot_state() const override { return storage_.snapshot_state(); }
  raft::DurableView durable() const override { return storage_.durable(); }
  void save(Instant now, raft::StoreOp op, const raft::StableRecord& record) override {
    checker_.on_save(server_, record);
    storage_.save(now, op, record);
  }
  void append(Instant now, raft::StoreOp op, std::span<const raft::LogEntry> entries) override {
    checker_.on_append(server_, entries);
    storage_.append(now, op, entries);
  }
  void remove(Instant now, raft::StoreOp op, raft::Index from, raft::Index to) override {
    checker_.on_remove(server_, from, to);
    storage_.remove(now, op, from, to);
  }
  void save_snapshot(Instant now, raft::StoreOp op, const raft::SnapshotMeta& meta, const Bytes& state) override {
    storage_.save_snapshot(now, op, meta, state);
  }

 private:
  raft::Storage& storage_;
  RaftInvariants& checker_;
  RaftInvariants::ServerIndex server_;
};

/// Actions that tell the checker what leaves a server, before it does.
class WatchedActions final : public raft::Actions {
 public:
  WatchedActions(raft::Actions& actions, RaftInvariants& checker, RaftInvariants::ServerIndex server)
      : actions_(actions), checker_(checker), server_(server) {}

  void send(raft::RpcId id, const raft::Server& to, raft::Channel channel,
            const wire::AppendEntriesRequest& m) override {
    checker_.on_append_sent(server_, m);
    actions_.send(id, to, channel, m);
  }
  void send(raft::RpcId id, const raft::Server& to, const wire::RequestVoteRequest& m) override {
    actions_.send(id, to, m);
  }
  void send(raft::RpcId id, const raft::Server& to, const wire::RequestPreVoteRequest& m) override {
    actions_.send(id, to, m);
  }
  void send(raft::RpcId id, const raft::Server& to, const wire::InstallSnapshotRequest& m,
            const Bytes& state) override {
    actions_.send(id, to, m, state);
  }
  void send(raft::RpcId id, const raft::Server& to, const wire::TimeoutNowRequest& m) override {
    actions_.send(id, to, m);
  }
  void close_pipeline(const raft::Server& to) override { actions_.close_pipeline(to); }
  void respond(raft::RequestId id, const wire::AppendEntriesResponse& m, std::string_view error) override {
    if (error.empty()) checker_.on_append_answer(server_, m);
    actions_.respond(id, m, error);
  }
  void respond(raft::RequestId id, const wire::RequestVoteResponse& m, std::string_view error) override {
    if (error.empty()) checker_.on_vote_answer(server_, m);
    actions_.respond(id, m, error);
  }
  void respond(raft::RequestId id, const wire::RequestPreVoteResponse& m, std::string_view error) override {
    actions_.respond(id, m, error);
  }
  void respond(raft::RequestId id, const wire::InstallSnapshotResponse& m, std::string_view error) override {
    actions_.respond(id, m, error);
  }
  void respond(raft::RequestId id, const wire::TimeoutNowResponse& m, std::string_view error) override {
    actions_.respond(id, m, error);
  }
  void apply(std::span<const raft::LogEntry> entries) override {
    checker_.on_apply(server_, entries);
    actions_.apply(entries);
  }
  Bytes take_snapshot() override { return actions_.take_snapshot(); }
  bool restore(const raft::SnapshotMeta& meta, const Bytes& state) override {
    checker_.on_restore(server_, meta);
    return actions_.restore(meta, state);
  }
  void finished(raft::Token token, const raft::Outcome& outcome) override {
    if (outcome.ok() && outcome.index != 0) checker_.on_acknowledged(server_, outcome.index, outcome.term);
    actions_.finished(token, outcome);
  }
  void leadership(bool leading) override { actions_.leadership(leading); }
  void notice(const raft::Notice& notice) override { actions_.notice(notice); }
  bool logs(raft::LogLevel level) const override { return actions_.logs(level); }
  void log(raft::LogLevel level, std::string_view message, std::span<const raft::LogField> fields) override {
    actions_.log(level, message, fields);
  }
  void panic(std::string_view reason) override { actions_.panic(reason); }

 private:
  raft::Actions& actions_;
  RaftInvariants& checker_;
  RaftInvariants::ServerIndex server_;
};

}  // namespace dcsim::check
