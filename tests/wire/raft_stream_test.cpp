#include "wire/raft_stream.h"

#include <doctest/doctest.h>

#include <string>

#include "support/alloc_counter.h"
#include "support/vectors.h"

namespace dcsim::test {
namespace {

using namespace wire;

constexpr RaftDialect kNow = RaftDialect::k1_7;
const RpcHeader kHeader{3, "11111111-aaaa-4aaa-8aaa-000000000001", "10.0.0.1:8300"};

RaftStreamStatus feed_hex(RaftRequestParser& parser, std::string_view hex, RaftRequest& out, LogWorkspace& ws) {
  parser.feed(Bytes(from_hex(hex)));
  return parser.next(out, ws);
}

}  // namespace

TEST_CASE("raft stream: pipelined requests in one piece come out in order") {
  Buffer wire;
  for (std::uint64_t i = 1; i <= 3; ++i) append_request(RequestPreVoteRequest{kHeader, i, 10 * i, i}, kNow, wire);
  append_request(TimeoutNowRequest{kHeader}, kNow, wire);
  RaftRequestParser parser;
  RaftRequest request;
  LogWorkspace ws;
  parser.feed(Bytes(ByteView(wire)));
  for (std::uint64_t i = 1; i <= 3; ++i) {
    REQUIRE(parser.next(request, ws) == RaftStreamStatus::kMessage);
    CHECK(std::get<RequestPreVoteRequest>(request.body).last_log_index == 10 * i);
  }
  REQUIRE(parser.next(request, ws) == RaftStreamStatus::kMessage);
  CHECK(request.rpc() == RaftRpc::kTimeoutNow);
  CHECK(parser.next(request, ws) == RaftStreamStatus::kNeedMore);
  CHECK(parser.finish() == RaftStreamError::kNone);
}

TEST_CASE("raft stream: a snapshot is handed on piece by piece and the next request follows") {
  const std::string state(1000, 's');
  Buffer wire;
  append_request(InstallSnapshotRequest{.header = kHeader, .snapshot_version = 1, .term = 4, .size = 1000}, kNow, wire);
  wire.insert(wire.end(), state.begin(), state.end());
  append_request(RequestVoteRequest{.header = kHeader, .term = 5}, kNow, wire);
  RaftRequestParser parser;
  RaftRequest request;
  LogWorkspace ws;
  std::string got;
  std::vector<RaftRpc> order;
  for (std::size_t at = 0; at < wire.size(); at += 61) {
    parser.feed(Bytes(ByteView(wire).subspan(at, std::min<std::size_t>(61, wire.size() - at))));
    for (RaftStreamStatus s; (s = parser.next(request, ws)) != RaftStreamStatus::kNeedMore;) {
      REQUIRE(s != RaftStreamStatus::kRefused);
      if (s == RaftStreamStatus::kMessage) order.push_back(request.rpc());
      if (s == RaftStreamStatus::kSnapshot) {
        got += text_of(parser.snapshot());
        CHECK(parser.snapshot_left() == 1000 - got.size());
      }
    }
    CHECK(parser.buffered() < 600);
  }
  CHECK(got == state);
  CHECK(order == std::vector{RaftRpc::kInstallSnapshot, RaftRpc::kRequestVote});
}

TEST_CASE("raft stream: a peer that closes inside a snapshot is noticed") {
  Buffer wire;
  append_request(InstallSnapshotRequest{.size = 10}, kNow, wire);
  RaftRequestParser parser;
  RaftRequest request;
  LogWorkspace ws;
  parser.feed(Bytes(ByteView(wire)));
  REQUIRE(parser.next(request, ws) == RaftStreamStatus::kMessage);
  CHECK(parser.finish() == RaftStreamError::kTruncated);
}

TEST_CASE("raft stream: unknown types are refused for good, pre-vote by the older dialect too") {
  RaftRequest request;
  LogWorkspace ws;
  RaftRequestParser parser;
  CHECK(feed_hex(parser, "0980", request, ws) == RaftStreamStatus::kRefused);
  CHECK(parser.error() == RaftStreamError::kUnknownType);
  CHECK(parser.error_text() == "unknown rpc type 9");
  CHECK(feed_hex(parser, "0380", request, ws) == RaftStreamStatus::kRefused);

  RaftRequestParser old(RaftDialect::k1_1);
  CHECK(feed_hex(old, "0480", request, ws) == RaftStreamStatus::kRefused);
  CHECK(old.error_text() == "unknown rpc type 4");
}

TEST_CASE("raft stream: malformed and boundless input gives errors, in bounded memory") {
  RaftRequest request;
  LogWorkspace ws;
  const auto refused = [&](std::string_view hex) {
    RaftRequestParser parser;
    return feed_hex(parser, hex, request, ws) == RaftStreamStatus::kRefused ? parser.error() : RaftStreamError::kNone;
  };
  CHECK(refused("01c1") == RaftStreamError::kMalformed);                           // not msgpack
  CHECK(refused("0105") == RaftStreamError::kMalformed);                           // not a struct
  CHECK(refused("0181a45465726da178") == RaftStreamError::kMalformed);             // a text as term
  CHECK(refused("0281a453697a65ff") == RaftStreamError::kMalformed);               // a snapshot of -1 bytes
  CHECK(refused("0081a7456e7472696573dfffffffff") == RaftStreamError::kTooLarge);  // claims 2^33 values
  CHECK(refused("0081a44e616d65dbffffffff") == RaftStreamError::kTooLarge);        // claims 4 GiB of text

  SUBCASE("nesting without end costs a counter") {
    RaftRequestParser parser;
    parser.feed(Bytes(Buffer{1}));
    const Bytes nest(Buffer(4096, 0x91));
    for (int i = 0; i < 512; ++i) {
      parser.feed(nest);
      REQUIRE(parser.next(request, ws) == RaftStreamStatus::kNeedMore);
    }
    CHECK(parser.buffered() == 1 + 512 * 4096);
    parser.feed(Bytes(Buffer{0xc1}));
    CHECK(parser.next(request, ws) == RaftStreamStatus::kRefused);
  }
  SUBCASE("more entries than any configuration allows") {
    Buffer wire = from_hex("0081a7456e7472696573dd00010001");
    wire.resize(wire.size() + 0x10001, 0x80);
    RaftRequestParser parser;
    parser.feed(Bytes(ByteView(wire)));
    CHECK(parser.next(request, ws) == RaftStreamStatus::kRefused);
    CHECK(ws.entries.size() <= kMaxRaftEntries);
  }
}

TEST_CASE("raft stream: the error precedes its response, and a refused call keeps the connection usable") {
  Buffer wire;
  append_error_response("rpc: not the leader", wire);
  append_response("", AppendEntriesResponse{kHeader, 7, 42, true, false}, kNow, wire);
  RaftResponseParser parser;
  parser.feed(Bytes(ByteView(wire)));
  RaftResponse response;
  REQUIRE(parser.next(RaftRpc::kAppendEntries, response) == RaftStreamStatus::kMessage);
  CHECK(response.error == "rpc: not the leader");
  CHECK(std::get<AppendEntriesResponse>(response.body).term == 0);
  REQUIRE(parser.next(RaftRpc::kAppendEntries, response) == RaftStreamStatus::kMessage);
  CHECK(response.error.empty());
  CHECK(std::get<AppendEntriesResponse>(response.body).last_log == 42);
}

TEST_CASE("raft stream: heartbeats and their answers allocate nothing in the steady state") {
  Buffer wire, answer;
  RaftRequestParser server;
  RaftResponseParser client;
  RaftRequest request;
  RaftResponse response;
  LogWorkspace ws;
  bool good = true;
  const auto exchange = [&] {
    wire.clear();
    answer.clear();
    append_request(AppendEntriesRequest{.header = kHeader, .term = 7, .leader = kHeader.addr, .entries_nil = true},
                   kNow, wire);
    server.feed(Bytes(ByteView(wire)));
    good &= server.next(request, ws) == RaftStreamStatus::kMessage;
    good &= std::get<AppendEntriesRequest>(request.body).heartbeat();
    append_response("", AppendEntriesResponse{kHeader, 7, 42, true, false}, kNow, answer);
    client.feed(Bytes(ByteView(answer)));
    good &= client.next(RaftRpc::kAppendEntries, response) == RaftStreamStatus::kMessage;
  };
  for (int i = 0; i < 3; ++i) exchange();
  const auto before = allocations();
  for (int i = 0; i < 100; ++i) exchange();
  const auto made = allocations() - before;
  CHECK(made == 0);
  CHECK(good);
}

}  // namespace dcsim::test
