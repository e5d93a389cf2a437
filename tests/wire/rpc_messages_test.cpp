#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support/alloc_counter.h"
#include "support/vectors.h"
#include "wire/consul_messages.h"
#include "wire/msgpack.h"

// Arguments and replies as agent/structs names their members.

namespace dcsim::test {
namespace {

using namespace wire;
using namespace wire::rpc;

/// Names of the outermost map, as they stand on the wire.
std::vector<std::string> names_of(ByteView value) {
  std::vector<std::string> names;
  Reader r(value);
  r.fields([&](std::string_view name) {
    names.emplace_back(name);
    return false;
  });
  REQUIRE(r.ok());
  REQUIRE(r.at_end());
  return names;
}

template <class M>
void check_round_trip(const M& m) {
  Buffer wire;
  encode(m, wire);
  if constexpr (!std::is_same_v<M, Texts> && !std::is_same_v<M, Coordinates> && !std::is_same_v<M, std::string>) {
    const auto names = names_of(wire);
    CHECK(std::is_sorted(names.begin(), names.end()));
    CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
  }
  M back;
  REQUIRE(decode(wire, back));
  CHECK(back == m);
  for (std::size_t cut = 0; cut < wire.size(); ++cut) CHECK_FALSE(decode(ByteView(wire).first(cut), back));
}

const QueryOptions kOptions{"tok", 5, 10_s, true, true, true, 3_s, 4_s, true, 1_ms, "Node == a", true};
const QueryMeta kMeta{99, 12_ms, true, "stale", true, true};
const Node kNode{"id-1", "n1", "10.0.0.1", "dc1", {{"wan", "1.2.3.4"}}, {{"rack", "r1"}}, {3, 4}};
const HealthCheck kSerfHealth{
    "n1", "serfHealth", "Serf Health Status", "passing", "", "Agent alive and reachable", "", "", {}, "", "",
    "",   {7, 8}};
const NodeService kWeb{"",   "web-1",       "web", {"v1", "blue"}, "10.0.0.9", {{"team", "x"}},
                       8080, Weights{2, 1}, true,  {5, 6}};

}  // namespace

TEST_CASE("rpc messages: requests come back as they went, members sorted and flattened") {
  check_round_trip(Empty{});
  check_round_trip(DatacentersRequest{kOptions});
  check_round_trip(DcSpecificRequest{"dc1", {{"a", "b"}}, {"dc2", "alpha", "n", "ip"}, kOptions});
  check_round_trip(ServiceSpecificRequest{
      "dc1", {{"a", "b"}}, "web", "typical", {"t"}, "addr", true, {"dc1", "", "n", ""}, kOptions});
  check_round_trip(NodeSpecificRequest{"dc1", "n1", kOptions});
  check_round_trip(ChecksInStateRequest{"dc1", {}, "critical", {}, kOptions});
  check_round_trip(KeyRequest{"dc1", "a/b", kOptions});
  check_round_trip(KeyListRequest{"dc1", "a/", "/", kOptions});
  check_round_trip(SessionSpecificRequest{"dc1", "s-1", kOptions});
  check_round_trip(RegisterRequest{"dc1",
                                   "id-1",
                                   "n1",
                                   "10.0.0.1",
                                   {{"lan", "10.0.0.1"}},
                                   {{"m", "v"}},
                                   kWeb,
                                   kSerfHealth,
                                   {kSerfHealth, kSerfHealth},
                                   true,
                                   "tok",
                                   {1, 2}});
  check_round_trip(RegisterRequest{});
  check_round_trip(DeregisterRequest{"dc1", "n1", "web-1", "c-1", "tok"});
  check_round_trip(KvsRequest{"dc1", "cas", {9, "k", 42, Bytes(view_of("value")), "s-1", {1, 2}}, "tok"});
  check_round_trip(
      SessionRequest{"dc1",
                     "create",
                     {"s", "lock", "n1", 15_s, "release", "30s", {"serfHealth"}, {{"c", "ns"}}, {"x"}, {1, 2}},
                     "tok"});
  check_round_trip(TombstoneRequest{"dc1", "reap", 77, ""});
  check_round_trip(CoordinateUpdateRequest{"dc1", "n1", "alpha", Coord{{0.5, -1e-9}, 1.5, -0.25, 1e-5}, "tok"});
  check_round_trip(RaftRemovePeerRequest{"dc1", "10.0.0.1:8300", "id-1", "tok"});
  check_round_trip(TransferLeaderRequest{"dc1", "id-1", ""});
  check_round_trip(
      AutopilotSetConfigRequest{"dc1", {true, 200_ms, 250, 3, 10_s, "zone", true, "v", {1, 2}}, true, "tok"});
}

TEST_CASE("rpc messages: replies come back as they went") {
  check_round_trip(std::string("10.0.0.1:8300"));
  check_round_trip(Texts{"dc1", "dc2"});
  check_round_trip(IndexedNodes{{kNode, kNode}, kMeta});
  check_round_trip(IndexedServices{{{"consul", {}}, {"web", {"v1", "v2"}}}, kMeta});
  check_round_trip(IndexedServiceNodes{{{"id-1",
                                         "n1",
                                         "10.0.0.1",
                                         "dc1",
                                         {{"wan", "w"}},
                                         {{"m", "v"}},
                                         "k",
                                         "web-1",
                                         "web",
                                         {"t"},
                                         "10.0.0.9",
                                         {{"a", "b"}},
                                         80,
                                         {1, 2},
                                         true,
                                         {3, 4}}},
                                       kMeta});
  check_round_trip(IndexedNodeServices{NodeServices{kNode, {{"web-1", kWeb}}}, kMeta});
  check_round_trip(IndexedNodeServices{std::nullopt, kMeta});
  check_round_trip(IndexedHealthChecks{{kSerfHealth}, kMeta});
  check_round_trip(IndexedCheckServiceNodes{{{kNode, kWeb, {kSerfHealth}}}, kMeta});
  check_round_trip(IndexedDirEntries{{{9, "k", 42, Bytes(view_of("v")), "s", {1, 2}}}, kMeta});
  check_round_trip(IndexedKeyList{{"a", "b/"}, kMeta});
  check_round_trip(IndexedSessions{{{"s", "n", "n1", 15_s, "delete", "", {}, {}, {}, {1, 2}}}, kMeta});
  check_round_trip(Coordinates{{"n1", "", Coord{{1.0}, 0.1, 0.2, 0.3}}, {"n2", "alpha", std::nullopt}});
  check_round_trip(RaftStats{"12.5ms", 7, 99});
  check_round_trip(RaftConfigurationResponse{{{"id", "n1", "10.0.0.1:8300", true, "3", true, 99}}, 12});
  check_round_trip(TransferLeaderResponse{true});
  check_round_trip(AutopilotConfig{true, 200_ms, 250, 3, 10_s, "", false, "", {1, 2}});
  check_round_trip(AutopilotHealthReply{
      true, 1, {{"id", "n1", "a", 1, "1.21.4", true, 10_ms, 3, 99, true, true, GoTime::from_unix(1'700'000'000'000)}}});
  check_round_trip(AutopilotState{true,
                                  1,
                                  {{"id",
                                    {{"id", "n1", "a", "alive", "1.21.4", {{"m", "v"}}, 3, true, "voter"},
                                     "leader",
                                     {0_s, 3, 99},
                                     {true, GoTime::from_unix(5)}}}},
                                  "id",
                                  {"id"}});
}

TEST_CASE("rpc messages: a KVS command is written as Consul's codec writes it") {
  Buffer out;
  append_command(CommandType::kKvs, KvsRequest{"dc1", "set", {.key = "k", .value = Bytes(view_of("v"))}, ""}, out);
  CHECK(to_hex(out) ==
        "02"  // KVSRequestType
        "84aa44617461"
        "63656e746572a3646331"        // Datacenter: dc1
        "a6446972456e7487"            // DirEnt, seven members
        "ab437265617465496e64657800"  // CreateIndex
        "a5466c61677300"
        "a34b6579a16b"                // Flags, Key
        "a94c6f636b496e64657800"      // LockIndex
        "ab4d6f64696679496e64657800"  // ModifyIndex
        "a753657373696f6ea0"
        "a556616c7565a176"  // Session, Value
        "a24f70a3736574"
        "a5546f6b656ea0");  // Op, Token
  KvsRequest back;
  REQUIRE(decode_command(out, back));
  CHECK(back.entry.key == "k");
  CHECK(command_name(out[0]) == "KVS");
  CHECK(command_name(77) == "Unknown(77)");
}

TEST_CASE("rpc messages: members of other releases are skipped, missing ones are zero, nil is zero") {
  // A query from a server with peering and Enterprise members, an old one without most, and Go's nil pointers in a
  // list.
  Buffer query = from_hex("83a8506565724e616d65a178a84c6f63616c69747980a34b6579a16b");
  KeyRequest key;
  REQUIRE(decode(query, key));
  CHECK(key.key == "k");
  CHECK(key.options == QueryOptions{});
  IndexedNodes nodes;
  REQUIRE(decode(from_hex("81a54e6f64657391c0"), nodes));
  CHECK(nodes.nodes.size() == 1);
  REQUIRE(decode(from_hex("81a54e6f646573c0"), nodes));
  CHECK(nodes.nodes.empty());
  CHECK_FALSE(decode(from_hex("81a54e6f64657305"), nodes));
}

TEST_CASE("rpc messages: a list of a million empty structs is refused, not stored") {
  Buffer bomb = from_hex("81a54e6f646573dd00100000");
  bomb.resize(bomb.size() + 0x100000, 0x80);
  IndexedNodes nodes;
  CHECK_FALSE(decode(bomb, nodes));
  CHECK(nodes.nodes.size() < 300'000);
}

TEST_CASE("rpc messages: writing a command allocates nothing in the steady state") {
  const KvsRequest request{"dc1", "set", {.key = "some/key", .value = Bytes(view_of("some value"))}, ""};
  Buffer out;
  append_command(CommandType::kKvs, request, out);
  const auto before = allocations();
  for (int i = 0; i < 100; ++i) {
    out.clear();
    append_command(CommandType::kKvs, request, out);
  }
  const auto made = allocations() - before;
  CHECK(made == 0);
}

}  // namespace dcsim::test
