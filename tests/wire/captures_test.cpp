#include <optional>

#include "transcribe.h"
#include "wire/packet.h"
#include "wire/stream.h"

using namespace dcsim;
using namespace dcsim::test;

namespace {

/// What a datagram should yield, flattened to the order in which the reader hands it out.
struct Expected {
  wire::PacketDrop drop = wire::PacketDrop::kNone;
  Json message;
};

struct Walk {
  wire::PacketReader reader;
  wire::Compressor compressor;
  wire::Decompressor decompressor;
  wire::StreamWorkspace workspace;
  int datagrams = 0;
  int streams = 0;
  int encrypted = 0;
};

bool is_packet_type(const std::string& type) {
  static const std::set<std::string> kTypes{"ping", "indirectPing", "ack", "nack", "suspect", "alive", "dead", "user"};
  return kTypes.contains(type);
}

/// False if the record does not say what is inside (the recording tool could not read it either).
bool flatten(const Json& node, ByteView bytes, bool outermost, Walk& w, std::vector<Expected>& out) {
  if (!node.contains("type") || node.contains("error")) return false;
  const auto dropped = [&](wire::PacketDrop reason) { return out.push_back({reason, {}}), true; };
  const std::string type = node["type"];
  if (type == "hasCrc") {
    if (!outermost) return dropped(wire::PacketDrop::kUnknownType);
    if (!node["crc_ok"].get<bool>()) return dropped(wire::PacketDrop::kBadCrc);
    return flatten(node["inner"], bytes.subspan(5), false, w, out);
  }
  if (type == "compound") {
    std::size_t at = 2 + 2 * node["lengths"].size();
    for (std::size_t i = 0; i < node["parts"].size(); ++i) {
      const std::size_t length = node["lengths"][i];
      REQUIRE(at + length <= bytes.size());
      if (!flatten(node["parts"][i], bytes.subspan(at, length), false, w, out)) return false;
      at += length;
    }
    return node["parts"].size() == node["lengths"].size() || dropped(wire::PacketDrop::kTruncatedCompound);
  }
  if (type == "compress") {
    Buffer plain;
    REQUIRE(w.decompressor.decompress(bytes.subspan(1), 1u << 20, plain) == wire::Decompressor::Outcome::kDone);
    if (node.contains("plain_hex")) CHECK(to_hex(plain) == node["plain_hex"].get<std::string>());
    // The recorded compressor and ours agree bit for bit.
    Buffer again;
    w.compressor.compress(plain, again);
    CHECK(to_hex(again) == to_hex(bytes));
    return node.contains("inner") && flatten(node["inner"], plain, false, w, out);
  }
  if (!is_packet_type(type)) return dropped(wire::PacketDrop::kUnknownType);
  out.push_back({wire::PacketDrop::kNone, node});
  return true;
}

Json item_json(const wire::PacketItem& item) {
  switch (item.type) {
    case wire::MessageType::kPing:
      return decoded_json<wire::Ping>(item.body);
    case wire::MessageType::kIndirectPing:
      return decoded_json<wire::IndirectPing>(item.body);
    case wire::MessageType::kAck:
      return decoded_json<wire::Ack>(item.body);
    case wire::MessageType::kNack:
      return decoded_json<wire::Nack>(item.body);
    case wire::MessageType::kSuspect:
      return decoded_json<wire::Suspect>(item.body);
    case wire::MessageType::kAlive:
      return decoded_json<wire::Alive>(item.body);
    case wire::MessageType::kDead:
      return decoded_json<wire::Dead>(item.body);
    case wire::MessageType::kUser:
      return {{"type", "user"}, {"payload_hex", to_hex(item.body)}, {"message", serf_json(item.body)}};
    default:
      return {{"error", "not a packet message"}};
  }
}

template <class M>
Buffer encode_again(ByteView body) {
  M m;
  REQUIRE(wire::decode(body, m));
  Buffer out;
  wire::encode(m, out);
  return out;
}

/// Re-encoding a decoded message gives its bytes (user messages are opaque here).
void check_encoding(const wire::PacketItem& item) {
  Buffer again;
  switch (item.type) {
    case wire::MessageType::kPing:
      again = encode_again<wire::Ping>(item.body);
      break;
    case wire::MessageType::kIndirectPing:
      again = encode_again<wire::IndirectPing>(item.body);
      break;
    case wire::MessageType::kAck:
      again = encode_again<wire::Ack>(item.body);
      break;
    case wire::MessageType::kNack:
      again = encode_again<wire::Nack>(item.body);
      break;
    case wire::MessageType::kSuspect:
      again = encode_again<wire::Suspect>(item.body);
      break;
    case wire::MessageType::kAlive:
      again = encode_again<wire::Alive>(item.body);
      break;
    case wire::MessageType::kDead:
      again = encode_again<wire::Dead>(item.body);
      break;
    default:
      wire::encode_user(item.body, again);
      break;
  }
  CHECK(to_hex(again) == to_hex(item.whole));
}

void check_datagram(const std::string& hex, const Json& decoded, Walk& w) {
  const Buffer datagram = from_hex(hex);
  const std::string label = decoded.value("label", "");
  const auto split = wire::accept_label(datagram, {label});
  if (!decoded.contains("message")) return;  // e.g. not decryptable: nothing recorded to compare with
  CHECK(split.drop == wire::PacketDrop::kNone);
  CHECK(split.label == label);
  Buffer plain(split.rest.begin(), split.rest.end());
  if (decoded.contains("plaintext_hex")) {
    ++w.encrypted;
    plain = from_hex(decoded["plaintext_hex"].get<std::string>());
  }
  std::vector<Expected> expected;
  if (!flatten(decoded["message"], plain, true, w, expected)) return;
  w.reader.start(plain);
  std::size_t i = 0;
  for (wire::PacketItem item; w.reader.next(item); ++i) {
    REQUIRE(i < expected.size());
    CHECK(item.drop == expected[i].drop);
    if (item.drop != wire::PacketDrop::kNone) continue;
    CHECK(difference(expected[i].message, item_json(item)) == "");
    check_encoding(item);
  }
  CHECK(i == expected.size());
  ++w.datagrams;
}

/// The user state is a Serf message; memberlist alone may carry anything, and clients sent nothing or junk.
void check_user_state(const Json& expected, ByteView state) {
  CHECK(difference(expected, serf_json(state)) == "");
  wire::serf::PushPull m;
  REQUIRE(wire::serf::decode(state.subspan(1), m));
  Buffer again;
  wire::serf::encode(m, again);
  CHECK(to_hex(again) == to_hex(state));
}

void check_push_pull(const Json& d, const wire::StreamFrame& frame) {
  CHECK(difference(d["header"], json_of(frame.header)) == "");
  REQUIRE(frame.nodes.size() == d["nodes"].size());
  for (std::size_t i = 0; i < frame.nodes.size(); ++i) CHECK(difference(d["nodes"][i], json_of(frame.nodes[i])) == "");
  if (d.contains("user_state_hex")) CHECK(to_hex(frame.user_state) == d["user_state_hex"].get<std::string>());
  if (d.contains("user_state") && d["user_state"].value("serf", "") == "pushPull") {
    check_user_state(d["user_state"], frame.user_state);
  }
  Buffer old_style, new_style;
  wire::append_push_pull(frame.header.join, frame.nodes, frame.user_state, old_style, wire::IntStyle::kOld);
  wire::append_push_pull(frame.header.join, frame.nodes, frame.user_state, new_style, wire::IntStyle::kNew);
  const std::string bare = to_hex(frame.bare);
  CHECK((bare == to_hex(old_style) || bare == to_hex(new_style)));
}

void check_frame(const Json& d, const wire::StreamFrame& frame) {
  const std::string type = d["type"];
  CHECK(type == wire::name_of(frame.type));
  if (d.contains("plain_hex")) CHECK(to_hex(frame.bare) == d["plain_hex"].get<std::string>());
  Json fields = d;
  for (const char* layer :
       {"label", "compressed_len", "encrypted_len", "encryption_version", "nonce_hex", "plain_len", "plain_hex"}) {
    fields.erase(layer);
  }
  if (type == "pushPull") {
    check_push_pull(d, frame);
  } else if (type == "user") {
    CHECK(to_hex(frame.user) == d["user_hex"].get<std::string>());
    CHECK(frame.user.size() == d["header"]["UserMsgLen"].get<std::size_t>());
  } else if (type == "ping") {
    CHECK(difference(fields, json_of(frame.ping)) == "");
  } else if (type == "ack") {
    CHECK(difference(fields, json_of(frame.ack)) == "");
  } else {
    REQUIRE(type == "err");
    CHECK(difference(fields, json_of(frame.err)) == "");
  }
}

/// Feeds `bytes` in pieces of `piece`; the frame is valid until the parser goes.
wire::StreamStatus feed(wire::StreamParser& parser, ByteView bytes, std::size_t piece, Walk& w,
                        wire::StreamFrame& frame) {
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    parser.feed(bytes.subspan(at, std::min(piece, bytes.size() - at)), w.workspace, frame);
  }
  return parser.status();
}

