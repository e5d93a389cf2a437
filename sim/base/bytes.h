#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace dcsim {

using ByteView = std::span<const std::uint8_t>;
using Buffer = std::vector<std::uint8_t>;  ///< bytes under construction; reuse one per owner, not one per packet

inline ByteView view_of(std::string_view s) { return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()}; }
inline std::string_view text_of(ByteView b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

/// Immutable payload bytes, shared by reference count: a fan-out and every hop of a path hold the same block.
/// Blocks come from per-thread free lists by size class, so making one allocates nothing in the steady state.
/// Not thread-safe: a payload that leaves its thread is copied. A slice keeps its whole block alive.
class Bytes {
 public:
  Bytes() = default;
  /// A copy of `data`.
  explicit Bytes(ByteView data);
  Bytes(const Bytes& other) noexcept : block_(other.block_), offset_(other.offset_), size_(other.size_) { retain(); }
  Bytes(Bytes&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)), offset_(other.offset_), size_(std::exchange(other.size_, 0)) {}
  Bytes& operator=(Bytes other) noexcept {
    std::swap(block_, other.block_);
    std::swap(offset_, other.offset_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Bytes() { release(); }

  const std::uint8_t* data() const;
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  ByteView view() const { return {data(), size_}; }
  operator ByteView() const { return view(); }
  /// The part [from, from + count), sharing the block. Requires it to lie inside.
  Bytes slice(std::size_t from, std::size_t count) const;
  /// True if `next` continues this slice in the same block, so that `joined` copies nothing.
  bool continued_by(const Bytes& next) const {
    return block_ && block_ == next.block_ && offset_ + size_ == next.offset_;
  }
  Bytes joined(const Bytes& next) const;

  struct Block;

 private:
  void retain() const noexcept;
  void release() noexcept;

  Block* block_ = nullptr;
  std::uint32_t offset_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace dcsim
