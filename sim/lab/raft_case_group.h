#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "check/raft_invariants.h"
#include "raft/envelope.h"
#include "raft/memory_storage.h"
#include "raft/node.h"

namespace dcsim::lab {

/// The servers of one behaviour case: their disks write at once, their election timers are held, and messages move only
/// in `settle`. Server IDs and addresses are the case's names.
class RaftCaseGroup {
 public:
  struct Start {
    raft::StableRecord record;
    std::vector<raft::LogEntry> log;
    std::optional<raft::Configuration> configuration;  ///< this server's own, if it differs
    raft::Node::Situation situation;
  };
  struct Block {
    std::set<std::string> types;  ///< empty = all
    std::set<std::string> from, to;
  };

  RaftCaseGroup(raft::Config config, std::vector<std::string> names, raft::Configuration configuration,
                check::RaftInvariants::Options judged);
  ~RaftCaseGroup();

  std::optional<std::size_t> find(std::string_view name) const;
  std::size_t size() const { return members_.size(); }
  const std::string& name(std::size_t i) const;
  /// nullptr while it is down.
  raft::Node* node(std::size_t i) const;
  const raft::Storage& storage(std::size_t i) const;
  const std::optional<check::RaftViolation>& violation() const { return checker_.violation(); }

  void start(std::size_t i, const Start& start);
  void crash(std::size_t i);
  void restart(std::size_t i);
  /// Everything that moves: deliveries, heartbeats, replication, until nothing changes. False: it does not end.
  bool settle();

  void cut(std::size_t from, std::size_t to) { cuts_.insert({from, to}); }
  void block(Block block) { blocks_.push_back(std::move(block)); }
  void unblock() { blocks_.clear(); }
  void heal() {
    cuts_.clear();
    blocks_.clear();
  }

  /// Runs `command(node, now, token)` on a server that is up; what its operation came to: nullopt while it is under
  /// way.
  template <class Command>
  std::optional<std::string> command(std::size_t i, Command command) {
    const raft::Token token = ++last_token_;
    command(*node(i), now_, token);
    settled(i);
    return outcome(token);
  }
  std::optional<std::string> outcome(raft::Token token) const {
    const auto found = outcomes_.find(token);
    return found == outcomes_.end() ? std::nullopt : std::optional(found->second);
  }
  raft::Token last_token() const { return last_token_; }
  /// What waits with a time limit for being taken up is given up.
  void expire(std::size_t i);
  /// Hands one request straight to a server; its answer if it has one, and the error.
  struct Answer {
    std::optional<raft::Envelope> message;
    std::string error;
  };
  Answer request(std::size_t i, raft::Envelope message);
  /// The entry that stands at this place on any server, else an empty command.
  raft::LogEntry entry(raft::Index index, raft::Term term) const;

 private:
  struct Message {
    std::size_t from = 0, to = 0;
    std::uint64_t call = 0;
    bool failure = false;
    std::optional<raft::Envelope> body;
  };
  struct Call {
    std::size_t from = 0;
    std::uint32_t epoch = 0;
    raft::RpcId rpc = 0;
  };
  struct Member;

  void make(std::size_t i);
  void settled(std::size_t i);
  void sent(std::size_t from, raft::RpcId rpc, std::string_view to, raft::Envelope message);
  void answered(std::size_t from, raft::RequestId id, raft::Envelope message, std::string_view error);
  bool stopped(const Message& message) const;
  void deliver(Message message);
  void fail_calls_of(std::size_t i);
  std::string digest() const;

  raft::Config config_;
  raft::Configuration configuration_;
  check::RaftInvariants checker_;
  std::vector<std::unique_ptr<Member>> members_;
  std::deque<Message> messages_;
  std::map<std::uint64_t, Call> calls_;
  std::map<std::uint64_t, std::size_t> held_;  ///< calls delivered and not answered: by whom
  std::uint64_t last_call_ = 0;
  std::set<std::pair<std::size_t, std::size_t>> cuts_;
  std::vector<Block> blocks_;
  std::map<raft::Token, std::string> outcomes_;
  raft::Token last_token_ = 0;
  std::uint64_t straight_ = 0;  ///< the request handed over by the case itself
  Answer answer_;
  bool starting_ = false;
  Instant now_{1};
};

}  // namespace dcsim::lab
