#include "raft/node.h"

namespace dcsim::raft {

void Node::set_latest(Configuration configuration, Index index) {
  configurations_.latest = std::move(configuration);
  configurations_.latest_index = index;
  note(NoticeKind::kConfiguration, index);
}

void Node::commit_configuration(Index index) {
  if (configurations_.latest_index > index || configurations_.committed_index == configurations_.latest_index) return;
  configurations_.committed = configurations_.latest;
  configurations_.committed_index = configurations_.latest_index;
}

void Node::change_configuration(Instant now, Token token, ConfigurationChange change, Duration timeout) {
  if (!running_) return finish(token, kErrShutdown);
  run(now);
  if (role_ != Role::kLeader) return finish(token, running_ ? kErrNotLeader : kErrShutdown);
  changes_.push({token, std::move(change), timeout.ns > 0 ? now + timeout : Instant::never()});
  if (timeout.ns > 0) applies_until_ = std::min(applies_until_, now + timeout);
  run(now);
}

// raft.go configurationChangeChIfStable: one change at a time, and none before an entry of this leader's own term is
// committed (without which two leaders could change one server each and have disjoint majorities).
bool Node::change_due() const {
  return !changes_.empty() && configurations_.latest_index == configurations_.committed_index &&
         commit_index_ >= commitment_.start_index();
}

void Node::take_change(Instant now) {
  const Change taken = changes_.pop();
  if (transfer_.active) return finish(taken.token, kErrTransferInProgress);
  auto next = next_configuration(configurations_.latest, configurations_.latest_index, taken.change);
  if (!next) return finish(taken.token, next.error().text);
  log(LogLevel::kInfo, "updating configuration",
      {{"command", std::string(name_of(taken.change.command))},
       {"server-id", taken.change.server_id},
       {"server-addr", taken.change.server_address},
       {"servers", text_of(*next)}});
  Buffer encoded;
  wire::encode(*next, wire::RaftDialect::k1_7, encoded);
  next_configuration_ = std::move(*next);
  batch_.clear();
  LogEntry& entry = batch_.emplace_back();
  entry.type = LogType::kConfiguration;
  entry.data = Bytes(encoded);
  in_flight_.push({last_entry().index + 1, taken.token});
  dispatch(now, true);
}

}  // namespace dcsim::raft
