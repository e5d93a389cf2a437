#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/bytes.h"

namespace dcsim::wire {

/// A byte-string field: nil and empty are different bytes on the wire, and the same to every rule of the protocol.
/// A view: it lives as long as the bytes it was decoded from.
struct OptBytes {
  ByteView data;
  bool nil = true;

  OptBytes() = default;
  OptBytes(ByteView bytes) : data(bytes), nil(false) {}
  bool empty() const { return data.empty(); }
};

/// A msgpack list whose items stay encoded, back to back, until somebody iterates (`Reader(list.items)`).
/// What a decoder returns has been validated: reading `count` items of the documented kind cannot fail.
struct RawList {
  ByteView items;
  std::uint32_t count = 0;
  bool nil = true;
};

/// The same for a map: `count` pairs of key and value.
using RawMap = RawList;

/// How a *signed* integer field is written. go-msgpack 0.5.x writes a non-negative value like an unsigned one; 1.x and
/// 2.x write values above 127 as d1/d2/d3. Decoders take both.
enum class IntStyle : std::uint8_t { kOld, kNew };

/// Appends msgpack of the old spec (raw only: no str8, no bin) to a caller's Buffer.
/// The Buffer has its exact size again after `finish()` or destruction; do not touch it in between.
/// Hot: a short map costs one resize of the Buffer and no allocation once its capacity suffices.
class Writer {
 public:
  explicit Writer(Buffer& out) : out_(out), used_(out.size()) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { finish(); }

  void finish() { out_.resize(used_); }
  /// Bytes in the Buffer so far, including what stood there before.
  std::size_t size() const { return used_; }

  void byte(std::uint8_t v) { *grow(1) = v; }
  void append(ByteView bytes) {
    if (!bytes.empty()) std::memcpy(grow(bytes.size()), bytes.data(), bytes.size());
  }
  void nil() { byte(0xc0); }
  void boolean(bool v) { byte(v ? 0xc3 : 0xc2); }
  void unsigned_int(std::uint64_t v);
  void signed_int(std::int64_t v, IntStyle style);
  void f64(double v);
  void map(std::uint32_t pairs) { container(0x80, 0xde, pairs); }
  void array(std::uint32_t items) { container(0x90, 0xdc, items); }
  void raw_header(std::uint32_t length);
  void raw(ByteView bytes) {
    raw_header(static_cast<std::uint32_t>(bytes.size()));
    append(bytes);
  }
  void text(std::string_view s) { raw(view_of(s)); }
  void bytes(const OptBytes& b) { b.nil ? nil() : raw(b.data); }
  /// A list or map whose items are already encoded.
  void list(const RawList& l) { l.nil ? nil() : (array(l.count), append(l.items)); }
  void dict(const RawMap& m) { m.nil ? nil() : (map(m.count), append(m.items)); }

  /// A field name of fewer than 32 characters.
  template <std::size_t N>
  void key(const char (&name)[N]) {
    static_assert(N >= 2 && N - 1 < 32);
    std::uint8_t* p = grow(N);
    p[0] = static_cast<std::uint8_t>(0xa0 | (N - 1));
    std::memcpy(p + 1, name, N - 1);
  }

 private:
  std::uint8_t* grow(std::size_t n) {
    if (out_.size() - used_ < n) [[unlikely]]
      enlarge(n);
    std::uint8_t* p = out_.data() + used_;
    used_ += n;
    return p;
  }
  void enlarge(std::size_t n);
  void container(std::uint8_t fix, std::uint8_t wide, std::uint32_t count);

  Buffer& out_;
  std::size_t used_;
};

/// Reads msgpack as go-msgpack does: raw, str8 and bin for any text or byte field, any integer width that fits, nil for
/// anything (the zero value), 0 and 1 for booleans. Errors are sticky: after one, every read returns a zero value.
/// Never reads past the input, never allocates, never recurses: nesting costs a counter.
class Reader {
 public:
  enum class Status : std::uint8_t {
    kOk,
    kShort,  ///< the input ends inside a value: more bytes could complete it
    kBad,    ///< no continuation makes this valid
  };

  explicit Reader(ByteView in) : p_(in.data()), begin_(in.data()), end_(in.data() + in.size()) {}

