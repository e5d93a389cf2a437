#include "scenario/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <unordered_map>

#include "base/check.h"

namespace dcsim::scenario {

namespace {

constexpr int kMaxIndirections = 32;
constexpr std::size_t kMaxKept = 1000;
constexpr std::size_t kMaxParamSize = 10'000;
constexpr std::size_t kMaxParamDepth = 32;

struct Expanded {
  std::size_t size = 0;
  std::size_t depth = 0;
};
constexpr std::size_t kMaxSubstituted = 64u << 10;

bool name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool name_part(char c) { return name_start(c) || (c >= '0' && c <= '9') || c == '.' || c == '-'; }

bool yaml_boolean_word(std::string_view text) {
  std::string low(text);
  std::transform(low.begin(), low.end(), low.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return low == "yes" || low == "no" || low == "on" || low == "off" || low == "true" || low == "false" || low == "y" ||
         low == "n";
}

std::string_view boolean_meant(std::string_view word) {
  const char c = word.empty() ? 'n' : word[word.size() > 1 && (word[0] == 'o' || word[0] == 'O') ? 1 : 0];
  return c == 'y' || c == 'Y' || c == 't' || c == 'T' || ((word[0] == 'o' || word[0] == 'O') && (c == 'n' || c == 'N'))
             ? "true"
             : "false";
}

bool is_bool_literal(std::string_view text) { return text == "true" || text == "false"; }

/// The parameter's name if the whole text is one `${name}`.
std::optional<std::string_view> whole_param(std::string_view text) {
  if (text.size() < 4 || text.substr(0, 2) != "${" || text.back() != '}') return std::nullopt;
  const std::string_view name = text.substr(2, text.size() - 3);
  if (!name_start(name[0]) || !std::all_of(name.begin(), name.end(), name_part)) return std::nullopt;
  return name;
}

}  // namespace

const Node* Scope::find(std::string_view name) const {
  for (const auto& [param, value] : params) {
    if (param == name) return value;
  }
  return nullptr;
}

/// Follows the parameters that a parameter's value contains. Nested ones multiply, and may come back to where they
/// began.
struct Scope::Walk {
  const Scope& scope;
  std::map<const Node*, Expanded> known;
  std::set<const Node*> open;

