// Selectors and text matches as documents spell them.
#include <fmt/format.h>

#include <algorithm>

#include "base/regex.h"
#include "scenario/reader.h"

namespace dcsim::scenario {

namespace {

constexpr std::size_t kMaxPattern = 1000;

std::optional<std::string> regex_problem(const std::string& pattern) {
  if (pattern.size() > kMaxPattern) return fmt::format("it is longer than {} bytes", kMaxPattern);
  std::string why;
  if (!Regex::compile(pattern, &why)) return why;
  return std::nullopt;
}

}  // namespace

std::optional<TextMatch> Reading::text_match(const Value& value, std::string_view what) {
  const auto content = string(value, what);
  if (!content) return std::nullopt;
  TextMatch out;
  out.at = content->at;
  const std::string& text = content->text;
  if (text.size() < 2 || text.front() != '/' || text.back() != '/') {
    out.pattern = text;
    return out;
  }
  out.kind = TextMatch::Kind::kRegex;
  out.pattern = text.substr(1, text.size() - 2);
  if (const auto problem = regex_problem(out.pattern)) {
    error(code::kRegex, content->span(1, text.size() - 1),
          fmt::format("{} is not a regular expression: {}", what, *problem), {}, "the syntax is Go's (RE2): no look-around, no back-references");
    return std::nullopt;
  }
  return out;
}

void Reading::pick(const Value& value, Selector& out) {
  const std::string_view what = "`pick` of selector";
  if (!value.scalar()) return wrong_type(value, what, "one, all, leader, followers, a number or a percentage");
  const SpannedText content = text(value);
  const std::vector<std::string_view> words = {"one", "all", "leader", "followers"};  // as the language has them
  if (content.text == "one")
    out.pick = {Pick::Kind::kCount, 1, 0};
  else if (content.text == "all")
    out.pick = {};
  else if (content.text == "leader" || content.text == "followers")
    error(code::kNoLeader, value.span(),
          fmt::format("selectors cannot ask for Raft's leader yet: `pick: {}` has nobody to pick", content.text), {},
          "name the server, or pick: one");
  else if (!content.text.empty() && content.text.back() == '%') {
    const auto share = parse_percent(content.text);
    if (!share) return bad_unit(value, share.error, what, "20%");
    if (*share.value == 0)
      return error(code::kBadValue, value.span(), fmt::format("{}: `{}` chooses nobody", what, content.text));
    out.pick = {Pick::Kind::kShare, 0, *share.value};
  } else if (looks_numeric(content.text)) {
    if (const auto count = integer(value, what, 1, 0x7fffffff))
      out.pick = {Pick::Kind::kCount, static_cast<std::uint32_t>(*count), 0};
  } else {
    error(code::kBadValue, value.span(), fmt::format("{} cannot be `{}`", what, content.text),
          did_you_mean(content.text, words), "leader, followers, one, all, 3 or 20%");
  }
}

void Reading::selector_map(const Value& value, Selector& out) {
  MapReader reader(*this, selector_keys(), value);
  Selector::Term term;
  term.at = value.span();
  for (const char* key : {"zone", "dc"}) {
    const Entry* entry = reader.raw(key, ValueType::kOneOrMany);
    if (entry == nullptr) continue;
    for (SpannedText& name : one_or_many(entry->value, reader.what(key))) {
      out.text += fmt::format("{}{}={}", out.text.empty() ? "" : ", ", key, name.text);
      term.at = name.at;
      (key[0] == 'z' ? term.zones : term.dcs).push_back(std::move(name.text));
    }
  }
  for (const auto& [key, text_value] : reader.labels("labels")) {
    out.text += fmt::format("{}{}={}", out.text.empty() ? "" : ", ", key, text_value);
    term.labels.push_back({key, text_value, false, reader.key_span("labels")});
  }
  if (const Entry* entry = reader.raw("cidr", ValueType::kCidr)) {
    term.cidr = cidr(entry->value, reader.what("cidr"));
    if (term.cidr) out.text += fmt::format("{}cidr={}", out.text.empty() ? "" : ", ", term.cidr->text());
  }
  if (const Entry* entry = reader.raw("pick", ValueType::kPick)) pick(entry->value, out);
  reader.done();
  if (!reader.usable()) return;
  if (term.zones.empty() && term.dcs.empty() && term.labels.empty() && !term.cidr) {
    term.all = true;
    if (out.text.empty()) out.text = "all";
  }
  out.terms.push_back(std::move(term));
}

std::optional<Selector> Reading::selector(const Value& value, std::string_view what) {
  check_room();
  Selector out;
  out.at = value.span();
  if (value.is(Node::Kind::kMap)) {
    selector_map(value, out);
    return out;
  }
  if (!value.is(Node::Kind::kList)) {
    if (!value.scalar()) {
      wrong_type(value, what, "a selector",
                 "for example all, alpha-1.dc1, \"role=client, dc=dc1\" or a map of zone, dc, labels, cidr, pick");
      return std::nullopt;
    }
    const auto content = string(value, what);
    if (!content) return std::nullopt;
    return parse_selector(*content, out_);
  }
  for (const Node* item : value.node->children) {
    const Value part = follow(item);
    if (part.is(Node::Kind::kList)) {
      wrong_type(part, what, "a selector");
      continue;
    }
    const auto inner = selector(part, what);
    if (!inner) continue;
    if (inner->pick.kind != Pick::Kind::kAll)
      error(code::kSelector, part.span(), "`pick` cannot stand inside a list of selectors");
    out.text += (out.text.empty() ? "" : " | ") + inner->text;
    out.terms.insert(out.terms.end(), inner->terms.begin(), inner->terms.end());
  }
  if (value.node->children.empty())
    error(code::kSelector, value.span(), fmt::format("{} is an empty list", what), {}, "write all for every agent");
  return out;
}

}  // namespace dcsim::scenario
