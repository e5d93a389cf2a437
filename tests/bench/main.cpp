#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "bench.h"

namespace dcsim::bench {

namespace {

struct Case {
  const char* name;
  CaseFunction function;
};
struct Command {
  const char* name;
  const char* usage;
  const char* summary;
  CommandFunction function;
};

std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}
std::vector<Command>& commands() {
  static std::vector<Command> all;
  return all;
}

double median(std::vector<double> figures) {
  std::sort(figures.begin(), figures.end());
  const std::size_t n = figures.size();
  if (n == 0) return 0;
  return n % 2 ? figures[n / 2] : (figures[n / 2 - 1] + figures[n / 2]) / 2;
}

std::string figure(double value) {
  char text[40];
  if (value == 0) return "-";
  std::snprintf(text, sizeof text, value >= 1000 ? "%.0f" : value >= 10 ? "%.1f" : "%.2f", value);
  return text;
}

std::string target_of(const Row& row) {
  std::string text;
  if (row.target_ratio > 0) text += ">= " + figure(row.target_ratio) + "x";
  if (row.target_value > 0)
    text += (text.empty() ? "" : ", ") + std::string(row.lower_is_better ? "<= " : ">= ") + figure(row.target_value);
  if (text.empty()) return "-";
  return text + (row.met() ? "  ok" : "  MISSED");
}

std::string ratio_of(const Row& row) { return row.ratio() > 0 ? figure(row.ratio()) + "x" : "-"; }

std::size_t width(std::string_view text) {  // columns of UTF-8 text
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

void print_table(const std::vector<Row>& rows) {
  std::vector<std::array<std::string, 7>> lines;
  lines.push_back({"benchmark", "ours", "peer", "ratio", "unit", "target", "peer is"});
  for (const Row& row : rows) {
    std::string peer = row.peer;
    if (!row.note.empty()) peer += (peer.empty() ? "(" : " (") + row.note + ")";
    lines.push_back({row.name, figure(row.ours), figure(row.baseline), ratio_of(row), row.unit, target_of(row), peer});
  }
  std::array<std::size_t, 7> widths{};
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width(line[i]));
  }
  for (const auto& line : lines) {
    std::string text;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const std::string pad(widths[i] - width(line[i]), ' ');
      const bool number = i >= 1 && i <= 3;
      text += number ? pad + line[i] : line[i] + pad;
      text += "  ";
    }
    text.erase(text.find_last_not_of(' ') + 1);
    std::puts(text.c_str());
  }
}

bool write_json(const std::vector<Row>& rows, const std::string& path) {
  nlohmann::ordered_json document;
  document["peak_memory_bytes"] = peak_memory();
  document["benchmarks"] = nlohmann::ordered_json::array();
  for (const Row& row : rows) {
    nlohmann::ordered_json entry{{"name", row.name}, {"unit", row.unit}, {"ours", row.ours}};
    if (!row.peer.empty()) entry["peer"] = row.peer;
    if (row.baseline > 0) entry["baseline"] = row.baseline;
    if (row.ratio() > 0) entry["ratio"] = row.ratio();
    if (row.target_ratio > 0) entry["target_ratio"] = row.target_ratio;
    if (row.target_value > 0) entry["target_value"] = row.target_value;
    entry["lower_is_better"] = row.lower_is_better;
    entry["met"] = row.met();
    if (!row.note.empty()) entry["note"] = row.note;
    document["benchmarks"].push_back(std::move(entry));
  }
  std::ofstream out(path);
  out << document.dump(2) << "\n";
  return static_cast<bool>(out.flush());
}

int list() {
  std::puts("usage: dcsim-bench all | CASE-PREFIX... [--json FILE]\n       dcsim-bench COMMAND ARGS\n\ncases:");
  for (const Case& entry : cases()) std::printf("  %s\n", entry.name);
  if (!commands().empty()) std::puts("\ncommands:");
  for (const Command& entry : commands()) std::printf("  %s %s\n      %s\n", entry.name, entry.usage, entry.summary);
  return 0;
}

int run_cases(const std::vector<std::string>& prefixes, const std::string& json) {
  Report report;
  std::size_t ran = 0;
  for (const Case& entry : cases()) {
    const bool wanted = std::any_of(prefixes.begin(), prefixes.end(), [&](const std::string& prefix) {
      return prefix == "all" || std::string_view(entry.name).starts_with(prefix);
    });
    if (!wanted) continue;
    std::fprintf(stderr, "running %s\n", entry.name);
    entry.function(report);
    ++ran;
  }
  if (ran == 0) {
    std::fprintf(stderr, "dcsim-bench: no case or command is called so; `dcsim-bench` lists them\n");
    return 2;
  }
  print_table(report.rows());
  if (!json.empty() && !write_json(report.rows(), json)) {
    std::fprintf(stderr, "dcsim-bench: cannot write %s\n", json.c_str());
    return 1;
  }
  return 0;
}

int run(const std::vector<std::string>& args) {
  std::sort(cases().begin(), cases().end(),
            [](const Case& a, const Case& b) { return std::strcmp(a.name, b.name) < 0; });
  std::sort(commands().begin(), commands().end(),
            [](const Command& a, const Command& b) { return std::strcmp(a.name, b.name) < 0; });
  if (args.empty() || args[0] == "--help" || args[0] == "help") return list();
  for (const Command& entry : commands()) {
    if (args[0] == entry.name) return entry.function(std::span(args).subspan(1));
  }
  std::vector<std::string> prefixes;
  std::string json;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--json" && i + 1 < args.size()) {
      json = args[++i];
    } else {
      prefixes.push_back(args[i]);
    }
  }
  return run_cases(prefixes, json);
}

}  // namespace

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::size_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

double Row::ratio() const {
  if (baseline <= 0 || ours <= 0) return 0;
  return lower_is_better ? baseline / ours : ours / baseline;
}

bool Row::met() const {
  if (target_ratio > 0 && ratio() < target_ratio) return false;
  if (target_value > 0 && (lower_is_better ? ours > target_value : ours < target_value)) return false;
  return true;
}

void Report::add(Row row) { rows_.push_back(std::move(row)); }

double median_of(int repeats, const std::function<double()>& measure) {
  std::vector<double> figures;
  for (int i = 0; i < repeats; ++i) figures.push_back(measure());
  return median(std::move(figures));
}

std::pair<double, double> turn_about(int repeats, const std::function<double()>& ours,
                                     const std::function<double()>& peer) {
  std::vector<double> a;
  std::vector<double> b;
  for (int i = 0; i < repeats; ++i) {
    a.push_back(ours());
    b.push_back(peer());
  }
  return {median(std::move(a)), median(std::move(b))};
}

bool register_case(const char* name, CaseFunction function) {
  cases().push_back({name, function});
  return true;
}

bool register_command(const char* name, const char* usage, const char* summary, CommandFunction function) {
  commands().push_back({name, usage, summary, function});
  return true;
}

}  // namespace dcsim::bench

int main(int argc, char** argv) { return dcsim::bench::run(std::vector<std::string>(argv + 1, argv + argc)); }