  Expanded expand(const Node* node) {
    if (const auto it = known.find(node); it != known.end()) return it->second;
    if (!open.insert(node).second || open.size() > kMaxParamDepth) return {kMaxParamSize + 1, 0};
    Expanded sum{1, 1};
    const auto take = [&](const Node* part) {
      const Expanded inner = expand(part);
      sum.size = std::min(sum.size + inner.size, kMaxParamSize + 1);
      sum.depth = std::max(sum.depth, inner.depth + 1);
    };
    if (node->kind == Node::Kind::kAlias) take(node->target);
    for (const Node* child : node->children) take(child);
    if (node->kind == Node::Kind::kScalar) {
      const auto param = whole_param(node->text);
      if (const Node* target = param ? scope.find(*param) : nullptr) take(target);
    }
    open.erase(node);
    if (sum.depth > kMaxParamDepth) sum.size = kMaxParamSize + 1;
    known.emplace(node, sum);
    return sum;
  }
};

void Scope::close(Diagnostics& out) {
  Walk walk{*this, {}, {}};
  std::vector<std::string> bad;
  for (const auto& [param, value] : params) {
    if (walk.expand(value).size > kMaxParamSize) bad.push_back(param);
    walk.open.clear();
  }
  for (auto& [param, value] : params) {
    if (std::find(bad.begin(), bad.end(), param) == bad.end()) continue;
    out.push_back({code::kCycle,
                   Diagnostic::Severity::kError,
                   fmt::format("parameter `{}` contains itself, or expands to too many values", param),
                   value->span(),
                   {},
                   {}});
    value = nullptr;
  }
  params.erase(std::remove_if(params.begin(), params.end(), [](const auto& p) { return p.second == nullptr; }),
               params.end());
}

void Scope::set(std::string_view name, const Node* value) {
  for (auto& [param, old] : params) {
    if (param == name) {
      old = value;
      return;
    }
  }
  params.emplace_back(std::string(name), value);
}

void Reading::add(Diagnostic::Severity severity, const char* code, SourceSpan at, std::string message,
                  std::string label, std::string help) {
  check_room();
  out_.push_back({code, severity, std::move(message), std::move(at), std::move(label), std::move(help)});
}
void Reading::check_room() const {
  if (out_.size() >= kMaxKept) throw TooManyMistakes{};
}
void Reading::error(const char* code, SourceSpan at, std::string message, std::string label, std::string help) {
  add(Diagnostic::Severity::kError, code, std::move(at), std::move(message), std::move(label), std::move(help));
}
void Reading::warn(const char* code, SourceSpan at, std::string message, std::string label, std::string help) {
  add(Diagnostic::Severity::kWarning, code, std::move(at), std::move(message), std::move(label), std::move(help));
}
void Reading::note(const char* code, SourceSpan at, std::string message, std::string label, std::string help) {
  add(Diagnostic::Severity::kNote, code, std::move(at), std::move(message), std::move(label), std::move(help));
}

Value Reading::follow(const Node* node) {
  Value value{node, node};
  for (int i = 0; i < kMaxIndirections; ++i) {
    if (value.node->kind == Node::Kind::kAlias) {
      value.node = value.node->target;
      continue;
    }
    if (!value.scalar() || value.node->text.empty()) return value;
    const auto param = whole_param(value.node->text);
    const Node* target = param ? scope_.find(*param) : nullptr;
    if (target == nullptr) return value;
    if (target->kind != Node::Kind::kScalar) {
      if (target->size > budget_) {
        error(code::kLimit, value.span(), "parameters expand to too many values");
        budget_ = 0;
        return value;
      }
      budget_ -= target->size;
    }
    value.node = target;
  }
  return value;
}

void Reading::merge(const Value& source, std::string_view what, std::vector<Entry>& out,
                    std::set<std::string_view>& given, int depth) {
  if (source.is(Node::Kind::kList) && depth == 0) {
    for (const Node* item : source.node->children) merge(follow(item), what, out, given, depth + 1);
    return;
  }
  if (!source.is(Node::Kind::kMap)) {
    error(code::kWrongType, source.span(), fmt::format("`<<` in {} needs a map, got {}", what, describe(source)), {},
          "write `<<: *anchor`, or a list of such aliases");
    return;
  }
  for (Entry& inherited : entries(source, what)) {
    if (given.insert(inherited.name).second) out.push_back(std::move(inherited));
  }
}

std::vector<Entry> Reading::entries(const Value& map, std::string_view what) {
  std::vector<Entry> out;
  std::vector<Value> merges;
  std::unordered_map<std::string_view, const Node*> seen;
  const auto& children = map.node->children;
  for (std::size_t i = 0; i + 1 < children.size(); i += 2) {
    const Node* key = children[i];
    const Node* named = key;
    for (int steps = 0; named->kind == Node::Kind::kAlias && steps < kMaxIndirections; ++steps) named = named->target;
    if (named->kind != Node::Kind::kScalar) {
      error(code::kWrongType, key->span(),
            fmt::format("a key must be a string, got {}", describe({named, key})));  // whoever reads the map
      continue;
    }
    const auto [it, fresh] = seen.emplace(named->text, key);
    if (!fresh) {
      // The same words whoever reads the map: it may be read under more than one name.
      error(code::kDuplicateKey, key->span(), fmt::format("duplicate key `{}`", named->text),
            fmt::format("first given at line {}", it->second->span().line));
      continue;
    }
    if (named->text == "<<" && named->plain()) {
      merges.push_back(follow(children[i + 1]));
      continue;
    }
    out.push_back({named->text, key, follow(children[i + 1])});
  }
  if (merges.empty()) return out;
  std::set<std::string_view> given;
  for (const Entry& entry : out) given.insert(entry.name);
  for (const Value& source : merges) merge(source, what, out, given, 0);
  return out;
}

SpannedText Reading::text(const Value& value) {
  SpannedText in = spanned(*value.node);
  if (value.at != value.node) {
    in.at = value.span();
    in.pieces = {{0, in.at.line, in.at.column, std::max(1, in.at.end_column - in.at.column)}};
  }
  if (in.text.find("${") == std::string::npos) return in;
  // Textual and repeated: a parameter may name another one.
  for (int round = 0; in.text.find("${") != std::string::npos; ++round) {
    if (round >= kMaxIndirections || in.text.size() > kMaxSubstituted) {
      error(code::kCycle, in.at, "the parameters in this text name one another in a circle, or grow too large");
      break;
    }
    SpannedText out{{}, in.at, {}};
    bool replaced = false;
    for (std::size_t i = 0; i < in.text.size();) {
      const std::size_t open = in.text.find("${", i);
      const std::size_t end = std::min(open, in.text.size());
      for (const SpannedText::Piece& p : in.pieces) {  // pieces of the literal part
        const std::size_t next = &p == &in.pieces.back() ? in.text.size() : (&p + 1)->at;
        if (next <= i || p.at >= end) continue;
        SpannedText::Piece copy = p;
        if (p.at < i) {
          const SourceSpan s = in.span(i, i);
          copy = {i, s.line, s.column, p.fixed_width};
        }
        copy.at = copy.at - i + out.text.size();
        out.pieces.push_back(copy);
      }
      out.text.append(in.text, i, end - i);
      if (open == std::string::npos) break;
      std::size_t close = open + 2;
      while (close < in.text.size() && name_part(in.text[close])) ++close;
      const std::string_view name = std::string_view(in.text).substr(open + 2, close - open - 2);
      const bool proper = !name.empty() && name_start(name[0]) && close < in.text.size() && in.text[close] == '}';
      const SourceSpan where = in.span(open, std::min(close + 1, in.text.size()));
      std::string replacement;
      if (!proper) {
        error(code::kBadValue, where, "`${` begins a parameter, but no `name}` follows", {}, "write ${name}");
        return in;
      }
      const Node* target = scope_.find(name);
      const Value followed = target != nullptr ? follow(target) : Value{};
      if (target == nullptr) {
        std::vector<std::string_view> names;
        for (const auto& [param, node] : scope_.params) names.push_back(param);
        error(code::kUndefined, where, fmt::format("unknown parameter `{}`", name), did_you_mean(name, names),
              names.empty() ? "no `params` are defined" : "parameters: " + listed(names));
        return in;
      }
      if (followed.is(Node::Kind::kList) || followed.is(Node::Kind::kMap)) {
        error(code::kWrongType, where,
              fmt::format("parameter `{}` is {} and cannot stand inside a text", name, describe(followed)));
        return in;
      }
      replacement = followed.node->text;
      out.pieces.push_back({out.text.size(), where.line, where.column, std::max(1, where.end_column - where.column)});
      out.text += replacement;
      if (out.text.size() > kMaxSubstituted) {
        error(code::kLimit, in.at,
              fmt::format("this text grows beyond {} bytes once its parameters are filled in", kMaxSubstituted));
        return in;
      }
      replaced = true;
      i = close + 1;
    }
    in = std::move(out);
    if (!replaced) break;
  }
  return in;
}

std::string Reading::describe(const Value& value) {
  switch (value.node->kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kList:
      return "a list";
    case Node::Kind::kMap:
      return "a map";
    case Node::Kind::kAlias:
      return "an alias";
    case Node::Kind::kScalar:
      break;
  }
  const std::string shown = value.node->text.size() > 60 ? value.node->text.substr(0, 57) + "..." : value.node->text;
  if (value.node->plain() && is_bool_literal(value.node->text)) return fmt::format("the boolean `{}`", shown);
  if (value.node->plain() && looks_numeric(value.node->text)) return fmt::format("the number `{}`", shown);
  return fmt::format("the string \"{}\"", shown);
}

void Reading::wrong_type(const Value& value, std::string_view what, std::string_view expected, std::string help) {
  error(code::kWrongType, value.span(), fmt::format("{} must be {}, got {}", what, expected, describe(value)), {},
        std::move(help));
}

void Reading::bad_unit(const Value& value, const UnitError& problem, std::string_view what, std::string_view example) {
  error(code::kBadValue, value.span(), fmt::format("{}: {}", what, problem.message),
        problem.suggestion.empty() ? std::string() : fmt::format("did you mean `{}`?", problem.suggestion),
        fmt::format("for example {}", example));
}

std::optional<SpannedText> Reading::string(const Value& value, std::string_view what) {
  if (!value.scalar()) {
    wrong_type(value, what, "a string");
    return std::nullopt;
  }
  if (value.node->plain() && value.node == value.at &&
      (looks_numeric(value.node->text) || is_bool_literal(value.node->text))) {
    wrong_type(value, what, "a string", fmt::format("quote it if it is meant as text: \"{}\"", value.node->text));
    return std::nullopt;
  }
  return text(value);
}

std::optional<bool> Reading::boolean(const Value& value, std::string_view what) {
  if (value.scalar()) {
    const bool substituted = value.node->text.find("${") != std::string::npos;
    const std::string content = substituted ? text(value).text : value.node->text;
    if (value.node->plain() || substituted) {
      if (content == "true") return true;
      if (content == "false") return false;
    }
    if (yaml_boolean_word(content)) {
      error(code::kWrongType, value.span(), fmt::format("{} must be true or false, got `{}`", what, content),
            fmt::format("did you mean `{}`?", boolean_meant(content)),
            "only `true` and `false`, without quotes, are booleans");
      return std::nullopt;
    }
  }
  wrong_type(value, what, "true or false");
  return std::nullopt;
}

std::optional<std::int64_t> Reading::integer(const Value& value, std::string_view what, std::int64_t minimum,
                                             std::int64_t maximum) {
  if (!value.scalar()) {
    wrong_type(value, what, "a whole number");
    return std::nullopt;
  }
  const bool substituted = value.node->text.find("${") != std::string::npos;
  const std::string content = substituted ? text(value).text : value.node->text;
  if (substituted && content.find("${") != std::string::npos) return std::nullopt;  // already reported
  const auto parsed = parse_integer(content);
  if (!value.node->plain() && !substituted) {
    wrong_type(value, what, "a whole number", parsed ? "remove the quotes" : "");
    return std::nullopt;
  }
  if (!parsed) {
    const bool whole = content.find_first_not_of("0123456789", content[0] == '-' ? 1 : 0) == std::string::npos;
    const bool bounded = minimum != 0 || maximum != 0;
    if (parsed.error.suggestion.empty() && whole && content.size() > 1)  // only too large to be counted
      error(code::kBadValue, value.span(),
            content[0] == '-' ? fmt::format("{} must be at least {}, got {}", what, bounded ? minimum : INT64_MIN, content)
                              : fmt::format("{} must be at most {}, got {}", what, bounded ? maximum : INT64_MAX, content));
    else if (parsed.error.suggestion.empty())
      wrong_type(value, what, "a decimal whole number");
    else
      error(code::kBadValue, value.span(), fmt::format("{}: {}", what, parsed.error.message),
            fmt::format("did you mean `{}`?", parsed.error.suggestion),
            "numbers are decimal; quote it if it is meant as text");
    return std::nullopt;
  }
  if ((minimum != 0 || maximum != 0) && (*parsed.value < minimum || *parsed.value > maximum)) {
    error(code::kBadValue, value.span(),
          *parsed.value < minimum ? fmt::format("{} must be at least {}, got {}", what, minimum, *parsed.value)
                                  : fmt::format("{} must be at most {}, got {}", what, maximum, *parsed.value));
    return std::nullopt;
  }
  return parsed.value;
}

std::optional<std::uint64_t> Reading::seed(const Value& value, std::string_view what) {
  if (value.scalar() && (value.node->plain() || value.node->text.find("${") != std::string::npos)) {
    const std::string content = text(value).text;
    if (content.size() > 1 && content[0] != '0') {  // beyond what integer() reads
      std::uint64_t number = 0;
      const auto [end, error] = std::from_chars(content.data(), content.data() + content.size(), number);
      if (error == std::errc{} && end == content.data() + content.size()) return number;
      const bool digits = content.find_first_not_of("0123456789") == std::string::npos;
      if (digits) {
        this->error(code::kBadValue, value.span(), fmt::format("{} must be at most {}, got {}", what, UINT64_MAX, content));
        return std::nullopt;
      }
    }
  }
  const auto number = integer(value, what, 0, INT64_MAX);
  return number ? std::optional(static_cast<std::uint64_t>(*number)) : std::nullopt;
}

std::optional<SpannedText> Reading::quantity(const Value& value, std::string_view what, std::string_view example) {
  if (!value.scalar()) {
    wrong_type(value, what, fmt::format("a text such as {}", example));
    return std::nullopt;
  }
  SpannedText content = text(value);
  if (content.text.find("${") != std::string::npos) return std::nullopt;  // already reported
  return content;
}

std::optional<std::size_t> Reading::choice(const Value& value, std::string_view what,
                                           std::span<const std::string_view> choices) {
  const std::vector<std::string_view> names(choices.begin(), choices.end());
  std::string all;
  for (const std::string_view name : names) all += (all.empty() ? "" : ", ") + std::string(name);
  if (!value.scalar()) {
    wrong_type(value, what, fmt::format("one of {}", all));
    return std::nullopt;
  }
  const SpannedText content = text(value);
  const auto it = std::find(names.begin(), names.end(), content.view());
  if (it != names.end()) return static_cast<std::size_t>(it - names.begin());
  error(code::kBadValue, value.span(), fmt::format("{} cannot be `{}`", what, content.text),
        did_you_mean(content.text, names), "one of: " + all);
  return std::nullopt;
}

std::optional<Address> Reading::ipv4(const Value& value, std::string_view what) {
  const auto content = quantity(value, what, "10.20.10.11");
  if (!content) return std::nullopt;
  const auto address = Address::parse(content->text);
  if (address && address->is_v4()) return address;
  error(code::kBadValue, value.span(), fmt::format("{}: `{}` is not an IPv4 address", what, content->text), {},
        "for example 10.20.10.11");
  return std::nullopt;
}

std::optional<Cidr> Reading::cidr(const Value& value, std::string_view what) {
  const auto content = quantity(value, what, "10.20.10.0/24");
  if (!content) return std::nullopt;
  const auto network = Cidr::parse(content->text);
  if (!network) {
    const auto host = Address::parse(content->text);
    error(code::kBadValue, value.span(), fmt::format("{}: `{}` is not a network", what, content->text),
          host && host->is_v4() ? fmt::format("did you mean `{}/24`?", content->text) : std::string(),
          "for example 10.20.10.0/24");
    return std::nullopt;
  }
  const auto host = Address::parse(std::string_view(content->text).substr(0, content->text.find('/')));
  if (host && host->v4_value() != network->network) {
    warn(code::kNoEffect, value.span(),
         fmt::format("{}: `{}` has host bits set, which mean nothing", what, content->text),
         fmt::format("did you mean `{}`?", network->text()));
  }
  return network;
}

std::optional<Duration> Reading::duration(const Value& value, std::string_view what) {
  const auto content = quantity(value, what, "500ms or 1m30s");
  if (!content) return std::nullopt;
  const auto parsed = parse_duration(content->text);
  if (!parsed) bad_unit(value, parsed.error, what, "500ms, 1m30s, 5d");
  return parsed.value;
}

std::vector<Value> Reading::list(const Value& value, std::string_view what, std::string_view of) {
  std::vector<Value> out;
  if (!value.is(Node::Kind::kList)) {
    wrong_type(
        value, what, fmt::format("a list of {}", of),
        value.scalar() && of.substr(0, 4) != "two " ? fmt::format("write [{}]", value.node->text.substr(0, 60)) : "");
    return out;
  }
  for (const Node* item : value.node->children) out.push_back(follow(item));
  return out;
}

std::vector<SpannedText> Reading::one_or_many(const Value& value, std::string_view what) {
  std::vector<SpannedText> out;
  if (value.is(Node::Kind::kList)) {
    for (const Node* item : value.node->children) {
      if (auto content = string(follow(item), what)) out.push_back(std::move(*content));
    }
  } else if (auto content = string(value, what)) {
    out.push_back(std::move(*content));
  }
  return out;
}

ConfigValue Reading::config(const Value& value) {
  ConfigValue out;
  out.at = value.span();
  switch (value.node->kind) {
    case Node::Kind::kNull:
    case Node::Kind::kAlias:
      break;
    case Node::Kind::kList:
      out.kind = ConfigValue::Kind::kList;
      for (const Node* item : value.node->children) out.items.push_back(config(follow(item)));
      break;
    case Node::Kind::kMap:
      out.kind = ConfigValue::Kind::kMap;
      for (const Entry& entry : entries(value, "config"))
        out.entries.push_back({std::string(entry.name), entry.key_span(), config(entry.value)});
      break;
    case Node::Kind::kScalar: {
      out.text = text(value).text;
      const bool substituted = value.node->text.find("${") != std::string::npos;
      out.kind = ConfigValue::Kind::kString;
      if (!value.node->plain() && !substituted) break;
      if (is_bool_literal(out.text)) {
        out.kind = ConfigValue::Kind::kBool;
        out.boolean = out.text == "true";
      } else if (const auto number = parse_integer(out.text)) {
        out.kind = ConfigValue::Kind::kInt;
        out.integer = *number.value;
      } else if (looks_numeric(out.text) && out.text.find_first_of(".eE") != std::string::npos &&
                 out.text.find('x') == std::string::npos && out.text.size() < 32) {
        out.kind = ConfigValue::Kind::kFloat;
        out.real = std::strtod(out.text.c_str(), nullptr);
      }
      break;
    }
  }
  return out;
}

}  // namespace dcsim::scenario
