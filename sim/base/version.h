#pragma once
#include <string_view>

namespace dcsim {

/// "0.1.0": part of what makes two runs the same.
std::string_view version();

}  // namespace dcsim
