#include "wire/lzw.h"

#include <map>

#include "base/rng.h"
#include "support/alloc_counter.h"
#include "support/vectors.h"
#include "wire/compress.h"
#include "wire/stream.h"

using namespace dcsim;
using namespace dcsim::test;

namespace {

/// The textbook encoder with a dictionary of strings, slow and obvious: Go's compress/lzw, LSB, 8-bit literals.
Buffer textbook_lzw(ByteView in) {
  Buffer out;
  std::uint64_t bits = 0;
  int filled = 0, width = 9, hi = 257;
  const auto put = [&](int code) {
    bits |= static_cast<std::uint64_t>(code) << filled;
    for (filled += width; filled >= 8; filled -= 8, bits >>= 8) out.push_back(static_cast<std::uint8_t>(bits));
  };
  std::map<std::string, int> codes;
  const auto advance = [&] {
    ++hi;
    if (hi == 1 << width) ++width;
    if (hi != 4095) return false;
    put(256);
    width = 9, hi = 257;
    codes.clear();
    return true;
  };
  const auto code_of = [&](const std::string& s) {
    return s.size() == 1 ? static_cast<unsigned char>(s[0]) : codes.at(s);
  };
  put(256);
  std::string current;
  for (const std::uint8_t b : in) {
    const std::string longer = current + static_cast<char>(b);
    if (longer.size() == 1 || codes.contains(longer)) {
      current = longer;
      continue;
    }
    put(code_of(current));
    if (!advance()) codes[longer] = hi;
    current = longer.substr(longer.size() - 1);
  }
  if (!current.empty()) {
    put(code_of(current));
    advance();
  }
  put(257);
  if (filled > 0) out.push_back(static_cast<std::uint8_t>(bits));
  return out;
}

/// Bytes of a given alphabet: small alphabets compress, 256 does not.
Buffer sample(std::size_t length, std::uint64_t alphabet, std::uint64_t seed) {
  Rng rng(seed, "lzw", "sample");
  Buffer out(length);
  for (auto& b : out) b = static_cast<std::uint8_t>(rng.below(alphabet));
  return out;
}

/// Codes packed by hand, least significant bit first.
Buffer packed(std::initializer_list<std::pair<std::uint32_t, int>> codes) {
  Buffer out;
  std::uint64_t bits = 0;
  int filled = 0;
  for (const auto& [code, width] : codes) {
    bits |= std::uint64_t{code} << filled;
    for (filled += width; filled >= 8; filled -= 8, bits >>= 8) out.push_back(static_cast<std::uint8_t>(bits));
  }
  if (filled > 0) out.push_back(static_cast<std::uint8_t>(bits));
  return out;
}

}  // namespace

TEST_CASE("lzw: one encoder used again and again writes what a fresh textbook encoder writes, and it decodes") {
  wire::LzwEncoder encoder;
  wire::LzwDecoder decoder;
  std::uint64_t seed = 1;
  // Lengths around the code-width changes (256, 768, 1792 codes) and past the table resets at 3837 codes.
  for (const std::size_t length : {0u,   1u,    2u,    3u,    60u,   254u,  255u,  256u,  257u,  766u,  767u,
                                   768u, 1791u, 1792u, 3836u, 3837u, 3838u, 3839u, 7674u, 9000u, 60000u}) {
    for (const std::uint64_t alphabet : {1u, 2u, 7u, 256u}) {
      CAPTURE(length);
      CAPTURE(alphabet);
      const Buffer in = sample(length, alphabet, seed++);
      const Buffer expected = textbook_lzw(in);
      Buffer out{0xee};  // appends
      encoder.encode(in, out);
      REQUIRE(out.size() == expected.size() + 1);
      CHECK(std::equal(expected.begin(), expected.end(), out.begin() + 1));
      Buffer back{0xdd};
      CHECK(decoder.decode(expected, in.size(), back) == wire::LzwDecoder::Outcome::kDone);
      CHECK(back.size() == in.size() + 1);
      CHECK(std::equal(in.begin(), in.end(), back.begin() + 1));
    }
  }
}

TEST_CASE("lzw: encoding within a limit gives the same bytes or nothing at all") {
  wire::LzwEncoder encoder;
  for (const std::size_t length : {0u, 1u, 40u, 150u, 300u, 1400u, 5000u}) {
    for (const std::uint64_t alphabet : {2u, 20u, 256u}) {
      const Buffer in = sample(length, alphabet, length + alphabet);
      Buffer whole;
      encoder.encode(in, whole);
      for (std::size_t limit = whole.size() > 40 ? whole.size() - 40 : 0; limit < whole.size() + 40; ++limit) {
        Buffer out{1, 2, 3};
        const bool fits = encoder.encode_within(in, limit, out);
        CHECK(fits == (whole.size() <= limit));
        CHECK(out.size() == (fits ? whole.size() + 3 : 3));
        if (fits) CHECK(std::equal(whole.begin(), whole.end(), out.begin() + 3));
      }
      Buffer none;
      CHECK_FALSE(encoder.encode_within(in, 0, none));
    }
  }
}

