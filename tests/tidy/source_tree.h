#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace dcsim::tidy {

/// A text file of the project: its path from the root, with slashes, and its lines without their ends.
struct SourceFile {
  std::string path;
  std::vector<std::string> lines;

  /// "gossip" for sim/gossip/serf.h; empty outside of sim/.
  std::string room() const;
  bool header() const { return path.ends_with(".h"); }
};

/// What a rule has to say about a place.
struct Finding {
  std::string path;
  std::size_t line = 0;  ///< from 1
  std::string message;
  std::string text() const { return path + ":" + std::to_string(line) + ": " + message; }
};
using Findings = std::vector<Finding>;

SourceFile make_file(std::string path, std::string_view text);
/// A file under the root; without lines if it is not there.
SourceFile read_file(const std::string& path);
bool exists(const std::string& path);
/// Every file under `folder` (from the root) whose name ends in one of `endings`, sorted. tests/data is never looked
/// at.
std::vector<SourceFile> read_tree(const std::string& folder, const std::vector<std::string>& endings);

/// A word, number or single sign of C++, with the line on which it stands. Comments, literals and preprocessor lines
/// leave no tokens (a literal leaves one token `""`).
struct Token {
  std::string text;
  std::size_t line = 0;
  bool word() const;
};
std::vector<Token> tokens_of(const SourceFile& file);

/// An #include: what stands between the quotes or brackets.
struct Include {
  std::string target;
  bool quoted = false;
  std::size_t line = 0;
};
std::vector<Include> includes_of(const SourceFile& file);

}  // namespace dcsim::tidy
