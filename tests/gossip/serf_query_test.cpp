#include "gossip/serf_harness.h"

namespace {

using namespace dcsim;
using namespace dcsim::test;

Buffer query(std::uint32_t id, std::string_view name, const Endpoint& from, std::uint32_t flags,
             std::uint8_t relays = 0, const wire::RawList& filters = {}) {
  wire::serf::Query q;
  const Address address = from.address;
  q.addr = address.bytes();
  q.port = from.port;
  q.filters = filters;
  q.flags = flags;
  q.id = id;
  q.ltime = 3;
  q.name = name;
  q.relay_factor = relays;
  q.source_node = "asker";
  q.timeout = 5_s;
  Buffer out;
  wire::serf::encode(q, out);
  return out;
}

TEST_CASE("query: heard once, handed to the application and passed on") {
  SerfWorld w;
  const auto pool = w.pool({"a", "b", "c"});
  w.run_for(3_s);
  const Buffer q = query(1, "uptime", pool[0]->endpoint, 0);
  pool[1]->serf->as_delegate().notify_msg(w.now(), q);
  pool[1]->serf->as_delegate().notify_msg(w.now(), q);
  CHECK(pool[1]->queries == std::vector<std::string>{"uptime"});
  CHECK(pool[1]->serf->stats().query_queue == 1);
  pool[1]->serf->memberlist().wake_gossip(w.now());
  w.run_for(2_s);
  CHECK(pool[0]->queries.size() == 1);
  CHECK(pool[2]->queries.size() == 1);
  CHECK(pool[2]->serf->stats().query_time == 4);
}

TEST_CASE("query: the acknowledgement goes straight to the asker, and by relays as well") {
  SerfWorld w;
  const auto pool = w.pool({"a", "b", "c", "d"});
  w.run_for(3_s);
  pool[1]->serf->as_delegate().notify_msg(w.now(),
                                          query(1, "_serf_ping", pool[0]->endpoint, wire::serf::kQueryFlagAck));
  w.run_for(100_ms);
  CHECK(pool[0]->noticed(SerfNoticeKind::kOrphanResponse));  // a never asked
  CHECK(pool[1]->queries.empty());                           // Serf's own business
  // c cannot reach a itself; two relays can.
  SerfWorld v;
  const auto other = v.pool({"a", "b", "c", "d"});
  v.run_for(3_s);
  v.cut(*other[0], *other[2]);
  other[2]->serf->as_delegate().notify_msg(v.now(), query(1, "x", other[0]->endpoint, 1 | 2, 3));
  v.run_for(10_ms);
  CHECK(other[0]->noticed(SerfNoticeKind::kOrphanResponse));
}

TEST_CASE("query: an unanswerable or nonsensical one does no harm") {
  SerfWorld w;
  SerfNode& a = w.add("a");
  Delegate& delegate = a.serf->as_delegate();
  wire::serf::Items filters;
  filters.add_bytes(Buffer{});  // no type byte
  delegate.notify_msg(w.now(), query(1, "x", {}, 1, 200, filters.list()));
  filters.clear();
  filters.add_bytes(Buffer{9, 0x80});  // unknown type
  delegate.notify_msg(w.now(), query(2, "x", {}, 1, 200, filters.list()));
  delegate.notify_msg(w.now(), query(3, "_serf_install-key", {}, 1, 200));
  CHECK(a.queries.empty());
  CHECK(a.serf->stats().query_queue == 3);  // still passed on
  delegate.notify_msg(w.now(), Buffer{4, 0x81});
  CHECK(a.noticed(SerfNoticeKind::kUndecodable));
  delegate.notify_msg(w.now(), Buffer{0x2a});
  CHECK(a.noticed(SerfNoticeKind::kUnknownMessage));
}

TEST_CASE("serf: log lines are Serf's") {
  SerfWorld w;
  const auto pool = w.pool({"a", "b"});
  const Directory& directory = w.directory();
  const MemberId b = directory.find("b");
  CHECK(log_text({.kind = SerfNoticeKind::kReconnectAttempt, .member = b, .endpoint = pool[1]->endpoint}, directory) ==
        "[INFO] serf: attempting reconnect to b 10.0.0.2:7946");
  CHECK(log_text({.kind = SerfNoticeKind::kQueuePruned, .value = 5000, .limit = 4096, .text = "Intent"}, directory) ==
        "[WARN] serf: Intent queue depth (5000) exceeds limit (4096), dropping messages!");
  const Member member = *pool[0]->serf->find("b");
  CHECK(log_text(MemberEvent{MemberEventKind::kFailed, b}, member) == "[INFO] serf: EventMemberFailed: b 10.0.0.2");
  CHECK(log_text(MemberEvent{MemberEventKind::kUpdate, b}, member) == "[INFO] serf: EventMemberUpdate: b");
}

}  // namespace
