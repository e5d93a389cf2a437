#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/ids.h"
#include "base/time.h"
#include "net/packet.h"

namespace dcsim::net {

/// One direction of a flow. Addresses are canonical (Address::canonical). Plain value.
struct FlowKey {
  Address from;
  Address to;
  std::uint16_t from_port = 0;
  std::uint16_t to_port = 0;
  Protocol protocol = Protocol::kUdp;
  bool operator==(const FlowKey&) const = default;
  FlowKey reversed() const { return {to, from, to_port, from_port, protocol}; }
};

/// What a firewall looks at in one packet. For an ICMP error `flow` carries the ICMP packet's own addresses with ports
/// 0 and `quoted` the offending packet's flow as that packet carried it (valid during the call only).
struct PacketMeta {
  FlowKey flow;
  HostId from_host;  ///< none() for an address of no machine
  HostId to_host;
  HostId at;                        ///< hook input and output: the machine whose firewall this is; forward: none()
  std::uint32_t bytes = 0;          ///< IP bytes, for the counters
  std::uint8_t tcp_flags = 0;       ///< FIN 1, SYN 2, RST 4, PSH 8, ACK 16
  const FlowKey* quoted = nullptr;  ///< non-null: an ICMP error
};

/// nftables' `ct state`. kUntracked: the firewall keeps no table (stateful: false); no `state` list contains it.
enum class ConnState : std::uint8_t { kNew, kEstablished, kRelated, kInvalid, kUntracked };
std::string_view name_of(ConnState state);

/// Linux's nf_conntrack sysctls, by name without the prefix nf_conntrack_, with Linux's defaults.
struct ConntrackConfig {
  Duration udp_timeout = 30_s;
  Duration udp_timeout_stream = 120_s;
  Duration tcp_timeout_syn_sent = 120_s;
  Duration tcp_timeout_syn_recv = 60_s;
  Duration tcp_timeout_established = 120_h;  ///< 5 days
  Duration tcp_timeout_fin_wait = 120_s;
  Duration tcp_timeout_close_wait = 60_s;
  Duration tcp_timeout_last_ack = 30_s;
  Duration tcp_timeout_time_wait = 120_s;
  Duration tcp_timeout_close = 10_s;
  Duration tcp_timeout_unacknowledged = 300_s;  ///< for a connection picked up mid-stream and not answered yet
  Duration icmp_timeout = 30_s;                 ///< for ICMP that is no error
  bool tcp_loose = true;                        ///< pick up connections whose SYN was not seen
  std::uint32_t max = 262'144;                  ///< nf_conntrack_max, per table

  /// Sets a timeout by the scenario's name: the sysctl's ("tcp_timeout_established"), with or without "nf_conntrack_",
  /// or nftables' order of words ("tcp_established_timeout"). False if there is no such name.
  bool set(std::string_view name, Duration value);
  /// All names `set` takes in their first form, for messages.
  static std::vector<std::string_view> names();
};

/// One connection table, as a kernel keeps it: the state of each flow that an accepted packet confirmed.
///
/// Per packet: `classify`, then, if the packet is accepted, `confirm`. As in Linux, classify already advances the TCP
/// state and renews the timeout of a known flow, whatever the rules then say; a flow that is new enters the table
/// only in confirm, so a dropped first packet leaves nothing behind.
/// A flow is `new` until a packet of the reply direction passes, whichever side sends; both directions are
/// `established` from then on. TCP sequence windows are not checked. Entries expire lazily; time and order of packets
/// alone decide what the table holds.
class Conntrack {
 public:
  enum class Direction : std::uint8_t { kOriginal, kReply };
  enum class TcpState : std::uint8_t {
    kNone,
    kSynSent,
    kSynRecv,
    kEstablished,
    kFinWait,
    kCloseWait,
    kLastAck,
    kTimeWait,
    kClose,
    kSynSent2
  };
  struct Entry;

