#include <algorithm>

#include "state_fixture.h"

using namespace dcsim;
using namespace dcsim::test::state;

// Consul API docs "Blocking Queries"; go-memdb WatchSet; agent/blockingquery.

namespace {

/// What a blocking query waits for, and whether a change woke it.
struct Waiting {
  Machine* m;
  WaiterId id;
  bool woken() {
    std::vector<WaiterId> ids;
    m->store().watchers().take_woken(ids);
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  }
};
template <class Query>
Waiting wait(Machine& m, Query&& query) {
  WatchSet watch;
  query(watch);
  return {&m, m.store().watchers().wait(watch)};
}

}  // namespace

TEST_CASE("watch: a key wakes who reads it, and who lists above it, and nobody else") {
  Machine m;
  m.kv("set", "app/a", "1");
  const auto key = [&](WatchSet& w) { get(m, "app/a", &w); };
  const auto prefix = [&](WatchSet& w) { list(m, "app/", &w); };
  const auto all = [&](WatchSet& w) { list(m, "", &w); };

  Waiting waiting = wait(m, key);
  m.kv("set", "app/b", "1");
  m.kv("set", "app/a/below", "1");
  m.kv("set", "app/", "1");
  CHECK_FALSE(waiting.woken());
  m.kv("set", "app/a", "1");  // the same value
  CHECK_FALSE(waiting.woken());
  m.kv("set", "app/a", "2");
  CHECK(waiting.woken());
  m.kv("set", "app/a", "3");
  CHECK_FALSE(waiting.woken());  // once; it would ask anew

  waiting = wait(m, prefix);
  m.kv("set", "application", "1");
  CHECK_FALSE(waiting.woken());
  m.kv("delete", "app/b");
  CHECK(waiting.woken());
  waiting = wait(m, prefix);
  m.kv("delete-tree", "a");
  CHECK(waiting.woken());
  waiting = wait(m, all);
  m.kv("set", "x", "1");
  CHECK(waiting.woken());
  CHECK(m.store().watchers().waiting() == 0);
}

TEST_CASE("watch: a key that does not exist yet wakes its reader when it comes, with a higher index") {
  Machine m;
  m.kv("set", "other", "1");
  WatchSet watch;
  const std::uint64_t before = get(m, "missing", &watch).meta.index;
  m.store().watchers().wait(watch);
  m.kv("set", "missing", "1");
  CHECK(m.store().watchers().any_woken());
  CHECK(get(m, "missing").meta.index > before);
}

TEST_CASE("watch: of a service's health, not of other services") {
  Machine m;
  m(with(node("n1"), service("web1", "web")));
  m(with(node("n1"), service("db1", "db")));
  const auto web = [&](WatchSet& w) { healthy(m, "web", false, &w); };
  const auto catalog = [&](WatchSet& w) { instances(m, "web", {}, &w); };

  Waiting waiting = wait(m, web);
  m(with(node("n1"), check("n1", "db-up", "passing", "db1")));
  m(with(node("n2"), service("db2", "db")));
  CHECK_FALSE(waiting.woken());
  m(with(node("n1"), check("n1", "web-up", "passing", "web1")));
  CHECK(waiting.woken());

  waiting = wait(m, web);
  m(with(node("n1"), check("n1", "serfHealth", "critical")));  // the node's checks count too
  CHECK(waiting.woken());
  waiting = wait(m, web);
  m(with(node("n2"), service("web2", "web")));
  CHECK(waiting.woken());

  waiting = wait(m, catalog);  // its answer holds no checks
  m(with(node("n1"), check("n1", "serfHealth", "passing")));
  CHECK_FALSE(waiting.woken());
  m(node("n1", "10.0.0.99"));  // but the node's address
  CHECK(waiting.woken());
  waiting = wait(m, web);
  m(gone("n1", "web1"));
  CHECK(waiting.woken());
}

TEST_CASE("watch: a service without instances wakes when the first comes") {
  Machine m;
  Waiting waiting = wait(m, [&](WatchSet& w) { healthy(m, "web", false, &w); });
  m(with(node("n1"), service("db1", "db")));
  CHECK_FALSE(waiting.woken());
  m(with(node("n1"), service("web1", "web")));
  CHECK(waiting.woken());
}

