#pragma once
#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "harness.h"
#include "wire/messages.h"

/// Pools in the states from which the memberlist tests start.
namespace dcsim::test {

using K = NoticeKind;

/// Quiet timers but the one under test.
inline MemberlistConfig without_push_pull(MemberlistConfig c = MemberlistConfig::lan()) {
  c.push_pull_interval = {0};
  return c;
}

/// A pool that has joined and come to rest.
struct Quiet {
  explicit Quiet(std::size_t n, MemberlistConfig c = without_push_pull(), std::uint64_t seed = 1) : pool(n, c, seed) {
    pool.start_all();
    pool.net.run_for(10_s + 50_ms);  // between two ticks, no probe under way
    REQUIRE(pool.complete());
    for (const auto& node : pool.nodes) REQUIRE(node->list->broadcasts().empty());
    pool.net.records.resize(1);
    for (const auto& node : pool.nodes) node->log().events.clear();
  }
  Pool* operator->() { return &pool; }
  Pool::Node& operator[](std::size_t i) { return pool[i]; }
  FakeNet& net() { return pool.net; }
  Pool pool;
};

/// Blocks packets, not streams, between two nodes, both ways.
inline auto no_udp(const std::string& a, const std::string& b) {
  return [a, b](const FakeNet::Port& from, const FakeNet::Port& to, bool stream) {
    return !stream && ((from.name == a && to.name == b) || (from.name == b && to.name == a));
  };
}

/// Kinds from a record back to its first cause.
inline std::vector<K> chain(const FakeNet& net, const FakeNet::Record* r) {
  std::vector<K> kinds;
  while (r) {
    kinds.push_back(r->kind);
    r = r->cause ? &net.records[r->cause] : nullptr;
  }
  return kinds;
}

/// One machine, alone; the packets it sends and what it noted are on the net.
struct Alone {
  explicit Alone(MemberlistConfig c = without_push_pull()) : pool(1, c) {
    pool.net.keep_sent = true;
    pool.start(0);
  }
  Memberlist& list() { return *pool[0].list; }
  template <class Message>
  void tell(const Message& m) {
    Buffer b;
    wire::encode(m, b);
    tell_bytes(b);
  }
  void tell_bytes(ByteView b) {
    list().on_packet(pool.net.now(), test::address(99), Bytes(b));
    pool[0].port->settled();
  }
  void alive(std::string_view name, std::uint32_t host, std::uint32_t incarnation = 1, std::uint8_t pmax = 5) {
    const Versions vsn{1, pmax, 2, 0, 0, 0};
    const Endpoint at = test::address(host);
    wire::Alive m;
    m.addr = at.address.bytes();
    m.incarnation = incarnation;
    m.node = name;
    m.port = at.port;
    m.vsn = ByteView(vsn);
    tell(m);
  }
  Pool pool;
};

}  // namespace dcsim::test
