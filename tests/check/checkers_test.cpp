#include "check/checkers.h"

#include "base/check.h"
#include "host/host_fixture.h"

using namespace dcsim;
using namespace dcsim::host;
using check::Checkers;

namespace {

constexpr consul::PoolId kLan{0};

/// A pool that has formed, watched.
struct Watched {
  Watched() : checkers(pool.world, pool.metrics) {
    pool.world.set_watch(&checkers);
    trace::AggregateSpec spec;
    spec.fn = trace::AggregateFn::kCount;
    spec.series = trace::Series::kCheckViolation;
    violations = *pool.metrics.subscribe(spec);
    pool.metrics.open(violations, Instant{});
    pool.start_all();
    pool.run_for(10_s);
  }
  gossip::MemberId member(const std::string& name) { return pool.process(1).agent().serf(kLan).find(name)->id; }
  double counted() { return pool.metrics.read(violations, pool.world.engine().now()).number; }

  Pool pool{3};
  Checkers checkers;
  trace::AggregateId violations;
};

/// What the broken invariant says; empty if none broke.
template <typename Do>
std::string broken(Do&& act) {
  try {
    act();
  } catch (const InvariantBroken& e) {
    return e.what();
  }
  return "";
}

gossip::Notice alive(gossip::MemberId member, std::int64_t incarnation) {
  gossip::Notice n;
  n.kind = gossip::NoticeKind::kAliveAccepted;
  n.member = member;
  n.value = incarnation;
  n.aux = static_cast<std::uint32_t>(gossip::MemberState::kAlive);
  return n;
}

gossip::MemberEvent join(gossip::MemberId member, gossip::MemberStatus before) {
  gossip::MemberEvent e;
  e.kind = gossip::MemberEventKind::kJoin;
  e.member = member;
  e.before = before;
  e.after = gossip::MemberStatus::kAlive;
  return e;
}

}  // namespace

TEST_CASE("checkers: a sound pool through crash, pause and return breaks nothing") {
  Watched w;
  w.pool.world.crash(w.pool.id(2));
  w.pool.run_for(60_s);
  w.pool.world.start(w.pool.id(2));
  w.pool.world.pause(w.pool.id(3));
  w.pool.run_for(60_s);
  w.pool.world.resume(w.pool.id(3));
  w.pool.run_for(60_s);
  w.checkers.at_end();
  w.pool.world.network().check_balance();
  CHECK(w.counted() == 0);
  CHECK(w.pool.records(trace::Ev::kCheckViolation).empty());
}

TEST_CASE("checkers: clocks: an incarnation in a view that goes back") {
  Watched w;
  const auto n2 = w.member("n2");
  CHECK(broken([&] { w.checkers.on_notice(w.pool.process(1), kLan, alive(n2, 7)); }).empty());
  CHECK(broken([&] { w.checkers.on_notice(w.pool.process(1), kLan, alive(n2, 7)); }).empty());
  const std::string what = broken([&] { w.checkers.on_notice(w.pool.process(1), kLan, alive(n2, 6)); });
  CHECK(what.find("clocks") != std::string::npos);
  CHECK(what.find("n1.dc1") != std::string::npos);
  CHECK(what.find("n2") != std::string::npos);
  CHECK(what.find("7 -> 6") != std::string::npos);
  CHECK(w.counted() == 1);
  CHECK(w.pool.records(trace::Ev::kCheckViolation, 1).size() == 1);
  // Another observer's view is another matter.
  CHECK(broken([&] { w.checkers.on_notice(w.pool.process(3), kLan, alive(n2, 6)); }).empty());
}

TEST_CASE("checkers: clocks: a process that starts again starts again from nothing") {
  Watched w;
  const auto n2 = w.member("n2");
  w.checkers.on_notice(w.pool.process(1), kLan, alive(n2, 7));
  w.pool.world.crash(w.pool.id(1));
  w.pool.world.start(w.pool.id(1));
  CHECK(broken([&] { w.checkers.on_notice(w.pool.process(1), kLan, alive(n2, 1)); }).empty());
}

TEST_CASE("checkers: resurrection: back from failed without an alive message of that very input") {
  Watched w;
  const auto n2 = w.member("n2");
  for (const auto before : {gossip::MemberStatus::kFailed, gossip::MemberStatus::kLeft}) {
    CHECK(broken([&] { w.checkers.on_member_event(w.pool.process(1), kLan, join(n2, before)); }).find("resurrection") != std::string::npos);
  }
  CHECK(broken([&] { w.checkers.on_member_event(w.pool.process(1), kLan, join(n2, gossip::MemberStatus::kNone)); }).empty());
  w.checkers.on_notice(w.pool.process(1), kLan, alive(n2, 9));
  CHECK(broken([&] { w.checkers.on_member_event(w.pool.process(1), kLan, join(n2, gossip::MemberStatus::kFailed)); }).empty());
  // An alive message about somebody else is none.
  w.checkers.on_notice(w.pool.process(1), kLan, alive(w.member("n3"), 9));
  CHECK(!broken([&] { w.checkers.on_member_event(w.pool.process(1), kLan, join(n2, gossip::MemberStatus::kFailed)); }).empty());
}

TEST_CASE("checkers: segments: a member of another segment in the list") {
  Watched w;
  w.checkers.at_end();
  // Forged from outside: the process claims to be in another segment than the members of its list.
  const_cast<std::string&>(w.pool.process(2).agent().segment(kLan)) = "alpha";
  const std::string event = broken([&] { w.checkers.on_member_event(w.pool.process(2), kLan, join(w.member("n3"), gossip::MemberStatus::kNone)); });
  CHECK(event.find("segments") != std::string::npos);
  CHECK(event.find("list of segment 'alpha'") != std::string::npos);
  CHECK(broken([&] { w.checkers.at_end(); }).find("n2.dc1") != std::string::npos);
}

TEST_CASE("checkers: what they remember of a pair of observer and member is a few bytes") {
  constexpr std::uint32_t kMembers = 10'000;
  check::Incarnations all, few;
  CHECK(all.heap_bytes() == 0);
  for (std::uint32_t i = 0; i < kMembers; ++i) all.set(gossip::MemberId{i}, i + 1);
  for (std::uint32_t i = 0; i < kMembers; ++i) REQUIRE(all.of(gossip::MemberId{i}) == i + 1);
  CHECK(all.heap_bytes() < 5 * kMembers);
  // One who has heard of two members does not pay for the rest of the directory.
  few.set(gossip::MemberId{3}, 7);
  few.set(gossip::MemberId{kMembers}, 8);
  CHECK(few.of(gossip::MemberId{3}) == 7);
  CHECK(few.of(gossip::MemberId{4}) == 0);
  CHECK(few.of(gossip::MemberId{5000}) == 0);
  CHECK(few.of(gossip::MemberId{kMembers}) == 8);
  CHECK(few.of(gossip::MemberId{kMembers * 100}) == 0);
  CHECK(few.heap_bytes() < 4096);
}

TEST_CASE("checkers: a formed pool's views fit the budget, and a process that ends gives its back") {
  Watched w;
  const std::size_t formed = w.checkers.heap_bytes();
  CHECK(formed < 3 * 2048);
  w.pool.world.crash(w.pool.id(2));
  CHECK(w.checkers.heap_bytes() < formed);
}
