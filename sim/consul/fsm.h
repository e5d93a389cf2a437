#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "consul/state_store.h"
#include "wire/consul_messages.h"

namespace dcsim::consul {

/// What applying a log entry gave: the value of Consul's FSM.Apply, which the leader hands to who asked for the write.
struct Applied {
  enum class Kind : std::uint8_t {
    kNone,   ///< nil: done
    kBool,   ///< `yes`: a conditional operation happened or did not
    kText,   ///< `text`: the ID of the new session
    kError,  ///< `text`: refused; every server refuses alike and goes on
    kFatal,  ///< `text`: what Consul panics with. This server must stop: it can not follow the others any further
  };
  Kind kind = Kind::kNone;
  bool yes = false;
  std::string text{};
  bool operator==(const Applied&) const = default;
};

/// The replicated state machine of a Consul server (agent/consul/fsm). Sans-I/O and deterministic: equal entries and
/// indexes give equal states, results and snapshots.
/// Bad payloads: an unknown command that carries kIgnoreUnknownType is ignored and counted; any other unknown command,
/// an empty payload and one that does not decode are kFatal, and change nothing.
/// Hot: a KV write costs its decoding and one look-up, and allocates what the store newly holds.
class Fsm {
 public:
  Fsm() : store_(std::make_unique<StateStore>()) {}

  /// `payload`: a command's type byte and message, as in a Raft log entry of type command. Indexes must not fall.
  Applied apply(std::uint64_t index, Instant now, ByteView payload);

  /// Appends the whole state: SnapshotHeader, then for each object a type byte and its message, in Consul's order.
  /// Reading it back gives an equal state; writing that again gives equal bytes.
  void snapshot(Buffer& out) const;
  /// Replaces the state. On any error (truncated, malformed, of an unknown type, inconsistent) the old state stays.
  /// Memory and time are proportional to the bytes. Wakes every waiter; lock delays are forgotten. Afterwards store()
  /// is another object.
  std::optional<Error> restore(ByteView snapshot);

  /// Valid until the next successful restore().
  StateStore& store() { return *store_; }
  const StateStore& store() const { return *store_; }
  /// Commands ignored so far: Consul logs "ignoring unknown message type, upgrade to newer version".
  std::uint64_t ignored() const { return ignored_; }

 private:
  Applied dispatch(const Write& at, wire::rpc::CommandType type, ByteView payload);
  Applied apply_session(const Write& at, ByteView payload);
  Applied apply_tombstone(ByteView payload);
  Applied apply_autopilot(const Write& at, ByteView payload);
  Applied apply_kv(const Write& at, ByteView payload);

  std::unique_ptr<StateStore> store_;
  wire::rpc::KvsRequest kv_request_;  // reused
  std::uint64_t ignored_ = 0;
};

}  // namespace dcsim::consul
