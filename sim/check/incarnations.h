#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "gossip/notice.h"

namespace dcsim::check {

/// The last incarnation that one view accepted of each member: 4 bytes a pair, by the member's dense id, in chunks that are
/// made when the first of their members is heard of.
class Incarnations {
 public:
  /// 0 if nothing was accepted of the member (no live incarnation is less).
  // Hot: two loads.
  std::uint32_t of(gossip::MemberId member) const {
    const std::size_t chunk = member.index() / kChunk;
    return chunk < chunks_.size() && chunks_[chunk] ? (*chunks_[chunk])[member.index() % kChunk] : 0;
  }
  void set(gossip::MemberId member, std::uint32_t incarnation) {
    const std::size_t chunk = member.index() / kChunk;
    if (chunk >= chunks_.size()) chunks_.resize(chunk + 1);
    if (!chunks_[chunk]) chunks_[chunk] = std::make_unique<Chunk>();
    (*chunks_[chunk])[member.index() % kChunk] = incarnation;
  }
  std::size_t heap_bytes() const {
    std::size_t bytes = chunks_.capacity() * sizeof(chunks_[0]);
    for (const auto& chunk : chunks_) bytes += chunk ? sizeof(Chunk) : 0;
    return bytes;
  }

 private:
  static constexpr std::size_t kChunk = 256;
  using Chunk = std::array<std::uint32_t, kChunk>;

  std::vector<std::unique_ptr<Chunk>> chunks_;
};

}  // namespace dcsim::check
