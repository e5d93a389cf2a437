#include "state_fixture.h"

using namespace dcsim;
using namespace dcsim::test::state;

// Consul docs "Sessions and Distributed Locks Overview"; agent/consul/state/session.go.

namespace {

Applied named(std::string id) { return {Applied::Kind::kText, false, std::move(id)}; }

Machine with_node() {
  Machine m;
  m(with(node("n1"), check("n1", "serfHealth", "passing")));
  return m;
}
Session checked(const std::string& id, const std::string& check_id = "serfHealth") {
  Session s = held_by(id, "n1");
  s.node_checks = {check_id};
  return s;
}
DirEntry entry(Machine& m, const std::string& key) {
  IndexedDirEntries r = get(m, key);
  REQUIRE(r.entries.size() == 1);
  return r.entries[0];
}

}  // namespace

TEST_CASE("session: created on a node with checks that exist and are not critical") {
  Machine m = with_node();
  CHECK(m.session("create", checked("s1")) == named("s1"));
  CHECK(m.store().session("S1")->behavior == "release");  // the default
  CHECK(m.store().session("s1")->index == RaftIndex{2, 2});
  CHECK(sessions(m) == Names{2, {"s1"}});

  CHECK(m.session("create", checked("")) == refused("Missing session ID"));
  CHECK(m.session("create", held_by("s2", "n9")) == refused("Missing node registration"));
  CHECK(m.session("create", checked("s2", "nope")) == refused("Missing check 'nope' registration"));
  Session odd = checked("s2");
  odd.behavior = "explode";
  CHECK(m.session("create", odd) == refused("Invalid session behavior: explode"));
  m(with(node("n1"), check("n1", "disk", "critical")));
  CHECK(m.session("create", checked("s2", "disk")) == refused("Check 'disk' is in critical state"));
  CHECK(m.session("renew", checked("s1")) == refused("Invalid Session operation 'renew'"));
  CHECK(sessions(m) == Names{2, {"s1"}});
}

TEST_CASE("session: one holder of a lock; LockIndex counts the times it was taken") {
  Machine m = with_node();
  m.session("create", checked("s1"));
  m.session("create", checked("s2"));
  CHECK(m.kv("lock", "leader", "one", 0, "s1") == kTrue);
  CHECK(entry(m, "leader").session == "s1");
  CHECK(entry(m, "leader").lock_index == 1);
  CHECK(m.kv("lock", "leader", "two", 0, "s2") == kFalse);
  CHECK(m.kv("lock", "leader", "again", 0, "s1") == kTrue);
  CHECK(entry(m, "leader").lock_index == 1);
  CHECK(text_of(entry(m, "leader").value) == "again");

  CHECK(m.kv("unlock", "leader", "x", 0, "s2") == kFalse);
  CHECK(m.kv("unlock", "nokey", "x", 0, "s1") == kFalse);
  CHECK(m.kv("unlock", "leader", "free", 0, "s1") == kTrue);
  CHECK(entry(m, "leader").session.empty());
  CHECK(m.kv("lock", "leader", "two", 0, "s2") == kTrue);
  CHECK(entry(m, "leader").lock_index == 2);

  // Locks are advisory: anybody may write, and the lock stays.
  CHECK(m.kv("set", "leader", "intruder") == kDone);
  CHECK(entry(m, "leader").session == "s2");
}

TEST_CASE("session: its end releases or deletes its keys") {
  Machine m = with_node();
  m.session("create", checked("keeps"));
  Session deletes = checked("deletes");
  deletes.behavior = "delete";
  m.session("create", deletes);
  m.kv("lock", "k", "v", 0, "keeps");
  m.kv("lock", "d/1", "v", 0, "deletes");
  m.kv("lock", "d/2", "v", 0, "deletes");

  CHECK(m.session("destroy", held_by("keeps", "")) == kDone);
  CHECK(entry(m, "k").session.empty());
  CHECK(entry(m, "k").lock_index == 1);
  CHECK(entry(m, "k").index.modify_index == m.index);

  CHECK(m.session("destroy", held_by("deletes", "")) == kDone);
  CHECK(list(m, "").names == Texts{"k"});
  CHECK(list(m, "d/").index == m.index);  // tombstones
  CHECK(sessions(m) == Names{m.index, {}});

  const std::uint64_t before = m.index;
  CHECK(m.session("destroy", held_by("deletes", "")) == kDone);
  CHECK(sessions(m).index == before);
}

