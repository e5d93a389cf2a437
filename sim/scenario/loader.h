#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/diagnostic.h"
#include "scenario/scenario.h"
#include "scenario/topology.h"

namespace dcsim::scenario {

struct LoadOptions {
  /// `--set name=value`: a parameter, `topology`, `seed`, or `link.NAME.ATTRIBUTE`. Unknown names are errors.
  std::vector<std::pair<std::string, std::string>> set;
  /// Folders searched for includes that are not beside the including file.
  std::vector<std::string> include_roots;
  /// False: nothing is opened besides the document itself; an include, a config_file, ... is then an error.
  bool allow_files = true;
  std::size_t max_file_bytes = 16u << 20;
  std::size_t max_nodes = 250'000;  ///< of one file, aliases counted with what they stand for
  std::size_t max_agents = 250'000;
  int max_depth = 64;
  int max_include_depth = 16;
};

/// The texts of the files read, by the name that spans use; for rendering source lines.
using SourceTexts = std::map<std::string, std::shared_ptr<const std::string>>;

struct LoadResult {
  std::vector<Scenario> scenarios;                          ///< of the given file, in file order; not of its includes
  std::vector<std::shared_ptr<const Topology>> topologies;  ///< of the given file; a scenario's own where one uses it
  Diagnostics diagnostics;                                  ///< sorted by file and place; errors, warnings and notes
  SourceTexts sources;

  /// No errors (warnings and notes do not count). Otherwise scenarios and topologies may be missing or incomplete and
  /// must not be run.
  bool ok() const;
};

/// Reads, checks and expands a file with everything it names. Never throws for what the file contains; bounded memory
/// and time (LoadOptions' limits) whatever the bytes are.
LoadResult load_file(const std::string& path, const LoadOptions& options = {});
/// The same for a text at hand; `name` stands in for the path in messages, relative includes resolve against its
/// folder.
LoadResult load_text(std::string_view text, const std::string& name, const LoadOptions& options = {});

/// Sorts by file (in order of first appearance), line and column, and drops exact repeats.
void sort_diagnostics(Diagnostics& diagnostics);

}  // namespace dcsim::scenario