  bool ok() const { return status_ == Status::kOk; }
  Status status() const { return status_; }
  bool at_end() const { return p_ == end_; }
  std::size_t position() const { return static_cast<std::size_t>(p_ - begin_); }
  /// With kShort: at least so many bytes are missing behind the input.
  std::size_t missing() const { return missing_; }
  ByteView rest() const { return {p_, static_cast<std::size_t>(end_ - p_)}; }
  void fail() { status_ = status_ == Status::kOk ? Status::kBad : status_; }

  /// True, and consumed, if the next value is nil.
  bool take_nil() {
    if (!ok() || p_ == end_ || *p_ != 0xc0) return false;
    ++p_;
    return true;
  }
  /// Number of pairs; nil counts as none. The count is what the sender claims: never reserve from it.
  std::uint32_t map() { return container(0x80, 0xde); }
  std::uint32_t array() { return container(0x90, 0xdc); }
  std::string_view text();
  /// A list of integers 0..127 is accepted as byte string too, as go-msgpack 2.x does.
  OptBytes bytes();
  /// Fails if the value is negative or above `max`.
  std::uint64_t unsigned_int(std::uint64_t max);
  std::uint64_t u64() { return unsigned_int(~std::uint64_t{0}); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(unsigned_int(0xffffffffu)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(unsigned_int(0xffff)); }
  std::uint8_t u8() { return static_cast<std::uint8_t>(unsigned_int(0xff)); }
  std::int64_t i64();
  bool boolean();
  double f64();
  /// Steps over one value of any type and depth, in constant memory.
  void skip();

  /// A map key or struct field name: text only.
  std::string_view key() { return text(); }
  /// Calls `field(name)` for each entry of a struct; it reads the value and returns true, or returns false and the
  /// value is skipped. Repeated names: the last one wins. Returns ok().
  template <class Field>
  bool fields(Field&& field) {
    for (std::uint32_t n = map(); n > 0 && ok(); --n) {
      const std::string_view name = key();
      if (ok() && !field(name)) skip();
    }
    return ok();
  }
  /// A list (or map) left encoded; `item(reader)` must read one item (pair) and is used to validate.
  template <class Item>
  RawList list(Item&& item) {
    return collect(0x90, 0xdc, item);
  }
  template <class Pair>
  RawMap dict(Pair&& pair) {
    return collect(0x80, 0xde, pair);
  }

 private:
  friend class ValueScanner;
  std::size_t left() const { return static_cast<std::size_t>(end_ - p_); }
  bool need(std::size_t n) {
    if (left() >= n) return true;
    run_short(n);
    return false;
  }
  void run_short(std::size_t n) {
    if (!ok()) return;
    status_ = Status::kShort;
    missing_ = n - left();
  }
  /// Two's complement bits of an integer of any width.
  struct Integer {
    std::uint64_t bits = 0;
    bool negative = false;
  };
  Integer integer();
  OptBytes byte_list();
  std::uint64_t skip_one();  ///< steps over one tag and its scalar; returns how many values it contains
  std::uint64_t big_endian(std::size_t n);
  bool raw_length(std::uint8_t tag, std::uint32_t& length);
  std::uint32_t container(std::uint8_t fix, std::uint8_t wide);
  template <class Item>
  RawList collect(std::uint8_t fix, std::uint8_t wide, Item& item) {
    RawList out;
    if (take_nil()) return out;
    const std::uint32_t count = container(fix, wide);
    const std::uint8_t* from = p_;
    for (std::uint32_t i = 0; i < count && ok(); ++i) item(*this);
    if (!ok()) return out;
    out.items = {from, static_cast<std::size_t>(p_ - from)};
    out.count = count;
    out.nil = false;
    return out;
  }

  const std::uint8_t* p_;
  const std::uint8_t* begin_;
  const std::uint8_t* end_;
  std::size_t missing_ = 0;
  Status status_ = Status::kOk;
};

/// Finds the end of one value that arrives in pieces: it remembers how far it came, so pieces of any size cost time
/// linear in the bytes. Constant memory.
class ValueScanner {
 public:
  /// `value`: the bytes from the value's beginning, at least as many as last time. kOk: the value is size() bytes long.
  Reader::Status scan(ByteView value);
  std::size_t size() const { return done_; }
  /// After kShort: so many bytes at least are missing.
  std::size_t missing() const { return missing_; }
  /// Values still to come, as claimed so far; each takes a byte at least.
  std::uint64_t pending() const { return values_; }
  void reset() { *this = {}; }

 private:
  std::size_t done_ = 0;
  std::uint64_t values_ = 1;
  std::size_t missing_ = 0;
};

}  // namespace dcsim::wire
