#pragma once
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "gossip/broadcast_queue.h"
#include "gossip/message_pool.h"
#include "gossip/notice.h"
#include "wire/memo.h"
#include "wire/packet.h"
#include "wire/stream.h"

namespace dcsim::gossip {

/// Scratch space and memos that all agents of one thread share; what outlives an input only saves time and memory, and
/// changes no result. Make one per world and thread; it outlives the Memberlists that use it. Not thread-safe.
struct Workspace {
  Workspace() = default;
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  wire::CompressionMemo compressed;
  wire::DecompressionMemo decompressed;
  wire::Compressor compressor{&compressed};
  wire::PacketReader packets;
  wire::StreamWorkspace streams{&decompressed};

  Buffer message;  ///< one message being encoded
  Buffer bundle;   ///< the compound around it
  Buffer datagram;
  Buffer payload;  ///< ack payload, meta, user state
  Buffer frame;
  Outgoing outgoing;
  MessagePool broadcasts;
  std::vector<wire::PacketItem> high;  ///< memberlist net.go: highPriorityMsgQueue of one packet
  std::vector<wire::PacketItem> low;
  std::vector<MemberId> members;
  std::vector<MemberId> shuffled;
};

}  // namespace dcsim::gossip
