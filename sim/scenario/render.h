#pragma once
#include <cstddef>
#include <string>

#include "base/diagnostic.h"
#include "scenario/loader.h"

namespace dcsim::scenario {

struct RenderOptions {
  bool color = false;           ///< text only
  std::size_t max_shown = 200;  ///< errors first; the rest is counted in one last line
};

/// As a compiler prints them: message, place, source line with carets and label, help. Ends with a newline if not
/// empty. Tabs and control characters of the source line are shown as blanks.
std::string render_text(const Diagnostics& diagnostics, const SourceTexts& sources, const RenderOptions& options = {});
/// A JSON array of {code,severity,message,file,line,column,endColumn,help}, one object a line. Never capped.
std::string render_json(const Diagnostics& diagnostics);
/// GitHub workflow commands: `::error file=...,line=...,col=...,endColumn=...,title=CODE::message`.
std::string render_github(const Diagnostics& diagnostics);

}  // namespace dcsim::scenario
