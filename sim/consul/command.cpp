#include "consul/command.h"

#include <algorithm>

namespace dcsim::consul {

namespace {
constexpr std::size_t kMaxLine = 64 * 1024;
constexpr std::size_t kMaxWords = 1024;

/// Columns count code points, not bytes.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// Go's strconv.ParseBool.
std::optional<bool> parse_bool(std::string_view text) {
  for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}
}  // namespace

Result<std::vector<std::string>> split_command(std::string_view line) {
  if (line.size() > kMaxLine) return Error{"command line too long"};
  std::vector<std::string> words;
  std::string word;
  bool open = false;  // a word has begun, though it may be empty ('')
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote) {
      if (c == quote) quote = 0;
      else if (c == '\\' && quote == '"' && i + 1 < line.size() && (line[i + 1] == '"' || line[i + 1] == '\\')) word += line[++i];
      else word += c;
    } else if (c == '\'' || c == '"') {
      quote = c;
      open = true;
    } else if (c == '\\' && i + 1 < line.size()) {
      word += line[++i];
      open = true;
    } else if (c == ' ' || c == '\t' || c == '\n') {
      if (open) words.push_back(std::exchange(word, {}));
      open = false;
    } else {
      word += c;
      open = true;
    }
    if (words.size() > kMaxWords) return Error{"too many words in the command line"};
  }
  if (quote) return Error{std::string("unterminated ") + quote + " in the command line"};
  if (open) words.push_back(word);
  return words;
}

Result<std::vector<std::string>> Flags::parse(const std::vector<std::string>& words, std::size_t from) {
  std::vector<std::string> rest;
  std::size_t i = from;
  for (; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.size() < 2 || word[0] != '-') break;
    if (word == "--") {
      ++i;
      break;
    }
    std::string name = word.substr(word[1] == '-' ? 2 : 1);
    if (name.empty() || name[0] == '-' || name[0] == '=') return Error{"bad flag syntax: " + word};
    std::optional<std::string> value;
    if (const auto equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    const auto flag = std::find_if(flags_.begin(), flags_.end(), [&](const Flag& f) { return f.name == name; });
    if (flag == flags_.end()) return Error{"flag provided but not defined: -" + name};
    if (flag->boolean) {
      const auto truth = value ? parse_bool(*value) : true;
      if (!truth) return Error{"invalid boolean value \"" + *value + "\" for -" + name + ": parse error"};
      *flag->boolean = *truth;
    } else {
      if (!value) {
        if (i + 1 >= words.size()) return Error{"flag needs an argument: -" + name};
        value = words[++i];
      }
      if (flag->texts) flag->texts->push_back(*value);
      else *flag->text = *value;
    }
  }
  rest.assign(words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
  return rest;
}

std::string go_json(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') (out += '\\') += c;
    else if (c == '\n') out += "\\n";
    else if (c == '\r') out += "\\r";
    else if (c == '\t') out += "\\t";
    else if (byte < 0x20 || c == '<' || c == '>' || c == '&') ((out += "\\u00") += kHex[byte >> 4]) += kHex[byte & 15];
    else out += c;
  }
  return out + "\"";
}

std::string go_json(const std::map<std::string, std::string, std::less<>>& map, std::size_t indent) {
  if (map.empty()) return "{}";
  std::string out = "{\n";
  for (const auto& [key, value] : map) {
    if (out.size() > 2) out += ",\n";
    out += std::string(indent + 2, ' ') + go_json(key) + ": " + go_json(value);
  }
  return out + "\n" + std::string(indent, ' ') + "}";
}

std::string columnize(const std::vector<std::vector<std::string>>& rows, std::string_view glue) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    if (row.size() > widths.size()) widths.resize(row.size());
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], width(row[c]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      line += row[c];
      if (c + 1 < row.size()) line += std::string(widths[c] - width(row[c]), ' ') + std::string(glue);
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out += line + "\n";
  }
  return out;
}

}  // namespace dcsim::consul
