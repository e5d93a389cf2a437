#include "consul/raft_transport.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "conn_net.h"
#include "raft_over_net.h"

using namespace dcsim;
using namespace dcsim::consul;
using test::Caller;
using test::ConnNet;
using test::Group;
using test::Member;

TEST_CASE("raft transport: three servers elect a leader and replicate over byte streams cut anywhere") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Group group(3, seed);
    group.net.cuts = 1 + seed * 3;
    group.start();
    Member& leader = group.elect();
    for (int i = 0; i < 200; ++i) {
      leader.apply("command " + std::to_string(i));
      group.net.run_for(1_ms);
    }
    REQUIRE(group.all_applied(200));
    CHECK(leader.outcomes.size() == 200);
    for (const auto& outcome : leader.outcomes) CHECK(outcome.empty());
    for (const auto& m : group.members) CHECK(m->applied == leader.applied);
    CHECK(leader.pipelined > 0);
    // A quiet group stands still: per follower a pipeline, and what heartbeats and votes share.
    const std::size_t quiet = leader.transport->connections();
    group.net.run_for(30_s);
    CHECK(leader.transport->connections() == quiet);
    CHECK(group.leader() == &leader);
    CHECK(leader.lines("failed to") == 0);
  }
}

TEST_CASE("raft transport: a run is a function of its seed") {
  std::string first;
  for (int run = 0; run < 2; ++run) {
    Group group(3, 9);
    group.start();
    Member& leader = group.elect();
    for (int i = 0; i < 20; ++i) leader.apply("x" + std::to_string(i)), group.net.run_for(3_ms);
    const std::string text = std::to_string(group.net.bytes) + " " + std::to_string(group.net.now().ns) + " " +
                             leader.server().id + " " + std::to_string(leader.transport->connections());
    if (run == 0) first = text;
    CHECK(text == first);
  }
}

TEST_CASE(
    "raft transport: a leader's death moves leadership, and a restarted server's stale connections each cost an RPC") {
  Group group;
  group.start();
  Member& first = group.elect();
  first.apply("before");
  REQUIRE(group.all_applied(1));
  group.net.run_for(1_s);
  // A follower restarts: the leader notices by the end of its connections.
  Member& follower = *group.members[group.members[0].get() == &first ? 1 : 0];
  follower.stop(ConnNet::End::kFin);
  group.net.run_for(300_ms);
  CHECK(first.lines("aborting pipeline replication peer={Voter " + follower.server().id) == 1);  // its send met the end
  CHECK(first.lines("error=EOF") == 1);  // and the one idle connection cost one RPC more
  follower.start();
  group.net.run_for(3_s);
  first.apply("between");
  REQUIRE(group.all_applied(2));

  first.stop(ConnNet::End::kReset);
  REQUIRE(group.net.run_until([&] { return group.leader() != nullptr; }, 30_s));
  Member& second = *group.leader();
  CHECK(&second != &first);
  second.apply("after");
  REQUIRE(group.all_applied(3));
  first.start();
  REQUIRE(group.all_applied(3));
  CHECK(first.applied == second.applied);
}

TEST_CASE("raft transport: calls to a server that swallows everything time out after ten seconds") {
  Group group;
  group.start();
  Member& leader = group.elect();
  group.net.run_for(1_s);
  const std::size_t self = leader.server().id == "id-1" ? 0 : leader.server().id == "id-2" ? 1 : 2;
  const std::size_t lost = (self + 1) % 3;
  group.net.cut(self, lost);
  group.net.cut((self + 2) % 3, lost);
  group.net.run_for(9_s + 900_ms);
  CHECK(leader.lines("i/o timeout") == 0);
  group.net.run_for(300_ms);
  CHECK(leader.lines("failed to heartbeat to peer=" + group.members[lost]->server().address) == 1);
  CHECK(leader.lines("error=read tcp 10.0.0." + std::to_string(self + 1) + ":") > 0);
  group.net.run_for(15_s);
  CHECK(leader.lines("error=dial tcp 10.0.0." + std::to_string(lost + 1) + ":8300: i/o timeout") > 0);
  leader.apply("by two of three");
  group.net.run_for(1_s);
  CHECK(leader.applied.size() == 1);
  CHECK(group.members[lost]->applied.empty());
  group.net.cut(self, lost, false);
  group.net.cut((self + 2) % 3, lost, false);
  CHECK(group.all_applied(1));
}

