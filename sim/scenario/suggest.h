#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace dcsim::scenario {

/// Edits (insert, delete, replace, swap of neighbours) from `a` to `b`, at most `limit` + 1.
int edit_distance(std::string_view a, std::string_view b, int limit);

/// The candidate that `name` is most likely a misspelling of; empty if none is near. Case, `-` and `_` weigh nothing.
/// Ties go to the first candidate.
std::string_view nearest(std::string_view name, const std::vector<std::string_view>& candidates);

/// "did you mean `x`?", or empty.
std::string did_you_mean(std::string_view name, const std::vector<std::string_view>& candidates);

/// "a, b, c", sorted; the rest counted after `most` names.
std::string listed(std::vector<std::string_view> names, std::size_t most = 30);

}  // namespace dcsim::scenario
