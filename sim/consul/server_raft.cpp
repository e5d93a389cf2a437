#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "consul/server.h"

namespace dcsim::consul {

namespace {

constexpr Duration kEnqueueLimit = 30_s;  // rpc.go enqueueLimit

LogLevel level_of(raft::LogLevel level) {
  switch (level) {
    case raft::LogLevel::kDebug:
      return LogLevel::kDebug;
    case raft::LogLevel::kInfo:
      return LogLevel::kInfo;
    case raft::LogLevel::kWarn:
      return LogLevel::kWarn;
    case raft::LogLevel::kError:
      return LogLevel::kError;
  }
  return LogLevel::kError;
}

}  // namespace

// --- Operations ----------------------------------------------------------------------------------------------------

raft::Token Server::new_op(RaftReply reply) {
  const std::uint32_t slot = ops_.take();
  ops_[slot].request = 0;
  ops_[slot].done = nullptr;
  ops_[slot].reply = std::move(reply);
  return ops_.id(slot);
}

void Server::apply(Instant now, Bytes command, RaftReply reply) {
  now_ = now;
  node_->apply(now, new_op(std::move(reply)), std::move(command), {}, kEnqueueLimit);
}

// Hot: one per write. Nothing allocated but what the store keeps.
void Server::apply_for(Instant now, std::uint32_t slot, Bytes command, RequestDone done) {
  now_ = now;
  const std::uint32_t op = ops_.take();
  ops_[op].request = requests_.id(slot);
  ops_[op].done = done;
  requests_[slot].state = ServerRequest::State::kApplying;
  node_->apply(now, ops_.id(op), std::move(command), {}, kEnqueueLimit);
}

RaftReply Server::for_request(std::uint32_t slot, RequestDone done) {
  requests_[slot].state = ServerRequest::State::kApplying;
  return [this, request = requests_.id(slot), done](Instant now, const RaftResult& result) {
    const std::uint32_t still = requests_.find(request);
    if (still != kNoSlot) done(*this, now, still, result);
  };
}

void Server::barrier(Instant now, Duration limit, RaftReply reply) {
  now_ = now;
  node_->barrier(now, new_op(std::move(reply)), limit);
}
void Server::verify_leader(Instant now, RaftReply reply) {
  now_ = now;
  node_->verify_leader(now, new_op(std::move(reply)));
}
void Server::change_configuration(Instant now, raft::ConfigurationChange change, RaftReply reply) {
  now_ = now;
  node_->change_configuration(now, new_op(std::move(reply)), std::move(change));
}
void Server::transfer_leadership(Instant now, std::string_view server_id, RaftReply reply) {
  now_ = now;
  node_->transfer_leadership(now, new_op(std::move(reply)), server_id);
}
void Server::bootstrap(Instant now, const raft::Configuration& configuration, RaftReply reply) {
  now_ = now;
  node_->bootstrap(now, new_op(std::move(reply)), configuration);
}

void Server::finished(raft::Token token, const raft::Outcome& outcome) {
  Ended ended{token, std::string(outcome.error), outcome.index, outcome.term, {}};
  const auto at = std::lower_bound(applied_.begin(), applied_.end(), outcome.index,
                                   [](const auto& a, raft::Index index) { return a.first < index; });
  if (outcome.ok() && at != applied_.end() && at->first == outcome.index) ended.applied = std::move(at->second);
  ended_.push_back(std::move(ended));
}

bool Server::take_ended(Instant now) {
  if (ended_.empty()) return false;
  std::vector<Ended> batch = std::exchange(ended_, std::move(spare_ended_));
  for (Ended& ended : batch) {
    const std::uint32_t slot = ops_.find(ended.token);
    if (slot == kNoSlot) continue;
    const RaftReply reply = std::exchange(ops_[slot].reply, nullptr);
    const RequestDone done = ops_[slot].done;
    const std::uint32_t request = done ? requests_.find(ops_[slot].request) : kNoSlot;
    ops_.give(slot);
    const RaftResult result{ended.error, ended.index, ended.term, std::move(ended.applied)};
    if (request != kNoSlot)
      done(*this, now, request, result);
    else if (reply)
      reply(now, result);
  }
  batch.clear();
  spare_ended_ = std::move(batch);
  return true;
}

wire::rpc::RaftStats Server::raft_stats(Instant now) const {
  wire::rpc::RaftStats stats;
  if (is_leader())
    stats.last_contact = "0";
  else if (node_->last_contact() == Instant{})
    stats.last_contact = "never";
  else
    stats.last_contact = go_duration(now - node_->last_contact());
  stats.last_index = node_->last_log().index;
  stats.last_term = node_->last_log().term;
  return stats;
}

// --- raft::Actions -------------------------------------------------------------------------------------------------

void Server::send(raft::RpcId id, const raft::Server& to, raft::Channel channel,
                  const wire::AppendEntriesRequest& request) {
  transport_.send(now_, id, to, channel, request);
}
void Server::send(raft::RpcId id, const raft::Server& to, const wire::RequestVoteRequest& request) {
  transport_.send(now_, id, to, request);
}
void Server::send(raft::RpcId id, const raft::Server& to, const wire::RequestPreVoteRequest& request) {
  transport_.send(now_, id, to, request);
}
void Server::send(raft::RpcId id, const raft::Server& to, const wire::InstallSnapshotRequest& request,
                  const Bytes& state) {
  transport_.send(now_, id, to, request, state);
}
void Server::send(raft::RpcId id, const raft::Server& to, const wire::TimeoutNowRequest& request) {
  transport_.send(now_, id, to, request);
}
void Server::close_pipeline(const raft::Server& to) { transport_.close_pipeline(to); }
void Server::respond(raft::RequestId id, const wire::AppendEntriesResponse& r, std::string_view e) {
  transport_.respond(now_, id, r, e);
}
void Server::respond(raft::RequestId id, const wire::RequestVoteResponse& r, std::string_view e) {
  transport_.respond(now_, id, r, e);
}
void Server::respond(raft::RequestId id, const wire::RequestPreVoteResponse& r, std::string_view e) {
  transport_.respond(now_, id, r, e);
}
void Server::respond(raft::RequestId id, const wire::InstallSnapshotResponse& r, std::string_view e) {
  transport_.respond(now_, id, r, e);
}
void Server::respond(raft::RequestId id, const wire::TimeoutNowResponse& r, std::string_view e) {
  transport_.respond(now_, id, r, e);
}

// Hot: once per batch of committed entries.
void Server::apply(std::span<const raft::LogEntry> entries) {
  applied_.clear();
  const bool leads = is_leader();
  for (const raft::LogEntry& entry : entries) {
    applied_to_ = entry.index;
    if (entry.type != raft::LogType::kCommand) continue;
    Applied applied = fsm_.apply(entry.index, now_, entry.data);
    if (applied.kind == Applied::Kind::kFatal) {
      if (panic_.empty()) panic_ = applied.text;
      return;
    }
    if (leads) applied_.emplace_back(entry.index, std::move(applied));
  }
}

Bytes Server::take_snapshot() {
  Buffer out;
  fsm_.snapshot(out);
  return Bytes(out);
}

bool Server::restore(const raft::SnapshotMeta& meta, const Bytes& state) {
  if (const auto error = fsm_.restore(state)) {
    around_.log(LogLevel::kError, "agent.server.raft: failed to restore snapshot: error=\"" + error->text + "\"");
    return false;
  }
  applied_to_ = meta.index;
  ++restores_;
  return true;
}

void Server::leadership(bool leading) { leadership_.push_back(leading); }
void Server::notice(const raft::Notice& notice) { around_.raft_notice(notice); }
bool Server::logs(raft::LogLevel level) const { return level != raft::LogLevel::kDebug; }

void Server::log(raft::LogLevel level, std::string_view message, std::span<const raft::LogField> fields) {
  std::string line = fmt::format("agent.server.raft: {}", message);
  for (std::size_t i = 0; i < fields.size(); ++i) {
    line += fmt::format("{} {}={}", i == 0 ? ":" : "", fields[i].key, quoted_if_needed(fields[i].value));
  }
  around_.log(level_of(level), line);
}

void Server::panic(std::string_view reason) {
  if (panic_.empty()) panic_ = reason;
}

void Server::raft_panic(Instant now) {
  const std::string why = "panic: " + std::exchange(panic_, {});
  around_.log(LogLevel::kError, "agent.server: " + why);
  host_.server_failed(now, why);
}

// --- RaftTransportHost ---------------------------------------------------------------------------------------------

bool Server::server_address(std::string_view id, Endpoint& at) {
  const ServerEntry* server = lookup_.by_id(id);
  if (!server) return false;
  at = server->rpc;
  return true;
}

void Server::raft_stream_closed(StreamId stream) { rpc_.released(stream); }
void Server::raft_handoff(Instant now, StreamId stream, const Endpoint& remote, const Bytes& first) {
  transport_.adopt(now, stream, remote, first);
}

}  // namespace dcsim::consul
