#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "scenario/loader.h"
#include "scenario/yaml_tree.h"

namespace dcsim::scenario {

/// The files of one load, read and parsed once each. Names are paths as messages show them.
class FileStore {
 public:
  explicit FileStore(const LoadOptions& options) : options_(options) {}

  /// Makes a text known under `name`; it is then never opened.
  const YamlFile* add(const std::string& name, std::string_view text, Diagnostics& out);
  /// A YAML (or JSON) file, or nullptr after a complaint at `at`.
  const YamlFile* yaml(const std::string& path, const SourceSpan& at, Diagnostics& out);
  /// A file's bytes, or nullptr after a complaint.
  std::shared_ptr<const std::string> text(const std::string& path, const SourceSpan& at, Diagnostics& out);
  /// `named`, which a file says, as a path to open: beside that file, else in an include root, else beside that file.
  std::string resolve(const std::string& named, const std::string& from_file) const;
  SourceTexts sources() const;

 private:
  const LoadOptions& options_;
  std::map<std::string, YamlFile> files_;
  std::map<std::string, std::shared_ptr<const std::string>> texts_;
};

}  // namespace dcsim::scenario
