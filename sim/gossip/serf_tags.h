#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "base/bytes.h"
#include "gossip/serf_event.h"

namespace dcsim::gossip {

/// Node meta of these tags for a Serf protocol version (serf.go: encodeTags): below 3 the bare role. Appends to `out`.
void encode_tags(const Tags& tags, std::uint8_t protocol_version, Buffer& out);
/// serf.go: decodeTags. Never fails: a malformed map keeps what came before the fault.
Tags decode_tags(ByteView meta);

/// Decoded tags by meta bytes, so that ten thousand views of one record decode it once. Part of the SerfWorkspace; not
/// thread-safe. Sharing changes no result. Entries nobody holds go when
/// the cache exceeds its bound.
class TagCache {
 public:
  explicit TagCache(std::size_t max_entries = 1u << 16) : max_entries_(max_entries) {}
  TagCache(const TagCache&) = delete;
  TagCache& operator=(const TagCache&) = delete;

  /// Hot: ~40 ns for 200 bytes of meta seen before.
  std::shared_ptr<const Tags> get(ByteView meta);
  std::size_t entries() const { return entries_.size(); }

 private:
  struct Entry {
    Buffer meta;  // compared on a hit: the hash is not proof against an adversary
    std::shared_ptr<const Tags> tags;
  };
  std::size_t max_entries_;
  std::unordered_map<std::uint64_t, Entry> entries_;  // looked up, never iterated into a decision
};

}  // namespace dcsim::gossip
