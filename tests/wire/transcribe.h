#pragma once
#include <set>
#include <string>

#include "support/vectors.h"
#include "wire/messages.h"
#include "wire/serf_messages.h"

/// Decoded messages as JSON in the vectors' conventions, and their comparison.
namespace dcsim::test {

inline Json json_of(const wire::OptBytes& b) { return b.nil ? Json(nullptr) : Json("hex:" + to_hex(b.data)); }
inline Json json_of(std::string_view s) { return Json(std::string(s)); }

inline bool is_zero(const Json& j) { return j.is_null() || j == Json(0) || j == Json("") || j == Json(false); }

/// What the vectors add to a message for the reader, derived from its fields or standing for other layers.
inline const std::set<std::string>& annotations() {
  static const std::set<std::string> kKeys{
      "note",     "type",       "serf",          "meta_tags", "state_name", "payload_coordinate", "payload_decoded",
      "Events",   "Events_len", "Events_nonnil", "bits",      "version",    "coordinate",         "inner",
      "inner_hex"};
  return kKeys;
}

/// Empty if `actual` says the same as `expected`; else where they differ. Keys that only one side has must hold zero
/// values (omitted fields) or, on the actual side, be annotations.
inline std::string difference(const Json& expected, const Json& actual, const std::string& at = "") {
  const auto differ = [&] { return at + ": expected " + expected.dump() + ", got " + actual.dump(); };
  if (expected.is_object() && actual.is_object()) {
    for (const auto& [key, value] : expected.items()) {
      if (key == "note") continue;
      if (!actual.contains(key)) {
        if (is_zero(value)) continue;
        return at + "/" + key + ": missing, expected " + value.dump();
      }
      if (auto d = difference(value, actual[key], at + "/" + key); !d.empty()) return d;
    }
    for (const auto& [key, value] : actual.items()) {
      if (!expected.contains(key) && !is_zero(value) && !annotations().contains(key)) {
        return at + "/" + key + ": unexpected " + value.dump();
      }
    }
    return "";
  }
  if (expected.is_array() && actual.is_array()) {
    if (expected.size() != actual.size()) return differ();
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (auto d = difference(expected[i], actual[i], at + "/" + std::to_string(i)); !d.empty()) return d;
    }
    return "";
  }
  if (expected.is_number() && actual.is_number()) {
    const bool real = expected.is_number_float() || actual.is_number_float();
    return (real ? expected.get<double>() == actual.get<double>() : expected == actual) ? "" : differ();
  }
  return expected == actual ? "" : differ();
}

inline Json json_of(const wire::serf::Tags& tags) {
  if (tags.bare_role) return Json{{"role", std::string(tags.role)}};
  Json out = Json::object();
  wire::serf::TagReader reader(tags.map);
  for (std::string_view k, v; reader.next(k, v);) out[std::string(k)] = std::string(v);
  return out;
}

inline Json json_of(const wire::serf::Coordinate& c) {
  const auto bits = [](double v) {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(std::bit_cast<std::uint64_t>(v)));
    return std::string(text);
  };
  Json j{{"version", 1}, {"Adjustment", c.adjustment}, {"Error", c.error}, {"Height", c.height}, {"Vec", c.vec}};
  j["bits"] = {{"Adjustment", bits(c.adjustment)}, {"Error", bits(c.error)}, {"Height", bits(c.height)}};
  for (const double x : c.vec) j["bits"]["Vec"].push_back(bits(x));
  return j;
}

inline void add_meta(Json& j, const wire::OptBytes& meta) {
  j["Meta"] = json_of(meta);
  if (!meta.empty() && meta.data[0] == 0xff) j["meta_tags"] = json_of(wire::serf::decode_tags(meta.data));
}

template <class M>
void add_source(Json& j, const M& m) {
  if (!m.source_addr.nil) j["SourceAddr"] = json_of(m.source_addr);
  if (!m.source_node.empty()) j["SourceNode"] = std::string(m.source_node);
  if (m.source_port != 0) j["SourcePort"] = m.source_port;
}

