// Where each byte of a YAML scalar stood in its file.
#include <optional>

#include "scenario/yaml_tree.h"

namespace dcsim::scenario {

namespace {

bool blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/// Walks a scalar's value and its source side by side.
class Aligner {
 public:
  Aligner(const Node& node, SpannedText& out)
      : node_(node), raw_(*node.file->text), out_(out), j_(start_of_content()) {}

  /// False if the two could not be matched; `out` is then to be left without pieces.
  bool run() {
    bool contiguous = false;
    const std::string& value = node_.text;
    for (std::size_t i = 0; i < value.size();) {
      std::size_t raw_length = 1;
      std::size_t value_length = 1;
      if (node_.style == Node::Style::kDouble && j_ < raw_.size() && raw_[j_] == '\\') {
        if (!escape(i, raw_length, value_length)) return false;
        if (raw_length == 0) continue;
        piece(i, static_cast<int>(raw_length));
        contiguous = false;
      } else if (j_ < raw_.size() && raw_[j_] == value[i] && value[i] != '\n') {
        if (!contiguous) piece(i, 0);
        contiguous = true;
        if (node_.style == Node::Style::kSingle && value[i] == '\'') {
          raw_length = 2;
          contiguous = false;
        }
        // A blank before a line break folds away with it: it is the break's if nothing but blanks follow.
        if (blank(value[i]) && folds(j_)) {
          skip_blanks();
          raw_length = 0;
          contiguous = false;
        }
      } else if (blank(value[i]) && j_ < raw_.size() && blank(raw_[j_])) {
        piece(i, 1);
        skip_blanks();
        raw_length = 0;
        contiguous = false;
      } else if (blank(value[i])) {
        piece(i, 1);  // one of several line breaks that came from the same gap
        raw_length = 0;
        contiguous = false;
      } else {
        return false;
      }
      i += value_length;
      j_ += raw_length;
    }
    return true;
  }

 private:
  std::size_t start_of_content() const {
    if (node_.style == Node::Style::kSingle || node_.style == Node::Style::kDouble) return node_.begin + 1u;
    if (node_.style != Node::Style::kBlock) return node_.begin;
    std::size_t j = raw_.find('\n', node_.begin);
    j = j == std::string_view::npos ? raw_.size() : j + 1;
    while (j < raw_.size() && raw_[j] == ' ') ++j;
    return j;
  }

  bool folds(std::size_t j) const {
    while (j < raw_.size() && (raw_[j] == ' ' || raw_[j] == '\t' || raw_[j] == '\r')) ++j;
    return j < raw_.size() && raw_[j] == '\n';
  }
  void skip_blanks() {
    while (j_ < raw_.size() && blank(raw_[j_])) ++j_;
  }

  /// raw_length 0 = an escaped line break, which stands for nothing.
  bool escape(std::size_t i, std::size_t& raw_length, std::size_t& value_length) {
    const char kind = j_ + 1 < raw_.size() ? raw_[j_ + 1] : '\0';
    if (kind == '\n' || kind == '\r') {
      ++j_;
      skip_blanks();
      raw_length = 0;
      return true;
    }
    raw_length = kind == 'x' ? 4 : kind == 'u' ? 6 : kind == 'U' ? 10 : 2;
    while (i + value_length < node_.text.size() && (node_.text[i + value_length] & 0xC0) == 0x80) ++value_length;
    return true;
  }

  void piece(std::size_t at, int fixed_width) {
    const SourceSpan place = node_.file->span(j_, j_ + 1);
    out_.pieces.push_back({at, place.line, place.column, fixed_width});
  }

  const Node& node_;
  std::string_view raw_;
  SpannedText& out_;
  std::size_t j_;
};

}  // namespace

SpannedText spanned(const Node& scalar) {
  SpannedText out{scalar.text, scalar.span(), {}};
  if (!scalar.text.empty() && !Aligner(scalar, out).run()) out.pieces.clear();
  return out;
}

}  // namespace dcsim::scenario
