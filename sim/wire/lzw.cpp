#include "wire/lzw.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace dcsim::wire {
namespace {

constexpr std::uint32_t kClear = 256;
constexpr std::uint32_t kEnd = 257;
constexpr std::uint32_t kFirstWidth = 9;
constexpr std::uint32_t kLastWidth = 12;
constexpr std::uint32_t kMaxCode = (1u << kLastWidth) - 1;
constexpr std::uint32_t kByteSpread = 2741;  // spreads the next byte over the slots; the prefix code is spread already

constexpr std::size_t kStride = 16;  // the decoder copies short strings by so many bytes

std::uint64_t little_endian(const std::uint8_t* p) {
  std::uint64_t value;
  std::memcpy(&value, p, sizeof value);
  if constexpr (std::endian::native == std::endian::big) value = __builtin_bswap64(value);
  return value;
}

/// Packs codes, least significant bit first, into memory that is known to suffice.
class BitWriter {
 public:
  explicit BitWriter(std::uint8_t* p) : p_(p) {}
  void put(std::uint32_t code, std::uint32_t width) {
    bits_ |= std::uint64_t{code} << filled_;
    filled_ += width;
    if (filled_ >= 32) {
      for (int i = 0; i < 4; ++i) p_[i] = static_cast<std::uint8_t>(bits_ >> (8 * i));
      p_ += 4;
      bits_ >>= 32;
      filled_ -= 32;
    }
  }
  void flush() {
    for (; filled_ > 0; filled_ -= std::min<std::uint32_t>(filled_, 8), bits_ >>= 8)
      *p_++ = static_cast<std::uint8_t>(bits_);
  }
  std::uint8_t* position() const { return p_; }

 private:
  std::uint8_t* p_;
  std::uint64_t bits_ = 0;
  std::uint32_t filled_ = 0;
};

/// The encoder's code counter.
struct CodeSpace {
  std::uint32_t hi = kEnd;
  std::uint32_t width = kFirstWidth;

  /// After each code: true if the space is used up and has been reset, for which the encoder writes a clear code.
  bool advance(BitWriter& out) {
    ++hi;
    if (hi == 1u << width) ++width;
    if (hi != kMaxCode) return false;
    out.put(kClear, width);
    *this = {};
    return true;
  }
};

/// Enough for any input: every byte a 12-bit code, a clear code every 3837 codes, and the ends.
std::size_t worst_case(std::size_t n) { return n + n / 2 + n / 2048 + 16; }

}  // namespace

LzwEncoder::LzwEncoder() : slots_(std::make_unique<std::uint32_t[]>(kSlots)) {}

void LzwEncoder::encode(ByteView in, Buffer& out) { run<false>(in, 0, out); }

bool LzwEncoder::encode_within(ByteView in, std::size_t limit, Buffer& out) { return run<true>(in, limit, out); }

template <bool kBounded>
bool LzwEncoder::run(ByteView in, std::size_t limit, Buffer& out) {
  const std::size_t before = out.size();
  const std::size_t room = kBounded ? std::min(worst_case(in.size()), limit + 32) : worst_case(in.size());
  out.resize(before + room);
  std::uint8_t* const begin = out.data() + before;
  BitWriter bits(begin);
  CodeSpace space;
  bits.put(kClear, space.width);

  if (!in.empty()) {
    const std::uint32_t slots = std::clamp<std::uint32_t>(
        static_cast<std::uint32_t>(std::bit_ceil(std::min<std::size_t>(in.size(), kSlots))) * 2, kFewestSlots, kSlots);
    std::uint32_t* const table = slots_.get();
    std::fill_n(table, slots, 0u);
    std::uint32_t prefix = in[0];
    for (std::size_t i = 1; i < in.size(); ++i) {
      // The next prefix depends on one load from a table that stays in the first-level cache.
      const std::uint32_t string = prefix << 8 | in[i];
      std::uint32_t at = (prefix ^ std::uint32_t{in[i]} * kByteSpread) & (slots - 1);
      while (table[at] >> kLastWidth != string && table[at] != 0) at = (at + 1) & (slots - 1);
      if (table[at] != 0) {
        prefix = table[at] & kMaxCode;
        continue;
      }
      if (kBounded && static_cast<std::size_t>(bits.position() - begin) > limit) {
        out.resize(before);
        return false;
      }
      bits.put(prefix, space.width);
      prefix = in[i];
      if (space.advance(bits)) {
        std::fill_n(table, slots, 0u);
        continue;
      }
      table[at] = string << kLastWidth | space.hi;
    }
    bits.put(prefix, space.width);
    space.advance(bits);
  }
  bits.put(kEnd, space.width);
  bits.flush();
  const auto length = static_cast<std::size_t>(bits.position() - begin);
  const bool fits = !kBounded || length <= limit;
  out.resize(fits ? before + length : before);
  return fits;
}

