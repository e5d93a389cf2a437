#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/rng.h"
#include "base/time.h"
#include "gossip/actions.h"
#include "gossip/broadcast_queue.h"
#include "gossip/coordinate.h"
#include "gossip/coordinate_cache.h"
#include "gossip/delegate.h"
#include "gossip/directory.h"
#include "gossip/memberlist.h"
#include "gossip/serf_clock.h"
#include "gossip/serf_config.h"
#include "gossip/serf_event.h"
#include "gossip/serf_intents.h"
#include "gossip/serf_members.h"
#include "gossip/serf_rings.h"
#include "gossip/serf_tags.h"
#include "gossip/serf_workspace.h"
#include "wire/serf_messages.h"

namespace dcsim::gossip {

/// serf.go SerfState. Serf's words: "alive", "leaving", "left", "shutdown".
enum class SerfState : std::uint8_t { kAlive, kLeaving, kLeft, kShutdown };
std::string_view to_text(SerfState state);

/// serf.go Stats.
struct SerfStats {
  std::size_t members = 0;
  std::size_t failed = 0;
  std::size_t left = 0;
  int health_score = 0;
  LamportTime member_time = 0;
  LamportTime event_time = 0;
  LamportTime query_time = 0;
  std::size_t intent_queue = 0;
  std::size_t event_queue = 0;
  std::size_t query_queue = 0;
  std::uint64_t coordinate_resets = 0;
};

/// One Serf node on top of its own Memberlist, as a sans-I/O state machine (github.com/hashicorp/serf serf.go,
/// delegate.go).
///
/// The owner calls `start` once, then an input for whatever arrives, and `on_deadline` when the instant that
/// `next_deadline` gave has come; it asks `next_deadline` again after every call. Instants never go back. Packets and
/// streams go out through Actions, happenings come out through SerfListener, both synchronously from inside these calls
/// (see there what they may do). Goroutines of the original that outlive a call are deadlines here, at the same instant
/// where the original merely switches goroutines.
///
/// Directory, workspace, Actions, listener and everything the configuration points to must outlive it. Equal seeds,
/// entities and inputs give equal outputs. Not copyable, not thread-safe.
class Serf final : private Delegate {
 public:
  /// `config` must have no problem(). `entity` names this node's random streams ("dc1/web-3"): unique per pool and
  /// world.
  Serf(SerfConfig config, Directory& directory, SerfWorkspace& workspace, Actions& actions, SerfListener& listener,
       std::uint64_t seed, std::string_view entity);
  ~Serf() override;
  Serf(const Serf&) = delete;
  Serf& operator=(const Serf&) = delete;

  // Commands.

  /// serf.go Create: the own member joins, all timers start.
  void start(Instant now);
  /// serf.go Join: contacts every target in turn; `on_join_done(token)` reports. One join runs at a time, others wait.
  /// `ignore_old`: user events from before the join are not delivered. A join intent is broadcast if anybody was
  /// contacted. After leave or shutdown it ends at once with Serf's error.
  void join(Instant now, std::uint32_t token, std::vector<JoinTarget> targets, bool ignore_old);
  /// serf.go Leave, as states: leave intent out or timed out, memberlist's leave, LeavePropagateDelay, on_leave_done.
  /// Nothing else happens to the node: it answers until shutdown. Serf's error text if it is leaving or down already;
  /// nullopt also if it has left (on_leave_done comes again).
  std::optional<Error> leave(Instant now);
  /// serf.go RemoveFailedNode, RemoveFailedNodePrune: a leave intent about `name` on its behalf.
  /// `on_command_done(token)` comes when the broadcast is out, at once if nobody else is alive, or with
  /// "timed out broadcasting node removal".
  void force_leave(Instant now, std::uint32_t token, std::string_view name, bool prune);
  /// serf.go SetTags: new meta, broadcast by memberlist; `on_command_done(token)`. Error: over 512 bytes encoded.
  std::optional<Error> set_tags(Instant now, std::uint32_t token, Tags tags);
  /// serf.go UserEvent: delivered here and broadcast. Serf's error text if it is too big.
  std::optional<Error> user_event(Instant now, std::string_view name, ByteView payload, bool coalesce);
  /// serf.go Shutdown: silent from here on; streams are closed. Idempotent.
  void shutdown(Instant now);

