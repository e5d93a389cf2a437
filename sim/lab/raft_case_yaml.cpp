#include "lab/raft_case_yaml.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace dcsim::lab {

using scenario::Node;

void malformed(const Node& at, std::string_view what) {
  const SourceSpan span = at.span();
  throw MalformedCase{fmt::format("{}:{}:{}: {}", span.file, span.line, span.column, what)};
}

void unmet(const Node& at, std::string_view what) {
  const SourceSpan span = at.span();
  throw UnmetCheck{fmt::format("{}:{}: {}", span.file, span.line, what)};
}

const Node& resolved(const Node& node) {
  const Node* n = &node;
  for (int hops = 0; n->kind == Node::Kind::kAlias; ++hops) {
    if (n->target == nullptr || hops > 64) malformed(node, "an alias that leads nowhere");
    n = n->target;
  }
  return *n;
}

const Node* member(const Node& map, std::string_view key) {
  const Node& m = resolved(map);
  if (m.kind != Node::Kind::kMap) malformed(map, "expected a map");
  for (std::size_t i = 0; i + 1 < m.children.size(); i += 2) {
    if (resolved(*m.children[i]).text == key) return &resolved(*m.children[i + 1]);
  }
  return nullptr;
}

const Node& required(const Node& map, std::string_view key) {
  const Node* found = member(map, key);
  if (found == nullptr) malformed(map, fmt::format("`{}` is missing", key));
  return *found;
}

std::vector<std::pair<std::string, const Node*>> members(const Node& map) {
  const Node& m = resolved(map);
  if (m.kind != Node::Kind::kMap) malformed(map, "expected a map");
  std::vector<std::pair<std::string, const Node*>> out;
  for (std::size_t i = 0; i + 1 < m.children.size(); i += 2)
    out.emplace_back(text_of(*m.children[i]), &resolved(*m.children[i + 1]));
  return out;
}

std::vector<const Node*> items(const Node& list) {
  const Node& l = resolved(list);
  if (l.kind != Node::Kind::kList) malformed(list, "expected a list");
  std::vector<const Node*> out;
  for (const Node* child : l.children) out.push_back(&resolved(*child));
  return out;
}

std::string text_of(const Node& scalar) {
  const Node& s = resolved(scalar);
  if (s.kind == Node::Kind::kNull) return "none";
  if (s.kind != Node::Kind::kScalar) malformed(scalar, "expected a word");
  return s.text;
}

std::uint64_t number_of(const Node& scalar) {
  const std::string text = text_of(scalar);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    malformed(scalar, fmt::format("`{}` is no number", text));
  return value;
}

bool flag_of(const Node& scalar) {
  const std::string text = text_of(scalar);
  if (text == "true") return true;
  if (text != "false") malformed(scalar, fmt::format("`{}` is neither true nor false", text));
  return false;
}

std::vector<std::string> names_of(const Node& node) {
  const Node& n = resolved(node);
  if (n.kind != Node::Kind::kList) return {text_of(n)};
  std::vector<std::string> out;
  for (const Node* item : items(n)) out.push_back(text_of(*item));
  return out;
}

std::vector<std::uint64_t> numbers_of(const Node& list) {
  std::vector<std::uint64_t> out;
  for (const Node* item : items(list)) out.push_back(number_of(*item));
  return out;
}

std::pair<std::uint64_t, std::uint64_t> position_of(const Node& list) {
  const auto numbers = numbers_of(list);
  if (numbers.size() != 2) malformed(list, "expected [index, term]");
  return {numbers[0], numbers[1]};
}

void only_keys(const Node& map, std::initializer_list<std::string_view> keys) {
  const Node& m = resolved(map);
  if (m.kind != Node::Kind::kMap) malformed(map, "expected a map");
  for (std::size_t i = 0; i + 1 < m.children.size(); i += 2) {
    const std::string key = text_of(*m.children[i]);
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      malformed(*m.children[i], fmt::format("unknown key `{}`", key));
  }
}

}  // namespace dcsim::lab
