#include "trace/output.h"

#include <sys/stat.h>

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/check.h"

namespace dcsim::trace {
namespace {

struct Closer {
  void operator()(std::FILE* f) const { std::fclose(f); }
};
using FileHandle = std::unique_ptr<std::FILE, Closer>;

Error system_error(const std::string& path) { return Error{path + ": " + std::strerror(errno)}; }

/// Bytes of the well-formed UTF-8 sequence at the front of `s`, 0 if it is malformed (Unicode table 3-7).
std::size_t utf8_sequence(std::string_view s) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || s.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;
  if (lead == 0xed && byte(1) > 0x9f) return 0;
  if (lead == 0xf0 && byte(1) < 0x90) return 0;
  if (lead == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

}  // namespace

namespace {

/// True for what a rename would destroy: a device, a pipe, a symbolic link.
bool is_special(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

}  // namespace

FileWriter::FileWriter(std::string path) : path_(std::move(path)), written_(is_special(path_) ? path_ : path_ + ".tmp") {
  file_ = std::fopen(written_.c_str(), "wb");
  if (!file_) error_ = system_error(written_).text;
}

FileWriter::~FileWriter() {
  if (!file_) return;
  std::fclose(file_);
  if (written_ != path_) std::remove(written_.c_str());
}

void FileWriter::write(std::string_view bytes) {
  if (!error_.empty() || std::fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size()) return;
  error_ = system_error(written_).text;
}

Result<bool> FileWriter::finish() {
  if (!file_) return Error{error_};
  if (std::fclose(file_) != 0 && error_.empty()) error_ = system_error(written_).text;
  file_ = nullptr;
  const bool aside = written_ != path_;
  if (aside && error_.empty() && std::rename(written_.c_str(), path_.c_str()) != 0) error_ = system_error(path_).text;
  if (error_.empty()) return true;
  if (aside) std::remove(written_.c_str());
  return Error{error_};
}

Result<bool> write_file(const std::string& path, std::string_view text) {
  FileWriter file(path);
  file.write(text);
  return file.finish();
}

Result<std::string> read_file(const std::string& path, std::uint64_t limit) {
  FileHandle file(std::fopen(path.c_str(), "rb"));
  if (!file) return system_error(path);
  std::string text;
  char buffer[65536];
  std::size_t n = 0;
  while ((n = std::fread(buffer, 1, sizeof buffer, file.get())) > 0) {
    if (text.size() + n > limit) return Error{fmt::format("{}: larger than {} bytes", path, limit)};
    text.append(buffer, n);
  }
  if (std::ferror(file.get())) return system_error(path);
  return text;
}

void append_json(std::string& out, std::string_view text) {
  out.push_back('"');
  while (!text.empty()) {
    const std::size_t n = utf8_sequence(text);
    const char c = text.front();
    if (n == 0) {
      out += "\xef\xbf\xbd";
    } else if (n > 1) {
      out.append(text.substr(0, n));
    } else if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out.push_back(c);
    }
    text.remove_prefix(n == 0 ? 1 : n);
  }
  out.push_back('"');
}

std::string number_text(double v) {
  if (!std::isfinite(v)) return "null";
  if (v == std::floor(v) && std::fabs(v) < 1e15) return fmt::format("{}", static_cast<std::int64_t>(v));
  return fmt::format("{}", v);
}

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  return out + "\"";
}

void JsonWriter::before_value() {
  if (keyed_) {
    keyed_ = false;
    return;
  }
  if (levels_.empty()) {
    DCSIM_CHECK(out_.empty());
    return;
  }
  DCSIM_CHECK(!levels_.back().object);
  if (!levels_.back().empty) out_.push_back(',');
  levels_.back().empty = false;
  out_.push_back('\n');
  out_.append(2 * levels_.size(), ' ');
}

JsonWriter& JsonWriter::begin_object() {
  before_value();
  out_.push_back('{');
  levels_.push_back({true, true});
  return *this;
}

JsonWriter& JsonWriter::begin_array() {
  before_value();
  out_.push_back('[');
  levels_.push_back({false, true});
  return *this;
}

void JsonWriter::close(char bracket) {
  DCSIM_CHECK(!levels_.empty() && levels_.back().object == (bracket == '}') && !keyed_);
  const bool empty = levels_.back().empty;
  levels_.pop_back();
  if (!empty) {
    out_.push_back('\n');
    out_.append(2 * levels_.size(), ' ');
  }
  out_.push_back(bracket);
}

JsonWriter& JsonWriter::end_object() {
  close('}');
  return *this;
}

JsonWriter& JsonWriter::end_array() {
  close(']');
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  DCSIM_CHECK(!levels_.empty() && levels_.back().object && !keyed_);
  if (!levels_.back().empty) out_.push_back(',');
  levels_.back().empty = false;
  out_.push_back('\n');
  out_.append(2 * levels_.size(), ' ');
  append_json(out_, name);
  out_ += ": ";
  keyed_ = true;
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  before_value();
  append_json(out_, text);
  return *this;
}

JsonWriter& JsonWriter::value(bool v) {
  before_value();
  out_ += v ? "true" : "false";
  return *this;
}

JsonWriter& JsonWriter::value(std::int64_t v) {
  before_value();
  out_ += fmt::format("{}", v);
  return *this;
}

JsonWriter& JsonWriter::value(std::uint64_t v) {
  before_value();
  out_ += fmt::format("{}", v);
  return *this;
}

JsonWriter& JsonWriter::value(double v) {
  before_value();
  out_ += number_text(v);
  return *this;
}

JsonWriter& JsonWriter::null() {
  before_value();
  out_ += "null";
  return *this;
}

std::string JsonWriter::take() {
  DCSIM_CHECK(levels_.empty() && !keyed_);
  out_.push_back('\n');
  return std::move(out_);
}

}  // namespace dcsim::trace
