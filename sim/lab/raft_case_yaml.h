#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "scenario/yaml_tree.h"

namespace dcsim::lab {

/// A case that cannot be understood; `text` begins with file:line:column.
struct MalformedCase {
  std::string text;
};
/// A check that did not hold; `text` begins with file:line.
struct UnmetCheck {
  std::string text;
};
[[noreturn]] void unmet(const scenario::Node& at, std::string_view what);
[[noreturn]] void malformed(const scenario::Node& at, std::string_view what);

// Readers of one node; each throws MalformedCase. A missing member is nullptr.
const scenario::Node& resolved(const scenario::Node& node);
const scenario::Node* member(const scenario::Node& map, std::string_view key);
const scenario::Node& required(const scenario::Node& map, std::string_view key);
std::vector<std::pair<std::string, const scenario::Node*>> members(const scenario::Node& map);
std::vector<const scenario::Node*> items(const scenario::Node& list);
std::string text_of(const scenario::Node& scalar);
std::uint64_t number_of(const scenario::Node& scalar);
bool flag_of(const scenario::Node& scalar);
/// One name or a list of names.
std::vector<std::string> names_of(const scenario::Node& node);
std::vector<std::uint64_t> numbers_of(const scenario::Node& list);
/// [index, term]
std::pair<std::uint64_t, std::uint64_t> position_of(const scenario::Node& list);
/// Complains about keys that are not among these.
void only_keys(const scenario::Node& map, std::initializer_list<std::string_view> keys);

}  // namespace dcsim::lab
