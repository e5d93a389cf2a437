#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/rng.h"
#include "base/time.h"
#include "gossip/actions.h"
#include "gossip/broadcast_queue.h"
#include "gossip/config.h"
#include "gossip/delegate.h"
#include "gossip/directory.h"
#include "gossip/member_table.h"
#include "gossip/suspicion.h"
#include "gossip/workspace.h"
#include "wire/messages.h"
#include "wire/stream.h"

namespace dcsim::gossip {

/// One address to contact in a join, resolved by the caller (memberlist memberlist.go: resolveAddr).
struct JoinTarget {
  std::string display;  ///< as the user gave it, for "failed to resolve <display>: ..."
  std::string name;     ///< from a "name/" prefix, may be empty
  Endpoint endpoint;
  std::string resolve_error;  ///< not empty: resolution failed with this cause, nothing is contacted
};

/// memberlist (SWIM with Lifeguard) as a state machine without I/O, clock or ambient randomness.
///
/// Contract: construct; `start`; then feed inputs in time order, each with its instant. After every input, and after
/// every command, ask `next_deadline()` and keep exactly one timer for it; when it is due, call `on_deadline`. Whatever
/// is due at an input's instant happens before the input itself, so the order of a packet and a timer at one instant
/// does not matter. Output goes to Actions and Delegate from inside the inputs.
/// `directory`, `workspace`, `actions` and `delegate` are borrowed and outlive the object.
///
/// Ties at one instant: suspicions, gossip tick, probe tick, relay expiry, probe stages, push/pull, streams, waits.
class Memberlist {
 public:
  /// Requires !config.problem(). `entity` is the stable name that keys the random streams ("dc1/c3/lan").
  Memberlist(MemberlistConfig config, Directory& directory, Workspace& workspace, Actions& actions, Delegate& delegate,
             std::uint64_t seed, std::string_view entity);
  ~Memberlist();
  Memberlist(const Memberlist&) = delete;
  Memberlist& operator=(const Memberlist&) = delete;

  // --- Commands -----------------------------------------------------------------------------------------------------

  /// Create: announces the own node (incarnation 1) and starts the tickers, whose phase is `now`.
  void start(Instant now);
  /// Join: contacts the targets one after another, all of them. Ends with Delegate::join_done, never from inside this.
  JoinToken join(Instant now, std::vector<JoinTarget> targets);
  /// Leave: ends with Delegate::leave_done, never from inside this. A second one ends at once.
  void leave(Instant now, Duration timeout);
  /// UpdateNode: asks the delegate for the meta and announces it. Ends with Delegate::update_done (only the latest of
  /// overlapping ones).
  void update_node(Instant now, Duration timeout);
  /// Shutdown: closes streams and stops; every later input is ignored. Running joins are forgotten.
  void shutdown(Instant now);
  /// SendToAddress: one user packet, no piggyback, no CRC.
  SendStatus send_to_address(Instant now, const Endpoint& to, ByteView message);
  /// SendBestEffort: the same to a member, with CRC if it understands it. Requires a known member.
  SendStatus send_best_effort(Instant now, MemberId to, ByteView message);
  /// The delegate has something to broadcast that it did not queue from inside an input of this object.
  void wake_gossip(Instant now);

  // --- Inputs -------------------------------------------------------------------------------------------------------

  void on_packet(Instant now, const Endpoint& from, const Bytes& payload);
  void on_stream_accepted(Instant now, StreamId stream, const Endpoint& from);
  void on_stream_connected(Instant now, StreamId stream);
  /// Dial failed or connection broken; `error` as Go prints it ("dial tcp 10.0.0.1:7946: i/o timeout").
  void on_stream_failed(Instant now, StreamId stream, std::string_view error);
  void on_stream_data(Instant now, StreamId stream, const Bytes& data);
  void on_stream_eof(Instant now, StreamId stream);
  void on_deadline(Instant now);
  Instant next_deadline() const { return next_deadline_; }

  // --- Views --------------------------------------------------------------------------------------------------------

