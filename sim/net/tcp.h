#pragma once
#include <compare>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "base/rng.h"
#include "base/time.h"
#include "net/packet.h"

namespace dcsim::net {

/// Flag bits as on the wire (RFC 9293 3.1).
enum TcpFlag : std::uint8_t { kTcpFin = 1, kTcpSyn = 2, kTcpRst = 4, kTcpPsh = 8, kTcpAck = 16 };

/// A TCP segment. Options are those of Linux: MSS, SACK-permitted, timestamps and window scale on a SYN (40 header
/// bytes), timestamps on all else (32), none on a RST that no connection sent (20).
struct TcpSegment {
  Endpoint from;  ///< canonical addresses
  Endpoint to;
  std::uint32_t seq = 0;
  std::uint32_t ack = 0;
  std::uint32_t ts_value = 0;  ///< timestamps option (RFC 7323), milliseconds; valid if `timestamps`
  std::uint32_t ts_echo = 0;
  std::uint16_t window = 0;  ///< as on the wire: unscaled on a SYN, else to be shifted by the sender's scale
  std::uint16_t mss = 0;     ///< on a SYN; 0 = absent
  std::uint8_t flags = 0;
  std::uint8_t window_scale = kNoScale;  ///< on a SYN
  bool timestamps = false;
  Bytes payload;

