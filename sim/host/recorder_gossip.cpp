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
  const Cause record = memberlist_notice(p, pool, n);
  // An agent logs from the level INFO on, unless it is told otherwise.
  if (gossip::log_severity(n) >= gossip::LogSeverity::kInfo) [[unlikely]] {
    library_log(p, pool, "memberlist", log_text(n, p.agent().serf(pool).directory()), record);
  }
  return record;
}

Cause Recorder::library_log(const Process& p, consul::PoolId pool, std::string_view library, std::string_view line, Cause cause) {
  const auto space = line.find(' ');
  const std::string_view level = line.substr(0, space);
  std::string text(line.substr(space + 1));
  const consul::AgentConfig& config = p.agent().config();
  if (config.kind == consul::AgentKind::kConsul) {
    text = fmt::format("agent.{}.{}.lan: {}", config.server ? "server" : "client", library, text);
  }
  return tracer_.append(now(), Ev::kLog, agent_name(p.id()),
                 fields::log(level == "[ERR]" ? trace::LogLevel::kError : level == "[WARN]" ? trace::LogLevel::kWarn : trace::LogLevel::kInfo,
                             name(text), view(p, pool).pool),
                 cause.record != 0 ? cause : world_.engine().cause());
}

Cause Recorder::memberlist_notice(const Process& p, consul::PoolId pool, const gossip::Notice& n) {
  const NameId node = agent_name(p.id());
  const NameId member = member_name(p, pool, n.member);
  const NameId pool_id = view(p, pool).pool;
  const Cause parent = world_.engine().cause();
  View& v = view(p, pool);
  const auto probe = [&](Ev ev, Duration d = {}, NameId relay = {}, std::uint16_t missing = 0) {
    return tracer_.append(now(), ev, node, fields::probe(member, pool_id, v.probe_seq, d, relay, 0, missing), parent);
  };
  const auto waited = [&] { return now() - v.probe_since; };
  switch (n.kind) {
    case NoticeKind::kProbeSent:
      v.probe_seq = static_cast<std::uint32_t>(n.value);
      v.probe_since = now();
      return probe(Ev::kProbeSent, p.agent().serf(pool).memberlist().config().probe_timeout);
    case NoticeKind::kProbeAcked:
      if (metrics_.wanted(Series::kMemberlistProbeNode)) {
        metrics_.observe(now(), Series::kMemberlistProbeNode, labels(Series::kMemberlistProbeNode, p, pool, member), static_cast<double>(n.value) / 1e6);
      }
      return probe(Ev::kProbeAcked, Duration{n.value});
    case NoticeKind::kProbeAckedLate:
      observe(Series::kMemberlistProbeNode, p, pool, static_cast<double>(n.value) / 1e6, member);
      return probe(Ev::kProbeAcked, Duration{n.value});
    case NoticeKind::kProbeTimeout:
      count(Series::kProbeTimeout, p, pool, member);
      return probe(Ev::kProbeTimeout, waited());
    case NoticeKind::kIndirectSent:
      return probe(Ev::kProbeIndirect, {}, member_name(p, pool, n.other));
    case NoticeKind::kFallbackAcked:
      count(Series::kProbeTcpOnly, p, pool, member);
      observe(Series::kMemberlistProbeNode, p, pool, waited().seconds() * 1e3, member);
      return probe(Ev::kProbeTcpOnly, waited());
    case NoticeKind::kProbeFailed:
      count(Series::kProbeFailed, p, pool, member);
      observe(Series::kMemberlistProbeNode, p, pool, waited().seconds() * 1e3, member);
      return probe(Ev::kProbeFailed, waited(), {}, static_cast<std::uint16_t>(std::max<std::int64_t>(0, n.value - n.aux)));
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
    case NoticeKind::kGossipSent: observe(Series::kMemberlistGossip, p, pool, 0); return {};
    case NoticeKind::kAliveIgnored: {
      const NameId gate = name(n.text);
      const NameId who = member.valid() ? member : name(n.name);
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
  if (n.kind == NoticeKind::kRefutedAlive) count(Series::kMemberlistMsgAlive, p, pool, self);  // state.go aliveNode counts it
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
  const auto join_ended = [&](Cause record) {
    view(p, pool).join_result = record;
    view(p, pool).join_result_at = now();
    return record;
  };
  switch (n.kind) {
    case NoticeKind::kStateSent: state_sent(p, pool, n.value); return {};
    case NoticeKind::kStateReceived: observe(Series::kMemberlistSizeRemote, p, pool, static_cast<double>(n.value)); return {};
    case NoticeKind::kPushPullStarted: count(Series::kMemberlistTcpConnect, p, pool); return {};
    case NoticeKind::kPushPullFinished:
      if (metrics_.wanted(Series::kPushPull)) {
        auto l = labels(Series::kPushPull, p, pool, peer);
        slot(Series::kPushPull, l, "kind", name(join ? "join" : "periodic"));
        metrics_.count(now(), Series::kPushPull, l);
      }
      if (!join) observe(Series::kMemberlistPushPullNode, p, pool, n.elapsed.seconds() * 1e3, peer);
      return append(Ev::kPushPull, fields::push_pull(peer, pool_id, join, n.sent, static_cast<std::uint32_t>(n.value), n.elapsed));
    case NoticeKind::kPushPullFailed:
      observe(Series::kMemberlistPushPullNode, p, pool, n.elapsed.seconds() * 1e3, peer);
      return append(Ev::kPushPullFailed, fields::push_pull(peer, pool_id, join, n.sent, 0, n.elapsed, name(n.text)));
    case NoticeKind::kMergeRefused: return join_rejected(p, pool, peer, peer, n.text);
    case NoticeKind::kJoinAddress: {
      observe(Series::kMemberlistPushPullNode, p, pool, n.elapsed.seconds() * 1e3, peer);
      if (!join && !gate_reason(n.text).empty()) return join_ended(join_rejected(p, pool, node, peer, n.text));
      return join_ended(append(join ? Ev::kJoinOk : Ev::kJoinFailed,
                               fields::join(peer, pool_id, trace::pack_endpoint(peer, n.peer.port), n.elapsed, name(n.text), join)));
    }
    case NoticeKind::kJoinResolveFailed:
      return join_ended(append(Ev::kJoinFailed, fields::join(name(""), pool_id, 0, {}, name(n.text))));
    case NoticeKind::kLeaveStarted: {
      // memberlist leaves when Serf's intent is out, by a timer: what asked for it is remembered here.
      const gossip::Serf& serf = p.agent().serf(pool);
      Leave& leave = leaves_[p.id().index()];
      const Cause cause = leave.intent.record != 0 ? leave.intent : leave.asked.record != 0 ? leave.asked : world_.engine().cause();
      leave.intent = tracer_.append(now(), Ev::kLeaveIntent, node, fields::intent(node, pool_id, serf.table().status_ltime(serf.self())), cause);
      return leave.intent;
    }
    default: return {};
  }
}

// --- Serf ----------------------------------------------------------------------------------------------------------

Cause Recorder::serf_notice(const Process& p, consul::PoolId pool, const gossip::SerfNotice& n, Cause cause) {
  if (n.kind == gossip::SerfNoticeKind::kCoordinateRejected) count(Series::kSerfCoordinateRejected, p, pool);
  if (gossip::log_severity(n.kind) < gossip::LogSeverity::kInfo) return {};
  return library_log(p, pool, "serf", log_text(n, p.agent().serf(pool).directory()), cause);
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
  if (const auto m = p.agent().serf(pool).find(e.member)) {
    address = name(m->endpoint.address.text());
    count_roles(p, pool, e, *m);
  }
  const Cause c = tracer_.append(now(), row.ev, node, fields::member(member, v.pool, address), parent);
  count(row.series, p, pool, member);
  // Serf counts who left by itself; a force-leave gives an event, but is not counted (serf.go handleNodeLeave).
  if (e.kind == Kind::kLeave && !e.forced) count(Series::kSerfMemberLeft, p, pool, member);
  if (e.flap) {
    tracer_.append(now(), Ev::kMemberFlap, node, fields::member(member, v.pool, address), c);
    count(Series::kSerfMemberFlap, p, pool, member);
  }
  if (e.kind == Kind::kFailed && metrics_.wanted(Series::kDetectTime)) {
    const AgentId agent = member.index() < agents_by_name_.size() ? agents_by_name_[member.index()] : AgentId::none();
    if (agent.valid()) {
      const Instant since = down_since_[agent.index()];
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
  const View& v = view(p, pool);
  const Cause result = v.join_result_at == now() ? v.join_result : Cause{};
  Instant& since = not_joined_since_[p.id().index()];
  if (report.contacted > 0) {
    if (since != Instant::never() && report.why != consul::JoinReport::Why::kFlood) {
      if (metrics_.wanted(Series::kJoinTime)) {
        metrics_.observe(now(), Series::kJoinTime, labels(Series::kJoinTime, p, pool), (now() - since).seconds());
      }
      since = Instant::never();
    }
    return result;
  }
  if (metrics_.wanted(Series::kJoinFailed)) {
    auto l = labels(Series::kJoinFailed, p, pool);
    slot(Series::kJoinFailed, l, "error", name(report.error));
    metrics_.count(now(), Series::kJoinFailed, l);
  }
  return result;
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
  pool_gauges(p, pool);
}

void Recorder::pool_left(const Process& p, consul::PoolId pool) {
  PoolState& state = pool_state(p, view(p, pool));
  std::erase(state.views, &view(p, pool));
  recount(state);
  end_pool_gauges(p, pool);
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
