#include "check/checkers.h"

#include <fmt/format.h>

#include "base/check.h"
#include "consul/tags.h"
#include "host/recorder.h"

namespace dcsim::check {

using gossip::MemberEventKind;
using gossip::MemberStatus;

Checkers::Checkers(host::World& world, trace::MetricHub& metrics) : world_(world), metrics_(metrics), views_(world.agent_count()) {}

Checkers::View& Checkers::view(const host::Process& process, consul::PoolId pool) {
  std::vector<View>& views = views_[process.id().index()];
  if (views.size() <= pool.index()) views.resize(pool.index() + 1);
  return views[pool.index()];
}

void Checkers::violated(const host::Process& process, const char* checker, std::string detail) {
  const Instant now = world_.engine().now();
  trace::LabelValues l;
  l.slot[*trace::series_spec(trace::Series::kCheckViolation).slot("checker")] = world_.names().intern(checker);
  metrics_.count(now, trace::Series::kCheckViolation, l);
  world_.recorder().record(trace::Ev::kCheckViolation, world_.recorder().agent_name(process.id()),
                           trace::fields::names(world_.names().intern(checker), world_.names().intern(detail)));
  invariant_broken(checker, fmt::format("{}: {}", world_.spec(process.id()).full_name, detail));
}

// Hot: four comparisons a pool.
void Checkers::after_input(const host::Process& process) {
  for (std::uint32_t i = 0; i < process.agent().pool_count(); ++i) {
    const gossip::Serf& serf = process.agent().serf(consul::PoolId{i});
    Clocks& last = view(process, consul::PoolId{i}).clocks;
    const Clocks now{serf.memberlist().incarnation(), serf.member_clock(), serf.event_clock(), serf.query_clock()};
    if (now.incarnation < last.incarnation || now.member < last.member || now.event < last.event || now.query < last.query) {
      violated(process, "clocks",
               fmt::format("incarnation {} -> {}, member clock {} -> {}, event clock {} -> {}, query clock {} -> {}", last.incarnation,
                           now.incarnation, last.member, now.member, last.event, now.event, last.query, now.query));
    }
    last = now;
  }
}

void Checkers::on_notice(const host::Process& process, consul::PoolId pool, const gossip::Notice& n) {
  if (n.kind != gossip::NoticeKind::kAliveAccepted) return;
  View& v = view(process, pool);
  v.last_alive = {n.member, world_.engine().events_run()};
  // Forgetting a member forgets its incarnation too; only what is still held may not go back.
  const auto incarnation = static_cast<std::uint32_t>(n.value);
  const std::uint32_t held = v.incarnations.of(n.member);
  const bool replaced = n.aux == static_cast<std::uint32_t>(gossip::MemberState::kLeft) || n.aux == static_cast<std::uint32_t>(gossip::MemberState::kDead);
  if (incarnation < held && !replaced) {
    violated(process, "clocks", fmt::format("incarnation of {} in its view {} -> {}", process.agent().serf(pool).directory().name(n.member), held, incarnation));
  }
  v.incarnations.set(n.member, incarnation);
}

void Checkers::on_member_event(const host::Process& process, consul::PoolId pool, const gossip::MemberEvent& e) {
  if (e.kind != MemberEventKind::kJoin) return;
  const auto member = process.agent().serf(pool).find(e.member);
  if (!member) return;
  if (process.agent().config().kind == consul::AgentKind::kConsul) {
    const std::string_view theirs = consul::tag(*member->tags, "segment");
    if (theirs != process.agent().segment(pool)) {
      violated(process, "segments", fmt::format("{} of segment '{}' is in the list of segment '{}'", member->name, theirs, process.agent().segment(pool)));
    }
  }
  const View& v = view(process, pool);
  const bool comes_back = e.before == MemberStatus::kFailed || e.before == MemberStatus::kLeft;
  if (comes_back && (v.last_alive.member != e.member || v.last_alive.event != world_.engine().events_run())) {
    violated(process, "resurrection", fmt::format("{} was {} and is alive without an alive message", member->name, to_text(e.before)));
  }
}

std::size_t Checkers::heap_bytes() const {
  std::size_t bytes = views_.capacity() * sizeof(views_[0]);
  for (const std::vector<View>& views : views_) {
    bytes += views.capacity() * sizeof(View);
    for (const View& v : views) bytes += v.incarnations.heap_bytes();
  }
  return bytes;
}

void Checkers::on_down(const host::Process& process) { views_[process.id().index()].clear(); }

void Checkers::at_end() {
  for (std::uint32_t a = 0; a < world_.agent_count(); ++a) {
    const host::Process& process = world_.process(host::AgentId{a});
    if (!process.running() || process.agent().config().kind != consul::AgentKind::kConsul) continue;
    for (std::uint32_t i = 0; i < process.agent().pool_count(); ++i) {
      const consul::PoolId pool{i};
      for (const gossip::Member& m : process.agent().serf(pool).members()) {
        if (consul::tag(*m.tags, "segment") == process.agent().segment(pool)) continue;
        violated(process, "segments", fmt::format("{} of segment '{}' is in the list of segment '{}'", m.name, consul::tag(*m.tags, "segment"), process.agent().segment(pool)));
      }
    }
  }
}

}  // namespace dcsim::check