  static constexpr std::uint8_t kNoScale = 0xff;
  bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
  /// Sequence numbers taken: payload, SYN and FIN.
  std::uint32_t length() const {
    return static_cast<std::uint32_t>(payload.size()) + (has(kTcpSyn) ? 1u : 0u) + (has(kTcpFin) ? 1u : 0u);
  }
  /// Header and options, 20 to 40 bytes.
  std::uint32_t header_bytes() const;
  /// Writes the options as Linux orders them; `out` has room for 40 bytes. Returns their number, a multiple of 4.
  std::uint32_t write_options(std::uint8_t* out) const;
};

/// Linux's sysctls by name (net.ipv4.*) with Linux's defaults, and constants of its implementation.
struct TcpConfig {
  std::uint32_t tcp_syn_retries = 6;
  /// SYNs sent again at a constant 1 s before the doubling starts, on top of tcp_syn_retries (Linux 6.5; 0 = as before:
  /// 1, 3, 7, 15, 31, 63 s and ETIMEDOUT at 127 s; 4: 1, 2, 3, 4, 5, 7, 11, 19, 35, 67 s and ETIMEDOUT at 131 s).
  std::uint32_t tcp_syn_linear_timeouts = 4;
  std::uint32_t tcp_synack_retries = 5;  ///< at 1, 3, 7, 15, 31 s, given up at 63 s
  std::uint32_t tcp_retries2 = 15;       ///< ETIMEDOUT once the first resend is 924.6 s old (doubling from rto_min)
  std::uint32_t tcp_orphan_retries = 8;  ///< the same for a connection its process has closed: 102.2 s
  Duration tcp_fin_timeout = 60_s;       ///< FIN-WAIT-2 of a closed connection
  bool tcp_slow_start_after_idle = true;
  std::uint16_t ephemeral_first = 32'768;  ///< ip_local_port_range
  std::uint16_t ephemeral_last = 60'999;
  std::uint32_t somaxconn = 4'096;         ///< handshakes a stack has half open at most; more SYNs are dropped
  std::uint32_t receive_buffer = 131'072;  ///< window offered, bytes; scaled on the wire
  std::uint32_t send_buffer = 4'194'304;   ///< unacknowledged bytes from which on a writer blocks (tcp_wmem's maximum)
  Duration initial_rto = 1_s;              ///< RFC 6298 2.1
  Duration rto_min = 200_ms;  ///< floor of the variance term, as in Linux: RTO = SRTT + max(4 RTTVAR, rto_min)
  Duration rto_max = 120_s;
  Duration delayed_ack = 40_ms;
  std::uint32_t quick_acks = 16;      ///< segments acknowledged at once at the start, unless it is request and reply
  std::uint32_t initial_window = 10;  ///< RFC 6928, in segments
  std::uint32_t duplicate_acks = 3;   ///< RFC 5681 fast retransmit
  Duration time_wait = 60_s;
  std::uint32_t mtu = 1'500;  ///< of the host's link: MSS = mtu - 40 (IPv4) or - 60
};

/// Names one connection of one stack. A stale id is harmless: calls with it do nothing.
struct TcpId {
  std::uint32_t slot = 0xffffffffu;
  std::uint32_t generation = 0;
  bool valid() const { return slot != 0xffffffffu; }
  auto operator<=>(const TcpId&) const = default;
};

enum class TcpState : std::uint8_t {
  kClosed,
  kSynSent,
  kSynReceived,
  kEstablished,
  kFinWait1,
  kFinWait2,
  kCloseWait,
  kClosing,
  kLastAck,
  kTimeWait
};
std::string_view name_of(TcpState state);  ///< "SYN-SENT", as RFC 9293 writes it

/// The texts of a failed connection are text_of(SocketError).
/// What a stack wants done, called from within its inputs. on_* may call the stack back (send, close, ...); emit and
/// arm must not. `on_*` is never called for a connection after close(), abort() or on_error.
class TcpOutput {
 public:
  virtual ~TcpOutput() = default;
  virtual void emit(const TcpSegment& segment) = 0;
  /// The connection's one timer: on_timer is to be called at `deadline`, which replaces the former one; never() = none.
  /// A call that comes early (the stack lets a timer run on rather than moving it with every segment) does nothing but
  /// arm again.
  virtual void arm(TcpId id, Instant deadline) = 0;
  virtual void on_connected(TcpId id) = 0;
  /// A handshake with a listener completed. `user` is the listener's.
  virtual void on_accepted(TcpId id, std::uint64_t user, const Endpoint& local, const Endpoint& remote) = 0;
  /// The next bytes in order; neighbouring slices of the sender's buffer are still joinable (Bytes::continued_by).
  virtual void on_data(TcpId id, const Bytes& data) = 0;
  /// The peer sent FIN: no more data. Our direction stays open until shutdown_write or close.
  virtual void on_end(TcpId id) = 0;
  /// The connection is gone; the id is dead, so its endpoints come along. kRefused, kHostUnreachable, ... while
  /// connecting; kReset, kTimedOut, ... later.
  virtual void on_error(TcpId id, const Endpoint& local, const Endpoint& remote, SocketError error) = 0;
  /// `send_buffer` bytes or more had been waiting; now it is less.
  virtual void on_writable(TcpId id) = 0;
};

/// A host's TCP (RFC 9293 with Linux's timers and choices), sans-I/O: told the time and the segments, it answers
/// through TcpOutput. Call order is the order of events; `now` never goes back.
///
/// Congestion control is NewReno (RFC 5681, 6582) without SACK blocks or tail loss probes. The receive window is fixed.
/// A process that does not read (set_reading) closes it. Connections that wait in TIME-WAIT cost 80 bytes and no timer.
/// Random: initial sequence numbers and ephemeral ports are functions of (stream, 4-tuple, time) or (stream,
/// destination, count of connects) after RFC 6528 and RFC 6056: no draw is consumed, so connections do not disturb each
/// other.
class TcpStack {
 public:
  /// `config` and `output` must outlive the stack; `stream` is named by the host, purpose "tcp".
  TcpStack(const TcpConfig& config, TcpOutput& output, const Rng& stream);
  ~TcpStack();
  TcpStack(const TcpStack&) = delete;
  TcpStack& operator=(const TcpStack&) = delete;

  struct Opened {
    TcpId id;
    SocketError error = SocketError::kNone;
  };

