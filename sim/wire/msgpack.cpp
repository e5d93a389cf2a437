#include "wire/msgpack.h"

#include <algorithm>
#include <limits>

namespace dcsim::wire {
namespace {

void put_big_endian(std::uint8_t* p, std::uint64_t v, std::size_t n) {
  for (std::size_t i = n; i-- > 0; v >>= 8) p[i] = static_cast<std::uint8_t>(v);
}

}  // namespace

void Writer::enlarge(std::size_t n) {
  // Some slack, so that a short message costs one resize; more for a large one, so that zero-filling stays linear.
  const std::size_t slack = std::max<std::size_t>(n + 160, std::min<std::size_t>(used_ / 4, 64u << 10));
  out_.resize(used_ + slack);
}

void Writer::unsigned_int(std::uint64_t v) {
  if (v < 0x80) return byte(static_cast<std::uint8_t>(v));
  const std::size_t width = v <= 0xff ? 1 : v <= 0xffff ? 2 : v <= 0xffffffffu ? 4 : 8;
  std::uint8_t* p = grow(1 + width);
  p[0] = static_cast<std::uint8_t>(width == 1 ? 0xcc : width == 2 ? 0xcd : width == 4 ? 0xce : 0xcf);
  put_big_endian(p + 1, v, width);
}

void Writer::signed_int(std::int64_t v, IntStyle style) {
  if (v >= 0 && (v < 0x80 || style == IntStyle::kOld)) return unsigned_int(static_cast<std::uint64_t>(v));
  if (v < 0 && v >= -32) return byte(static_cast<std::uint8_t>(v));
  const std::size_t width = v >= -128 && v < 0                      ? 1
                            : v >= -32768 && v <= 32767             ? 2
                            : v >= -2147483648LL && v <= 2147483647 ? 4
                                                                    : 8;
  std::uint8_t* p = grow(1 + width);
  p[0] = static_cast<std::uint8_t>(width == 1 ? 0xd0 : width == 2 ? 0xd1 : width == 4 ? 0xd2 : 0xd3);
  put_big_endian(p + 1, static_cast<std::uint64_t>(v), width);
}

void Writer::f64(double v) {
  std::uint8_t* p = grow(9);
  p[0] = 0xcb;
  put_big_endian(p + 1, std::bit_cast<std::uint64_t>(v), 8);
}

void Writer::raw_header(std::uint32_t length) {
  if (length < 32) return byte(static_cast<std::uint8_t>(0xa0 | length));
  const std::size_t width = length <= 0xffff ? 2 : 4;
  std::uint8_t* p = grow(1 + width);
  p[0] = width == 2 ? 0xda : 0xdb;
  put_big_endian(p + 1, length, width);
}

void Writer::container(std::uint8_t fix, std::uint8_t wide, std::uint32_t count) {
  if (count < 16) return byte(static_cast<std::uint8_t>(fix | count));
  const std::size_t width = count <= 0xffff ? 2 : 4;
  std::uint8_t* p = grow(1 + width);
  p[0] = static_cast<std::uint8_t>(width == 2 ? wide : wide + 1);
  put_big_endian(p + 1, count, width);
}

std::uint64_t Reader::big_endian(std::size_t n) {
  if (!need(n)) return 0;
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < n; ++i) v = v << 8 | p_[i];
  p_ += n;
  return v;
}

std::uint32_t Reader::container(std::uint8_t fix, std::uint8_t wide) {
  if (!ok() || !need(1)) return 0;
  const std::uint8_t tag = *p_++;
  std::uint64_t count = 0;
  if ((tag & 0xf0) == fix) {
    count = tag & 0x0f;
  } else if (tag == wide) {
    count = big_endian(2);
  } else if (tag == wide + 1) {
    count = big_endian(4);
  } else if (tag != 0xc0) {
    fail();
  }
  return ok() ? static_cast<std::uint32_t>(count) : 0;
}

bool Reader::raw_length(std::uint8_t tag, std::uint32_t& length) {
  if ((tag & 0xe0) == 0xa0) {
    length = tag & 0x1f;
    return true;
  }
  std::size_t width = 0;
  switch (tag) {
    case 0xd9:
    case 0xc4:
      width = 1;
      break;
    case 0xda:
    case 0xc5:
      width = 2;
      break;
    case 0xdb:
    case 0xc6:
      width = 4;
      break;
    default:
      return false;
  }
  length = static_cast<std::uint32_t>(big_endian(width));
  return true;
}

std::string_view Reader::text() {
  if (ok() && p_ != end_ && ((*p_ & 0xf0) == 0x90 || *p_ == 0xdc || *p_ == 0xdd)) fail();
  return text_of(bytes().data);
}

OptBytes Reader::bytes() {
  if (!ok() || !need(1)) return {};
  const std::uint8_t tag = *p_++;
  std::uint32_t length = 0;
  if (raw_length(tag, length)) {
    if (!ok() || !need(length)) return {};
    const ByteView data{p_, length};
    p_ += length;
    return data;
  }
  if (tag == 0xc0) return {};
  if ((tag & 0xf0) != 0x90 && tag != 0xdc && tag != 0xdd) {
    fail();
    return {};
  }
  --p_;
  return byte_list();
}

