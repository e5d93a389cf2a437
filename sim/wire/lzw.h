#pragma once
#include <cstdint>
#include <memory>

#include "base/bytes.h"

namespace dcsim::wire {

/// LZW as Go's compress/lzw writes it (LSB order, literal width 8, codes of 9 to 12 bits): byte-identical output.
/// A reusable workspace of 32 KiB; make one per world or thread, not one per node. Only as much of the table is used, and
/// cleared, as an input of that length can fill: for a 150-byte packet 2 KiB, which takes 20 ns.
class LzwEncoder {
 public:
  LzwEncoder();

  /// Appends the whole stream for `in` (empty input: clear and end). Hot: about 4 ns per byte where strings repeat, 10
  /// where none do.
  void encode(ByteView in, Buffer& out);
  /// The same, but gives up once more than `limit` bytes would be needed: returns false and leaves `out` as it was.
  bool encode_within(ByteView in, std::size_t limit, Buffer& out);

 private:
  static constexpr std::uint32_t kSlots = 1u << 13;  // at most 3837 strings: under half full
  static constexpr std::uint32_t kFewestSlots = 1u << 8;

  template <bool kBounded>
  bool run(ByteView in, std::size_t limit, Buffer& out);

  /// Open addressing. 0 = free, else prefix code << 20 | last byte << 12 | code of that string.
  std::unique_ptr<std::uint32_t[]> slots_;
};

/// The inverse; reusable, 32 KiB.
class LzwDecoder {
 public:
  enum class Outcome : std::uint8_t {
    kDone,       ///< end code seen
    kTruncated,  ///< input ended before the end code
    kBadCode,    ///< a code that the table does not hold yet
    kTooLong,    ///< more than `limit` bytes would come out
  };

  LzwDecoder();
  /// Appends the decoded bytes to `out`, at most `limit` of them; grows `out` by what is produced, never ahead of it by
  /// more than a constant factor. What was produced before an error stays in `out`.
  Outcome decode(ByteView in, std::size_t limit, Buffer& out);

 private:
  struct Entry {
    std::uint32_t from;  ///< where the entry's string stands in the output
    std::uint32_t length;
  };
  std::unique_ptr<Entry[]> entries_;
};

}  // namespace dcsim::wire
