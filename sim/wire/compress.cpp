#include "wire/compress.h"

#include <algorithm>
#include <utility>

#include "wire/messages.h"

namespace dcsim::wire {
namespace {

constexpr std::size_t kMemoFrom = 256;          // shorter inputs cost about as much to look up as to compress
constexpr std::size_t kKeepScratch = 1u << 20;  // a larger scratch buffer goes back after use
constexpr std::size_t kFixedPart = 12;          // 09 82 a4 "Algo" 00 a3 "Buf"

void append_compress(ByteView lzw, Buffer& out) {
  Writer w(out);
  w.byte(static_cast<std::uint8_t>(MessageType::kCompress));
  w.map(2);
  w.key("Algo"), w.unsigned_int(0);
  w.key("Buf"), w.raw(lzw);
}

/// The longest LZW stream whose compress message is still shorter than `n` bytes; 0 if there is none.
std::size_t shorter_limit(std::size_t n) {
  if (n <= kFixedPart + 2) return 0;
  const std::size_t room = n - 1 - kFixedPart;
  if (room - 1 < 32) return room - 1;
  if (room - 3 <= 0xffff) return std::max<std::size_t>(31, room - 3);
  return std::max<std::size_t>(0xffff, room - 5);
}

void trim(Buffer& scratch) {
  if (scratch.capacity() > kKeepScratch) Buffer().swap(scratch);
}

}  // namespace

void Compressor::compress(ByteView message, Buffer& out) {
  const bool memoise = memo_ != nullptr && message.size() >= kMemoFrom;
  ContentMemo::Key key;
  if (memoise) {
    key = ContentMemo::key_of(message);
    if (const Bytes* lzw = memo_->find(key)) return append_compress(*lzw, out);
  }
  scratch_.clear();
  lzw_.encode(message, scratch_);
  append_compress(scratch_, out);
  if (memoise) memo_->put(key, Bytes(ByteView(scratch_)));
  trim(scratch_);
}

bool Compressor::compress_if_shorter(ByteView message, Buffer& out) {
  const std::size_t limit = shorter_limit(message.size());
  scratch_.clear();
  if (limit == 0 || !lzw_.encode_within(message, limit, scratch_)) return false;
  append_compress(scratch_, out);
  trim(scratch_);
  return true;
}

bool read_compress(Reader& r, CompressBody& body) {
  body = {};
  return r.fields([&](std::string_view name) {
    if (name == "Algo") return body.algorithm = r.u8(), true;
    if (name == "Buf") return body.buf = r.bytes().data, true;
    return false;
  });
}

Decompressor::Outcome Decompressor::run(ByteView lzw, std::size_t limit, Buffer& out) {
  const std::size_t before = out.size();
  const LzwDecoder::Outcome outcome = lzw_.decode(lzw, limit, out);
  if (outcome == LzwDecoder::Outcome::kDone) return Outcome::kDone;
  out.resize(before);
  if (outcome == LzwDecoder::Outcome::kTruncated) return Outcome::kShort;
  return outcome == LzwDecoder::Outcome::kTooLong ? Outcome::kTooLarge : Outcome::kBad;
}

Decompressor::Outcome Decompressor::decompress(ByteView body, std::size_t limit, Buffer& out) {
  Reader r(body);
  CompressBody read;
  return read_compress(r, read) && read.algorithm == 0 ? run(read.buf, limit, out) : Outcome::kBad;
}

Decompressor::Outcome Decompressor::decompress_lzw(ByteView lzw, std::size_t limit, Bytes& plain) {
  ContentMemo::Key key;
  if (memo_ != nullptr) {
    key = ContentMemo::key_of(lzw);
    if (const Bytes* known = memo_->find(key)) {
      if (known->size() > limit) return Outcome::kTooLarge;
      plain = *known;
      return Outcome::kDone;
    }
  }
  scratch_.clear();
  const Outcome outcome = run(lzw, limit, scratch_);
  if (outcome == Outcome::kDone) {
    plain = Bytes(ByteView(scratch_));
    if (memo_ != nullptr) memo_->put(key, plain);
  }
  trim(scratch_);
  return outcome;
}

}  // namespace dcsim::wire
