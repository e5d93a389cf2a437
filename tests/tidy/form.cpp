#include "form.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

namespace dcsim::tidy {

namespace {

// In halves, so that this file passes its own rule.
const std::array<std::string, 3> kNotes{std::string("TO") + "DO", std::string("FIX") + "ME", std::string("XX") + "X"};

bool has_word(std::string_view line, std::string_view word) {
  const auto letter = [&](std::size_t i) {
    return i < line.size() && std::isalnum(static_cast<unsigned char>(line[i])) != 0;
  };
  for (std::size_t at = line.find(word); at != std::string_view::npos; at = line.find(word, at + 1)) {
    if ((at == 0 || !letter(at - 1)) && !letter(at + word.size())) return true;
  }
  return false;
}

/// True if `name` stands in the line and is not the end or the beginning of a longer file name.
bool names_file(std::string_view line, std::string_view name) {
  const auto part = [&](std::size_t i) {
    return i < line.size() &&
           (std::isalnum(static_cast<unsigned char>(line[i])) != 0 || line[i] == '-' || line[i] == '_');
  };
  for (std::size_t at = line.find(name); at != std::string_view::npos; at = line.find(name, at + 1)) {
    if ((at == 0 || !part(at - 1)) && !part(at + name.size())) return true;
  }
  return false;
}

}  // namespace

Findings check_form(const SourceFile& file) {
  Findings findings;
  if (file.lines.size() > kMostLines) {
    findings.push_back(
        {file.path, kMostLines + 1, "more than " + std::to_string(kMostLines) + " lines: one noun per file"});
  }
  bool guarded = !file.header();
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    const std::string& line = file.lines[i];
    if (line == "#pragma once") guarded = true;
    if (line.find('\t') != std::string::npos) findings.push_back({file.path, i + 1, "a tab"});
    if (!line.empty() && std::isspace(static_cast<unsigned char>(line.back())) != 0) {
      findings.push_back({file.path, i + 1, "blanks at the end of the line"});
    }
    for (const std::string& note : kNotes) {
      if (has_word(line, note)) findings.push_back({file.path, i + 1, note + ": open an issue, or do it"});
    }
  }
  if (!guarded) findings.push_back({file.path, 1, "a header without #pragma once"});
  return findings;
}

Findings check_listed(const std::vector<SourceFile>& files, const std::vector<SourceFile>& pages) {
  Findings findings;
  for (const SourceFile& file : files) {
    const std::string name = file.path.substr(file.path.rfind('/') + 1);
    const bool listed = std::any_of(pages.begin(), pages.end(), [&](const SourceFile& page) {
      return std::any_of(page.lines.begin(), page.lines.end(),
                         [&](const std::string& line) { return names_file(line, name); });
    });
    if (!listed) findings.push_back({file.path, 1, "not listed in scenarios/README.md nor named in README.md"});
  }
  return findings;
}

}  // namespace dcsim::tidy