  // Inputs.

  void on_packet(Instant now, const Endpoint& from, const Bytes& payload);
  void on_stream_accepted(Instant now, StreamId stream, const Endpoint& from);
  void on_stream_connected(Instant now, StreamId stream);
  void on_stream_data(Instant now, StreamId stream, const Bytes& bytes);
  void on_stream_failed(Instant now, StreamId stream, std::string_view error);
  void on_stream_eof(Instant now, StreamId stream);
  void on_deadline(Instant now);
  /// never() if nothing is to be done.
  Instant next_deadline() const;

  // Getters. Members are those Serf knows: failed and left ones until they are reaped, the own one included.

  SerfState state() const { return state_; }
  const SerfConfig& config() const { return config_; }
  MemberId self() const { return self_; }
  std::size_t member_count() const { return members_.size(); }
  std::size_t member_count(MemberStatus status) const { return members_.count(status); }
  /// kNone if not a member.
  MemberStatus status(MemberId id) const { return members_.status(id); }
  /// All members by name (bytewise).
  std::vector<Member> members() const;
  std::optional<Member> find(std::string_view name) const;
  std::optional<Member> find(MemberId id) const;
  /// Calls `f(MemberId, MemberStatus)` for every member in the Directory's canonical order, allocating nothing.
  template <class F>
  void each_member(F&& f) const {
    for (const MemberId id : directory_.canonical_order()) {
      if (members_.contains(id)) f(id, members_.status(id));
    }
  }
  const SerfMembers& table() const { return members_; }
  std::span<const IntentBuffer::Intent> intents() const { return intents_.all(); }
  SerfStats stats() const;
  /// The three Lamport clocks' present values.
  LamportTime member_clock() const { return clock_.time(); }
  LamportTime event_clock() const { return event_clock_.time(); }
  LamportTime query_clock() const { return query_clock_.time(); }
  LamportTime event_min_time() const { return event_min_time_; }
  /// Null if coordinates are off.
  const CoordinateClient* coordinates() const { return coordinates_ ? &*coordinates_ : nullptr; }
  /// serf.go GetCachedCoordinate: what the member said of itself in its last ack, as far as CoordinateCache keeps it;
  /// for the own name the present one, once there was a measurement. Null if there is none.
  const Coordinate* cached_coordinate(std::string_view name) const;
  const Directory& directory() const { return directory_; }
  Memberlist& memberlist() { return *memberlist_; }
  const Memberlist& memberlist() const { return *memberlist_; }

  /// Memberlist's view of this node; for tests that play memberlist's part.
  Delegate& as_delegate() { return *this; }
  /// The three queues: intents, events, queries. For tests and debugging views.
  const BroadcastQueue& intent_queue() const { return intent_queue_; }
  const BroadcastQueue& event_queue() const { return event_queue_; }
  const BroadcastQueue& query_queue() const { return query_queue_; }
  /// Heap bytes of Serf's own view of the pool (not memberlist's), for the budget per pair.
  std::size_t view_bytes() const {
    return members_.heap_bytes() + (coordinates_ ? coordinates_->heap_bytes() : 0) + heard_.heap_bytes();
  }

 private:
  friend struct SerfInspector;  // tests

