#include "wire/rpc.h"

#include <doctest/doctest.h>

#include <string>

#include "support/vectors.h"
#include "wire/consul_messages.h"
#include "wire/yamux.h"

// Consul's port 8300: agent/consul/rpc.go handleConn, and net/rpc with the msgpack codec of consul-net-rpc.

namespace dcsim::test {

using namespace wire;
using namespace wire::rpc;

TEST_CASE("rpc: the first byte selects the protocol; what is refused says why") {
  const RpcListener plain;
  CHECK(route_rpc_byte(0, plain).route == RpcRoute::kConsul);
  CHECK(route_rpc_byte(1, plain).route == RpcRoute::kRaft);
  CHECK(route_rpc_byte(3, plain).route == RpcRoute::kTls);
  CHECK(route_rpc_byte(4, plain).route == RpcRoute::kMultiplex);
  CHECK(route_rpc_byte(5, plain).route == RpcRoute::kSnapshot);
  CHECK(route_rpc_byte(7, plain).route == RpcRoute::kTls);
  CHECK(route_rpc_byte(8, plain).route == RpcRoute::kGrpc);
  for (const int byte : {2, 6, 9, 10, 0x16, 0x47, 255}) {
    CAPTURE(byte);
    const RpcRouting routing = route_rpc_byte(static_cast<std::uint8_t>(byte), plain);
    CHECK(routing.route == RpcRoute::kRefuse);
    CHECK(routing.log == "unrecognized RPC byte");
    CHECK(routing.error);
  }
  CHECK(route_rpc_byte(6, {.areas = true}).route == RpcRoute::kGossip);
  CHECK(route_rpc_byte(1, {.verify_incoming = true}).log == "Non-TLS connection attempted with VerifyIncoming set");
  CHECK_FALSE(route_rpc_byte(1, {.verify_incoming = true}).error);
  CHECK(route_rpc_byte(3, {.verify_incoming = true}).route == RpcRoute::kTls);
  CHECK(route_rpc_byte(1, {.tls = true, .verify_incoming = true}).route == RpcRoute::kRaft);
  CHECK(route_rpc_byte(3, {.tls = true}).log == "TLS connection attempting to establish inner TLS connection");
  CHECK(route_stream_byte(6) == RpcRoute::kGossip);
  CHECK(route_stream_byte(0x82) == RpcRoute::kConsul);
}

TEST_CASE("rpc: headers byte for byte") {
  Buffer request;
  append_request_header("Status.Ping", 1, request);
  encode(Empty{}, request);
  CHECK(to_hex(request) == "82a353657101ad536572766963654d6574686f64ab5374617475732e50696e6780");
  Buffer response;
  append_response_header("Status.Leader", 300, response);
  encode(std::string("10.0.0.1:8300"), response);
  CHECK(to_hex(response) ==
        "83a54572726f72a0a3536571cd012cad536572766963654d6574686f64ad5374617475732e4c6561646572ad31302e302e302e313a3833"
        "3030");
  Buffer error;
  append_error("KVS.Get", 2, "No cluster leader", error);
  CHECK(to_hex(error) ==
        "83a54572726f72b14e6f20636c7573746572206c6561646572a353657102ad536572766963654d6574686f64a74b56532e47657480");
}

TEST_CASE("rpc: calls one behind the other, in pieces of any size") {
  Buffer wire;
  for (std::uint64_t seq = 1; seq <= 4; ++seq) {
    append_request_header(method::kKvsApply, seq, wire);
    encode(KvsRequest{"dc1", "set", {.key = "k" + std::to_string(seq), .value = Bytes(view_of("v"))}, ""}, wire);
  }
  for (const std::size_t step : {std::size_t{1}, std::size_t{11}, wire.size()}) {
    RequestParser parser;
    Request request;
    std::uint64_t seen = 0;
    for (std::size_t at = 0; at < wire.size(); at += step) {
      parser.feed(Bytes(ByteView(wire).subspan(at, std::min(step, wire.size() - at))));
      while (parser.next(request) == RpcStatus::kMessage) {
        CHECK(request.seq == ++seen);
        CHECK(request.service_method == "KVS.Apply");
        KvsRequest kvs;
        REQUIRE(decode(request.body, kvs));
        CHECK(kvs.entry.key == "k" + std::to_string(seen));
      }
    }
    CHECK(seen == 4);
    CHECK(parser.finish() == RaftStreamError::kNone);
  }
}

TEST_CASE("rpc: an error answers in place of the reply, and the stream goes on") {
  Buffer wire;
  append_error("KVS.Get", 7, "rpc error making call: No cluster leader", wire);
  append_response_header("Catalog.ListDatacenters", 8, wire);
  encode(Texts{"dc1", "dc2"}, wire);
  ResponseParser parser;
  parser.feed(Bytes(ByteView(wire)));
  Response response;
  REQUIRE(parser.next(response) == RpcStatus::kMessage);
  CHECK(response.seq == 7);
  CHECK(response.error == "rpc error making call: No cluster leader");
  REQUIRE(parser.next(response) == RpcStatus::kMessage);
  CHECK(response.error.empty());
  Texts datacenters;
  REQUIRE(decode(response.body, datacenters));
  CHECK(datacenters == Texts{"dc1", "dc2"});
  CHECK(parser.next(response) == RpcStatus::kNeedMore);
}

TEST_CASE("rpc: what is no request is refused, with the server's log text, in bounded memory") {
  Request request;
  RequestParser text;
  text.feed(Bytes(view_of("GET / HTTP/1.1\r\n")));
  CHECK(text.next(request) == RpcStatus::kRefused);
  CHECK(text.error_text() == "rpc: server cannot decode request: malformed message");
  RequestParser huge;
  huge.feed(Bytes(from_hex("82a3536571dbffffffff")));
  CHECK(huge.next(request) == RpcStatus::kRefused);
  CHECK(huge.error() == RaftStreamError::kTooLarge);
  RequestParser half;
  half.feed(Bytes(from_hex("82a353657101")));
  CHECK(half.next(request) == RpcStatus::kNeedMore);
  CHECK(half.finish() == RaftStreamError::kTruncated);
}

TEST_CASE("rpc: a call through a yamux stream, as a pool makes it") {
  const Instant now{};
  YamuxSession client(YamuxSession::Side::kClient, {}, now);
  YamuxSession server(YamuxSession::Side::kServer, {}, now);
  const auto carry = [&](YamuxSession& from, YamuxSession& to) {
    while (!from.output().empty()) {
      const std::size_t count = std::min<std::size_t>(9, from.output().size());
      to.receive(from.output().first(count), now);
      from.took(count, now);
    }
  };
  std::uint32_t id = 0, accepted = 0;
  REQUIRE(client.open(id, now) == YamuxError::kNone);
  Buffer wire;
  append_request_header(method::kKvsGet, 1, wire);
  encode(KeyRequest{"dc1", "a", {}}, wire);
  REQUIRE(client.write(id, wire, now) == YamuxError::kNone);
  carry(client, server);

  REQUIRE(server.accept(accepted, now));
  RequestParser requests;
  Request request;
  requests.feed(server.read(accepted, now));
  CHECK(route_stream_byte(wire[0]) == RpcRoute::kConsul);
  REQUIRE(requests.next(request) == RpcStatus::kMessage);
  KeyRequest key;
  REQUIRE(decode(request.body, key));
  wire.clear();
  append_response_header(request.service_method, request.seq, wire);
  encode(IndexedDirEntries{{{.key = key.key, .value = Bytes(view_of("1"))}}, {.index = 7, .known_leader = true}}, wire);
  REQUIRE(server.write(accepted, wire, now) == YamuxError::kNone);
  carry(server, client);

  ResponseParser responses;
  Response response;
  responses.feed(client.read(id, now));
  REQUIRE(responses.next(response) == RpcStatus::kMessage);
  CHECK(response.seq == 1);
  IndexedDirEntries reply;
  REQUIRE(decode(response.body, reply));
  REQUIRE(reply.entries.size() == 1);
  CHECK(text_of(reply.entries[0].value) == "1");
  CHECK(reply.meta.known_leader);
}

TEST_CASE("rpc: the errors of requests that name nothing") {
  std::string_view service, name;
  CHECK_FALSE(split_method("Status", service, name));
  CHECK(ill_formed_method("Status") == "rpc: service/method request ill-formed: Status");
  REQUIRE(split_method("A.B.C", service, name));
  CHECK(service == "A.B");
  CHECK(name == "C");
  CHECK(unknown_service("Foo.Bar") == "rpc: can't find service Foo.Bar");
  CHECK(unknown_method("Status.Bar") == "rpc: can't find method Status.Bar");
}

}  // namespace dcsim::test
