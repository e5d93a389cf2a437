#include "gossip/serf_harness.h"
#include "support/alloc_counter.h"

namespace {

using namespace dcsim;
using namespace dcsim::test;

/// "node-0001": nine letters, as in the table of sizes.
std::string name_of(int i) {
  const std::string digits = std::to_string(i);
  return "node-" + std::string(4 - digits.size(), '0') + digits;
}

/// A converged pool of `count` nodes without tags; the bytes of one direction of one push/pull.
std::size_t exchange_size(int count, bool compress) {
  SerfWorld w;
  std::vector<SerfNode*> nodes;
  for (int i = 0; i < count; ++i) {
    SerfConfig config = w.config(name_of(i));
    config.memberlist.enable_compression = compress;
    nodes.push_back(&w.add(config));
    if (i > 0) nodes.back()->join(*nodes.front());
    w.run_for(20_ms);
  }
  w.run_for(10_s);
  if (count == 1) {  // nobody to exchange with but a newcomer: what it is answered
    SerfConfig config = w.config("newcomer");
    config.memberlist.enable_compression = compress;
    w.add(config).join(*nodes.front());
  } else {
    for (const SerfNode* node : nodes) REQUIRE(node->serf->member_count() == static_cast<std::size_t>(count));
    for (SerfNode* node : nodes) node->written.clear();
    nodes.back()->join(*nodes.front());
  }
  w.run_for(100_ms);
  REQUIRE_FALSE(nodes.front()->written.empty());
  return nodes.front()->written.back().size;
}

TEST_CASE("push/pull: an idle exchange has the computed size") {
  CHECK(exchange_size(1, false) == 697);
  CHECK(exchange_size(10, false) == 1453);
  CHECK(exchange_size(100, false) == 9015);
}

TEST_CASE("push/pull: compressed, it is near the computed size (contents vary a little)") {
  const auto near = [](std::size_t size, std::size_t expected) {
    return size * 20 > expected * 19 && size * 20 < expected * 21;
  };
  CHECK(near(exchange_size(1, true), 224));
  CHECK(near(exchange_size(10, true), 525));
  CHECK(near(exchange_size(100, true), 1712));
}

/// One node that has been told of `count` others, as a converged pool would tell it.
struct Crowd {
  explicit Crowd(std::uint32_t count) {
    SerfConfig config = world.config("observer");
    node = &world.add(config);
    Delegate& delegate = node->serf->as_delegate();
    const Buffer meta{0xff, 0x80};
    for (std::uint32_t i = 0; i < count; ++i) {
      NodeView view;
      const std::string name = "member-" + std::to_string(i);
      view.id = world.directory().intern(name);
      view.name = name;
      view.address = Address::v4(0x0a010000u + i);
      view.port = 7946;
      view.meta = meta;
      view.vsn = {1, 5, 2, 2, 5, 4};
      delegate.notify_join(world.now(), view);
      Buffer intent;
      wire::serf::encode(wire::serf::Join{i + 1, name}, intent);
      delegate.notify_msg(world.now(), intent);
    }
  }
  SerfWorld world;
  SerfNode* node;
};

TEST_CASE("push/pull: merging what is known already changes nothing and allocates nothing") {
  Crowd crowd(1000);
  Delegate& delegate = crowd.node->serf->as_delegate();
  Buffer state;
  delegate.local_state(false, state);
  delegate.merge_remote_state(crowd.world.now(), state, false);
  Buffer again;
  again.reserve(state.size() * 2);
  delegate.local_state(false, again);
  CHECK(again == state);
  const std::size_t events = crowd.node->events.size();
  const auto before = allocations();
  delegate.merge_remote_state(crowd.world.now(), state, false);
  again.clear();
  delegate.local_state(false, again);
  const auto after = allocations();
  CHECK(after == before);
  CHECK(crowd.node->events.size() == events);
  CHECK(crowd.node->serf->member_count() == 1001);
}

TEST_CASE("serf: its own view costs at most 16 bytes a member in the steady state") {
  Crowd crowd(1000);
  CHECK(crowd.node->serf->view_bytes() <= 16 * 1001);
}

TEST_CASE("push/pull: converged nodes write the same bytes") {
  SerfWorld w;
  const auto pool = w.pool({"a", "b", "c", "d", "e"});
  w.run_for(200_s);  // several exchanges
  Buffer first;
  pool[0]->serf->as_delegate().local_state(false, first);
  for (SerfNode* node : pool) {
    Buffer other;
    node->serf->as_delegate().local_state(false, other);
    CHECK(other == first);
  }
}

TEST_CASE("push/pull: hostile state is refused whole or has no effect beyond its entries") {
  Crowd crowd(3);
  Delegate& delegate = crowd.node->serf->as_delegate();
  Buffer state;
  delegate.local_state(false, state);
  for (std::size_t cut = 0; cut < state.size(); ++cut) {
    delegate.merge_remote_state(crowd.world.now(), ByteView(state).first(cut), false);
  }
  CHECK(crowd.node->noticed(SerfNoticeKind::kMergeUnreadable));
  CHECK(crowd.node->serf->member_count() == 4);
  CHECK(crowd.node->serf->intents().empty());
  // The largest stamps there are do not turn the clock round.
  wire::serf::PushPull extreme;
  wire::serf::Items left, times;
  left.add_text("member-1");
  times.add_status("member-1", ~std::uint64_t{0});
  times.add_status("member-2", ~std::uint64_t{0});
  extreme.ltime = extreme.event_ltime = extreme.query_ltime = ~std::uint64_t{0};
  extreme.left_members = left.list();
  extreme.status_ltimes = times.list();
  Buffer bytes;
  wire::serf::encode(extreme, bytes);
  const LamportTime before = crowd.node->serf->stats().member_time;
  delegate.merge_remote_state(crowd.world.now(), bytes, true);
  CHECK(crowd.node->serf->stats().member_time >= before);
}

TEST_CASE("push/pull: a late joiner hears recorded user events unless it asked not to") {
  for (const bool ignore : {false, true}) {
    CAPTURE(ignore);
    SerfWorld w;
    SerfNode& a = w.add("a");
    SerfNode& b = w.add("b");
    CHECK_FALSE(a.serf->user_event(w.now(), "deploy", view_of("v7"), true));
    CHECK(a.user_events == std::vector<std::string>{"deploy=v7"});
    b.serf->join(w.now(), 0, {{"a", "", a.endpoint, ""}}, ignore);
    w.run_for(10_ms);  // the exchange; the event itself is still queued at a
    CHECK(b.user_events.size() == (ignore ? 0u : 1u));
    w.run_for(3_s);
    CHECK(b.user_events.size() == (ignore ? 0u : 1u));  // and never twice
  }
}

TEST_CASE("serf: a user event reaches everybody once; one that is too big is refused") {
  SerfWorld w;
  const auto pool = w.pool({"a", "b", "c", "d"});
  w.run_for(3_s);
  CHECK_FALSE(pool[1]->serf->user_event(w.now(), "deploy", view_of("v8"), false));
  w.run_for(3_s);
  for (const SerfNode* node : pool) {
    CHECK(node->user_events == std::vector<std::string>{"deploy=v8"});
    CHECK(node->serf->stats().event_queue == 0);
  }
  const std::string big(512, 'x');
  CHECK(pool[0]->serf->user_event(w.now(), "n", view_of(big), false)->text ==
        "user event exceeds configured limit of 512 bytes before encoding");
  CHECK(pool[0]->serf->user_event(w.now(), "n", view_of(std::string_view(big).substr(2)), false)->text ==
        "encoded user event exceeds configured limit of 512 bytes after encoding");
}

TEST_CASE("serf: a flooded queue is cut to its limit at the next check") {
  SerfWorld w;
  SerfConfig config = w.config("a");
  config.max_queue_depth = 10;
  config.queue_depth_warning = 5;
  SerfNode& a = w.add(config);
  for (LamportTime t = 1; t <= 40; ++t) {
    Buffer intent;
    wire::serf::encode(wire::serf::Join{t, "ghost"}, intent);
    a.serf->as_delegate().notify_msg(w.now(), intent);
  }
  CHECK(a.serf->stats().intent_queue == 40);
  w.run_for(31_s);
  CHECK(a.serf->stats().intent_queue == 10);
  CHECK(a.noticed(SerfNoticeKind::kQueueDepthWarning));
  CHECK(a.noticed(SerfNoticeKind::kQueuePruned));
}

TEST_CASE("serf: coordinates in acks bring the estimate near the network's round trip") {
  SerfWorld w;
  const auto pool = w.pool({"a", "b", "c", "d"});
  w.run_for(120_s);
  const Duration estimate = pool[0]->serf->coordinates()->distance_to(pool[3]->serf->coordinates()->coordinate());
  CHECK(estimate > 500_us);
  CHECK(estimate < 2_ms);  // 2 x 0.5 ms
}

}  // namespace
