#include <algorithm>

#include "support/vectors.h"
#include "wire/crc32.h"
#include "wire/packet.h"

using namespace dcsim;
using namespace dcsim::test;

namespace {

/// All items of one datagram behind its label.
std::vector<wire::PacketItem> walk(wire::PacketReader& reader, ByteView datagram) {
  std::vector<wire::PacketItem> items;
  reader.start(datagram);
  for (wire::PacketItem item; reader.next(item);) items.push_back(item);
  return items;
}

void check_compound(const Json& v, wire::PacketReader& reader) {
  const Buffer bytes = from_hex(v["hex"].get<std::string>());
  const auto items = walk(reader, bytes);
  if (v.contains("error")) {
    REQUIRE(items.size() == 1);
    CHECK(items[0].drop == wire::PacketDrop::kBadCompound);
    return;
  }
  const Json& d = v["decoded"];
  const std::uint32_t lost = d["truncated"];
  const std::size_t parts = d["parts"].size();
  REQUIRE(items.size() == parts + (lost > 0 ? 1 : 0));
  std::vector<Buffer> expected;
  for (std::size_t i = 0; i < parts; ++i) {
    expected.push_back(from_hex(d["parts"][i].get<std::string>()));
    CHECK(items[i].drop == wire::PacketDrop::kNone);
    CHECK(to_hex(items[i].whole) == to_hex(expected.back()));
  }
  if (lost > 0) {
    CHECK(items.back().drop == wire::PacketDrop::kTruncatedCompound);
    CHECK(items.back().lost == lost);
    return;
  }
  const std::vector<ByteView> views(expected.begin(), expected.end());
  Buffer again;
  wire::append_compound(views, again);
  CHECK(to_hex(again) == to_hex(bytes));
}

void check_lzw(const Json& v, wire::LzwEncoder& encoder, wire::LzwDecoder& decoder) {
  const Buffer compressed = from_hex(v["hex"].get<std::string>());
  const Json& d = v["decoded"];
  const std::size_t length = d["in_len"];
  const Buffer plain =
      d.contains("in_hex") && !d["in_hex"].is_null() ? from_hex(d["in_hex"].get<std::string>()) : Buffer(length, 0);
  REQUIRE(plain.size() == length);
  if (d.contains("in_crc32")) {
    CHECK(wire::crc32(plain) == std::stoul(d["in_crc32"].get<std::string>(), nullptr, 16));
  }
  Buffer out;
  encoder.encode(plain, out);
  CHECK(out == compressed);
  out.clear();
  CHECK(decoder.decode(compressed, plain.size(), out) == wire::LzwDecoder::Outcome::kDone);
  CHECK(out == plain);
}

void check_compress(const Json& v, wire::Compressor& compressor, wire::Decompressor& decompressor) {
  const Buffer bytes = from_hex(v["hex"].get<std::string>());
  const Buffer plain = from_hex(v["decoded"]["payload_hex"].get<std::string>());
  Buffer out;
  REQUIRE(bytes.size() > 1);
  CHECK(decompressor.decompress(ByteView(bytes).subspan(1), plain.size(), out) == wire::Decompressor::Outcome::kDone);
  CHECK(out == plain);
  out.clear();
  compressor.compress(plain, out);
  CHECK(to_hex(out) == to_hex(bytes));
}

void check_crc(const Json& v, wire::PacketReader& reader, wire::Compressor& compressor) {
  Buffer bytes = from_hex(v["hex"].get<std::string>());
  const Buffer inner = from_hex(v["decoded"]["inner_hex"].get<std::string>());
  CHECK(wire::crc32(inner) == std::stoul(v["decoded"]["crc32"].get<std::string>(), nullptr, 16));
  Buffer again;
  wire::append_packet(inner, {.label = "", .compress = false, .crc = true}, compressor, again);
  CHECK(to_hex(again) == to_hex(bytes));
  const auto items = walk(reader, bytes);
  REQUIRE(!items.empty());
  CHECK(std::all_of(items.begin(), items.end(), [](const auto& i) { return i.drop == wire::PacketDrop::kNone; }));
  bytes.back() ^= 1;
  const auto broken = walk(reader, bytes);
  REQUIRE(broken.size() == 1);
  CHECK(broken[0].drop == wire::PacketDrop::kBadCrc);
}

}  // namespace

TEST_CASE("memberlist framing: compound, LZW, compress and CRC vectors, read and written") {
  const Json file = load_vectors("memberlist_framing.json");
  // One workspace for all: what one vector leaves behind must not show in the next.
  wire::PacketReader reader;
  wire::Compressor compressor;
  wire::Decompressor decompressor;
  wire::LzwEncoder encoder;
  wire::LzwDecoder decoder;
  int checked = 0;
  int encrypted = 0;
  for (const Json& v : file["vectors"]) {
    const std::string type = v["type"];
    CAPTURE(v["id"].get<std::string>());
    ++checked;
    if (type == "compound") {
      check_compound(v, reader);
    } else if (type == "lzw") {
      check_lzw(v, encoder, decoder);
    } else if (type == "compress") {
      check_compress(v, compressor, decompressor);
    } else if (type == "hasCrc") {
      check_crc(v, reader, compressor);
    } else {
      REQUIRE_MESSAGE((type == "encrypted" || type == "decrypt_failure"), "unknown vector type " << type);
      --checked;
      ++encrypted;
    }
  }
  CHECK(checked > 0);
  if (encrypted > 0) MESSAGE("skipped " << encrypted << " vectors: encryption is not implemented");
}
