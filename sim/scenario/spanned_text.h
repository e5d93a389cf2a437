#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"

namespace dcsim::scenario {

/// A string of a document together with where each of its bytes stood in the file, so that a mistake inside it (an
/// expression, a selector, a regex) can be pointed at. `${param}` is already replaced; the replacement points at the
/// `${...}` it came from. Plain value.
struct SpannedText {
  /// `text[at, next piece's at)` came from `line`, starting at `column` (1-based, in characters). If `fixed_width` is
  /// not 0 the whole piece came from that many columns (an escape, a substitution); else one column per character.
  struct Piece {
    std::size_t at = 0;
    int line = 0;
    int column = 0;
    int fixed_width = 0;
  };

  std::string text;
  SourceSpan at;  ///< the whole scalar in the file
  std::vector<Piece> pieces;

  bool empty() const { return text.empty(); }
  std::string_view view() const { return text; }
  /// The file span of bytes [from, to) of `text`; `to` may equal `from` (one column is underlined). Offsets past the
  /// end mean the place just after the text. A range over several lines is cut at its first line's end.
  SourceSpan span(std::size_t from, std::size_t to) const;
};

}  // namespace dcsim::scenario
