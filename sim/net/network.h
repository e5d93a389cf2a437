#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "core/engine.h"
#include "net/observer.h"
#include "net/packet.h"
#include "net/path_report.h"
#include "net/selector_set.h"
#include "net/tcp.h"
#include "net/topology.h"

namespace dcsim::net {

class Firewall;  // net/firewall.h
struct FirewallConfig;

/// One end of a TCP connection; handles of closed connections go stale harmlessly. Default = none.
struct ConnectionId {
  HostId host;
  TcpId tcp;
  auto operator<=>(const ConnectionId&) const = default;
  bool valid() const { return host.valid(); }
};

/// Receives what arrives at a UDP port. Called from the event loop with the engine's cause set; may call the Network.
class UdpSink {
 public:
  virtual ~UdpSink() = default;
  /// Whether the socket's buffer has room for `bytes` of payload; asked before each on_udp. False: the packet is lost.
  virtual bool takes(const Endpoint& /*to*/, std::size_t /*bytes*/) { return true; }
  /// `to` is the local endpoint as the packet named it (after NAT).
  virtual void on_udp(HostId host, const Endpoint& from, const Endpoint& to, const Bytes& payload) = 0;
};

/// Receives what happens to TCP connections. Called from the event loop (and by tcp_set_reading, from inside), with the
/// engine's cause set; may call the Network. Nothing comes after on_error, nor after one's own tcp_close or tcp_abort.
class TcpSink {
 public:
  virtual ~TcpSink() = default;
  /// A listener of this sink completed a handshake. The connection reports here until tcp_attach.
  virtual void on_accept(ConnectionId connection, const Endpoint& local, const Endpoint& remote) = 0;
  virtual void on_connected(ConnectionId connection) = 0;
  virtual void on_data(ConnectionId connection, const Bytes& data) = 0;
  /// The peer sent FIN: no more data comes. The own direction stays open until tcp_shutdown or tcp_close.
  virtual void on_eof(ConnectionId connection) = 0;
  /// Refused, reset, timed out, unreachable: the connection is gone.
  virtual void on_error(ConnectionId connection, SocketError error) = 0;
  /// tcp_send had answered kMessageTooLong; it would take data again.
  virtual void on_writable(ConnectionId) {}
};

/// A change of link attributes for a while: what is set replaces the link's own value.
struct Impairment {
  std::optional<Duration> latency;
  std::optional<Duration> jitter;
  std::optional<Distribution> distribution;
  std::optional<Billionths> loss;
  std::optional<Billionths> duplicate;
  std::optional<Billionths> corrupt;
  std::optional<Billionths> reorder;
  std::optional<Billionths> correlation;
  std::optional<std::uint64_t> bandwidth;
  std::optional<std::uint64_t> queue;
  std::optional<std::uint32_t> mtu;
  bool down = false;  ///< the link fails: routes avoid it from now on, what enters it is lost
};
using ImpairmentId = Id<struct ImpairmentTag>;

enum class PartitionMode : std::uint8_t {
  kDrop,    ///< silence
  kReject,  ///< ICMP admin-prohibited: "no route to host" at a connecting socket
  kDelay,   ///< late by `delay`
  kQueue,   ///< held, and sent on in order at the heal; at most `queue_bytes`, beyond that dropped
};
enum class PartitionDirection : std::uint8_t { kBoth, kTo, kFrom };

/// Packets between hosts of different sides are affected. Hosts of no side are not. Routes do not change.
struct PartitionSpec {
  std::string name;
  std::vector<std::vector<HostId>> sides;  ///< two or more
  PartitionMode mode = PartitionMode::kDrop;
  PartitionDirection direction =
      PartitionDirection::kBoth;  ///< kTo: from an earlier side to a later; kFrom: the reverse
  Duration delay{1'000'000'000};
  std::uint64_t queue_bytes = 64u << 20;
};

struct Counter {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;  ///< IP bytes
};
struct LinkCounters {
  Counter forward;  ///< frames (fragments count each); from LinkSpec::a to b; for an access link from the agent to the
                    ///< switch
  Counter backward;
  std::uint64_t drops = 0;  ///< with this link as the culprit
};
struct HostCounters {
  std::array<Counter, 3> sent;      ///< udp, tcp, icmp: see counter_index
  std::array<Counter, 3> received;  ///< delivered to a socket (or stack)
};
constexpr std::size_t counter_index(Protocol p) { return p == Protocol::kUdp ? 0 : p == Protocol::kTcp ? 1 : 2; }

/// sent + duplicated == delivered + dropped + in_flight, at any time.
struct Totals {
  std::uint64_t sent = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t delivered = 0;
  std::uint64_t dropped = 0;
  std::uint64_t in_flight = 0;
  std::array<std::uint64_t, static_cast<std::size_t>(DropReason::kCount)> dropped_by{};
  bool balanced() const { return sent + duplicated == delivered + dropped + in_flight; }
};

/// The packet-level virtual network: hosts with UDP and TCP sockets, links, switches, routes, firewalls, NAT and
/// faults.
///
/// Time passes only in the engine. Draws: each link direction owns streams named by (seed, link name, purpose); the
/// draw of a packet is the one whose number is the packet's own name, itself drawn from its sender's stream at the
/// sender's packet count. So a draw depends on seed, link, sender and how many packets that sender sent before, and on
/// nothing else. Lifetimes: engine, observer and all sinks outlive the network. The topology must have no
/// problems_of().
class Network {
 public:
  /// `tcp.mtu` is replaced by each host's access link's.
  Network(core::Engine& engine, const Topology& topology, std::uint64_t seed, NetObserver& observer,
          const TcpConfig& tcp = {});
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // --- hosts -------------------------------------------------------------------------------------------------------
  std::size_t host_count() const;
  HostId find_host(std::string_view name) const;  ///< none() if unknown
  /// Who would receive a packet for `address` sent by `from` (NAT applied); none() if nobody.
  HostId host_at(const Address& address, HostId from = HostId::none()) const;
  std::string_view host_name(HostId host) const;
  const Address& address_of(HostId host) const;  ///< the first address
  std::string_view zone_of(HostId host) const;
  OriginId origin_of(HostId host) const;  ///< the origin of what this host schedules: sends, TCP timers

