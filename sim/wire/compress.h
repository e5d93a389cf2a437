#pragma once
#include <cstdint>

#include "base/bytes.h"
#include "wire/lzw.h"
#include "wire/memo.h"
#include "wire/msgpack.h"

namespace dcsim::wire {

/// Compresses messages into memberlist `compress` messages (util.go: compressPayload). Holds the LZW workspace and a
/// scratch buffer; share one per world or thread. The memo is optional and may be shared.
class Compressor {
 public:
  explicit Compressor(CompressionMemo* memo = nullptr) : memo_(memo) {}

  /// Appends 09 {Algo: 0, Buf: lzw(message)}, larger or not: what streams do.
  void compress(ByteView message, Buffer& out);
  /// Appends the compress message only if it is strictly shorter than `message`; else appends nothing and returns
  /// false. Hot: gives up at the first byte too many. Does not use the memo (packets seldom repeat).
  bool compress_if_shorter(ByteView message, Buffer& out);

 private:
  LzwEncoder lzw_;
  Buffer scratch_;
  CompressionMemo* memo_;
};

/// Undoes one compress body (after the 09). Holds the LZW workspace and a scratch buffer; share one per world or
/// thread.
class Decompressor {
 public:
  explicit Decompressor(DecompressionMemo* memo = nullptr) : memo_(memo) {}

  enum class Outcome : std::uint8_t {
    kDone,
    kBad,       ///< malformed body, a code that LZW does not know yet, or an unknown algorithm
    kShort,     ///< the LZW bytes end before their end code
    kTooLarge,  ///< more than `limit` bytes would come out
  };
  /// Appends the plain bytes to `out`; on failure `out` is as before. Does not use the memo.
  Outcome decompress(ByteView body, std::size_t limit, Buffer& out);
  /// The same for bare LZW bytes, through the memo if there is one; sets `plain` on success.
  Outcome decompress_lzw(ByteView lzw, std::size_t limit, Bytes& plain);

 private:
  Outcome run(ByteView lzw, std::size_t limit, Buffer& out);

  LzwDecoder lzw_;
  Buffer scratch_;
  DecompressionMemo* memo_;
};

/// A compress body: util.go knows one algorithm, 0 = LZW.
struct CompressBody {
  std::uint8_t algorithm = 0;
  ByteView buf;  ///< points into what was read
};
/// False if it is cut short (`r.status()` tells) or malformed.
bool read_compress(Reader& r, CompressBody& body);

}  // namespace dcsim::wire
