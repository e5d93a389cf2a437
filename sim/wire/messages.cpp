#include "wire/messages.h"

namespace dcsim::wire {
namespace {

void write_type(Writer& w, MessageType type) { w.byte(static_cast<std::uint8_t>(type)); }

/// The three optional fields of ping and indirectPing; they sort next to each other.
template <class M>
std::uint32_t source_fields(const M& m) {
  return (m.source_addr.empty() ? 0u : 1u) + (m.source_node.empty() ? 0u : 1u) + (m.source_port == 0 ? 0u : 1u);
}
template <class M>
void write_source(Writer& w, const M& m) {
  if (!m.source_addr.empty()) w.key("SourceAddr"), w.bytes(m.source_addr);
  if (!m.source_node.empty()) w.key("SourceNode"), w.text(m.source_node);
  if (m.source_port != 0) w.key("SourcePort"), w.unsigned_int(m.source_port);
}
template <class M>
bool read_source(Reader& r, std::string_view name, M& m) {
  if (name == "SourceAddr") return m.source_addr = r.bytes(), true;
  if (name == "SourceNode") return m.source_node = r.text(), true;
  if (name == "SourcePort") return m.source_port = r.u16(), true;
  return false;
}

/// suspect and dead have the same body.
template <class M>
void write_accusation(Writer& w, const M& m) {
  w.map(3);
  w.key("From"), w.text(m.from);
  w.key("Incarnation"), w.unsigned_int(m.incarnation);
  w.key("Node"), w.text(m.node);
}
template <class M>
bool read_accusation(Reader& r, M& m) {
  m = {};
  return r.fields([&](std::string_view name) {
    if (name == "From") return m.from = r.text(), true;
    if (name == "Incarnation") return m.incarnation = r.u32(), true;
    if (name == "Node") return m.node = r.text(), true;
    return false;
  });
}

bool read(Reader& r, IndirectPing& m) {
  m = {};
  return r.fields([&](std::string_view name) {
    if (name == "Nack") return m.nack = r.boolean(), true;
    if (name == "Node") return m.node = r.text(), true;
    if (name == "Port") return m.port = r.u16(), true;
    if (name == "SeqNo") return m.seq_no = r.u32(), true;
    if (name == "Target") return m.target = r.bytes(), true;
    return read_source(r, name, m);
  });
}
bool read(Reader& r, Nack& m) {
  m = {};
  return r.fields([&](std::string_view name) {
    if (name == "SeqNo") return m.seq_no = r.u32(), true;
    return false;
  });
}
bool read(Reader& r, Suspect& m) { return read_accusation(r, m); }
bool read(Reader& r, Dead& m) { return read_accusation(r, m); }
bool read(Reader& r, Alive& m) {
  m = {};
  return r.fields([&](std::string_view name) {
    if (name == "Addr") return m.addr = r.bytes(), true;
    if (name == "Incarnation") return m.incarnation = r.u32(), true;
    if (name == "Meta") return m.meta = r.bytes(), true;
    if (name == "Node") return m.node = r.text(), true;
    if (name == "Port") return m.port = r.u16(), true;
    if (name == "Vsn") return m.vsn = r.bytes(), true;
    return false;
  });
}

template <class M>
bool decode_body(ByteView body, M& m) {
  Reader r(body);
  return read(r, m);
}

std::size_t int_size(std::uint64_t v) {
  return v < 0x80 ? 1 : v <= 0xff ? 2 : v <= 0xffff ? 3 : v <= 0xffffffffu ? 5 : 9;
}
std::size_t signed_size(std::int64_t v, IntStyle style) {
  if (v >= 0 && (v < 0x80 || style == IntStyle::kOld)) return int_size(static_cast<std::uint64_t>(v));
  if (v >= -32 && v < 0) return 1;
  if (v >= -128 && v < 0) return 2;
  return v >= -32768 && v <= 32767 ? 3 : v >= -2147483648LL && v <= 2147483647 ? 5 : 9;
}
std::size_t raw_size(std::size_t n) { return n + (n < 32 ? 1 : n <= 0xffff ? 3 : 5); }
std::size_t bytes_size(const OptBytes& b) { return b.nil ? 1 : raw_size(b.data.size()); }

}  // namespace

std::string_view name_of(MessageType type) {
  switch (type) {
    case MessageType::kPing:
      return "ping";
    case MessageType::kIndirectPing:
      return "indirectPing";
    case MessageType::kAck:
      return "ack";
    case MessageType::kSuspect:
      return "suspect";
    case MessageType::kAlive:
      return "alive";
    case MessageType::kDead:
      return "dead";
    case MessageType::kPushPull:
      return "pushPull";
    case MessageType::kCompound:
      return "compound";
    case MessageType::kUser:
      return "user";
    case MessageType::kCompress:
      return "compress";
    case MessageType::kEncrypt:
      return "encrypt";
    case MessageType::kNack:
      return "nack";
    case MessageType::kHasCrc:
      return "hasCrc";
    case MessageType::kErr:
      return "err";
    case MessageType::kHasLabel:
      return "hasLabel";
  }
  return "unknown";
}

void encode(const Ping& m, Buffer& out) {
  Writer w(out);
  write_type(w, MessageType::kPing);
  w.map(2 + source_fields(m));
  w.key("Node"), w.text(m.node);
  w.key("SeqNo"), w.unsigned_int(m.seq_no);
  write_source(w, m);
}

void encode(const IndirectPing& m, Buffer& out) {
  Writer w(out);
  write_type(w, MessageType::kIndirectPing);
  w.map(5 + source_fields(m));
  w.key("Nack"), w.boolean(m.nack);
  w.key("Node"), w.text(m.node);
  w.key("Port"), w.unsigned_int(m.port);
  w.key("SeqNo"), w.unsigned_int(m.seq_no);
  write_source(w, m);
  w.key("Target"), w.bytes(m.target);
}

void encode(const Ack& m, Buffer& out) {
  Writer w(out);
  write_type(w, MessageType::kAck);
  w.map(2);
  w.key("Payload"), w.bytes(m.payload);
  w.key("SeqNo"), w.unsigned_int(m.seq_no);
}

void encode(const Nack& m, Buffer& out) {
  Writer w(out);
  write_type(w, MessageType::kNack);
  w.map(1);
  w.key("SeqNo"), w.unsigned_int(m.seq_no);
}

void encode(const Suspect& m, Buffer& out) {
  Writer w(out);
  write_type(w, MessageType::kSuspect);
  write_accusation(w, m);
}

void encode(const Dead& m, Buffer& out) {
  Writer w(out);
  write_type(w, MessageType::kDead);
  write_accusation(w, m);
}

void encode(const Alive& m, Buffer& out) {
  Writer w(out);
  write_type(w, MessageType::kAlive);
  w.map(6);
  w.key("Addr"), w.bytes(m.addr);
  w.key("Incarnation"), w.unsigned_int(m.incarnation);
  w.key("Meta"), w.bytes(m.meta);
  w.key("Node"), w.text(m.node);
  w.key("Port"), w.unsigned_int(m.port);
  w.key("Vsn"), w.bytes(m.vsn);
}

void encode(const Err& m, Buffer& out) {
  Writer w(out);
  write_type(w, MessageType::kErr);
  w.map(1);
  w.key("Error"), w.text(m.error);
}

void encode(const PushPullHeader& m, Buffer& out, IntStyle style) {
  Writer w(out);
  write_type(w, MessageType::kPushPull);
  w.map(3);
  w.key("Join"), w.boolean(m.join);
  w.key("Nodes"), w.signed_int(m.nodes, style);
  w.key("UserStateLen"), w.signed_int(m.user_state_len, style);
}

void encode(const UserMsgHeader& m, Buffer& out, IntStyle style) {
  Writer w(out);
  write_type(w, MessageType::kUser);
  w.map(1);
  w.key("UserMsgLen"), w.signed_int(m.user_msg_len, style);
}

void encode(const PushNodeState& m, Buffer& out) {
  Writer w(out);
  w.map(7);
  w.key("Addr"), w.bytes(m.addr);
  w.key("Incarnation"), w.unsigned_int(m.incarnation);
  w.key("Meta"), w.bytes(m.meta);
  w.key("Name"), w.text(m.name);
  w.key("Port"), w.unsigned_int(m.port);
  w.key("State"), w.signed_int(m.state, IntStyle::kOld);
  w.key("Vsn"), w.bytes(m.vsn);
}

void encode_user(ByteView message, Buffer& out) {
  Writer w(out);
  write_type(w, MessageType::kUser);
  w.append(message);
}

bool read(Reader& r, Ping& m) {
  m = {};
  return r.fields([&](std::string_view name) {
    if (name == "Node") return m.node = r.text(), true;
    if (name == "SeqNo") return m.seq_no = r.u32(), true;
    return read_source(r, name, m);
  });
}

bool read(Reader& r, Ack& m) {
  m = {};
  return r.fields([&](std::string_view name) {
    if (name == "Payload") return m.payload = r.bytes(), true;
    if (name == "SeqNo") return m.seq_no = r.u32(), true;
    return false;
  });
}

bool read(Reader& r, Err& m) {
  m = {};
  return r.fields([&](std::string_view name) {
    if (name == "Error") return m.error = r.text(), true;
    return false;
  });
}

bool read(Reader& r, PushPullHeader& m) {
  m = {};
  return r.fields([&](std::string_view name) {
    if (name == "Join") return m.join = r.boolean(), true;
    if (name == "Nodes") return m.nodes = r.i64(), true;
    if (name == "UserStateLen") return m.user_state_len = r.i64(), true;
    return false;
  });
}

bool read(Reader& r, UserMsgHeader& m) {
  m = {};
  return r.fields([&](std::string_view name) {
    if (name == "UserMsgLen") return m.user_msg_len = r.i64(), true;
    return false;
  });
}

bool read(Reader& r, PushNodeState& m) {
  m = {};
  return r.fields([&](std::string_view name) {
    if (name == "Addr") return m.addr = r.bytes(), true;
    if (name == "Incarnation") return m.incarnation = r.u32(), true;
    if (name == "Meta") return m.meta = r.bytes(), true;
    if (name == "Name") return m.name = r.text(), true;
    if (name == "Port") return m.port = r.u16(), true;
    if (name == "State") return m.state = r.i64(), true;
    if (name == "Vsn") return m.vsn = r.bytes(), true;
    return false;
  });
}

bool decode(ByteView body, Ping& m) { return decode_body(body, m); }
bool decode(ByteView body, IndirectPing& m) { return decode_body(body, m); }
bool decode(ByteView body, Ack& m) { return decode_body(body, m); }
bool decode(ByteView body, Nack& m) { return decode_body(body, m); }
bool decode(ByteView body, Suspect& m) { return decode_body(body, m); }
bool decode(ByteView body, Dead& m) { return decode_body(body, m); }
bool decode(ByteView body, Alive& m) { return decode_body(body, m); }
bool decode(ByteView body, Err& m) { return decode_body(body, m); }
bool decode(ByteView body, PushPullHeader& m) { return decode_body(body, m); }
bool decode(ByteView body, UserMsgHeader& m) { return decode_body(body, m); }
bool decode(ByteView body, PushNodeState& m) { return decode_body(body, m); }

// The constants are the tags, names and single-byte values of the encoders above.
std::size_t encoded_size(const PushPullHeader& m, IntStyle style) {
  return 27 + signed_size(m.nodes, style) + signed_size(m.user_state_len, style);
}
std::size_t encoded_size(const PushNodeState& m) {
  return 1 + 5 + bytes_size(m.addr) + 12 + int_size(m.incarnation) + 5 + bytes_size(m.meta) + 5 +
         raw_size(m.name.size()) + 5 + int_size(m.port) + 6 + signed_size(m.state, IntStyle::kOld) + 4 +
         bytes_size(m.vsn);
}
std::size_t encoded_size(const Alive& m) {
  return 2 + 5 + bytes_size(m.addr) + 12 + int_size(m.incarnation) + 5 + bytes_size(m.meta) + 5 +
         raw_size(m.node.size()) + 5 + int_size(m.port) + 4 + bytes_size(m.vsn);
}

}  // namespace dcsim::wire
