#include "scenario/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <map>
#include <optional>
#include <streambuf>
#include <utility>

#include "scenario/codes.h"

namespace dcsim::scenario {

namespace {

constexpr std::size_t kMaxLineBytes = 1u << 20;  // yaml-cpp queues a token per flow item until the line ends
constexpr int kMaxBracketsPerLine = 1024;
constexpr std::size_t kMaxDocuments = 1000;

bool continuation(char c) { return (c & 0xC0) == 0x80; }

/// Thrown out of yaml-cpp by our own handler.
struct Refused {
  std::string code;
  std::string message;
  std::size_t offset = 0;
  std::string help;
};

class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // read only: no overflow, no putback of other bytes
    setg(begin, begin, begin + text.size());
  }
};

/// The end of the scalar that starts at `begin`.
std::size_t scalar_end(std::string_view text, std::size_t begin, const Node& node) {
  const std::size_t line_end = std::min(text.find('\n', begin), text.size());
  if (node.style == Node::Style::kSingle || node.style == Node::Style::kDouble) {
    const char quote = text[begin];
    for (std::size_t i = begin + 1; i < text.size(); ++i) {
      if (quote == '"' && text[i] == '\\')
        ++i;
      else if (text[i] == quote && quote == '\'' && i + 1 < text.size() && text[i + 1] == quote)
        ++i;
      else if (text[i] == quote)
        return i + 1;
    }
    return line_end;
  }
  if (node.style == Node::Style::kBlock) return std::min(begin + 1, text.size());
  if (text.substr(begin, node.text.size()) == node.text) return begin + node.text.size();
  return line_end;
}

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(YamlFile& file, std::size_t base, const YamlLimits& limits) : file_(file), base_(base), limits_(limits) {}

  const Node* root() const { return root_; }
  std::size_t base() const { return base_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node& node = add(mark, Node::Kind::kNull, anchor);
    const std::string_view text = *file_.source->text;
    for (const std::string_view spelled : {"null", "Null", "NULL", "~"}) {
      if (text.substr(node.begin, spelled.size()) == spelled) {
        node.text = spelled;
        node.end = node.begin + static_cast<std::uint32_t>(spelled.size());
        break;
      }
    }
    close(node);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node& node = add(mark, Node::Kind::kAlias, YAML::NullAnchor);
    const std::string_view text = *file_.source->text;
    node.end = node.begin + 1;
    while (node.end < text.size() && std::string_view(" \t\r\n,[]{}").find(text[node.end]) == std::string_view::npos)
      ++node.end;
    const auto it = anchors_.find(anchor);
    const Node* target = it == anchors_.end() ? nullptr : it->second;
    if (target == nullptr || std::find(open_.begin(), open_.end(), target) != open_.end()) {
      throw Refused{code::kCycle, "an alias stands inside the value it repeats", node.begin,
                    "a value cannot contain itself"};
    }
    node.target = target;
    node.size = target->size;
    node.depth = target->depth;
    close(node);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node& node = add(mark, Node::Kind::kScalar, anchor);
    node.text = value;
    check_tag(tag, node);
    const std::string_view text = *file_.source->text;
    const char first = node.begin < text.size() ? text[node.begin] : '\0';
    if (first == '"')
      node.style = Node::Style::kDouble;
    else if (first == '\'')
      node.style = Node::Style::kSingle;
    else if ((first == '|' || first == '>') && tag != "?")
      node.style = Node::Style::kBlock;
    node.end = static_cast<std::uint32_t>(std::max<std::size_t>(scalar_end(text, node.begin, node), node.begin));
    close(node);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, Node::Kind::kList, tag, anchor);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, Node::Kind::kMap, tag, anchor);
  }
  void OnMapEnd() override { end(); }

 private:
  Node& add(const YAML::Mark& mark, Node::Kind kind, YAML::anchor_t anchor) {
    const std::size_t size = file_.source->text->size();
    const std::size_t at = std::min(base_ + static_cast<std::size_t>(std::max(mark.pos, 0)), size);
    if (file_.nodes.size() >= limits_.max_nodes) {
      throw Refused{code::kLimit, fmt::format("more than {} values in one file", limits_.max_nodes), at,
                    "split the file"};
    }
    Node& node = file_.nodes.emplace_back();
    node.kind = kind;
    node.file = file_.source.get();
    node.begin = static_cast<std::uint32_t>(skip_properties(at));
    node.end = std::min(node.begin + 1, static_cast<std::uint32_t>(size));
    if (anchor != YAML::NullAnchor) anchors_[anchor] = &node;
    return node;
  }

  /// yaml-cpp marks a node at its anchor or tag; messages want the value.
  std::size_t skip_properties(std::size_t at) const {
    const std::string_view text = *file_.source->text;
    std::size_t i = at;
    while (i < text.size() && (text[i] == '&' || text[i] == '!')) {
      while (i < text.size() && std::string_view(" \t\r\n,[]{}").find(text[i]) == std::string_view::npos) ++i;
      while (i < text.size() && (text[i] == ' ' || text[i] == '\t')) ++i;
      if (i >= text.size() || text[i] == '\n' || text[i] == '\r' || text[i] == '#') return at;
    }
    return i;
  }

  void check_tag(const std::string& tag, Node& node) const {
    if (tag.empty() || tag == "?") return;
    if (tag == "!" || tag == "tag:yaml.org,2002:str") {
      node.forced_text = true;
      return;
    }
    constexpr std::string_view kCore = "tag:yaml.org,2002:";
    if (tag.substr(0, kCore.size()) == kCore) {
      const std::string_view rest = std::string_view(tag).substr(kCore.size());
      for (const std::string_view known : {"map", "seq", "int", "bool", "null", "float"}) {
        if (rest == known) return;
      }
    }
    throw Refused{code::kUnsupported, fmt::format("unknown tag `{}`", tag), node.begin,
                  "YAML tags other than !!str have no meaning here"};
  }

  void open(const YAML::Mark& mark, Node::Kind kind, const std::string& tag, YAML::anchor_t anchor) {
    Node& node = add(mark, kind, anchor);
    check_tag(tag, node);
    open_.push_back(&node);
    if (open_.size() > static_cast<std::size_t>(limits_.max_depth)) {
      throw Refused{code::kLimit, fmt::format("nested deeper than {} levels", limits_.max_depth), node.begin, {}};
    }
  }

  void end() {
    Node& node = *open_.back();
    open_.pop_back();
    close(node);
  }

  void close(Node& node) {
    if (node.depth > static_cast<std::uint32_t>(limits_.max_depth)) {
      throw Refused{code::kLimit,
                    fmt::format("nested deeper than {} levels once its aliases are followed", limits_.max_depth),
                    node.begin,
                    {}};
    }
    if (node.size > limits_.max_nodes) {
      throw Refused{code::kLimit, fmt::format("aliases expand to more than {} values", limits_.max_nodes), node.begin,
                    "an alias of aliases multiplies: write the value out once"};
    }
    if (open_.empty()) {
      root_ = &node;
      return;
    }
    Node& parent = *open_.back();
    parent.children.push_back(&node);
    parent.size =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(std::uint64_t{parent.size} + node.size, 0xffffffffu));
    parent.depth = std::max(parent.depth, node.depth + 1);
  }

  YamlFile& file_;
  std::size_t base_;
  const YamlLimits& limits_;
  const Node* root_ = nullptr;
  std::vector<Node*> open_;
  std::map<YAML::anchor_t, const Node*> anchors_;
};