bool is_stream_type(const std::string& type) {
  return type == "pushPull" || type == "ping" || type == "user" || type == "ack" || type == "err";
}

void check_stream(const std::string& hex, const Json& d, Walk& w) {
  const Buffer bytes = from_hex(hex);
  if (bytes.empty() || !d.contains("type")) return;
  const std::string label = d.value("label", "");
  ++w.streams;
  for (const std::size_t piece : {bytes.size(), std::size_t{1}, std::size_t{13}, std::size_t{1448}}) {
    CAPTURE(piece);
    wire::StreamParser parser(true, {label});
    wire::StreamFrame frame;
    const wire::StreamStatus status = feed(parser, bytes, piece, w, frame);
    if (!d.contains("encrypted_len") && !is_stream_type(d["type"])) {
      CHECK(status == wire::StreamStatus::kRefused);
      CHECK(parser.error() == wire::StreamError::kUnknownType);
      continue;
    }
    REQUIRE(status == wire::StreamStatus::kComplete);
    CHECK(frame.label == label);
    if (!d.contains("encrypted_len")) {
      CHECK(frame.compressed == d.contains("compressed_len"));
      check_frame(d, frame);
      Buffer again;
      wire::append_stream(frame.bare, {.label = label, .compress = frame.compressed}, w.compressor, again);
      CHECK(to_hex(again) == hex);
      continue;
    }
    CHECK(frame.type == wire::MessageType::kEncrypt);
    CHECK(frame.encrypted.size() == d["encrypted_len"].get<std::size_t>());
    CHECK(frame.encrypted_header.size() == 5);
    if (piece != bytes.size()) continue;
    ++w.encrypted;
    const Buffer plain = from_hex(d["plain_hex"].get<std::string>());
    wire::StreamError error{};
    const wire::StreamStatus inner = wire::parse_plain_frame(plain, w.workspace, frame, error);
    if (!is_stream_type(d["type"])) {
      CHECK(error == wire::StreamError::kUnknownType);
      continue;
    }
    REQUIRE(inner == wire::StreamStatus::kComplete);
    check_frame(d, frame);
  }
}

}  // namespace

