#pragma once
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dcsim::trace {

/// Writes the whole text to `path` + ".tmp" and renames it: a reader sees the old file or the new one.
/// Fails with the operating system's text.
Result<bool> write_file(const std::string& path, std::string_view text);
/// The whole file. Fails with the operating system's text, or if it has more than `limit` bytes.
Result<std::string> read_file(const std::string& path, std::uint64_t limit);

/// A file written piece by piece beside its name (path + ".tmp") and moved into place by finish(); a device, pipe or symbolic
/// link is written through instead, since the move would replace it. The first error is
/// kept and told there; without finish() the temporary file is removed.
class FileWriter {
 public:
  explicit FileWriter(std::string path);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;
  void write(std::string_view bytes);
  Result<bool> finish();

 private:
  std::string path_;
  std::string written_;  // where the bytes go until finish()
  std::string error_;
  std::FILE* file_ = nullptr;
};

/// Appends `text` as a JSON string with quotes: control characters escaped, invalid UTF-8 replaced by U+FFFD.
void append_json(std::string& out, std::string_view text);

/// Writes one JSON value with keys in the order given: objects and arrays, indented by two spaces. Numbers that are not
/// finite become null. Misuse (a value without a key inside an object) breaks an invariant.
class JsonWriter {
 public:
  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  JsonWriter& value(bool v);
  JsonWriter& value(std::int64_t v);
  JsonWriter& value(std::uint64_t v);
  JsonWriter& value(int v) { return value(static_cast<std::int64_t>(v)); }
  JsonWriter& value(double v);
  JsonWriter& null();
  template <class T>
  JsonWriter& member(std::string_view name, const T& v) {
    return key(name).value(v);
  }
  /// The text with a final newline. Requires all that was begun to be ended.
  std::string take();

 private:
  void before_value();
  void close(char bracket);
  struct Level {
    bool object = false;
    bool empty = true;
  };
  std::string out_;
  std::vector<Level> levels_;
  bool keyed_ = false;
};

/// The shortest text that reads back as the same double; "null" for what is not finite.
std::string number_text(double v);
/// RFC 4180: quoted where needed.
std::string csv_field(std::string_view text);

}  // namespace dcsim::trace
