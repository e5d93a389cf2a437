#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/name_table.h"
#include "base/rng.h"
#include "host/watch.h"
#include "host/world.h"
#include "trace/metrics.h"
#include "trace/recording.h"
#include "trace/tracer.h"

namespace dcsim::fidelity {

/// A cluster of plain Serf agents on a network like the loopback interface, driven step by step, that keeps what the
/// measurements of real clusters kept. Nodes are numbered; times are milliseconds of simulated time.
class SerfCluster final : public host::Watch, public host::CommandListener {
 public:
  enum class Keep : std::uint8_t { kNothing, kLog, kPackets };  ///< of the records, for recording()
  struct Options {
    std::uint32_t nodes = 5;
    std::uint64_t seed = 1;
    std::string profile = "lan";
    Keep keep = Keep::kNothing;
    int name_letters = 4;  ///< "n007"
  };
  /// `node` saw, said or did it; `member` is whom it is about.
  struct Happening {
    double ms = 0;
    std::uint32_t node = 0;
    std::uint32_t member = 0;
    std::int64_t value = 0;
  };

  explicit SerfCluster(const Options& options);
  ~SerfCluster() override;

  double now() const;
  void run_to(double ms);
  void run_for(double ms) { run_to(now() + ms); }
  /// Runs to `ms`, or if not all know all `quiet` ms before, to `quiet` ms after they do. Returns where it is.
  double run_to_quiet(double ms, double quiet, std::uint32_t nodes = ~0u);
  /// Starts a node now; it is alone until it joins.
  void start(std::uint32_t node);
  /// `serf join` at `node`, of `other`.
  void join(std::uint32_t node, std::uint32_t other);
  void crash(std::uint32_t node);
  /// Silence between the sides; nodes of no side reach everybody.
  net::PartitionId cut(const std::vector<std::vector<std::uint32_t>>& sides);
  void heal(net::PartitionId partition);
  /// Starts node i at start_ms[i] from now on (in order of time), each joining node 0 at once. Returns when the last
  /// one has started.
  void assemble(const std::vector<double>& start_ms);

  /// Running nodes that `node` holds alive, itself included.
  std::size_t alive_at(std::uint32_t node) const;
  /// All running nodes (of the first `nodes`) know each other.
  bool converged(std::uint32_t nodes = ~0u) const;
  bool running(std::uint32_t node) const;
  net::HostCounters counters(std::uint32_t node) const;
  const gossip::Serf& serf(std::uint32_t node) const;
  /// The log lines or all packets sent, as Options::keep asked.
  trace::Recording recording() const { return tracer_.recording(); }

  // What happened, in order.
  std::vector<Happening> joined;        ///< member-join
  std::vector<Happening> failed;        ///< member-failed
  std::vector<Happening> probed;        ///< a probe was sent
  std::vector<Happening> probe_failed;  ///< "Suspect X has failed, no acks received"; value = nacks expected
  std::vector<Happening> declared;      ///< "Marking X as failed"; value = confirmations
  std::vector<Happening> asked;         ///< an indirect ping was sent
  std::vector<Happening> nack_sent;
  std::vector<Happening> nack_received;
  std::vector<Happening> refuted;    ///< a suspicion or death of its own
  std::vector<Happening> health;     ///< value = the new score
  std::vector<Happening> push_pull;  ///< "Initiating push/pull sync"; value = 1 on join

  // host::Watch, host::CommandListener
  void after_input(const host::Process&) override {}
  void on_notice(const host::Process& process, consul::PoolId pool, const gossip::Notice& notice) override;
  void on_member_event(const host::Process& process, consul::PoolId pool, const gossip::MemberEvent& event) override;
  void on_down(const host::Process&) override {}
  void on_command_done(host::AgentId, consul::CommandId, const consul::CommandResult&) override {}

 private:
  Happening happening(const host::Process& process, gossip::MemberId member, std::int64_t value = 0) const;

  NameTable names_;
  trace::Tracer tracer_;
  trace::MetricHub metrics_;
  std::unique_ptr<host::World> world_;
};

/// Uniform in [low, high), from a stream of the test's own.
double uniform(Rng& rng, double low, double high);

}  // namespace dcsim::fidelity
