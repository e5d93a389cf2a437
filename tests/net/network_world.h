#pragma once
#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "core/engine.h"
#include "net/firewall.h"
#include "net/network.h"

/// A small language for network tests: build a topology, send, run, and look at what arrived and what did not.
namespace dcsim::net::test {

struct Arrival {
  Instant at;
  std::string host;
  Endpoint from;
  Endpoint to;
  std::string text;
};

struct Loss {
  Instant at;
  Drop drop;
  Endpoint from;
  Endpoint to;
  Protocol protocol;
  Cause cause;
};

/// Records everything; every call gets the next record number, as a trace would give it.
class Recorder : public NetObserver {
 public:
  std::uint32_t wants() const override {
    return kSent | kDelivered | kDropped | kDuplicated | kVerdicts | kConnections;
  }
  Cause packet_sent(Instant at, const PacketInfo& p) override {
    sent.push_back(p.serial);
    if (p.protocol == Protocol::kIcmp || p.made_by.valid()) answers.push_back({p.from, p.from_host, p.to, p.icmp, p.made_by, p.ip_bytes});
    return note(at, "sent", p);
  }
  Cause packet_delivered(Instant at, const PacketInfo& p) override { return note(at, "delivered", p); }
  Cause packet_dropped(Instant at, const PacketInfo& p, const Drop& drop) override {
    losses.push_back({at, drop, p.from, p.to, p.protocol, p.cause});
    return note(at, "dropped", p);
  }
  Cause packet_duplicated(Instant at, const PacketInfo& p, LinkId, std::uint64_t) override {
    return note(at, "duplicated", p);
  }
  Cause firewall_verdict(Instant at, const PacketInfo& p, const Verdict& v) override {
    verdicts.push_back(v);
    return note(at, "verdict", p);
  }

  Cause connection_opened(Instant, HostId host, const Endpoint& local, const Endpoint& remote, bool accepted) override {
    connections.push_back({host, local, remote, accepted ? "accepted" : "connected"});
    records.push_back({"opened", Protocol::kTcp, {}});
    return {static_cast<std::uint32_t>(records.size() - 1)};
  }
  Cause connection_failed(Instant, HostId host, const Endpoint& local, const Endpoint& remote, SocketError e) override {
    connections.push_back({host, local, remote, std::string(text_of(e))});
    return {};
  }

  struct Answer {
    Endpoint from;
    HostId from_host;
    Endpoint to;
    IcmpError code;
    FirewallId made_by;
    std::uint32_t bytes;
  };
  struct Connection {
    HostId host;
    Endpoint local;
    Endpoint remote;
    std::string what;
  };
  std::size_t count(DropReason reason) const {
    std::size_t n = 0;
    for (const Loss& loss : losses) n += loss.drop.reason == reason;
    return n;
  }
  struct Record {
    std::string what;
    Protocol protocol;
    Cause cause;
  };
  std::vector<Record> records{{"", Protocol::kUdp, {}}};  // by record number
  std::vector<std::uint64_t> sent;
  std::vector<Loss> losses;
  std::vector<Verdict> verdicts;
  std::vector<Answer> answers;  // ICMP errors and firewalls' RSTs as they were sent
  std::vector<Connection> connections;

 private:
  Cause note(Instant, const char* what, const PacketInfo& p) {
    records.push_back({what, p.protocol, p.cause});
    return {static_cast<std::uint32_t>(records.size() - 1)};
  }
};

/// Hosts that listen on any port and note what comes.
class World : public UdpSink, public TcpSink {
 public:
  explicit World(const Topology& topology, std::uint64_t seed = 1, bool record = true)
      : network(engine, topology, seed, record ? static_cast<NetObserver&>(recorder) : silent) {
    for (std::uint32_t i = 0; i < network.host_count(); ++i) network.udp_bind({i}, 7000, this);
  }

  HostId host(const std::string& name) const {
    const HostId id = network.find_host(name);
    REQUIRE(id.valid());
    return id;
  }
  Endpoint at(const std::string& name, std::uint16_t port = 7000) const {
    return {network.address_of(host(name)), port};
  }
  SocketError send(const std::string& from, const std::string& to, std::string_view text, std::uint16_t port = 7000) {
    return network.udp_send(host(from), 7000, at(to, port), Bytes(view_of(text)));
  }
  void run_for(Duration d) {
    engine.run_until(engine.now() + d);
    network.check_balance();
  }
  std::vector<std::string> texts(const std::string& to) const {
    std::vector<std::string> out;
    for (const Arrival& a : arrivals) {
      if (a.host == to) out.push_back(a.text);
    }
    return out;
  }
  ConnectionId connect(const std::string& from, const std::string& to, std::uint16_t port) {
    return network.tcp_connect(host(from), at(to, port), this, &dial_error);
  }

  bool takes(const Endpoint&, std::size_t bytes) override { return bytes <= room; }
  void on_udp(HostId at_host, const Endpoint& from, const Endpoint& to, const Bytes& payload) override {
    arrivals.push_back(
        {engine.now(), std::string(network.host_name(at_host)), from, to, std::string(text_of(payload))});
  }
  void on_accept(ConnectionId c, const Endpoint&, const Endpoint& remote) override {
    accepted.push_back(c);
    remotes.push_back(remote);
  }
  void on_connected(ConnectionId c) override {
    connected.push_back(c);
    connected_at = engine.now();
  }
  void on_data(ConnectionId c, const Bytes& data) override {
    streams[c] += text_of(data);
    last_data_at = engine.now();
  }
  void on_eof(ConnectionId c) override { ended.push_back(c); }
  void on_error(ConnectionId c, SocketError error) override {
    errors[c] = error;
    error_at = engine.now();
    error_cause = engine.cause();
  }

  core::Engine engine;
  Recorder recorder;
  NetObserver silent;
  Network network;
  std::vector<Arrival> arrivals;
  std::vector<ConnectionId> accepted, connected, ended;
  std::vector<Endpoint> remotes;
  std::map<ConnectionId, std::string> streams;
  std::map<ConnectionId, SocketError> errors;
  SocketError dial_error = SocketError::kNone;
  std::size_t room = 1u << 20;  // of every socket
  Instant connected_at, error_at, last_data_at;
  Cause error_cause;
};

inline LinkAttributes latency(Duration d) {
  LinkAttributes link;
  link.latency = d;
  return link;
}

inline HostSpec agent(const std::string& name, const std::string& zone, const std::string& address) {
  return {name, {*Address::parse(address)}, zone, -1, std::nullopt};
}

/// Zones core, alpha and beta in a row (alpha - core - beta): access links 1 ms, 2 ms and 3 ms; between zones 10 and 20
/// ms.
inline Topology three_zones() {
  Topology t;
  t.zones = {{"core", Cidr::parse("10.20.10.0/24"), "", {}, latency(1_ms)},
             {"alpha", Cidr::parse("10.20.1.0/24"), "", {}, latency(2_ms)},
             {"beta", Cidr::parse("10.20.2.0/24"), "", {}, latency(3_ms)}};
  t.hosts = {agent("s1", "core", "10.20.10.11"), agent("a1", "alpha", "10.20.1.1"), agent("a2", "alpha", "10.20.1.2"),
             agent("b1", "beta", "10.20.2.1")};
  t.links = {{"core-alpha", "core", "alpha", latency(10_ms), std::nullopt},
             {"core-beta", "core", "beta", latency(20_ms), std::nullopt}};
  return t;
}

}  // namespace dcsim::net::test
