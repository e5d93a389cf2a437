#pragma once
#include <cstdint>
#include <list>
#include <optional>
#include <unordered_map>

#include "base/bytes.h"

namespace dcsim::wire {

/// A content-addressed cache of a pure function bytes -> bytes: the key is the XXH3-128 of the input, the least
/// recently used entries go when `capacity` bytes are exceeded. Results are the same with the memo and without it; it
/// only saves time. Owned by whoever makes it (one per world and thread); not thread-safe, as Bytes is not.
class ContentMemo {
 public:
  static constexpr std::size_t kDefaultCapacity = 16u << 20;

  explicit ContentMemo(std::size_t capacity = kDefaultCapacity) : capacity_(capacity) {}
  ContentMemo(const ContentMemo&) = delete;
  ContentMemo& operator=(const ContentMemo&) = delete;

  struct Key {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    bool operator==(const Key&) const = default;
  };
  static Key key_of(ByteView input);

  /// nullptr if unknown. The pointer is valid until the next call.
  const Bytes* find(const Key& key);
  /// Keeps `value` unless it alone exceeds the capacity.
  void put(const Key& key, Bytes value);

  std::size_t bytes() const { return bytes_; }
  std::size_t entries() const { return order_.size(); }
  std::uint64_t hits() const { return hits_; }
  std::uint64_t misses() const { return misses_; }

 private:
  struct Entry {
    Key key;
    Bytes value;
  };
  struct Hash {
    std::size_t operator()(const Key& k) const noexcept { return static_cast<std::size_t>(k.low); }
  };
  static constexpr std::size_t kEntryOverhead = 128;  // list node, map node and block header

  std::size_t capacity_;
  std::size_t bytes_ = 0;
  std::uint64_t hits_ = 0;
  std::uint64_t misses_ = 0;
  std::list<Entry> order_;  // most recently used first
  std::unordered_map<Key, std::list<Entry>::iterator, Hash> index_;
};

/// Plain bytes -> LZW bytes, for bodies that many nodes send alike (push/pull).
class CompressionMemo : public ContentMemo {
  using ContentMemo::ContentMemo;
};

/// LZW bytes -> plain bytes.
class DecompressionMemo : public ContentMemo {
  using ContentMemo::ContentMemo;
};

}  // namespace dcsim::wire
