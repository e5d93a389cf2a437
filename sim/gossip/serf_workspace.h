#pragma once
#include <cstdint>
#include <vector>

#include "gossip/serf_clock.h"
#include "gossip/serf_tags.h"
#include "gossip/workspace.h"
#include "wire/serf_messages.h"

namespace dcsim::gossip {

/// Memberlist's shared scratch space, and Serf's: decoded tags and the work lists of merges and encoders, which are as
/// long as the pool and so must not exist once per node. One per world and thread; it outlives the Serfs that use it.
struct SerfWorkspace : Workspace {
  struct Named {
    MemberId id;
    LamportTime ltime;
  };
  struct LeftName {
    MemberId id;
    std::uint32_t order;  ///< position in the remote list
    LamportTime ltime;
  };

  TagCache tags;
  std::vector<Named> merge_names;
  std::vector<LeftName> merge_left;
  wire::serf::Items ring_items, left_items;
  Buffer status_ltimes;  ///< encoded pairs
  Buffer serf_message;
};

}  // namespace dcsim::gossip
