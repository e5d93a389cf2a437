#include <fmt/format.h>

#include <algorithm>

#include "host/recorder.h"
#include "host/world.h"

namespace dcsim::host {

using gossip::NoticeKind;
using trace::Ev;
using trace::Series;
namespace fields = trace::fields;

// --- Names and labels ----------------------------------------------------------------------------------------------

NameId Recorder::member_name(const Process& process, consul::PoolId pool, gossip::MemberId member) {
  if (!member.valid()) return {};
  const gossip::Directory& directory = process.agent().serf(pool).directory();
  std::vector<NameId>& known = names_by_directory_[&directory];
  if (member.index() >= known.size()) known.resize(directory.size() + 64);
  NameId& id = known[member.index()];
  if (!id.valid()) {
    const std::string& dc = world_.spec(process.id()).dc;
    const std::string node(directory.name(member));
    const auto it = node_names_.find(dc + "/" + node);
    id = it != node_names_.end() ? it->second : name(node + "." + dc);
  }
  return id;
}

trace::LabelValues Recorder::labels(Series series, const Process& process, consul::PoolId pool, NameId member, NameId by) {
  const View& v = view(process, pool);
  trace::LabelValues l;
  l.observer = agent_name(process.id());
  l.member = member;
  slot(series, l, "pool", v.pool);
  slot(series, l, "segment", v.segment);
  if (by.valid()) slot(series, l, "by", by);
  return l;
}

void Recorder::count(Series series, const Process& process, consul::PoolId pool, NameId member, NameId by, std::uint64_t n) {
  if (metrics_.wanted(series)) metrics_.count(now(), series, labels(series, process, pool, member, by), n);
}

// --- memberlist ----------------------------------------------------------------------------------------------------

Cause Recorder::notice(const Process& p, consul::PoolId pool, const gossip::Notice& n) {
  const NameId node = agent_name(p.id());
  const NameId member = member_name(p, pool, n.member);
  const NameId pool_id = view(p, pool).pool;
  const Cause parent = world_.engine().cause();
  const auto probe = [&](Ev ev, Duration d = {}, NameId relay = {}, std::uint16_t missing = 0) {
    return tracer_.append(now(), ev, node, fields::probe(member, pool_id, static_cast<std::uint32_t>(n.value), d, relay, 0, missing), parent);
  };
  switch (n.kind) {
    case NoticeKind::kProbeSent: return probe(Ev::kProbeSent);
    case NoticeKind::kProbeAcked:
      if (metrics_.wanted(Series::kMemberlistProbeNode)) {
        metrics_.observe(now(), Series::kMemberlistProbeNode, labels(Series::kMemberlistProbeNode, p, pool, member), static_cast<double>(n.value) / 1e6);
      }
      return tracer_.append(now(), Ev::kProbeAcked, node, fields::probe(member, pool_id, 0, Duration{n.value}), parent);
    case NoticeKind::kProbeAckedLate:
      return tracer_.append(now(), Ev::kProbeAcked, node, fields::probe(member, pool_id, 0, Duration{n.value}), parent);
    case NoticeKind::kProbeTimeout:
      count(Series::kProbeTimeout, p, pool, member);
      return tracer_.append(now(), Ev::kProbeTimeout, node, fields::probe(member, pool_id, 0), parent);
    case NoticeKind::kIndirectSent:
      return tracer_.append(now(), Ev::kProbeIndirect, node, fields::probe(member, pool_id, 0, {}, member_name(p, pool, n.other)), parent);
    case NoticeKind::kFallbackAcked:
      count(Series::kProbeTcpOnly, p, pool, member);
      return tracer_.append(now(), Ev::kProbeTcpOnly, node, fields::probe(member, pool_id, 0), parent);
    case NoticeKind::kProbeFailed:
      count(Series::kProbeFailed, p, pool, member);
      return tracer_.append(now(), Ev::kProbeFailed, node,
                            fields::probe(member, pool_id, 0, {}, {}, 0, static_cast<std::uint16_t>(std::max<std::int64_t>(0, n.value - n.aux))), parent);
    case NoticeKind::kProbeDegraded: count(Series::kMemberlistDegradedProbe, p, pool); return {};
    case NoticeKind::kSuspectAccepted:
    case NoticeKind::kSuspectConfirmed:
    case NoticeKind::kSuspicionExpired:
    case NoticeKind::kDeadAccepted:
    case NoticeKind::kLeftAccepted:
    case NoticeKind::kAliveAccepted: return suspicion(p, pool, n, member, member_name(p, pool, n.other));
    case NoticeKind::kRefutedSuspect: return refutation(p, pool, n, trace::Accusation::kSuspect);
    case NoticeKind::kRefutedDead: return refutation(p, pool, n, trace::Accusation::kDead);
    case NoticeKind::kRefutedAlive: return refutation(p, pool, n, trace::Accusation::kAlive);
    case NoticeKind::kSuspicionDegraded: count(Series::kMemberlistDegradedTimeout, p, pool); return {};
    case NoticeKind::kHealthScore: {
      if (metrics_.wanted(Series::kMemberlistHealthScore)) {
        metrics_.set(now(), Series::kMemberlistHealthScore, labels(Series::kMemberlistHealthScore, p, pool), static_cast<double>(n.value));
      }
      trace::Fields f;
      f.x = static_cast<std::uint16_t>(n.aux);
      f.a = static_cast<std::uint32_t>(n.value);
      f.b = trace::pack(pool_id);
      return tracer_.append(now(), Ev::kHealthScore, node, f, parent);
    }
    case NoticeKind::kAliveIgnored: {
      const NameId gate = name(n.text);
      const NameId who = member.valid() ? member : name("");
      return tracer_.append(now(), Ev::kAliveIgnored, node, fields::claim(who, pool_id, gate, 0), parent);
    }
    case NoticeKind::kPacketDropped:
    case NoticeKind::kStreamDropped:
      if (metrics_.wanted(Series::kPacketMalformed)) {
        trace::LabelValues l;
        l.observer = node;
        slot(Series::kPacketMalformed, l, "reason", name(n.text.empty() ? std::to_string(n.aux) : std::string(n.text)));
        slot(Series::kPacketMalformed, l, "pool", pool_id);
        metrics_.count(now(), Series::kPacketMalformed, l);
      }
      [[fallthrough]];
    case NoticeKind::kPacketEncrypted: {
      trace::Fields f;
      f.a = n.aux;
      f.b = trace::pack_endpoint(party(n.peer), n.peer.port);
      f.c = trace::pack(0u, 0u);
      f.d = trace::pack(pool_id);
      return tracer_.append(now(), Ev::kPacketMalformed, node, f, parent);
    }
    default: return stream_notice(p, pool, n, member);
  }
}

Cause Recorder::suspicion(const Process& p, consul::PoolId pool, const gossip::Notice& n, NameId member, NameId by) {
  View& v = view(p, pool);
  const Cause parent = world_.engine().cause();
  const auto incarnation = static_cast<std::uint32_t>(n.value);
  const auto append = [&](Ev ev, const trace::Fields& f) { return tracer_.append(now(), ev, agent_name(p.id()), f, parent); };
  switch (n.kind) {
    case NoticeKind::kSuspectAccepted:
      count(Series::kMemberlistMsgSuspect, p, pool, member, by);
      count(Series::kSuspectStarted, p, pool, member, by);
      v.suspected[n.member.value] = now();
      return append(Ev::kSuspect, fields::claim(member, v.pool, by, 0, n.aux, Duration{n.value}));
    case NoticeKind::kSuspectConfirmed:
      return append(Ev::kSuspectConfirm, fields::claim(member, v.pool, by, 0, n.aux, Duration{n.value}));
    case NoticeKind::kSuspicionExpired: {
      const auto since = v.suspected.find(n.member.value);
      return append(Ev::kSuspectExpired, fields::claim(member, v.pool, by, 0, n.aux, since == v.suspected.end() ? Duration{} : now() - since->second));
    }
    case NoticeKind::kDeadAccepted:
      count(Series::kMemberlistMsgDead, p, pool, member, by);
      v.suspected.erase(n.member.value);
      return append(Ev::kDeadDeclared, fields::claim(member, v.pool, by, incarnation));
    case NoticeKind::kLeftAccepted:
      count(Series::kMemberlistMsgDead, p, pool, member, by);
      v.suspected.erase(n.member.value);
      return append(Ev::kDeadReceived, fields::claim(member, v.pool, by, incarnation));
    case NoticeKind::kAliveAccepted: {
      count(Series::kMemberlistMsgAlive, p, pool, member, by);
      const auto since = v.suspected.find(n.member.value);
      if (since == v.suspected.end()) return {};
      if (metrics_.wanted(Series::kSuspectRefuteTime)) {
        metrics_.observe(now(), Series::kSuspectRefuteTime, labels(Series::kSuspectRefuteTime, p, pool, member), (now() - since->second).seconds());
      }
      v.suspected.erase(since);
      return {};
    }
    default: return {};
  }
}

Cause Recorder::refutation(const Process& p, consul::PoolId pool, const gossip::Notice& n, trace::Accusation accusation) {
  const NameId self = agent_name(p.id());
  count(Series::kRefute, p, pool, self, member_name(p, pool, n.other));
  return tracer_.append(now(), Ev::kRefute, self,
                        fields::claim(self, view(p, pool).pool, member_name(p, pool, n.other), static_cast<std::uint32_t>(n.value), 0, {}, accusation),
                        world_.engine().cause());
}

namespace {

/// Which of Consul's gates speaks in a refusal; empty if the text is no refusal (consul agent/consul/merge.go).
std::string_view gate_reason(std::string_view text) {
  if (text.find("part of wrong segment") != std::string_view::npos) return "wrong segment";
  if (text.find("part of wrong datacenter") != std::string_view::npos) return "wrong datacenter";
  if (text.find("has conflicting node ID") != std::string_view::npos) return "conflicting node ID";
  if (text.find("part of partition") != std::string_view::npos) return "partition";
  if (text.find("is FIPS Consul") != std::string_view::npos) return "FIPS";
  if (text.find("is not a server") != std::string_view::npos) return "not a server";
  if (text.find("protocol version") != std::string_view::npos && text.find("incompatible") != std::string_view::npos) return "protocol version";
  return {};
}

}  // namespace

Cause Recorder::join_rejected(const Process& p, consul::PoolId pool, NameId joiner, NameId peer, std::string_view text) {
  if (metrics_.wanted(Series::kJoinRejected)) {
    auto l = labels(Series::kJoinRejected, p, pool);
    slot(Series::kJoinRejected, l, "joiner", joiner);
    slot(Series::kJoinRejected, l, "reason", name(gate_reason(text)));
    metrics_.count(now(), Series::kJoinRejected, l);
  }
  trace::Fields f = fields::names(peer, view(p, pool).pool, name(text));
  f.c = trace::pack(NameId{}, view(p, pool).segment);
  const Cause c = tracer_.append(now(), Ev::kMergeRejected, agent_name(p.id()), f, world_.engine().cause());
  return c;
}

Cause Recorder::stream_notice(const Process& p, consul::PoolId pool, const gossip::Notice& n, NameId member) {
  const NameId node = agent_name(p.id());
  const NameId pool_id = view(p, pool).pool;
  const NameId peer = n.peer.address.empty() ? member : party(n.peer);
  const bool join = n.aux != 0;
  const auto append = [&](Ev ev, const trace::Fields& f) { return tracer_.append(now(), ev, node, f, world_.engine().cause()); };
  switch (n.kind) {
    case NoticeKind::kPushPullFinished:
      count(Series::kPushPull, p, pool, peer);
      return append(Ev::kPushPull, fields::push_pull(peer, pool_id, join, 0, static_cast<std::uint32_t>(n.value)));
    case NoticeKind::kPushPullFailed:
      return append(Ev::kPushPullFailed, fields::push_pull(peer, pool_id, join, 0, 0, {}, name(n.text)));
    case NoticeKind::kMergeRefused: return join_rejected(p, pool, peer, peer, n.text);
    case NoticeKind::kJoinAddress: {
      if (!join && !gate_reason(n.text).empty()) return join_rejected(p, pool, node, peer, n.text);
      return append(join ? Ev::kJoinOk : Ev::kJoinFailed,
                    fields::join(peer, pool_id, trace::pack_endpoint(peer, n.peer.port), {}, name(n.text), join));
    }
    case NoticeKind::kJoinResolveFailed:
      return append(Ev::kJoinFailed, fields::join(name(""), pool_id, 0, {}, name(n.text)));
    case NoticeKind::kLeaveStarted: return append(Ev::kLeaveIntent, fields::intent(node, pool_id, 0));
    default: return {};
  }
}

// --- Serf ----------------------------------------------------------------------------------------------------------

Cause Recorder::serf_notice(const Process& p, consul::PoolId pool, const gossip::SerfNotice& n, Cause cause) {
  const std::string text = log_text(n, p.agent().serf(pool).directory());
  if (text.empty()) return {};
  const auto level = text.starts_with("[ERR]") ? trace::LogLevel::kError : text.starts_with("[WARN]") ? trace::LogLevel::kWarn
                   : text.starts_with("[INFO]") ? trace::LogLevel::kInfo : trace::LogLevel::kDebug;
  if (level == trace::LogLevel::kDebug) return {};
  const auto space = text.find(' ');
  return tracer_.append(now(), Ev::kLog, agent_name(p.id()), fields::log(level, name(text.substr(space + 1)), view(p, pool).pool),
                        cause.record != 0 ? cause : world_.engine().cause());
}

Cause Recorder::member_event(const Process& p, consul::PoolId pool, const gossip::MemberEvent& e, Cause cause) {
  const NameId node = agent_name(p.id());
  const NameId member = member_name(p, pool, e.member);
  const View& v = view(p, pool);
  using Kind = gossip::MemberEventKind;
  struct Row {
    Ev ev;
    Series series;
  };
  static constexpr Row kRows[] = {{Ev::kMemberJoin, Series::kSerfMemberJoin},
                                  {Ev::kMemberLeave, Series::kSerfMemberLeave},
                                  {Ev::kMemberFailed, Series::kSerfMemberFailed},
                                  {Ev::kMemberUpdate, Series::kSerfMemberUpdate},
                                  {Ev::kMemberReap, Series::kSerfMemberReap}};
  const Row& row = kRows[static_cast<std::size_t>(e.kind)];
  const Cause parent = cause.record != 0 ? cause : world_.engine().cause();
  NameId address;
  if (const auto m = p.agent().serf(pool).find(e.member)) address = name(m->endpoint.address.text());
  const Cause c = tracer_.append(now(), row.ev, node, fields::member(member, v.pool, address), parent);
  count(row.series, p, pool, member);
  if (e.flap) {
    tracer_.append(now(), Ev::kMemberFlap, node, fields::member(member, v.pool, address), c);
    count(Series::kSerfMemberFlap, p, pool, member);
  }
  if (e.kind == Kind::kFailed && metrics_.wanted(Series::kDetectTime)) {
    const auto it = std::find(agent_names_.begin(), agent_names_.end(), member);
    if (it != agent_names_.end()) {
      const Instant since = down_since_[static_cast<std::size_t>(it - agent_names_.begin())];
      if (since != Instant::never()) {
        metrics_.observe(now(), Series::kDetectTime, labels(Series::kDetectTime, p, pool, member), (now() - since).seconds());
      }
    }
  }
  if (metrics_.wanted(Series::kMemberStatus)) {
    const auto l = labels(Series::kMemberStatus, p, pool, member);
    if (e.kind == Kind::kReap) metrics_.remove(now(), Series::kMemberStatus, l);
    else metrics_.set_text(now(), Series::kMemberStatus, l, name(to_text(e.after)));
  }
  update_alive(p, pool);
  return c;
}

Cause Recorder::joined(const Process& p, consul::PoolId pool, const consul::JoinReport& report) {
  const NameId node = agent_name(p.id());
  Instant& since = not_joined_since_[p.id().index()];
  if (report.contacted > 0) {
    if (since != Instant::never() && report.why != consul::JoinReport::Why::kFlood) {
      if (metrics_.wanted(Series::kJoinTime)) {
        metrics_.observe(now(), Series::kJoinTime, labels(Series::kJoinTime, p, pool), (now() - since).seconds());
      }
      since = Instant::never();
    }
    return {};
  }
  if (metrics_.wanted(Series::kJoinFailed)) {
    auto l = labels(Series::kJoinFailed, p, pool);
    slot(Series::kJoinFailed, l, "error", name(report.error));
    metrics_.count(now(), Series::kJoinFailed, l);
  }
  static_cast<void>(node);
  return {};
}

// --- Convergence ---------------------------------------------------------------------------------------------------

Recorder::PoolState& Recorder::pool_state(const Process& p, const View& v) {
  PoolState& pool = pools_[{world_.spec(p.id()).dc, v.segment}];
  pool.segment = v.segment;
  pool.pool = v.segment_pool.valid() ? v.segment_pool : name("lan");
  return pool;
}

void Recorder::recount(PoolState& pool) {
  pool.changed = now();
  pool.converged = false;
  pool.agreeing = static_cast<std::size_t>(
      std::count_if(pool.views.begin(), pool.views.end(), [&](const View* v) { return v->alive == pool.views.size(); }));
}

void Recorder::pool_joined(const Process& p, consul::PoolId pool) {
  PoolState& state = pool_state(p, view(p, pool));
  state.views.push_back(&view(p, pool));
  recount(state);
}

void Recorder::pool_left(const Process& p, consul::PoolId pool) {
  PoolState& state = pool_state(p, view(p, pool));
  std::erase(state.views, &view(p, pool));
  recount(state);
}

void Recorder::update_alive(const Process& p, consul::PoolId pool) {
  View& v = view(p, pool);
  const std::size_t alive = p.agent().serf(pool).member_count(gossip::MemberStatus::kAlive);
  const auto set = [&](Series s, double value) {
    if (!metrics_.wanted(s)) return;
    auto l = labels(s, p, pool);
    metrics_.set(now(), s, l, value);
    if (v.segment_pool.valid() && v.segment_pool != v.pool) {
      slot(s, l, "pool", v.segment_pool);
      metrics_.set(now(), s, l, value);
    }
  };
  set(Series::kMembersAlive, static_cast<double>(alive));
  set(Series::kMembersFailed, static_cast<double>(p.agent().serf(pool).member_count(gossip::MemberStatus::kFailed)));
  PoolState& state = pool_state(p, v);
  const std::size_t wanted = state.views.size();
  state.agreeing = state.agreeing - (v.alive == wanted ? 1 : 0) + (alive == wanted ? 1 : 0);
  v.alive = alive;
  if (state.converged || state.agreeing != wanted || wanted < 2) return;
  state.converged = true;
  if (metrics_.wanted(Series::kConvergeTime)) {
    trace::LabelValues l;
    slot(Series::kConvergeTime, l, "pool", state.pool);
    slot(Series::kConvergeTime, l, "segment", state.segment);
    metrics_.observe(now(), Series::kConvergeTime, l, (now() - state.changed).seconds());
  }
}

}  // namespace dcsim::host
