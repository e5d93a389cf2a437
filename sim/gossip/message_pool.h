#pragma once
#include <vector>

#include "base/bytes.h"
#include "wire/memo.h"

namespace dcsim::gossip {

/// Blocks of messages that were broadcast lately, by content: the nodes of a pool pass on each other's messages as they
/// are, so a thousand queues hold one block and not a thousand copies. Sharing changes no result. Holds at most
/// `kSlots` messages of at most `kLongest` bytes. Not thread-safe, as Bytes is not.
class MessagePool {
 public:
  /// A block with these contents. Hot: one hash, and a comparison or a copy.
  Bytes share(ByteView message) {
    if (message.empty() || message.size() > kLongest) return Bytes(message);
    if (slots_.empty()) slots_.resize(kSlots);
    Bytes& slot = slots_[wire::ContentMemo::key_of(message).low % kSlots];
    if (text_of(slot) != text_of(message)) slot = Bytes(message);
    return slot;
  }

 private:
  static constexpr std::size_t kSlots = 1u << 12;
  static constexpr std::size_t kLongest = 1u << 10;

  std::vector<Bytes> slots_;
};

}  // namespace dcsim::gossip
