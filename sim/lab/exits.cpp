#include "lab/exits.h"

#include <string_view>

namespace dcsim::lab {

namespace {

constexpr std::size_t kMost = 1000;  // a restart loop must not fill the memory

/// The reason in a rendered record: `... agent-exit status=1 reason="no address"  #7`.
std::string reason_of(std::string_view line) {
  constexpr std::string_view kKey = "reason=";
  const std::size_t at = line.find(kKey);
  if (at == std::string_view::npos) return {};
  line.remove_prefix(at + kKey.size());
  const bool quoted = line.starts_with('"');
  if (quoted) line.remove_prefix(1);
  const std::size_t end = quoted ? line.rfind('"') : line.find(' ');
  return std::string(line.substr(0, end));
}

}  // namespace

void Exits::refused(host::AgentId agent, std::string why) {
  if (exits_.size() < kMost)
    exits_.push_back({agent.value, world_.engine().now(), true, world_.engine().events_run(), std::move(why)});
}

void Exits::on_down(const host::Process& process) {
  const std::size_t agent = process.id().index();
  if (told_[agent] != process.started_at() && process.state() != host::ProcessState::kLeaving &&
      exits_.size() < kMost) {
    const Instant now = world_.engine().now();
    // Nothing passes between a start and its refusal; whoever runs at all takes up at least one input later.
    Exit exit{process.id().value, now, process.started_at() == now, world_.engine().events_run(), {}};
    // The record of the exit has just been written.
    for (const std::string& line : tracer_.last_lines(8)) {
      if (line.find("agent-exit") != std::string::npos &&
          line.find(world_.spec(process.id()).full_name) != std::string::npos)
        exit.why = reason_of(line);
    }
    exits_.push_back(std::move(exit));
  }
  next_.on_down(process);
}

}  // namespace dcsim::lab
