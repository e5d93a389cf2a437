#pragma once
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "raft/node.h"
#include "raft/types.h"

namespace dcsim::raft {

/// A request or response that owns what it says, for surroundings that carry messages without encoding them.
class Envelope {
 public:
  explicit Envelope(const wire::AppendEntriesRequest& m);
  explicit Envelope(const wire::RequestVoteRequest& m) : body_(m) { own(m.header); }
  explicit Envelope(const wire::RequestPreVoteRequest& m) : body_(m) { own(m.header); }
  Envelope(const wire::InstallSnapshotRequest& m, Bytes state);
  explicit Envelope(const wire::TimeoutNowRequest& m) : body_(m) { own(m.header); }
  explicit Envelope(const wire::AppendEntriesResponse& m) : body_(m) { own(m.header); }
  explicit Envelope(const wire::RequestVoteResponse& m) : body_(m) { own(m.header); }
  explicit Envelope(const wire::RequestPreVoteResponse& m) : body_(m) { own(m.header); }
  explicit Envelope(const wire::InstallSnapshotResponse& m) : body_(m) { own(m.header); }
  explicit Envelope(const wire::TimeoutNowResponse& m) : body_(m) { own(m.header); }

  bool request() const { return body_.index() < 5; }
  bool heartbeat() const;
  /// "append", "vote", "prevote", "snapshot", "timeout_now", with "_reply" for responses; heartbeats are "heartbeat".
  std::string_view kind() const;
  /// The message, if it is of this kind; its views and spans are not to be used.
  template <class M>
  const M* get() const {
    return std::get_if<M>(&body_);
  }
  /// Hands a request (with the id to answer it by) or a response (with the request's id) to a node.
  void deliver(Node& node, Instant now, std::uint64_t id);

 private:
  void own(const wire::RpcHeader& header) {
    id_ = header.id;
    address_ = header.addr;
  }
  void point_here();

  std::variant<wire::AppendEntriesRequest, wire::RequestVoteRequest, wire::RequestPreVoteRequest,
               wire::InstallSnapshotRequest, wire::TimeoutNowRequest, wire::AppendEntriesResponse,
               wire::RequestVoteResponse, wire::RequestPreVoteResponse, wire::InstallSnapshotResponse,
               wire::TimeoutNowResponse>
      body_;
  std::string id_, address_;
  std::vector<LogEntry> entries_;
  Buffer configuration_;
  Bytes state_;
};

}  // namespace dcsim::raft
