#include <cstdint>
#include <string>
#include <type_traits>

#include "base/check.h"
#include "wire/consul_messages.h"
#include "wire/raft_stream.h"
#include "wire/rpc.h"

// What arrives on port 8300 behind the first byte, chosen by the first byte of the input:
//   0 Raft requests, 1.7   1 Raft requests, 1.1   2..6 responses to each Raft RPC   7 a Raft configuration
//   8 RPC requests, each body as every argument   9 RPC responses   10 a command of the log
// Streams arrive in pieces of the size of the second byte. What decodes must encode to something that decodes the same.

namespace {

using namespace dcsim;
using namespace dcsim::wire;

template <class Feed, class Drain>
void in_pieces(ByteView input, Feed&& feed, Drain&& drain) {
  if (input.empty()) return;
  const std::size_t step = std::size_t{input[0]} + 1;
  input = input.subspan(1);
  for (std::size_t at = 0; at < input.size(); at += step) {
    feed(Bytes(input.subspan(at, std::min(step, input.size() - at))));
    drain();
  }
}

void raft_requests(ByteView input, RaftDialect dialect) {
  RaftRequestParser parser(dialect);
  RaftRequest request;
  LogWorkspace ws;
  in_pieces(
      input, [&](const Bytes& piece) { parser.feed(piece); },
      [&] {
        for (RaftStreamStatus s;
             (s = parser.next(request, ws)) == RaftStreamStatus::kMessage || s == RaftStreamStatus::kSnapshot;) {
          if (s == RaftStreamStatus::kSnapshot) continue;
          Buffer once, twice;
          std::visit([&](const auto& m) { append_request(m, dialect, once); }, request.body);
          RaftRequestParser again(dialect);
          RaftRequest back;
          LogWorkspace other;
          again.feed(Bytes(ByteView(once)));
          DCSIM_CHECK(again.next(back, other) == RaftStreamStatus::kMessage);
          std::visit([&](const auto& m) { append_request(m, dialect, twice); }, back.body);
          DCSIM_CHECK(once == twice);
        }
      });
  (void)parser.finish();
}

void raft_responses(ByteView input, RaftRpc rpc) {
  RaftResponseParser parser;
  RaftResponse response;
  in_pieces(
      input, [&](const Bytes& piece) { parser.feed(piece); },
      [&] {
        while (parser.next(rpc, response) == RaftStreamStatus::kMessage) DCSIM_CHECK(response.rpc() == rpc);
      });
}

template <class M>
void round_trip(ByteView body) {
  M m{};
  if (!rpc::decode(body, m)) return;
  Buffer once, twice;
  rpc::encode(m, once);
  M again{};
  DCSIM_CHECK(rpc::decode(once, again));
  rpc::encode(again, twice);
  DCSIM_CHECK(once == twice);
}

template <class... M>
void each(ByteView body) {
  (round_trip<M>(body), ...);
}

void arguments(ByteView body) {
  each<rpc::Empty, rpc::DatacentersRequest, rpc::DcSpecificRequest, rpc::ServiceSpecificRequest,
       rpc::NodeSpecificRequest, rpc::ChecksInStateRequest, rpc::KeyRequest, rpc::KeyListRequest,
       rpc::SessionSpecificRequest, rpc::RegisterRequest, rpc::DeregisterRequest, rpc::KvsRequest, rpc::SessionRequest,
       rpc::CoordinateUpdateRequest, rpc::RaftRemovePeerRequest, rpc::TransferLeaderRequest,
       rpc::AutopilotSetConfigRequest>(body);
}
void replies(ByteView body) {
  each<std::string, bool, rpc::Texts, rpc::IndexedNodes, rpc::IndexedServices, rpc::IndexedServiceNodes,
       rpc::IndexedNodeServices, rpc::IndexedHealthChecks, rpc::IndexedCheckServiceNodes, rpc::IndexedDirEntries,
       rpc::IndexedKeyList, rpc::IndexedSessions, rpc::RaftStats, rpc::RaftConfigurationResponse,
       rpc::TransferLeaderResponse, rpc::AutopilotConfig, rpc::AutopilotHealthReply, rpc::AutopilotState>(body);
}

template <class Parser, class Message, class Body>
void rpc_stream(ByteView input, Body&& body) {
  Parser parser;
  Message message;
  in_pieces(
      input, [&](const Bytes& piece) { parser.feed(piece); },
      [&] {
        while (parser.next(message) == rpc::RpcStatus::kMessage) body(message.body);
      });
  (void)parser.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const ByteView input(data + 1, size - 1);
  switch (data[0]) {
    case 0:
      raft_requests(input, RaftDialect::k1_7);
      break;
    case 1:
      raft_requests(input, RaftDialect::k1_1);
      break;
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
      raft_responses(input, static_cast<RaftRpc>(data[0] - 2));
      break;
    case 7: {
      Configuration configuration, again;
      if (!decode(input, configuration)) break;
      Buffer once;
      encode(configuration, RaftDialect::k1_7, once);
      DCSIM_CHECK(decode(once, again));
      DCSIM_CHECK(again == configuration);
      break;
    }
    case 8:
      rpc_stream<rpc::RequestParser, rpc::Request>(input, [](const Bytes& body) { arguments(body); });
      break;
    case 9:
      rpc_stream<rpc::ResponseParser, rpc::Response>(input, [](const Bytes& body) { replies(body); });
      break;
    case 10:
      if (input.empty()) break;
      (void)rpc::command_name(input[0]);
      each<rpc::RegisterRequest, rpc::DeregisterRequest, rpc::KvsRequest, rpc::SessionRequest, rpc::TombstoneRequest,
           rpc::Coordinates, rpc::AutopilotSetConfigRequest>(input.subspan(1));
      break;
    default:
      break;
  }
  return 0;
}