  /// What `classify` found. `entry` is valid until the next call on this table; null = not in the table.
  struct Tracked {
    Entry* entry = nullptr;
    ConnState state = ConnState::kNew;
    Direction direction = Direction::kOriginal;
    TcpState next = TcpState::kNone;  ///< TCP: where this packet takes the flow
    bool keep = true;                 ///< false: the packet does not touch the flow (Linux's "ignored")
    bool remove = false;  ///< the packet ends a flow that was never answered, or a SYN opens an old one anew
  };

  explicit Conntrack(const ConntrackConfig& config) : config_(&config) {}  // the config must outlive the table

  /// Hot: one probe of an open-addressing table, no allocation. 15 to 30 ns.
  Tracked classify(const PacketMeta& meta, Instant now);
  /// A packet of this flow will be classified soon: starts to bring its slot into the cache. Hot: does not wait.
  void prefetch(const FlowKey& flow) const;
  /// The same answer without touching anything.
  Tracked peek(const PacketMeta& meta, Instant now) const;
  /// Enters a new flow. False if the table holds `max` live flows and none of the near ones could be evicted
  /// ("nf_conntrack: table full, dropping packet"); the packet is then to be dropped.
  bool confirm(const PacketMeta& meta, const Tracked& tracked, Instant now);

  /// Forgets every flow (conntrack -F).
  void flush();
  /// Flows that have not expired at `now`. O(table).
  std::size_t live(Instant now) const;
  /// Flows evicted early to make room (Linux's early_drop), and packets refused because the table was full.
  std::uint64_t early_drops() const { return early_drops_; }
  std::uint64_t full_drops() const { return full_drops_; }

  /// One flow of the table. 48 bytes.
  struct Entry {
    std::uint64_t key_low = 0;  ///< 0 in both = free slot
    std::uint64_t key_high = 0;
    Instant expires{0};
    Instant stream_from{0};  ///< UDP: replies make it a stream only from then on, 2 s after its first packet
    TcpState tcp = TcpState::kNone;
    bool original_is_high = false;  ///< the originator is the greater endpoint of the key
    bool seen_reply = false;
    bool assured = false;
    /// The firewall's memory of its last verdict per direction, valid while `verdict_epoch` is the firewall's.
    std::uint16_t verdict_rule[2] = {0, 0};
    std::uint32_t verdict_epoch = 0;
  };

 private:
  struct Key {
    std::uint64_t low = 0;  ///< 0 = cannot be in the table
    std::uint64_t high = 0;
    bool from_is_high = false;
    std::size_t hash() const;
  };
  Key key_of(const FlowKey& flow) const;
  std::uint32_t number_of(const Address& wide) const;
  bool learn(const Address& address);
  const Entry* find(const Key& key, Instant now) const;
  Tracked judge(const PacketMeta& meta, const Entry* entry, const Key& key) const;
  void apply(const PacketMeta& meta, Tracked& tracked, Instant now);
  void expire_at(Entry& entry, Instant at);
  Duration tcp_timeout(TcpState state) const;
  void insert(const Key& key, const Tracked& tracked, const PacketMeta& meta, Instant now);
  Entry& place(const Key& key, Instant now);
  bool make_room(const Key& key, Instant now);
  void remove(std::size_t slot);
  void rebuild(std::size_t slots, Instant now);

  const ConntrackConfig* config_;
  std::vector<Entry> slots_;                     ///< open addressing, linear probing, a power of two
  std::vector<Entry> spare_;                     ///< room for the live entries while the slots are laid out anew
  std::size_t used_ = 0;                         ///< slots that are not free, expired ones included
  Instant no_expiry_before_ = Instant::never();  ///< nothing expires before: spares sweeps of a full table
  std::vector<Address> wide_;                    ///< IPv6 addresses seen, numbered; keys hold the number
  std::vector<std::uint32_t> wide_index_;
  std::uint64_t early_drops_ = 0;
  std::uint64_t full_drops_ = 0;
};

}  // namespace dcsim::net
