#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "check/incarnations.h"
#include "host/watch.h"
#include "host/world.h"
#include "trace/metrics.h"

namespace dcsim::check {

/// The invariants that every run is held to. A violation counts in sim.check.violation, is recorded, and stops the run
/// (InvariantBroken, exit status 3).
///
///   segments      no member of one segment is in another's list (Consul guide "Network Segments")
///   clocks        an agent's own incarnation and its Lamport clocks never go back while its process lives
///   resurrection  nobody comes back from failed or left without an alive message accepted in that very input
///   packets       sent + duplicated = delivered + lost + in flight
///
/// Watches only: runs with and without it have the same digest.
class Checkers final : public host::Watch {
 public:
  Checkers(host::World& world, trace::MetricHub& metrics);

  void after_input(const host::Process& process) override;
  void on_notice(const host::Process& process, consul::PoolId pool, const gossip::Notice& notice) override;
  void on_member_event(const host::Process& process, consul::PoolId pool, const gossip::MemberEvent& event) override;
  void on_down(const host::Process& process) override;
  /// What only the end shows.
  void at_end();
  /// Heap bytes that the views hold, for the budget per pair.
  std::size_t heap_bytes() const;

 private:
  struct Clocks {
    std::uint32_t incarnation = 0;
    std::uint64_t member = 0, event = 0, query = 0;
  };
  struct Alive {
    gossip::MemberId member;
    std::uint64_t event = 0;  ///< number of the engine event in which it was accepted
  };
  struct View {
    Clocks clocks;
    Alive last_alive;
    Incarnations incarnations;  ///< as accepted of each member
  };

  View& view(const host::Process& process, consul::PoolId pool);
  [[noreturn]] void violated(const host::Process& process, const char* checker, std::string detail);

  host::World& world_;
  trace::MetricHub& metrics_;
  std::vector<std::vector<View>> views_;
};

}  // namespace dcsim::check
