#pragma once
#include <string>
#include <vector>

namespace dcsim {

/// A place in a file, 1-based as editors count; line 0 = the file as a whole.
struct SourceSpan {
  std::string file;
  int line = 0;
  int column = 0;
  int end_column = 0;  ///< one past the last; 0 = unknown
  bool operator==(const SourceSpan&) const = default;
};

/// One mistake in what the user gave, or a remark about it. Rendering (text, json, github) is scenario/'s.
struct Diagnostic {
  enum class Severity { kError, kWarning, kNote };
  std::string code;  ///< "E0102"
  Severity severity = Severity::kError;
  std::string message;  ///< "unknown key `latancy` in link"
  SourceSpan at;
  std::string label;  ///< beside the carets: "did you mean `latency`?"
  std::string help;   ///< "allowed keys: ..."
};

using Diagnostics = std::vector<Diagnostic>;

}  // namespace dcsim
