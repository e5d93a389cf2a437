#include "wire/serf_messages.h"

#include <functional>
#include <map>

#include "transcribe.h"

using namespace dcsim;
using namespace dcsim::test;
namespace serf = dcsim::wire::serf;

namespace {

wire::IntStyle style_of(const std::string& library) {
  return library.starts_with("go-msgpack-0.") ? wire::IntStyle::kOld : wire::IntStyle::kNew;
}

struct Codec {
  std::function<Json(ByteView)> decode;  // whole message
  std::function<Buffer(ByteView, wire::IntStyle)> reencode;
};

template <class M>
Codec codec() {
  return {[](ByteView message) { return decoded_serf_json<M>(message.subspan(1)); },
          [](ByteView message, wire::IntStyle style) {
            M m;
            REQUIRE(serf::decode(message.subspan(1), m));
            Buffer out;
            if constexpr (requires { serf::encode(m, out, style); }) {
              serf::encode(m, out, style);
            } else {
              serf::encode(m, out);
            }
            return out;
          }};
}

Codec filter_codec() {
  return {[](ByteView bytes) -> Json {
            serf::Filter f;
            if (!serf::decode(bytes, f)) return {{"error", "malformed"}};
            if (f.kind == serf::Filter::Kind::kNodes) return {{"nodes", texts_of(f.nodes)}};
            return {{"Expr", json_of(f.expr)}, {"Tag", json_of(f.tag)}};
          },
          [](ByteView bytes, wire::IntStyle) {
            serf::Filter f;
            REQUIRE(serf::decode(bytes, f));
            Buffer out;
            serf::encode(f, out);
            return out;
          }};
}

Codec tags_codec() {
  return {[](ByteView meta) -> Json {
            return {{"tags", json_of(serf::decode_tags(meta))}};
          },
          [](ByteView meta, wire::IntStyle) {
            const serf::Tags tags = serf::decode_tags(meta);
            Buffer out;
            if (tags.bare_role) {
              out.assign(tags.role.begin(), tags.role.end());
            } else {
              serf::encode_tags(tags.map, out);
            }
            return out;
          }};
}

Codec coordinate_codec() {
  return {[](ByteView payload) -> Json {
            serf::Coordinate c;
            if (!serf::decode_coordinate(payload, c)) return {{"error", "malformed"}};
            Json j = json_of(c);
            j["coordinate"] = json_of(c);
            return j;
          },
          [](ByteView payload, wire::IntStyle) {
            serf::Coordinate c;
            REQUIRE(serf::decode_coordinate(payload, c));
            Buffer out;
            serf::encode_coordinate(c, out);
            return out;
          }};
}

const std::map<std::string, Codec>& codecs() {
  static const std::map<std::string, Codec> kAll{
      {"leave", codec<serf::Leave>()},
      {"join", codec<serf::Join>()},
      {"pushPull", codec<serf::PushPull>()},
      {"userEvent", codec<serf::UserEvent>()},
      {"query", codec<serf::Query>()},
      {"queryResponse", codec<serf::QueryResponse>()},
      {"conflictResponse", codec<serf::Member>()},
      {"keyRequest", codec<serf::KeyRequest>()},
      {"keyResponse", codec<serf::KeyResponse>()},
      {"relay", codec<serf::Relay>()},
      {"filterNode", filter_codec()},
      {"filterTag", filter_codec()},
      {"tags", tags_codec()},
      {"ackPayload", coordinate_codec()},
  };
  return kAll;
}

}  // namespace

TEST_CASE("serf: every recorded message decodes to its fields and encodes to its bytes, in both dialects") {
  const Json file = load_vectors("serf_messages.json");
  int checked = 0;
  for (const Json& v : file["vectors"]) {
    const std::string type = v["type"];
    CAPTURE(v["id"].get<std::string>());
    const auto codec = codecs().find(type);
    REQUIRE_MESSAGE(codec != codecs().end(), "no codec for " << type);
    for (const auto& encoding : v["encodings"].items()) {
      const std::string library = encoding.key();
      CAPTURE(library);
      const Buffer bytes = from_hex(encoding.value().get<std::string>());
      if (v["type_byte"].get<int>() >= 0) {
        REQUIRE(!bytes.empty());
        CHECK(bytes[0] == v["type_byte"].get<int>());
      }
      Json expected = v["decoded"];
      if (type == "tags" && expected["tags"].is_null()) expected["tags"] = Json::object();  // 0.5.x writes nil as empty
      CHECK(difference(expected, codec->second.decode(bytes)) == "");
      CHECK(to_hex(codec->second.reencode(bytes, style_of(library))) == to_hex(bytes));
      ++checked;
    }
  }
  CHECK(checked > 0);
}

