#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "gossip/broadcast_queue.h"
#include "gossip/notice.h"

namespace dcsim::gossip {

/// memberlist state.go: NodeStateType; the values are those of the wire.
enum class MemberState : std::uint8_t { kAlive = 0, kSuspect = 1, kDead = 2, kLeft = 3 };
std::string_view state_name(MemberState state);  ///< "alive", "suspect", "dead", "left"

/// Version bytes in wire order: protocol min, max, current, delegate min, max, current.
using Versions = std::array<std::uint8_t, 6>;

/// A member as its alive message describes it (memberlist state.go: Node). The views live as long as the call.
struct NodeView {
  MemberId id;  ///< none() in notify_merge if the name is not known here
  std::string_view name;
  Address address;
  std::uint16_t port = 0;
  ByteView meta;
  bool meta_nil = false;
  Versions vsn{};
  MemberState state = MemberState::kAlive;
  std::uint32_t incarnation = 0;

  Endpoint endpoint() const { return {address, port}; }
};

using JoinToken = Id<struct JoinTag>;

/// How a join ended (memberlist memberlist.go: Join).
struct JoinResult {
  std::uint32_t contacted = 0;
  /// go-multierror's text of everything that failed; empty if nothing did. Join's own error is this if contacted == 0,
  /// else nil.
  std::string failures;
};

/// The application above memberlist (delegate.go, event_delegate.go, merge_delegate.go, alive_delegate.go,
/// conflict_delegate.go, ping_delegate.go in one). Called from inside Memberlist's inputs with the table already
/// updated; may queue broadcasts and call send_to / wake_gossip, nothing else of Memberlist. Defaults do nothing.
class Delegate {
 public:
  virtual ~Delegate() = default;

  // Which of memberlist's optional delegates are installed; asked once, by the constructor.
  virtual bool has_user_data() const { return false; }       ///< Config.Delegate: meta, messages, broadcasts, state
  virtual bool has_merge_delegate() const { return false; }  ///< Config.Merge
  virtual bool has_alive_delegate() const { return false; }  ///< Config.Alive
  virtual bool has_ping_delegate() const { return false; }   ///< Config.Ping

  /// Own meta, at most `limit` bytes, appended to `out`.
  virtual void node_meta(std::size_t limit, Buffer& out) { (void)limit, (void)out; }
  /// A user message without its type byte; the view ends with the call.
  virtual void notify_msg(Instant now, ByteView message) { (void)now, (void)message; }
  /// True if get_broadcasts could give something. Cheap; asked on every gossip tick and piggyback.
  virtual bool has_broadcasts() const { return false; }
  /// Appends messages (without memberlist's user byte) of at most `limit` bytes, each counted with `overhead`.
  /// Returns the bytes used, overhead included.
  virtual std::size_t get_broadcasts(std::size_t overhead, std::size_t limit, Outgoing& out) {
    (void)overhead, (void)limit, (void)out;
    return 0;
  }
  /// The user state of a push/pull, appended to `out`.
  virtual void local_state(bool join, Buffer& out) { (void)join, (void)out; }
  virtual void merge_remote_state(Instant now, ByteView state, bool join) { (void)now, (void)state, (void)join; }

  /// An error refuses the whole merge. Only on join.
  virtual std::optional<Error> notify_merge(std::span<const NodeView> nodes) {
    (void)nodes;
    return std::nullopt;
  }
  /// An error makes memberlist ignore the alive message. Must depend on the node alone, its incarnation aside: it is not
  /// asked again about a member that is held with the same record in the same or a later incarnation.
  virtual std::optional<Error> notify_alive(const NodeView& node) {
    (void)node;
    return std::nullopt;
  }
  virtual void notify_join(Instant now, const NodeView& node) { (void)now, (void)node; }
  virtual void notify_leave(Instant now, const NodeView& node) { (void)now, (void)node; }
  virtual void notify_update(Instant now, const NodeView& node) { (void)now, (void)node; }
  virtual void notify_conflict(Instant now, const NodeView& existing, const NodeView& other) {
    (void)now, (void)existing, (void)other;
  }
  /// Payload of an ack to a packet ping, appended to `out`.
  virtual void ack_payload(Buffer& out) { (void)out; }
  /// A direct ack within ProbeTimeout.
  virtual void notify_ping_complete(Instant now, const NodeView& node, Duration rtt, ByteView payload) {
    (void)now, (void)node, (void)rtt, (void)payload;
  }

  // Completions of the commands. A command started here is allowed in these three.
  virtual void join_done(Instant now, JoinToken token, const JoinResult& result) {
    (void)now, (void)token, (void)result;
  }
  /// "timeout waiting for leave broadcast" or nothing.
  virtual void leave_done(Instant now, const std::optional<Error>& error) { (void)now, (void)error; }
  /// "timeout waiting for update broadcast" or nothing.
  virtual void update_done(Instant now, const std::optional<Error>& error) { (void)now, (void)error; }
};

}  // namespace dcsim::gossip