TEST_CASE("raft transport: an isolated leader is replaced, and the group comes together again") {
  Group group;
  group.start();
  Member& first = group.elect();
  const std::size_t self = first.server().id == "id-1" ? 0 : first.server().id == "id-2" ? 1 : 2;
  for (const std::size_t i : {1u, 2u}) group.net.cut(self, (self + i) % 3);
  REQUIRE(group.net.run_until([&] { return group.leader() != nullptr && group.leader() != &first; }, 20_s));
  group.net.run_for(25_s);
  CHECK(first.node->role() != raft::Role::kLeader);
  for (const std::size_t i : {1u, 2u}) group.net.cut(self, (self + i) % 3, false);
  group.net.run_for(30_s);
  group.elect().apply("whole again");
  CHECK(group.all_applied(1));
}

TEST_CASE("raft transport: connections broken at random moments lose no committed entry") {
  Group group(3, 4);
  group.start();
  group.elect();
  Rng draw(4, "test", "resets");
  std::size_t committed = 0;
  for (int round = 0; round < 40; ++round) {
    Member& leader = group.elect();
    const std::size_t before = leader.outcomes.size();
    leader.apply("r" + std::to_string(round));
    if (round % 2 == 0) group.net.reset_all();
    group.net.run_for(Duration{static_cast<std::int64_t>(draw.below(300'000'000))});
    if (leader.node && leader.outcomes.size() > before && leader.outcomes.back().empty()) ++committed;
  }
  group.net.run_for(5_s);
  Member& leader = group.elect();
  leader.apply("end");
  REQUIRE(group.net.run_until([&] { return !leader.applied.empty() && leader.applied.back() == "end"; }, 10_s));
  group.net.run_for(2_s);
  CHECK(committed > 20);
  CHECK(leader.applied.size() > committed);
  for (const auto& m : group.members) CHECK(m->applied == leader.applied);
}

