#include "lab/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/version.h"
#include "consul/agent_config.h"
#include "scenario/expr.h"
#include "trace/output.h"

namespace dcsim::lab {

namespace {

std::string painted(std::string_view text, const char* code, bool color) {
  return color ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

std::string thousands(std::uint64_t n) {
  std::string digits = std::to_string(n);
  for (std::ptrdiff_t at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

std::string_view mark(const Outcome& o) {
  return o.verdict == Verdict::kHolds ? "ok  " : o.verdict == Verdict::kPending ? "?   " : o.warn_only ? "warn" : "FAIL";
}

/// A label's value may be what a command printed.
std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') out += "\\n";
    else if (c == '\t') out += "\\t";
    else if (c == '\r') out += "\\r";
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) out += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    else out += c;
  }
  return out;
}

std::string labels_text(const MetricValue& m) {
  std::string out;
  for (const auto& [k, v] : m.labels) out += fmt::format("{}{}={}", out.empty() ? "" : ", ", k, one_line(v));
  return out.empty() ? "" : "{" + out + "}";
}

std::string shell_quoted(const std::string& text) {
  const bool plain = !text.empty() && text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/=:,@%+-") == std::string::npos;
  if (plain) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string_view end_name(RunResult::End end) {
  switch (end) {
    case RunResult::End::kDone: return "done";
    case RunResult::End::kAborted: return "aborted";
    case RunResult::End::kInterrupted: return "interrupted";
    case RunResult::End::kBroken: return "broken";
  }
  return "";
}

}  // namespace

std::string time_text(Instant t) {
  const Duration d{t.ns / 1'000'000 * 1'000'000};
  return consul::go_duration(d);
}

std::string reproduce_line(const RunResult& r, Instant until) {
  std::string line = fmt::format("dcsim run {} --seed {}", shell_quoted(r.file), r.seed);
  if (!r.chosen.empty()) line += fmt::format(" --scenario {}", shell_quoted(r.chosen));
  for (const auto& [k, v] : r.set) line += fmt::format(" --set {}", shell_quoted(k + "=" + v));
  if (until < r.planned_end) {
    // Rounded up to a millisecond, so that the deciding event is in.
    until = Instant{(until.ns + 999'999) / 1'000'000 * 1'000'000 + 1'000'000};
  }
  if (until < r.planned_end || r.cut) line += fmt::format(" --until {}", consul::go_duration(std::min(until, r.planned_end) - Instant{}));
  return line;
}

std::string summary_text(const RunResult& r, bool color) {
  std::string out = fmt::format("{}  seed {}  {} agents  {} simulated  {} events\n", painted(r.scenario, "1", color), r.seed, r.agents,
                                time_text(r.ended_at), thousands(r.events));
  if (!r.outcomes.empty()) out += "\n";
  for (const Outcome& o : r.outcomes) {
    const char* code = o.verdict == Verdict::kHolds ? "32" : o.verdict == Verdict::kPending ? "33" : o.warn_only ? "33" : "31";
    out += fmt::format("  {}  {}", painted(mark(o), code, color), o.name);
    if (o.verdict == Verdict::kHolds) {
      if (o.kind == "eventually" && !o.warn_only) out += fmt::format("  (at {})", time_text(o.decided_at));
      out += "\n";
      continue;
    }
    if (o.verdict == Verdict::kPending) {
      out += fmt::format("  (undecided: {})\n", o.detail);
      continue;
    }
    out += fmt::format("\n          {} {}\n          event {}, {}: {}\n", o.kind, o.text, thousands(o.event), time_text(o.decided_at), o.detail);
    for (const std::string& line : o.where) out += fmt::format("            {}\n", line);
    out += fmt::format("          reproduce: {}\n", reproduce_line(r, o.decided_at));
  }
  if (!r.metrics.empty()) {
    out += "\n";
    std::size_t width = 0;
    for (const MetricValue& m : r.metrics) width = std::max(width, m.name.size() + labels_text(m).size());
    for (const MetricValue& m : r.metrics) {
      out += fmt::format("  {:<{}}  {} {}\n", m.name + labels_text(m), width, scenario::value_text(m.value), m.value.kind == trace::Value::Kind::kNumber ? m.unit : "");
    }
  }
  out += "\n";
  for (const Count& c : r.counts) {
    if (c.value > 0) out += fmt::format("  {:<18}{:>14}\n", c.name, thousands(c.value));
  }
  for (const Count& c : r.drops) {
    if (c.value > 0) out += fmt::format("    {:<40}{:>14}\n", c.name, thousands(c.value));
  }
  if (!r.notes.empty()) out += "\n";
  for (const std::string& note : r.notes) out += fmt::format("  {} {}\n", painted("note:", "33", color), note);
  out += fmt::format("\n  digest {}\n", r.digest);
  if (!r.broken.empty()) {
    out += fmt::format("\n{} at {} (seed {}, event {}): {}\n", painted("internal error", "31", color), time_text(r.ended_at), r.seed, r.events, r.broken);
  }
  const auto failed = std::count_if(r.outcomes.begin(), r.outcomes.end(), [](const Outcome& o) { return o.verdict == Verdict::kFails && !o.warn_only; });
  const auto warned = std::count_if(r.outcomes.begin(), r.outcomes.end(), [](const Outcome& o) { return o.verdict == Verdict::kFails && o.warn_only; });
  const auto open = std::count_if(r.outcomes.begin(), r.outcomes.end(), [](const Outcome& o) { return o.verdict == Verdict::kPending; });
  const auto all = static_cast<std::ptrdiff_t>(r.outcomes.size());
  if (r.end == RunResult::End::kAborted) out += "  stopped early: an expectation with `abort: true` failed\n";
  if (r.end == RunResult::End::kInterrupted) out += "  interrupted\n";
  const std::string undecided = open == 0 ? std::string() : fmt::format("; {} undecided: the run was cut short", open);
  if (failed > 0) out += fmt::format("\n{} of {} expectations do not hold{}\nreproduce: {}\n", failed, all, undecided, reproduce_line(r, r.planned_end));
  else if (warned > 0) out += fmt::format("\n{} of {} expectations hold{}; {} of `severity: warn` do not\n", all - warned - open, all, undecided, warned);
  else if (open > 0) out += fmt::format("\n{} of {} expectations hold{}\n", all - open, all, undecided);
  else if (all > 0) out += fmt::format("\nall {} expectations hold\n", all);
  return out;
}

namespace {

void write_value(trace::JsonWriter& w, const trace::Value& v) {
  switch (v.kind) {
    case trace::Value::Kind::kNone: w.null(); return;
    case trace::Value::Kind::kNumber: w.value(v.number); return;
    case trace::Value::Kind::kText: w.value(v.text); return;
    case trace::Value::Kind::kList:
      w.begin_array();
      for (const trace::Value& each : v.list) write_value(w, each);
      w.end_array();
      return;
  }
}

void write_outcome(trace::JsonWriter& w, const RunResult& r, const Outcome& o) {
  w.begin_object();
  w.member("name", o.name).member("kind", o.kind).member("text", o.text).member("verdict", name_of(o.verdict));
  w.member("severity", o.warn_only ? "warn" : "fail").member("t", o.decided_at.ns).member("event", o.event).member("detail", o.detail);
  w.key("where").begin_array();
  for (const std::string& line : o.where) w.value(line);
  w.end_array();
  if (o.verdict == Verdict::kFails) w.member("reproduce", reproduce_line(r, o.decided_at));
  w.end_object();
}

}  // namespace

std::string summary_json(const RunResult& r) {
  trace::JsonWriter w;
  w.begin_object();
  w.member("scenario", r.scenario).member("file", r.file).member("version", version()).member("seed", r.seed);
  w.member("status", end_name(r.end)).member("exit", r.exit_status()).member("digest", r.digest);
  w.member("simulated_ns", r.ended_at.ns).member("events", r.events).member("records", r.records);
  w.member("agents", static_cast<std::uint64_t>(r.agents));
  w.key("params").begin_object();
  for (const auto& [k, v] : r.params) w.member(k, v);
  w.end_object();
  w.key("expectations").begin_array();
  for (const Outcome& o : r.outcomes) write_outcome(w, r, o);
  w.end_array();
  w.key("metrics").begin_array();
  for (const MetricValue& m : r.metrics) {
    w.begin_object().member("name", m.name).key("labels").begin_object();
    for (const auto& [k, v] : m.labels) w.member(k, v);
    w.end_object().key("value");
    write_value(w, m.value);
    w.member("unit", m.unit).member("better", m.better).end_object();
  }
  w.end_array();
  w.key("counts").begin_object();
  for (const Count& c : r.counts) w.member(c.name, c.value);
  w.end_object();
  w.key("drops").begin_object();
  for (const Count& c : r.drops) w.member(c.name, c.value);
  w.end_object();
  w.key("commands").begin_array();
  for (const CommandRecord& c : r.transcript) {
    if (c.step.empty()) continue;  // a workload's: counted below
    w.begin_object().member("t", c.at.ns).member("agent", c.agent).member("command", c.command).member("step", c.step);
    w.member("exit", c.exit).member("elapsed_ns", c.elapsed.ns).end_object();
  }
  w.end_array();
  w.key("workloads").begin_array();
  for (const WorkloadCount& c : r.workloads) w.begin_object().member("name", c.name).member("commands", c.commands).member("failed", c.failed).end_object();
  w.end_array();
  w.key("notes").begin_array();
  for (const std::string& note : r.notes) w.value(note);
  w.end_array();
  w.member("reproduce", reproduce_line(r, r.planned_end));
  if (!r.broken.empty()) w.member("broken", r.broken);
  w.end_object();
  return w.take();
}

std::string summary_github(const RunResult& r) {
  std::string out;
  const auto escaped = [](std::string text) {
    std::string safe;
    for (const char c : text) safe += c == '%' ? "%25" : c == '\n' ? "%0A" : c == '\r' ? "%0D" : std::string(1, c);
    return safe;
  };
  for (const Outcome& o : r.outcomes) {
    if (o.verdict != Verdict::kFails) continue;
    out += fmt::format("::{} file={},title={}::{}\n", o.warn_only ? "warning" : "error", escaped(r.file), escaped(o.name),
                       escaped(fmt::format("{} {}: {} at {}. Reproduce: {}", o.kind, o.text, o.detail, time_text(o.decided_at), reproduce_line(r, o.decided_at))));
  }
  if (!r.broken.empty()) out += fmt::format("::error file={},title=internal error::{}\n", escaped(r.file), escaped(r.broken));
  out += fmt::format("::notice file={},title=digest::{}\n", escaped(r.file), r.digest);
  return out;
}

std::string transcript_text(const RunResult& r) {
  std::string out;
  for (const CommandRecord& c : r.transcript) {
    out += fmt::format("[{}] {} $ {}\n", time_text(c.at), c.agent, c.command);
    const std::string& first = c.err_first ? c.err : c.out;
    const std::string& second = c.err_first ? c.out : c.err;
    out += first + second;
    if (const std::string& last = second.empty() ? first : second; !last.empty() && last.back() != '\n') out += "\n";
    out += c.ended ? fmt::format("# exit {} after {}\n\n", c.exit, consul::go_duration(c.elapsed)) : "# still running at the end\n\n";
  }
  return out;
}

std::string metrics_text(const RunResult& r) {
  std::vector<trace::MetricRow> rows;
  for (const MetricValue& m : r.metrics) {
    rows.push_back({m.name, m.labels, m.value, m.unit});
    for (auto& [label, value] : rows.back().labels) value = one_line(value);
  }
  for (const Count& c : r.counts) rows.push_back({"count:" + c.name, {}, trace::Value::of(static_cast<double>(c.value)), ""});
  return trace::metrics_csv(rows);
}

}  // namespace dcsim::lab