TEST_CASE("watch: tags that no instance has wake for instances, not for checks") {
  Machine m;
  m(with(node("n1"), service("web1", "web", {"v1"})));
  Waiting waiting = wait(m, [&](WatchSet& w) { healthy(m, "web", false, &w, {"v2"}); });
  m(with(node("n1"), check("n1", "web-up", "passing", "web1")));
  CHECK_FALSE(waiting.woken());
  m(with(node("n1"), service("web1", "web", {"v2"})));
  CHECK(waiting.woken());
}

TEST_CASE("watch: nodes, checks in a state, sessions") {
  Machine m;
  m(with(node("n1"), check("n1", "serfHealth", "passing")));
  Waiting waiting = wait(m, [&](WatchSet& w) { nodes(m, {}, &w); });
  m(with(node("n1"), service("web1", "web")));
  CHECK_FALSE(waiting.woken());  // the list of nodes does not show services
  m(node("n2"));
  CHECK(waiting.woken());

  waiting = wait(m, [&](WatchSet& w) { in_state(m, "critical", &w); });
  HealthCheck noisy = check("n1", "serfHealth", "passing");
  noisy.output = "still fine";
  m(with(node("n1"), noisy));
  CHECK_FALSE(waiting.woken());
  m(with(node("n1"), check("n1", "serfHealth", "critical")));
  CHECK(waiting.woken());
  waiting = wait(m, [&](WatchSet& w) { in_state(m, "critical", &w); });
  m(with(node("n1"), check("n1", "serfHealth", "passing")));  // it leaves the answer
  CHECK(waiting.woken());

  waiting = wait(m, [&](WatchSet& w) {
    SessionSpecificRequest q;
    q.session_id = "s1";
    IndexedSessions r;
    session_get(m.store(), q, r, &w);
  });
  m.session("create", held_by("s2", "n1"));
  CHECK_FALSE(waiting.woken());
  m.session("create", held_by("s1", "n1"));
  CHECK(waiting.woken());
}

TEST_CASE("watch: a refused write wakes nobody") {
  Machine m;
  m(node("n1"));
  Waiting waiting = wait(m, [&](WatchSet& w) {
    nodes(m, {}, &w);
    in_state(m, "any", &w);
  });
  RegisterRequest r = with(node("n2"), service("web1", "web"));
  r.check = check("n2", "x", "passing", "nope");
  m(r);
  CHECK_FALSE(waiting.woken());
}

TEST_CASE("watch: waiters wake in the order in which they began; one that gave up does not") {
  Machine m;
  WatchSet a;
  get(m, "a", &a);
  WatchSet ab = a;
  get(m, "b", &ab);
  Watchers& watchers = m.store().watchers();
  const WaiterId first = watchers.wait(ab);
  const WaiterId second = watchers.wait(a);
  const WaiterId third = watchers.wait(a);
  watchers.cancel(second);
  m.kv("set", "b", "1");
  m.kv("set", "a", "1");
  std::vector<WaiterId> woken;
  watchers.take_woken(woken);
  CHECK(woken == std::vector<WaiterId>{first, third});
  CHECK(watchers.waiting() == 0);

  const WaiterId late = watchers.wait(a);
  m.kv("set", "a", "2");
  watchers.cancel(late);  // timed out between the change and the look
  woken.clear();
  watchers.take_woken(woken);
  CHECK(woken.empty());
}

TEST_CASE("watch: the same prefix waited for twice, and given up once") {
  Machine m;
  WatchSet w;
  list(m, "p/", &w);
  Watchers& watchers = m.store().watchers();
  const WaiterId one = watchers.wait(w);
  const WaiterId two = watchers.wait(w);
  watchers.cancel(one);
  m.kv("set", "p/x", "1");
  std::vector<WaiterId> woken;
  watchers.take_woken(woken);
  CHECK(woken == std::vector<WaiterId>{two});
}