TEST_CASE("lzw: the decoder takes streams without the leading clear, and a full table without a clear") {
  wire::LzwDecoder decoder;
  Buffer out;
  CHECK(decoder.decode(packed({{'h', 9}, {'i', 9}, {257, 9}}), 10, out) == wire::LzwDecoder::Outcome::kDone);
  CHECK(text_of(out) == "hi");

  // 5000 literals and never a clear code: the width grows to 12 and stays there, the table stops growing.
  Buffer stream, expected;
  std::uint64_t bits = 0;
  int filled = 0, width = 9, hi = 257;
  const auto put = [&](std::uint32_t code) {
    bits |= std::uint64_t{code} << filled;
    for (filled += width; filled >= 8; filled -= 8, bits >>= 8) stream.push_back(static_cast<std::uint8_t>(bits));
    if (width < 12 && ++hi == 1 << width) ++width;
  };
  for (int i = 0; i < 5000; ++i) {
    expected.push_back(static_cast<std::uint8_t>(i * 7));
    put(expected.back());
  }
  put(4095);  // the last entry, added when the table filled up: literals 3837 and 3838 of the stream
  expected.push_back(expected[3837]);
  expected.push_back(expected[3838]);
  put(257);
  if (filled > 0) stream.push_back(static_cast<std::uint8_t>(bits));
  out.clear();
  CHECK(decoder.decode(stream, 6000, out) == wire::LzwDecoder::Outcome::kDone);
  CHECK(out == expected);
}

TEST_CASE("lzw: malformed streams end in a reason, not in a misreading") {
  wire::LzwDecoder decoder;
  Buffer out;
  CHECK(decoder.decode({}, 10, out) == wire::LzwDecoder::Outcome::kTruncated);
  CHECK(decoder.decode(packed({{256, 9}, {'a', 9}}), 10, out) == wire::LzwDecoder::Outcome::kTruncated);
  out.clear();
  CHECK(decoder.decode(packed({{256, 9}, {300, 9}}), 10, out) == wire::LzwDecoder::Outcome::kBadCode);
  CHECK(decoder.decode(packed({{258, 9}, {257, 9}}), 10, out) == wire::LzwDecoder::Outcome::kBadCode);
  // An entry of before the clear must not be reachable after it.
  CHECK(decoder.decode(packed({{'a', 9}, {'b', 9}, {'c', 9}, {256, 9}, {'d', 9}, {259, 9}, {257, 9}}), 10, out) ==
        wire::LzwDecoder::Outcome::kBadCode);
  out.clear();
  // A code that is being defined by itself: a, then 258 = "aa".
  CHECK(decoder.decode(packed({{256, 9}, {'a', 9}, {258, 9}, {257, 9}}), 10, out) == wire::LzwDecoder::Outcome::kDone);
  CHECK(text_of(out) == "aaa");
}

TEST_CASE("lzw: a bomb stops at the limit and takes no more memory than a constant times it") {
  wire::LzwEncoder encoder;
  wire::LzwDecoder decoder;
  Buffer bomb;
  encoder.encode(Buffer(8u << 20, 0), bomb);
  CHECK(bomb.size() < 16384);
  Buffer out;
  CHECK(decoder.decode(bomb, 1u << 20, out) == wire::LzwDecoder::Outcome::kTooLong);
  CHECK(out.size() <= 1u << 20);
  CHECK(out.capacity() <= 3u << 20);

  wire::Decompressor decompressor;
  Buffer message;
  wire::Compressor().compress(Buffer(8u << 20, 0), message);
  Buffer plain{7};
  CHECK(decompressor.decompress(ByteView(message).subspan(1), 1u << 20, plain) ==
        wire::Decompressor::Outcome::kTooLarge);
  CHECK(plain.size() == 1);
}

TEST_CASE("compress: kept only if the whole message is strictly shorter, and then equal to the unconditional one") {
  wire::Compressor compressor;
  int kept = 0, refused = 0;
  for (std::size_t length = 0; length < 700; ++length) {
    for (const std::uint64_t alphabet : {1u, 4u, 12u, 40u}) {
      const Buffer in = sample(length, alphabet, length * 3 + alphabet);
      Buffer always, maybe;
      compressor.compress(in, always);
      const bool shorter = compressor.compress_if_shorter(in, maybe);
      CHECK(shorter == (always.size() < in.size()));
      if (shorter) CHECK(maybe == always);
      if (!shorter) CHECK(maybe.empty());
      ++(shorter ? kept : refused);
    }
  }
  CHECK(kept > 100);
  CHECK(refused > 100);
}

