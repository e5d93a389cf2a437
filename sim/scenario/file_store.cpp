#include "scenario/file_store.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "scenario/codes.h"

namespace dcsim::scenario {

namespace fs = std::filesystem;

namespace {

void fail(Diagnostics& out, const char* code, const SourceSpan& at, const std::string& path, std::string message,
          std::string help = {}) {
  SourceSpan where = at;
  if (where.file.empty()) where.file = path;
  out.push_back({code, Diagnostic::Severity::kError, std::move(message), std::move(where), {}, std::move(help)});
}

}  // namespace

const YamlFile* FileStore::add(const std::string& name, std::string_view text, Diagnostics& out) {
  if (const auto it = files_.find(name); it != files_.end()) return &it->second;
  auto content = std::make_shared<const std::string>(text);
  if (content->size() > options_.max_file_bytes) {
    fail(out, code::kLimit, {}, name,
         fmt::format("this text has {} bytes, more than the {} that are read", content->size(),
                     options_.max_file_bytes));
    return nullptr;
  }
  const YamlLimits limits{options_.max_nodes, options_.max_depth};
  return &files_.emplace(name, parse_yaml(name, std::move(content), limits, out)).first->second;
}

std::shared_ptr<const std::string> FileStore::text(const std::string& path, const SourceSpan& at, Diagnostics& out) {
  if (const auto it = texts_.find(path); it != texts_.end()) return it->second;
  if (!options_.allow_files) {
    fail(out, code::kUnreadable, at, path, fmt::format("`{}` is not read: other files are not opened here", path));
    return nullptr;
  }
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    fail(out, code::kUnreadable, at, path,
         fmt::format("cannot read `{}`: {}", path, error ? error.message() : "no such file"));
    return nullptr;
  }
  if (!fs::is_regular_file(status)) {
    fail(out, code::kUnreadable, at, path,
         fmt::format("cannot read `{}`: it is {}", path, fs::is_directory(status) ? "a directory" : "no regular file"));
    return nullptr;
  }
  const std::uintmax_t size = fs::file_size(path, error);
  if (!error && size > options_.max_file_bytes) {
    fail(out, code::kLimit, at, path,
         fmt::format("`{}` has {} bytes, more than the {} that are read", path, size, options_.max_file_bytes),
         "split it, and use include:");
    return nullptr;
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (!file) {
    fail(out, code::kUnreadable, at, path, fmt::format("cannot read `{}`: {}", path, std::strerror(errno)));
    return nullptr;
  }
  std::string content(static_cast<std::size_t>(size), '\0');
  content.resize(std::fread(content.data(), 1, content.size(), file.get()));
  if (std::ferror(file.get()) != 0) {
    fail(out, code::kUnreadable, at, path, fmt::format("cannot read `{}`", path));
    return nullptr;
  }
  return texts_.emplace(path, std::make_shared<const std::string>(std::move(content))).first->second;
}

const YamlFile* FileStore::yaml(const std::string& path, const SourceSpan& at, Diagnostics& out) {
  if (const auto it = files_.find(path); it != files_.end()) return &it->second;
  const auto content = text(path, at, out);
  if (!content) return nullptr;
  const YamlLimits limits{options_.max_nodes, options_.max_depth};
  return &files_.emplace(path, parse_yaml(path, content, limits, out)).first->second;
}

std::string FileStore::resolve(const std::string& named, const std::string& from_file) const {
  const fs::path wanted(named);
  if (wanted.is_absolute()) return wanted.lexically_normal().string();
  const std::string beside = (fs::path(from_file).parent_path() / wanted).lexically_normal().string();
  std::error_code error;
  if (!options_.allow_files || fs::exists(beside, error)) return beside;
  for (const std::string& root : options_.include_roots) {
    const std::string candidate = (fs::path(root) / wanted).lexically_normal().string();
    if (fs::exists(candidate, error)) return candidate;
  }
  return beside;
}

SourceTexts FileStore::sources() const {
  SourceTexts out;
  for (const auto& [path, content] : texts_) out[path] = content;
  for (const auto& [path, file] : files_) out[path] = file.source->text;
  return out;
}

}  // namespace dcsim::scenario
