#pragma once
#include <string_view>

#include "scenario/scenario.h"

namespace dcsim::lab {

/// Whether a command's output is what a step wants: the text is found anywhere in it (the empty text: there is none),
/// the expression matches anywhere, `^` and `$` standing for the ends of lines. Linear in the output but for
/// expressions that have such an anchor and reach over lines. Requires an expression that compiles.
bool found(const scenario::TextMatch& want, std::string_view output);

}  // namespace dcsim::lab