TEST_CASE("serf: a message cut short is refused") {
  const Json file = load_vectors("serf_messages.json");
  for (const Json& v : file["vectors"]) {
    const std::string type = v["type"];
    if (type == "tags") continue;  // tags keep what they can
    CAPTURE(v["id"].get<std::string>());
    for (const auto& [library, hex] : v["encodings"].items()) {
      const Buffer bytes = from_hex(hex.get<std::string>());
      std::size_t end = bytes.size();
      if (type == "relay") end -= v["decoded"]["inner_hex"].get<std::string>().size() / 2;  // opaque tail
      for (std::size_t n = 1; n < end; ++n) {
        const Buffer cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
        CHECK(codecs().at(type).decode(cut).contains("error"));
      }
    }
  }
}

TEST_CASE("serf: an idle event ring of 512 slots is 515 bytes, and its used slots are found by index") {
  serf::Items ring, events, none_left;
  for (int i = 0; i < 512; ++i) ring.add_nil();
  Buffer idle;
  serf::PushPull state;
  state.events = ring.list();
  state.left_members = state.status_ltimes = none_left.list();
  serf::encode(state, idle);
  state.events = wire::RawList();
  Buffer none;
  serf::encode(state, none);
  CHECK(idle.size() - none.size() == 515 - 1);

  const Buffer payload{1, 2};
  events.add_event("deploy", ByteView(payload));
  events.add_event("restart", wire::OptBytes());
  ring.clear();
  for (int i = 0; i < 512; ++i) {
    if (i == 7) {
      ring.add_slot(519, events);
    } else {
      ring.add_nil();
    }
  }
  serf::Items left, status;
  left.add_text("n3");
  status.add_status("n3", 9);
  status.add_status("n1", 1ull << 40);
  state.events = ring.list();
  state.left_members = left.list();
  state.status_ltimes = status.list();
  state.event_ltime = 520;
  Buffer out;
  serf::encode(state, out);

  serf::PushPull back;
  REQUIRE(serf::decode(ByteView(out).subspan(1), back));
  CHECK(back.event_ltime == 520);
  CHECK(back.events.count == 512);
  serf::EventReader slots(back.events);
  serf::EventSlot slot;
  REQUIRE(slots.next(slot));
  CHECK(slot.index == 7);
  CHECK(slot.ltime == 519);
  serf::RecordedEventReader reader(slot.events);
  serf::RecordedEvent e;
  REQUIRE(reader.next(e));
  CHECK(e.name == "deploy");
  CHECK(to_hex(e.payload.data) == "0102");
  REQUIRE(reader.next(e));
  CHECK(e.name == "restart");
  CHECK(e.payload.nil);
  CHECK_FALSE(reader.next(e));
  CHECK_FALSE(slots.next(slot));
  serf::LTimeReader ltimes(back.status_ltimes);
  std::string_view name;
  std::uint64_t ltime = 0;
  REQUIRE(ltimes.next(name, ltime));
  REQUIRE(ltimes.next(name, ltime));
  CHECK(name == "n1");
  CHECK(ltime == 1ull << 40);
  CHECK_FALSE(ltimes.next(name, ltime));
}

TEST_CASE("serf: tags survive a malformed tail, and a bare role reads as the role tag") {
  const Buffer whole = from_hex("ff82a4726f6c65a3776562a26463a3646331");
  bool found = false;
  CHECK(serf::find_tag(serf::decode_tags(whole), "dc", &found) == "dc1");
  CHECK(found);
  const serf::Tags cut = serf::decode_tags(ByteView(whole).first(whole.size() - 1));
  CHECK(cut.map.count == 1);
  CHECK(serf::find_tag(cut, "role") == "web");
  CHECK(serf::find_tag(cut, "dc", &found).empty());
  CHECK_FALSE(found);
  const serf::Tags bare = serf::decode_tags(view_of("db"));
  CHECK(bare.bare_role);
  CHECK(serf::find_tag(bare, "role", &found) == "db");
  CHECK(found);
  // A count that no input can hold costs nothing.
  CHECK(serf::decode_tags(from_hex("ffdfffffffff")).map.count == 0);
}

TEST_CASE("serf: a coordinate payload is 130 bytes, other versions and dimensions are told apart") {
  serf::Coordinate c;
  c.vec[3] = -0.25;
  c.adjustment = 1e-3;
  Buffer out;
  serf::encode_coordinate(c, out);
  CHECK(out.size() == 130);
  serf::Coordinate back;
  REQUIRE(serf::decode_coordinate(out, back));
  CHECK(back == c);
  out[0] = 2;
  CHECK_FALSE(serf::decode_coordinate(out, back));
  CHECK_FALSE(serf::decode_coordinate({}, back));
  // {"Vec": [0.0, 0.0]}
  REQUIRE(serf::decode_coordinate(from_hex("0181a356656392cb0000000000000000cb0000000000000000"), back));
  CHECK(back.dimensions == 2);
}
