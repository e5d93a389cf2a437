#include "cli/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace dcsim::cli {

namespace {
volatile std::sig_atomic_t interrupt_seen = 0;
void on_interrupt(int) { interrupt_seen = 1; }
}  // namespace

Terminal::Terminal(ColorMode mode) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool allowed = !(no_color && *no_color) && !(term && std::string_view(term) == "dumb");
  err_terminal_ = isatty(STDERR_FILENO) != 0;
  color_out_ = mode == ColorMode::kAlways || (mode == ColorMode::kAuto && allowed && isatty(STDOUT_FILENO) != 0);
  color_err_ = mode == ColorMode::kAlways || (mode == ColorMode::kAuto && allowed && err_terminal_);
}

void print(std::string_view data) { std::fwrite(data.data(), 1, data.size(), stdout); }
void complain(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

ProgressLine::ProgressLine(std::string label, bool terminal) : label_(std::move(label)), terminal_(terminal) { started_ = seconds(); }

ProgressLine::~ProgressLine() {
  if (dirty_) complain("\r\x1b[K");
}

double ProgressLine::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void ProgressLine::show(const lab::Progress& p) {
  const double now = seconds(), spent = now - started_;
  const double done = p.end.ns > 0 ? static_cast<double>(p.now.ns) / static_cast<double>(p.end.ns) : 1;
  const double simulated = static_cast<double>(p.now.ns) / 1e9;
  const std::string line = fmt::format("{}  {:.0f} s of {:.0f} s  {} events  {:.2g} M events/s  {:.3g}x real time  ETA {:.0f} s", label_, simulated,
                                       static_cast<double>(p.end.ns) / 1e9, p.events, static_cast<double>(p.events) / spent / 1e6,
                                       simulated / spent, done > 0 ? spent * (1 - done) / done : 0.0);
  if (terminal_) {
    if (spent < 0.5 || now - shown_ < 0.2) return;
    shown_ = now;
    complain("\r\x1b[K" + line);
    dirty_ = true;
    return;
  }
  const int tenths = static_cast<int>(done * 10);
  if (tenths <= tenths_ || spent < 2) return;  // a quick run needs no report
  tenths_ = tenths;
  complain(fmt::format("{}0 %  {}\n", tenths, line));
}

void catch_interrupt() { std::signal(SIGINT, on_interrupt); }
bool interrupted() { return interrupt_seen != 0; }

}  // namespace dcsim::cli
