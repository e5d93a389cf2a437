#pragma once
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "net/tcp.h"

namespace dcsim::net {

/// Sequence numbers wrap: comparisons are of the signed distance (RFC 9293 3.4).
constexpr bool seq_less(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) < 0; }
constexpr bool seq_less_equal(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) <= 0; }

/// Bytes of the timestamps option with its padding, in every segment but a bare RST.
inline constexpr std::uint32_t kTimestampOption = 12;

/// The least window scale (RFC 7323) with which a window of `buffer` bytes fits 16 bits.
constexpr std::uint8_t scale_for(std::uint32_t buffer) {
  std::uint8_t scale = 0;
  while (scale < 14 && (buffer >> scale) > 65'535) ++scale;
  return scale;
}

/// What the process wrote and the peer has not acknowledged, as the slices it came in.
class SendQueue {
 public:
  void push(const Bytes& data) {
    chunks_.push_back(data);
    bytes_ += data.size();
  }
  std::size_t bytes() const { return bytes_; }
  /// Up to `most` bytes from `offset` (counted from the first unacknowledged byte). Copies only where writes of
  /// different buffers share a segment.
  Bytes read(std::size_t offset, std::size_t most);
  /// Drops `count` acknowledged bytes from the front.
  void pop(std::size_t count);
  void clear();

 private:
  void compact();

  std::vector<Bytes> chunks_;  // from first_ on; emptied from the front now and then: storage is kept
  std::size_t first_ = 0;
  std::uint64_t front_ = 0;        // stream position of the first unacknowledged byte
  std::uint64_t first_start_ = 0;  // stream position where chunks_[first_] begins
  std::size_t cursor_ = 0;         // the chunk last read from, and where it begins
  std::uint64_t cursor_start_ = 0;
  std::size_t bytes_ = 0;
};

/// One connection's state: RFC 9293's transmission control block.
struct TcpStack::Connection {
  TcpId id;
  TcpState state = TcpState::kClosed;
  bool passive = false;  ///< opened by a listener
  bool orphan = false;   ///< the process has closed it: no callbacks any more
  bool reading = true;
  bool fin_queued = false;  ///< FIN follows the queued data
  bool fin_sent = false;    ///< the FIN has its place in sequence space: snd_max - 1
  bool fin_received = false;
  bool announced = true;  ///< false: on_connected or on_accepted is still to be called
  bool end_told = false;
  bool writable_owed = false;
  bool ack_now = false;      ///< this segment wants an acknowledgement at once
  bool listed = false;       ///< in the index of 4-tuples
  bool half_open = false;    ///< counted among the handshakes of listeners
  bool in_recovery = false;  ///< RFC 6582 fast recovery
  bool rtt_running = false;
  bool timestamps = true;
  bool scaling = true;         ///< window scaling: both SYNs offered it
  bool request_reply = false;  ///< Linux's pingpong: answers carry the acknowledgements
  std::uint8_t snd_scale = 0;  ///< to shift the windows the peer sends
  std::uint8_t rcv_scale = 0;  ///< to shift the windows we send
  std::uint8_t offered_scale = 0;
  std::uint64_t user = 0;
  Endpoint local;
  Endpoint remote;

  // Send side (RFC 9293 3.3.1, RFC 5681).
  std::uint32_t iss = 0;
  std::uint32_t snd_una = 0;
  std::uint32_t snd_nxt = 0;
  std::uint32_t snd_max = 0;  ///< highest snd_nxt so far: snd_nxt falls back after a timeout
  std::uint32_t snd_wnd = 0;
  std::uint32_t snd_wl1 = 0;
  std::uint32_t snd_wl2 = 0;
  std::uint32_t mss = 536;  ///< payload bytes per segment
  std::uint32_t cwnd = 0;
  std::uint32_t ssthresh = 0xffffffffu;
  std::uint32_t recover = 0;
  std::uint32_t duplicate_acks = 0;
  SendQueue queue;

  // Receive side.
  std::uint32_t irs = 0;
  std::uint32_t rcv_nxt = 0;
  std::uint32_t rcv_adv = 0;  ///< right edge of the window last offered: never moves left
  std::uint32_t fin_seq = 0;  ///< of a FIN that came early; valid if fin_early
  bool fin_early = false;
  std::uint32_t unacked_segments = 0;
  std::uint32_t quick_left = 0;
  std::uint32_t ts_recent = 0;
  struct Piece {
    std::uint32_t seq = 0;
    Bytes data;
  };
  std::vector<Piece> out_of_order;  ///< sorted by seq, disjoint, beyond rcv_nxt
  std::vector<Bytes> ready;         ///< in order, not yet handed to the process, from ready_first on
  std::size_t ready_first = 0;
  std::uint32_t ready_bytes = 0;

  // Timers.
  Duration srtt{0};
  Duration rttvar{0};
  Duration rto{0};
  std::uint32_t backoff = 0;  ///< doublings of the zero window probe's wait
  std::uint32_t retries = 0;  ///< SYNs, segments or probes sent again without an answer
  std::uint32_t rtt_seq = 0;
  Instant rtt_start{0};
  Instant first_resend = Instant::never();
  Instant resend_at = Instant::never();   ///< SYN, data or FIN
  Instant persist_at = Instant::never();  ///< zero window probe
  Instant ack_at = Instant::never();      ///< delayed acknowledgement
  Instant end_at = Instant::never();      ///< FIN-WAIT-2 of an orphan
  Instant keepalive_at = Instant::never();
  Instant armed = Instant::never();
  Instant last_sent{0};
  Instant last_heard{0};
  Instant last_data{-3'600'000'000'000};  ///< of the peer's data, for request_reply; long ago at first
  Duration keepalive_idle{0};
  Duration keepalive_interval{0};
  std::uint32_t keepalive_probes = 0;
  std::uint32_t keepalive_unanswered = 0;
  SocketError soft_error = SocketError::kNone;

  std::uint32_t in_flight() const { return snd_nxt - snd_una; }
  bool synchronized() const { return state != TcpState::kSynSent && state != TcpState::kSynReceived; }
  /// Sequence number of the first queued byte; the SYN comes before it.
  std::uint32_t queue_start() const { return snd_una + (synchronized() ? 0u : 1u); }
  /// One past the queued data: the FIN's place.
  std::uint32_t queue_end() const { return queue_start() + static_cast<std::uint32_t>(queue.bytes()); }
  /// A callback may be made: the process knows the connection and has not closed it.
  bool heard() const { return !orphan; }
  bool unread() const { return ready_first < ready.size(); }
};

}  // namespace dcsim::net
