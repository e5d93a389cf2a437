#include "wire/rpc.h"

#include "wire/msgpack.h"

namespace dcsim::wire::rpc {
namespace {

constexpr std::string_view kUnrecognized = "unrecognized RPC byte";
constexpr std::string_view kNeedsTls = "Non-TLS connection attempted with VerifyIncoming set";
constexpr std::string_view kTlsInTls = "TLS connection attempting to establish inner TLS connection";

RpcRouting to(RpcRoute route) { return {route, {}, false}; }
RpcRouting refuse(std::string_view log, bool error) { return {RpcRoute::kRefuse, log, error}; }

RpcStatus status_of(const ValueFrames& frames) {
  return frames.error() == RaftStreamError::kNone ? RpcStatus::kNeedMore : RpcStatus::kRefused;
}

RaftStreamError finish_of(const ValueFrames& frames) {
  if (frames.error() != RaftStreamError::kNone) return frames.error();
  return frames.empty() ? RaftStreamError::kNone : RaftStreamError::kTruncated;
}

template <class Message, class Field>
RpcStatus take(ValueFrames& frames, Message& out, Field&& field) {
  if (frames.error() != RaftStreamError::kNone) return RpcStatus::kRefused;
  Bytes frame;
  if (!frames.take(0, 2, frame)) return status_of(frames);
  out = {};
  out.frame = std::move(frame);
  Reader r(out.frame);
  const bool good = r.fields([&](std::string_view name) {
    if (name == "Seq") return out.seq = r.u64(), true;
    if (name == "ServiceMethod") return out.service_method = r.text(), true;
    return static_cast<bool>(field(r, name));
  });
  if (!good) {
    frames.refuse(RaftStreamError::kMalformed);
    return RpcStatus::kRefused;
  }
  out.body = out.frame.slice(r.position(), out.frame.size() - r.position());
  return RpcStatus::kMessage;
}

void write_response(std::string_view service_method, std::uint64_t seq, std::string_view error, Writer& w) {
  w.map(3);
  w.key("Error"), w.text(error);
  w.key("Seq"), w.unsigned_int(seq);
  w.key("ServiceMethod"), w.text(service_method);
}

}  // namespace

RpcRouting route_rpc_byte(std::uint8_t byte, const RpcListener& listener) {
  const auto type = static_cast<RpcByte>(byte);
  const bool wants_tls = type == RpcByte::kTls || type == RpcByte::kTlsInsecure;
  if (listener.verify_incoming && !listener.tls && !wants_tls) return refuse(kNeedsTls, false);
  switch (type) {
    case RpcByte::kConsul:
      return to(RpcRoute::kConsul);
    case RpcByte::kRaft:
      return to(RpcRoute::kRaft);
    case RpcByte::kTls:
    case RpcByte::kTlsInsecure:
      return listener.tls ? refuse(kTlsInTls, true) : to(RpcRoute::kTls);
    case RpcByte::kMultiplexV2:
      return to(RpcRoute::kMultiplex);
    case RpcByte::kSnapshot:
      return to(RpcRoute::kSnapshot);
    case RpcByte::kGrpc:
      return to(RpcRoute::kGrpc);
    case RpcByte::kGossip:
      return listener.areas ? to(RpcRoute::kGossip) : refuse(kUnrecognized, true);
    case RpcByte::kMultiplex:
    case RpcByte::kRaftForwarding:
      break;
  }
  return refuse(kUnrecognized, true);
}

RpcRoute route_stream_byte(std::uint8_t byte) {
  return byte == static_cast<std::uint8_t>(RpcByte::kGossip) ? RpcRoute::kGossip : RpcRoute::kConsul;
}

void append_request_header(std::string_view service_method, std::uint64_t seq, Buffer& out) {
  Writer w(out);
  w.map(2);
  w.key("Seq"), w.unsigned_int(seq);
  w.key("ServiceMethod"), w.text(service_method);
}

void append_response_header(std::string_view service_method, std::uint64_t seq, Buffer& out) {
  Writer w(out);
  write_response(service_method, seq, {}, w);
}

void append_error(std::string_view service_method, std::uint64_t seq, std::string_view error, Buffer& out) {
  Writer w(out);
  write_response(service_method, seq, error, w);
  w.map(0);
}

std::string ill_formed_method(std::string_view service_method) {
  return "rpc: service/method request ill-formed: " + std::string(service_method);
}
std::string unknown_service(std::string_view service_method) {
  return "rpc: can't find service " + std::string(service_method);
}
std::string unknown_method(std::string_view service_method) {
  return "rpc: can't find method " + std::string(service_method);
}

bool split_method(std::string_view service_method, std::string_view& service, std::string_view& method) {
  const std::size_t dot = service_method.rfind('.');
  if (dot == std::string_view::npos) return false;
  service = service_method.substr(0, dot);
  method = service_method.substr(dot + 1);
  return true;
}

RpcStatus RequestParser::next(Request& out) {
  return take(frames_, out, [](Reader&, std::string_view) { return false; });
}

RaftStreamError RequestParser::finish() const { return finish_of(frames_); }

std::string RequestParser::error_text() const {
  if (error() == RaftStreamError::kNone) return {};
  return "rpc: server cannot decode request: " + std::string(name_of(error()));
}

RpcStatus ResponseParser::next(Response& out) {
  return take(frames_, out, [&](Reader& r, std::string_view name) {
    if (name == "Error") return out.error = r.text(), true;
    return false;
  });
}

RaftStreamError ResponseParser::finish() const { return finish_of(frames_); }

}  // namespace dcsim::wire::rpc
