#include "trace/tools.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "trace/convert.h"
#include "trace/diff.h"
#include "trace/filter.h"
#include "trace/output.h"
#include "trace/recording.h"
#include "trace/render.h"
#include "trace/why.h"

namespace dcsim::trace {
namespace {

constexpr int kOk = 0;
constexpr int kDiffers = 1;
constexpr int kBadInput = 2;
constexpr std::size_t kFlush = 1 << 16;

int bad_input(const Streams& io, std::string_view text) {
  io.err(fmt::format("error: {}\n", text));
  return kBadInput;
}

/// Loads a recording; tells `err` what is wrong, or that the run was not finished.
std::optional<Recording> load(const std::string& path, const Streams& io) {
  auto recording = Recording::load(path);
  if (!recording) {
    bad_input(io, recording.error().text);
    return std::nullopt;
  }
  if (!recording->complete())
    io.err(fmt::format("warning: {}: the run was interrupted, its last records are missing\n", path));
  return std::move(*recording);
}

/// Writes what the filter lets through; the number of records.
std::uint64_t print(const Recording& recording, const Filter& filter, const CatOptions& options, const Sink& out) {
  std::string buffer;
  std::uint64_t shown = 0;
  recording.each([&](std::uint64_t n, const Record& r) {
    if (r.t >= filter.until()) return false;
    if (!filter.accepts(n, r, recording)) return true;
    if (options.format == CatFormat::kJson) {
      append_json_line(buffer, n, r, recording);
    } else {
      append_text_line(buffer, n, r, recording);
    }
    if (buffer.size() >= kFlush) {
      out(buffer);
      buffer.clear();
    }
    return ++shown != options.limit;
  });
  if (!buffer.empty()) out(buffer);
  return shown;
}

int cat(const std::string& path, const CatOptions& options, const Streams& io, bool grep) {
  const auto filter = Filter::parse(options.terms);
  if (!filter) return bad_input(io, filter.error().text);
  const auto recording = load(path, io);
  if (!recording) return kBadInput;
  return print(*recording, *filter, options, io.out) > 0 || !grep ? kOk : kDiffers;
}

/// The run's own capture, for `convert pcapng`.
int copy_capture(const std::string& path, const std::string& output, const Streams& io) {
  std::error_code ignored;
  const std::filesystem::path folder = std::filesystem::is_directory(path, ignored)
                                           ? std::filesystem::path(path)
                                           : std::filesystem::path(path).parent_path();
  const std::filesystem::path capture = folder / "capture.pcapng";
  if (!std::filesystem::exists(capture, ignored)) {
    return bad_input(
        io, fmt::format("{}: the run kept no packets; ask for them with `record: {{packets: ...}}`", capture.string()));
  }
  const auto bytes = read_file(capture.string(), std::uint64_t{1} << 40);
  if (!bytes) return bad_input(io, bytes.error().text);
  if (output == "-") {
    io.out(*bytes);
    return kOk;
  }
  const auto written = write_file(output, *bytes);
  return written ? kOk : bad_input(io, written.error().text);
}

}  // namespace

int trace_cat(const std::string& path, const CatOptions& options, const Streams& io) {
  return cat(path, options, io, false);
}
int trace_grep(const std::string& path, const CatOptions& options, const Streams& io) {
  return cat(path, options, io, true);
}

int trace_why(const std::string& path, const std::vector<std::string>& query, const Streams& io) {
  const auto recording = load(path, io);
  if (!recording) return kBadInput;
  const auto number = find_record(*recording, query);
  if (!number) {
    const std::string& text = number.error().text;
    io.err(fmt::format("error: {}\n", text));
    return text.starts_with("no record") || text.starts_with("only") ? kDiffers : kBadInput;
  }
  io.out(why(*recording, *number));
  return kOk;
}

int trace_convert(const std::string& path, const std::string& format, const std::string& output, const Streams& io) {
  if (format == "pcapng") return copy_capture(path, output, io);
  void (*writer)(const Recording&, const Write&) = nullptr;
  if (format == "jsonl") writer = write_json_lines;
  if (format == "text") writer = write_text;
  if (format == "csv") writer = write_csv;
  if (format == "perfetto" || format == "chrome") writer = write_perfetto;
  if (!writer) return bad_input(io, fmt::format("unknown format `{}`: pcapng, perfetto, csv, jsonl or text", format));
  const auto recording = load(path, io);
  if (!recording) return kBadInput;
  if (output == "-") {
    writer(*recording, io.out);
    return kOk;
  }
  FileWriter file(output);
  writer(*recording, [&](std::string_view text) { file.write(text); });
  const auto written = file.finish();
  return written ? kOk : bad_input(io, written.error().text);
}

int trace_diff(const std::string& path_a, const std::string& path_b, const Streams& io) {
  const auto a = load(path_a, io);
  const auto b = load(path_b, io);
  if (!a || !b) return kBadInput;
  const Difference difference = first_difference(*a, *b);
  io.out(describe_difference(*a, *b, difference, path_a, path_b));
  return difference.found ? kDiffers : kOk;
}

Result<bool> write_jsonl(const std::string& trace_bin, const std::string& jsonl,
                         const std::vector<std::string>& terms) {
  const auto filter = Filter::parse(terms);
  if (!filter) return filter.error();
  const auto recording = Recording::load(trace_bin);
  if (!recording) return recording.error();
  FileWriter file(jsonl);
  print(*recording, *filter, {.terms = {}, .format = CatFormat::kJson},
        [&](std::string_view text) { file.write(text); });
  return file.finish();
}

}  // namespace dcsim::trace
