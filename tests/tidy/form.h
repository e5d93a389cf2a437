#pragma once
#include "source_tree.h"

namespace dcsim::tidy {

inline constexpr std::size_t kMostLines = 800;

/// Length, tabs, trailing blanks, notes to oneself, the include guard of a header.
Findings check_form(const SourceFile& file);

/// Every YAML file in `files` is named (by its file name) in one of the pages.
Findings check_listed(const std::vector<SourceFile>& files, const std::vector<SourceFile>& pages);

}  // namespace dcsim::tidy
