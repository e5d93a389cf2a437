#include "gossip/serf_harness.h"
#include "gossip/serf_regex.h"

namespace {

using namespace dcsim;
using namespace dcsim::test;

bool matches(std::string_view expression, std::string_view text) {
  const auto regex = Regex::compile(expression);
  REQUIRE_MESSAGE(regex, expression);
  return regex->matches(text);
}

TEST_CASE("query filter: Go's expressions, unanchored") {
  CHECK(matches("web", "my-web-1"));
  CHECK_FALSE(matches("^web", "my-web-1"));
  CHECK(matches("^web-[0-9]+$", "web-42"));
  CHECK_FALSE(matches("^web-[0-9]+$", "web-42b"));
  CHECK(matches("", ""));
  CHECK(matches("^$", ""));
  CHECK_FALSE(matches("^$", "x"));
  CHECK(matches("(db|cache)-\\d{2}", "eu-cache-07"));
  CHECK_FALSE(matches("(db|cache)-\\d{2}", "eu-cache-7"));
  CHECK(matches("a{2,3}$", "caaa"));
  CHECK_FALSE(matches("^a{2,3}$", "aaaa"));
  CHECK(matches("^(?:ab)*c?$", "abab"));
  CHECK(matches("(?i)WEB", "web"));
  CHECK(matches("^(?i:w)eb", "Web"));
  CHECK_FALSE(matches("^(?i:w)eb", "WEB"));
  CHECK(matches("^[^a-c]+$", "xyz"));
  CHECK_FALSE(matches("^[^a-c]+$", "xaz"));
  CHECK(matches("^[[:alpha:]_-]+$", "a_B-c"));
  CHECK(matches("\\bdb\\b", "a db b"));
  CHECK_FALSE(matches("\\bdb\\b", "adb"));
  CHECK(matches("^caf\xc3\xa9+$", "caf\xc3\xa9\xc3\xa9"));
  CHECK(matches("^.{2}$", "\xc3\xa9z"));
  CHECK_FALSE(matches("^.{2}$", "\xc3\xa9zz"));
  CHECK_FALSE(matches("a.b", "a\nb"));
  CHECK(matches("(?s)a.b", "a\nb"));
  CHECK(matches("x{,2}", "x{,2}"));  // not a repetition in Go
  CHECK(matches("\\x41\\.", "A."));
}

TEST_CASE("query filter: malformed, unsupported and outsized expressions match nothing and harm nobody") {
  for (const std::string_view bad : {"(", ")", "a)", "[", "[]", "[b-a]", "*", "a**", "a{3,2}", "a{1001}", "\\", "\\q",
                                     "(?x)", "(?", "(?P<n", "\\p{L}", "[[:nope:]]", "\\x4"}) {
    CAPTURE(bad);
    CHECK_FALSE(Regex::compile(bad));
  }
  CHECK_FALSE(Regex::compile(std::string(100'000, '(')));
  CHECK_FALSE(Regex::compile("((((a{100}){100}){100}){100})"));
  CHECK_FALSE(Regex::compile(std::string(100'000, 'a')));
  // Exponential for a backtracking matcher.
  CHECK_FALSE(matches("^(a*)*b$", std::string(500, 'a')));
  CHECK_FALSE(matches("^(a|a|aa)+$", std::string(500, 'a') + "b"));
}

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
