#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dcsim::consul {

/// What a command printed and how it ended, as a terminal would show it.
struct CommandResult {
  int exit = 0;
  std::string out;
  std::string err;
};

/// Splits a command line as a shell would: blanks, 'single', "double" quotes and backslashes; no expansion.
/// Fails on an unterminated quote and on more than 64 KiB or 1,024 words.
Result<std::vector<std::string>> split_command(std::string_view line);

/// Go's `flag` package over the words after the subcommand: -name value, -name=value, --name, booleans without a value;
/// the first word that is no flag, or "--", ends them.
class Flags {
 public:
  /// Declare before parse(). A boolean flag takes no separate value word.
  void text(std::string name, std::string* into) { flags_.push_back({std::move(name), into, nullptr}); }
  void boolean(std::string name, bool* into) { flags_.push_back({std::move(name), nullptr, into}); }
  /// May be given several times.
  void texts(std::string name, std::vector<std::string>* into) { flags_.push_back({std::move(name), nullptr, nullptr, into}); }
  /// The words that are no flags, or the error text Go prints ("flag provided but not defined: -x").
  Result<std::vector<std::string>> parse(const std::vector<std::string>& words, std::size_t from);

 private:
  struct Flag {
    std::string name;
    std::string* text;
    bool* boolean;
    std::vector<std::string>* texts = nullptr;
  };
  std::vector<Flag> flags_;
};

/// Rows of `|`-separated cells as ryanuber/columnize prints them: columns padded to their widest cell, two blanks between,
/// no blanks at the end of a line.
std::string columnize(const std::vector<std::vector<std::string>>& rows, std::string_view glue = "  ");

/// A JSON string as encoding/json writes it: <, >, & and control characters as \\u escapes.
std::string go_json(std::string_view text);
/// A map of texts as MarshalIndent writes it with two blanks a level, `indent` blanks before its closing brace.
std::string go_json(const std::map<std::string, std::string, std::less<>>& map, std::size_t indent);

}  // namespace dcsim::consul
