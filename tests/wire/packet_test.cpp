#include "wire/packet.h"

#include "support/vectors.h"

using namespace dcsim;
using namespace dcsim::test;
using wire::PacketDrop;
using wire::PacketItem;
using wire::PacketReader;

namespace {

/// The items of one datagram; keeps the datagram, into which they point.
std::vector<PacketItem> walk(PacketReader& reader, ByteView datagram) {
  static Buffer kept;
  kept.assign(datagram.begin(), datagram.end());
  std::vector<PacketItem> items;
  reader.start(kept);
  for (PacketItem item; reader.next(item);) items.push_back(item);
  return items;
}

Buffer nack(std::uint32_t seq_no) {
  wire::Nack m;
  m.seq_no = seq_no;
  Buffer out;
  wire::encode(m, out);
  return out;
}

Buffer compound(const std::vector<Buffer>& parts) {
  const std::vector<ByteView> views(parts.begin(), parts.end());
  Buffer out;
  wire::append_compound(views, out);
  return out;
}

Buffer compressed(const Buffer& message) {
  Buffer out;
  wire::Compressor().compress(message, out);
  return out;
}

std::uint32_t seq_of(const PacketItem& item) {
  wire::Nack m;
  REQUIRE(item.drop == PacketDrop::kNone);
  REQUIRE(wire::decode(item.body, m));
  return m.seq_no;
}

}  // namespace

TEST_CASE("packet: compounds and compression nest in any order; messages come out in order and stay readable") {
  PacketReader reader;
  const Buffer inner = compound({nack(2), compressed(nack(3)), compound({nack(4)})});
  const Buffer datagram = compound({nack(1), compressed(inner), compressed(compressed(nack(5))), nack(6)});
  const auto items = walk(reader, datagram);
  REQUIRE(items.size() == 6);
  // All of them still readable after the walk: a handoff queue works off a datagram's messages after it was taken
  // apart.
  for (std::size_t i = 0; i < items.size(); ++i) CHECK(seq_of(items[i]) == i + 1);
}

TEST_CASE("packet: a CRC counts only outermost and is checked there") {
  PacketReader reader;
  wire::Compressor compressor;
  Buffer datagram;
  wire::append_packet(nack(9), {.label = "", .compress = true, .crc = true}, compressor, datagram);
  CHECK(datagram[0] == 0x0c);
  CHECK(seq_of(walk(reader, datagram).at(0)) == 9);
  for (std::size_t i = 1; i < datagram.size(); ++i) {
    Buffer broken = datagram;
    broken[i] ^= 0x10;
    const auto items = walk(reader, broken);
    REQUIRE(items.size() == 1);
    CHECK(items[0].drop == PacketDrop::kBadCrc);
  }
  const auto inside = walk(reader, compound({datagram, nack(1)}));
  REQUIRE(inside.size() == 2);
  CHECK(inside[0].drop == PacketDrop::kUnknownType);
  CHECK(seq_of(inside[1]) == 1);
  // Too short to hold a checksum: it is dispatched as a message of type 12, which no packet carries.
  CHECK(walk(reader, from_hex("0c000000")).at(0).drop == PacketDrop::kUnknownType);
}

TEST_CASE("packet: what may not travel in a packet is dropped with its type, the rest of the compound goes on") {
  PacketReader reader;
  for (const int type : {6, 10, 12, 13, 14, 100, 244, 255}) {
    const auto items = walk(reader, compound({Buffer{static_cast<std::uint8_t>(type), 0x80}, nack(3)}));
    REQUIRE(items.size() == 2);
    CHECK(items[0].drop == PacketDrop::kUnknownType);
    CHECK(static_cast<int>(items[0].type) == type);
    CHECK(seq_of(items[1]) == 3);
  }
  CHECK(walk(reader, {}).at(0).drop == PacketDrop::kEmpty);
  CHECK(walk(reader, compound({{}, nack(1)})).at(0).drop == PacketDrop::kEmpty);
  CHECK(walk(reader, from_hex("0700")).empty());
  CHECK(walk(reader, from_hex("07")).at(0).drop == PacketDrop::kBadCompound);
}

TEST_CASE("packet: malformed compression is dropped without touching its neighbours") {
  PacketReader reader;
  Buffer algorithm = compressed(nack(7));
  algorithm[7] = 1;  // Algo: 1
  Buffer cut = compressed(nack(7));
  cut.resize(cut.size() - 3);
  cut[12] -= 3;  // Buf is shorter too, so only the LZW stream is broken
  for (const Buffer& bad : {Buffer{9}, Buffer{9, 0x80}, algorithm, cut}) {
    const auto items = walk(reader, compound({bad, nack(1)}));
    REQUIRE(items.size() == 2);
    CHECK(items[0].drop == PacketDrop::kBadCompress);
    CHECK(seq_of(items[1]) == 1);
  }
}

