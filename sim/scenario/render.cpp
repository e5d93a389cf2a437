#include "scenario/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

namespace dcsim::scenario {

namespace {

using Severity = Diagnostic::Severity;
constexpr int kMaxShownColumns = 160;

std::string_view word(Severity severity) {
  switch (severity) {
    case Severity::kError:
      return "error";
    case Severity::kWarning:
      return "warning";
    case Severity::kNote:
      return "note";
  }
  return "error";
}

struct Paint {
  bool on;
  std::string operator()(std::string_view code, std::string_view text) const {
    return on ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
  }
  std::string_view tone(Severity severity) const {
    return severity == Severity::kError ? "1;31" : severity == Severity::kWarning ? "1;33" : "1;36";
  }
};

/// The source line as columns of printable characters.
std::vector<std::string> columns_of(const std::string& text, int line) {
  std::size_t at = 0;
  for (int i = 1; i < line; ++i) {
    at = text.find('\n', at);
    if (at == std::string::npos) return {};
    ++at;
  }
  std::size_t end = text.find('\n', at);
  if (end == std::string::npos) end = text.size();
  std::vector<std::string> out;
  while (at < end) {
    std::size_t next = at + 1;
    while (next < end && (text[next] & 0xC0) == 0x80) ++next;
    const auto c = static_cast<unsigned char>(text[at]);
    const bool printable = c >= 0x20 && c != 0x7F && !(c >= 0x80 && next - at == 1);
    out.push_back(printable ? text.substr(at, next - at) : " ");
    at = next;
  }
  return out;
}

void source_block(std::string& out, const Diagnostic& d, const std::string& text, const Paint& paint) {
  std::vector<std::string> columns = columns_of(text, d.at.line);
  const std::string number = std::to_string(d.at.line);
  const std::string margin(number.size(), ' ');
  // A long line is shown around the mistake.
  int first = 1;
  const int width = static_cast<int>(columns.size());
  if (width > kMaxShownColumns) first = std::clamp(d.at.column - 40, 1, width - kMaxShownColumns + 1);
  const int last = std::min(width, first + kMaxShownColumns - 1);
  std::string shown = first > 1 ? "..." : "";
  const int shift = first > 1 ? 3 : 0;
  for (int i = first; i <= last; ++i) shown += columns[static_cast<std::size_t>(i - 1)];
  while (!shown.empty() && shown.back() == ' ') shown.pop_back();
  if (last < width) shown += "...";
  const int column = std::clamp(d.at.column, first, std::max(first, last + 1));
  const int end = std::clamp(d.at.end_column, column + 1, std::max(column + 1, last + 2));
  out += fmt::format("{} {}\n", margin, paint("1;34", "|"));
  out += fmt::format("{} {} {}\n", paint("1;34", number), paint("1;34", "|"), shown);
  out += fmt::format("{} {} {}{}{}\n", margin, paint("1;34", "|"),
                     std::string(static_cast<std::size_t>(column - first + shift), ' '),
                     paint(paint.tone(d.severity), std::string(static_cast<std::size_t>(end - column), '^')),
                     d.label.empty() ? "" : " " + paint(paint.tone(d.severity), d.label));
}

void render_one(std::string& out, const Diagnostic& d, const SourceTexts& sources, const Paint& paint) {
  out += fmt::format("{}: {}\n", paint(paint.tone(d.severity), fmt::format("{}[{}]", word(d.severity), d.code)),
                     paint("1", d.message));
  const auto source = sources.find(d.at.file);
  const bool placed = d.at.line > 0 && d.at.column > 0;
  const std::string margin(placed ? std::to_string(d.at.line).size() : 1, ' ');
  if (!d.at.file.empty()) {
    out += fmt::format("{}{} {}", margin, paint("1;34", "-->"), d.at.file);
    out += placed ? fmt::format(":{}:{}\n", d.at.line, d.at.column) : "\n";
  }
  const bool block = placed && source != sources.end();
  if (block) source_block(out, d, *source->second, paint);
  if (!block && !d.label.empty()) out += fmt::format("{} {} {}\n", margin, paint("1;34", "="), d.label);
  if (!d.help.empty()) out += fmt::format("{} {} {}\n", margin, paint("1;34", "="), "help: " + d.help);
}

/// GitHub's escapes: properties also lose `:` and `,`.
std::string escaped(std::string_view text, bool property) {
  std::string out;
  for (const char c : text) {
    if (c == '%')
      out += "%25";
    else if (c == '\n')
      out += "%0A";
    else if (c == '\r')
      out += "%0D";
    else if (property && c == ':')
      out += "%3A";
    else if (property && c == ',')
      out += "%2C";
    else
      out += c;
  }
  return out;
}

std::string joined_help(const Diagnostic& d) {
  if (d.label.empty() || d.help.empty()) return d.label + d.help;
  return d.label + " (" + d.help + ")";
}

}  // namespace

std::string render_text(const Diagnostics& diagnostics, const SourceTexts& sources, const RenderOptions& options) {
  std::string out;
  const Paint paint{options.color};
  std::vector<const Diagnostic*> shown;
  for (const bool errors : {true, false}) {
    for (const Diagnostic& d : diagnostics) {
      if ((d.severity == Severity::kError) == errors && shown.size() < options.max_shown) shown.push_back(&d);
    }
  }
  // Back into the order of the file.
  std::sort(shown.begin(), shown.end());
  for (const Diagnostic* d : shown) {
    if (!out.empty()) out += '\n';
    render_one(out, *d, sources, paint);
  }
  if (shown.size() < diagnostics.size()) out += fmt::format("\n... and {} more\n", diagnostics.size() - shown.size());
  return out;
}

std::string render_json(const Diagnostics& diagnostics) {
  std::string out = "[";
  for (const Diagnostic& d : diagnostics) {
    nlohmann::ordered_json j;
    j["code"] = d.code;
    j["severity"] = word(d.severity);
    j["message"] = d.message;
    j["file"] = d.at.file;
    j["line"] = d.at.line;
    j["column"] = d.at.column;
    j["endColumn"] = d.at.end_column;
    j["help"] = joined_help(d);
    out += out.size() > 1 ? ",\n " : "\n ";
    out += j.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }
  return out + (out.size() > 1 ? "\n]\n" : "]\n");
}

std::string render_github(const Diagnostics& diagnostics) {
  std::string out;
  for (const Diagnostic& d : diagnostics) {
    std::string_view command = d.severity == Severity::kError     ? "error"
                               : d.severity == Severity::kWarning ? "warning"
                                                                  : "notice";
    out += fmt::format("::{} file={}", command, escaped(d.at.file, true));
    if (d.at.line > 0) out += fmt::format(",line={},col={}", d.at.line, d.at.column);
    if (d.at.line > 0 && d.at.end_column > d.at.column) out += fmt::format(",endColumn={}", d.at.end_column);
    const std::string help = joined_help(d);
    out += fmt::format(",title={}::{}{}\n", escaped(d.code, true), escaped(d.message, false),
                       help.empty() ? "" : escaped("; " + help, false));
  }
  return out;
}

}  // namespace dcsim::scenario
