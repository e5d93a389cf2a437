#pragma once
#include <cstdint>
#include <memory>

#include "base/name_table.h"
#include "check/checkers.h"
#include "host/world.h"
#include "trace/metrics.h"
#include "trace/tracer.h"

namespace dcsim::bench {

struct PoolOptions {
  std::uint32_t agents = 1000;
  std::uint64_t seed = 1;
  bool digest = true;
  bool checkers = true;
  bool rpc = false;  ///< also Raft, the catalog and anti-entropy
};

/// A Consul LAN pool of real gossip code: three servers and clients in one zone over links of 100 us, each joining the
/// first server, starts spread over 20 s. No trace kept, no series subscribed.
class PoolWorld {
 public:
  explicit PoolWorld(const PoolOptions& options);

  host::World& world() { return *world_; }
  const trace::Tracer& tracer() const { return tracer_; }
  Instant now() const { return world_->engine().now(); }

  /// Runs to `until`, starting agents as their time comes.
  void run_until(Instant until);
  /// Runs until every agent knows every agent, looking once a second; false if that is not so by `limit`.
  bool run_until_converged(Instant limit);
  bool converged() const;
  /// TCP packets sent by anybody so far.
  std::uint64_t tcp_packets() const;
  /// Heap bytes of the tables that all agents' Serf and memberlist hold of each other.
  std::size_t table_bytes() const;

 private:
  static void start_agent(void* self, const core::Event& event);

  NameTable names_;
  trace::Tracer tracer_;
  trace::MetricHub metrics_;
  std::unique_ptr<host::World> world_;
  std::unique_ptr<check::Checkers> checkers_;
};

/// Bytes of this process that are in memory now.
std::size_t resident_memory();

}  // namespace dcsim::bench