  // Local calls.
  /// An empty address listens on every address. kAddressInUse if taken (also wildcard against specific, as in Linux).
  SocketError listen(const Endpoint& local, std::uint64_t user = 0);
  /// Closes the listener; its half-open handshakes are reset, accepted connections stay.
  void unlisten(Instant now, const Endpoint& local);
  bool listening(const Endpoint& local) const;
  /// Sends a SYN. Port 0 of `local` takes an ephemeral port (kAddressNotAvailable if none is left). The result comes as
  /// on_connected or on_error; a caller with a deadline of its own gives up with close().
  Opened connect(Instant now, const Endpoint& local, const Endpoint& remote, std::uint64_t user = 0);
  /// Queues bytes in order; also before the handshake is done. kNone, kNotConnected (stale id) or kBrokenPipe (after
  /// shutdown_write). Never refuses for size: a writer that would block stops while unacknowledged() >= send_buffer and
  /// goes on at on_writable.
  SocketError send(Instant now, TcpId id, const Bytes& data);
  /// Half-close: FIN after what is queued; reading goes on.
  void shutdown_write(Instant now, TcpId id);
  /// As close(2): FIN after what is queued, data that still comes is answered with RST; unread data (see set_reading)
  /// makes it a RST at once. A connection in SYN-SENT vanishes without a word.
  void close(Instant now, TcpId id);
  /// RST now (SO_LINGER 0).
  void abort(Instant now, TcpId id);
  /// false: the process does not read, data stays in the kernel and the window closes. true: what waits is delivered
  /// now.
  void set_reading(Instant now, TcpId id, bool reading);
  /// SO_KEEPALIVE: after `idle` without a segment from the peer a probe every `interval`; ETIMEDOUT after `probes`.
  /// idle 0 = off (the default). Go's dialler and listener set 15 s, 15 s, 9.
  void set_keepalive(Instant now, TcpId id, Duration idle, Duration interval, std::uint32_t probes);
  /// Power off: everything is forgotten, TIME-WAIT and listeners too; nothing is sent, no callback. The peers are left
  /// half open, and what they send is answered with RST once the host is back.
  void reset();

  // Inputs.
  void on_segment(Instant now, const TcpSegment& segment);
  /// An ICMP error that quotes a segment of ours from `local` to `remote` with sequence number `seq`; `mtu` for
  /// kFragmentationNeeded. In SYN-SENT an error ends the connection attempt; on an established connection it is only
  /// remembered as the reason, should it time out (Linux tcp_v4_err, icmp_err_convert).
  void on_icmp(Instant now, IcmpError code, const Endpoint& local, const Endpoint& remote, std::uint32_t seq,
               std::uint32_t mtu = 0);
  void on_timer(Instant now, TcpId id);

  // Looking.
  bool alive(TcpId id) const { return find(id) != nullptr; }
  TcpState state(TcpId id) const;  ///< kClosed for a stale id
  Endpoint local(TcpId id) const;
  Endpoint remote(TcpId id) const;
  std::uint64_t user(TcpId id) const;
  void set_user(TcpId id, std::uint64_t user);
  /// Bytes queued or in flight, not yet acknowledged.
  std::size_t unacknowledged(TcpId id) const;
  std::uint64_t retransmissions() const { return retransmissions_; }  ///< of this stack, SYNs included
  std::size_t connections() const { return connections_; }            ///< without TIME-WAIT
  std::size_t time_waits(Instant now) const;
  /// The present congestion window and retransmission timeout, for tests and people.
  std::uint32_t congestion_window(TcpId id) const;
  Duration rto(TcpId id) const;

 private:
  struct Connection;
  struct Listener {
    Endpoint local;
    std::uint64_t user = 0;
  };
  struct TimeWait {
    Endpoint local;  ///< port 0: given up early
    Endpoint remote;
    std::uint32_t snd_nxt = 0;
    std::uint32_t rcv_nxt = 0;
    Instant until{0};
  };

  // tcp_table.cpp: who owns a 4-tuple.
  Connection* find(TcpId id) const;
  Connection* find(const Endpoint& local, const Endpoint& remote) const;
  TimeWait* find_time_wait(const Endpoint& local, const Endpoint& remote) const;
  const Listener* find_listener(const Endpoint& local) const;
  bool port_listens(std::uint16_t port) const;
  std::uint16_t ephemeral_port(const Address& local, const Endpoint& remote);
  std::uint32_t initial_sequence(Instant now, const Endpoint& local, const Endpoint& remote) const;
  Connection& create(const Endpoint& local, const Endpoint& remote);
  void destroy(Connection& c);
  void unlist(Connection& c);
  void enter_time_wait(Instant now, Connection& c);
  void end_time_wait(TimeWait& wait);
  void expire_time_waits(Instant now);
  std::uint32_t lookup(const Endpoint& local, const Endpoint& remote) const;
  bool names(std::uint32_t entry, const Endpoint& local, const Endpoint& remote) const;
  std::size_t home_of(std::uint32_t entry) const;
  void index_insert(std::uint32_t entry);
  void index_erase(std::uint32_t entry);