/// Length of the UTF-8 sequence at `i`, 0 if it is none (RFC 3629).
std::size_t utf8_length(std::string_view s, std::size_t i) {
  const auto b = [&](std::size_t k) { return k < s.size() ? static_cast<unsigned char>(s[k]) : 0u; };
  const unsigned c = b(i);
  if (c < 0x80) return 1;
  if (c >= 0xC2 && c <= 0xDF && (b(i + 1) & 0xC0) == 0x80) return 2;
  if (c >= 0xE0 && c <= 0xEF && (b(i + 1) & 0xC0) == 0x80 && (b(i + 2) & 0xC0) == 0x80) {
    const unsigned point = (c & 0x0F) << 12 | (b(i + 1) & 0x3F) << 6 | (b(i + 2) & 0x3F);
    return point >= 0x800 && (point < 0xD800 || point > 0xDFFF) ? 3 : 0;
  }
  if (c >= 0xF0 && c <= 0xF4 && (b(i + 1) & 0xC0) == 0x80 && (b(i + 2) & 0xC0) == 0x80 && (b(i + 3) & 0xC0) == 0x80) {
    const unsigned point = (c & 0x07) << 18 | (b(i + 1) & 0x3F) << 12 | (b(i + 2) & 0x3F) << 6 | (b(i + 3) & 0x3F);
    return point >= 0x10000 && point <= 0x10FFFF ? 4 : 0;
  }
  return 0;
}

