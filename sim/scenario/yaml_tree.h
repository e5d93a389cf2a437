#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "scenario/spanned_text.h"

namespace dcsim::scenario {

/// A text with its name, able to turn byte offsets into places.
struct SourceFile {
  std::string name;
  std::shared_ptr<const std::string> text;
  std::vector<std::size_t> line_starts;

  SourceFile(std::string file_name, std::shared_ptr<const std::string> content);
  /// Bytes [from, to); cut at the end of the first line. Columns count characters, not bytes.
  SourceSpan span(std::size_t from, std::size_t to) const;
};

/// One node of a YAML document. Unlike YAML::Node it keeps every key with its place, duplicates and aliases.
/// Owned by its YamlFile (or, for merged maps, by the loader); pointers stay valid as long as that.
struct Node {
  enum class Kind : std::uint8_t { kNull, kScalar, kList, kMap, kAlias };
  enum class Style : std::uint8_t { kPlain, kSingle, kDouble, kBlock };

  Kind kind = Kind::kNull;
  Style style = Style::kPlain;
  bool forced_text = false;  ///< tagged !!str
  std::uint32_t begin = 0;   ///< byte offsets in the file
  std::uint32_t end = 0;
  std::uint32_t size = 1;  ///< nodes below and including this one, aliases counted with what they stand for; saturating
  std::uint32_t depth = 1;  ///< likewise
  const SourceFile* file = nullptr;
  const Node* target = nullptr;       ///< kAlias
  std::string text;                   ///< kScalar: the value; kNull: as spelled
  std::vector<const Node*> children;  ///< kList: items; kMap: key, value, key, value, ...

  SourceSpan span() const { return file->span(begin, end); }
  bool plain() const { return style == Style::kPlain && !forced_text; }
};

/// The scalar with the place of each of its bytes.
SpannedText spanned(const Node& scalar);

struct YamlLimits {
  std::size_t max_nodes = 250'000;
  int max_depth = 64;
};

/// A parsed file: the root of each document that could be read. Documents are parsed one by one, so a syntax error in
/// one does not hide the mistakes of the others.
struct YamlFile {
  std::unique_ptr<SourceFile> source;
  std::deque<Node> nodes;
  std::vector<const Node*> documents;  ///< empty documents are left out
  bool broken = false;                 ///< a document was dropped
};

/// Parses a text; mistakes go to `out`. Bounded in memory and stack whatever the bytes are: nesting, node count
/// (aliases expanded), line length and encoding are checked before or while yaml-cpp reads.
YamlFile parse_yaml(std::string name, std::shared_ptr<const std::string> text, const YamlLimits& limits,
                    Diagnostics& out);

}  // namespace dcsim::scenario
