#include "consul/fsm.h"

#include "wire/msgpack.h"

namespace dcsim::consul {
namespace {

using namespace wire::rpc;

Applied error(std::string text) { return {Applied::Kind::kError, false, std::move(text)}; }
Applied fatal(std::string text) { return {Applied::Kind::kFatal, false, std::move(text)}; }
Applied yes_or_no(bool yes) { return {Applied::Kind::kBool, yes, {}}; }

Applied undecodable(ByteView payload, const char* what = "failed to decode request: ") {
  wire::Reader reader(payload.subspan(1));
  reader.skip();
  const bool ends_early = reader.status() == wire::Reader::Status::kShort;
  return fatal(std::string(what) + (ends_early ? "EOF" : "msgpack decode error"));
}

/// The panic text of fsm.go Apply: %#v of the payload, of which the first bytes are enough here.
Applied unknown_type(ByteView payload) {
  static constexpr char kHex[] = "0123456789abcdef";
  static constexpr std::size_t kMost = 64;
  std::string text = "failed to apply request: []byte{";
  for (std::size_t i = 0; i < payload.size() && i < kMost; ++i) {
    if (i != 0) text += ", ";
    text += "0x";
    if (payload[i] > 15) text += kHex[payload[i] >> 4];
    text += kHex[payload[i] & 15];
  }
  return fatal(text + (payload.size() > kMost ? ", ...}" : "}"));
}

}  // namespace

Applied Fsm::apply(std::uint64_t index, Instant now, ByteView payload) {
  if (payload.empty()) return fatal("runtime error: index out of range [0] with length 0");
  const auto type = static_cast<CommandType>(payload[0] & ~kIgnoreUnknownType);
  const bool may_ignore = (payload[0] & kIgnoreUnknownType) != 0;
  switch (type) {
    case CommandType::kRegister:
    case CommandType::kDeregister:
    case CommandType::kKvs:
    case CommandType::kSession:
    case CommandType::kTombstone:
    case CommandType::kCoordinateBatchUpdate:
    case CommandType::kAutopilot:
      return dispatch({index, now}, type, payload);
    default:
      if (!may_ignore) return unknown_type(payload);
      ++ignored_;
      return {};
  }
}

Applied Fsm::dispatch(const Write& at, CommandType type, ByteView payload) {
  switch (type) {
    case CommandType::kRegister: {
      RegisterRequest request;
      if (!decode_command(payload, request)) return undecodable(payload);
      const StateStore::Status refused = store_->ensure_registration(at, request);
      return refused ? error(refused->text) : Applied{};
    }
    case CommandType::kDeregister: {
      DeregisterRequest request;
      if (!decode_command(payload, request)) return undecodable(payload);
      store_->deregister(at, request);
      return {};
    }
    case CommandType::kKvs:
      return apply_kv(at, payload);
    case CommandType::kSession:
      return apply_session(at, payload);
    case CommandType::kTombstone:
      return apply_tombstone(payload);
    case CommandType::kCoordinateBatchUpdate: {
      Coordinates batch;
      if (!decode_command(payload, batch)) return undecodable(payload, "failed to decode batch updates: ");
      store_->update_coordinates(at, batch);
      return {};
    }
    default:
      return apply_autopilot(at, payload);
  }
}

Applied Fsm::apply_kv(const Write& at, ByteView payload) {
  if (!decode_command(payload, kv_request_)) return undecodable(payload);
  const Result<bool> done = store_->apply_kv(at, kv_request_);
  if (!done.ok()) return error(done.error().text);
  const std::string& op = kv_request_.op;
  const bool unconditional = op == "set" || op == "delete" || op == "delete-tree";
  return unconditional ? Applied{} : yes_or_no(*done);
}

Applied Fsm::apply_session(const Write& at, ByteView payload) {
  SessionRequest request;
  if (!decode_command(payload, request)) return undecodable(payload);
  if (request.op == "create") {
    std::string id = request.session.id;
    if (const StateStore::Status refused = store_->create_session(at, std::move(request.session)))
      return error(refused->text);
    return {Applied::Kind::kText, false, std::move(id)};
  }
  if (request.op != "destroy") return error("Invalid Session operation '" + request.op + "'");
  store_->destroy_session(at, request.session.id);
  return {};
}

Applied Fsm::apply_tombstone(ByteView payload) {
  TombstoneRequest request;
  if (!decode_command(payload, request)) return undecodable(payload);
  if (request.op != "reap") return error("Invalid Tombstone operation '" + request.op + "'");
  store_->reap_tombstones(request.reap_index);
  return {};
}

Applied Fsm::apply_autopilot(const Write& at, ByteView payload) {
  AutopilotSetConfigRequest request;
  if (!decode_command(payload, request)) return undecodable(payload);
  if (request.cas) return yes_or_no(store_->set_autopilot_cas(at, request.config.index.modify_index, request.config));
  store_->set_autopilot(at, request.config);
  return {};
}

}  // namespace dcsim::consul