LzwDecoder::LzwDecoder() : entries_(std::make_unique<Entry[]>(kMaxCode + 1)) {}

LzwDecoder::Outcome LzwDecoder::decode(ByteView in, std::size_t limit, Buffer& out) {
  const std::size_t base = out.size();
  std::size_t produced = 0;
  std::uint32_t hi = kEnd;
  std::uint32_t width = kFirstWidth;
  bool have_last = false;
  Entry last{0, 0};  // where the previous code's string stands in the output
  std::uint64_t bits = 0;
  std::uint32_t filled = 0;
  const std::uint8_t* p = in.data();
  const std::uint8_t* const end = p + in.size();
  Outcome outcome = Outcome::kTruncated;

  for (;;) {
    if (filled < width) {
      if (end - p >= 8) {
        bits |= little_endian(p) << filled;
        p += (63 - filled) / 8;
        filled += (63 - filled) / 8 * 8;
      } else {
        while (filled < 56 && p != end) bits |= std::uint64_t{*p++} << filled, filled += 8;
      }
    }
    if (filled < width) break;
    const auto code = static_cast<std::uint32_t>(bits & ((1u << width) - 1));
    bits >>= width;
    filled -= width;

    if (code == kClear) {
      hi = kEnd, width = kFirstWidth, have_last = false;
      continue;
    }
    if (code == kEnd) {
      outcome = Outcome::kDone;
      break;
    }
    // The string of table entry `hi`, added with this code, is the previous string and the byte after it: it stands
    // in the output already (or will, for the code that is being defined by itself).
    const bool defines_itself = code == hi && have_last;
    if (code > hi) {
      outcome = Outcome::kBadCode;
      break;
    }
    const std::uint32_t length = code < kClear ? 1 : defines_itself ? last.length + 1 : entries_[code].length;
    if (length > limit - produced) {
      outcome = Outcome::kTooLong;
      break;
    }
    if (out.size() - base - produced < length + kStride) {
      const std::size_t ahead = std::min(produced / 2 + 256, limit - produced);
      out.resize(base + produced + std::max<std::size_t>(length, ahead) + kStride);
    }
    std::uint8_t* const to = out.data() + base + produced;
    if (code < kClear) {
      *to = static_cast<std::uint8_t>(code);
    } else {
      const std::uint8_t* from = out.data() + base + (defines_itself ? last.from : entries_[code].from);
      if (length <= kStride) {  // what is copied beyond the string is overwritten next
        std::uint8_t stride[kStride];
        std::memcpy(stride, from, kStride);
        std::memcpy(to, stride, kStride);
      } else {
        std::memcpy(to, from, length - 1);
      }
      to[length - 1] = from[length - 1];  // may be to[0]
    }
    if (have_last) entries_[hi] = {last.from, last.length + 1};
    last = {static_cast<std::uint32_t>(produced), length};
    have_last = true;
    produced += length;
    if (++hi == 1u << width) {
      if (width == kLastWidth) {
        have_last = false;  // full: no more entries until a clear code
        --hi;
      } else {
        ++width;
      }
    }
  }
  out.resize(base + produced);
  return outcome;
}

}  // namespace dcsim::wire
