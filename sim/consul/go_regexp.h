#pragma once
#include <string>
#include <string_view>

namespace dcsim::consul {

/// The error of Go's regexp.Compile for an expression that Regex::compile refuses: "error parsing regexp: ", a reason
/// and the part that is wrong, as in "missing closing ): `(`". What Go accepts and this project does not is named in
/// words. Source: Go regexp/syntax/parse.go.
std::string go_regexp_error(std::string_view expression);

}  // namespace dcsim::consul
