#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "trace/tracer.h"

namespace dcsim::trace::bin {

/// Numbers of trace.bin; the layout is told at Recording.
inline constexpr char kMagic[9] = "dcsimtrc";
inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::size_t kHeaderBytes = 32;
inline constexpr std::uint32_t kBlock = 0x314b4c42;  // "BLK1"
inline constexpr std::uint32_t kEnd = 0x31444e45;    // "END1"
inline constexpr std::size_t kBitmapBytes = kBlockRecords / 8;
inline constexpr std::size_t kBlockHeaderBytes = 6 * 4 + 16 + kBitmapBytes;
inline constexpr std::size_t kEndBytes = 32;

inline void put32(std::string& out, std::uint32_t v) {
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(v >> (8 * i)));
}
inline void put64(std::string& out, std::uint64_t v) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(v >> (8 * i)));
}
inline std::uint32_t get32(const std::uint8_t* p) {
  std::uint32_t v = 0;
  for (int i = 0; i < 4; ++i) v |= static_cast<std::uint32_t>(p[i]) << (8 * i);
  return v;
}
inline std::uint64_t get64(const std::uint8_t* p) { return get32(p) | static_cast<std::uint64_t>(get32(p + 4)) << 32; }
inline void pad8(std::string& out) { out.append((8 - out.size() % 8) % 8, '\0'); }

}  // namespace dcsim::trace::bin