OptBytes Reader::byte_list() {
  // Integers below 128 are one byte each, so the encoded list is itself the byte string.
  const std::uint32_t count = array();
  if (!ok() || !need(count)) return {};
  const ByteView data{p_, count};
  if (std::any_of(data.begin(), data.end(), [](std::uint8_t b) { return b >= 0x80; })) {
    fail();
    return {};
  }
  p_ += count;
  return data;
}

Reader::Integer Reader::integer() {
  if (!ok() || !need(1)) return {};
  const std::uint8_t tag = *p_++;
  if (tag < 0x80) return {tag, false};
  if (tag >= 0xe0) return {static_cast<std::uint64_t>(static_cast<std::int8_t>(tag)), true};
  if (tag >= 0xcc && tag <= 0xcf) return {big_endian(std::size_t{1} << (tag - 0xcc)), false};
  if (tag >= 0xd0 && tag <= 0xd3) {
    const int width = 1 << (tag - 0xd0);
    const int shift = 64 - 8 * width;
    const auto v = static_cast<std::int64_t>(big_endian(static_cast<std::size_t>(width)) << shift) >> shift;
    return {static_cast<std::uint64_t>(v), v < 0};
  }
  if (tag != 0xc0) fail();
  return {};
}

std::uint64_t Reader::unsigned_int(std::uint64_t max) {
  const Integer i = integer();
  if (i.negative || i.bits > max) fail();
  return ok() ? i.bits : 0;
}

std::int64_t Reader::i64() {
  const Integer i = integer();
  if (!i.negative && i.bits > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) fail();
  return ok() ? static_cast<std::int64_t>(i.bits) : 0;
}

bool Reader::boolean() {
  if (!ok() || !need(1)) return false;
  const std::uint8_t tag = *p_++;
  if (tag == 0xc3 || tag == 1) return true;
  if (tag != 0xc2 && tag != 0 && tag != 0xc0) fail();
  return false;
}

double Reader::f64() {
  if (!ok() || !need(1)) return 0;
  if (*p_ == 0xcb) {
    ++p_;
    const std::uint64_t bits = big_endian(8);
    return ok() ? std::bit_cast<double>(bits) : 0;
  }
  if (*p_ == 0xca) {
    ++p_;
    const auto bits = static_cast<std::uint32_t>(big_endian(4));
    return ok() ? static_cast<double>(std::bit_cast<float>(bits)) : 0;
  }
  const Integer i = integer();
  if (!ok()) return 0;
  return i.negative ? static_cast<double>(static_cast<std::int64_t>(i.bits)) : static_cast<double>(i.bits);
}

void Reader::skip() {
  // `values` counts what is still to be stepped over; each takes at least a byte, so a claimed count that cannot fit is
  // found out at once, and the counter cannot overflow.
  for (std::uint64_t values = 1; values > 0 && ok(); --values) {
    if (values > left()) {
      run_short(values);
      return;
    }
    values += skip_one();
  }
}

std::uint64_t Reader::skip_one() {
  const std::uint8_t tag = *p_++;
  if (tag < 0x80 || tag >= 0xe0 || tag == 0xc0 || tag == 0xc2 || tag == 0xc3) return 0;
  std::uint32_t length = 0;
  std::size_t bytes = 0;
  if ((tag & 0xf0) == 0x80) return 2u * (tag & 0x0f);
  if ((tag & 0xf0) == 0x90) return tag & 0x0f;
  if (raw_length(tag, length)) {
    bytes = length;
  } else {
    switch (tag) {
      case 0xdc:
        return big_endian(2);
      case 0xdd:
        return big_endian(4);
      case 0xde:
        return 2 * big_endian(2);
      case 0xdf:
        return 2 * big_endian(4);
      case 0xca:
        bytes = 4;
        break;
      case 0xcb:
        bytes = 8;
        break;
      case 0xcc:
      case 0xcd:
      case 0xce:
      case 0xcf:
        bytes = std::size_t{1} << (tag - 0xcc);
        break;
      case 0xd0:
      case 0xd1:
      case 0xd2:
      case 0xd3:
        bytes = std::size_t{1} << (tag - 0xd0);
        break;
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        bytes = 1 + (std::size_t{1} << (tag - 0xd4));
        break;
      case 0xc7:
        bytes = 1 + static_cast<std::size_t>(big_endian(1));
        break;
      case 0xc8:
        bytes = 1 + static_cast<std::size_t>(big_endian(2));
        break;
      case 0xc9:
        bytes = 1 + static_cast<std::size_t>(big_endian(4));
        break;
      default:
        fail();
        return 0;
    }
  }
  if (ok() && need(bytes)) p_ += bytes;
  return 0;
}

Reader::Status ValueScanner::scan(ByteView value) {
  while (values_ > 0) {
    if (done_ == value.size()) {
      missing_ = values_;
      return Reader::Status::kShort;
    }
    Reader r(value.subspan(done_));
    const std::uint64_t contained = r.skip_one();
    if (!r.ok()) {
      missing_ = r.missing();
      return r.status();
    }
    done_ += r.position();
    values_ += contained - 1;
  }
  return Reader::Status::kOk;
}

}  // namespace dcsim::wire