TEST_CASE("session: ends when a check turns critical, is deregistered, or the node goes") {
  const auto lost = [](auto&& cause) {
    Machine m = with_node();
    m(with(node("n1"), service("web1", "web")));
    m(with(node("n1"), check("n1", "web-up", "passing", "web1")));
    Session s = checked("s1");
    s.service_checks = {{"web-up", ""}};
    m.session("create", s);
    m.kv("lock", "k", "v", 0, "s1");
    cause(m);
    return sessions(m).names.empty() && entry(m, "k").session.empty();
  };
  CHECK(lost([](Machine& m) { m(with(node("n1"), check("n1", "serfHealth", "critical"))); }));
  CHECK(lost([](Machine& m) { m(with(node("n1"), check("n1", "web-up", "critical", "web1"))); }));
  CHECK(lost([](Machine& m) { m(gone("n1", "", "serfHealth")); }));
  CHECK(lost([](Machine& m) { m(gone("n1", "web1")); }));
  CHECK(lost([](Machine& m) { m(gone("n1")); }));
  CHECK_FALSE(lost([](Machine& m) { m(with(node("n1"), check("n1", "web-up", "warning", "web1"))); }));
  CHECK_FALSE(lost([](Machine& m) { m(with(node("n1"), check("n1", "other", "critical"))); }));
}

TEST_CASE("session: a session without checks lives until it is destroyed or its node goes") {
  Machine m = with_node();
  m.session("create", held_by("s1", "n1"));
  m(with(node("n1"), check("n1", "serfHealth", "critical")));
  CHECK(sessions(m).names == Texts{"s1"});
  m(gone("n1"));
  CHECK(sessions(m).names.empty());
}

TEST_CASE("session: lock-delay holds a key for a while after its session was lost, at most 60 s") {
  Machine m = with_node();
  Session s = checked("s1");
  s.lock_delay = 15_s;
  m.session("create", s);
  m.kv("lock", "k", "v", 0, "s1");
  s.id = "s2";
  s.lock_delay = 600_s;
  s.behavior = "delete";
  m.session("create", s);
  m.kv("lock", "long", "v", 0, "s2");
  CHECK(m.store().kv().lock_delay("k") == Instant{});

  m.now = Instant{} + 100_s;
  m(with(node("n1"), check("n1", "serfHealth", "critical")));
  CHECK(m.store().kv().lock_delay("k") == Instant{} + 115_s);
  CHECK(m.store().kv().lock_delay("long") == Instant{} + 160_s);
  CHECK(m.store().kv().lock_delay("other") == Instant{});
}

TEST_CASE("session: listed by node; TTL and name are kept as given") {
  Machine m = with_node();
  m(node("n2"));
  Session s = held_by("s2", "n2");
  s.ttl = "15s";
  s.name = "job";
  m.session("create", s);
  m.session("create", held_by("s1", "n1"));
  IndexedSessions r;
  node_sessions(m.store(), "N2", r);
  REQUIRE(r.sessions.size() == 1);
  CHECK(r.sessions[0].ttl == "15s");
  CHECK(r.sessions[0].name == "job");
  CHECK(sessions(m).names == Texts{"s1", "s2"});
  SessionSpecificRequest q;
  q.session_id = "s2";
  CHECK(session_get(m.store(), q, r));
  CHECK(r.sessions[0].node == "n2");
  q.session_id = "s3";
  CHECK_FALSE(session_get(m.store(), q, r));
  CHECK(r.sessions.empty());
}