inline Json json_of(const wire::Ping& m) {
  Json j{{"type", "ping"}, {"Node", json_of(m.node)}, {"SeqNo", m.seq_no}};
  add_source(j, m);
  return j;
}
inline Json json_of(const wire::IndirectPing& m) {
  Json j{{"type", "indirectPing"}, {"Nack", m.nack},    {"Node", json_of(m.node)},
         {"Port", m.port},         {"SeqNo", m.seq_no}, {"Target", json_of(m.target)}};
  add_source(j, m);
  return j;
}
inline Json json_of(const wire::Ack& m) {
  Json j{{"type", "ack"}, {"Payload", json_of(m.payload)}, {"SeqNo", m.seq_no}};
  wire::serf::Coordinate c;
  if (wire::serf::decode_coordinate(m.payload.data, c)) j["payload_coordinate"] = json_of(c);
  return j;
}
inline Json json_of(const wire::Nack& m) { return {{"type", "nack"}, {"SeqNo", m.seq_no}}; }
inline Json json_of(const wire::Suspect& m) {
  return {{"type", "suspect"}, {"From", json_of(m.from)}, {"Incarnation", m.incarnation}, {"Node", json_of(m.node)}};
}
inline Json json_of(const wire::Dead& m) {
  return {{"type", "dead"}, {"From", json_of(m.from)}, {"Incarnation", m.incarnation}, {"Node", json_of(m.node)}};
}
inline Json json_of(const wire::Alive& m) {
  Json j{{"type", "alive"},         {"Addr", json_of(m.addr)}, {"Incarnation", m.incarnation},
         {"Node", json_of(m.node)}, {"Port", m.port},          {"Vsn", json_of(m.vsn)}};
  add_meta(j, m.meta);
  return j;
}
inline Json json_of(const wire::Err& m) { return {{"type", "err"}, {"Error", json_of(m.error)}}; }
inline Json json_of(const wire::PushPullHeader& m) {
  return {{"Join", m.join}, {"Nodes", m.nodes}, {"UserStateLen", m.user_state_len}};
}
inline Json json_of(const wire::UserMsgHeader& m) { return {{"UserMsgLen", m.user_msg_len}}; }
inline Json json_of(const wire::PushNodeState& m) {
  static const char* const kStates[] = {"alive", "suspect", "dead", "left"};
  Json j{{"Addr", json_of(m.addr)}, {"Incarnation", m.incarnation}, {"Name", json_of(m.name)}, {"Port", m.port},
         {"State", m.state},        {"Vsn", json_of(m.vsn)}};
  if (m.state >= 0 && m.state <= 3) j["state_name"] = kStates[m.state];
  add_meta(j, m.meta);
  return j;
}

inline Json texts_of(const wire::RawList& list) {
  if (list.nil) return nullptr;
  Json j = Json::array();
  wire::serf::TextReader reader(list);
  for (std::string_view text; reader.next(text);) j.push_back(std::string(text));
  return j;
}

inline Json serf_json(ByteView message);

