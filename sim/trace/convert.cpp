#include "trace/convert.h"

#include <fmt/format.h>

#include "trace/output.h"
#include "trace/render.h"

namespace dcsim::trace {
namespace {

constexpr std::size_t kFlush = 1 << 16;

/// Renders record by record into a buffer that is handed on now and then.
template <class F>
void render(const Recording& recording, const Write& out, F&& one) {
  std::string buffer;
  recording.each([&](std::uint64_t n, const Record& r) {
    one(buffer, n, r);
    if (buffer.size() >= kFlush) {
      out(buffer);
      buffer.clear();
    }
    return true;
  });
  out(buffer);
}

/// Trace events count in microseconds; three decimals keep the nanoseconds.
std::string micros(std::int64_t ns) {
  const bool negative = ns < 0;
  const std::uint64_t size = negative ? 0 - static_cast<std::uint64_t>(ns) : static_cast<std::uint64_t>(ns);
  return fmt::format("{}{}.{:03}", negative ? "-" : "", size / 1000, size % 1000);
}

std::string details(const Record& r, const Recording& recording) {
  const std::string text = describe(r, recording);
  const std::size_t space = text.find(' ');
  return space == std::string::npos ? "" : text.substr(space + 1);
}

}  // namespace

void write_perfetto(const Recording& recording, const Write& out) {
  out("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
  std::string tracks = "{\"ph\":\"M\",\"pid\":1,\"tid\":0,\"name\":\"process_name\",\"args\":{\"name\":\"dcsim\"}}";
  std::vector<bool> named(recording.names());
  recording.each([&](std::uint64_t, const Record& r) {
    if (r.node >= named.size() || named[r.node]) return true;
    named[r.node] = true;
    tracks +=
        fmt::format(",\n{{\"ph\":\"M\",\"pid\":1,\"tid\":{},\"name\":\"thread_name\",\"args\":{{\"name\":", r.node);
    const std::string_view node = recording.text(r.node);
    append_json(tracks, node.empty() ? "(world)" : node);
    tracks += "}}";
    return true;
  });
  out(tracks);
  render(recording, out, [&](std::string& text, std::uint64_t n, const Record& r) {
    text += fmt::format(
        ",\n{{\"ph\":\"X\",\"pid\":1,\"tid\":{},\"ts\":{},\"dur\":0.001,\"cat\":\"dcsim\",\"name\":\"{}\",\"args\":{{"
        "\"n\":{},\"details\":",
        r.node, micros(r.t), kind_spec(r.ev).name, n);
    append_json(text, details(r, recording));
    text += "}}";
    const auto cause = r.cause == 0 ? std::nullopt : recording.at(r.cause - 1);
    if (!cause) return;
    text +=
        fmt::format(",\n{{\"ph\":\"s\",\"pid\":1,\"tid\":{},\"ts\":{},\"id\":{},\"cat\":\"cause\",\"name\":\"cause\"}}",
                    cause->node, micros(cause->t), n);
    text += fmt::format(
        ",\n{{\"ph\":\"f\",\"bp\":\"e\",\"pid\":1,\"tid\":{},\"ts\":{},\"id\":{},\"cat\":\"cause\",\"name\":\"cause\"}"
        "}",
        r.node, micros(r.t), n);
  });
  out("\n]}\n");
}

void write_csv(const Recording& recording, const Write& out) {
  out("t,n,node,ev,cause,details\n");
  render(recording, out, [&](std::string& text, std::uint64_t n, const Record& r) {
    text += fmt::format("{},{},{},{},", r.t, n, csv_field(recording.text(r.node)), kind_spec(r.ev).name);
    if (r.cause != 0) text += fmt::format("{}", r.cause - 1);
    text += ',' + csv_field(details(r, recording)) + '\n';
  });
}

void write_json_lines(const Recording& recording, const Write& out) {
  render(recording, out,
         [&](std::string& text, std::uint64_t n, const Record& r) { append_json_line(text, n, r, recording); });
}

void write_text(const Recording& recording, const Write& out) {
  render(recording, out,
         [&](std::string& text, std::uint64_t n, const Record& r) { append_text_line(text, n, r, recording); });
}

}  // namespace dcsim::trace