TEST_CASE("captures: every datagram and stream of real clusters decodes to what is recorded, and encodes back") {
  Walk w;
  int records = 0;
  for (const std::string& name : vector_files("capture_")) {
    CAPTURE(name);
    const Json file = load_vectors(name);
    for (const Json& r : file["records"]) {
      CAPTURE(r["i"].dump());
      ++records;
      if (r["transport"] == "udp") {
        check_datagram(r["hex"], r["decoded"], w);
        continue;
      }
      if (r.contains("client_decoded")) check_stream(r["client_hex"], r["client_decoded"], w);
      if (r.contains("server_decoded")) check_stream(r["server_hex"], r["server_decoded"], w);
    }
  }
  CHECK(records > 0);
  CHECK(w.datagrams > 0);
  CHECK(w.streams > 0);
  if (w.encrypted > 0) MESSAGE(w.encrypted << " encrypted records: recorded plaintext read instead of decrypting");
}

TEST_CASE("exchanges: requests to and answers from running agents decode to what is recorded") {
  Walk w;
  int records = 0;
  for (const std::string& name : vector_files("exchange_")) {
    CAPTURE(name);
    const Json file = load_vectors(name);
    for (const Json& r : file["records"]) {
      CAPTURE(r["id"].dump());
      ++records;
      if (r["transport"] == "udp") {
        if (r.contains("request_decoded")) check_datagram(r["request_hex"], r["request_decoded"], w);
        for (const Json& answer : r.value("responses", Json::array())) {
          if (answer.contains("decoded")) check_datagram(answer["hex"], answer["decoded"], w);
        }
        continue;
      }
      if (r.contains("request_decoded")) check_stream(r["request_hex"], r["request_decoded"], w);
      if (r.contains("response_decoded")) check_stream(r["response_hex"], r["response_decoded"], w);
    }
  }
  CHECK(records > 0);
  CHECK(w.datagrams + w.streams > 0);
}

TEST_CASE("captures: packets of a compressing sender are exactly what we would send") {
  // Which layers a sender adds is its choice; given them, label, CRC, the compress-if-shorter rule and LZW fix each
  // byte.
  wire::Compressor compressor;
  wire::Decompressor decompressor;
  int compared = 0;
  for (const std::string& name : vector_files("capture_")) {
    const Json file = load_vectors(name);
    std::set<std::string> compressing;  // senders of which some packet is compressed
    const auto outer = [](const Json& r) {
      return r["decoded"].contains("message") ? r["decoded"]["message"] : Json{{"type", ""}};
    };
    const auto inner = [&](const Json& r) {
      const Json m = outer(r);
      return m["type"] == "hasCrc" ? m["inner"] : m;
    };
    for (const Json& r : file["records"]) {
      if (r["transport"] == "udp" && inner(r)["type"] == "compress") compressing.insert(r["src"]);
    }
    for (const Json& r : file["records"]) {
      if (r["transport"] != "udp" || r["decoded"].contains("plaintext_hex") || !compressing.contains(r["src"]))
        continue;
      CAPTURE(name);
      CAPTURE(r["i"].dump());
      const Buffer datagram = from_hex(r["hex"].get<std::string>());
      const auto split = wire::split_label(datagram);
      const bool crc = outer(r)["type"] == "hasCrc";
      Buffer message(split.rest.begin() + (crc ? 5 : 0), split.rest.end());
      if (inner(r)["type"] == "compress") {
        Buffer plain;
        REQUIRE(decompressor.decompress(ByteView(message).subspan(1), 1u << 20, plain) ==
                wire::Decompressor::Outcome::kDone);
        message = plain;
      }
      Buffer again;
      wire::append_packet(message, {.label = split.label, .compress = true, .crc = crc}, compressor, again);
      CHECK(to_hex(again) == to_hex(datagram));
      ++compared;
    }
  }
  if (compared == 0) MESSAGE("no unencrypted sender with compression among the captures");
}