  const MemberlistConfig& config() const { return config_; }
  const MemberTable& table() const { return table_; }
  Directory& directory() const { return directory_; }
  MemberId self() const { return self_; }
  NodeView local_node() const { return table_.view(self_); }
  /// estNumNodes: table size as last set by an insert or a wrap; dead and left members count until reaped.
  std::uint32_t num_nodes() const { return num_nodes_; }
  /// NumMembers: members that are neither dead nor left.
  std::size_t alive_members() const { return table_.count(MemberState::kAlive) + table_.count(MemberState::kSuspect); }
  int health_score() const { return score_; }  ///< GetHealthScore, 0 = well
  std::uint32_t incarnation() const { return incarnation_; }
  bool running() const { return running_; }
  /// The member whose ack is awaited, none() if nobody's.
  MemberId probed() const { return probe_.stage == Probe::Stage::kIdle ? MemberId::none() : probe_.target; }
  bool left() const { return leaving_; }
  const BroadcastQueue& broadcasts() const { return queue_; }
  const Suspicions& suspicions() const { return suspicions_; }
  std::size_t open_streams() const { return streams_.size(); }
  /// Heap bytes of the view of the pool (the table), for the budget per pair.
  std::size_t view_bytes() const;

 private:
  friend struct MemberlistInspector;  // tests

  static constexpr BroadcastTag kLeaveTag = 1;
  static constexpr BroadcastTag kFirstUpdateTag = 2;

  /// A periodic tick with fixed phase that holds at most one tick.
  struct Ticker {
    Instant next = Instant::never();
    Duration period;
    void start(Instant now) { next = period.ns > 0 ? now + period : Instant::never(); }
    void advance(Instant now) { next += period * ((now - next) / period + 1); }
  };

  /// The one probe under way, and after it the SeqNo that is no longer answered.
  struct Probe {
    enum class Stage : std::uint8_t { kIdle, kDirect, kIndirect };
    Stage stage = Stage::kIdle;
    bool sent = false;  ///< step 2 succeeded: a success improves the score
    bool fallback_ok = false;
    MemberId target;
    std::uint32_t incarnation = 0;
    std::uint32_t seq_no = 0;
    Endpoint endpoint;
    Versions vsn{};
    int nacks_expected = 0;
    int nacks = 0;
    Instant started;
    Instant direct_until;
    Instant expires;
    Cause cause;
  };

  /// An indirect ping served for another node.
  struct Relay {
    std::uint32_t seq_no = 0;  ///< ours; 0 = answered
    std::uint32_t their_seq_no = 0;
    Endpoint requester;
    bool requester_named = false;
    bool nack = false;
    Instant expires;
    Cause cause;
  };

  enum class Role : std::uint8_t { kInbound, kFallback, kPushPull, kJoin };
  struct Stream {
    explicit Stream(wire::StreamParser p) : parser(std::move(p)) {}
    wire::StreamParser parser;
    StreamId id;
    Role role = Role::kInbound;
    bool counted = false;  ///< among the concurrent inbound push/pulls
    bool connected = false;
    Endpoint peer;
    MemberId member;           ///< push/pull partner or probed node
    std::uint32_t seq_no = 0;  ///< of a fallback ping
    Duration probe_interval;   ///< likewise: the time it was given as memberlist words it
    JoinToken join;
    Instant started;
    Instant deadline;
    std::uint32_t received = 0;
    std::uint32_t sent = 0;  ///< entries of a push/pull
  };

  struct JoinRun {
    JoinToken token;
    std::vector<JoinTarget> targets;
    std::size_t next = 0;
    std::uint32_t contacted = 0;
    bool over = false;
    std::vector<std::string> failures;
  };

  /// A command that waits for its broadcast to be finished.
  struct Wait {
    bool active = false;
    bool done = false;
    Instant deadline = Instant::never();
  };

  // memberlist.cpp
  bool enter(Instant now);
  void settle(Instant now, bool outer);
  void run_due(Instant now);
  void fire_waits(Instant now);
  Instant waits_deadline() const;
  void take_finished(Instant now);
  bool anyone_else() const;
  Versions own_versions() const;
  void announce_self(Instant now, BroadcastTag tag);
  void apply_health(int delta);
  Cause note(NoticeKind kind, MemberId member = {}, MemberId other = {}, std::int64_t value = 0, std::uint32_t aux = 0);
  Cause note_peer(NoticeKind kind, MemberId member, const Endpoint& peer, std::int64_t value = 0, std::uint32_t aux = 0,
                  std::string_view text = {}, std::string_view name = {});
  void note_unsent(NoticeKind kind, MemberId member, const Endpoint& peer, std::uint32_t aux = 0, std::string_view name = {});
  bool address_allowed(const Address& address) const;