TEST_CASE("packet: depth, decompressed bytes and compressed parts are bounded") {
  PacketReader reader;
  Buffer message = nack(1);
  for (std::size_t i = 0; i < PacketReader::kMaxDepth; ++i) message = i % 2 ? compressed(message) : compound({message});
  CHECK(seq_of(walk(reader, message).at(0)) == 1);
  CHECK(walk(reader, compound({message})).at(0).drop == PacketDrop::kTooDeep);

  // A bomb of 40 MiB in a datagram of 60 kB.
  Buffer bomb = compressed(Buffer(40u << 20, 8));
  REQUIRE(bomb.size() < 64u << 10);
  CHECK(walk(reader, bomb).at(0).drop == PacketDrop::kTooLarge);
  // The bound is for the datagram, not for each part.
  Buffer half(PacketReader::kMaxUnpacked / 2, 8);
  const auto parts = walk(reader, compound({compressed(half), compressed(half), compressed(half)}));
  REQUIRE(parts.size() == 3);
  CHECK(parts[0].drop == PacketDrop::kNone);
  CHECK(parts[0].body.size() == half.size() - 1);
  CHECK(parts[1].drop == PacketDrop::kNone);
  CHECK(parts[2].drop == PacketDrop::kTooLarge);
  // And the next datagram has its own.
  CHECK(seq_of(walk(reader, compressed(nack(2))).at(0)) == 2);

  const Buffer group = compound(std::vector<Buffer>(200, compressed(nack(1))));
  const auto many = walk(reader, compound({group, group}));
  REQUIRE(many.size() == 400);
  CHECK(seq_of(many[PacketReader::kMaxCompressLayers - 1]) == 1);
  CHECK(many[PacketReader::kMaxCompressLayers].drop == PacketDrop::kTooLarge);
}

TEST_CASE("label: the header is stripped and compared exactly") {
  const Buffer bare = nack(1);
  const auto labelled = [&](std::string_view label) {
    Buffer out;
    wire::append_label(label, out);
    out.insert(out.end(), bare.begin(), bare.end());
    return out;
  };
  const Buffer lan = labelled("lan");
  CHECK(lan.size() == bare.size() + 5);
  CHECK(labelled("").size() == bare.size());
  const auto split = wire::accept_label(lan, {"lan"});
  CHECK(split.drop == PacketDrop::kNone);
  CHECK(split.label == "lan");
  CHECK(to_hex(split.rest) == to_hex(bare));
  CHECK(wire::accept_label(lan, {""}).drop == PacketDrop::kLabelMismatch);
  CHECK(wire::accept_label(lan, {"wan"}).drop == PacketDrop::kLabelMismatch);
  CHECK(wire::accept_label(lan, {"lan2"}).drop == PacketDrop::kLabelMismatch);
  CHECK(wire::accept_label(bare, {"lan"}).drop == PacketDrop::kLabelMismatch);
  CHECK(wire::accept_label(bare, {""}).drop == PacketDrop::kNone);
  CHECK(wire::accept_label(bare, {"lan", true}).drop == PacketDrop::kNone);
  CHECK(wire::accept_label(lan, {"lan", true}).drop == PacketDrop::kDoubleLabel);
  for (const char* hex : {"f4", "f400", "f4036c61", "f40000"}) {
    CHECK(wire::accept_label(from_hex(hex), {""}).drop == PacketDrop::kBadLabel);
  }
  CHECK(wire::accept_label({}, {""}).drop == PacketDrop::kNone);
  // Only one layer is taken off: a second label is an unknown message type.
  Buffer twice;
  wire::append_label("lan", twice);
  twice.insert(twice.end(), lan.begin(), lan.end());
  PacketReader reader;
  CHECK(walk(reader, wire::accept_label(twice, {"lan"}).rest).at(0).drop == PacketDrop::kUnknownType);
}

TEST_CASE("packet: every drop reason has a name of its own") {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < wire::kPacketDropCount; ++i) {
    const auto name = wire::name_of(static_cast<PacketDrop>(i));
    CHECK(name != "unknown");
    CHECK(std::find(names.begin(), names.end(), name) == names.end());
    names.push_back(name);
  }
}
