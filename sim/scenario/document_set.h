#pragma once
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "scenario/file_store.h"
#include "scenario/reader.h"

namespace dcsim::scenario {

/// One document of a file, before it is read.
struct Document {
  enum class Kind { kTopology, kScenario };
  Kind kind = Kind::kTopology;
  std::string name;
  Value value;
  const struct DocumentFile* file = nullptr;
  std::vector<std::string> includes;  ///< keys of the files it includes; without those that lead back
};

/// The documents of one file, and of what it includes.
struct DocumentFile {
  std::string path;
  std::vector<Document> documents;
  bool broken = false;  ///< some could not be read
};

/// Files, their documents, and how documents build on one another: include, extends.
class DocumentSet {
 public:
  DocumentSet(FileStore& files, const LoadOptions& options, Diagnostics& out)
      : files_(files), options_(options), out_(out) {}

  /// Reads a file with everything it includes; nullptr after a complaint. Repeated calls give the same object.
  const DocumentFile* open(const std::string& path, const SourceSpan& at);
  /// Documents of `file` first, then those of its includes, each file once.
  std::vector<const Document*> visible(const DocumentFile& file) const;
  /// The document with what it includes (topology) or extends (scenario) laid under it.
  Value merged(const Document& document, const DocumentFile& file);
  /// A name that looks like a path.
  static bool looks_like_file(std::string_view name);
  /// The one document of `kind` called `name`, or held by the file `name`; nullptr after a complaint.
  const Document* find(Document::Kind kind, const SpannedText& name, const DocumentFile& from, const DocumentFile** in);
  /// Names of the visible documents of a kind.
  std::vector<std::string> names(Document::Kind kind, const DocumentFile& file) const;
  /// The files whose documents a scenario may name: its own with what it includes, then the same of each scenario that it
  /// extends, nearest first. Call after merged().
  std::vector<const DocumentFile*> lineage(const Document& document, const DocumentFile& file) const;
  /// What it extends could not be found, here or further up: what it lacks is no mistake of its own. Call after merged().
  bool baseless(const Document& document) const { return baseless_.count(&document) != 0; }
  /// As find() for a name, but quiet.
  const Document* look_up(Document::Kind kind, std::string_view name, const DocumentFile& from) const;

 private:
  std::string key_of(const std::string& path) const;
  void classify(const Node* root, DocumentFile& file, std::vector<std::pair<std::string, SourceSpan>>& includes);
  std::optional<Document::Kind> kind_of(const std::vector<Entry>& entries, const Value& root);
  Value lay_over(const Value& base, const Value& over, Document::Kind kind, bool top);
  const Node* lay_lists(const Value& base, const Value& over);
  Value extended(const Document& document, const DocumentFile& file, std::vector<const Document*>& chain);
  Node& make(const Node& like, Node::Kind kind);

  FileStore& files_;
  const LoadOptions& options_;
  Diagnostics& out_;
  std::map<std::string, DocumentFile> by_key_;
  std::vector<std::string> open_;  ///< keys of the files whose includes are being followed
  std::deque<Node> made_;
  std::map<const Document*, std::pair<const Document*, const DocumentFile*>> bases_;  ///< what a scenario extends
  std::set<const Document*> baseless_;
};

}  // namespace dcsim::scenario