  bool is_up(HostId host) const;
  /// The process dies as by SIGKILL while its kernel lives: UDP ports close, listeners close, open connections send
  /// FIN, or RST if received data was never read. Later packets are refused (RST, ICMP port unreachable). Sinks hear
  /// nothing.
  void kill_process(HostId host);
  /// The machine goes silent at once: sockets vanish, nothing is sent, peers are half-open. What arrives is dropped.
  void power_off(HostId host);
  void power_on(HostId host);  ///< with no socket open

  // --- UDP ---------------------------------------------------------------------------------------------------------
  /// kNone or kAddressInUse. Binds the port on all addresses of the host.
  SocketError udp_bind(HostId host, std::uint16_t port, UdpSink* sink);
  void udp_close(HostId host, std::uint16_t port);
  /// Sends one datagram (its own size, fragmented above the MTU). What comes back is what sendto() returns at once:
  /// kPermitted (an output hook dropped or rejected it), kNetUnreachable, kMessageTooLong. ICMP errors that come back
  /// later are recorded but not reported: Linux hands them only to connected UDP sockets, and memberlist's are not
  /// connected. Hot: one packet from the slab, one or two events; allocates nothing in the steady state.
  SocketError udp_send(HostId host, std::uint16_t from_port, const Endpoint& to, Bytes payload);

