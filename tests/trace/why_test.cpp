#include "trace/why.h"

#include <doctest/doctest.h>

#include "trace/diff.h"
#include "world.h"

using namespace dcsim;
using namespace dcsim::trace;
using namespace dcsim::trace::test;

namespace {

bool mentions(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// alpha-1 probes beta-2 through a firewall that keeps tenants apart, asks server-1 to ping it (whose ping arrives, but
/// whose answer the firewall would have to pass), gives up, suspects, and declares it dead.
struct Tenants : World {
  Tenants() {
    const Fields probe = fields::probe(name("beta-2.dc1"), name("lan"), 12, 500_ms);
    const Cause tick = add(1000, Ev::kNote, "alpha-1.dc1");
    const Cause sent = add(1000, Ev::kProbeSent, "alpha-1.dc1", probe, tick);
    const Cause ping = send(1000, "alpha-1.dc1", "beta-2.dc1", "ping", sent);
    drop(1000, "alpha-1.dc1", "beta-2.dc1", "core-fw", "tenants-apart", ping);
    const Cause timeout = add(1500, Ev::kProbeTimeout, "alpha-1.dc1", probe, sent);
    const Cause ask = send(1500, "alpha-1.dc1", "server-1.dc1", "indirect-ping", timeout);
    const Cause asked = deliver(1501, "alpha-1.dc1", "server-1.dc1", "indirect-ping", ask);
    const Cause relayed = send(1501, "server-1.dc1", "beta-2.dc1", "ping", asked);
    drop(1501, "server-1.dc1", "beta-2.dc1", "core-fw", "one-way", relayed);
    const Cause syn = add(1500, Ev::kConnStarted, "alpha-1.dc1",
                          fields::connection(endpoint("alpha-1.dc1", 33000), endpoint("beta-2.dc1", 8301)), timeout);
    const Cause syn_packet = add(
        1502, Ev::kPacketSent, "alpha-1.dc1",
        fields::packet(Proto::kTcp, 0, endpoint("alpha-1.dc1", 33000), endpoint("beta-2.dc1", 8301), {}, 0, 2), syn);
    drop(1502, "alpha-1.dc1", "beta-2.dc1", "core-fw", "tenants-apart", syn_packet);
    const Cause failed = add(2000, Ev::kProbeFailed, "alpha-1.dc1", probe, timeout);
    suspect = add(2000, Ev::kSuspect, "alpha-1.dc1",
                  fields::claim(name("beta-2.dc1"), name("lan"), name("alpha-1.dc1"), 1, 2, 4_s), failed);
    const Cause expired = add(6000, Ev::kSuspectExpired, "alpha-1.dc1",
                              fields::claim(name("beta-2.dc1"), name("lan"), name("alpha-1.dc1"), 1), suspect);
    const Cause dead = add(6000, Ev::kDeadDeclared, "alpha-1.dc1",
                           fields::claim(name("beta-2.dc1"), name("lan"), name("alpha-1.dc1"), 1), expired);
    member_failed = add(6000, Ev::kMemberFailed, "alpha-1.dc1", fields::member(name("beta-2.dc1"), name("lan")), dead);
  }
  Cause suspect;
  Cause member_failed;
};

}  // namespace

TEST_CASE("why: a member-failed is explained down to the firewall rule that dropped the probe") {
  const Tenants w;
  const std::string story = why(w.tracer.recording(), w.member_failed.record - 1);
  CAPTURE(story);
  CHECK(
      story.starts_with("6.000000000 alpha-1.dc1: member-failed member=beta-2.dc1 pool=lan (#16)\n  because "
                        "6.000000000 alpha-1.dc1: dead-declared"));
  CHECK(mentions(story, "because 1.500000000 alpha-1.dc1: probe-timeout member=beta-2.dc1"));
  CHECK(mentions(story,
                 "sent udp ping alpha-1.dc1:8301 -> beta-2.dc1:8301: dropped by firewall core-fw, rule tenants-apart "
                 "(firewall) (#3)"));
  CHECK(mentions(story, "sent udp indirect-ping alpha-1.dc1:8301 -> server-1.dc1:8301: delivered at 1.501000000"));
  CHECK(
      mentions(story, "sent udp ping server-1.dc1:8301 -> beta-2.dc1:8301: dropped by firewall core-fw, rule one-way"));
  CHECK(mentions(story,
                 "sent tcp alpha-1.dc1:33000 -> beta-2.dc1:8301: dropped by firewall core-fw, rule tenants-apart"));
  CHECK(mentions(story, "because 1.000000000 alpha-1.dc1: note"));
  CHECK(story.ends_with("To blame: firewall core-fw, rule tenants-apart: stopped 2 packets.\n"));
}

TEST_CASE("why: an accusation heard by gossip goes on at the accuser") {
  Tenants w;
  const Cause gossip = w.send(2200, "alpha-1.dc1", "alpha-3.dc1", "suspect");
  const Cause heard = w.deliver(2201, "alpha-1.dc1", "alpha-3.dc1", "suspect", gossip);
  // Names inside messages are memberlist's, without the datacenter.
  const Cause suspect = w.add(2201, Ev::kSuspect, "alpha-3.dc1",
                              fields::claim(w.name("beta-2.dc1"), w.name("lan"), w.name("alpha-1"), 1, 2, 4_s), heard);
  const Cause failed =
      w.add(6300, Ev::kMemberFailed, "alpha-3.dc1", fields::member(w.name("beta-2.dc1"), w.name("lan")), suspect);
  const std::string story = why(w.tracer.recording(), failed.record - 1);
  CAPTURE(story);
  CHECK(mentions(story, "told by alpha-1, whose own reason was:\n"));
  CHECK(mentions(story, "alpha-1.dc1: probe-failed"));
  CHECK(story.ends_with("To blame: firewall core-fw, rule tenants-apart: stopped 2 packets.\n"));
}

TEST_CASE("why: a suspicion merged from a push/pull goes on at who sent the state, however many held it before") {
  Tenants w;
  // server-1 merges alpha-1's state, and alpha-3 server-1's: each suspects by itself (memberlist state.go mergeState).
  const auto merge = [&](std::int64_t ms, const char* from, const char* to, const char* name) {
    const auto data = [&](Ev ev, const char* node, Cause cause) {
      return w.add(ms, ev, node, fields::packet(Proto::kTcp, 1500, w.endpoint(from, 8301), w.endpoint(to, 33001), {}, 7, 24), cause);
    };
    const Cause sent = data(Ev::kPacketSent, from, w.add(ms, Ev::kNote, from));
    const Cause got = data(Ev::kPacketDelivered, to, sent);
    return w.add(ms, Ev::kSuspect, to, fields::claim(w.name("beta-2.dc1"), w.name("lan"), w.name(name), 1, 2, 4_s), got);
  };
  merge(2500, "alpha-1.dc1", "server-1.dc1", "server-1.dc1");
  const Cause suspect = merge(2600, "server-1.dc1", "alpha-3.dc1", "alpha-3");
  const Cause failed = w.add(6600, Ev::kMemberFailed, "alpha-3.dc1", fields::member(w.name("beta-2.dc1"), w.name("lan")), suspect);
  const std::string story = why(w.tracer.recording(), failed.record - 1);
  CAPTURE(story);
  CHECK(mentions(story, "merged from the state of server-1.dc1, whose own reason was:\n"));
  CHECK(mentions(story, "merged from the state of alpha-1.dc1, whose own reason was:\n"));
  CHECK(mentions(story, "alpha-1.dc1: probe-failed"));
  CHECK(story.ends_with("To blame: firewall core-fw, rule tenants-apart: stopped 2 packets.\n"));
}

TEST_CASE("why: a suspicion of one's own probe is nobody else's, and another member's or pool's suspicion explains nothing") {
  Tenants w;
  const auto data = [&](Ev ev, const char* node, Cause cause) {
    return w.add(2500, ev, node, fields::packet(Proto::kTcp, 1500, w.endpoint("alpha-1.dc1", 8301), w.endpoint("alpha-3.dc1", 33001), {}, 7, 24), cause);
  };
  const Cause got = data(Ev::kPacketDelivered, "alpha-3.dc1", data(Ev::kPacketSent, "alpha-1.dc1", w.add(2500, Ev::kNote, "alpha-1.dc1")));
  const Cause other = w.add(2500, Ev::kSuspect, "alpha-3.dc1", fields::claim(w.name("beta-9.dc1"), w.name("lan"), w.name("alpha-3"), 1, 2, 4_s), got);
  CHECK(why(w.tracer.recording(), other.record - 1).ends_with("No lost packet was found behind it.\n"));
  CHECK_FALSE(mentions(why(w.tracer.recording(), w.suspect.record - 1), "merged from"));
}

TEST_CASE("why: an answer that is lost on its way back is found (one-way block)") {
  World w;
  const Fields probe = fields::probe(w.name("b"), w.name("lan"), 1, 500_ms);
  const Cause sent = w.add(0, Ev::kProbeSent, "a", probe);
  const Cause ping = w.send(0, "a", "b", "ping", sent);
  const Cause got = w.deliver(1, "a", "b", "ping", ping);
  const Cause ack = w.send(1, "b", "a", "ack", got);
  w.drop(1, "b", "a", "edge", "no-return", ack);
  const Cause timeout = w.add(500, Ev::kProbeTimeout, "a", probe, sent);
  const std::string story = why(w.tracer.recording(), timeout.record - 1);
  CAPTURE(story);
  CHECK(mentions(story, "sent udp ack b:8301 -> a:8301: dropped by firewall edge, rule no-return"));
  CHECK(story.ends_with("To blame: firewall edge, rule no-return: stopped 1 packet.\n"));
}

TEST_CASE("why: losses without a firewall name the link or the host; no loss says so") {
  World w;
  const Cause sent = w.add(0, Ev::kProbeSent, "a", fields::probe(w.name("b"), w.name("lan"), 1));
  const Cause ping = w.send(0, "a", "b", "ping", sent);
  w.add(1, Ev::kPacketDropped, "a",
        fields::verdict(Proto::kUdp, 62, w.endpoint("a", 1), w.endpoint("b", 1),
                        static_cast<std::uint16_t>(DropReason::kQueueFull), w.name("trunk")),
        ping);
  const Cause timeout = w.add(500, Ev::kProbeTimeout, "a", fields::probe(w.name("b"), w.name("lan"), 1), sent);
  CHECK(why(w.tracer.recording(), timeout.record - 1).ends_with("To blame: trunk (queue-full): lost 1 packet.\n"));
  CHECK(why(w.tracer.recording(), 0).ends_with("No lost packet was found behind it.\n"));
}

TEST_CASE("why: later packets are not blamed") {
  World w;
  const Cause sent = w.add(0, Ev::kProbeSent, "a", fields::probe(w.name("b"), w.name("lan"), 1));
  const Cause timeout = w.add(500, Ev::kProbeTimeout, "a", fields::probe(w.name("b"), w.name("lan"), 1), sent);
  const Cause late = w.send(900, "a", "b", "ping", sent);
  w.drop(900, "a", "b", "fw", "rule", late);
  CHECK(why(w.tracer.recording(), timeout.record - 1).ends_with("No lost packet was found behind it.\n"));
}

TEST_CASE("why: a record is found by number or by what it says") {
  const Tenants w;
  const Recording recording = w.tracer.recording();
  const auto find = [&](std::vector<std::string> query) { return find_record(recording, query); };
  CHECK(find({"16"}).value() == 16);
  CHECK(find({"member-failed", "node=alpha-1.dc1", "member=beta-2.dc1"}).value() == 16);
  CHECK(find({"packet-dropped", "#2"}).value() == 8);
  CHECK(find({"packet-dropped", "rule=tenants-apart", "#-1"}).value() == 11);
  CHECK(find({"ev=suspect"}).value() == 13);
  CHECK(find({"99"}).error().text == "no record 99 in a trace of 17");
  CHECK(find({"member-left"}).error().text == "no record matches");  // a pattern, not an event
  CHECK(find({"member-failed", "#2"}).error().text == "only 1 records match");
  CHECK(find({"member-failed", "memver=x"}).error().text == "no record has a field `memver`");
  CHECK_FALSE(find({}).ok());
  CHECK_FALSE(find({"member-failed", "#x"}).ok());
}

TEST_CASE("causes: effects are the records caused, in order") {
  const Tenants w;
  const Recording recording = w.tracer.recording();
  Causes causes(recording);
  CHECK(causes.chain(4) == std::vector<std::uint64_t>{4, 1, 0});
  CHECK(causes.effects(4) == std::vector<std::uint64_t>{5, 9, 12});
  CHECK(causes.effects(16).empty());
}

TEST_CASE("diff: equal runs have no difference") {
  World a;
  World b;
  b.name("interned for another reason");
  fill(a, 3000);
  fill(b, 3000);
  CHECK_FALSE(first_difference(a.tracer.recording(), b.tracer.recording()).found);
}

TEST_CASE("diff: the first differing record is found, wherever it is") {
  for (const std::uint64_t where : {0u, 1u, 1023u, 1024u, 2500u, 4999u}) {
    CAPTURE(where);
    World a;
    World b;
    for (World* w : {&a, &b}) {
      Cause last;
      for (std::uint64_t i = 0; i < 5000; ++i) {
        const bool changed = w == &b && i == where;
        last = w->send(static_cast<std::int64_t>(i), "a", changed ? "other" : "b", "gossip", i % 4 ? last : Cause{});
      }
    }
    const Difference d = first_difference(a.tracer.recording(), b.tracer.recording());
    CHECK(d.found);
    CHECK_FALSE(d.not_kept);
    CHECK(d.number == where);
    if (where % 4 == 0) {
      CHECK_FALSE(d.common_ancestor.has_value());
    } else {
      CHECK(d.common_ancestor == where - 1);
    }
  }
}

TEST_CASE("diff: a run that ends earlier differs where it ends") {
  World a;
  World b;
  fill(a, 2000);
  fill(b, 1990);
  const Recording ra = a.tracer.recording();
  const Recording rb = b.tracer.recording();
  const Difference d = first_difference(ra, rb);
  CHECK(d.found);
  CHECK(d.number == 1990);
  CHECK(mentions(describe_difference(ra, rb, d), "ends after 1990 records"));
}

TEST_CASE("diff: both causal chains are told back to the common ancestor") {
  World a;
  World b;
  for (World* w : {&a, &b}) {
    const Cause root = w->add(0, Ev::kNote, "x");
    const Cause probe = w->add(1, Ev::kProbeSent, "x", fields::probe(w->name("y"), w->name("lan"), 1), root);
    w->add(2, Ev::kNote, "z", {}, root);
    if (w == &a)
      w->deliver(3, "y", "x", "ack", probe);
    else
      w->drop(3, "x", "y", "fw", "rule", probe);
  }
  const Recording ra = a.tracer.recording();
  const Recording rb = b.tracer.recording();
  const Difference d = first_difference(ra, rb);
  CHECK(d.number == 3);
  CHECK(d.common_ancestor == 1);
  const std::string text = describe_difference(ra, rb, d, "left", "right");
  CAPTURE(text);
  CHECK(text.starts_with("First difference: record 3\nleft:\n"));
  CHECK(mentions(text, "packet-delivered"));
  CHECK(mentions(text, "right:\n"));
  CHECK(mentions(text, "packet-dropped"));
  CHECK(mentions(text, "probe-sent"));
  CHECK_FALSE(mentions(text, "#0\n"));  // what lies before the common ancestor is the same story
  CHECK(text.ends_with("Common ancestor: record 1\n"));
}

TEST_CASE("diff: where the differing record was not kept, its block is named") {
  const auto run = [](const char* what) {
    World w({.keep = Keep::kMemory, .only = {Ev::kMemberFailed}});
    for (int i = 0; i < 3000; ++i) w.send(i, "a", "b", i == 1500 ? what : "ping");
    return w.tracer.recording();
  };
  const Recording a = run("ping");
  const Recording b = run("pong");
  const Difference d = first_difference(a, b);
  CHECK(d.found);
  CHECK(d.not_kept);
  CHECK(d.number == 1024);
  CHECK(d.block_end == 2048);
}