  /// Hands everything on to the surroundings and remembers what is the current cause.
  class CauseTap final : public Actions {
   public:
    explicit CauseTap(Actions& next) : next_(next) {}
    SendStatus send_packet(const Endpoint& to, const Bytes& payload) override { return next_.send_packet(to, payload); }
    std::string send_error() const override { return next_.send_error(); }
    StreamId dial(const Endpoint& to, Duration timeout) override { return next_.dial(to, timeout); }
    void stream_send(StreamId stream, const Bytes& payload) override { next_.stream_send(stream, payload); }
    void stream_close(StreamId stream) override { next_.stream_close(stream); }
    Cause note(const Notice& notice) override { return next_.note(notice); }
    void because(Cause cause) override {
      current_ = cause;
      next_.because(cause);
    }
    Cause current() const { return current_; }
    /// By the input itself again.
    void reset() {
      if (current_.record != 0) because({});
    }

   private:
    Actions& next_;
    Cause current_;
  };

  enum class Verdict : std::uint8_t { kIgnore, kRebroadcast, kPruneWaits };

  struct Join {
    std::uint32_t token = 0;
    std::vector<JoinTarget> targets;
    bool ignore_old = false;
    Cause cause;
  };
  /// A force-leave whose broadcast is on its way.
  struct CommandWait {
    std::uint32_t token = 0;
    BroadcastTag tag = 0;
    bool done = false;
    Instant deadline;
    Cause cause;
  };
  /// serf.go handlePrune of a leaving member: BroadcastTimeout + LeavePropagateDelay later it is erased and the intent
  /// that asked for it goes on its way. (The original holds its member lock meanwhile.)
  struct PruneWait {
    MemberId member;
    Instant deadline;
    Bytes rebroadcast;
    bool command = false;
    std::uint32_t token = 0;
    Cause cause;
  };
  /// A join intent to broadcast against a leave intent about ourselves.
  struct Refutation {
    LamportTime ltime = 0;
    Cause cause;
  };
  enum class LeavePhase : std::uint8_t { kNone, kIntent, kMemberlist, kPropagate };

  // Delegate
  bool has_user_data() const override { return true; }
  bool has_merge_delegate() const override { return config_.merge != nullptr; }
  bool has_alive_delegate() const override { return config_.merge != nullptr; }
  bool has_ping_delegate() const override { return !config_.disable_coordinates; }
  void node_meta(std::size_t limit, Buffer& out) override;
  void notify_msg(Instant now, ByteView message) override;
  bool has_broadcasts() const override {
    return !intent_queue_.empty() || !query_queue_.empty() || !event_queue_.empty();
  }
  std::size_t get_broadcasts(std::size_t overhead, std::size_t limit, Outgoing& out) override;
  void local_state(bool join, Buffer& out) override;
  void merge_remote_state(Instant now, ByteView state, bool join) override;
  std::optional<Error> notify_merge(std::span<const NodeView> nodes) override;
  std::optional<Error> notify_alive(const NodeView& node) override;
  void notify_join(Instant now, const NodeView& node) override;
  void notify_leave(Instant now, const NodeView& node) override;
  void notify_update(Instant now, const NodeView& node) override;
  void notify_conflict(Instant now, const NodeView& existing, const NodeView& other) override;
  void ack_payload(Buffer& out) override;
  void notify_ping_complete(Instant now, const NodeView& node, Duration rtt, ByteView payload) override;
  void join_done(Instant now, JoinToken token, const JoinResult& result) override;
  void leave_done(Instant now, const std::optional<Error>& error) override;
  void update_done(Instant now, const std::optional<Error>& error) override;

  // serf.cpp
  void begin(Instant now);
  void run_due(Instant now);
  Instant own_deadline() const;
  void reap(Instant now);
  void reap_list(Instant now, MemberStatus status, Duration timeout);
  void reconnect(Instant now);
  void check_queues();
  void check_queue(BroadcastQueue& queue, std::string_view name);
  void take_finished();

  // serf_commands.cpp
  void start_join(Instant now);
  void broadcast_join(LamportTime ltime);
  void queue_intent(Bytes message, Cause cause, BroadcastTag tag = 0);
  BroadcastTag next_tag() { return ++last_tag_ == 0 ? ++last_tag_ : last_tag_; }
  bool others_alive() const;
  void await_removal(Instant now, Bytes message, std::uint32_t token, Cause cause);
  void leave_memberlist(Instant now);
  void leave_due(Instant now);
  void give_up_leaving(std::string_view error);
  void commands_due(Instant now);

