#include "lab/raft_case_group.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace dcsim::lab {

using raft::Envelope;

struct RaftCaseGroup::Member final : raft::Actions {
  Member(RaftCaseGroup& group, std::size_t self) : group_(group), self_(self) {}

  std::string name;
  raft::MemoryStorage disk;
  std::unique_ptr<check::WatchedStorage> watched_disk;
  std::unique_ptr<check::WatchedActions> watched;
  std::unique_ptr<raft::Node> node;
  std::uint32_t epoch = 0;
  std::string state;  ///< of the state machine: what was applied

  void send(raft::RpcId id, const raft::Server& to, raft::Channel, const wire::AppendEntriesRequest& m) override {
    group_.sent(self_, id, to.id, Envelope(m));
  }
  void send(raft::RpcId id, const raft::Server& to, const wire::RequestVoteRequest& m) override {
    group_.sent(self_, id, to.id, Envelope(m));
  }
  void send(raft::RpcId id, const raft::Server& to, const wire::RequestPreVoteRequest& m) override {
    group_.sent(self_, id, to.id, Envelope(m));
  }
  void send(raft::RpcId id, const raft::Server& to, const wire::InstallSnapshotRequest& m,
            const Bytes& bytes) override {
    group_.sent(self_, id, to.id, Envelope(m, bytes));
  }
  void send(raft::RpcId id, const raft::Server& to, const wire::TimeoutNowRequest& m) override {
    group_.sent(self_, id, to.id, Envelope(m));
  }
  void close_pipeline(const raft::Server&) override {}
  void respond(raft::RequestId id, const wire::AppendEntriesResponse& m, std::string_view e) override {
    group_.answered(self_, id, Envelope(m), e);
  }
  void respond(raft::RequestId id, const wire::RequestVoteResponse& m, std::string_view e) override {
    group_.answered(self_, id, Envelope(m), e);
  }
  void respond(raft::RequestId id, const wire::RequestPreVoteResponse& m, std::string_view e) override {
    group_.answered(self_, id, Envelope(m), e);
  }
  void respond(raft::RequestId id, const wire::InstallSnapshotResponse& m, std::string_view e) override {
    group_.answered(self_, id, Envelope(m), e);
  }
  void respond(raft::RequestId id, const wire::TimeoutNowResponse& m, std::string_view e) override {
    group_.answered(self_, id, Envelope(m), e);
  }
  void apply(std::span<const raft::LogEntry> entries) override {
    for (const raft::LogEntry& entry : entries) state += fmt::format("{} {}\n", entry.index, text_of(entry.data));
  }
  Bytes take_snapshot() override { return Bytes(view_of(state)); }
  bool restore(const raft::SnapshotMeta&, const Bytes& bytes) override {
    state = text_of(bytes);
    return true;
  }
  void finished(raft::Token token, const raft::Outcome& outcome) override {
    group_.outcomes_[token] = std::string(outcome.error);
  }
  void leadership(bool) override {}
  void notice(const raft::Notice&) override {}
  bool logs(raft::LogLevel) const override { return false; }
  void log(raft::LogLevel, std::string_view, std::span<const raft::LogField>) override {}
  void panic(std::string_view reason) override { DCSIM_CHECK_MSG(false, std::string(reason)); }

 private:
  RaftCaseGroup& group_;
  std::size_t self_;
};

RaftCaseGroup::RaftCaseGroup(raft::Config config, std::vector<std::string> names, raft::Configuration configuration,
                             check::RaftInvariants::Options judged)
    : config_(std::move(config)), configuration_(std::move(configuration)), checker_(judged) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto m = std::make_unique<Member>(*this, i);
    m->name = names[i];
    checker_.add_server(m->name, m->disk);
    m->watched_disk = std::make_unique<check::WatchedStorage>(m->disk, checker_, i);
    m->watched = std::make_unique<check::WatchedActions>(*m, checker_, i);
    members_.push_back(std::move(m));
  }
}

RaftCaseGroup::~RaftCaseGroup() = default;

const std::string& RaftCaseGroup::name(std::size_t i) const { return members_[i]->name; }
raft::Node* RaftCaseGroup::node(std::size_t i) const { return members_[i]->node.get(); }
const raft::Storage& RaftCaseGroup::storage(std::size_t i) const { return members_[i]->disk; }

std::optional<std::size_t> RaftCaseGroup::find(std::string_view name) const {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (members_[i]->name == name) return i;
  }
  return std::nullopt;
}

void RaftCaseGroup::make(std::size_t i) {
  Member& m = *members_[i];
  raft::Config config = config_;
  config.id = config.address = m.name;
  m.state.clear();
  ++m.epoch;
  m.node = std::make_unique<raft::Node>(config, *m.watched_disk, *m.watched, 1, m.name);
  checker_.up(i, *m.node, now_);
}

void RaftCaseGroup::start(std::size_t i, const Start& start) {
  Member& m = *members_[i];
  m.disk.save(now_, 0, start.record);
  m.disk.append(now_, 0, start.log);
  while (m.disk.take_done(now_)) {
  }
  config_.initial = start.configuration ? *start.configuration : configuration_;
  make(i);
  config_.initial = configuration_;
  starting_ = true;  // what it would have sent to get there is long gone
  m.node->assume(now_, start.situation);
  starting_ = false;
  settled(i);
}

void RaftCaseGroup::crash(std::size_t i) {
  Member& m = *members_[i];
  if (!m.node) return;
  m.node.reset();
  checker_.down(i);
  m.disk.crash();
  ++m.epoch;
  fail_calls_of(i);
}