/// What makes a text unfit for the parser at all.
std::optional<Refused> unreadable(std::string_view text) {
  if (text.substr(0, 2) == "\xFF\xFE" || text.substr(0, 2) == "\xFE\xFF") {
    return Refused{code::kSyntax, "this file is UTF-16", 0, "save it as UTF-8"};
  }
  std::size_t line_start = 0;
  int brackets = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '\n') {
      line_start = i + 1;
      brackets = 0;
    } else if (c == '[' || c == '{') {
      if (++brackets > kMaxBracketsPerLine)
        return Refused{code::kLimit, "nested deeper than this file format allows", i, {}};
    } else if (c == ']' || c == '}') {
      brackets = std::max(0, brackets - 1);
    } else if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7F) {
      return Refused{code::kSyntax, fmt::format("byte 0x{:02x} is not text", c), i,
                     "this does not look like a YAML file"};
    }
    const std::size_t length = utf8_length(text, i);
    if (length == 0)
      return Refused{code::kSyntax, fmt::format("byte 0x{:02x} is not valid UTF-8", c), i, "save the file as UTF-8"};
    i += length;
    if (i - line_start > kMaxLineBytes) {
      return Refused{code::kLimit, fmt::format("line longer than {} bytes", kMaxLineBytes), line_start,
                     "break the line"};
    }
  }
  return std::nullopt;
}

bool document_marker(std::string_view text, std::size_t at) {
  return text.substr(at, 3) == "---" &&
         (at + 3 >= text.size() || std::string_view(" \t\r\n").find(text[at + 3]) != std::string_view::npos);
}

/// Starts of the documents: 0 and every `---` line.
std::vector<std::size_t> document_starts(std::string_view text) {
  std::vector<std::size_t> out;
  if (!document_marker(text, 0)) out.push_back(0);
  for (std::size_t at = 0; at < text.size();) {
    if (document_marker(text, at)) out.push_back(at);
    const std::size_t newline = text.find('\n', at);
    if (newline == std::string_view::npos) break;
    at = newline + 1;
  }
  return out;
}

/// The line of `offset`, or the nearest one before it that is not blank, if a tab indents it.
std::optional<std::size_t> tab_indent(std::string_view text, std::size_t offset) {
  std::size_t end = std::min(offset, text.size());
  for (int tries = 0; tries < 3; ++tries) {
    const std::size_t newline = end == 0 ? std::string_view::npos : text.rfind('\n', end - 1);
    const std::size_t start = newline == std::string_view::npos ? 0 : newline + 1;
    const std::size_t content = text.find_first_not_of(" \t", start);
    const std::size_t tab = text.find('\t', start);
    if (tab != std::string_view::npos && content != std::string_view::npos && tab < content) return tab;
    if (start == 0) break;
    end = start - 1;
  }
  return std::nullopt;
}

void report(const YamlFile& file, const Refused& what, Diagnostics& out) {
  out.push_back({what.code,
                 Diagnostic::Severity::kError,
                 what.message,
                 file.source->span(what.offset, what.offset + 1),
                 {},
                 what.help});
}

/// True if `${` opens shortly before `offset`, on the same line.
bool parameter_near(std::string_view text, std::size_t offset) {
  const std::size_t open = text.rfind("${", offset);
  return open != std::string_view::npos && offset - open < 40 &&
         text.substr(open, offset - open).find('\n') == std::string_view::npos;
}