inline Json json_of(const wire::serf::Leave& m) {
  return {{"LTime", m.ltime}, {"Node", json_of(m.node)}, {"Prune", m.prune}};
}
inline Json json_of(const wire::serf::Join& m) { return {{"LTime", m.ltime}, {"Node", json_of(m.node)}}; }
inline Json json_of(const wire::serf::PushPull& m) {
  Json j{{"EventLTime", m.event_ltime},
         {"LTime", m.ltime},
         {"QueryLTime", m.query_ltime},
         {"LeftMembers", texts_of(m.left_members)},
         {"StatusLTimes", nullptr}};
  if (!m.status_ltimes.nil) j["StatusLTimes"] = Json::object();
  wire::serf::LTimeReader statuses(m.status_ltimes);
  std::uint64_t ltime = 0;
  for (std::string_view name; statuses.next(name, ltime);) j["StatusLTimes"][std::string(name)] = ltime;

  Json ring = m.events.nil ? Json(nullptr) : Json(Json::array_t(m.events.count));
  Json used = Json::object();
  wire::serf::EventReader slots(m.events);
  for (wire::serf::EventSlot slot; slots.next(slot);) {
    Json events = slot.events.nil ? Json(nullptr) : Json::array();
    wire::serf::RecordedEventReader reader(slot.events);
    for (wire::serf::RecordedEvent e; reader.next(e);) {
      events.push_back({{"Name", json_of(e.name)}, {"Payload", json_of(e.payload)}});
    }
    ring[slot.index] = used[std::to_string(slot.index)] = {{"LTime", slot.ltime}, {"Events", events}};
  }
  j["Events"] = ring;
  j["Events_len"] = m.events.count;
  j["Events_nonnil"] = used;
  return j;
}
inline Json json_of(const wire::serf::UserEvent& m) {
  return {{"CC", m.cc}, {"LTime", m.ltime}, {"Name", json_of(m.name)}, {"Payload", json_of(m.payload)}};
}
inline Json json_of(const wire::serf::Query& m) {
  Json j{{"Addr", json_of(m.addr)},
         {"Flags", m.flags},
         {"ID", m.id},
         {"LTime", m.ltime},
         {"Name", json_of(m.name)},
         {"Payload", json_of(m.payload)},
         {"Port", m.port},
         {"RelayFactor", m.relay_factor},
         {"SourceNode", json_of(m.source_node)},
         {"Timeout_ns", m.timeout.ns},
         {"Filters_hex", nullptr}};
  if (!m.filters.nil) j["Filters_hex"] = Json::array();
  wire::serf::BytesReader reader(m.filters);
  for (wire::OptBytes b; reader.next(b);) j["Filters_hex"].push_back(to_hex(b.data));
  return j;
}
inline Json json_of(const wire::serf::QueryResponse& m) {
  Json j{
      {"Flags", m.flags}, {"From", json_of(m.from)}, {"ID", m.id}, {"LTime", m.ltime}, {"Payload", json_of(m.payload)}};
  if (!m.payload.empty()) j["payload_decoded"] = serf_json(m.payload.data);
  return j;
}
inline Json json_of(const wire::serf::Member& m) {
  if (m.nil) return {{"nil", true}};
  wire::serf::Tags tags;
  tags.map = m.tags;
  return {{"Addr", json_of(m.addr)},
          {"DelegateCur", m.delegate_cur},
          {"DelegateMax", m.delegate_max},
          {"DelegateMin", m.delegate_min},
          {"Name", json_of(m.name)},
          {"Port", m.port},
          {"ProtocolCur", m.protocol_cur},
          {"ProtocolMax", m.protocol_max},
          {"ProtocolMin", m.protocol_min},
          {"Status", m.status},
          {"Tags", m.tags.nil ? Json(nullptr) : json_of(tags)}};
}
inline Json json_of(const wire::serf::KeyRequest& m) { return {{"Key", json_of(m.key)}}; }
inline Json json_of(const wire::serf::KeyResponse& m) {
  return {{"Keys", texts_of(m.keys)},
          {"Message", json_of(m.message)},
          {"PrimaryKey", json_of(m.primary_key)},
          {"Result", m.result}};
}
inline Json json_of(const wire::serf::Relay& m) {
  return {{"header",
           {{"DestAddr", {{"IP", json_of(m.dest_ip)}, {"Port", m.dest_port}, {"Zone", json_of(m.dest_zone)}}},
            {"DestName", json_of(m.dest_name)}}},
          {"inner_hex", to_hex(m.inner)},
          {"inner", serf_json(m.inner)}};
}

/// {"error": ...} if the body is malformed.
template <class M>
Json decoded_json(ByteView body) {
  M m;
  return wire::decode(body, m) ? json_of(m) : Json{{"error", "malformed"}};
}
template <class M>
Json decoded_serf_json(ByteView body) {
  M m;
  return wire::serf::decode(body, m) ? json_of(m) : Json{{"error", "malformed"}};
}

/// A Serf message with its type byte, as captures show it.
inline Json serf_json(ByteView message) {
  using wire::serf::MessageType;
  if (message.empty()) return {{"error", "empty"}};
  const auto type = static_cast<MessageType>(message[0]);
  const ByteView body = message.subspan(1);
  Json j;
  switch (type) {
    case MessageType::kLeave:
      j = decoded_serf_json<wire::serf::Leave>(body);
      break;
    case MessageType::kJoin:
      j = decoded_serf_json<wire::serf::Join>(body);
      break;
    case MessageType::kPushPull:
      j = decoded_serf_json<wire::serf::PushPull>(body);
      break;
    case MessageType::kUserEvent:
      j = decoded_serf_json<wire::serf::UserEvent>(body);
      break;
    case MessageType::kQuery:
      j = decoded_serf_json<wire::serf::Query>(body);
      break;
    case MessageType::kQueryResponse:
      j = decoded_serf_json<wire::serf::QueryResponse>(body);
      break;
    case MessageType::kConflictResponse:
      j = decoded_serf_json<wire::serf::Member>(body);
      break;
    case MessageType::kKeyRequest:
      j = decoded_serf_json<wire::serf::KeyRequest>(body);
      break;
    case MessageType::kKeyResponse:
      j = decoded_serf_json<wire::serf::KeyResponse>(body);
      break;
    case MessageType::kRelay:
      j = decoded_serf_json<wire::serf::Relay>(body);
      break;
    default:
      return {{"serf", "unknown"}, {"type_byte", message[0]}};
  }
  j["serf"] = std::string(wire::serf::name_of(type));
  return j;
}

}  // namespace dcsim::test
