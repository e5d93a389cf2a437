#include "consul/leader_tombstones.h"

#include <fmt/format.h>

#include <algorithm>

namespace dcsim::consul {

namespace {
constexpr Duration kTombstoneTtl = 15_min;
constexpr Duration kTombstoneGranularity = 30_s;
}  // namespace

void TombstoneClock::start(Instant now, std::uint64_t last_index) {
  enabled_ = true;
  hint(now, last_index);
}

void TombstoneClock::stop() {
  enabled_ = false;
  due_.clear();
}

void TombstoneClock::hint(Instant now, std::uint64_t index) {
  if (!enabled_) return;
  const Instant expires = now + kTombstoneTtl;
  const Instant at = expires + (kTombstoneGranularity - Duration{expires.ns % kTombstoneGranularity.ns});
  std::uint64_t& highest = due_[at];
  highest = std::max(highest, index);
}

void TombstoneClock::on_deadline(Instant now) {
  while (!due_.empty() && due_.begin()->first <= now) {
    wire::rpc::TombstoneRequest request;
    request.datacenter = self_.datacenter;
    request.op = "reap";
    request.reap_index = due_.begin()->second;
    due_.erase(due_.begin());
    Buffer payload;
    wire::rpc::append_command(wire::rpc::CommandType::kTombstone, request, payload);
    host_.apply_command(now, Bytes(payload), [this, index = request.reap_index](Instant at, const std::optional<Error>& error) {
      if (!error) return;
      host_.log(at, LogLevel::kError,
                fmt::format("agent.server: failed to reap tombstones up to index: index={} error=\"{}\"", index, error->text));
    });
  }
}

}  // namespace dcsim::consul
