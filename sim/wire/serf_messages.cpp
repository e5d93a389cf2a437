#include "wire/serf_messages.h"

#include <algorithm>

namespace dcsim::wire::serf {
namespace {

void write_type(Writer& w, MessageType type) { w.byte(static_cast<std::uint8_t>(type)); }

void read_text_item(Reader& r) { r.text(); }
void read_bytes_item(Reader& r) { r.bytes(); }
void read_status_pair(Reader& r) { r.key(), r.u64(); }
void read_tag_pair(Reader& r) { r.key(), r.text(); }

bool read_event(Reader& r, RecordedEvent& e) {
  e = {};
  return r.fields([&](std::string_view name) {
    if (name == "Name") return e.name = r.text(), true;
    if (name == "Payload") return e.payload = r.bytes(), true;
    return false;
  });
}
void read_event_item(Reader& r) {
  RecordedEvent e;
  read_event(r, e);
}

bool read_slot(Reader& r, EventSlot& slot) {
  slot.ltime = 0;
  slot.events = {};
  return r.fields([&](std::string_view name) {
    if (name == "Events") return slot.events = r.list(read_event_item), true;
    if (name == "LTime") return slot.ltime = r.u64(), true;
    return false;
  });
}
void read_slot_item(Reader& r) {
  if (r.take_nil()) return;
  EventSlot slot;
  read_slot(r, slot);
}

}  // namespace

std::string_view name_of(MessageType type) {
  switch (type) {
    case MessageType::kLeave:
      return "leave";
    case MessageType::kJoin:
      return "join";
    case MessageType::kPushPull:
      return "pushPull";
    case MessageType::kUserEvent:
      return "userEvent";
    case MessageType::kQuery:
      return "query";
    case MessageType::kQueryResponse:
      return "queryResponse";
    case MessageType::kConflictResponse:
      return "conflictResponse";
    case MessageType::kKeyRequest:
      return "keyRequest";
    case MessageType::kKeyResponse:
      return "keyResponse";
    case MessageType::kRelay:
      return "relay";
  }
  return "unknown";
}

void encode(const Leave& m, Buffer& out) {
  Writer w(out);
  write_type(w, MessageType::kLeave);
  w.map(3);
  w.key("LTime"), w.unsigned_int(m.ltime);
  w.key("Node"), w.text(m.node);
  w.key("Prune"), w.boolean(m.prune);
}

void encode(const Join& m, Buffer& out) {
  Writer w(out);
  write_type(w, MessageType::kJoin);
  w.map(2);
  w.key("LTime"), w.unsigned_int(m.ltime);
  w.key("Node"), w.text(m.node);
}

void encode(const PushPull& m, Buffer& out) {
  Writer w(out);
  write_type(w, MessageType::kPushPull);
  w.map(6);
  w.key("EventLTime"), w.unsigned_int(m.event_ltime);
  w.key("Events"), w.list(m.events);
  w.key("LTime"), w.unsigned_int(m.ltime);
  w.key("LeftMembers"), w.list(m.left_members);
  w.key("QueryLTime"), w.unsigned_int(m.query_ltime);
  w.key("StatusLTimes"), w.dict(m.status_ltimes);
}

void encode(const UserEvent& m, Buffer& out) {
  Writer w(out);
  write_type(w, MessageType::kUserEvent);
  w.map(4);
  w.key("CC"), w.boolean(m.cc);
  w.key("LTime"), w.unsigned_int(m.ltime);
  w.key("Name"), w.text(m.name);
  w.key("Payload"), w.bytes(m.payload);
}

void encode(const Query& m, Buffer& out, IntStyle style) {
  Writer w(out);
  write_type(w, MessageType::kQuery);
  w.map(11);
  w.key("Addr"), w.bytes(m.addr);
  w.key("Filters"), w.list(m.filters);
  w.key("Flags"), w.unsigned_int(m.flags);
  w.key("ID"), w.unsigned_int(m.id);
  w.key("LTime"), w.unsigned_int(m.ltime);
  w.key("Name"), w.text(m.name);
  w.key("Payload"), w.bytes(m.payload);
  w.key("Port"), w.unsigned_int(m.port);
  w.key("RelayFactor"), w.unsigned_int(m.relay_factor);
  w.key("SourceNode"), w.text(m.source_node);
  w.key("Timeout"), w.signed_int(m.timeout.ns, style);
}

void encode(const QueryResponse& m, Buffer& out) {
  Writer w(out);
  write_type(w, MessageType::kQueryResponse);
  w.map(5);
  w.key("Flags"), w.unsigned_int(m.flags);
  w.key("From"), w.text(m.from);
  w.key("ID"), w.unsigned_int(m.id);
  w.key("LTime"), w.unsigned_int(m.ltime);
  w.key("Payload"), w.bytes(m.payload);
}

void encode(const Member& m, Buffer& out, IntStyle style) {
  Writer w(out);
  write_type(w, MessageType::kConflictResponse);
  if (m.nil) return w.nil();
  w.map(11);
  w.key("Addr"), w.bytes(m.addr);
  w.key("DelegateCur"), w.unsigned_int(m.delegate_cur);
  w.key("DelegateMax"), w.unsigned_int(m.delegate_max);
  w.key("DelegateMin"), w.unsigned_int(m.delegate_min);
  w.key("Name"), w.text(m.name);
  w.key("Port"), w.unsigned_int(m.port);
  w.key("ProtocolCur"), w.unsigned_int(m.protocol_cur);
  w.key("ProtocolMax"), w.unsigned_int(m.protocol_max);
  w.key("ProtocolMin"), w.unsigned_int(m.protocol_min);
  w.key("Status"), w.signed_int(m.status, style);
  w.key("Tags"), w.dict(m.tags);
}

void encode(const KeyRequest& m, Buffer& out) {
  Writer w(out);
  write_type(w, MessageType::kKeyRequest);
  w.map(1);
  w.key("Key"), w.bytes(m.key);
}

void encode(const KeyResponse& m, Buffer& out) {
  Writer w(out);
  write_type(w, MessageType::kKeyResponse);
  w.map(4);
  w.key("Keys"), w.list(m.keys);
  w.key("Message"), w.text(m.message);
  w.key("PrimaryKey"), w.text(m.primary_key);
  w.key("Result"), w.boolean(m.result);
}

void encode(const Relay& m, Buffer& out, IntStyle style) {
  Writer w(out);
  write_type(w, MessageType::kRelay);
  w.map(2);
  w.key("DestAddr");
  w.map(3);
  w.key("IP"), w.bytes(m.dest_ip);
  w.key("Port"), w.signed_int(m.dest_port, style);
  w.key("Zone"), w.text(m.dest_zone);
  w.key("DestName"), w.text(m.dest_name);
  w.append(m.inner);
}

bool decode(ByteView body, Leave& m) {
  m = {};
  Reader r(body);
  return r.fields([&](std::string_view name) {
    if (name == "LTime") return m.ltime = r.u64(), true;
    if (name == "Node") return m.node = r.text(), true;
    if (name == "Prune") return m.prune = r.boolean(), true;
    return false;
  });
}

bool decode(ByteView body, Join& m) {
  m = {};
  Reader r(body);
  return r.fields([&](std::string_view name) {
    if (name == "LTime") return m.ltime = r.u64(), true;
    if (name == "Node") return m.node = r.text(), true;
    return false;
  });
}

bool decode(ByteView body, PushPull& m) {
  m = {};
  Reader r(body);
  return r.fields([&](std::string_view name) {
    if (name == "EventLTime") return m.event_ltime = r.u64(), true;
    if (name == "Events") return m.events = r.list(read_slot_item), true;
    if (name == "LTime") return m.ltime = r.u64(), true;
    if (name == "LeftMembers") return m.left_members = r.list(read_text_item), true;
    if (name == "QueryLTime") return m.query_ltime = r.u64(), true;
    if (name == "StatusLTimes") return m.status_ltimes = r.dict(read_status_pair), true;
    return false;
  });
}

bool decode(ByteView body, UserEvent& m) {
  m = {};
  Reader r(body);
  return r.fields([&](std::string_view name) {
    if (name == "CC") return m.cc = r.boolean(), true;
    if (name == "LTime") return m.ltime = r.u64(), true;
    if (name == "Name") return m.name = r.text(), true;
    if (name == "Payload") return m.payload = r.bytes(), true;
    return false;
  });
}

bool decode(ByteView body, Query& m) {
  m = {};
  Reader r(body);
  return r.fields([&](std::string_view name) {
    if (name == "Addr") return m.addr = r.bytes(), true;
    if (name == "Filters") return m.filters = r.list(read_bytes_item), true;
    if (name == "Flags") return m.flags = r.u32(), true;
    if (name == "ID") return m.id = r.u32(), true;
    if (name == "LTime") return m.ltime = r.u64(), true;
    if (name == "Name") return m.name = r.text(), true;
    if (name == "Payload") return m.payload = r.bytes(), true;
    if (name == "Port") return m.port = r.u16(), true;
    if (name == "RelayFactor") return m.relay_factor = r.u8(), true;
    if (name == "SourceNode") return m.source_node = r.text(), true;
    if (name == "Timeout") return m.timeout = {r.i64()}, true;
    return false;
  });
}

bool decode(ByteView body, QueryResponse& m) {
  m = {};
  Reader r(body);
  return r.fields([&](std::string_view name) {
    if (name == "Flags") return m.flags = r.u32(), true;
    if (name == "From") return m.from = r.text(), true;
    if (name == "ID") return m.id = r.u32(), true;
    if (name == "LTime") return m.ltime = r.u64(), true;
    if (name == "Payload") return m.payload = r.bytes(), true;
    return false;
  });
}

bool decode(ByteView body, Member& m) {
  m = {};
  Reader r(body);
  if (r.take_nil()) return m.nil = true;
  return r.fields([&](std::string_view name) {
    if (name == "Addr") return m.addr = r.bytes(), true;
    if (name == "DelegateCur") return m.delegate_cur = r.u8(), true;
    if (name == "DelegateMax") return m.delegate_max = r.u8(), true;
    if (name == "DelegateMin") return m.delegate_min = r.u8(), true;
    if (name == "Name") return m.name = r.text(), true;
    if (name == "Port") return m.port = r.u16(), true;
    if (name == "ProtocolCur") return m.protocol_cur = r.u8(), true;
    if (name == "ProtocolMax") return m.protocol_max = r.u8(), true;
    if (name == "ProtocolMin") return m.protocol_min = r.u8(), true;
    if (name == "Status") return m.status = r.i64(), true;
    if (name == "Tags") return m.tags = r.dict(read_tag_pair), true;
    return false;
  });
}

bool decode(ByteView body, KeyRequest& m) {
  m = {};
  Reader r(body);
  return r.fields([&](std::string_view name) {
    if (name == "Key") return m.key = r.bytes(), true;
    return false;
  });
}

bool decode(ByteView body, KeyResponse& m) {
  m = {};
  Reader r(body);
  return r.fields([&](std::string_view name) {
    if (name == "Keys") return m.keys = r.list(read_text_item), true;
    if (name == "Message") return m.message = r.text(), true;
    if (name == "PrimaryKey") return m.primary_key = r.text(), true;
    if (name == "Result") return m.result = r.boolean(), true;
    return false;
  });
}

bool decode(ByteView body, Relay& m) {
  m = {};
  Reader r(body);
  const auto address = [&](std::string_view name) {
    if (name == "IP") return m.dest_ip = r.bytes(), true;
    if (name == "Port") return m.dest_port = r.i64(), true;
    if (name == "Zone") return m.dest_zone = r.text(), true;
    return false;
  };
  r.fields([&](std::string_view name) {
    if (name == "DestAddr") return r.fields(address), true;
    if (name == "DestName") return m.dest_name = r.text(), true;
    return false;
  });
  m.inner = r.rest();
  return r.ok();
}

void Items::add_text(std::string_view text) {
  Writer(bytes_).text(text);
  ++count_;
}
void Items::add_bytes(ByteView bytes) {
  Writer(bytes_).raw(bytes);
  ++count_;
}
void Items::add_status(std::string_view name, std::uint64_t ltime) {
  Writer w(bytes_);
  w.text(name), w.unsigned_int(ltime);
  ++count_;
}
void Items::add_tag(std::string_view key, std::string_view value) {
  Writer w(bytes_);
  w.text(key), w.text(value);
  ++count_;
}
void Items::add_event(std::string_view name, const OptBytes& payload) {
  Writer w(bytes_);
  w.map(2);
  w.key("Name"), w.text(name);
  w.key("Payload"), w.bytes(payload);
  ++count_;
}
void Items::add_slot(std::uint64_t ltime, const Items& events) {
  Writer w(bytes_);
  w.map(2);
  w.key("Events"), w.list(events.list());
  w.key("LTime"), w.unsigned_int(ltime);
  ++count_;
}

bool TextReader::next(std::string_view& text) {
  if (left_ == 0) return false;
  --left_;
  text = reader_.text();
  return reader_.ok();
}
bool BytesReader::next(OptBytes& bytes) {
  if (left_ == 0) return false;
  --left_;
  bytes = reader_.bytes();
  return reader_.ok();
}
bool LTimeReader::next(std::string_view& name, std::uint64_t& ltime) {
  if (left_ == 0) return false;
  --left_;
  name = reader_.key();
  ltime = reader_.u64();
  return reader_.ok();
}
bool TagReader::next(std::string_view& key, std::string_view& value) {
  if (left_ == 0) return false;
  --left_;
  key = reader_.key();
  value = reader_.text();
  return reader_.ok();
}
bool RecordedEventReader::next(RecordedEvent& event) {
  if (left_ == 0) return false;
  --left_;
  return read_event(reader_, event);
}
bool EventReader::next(EventSlot& slot) {
  while (at_ < count_ && reader_.take_nil()) ++at_;
  if (at_ == count_) return false;
  slot.index = at_++;
  return read_slot(reader_, slot);
}

void encode(const Filter& filter, Buffer& out) {
  Writer w(out);
  w.byte(static_cast<std::uint8_t>(filter.kind));
  if (filter.kind == Filter::Kind::kNodes) return w.list(filter.nodes);
  w.map(2);
  w.key("Expr"), w.text(filter.expr);
  w.key("Tag"), w.text(filter.tag);
}

bool decode(ByteView filter, Filter& out) {
  out = {};
  if (filter.empty()) return false;
  Reader r(filter.subspan(1));
  if (filter[0] == 0) {
    out.kind = Filter::Kind::kNodes;
    out.nodes = r.list(read_text_item);
    return r.ok();
  }
  if (filter[0] != 1) return true;
  out.kind = Filter::Kind::kTag;
  return r.fields([&](std::string_view name) {
    if (name == "Expr") return out.expr = r.text(), true;
    if (name == "Tag") return out.tag = r.text(), true;
    return false;
  });
}

namespace {
constexpr std::uint8_t kTagMagic = 0xff;
constexpr std::uint8_t kCoordinateVersion = 1;
}  // namespace

void encode_tags(const RawMap& tags, Buffer& out) {
  Writer w(out);
  w.byte(kTagMagic);
  w.dict(tags);
}

Tags decode_tags(ByteView meta) {
  Tags tags;
  if (meta.empty() || meta[0] != kTagMagic) {
    tags.bare_role = true;
    tags.role = text_of(meta);
    return tags;
  }
  Reader r(meta.subspan(1));
  if (r.take_nil()) return tags;
  const std::uint32_t claimed = r.map();
  const std::size_t from = r.position();
  tags.map.nil = !r.ok();
  std::size_t to = from;
  for (std::uint32_t i = 0; i < claimed; ++i) {
    read_tag_pair(r);
    if (!r.ok()) break;
    to = r.position();
    ++tags.map.count;
  }
  tags.map.items = meta.subspan(1 + from, to - from);
  return tags;
}

std::string_view find_tag(const Tags& tags, std::string_view key, bool* found) {
  bool hit = false;
  std::string_view value;
  if (tags.bare_role) {
    hit = key == "role";
    if (hit) value = tags.role;
  }
  TagReader reader(tags.map);
  for (std::string_view k, v; reader.next(k, v);) {
    if (k == key) hit = true, value = v;  // a repeated key: the last one wins, as in a Go map
  }
  if (found != nullptr) *found = hit;
  return value;
}

void encode_coordinate(const Coordinate& coordinate, Buffer& out) {
  Writer w(out);
  w.byte(kCoordinateVersion);
  w.map(4);
  w.key("Adjustment"), w.f64(coordinate.adjustment);
  w.key("Error"), w.f64(coordinate.error);
  w.key("Height"), w.f64(coordinate.height);
  w.key("Vec"), w.array(Coordinate::kDimensions);
  for (const double component : coordinate.vec) w.f64(component);
}

bool decode_coordinate(ByteView payload, Coordinate& coordinate) {
  coordinate = {};
  coordinate.error = coordinate.height = 0;
  coordinate.dimensions = 0;
  if (payload.empty() || payload[0] != kCoordinateVersion) return false;
  Reader r(payload.subspan(1));
  return r.fields([&](std::string_view name) {
    if (name == "Adjustment") return coordinate.adjustment = r.f64(), true;
    if (name == "Error") return coordinate.error = r.f64(), true;
    if (name == "Height") return coordinate.height = r.f64(), true;
    if (name != "Vec") return false;
    coordinate.dimensions = r.array();
    for (std::uint32_t i = 0; i < coordinate.dimensions && r.ok(); ++i) {
      const double component = r.f64();
      if (i < Coordinate::kDimensions) coordinate.vec[i] = component;
    }
    return true;
  });
}

}  // namespace dcsim::wire::serf
