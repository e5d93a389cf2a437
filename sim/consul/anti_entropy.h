#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "consul/anti_entropy_state.h"
#include "consul/cli_rpc.h"
#include "consul/surroundings.h"

namespace dcsim::consul {

/// What the background work of an agent asks of it, beside RPCs.
class AntiEntropyHost {
 public:
  virtual ~AntiEntropyHost() = default;
  /// Members of the agent's own LAN pool, whatever their status.
  virtual std::size_t lan_members() const = 0;
  /// The agent's own coordinates: one for a client (its segment), one a segment for a server.
  virtual wire::rpc::Coordinates coordinates() const = 0;
  virtual void log(Instant now, LogLevel level, std::string_view line) = 0;
};

/// agent/ae/ae.go, agent/config/default.go. Not configurable in Consul.
struct AntiEntropyConfig {
  Duration interval = 60_s;
  Duration retry = 15_s;
  Duration server_up = 3_s;
  Duration coordinate_interval_min = 15_s;
  std::int64_t coordinate_rate = 64;  ///< updates per second that the whole datacenter may cause
};

/// Keeps the servers' catalog what the agent says of itself: all of it at the start, every minute and when a server
/// appears, changes as they are made (agent/ae/ae.go StateSyncer over agent/local SyncFull, SyncChanges).
/// A full sync costs two reads, and a write for each thing that differs. The time between two grows with the size of
/// the pool, by the logarithm. Sans-I/O; keep one timer for next_deadline().
class AntiEntropy {
 public:
  /// Everything borrowed outlives it. `entity` names the random stream.
  AntiEntropy(LocalState& state, Rpc& rpc, AntiEntropyHost& host, std::uint64_t seed, std::string_view entity,
              AntiEntropyConfig config = {});

  void start(Instant now);
  /// The agent leaves or ends: nothing more is begun.
  void stop();
  /// A server appeared, or the new leader's event came: a full sync within 3 s (times the size of the pool).
  void on_server_up(Instant now);
  /// The state changed: its differences are sent.
  void on_changed(Instant now);

  Instant next_deadline() const {
    if (syncing() || phase_ == Phase::kOff) return Instant::never();
    return phase_ == Phase::kIdle ? full_at_ : at_;
  }
  void on_deadline(Instant now);
  bool syncing() const { return phase_ == Phase::kFull || phase_ == Phase::kChanges; }

 private:
  enum class Phase : std::uint8_t { kOff, kFull, kChanges, kIdle, kRetry, kServerUp };
  void full_sync(Instant now);
  void read_services(Instant now);
  void read_checks(Instant now, wire::rpc::IndexedNodeServices services);
  void send_changes(Instant now);
  void send_next(Instant now);
  void sent(Instant now, const LocalState::Change& change, const std::string& error);
  void ended(Instant now, const std::string& error);
  void idle(Instant now);
  Duration jitter(Duration base);

  LocalState& state_;
  Rpc& rpc_;
  AntiEntropyHost& host_;
  AntiEntropyConfig config_;
  Rng stagger_;
  Phase phase_ = Phase::kOff;
  Instant at_ = Instant::never();       ///< end of kRetry or kServerUp
  Instant full_at_ = Instant::never();  ///< the next full sync, from kIdle
  bool server_up_ = false;
  bool changed_ = false;
  std::vector<LocalState::Change> changes_;
  std::size_t next_ = 0;
  std::vector<std::string> errors_;
};

/// agent.go sendCoordinate: Coordinate.Update for each segment, every 15 s or, in pools of more than 960 members, so
/// that the pool as a whole causes 64 a second; each wait is stretched by up to itself.
class CoordinateSender {
 public:
  CoordinateSender(std::string datacenter, std::string node, Rpc& rpc, AntiEntropyHost& host, std::uint64_t seed,
                   std::string_view entity, AntiEntropyConfig config = {});
  void start(Instant now);
  void stop() { at_ = Instant::never(); }
  Instant next_deadline() const { return at_; }
  void on_deadline(Instant now);

 private:
  std::string datacenter_, node_;
  Rpc& rpc_;
  AntiEntropyHost& host_;
  AntiEntropyConfig config_;
  Rng stagger_;
  Instant at_ = Instant::never();
};

/// By how much waits grow with the pool: 1 up to 128 members, then one more for each doubling (ae.go scaleFactor).
std::int64_t anti_entropy_scale(std::size_t members);

}  // namespace dcsim::consul
