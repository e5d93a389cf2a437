#include "base/bytes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <new>

#include "base/check.h"

namespace dcsim {

struct Bytes::Block {
  std::uint32_t references;
  std::uint32_t size_class;
  Block* next_free;
};

namespace {

constexpr std::uint32_t kSmallestClass = 6;   // 64 bytes
constexpr std::uint32_t kLargestPooled = 17;  // larger blocks go back to the allocator: streams are rare

// The only per-thread state of the project: a free list is not ambient state, it changes no result.
struct FreeLists {
  std::array<Bytes::Block*, kLargestPooled + 1> head{};
  ~FreeLists() {
    for (Bytes::Block* block : head) {
      while (block) {
        Bytes::Block* next = block->next_free;
        ::operator delete(block);
        block = next;
      }
    }
  }
};
thread_local FreeLists free_lists;

std::uint8_t* payload(Bytes::Block* block) { return reinterpret_cast<std::uint8_t*>(block + 1); }

Bytes::Block* take(std::size_t size) {
  const auto size_class = std::max(kSmallestClass, static_cast<std::uint32_t>(std::bit_width(size ? size - 1 : 0)));
  if (size_class <= kLargestPooled) {
    if (Bytes::Block* block = free_lists.head[size_class]) {
      free_lists.head[size_class] = block->next_free;
      block->references = 1;
      return block;
    }
  }
  const std::size_t room = size_class <= kLargestPooled ? std::size_t{1} << size_class : size;
  return new (::operator new(sizeof(Bytes::Block) + room)) Bytes::Block{1, size_class, nullptr};
}

}  // namespace

Bytes::Bytes(ByteView data) {
  if (data.empty()) return;
  DCSIM_CHECK(data.size() < 0xffffffffu);
  block_ = take(data.size());
  size_ = static_cast<std::uint32_t>(data.size());
  std::memcpy(payload(block_), data.data(), data.size());
}

const std::uint8_t* Bytes::data() const { return block_ ? payload(block_) + offset_ : nullptr; }

Bytes Bytes::slice(std::size_t from, std::size_t count) const {
  DCSIM_CHECK(from <= size_ && count <= size_ - from);
  Bytes part(*this);
  part.offset_ += static_cast<std::uint32_t>(from);
  part.size_ = static_cast<std::uint32_t>(count);
  return part;
}

Bytes Bytes::joined(const Bytes& next) const {
  if (empty()) return next;
  if (next.empty()) return *this;
  if (continued_by(next)) {
    Bytes whole(*this);
    whole.size_ += next.size_;
    return whole;
  }
  DCSIM_CHECK(next.size_ < 0xffffffffu - size_);
  Bytes whole;
  whole.block_ = take(std::size_t{size_} + next.size_);
  whole.size_ = size_ + next.size_;
  std::memcpy(payload(whole.block_), data(), size_);
  std::memcpy(payload(whole.block_) + size_, next.data(), next.size_);
  return whole;
}

void Bytes::retain() const noexcept {
  if (block_) ++block_->references;
}

void Bytes::release() noexcept {
  if (!block_ || --block_->references != 0) return;
  if (block_->size_class <= kLargestPooled) {
    block_->next_free = free_lists.head[block_->size_class];
    free_lists.head[block_->size_class] = block_;
  } else {
    ::operator delete(block_);
  }
  block_ = nullptr;
}

}  // namespace dcsim