  // --- TCP ---------------------------------------------------------------------------------------------------------
  /// Listens on all addresses of the host. kNone or kAddressInUse.
  SocketError tcp_listen(HostId host, std::uint16_t port, TcpSink* sink);
  void tcp_unlisten(HostId host, std::uint16_t port);  ///< accepted connections live on
  /// Starts a handshake from an ephemeral port (or `from_port`). Success, refusal, unreachability and Linux's own
  /// giving up after the SYN retries arrive at the sink; a dial deadline is the caller's, by tcp_close. Fails at once
  /// (no handle, the error in `failed`) with kNetUnreachable, kAddressInUse, kAddressNotAvailable, kHostDown.
  ConnectionId tcp_connect(HostId host, const Endpoint& to, TcpSink* sink, SocketError* failed = nullptr,
                           std::uint16_t from_port = 0);
  /// Queues bytes in order; also before the handshake is done. kNone, kNotConnected (stale handle), kBrokenPipe (after
  /// tcp_shutdown) or kMessageTooLong (nothing taken, the send buffer is full: wait for on_writable).
  SocketError tcp_send(ConnectionId connection, const Bytes& data);
  void tcp_shutdown(ConnectionId connection);  ///< FIN after what is queued; reading goes on
  void tcp_close(ConnectionId connection);     ///< close(2): FIN after what is queued, RST if unread data waits
  void tcp_abort(ConnectionId connection);     ///< RST now
  void tcp_attach(ConnectionId connection, TcpSink* sink);
  void tcp_set_reading(ConnectionId connection, bool reading);  ///< see TcpStack::set_reading
  void tcp_set_keepalive(ConnectionId connection, Duration idle, Duration interval, std::uint32_t probes);
  bool tcp_alive(ConnectionId connection) const;
  std::optional<Endpoint> tcp_local(ConnectionId connection) const;
  std::optional<Endpoint> tcp_remote(ConnectionId connection) const;
  /// The host's kernel, for what is not wrapped here; null until the host first used TCP.
  const TcpStack* tcp_stack(HostId host) const;

  // --- firewalls ---------------------------------------------------------------------------------------------------
  /// Hook forward: asked once for every packet between two zones, at the first switch after the sender's access link;
  /// with `inside_zones` also for packets within a zone (a filtering bridge). Hooks input and output: on `machines`,
  /// but not for what a machine sends to itself (every real rule set accepts lo). All enabled firewalls of a hook must
  /// accept, in the order of adding. Names must differ (checked).
  FirewallId add_firewall(FirewallConfig config, const HostSet& machines = HostSet::any(), bool inside_zones = false);
  FirewallId find_firewall(std::string_view name) const;
  std::size_t firewall_count() const;
  /// Enable, insert, erase, flush_conntrack, hits, rule names: all take effect for the next packet. Valid as long as
  /// the network.
  Firewall& firewall(FirewallId id);
  const Firewall& firewall(FirewallId id) const;

  // --- faults ------------------------------------------------------------------------------------------------------
  /// `selector` is a link's name, `zone:NAME`, `site:A-B` or `*`. Later impairments of one link win, attribute by
  /// attribute. Acts on what enters a link from now on.
  Result<ImpairmentId> impair(std::string_view selector, const Impairment& impairment);
  bool restore(ImpairmentId impairment);
  PartitionId partition(const PartitionSpec& spec);
  bool heal(PartitionId partition);
  std::string_view partition_name(PartitionId partition) const;

  // --- looking in --------------------------------------------------------------------------------------------------
  std::size_t link_count() const;
  std::string_view link_name(LinkId link) const;
  LinkId find_link(std::string_view name) const;
  const LinkAttributes& link_attributes(LinkId link, bool backward = false) const;  ///< as impaired now
  LinkCounters link_counters(LinkId link) const;
  HostCounters host_counters(HostId host) const;
  const Totals& totals() const;
  /// Asserts the balance of totals() and that in_flight is the number of packets held. O(1).
  void check_balance() const;
  void observer_changed();

  /// What would happen to a packet sent now: path, links, hooks with the deciding rule, outcome. Touches no state and
  /// draws nothing; link loss is reported, not applied.
  PathReport trace_path(HostId from, const Endpoint& to, Protocol protocol, std::uint16_t from_port = 40'000) const;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace dcsim::net
