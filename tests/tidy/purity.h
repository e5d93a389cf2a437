#pragma once
#include "source_tree.h"

namespace dcsim::tidy {

/// Whether a room must depend on nothing but what it is handed: base, wire, gossip, consul, core, net (and raft).
bool pure_room(const std::string& room);

/// Clocks, threads, ambient randomness, the library's distributions, the environment.
Findings check_ambient(const SourceFile& file);
/// Variables that outlive a call and can change: static, thread_local, or of a namespace.
Findings check_mutable_state(const SourceFile& file);

}  // namespace dcsim::tidy
