#pragma once
#include <string>
#include <vector>

#include "host/watch.h"
#include "host/world.h"
#include "trace/tracer.h"

namespace dcsim::lab {

/// Notices processes that end without having been told to: those that refuse their configuration at the start, and
/// those that give up later (retry_max). Stands before another watch and hands everything on.
class Exits final : public host::Watch {
 public:
  struct Exit {
    std::uint32_t agent = 0;
    Instant at;
    bool at_start = false;  ///< it never came up
    std::uint64_t event = 0;
    std::string why;  ///< what it said last, or ""
  };

  Exits(host::World& world, const trace::Tracer& tracer, host::Watch& next)
      : world_(world), tracer_(tracer), next_(next), told_(world.agent_count()) {}

  /// The agent is about to be ended by the timeline, a fault or its own `leave`; until its next start that is no news.
  void expect(host::AgentId agent) { told_[agent.index()] = world_.process(agent).started_at(); }
  /// An agent is not started at all: Consul would refuse its new configuration with these words.
  void refused(host::AgentId agent, std::string why);
  const std::vector<Exit>& exits() const { return exits_; }

  void after_input(const host::Process& process) override { next_.after_input(process); }
  void on_notice(const host::Process& process, consul::PoolId pool, const gossip::Notice& notice) override {
    next_.on_notice(process, pool, notice);
  }
  void on_member_event(const host::Process& process, consul::PoolId pool, const gossip::MemberEvent& event) override {
    next_.on_member_event(process, pool, event);
  }
  void on_down(const host::Process& process) override;

 private:
  host::World& world_;
  const trace::Tracer& tracer_;
  host::Watch& next_;
  std::vector<std::optional<Instant>> told_;  // by agent: the start of the process that was told to end
  std::vector<Exit> exits_;
};

}  // namespace dcsim::lab
