#include "wire/messages.h"

#include <functional>
#include <map>

#include "transcribe.h"

using namespace dcsim;
using namespace dcsim::test;

namespace {

/// Which integer style a producer named in the vectors uses.
wire::IntStyle style_of(const std::string& library) {
  return library.starts_with("go-msgpack-0.") ? wire::IntStyle::kOld : wire::IntStyle::kNew;
}

struct Codec {
  std::function<Json(ByteView)> decode;
  std::function<Buffer(ByteView, wire::IntStyle)> reencode;
};

template <class M>
Codec codec() {
  return {[](ByteView body) { return decoded_json<M>(body); },
          [](ByteView body, wire::IntStyle style) {
            M m;
            REQUIRE(wire::decode(body, m));
            Buffer out;
            if constexpr (requires { wire::encode(m, out, style); }) {
              wire::encode(m, out, style);
            } else {
              wire::encode(m, out);
            }
            return out;
          }};
}

const std::map<std::string, Codec>& codecs() {
  static const std::map<std::string, Codec> kAll{
      {"ping", codec<wire::Ping>()},
      {"indirectPing", codec<wire::IndirectPing>()},
      {"ack", codec<wire::Ack>()},
      {"nack", codec<wire::Nack>()},
      {"suspect", codec<wire::Suspect>()},
      {"alive", codec<wire::Alive>()},
      {"dead", codec<wire::Dead>()},
      {"err", codec<wire::Err>()},
      {"pushPullHeader", codec<wire::PushPullHeader>()},
      {"pushNodeState", codec<wire::PushNodeState>()},
      {"userMsgHeader", codec<wire::UserMsgHeader>()},
  };
  return kAll;
}

}  // namespace

TEST_CASE("memberlist: every recorded message decodes to its fields and encodes to its bytes, in both dialects") {
  const Json file = load_vectors("memberlist_messages.json");
  int checked = 0;
  for (const Json& v : file["vectors"]) {
    const std::string type = v["type"];
    CAPTURE(v["id"].get<std::string>());
    const auto codec = codecs().find(type);
    REQUIRE_MESSAGE(codec != codecs().end(), "no codec for " << type);
    const int type_byte = v["type_byte"];
    for (const auto& encoding : v["encodings"].items()) {
      const std::string library = encoding.key();
      CAPTURE(library);
      const Buffer bytes = from_hex(encoding.value().get<std::string>());
      if (type_byte >= 0) {
        REQUIRE(!bytes.empty());
        CHECK(bytes[0] == type_byte);
      }
      const ByteView body = ByteView(bytes).subspan(type_byte >= 0 ? 1 : 0);
      CHECK(difference(v["decoded"], codec->second.decode(body)) == "");
      CHECK(to_hex(codec->second.reencode(body, style_of(library))) == to_hex(bytes));
      ++checked;
    }
  }
  CHECK(checked > 0);
}

TEST_CASE("memberlist: a message cut short anywhere is refused, never misread") {
  const Json file = load_vectors("memberlist_messages.json");
  for (const Json& v : file["vectors"]) {
    const auto codec = codecs().find(v["type"]);
    REQUIRE(codec != codecs().end());
    CAPTURE(v["id"].get<std::string>());
    const std::size_t skip = v["type_byte"].get<int>() >= 0 ? 1 : 0;
    for (const auto& [library, hex] : v["encodings"].items()) {
      const Buffer bytes = from_hex(hex.get<std::string>());
      for (std::size_t n = skip; n < bytes.size(); ++n) {
        // A copy of its own size, so that a sanitizer sees a read past the end.
        const Buffer cut(bytes.begin() + static_cast<std::ptrdiff_t>(skip),
                         bytes.begin() + static_cast<std::ptrdiff_t>(n));
        CHECK(codec->second.decode(cut).contains("error"));
      }
    }
  }
}

TEST_CASE("memberlist: fields may come in any order, unknown ones are skipped, missing ones are zero") {
  // {"Xtra": [1, {"a": nil}], "SeqNo": 7, "Node": "n1"}
  const Buffer body = from_hex(
      "83a458747261"
      "9201"
      "81a161c0"
      "a55365714e6f07"
      "a44e6f6465a26e31");
  wire::Ping ping;
  REQUIRE(wire::decode(body, ping));
  CHECK(ping.node == "n1");
  CHECK(ping.seq_no == 7);
  CHECK(ping.source_addr.nil);
  CHECK(ping.source_port == 0);

  wire::Alive alive;
  REQUIRE(wire::decode(from_hex("c0"), alive));  // a nil struct
  CHECK(alive.node.empty());
  CHECK(alive.meta.nil);
}

TEST_CASE("memberlist: numbers that do not fit their field are refused") {
  wire::Nack nack;
  CHECK(wire::decode(from_hex("81a55365714e6fceffffffff"), nack));
  CHECK(nack.seq_no == 0xffffffffu);
  CHECK_FALSE(wire::decode(from_hex("81a55365714e6fcf0000000100000000"), nack));
  CHECK_FALSE(wire::decode(from_hex("81a55365714e6fff"), nack));  // -1
  wire::Ping ping;
  CHECK_FALSE(wire::decode(from_hex("81aa536f75726365506f7274ce00010000"), ping));  // port 65536
}

TEST_CASE("memberlist: sizes follow the closed formulas, so budgets can be computed without encoding") {
  for (const std::size_t name : {1u, 9u, 31u, 32u, 200u}) {
    for (const std::size_t meta : {0u, 31u, 32u, 300u}) {
      for (const std::uint32_t incarnation : {1u, 127u, 128u, 256u, 70000u}) {
        const std::string text(name, 'n');
        const Buffer tags(meta, 0xff);
        const Buffer addr(name % 2 ? 4 : 16, 10);
        const Buffer vsn{1, 5, 2, 2, 5, 4};
        wire::PushNodeState node;
        wire::Alive alive;
        node.name = alive.node = text;
        node.meta = alive.meta = ByteView(tags);
        if (meta == 0) node.meta = alive.meta = wire::OptBytes();
        node.addr = alive.addr = ByteView(addr);
        node.vsn = alive.vsn = ByteView(vsn);
        node.incarnation = alive.incarnation = incarnation;
        node.port = alive.port = 8301;
        node.state = 3;
        Buffer out;
        wire::encode(node, out);
        CHECK(out.size() == wire::encoded_size(node));
        out.clear();
        wire::encode(alive, out);
        CHECK(out.size() == wire::encoded_size(alive));
        const auto raw = [](std::size_t n) { return n + (n < 32 ? 1 : 3); };
        if (name < 32 && incarnation < 128 && addr.size() == 4) {
          CHECK(out.size() == 55 + name + (meta == 0 ? 1 : raw(meta)));
        }
      }
    }
  }
  for (const std::int64_t count : {0, 127, 128, 200, 256, 40000, 70000}) {
    for (const auto style : {wire::IntStyle::kOld, wire::IntStyle::kNew}) {
      wire::PushPullHeader header;
      header.nodes = count;
      header.user_state_len = 3 * count;
      Buffer out;
      wire::encode(header, out, style);
      CHECK(out.size() == wire::encoded_size(header, style));
    }
  }
}
