#include "raft/envelope.h"

namespace dcsim::raft {

Envelope::Envelope(const wire::AppendEntriesRequest& m) : body_(m), entries_(m.entries.begin(), m.entries.end()) {
  own(m.header);
}

Envelope::Envelope(const wire::InstallSnapshotRequest& m, Bytes state)
    : body_(m), configuration_(m.configuration.data.begin(), m.configuration.data.end()), state_(std::move(state)) {
  own(m.header);
}

bool Envelope::heartbeat() const {
  const auto* m = get<wire::AppendEntriesRequest>();
  return m != nullptr && m->prev_log_entry == 0 && entries_.empty() && m->leader_commit_index == 0 && m->entries_nil;
}

std::string_view Envelope::kind() const {
  static constexpr std::string_view kKinds[] = {
      "append",       "vote",       "prevote",       "snapshot",       "timeout_now",
      "append_reply", "vote_reply", "prevote_reply", "snapshot_reply", "timeout_now_reply"};
  return heartbeat() ? "heartbeat" : kKinds[body_.index()];
}

// Envelopes move; their views are set only when they are looked at.
void Envelope::point_here() {
  std::visit([&](auto& m) { m.header.id = id_, m.header.addr = address_; }, body_);
  if (auto* m = std::get_if<wire::AppendEntriesRequest>(&body_)) {
    m->leader = address_;
    m->entries = entries_;
  } else if (auto* v = std::get_if<wire::RequestVoteRequest>(&body_)) {
    v->candidate = address_;
  } else if (auto* s = std::get_if<wire::InstallSnapshotRequest>(&body_)) {
    s->leader = address_;
    s->configuration = ByteView(configuration_);
  }
}

void Envelope::deliver(Node& node, Instant now, std::uint64_t id) {
  point_here();
  std::visit(
      [&](const auto& m) {
        using M = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<M, wire::InstallSnapshotRequest>) {
          node.on_request(now, id, m, state_);
        } else if constexpr (requires { node.on_request(now, id, m); }) {
          node.on_request(now, id, m);
        } else {
          node.on_response(now, id, m);
        }
      },
      body_);
}

}  // namespace dcsim::raft