  // probe.cpp
  void probe_tick(Instant now);
  void probe_member(Instant now, MemberId target);
  SendStatus send_probe(MemberId target, bool suspect);
  void probe_indirect(Instant now);
  void dial_fallback(Instant now);
  void probe_stage_due(Instant now);
  void probe_failed(Instant now);
  void end_probe(Instant now);
  void on_ack(Instant now, std::uint32_t seq_no, ByteView payload);
  void on_nack(Instant now, std::uint32_t seq_no);
  void on_ping(Instant now, const Endpoint& from, const wire::Ping& ping);
  void on_indirect_ping(Instant now, const Endpoint& from, const wire::IndirectPing& request);
  void relays_due(Instant now);
  Instant relays_deadline() const {
    return relay_head_ < relays_.size() ? relays_[relay_head_].expires : Instant::never();
  }

  // dispatch.cpp
  void dispatch(Instant now, const Endpoint& from, const wire::PacketItem& item);
  void hand_off(const Endpoint& from, const wire::PacketItem& item);
  void drain_handoff(Instant now, const Endpoint& from);
  void handle(Instant now, const Endpoint& from, const wire::PacketItem& item);
  void drop(const Endpoint& from, wire::PacketDrop reason, std::int64_t value = 0);
  void undecodable(const Endpoint& from, wire::MessageType type);

  // send.cpp
  std::size_t budget(std::size_t message) const;
  std::size_t piggyback(std::size_t limit, Outgoing& out);
  void bundle(ByteView first, std::size_t begin, std::size_t end, std::size_t user_from, Buffer& out) const;
  SendStatus send_message(const Endpoint& to, ByteView message, bool named);
  bool understands_crc(MemberId member) const { return table_.record(member).vsn[1] >= 5; }
  SendStatus send_raw(const Endpoint& to, ByteView message, bool crc);
  SendStatus send_datagram(const Endpoint& to, const Bytes& datagram);
  Bytes packed(ByteView message, bool crc);
  void gossip_tick(Instant now);
  void gossip_to(MemberId target, std::size_t user_from);
  bool source_allowed(const Endpoint& from, const Address& claimed);
  bool gossip_wanted() const;
  void arm_gossip(Instant now);
  void broadcast(BroadcastKey key, Cause cause, BroadcastTag tag);
  BroadcastKey key_of(MemberId member) const;

  // membership.cpp
  struct Claim {  ///< an alive message or entry with its versions sorted out
    MemberId member;
    std::string_view name;
    Address address;
    bool address_nil = true;
    std::uint16_t port = 0;
    std::uint32_t incarnation = 0;
    wire::OptBytes meta;
    wire::OptBytes vsn;
  };
  static std::optional<Claim> claim_of(const wire::Alive& alive);
  /// Before protocol 2 no port was sent.
  std::uint16_t port_of(std::uint16_t received) const {
    return config_.protocol_version < 2 || received == 0 ? config_.bind_port : received;
  }
  void alive_node(Instant now, Claim claim, bool bootstrap, BroadcastTag tag);
  bool says_nothing_new(const Claim& claim) const;
  bool alive_acceptable(const Claim& claim);
  bool admit_claim(Instant now, Claim& claim, bool& replaces);
  AliveId acquire(MemberId member, const Claim& claim, Versions vsn);
  AliveId take_claim(const Claim& claim);
  void suspect_node(Instant now, std::string_view node, std::uint32_t incarnation, std::string_view from);
  Cause start_suspicion(Instant now, MemberId member, std::uint32_t incarnation, MemberId from);
  void dead_node(Instant now, std::string_view node, std::uint32_t incarnation, std::string_view from);
  void refute(NoticeKind kind, MemberId from, std::string_view from_name, std::uint32_t accused, const Claim* claim);
  void suspicion_due(Instant now);