  // serf_state.cpp
  Verdict on_leave_intent(Instant now, MemberId id, LamportTime ltime, bool prune);
  bool on_join_intent(Instant now, MemberId id, LamportTime ltime);
  void to_left_by_intent(MemberId id);
  void prune_waits_due(Instant now);
  PruneWait* find_prune(MemberId id);
  void end_prune(MemberId id);
  void erase(MemberId id, bool forced);
  void merge_members(Instant now, const wire::serf::PushPull& remote);
  void merge_left(Instant now, const wire::serf::PushPull& remote);
  MemberId resolve(std::string_view name, std::size_t& cursor);

  // serf_receive.cpp
  void on_leave_message(Instant now, ByteView message);
  void on_join_message(Instant now, ByteView message);
  void undecodable(std::string_view name);
  bool on_user_event(const wire::serf::UserEvent& event);

  // serf_query.cpp
  bool on_query(Instant now, const wire::serf::Query& query);
  bool passes_filters(const wire::serf::Query& query) const;
  void on_internal_query(const wire::serf::Query& query);
  void answer_conflict(const wire::serf::Query& query);
  void answer_key_query(const wire::serf::Query& query, std::string_view text);
  void respond(const wire::serf::Query& query, std::uint32_t flags, const wire::OptBytes& payload);
  void relay_response(const wire::serf::Query& query, ByteView response);

  void report(MemberEventKind kind, MemberId id, MemberStatus before, bool flap = false, bool forced = false);
  Cause notice(const SerfNotice& notice);
  Member member_of(MemberId id) const;
  Member member_of(const NodeView& node) const;
  std::shared_ptr<const Tags> tags_of(ByteView meta) const;
  std::optional<Error> bad_node(const NodeView& node) const;

  SerfConfig config_;
  Directory& directory_;
  SerfWorkspace& workspace_;
  CauseTap actions_;
  SerfListener& listener_;
  std::unique_ptr<Memberlist> memberlist_;

  Instant now_;
  SerfState state_ = SerfState::kAlive;
  bool started_ = false;
  MemberId self_;
  LamportClock clock_, event_clock_, query_clock_;
  LamportTime event_min_time_ = 0;
  SerfMembers members_;
  IntentBuffer intents_;
  EventRing events_;
  QueryRing queries_;
  BroadcastQueue intent_queue_, event_queue_, query_queue_;
  BroadcastTag last_tag_ = 0;
  std::optional<CoordinateClient> coordinates_;
  CoordinateCache heard_;
  bool measured_ = false;  ///< the own coordinate has been updated
  Rng reconnect_draw_, relay_draw_;

  Instant reap_at_ = Instant::never();
  Instant reconnect_at_ = Instant::never();
  Instant queue_check_at_ = Instant::never();
  Instant hop_at_ = Instant::never();  ///< a goroutine of the original is ready to run
  std::vector<Refutation> refutations_;
  std::vector<CommandWait> command_waits_;
  std::vector<PruneWait> prune_waits_;

  std::deque<Join> joins_;  ///< the front one is running if join_running_
  bool join_running_ = false;
  JoinToken join_token_;
  bool ignore_old_ = false;  ///< serf.go eventJoinIgnore
  bool reconnecting_ = false;
  JoinToken reconnect_token_;

  LeavePhase leave_phase_ = LeavePhase::kNone;
  Instant leave_deadline_ = Instant::never();
  BroadcastTag leave_tag_ = 0;
  bool leave_sent_ = false;
  Cause leave_cause_;

  bool update_running_ = false;
  std::uint32_t update_token_ = 0;
  Cause update_cause_;
};

}  // namespace dcsim::gossip
