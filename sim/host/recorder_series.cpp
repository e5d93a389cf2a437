#include "host/recorder.h"
#include "host/world.h"

// What is counted and measured without leaving a record: memberlist's and Serf's own telemetry.
namespace dcsim::host {

using trace::Series;

namespace {

/// memberlist state.go metricsString.
constexpr std::pair<gossip::MemberState, std::string_view> kStates[] = {{gossip::MemberState::kAlive, "alive"},
                                                                        {gossip::MemberState::kSuspect, "suspect"},
                                                                        {gossip::MemberState::kDead, "dead"},
                                                                        {gossip::MemberState::kLeft, "left"}};

}  // namespace

void Recorder::observe(Series series, const Process& p, consul::PoolId pool, double value, NameId member) {
  if (metrics_.wanted(series)) metrics_.observe(now(), series, labels(series, p, pool, member), value);
}

void Recorder::count_traffic(Series series, const Process& p, consul::PoolId pool, std::size_t n, bool labelled) {
  const std::string& label = p.agent().serf(pool).memberlist().config().label;
  if (labelled && !label.empty()) n -= 2 + label.size();
  metrics_.count(now(), series, labels(series, p, pool), n);
}

void Recorder::observe_adjustment(const Process& p, consul::PoolId pool, const gossip::Coordinate& before, const gossip::Coordinate& after) {
  observe(Series::kSerfCoordinateAdjustmentMs, p, pool, gossip::distance(before, after).seconds() * 1e3);
}

void Recorder::queues_checked(const Process& p, consul::PoolId pool, const gossip::QueueDepths& depths) {
  observe(Series::kSerfQueueIntent, p, pool, static_cast<double>(depths.intent));
  observe(Series::kSerfQueueEvent, p, pool, static_cast<double>(depths.event));
  observe(Series::kSerfQueueQuery, p, pool, static_cast<double>(depths.query));
  observe(Series::kMemberlistQueueBroadcasts, p, pool, static_cast<double>(depths.broadcasts));
}

void Recorder::serf_counted(Series series, const Process& p, consul::PoolId pool, std::string_view what) {
  if (!metrics_.wanted(series)) return;
  auto l = labels(series, p, pool);
  slot(series, l, "event", name(what));
  metrics_.count(now(), series, l);
}

void Recorder::state_sent(const Process& p, consul::PoolId pool, std::int64_t bytes) {
  if (metrics_.wanted(Series::kMemberlistSizeLocal)) {
    metrics_.set(now(), Series::kMemberlistSizeLocal, labels(Series::kMemberlistSizeLocal, p, pool), static_cast<double>(bytes));
  }
  if (!metrics_.wanted(Series::kMemberlistNodeInstances)) return;
  const gossip::MemberTable& table = p.agent().serf(pool).memberlist().table();
  for (const auto& [state, text] : kStates) {
    auto l = labels(Series::kMemberlistNodeInstances, p, pool);
    slot(Series::kMemberlistNodeInstances, l, "node_state", name(text));
    metrics_.set(now(), Series::kMemberlistNodeInstances, l, static_cast<double>(table.count(state)));
  }
}

void Recorder::pool_gauges(const Process& p, consul::PoolId pool) {
  if (metrics_.wanted(Series::kMemberlistHealthScore)) {
    metrics_.set(now(), Series::kMemberlistHealthScore, labels(Series::kMemberlistHealthScore, p, pool), 0);
  }
}

void Recorder::end_pool_gauges(const Process& p, consul::PoolId pool) {
  const auto end = [&](Series series, const trace::LabelValues& l) {
    if (metrics_.wanted(series)) metrics_.remove(now(), series, l);
  };
  end(Series::kMemberlistSizeLocal, labels(Series::kMemberlistSizeLocal, p, pool));
  for (const auto& [state, text] : kStates) {
    auto l = labels(Series::kMemberlistNodeInstances, p, pool);
    slot(Series::kMemberlistNodeInstances, l, "node_state", name(text));
    end(Series::kMemberlistNodeInstances, l);
  }
  if (pool.value != 0) return;
  trace::LabelValues l;
  l.observer = agent_name(p.id());
  end(Series::kMembersServers, l);
  end(Series::kMembersClients, l);
}

/// Servers report how many agents they know in all their pools, each server once (consul usagemetrics emitMemberUsage).
void Recorder::count_roles(const Process& p, consul::PoolId pool, const gossip::MemberEvent& e, const gossip::Member& member) {
  if (!p.agent().config().server) return;
  const bool known = e.kind == gossip::MemberEventKind::kJoin && e.before == gossip::MemberStatus::kNone;
  const bool gone = e.kind == gossip::MemberEventKind::kReap;
  if (!known && !gone) return;
  const std::string_view role = member.tag("role");
  View& v = view(p, pool);
  std::size_t* const counted = role == "consul" ? &v.servers : role == "node" ? &v.clients : nullptr;
  if (counted == nullptr) return;
  known ? ++*counted : --*counted;
  std::size_t clients = 0;
  for (const View& each : views_[p.id().index()]) clients += each.clients;
  trace::LabelValues l;
  l.observer = agent_name(p.id());
  metrics_.set(now(), Series::kMembersServers, l, static_cast<double>(views_[p.id().index()].front().servers));
  metrics_.set(now(), Series::kMembersClients, l, static_cast<double>(clients));
}

}  // namespace dcsim::host