TEST_CASE("raft transport: a server that is far behind gets a snapshot, on a connection that is not used again") {
  raft::Config config = raft::Config::consul(1);
  config.snapshot_threshold = 20;
  config.snapshot_interval = 500_ms;
  config.trailing_logs = 5;
  Group group;
  group.start(config);
  Member& leader = group.elect();
  Member& late = *group.members[group.members[0].get() == &leader ? 1 : 0];
  late.stop(ConnNet::End::kFin);
  const std::string big(40'000, 'x');
  for (int i = 0; i < 60; ++i) leader.apply(big + std::to_string(i)), group.net.run_for(20_ms);
  REQUIRE(leader.node->last_snapshot().index > 20);
  late.start(config);
  REQUIRE(group.net.run_until([&] { return late.applied.size() == 60; }, 60_s));
  CHECK(late.restored >= 1);
  CHECK(leader.snapshots_sent >= 1);
  CHECK(late.applied == leader.applied);
}

TEST_CASE("raft transport: without gossip it dials the address of the configuration and says so") {
  Group group;
  for (const auto& m : group.members) m->gossip = false;
  group.start();
  Member& leader = group.elect();
  leader.apply("x");
  REQUIRE(group.all_applied(1));
  const std::size_t peer = group.members[0].get() == &leader ? 2 : 1;
  const std::string id = "id-" + std::to_string(peer);
  CHECK(leader.lines("agent.server.raft: unable to get address for server, using fallback address: id=" + id +
                     " fallback=10.0.0." + std::to_string(peer) +
                     ":8300 error=\"Could not find address for server id " + id + "\"") > 0);
}

TEST_CASE("raft transport: leadership transfer goes over the wire") {
  Group group;
  group.start();
  Member& first = group.elect();
  group.net.run_for(1_s);
  first.node->transfer_leadership(group.net.now(), 99, "");
  first.settle(group.net.now());
  REQUIRE(group.net.run_until([&] { return group.leader() && group.leader() != &first; }, 2_s));
  CHECK(first.outcomes.back().empty());
}

TEST_CASE("raft transport: errors of a dial are Go's") {
  ConnNet net(2);
  RaftTransportConfig config;
  SUBCASE("refused") {
    net[1].listening = false;
    config.dial_source = "10.0.0.1:0";
    Caller caller(net, config);
    REQUIRE(net.run_until([&] { return !caller.errors.empty(); }, 100_s));
    CHECK(caller.saw("dial tcp 10.0.0.1:0->10.0.0.2:8300: connect: connection refused"));
  }
  SUBCASE("swallowed") {
    net.cut(0, 1);
    Caller caller(net, config);
    REQUIRE(net.run_until([&] { return !net[0].dialled.empty(); }, 100_s));
    net.run_for(9_s + 900_ms);
    CHECK(caller.errors.empty());
    net.run_for(200_ms);
    CHECK(caller.saw("dial tcp 10.0.0.2:8300: i/o timeout"));
  }
  SUBCASE("an address that is none") {
    Caller caller(net, config);
    caller.gossip = false;
    caller.transport->send(net.now(), 1, {raft::Suffrage::kVoter, "id-9", "nowhere"}, wire::TimeoutNowRequest{});
    CHECK(caller.transport->next_deadline() == net.now());  // fails at once, but not from inside the call
    caller.transport->run(net.now());
    CHECK(caller.transport->next_deadline() > net.now());
    CHECK(caller.lines.at(0).find("using fallback address: id=id-9 fallback=nowhere") != std::string::npos);
  }
}

namespace {

/// Answers RequestPreVote and RequestVote by hand.
struct Answerer {
  explicit Answerer(ConnNet& network) : net(network) {
    net[1].on_accepted = [this](Instant, StreamId s, const Endpoint&) { accepted.push_back(s); };
    net[1].on_data = [this](Instant, StreamId s, const Bytes& d) {
      bytes.insert(bytes.end(), d.view().begin(), d.view().end());
      if (on_bytes) on_bytes(s);
    };
    net[1].on_eof = [this](Instant, StreamId s) { ended.push_back(s); };
  }
  void refuse_pre_vote(StreamId s) {
    Buffer out;
    wire::append_response("", wire::RequestPreVoteResponse{{3, "id-2", "10.0.0.2:8300"}, 1, false},
                          wire::RaftDialect::k1_7, out);
    net[1].send(s, Bytes(ByteView(out)));
  }
  /// Whether the bytes so far hold `count` whole requests behind byte 1.
  std::size_t requests() const {
    if (bytes.empty() || bytes[0] != 1) return 0;
    wire::RaftRequestParser parser;
    wire::RaftRequest request;
    wire::LogWorkspace ws;
    parser.feed(Bytes(ByteView(bytes).subspan(1)));
    std::size_t n = 0;
    while (parser.next(request, ws) == wire::RaftStreamStatus::kMessage) ++n;
    return n;
  }
  ConnNet& net;
  std::vector<StreamId> accepted, ended;
  Buffer bytes;
  std::function<void(StreamId)> on_bytes;
};

const raft::Server kPeer{raft::Suffrage::kVoter, "id-2", "10.0.0.2:8300"};
const wire::RequestPreVoteRequest kAsk{{3, "id-1", "10.0.0.1:8300"}, 2, 1, 1};

}  // namespace

TEST_CASE("raft transport: a connection is used again after a whole answer, and three are kept at most") {
  ConnNet net(2);
  Answerer peer(net);
  Caller caller(net);
  std::vector<StreamId> held;
  peer.on_bytes = [&](StreamId s) {
    if (std::find(held.begin(), held.end(), s) == held.end()) held.push_back(s);
  };
  for (raft::RpcId id = 1001; id <= 1005; ++id) caller.transport->send(net.now(), id, kPeer, kAsk);
  net.run_for(50_ms);
  CHECK(peer.accepted.size() == 5);
  CHECK(held.size() == 5);
  for (const StreamId s : held) peer.refuse_pre_vote(s);
  net.run_for(50_ms);
  CHECK(caller.transport->idle(net[1].rpc()) == 3);
  CHECK(caller.transport->connections() == 3);
  CHECK(peer.ended.size() == 2);
  for (raft::RpcId id = 1006; id <= 1008; ++id) caller.transport->send(net.now(), id, kPeer, kAsk);
  CHECK(caller.transport->idle(net[1].rpc()) == 0);
  net.run_for(50_ms);
  CHECK(peer.accepted.size() == 5);  // nothing new was dialled
}

TEST_CASE("raft transport: pooled connections to a peer that restarted fail one RPC each with EOF") {
  ConnNet net(2);
  Answerer peer(net);
  Caller caller(net);
  peer.on_bytes = [&](StreamId s) {
    if (peer.requests() == 1) {
      peer.refuse_pre_vote(s);
      peer.on_bytes = nullptr;
    }
  };
  // The node asks for a pre-vote when it hears from no leader.
  REQUIRE(net.run_until([&] { return caller.transport->idle(net[1].rpc()) == 1; }, 100_s));
  REQUIRE(caller.errors.empty());
  net.end_all(1, ConnNet::End::kFin);
  net.run_for(1_ms);
  CHECK(caller.transport->idle(net[1].rpc()) == 1);  // nobody looks at it
  peer.accepted.clear();
  REQUIRE(net.run_until([&] { return !caller.errors.empty(); }, 100_s));
  CHECK(caller.errors.size() == 1);
  CHECK(caller.last_error().ends_with(": EOF"));
  CHECK(caller.transport->idle(net[1].rpc()) == 0);
  CHECK(peer.accepted.empty());
  REQUIRE(net.run_until([&] { return !peer.accepted.empty(); }, 100_s));  // the next one dials
  CHECK(caller.errors.size() == 1);
}

TEST_CASE("raft transport: a pooled connection that was reset fails its next RPC in writing") {
  ConnNet net(2);
  Answerer peer(net);
  Caller caller(net);
  peer.on_bytes = [&](StreamId s) {
    if (peer.requests() == 1) peer.refuse_pre_vote(s), peer.on_bytes = nullptr;
  };
  REQUIRE(net.run_until([&] { return caller.transport->idle(net[1].rpc()) == 1; }, 100_s));
  net.end_all(1, ConnNet::End::kReset);
  REQUIRE(net.run_until([&] { return !caller.errors.empty(); }, 100_s));
  CHECK(caller.last_error().find(": write tcp 10.0.0.1:") != std::string::npos);
  CHECK(caller.last_error().ends_with("->10.0.0.2:8300: write: connection reset by peer"));
}

TEST_CASE("raft transport: an answer that does not come in ten seconds fails the call and its connection") {
  ConnNet net(2);
  Answerer peer(net);
  Caller caller(net);
  REQUIRE(net.run_until([&] { return peer.requests() == 1; }, 100_s));
  const Instant asked = net.now();
  bool full = false;
  SUBCASE("reading") {}
  SUBCASE("writing") { full = true; }
  if (full) {
    for (std::uint32_t id = 0; id < 100; ++id) net[0].stuffed.insert(id);
  }
  REQUIRE(net.run_until([&] { return !caller.errors.empty(); }, 20_s));
  CHECK(net.now() - asked > 9_s + 900_ms);
  CHECK(net.now() - asked <= 10_s);
  CHECK(caller.last_error().find(full ? ": write tcp 10.0.0.1:" : ": read tcp 10.0.0.1:") != std::string::npos);
  CHECK(caller.last_error().ends_with("->10.0.0.2:8300: i/o timeout"));
  net.run_for(1_ms);
  CHECK(peer.ended.size() == 1);
}

TEST_CASE("raft transport: an answer that is no answer closes the connection") {
  ConnNet net(2);
  Answerer peer(net);
  Caller caller(net);
  peer.on_bytes = [&](StreamId s) {
    if (peer.requests() == 1) net[1].send(s, Bytes(view_of("\xc1\xc1\xc1"))), peer.on_bytes = nullptr;
  };
  REQUIRE(net.run_until([&] { return !caller.errors.empty(); }, 100_s));
  CHECK(caller.last_error().ends_with("malformed message"));
  net.run_for(1_ms);
  CHECK(peer.ended.size() == 1);
  CHECK(caller.transport->idle(net[1].rpc()) == 0);
}

TEST_CASE("raft transport: the serving side answers in order and closes on a type it does not know") {
  ConnNet net(2);
  Caller server(net);
  Buffer got;
  bool ended = false;
  net[1].on_data = [&](Instant, StreamId, const Bytes& d) { got.insert(got.end(), d.view().begin(), d.view().end()); };
  net[1].on_eof = [&](Instant, StreamId) { ended = true; };
  net[0].on_accepted = [&](Instant now, StreamId s, const Endpoint& from) {
    server.transport->adopt(now, s, from, {});
  };
  const StreamId s = net[1].dial(net[0].rpc(), 1_s);
  net.run_for(10_ms);
  Buffer out;
  wire::AppendEntriesRequest heartbeat;
  heartbeat.header = {3, "id-2", "10.0.0.2:8300"};
  heartbeat.term = 5;
  heartbeat.leader = "10.0.0.2:8300";
  heartbeat.entries_nil = true;
  SUBCASE("three requests in one piece, one of which has to wait for the disk") {
    wire::RequestVoteRequest vote{{3, "id-2", "10.0.0.2:8300"}, 6, "10.0.0.2:8300", 9, 9, true};
    wire::append_request(heartbeat, wire::RaftDialect::k1_7, out);
    wire::append_request(vote, wire::RaftDialect::k1_7, out);
    wire::append_request(heartbeat, wire::RaftDialect::k1_7, out);
    net[1].send(s, Bytes(ByteView(out)));
    for (int i = 0; i < 50; ++i) {
      net.run_for(1_ms);
      while (auto done = server.disk.take_done(net.now())) server.node->on_stored(net.now(), done->op, done->error);
      server.transport->run(net.now());
    }
    wire::RaftResponseParser parser;
    parser.feed(Bytes(ByteView(got)));
    wire::RaftResponse answer;
    REQUIRE(parser.next(wire::RaftRpc::kAppendEntries, answer) == wire::RaftStreamStatus::kMessage);
    CHECK(std::get<wire::AppendEntriesResponse>(answer.body).success);
    REQUIRE(parser.next(wire::RaftRpc::kRequestVote, answer) == wire::RaftStreamStatus::kMessage);
    CHECK(std::get<wire::RequestVoteResponse>(answer.body).granted);
    CHECK(std::get<wire::RequestVoteResponse>(answer.body).term == 6);
    REQUIRE(parser.next(wire::RaftRpc::kAppendEntries, answer) == wire::RaftStreamStatus::kMessage);
    CHECK_FALSE(std::get<wire::AppendEntriesResponse>(answer.body).success);  // its term is over
    CHECK(parser.buffered() == 0);
    net[1].close(s);
    net.run_for(10_ms);
    CHECK(server.transport->connections() == 0);
    CHECK(server.released == 1);
    CHECK(server.lines.size() == 1);  // accepted; an end between requests is no error
  }
  SUBCASE("unknown type") {
    out = {9};
    net[1].send(s, Bytes(ByteView(out)));
    net.run_for(10_ms);
    CHECK(ended);
    CHECK(server.released == 1);
    CHECK(server.lines.back() == "agent.server.raft: failed to decode incoming command: error=\"unknown rpc type 9\"");
  }
  SUBCASE("an end inside a request") {
    wire::append_request(heartbeat, wire::RaftDialect::k1_7, out);
    out.resize(out.size() / 2);
    net[1].send(s, Bytes(ByteView(out)));
    net[1].close(s);
    net.run_for(10_ms);
    CHECK(server.released == 1);
    CHECK(server.lines.back() == "agent.server.raft: failed to decode incoming command: error=\"unexpected EOF\"");
  }
  SUBCASE("a snapshot larger than allowed") {
    wire::InstallSnapshotRequest install;
    install.header = {3, "id-2", "10.0.0.2:8300"};
    install.term = 5;
    install.size = std::int64_t{1} << 40;
    wire::append_request(install, wire::RaftDialect::k1_7, out);
    net[1].send(s, Bytes(ByteView(out)));
    net.run_for(10_ms);
    CHECK(ended);
    CHECK(server.lines.back() == "agent.server.raft: failed to decode incoming command: error=\"message too large\"");
  }
}

TEST_CASE("raft transport: a snapshot that breaks off reaches the node short, and nothing of it is kept") {
  ConnNet net(2);
  Caller server(net);
  net[0].on_accepted = [&](Instant now, StreamId s, const Endpoint& from) {
    server.transport->adopt(now, s, from, {});
  };
  const StreamId s = net[1].dial(net[0].rpc(), 1_s);
  net.run_for(10_ms);
  wire::InstallSnapshotRequest install;
  install.header = {3, "id-2", "10.0.0.2:8300"};
  install.term = 5;
  install.last_log_index = 50;
  install.last_log_term = 5;
  install.snapshot_version = 1;
  install.size = 100;
  Buffer out;
  wire::append_request(install, wire::RaftDialect::k1_7, out);
  out.insert(out.end(), 40, 7);
  net[1].send(s, Bytes(ByteView(out)));
  net.run_for(10_ms);
  CHECK(server.node->term() < 5);  // it waits for the rest
  SUBCASE("by an end") { net[1].close(s); }
  SUBCASE("by a reset") { net.reset_all(); }
  for (int i = 0; i < 20; ++i) {
    net.run_for(1_ms);
    while (auto done = server.disk.take_done(net.now())) server.node->on_stored(net.now(), done->op, done->error);
    server.transport->run(net.now());
  }
  CHECK(server.node->term() == 5);
  CHECK(server.node->last_snapshot().index == 0);
  CHECK(server.transport->connections() == 0);
  CHECK(server.released == 1);
}

TEST_CASE("raft transport: random bytes never hang it or keep anything") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    ConnNet net(2, seed);
    Caller server(net);
    net[0].on_accepted = [&](Instant now, StreamId s, const Endpoint& from) {
      server.transport->adopt(now, s, from, {});
    };
    bool ended = false;
    net[1].on_eof = [&](Instant, StreamId) { ended = true; };
    const StreamId s = net[1].dial(net[0].rpc(), 1_s);
    net.run_for(5_ms);
    Rng draw(seed, "test", "bytes");
    Buffer out;
    for (int i = 0; i < 10 && !ended; ++i) {
      out.clear();
      wire::append_request(kAsk, wire::RaftDialect::k1_7, out);
      for (std::uint64_t n = draw.below(4); n > 0; --n)
        out[draw.below(out.size())] = static_cast<std::uint8_t>(draw.next());
      net[1].send(s, Bytes(ByteView(out)));
      net.run_for(2_ms);
    }
    if (!ended) net[1].close(s);
    net.run_for(1_s);
    CHECK(server.transport->connections() == 0);
    CHECK(server.released == 1);
  }
}

