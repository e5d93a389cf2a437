#include "source_tree.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace dcsim::tidy {

namespace fs = std::filesystem;

namespace {

const fs::path kRoot = DCSIM_SOURCE_DIR;

bool word_sign(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// Walks over the text of a file; `line` follows.
class Lexer {
 public:
  explicit Lexer(const SourceFile& file) {
    for (const std::string& line : file.lines) text_ += line + "\n";
  }

  std::vector<Token> run() {
    while (at_ < text_.size()) step();
    return std::move(tokens_);
  }

 private:
  bool here(std::string_view what) const { return std::string_view(text_).substr(at_).starts_with(what); }
  void skip(std::size_t count) {
    for (; count > 0 && at_ < text_.size(); --count) line_ += text_[at_++] == '\n' ? 1 : 0;
  }
  void skip_past(std::string_view end) {
    const std::size_t found = text_.find(end, at_);
    skip(found == std::string::npos ? text_.size() - at_ : found + end.size() - at_);
  }
  void emit(std::string text) { tokens_.push_back({std::move(text), line_}); }

  void step() {
    const char c = text_[at_];
    if (c == '\n') {
      skip(1);
      line_start_ = true;
    } else if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      skip(1);
    } else if (c == '#' && line_start_) {
      directive();
    } else if (here("//")) {
      skip_past("\n");
      line_start_ = true;
    } else if (here("/*")) {
      skip_past("*/");
    } else {
      line_start_ = false;
      token(c);
    }
  }
  void token(char c) {
    if (here("R\"")) {
      emit("\"\"");
      const std::size_t open = text_.find('(', at_);
      skip_past(")" + text_.substr(at_ + 2, open - at_ - 2) + "\"");
    } else if (word_sign(c)) {
      std::size_t end = at_;
      const bool number = std::isdigit(static_cast<unsigned char>(c)) != 0;
      while (end < text_.size() && (word_sign(text_[end]) || (number && text_[end] == '\''))) ++end;
      emit(text_.substr(at_, end - at_));
      skip(end - at_);
    } else if (c == '"' || c == '\'') {
      emit("\"\"");
      skip(1);
      while (at_ < text_.size() && text_[at_] != c && text_[at_] != '\n') skip(text_[at_] == '\\' ? 2 : 1);
      skip(1);
    } else {
      emit(std::string(1, c));
      skip(1);
    }
  }
  void directive() {
    while (at_ < text_.size() && text_[at_] != '\n') skip(here("\\\n") ? 2 : 1);
  }

  std::string text_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
  bool line_start_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::string SourceFile::room() const {
  if (!path.starts_with("sim/")) return "";
  const std::size_t end = path.find('/', 4);
  return end == std::string::npos ? "" : path.substr(4, end - 4);
}

SourceFile make_file(std::string path, std::string_view text) {
  SourceFile file{std::move(path), {}};
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    file.lines.emplace_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return file;
}

SourceFile read_file(const std::string& path) {
  const std::ifstream in(kRoot / path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return make_file(path, text.str());
}

bool exists(const std::string& path) { return fs::exists(kRoot / path); }

std::vector<SourceFile> read_tree(const std::string& folder, const std::vector<std::string>& endings) {
  std::vector<std::string> paths;
  if (!fs::exists(kRoot / folder)) return {};
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
    if (!entry.is_regular_file()) continue;
    const std::string path = fs::relative(entry.path(), kRoot).generic_string();
    if (path.starts_with("tests/data/")) continue;
    const auto ends = [&](const std::string& ending) { return path.ends_with(ending); };
    if (std::any_of(endings.begin(), endings.end(), ends)) paths.push_back(path);
  }
  std::sort(paths.begin(), paths.end());
  std::vector<SourceFile> files;
  for (const std::string& path : paths) files.push_back(read_file(path));
  return files;
}

bool Token::word() const {
  return !text.empty() && (std::isalpha(static_cast<unsigned char>(text[0])) != 0 || text[0] == '_');
}

std::vector<Token> tokens_of(const SourceFile& file) { return Lexer(file).run(); }

std::vector<Include> includes_of(const SourceFile& file) {
  std::vector<Include> includes;
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    std::string line = file.lines[i];
    std::erase_if(line, [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; });
    if (!line.starts_with("#include") || line.size() < 10) continue;
    const char close = line[8] == '"' ? '"' : '>';
    const std::size_t end = line.find(close, 9);
    if (end != std::string::npos) includes.push_back({line.substr(9, end - 9), close == '"', i + 1});
  }
  return includes;
}

}  // namespace dcsim::tidy
