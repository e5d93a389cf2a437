#pragma once
#include <string>
#include <string_view>

#include "lab/run.h"

namespace dcsim::cli {

enum class ColorMode { kAuto, kAlways, kNever };

/// Data goes to stdout, everything else to stderr. Colour where a terminal reads it, unless NO_COLOR or --color says
/// otherwise.
class Terminal {
 public:
  explicit Terminal(ColorMode mode);
  bool color_out() const { return color_out_; }
  bool color_err() const { return color_err_; }
  bool err_is_terminal() const { return err_terminal_; }

 private:
  bool color_out_ = false;
  bool color_err_ = false;
  bool err_terminal_ = false;
};

void print(std::string_view data);       ///< stdout
void complain(std::string_view text);    ///< stderr

/// Progress of a long run on stderr: on a terminal one line that is rewritten (simulated time, events, events/s, ratio to
/// real time, ETA), else a plain line per 10 %.
class ProgressLine {
 public:
  ProgressLine(std::string label, bool terminal);
  ~ProgressLine();
  void show(const lab::Progress& progress);

 private:
  double seconds() const;
  std::string label_;
  bool terminal_;
  double started_ = 0;
  double shown_ = 0;
  int tenths_ = 0;
  bool dirty_ = false;
};

/// Installs a handler for SIGINT; true once it came.
void catch_interrupt();
bool interrupted();

}  // namespace dcsim::cli
