#include "base/check.h"

namespace dcsim {

void invariant_broken(const char* expression, const std::string& detail, std::source_location where) {
  std::string text = std::string("invariant broken: ") + expression;
  if (!detail.empty()) text += " (" + detail + ")";
  text += " at ";
  text += where.file_name();
  text += ":" + std::to_string(where.line());
  throw InvariantBroken(text);
}

}  // namespace dcsim