void report_syntax(const YamlFile& file, std::size_t base, const YAML::Exception& e, Diagnostics& out) {
  const std::string_view text = *file.source->text;
  const std::size_t at = std::min(base + static_cast<std::size_t>(std::max(e.mark.pos, 0)), text.size());
  if (const auto tab = tab_indent(text, at)) {
    return report(file, {code::kSyntax, "a tab indents this line", *tab, "YAML takes only spaces for indentation"},
                  out);
  }
  std::string help;
  if (e.msg == YAML::ErrorMsg::MAP_VALUE)
    help = "check the indentation, and quote a text that contains `: `";
  else if (e.msg == YAML::ErrorMsg::END_OF_MAP || e.msg == YAML::ErrorMsg::END_OF_SEQ)
    help = "check that this line is indented like its neighbours";
  else if (e.msg == YAML::ErrorMsg::END_OF_MAP_FLOW)
    help = parameter_near(text, at)
               ? "inside { } a parameter needs quotes: \"${name}\""
               : "a `{` is not closed by its `}`, a comma is missing, or a text with braces needs quotes";
  else if (e.msg == YAML::ErrorMsg::END_OF_SEQ_FLOW)
    help = "a `[` is not closed by its `]`, or a comma is missing";
  else if (e.msg.find("anchor is not defined") != std::string::npos)
    help = "an anchor `&name` must come before its alias `*name`, in the same document";
  report(file, {code::kSyntax, "not valid YAML: " + e.msg, at, help}, out);
}

void parse_document(YamlFile& file, std::size_t from, std::size_t to, const YamlLimits& limits, Diagnostics& out) {
  ViewBuffer buffer(std::string_view(*file.source->text).substr(from, to - from));
  std::istream stream(&buffer);
  try {
    YAML::Parser parser(stream);
    while (true) {
      TreeBuilder builder(file, from, limits);
      if (!parser.HandleNextDocument(builder)) break;
      const Node* root = builder.root();
      if (root != nullptr && !(root->kind == Node::Kind::kNull && root->text.empty())) file.documents.push_back(root);
    }
  } catch (const Refused& refused) {
    file.broken = true;
    report(file, refused, out);
  } catch (const YAML::Exception& e) {
    file.broken = true;
    report_syntax(file, from, e, out);
  }
}

}  // namespace

SourceFile::SourceFile(std::string file_name, std::shared_ptr<const std::string> content)
    : name(std::move(file_name)), text(std::move(content)) {
  line_starts.push_back(0);
  for (std::size_t at = text->find('\n'); at != std::string::npos; at = text->find('\n', at + 1))
    line_starts.push_back(at + 1);
}

SourceSpan SourceFile::span(std::size_t from, std::size_t to) const {
  from = std::min(from, text->size());
  const auto line = std::upper_bound(line_starts.begin(), line_starts.end(), from) - line_starts.begin();
  const std::size_t start = line_starts[static_cast<std::size_t>(line - 1)];
  std::size_t end_of_line = text->find('\n', from);
  if (end_of_line == std::string::npos) end_of_line = text->size();
  to = std::clamp(to, from, std::max(from, end_of_line));
  const auto count = [&](std::size_t a, std::size_t b) {
    return static_cast<int>(std::count_if(text->begin() + static_cast<std::ptrdiff_t>(a),
                                          text->begin() + static_cast<std::ptrdiff_t>(b),
                                          [](char c) { return !continuation(c); }));
  };
  const int column = 1 + count(start, from);
  return {name, static_cast<int>(line), column, column + std::max(1, count(from, to))};
}

YamlFile parse_yaml(std::string name, std::shared_ptr<const std::string> text, const YamlLimits& limits,
                    Diagnostics& out) {
  YamlFile file;
  if (text->compare(0, 3, "\xEF\xBB\xBF") == 0) text = std::make_shared<const std::string>(text->substr(3));
  file.source = std::make_unique<SourceFile>(std::move(name), std::move(text));
  const std::string_view view = *file.source->text;
  if (const auto refused = unreadable(view)) {
    report(file, *refused, out);
    file.broken = true;
    return file;
  }
  const std::vector<std::size_t> starts = document_starts(view);
  if (starts.size() > kMaxDocuments) {
    report(file,
           {code::kLimit, fmt::format("more than {} documents in one file", kMaxDocuments), starts[kMaxDocuments],
            "split the file"},
           out);
    file.broken = true;
    return file;
  }
  for (std::size_t i = 0; i < starts.size() && file.nodes.size() < limits.max_nodes; ++i) {
    parse_document(file, starts[i], i + 1 < starts.size() ? starts[i + 1] : view.size(), limits, out);
  }
  return file;
}

}  // namespace dcsim::scenario
