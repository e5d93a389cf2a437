#include "base/check.h"

namespace dcsim {

void invariant_broken(const char* expression, const std::string& detail, const char* file, int line) {
  std::string text = std::string("invariant broken: ") + expression;
  if (!detail.empty()) text += " (" + detail + ")";
  text += " at ";
  text += file;
  text += ":" + std::to_string(line);
  throw InvariantBroken(text);
}

}  // namespace dcsim