  // merge.cpp
  void merge_entry(Instant now, const wire::PushNodeState& entry);
  bool holds_same(MemberId member, const wire::PushNodeState& entry) const;
  MemberId find_next(std::string_view name, std::size_t& hint) const;
  std::optional<Error> verify_protocol(std::span<const wire::PushNodeState> remote) const;
  std::optional<Error> ask_merge_delegate(std::span<const wire::PushNodeState> remote);
  std::optional<Error> merge_remote(Instant now, const wire::StreamFrame& frame);

  // push_pull.cpp
  void push_pull_due(Instant now);
  void arm_push_pull(Instant now);
  void send_state(StreamId id, bool join, bool initiator);
  void serve(Instant now, Stream& stream, const wire::StreamFrame& frame);
  void serve_push_pull(Instant now, Stream& stream, const wire::StreamFrame& frame);
  void serve_ping(Stream& stream, const wire::Ping& ping);
  void note_received(const Stream& stream);
  void reply(StreamId id, ByteView bare);
  void reply_error(StreamId id, std::string_view text);
  std::string_view encrypted_text() const;
  void answered(Instant now, Stream& stream, const wire::StreamFrame& frame);
  void fallback_answered(const Stream& stream, const wire::StreamFrame& frame);
  void fallback_failed(const Stream& stream, std::string_view error);
  void exchange_over(Instant now, const Stream& stream, std::string_view error);

  // streams.cpp
  std::size_t stream_at(StreamId id) const;
  void open_stream(Instant now, StreamId id, Role role, const Endpoint& peer, Instant deadline, MemberId member = {});
  Stream take_stream(std::size_t at);
  void update_streams_deadline();
  void streams_due(Instant now);
  bool count_push_pull(Stream& stream, ByteView data);
  void stream_refused(Instant now, std::size_t at);
  std::string refusal_text(const wire::StreamParser& parser) const;
  void stream_broken(Instant now, std::size_t at, std::string_view error, bool close);

  // join.cpp
  void advance_join(Instant now, JoinRun& run);
  void join_address_done(Instant now, const Stream& stream, std::string_view error);
  void finish_joins(Instant now);

  MemberlistConfig config_;
  Directory& directory_;
  Workspace& workspace_;
  Actions& actions_;
  Delegate& delegate_;
  bool user_data_;
  bool merge_delegate_;
  bool alive_delegate_;
  bool ping_delegate_;

  Rng insert_draw_, shuffle_draw_, gossip_draw_, indirect_draw_, push_pull_draw_, stagger_draw_, expiry_draw_;

  bool running_ = false;
  bool leaving_ = false;
  bool busy_ = false;  ///< inside an input: commands from the delegate do not settle
  MemberId self_;
  BroadcastKey self_key_ = 0;
  BroadcastKey refute_key_ = 0;  ///< the local IP as text: memberlist's key of refutations
  MemberTable table_;
  BroadcastQueue queue_;
  Suspicions suspicions_;
  std::uint32_t incarnation_ = 0;
  std::uint32_t seq_no_ = 0;
  std::uint32_t num_nodes_ = 0;
  int score_ = 0;

  Instant started_;
  Ticker probe_ticker_;
  bool probe_pending_ = false;
  std::size_t probe_index_ = 0;
  Probe probe_;
  std::vector<Relay> relays_;  // in order of expiry, from relay_head_ on
  std::size_t relay_head_ = 0;
  Instant gossip_next_ = Instant::never();
  bool push_pull_staggering_ = false;
  Instant push_pull_next_ = Instant::never();

  std::vector<Stream> streams_;
  Instant streams_deadline_ = Instant::never();
  std::size_t inbound_push_pulls_ = 0;
  std::vector<JoinRun> joins_;
  std::uint32_t next_join_ = 0;
  Instant join_over_ = Instant::never();  ///< since when a finished join waits to be reported
  Wait leave_wait_;
  Wait update_wait_;
  BroadcastTag update_tag_ = 0;
  Instant next_deadline_ = Instant::never();

  // What the last gossip packet was made of: three targets mostly get one and the same payload.
  std::vector<const std::uint8_t*> last_parts_;
  Bytes last_payload_;
  bool last_crc_ = false;
};

}  // namespace dcsim::gossip
