#include "scenario/spanned_text.h"

#include <algorithm>

namespace dcsim::scenario {

namespace {

int characters(std::string_view bytes) {
  return static_cast<int>(std::count_if(bytes.begin(), bytes.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

struct Place {
  int line = 0;
  int column = 0;
  int end_column = 0;
};

Place place_of(const SpannedText& t, std::size_t offset) {
  auto it = std::upper_bound(t.pieces.begin(), t.pieces.end(), offset,
                             [](std::size_t o, const SpannedText::Piece& p) { return o < p.at; });
  if (it == t.pieces.begin()) return {t.at.line, t.at.column, t.at.end_column};
  const SpannedText::Piece& piece = *--it;
  if (piece.fixed_width > 0) {
    const bool past = offset >= t.text.size() && offset > piece.at;
    const int column = past ? piece.column + piece.fixed_width : piece.column;
    return {piece.line, column, past ? column + 1 : column + piece.fixed_width};
  }
  const int column = piece.column + characters(t.view().substr(piece.at, offset - piece.at));
  return {piece.line, column, column + 1};
}

}  // namespace

SourceSpan SpannedText::span(std::size_t from, std::size_t to) const {
  if (pieces.empty()) return at;
  from = std::min(from, text.size());
  to = std::clamp(to, from, text.size());
  const Place first = place_of(*this, from);
  SourceSpan out{at.file, first.line, first.column, first.end_column};
  for (std::size_t i = from; i < to; ++i) {
    const Place last = place_of(*this, i);
    if (last.line != first.line) break;
    out.end_column = std::max(out.end_column, last.end_column);
    if (i - from > 4096) break;
  }
  return out;
}

}  // namespace dcsim::scenario