  // tcp_input.cpp: what a segment does.
  void on_time_wait(Instant now, TimeWait& wait, const TcpSegment& segment);
  void on_listen(Instant now, const Listener& listener, const TcpSegment& segment);
  void on_syn_sent(Instant now, Connection& c, const TcpSegment& segment);
  void on_connection(Instant now, Connection& c, const TcpSegment& segment);
  bool acceptable(const Connection& c, const TcpSegment& segment) const;
  bool survives_rst_syn(Instant now, Connection& c, const TcpSegment& segment);
  void establish(Instant now, Connection& c, const TcpSegment& segment);
  bool process_ack(Instant now, Connection& c, const TcpSegment& segment);
  void on_new_ack(Instant now, Connection& c, std::uint32_t ack);
  void grow_window(Connection& c, std::uint32_t acked, std::uint32_t flight);
  void on_duplicate_ack(Instant now, Connection& c);
  bool on_fin_acked(Instant now, Connection& c);
  void take_payload(Instant now, Connection& c, const TcpSegment& segment);
  void accept_in_order(Connection& c, const Bytes& data);
  void store_out_of_order(Connection& c, std::uint32_t seq, const Bytes& data);
  void drain_out_of_order(Connection& c);
  void take_fin(Instant now, Connection& c);
  void acknowledge_later(Instant now, Connection& c);
  void deliver(TcpId id);
  void adopt_options(Connection& c, const TcpSegment& segment);
  void measure_rtt(Connection& c, Duration rtt);
  void reply_reset(const TcpSegment& segment);

  // tcp_output.cpp: what is sent, and timers.
  TcpSegment make(Instant now, const Connection& c, std::uint8_t flags, std::uint32_t seq) const;
  void emit(Connection& c, const TcpSegment& segment, Instant now);
  void send_syn(Instant now, Connection& c);
  void send_ack(Instant now, Connection& c);
  void send_reset(Instant now, Connection& c);
  void push(Instant now, Connection& c);
  std::uint32_t send_one(Instant now, Connection& c, std::uint32_t seq, std::uint32_t most);
  void retransmit_first(Instant now, Connection& c);
  void on_retransmission_timeout(Instant now, Connection& c);
  void on_handshake_timeout(Instant now, Connection& c);
  void on_persist_timeout(Instant now, Connection& c);
  void on_keepalive_timeout(Instant now, Connection& c);
  void begin_fin(Connection& c);
  void fail(Connection& c, SocketError error);
  void rearm(Connection& c);
  bool given_up(Instant now, const Connection& c) const;
  std::uint32_t offered_window(const Connection& c) const;
  std::uint32_t local_mss(const Endpoint& local) const;

  const TcpConfig& config_;
  TcpOutput& output_;
  Rng stream_;
  std::vector<std::unique_ptr<Connection>> slab_;  ///< stable addresses: callbacks may re-enter
  std::vector<std::uint32_t> free_;
  /// Open addressing by 4-tuple: slot + 1 of a connection, or number of a TIME-WAIT with the top bit set; 0 = free.
  std::vector<std::uint32_t> index_;
  std::size_t indexed_ = 0;
  std::vector<Listener> listeners_;
  std::vector<TimeWait> time_waits_;  ///< in order of deadline from time_wait_head_ on
  std::size_t time_wait_head_ = 0;
  std::uint32_t time_wait_base_ = 0;  ///< number of time_waits_[0], modulo 2^31
  std::size_t connections_ = 0;
  std::uint32_t half_open_ = 0;
  std::uint64_t next_port_ = 0;
  std::uint64_t retransmissions_ = 0;
};

}  // namespace dcsim::net