TEST_CASE("compress: an 18-byte ack on a stream becomes 36 bytes") {
  wire::Ack ack;
  ack.seq_no = 30;
  Buffer bare, out;
  wire::encode(ack, bare);
  wire::Compressor compressor;
  wire::append_stream(bare, {}, compressor, out);
  CHECK(bare.size() == 18);
  CHECK(out.size() == 36);
}

TEST_CASE("memo: results are the same with and without, however often and in whatever order it is asked") {
  wire::CompressionMemo compressed(20'000);
  wire::DecompressionMemo plain(20'000);
  wire::Compressor with(&compressed), without;
  wire::Decompressor undo_with(&plain), undo_without;
  Rng rng(3, "memo", "order");
  std::vector<Buffer> inputs;
  for (std::size_t i = 0; i < 30; ++i) inputs.push_back(sample(200 + 150 * i, 5 + i, i));
  for (int round = 0; round < 400; ++round) {
    const Buffer& in = inputs[rng.below(inputs.size())];
    Buffer a, b;
    with.compress(in, a);
    without.compress(in, b);
    REQUIRE(a == b);
    wire::Reader r(ByteView(a).subspan(1));
    wire::CompressBody body;
    REQUIRE(wire::read_compress(r, body));
    Bytes x, y;
    const std::size_t limit = rng.below(2) == 0 ? in.size() : in.size() - 1;
    const auto outcome = undo_with.decompress_lzw(body.buf, limit, x);
    REQUIRE(outcome == undo_without.decompress_lzw(body.buf, limit, y));
    CHECK(outcome ==
          (limit == in.size() ? wire::Decompressor::Outcome::kDone : wire::Decompressor::Outcome::kTooLarge));
    if (outcome == wire::Decompressor::Outcome::kDone)
      CHECK(std::equal(in.begin(), in.end(), x.view().begin(), x.view().end()));
    CHECK(compressed.bytes() <= 20'000);
    CHECK(plain.bytes() <= 20'000);
  }
  CHECK(compressed.hits() > 0);
  CHECK(plain.hits() > 0);
}

TEST_CASE("memo: the least recently used entries go first, and what cannot fit is not kept") {
  wire::ContentMemo memo(3 * 1000);
  const auto key = [](std::uint8_t i) { return wire::ContentMemo::key_of(Buffer{i}); };
  const Buffer value(800, 1);
  for (std::uint8_t i = 0; i < 3; ++i) memo.put(key(i), Bytes(ByteView(value)));
  CHECK(memo.entries() == 3);
  CHECK(memo.find(key(0)) != nullptr);
  memo.put(key(3), Bytes(ByteView(value)));  // 1 is now the oldest
  CHECK(memo.find(key(1)) == nullptr);
  CHECK(memo.find(key(0)) != nullptr);
  memo.put(key(4), Bytes(ByteView(Buffer(5000, 2))));
  CHECK(memo.find(key(4)) == nullptr);
  CHECK(memo.entries() == 3);
}

TEST_CASE("wire: encoding, framing and walking packets allocates nothing in the steady state") {
  wire::Compressor compressor;
  wire::PacketReader reader;
  Buffer message, datagram, compound, third(60, 'x');
  std::uint32_t sum = 0;
  const auto round = [&](std::uint32_t i) {
    wire::Ping ping;
    ping.node = "dc1/c3";
    ping.seq_no = i;
    message.clear();
    wire::encode(ping, message);
    const ByteView parts[] = {message, third, third};
    compound.clear();
    wire::append_compound(parts, compound);
    for (const bool crc : {false, true}) {
      datagram.clear();
      wire::append_packet(compound, {.label = "lan", .compress = true, .crc = crc}, compressor, datagram);
      const auto split = wire::accept_label(datagram, {"lan"});
      reader.start(split.rest);
      for (wire::PacketItem item; reader.next(item);) {
        wire::Ping back;
        if (item.type == wire::MessageType::kPing && wire::decode(item.body, back)) sum += back.seq_no;
      }
    }
  };
  for (std::uint32_t i = 0; i < 10; ++i) round(i == 0 ? 70'000 : 1000 + i);  // the longest first
  sum = 0;
  const auto before = allocations();
  for (std::uint32_t i = 0; i < 1000; ++i) round(i);
  const auto after = allocations();
  CHECK(after == before);
  CHECK(sum == 2 * 499'500);
}
