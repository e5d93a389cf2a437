#include "base/version.h"

namespace dcsim {

std::string_view version() { return DCSIM_VERSION; }

}  // namespace dcsim