TEST_CASE("raft transport: InstallSnapshot has a deadline that grows with its size") {
  ConnNet net(2);
  Answerer peer(net);
  Caller caller(net);
  wire::InstallSnapshotRequest install;
  install.header = {3, "id-1", "10.0.0.1:8300"};
  install.term = 3;
  install.size = 3 * 256 * 1024 + 17;
  const Buffer state(static_cast<std::size_t>(install.size), 7);
  caller.transport->send(net.now(), 1000, kPeer, install, Bytes(ByteView(state)));
  REQUIRE(net.run_until([&] { return peer.bytes.size() > state.size(); }, 1_s));
  const StreamId stream = peer.accepted.at(0);
  const auto ended = [&] { return std::find(peer.ended.begin(), peer.ended.end(), stream) != peer.ended.end(); };
  net.run_for(29_s);
  CHECK_FALSE(ended());
  net.run_for(2_s);
  CHECK(ended());
}

TEST_CASE("raft transport: shutdown closes everything and answers nothing") {
  Group group;
  group.start();
  Member& leader = group.elect();
  group.net.run_for(1_s);
  leader.transport->shutdown();
  CHECK(leader.transport->connections() == 0);
  CHECK(leader.rpc->connections() == 0);  // what had been handed to Raft has been given back
}