void RaftCaseGroup::restart(std::size_t i) {
  if (members_[i]->node) crash(i);
  config_.initial = configuration_;
  make(i);
  members_[i]->node->start(now_);
  settled(i);
}

void RaftCaseGroup::fail_calls_of(std::size_t i) {
  for (auto it = held_.begin(); it != held_.end();) {
    if (it->second != i) {
      ++it;
      continue;
    }
    messages_.push_back({i, calls_[it->first].from, it->first, true, {}});
    it = held_.erase(it);
  }
}

// Disks write at once.
void RaftCaseGroup::settled(std::size_t i) {
  Member& m = *members_[i];
  if (!m.node) return;
  checker_.after(i, now_);
  while (const auto done = m.disk.take_done(now_)) {
    m.node->on_stored(now_, done->op, done->error);
    checker_.after(i, now_);
  }
  if (m.node->role() == raft::Role::kShutdown) crash(i);
}

void RaftCaseGroup::expire(std::size_t i) {
  now_ += Duration{1};
  members_[i]->node->on_deadline(now_);
  settled(i);
}

// --- Messages
// ---------------------------------------------------------------------------------------------------------

void RaftCaseGroup::sent(std::size_t from, raft::RpcId rpc, std::string_view to, Envelope message) {
  const std::uint64_t call = ++last_call_;
  calls_[call] = {from, members_[from]->epoch, rpc};
  const auto target = find(to);
  if (starting_) return;
  messages_.push_back({from, target.value_or(from), call, !target, std::move(message)});
}

void RaftCaseGroup::answered(std::size_t from, raft::RequestId id, Envelope message, std::string_view error) {
  if (id == straight_) {
    answer_ = {std::move(message), std::string(error)};
    return;
  }
  held_.erase(id);
  messages_.push_back({from, calls_[id].from, id, !error.empty(), std::move(message)});
}

bool RaftCaseGroup::stopped(const Message& message) const {
  if (message.failure) return false;
  if (cuts_.contains({message.from, message.to})) return true;
  std::string kind(message.body->kind());
  if (kind == "heartbeat") kind = "append";
  const auto covers = [](const std::set<std::string>& set, const std::string& what) {
    return set.empty() || set.contains(what);
  };
  return std::any_of(blocks_.begin(), blocks_.end(), [&](const Block& b) {
    return covers(b.types, kind) && covers(b.from, members_[message.from]->name) &&
           covers(b.to, members_[message.to]->name);
  });
}

// A call whose request or answer is lost fails at its sender.
void RaftCaseGroup::deliver(Message message) {
  const Call call = calls_[message.call];
  const bool request = !message.failure && message.body->request();
  Member& to = *members_[message.to];
  if (request && (stopped(message) || !to.node)) {
    // A transfer waits longer for its answer than for its limit, which the case holds.
    if (message.body->kind() == "timeout_now") return;
    messages_.push_back({message.to, message.from, message.call, true, {}});
    return;
  }
  if (request) {
    held_[message.call] = message.to;
    message.body->deliver(*to.node, now_, message.call);
    return settled(message.to);
  }
  calls_.erase(message.call);
  Member& caller = *members_[call.from];
  if (!caller.node || caller.epoch != call.epoch) return;
  if (message.failure || stopped(message)) {
    caller.node->on_failure(now_, call.rpc, "i/o timeout");
  } else {
    message.body->deliver(*caller.node, now_, call.rpc);
  }
  settled(call.from);
}

std::string RaftCaseGroup::digest() const {
  std::string text;
  for (const auto& m : members_) {
    if (!m->node) {
      text += "down;";
      continue;
    }
    const raft::Node& n = *m->node;
    text += fmt::format("{} {} {} {} {} {} {} {};", static_cast<int>(n.role()), n.term(), n.last_entry().index,
                        n.last_entry().term, n.commit_index(), n.last_applied(), n.leader_id(), n.voted_for());
  }
  return text;
}

bool RaftCaseGroup::settle() {
  // Longer than the longest pause between two attempts of a replicator (util.go backoff).
  constexpr Duration kQuiet{12'000'000'000};
  std::string last = digest();
  Instant changed = now_;
  for (int turns = 0; turns < 200'000; ++turns) {
    while (!messages_.empty() && !checker_.violation()) {
      Message message = std::move(messages_.front());
      messages_.pop_front();
      deliver(std::move(message));
      if (++turns > 200'000) return false;
    }
    if (checker_.violation()) return true;
    if (std::string state = digest(); state != last) {
      last = std::move(state);
      changed = now_;
    }
    if (now_ - changed > kQuiet) return true;
    Instant next = now_ + 1_s;
    for (const auto& m : members_) {
      if (m->node) next = std::min(next, m->node->next_deadline());
    }
    now_ = std::max(now_, next);
    for (std::size_t i = 0; i < members_.size(); ++i) {
      if (!members_[i]->node || members_[i]->node->next_deadline() > now_) continue;
      members_[i]->node->on_deadline(now_);
      settled(i);
    }
  }
  return false;
}

RaftCaseGroup::Answer RaftCaseGroup::request(std::size_t i, Envelope message) {
  straight_ = ++last_call_;
  answer_ = {};
  message.deliver(*members_[i]->node, now_, straight_);
  settled(i);
  straight_ = 0;
  return std::exchange(answer_, {});
}

raft::LogEntry RaftCaseGroup::entry(raft::Index index, raft::Term term) const {
  for (const auto& m : members_) {
    const auto found = m->disk.entries(index, 1);
    if (!found.empty() && found.front().term == term) return found.front();
  }
  raft::LogEntry entry;
  entry.index = index;
  entry.term = term;
  return entry;
}

}  // namespace dcsim::lab
