#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "source_tree.h"

namespace dcsim::tidy {

/// What each room links, as its room(...) line in CMakeLists.txt says: "dcsim_base", "fmt::fmt", ...
using Rooms = std::map<std::string, std::set<std::string>>;
Rooms rooms_of(const SourceFile& cmake_lists);

/// A folder includes itself and what its link line names, nothing else; libraries likewise.
Findings check_arrows(const SourceFile& file, const Rooms& rooms);
/// Libraries that belong to one room only may not appear on another's link line.
Findings check_link_lines(const Rooms& rooms);

}  // namespace dcsim::tidy
